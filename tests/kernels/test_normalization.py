"""Batch normalization and what follows it in one function, against torch's functions in float64."""

import pytest
import torch

from uncrumple.kernels import native
from uncrumple.kernels.dropout import keep_plain
from uncrumple.kernels.normalization import (
    After,
    Averages,
    batch_normalize,
    batch_normalize_plain,
    normalize,
    takes_normalization,
)

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

# Few channels and many, tails of every kind, few rows and many.
SHAPES = [(2, 1), (3, 5), (40, 3), (9, 4, 16), (7, 3, 3, 17), (130, 8), (50, 12), (1000, 33), (11, 257), (64, 2, 160)]
AFTER = [After(), After(relu=True), After(True, 2**40 + 17, 2**30, 4 / 3), After(False, 3, 2**31, 2.0)]


def leaves(shape, kind=torch.float32):
    """Return the input, gamma, beta and a shortcut."""
    generator = torch.Generator().manual_seed(sum(shape))
    x, shortcut = torch.randn(2, *shape, generator=generator).to(kind)
    gamma, beta = torch.randn(2, shape[-1], generator=generator)
    return [one.requires_grad_() for one in (x + 3, gamma, beta, shortcut)]


def averages(channels):
    return Averages(torch.linspace(-1, 1, channels), torch.linspace(1, 2, channels), 0.9)


def exact(inputs, after, epsilon=1e-3):
    """Return what torch finds in float64."""
    x, gamma, beta, shortcut = inputs
    axes = list(range(x.dim() - 1))
    variance, mean = torch.var_mean(x, axes, correction=0)
    out = (x - mean) * torch.rsqrt(variance + epsilon)
    out = out if gamma is None else out * gamma
    out = out if beta is None else out + beta
    out = out if shortcut is None else out + shortcut
    before = out.detach()
    if after.relu:
        out = out.relu()
    if after.limit:
        out = out * keep_plain(out.numel(), after.seed, after.limit).view(out.shape) * after.scale
    return out, mean, variance, before


def same(one, other, share=1e-5):
    assert one.shape == other.shape
    worst = (one.double() - other).abs().max().item() if one.numel() else 0.0
    assert worst <= share * (1 + other.abs().max().item())


