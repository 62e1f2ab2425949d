"""Recurrent layers against real Keras: outputs, states and all gradients."""

import itertools

import keras
import numpy as np
import pytest
import torch

from uncrumple.layers import recurrent as ours
from uncrumple.layers.embedding import Embedding
from uncrumple.layers.masking import Masking

BATCH, TIME, FEATURES, UNITS = 5, 7, 3, 4
MASKS = {
    "none": None,
    "right": [
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0],
        [1, 1, 0, 0, 0, 0, 0],
    ],
    "short right": [
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
        [0] * 7,
        [1, 1, 0, 0, 0, 0, 0],
    ],
    "left": [[0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1], [1] * 7, [0, 1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1]],
    "holes": [[0, 1, 0, 1, 1, 0, 1], [1, 0, 0, 0, 0, 0, 1], [1, 1, 0, 1, 1, 0, 0], [0] * 7, [1] * 7],
    "nothing": [[0] * 7] * 5,
}
KINDS = ("SimpleRNN", "LSTM", "GRU")


def mask_of(name):
    return None if MASKS[name] is None else np.array(MASKS[name], dtype=bool)


def pair(kind, *args, build=True, **kwargs):
    """Return a layer of ours and the real one, with the same weights; biases are not left at zero."""
    mine, real = getattr(ours, kind)(*args, **kwargs), getattr(keras.layers, kind)(*args, **kwargs)
    return same_weights(mine, real) if build else (mine, real)


def same_weights(mine, real, shape=(BATCH, TIME, FEATURES)):
    mine.build(shape)
    real.build(shape)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=w.shape).astype("float32") * 0.5 for w in real.get_weights()]
    assert [w.shape for w in mine.get_weights()] == [w.shape for w in values]
    mine.set_weights(values)
    real.set_weights(values)
    return mine, real


def numbers(structure):
    if isinstance(structure, torch.Tensor):
        return [structure]
    return [leaf for part in structure for leaf in numbers(part)]


def run(layer, x, weights, **kwargs):
    """Return outputs and gradients of a fixed function of them."""
    x = torch.tensor(x, requires_grad=True)
    for weight in weights:
        weight.grad = None
    outputs = numbers(layer(x, **kwargs))
    rng = np.random.default_rng(1)
    total = sum((out * torch.tensor(rng.normal(size=out.shape).astype("float32"))).sum() for out in outputs)
    total.backward()
    return [out.detach().numpy() for out in outputs], [x.grad, *[weight.grad for weight in weights]]


def compare_outputs(mine, real, x, **kwargs):
    """Compare without Keras's gradients: its stateful layers overwrite what theirs need."""
    outputs, _ = run(mine, x, mine.trainable_weights, **kwargs)
    for out, want in zip(outputs, numbers(real(x, **kwargs)), strict=True):
        np.testing.assert_allclose(out, want.detach().numpy(), atol=1e-5)


def compare(mine, real, x, tolerance=1e-5, **kwargs):
    outputs, gradients = run(mine, x, mine.trainable_weights, **kwargs)
    wanted, wanted_gradients = run(real, x, [v.value for v in real.trainable_variables], **kwargs)
    assert len(outputs) == len(wanted)
    for out, want in zip(outputs, wanted):
        assert out.shape == want.shape
        np.testing.assert_allclose(out, want, atol=tolerance, rtol=tolerance)
    for gradient, want in zip(gradients, wanted_gradients):
        if want is None or gradient is None:  # nothing valid at all: no gradient, or zeros
            for one in (gradient, want):
                assert one is None or not one.abs().any()
            continue
        np.testing.assert_allclose(gradient.numpy(), want.numpy(), atol=3 * tolerance, rtol=tolerance)


def data(seed=3, batch=BATCH):
    return np.random.default_rng(seed).normal(size=(batch, TIME, FEATURES)).astype("float32")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_masks_with_every_way_of_returning(kind, mask):
    for sequences, state, backwards in itertools.product((False, True), repeat=3):
        mine, real = pair(kind, UNITS, return_sequences=sequences, return_state=state, go_backwards=backwards)
        compare(mine, real, data(), mask=mask_of(mask))


