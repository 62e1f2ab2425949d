"""How a worker and the driver talk: lines of text over the worker's stdin and stdout.

The driver writes one JSON object a line: `{"do": "load", ...}` prepares a
workload and is answered by `{"ready": ...}`; then each `{"do": "epoch"}` is
answered by what the epoch took, until `{"do": "stop"}`. Between its turns a
worker waits for the next line and does nothing; how much processor time it
burned nevertheless is part of each answer (`idle_cpu`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO


class Line:
    """The worker's end. What libraries print goes to stderr, so that it does not get between."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def read(self) -> dict[str, Any]:
        """Wait for what is to be done; the end of the line is the end of the process."""
        line = sys.stdin.readline()
        if not line:
            raise SystemExit(0)
        return json.loads(line)

    def write(self, **answer: Any) -> None:
        self._out.write(json.dumps(answer) + "\n")


class Turns:
    """The epochs of one workload, each run when the driver says so.

    Example:
        turns = Turns(line, steps, {"data": "..."})
        while turns.begin():
            loss = an_epoch()
            turns.end(lambda: loss)
    """

    def __init__(self, line: Line, steps: int, facts: dict[str, Any]) -> None:
        self._line, self._steps, self._facts = line, steps, facts
        self._said_ready = False
        self._wall = self._cpu = self._left = self._idle = 0.0

    def begin(self) -> bool:
        """Wait for the next turn; False when there is none. The clock starts as this returns."""
        if not self._said_ready:
            self._said_ready = True
            self._left = time.process_time()
            self._line.write(ready=True, **self._facts)
        if self._line.read()["do"] != "epoch":
            return False
        self._idle = time.process_time() - self._left
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return True

    def end(self, loss: Callable[[], float]) -> None:
        """Stop the clock and tell what the turn took; the loss is asked for afterwards."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        found = loss()
        self._left = time.process_time()
        self._line.write(wall=wall / self._steps, cpu=cpu / self._steps, idle_cpu=self._idle, loss=found)
