"""What an optimizer's arguments may be, and what is said when they are not."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from uncrumple.core import own_parts
from uncrumple.core.errors import explain, one_of, unknown_argument

# Other names that people type for Keras's arguments (torch's, and Keras 1's).
_ALIASES = {"lr": "learning_rate", "eps": "epsilon", "betas": "beta_1", "alpha": "rho", "clip_norm": "clipnorm"}


def number(
    owner: str,
    name: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    example: Any,
) -> Any:
    """Return `value` if it is a number in the given range.

    Args:
        owner: The class that asks, for the message.
        name: The argument's name.
        value: What was given.
        low: The smallest allowed value, -inf for any; with `above`, values must be greater.
        high: The largest allowed value; with `below`, values must be smaller.
        above: Whether `low` itself is refused.
        below: Whether `high` itself is refused.
        example: A good value, for the message.

    Raises:
        ValueError: It is not a number, or out of range.
    """
    if isinstance(value, np.generic):
        value = value.item()
    fits = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if fits:
        fits = (value > low if above else value >= low) and (value < high if below else value <= high)
        fits = fits and math.isfinite(value)
    if fits:
        return value
    left = f"{name} {'>' if above else '>='} {low:g}"
    span = left if high == math.inf else f"{low:g} {'<' if above else '<='} {name} {'<' if below else '<='} {high:g}"
    if low == -math.inf:
        span = f"{name} {'<' if below else '<='} {high:g}"
    wanted = "a finite number" if (low, high) == (-math.inf, math.inf) else f"a number with {span}"
    raise ValueError(explain(f"{owner} got {name}={value!r}.", f"Expected {wanted}.", f"{name}={example}"))


def optional(owner: str, name: str, value: Any, *, above: bool = False, example: Any) -> Any:
    """Return a setting that may be None, and otherwise is a number from 0 up (`above`: 0 is refused)."""
    return None if value is None else number(owner, name, value, 0, above=above, example=example)


def whole(owner: str, name: str, value: Any, low: int, *, example: int) -> int:
    """Return `value` if it is an integer of at least `low`.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= low:
        return int(value)
    raise ValueError(
        explain(f"{owner} got {name}={value!r}.", f"Expected an integer with {name} >= {low}.", f"{name}={example}")
    )


def at_most_one(owner: str, settings: dict[str, Any]) -> None:
    """Refuse two settings that exclude each other; None means not set.

    Raises:
        ValueError: More than one is set.
    """
    given = [f"{name}={value}" for name, value in settings.items() if value is not None]
    if len(given) > 1:
        names = list(settings)
        raise ValueError(
            explain(
                f"{owner} got {' and '.join(given)}.",
                f"Expected at most one of {', '.join(names[:-1])} and {names[-1]}.",
                f"{owner}({given[-1]})",
            )
        )


def only_known(owner: str, given: dict[str, Any], known: Iterable[str]) -> None:
    """Refuse keyword arguments that `owner` does not have, and say which is meant.

    Raises:
        ValueError: There is one.
    """
    for name in given:
        known = [word for word in known if word not in ("self", "args", "kwargs")]
        meant = _ALIASES.get(name)
        if name == "decay":
            raise ValueError(
                explain(
                    f"{owner} got decay={given[name]!r}, an argument of Keras 2.",
                    "Expected a schedule in place of a learning rate that shrinks.",
                    f"learning_rate=schedules.InverseTimeDecay(0.001, decay_steps=1, decay_rate={given[name]!r})",
                )
            )
        if meant in known:
            raise ValueError(
                explain(
                    f"{owner} got an unknown argument '{name}'.",
                    one_of(meant, known, "arguments"),
                    f"did you mean '{meant}='?",
                )
            )
        raise ValueError(unknown_argument(owner, name, known))


def is_schedule(value: Any) -> bool:
    """Return whether a learning rate is a schedule, or a function that returns it."""
    return callable(value) and not isinstance(value, (type, torch.nn.Module))


def learning_rate(owner: str, value: Any, *, whole_numbers: bool = False) -> float:
    """Return a learning rate as a Python float.

    Args:
        owner: The optimizer's class name, for the message.
        value: What was given: not a schedule or a function, these are for the caller.
        whole_numbers: Whether an int will do. Constructors refuse it, as Keras's do:
            it is nearly always an argument in the wrong place.

    Raises:
        TypeError: It looks like a model's parameters, given in the manner of torch.
        ValueError: It is not a float, negative, infinite or NaN.
    """
    if isinstance(value, (torch.nn.Parameter, torch.nn.Module)) or (
        isinstance(value, Iterable) and not isinstance(value, str) and not _is_one_number(value)
    ):
        raise TypeError(
            explain(
                f"{owner} got a {type(value).__name__} as its learning_rate: this looks like a model's parameters.",
                "Expected learning_rate first: Keras's optimizers get the weights later, in build().",
                f"optimizer = {owner}(learning_rate=0.001); optimizer.build(model.trainable_variables)",
            )
        )
    if whole_numbers and _is_one_number(value):
        value = float(value)
    if isinstance(value, (float, np.floating)):
        return float(number(owner, "learning_rate", value, 0.0, example=abs(value) if 0 < -value <= 1 else 0.001))
    is_number = _is_one_number(value) and float(value) >= 0
    fix = f"learning_rate={float(value):g}" if is_number else "learning_rate=0.001"
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        fix = f"learning_rate={float(value)}"
    if is_number and float(value).is_integer():
        fix = f"learning_rate={float(value)}"
    elif isinstance(value, type):
        fix = f"learning_rate={value.__name__}(...), an object of this class"
    raise ValueError(
        explain(
            f"{owner} got learning_rate={value!r} ({type(value).__name__}).",
            "Expected a float, a LearningRateSchedule, or a function without arguments that returns a float.",
            fix,
        )
    )


def rate_failed(optimizer: Any, schedule: Any, value: Any, error: Exception) -> Exception:
    """Return what to raise for a schedule that raised `error`, or returned a `value` that is no number."""
    who = own_parts.named("learning rate function", schedule)
    if value is not None or (isinstance(error, TypeError) and "float()" in str(error)):
        kind = type(error) if type(error) in (TypeError, ValueError) else TypeError
        return kind(say_no_rate(optimizer, schedule, own_parts.described(value)))
    of_step = isinstance(error, TypeError) and "missing 1 required positional argument" in str(error)
    if of_step and own_parts.line_of_the_user(error) is None and hasattr(schedule, "__name__"):
        return TypeError(
            explain(
                f"{who} of {optimizer.name} takes an argument, and is called without any.",
                "Expected a function without arguments, or a LearningRateSchedule, which is called with the step.",
                "class Falling(LearningRateSchedule): def __call__(self, step): return 0.1 / (1 + step)",
            )
        )
    failure = own_parts.failed(
        who,
        error,
        on=f" at step {optimizer._iterations} of {optimizer.name}",
        expected="Expected a learning rate: a float.",
        fix="def __call__(self, step): return 0.1 / (1 + step)",
    )
    return failure or error


def say_no_rate(optimizer: Any, schedule: Any, returned: str) -> str:
    """Return the message for a schedule that returned something else than a finite number."""
    return explain(
        f"{own_parts.named('learning rate function', schedule)} returned {returned} at step {optimizer._iterations} "
        f"of {optimizer.name}.",
        "Expected a learning rate: a finite float.",
        f"look at [schedule(step) for step in range({optimizer._iterations}, {optimizer._iterations + 3})]",
    )


def _is_one_number(value: Any) -> bool:
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        return math.prod(value.shape) == 1
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
