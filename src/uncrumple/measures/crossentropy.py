"""How surprised predicted probabilities are by what happened."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import settings
from uncrumple.core.errors import explain, warn
from uncrumple.core.settings import epsilon
from uncrumple.kernels import crossentropy as kernels
from uncrumple.measures.pairing import aligned, as_float, as_tensor, mismatch, pair, pair_labels, pair_one_hot

settings.followers.append(kernels.set_epsilon)
kernels.set_epsilon(settings.epsilon())


def _check_axis(owner: str, axis: Any) -> None:
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(explain(f"{owner} got axis={axis!r}.", "Expected the number of an axis.", "axis=-1"))


def _warn_one_class(owner: str, y_pred: torch.Tensor, axis: int) -> None:
    if y_pred.dim() and y_pred.shape[axis] == 1:
        warn(
            f"{owner} got y_pred of shape {tuple(y_pred.shape)}: a single class.",
            "Expected two classes or more; with one, every prediction is right and nothing is learned.",
            "use loss='binary_crossentropy'",
        )


def _smooth(y_true: torch.Tensor, label_smoothing: float, axis: int) -> torch.Tensor:
    return y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[axis]


def _last(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    return tensor if axis == -1 else tensor.movedim(axis, -1)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> torch.Tensor:
    """Return -log(probability of the true class), the class given by its number.

    -log(p[y_true]), with p = y_pred / sum(y_pred) or softmax(y_pred).

    Args:
        y_true: (samples, ...) or (samples, ..., 1) class numbers from 0.
        y_pred: (samples, ..., classes) probabilities; rows are made to sum to
            1, and cut to [1e-7, 1 - 1e-7].
        from_logits: Whether y_pred holds scores that softmax has yet to turn into probabilities.
        ignore_class: A class number whose samples give 0 and are left out of means.
        axis: The axis of the classes.

    Example:
        >>> sparse_categorical_crossentropy([1, 2], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
        tensor([0.0513, 2.3026])
    """
    owner = "sparse_categorical_crossentropy"
    _check_axis(owner, axis)
    y_true, y_pred = pair_labels(owner, y_true, y_pred, axis)
    labels = y_true.long()
    valid = None
    if ignore_class is not None:
        valid = y_true != ignore_class
        labels = torch.where(valid, labels, 0)
        # Keeps infinities and NaN of ignored rows out of the gradient.
        y_pred = torch.where(valid.unsqueeze(axis), y_pred, 0 if from_logits else 1)
    measure = kernels.sparse_from_logits if from_logits else kernels.sparse_from_probabilities
    out = measure(labels, _last(y_pred, axis))
    if valid is not None:
        out = torch.where(valid, out, 0)
        out._keras_mask = valid  # type: ignore[attr-defined]
    return out


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """Return -sum(y_true * log(y_pred)), the class given by a row of probabilities.

    Args:
        y_true: (samples, ..., classes) probabilities, often one-hot.
        y_pred: (samples, ..., classes) probabilities; rows are made to sum to
            1, and cut to [1e-7, 1 - 1e-7].
        from_logits: Whether y_pred holds scores that softmax has yet to turn into probabilities.
        label_smoothing: Share of every row of y_true that is spread evenly over the classes, from 0 to 1.
        axis: The axis of the classes.

    Example:
        >>> categorical_crossentropy([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])
        tensor([0.0513, 2.3026])
    """
    owner = "categorical_crossentropy"
    _check_axis(owner, axis)
    y_true, y_pred = pair_one_hot(owner, y_true, y_pred, axis)
    _warn_one_class(owner, y_pred, axis)
    if label_smoothing:
        y_true = _smooth(y_true, label_smoothing, axis)
    measure = kernels.categorical_from_logits if from_logits else kernels.categorical_from_probabilities
    return measure(_last(y_true, axis), _last(y_pred, axis))


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Return sum(alpha * (1 - p)**gamma * -y_true * log(p)): easy samples count less.

    Args:
        y_true: (samples, ..., classes) probabilities, often one-hot.
        y_pred: (samples, ..., classes) probabilities.
        alpha: A weight for all classes, or a list with one per class.
        gamma: How much less easy samples count; 0 is the plain cross-entropy.
        from_logits: Whether y_pred holds scores that softmax has yet to turn into probabilities.
        label_smoothing: Share of every row of y_true that is spread evenly over the classes.
        axis: The axis of the classes.

    Source: Lin et al., 2017, arXiv:1708.02002.

    Example:
        >>> categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])
        tensor([0.0433])
    """
    owner = "categorical_focal_crossentropy"
    _check_axis(owner, axis)
    y_true, y_pred = pair_one_hot(owner, y_true, y_pred, axis)
    _warn_one_class(owner, y_pred, axis)
    if label_smoothing:
        y_true = _smooth(y_true, label_smoothing, axis)
    if from_logits:
        y_pred = torch.softmax(y_pred, axis)
    share = (y_pred / kernels.sum_of_rows(y_pred, axis)).clamp(epsilon(), 1.0 - epsilon())
    weight = (1.0 - share) ** gamma * (
        alpha if isinstance(alpha, (int, float)) else as_tensor(alpha, share.dtype, share.device)
    )
    return (weight * -y_true * share.log()).sum(axis)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> torch.Tensor:
    """Return the mean of -y_true * log(y_pred) - (1 - y_true) * log(1 - y_pred).

    Args:
        y_true: (samples, ..., outputs) zeros and ones.
        y_pred: (samples, ..., outputs) probabilities; cut to [1e-7, 1 - 1e-7].
        from_logits: Whether y_pred holds scores that the sigmoid has yet to turn into probabilities.
        label_smoothing: How far labels are drawn towards one half, from 0 to 1.
        axis: The axis to average over.

    Example:
        >>> binary_crossentropy([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]])
        tensor([0.9163, 0.7136])
    """
    y_true, y_pred = _pair_binary("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    measure = kernels.binary_from_logits if from_logits else kernels.binary_from_probabilities
    return measure(y_true, y_pred).mean(axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> torch.Tensor:
    """Return the binary cross-entropy times (1 - probability of the truth)**gamma: easy samples count less.

    Args:
        y_true: (samples, ..., outputs) zeros and ones.
        y_pred: (samples, ..., outputs) probabilities.
        apply_class_balancing: Whether to weigh ones by alpha and zeros by 1 - alpha.
        alpha: Weight of the ones.
        gamma: How much less easy samples count; 0 is the plain cross-entropy.
        from_logits: Whether y_pred holds scores that the sigmoid has yet to turn into probabilities.
        label_smoothing: How far labels are drawn towards one half, from 0 to 1.
        axis: The axis to average over.

    Source: Lin et al., 2017, arXiv:1708.02002.

    Example:
        >>> binary_focal_crossentropy([[1.0]], [[0.5]])
        tensor([0.1733])
    """
    y_true, y_pred = _pair_binary("binary_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        y_pred = torch.sigmoid(y_pred)
    wrong = 1.0 - (y_true * y_pred + (1 - y_true) * (1 - y_pred))
    if 0 < gamma < 1:
        wrong = wrong.clamp(min=epsilon())  # at zero, the slope of such a power is infinite
    out = wrong**gamma * kernels.binary_from_probabilities(y_true, y_pred)
    if apply_class_balancing:
        out = (y_true * alpha + (1 - y_true) * (1 - alpha)) * out
    return out.mean(axis)


def _pair_binary(owner: str, y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype, y_pred.device)
    if y_true.shape == y_pred.shape:
        return y_true, y_pred
    if y_pred.dim() == 2 and y_pred.shape[1] > 1 and tuple(y_true.shape) in (y_pred.shape[:1], (y_pred.shape[0], 1)):
        fix = "use loss='sparse_categorical_crossentropy' for several classes."
        raise mismatch(owner, y_true, y_pred, f"end the model with Dense(1, activation='sigmoid'), or {fix}")
    return aligned(owner, y_true, y_pred)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float = 0.5) -> torch.Tensor:
    """Return (1 - p**q) / q, with p the probability of the true class: bears wrong labels better.

    Args:
        y_true: (samples,) or (samples, 1) class numbers from 0.
        y_pred: (samples, classes) probabilities.
        q: Between 0 (the cross-entropy) and 1 (the mean absolute error).

    Source: Zhang and Sabuncu, 2018, arXiv:1805.07836.

    Example:
        >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]])
        tensor([1.])
    """
    y_true, y_pred = pair_labels("categorical_generalized_cross_entropy", y_true, y_pred)
    right = y_pred.gather(-1, y_true.long().unsqueeze(-1)).squeeze(-1)
    # At zero, the slope of such a power is infinite.
    possible = right > 0
    return (1 - torch.where(possible, torch.where(possible, right, 1) ** q, 0)) / q


def kl_divergence(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return sum(y_true * log(y_true / y_pred)): what is lost by taking y_pred for y_true.

    Args:
        y_true: (samples, ..., classes) probabilities; cut to [1e-7, 1].
        y_pred: (samples, ..., classes) probabilities; cut to [1e-7, 1].

    Example:
        >>> kl_divergence([[0.5, 0.5]], [[0.25, 0.75]])
        tensor([0.1438])
    """
    y_true, y_pred = pair("kl_divergence", y_true, y_pred)
    y_true, y_pred = y_true.clamp(epsilon(), 1), y_pred.clamp(epsilon(), 1)
    return (y_true * (y_true / y_pred).log()).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> torch.Tensor:
    """Return mean(y_pred - y_true * log(y_pred)): for counts, with y_pred the expected count.

    Args:
        y_true: (samples, ..., outputs) counts.
        y_pred: (samples, ..., outputs) expected counts, above zero.

    Example:
        >>> poisson([[2.0, 0.0]], [[1.0, 1.0]])
        tensor([1.0000])
    """
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return (y_pred - y_true * (y_pred + epsilon()).log()).mean(-1)
