"""What `fit_many` was given, checked: models, data and rows, sizes of batches, seeds, callbacks."""

from __future__ import annotations

import contextlib
import inspect
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.callbacks import CallbackList
from uncrumple.callbacks.callback_list import _flatten
from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.data.batches import ArrayBatches, DiskBatches
from uncrumple.data.from_arguments import make_batches, split_tail
from uncrumple.training import checks
from uncrumple.training.plan import _labels

# --- models ------------------------------------------------------------------------------------


def check_models(models: Any) -> list[Any]:
    """Return the models in a list; refuse what is none, what is not compiled, and models that share parts."""
    if hasattr(models, "train_step") and not isinstance(models, type):
        raise ValueError(
            explain(
                "fit_many got one model.", "Expected a list of models.", "model.fit(...), or fit_many([model], ...)"
            )
        )
    if not isinstance(models, (list, tuple)) or not models:
        shown = f"models={models!r}" if isinstance(models, (list, tuple, str, int)) else f"a {type(models).__name__}"
        raise ValueError(
            explain(f"fit_many got {shown}.", "Expected a list of compiled models.", "[make_model() for _ in range(5)]")
        )
    owners: dict[int, tuple[int, str]] = {}
    for number, model in enumerate(models):
        if isinstance(model, type) or not hasattr(model, "train_step"):
            shown = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
            raise ValueError(
                explain(
                    f"models[{number}] is {shown}.", "Expected a compiled model.", "model = uncrumple.Sequential([...])"
                )
            )
        if not model.compiled:
            raise ValueError(
                explain(
                    f"models[{number}] ('{model.name}') was not compiled.",
                    "Expected an optimizer and a loss first.",
                    'model.compile(optimizer="adam", loss="mse"), for each model',
                )
            )
        held = {id(model): "is", id(model.optimizer): f"has the optimizer '{_name_of(model.optimizer)}' of"}
        held.update((id(weight), f"has the weight '{weight.path}' of") for weight in model.weights)
        for thing, how in held.items():
            if thing in owners:
                raise ValueError(_shared(number, owners[thing][0], how))
        owners.update((thing, (number, how)) for thing, how in held.items())
    return list(models)


def _name_of(optimizer: Any) -> str:
    return getattr(optimizer, "name", type(optimizer).__name__)


def _shared(number: int, other: int, how: str) -> str:
    fix = "uncrumple.models.clone_model(model), for each"
    if "optimizer" in how:
        fix = 'model.compile(optimizer="adam", ...), or an optimizer made anew for each model'
    return explain(
        f"models[{number}] {how} models[{other}].",
        "Expected models that share nothing: each is trained by itself.",
        fix,
    )


