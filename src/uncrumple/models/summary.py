"""`model.summary()`: the layers of a model as a table, with shapes and numbers of weights."""

from __future__ import annotations

import io
import itertools
import math
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import torch
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from uncrumple.core import tree
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.files import readable_size
from uncrumple.layers.base import Layer
from uncrumple.models.model import Model
from uncrumple.models.sequential import Sequential

# Styles of numbers, of unknown sizes, of class names, and of frozen layers; seen on a terminal only.
_NUMBER, _UNKNOWN, _CLASS, _FROZEN = "green", "cyan", "blue", "bold red"
_STACK = (["Layer (type)", "Output Shape", "Param #"], ["left", "left", "right"], [0.45, 0.80, 1.0], 88)
_GRAPH = (
    ["Layer (type)", "Output Shape", "Param #", "Connected to"],
    ["left", "left", "right", "left"],
    [0.3, 0.56, 0.74, 1.0],
    108,
)


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> None:
    """Print the layers of a model with their output shapes and numbers of weights.

    A model that is no chain of layers gets a column with what each layer is
    connected to. Numbers are coloured on a terminal only.

    Args:
        model: The model.
        line_length: Width in characters; by default that of the terminal, up to 88 (108 with connections).
        positions: Where each column ends, as shares of the width, such as `[0.45, 0.8, 1.0]`.
        print_fn: Function that is called once with the whole text, instead of printing.
        expand_nested: Show the layers within models, and within layers of your own.
        show_trainable: Add a column with Y or N for trained and frozen layers.
        layer_range: (first, last): names of layers, or patterns for them; only these and those between are shown.

    Raises:
        ValueError: The width is too small, `positions` are not for these columns, or no layer has a name in
            `layer_range`.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> model = Sequential([Input((4,)), Dense(3, name="head")], name="small")
        >>> print_summary(model, line_length=52)
        Model: "small"
        ┏━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━━┓
        ┃ Layer (type)         ┃ Output Shape   ┃  Param # ┃
        ┡━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━━┩
        │ head (Dense)         │ (None, 3)      │       15 │
        └──────────────────────┴────────────────┴──────────┘
         Total params: 15 (60.00 B)
         Trainable params: 15 (60.00 B)
         Non-trainable params: 0 (0.00 B)
    """
    rows = _in_range(_parts(model), layer_range)
    linear = _is_linear(model)
    header, alignment, ends, longest = _STACK if linear else _GRAPH
    ends = _checked(positions, len(ends)) if positions is not None else ends
    if show_trainable:
        header, alignment, longest = [*header, "Trainable"], [*alignment, "center"], longest + 12
        ends = [end * 0.90 for end in ends] + [1.0]
    width = line_length or min(longest, shutil.get_terminal_size().columns - 4)
    marks = [0, *(int(end * width) for end in ends)]
    if any(right - left < 4 for left, right in itertools.pairwise(marks)):
        raise ValueError(
            explain(
                f"summary got line_length={width} for {len(header)} columns.",
                "Expected at least 4 characters for each column.",
                "model.summary(line_length=80)",
            )
        )
    # Into a string for a function, in plain text; otherwise as the terminal or notebook allows.
    way_out = {} if print_fn is None else {"file": io.StringIO(), "force_terminal": False, "force_jupyter": False}
    console = Console(highlight=False, width=max(shutil.get_terminal_size().columns, width), **way_out)  # type: ignore[arg-type]
    simple = not console.encoding.startswith("utf")  # then there is neither "…" nor "└"
    columns = [
        Column(name, justify=side, width=right - left, overflow="fold" if simple else "ellipsis")  # type: ignore[arg-type]
        for name, side, left, right in zip(header, alignment, marks, marks[1:])
    ]
    table = Table(*columns, width=width, show_lines=True)
    for name, layer in rows:
        for level, label, part in _with_inner(name, layer, expand_nested):
            prefix = "   " * level + ("- " if simple else "└ ") if level else ""
            cells = [
                Text.assemble(_encodable(f"{prefix}{label} (", console), (type(part).__name__, _CLASS), ")"),
                _shape(part),
                _count(part),
            ]
            if not linear:
                cells.append(_connections(model, part))
            if show_trainable:
                cells.append(_trained(part))
            table.add_row(*cells)
    _print(console, model, table)
    if print_fn is not None:
        print_fn(console.file.getvalue())  # type: ignore[attr-defined]


