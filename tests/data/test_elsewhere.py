"""OpenML and Hugging Face through their clients, which stand-ins take the place of here."""

import sys
import types

import numpy as np
import pandas
import pytest
from PIL import Image

from uncrumple.data import Images, Table, Text, load, split


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- OpenML ----------------------------------------------------------------------------------


def bunch(targets=("class",)):
    frame = pandas.DataFrame(
        {
            "duration": np.arange(20.0),
            "purpose": pandas.Categorical(["car", "house"] * 10),
            "other": ["x", "y"] * 10,
            "class": pandas.Categorical(["good", "bad", "good", "good"] * 5),
        }
    )
    return types.SimpleNamespace(
        frame=frame,
        target_names=list(targets),
        DESCR="**Author**: Hans Hofmann  \n\nThis dataset classifies people as good or bad credit risks. More words.",
        details={"name": "credit-g", "licence": "Public", "id": "31", "version": "1"},
    )


@pytest.fixture
def openml(monkeypatch):
    asked = []

    def fetch_openml(**given):
        asked.append(given)
        return bunch()

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    return asked


def test_a_set_of_openml(openml, cache):
    data = load("openml:credit-g")
    assert isinstance(data, Table) and (data.name, data.task) == ("credit-g", "classification")
    assert data.class_names == ("bad", "good") and len(data) == 20
    assert data.licence == "Public" and data.source == "openml.org, number 31, version 1"
    assert data.description == "This dataset classifies people as good or bad credit risks."
    assert openml == [
        {
            "name": "credit-g",
            "version": "active",
            "as_frame": True,
            "parser": "auto",
            "data_home": str(cache / "openml"),
        }
    ]


def test_by_number_and_version(openml):
    load("openml:31")
    load("openml:credit-g@2", target="duration", leave_out=["other"])
    assert openml[0]["data_id"] == 31 and "name" not in openml[0]
    assert openml[1]["version"] == 2
    with pytest.raises(ValueError, match="the version 'new' of credit-g"):
        load("openml:credit-g@new")


def test_openml_without_a_network(openml, monkeypatch):
    with pytest.raises(FileNotFoundError, match="openml:credit-g was not downloaded to"):
        load("openml:credit-g", offline=True)
    load("openml:credit-g")
    assert len(load("openml:credit-g", offline=True)) == 20  # now it was

    def broken(**_):
        raise ConnectionResetError("reset")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", broken)
    with pytest.raises(ConnectionError) as caught:
        load("openml:iris")
    assert str(caught.value) == (
        "OpenML did not give 'iris': reset\n"
        "Expected the data set, or a copy that was downloaded before.\n"
        "Fix: try again when you are online"
    )


def test_openml_has_no_such_set(monkeypatch):
    def unknown(**_):
        raise ValueError("No active dataset credit-h found.\nmore")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", unknown)
    with pytest.raises(ValueError, match=r"OpenML has no data set 'credit-h' .*: No active dataset credit-h found\.\n"):
        load("openml:credit-h")


def test_several_targets_of_openml(monkeypatch):
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda **_: bunch(("class", "other")))
    with pytest.raises(ValueError, match="2 columns of answers: class, other"):
        load("openml:credit-g")
    assert load("openml:credit-g", target="other").class_names == ("x", "y")


# --- Hugging Face ----------------------------------------------------------------------------


class ClassLabel:
    def __init__(self, names):
        self.names = names
        self.dtype = "int64"


class Value:
    def __init__(self, dtype):
        self.dtype = dtype


class ImageFeature:
    dtype = "PIL.Image.Image"


ImageFeature.__name__ = "Image"


class Rows:
    """As much of a `datasets.Dataset` as is used."""

    def __init__(self, features, **columns):
        self.features, self._columns = features, columns
        self.info = types.SimpleNamespace(description="Reviews of films, with praise or blame. More.", license="MIT")

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def __getitem__(self, column):
        return iter(self._columns[column])


