"""Data sets by name: what is listed is what is loaded, from files of the same form as the published ones."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

import local_server
from uncrumple.data import Images, Table, Text, catalogue, from_any, load, published, readers, split
from uncrumple.data.download import Remote
from uncrumple.data.sets import is_named

NAMES = [
    "digits", "iris", "wine", "breast-cancer", "diabetes", "mnist", "fashion-mnist", "cifar-10", "cifar-100",
    "cats-and-dogs", "california-housing", "titanic", "shakespeare", "imdb",
]  # fmt: skip
KINDS = {"table": Table, "images": Images, "text": Text}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No cache of this machine's, and no network."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path / "cache"))


def test_what_there_is():
    found = catalogue()
    assert list(found.names) == NAMES and len(found) == len(NAMES)
    for entry in found:
        assert entry.kind in KINDS and entry.task in ("classification", "regression")
        assert entry.description.endswith(".") and entry.description.count(". ") == 0, entry.name
        assert entry.source and entry.licence and entry.asked and entry.rows > 100
        assert len(entry.checksums) == len(entry.files)
        for checksum in entry.checksums.values():
            kind, _, value = checksum.partition(":")
            assert len(value) == {"sha256": 64, "md5": 32}[kind]
        for file in entry.files:
            assert all(url.startswith("https://") for url in file.remote.urls)
    assert found["imdb"].download_bytes == 84_125_825 and found["iris"].download_bytes == 0
    with pytest.raises(KeyError, match="did you mean 'titanic'"):
        found["titanik"]


def test_the_table_in_words():
    lines = str(catalogue()).splitlines()
    assert len(lines) == len(NAMES) + 3
    assert any(line.startswith("shakespeare") and "who says it" in line and "public domain" in line for line in lines)
    assert "load('openml:credit-g')" in lines[-1]


@pytest.mark.parametrize("name", NAMES[:5])
def test_the_embedded_ones(name):
    data, entry = load(name, offline=True), catalogue()[name]
    assert isinstance(data, KINDS[entry.kind])
    assert (data.name, data.task, len(data), data.target) == (name, entry.task, entry.rows, entry.asked)
    assert data.description == entry.description and data.licence == entry.licence
    assert "scikit-learn" in data.source
    said = data.describe()
    assert said[1] == entry.description and said[-1] == f"licence: {entry.licence}"
    if entry.kind == "table":
        assert all(column.kind == "number" for column in data.columns)


def test_classes_keep_their_names_and_order():
    assert load("iris").class_names == ("setosa", "versicolor", "virginica")
    cancer = load("breast-cancer")
    assert cancer.decode(cancer.y[:2]).tolist() == ["malignant", "malignant"]
    assert load("wine").class_names == ("cultivar 1", "cultivar 2", "cultivar 3")


def test_what_the_kind_takes_is_passed_on():
    data = load("iris", leave_out=["petal width (cm)"], groups="sepal width (cm)")
    assert [column.name for column in data.columns] == ["sepal length (cm)", "petal length (cm)"]
    assert data.groups is not None


def test_unknown_names_and_missing_files(tmp_path):
    with pytest.raises(ValueError) as caught:
        load("titanik")
    assert str(caught.value).splitlines()[-1] == "Fix: did you mean 'titanic'?"
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        load("titanic", data_dir=folder)
    assert str(caught.value) == (
        f"titanic is not in {folder}: 1 of 1 files are missing.\n"
        "Expected titanic/titanic.csv.\n"
        "Fix: put the files there, or leave data_dir out to download them"
    )
    with pytest.raises(FileNotFoundError, match=r"go online once, or name the folder .*UNCRUMPLE_DATA_DIR"):
        (tmp_path / "cache").mkdir()
        load("imdb", offline=True)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load("titanic", data_dir=tmp_path / "gone")


def test_names_wherever_data_are_taken():
    assert is_named("openml:31") and is_named("mnist") and not is_named("photos") and not is_named(3)
    assert repr(from_any("iris")) == repr(load("iris"))


TITANIC = (
    "PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Parch,Ticket,Fare,Cabin,Embarked\n"
    + "\n".join(
        f'{n},{n % 2},{n % 3 + 1},"A, Mr. {n}",{"fe" * (n % 2)}male,{20 + n * 7 % 25}.0,0,0,T{n},7.{n},,S'
        for n in range(30)
    )
    + "\n"
)


@pytest.mark.parametrize("place", ["titanic.csv", "titanic/titanic.csv", "titanic/train.csv"])
def test_titanic_from_a_folder(tmp_path, place):
    path = tmp_path / "mine" / place
    path.parent.mkdir(parents=True)
    path.write_text(TITANIC)
    data = load("titanic", data_dir=tmp_path / "mine")
    assert data.class_names == ("died", "survived") and len(data) == 30
    assert {column.name for column in data.columns} >= {"Pclass", "Sex", "Age", "Fare"}
    assert "NOT the published file: its checksum differs" in data.source and str(path.parent) in data.source
    assert load("titanic", data_dir=tmp_path / "mine", target="Fare").task == "regression"


def test_housing_and_shakespeare(tmp_path):
    (tmp_path / "cache" / "housing").mkdir(parents=True)
    rows = "\n".join(f"{n},{n * 3 % 7},{100 + n}.5,{'NEAR BAY' if n % 2 else 'INLAND'}" for n in range(40))
    (tmp_path / "cache/housing/housing.csv").write_text(
        f"longitude,total_rooms,median_house_value,ocean_proximity\n{rows}\n"
    )
    housing = load("california-housing")
    assert housing.task == "regression" and housing.target == "the median value of a house in dollars"
    (tmp_path / "cache" / "shakespeare").mkdir()
    speeches = "\n\n".join(f"{'ROMEO' if n % 2 else 'JULIET'}:\nline {n}" for n in range(20))
    (tmp_path / "cache/shakespeare/tinyshakespeare.txt").write_text(speeches + "\n")
    play = load("shakespeare")
    assert play.class_names == ("JULIET", "ROMEO") and play.decode([1]).tolist() == ["ROMEO"]
    assert play.raw[0] == "line 0" and play.target == "who says it"
    assert load("shakespeare", speakers=False, steps=20).task == "language"


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_fashion_mnist(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    files, arrays = {}, []
    (tmp_path / "cache/fashion-mnist").mkdir(parents=True)
    for name, shape in zip(published.FASHION_FILES, [(30, 28, 28), (30,), (10, 28, 28), (10,)]):
        array = random.integers(0, 256 if len(shape) > 1 else 10, shape).astype(np.uint8)
        content = gzip.compress(idx(array))
        (tmp_path / "cache/fashion-mnist" / name).write_bytes(content)
        files[name] = (hashlib.md5(content).hexdigest(), shape)
        arrays.append(array)
    monkeypatch.setattr(published, "FASHION_FILES", files)
    data = load("fashion-mnist", offline=True)
    assert data.shape == (40, 28, 28, 1) and data.class_names[9] == "ankle boot"
    assert data.test_rows.tolist() == list(range(30, 40)) and "the published file, by checksum" in data.source
    parts = split(data, stratify=False)
    assert sorted(parts.rows.test.tolist()) == list(range(30, 40))
    np.testing.assert_array_equal(parts.test.y[np.argsort(parts.rows.test)], arrays[3])
    assert "Its authors set 10 rows apart for testing." in data.describe()


def packed(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def batch(count, key, seed):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 3072)).astype(np.uint8)
    return pickle.dumps({b"data": images, key: (np.arange(count) % 2).tolist()}, protocol=2), images


def test_cifar(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_CIFAR_PARTS", {"train": 10, "test": 4})
    (tmp_path / "cache").mkdir()
    members, images = {}, []
    for number in range(1, 6):
        members[f"cifar-10-batches-py/data_batch_{number}"], found = batch(2, b"labels", number)
        images.append(found)
    members["cifar-10-batches-py/test_batch"], _ = batch(4, b"labels", 9)
    members["cifar-10-batches-py/batches.meta"] = pickle.dumps({b"label_names": [b"plane", b"frog"]}, protocol=2)
    packed(tmp_path / "cache/cifar-10-python.tar.gz", members)
    data = load("cifar-10", offline=True)
    assert data.shape == (14, 32, 32, 3) and data.class_names == ("plane", "frog")
    assert data.test_rows.tolist() == [10, 11, 12, 13]
    np.testing.assert_array_equal(data.raw[0], images[0][0].reshape(3, 32, 32).transpose(1, 2, 0))

    hundred = {}
    for part, count in (("train", 10), ("test", 4)):
        hundred[f"cifar-100-python/{part}"], _ = batch(count, b"fine_labels", 1)
    hundred["cifar-100-python/meta"] = pickle.dumps({b"fine_label_names": [b"apple", b"worm"]}, protocol=2)
    packed(tmp_path / "cache/cifar-100-python.tar.gz", hundred)
    assert load("cifar-100", offline=True).class_names == ("apple", "worm")
    del members["cifar-10-batches-py/test_batch"]
    packed(tmp_path / "cache/cifar-10-python.tar.gz", members)
    with pytest.raises(ValueError, match="it has no cifar-10-batches-py/test_batch"):
        load("cifar-10", offline=True)


def photo(size, level):
    content = io.BytesIO()
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(content, "JPEG")
    return content.getvalue()


def test_pictures_in_an_archive_are_unpacked_beside_a_folder_that_is_only_read(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    with zipfile.ZipFile(mine / "cats-and-dogs-photos.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"photos/cat/{number}.jpg", photo((20, 30 + number), 10))
            archive.writestr(f"photos/dog/{number}.jpg", photo((40, 20), 200))
    data = load("cats-and-dogs", data_dir=mine, size=(8, 8))
    assert data.shape == (8, 8, 8, 3) and data.class_names == ("cat", "dog")
    assert data.raw[:4].mean() < 20 and data.raw[4:].mean() > 190
    assert [path.name for path in mine.iterdir()] == ["cats-and-dogs-photos.zip"]
    assert (tmp_path / "cache/unpacked/cats-and-dogs-photos/photos/cat/0.jpg").is_file()


def test_archives_of_others_are_unpacked_safely_or_not_at_all(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    with zipfile.ZipFile(mine / "cats-and-dogs-photos.zip", "w") as archive:
        archive.writestr("photos/cat/0.jpg", photo((20, 30), 10))
        archive.writestr("../outside.jpg", b"x")
    with pytest.raises(ValueError, match="would be written outside of the folder"):
        load("cats-and-dogs", data_dir=mine)
    assert not (tmp_path / "cache/unpacked/cats-and-dogs-photos").exists()
    assert not list(tmp_path.rglob("outside.jpg"))


def test_a_data_directory_that_is_only_read(tmp_path):
    (tmp_path / "cache").mkdir()
    with zipfile.ZipFile(tmp_path / "cache/cats-and-dogs-photos.zip", "w") as archive:
        for name in ("cat", "dog"):
            archive.writestr(f"photos/{name}/1.jpg", photo((20, 30), 10))
    (tmp_path / "cache").chmod(0o555)
    try:
        assert len(load("cats-and-dogs")) == 2
    finally:
        (tmp_path / "cache").chmod(0o755)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["cats-and-dogs-photos.zip"]
    assert (tmp_path / "home/.cache/uncrumple/unpacked/cats-and-dogs-photos/photos/cat/1.jpg").is_file()


def test_pictures_with_a_test_part_of_their_own(tmp_path):
    (tmp_path / "cache").mkdir()
    with zipfile.ZipFile(tmp_path / "cache/cifar10-images.zip", "w") as archive:
        for part, count in (("train", 3), ("test", 2)):
            for level, name in enumerate(("frog", "ship")):
                for number in range(count):
                    archive.writestr(f"cifar10/{part}/{name}/{number}.jpg", photo((32, 32), 200 * level))
    data = load("cifar-10")
    assert data.shape == (10, 32, 32, 3) and data.class_names == ("frog", "ship")
    assert data.test_rows.tolist() == [6, 7, 8, 9] and data.y.tolist() == [0] * 3 + [1] * 3 + [0] * 2 + [1] * 2
    assert "cifar10-images.zip" in data.source


def test_imdb(tmp_path):
    (tmp_path / "cache").mkdir()
    members = {"aclImdb/train/unsup/0_0.txt": b"never read", "aclImdb/README": b""}
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            for number in range(3):
                members[f"aclImdb/{part}/{label}/{number}_7.txt"] = f"{part} {label}<br />{number}".encode()
    packed(tmp_path / "cache/aclImdb_v1.tar.gz", members)
    data = load("imdb")
    assert len(data) == 12 and data.class_names == ("blame", "praise")
    assert data.raw[0] == "train neg 0" and data.raw[11] == "test pos 2"
    assert data.decode(data.y[[0, 3]]).tolist() == ["blame", "praise"]
    assert data.test_rows.tolist() == list(range(6, 12))


def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path, monkeypatch):
    content, asked = TITANIC.encode(), []

    class Handler(local_server.Handler):
        def do_GET(self):
            asked.append(self.headers.get("Range"))
            start = self.first_byte()
            self.head(content, start)
            self.wfile.write(content[start : start + 700])

    local_server.go_straight(monkeypatch)
    with local_server.serving(Handler) as address:
        remote = Remote("titanic.csv", len(content), hashlib.sha256(content).hexdigest(), (f"{address}/titanic.csv",))
        monkeypatch.setattr(published, "TITANIC", remote)
        data = load("titanic")
    assert len(data) == 30 and "the published file" not in data.source.split(";")[0]
    assert asked[:2] == [None, "bytes=700-"] and len(asked) == -(-len(content) // 700)
    assert (tmp_path / "cache/titanic/titanic.csv").read_bytes() == content
    assert len(load("titanic", offline=True)) == 30 and len(asked) == -(-len(content) // 700)
