"""Cross-entropies: how surprised a prediction is by the truth, -log(probability of what happened).

From probabilities the maths is Keras's: a row is divided by its sum (a row of zeros is left alone), then cut
to [1e-7, 1 - 1e-7], then its logarithm is taken; where it was cut, no gradient
flows. The two functions over classes have their gradients in closed form,
which keeps fewer tables in memory and makes fewer passes over them than
autograd would. Each has a twin in plain torch (`..._plain`) that gives the
same values and gradients; the twin also serves gradients of gradients.

Rows run along the last axis. `mean=True` returns one number, the mean over all
rows; otherwise there is one number per row.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.kernels.transforms import transformed

_epsilon = 1e-7


def epsilon() -> float:
    """Return what probabilities are kept away from 0 and 1 by."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Set what probabilities are kept away from 0 and 1 by."""
    global _epsilon
    _epsilon = value


# No label has this number: a label that is out of range is an error, whatever torch's own default ignores.
_IGNORE_NOTHING = -(2**62)


def sum_of_rows(probabilities: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """Return what rows are divided by: their sums, and 1 for a row of zeros, which stays one of zeros.

    A last layer with relu gives such rows; divided by zero, the loss would be NaN from then on.
    """
    total = probabilities.sum(axis, keepdim=True)
    return total + (total == 0)


# --- classes given by number ------------------------------------------------------


def sparse_from_logits(labels: torch.Tensor, logits: torch.Tensor, mean: bool = False) -> torch.Tensor:
    """Return -log softmax(logits)[label].

    Args:
        labels: (...) class numbers, int64.
        logits: (..., classes) scores.
        mean: One number in place of one per row.
    """
    reduction = "mean" if mean else "none"
    if logits.dim() == 2:
        return F.cross_entropy(logits, labels, reduction=reduction, ignore_index=_IGNORE_NOTHING)
    flat = logits.reshape(-1, logits.shape[-1])
    out = F.cross_entropy(flat, labels.reshape(-1), reduction=reduction, ignore_index=_IGNORE_NOTHING)
    return out if mean else out.reshape(labels.shape)


def sparse_from_probabilities(labels: torch.Tensor, probabilities: torch.Tensor, mean: bool = False) -> torch.Tensor:
    """Return -log(probability of the label).

    Args:
        labels: (...) class numbers, int64.
        probabilities: (..., classes), zero or more; rows need not sum to 1.
        mean: One number in place of one per row.
    """
    if probabilities.requires_grad and torch.is_grad_enabled() and not transformed():
        return _Sparse.apply(probabilities, labels.unsqueeze(-1), mean)
    return sparse_from_probabilities_plain(labels, probabilities, mean)


def sparse_from_probabilities_plain(
    labels: torch.Tensor, probabilities: torch.Tensor, mean: bool = False
) -> torch.Tensor:
    """The plain-torch twin of `sparse_from_probabilities`."""
    picked = probabilities.gather(-1, labels.unsqueeze(-1))
    share = picked / sum_of_rows(probabilities)
    surprise = -share.clamp(epsilon(), 1.0 - epsilon()).log()
    return surprise.mean() if mean else surprise.squeeze(-1)


class _Sparse(torch.autograd.Function):
    """With s the row's sum and q = p[label] / s: dL/dp_j = 1/s for every j, less 1/(q s) at the label."""

    @staticmethod
    def forward(ctx: Any, probabilities: torch.Tensor, labels: torch.Tensor, mean: bool) -> torch.Tensor:  # type: ignore[override]
        total = sum_of_rows(probabilities)
        share = probabilities.gather(-1, labels).div_(total)
        cut = share.clamp(epsilon(), 1.0 - epsilon())
        ctx.save_for_backward(probabilities, labels, total, share, cut)
        ctx.mean = mean
        surprise = cut.log().neg_()
        return surprise.mean() if mean else surprise.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        probabilities, labels, total, share, cut = ctx.saved_tensors
        if torch.is_grad_enabled():
            out = sparse_from_probabilities_plain(labels.squeeze(-1), probabilities, ctx.mean)
            return *torch.autograd.grad(out, probabilities, gradient, create_graph=True), None, None
        gradient = gradient / share.numel() if ctx.mean else gradient.unsqueeze(-1)
        # Where the share was cut its gradient is zero.
        everywhere = torch.where(share == cut, gradient, 0).div_(total)
        out = everywhere.expand_as(probabilities).contiguous()
        out.scatter_(-1, labels, torch.addcdiv(everywhere, everywhere, cut, value=-1))
        return out, None, None


# --- classes given by a row of probabilities --------------------------------------


def categorical_from_logits(targets: torch.Tensor, logits: torch.Tensor, mean: bool = False) -> torch.Tensor:
    """Return -sum(target * log softmax(logits)).

    Args:
        targets: (..., classes), often one-hot, of the type of `logits`.
        logits: (..., classes) scores.
        mean: One number in place of one per row.
    """
    if mean and logits.dim() == 2:
        return F.cross_entropy(logits, targets)
    out = -(targets * torch.log_softmax(logits, -1)).sum(-1)
    return out.mean() if mean else out


def categorical_from_probabilities(
    targets: torch.Tensor, probabilities: torch.Tensor, mean: bool = False
) -> torch.Tensor:
    """Return -sum(target * log(probability)).

    Args:
        targets: (..., classes), often one-hot, of the type of `probabilities`.
        probabilities: (..., classes), zero or more; rows need not sum to 1.
        mean: One number in place of one per row.
    """
    if probabilities.requires_grad and torch.is_grad_enabled() and not targets.requires_grad and not transformed():
        return _Categorical.apply(probabilities, targets, mean)
    return categorical_from_probabilities_plain(targets, probabilities, mean)


def categorical_from_probabilities_plain(
    targets: torch.Tensor, probabilities: torch.Tensor, mean: bool = False
) -> torch.Tensor:
    """The plain-torch twin of `categorical_from_probabilities`."""
    shares = (probabilities / sum_of_rows(probabilities)).clamp(epsilon(), 1.0 - epsilon())
    out = -(targets * shares.log()).sum(-1)
    return out.mean() if mean else out


class _Categorical(torch.autograd.Function):
    """With q = p / s and a_j = t_j / q_j: dL/dp_j = (sum_k a_k q_k - a_j) / s."""

    @staticmethod
    def forward(ctx: Any, probabilities: torch.Tensor, targets: torch.Tensor, mean: bool) -> torch.Tensor:  # type: ignore[override]
        total = sum_of_rows(probabilities)
        shares = probabilities / total
        cut = shares.clamp(epsilon(), 1.0 - epsilon())
        ctx.save_for_backward(probabilities, targets, total, shares, cut)
        ctx.mean = mean
        surprise = cut.log().mul_(targets)
        return surprise.sum().div_(-total.numel()) if mean else surprise.sum(-1).neg_()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        probabilities, targets, total, shares, cut = ctx.saved_tensors
        if torch.is_grad_enabled():
            out = categorical_from_probabilities_plain(targets, probabilities, ctx.mean)
            return *torch.autograd.grad(out, probabilities, gradient, create_graph=True), None, None
        gradient = gradient / total.numel() if ctx.mean else gradient.unsqueeze(-1)
        # Where a share was cut its gradient is zero.
        pull = torch.where(shares == cut, targets / cut, 0)
        out = (pull * shares).sum(-1, keepdim=True) - pull
        return out.mul_(gradient / total), None, None


# --- yes or no --------------------------------------------------------------------


def binary_from_logits(targets: torch.Tensor, logits: torch.Tensor, mean: bool = False) -> torch.Tensor:
    """Return -t log sigmoid(z) - (1 - t) log(1 - sigmoid(z)), one per number.

    Args:
        targets: Numbers from 0 to 1, of the shape and type of `logits`.
        logits: Scores of any shape.
        mean: One number in place of one per score.
    """
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="mean" if mean else "none")


