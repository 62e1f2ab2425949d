"""Epochs of small dense networks by few native calls: bit for bit what steps one by one give."""

import math

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple.kernels import native
from uncrumple.optimizers.adam import one_minus_power, ones_minus_powers
from uncrumple.training import loop, native_epochs
from uncrumple.training.native_epochs import Corrections, PlannedEpochs

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels are not built here")


def _data(samples=70, features=5, kind=np.int64):
    random = np.random.default_rng(0)
    return random.normal(size=(samples, features)).astype(np.float32), random.integers(0, 3, samples).astype(kind)


def _model(optimizer="adam", dropouts=(), metrics=("accuracy",), last="softmax"):
    layers = [keras.Input((5,)), keras.layers.Dense(8, "relu")]
    layers += [keras.layers.Dropout(0.4, seed=seed) for seed in dropouts[:1]]
    layers += [keras.layers.Dense(7, "tanh")]
    layers += [keras.layers.Dropout(0.2, seed=seed) for seed in dropouts[1:]]
    model = keras.Sequential([*layers, keras.layers.Dense(3, last)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=last is None)
    model.compile(keras.optimizers.get(optimizer), loss, metrics=list(metrics))
    return model


class _Batches(keras.callbacks.Callback):
    """Wants to be called at batches, so that steps are done one by one."""

    def on_train_batch_end(self, batch, logs=None):
        pass


def _trained(one_by_one, monkeypatch, make=_model, data=None, **fit):
    ran = []
    run = PlannedEpochs.run
    monkeypatch.setattr(PlannedEpochs, "run", lambda self: ran.append(run(self)) or ran[-1])
    keras.utils.set_random_seed(3)
    model = make()
    x, y = _data() if data is None else data
    callbacks = [*fit.pop("callbacks", list)(), *([_Batches()] if one_by_one else [])]
    history = model.fit(x, y, verbose=0, callbacks=callbacks, **{"epochs": 4, "batch_size": 16, **fit})
    monkeypatch.undo()
    return model, history.history, torch.get_rng_state(), ran


def _assert_same(monkeypatch, native_steps=20, **options):
    model, history, state, ran = _trained(False, monkeypatch, **options)
    twin, expected, expected_state, none = _trained(True, monkeypatch, **options)
    assert sum(ran) == native_steps and none == []
    assert history == expected
    assert torch.equal(state, expected_state)
    assert model.optimizer.iterations == twin.optimizer.iterations
    for one, other in zip(model.weights, twin.weights):
        assert torch.equal(one, other)
    for one, other in zip(model.trainable_variables, twin.trainable_variables):
        assert torch.equal(one.grad, other.grad)
    for one, other in zip(model.optimizer.variables, twin.optimizer.variables):
        assert np.array_equal(one.numpy(), other.numpy())


CASES = {
    "plain": {},
    "no shuffling": {"shuffle": False},
    "whole batches": {"data": _data(64), "native_steps": 16},
    "one small batch": {"batch_size": 100, "native_steps": 4},
    "no metric": {"make": lambda: _model(metrics=())},
    "logits": {"make": lambda: _model(last=None)},
    "dropouts with torch's generator": {"make": lambda: _model(dropouts=(None, None))},
    "dropouts with their own": {"make": lambda: _model(dropouts=(1, 2))},
    "dropouts of both kinds": {"make": lambda: _model(dropouts=(1, None))},
    "weight decay": {"make": lambda: _model(keras.optimizers.AdamW(0.01, weight_decay=0.1))},
    "a schedule": {"make": lambda: _model(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 15)))},
    "int32 labels in a column": {"data": (_data()[0], _data(kind=np.int32)[1][:, None])},
    "validation": {"validation_split": 0.3, "native_steps": 16},
    "a rate by the epoch": {
        "callbacks": lambda: [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))]
    },
    "early stopping": {
        "callbacks": lambda: [keras.callbacks.EarlyStopping("loss", patience=0, min_delta=9.0)],
        "native_steps": 10,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_as_steps_one_by_one(name, monkeypatch):
    _assert_same(monkeypatch, **CASES[name])


def test_calls_of_few_steps(monkeypatch):
    monkeypatch.setattr(native_epochs, "_SECONDS_PER_CALL", 0.0)
    calls = []
    call = PlannedEpochs._call
    monkeypatch.setattr(PlannedEpochs, "_call", lambda self: calls.append(1) or call(self))
    keras.utils.set_random_seed(3)
    model = _model()
    model.fit(*_data(), epochs=2, batch_size=16, verbose=0)
    monkeypatch.undo()
    twin, *_ = _trained(True, monkeypatch, epochs=2)
    assert len(calls) == 6  # the first call does the whole first epoch, as nobody knew how long it takes
    for one, other in zip(model.weights, twin.weights):
        assert torch.equal(one, other)


def test_training_that_is_to_stop_stops_between_calls(monkeypatch):
    monkeypatch.setattr(native_epochs, "_SECONDS_PER_CALL", 0.0)
    model = _model()
    x, y = _data()
    model.fit(x, y, batch_size=1, verbose=0)
    call = PlannedEpochs._call

    def stopping(self):
        call(self)
        self.plan.model.stop_training = True

    monkeypatch.setattr(PlannedEpochs, "_call", stopping)
    before = int(model.optimizer.iterations)
    model.fit(x, y, batch_size=1, verbose=0, epochs=3)
    assert int(model.optimizer.iterations) - before == 70  # the first call of a fit: up to 100 steps


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.layers[0].register_forward_hook(lambda *_: None),
        lambda model: setattr(model.layers[0], "trainable", False),
        lambda model: setattr(model, "stop_training", False) or setattr(model, "train_step", model.train_step),
    ],
    ids=["a hook", "a frozen layer", "a step of one's own"],
)
def test_what_is_not_known_goes_step_by_step(change, monkeypatch):
    ran = []
    monkeypatch.setattr(PlannedEpochs, "run", lambda self: ran.append(1))
    model = _model()
    change(model)
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(*_data(), epochs=2, verbose=0)
    assert not ran and len(history.history["loss"]) == 2


