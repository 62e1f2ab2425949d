"""The seconds that a report may take, and what was left out when they ran short."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any


class CannotRunError(Exception):
    """A check lacks what it needs; the text says what."""


class OutOfTimeError(Exception):
    """The seconds are spent."""


class Clock:
    """Counts down the seconds of a report, and keeps what a check says about how much it looked at.

    Args:
        seconds: The budget.

    Example:
        >>> Clock(60).left > 59
        True
    """

    def __init__(self, seconds: float) -> None:
        self.budget = float(seconds)
        self.began = time.perf_counter()
        self.remarks: list[str] = []

    @property
    def spent(self) -> float:
        """The seconds since the report began."""
        return time.perf_counter() - self.began

    @property
    def left(self) -> float:
        """The seconds left, never below 0."""
        return max(0.0, self.budget - self.spent)

    def need_time(self, seconds: float = 0.0) -> None:
        """Raise OutOfTimeError once the budget is spent; called between the steps of a long check.

        Args:
            seconds: What the next step will take, as far as is known: one that would end too late is not begun.
        """
        if self.left <= seconds:
            raise OutOfTimeError(f"the budget of {self.budget:g} s was spent before it was done")

    def within(self, values: Iterable[Any], at_once: int = 4096) -> Iterator[Any]:
        """Yield values, and raise OutOfTimeError once the budget is spent.

        Args:
            values: What a check goes through one by one.
            at_once: How many of them are gone through without looking at the clock.
        """
        for place, value in enumerate(values):
            if place % at_once == 0:
                self.need_time()
            yield value

    def remark(self, text: str) -> None:
        """Say what a check looked at, where that was not everything."""
        if text not in self.remarks:
            self.remarks.append(text)
