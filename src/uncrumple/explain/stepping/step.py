"""`model.step_through(x, y)`: what one step of `fit` does, with its numbers, and without doing it."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.arguments import takes_no_other, unknown_of
from uncrumple.core.errors import explain
from uncrumple.explain.keeping import same_start, untouched
from uncrumple.explain.stepping.costs import cost_line, loss_of_samples, passed
from uncrumple.explain.stepping.following import Following
from uncrumple.explain.stepping.naming import chosen_weight, weights_by_name
from uncrumple.explain.stepping.result import Step, SteppedLayer, SteppedWeight
from uncrumple.explain.stepping.updates import before_step, used_gradients
from uncrumple.explain.tracing.trace import check_whole, kind_of
from uncrumple.explain.tracing.watch import Call, batch_for, build, by_hand, watched
from uncrumple.models.model import Model
from uncrumple.training.loop import Steps

_ROWS = 32


@takes_no_other
def step_through(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    weight: str | None = None,
    sample_weight: Any = None,
    sample: int | None = None,
    **unknown: Any,
) -> Step:
    """Walk through one step of `fit` and show its numbers: prediction, cost, chain rule, update.

    The gradients are those of autograd, and the update is that of the model's own optimizer; then all is put back:
    weights, optimizer and random state are what they were. One entry of a weight is followed from the loss to its
    new value, with a witness: the slope of the loss when only this entry is moved.

    Args:
        model: A compiled model.
        x, y: Samples and targets, as for `fit`; the first 32 are used, as one batch.
        weight: Which entry of which weight to follow, such as `"dense_1/kernel[3, 0]"`; without an index the entry
            with the greatest gradient, and by default that of the first trained weight.
        sample_weight: One weight per sample.
        sample: Which sample's prediction, loss and way through the chain rule are shown; by default the one that adds
            most to the gradient of the entry.

    Returns:
        A `Step`: `str()` of it is the text, `step["dense"]` one layer, `step["dense/kernel"]` one weight,
        `to_dict()` the numbers.

    Raises:
        ValueError: The model is not compiled, the data does not fit, or there is no such weight, entry or sample.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> from uncrumple.optimizers import SGD
        >>> model = Sequential([Input((1,)), Dense(1, kernel_initializer="ones", name="line")])
        >>> model.compile(SGD(0.1), "mse")
        >>> step = step_through(model, torch.tensor([[2.0]]), torch.tensor([[5.0]]), weight="line/kernel[0, 0]")
        >>> step.loss, step.followed.gradient, round(step.followed.new_value, 4)
        (9.0, -12.0, 2.2)
    """
    if unknown:
        raise unknown_of(step_through, unknown)
    if not isinstance(model, Model):
        raise TypeError(
            explain(
                f"step_through got {type(model).__name__} as its model.",
                "Expected a compiled model of this package; a module of torch becomes one as a layer.",
                "Sequential([Input(shape), from_torch(module)]), then compile(...)",
            )
        )
    model._require_compiled("step_through")
    (inputs, targets, weights), batches = batch_for("step_through", model, x, y, sample_weight, rows=_ROWS)
    build(model, inputs)
    with untouched(model), by_hand(model), torch.enable_grad():
        model._prepare(batches, learn=True, again=False)
        model.train(True)
        return _walked(model, (inputs, targets, weights), weight, sample, _notes(model, batches, inputs))


def _notes(model: Any, batches: Any, inputs: Any) -> list[str]:
    notes = []
    total = getattr(batches, "samples", None)
    if total and total > _ROWS:
        notes.append(f"The first {_ROWS} of {total:,} samples are the batch.")
    if type(model).train_step is not Steps.train_step:
        notes.append(f"{type(model).__name__} has a train_step of its own; shown is the usual step.")
    return notes


def _walked(model: Any, batch: Any, wanted: str | None, sample: int | None, notes: list[str]) -> Step:
    _, y, sample_weight = batch
    named = weights_by_name(model)
    entry = None if wanted is None else chosen_weight(wanted, named)
    with same_start(model):
        calls, (y_pred, loss) = watched(model, lambda: passed(model, batch), keep_gradients=True)
        if not loss.requires_grad:
            raise _no_gradient(model)
        first = y_pred if isinstance(y_pred, torch.Tensor) else calls[-1].outputs[0]
        samples = first.shape[0]
        if sample is not None:
            check_whole("sample", sample, -samples, samples, "rows", "sample=0", who="step_through")
            sample %= samples
        each = loss_of_samples(model, y, y_pred, sample_weight)
        parts = None if each is None else [float(one) for one in each.detach()]
        for weight in named.values():
            weight.grad = None
        scaled = model.optimizer.scale_loss(loss) if model._scales_loss else loss
        scale = float((scaled / loss).detach()) if model._scales_loss and float(loss.detach()) else 1.0
        scaled.backward()
    gradients = {name: None if one.grad is None else one.grad.detach() / scale for name, one in named.items()}
    for call in calls:
        for tensor in call.outputs:
            if tensor.requires_grad and tensor.grad is not None and scale != 1.0:
                tensor.grad = tensor.grad / scale
    old = {name: one.detach().clone() for name, one in named.items()}
    following = Following(model, batch, calls, named, gradients, entry, sample)
    sample = following.look()
    before = before_step(model.optimizer)
    model.optimizer.step()
    new = {name: one.detach().clone() for name, one in named.items()}
    with torch.no_grad(), same_start(model):
        loss_after = float(passed(model, batch)[1])
    trained = [name for name, gradient in gradients.items() if gradient is not None]
    used = dict(zip(trained, used_gradients(before, [gradients[name] for name in trained])))  # type: ignore[misc]
    if any(not bool(torch.isfinite(one).all()) for one in gradients.values() if one is not None):
        skipped = f": scaled by {scale:,.0f} they do not fit its type, and the optimizer leaves the step out"
        notes = [*notes, f"Gradients are NaN or infinite{skipped if model._scales_loss else ''}."]
    total = float(loss.detach())
    mean = None if parts is None else sum(parts) / len(parts)
    added = 0.0 if mean is None or abs(total - mean) <= 1e-5 * max(abs(total), 1e-3) else total - mean
    return Step(
        model=model.name,
        samples=samples,
        predictions=first.detach().float().cpu(),
        loss=total,
        sample_losses=parts,
        added=added,
        cost=None if parts is None else cost_line(model, y, first, sample, parts[sample]),
        layers=_layers(calls, named, old, gradients, new),
        optimizer=type(before.optimizer).__name__,
        learning_rate=before.rate,
        followed=following.finished(before, used, new),
        loss_after=loss_after,
        sample=sample,
        notes=notes,
    )


def _no_gradient(model: Any) -> ValueError:
    return ValueError(
        explain(
            f"Model '{model.name}': its loss depends on no weight that is trained.",
            "Expected at least one trainable weight between input and loss.",
            "layer.trainable = True, then model.compile(...) again",
        )
    )


def _layers(calls: list[Call], named: Any, old: Any, gradients: Any, new: Any) -> list[SteppedLayer]:
    """Return what each layer did; weights are listed at the first call of the innermost layer that has them."""
    found, told = [], set()
    for call in calls:
        inside = [] if call.opened else list(call.layer.parameters())
        inside += [one for one in call.layer._parameters.values() if one is not None] if call.opened else []
        weights = []
        for name, weight in named.items():
            if id(weight) not in told and any(weight is one for one in inside):
                told.add(id(weight))
                gradient = gradients[name]
                weights.append(
                    SteppedWeight(name, old[name].cpu(), None if gradient is None else gradient.cpu(), new[name].cpu())
                )
        if not call.outputs:
            continue
        output = call.outputs[0]
        arrived = output.grad if output.requires_grad and not output.is_leaf else None
        found.append(
            SteppedLayer(
                call.name,
                kind_of(call.layer),
                call.level,
                output.detach().cpu(),
                None if arrived is None else arrived.detach().cpu(),
                weights,
            )
        )
    return found
