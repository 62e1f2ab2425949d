"""`attribute`: what an answer of a network rests on, always beside what an untrained network shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.text import Text
from uncrumple.data.kinds.base import RawData
from uncrumple.data.kinds.preparation import Preparation
from uncrumple.data.kinds.prepare_table import TablePreparation
from uncrumple.explain.asked import check_seed, check_whole
from uncrumple.explain.attribution import pictures, rows, tokens
from uncrumple.explain.attribution.asking import Network
from uncrumple.explain.attribution.maps import Attribution
from uncrumple.explain.attribution.methods import checked
from uncrumple.explain.keeping import answering
from uncrumple.explain.rows import as_tensors, batches, rows_at, rows_in
from uncrumple.explain.untrained import untrained_copy
from uncrumple.layers.base import Layer

KINDS = ("images", "text", "rows")
_MOST = 256


def attribute(
    model: Any,
    x: Any,
    target: Any = None,
    methods: Any = None,
    *,
    baseline: Any = None,
    steps: int = 32,
    window: int | None = None,
    layer: Any = None,
    words: Any = None,
    padding: int | None = 0,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    kind: str | None = None,
    seed: int = 0,
) -> Attribution:
    """Show what a network's answers rest on, by methods of different kinds, beside an untrained network's maps.

    Explained is the score of an answer before softmax or sigmoid. Each map comes twice: of the
    model, and of the same architecture with freshly drawn weights. Where both look alike, the map
    shows the input and not what was learnt.

    - `"integrated_gradients"` (gradients along the way from nothing to the input; they add up to the
      change of the score, and by how much they miss it is told) and `"saliency"` (the gradient at the
      input) ask how the score changes with each number. Of texts, gradients are taken where words
      have become vectors.
    - `"occlusion"` asks how the score falls without a part: a square of a picture, a word, a feature.
    - `"grad_cam"` asks where in a picture the channels of the last convolution that matter are active.

    Args:
        model: An uncrumple model, also one loaded from a file, or a torch module. It is left as it was.
        x: Rows: pictures (samples, height, width, channels), texts, rows of numbers of tokens, rows of
            features, or series (samples, steps, channels); or `Images`, `Text` or `Table`; at most 256. Of parts
            of these, the first 8 rows of the validation part.
        target: Which answer: a class number, or one for each row; by default what the network answers.
        methods: Names; by default all that the model allows. Where all are of one kind, one is added.
        baseline: What inputs are compared with: a number, or an array of the shape of a sample; 0 by
            default, which is black for pictures, and the mean for features brought to mean 0. Not for texts,
            which are compared with no words.
        steps: Of integrated gradients, a whole number of at least 2.
        window: Side in pixels of the square that is covered, or how many steps of a series; a seventh of
            the smaller side by default. Of pictures and series only.
        layer: The layer for Grad-CAM, by name; the last convolution by default.
        words: Of rows of tokens: the word for each number, as a list, a dict or a function.
        padding: Of rows of tokens: the number that fills up short rows; None where there is none.
        class_names, feature_names: Names; by default those of the data.
        kind: `"images"`, `"text"` or `"rows"`; None tells by `x` and the model.
        seed: Of the untrained network's weights.

    Returns:
        A `PictureAttribution`, `TextAttribution` or `RowAttribution`: `maps`, `control`, `alike`, `gaps`;
        `print` it, `plot` it, `save("map.png")`.

    Raises:
        ValueError: A method does not go with the model, or an argument is impossible.
        TypeError: `model` is not a network.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((3,)), Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[2.0], [0.0], [-1.0]])])
        >>> found = attribute(model, [[1.0, 5.0, 3.0]])
        >>> found.maps["integrated_gradients"].round(6).tolist()
        [[2.0, 0.0, -3.0]]
    """
    _check(model, steps, window, kind, seed)
    remarks: tuple[str, ...] = ()
    if hasattr(x, "peek") and hasattr(x, "train"):
        part = "validation" if len(x.rows.validation) else "train"
        x, remarks = x.peek(part).take(slice(0, 8)), (f"Explained are the first rows of the {part} part.",)
    if isinstance(x, RawData):
        class_names = class_names or x.class_names
        x = x.raw
    inputs = _with_rows(model, as_tensors(x))
    count = rows_in(inputs)
    if not 1 <= count <= _MOST:
        raise ValueError(
            explain(
                f"attribute got {count:,} rows.",
                f"Expected 1 to {_MOST}: a map is made of each.",
                "x[:16], or data.take(range(16))",
            )
        )
    preparation = next((one for one in model.modules() if isinstance(one, Preparation)), None)
    names = tuple(class_names) or (preparation.class_names if preparation is not None else ())
    with answering(model, gradients=True):
        network = Network(model, inputs)
        twin = untrained_copy(model, seed).to(network.device)
        control = Network(twin, inputs)
        control.head = network.head
        scores, shares = network.answers(inputs)
        targets = network.targets(scores, target)
        common: dict[str, Any] = {
            "targets": targets,
            "shares": shares,
            "names": _names(names, network),
            "steps": steps,
            "is_classifier": network.is_classifier,
        }
        if network.in_steps:
            remarks = (*remarks, "Explained is what the model answers at the last step.")
        common["remarks"] = remarks
        if kind is None:
            kind = _kind_of(network, inputs)
        if kind == "images":
            return _of_pictures(network, control, inputs, methods, baseline, window, layer, common)
        if kind == "text":
            return _of_texts(network, control, inputs, methods, words, padding, common)
        return _of_rows(network, control, inputs, methods, baseline, window, feature_names, preparation, common)


def _of_pictures(
    network: Network,
    control: Network,
    inputs: Any,
    methods: Any,
    baseline: Any,
    window: int | None,
    layer: Any,
    common: dict[str, Any],
) -> Attribution:
    axis = pictures.channel_axis(inputs, not isinstance(network.model, Layer))
    part, name, _, why = pictures.why_no_grad_cam(network, inputs, layer)
    possible = ["integrated_gradients", "occlusion", *(["grad_cam"] if part is not None else []), "saliency"]
    chosen, added = checked(methods, possible, {"grad_cam": why})
    sides = [size for place, size in enumerate(inputs.shape) if place not in (0, axis)]
    window = min(window or max(2, round(min(sides) / 7)), *sides)
    base, compared = _base(inputs, baseline)
    setting: Any = {"base": base, "axis": axis, "steps": common["steps"], "window": window, "layer": name}
    maps, gaps = pictures.maps_of(network, inputs, common["targets"], chosen, **setting)
    others, _ = pictures.maps_of(control, inputs, common["targets"], chosen, **setting)
    return pictures.PictureAttribution(
        maps,
        others,
        gaps=gaps,
        compared=compared,
        thing="picture",
        pictures=pictures.shown_pictures(inputs, axis),
        window=window,
        layer=name if "grad_cam" in chosen else "",
        filled=pictures.filled(inputs, base, axis),
        **_with_remarks(common, added, why if methods is None and part is None else ""),
    )


def _of_texts(
    network: Network,
    control: Network,
    inputs: Any,
    methods: Any,
    words: Any,
    padding: int | None,
    common: dict[str, Any],
) -> Attribution:
    from uncrumple.explain.attribution.words import TextAttribution

    reader, vectorizer = tokens.reader_of(network.model)
    if isinstance(inputs, Text):
        reading = tokens.read_texts(vectorizer, [str(one) for one in np.asarray(inputs.numpy()).reshape(-1)])
        inputs = as_tensors(np.asarray(inputs.numpy(), dtype=object))
    else:
        inputs = inputs.to(torch.int64)
        reading = tokens.read_tokens(inputs, words, padding)
    counts = reading.entries is not None
    name, layer = ("", reader) if counts else tokens.embedding_in(network, inputs)
    other = None
    if layer is not None:
        other = tokens.reader_of(control.model)[0] if counts else dict(control.model.named_modules())[name]
    why = "the model has no Embedding that gives a vector for each word"
    possible = ["integrated_gradients", "occlusion", "saliency"] if layer is not None else ["occlusion"]
    whys = {"grad_cam": "it is for pictures", "integrated_gradients": why, "saliency": why}
    if layer is None and methods is not None:
        methods = [methods] if isinstance(methods, str) else list(methods)
        if set(methods) <= {"occlusion", "leave_one_out"}:
            methods = None  # there is no method of another kind
    chosen, added = checked(methods, possible, whys)
    targets, steps = common["targets"], common["steps"]
    maps, gaps = tokens.maps_of_words(network, inputs, reading, targets, chosen, layer, steps)
    others, _ = tokens.maps_of_words(control, inputs, reading, targets, chosen, other, steps)
    lone = f"Only one kind of method could be used: {why}." if layer is None else ""
    return TextAttribution(
        maps,
        others,
        gaps=gaps,
        compared="a text without words",
        thing="text",
        pieces=tuple(tuple(one) for one in reading.pieces),
        joint=reading.joint,
        **_with_remarks(common, added, reading.remark, lone),
    )


def _of_rows(
    network: Network,
    control: Network,
    inputs: Any,
    methods: Any,
    baseline: Any,
    window: int | None,
    feature_names: Sequence[str],
    preparation: Any,
    common: dict[str, Any],
) -> Attribution:
    chosen, added = checked(
        methods, ["integrated_gradients", "occlusion", "saliency"], {"grad_cam": "it is for pictures"}
    )
    layer = other = None
    values: Any = None
    if isinstance(inputs, dict):
        if not isinstance(preparation, TablePreparation):
            raise ValueError(
                explain(
                    f"attribute got a dict of {len(inputs)} inputs, and a model without a preparation of tables.",
                    "Expected one array, or a model that was trained on a Table.",
                    "uc.explain.permutation_importance(model, data), which asks any model",
                )
            )
        layer = preparation
        other = next(one for one in control.model.modules() if isinstance(one, TablePreparation))
        with torch.no_grad():
            start = torch.cat([preparation(rows_at(inputs, some)) for some in batches(rows_in(inputs))])
        columns = [column["name"] for column in preparation.columns]
        names, groups = tuple(columns), rows.groups_of(preparation.feature_names, columns)
        raw = [_as_shown(inputs[column]) for column in columns]
        values = [list(row) for row in zip(*raw)]
    else:
        start = inputs.float()
        count = start.shape[1]
        names = tuple(feature_names) or tuple(
            f"step {place + 1}" if start.ndim == 3 else f"feature {place}" for place in range(count)
        )
        if len(names) != count:
            raise ValueError(
                explain(
                    f"attribute got {len(names)} feature_names for {count} features.",
                    "Expected one for each.",
                    f"feature_names=[... {count} names]",
                )
            )
        groups = [[place] for place in range(count)]
    base, compared = _base(start, baseline)
    if layer is not None and baseline is None:
        compared = "a row of means, without categories"
    window = window or max(1, round(start.shape[1] / 7))
    setting: Any = {"start": start, "base": base, "groups": groups, "window": window, "steps": common["steps"]}
    maps, gaps = rows.maps_of_rows(network, inputs, common["targets"], chosen, layer=layer, **setting)
    others, _ = rows.maps_of_rows(control, inputs, common["targets"], chosen, layer=other, **setting)
    return rows.RowAttribution(
        maps,
        others,
        gaps=gaps,
        compared=compared,
        thing="row",
        feature_names=names,
        ordered=start.ndim == 3,
        values=values,
        **_with_remarks(common, added),
    )


# --- what came -----------------------------------------------------------------------------


def _check(model: Any, steps: Any, window: Any, kind: Any, seed: Any) -> None:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            explain(
                f"attribute got a {type(model).__name__} as model.",
                "Expected an uncrumple model or a torch.nn.Module.",
                "attribute(model, x)",
            )
        )
    for name, value, least in (("steps", steps, 2), ("window", window, 1)):
        if name == "window" and value is None:
            continue
        check_whole("attribute", name, value, least, f"{name}={32 if name == 'steps' else 4}")
    check_seed("attribute", seed)
    if kind is not None and kind not in KINDS:
        raise ValueError(unknown_name("kind", str(kind), KINDS))


def _with_rows(model: Any, inputs: Any) -> Any:
    """Return inputs with an axis of rows, where a single sample was given."""
    if isinstance(inputs, (dict, list)):
        return inputs
    if isinstance(inputs, Text):
        return inputs.reshape(1) if inputs.dim() == 0 else inputs
    graph = getattr(model, "_graph", None)
    if graph is not None and len(graph.flat_inputs) == 1 and len(graph.flat_inputs[0].shape) == inputs.ndim + 1:
        # One sample, or pictures without the axis of their one channel.
        shape = tuple(graph.flat_inputs[0].shape)
        return inputs[..., None] if shape[-1] == 1 and inputs.shape[1:] == shape[1:-1] else inputs[None]
    return inputs


def _kind_of(network: Network, inputs: Any) -> str:
    if isinstance(inputs, Text):
        return "text"
    if isinstance(inputs, (dict, list)):
        return "rows"
    if not inputs.is_floating_point() and tokens.embedding_in(network, inputs)[1] is not None:
        return "text"
    if inputs.ndim == 2 and tokens.embedding_in(network, inputs)[1] is not None:
        return "text"
    if inputs.ndim == 4 or (inputs.ndim == 3 and inputs.shape[1] == inputs.shape[2] >= 8):
        return "images"
    if inputs.ndim in (2, 3):
        return "rows"
    raise ValueError(
        explain(
            f"attribute got inputs of shape {tuple(inputs.shape)}.",
            "Expected pictures, texts, rows of features or series.",
            "x of 2, 3 or 4 axes",
        )
    )


def _base(start: torch.Tensor, baseline: Any) -> tuple[torch.Tensor, str]:
    if baseline is None:
        return torch.zeros_like(start), "zeros"
    value = torch.as_tensor(np.asarray(baseline, np.float32), device=start.device)
    try:
        made = (
            torch.broadcast_to(value, start.shape[1:])
            if value.ndim < start.ndim
            else torch.broadcast_to(value, start.shape)
        )
    except RuntimeError:
        raise ValueError(
            explain(
                f"attribute got a baseline of shape {tuple(value.shape)}.",
                f"Expected a number, or the shape of a sample, {tuple(start.shape[1:])}.",
                "baseline=x_train.mean(axis=0)",
            )
        ) from None
    said = f"{float(value):g} everywhere" if value.ndim == 0 else "the baseline that was given"
    return torch.broadcast_to(made, start.shape).clone(), said


def _as_shown(values: Any) -> list[str]:
    if isinstance(values, Text):
        return [str(one) or "missing" for one in np.asarray(values.numpy()).reshape(-1)]
    return ["missing" if np.isnan(one) else f"{one:.4g}" for one in values.reshape(-1).double().tolist()]


def _names(names: Sequence[str], network: Network) -> tuple[str, ...]:
    if names:
        return tuple(str(name) for name in names)
    if not network.is_classifier:
        return ("the value",)
    word = "class" if network.head != "linear" else "output"
    return tuple(f"{word} {place}" for place in range(max(2, network.columns)))


def _with_remarks(common: dict[str, Any], *remarks: str) -> dict[str, Any]:
    kept = (*common.get("remarks", ()), *(f"{one[0].upper()}{one[1:]}" for one in remarks if one))
    return {**common, "remarks": tuple(one if one.endswith(".") else f"{one}." for one in kept)}
