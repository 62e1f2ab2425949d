"""`model.trace(x)`: what it shows for every kind of model, and what it says to mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers as L
from uncrumple.explain.keeping import untouched
from uncrumple.explain.tracing.axes import axes_of
from uncrumple.explain.tracing.parameters import parameters_in_words
from uncrumple.models import Model, Sequential, load_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def small_cnn():
    return Sequential(
        [
            L.Input((8, 8, 1)),
            L.Conv2D(4, 3, activation="relu", name="looks"),
            L.MaxPooling2D(name="shrinks"),
            L.Flatten(name="flat"),
            L.Dropout(0.5, name="drops"),
            L.Dense(3, activation="softmax", name="decides"),
        ],
        name="cnn",
    )


def states(model):
    return [tensor.detach().clone() for tensor in (*model.parameters(), *model.buffers())]


def same(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_text_of_a_cnn():
    text = str(small_cnn().trace(torch.rand(5, 8, 8, 1)))
    for line in (
        "cnn: 5 layers, 151 parameters; 5 samples run, the arithmetic is that of sample 0",
        "looks (Conv2D): Slides kernels over an image.",
        "  in          (5, 8, 8, 1): samples, height, width, channels",
        "  out         (5, 6, 6, 4): samples, height, width, channels",
        "  parameters  3 x 3 x 1 x 4 + 4 = 40 (kernel: height x width x channels x filters; bias: filters)",
        "  parameters  none",
        "  out         (5, 36): samples, features",
        "  parameters  36 x 3 + 3 = 111 (kernel: inputs x units; bias: units)",
        "nothing is dropped, since this is not training",
    ):
        assert line in text
    assert "max(sum, 0)" in text and "exp(sum[" in text
    assert max(map(len, text.split("\n"))) < 140


def test_default_number_is_the_greatest_and_is_what_predict_returns():
    model = small_cnn()
    x = torch.rand(5, 8, 8, 1)
    trace = model.trace(x, sample=3)
    predicted = model.predict(x, verbose=0)
    last = trace["decides"]
    assert last.place == (3, int(predicted[3].argmax()))
    assert last.value == pytest.approx(float(predicted[3].max()), rel=1e-5)
    assert all(layer.lines for layer in trace)
    assert trace[0] is trace["looks"] and len(trace) == 5


def test_unit_of_choice():
    model, x = small_cnn(), torch.rand(5, 8, 8, 1)
    assert model.trace(x, layer="looks", unit=(1, 2, 3))["looks"].place == (0, 1, 2, 3)
    assert model.trace(x, layer="looks", unit=2)["looks"].place[-1] == 2
    trace = model.trace(x, unit={"decides": 1, "looks": (0, 0, -1)})
    assert trace["decides"].place == (0, 1) and trace["looks"].place == (0, 0, 0, 3)
    assert model.trace(x, layer=-1)[0].name == "decides" and model.trace(x, layer=model.layers[0])[0].name == "looks"
    some = model.trace(x, layer=["flat", "decides"])
    assert [layer.name for layer in some] == ["flat", "decides"]
    assert str(some).startswith("cnn: 5 layers, 151 parameters;")


def test_data_and_notebook():
    trace = small_cnn().trace(np.random.rand(40, 8, 8, 1))
    data = json.loads(json.dumps(trace.to_dict()))
    assert data["samples"] == 32 and data["notes"] == ["The first 32 of 40 samples were run."]
    assert data["layers"][0]["shape_out"] == [32, 6, 6, 4]
    assert data["layers"][-1]["lines"][-1]["value"] == pytest.approx(data["layers"][-1]["value"], rel=1e-5)
    assert repr(trace) == "<Trace of cnn: 5 layers; print(...) shows it>"
    assert trace._repr_html_().startswith("<pre") and "-&gt;" not in trace._repr_html_()


@pytest.mark.parametrize("training", [False, True])
def test_nothing_changes(training):
    model = Sequential([L.Input((4,)), L.Dense(6), L.BatchNormalization(), L.Dropout(0.5, seed=3), L.Dense(2)])
    model.compile("adam", "mse")
    x = torch.randn(8, 4)
    model.fit(x, torch.randn(8, 2), verbose=0)
    before, random_state = states(model), torch.get_rng_state()
    optimizer = [variable.numpy().copy() for variable in model.optimizer.variables]
    hooks = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())
    model.trace(x, training=training)
    assert same(before, states(model)) and torch.equal(random_state, torch.get_rng_state())
    assert all(np.array_equal(one, other.numpy()) for one, other in zip(optimizer, model.optimizer.variables))
    assert not any(part.training for part in model.modules())
    assert hooks == sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


def test_nothing_changes_when_it_fails():
    model = Sequential([L.Dense(3), L.BatchNormalization()])
    model(torch.ones(2, 4))
    model.trainable = True
    before, state = states(model), torch.get_rng_state()
    with pytest.raises(RuntimeError), untouched(model):
        model.layers[0].kernel.data.zero_()
        model.train(True)
        model.layers[1].momentum = 0.5
        torch.rand(3)
        raise RuntimeError("broken")
    assert same(before, states(model)) and torch.equal(state, torch.get_rng_state())
    assert model.layers[1].momentum == 0.99 and not model.training


def test_training_shows_what_is_dropped():
    model = small_cnn()
    names = {model.trace(torch.rand(5, 8, 8, 1), training=True, sample=n)["drops"].lines[0].name for n in range(5)}
    assert names <= {"kept", "dropped"} and names


def test_functional_with_two_inputs_and_a_shortcut():
    one, two = L.Input((4,), name="left"), L.Input((4,), name="right")
    both = L.Add(name="sum")([one, two])
    hidden = L.Dense(4, activation="tanh", name="bends")(both)
    model = Model([one, two], L.Dense(2, name="ends")(both + hidden * 2), name="two")
    trace = model.trace([torch.randn(3, 4), torch.randn(3, 4)])
    assert [layer.name for layer in trace][:2] == ["sum", "bends"]
    assert trace["sum"].shapes_in == [(3, 4), (3, 4)] and trace["sum"].lines
    assert trace["ends"].lines


def test_subclassed_nested_and_shared():
    class Twice(Model):
        def __init__(self):
            super().__init__(name="twice")
            self.inner = Sequential([L.Input((4,)), L.Dense(4, activation="relu", name="deep")], name="inner")
            self.head = L.Dense(1, name="head")

        def call(self, x):
            return self.head(self.inner(self.inner(x)))

    trace = Twice().trace(torch.randn(3, 4))
    assert [(layer.name, layer.level) for layer in trace] == [
        ("inner", 0), ("deep", 1), ("inner (call 2)", 0), ("deep (call 2)", 1), ("head", 0)
    ]  # fmt: skip
    assert trace["deep (call 2)"].lines and not trace["inner"].lines
    assert "    deep (Dense)" in str(trace)


def test_modules_of_torch_go_by_their_names():
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    model = Sequential([L.Input((4,)), uc.from_torch(module, name="encoder"), L.Dense(1, name="head")])
    x = torch.randn(6, 4)
    trace = model.trace(x)
    assert [layer.name for layer in trace] == ["encoder", "encoder.0", "encoder.1", "encoder.2", "head"]
    assert trace["encoder.2"].value == pytest.approx(float(module(x)[0].max().detach()), rel=1e-5)
    assert [layer.name for layer in uc.trace(module, x)] == ["0", "1", "2"]
    assert uc.trace(torch.nn.Linear(4, 3), x)[0].lines


@pytest.mark.parametrize("name", ["dense", "conv_bn", "embedding_lstm", "gru_bidirectional", "transformer_block"])
def test_files_of_keras(name):
    model = load_model(GOLDEN / f"{name}.keras")
    x = np.load(GOLDEN / f"{name}.npz")["in_0"]
    trace = model.trace(x[:4])
    without = [layer.name for layer in trace if not layer.lines and layer.place is not None]
    assert set(without) <= {"up", "get_item"}  # bilinear upsampling, and x[...] of Python
    predicted = model.predict(x[:4], verbose=0)
    ends = [one[trace[-1].place] for one in (predicted if isinstance(predicted, list) else [predicted])
            if one.ndim == len(trace[-1].place)]  # fmt: skip
    assert any(trace[-1].value == pytest.approx(float(end), rel=1e-4) for end in ends)


def test_time_step():
    model = Sequential([L.Input((6, 2)), L.LSTM(3, name="reads"), L.Dense(1)])
    trace = model.trace(torch.randn(2, 6, 2), time_step=2)
    assert trace["reads"].lines[-1].name == "h at time step 2"
    assert [line.name for line in trace["reads"].lines[:4]] == ["input gate", "forget gate", "candidate", "output gate"]
    assert model.trace(torch.randn(2, 6, 2), time_step=-1)["reads"].lines[-1].name == "h at time step 5"


def test_a_model_that_is_not_built_is_built_as_predict_would():
    model = Sequential([L.Dense(3), L.Dense(1)])
    assert len(model.trace(torch.randn(2, 4))) == 2
    assert model.built


def test_data_that_knows_its_rows():
    from uncrumple.data import Table

    table = Table({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 7.0], "y": [0.0, 1.0, 0.0]}, "y")
    preparation = table.preparation()
    inputs = preparation.inputs()
    model = Model(inputs, L.Dense(1, name="last")(preparation(inputs)))
    assert model.trace(table)["last"].lines


def test_compiled_for_speed_is_followed_too():
    model = small_cnn()
    model.compile("adam", "mse", jit_compile=True)
    assert len(model.trace(torch.rand(2, 8, 8, 1))) == 5
    assert model._compiled_call_impl is not None


# --- words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "came", "words"),
    [
        (L.Conv1D(2, 3), (2, 9, 4), ("samples", "steps", "channels")),
        (L.Conv2D(2, 3, data_format="channels_first"), (2, 1, 9, 9), ("samples", "channels", "height", "width")),
        (L.Conv3D(2, 2), (2, 4, 4, 4, 1), ("samples", "depth", "height", "width", "channels")),
        (L.LSTM(2), (2, 9, 4), ("samples", "time steps", "features")),
        (L.Flatten(), (2, 28, 28), ("samples", "height", "width")),
        (L.Embedding(9, 3), (2, 5), ("samples", "steps")),
    ],
)
def test_axes(layer, came, words):
    made = layer(torch.zeros(came, dtype=torch.int64 if isinstance(layer, L.Embedding) else None)).shape
    first, second = axes_of(layer, None, came, made)
    assert first == words and len(second) == len(made)


@pytest.mark.parametrize(
    ("layer", "came", "words"),
    [
        (L.LSTM(16), (1, 5, 8), "8 x 4 x 16 + 16 x 4 x 16 + 4 x 16 = 1,600 (kernel: features x 4 gates x units; "
         "recurrent_kernel: units x 4 gates x units; bias: 4 gates x units)"),
        (L.GRU(4), (1, 5, 8), "8 x 3 x 4 + 4 x 3 x 4 + 2 x 3 x 4 = 168 (kernel: features x 3 gates x units; "
         "recurrent_kernel: units x 3 gates x units; bias: 2 x 3 gates x units)"),
        (L.BatchNormalization(), (1, 3), "3 + 3 + 3 + 3 = 12 (gamma: channels; beta: channels; moving_mean: channels; "
         "moving_variance: channels); 6 numbers of them trained"),
        (L.DepthwiseConv2D(3), (1, 5, 5, 2), "3 x 3 x 2 x 1 + 2 = 20 (kernel: height x width x channels x kernels each; "
         "bias: filters)"),
        (L.Dense(3, use_bias=False), (1, 4), "4 x 3 = 12 (kernel: inputs x units)"),
    ],
)  # fmt: skip
def test_parameters(layer, came, words):
    layer(torch.zeros(came))
    text, count = parameters_in_words(layer)
    assert text == words and count == layer.count_params()


# --- mistakes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"layer": "decide"}, "Unknown layer: 'decide'.\nExpected one of: decides, drops, flat, looks, shrinks.\n"
         "Fix: did you mean 'decides'?"),
        ({"sample": 7}, "trace got sample=7.\nExpected a whole number from 0 to 4: there are 5 rows.\nFix: sample=0"),
        ({"unit": 1}, "trace got unit=1 for 5 layers.\n"
         "Expected the name of the one layer that is meant, or a dict by the layers' names.\n"
         "Fix: layer='decides', unit=1, or unit={'decides': 1}"),
        ({"layer": "decides", "unit": 3}, "trace got unit=3 for 'decides', whose output for one sample has the shape "
         "(3,).\nExpected a whole number from 0 to 2.\nFix: unit=1"),
        ({"layer": "looks", "unit": (1, 9)}, "trace got unit=(1, 9) for 'looks', whose output for one sample has the "
         "shape (6, 6, 4).\nExpected a number for the last axis, or one for each axis, counted from 0.\n"
         "Fix: unit=(3, 3, 2)"),
        ({"unit": {"seen": 1}}, "Unknown layer in unit: 'seen'.\n"
         "Expected one of: decides, drops, flat, looks, shrinks.\nFix: use one of these names"),
        ({"time_step": 0}, "trace got time_step=0, and shows no recurrent layer.\n"
         "Expected one: LSTM, GRU, SimpleRNN, or one of these in Bidirectional.\nFix: leave out time_step"),
    ],
)  # fmt: skip
def test_mistakes(settings, text):
    with pytest.raises(ValueError) as error:
        small_cnn().trace(torch.rand(5, 8, 8, 1), **settings)
    assert str(error.value) == text


def test_wrong_shape_and_no_data_and_no_model():
    with pytest.raises(ValueError, match=r"\(5, 8, 7, 1\)"):
        small_cnn().trace(torch.rand(5, 8, 7, 1))
    with pytest.raises(ValueError, match="trace got x=None"):
        small_cnn().trace(None)
    with pytest.raises(TypeError, match="trace got str as its model"):
        uc.trace("model", torch.rand(2, 2))
    with pytest.raises(TypeError) as error:
        small_cnn().trace(torch.rand(5, 8, 8, 1), unitt=3)
    assert str(error.value) == (
        "trace() got an unknown argument 'unitt'.\n"
        "Expected one of: model, x, layer, unit, sample, time_step, training.\nFix: did you mean 'unit='?"
    )
    with pytest.raises(LookupError, match="did you mean 'looks'"):
        small_cnn().trace(torch.rand(5, 8, 8, 1))["look"]
