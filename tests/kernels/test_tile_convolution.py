"""Convolutions in bfloat16 by tiles, with what follows them, against torch's own."""

import pytest
import torch
from torch.nn import functional

from uncrumple.kernels import native, tile_convolution
from uncrumple.kernels.convolution_native import Ending, Geometry, convolve_and_end, convolve_and_end_plain

pytestmark = pytest.mark.skipif(not native.has_tiles(), reason="the processor multiplies no tiles of bfloat16")

# (samples, height, width, channels, kernel, filters, padding, window)
CASES = [
    (3, 26, 26, 32, (3, 3), 64, (0, 0), (2, 2)),
    (1, 3, 3, 32, (3, 3), 32, (0, 0), None),
    (9, 7, 5, 64, (3, 2), 32, (1, 0), None),
    (5, 9, 11, 32, (5, 3), 96, (2, 1), (3, 2)),
    (2, 4, 4, 32, (1, 1), 32, (0, 0), (2, 2)),
    (6, 1, 40, 96, (1, 7), 64, (0, 3), (1, 5)),
    (4, 6, 6, 32, (3, 3), 32, (2, 2), (1, 1)),
]


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(case):
    samples, height, width, channels, kernel, filters, padding, _ = case
    generator = torch.Generator().manual_seed(sum(case[:4]))
    x = torch.randn(samples, height, width, channels, generator=generator).bfloat16().permute(0, 3, 1, 2)
    spread = (kernel[0] * kernel[1] * channels) ** 0.5
    weight = (torch.randn(*kernel, channels, filters, generator=generator) / spread).bfloat16().permute(3, 2, 0, 1)
    return x, weight, torch.randn(filters, generator=generator).bfloat16(), Geometry((1, 1), padding, (1, 1), 1)


def endings(window):
    yield from (Ending(relu, window) for relu in (False, True))
    if window:
        yield from (Ending(relu, window, seed=-7, limit=1 << 30, scale=4 / 3) for relu in (False, True))


def leaves(*tensors):
    return [one.detach().clone(memory_format=torch.preserve_format).requires_grad_() for one in tensors]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_torch_there_and_back(threads, case):
    x, weight, bias, geometry = drawn(case)
    assert tile_convolution.takes(x, weight, geometry)
    for ending in endings(case[-1]):
        theirs = leaves(x, weight, bias)
        wanted = convolve_and_end_plain(*theirs, geometry, ending)
        found, kept = tile_convolution.convolve(x, weight, bias, geometry, ending, learn=True)
        assert found.permute(0, 2, 3, 1).is_contiguous()
        torch.testing.assert_close(found, wanted, rtol=8e-3, atol=1e-3)
        d = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
        expected = torch.autograd.grad(wanted, theirs, d)
        gradients = tile_convolution.gradients(x, weight, bias, kept, d, geometry, ending, True)
        for one, other in zip(gradients, expected, strict=True):
            assert (one.double() - other.double()).norm() <= 5e-3 * other.double().norm()


def test_only_what_is_asked_for():
    x, weight, bias, geometry = drawn(CASES[0])
    ending = Ending(True, (2, 2))
    whole, kept = tile_convolution.convolve(x, weight, None, geometry, ending, learn=True)
    assert torch.equal(whole, tile_convolution.convolve(x, weight, bias * 0, geometry, ending)[0])
    assert tile_convolution.convolve(x, weight, None, geometry, ending)[1] is None
    d = torch.ones_like(whole)
    of_x, of_weight, of_bias = tile_convolution.gradients(x, weight, bias, kept, d, geometry, ending, True)
    nothing, alone, none = tile_convolution.gradients(x, weight, None, kept, d, geometry, ending, False)
    assert nothing is none is None and torch.equal(alone, of_weight)
    assert of_x.shape == x.shape and of_bias.shape == bias.shape


