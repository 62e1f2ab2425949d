"""Recurrent layers: what Keras cannot be compared with, golden values, and messages."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from uncrumple.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    GRUCell,
    Input,
    Layer,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
    TimeDistributed,
)

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = (SimpleRNN, LSTM, GRU)


def message(call, kind=ValueError):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def load(layer, group):
    """Give a layer the weights that a file holds at a path of Keras's."""
    layer.set_weights([group["vars"][key][()] for key in sorted(group["vars"])])


# --- files that real Keras wrote --------------------------------------------------


def test_embedding_lstm_as_saved():
    with np.load(GOLDEN / "embedding_lstm.npz") as arrays, h5py.File(GOLDEN / "embedding_lstm.weights.h5") as file:
        embedding, first = Embedding(20, 6, mask_zero=True), LSTM(5, return_sequences=True)
        second, dense = LSTM(4), Dense(1, activation="sigmoid")
        dense(second(first(embedding(Input((None,))))))
        load(embedding, file["layers/embedding"])
        load(first.cell, file["layers/lstm/cell"])
        load(second.cell, file["layers/lstm_1/cell"])
        load(dense, file["layers/dense"])
        sequence = first(embedding(arrays["in_0"]))
        np.testing.assert_allclose(sequence.detach(), arrays["act_lstm1"], atol=1e-6)
        np.testing.assert_allclose(dense(second(sequence)).detach(), arrays["out_0"], atol=1e-6)


def test_gru_bidirectional_as_saved():
    with (
        np.load(GOLDEN / "gru_bidirectional.npz") as arrays,
        h5py.File(GOLDEN / "gru_bidirectional.weights.h5") as file,
    ):
        one, two = (
            Bidirectional(GRU(4, return_sequences=True)),
            Bidirectional(GRU(3, reset_after=False), merge_mode="sum"),
        )
        simple, last = SimpleRNN(3, return_sequences=True, go_backwards=True), LSTM(2, return_state=True)
        x = Input((6, 3))
        read = one(x)
        two(read)
        last(simple(read))
        for layer, name in ((one, "bidirectional"), (two, "bidirectional_1")):
            load(layer.forward_layer.cell, file[f"layers/{name}/forward_layer/cell"])
            load(layer.backward_layer.cell, file[f"layers/{name}/backward_layer/cell"])
        load(simple.cell, file["layers/simple_rnn/cell"])
        load(last.cell, file["layers/lstm/cell"])
        read = one(arrays["in_0"])
        outputs = [two(read), simple(read), *last(simple(read))]
        for index, out in enumerate(outputs):
            np.testing.assert_allclose(out.detach(), arrays[f"out_{index}"], atol=1e-6)


# --- weights ----------------------------------------------------------------------


def test_weights_are_laid_out_as_in_keras():
    for layer, shapes in (
        (SimpleRNN(4), [(3, 4), (4, 4), (4,)]),
        (LSTM(4), [(3, 16), (4, 16), (16,)]),
        (GRU(4), [(3, 12), (4, 12), (2, 12)]),
        (GRU(4, reset_after=False), [(3, 12), (4, 12), (12,)]),
        (LSTM(4, use_bias=False), [(3, 16), (4, 16)]),
    ):
        layer.build((None, 5, 3))
        assert [w.shape for w in layer.get_weights()] == shapes
        assert [w.name for w in layer.weights] == ["kernel", "recurrent_kernel", "bias"][: len(shapes)]
    layer = Bidirectional(LSTM(4), name="both")
    layer.build((None, 5, 3))
    name = layer.forward_layer.name
    assert layer.weights[0].path == f"both/{name}/lstm_cell/kernel" and name.startswith("forward_lstm")
    assert len(layer.weights) == 6 and layer.weights[3] is layer.backward_layer.cell.weights[0]


def test_first_values():
    layer = LSTM(4)
    layer.build((None, 5, 3))
    kernel, recurrent, bias = layer.get_weights()
    assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-5)
    assert abs(kernel).max() <= np.sqrt(6 / (3 + 16))
    plain = LSTM(4, unit_forget_bias=False)
    plain.build((None, 5, 3))
    assert not plain.get_weights()[2].any()


