"""What an initializer, a regularizer and a constraint gave, checked: one that a user wrote may give anything."""

from __future__ import annotations

import numbers
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core import own_parts
from uncrumple.core.errors import explain

# --- initializers -------------------------------------------------------------------------


def first_value(initializer: Any, shape: Sequence[int], dtype: Any, where: str) -> torch.Tensor:
    """Return what an initializer gives for a weight, checked: one that a user wrote may give anything.

    Args:
        initializer: An initializer, or a function of (shape, dtype=...).
        shape, dtype: Of the weight.
        where: The weight, for messages: "the weight 'kernel' of Dense 'dense'".

    Raises:
        ValueError: It gave something else than numbers of this shape, or NaN.
    """
    shape = tuple(shape)
    own = own_parts.is_own(initializer)
    who = own_parts.named("initializer", initializer)
    expected = f"Expected a tensor of shape {shape}."
    try:
        value = initializer(shape, dtype=dtype)
    except Exception as error:
        failure = None
        if own:
            fix, came = _SIGNATURE, None
            if re.search(r"unexpected keyword argument 'dtype'|takes \d+ positional argument", str(error)):
                came = "it does not take (shape, dtype)"
            failure = own_parts.failed(who, error, on=f" for {where}", expected=expected, fix=fix, came=came)
        if failure is None:
            raise
        raise failure from None
    if isinstance(value, (str, bytes)) or value is None or callable(value):
        raise TypeError(
            explain(
                f"{who} returned {own_parts.described(value)} for {where}.",
                expected,
                f"return ... as the last line of {own_parts.code_name(initializer)}"
                if value is None
                else f"return torch.full({shape}, 0.5)",
            )
        )
    made = value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))
    if tuple(made.shape) != shape:
        raise ValueError(
            explain(
                f"{who} returned {own_parts.described(value)} for {where}.",
                expected,
                "use the argument shape: torch.full(tuple(shape), 0.5)",
            )
        )
    if own and made.is_floating_point() and not made.is_meta and bool(torch.isnan(made).any()):
        raise ValueError(
            explain(
                f"{who} returned NaN for {where}.",
                "Expected finite numbers: one NaN turns every weight into NaN.",
                f"look for 0 / 0, or the root of a negative number, in {own_parts.code_name(initializer)}",
            )
        )
    return made


_SIGNATURE = "def __call__(self, shape, dtype=None): ..."


# --- regularizers -------------------------------------------------------------------------


def penalty(regularizer: Any, x: torch.Tensor, where: str | None = None) -> torch.Tensor:
    """Return what a regularizer adds to the loss for a weight or an output, as a tensor.

    Args:
        regularizer: A regularizer, or a function of a tensor.
        x: The weight, or the output.
        where: What it is, for messages: "the output of Dense 'dense'"; by default the weight's path.

    Raises:
        TypeError: It returned no number.
    """
    try:
        value = regularizer(x)
    except Exception as error:
        # On shapes alone, code that needs numbers fails too; it is tried again with numbers.
        again = x.is_meta and isinstance(error, (RuntimeError, TypeError, ValueError, AttributeError))
        if again or not own_parts.is_own(regularizer):
            raise
        failure = own_parts.failed(
            own_parts.named("regularizer", regularizer),
            error,
            on=f" on {_of(x, where)}",
            expected="Expected one number: a penalty to add to the loss.",
            fix="def __call__(self, x): return 0.01 * x.square().sum()",
        )
        if failure is None:
            raise
        raise failure from None
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, (numbers.Real, np.ndarray, np.generic)):
        return torch.as_tensor(value, dtype=x.dtype if x.is_floating_point() else None, device=x.device)
    who = own_parts.named("regularizer", regularizer)
    raise TypeError(
        explain(
            f"{who} returned {own_parts.described(value)} on {_of(x, where)}.",
            "Expected one number: a penalty to add to the loss.",
            f"return ... as the last line of {own_parts.code_name(regularizer)}"
            if value is None
            else "return 0.01 * x.square().sum()",
        )
    )


def _of(x: torch.Tensor, where: str | None) -> str:
    return f"{where or 'the weight ' + repr(getattr(x, 'path', 'weight'))}, of shape {tuple(x.shape)}"