def test_the_same_bits_whatever_the_number_of_samples_and_threads():
    x, weight, bias, geometry = drawn(CASES[3])
    ending = Ending(True, (3, 2))
    whole = tile_convolution.convolve(x, weight, bias, geometry, ending)[0]
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        assert torch.equal(whole, tile_convolution.convolve(x, weight, bias, geometry, ending)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(whole[2:], tile_convolution.convolve(x[2:], weight, bias, geometry, ending)[0])
    assert tile_convolution.convolve(x[:0], weight, bias, geometry, ending)[0].shape == (0, *whole.shape[1:])


@pytest.mark.parametrize("window", [None, (2, 2)])
@pytest.mark.parametrize("relu", [False, True])
def test_not_a_number_stays_one_and_infinity_too(window, relu):
    """Of either sign: what the processor makes of infinity less infinity has one."""
    x, weight, bias, geometry = drawn(CASES[0])
    ending = Ending(relu, window)
    for value in (float("nan"), -torch.tensor(float("nan")), float("inf")):
        bad = x.clone()
        bad[1, :, 4:6, 4:6] = value
        found = tile_convolution.convolve(bad, weight, bias, geometry, ending)[0]
        wanted = convolve_and_end_plain(bad, weight, bias, geometry, ending)
        assert torch.equal(found.isnan(), wanted.isnan()) and torch.equal(found.isinf(), wanted.isinf())
        assert found.isnan().any() and not found[0].isnan().any()


def test_ties_go_to_the_first_as_in_torch():
    x = torch.ones(1, 32, 5, 5, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    weight, geometry, ending = (
        torch.ones(32, 32, 2, 2).bfloat16(),
        Geometry((1, 1), (0, 0), (1, 1), 1),
        Ending(True, (2, 2)),
    )
    out, where = tile_convolution.convolve(x, weight, None, geometry, ending, learn=True)
    assert (out == 128).all() and not where.any()


def test_memory_laid_out_in_other_ways():
    x, weight, bias, geometry = drawn(CASES[0])
    wanted = tile_convolution.convolve(x, weight, bias, geometry, Ending(True))[0]
    assert torch.equal(
        wanted, tile_convolution.convolve(x.contiguous(), weight.contiguous(), bias, geometry, Ending(True))[0]
    )


def test_a_bias_that_is_every_second_number_of_something():
    x, weight, bias, geometry = drawn(CASES[0])
    apart = torch.stack([bias, bias + 7], 1)[:, 0]
    for ending in (Ending(True), Ending(True, (2, 2))):
        wanted, kept = tile_convolution.convolve(x, weight, bias, geometry, ending, learn=True)
        assert torch.equal(wanted, tile_convolution.convolve(x, weight, apart, geometry, ending)[0])
        assert torch.equal(wanted, convolve_and_end(x, weight, apart, geometry, ending))
        d = torch.ones_like(wanted)
        one, other = (
            tile_convolution.gradients(x, weight, b, kept, d, geometry, ending, False)[2] for b in (bias, apart)
        )
        assert torch.equal(one, other)


def test_what_is_left_to_torch():
    x, weight, _, geometry = drawn(CASES[0])
    assert not tile_convolution.takes(x.float(), weight.float(), geometry)
    assert not tile_convolution.takes(x, weight, geometry._replace(strides=(2, 1)))
    assert not tile_convolution.takes(x, weight, geometry._replace(dilation=(1, 2)))
    assert not tile_convolution.takes(x[:, :16], weight[:, :16], geometry)
    assert not tile_convolution.takes(x[:, :, :2], weight, geometry)  # smaller than the kernel: an error
    assert not tile_convolution.takes(x, weight[:8], geometry)
    assert not tile_convolution.takes(x.new_zeros(1, 32, 90, 90), weight, geometry)  # too large for the cache


def test_it_is_what_convolutions_use_and_differentiates_twice():
    x, weight, bias, geometry = drawn((2, 5, 5, 32, (3, 3), 32, (1, 1), (2, 2)))
    ending = Ending(True, (2, 2))
    given = leaves(x, weight, bias)
    out = convolve_and_end(*given, geometry, ending)
    with torch.no_grad():
        assert torch.equal(out, tile_convolution.convolve(x, weight, bias, geometry, ending)[0])
        assert torch.equal(out, convolve_and_end(*given, geometry, ending))
    (slope,) = torch.autograd.grad(out.float().square().sum(), given[1], create_graph=True)
    second = torch.autograd.grad(slope.float().square().sum(), given[2])[0]
    theirs = leaves(x, weight, bias)
    plain = functional.max_pool2d(functional.conv2d(*theirs, padding=1).relu(), 2)
    (slope,) = torch.autograd.grad(plain.float().square().sum(), theirs[1], create_graph=True)
    wanted = torch.autograd.grad(slope.float().square().sum(), theirs[2])[0]
    assert (second.double() - wanted.double()).norm() <= 2e-2 * wanted.double().norm()
