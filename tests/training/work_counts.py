"""Counts what one training step does: calls of functions, torch operations, native calls, tensors allocated.

Seconds differ from machine to machine and from minute to minute; these counts
do not. `test_work_limits.py` compares them with `work_limits.json`.

    python tests/training/work_counts.py             # show what a step does now
    python tests/training/work_counts.py --update    # write new limits, where more work is wanted

The limits are for float32 and mixed_bfloat16, with the native kernels and
without them (`UNCRUMPLE_NATIVE=0`); an update writes those that this process
can count, and leaves the others alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import uncrumple as uc
from uncrumple.kernels import native

LIMITS = Path(__file__).with_name("work_limits.json")
WORKLOADS = Path(__file__).parents[2] / "benchmarks"
NETWORKS = ("W1", "W2", "W3", "W4")
POLICIES = ("float32", "mixed_bfloat16")
FEW, MANY = 3, 8  # steps of the two runs whose difference is counted, so that what happens once drops out
MARGIN = 1.05  # of a new limit over what was counted
BATCH = 16


def kernels_used() -> str:
    """Return which limits hold for this process."""
    return "native" if native.available() else "plain"


def can_count(policy: str) -> bool:
    """Return whether the way that is counted is taken here: with bfloat16 that depends on the processor."""
    return policy == "float32" or not native.available() or native.has_tiles()


def count(network: str, policy: str) -> dict[str, float]:
    """Return what one training step of a network does, by kind of work."""
    before, threads = uc.config.dtype_policy(), torch.get_num_threads()
    torch.set_num_threads(1)
    uc.config.set_dtype_policy(policy)
    try:
        fit = _fitting(network)
        counters = {
            "calls": _calls,
            "torch_operations": _operations,
            "native_calls": _native_calls,
            "allocations": _allocations,
        }
        found = {}
        for name, counter in counters.items():
            few, many = (counter(lambda steps=steps: fit(steps)) for steps in (FEW, MANY))
            found[name] = (many - few) / (MANY - FEW)
        return found
    finally:
        uc.config.set_dtype_policy(before)
        torch.set_num_threads(threads)


def _fitting(network: str) -> Callable[[int], None]:
    """Return what trains a network for some steps, with accuracy, shuffling and a callback; it has run once."""
    if str(WORKLOADS) not in sys.path:
        sys.path.append(str(WORKLOADS))
    import workloads

    workload = workloads.load(network)
    uc.utils.set_random_seed(0)
    model = workload.in_keras(uc)
    loss = uc.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(uc.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    x, y = (one[: MANY * BATCH] for one in workload.epoch_data())

    def fit(steps: int) -> None:
        rows = steps * BATCH
        model.fit(x[:rows], y[:rows], batch_size=BATCH, epochs=1, verbose=0, callbacks=[uc.callbacks.Callback()])

    fit(FEW), fit(MANY)
    return fit


def _calls(work: Callable[[], None]) -> int:
    """Count the calls of functions that Python sees, its own and those of C."""
    seen = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # what is collected, and calls a finalizer, depends on all that ran before
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return seen


class _Counting(TorchDispatchMode):
    """Counts the operations that reach torch's kernels, those of the backward pass included."""

    seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen += 1
        return func(*args, **(kwargs or {}))


def _operations(work: Callable[[], None]) -> int:
    with _Counting() as counting:
        work()
    return counting.seen


def _native_calls(work: Callable[[], None]) -> int:
    ordinary, seen = native.call, 0

    def call(name: str, *arguments: Any) -> None:
        nonlocal seen
        seen += 1
        ordinary(name, *arguments)

    native.call = call
    try:
        work()
    finally:
        native.call = ordinary
    return seen


def _allocations(work: Callable[[], None]) -> int:
    """Count how often memory for a tensor is taken."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        work()
    return sum(event.name() == "[memory]" and event.nbytes() > 0 for event in profile.profiler.kineto_results.events())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the limits")
    update = parser.parse_args().update
    limits = json.loads(LIMITS.read_text(encoding="utf-8")) if LIMITS.exists() else {}
    for network in NETWORKS:
        for policy in filter(can_count, POLICIES):
            found, name = count(network, policy), f"{network} {policy} {kernels_used()}"
            print(f"{name}: " + ", ".join(f"{number:.1f} {kind}" for kind, number in found.items()))
            limits[name] = {kind: math.ceil(number * MARGIN) for kind, number in found.items()}
    if update:
        LIMITS.write_text(json.dumps(dict(sorted(limits.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
