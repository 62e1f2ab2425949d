"""Convolutional LSTMs against real Keras: outputs, states and gradients, in every option."""

import itertools

import h5py
import keras
import numpy as np
import pytest
import torch
from exchange import exchanged

import uncrumple
from uncrumple import layers as L
from uncrumple.core import registry

BATCH, TIME = 3, 4
LAST = {1: (6, 2), 2: (5, 4, 2), 3: (3, 4, 3, 2)}
FIRST = {rank: (shape[-1], *shape[:-1]) for rank, shape in LAST.items()}
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=bool)


def pair(rank, filters=3, kernel_size=2, shape=None, **settings):
    shape = shape or (FIRST if settings.get("data_format") == "channels_first" else LAST)[rank]
    ours = getattr(L, f"ConvLSTM{rank}D")(filters, kernel_size, **settings)
    theirs = getattr(keras.layers, f"ConvLSTM{rank}D")(filters, kernel_size, **settings)
    ours.build((BATCH, TIME, *shape))
    theirs.build((BATCH, TIME, *shape))
    random = np.random.default_rng(0)
    values = [random.normal(size=w.shape).astype("float32") * 0.5 for w in theirs.get_weights()]
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs, random.normal(size=(BATCH, TIME, *shape)).astype("float32")


def run(layer, x, weights, **kwargs):
    x = torch.tensor(x, requires_grad=True)
    outputs = layer(x, **kwargs)
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    random = np.random.default_rng(1)
    total = sum((out * torch.tensor(random.normal(size=out.shape).astype("float32"))).sum() for out in outputs)
    return [out.detach() for out in outputs], torch.autograd.grad(total, [x, *weights])


