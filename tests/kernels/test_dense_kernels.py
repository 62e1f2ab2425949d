"""Matrix products with bias and relu, alone and several of one tensor, against torch's functions."""

import pytest
import torch

from uncrumple.kernels import dense
from uncrumple.kernels.dense import joined, multiply_add, multiply_add_each, multiply_add_plain


@pytest.fixture(autouse=True)
def _for_small_ones_too(monkeypatch):
    monkeypatch.setattr(dense, "_WORTH_IT", 0)


def leaves(shape, units, kind=torch.float32):
    generator = torch.Generator().manual_seed(units)
    shapes = shape, (shape[-1], units), (units,)
    return [torch.randn(one, generator=generator).to(kind).requires_grad_() for one in shapes]


def gradients(out, inputs, kind):
    d = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(kind)
    return torch.autograd.grad(out, inputs, d)


@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (2, 5, 7), (3, 2, 2, 16), (0, 4), (70, 33)], ids=str)
@pytest.mark.parametrize("units", [1, 16, 37])
def test_equals_torch(instruction_set, shape, units):
    inputs = leaves(shape, units)
    for relu in (True, False):
        out, plain = multiply_add(*inputs, relu), multiply_add_plain(*inputs, relu)
        torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
        for one, other in zip(*(gradients(one, inputs, torch.float32) for one in (out, plain)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_bfloat16_and_strange_memory(instruction_set):
    inputs = leaves((9, 20), 17, torch.bfloat16)
    out, plain = multiply_add(*inputs, True), multiply_add_plain(*inputs, True)
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out, plain)
    for one, other in zip(*(gradients(one, inputs, torch.bfloat16) for one in (out, plain)), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)
    x, kernel, bias = leaves((6, 8), 5)
    turned = [x.t().contiguous().t(), kernel.t().contiguous().t(), torch.stack([bias, bias], 1)[:, 0]]
    torch.testing.assert_close(multiply_add(*turned, True), multiply_add_plain(x, kernel, bias, True))


def test_nan_comes_through(instruction_set):
    x, kernel, bias = (one.detach() for one in leaves((4, 3), 5))
    x[1] = float("nan")
    assert multiply_add(x, kernel, bias, True).isnan().any(1).tolist() == [False, True, False, False]


def test_gradients_can_be_differentiated_again():
    inputs = leaves((5, 4), 3)
    for count in (1, 2):
        found = []
        for run in (multiply_add, multiply_add_plain):
            out = run(*inputs, True) if count == 1 else _twice(run, inputs)
            (first,) = torch.autograd.grad(out.pow(2).sum(), inputs[1], create_graph=True)
            found.append(torch.autograd.grad(first.pow(2).sum(), inputs[0])[0])
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def _twice(run, inputs):
    x, kernel, bias = inputs
    if run is multiply_add:
        return torch.cat(multiply_add_each(x, [kernel, 2 * kernel], [bias, bias]), 1)
    return torch.cat([run(x, kernel, bias), run(x, 2 * kernel, bias)], 1)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 8)], ids=str)
def test_several_products_of_one_tensor(shape, kind):
    x = leaves(shape, 1, kind)[0]
    kernels, biases = zip(*(leaves(shape, units, kind)[1:] for units in (6, 2, 9)))
    for some in (biases, None):
        outputs = multiply_add_each(x, kernels, some)
        plain = [multiply_add_plain(x, kernel, bias) for kernel, bias in zip(kernels, some or [None] * 3, strict=True)]
        given = [x, *kernels, *(some or [])]
        for one, other in zip(outputs, plain, strict=True):
            torch.testing.assert_close(one, other)
        found = [gradients(torch.cat(list(each), -1), given, kind) for each in (outputs, plain)]
        rough = {"rtol": 3e-2, "atol": 3e-2} if kind is torch.bfloat16 else {}
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, **rough)


def test_gradients_side_by_side_are_joined_without_a_copy():
    whole = torch.randn(2, 5, 12)
    parts = whole.split([6, 2, 4], -1)
    assert joined(parts).data_ptr() == whole.data_ptr() and torch.equal(joined(parts), whole.view(10, 12))
    apart = [one.clone() for one in parts]
    turned = torch.randn(5, 2, 12).transpose(0, 1)
    for some, wanted in ((apart, whole), (parts[::-1], whole[..., [*range(8, 12), 6, 7, *range(6)]])):
        assert torch.equal(joined(some), wanted.reshape(10, 12))
    assert torch.equal(joined(turned.split([6, 6], -1)), turned.reshape(10, 12))
    assert torch.equal(joined(parts[:2]), whole[..., :8].reshape(10, 8))
