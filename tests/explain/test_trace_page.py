"""What docs/trace.md shows is what its programs print."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "trace.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*\.?\d*(?:e-?\d+)?")


def test_outputs_on_the_page():
    """Words to the letter; numbers to one in a hundred, since other processors round sums in another order."""
    names: dict = {"__name__": "__docs__"}
    shown = 0
    for program, text in _BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, PAGE.name, "exec"), names)
        if not text:
            continue
        shown += 1
        real = "\n".join(line.rstrip() for line in printed.getvalue().rstrip().split("\n"))
        words = [" ".join(_NUMBER.sub("#", one).split()) for one in (real, text)]
        assert words[0] == words[1]
        pairs = zip(_NUMBER.findall(real), _NUMBER.findall(text), strict=True)
        for one, other in ((float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs):
            assert one == pytest.approx(other, rel=0.01, abs=2e-4)
    assert shown == 8
