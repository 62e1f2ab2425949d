"""The table of mistakes: each is a small function, with the text that it must be answered with.

A mistake takes the package as its argument, so that the same table can be run
against Keras too (benchmarks/mistakes.py).
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Mistake(NamedTuple):
    """One mistake.

    Attributes:
        make: Makes it, with the package (uncrumple, or Keras) as its argument.
        kind: What it must be answered with.
        place: What a message must mention to name the place: a layer's name, an argument.
        text: The whole answer.
    """

    make: Callable[[Any], Any]
    kind: type
    place: str
    text: str

    @property
    def name(self) -> str:
        return self.make.__name__


MISTAKES: list[Mistake] = []


def mistake(kind: type, place: str, text: str = "") -> Callable[[Any], Any]:
    """Return a decorator that enters a function into the table.

    `LINE` in the text stands for the line of the source that the text quotes after it.
    """

    def enter(make: Any) -> Any:
        MISTAKES.append(Mistake(make, kind, place, _with_line(make, textwrap.dedent(text).strip())))
        return make

    return enter


def _with_line(make: Any, text: str) -> str:
    found = re.search(r"line LINE of \S+: (.*)$", text, re.MULTILINE)
    if found is None:
        return text
    lines, first = inspect.getsourcelines(make)
    place = [line.strip() for line in lines].index(found[1])
    return text.replace("line LINE", f"line {first + place}")


def numbers(*shape: int) -> np.ndarray:
    """Return random numbers of about 0 to 1, the same in every run."""
    return np.random.default_rng(0).random(shape).astype("float32")


def classes(samples: int, count: int = 3) -> np.ndarray:
    """Return class numbers, each class at least once."""
    return np.arange(samples) % count


def small_model(keras: Any, loss: Any = "mse", units: int = 1, activation: Any = None, features: int = 4) -> Any:
    """Return a compiled model with one hidden layer."""
    model = keras.Sequential(
        [
            keras.Input((features,), name="x"),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dense(units, activation=activation, name="answer"),
        ]
    )
    model.compile("adam", loss)
    return model
