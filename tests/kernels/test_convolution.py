"""Convolutions and pooling on channels-last data equal torch's on channels-first data, and copy no more than needed."""

import pytest
import torch
from torch.nn import functional

from uncrumple.kernels.convolution import convolve, convolve_depthwise, convolve_transposed, pad, same_padding
from uncrumple.kernels.pooling import average_pool, max_pool

LAST = {1: (0, 2, 1), 2: (0, 2, 3, 1), 3: (0, 2, 3, 4, 1)}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolve_equals_torch(rank):
    run = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[rank]
    x, weight, bias = torch.randn(2, 4, *(7, 6, 5)[:rank]), torch.randn(6, 2, *(3, 2, 2)[:rank]), torch.randn(6)
    strides, ones = (2, 1, 1)[:rank], (1,) * rank
    kernel = weight.permute(*range(2, rank + 2), 1, 0).contiguous()
    expected = run(x, weight, bias, strides, groups=2)
    out = convolve(x.permute(LAST[rank]), kernel, bias, strides=strides, dilation=ones, groups=2)
    torch.testing.assert_close(out, expected.permute(LAST[rank]))
    out = convolve(x, kernel, bias, strides=strides, dilation=ones, groups=2, channels_last=False, relu=True)
    torch.testing.assert_close(out, expected.relu())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_is_the_gradient_of_convolve(rank):
    shape, strides, ones = (8, 6, 4)[:rank], (2, 1, 2)[:rank], (1,) * rank
    x = torch.randn(2, *shape, 3, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(*(3, 2, 3)[:rank], 3, 5, dtype=torch.float64)
    for padding in ("valid", "same"):
        out = convolve(x, kernel, strides=strides, dilation=ones, padding=padding)
        mix = torch.randn_like(out)
        (gradient,) = torch.autograd.grad((out * mix).sum(), x)
        spread = convolve_transposed(mix, kernel, strides=strides, dilation=ones, padding=padding)
        common = tuple(slice(0, min(a, b)) for a, b in zip(spread.shape, x.shape))
        torch.testing.assert_close(spread[common], gradient[common])


def test_depthwise_is_a_convolution_per_channel():
    x, kernel = torch.randn(2, 6, 5, 3), torch.randn(3, 3, 3, 2)
    out = convolve_depthwise(x, kernel, strides=(1, 1), dilation=(1, 1), padding="same")
    for channel in range(3):
        alone = convolve(
            x[..., channel : channel + 1],
            kernel[:, :, channel : channel + 1],
            strides=(1, 1),
            dilation=(1, 1),
            padding="same",
        )
        torch.testing.assert_close(out[..., 2 * channel : 2 * channel + 2], alone)


def test_same_padding_adds_up_and_puts_the_odd_cell_at_the_end():
    for size in range(1, 12):
        for kernel in range(1, 6):
            for stride in range(1, 4):
                before, after = same_padding(size, kernel, stride)
                assert after - before in (0, 1)
                assert (size + before + after - kernel) // stride + 1 == -(-size // stride)


def test_results_keep_the_channels_next_to_each_other():
    """Channels-last memory from end to end: no layer has to copy."""
    x = torch.randn(2, 8, 8, 3)
    out = convolve(x, torch.randn(3, 3, 3, 4), strides=(1, 1), dilation=(1, 1), padding="same", relu=True)
    assert out.is_contiguous()
    out = max_pool(out, (2, 2), (2, 2))
    assert out.is_contiguous()
    assert average_pool(out, (2, 2), (2, 2)).is_contiguous()
    line = convolve(torch.randn(2, 8, 3), torch.randn(3, 3, 4), strides=(1,), dilation=(1,))
    assert line.is_contiguous() and max_pool(line, (2,), (2,)).is_contiguous()


def test_relu_in_place_leaves_inputs_and_gradients_alone():
    x = torch.randn(1, 4, 4, 2, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    before = x.detach().clone()
    run = lambda x, kernel: convolve(x, kernel, strides=(1, 1), dilation=(1, 1), relu=True)  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, kernel))
    assert torch.equal(x, before)


def test_pad():
    out = pad(torch.ones(1, 2, 3, 1), [(1, 0), (0, 2)], value=-1.0)
    assert out.shape == (1, 3, 5, 1) and out[0, 0].eq(-1).all() and out[0, :, 3:].eq(-1).all()
    assert pad(torch.ones(1, 1, 2, 3), [(1, 0), (0, 2)], channels_last=False).shape == (1, 1, 3, 5)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_one_filter_learns_from_one_small_sample(rank, channels):
    """Torch's function for small inputs stopped in the backward pass."""
    generator = torch.Generator().manual_seed(channels)
    x = torch.randn(1, *(4,) * rank, channels, generator=generator)
    kernel = torch.randn(*(2,) * rank, channels, 1, generator=generator).requires_grad_()
    out = convolve(x, kernel, strides=(1,) * rank, dilation=(1,) * rank)
    (found,) = torch.autograd.grad(out.sum(), kernel)
    # Each number of the kernel has seen all places but the first or the last of each axis.
    for place in torch.cartesian_prod(*[torch.arange(2)] * rank).view(-1, rank).tolist():
        seen = x[(0, *(slice(start, start + 3) for start in place))]
        torch.testing.assert_close(found[(*place, slice(None), 0)], seen.reshape(-1, channels).sum(0))
