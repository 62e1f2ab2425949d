"""Arrays, lists, data frames and tensors, all as tensors."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.dtypes import floatx, torch_dtype
from uncrumple.core.errors import explain
from uncrumple.core.text import Text, is_text_array, is_text_list


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas (or polars) frame or series, without importing either."""
    return type(value).__module__.split(".")[0] in ("pandas", "polars") and hasattr(value, "to_numpy")


def is_array(value: Any) -> bool:
    """Return whether a value stands for one array: array, tensor, frame, or something NumPy can read."""
    return isinstance(value, (np.ndarray, torch.Tensor)) or is_frame(value) or hasattr(value, "__array__")


def is_numbers(value: Any) -> bool:
    """Return whether a value is a list of numbers, or of lists of numbers, at any depth."""
    while isinstance(value, (list, tuple)) and len(value):
        value = value[0]
    return isinstance(value, (numbers.Number, np.generic, str)) or (is_array(value) and not np.ndim(value))


def to_tensors(structure: Any, argument: str, *, text: bool = False) -> Any:
    """Return the same structure with every array as a tensor; float64 becomes `floatx()`.

    A list of arrays is a structure (several inputs); a list of numbers is one array.

    Args:
        structure: Array, tensor, frame, list of numbers, or a list, tuple or dict of these.
        argument: Its name, for messages: `"x"`.
        text: Whether strings are welcome, and become a `Text`.

    Raises:
        ValueError: Rows of different lengths, text that is not welcome, or objects that are not numbers.
    """
    if structure is None:
        return None
    if isinstance(structure, dict):
        return {name: to_tensors(value, f"{argument}['{name}']", text=text) for name, value in structure.items()}
    if is_array(structure):
        return to_tensor(structure, argument, text=text)
    if isinstance(structure, (list, tuple)):
        if len(structure) == 0:
            raise ValueError(
                explain(
                    f"{argument} is empty: {structure!r}.",
                    "Expected at least one sample.",
                    f"check what made {argument}",
                )
            )
        if all(is_array(value) and np.ndim(value) for value in structure):
            return [to_tensor(value, f"{argument}[{index}]", text=text) for index, value in enumerate(structure)]
        if text and is_text_list(structure):
            return Text.of(structure, argument)
        if text and all(isinstance(value, (list, tuple)) for value in structure) and any(map(is_text_list, structure)):
            return [to_tensors(value, f"{argument}[{index}]", text=True) for index, value in enumerate(structure)]
        if is_numbers(structure):
            return to_tensor(_from_list(structure, argument), argument)
    shown = f"the text {structure!r}" if isinstance(structure, str) else f"of type {type(structure).__name__}"
    fix = f"np.asarray({argument}), if it stands for numbers"
    if isinstance(structure, numbers.Number):
        shown, fix = f"the number {structure!r}", f"{argument.replace(' ', '_')} = np.array([...]), one row per sample"
    if hasattr(structure, "toarray"):
        fix = f"{argument}.toarray(), which writes the zeros out"
    if isinstance(structure, str):
        fix = f"pandas.read_csv({structure!r})" if structure.endswith(".csv") else "load the data first, and pass that"
    raise ValueError(
        explain(
            f"{argument} is {shown}.",
            "Expected an array, a tensor, a data frame, a data set, or a list or dict of arrays.",
            fix,
        )
    )


