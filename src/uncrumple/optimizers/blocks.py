"""Going through large weights in pieces that stay in the processor's cache.

A formula of several operations reads and writes all weights once per
operation. On a CPU this is a matter of memory, not of arithmetic: done piece
by piece, all operations on one before the next, it takes half the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

import torch

Tensors = list[torch.Tensor]
# Entries per thread: torch gives a thread no fewer, and a few arrays of this size fit into its cache.
_PIECE = 32768


_is_contiguous, _nbytes = torch.Tensor.is_contiguous, attrgetter("nbytes")


def same_layout(*lists: Tensors) -> bool:
    """Return whether tensors in the same place of the lists lie in memory alike.

    torch's fused kernels go through them as flat arrays and do not ask. A
    gradient that `backward()` made lies as its weight does; one that was given
    by hand, such as a transposed one, may not; and a weight that was given
    another shape or type has outgrown what was kept for it.

    Example:
        >>> square = torch.arange(4.0).reshape(2, 2)
        >>> same_layout([square], [square + 1]), same_layout([square], [square.T])
        (True, False)
    """
    room = None
    for tensors in lists:
        if not all(map(_is_contiguous, tensors)):
            break
        before, room = room, [*map(_nbytes, tensors)]
        if before is not None and room != before:
            return False
    else:
        return True
    return all(len({(one.stride(), one.shape, one.dtype) for one in tensors}) == 1 for tensors in zip(*lists))


def blocks(*lists: Tensors) -> Iterator[tuple[Tensors, ...]]:
    """Yield lists like the given ones, with views of the same memory, of a limited size together.

    Only for formulas that treat each entry by itself. On other devices than
    the CPU, where one call for all is quickest, the lists come as they are.

    Args:
        lists: Lists of equal length; tensors in the same place have the same shape.

    Example:
        >>> large, small = torch.zeros(100_000), torch.zeros(3)
        >>> for (pieces,) in blocks([large, small]):
        ...     _ = torch._foreach_add_(pieces, 1.0)
        >>> large.sum().item(), small.sum().item()
        (100000.0, 3.0)
    """
    first = lists[0]
    limit = _PIECE * torch.get_num_threads()
    if first[0].device.type != "cpu" or sum(map(torch.numel, first)) < 2 * limit:
        yield lists
        return
    waiting: tuple[Tensors, ...] = tuple([] for _ in lists)
    size = 0
    for tensors in zip(*lists):
        count = tensors[0].numel()
        if count >= limit and all(map(_is_contiguous, tensors)):
            for pieces in zip(*[tensor.view(-1).split(limit) for tensor in tensors]):
                yield tuple([piece] for piece in pieces)
            continue
        for kept, tensor in zip(waiting, tensors):
            kept.append(tensor)
        size += count
        if size >= limit:
            yield waiting
            waiting, size = tuple([] for _ in lists), 0
    if size:
        yield waiting
