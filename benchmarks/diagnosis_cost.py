"""What `fit(diagnose=True)` costs: the processor time of whole runs with and without it, one after the other.

For each of the course's networks a run with and one without, of about `--seconds` and at least 250 steps each, take
turns for some rounds, with one thread; reported are the median of the ratios of neighbouring runs, its quartiles, how
often the model was looked at, and which share of the processor time the watcher took by its own clock. On a machine
that others use the ratios scatter by far more than what is to be measured: with `--rounds 0` only the clock is read.

Usage: python benchmarks/diagnosis_cost.py [--rounds 5] [--seconds 4] [--only W1,W2] [--json out.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from workloads import Workload, load, names

import uncrumple as uc
from uncrumple.training.diagnosis import watcher

_STEPS = 250


def made(work: Workload) -> Any:
    uc.utils.set_random_seed(1)
    model = work.in_keras(uc)
    loss = uc.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(uc.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    return model


def timed(work: Workload, x: Any, y: Any, epochs: int, diagnose: bool) -> float:
    model = made(work)
    begin = time.process_time()
    model.fit(x, y, batch_size=work.batch, epochs=epochs, verbose=0, diagnose=diagnose)
    return time.process_time() - begin


def measure(work: Workload, rounds: int, seconds: float) -> dict[str, Any]:
    kept: list[Any] = []
    end = watcher.Diagnosis.on_train_end

    def note(self: Any, logs: Any = None) -> None:
        took = max(self._clock() - self._begin, 1e-9)
        kept.append((self.looks, self.seconds / took, [one.name for one in self.findings]))
        end(self, logs)

    watcher.Diagnosis.on_train_end = note  # type: ignore[method-assign]
    x, y = work.epoch_data()
    timed(work, x, y, 1, True)
    epochs = max(-(-_STEPS // work.steps), round(seconds / max(timed(work, x, y, 1, False), 1e-3)))
    kept.clear()
    ratios = []
    if not rounds:
        timed(work, x, y, epochs, True)
    for place in range(rounds):
        order = (False, True) if place % 2 else (True, False)
        took = {diagnose: timed(work, x, y, epochs, diagnose) for diagnose in order}
        ratios.append(took[True] / took[False])
    watcher.Diagnosis.on_train_end = end  # type: ignore[method-assign]
    low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else (ratios or [float("nan")]) * 3
    return {
        "workload": work.name,
        "epochs": epochs,
        "steps": epochs * work.steps,
        "ratio": round(middle, 4),
        "quartiles": [round(low, 4), round(high, 4)],
        "looks": kept[-1][0],
        "own share": round(statistics.median(share for _, share, _ in kept), 4),
        "findings": kept[-1][2],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long a run is")
    parser.add_argument("--only", default="", help="names of workloads, with commas")
    parser.add_argument("--json", default="", help="a file for the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for name in names():
        if options.only and name not in options.only.split(","):
            continue
        found = measure(load(name), options.rounds, options.seconds)
        results.append(found)
        low, high = found["quartiles"]
        ratio = f"{100 * (found['ratio'] - 1):+.1f} % ({100 * (low - 1):+.1f} to {100 * (high - 1):+.1f}), "
        print(
            f"{name}: {ratio if options.rounds else ''}{found['epochs']} epochs, {found['looks']} looks, {100 * found['own share']:.1f} % by its own clock, found {found['findings'] or 'nothing'}",
            flush=True,
        )
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