@pytest.mark.parametrize("mask", ["none", "right", "holes", "nothing"])
@pytest.mark.parametrize("kind", KINDS)
def test_initial_state_and_zero_output_for_mask(kind, mask):
    rng = np.random.default_rng(5)
    states = [
        torch.tensor(rng.normal(size=(BATCH, UNITS)).astype("float32")) for _ in range(2 if kind == "LSTM" else 1)
    ]
    for zero, sequences in itertools.product((False, True), repeat=2):
        mine, real = pair(kind, UNITS, zero_output_for_mask=zero, return_sequences=sequences, return_state=True)
        compare(mine, real, data(), mask=mask_of(mask), initial_state=states)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_bias": False},
        {"activation": "relu"},
        {"activation": None},
        {"activation": "gelu"},
        {"unroll": True},
        {"recurrent_activation": "hard_sigmoid"},
        {"recurrent_activation": "hard_sigmoid", "use_bias": False},
        {"reset_after": False},
        {"reset_after": False, "use_bias": False},
        {"use_cudnn": False},
        {"implementation": 1},
        {"unit_forget_bias": False},
        {"dropout": 0.5, "recurrent_dropout": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_settings(kind, settings):
    known = {"SimpleRNN": ("use_bias", "activation", "unroll", "dropout")}
    if kind in known and next(iter(settings)) not in known[kind]:
        pytest.skip("SimpleRNN has no such setting")
    if next(iter(settings)) in ("reset_after", "unit_forget_bias") and kind != {"reset_after": "GRU"}.get(
        next(iter(settings)), "LSTM"
    ):
        pytest.skip("of another layer")
    for mask in ("none", "holes"):
        if settings.get("unroll") and mask == "holes":
            continue
        mine, real = pair(kind, UNITS, return_sequences=True, **settings)
        compare(mine, real, data(), mask=mask_of(mask))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_masks_reach_the_same_places(kind):
    """Keras keeps its masks in the cell while a sequence runs: here both get the same ones beforehand."""
    rng = np.random.default_rng(7)
    for rates in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}, {"dropout": 0.5, "recurrent_dropout": 0.25}):
        mine, real = pair(kind, UNITS, return_sequences=True, **rates)
        count = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}[kind] if "recurrent_dropout" in rates else 1
        for name, width in (("dropout", FEATURES), ("recurrent_dropout", UNITS)):
            if name not in rates:
                continue
            masks = [torch.tensor(rng.integers(0, 2, (BATCH, width)).astype("float32") * 2) for _ in range(count)]
            value = masks if count > 1 else masks[0]
            setattr(mine.cell, f"_{name}_mask", value)
            setattr(real.cell, f"_{name}_mask", value)
        kept = {name: value for name, value in vars(real.cell).items() if name.endswith("dropout_mask")}
        x = data()
        outputs, gradients = run(mine, x, mine.trainable_weights, training=True)
        vars(real.cell).update(kept)
        wanted, wanted_gradients = run(real, x, [v.value for v in real.trainable_variables], training=True)
        np.testing.assert_allclose(outputs[0], wanted[0], atol=1e-5)
        for gradient, want in zip(gradients, wanted_gradients):
            np.testing.assert_allclose(gradient.numpy(), want.numpy(), atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_stateful_over_batches(kind):
    for mask in ("none", "holes"):
        mine, real = pair(kind, UNITS, stateful=True, return_sequences=True)
        for seed in (1, 2):
            compare_outputs(mine, real, data(seed), mask=mask_of(mask))
            for state, want in zip(mine.states, real.states):
                np.testing.assert_allclose(state.numpy(), want.numpy(), atol=1e-5)
        mine.reset_state()
        real.reset_state()
        compare_outputs(mine, real, data(), mask=mask_of(mask))


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("kind", KINDS)
def test_bidirectional(kind, merge):
    for sequences, state, mask in itertools.product((False, True), (False, True), ("none", "right", "holes")):
        settings = {"return_sequences": sequences, "return_state": state}
        mine = ours.Bidirectional(getattr(ours, kind)(UNITS, **settings), merge_mode=merge)
        real = keras.layers.Bidirectional(getattr(keras.layers, kind)(UNITS, **settings), merge_mode=merge)
        same_weights(mine, real)
        compare(mine, real, data(), mask=mask_of(mask))


def test_bidirectional_with_states_and_a_backward_layer_of_its_own():
    settings = {"return_sequences": True, "return_state": True}
    mine = ours.Bidirectional(
        ours.LSTM(UNITS, **settings), backward_layer=ours.LSTM(2, activation="relu", go_backwards=True, **settings)
    )
    real = keras.layers.Bidirectional(
        keras.layers.LSTM(UNITS, **settings),
        backward_layer=keras.layers.LSTM(2, activation="relu", go_backwards=True, **settings),
    )
    same_weights(mine, real)
    rng = np.random.default_rng(5)
    states = [torch.tensor(rng.normal(size=(BATCH, n)).astype("float32")) for n in (UNITS, UNITS, 2, 2)]
    compare(mine, real, data(), initial_state=states)
    compare(mine, real, data(), initial_state=states, mask=mask_of("holes"))


def test_bidirectional_stateful():
    mine = ours.Bidirectional(ours.GRU(UNITS, stateful=True))
    real = keras.layers.Bidirectional(keras.layers.GRU(UNITS, stateful=True))
    same_weights(mine, real)
    compare_outputs(mine, real, data(1))
    compare_outputs(mine, real, data(2))
    assert len(mine.states) == len(real.states) == 2


@pytest.mark.parametrize("mask", ["none", "left", "holes"])
@pytest.mark.parametrize("sequences", [False, True])
def test_rnn_of_cells(mask, sequences):
    cells = [
        lambda room: room.LSTMCell(UNITS),
        lambda room: room.GRUCell(3),
        lambda room: room.SimpleRNNCell(2, use_bias=False),
    ]
    for cell in cells:
        mine = ours.RNN(cell(ours), return_sequences=sequences)
        real = keras.layers.RNN(cell(keras.layers), return_sequences=sequences)
        compare(*same_weights(mine, real), data(), mask=mask_of(mask))
    mine = ours.RNN([cell(ours) for cell in cells], return_sequences=sequences, return_state=True)
    real = keras.layers.RNN([cell(keras.layers) for cell in cells], return_sequences=sequences, return_state=True)
    assert mine.state_size == real.state_size
    compare(*same_weights(mine, real), data(), mask=mask_of(mask))


def custom_cell(room):
    class Minimal(room.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units, self.state_size = units, units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="uniform", name="kernel")
            self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), initializer="uniform", name="r")
            self.built = True

        def call(self, inputs, states):
            output = torch.matmul(inputs, 1 * self.kernel) + torch.matmul(states[0], 1 * self.recurrent_kernel)
            return 2 * output, [output]

    return Minimal


