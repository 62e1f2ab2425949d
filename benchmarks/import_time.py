"""What `import uncrumple` costs over `import torch`, in fresh processes, one after the other.

    python benchmarks/import_time.py [--rounds 15]

`ready` also makes and compiles a model, so that every room of the framework is imported.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "torch": "import torch",
    "uncrumple": "import torch, uncrumple",
    "ready": (
        "import torch, uncrumple as uc; "
        "uc.Sequential([uc.Input((4,)), uc.layers.Dense(2)]).compile('adam', 'mse', metrics=['mae'])"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, code in PROGRAMS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            seconds[name].append(time.perf_counter() - start)
    base = seconds["torch"]
    print(f"n = {rounds} interleaved processes each; medians in seconds")
    for name, times in seconds.items():
        over = statistics.median(a - b for a, b in zip(times, base))
        print(f"{name:10} {statistics.median(times):6.3f}  over torch: {over:+.3f}")


if __name__ == "__main__":
    main()
