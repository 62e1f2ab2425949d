"""What all kinds of data have in common: raw rows, what is asked about them, and the way to a network.

Raw rows are what a user has: words, dates and gaps in a table, pictures,
sentences. Whatever is measured to turn them into numbers is measured by
`preparation`, on the training rows alone, and travels in the saved model.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.shapes import in_words

if TYPE_CHECKING:
    from uncrumple.data.dataset import Dataset
    from uncrumple.data.kinds.preparation import Preparation

TASKS = ("classification", "regression", "language")
# Whole numbers are taken for classes where they are few, and each in several rows.
_MOST_NUMBERED_CLASSES = 20


class RawData:
    """Raw rows with their answers; the base of `Table`, `Images`, `Text` and `Series`.

    Attributes:
        kind: `"table"`, `"images"`, `"text"` or `"series"`.
        name: What the data is called.
        task: `"classification"`, `"regression"`, `"language"`, or None without answers.
        target: What is asked, in words.
        y: The answers as numbers: places in `class_names` for classes; None if there are none.
        class_names: The classes in the order of their numbers.
        groups: What belongs together (a person, a document), one per row, or None.
        times: When each row was, or None.
        ends: When the answer of each row was known, or None where that is `times`.
        files: The file of each row, or None.
        notes: What was left out or guessed, each in a sentence.
        test_rows: The rows that the authors of the data set apart for testing, or None; `split` heeds them.
        description, source, licence: What is known of data that were loaded by name.
    """

    kind: ClassVar[str] = ""
    _is_raw_data: ClassVar[bool] = True
    description = source = licence = ""
    test_rows: np.ndarray | None = None
    augment: tuple[Any, ...] = ()

    def __init__(
        self,
        *,
        name: str,
        target: str = "",
        task: str | None = None,
        y: np.ndarray | None = None,
        class_names: Sequence[str] = (),
        groups: np.ndarray | None = None,
        times: np.ndarray | None = None,
        ends: np.ndarray | None = None,
        files: Sequence[str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.name, self.target, self.task = name, target, task
        self.y, self.class_names = y, tuple(class_names)
        self.groups, self.times, self.ends = groups, times, ends
        self.files = None if files is None else tuple(files)
        self.notes = tuple(notes)
        for what in ("y", "groups", "times", "files"):
            values = getattr(self, what)
            if values is not None and len(values) != len(self):
                raise ValueError(
                    explain(
                        f"{type(self).__name__} got {len(self)} rows and {len(values)} of {what}.",
                        "Expected one for each row.",
                        f"{what}={what}[:{len(self)}], if the rest is not meant.",
                    )
                )
        if not len(self):
            raise ValueError(
                explain(f"{type(self).__name__} got no rows.", "Expected at least one.", "check where they come from")
            )

    # --- what each kind says for itself ------------------------------------------------

    @property
    def raw(self) -> Any:
        """The rows as `model.predict` takes them."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the raw rows."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _take_raw(self, rows: np.ndarray) -> None:
        """Keep some of the raw rows, in place."""
        raise NotImplementedError

    def _bytes(self) -> Sequence[bytes]:
        """Return the raw rows as bytes, for the fingerprint."""
        raise NotImplementedError

    def preparation(self, train_rows: Any = None) -> Preparation:
        """Return the layer that turns raw rows into numbers, fitted on `train_rows` alone (None takes all)."""
        raise NotImplementedError

    # --- rows --------------------------------------------------------------------------

    def take(self, rows: Any) -> Any:
        """Return data of the same kind with some of the rows, in the order given.

        Args:
            rows: Row numbers, a mask, or a slice.
        """
        numbers = np.arange(len(self))[np.asarray(rows) if not isinstance(rows, slice) else rows]
        made = copy.copy(self)
        for what in ("y", "groups", "times", "ends"):
            values = getattr(self, what)
            setattr(made, what, None if values is None else values[numbers])
        if self.test_rows is not None:
            tested = np.flatnonzero(np.isin(numbers, self.test_rows))
            made.test_rows = tested if 0 < len(tested) < len(numbers) else None
        if self.files is not None:
            made.files = tuple(self.files[number] for number in numbers)
        made._take_raw(numbers)
        return made

    def matrix(self, preparation: Preparation) -> np.ndarray:
        """Return the rows as a matrix of float32, for classical models: the same statistics as for the network.

        Args:
            preparation: What `preparation(train_rows)` of the same data returned.

        Returns:
            An array of shape (samples, features).
        """
        return preparation.matrix(self.raw)

    @property
    def fingerprint(self) -> str:
        """The first half of a SHA-256 of rows and answers: the same rows in the same order give the same."""
        digest = hashlib.sha256(f"{self.kind} {self.task} {len(self)}\n".encode())
        for content in self._bytes():
            digest.update(hashlib.sha256(content).digest())
        if self.y is not None:
            digest.update(np.ascontiguousarray(self.y).tobytes())
        return digest.hexdigest()[:32]

    # --- batches -----------------------------------------------------------------------

    @property
    def is_read_in_batches(self) -> bool:
        """Whether `fit` reads the rows batch by batch, as they are too many for memory."""
        return False

    def batches(
        self,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        training: bool = False,
        preparation: Preparation | None = None,
        workers: int | None = None,
        processes: int = 0,
    ) -> Dataset:
        """Return a `Dataset` of batches of raw rows and their answers, a few of which are in memory at a time.

        Their order, and how they are augmented, follow from the seed and the epoch alone, whatever the
        number of workers. `fit` makes such batches by itself of data that do not fit in memory.

        Args:
            batch_size: Rows per batch.
            shuffle: Whether each epoch has another order.
            seed: For order and augmentation; None draws one from torch's generator, which
                `set_random_seed` sets.
            training: Whether to augment, as is done with the training part and with no other.
            preparation: Turns raw rows into numbers, for a network without its own preparation.
            workers: Threads that read files; None for one per core.
            processes: Processes that read files in place of threads; 0 for none. Rows that are in memory,
                or on disk as numbers, need neither.

        Example:
            >>> from uncrumple.data import Table
            >>> table = Table({"x": [1.0, 2.0, 4.0], "y": [1.5, 2.5, 3.5]}, target="y")
            >>> [y.tolist() for x, y in table.batches(2)]
            [[1.5, 2.5], [3.5]]
        """
        from uncrumple.data.streams import stream

        made = stream(
            len(self),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            workers=workers,
            processes=processes,
            augment=self.augment if training else (),
            **self._readers(),
        )
        made.class_names = list(self.class_names) or None
        if preparation is None:
            return made
        given = preparation

        def prepared(*parts: Any) -> Any:
            x = given(parts[0])
            return x if self.y is None else (x, *parts[1:])

        return made.map(prepared)

    def _readers(self) -> dict[str, Any]:
        """Return how rows are read, as arguments of `stream`."""
        from uncrumple.data.elements import as_array

        raw, y = self.raw, self.y
        x = {name: as_array(values) for name, values in raw.items()} if isinstance(raw, dict) else as_array(raw)
        answers = None if y is None else as_array(y)

        def many(numbers: np.ndarray) -> Any:
            index = torch.from_numpy(numbers)
            some = {name: values[index] for name, values in x.items()} if isinstance(x, dict) else x[index]
            return some if answers is None else (some, answers[index])

        return {"many": many}

    # --- answers -----------------------------------------------------------------------

    def decode(self, y: Any) -> np.ndarray:
        """Return answers in words.

        Args:
            y: Numbers of classes, or what the network gave: probabilities of shape
                (samples, classes), or (samples, 1) for two classes.

        Returns:
            Names of classes as an array of `str`; for a regression the numbers.
        """
        return decoded(y, self.task, self.class_names)

    def encode(self, names: Any) -> np.ndarray:
        """Return the numbers of classes that have these names.

        Raises:
            ValueError: There is no such class.
        """
        places = {name: place for place, name in enumerate(self.class_names)}
        found = []
        for name in np.asarray(names).reshape(-1).tolist():
            if str(name) not in places:
                raise ValueError(unknown_name("class", str(name), self.class_names))
            found.append(places[str(name)])
        return np.array(found, np.int64)

    # --- words -------------------------------------------------------------------------

    def shape_in_words(self) -> str:
        """Return the shape with the meaning of its axes."""
        return in_words(self.shape)

    def _details(self) -> list[str]:
        """Return lines about the rows."""
        return []

    def describe(self) -> list[str]:
        """Return lines that say what the data is: shape, columns, answers and their balance, what was left out."""
        lines = [f"{self.name}: {self.shape_in_words()}", *self._details()]
        if self.description:
            lines.insert(1, self.description)
        if self.y is None:
            lines.append("y: no answers")
        elif self.task == "classification":
            from uncrumple.data.describe import balance_bars

            counts = np.bincount(self.y, minlength=len(self.class_names))
            lines.append(f"y: {self.target}; {len(self.class_names)} classes")
            lines += balance_bars(list(zip(self.class_names, counts.tolist())), 30)
            lines.append(
                f"Always answering {self.class_names[int(counts.argmax())]!r} would be right "
                f"{100 * counts.max() / len(self.y):.1f} % of the time."
            )
        elif self.task == "regression":
            low, middle, high = np.quantile(self.y, [0.25, 0.5, 0.75])
            lines.append(
                f"y: {self.target}; from {self.y.min():g} to {self.y.max():g}, half of them between {low:g} and "
                f"{high:g}, median {middle:g}"
            )
        else:
            lines.append(f"y: {self.target}")
        if self.groups is not None:
            lines.append(f"groups: {len(np.unique(self.groups)):,}")
        if self.times is not None and self.task != "language":  # there they number the stretches
            lines.append(f"times: from {self.times.min()} to {self.times.max()}")
        if self.test_rows is not None:
            lines.append(f"Its authors set {len(self.test_rows):,} rows apart for testing.")
        lines += list(self.notes)
        lines += [f"{what}: {said}" for what in ("source", "licence") if (said := getattr(self, what))]
        return lines

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.shape_in_words()}; {self.task or 'no answers'}>"

    def _meaning(self) -> dict[str, Any]:
        """Return what a saved model has to know about its answers; of the training rows."""
        meaning: dict[str, Any] = {
            "name": self.name,
            "task": self.task,
            "class_names": list(self.class_names),
            "target": self.target,
            "rows": len(self),
        }
        if self.task == "regression" and self.y is not None:
            answers = self.y.astype(np.float64).reshape(len(self), -1)
            spread = answers.std(axis=0)
            meaning["answers"] = {
                "mean": answers.mean(axis=0).tolist(),
                "spread": np.where(spread > 0, spread, 1.0).tolist(),
            }
        return meaning

    def _rows(self, train_rows: Any) -> Any:
        """Return the training rows, which there must be some of."""
        rows = self if train_rows is None else self.take(train_rows)
        if not len(rows):
            raise ValueError(
                explain("preparation got no rows.", "Expected the training rows.", "d.preparation(split(d).rows.train)")
            )
        return rows


