"""Peak resident memory of training W3 and W4: uncrumple beside plain torch, in fresh processes.

    python benchmarks/peak_memory.py [--only W3,W4] [--policy float32,mixed_bfloat16]

Both run in this script's environment, so that both load the same torch. Each
process trains four epochs and reports the most memory it held at any time
(`ru_maxrss`); `import` is a process that only imports and makes the data.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

EPOCHS = 4


def memory_rows(workloads: list[str], policies: list[str], processes: int = 3) -> list[dict[str, Any]]:
    """Return the peak of each in MiB, the median of some processes."""
    rows = []
    for name in workloads:
        for policy in policies:
            peaks: dict[str, list[float]] = {who: [] for who in ("import", "torch", "uncrumple")}
            for _ in range(processes):
                for who, found in peaks.items():
                    found.append(_peak_of(who, name, policy))
            row = {"workload": name, "policy": policy, **{who: statistics.median(all) for who, all in peaks.items()}}
            rows.append(row)
            print(
                f"{name} {policy}: peak memory {row['uncrumple']:.0f} MiB, "
                f"plain torch {row['torch']:.0f}, only imported {row['import']:.0f}",
                flush=True,
            )
    return rows


def _peak_of(who: str, name: str, policy: str) -> float:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", who, "--only", name, "--policy", policy],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


class _Epochs:
    """Turns that are all taken at once."""

    def __init__(self) -> None:
        self.left = EPOCHS

    def begin(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def end(self, loss: Any) -> None:
        loss()


def _child(who: str, name: str, policy: str) -> None:
    from workloads import load

    workload = load(name)
    arrays = workload.epoch_data()
    from peers.torch_peer import TorchPeer

    peer: Any = TorchPeer(compiled=False)
    if who == "uncrumple":
        from peers.keras_peer import KerasPeer

        peer = KerasPeer("uncrumple")
    if who != "import":
        peer.train(workload, policy, arrays, workload.batch, _Epochs())
    kilo = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(kilo / 1024 if sys.platform != "darwin" else kilo / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="W3,W4")
    parser.add_argument("--policy", default="float32,mixed_bfloat16")
    parser.add_argument("--child", choices=("import", "torch", "uncrumple"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments.child, arguments.only, arguments.policy)
    else:
        memory_rows(arguments.only.split(","), arguments.policy.split(","))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main()