def test_both_directions_start_differently():
    layer = Bidirectional(LSTM(4))
    layer.build((None, 5, 3))
    assert not np.allclose(layer.get_weights()[0], layer.get_weights()[3])
    given = [np.full(w.shape, k, "float32") for k, w in enumerate(layer.get_weights())]
    again = Bidirectional(LSTM(4), weights=given)
    again.build((None, 5, 3))
    assert [w.flat[0] for w in again.get_weights()] == [0, 1, 2, 3, 4, 5]


# --- running ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_fused_equals_step_by_step(kind):
    x = torch.randn(4, 6, 3)
    mask = torch.tensor([[1, 0, 1, 1, 0, 0]] * 4, dtype=torch.bool)
    layer = kind(5, return_sequences=True, return_state=True)
    for given in (None, mask):
        fused = layer(x, mask=given)
        layer.use_cudnn = False
        slow = layer(x, mask=given)
        layer.use_cudnn = "auto"
        for one, other in zip(fused, slow, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_step_by_step_can_be_differentiated_twice():
    layer, x = LSTM(3, use_cudnn=False), torch.randn(2, 4, 3, requires_grad=True)
    slope = torch.autograd.grad(layer(x).sum(), x, create_graph=True)[0]
    slope.square().sum().backward()
    assert layer.cell.kernel.grad.abs().sum() > 0


@pytest.mark.parametrize("settings", [{}, {"recurrent_dropout": 0.4}, {"implementation": 1}], ids=str)
def test_dropout_is_one_mask_per_batch_and_only_in_training(settings):
    layer = LSTM(3, dropout=0.5, return_sequences=True, **settings)
    x = torch.ones(2, 5, 8)
    assert torch.equal(layer(x), layer(x))
    first, second = layer(x, training=True), layer(x, training=True)
    assert not torch.equal(first, second)
    assert layer.cell._dropout_mask is None and layer.cell._recurrent_dropout_mask is None
    # The same features are dropped at every time step: what does not reach the layer has no gradient.
    x.requires_grad_()
    simple = SimpleRNN(3, dropout=0.5)
    gradient = torch.autograd.grad(simple(x, training=True).sum(), x)[0]
    dropped = gradient == 0
    assert dropped.any() and not dropped.all() and torch.equal(dropped[:, 0], dropped[:, 4])


def test_a_seed_repeats_the_dropout():
    x = torch.randn(4, 5, 8)
    made = [GRU(3, dropout=0.5, recurrent_dropout=0.5, seed=1) for _ in range(2)]
    for layer in made:
        layer.build((4, 5, 8))
    made[1].set_weights(made[0].get_weights())
    one, other = (layer(x, training=True) for layer in made)
    assert torch.equal(one, other) and not torch.equal(one, made[0](x, training=True))


def test_everything_dropped_leaves_the_bias():
    layer = SimpleRNN(3, dropout=1.0, bias_initializer="ones")
    torch.testing.assert_close(layer(torch.randn(2, 1, 4), training=True), torch.full((2, 3), np.tanh(1.0)).float())


def test_whole_numbers_and_arrays_are_welcome():
    layer = LSTM(3)
    x = np.arange(24).reshape(2, 4, 3)
    np.testing.assert_allclose(layer(x).detach(), layer(x.astype("float64")).detach(), atol=1e-6)


def test_states_of_a_stateful_layer():
    layer = LSTM(3, stateful=True)
    assert layer.states is None
    x = torch.randn(2, 4, 3)
    whole = LSTM(3)
    whole.build((2, 8, 3))
    layer.build((2, 4, 3))
    whole.set_weights(layer.get_weights())
    layer(x)
    second = layer(x)
    torch.testing.assert_close(second, whole(torch.cat([x, x], 1)), atol=1e-6, rtol=1e-5)
    second.sum().backward()  # the kept states were copied before they were overwritten
    torch.testing.assert_close(layer.states[0], second)
    assert not layer.states[0].requires_grad and len(layer.weights) == 3
    layer(Input(batch_shape=(2, 4, 3)))  # looking for shapes changes nothing
    torch.testing.assert_close(layer.states[0], second)
    layer.reset_states()
    assert not any(state.any() for state in layer.states)


def test_initial_states_may_be_symbolic():
    x, h, c = Input((None, 3)), Input((4,)), Input((4,))
    outputs = LSTM(4, return_sequences=True, return_state=True)(x, initial_state=[h, c])
    assert [out.shape for out in outputs] == [(None, None, 4), (None, 4), (None, 4)]
    assert GRU(4)(x, initial_state=h).shape == (None, 4)


def test_shapes_are_found_without_running_time_steps(monkeypatch):
    calls = []

    class Counting(Layer):
        state_size = 3

        def call(self, inputs, states):
            calls.append(1)
            return inputs + states[0], [inputs]

    monkeypatch.setattr(LSTMCell, "advance", None)
    for layer, features in (
        (LSTM(5, return_sequences=True), 5),
        (RNN([LSTMCell(2), GRUCell(7)], return_sequences=True), 7),
    ):
        assert layer(Input((None, 3))).shape == (None, None, features)
    assert RNN(Counting(), return_sequences=True)(Input((100000, 3))).shape == (None, 100000, 3)
    assert len(calls) == 2  # once for each of two batch sizes


def test_time_distributed_and_nested_use():
    x = Input((4, 6, 3))
    assert TimeDistributed(LSTM(2))(x).shape == (None, 4, 2)
    layer = TimeDistributed(Bidirectional(GRU(2, return_sequences=True), merge_mode="ave"))
    assert layer(torch.randn(2, 4, 6, 3)).shape == (2, 4, 6, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "bfloat16", "float64", "mixed_float16"])