def decoded(y: Any, task: str | None, class_names: Sequence[str]) -> np.ndarray:
    """Return answers in words: see `RawData.decode`."""
    values = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if task != "classification":
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.dtype.kind == "f":
        if values.ndim == 2 and values.shape[1] == len(class_names) > 1:
            values = values.argmax(axis=1)
        elif len(class_names) == 2 and values.size == len(values):
            values = (values.reshape(-1) > 0.5).astype(np.int64)
    values = values.astype(np.int64).reshape(-1)
    if values.size and (values.min() < 0 or values.max() >= len(class_names)):
        wrong = values.min() if values.min() < 0 else values.max()
        raise ValueError(
            explain(
                f"decode got the class {wrong}.",
                f"Expected whole numbers from 0 to {len(class_names) - 1}, or probabilities of {len(class_names)} classes.",
                "d.decode(model.predict(d.raw))",
            )
        )
    return np.array(class_names, dtype=object)[values]


def answers_of(
    values: Any, task: str | None, class_names: Sequence[str] | None, owner: str
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Return answers as numbers, the task, and the names of the classes.

    Args:
        values: Labels as words, whole numbers or booleans, or measured numbers; one per row, none missing.
        task: `"classification"` or `"regression"`; None tells by the values.
        class_names: Names for whole numbers from 0; or the words in the order wanted.
        owner: Who asks, for messages.
    """
    if task not in (None, "classification", "regression"):
        raise ValueError(unknown_name("task", str(task), ("classification", "regression")))
    labels = np.asarray(values)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and task != "regression" and labels.dtype.kind in "iub" and (labels.sum(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    numeric = labels.dtype.kind in "iuf"
    if task is None:
        task = "regression" if numeric and not _are_classes(labels) and class_names is None else "classification"
    if task == "regression":
        bad = labels.reshape(-1)[~np.isfinite(labels.reshape(-1)) if numeric else slice(None)]
        if len(bad):
            raise ValueError(
                explain(
                    f"{owner} got task='regression', and answers such as {bad[:1].tolist()[0]!r}.",
                    "Expected finite numbers.",
                    "leave out the rows without a finite answer" if numeric else "task='classification'",
                )
            )
        return labels.astype(np.float32), task, ()
    if labels.ndim != 1:
        raise ValueError(
            explain(f"{owner} got labels of shape {labels.shape}.", "Expected one class per row.", "y.argmax(axis=1)")
        )
    if numeric and class_names is not None:
        if labels.min() < 0 or labels.max() >= len(class_names) or (labels != np.floor(labels)).any():
            raise ValueError(
                explain(
                    f"{owner} got labels from {labels.min():g} to {labels.max():g}, and {len(class_names)} class_names.",
                    f"Expected whole numbers from 0 to {len(class_names) - 1}.",
                    "leave out class_names",
                )
            )
        return labels.astype(np.int64), task, tuple(map(str, class_names))
    if numeric:
        kinds = np.unique(labels)
        names = tuple(f"{kind:g}" for kind in kinds.tolist())
    else:
        labels = np.array([str(label) for label in labels.tolist()], dtype=object)
        kinds = np.array(sorted(set(labels.tolist())), dtype=object)
        names = tuple(kinds.tolist())
        if class_names is not None:
            strange = next((name for name in names if name not in class_names), None)
            if strange is not None:
                raise ValueError(f"{owner}: " + unknown_name("class", strange, class_names))
            names = tuple(map(str, class_names))
            places = {name: place for place, name in enumerate(names)}
            return np.array([places[label] for label in labels], np.int64), task, names
    return np.searchsorted(kinds, labels).astype(np.int64), task, names


def _are_classes(labels: np.ndarray) -> bool:
    if labels.ndim != 1 or not np.isfinite(labels).all() or (labels != np.floor(labels)).any():
        return False
    kinds = len(np.unique(labels))
    return kinds <= _MOST_NUMBERED_CLASSES and (kinds <= len(labels) / 4 or (kinds == 2 and len(labels) >= 2))
