"""`Text`: strings in the shape of a tensor, so that they travel where numbers do.

torch has no strings. A `Text` is a tensor of places in a table of strings
that all its parts share: batches are drawn from it, and its rows are moved,
cut and joined, like those of any tensor, while the strings stay where they
are. Computing with it is refused, for the places mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain

# What only moves entries, or asks about shapes.
_MOVING = frozenset(
    [
        *("__getitem__", "__len__", "__iter__", "__hash__", "__format__", "as_strided", "broadcast_to", "chunk"),
        *("clone", "contiguous", "cpu", "cuda", "data_ptr", "detach", "detach_", "dim", "diagonal", "element_size"),
        *("expand", "expand_as", "flatten", "flip", "gather", "index_select", "is_complex", "is_contiguous"),
        *("is_floating_point", "is_shared", "masked_select", "movedim", "narrow", "ndimension", "nelement"),
        *("numel", "permute", "pin_memory", "ravel", "repeat", "repeat_interleave", "requires_grad_", "reshape"),
        *("reshape_as", "roll", "select", "share_memory_", "size", "split", "split_with_sizes", "squeeze"),
        *("storage_offset", "stride", "swapaxes", "swapdims", "t", "take_along_dim", "tensor_split", "tile", "to"),
        *("transpose", "type", "unbind", "unflatten", "unfold", "unsqueeze", "untyped_storage", "view", "view_as"),
        *("hsplit", "vsplit", "atleast_1d", "atleast_2d", "atleast_3d", "moveaxis", "broadcast_tensors"),
        *("is_same_size", "get_device"),
    ]
)
_JOINING = frozenset(["cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack"])


class Text(torch.Tensor):
    """Strings, addressed as the entries of a tensor.

    Args:
        places: Whole numbers: which string of `words` stands where.
        words: One-dimensional array of `str`; None where only shapes count (on `meta`).

    Example:
        >>> text = Text.of([["a", "b"], ["c", "d"]])
        >>> text[:, 1].tolist()
        ['b', 'd']
    """

    words: Any

    @staticmethod
    def __new__(cls, places: torch.Tensor, words: Any = None) -> Text:
        made = torch.Tensor._make_subclass(cls, places)
        made.words = words
        return made

    def __init__(self, *_: Any) -> None:
        """Everything is made in `__new__`."""

    @classmethod
    def of(cls, strings: Any, name: str = "The text") -> Text:
        """Return strings as a `Text`.

        Args:
            strings: A string, nested lists of strings of equal lengths, or an array of strings; bytes are
                read as UTF-8.
            name: What they are called, for messages.

        Raises:
            ValueError: An entry is not a string, or the lists are of different lengths.
        """
        if isinstance(strings, Text):
            return strings
        array = strings if isinstance(strings, np.ndarray) else object_array(strings, name)
        words = np.empty(array.size, dtype=object)
        words[:] = array.reshape(-1).tolist()
        for place, word in enumerate(words):
            if type(word) is not str:
                words[place] = _string(word, place, array, name)
        return cls(torch.arange(words.size, device="cpu").reshape(array.shape), words)

    @classmethod
    def blank(cls, shape: Any) -> Text:
        """Return a `Text` of empty strings."""
        return cls(torch.zeros(tuple(shape), dtype=torch.int64, device="cpu"), np.array([""], dtype=object))

    def plain(self) -> torch.Tensor:
        """Return the places as a plain tensor."""
        return self.as_subclass(torch.Tensor)

    def numpy(self, *, force: bool = False) -> Any:
        """Return the strings as an array of objects; a single one as a `str`."""
        return self.words[self.plain().cpu().numpy()]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        made = np.asarray(self.numpy(), dtype=object)
        return made if dtype is None else made.astype(dtype)

    def tolist(self) -> Any:
        strings = self.numpy()
        return strings.tolist() if isinstance(strings, np.ndarray) else strings

    def item(self) -> Any:
        return self.tolist() if self.dim() == 0 else self.reshape(()).tolist()

    def __deepcopy__(self, memo: Any) -> Text:
        return Text(self.plain().clone(), self.words)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.is_meta:
            return _without_strings, (tuple(self.shape),)
        return Text.of, (self.numpy(),)  # its own strings only, not the whole table

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Text({'of shape ' + str(tuple(self.shape)) if self.is_meta else self.tolist()})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.__name__
        if name in ("__get__", "__set__", "__delete__"):
            with torch._C.DisableTorchFunctionSubclass():
                found = func(*args, **kwargs)
            return _wrapped(found, args[0].words) if isinstance(found, torch.Tensor) else found  # such as x.T
        if name in _JOINING:
            parts = list(args[0] if args else next(iter(kwargs.values())))
            places, words = _in_one_table(parts, name)
            with torch._C.DisableTorchFunctionSubclass():
                return _wrapped(func(places, *args[1:], **kwargs), words)
        if name not in _MOVING or not isinstance(args[0] if args else None, Text):
            raise _no_numbers(name)
        kind = kwargs.get("dtype", next((arg for arg in args[1:] if isinstance(arg, torch.dtype)), None))
        if name in ("to", "type") and kind not in (None, torch.int64):
            raise _no_numbers(name)
        with torch._C.DisableTorchFunctionSubclass():
            return _wrapped(func(*args, **kwargs), args[0].words)


def _without_strings(shape: tuple[int, ...]) -> Text:
    return Text(torch.empty(shape, dtype=torch.int64, device="meta"))


def _wrapped(result: Any, words: Any) -> Any:
    if isinstance(result, torch.Tensor):
        return Text(result.as_subclass(torch.Tensor), None if result.is_meta else words)
    if isinstance(result, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in result):
        return type(result)(_wrapped(part, words) for part in result)
    return result


def _in_one_table(parts: list[Any], name: str) -> tuple[list[torch.Tensor], Any]:
    """Return the places of several texts in one table, and the table."""
    if not all(isinstance(part, Text) for part in parts):
        raise _no_numbers(name)
    first = parts[0].words
    if all(part.words is first for part in parts):
        return [part.plain() for part in parts], first
    places, tables, begin = [], [], 0
    for part in parts:
        table = part.words
        if len(table) > part.numel():  # of a batch only its own strings
            table = np.asarray(table[part.plain().cpu().numpy().reshape(-1)], dtype=object)
            own = torch.arange(part.numel(), device=part.device).reshape(part.shape)
        else:
            own = part.plain()
        places.append(own + begin)
        tables.append(table)
        begin += len(table)
    return places, np.concatenate(tables)


def _no_numbers(function: str) -> ValueError:
    # No TypeError, which torch would turn into one of its own for operators.
    return ValueError(
        explain(
            f"Text was given to '{function}', which computes with numbers.",
            "Expected a layer that takes text first.",
            "TextVectorization()(x) for sentences, StringLookup()(x) for categories",
        )
    )


def is_text_array(value: Any) -> bool:
    """Return whether a value is a `Text`, or a NumPy array of strings, bytes, or objects of which the first is one."""
    if isinstance(value, Text):
        return True
    if not isinstance(value, (np.ndarray, np.generic)):
        return False
    if value.dtype.kind in "UST":
        return True
    return value.dtype.kind == "O" and value.size > 0 and isinstance(value.reshape(-1)[0], (str, bytes))


def is_text_list(value: Any) -> bool:
    """Return whether a value is a string, or a list whose first entry, at any depth, is one."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (str, bytes))


