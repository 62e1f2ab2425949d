"""What a run is made from: a name, a file or a folder, and how it is to be read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import closest, explain, unknown_name
from uncrumple.data.kinds import RawData, from_any
from uncrumple.data.kinds.columns import MISSING, as_numbers, as_words, is_missing
from uncrumple.data.kinds.images import ENDINGS
from uncrumple.data.kinds.table import PARQUET, read_columns
from uncrumple.data.sets import catalogue, is_named, load

_TABLES = (".csv", ".tsv", ".parquet", ".pq")
# What each kind of source can be told, in the words of the command line.
_TAKEN = {
    "table": ("target", "groups", "time", "task", "leave_out", "categories", "encoding"),
    "table of texts": ("text", "target", "groups", "time", "task", "encoding"),
    "series": ("past", "target", "time", "encoding"),
    "text": ("speakers", "most_speakers", "steps", "encoding"),
    "folder of pictures": ("size", "skip_damaged"),
    "folder of texts": ("encoding",),
    "file of pictures": ("labels",),
}
_SINGLE = ("target", "text", "groups", "time")
_SEVERAL = ("leave_out", "categories")


@dataclass(frozen=True)
class Source:
    """Where data is from, as plain values: written down, it gives the same data again.

    Args:
        data: A name that `uncrumple.data.load` knows, or the absolute path of a file or folder.
        options: What the kind is told besides: target, text, speakers, past, ...
        data_dir: The folder with the files of named data, or None.
    """

    data: str
    options: dict[str, Any] = field(default_factory=dict)
    data_dir: str | None = None

    @property
    def is_name(self) -> bool:
        """Whether it is the name of a data set."""
        return is_named(self.data)

    @property
    def label(self) -> str:
        """A short name, fit for a folder."""
        stem = self.data.rpartition(":")[2].rpartition("/")[2] if self.is_name else Path(self.data).stem
        return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in stem).strip(".-") or "data"

    @classmethod
    def of(cls, data: str, options: Mapping[str, Any] | None = None, data_dir: str | None = None) -> Source:
        """Return the source that a user named, with options that were given.

        Args:
            data: A name or a path. A name of a data set comes first; `./iris` is the file.
            options: None, False and empty ones were not given.
            data_dir: As in `uncrumple.data.load`.

        Raises:
            FileNotFoundError: It is neither a name nor a path.
            ValueError: An option does not fit the kind of source.
        """
        asked = {name: value for name, value in (options or {}).items() if value not in (None, False, (), [])}
        if is_named(data):
            if "encoding" in asked:
                raise ValueError(
                    explain(
                        f"--encoding was given, and '{data}' is the name of a data set.",
                        "Expected it for a CSV or text file of your own.",
                        "leave out --encoding",
                    )
                )
            return cls(data, asked, None if data_dir is None else os.fspath(data_dir))
        path = Path(data).expanduser()
        if not path.exists():
            raise FileNotFoundError(_nothing_there(data))
        kind = kind_of(path, asked)
        if kind == "text":
            for name, meant in (("most_speakers", "speakers" in asked), ("steps", "speakers" not in asked)):
                if name in asked and not meant:
                    raise ValueError(
                        explain(
                            f"{_option(name)} was given {'with' if name == 'steps' else 'without'} --speakers.",
                            f"Expected it for {'a text to go on with' if name == 'steps' else 'a play'}.",
                            f"leave out {_option(name)}" + ("" if name == "steps" else ", or add --speakers"),
                        )
                    )
        for name in asked:
            if name not in _TAKEN[kind]:
                fits = [_option(one) for one in _TAKEN[kind]]
                raise ValueError(
                    explain(
                        f"{_option(name)} was given, and {data} is a {kind}.",
                        f"Expected {' or '.join(fits) if len(fits) < 3 else ', '.join(fits)}."
                        if fits
                        else "Expected no such option.",
                        f"leave out {_option(name)}",
                    )
                )
        if "encoding" in asked:
            check_encoding(path)
        if "labels" in asked:
            asked["labels"] = str(Path(asked["labels"]).expanduser().resolve())
        return cls(str(path.resolve()), asked)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {"data": self.data, "options": self.options, "data_dir": self.data_dir}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], folder: Path | str | None = None) -> Source:
        """Return the source that `to_dict` wrote down.

        Args:
            found: What it wrote, and under `"from_run"` what `seen_from` returned; runs of older versions lack that.
            folder: Of the run. What is no longer at its absolute path is looked for from here.
        """
        options = {name: tuple(one) if isinstance(one, list) else one for name, one in found["options"].items()}
        data, seen = found["data"], found.get("from_run") or {}
        if folder is not None:
            data = _moved(data, seen.get("data"), Path(folder))
            if "labels" in options:
                options["labels"] = _moved(str(options["labels"]), seen.get("labels"), Path(folder))
        return cls(data, options, found["data_dir"])

    def seen_from(self, folder: Path | str) -> dict[str, str]:
        """Return the way from a run's folder to its files, so that they are found when all are moved together."""
        if self.is_name:
            return {}
        paths = {"data": self.data, **({"labels": self.options["labels"]} if "labels" in self.options else {})}
        found = {}
        for name, path in paths.items():
            with contextlib.suppress(ValueError):  # on another drive of Windows there is no such way
                found[name] = Path(os.path.relpath(path, Path(folder).resolve())).as_posix()
        return found

    def opened(self, *, data_dir: str | None = None, offline: bool = False, progress: Any = None) -> Opened:
        """Read the data.

        Args:
            data_dir: Another folder with the files of named data.
            offline: Never download.
            progress: Called while downloading.

        Raises:
            FileNotFoundError, ValueError, ConnectionError: It cannot be read.
        """
        if self.is_name:
            chosen = {name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()}
            try:
                data = load(self.data, data_dir=data_dir or self.data_dir, offline=offline, progress=progress, **chosen)
            except TypeError as error:
                strange = [name for name in self.options if f"'{name}'" in str(error)] or list(self.options)
                if not strange:
                    raise
                said = ", ".join(map(_option, strange))
                raise ValueError(
                    explain(
                        f"The data set '{self.data}' does not take {said}.",
                        "Expected options of its kind of data.",
                        f"leave out {said}",
                    )
                ) from None
            return Opened(self, data, getattr(data, "raw", None) if data.kind == "table" else None)
        path = Path(self.data)
        if not path.exists():
            raise FileNotFoundError(_nothing_there(self.data))
        kind = kind_of(path, self.options)
        if kind not in ("table", "table of texts", "series"):
            return Opened(self, from_any(path, **self.options))
        columns = read_columns(path, encoding=self.options.get("encoding"))
        options = {name: resolved(value, columns) if name in (*_SINGLE, *_SEVERAL) else value
                   for name, value in self.options.items() if name != "encoding"}  # fmt: skip
        return Opened(self, from_any(columns, name=path.stem, **options), columns, options)


