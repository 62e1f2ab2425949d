"""What was found about a model or its training, as data and in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from uncrumple.data.checks import report


@dataclass(frozen=True)
class Finding(report.Finding):
    """One thing that is wrong with a model or its training, with the place where it was seen.

    It is a finding of the checks of data with three fields more.

    Args:
        name: What kind of defect it is, such as `"vanishing-gradients"`.
        severity: `"error"` where the model cannot learn, `"warning"` where it learns badly, `"note"` for a fact.
        seen: What was seen, in a sentence.
        number: What was measured.
        limit: What the number was compared with.
        measure: What the number is, with its unit.
        why: Why it matters.
        try_this: One thing to try.
        layer: Class and name of the layer; empty where it is not about one.
        step: The number of the step, from 0, counted over all epochs; None before training.
        epoch: The number of the epoch, from 0; None before training.

    Example:
        >>> found = Finding("dead-units", "warning", "60 of 64 units are 0 for all of 128 samples.", 0.94, 0.5,
        ...                 "of the units are silent", "They do not learn.", "learning_rate=0.001",
        ...                 layer="Dense 'hidden'", step=32, epoch=0)
        >>> print(found.in_words())
        WARNING dead-units: Dense 'hidden', step 32, epoch 1
          seen     60 of 64 units are 0 for all of 128 samples.
          number   0.94 of the units are silent (limit 0.5)
          why      They do not learn.
          try      learning_rate=0.001
    """

    layer: str = ""
    step: int | None = None
    epoch: int | None = None

    def _first_lines(self, width: int) -> list[str]:
        place = [self.layer] if self.layer else []
        if self.step is not None:
            place.append(f"step {self.step:,}")
        if self.epoch is not None:
            place.append(f"epoch {self.epoch + 1}")
        first = f"{self.severity.upper()} {self.name}" + (f": {', '.join(place)}" if place else "")
        return textwrap.wrap(first, width, subsequent_indent=" " * 11, break_on_hyphens=False)

    def __str__(self) -> str:
        return self.in_words()

    def at(self, step: int | None, epoch: int | None) -> Finding:
        """Return the same finding, seen at a step of an epoch."""
        return replace(self, step=step, epoch=epoch)

    @property
    def key(self) -> tuple[str, str]:
        """What makes two findings the same thing: it is said once."""
        return self.name, self.layer


def said(findings: Iterable[Any]) -> str:
    """Return findings in words, one below the other, worst first.

    Example:
        >>> said([])
        ''
    """
    order = {severity: place for place, severity in enumerate(report.SEVERITIES)}
    return "\n\n".join(found.in_words() for found in sorted(findings, key=lambda one: order[one.severity]))
