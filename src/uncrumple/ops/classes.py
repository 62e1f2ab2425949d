"""Classes: their encoding as rows of 0 and 1, and the cross-entropies of predictions."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import settings
from uncrumple.core.errors import explain
from uncrumple.core.promotion import standardize_dtype, torch_type
from uncrumple.kernels import crossentropy as kernels
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import check_axis, floating, name_of, tensor, tensors

operation = group("nn")
settings.followers.append(kernels.set_epsilon)
kernels.set_epsilon(settings.epsilon())
# fmt: off
__all__ = ["binary_crossentropy", "categorical_crossentropy", "multi_hot", "one_hot",
           "sparse_categorical_crossentropy"]
# fmt: on


def _dense(owner: str, sparse: Any) -> None:
    if sparse:
        raise ValueError(
            explain(f"{owner} got sparse=True.", "Expected False: tensors here are dense.", "sparse=False")
        )


@operation(dtype=standardize_dtype)
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> torch.Tensor:
    """Return class numbers as rows of zeros with a 1 at the class; a negative number gives zeros only.

    Args:
        x: Class numbers, 0 to num_classes - 1.
        num_classes: The length of a row.
        axis: Where the new axis goes.
        dtype: `floatx()` by default.
        sparse: Only False.

    Raises:
        ValueError: A class number is too large.

    Example:
        >>> one_hot([0, 2], 3)
        tensor([[1., 0., 0.],
                [0., 0., 1.]])
    """
    _dense("one_hot", sparse)
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(
            explain(f"one_hot got num_classes={num_classes!r}.", "Expected a whole number above 0.", "num_classes=10")
        )
    x = tensor(x)
    check_axis("one_hot", axis, x.ndim + 1)
    if x.is_floating_point():
        x = x.long()
    if not x.is_meta and x.numel() and not torch.compiler.is_compiling():
        largest = int(x.max())
        if largest >= num_classes:
            raise ValueError(
                explain(
                    f"one_hot got the class {largest} and num_classes={num_classes}.",
                    f"Expected classes 0 to {num_classes - 1}.",
                    f"ops.one_hot(x, {largest + 1})",
                )
            )
    classes = torch.arange(num_classes, device=x.device, dtype=x.dtype if x.dtype is not torch.bool else torch.int32)
    return torch.eq(x.unsqueeze(-1), classes).to(torch_type(dtype)).movedim(-1, axis)


@operation(dtype=standardize_dtype)
def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False, **kwargs: Any
) -> torch.Tensor:
    """Return rows of class numbers as one row each, with a 1 at every class that occurs.

    Example:
        >>> multi_hot([[0, 2], [1, 1]], 3)
        tensor([[1., 0., 1.],
                [0., 1., 0.]])
    """
    _dense("multi_hot", sparse)
    num_classes = kwargs.pop("num_tokens", num_classes)
    if kwargs:
        raise TypeError(
            explain(f"multi_hot got {', '.join(kwargs)}.", "Expected num_classes, axis, dtype.", "remove it")
        )
    if num_classes is None:
        raise ValueError(
            explain("multi_hot got no num_classes.", "Expected how many classes there are.", "num_classes=10")
        )
    x = tensor(inputs)
    return torch.amax(one_hot(x, num_classes, axis, dtype), dim=1 if x.ndim > 1 else 0)


def _pair(owner: str, target: Any, output: Any) -> tuple[torch.Tensor, torch.Tensor]:
    target, output = tensors(target, output)
    if target.shape != output.shape:
        raise ValueError(
            explain(
                f"{owner} got a target of shape {tuple(target.shape)} and an output of shape {tuple(output.shape)}.",
                "Expected equal shapes.",
                "ops.one_hot(target, num_classes), for class numbers"
                if output.ndim == target.ndim + 1
                else "ops.reshape(target, ops.shape(output))",
            )
        )
    output = floating(output)
    return target.to(output.dtype), output


@operation(2)
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> torch.Tensor:
    """Return -sum(target * log(probabilities)) over the classes.

    Args:
        target: Rows of 0 and 1 (or shares) of the shape of `output`.
        output: Probabilities, or scores with `from_logits`.
        axis: The axis of the classes.
    """
    target, output = _pair("categorical_crossentropy", target, output)
    check_axis("categorical_crossentropy", axis, output.ndim)
    function = kernels.categorical_from_logits if from_logits else kernels.categorical_from_probabilities
    return function(target.movedim(axis, -1), output.movedim(axis, -1))


@operation(2)
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> torch.Tensor:
    """Return -log(probability of the target's class), with class numbers as targets; see `categorical_crossentropy`."""
    target, output = tensors(target, output)
    check_axis("sparse_categorical_crossentropy", axis, output.ndim)
    if target.ndim == output.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    output = floating(output.movedim(axis, -1))
    if target.shape != output.shape[:-1]:
        raise ValueError(
            explain(
                f"sparse_categorical_crossentropy got a target of shape {tuple(target.shape)} and an output of "
                f"shape {tuple(output.movedim(-1, axis).shape)}.",
                f"Expected a class number for each row: a target of shape {tuple(output.shape[:-1])}.",
                "ops.categorical_crossentropy(target, output), for rows of 0 and 1",
            )
        )
    if target.is_floating_point() and name_of(target).startswith("float"):
        target = target.long()
    function = kernels.sparse_from_logits if from_logits else kernels.sparse_from_probabilities
    if output.ndim == 1:
        return function(target.long()[None], output[None])[0]
    return function(target.long(), output)


@operation(2)
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> torch.Tensor:
    """Return the cross-entropy of yes-or-no predictions, number by number."""
    target, output = _pair("binary_crossentropy", target, output)
    function = kernels.binary_from_logits if from_logits else kernels.binary_from_probabilities
    return function(target, output)
