"""Asking a network for its scores, with gradients, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple import activations
from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.core.text import Text
from uncrumple.explain.rows import ROWS, batches, rows_at, rows_in
from uncrumple.layers.base import Layer

_HEADS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid", "LogSigmoid": "sigmoid"}


class Network:
    """A model as a function from inputs to one score for each class, before softmax or sigmoid.

    Gradients of probabilities vanish where a network is sure; those of the
    scores that they are made of do not. What the model ends in is found by
    running a few rows.

    Args:
        model: An uncrumple model, or a torch module. It runs within `answering`.
        inputs: A few rows, as tensors.

    Attributes:
        head: `"softmax"`, `"sigmoid"`, `"logits"` (the loss takes them), or `"linear"`.
        columns: How many outputs there are.
    """

    def __init__(self, model: Any, inputs: Any) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(
                explain(
                    f"Got a {type(model).__name__} as model.",
                    "Expected an uncrumple model, or a torch.nn.Module.",
                    "uc.explain.attribute(model, x)",
                )
            )
        self.model = model
        weight = next(model.parameters(), None)
        self.device = torch.device("cpu") if weight is None else weight.device
        self._last: Any = None
        few = rows_at(inputs, slice(0, 2))
        seen: list[tuple[Any, Any]] = []
        hooks = [part.register_forward_hook(lambda one, _, out: seen.append((one, out))) for part in model.modules()]
        try:
            with torch.no_grad():
                out = self.run(few)
        finally:
            for hook in hooks:
                hook.remove()
        self.head = "linear"
        for part, made in seen:  # the innermost comes first
            if made is out and self._is_head(part):
                break
        if self.head == "linear" and _takes_logits(model):
            self.head = "logits"
        self.columns = int(out.shape[-1]) if out.ndim > 1 else 1
        self.in_steps = out.ndim == 3

    def _is_head(self, part: Any) -> bool:
        for name in ("softmax", "sigmoid"):
            if getattr(part, "activation", None) is getattr(activations, name):
                self._last, self.head = part, name
                return True
        if type(part).__name__ in _HEADS:
            self._last, self.head = part, _HEADS[type(part).__name__]
            return True
        return False

    @property
    def is_classifier(self) -> bool:
        """Whether the outputs are classes: as the last activation or the loss says, or there are several."""
        return self.head != "linear" or self.columns > 1

    def run(self, inputs: Any) -> torch.Tensor:
        """Return the outputs as they are."""
        inputs = tree.map_structure(self._at_home, inputs)
        if isinstance(self.model, Layer):
            out = self.model(inputs, training=False)
        elif isinstance(inputs, dict):
            out = self.model(**inputs)
        else:
            out = self.model(*inputs) if isinstance(inputs, (list, tuple)) else self.model(inputs)
        if not isinstance(out, torch.Tensor):
            raise ValueError(
                explain(
                    f"The model gives a {type(out).__name__} of {len(tree.flatten(out))} outputs.",
                    "Expected one output, which is to be explained.",
                    "Model(model.inputs, model.outputs[0])",
                )
            )
        return out

    def _at_home(self, leaf: Any) -> Any:
        return leaf if isinstance(leaf, Text) or not isinstance(leaf, torch.Tensor) else leaf.to(self.device)

    def scores(self, inputs: Any, put: tuple[Any, torch.Tensor] | None = None, tap: Any = None) -> Any:
        """Return the scores before softmax or sigmoid, of shape (rows, columns).

        Args:
            inputs: Rows, as tensors.
            put: (layer, tensor): the layer gives this tensor in place of its own output.
            tap: A layer whose output is returned, too: (scores, output).
        """
        caught: list[torch.Tensor] = []
        tapped: list[torch.Tensor] = []
        hooks: list[Any] = []
        swapped = False
        if self._last is not None:
            swapped = hasattr(self._last, "activation")
            if not swapped:
                hooks.append(self._last.register_forward_pre_hook(lambda _, args: caught.append(args[0])))
        if put is not None:
            hooks.append(put[0].register_forward_hook(_putting(put[1])))
        if tap is not None:
            hooks.append(tap.register_forward_hook(lambda _, __, out: tapped.append(out)))
        before = self._last.activation if swapped else None
        try:
            if swapped:
                self._last.activation = activations.linear
            out = self.run(inputs)
        finally:
            if swapped:
                self._last.activation = before
            for hook in hooks:
                hook.remove()
        out = caught[-1] if caught else out
        if self.in_steps:
            out = out[:, -1]
        out = out.reshape(len(out), -1).float()
        return out if tap is None else (out, tapped[-1])

    def answers(self, inputs: Any, size: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
        """Return scores (rows, columns) and what becomes of them: probabilities, or the outputs themselves."""
        parts = []
        with torch.no_grad():
            for rows in batches(rows_in(inputs), size):
                parts.append(self.scores(rows_at(inputs, rows)))
        scores = torch.cat(parts)
        return scores.cpu().numpy(), self.shares(scores).cpu().numpy()

    def shares(self, scores: torch.Tensor) -> torch.Tensor:
        """Return probabilities for scores where the outputs are some, else the scores."""
        if self.head == "sigmoid" or (self.head == "logits" and self.columns == 1):
            return torch.sigmoid(scores)
        return torch.softmax(scores, dim=-1) if self.head in ("softmax", "logits") else scores

    def targets(self, scores: np.ndarray, target: Any = None) -> np.ndarray:
        """Return for each row which answer is explained: what was asked for, or what the network answers."""
        single = self.columns == 1
        if target is None:
            if single:
                return (scores[:, 0] > 0).astype(np.int64) if self.is_classifier else np.zeros(len(scores), np.int64)
            return scores.argmax(axis=1)
        made = np.broadcast_to(np.asarray(target).reshape(-1), (len(scores),)) if np.size(target) == 1 else target
        made = np.asarray(made)
        most = 2 if single and self.is_classifier else self.columns
        if made.dtype.kind not in "iu" or made.shape != (len(scores),) or made.min() < 0 or made.max() >= most:
            raise ValueError(
                explain(
                    f"attribute got target={target!r} for {len(scores)} rows.",
                    f"Expected a whole number from 0 to {most - 1}, or one for each row.",
                    "target=None, for what the network answers",
                )
            )
        return made.astype(np.int64)

    def chosen(self, scores: torch.Tensor, targets: Any) -> torch.Tensor:
        """Return the score of each row's target; of a single sigmoid, the first class has the negative score."""
        places = torch.as_tensor(np.asarray(targets), device=scores.device)
        if scores.shape[1] == 1:
            sign = 2.0 * places - 1.0 if self.is_classifier else torch.ones_like(scores[:, 0])
            return scores[:, 0] * sign
        return scores.gather(1, places[:, None])[:, 0]


def _putting(tensor: torch.Tensor) -> Callable[..., Any]:
    def put(_: Any, __: Any, out: Any) -> Any:
        if not isinstance(out, torch.Tensor) or out.ndim != tensor.ndim or len(out) != len(tensor):
            return None
        made = tensor.to(out.dtype)
        if made.shape != out.shape:  # texts are read as rows as long as the longest among them
            made = made[:, : out.shape[1]]
        for name in ("_keras_mask", "_used_mask"):
            if hasattr(out, name):
                if made is tensor:
                    made = tensor.view_as(tensor)  # the mask is of this call, not of the tensor that was given
                setattr(made, name, getattr(out, name))
        return made

    return put


def _takes_logits(model: Any) -> bool:
    loss: Any = getattr(model, "loss", None)
    for one in loss if isinstance(loss, (list, tuple)) else [loss]:
        config = one.get_config() if hasattr(one, "get_config") else {}
        if config.get("from_logits") or getattr(one, "from_logits", False):
            return True
    return False
