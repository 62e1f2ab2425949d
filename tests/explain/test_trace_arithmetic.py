"""Each number of a trace is the one that the layer computed, for every layer with arithmetic."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from uncrumple import layers as L
from uncrumple.core import registry
from uncrumple.explain.tracing.arithmetic import Asked, allowed, function_for, has_arithmetic, worked_out
from uncrumple.explain.tracing.watch import Call
from uncrumple.layers.merging import Merge

_PATH = Path(__file__).resolve().parents[1] / "layers" / "test_contract.py"
_spec = importlib.util.spec_from_file_location("contract_cases", _PATH)
contract = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(contract)

# Settings whose numbers have no words: a sentence stands for them. Everything else that `has_arithmetic` must give it.
_SENTENCE = {
    "Attention-concat",
    "Bidirectional-both",
    "EinsumDense-dots",
    "GroupedQueryAttention",
    "MultiHeadAttention-axes",
    "MultiHeadAttention-gate",
    "MultiHeadAttention-shapes",
    "RNN",
    "Softmax-axes",
    "UpSampling2D-bilinear",
}
WITH = [case for case in contract.CASES if has_arithmetic(type(case.make()))]
WITHOUT = [case for case in contract.CASES if not has_arithmetic(type(case.make()))]


def asked_of(layer, inputs, place=None, training=False, **kwargs):
    several = isinstance(inputs, list)
    takes_list = isinstance(layer, (L.Attention, L.AdditiveAttention, Merge))
    args = (inputs,) if not several or takes_list else tuple(inputs)
    with torch.no_grad():
        output = layer(*args, training=training, **kwargs) if training else layer(*args, **kwargs)
    call = Call("layer", layer, 0, False, args, kwargs, output)
    first = call.outputs[0]
    return Asked(layer, call.inputs, kwargs, place or (0,) * first.dim(), first, training)


def every_place(asked):
    """Return up to twelve places of the output, spread over it."""
    shape = asked.output.shape
    total = asked.output.numel()
    for index in range(0, total, max(total // 12, 1)):
        place, rest = [], index
        for size in reversed(shape):
            place.append(rest % size)
            rest //= size
        yield tuple(reversed(place))


@pytest.mark.parametrize("case", WITH, ids=[case.id for case in WITH])
def test_numbers_are_the_layers_own(case):
    layer = case.layer()
    asked = asked_of(layer, case.inputs())
    places = list(every_place(asked))
    found = [worked_out(dataclasses.replace(asked, place=place)) for place in places]
    if case.id in _SENTENCE:
        assert not any(found)
        return
    for place, lines in zip(places, found):
        assert lines, f"no arithmetic for {place}"
        real = float(asked.output[place])
        computed = lines[-1].value if lines[-1].output is None else lines[-1].output
        assert computed == pytest.approx(real, rel=2e-5, abs=2e-6)
        for line in lines:
            assert line.name and line.formula and line.numbers
            assert "tensor(" not in " ".join(line.lines())


@pytest.mark.parametrize("case", WITHOUT, ids=[case.id for case in WITHOUT])
def test_layers_without_arithmetic_have_a_sentence(case):
    from uncrumple.explain.tracing.words import first_sentence

    layer = case.layer()
    assert worked_out(asked_of(layer, case.inputs())) is None
    assert len(first_sentence(type(layer))) > 10


def test_most_layers_have_arithmetic():
    """What has none is named here, so that a new layer is thought of."""
    without = {name for name, cls in registry.builtins("layers").items() if not has_arithmetic(cls)}
    preprocessing = {
        name
        for name in without
        if registry.builtins("layers")[name].__module__.startswith(
            ("uncrumple.layers.augmentation", "uncrumple.layers.preprocessing")
        )
    }
    assert without - preprocessing == {
        "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRUCell", "InputLayer", "LSTMCell", "Lambda", "SimpleRNNCell",
        "SpectralNormalization", "StackedRNNCells", "TorchFunction", "Wrapper",
    }  # fmt: skip


def test_a_wrong_number_is_not_shown():
    """The check can fail: a subclass that computes something else gets no arithmetic, nor does a wrong output."""

    class Doubled(L.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    assert function_for(Doubled(3)) is None
    asked = asked_of(L.Dense(3), torch.randn(2, 4))
    assert worked_out(asked)
    assert worked_out(dataclasses.replace(asked, output=asked.output + 0.001)) is None


def test_what_is_allowed_is_rounding_alone():
    asked = asked_of(L.Dense(3), torch.randn(2, 784))
    lines = worked_out(asked)
    assert allowed(asked, lines, float(asked.output[0, 0])) < 1e-4 * lines[0].size


@pytest.mark.parametrize("policy", ["float64", "bfloat16", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "make", [lambda **k: L.Dense(3, activation="relu", **k), lambda **k: L.LayerNormalization(**k)]
)
def test_other_types_of_numbers(policy, make):
    layer = make(dtype=policy)
    assert worked_out(asked_of(layer, torch.randn(2, 8, dtype=torch.float32)))


def test_training_acts_of_dropout_and_batch_normalization():
    x = torch.randn(8, 5)
    asked = asked_of(L.Dropout(0.5), x, training=True)
    words = set()
    for place in every_place(asked):
        (line,) = worked_out(dataclasses.replace(asked, place=place))
        assert line.value == pytest.approx(float(asked.output[place]), rel=1e-6)
        words.add(line.name)
    assert words == {"dropped", "kept"}
    lines = worked_out(asked_of(L.BatchNormalization(), x, training=True))
    assert lines[0].value == pytest.approx(float(x[:, 0].mean()), rel=1e-5)


def test_masks_count():
    x = torch.randn(2, 4, 3)
    x[0, 2:] = 0
    masked = L.Masking()(x)
    for layer in (L.LSTM(2), L.GRU(2, return_sequences=True), L.GlobalAveragePooling1D(), L.MultiHeadAttention(2, 3)):
        inputs = [masked, masked] if isinstance(layer, L.MultiHeadAttention) else masked
        asked = asked_of(layer, inputs)
        for place in every_place(asked):
            unseen = isinstance(layer, L.MultiHeadAttention) and place[:2] in ((0, 2), (0, 3))
            assert bool(worked_out(dataclasses.replace(asked, place=place))) is not unseen, (layer, place)


@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_time_step_of_choice(kind, backwards):
    """The gate lines of step t end in what the layer with all outputs returned there."""
    every = kind(3, return_sequences=True, go_backwards=backwards)
    last = kind(3, go_backwards=backwards)
    x = torch.randn(2, 6, 4)
    outputs = every(x).detach()
    last(x)
    last.set_weights(every.get_weights())
    asked = asked_of(last, x, place=(1, 2))
    for step in range(6):
        lines = worked_out(dataclasses.replace(asked, time_step=step))
        read = 5 - step if backwards else step
        assert lines[-1].value == pytest.approx(float(outputs[1, read, 2]), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul"])
@pytest.mark.parametrize("sequences", [False, True])
def test_both_ways(merge, sequences):
    layer = L.Bidirectional(L.GRU(3, return_sequences=sequences), merge_mode=merge)
    asked = asked_of(layer, torch.randn(2, 4, 3))
    for place in every_place(asked):
        assert worked_out(dataclasses.replace(asked, place=place))


def test_causal_attention():
    x = torch.randn(2, 5, 8)
    asked = asked_of(L.MultiHeadAttention(2, 4), [x, x], use_causal_mask=True)
    for place in every_place(asked):
        assert worked_out(dataclasses.replace(asked, place=place))
    asked = asked_of(L.Attention(), [x, x], use_causal_mask=True)
    assert worked_out(dataclasses.replace(asked, place=(1, 2, 3)))


TORCH = [
    (torch.nn.Linear(6, 3), (2, 6)),
    (torch.nn.Conv1d(2, 3, 2, padding=1), (2, 2, 6)),
    (torch.nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (2, 2, 7, 7)),
    (torch.nn.Conv3d(1, 2, 2, dilation=2), (2, 1, 4, 4, 4)),
    (torch.nn.MaxPool2d(2), (2, 2, 5, 5)),
    (torch.nn.AvgPool1d(3, 2), (2, 2, 8)),
    (torch.nn.BatchNorm1d(4).eval(), (3, 4)),
    (torch.nn.LayerNorm(4), (3, 4)),
    (torch.nn.ReLU(), (3, 4)),
    (torch.nn.GELU(), (3, 4)),
    (torch.nn.LeakyReLU(0.1), (3, 4)),
    (torch.nn.Softmax(dim=1), (3, 4)),
    (torch.nn.Flatten(), (3, 4, 2)),
    (torch.nn.Dropout(0.5).eval(), (3, 4)),
]


@pytest.mark.parametrize(("module", "shape"), TORCH, ids=[type(module).__name__ for module, _ in TORCH])
def test_modules_of_torch(module, shape):
    x = torch.randn(shape)
    with torch.no_grad():
        output = module(x)
    for place in every_place(Asked(module, [x], {}, (0,), output)):
        lines = worked_out(Asked(module, [x], {}, place, output))
        assert lines and lines[-1].value == pytest.approx(float(output[place]), rel=1e-5, abs=1e-6)
    assert worked_out(asked_of(L.TorchModuleWrapper(module), x))