def test_precisions(kind, precision):
    layer = kind(4, return_sequences=True, return_state=True, dtype=precision)
    x = torch.randn(3, 5, 2)
    mask = torch.tensor([[1, 1, 0, 1, 0]] * 3, dtype=torch.bool)
    for given in (None, mask):
        outputs = layer(x, mask=given)
        wanted = {"float64": torch.float64, "mixed_float16": torch.float16}.get(precision, torch.bfloat16)
        assert all(out.dtype is wanted for out in outputs)
        sum(out.float().sum() for out in outputs).backward()
    assert all(w.grad.dtype is w.dtype for w in layer.weights)


def test_cells_of_ones_own_without_a_layer():
    class Running:
        state_size = (2,)

        def call(self, inputs, states):
            return states[0] + inputs, [states[0] + inputs]

    x = torch.ones(1, 4, 2)
    assert RNN(Running(), return_sequences=True)(x).tolist() == [[[1, 1], [2, 2], [3, 3], [4, 4]]]
    assert Bidirectional(RNN(Running()), merge_mode="sum")(x).tolist() == [[8.0, 8.0]]


def test_a_subclass_of_a_cell_is_run_by_its_own_call():
    class Doubled(LSTMCell):
        def call(self, inputs, states, training=False):
            output, states = super().call(inputs, states, training)
            return 2 * output, states

    layer, plain = RNN(Doubled(3)), LSTM(3)
    x = torch.randn(2, 4, 3)
    layer(x), plain(x)
    plain.set_weights(layer.get_weights())
    torch.testing.assert_close(layer(x), 2 * plain(x), atol=1e-6, rtol=1e-5)


def test_training_reaches_a_cell_of_ones_own():
    class Noisy(Layer):
        state_size = 2

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.drop = Dropout(0.5)
            self.modes = []

        def call(self, inputs, states, training=False):
            self.modes.append(training)
            return self.drop(inputs), states

    layer = RNN(Noisy())
    layer(torch.ones(1, 3, 2))
    layer(torch.ones(1, 3, 2), training=True)
    layer.train()
    layer(torch.ones(1, 3, 2))
    assert layer.cell.modes == [False] * 3 + [True] * 6


def test_functions_that_no_config_can_hold_still_go_both_ways():
    layer = Bidirectional(LSTM(3, activation=lambda x: torch.sin(x)))
    assert layer(torch.randn(2, 4, 3)).shape == (2, 6)
    assert layer.backward_layer.activation is layer.forward_layer.activation
    assert layer.backward_layer.cell is not layer.forward_layer.cell


def test_masks_of_what_is_returned():
    mask = torch.tensor([[True, False, True]] * 2)
    x = torch.randn(2, 3, 4)
    x._keras_mask = mask
    outputs = LSTM(2, return_sequences=True, return_state=True)(x)
    assert [hasattr(out, "_keras_mask") for out in outputs] == [True, False, False]
    outputs = Bidirectional(GRU(2, return_sequences=True, return_state=True), merge_mode=None)(x)
    assert [hasattr(out, "_keras_mask") for out in outputs] == [True, True, False, False]
    assert not outputs[0][:, 1].any() and not outputs[1][:, 1].any()
    assert LSTM(2).compute_mask(x, mask) is None


