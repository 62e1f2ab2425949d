"""`Table`: rows with columns of numbers, words, dates and texts, and gaps among them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import closest, explain
from uncrumple.core.shapes import in_words
from uncrumple.data.kinds.base import RawData
from uncrumple.data.kinds.columns import MISSING, Column, as_numbers, as_words, is_missing, plain
from uncrumple.data.kinds.delimited import missing_file, read_delimited
from uncrumple.data.kinds.prepare_table import TablePreparation, fitted
from uncrumple.data.kinds.roles import Roles, answers_in, lacks_answer, times_in

PARQUET = (".parquet", ".pq")


class Table(RawData):
    """The rows of a CSV or Parquet file, of a data frame, or of a dict of columns.

    Each column is recognised as numbers, categories, dates or texts. Columns
    that number the rows, or hold one value, or hold almost as many different
    words as rows are left out, and `notes` says so. Rows without an answer are
    left out, too.

    Args:
        source: A path (.csv, .tsv, .txt, .parquet), a data frame, or a dict of columns.
        target: The column to be predicted; None for rows without answers.
        groups: A column that says what belongs together, such as a patient. No input.
        time: A column that says when each row was: a date or a number. No input.
        task: `"classification"` or `"regression"`; None tells by the target: words, booleans and up to
            20 different whole numbers are classes.
        class_names: Names for the classes, if the target holds whole numbers from 0.
        leave_out: Columns that are no inputs.
        numbers, categories, dates, texts: Columns that are to be read as such, whatever they look like.
        delimiter: What stands between the fields of a CSV file; None finds out.
        encoding: Of a CSV file; None takes what its first bytes say, else UTF-8.
        name: What the data is called; None takes the file's name.

    Attributes:
        columns: The inputs: `Column(name, kind)`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or a column is not there.
        ImportError: The file is Parquet, and pyarrow is not installed.

    Example:
        >>> table = Table({"rooms": [2, 3, None, 4], "town": ["Bern", "Rome", "Rome", "Bern"],
        ...                "rent": [900.5, 1200.0, 1100.0, 1500.0]}, target="rent")
        >>> table.shape_in_words(), table.task
        ('(4, 2): samples, columns', 'regression')
        >>> table.matrix(table.preparation()).shape
        (4, 4)
    """

    kind = "table"

    def __init__(
        self,
        source: Any,
        target: str | None = None,
        *,
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
        encoding: str | None = None,
        name: str | None = None,
    ) -> None:
        found = read_columns(source, delimiter, encoding)
        roles = Roles(tuple(found), target, groups, time, leave_out, numbers, categories, dates, texts)
        notes: list[str] = []
        if target is not None:
            found = _with_answers(found, target, notes)
        rows = len(next(iter(found.values())))
        y: np.ndarray | None = None
        names: tuple[str, ...] = ()
        answered: str | None = None
        if target is not None and rows:
            y, answered, names = answers_in("Table", found[target], task, class_names)
        self.columns: tuple[Column, ...] = tuple(roles.inputs("Table", found, notes))
        self._columns: dict[str, np.ndarray] = {one.name: _of_kind(found[one.name], one.kind) for one in self.columns}
        super().__init__(
            name=name or (Path(source).stem if isinstance(source, (str, os.PathLike)) else "table"),
            target=target or "",
            task=answered,
            y=y,
            class_names=names,
            groups=None if groups is None else as_words(found[groups]).astype(str),
            times=None if time is None else times_in(found[time], time),
            notes=notes,
        )

    @property
    def raw(self) -> dict[str, np.ndarray]:
        """The columns: float64 with NaN for numbers, `str` with "" where nothing is for the rest."""
        return dict(self._columns)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), len(self.columns))

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def shape_in_words(self) -> str:
        return in_words(self.shape).replace("features", "columns")

    def _take_raw(self, rows: np.ndarray) -> None:
        self._columns = {name: values[rows] for name, values in self._columns.items()}

    def _bytes(self) -> list[bytes]:
        return [
            name.encode() + (values.tobytes() if values.dtype.kind == "f" else "\x1f".join(values.tolist()).encode())
            for name, values in self._columns.items()
        ]

    def _columns_in_words(self) -> list[str]:
        """Return a line per kind of column, with their names."""
        words = {"number": "numbers", "category": "categories", "date": "dates", "text": "texts"}
        lines = []
        for kind, said in words.items():
            some = [column.name for column in self.columns if column.kind == kind]
            if some:
                lines.append(f"{said}: {', '.join(some)}")
        return lines

    def _details(self) -> list[str]:
        lines = self._columns_in_words()
        gaps = {name: int(is_missing(values).sum()) for name, values in self._columns.items()}
        if any(gaps.values()):
            lines.append("missing: " + ", ".join(f"{name} {count:,}" for name, count in gaps.items() if count))
        return lines

    def preparation(self, train_rows: Any = None) -> TablePreparation:
        """Return the layer that turns raw rows into vectors, fitted on the training rows alone.

        Args:
            train_rows: Row numbers of the training part; None takes all rows.
        """
        rows = self._rows(train_rows)
        return TablePreparation(
            [fitted(column, rows._columns[column.name]) for column in rows.columns], rows._meaning()
        )


def read_columns(source: Any, delimiter: str | None = None, encoding: str | None = None) -> dict[str, np.ndarray]:
    """Return the columns of a file, a frame or a dict, each float64 or `str`."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.suffix.lower() in PARQUET:
            return _parquet(path)
        return read_delimited(path, delimiter, encoding)
    if hasattr(source, "columns") and hasattr(source, "__getitem__"):
        found = {str(name): plain(source[name], str(name)) for name in source.columns}
    elif isinstance(source, dict):
        found = {str(name): plain(values, str(name)) for name, values in source.items()}
    else:
        raise TypeError(
            explain(
                f"Table got a {type(source).__name__}.",
                "Expected a path, a data frame, or a dict of columns.",
                "Table({'age': [30, 40], 'city': ['Bern', 'Rome'], 'buys': ['no', 'yes']}, target='buys')",
            )
        )
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise ValueError(
            explain(
                f"Table got columns of different lengths: '{short}' has {lengths[short]} rows, '{long}' {lengths[long]}.",
                "Expected as many in each.",
                "the same rows for all columns",
            )
        )
    if not found or not next(iter(lengths.values())):
        raise ValueError(explain("Table got no rows.", "Expected at least one.", "check where they come from"))
    return found


