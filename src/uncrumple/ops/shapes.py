"""The same numbers in other shapes: reshaping, turning axes, joining, splitting, repeating, padding."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.promotion import torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import (
    as_ints,
    axes_of,
    check_axis,
    positive_axis,
    shapes_in_words,
    tensor,
    tensors_of_one_type,
)

operation, operation_of_core = group("numpy"), group("core")
# fmt: off
__all__ = ["append", "array_split", "broadcast_to", "concatenate", "dsplit", "dstack", "expand_dims", "flip", "fliplr",
           "flipud", "hsplit", "hstack", "moveaxis", "ndim", "pad", "ravel", "repeat", "reshape", "roll", "rot90",
           "size", "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "unstack", "vsplit", "vstack"]
# fmt: on


def _as_tuple(newshape: Any) -> Any:
    return newshape if isinstance(newshape, (list, tuple, torch.Tensor)) else (newshape,)


@operation(newshape=_as_tuple)
def reshape(x: Any, newshape: Any) -> torch.Tensor:
    """Return the numbers in another shape; one size may be -1 (or None), and is found.

    Raises:
        ValueError: The sizes do not hold as many numbers.

    Example:
        >>> reshape(torch.arange(6), (2, -1))
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    x = tensor(x)
    newshape = as_ints([-1 if size is None else size for size in _as_tuple(newshape)])
    known = math.prod(size for size in newshape if size != -1)
    unknown = sum(size == -1 for size in newshape)
    if unknown > 1 or min(newshape, default=0) < -1:
        raise ValueError(
            explain(f"reshape got newshape={newshape}.", "Expected sizes, of which one may be -1.", "(-1, 10)")
        )
    if x.numel() != known if not unknown else known == 0 or x.numel() % known:
        raise ValueError(
            explain(
                f"reshape got a tensor of shape {tuple(x.shape)}, which holds {x.numel()} numbers, and "
                f"newshape={newshape}.",
                f"Expected sizes whose product is {x.numel()}.",
                f"ops.reshape(x, {_close(x.numel(), newshape)})",
            )
        )
    return torch.reshape(x, newshape)


