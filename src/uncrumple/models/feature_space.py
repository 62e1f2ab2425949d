"""`FeatureSpace`: the columns of a table, each prepared in its own way, as one vector or as a dict of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.core import registry, tree
from uncrumple.core.errors import explain, unknown_name
from uncrumple.layers import (
    CategoryEncoding,
    Concatenate,
    Discretization,
    HashedCrossing,
    Hashing,
    Input,
    IntegerLookup,
    Normalization,
    StringLookup,
    TextVectorization,
)
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import one_of
from uncrumple.layers.preprocessing.values import values_of
from uncrumple.models.features import (
    KINDS,
    Cross,
    Feature,
    TFDIdentity,  # noqa: F401 - pickles of before name it here
    WaysToPrepare,
)

# Rows that `adapt` gives a layer at a time.
_ROWS = 32


class FeatureSpace(WaysToPrepare, Layer):  # type: ignore[misc]  # `float` makes a feature, as in Keras
    """Prepares the columns of a table for a network: scales, looks up, hashes, crosses, and puts them together.

    Args:
        features: {name of the column: how}: the name of a way, such as
            `"float_normalized"`, `"string_categorical"` or `"integer_hashed"`, or what
            the methods of these names return, such as `FeatureSpace.string_categorical(max_tokens=10)`.
        output_mode: `"concat"` gives one vector for each row, `"dict"` a dict of the features.
        crosses: Lists of names of features to be looked at together, or what `FeatureSpace.cross` returned.
        crossing_dim: Into how many bins crosses are hashed.
        hashing_dim: Into how many bins hashed features are.
        num_discretization_bins: Into how many ranges discretized features are divided.
        name: As for every `Layer`.

    Shapes: a dict of columns, `(rows,)` or `(rows, 1)`, or of single values.

    Raises:
        ValueError: A kind of feature is not known, a cross names a feature
            that is not there, or it is called before `adapt`.

    Example:
        >>> space = FeatureSpace({"age": "float_rescaled", "city": "string_categorical"})
        >>> table = {"age": [30.0, 40.0], "city": ["Bern", "Rome"]}
        >>> space.adapt(table)
        >>> space(table)
        tensor([[30.,  0.,  0.,  1.],
                [40.,  0.,  1.,  0.]])
    """

    # Of those that are saved like models it has none.
    optimizer = None

    def __init__(
        self,
        features: Any,
        output_mode: str = "concat",
        crosses: Any = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(features, dict) or not features:
            raise ValueError(
                explain(
                    f"FeatureSpace got features={features!r}.",
                    "Expected a dict: {name of the column: how it is prepared}.",
                    'FeatureSpace({"age": "float_normalized", "city": "string_categorical"})',
                )
            )
        self.output_mode = one_of("FeatureSpace", "output_mode", output_mode, ("concat", "dict"))
        self.crossing_dim = crossing_dim
        self.hashing_dim = hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {key: self._feature(key, value) for key, value in features.items()}
        self.crosses = [self._cross(one) for one in crosses or []]
        self.crosses_by_name = {cross.name: cross for cross in self.crosses}
        self.inputs = {key: Input((1,), dtype=value.dtype, name=key) for key, value in self.features.items()}
        self.preprocessors = {key: value.preprocessor for key, value in self.features.items()}
        self.crossers = {cross.name: HashedCrossing(cross.crossing_dim, name=cross.name) for cross in self.crosses}
        self.one_hot_encoders: dict[str, Any] = {}
        self.concat: Any = None
        self.encoded_features: Any = None
        self._is_adapted = False

    def _feature(self, name: str, value: Any) -> Feature:
        if isinstance(value, Feature):
            return value
        if isinstance(value, dict):
            return registry.deserialize_keras_object(value)
        if value not in KINDS:
            raise ValueError(unknown_name(f"kind of the feature {name!r}", value, KINDS))
        if value == "float_discretized":
            return self.float_discretized(self.num_discretization_bins, name=name)
        if value in ("integer_hashed", "string_hashed"):
            return getattr(self, value)(self.hashing_dim, name=name)
        return getattr(self, value)(name=name)

    def _cross(self, cross: Any) -> Cross:
        if isinstance(cross, dict):
            cross = registry.deserialize_keras_object(cross)
        if not isinstance(cross, Cross):
            cross = Cross(cross, crossing_dim=self.crossing_dim)
        for name in cross.feature_names:
            if name not in self.features:
                raise ValueError(unknown_name("feature in crosses", name, self.features))
        return cross

    # --- adapt ---------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Let every feature that learns from data look at its column.

        Args:
            dataset: A dict of columns, a data frame, or what hands out batches that are dicts of columns.

        Raises:
            ValueError: It is none of these, or a column is missing.
        """
        if hasattr(dataset, "columns"):
            dataset = {column: dataset[column] for column in dataset.columns}
        if not isinstance(dataset, dict) and not hasattr(dataset, "__iter__"):
            raise ValueError(
                explain(
                    f"{self._label} got {type(dataset).__name__} in adapt().",
                    "Expected a dict of columns, a data frame, or batches that are dicts of columns.",
                    'space.adapt({"age": [30.0, 40.0], "city": ["Bern", "Rome"]})',
                )
            )
        if isinstance(dataset, Iterator):
            dataset = list(dataset)  # it is gone through once for each feature
        for name in self._list_adaptable_preprocessors():
            self.preprocessors[name].adapt(self._columns(dataset, name))
        self._is_adapted = True
        self.get_encoded_features()
        self.built = True

    def _columns(self, dataset: Any, name: str) -> Iterator[torch.Tensor]:
        """Yield one column, a number of rows at a time, in the shape (rows, 1)."""
        whole = isinstance(dataset, dict)
        for batch in [dataset] if whole else dataset:
            part = batch[0] if isinstance(batch, (list, tuple)) and batch else batch
            if not isinstance(part, dict) or name not in part:
                shown = f"columns {', '.join(map(repr, part))}" if isinstance(part, dict) else type(part).__name__
                raise ValueError(
                    explain(
                        f"{self._label} got {shown} in adapt().",
                        f"Expected columns named {', '.join(map(repr, self.features))}.",
                        f"a dict with the column {name!r}",
                    )
                )
            column = values_of(part[name], f"{self._label}['{name}']")
            column = column.reshape(-1, 1) if column.dim() < 2 else column
            yield from column.split(_ROWS) if whole else [column]

    def _list_adaptable_preprocessors(self) -> list[str]:
        """Return the names of features whose layers learn from data; what was given is not learned."""
        found = []
        for name, layer in self.preprocessors.items():
            given = isinstance(layer, Normalization) and layer.input_mean is not None
            given |= isinstance(layer, Discretization) and layer.num_bins is None
            lookup = layer._lookup_layer if isinstance(layer, TextVectorization) else layer
            given |= isinstance(lookup, (IntegerLookup, StringLookup)) and lookup._has_input_vocabulary
            if hasattr(layer, "adapt") and not given:
                found.append(name)
        return found

    def _check_adapted(self) -> None:
        if not self._is_adapted:
            if self._list_adaptable_preprocessors():
                raise ValueError(
                    explain(
                        f"{self._label} was used before adapt().",
                        f"Expected it to have seen data: {', '.join(map(repr, self._list_adaptable_preprocessors()))} learn from it.",
                        "space.adapt(table)",
                    )
                )
            self._is_adapted = True

    # --- for models ------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, Any]:
        """Return an `Input` for each column: the inputs of a model that takes the raw table."""
        self._check_adapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """Return what becomes of these inputs, as symbolic tensors: where a model of yours begins."""
        self._check_adapted()
        if self.encoded_features is None:
            self.encoded_features = self._encode(self.inputs)
        return self.encoded_features

    def _encode(self, columns: dict[str, Any]) -> Any:
        prepared = {name: self.preprocessors[name](columns[name]) for name in self.features}
        crossed = {
            cross.name: self.crossers[cross.name]([prepared[name] for name in cross.feature_names])
            for cross in self.crosses
        }
        made: dict[str, Any] = {}
        for name in sorted(prepared):
            made[name] = self._encode_one(name, prepared[name], self.features[name])
        for name in sorted(crossed):
            made[name] = self._encode_one(name, crossed[name], self.crosses_by_name[name])
        if self.output_mode == "dict":
            return made
        if self.concat is None:
            self.concat = Concatenate(axis=-1, name=f"{self.name}_concat")
        return self.concat(list(made.values())) if len(made) > 1 else next(iter(made.values()))

    def _encode_one(self, name: str, value: Any, spec: Feature | Cross) -> Any:
        """Return a prepared feature in the form that its `output_mode` asks for."""
        if spec.output_mode == "one_hot":
            if name not in self.one_hot_encoders:
                tokens = self._categories(name, value)
                self.one_hot_encoders[name] = CategoryEncoding(num_tokens=tokens, output_mode="multi_hot")
            value = self.one_hot_encoders[name](value)
        if self.output_mode == "concat" and not value.is_floating_point():
            raise ValueError(
                explain(
                    f"{self._label}: the feature '{name}' is of type {str(value.dtype).removeprefix('torch.')}, and cannot be joined with others.",
                    "Expected floats: a feature as it is, or one-hot vectors.",
                    'output_mode="one_hot" for the feature, or FeatureSpace(..., output_mode="dict")',
                )
            )
        return value

    def _categories(self, name: str, value: Any) -> int:
        """Return how many categories a feature has."""
        layer = self.preprocessors.get(name) or self.crossers.get(name)
        if not value.is_floating_point():
            if isinstance(layer, (IntegerLookup, StringLookup)):
                return layer.vocabulary_size()
            if isinstance(layer, Discretization):
                return layer.num_bins or len(layer.bin_boundaries or []) + 1
            if isinstance(layer, (Hashing, HashedCrossing)):
                return layer.num_bins
            if isinstance(layer, CategoryEncoding):
                return layer.num_tokens
        raise ValueError(
            explain(
                f"{self._label}: the feature '{name}' has output_mode='one_hot', and {type(layer).__name__} gives {str(value.dtype).removeprefix('torch.')}."
                if value.is_floating_point()
                else f"{self._label}: the feature '{name}' has output_mode='one_hot', and how many categories {type(layer).__name__} gives is not known.",
                "Expected a layer that gives numbers of categories, such as StringLookup.",
                'output_mode="float"' if value.is_floating_point() else 'output_mode="int"',
            )
        )

    # --- calling -------------------------------------------------------------------------

    def __call__(self, data: Any) -> Any:
        """Return the features of a dict of columns, or of single values."""
        self._check_adapted()
        if hasattr(data, "columns"):
            data = {column: data[column] for column in data.columns}
        if not isinstance(data, dict) or data.keys() != self.features.keys():
            shown = f"columns {', '.join(map(repr, data))}" if isinstance(data, dict) else type(data).__name__
            raise ValueError(
                explain(
                    f"{self._label} got {shown}.",
                    f"Expected a dict of columns named {', '.join(map(repr, self.features))}.",
                    "{name: table[name] for name in space.features}",
                )
            )
        columns = {name: values_of(value, f"{self._label}['{name}']") for name, value in data.items()}
        single = any(column.dim() == 0 for column in columns.values())
        columns = {name: column.reshape(-1, 1) if column.dim() < 2 else column for name, column in columns.items()}
        made = self._encode(columns)
        return tree.map_structure(lambda value: value.squeeze(0), made) if single else made

    # --- files ---------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "features": registry.serialize_dict(self.features),
            "output_mode": self.output_mode,
            "crosses": registry.serialize_keras_object(self.crosses),
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        with registry.custom_object_scope(custom_objects or {}):
            return cls(**config)

    def get_build_config(self) -> dict[str, Any]:
        return {name: feature.preprocessor.get_build_config() for name, feature in self.features.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layers that are not built: a file's have seen data."""
        for name, part in config.items():
            layer = self.preprocessors.get(name)
            if layer is not None and not layer.built and part:
                layer.build_from_config(part)
        self._is_adapted = True

    def save(self, filepath: Any) -> None:
        """Save to a `.keras` file, which `load_model` reads.

        Args:
            filepath: Path that ends in `.keras`.
        """
        from uncrumple.models import keras_file
        from uncrumple.models.file_names import path_of

        path = path_of(filepath, "save")
        self._check_adapted()
        if not path.endswith(".keras"):
            raise ValueError(
                explain(
                    f"save got the path '{path}'.", "Expected one that ends in .keras.", "space.save('features.keras')"
                )
            )
        keras_file.write(self, path)

    def save_own_variables(self, store: Any) -> None:
        """Nothing of its own to save."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing of its own to load."""


registry.add_builtins("utils", [FeatureSpace])
