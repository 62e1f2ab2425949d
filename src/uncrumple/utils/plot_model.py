"""A model as a drawing: boxes for layers, arrows for tensors, in Graphviz's language.

The text is written here. `model_to_dot` hands it to pydot, as Keras's users expect; `plot_model`
needs only Graphviz's program `dot`.
"""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from uncrumple.core import tree
from uncrumple.core.dtypes import dtype_name
from uncrumple.core.errors import explain, unknown_argument
from uncrumple.core.files import atomic_write
from uncrumple.layers import InputLayer

_RANKDIRS = ("TB", "BT", "LR", "RL")
_SPLINES = ("ortho", "curved", "polyline", "spline", "line")


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Return a model as a graph of the package pydot.

    Args:
        model: A model that is built.
        show_shapes: Whether to show the shapes that go in and come out.
        show_dtype: Whether to show the type of what comes out.
        show_layer_names: Whether to show the layers' names beside their classes.
        rankdir: `"TB"` for downwards, `"LR"` for to the right, `"BT"`, `"RL"`.
        expand_nested: Whether to show the layers of models within the model.
        dpi: Dots per inch of an image.
        subgraph: Whether to return a `pydot.Cluster`, to be put into another graph.
        show_layer_activations: Whether to show activations.
        show_trainable: Whether to show which layers learn.
        splines: How arrows run: `"ortho"`, `"curved"`, `"polyline"`, `"spline"` or `"line"`.

    Returns:
        A `pydot.Dot`, or a `pydot.Cluster` with `subgraph`.

    Raises:
        ImportError: pydot is not installed.
        ValueError: The model is not built, or an argument is impossible.

    Example:
        >>> from uncrumple import Input, Sequential, layers
        >>> model = Sequential([Input((4,)), layers.Dense(2, name="out")])
        >>> len(model_to_dot(model).get_nodes())  # doctest: +SKIP
        2
    """
    try:
        import pydot
    except ImportError:
        raise ImportError(
            explain(
                "model_to_dot needs the package pydot, which is not installed.",
                "Expected it, as a graph of pydot is what it returns.",
                'pip install "uncrumple[plot]"',
            )
        ) from None
    show = _Shown(show_shapes, show_dtype, show_layer_names, expand_nested, show_layer_activations, show_trainable)
    text = dot_text(model, show, rankdir, dpi, splines, kwargs, owner="model_to_dot")
    graph: Any = pydot.graph_from_dot_data(text)[0]  # type: ignore[index]
    if not subgraph:
        return graph
    cluster = pydot.Cluster(graph_name=model.name, style="dashed", label=model.name, labeljust="l")
    for node in graph.get_nodes():
        cluster.add_node(node)
    for edge in graph.get_edges():
        cluster.add_edge(edge)
    for inner in graph.get_subgraphs():
        cluster.add_subgraph(inner)
    return cluster


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model into a file.

    Needs the program `dot` of Graphviz; with an ending of `.dot` the drawing is
    written as text, and needs nothing.

    Args:
        model: A model that is built.
        to_file: The file. Its ending says the format: `.png`, `.svg`, `.pdf`, ..., `.dot`.
        show_shapes: Whether to show the shapes that go in and come out.
        show_dtype: Whether to show the type of what comes out.
        show_layer_names: Whether to show the layers' names beside their classes.
        rankdir: `"TB"` for downwards, `"LR"` for to the right, `"BT"`, `"RL"`.
        expand_nested: Whether to show the layers of models within the model.
        dpi: Dots per inch of an image.
        show_layer_activations: Whether to show activations.
        show_trainable: Whether to show which layers learn.
        splines: How arrows run: `"ortho"`, `"curved"`, `"polyline"`, `"spline"` or `"line"`.

    Returns:
        In a notebook an image; otherwise None.

    Raises:
        ImportError: Graphviz is not installed.
        ValueError: The model is not built, an argument is impossible, or Graphviz does not know the format.

    Example:
        >>> import tempfile
        >>> from uncrumple import Input, Sequential, layers
        >>> model = Sequential([Input((4,)), layers.Dense(2, name="out")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plot_model(model, f"{folder}/model.dot", show_shapes=True)
        ...     "Output shape: <b>(None, 2)</b>" in open(f"{folder}/model.dot").read()
        True
    """
    show = _Shown(show_shapes, show_dtype, show_layer_names, expand_nested, show_layer_activations, show_trainable)
    text = dot_text(model, show, rankdir, dpi, splines, kwargs, owner="plot_model")
    path = Path(to_file)
    kind = path.suffix.removeprefix(".").lower() or "png"
    if kind == "dot":
        content = text.encode()
    else:
        program = shutil.which("dot")
        if program is None:
            raise ImportError(
                explain(
                    "plot_model needs the program 'dot' of Graphviz, which is not installed.",
                    "Expected it, to draw; only the text of the drawing needs nothing.",
                    f"install Graphviz (https://graphviz.org/download), or to_file={str(path.with_suffix('.dot'))!r}",
                )
            )
        done = subprocess.run([program, f"-T{kind}"], input=text.encode(), capture_output=True)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().split("\n")[0]
            raise ValueError(
                explain(f"Graphviz could not draw {path}: {said}", "Expected an ending such as .png.", "to_file=...")
            )
        content = done.stdout
    with atomic_write(path) as file:
        file.write(content)
    if kind in ("png", "svg", "jpg", "jpeg") and "IPython" in sys.modules:
        display = __import__("IPython.display", fromlist=["display"])
        return display.SVG(filename=os.fspath(path)) if kind == "svg" else display.Image(filename=os.fspath(path))
    return None


# --- the text ------------------------------------------------------------------------------


