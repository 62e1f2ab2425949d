"""Weights of classes, as weights of the samples that belong to them."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain


def weights_of_classes(y: Any, class_weight: dict[int, float]) -> torch.Tensor:
    """Return the weight of each sample by its class; classes that are not named weigh 1.

    Raises:
        ValueError: There are several outputs, or the keys are not class numbers.
    """
    if not isinstance(class_weight, dict):
        weights, kind = list(class_weight) if hasattr(class_weight, "__iter__") else [], type(class_weight).__name__
        raise ValueError(
            explain(
                f"class_weight is {'an' if kind[0] in 'aeiou' else 'a'} {kind}.",
                "Expected a dict: {class number: weight}.",
                f"class_weight={dict(enumerate(weights)) if 0 < len(weights) <= 5 else 'dict(enumerate(weights))'}",
            )
        )
    if not isinstance(y, torch.Tensor):
        raise ValueError(
            explain(
                "class_weight was given, but there is not exactly one array of targets.",
                "Expected a model with one output.",
                "use sample_weight, one array per output",
            )
        )
    for key in class_weight:
        if isinstance(key, bool) or (not isinstance(key, int) and not (hasattr(key, "__index__"))):
            raise ValueError(
                explain(
                    f"class_weight has the key {key!r}, a {type(key).__name__}.",
                    "Expected the whole numbers that y holds.",
                    "class_weight={0: 1.0, 1: 5.0}",
                )
            )
    labels = y
    if y.ndim > 1:
        labels = y.argmax(-1) if y.shape[-1] > 1 else y.squeeze(-1)
    numbers = labels.round() if labels.is_floating_point() else labels
    kinds, which = numbers.to(torch.int64).unique(return_inverse=True)
    weights = [float(class_weight.get(kind, 1.0)) for kind in kinds.tolist()]
    return torch.tensor(weights, device=labels.device)[which]