@contextlib.contextmanager
def naming(number: int, model: Any) -> Iterator[None]:
    """Within this block an error about data or model says first which of the models it is about."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if type(error) not in (ValueError, TypeError):
            raise
        raise type(error)(f"models[{number}] ('{model.name}'): {error}").with_traceback(error.__traceback__) from None


# --- data ------------------------------------------------------------------------------------------


class Arrays:
    """Data in memory that several models may use.

    Args:
        x, y, sample_weight: As `fit` takes them.
        name: What stands before `x` and `y` in messages, such as `"validation "`.
    """

    def __init__(self, x: Any, y: Any, sample_weight: Any, name: str = "") -> None:
        made = make_batches(x, y, sample_weight, prefix=name)
        if not isinstance(made, ArrayBatches) or isinstance(made, DiskBatches):
            raise ValueError(
                explain(
                    f"fit_many got a {type(x).__name__} as {name}x.",
                    "Expected arrays in memory: each model draws its own batches from them.",
                    "for model in models: model.fit(...)",
                )
            )
        self.x, self.y, self.sample_weight = made.x, made.y, made.sample_weight
        self.samples = made.samples
        # Which rows any model uses; None for all. Only these are checked: others may be left out for good reason.
        self.used: np.ndarray | None = None
        self._read_labels = False
        self._labels: torch.Tensor | None = None

    def labels(self) -> torch.Tensor | None:
        """Return y as one class number per row, or None if it is something else."""
        if not self._read_labels:
            self._labels, self._read_labels = _labels(self.y, self.samples), True
        return self._labels

    def taken(self, rows: torch.Tensor | None) -> tuple[Any, Any, Any]:
        """Return x, y and sample_weight of some rows, or of all."""
        parts = (self.x, self.y, self.sample_weight)
        if rows is None:
            return parts
        return tree.map_structure(lambda leaf: None if leaf is None else leaf[rows.to(leaf.device)], parts)

    def batches(self, batch_size: int) -> ArrayBatches:
        """Return batches of the rows that are used, for checks."""
        rows = None
        if self.used is not None and not self.used.all():
            rows = torch.from_numpy(np.flatnonzero(self.used))
        return ArrayBatches(*self.taken(rows), batch_size=batch_size)


class Part:
    """The rows of arrays that a model learns from, or is validated on.

    Args:
        arrays: The arrays.
        rows: Numbers of rows; None for all.
    """

    def __init__(self, arrays: Arrays, rows: torch.Tensor | None) -> None:
        self.arrays, self.rows = arrays, rows

    @property
    def count(self) -> int:
        return self.arrays.samples if self.rows is None else len(self.rows)

    def taken(self) -> tuple[Any, Any, Any]:
        return self.arrays.taken(self.rows)


def parts_of_data(x: Any, y: Any, sample_weight: Any, data: Any, rows: Any, count: int) -> list[Part]:
    """Return what each of `count` models learns from."""
    if data is not None:
        for name, given in (("x", x), ("y", y), ("sample_weight", sample_weight)):
            if given is not None:
                raise ValueError(
                    explain(
                        f"fit_many got data and {name}.",
                        "Expected arrays for all models, or data with one (x, y) per model.",
                        f"remove {name}, or data",
                    )
                )
        arrays = _arrays_of_models(data, "data", count)
    else:
        arrays = [Arrays(x, y, sample_weight)] * count
    return _with_rows(arrays, "rows", rows, count)


def held_back(parts: list[Part], rows: Any, data: Any, share: float) -> list[Part | None]:
    """Return what each model is validated on."""
    given = {"validation_rows": rows is not None, "validation_data": data is not None, "validation_split": bool(share)}
    names = [name for name, there in given.items() if there]
    if len(names) > 1:
        raise ValueError(
            explain(
                f"fit_many got {' and '.join(names)}.", "Expected one of them at most.", f"remove {' or '.join(names)}"
            )
        )
    if rows is not None:
        return list(_with_rows([part.arrays for part in parts], "validation_rows", rows, len(parts)))
    if data is not None:
        several = isinstance(data, list) and all(isinstance(one, tuple) for one in data)
        if several:
            found = _arrays_of_models(data, "validation_data", len(parts))
        else:
            checks.split_for_validation(None, None, None, data, 0.0)
            found = [Arrays(*_three(data, "validation_data"), name="validation ")] * len(parts)
        return [Part(arrays, None) for arrays in found]
    if not share:
        return [None] * len(parts)
    held: list[Part | None] = []
    for part in parts:
        all_rows = torch.arange(part.arrays.samples) if part.rows is None else part.rows
        kept, cut = split_tail(all_rows, None, None, share)
        part.rows = kept[0].contiguous()
        held.append(Part(part.arrays, cut[0].contiguous()))
    return held


def _three(given: Any, name: str) -> tuple[Any, Any, Any]:
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        what = f"{len(given)} parts" if isinstance(given, (tuple, list)) else f"a {type(given).__name__}"
        raise ValueError(
            explain(f"{name} is {what}.", "Expected (x, y), or (x, y, sample_weight).", f"{name} = (x, y)")
        )
    return (*given, None)[:3]  # type: ignore[return-value]


def _arrays_of_models(data: Any, name: str, count: int) -> list[Arrays]:
    _check_count(name, data, count, "(x, y)", f"{name}=[(x_1, y_1), (x_2, y_2), ...]")
    prefix = "validation " if name == "validation_data" else ""
    found: dict[Any, Arrays] = {}  # the same arrays given twice are looked at once
    made = []
    for number, one in enumerate(data):
        three = _three(one, f"{name}[{number}]")
        key = tuple(id(part) for part in three)
        if key not in found:
            found[key] = Arrays(*three, name=prefix)
        made.append(found[key])
    return made


def _check_count(name: str, given: Any, count: int, what: str, fix: str) -> None:
    try:
        length = len(given)
    except TypeError:
        raise ValueError(
            explain(f"{name} is a {type(given).__name__}.", f"Expected a list with one {what} per model.", fix)
        ) from None
    if length != count:
        raise ValueError(
            explain(
                f"{name} has {length} entr{'y' if length == 1 else 'ies'}, and there {_are(count)}.",
                f"Expected one {what} per model.",
                fix,
            )
        )


def _are(count: int) -> str:
    return "is 1 model" if count == 1 else f"are {count} models"


def _with_rows(arrays: list[Arrays], name: str, rows: Any, count: int) -> list[Part]:
    """Return the rows of each model, and note which are used."""
    if rows is None:
        for one in arrays:
            one.used = np.ones(one.samples, bool)
        return [Part(one, None) for one in arrays]
    if isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind in "biu":
        raise ValueError(
            explain(
                f"{name} is one array of {len(rows)} numbers.",
                "Expected one array of row numbers per model.",
                f"{name}=[rows_of_first, rows_of_second, ...]",
            )
        )
    _check_count(name, rows, count, "array of row numbers", f"{name}=[np.arange(100), ...], one array per model")
    parts = []
    for number, (given, one) in enumerate(zip(rows, arrays)):
        checked = _row_numbers(given, one.samples, f"{name}[{number}]")
        if one.used is None:
            one.used = np.zeros(one.samples, bool)
        one.used[checked] = True
        parts.append(Part(one, torch.from_numpy(checked)))
    return parts


def _row_numbers(given: Any, samples: int, name: str) -> np.ndarray:
    array = np.asarray(given)
    if array.dtype == bool and array.shape == (samples,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        came = f"{name} is empty." if not array.size else f"{name} has the type {array.dtype} and shape {array.shape}."
        raise ValueError(
            explain(
                came,
                f"Expected row numbers from 0 to {samples - 1}, or one boolean for each of the {samples} rows.",
                "np.flatnonzero(condition)",
            )
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= samples:
        raise ValueError(
            explain(
                f"{name} holds {low if low < 0 else high}, and x has {samples} rows.",
                f"Expected row numbers from 0 to {samples - 1}.",
                f"print(min({name}), max({name}))",
            )
        )
    return np.ascontiguousarray(array, np.int64)


# --- numbers and callbacks ------------------------------------------------------------------------


def sizes_of_batches(given: Any, count: int) -> list[int]:
    """Return the size of each model's batches."""
    if given is None:
        return [32] * count
    if not hasattr(given, "__len__"):
        checks.check_arguments("fit_many", batch_size=given, verbose=0)
        return [int(given)] * count
    _check_count("batch_size", given, count, "whole number", "batch_size=32, or a list with one number per model")
    for one in given:
        checks.check_arguments("fit_many", batch_size=32 if one is None else one, verbose=0)
    return [32 if one is None else int(one) for one in given]


