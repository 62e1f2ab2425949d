"""What a step of training did, as data and as text."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

import torch

from uncrumple.core.errors import unknown_name
from uncrumple.explain.stepping.chain import Factor, Link, product_of
from uncrumple.explain.stepping.witness import Witness
from uncrumple.explain.tracing.arithmetic import Line
from uncrumple.explain.tracing.words import counted, number, range_in_words, several, slopes_in_words, wrapped


@dataclasses.dataclass
class SteppedWeight:
    """One weight in a step.

    Attributes:
        name: The layer's name and its own: `"dense/kernel"`.
        before, gradient, after: Its value, the gradient of the loss, and its value after the step.
    """

    name: str
    before: torch.Tensor
    gradient: torch.Tensor | None
    after: torch.Tensor

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        gradient = None if self.gradient is None else self.gradient.tolist()
        return {
            "name": self.name,
            "shape": list(self.before.shape),
            "before": self.before.tolist(),
            "gradient": gradient,
            "after": self.after.tolist(),
        }


@dataclasses.dataclass
class SteppedLayer:
    """One layer in a step.

    Attributes:
        name, kind: Its name and class.
        level: How many parts it lies within.
        output: What it returned.
        gradient: The gradient of the loss with respect to that; None if the loss does not depend on it.
        weights: Its weights.
    """

    name: str
    kind: str
    level: int
    output: torch.Tensor
    gradient: torch.Tensor | None
    weights: list[SteppedWeight]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; of output and gradient, between what they lie."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.output.shape),
            "output": range_in_words(self.output)[1],
            "gradient": None if self.gradient is None else range_in_words(self.gradient)[1],
            "weights": [weight.to_dict() for weight in self.weights],
        }


@dataclasses.dataclass
class FollowedWeight:
    """One entry of a weight, followed from the loss to its new value.

    Attributes:
        name: Such as `"dense/kernel[3, 0]"`.
        value, gradient, new_value: Before the step, the gradient of the loss, and after the step.
        links: The gradient on its way from the loss to the layer's output, for the sample that is followed.
        path: The factors of the strongest way among all that lead from the loss to the entry.
        parts: What each sample adds to the gradient; empty where they cannot be told apart.
        sample: The sample that is followed.
        last: The line in which the gradient of the layer's output becomes that of the entry.
        update: The lines of the optimizer.
        witness: The same slope by finite differences.
    """

    name: str
    value: float
    gradient: float
    new_value: float
    links: list[Link]
    path: list[Factor]
    parts: list[float]
    sample: int
    last: Line | None
    update: list[Line]
    witness: Witness

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        held = {name: getattr(self, name) for name in ("name", "value", "gradient", "new_value", "parts", "sample")}
        held["links"] = [dataclasses.asdict(link) for link in self.links]
        held["path"] = [dataclasses.asdict(factor) for factor in self.path]
        held["last"] = None if self.last is None else self.last.to_dict()
        held["update"] = [line.to_dict() for line in self.update]
        held["witness"] = dataclasses.asdict(self.witness)
        return held

    def __str__(self) -> str:
        lines = [f"{self.name} = {number(self.value)}"]
        if self.links:
            lines.append(f"  the gradient on its way down, for sample {self.sample}:")
        for link in self.links:
            through = f"through {link.through}: " if link.through else ""
            lines.append(f"    {link.name} = {number(link.value)}")
            lines += [f"    {text}" for text in wrapped("  ", f"{through}{link.numbers}")]
        if self.last is not None:
            lines += [f"    {text}" for text in self.last.lines()]
        if self.path:
            _, value = product_of(self.path)
            widest = max(len(factor.name) for factor in self.path)
            lines.append("  one way of all, the strongest at each layer, as a product:")
            for count, factor in enumerate(self.path):
                lines.append(f"    {'x' if count else ' '} {factor.name.ljust(widest)}  {number(factor.value)}")
            lines.append(f"    = {' ' * widest}  {number(value)}")
        if self.parts:
            lines.append(f"  all samples: {several(self.parts)}; added up {number(sum(self.parts))}")
        lines.append(f"  gradient: d loss / d {self.name} = {number(self.gradient)}")
        lines.append(f"  witness:  the loss with the weight moved up and down: {self.witness}")
        lines.append("  update:")
        lines += [f"    {text}" for line in self.update for text in line.lines()]
        return "\n".join(lines)


class Step:
    """One forward and backward pass; `print` shows it.

    Attributes:
        model: The model's name.
        samples: How many rows the batch has.
        predictions: What the model returned for them.
        loss: The loss of the batch.
        sample: The sample that is followed.
        sample_losses: The loss of each sample; None where there is none per sample.
        cost: How the loss of that sample came about; None where there is none per sample.
        added: The part of the loss that layers and regularizers add.
        layers: What each layer did, in the order of their calls.
        optimizer, learning_rate: What moves the weights, and how far.
        followed: One entry of a weight, through the chain rule.
        loss_after: The loss of the same batch after the step.
        notes: What else is to be known, each in a sentence.
    """

    def __init__(self, **held: Any) -> None:
        self.model: str = held["model"]
        self.samples: int = held["samples"]
        self.predictions: torch.Tensor = held["predictions"]
        self.loss: float = held["loss"]
        self.sample_losses: list[float] | None = held["sample_losses"]
        self.added: float = held["added"]
        self.cost: Line | None = held["cost"]
        self.layers: list[SteppedLayer] = held["layers"]
        self.optimizer: str = held["optimizer"]
        self.learning_rate: float = held["learning_rate"]
        self.followed: FollowedWeight | None = held["followed"]
        self.loss_after: float = held["loss_after"]
        self.sample: int = held["sample"]
        self.notes: list[str] = held["notes"]

    def __getitem__(self, name: str) -> SteppedLayer | SteppedWeight:
        """Return what a layer did, or what became of a weight, by its name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = {weight.name: weight for layer in self.layers for weight in layer.weights}
        if name in known:
            return known[name]
        raise LookupError(unknown_name("layer or weight", name, [*(layer.name for layer in self.layers), *known]))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, ready for JSON."""
        return {
            "model": self.model,
            "samples": self.samples,
            "sample": self.sample,
            "predictions": self.predictions.tolist(),
            "loss": self.loss,
            "sample_losses": self.sample_losses,
            "added": self.added,
            "layers": [layer.to_dict() for layer in self.layers],
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "followed": None if self.followed is None else self.followed.to_dict(),
            "loss_after": self.loss_after,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        rate = number(self.learning_rate)
        head = (
            f"{self.model}: one step on {counted(self.samples, 'sample')} with {self.optimizer}, learning rate {rate}"
        )
        parts = [
            head,
            self._prediction(),
            self._cost(),
            self._backward(),
            self._update(),
            *self.notes,
        ]
        return "\n\n".join(parts)

    def _prediction(self) -> str:
        lines = ["1. Prediction: forward, layer by layer"]
        for layer in self.layers:
            words = f"{tuple(layer.output.shape)}: {range_in_words(layer.output)[0]}"
            lines.append(f"  {'  ' * layer.level}{layer.name} ({layer.kind}) {words}")
            lines.append(f"  {'  ' * layer.level}  sample {self.sample}: {self._of_sample(layer.output)}")
        row = self.predictions[self.sample].flatten().tolist()
        return "\n".join([*lines, f"  prediction for sample {self.sample}: {several(row)}"])

    def _of_sample(self, values: torch.Tensor) -> str:
        """Return the numbers of the sample that is followed, the first few of many."""
        has = values.dim() and len(values) > self.sample
        return several(values[self.sample].flatten().tolist(), 6) if has else "has none of its own"

    def _cost(self) -> str:
        lines = ["2. Cost: how far the prediction is from the truth"]
        if self.cost is not None:
            lines += [f"  {text}" for text in self.cost.lines()]
        if self.sample_losses is not None:
            mean = sum(self.sample_losses) / len(self.sample_losses)
            lines.append(f"  all samples: {several(self.sample_losses)}; their mean is {number(mean)}")
        if self.added:
            lines.append(f"  layers and regularizers add {number(self.added)}")
        return "\n".join([*lines, f"  loss = {number(self.loss)}"])

    def _backward(self) -> str:
        lines = ["3. Chain rule: backward, how the loss changes with each output and each weight"]
        for layer in reversed(self.layers):
            words = "the loss does not depend on it" if layer.gradient is None else slopes_in_words(layer.gradient)
            lines.append(f"  {'  ' * layer.level}{layer.name}: d loss / d output {words}")
            if layer.gradient is not None:
                lines.append(f"  {'  ' * layer.level}  sample {self.sample}: {self._of_sample(layer.gradient)}")
            for weight in layer.weights:
                shown = "none arrives" if weight.gradient is None else slopes_in_words(weight.gradient)
                lines.append(f"  {'  ' * layer.level}  d loss / d {weight.name} {tuple(weight.before.shape)}: {shown}")
        return "\n".join(lines)

    def _update(self) -> str:
        lines = ["4. Update: one weight followed"] if self.followed is not None else ["4. Update"]
        if self.followed is not None:
            lines += [f"  {text}" for text in str(self.followed).split("\n")]
        change = self.loss_after - self.loss
        way = "lower" if change < 0 else "higher"
        after = f"  loss after the step = {number(self.loss_after)}, {number(abs(change))} {way} than before"
        return "\n".join([*lines, after])

    def __repr__(self) -> str:
        return f"<Step of {self.model}: loss {number(self.loss)} -> {number(self.loss_after)}; print(...) shows it>"

    def _repr_html_(self) -> str:
        return f"<pre style='line-height: 1.3'>{html.escape(str(self))}</pre>"
