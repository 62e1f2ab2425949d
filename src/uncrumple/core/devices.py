"""Where tensors live."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.core.errors import explain


def default_device() -> torch.device:
    """Return the device on which new weights are made: torch's default, as `torch.set_default_device` set it."""
    return torch.get_default_device()


@contextlib.contextmanager
def device(device_name: Any) -> Iterator[torch.device]:
    """Within a `with` block, new tensors and weights are made on a device.

    Args:
        device_name: Such as `"cpu"`, `"gpu:0"`, `"cuda:1"`, `"mps"`; or a `torch.device`.

    Example:
        >>> with device("cpu:0"):
        ...     torch.ones(2).device.type
        'cpu'
    """
    name = str(device_name).lower() if isinstance(device_name, (str, torch.device)) else ""
    name = re.sub(r"^/?(?:device:)?gpu", "cuda", name)
    try:
        found = torch.device(name)
    except RuntimeError:
        raise ValueError(
            explain(f"device got {device_name!r}.", "Expected the name of a device.", '"cpu", "gpu:0" or "mps"')
        ) from None
    with found:
        yield found


def multiplies_bfloat16(where: torch.device | None = None) -> bool:
    """Return whether a device multiplies bfloat16 natively, several times as fast as float32.

    Processors do so with tiles (AMX): those that only know bfloat16 in their
    vectors gain too little to pay for rounding. GPUs do from NVIDIA's Ampere on.

    Args:
        where: A device; by default the one that new weights are made on.

    Example:
        >>> multiplies_bfloat16(torch.device("meta"))
        False
    """
    kind = (where or default_device()).type
    if kind == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return False


def free_memory(where: torch.device) -> int | None:
    """Return how many bytes a program can still put on a device; None where that is not known (all but NVIDIA's, AMD's).

    What torch has taken and not used again counts as free.

    Args:
        where: The device.

    Example:
        >>> free_memory(torch.device("cpu")) is None
        True
    """
    if where.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(where)
    return free + torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
