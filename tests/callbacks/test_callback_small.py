"""LearningRateScheduler, TerminateOnNaN, LambdaCallback, CSVLogger, RemoteMonitor, SwapEMAWeights."""

import csv
import http.server
import json
import os
import threading
from types import SimpleNamespace
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
from callback_fakes import Model

from uncrumple.callbacks import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    RemoteMonitor,
    SwapEMAWeights,
    TerminateOnNaN,
)
from uncrumple.core.errors import UncrumpleWarning

# --- LearningRateScheduler ----------------------------------------------------------


def test_the_schedule_is_applied_before_each_epoch_and_logged(capsys):
    model = Model()
    callback = LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    history = model.fit([callback], epochs=3, steps=1)
    assert history.history["learning_rate"] == [0.005, 0.0025, 0.00125]
    assert capsys.readouterr().out.splitlines()[0] == "Epoch 1: the learning rate is 0.005"


@pytest.mark.parametrize(
    "value",
    [0.5, np.float32(0.5), np.float64(0.5), torch.tensor(0.5), np.array(0.5)],
    ids=lambda value: str(type(value)),
)
def test_a_schedule_may_return_any_kind_of_float(value):
    model = Model()
    callback = LearningRateScheduler(lambda epoch: value)
    callback.set_model(model)
    callback.on_epoch_begin(0)
    assert model.optimizer.learning_rate == 0.5


@pytest.mark.parametrize(
    "value, text",
    [
        (
            1,
            "The schedule of LearningRateScheduler returned 1, a int.\n"
            "Expected a float.\n"
            "Fix: return float(...) in the function",
        ),
        (
            None,
            "The schedule of LearningRateScheduler returned None, a NoneType.\n"
            "Expected a float.\n"
            "Fix: return float(...) in the function",
        ),
        (
            -0.5,
            "The schedule of LearningRateScheduler returned -0.5.\n"
            "Expected a learning rate that is finite and not negative.\n"
            "Fix: check the formula, for example with [schedule(epoch, 0.001) for epoch in range(10)]",
        ),
    ],
)
def test_a_schedule_that_returns_no_learning_rate(value, text):
    callback = LearningRateScheduler(lambda epoch, rate: value)
    callback.set_model(Model())
    with pytest.raises(ValueError) as caught:
        callback.on_epoch_begin(0)
    assert str(caught.value) == text


def test_an_error_within_the_schedule_is_not_taken_for_its_signature():
    def schedule(epoch, rate):
        return rate + "1"

    callback = LearningRateScheduler(schedule)
    callback.set_model(Model())
    with pytest.raises(TypeError, match="unsupported operand"):
        callback.on_epoch_begin(0)


def test_a_schedule_that_is_no_function():
    with pytest.raises(TypeError) as caught:
        LearningRateScheduler(0.01)
    assert str(caught.value).splitlines()[0] == "LearningRateScheduler got schedule=0.01, a float."


def test_an_optimizer_without_a_learning_rate():
    callback = LearningRateScheduler(lambda epoch: 0.1)
    callback.set_model(SimpleNamespace(optimizer=object()))
    with pytest.raises(ValueError, match="no learning rate in the optimizer object"):
        callback.on_epoch_begin(0)


# --- TerminateOnNaN -----------------------------------------------------------------


def test_training_ends_at_the_batch_and_in_order(capsys):
    model = Model()
    ended = []

    def spoil(batch, logs):
        if batch == 2:
            torch.nn.init.constant_(model.dense.bias, float("nan"))

    callbacks = [
        LambdaCallback(on_train_batch_begin=spoil, on_train_end=lambda logs: ended.append(True)),
        TerminateOnNaN(),
    ]
    history = model.fit(callbacks, epochs=3)
    assert capsys.readouterr().out == "Batch 2: the loss is nan, training ends here\n"
    assert history.epoch == [0]
    assert ended == [True]


def test_raising_instead():
    callback = TerminateOnNaN(raise_error=True)
    callback.set_model(Model())
    with pytest.raises(RuntimeError) as caught:
        callback.on_train_batch_end(7, {"loss": float("inf")})
    assert str(caught.value) == (
        "The loss is inf after batch 7.\n"
        "Expected a finite number.\n"
        "Fix: look for NaN in the data; try a smaller learning rate, or clipnorm=1.0 in the optimizer"
    )


# --- LambdaCallback -----------------------------------------------------------------


