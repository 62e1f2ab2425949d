"""Save and load: whole models as `.keras` or `.h5`, weights as `.weights.h5` or `.safetensors`.

Here paths and arguments are checked; what is in the files is in
`keras_file.py`, `weights_file.py` and `safetensors_file.py`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.core import limits, registry, sharing
from uncrumple.core.errors import explain, warn
from uncrumple.core.files import atomic_write, not_found
from uncrumple.layers.symbolic import is_explained
from uncrumple.models import assets, keras_file, legacy_writing, safetensors_file, shards
from uncrumple.models.documents import Unreadable, check_layers, parse
from uncrumple.models.feature_space import FeatureSpace
from uncrumple.models.file_names import (
    OLD,
    check_built,
    check_free,
    check_name_of_model,
    check_readable_as_model,
    check_readable_as_weights,
    no_more,
    path_of,
    refuse_by_name,
    refuse_skip,
    stem,
)
from uncrumple.models.hdf5 import File, check_seal, count_numbers, opened
from uncrumple.models.keras_file import KerasFile
from uncrumple.models.legacy_hdf5 import LegacyFile, legacy_group
from uncrumple.models.legacy_hdf5 import load_weights as load_legacy_weights
from uncrumple.models.model import Model
from uncrumple.models.weights_file import read_weights, size_of, write_weights

# Weights beyond those that a file holds, which a model may still make: what layers do not store.
_FREE_NUMBERS = 2**24


# --- whole models ---------------------------------------------------------------------------


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Save a whole model as a `.keras` or `.h5` file: layers, weights, optimizer, and what `compile` was given.

    Keras opens it too, and goes on training where this model stopped. The file
    is complete or not there: if writing fails, an older file of that name
    stays as it was.

    Args:
        model: A model whose weights are made.
        filepath: Path in a folder that exists. It ends in `.keras`, or in `.h5` or `.hdf5` for
            the form of Keras 2, which cannot hold all that the other can, such as files of layers.
        overwrite: Replace a file that is there; otherwise raise.
        zipped: None or True; the other form, a folder, is not written.
        include_optimizer: Whether to save what the optimizer has learned about the weights; True by default.

    Raises:
        ValueError: The path ends otherwise, the model is not built, or it holds a lambda.
        TypeError: Something in it has no config.
        FileExistsError: The file is there, and `overwrite` is False.
        OSError: It cannot be written.

    Example:
        >>> import tempfile
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((4,)), Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(model, f"{folder}/model.keras")
        ...     load_model(f"{folder}/model.keras").output_shape
        (None, 3)
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    no_more(kwargs, save_model, "save", "include_optimizer")
    path = path_of(filepath, "save")
    if zipped is False:
        raise ValueError(explain("save got zipped=False.", "Expected None or True.", f"model.save({path!r})"))
    check_name_of_model(path)
    check_built(model, "save")
    check_free(path, overwrite)
    if isinstance(model.optimizer, torch.optim.Optimizer) and not hasattr(model.optimizer, "get_config"):
        warn(
            f"'{path}' will hold '{model.name}' without its optimizer, {type(model.optimizer).__name__} of torch.",
            "Expected an optimizer of uncrumple, whose settings can be written down.",
            "compile with uncrumple.optimizers, or save model.optimizer.state_dict() yourself and compile after loading",
        )
    if path.endswith(OLD):
        legacy_writing.write(model, path, include_optimizer)
    else:
        keras_file.write(model, path, skip=[] if include_optimizer else [model.optimizer])


def load_model(filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """Load a model from a `.keras` file that `save_model`, or Keras 3 with any backend, wrote.

    Models in the older `.h5` form of Keras 1, 2 and 3 are read too.

    Loading runs no code from the file and imports nothing that it names:
    classes of your own must be registered, or given here.

    Args:
        filepath: Path of the file.
        custom_objects: {name: class or function} for names that are not registered. For a Lambda
            layer whose code is in the file, {name of the layer: function}: the file's code is never run.
        compile: Whether to compile the model as it was, with the state of its optimizer.
        safe_mode: Taken for Keras's sake. False changes nothing: code in a file is refused either way.

    Returns:
        The model, ready to predict, and to go on training if it was compiled.

    Raises:
        FileNotFoundError: There is no such file; the message names one that may be meant.
        ValueError: It is damaged, of another kind, or carries code.
        TypeError: It names a class that is not known.
    """
    path = path_of(filepath, "load_model")
    check_readable_as_model(path)
    _tell_of_shadows(custom_objects or {}, path)
    if path.endswith(OLD):
        return _load_old(path, custom_objects, compile)
    with KerasFile(path) as file:
        config = file.config()
        if not compile:
            config["compile_config"] = None
        with file.weights() as h5:
            with file.explaining("has damaged weights"):
                numbers = count_numbers(h5)
            with limits.at_most(4 * numbers + _FREE_NUMBERS):
                model = _make(config, custom_objects, f"'{path}'")
            with file.explaining("has damaged weights"):
                read_weights(model, [h5], path, fresh=True)
        assets.hand_out(model, file.assets())
    return model


def _tell_of_shadows(custom_objects: dict[str, Any], path: str) -> None:
    """Warn of objects of the caller's that have the name of something built in."""
    names = [name for name in custom_objects if registry.is_builtin_name(str(name))]
    if names:
        classes = "" if path.endswith(OLD) else "; classes that the file says are Keras's stay Keras's"
        warn(
            f"custom_objects gives {', '.join(map(repr, names[:4]))}, which uncrumple has as well.",
            f"Expected names of your own; where '{path}' goes by the name alone, yours is taken{classes}.",
            "none needed, if this was meant; otherwise leave it out",
        )


