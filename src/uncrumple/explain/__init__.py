"""What a network does and why, shown: before training, while it trains, and afterwards.

Functions that take a model and data. Each module is imported when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

# Each name, and the module of this room that it is in.
_NAMES = {
    "Counterfactuals": "uncrumple.explain.tables.counterfactuals",
    "Dependence": "uncrumple.explain.tables.dependence",
    "Finding": "uncrumple.explain.findings",
    "Importance": "uncrumple.explain.tables.importance",
    "Picture": "uncrumple.explain.pictures.picture",
    "PictureAttribution": "uncrumple.explain.attribution",
    "Preflight": "uncrumple.explain.flight.run",
    "RateCurve": "uncrumple.explain.tuning.rates",
    "RowAttribution": "uncrumple.explain.attribution",
    "Stamp": "uncrumple.explain.attribution",
    "Surrogate": "uncrumple.explain.tables.surrogate",
    "TextAttribution": "uncrumple.explain.attribution",
    "UncrumpleView": "uncrumple.explain.uncrumpling.callback",
    "Uncrumpled": "uncrumple.explain.uncrumpling.view",
    "WeightPath": "uncrumple.explain.surfaces.path",
    "attention_maps": "uncrumple.explain.pictures.attention",
    "attribute": "uncrumple.explain.attribution",
    "capacity_and_data": "uncrumple.explain.overfitting.grid",
    "counterfactual": "uncrumple.explain.tables.counterfactuals",
    "counterfactual_stamp": "uncrumple.explain.attribution",
    "embedding_neighbours": "uncrumple.explain.pictures.embedding",
    "feature_maps": "uncrumple.explain.pictures.maps",
    "filters": "uncrumple.explain.pictures.kernels",
    "gate_activity": "uncrumple.explain.pictures.gates",
    "learning_rate": "uncrumple.explain.tuning.rates",
    "loss_line": "uncrumple.explain.surfaces.line",
    "loss_plane": "uncrumple.explain.surfaces.plane",
    "maximal_input": "uncrumple.explain.pictures.maximal",
    "overfitting_remedies": "uncrumple.explain.overfitting.remedies",
    "partial_dependence": "uncrumple.explain.tables.dependence",
    "permutation_importance": "uncrumple.explain.tables.importance",
    "preflight": "uncrumple.explain.flight.run",
    "race_optimizers": "uncrumple.explain.surfaces.race",
    "step_through": "uncrumple.explain.stepping.step",
    "surrogate_tree": "uncrumple.explain.tables.surrogate",
    "trace": "uncrumple.explain.tracing.trace",
    "tune": "uncrumple.explain.tuning.search",
    "uncrumple": "uncrumple.explain.uncrumpling.making",
    "weights": "uncrumple.explain.pictures.weights",
    "with_noise": "uncrumple.explain.tables.importance",
}

__all__ = [*_NAMES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        found = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = found
        return found
    from uncrumple.core.errors import no_such_name

    raise no_such_name("uncrumple.explain", name, __all__)


def __dir__() -> list[str]:
    return sorted(_NAMES)
