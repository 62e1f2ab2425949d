"""Lookups, hashes, text and feature spaces give what real Keras gave, and its files open here.

In Keras these layers run on TensorFlow; `golden/make_preprocessing.py` wrote down what they gave.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import torch

import uncrumple
from uncrumple import layers as L
from uncrumple.core import registry
from uncrumple.layers.preprocessing.discretization import compress, summarize

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MADE = json.loads((GOLDEN / "golden_preprocessing.json").read_text())


def case_name(number):
    entry = MADE["cases"][number]
    return f"{number}-{entry['class']}"


def layer_of(entry):
    settings = {
        name: tuple(value) if name == "ngrams" and isinstance(value, list) else value
        for name, value in entry["settings"].items()
    }
    layer = getattr(L, entry["class"])(**settings)
    if entry["adapt"] is not None:
        layer.adapt(entry["adapt"])
    return layer


def run(layer, entry):
    inputs = entry["inputs"]
    return layer(tuple(np.array(one) for one in inputs) if entry["class"] == "HashedCrossing" else inputs)


@pytest.mark.parametrize("number", range(len(MADE["cases"])), ids=case_name)
def test_numbers(number):
    entry = MADE["cases"][number]
    layer = layer_of(entry)
    if "vocabulary" in entry:
        assert layer.get_vocabulary() == entry["vocabulary"]
    made = run(layer, entry)
    if isinstance(made.tolist(), list) and made.tolist() and isinstance(made.tolist()[0], str):
        assert made.tolist() == entry["outputs"]
        return
    expected = np.array(entry["outputs"])
    assert tuple(made.shape) == expected.shape
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("number", range(len(MADE["cases"])), ids=case_name)
def test_configs_go_both_ways(number):
    entry = MADE["cases"][number]
    layer = layer_of(entry)
    mine = registry.serialize_keras_object(layer.get_config())
    mine.pop("name")
    assert json.loads(json.dumps(mine)) == entry["config"]
    again = type(layer).from_config(entry["config"])
    if entry["adapt"] is not None:
        again.set_vocabulary(layer.get_vocabulary(), *([layer_weights(layer)] if "tf_idf" in str(entry) else []))
    assert run(again, entry).tolist() == run(layer, entry).tolist()


def layer_weights(layer):
    return getattr(layer, "_lookup_layer", layer).idf_weights[: layer.vocabulary_size()]


def entries(path):
    with zipfile.ZipFile(path) as file:
        assets = {name: file.read(name) for name in file.namelist() if name.startswith("assets/")}
        with h5py.File(io.BytesIO(file.read("model.weights.h5"))) as weights:
            names = []
            weights.visititems(lambda name, thing: names.append(name) if isinstance(thing, h5py.Dataset) else None)
        return json.loads(file.read("config.json")), assets, names


def bare(config):
    """Return a config without what tells nothing: numbers of shared objects, and shapes of layers without weights."""
    if isinstance(config, dict):
        return {key: bare(part) for key, part in config.items() if key not in ("shared_object_id", "build_config")}
    return [bare(part) for part in config] if isinstance(config, list) else config


def outputs_of_model(model):
    words, numbers = MADE["model"]["inputs"]
    return model.predict([np.array(words, dtype=object), np.array(numbers)], verbose=0)


def test_a_model_with_vocabularies_from_keras(tmp_path):
    model = uncrumple.models.load_model(GOLDEN / "preprocessing.keras")
    for mine, their in zip(outputs_of_model(model), MADE["model"]["outputs"]):
        np.testing.assert_allclose(mine, their, rtol=1e-5, atol=1e-6)
    # What is written here is what Keras wrote: config, vocabularies, and the names of the weights.
    model.save(tmp_path / "again.keras")
    (config, assets, names), (their, *others) = (
        entries(tmp_path / "again.keras"),
        entries(GOLDEN / "preprocessing.keras"),
    )
    assert [assets, names] == others
    for mine, one in zip(config["config"]["layers"], their["config"]["layers"]):
        assert bare(mine) == bare(one)


def test_a_feature_space_from_keras(tmp_path):
    made = MADE["space"]
    space = uncrumple.models.load_model(GOLDEN / "feature_space.keras")
    assert isinstance(space, uncrumple.utils.FeatureSpace)
    np.testing.assert_allclose(space(made["other"]), made["outputs"], rtol=1e-5)
    space.save(tmp_path / "again.keras")
    (config, assets, names), (their, *others) = (
        entries(tmp_path / "again.keras"),
        entries(GOLDEN / "feature_space.keras"),
    )
    assert [assets, names] == others
    assert bare(config)["config"] == bare(their)["config"]


def test_a_feature_space_adapts_as_in_keras():
    made = MADE["space"]
    space = uncrumple.utils.FeatureSpace(
        made["kinds"], crosses=[("city", "code")], hashing_dim=5, num_discretization_bins=3
    )
    space.adapt(made["table"])
    np.testing.assert_allclose(space(made["other"]), made["outputs"], rtol=1e-5)
    assert space.get_encoded_features().shape == (None, len(made["outputs"][0]))


# --- what runs without TensorFlow ------------------------------------------------------


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (2, 3, 4)])
def test_discretization(mode, shape):
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    settings = {"bin_boundaries": [-1.0, 0.0, 0.5], "output_mode": mode}
    mine, their = L.Discretization(**settings)(x), keras.layers.Discretization(**settings)(x)
    assert mine.dtype == their.dtype
    assert torch.equal(mine, their)
    symbols = L.Discretization(**settings)(L.Input(shape[1:]))
    assert symbols.shape == (None, *mine.shape[1:]) or len(shape) == 1


@pytest.mark.parametrize("rows, bins, epsilon", [(7, 3, 0.01), (1000, 10, 0.01), (5000, 4, 0.1), (333, 33, 0.5)])
def test_discretization_adapts(rows, bins, epsilon):
    x = np.random.default_rng(rows).gamma(2.0, size=(rows, 2))
    mine, their = (room.Discretization(num_bins=bins, epsilon=epsilon) for room in (L, keras.layers))
    mine.adapt(x)
    their.update_state(x)  # its adapt() asks whether there is TensorFlow
    their.finalize_state()
    np.testing.assert_array_equal(mine.bin_boundaries, their.bin_boundaries)
    mine.adapt([x[: rows // 2], x[rows // 2 :], x], steps=2)
    their.reset_state()
    for half in (x[: rows // 2], x[rows // 2 :]):
        their.update_state(half)
    their.finalize_state()
    np.testing.assert_array_equal(mine.bin_boundaries, their.bin_boundaries)
    assert {**mine.get_config(), "name": 0} == {**their.get_config(), "name": 0}
    again = L.Discretization.from_config(their.get_config())
    assert torch.equal(again(x), their(x))


def test_the_sketch_of_a_discretization():
    from keras.src.layers.preprocessing import discretization

    x = np.random.default_rng(1).normal(size=777).astype("float32")
    mine, their = summarize(x, 0.02), discretization.summarize(x, 0.02)
    np.testing.assert_array_equal(mine, their)
    np.testing.assert_array_equal(compress(mine, 0.1), discretization.compress_summary(their, 0.1))


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("dtype", [None, "int32", "float64"])
def test_category_encoding(mode, dtype):
    for x in ([[0, 1], [3, 3]], [[0], [1]], [0, 1], 2, np.array([[1.0, 2.0]])):
        settings = {"num_tokens": 4, "output_mode": mode, "dtype": dtype}
        mine, their = L.CategoryEncoding(**settings)(x), keras.layers.CategoryEncoding(**settings)(x)
        assert mine.dtype == their.dtype
        assert torch.equal(mine, their)


def test_category_encoding_with_weights():
    x, weights = [[0, 1], [3, 3]], np.array([[0.1, 0.2], [0.3, 0.4]])
    mine, their = (
        room.CategoryEncoding(4, output_mode="count")(x, count_weights=weights) for room in (L, keras.layers)
    )
    np.testing.assert_allclose(mine, their, rtol=1e-6)
    assert mine.dtype == their.dtype
