"""The place that masks take in the order of a model's layers.

Keras computes the mask of a symbolic tensor by operations that are steps of
the model: `Embedding(mask_zero=True)` compares its input with zero, and an
LSTM behind it depends on the result. Layers are ordered by their distance
from the outputs, and weights, in lists and in files, by the order of layers.
Here masks need no steps. So that both order layers alike, the steps that they
would take are counted.
"""

from __future__ import annotations

from typing import Any

from uncrumple.core import tree
from uncrumple.layers.attention import AdditiveAttention, Attention
from uncrumple.layers.base import Layer
from uncrumple.layers.embedding import Embedding
from uncrumple.layers.global_pooling import GlobalAveragePooling1D
from uncrumple.layers.masking import Masking
from uncrumple.layers.merging import Concatenate, Dot, Merge
from uncrumple.layers.operation import Operation
from uncrumple.layers.recurrent import RNN, Bidirectional
from uncrumple.layers.symbolic import Node, SymbolicTensor, find, made_by


class MaskStep:
    """One operation of Keras's on masks: it stands between calls, and is itself never called."""

    __slots__ = ("layer", "outputs", "parents")
    is_input = False

    def __init__(self, *parents: Any) -> None:
        self.parents = parents
        self.layer = self
        self.outputs: tuple[Any, ...] = ()


def steps_of_masks(nodes: list[Node]) -> dict[Node, list[Any]]:
    """Return, for each call that is given masks, the steps that made them.

    Args:
        nodes: All calls of a model, each behind those that it depends on.
    """
    masks: dict[int, Any] = {}  # of tensors, by id
    given: dict[Node, list[Any]] = {}
    for node in nodes:
        first = node.args[0] if node.args else None
        before = tree.map_structure(lambda leaf: masks.get(id(leaf)), first)
        if _takes_masks_of_first(node):
            given[node] = [one for one in tree.flatten(before) if one is not None]
        out = tree.flatten(_mask_behind(node.layer, first, before))
        for tensor, one in zip(node.outputs, out * len(node.outputs) if len(out) == 1 else out):
            if one is not None:
                masks[id(tensor)] = one
    return {node: found for node, found in given.items() if found}


def _takes_masks_of_first(node: Node) -> bool:
    layer = node.layer
    if not layer._takes_mask or isinstance(layer, (Operation, Attention, AdditiveAttention)):
        return False
    alone = not find(node.args[1:], node.kwargs)
    return alone and node.kwargs.get("mask") is None


def _mask_behind(layer: Any, inputs: Any, before: Any) -> Any:
    """Return the steps that lead to the masks of what `layer` returns."""
    if isinstance(layer, Embedding):
        return MaskStep(made_by(inputs)) if layer.mask_zero else None
    if isinstance(layer, Masking):
        return MaskStep(MaskStep(made_by(inputs)))
    if hasattr(layer, "_graph"):  # a model: in Keras its symbolic output has no mask
        return None
    if isinstance(layer, (Operation, Dot, GlobalAveragePooling1D)) or not layer.supports_masking:
        return None
    if isinstance(layer, Concatenate):
        return _joined(inputs, before)
    if isinstance(layer, (Attention, AdditiveAttention)):
        return None if before[0] is None else MaskStep(before[0])
    if isinstance(layer, Merge):
        return _either(before)
    if isinstance(layer, (RNN, Bidirectional)) or type(layer).compute_mask is Layer.compute_mask:
        return layer.compute_mask(inputs, before) if any(one is not None for one in tree.flatten(before)) else None
    return None


def _joined(inputs: Any, before: Any) -> Any:
    if all(one is None for one in before):
        return None
    parts = []
    for tensor, one in zip(inputs, before):
        if one is None:
            parts.append(MaskStep(made_by(tensor)))
        elif isinstance(tensor, SymbolicTensor) and len(tensor.shape) > 2:
            parts.append(MaskStep(MaskStep(one), MaskStep(made_by(tensor))))
        else:
            parts.append(one)
    return MaskStep(MaskStep(*parts))


def _either(before: Any) -> Any:
    if any(one is None for one in before):
        return None
    found = before[0]
    for one in before[1:]:
        found = MaskStep(found, one)
    return found
