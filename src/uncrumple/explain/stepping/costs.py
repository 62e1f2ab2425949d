"""The loss of each sample, and where the number comes from."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import losses
from uncrumple.explain.tracing.arithmetic import Line, full
from uncrumple.explain.tracing.words import joined, less, number, sum_of
from uncrumple.training.compiled import by_output, targets_by_output


def passed(model: Any, batch: Any) -> tuple[Any, torch.Tensor]:
    """Return what a model predicts for a batch, and the loss: the forward pass of `train_step`."""
    x, y, sample_weight = batch
    y_pred = model(x)
    return y_pred, model.compute_loss(x, y, y_pred, sample_weight)


def loss_of_samples(model: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor | None:
    """Return the loss of each sample, with its weights; None where the loss does not have one per sample.

    Args:
        model: A compiled model whose loss has been computed once.
        y, y_pred, sample_weight: Targets, predictions and weights of a batch.
    """
    compiled = model._compile_loss
    if compiled is None:
        return None
    names = compiled._names
    targets, predictions = targets_by_output(y, names, compiled._given), by_output(y_pred, names)
    weights = by_output(sample_weight, names)
    weights = weights * len(names) if len(weights) == 1 else weights
    total: torch.Tensor | None = None
    for index, loss, share, _ in compiled._terms:
        if not isinstance(loss, losses.Loss):
            return None
        values = _of_numbers(loss, targets[index], predictions[index], weights[index])
        count = predictions[index].shape[0]
        if values is None or values.dim() == 0 or values.shape[0] != count:
            return None
        values = values.reshape(count, -1).mean(1) * (1.0 if share is None else share)
        total = values if total is None else total + values
    return total


def _of_numbers(loss: Any, y_true: Any, y_pred: Any, weight: Any) -> torch.Tensor | None:
    """Return what a loss computes before it makes one number of a batch."""
    reduction = loss.reduction
    if reduction not in ("sum_over_batch_size", "mean", "none", None):
        return None
    loss.reduction = None
    try:
        return losses.Loss.__call__(loss, y_true, y_pred, weight)
    finally:
        loss.reduction = reduction


def cost_line(model: Any, y: Any, y_pred: Any, sample: int, value: float) -> Line:
    """Return the line for the loss of one sample; with its formula, where it is one of the usual ones."""
    compiled = model._compile_loss
    name = f"loss of sample {sample}"
    plain = Line(name, _called(compiled), number(value), value)
    if compiled is None or compiled._only is None or not isinstance(y, torch.Tensor) or y_pred.dim() > 2:
        return plain
    loss, row, true = compiled._only, full(y_pred[sample]).reshape(-1), full(y[sample]).reshape(-1)
    line = _formula(loss, row, true, name)
    right = line is not None and abs(line.value - value) <= 1e-4 * max(abs(value), 1e-3)
    return line if right and line is not None else plain


def _formula(loss: Any, row: torch.Tensor, true: torch.Tensor, name: str) -> Line | None:
    sparse = isinstance(loss, losses.SparseCategoricalCrossentropy)
    if sparse or isinstance(loss, losses.CategoricalCrossentropy):
        if len(true) != (1 if sparse else len(row)) or (not sparse and int((true == 1).sum()) != 1):
            return None
        label = int(true[0]) if sparse else int(true.argmax())
        shares = torch.softmax(row, 0) if loss.from_logits else row / row.sum()
        what = f"softmax(prediction)[{label}]" if loss.from_logits else f"prediction[{label}]"
        value = -float(torch.log(shares[label].clamp(min=1e-7)))
        return Line(name, f"-log({what}), since {label} is right", f"-log({number(float(shares[label]))})", value)
    if len(true) != len(row):
        return None
    if isinstance(loss, losses.BinaryCrossentropy) and len(row) == 1 and float(true[0]) in (0.0, 1.0):
        share = float(torch.sigmoid(row[0]) if loss.from_logits else row[0].clamp(1e-7, 1 - 1e-7))
        right = share if float(true[0]) else 1 - share
        what = "prediction" if float(true[0]) else "1 - prediction"
        shown = number(share) if float(true[0]) else f"1 - {number(share)}"
        value = -float(torch.log(torch.tensor(right, dtype=torch.float64)))
        return Line(name, f"-log({what}), since {int(true[0])} is right", f"-log({shown})", value)
    for kind, word, made in (
        (losses.MeanSquaredError, "squared", (true - row).square()),
        (losses.MeanAbsoluteError, "without its sign", (true - row).abs()),
    ):
        if isinstance(loss, kind):
            if len(row) == 1:
                difference = less(float(true[0]), float(row[0]))
                shown = f"({difference})^2" if word == "squared" else f"|{difference}|"
                return Line(name, f"(target - prediction) {word}", shown, float(made.mean()))
            shown = f"({sum_of(made.numpy())}) / {len(row)}"
            if len(row) <= 4:
                ends = "()" if word == "squared" else "||"
                each = [f"{ends[0]}{less(float(t), float(p))}{ends[1]}" for t, p in zip(true, row)]
                shown = f"({joined([one + '^2' * (word == 'squared') for one in each])}) / {len(row)}"
            return Line(name, f"the mean of (target - prediction) {word}", shown, float(made.mean()))
    return None


def _called(compiled: Any) -> str:
    """Return what the losses of a model are called."""
    if compiled is None:
        return "what the layers add to the loss"
    return " + ".join(dict.fromkeys(str(getattr(term[1], "name", "loss")) for term in compiled._terms))