@pytest.mark.parametrize("mask", ["none", "left", "holes", "nothing"])
def test_a_cell_of_ones_own(mask):
    from uncrumple import layers as room

    for sequences, stack in itertools.product((False, True), repeat=2):
        mine_cell, real_cell = custom_cell(room)(UNITS), custom_cell(keras.layers)(UNITS)
        if stack:
            mine_cell, real_cell = [mine_cell, ours.LSTMCell(3)], [real_cell, keras.layers.LSTMCell(3)]
        mine = ours.RNN(mine_cell, return_sequences=sequences, return_state=True)
        real = keras.layers.RNN(real_cell, return_sequences=sequences, return_state=True)
        compare(*same_weights(mine, real), data(), mask=mask_of(mask))


def test_single_steps_of_cells():
    x = data()[:, 0]
    for kind, states in (("SimpleRNNCell", 1), ("GRUCell", 1), ("LSTMCell", 2)):
        mine, real = getattr(ours, kind)(UNITS), getattr(keras.layers, kind)(UNITS)
        same_weights(mine, real, (BATCH, FEATURES))
        given = [torch.full((BATCH, UNITS), 0.3 + k) for k in range(states)]
        for one, two in zip(numbers(mine(torch.tensor(x), given)), numbers(real(torch.tensor(x), given))):
            np.testing.assert_allclose(one.detach(), two.detach(), atol=1e-6)


