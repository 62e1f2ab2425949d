"""`from_any`: from a path, or whatever else a user has, to the kind of data that it is."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.kinds.base import RawData
from uncrumple.data.kinds.delimited import missing_file
from uncrumple.data.kinds.images import ENDINGS, Images
from uncrumple.data.kinds.series import Series
from uncrumple.data.kinds.table import Table
from uncrumple.data.kinds.text import Text

_TABLES = (".csv", ".tsv", ".parquet", ".pq")


def from_any(
    source: Any, *, target: str | None = None, text: str | None = None, speakers: bool = False, **more: Any
) -> RawData:
    """Return data of the kind that a path, a name, or anything else, is.

    A name that `uncrumple.data.load` knows, and that is no path, is loaded. A table is a `Table`; with `text` it is a `Text`, and with `past` a `Series`. A folder of folders
    is `Images` or `Text`, by the files in it. A text file is a `Text`. IDX files and arrays of
    pictures are `Images`.

    Args:
        source: A path, a name such as `"titanic"` or `"openml:credit-g"`, a data frame, a dict of columns,
            an array, or a list of paths or texts.
        target: The column to be predicted.
        text: The column that holds texts.
        speakers: Whether to ask who says what in a text file.
        **more: What the kind takes besides: `labels=`, `size=`, `past=`, `groups=`, ...

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: What is there is none of these.

    Example:
        >>> from_any({"age": [30, 40, 50], "city": ["Bern", "Rome", "Bern"], "buys": ["no", "yes", "no"]}, target="buys")
        <Table table: (3, 2): samples, columns; classification>
    """
    if isinstance(source, RawData):
        return source
    if isinstance(source, str) and not Path(source).exists():
        from uncrumple.data.sets import is_named, load

        if is_named(source):
            given = {"target": target, "text": text, "speakers": speakers or None, **more}
            return load(source, **{name: value for name, value in given.items() if value is not None})
    if "past" in more:
        return Series(source, target, **more)
    if text is not None:
        return Text(source, text=text, target=target, **more)
    if speakers:
        return Text(source, speakers=True, **more)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.exists():
            raise missing_file(path, "a table, a folder of pictures or texts, or a text")
        if path.is_dir():
            return _of_folder(path)(path, **more)
        ending = path.suffix.lower()
        if ending in _TABLES:
            return Table(path, target, **more)
        with open(path, "rb") as file:
            start = file.read(4)
        if start[:2] == b"\x1f\x8b" or (start[:2] == b"\0\0" and ending not in (".txt", ".md")):
            return Images(path, **more)
        if ending == ".npy":
            return Images(read_array(path), **more)
        if ending in ENDINGS:
            raise ValueError(
                explain(f"{path} is one picture.", "Expected a folder with a folder for each class.", f"{path.parent}")
            )
        return Table(path, target, **more) if target is not None else Text(path, **more)
    if isinstance(source, dict) or hasattr(source, "columns"):
        return Table(source, target, **more)
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, os.PathLike)):
        files = all(str(one).lower().endswith(ENDINGS) for one in source)
        return Images(source, **more) if files else Text(source, **more)
    values = np.asarray(source)
    if values.dtype.kind in "USO":
        return Text(values, **more)
    if values.ndim == 2:
        return Table({f"column {place + 1}": values[:, place] for place in range(values.shape[1])}, target, **more)
    return Images(source, **more)


def read_array(path: Path) -> np.ndarray:
    """Return the array in a NumPy file.

    Raises:
        ValueError: It is damaged, or holds Python objects, which are never loaded.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        said = "it holds no array of numbers" if "pickle" in str(error) else str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            explain(f"{path} cannot be read: {said}.", "Expected what np.save wrote.", "np.save(path, x)")
        ) from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError(
            explain(f"{path} holds several arrays.", "Expected one array, as np.save writes it.", "np.save(path, x)")
        )
    return found


def _of_folder(path: Path) -> Any:
    counts: Counter[str] = Counter()
    for _, _, names in os.walk(path):
        for name in names:
            ending = os.path.splitext(name)[1].lower()
            counts["pictures" if ending in ENDINGS else "texts" if ending == ".txt" else f"*{ending}"] += 1
    pictures, texts = counts["pictures"], counts["texts"]
    if not pictures and not texts:
        there = ", ".join(f"{count} {ending}" for ending, count in counts.most_common(3) if count)
        raise ValueError(
            explain(
                f"{path} holds no pictures and no texts" + (f", but {there}." if there else "; it is empty."),
                "Expected a folder for each class, with pictures or .txt files in it.",
                "check the path",
            )
        )
    return Images if pictures >= texts else Text