def test_functions_are_called_at_their_moments():
    calls = []
    names = ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end"]
    functions = {name: lambda *args, name=name: calls.append((name, len(args))) for name in names}
    batches = {
        "on_train_batch_begin": lambda batch, logs: calls.append(("batch begins", batch)),
        "on_train_batch_end": lambda batch, logs: calls.append(("batch ends", sorted(logs))),
    }
    Model().fit([LambdaCallback(**functions, **batches)], epochs=1, steps=1)
    assert calls == [
        ("on_train_begin", 1),
        ("on_epoch_begin", 2),
        ("batch begins", 0),
        ("batch ends", ["loss"]),
        ("on_epoch_end", 2),
        ("on_train_end", 1),
    ]


def test_a_misspelled_moment():
    with pytest.raises(TypeError) as caught:
        LambdaCallback(on_epoch_ends=print)
    first, _, last = str(caught.value).splitlines()
    assert first == "LambdaCallback got an unknown argument 'on_epoch_ends'."
    assert last == "Fix: did you mean 'on_epoch_end='?"


@pytest.mark.parametrize(
    "name, takes", [("on_epoch_end", "epoch, logs"), ("on_train_end", "logs"), ("on_train_batch_end", "batch, logs")]
)
def test_what_is_no_function(name, takes):
    with pytest.raises(TypeError) as caught:
        LambdaCallback(**{name: 3})
    assert str(caught.value) == (
        f"LambdaCallback got {name}=3, a int.\nExpected a function.\nFix: LambdaCallback({name}=lambda {takes}: ...)"
    )


# --- CSVLogger ----------------------------------------------------------------------


def test_csv_lines_are_there_while_training_goes_on(tmp_path):
    path = tmp_path / "new" / "log.csv"
    seen = []
    callbacks = [CSVLogger(path), LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(path.read_text()))]
    history = Model().fit(callbacks, epochs=2)
    assert [len(text.splitlines()) for text in seen] == [2, 3]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    assert [row["val_loss"] for row in rows] == ["NA", "NA"]


