"""How each data set that has a name becomes a `Table`, `Images` or `Text`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.data import archive, named, published
from uncrumple.data.download import Progress, cache_folder
from uncrumple.data.idx import read_idx
from uncrumple.data.kinds import Images, RawData, Table, Text
from uncrumple.data.pickles import cifar_batch, not_the_data, read_pickle

_CIFAR_PARTS = {"train": 50_000, "test": 10_000}
_CLOTHES = (
    "T-shirt or top", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where the files of a data set come from, as the user said it.

    Args:
        folder: The data directory.
        named: Whether the user named it: then nothing is downloaded.
        offline: Whether the network is not to be used.
        progress: Called while downloading.
    """

    folder: Path
    named: bool
    offline: bool
    progress: Progress | None


def embedded(name: str) -> Callable[..., RawData]:
    """Return what reads a data set that `named` knows as numbers."""

    def read(_: list[Path], place: Place, **more: Any) -> RawData:
        found = named.load(name, place.folder if place.named else None, place.offline, place.progress)
        data: RawData
        if found.is_images:
            data = Images(found.x, found.y, class_names=found.class_names, **more)
        else:
            answers: Any = found.y
            if found.task == "classification":
                answers = np.array(found.class_names, dtype=object)[found.y]
            columns: dict[str, Any] = {column: found.x[:, number] for number, column in enumerate(found.feature_names)}
            names = {"class_names": found.class_names} if found.class_names else {}
            asked = {"target": "answer", "task": found.task, "numbers": list(columns), **names, **more}
            data = Table({**columns, "answer": answers}, **asked)
        data.target, data.test_rows, data.source = found.target, found.test_rows, found.source
        return data

    return read


def fashion(paths: list[Path], _: Place, **more: Any) -> RawData:
    """Return Fashion-MNIST from its four files."""
    arrays = []
    for path, (_md5, shape) in zip(paths, published.FASHION_FILES.values()):
        found = read_idx(path)
        if found.shape != shape or found.dtype != np.uint8:
            raise not_the_data(
                path, f"it holds {found.dtype} numbers of shape {found.shape}", f"uint8 of shape {shape}"
            )
        arrays.append(found)
    x, y, x_test, y_test = arrays
    return _in_two(x, y, x_test, y_test, _CLOTHES, "which piece of clothing", **more)


def _in_two(x: Any, y: Any, x_test: Any, y_test: Any, classes: Sequence[str], asked: str, **more: Any) -> RawData:
    """Return pictures whose authors set some apart for testing."""
    data = Images(np.concatenate([x, x_test]), np.concatenate([y, y_test]), **{"class_names": classes, **more})
    data.target, data.test_rows = asked, np.arange(len(x), len(x) + len(x_test))
    return data


