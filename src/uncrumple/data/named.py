"""The data sets that are known by name as arrays of numbers.

Five come with scikit-learn and need no network. MNIST is four files, found in
a folder or downloaded once. Each is a `Dataset`: the numbers and what is to be
known about them before a network is trained on them. `data.sets` lists these
and all others, and gives each as a `Table`, `Images` or `Text`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.download import DATA_DIR_VARIABLE, Progress, Remote, cache_folder, fetch
from uncrumple.data.idx import read_idx

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Dataset:
    """Samples, what is asked about them, and where they are from.

    Args:
        name: What it is called on the command line.
        x: The samples: (samples, features), or (samples, height, width, channels) for images.
        y: The answers: whole numbers from 0 for classes, float32 values for a regression.
        task: `"classification"` or `"regression"`.
        class_names: The classes in the order of their numbers; empty for a regression.
        feature_names: The columns of a table; empty for images.
        target: What is predicted, in words, with its unit.
        description: What the data is, in a sentence or two.
        source: Who published it, and which files it was read from.
        licence: The terms it is published under.
        test_rows: The rows that its authors set apart for testing, or None.

    Example:
        >>> load("iris").x.shape
        (150, 4)
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    task: Task
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    target: str
    description: str
    source: str
    licence: str
    test_rows: np.ndarray | None = None

    @property
    def is_images(self) -> bool:
        """Whether a sample is a picture (height, width, channels)."""
        return self.x.ndim == 4

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.x.shape[1:]


def names() -> tuple[str, ...]:
    """Return the names that `load` knows.

    Example:
        >>> names()
        ('digits', 'iris', 'wine', 'breast-cancer', 'diabetes', 'mnist')
    """
    return tuple(_LOADERS)