def _load_old(path: str, custom_objects: Any, compile: bool) -> Any:
    """Load a model from a file in the older form."""
    with _open_hdf5(path, "a model file") as h5:
        with registry.CustomObjectScope(custom_objects or {}):
            file = LegacyFile(h5, path)
            config = file.config()
        with limits.at_most(4 * count_numbers(h5) + _FREE_NUMBERS):
            model = _make(config, custom_objects, f"'{path}'")
        file.load_weights(model)
        if compile:
            with registry.CustomObjectScope(custom_objects or {}):
                file.compile(model)
    return model


def model_from_json(json_string: str, custom_objects: Any = None) -> Any:
    """Return the model that `model.to_json()` described, with new weights.

    Args:
        json_string: The text.
        custom_objects: {name: class or function} for names that are not registered.

    Raises:
        ValueError: It is not JSON, or describes no model.
        TypeError: It names a class that is not known.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model_from_json(Sequential([Input((4,)), Dense(3)]).to_json()).output_shape
        (None, 3)
    """
    try:
        config = parse(json_string)
        check_layers(config)
    except (AttributeError, TypeError, ValueError) as error:
        said = str(error) if isinstance(error, Unreadable) else "is no text"
        raise ValueError(
            explain(
                f"model_from_json got text that {said}.",
                "Expected what model.to_json() returned.",
                "load_model(path) for a file"
                if str(json_string).endswith(".keras")
                else "model_from_json(model.to_json())",
            )
        ) from None
    return _make(config, custom_objects, "the JSON text")


def _make(config: Any, custom_objects: Any, source: str) -> Any:
    """Return the model of a config, whatever the config says."""
    try:
        with registry.CustomObjectScope(custom_objects or {}), sharing.reading():
            model = registry.deserialize_keras_object(config)
    except Exception as error:  # of any type: a wrong config leads anywhere
        if is_explained(error) and isinstance(error, (TypeError, ValueError)):
            raise
        text = str(error).split("\n")[0][:200]
        raise ValueError(
            explain(
                f"The model in {source} cannot be made: {type(error).__name__}: {text}.",
                "Expected a config whose classes take what it says.",
                "if a class of your own fails, look at its get_config() and __init__; otherwise the config is damaged",
            )
        ) from error
    if not isinstance(model, (Model, FeatureSpace)):
        raise ValueError(
            explain(
                f"There is no model in {source}, but {type(model).__name__}.",
                "Expected the config of a model.",
                "use uncrumple.layers.deserialize for a layer",
            )
        )
    return model


# --- weights ----------------------------------------------------------------------------------


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kwargs: Any
) -> None:
    """Save the weights of a model.

    Args:
        model: A model whose weights are made.
        filepath: Path that ends in `.weights.h5` (Keras's format, with the state of the optimizer), or in
            `.safetensors` (the names of `model.state_dict()`, without the optimizer).
        overwrite: Replace a file that is there; otherwise raise.
        max_shard_size: Most gigabytes (of 1024**3 bytes) in one file. The weights then go into
            `name_00000.weights.h5`, `name_00001.weights.h5`, ..., and an index of them
            into `name.weights.json`, the path to load them by.
        objects_to_skip: Layers or optimizers to leave out; for `.weights.h5`.

    Raises:
        ValueError: The path ends otherwise, or the model is not built.
        FileExistsError: The file is there, and `overwrite` is False.
        OSError: It cannot be written.
    """
    skip = kwargs.pop("objects_to_skip", None) or []
    no_more(kwargs, save_weights, "save_weights", "objects_to_skip")
    path = path_of(filepath, "save_weights")
    if max_shard_size is not None:
        _save_sharded(model, path, overwrite, max_shard_size, skip)
        return
    if not path.endswith((".weights.h5", ".safetensors")):
        fix = f"model.save_weights({path!r}, max_shard_size=5)" if path.endswith(shards.SUFFIX) else None
        fix = f"model.save({path!r}) for the whole model" if path.endswith(".keras") else fix
        raise ValueError(
            explain(
                f"save_weights got the path '{path}'.",
                "Expected one that ends in .weights.h5 or .safetensors.",
                fix or f"model.save_weights('{stem(path)}.weights.h5')",
            )
        )
    check_built(model, "save_weights")
    check_free(path, overwrite)
    if path.endswith(".safetensors"):
        refuse_skip(skip, path)
        safetensors_file.write(model, path)
        return
    with atomic_write(path, size_of(model)) as file:
        write_weights(model, file, skip)


