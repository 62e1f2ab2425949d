"""Planned steps against ordinary ones: the same numbers, and the ordinary way wherever something is not known."""

import copy

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers
from uncrumple.kernels import native
from uncrumple.training import loop, plan

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

generator = np.random.default_rng(0)
X = generator.normal(size=(75, 8)).astype("float32")
LABELS = generator.integers(0, 4, 75)
ONE_HOT = np.eye(4, dtype="float32")[LABELS]
YES_NO = (LABELS > 1).astype("float32")
REAL = generator.normal(size=(75, 4)).astype("float32")

SPARSE = lambda **settings: uc.losses.SparseCategoricalCrossentropy(from_logits=True, **settings)  # noqa: E731


@pytest.fixture
def steps(monkeypatch):
    """Count planned steps: [asked, done]."""
    count = [0, 0]
    ordinary = plan.Plan.step

    def step(self, *args):
        count[0] += 1
        done = ordinary(self, *args)
        count[1] += done
        return done

    monkeypatch.setattr(plan.Plan, "step", step)
    monkeypatch.setattr(loop, "planned_epochs", lambda model, batches: None)  # these are counted elsewhere
    return count


def network(*middle, units=4, activation=None):
    middle = middle or (layers.Dense(19, "relu"), layers.Dense(6, "tanh"))
    return uc.Sequential([uc.Input((8,)), *middle, layers.Dense(units, activation)])


def trained(model, y, planned, monkeypatch, fit=None, **compiled):
    with monkeypatch.context() as patch:
        if not planned:
            patch.setattr(loop, "make_plan", lambda model: None)
        model.compile(**compiled)
        uc.utils.set_random_seed(5)
        history = model.fit(X, y, batch_size=16, verbose=0, **{"epochs": 3, **(fit or {})})
    return model.get_weights(), history.history


