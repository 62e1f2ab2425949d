import copy
import json
import pickle
import time

import numpy as np
import pytest
import torch
from callback_fakes import Model

from uncrumple.callbacks import (
    BackupAndRestore,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LazyLogs,
    ModelCheckpoint,
    ProgbarLogger,
    TensorBoard,
    TerminateOnNaN,
)
from uncrumple.core import registry


def test_order_is_user_then_history_then_progress():
    user = EarlyStopping()
    together = CallbackList([user], add_history=True, add_progbar=True, model=Model(), verbose=0, epochs=1, steps=1)
    assert [type(one) for one in together.callbacks] == [EarlyStopping, History, ProgbarLogger]


def test_no_second_history_or_progress():
    history, progress = History(), ProgbarLogger()
    model = Model()
    together = CallbackList([progress, history], add_history=True, add_progbar=True, model=model)
    assert together.callbacks == [progress, history]
    assert model.history is history


def test_nested_lists_a_single_callback_and_another_list():
    a, b, c = Callback(), Callback(), Callback()
    assert CallbackList([a, (b, [c])]).callbacks == [a, b, c]
    assert CallbackList(a).callbacks == [a]
    assert CallbackList(None).callbacks == []
    assert CallbackList([CallbackList([a, b]), c]).callbacks == [a, b, c]


@pytest.mark.parametrize(
    "callbacks, text",
    [
        (
            [Callback(), EarlyStopping],
            "callbacks[1] is the class EarlyStopping.\n"
            "Expected a callback object.\n"
            "Fix: EarlyStopping(), with its arguments in the brackets",
        ),
        (
            ["early_stopping"],
            "callbacks[0] is the string 'early_stopping'.\n"
            "Expected a callback object.\n"
            "Fix: EarlyStopping(), the object instead of a name",
        ),
        (
            [[Callback(), 3]],
            "callbacks[0][1] is 3, a int.\nExpected a callback object.\nFix: callbacks=[EarlyStopping(patience=3)]",
        ),
        (
            [None],
            "callbacks[0] is None, a NoneType.\n"
            "Expected a callback object.\n"
            "Fix: callbacks=[EarlyStopping(patience=3)]",
        ),
    ],
)
def test_what_is_no_callback_is_named_with_its_index(callbacks, text):
    with pytest.raises(TypeError) as caught:
        CallbackList(callbacks)
    assert str(caught.value) == text


def test_a_function_is_no_callback():
    def after_epoch(epoch, logs):
        pass

    with pytest.raises(TypeError, match=r"Fix: LambdaCallback\(on_epoch_end=after_epoch\)"):
        CallbackList([after_epoch])


