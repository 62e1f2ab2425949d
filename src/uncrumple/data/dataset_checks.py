"""What the methods of `Dataset` refuse, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core import tree
from uncrumple.core.errors import explain

# Stands for a number of threads, or of elements to read ahead, that is chosen for the user.
AUTOTUNE = -1


def whole(method: str, name: str, value: Any, chosen: int | None = None, least: int = 1) -> int:
    """Return a whole number that a method was given, or what is chosen for `AUTOTUNE`."""
    if chosen is not None and value == AUTOTUNE:
        return chosen
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        also = ", or AUTOTUNE" if chosen is not None else ""
        raise ValueError(
            explain(
                f"Dataset.{method} got {name}={value!r}.",
                f"Expected a whole number of at least {least}{also}.",
                f"dataset.{method}({name}={max(least, 2)})",
            )
        )
    return int(value)


def seed(value: Any) -> int | None:
    """Return the seed that `shuffle` was given."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(
            explain(
                f"Dataset.shuffle got seed={value!r}.",
                "Expected a whole number of at least 0, or None.",
                "dataset.shuffle(1000, seed=0)",
            )
        )
    return int(value)


def check_callable(method: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(
            explain(
                f"Dataset.{method} got a {type(function).__name__}.",
                "Expected a function.",
                f"dataset.{method}(lambda x, y: ...)",
            )
        )


def check_generator(generator: Any) -> None:
    if not callable(generator):
        raise TypeError(
            explain(
                f"Dataset.from_generator got a {type(generator).__name__}.",
                "Expected a function, so that each epoch can begin anew.",
                "Dataset.from_generator(make_batches), without calling it",
            )
        )


def check_dataset(method: str, value: Any) -> None:
    if not hasattr(value, "_stage"):
        raise TypeError(
            explain(
                f"{method} got a {type(value).__name__}.",
                "Expected a Dataset.",
                "Dataset.from_tensor_slices(...)",
            )
        )


def check_rows(structure: Any) -> None:
    """Refuse what has no first axis where rows are wanted."""
    for leaf in tree.flatten(structure):
        if getattr(leaf, "ndim", 0) == 0:
            raise ValueError(
                explain(
                    "Dataset.from_tensor_slices got a single number or text.",
                    "Expected arrays, which have rows.",
                    "Dataset.from_tensors(...) for one element",
                )
            )


def check_deterministic(deterministic: bool | None) -> None:
    if deterministic is False:
        raise ValueError(
            explain(
                "Dataset.map got deterministic=False.",
                "Expected None or True: the order is kept always.",
                "dataset.map(function, num_parallel_calls=AUTOTUNE)",
            )
        )


def check_shard(shards: int, index: int) -> None:
    if not 0 <= index < shards:
        raise ValueError(
            explain(
                f"Dataset.shard got index={index} with num_shards={shards}.",
                f"Expected an index from 0 to {shards - 1}.",
                f"dataset.shard({shards}, 0)",
            )
        )
