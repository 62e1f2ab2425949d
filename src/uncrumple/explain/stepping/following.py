"""One entry of a weight, from the loss through the chain rule to its new value."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from uncrumple.explain.keeping import same_start
from uncrumple.explain.stepping.chain import Chain, chain_to, factors_of, weight_derivative
from uncrumple.explain.stepping.costs import loss_of_samples, passed
from uncrumple.explain.stepping.result import FollowedWeight
from uncrumple.explain.stepping.updates import Before, update_lines
from uncrumple.explain.stepping.witness import witness
from uncrumple.explain.tracing.arithmetic import Line, full
from uncrumple.explain.tracing.watch import Call
from uncrumple.explain.tracing.words import place, sum_of_products

# Sums that are told apart by samples or layers must give autograd's gradient to this share of their addends.
_AGREES = 1e-3
# What rounding leaves of a gradient that is zero, such as that of a bias before batch normalization.
_NOTHING = 1e-7
# Seconds.
_LONGEST = 20.0


class Following:
    """What is found out about one entry of a weight before the optimizer moves it.

    Args:
        model: The model.
        batch: (x, y, sample_weight).
        calls: The calls of its parts, with the gradients of their outputs.
        named: Its trained weights by name.
        gradients: Their gradients.
        entry: (name, index); None for the first weight with a gradient, and for the index None for the entry whose
            gradient is greatest.
        sample: The sample whose way through the chain rule is shown; None for the one that adds most.
    """

    def __init__(
        self, model: Any, batch: Any, calls: list[Call], named: Any, gradients: Any, entry: Any, sample: int | None
    ) -> None:
        self.model, self.batch, self.calls, self.wanted, self.sample = model, batch, calls, sample, sample or 0
        name, index = entry or (next((one for one in named if gradients[one] is not None), next(iter(named))), None)
        self.name, self.weight, self.gradient = name, named[name], gradients[name]
        if index is None:
            values = self.weight.detach() if self.gradient is None else self.gradient
            index = tuple(int(one) for one in np.unravel_index(int(values.abs().argmax()), tuple(values.shape)))
        self.index: tuple[int, ...] = index
        self.shown = place(index, name)
        self.old = float(self.weight.detach()[index])
        self.slope = 0.0 if self.gradient is None else float(self.gradient[index])

    def look(self) -> int:
        """Find out what each sample adds, the way through the layers, and the slope by finite differences.

        Returns:
            The sample that is followed.
        """
        self.parts = self._by_samples()
        if self.wanted is None and self.parts:
            self.sample = max(range(len(self.parts)), key=lambda one: abs(self.parts[one]))
        self.last, self.chain = self._last_line()
        self.witness = witness(
            self.model, lambda batch: passed(self.model, batch)[1], self.batch, self.weight, self.index
        )
        return self.sample

    def _by_samples(self) -> list[float]:
        """Return what each sample adds to the gradient; nothing where that cannot be told."""
        _, y, sample_weight = self.batch
        with same_start(self.model):
            y_pred, _ = passed(self.model, self.batch)
            each = loss_of_samples(self.model, y, y_pred, sample_weight)
        if each is None or not each.requires_grad:
            return []
        parts = []
        begun = time.perf_counter()
        for number in range(len(each)):
            if number == 1 and (time.perf_counter() - begun) * len(each) > _LONGEST:
                return []  # of a large network, a way back for each sample is too long to wait for
            try:
                (found,) = torch.autograd.grad(
                    each[number] / len(each), self.weight, retain_graph=True, allow_unused=True
                )
            except RuntimeError:
                return []
            parts.append(0.0 if found is None else float(found[self.index]))
        return parts if self._agrees(sum(parts), sum(map(abs, parts))) else []

    def _agrees(self, total: float, size: float) -> bool:
        return abs(total - self.slope) <= max(_AGREES * max(size, abs(self.slope)), _NOTHING)

    def _last_line(self) -> tuple[Line | None, Chain | None]:
        """Return the line in which the gradient of a layer's output becomes that of the entry, and the way to there."""
        readers = [
            call
            for call in self.calls
            if not call.opened and any(self.weight is one for one in call.layer.parameters())
        ]
        if len(readers) != 1 or not readers[0].outputs or readers[0].outputs[0].grad is None:
            return None, None
        call, output = readers[0], readers[0].outputs[0]
        slope = weight_derivative(call, self.weight, self.index)
        if slope is None or slope.shape != output.shape:
            return None, None
        gradient, slopes = full(output.grad), full(slope)
        products = gradient * slopes
        if not self._agrees(float(products.sum()), float(products.abs().sum())):
            return None, None
        mine = products[self.sample]
        row, kept = mine.flatten(), slopes[self.sample].flatten().nonzero().flatten()
        if not len(kept):
            kept = torch.zeros(1, dtype=torch.long)
        best = int(kept[int(row[kept].abs().argmax())])
        at = (self.sample, *(int(one) for one in np.unravel_index(best, tuple(mine.shape))))
        numbers, total, size = sum_of_products(
            gradient[self.sample].flatten()[kept].numpy(), slopes[self.sample].flatten()[kept].numpy()
        )
        where = place(at, call.name) if len(kept) == 1 else f"{call.name}[{self.sample}, ...]"
        name = f"sample {self.sample} adds"
        line = Line(name, f"(d loss / d {where}) x (d {where} / d {self.shown})", numbers, total, size)
        if len(kept) > 1:
            line.formula += f", added up over the {len(kept):,} outputs that the entry reaches"
        chain = chain_to(self.calls, call, at)
        if chain is not None and chain.path:
            chain.path += factors_of(call, at, self.shown, float(slopes[at]))
        return line, chain

    def finished(self, before: Before, used: Any, new: Any) -> FollowedWeight:
        """Return what was found out, with the update.

        Args:
            before: What the optimizer had before its step.
            used: The gradients that it used, by the names of the weights.
            new: The weights after the step.
        """
        value = float(new[self.name][self.index])
        gradient = float(used[self.name][self.index]) if self.name in used else 0.0
        lines = update_lines(before, self.weight, self.old, self.slope, gradient, value, self.index)
        return FollowedWeight(
            name=self.shown,
            value=self.old,
            gradient=self.slope,
            new_value=value,
            links=[] if self.chain is None else self.chain.links,
            path=[] if self.chain is None else self.chain.path,
            parts=self.parts,
            sample=self.sample,
            last=self.last,
            update=lines,
            witness=self.witness,
        )