@pytest.mark.parametrize("kind", [*KINDS, "LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_configs_have_the_keys_of_keras(kind):
    assert set(getattr(ours, kind)(UNITS).get_config()) == set(getattr(keras.layers, kind)(UNITS).get_config())


def test_configs_of_wrappers_have_the_keys_of_keras():
    for make in (
        lambda room: room.RNN(room.LSTMCell(2)),
        lambda room: room.StackedRNNCells([room.LSTMCell(2)]),
        lambda room: room.Bidirectional(room.LSTM(2)),
    ):
        assert set(make(ours).get_config()) == set(make(keras.layers).get_config())
    assert set(Embedding(3, 2).get_config()) == set(keras.layers.Embedding(3, 2).get_config())
    assert set(Masking().get_config()) == set(keras.layers.Masking().get_config())


def test_keras_reads_our_config_and_we_read_that_of_keras():
    from uncrumple.core import registry

    for make in (
        lambda room: room.Bidirectional(
            room.LSTM(3, dropout=0.1, recurrent_activation="hard_sigmoid"), merge_mode="sum"
        ),
        lambda room: room.RNN([room.GRUCell(3, reset_after=False), room.LSTMCell(2)], return_sequences=True),
        lambda room: room.SimpleRNN(3, activation="relu", go_backwards=True),
    ):
        written = registry.serialize_keras_object(make(ours))
        theirs = keras.saving.deserialize_keras_object(written)
        back = registry.deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
        x = data()
        theirs(x)
        mine, real = same_weights(back, theirs)
        compare(mine, real, x)


def test_signatures():
    import inspect

    for kind in (*ours.__all__, "Embedding", "Masking"):
        mine = {"Embedding": Embedding, "Masking": Masking}.get(kind) or getattr(ours, kind)
        real = getattr(keras.layers, kind)
        for method in ("__init__", "call"):
            own = inspect.signature(getattr(mine, method)).parameters
            want = inspect.signature(getattr(real, method)).parameters
            assert [(p.name, p.default) for p in own.values() if p.kind is not p.VAR_KEYWORD] == [
                (p.name, p.default) for p in want.values() if p.kind is not p.VAR_KEYWORD
            ], (kind, method)


def test_embedding_and_masking():
    ids = np.array([[3, 0, 5], [1, 2, 0]])
    mine, real = Embedding(6, 4, mask_zero=True), keras.layers.Embedding(6, 4, mask_zero=True)
    mine.build((2, 3))
    real.build((2, 3))
    mine.set_weights(real.get_weights())
    for given in (ids, ids.astype("float32"), ids.astype("int32"), ids.astype("uint8")):
        out, want = mine(torch.tensor(given)), real(torch.tensor(given))
        np.testing.assert_array_equal(out.detach(), want.detach())
        np.testing.assert_array_equal(out._keras_mask, keras.src.backend.get_keras_mask(want))
    x = data()
    x[0, 2] = x[3, 0] = -1.0
    x[1, 1, 0] = -1.0
    out, want = Masking(-1.0)(torch.tensor(x)), keras.layers.Masking(-1.0)(torch.tensor(x))
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(out._keras_mask, keras.src.backend.get_keras_mask(want))


def test_masks_go_through_a_stack_of_layers():
    ids = np.array([[3, 0, 5, 0], [1, 2, 0, 0], [0, 0, 1, 4]])
    mine = [Embedding(6, 4, mask_zero=True), ours.LSTM(3, return_sequences=True), ours.Bidirectional(ours.GRU(3))]
    room = keras.layers
    real = [room.Embedding(6, 4, mask_zero=True), room.LSTM(3, return_sequences=True), room.Bidirectional(room.GRU(3))]
    x, want = torch.tensor(ids), torch.tensor(ids)
    for one, two in zip(mine, real):
        two_out = two(want)
        one.build(tuple(x.shape))
        one.set_weights(two.get_weights())
        x, want = one(x), two_out
        np.testing.assert_allclose(x.detach(), want.detach(), atol=1e-6)
