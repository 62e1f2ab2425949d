"""uncrumple: Keras's workflow straight on PyTorch.

`import uncrumple as keras` offers Keras's names. Rooms are imported when they
are first used, so that `import uncrumple` costs little more than nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_ROOMS = (
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "initializers",
    "judge",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "tree",
    "utils",
)
_NAMES = {
    "DTypePolicy": "uncrumple.core.dtypes",
    "Initializer": "uncrumple.initializers",
    "Input": "uncrumple.layers",
    "InputSpec": "uncrumple.layers",
    "KerasTensor": "uncrumple.layers",
    "Layer": "uncrumple.layers",
    "Loss": "uncrumple.losses",
    "Metric": "uncrumple.metrics",
    "Model": "uncrumple.models",
    "Optimizer": "uncrumple.optimizers",
    "Regularizer": "uncrumple.regularizers",
    "Sequential": "uncrumple.models",
    "UncrumpleWarning": "uncrumple.core.errors",
    "Variable": "uncrumple.core.variable",
    "fit_many": "uncrumple.training.many",
    "k_folds": "uncrumple.data.folds",
}

if TYPE_CHECKING:
    from uncrumple import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        dtype_policies,
        initializers,
        judge,
        layers,
        losses,
        metrics,
        mixed_precision,
        models,
        ops,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        tree,
        utils,
    )
    from uncrumple.core.dtypes import DTypePolicy
    from uncrumple.core.errors import UncrumpleWarning
    from uncrumple.core.variable import Variable
    from uncrumple.data.folds import k_folds
    from uncrumple.initializers import Initializer
    from uncrumple.layers import Input, InputSpec, KerasTensor, Layer
    from uncrumple.losses import Loss
    from uncrumple.metrics import Metric
    from uncrumple.models import Model, Sequential
    from uncrumple.optimizers import Optimizer
    from uncrumple.regularizers import Regularizer
    from uncrumple.training.many import fit_many


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        found: Any = importlib.import_module(f"uncrumple.{name}")
    elif name in _NAMES:
        found = getattr(importlib.import_module(_NAMES[name]), name)
    else:
        from uncrumple.core.errors import no_such_name

        raise no_such_name("uncrumple", name, __all__)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*_ROOMS, *_NAMES, "__version__"])


def version() -> str:
    """Return the version of uncrumple."""
    return __version__


__all__ = ["__version__", "version", *_ROOMS, *_NAMES]
