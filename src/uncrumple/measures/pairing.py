"""Bringing y_true, y_pred, weights and masks together, without ever repeating values silently.

(samples,) and (samples, 1) are the same thing and are aligned. Any other
difference in shape is a mistake, and is answered by an error that says what to
change. All checks look at shapes only: nothing waits for the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from uncrumple.core.dtypes import floatx, torch_dtype
from uncrumple.core.errors import explain

# What to use in place of a measure for one-hot rows, when the labels are class numbers, and the reverse.
_FOR_NUMBERS = {
    "categorical_crossentropy": "loss='sparse_categorical_crossentropy'",
    "categorical_accuracy": "metrics=['sparse_categorical_accuracy']",
    "top_k_categorical_accuracy": "metrics=[SparseTopKCategoricalAccuracy()]",
}
_FOR_ROWS = {
    "sparse_categorical_crossentropy": "loss='categorical_crossentropy'",
    "sparse_categorical_accuracy": "metrics=['categorical_accuracy']",
    "sparse_top_k_categorical_accuracy": "metrics=[TopKCategoricalAccuracy()]",
}
_FOR_ONE_OUTPUT = {
    "sparse_categorical_crossentropy": "loss='binary_crossentropy'",
    "sparse_categorical_accuracy": "metrics=['binary_accuracy']",
}


def as_tensor(value: Any, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> torch.Tensor:
    """Return a number, list, array or tensor as a tensor; float64 arrays become `floatx()`."""
    if isinstance(value, torch.Tensor):
        return value if dtype is None and device is None else value.to(device=device, dtype=dtype)
    if isinstance(value, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in value):
        return torch.stack([as_tensor(part, dtype, device) for part in value])
    array = np.asarray(value)
    if dtype is None and array.dtype == np.float64:
        dtype = torch_dtype(floatx())
    return torch.tensor(array, dtype=dtype, device=device)


def as_float(value: Any) -> torch.Tensor:
    """Return `value` as a tensor of real numbers."""
    value = as_tensor(value)
    return value if value.is_floating_point() else value.to(torch_dtype(floatx()))


def same_rank(first: torch.Tensor, second: torch.Tensor, grow: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two tensors of which (n,) and (n, 1) have been aligned, where their ranks differ by one.

    Args:
        first, second: Tensors of any shape.
        grow: Whether (n,) becomes (n, 1); otherwise (n, 1) becomes (n,).
    """
    ranks = first.dim() - second.dim()
    if ranks == 1 and first.shape[-1] == 1:
        return (first, second.unsqueeze(-1)) if grow and second.dim() == 1 else (first.squeeze(-1), second)
    if ranks == -1 and second.shape[-1] == 1:
        return (first.unsqueeze(-1), second) if grow and first.dim() == 1 else (first, second.squeeze(-1))
    return first, second


