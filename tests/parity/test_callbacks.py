"""The same logs to Keras's callbacks and to ours: the same decisions."""

import inspect
import io
import json
import sys
import warnings
from types import SimpleNamespace
from urllib.parse import parse_qs

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uncrumple import callbacks as ours

theirs = keras.callbacks
NAMES = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
quick = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


class FakeOptimizer:
    """Keeps its learning rate in float32, as real ones do in Keras."""

    def __init__(self):
        self.learning_rate = 0.1

    @property
    def learning_rate(self):
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._rate = np.float32(value)


class FakeModel:
    """Counts epochs as weights, and remembers what was saved."""

    def __init__(self):
        self.stop_training = False
        self.optimizer = FakeOptimizer()
        self.weights = [np.zeros(1)]
        self.metrics = []
        self.saved = []

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = [weight.copy() for weight in weights]

    def save(self, path, overwrite=True):
        self.saved.append(path)

    def save_weights(self, path, overwrite=True):
        self.saved.append(path)


# Few different values, so that ties and returns to the best are frequent; and some odd ones.
values = st.one_of(
    st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.3001, 0.30009, 0.5, 1.0]),
    st.floats(-2, 2, width=32),
    st.sampled_from([float("nan"), float("inf"), None]),
)
runs = st.lists(values, min_size=1, max_size=12)
deltas = st.sampled_from([0, 0.0, 1e-4, 0.1, -0.1, 0.5])
modes = st.sampled_from(["auto", "min", "max"])


def logs_of(value):
    return {} if value is None else {"val_loss": value}


def run(callback, sequence, model=None, fits=1):
    """Call a callback as `fit` does; return what it did, epoch by epoch."""
    model = model or FakeModel()
    callback.set_model(model)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(fits):
            model.stop_training = False
            callback.on_train_begin()
            for epoch, value in enumerate(sequence):
                callback.on_epoch_begin(epoch)
                model.weights = [np.full(1, epoch + 1.0)]
                logs = logs_of(value) | {"loss": 1.0}
                callback.on_epoch_end(epoch, logs)
                seen.append((epoch, model.stop_training, float(model.optimizer.learning_rate), list(model.saved)))
                if model.stop_training:
                    break
            callback.on_train_end()
            seen.append(model.weights[0].tolist())
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_the_signature_is_that_of_keras(name):
    def arguments(cls):
        found = inspect.signature(cls.__init__).parameters.values()
        return [(one.name, one.kind, one.default) for one in found]

    assert arguments(getattr(ours, name)) == arguments(getattr(theirs, name))


def test_every_callback_of_keras_exists():
    public = {name for name in dir(theirs) if isinstance(getattr(theirs, name), type)}
    assert public <= set(dir(ours))


@pytest.mark.parametrize("name", NAMES)
def test_every_method_of_keras_exists(name):
    cls = getattr(theirs, name)
    public = {method for method in dir(cls) if not method.startswith("_")}
    assert public <= set(dir(getattr(ours, name))) | {"async_safe", "summary"}


@quick
@given(
    sequence=runs,
    min_delta=deltas,
    patience=st.integers(0, 4),
    mode=modes,
    baseline=st.sampled_from([None, 0.2, 0.5]),
    restore=st.booleans(),
    start=st.integers(0, 3),
    fits=st.integers(1, 2),
)
def test_early_stopping(sequence, min_delta, patience, mode, baseline, restore, start, fits):
    settings = {
        "min_delta": min_delta,
        "patience": patience,
        "mode": mode,
        "baseline": baseline,
        "restore_best_weights": restore,
        "start_from_epoch": start,
    }
    mine, other = ours.EarlyStopping(**settings), theirs.EarlyStopping(**settings)
    assert run(mine, sequence, fits=fits) == run(other, sequence, fits=fits)
    for name in ("wait", "stopped_epoch", "best_epoch"):
        assert getattr(mine, name) == getattr(other, name), name
    np.testing.assert_equal(mine.best, other.best)


@quick
@given(
    sequence=runs,
    factor=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    patience=st.integers(0, 3),
    mode=modes,
    min_delta=deltas,
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.2]),
    fits=st.integers(1, 2),
)
def test_reduce_lr_on_plateau(sequence, factor, patience, mode, min_delta, cooldown, min_lr, fits):
    settings = {
        "factor": factor,
        "patience": patience,
        "mode": mode,
        "min_delta": min_delta,
        "cooldown": cooldown,
        "min_lr": min_lr,
    }
    mine, other = ours.ReduceLROnPlateau(**settings), theirs.ReduceLROnPlateau(**settings)
    assert run(mine, sequence, fits=fits) == run(other, sequence, fits=fits)
    assert (mine.wait, mine.cooldown_counter) == (other.wait, other.cooldown_counter)


