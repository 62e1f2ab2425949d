"""Keras's data sets, read from small files of the same form, by Keras and here."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pickle
import sys
import tarfile
import zipfile

import numpy as np
import pytest

import local_server
from uncrumple import config, datasets
from uncrumple.datasets import cifar, cifar10, cifar100, fashion_mnist, files
from uncrumple.datasets.files import read_npz, read_pickle


def ragged(count, seed):
    random = np.random.default_rng(seed)
    made = np.empty(count, object)
    made[:] = [random.integers(1, 40, random.integers(2, 12)).tolist() for _ in range(count)]
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    random = np.random.default_rng(0)
    np.savez(path / "imdb.npz", x_train=ragged(40, 1), y_train=random.integers(0, 2, 40), x_test=ragged(30, 2),
             y_test=random.integers(0, 2, 30))  # fmt: skip
    np.savez(path / "reuters.npz", x=ragged(50, 3), y=random.integers(0, 46, 50))
    np.savez(path / "boston_housing.npz", x=random.random((50, 13)), y=random.random(50))
    np.savez_compressed(
        path / "california_housing.npz", x=random.random((700, 8), np.float32), y=random.random(700, np.float32)
    )
    (path / "imdb_word_index.json").write_text(json.dumps({"the": 1, "été": 2}))
    (path / "reuters_word_index.json").write_text(json.dumps({"mln": 1}))
    return path


@pytest.fixture
def keras_reads(monkeypatch, folder):
    """Let real Keras find its files in the folder."""
    import keras

    def find(fname=None, origin=None, **_):
        return str(folder / os.path.basename(origin))

    for name in ("imdb", "reuters", "boston_housing", "california_housing"):
        monkeypatch.setattr(sys.modules[f"keras.src.datasets.{name}"], "get_file", find)
    return keras


def same(mine, theirs):
    for one, other in zip(mine, theirs):
        for a, b in zip(one, other):
            assert a.dtype == b.dtype and a.shape == b.shape
            assert a.tolist() == b.tolist()


WORDS = {
    "defaults": {},
    "num_words": {"num_words": 20},
    "skip_top": {"num_words": 30, "skip_top": 8},
    "maxlen": {"maxlen": 8},
    "no start": {"start_char": None},
    "no marks": {"start_char": None, "index_from": 0, "oov_char": None, "num_words": 25},
    "none": {"start_char": None, "index_from": None},
    "dropped": {"oov_char": None, "skip_top": 6, "maxlen": 9},
    "seed": {"seed": 7, "start_char": 2, "index_from": 5, "oov_char": 3, "num_words": 12},
}


@pytest.mark.parametrize("case", WORDS)
@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_texts_are_those_of_keras(keras_reads, folder, name, case):
    given = WORDS[case]
    mine = getattr(datasets, name).load_data(str(folder / f"{name}.npz"), **given)
    same(mine, getattr(keras_reads.datasets, name).load_data(**given))


@pytest.mark.parametrize("given", [{}, {"test_split": 0.5, "seed": 3}, {"test_split": 0.0}], ids=range(3))
def test_tables_are_those_of_keras(keras_reads, folder, given):
    mine = datasets.boston_housing.load_data(str(folder / "boston_housing.npz"), **given)
    same(mine, keras_reads.datasets.boston_housing.load_data(**given))
    for version in ("large", "small"):
        mine = datasets.california_housing.load_data(version, str(folder / "california_housing.npz"), **given)
        same(mine, keras_reads.datasets.california_housing.load_data(version, **given))
    split = {"test_split": given.get("test_split", 0.2)}
    same(
        datasets.reuters.load_data(str(folder / "reuters.npz"), **split),
        keras_reads.datasets.reuters.load_data(**split),
    )


def test_names(keras_reads, folder):
    assert datasets.reuters.get_label_names() == keras_reads.datasets.reuters.get_label_names()
    assert datasets.imdb.get_word_index(str(folder / "imdb_word_index.json")) == {"the": 1, "été": 2}
    assert datasets.reuters.get_word_index(str(folder / "reuters_word_index.json")) == {"mln": 1}


def test_what_is_published_is_that_of_keras():
    """The addresses and checksums here are in Keras's source."""
    import inspect

    import keras

    for name, module in (("cifar10", cifar10), ("cifar100", cifar100)):
        source = inspect.getsource(getattr(keras.datasets, name).load_data)
        assert module._SHA256 in source and module._ORIGIN in source
    for name in ("imdb", "reuters", "boston_housing", "california_housing"):
        here, source = getattr(datasets, name), inspect.getsource(sys.modules[f"keras.src.datasets.{name}"])
        assert here._SHA256 in source and files.ORIGIN in source
        assert getattr(here, "_WORDS_MD5", "") in source
    source = inspect.getsource(keras.datasets.fashion_mnist.load_data)
    assert fashion_mnist.ORIGIN in source and all(name in source for name in fashion_mnist._FILES)