def cifar(folder: str, labels: str, names: str, parts: dict[str, tuple[str, ...]]) -> Callable[..., RawData]:
    """Return what reads one of CIFAR's archives, which is not unpacked, or an archive of the same pictures.

    Args:
        folder: Where the files are in the archive.
        labels: Which labels: `"labels"`, `"fine_labels"`.
        names: The file with the names of the classes.
        parts: The files with the pictures to learn from, and to be tested on.
    """

    def read(paths: list[Path], place: Place, **more: Any) -> RawData:
        if paths[0].suffix == ".zip":
            return _photos(paths, place, inside="cifar10", asked="what is on the photograph", **more)
        wanted = {f"{folder}/{name}" for files in parts.values() for name in files} | {f"{folder}/{names}"}
        found = dict(archive.contents(paths[0], wanted))
        gone = sorted(wanted - set(found))
        if gone:
            raise not_the_data(paths[0], f"it has no {gone[0]}", "the archive as published")
        arrays: dict[str, Any] = {}
        for part, files in parts.items():
            batches = [
                cifar_batch(found[f"{folder}/{name}"], name, labels, _CIFAR_PARTS[part] // len(files)) for name in files
            ]
            arrays[f"x_{part}"] = np.concatenate([images for images, _ in batches]).transpose(0, 2, 3, 1)
            arrays[f"y_{part}"] = np.concatenate([np.array(classes, np.int64) for _, classes in batches])
        said = read_pickle(found[f"{folder}/{names}"])
        key = "label_names" if "label_names" in said else labels.replace("labels", "label_names")
        classes = [one.decode() if isinstance(one, bytes) else str(one) for one in said[key]]
        return _in_two(
            arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"], classes,
            "what is on the photograph", **more,
        )  # fmt: skip

    return read


def cats_and_dogs(paths: list[Path], place: Place, **more: Any) -> RawData:
    """Return the photographs of cats and dogs."""
    return _photos(paths, place, asked="whether it is a cat or a dog", **more)


def _photos(paths: list[Path], place: Place, inside: str = "", asked: str = "", **more: Any) -> RawData:
    """Return the pictures of an archive, which is unpacked once; folders called train and test stay apart."""
    folder = _unpacked(paths[0], place)
    tops = [folder / one for one in ([inside] if inside else ["photos", "PetImages"])]
    top = next((one for one in tops if one.is_dir()), folder)
    if not (top / "test").is_dir():
        data = Images(top, **{"skip_damaged": top.name == "PetImages", **more})
        data.target = asked
        return data
    parts = [Images(top / part, **more) for part in ("train", "test")]
    if parts[0].class_names != parts[1].class_names:
        raise not_the_data(paths[0], "its train and test folders have other classes", "the same classes in both")
    data = Images(
        [path for part in parts for path in part.files or ()],
        np.concatenate([part.y for part in parts]),  # type: ignore[misc]
        **{"class_names": parts[0].class_names, **more},
    )
    data.target = asked
    data.test_rows = np.arange(len(parts[0]), len(data))
    return data


def _unpacked(path: Path, place: Place) -> Path:
    """Return the folder that an archive is unpacked into: never one that the user named, or that cannot be written to."""
    cache = cache_folder()
    if (place.named and cache.resolve() == place.folder.resolve()) or not _is_writable(_there(cache)):
        cache = Path.home() / ".cache" / "uncrumple"
    folder = cache / "unpacked" / path.stem
    if not archive.is_unpacked(path, folder, "zip"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        archive.unpack(path, folder, "zip")
    return folder


def _is_writable(folder: Path) -> bool:
    """Return whether a folder is meant to be written to: an administrator may, whatever its mode says."""
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)


def _there(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def imdb(paths: list[Path], _: Place, **more: Any) -> RawData:
    """Return the reviews in IMDB's archive, which is not unpacked; those without an answer are passed over."""
    texts: dict[str, list[tuple[str, str, str]]] = {"train": [], "test": []}

    def wanted(name: str) -> bool:
        parts = name.split("/")
        return len(parts) == 4 and parts[1] in texts and parts[2] in ("neg", "pos") and name.endswith(".txt")

    for name, content in archive.contents(paths[0], wanted):
        part, label, file = name.split("/")[1:]
        texts[part].append((label, file, content.decode("utf-8", "replace").replace("<br />", " ")))
    rows = [row for part in texts.values() for row in sorted(part)]
    if not texts["train"] or not texts["test"]:
        raise not_the_data(paths[0], "it has no reviews", "the archive as published")
    data = Text([text for *_, text in rows], [{"neg": "blame", "pos": "praise"}[label] for label, *_ in rows], **more)
    data.target = "whether the review is praise or blame"
    data.test_rows = np.arange(len(texts["train"]), len(rows))
    return data


def table(target: str, asked: str, **settings: Any) -> Callable[..., RawData]:
    """Return what reads a CSV file, with the column to be predicted unless the user names another."""

    def read(paths: list[Path], _: Place, **more: Any) -> RawData:
        if more.get("target", target) != target:
            return Table(paths[0], **more)
        data = Table(paths[0], **{"target": target, **settings, **more})
        data.target = asked
        return data

    return read


def shakespeare(paths: list[Path], _: Place, **more: Any) -> RawData:
    """Return the speeches of the plays, and who speaks."""
    return Text(paths[0], **{"speakers": True, **more})
