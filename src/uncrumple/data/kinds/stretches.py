"""CSV and Parquet files, read a stretch of rows at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.kinds.columns import plain
from uncrumple.data.kinds.delimited import _is_number, _sniffed, columns_of, decode
from uncrumple.data.kinds.table import PARQUET, parquet_file

_SNIFFED_BYTES = 1 << 16


@dataclass(frozen=True)
class Stretch:
    """Some rows of a file.

    Args:
        columns: Each float64 or `str`.
        file: The name of the file.
        numbers: For each row the number of its line, from 1; in Parquet files of the row, from 0.
        unit: `"line"` or `"row"`.
    """

    columns: dict[str, np.ndarray]
    file: str
    numbers: list[int]
    unit: str

    def where(self, row: int) -> str:
        """Return where a row is, in words."""
        return f"{self.file}, {self.unit} {self.numbers[row]:,}"


def read_stretches(
    paths: list[Path], delimiter: str | None, damaged: dict[str, str] | None, rows: int
) -> Iterator[Stretch]:
    """Yield the rows of files, some at a time.

    Args:
        paths: Files with the same columns.
        delimiter: Of CSV files; None finds out.
        damaged: Where lines that cannot be read are written down; None makes them an error.
        rows: How many rows at a time.

    Raises:
        ValueError: A file is damaged, or lacks a column of the first.
    """
    names: list[str] = []
    for path in paths:
        parquet = path.suffix.lower() in PARQUET
        for stretch in _of_parquet(path, rows) if parquet else _of_csv(path, delimiter, damaged, rows):
            names = names or list(stretch.columns)
            lacking = next((name for name in names if name not in stretch.columns), None)
            if lacking is not None:
                raise ValueError(f"{path.name}: " + unknown_name("column", lacking, stretch.columns))
            yield Stretch({name: stretch.columns[name] for name in names}, path.name, stretch.numbers, stretch.unit)


def _of_parquet(path: Path, rows: int) -> Iterator[Stretch]:
    start = 0
    for batch in parquet_file(path).iter_batches(batch_size=rows):
        frame = batch.to_pandas()
        columns = {str(name): plain(frame[name], str(name)) for name in frame.columns}
        yield Stretch(columns, path.name, list(range(start, start + len(frame))), "row")
        start += len(frame)


def _of_csv(path: Path, delimiter: str | None, damaged: dict[str, str] | None, rows: int) -> Iterator[Stretch]:
    with open(path, "rb") as file:
        start = file.read(_SNIFFED_BYTES)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:4]:
            raise ValueError(
                explain(
                    f"{path.name} is UTF-16, or no text.",
                    "Expected UTF-8 in a file that is read a stretch at a time.",
                    "save it as UTF-8; or Table(path), if it fits in memory",
                )
            )
        file.seek(0)
        if delimiter is None:
            whole = start[: start.rfind(b"\n") + 1] or start
            delimiter = _sniffed(whole.decode("utf-8", "replace").splitlines(keepends=True))
        lines = _Lines(file, path.name, damaged)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header: list[str] = []
        records: list[list[str]] = []
        numbers: list[int] = []
        begin = 1
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                raise ValueError(
                    explain(
                        f"{path.name}, line {begin:,}: {error}.",
                        f"Expected fields with {delimiter!r} between them, and quotes that are closed.",
                        'write a quote within quotes twice: "she said ""no"""',
                    )
                ) from None
            if record is None:
                break
            at, begin = begin, lines.number + 1
            if not record:
                continue
            if not header:
                header = _header(record, path)
                if not all(_is_number(name) for name in record):
                    continue
            if len(record) != len(header):
                said = f"has {len(record)} fields in place of {len(header)}"
                if damaged is None:
                    raise ValueError(
                        explain(
                            f"{path.name}, line {at:,} {said}.",
                            f"Expected as many on every line, with {delimiter!r} between them.",
                            "mend that line, or skip_damaged=True to leave such lines out",
                        )
                    )
                damaged[f"{path.name}, line {at:,}"] = said
                continue
            records.append(record)
            numbers.append(at)
            if len(records) == rows:
                yield Stretch(columns_of(header, records), path.name, numbers, "line")
                records, numbers = [], []
        if records:
            yield Stretch(columns_of(header, records), path.name, numbers, "line")


class _Lines:
    """The lines of an open file as text, counted."""

    def __init__(self, file: Any, name: str, damaged: dict[str, str] | None) -> None:
        self._file, self._name, self._damaged, self.number = file, name, damaged, 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            if self.number == 1 and line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError:
                if self._damaged is None:
                    try:
                        decode(line, f"{self._name}, line {self.number:,}")
                    except ValueError as error:
                        raise ValueError(str(error).replace(", line 1:", ":", 1)) from None
                    raise
                self._damaged[f"{self._name}, line {self.number:,}"] = "is not UTF-8"


def _header(record: list[str], path: Path) -> list[str]:
    names = [name.strip() or f"column {place + 1}" for place, name in enumerate(record)]
    if all(_is_number(name) for name in record):
        names = [f"column {place + 1}" for place in range(len(record))]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            explain(f"{path.name} has two columns called '{twice}'.", "Expected different names.", "rename one of them")
        )
    return names
