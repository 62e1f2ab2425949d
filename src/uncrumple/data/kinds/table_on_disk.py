"""`TableOnDisk`: a table with more rows than memory holds.

A CSV or Parquet file is read once, a stretch at a time, and its columns are
written to a folder in a form that can be read row by row. From there batches
are drawn in any order. In memory are a few numbers per row (its answer, its
place), and some batches.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.kinds.base import RawData
from uncrumple.data.kinds.columns import MISSING, as_numbers, as_words, is_missing
from uncrumple.data.kinds.delimited import missing_file
from uncrumple.data.kinds.prepare_table import TablePreparation, fitted
from uncrumple.data.kinds.roles import Roles, answers_in, lacks_answer, times_in
from uncrumple.data.kinds.stretches import Stretch, read_stretches
from uncrumple.data.kinds.table import Table

# Rows that are read and written at once.
_STRETCH = 50_000
# What columns are is told by so many rows, and measured on at most so many.
_LOOKED_AT, _MEASURED = 100_000, 1_000_000


class TableOnDisk(Table):
    """The rows of a CSV or Parquet file that is too large for memory, as a `Table`.

    What columns are is told by the first 100,000 rows; the preparation
    measures at most a million rows, evenly spaced. `fit` reads batches from
    the disk; `split`, `take`, `describe` and the rest are those of `Table`.

    Args:
        source: The path of a CSV file (UTF-8) or a Parquet file, or a list of such files with the same columns.
        target: The column to be predicted; None for rows without answers.
        folder: Where the columns are kept, a folder that is not there yet; None takes a temporary one,
            which is removed with the table. It takes about as much room as the file.
        groups, time, task, class_names, leave_out, numbers, categories, dates, texts, delimiter, name: As for `Table`.
        skip_damaged: Whether lines with too many or too few fields, and numbers that are none, are left
            out: counted in `notes`, and named in `damaged`. By default they are an error that names the line.

    Attributes:
        damaged: What was left out: {"file, line 7": what is wrong with it}.

    Raises:
        FileNotFoundError: There is no such file.
        FileExistsError: The folder is there.
        ValueError: A file is damaged, or a column is not there.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "rooms.csv"
        ...     _ = path.write_text("rooms,town,rent\\n2,Bern,900.5\\n3,Rome,1200\\n,Rome,1100.5\\n")
        ...     table = TableOnDisk(path, target="rent")
        ...     [(x["rooms"].tolist(), y.tolist()) for x, y in table.batches(2)]
        [([2.0, 3.0], [900.5, 1200.0]), ([nan], [1100.5])]
    """

    def __init__(
        self,
        source: Any,
        target: str | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        groups: str | None = None,
        time: str | None = None,
        task: str | None = None,
        class_names: Sequence[str] | None = None,
        leave_out: Sequence[str] = (),
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
        dates: Sequence[str] = (),
        texts: Sequence[str] = (),
        delimiter: str | None = None,
        skip_damaged: bool = False,
        name: str | None = None,
    ) -> None:
        paths = [Path(one) for one in (source if isinstance(source, (list, tuple)) else [source])]
        for path in paths:
            if not path.is_file():
                raise missing_file(path, "a table")
        self.damaged: dict[str, str] = {}
        damaged = self.damaged if skip_damaged else None
        stretches = read_stretches(paths, delimiter, damaged, _STRETCH)
        head = _head(stretches)
        first = {column: _joined([one.columns[column] for one in head]) for column in head[0].columns}
        roles = Roles(tuple(first), target, groups, time, leave_out, numbers, categories, dates, texts)
        notes: list[str] = []
        chosen = roles.inputs("TableOnDisk", first, notes)
        self._kept_in = _Folder(folder)
        self.folder = self._kept_in.path
        aside: dict[str, list[np.ndarray]] = {column: [] for column in roles.kept_apart}
        writers = [
            (_Numbers if column.kind == "number" else _Words)(self.folder, place, column.name)
            for place, column in enumerate(chosen)
        ]
        del first
        gone = _written(itertools.chain(head, stretches), writers, aside, target, damaged)
        if gone:
            notes.append(f"Left out {gone:,} rows without a value of '{target}'.")
        if self.damaged:
            shown = "; ".join(f"{where}: {said}" for where, said in list(self.damaged.items())[:3])
            more = f"; and {len(self.damaged) - 3} more" if len(self.damaged) > 3 else ""
            notes.append(f"Left out {len(self.damaged):,} rows that cannot be read: {shown}{more}.")
        self.columns = tuple(chosen)
        self._stored = {column.name: writer.reader() for column, writer in zip(chosen, writers)}
        self._at = np.arange(len(next(iter(self._stored.values()))), dtype=np.int64)
        y: np.ndarray | None = None
        names: tuple[str, ...] = ()
        answered: str | None = None
        if target is not None:
            y, answered, names = answers_in("TableOnDisk", _joined(aside[target]), task, class_names)
        RawData.__init__(
            self,
            name=name or paths[0].stem,
            target=target or "",
            task=answered,
            y=y,
            class_names=names,
            groups=None
            if groups is None
            else np.unique(as_words(_joined(aside[groups])).astype(str), return_inverse=True)[1],
            times=None if time is None else times_in(_joined(aside[time]), time),
            notes=notes,
        )

    @property
    def raw(self) -> dict[str, np.ndarray]:
        """The columns in memory, as of a `Table`: for parts that are small enough."""
        return self._rows_of(self._at)

    @property
    def _columns(self) -> dict[str, np.ndarray]:  # type: ignore[override]
        return self.raw

    def __len__(self) -> int:
        return len(self._at)

    @property
    def is_read_in_batches(self) -> bool:
        return True

    def _rows_of(self, places: np.ndarray) -> dict[str, np.ndarray]:
        return {name: column[places] for name, column in self._stored.items()}

    def _take_raw(self, rows: np.ndarray) -> None:
        self._at = self._at[rows]

    def _bytes(self) -> Iterator[bytes]:  # type: ignore[override]
        for start in range(0, len(self), _STRETCH):
            some = self._rows_of(self._at[start : start + _STRETCH])
            for name, values in some.items():
                content = values.tobytes() if values.dtype.kind == "f" else "\x1f".join(values.tolist()).encode()
                yield name.encode() + content

    def _details(self) -> list[str]:
        return [*self._columns_in_words(), f"on disk: {self.folder}"]

    def _readers(self) -> dict[str, Any]:
        from uncrumple.data.elements import as_array

        at, y = self._at, self.y

        def many(numbers: np.ndarray) -> Any:
            x = {name: as_array(values) for name, values in self._rows_of(at[numbers]).items()}
            return x if y is None else (x, as_array(y[numbers]))

        return {"many": many}

    def preparation(self, train_rows: Any = None) -> TablePreparation:
        """Return the layer that turns raw rows into vectors, fitted on the training rows alone.

        Of more than a million rows, a million, evenly spaced, are measured.
        """
        rows = self._rows(train_rows)
        step = max(1, -(-len(rows) // _MEASURED))
        places = rows._at[::step]
        return TablePreparation(
            [fitted(column, self._stored[column.name][places]) for column in rows.columns], rows._meaning()
        )

    def matrix(self, preparation: Any) -> np.ndarray:
        """Return the rows as a matrix of float32: all of it is in memory."""
        parts = [
            preparation.matrix(self._rows_of(self._at[start : start + _STRETCH]))
            for start in range(0, len(self), _STRETCH)
        ]
        return np.concatenate(parts)


# --- columns in files --------------------------------------------------------------------


class _Numbers:
    """Writes a column of numbers."""

    kind = "number"

    def __init__(self, folder: Path, place: int, name: str) -> None:
        self.path, self.name, self.rows = folder / f"{place}.numbers", name, 0
        self._file: BinaryIO = open(self.path, "wb")  # noqa: SIM115 - closed by reader()

    def write(self, values: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(values, np.float64).tobytes())
        self.rows += len(values)

    def reader(self) -> Any:
        self._file.close()
        if not self.rows:
            return np.zeros(0)
        return np.memmap(self.path, np.float64, "r", shape=(self.rows,)).view(np.ndarray)


class _Words:
    """Writes a column of texts: where each ends, and all of them one after another."""

    kind = "words"

    def __init__(self, folder: Path, place: int, name: str) -> None:
        self.path, self.name, self.rows, self._size = folder / f"{place}.words", name, 0, 0
        self._ends: BinaryIO = open(folder / f"{place}.ends", "wb")  # noqa: SIM115 - closed by reader()
        self._file: BinaryIO = open(self.path, "wb")  # noqa: SIM115

    def write(self, values: np.ndarray) -> None:
        content = [value.encode("utf-8", "surrogatepass") for value in as_words(values).tolist()]
        ends = self._size + np.cumsum([len(one) for one in content], dtype=np.int64)
        self._file.write(b"".join(content))
        self._ends.write(ends.tobytes())
        self._size = int(ends[-1]) if len(ends) else self._size
        self.rows += len(content)

    def reader(self) -> Any:
        self._file.close()
        self._ends.close()
        return _StoredWords(self.path, self.path.with_suffix(".ends"), self.rows, self._size)


class _StoredWords:
    """Texts in a file; taking rows gives an array of `str`."""

    def __init__(self, path: Path, ends: Path, rows: int, size: int) -> None:
        self._ends = np.memmap(ends, np.int64, "r", shape=(rows,)) if rows else np.zeros(0, np.int64)
        self._content = np.memmap(path, np.uint8, "r", shape=(size,)) if size else np.zeros(0, np.uint8)
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        ends = self._ends[places]
        starts = np.where(places > 0, self._ends[np.maximum(places - 1, 0)], 0)
        made = np.empty(len(places), dtype=object)
        content = self._content
        made[:] = [
            content[start:end].tobytes().decode("utf-8", "surrogatepass")
            for start, end in zip(starts.tolist(), ends.tolist())
        ]
        return made


class _Folder:
    """Where columns are kept; a temporary folder is removed with the last table that reads from it."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        if folder is None:
            self.path = Path(tempfile.mkdtemp(prefix="uncrumple-table-"))
            weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
            return
        self.path = Path(folder)
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            raise FileExistsError(
                explain(
                    f"{self.path} is there already.",
                    "Expected a folder that is not there yet.",
                    f"folder='{self.path}-2'",
                )
            ) from None


