"""The processes that share the work: how one joins the others, how many there are, and which this one is."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from uncrumple.core.errors import explain

# Seconds to wait for threads of torch that have done their work to let go of it; it takes them microseconds.
_PATIENCE = 1.0


def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join the other processes; to be called in each before anything is computed.

    Under `torchrun` no argument is needed. What is not given is read from `KERAS_DISTRIBUTION_JOB_ADDRESSES`,
    `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID`. Where all are joined already, nothing
    is done. The processes talk through gloo, and about what lies on GPUs through NCCL; each takes a GPU of its own.

    Args:
        job_addresses: `"host:port"` of process 0; of a list with commas the first counts.
        num_processes: How many processes there are.
        process_id: Which one this is, from 0.

    Raises:
        ValueError: It is not known how many processes there are or where the first is.
    """
    given = os.environ
    job_addresses = job_addresses or given.get("KERAS_DISTRIBUTION_JOB_ADDRESSES")
    count = given.get("KERAS_DISTRIBUTION_NUM_PROCESSES") if num_processes is None else num_processes
    number = given.get("KERAS_DISTRIBUTION_PROCESS_ID") if process_id is None else process_id
    if is_joined():
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"  # the order of samples is agreed upon in the memory of the computer
        torch.cuda.set_device(int(given.get("LOCAL_RANK") or number or 0) % torch.cuda.device_count())
    if job_addresses is None and count is None and number is None and "RANK" in given:
        torch.distributed.init_process_group(backend)
        return
    if job_addresses is None or count is None or number is None:
        raise ValueError(
            explain(
                f"initialize got job_addresses={job_addresses!r}, num_processes={count!r}, process_id={number!r}.",
                "Expected all three, or none under torchrun.",
                "torchrun --nproc-per-node 2 program.py",
            )
        )
    first = job_addresses.split(",")[0].strip()
    if not re.fullmatch(r"(\[[^\]]+\]|[^:]+):\d+", first) or not 0 <= int(number) < int(count):
        raise ValueError(
            explain(
                f"initialize got job_addresses={job_addresses!r}, num_processes={count}, process_id={number}.",
                "Expected 'host:port' of process 0, and a process_id from 0 to num_processes - 1.",
                'initialize("10.0.0.1:1234", num_processes=2, process_id=0)',
            )
        )
    torch.distributed.init_process_group(backend, init_method=f"tcp://{first}", world_size=int(count), rank=int(number))


def is_joined() -> bool:
    """Return whether this process has joined others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def process_count() -> int:
    """Return how many processes are joined."""
    return torch.distributed.get_world_size() if is_joined() else 1


def process_number() -> int:
    """Return which of them this is, from 0."""
    return torch.distributed.get_rank() if is_joined() else 0


def together(operation: Callable[..., Any], *tensors: torch.Tensor | list[torch.Tensor], **kwargs: Any) -> None:
    """Run an operation of `torch.distributed`, and return when its threads have let go of the tensors, too.

    torch returns when the numbers are there. A thread of gloo that lets go of a
    tensor only when Python is ending already takes the process with it:
    "terminate called without an active exception", after all work is done.

    Args:
        operation: Such as `torch.distributed.all_reduce`.
        tensors: What it is called with: tensors and lists of them, held by nobody else.
        kwargs: What else it is called with.
    """
    before = _holders(tensors)
    operation(*tensors, **kwargs)
    until = time.monotonic() + _PATIENCE
    while any(now > count for now, count in zip(_holders(tensors), before)) and time.monotonic() < until:
        time.sleep(0)


def _holders(tensors: Iterable[Any]) -> list[int]:
    """Return how many hold each tensor in the computer's memory; Python, with all its names for one, counts once."""
    every = (one if isinstance(one, list) else [one] for one in tensors)
    return [tensor._use_count() for one in every for tensor in one if tensor.device.type == "cpu"]
