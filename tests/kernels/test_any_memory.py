"""Kernels on tensors that lie in memory in any way, against the same numbers side by side and against plain twins.

What lies between the numbers is NaN, so that a kernel that reads the wrong place is found out.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uncrumple.kernels import (
    attention,
    convolution_native,
    crossentropy,
    dense,
    dropout,
    embedding,
    layer_normalization,
    native,
    normalization,
    pooling,
    quantized,
    recurrent,
    recurrent_plain,
)
from uncrumple.kernels.convolution_greatest import Line, convolve_to_greatest, convolve_to_greatest_plain
from uncrumple.kernels.convolution_native import Ending, Geometry

quick = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
F32, HALF = torch.float32, torch.bfloat16


@pytest.fixture(params=[*native.INSTRUCTION_SETS, "without"], scope="module")
def kernels(request):
    """Run with each set of instructions that this processor has, and without the native kernels."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "without":
            patch.setattr(native, "takes", lambda *tensors, half=False: False)
        elif native.limit_instruction_set(request.param) != request.param:
            native.limit_instruction_set(None)
            pytest.skip("this processor has no such instructions, or the kernels were not compiled")
        patch.setattr(dense, "_WORTH_IT", 0)
        patch.setattr(layer_normalization, "_WORTH_IT", 0)
        yield request.param
    native.limit_instruction_set(None)


# --- ways to lie in memory ------------------------------------------------------------------------