@dataclass
class Opened:
    """Data that was read, and what is known besides.

    Args:
        source: Where it is from.
        data: The `Table`, `Images`, `Text` or `Series`.
        columns: All columns of a table, inputs or not; None where there are none.
        options: The options with the columns' names as they are written in the file.
    """

    source: Source
    data: RawData
    columns: dict[str, np.ndarray] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def need_answers(self, *, to_learn: bool = True) -> RawData:
        """Return the data, or say which column might hold the answers.

        Args:
            to_learn: Whether answers that nothing can be learned from are refused, too.
        """
        if self.data.y is not None:
            if to_learn:
                self.check_classes()
            return self.data
        name = self.data.name
        if self.columns:
            names = [column for column in self.columns if column != self.options.get("text")] or list(self.columns)
            last = names[-1]
            known = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            raise ValueError(
                explain(
                    f"{name} is a table, and what is to be predicted was not said.",
                    f"Expected --target with one of its columns: {known}{'' if known.endswith('...') else '.'}",
                    f"--target {last if ' ' not in last else repr(last)}",
                )
            )
        raise ValueError(
            explain(
                f"{name} has no answers to learn from.",
                "Expected a folder for each class, a table with a target, or a text.",
                "uncrumple train photos/, with photos/cat/*.jpg and photos/dog/*.jpg",
            )
        )

    def check_classes(self) -> None:
        """Refuse answers that nothing can be learned from: one class, or nearly as many as rows.

        Raises:
            ValueError: They are such; the message says what to type.
        """
        if self.data.task != "classification" or self.data.y is None or np.ndim(self.data.y) != 1:
            return
        counts = np.bincount(np.asarray(self.data.y, np.int64), minlength=1)
        present, rows = int((counts > 0).sum()), len(self.data)
        column = self.options.get("target")
        what = f"the column '{column}'" if isinstance(column, str) else "the answers"
        if present < 2:
            raise ValueError(
                explain(
                    f"{self.data.name} has one class, '{self.data.class_names[int(counts.argmax())]}', in all "
                    f"{rows:,} rows: there is nothing to tell apart.",
                    "Expected two classes or more.",
                    "--target with another column"
                    if self.columns
                    else "a folder for each class: photos/cat, photos/dog",
                )
            )
        if 2 * present > rows and rows > 10:
            raise ValueError(
                explain(
                    f"{self.data.name} has {present:,} different values in {rows:,} rows of {what}: these are names, "
                    "not classes.",
                    "Expected classes, each in several rows.",
                    "--task regression"
                    if self.options.get("task") == "classification" and _are_numbers(self.data)
                    else "--target with another column",
                )
            )

    def slices(self, names: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray] | None:
        """Return columns to slice test rows by, whether they are inputs or not.

        Args:
            names: Of columns, upper or lower case.
            rows: The test rows, as numbers of rows of `data`.
        """
        if not names:
            return None
        if not self.columns:
            raise ValueError(
                explain(
                    f"--slices was given, and {self.data.name} has no columns.",
                    "Expected it for a table.",
                    "leave out --slices",
                )
            )
        kept = self._kept()
        return {name: self.columns[name][kept][rows] for name in resolved(tuple(names), self.columns)}

    def _kept(self) -> np.ndarray:
        """Return which rows of the file are rows of the data: those with an answer, and with a text."""
        assert self.columns is not None
        count = len(next(iter(self.columns.values())))
        kept = np.ones(count, bool)
        for name in (self.options.get("target"), self.options.get("text")):
            if isinstance(name, str):
                values = self.columns[name]
                kept &= ~is_missing(values)
                if values.dtype.kind != "f":
                    kept &= np.array([word != "" and word not in MISSING for word in as_words(values).tolist()], bool)
        if kept.sum() != len(self.data):
            raise ValueError(
                explain(
                    f"The rows of {self.data.name} are not those of its file: {len(self.data)} of {count}.",
                    "Expected a row of data for each row of the file, to slice by its columns.",
                    "leave out --slices",
                )
            )
        return kept


