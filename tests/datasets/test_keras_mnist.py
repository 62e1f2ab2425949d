"""`datasets.mnist.load_data()`, Keras's way to MNIST."""

import io
import zipfile

import numpy as np
import pytest

from uncrumple.datasets import mnist

SHAPES = {"x_train": (6, 28, 28), "y_train": (6,), "x_test": (2, 28, 28), "y_test": (2,)}


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(mnist, "_SHAPES", SHAPES)
    monkeypatch.setenv("HOME", str(tmp_path))
    return {name: np.arange(np.prod(shape)).reshape(shape).astype(np.uint8) for name, shape in SHAPES.items()}


def test_the_published_files_are_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    arrays = [np.zeros(3, np.uint8) + part for part in range(4)]
    monkeypatch.setattr(mnist, "mnist_arrays", lambda: (arrays, "from here"))
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert [int(part[0]) for part in (x_train, y_train, x_test, y_test)] == [0, 1, 2, 3]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_of_keras_is_read(small, tmp_path, save):
    save(tmp_path / "mine.npz", **small)
    (x_train, y_train), (x_test, y_test) = mnist.load_data(str(tmp_path / "mine.npz"))
    assert np.array_equal(x_train, small["x_train"])
    assert np.array_equal(y_train, small["y_train"])
    assert np.array_equal(x_test, small["x_test"])
    assert np.array_equal(y_test, small["y_test"])
    assert x_train.dtype == np.uint8


def test_the_cache_of_keras_is_used(small, tmp_path, monkeypatch):
    folder = tmp_path / ".keras" / "datasets"
    folder.mkdir(parents=True)
    np.savez(folder / "mnist.npz", **small)
    monkeypatch.setattr(mnist, "mnist_arrays", lambda: pytest.fail("not asked"))
    assert mnist.load_data()[1][1].shape == (2,)


def test_no_such_file(small):
    with pytest.raises(FileNotFoundError, match="neither"):
        mnist.load_data("nowhere.npz")


def test_other_shapes_are_refused_before_they_are_read(small, tmp_path):
    small["y_test"] = np.zeros(3, np.uint8)
    np.savez(tmp_path / "mine.npz", **small)
    with pytest.raises(ValueError, match=r"y_test is uint8 of shape \(3,\)"):
        mnist.load_data(str(tmp_path / "mine.npz"))


def test_objects_are_never_unpickled(small, tmp_path):
    small["y_test"] = np.array([{}, {}], dtype=object)
    np.savez(tmp_path / "mine.npz", **small)
    with pytest.raises(ValueError, match="y_test is object"):
        mnist.load_data(str(tmp_path / "mine.npz"))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_damaged_archives(small, tmp_path, content):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is not MNIST in Keras's form"):
        mnist.load_data(str(tmp_path / "mine.npz"))


def test_a_member_that_is_missing_or_too_short(small, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x_train.npy", b"")
    with pytest.raises(ValueError, match="is not MNIST in Keras's form"):
        mnist.load_data(str(tmp_path / "a.npz"))
    whole = io.BytesIO()
    np.save(whole, small["x_train"])
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("x_train.npy", whole.getvalue()[:-5])
    with pytest.raises(ValueError, match="x_train does not hold 4,704 bytes"):
        mnist.load_data(str(tmp_path / "b.npz"))
