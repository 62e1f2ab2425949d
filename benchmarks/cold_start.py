"""Whole processes that take MNIST to 99 %: from `python` to the accuracy on the test set.

    python benchmarks/cold_start.py [--seeds 3]

Runs `mnist_99.py` once per seed with all cores and once with one thread. The
four files of MNIST must be in `$UNCRUMPLE_DATA_DIR` or in its default place;
nothing is downloaded here.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("mnist_99.py")
_HAS_MNIST = "from uncrumple.data.named import mnist_arrays; mnist_arrays(offline=True)"


def mnist_rows(seeds: int) -> list[dict[str, Any]]:
    """Return the seconds and the accuracy of each process; none where MNIST is not there."""
    looked = subprocess.run([sys.executable, "-c", _HAS_MNIST], capture_output=True, text=True)
    if "FileNotFoundError" in looked.stderr:
        print("MNIST: skipped, its files are neither in $UNCRUMPLE_DATA_DIR nor in the cache", flush=True)
        return []
    looked.check_returncode()
    rows = []
    for seed in range(seeds):
        for threads in (0, 1):
            row = {"seed": seed, "threads": threads, **_timed(seed, threads)}
            rows.append(row)
            print(
                f"MNIST cold, seed {seed}, {'one thread' if threads else 'all cores'}: {row['seconds']:.2f} s "
                f"(processor {row['cpu_seconds']:.2f} s), {row['said']}",
                flush=True,
            )
    return rows


def _timed(seed: int, threads: int) -> dict[str, Any]:
    variables = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever runs a program a second time has it compiled
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--seed", str(seed), "--threads", str(threads)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=variables,
    )
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    said = done.stdout.strip().splitlines()[-1]
    match = re.match(r"accuracy ([\d.]+)", said)
    assert match is not None, said
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "accuracy": float(match[1]), "said": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    mnist_rows(parser.parse_args().seeds)


if __name__ == "__main__":
    main()
