"""Instructions that the native kernels execute in a few training steps, counted by callgrind: the same on a busy machine.

    python benchmarks/instructions.py [--update]

`make bench-instructions` runs it, and `make test`, where valgrind is installed. Counted are the
instructions inside the library of the kernels alone, not those of BLAS or
oneDNN, for two steps of one thread with the AVX2 kernels (callgrind knows no
AVX512), summed over small networks, for valgrind takes hundreds of times as long as the processor. More than
`instruction_limits.json` allows is a failure; `--update` writes a new limit, where more instructions
are wanted. Compilers differ: the limit notes the one it was counted with, and holds for that one.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIMITS = Path(__file__).with_name("instruction_limits.json")
LIBRARY = "_kernels"
# What the sum may grow by, and what a function that takes a part of it that counts may.
MARGIN, MARGIN_OF_ONE, COUNTS = 1.03, 1.1, 0.005
BATCH, STEPS = 8, 2
SET = "avx2::"
EVERYTHING = "all functions"
SHOWN = 15  # functions


def counted() -> dict[str, int]:
    """Return the instructions by function of the kernels' library."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        command += [sys.executable, __file__, "--child"]
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


def watch(on: bool) -> None:
    """Tell the callgrind that this process runs under to count, or not to: what is not counted runs faster."""
    command = ["callgrind_control", f"--instr={'on' if on else 'off'}", str(os.getpid())]
    subprocess.run(command, check=True, capture_output=True)


def networks() -> Iterator[tuple[Any, tuple[int, ...], int]]:
    """Yield small models that use every kernel between them, the shape of their samples, and how many words they know."""
    import uncrumple as uc

    layers = uc.layers
    for policy in ("float32", "mixed_bfloat16"):
        uc.config.set_dtype_policy(policy)
        yield _joined(layers.Dense(40, "relu"), layers.Dropout(0.2), layers.Dense(24, "tanh")), (30,), 0
        yield _joined(layers.Dense(32), layers.BatchNormalization(), layers.Activation("relu")), (30,), 0
        yield (
            _joined(
                layers.Conv2D(16, 3, activation="relu"),
                layers.Conv2D(16, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Dropout(0.25),
                layers.Flatten(),
            ),
            (12, 12, 1),
            0,
        )
        yield _joined(layers.Embedding(300, 16), layers.LSTM(16)), (10,), 300
        yield _joined(layers.Embedding(300, 16), layers.Bidirectional(layers.GRU(16))), (10,), 300
        yield _joined(layers.Embedding(300, 16), layers.SimpleRNN(16)), (10,), 300
        yield (
            _joined(layers.Embedding(300, 16), layers.Conv1D(16, 3, activation="relu"), layers.GlobalMaxPooling1D()),
            (10,),
            300,
        )
        words = layers.Input((10,), dtype="int32")
        x = layers.Embedding(300, 16)(words)
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, x)]))
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(16)(layers.Dense(48, "relu")(x))]))
        yield uc.Model(words, layers.Dense(10)(layers.GlobalAveragePooling1D()(x))), (10,), 300
    uc.config.set_dtype_policy("float32")


def _joined(*layers: Any) -> Any:
    import uncrumple as uc

    return uc.Sequential([*layers, uc.layers.Dense(10)])


def child() -> None:
    """Train each network for two steps, in the process that is watched."""
    import numpy as np
    import torch

    import uncrumple as uc
    from uncrumple.data.resizing import resized
    from uncrumple.kernels import dense, dense_rows, layer_normalization
    from uncrumple.optimizers import adam

    # Small sizes, too, are to take what is made for large ones.
    dense_rows._LEAST_ROWS = dense._WORTH_IT = layer_normalization._WORTH_IT = adam._LARGE = 0
    torch.set_num_threads(1)
    uc.utils.set_random_seed(0)
    random, count = np.random.default_rng(0), BATCH * STEPS
    runs = []
    for model, shape, words in networks():
        loss = uc.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(uc.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        x = random.integers(0, words, (count, *shape)) if words else random.normal(size=(count, *shape))
        runs.append((model, x.astype("int32" if words else "float32"), random.integers(0, 10, count)))
    picture = random.integers(0, 256, (24, 32, 3), np.uint8)

    def all_of_them() -> None:
        for model, x, y in runs:
            model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
            model.predict(x[:1], verbose=0)
        resized(picture, (16, 16))

    all_of_them()  # what is done once is done
    watch(True)
    all_of_them()
    watch(False)


def grown(functions: dict[str, int], before: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return what takes more instructions than is allowed: {function: (now, before)}."""
    known = {**before["functions"], EVERYTHING: before["total"]}
    now = {**functions, EVERYTHING: sum(functions.values())}
    allowed = {name: (MARGIN if name == EVERYTHING else MARGIN_OF_ONE) * count for name, count in known.items()}
    return {name: (now[name], known[name]) for name in known if now.get(name, 0) > allowed[name]}


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
    if shutil.which("callgrind_control") is None:
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
    print(f"{total:,} instructions in {STEPS} steps of {BATCH} rows of small networks; by function:")
    for function, number in sorted(functions.items(), key=lambda item: -item[1])[:SHOWN]:
        now = f"{known[function]:,} before" if function in known else "not among the most costly before"
        print(f"    {number:14,}  ({now})  {function[:90]}")
    if arguments.update:
        most = {function: number for function, number in sorted(functions.items()) if number >= COUNTS * total}
        found = {"compiler": compiler(), "total": total, "functions": most}
        LIMITS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    elif not any(SET in function for function in functions):
        print("not judged: this processor does not have the instructions that the limit was counted with")
    elif before.get("compiler") != compiler():
        print(f"not judged: the limit is that of {before.get('compiler')}, this is {compiler()}")
    elif more := grown(functions, before):
        lines = "".join(f"    {now:,}, and {then:,} before: {name}\n" for name, (now, then) in more.items())
        raise SystemExit(f"More than before:\n{lines}If that is wanted: python benchmarks/instructions.py --update")


if __name__ == "__main__":
    main()
