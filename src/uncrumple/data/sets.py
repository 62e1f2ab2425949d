"""Data sets by name: what there is, and each as a `Table`, `Images` or `Text`.

Files are looked for in the data directory and below it; what is missing is
downloaded once, checked against its published checksum, and kept there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.files import readable_size
from uncrumple.data import named, published, readers
from uncrumple.data.download import DATA_DIR_VARIABLE, Progress, Remote, cache_folder, fetch
from uncrumple.data.elsewhere import from_huggingface, from_openml
from uncrumple.data.kinds import RawData
from uncrumple.data.readers import Place

_ELSEWHERE: dict[str, Callable[..., RawData]] = {"openml": from_openml, "huggingface": from_huggingface}


@dataclass(frozen=True)
class File:
    """A file that a data set is read from.

    Args:
        remote: What was published, and where; None for a file that is only used where it is found.
        places: Where it is looked for below the data directory, in turn.
    """

    remote: Remote | None
    places: tuple[str, ...]

    def found(self, folder: Path) -> Path | None:
        """Return the file in a folder, or None."""
        for place in self.places:
            if (folder / place).is_file():
                return folder / place
        return None


@dataclass(frozen=True)
class Entry:
    """A data set that `load` knows.

    Args:
        name: What `load` takes.
        kind: `"table"`, `"images"` or `"text"`.
        task: `"classification"` or `"regression"`.
        rows: How many rows there are.
        asked: What is predicted, in words.
        description: What it is, in one sentence.
        source: Who published it.
        licence: The terms it is published under.
        read: Makes the data of the paths of its files and what the user said besides.
        files: What it is read from; empty for what comes with scikit-learn.
        instead: Files that will do in place of all of `files`, where one is found.
    """

    name: str
    kind: str
    task: str
    rows: int
    asked: str
    description: str
    source: str
    licence: str
    read: Callable[..., RawData] = field(repr=False)
    files: tuple[File, ...] = field(default=(), repr=False)
    instead: tuple[File, ...] = field(default=(), repr=False)

    @property
    def checksums(self) -> dict[str, str]:
        """The checksum of each file, by its name: `"sha256:..."` or `"md5:..."`."""
        return {
            file.remote.name: ":".join(file.remote.checksum)
            for file in self.files
            if file.remote is not None and file.remote.checksum is not None
        }

    @property
    def download_bytes(self) -> int | None:
        """How much is downloaded, 0 for nothing; None where it was not published."""
        sizes = [file.remote.size for file in self.files if file.remote is not None]
        return None if None in sizes else sum(size for size in sizes if size is not None)


class Catalogue(Sequence[Entry]):
    """The data sets that `load` knows, printed as a table in words.

    Example:
        >>> found = catalogue()
        >>> found["titanic"].asked
        'whether the passenger survived'
        >>> print(str(found).splitlines()[0].split())
        ['name', 'kind', 'rows', 'asked', 'download', 'licence']
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)

    @property
    def names(self) -> tuple[str, ...]:
        """What `load` takes."""
        return tuple(entry.name for entry in self._entries)

    def __getitem__(self, which: Any) -> Any:
        if not isinstance(which, str):
            return self._entries[which]
        for entry in self._entries:
            if entry.name == which:
                return entry
        raise KeyError(unknown_name("data set", which, self.names))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __str__(self) -> str:
        rows = [("name", "kind", "rows", "asked", "download", "licence")]
        for entry in self._entries:
            size = entry.download_bytes
            much = "unknown" if size is None else readable_size(size) if size else "none"
            rows.append((entry.name, entry.kind, f"{entry.rows:,}", entry.asked, much, entry.licence))
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        lines.append("")
        lines.append("And by name, from elsewhere: load('openml:credit-g'), load('huggingface:stanfordnlp/imdb').")
        return "\n".join(lines)

    __repr__ = __str__


def catalogue() -> Catalogue:
    """Return the data sets that `load` knows: each with kind, task, source, licence and checksums.

    Example:
        >>> catalogue().names[:3]
        ('digits', 'iris', 'wine')
    """
    return Catalogue(_entries())


