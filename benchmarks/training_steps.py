"""Time per training step: uncrumple's `fit` beside a plain eager PyTorch loop with fused Adam.

The same networks, batch sizes and data; both shuffle, and both run in this
process, an epoch of one after an epoch of the other, so that what disturbs
the machine disturbs both. uncrumple runs with the accuracy as a metric and a
callback; the PyTorch loop does only what learning needs. Reported per
workload: the median step of each, and the median and quartiles of the ratio
of neighbouring epochs (below 1: uncrumple is faster).

    python benchmarks/training_steps.py [--rounds 15] [--threads 2] [--only W1,W2] [--json out.json]

Data are random numbers of the right shape: the time of a step does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import uncrumple as uc
from uncrumple import layers


@dataclass
class Workload:
    """One network, written twice."""

    name: str
    about: str
    batch: int
    steps: int
    ours: Callable[[], Any]
    theirs: Callable[[], nn.Module]
    data: Callable[[int], tuple[torch.Tensor, torch.Tensor]]
    learning_rate: float = 1e-3


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20000, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.head = nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.embedding(x))[0][:, -1])


def _iris(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 4), torch.randint(0, 3, (count,))


def _flat_digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 784), torch.randint(0, 10, (count,))


def _digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 28, 28, 1), torch.randint(0, 10, (count,))


def _words(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 20000, (count, 80)), torch.randint(0, 2, (count,))


WORKLOADS = [
    Workload(
        "W1",
        "iris MLP 4-10-10-3",
        16,
        200,
        lambda: uc.Sequential([uc.Input((4,)), layers.Dense(10, "relu"), layers.Dense(10, "relu"), layers.Dense(3)]),
        lambda: nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 3)),
        _iris,
    ),
    Workload(
        "W2",
        "MNIST MLP 784-512-512-10, dropout .2",
        128,
        40,
        lambda: uc.Sequential(
            [
                uc.Input((784,)),
                layers.Dense(512, "relu"),
                layers.Dropout(0.2),
                layers.Dense(512, "relu"),
                layers.Dropout(0.2),
                layers.Dense(10),
            ]
        ),
        lambda: nn.Sequential(
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 10),
        ),
        _flat_digits,
    ),
    Workload(
        "W3",
        "MNIST CNN 32-64, pool, dropout, dense 128",
        128,
        6,
        lambda: uc.Sequential(
            [
                uc.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu"),
                layers.Conv2D(64, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Dropout(0.25),
                layers.Flatten(),
                layers.Dense(128, "relu"),
                layers.Dropout(0.5),
                layers.Dense(10),
            ]
        ),
        lambda: nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(9216, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
        ),
        _digits,
    ),
    Workload(
        "W4",
        "Embedding(20000, 128), LSTM(128), 80 steps",
        32,
        15,
        lambda: uc.Sequential(
            [uc.Input((80,), dtype="int64"), layers.Embedding(20000, 128), layers.LSTM(128), layers.Dense(2)]
        ),
        _Recurrent,
        _words,
    ),
]


class _Counter(uc.callbacks.Callback):
    """A callback like a user's: called at every epoch."""

    epochs = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1


def _ours(work: Workload, x: torch.Tensor, y: torch.Tensor) -> Callable[[], float]:
    model = work.ours()
    model.compile(
        uc.optimizers.Adam(work.learning_rate),
        uc.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock: list[float] = []

    class Clock(_Counter):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            clock.append(time.perf_counter())

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.append(time.perf_counter())

    def epoch() -> float:
        clock.clear()
        model.fit(x, y, batch_size=work.batch, epochs=1, verbose=0, callbacks=[Clock()])
        return (clock[1] - clock[0]) / work.steps

    return epoch


def _theirs(work: Workload, x: torch.Tensor, y: torch.Tensor) -> Callable[[], float]:
    model = work.theirs()
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    optimizer = torch.optim.Adam(model.parameters(), lr=work.learning_rate, fused=True)
    loss_function = nn.CrossEntropyLoss()

    def epoch() -> float:
        model.train()
        start = time.perf_counter()
        order = torch.randperm(len(x))
        for begin in range(0, len(x), work.batch):
            index = order[begin : begin + work.batch]
            optimizer.zero_grad()
            loss = loss_function(model(x[index]), y[index])
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - start) / work.steps

    return epoch


def measure(work: Workload, rounds: int) -> dict[str, Any]:
    """Return medians in microseconds and the ratio of neighbouring epochs."""
    x, y = work.data(work.batch * work.steps)
    ours, theirs = _ours(work, x, y), _theirs(work, x, y)
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
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"torch {torch.__version__}, {arguments.threads} thread(s), float32, n = {arguments.rounds} paired epochs; "
        f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{'':4} {'network':44} {'uncrumple':>11} {'torch':>11} {'ratio':>7}  quartiles")
    results = []
    for work in WORKLOADS:
        if arguments.only and work.name not in arguments.only.split(","):
            continue
        result = measure(work, arguments.rounds)
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