def compare(ours, theirs, x, **kwargs):
    mine = run(ours, x, ours.trainable_weights, **kwargs)
    their = run(theirs, x, [v.value for v in theirs.trainable_variables], **kwargs)
    for one, other in zip([*mine[0], *mine[1]], [*their[0], *their[1]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"padding": "same"},
        {"strides": 2},
        {"strides": 2, "padding": "same"},
        {"dilation_rate": 2},
        {"dilation_rate": 2, "padding": "same"},
        {"use_bias": False},
        {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"unit_forget_bias": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_settings(rank, settings):
    for data_format in ("channels_last", "channels_first"):
        compare(*pair(rank, data_format=data_format, **settings))


@pytest.mark.parametrize("rank", [1, 2])
def test_masks_with_every_way_of_returning(rank):
    for sequences, state, backwards in itertools.product((False, True), repeat=3):
        settings = {"return_sequences": sequences, "return_state": state, "go_backwards": backwards}
        for zero in (False, True):
            ours, theirs, x = pair(rank, zero_output_for_mask=zero, **settings)
            compare(ours, theirs, x, mask=torch.tensor(MASK))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_initial_state(rank):
    ours, theirs, x = pair(rank, padding="same", return_state=True, return_sequences=True)
    random = np.random.default_rng(5)
    shape = (BATCH, *LAST[rank][:-1], 3)
    states = [torch.tensor(random.normal(size=shape).astype("float32")) for _ in range(2)]
    compare(ours, theirs, x, initial_state=states)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_stateful_over_batches(data_format):
    ours, theirs, x = pair(2, stateful=True, data_format=data_format)
    for batch in (x, x[::-1].copy()):
        with torch.no_grad():
            torch.testing.assert_close(ours(torch.tensor(batch)), theirs(torch.tensor(batch)), rtol=1e-4, atol=1e-5)
        for one, other in zip(ours.states, theirs.states, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)
    ours.reset_state()
    assert not any(state.any() for state in ours.states)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "rates", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}, {"dropout": 0.5, "recurrent_dropout": 0.2}]
)
def test_dropout_masks_reach_the_same_places(rates, data_format):
    """Keras keeps its masks in the cell while a sequence runs: here both get the same ones beforehand."""
    ours, theirs, x = pair(2, padding="same", data_format=data_format, return_sequences=True, **rates)
    random = np.random.default_rng(7)
    state = (BATCH, *LAST[2][:-1], 3) if data_format == "channels_last" else (BATCH, 3, *LAST[2][:-1])
    for name, shape in (("dropout", x[:, 0].shape), ("recurrent_dropout", state)):
        if name in rates:
            masks = [torch.tensor(random.integers(0, 2, shape).astype("float32") * 2) for _ in range(4)]
            setattr(ours.cell, f"_{name}_mask", masks)
            setattr(theirs.cell, f"_{name}_mask", masks)
    kept = {name: value for name, value in vars(theirs.cell).items() if name.endswith("dropout_mask")}
    mine = run(ours, x, ours.trainable_weights, training=True)
    vars(theirs.cell).update(kept)
    their = run(theirs, x, [v.value for v in theirs.trainable_variables], training=True)
    for one, other in zip([*mine[0], *mine[1]], [*their[0], *their[1]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=3e-5)


def test_dropout_repeats_with_a_seed_and_infers_without():
    x = torch.randn(BATCH, TIME, *LAST[2])
    layers = [L.ConvLSTM2D(2, 2, dropout=0.5, recurrent_dropout=0.5, seed=3, kernel_initializer="ones") for _ in "ab"]
    for layer in layers:
        layer(x)
        layer.set_weights(layers[0].get_weights())
    one, other = (layer(x, training=True) for layer in layers)
    assert torch.equal(one, other)
    assert not torch.equal(one, layers[0](x, training=True))
    assert torch.equal(layers[0](x), layers[0](x))


def test_bidirectional():
    for merge in ("concat", "sum"):
        mine = L.Bidirectional(L.ConvLSTM1D(2, 2, padding="same", return_sequences=True), merge_mode=merge)
        theirs = keras.layers.Bidirectional(
            keras.layers.ConvLSTM1D(2, 2, padding="same", return_sequences=True), merge_mode=merge
        )
        x = np.random.default_rng(0).normal(size=(BATCH, TIME, *LAST[1])).astype("float32")
        mine(torch.tensor(x)), theirs(torch.tensor(x))
        theirs.set_weights(mine.get_weights())
        compare(mine, theirs, x)


def test_files_go_both_ways(tmp_path):
    def model(room):
        return room.Sequential(
            [
                room.Input((TIME, *LAST[2])),
                room.layers.ConvLSTM2D(2, 2, return_sequences=True),
                room.layers.ConvLSTM2D(2, 2),
                room.layers.Flatten(),
                room.layers.Dense(1),
            ]
        )

    x = np.random.default_rng(0).normal(size=(BATCH, TIME, *LAST[2])).astype("float32")
    mine, theirs = model(uncrumple), model(keras)
    exchanged(mine, theirs, lambda one: one.predict(x, verbose=0), tmp_path, atol=1e-6)
    mine.save_weights(tmp_path / "mine.weights.h5")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    names = []
    for path in ("mine", "theirs"):
        with h5py.File(tmp_path / f"{path}.weights.h5") as file:
            found = []
            file.visititems(lambda name, thing, found=found: found.append((name, getattr(thing, "shape", None))))
            names.append({one for one in found if one[1] is not None})
    assert names[0] == names[1]


def test_first_values():
    layer = L.ConvLSTM2D(3, 2)
    layer.build((None, TIME, *LAST[2]))
    np.testing.assert_array_equal(layer.get_weights()[2], [0] * 3 + [1] * 3 + [0] * 6)
    kernel = layer.get_weights()[1].reshape(-1, 12)
    np.testing.assert_allclose(kernel.T @ kernel if len(kernel) > 12 else kernel @ kernel.T, np.eye(12), atol=1e-5)


def test_images_of_any_size():
    layer = L.ConvLSTM2D(2, 3, padding="same", return_sequences=True)
    out = layer(L.Input((None, None, None, 1)))
    assert out.shape == (None, None, None, None, 2)
    assert layer(torch.ones(1, 2, 4, 5, 1)).shape == (1, 2, 4, 5, 2)
    assert layer(torch.ones(1, 3, 7, 2, 1)).shape == (1, 3, 7, 2, 2)


def test_configs_hold_what_keras_writes():
    for rank in (1, 2, 3):
        ours, theirs, x = pair(rank, activation="relu", padding="same", go_backwards=True)
        written = registry.serialize_keras_object(ours)
        again = keras.saving.deserialize_keras_object(written)
        again(torch.tensor(x))
        again.set_weights(ours.get_weights())
        torch.testing.assert_close(again(torch.tensor(x)), ours(torch.tensor(x)), rtol=1e-5, atol=1e-5)
        assert set(ours.get_config()) == set(theirs.get_config())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: L.ConvLSTM2D(0, 3),
            "ConvLSTM2D got filters=0.\nExpected a whole number of at least 1.\nFix: ConvLSTM2D(filters=32)",
        ),
        (
            lambda: L.ConvLSTM2D(2, (3, 3, 3)),
            "ConvLSTM2D got kernel_size=(3, 3, 3).\nExpected a whole number of at least 1, or 2 of them.\n"
            "Fix: ConvLSTM2D(..., kernel_size=(3, 3))",
        ),
        (
            lambda: L.ConvLSTM1D(2, 3, strides=2, dilation_rate=2),
            "ConvLSTM1D got strides=(2,) and dilation_rate=(2,).\nExpected one of them to be 1.\n"
            "Fix: ConvLSTM1D(..., strides=(2,)), without dilation_rate",
        ),
        (
            lambda: L.ConvLSTM1D(2, 3, padding="causal"),
            "ConvLSTM1D got padding='causal'.\nExpected 'valid' or 'same'.\nFix: ConvLSTM1D(..., padding='valid')",
        ),
        (
            lambda: L.ConvLSTM2D(2, 3, name="film")(torch.ones(1, 2, 2, 5, 1)),
            "ConvLSTM2D 'film' shrinks its input of shape (1, 2, 2, 5, 1) to nothing: a kernel of (3, 3) does not fit.\n"
            'Expected height of at least 3 and width of at least 3.\nFix: padding="same", or a smaller kernel_size',
        ),
        (
            lambda: L.ConvLSTM2D(2, 3, name="film")(torch.ones(1, 5, 5, 1)),
            "ConvLSTM2D 'film' got an input of shape (1, 5, 5, 1).\n"
            "Expected 5 axes: (samples, time steps, height, width, channels), got 4.\n"
            "Fix: x[:, None] adds a time axis, x[..., None] a channel axis; one of them is missing",
        ),
        (
            lambda: L.ConvLSTM1D(2, 3, name="film", stateful=True)(L.Input(batch_shape=(2, 4, None, 1))),
            "ConvLSTMCell 'conv_lstm_cell' got an input with the sizes (None,) between samples and channels.\n"
            "Expected known sizes: it makes states without seeing the data.\nFix: put numbers in place of None in Input",
        ),
        (
            lambda: L.ConvLSTM1D(2, 3, name="film")(torch.ones(2, 4, 5, 1), initial_state=[torch.ones(2, 2)] * 2),
            "ConvLSTM1D 'film' got initial states of shapes [(2, 2), (2, 2)] with an input of 2 samples.\n"
            "Expected 2: (samples, 3, 2), (samples, 3, 2).\nFix: initial_state=[h, c]",
        ),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message