def is_named(name: Any) -> bool:
    """Return whether `load` takes this for a name: of the catalogue, or of OpenML or Hugging Face.

    Example:
        >>> is_named("iris"), is_named("openml:credit-g"), is_named("iris.csv")
        (True, True, False)
    """
    return isinstance(name, str) and (name in catalogue().names or name.partition(":")[0] in _ELSEWHERE)


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    **more: Any,
) -> Any:
    """Return a data set by name, as a `Table`, `Images` or `Text`.

    Args:
        name: One of `catalogue().names`; or `"openml:credit-g"` for a set of openml.org, by name or
            number, with `@2` for its second version; or `"huggingface:owner/name"`, with
            `:configuration` if it has several.
        data_dir: The folder that holds its files, looked for in subfolders too. By default
            `$UNCRUMPLE_DATA_DIR` or `~/.cache/uncrumple`, into which missing files are downloaded.
            A folder named here is read and never written to.
        offline: Never use the network: files that are missing are an error.
        progress: Called while downloading with the file's name, the bytes so far, and in all.
        **more: What the kind takes: `most_speakers=5`, `size=(64, 64)`, `leave_out=["Name"]`.

    Returns:
        The data. It knows its `description`, `source` and `licence`, and, where its authors set rows
        apart for testing, `test_rows`, which `split` heeds.

    Raises:
        ValueError: The name is not known, or a file is not what it should be.
        FileNotFoundError: Files are missing, and downloading them is not allowed.
        ConnectionError: Files are missing, and could not be downloaded.

    Example:
        >>> iris = load("iris")
        >>> iris
        <Table iris: (150, 4): samples, columns; classification>
    """
    where, _, rest = str(name).partition(":")
    place = Place(Path(data_dir).expanduser() if data_dir else cache_folder(), bool(data_dir), offline, progress)
    if rest and where in _ELSEWHERE:
        return _ELSEWHERE[where](rest, folder=place.folder / where, offline=offline, **more)
    known = catalogue()
    if name not in known.names:
        raise ValueError(unknown_name("data set", str(name), known.names))
    entry = known[name]
    paths, said = _paths(entry, place)
    data = entry.read(paths, place, **more)
    data.name = entry.name
    data.description, data.licence = entry.description, entry.licence
    data.source = data.source or entry.source + said
    return data


def _paths(entry: Entry, place: Place) -> tuple[list[Path], str]:
    """Return the files of a data set, downloading what is missing, and words on where they lie."""
    for file in entry.instead:
        path = file.found(place.folder)
        if path is not None and any(one.found(place.folder) is None for one in entry.files):
            return [path], f"; read from {path}"
    found = [file.found(place.folder) for file in entry.files]
    missing = [file for file, path in zip(entry.files, found) if path is None]
    if missing and (place.named or place.offline):
        wanted = ", ".join(file.places[0] for file in missing)
        if not place.folder.is_dir():
            fix = f"there is no folder {place.folder}; name the one that holds the files"
        elif place.named:
            fix = "put the files there, or leave data_dir out to download them"
        else:
            fix = f"go online once, or name the folder that holds them by ${DATA_DIR_VARIABLE}"
        raise FileNotFoundError(
            explain(
                f"{entry.name} is not in {place.folder}: {len(missing)} of {len(entry.files)} files are missing.",
                f"Expected {wanted}.",
                fix,
            )
        )
    paths, published_ones = [], True
    for file, path in zip(entry.files, found):
        assert file.remote is not None
        if path is None:
            path = fetch(file.remote, place.folder / Path(file.places[0]).parent, progress=place.progress)
        else:
            with open(path, "rb") as content:
                published_ones &= file.remote.is_content_of(content)
        paths.append(path)
    if not paths:
        return [], ""
    known = "the published file, by checksum" if published_ones else "NOT the published file: its checksum differs"
    return paths, f"; read from {paths[0].parent} ({known})"


# --- what there is ---------------------------------------------------------------------------

_TORONTO = "A. Krizhevsky, 2009, Learning Multiple Layers of Features from Tiny Images"


