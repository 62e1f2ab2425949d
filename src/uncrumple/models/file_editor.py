"""Look into a file of weights, and change names and arrays in it before a model loads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from uncrumple.core.errors import closest, explain
from uncrumple.core.files import atomic_write, not_found
from uncrumple.models.hdf5 import Seal, check_seal, create, opened, put_seal, put_text, tree_of, written
from uncrumple.models.keras_file import KerasFile
from uncrumple.models.weights_file import store_parts

_SUFFIXES = (".keras", ".weights.h5")


class KerasFileEditor:
    """Opens the weights in a `.keras` or `.weights.h5` file to compare, rename, add and delete them.

    For a file whose model has changed since: rename what is called otherwise,
    delete what is gone, add what is new, and `save` the rest under another
    name. The file itself stays as it is.

    Args:
        filepath: Path that ends in `.keras` or `.weights.h5`.

    Objects are the parts of a model, such as `layers/dense_1`; each holds arrays called "0", "1", ... An object can be named by its last name
    alone where that is the only one.

    Example:
        >>> import tempfile
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Sequential([Input((2,)), Dense(1)]).save_weights(f"{folder}/a.weights.h5")
        ...     editor = KerasFileEditor(f"{folder}/a.weights.h5")
        ...     editor.rename_object("dense", "first")
        ...     sorted(editor.weights_dict["layers"])
        Keras model file '...a.weights.h5'
        ['first']
    """

    def __init__(self, filepath: Any) -> None:
        path = os.fspath(filepath)
        self.filepath = path
        self.metadata: dict[str, Any] | None = None
        self.config: dict[str, Any] | None = None
        self.model = None
        if not path.endswith(_SUFFIXES):
            raise ValueError(
                explain(
                    f"KerasFileEditor got the path '{path}'.",
                    "Expected one that ends in .keras or .weights.h5.",
                    "model.save_weights('model.weights.h5'), and open that",
                )
            )
        if not os.path.isfile(path):
            raise not_found(path, _SUFFIXES)
        if path.endswith(".keras"):
            with KerasFile(path) as file:
                self.config, self.metadata = file.config(), file.metadata()
                with file.weights() as h5, file.explaining("has damaged weights"):
                    found = tree_of(h5)
        else:
            with open(path, "rb") as raw, opened(raw) as h5:
                check_seal(h5, path)
                found = tree_of(h5)
        self.object_metadata: dict[str, dict[str, str]] = {}
        self.weights_dict = self._without_names(found, "")
        print(f"Keras model file '{path}'")
        if self.metadata is not None:
            version, date = self.metadata.get("keras_version"), self.metadata.get("date_saved")
            print(f"Saved with Keras {version} - date: {date}")

    def _without_names(self, part: dict[str, Any], path: str) -> dict[str, Any]:
        """Return the arrays of objects beside what the objects hold, without the groups `vars` between them."""
        if "" in part:
            self.object_metadata[path] = {"name": part[""]}
        found: dict[str, Any] = {}
        for key, value in part.items():
            if key == "vars" and isinstance(value, dict):
                found.update(self._without_names(value, path))
            elif isinstance(value, dict):
                found[key] = self._without_names(value, f"{path}/{key}" if path else key)
            elif key:
                found[key] = value
        return found

    # --- looking ------------------------------------------------------------------------

    def summary(self) -> None:
        """Print every object and array in the file, as a tree."""
        print("Weights structure")
        self._show(self.weights_dict, "  ", "")

    def _show(self, part: dict[str, Any], indent: str, path: str) -> None:
        for index, (key, value) in enumerate(part.items()):
            last = index == len(part) - 1
            here = f"{path}/{key}" if path else key
            line = f"{indent}{'└─' if last else '├─'} {key}"
            if isinstance(value, dict):
                name = self.object_metadata.get(here, {}).get("name")
                print(f"{line} ('{name}')" if name else line)
                self._show(value, indent + ("    " if last else "│   "), here)
            else:
                print(f"{line}: shape={tuple(np.shape(value))}, dtype={np.asarray(value).dtype}")

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Compare the file with a model, and print where they differ.

        Args:
            reference_model: The model that shall load the file.

        Returns:
            {"status": "success" or "error", "error_count": differences, "match_count": arrays that fit}.
        """
        print("Running comparison")
        mine = {path: np.shape(value) for path, value in _flat(self.weights_dict)}
        theirs = _shapes_of(reference_model)
        errors = 0
        # A whole object that is missing counts once.
        for ours, others, there, here in (
            (mine, theirs, "reference model", "saved file"),
            (theirs, mine, "saved file", "reference model"),
        ):
            known = _prefixes(ours)
            for path in dict.fromkeys(_first_missing(path, known) for path in others if path not in ours):
                errors += 1
                inside = sorted(name[len(path) + 1 :] for name in others if name.startswith(f"{path}/"))
                what = "Object" if inside else "Weight"
                print(f"...{what} /{path} present in {there}, missing from {here}")
                if inside:
                    print(f"    In {there}, /{path} contains: {', '.join(inside)}")
        matches = 0
        for path, shape in theirs.items():
            if path in mine and mine[path] != shape:
                errors += 1
                print(f"...Weight shape mismatch for /{path}")
                print(f"    In reference model: shape={shape}\n    In saved file: shape={mine[path]}")
            matches += path in mine and mine[path] == shape
        if errors:
            print(f"Found {errors} error{'s' * (errors != 1)}: the saved file does not fit the reference model")
        else:
            print(f"Comparison successful: {matches} matching weight{'s' * (matches != 1)}")
        return {"status": "error" if errors else "success", "error_count": errors, "match_count": matches}

    # --- changing -----------------------------------------------------------------------

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object another name, in the same place.

        Args:
            object_name: Its name or path, such as `"dense_2"` or `"layers/dense_2"`.
            new_name: The new name, without a path.
        """
        if "/" in new_name or not new_name:
            raise ValueError(
                explain(
                    f"rename_object got new_name={new_name!r}.",
                    "Expected the last name alone: an object stays where it is.",
                    f"rename_object({object_name!r}, {new_name.rpartition('/')[2] or 'dense'!r})",
                )
            )

        def rename(owner: dict[str, Any], name: str) -> None:
            if new_name in owner and new_name != name:
                raise ValueError(
                    explain(
                        f"There is an object '{new_name}' beside '{name}' already.",
                        "Expected a new name.",
                        f"delete_object({new_name!r}) first, or another name",
                    )
                )
            owner[new_name] = owner.pop(name)

        self._edit(object_name, rename)

    def delete_object(self, object_name: str) -> None:
        """Take an object, with all that it holds, out.

        Args:
            object_name: Its name or path, such as `"dense_2"` or `"layers/dense_2"`.
        """
        self._edit(object_name, lambda owner, name: owner.pop(name))

    def add_object(self, object_path: str, weights: dict[str, Any]) -> None:
        """Put a new object in.

        Args:
            object_path: Its whole path, such as `"layers/dense_2"`; all but the last name must be there.
            weights: {name: array}, such as `{"0": kernel, "1": bias}`.
        """
        _check_weights("add_object", weights)
        *parents, name = object_path.split("/")
        owner = self.weights_dict
        for parent in parents:
            if not isinstance(owner.get(parent), dict):
                raise self._unknown("/".join(parents))
            owner = owner[parent]
        owner[name] = dict(weights)

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        """Take one array of an object out.

        Args:
            object_name: Name or path of the object, such as `"layers/dense_2"`.
            weight_name: Name of the array, such as `"0"`.
        """

        def delete(owner: dict[str, Any], name: str) -> None:
            part = owner[name]
            if not isinstance(part, dict) or weight_name not in part:
                held = ", ".join(part) if isinstance(part, dict) else "nothing"
                raise ValueError(
                    explain(
                        f"The object '{object_name}' has no weight '{weight_name}'.",
                        f"Expected one of: {held}.",
                        "editor.summary() shows all of them",
                    )
                )
            del part[weight_name]

        self._edit(object_name, delete)

    def add_weights(self, object_name: str, weights: dict[str, Any]) -> None:
        """Put arrays into an object that is there; those of the same names are replaced.

        Args:
            object_name: Name or path of the object, such as `"layers/dense_2"`.
            weights: {name: array}, such as `{"0": kernel, "1": bias}`.
        """
        _check_weights("add_weights", weights)
        self._edit(object_name, lambda owner, name: owner[name].update(weights))

    def _edit(self, name: str, change: Callable[[dict[str, Any], str], Any]) -> None:
        """Apply a change to the owner of an object and its last name there."""
        if "/" in name:
            *parents, last = name.split("/")
            owner: Any = self.weights_dict
            for parent in parents:
                owner = owner.get(parent) if isinstance(owner, dict) else None
            if not isinstance(owner, dict) or last not in owner:
                raise self._unknown(name)
            change(owner, last)
            return
        places = _owners(self.weights_dict, name, "")
        if not places:
            raise self._unknown(name)
        if len(places) > 1:
            paths = ", ".join(path for path, _ in places[:4])
            raise ValueError(
                explain(
                    f"The name '{name}' occurs {len(places)} times in the file.",
                    "Expected one that occurs once, or a whole path.",
                    f"one of: {paths}",
                )
            )
        change(places[0][1], name)

    def _unknown(self, name: str) -> ValueError:
        paths = sorted(_prefixes(dict(_flat(self.weights_dict))))
        guess = closest(name, paths) or closest(name, [path.rpartition("/")[2] for path in paths])
        return ValueError(
            explain(
                f"There is no object '{name}' in '{self.filepath}'.",
                f"Expected a name or path in it, such as {', '.join(paths[:6])}.",
                f"did you mean '{guess}'?" if guess else "editor.summary() shows all of them",
            )
        )

    # --- writing ------------------------------------------------------------------------

    def save(self, filepath: Any) -> None:
        """Write the changed weights into a new file.

        Args:
            filepath: Path that ends in `.weights.h5`.
        """
        path = os.fspath(filepath)
        if not path.endswith(".weights.h5"):
            raise ValueError(
                explain(
                    f"KerasFileEditor.save got the path '{path}'.",
                    "Expected one that ends in .weights.h5: weights alone are written.",
                    "editor.save('edited.weights.h5'), then model.load_weights('edited.weights.h5')",
                )
            )
        arrays = list(_flat(self.weights_dict))
        with atomic_write(path, sum(np.asarray(value).nbytes for _, value in arrays)) as file, written(file) as h5:
            seal = Seal()
            for name, value in arrays:
                owner, _, last = name.rpartition("/")
                group = h5.require_group(f"{owner}/vars" if owner else "vars")
                create(group, last, value, seal)
                if owner in self.object_metadata:
                    put_text(group, "name", self.object_metadata[owner]["name"])
            put_seal(h5, seal)

    def resave_weights(self, filepath: Any) -> None:
        """Do what `save` does; its older name."""
        self.save(filepath)


def _check_weights(method: str, weights: Any) -> None:
    if not isinstance(weights, dict):
        raise ValueError(
            explain(
                f"{method} got weights of type {type(weights).__name__}.",
                "Expected a dict of names and arrays.",
                f'{method}("dense", {{"0": kernel, "1": bias}})',
            )
        )


def _flat(part: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in part.items():
        here = f"{path}/{key}" if path else key
        found += _flat(value, here) if isinstance(value, dict) else [(here, value)]
    return found


def _prefixes(paths: Any) -> set[str]:
    found = set()
    for path in paths:
        parts = path.split("/")
        found |= {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return found


def _first_missing(path: str, known: set[str]) -> str:
    """Return the shortest part of a path that is not there."""
    parts = path.split("/")
    return next(
        (there for count in range(1, len(parts)) if (there := "/".join(parts[:count])) not in known),
        path,
    )


def _owners(part: dict[str, Any], name: str, path: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(f"{path}/{name}".lstrip("/"), part)] if name in part else []
    for key, value in part.items():
        if isinstance(value, dict):
            found += _owners(value, name, f"{path}/{key}")
    return found


def _shapes_of(model: Any) -> dict[str, tuple[int, ...]]:
    """Return {path: shape} of what a model would write."""
    found: dict[str, tuple[int, ...]] = {}

    class Store(dict):
        path = ""

        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value)
            found[f"{self.path}/{key}" if self.path else key] = tuple(np.shape(value))

    def store_of(_: Any, path: str) -> Store:
        store = Store()
        store.path = path
        return store

    store_parts(model, store_of)
    return found