def load(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Return a data set by name.

    Args:
        name: One of `names()`.
        data_dir: The folder that holds the files of a data set that is not embedded (of those
            here, mnist). By default `$UNCRUMPLE_DATA_DIR` or `~/.cache/uncrumple`, into which
            missing files are downloaded. A folder named here is read and never written to.
        offline: Never use the network: files that are missing are an error.
        progress: Called while downloading with the file's name, the bytes so far, and in all.

    Raises:
        ValueError: The name is not known, or a file is not what it should be.
        FileNotFoundError: Files are missing, and downloading them is not allowed.
        ConnectionError: Files are missing, and could not be downloaded.

    Example:
        >>> digits = load("digits")
        >>> digits.x.shape, digits.task, len(digits.class_names)
        ((1797, 8, 8, 1), 'classification', 10)
    """
    loader = _LOADERS.get(name)
    if loader is None:
        raise ValueError(unknown_name("data set", name, names()))
    return loader(name, data_dir, offline, progress)


# --- embedded in scikit-learn -------------------------------------------------------

_UCI = "Creative Commons Attribution 4.0 (UCI Machine Learning Repository)"


def _embedded(facts: dict[str, Any]) -> Callable[..., Dataset]:
    def read(name: str, *_: Any) -> Dataset:
        import sklearn.datasets  # here, so that `import uncrumple` does not wait for it

        reader = facts["reader"]
        options = {"scaled": False} if reader == "load_diabetes" else {}
        bunch = getattr(sklearn.datasets, reader)(**options)
        x = np.asarray(bunch.data, dtype=np.float32)
        columns = tuple(str(column) for column in bunch.feature_names)
        if reader == "load_digits":
            x, columns = x.reshape(-1, 8, 8, 1), ()
        task = facts.get("task", "classification")
        if task == "classification":
            y = np.asarray(bunch.target, dtype=np.int64)
            classes = facts.get("classes") or tuple(str(label) for label in bunch.target_names)
        else:
            y, classes = np.asarray(bunch.target, dtype=np.float32), ()
        return Dataset(
            name=name,
            x=x,
            y=y,
            task=task,
            class_names=classes,
            feature_names=columns,
            target=facts["target"],
            description=facts["description"],
            source=f"{facts['source']}; the copy that comes with scikit-learn",
            licence=facts["licence"],
        )

    return read


# --- MNIST --------------------------------------------------------------------------

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@dataclass(frozen=True)
class _MnistFile:
    name: str
    shape: tuple[int, ...]
    size: int
    sha256: str
    array_sha256: str

    @property
    def remote(self) -> Remote:
        packed = f"{self.name}.gz"
        return Remote(packed, self.size, self.sha256, tuple(mirror + packed for mirror in _MIRRORS))


# size and sha256 are of the .gz files as published (MD5 f68b3c2d..., d53e105e..., 9fb629c4...,
# ec29112d...). array_sha256 is of the numbers alone, so that it holds however a copy is packed.
_MNIST_FILES = (
    _MnistFile(
        "train-images-idx3-ubyte",
        (60000, 28, 28),
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    ),
    _MnistFile(
        "train-labels-idx1-ubyte",
        (60000,),
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    ),
    _MnistFile(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    ),
    _MnistFile(
        "t10k-labels-idx1-ubyte",
        (10000,),
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    ),
)


def mnist_arrays(
    data_dir: str | os.PathLike[str] | None = None, offline: bool = False, progress: Progress | None = None
) -> tuple[list[np.ndarray], str]:
    """Return MNIST's four arrays (training images and labels, test images and labels) and their source in words.

    The files are looked for in the folder itself and in its subfolder `mnist`, packed or not.

    Args:
        data_dir: As in `load`.
        offline: As in `load`.
        progress: As in `load`.

    Returns:
        The uint8 arrays of shapes (60000, 28, 28), (60000,), (10000, 28, 28) and (10000,), and a
        sentence that says where they are from and whether they are the published numbers.
    """
    folder = Path(data_dir).expanduser() if data_dir is not None else cache_folder()
    found = {file.name: _present(folder, file.name) for file in _MNIST_FILES}
    missing = [file for file in _MNIST_FILES if found[file.name] is None]
    if missing and (data_dir is not None or offline):
        raise FileNotFoundError(_missing_files(folder, missing, named=data_dir is not None))
    for file in missing:
        try:
            found[file.name] = fetch(file.remote, folder / "mnist", progress=progress)
        except ConnectionError as problem:
            came, expected, _ = str(problem).splitlines()
            raise ConnectionError(explain(came, expected, f"go online once, or {_by_hand(folder)}")) from None
    arrays, published = [], True
    for file in _MNIST_FILES:
        path = found[file.name]
        array = read_idx(path)  # type: ignore[arg-type]
        labels_are_wrong = array.ndim == 1 and array.size > 0 and array.max() > 9
        if array.shape != file.shape or array.dtype != np.uint8 or labels_are_wrong:
            holds = f"{array.dtype} numbers of shape {array.shape}, up to {array.max()}"
            raise ValueError(
                explain(
                    f"{path} holds {holds}.",
                    f"Expected uint8 numbers of shape {file.shape}{', labels from 0 to 9' if array.ndim == 1 else ''}.",
                    "put MNIST's own file there, or name another folder.",
                )
            )
        published &= hashlib.sha256(array.tobytes()).hexdigest() == file.array_sha256
        arrays.append(array)
    known = "the published numbers, by checksum" if published else "NOT the published numbers: the checksum differs"
    return arrays, f"{FACTS['mnist']['source']}; read from {path.parent} ({known})"  # type: ignore[union-attr]


def _present(folder: Path, name: str) -> Path | None:
    for place in (folder, folder / "mnist"):
        for candidate in (place / name, place / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def _missing_files(folder: Path, missing: list[_MnistFile], named: bool) -> str:
    wanted = ", ".join(f"{file.name}.gz" for file in missing)
    if not named:
        fix = f"go online once, or {_by_hand(folder)}"
    elif folder.is_dir():
        fix = "put the files there (packed or not), or leave data_dir out to download them."
    else:
        fix = f"there is no folder {folder}; name the one that holds the files, or leave data_dir out to download them."
    return explain(
        f"mnist is not in {folder}: {len(missing)} of {len(_MNIST_FILES)} files are missing.",
        f"Expected {wanted}, there or in its subfolder mnist.",
        fix,
    )


def _by_hand(folder: Path) -> str:
    return (
        f"fetch the files from {_MIRRORS[0]} on another machine, put them into {folder / 'mnist'}, "
        f"or name their folder with --data-dir or ${DATA_DIR_VARIABLE}."
    )


def _mnist(name: str, data_dir: str | os.PathLike[str] | None, offline: bool, progress: Progress | None) -> Dataset:
    (train_x, train_y, test_x, test_y), source = mnist_arrays(data_dir, offline, progress)
    return Dataset(
        name=name,
        x=np.concatenate([train_x, test_x])[..., None],
        y=np.concatenate([train_y, test_y]).astype(np.int64),
        task="classification",
        class_names=tuple("0123456789"),
        feature_names=(),
        target=FACTS[name]["target"],
        description=FACTS[name]["description"],
        source=source,
        licence=FACTS[name]["licence"],
        test_rows=np.arange(len(train_x), len(train_x) + len(test_x)),
    )


FACTS: dict[str, dict[str, Any]] = {
    "digits": {
        "kind": "images",
        "rows": 1797,
        "reader": "load_digits",
        "classes": tuple("0123456789"),
        "target": "which digit was written",
        "description": "Handwritten digits, 8 by 8 cells, each counting the inked pixels of a 4 by 4 block (0 to 16).",
        "source": "E. Alpaydin and C. Kaynak, 1998, the test part of Optical Recognition of Handwritten Digits (UCI)",
        "licence": _UCI,
    },
    "iris": {
        "kind": "table",
        "rows": 150,
        "reader": "load_iris",
        "target": "which species of iris",
        "description": "Iris flowers of three species, each with four lengths in centimetres.",
        "source": "R. A. Fisher, 1936; UCI",
        "licence": _UCI,
    },
    "wine": {
        "kind": "table",
        "rows": 178,
        "reader": "load_wine",
        "classes": ("cultivar 1", "cultivar 2", "cultivar 3"),
        "target": "which cultivar the wine is made from",
        "description": "Wines of one region of Italy, made from three cultivars, each with 13 chemical measurements.",
        "source": "S. Aeberhard and M. Forina, 1991; UCI",
        "licence": _UCI,
    },
    "breast-cancer": {
        "kind": "table",
        "rows": 569,
        "reader": "load_breast_cancer",
        "target": "whether the tumour is malignant or benign",
        "description": "Breast tumours of Wisconsin patients, each with 30 measurements of the cell nuclei in an image.",
        "source": "W. Wolberg, O. Mangasarian, N. Street and W. Street, 1993; UCI",
        "licence": _UCI,
    },
    "diabetes": {
        "kind": "table",
        "rows": 442,
        "reader": "load_diabetes",
        "task": "regression",
        "target": "how far the disease has gone after one year, as a score from 25 to 346",
        "description": "Diabetes patients, each with age, sex, body mass index, blood pressure and six blood values.",
        "source": "B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, 2004, Least Angle Regression; raw units",
        "licence": "not stated by its authors",
    },
    "mnist": {
        "kind": "images",
        "rows": 70_000,
        "target": "which digit was written",
        "description": "Handwritten digits, 28 by 28 pixels of grey (0 to 255), by about 500 writers.",
        "source": "Y. LeCun, C. Cortes and C. Burges, 1998",
        "licence": "Creative Commons Attribution-ShareAlike 3.0",
    },
}

_LOADERS: dict[str, Callable[..., Dataset]] = {
    name: _mnist if name == "mnist" else _embedded(facts) for name, facts in FACTS.items()
}
