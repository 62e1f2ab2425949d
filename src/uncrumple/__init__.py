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
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "data",
    "datasets",
    "distribution",
    "dtype_policies",
    "explain",
    "export",
    "initializers",
    "judge",
    "layers",
    "legacy",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "quantizers",
    "random",
    "regularizers",
    "saving",
    "tree",
    "utils",
    "visualization",
    "wrappers",
)
_NAMES = {
    "DTypePolicy": "uncrumple.core.dtypes",
    "FloatDTypePolicy": "uncrumple.dtype_policies",
    "Function": "uncrumple.models.function",
    "Initializer": "uncrumple.initializers",
    "Input": "uncrumple.layers",
    "InputSpec": "uncrumple.layers",
    "KerasTensor": "uncrumple.layers",
    "Layer": "uncrumple.layers",
    "Loss": "uncrumple.losses",
    "Metric": "uncrumple.metrics",
    "Model": "uncrumple.models",
    "Operation": "uncrumple.layers.operation",
    "Optimizer": "uncrumple.optimizers",
    "Quantizer": "uncrumple.quantizers",
    "Regularizer": "uncrumple.regularizers",
    "RematScope": "uncrumple.core.remat",
    "Sequential": "uncrumple.models",
    "StatelessScope": "uncrumple.core.stateless",
    "SymbolicScope": "uncrumple.layers.symbolic",
    "UncrumpleWarning": "uncrumple.core.errors",
    "Variable": "uncrumple.core.variable",
    "device": "uncrumple.core.devices",
    "fit_many": "uncrumple.training.many",
    "from_torch": "uncrumple.layers.wrappers",
    "k_folds": "uncrumple.data.folds",
    "name_scope": "uncrumple.core.naming",
    "preflight": "uncrumple.explain.flight.run",
    "remat": "uncrumple.core.remat",
    "step_through": "uncrumple.explain.stepping.step",
    "trace": "uncrumple.explain.tracing.trace",
    "tune": "uncrumple.explain.tuning.search",
    "uncrumple": "uncrumple.explain.uncrumpling.making",
}

if TYPE_CHECKING:
    from uncrumple import (
        activations,
        applications,
        backend,
        callbacks,
        config,
        constraints,
        data,
        datasets,
        distribution,
        dtype_policies,
        explain,
        export,
        initializers,
        judge,
        layers,
        legacy,
        losses,
        metrics,
        mixed_precision,
        models,
        ops,
        optimizers,
        preprocessing,
        quantizers,
        random,
        regularizers,
        saving,
        tree,
        utils,
        visualization,
        wrappers,
    )
    from uncrumple.core.devices import device
    from uncrumple.core.dtypes import DTypePolicy
    from uncrumple.core.errors import UncrumpleWarning
    from uncrumple.core.naming import name_scope
    from uncrumple.core.remat import RematScope, remat
    from uncrumple.core.stateless import StatelessScope
    from uncrumple.core.variable import Variable
    from uncrumple.data.folds import k_folds
    from uncrumple.dtype_policies import FloatDTypePolicy
    from uncrumple.explain.flight.run import preflight
    from uncrumple.explain.stepping.step import step_through
    from uncrumple.explain.tracing.trace import trace
    from uncrumple.explain.tuning.search import tune
    from uncrumple.explain.uncrumpling.making import uncrumple
    from uncrumple.initializers import Initializer
    from uncrumple.layers import Input, InputSpec, KerasTensor, Layer
    from uncrumple.layers.operation import Operation
    from uncrumple.layers.symbolic import SymbolicScope
    from uncrumple.layers.wrappers import from_torch
    from uncrumple.losses import Loss
    from uncrumple.metrics import Metric
    from uncrumple.models import Model, Sequential
    from uncrumple.models.function import Function
    from uncrumple.optimizers import Optimizer
    from uncrumple.quantizers import Quantizer
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
