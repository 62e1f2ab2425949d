"""Initializers: the values that weights start from.

An initializer is called with a shape and a dtype and returns a tensor on
torch's default device. A random one draws from a generator of its own, which
its seed starts afresh at every call: the same instance therefore gives the
same values for the same shape. Without a seed it takes one, when it is made,
from Python's `random`, so that `set_random_seed` governs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core import registry
from uncrumple.core.devices import default_device
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import answer_misspellings, explain
from uncrumple.core.naming import to_snake_case
from uncrumple.initializers.base import Initializer
from uncrumple.initializers.drawn import (
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
)
from uncrumple.initializers.fixed import Constant, Identity, Ones, Zeros
from uncrumple.initializers.fourier import STFT
from uncrumple.initializers.scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,  # noqa: F401 - for whoever writes an initializer
)

constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
identity = IdentityInitializer = Identity
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
orthogonal = OrthogonalInitializer = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
stft = STFTInitializer = STFT
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros

_ALL = (
    *(Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal, LecunUniform, Ones),
    *(Orthogonal, RandomNormal, RandomUniform, STFT, TruncatedNormal, VarianceScaling, Zeros),
)
registry.add_builtins("initializers", _ALL)
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _ALL},
    **{to_snake_case(cls.__name__): cls for cls in _ALL},
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "STFTInitializer": STFT,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "one": Ones,
    "zero": Zeros,
}


def get(identifier: Any) -> Any:
    """Return the initializer that a name, config, class, function, array or None stands for.

    An array or a tensor becomes a function that returns it, for that shape only.

    Args:
        identifier: A name, a config, an initializer, a class or function, or None.

    Raises:
        ValueError: The name is not known; the message says which is meant.

    Example:
        >>> get("zeros")((2,))
        tensor([0., 0.])
    """
    if isinstance(identifier, (torch.Tensor, np.ndarray, np.generic)):
        return _as_given(identifier)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return registry.get("initializer", identifier, _BY_NAME)


def _as_given(value: Any) -> Any:
    def initialize(shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if tuple(shape) != tuple(value.shape):
            raise ValueError(
                explain(
                    f"The initial value has shape {tuple(value.shape)}, and the weight {tuple(shape)}.",
                    "Expected the two to be equal.",
                    f"value.reshape({tuple(shape)}), if it holds the same numbers",
                )
            )
        return torch.as_tensor(value, dtype=torch_dtype(dtype), device=default_device()).detach().clone()

    return initialize


def serialize(initializer: Any) -> Any:
    """Return the config of an initializer.

    Args:
        initializer: An initializer.

    Example:
        >>> serialize(Zeros())["class_name"]
        'Zeros'
    """
    return registry.serialize_keras_object(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the initializer that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize({"class_name": "Constant", "config": {"value": 2.0}})((1,))
        tensor([2.])
    """
    return registry.deserialize(config, _BY_NAME, get, custom_objects)


__all__ = [
    *[cls.__name__ for cls in _ALL],
    *[to_snake_case(cls.__name__) for cls in _ALL if cls is not STFT],
    "IdentityInitializer",
    "Initializer",
    "OrthogonalInitializer",
    "RandomInitializer",
    "STFTInitializer",
    "deserialize",
    "get",
    "serialize",
    "stft",
]

answer_misspellings(__name__)