def to_tensor(value: Any, argument: str, *, text: bool = False) -> torch.Tensor:
    """Return one array as a tensor, sharing its memory where that is possible."""
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        return tensor.to(torch_dtype(floatx())) if tensor.dtype is torch.float64 else tensor
    columns = None
    if text and not hasattr(value, "columns"):
        array = value.to_numpy() if is_frame(value) else value
        if is_text_array(array):
            return Text.of(array, argument)
    if is_frame(value):
        columns = [str(column) for column in getattr(value, "columns", ())]
        value = _from_frame(value, argument)
    array = np.asarray(value)
    if array.dtype == object:
        array = _from_objects(array, argument)
    if array.dtype.kind in "US":
        raise ValueError(text_refused(array, argument))
    if array.dtype.kind not in "biufc":
        name = argument.replace(" ", "_")
        fix = f"{name} = {name}.astype('float32')"
        if array.dtype.kind in "mM":
            fix = f"days as numbers: {name} = ({name} - {name}.min()) / np.timedelta64(1, 'D')"
        raise ValueError(explain(f"{argument} is an array of type {array.dtype}.", "Expected numbers.", fix))
    if array.dtype.kind == "f" and array.dtype.itemsize >= 8:
        array = array.astype(floatx())
    elif array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides) or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="), copy=True)
    tensor = torch.from_numpy(np.ascontiguousarray(array) if array.ndim else array)
    if columns:
        tensor._column_names = columns  # type: ignore[attr-defined]
    return tensor


def _from_list(value: Any, argument: str) -> np.ndarray:
    try:
        return np.array(value)
    except ValueError:
        lengths = sorted({len(row) for row in value if hasattr(row, "__len__")})
        raise ValueError(_ragged(argument, lengths)) from None


def text_refused(array: np.ndarray, argument: str) -> str:
    """Return what to say about an array of text where numbers are expected."""
    name, first = argument.replace(" ", "_"), str(array.reshape(-1)[0]) if array.size else ""
    fix = f"names, {name} = np.unique({name}, return_inverse=True), which numbers the words from 0"
    if array.ndim > 1:
        fix = f"pandas.get_dummies(pandas.DataFrame({name})) for categories"
    try:
        float(first)
        fix = f"{name} = {name}.astype('float32')"
    except ValueError:
        pass
    return explain(f"{argument} holds text, such as {first!r}.", "Expected numbers.", fix)


def _ragged(argument: str, lengths: list[int]) -> str:
    return explain(
        f"{argument} holds rows of different lengths, from {lengths[0]} to {lengths[-1]}."
        if lengths
        else f"{argument} holds rows of different lengths.",
        "Expected rows of one length, so that they fit into one tensor.",
        f"{argument} = uncrumple.utils.pad_sequences({argument}, maxlen={lengths[-1] if lengths else 100})",
    )


def _from_objects(array: np.ndarray, argument: str) -> np.ndarray:
    """Return an array of Python objects as numbers, if that is what they are."""
    flat = array.reshape(-1)
    first = flat[0] if flat.size else None
    if isinstance(first, str):
        return array.astype(str)
    if isinstance(first, (list, tuple, np.ndarray)):
        lengths = sorted({len(row) for row in flat if hasattr(row, "__len__")})
        if len(lengths) > 1:
            raise ValueError(_ragged(argument, lengths))
        return np.stack([np.asarray(row) for row in flat])
    try:
        return array.astype(floatx())
    except (TypeError, ValueError):
        bad = next(value for value in flat if not isinstance(value, (numbers.Real, type(None))))
        raise ValueError(
            explain(
                f"{argument} holds {bad!r}, a {type(bad).__name__}.",
                "Expected numbers.",
                f"{argument}.astype('float32')",
            )
        ) from None


def _from_frame(frame: Any, argument: str) -> np.ndarray:
    """Return a data frame as an array, or say which column is not numbers."""
    if hasattr(frame, "dtypes") and hasattr(frame, "columns"):
        for column, kind in zip(frame.columns, frame.dtypes):
            name = str(kind).lower()
            if not any(word in name for word in ("int", "float", "bool", "decimal")):
                first = frame[column].to_numpy()[0] if len(frame) else None
                raise ValueError(
                    explain(
                        f"{argument}: column '{column}' holds {first!r}, of type {kind}.",
                        "Expected columns of numbers.",
                        f"pandas.get_dummies({argument}, columns=['{column}']) for categories",
                    )
                )
        array = frame.to_numpy()
        return array.astype(floatx()) if array.dtype == object or array.dtype.kind == "b" else array
    return frame.to_numpy()


def lengths(structure: Any) -> list[int]:
    """Return the number of samples of every array in a structure."""
    return [int(leaf.shape[0]) for leaf in tree.flatten(structure) if leaf is not None and leaf.ndim]
