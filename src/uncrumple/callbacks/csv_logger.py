"""One line of a CSV file for each epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import Any, TextIO

import numpy as np

from uncrumple.callbacks import files
from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.core.errors import explain, warn


class CSVLogger(Callback):
    """Write the metrics of each epoch as a line of a CSV file, while training goes on.

    The columns are `epoch` (from 0) and the metrics of the first epoch in
    alphabetical order, with a `val_` column for each even if there is no
    validation yet. What an epoch lacks is `NA`. Lines are written straight to
    the file, one complete line at a time, so that it can be watched.

    Args:
        filename: Where to. Missing folders are made.
        separator: What stands between the columns.
        append: Whether to add to the file instead of starting it anew.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
        >>> logger = CSVLogger(path)
        >>> logger.on_train_begin()
        >>> logger.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
        >>> logger.on_train_end()
        >>> print(open(path).read())
        epoch,loss,val_loss
        0,0.5,0.75
        <BLANKLINE>
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(
                explain(
                    f"CSVLogger got separator={separator!r}.",
                    "Expected one character.",
                    "CSVLogger('log.csv', separator=';')",
                )
            )
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.append_header = True
        self.keys: list[str] | None = None
        self.writer: Any = None
        self.csv_file: TextIO | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        self.keys = None
        self.append_header = True
        try:
            if folder := os.path.dirname(self.filename):
                os.makedirs(folder, exist_ok=True)
            if self.append and os.path.exists(self.filename):
                self.append_header = os.path.getsize(self.filename) == 0
            # csv ends its lines itself, hence newline="".
            self.csv_file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise files.named(error, self.filename, "CSVLogger") from error

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        if self.csv_file is None:
            self.on_train_begin()
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(name.startswith("val_") for name in self.keys):
                self.keys += [f"val_{name}" for name in self.keys]
        try:
            if self.writer is None:
                columns = ["epoch", *self.keys]
                self.writer = csv.DictWriter(self.csv_file, columns, delimiter=self.sep)  # type: ignore[arg-type]
                if self.append_header:
                    self.writer.writeheader()
                else:
                    self._compare_header(columns)
            row = {name: _cell(logs.get(name, "NA")) for name in self.keys}
            self.writer.writerow({"epoch": epoch, **row})
            self.csv_file.flush()  # type: ignore[union-attr]
        except OSError as error:
            raise files.named(error, self.filename, "CSVLogger") from error

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _close(self) -> None:
        if self.csv_file is not None and not self.csv_file.closed:
            self.csv_file.close()
        self.csv_file = None
        self.writer = None

    def _compare_header(self, columns: list[str]) -> None:
        with open(self.filename, newline="", encoding="utf-8") as file:
            before = next(csv.reader(file, delimiter=self.sep), [])
        if before != columns:
            warn(
                f"CSVLogger adds columns {columns} to {self.filename!r}, which has {before}.",
                "Expected the same columns.",
                "CSVLogger with another filename",
            )


def _cell(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'
