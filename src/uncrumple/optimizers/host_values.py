"""Numbers that an optimizer keeps in Python, under the names of Keras's variables.

The learning rate and the step count change at every step. Kept in Python they
cost nothing to read, and the GPU is never waited for. To a user they look like
variables (`numpy`, `value`, `assign`), and files store them as such.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain


class FloatValue(float):
    """A float that also answers to `numpy()` and `value`, as a Keras scalar does.

    Example:
        >>> FloatValue(0.5).numpy()
        array(0.5, dtype=float32)
    """

    @property
    def value(self) -> float:
        return float(self)

    def numpy(self) -> np.ndarray:
        """Return it as a float32 array without axes."""
        return np.array(self, dtype=np.float32)

    def __reduce__(self) -> Any:
        return float, (float(self),)


class LearningRate(FloatValue):
    """The learning rate of an optimizer: a float, and `assign` changes the optimizer's."""

    _owner: Any

    def __new__(cls, value: float, owner: Any) -> LearningRate:
        made = super().__new__(cls, value)
        made._owner = owner
        return made

    def assign(self, value: float) -> LearningRate:
        """Set the optimizer's learning rate, and return the new one."""
        self._owner.learning_rate = value
        return self._owner.learning_rate


class Iterations(int):
    """The number of updates an optimizer has made: an int, and `assign` changes the optimizer's."""

    _owner: Any

    def __new__(cls, value: int, owner: Any) -> Iterations:
        made = super().__new__(cls, value)
        made._owner = owner
        return made

    @property
    def value(self) -> int:
        return int(self)

    def numpy(self) -> np.ndarray:
        """Return it as an int64 array without axes."""
        return np.array(int(self), dtype=np.int64)

    def assign(self, value: int) -> Iterations:
        """Set the optimizer's count, and return the new one."""
        self._owner.iterations = value
        return self._owner.iterations

    def __reduce__(self) -> Any:
        return int, (int(self),)


class HostVariable:
    """One number of an optimizer, seen as a variable so that a file can hold it.

    Args:
        owner: The optimizer.
        attribute: The attribute of `owner` that holds the number.
        name: The variable's name, such as `"iteration"`.
        dtype: The type to store: `"int64"` or `"float32"`.
    """

    shape = ()
    trainable = False

    def __init__(self, owner: Any, attribute: str, name: str, dtype: str) -> None:
        self._owner = owner
        self._attribute = attribute
        self.name = name
        self.path = f"{owner.name}/{name}"
        self.dtype = dtype

    @property
    def value(self) -> Any:
        return getattr(self._owner, self._attribute)

    @value.setter
    def value(self, number: Any) -> None:
        setattr(self._owner, self._attribute, number)

    def numpy(self) -> np.ndarray:
        """Return the number as an array without axes."""
        return np.array(self.value, dtype=self.dtype)

    def assign(self, value: Any) -> HostVariable:
        """Set the number; returns itself.

        Raises:
            ValueError: `value` is not a single number.
        """
        array = np.asarray(value)
        if array.shape != ():
            raise ValueError(
                explain(
                    f"Variable '{self.path}' has shape () and got a value of shape {array.shape}.",
                    "Expected a single number.",
                    "check that the values come from an optimizer of the same class",
                )
            )
        if self.dtype == "int64":
            number: int | float = int(array)
        else:
            # A stored float32 0.001 is meant to be 0.001, not 0.0010000000474974513:
            # its shortest decimal is the number that was typed.
            number = float(str(array.astype(np.float32)[()]))
        self.value = number
        return self

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape=(), dtype={self.dtype}, value={self.value}>"