def pair(owner: str, y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return y_true and y_pred as tensors of one shape, type and device.

    Args:
        owner: Name of the measure, for the message.
        y_true, y_pred: Anything that `as_tensor` takes.

    Raises:
        ValueError: The shapes do not agree.
    """
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype, y_pred.device)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    return aligned(owner, y_true, y_pred)


def aligned(owner: str, y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two tensors in one shape, where (samples,) and (samples, 1) is all that sets them apart.

    Raises:
        ValueError: Something else does.
    """
    first, second = same_rank(y_true, y_pred)
    if first.shape != second.shape:
        raise mismatch(owner, y_true, y_pred)
    return first, second


def mismatch(owner: str, y_true: torch.Tensor, y_pred: torch.Tensor, fix: str | None = None) -> ValueError:
    """Return the error for two shapes that ought to be equal."""
    return ValueError(
        explain(
            _came(owner, y_true, y_pred),
            "Expected two equal shapes; values are never repeated to make them fit.",
            fix or _fix(tuple(y_true.shape), tuple(y_pred.shape)),
        )
    )


def _came(owner: str, y_true: torch.Tensor, y_pred: torch.Tensor) -> str:
    return f"{owner} got y_true of shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."


def _fix(true: tuple[int, ...], predicted: tuple[int, ...]) -> str:
    if true and predicted and true[0] != predicted[0]:
        return "pass one target for each prediction: the first axes must have the same length."
    if len(true) == len(predicted) and true[:-1] == predicted[:-1]:
        return f"end the model with as many units as there are targets: Dense({true[-1]})."
    if len(true) == 1 and len(predicted) == 2:
        return f"end the model with one unit, Dense(1), or pass targets of shape {predicted}."
    if len(predicted) > len(true):
        return f"put Flatten() before the last layer, or pass targets of shape {predicted}."
    return f"give the model an output of shape {true}, or pass targets of shape {predicted}."


def pair_one_hot(owner: str, y_true: Any, y_pred: Any, axis: int = -1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `pair`, with the message for class numbers where rows of probabilities were wanted."""
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype, y_pred.device)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    rows = without(y_pred, axis)
    if tuple(y_true.shape) not in (rows, (*rows, 1)) or y_pred.shape[axis] == 1:
        return aligned(owner, y_true, y_pred)
    classes = y_pred.shape[axis]
    fix = f"y = to_categorical(y, {classes})"
    if owner in _FOR_NUMBERS:
        fix = f"use {_FOR_NUMBERS[owner]}, or {fix}"
    expected = f"Expected y_true of shape {tuple(y_pred.shape)}: one row of class probabilities per sample."
    raise ValueError(explain(_came(owner, y_true, y_pred), expected, fix))


def pair_labels(owner: str, y_true: Any, y_pred: Any, axis: int = -1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return class numbers (of any type) and the rows they belong to.

    The result has y_true of the shape of y_pred without `axis`.

    Raises:
        ValueError: The shapes do not agree.
    """
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, device=y_pred.device)
    if y_pred.dim() and y_true.dim() == y_pred.dim() and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    wanted = without(y_pred, axis)
    if tuple(y_true.shape) != wanted or y_pred.shape[axis] < 2:
        raise _wrong_labels(owner, y_true, y_pred, axis, wanted)
    return y_true, y_pred


def _wrong_labels(
    owner: str, y_true: torch.Tensor, y_pred: torch.Tensor, axis: int, wanted: tuple[int, ...]
) -> ValueError:
    came = _came(owner, y_true, y_pred)
    if y_pred.dim() and y_pred.shape[axis] < 2:
        fix = f"use {_FOR_ONE_OUTPUT.get(owner, 'a binary measure')}, or end the model with one unit per class."
        return ValueError(explain(came, "Expected predictions for two classes or more.", fix))
    expected = f"Expected y_true of shape {wanted}: one class number per sample."
    if y_true.shape == y_pred.shape:
        fix = f"y = y.argmax(axis={axis})"
        if owner in _FOR_ROWS:
            fix = f"use {_FOR_ROWS[owner]}, or {fix}"
        return ValueError(explain(came, expected, fix))
    if y_true.dim() and y_pred.dim() and y_true.shape[0] != y_pred.shape[0]:
        return ValueError(explain(came, expected, "pass one label for each prediction."))
    if y_pred.dim() > y_true.dim() + 1:
        fix = f"put Flatten() before the last layer, so that it returns ({y_pred.shape[0]}, {y_pred.shape[axis]})."
        return ValueError(explain(came, expected, fix))
    return ValueError(explain(came, expected, f"pass labels of shape {wanted}."))


def without(tensor: torch.Tensor, axis: int) -> tuple[int, ...]:
    """Return the shape of a tensor without one axis."""
    shape = list(tensor.shape)
    if shape:
        del shape[axis]
    return tuple(shape)


# --- weights and masks ------------------------------------------------------------


def keras_mask(tensor: Any) -> torch.Tensor | None:
    """Return the mask a layer left on its output (True: counts), or None; none that attention has used up, as in Keras."""
    mask = getattr(tensor, "_keras_mask", None)
    return None if mask is not None and mask is getattr(tensor, "_used_mask", None) else mask


def join_mask(
    weights: torch.Tensor | None, mask: torch.Tensor | None, dtype: torch.dtype, renormalise: bool
) -> torch.Tensor | None:
    """Return weights with a mask multiplied in.

    Args:
        weights: Sample weights or None.
        mask: True where a value counts, or None.
        dtype: Type of the result.
        renormalise: Scale the mask so that dividing a sum by the number of
            all values divides it by the number of those that count.
    """
    if mask is None:
        return weights
    kept = mask.to(dtype)
    if renormalise:
        count = kept.sum()
        kept = kept * torch.where(count > 0, kept.numel() / count, 0)
    if weights is None:
        return kept
    kept, weights = same_rank(kept, weights.to(dtype))
    if weights.dim() < kept.dim():
        weights = weights.reshape(*weights.shape, *(1,) * (kept.dim() - weights.dim()))
    return weights * kept


def weigh(owner: str, values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values times weights, and the weights as they were used.

    Weights of shape (samples,) count for everything that belongs to a sample.

    Raises:
        ValueError: There is not one weight per value or per sample.
    """
    values, weights = same_rank(values, weights)
    if values.dim() > weights.dim() > 0:
        weights = weights.reshape(*weights.shape, *(1,) * (values.dim() - weights.dim()))
    fits = values.dim() == weights.dim() and all(w in (1, v) for v, w in zip(values.shape, weights.shape))
    if not fits and values.dim() and weights.dim():
        raise ValueError(
            explain(
                f"{owner} got sample weights (or a mask) of shape {tuple(weights.shape)} "
                f"for losses of shape {tuple(values.shape)}.",
                "Expected one weight per sample, or one per loss.",
                f"sample_weight of shape {(values.shape[0],)}"
                + (f" or {tuple(values.shape)}" if values.dim() > 1 else ""),
            )
        )
    return values * weights, weights
