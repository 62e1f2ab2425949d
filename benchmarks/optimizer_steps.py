"""Time of one optimizer step on 2 million weights: uncrumple's beside the nearest one of `torch.optim`.

Both have the same weights and gradients and run in this process, a few steps
of one after a few of the other, so that what disturbs the machine disturbs
both. torch's runs with its fastest implementation for the device: `fused`
where it has one, else `foreach`. Reported: the median step of each, and the
median and quartiles of the ratio of neighbouring runs (below 1: uncrumple is faster).

Lion, Lamb, Ftrl and ScheduleFreeAdamW are not in torch; they stand beside the one
that does the most similar work.

    python benchmarks/optimizer_steps.py [--rounds 30] [--steps 5] [--threads 2] [--only adam,muon] [--device cpu]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from typing import Any

import torch

from uncrumple import optimizers as own

# A network of eight matrices with their biases and gains: 2.1 million weights.
SHAPES = [(512, 512)] * 6 + [(512, 1000), (64, 512)] + [(512,)] * 16 + [(1000,)]
MATRICES = [(512, 512)] * 8

torch_optim: Any = torch.optim
# name (what stands beside it, where torch has none): ours, and what makes the one of torch
PAIRS: dict[str, tuple[Any, Any]] = {
    "sgd": (own.SGD(0.01), lambda w: torch_optim.SGD(w, 0.01, fused=True)),
    "momentum": (own.SGD(0.01, 0.9), lambda w: torch_optim.SGD(w, 0.01, 0.9, fused=True)),
    "nesterov": (own.SGD(0.01, 0.9, True), lambda w: torch_optim.SGD(w, 0.01, 0.9, nesterov=True, fused=True)),
    "rmsprop": (own.RMSprop(), lambda w: torch_optim.RMSprop(w, foreach=True)),
    "rmsprop_full": (
        own.RMSprop(momentum=0.9, centered=True),
        lambda w: torch_optim.RMSprop(w, momentum=0.9, centered=True, foreach=True),
    ),
    "adam": (own.Adam(), lambda w: torch_optim.Adam(w, fused=True)),
    "amsgrad": (own.Adam(amsgrad=True), lambda w: torch_optim.Adam(w, amsgrad=True, fused=True)),
    "adamw": (own.AdamW(), lambda w: torch_optim.AdamW(w, fused=True)),
    "adagrad": (own.Adagrad(), lambda w: torch_optim.Adagrad(w, fused=w[0].device.type == "cpu" or None)),
    "adadelta": (own.Adadelta(), lambda w: torch_optim.Adadelta(w, foreach=True)),
    "adamax": (own.Adamax(), lambda w: torch_optim.Adamax(w, foreach=True)),
    "nadam": (own.Nadam(), lambda w: torch_optim.NAdam(w, foreach=True)),
    "lion (Adam, foreach)": (own.Lion(), lambda w: torch_optim.Adam(w, foreach=True)),
    "lamb (Adam, foreach)": (own.Lamb(), lambda w: torch_optim.Adam(w, foreach=True)),
    "ftrl (NAdam, foreach)": (own.Ftrl(), lambda w: torch_optim.NAdam(w, foreach=True)),
    "schedule_free (NAdam, foreach)": (own.ScheduleFreeAdamW(), lambda w: torch_optim.NAdam(w, foreach=True)),
    "adafactor": (own.Adafactor(), lambda w: torch_optim.Adafactor(w, foreach=True)),
    "muon": (own.Muon(), lambda w: torch_optim.Muon(w)),
}


def weights(shapes: list[tuple[int, ...]], device: str) -> list[torch.Tensor]:
    """Return weights with a gradient each, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for shape in shapes:
        weight = torch.nn.Parameter((0.05 * torch.randn(shape, generator=generator)).to(device))
        weight.grad = (0.01 * torch.randn(shape, generator=generator)).to(device)
        made.append(weight)
    return made


def measure(name: str, rounds: int, steps: int, device: str) -> tuple[list[float], list[float]]:
    """Return the times of a step, ours and torch's, one pair per round."""
    ours, theirs = PAIRS[name]
    shapes = MATRICES if name == "muon" else SHAPES  # torch's Muon takes nothing else
    mine, other = weights(shapes, device), weights(shapes, device)
    ours.build(mine)
    theirs = theirs(other)
    for optimizer in (ours, theirs) * 3:
        optimizer.step()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for place, optimizer in enumerate((ours, theirs)):
            if device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(steps):
                optimizer.step()
            if device != "cpu":
                torch.cuda.synchronize()
            times[place].append((time.perf_counter() - start) / steps)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(
        f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {given.device}, "
        f"{given.threads} threads, {given.rounds} rounds of {given.steps} steps"
    )
    print(f"{'optimizer':32} {'ours ms':>9} {'torch ms':>9} {'ratio':>6}  quartiles")
    wanted = [one for one in given.only.split(",") if one]
    for name in PAIRS:
        if wanted and name.split()[0] not in wanted:
            continue
        ours, theirs = measure(name, given.rounds, given.steps, given.device)
        low, middle, high = statistics.quantiles([a / b for a, b in zip(ours, theirs)], n=4)
        print(
            f"{name:32} {1e3 * statistics.median(ours):9.3f} {1e3 * statistics.median(theirs):9.3f} "
            f"{middle:6.2f}  {low:.2f} to {high:.2f}"
        )


if __name__ == "__main__":
    main()
