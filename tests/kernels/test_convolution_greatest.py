"""A convolution along a line and the greatest of its steps in one function, against torch's functions."""

import pytest
import torch

from uncrumple.kernels import native
from uncrumple.kernels.convolution import convolve
from uncrumple.kernels.convolution_greatest import Greatest, Line, convolve_to_greatest, convolve_to_greatest_plain

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

# (samples, steps, channels in, channels out, width)
SIZES = [(1, 3, 1, 1, 3), (3, 20, 5, 7, 3), (4, 30, 8, 20, 4), (2, 40, 3, 33, 2), (5, 17, 16, 16, 1)]
LINES = [Line(), Line(2, 1, 1), Line(1, 2, 2), Line(3, 1, 0)]


def leaves(samples, steps, channels_in, channels, width, kind=torch.float32):
    generator = torch.Generator().manual_seed(steps)
    shapes = (samples, steps, channels_in), (width, channels_in, channels), (channels,)
    return [torch.randn(shape, generator=generator).to(kind).requires_grad_() for shape in shapes]


def assert_same(inputs, line, relu):
    out, plain = Greatest.apply(*inputs, line, relu), convolve_to_greatest_plain(*inputs, line, relu)
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    given = [one for one in inputs if one is not None]
    d = torch.randn(plain.shape, generator=torch.Generator().manual_seed(2))
    for one, other in zip(torch.autograd.grad(out, given, d), torch.autograd.grad(plain, given, d), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("line", LINES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("relu", [True, False])
def test_equals_torch(instruction_set, size, line, relu):
    assert_same(leaves(*size), line, relu)


def test_no_bias_and_several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        x, kernel, bias = leaves(9, 150, 20, 50, 5)
        for some in ((x, kernel, bias), (x, kernel, None)):
            assert_same(some, Line(), True)
    finally:
        torch.set_num_threads(before)


def test_equal_steps_share(instruction_set):
    x = torch.tensor([1.0, 5.0, 2.0, 5.0, 5.0, 0.0]).view(1, 6, 1).requires_grad_()
    kernel = torch.ones(1, 1, 1, requires_grad=True)
    assert_same((x, kernel, None), Line(), True)
    (d,) = torch.autograd.grad(Greatest.apply(x, kernel, None, Line(), True).sum(), x)
    torch.testing.assert_close(d.flatten(), torch.tensor([0, 1, 0, 1, 1, 0]) / 3)


def test_nothing_goes_through_where_relu_cuts_off():
    x, kernel, bias = leaves(3, 20, 5, 7, 3)
    out = Greatest.apply(x, kernel, bias - 100, Line(), True)
    assert not out.any()
    assert not any(one.any() for one in torch.autograd.grad(out.sum(), (x, kernel, bias)))


@pytest.mark.parametrize("size", SIZES[1:4], ids=str)
def test_bfloat16(instruction_set, size):
    inputs = leaves(*size, kind=torch.bfloat16)
    out, plain = Greatest.apply(*inputs, Line(), True), convolve_to_greatest_plain(*inputs, Line(), True)
    assert out.dtype is torch.bfloat16 and torch.equal(out, plain)
    d = torch.randn(out.shape).bfloat16()
    for one, other in zip(torch.autograd.grad(out, inputs, d), torch.autograd.grad(plain, inputs, d), strict=True):
        assert one.dtype is torch.bfloat16
        assert (one.float() - other.float()).norm() <= 0.02 * other.float().norm()


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("stride", "hole"), [(1, 1), (2, 1), (1, 3)])
def test_padding(padding, stride, hole):
    for width in (2, 3):
        x, kernel, bias = (one.detach() for one in leaves(2, 19, 4, 6, width))
        settings = {"strides": (stride,), "dilation": (hole,), "padding": padding, "relu": True}
        wanted = convolve(x, kernel, bias, **settings).amax(1)
        torch.testing.assert_close(convolve_to_greatest(x, kernel, bias, **settings), wanted)


def test_gradients_can_be_differentiated_again():
    inputs = leaves(2, 9, 3, 4, 2)
    found = []
    for run in (Greatest.apply, convolve_to_greatest_plain):
        (first,) = torch.autograd.grad(run(*inputs, Line(), True).pow(2).sum(), inputs[1], create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), inputs[0])[0])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-3)


def test_only_what_is_wanted_is_computed():
    x, kernel, bias = leaves(2, 9, 3, 4, 2)
    Greatest.apply(x.detach(), kernel, bias, Line(), True).sum().backward()
    assert x.grad is None and kernel.grad is not None