def _moved(path: str, seen: str | None, folder: Path) -> str:
    """Return a path, or the same file as seen from a folder if it is no longer there."""
    if seen is None or Path(path).exists():
        return path
    there = (folder.resolve() / seen).resolve()
    return str(there) if there.exists() else path


def kind_of(path: Path, options: Mapping[str, Any]) -> str:
    """Return what a path holds, in words."""
    if "past" in options:
        return "series"
    if "text" in options:
        return "table of texts"
    if path.is_dir():
        counts = {"folder of pictures": 0, "folder of texts": 0}
        for _, _, names in os.walk(path):
            for name in names:
                ending = os.path.splitext(name)[1].lower()
                counts["folder of pictures"] += ending in ENDINGS
                counts["folder of texts"] += ending == ".txt"
        return max(counts, key=counts.__getitem__)
    if path.suffix.lower() in _TABLES:
        return "table"
    with open(path, "rb") as file:
        start = file.read(4)
    binary = start[:2] == b"\x1f\x8b" or (start[:2] == b"\0\0" and path.suffix.lower() not in (".txt", ".md"))
    if binary or path.suffix.lower() == ".npy" or path.suffix.lower() in ENDINGS:
        return "file of pictures"
    return "table" if "target" in options else "text"


def check_encoding(path: Path) -> None:
    """Refuse an encoding for a file that is not written in characters.

    Raises:
        ValueError: The file's name says that it is such.
    """
    if path.suffix.lower() in (*PARQUET, ".npy", *ENDINGS):
        raise ValueError(
            explain(
                f"--encoding was given, and {path} is not a file of characters.",
                "Expected it for CSV and text files.",
                "leave out --encoding",
            )
        )


def resolved(names: Any, columns: Mapping[str, Any]) -> Any:
    """Return names of columns as they are written in the file, whatever their case."""
    if not isinstance(names, str):
        return [resolved(name, columns) for name in names]
    if names in columns:
        return names
    same = [column for column in columns if column.lower() == names.lower()]
    if len(columns) == 1 and not same:
        (whole,) = columns
        raise ValueError(
            explain(
                f"There is no column '{names}': the table was read as one column, '{whole}'.",
                "Expected ',', ';', a tab or '|' between the columns.",
                "save the table with one of these between its columns",
            )
        )
    if len(same) != 1:
        raise ValueError(unknown_name("column", names, columns))
    return same[0]


def _are_numbers(data: RawData) -> bool:
    """Return whether the classes are numbers, and so might be asked for as such."""
    return all(as_numbers(np.array([name], dtype=object)) is not None for name in data.class_names[:100])


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _nothing_there(data: str) -> str:
    """Say that there is no such data set, file or folder, and what was probably meant."""
    path = Path(data)
    names = catalogue().names
    if path.parent == Path() and not path.suffix and "/" not in data:
        near = [one.name for one in Path().iterdir()]
        if not closest(data, near):
            return unknown_name("data set", data, names)
    parent = path.parent if path.parent.is_dir() else None
    guess = closest(path.name, [one.name for one in parent.iterdir()]) if parent else None
    return explain(
        f"{data} is not there.",
        f"Expected a file, a folder, or the name of a data set ({', '.join(names[:6])}, ...).",
        f"did you mean {path.parent / guess if path.parent != Path() else guess}?" if guess else "check the path",
    )