@pytest.mark.parametrize("after", AFTER, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("adds", [True, False])
def test_equals_torch(instruction_set, shape, after, adds):
    inputs = leaves(shape)
    if not adds:
        inputs[3] = None
    in_full = [one if one is None else one.detach().double().requires_grad_() for one in inputs]
    moving = averages(shape[-1])
    before = [one.clone() for one in moving[:2]]
    assert takes_normalization(inputs[0], inputs[1], inputs[2], moving, inputs[3])
    out = batch_normalize(*inputs[:3], moving, 1e-3, inputs[3], after)
    wanted, mean, variance, before_relu = exact(in_full, after)
    same(out, wanted, 2e-5)
    same(moving.mean, 0.9 * before[0].double() + 0.1 * mean.detach())
    same(moving.variance, 0.9 * before[1].double() + 0.1 * variance.detach())
    given = [one for one in inputs if one is not None]
    d = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    d[before_relu.abs() < 1e-4] = 0  # so near to zero that rounding decides what relu does
    found = torch.autograd.grad(out, given, d)
    if shape[0] > 2:  # the gradient of two rows is nothing but rounding
        in_full = [one for one in in_full if one is not None]
        for one, other in zip(found, torch.autograd.grad(wanted, in_full, d.double()), strict=True):
            same(one, other, 1e-4)


@pytest.mark.parametrize("shape", [(40, 3), (9, 4, 16), (130, 8), (60, 33)], ids=str)
def test_bfloat16_rounds_once(instruction_set, shape):
    for after in AFTER[:2]:
        for adds in (True, False):
            inputs = leaves(shape, torch.bfloat16)
            inputs[3] = inputs[3] if adds else None
            in_full = [one if one is None else one.detach().double().requires_grad_() for one in inputs]
            out = batch_normalize(*inputs[:3], averages(shape[-1]), 1e-3, inputs[3], after)
            wanted = exact(in_full, after)[0]
            assert out.dtype is torch.bfloat16
            torch.testing.assert_close(out.double(), wanted, rtol=2**-8, atol=1e-3)
            given, full = ([one for one in some if one is not None] for some in (inputs, in_full))
            d = torch.randn(shape).bfloat16()
            for one, other in zip(
                torch.autograd.grad(out, given, d), torch.autograd.grad(wanted, full, d.double()), strict=True
            ):
                assert (one.double() - other).norm() <= 0.02 * other.norm()


def test_a_large_mean_costs_nothing():
    x = torch.randn(5000, 16, dtype=torch.float64) + 1000
    out = batch_normalize(x.float(), None, None, averages(16), 1e-3)
    wanted = exact([x.float().double(), None, None, None], After())[0]
    same(out, wanted, 1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for shape in ((9000, 8), (37, 1100), (3, 40000)):
            inputs = leaves(shape)
            in_full = [one.detach().double().requires_grad_() for one in inputs]
            out, wanted = batch_normalize(*inputs[:3], averages(shape[-1]), 1e-3, inputs[3]), exact(in_full, After())[0]
            same(out, wanted, 2e-5)
            d = torch.randn(shape)
            found = torch.autograd.grad(out, inputs, d), torch.autograd.grad(wanted, in_full, d.double())
            for one, other in zip(*found, strict=True):
                same(one, other, 1e-4)
    finally:
        torch.set_num_threads(before)


def test_the_twin_and_what_infers():
    x, gamma, beta, shortcut = (one.detach() for one in leaves((50, 12)))
    for after in AFTER:
        one = batch_normalize(x, gamma, beta, averages(12), 1e-3, shortcut, after)
        torch.testing.assert_close(
            one, batch_normalize_plain(x, gamma, beta, 1e-3, shortcut, after), rtol=1e-4, atol=1e-5
        )
    moving = averages(12)
    wanted = (x - moving.mean) * torch.rsqrt(moving.variance + 1e-3) * gamma + beta
    torch.testing.assert_close(normalize(x, gamma, beta, moving, 1e-3), wanted)
    torch.testing.assert_close(
        normalize(x, gamma, beta, moving, 1e-3, shortcut, After(True)), (wanted + shortcut).relu()
    )


def test_gradients_can_be_differentiated_again():
    inputs = leaves((6, 4))
    found = []
    for run in (
        lambda: batch_normalize(*inputs[:3], averages(4), 1e-3, inputs[3], After(True)),
        lambda: batch_normalize_plain(*inputs[:3], 1e-3, inputs[3], After(True)),
    ):
        (first,) = torch.autograd.grad(run().pow(2).sum(), inputs[1], create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), inputs[0])[0])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


def test_only_what_is_wanted_is_computed():
    x, gamma, beta, shortcut = leaves((30, 7))
    batch_normalize(
        x.detach(), gamma, beta.detach(), averages(7), 1e-3, shortcut.detach(), After(True)
    ).sum().backward()
    assert x.grad is beta.grad is shortcut.grad is None and gamma.grad is not None


def test_nan_comes_through():
    x = torch.randn(20, 5)
    x[3, 2] = float("nan")
    out = batch_normalize(x, None, None, averages(5), 1e-3, None, After(True))
    assert out[:, 2].isnan().all() and not out[:, [0, 1, 3, 4]].isnan().any()


def test_what_it_leaves_to_torch():
    moving = averages(4)
    assert not takes_normalization(torch.ones(1, 4), None, None, moving)
    assert not takes_normalization(torch.ones(0, 4), None, None, moving)
    assert not takes_normalization(torch.ones(3, 4, dtype=torch.float64), None, None, moving)
    assert not takes_normalization(torch.ones(3, 4), torch.ones(4, dtype=torch.bfloat16), None, moving)
    assert not takes_normalization(torch.ones(3, 4), None, None, moving, torch.ones(3, 4, dtype=torch.bfloat16))
    assert not takes_normalization(torch.ones(3, 4, device="meta"), None, None, moving)
