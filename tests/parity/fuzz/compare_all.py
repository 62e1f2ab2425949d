"""Everything that is random, one kind after another: models, their files, preprocessing, functions.

    python tests/parity/fuzz/compare_all.py --models 500 --seed 1
    python tests/parity/fuzz/compare_all.py --only ops files

Each kind is a program of its own, which also replays a single case; it fails if anything differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

# Of each kind, how many there are for one model.
SHARES = {
    "ops": ("calls", 100.0),
    "preprocessing": ("models", 0.5),
    "files": ("models", 0.4),
    "models": ("models", 1.0),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Random models, files, preprocessing and functions against Keras.")
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(SHARES), default=list(SHARES))
    asked = parser.parse_args()
    failed = []
    for kind in asked.only:
        option, share = SHARES[kind]
        program = Path(__file__).parent / f"compare_{kind}.py"
        count = max(1, round(asked.models * share))
        print(f"\n=== {kind}: {count}", flush=True)
        command = [sys.executable, "-W", "ignore", str(program), f"--{option}", str(count), "--seed", str(asked.seed)]
        if subprocess.run(command).returncode:
            failed.append(kind)
    print(f"\n{', '.join(failed)}: Keras and uncrumple differ." if failed else "\nAll agree.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