# --- from a server -----------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch, tmp_path):
    local_server.go_straight(monkeypatch)
    local_server.keep_below(monkeypatch, tmp_path)
    with local_server.Shelf().serving() as made:
        yield made


@pytest.mark.parametrize("name", ["imdb", "reuters", "boston_housing", "california_housing"])
def test_they_are_downloaded_once_and_checked(server, folder, monkeypatch, name):
    content = (folder / f"{name}.npz").read_bytes()
    server.published[f"{name}.npz"] = content
    room = getattr(datasets, name)
    monkeypatch.setattr(files, "ORIGIN", server.address)
    with pytest.raises(ConnectionError, match="its content has the wrong checksum"):
        room.load_data()
    monkeypatch.setattr(room, "_SHA256", hashlib.sha256(content).hexdigest())
    server.asked.clear()
    first, again = room.load_data(), room.load_data()
    same(first, again)
    assert server.asked == [f"/{name}.npz"]


def test_word_lists_are_checked(server, folder, monkeypatch):
    server.published["imdb_word_index.json"] = b'{"the": "one"}'
    monkeypatch.setattr(files, "ORIGIN", server.address)
    with pytest.raises(ConnectionError, match="wrong checksum"):
        datasets.imdb.get_word_index()
    monkeypatch.setattr(datasets.imdb, "_WORDS_MD5", hashlib.md5(b'{"the": "one"}').hexdigest())
    with pytest.raises(ValueError, match="it holds something else"):
        datasets.imdb.get_word_index()


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.tobytes())


def test_fashion_mnist(server, monkeypatch):
    random, known = np.random.default_rng(0), {}
    arrays = [random.integers(0, 10, shape, np.uint8) for shape in ((6, 28, 28), (6,), (4, 28, 28), (4,))]
    for name, array in zip(fashion_mnist._FILES, arrays):
        server.published[f"second/{name}"] = content = idx(array)
        known[name] = (hashlib.md5(content).hexdigest(), array.shape)
    monkeypatch.setattr(fashion_mnist, "_FILES", known)
    monkeypatch.setattr(fashion_mnist, "_MIRRORS", (f"{server.address}first/", f"{server.address}second/"))
    (x_train, y_train), (x_test, y_test) = datasets.fashion_mnist.load_data()
    for found, array in zip((x_train, y_train, x_test, y_test), arrays):
        assert found.dtype == np.uint8 and np.array_equal(found, array)
    asked = len(server.asked)
    datasets.fashion_mnist.load_data()
    assert len(server.asked) == asked == 8
    name = next(iter(known))
    monkeypatch.setitem(known, name, (known[name][0], (60000, 28, 28)))
    with pytest.raises(ValueError, match=r"holds uint8 numbers of shape \(6, 28, 28\)"):
        datasets.fashion_mnist.load_data()


