"""What is to be judged on: whatever a user hands over becomes the same few arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.raw_rows import STRETCHES, from_parts
from uncrumple.judge.retrain import answers_in, taken
from uncrumple.judge.rows import Given

# Whole numbers of up to this many kinds, each in several rows, are taken for classes.
_MOST_NUMBERED_CLASSES = 100


def given(
    model: Any,
    data: Any,
    *,
    parts: Any = None,
    task: str | None = None,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    groups: Any = None,
    slices: Any = None,
    validation: Any = None,
) -> Given:
    """Return what a model is to be judged on.

    Args:
        model: Its preparation of raw rows, if it has one, is used for the classical models too.
        data: (x_train, y_train, x_test, y_test); or (x, y) with `parts`; or parts that have
            `train` and `test` (and `validation`), each with `raw` and `y`, as `uncrumple.data.split` of
            a `Table`, `Images`, `Text` or `Series` returns them.
        parts: Row numbers: what `split(y)` returned, for (x, y).
        task: By default told by the data: whole numbers or text are classes.
        class_names, feature_names: Names; by default those of the data.
        groups: A group for each test row; by default that of the data.
        slices: Columns to slice the test rows by: a dict of one value per test row, or names of
            the data's own columns.
        validation: (x_validation, y_validation).
    """
    # A sealed test part counts each time it is asked for: it is not asked for to see whether it is there.
    if callable(getattr(parts, "peek", None)):
        data, parts = parts, None
    sealed = callable(getattr(data, "peek", None))
    divided = sealed or (hasattr(data, "train") and hasattr(data, "test"))
    if divided and not isinstance(data, (tuple, list)) and parts is None:
        if hasattr(data.train, "raw"):
            found = from_parts(model, data)
        else:
            raise _unknown(data)
    else:
        found = _from_arrays(data, parts, validation, task)
    if task is not None:
        found.task = task
    if len(class_names):
        found.class_names = tuple(str(name) for name in class_names)
    if len(feature_names):
        found.feature_names = tuple(str(name) for name in feature_names)
    if groups is not None:
        found.groups = np.asarray(groups).reshape(-1)
        found.remarks = [one for one in found.remarks if not one.startswith(STRETCHES)]
    if validation is not None and found.x_validation is None:
        found.x_validation, found.y_validation = validation[0], np.asarray(validation[1])
    if found.task == "classification":
        _encode(found)
    elif found.task == "regression":
        found.y_train, found.y_test = (answers_in(y).astype(np.float64) for y in (found.y_train, found.y_test))
        if found.y_validation is not None:
            found.y_validation = answers_in(found.y_validation).astype(np.float64)
    if slices is not None:
        found.columns = _columns(slices, found)
    if found.groups is not None and len(found.groups) != len(found.y_test):
        raise ValueError(
            explain(
                f"judge got {len(found.groups)} groups for {len(found.y_test)} test rows.",
                "Expected a group for each test row.",
                "groups=patient[parts.test]",
            )
        )
    return found


def _from_arrays(data: Any, parts: Any, validation: Any, task: str | None) -> Given:
    if parts is not None and isinstance(data, (tuple, list)) and len(data) == 2:
        x, y = data[0], np.asarray(data[1])
        train, test = np.asarray(parts.train), np.asarray(parts.test)
        held = np.asarray(getattr(parts, "validation", ()))
        arrays = [taken(x, train), y[train], taken(x, test), y[test]]
        if len(held) and validation is None:
            validation = (taken(x, held.astype(int)), y[held.astype(int)])
    elif isinstance(data, (tuple, list)) and len(data) == 4 and parts is None:
        arrays = list(data)
    elif isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(one, (tuple, list)) for one in data):
        arrays = [*data[0], *data[1]]  # as load_data() returns them
    else:
        raise _unknown(data)
    x_train, y_train, x_test, y_test = (_array(one) for one in arrays)
    for name, x, y in (("training", x_train, y_train), ("test", x_test, y_test)):
        rows = len(x) if not isinstance(x, Mapping) else len(next(iter(x.values())))
        if rows != len(y) or not rows:
            raise ValueError(
                explain(
                    f"judge got {rows} {name} rows and {len(y)} answers.",
                    "Expected one answer for each row, at least one.",
                    "judge(model, (x_train, y_train, x_test, y_test))",
                )
            )
    found = Given(task or _task_of(y_train), x_train, y_train, x_test, y_test, x_train, x_test)
    if validation is not None:
        found.x_validation, found.y_validation = _array(validation[0]), np.asarray(validation[1])
    is_numeric = isinstance(x_test, np.ndarray) and x_test.dtype.kind in "fiub"
    if is_numeric and found.task != "language" and _are_pictures(x_test):
        found.pictures = x_test
    return found


def _array(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _array(column) for name, column in values.items()}
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def _are_pictures(x: np.ndarray) -> bool:
    return (x.ndim == 4 and x.shape[-1] in (1, 3, 4)) or (x.ndim == 3 and x.shape[1] == x.shape[2] and x.shape[1] >= 8)


def _task_of(y: np.ndarray) -> str:
    """Tell classes from values: text, booleans, one-hot rows, or few whole numbers are classes."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        hot = labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return "classification" if hot or labels.dtype.kind in "USO" else "regression"
    flat = labels.reshape(-1)
    if flat.dtype.kind in "bUSO":
        return "classification"
    if flat.dtype.kind == "f" and (not np.isfinite(flat).all() or (flat != np.floor(flat)).any()):
        return "regression"
    kinds = len(np.unique(flat))
    few = kinds <= _MOST_NUMBERED_CLASSES and kinds <= max(2, len(flat) / 4)
    return "classification" if few and flat.min() >= 0 else "regression"