def binary_from_probabilities(targets: torch.Tensor, probabilities: torch.Tensor, mean: bool = False) -> torch.Tensor:
    """Return -t log p - (1 - t) log(1 - p), one per number.

    Args:
        targets: Numbers from 0 to 1, of the shape and type of `probabilities`.
        probabilities: Numbers from 0 to 1, of any shape.
        mean: One number in place of one per probability.
    """
    # torch's own function refuses NaN, on a GPU by a crash; a NaN should become a loss of NaN that can be reported.
    if not probabilities.is_cuda:
        cut = probabilities.clamp(epsilon(), _high(probabilities.dtype))
        try:
            return F.binary_cross_entropy(cut, targets, reduction="mean" if mean else "none")
        except RuntimeError:
            pass
    return binary_from_probabilities_plain(targets, probabilities, mean)


def binary_from_probabilities_plain(
    targets: torch.Tensor, probabilities: torch.Tensor, mean: bool = False
) -> torch.Tensor:
    """The plain-torch twin of `binary_from_probabilities`."""
    cut = probabilities.clamp(epsilon(), _high(probabilities.dtype))
    out = -torch.lerp(torch.log1p(-cut), torch.log(cut), targets)
    return out.mean() if mean else out


def _high(dtype: torch.dtype) -> float:
    """Return the largest probability whose complement still has a logarithm: in half precision 1 - 1e-7 is 1."""
    return 1.0 - epsilon() if dtype is torch.float32 else 1.0 - max(epsilon(), torch.finfo(dtype).eps / 2)
