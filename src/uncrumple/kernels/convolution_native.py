"""Convolutions with what follows them (relu, max pooling, dropout) as one differentiable function, for the CPU.

oneDNN does the convolution. What follows it reads its result once and writes
the small one that goes on; the large one is not needed again, since a byte
per result says where in its window it came from, or that nothing came
through. The backward pass writes the gradient of the large one in one go,
and the gradient of the bias on the way.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from uncrumple.kernels import few_channels, native, tile_convolution
from uncrumple.kernels.dropout import keep_plain
from uncrumple.kernels.transforms import differentiated, gradients_by_twin

# Weights that stay in the cache of a core, along with what they are multiplied with.
_FEW_WEIGHTS = 1 << 15


class Ending(NamedTuple):
    """What follows a convolution.

    Attributes:
        relu: Whether negative numbers become 0.
        window: Height and width of the windows of max pooling, which lie side by side; None for no pooling.
        seed, limit, scale: Of the dropout behind the pooling; a limit of 0 stands for none.
    """

    relu: bool
    window: tuple[int, int] | None = None
    seed: int = 0
    limit: int = 0
    scale: float = 1.0


class Geometry(NamedTuple):
    """How a kernel slides: for each axis its stride, the cells added on both sides, and its holes."""

    strides: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def convolve_and_end(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, ending: Ending
) -> torch.Tensor:
    """Return what is left of a convolution after its ending, (samples, channels, ...) with channels last in memory.

    Args:
        x: (samples, channels in, height, width), best with channels last in memory.
        weight: (channels out, channels in / groups, height, width).
        bias: (channels out).
    """
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (x, weight, bias)):
        return _Convolution.apply(x, weight, bias, geometry, ending)
    # Without a gradient nothing needs to be kept: not where the greatest stood, not what relu cut off.
    alone = for_one_kernel(x, weight, geometry, ending)
    if alone is not None:
        return alone.run(few_channels.images_last(x), weight.permute(2, 3, 1, 0), bias).permute(0, 3, 1, 2)
    if ending.window is not None:
        return _pooled(_by_torch(x, weight, bias, geometry, relu=False), ending, None)
    if _rectifies(x.dtype):
        weight = _laid_out(weight, x)
        strides, padding, dilation, groups = (_listed(one) for one in geometry)
        return torch.ops.mkldnn._convolution_pointwise(
            x, weight, few_channels.dense(bias), padding, strides, dilation, groups, "relu", [None], ""
        )
    return _by_torch(x, weight, bias, geometry, relu=True)


class OneKernel(NamedTuple):
    """A convolution with all that follows it, without a gradient, as one call of a native kernel.

    Attributes:
        name: Of the kernel.
        given: Its first arguments.
        shape: Of the result: (samples, height, width, channels).
    """

    name: str
    given: tuple[Any, ...]
    shape: tuple[int, ...]

    def run(self, images: torch.Tensor, taps: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return the result for dense images (samples, height, width, channels) and a kernel as Keras has it."""
        out = images.new_empty(self.shape)
        native.call(self.name, *self.given, images, taps.contiguous(), few_channels.dense(bias), out, None)
        return out


def for_one_kernel(x: torch.Tensor, weight: torch.Tensor, geometry: Geometry, ending: Ending) -> OneKernel | None:
    """Return how one kernel does a convolution with its ending; None where it is left to oneDNN."""
    drawn = ending.relu, ending.seed, ending.limit, ending.scale
    if tile_convolution.takes(x, weight, geometry):
        sizes, shape = tile_convolution.sizes_and_shape(x, weight, geometry, ending.window)
        return OneKernel("tile_convolution", (sizes, *drawn), shape)
    few = few_channels.takes(x, weight, geometry)
    if not few and x.dtype is torch.float32 and weight.shape[2:].numel() > 1:
        few = _is_sooner_by_places(weight, x, ending) and few_channels.takes(x, weight, geometry, most=weight.numel())
    if not few:
        return None
    sizes, shape = few_channels.sizes_and_shape(x, weight, geometry, ending.window)
    return OneKernel("few_channels", (sizes, x.dtype is torch.bfloat16, *drawn), shape)


def convolve_and_end_plain(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, ending: Ending
) -> torch.Tensor:
    """Do what `convolve_and_end` does with torch's own functions."""
    out = functional.conv2d(x, weight, bias, *geometry)
    if ending.relu:
        out = out.relu()
    if ending.window is not None:
        out = functional.max_pool2d(out, ending.window)
    if ending.limit:
        samples, channels, height, width = out.shape
        kept = keep_plain(out.numel(), ending.seed, ending.limit).view(samples, height, width, channels)
        out = out * kept.permute(0, 3, 1, 2) * ending.scale
    return out


def _by_torch(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, relu: bool
) -> torch.Tensor:
    sums = functional.conv2d(x, _laid_out(weight, x), bias, *geometry)
    return sums.relu_() if relu else sums


