"""One look at a model: a batch run forward and back, with what each layer gave and got.

A look changes nothing: the model runs in its mode for evaluation, gradients are returned instead of kept with the
weights, and the random state and the sums of metrics are put back.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.quick_torch import without_compiler
from uncrumple.layers.modes import told
from uncrumple.training.compiled import by_output, targets_by_output
from uncrumple.training.diagnosis.watched import activation_of, is_embedding, own_weights, watched_parts


@dataclass
class Seen:
    """One layer in one run.

    Attributes:
        label: Class and name of the layer.
        part: The layer, or the module of torch.
        inputs: The tensors that it got.
        output: The first tensor that it gave.
        activation: Name of its activation, or None.
    """

    label: str
    part: Any
    inputs: list[torch.Tensor]
    output: torch.Tensor
    activation: str | None


@dataclass
class Look:
    """What one batch showed.

    Attributes:
        x, y, sample_weight: The batch.
        layers: The layers in the order in which they ran.
        outputs: What the model gave.
        loss: The whole loss.
        data_loss: The loss without regularizers, `add_loss` and weights of samples; None without targets.
        gradients: The gradient of each trained weight by its id; None where none reaches it.
    """

    x: Any
    y: Any
    sample_weight: Any
    layers: list[Seen]
    outputs: Any
    loss: float = math.nan
    data_loss: float | None = None
    gradients: dict[int, torch.Tensor | None] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def weighted(self) -> list[Seen]:
        """The layers with trained kernels, embeddings left out: an embedding's gradient is mostly zeros."""
        return [one for one in self.layers if own_weights(one.part) and not is_embedding(one.part)]

    def gradient_size(self, part: Any) -> float | None:
        """Return the root mean square of the gradient of a part's kernels; None if no gradient is known."""
        found = [self.gradients.get(id(weight)) for weight in own_weights(part)]
        known = [one for one in found if one is not None]
        if not found or not self.gradients:
            return None
        if not known:
            return 0.0
        squares = sum(float(one.float().square().sum()) for one in known)
        return math.sqrt(squares / sum(one.numel() for one in known))


def take_look(
    model: Any, x: Any, y: Any, sample_weight: Any = None, *, gradients: bool = True, untrained: bool = False
) -> Look:
    """Run a batch forward and, if wished, back, and return what was seen.

    Args:
        model: A compiled and built model.
        x, y, sample_weight: A batch of tensors.
        gradients: Whether to compute the gradients as well.
        untrained: Whether batch normalization goes by this batch: before training its averages know nothing.
    """
    layers: list[Seen] = []
    taken: set[str] = set()

    def keep(label: str) -> Any:
        def hook(part: Any, arguments: Any, output: Any) -> None:
            given = _tensors(output)
            if label not in taken and given:
                taken.add(label)
                layers.append(Seen(label, part, _tensors(arguments), given[0], activation_of(part)))

        return hook

    handles = []
    try:
        for label, part in watched_parts(model).items():
            handles.append(part.register_forward_hook(keep(label)))
        with as_it_is(model, untrained), torch.set_grad_enabled(gradients), without_compiler():
            outputs = model(x)
            look = Look(x, y, sample_weight, layers, outputs)
            if y is None and model._compile_loss is not None:
                return look
            loss = model.compute_loss(x, y, outputs, sample_weight, **model._when_testing)
            look.loss = float(loss.detach())
            look.data_loss = look.loss
            if model._compile_loss is not None and (sample_weight is not None or model._extra_losses()):
                with torch.no_grad():
                    look.data_loss = float(model._compile_loss(y, outputs))
            weights = [weight for weight in model.parameters() if weight.requires_grad]
            if gradients and weights and loss.requires_grad:
                found = torch.autograd.grad(loss, weights, allow_unused=True)
                look.gradients = {id(weight): gradient for weight, gradient in zip(weights, found)}
    finally:
        for handle in handles:
            handle.remove()
    return look


