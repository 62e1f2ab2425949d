"""Named data sets: what they are, and MNIST from a folder, from a server, and from nowhere."""

import dataclasses
import gzip
import hashlib
import struct

import numpy as np
import pytest

import local_server
from uncrumple.data import named
from uncrumple.data.named import load, names

EXPECTED = {
    "digits": ((1797, 8, 8, 1), "classification", 10, 0),
    "iris": ((150, 4), "classification", 3, 4),
    "wine": ((178, 13), "classification", 3, 13),
    "breast-cancer": ((569, 30), "classification", 2, 30),
    "diabetes": ((442, 10), "regression", 0, 10),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_embedded_data(name):
    found = load(name, offline=True)
    assert (found.x.shape, found.task, len(found.class_names), len(found.feature_names)) == EXPECTED[name]
    assert found.x.dtype == np.float32
    assert found.y.shape == (len(found.x),)
    assert found.y.dtype == (np.int64 if found.task == "classification" else np.float32)
    assert found.is_images == (name == "digits")
    assert found.input_shape == found.x.shape[1:]
    assert np.isfinite(found.x).all()
    assert found.description and found.source and found.licence and found.target
    assert found.test_rows is None
    if found.task == "classification":
        assert set(found.y.tolist()) == set(range(len(found.class_names)))


def test_diabetes_is_in_raw_units_because_scaling_by_all_rows_would_leak():
    found = load("diabetes")
    ages = found.x[:, found.feature_names.index("age")]
    assert (ages.min(), ages.max()) == (19, 79)


def test_class_names_fit_the_labels():
    cancer = load("breast-cancer")
    assert {cancer.class_names[label]: int((cancer.y == label).sum()) for label in (0, 1)} == {
        "malignant": 212,
        "benign": 357,
    }


def test_an_unknown_name():
    with pytest.raises(ValueError) as caught:
        load("mnits")
    assert str(caught.value) == (
        "Unknown data set: 'mnits'.\n"
        "Expected one of: breast-cancer, diabetes, digits, iris, mnist, wine.\n"
        "Fix: did you mean 'mnist'?"
    )
    assert set(names()) == set(EXPECTED) | {"mnist"}


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def small_mnist(monkeypatch):
    """MNIST with 30 training and 10 test images; returns {file name: packed bytes}."""
    random = np.random.default_rng(0)
    arrays = [
        random.integers(0, 256, (30, 28, 28)).astype(np.uint8),
        (np.arange(30) % 10).astype(np.uint8),
        random.integers(0, 256, (10, 28, 28)).astype(np.uint8),
        (np.arange(10) % 10).astype(np.uint8),
    ]
    files, packed = [], {}
    for file, array in zip(named._MNIST_FILES, arrays):
        content = gzip.compress(idx(array), mtime=0)
        packed[file.name] = content
        sums = hashlib.sha256(content).hexdigest(), hashlib.sha256(array.tobytes()).hexdigest()
        files.append(
            dataclasses.replace(file, shape=array.shape, size=len(content), sha256=sums[0], array_sha256=sums[1])
        )
    monkeypatch.setattr(named, "_MNIST_FILES", tuple(files))
    monkeypatch.setattr(named, "_MIRRORS", ("https://127.0.0.1:9/",))  # nothing answers there
    monkeypatch.delenv("UNCRUMPLE_DATA_DIR", raising=False)
    return packed


@pytest.mark.parametrize("subfolder", ["", "mnist"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_from_a_folder(small_mnist, tmp_path, subfolder, packed):
    folder = tmp_path / subfolder
    folder.mkdir(exist_ok=True)
    for name, content in small_mnist.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(content if packed else gzip.decompress(content))
    found = load("mnist", data_dir=tmp_path, offline=True)
    assert found.x.shape == (40, 28, 28, 1)
    assert found.x.dtype == np.uint8
    assert found.y.dtype == np.int64
    assert found.test_rows.tolist() == list(range(30, 40))
    assert found.class_names == tuple("0123456789")
    assert "the published numbers, by checksum" in found.source
    assert str(folder) in found.source


def test_mnist_from_the_folder_that_the_variable_names(small_mnist, tmp_path, monkeypatch):
    for name, content in small_mnist.items():
        (tmp_path / f"{name}.gz").write_bytes(content)
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path))
    assert len(load("mnist", offline=True).x) == 40


def test_other_numbers_in_mnist_form_are_read_and_named_as_such(small_mnist, tmp_path):
    for name, content in small_mnist.items():
        (tmp_path / name).write_bytes(gzip.decompress(content))
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1] + b"\x07")
    assert "NOT the published numbers: the checksum differs" in load("mnist", data_dir=tmp_path).source