def test_csv_append_to_other_columns_is_warned_about(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,accuracy,val_accuracy\r\n")
    logger = CSVLogger(path, append=True)
    logger.on_train_begin()
    with pytest.warns(UncrumpleWarning, match="which has \\['epoch', 'accuracy', 'val_accuracy'\\]"):
        logger.on_epoch_end(0, {"loss": 1.0})
    logger.on_train_end()
    assert path.read_text().splitlines()[-1] == "0,1.0,NA"


def test_csv_append_to_an_empty_file_writes_a_header(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("")
    Model().fit([CSVLogger(path, append=True)], epochs=1)
    assert path.read_text().startswith("epoch,loss,val_loss")


def test_csv_where_nothing_can_be_written(tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        CSVLogger(tmp_path).on_train_begin()
    assert str(caught.value) == (
        f"CSVLogger cannot write {str(tmp_path)!r}: Is a directory.\n"
        "Expected to be able to write there.\n"
        "Fix: give CSVLogger the path of a file; this one is a folder"
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_csv_on_a_full_disk():
    logger = CSVLogger("/dev/full")
    logger.on_train_begin()
    with pytest.raises(OSError, match="Fix: free some space, or give CSVLogger a path on another disk"):
        logger.on_epoch_end(0, {"loss": 1.0})


def test_csv_separator():
    with pytest.raises(ValueError, match="CSVLogger got separator=', '"):
        CSVLogger("log.csv", separator=", ")


# --- RemoteMonitor ------------------------------------------------------------------


@pytest.fixture
def server():
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, dict(self.headers), body))
            self.send_response(500 if "refuse" in self.path else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    made = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield SimpleNamespace(root=f"http://127.0.0.1:{made.server_port}", received=received)
    made.shutdown()
    thread.join()
    made.server_close()


def test_remote_form(server):
    RemoteMonitor(server.root, headers={"X-Run": "7"}).on_epoch_end(2, {"loss": np.float32(0.5), "n": torch.tensor(1)})
    path, headers, body = server.received[0]
    assert path == "/publish/epoch/end/"
    assert headers["X-Run"] == "7"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert json.loads(parse_qs(body)["data"][0]) == {"epoch": 2, "loss": 0.5, "n": 1.0}


def test_remote_json(server):
    RemoteMonitor(server.root, "/here", send_as_json=True).on_epoch_end(0, {"loss": float("nan"), "f1": np.ones(2)})
    path, headers, body = server.received[0]
    assert (path, headers["Content-Type"]) == ("/here", "application/json")
    assert json.loads(body) == {"epoch": 0, "loss": None, "f1": [1.0, 1.0]}


def test_remote_failures_are_warnings_and_training_goes_on(server):
    with pytest.warns(UncrumpleWarning, match="HTTP Error 500"):
        RemoteMonitor(server.root, "/refuse").on_epoch_end(0, {})
    with pytest.warns(UncrumpleWarning) as caught:
        RemoteMonitor("http://127.0.0.1:9").on_epoch_end(4, {"loss": 1.0})
    first, *_ = str(caught[0].message).splitlines()
    assert first.startswith("RemoteMonitor could not send epoch 4 to http://127.0.0.1:9/publish/epoch/end/: ")


@pytest.mark.parametrize("root", ["file:///etc/passwd", "localhost:9000", None])
def test_remote_addresses_of_other_kinds(root):
    with pytest.raises(ValueError, match="Expected an address that starts with http:// or https://"):
        RemoteMonitor(root)


# --- SwapEMAWeights -----------------------------------------------------------------


class Averaging:
    """An optimizer whose average is kept beside the weights, under the names that uncrumple's optimizers use."""

    use_ema = True
    iterations = 3

    def __init__(self, weights, averages):
        self._weights, self._averages = weights, averages


def averaged_model():
    weight, average = torch.nn.Parameter(torch.tensor([1.0])), torch.tensor([10.0])
    model = SimpleNamespace(optimizer=Averaging([weight], [average]), stop_training=False)
    return model, weight, average


@pytest.mark.parametrize("what", ["test", "predict"])
def test_the_average_is_in_place_while_evaluating(what):
    model, weight, average = averaged_model()
    callback = SwapEMAWeights()
    callback.set_model(model)
    getattr(callback, f"on_{what}_begin")()
    assert (weight.item(), average.item()) == (10.0, 1.0)
    getattr(callback, f"on_{what}_end")()
    assert (weight.item(), average.item()) == (1.0, 10.0)
    assert weight.requires_grad


def test_the_average_stays_between_epochs_if_asked():
    model, weight, average = averaged_model()
    callback = SwapEMAWeights(swap_on_epoch=True)
    callback.set_model(model)
    callback.set_params({"epochs": 3})
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        assert weight.item() == 1.0
        callback.on_test_begin()
        assert weight.item() == 10.0
        callback.on_test_end()
        assert weight.item() == 1.0
        callback.on_epoch_end(epoch)
        assert weight.item() == 10.0
        assert average.item() == (10.0 if epoch == 2 else 1.0)


def test_the_average_stays_after_early_stopping_too():
    model, weight, average = averaged_model()
    callback = SwapEMAWeights(swap_on_epoch=True)
    callback.set_model(model)
    callback.set_params({"epochs": 100})
    callback.on_epoch_begin(0)
    model.stop_training = True
    callback.on_epoch_end(0)
    assert (weight.item(), average.item()) == (10.0, 10.0)


def test_nothing_is_swapped_before_there_is_an_average():
    model, weight, _ = averaged_model()
    model.optimizer.iterations = 0
    callback = SwapEMAWeights()
    callback.set_model(model)
    callback.on_test_begin()
    assert weight.item() == 1.0
    callback.on_test_end()
    assert weight.item() == 1.0


def test_an_optimizer_in_an_optimizer():
    model, weight, _ = averaged_model()
    plain = SimpleNamespace(use_ema=False)
    model.optimizer = SimpleNamespace(inner_optimizer=SimpleNamespace(optimizers=[plain, model.optimizer]))
    callback = SwapEMAWeights()
    callback.set_model(model)
    callback.on_test_begin()
    assert weight.item() == 10.0


def test_no_average_is_refused_before_training():
    callback = SwapEMAWeights()
    callback.set_model(SimpleNamespace(optimizer=Model().optimizer))
    with pytest.raises(ValueError) as caught:
        callback.on_train_begin()
    assert str(caught.value) == (
        "SwapEMAWeights found no moving average in the optimizer Adam.\n"
        "Expected an optimizer with use_ema=True.\n"
        "Fix: model.compile(optimizer=Adam(use_ema=True), ...)"
    )


def test_swapping_works_with_an_optimizer_of_this_project():
    from uncrumple.optimizers import SGD

    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = SGD(learning_rate=0.5, use_ema=True, ema_momentum=0.5)
    optimizer.apply([torch.tensor([1.0])], [weight])
    optimizer.apply([torch.tensor([1.0])], [weight])
    callback = SwapEMAWeights()
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_test_begin()
    assert weight.item() == pytest.approx(0.25)
    callback.on_test_end()
    assert weight.item() == pytest.approx(0.0)
