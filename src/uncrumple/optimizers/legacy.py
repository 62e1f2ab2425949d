"""`keras.optimizers.legacy`: Keras 2's first optimizers, which Keras 3 names only to say that they are gone."""

from __future__ import annotations

from typing import Any

from uncrumple.core.errors import answer_misspellings, explain


class _Gone:
    """What each of these names stands for.

    Raises:
        ImportError: Whenever one is made.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise ImportError(
            explain(
                f"optimizers.legacy.{name} is gone: Keras 3 has it no longer.",
                "Expected the optimizer of the same name.",
                f"optimizers.{name}(...)",
            )
        )


class Adagrad(_Gone):
    """Refused; `optimizers.Adagrad` is there."""


class Adam(_Gone):
    """Refused; `optimizers.Adam` is there."""


class Ftrl(_Gone):
    """Refused; `optimizers.Ftrl` is there."""


class Optimizer(_Gone):
    """Refused; `optimizers.Optimizer` is there."""


class RMSprop(_Gone):
    """Refused; `optimizers.RMSprop` is there."""


class SGD(_Gone):
    """Refused; `optimizers.SGD` is there."""


__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]

answer_misspellings(__name__)