def assert_same_training(make, y, monkeypatch, fit=None, **compiled):
    found = []
    for planned in (True, False):
        uc.utils.set_random_seed(3)
        settings = {name: value() if callable(value) else value for name, value in compiled.items()}
        found.append(trained(make(), y, planned, monkeypatch, fit, **settings))
    (weights, history), (plain_weights, plain_history) = found
    assert list(history) == list(plain_history)
    for name, values in history.items():
        np.testing.assert_allclose(values, plain_history[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for one, other in zip(weights, plain_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("probabilities", [False, True])
def test_same_as_ordinary_steps(activation, rate, probabilities, monkeypatch, steps):
    def make():
        end = "softmax" if probabilities else None
        middle = [layers.Dense(21, activation), layers.Dropout(rate), layers.Dense(6, activation)]
        return network(*middle, activation=end)

    assert_same_training(
        make,
        LABELS,
        monkeypatch,
        optimizer="adam",
        loss=lambda: uc.losses.SparseCategoricalCrossentropy(from_logits=not probabilities),
        metrics=["accuracy"],
    )
    assert steps == [15, 15]


@pytest.mark.parametrize("activation", ["softmax", None])
def test_metrics_see_the_prediction(activation, monkeypatch, steps):
    assert_same_training(
        lambda: network(activation=activation),
        LABELS,
        monkeypatch,
        optimizer="adam",
        loss=lambda: uc.losses.SparseCategoricalCrossentropy(from_logits=activation is None),
        metrics=lambda: [
            "accuracy",
            uc.metrics.SparseCategoricalCrossentropy(from_logits=activation is None, name="again"),
        ],
    )
    assert steps == [15, 15]


LOSSES = {
    "mse": ("mse", REAL, None, 4),
    "mae": ("mae", REAL, None, 4),
    "binary": ("binary_crossentropy", YES_NO, "sigmoid", 1),
    "categorical": ("categorical_crossentropy", ONE_HOT, "softmax", 4),
    "hinge": ("hinge", REAL, "tanh", 4),
    "ignored class": (lambda: SPARSE(ignore_class=2), LABELS, None, 4),
    "sum": (lambda: SPARSE(reduction="sum"), LABELS, None, 4),
    "column": (SPARSE, LABELS[:, None], None, 4),
    "small labels": (SPARSE, LABELS.astype("int32"), None, 4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name, monkeypatch, steps):
    loss, y, activation, units = LOSSES[name]
    make = lambda: network(units=units, activation=activation)  # noqa: E731
    rate = 1e-3 if name == "sum" else 1e-2
    metrics = ["mae"] if y.dtype == np.float32 else ["accuracy"]
    assert_same_training(make, y, monkeypatch, optimizer=lambda: uc.optimizers.Adam(rate), loss=loss, metrics=metrics)
    assert steps[1] == 15


OPTIMIZERS = {
    "sgd": lambda: uc.optimizers.SGD(0.1, momentum=0.9),
    "rmsprop": lambda: uc.optimizers.RMSprop(),
    "adamw": lambda: uc.optimizers.AdamW(0.01, weight_decay=0.1),
    "amsgrad": lambda: uc.optimizers.Adam(amsgrad=True),
    "schedule": lambda: uc.optimizers.Adam(uc.optimizers.schedules.ExponentialDecay(0.01, 4, 0.5)),
    "clipped": lambda: uc.optimizers.Adam(global_clipnorm=0.1),
    "averaged": lambda: uc.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=4),
    "accumulated": lambda: uc.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "excluded": lambda: _excluding(),
}


def _excluding():
    optimizer = uc.optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name, monkeypatch, steps):
    assert_same_training(network, LABELS, monkeypatch, optimizer=OPTIMIZERS[name], loss=SPARSE, metrics=["accuracy"])
    assert steps[1] == 15


def test_weights_of_samples_and_classes(monkeypatch):
    weight = np.linspace(0, 2, len(X)).astype("float32")
    for fit in ({"sample_weight": weight}, {"class_weight": {0: 3.0, 2: 0.5}}, {"validation_split": 0.3}):
        assert_same_training(
            network, LABELS, monkeypatch, fit, optimizer="adam", loss=SPARSE, weighted_metrics=["accuracy"]
        )


def test_frozen_layers(monkeypatch, steps):
    def first_frozen():
        model = network()
        model.layers[0].trainable = False
        return model

    def last_frozen():
        model = network()
        model.layers[-1].trainable = False
        return model

    for make in (first_frozen, last_frozen):
        assert_same_training(make, LABELS, monkeypatch, optimizer="adam", loss=SPARSE, metrics=["accuracy"])
        model = make()
        before = model.get_weights()
        weights, _ = trained(model, LABELS, True, monkeypatch, optimizer="adam", loss=SPARSE())
        unchanged = [np.array_equal(one, other) for one, other in zip(before, weights)]
        assert unchanged == [not weight.requires_grad for weight in model.weights]


def test_layers_written_apart(monkeypatch, steps):
    make = lambda: network(  # noqa: E731
        layers.Flatten(), layers.Dense(9, use_bias=False), layers.Activation("relu"), layers.Dense(7), layers.ReLU()
    )
    assert_same_training(make, LABELS, monkeypatch, optimizer="adam", loss=SPARSE, metrics=["accuracy"])
    assert steps[1] == 15


HALF = {
    "all": lambda: network(
        layers.Dense(21, "relu"), layers.Dropout(0.2), layers.Dense(17, "tanh"), layers.Dropout(0.1)
    ),
    "not the last": lambda: uc.Sequential(
        [uc.Input((8,)), layers.Dense(21, "relu"), layers.Dropout(0.2), layers.Dense(4, "softmax", dtype="float32")]
    ),
    "not the first": lambda: network(layers.Dense(21, "sigmoid", dtype="float32"), layers.Dense(9, use_bias=False)),
    "flattened": lambda: network(layers.Flatten(), layers.Dense(33), layers.ReLU()),
}


@pytest.mark.usefixtures("instruction_set")
@pytest.mark.parametrize("name", HALF)
def test_mixed_precision(name, monkeypatch, steps):
    """The same to bfloat16's accuracy: rounded where the layers round, but for gradients, which are more exact."""
    found = []
    for planned in (True, False):
        uc.utils.set_random_seed(3)
        before = uc.config.dtype_policy()
        uc.config.set_dtype_policy("mixed_bfloat16")
        try:
            model = HALF[name]()
        finally:
            uc.config.set_dtype_policy(before)
        loss = uc.losses.SparseCategoricalCrossentropy(from_logits=name != "not the last")
        found.append(trained(model, LABELS, planned, monkeypatch, optimizer="adam", loss=loss, metrics=["accuracy"]))
    assert steps == [15, 15]
    (weights, history), (plain_weights, plain_history) = found
    np.testing.assert_allclose(history["loss"], plain_history["loss"], rtol=5e-3)
    for one, other in zip(weights, plain_weights, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-3)
        assert np.abs(one - other).mean() < 5e-4


UNKNOWN = {
    "penalty": lambda: network(layers.Dense(5, kernel_regularizer="l2")),
    "normalisation": lambda: network(layers.Dense(5), layers.BatchNormalization()),
    "other activation": lambda: network(layers.Dense(5, "gelu")),
    "own activation": lambda: network(layers.Dense(5, lambda x: x * 2)),
    "own layer": lambda: network(Doubled()),
    "noise shape": lambda: network(layers.Dense(5), layers.Dropout(0.1, noise_shape=(None, 1))),
    "float16": lambda: network(layers.Dense(5, dtype="mixed_float16")),
    "pure bfloat16": lambda: network(layers.Dense(5, dtype="bfloat16")),
    "rounded before": lambda: network(layers.Flatten(dtype="mixed_bfloat16"), layers.Dense(5)),
    "rounded between": lambda: network(layers.Dense(5), layers.Dropout(0.1, dtype="mixed_bfloat16")),
    "activity": lambda: network(layers.Dense(5, activity_regularizer="l2")),
    "softmax inside": lambda: network(layers.Dense(5, "softmax")),
}


class Doubled(layers.Layer):
    def call(self, inputs):
        return inputs * 2


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_goes_the_ordinary_way(name, monkeypatch, steps):
    assert_same_training(UNKNOWN[name], LABELS, monkeypatch, optimizer="adam", loss=SPARSE, metrics=["accuracy"])
    assert steps == [0, 0]


def test_an_own_loss_goes_the_ordinary_way(steps):
    model = network()
    model.compile("adam", lambda y_true, y_pred: (y_true - y_pred).abs().pow(3).mean(-1))
    model.fit(X, REAL, verbose=0)
    assert steps == [0, 0]


def test_an_own_training_step_is_taken(steps):
    seen = []

    class Own(uc.Model):
        def train_step(self, data):
            seen.append(1)
            return super().train_step(data)

    inputs = uc.Input((8,))
    model = Own(inputs, layers.Dense(4)(inputs))
    model.compile("adam", SPARSE())
    model.fit(X, LABELS, batch_size=25, verbose=0)
    assert len(seen) == 3 and steps == [0, 0]


def test_hooks_that_come_during_training_are_called(steps):
    """From the step after the one in which a callback hangs them in; and planned again when they have gone."""
    model = network()
    model.compile("adam", SPARSE())
    calls = []

    class Hang(uc.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.hook = model.layers[1].register_forward_hook(lambda *args: calls.append(1))
            if batch == 3:
                self.hook.remove()

    model.fit(X, LABELS, batch_size=15, verbose=0, callbacks=[Hang()])
    assert len(calls) == 2 and steps == [5, 3]


def test_hooks_on_weights_and_on_all_modules(steps):
    model = network()
    model.compile("adam", SPARSE())
    calls = []
    hook = model.weights[0].register_post_accumulate_grad_hook(lambda weight: calls.append(1))
    model.fit(X, LABELS, batch_size=25, verbose=0)
    hook.remove()
    assert len(calls) == 3
    hook = torch.nn.modules.module.register_module_forward_hook(lambda *args: calls.append(1))
    model.fit(X, LABELS, batch_size=25, verbose=0)
    hook.remove()
    assert len(calls) > 3 and steps[1] == 0


def test_weights_changed_during_training(monkeypatch):
    """In place, by new memory, and by a layer that is frozen: the same as in ordinary steps."""

    class Change(uc.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            first = self.model.layers[0]
            if batch == 0:
                first.set_weights([weight * 0.5 for weight in first.get_weights()])
            if batch == 1:
                first.kernel.data = first.kernel.data + 0.1
            if batch == 2:
                self.model.layers[1].trainable = False

        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.002

    fit = {"callbacks": [Change()]}
    assert_same_training(network, LABELS, monkeypatch, fit, optimizer="adam", loss=SPARSE, metrics=["accuracy"])


def test_gradients_are_left_in_the_weights(monkeypatch):
    found = []
    for planned in (True, False):
        uc.utils.set_random_seed(3)
        model = network()
        trained(model, LABELS, planned, monkeypatch, optimizer="sgd", loss=SPARSE())
        found.append([weight.grad.clone() for weight in model.weights])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_label_out_of_range_is_said(steps):
    """The first batch is looked at before training; a generator may hand out anything later."""

    def batches():
        yield X[:16], LABELS[:16]
        yield X[:16], LABELS[:16] + 2

    model = network()
    model.compile("adam", SPARSE())
    with pytest.raises(ValueError) as raised:
        model.fit(batches(), verbose=0)
    assert str(raised.value) == (
        "A label in y is not the number of a class.\n"
        "Expected whole numbers from 0 to 3: the last layer has 4 units.\n"
        "Fix: print(y.min(), y.max())"
    )


def test_copies_and_files_in_the_middle_of_training(tmp_path):
    model = network()
    model.compile("adam", SPARSE())

    class Copy(uc.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert copy.deepcopy(self.model)._plan is None
            self.model.save(tmp_path / "model.keras")

    model.fit(X, LABELS, batch_size=25, verbose=0, callbacks=[Copy()])
    other = uc.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    other.fit(X, LABELS, batch_size=25, verbose=0)


def test_not_a_number_shows_in_the_loss():
    model = network()
    model.compile("adam", SPARSE(), metrics=["accuracy"])

    class Spoil(uc.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            with torch.no_grad():
                self.model.weights[0][0, 0] = float("nan")

    history = model.fit(X, LABELS, epochs=2, verbose=0, callbacks=[Spoil(), uc.callbacks.TerminateOnNaN()])
    assert np.isnan(history.history["loss"][-1])


def test_fewer_python_calls_than_an_ordinary_step():
    """What makes it fast, counted: the Python functions that are entered per step."""
    import cProfile
    import pstats

    model = network()
    model.compile("adam", SPARSE(), metrics=["accuracy"])
    model.fit(X, LABELS, batch_size=5, verbose=0)
    counts = []
    for epochs in (1, 5):
        profile = cProfile.Profile()
        profile.runcall(model.fit, X, LABELS, batch_size=5, epochs=epochs, verbose=0)
        counts.append(pstats.Stats(profile).total_calls)
    per_step = (counts[1] - counts[0]) / 4 / 15
    assert per_step < 160