def _close(count: int, newshape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape like the one that was asked for, which holds `count` numbers."""
    rest = math.prod(newshape[1:])
    return (-1, *newshape[1:]) if rest > 0 and count % rest == 0 else (-1,)


@operation()
def ravel(x: Any) -> torch.Tensor:
    """Return the numbers on one axis."""
    return torch.ravel(tensor(x))


@operation()
def expand_dims(x: Any, axis: Any) -> torch.Tensor:
    """Return the tensor with an axis of size 1 at `axis`, or at several places of the result."""
    x = tensor(x)
    axes = as_ints(axis)
    rank = x.ndim + len(axes)
    check_axis("expand_dims", axes, rank)
    for one in sorted(positive_axis(one, rank) for one in axes):
        x = x.unsqueeze(one)
    return x


@operation()
def squeeze(x: Any, axis: Any = None) -> torch.Tensor:
    """Return the tensor without axes of size 1: those named, or all of them."""
    x = tensor(x)
    if axis is None:
        return torch.squeeze(x)
    check_axis("squeeze", axis, x.ndim)
    for one in as_ints(axis):
        if x.ndim and x.shape[one] != 1:
            raise ValueError(
                explain(
                    f"squeeze got axis={axis} and a tensor of shape {tuple(x.shape)}.",
                    f"Expected size 1 on axis {one}.",
                    "ops.squeeze(x), for all axes of size 1",
                )
            )
    return torch.squeeze(x, dim=axes_of(axis))


@operation()
def transpose(x: Any, axes: Any = None) -> torch.Tensor:
    """Return the tensor with its axes in the order `axes`; by default turned round."""
    x = tensor(x)
    axes = tuple(range(x.ndim))[::-1] if axes is None else as_ints(axes)
    check_axis("transpose", axes, x.ndim)
    if sorted(positive_axis(axis, x.ndim) for axis in axes) != list(range(x.ndim)):
        raise ValueError(
            explain(
                f"transpose got axes={axes} and a tensor of shape {tuple(x.shape)}.",
                f"Expected each of 0 to {x.ndim - 1} once.",
                f"axes={tuple(range(x.ndim))[::-1]}",
            )
        )
    return torch.permute(x, axes)


@operation()
def swapaxes(x: Any, axis1: int, axis2: int) -> torch.Tensor:
    """Return the tensor with two axes exchanged."""
    x = tensor(x)
    check_axis("swapaxes", (axis1, axis2), x.ndim)
    return torch.swapaxes(x, axis1, axis2)


@operation()
def moveaxis(x: Any, source: Any, destination: Any) -> torch.Tensor:
    """Return the tensor with axes moved from `source` to `destination`."""
    x = tensor(x)
    check_axis("moveaxis", source, x.ndim)
    check_axis("moveaxis", destination, x.ndim)
    return torch.moveaxis(x, axes_of(source), axes_of(destination))


@operation()
def broadcast_to(x: Any, shape: Any) -> torch.Tensor:
    """Return the tensor repeated along axes of size 1, and new ones in front, until it has `shape`."""
    x, shape = tensor(x), as_ints(shape)
    try:
        return torch.broadcast_to(x, shape)
    except RuntimeError:
        raise ValueError(
            explain(
                f"broadcast_to got a tensor of shape {tuple(x.shape)} and shape={shape}.",
                "Expected sizes equal to those of the tensor, counted from the last, or 1 in the tensor.",
                "ops.expand_dims(x, axis) adds an axis of size 1",
            )
        ) from None


@operation()
def flip(x: Any, axis: Any = None) -> torch.Tensor:
    """Return the numbers in reverse order along one axis, several, or all."""
    x = tensor(x)
    axes = tuple(range(x.ndim)) if axis is None else as_ints(axis)
    check_axis("flip", axes, x.ndim)
    return torch.flip(x, axes)


@operation()
def fliplr(x: Any) -> torch.Tensor:
    """Return the columns in reverse order."""
    return torch.fliplr(tensor(x))


@operation()
def flipud(x: Any) -> torch.Tensor:
    """Return the rows in reverse order."""
    return torch.flipud(tensor(x))


@operation()
def roll(x: Any, shift: Any, axis: Any = None) -> torch.Tensor:
    """Return the numbers moved along an axis; what leaves at the end comes in at the start."""
    x = tensor(x)
    check_axis("roll", axis, x.ndim)
    if axis is not None and len(as_ints(axis)) > len(as_ints(shift)):
        shift = as_ints(shift) * len(as_ints(axis))
    return torch.roll(x, axes_of(shift), dims=axes_of(axis))


@operation()
def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> torch.Tensor:
    """Return the tensor turned `k` times by 90 degrees, from the first of two axes towards the second."""
    x = tensor(array)
    axes = as_ints(axes)
    if x.ndim < 2 or len(axes) != 2 or axes[0] % x.ndim == axes[1] % x.ndim:
        raise ValueError(
            explain(
                f"rot90 got a tensor of shape {tuple(x.shape)} and axes={axes}.",
                "Expected two different axes of a tensor that has at least two.",
                "ops.rot90(x, axes=(0, 1))",
            )
        )
    check_axis("rot90", axes, x.ndim)
    return torch.rot90(x, k, axes)


def _joined(owner: str, xs: Any) -> list[torch.Tensor]:
    if isinstance(xs, torch.Tensor):
        xs = xs.unbind() if xs.ndim else [xs]
    found = tensors_of_one_type(xs)
    if not found:
        raise ValueError(explain(f"{owner} got no tensors.", "Expected at least one.", f"ops.{owner}([x, y])"))
    return found


@operation()
def concatenate(xs: Any, axis: int = 0) -> torch.Tensor:
    """Return tensors joined along an axis that they have.

    Raises:
        ValueError: Their sizes differ on another axis.

    Example:
        >>> concatenate([torch.zeros(2, 3), torch.ones(2, 1)], axis=-1).shape
        torch.Size([2, 4])
    """
    xs = _joined("concatenate", xs)
    check_axis("concatenate", axis, xs[0].ndim)
    place = axis % xs[0].ndim
    rests = {(*x.shape[:place], *x.shape[place + 1 :]) if x.ndim == xs[0].ndim else None for x in xs}
    if len(rests) > 1:
        raise ValueError(
            explain(
                f"concatenate got tensors of shapes {shapes_in_words(xs)} and axis={axis}.",
                f"Expected equal sizes on every axis other than {place}.",
                _axis_that_fits("concatenate", xs)
                or "ops.stack(xs) for a new axis; ops.reshape(x, ...) for other shapes",
            )
        )
    return torch.cat(xs, dim=axis)


def _axis_that_fits(owner: str, xs: list[torch.Tensor]) -> str | None:
    """Return the line to type if the tensors fit together along another axis."""
    if len({x.ndim for x in xs}) > 1:
        return None
    differing = [place for place, sizes in enumerate(zip(*(x.shape for x in xs))) if len(set(sizes)) > 1]
    return f"ops.{owner}(xs, axis={differing[0]})" if len(differing) == 1 else None


@operation()
def stack(x: Any, axis: int = 0) -> torch.Tensor:
    """Return tensors of one shape joined along a new axis.

    Example:
        >>> stack([torch.zeros(3), torch.ones(3)], axis=-1).shape
        torch.Size([3, 2])
    """
    xs = _joined("stack", x)
    check_axis("stack", axis, xs[0].ndim + 1)
    if len({x.shape for x in xs}) > 1:
        raise ValueError(
            explain(
                f"stack got tensors of shapes {shapes_in_words(xs)}.",
                "Expected equal shapes.",
                _axis_that_fits("concatenate", xs) or "ops.broadcast_to(x, shape)",
            )
        )
    return torch.stack(xs, dim=axis)


@operation("xs")
def hstack(xs: Any) -> torch.Tensor:
    """Return tensors joined side by side, along the second axis (the first, if there is one only)."""
    return torch.hstack(_joined("hstack", xs))


@operation("xs")
def vstack(xs: Any) -> torch.Tensor:
    """Return tensors joined one below the other, along the first axis."""
    return torch.vstack(_joined("vstack", xs))


@operation("xs")
def dstack(xs: Any) -> torch.Tensor:
    """Return tensors joined one behind the other, along the third axis."""
    return torch.dstack(_joined("dstack", xs))


@operation(2)
def append(x1: Any, x2: Any, axis: int | None = None) -> torch.Tensor:
    """Return x2 behind x1 along an axis, or both flattened."""
    x1, x2 = tensors_of_one_type([x1, x2])
    return torch.cat([x1.flatten(), x2.flatten()]) if axis is None else concatenate([x1, x2], axis)


@operation()
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[torch.Tensor]:
    """Return a tensor cut along an axis, into equal parts (a number) or at places (a list).

    Example:
        >>> [part.tolist() for part in split(torch.arange(5), [2, 3])]
        [[0, 1], [2], [3, 4]]
    """
    x = tensor(x)
    check_axis("split", axis, x.ndim)
    size = x.shape[axis]
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1 or size % indices_or_sections:
            raise ValueError(
                explain(
                    f"split got {indices_or_sections} sections for axis {axis} of a tensor of shape {tuple(x.shape)}.",
                    f"Expected a number that {size} can be divided by.",
                    f"ops.array_split(x, {indices_or_sections}, axis={axis}) for parts that differ by one",
                )
            )
        return list(torch.tensor_split(x, indices_or_sections, dim=axis))
    return list(torch.tensor_split(x, as_ints(indices_or_sections), dim=axis))


@operation()
def array_split(x: Any, indices_or_sections: int, axis: int = 0) -> list[torch.Tensor]:
    """Return a tensor cut along an axis into parts whose sizes differ by one at most."""
    if not isinstance(indices_or_sections, int) or not isinstance(axis, int):
        got = f"indices_or_sections={indices_or_sections!r}, axis={axis!r}"
        raise TypeError(explain(f"array_split got {got}.", "Expected whole numbers.", "ops.array_split(x, 3, axis=0)"))
    if indices_or_sections < 1:
        raise ValueError(
            explain(f"array_split got {indices_or_sections} sections.", "Expected at least 1.", "ops.array_split(x, 3)")
        )
    x = tensor(x)
    check_axis("array_split", axis, x.ndim)
    return list(torch.tensor_split(x, indices_or_sections, dim=axis))


def _cuts(indices_or_sections: Any) -> Any:
    return indices_or_sections if isinstance(indices_or_sections, int) else as_ints(indices_or_sections)


@operation()
def hsplit(x: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    """Return a tensor cut along the second axis (the first, if there is one only)."""
    return list(torch.hsplit(tensor(x), _cuts(indices_or_sections)))


@operation()
def vsplit(x: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    """Return a tensor cut along the first axis."""
    return list(torch.vsplit(tensor(x), _cuts(indices_or_sections)))


@operation()
def dsplit(x: Any, indices_or_sections: Any) -> list[torch.Tensor]:
    """Return a tensor cut along the third axis."""
    return list(torch.dsplit(tensor(x), _cuts(indices_or_sections)))


@operation_of_core()
def unstack(x: Any, num: int | None = None, axis: int = 0) -> tuple[torch.Tensor, ...]:
    """Return the slices along an axis, without that axis.

    Args:
        num: How many there are, if that is known beforehand; another count is refused.
    """
    x = tensor(x)
    check_axis("unstack", axis, x.ndim)
    if num is not None and num != x.shape[axis]:
        raise ValueError(
            explain(
                f"unstack got num={num} for axis {axis} of a tensor of shape {tuple(x.shape)}.",
                f"Expected {x.shape[axis]}, or None.",
                "ops.unstack(x)",
            )
        )
    return x.unbind(axis)


@operation()
def repeat(x: Any, repeats: Any, axis: int | None = None) -> torch.Tensor:
    """Return each number (or slice along an axis) several times in a row.

    Args:
        repeats: How often; one number, or one for each place.
        axis: By default the tensor is flattened.
    """
    x = tensor(x)
    if axis is None:
        x, axis = x.flatten(), 0
    check_axis("repeat", axis, x.ndim)
    counts = repeats if isinstance(repeats, torch.Tensor) else as_ints(repeats)
    if len(counts) == 1 and not isinstance(counts, torch.Tensor):
        return torch.repeat_interleave(x, counts[0], dim=axis)
    if isinstance(counts, torch.Tensor):
        return torch.repeat_interleave(x, counts.to(x.device).long(), dim=axis)
    places = [place for place, count in enumerate(counts) for _ in range(count)]
    if len(counts) != x.shape[axis]:
        raise ValueError(
            explain(
                f"repeat got {len(counts)} counts for axis {axis} of a tensor of shape {tuple(x.shape)}.",
                f"Expected 1 or {x.shape[axis]}.",
                f"ops.repeat(x, {counts[0]}, axis={axis})",
            )
        )
    return torch.index_select(x, axis, torch.tensor(places, dtype=torch.long, device=x.device))


@operation()
def tile(x: Any, repeats: Any) -> torch.Tensor:
    """Return the whole tensor several times, side by side."""
    return torch.tile(tensor(x), as_ints(repeats))


@operation("x constant_values")
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> torch.Tensor:
    """Return the tensor with a margin.

    Args:
        pad_width: (before, after) for each axis; one pair, or one number, serves all.
        mode: `"constant"`, `"reflect"` (mirrored, without the edge),
            `"symmetric"` (mirrored, with the edge), or `"edge"`.
        constant_values: What fills the margin in mode `"constant"`; 0 by default.

    Example:
        >>> pad(torch.tensor([1, 2, 3]), (2, 1), mode="reflect")
        tensor([3, 2, 1, 2, 3, 2])
    """
    modes = ("constant", "reflect", "symmetric", "edge")
    if mode not in modes:
        raise ValueError(unknown_name("padding mode", mode, modes))
    if constant_values is not None and mode != "constant":
        raise ValueError(
            explain(f'pad got constant_values and mode="{mode}".', 'Expected mode="constant".', 'mode="constant"')
        )
    x = tensor(x)
    pairs = _pairs(pad_width, x.ndim)
    if mode == "constant":
        flat = [count for pair in reversed(pairs) for count in pair]
        value = 0 if constant_values is None else constant_values
        return torch.nn.functional.pad(x, flat, value=value.item() if isinstance(value, torch.Tensor) else value)
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            x = torch.index_select(x, axis, _mirrored(mode, x.shape[axis], before, after, x.device))
    return x


def _pairs(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, torch.Tensor):
        pad_width = pad_width.tolist()
    if isinstance(pad_width, int):
        pad_width = (pad_width, pad_width)
    pairs = list(pad_width)
    if all(isinstance(count, int) for count in pairs):
        pairs = [pairs * 2 if len(pairs) == 1 else pairs]
    pairs = [as_ints(pair) * (2 if len(as_ints(pair)) == 1 else 1) for pair in pairs]
    pairs = pairs * rank if len(pairs) == 1 else pairs
    if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            explain(
                f"pad got pad_width={pad_width} for a tensor of {rank} axes.",
                "Expected (before, after) for each axis.",
                f"pad_width={tuple((1, 1) for _ in range(rank))}",
            )
        )
    return pairs


def _mirrored(mode: str, size: int, before: int, after: int, device: torch.device) -> torch.Tensor:
    """Return the places that fill an axis of `size` with its margins."""
    places = torch.arange(-before, size + after, device=device)
    if mode == "edge" or size == 1:
        return places.clamp(0, size - 1)
    period = 2 * size - (2 if mode == "reflect" else 0)
    places = places % period
    return torch.where(places < size, places, period - places - (0 if mode == "reflect" else 1))


@operation()
def ndim(x: Any) -> int:
    """Return how many axes there are."""
    return tensor(x).ndim


@operation()
def size(x: Any) -> torch.Tensor:
    """Return how many numbers there are."""
    return torch.tensor(tensor(x).numel(), dtype=torch_type("int64"))