def _tensors(structure: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, torch.Tensor)]


@contextlib.contextmanager
def as_it_is(model: Any, untrained: bool = False) -> Iterator[None]:
    """Within this block the model evaluates; afterwards its mode, random state and sums of metrics are as before.

    Args:
        model: The model.
        untrained: Whether batch normalization goes by the batch, as in training.
    """
    modes = [(module, module.training) for module in model.modules()]
    normalizing = [module for module, _ in modes if "BatchNorm" in type(module).__name__] if untrained else []
    averages = [
        (one, one.detach().clone())
        for module in normalizing
        for one in (*module.parameters(), *module.buffers())
        if not one.requires_grad
    ]
    others = (model._loss_tracker, model._compile_metrics)  # nothing here adds to them
    sums = [
        (metric, metric.__dict__.get("_counted"), [(weight, weight.detach().clone()) for weight in metric._variables])
        for metric in model.metrics
        if not any(metric is other for other in others)
    ]
    random_state = torch.get_rng_state()
    model.train(False)
    for module in normalizing:
        module.train(True)
    try:
        with told(model):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for one, value in averages:
                one.copy_(value)
            for metric, counted, states in sums:
                for weight, value in states:
                    weight.copy_(value)
                if counted is not None:
                    metric.__dict__["_counted"] = counted
        torch.set_rng_state(random_state)


def terms_of(model: Any, y: Any, outputs: Any) -> list[tuple[int, Any, torch.Tensor, torch.Tensor, float]]:
    """Return (number of the output, loss, targets, output, weight) for each part of the compiled loss."""
    compiled = model._compile_loss
    if compiled is None or y is None or not compiled.built:
        return []
    targets = targets_by_output(y, compiled._names, compiled._given)
    predictions = by_output(outputs, compiled._names)
    return [
        (index, loss, targets[index], predictions[index], 1.0 if weight is None else float(weight))
        for index, loss, weight, _ in compiled._terms
        if isinstance(targets[index], torch.Tensor) and isinstance(predictions[index], torch.Tensor)
    ]


def kind_of(loss: Any) -> str | None:
    """Return the name of the measure behind a loss, for those of this package."""
    function = getattr(loss, "fn", None)
    known = getattr(function, "__module__", "").startswith("uncrumple.")
    return getattr(function, "__name__", None) if known else None


def few(structure: Any, rows: int) -> Any:
    """Return the first rows of each tensor in a structure."""
    return tree.map_structure(lambda leaf: None if leaf is None else leaf[:rows], structure)


def probe_of(batches: Any, rows: int, *, distinct: bool = False) -> Any:
    """Return one batch of `rows` samples from everywhere in the data: arrays are often sorted by their answers.

    Args:
        batches: What the batches of an epoch are drawn from.
        rows: How many samples, at most.
        distinct: Whether samples with equal inputs are left out but for the first.
    """
    if type(batches).__name__ == "ArrayBatches":
        wanted = min(4 * rows if distinct else rows, batches.samples)
        # Not evenly: classes that take turns in the rows would be missed.
        source = torch.Generator().manual_seed(0)
        drawn = torch.randperm(batches.samples, generator=source, device="cpu")[:wanted].sort().values
        batch = batches._pack([leaf[drawn.to(leaf.device)] for leaf in batches._leaves])
    else:
        batch = batches.first()
    if distinct:
        batch = _without_repeats(batch)
    return few(batch, rows)


def _without_repeats(batch: Any) -> Any:
    leaves = [leaf for leaf in tree.flatten(batch[0]) if isinstance(leaf, torch.Tensor)]
    seen: set[bytes] = set()
    kept = []
    for row in range(len(leaves[0])):
        key = b"".join(leaf[row].detach().cpu().contiguous().view(-1).numpy().tobytes() for leaf in leaves)
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return tree.map_structure(lambda leaf: None if leaf is None else leaf[torch.tensor(kept)], batch)
