"""`Series`: measurements one after another, cut into windows: what was, and what came next."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.kinds.base import RawData, answers_of
from uncrumple.data.kinds.columns import as_numbers
from uncrumple.data.kinds.prepare_series import SeriesPreparation, fitted
from uncrumple.data.kinds.roles import times_in
from uncrumple.data.kinds.table import read_columns


class Series(RawData):
    """Windows over time: `past` steps of all columns are the input, what `target` was `future` steps on the answer.

    Args:
        source: A CSV or Parquet file, a data frame, a dict of columns, or an array of shape (steps,) or
            (steps, columns), the oldest first. An array of shape (samples, steps, columns) is taken for
            windows that are cut already, with `y`.
        target: The column, or columns, to be forecast; None takes all. For an array, their numbers.
        y: The answers to windows that are cut already.
        past: Steps that the network sees.
        future: How many steps after them are forecast.
        stride: How many steps after a window the next begins.
        time: The column that says when; steps must come in this order. No input.
        columns: The columns that are inputs; None takes all that hold numbers.
        task, class_names: For `y`, as in `Table`.
        name: What the data is called.

    Attributes:
        times: The number of the first step that is forecast.
        ends: The number of the last.

    Raises:
        ValueError: There are too few steps, a column is not there, or time runs backwards.

    Example:
        >>> series = Series(np.arange(10.0), past=3)
        >>> series.shape_in_words()
        '(7, 3, 1): samples, time steps, features'
        >>> series.raw[0, :, 0].tolist(), series.y[0].tolist()
        ([0.0, 1.0, 2.0], 3.0)
    """

    kind = "series"

    def __init__(
        self,
        source: Any,
        target: Any = None,
        y: Any = None,
        *,
        past: int = 24,
        future: int = 1,
        stride: int = 1,
        time: str | None = None,
        columns: Sequence[str] | None = None,
        task: str | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        for argument, value in (("past", past), ("future", future), ("stride", stride)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(
                    explain(
                        f"Series got {argument}={value!r}.", "Expected a whole number of at least 1.", f"{argument}=1"
                    )
                )
        notes: list[str] = []
        shown = name or (Path(source).stem if isinstance(source, (str, os.PathLike)) else "series")
        if y is not None:
            self._windows = np.asarray(source, dtype=np.float32)
            if self._windows.ndim != 3:
                raise ValueError(
                    explain(
                        f"Series got y, and windows of shape {self._windows.shape}.",
                        "Expected (samples, steps, columns).",
                        "x[..., None] for one column",
                    )
                )
            self.columns = tuple(columns or (f"column {place + 1}" for place in range(self._windows.shape[2])))
            self.targets: tuple[str, ...] = ()
            answers, answered, names = answers_of(y, task, class_names, "Series")
            super().__init__(name=shown, target="what the window is", task=answered, y=answers, class_names=names)
            return
        steps, self.columns, times = _steps(source, columns, time, notes)
        chosen = self._chosen(target)
        self.targets = tuple(self.columns[place] for place in chosen)
        if len(steps) < past + future:
            raise ValueError(
                explain(
                    f"Series got {len(steps):,} steps for windows of past={past} and future={future}.",
                    f"Expected at least {past + future:,}.",
                    f"past={max(1, len(steps) // 4)}",
                )
            )
        if times is not None:
            gaps = np.diff(times)
            if (gaps < 0).any():
                row = int(np.argmax(gaps < 0)) + 1
                raise ValueError(
                    explain(
                        f"Series: the time in row {row} is before that of the row above.",
                        "Expected the oldest row first.",
                        f"frame.sort_values({time!r})",
                    )
                )
            uneven = float(np.mean(np.abs(gaps - np.median(gaps)) > 0.01 * max(float(np.median(gaps)), 1e-12)))
            if uneven > 0.01:
                notes.append(f"{100 * uneven:.0f} % of the steps are not of the usual length.")
        starts = np.arange(0, len(steps) - past - future + 1, stride)
        after = starts[:, None] + past + np.arange(future)
        answers = steps[after][:, :, chosen].reshape(len(starts), -1)
        known = np.isfinite(answers).all(axis=1)
        if not known.all():
            notes.append(f"Left out {int((~known).sum()):,} windows whose answers have gaps.")
        starts, after, answers = starts[known], after[known], answers[known]
        if not len(starts):
            raise ValueError(
                explain("Series: every window has gaps in its answers.", "Expected numbers.", "another target column")
            )
        self._windows = steps[starts[:, None] + np.arange(past)].astype(np.float32)
        said = ", ".join(self.targets[:3]) + (", ..." if len(self.targets) > 3 else "")
        super().__init__(
            name=shown,
            target=f"{said} {'in the next step' if future == 1 else f'in the next {future} steps'}",
            task="regression",
            y=(answers[:, 0] if answers.shape[1] == 1 else answers).astype(np.float32),
            times=after[:, 0].astype(np.float64),
            ends=after[:, -1].astype(np.float64),
            notes=notes,
        )

    def _chosen(self, target: Any) -> list[int]:
        if target is None:
            return list(range(len(self.columns)))
        wanted = list(target) if isinstance(target, (list, tuple)) else [target]
        found = []
        for one in wanted:
            named = (
                f"column {one + 1}" if isinstance(one, (int, np.integer)) and not isinstance(one, bool) else str(one)
            )
            if named not in self.columns:
                raise ValueError(unknown_name("column", named, self.columns))
            found.append(self.columns.index(named))
        return found

    @property
    def raw(self) -> np.ndarray:
        """The windows: (samples, steps, columns), with NaN for gaps."""
        return self._windows

    @property
    def shape(self) -> tuple[int, ...]:
        return self._windows.shape

    def __len__(self) -> int:
        return len(self._windows)

    def _take_raw(self, rows: np.ndarray) -> None:
        self._windows = self._windows[rows]

    def _bytes(self) -> list[bytes]:
        return [np.ascontiguousarray(self._windows).tobytes()]

    def _details(self) -> list[str]:
        return [f"columns: {', '.join(self.columns[:20])}"]

    def preparation(self, train_rows: Any = None) -> SeriesPreparation:
        """Return the layer that fills gaps and scales the columns, fitted on the training rows alone."""
        rows = self._rows(train_rows)
        return SeriesPreparation(**fitted(rows.raw), columns=list(self.columns), meaning=rows._meaning())


def _steps(
    source: Any, columns: Sequence[str] | None, time: str | None, notes: list[str]
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray | None]:
    """Return (steps, columns) as float64, the columns' names, and when each step was."""
    frame = hasattr(source, "columns") and hasattr(source, "__getitem__")
    if not isinstance(source, (str, os.PathLike, dict)) and not frame:
        values = np.asarray(source.detach().cpu() if hasattr(source, "detach") else source)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or values.dtype.kind not in "iufb":
            raise ValueError(
                explain(
                    f"Series got {values.dtype} values of shape {values.shape}.",
                    "Expected numbers of shape (steps, columns); or (samples, steps, columns) with y.",
                    "Series(x, y=y)" if values.ndim == 3 else "Series(x[:, None])",
                )
            )
        return values.astype(np.float64), tuple(f"column {place + 1}" for place in range(values.shape[1])), None
    found = read_columns(source)
    for column in (*([time] if time else []), *(columns or ())):
        if column not in found:
            raise ValueError(unknown_name("column", str(column), found))
    times = None if time is None else times_in(found[time], time)
    chosen: dict[str, np.ndarray] = {}
    for column, values in found.items():
        if column == time or (columns is not None and column not in columns):
            continue
        numbers = as_numbers(values)
        if numbers is not None:
            chosen[column] = numbers
        elif columns is not None:
            raise ValueError(
                explain(
                    f"The column '{column}' holds {values.tolist()[0]!r}.",
                    "Expected numbers.",
                    "leave it out of columns",
                )
            )
        else:
            notes.append(f"Left out the column '{column}': it holds no numbers.")
    if not chosen:
        raise ValueError(explain("Series found no column of numbers.", "Expected at least one.", "columns=['...']"))
    return np.stack(list(chosen.values()), axis=1), tuple(chosen), times
