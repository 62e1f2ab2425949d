"""Instructions that the native kernels execute in a few training steps, counted by callgrind: the same on a busy machine.

    python benchmarks/instructions.py [--update]

`make bench-instructions` runs it where valgrind is installed. Counted are the
instructions inside the library of the kernels alone, not those of BLAS or
oneDNN, for two steps of one thread with the AVX2 kernels (callgrind knows no
AVX512), summed over a few networks. More than `instruction_limits.json` allows is a failure;
`--update` writes a new limit, where more instructions are wanted. Compilers differ: the
limit notes the one it was counted with, and holds for that one. Takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIMITS = Path(__file__).with_name("instruction_limits.json")
LIBRARY = "_kernels"
MARGIN = 1.03
BATCH, STEPS = 16, 2
NETWORKS = ("W2", "W4", "W5", "W7", "W8", "W9")
SHOWN = 15  # functions


def counted() -> dict[str, int]:
    """Return the instructions by function of the kernels' library."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", sys.executable, __file__, "--child"]
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
        if done.returncode:
            raise SystemExit(f"training failed under valgrind:\n{done.stderr[-3000:]}")
        return by_function(out.read_text(encoding="utf-8", errors="replace"))


def by_function(text: str) -> dict[str, int]:
    """Read a file of callgrind: sum each function's own instructions, where its object is the kernels' library.

    Names are written once, as `fn=(7) name`, and later as `fn=(7)`. A line `calls=` is followed by a line
    with the cost of what was called, which is not the function's own.
    """
    names: dict[tuple[str, str], str] = {}
    found: dict[str, int] = {}
    library = function = ""
    skip = False
    for line in text.splitlines():
        match = re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?$", line)
        if match:
            called, kind, number, name = match.groups()
            if name is not None:
                names[kind, number] = name
            if not called:
                if kind == "ob":
                    library = names[kind, number]
                else:
                    function = names[kind, number]
        elif line.startswith("calls="):
            skip = True
        elif line[:1].isdigit() or line[:1] in "+-*":
            if not skip and LIBRARY in Path(library).name:
                cost = line.split()[1:2]  # a cost of nothing is left out
                found[function] = found.get(function, 0) + (int(cost[0]) if cost else 0)
            skip = False
    return found


def child() -> None:
    """Train each network for two steps, in the process that is watched."""
    import torch
    from workloads import load

    import uncrumple as uc

    torch.set_num_threads(1)
    for name in NETWORKS:
        workload = load(name)
        uc.utils.set_random_seed(0)
        model = workload.in_keras(uc)
        loss = uc.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(uc.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        x, y = (one[: BATCH * STEPS] for one in workload.epoch_data())
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)


def compiler() -> str:
    """Return what compiled the kernels, as far as can be known: the compiler that is there now."""
    name = os.environ.get("CXX", "c++")
    said = subprocess.run([name, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True)
    return f"{name} {said.stdout.strip()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the limit")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child()
        return
    if shutil.which("valgrind") is None:
        print("instructions: skipped, valgrind is not installed")
        return
    from uncrumple.kernels import native

    if not native.available():
        print("instructions: skipped, the native kernels were not compiled")
        return
    before: dict[str, Any] = json.loads(LIMITS.read_text(encoding="utf-8")) if LIMITS.exists() else {}
    functions = counted()
    total, known = sum(functions.values()), before.get("functions", {})
    if not total:
        raise SystemExit("no instruction of the native kernels was seen: were they used under valgrind?")
    print(f"{total:,} instructions in {STEPS} steps of {BATCH} rows of {', '.join(NETWORKS)}; by function:")
    for function, number in sorted(functions.items(), key=lambda item: -item[1])[:SHOWN]:
        now = f"{known[function]:,} before" if function in known else "not among the most costly before"
        print(f"    {number:14,}  ({now})  {function[:90]}")
    if arguments.update:
        most = dict(sorted(functions.items(), key=lambda item: -item[1])[:SHOWN])
        found = {"compiler": compiler(), "limit": int(total * MARGIN), "functions": most}
        LIMITS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    elif before.get("compiler") != compiler():
        print(f"not judged: the limit is that of {before.get('compiler')}, this is {compiler()}")
    elif total > before["limit"]:
        raise SystemExit(
            f"{total:,} instructions are more than the limit of {before['limit']:,}. "
            "If that is wanted: python benchmarks/instructions.py --update"
        )


if __name__ == "__main__":
    main()
