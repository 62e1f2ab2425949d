"""Files that go both ways between uncrumple and real Keras."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import torch

import uncrumple as un

GOLDEN = Path(__file__).parents[1] / "golden"


def _contract():
    """Return the module with one case per layer: a new layer's file is tested as soon as the layer is."""
    spec = importlib.util.spec_from_file_location("layer_contract", Path(__file__).parents[1] / "layers/test_contract.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["layer_contract"] = module
    spec.loader.exec_module(module)
    return module


contract = _contract()
# A torch module is code, which no file carries; and Keras's own code for the other one fails.
CASES = [case for case in contract.CASES if case.id not in ("TorchModuleWrapper", "LayerNormalization-axis")]
# Keras 3.15.1 averages copies of the edge into uneven padding (keras#23233), so only its reading is tested.
DIFFERENT_IN_KERAS = {"AveragePooling2D", "AveragePooling2D-overlapping"}

for register in (un.saving.register_keras_serializable, keras.saving.register_keras_serializable):
    register(package="tests")(contract.cubed)


@pytest.fixture(autouse=True)
def _fresh_names():
    keras.utils.clear_session()


def flat(structure):
    return keras.tree.flatten(structure)


def close(mine, theirs, tolerance=1e-5):
    for one, other in zip(flat(mine), flat(theirs), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def paths(path):
    """Return {path of array: (shape, dtype)} and {path of group: name} of the weights in a file."""
    arrays, names = {}, {}

    def look(name, thing):
        if isinstance(thing, h5py.Dataset):
            arrays[name] = (thing.shape, str(thing.dtype))
        elif "name" in thing.attrs:
            names[name] = thing.attrs["name"]

    if str(path).endswith(".keras"):
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as entry, h5py.File(entry) as h5:
            h5.visititems(look)
    else:
        with h5py.File(path) as h5:
            h5.visititems(look)
    return arrays, names


def config(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def plain(part):
    """Return a config without what may differ: notes that change nothing, and several spellings of one setting."""
    if isinstance(part, list):
        return [plain(value) for value in part]
    if not isinstance(part, dict):
        return part
    if part.get("class_name") == "DTypePolicy":
        return part["config"]["name"]
    if isinstance(part.get("axis"), list) and len(part["axis"]) == 1:
        part = {**part, "axis": part["axis"][0]}
    if "kwargs" in part:  # Keras notes the defaults of `training` and `mask`
        part = {**part, "kwargs": {key: value for key, value in part["kwargs"].items() if value not in (None, False)}}
    dropped = ("shared_object_id", "build_config", "compile_config")
    return {key: plain(value) for key, value in part.items() if key not in dropped and value is not None}


def differences(one, other, where=""):
    """Yield the places where two configs differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key, "absent"), other.get(key, "absent"), f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other)):
            yield from differences(a, b, f"{where}[{index}]")
    elif one != other:
        yield f"{where}: {one} != {other}"


def there_and_back(model, x, tmp_path, custom_objects=None):
    """Save, open in Keras, compare, save there, open here, compare; returns Keras's model and ours."""
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    close(theirs.predict(x, verbose=0), expected)
    theirs.save(tmp_path / "theirs.keras")
    assert paths(tmp_path / "theirs.keras") == paths(tmp_path / "ours.keras")
    again = un.models.load_model(tmp_path / "theirs.keras", custom_objects=custom_objects)
    close(again.predict(x, verbose=0), expected, 1e-6)
    assert list(differences(plain(config(tmp_path / "ours.keras")), plain(config(tmp_path / "theirs.keras")))) == []
    return theirs, again


# --- layers ------------------------------------------------------------------------------


def test_every_layer_goes_both_ways(tmp_path):
    """One model with a branch for every case of the contract test."""
    inputs, outputs, data, names = [], [], [], []
    for index, case in enumerate(CASES):
        symbols = case.symbols()
        outputs += flat(case.layer(name=f"{case.id}-{index}")(symbols))
        names += [case.id] * (len(outputs) - len(names))
        inputs += flat(symbols)
        data += [one.numpy() for one in contract._flat(case.inputs())]
    model = contract.randomized(un.Model(inputs, outputs))
    expected = model.predict(data, verbose=0)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    for name, one, other in zip(names, expected, theirs.predict(data, verbose=0), strict=True):
        if name not in DIFFERENT_IN_KERAS:
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5, err_msg=name)
    theirs.save(tmp_path / "theirs.keras")
    assert paths(tmp_path / "theirs.keras") == paths(tmp_path / "ours.keras")
    again = un.models.load_model(tmp_path / "theirs.keras").predict(data, verbose=0)
    for name, one, other in zip(names, expected, again, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6, err_msg=name)
    assert list(differences(plain(config(tmp_path / "ours.keras")), plain(config(tmp_path / "theirs.keras")))) == []
