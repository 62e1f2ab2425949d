"""The seconds that a report may take, and what was left out when they ran short."""

from __future__ import annotations

import time


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

    def need_time(self) -> None:
        """Raise OutOfTimeError once the budget is spent; called between the steps of a long check."""
        if self.left <= 0:
            raise OutOfTimeError(f"the budget of {self.budget:g} s was spent before it was done")

    def remark(self, text: str) -> None:
        """Say what a check looked at, where that was not everything."""
        if text not in self.remarks:
            self.remarks.append(text)