@quick
@given(
    sequence=runs,
    best_only=st.booleans(),
    weights_only=st.booleans(),
    mode=modes,
    threshold=st.sampled_from([None, 0.2, 0.5]),
    name=st.sampled_from(["model", "{epoch:02d}", "{epoch}-{loss:.2f}"]),
    fits=st.integers(1, 2),
)
def test_model_checkpoint_by_epoch(sequence, best_only, weights_only, mode, threshold, name, fits):
    settings = {
        "filepath": name + (".weights.h5" if weights_only else ".keras"),
        "save_best_only": best_only,
        "save_weights_only": weights_only,
        "mode": mode,
        "initial_value_threshold": threshold,
    }
    mine, other = ours.ModelCheckpoint(**settings), theirs.ModelCheckpoint(**settings)
    assert run(mine, sequence, fits=fits) == run(other, sequence, fits=fits)
    np.testing.assert_equal(mine.best, other.best)


@quick
@given(
    epochs=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=1, max_size=4),
    save_freq=st.integers(1, 7),
)
def test_model_checkpoint_by_batch(epochs, save_freq):
    """`epochs` holds, for each call of the batch method, how many batches passed since the last one."""
    saved = []
    for kind in (ours, theirs):
        model = FakeModel()
        callback = kind.ModelCheckpoint("{epoch}-{batch}.keras", save_freq=save_freq)
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, steps in enumerate(epochs):
            callback.on_epoch_begin(epoch)
            batch = -1
            for step in steps:
                batch += step
                callback.on_train_batch_end(batch, {"loss": 1.0})
            callback.on_epoch_end(epoch, {"val_loss": 1.0})
        saved.append(model.saved)
    assert saved[0] == saved[1]


@pytest.mark.parametrize("direction, mode", [("up", "max"), ("down", "min")])
def test_auto_mode_takes_the_direction_of_the_metric(direction, mode):
    model = SimpleNamespace(metrics=[SimpleNamespace(name="score", _direction=direction)])
    mine = ours.EarlyStopping(monitor="val_score")
    mine.set_model(model)
    mine._set_monitor_op()
    real = keras.Sequential([keras.layers.Dense(1)])
    metric = keras.metrics.MeanMetricWrapper(keras.losses.mean_absolute_error, name="score")
    metric._direction = direction
    real.compile(loss="mse", metrics=[metric])
    real.fit(np.zeros((2, 1)), np.zeros((2, 1)), verbose=0)
    other = theirs.EarlyStopping(monitor="val_score")
    other.set_model(real)
    other._set_monitor_op()
    for callback in (mine, other):
        assert bool(callback._is_improvement(2.0, 1.0)) == (mode == "max")
        assert bool(callback._is_improvement(1.0, 2.0)) == (mode == "min")


def test_min_delta_reads_the_same_after_training():
    for mode in ("min", "max"):
        pair = [kind.EarlyStopping(mode=mode, min_delta=0.25) for kind in (ours, theirs)]
        for callback in pair:
            run(callback, [1.0, 0.5])
        assert pair[0].min_delta == pair[1].min_delta


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate * 0.5, lambda epoch: 0.1 / (epoch + 1)])
def test_learning_rate_scheduler(schedule):
    seen = [run(kind.LearningRateScheduler(schedule), [1.0] * 5) for kind in (ours, theirs)]
    assert seen[0] == seen[1]


def test_terminate_on_nan():
    stops = []
    for kind in (ours, theirs):
        stops.append([])
        for loss in (1.0, 0.0, -5.0, float("inf"), float("-inf"), float("nan"), None):
            model = FakeModel()
            callback = kind.TerminateOnNaN()
            callback.set_model(model)
            callback.on_train_batch_end(0, {} if loss is None else {"loss": loss})
            stops[-1].append(model.stop_training)
    assert stops[0] == stops[1] == [False, False, False, True, True, True, False]


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_files_are_equal_byte_for_byte(tmp_path, append, separator):
    epochs = [
        {"loss": 0.5, "accuracy": 1 / 3, "learning_rate": 0.001},
        {"loss": 0.25, "accuracy": float("nan"), "val_loss": 0.125, "learning_rate": 0.001},
        {"loss": np.array([1, 2]), "accuracy": "a,b"},
    ]
    written = []
    for kind in (ours, theirs):
        path = tmp_path / f"{kind.__name__}.csv"
        for _ in range(2):
            logger = kind.CSVLogger(path, separator=separator, append=append)
            logger.on_train_begin()
            for epoch, logs in enumerate(epochs):
                logger.on_epoch_end(epoch, logs)
            logger.on_train_end()
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert written[0].count(b"epoch") == 1