def _save_sharded(model: Any, path: str, overwrite: bool, most: Any, skip: list[Any]) -> None:
    if not isinstance(most, (int, float)) or isinstance(most, bool) or not most > 0:
        raise ValueError(
            explain(
                f"save_weights got max_shard_size={most!r}.",
                "Expected a number of gigabytes above 0.",
                "max_shard_size=5 for files of at most 5 GB",
            )
        )
    if not path.endswith((".weights.h5", shards.SUFFIX)):
        raise ValueError(
            explain(
                f"save_weights got the path '{path}' with max_shard_size.",
                "Expected one that ends in .weights.json, the index of several files.",
                f"model.save_weights('{stem(path)}.weights.json', max_shard_size={most!r})",
            )
        )
    path = shards.index_path(path)
    check_built(model, "save_weights")
    check_free(path, overwrite)
    shards.write(model, path, float(most), skip)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Load weights into a model; if something does not fit, nothing is changed.

    Args:
        model: A model whose weights are made, with the same layers as the one that was saved.
        filepath: A `.weights.h5`, `.keras` or `.safetensors` file, the `.weights.json` of several
            files, or an `.h5` file of Keras 2.
        skip_mismatch: Whether layers that do not fit are left as they are, with a warning.
        objects_to_skip: Layers or optimizers to leave alone; not for `.safetensors`.
        by_name: For an `.h5` file of Keras 2: load only layers whose names are in it. Else
            layers are matched by their order, unless all names are equal.

    Raises:
        FileNotFoundError: There is no such file; the message names one that may be meant.
        ValueError: The file does not fit the model, or is damaged.
    """
    skip = kwargs.pop("objects_to_skip", None) or []
    by_name = bool(kwargs.pop("by_name", False))
    no_more(kwargs, load_weights, "load_weights", "objects_to_skip", "by_name")
    path = path_of(filepath, "load_weights")
    check_readable_as_weights(path)
    check_built(model, "load_weights")
    if path.endswith(shards.SUFFIX):
        refuse_by_name(by_name, path)
        with _explaining(path, "a set of weights files"):
            shards.read(model, path, skip, skip_mismatch)
        return
    if path.endswith((".keras", ".safetensors")):
        refuse_by_name(by_name, path)
    if path.endswith(".keras"):
        with KerasFile(path) as file, file.weights() as h5, file.explaining("has damaged weights"):
            read_weights(model, [h5], path, skip=skip, skip_mismatch=skip_mismatch)
        return
    if not os.path.isfile(path):
        raise not_found(path, (".h5", ".safetensors", ".keras"))
    if path.endswith(".safetensors"):
        refuse_skip(skip, path)
        safetensors_file.read(model, path, skip_mismatch)
        return
    with _open_hdf5(path, "a weights file") as h5:
        old = legacy_group(h5)
        if old is None:
            refuse_by_name(by_name, path)
            read_weights(model, [h5], path, skip=skip, skip_mismatch=skip_mismatch)
        else:
            refuse_skip(skip, path)
            check_seal(h5, path, legacy_writing.TEXTS)
            load_legacy_weights(model, old, path, skip_mismatch, by_name)


@contextlib.contextmanager
def _open_hdf5(path: str, kind: str) -> Iterator[File]:
    """Open a file that may not be what its name says."""
    with open(path, "rb") as raw, _explaining(path, kind), opened(raw) as h5:
        yield h5


@contextlib.contextmanager
def _explaining(path: str, kind: str) -> Iterator[None]:
    """Turn whatever HDF5 says about wrong bytes into an error with the path in it."""
    try:
        yield
    except Exception as error:
        if is_explained(error):
            raise
        text = str(error).split("\n")[0][:120]
        raise ValueError(
            explain(
                f"'{path}' is damaged, or not {kind} ({type(error).__name__}: {text}).",
                f"Expected what model.save{'_weights' * ('weights' in kind)}(path) wrote.",
                "get the file again, or save the weights again",
            )
        ) from None