def _encodable(text: str, console: Console) -> str:
    """Return a text with "?" for the letters that the terminal does not have."""
    return text.encode(console.encoding, "replace").decode(console.encoding)


def _print(console: Console, model: Any, table: Table) -> None:
    console.print(Text(_encodable(f'Model: "{model.name}"', console), style="bold"))
    console.print(table)
    trained, others, kept = model.trainable_weights, model.non_trainable_weights, []
    if model.compiled and getattr(model.optimizer, "built", False):
        kept = model.optimizer.variables
    totals = {"Total": [*trained, *others, *kept], "Trainable": trained, "Non-trainable": others, "Optimizer": kept}
    for name, tensors in totals.items():
        if name != "Optimizer" or kept:
            numbers = sum(math.prod(tensor.shape) for tensor in tensors)
            size = sum(math.prod(tensor.shape) * torch_dtype(tensor.dtype).itemsize for tensor in tensors)
            line = Text.assemble((f" {name} params: ", "bold"), (f"{numbers:,}", _NUMBER), f" ({readable_size(size)})")
            console.print(line, soft_wrap=True)


# --- which layers -----------------------------------------------------------------------


def _parts(model: Any) -> list[tuple[str, Any]]:
    """Return (name, layer) of the layers of a model; torch modules in it go by the name of their attribute."""
    if isinstance(model, Sequential):
        return [(layer.name, layer) for layer in model.layers]
    if isinstance(model, Model) and model._graph is not None:
        return [(layer.name, layer) for layer in model._graph.layers]
    found: dict[int, tuple[str, Any]] = {}
    for attribute, part in model._modules.items():
        if part is not None:
            found.setdefault(id(part), (part.name if isinstance(part, Layer) else attribute, part))
    return list(found.values())


def _with_inner(name: str, layer: Any, expand: bool, level: int = 0) -> Iterator[tuple[int, str, Any]]:
    """Return (depth, name, layer) of a layer and, if wanted, of those within it."""
    yield level, name, layer
    own_class = isinstance(layer, Layer) and "_keras_module" not in vars(type(layer))
    if expand and (isinstance(layer, Model) or own_class):
        for inner_name, inner in _parts(layer):
            yield from _with_inner(inner_name, inner, expand, level + 1)


def _in_range(rows: list[tuple[str, Any]], layer_range: Any) -> list[tuple[str, Any]]:
    """Return the rows from the first that matches the first pattern to the last that matches the second."""
    if layer_range is None:
        return rows
    two = isinstance(layer_range, (list, tuple)) and len(layer_range) == 2
    if not two or not all(isinstance(pattern, str) for pattern in layer_range):
        raise ValueError(
            explain(
                f"summary got layer_range={layer_range!r}.",
                "Expected two names of layers, or patterns for them.",
                f"layer_range=({rows[0][0]!r}, {rows[-1][0]!r})" if rows else "layer_range=None",
            )
        )
    places = []
    for pattern in layer_range:
        found = [index for index, (name, _) in enumerate(rows) if re.match(pattern, name)]
        if not found:
            raise ValueError(unknown_name("layer in layer_range", pattern, [name for name, _ in rows]))
        places.append(found)
    first, last = min(places[0]), max(places[1])
    if first > last:
        first, last = min(places[1]), max(places[0])
    return rows[first : last + 1]