def test_history_in_a_list():
    epochs = [{"loss": 1.0, "b": {"z": 1, "a": np.float32(2)}, "acc": np.array(0.5)}, {"loss": 0.5, "acc": 1}]
    kept = []
    for kind in (ours, theirs):
        model = FakeModel()
        together = kind.CallbackList([kind.ReduceLROnPlateau("loss")], add_history=True, model=model, epochs=2)
        together.on_train_begin()
        for epoch, logs in enumerate(epochs):
            together.on_epoch_end(epoch, logs)
        together.on_train_end()
        kept.append((list(model.history.history.items()), model.history.epoch, model.history.params))
    assert kept[0] == kept[1]
    assert all(type(value) is float for _, column in kept[0][0] for value in column)


def test_callbacks_are_called_in_the_same_order():
    def recorder(kind, name, calls):
        def record(method):
            return lambda self, *args, **kwargs: calls.append((name, method))

        methods = {method: record(method) for method in dir(theirs.Callback) if method.startswith("on_")}
        # The older names are called by the newer ones, which are overridden here.
        methods = {name: method for name, method in methods.items() if name not in ("on_batch_begin", "on_batch_end")}
        return type("Recorder", (kind.Callback,), methods)()

    made = []
    for kind in (ours, theirs):
        calls = []
        three = [recorder(kind, name, calls) for name in "abc"]
        together = kind.CallbackList(three, model=FakeModel(), verbose=0, epochs=1, steps=1)
        together.on_train_begin()
        together.on_epoch_begin(0)
        together.on_train_batch_begin(0)
        together.on_train_batch_end(0, {"loss": 1.0})
        together.on_test_begin()
        together.on_test_batch_begin(0)
        together.on_test_batch_end(0, {"loss": 1.0})
        together.on_test_end({})
        together.on_epoch_end(0, {})
        together.on_train_end({})
        made.append(calls)
    assert made[0] == made[1]
    assert len(made[0]) == 30


def test_remote_monitor_sends_what_keras_sends(monkeypatch):
    module = sys.modules["keras.src.callbacks.remote_monitor"]
    posted = []
    fake = SimpleNamespace(
        post=lambda *args, **kwargs: posted.append((args, kwargs)), exceptions=SimpleNamespace(RequestException=OSError)
    )
    monkeypatch.setattr(module, "requests", fake)
    theirs.RemoteMonitor("http://a").on_epoch_end(3, {"loss": np.float32(0.5)})

    sent = []

    def urlopen(request, timeout):
        sent.append(request)
        return io.BytesIO()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    ours.RemoteMonitor("http://a").on_epoch_end(3, {"loss": np.float32(0.5)})
    (url, form), _ = posted[0]
    assert sent[0].full_url == url
    assert {name: part[0] for name, part in parse_qs(sent[0].data.decode()).items()} == form
    assert json.loads(form["data"]) == {"epoch": 3, "loss": 0.5}


@pytest.mark.parametrize("epochs, steps", [(1, 3), (12, 100)])
def test_verbose_2_prints_what_keras_prints(capsys, monkeypatch, epochs, steps):
    printed = []
    # No time passes, so that both print the same times.
    monkeypatch.setattr("uncrumple.callbacks.progress.perf_counter", lambda: 1.0)
    monkeypatch.setattr("time.time", lambda: 1.0)
    for kind in (ours, theirs):
        together = kind.CallbackList(None, add_progbar=True, model=FakeModel(), verbose=2, epochs=epochs, steps=steps)
        together.on_train_begin()
        for epoch in range(2):
            together.on_epoch_begin(epoch)
            for batch in range(steps):
                together.on_train_batch_end(batch, {"loss": 2.0})
            together.on_epoch_end(epoch, {"loss": 1.88542, "mae": 1e-3, "val_loss": 0.00012345, "zero": 0.0})
        together.on_train_end()
        together = kind.CallbackList(None, add_progbar=True, model=FakeModel(), verbose=2, epochs=1, steps=steps)
        for _ in range(2):
            together.on_test_begin()
            together.on_test_end({"loss": 0.5})
        together.on_predict_begin()
        together.on_predict_end()
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "loss: 1.8854 - mae: 1.0000e-03 - val_loss: 1.2345e-04" in printed[0]


@pytest.mark.parametrize("stateful, stateless", [(None, None), (["a"], None), (None, ["a"]), ([], None), (None, [])])
def test_progbar_averages_as_keras_does(capsys, stateful, stateless):
    lines = []
    for cls in (ours.Progbar, keras.utils.Progbar):
        bar = cls(6, verbose=2, stateful_metrics=stateful, stateless_metrics=stateless)
        bar.update(1, [("a", 1.0), ("b", 10.0)])
        bar.add(2, [("a", 4.0), ("b", 20.0)])
        bar.update(4, [("a", 8.0)])
        bar.update(6, [("b", 5.0)])
        lines.append(capsys.readouterr().out.split(" - ")[3:])
    assert lines[0] == lines[1]
    assert len(lines[0]) == 2
