"""One peer, waiting for work: `python worker.py PEER`, in the peer's own environment.

Peers: uncrumple, torch, torch-compile, keras-tensorflow, keras-jax, keras-torch, jax.
Settings that must stand before a library is imported come as environment
variables from the driver (`compare.py`).
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers.turns import Line, Turns
from workloads import Arrays, fingerprint, load


def peer_named(name: str) -> Any:
    """Return what trains and predicts in the manner of this peer."""
    if name in ("torch", "torch-compile"):
        from peers.torch_peer import TorchPeer

        return TorchPeer(compiled=name == "torch-compile")
    if name == "jax":
        from peers.jax_peer import JaxPeer

        return JaxPeer()
    from peers.keras_peer import KerasPeer

    return KerasPeer(name)


def main() -> None:
    line = Line()
    name = sys.argv[1]
    try:
        peer = peer_named(name)
        facts = peer.versions()
    except Exception as problem:  # it is not installed, or does not reach the device
        traceback.print_exc()
        line.write(failed=f"{type(problem).__name__}: {problem}"[:500])
        return
    line.write(peer=name, **facts)
    while True:
        order = line.read()
        if order["do"] != "load":
            continue
        try:
            run(peer, line, order)
        except Exception as problem:  # told to the driver, which goes on without this row
            traceback.print_exc()
            line.write(failed=f"{type(problem).__name__}: {problem}"[:500])


def run(peer: Any, line: Line, order: dict[str, Any]) -> None:
    """Do what was ordered until the driver says stop."""
    workload = load(order["workload"])
    batch = order.get("batch") or workload.batch
    rows = order.get("predict")
    arrays: Arrays = workload.epoch_data(batch)
    facts = {"data": fingerprint(arrays)}
    if rows:
        x = arrays[0][:rows]
        calls = order["calls"]
        facts["data"] = fingerprint((x, x))
        peer.predict(workload, order["policy"], x, calls, Turns(line, calls, facts))
    else:
        peer.train(workload, order["policy"], arrays, batch, Turns(line, workload.steps, facts))


if __name__ == "__main__":
    main()