def try_regularizer(regularizer: Any, weight: torch.Tensor, where: str) -> None:
    """Call a regularizer that a user wrote once, on a new weight, so that what is wrong with it is found now.

    Args:
        regularizer: The regularizer, or None.
        weight: The weight; it stays as it is.
        where: What it is, for messages: "the weight 'kernel' of Dense 'dense'".

    Raises:
        TypeError: It returned no number.
        ValueError: It returned NaN, or a number that no gradient reaches.
    """
    if regularizer is None or not own_parts.is_own(regularizer) or not weight.is_floating_point() or weight.is_meta:
        return
    with torch.enable_grad():
        value = penalty(regularizer, weight.detach().clone().requires_grad_(True), where)
    who = own_parts.named("regularizer", regularizer)
    if bool(torch.isnan(value).any()):
        raise ValueError(
            explain(
                f"{who} returned NaN on {_of(weight, where)}.",
                "Expected a finite penalty: one NaN turns every weight into NaN.",
                f"look for 0 / 0, or the logarithm or root of a negative number, in {own_parts.code_name(regularizer)}",
            )
        )
    if not value.requires_grad and bool((value != 0).any()):
        raise ValueError(
            explain(
                f"{who} gives a number that no gradient reaches, on {_of(weight, where)}.",
                "Expected torch operations on the weight that have a gradient.",
                f"no NumPy, .item(), .detach() or comparison between the weight and what {own_parts.code_name(regularizer)} returns",
            )
        )


# --- constraints --------------------------------------------------------------------------


def put_back(weight: Any) -> None:
    """Give a weight the value that its constraint wants; called after every step, without gradients.

    Args:
        weight: The weight, whose `constraint` is asked.

    Raises:
        TypeError, ValueError: The constraint returned something else than a weight of this shape.
    """
    weight.copy_(_constrained(weight.constraint, weight, f"the weight '{getattr(weight, 'path', 'weight')}'"))


def try_constraint(constraint: Any, weight: torch.Tensor, where: str) -> None:
    """Call a constraint that a user wrote once, on a new weight, so that what is wrong with it is found now.

    Args:
        constraint: The constraint, or None.
        weight: The weight; it stays as it is.
        where: What it is, for messages: "the weight 'kernel' of Dense 'dense'".

    Raises:
        TypeError, ValueError: It returned something else than a weight of this shape, or NaN.
    """
    if constraint is None or not own_parts.is_own(constraint) or not weight.is_floating_point() or weight.is_meta:
        return
    with torch.no_grad():
        value = _constrained(constraint, weight.detach().clone(), where)
    if bool(torch.isnan(value).any()):
        who = own_parts.named("constraint", constraint)
        raise ValueError(
            explain(
                f"{who} returned NaN for {where}, of shape {tuple(weight.shape)}.",
                "Expected finite numbers: one NaN turns every weight into NaN.",
                f"w / (w.norm() + 1e-7) in place of w / w.norm(), for a length of 0, in {own_parts.code_name(constraint)}",
            )
        )


def _constrained(constraint: Any, weight: torch.Tensor, where: str) -> torch.Tensor:
    """Return what a constraint gives for a weight, if it is a tensor of the weight's shape."""
    shape = tuple(weight.shape)
    expected = f"Expected a tensor of the weight's shape, {shape}."
    try:
        value = constraint(weight)
    except Exception as error:
        failure = None
        who = own_parts.named("constraint", constraint)
        if own_parts.is_own(constraint):
            fix = "def __call__(self, w): return w.clamp(-1, 1)"
            failure = own_parts.failed(who, error, on=f" on {where}, of shape {shape}", expected=expected, fix=fix)
        if failure is None:
            raise
        raise failure from None
    if not isinstance(value, torch.Tensor) or value.shape != weight.shape:
        who = own_parts.named("constraint", constraint)
        kind = ValueError if isinstance(value, torch.Tensor) else TypeError
        raise kind(
            explain(
                f"{who} returned {own_parts.described(value)} for {where}.",
                expected,
                f"return ... as the last line of {own_parts.code_name(constraint)}"
                if value is None
                else f"return w.clamp(-1, 1)  in {own_parts.code_name(constraint)}",
            )
        )
    return value