# --- from the file to the folder -----------------------------------------------------------


def _head(stretches: Iterator[Stretch]) -> list[Stretch]:
    """Return the first stretches, as many as columns are told by."""
    found: list[Stretch] = []
    for stretch in stretches:
        found.append(stretch)
        if sum(len(one.numbers) for one in found) >= _LOOKED_AT:
            break
    if not found:
        raise ValueError(explain("TableOnDisk got no rows.", "Expected at least one.", "check the file"))
    return found


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Return the parts of a plain column as one; numbers become words where some parts hold words."""
    kinds = {part.dtype.kind for part in parts}
    return np.concatenate(parts if len(kinds) == 1 else [as_words(part) for part in parts])


def _written(
    stretches: Iterable[Stretch],
    writers: list[Any],
    aside: dict[str, list[np.ndarray]],
    target: str | None,
    damaged: dict[str, str] | None,
) -> int:
    """Write columns to their files, and keep some in memory; return how many rows have no answer."""
    gone = 0
    known: dict[str, str] = {}
    for stretch in stretches:
        keep = np.ones(len(stretch.numbers), bool)
        if target is not None:
            lacking = lacks_answer(stretch.columns[target])
            gone += int(lacking.sum())
            keep &= ~lacking
        made = {}
        for writer in writers:
            values = stretch.columns[writer.name]
            numbers = as_numbers(values) if writer.kind == "number" else None
            if writer.kind == "number" and numbers is None and not is_missing(values).all():
                numbers, bad = _numbers_of(values)
                for row in np.flatnonzero(bad & keep).tolist():
                    where = stretch.where(row)
                    if damaged is None:
                        raise ValueError(
                            explain(
                                f"{where}: the column '{writer.name}' holds {values[row]!r}.",
                                "Expected a number, as in the rows before.",
                                f"categories=['{writer.name}'], or skip_damaged=True to leave such rows out",
                            )
                        )
                    damaged[where] = f"'{writer.name}' holds {values[row]!r}"
                keep &= ~bad
            elif writer.kind == "number" and numbers is None:
                numbers = np.full(len(values), np.nan)
            made[writer.name] = values if numbers is None else numbers
        for writer in writers:
            writer.write(made[writer.name][keep])
        for column, parts in aside.items():
            values = stretch.columns[column][keep]
            numbers = as_numbers(values)
            # Few different words, each of which is kept once.
            parts.append(_shared(values, known) if numbers is None else numbers)
    if not any(writer.rows for writer in writers):
        raise ValueError(
            explain(f"No row has a value of '{target}'.", "Expected answers.", "TableOnDisk(source) for rows without")
        )
    return gone


def _shared(values: np.ndarray, known: dict[str, str]) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = [known.setdefault(value, value) for value in as_words(values).tolist()]
    return made


def _numbers_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a column in which some values are none, and where these are."""
    made, bad = np.full(len(values), np.nan), np.zeros(len(values), bool)
    for row, value in enumerate(values.tolist()):
        if value in MISSING:
            continue
        try:
            made[row] = float(value)
        except ValueError:
            bad[row] = True
    return np.where(np.isfinite(made), made, np.nan), bad
