"""Steps that are recorded and played again: the numbers of the ordinary steps, and never anything but them.

`recorder.py` plays the part of CUDA's graphs here; test_gpu.py has what a GPU can show.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from recorder import TapeRecorder

import uncrumple as keras
from uncrumple import layers
from uncrumple.kernels import native
from uncrumple.training import recorded_steps

random = np.random.default_rng(0)
X = random.normal(size=(72, 8)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")
TOKENS = random.integers(1, 9, (72, 6))
IMAGES = random.random((72, 8, 8, 3)).astype("float32")


@pytest.fixture
def recorder(monkeypatch):
    """Record on the CPU, where the native kernels would go past what is recorded."""
    made = TapeRecorder()
    monkeypatch.setattr(recorded_steps, "recorder_for", lambda device: made)
    monkeypatch.setattr(native, "_library", lambda: None)
    return made


def network(*parts, outputs=2):
    return keras.Sequential([*parts, layers.Dense(outputs)])


def dense():
    first = layers.Dense(16, activation="relu", kernel_regularizer="l2")
    return network(keras.Input((8,)), first, layers.BatchNormalization(), layers.Dropout(0.3)), X


def seeded():
    return network(keras.Input((8,)), layers.Dense(8), layers.Dropout(0.5, seed=3), layers.GaussianNoise(0.1)), X


def convolutional():
    parts = (
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.SpatialDropout2D(0.2),
        layers.Flatten(),
    )
    return network(keras.Input((8, 8, 3)), *parts), IMAGES


def recurrent():
    # No LSTM: what torch's own leaves for the way back on the CPU cannot be copied, as playing again does here.
    parts = layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.SimpleRNN(3)
    return network(keras.Input((6,)), layers.Embedding(9, 4), *parts), TOKENS


def attentive():
    words = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8)(words)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(words, layers.Dense(2)(layers.GlobalAveragePooling1D()(x))), TOKENS


NETWORKS = [dense, seeded, convolutional, recurrent, attentive]


def trained(make, *, eager=False, optimizer="adam", epochs=2, callbacks=(), prepare=None, **settings):
    """Return a trained model and its losses; `eager` trains it step by step."""
    keras.utils.set_random_seed(1)
    model, x = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.get(optimizer) if isinstance(optimizer, str) else optimizer()
    model.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=eager)
    if prepare is not None:
        prepare(model)
    given = [one(model) if isinstance(one, type) else one for one in callbacks]
    history = model.fit(x, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=given, **settings)
    return model, history.history


def assert_same(make, recorder, played=True, **settings):
    model, found = trained(make, **settings)
    assert bool(recorder.played) is played
    ordinary, wanted = trained(make, eager=True, **settings)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)
    for one, other in zip(model.get_weights(), ordinary.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    return model


# --- the same numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_recorded_steps_train_like_ordinary_ones(make, policy, recorder):
    keras.config.set_dtype_policy(policy)
    try:
        assert_same(make, recorder)
    finally:
        keras.config.set_dtype_policy("float32")
    # 2 epochs of 9 steps: 2 to warm up, the rest played.
    assert (recorder.recorded, recorder.played) == (1, 16)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), momentum=0.9),
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.5),
        lambda: keras.optimizers.RMSprop(0.01, use_ema=True),
        lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    ],
)
def test_optimizers_stay_what_they_are(optimizer, recorder):
    assert_same(dense, recorder, optimizer=optimizer)


def test_a_smaller_last_batch_goes_the_ordinary_way(recorder):
    def make():
        model, x = dense()
        return model, x[:69]

    keras.utils.set_random_seed(1)
    _, x = make()
    model, _ = dense()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, Y[:69], batch_size=8, epochs=3, verbose=0)
    assert (recorder.recorded, recorder.played) == (1, 6 + 8 + 8)


def test_weights_of_samples_and_classes(recorder):
    assert_same(dense, recorder, sample_weight=np.linspace(0, 1, 72).astype("float32"))
    assert_same(dense, recorder, class_weight={0: 1.0, 1: 3.0})


def test_losses_that_a_layer_adds(recorder):
    def make():
        given = keras.Input((8,))
        inner = layers.Dense(6, "relu", activity_regularizer="l2")(given)
        return keras.Model(given, layers.Dense(2)(inner)), X

    assert_same(make, recorder)


def test_inputs_by_name_in_any_order(recorder):
    def run(eager):
        keras.utils.set_random_seed(1)
        first, second = keras.Input((8,), name="b"), keras.Input((8,), name="a")
        model = keras.Model({"b": first, "a": second}, layers.Dense(2)(layers.Subtract()([first, second])))
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=eager)
        return model.fit({"b": X, "a": X[::-1].copy()}, Y, batch_size=8, epochs=2, verbose=0).history["loss"]

    np.testing.assert_allclose(run(False), run(True), rtol=1e-6)
    assert recorder.played == 16


@pytest.mark.parametrize("cell", [layers.GRU, layers.SimpleRNN])
def test_dropout_in_recurrent_layers(cell, recorder):
    def make():
        return network(keras.Input((6,)), layers.Embedding(9, 4), cell(4, dropout=0.3, seed=2)), TOKENS

    assert_same(make, recorder)


def test_masks_reach_metrics(recorder):
    def make():
        inner = layers.Embedding(9, 4, mask_zero=True), layers.GRU(4, return_sequences=True), layers.Dense(2)
        return keras.Sequential([keras.Input((6,)), *inner]), TOKENS * (TOKENS > 3)

    def run(eager):
        keras.utils.set_random_seed(1)
        model, x = make()
        model.compile(
            "adam",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            run_eagerly=eager,
        )
        return model.fit(x, np.repeat(Y[:, None], 6, 1), batch_size=8, epochs=2, verbose=0).history

    found, wanted = run(False), run(True)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-6, err_msg=name)


def test_train_on_batch_is_recorded_too(recorder):
    def run(eager):
        keras.utils.set_random_seed(1)
        model, x = dense()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, run_eagerly=eager)
        return [model.train_on_batch(x[:8], Y[:8]) for _ in range(8)]

    np.testing.assert_allclose(run(False), run(True), rtol=1e-6)
    assert recorder.played == 6


# --- what changes on the way -----------------------------------------------------------------


class Meddler(keras.callbacks.Callback):
    """Does something to the model between two steps, once steps are played."""

    at = 12

    def __init__(self, owner):
        super().__init__()
        self.owner, self.count = owner, 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count == self.at:
            self.meddle(self.owner)


def meddler(what):
    return type("Meddler", (Meddler,), {"meddle": lambda self, model: what(model)})


def scale(model):
    model.set_weights([value * 0.5 for value in model.get_weights()])


def replace(model):
    first = model.layers[0]
    first.kernel.data = first.kernel.data.clone() * 0.5


def slower(model):
    model.optimizer.learning_rate = 1e-4


def drop_more(model):
    next(one for one in model.layers if isinstance(one, layers.Dropout)).rate = 0.9


def freeze(model):
    model.layers[0].trainable = False


def hook(model):
    model.layers[0].register_forward_hook(lambda layer, given, out: out * 2)


def other_activation(model):
    model.layers[0].activation = keras.activations.tanh


def less_smooth(model):
    next(one for one in model.layers if isinstance(one, layers.BatchNormalization)).momentum = 0.1


def broader(model):
    next(one for one in model.layers if isinstance(one, layers.Dropout)).noise_shape = (1, 16)


def punished(model):
    model.layers[0].activity_regularizer = keras.regularizers.L2(0.5)


def other_call(model):
    first = model.layers[0]
    first.call = lambda x: type(first).call(first, x) * 2


def stronger(model):
    model.layers[0].kernel_regularizer.l2 = 1.0


@pytest.mark.parametrize(
    "what",
    [
        scale,
        replace,
        slower,
        drop_more,
        freeze,
        hook,
        other_activation,
        less_smooth,
        stronger,
        broader,
        punished,
        other_call,
    ],
)
def test_what_callbacks_change_counts_at_once(what, recorder):
    assert_same(dense, recorder, callbacks=[meddler(what)], epochs=3)


def test_what_a_layer_remembers_of_tensors_is_no_setting(recorder):
    def remember(model):
        model.layers[0].remembered = (torch.zeros(2), torch.ones(2))

    assert_same(dense, recorder, prepare=remember, callbacks=[meddler(remember)], epochs=3)
    assert recorder.recorded == 1


def test_a_layer_frozen_between_two_fits(recorder):
    def run(eager):
        keras.utils.set_random_seed(1)
        model, x = dense()
        for trainable in (True, False, True):
            model.layers[0].trainable = trainable
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("sgd", loss, run_eagerly=eager)
            model.fit(x, Y, batch_size=8, epochs=1, verbose=0)
        return model.get_weights()

    for one, other in zip(run(False), run(True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert recorder.recorded == 3


# --- what is not recorded --------------------------------------------------------------------


class Own(layers.Layer):
    def call(self, x):
        return x * 2


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


def own_function(x):
    return torch.relu(x)


def own_loss(y_true, y_pred):
    return (y_pred**2).mean(-1)


def test_nothing_of_a_users_own_is_recorded(recorder):
    models = [
        network(keras.Input((8,)), Own()),
        network(keras.Input((8,)), layers.Lambda(lambda x: x * 2)),
        network(keras.Input((8,)), layers.Dense(3, activation=own_function)),
        network(keras.Input((8,)), layers.Dense(3, kernel_regularizer=lambda weight: (weight**2).sum())),
        OwnStep([keras.Input((8,)), layers.Dense(2)]),
    ]
    stateful = layers.SimpleRNN(3, stateful=True)
    models.append(network(keras.Input((8,), batch_size=8), layers.Reshape((8, 1)), stateful))
    patched = network(keras.Input((8,)), layers.Dense(3))
    patched.layers[0].call = lambda x: x[:, :3]
    hooked = network(keras.Input((8,)), layers.Dense(3))
    hooked.layers[0].register_forward_hook(lambda *_: None)
    for model in [*models, patched, hooked]:
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(X, Y, batch_size=8, verbose=0)
    given = keras.Input((8,))
    several = keras.Model(given, [layers.Dense(2)(given), layers.Dense(1)(given)])  # each has a metric of its own
    several.compile("sgd", ["mse", "mse"])
    several.fit(X, [X[:, :2], X[:, :1]], batch_size=8, verbose=0)
    plain = network(keras.Input((8,)), layers.Dense(3))
    for loss in (own_loss, "mse"):
        plain.compile("sgd", loss, run_eagerly=loss == "mse")
        plain.fit(X, np.eye(2)[Y], batch_size=8, verbose=0)
    assert recorder.recorded == 0


def test_random_numbers_that_python_draws_are_not_repeated(recorder):
    def make():
        return network(keras.Input((8, 8, 3)), layers.RandomBrightness(0.5, seed=1), layers.Flatten()), IMAGES

    assert_same(make, recorder, played=False)


def test_without_room_for_another_step_nothing_is_recorded(recorder):
    recorder.room = False
    assert_same(dense, recorder, played=False)


@pytest.mark.parametrize("broken", ["raises", "forgets", "lies later"])
def test_a_recording_that_fails_is_not_used(broken, recorder, monkeypatch):
    def record(work, generators):
        if broken == "raises":
            work()
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        replay, result = TapeRecorder.record(recorder, work, generators)
        calls = []

        def worse():
            calls.append(0)
            replay()
            if broken == "forgets" or len(calls) > 1:
                result[0].mul_(1.5)

        return worse, result

    monkeypatch.setattr(recorder, "record", record)
    for make in (dense, seeded):
        recorder.played = 0
        _, found = trained(make)
        assert recorder.played == {"raises": 0, "forgets": 1, "lies later": 2}[broken]
        _, wanted = trained(make, eager=True)
        np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-6)


def test_steps_that_give_nan_are_not_recorded(recorder):
    model, x = dense()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.layers[0].kernel.assign(np.full((8, 16), np.inf))
    model.fit(x, Y, batch_size=8, verbose=0)
    assert recorder.played == 1


# --- what is left behind ---------------------------------------------------------------------


def test_nothing_is_kept_after_fit(recorder):
    model, _ = trained(dense)
    assert recorder.played and model._plan is None
    assert all(weight.grad is None for weight in model.parameters())


def test_a_model_with_a_recording_can_be_copied(recorder):
    model, x = dense()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for _ in range(5):
        model.train_on_batch(x[:8], Y[:8])
    assert recorder.played
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other._plan is None
        other.train_on_batch(x[:8], Y[:8])
