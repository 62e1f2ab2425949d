"""Time per training step of one of many small models: `fit_many` beside `fit` and plain PyTorch, one model at a time.

500 networks 4-10-10-3 on 150 flowers' worth of numbers, batches of 16, Adam,
shuffled, with accuracy as metric. `fit_many` is measured as users call it, in
three ways: as it is; with a fifth of the rows held back and validated after
each epoch; and with early stopping on top of that. What it takes to check the
models and to write their steps down is counted in, and shown by itself.
The others train a few models one by one: PyTorch an eager loop with
fused Adam that does only what learning needs, and uncrumple's own `fit`.

One round of each after the other, so that what disturbs the machine disturbs
all. Reported: medians of wall time, and of processor time, which a busy machine
disturbs less; and the median and quartiles of the ratio to PyTorch of the
neighbouring round (below 1: uncrumple is faster), by processor time.

    python benchmarks/many_models.py [--models 500] [--epochs 50] [--rounds 7] [--threads 1] [--json out.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import uncrumple as uc
from uncrumple import layers

SAMPLES, BATCH = 150, 16
ONE_BY_ONE = 3  # models that are trained one at a time


def _model() -> Any:
    model = uc.Sequential([uc.Input((4,)), layers.Dense(10, "relu"), layers.Dense(10, "relu"), layers.Dense(3)])
    model.compile(
        uc.optimizers.Adam(1e-3), uc.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    return model


def _torchs(x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_function = nn.CrossEntropyLoss()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for begin in range(0, len(x), BATCH):
            index = order[begin : begin + BATCH]
            optimizer.zero_grad()
            loss_function(model(x[index]), y[index]).backward()
            optimizer.step()


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return wall time and processor time in microseconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1e6, (time.process_time() - processor) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    epochs, count = arguments.epochs, arguments.models
    x, y = torch.randn(SAMPLES, 4), torch.randint(0, 3, (SAMPLES,))
    models = [_model() for _ in range(count)]
    alone = [_model() for _ in range(ONE_BY_ONE)]
    whole, part = -(-SAMPLES // BATCH), -(-(SAMPLES * 4 // 5) // BATCH)
    stopping = {"callbacks": lambda: [uc.callbacks.EarlyStopping(patience=10 * epochs)]}

    def many(epochs: int = epochs, **options: Any) -> Callable[[], Any]:
        return lambda: uc.fit_many(models, x, y, batch_size=BATCH, epochs=epochs, verbose=0, **options)

    # name: (what is done, how many steps that is)
    contestants: dict[str, tuple[Callable[[], Any], int]] = {
        "fit_many": (many(), count * epochs * whole),
        "fit_many, validated": (many(validation_split=0.2), count * epochs * part),
        "fit_many, early stopping": (many(validation_split=0.2, **stopping), count * epochs * part),
        "fit, one by one": (
            lambda: [model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0) for model in alone],
            ONE_BY_ONE * epochs * whole,
        ),
        "torch, one by one": (
            lambda: [_torchs(x, y, epochs) for _ in range(ONE_BY_ONE)],
            ONE_BY_ONE * epochs * whole,
        ),
        "preparing": (many(epochs=1), count),
    }
    for work, _ in contestants.values():
        work()  # warm-up
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for turn in range(arguments.rounds):
        names = list(contestants) if turn % 2 else list(contestants)[::-1]
        for name in names:
            work, steps = contestants[name]
            wall, processor = _timed(work)
            times[name].append((wall / steps, processor / steps))
    print(
        f"torch {torch.__version__}, {arguments.threads} thread(s), float32, {count} models, {epochs} epochs, "
        f"n = {arguments.rounds} rounds; {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{'us per step of one model':26} {'wall':>8} {'best':>8} {'processor':>10} {'best':>8}  ratio to torch")
    results = {}
    for name in list(contestants)[:-1]:
        walls, processors = zip(*times[name])
        ratios = [mine / theirs for mine, (_, theirs) in zip(processors, times["torch, one by one"])]
        low, middle, high = statistics.quantiles(ratios, n=4)
        results[name] = {
            "wall_us": statistics.median(walls),
            "wall_best_us": min(walls),
            "processor_us": statistics.median(processors),
            "processor_best_us": min(processors),
            "ratio": middle,
            "ratio_quartiles": [low, high],
            "rounds": arguments.rounds,
        }
        print(
            f"{name:26} {statistics.median(walls):8.2f} {min(walls):8.2f} {statistics.median(processors):10.2f} "
            f"{min(processors):8.2f}  {middle:.4f}  {low:.4f}-{high:.4f}"
        )
    first = statistics.median(processor for _, processor in times["preparing"])
    print(f"a first epoch, with checks and writing the steps down: {first:.0f} us per model")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
