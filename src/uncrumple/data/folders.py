"""Files in folders, one folder per class: found, labelled, divided, and read while training goes on.

The order of files, the shuffling and the division are Keras's: the same
folder and seed give the same training and validation files.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import UncrumpleWarning, closest, explain, unknown_name, warn
from uncrumple.data import sources, stages
from uncrumple.data.background import cores
from uncrumple.data.dataset import Dataset
from uncrumple.data.elements import stacked

_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
_BATCHES_AHEAD = 2


@dataclass
class Recipe:
    """How a data set is made of files.

    Args:
        read: Makes an element of a path.
        label_mode: `"int"`, `"binary"`, `"categorical"`, or None for elements without labels.
        batch_size: None for single elements.
        seed: For the order.
        join: Makes a batch of elements.
    """

    read: Callable[[str], Any]
    label_mode: str | None
    batch_size: int | None
    seed: int
    join: Callable[[list[Any]], Any] = stacked

    def stage(self, paths: list[str], labels: np.ndarray | None, classes: int, shuffle: bool) -> sources.Stage:
        names = np.empty(len(paths), dtype=object)
        names[:] = paths
        source: sources.Numbered = sources.Slices(
            names if self.label_mode is None else (names, encoded(labels, self.label_mode, classes))
        )
        if shuffle:
            source = stages.Chosen(source, stages.Order(len(paths), self.seed, True), len(paths))
        read = self.read
        function = read if self.label_mode is None else lambda element: (read(element[0]), element[1])
        stage: sources.Stage = stages.Mapped(source, function, cores(), trusted=True)
        if self.batch_size is not None:
            stage = stages.Batched(stage, self.batch_size, join=self.join)
        return stages.Ahead(stage, _BATCHES_AHEAD if self.batch_size is not None else 64)


class FolderDataset(Dataset):
    """A `Dataset` of files, which are read again each time through.

    Attributes:
        class_names: The names of the classes, in the order of their numbers.
        file_paths: The files.
    """

    def __init__(
        self, paths: list[str], labels: np.ndarray | None, class_names: list[str] | None, recipe: Recipe, shuffle: bool
    ) -> None:
        super().__init__(recipe.stage(paths, labels, len(class_names or ()), shuffle))
        self.class_names, self.file_paths = class_names, paths
        self._labels, self._recipe, self._shuffle = labels, recipe, shuffle

    def without_bad_files(self) -> FolderDataset:
        """Return a data set without the files that cannot be read; each is read once to find out.

        Warns:
            UncrumpleWarning: How many were left out, and which.

        Raises:
            ValueError: None can be read.
        """
        paths = self.file_paths or []

        def problem(path: str) -> str | None:
            try:
                self._recipe.read(path)
            except (ValueError, OSError) as error:
                return str(error).split("\n")[0]
            return None

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncrumpleWarning)
            with ThreadPoolExecutor(cores()) as pool:
                problems = list(pool.map(problem, paths))
        good = [number for number, said in enumerate(problems) if said is None]
        bad = [said for said in problems if said is not None]
        if not good:
            raise ValueError(
                explain(
                    f"None of {len(paths)} files can be read: {bad[0]}", "Expected one at least.", "check the folder"
                )
            )
        if bad:
            shown = " ".join(bad[:3]) + (f" And {len(bad) - 3} more." if len(bad) > 3 else "")
            warn(
                f"{len(bad)} of {len(paths)} files cannot be read and are left out: {shown}",
                "Expected whole files.",
                "get these files anew, or remove them",
            )
        labels = None if self._labels is None else self._labels[good]
        return FolderDataset([paths[number] for number in good], labels, self.class_names, self._recipe, self._shuffle)


def encoded(labels: Any, label_mode: str, classes: int) -> torch.Tensor:
    """Return labels as a loss wants them: numbers, 0.0 and 1.0 in rows of one, or one-hot rows."""
    numbers = torch.as_tensor(np.asarray(labels))
    if label_mode == "binary":
        return numbers.to(torch.float32)[:, None]
    if label_mode == "categorical":
        rows = torch.zeros(len(numbers), classes)
        rows[torch.arange(len(numbers)), numbers.long()] = 1
        return rows
    return numbers.to(torch.int32)


# --- arguments -----------------------------------------------------------------------------


def check_arguments(
    owner: str,
    labels: Any,
    label_mode: Any,
    class_names: Any,
    batch_size: Any,
    validation_split: Any,
    subset: Any,
    shuffle: Any,
    seed: Any,
) -> None:
    """Refuse what is impossible, or does not go together."""

    def refuse(came: str, expected: str, fix: str) -> None:
        raise ValueError(explain(f"{owner} got {came}.", expected, fix))

    if not (labels is None or isinstance(labels, (list, tuple)) or (isinstance(labels, str) and labels == "inferred")):
        refuse(
            f"labels={labels!r}",
            "Expected 'inferred' (from the folders), None, or a list with a whole number for each file.",
            'labels="inferred"',
        )
    if isinstance(labels, (list, tuple)) and any(
        isinstance(label, bool) or not isinstance(label, (int, np.integer)) for label in labels
    ):
        refuse("labels that are not whole numbers", "Expected one whole number for each file.", "labels=[0, 1, 0]")
    if label_mode not in ("int", "categorical", "binary", None):
        raise ValueError(unknown_name("label_mode", str(label_mode), ("int", "categorical", "binary")))
    if class_names and labels != "inferred":
        refuse(
            "class_names together with labels that are not inferred",
            'Expected class_names only with labels="inferred".',
            "remove class_names",
        )
    if batch_size is not None and (
        isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1
    ):
        refuse(f"batch_size={batch_size!r}", "Expected a whole number of at least 1, or None.", "batch_size=32")
    if validation_split is not None and validation_split != 0 and not 0 < validation_split < 1:
        refuse(f"validation_split={validation_split}", "Expected 0 < validation_split < 1.", "validation_split=0.2")
    if subset not in ("training", "validation", "both", None):
        raise ValueError(unknown_name("subset", str(subset), ("training", "validation", "both")))
    if bool(validation_split) != bool(subset):
        given = f"validation_split={validation_split}" if validation_split else f"subset={subset!r}"
        refuse(
            f"{given} alone",
            "Expected both validation_split and subset, or neither.",
            'validation_split=0.2, subset="both", seed=0',
        )
    if validation_split and shuffle and seed is None:
        refuse(
            f"validation_split={validation_split} and shuffle=True without a seed",
            "Expected a seed: without one, files could be in the training and in the validation part.",
            "seed=0",
        )


# --- finding ---------------------------------------------------------------------------------


def find(
    owner: str,
    directory: Any,
    labels: Any,
    formats: tuple[str, ...],
    class_names: Any,
    shuffle: bool,
    seed: int,
    follow_links: bool,
    verbose: bool,
    empty_ones: bool = False,
) -> tuple[list[str], np.ndarray | None, list[str] | None]:
    """Return files, their labels and the names of the classes; shuffled, if asked for, by `seed`."""
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        beside = os.path.dirname(os.path.abspath(directory))
        guess = closest(os.path.basename(directory), os.listdir(beside) if os.path.isdir(beside) else [])
        raise FileNotFoundError(
            explain(
                f"{owner} got directory={directory!r}, "
                + ("which is a file." if os.path.exists(directory) else "which is not there."),
                "Expected a folder" + (" with a folder for each class." if isinstance(labels, str) else "."),
                f"did you mean {os.path.join(os.path.dirname(directory), guess)!r}?" if guess else "check the path",
            )
        )
    names: list[str] | None = None
    if isinstance(labels, str):
        names = _classes(owner, directory, class_names)
        found = [list(_files(directory, name, formats, follow_links)) for name in names]
        _warn_of_classes(owner, directory, names, found, formats)
        numbers = np.repeat(np.arange(len(names), dtype=np.int32), [len(part) for part in found])
        paths = [path for part in found for path in part]
    else:
        paths, numbers = list(_files(directory, "", formats, follow_links)), None
        if labels is not None:
            if len(labels) != len(paths):
                raise ValueError(
                    explain(
                        f"{owner} got {len(labels)} labels, and {directory} holds {len(paths)} files "
                        f"({', '.join(formats)}).",
                        "Expected a label for each file, in the order of the sorted paths.",
                        'labels="inferred", with a folder for each class',
                    )
                )
            numbers = np.asarray(labels, dtype=np.int64)
            names = [str(label) for label in sorted(set(labels))]
    if verbose:
        print(
            f"Found {len(paths)} files."
            if names is None
            else f"Found {len(paths)} files belonging to {len(names)} classes."
        )
    if not paths:
        raise ValueError(_nothing(owner, directory, formats, isinstance(labels, str)))
    if not empty_ones:
        _refuse_empty(owner, paths)
    if shuffle:
        # Keras's way: the same seed gives the same order, and so the same division.
        np.random.RandomState(seed).shuffle(paths)
        if numbers is not None:
            np.random.RandomState(seed).shuffle(numbers)
    return paths, numbers, names


def _classes(owner: str, directory: str, class_names: Any) -> list[str]:
    folders = sorted(
        name for name in os.listdir(directory) if not name.startswith(".") and os.path.isdir(f"{directory}/{name}")
    )
    if class_names is None:
        return folders
    strange = [name for name in class_names if name not in folders]
    if strange or len(set(class_names)) < len(class_names):
        raise ValueError(
            explain(
                f"{owner} got class_names={list(class_names)!r}"
                + (f", and there is no folder {strange[0]!r}." if strange else ", with a name twice."),
                f"Expected names of the folders in {directory}: {', '.join(folders)}.",
                f"class_names={folders!r}",
            )
        )
    return list(class_names)


def _files(directory: str, folder: str, formats: tuple[str, ...], follow_links: bool) -> Iterator[str]:
    """Yield the paths of files with the right endings, sorted by folder and name."""
    top = os.path.join(directory, folder) if folder else directory
    for root, _, names in sorted(os.walk(top, followlinks=follow_links), key=lambda entry: entry[0]):
        for name in sorted(names):
            if name.lower().endswith(formats):
                inside = os.path.relpath(os.path.join(root, name), top)
                yield os.path.join(directory, folder, inside) if folder else os.path.join(directory, inside)


def _warn_of_classes(owner: str, directory: str, names: list[str], found: list[Any], formats: tuple[str, ...]) -> None:
    empty = [name for name, part in zip(names, found) if not part]
    if empty and len(empty) < len(names):
        others = _endings(os.path.join(directory, empty[0]))
        warn(
            f"{owner}: no files in {', '.join(map(repr, empty[:5]))}"
            + (f", which holds {others}." if others and len(empty) == 1 else "."),
            f"Expected files ({', '.join(formats)}) in each class's folder: this class cannot be learnt.",
            f"class_names={[name for name in names if name not in empty]!r}, or add files",
        )
    if len(names) == 1 and found[0]:
        warn(
            f"{owner}: {directory} holds one folder, {names[0]!r}, and so all files have one class.",
            "Expected a folder for each of two or more classes.",
            f"{owner}({os.path.join(directory, names[0])!r}), if the classes' folders are in there; "
            "labels=None for data without labels",
        )
    elif len(names) > 1 and {name.lower() for name in names} <= _SPLITS:
        warn(
            f"{owner}: the classes are called {' and '.join(map(repr, names))}, as parts of a data set are.",
            "Expected a folder for each class.",
            f"{owner}({os.path.join(directory, names[0])!r}) for one of the parts",
        )


def _endings(folder: str) -> str:
    """Return what kinds of files a folder holds, in words."""
    counts: Counter[str] = Counter()
    for _, _, names in os.walk(folder):
        counts.update(os.path.splitext(name)[1].lower() or "no ending" for name in names if not name.startswith("."))
    return ", ".join(f"{count} {ending}" for ending, count in counts.most_common(3))


def _nothing(owner: str, directory: str, formats: tuple[str, ...], inferred: bool) -> str:
    there = _endings(directory)
    fix = "check the path"
    if inferred and any(name.lower().endswith(formats) for name in os.listdir(directory)):
        there, fix = (
            f"files, and no folder with files: {there}",
            "labels=None for files without labels, or a folder for each class",
        )
    return explain(
        f"{owner} found no files in {directory}" + (f"; it holds {there}." if there else ", which is empty."),
        f"Expected files ending in {', '.join(formats)}" + (", in a folder for each class." if inferred else "."),
        fix,
    )


def _refuse_empty(owner: str, paths: list[str]) -> None:
    """Refuse files without content, all at once."""
    empty = [path for path in paths if os.path.getsize(path) == 0]
    if empty:
        shown = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
        raise ValueError(
            explain(
                f"{owner} found {len(empty)} empty file{'s' * (len(empty) > 1)} of {len(paths)}: {shown}.",
                "Expected files with content.",
                "get these anew, or remove them: an interrupted download leaves such files",
            )
        )


# --- dividing, and making ---------------------------------------------------------------------


def datasets(
    owner: str,
    directory: Any,
    found: tuple[list[str], np.ndarray | None, list[str] | None],
    recipe: Recipe,
    shuffle: bool,
    validation_split: float | None,
    subset: str | None,
) -> Any:
    """Return a data set of the files, or of a part of them; for `"both"`, a list of two."""
    paths, labels, names = found
    if recipe.label_mode == "binary" and len(names or ()) != 2:
        raise ValueError(
            explain(
                f'{owner} got label_mode="binary" with {len(names or ())} classes: {", ".join(names or ())}.',
                "Expected 2 classes.",
                'label_mode="int"',
            )
        )
    if recipe.label_mode is not None and labels is not None and (labels.min() < 0 or labels.max() >= len(names or ())):
        if recipe.label_mode == "categorical":
            raise ValueError(
                explain(
                    f"{owner} got labels from {labels.min()} to {labels.max()} of {len(names or ())} kinds.",
                    f"Expected numbers from 0 to {len(names or ()) - 1}.",
                    "labels = np.unique(labels, return_inverse=True)[1].tolist()",
                )
            )
    if not validation_split:
        return FolderDataset(paths, labels, names, recipe, shuffle)
    held_back = int(validation_split * len(paths))
    if held_back == 0:
        raise ValueError(
            explain(
                f"{owner} got validation_split={validation_split} of {len(paths)} files, which is not one file.",
                "Expected one file at least for validation.",
                "a larger validation_split, or more files",
            )
        )
    made = []
    for part, where in (("training", slice(None, -held_back)), ("validation", slice(-held_back, None))):
        if subset in (part, "both"):
            some = paths[where]
            print(f"Using {len(some)} files for {part}.")
            again = shuffle and not (subset == "both" and part == "validation")
            made.append(FolderDataset(some, None if labels is None else labels[where], names, recipe, again))
    return made if subset == "both" else made[0]