def test_a_file_of_another_shape_is_refused(small_mnist, tmp_path):
    for name, content in small_mnist.items():
        (tmp_path / name).write_bytes(gzip.decompress(content))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(9, dtype=np.uint8)))
    with pytest.raises(ValueError) as caught:
        load("mnist", data_dir=tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/t10k-labels-idx1-ubyte holds uint8 numbers of shape (9,), up to 8.\n"
        "Expected uint8 numbers of shape (10,), labels from 0 to 9.\n"
        "Fix: put MNIST's own file there, or name another folder."
    )


def test_labels_above_nine_are_refused(small_mnist, tmp_path):
    for name, content in small_mnist.items():
        (tmp_path / name).write_bytes(gzip.decompress(content))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(1, 11, dtype=np.uint8)))
    with pytest.raises(ValueError, match="up to 10"):
        load("mnist", data_dir=tmp_path)


def test_offline_without_files_says_what_to_do(small_mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist", offline=True)
    assert str(caught.value) == (
        f"mnist is not in {tmp_path}: 4 of 4 files are missing.\n"
        "Expected train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
        "t10k-labels-idx1-ubyte.gz, there or in its subfolder mnist.\n"
        "Fix: go online once, or fetch the files from https://127.0.0.1:9/ on another machine, "
        f"put them into {tmp_path}/mnist, or name their folder with --data-dir or $UNCRUMPLE_DATA_DIR."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_named_folder_without_the_files_is_an_error_and_nothing_is_written_there(small_mnist, tmp_path):
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(small_mnist["train-labels-idx1-ubyte"])
    with pytest.raises(FileNotFoundError, match="3 of 4 files are missing"):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load("mnist", data_dir=tmp_path / "nowhere")
    assert len(list(tmp_path.iterdir())) == 1


def test_no_connection_says_what_to_do(small_mnist, tmp_path, monkeypatch):
    local_server.go_straight(monkeypatch)
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path))
    with pytest.raises(ConnectionError) as caught:
        load("mnist")
    came, expected, fix = str(caught.value).splitlines()
    assert came.startswith("Could not download train-images-idx3-ubyte.gz. 127.0.0.1: no connection")
    assert "with the sha256" in expected
    assert "--data-dir or $UNCRUMPLE_DATA_DIR" in fix


def test_mnist_is_downloaded_once_and_then_found(small_mnist, tmp_path, monkeypatch):
    local_server.go_straight(monkeypatch)
    shelf = local_server.Shelf({f"{name}.gz": content for name, content in small_mnist.items()})
    with shelf.serving():
        monkeypatch.setattr(named, "_MIRRORS", (shelf.address,))
        monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path))
        seen = []
        first = load("mnist", progress=lambda *now: seen.append(now))
    assert len(shelf.asked) == 4
    assert {name for name, *_ in seen} == {f"{name}.gz" for name in small_mnist}
    second = load("mnist", offline=True)
    assert np.array_equal(first.x, second.x)
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(f"{name}.gz" for name in small_mnist)


def test_the_published_checksums_are_those_that_are_well_known():
    """Sizes and sums of the four files as they have been published since 1998."""
    assert {file.name: (file.shape, file.size, file.sha256[:8]) for file in named._MNIST_FILES} == {
        "train-images-idx3-ubyte": ((60000, 28, 28), 9912422, "440fcabf"),
        "train-labels-idx1-ubyte": ((60000,), 28881, "3552534a"),
        "t10k-images-idx3-ubyte": ((10000, 28, 28), 1648877, "8d422c7b"),
        "t10k-labels-idx1-ubyte": ((10000,), 4542, "f7ae60f9"),
    }
    assert all(url.startswith("https://") for file in named._MNIST_FILES for url in file.remote.urls)
    assert all(len(file.remote.urls) >= 2 for file in named._MNIST_FILES)