def test_callbacks_of_real_keras_can_be_used():
    import keras

    class Theirs(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_batch_end(self, batch, logs=None):
            self.seen.append(batch)

    theirs = Theirs()
    together = CallbackList([theirs, keras.callbacks.EarlyStopping()], model=Model(), epochs=1)
    assert together.has_train_batch_hooks
    together.on_train_batch_end(4, {})
    assert theirs.seen == [4]


def test_an_end_without_a_beginning():
    with pytest.raises(ValueError) as caught:
        CallbackList([]).on_test_end()
    assert str(caught.value).splitlines()[0] == "on_test_end was called, but nothing had begun."


def test_a_callback_that_forgot_super_init_works():
    class Forgetful(Callback):
        def __init__(self):
            self.seen = 0

        def on_epoch_end(self, epoch, logs=None):
            self.seen += logs["loss"]

    forgetful = Forgetful()
    assert forgetful.model is None
    Model().fit([forgetful], epochs=2)
    assert forgetful.seen > 0
    assert isinstance(forgetful.model, Model)


def test_append_hands_over_model_and_params():
    model, late = Model(), LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    together = CallbackList([], model=model, epochs=3)
    assert not together.has_train_batch_hooks
    together.append(late)
    assert late.model is model
    assert late.params == {"epochs": 3}
    assert together.has_train_batch_hooks


def test_the_model_in_a_wrapper_for_many_devices(monkeypatch):
    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", Wrapper)
    model, callback = Model(), Callback()
    callback.set_model(Wrapper(model))
    assert callback.model is model


# --- who is called at batches -----------------------------------------------------


@pytest.mark.parametrize(
    "make, train, test",
    [
        (lambda path: Callback(), False, False),
        (lambda path: EarlyStopping(), False, False),
        (lambda path: CSVLogger(path / "log"), False, False),
        (lambda path: ModelCheckpoint(path / "m.keras"), False, False),
        (lambda path: ModelCheckpoint(path / "m.keras", save_freq=3), True, False),
        (lambda path: BackupAndRestore(path / "b"), False, False),
        (lambda path: BackupAndRestore(path / "b", save_freq=3), True, False),
        (lambda path: BackupAndRestore(path / "b", save_freq=False), False, False),
        (lambda path: TensorBoard(path / "t", write_graph=False), False, False),
        (lambda path: TensorBoard(path / "t", write_graph=False, update_freq=2), True, False),
        (lambda path: TensorBoard(path / "t", write_graph=False, profile_batch=2), True, False),
        (lambda path: TerminateOnNaN(), True, False),
        (lambda path: LambdaCallback(on_test_batch_end=lambda batch, logs: 0), False, True),
        (lambda path: LambdaCallback(on_batch_begin=lambda batch, logs: 0), True, False),
    ],
)
def test_only_those_that_need_batches_get_them(tmp_path, make, train, test):
    together = CallbackList([make(tmp_path)], model=Model(), verbose=1, epochs=1, steps=1)
    together.on_train_begin()
    together.on_epoch_begin(0)
    assert (together.has_train_batch_hooks, together.has_test_batch_hooks) == (train, test)


@pytest.mark.parametrize("verbose, steps, wanted", [(0, 5, False), (1, 5, True), (2, 5, False), (2, None, True)])
def test_progress_wants_batches_only_to_draw_or_count(verbose, steps, wanted, capsys):
    together = CallbackList([], add_progbar=True, model=Model(), verbose=verbose, epochs=1, steps=steps)
    together.on_train_begin()
    together.on_epoch_begin(0)
    assert together.has_train_batch_hooks is wanted
    together.on_predict_begin()
    assert together.has_predict_batch_hooks is wanted


def test_a_subclass_that_overrides_a_batch_method_is_called():
    seen = []

    class Mine(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            seen.append(batch)

    together = CallbackList([Mine("m.keras")], model=Model())
    together.on_train_batch_end(3, {})
    assert seen == [3]


def test_a_callback_may_begin_to_want_batches_later():
    class Later(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.on_train_batch_end = lambda batch, logs: None

    together = CallbackList([Later()], model=Model())
    together.on_epoch_begin(0)
    assert not together.has_train_batch_hooks
    together.on_epoch_begin(1)
    assert together.has_train_batch_hooks


def test_older_and_newer_names_are_each_called_once():
    seen = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", logs))

    together = CallbackList([Old()], model=Model())
    together.on_train_batch_begin(2)
    together.on_train_batch_end(2, {"loss": 1.0})
    together.on_batch_begin(5)
    together.on_batch_end(5, {"loss": 3.0})
    assert seen == [("begin", 2), ("end", {"loss": 1.0}), ("begin", 5), ("end", {"loss": 3.0})]


def test_a_batch_costs_under_a_microsecond_when_nothing_is_due(capsys):
    together = CallbackList(
        [EarlyStopping(), ModelCheckpoint("m.keras")], add_progbar=True, model=Model(), verbose=1, epochs=1, steps=10**6
    )
    together.on_epoch_begin(0)
    logs = LazyLogs(lambda: pytest.fail("nobody asked for the logs"))
    together.on_train_batch_end(0, logs)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for batch in range(2000):
            together.on_train_batch_end(batch, logs)
        times.append((time.perf_counter() - began) / 2000)
    assert min(times) < 1e-6


# --- logs -------------------------------------------------------------------------


def test_logs_of_an_epoch_are_floats_in_alphabetical_order_shared_by_all():
    seen = []

    class Add(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["z"] = 1.0

    class Look(Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(list(logs.items()))

    logs = {"loss": torch.tensor(0.5), "b": np.float32(2), "nested": {"a": 1}, "text": "12", "many": torch.ones(2)}
    CallbackList([Add(), Look()], model=Model()).on_epoch_end(0, logs)
    names = [name for name, _ in seen[0]]
    assert names == ["b", "loss", "many", "a", "text", "z"]
    found = dict(seen[0])
    assert [type(found[name]) for name in ("b", "loss", "a")] == [float] * 3
    assert found["text"] == "12"
    assert isinstance(found["many"], np.ndarray)
    assert "z" not in logs


def test_logs_of_a_batch_are_computed_only_if_somebody_reads_them():
    computed = []

    def compute():
        computed.append(True)
        return {"loss": torch.tensor(2.0)}

    together = CallbackList([LambdaCallback(on_train_batch_end=lambda batch, logs: None)], model=Model())
    together.on_train_batch_end(0, LazyLogs(compute))
    assert not computed
    seen = []
    together = CallbackList([LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))])
    together.on_train_batch_end(0, LazyLogs(compute))
    assert seen == [2.0]
    assert len(computed) == 1


def test_tensors_in_a_plain_dict_reach_callbacks_as_floats():
    seen = []
    together = CallbackList([LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))])
    together.on_train_batch_end(0, {"loss": torch.tensor(2.0, requires_grad=True)})
    assert seen == [{"loss": 2.0}]
    assert type(seen[0]["loss"]) is float


def test_predictions_are_handed_on_as_they_are():
    seen = []
    together = CallbackList([LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"]))])
    outputs = torch.ones(1)
    together.on_predict_batch_end(0, {"outputs": outputs})
    assert seen[0] is outputs


def make_lazy():
    return LazyLogs(lambda: {"loss": torch.tensor(0.5), "acc": 1})


@pytest.mark.parametrize(
    "look",
    [
        dict,
        lambda logs: {**logs},
        lambda logs: (lambda **names: names)(**logs),
        lambda logs: json.loads(json.dumps(logs)),
        lambda logs: copy.copy(logs),
        lambda logs: copy.deepcopy(logs),
        lambda logs: pickle.loads(pickle.dumps(logs)),
        lambda logs: logs.copy(),
        lambda logs: logs | {},
        lambda logs: {} | logs,
        lambda logs: dict(zip(logs, logs.values())),
        lambda logs: {name: logs[name] for name in list(reversed(logs))},
        lambda logs: eval(repr(logs)),
        lambda logs: logs if logs == {"acc": 1.0, "loss": 0.5} else {},
        lambda logs: {name: logs.pop(name) for name in ("loss", "acc")},
        lambda logs: dict([logs.popitem(), logs.popitem()]),
    ],
)
def test_lazy_logs_are_a_dict_however_one_looks(look):
    assert look(make_lazy()) == {"acc": 1.0, "loss": 0.5}


def test_lazy_logs_can_be_asked_tested_and_added_to():
    assert len(make_lazy()) == 2
    assert bool(make_lazy())
    assert "loss" in make_lazy()
    assert make_lazy().get("nothing", 3) == 3
    logs = make_lazy()
    logs["learning_rate"] = 0.1
    assert list(logs) == ["acc", "loss", "learning_rate"]
    with pytest.raises(KeyError):
        make_lazy()["nothing"]


# --- History and registry ---------------------------------------------------------


def test_history_holds_floats_epochs_params_and_model():
    model = Model()
    history = model.fit([], epochs=2, steps=3)
    assert list(history.history) == ["loss"]
    assert [type(value) for value in history.history["loss"]] == [float, float]
    assert history.epoch == [0, 1]
    assert history.params == {"verbose": 0, "epochs": 2, "steps": 3}
    assert history.model is model


def test_a_second_fit_with_the_same_history_adds_to_it():
    history = History()
    Model().fit([history], epochs=2)
    Model().fit([history], epochs=1)
    assert len(history.history["loss"]) == 3
    assert history.epoch == [0]


def test_callbacks_are_registered():
    assert registry.builtins("callbacks")["EarlyStopping"] is EarlyStopping
    assert EarlyStopping._keras_module == "keras.callbacks"