class _Python2(pickle._Pickler):
    """Writes what Python 2 wrote: bytes and str are one, and NumPy has its old name."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_text(self, value):
        content = value if isinstance(value, bytes) else value.encode()
        self.write(b"U" + bytes([len(content)]) if len(content) < 256 else b"T" + len(content).to_bytes(4, "little"))
        self.write(content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_text


def python2(value):
    out = io.BytesIO()
    _Python2(out, 2).dump(value)
    return out.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def cifar_archive(inner, members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, value in members.items():
            info, content = tarfile.TarInfo(f"{inner}/{name}"), python2(value)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def images(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)


def test_cifar10(server, monkeypatch):
    batches = {f"data_batch_{n}": {"data": images(4, n), "labels": [n, 1, 2, 9]} for n in range(1, 6)}
    batches["test_batch"] = {"data": images(4, 9), "labels": [3, 2, 1, 0], "batch_label": "testing"}
    content = cifar_archive("cifar-10-batches-py", batches)
    server.published["cifar.tar.gz"] = content
    monkeypatch.setattr(cifar10, "_ORIGIN", f"{server.address}cifar.tar.gz")
    monkeypatch.setattr(cifar10, "_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(cifar10, "_BATCH", 4)
    (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data()
    assert (x_train.shape, y_train.shape, x_test.shape) == ((20, 32, 32, 3), (20, 1), (4, 32, 32, 3))
    assert {part.dtype.name for part in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert y_train[:5, 0].tolist() == [1, 1, 2, 9, 2] and y_test[:, 0].tolist() == [3, 2, 1, 0]
    assert np.array_equal(x_train[4].transpose(2, 0, 1).reshape(-1), batches["data_batch_2"]["data"][0])
    config.set_image_data_format("channels_first")
    try:
        assert datasets.cifar10.load_data()[1][0].shape == (4, 3, 32, 32)
    finally:
        config.set_image_data_format("channels_last")
    assert server.asked == ["/cifar.tar.gz"]


def test_cifar100_as_keras_reads_it(server, monkeypatch, tmp_path):
    import keras

    members = {
        name: {"data": images(count, count), "fine_labels": list(range(count)), "coarse_labels": [7] * count}
        for name, count in (("train", 5), ("test", 3))
    }
    content = cifar_archive("cifar-100-python", members)
    server.published["cifar.tar.gz"] = content
    monkeypatch.setattr(cifar100, "_ORIGIN", f"{server.address}cifar.tar.gz")
    monkeypatch.setattr(cifar100, "_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(cifar100, "_SAMPLES", {"train": 5, "test": 3})
    mine = datasets.cifar100.load_data()
    place = str(tmp_path / "data" / "datasets" / "cifar-100-python-target")
    monkeypatch.setattr(sys.modules["keras.src.datasets.cifar100"], "get_file", lambda **_: place)
    same(mine, keras.datasets.cifar100.load_data())
    same(datasets.cifar100.load_data("coarse"), keras.datasets.cifar100.load_data("coarse"))
    with pytest.raises(ValueError, match="Unknown label_mode: 'find'"):
        datasets.cifar100.load_data("find")


def test_a_batch_of_another_size_is_refused(tmp_path):
    for number, value in enumerate(
        (
            {"data": images(4, 0), "labels": [1, 2, 3]},
            {"data": images(3, 0), "labels": [1, 2, 3, 4]},
            {"data": images(4, 0).astype(np.float32), "labels": [1, 2, 3, 4]},
            {"labels": [1, 2, 3, 4]},
            {"data": images(4, 0), "labels": [1, 2, 3, "x"]},
            [1, 2],
        )
    ):
        path = tmp_path / str(number)
        path.write_bytes(python2(value))
        with pytest.raises(ValueError, match=r"does not hold the data: .*\nExpected 4 images of 3 x 32 x 32 bytes"):
            cifar.read_batch(path, "labels", 4)


# --- pickles never run anything ------------------------------------------------------------


class Runs:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


EVIL = {
    "system": Runs(os.system, "touch /tmp/uncrumple_evil"),
    "eval": Runs(eval, "1"),
    "open": Runs(open, "/etc/passwd"),
    "getattr": Runs(getattr, (1).__class__, "mro"),
    "import": Runs(__import__, "os"),
    "load": Runs(np.load, "/tmp/x.npy"),
    "array of a file": Runs(np.fromfile, "/etc/passwd"),
    "huge array": Runs(np.ndarray, (1 << 40,)),
    "a class of NumPy's": Runs(np.memmap, "/etc/passwd"),
    "within a list": [1, [Runs(os.system, "true")]],
    "within a dict": {"labels": Runs(os.system, "true")},
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_calls_something_is_refused(name, protocol):
    with pytest.raises(ValueError, match="its pickle is not of lists and numbers"):
        read_pickle(pickle.dumps(EVIL[name], protocol))
    assert not os.path.exists("/tmp/uncrumple_evil")


def test_an_array_that_lies_is_refused():
    whole = pickle.dumps(np.arange(6, dtype=np.uint8).reshape(2, 3), 2)
    assert read_pickle(whole).tolist() == [[0, 1, 2], [3, 4, 5]]
    for before, after in ((b"K\x02K\x03\x86", b"K\x02K\x04\x86"), (b"K\x02K\x03\x86", b"NK\x03\x86"), (b"u1", b"V1")):
        assert before in whole
        with pytest.raises(ValueError):
            read_pickle(whole.replace(before, after))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_is_real_is_read(protocol):
    made = ragged(5, 0)
    assert read_pickle(pickle.dumps(made, protocol if protocol < 5 else 4)).tolist() == made.tolist()
    value = {"data": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "labels": [1, 2]}
    found = read_pickle(pickle.dumps(value, protocol if protocol < 5 else 4))
    assert found["data"].tolist() == value["data"].tolist() and found["labels"] == [1, 2]


def test_damaged_pickles():
    whole = pickle.dumps(ragged(5, 0), 4)
    random = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            broken[place] = random.integers(0, 256)
        with contextlib.suppress(ValueError):
            read_pickle(bytes(broken))
    for size in range(0, len(whole) - 1, 7):
        with pytest.raises(ValueError):
            read_pickle(whole[:size])


def test_npz_files_that_lie(tmp_path):
    def npz(**members):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(f"{name}.npy", content)
        return tmp_path / "a.npz"

    def npy(shape, dtype, content):
        out = io.BytesIO()
        np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
        return out.getvalue() + content

    assert read_npz(npz(x=npy((2,), "<i2", b"\1\0\2\0")), ("x",))[0].tolist() == [1, 2]
    for content in (
        npy((1 << 40,), "<f8", b"12345678"),
        npy((2,), "<i2", b"\1\0\2\0\3"),
        npy((2,), "<i2", b"\1\0\2"),
        npy((2,), "|O", pickle.dumps(ragged(2, 0))),
        npy((2,), "<U3", b"x" * 24),
        b"\x93NUMPY\x09\x00",
        b"",
    ):
        with pytest.raises(ValueError, match="does not hold the data"):
            read_npz(npz(x=content), ("x",))
    with pytest.raises(ValueError, match="does not hold the data"):
        read_npz(npz(y=b""), ("x",))
    with pytest.raises(ValueError, match="is not an array of shape"):
        read_npz(npz(x=npy((3,), "|O", pickle.dumps(ragged(2, 0)))), ("x",), ragged=True)
    with pytest.raises(ValueError, match="lists of whole numbers"):
        words = np.empty(1, object)
        words[0] = ["a"]
        read_npz(npz(x=npy((1,), "|O", pickle.dumps(words))), ("x",), ragged=True)
    (tmp_path / "b.npz").write_bytes(b"<html>")
    with pytest.raises(ValueError) as caught:
        read_npz(tmp_path / "b.npz", ("x",))
    assert str(caught.value) == (
        f"{tmp_path / 'b.npz'} does not hold the data: File is not a zip file.\n"
        "Expected an .npz file with the arrays x.\n"
        "Fix: delete it, and load again"
    )


REFUSED = {
    "num_words": ("imdb", {"num_words": 0}, "num_words=0"),
    "skip_top": ("reuters", {"skip_top": -1}, "skip_top=-1"),
    "maxlen": ("imdb", {"maxlen": 2.5}, "maxlen=2.5"),
    "split": ("reuters", {"test_split": 1}, "test_split=1"),
    "split of a table": ("boston_housing", {"test_split": -0.1}, "test_split=-0.1"),
    "version": ("california_housing", {"version": "medium"}, "Unknown version: 'medium'"),
    "no such file": ("boston_housing", {"path": "/nowhere/a.npz"}, "there is no such file"),
    "short": ("imdb", {"maxlen": 1}, "no review is shorter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_arguments(folder, case):
    name, given, words = REFUSED[case]
    given = {"path": str(folder / f"{name}.npz"), **given}
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        getattr(datasets, name).load_data(**given)


def test_an_unknown_argument(folder):
    with pytest.raises(TypeError, match="did you mean 'num_words='"):
        datasets.imdb.load_data(str(folder / "imdb.npz"), nb_words=3)
