"""The calls between the inputs and the outputs of a model, as a flat list in the order they run.

The list is fixed when the model is made. `Graph.run` walks it; nothing is
looked up by name or sorted while data flows.
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import explain
from uncrumple.core.text import Text, is_text_array, is_text_list
from uncrumple.layers.base import Layer
from uncrumple.layers.input import Input, InputLayer
from uncrumple.layers.symbolic import Node, SymbolicTensor, made_by
from uncrumple.models.fusion import Link, fuse
from uncrumple.models.mask_order import MaskStep, steps_of_masks
from uncrumple.models.misfit import explain_kind, explain_shape
from uncrumple.models.steps import Slot, Step, join_steps

# Past the door of `Layer`: what it checks was checked when the model was made.
_enter = torch.nn.Module.__call__


class _Described:
    """What a copy of a graph needs to know of a symbolic tensor, to make one like it."""

    def __init__(self, tensor: SymbolicTensor) -> None:
        self._arguments = (tensor.shape, tensor.dtype, tensor._own_name, tensor._probes)

    def made(self) -> SymbolicTensor:
        return SymbolicTensor(*self._arguments)


class Graph:
    """The part of the recorded calls that leads from `inputs` to `outputs`.

    Args:
        inputs: Symbolic tensor(s) in any structure.
        outputs: Symbolic tensor(s) in any structure.
        name: Of the model, for messages.

    Attributes:
        layers: The layers, ordered as Keras orders them: by distance from the outputs.
        nodes: The calls, in an order in which they can run.

    Raises:
        ValueError: An output does not depend on the inputs, or two layers share a name.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str) -> None:
        self.inputs, self.outputs, self.name = inputs, outputs, name
        self.flat_inputs: list[SymbolicTensor] = tree.flatten(inputs)
        self.flat_outputs: list[SymbolicTensor] = tree.flatten(outputs)
        for tensor in (*self.flat_inputs, *self.flat_outputs):
            if not isinstance(tensor, SymbolicTensor):
                raise ValueError(
                    explain(
                        f"Model got {_short(tensor)} among its inputs or outputs.",
                        "Expected what Input() or a layer returned.",
                        f"call the layer: outputs = {tensor.name}(inputs)"
                        if isinstance(tensor, Layer)
                        else "inputs = Input((4,)); outputs = Dense(3)(inputs); Model(inputs, outputs)",
                    )
                )
        self.nodes, self.layers, self.depths = self._sort()
        if not all(isinstance(tensor.keras_history[0], InputLayer) for tensor in self.flat_inputs):
            self._begin_with_inputs()
        self._check_names()
        self.input_names = [tensor.keras_history[0].name for tensor in self.flat_inputs]
        self._plan()

    # --- copies ------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return the calls in a form that can be copied and pickled.

        Symbolic tensors belong to the layers that made them, so copies of the layers get tensors of their own.
        """
        numbers = {id(tensor): number for number, tensor in enumerate(self.flat_inputs)}
        calls, count = [], len(self.flat_inputs)
        for node in self.nodes:
            if all(id(tensor) in numbers for tensor in node.outputs):
                continue
            args, kwargs = (
                tree.map_structure(lambda leaf: _numbered(leaf, numbers), part) for part in (node.args, node.kwargs)
            )
            numbers.update((id(tensor), count + place) for place, tensor in enumerate(node.outputs))
            count += len(node.outputs)
            calls.append((node.layer, args, kwargs, tree.map_structure(_described, node.structure)))
        return {
            "name": self.name,
            "inputs": tree.map_structure(lambda leaf: _numbered(leaf, numbers), self.inputs),
            "outputs": tree.map_structure(lambda leaf: _numbered(leaf, numbers), self.outputs),
            "starts": [tensor.keras_history[0] for tensor in self.flat_inputs],
            "calls": calls,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        tensors: list[Any] = [layer.output for layer in state["starts"]]

        def found(structure: Any) -> Any:
            return tree.map_structure(lambda leaf: tensors[leaf.index] if isinstance(leaf, Slot) else leaf, structure)

        for layer, args, kwargs, structure in state["calls"]:
            outputs = tree.map_structure(lambda leaf: leaf.made() if isinstance(leaf, _Described) else leaf, structure)
            tensors += Node(layer, found(args), found(kwargs), outputs).outputs
        self.__init__(found(state["inputs"]), found(state["outputs"]), state["name"])  # type: ignore[misc]

    # --- order -------------------------------------------------------------------

    def _sort(self) -> tuple[list[Node], list[Any], dict[Node, int]]:
        found = self._sorted({})
        masks = steps_of_masks(found[0])
        return self._sorted(masks) if masks else found

    def _sorted(self, masks: dict[Node, list[Any]]) -> tuple[list[Node], list[Any], dict[Node, int]]:
        """Return the calls in an order in which they can run, the layers as Keras orders them, and how deep calls lie."""
        starts = {id(tensor) for tensor in self.flat_inputs}
        finished: dict[Node, None] = {}
        running: set[Node] = set()
        seen: dict[Any, int] = {}
        for output in self.flat_outputs:
            self._visit(output, starts, finished, running, seen, masks)
        depths: dict[Node, int] = {}
        layer_depths: dict[Any, int] = {}
        for node in reversed(finished):
            depth = max(depths.get(node, 0), layer_depths.get(node.layer, 0))
            depths[node] = layer_depths[node.layer] = depth
            if not any(id(tensor) in starts for tensor in node.outputs):
                for parent in (*node.parents, *masks.get(node, ())):
                    depths[parent] = max(depths.get(parent, 0), depth + 1)
        for tensor in self.flat_inputs:  # an input that nothing depends on
            node = made_by(tensor)
            if node not in depths:
                depths[node] = layer_depths[node.layer] = 0
                finished[node] = None
                seen.setdefault(node.layer, -1)
        layers = [layer for layer in layer_depths if not isinstance(layer, MaskStep)]
        layers = sorted(layers, key=lambda layer: (-layer_depths[layer], seen[layer]))
        nodes = [node for node in finished if not isinstance(node, MaskStep)]
        return nodes, layers, {node: depths[node] for node in nodes}

    def _visit(
        self, tensor: SymbolicTensor, starts: set[int], finished: Any, running: Any, seen: Any, masks: Any
    ) -> None:
        """Go from a tensor back to the inputs, depth first, without recursion (models may be deep)."""
        stack: list[tuple[Node, bool]] = [(made_by(tensor), False)]
        while stack:
            node, done = stack.pop()
            if done:
                running.discard(node)
                finished.setdefault(node, None)
                continue
            if node in finished or node in running:
                continue
            seen.setdefault(node.layer, len(seen))
            running.add(node)
            stack.append((node, True))
            is_start = any(id(output) in starts for output in node.outputs)
            if node.is_input and not is_start:
                raise ValueError(
                    explain(
                        f"Model '{self.name}': the outputs depend on the Input '{node.layer.name}', "
                        f"which is not among its inputs.",
                        f"Expected every Input that is used, and got: {', '.join(t.name for t in self.flat_inputs)}.",
                        f"Model(inputs=[{', '.join([*(t.name for t in self.flat_inputs), node.layer.name])}], outputs=...)",
                    )
                )
            if not is_start:
                stack.extend((parent, False) for parent in reversed((*node.parents, *masks.get(node, ()))))

    def _begin_with_inputs(self) -> None:
        """Put an `Input` in place of each input that a layer made, and call the layers behind it anew."""
        tensors: dict[int, Any] = {}
        for tensor in self.flat_inputs:
            is_input = isinstance(tensor.keras_history[0], InputLayer)
            tensors[id(tensor)] = (
                tensor
                if is_input
                else Input(batch_shape=tensor.shape, dtype="string" if tensor.is_text else tensor.dtype)
            )

        def found(structure: Any) -> Any:
            return tree.map_structure(lambda leaf: tensors.get(id(leaf), leaf), structure)

        for node in self.nodes:
            if not any(id(tensor) in tensors for tensor in node.outputs):
                outputs = tree.flatten(node.layer(*found(node.args), **found(node.kwargs)))
                tensors.update((id(tensor), made) for tensor, made in zip(node.outputs, outputs))
        self.inputs, self.outputs = found(self.inputs), found(self.outputs)
        self.flat_inputs, self.flat_outputs = tree.flatten(self.inputs), tree.flatten(self.outputs)
        self.nodes, self.layers, self.depths = self._sort()

    def _check_names(self) -> None:
        names: dict[str, Any] = {}
        for layer in self.layers:
            if layer.name in names:
                raise ValueError(
                    explain(
                        f"Model '{self.name}' has two layers named '{layer.name}': "
                        f"{type(names[layer.name]).__name__} and {type(layer).__name__}.",
                        "Expected a different name for each layer.",
                        f"{type(layer).__name__}(..., name='{layer.name}_2')",
                    )
                )
            names[layer.name] = layer

    # --- running -----------------------------------------------------------------

    def _plan(self) -> None:
        """Turn recorded calls into steps over numbered slots."""
        slots: dict[int, int] = {id(tensor): index for index, tensor in enumerate(self.flat_inputs)}
        count = len(slots)
        steps: list[Step] = []
        for node in self.nodes:
            if all(id(tensor) in slots for tensor in node.outputs):
                continue
            args = tree.map_structure(
                lambda leaf: Slot(slots[id(leaf)]) if isinstance(leaf, SymbolicTensor) else leaf, node.args
            )
            kwargs = tree.map_structure(
                lambda leaf: Slot(slots[id(leaf)]) if isinstance(leaf, SymbolicTensor) else leaf, node.kwargs
            )
            kwargs = {
                key: value for key, value in kwargs.items() if not (key in ("mask", "training") and value is None)
            }
            outs = []
            for tensor in node.outputs:
                slots[id(tensor)] = count
                outs.append(count)
                count += 1
            one = isinstance(node.structure, torch.Tensor)
            simple = len(args) == 1 and isinstance(args[0], Slot) and not kwargs and one
            # Built layers are entered behind the door: shapes were checked when the model was made.
            plain = type(node.layer).__call__ is Layer.__call__ and "training" not in kwargs
            steps.append(
                Step(
                    node.layer,
                    plain,
                    args[0].index if simple else -1,
                    outs[0] if one else outs,
                    None if simple else (args, kwargs),
                )
            )
        self._output_slots = [slots[id(tensor)] for tensor in self.flat_outputs]
        self._steps = join_steps(steps, self._output_slots)
        self._count = count
        self._takes_one_text = len(self.flat_inputs) == 1 and self.flat_inputs[0].is_text
        # As in Keras, a list of one output gives that output.
        only = self.outputs[0] if isinstance(self.outputs, (list, tuple)) and len(self.outputs) == 1 else self.outputs
        self._single = isinstance(only, torch.Tensor)
        # A chain of simple steps, as in a Sequential, needs no slots at all.
        chain = len(self.flat_inputs) == 1 and self._single
        position = 0
        for _, plain, source, target, rest in steps:
            chain = chain and plain and rest is None and source == position
            position = target if isinstance(target, int) else -1
        self._chain = [step[0] for step in steps] if chain and self._output_slots[0] == position else None
        self._links = fuse(self._chain) if self._chain is not None else None
        self.inference: Any = None  # what `predict` has written down: see inference.py
        self._expected = [(tensor.shape, _type_of(tensor)) for tensor in self.flat_inputs]

    def run(self, inputs: list[Any]) -> Any:
        """Run the calls on real tensors; `inputs` in the order of `flat_inputs`."""
        if self._links is not None:
            value = inputs[0]
            for layer in self._links:
                value = layer(value) if isinstance(layer, Link) else _enter(layer, value)
            return value
        values: list[Any] = [*inputs, *[None] * (self._count - len(inputs))]
        for layer, plain, source, target, rest in self._steps:
            if rest is None:
                out = _enter(layer, values[source]) if plain else layer(values[source])
            else:
                args, kwargs = rest
                args = tree.map_structure(lambda leaf: values[leaf.index] if isinstance(leaf, Slot) else leaf, args)
                kwargs = tree.map_structure(lambda leaf: values[leaf.index] if isinstance(leaf, Slot) else leaf, kwargs)
                out = _enter(layer, *args, **kwargs) if plain else layer(*args, **kwargs)
            if isinstance(target, int):
                values[target] = out
            else:
                for slot, value in zip(target, tree.flatten(out)):
                    values[slot] = value
        found = [values[slot] for slot in self._output_slots]
        return found[0] if self._single else tree.pack(self.outputs, found)

    # --- what comes in -------------------------------------------------------------

    def arrange(self, inputs: Any, name: str | None = None, samples: int | None = None) -> list[Any]:
        """Return what was given as a flat list in the order of `flat_inputs`, in the types of the inputs.

        A dict is matched by the names of the inputs, a list by position.

        Args:
            inputs: The tensors.
            name: What the caller calls them, for messages, such as `"x"`.
            samples: How many there are in all, for messages, where these are the first few.

        Raises:
            ValueError: The number, the names or the shapes do not fit.
        """
        flat = self.match(inputs)
        return [self._fit_input(index, value, name, samples) for index, value in enumerate(flat)]

    def match(self, inputs: Any) -> list[Any]:
        """Return what was given as a flat list in the order of `flat_inputs`, as it is."""
        if isinstance(inputs, dict):
            names = sorted(self.inputs) if isinstance(self.inputs, dict) else self.input_names
            if not all(name in inputs for name in names):
                names = self.input_names
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(
                    explain(
                        f"Model '{self.name}' got inputs named {', '.join(map(repr, sorted(inputs)))}; "
                        f"'{missing[0]}' is missing.",
                        f"Expected inputs named {', '.join(map(repr, names))}.",
                        f"{{{', '.join(repr(name) + ': ...' for name in names)}}}",
                    )
                )
            flat = [leaf for name in names for leaf in tree.flatten(inputs[name])]
        else:
            listed = isinstance(inputs, (list, tuple)) and not (is_text_list(inputs) and self._takes_one_text)
            flat = tree.flatten(inputs) if listed else [inputs]
        if any(isinstance(leaf, (int, float)) for leaf in flat):
            raise TypeError(
                explain(
                    f"Model '{self.name}' got a list of numbers.",
                    "Expected a tensor or an array, with one row per sample.",
                    f"{self.name}(np.array(...)), or {self.name}.predict(...), which takes lists",
                )
            )
        if len(flat) != len(self.flat_inputs):
            wanted = [f"{name} {tensor.shape}" for name, tensor in zip(self.input_names, self.flat_inputs)]
            raise ValueError(
                explain(
                    f"Model '{self.name}' got {len(flat)} input{'s' * (len(flat) != 1)}.",
                    f"Expected {len(wanted)}: {', '.join(wanted)}.",
                    f"pass a list, [{', '.join(self.input_names)}], or a dict by these names"
                    if len(wanted) > 1
                    else "pass one array; targets go apart: model.fit(x, y)",
                )
            )
        return flat

    def _fit_input(self, index: int, value: Any, name: str | None = None, samples: int | None = None) -> Any:
        shape, dtype = self._expected[index]
        if dtype is None and (is_text_array(value) or is_text_list(value)):
            value = Text.of(value, name or self.input_names[index])
        if not isinstance(value, torch.Tensor) or isinstance(value, SymbolicTensor):
            return value
        if isinstance(value, Text) is not (dtype is None):
            raise ValueError(explain_kind(self.name, self.input_names[index], value, name))
        if (
            dtype is not None
            and value.dtype is not dtype
            and not (value.is_floating_point() and dtype.is_floating_point)
        ):
            mask = getattr(value, "_keras_mask", None)
            value = value.to(dtype)
            if mask is not None:
                value._keras_mask = mask  # type: ignore[attr-defined]
        given = value.shape
        if given[1:] == shape[1:] and (shape[0] is None or given[0] == shape[0]):
            return value
        rank = len(given)
        if rank == len(shape) - 1 and shape[-1] == 1:
            value = value.unsqueeze(-1)
        elif rank == len(shape) + 1 and given[-1] == 1:
            value = value.squeeze(-1)
        given = tuple(value.shape)
        if len(given) != len(shape) or any(want is not None and want != got for want, got in zip(shape, given)):
            given = (samples, *given[1:]) if samples is not None and given else given
            if name is not None and len(self.flat_inputs) > 1:
                name = f"{name}['{self.input_names[index]}']"
            raise ValueError(explain_shape(self.name, self.input_names[index], shape, given, name))
        return value


def _type_of(tensor: SymbolicTensor) -> torch.dtype | None:
    """Return the type of an input; None for text."""
    layer = tensor.keras_history[0]
    if tensor.is_text:
        return None
    return torch_dtype(layer._input_dtype) if isinstance(layer, InputLayer) else tensor.dtype


def _numbered(leaf: Any, numbers: dict[int, int]) -> Any:
    return Slot(numbers[id(leaf)]) if isinstance(leaf, SymbolicTensor) else leaf


def _described(leaf: Any) -> Any:
    return _Described(leaf) if isinstance(leaf, SymbolicTensor) else leaf


def _short(thing: Any) -> str:
    if isinstance(thing, torch.Tensor):
        return f"a tensor of shape {tuple(thing.shape)}"
    if isinstance(thing, Layer):
        return f"the layer {thing._label}"
    return f"{type(thing).__name__} {thing!r}"[:80]
