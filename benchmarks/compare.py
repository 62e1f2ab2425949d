"""Every workload in uncrumple and in every peer, interleaved epoch by epoch in one run.

    python benchmarks/compare.py [--only W1,W3] [--policy float32,mixed_bfloat16] [--peers torch,jax]
                                 [--parts steps,predict,memory,mnist] [--seconds 20] [--rounds 7] [--threads N]
                                 [--quick] [--out build/bench]

`make bench` sets up the peers' environments under build/peers (from
`benchmarks/peers/requirements-*.txt`) and runs all of it.

Each peer is a process of its own, in an environment of its own. The driver
lets one of them train for an epoch while the others sleep, then the next, so
that what disturbs the machine disturbs all; the one who begins changes from
round to round. Before anything is timed all have trained an epoch or two. A
row counts only if all had the same data (checksums) and learned the same
(the loss of the last epochs); both are checked, and the run fails otherwise.

Reported per row: the median and quartiles of the time per step, processor
time per step, and `ratio`: the median, over the rounds, of the fastest peer's
time divided by uncrumple's (above 1: uncrumple is faster; the fastest peer is
the one with the least median). Written as Markdown and as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cold_start import mnist_rows
from peak_memory import memory_rows
from report import write_report
from workloads import load, names

ROOT = Path(__file__).resolve().parents[1]
PEERS_FOLDER = ROOT / "build" / "peers"
ENVIRONMENTS = {
    "uncrumple": None,  # the one this script runs in
    "torch": "torch",
    "torch-compile": "torch",
    "keras-tensorflow": "tensorflow",
    "keras-jax": "jax",
    "keras-torch": "torch",
    "jax": "jax",
}
POLICIES = ("float32", "mixed_bfloat16")
PARTS = ("steps", "predict", "memory", "mnist")
PATIENCE = 600.0  # seconds until a worker that says nothing counts as lost
PAUSE = 0.02  # seconds until the threads of the one before have gone to sleep
LOSS_TOLERANCE = 0.25  # how far a peer's loss may be from the median of all, as a share of the loss at the start
IDLE_LIMIT = 0.02  # the share of a core that a sleeping worker may burn


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, threads: int) -> None:
        folder = ENVIRONMENTS[peer]
        python = sys.executable if folder is None else str(PEERS_FOLDER / folder / "bin" / "python")
        command = [python, "-W", "ignore", str(ROOT / "benchmarks" / "peers" / "worker.py"), peer]
        self.peer, self.facts = peer, {}
        self.log = PEERS_FOLDER / f"{peer}.log"
        with open(self.log, "ab") as log:
            self._process: Any = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(threads),
                preexec_fn=(lambda: os.sched_setaffinity(0, cores(threads))) if threads else None,
            )

    def tell(self, **order: Any) -> None:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"failed": f"the process ended; see {self.log}"}

    def end(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def cores(threads: int) -> set[int]:
    """Return the cores that so many threads get: XLA goes by these, and not by what it is told."""
    return set(sorted(os.sched_getaffinity(0))[:threads])


def environment(threads: int) -> dict[str, str]:
    """Return the variables of a worker: thread counts only where they are asked for."""
    device = os.environ.get("BENCHMARK_DEVICE", "cpu")  # set by gpu_steps.py
    made = {
        **os.environ,
        **({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}),
        "JAX_PLATFORMS": device,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TORCHINDUCTOR_CACHE_DIR": str(PEERS_FOLDER / "inductor"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compilers beside the measurements
    }
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "BENCHMARK_THREADS"):
        made.pop(name, None)
        if threads:
            made[name] = str(threads)
    return made


# --- one row --------------------------------------------------------------------------


def measure(workers: dict[str, Worker], order: dict[str, Any], rounds: int, seconds: float) -> dict[str, Any]:
    """Run one workload in all workers; return what each took, and what is wrong with it."""
    ordered = time.perf_counter()
    for worker in workers.values():
        worker.tell(do="load", **order)  # all build and compile at the same time
    failed: dict[str, str] = {}
    ready: dict[str, dict[str, Any]] = {}

    def heard(peer: str) -> dict[str, Any]:
        answer = workers[peer].hear()
        if "failed" in answer:
            failed[peer] = answer["failed"]
            ready.pop(peer, None)
        return answer

    for peer in workers:
        answer = heard(peer)
        if "failed" not in answer:
            ready[peer] = answer
    for _ in range(2):  # the first epochs compile
        for peer in list(ready):
            workers[peer].tell(do="epoch")
        for peer in list(ready):
            answer = heard(peer)
            if peer in ready:
                ready[peer].setdefault("first_loss", answer["loss"])
    taken: dict[str, list[dict[str, Any]]] = {peer: [] for peer in ready}
    begun, done = time.perf_counter(), 0
    prepared = begun - ordered
    while (
        done < 3
        or (done < rounds and time.perf_counter() - begun < 4 * seconds)
        or (time.perf_counter() - begun < seconds and done < 5 * rounds)
    ):
        peers = list(ready)
        for place in range(len(peers)):
            peer = peers[(place + done) % len(peers)]
            time.sleep(PAUSE)
            sent = time.perf_counter()
            workers[peer].tell(do="epoch")
            answer = heard(peer)
            if peer in ready:
                taken[peer].append({**answer, "at": sent})
        done += 1
    for peer in list(ready):
        workers[peer].tell(do="stop")
    span = time.perf_counter() - begun
    row = summary({peer: turns for peer, turns in taken.items() if peer in ready}, ready, failed, span)
    return {**row, "seconds": [round(prepared, 1), round(span, 1)]}


def summary(
    taken: dict[str, list[dict[str, Any]]], ready: dict[str, Any], failed: dict[str, str], span: float
) -> dict[str, Any]:
    """Return medians, quartiles, ratios, and complaints."""
    row: dict[str, Any] = {"peers": {}, "failed": failed, "complaints": []}
    for peer, turns in taken.items():
        wall, cpu = ([turn[clock] * 1e6 for turn in turns] for clock in ("wall", "cpu"))
        low, middle, high = statistics.quantiles(wall, n=4)
        busy = sum(turn["wall"] for turn in turns)
        row["peers"][peer] = {
            "median_us": middle,
            "quartiles_us": [low, high],
            "best_us": min(wall),
            "cpu_us": statistics.median(cpu),
            "cpu_best_us": min(cpu),
            "n": len(wall),
            "loss": statistics.fmean(turn["loss"] for turn in turns[-3:]),
            "idle_share": sum(turn["idle_cpu"] for turn in turns[1:]) / max(span - busy, 1e-9),
        }
    row["complaints"] += complaints(row["peers"], ready)
    rivals = [peer for peer in row["peers"] if peer != "uncrumple"]
    if "uncrumple" in row["peers"] and rivals:
        for clock, median in (("wall", "median_us"), ("cpu", "cpu_us")):
            best = min(rivals, key=lambda peer: row["peers"][peer][median])
            pairs = zip(taken[best], taken["uncrumple"])
            low, middle, high = statistics.quantiles([theirs[clock] / ours[clock] for theirs, ours in pairs], n=4)
            row[clock] = {"best_peer": best, "ratio": middle, "quartiles": [low, high]}
    return row


def complaints(peers: dict[str, Any], ready: dict[str, Any]) -> list[str]:
    """Return why a row may not count: other data, another loss, workers that do not sleep."""
    found = []
    if len({ready[peer]["data"] for peer in peers}) > 1:
        found.append("the peers did not have the same data")
    if not peers:
        return ["no peer ran"]
    middle = statistics.median(one["loss"] for one in peers.values())
    tolerance = LOSS_TOLERANCE * statistics.median(ready[peer]["first_loss"] for peer in peers)
    for peer, one in peers.items():
        if not abs(one["loss"] - middle) <= tolerance:
            found.append(f"{peer} has a loss of {one['loss']:.3g}, the median of all is {middle:.3g}")
        if one["idle_share"] > IDLE_LIMIT:
            found.append(f"{peer} burned {one['idle_share']:.0%} of a core while it should have slept")
    return found


# --- the run ----------------------------------------------------------------------------


def start(peers: list[str], threads: int) -> dict[str, Worker]:
    """Start the workers and hear who they are."""
    workers = {peer: Worker(peer, threads) for peer in peers}
    for peer, worker in list(workers.items()):
        worker.facts = worker.hear()
        if "failed" in worker.facts:
            raise SystemExit(f"{peer} did not start: {worker.facts['failed']}")
    return workers


def step_rows(arguments: Any, threads: int, workloads: list[str]) -> list[dict[str, Any]]:
    """Time training steps."""
    rows = []
    workers = start(arguments.peers, threads)
    for name in workloads:
        for policy in arguments.policy:
            if name == "W1" and policy != "float32":
                continue  # nothing in it is large enough for bfloat16
            order = {"workload": name, "policy": policy}
            row = measure(workers, order, arguments.rounds, arguments.seconds)
            rows.append({"workload": name, "about": load(name).about, "policy": policy, "threads": threads, **row})
            say(rows[-1])
    arguments.versions.update({peer: worker.facts for peer, worker in workers.items()})
    for worker in workers.values():
        worker.end()
    return rows


def predict_rows(arguments: Any) -> list[dict[str, Any]]:
    """Time `predict` of W3 with one thread: a batch, and one row."""
    rows = []
    workers = start(arguments.peers, 1)
    for count, calls in ((128, 10), (1, 100)):
        for policy in arguments.policy:
            order = {"workload": "W3", "policy": policy, "predict": count, "calls": calls}
            row = measure(workers, order, arguments.rounds, arguments.seconds / 2)
            # Predictions of untrained networks are as far apart as their weights.
            row["complaints"] = [text for text in row["complaints"] if "loss" not in text]
            rows.append({"workload": "W3", "about": f"predict, rows: {count}", "policy": policy, "threads": 1, **row})
            say(rows[-1])
    for worker in workers.values():
        worker.end()
    return rows


def say(row: dict[str, Any]) -> None:
    """Show a row on the screen as soon as it is known."""
    threads = f"threads: {row['threads']}" if row["threads"] else "all cores"
    prepared, span = row["seconds"]
    print(
        f"{row['workload']} {row['about']}, {row['policy']}, {threads} ({prepared} s to prepare, {span} s of turns)",
        flush=True,
    )
    for peer, one in sorted(row["peers"].items(), key=lambda item: item[1]["median_us"]):
        low, high = one["quartiles_us"]
        print(
            f"    {peer:18} {one['median_us']:10.1f} us ({low:.1f}-{high:.1f})  processor {one['cpu_us']:10.1f} us"
            f"  n = {one['n']}  loss {one['loss']:.4f}",
            flush=True,
        )
    for clock in ("wall", "cpu"):
        if clock in row:
            print(f"    {clock}: {row[clock]['best_peer']} / uncrumple = {row[clock]['ratio']:.2f}")
    for text in [*row["complaints"], *(f"{peer} failed: {text}" for peer, text in row["failed"].items())]:
        print(f"    ! {text}", flush=True)


def hardware() -> dict[str, Any]:
    """Return what this ran on."""
    model, flags = platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            model = value.strip() if key.strip() == "model name" else model
            flags = value if key.strip() == "flags" else flags
    has = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags.split()]
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "instructions": has,
        "python": platform.python_version(),
        "load_at_start": os.getloadavg()[0],
    }


def parsed() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(names()), help="workloads")
    parser.add_argument("--policy", default=",".join(POLICIES))
    parser.add_argument("--peers", default=",".join(ENVIRONMENTS))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seconds", type=float, default=15.0, help="time for the turns of a row")
    parser.add_argument("--rounds", type=int, default=9, help="turns per row, at the least; five times that at most")
    parser.add_argument("--threads", type=int, default=0, help="0: each peer takes all cores, as it does by itself")
    parser.add_argument("--quick", action="store_true", help="W1 to W4 in float32, fewer turns")
    parser.add_argument("--out", default=str(ROOT / "build" / "bench"), help="name of the files, without ending")
    arguments = parser.parse_args()
    for name in ("only", "policy", "peers", "parts"):
        setattr(arguments, name, [one for one in getattr(arguments, name).split(",") if one])
    if arguments.quick:
        arguments.only = [name for name in arguments.only if name in ("W1", "W2", "W3", "W4")]
        arguments.policy, arguments.seconds, arguments.rounds = ["float32"], 4.0, 3
    return arguments


def main() -> None:
    arguments = parsed()
    missing = {folder for folder in ENVIRONMENTS.values() if folder and not (PEERS_FOLDER / folder).is_dir()}
    if unknown := set(arguments.parts) - set(PARTS):
        raise SystemExit(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if missing:
        raise SystemExit(f"no environments for {', '.join(sorted(missing))}: run make bench, which makes them")
    arguments.versions = {}
    begun, parts = time.perf_counter(), arguments.parts
    found: dict[str, Any] = {"hardware": hardware(), "steps": [], "predict": [], "memory": [], "mnist": []}
    works = {
        "steps": lambda: step_rows(arguments, arguments.threads, arguments.only),
        "predict": lambda: predict_rows(arguments),
        "memory": lambda: memory_rows(["W3", "W4"], arguments.policy, 1 if arguments.quick else 3),
        "mnist": lambda: mnist_rows(1 if arguments.quick else 3),
    }
    wrong = []
    for part in parts:
        try:
            found[part] = works[part]()
        except (OSError, subprocess.SubprocessError, SystemExit) as problem:  # the other parts count all the same
            wrong.append(f"{part} failed: {problem}")
            print(f"! {wrong[-1]}", flush=True)
    found["versions"] = {peer: facts.get("versions", {}) for peer, facts in arguments.versions.items()}
    found["minutes"] = (time.perf_counter() - begun) / 60
    write_report(found, arguments.out)
    wrong += [text for row in found["steps"] + found["predict"] for text in [*row["complaints"], *row["failed"]]]
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
