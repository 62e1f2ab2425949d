"""Training steps on a GPU: uncrumple beside plain torch, torch.compile(mode="max-autotune") and, if it can, JAX.

    python benchmarks/gpu_steps.py [--only W2,W3] [--batch 128,1024] [--policy float32,mixed_bfloat16]

`make bench-gpu` runs it. Interleaved epoch by epoch by the driver of `compare.py`; the
data lie on the GPU before the clock starts, and a turn ends when the GPU is done. A peer whose
environment does not reach the GPU (the JAX in the requirements is for CPUs;
`pip install jax[cuda12]` in build/peers/jax mends that) is left out, and said so.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import torch
from compare import PEERS_FOLDER, ROOT, Worker, hardware, measure, say
from report import write_report
from workloads import load

PEERS = ("uncrumple", "torch", "torch-compile", "jax")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="W2,W3,W4,W9")
    parser.add_argument("--batch", default="128,1024")
    parser.add_argument("--policy", default="float32,mixed_bfloat16")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--out", default=str(ROOT / "build" / "bench-gpu"))
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("bench-gpu: skipped, torch finds no GPU here")
        return
    os.environ["BENCHMARK_DEVICE"] = "cuda"
    begun, versions = time.perf_counter(), {}
    workers: dict[str, Worker] = {}
    for peer in PEERS:
        folder = {"uncrumple": "", "jax": "jax"}.get(peer, "torch")
        if folder and not (PEERS_FOLDER / folder).is_dir():
            print(f"{peer}: left out, there is no {PEERS_FOLDER / folder}")
            continue
        worker = Worker(peer, 0)
        worker.facts = worker.hear()
        if "failed" in worker.facts:
            print(f"{peer}: left out, {worker.facts['failed']}")
            continue
        workers[peer], versions[peer] = worker, worker.facts.get("versions", {})
    rows = []
    for name in arguments.only.split(","):
        for batch in map(int, arguments.batch.split(",")):
            for policy in arguments.policy.split(","):
                order: dict[str, Any] = {"workload": name, "policy": policy, "batch": batch}
                row = measure(workers, order, arguments.rounds, arguments.seconds)
                rows.append({"workload": name, "about": f"{load(name).about}, batch {batch}", "policy": policy, **row})
                rows[-1]["threads"] = 0
                say(rows[-1])
    for worker in workers.values():
        worker.end()
    found = {"hardware": {**hardware(), "gpu": torch.cuda.get_device_name()}, "versions": versions, "steps": rows}
    found |= {"predict": [], "memory": [], "mnist": [], "minutes": (time.perf_counter() - begun) / 60}
    write_report(found, arguments.out)


if __name__ == "__main__":
    main()
