"""What every callback must do, and that training with it goes as in Keras. A new callback joins with one line in `CASES`."""

from __future__ import annotations

import copy
import csv
import dataclasses
import inspect
import os
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import uncrumple
from uncrumple import callbacks
from uncrumple.callbacks import LazyLogs
from uncrumple.core import registry

random = np.random.default_rng(5)
X = random.normal(size=(24, 4)).astype("float32")
Y = (X @ random.normal(size=(4, 1)) + 0.5 * random.normal(size=(24, 1))).astype("float32")
FIT = {"batch_size": 8, "epochs": 5, "shuffle": False, "verbose": 0, "validation_data": (X[::-1].copy(), Y)}
MOMENTS = [name for name in dir(callbacks.Callback) if name.startswith("on_")]


@dataclasses.dataclass
class Case:
    """One callback.

    Attributes:
        name: Its class.
        make: Makes it, from the library and a folder for files.
        note: Tells several cases of one class apart.
        optimizer: Makes the optimizer to train with.
        reads_batches: Whether it looks at the logs of every batch, and so waits for the device.
        keras: Whether Keras can do the same on torch.
    """

    name: str
    make: Callable[[Any, str], Any]
    note: str = ""
    optimizer: Callable[[Any], Any] = lambda k: k.optimizers.SGD(0.3)
    reads_batches: bool = False
    keras: bool = True

    @property
    def id(self) -> str:
        return "-".join(part for part in (self.name, self.note) if part)


def averaging(k: Any) -> Any:
    return k.optimizers.SGD(0.3, use_ema=True, ema_momentum=0.5)


def diverging(k: Any) -> Any:
    return k.optimizers.SGD(1e20)


def schedule(epoch: int, rate: float) -> float:
    return rate * 0.5 if epoch else rate


def nothing(*_: Any) -> None:
    """A function for `LambdaCallback` that can be copied."""


CASES = [
    Case("BackupAndRestore", lambda k, folder: k.callbacks.BackupAndRestore(f"{folder}/backup")),
    Case("BackupAndRestore", lambda k, folder: k.callbacks.BackupAndRestore(f"{folder}/b", save_freq=2), "batches"),
    Case("CSVLogger", lambda k, folder: k.callbacks.CSVLogger(f"{folder}/log.csv", append=True)),
    Case("Callback", lambda k, folder: k.callbacks.Callback()),
    Case("EarlyStopping", lambda k, folder: k.callbacks.EarlyStopping(patience=1)),
    Case(
        "EarlyStopping",
        lambda k, folder: k.callbacks.EarlyStopping("val_mae", mode="max", patience=1, restore_best_weights=True),
        "restores",
    ),
    Case("EarlyStopping", lambda k, folder: k.callbacks.EarlyStopping("loss", baseline=0.0, patience=2), "baseline"),
    Case("History", lambda k, folder: k.callbacks.History()),
    Case("LambdaCallback", lambda k, folder: k.callbacks.LambdaCallback(on_epoch_end=nothing)),
    Case("LearningRateScheduler", lambda k, folder: k.callbacks.LearningRateScheduler(schedule)),
    Case("ModelCheckpoint", lambda k, folder: k.callbacks.ModelCheckpoint(folder + "/{epoch}-{val_mae:.3f}.keras")),
    Case(
        "ModelCheckpoint",
        lambda k, folder: k.callbacks.ModelCheckpoint(
            folder + "/{epoch}.weights.h5", save_best_only=True, save_weights_only=True
        ),
        "best",
    ),
    Case(
        "ModelCheckpoint",
        lambda k, folder: k.callbacks.ModelCheckpoint(folder + "/{epoch}-{batch}.keras", save_freq=2),
        "batches",
        reads_batches=True,
    ),
    Case("ProgbarLogger", lambda k, folder: k.callbacks.ProgbarLogger(), reads_batches=True),
    Case("ReduceLROnPlateau", lambda k, folder: k.callbacks.ReduceLROnPlateau("val_mae", patience=1, min_delta=0.2)),
    Case("RemoteMonitor", lambda k, folder: k.callbacks.RemoteMonitor("http://localhost:9"), keras=False),
    Case("SwapEMAWeights", lambda k, folder: k.callbacks.SwapEMAWeights(), optimizer=averaging),
    Case("SwapEMAWeights", lambda k, folder: k.callbacks.SwapEMAWeights(True), "epoch", optimizer=averaging),
    Case("TensorBoard", lambda k, folder: k.callbacks.TensorBoard(f"{folder}/logs"), keras=False),
    Case("TerminateOnNaN", lambda k, folder: k.callbacks.TerminateOnNaN(), reads_batches=True),
    Case(
        "TerminateOnNaN",
        lambda k, folder: k.callbacks.TerminateOnNaN(),
        "NaN",
        optimizer=diverging,
        reads_batches=True,
    ),
]
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
shared = pytest.mark.parametrize("case", [one for one in CASES if one.keras], ids=lambda case: case.id)


def test_every_callback_has_a_case():
    assert {case.name for case in CASES} == registry.builtins("callbacks").keys() - {"CallbackList"}


