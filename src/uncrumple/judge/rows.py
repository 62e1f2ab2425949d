"""The rows that a model is judged on, as the parts of a judgement take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.judge.folds import Matrix


@dataclass
class Given:
    """The rows to judge on.

    Args:
        task: `"classification"`, `"regression"` or `"language"`.
        x_train, y_train: What was learnt from, as the model takes it; answers as numbers, with a
            column for each where several values are asked for at once.
        x_test, y_test: What is judged on.
        matrix_train, matrix_test: The same rows as the classical models take them; for language, whole numbers.
        x_validation, y_validation: For thresholds and temperature; None if there are none.
        class_names: The classes in the order of their numbers.
        feature_names: A name for each column of the matrices.
        units: For columns that were scaled, by name: the mean that was taken away, and what was divided by.
        yes_or_no: The names of columns that hold 0 or 1, and whose name says what 1 means.
        scale: Whether the classical models scale the columns; None lets them.
        symbol: What language is made of, such as `"character"`.
        last: For a series, the last known value of what is forecast, for each test row; else None.
        target_names: A name for each value, where several are asked for at once.
        groups: A group for each test row, or None.
        groups_train: A group for each training row, or None.
        times_train, ends_train: When each training row was, and when its answer was known, or None.
        columns: Columns of the test rows to slice by.
        pictures: The test rows as pictures, or None.
        shown: Returns a test row in words, for the lists of mistakes; None if there are none.
        prepare: Returns the model's preparation, fitted on the training rows with these numbers; None if it has none.
        matrices: Tables for folds, each prepared with statistics of its own training rows; None if
            `matrix_train` serves for all.
        preparation: The layer of the model that prepares raw rows, or None.
        uses: How often the test part was looked at, this time included; None if nobody counts.
        title: What the data is called.
        remarks: What a reader must know.
    """

    task: str
    x_train: Any
    y_train: np.ndarray
    x_test: Any
    y_test: np.ndarray
    matrix_train: Any
    matrix_test: Any
    x_validation: Any = None
    y_validation: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    units: dict[str, tuple[float, float]] = field(default_factory=dict)
    yes_or_no: frozenset[str] = frozenset()
    scale: bool | None = None
    symbol: str = "symbol"
    last: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    groups_train: np.ndarray | None = None
    times_train: np.ndarray | None = None
    ends_train: np.ndarray | None = None
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: np.ndarray | None = None
    shown: Callable[[int], str] | None = None
    prepare: Callable[[np.ndarray], Any] | None = None
    matrices: Matrix | None = None
    preparation: Any = None
    uses: int | None = None
    title: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def values_per_row(self) -> int:
        """How many values are asked for at once: 1, or more for a regression of several."""
        return self.y_train.shape[1] if self.task == "regression" and self.y_train.ndim == 2 else 1