def test_no_samples():
    for kind in KINDS:
        x = torch.zeros(0, 4, 3, requires_grad=True)
        out = kind(2, return_sequences=True)(x)
        out.sum().backward()
        assert out.shape == (0, 4, 2) and x.grad.shape == x.shape
        assert kind(2)(x, mask=torch.ones(0, 4, dtype=torch.bool)).shape == (0, 2)


def test_frozen_wrappers_hold_frozen_weights():
    layer = Bidirectional(LSTM(2), trainable=False)
    layer.build((None, 3, 2))
    assert not layer.trainable_weights
    layer.trainable = True
    assert len(layer.trainable_weights) == 6


# --- messages ---------------------------------------------------------------------

AXES = "Expected 3 axes: (samples, time steps, features), got 2."


def test_two_axes_after_a_recurrent_layer():
    x = LSTM(32, name="first")(Input((10, 8)))
    for layer, name in ((LSTM(4, name="second"), "LSTM"), (Bidirectional(GRU(4), name="second"), "Bidirectional")):
        assert message(lambda layer=layer: layer(x)) == (
            f"{name} 'second' got an input of shape (None, 32).\n{AXES}\n"
            "Fix: LSTM(32, return_sequences=True) for 'first'"
        )
    x = Dropout(0.5)(Bidirectional(GRU(8), name="first")(Input((10, 8))))
    assert message(lambda: SimpleRNN(4, name="second")(x)).endswith(
        "Fix: Bidirectional(GRU(8, return_sequences=True)) for 'first'"
    )


def test_two_axes_otherwise():
    assert message(lambda: LSTM(4, name="mine")(torch.ones(5, 8))) == (
        f"LSTM 'mine' got an input of shape (5, 8).\n{AXES}\n"
        "Fix: if it comes after another recurrent layer, return_sequences=True on that one; otherwise x[..., None]"
    )
    assert message(lambda: LSTM(4, name="mine")(Input((8,)))) == (
        f"LSTM 'mine' got an input of shape (None, 8).\n{AXES}\n"
        "Fix: Input((8, 1)) and x = x[..., None], if axis 1 is time"
    )


def test_other_shapes():
    assert message(lambda: GRU(4, name="mine")(Input((10, 4, 2)))) == (
        "GRU 'mine' got an input of shape (None, 10, 4, 2).\n"
        "Expected 3 axes: (samples, time steps, features), got 4.\n"
        "Fix: Reshape((10, 8)) before it, to keep axis 1 as time"
    )
    layer = GRU(4, name="mine")
    layer.build((None, 10, 3))
    assert message(lambda: layer(torch.ones(2, 10, 5))) == (
        "GRU 'mine' got an input of shape (2, 10, 5).\n"
        "Expected 3 on the last axis, got 5.\n"
        "Fix: give it 3 features per time step, or build the model again with Input((None, 5))"
    )
    assert message(lambda: layer(torch.ones(2, 0, 3))).startswith(
        "GRU 'mine' got an input of shape (2, 0, 3): sequences"
    )
    assert message(lambda: layer(torch.ones(2, 4, 3), mask=torch.ones(2, 5))) == (
        "GRU 'mine' got a mask of shape (2, 5) with an input of shape (2, 4, 3).\n"
        "Expected one entry per time step: (samples, time steps).\n"
        "Fix: mask of shape (2, 4)"
    )


def test_initial_states_that_do_not_fit():
    layer, x = LSTM(4, name="mine"), torch.ones(2, 3, 5)
    assert message(lambda: layer(x, initial_state=[torch.zeros(2, 4)])) == (
        "LSTM 'mine' got 1 initial state.\nExpected 2: (samples, 4), (samples, 4).\nFix: initial_state=[h, c]"
    )
    assert message(lambda: layer(x, initial_state=[torch.zeros(2, 4), torch.zeros(2, 3)])) == (
        "LSTM 'mine' got initial states of shapes [(2, 4), (2, 3)] with an input of 2 samples.\n"
        "Expected 2: (samples, 4), (samples, 4).\nFix: initial_state=[h, c]"
    )


