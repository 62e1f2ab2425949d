"""Convolutions and what follows them in one function, against torch's functions one after the other."""

import pytest
import torch

from uncrumple.kernels import convolution_native, native
from uncrumple.kernels.convolution_native import Ending, Geometry, convolve_and_end, convolve_and_end_plain

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

PLAIN = Geometry((1, 1), (0, 0), (1, 1), 1)
# (samples, height, width, channels in, channels out)
SIZES = [(2, 9, 8, 3, 5), (3, 7, 7, 2, 16), (1, 6, 5, 1, 33), (2, 8, 8, 4, 32), (5, 11, 4, 1, 1)]
WINDOWS = [None, (2, 2), (3, 2), (1, 2), (4, 1)]


def leaves(samples, height, width, channels, filters, groups=1, kernel=3):
    generator = torch.Generator().manual_seed(samples)
    x = torch.randn(samples, height, width, channels, generator=generator).permute(0, 3, 1, 2)
    weight = torch.randn(filters, channels // groups, kernel, min(kernel, width), generator=generator)
    return [one.requires_grad_() for one in (x, weight, torch.randn(filters, generator=generator))]


def assert_same(inputs, geometry, ending):
    out, plain = (run(*inputs, geometry, ending) for run in (convolve_and_end, convolve_and_end_plain))
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    given = [one for one in inputs if one is not None]
    d = torch.randn_like(plain)
    for one, other in zip(torch.autograd.grad(out, given, d), torch.autograd.grad(plain, given, d), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("limit", [0, 2**30])
def test_equals_torch(instruction_set, size, window, limit):
    if window is None and limit:
        return
    scale = 2**32 / (2**32 - limit)
    for relu in (True, False) if window is not None else (True,):
        assert_same(leaves(*size), PLAIN, Ending(relu, window, 2**40 + 17, limit, scale))


def test_strides_padding_holes_groups_and_no_bias():
    x, weight, bias = leaves(2, 12, 13, 4, 6, groups=2)
    for geometry in (
        Geometry((2, 1), (0, 0), (1, 1), 2),
        Geometry((1, 1), (1, 2), (1, 1), 2),
        Geometry((1, 1), (0, 0), (2, 3), 2),
    ):
        for ending in (Ending(True), Ending(True, (2, 2)), Ending(False, (2, 3))):
            assert_same((x, weight, bias), geometry, ending)
            assert_same((x, weight, None), geometry, ending)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        inputs = leaves(9, 33, 32, 2, 40)
        assert_same(inputs, PLAIN, Ending(True, (2, 2), 5, 2**31, 2.0))
        assert_same(inputs, PLAIN, Ending(True))
    finally:
        torch.set_num_threads(before)


def test_memory_in_torchs_own_order():
    x, weight, bias = leaves(2, 9, 8, 3, 5)
    x = x.detach().contiguous().requires_grad_()
    assert_same((x, weight, bias), PLAIN, Ending(True, (2, 2)))
    assert_same((x, weight, bias), PLAIN, Ending(True))


def test_nan_comes_through():
    x, weight, bias = (one.detach() for one in leaves(2, 9, 8, 3, 17))
    x[0, 1, 4, 4] = float("nan")
    for ending in (Ending(True, (2, 2)), Ending(False, (3, 3))):
        out, plain = (run(x, weight, bias, PLAIN, ending) for run in (convolve_and_end, convolve_and_end_plain))
        assert torch.equal(out.isnan(), plain.isnan()) and plain.isnan().any()


def test_only_what_is_wanted_is_computed():
    x, weight, bias = leaves(2, 9, 8, 3, 5)
    convolve_and_end(x.detach(), weight, bias, PLAIN, Ending(True)).sum().backward()
    assert x.grad is None and weight.grad is not None
    convolve_and_end(x, weight.detach(), bias.detach(), PLAIN, Ending(True, (2, 2))).sum().backward()
    assert x.grad is not None


def test_gradients_can_be_differentiated_again():
    inputs = leaves(2, 6, 6, 2, 3)
    for ending in (Ending(True), Ending(True, (2, 2), 3, 2**30, 4 / 3)):
        found = []
        for run in (convolve_and_end, convolve_and_end_plain):
            out = run(*inputs, PLAIN, ending)
            (first,) = torch.autograd.grad(out.pow(2).sum(), inputs[1], create_graph=True)
            found.append(torch.autograd.grad(first.pow(2).sum(), inputs[0])[0])
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_changes_without_gradients(instruction_set, size, kind):
    """Then nothing is kept for the way back, and relu may be part of the convolution."""
    inputs = [one.detach().to(kind) for one in leaves(*size)]
    learning = [one.clone(memory_format=torch.preserve_format).requires_grad_() for one in inputs]
    tolerance = 1e-5 if kind is torch.float32 else 1e-2
    for ending in (Ending(True), Ending(True, (2, 2)), Ending(False, (3, 2)), Ending(True, (2, 2), 9, 2**30, 4 / 3)):
        for geometry in (PLAIN, Geometry((2, 1), (1, 1), (1, 1), 1)):
            out = convolve_and_end(*inputs, geometry, ending)
            expected = convolve_and_end(*learning, geometry, ending)
            assert out.grad_fn is None
            assert expected.grad_fn is not None
            assert out.dtype is kind
            torch.testing.assert_close(out, expected.detach(), rtol=tolerance, atol=tolerance)
            with torch.no_grad():
                torch.testing.assert_close(convolve_and_end(*learning, geometry, ending), out, rtol=0, atol=0)


def test_relu_without_gradients_in_any_memory_and_without_onednns_own(monkeypatch):
    x, weight, bias = (one.detach() for one in leaves(2, 12, 13, 4, 6, groups=2))
    geometry = Geometry((1, 2), (1, 0), (2, 1), 2)
    apart = torch.stack([bias, torch.full_like(bias, torch.nan)], 1)[:, 0]
    for given in (x, x.contiguous(), x[:, :, :, ::2]):
        for shift in (bias, apart, None):
            expected = convolve_and_end_plain(given, weight, shift, geometry, Ending(True))
            torch.testing.assert_close(convolve_and_end(given, weight, shift, geometry, Ending(True)), expected)
    monkeypatch.setattr(convolution_native, "_rectifies", lambda kind: False)
    expected = convolve_and_end_plain(x, weight, bias, geometry, Ending(True))
    torch.testing.assert_close(convolve_and_end(x, weight, bias, geometry, Ending(True)), expected)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_bfloat16(instruction_set, size):
    """As near to float32 as one rounding of each result allows; what comes through is the same."""
    inputs = leaves(*size)
    exact = [one.detach().requires_grad_() for one in inputs]
    with torch.no_grad():
        for one, other in zip(inputs, exact):
            one.copy_(one.bfloat16())
            other.copy_(one)
    half = [one.detach().bfloat16().requires_grad_() for one in inputs]
    for ending in (Ending(True), Ending(True, (2, 2)), Ending(False, (2, 2), 77, 2**31, 2.0)):
        out, plain = convolve_and_end(*half, PLAIN, ending), convolve_and_end_plain(*exact, PLAIN, ending)
        assert out.dtype is torch.bfloat16
        assert ((out == 0) == (plain == 0)).float().mean() > 0.99
        torch.testing.assert_close(out.float(), plain, rtol=1e-2, atol=2e-2)
        d = torch.randn_like(plain).bfloat16()
        found = torch.autograd.grad(out, half, d), torch.autograd.grad(plain, exact, d.float())
        for one, other in zip(*found, strict=True):
            assert one.dtype is torch.bfloat16
            # A window with two equal numbers may choose the other one.
            assert (one.float() - other).norm() <= 0.15 * other.norm() + 1e-3
