"""Time per training step: uncrumple's `fit` beside a plain eager PyTorch loop with fused Adam.

The same networks, batch sizes and data; both shuffle, and both run in this
process, an epoch of one after an epoch of the other, so that what disturbs
the machine disturbs both. uncrumple runs with the accuracy as a metric and a
callback; the PyTorch loop does only what learning needs. Reported per
workload: the median step of each, and the median and quartiles of the ratio
of neighbouring epochs (below 1: uncrumple is faster).

    python benchmarks/training_steps.py [--rounds 15] [--threads 2] [--only W1,W2] [--policy mixed_bfloat16]
                                        [--clock cpu] [--processor AVX2] [--json out.json]

Under `mixed_bfloat16` the PyTorch loop runs its forward pass within
`torch.autocast("cpu", torch.bfloat16)`. `--clock cpu` counts the processor
time of the process in place of the time on the wall: with one thread that is
what a quiet machine would show. `--processor AVX512` (without AMX) or `AVX2` lets both
sides use no more than such a processor has.

`compare.py` measures every peer, each in a process and an environment of its own; this
script is for a quick look.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from workloads import Workload, load, names, start_like_keras

import uncrumple as uc
from uncrumple.kernels import native

# What oneDNN, MKL and torch read from the environment when they are loaded.
PROCESSORS = {
    "AVX512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI", "MKL_ENABLE_INSTRUCTIONS": "AVX512", "ATEN_CPU_CAPABILITY": "avx512"
    },
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}  # fmt: skip


class _Counter(uc.callbacks.Callback):
    """A callback like a user's: called at every epoch."""

    epochs = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1


def _ours(work: Workload, x: torch.Tensor, y: torch.Tensor, now: Callable[[], float]) -> Callable[[], float]:
    model = work.in_keras(uc)
    model.compile(
        uc.optimizers.Adam(1e-3),
        uc.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock: list[float] = []

    class Clock(_Counter):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            clock.append(now())

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.append(now())

    def epoch() -> float:
        clock.clear()
        model.fit(x, y, batch_size=work.batch, epochs=1, verbose=0, callbacks=[Clock()])
        return (clock[1] - clock[0]) / work.steps

    return epoch


def _theirs(
    work: Workload, x: torch.Tensor, y: torch.Tensor, now: Callable[[], float], half: bool
) -> Callable[[], float]:
    model = start_like_keras(work.in_torch())
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_function = nn.CrossEntropyLoss()

    def epoch() -> float:
        model.train()
        start = now()
        order = torch.randperm(len(x))
        for begin in range(0, len(x), work.batch):
            index = order[begin : begin + work.batch]
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = loss_function(model(x[index]), y[index])
            loss.backward()
            optimizer.step()
        return (now() - start) / work.steps

    return epoch


def measure(work: Workload, rounds: int, policy: str = "float32", clock: str = "wall") -> dict[str, Any]:
    """Return medians in microseconds and the ratio of neighbouring epochs."""
    samples, labels = work.epoch_data()
    x, y = torch.from_numpy(samples), torch.from_numpy(labels).long()
    now = time.process_time if clock == "cpu" else time.perf_counter
    uc.config.set_dtype_policy(policy)
    ours, theirs = _ours(work, x, y, now), _theirs(work, x, y, now, half=policy == "mixed_bfloat16")
    ours(), theirs()  # warm-up
    pairs = []
    for turn in range(rounds):
        if turn % 2:
            b, a = theirs(), ours()
        else:
            a, b = ours(), theirs()
        pairs.append((a * 1e6, b * 1e6))
    ratios = sorted(a / b for a, b in pairs)
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "workload": work.name,
        "about": work.about,
        "policy": policy,
        "clock": clock,
        "uncrumple_us": statistics.median(a for a, _ in pairs),
        "torch_us": statistics.median(b for _, b in pairs),
        "uncrumple_best_us": min(a for a, _ in pairs),
        "torch_best_us": min(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [low, high],
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="")
    parser.add_argument("--policy", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--processor", choices=tuple(PROCESSORS), help="use no more than such a processor has")
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    if arguments.processor:
        wanted = PROCESSORS[arguments.processor]
        if any(os.environ.get(name) != value for name, value in wanted.items()):
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})
        native.limit_instruction_set(arguments.processor)
    torch.set_num_threads(arguments.threads)
    # `fit` is not to try how many threads are faster: each epoch here is a call of its own, and would pay for it.
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    print(
        f"torch {torch.__version__}, {arguments.threads} thread(s), {arguments.policy}, {arguments.clock} time, "
        f"n = {arguments.rounds} paired epochs; "
        f"{platform.machine()}, torch on {torch.backends.cpu.get_cpu_capability()}, "
        f"native kernels on {native.instruction_set()}"
    )
    print(f"{'':4} {'network':44} {'uncrumple':>11} {'torch':>11} {'ratio':>7}  quartiles")
    results = []
    for name in names():
        if arguments.only and name not in arguments.only.split(","):
            continue
        work = load(name)
        result = measure(work, arguments.rounds, arguments.policy, arguments.clock)
        results.append(result)
        low, high = result["ratio_quartiles"]
        print(
            f"{work.name:4} {work.about:44} {result['uncrumple_us']:8.0f} us {result['torch_us']:8.0f} us "
            f"{result['ratio']:7.2f}  {low:.2f}-{high:.2f}",
            flush=True,
        )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
