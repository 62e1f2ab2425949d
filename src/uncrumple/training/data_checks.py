"""Data looked at once, before training: numbers that are none, indices that do not exist, a model that cannot run."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain, warn
from uncrumple.core.text import Text
from uncrumple.data.convert import text_refused
from uncrumple.layers import failures, symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.embedding import Embedding
from uncrumple.layers.modes import told
from uncrumple.training.last_layer import starts_with_scaling
from uncrumple.training.target_checks import code


def refuse_text(model: Any, structure: Any, name: str) -> None:
    """Refuse text for a model in which nothing reads it."""
    texts = [leaf for leaf in tree.flatten(structure) if isinstance(leaf, Text)]
    if not texts:
        return
    if model._graph is not None:
        reads = any(tensor.is_text for tensor in model._graph.flat_inputs)
    else:
        reads = any(getattr(layer, "_takes_text", False) for layer in model._flatten_layers())
    if not reads:
        raise ValueError(text_refused(np.asarray(texts[0].numpy()), name))


def check_finite(structure: Any, name: str, others: str = "") -> None:
    """Refuse NaN and infinity, naming the column and the first row.

    Args:
        structure: The tensors.
        name: What they are called: `"x"`.
        others: What has a row for each of theirs, to be cut with them: `"x, y"`.
    """
    for position, leaf in enumerate(tree.flatten(structure)):
        if leaf is None or not leaf.is_floating_point() or not leaf.numel() or math.isfinite(float(leaf.sum())):
            continue
        bad = ~torch.isfinite(leaf)
        count = int(bad.sum())
        if not count:
            continue  # the sum overflowed, the numbers are fine
        where = bad.nonzero()[0].tolist()
        what = "NaN" if torch.isnan(leaf[tuple(where)]) else "infinity"
        shown = name if not tree.is_nested(structure) else f"{name}[{position}]"
        columns = getattr(leaf, "_column_names", None)
        place = f"row {where[0]}"
        if leaf.ndim == 2:
            place += f", column {where[1] if columns is None else repr(columns[where[1]])}"
        elif leaf.ndim > 2:
            place += f", at {tuple(where[1:])}"
        if count > 1:
            rows = int(bad.reshape(bad.shape[0], -1).any(1).sum())
            place += f"; {count} such values in {rows} of {leaf.shape[0]} rows"
            touched = bad.any(0).nonzero()[:, 0].tolist() if leaf.ndim == 2 else []
            if len(touched) > 1:
                place += f", in {_listed(touched, columns)}"
        finite = f"np.isfinite({code(shown)})"
        if leaf.ndim == 2:
            finite += ".all(axis=1)"
        elif leaf.ndim > 2:
            finite += f".reshape(len({code(shown)}), -1).all(axis=1)"
        cut = code(others or name).split(",_")
        fix = f"rows = {finite}; {', '.join(cut)} = {', '.join(f'{part}[rows]' for part in cut)}"
        if tree.is_nested(structure):
            fix = f"drop these rows: {finite} says which are good"
        raise ValueError(
            explain(
                f"{shown} holds {what} in {place}.",
                f"Expected finite numbers: one {what} turns every weight into NaN.",
                fix,
            )
        )


def _listed(columns: list[int], names: Any) -> str:
    shown = [str(column) if names is None else repr(names[column]) for column in columns[:5]]
    return f"columns {', '.join(shown)}" + (", ..." if len(columns) > 5 else "")


def check_weights(structure: Any) -> None:
    """Refuse negative sample weights."""
    for leaf in tree.flatten(structure):
        if leaf is not None and leaf.numel() and float(leaf.min()) < 0:
            row = int((leaf.reshape(leaf.shape[0], -1) < 0).any(1).nonzero()[0])
            raise ValueError(
                explain(
                    f"sample_weight holds {float(leaf.reshape(leaf.shape[0], -1)[row].min()):g} in row {row}.",
                    "Expected weights of at least 0: a negative one would unlearn.",
                    "sample_weight = np.clip(sample_weight, 0, None)",
                )
            )


def warn_if_unscaled(model: Any, structure: Any, name: str) -> bool:
    """Warn about images whose numbers run to 255 and that nothing scales down; return whether there are any."""
    found = False
    for leaf in tree.flatten(structure):
        if (
            leaf is None
            or isinstance(leaf, Text)
            or leaf.ndim < 2
            or (leaf.ndim == 2 and leaf.shape[1] < 64)
            or (leaf.ndim == 3 and leaf.dtype != torch.uint8)
        ):
            continue
        part = leaf[:256]
        low, high = float(part.min()), float(part.max())
        whole = not part.is_floating_point() or bool((part == part.round()).all())
        if low >= 0 and 128 <= high <= 255 and whole and not starts_with_scaling(model):
            found = True
            warn(
                f"{name} of shape {tuple(leaf.shape)} holds whole numbers from {low:g} to {high:g}: unscaled images?",
                "Expected numbers of about 0 to 1; larger ones make training slow or unstable.",
                f"{code(name)} = {code(name)} / 255, or Rescaling(1 / 255) as the first layer",
            )
    return found


# --- the model on this data -------------------------------------------------------------------


def try_out(model: Any, x: Any) -> Any:
    """Run the model on one batch without numbers (or, for code that needs them, with), and return its outputs.

    Builds what is not built.
    """
    meta = _on_meta(x)
    # From shapes alone it cannot be known what is text; the call below builds too.
    text = any(isinstance(leaf, Text) for leaf in tree.flatten(x))
    if not model.built and model._graph is None and not text:
        if model._build_parameters and type(model).build is not Layer.build:
            model.build(tree.map_structure(lambda leaf: (None, *tuple(leaf.shape)[1:]), x))
    with failures.no_strangers(model), _in_eval_mode(model):
        try:
            with symbolic.probing():
                outputs = model(meta)
        except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError, IndexError) as error:
            if symbolic.is_explained(error):
                raise
            with torch.no_grad():
                outputs = model(x)
            symbolic.needs_numbers.add(model)
    failures.check_returned(model, outputs, x)
    if model._graph is None and not type(model).__module__.startswith("uncrumple."):
        with _in_eval_mode(model):
            symbolic.check_one_sample(model, (meta,), {}, outputs)
    return outputs


class _in_eval_mode:
    """Within this block the model is in its mode for evaluation, and the random state is put back afterwards."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.mode, self.random_state = self.model.training, torch.get_rng_state()
        self.model.train(False)
        self.told = told(self.model)
        self.told.__enter__()

    def __exit__(self, *_: Any) -> None:
        self.told.__exit__(None, None, None)
        self.model.train(self.mode)
        torch.set_rng_state(self.random_state)