def _entries() -> list[Entry]:
    entries = []
    for name, facts in named.FACTS.items():
        files: tuple[File, ...] = ()
        if name == "mnist":
            files = tuple(
                File(file.remote, (f"mnist/{file.name}.gz", f"{file.name}.gz", f"mnist/{file.name}", file.name))
                for file in named._MNIST_FILES
            )
        entries.append(
            Entry(
                name, facts["kind"], facts.get("task", "classification"), facts["rows"], facts["target"],
                facts["description"], facts["source"], facts["licence"], readers.embedded(name), files,
            )
        )  # fmt: skip
    fashion = tuple(
        File(remote, (f"fashion-mnist/{remote.name}", f"datasets/fashion-mnist/{remote.name}"))
        for remote in published.fashion_mnist_files()
    )
    return [
        *entries,
        Entry(
            "fashion-mnist", "images", "classification", 70_000, "which piece of clothing",
            "Grey pictures of ten kinds of clothes, of MNIST's size and number, and harder.",
            "H. Xiao, K. Rasul and R. Vollgraf, 2017, Zalando SE", "MIT", readers.fashion, fashion,
        ),
        Entry(
            "cifar-10", "images", "classification", 60_000, "what is on the photograph",
            "Colour photographs of 32 by 32 pixels, of ten kinds of animals and vehicles.",
            _TORONTO, "not stated by its authors, who ask to be cited",
            readers.cifar(
                "cifar-10-batches-py", "labels", "batches.meta",
                {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)},
            ),
            (File(published.CIFAR10, _places("cifar-10", published.CIFAR10)),),
            (File(None, ("cifar10-images.zip", "cifar-10/cifar10-images.zip")),),
        ),
        Entry(
            "cifar-100", "images", "classification", 60_000, "what is on the photograph",
            "Colour photographs of 32 by 32 pixels, of a hundred kinds of things.",
            _TORONTO, "not stated by its authors, who ask to be cited",
            readers.cifar("cifar-100-python", "fine_labels", "meta", {"train": ("train",), "test": ("test",)}),
            (File(published.CIFAR100, _places("cifar-100", published.CIFAR100)),),
        ),
        Entry(
            "cats-and-dogs", "images", "classification", 25_000, "whether it is a cat or a dog",
            "Photographs of cats and dogs, of all sizes, taken by people who look for a home for them.",
            "J. Elson and others, 2007, Asirra; Microsoft Research and Petfinder.com",
            "Microsoft Research licence: not for commercial use", readers.cats_and_dogs,
            (File(published.CATS_AND_DOGS, _places("cats-and-dogs", published.CATS_AND_DOGS)),),
            (File(None, ("cats-and-dogs-photos.zip", "cats-and-dogs/cats-and-dogs-photos.zip")),),
        ),
        Entry(
            "california-housing", "table", "regression", 20_640, "the median value of a house in dollars",
            "Districts of California in 1990: where they are, their houses, their people and what these earn.",
            "R. K. Pace and R. Barry, 1997, Sparse Spatial Autoregressions; with A. Geron's column of nearness to the sea",
            "not stated by its authors; figures of the United States census are in the public domain",
            readers.table("median_house_value", "the median value of a house in dollars"),
            (File(published.HOUSING, ("california-housing/housing.csv", "housing/housing.csv", "housing.csv")),),
        ),
        Entry(
            "titanic", "table", "classification", 891, "whether the passenger survived",
            "Passengers of the Titanic, with class, sex, age, family, fare, cabin and harbour; many ages are missing.",
            "Encyclopedia Titanica, by F. E. Harrell and T. Cason; the training part of Kaggle's competition",
            "not stated; Kaggle asks to use it for learning",
            readers.table("Survived", "whether the passenger survived", class_names=("died", "survived")),
            (File(published.TITANIC, ("titanic/titanic.csv", "titanic.csv", "titanic/train.csv")),),
        ),
        Entry(
            "shakespeare", "text", "classification", 1_536, "who says it",
            "Speeches from Shakespeare's plays, and who it is that speaks: the ten who speak most often.",
            "W. Shakespeare, about 1590 to 1613; a part of the plays, put together by A. Karpathy, 2015",
            "public domain", readers.shakespeare,
            (File(published.SHAKESPEARE, ("shakespeare/tinyshakespeare.txt", "tinyshakespeare.txt")),),
        ),
        Entry(
            "imdb", "text", "classification", 50_000, "whether the review is praise or blame",
            "Film reviews from IMDb, the half of them praise and the half of them blame.",
            "A. Maas and others, 2011, Learning Word Vectors for Sentiment Analysis",
            "not stated by its authors, who ask to be cited", readers.imdb,
            (File(published.IMDB, _places("imdb", published.IMDB)),),
        ),
    ]  # fmt: skip


def _places(folder: str, remote: Remote) -> tuple[str, ...]:
    return f"{folder}/{remote.name}", remote.name, f"datasets/{remote.name}"