def test_stateful_layers_want_one_batch_size():
    assert message(lambda: LSTM(4, stateful=True, name="mine")(Input((3, 5)))) == (
        "LSTM 'mine' is stateful and got an input of shape (None, 3, 5), of any batch size.\n"
        "Expected a fixed batch size: it keeps one state per sample.\n"
        "Fix: Input(batch_shape=(32, 3, 5))"
    )
    layer = LSTM(4, stateful=True, name="mine")
    layer(torch.ones(2, 3, 5))
    assert message(lambda: layer(torch.ones(3, 3, 5))) == (
        "LSTM 'mine' is stateful for batches of 2 samples and got 3.\n"
        "Expected the same batch size at every call.\n"
        "Fix: give it a multiple of 2 samples in batches of 2"
    )
    assert message(Bidirectional(LSTM(2), name="both").reset_state, AttributeError).startswith(
        "Bidirectional 'both' keeps no states between batches."
    )


@pytest.mark.parametrize(
    ("make", "first", "fix"),
    [
        (lambda: LSTM(-8), "LSTM got units=-8.", "LSTM(units=8)"),
        (lambda: GRUCell(2.5), "GRUCell got units=2.5.", "GRUCell(units=32)"),
        (lambda: LSTM(8, dropout=50), "LSTM got dropout=50.", "LSTM(8, dropout=0.5)"),
        (lambda: GRU(8, recurrent_dropout=-0.1), "GRU got recurrent_dropout=-0.1.", "GRU(8, recurrent_dropout=0.5)"),
        (lambda: SimpleRNN(8, seed="x"), "SimpleRNN got seed='x'.", "SimpleRNN(8, seed=0)"),
        (
            lambda: LSTM(8, return_sequences="yes"),
            "LSTM got return_sequences='yes'.",
            "LSTM(..., return_sequences=True)",
        ),
        (lambda: LSTM(8, implementation=3), "LSTMCell got implementation=3.", "LSTMCell(8)"),
        (lambda: GRU(8, use_cudnn="yes"), "GRU got use_cudnn='yes'.", 'use_cudnn="auto"'),
        (
            lambda: GRU(8, use_cudnn=True, reset_after=False),
            "GRU got use_cudnn=True together with reset_after=False.",
            'use_cudnn="auto", or without reset_after=False',
        ),
        (
            lambda: Bidirectional(LSTM(8, go_backwards=True)),
            "Bidirectional got two layers with go_backwards=True.",
            "backward_layer=LSTM(..., go_backwards=False)",
        ),
        (
            lambda: Bidirectional(LSTM(8), backward_layer=LSTM(8, go_backwards=True, return_sequences=True)),
            "Bidirectional got layers with return_sequences=False and return_sequences=True.",
            "backward_layer=LSTM(..., return_sequences=False)",
        ),
        (lambda: Bidirectional("lstm"), "Bidirectional got layer='lstm', a str.", "Bidirectional(LSTM(32))"),
        (lambda: StackedRNNCells([]), "StackedRNNCells got cells=[].", "StackedRNNCells([LSTMCell(32), LSTMCell(32)])"),
    ],
)
def test_impossible_settings(make, first, fix):
    lines = message(make).split("\n")
    assert lines[0] == first and lines[1].startswith("Expected ") and lines[2] == f"Fix: {fix}" and len(lines) == 3


def test_what_is_no_cell():
    assert "which has no 'state_size'.\nExpected a cell with a 'state_size' attribute" in message(lambda: RNN(Dense(3)))
    text = message(lambda: RNN(LSTM(3, name="mine")))
    assert text.endswith("Fix: use the layer by itself, or its cell: RNN(LSTMCell(3))")
    assert "which has no 'go_backwards'" in message(lambda: Bidirectional(Dense(3)))
    assert message(lambda: Bidirectional(LSTM(3), merge_mode="avg")).endswith(
        "Fix: Bidirectional(..., merge_mode='ave')"
    )
    assert "did you mean 'return_sequences='?" in message(lambda: LSTM(3, return_sequence=True))
    assert isinstance(SimpleRNNCell(3), Layer)


def test_weights_and_their_gradients_lie_in_one_piece():
    """Torch's own tools, such as LBFGS and safetensors, want that."""
    for kind in (LSTM, GRU):
        layer = kind(4)
        layer(torch.randn(2, 3, 5)).sum().backward()
        assert all(w.is_contiguous() and w.grad.is_contiguous() for w in layer.weights)