def test_data_that_is_not_in_memory_and_weights_go_step_by_step(monkeypatch):
    ran = []
    monkeypatch.setattr(PlannedEpochs, "run", lambda self: ran.append(1))
    x, y = _data()
    model = _model()
    model.fit(((x, y) for _ in range(2)), verbose=0, steps_per_epoch=2)
    model.fit(x, y, sample_weight=np.ones(70), verbose=0)
    model.fit(x, y, steps_per_epoch=2, verbose=0)
    model.fit(x.astype(np.float64).round().astype(np.int64), y, verbose=0)
    assert not ran


def test_a_label_out_of_range_is_named():
    model = _model()
    x, y = _data()
    model.fit(x, y, verbose=0)
    plan = model._plan
    epochs = plan.epochs
    epochs._labels[3] = 9
    with pytest.raises(ValueError, match="A label in y is not the number of a class"):
        epochs.run()


def test_large_networks_go_step_by_step(monkeypatch):
    model = _model()
    monkeypatch.setattr(native_epochs, "_SMALL", 10)
    model.fit(*_data(), verbose=0)
    assert model._plan is not None and model._plan.epochs is None


@pytest.mark.parametrize("first", [0, 5, 99_990])
def test_corrections_from_any_update_on(first):
    from uncrumple.optimizers.adam import one_minus_power

    values = Corrections(0.9, 0.999, first=first).up_to(20)
    for update in (1, 2, 20):
        assert values[update, 1] == one_minus_power(0.9, first + update, torch.float32)
        assert values[update, 0] ** 2 == pytest.approx(one_minus_power(0.999, first + update, torch.float32))


def test_late_updates(monkeypatch):
    monkeypatch.setattr(native_epochs, "_MANY_UPDATES", 12)
    _assert_same(monkeypatch)


def test_the_loop_calls_it():
    assert loop.planned_epochs is native_epochs.planned_epochs


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 0.99999999])
def test_corrections_of_many_updates_are_those_of_each(beta):
    """For 0.99999999, which is 1 in float32, they are computed in double precision."""
    updates = range(1, 3000)
    each = [one_minus_power(beta, update, torch.float32) for update in updates]
    assert ones_minus_powers(beta, updates).tolist() == each
    known = Corrections(0.9, beta)
    known.up_to(3)
    values = known.up_to(2999)
    assert values[1:3000, 0].tolist() == [math.sqrt(one) for one in each]
    assert values[7, 1] == one_minus_power(0.9, 7, torch.float32)
    later = Corrections(0.9, beta, 1000).up_to(5)
    assert later[5].tolist() == values[1005].tolist()