def _between(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Every second along an axis of something longer."""
    return torch.stack([torch.full_like(x, torch.nan), x], axis + 1).select(axis + 1, 1)


def _offset(x: torch.Tensor) -> torch.Tensor:
    gap = x.new_full((3,), torch.nan)
    return torch.cat([gap, x.reshape(-1), gap])[3 : 3 + x.numel()].view(x.shape)


def _turned(x: torch.Tensor) -> torch.Tensor:
    order = tuple(reversed(range(x.dim())))
    return x.permute(order).contiguous().permute(order)


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1).contiguous().movedim(-1, 1) if x.dim() > 2 else x


def _expanded(x: torch.Tensor, axis: int) -> torch.Tensor:
    return x.narrow(axis, 0, 1).expand(x.shape)


WAYS = {
    "dense": lambda x: x,
    "offset": _offset,
    "apart": lambda x: _between(x, x.dim() - 1),
    "rows apart": lambda x: _between(x, 0),
    "turned": _turned,
    "channels last": _channels_last,
    "expanded": lambda x: _expanded(x, 0),
    "all expanded": lambda x: x.reshape(-1)[:1].view((1,) * x.dim()).expand(x.shape),
    "last expanded": lambda x: _expanded(x, x.dim() - 1),
}
ways = st.sampled_from(list(WAYS))
# Where rows are all alike, second derivatives are little but rounding.
different = st.sampled_from([one for one in WAYS if "expanded" not in one])


# --- what is run -------------------------------------------------------------------------------


class Case(NamedTuple):
    """A function of tensors, what they are, and its twin."""

    run: Any
    shapes: list[tuple[int, ...] | None]
    twin: Any = None
    kind: torch.dtype = F32
    learns: bool = True


def _sizes(draw, *least: int, most: int = 9) -> list[int]:
    return [draw(st.integers(low, most)) for low in least]


def rectified(draw, kind):
    rows, features, units = _sizes(draw, 1, 1, 1)
    run = functools.partial(dense.multiply_add, relu=True)
    twin = functools.partial(dense.multiply_add_plain, relu=True)
    return Case(run, [(rows, 2, features), (features, units), (units,)], twin, kind)


def side_by_side(draw, kind):
    rows, features, one, two = _sizes(draw, 1, 1, 1, 1)
    biased = draw(st.booleans())

    def run(x, k1, k2, *biases):
        return tuple(dense.multiply_add_each(x, [k1, k2], list(biases) or None))

    def twin(x, k1, k2, *biases):
        return tuple(dense.multiply_add_plain(x, k, b) for k, b in zip((k1, k2), biases or (None, None), strict=True))

    shapes = [(rows, 3, features), (features, one), (features, two), *([(one,), (two,)] if biased else [])]
    return Case(run, shapes, twin, kind)


def row(draw, kind):
    features, units = _sizes(draw, 1, 1, most=40)
    run = functools.partial(dense.multiply_add_row, relu=True, least=0)
    twin = functools.partial(dense.multiply_add_plain, relu=True)
    return Case(run, [(1, features), (features, units), (units,)], twin, learns=False)


def wide(draw, kind):
    rows, features, units = _sizes(draw, 1, 1, 1, most=40)

    def run(x, kernel, bias):
        return dense.multiply_add_wide(x.bfloat16(), kernel, bias)

    return Case(run, [(rows, features), (features, units), (units,)], learns=False)


def convolution(draw, kind, learns=True):
    samples, height, width = _sizes(draw, 1, 5, 5)
    channels, filters = draw(st.sampled_from([(1, 5), (3, 16), (2, 33), (17, 4), (32, 32), (16, 64)]))
    bias = (filters,) if draw(st.booleans()) else None
    window = draw(st.sampled_from([None, (2, 2), (1, 3)]))
    limit = draw(st.sampled_from([0, 2**30])) if window else 0
    relu = window is None or draw(st.booleans())
    ending = Ending(relu, window, 77, limit, 2**32 / (2**32 - limit))
    geometry = Geometry(*draw(st.sampled_from([((1, 1), (0, 0)), ((2, 1), (1, 1))])), (1, 1), 1)

    def run(*tensors, of=convolution_native.convolve_and_end):
        return of(*tensors, *([] if bias else [None]), geometry, ending)

    twin = functools.partial(run, of=convolution_native.convolve_and_end_plain)
    taps = (filters, channels, 3, 2)
    if native.available() and native.takes(torch.ones(1)):
        shapes = [(samples, channels, height, width), taps, *([bias] if bias else [])]
        return Case(run, shapes, twin, kind, learns)
    return Case(twin, [(samples, channels, height, width), taps, *([bias] if bias else [])], twin, kind, learns)


def convolution_alone(draw, kind):
    return convolution(draw, kind, learns=False)


def greatest(draw, kind):
    samples, steps, channels, filters = _sizes(draw, 1, 4, 1, 1)
    relu, hole = draw(st.booleans()), draw(st.integers(1, 2))
    twin = functools.partial(convolve_to_greatest_plain, line=Line(1, hole), relu=relu)

    def run(x, kernel, bias):
        return convolve_to_greatest(x, kernel, bias, strides=(1,), dilation=(hole,), relu=relu)

    known = native.available() and native.takes(torch.ones(1))
    return Case(run if known else twin, [(samples, steps, channels), (2, channels, filters), (filters,)], twin, kind)


def batch_normalization(draw, kind):
    rows, channels = _sizes(draw, 2, 1, most=20)
    after = normalization.After(draw(st.booleans()), 5, draw(st.sampled_from([0, 2**30])), 4 / 3)
    shortcut = draw(st.booleans())

    def given_weights(x, gamma, beta, shortcut=None):
        # Weights are float32 whatever the numbers are.
        return x, gamma.float(), beta.float(), shortcut

    def run(*tensors):
        x, gamma, beta, other = given_weights(*tensors)
        averages = normalization.Averages(torch.zeros(channels), torch.ones(channels), 0.9)
        if not normalization.takes_normalization(x, gamma, beta, averages, other):
            return twin(*tensors)
        return normalization.batch_normalize(x, gamma, beta, averages, 0.1, other, after)

    def twin(*tensors):
        x, gamma, beta, other = given_weights(*tensors)
        return normalization.batch_normalize_plain(x, gamma, beta, 0.1, other, after)

    whole = (rows, 3, channels)
    return Case(run, [whole, (channels,), (channels,), *([whole] if shortcut else [])], twin, kind)


def held_normalization(draw, kind):
    rows, channels = _sizes(draw, 2, 1, most=20)
    averages = normalization.Averages(torch.arange(channels).float(), torch.arange(channels) + 0.5, 0.9)

    def run(x, gamma, beta, other):
        gamma, beta = gamma.float(), beta.float()
        if not normalization.takes_normalization(x, gamma, beta, averages, other):
            return twin(x, gamma, beta, other)
        return normalization.normalize(x, gamma, beta, averages, 1e-3, other)

    def twin(x, gamma, beta, other):
        out = (x - averages.mean) * torch.rsqrt(averages.variance + 1e-3) * gamma.float() + beta.float() + other
        return out.to(x.dtype)

    return Case(run, [(rows, channels), (channels,), (channels,), (rows, channels)], twin, kind, learns=False)


def layer_normalization_of_sum(draw, kind):
    rows, width = _sizes(draw, 1, 2, most=20)

    def run(x, gamma, beta, other, of=layer_normalization.layer_normalize):
        gamma, beta = gamma.float(), beta.float()
        if not layer_normalization.takes_layer_normalization(x, other, gamma, beta):
            of = layer_normalization.layer_normalize_plain
        return of(x, gamma, beta, 1e-2, other)

    twin = functools.partial(run, of=layer_normalization.layer_normalize_plain)
    return Case(run, [(rows, 2, width), (width,), (width,), (rows, 2, width)], twin, kind)


def attending(draw, kind):
    samples, queries, keys, width, out = _sizes(draw, 1, 1, 1, 1, 1)
    causal = draw(st.booleans()) and queries <= keys
    run = functools.partial(attention.attend, scale=0.4, causal=causal)
    twin = functools.partial(attention.attend_plain, mask=None, scale=0.4, causal=causal)
    shapes = [(samples, 2, queries, width), (samples, 2, keys, width), (samples, 2, keys, out)]
    return Case(run, shapes, twin, kind)


def _network(draw, kind, gates, run, twin, states=1):
    samples, steps, features, units = _sizes(draw, 1, 1, 1, 1)
    units = 32 if kind is HALF else units
    bias = (2, gates * units) if gates == 3 else (gates * units,)
    shapes = [(samples, steps, features), *[(samples, units)] * states, (features, gates * units)]
    biased = draw(st.booleans())

    def called(*tensors):
        found = run(*tensors, *([] if biased else [None]))
        return found.outputs, found.last, *found.states[1:]

    def called_twin(*tensors):
        found = twin(*tensors, *([] if biased else [None]))
        found = found if isinstance(found, tuple) else (found,)
        return found[0], *(one[:, -1] for one in found)

    return Case(called, [*shapes, (units, gates * units), *([bias] if biased else [])], called_twin, kind)


def simple_rnn(draw, kind):
    return _network(draw, kind, 1, recurrent.simple_rnn, recurrent_plain.simple_rnn_plain)


def gru(draw, kind):
    return _network(draw, kind, 3, recurrent.gru, recurrent_plain.gru_plain)


def lstm(draw, kind):
    return _network(draw, kind, 4, recurrent.lstm, recurrent_plain.lstm_plain, states=2)


def dropping(draw, kind):
    shape = tuple(_sizes(draw, 1, 1, 1))

    def run(x):
        return dropout.dropout(x, 0.3, generator=torch.Generator().manual_seed(3))

    return Case(run, [shape], None, kind)


def looked_up(draw, kind):
    shape, rows, width = tuple(_sizes(draw, 1, 1)), draw(st.integers(1, 6)), draw(st.integers(1, 9))
    whole = draw(st.sampled_from([torch.int32, torch.int64]))
    indices = torch.randint(rows, shape, dtype=whole, generator=torch.Generator().manual_seed(width))
    way = WAYS[draw(st.sampled_from(["dense", "turned", "expanded"]))]

    def run(table, of=embedding.embedding):
        return of(way(indices), table)

    return Case(run, [(rows, width)], functools.partial(run, of=embedding.embedding_plain), kind)


def pooled(draw, kind):
    samples, height, width, channels = _sizes(draw, 1, 3, 3, 1)
    function = draw(st.sampled_from([pooling.max_pool, pooling.average_pool]))
    padding = draw(st.sampled_from(["valid", "same"]))
    return Case(lambda x: function(x, (2, 3), (2, 1), padding), [(samples, height, width, channels)], None, kind)


def surprised(draw, kind):
    rows, classes = _sizes(draw, 1, 2)
    labels = torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(classes))
    labels = WAYS[draw(st.sampled_from(["dense", "expanded"]))](labels)
    sparse, mean = draw(st.booleans()), draw(st.booleans())

    def run(
        scores, sparse_one=crossentropy.sparse_from_probabilities, other=crossentropy.categorical_from_probabilities
    ):
        probabilities = scores.abs() + 0.1
        if sparse:
            return sparse_one(labels, probabilities, mean)
        return other(torch.nn.functional.one_hot(labels, classes).to(scores.dtype), probabilities, mean)

    twin = functools.partial(
        run,
        sparse_one=crossentropy.sparse_from_probabilities_plain,
        other=crossentropy.categorical_from_probabilities_plain,
    )
    return Case(run, [(rows, classes)], twin)


IN_BOTH = [
    *(
        rectified,
        convolution,
        convolution_alone,
        greatest,
        batch_normalization,
        held_normalization,
        layer_normalization_of_sum,
    ),
    *(attending, simple_rnn, gru, lstm, dropping, looked_up, pooled),
]
CASES = [*[(one, F32) for one in IN_BOTH], *[(one, HALF) for one in IN_BOTH]]
CASES += [(one, F32) for one in (side_by_side, row, wide, surprised)]


def _tuple(found: Any) -> tuple[torch.Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


def _all(run, leaves, laid, d_ways, learns):
    """Return outputs, and the gradients of the leaves."""
    with torch.set_grad_enabled(learns):
        outputs = _tuple(run(*laid))
    if not learns:
        return list(outputs)
    generator = torch.Generator().manual_seed(1)
    ds = [torch.randn(one.shape, generator=generator).to(one.dtype) for one in outputs]
    ds = [WAYS[way](one) if one.dim() else one for one, way in zip(ds, d_ways, strict=False)]
    return [*outputs, *torch.autograd.grad(outputs, leaves, ds, allow_unused=True)]


@pytest.mark.parametrize(("case", "kind"), CASES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_any_memory(kernels, case, kind):
    @quick
    @given(st.data())
    def check(data):
        made = case(data.draw, kind)
        generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
        drawn = [torch.randn(shape, generator=generator).to(made.kind) for shape in made.shapes]
        leaves = [one.requires_grad_(made.learns) for one in drawn]
        laid = [WAYS[data.draw(ways)](one) for one in leaves]
        d_ways = [data.draw(ways) for _ in range(4)]
        copies = [one.contiguous() + 0 for one in laid]  # of numbers, not of how they lie
        found = _all(made.run, leaves, laid, d_ways, made.learns)
        same = _all(made.run, leaves, copies, d_ways, made.learns)
        near = {"rtol": 1e-3, "atol": 2e-3} if made.kind is F32 else {"rtol": 3e-2, "atol": 0.1}
        for one, other in zip(found, same, strict=True):
            torch.testing.assert_close(one, other, **near)
        if made.twin is not None and made.kind is F32:
            for one, other in zip(found, _all(made.twin, leaves, copies, d_ways, made.learns), strict=True):
                torch.testing.assert_close(one, other, **near)

    check()


def _twice(run, leaves, inputs):
    """Return the gradients, and the gradients of what they add up to."""
    cost = sum(one.square().sum() for one in _tuple(run(*inputs)))
    first = torch.autograd.grad(cost, leaves, create_graph=True, allow_unused=True)
    again = sum(one.square().sum() for one in first if one is not None)
    return [*first, *torch.autograd.grad(again, leaves, allow_unused=True, retain_graph=True)]


@pytest.mark.parametrize("case", [one for one, kind in CASES if kind is F32], ids=lambda one: one.__name__)
def test_gradients_of_gradients_where_inputs_belong_together(kernels, case):
    """One input is another, or was made of it: each gets its own share, once."""

    if case is attending and kernels == "without":
        pytest.skip("torch's own attention has no second derivative, and says so")

    @settings(quick, max_examples=8)
    @given(st.data())
    def check(data):
        made = case(data.draw, F32)
        if made.twin is None or not made.learns:
            return
        generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
        leaves = [torch.randn(shape, generator=generator).requires_grad_() for shape in made.shapes]
        laid = [WAYS[data.draw(different)](one) for one in leaves]
        inputs = [laid[0], *(one + laid[0].mean().sin() for one in laid[1:])]
        if data.draw(st.booleans()):
            inputs = [laid[0] if one.shape == laid[0].shape else one for one in inputs]
        found, expected = (_twice(run, leaves, inputs) for run in (made.run, made.twin))
        for one, other in zip(found, expected, strict=True):
            one, other = (torch.zeros(()) if part is None else part for part in (one, other))
            torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-3 * max(1.0, float(other.abs().max())))

    check()


@quick
@given(st.data())
def test_int8_products_in_any_memory(data):
    rows, count, units = (data.draw(st.integers(1, 40)) for _ in range(3))
    generator = torch.Generator().manual_seed(count)
    inputs, kernel = (torch.randint(-127, 128, s, generator=generator) for s in ((rows, count), (count, units)))
    known = [name for name in WAYS if "apart" not in name and name != "offset"]
    laid = [WAYS[data.draw(st.sampled_from(known))](one.to(torch.int8)) for one in (inputs, kernel)]
    expected = (laid[0].double() @ laid[1].double()).float()
    assert torch.equal(quantized.int8_matmul(*laid, torch.float32), expected)
