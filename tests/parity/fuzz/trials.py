"""Many trials from the command line: which numbers they have, and how they came out.

Every trial is made from a seed and its own number alone, so that any of them can be run again by itself.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import time
from collections.abc import Iterator
from pathlib import Path


def asking(description: str, what: str, many: int) -> argparse.ArgumentParser:
    """Return the options that all kinds of trials have.

    Args:
        description: What is compared.
        what: What a trial is, in the plural: it names the option that says how many.
        many: How many there are by default.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{what}", type=int, default=many, dest="many", help="how many are compared")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--only", type=int, help="this one alone, printed in full")
    return parser


class Trials:
    """Counts how trials come out, until as many as were asked for were compared.

    Args:
        asked: What the command line said.
        file: The program.
        what: What a trial is, in the plural.
    """

    def __init__(self, asked: argparse.Namespace, file: str, what: str) -> None:
        self.asked, self.file, self.what = asked, Path(file).name, what
        self.counts: collections.Counter[str] = collections.Counter()
        self.start = time.monotonic()

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of trials; what Keras refuses is not counted."""
        if self.asked.only is not None:
            yield self.asked.only
            return
        for number in itertools.count(self.asked.first):
            if self.counts.total() - self.counts["refused"] == self.asked.many:
                return
            yield number

    def replay(self, number: int | str) -> None:
        """Print the line that runs one trial again."""
        print(f"Replay: python {self.file} --seed {self.asked.seed} --only {number}", flush=True)

    def end(self) -> int:
        """Print how all came out; return the exit code: 1 if anything differs."""
        summary = ", ".join(f"{count} {result}" for result, count in sorted(self.counts.items()))
        seconds = time.monotonic() - self.start
        print(f"\nSeed {self.asked.seed}: {self.counts.total()} {self.what}, {summary}, in {seconds:.0f} s.")
        return 1 if self.counts["differs"] else 0