def checked_seeds(given: Any, count: int) -> list[int]:
    """Return the seed of each model; by default drawn from torch's generator."""
    if given is None:
        return torch.randint(2**32, (count,)).tolist()
    if isinstance(given, numbers.Integral):
        raise ValueError(
            explain(
                f"fit_many got seeds={given}.",
                "Expected one seed per model; with the same for all, all would shuffle alike.",
                f"seeds=range({int(given)}, {int(given) + count}), or seeds=[{int(given)}] * {count} if that is wanted",
            )
        )
    _check_count("seeds", given, count, "whole number", f"seeds=range({count})")
    for number, seed in enumerate(given):
        whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
        if not whole or not 0 <= int(seed) < 2**32:
            raise ValueError(
                explain(
                    f"seeds[{number}] is {seed!r}.",
                    "Expected a whole number from 0 to 2**32 - 1.",
                    f"seeds=range({count})",
                )
            )
    return [int(seed) for seed in given]


def callbacks_of_models(given: Any, count: int) -> list[list[Any]]:
    """Return the callbacks of each model, which must be its own."""
    if given is None:
        return [[] for _ in range(count)]
    if callable(given) and not hasattr(given, "on_epoch_end"):
        takes_number = bool(inspect.signature(given).parameters)
        made = [given(number) if takes_number else given() for number in range(count)]
        name = "callbacks()"
    else:
        name = "callbacks"
        one_for_all = hasattr(given, "on_epoch_end") or (
            isinstance(given, (list, tuple)) and any(hasattr(one, "on_epoch_end") for one in given)
        )
        if one_for_all and not isinstance(given, CallbackList):
            some = given if isinstance(given, (list, tuple)) else [given]
            shown = ", ".join(f"{type(one).__name__}(...)" for one in some)
            raise ValueError(
                explain(
                    f"fit_many got callbacks for one model: {shown}.",
                    "Expected callbacks of its own for each model: they keep what they have seen.",
                    f"callbacks=lambda: [{shown}]",
                )
            )
        _check_count(name, given, count, "list of callbacks", "callbacks=lambda: [EarlyStopping(patience=3)]")
        made = list(given)
    listed = [list(_flatten(one, f"{name}[{number}]")) for number, one in enumerate(made)]
    owners: dict[int, int] = {}
    for number, some in enumerate(listed):
        for callback in some:
            if owners.setdefault(id(callback), number) != number:
                raise ValueError(
                    explain(
                        f"models[{number}] and models[{owners[id(callback)]}] got the same {type(callback).__name__}.",
                        "Expected callbacks of its own for each model: they keep what they have seen.",
                        f"callbacks=lambda: [{type(callback).__name__}(...)], which makes new ones each time",
                    )
                )
    return listed