def _encode(found: Given) -> None:
    """Make the labels whole numbers from 0, and have a name for each."""
    labels = [found.y_train, found.y_test] + ([] if found.y_validation is None else [found.y_validation])
    flat = []
    for one in labels:
        values = np.asarray(one)
        values = values.argmax(axis=1) if values.ndim == 2 and values.shape[1] > 1 else values.reshape(-1)
        flat.append(values)
    if flat[0].dtype.kind in "USO":
        names = list(found.class_names) or sorted({str(name) for name in flat[0]})
        places = {name: number for number, name in enumerate(names)}
        strange = sorted({str(name) for values in flat for name in values} - set(names))
        if strange:
            raise ValueError(
                explain(
                    f"judge got the class {strange[0]!r}, which is not among {names[:10]}.",
                    "Expected only classes that the training rows have.",
                    "class_names=[...] with every class, in the order of the model's outputs.",
                )
            )
        flat = [np.array([places[str(name)] for name in values], np.int64) for values in flat]
        found.class_names = tuple(names)
    else:
        flat = [values.astype(np.int64) for values in flat]
        most = max(int(values.max()) for values in flat) + 1
        if min(int(values.min()) for values in flat) < 0 or (found.class_names and most > len(found.class_names)):
            raise ValueError(
                explain(
                    f"judge got class numbers up to {most - 1} and {len(found.class_names)} class names.",
                    "Expected whole numbers from 0, and a name for each.",
                    f"class_names with {most} names.",
                )
            )
        if not found.class_names:
            found.class_names = tuple(str(number) for number in range(max(2, most)))
    found.y_train, found.y_test = flat[0], flat[1]
    if found.y_validation is not None:
        found.y_validation = flat[2]


def _columns(slices: Any, found: Given) -> dict[str, np.ndarray]:
    if isinstance(slices, Mapping):
        return {str(name): np.asarray(column) for name, column in slices.items()}
    names = [slices] if isinstance(slices, str) else list(slices)
    made = {}
    for name in names:
        if isinstance(found.x_test, Mapping) and name in found.x_test:
            made[str(name)] = np.asarray(found.x_test[name]).reshape(-1)
        elif hasattr(found.x_test, "columns") and name in found.x_test.columns:
            made[str(name)] = np.asarray(found.x_test[name])
        elif name in found.feature_names and np.ndim(found.matrix_test) == 2:
            made[str(name)] = np.asarray(found.matrix_test)[:, found.feature_names.index(name)]
        else:
            raise ValueError(
                explain(
                    f"judge got slices={name!r}, which is no column of the data.",
                    f"Expected one of {list(found.feature_names)[:10] or 'its columns'}, or the values themselves.",
                    "slices={'sex': sex_of_the_test_rows}",
                )
            )
    return made


def _unknown(data: Any) -> ValueError:
    size = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
    return ValueError(
        explain(
            f"judge got a {type(data).__name__}{size} as data.",
            "Expected (x_train, y_train, x_test, y_test), (x, y) with parts=split(y), or split data with raw rows.",
            "uc.judge(model, (x_train, y_train, x_test, y_test))",
        )
    )