def object_array(value: Any, name: str = "The text") -> np.ndarray:
    """Return nested lists as an array of objects.

    Raises:
        ValueError: They are of different lengths.
    """
    shape, level = [], value
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        level = level[0] if level else None
    leaves: list[Any] = [value]
    for size in shape:
        lengths = {len(part) if isinstance(part, (list, tuple)) else None for part in leaves}
        if lengths != {size}:
            known = sorted(length for length in lengths if length is not None)
            raise ValueError(
                explain(
                    f"{name} holds rows of different lengths, from {known[0]} to {known[-1]}."
                    if len(known) > 1
                    else f"{name} holds lists and single entries side by side.",
                    "Expected rows of one length: there are no ragged tensors here.",
                    "fill the shorter rows with a token such as '', which mask_token='' then maps to 0",
                )
            )
        leaves = [leaf for part in leaves for leaf in part]
    array = np.empty(len(leaves), dtype=object)
    array[:] = leaves
    return array.reshape(shape)


def _string(word: Any, place: int, array: np.ndarray, name: str) -> str:
    if isinstance(word, str):
        return str(word)
    if isinstance(word, bytes):
        return word.decode("utf-8", "surrogateescape")
    row = place // max(1, array.size // array.shape[0]) if array.ndim else 0
    missing = word is None or (isinstance(word, float) and word != word)
    raise ValueError(
        explain(
            f"{name} holds {word!r} in row {row}, a {type(word).__name__}.",
            "Expected strings.",
            "fill the gaps: column.fillna('')" if missing else "[str(value) for value in ...]",
        )
    )
