"""Convolutions in Keras's layout, with Keras's padding, at torch's speed.

Data is (samples, height, width, channels) and a kernel (height, width,
channels in, channels out). Torch wants channels first, for both. Turning the
axes costs nothing: the numbers stay where they are, which is the order
("channels last") that torch's fast paths on CPUs and GPUs like best. A line
of data (1D) is handled as an image of height 1, since only the image
functions of torch have that fast path.

`padding="same"` gives ceil(size / stride) outputs; when the number of padded
cells is odd, the extra one goes to the end, as TensorFlow does it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch.nn import functional

from uncrumple.kernels import native
from uncrumple.kernels.convolution_native import Ending, Geometry, convolve_and_end
from uncrumple.kernels.halves import lack_products, widened
from uncrumple.kernels.transforms import watched

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
# Where each axis of a channels-last tensor comes from in a channels-first one, and back.
TO_FIRST = {1: (0, 2, 1), 2: (0, 3, 1, 2), 3: (0, 4, 1, 2, 3)}
TO_LAST = {1: (0, 2, 1), 2: (0, 2, 3, 1), 3: (0, 2, 3, 4, 1)}
_KERNEL = {1: (2, 1, 0), 2: (3, 2, 0, 1), 3: (4, 3, 0, 1, 2)}


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return how many cells "same" padding adds before and after an axis.

    Example:
        >>> same_padding(5, kernel=3, stride=1), same_padding(4, kernel=3, stride=2)
        ((1, 1), (0, 1))
    """
    if stride == 1:  # whatever the size, which may be unknown while a program is written down
        total = (kernel - 1) * dilation
    else:
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


