"""Bringing inputs to a size that networks learn well from.

A scaler is fitted on the training rows alone. The validation and test rows
are then scaled with what the training rows said: had they a say themselves,
the test would no longer be a test.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from uncrumple.core.errors import explain, unknown_name

Kind = Literal["standard", "range", "none"]
_KINDS = ("standard", "range", "none")
# The largest value that pictures are usually written with: a share, 4 bits, 8 bits, 16 bits.
_USUAL_RANGES = (1.0, 16.0, 255.0, 65535.0)
_RANGE_OF_TYPE = {"uint8": 255.0, "uint16": 65535.0}


class Scaler:
    """Scales the last axis to mean 0 and deviation 1, or everything to the range from 0 to 1.

    - `"standard"`: `(x - mean) / sqrt(variance)` for each feature (the last axis). A feature that
      never changes in the training rows has only its mean taken away.
    - `"range"`: `x / largest`, where `largest` is what the pictures are written with: 255 for
      uint8, otherwise the smallest of 1, 16, 255 and 65535 that no training value exceeds.
    - `"none"`: `x` as it is.

    Args:
        kind: `"standard"`, `"range"` or `"none"`.

    Attributes:
        mean_: What is taken away, per feature (float64). `mean_` and `variance_` are what
            `Normalization(mean=..., variance=...)` takes.
        variance_: The square of what is divided by, per feature.
        largest_: What `"range"` divides by; `Rescaling(1 / largest_)` does the same.

    Example:
        >>> scaler = Scaler("standard").fit(np.array([[1.0, 10.0], [3.0, 30.0]]))
        >>> scaler.transform(np.array([[2.0, 40.0]])).tolist()
        [[0.0, 2.0]]
    """

    def __init__(self, kind: Kind = "standard") -> None:
        if kind not in _KINDS:
            raise ValueError(unknown_name("kind of scaling", str(kind), _KINDS))
        self.kind: Kind = kind
        self.fitted = kind == "none"
        self.mean_: np.ndarray | None = None
        self.variance_: np.ndarray | None = None
        self.largest_: float | None = None
        self.constant_: tuple[int, ...] = ()

    @classmethod
    def for_data(cls, x: np.ndarray) -> Scaler:
        """Return the usual scaler for this kind of data, not yet fitted: pictures by range, tables by feature.

        Example:
            >>> Scaler.for_data(np.zeros((10, 28, 28, 1), "uint8")).kind
            'range'
        """
        return cls("range" if np.ndim(x) >= 4 and np.min(x) >= 0 else "standard")

    def fit(self, x: np.ndarray) -> Scaler:
        """Learn the statistics from the training rows, and return the scaler.

        Raises:
            ValueError: `x` is empty or holds NaN or infinity, or `"range"` meets a negative value.
        """
        values = np.asarray(x)
        if values.size == 0 or values.dtype.kind not in "iufb":
            raise ValueError(
                explain(
                    f"Scaler.fit got {values.dtype} values of shape {values.shape}.",
                    "Expected numbers, at least one row.",
                    "Scaler('standard').fit(x_train)",
                )
            )
        if values.ndim < 2:
            raise ValueError(
                explain(
                    f"Scaler.fit got an array of shape {values.shape}.",
                    "Expected (samples, features) or more axes.",
                    "Scaler('standard').fit(y[:, None]) for one column.",
                )
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = np.unique(np.argwhere(~np.isfinite(values))[:, -1])
            raise ValueError(
                explain(
                    f"Scaler.fit got NaN or infinity in column {', '.join(map(str, bad[:8]))}.",
                    "Expected finite numbers.",
                    "fill or drop them first: x = np.nan_to_num(x)",
                )
            )
        if self.kind == "standard":
            axes = tuple(range(values.ndim - 1))
            self.mean_ = values.mean(axis=axes, dtype=np.float64)
            self.variance_ = values.var(axis=axes, dtype=np.float64)
            # Below rounding of the mean, a deviation is not one.
            flat = self.variance_ <= (1e-7 * np.maximum(np.abs(self.mean_), 1e-30)) ** 2
            self.constant_ = tuple(np.flatnonzero(flat).tolist())
            self.variance_ = np.where(flat, 1.0, self.variance_)
        elif self.kind == "range":
            if values.min() < 0:
                raise ValueError(
                    explain(
                        f"Scaler('range') got values down to {values.min()}.",
                        "Expected values from 0 upwards.",
                        "Scaler('standard').fit(x_train)",
                    )
                )
            top = float(values.max())
            usual = next((value for value in _USUAL_RANGES if top <= value), top)
            self.largest_ = _RANGE_OF_TYPE.get(values.dtype.name, usual)
        self.fitted = True
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return `x` scaled, as float32."""
        values = self._checked(x)
        if self.kind == "standard":
            return ((values - self.mean_) / np.sqrt(self.variance_)).astype(np.float32)  # type: ignore[arg-type, operator]
        if self.kind == "range":
            return np.asarray(values, dtype=np.float32) / np.float32(self.largest_)
        return np.asarray(values, dtype=np.float32)

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Return scaled values in their own unit, as float32: the opposite of `transform`."""
        values = self._checked(x)
        if self.kind == "standard":
            return (values * np.sqrt(self.variance_) + self.mean_).astype(np.float32)  # type: ignore[arg-type, operator]
        if self.kind == "range":
            return np.asarray(values, dtype=np.float32) * np.float32(self.largest_)
        return np.asarray(values, dtype=np.float32)

    def in_words(self) -> str:
        """Return what the scaler does, in a sentence.

        Example:
            >>> Scaler("range").fit(np.array([[0, 16]])).in_words()
            'each value divided by 16, so that it lies between 0 and 1'
        """
        if self.kind == "none":
            return "the values as they are"
        self._checked(None)
        if self.kind == "range":
            return f"each value divided by {self.largest_:g}, so that it lies between 0 and 1"
        text = "each feature to mean 0 and deviation 1, by the training rows alone"
        if self.constant_:
            text += f"; {len(self.constant_)} never change in them and carry nothing"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return the scaler as plain data that JSON can hold."""
        self._checked(None)
        return {
            "kind": self.kind,
            "mean": None if self.mean_ is None else self.mean_.tolist(),
            "variance": None if self.variance_ is None else self.variance_.tolist(),
            "largest": self.largest_,
            "constant": list(self.constant_),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Scaler:
        """Return the scaler that `to_dict` described.

        Raises:
            ValueError: The data is not what `to_dict` gives.

        Example:
            >>> scaler = Scaler("range").fit(np.array([[0, 255]]))
            >>> Scaler.from_dict(scaler.to_dict()).largest_
            255.0
        """
        try:
            made = cls(saved["kind"])
            if made.kind == "standard":
                made.mean_ = np.asarray(saved["mean"], dtype=np.float64)
                made.variance_ = np.asarray(saved["variance"], dtype=np.float64)
                made.constant_ = tuple(int(column) for column in saved["constant"])
                right = made.mean_.shape == made.variance_.shape and np.isfinite(made.mean_).all()
                right = right and np.isfinite(made.variance_).all() and bool((made.variance_ > 0).all())
            elif made.kind == "range":
                made.largest_ = float(saved["largest"])
                right = np.isfinite(made.largest_) and made.largest_ > 0
            else:
                right = True
            if not right:
                raise ValueError("its numbers are not finite and positive")
        except (KeyError, TypeError, ValueError) as problem:
            raise ValueError(
                explain(
                    f"Scaler.from_dict got data it cannot use: {problem}.",
                    "Expected what Scaler.to_dict() returned.",
                    "fit a new one: Scaler('standard').fit(x_train)",
                )
            ) from None
        made.fitted = True
        return made

    def _checked(self, x: np.ndarray | None) -> np.ndarray:
        if not self.fitted:
            raise ValueError(
                explain(
                    f"Scaler('{self.kind}') has not seen any data yet.",
                    "Expected fit() before it is used.",
                    f"Scaler('{self.kind}').fit(x_train)",
                )
            )
        values = np.asarray(0.0 if x is None else x)
        if x is not None and self.mean_ is not None and (values.ndim == 0 or values.shape[-1:] != self.mean_.shape):
            raise ValueError(
                explain(
                    f"Scaler got values of shape {values.shape}.",
                    f"Expected {self.mean_.size} features on the last axis, as in the training rows.",
                    f"give it {self.mean_.size} columns in the order of the training data.",
                )
            )
        return values