class _Shown:
    """What is shown of each layer."""

    def __init__(
        self, shapes: bool, dtype: bool, names: bool, nested: bool, activations: bool, trainable: bool
    ) -> None:
        self.shapes, self.dtype, self.names = shapes, dtype, names
        self.nested, self.activations, self.trainable = nested, activations, trainable


def dot_text(
    model: Any, show: _Shown, rankdir: str, dpi: int, splines: str, unknown: dict[str, Any], *, owner: str
) -> str:
    """Return a model in Graphviz's language."""
    if unknown:
        known = ("show_shapes", "show_dtype", "show_layer_names", "rankdir", "expand_nested", "dpi", "splines")
        raise ValueError(unknown_argument(owner, next(iter(unknown)), known))
    for name, value, words in (("rankdir", rankdir, _RANKDIRS), ("splines", splines, _SPLINES)):
        if value not in words:
            raise ValueError(
                explain(
                    f"{owner} got {name}={value!r}.", f"Expected one of: {', '.join(words)}.", f'{name}="{words[0]}"'
                )
            )
    if isinstance(dpi, bool) or not isinstance(dpi, (int, float)) or not dpi > 0:
        raise ValueError(explain(f"{owner} got dpi={dpi!r}.", "Expected a number above 0.", "dpi=200"))
    if not model.built:
        raise ValueError(
            explain(
                f"{model._label} is not built: what its layers give to each other is not known.",
                "Expected a built model.",
                f"{model.name}.build((None, ...)), or call it on data once",
            )
        )
    lines = [
        "digraph G {",
        f'rankdir={rankdir}; concentrate=true; dpi={dpi:g}; splines={splines}; node [shape=plain, fontname="Helvetica"];',
    ]
    edges: list[tuple[int, int]] = []
    _draw(model, show, lines, edges)
    lines += [f'"{source}" -> "{target}" [penwidth=2];' for source, target in dict.fromkeys(edges)]
    return "\n".join([*lines, "}", ""])


def _graph_of(layer: Any) -> Any:
    return getattr(layer, "_graph", None)


def _draw(model: Any, show: _Shown, lines: list[str], edges: list[tuple[int, int]]) -> None:
    """Add the boxes of a model, and the arrows between them."""
    graph = _graph_of(model)
    if graph is None:  # a class of the user's own: one box
        lines.append(f'"{id(model)}" [label={_label(model, show)}];')
        return
    for layer in dict.fromkeys(node.layer for node in graph.nodes):
        if show.nested and _graph_of(layer) is not None:
            lines += [f'subgraph "cluster_{id(layer)}" {{', f"label={_quoted(layer.name)}; labeljust=l; style=dashed;"]
            _draw(layer, show, lines, edges)
            lines.append("}")
        else:
            lines.append(f'"{id(layer)}" [label={_label(layer, show)}];')
    for node in graph.nodes:
        for place, parent in enumerate(node.parents):
            position = node.inputs[place].keras_history[2]
            edges.append((_source(parent.layer, position, show), _target(node.layer, place, show)))


def _source(layer: Any, position: int, show: _Shown) -> int:
    """Return the box that an output comes from."""
    graph = _graph_of(layer)
    if not show.nested or graph is None:
        return id(layer)
    inner, _, place = tree.flatten(graph.outputs)[position].keras_history
    return _source(inner, place, show)


def _target(layer: Any, position: int, show: _Shown) -> int:
    """Return the box that an input goes to."""
    graph = _graph_of(layer)
    if not show.nested or graph is None:
        return id(layer)
    return id(tree.flatten(graph.inputs)[position].keras_history[0])


def _label(layer: Any, show: _Shown) -> str:
    name = (
        f"<b>{html.escape(layer.name)}</b> ({type(layer).__name__})" if show.names else f"<b>{type(layer).__name__}</b>"
    )
    cells = []
    if show.shapes:
        if not isinstance(layer, InputLayer):
            cells.append(f"Input shape: <b>{_of(layer, 'input', 'shape')}</b>")
        cells.append(f"Output shape: <b>{_of(layer, 'output', 'shape')}</b>")
    if show.dtype:
        cells.append(f"Output dtype: <b>{_of(layer, 'output', 'dtype')}</b>")
    colours = ["white"] * len(cells)
    if show.trainable and layer.weights:
        cells.append("<b>Trainable</b>" if layer.trainable else "<b>Non-trainable</b>")
        colours.append("palegreen" if layer.trainable else "lightpink")
    span = max(1, len(cells))
    rows = [f'<tr><td colspan="{span}" bgcolor="black"><font point-size="16" color="white">{name}</font></td></tr>']
    activation = getattr(layer, "activation", None)
    if show.activations and activation is not None:
        shown = getattr(activation, "name", None) or getattr(activation, "__name__", str(activation))
        rows.append(f'<tr><td colspan="{span}" bgcolor="white">Activation: <b>{html.escape(str(shown))}</b></td></tr>')
    if cells:
        row = "".join(f'<td bgcolor="{colour}">{cell}</td>' for cell, colour in zip(cells, colours))
        rows.append(f"<tr>{row}</tr>")
    return f'<<table border="0" cellborder="1" cellspacing="0" cellpadding="10">{"".join(rows)}</table>>'


def _of(layer: Any, end: str, what: str) -> str:
    """Return the shapes or types of what goes in or comes out; "?" where a layer was called more than once."""
    try:
        structure = getattr(layer, end)
    except AttributeError:
        return "?"
    found = tree.map_structure(lambda leaf: leaf.shape if what == "shape" else dtype_name(leaf.dtype), structure)
    return html.escape(str(found).replace("{", "").replace("}", ""), quote=False)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