@functools.lru_cache(maxsize=1024)
def _pads(
    padding: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[list[tuple[int, int]], bool]:
    """Return the cells before and after each axis, and whether there are as many on both sides."""
    if padding == "same":
        pads = [same_padding(*axis) for axis in zip(sizes, kernel, strides, dilation)]
    else:  # "causal"
        pads = [((size - 1) * hole, 0) for size, hole in zip(kernel, dilation)]
    return pads, all(before == after for before, after in pads)


def pads_for(padding: str, sizes: tuple[int, ...], *others: tuple[int, ...]) -> tuple[list[tuple[int, int]], bool]:
    """Return what `_pads` returns, for sizes that are unknown as well: those cannot be looked up."""
    try:
        return _pads(padding, sizes, *others)
    except TypeError:
        return _pads.__wrapped__(padding, sizes, *others)


def convolve(
    x: torch.Tensor,
    kernel: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str = "valid",
    groups: int = 1,
    channels_last: bool = True,
    relu: bool = False,
    ending: Ending | None = None,
) -> torch.Tensor:
    """Slide a kernel over one, two or three axes of `x`.

    Args:
        x: (samples, ..., channels), or (samples, channels, ...).
        kernel: (..., channels in / groups, channels out).
        bias: (channels out).
        strides, dilation: One number per axis.
        padding: `"valid"`, `"same"`, or `"causal"` (all cells go before).
        groups: How many parts the channels are split into.
        channels_last: Which axis of `x` and of the result holds the channels.
        relu: Whether negative results become 0, done in place.
        ending: What else is to follow, where `takes_ending` says that it can.

    Example:
        >>> image = torch.ones(1, 5, 5, 1)
        >>> convolve(image, torch.ones(3, 3, 1, 8), strides=(1, 1), dilation=(1, 1)).shape
        torch.Size([1, 3, 3, 8])
    """
    kind = x.dtype
    if lack_products(x, kernel, bias):
        x, kernel, bias = x.float(), kernel.float(), widened(bias)
    rank = x.dim() - 2
    if rank == 1 and channels_last:
        image, image_kernel = x.unsqueeze(1), kernel.unsqueeze(0)
        steps, holes = (1, *strides), (1, *dilation)
        out = convolve(
            image, image_kernel, bias, strides=steps, dilation=holes, padding=padding, groups=groups, relu=relu
        )
        return out.squeeze(1).to(kind)
    both_sides: Sequence[int] | int = 0
    if padding != "valid":
        sizes = x.shape[1:-1] if channels_last else x.shape[2:]
        pads, even = pads_for(padding, tuple(sizes), tuple(kernel.shape[:rank]), tuple(strides), tuple(dilation))
        if even:
            both_sides = [before for before, _ in pads]
        else:
            x = pad(x, pads, channels_last)
    if channels_last:
        x = x.permute(TO_FIRST[rank])
    weight = filters_first(kernel)
    if ending is not None or (relu and rank == 2 and channels_last and takes_ending(x, kernel, bias)):
        on_both = (both_sides, both_sides) if isinstance(both_sides, int) else tuple(both_sides)
        geometry = Geometry(tuple(strides), on_both, tuple(dilation), groups)  # type: ignore[arg-type]
        return convolve_and_end(x, weight, bias, geometry, ending or Ending(relu)).permute(TO_LAST[rank]).to(kind)
    out = _CONVOLUTIONS[rank](x, weight, bias, tuple(strides), both_sides, tuple(dilation), groups)
    if relu:
        out = torch.relu_(out)
    return (out.permute(TO_LAST[rank]) if channels_last else out).to(kind)


def filters_first(kernel: torch.Tensor) -> torch.Tensor:
    """Return a kernel in torch's order: (channels out, channels in / groups, ...)."""
    weight = kernel.permute(_KERNEL[kernel.dim() - 2])
    # With a single filter torch's function for small inputs takes such a view for one with channels last, and stops
    # in the backward pass.
    return weight.contiguous() if weight.shape[0] == 1 else weight


def takes_ending(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """Return whether an `Ending` can follow a convolution of images with channels last: the native kernels do it."""
    if not native.takes(x, kernel, bias, half=True) or watched():
        return False
    return x.numel() > 0 and (bias is None or bias.shape == kernel.shape[-1:])


def convolve_depthwise(
    x: torch.Tensor,
    kernel: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str = "valid",
    channels_last: bool = True,
    relu: bool = False,
) -> torch.Tensor:
    """Slide kernels over each channel on its own.

    Args:
        kernel: (..., channels in, results per channel). The others are as for `convolve`.

    Example:
        >>> image = torch.ones(1, 5, 5, 4)
        >>> convolve_depthwise(image, torch.ones(3, 3, 4, 2), strides=(1, 1), dilation=(1, 1)).shape
        torch.Size([1, 3, 3, 8])
    """
    return convolve(
        x,
        kernel.flatten(-2).unsqueeze(-2),
        bias,
        strides=strides,
        dilation=dilation,
        padding=padding,
        groups=kernel.shape[-2],
        channels_last=channels_last,
        relu=relu,
    )


def convolve_transposed(
    x: torch.Tensor,
    kernel: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str = "valid",
    output_padding: Sequence[int] | None = None,
    channels_last: bool = True,
    relu: bool = False,
) -> torch.Tensor:
    """Spread each cell of `x` through a kernel: the gradient of `convolve`, used to enlarge.

    Args:
        kernel: (..., channels out, channels in).
        padding: `"valid"` or `"same"` (size * stride results).
        output_padding: Extra cells at the end of each axis; None takes the
            number that `padding` asks for. The others are as for `convolve`.

    Example:
        >>> image = torch.ones(1, 4, 4, 8)
        >>> kernel = torch.ones(3, 3, 2, 8)
        >>> convolve_transposed(image, kernel, strides=(2, 2), dilation=(1, 1), padding="same").shape
        torch.Size([1, 8, 8, 2])
    """
    kind = x.dtype
    if lack_products(x, kernel, bias):
        x, kernel, bias = x.float(), kernel.float(), widened(bias)
    rank = x.dim() - 2
    if rank == 1 and channels_last:
        out = convolve_transposed(
            x.unsqueeze(1),
            kernel.unsqueeze(0),
            bias,
            strides=(1, *strides),
            dilation=(1, *dilation),
            padding=padding,
            output_padding=None if output_padding is None else (0, *output_padding),
            relu=relu,
        )
        return out.squeeze(1).to(kind)
    extras = [None] * rank if output_padding is None else output_padding
    crops = [
        _transposed_crops((size - 1) * hole + 1, stride, padding, extra)
        for size, stride, hole, extra in zip(kernel.shape, strides, dilation, extras)
    ]
    if channels_last:
        x = x.permute(TO_FIRST[rank])
    weight = kernel.permute(_KERNEL[rank])
    steps, holes = tuple(strides), tuple(dilation)
    if all(before >= 0 and 0 <= before - after < max(s, d) for (before, after), s, d in zip(crops, steps, holes)):
        before_all = tuple(before for before, _ in crops)
        more = tuple(before - after for before, after in crops)
        out = _TRANSPOSED[rank](x, weight, bias, steps, before_all, more, 1, holes)
    else:
        out = _TRANSPOSED[rank](x, weight, None, steps, 0, 0, 1, holes)
        # A negative pad crops.
        out = functional.pad(out, [-crop for before, after in reversed(crops) for crop in (before, after)])
        if bias is not None:
            out = out + bias.reshape(-1, *(1,) * rank)
    if relu:
        out = torch.relu_(out)
    return (out.permute(TO_LAST[rank]) if channels_last else out).to(kind)


def _transposed_crops(kernel: int, stride: int, padding: str, extra: int | None) -> tuple[int, int]:
    """Return how many cells to cut off before and after an axis of (size - 1) * stride + kernel results.

    A negative number stands for cells of nothing but bias to be added.
    """
    if padding == "valid":
        return 0, -(max(stride - kernel, 0) if extra is None else extra)
    total = kernel - stride if extra is None else kernel - kernel % 2 - extra
    before = max(total // 2, 0)
    return before, total - before


def pad(
    x: torch.Tensor, pads: Sequence[tuple[int, int]], channels_last: bool = True, value: float = 0.0
) -> torch.Tensor:
    """Add cells before and after each axis between samples and channels.

    Example:
        >>> pad(torch.ones(1, 2, 1), [(0, 2)]).flatten()
        tensor([1., 1., 0., 0.])
    """
    flat = [number for before_after in reversed(pads) for number in before_after]
    return functional.pad(x, [0, 0, *flat] if channels_last else flat, value=value)
