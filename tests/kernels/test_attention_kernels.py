"""Attention by the native kernels and by products, against torch's basic functions."""

import pytest
import torch

from uncrumple.kernels import attention, native
from uncrumple.kernels.attention import attend, attend_plain

needs_native = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

# (samples, heads, queries, keys, features, features of values)
SIZES = [
    (1, 1, 1, 1, 1, 1),
    (2, 3, 5, 7, 4, 3),
    (1, 2, 50, 49, 32, 32),
    (2, 2, 100, 30, 17, 40),
    (2, 1, 65, 130, 8, 16),
]


def leaves(samples, heads, queries, keys, width, width_out, kind=torch.float32):
    generator = torch.Generator().manual_seed(queries)
    shapes = (queries, width), (keys, width), (keys, width_out)
    # Heads lie within steps, as projections leave them.
    made = [torch.randn(samples, steps, heads, size, generator=generator).to(kind) for steps, size in shapes]
    return [one.transpose(1, 2).requires_grad_() for one in made]


def assert_same(inputs, causal=False, mask=None):
    out = attend(*inputs, mask, scale=0.3, causal=causal)
    plain = attend_plain(*inputs, mask, 0.3, causal)
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    d = torch.randn(plain.shape, generator=torch.Generator().manual_seed(2))
    for one, other in zip(torch.autograd.grad(out, inputs, d), torch.autograd.grad(plain, inputs, d), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@needs_native
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_equals_torch(instruction_set, size, causal):
    inputs = leaves(*size)
    assert attention._takes(*inputs)
    assert_same(inputs, causal)


@needs_native
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_and_any_memory(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        inputs = leaves(3, 4, 40, 70, 24, 24)
        assert_same(inputs)
        assert_same([one.detach().contiguous().requires_grad_() for one in inputs])
        whole = torch.randn(2, 30, 3, 4, 16, requires_grad=True)
        assert_same(list(whole.permute(2, 0, 3, 1, 4)))
        turned = [one.detach().transpose(2, 3).contiguous().transpose(2, 3).requires_grad_() for one in inputs]
        assert_same(turned)  # features far apart
    finally:
        torch.set_num_threads(before)


@needs_native
def test_large_scores_and_nan(instruction_set):
    query, key, value = (one.detach() for one in leaves(1, 2, 20, 20, 8, 8))
    out = attend(query * 1e3, key, value, scale=1.0)
    torch.testing.assert_close(out, attend_plain(query * 1e3, key, value, None, 1.0, False), rtol=1e-4, atol=1e-4)
    query[0, 1, 3] = float("nan")
    out = attend(query, key, value, scale=1.0)
    assert out[0, 1, 3].isnan().all() and int(out.isnan().any(-1).sum()) == 1


def as_halves(inputs):
    return [one.detach().bfloat16().requires_grad_() for one in inputs]


def assert_near(inputs, run, mask=None, causal=False):
    """The gradients of bfloat16 are as near to those of float32 as a few roundings leave them."""
    in_full = [one.detach().float().requires_grad_() for one in inputs]
    out, plain = run(*inputs), attend_plain(*in_full, mask, 0.3, causal)
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out.float(), plain, rtol=2e-2, atol=2e-2)
    d = torch.randn(plain.shape).bfloat16()
    found = torch.autograd.grad(out, inputs, d), torch.autograd.grad(plain, in_full, d.float())
    for one, other in zip(*found, strict=True):
        assert one.dtype is torch.bfloat16
        assert (one.float() - other).norm() <= 0.03 * other.norm() + 1e-4


@needs_native
@pytest.mark.parametrize("size", SIZES[1:], ids=str)
def test_bfloat16(instruction_set, size):
    for causal in (False, True):
        assert_near(as_halves(leaves(*size)), lambda *x, c=causal: attend(*x, scale=0.3, causal=c), causal=causal)


@pytest.mark.parametrize("shape", [(12, 20), (1, 1, 12, 20), (2, 1, 12, 20), (2, 3, 12, 20)], ids=str)
def test_bfloat16_with_a_mask(shape):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.3
    mask[..., 0] = True
    assert_near(as_halves(leaves(2, 3, 12, 20, 8, 8)), lambda *x: attend(*x, mask, scale=0.3), mask)


def test_without_the_kernels_and_long_sequences(monkeypatch):
    monkeypatch.setattr(attention, "_takes", lambda *args: False)
    inputs = leaves(2, 3, 12, 12, 8, 8)
    assert_same(inputs, causal=True)
    assert_near(as_halves(inputs), lambda *x: attend(*x, scale=0.3, causal=True), causal=True)
    monkeypatch.setattr(attention, "_SHORT", 4)
    assert_near(as_halves(inputs), lambda *x: attend(*x, scale=0.3, causal=True), causal=True)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_gradients_can_be_differentiated_again(kind):
    inputs = [one.detach().to(kind).requires_grad_() for one in leaves(1, 2, 6, 5, 4, 3)]
    for mask in (None, torch.ones(6, 5, dtype=torch.bool)):
        found = []
        for run in (lambda m=mask: attend(*inputs, m, scale=0.3), lambda m=mask: attend_plain(*inputs, m, 0.3, False)):
            if mask is not None and kind is torch.float32:
                continue
            (first,) = torch.autograd.grad(run().pow(2).sum(), inputs[1], create_graph=True)
            found.append(torch.autograd.grad(first.pow(2).sum(), inputs[0])[0])
        if found:
            rough = kind is torch.bfloat16
            torch.testing.assert_close(*found, rtol=5e-2 if rough else 1e-4, atol=5e-2 if rough else 1e-5)