def _on_meta(structure: Any) -> Any:
    return tree.map_structure(lambda leaf: leaf.to("meta") if isinstance(leaf, torch.Tensor) else leaf, structure)


def check_gradients(model: Any, x: Any) -> None:
    """Find weights that no gradient reaches, where a layer's `call` could not be run on shapes alone.

    Code that needs numbers may use NumPy or `.item()`, and from there no gradient finds its way back.
    """
    suspects = [layer for layer in model._flatten_layers() if layer in symbolic.needs_numbers]
    weights = model.trainable_weights
    if not suspects or not weights:
        return
    with _in_eval_mode(model), torch.enable_grad():
        outputs = [leaf for leaf in tree.flatten(model(x)) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
        reached = torch.autograd.grad([leaf.sum() for leaf in outputs], weights, allow_unused=True) if outputs else ()
    missed = [weight for weight, gradient in zip(weights, reached or [None] * len(weights)) if gradient is None]
    if missed:
        path = getattr(missed[0], "path", "weight")
        warn(
            f"{suspects[-1]._label} uses NumPy or .item() in call(): no gradient gets to '{path}'"
            + (f" and {len(missed) - 1} other weights." if len(missed) > 1 else "."),
            "Expected torch functions: weights without a gradient never learn.",
            f"torch functions in place of NumPy's in {type(suspects[-1]).__name__}.call",
        )


# --- indices ----------------------------------------------------------------------------------


# {model: {kinds of inputs: the views of them that its Embeddings are given}}
_known_views: weakref.WeakKeyDictionary[Any, dict[Any, list[Any]]] = weakref.WeakKeyDictionary()


def check_embeddings(model: Any, structure: Any, name: str) -> None:
    """Refuse indices that an Embedding which is given an input, or a part of one, does not have."""
    embeddings = [layer for layer in model._flatten_layers() if isinstance(layer, Embedding)]
    if not embeddings:
        return
    whole = tree.flatten(structure) if model._graph is None else model._graph.match(structure)
    whole = [leaf.contiguous() for leaf in whole]
    kinds = (tuple((leaf.shape[1:], leaf.dtype) for leaf in whole), tuple(map(id, embeddings)))
    known = _known_views.setdefault(model, {})
    if kinds not in known:
        known[kinds] = _find_views(model, structure, whole, embeddings)
    for number, place, shape, strides, offset in known[kinds]:
        leaf = whole[place]
        view = leaf.as_strided((len(leaf), *shape), strides, leaf.storage_offset() + offset)
        which = name if len(whole) == 1 or model._graph is None else f"{name}['{model._graph.input_names[place]}']"
        _check_indices(embeddings[number], view, which)


def _find_views(model: Any, structure: Any, whole: list[torch.Tensor], embeddings: list[Embedding]) -> list[Any]:
    """Return which part of which input each Embedding is given, as (its number, input, shape, strides, offset).

    The model is run on two samples without numbers: an Embedding that is
    given a view of an input shares its memory, so to speak.
    """
    few = [leaf[:2] for leaf in whole]
    few = _on_meta(few if model._graph is None else model._graph.arrange(few))
    seen: list[tuple[int, Any]] = []

    def see(number: int) -> Callable[..., None]:
        return lambda module, args: seen.append((number, args[0] if args else None))

    hooks = [layer.register_forward_pre_hook(see(number)) for number, layer in enumerate(embeddings)]
    try:
        with _in_eval_mode(model), symbolic.probing():
            model(few if model._graph is not None else tree.pack(structure, few))
    except Exception:
        pass  # what comes after the Embeddings is not of interest here
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for number, part in seen:
        for place, start in enumerate(few):
            if not isinstance(part, torch.Tensor) or not part.is_meta or part.ndim == 0 or len(part) != len(start):
                continue
            if part.untyped_storage()._cdata == start.untyped_storage()._cdata:
                offset = part.storage_offset() - start.storage_offset()
                found.append((number, place, tuple(part.shape[1:]), part.stride(), offset))
    return found


def _check_indices(layer: Embedding, indices: torch.Tensor, name: str) -> None:
    rows = layer.input_dim
    low, high = int(indices.min()), int(indices.max())
    if low >= 0 and high < rows:
        return
    bad = low if low < 0 else high
    row = int((indices == bad).reshape(len(indices), -1).any(1).nonzero()[0])
    fix = f"Embedding(input_dim={high + 1}, output_dim={layer.output_dim})"
    raise ValueError(
        explain(
            f"{name} holds {bad} in row {row}, and {layer._label} has {rows} rows.",
            f"Expected whole numbers from 0 to {rows - 1}.",
            fix if low >= 0 else f"count from 0: {code(name)} + {-low}",
        )
    )
