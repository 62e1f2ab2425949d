"""Training steps on a GPU: uncrumple beside plain torch, torch.compile(mode="max-autotune") and, if it can, JAX.

    python benchmarks/gpu_steps.py [--only W2,W3] [--batch 128,1024] [--policy float32,mixed_bfloat16]
                                   [--peers uncrumple,torch] [--tf32] [--rounds 15] [--seconds 10] [--device cpu]

`make bench-gpu` runs it. Interleaved epoch by epoch by the driver of `compare.py`; the
data lie on the GPU before the clock starts, and a turn ends when the GPU is done. All
multiply float32 as float32; with `--tf32` all round the factors to ten bits. A peer whose
environment does not reach the GPU is left out, and said so. (The JAX in the requirements is for
CPUs; `build/peers/jax/bin/pip install "jax[cuda12]==0.10.2"` mends that.)

Without a GPU, `--device cpu --batch 8 --rounds 3 --seconds 1` shows that everything runs. It
says nothing about a GPU: there the compiler does not even look for the fastest kernels.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import compare
import torch
from compare import ROOT, Worker, hardware, measure, say
from report import write_report
from workloads import load, names

PEERS = ("uncrumple", "torch", "torch-compile", "jax")
POLICIES = ("float32", "mixed_bfloat16")


def parsed(words: list[str] | None = None) -> Any:
    """Return the arguments, lists as lists; refuse what is not known before anything runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="W2,W3,W4,W9", help="workloads")
    parser.add_argument("--batch", default="128,1024", help="samples in a batch")
    parser.add_argument("--policy", default=",".join(POLICIES))
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--tf32", action="store_true", help="round the factors of float32 products to ten bits")
    parser.add_argument("--rounds", type=int, default=15, help="turns per row, at the least; five times that at most")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for the turns of a row")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cpu: to see that all of it runs")
    parser.add_argument("--out", default=str(ROOT / "build" / "bench-gpu"), help="name of the files, without ending")
    arguments = parser.parse_args(words)
    for name, known in (("only", names()), ("policy", POLICIES), ("peers", PEERS)):
        given = [one for one in getattr(arguments, name).split(",") if one]
        if unknown := [one for one in given if one not in known]:
            parser.error(f"--{name}: no {', '.join(unknown)}; there are {', '.join(known)}")
        setattr(arguments, name, given)
    try:
        arguments.batch = [int(one) for one in arguments.batch.split(",") if one]
    except ValueError:
        parser.error(f"--batch: {arguments.batch!r} is not a list of whole numbers such as 128,1024")
    if not arguments.batch or min(arguments.batch) < 1:
        parser.error("--batch: expected at least one number, of 1 or more")
    return arguments


def set_environment(device: str, tf32: bool) -> None:
    """Tell the workers where to compute, and in which precision; they inherit these variables."""
    os.environ["BENCHMARK_DEVICE"] = device
    os.environ["BENCHMARK_TF32"] = "1" if tf32 else "0"
    if device == "cuda":
        # JAX would take three quarters of the GPU's memory, and multiply float32 in TF32; torch does neither.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "tensorfloat32" if tf32 else "highest"


def start(peers: list[str], threads: int) -> dict[str, Worker]:
    """Start the workers of the peers that are there and reach the device; say of the others why they are left out."""
    compare.PEERS_FOLDER.mkdir(parents=True, exist_ok=True)
    workers = {}
    for peer in peers:
        folder = compare.ENVIRONMENTS[peer]
        if folder and not (compare.PEERS_FOLDER / folder).is_dir():
            print(f"{peer}: left out, there is no {compare.PEERS_FOLDER / folder}", flush=True)
            continue
        worker = Worker(peer, threads)
        worker.facts = worker.hear()
        if "failed" in worker.facts:
            print(f"{peer}: left out, {worker.facts['failed']} (see {worker.log})", flush=True)
            worker.end()
            continue
        workers[peer] = worker
    return workers


def main(words: list[str] | None = None) -> None:
    arguments = parsed(words)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("bench-gpu: skipped, torch finds no GPU here")
        return
    set_environment(arguments.device, arguments.tf32)
    begun = time.perf_counter()
    threads = 0 if arguments.device == "cuda" else 1
    workers = start(arguments.peers, threads)
    rows = []
    for name in arguments.only:
        for batch in arguments.batch:
            for policy in arguments.policy:
                order: dict[str, Any] = {"workload": name, "policy": policy, "batch": batch}
                row = measure(workers, order, arguments.rounds, arguments.seconds)
                about = f"{load(name).about}, batch {batch}"
                rows.append({"workload": name, "about": about, "policy": policy, "threads": threads, **row})
                say(rows[-1])
    for worker in workers.values():
        worker.end()
    machine = hardware()
    if arguments.device == "cuda":
        products = "TF32" if arguments.tf32 else "float32"
        machine["processor"] = (
            f"{torch.cuda.get_device_name()}, float32 multiplied as {products}, beside {machine['processor']}"
        )
    versions = {peer: worker.facts.get("versions", {}) for peer, worker in workers.items()}
    found = {"hardware": machine, "versions": versions, "steps": rows, "predict": [], "memory": [], "mnist": []}
    write_report({**found, "minutes": (time.perf_counter() - begun) / 60}, arguments.out)


if __name__ == "__main__":
    main()
