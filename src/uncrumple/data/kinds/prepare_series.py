"""The first layer of a model of series: gaps are filled, columns scaled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.data.kinds.preparation import Preparation, register
from uncrumple.layers import Input, Normalization


def fitted(windows: np.ndarray) -> dict[str, Any]:
    """Return what is measured of each column over the training windows."""
    columns = windows.reshape(-1, windows.shape[-1]).astype(np.float64)
    fill, mean, variance, missing = [], [], [], []
    for values in columns.T:
        there = values[np.isfinite(values)]
        middle = float(np.median(there)) if len(there) else 0.0
        filled = np.where(np.isfinite(values), values, middle)
        fill.append(middle)
        mean.append(float(filled.mean()))
        spread = float(filled.var())
        variance.append(spread if spread > (1e-7 * max(abs(mean[-1]), 1e-30)) ** 2 else 1.0)
        missing.append(bool(len(there) < len(values)))
    return {"steps": windows.shape[1], "fill": fill, "mean": mean, "variance": variance, "missing": missing}


class SeriesPreparation(Preparation):
    """Fills gaps with the column's median over the training windows, and brings columns to mean 0 and variance 1.

    A column that had gaps in training gets a second one, which says where.

    Args:
        steps: Steps in a window.
        columns: Names of the columns.
        fill, mean, variance, missing: What `fitted` measured, one for each column.
        meaning, name: As for `Preparation`.

    Shapes: (samples, steps, columns) gives (samples, steps, columns + those with gaps).

    Example:
        >>> from uncrumple.data import Series
        >>> preparation = Series(np.array([0.0, 2.0, 0.0, 2.0, 9.0]), past=4).preparation()
        >>> preparation.prepare(preparation.read([0.0, 2.0, 4.0, 2.0])).ravel().tolist()
        [-1.0, 1.0, 3.0, 1.0]
    """

    _fills_gaps = True
    kind = "series"

    def __init__(
        self,
        steps: int,
        columns: Sequence[str],
        fill: Sequence[float],
        mean: Sequence[float],
        variance: Sequence[float],
        missing: Sequence[bool],
        meaning: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(meaning, **kwargs)
        self.steps, self.columns = int(steps), list(columns)
        self.fill, self.mean, self.variance, self.missing = list(fill), list(mean), list(variance), list(missing)
        self.scale = Normalization(mean=self.mean, variance=self.variance)
        self.scale.build((None, self.steps, len(self.columns)))
        self.register_buffer("_fill", torch.tensor(self.fill, dtype=torch.float32), persistent=False)
        self.register_buffer("_gaps", torch.tensor(np.flatnonzero(self.missing), dtype=torch.int64), persistent=False)

    def inputs(self) -> Any:
        return Input((self.steps, len(self.columns)), name="window")

    def read(self, source: Any, encoding: str | None = None) -> np.ndarray:
        """Return the last steps of a CSV file, a frame, a dict or an array as a window; or windows as they are.

        Args:
            source: Where the steps are, the oldest first.
            encoding: Of a CSV file; None takes what its first bytes say, else UTF-8.
        """
        from uncrumple.data.kinds.series import Series
        from uncrumple.data.kinds.series import _steps as steps_of
        from uncrumple.data.kinds.table import lacks_columns, read_columns

        if isinstance(source, Series):
            return source.raw
        if hasattr(source, "ndim") and source.ndim == 3:
            return np.asarray(source, dtype=np.float32)
        is_file = isinstance(source, (str, os.PathLike))
        values, names, _ = steps_of(read_columns(source, encoding=encoding) if is_file else source, None, None, [])
        if tuple(names) != tuple(self.columns):
            lacking = [name for name in self.columns if name not in names]
            if lacking:
                raise ValueError(lacks_columns(source, lacking, self.columns, names))
            values = values[:, [names.index(name) for name in self.columns]]
        if len(values) < self.steps:
            raise ValueError(
                explain(f"There are {len(values)} steps.", f"Expected the last {self.steps}, or more.", "a longer file")
            )
        return values[-self.steps :][None].astype(np.float32)

    def in_words(self) -> str:
        return f"{len(self.columns)} columns scaled, windows of {self.steps} steps"

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        gone = ~torch.isfinite(inputs)
        filled = self.scale(torch.where(gone, self._fill.to(inputs.dtype), inputs))
        if not any(self.missing):
            return filled
        return torch.cat([filled, gone.index_select(-1, self._gaps).to(filled.dtype)], dim=-1)

    def restore(self, prepared: Any) -> np.ndarray:
        """Return the windows that were prepared as these numbers, with NaN where gaps were filled and a column says so."""
        numbers = np.asarray(prepared.detach().cpu() if hasattr(prepared, "detach") else prepared, np.float32)
        count = len(self.columns)
        values = numbers[..., :count] * np.sqrt(np.asarray(self.variance, np.float32))
        values += np.asarray(self.mean, np.float32)
        for place, column in enumerate(np.flatnonzero(self.missing)):
            values[..., column][numbers[..., count + place] > 0.5] = np.nan
        return values

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "steps": self.steps,
            "columns": self.columns,
            "fill": self.fill,
            "mean": self.mean,
            "variance": self.variance,
            "missing": self.missing,
        }


register([SeriesPreparation])