def _is_linear(model: Any) -> bool:
    """Return whether a model is a chain: one call after the other, each of another layer, each with one input."""
    graph = getattr(model, "_graph", None)
    if graph is None or isinstance(model, Sequential):
        return True
    depths = list(graph.depths.values())
    one_input = all(len(node.inputs) <= 1 for node in graph.depths)
    return len(set(depths)) == len(depths) == len(graph.layers) and one_input


def _checked(positions: Any, columns: int) -> list[float]:
    numbers = isinstance(positions, (list, tuple)) and all(isinstance(end, (int, float)) for end in positions)
    if not numbers or len(positions) != columns or list(positions) != sorted(positions) or not 0 < positions[-1] <= 1:
        raise ValueError(
            explain(
                f"summary got positions={positions!r}.",
                f"Expected {columns} numbers that rise from above 0 to 1, one per column.",
                f"positions={(_STACK if columns == 3 else _GRAPH)[2]}",
            )
        )
    return list(positions)


# --- the cells of a row -----------------------------------------------------------------


def _shape(layer: Any) -> Text:
    shapes = _output_shapes(layer)
    if shapes is None:
        return Text("?")
    text = Text()
    for piece in re.split(r"(\d+|None)", _in_words(shapes)):
        text.append(piece, style=_UNKNOWN if piece == "None" else _NUMBER if piece.isdigit() else "")
    return text


def _output_shapes(layer: Any) -> Any:
    """Return the shape of what a layer returned last, or would return; None if that is not known."""
    nodes = getattr(layer, "_nodes", None)
    if nodes:
        return _shapes_of(nodes[-1].structure)
    if isinstance(layer, Model) and layer._graph is not None:
        return _shapes_of(layer._graph.outputs)
    built_for = getattr(layer, "_build_shapes", None)
    if not built_for or len(built_for) != 1:
        return None
    try:
        return _as_shapes(layer.compute_output_shape(next(iter(built_for.values()))))
    except Exception:  # a user's own layer may not run without data
        return None


class _Shape:
    """A shape that is a leaf in nested structures."""

    def __init__(self, sizes: Any) -> None:
        self.sizes = sizes

    def __repr__(self) -> str:
        return f"({', '.join(str(size) for size in self.sizes)})"


def _shapes_of(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _shapes_of(part) for key, part in structure.items()}
    return _Shape(structure.shape) if isinstance(structure, torch.Tensor) else [_shapes_of(part) for part in structure]


def _as_shapes(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _as_shapes(part) for key, part in structure.items()}
    if all(size is None or isinstance(size, int) for size in structure):
        return _Shape(structure)
    return [_as_shapes(part) for part in structure]


def _in_words(shapes: Any) -> str:
    flat = tree.flatten(shapes)
    return repr(flat[0]) if len(flat) == 1 else repr(shapes).replace("'", "")


def _count(layer: Any) -> Text:
    if not isinstance(layer, Layer):
        numbers = sum(weight.numel() for weight in [*layer.parameters(), *layer.buffers()])
        return Text(f"{numbers:,}", style=_NUMBER)
    if not layer.built:
        return Text.assemble(("0", _NUMBER), " (unbuilt)")
    return Text(f"{layer.count_params():,}", style=_NUMBER)


def _connections(model: Any, layer: Any) -> Text:
    """Return what a layer of the model was called on: name[number of the call][number of the output]."""
    text = Text()
    for node in getattr(layer, "_nodes", ()):
        if node in model._graph.depths:
            for tensor in node.inputs:
                source, call, output = tensor.keras_history
                text.append(f"{', ' if text else ''}{source.name}[")
                text.append(str(call), style=_NUMBER)
                text.append("][")
                text.append(str(output), style=_NUMBER)
                text.append("]")
    return text or Text("-")


def _trained(layer: Any) -> Text:
    if not any(True for _ in layer.parameters()):
        return Text("-", style="bold")
    trained = layer.trainable if isinstance(layer, Layer) else any(p.requires_grad for p in layer.parameters())
    return Text("Y", style=f"bold {_NUMBER}") if trained else Text("N", style=_FROZEN)
