"""Which files save and load take, and what is said about the others."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

from uncrumple.core.errors import explain, unknown_argument
from uncrumple.core.files import not_found
from uncrumple.models.model import Model

# Names of files in the older form.
OLD = (".h5", ".hdf5")
_TORCH = (".pt", ".pth", ".bin", ".ckpt")


def path_of(filepath: Any, method: str) -> str:
    if not isinstance(filepath, (str, os.PathLike)) or not isinstance(os.fspath(filepath), str):
        raise TypeError(
            explain(
                f"{method} got {filepath!r}, a {type(filepath).__name__}, as its path.",
                "Expected a path.",
                f"{method}('model.keras')",
            )
        )
    path = os.fspath(filepath)
    if "://" in path:
        raise ValueError(
            explain(
                f"{method} got '{path}'.",
                "Expected a path on this computer.",
                "download or upload the file with another program",
            )
        )
    return path


def stem(path: str) -> str:
    for suffix in (
        ".weights.h5",
        ".weights.json",
        ".h5py",
        *OLD,
        *_TORCH,
        ".keras",
        ".safetensors",
        ".json",
        ".npz",
        ".pkl",
    ):
        if path.endswith(suffix) and os.path.basename(path) != suffix:
            return path.removesuffix(suffix)
    return path.rstrip("/")


def no_more(kwargs: dict[str, Any], function: Callable[..., Any], method: str, *also: str) -> None:
    if not kwargs:
        return
    known = [*inspect.signature(function).parameters, *also]
    name = next(iter(kwargs))
    raise ValueError(unknown_argument(method, name, [word for word in known if word != "model"]))


def check_built(model: Any, method: str) -> None:
    if not isinstance(model, Model):
        shown = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise TypeError(explain(f"{method} got {shown}.", "Expected a model.", f"model.{method}(path)"))
    if not model.built:
        raise ValueError(
            explain(
                f"Model '{model.name}': {method} was called before its weights were made.",
                "Expected a model that knows the shape of its input.",
                "begin it with Input(shape), or call it on data once: model(x[:1])",
            )
        )


def check_free(path: str, overwrite: bool) -> None:
    if not overwrite and os.path.exists(path):
        raise FileExistsError(
            explain(f"'{path}' is there already.", "Expected a new name, as overwrite=False.", "overwrite=True")
        )


def check_name_of_model(path: str) -> None:
    if path.endswith((".keras", *OLD)) and not path.endswith(".weights.h5"):
        return
    expected, fix = (
        "Expected a path that ends in .keras, or in .h5 for the older form.",
        f"model.save('{stem(path)}.keras')",
    )
    if path.endswith(".weights.h5"):
        fix = f"model.save_weights({path!r}) for the weights alone, or {fix}"
    elif path.endswith(".safetensors"):
        fix = f"model.save_weights({path!r}), or {fix}"
    raise ValueError(explain(f"save got the path '{path}'.", expected, fix))


def check_readable_as_model(path: str) -> None:
    """Refuse files of kinds that are known not to hold a model that can be loaded."""
    if path.endswith((".weights.h5", ".weights.json", ".safetensors")):
        kind, fix = "holds weights without a model", f"build the model, then model.load_weights({path!r})"
    elif path.endswith(OLD) and os.path.isfile(path):
        return
    elif path.endswith(OLD) and not os.path.exists(path):
        raise not_found(path, (".h5", ".hdf5", ".keras"))
    elif path.endswith(_TORCH):
        kind = "is a file of torch"
        fix = "build the model, then model.load_state_dict(torch.load(path, weights_only=True))"
    elif os.path.isdir(path):
        is_tensorflow = os.path.exists(os.path.join(path, "saved_model.pb"))
        kind = "is a folder" + (" with a TensorFlow SavedModel" if is_tensorflow else "")
        fix = "save the model again with Keras 3: model.save('model.keras')"
    elif not path.endswith(".keras") and not os.path.exists(path):
        raise not_found(path, (".keras",))
    elif not path.endswith(".keras"):
        kind, fix = "does not end in .keras", "rename it, if it is a .keras file"
    else:
        return
    raise ValueError(explain(f"load_model got '{path}', which {kind}.", "Expected a .keras file.", fix))


def check_readable_as_weights(path: str) -> None:
    if path.endswith((".weights.h5", ".weights.json", ".keras", ".safetensors", *OLD)):
        return
    expected = "Expected a .weights.h5, .weights.json, .keras or .safetensors file."
    fix = "rename it to end in .weights.h5, if Keras 3 wrote it with save_weights"
    if path.endswith(_TORCH):
        fix = "model.load_state_dict(torch.load(path, weights_only=True))"
    elif not os.path.exists(path):
        raise not_found(path, (".weights.h5", ".safetensors", ".keras"))
    raise ValueError(explain(f"load_weights got the path '{path}'.", expected, fix))


def refuse_skip(skip: list[Any], path: str) -> None:
    if skip:
        raise ValueError(
            explain(
                f"objects_to_skip was given with '{path}'.",
                "Expected it with .weights.h5 or .keras files only.",
                "skip_mismatch=True, or a .weights.h5 file",
            )
        )


def refuse_by_name(by_name: bool, path: str) -> None:
    if by_name:
        raise ValueError(
            explain(
                f"by_name was given with '{path}'.",
                "Expected it with .h5 files of Keras 2 only: other files do not hold names of layers.",
                "skip_mismatch=True, which leaves layers that do not fit as they are",
            )
        )
