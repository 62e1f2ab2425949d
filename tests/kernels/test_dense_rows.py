"""Products and what follows them, some rows at a time, against torch's functions in float64."""

import pytest
import torch
from torch.nn import functional

from uncrumple.kernels import dense_rows, native

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

# rows, inner, columns: tails of blocks and of bands, deep products, and what is left to torch.
SIZES = [(1, 16, 16), (97, 32, 48), (300, 16, 80), (193, 272, 32), (2, 384, 160), (0, 16, 16), (33, 5, 16), (33, 16, 7)]
SIZES += [(3, 0, 16), (3, 16, 0)]


@pytest.fixture(autouse=True)
def _for_few_rows_too(monkeypatch):
    monkeypatch.setattr(dense_rows, "_LEAST_ROWS", 0)


def numbers(rows, inner, columns):
    """Return x, weights, bias, shortcut, gamma, beta."""
    generator = torch.Generator().manual_seed(rows + inner + columns)
    shapes = (rows, inner), (inner, columns), (columns,), (rows, columns), (columns,), (columns,)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def exactly(inputs, relu=False, epsilon=None):
    """Return what torch gives in float64, and the leaves that it came from."""
    leaves = [one if one is None else one.double().requires_grad_() for one in inputs]
    x, weights, bias, shortcut, gamma, beta = leaves
    out = x @ weights
    out = out if bias is None else out + bias
    out = out.relu() if relu else out
    if epsilon is not None:
        out = functional.layer_norm(out + shortcut, shortcut.shape[1:], gamma, beta, epsilon)
    return out, leaves


def near(found, wanted):
    torch.testing.assert_close(found.double(), wanted.detach(), rtol=1e-4, atol=3e-4)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_product_there_and_back(instruction_set, sizes, relu, with_bias):
    inputs = numbers(*sizes)
    inputs[2] = inputs[2] if with_bias else None
    out = dense_rows.multiply(*inputs[:3], relu)
    exact, (x, weights, bias, *_) = exactly(inputs, relu)
    near(out, exact)
    d, plus = torch.randn(out.shape), torch.randn(inputs[0].shape)
    exact.backward(d.double())
    before = d.clone()
    found = dense_rows.gradients(d, inputs[1], rectified=out if relu else None, plus=plus)
    torch.testing.assert_close(d, before)  # somebody else may need it
    near(found.x, x.grad + plus)
    near(inputs[0].t() @ found.products, weights.grad)
    near(found.bias, bias.grad if with_bias else found.products.double().sum(0))
    again = dense_rows.gradients(d, inputs[1], rectified=out if relu else None, x_wanted=False, overwrite=True)
    assert again.x is None
    torch.testing.assert_close(again.products, found.products)


@pytest.mark.parametrize("sizes", [one for one in SIZES if one[0] and one[2]], ids=str)
@pytest.mark.parametrize("left_out", [(), (2,), (4,), (5,), (2, 4, 5)], ids=str)
def test_normalized_sum_there_and_back(instruction_set, sizes, left_out):
    inputs = [None if place in left_out else one for place, one in enumerate(numbers(*sizes))]
    out, normalized = dense_rows.multiply_and_normalize(*inputs, 1e-3)
    exact, (x, weights, _, shortcut, gamma, beta) = exactly(inputs, epsilon=1e-3)
    near(out, exact)
    d = torch.randn(out.shape)
    exact.backward(d.double())
    found = dense_rows.gradients(d, inputs[1], normalized=normalized)
    near(found.products, shortcut.grad)
    near(found.x, x.grad)
    near(inputs[0].t() @ found.products, weights.grad)
    near(found.bias, shortcut.grad.sum(0))
    for mine, leaf in ((found.gamma, gamma), (found.beta, beta)):
        if leaf is not None:
            near(mine, leaf.grad)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        inputs = numbers(1001, 64, 96)
        out, normalized = dense_rows.multiply_and_normalize(*inputs, 1e-3)
        exact, (x, _, bias, _, gamma, _) = exactly(inputs, epsilon=1e-3)
        d = torch.randn(out.shape)
        exact.backward(d.double())
        found = dense_rows.gradients(d, inputs[1], normalized=normalized)
        for mine, other in ((out, exact), (found.x, x.grad), (found.bias, bias.grad), (found.gamma, gamma.grad)):
            near(mine, other)
    finally:
        torch.set_num_threads(before)


def test_memory_of_any_layout(instruction_set):
    inputs = numbers(70, 32, 48)
    apart = [torch.stack([torch.full_like(one, torch.nan), one], -1)[..., 1] for one in inputs]
    apart[3] = inputs[3].t().contiguous().t()
    wanted, kept = dense_rows.multiply_and_normalize(*inputs, 1e-3)
    found, kept_too = dense_rows.multiply_and_normalize(*apart, 1e-3)
    torch.testing.assert_close(found, wanted)
    d = torch.randn(48, 70).t()
    apart_too = kept_too._replace(gamma=apart[4])
    for one, other in zip(
        dense_rows.gradients(d, apart[1], normalized=apart_too),
        dense_rows.gradients(d.contiguous(), inputs[1], normalized=kept),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_nan_comes_through(instruction_set):
    x, weights, bias, shortcut, gamma, beta = numbers(40, 16, 32)
    x[7, 3] = float("nan")
    for out in (
        dense_rows.multiply(x, weights, bias, relu=True),
        dense_rows.multiply_and_normalize(x, weights, bias, shortcut, gamma, beta, 1e-3)[0],
    ):
        assert out.isnan().all(1).nonzero().flatten().tolist() == [7]
        assert out.isnan().any(1).nonzero().flatten().tolist() == [7]


def test_sizes_that_do_not_fit_are_named_by_torch():
    x, weights, bias, *_ = numbers(40, 16, 32)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        dense_rows.multiply(x[:, :8], weights, bias)