def model_of(k: Any, case: Case) -> Any:
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="tanh"), k.layers.Dense(1)])
    model.compile(case.optimizer(k), "mse", metrics=["mae"])
    return model


def trained(k: Any, case: Case, folder: str, weights: Any, **fit: Any) -> tuple[Any, Any, Any]:
    """Train twice with one callback; return what can be seen afterwards, the model and the callback."""
    os.makedirs(folder)
    model, callback = model_of(k, case), case.make(k, folder)
    model.set_weights(weights)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            history = model.fit(X, Y, callbacks=[callback], **{**FIT, **fit})
            seen.append([history.history, history.epoch, float(model.optimizer.learning_rate), model.get_weights()])
    files = sorted(name for name in os.listdir(folder) if os.path.isfile(f"{folder}/{name}"))
    return [*seen, files], model, callback


def same(theirs: Any, ours: Any) -> None:
    if isinstance(theirs, dict):
        assert list(theirs) == list(ours)
        theirs, ours = list(theirs.values()), list(ours.values())
    if isinstance(theirs, (list, tuple)):
        assert len(theirs) == len(ours)
        for one, other in zip(theirs, ours):
            same(one, other)
    elif isinstance(theirs, str):
        assert theirs == ours
    else:
        np.testing.assert_allclose(ours, theirs, rtol=5e-4, atol=1e-5)


@shared
def test_training_goes_as_in_keras(case, tmp_path, capsys):
    weights = model_of(keras, case).get_weights()
    theirs, _, other = trained(keras, case, f"{tmp_path}/theirs", weights)
    capsys.readouterr()
    ours, _, mine = trained(uncrumple, case, f"{tmp_path}/ours", weights)
    same(theirs, ours)
    for name in ("best", "wait", "stopped_epoch", "best_epoch", "cooldown_counter"):
        assert hasattr(other, name) == hasattr(mine, name), name
        if getattr(other, name, None) is not None:
            np.testing.assert_allclose(getattr(mine, name), getattr(other, name), rtol=5e-4)
    if case.name == "CSVLogger":
        texts = [pathlib.Path(f"{tmp_path}/{who}/log.csv").read_text().splitlines() for who in ("theirs", "ours")]
        tables = [list(csv.reader(text)) for text in texts]
        assert tables[0][0] == tables[1][0]
        for one, two in zip(*[table[1:] for table in tables], strict=True):
            np.testing.assert_allclose([float(part) for part in one], [float(part) for part in two], rtol=5e-4)
    if case.name not in ("ProgbarLogger", "TerminateOnNaN"):
        assert capsys.readouterr().out == ""


@every
def test_the_arguments_are_those_of_keras(case):
    theirs, ours = getattr(keras.callbacks, case.name), getattr(callbacks, case.name)

    def arguments(method: Any) -> Any:
        return [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]

    assert arguments(ours.__init__) == arguments(theirs.__init__)
    for moment in MOMENTS:
        wanted = [argument for argument, _, _ in arguments(getattr(keras.callbacks.Callback, moment))]
        assert [argument for argument, _, _ in arguments(getattr(ours, moment))] == wanted


@every
def test_evaluating_and_predicting_change_nothing(case, tmp_path, capsys):
    callback, model = case.make(uncrumple, str(tmp_path)), model_of(uncrumple, case)
    model.fit(X, Y, epochs=1, verbose=0)
    before = model.get_weights()
    model.evaluate(X, Y, callbacks=[callback], verbose=0)
    model.predict(X, callbacks=[callback], verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not model.stop_training


@every
def test_logs_of_batches_are_left_unread(case, tmp_path, capsys):
    """Reading them makes a program wait for its device."""
    read = []

    class Watched(uncrumple.Sequential):
        def train_step(self, data):
            logs = super().train_step(data)
            return LazyLogs(lambda: read.append(1) or dict(logs))

    model = Watched([uncrumple.Input((4,)), uncrumple.layers.Dense(1)])
    model.compile(case.optimizer(uncrumple), "mse", metrics=["mae"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y, callbacks=[case.make(uncrumple, str(tmp_path))], **{**FIT, "epochs": 2, "batch_size": 2})
    epochs, steps = 2, 12
    assert len(read) <= (epochs if not case.reads_batches else epochs * steps)


@every
def test_copies_before_use_are_apart(case, tmp_path, capsys):
    first = case.make(uncrumple, str(tmp_path))
    again = copy.deepcopy(first)
    model = model_of(uncrumple, case)
    weights = model.get_weights()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = model.fit(X, Y, callbacks=[first], **FIT).history
        model = model_of(uncrumple, case)
        model.set_weights(weights)
        other = model.fit(X, Y, callbacks=[again], **FIT).history
    same(one, other)


def test_the_callback_of_jax_is_refused_in_words():
    with pytest.raises(NotImplementedError) as caught:
        callbacks.OrbaxCheckpoint(directory="runs")
    assert str(caught.value).splitlines() == [
        "OrbaxCheckpoint writes files of JAX, with the library orbax-checkpoint.",
        "Expected a callback that saves models of PyTorch.",
        "Fix: BackupAndRestore('runs') to go on after an interruption, "
        "or ModelCheckpoint('runs/{epoch}.keras') to keep the model of each epoch",
    ]