def _laid_out(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return a kernel as oneDNN likes it: it takes its time over input channels before output channels, as in Keras."""
    return weight.contiguous(memory_format=torch.channels_last) if _is_worth_laying_out(weight, x) else weight


def _is_sooner_by_places(weight: torch.Tensor, x: torch.Tensor, ending: Ending) -> bool:
    """Return whether the kernel that goes from place to place is the faster one, where no gradient follows.

    For a sample or two oneDNN would spend as long on the order of the weights as on the numbers. For more it
    multiplies as fast, but writes down what is pooled at once.
    """
    if not _is_worth_laying_out(weight, x):
        return True
    return (
        ending.window is not None and weight.numel() <= _FEW_WEIGHTS and native.instruction_set() in ("AVX512", "AMX")
    )


def _is_worth_laying_out(weight: torch.Tensor, x: torch.Tensor) -> bool:
    return x.numel() >= 4 * weight.numel()


def _pooled(sums: torch.Tensor, ending: Ending, where: torch.Tensor | None) -> torch.Tensor:
    """Return what an ending with a window leaves of the sums; `where` gets the place of each in its window."""
    sums = sums.contiguous(memory_format=torch.channels_last)
    samples, channels, height, width = sums.shape
    tall, wide = ending.window or (1, 1)
    pooled = sums.new_empty(samples, height // tall, width // wide, channels)
    drawn = ending.relu, ending.seed, ending.limit, ending.scale, sums.dtype is torch.bfloat16
    native.call("pool", samples, height, width, channels, tall, wide, *drawn, sums, pooled, where)
    return pooled.permute(0, 3, 1, 2)


def _listed(setting: Any) -> Any:
    return list(setting) if isinstance(setting, tuple) else setting


@functools.cache
def _rectifies(kind: torch.dtype) -> bool:
    """Return whether torch shows oneDNN's convolution with relu in it, for this type: it is tried out."""
    x = torch.ones(1, 1, 1, 2, dtype=kind, device="cpu")
    weight = torch.tensor([[-1.0], [2.0]], dtype=kind, device="cpu").view(2, 1, 1, 1)
    try:
        with torch.no_grad():
            out = torch.ops.mkldnn._convolution_pointwise(
                x, weight, None, [0, 0], [1, 1], [1, 1], 1, "relu", [None], ""
            )
    except (RuntimeError, AttributeError, TypeError):
        return False
    return out.flatten().tolist() == [0.0, 0.0, 2.0, 2.0]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        geometry: Geometry,
        ending: Ending,
    ) -> torch.Tensor:
        ctx.geometry, ctx.ending = geometry, ending
        ctx.tiles = tile_convolution.takes(x, weight, geometry)
        if ctx.tiles:
            out, kept = tile_convolution.convolve(x, weight, bias, geometry, ending, learn=True)
            ctx.save_for_backward(x, weight, bias, kept)
            return out
        ctx.few = few_channels.takes(x, weight, geometry)
        if ctx.few and ending.window is not None:
            out, where = few_channels.convolve_and_pool(x, weight, bias, geometry, ending, learn=True)
            ctx.shape = few_channels.shape_of_result(x, weight, geometry)
            ctx.save_for_backward(x, weight, bias, where)
            return out
        if ctx.few:
            sums = few_channels.convolve(x, weight, bias, geometry, relu=True)
        else:
            sums = _by_torch(x, weight, bias, geometry, relu=ending.window is None)
        ctx.shape = sums.shape
        if ending.window is None:
            ctx.save_for_backward(x, weight, bias, sums)
            return sums
        samples, channels, height, width = sums.shape
        tall, wide = ending.window
        where = torch.empty(samples, height // tall, width // wide, channels, dtype=torch.uint8, device="cpu")
        ctx.save_for_backward(x, weight, bias, where)
        return _pooled(sums, ending, where)

    @staticmethod
    def backward(ctx: Any, d_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, bias, kept = ctx.saved_tensors
        geometry, ending = ctx.geometry, ctx.ending
        if differentiated(d_output):
            twin = functools.partial(convolve_and_end_plain, geometry=geometry, ending=ending)
            return *gradients_by_twin(twin, (x, weight, bias), [d_output]), None, None
        if ctx.tiles:
            of_images = ctx.needs_input_grad[0]
            found = tile_convolution.gradients(x, weight, bias, kept, d_output, geometry, ending, of_images)
            return *found, None, None
        samples, channels, height, width = ctx.shape
        d_output = d_output.contiguous(memory_format=torch.channels_last)
        few = ctx.few and not ctx.needs_input_grad[0]
        if few and ending.window is None:
            return _few_gradients(x, weight, bias, kept, d_output, geometry)
        d_sums = torch.empty(ctx.shape, dtype=x.dtype, device="cpu", memory_format=torch.channels_last)
        per_thread = torch.zeros(torch.get_num_threads(), channels, device="cpu")
        half = x.dtype is torch.bfloat16
        if ending.window is None:
            kept = kept.contiguous(memory_format=torch.channels_last)
            rows = samples * height * width
            native.call("relu_backward", rows, channels, half, kept, d_output, d_sums, per_thread)
        else:
            sizes = samples, height, width, channels, *ending.window
            native.call("pool_backward", *sizes, ending.scale, half, d_output, kept, d_sums, per_thread)
        if few:
            return _few_gradients(x, weight, bias, None, d_sums, geometry)
        d_x, d_weight, _ = torch.ops.aten.convolution_backward(
            d_sums,
            x,
            weight,
            None,
            geometry.strides,
            geometry.padding,
            geometry.dilation,
            False,
            (0, 0),
            geometry.groups,
            (ctx.needs_input_grad[0], ctx.needs_input_grad[1], False),
        )
        d_bias = per_thread.sum(0).to(bias.dtype) if bias is not None else None
        return d_x, d_weight, d_bias, None, None


def _few_gradients(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    kept: torch.Tensor | None,
    d: torch.Tensor,
    geometry: Geometry,
) -> tuple[torch.Tensor | None, ...]:
    d_weight, d_bias = few_channels.gradients(x, weight, kept, d, geometry)
    return None, d_weight, None if bias is None else d_bias.to(bias.dtype), None, None
