"""Convolutions that see few numbers at each place, against torch's own."""

import pytest
import torch
from torch.nn import functional

from uncrumple.kernels import few_channels, native
from uncrumple.kernels.convolution_native import Ending, Geometry, convolve_and_end

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

# (samples, height, width, channels, kernel, filters, strides, padding)
CASES = [
    (2, 9, 8, 1, (3, 3), 32, (1, 1), (0, 0)),
    (3, 7, 11, 2, (3, 2), 5, (2, 1), (1, 0)),
    (1, 6, 5, 1, (5, 5), 33, (1, 1), (2, 2)),
    (5, 4, 3, 3, (1, 1), 16, (1, 1), (0, 0)),
    (2, 5, 17, 1, (1, 4), 1, (1, 3), (0, 1)),
    (1, 3, 3, 7, (3, 3), 48, (1, 1), (0, 0)),
    (40, 12, 12, 1, (3, 3), 8, (2, 2), (0, 0)),
    (3, 9, 41, 1, (5, 5), 64, (2, 1), (2, 2)),
    (7, 4, 5, 1, (2, 2), 96, (1, 1), (0, 0)),
]


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(case, kind):
    samples, height, width, channels, kernel, filters, strides, padding = case
    x = torch.randn(samples, height, width, channels).to(kind).permute(0, 3, 1, 2)
    weight = torch.randn(*kernel, channels, filters).to(kind).permute(3, 2, 0, 1)
    return x, weight, torch.randn(filters).to(kind), Geometry(strides, padding, (1, 1), 1)


def wanted(x, weight, bias, geometry, relu):
    out = functional.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), *geometry[:2])
    return out.relu() if relu else out


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_torch(instruction_set, threads, case, kind):
    x, weight, bias, geometry = drawn(case, kind)
    close = {"rtol": 1e-5, "atol": 1e-5} if kind is torch.float32 else {"rtol": 8e-3, "atol": 1e-4}
    for relu in (False, True):
        for one in (bias, None):
            out = few_channels.convolve(x, weight, one, geometry, relu)
            assert out.permute(0, 2, 3, 1).is_contiguous()
            torch.testing.assert_close(out.double(), wanted(x, weight, one, geometry, relu), **close)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_equal_torchs(instruction_set, threads, case, kind):
    x, weight, bias, geometry = drawn(case, kind)
    y = few_channels.convolve(x, weight, bias, geometry, True)
    d = torch.randn(*y.shape).to(kind)
    leaves = [weight.double().requires_grad_(), bias.double().requires_grad_()]
    for kept in (None, y):
        cut = d.double() if kept is None else torch.where(y > 0, d, 0).double()
        expected = torch.autograd.grad(wanted(x, *leaves, geometry, False), leaves, cut)
        found = few_channels.gradients(x, weight, kept, d, geometry)
        for one, other in zip(found, expected, strict=True):
            close = {"rtol": 1e-4, "atol": 1e-4} if one.dtype is torch.float32 else {"rtol": 8e-3, "atol": 1e-3}
            torch.testing.assert_close(one.double(), other, **close)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_pooling_on_the_way_is_pooling_afterwards(instruction_set, threads, case, kind):
    """To the same bits, which includes what the dropout drops, there and back."""
    x, weight, bias, geometry = drawn(case, kind)
    whole = few_channels.convolve(x, weight, bias, geometry, False)
    assert whole.shape == few_channels.shape_of_result(x, weight, geometry)
    for window in ((2, 2), (1, 3), (3, 1)):
        if min(whole.shape[2] // window[0], whole.shape[3] // window[1]) == 0:
            continue
        for ending in (Ending(True, window), Ending(False, window, 3, 1 << 30, 4 / 3)):
            samples, channels, height, width = whole.shape
            tall, wide = window
            wanted = whole.new_empty(samples, height // tall, width // wide, channels)
            places = torch.empty(wanted.shape, dtype=torch.uint8)
            drawn_from = ending.relu, ending.seed, ending.limit, ending.scale, kind is torch.bfloat16
            sizes = samples, height, width, channels, tall, wide
            native.call("pool", *sizes, *drawn_from, whole.permute(0, 2, 3, 1).contiguous(), wanted, places)
            out, where = few_channels.convolve_and_pool(x, weight, bias, geometry, ending, learn=True)
            assert torch.equal(out.permute(0, 2, 3, 1), wanted) and torch.equal(where, places)
            alone, nothing = few_channels.convolve_and_pool(x, weight, bias, geometry, ending)
            assert torch.equal(alone, out) and nothing is None


def test_the_same_bits_whatever_the_number_of_samples_at_once():
    x, weight, bias, geometry = drawn(CASES[0], torch.float32)
    whole = few_channels.convolve(x, weight, bias, geometry, True)
    assert torch.equal(whole[1:], few_channels.convolve(x[1:], weight, bias, geometry, True))


def test_a_bias_that_is_every_second_number_of_something():
    x, weight, bias, geometry = drawn(CASES[0], torch.float32)
    apart = torch.stack([bias, bias + 7], 1)[:, 0]
    for ending in (Ending(True), Ending(True, (2, 2))):
        wanted = convolve_and_end(x, weight, bias, geometry, ending)
        assert torch.equal(wanted, convolve_and_end(x, weight, apart, geometry, ending))
    wanted = few_channels.convolve(x, weight, bias, geometry, True)
    assert torch.equal(wanted, few_channels.convolve(x, weight, apart, geometry, True))


def test_not_a_number_stays_one():
    x = torch.full((1, 4, 4, 1), float("nan")).permute(0, 3, 1, 2)
    out = few_channels.convolve(x, torch.ones(8, 1, 3, 3), None, Geometry((1, 1), (0, 0), (1, 1), 1), True)
    assert out.isnan().all()


def test_no_samples_and_what_is_left_to_torch():
    plain = Geometry((1, 1), (0, 0), (1, 1), 1)
    x = torch.zeros(2, 4, 4, 1).permute(0, 3, 1, 2)
    weight = torch.ones(8, 1, 3, 3)
    assert few_channels.convolve(x[:0], weight, None, plain, True).shape == (0, 8, 2, 2)
    assert few_channels.takes(x, weight, plain)
    assert not few_channels.takes(x, weight, plain._replace(groups=2))
    assert not few_channels.takes(x, weight, plain._replace(dilation=(2, 1)))
    assert not few_channels.takes(x.double(), weight.double(), plain)
    assert not few_channels.takes(x, torch.ones(8, 3, 3, 3), plain)


def test_the_gradient_of_the_images_is_torchs():
    """Images that are themselves learned, as in an adversarial example: torch finds that gradient."""
    x, weight, bias, geometry = drawn(CASES[0], torch.float32)
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    out = convolve_and_end(x, weight, bias, geometry, Ending(True))
    plain = functional.conv2d(x, weight, bias).relu()
    d = torch.randn_like(plain)
    for one, other in zip(torch.autograd.grad(out, [x, weight], d), torch.autograd.grad(plain, [x, weight], d)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
