"""How one column of a table is prepared for a network, or several that are looked at together."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.naming import auto_name
from uncrumple.layers import Discretization, Hashing, IntegerLookup, Normalization, Rescaling, StringLookup
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import one_of

# Those of `WaysToPrepare` that need no settings.
KINDS = (
    *("float", "float_normalized", "float_rescaled", "float_discretized"),
    *("integer_categorical", "integer_hashed", "string_categorical", "string_hashed"),
)
_FILE_MODULE = "keras.src.layers.preprocessing.feature_space"


class Cross:
    """Several features that are looked at together, as one category.

    Args:
        feature_names: Which.
        crossing_dim: Into how many bins their combinations are hashed.
        output_mode: `"one_hot"`, or `"int"` for numbers of bins.

    Example:
        >>> Cross(["city", "year"], crossing_dim=32).name
        'city_X_year'
    """

    def __init__(self, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot") -> None:
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = one_of("Cross", "output_mode", output_mode, ("int", "one_hot"))

    @property
    def name(self) -> str:
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        return {
            "feature_names": list(self.feature_names),
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Cross:
        return cls(**config)


class Feature:
    """How one column is prepared.

    Args:
        dtype: Type of the column: `"string"`, `"int32"`, `"float32"`, ...
        preprocessor: The layer that prepares it.
        output_mode: What comes out: `"float"` as it is, `"int"` for numbers of
            categories, or `"one_hot"` to turn these into vectors.

    Example:
        >>> Feature("float32", Rescaling(0.5), "float").output_mode
        'float'
    """

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        self.dtype = dtype
        self.preprocessor = (
            registry.deserialize_keras_object(preprocessor) if isinstance(preprocessor, dict) else preprocessor
        )
        self.output_mode = one_of("Feature", "output_mode", output_mode, ("int", "one_hot", "float"))

    def get_config(self) -> dict[str, Any]:
        return {
            "dtype": self.dtype,
            "preprocessor": registry.serialize_keras_object(self.preprocessor),
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Feature:
        return cls(**config)


class TFDIdentity(Layer):
    """Passes a column on as it is; its name is that of Keras's files.

    Shapes: the output has the shape of the input.
    """

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return x


class WaysToPrepare:
    """What a column of each kind becomes: makes features, and crosses of them. `FeatureSpace` offers it as its own."""

    @classmethod
    def cross(cls, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Return a cross of features with settings of its own."""
        return Cross(feature_names, crossing_dim, output_mode=output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """Return a feature that a layer of yours prepares."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Return a feature of numbers that stay as they are."""
        return Feature("float32", TFDIdentity(dtype="float32", name=_preprocessor("float", name)), "float")

    @classmethod
    def float_rescaled(cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None) -> Feature:
        """Return a feature of numbers that are multiplied and shifted."""
        layer = Rescaling(scale=scale, offset=offset, name=_preprocessor("float_rescaled", name))
        return Feature("float32", layer, "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Return a feature of numbers that are brought to mean 0 and variance 1."""
        return Feature("float32", Normalization(axis=-1, name=_preprocessor("float_normalized", name)), "float")

    @classmethod
    def float_discretized(
        cls, num_bins: Any, bin_boundaries: Any = None, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Return a feature of numbers that are divided into ranges."""
        layer = Discretization(
            num_bins=num_bins, bin_boundaries=bin_boundaries, name=_preprocessor("float_discretized", name)
        )
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: Any = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Return a feature of whole numbers that are categories."""
        layer = IntegerLookup(
            name=_preprocessor("integer_categorical", name), max_tokens=max_tokens, num_oov_indices=num_oov_indices
        )
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: Any = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Return a feature of strings that are categories."""
        layer = StringLookup(
            name=_preprocessor("string_categorical", name), max_tokens=max_tokens, num_oov_indices=num_oov_indices
        )
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a feature of strings that are hashed into bins."""
        return Feature("string", Hashing(name=_preprocessor("string_hashed", name), num_bins=num_bins), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a feature of whole numbers that are hashed into bins."""
        return Feature("int32", Hashing(name=_preprocessor("integer_hashed", name), num_bins=num_bins), output_mode)


def _preprocessor(kind: str, name: str | None) -> str:
    return f"{name or auto_name(kind)}_preprocessor"


registry.add_builtins("feature_space", [Cross, Feature, TFDIdentity], module=_FILE_MODULE)