def parquet_file(path: Path) -> Any:
    """Return an open Parquet file.

    Raises:
        FileNotFoundError: It is not there.
        ImportError: pyarrow is not installed.
        ValueError: It is damaged.
    """
    if not path.is_file():
        raise missing_file(path, "a table")
    try:
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            explain(
                f"{path.name} is a Parquet file, and pyarrow is not installed.",
                "Expected pyarrow.",
                "pip install 'uncrumple[parquet]'",
            )
        ) from None
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _not_parquet(path, error) from None


def _parquet(path: Path) -> dict[str, np.ndarray]:
    file = parquet_file(path)
    try:
        frame = file.read().to_pandas()
    except (OSError, ValueError) as error:  # pyarrow's errors are one or the other
        raise _not_parquet(path, error) from None
    return read_columns(frame)


def _not_parquet(path: Path, error: Exception) -> ValueError:
    return ValueError(
        explain(
            f"{path.name} cannot be read as Parquet: {str(error).splitlines()[0]}",
            "Expected a whole Parquet file.",
            "get the file anew",
        )
    )


def _with_answers(found: dict[str, np.ndarray], target: str, notes: list[str]) -> dict[str, np.ndarray]:
    """Return the rows whose target is there."""
    gone = lacks_answer(found[target])
    if gone.all():
        raise ValueError(
            explain(
                f"The column '{target}' is empty.", "Expected answers in it.", "Table(source) for rows without answers"
            )
        )
    if gone.any():
        notes.append(f"Left out {int(gone.sum()):,} rows without a value of '{target}'.")
        return {name: values[~gone] for name, values in found.items()}
    return found


def _of_kind(values: np.ndarray, kind: str) -> np.ndarray:
    """Return a column in the type that its kind has among raw rows."""
    if kind == "number":
        numbers = as_numbers(values)
        if numbers is None:  # words among new rows, where the training rows had numbers
            raise ValueError
        return numbers
    return as_words(values)


def columns_like(source: Any, wanted: Sequence[tuple[str, str]], **reading: Any) -> dict[str, np.ndarray]:
    """Return new raw rows with these columns: (name, kind).

    Raises:
        ValueError: A column is not there, or holds words where numbers are expected.
    """
    found = source._columns if isinstance(source, Table) else read_columns(source, **reading)
    lacking = [name for name, _ in wanted if name not in found]
    if lacking:
        raise ValueError(lacks_columns(source, lacking, [name for name, _ in wanted], found))
    made = {}
    for name, kind in wanted:
        try:
            made[name] = _of_kind(found[name], kind)
        except ValueError:
            values = found[name].tolist()
            row = next(
                row
                for row, value in enumerate(values)
                if as_numbers(found[name][row : row + 1]) is None and value not in MISSING
            )
            raise ValueError(
                explain(
                    f"The column '{name}' holds {values[row]!r} in row {row}.",
                    "Expected a number, as in the training rows.",
                    "leave it empty where the value is not known",
                )
            ) from None
    return made


def lacks_columns(source: Any, lacking: Sequence[str], wanted: Sequence[str], found: Iterable[str]) -> str:
    """Say which columns new rows lack, and which one was probably meant for the first of them."""
    where = f"{Path(source).name} has" if isinstance(source, (str, os.PathLike)) else "The new rows have"
    more = f", nor {len(lacking) - 1} more of the {len(wanted)} that are needed" if len(lacking) > 1 else ""
    guess = closest(lacking[0], found)
    fix = "add it; where a value is not known, leave it empty" if len(lacking) == 1 else "a table with these columns"
    return explain(
        f"{where} no column '{lacking[0]}'{more}.",
        f"Expected the columns of the training rows: {', '.join(wanted[:8])}{', ...' if len(wanted) > 8 else '.'}",
        f"rename '{guess}' to '{lacking[0]}'" if guess else fix,
    )


def most_frequent(values: Sequence[str], most: int, least: int) -> list[str]:
    """Return the values that occur at least `least` times, the most frequent first, ties in order."""
    counts = Counter(values)
    found = sorted(
        (value for value, count in counts.items() if count >= least), key=lambda value: (-counts[value], value)
    )
    return found[:most]