@pytest.fixture
def hub(monkeypatch):
    """A module called datasets; what it has is in the dict that is returned."""
    there, asked = {}, []

    settings = types.ModuleType("datasets.config")
    settings.HF_HUB_OFFLINE = False
    monkeypatch.setitem(sys.modules, "datasets.config", settings)

    def load_dataset(path, configuration, **given):
        asked.append((path, configuration, given))
        assert given["download_config"]["local_files_only"] == settings.HF_HUB_OFFLINE
        if isinstance(there.get(path), Exception):
            raise there[path]
        return there[path]

    module = types.ModuleType("datasets")
    module.load_dataset = load_dataset
    module.DownloadConfig = lambda **given: given
    monkeypatch.setitem(sys.modules, "datasets", module)
    there["asked"] = asked
    return there


def test_texts_of_hugging_face(hub, cache):
    features = {"text": Value("string"), "label": ClassLabel(["neg", "pos"])}
    hub["stanfordnlp/imdb"] = {
        "train": Rows(features, text=["fine", "bad", "so so"], label=[1, 0, 0]),
        "unsupervised": Rows(features, text=["?"], label=[-1]),
        "test": Rows(features, text=["good", "poor"], label=[1, 0]),
    }
    data = load("huggingface:stanfordnlp/imdb")
    assert isinstance(data, Text) and data.name == "imdb" and data.class_names == ("neg", "pos")
    assert data.raw.tolist() == ["fine", "bad", "so so", "good", "poor"] and data.y.tolist() == [1, 0, 0, 1, 0]
    assert data.test_rows.tolist() == [3, 4] and sorted(
        split(data, validation=0.4, stratify=False).rows.test.tolist()
    ) == [3, 4]
    assert data.licence == "MIT" and data.source == "huggingface.co/datasets/stanfordnlp/imdb"
    assert hub["asked"] == [
        (
            "stanfordnlp/imdb",
            None,
            {"cache_dir": str(cache / "huggingface"), "download_config": {"local_files_only": False}},
        )
    ]


def test_pictures_of_hugging_face(hub):
    pictures = [Image.new("L", (10 + n, 12), 20 * n) for n in range(4)]
    hub["ylecun/mnist"] = {
        "train": Rows({"image": ImageFeature(), "label": ClassLabel(["0", "1"])}, image=pictures, label=[0, 1, 0, 1])
    }
    data = load("huggingface:ylecun/mnist:small", size=(6, 6))
    assert isinstance(data, Images) and data.shape == (4, 6, 6, 1) and data.test_rows is None
    assert data.raw[:, 0, 0, 0].tolist() == [0, 20, 40, 60]
    assert hub["asked"][0][1] == "small"


def test_tables_of_hugging_face_and_hidden_answers(hub):
    features = {
        "age": Value("int64"),
        "town": Value("string"),
        "income": Value("float64"),
        "buys": ClassLabel(["no", "yes"]),
    }
    columns = {"age": list(range(20)), "town": ["Bern", "Rome"] * 10, "income": [1.5] * 19 + [None]}
    hub["shop"] = {
        "train": Rows(features, **columns, buys=[0, 1] * 10),
        "test": Rows(features, **columns, buys=[-1] * 20),
    }
    data = load("huggingface:shop", offline=True)
    assert isinstance(data, Table) and len(data) == 20 and data.class_names == ("no", "yes")
    assert data.test_rows is None and data.target == "buys"
    assert hub["asked"][0][2]["download_config"] == {"local_files_only": True}
    assert not sys.modules["datasets.config"].HF_HUB_OFFLINE  # as it was
    with pytest.raises(ValueError, match="did you mean 'income'"):
        load("huggingface:shop", target="incom")


def test_errors_of_hugging_face(hub, monkeypatch):
    hub["gone"] = FileNotFoundError("Couldn't find a dataset")
    with pytest.raises(ValueError, match=r"Hugging Face has no data set 'gone' that can be read: Couldn't find"):
        load("huggingface:gone")
    hub["program"] = RuntimeError("Dataset scripts are no longer supported")
    with pytest.raises(ValueError, match="scripts are no longer supported"):
        load("huggingface:program")
    hub["slow"] = ConnectionError("no route")
    with pytest.raises(ConnectionError, match="Hugging Face did not give 'slow': no route"):
        load("huggingface:slow")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError) as caught:
        load("huggingface:stanfordnlp/imdb")
    assert str(caught.value).splitlines()[-1] == "Fix: pip install 'uncrumple[huggingface]'"
