"""`model.quantize`: which layers of a model are quantized."""

from __future__ import annotations

import re
from typing import Any

from uncrumple import quantizers
from uncrumple.core.errors import explain, unknown_argument, warn
from uncrumple.layers.adaptable import Adaptable


def quantize(model: Any, mode: str | None, config: Any, filters: Any, **kwargs: Any) -> None:
    """Quantize the layers of a model that can be, and that `filters` lets through.

    Args:
        model: A model with weights.
        mode: "int8".
        config: `Int8QuantizationConfig`, for quantizers of one's own.
        filters: Which layers: a regular expression for their names, a list of these, or a function of the layer.
        kwargs: `type_check`.

    Raises:
        ValueError: The mode is unknown, or an argument has the wrong type.
        NotImplementedError: The mode is one of Keras's that are not available.
    """
    type_check = kwargs.pop("type_check", True)
    if kwargs:
        raise ValueError(unknown_argument("quantize", next(iter(kwargs)), ["mode", "config", "filters", "type_check"]))
    config = quantizers.resolved(mode, config)
    if filters is not None and not (callable(filters) or isinstance(filters, (str, list, tuple))):
        raise ValueError(
            explain(
                f"quantize got filters={filters!r}.",
                "Expected a regular expression, a list of them, or a function of a layer.",
                'quantize("int8", filters="dense")',
            )
        )
    count = 0
    for layer in model._flatten_layers():
        if not isinstance(layer, Adaptable) or not layer._takes_int8 or not _wanted(layer, filters):
            continue
        try:
            layer.quantize("int8", type_check=type_check, config=config)
        except NotImplementedError as error:
            first, expected, fix = str(error).split("\n")
            warn(first, expected.removeprefix("Expected "), fix.removeprefix("Fix: "))
        else:
            count += 1
    if count == 0:
        warn(
            f"quantize changed nothing in '{model.name}': none of its layers can be quantized, or is meant.",
            "Expected Dense, EinsumDense, Embedding or ReversibleEmbedding among them.",
            "none needed, if this was meant",
        )


def _wanted(layer: Any, filters: Any) -> bool:
    if filters is None:
        return True
    if callable(filters):
        return bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    return any(re.search(pattern, layer.name) for pattern in patterns)
