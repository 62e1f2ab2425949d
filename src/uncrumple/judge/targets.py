"""Several values asked for at once: one row of answers becomes as many answers, which belong together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.mistakes import Mistake
from uncrumple.judge.rows import Given

# Values whose spreads differ by no more than this factor are taken to have one unit.
_ALIKE = 1.5


class Targets:
    """The values that a regression asks for in each row, laid out one after the other.

    Where they spread unlike, each is divided by its spread over the training rows: otherwise
    the one with the largest numbers would decide alone.

    Args:
        rows: The rows to judge on.

    Example:
        >>> y = np.array([[1.0, 100.0], [2.0, 300.0], [3.0, 200.0]])
        >>> targets = Targets(Given("regression", None, y, None, y, None, None))
        >>> targets.flat(y).round(1).tolist(), targets.groups().tolist()
        ([1.2, 1.2, 2.4, 3.7, 3.7, 2.4], [0, 0, 1, 1, 2, 2])
    """

    def __init__(self, rows: Given) -> None:
        self.rows, self.count = rows, rows.values_per_row
        self.scale: np.ndarray = np.ones(self.count)
        if self.count > 1:
            spread = rows.y_train.std(axis=0)
            spread = np.where(spread > 0, spread, 1.0)
            if spread.max() > _ALIKE * spread.min():
                self.scale = spread
        self.names = rows.target_names if len(rows.target_names) == self.count else tuple(
            f"value {place + 1}" for place in range(self.count)
        )  # fmt: skip

    def remark(self) -> str:
        """Return what a reader must know; empty for one value."""
        if self.count == 1:
            return ""
        unit = "" if (self.scale == 1).all() else ", each in units of its spread over the training rows"
        return (
            f"Errors are of {self.count} values for each row{unit}; tests and intervals take a row's values together."
        )

    def flat(self, answers: np.ndarray) -> np.ndarray:
        """Return answers of shape (rows,) or (rows, values) as one number after the other."""
        values = np.asarray(answers, np.float64)
        if self.count == 1:
            return values.reshape(-1)
        if values.shape != (len(values), self.count):
            raise ValueError(
                explain(
                    f"judge got answers of shape {values.shape}, and {self.count} values are asked for in each row.",
                    f"Expected (rows, {self.count}).",
                    f"a model that ends in Dense({self.count}).",
                )
            )
        return (values / self.scale).reshape(-1)

    def groups(self) -> np.ndarray | None:
        """Return the group of each number: the row's, or the row itself."""
        if self.count == 1:
            return self.rows.groups
        groups = np.arange(len(self.rows.y_test)) if self.rows.groups is None else self.rows.groups
        return np.repeat(groups, self.count)

    def of_row(self, mistake: Mistake) -> Mistake:
        """Return a mistake with the row it was made in, and the value that was missed."""
        if self.count == 1:
            return mistake
        row, place = divmod(mistake.row, self.count)
        return replace(mistake, row=row, truth=f"{self.names[place]}: {mistake.truth}")

    def per_row(self, errors: np.ndarray) -> np.ndarray:
        """Return the mean of the numbers of each row."""
        return errors.reshape(-1, self.count).mean(axis=1)
