"""Weights in several files, and the editor of files of weights: as Keras's, and each reads what the other writes."""

import json
import warnings

import h5py
import keras
import numpy as np
import pytest
import torch

import uncrumple as un
from uncrumple.core.errors import UncrumpleWarning

X = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
Y = np.random.default_rng(1).normal(size=(16, 2)).astype("float32")
SIZE = 200 / 1024**3


def make(framework, **compile):
    L = framework.layers
    inner = framework.Sequential([framework.Input((7,)), L.Dense(6), L.BatchNormalization()], name="inner")
    model = framework.Sequential([framework.Input((5,)), L.Dense(7, "relu", name="first"), inner, L.Dense(2)])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0, shuffle=False)
    return model


def quiet(call, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args, **kwargs)


def same(one, other):
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), np.asarray(theirs.numpy()))


def test_shards_go_both_ways(tmp_path):
    mine, theirs = make(un), make(keras)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    mine.save_weights(tmp_path / "a/m.weights.json", max_shard_size=SIZE)
    quiet(theirs.load_weights, tmp_path / "a/m.weights.json")
    same(mine, theirs)
    quiet(theirs.save_weights, tmp_path / "b/m.weights.json", max_shard_size=SIZE)
    names = [sorted(path.name for path in (tmp_path / side).iterdir()) for side in "ab"]
    assert names[0] == names[1] and len(names[0]) > 4
    maps = [json.loads((tmp_path / side / "m.weights.json").read_text()) for side in "ab"]
    assert maps[0]["weight_map"] == maps[1]["weight_map"]
    other = make(un)
    other.set_weights([np.zeros_like(weight) for weight in other.get_weights()])
    other.load_weights(tmp_path / "b/m.weights.json")
    same(other, theirs)
    for side in "ab":
        sizes = []
        for path in (tmp_path / side).glob("*.h5"):
            with h5py.File(path) as h5:
                found = []
                h5.visititems(lambda _, thing, kept=found: kept.append(getattr(thing, "nbytes", 0)))
                sizes.append(sum(found))
        assert max(sizes) <= 200


def test_a_smaller_set_takes_the_place_of_a_larger(tmp_path):
    model, path = make(un), tmp_path / "m.weights.json"
    model.save_weights(path, max_shard_size=SIZE)
    model.save_weights(tmp_path / "m.weights.h5", max_shard_size=1)  # Keras's other spelling of the path
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.weights.json", "m_00000.weights.h5"]
    other = make(un)
    other.load_weights(path)
    same(model, other)
    with pytest.raises(FileExistsError):
        model.save_weights(path, overwrite=False, max_shard_size=1)


def test_bfloat16_and_parts_to_skip(tmp_path):
    model = un.Sequential([un.Input((5,)), un.layers.Dense(7, dtype="bfloat16"), un.layers.Dense(2)])
    path = tmp_path / "m.weights.json"
    model.save_weights(path, max_shard_size=SIZE)
    other = un.Sequential([un.Input((5,)), un.layers.Dense(7, dtype="bfloat16"), un.layers.Dense(2)])
    before = other.layers[1].get_weights()
    other.load_weights(path, objects_to_skip=[other.layers[1]])
    assert torch.equal(other.layers[0].kernel, model.layers[0].kernel)
    np.testing.assert_array_equal(other.layers[1].get_weights()[0], before[0])


def test_sets_that_do_not_belong_together_are_refused(tmp_path):
    model, path = make(un), tmp_path / "m.weights.json"
    model.save_weights(path, max_shard_size=SIZE)
    old = (tmp_path / "m_00001.weights.h5").read_bytes()
    model.fit(X, Y, verbose=0)
    model.save_weights(path, max_shard_size=SIZE)
    (tmp_path / "m_00001.weights.h5").write_bytes(old)
    before = model.get_weights()
    with pytest.raises(ValueError) as caught:
        model.load_weights(path)
    assert str(caught.value).split("\n") == [
        f"'{path}' is not of the same save as 'm_00001.weights.h5'.",
        "Expected what model.save_weights(path, max_shard_size=...) wrote.",
        "Fix: get all the files again, or save the weights again",
    ]
    (tmp_path / "m_00001.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"names the file 'm_00001\.weights\.h5', which is not there"):
        model.load_weights(path)
    for mine, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, kept)


@pytest.mark.parametrize(
    ("path", "size", "said"),
    [
        ("m.weights.json", 0, "save_weights got max_shard_size=0."),
        ("m.weights.json", "5GB", "save_weights got max_shard_size='5GB'."),
        ("m.keras", 5, "save_weights got the path 'm.keras' with max_shard_size."),
        ("m.weights.json", 10 / 1024**3, "The array '0' of 'layers/dense/vars' takes 140.00 B."),
        ("m.weights.json", None, "save_weights got the path 'm.weights.json'."),
    ],
)
def test_impossible_sizes_are_refused(path, size, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        make(un).save_weights(path, max_shard_size=size)
    assert str(caught.value).split("\n")[0] == said
    assert list(tmp_path.iterdir()) == []


# --- the editor -----------------------------------------------------------------------------------


def edited(framework, path, target):
    """Name objects by their paths, in a flat model: Keras overlooks layers within a model that has no own weights."""
    editor = framework.saving.KerasFileEditor(str(path))
    editor.rename_object("layers/dense", "dense_7")
    editor.rename_object("layers/batch_normalization", "norm")
    editor.delete_object("optimizer")
    editor.add_object("layers/new", {"0": np.arange(4.0).reshape(2, 2)})
    editor.add_weights("layers/dense_1", {"2": np.ones(3)})
    editor.delete_weight("layers/dense_1", "1")
    editor.save(target)
    return editor


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_the_editor_changes_what_keras_changes(suffix, tmp_path, capsys):
    L = un.layers
    model = un.Sequential([un.Input((5,)), L.Dense(7), L.BatchNormalization(), L.Dense(2)])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    path = tmp_path / f"m{suffix}"
    (model.save if suffix == ".keras" else model.save_weights)(path)
    found = []
    for framework, name in ((un, "ours"), (keras, "theirs")):
        target = tmp_path / f"{name}.weights.h5"
        edited(framework, path, str(target))
        arrays = {}
        with h5py.File(target) as h5:
            h5.visititems(
                lambda at, thing, kept=arrays: kept.update({at: thing[()]} if isinstance(thing, h5py.Dataset) else {})
            )
        found.append(arrays)
    assert found[0].keys() == found[1].keys() and "layers/norm/vars/0" in found[0]
    for at, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][at])
    printed = capsys.readouterr().out
    assert f"Keras model file '{path}'" in printed


def test_the_editor_mends_a_file_for_a_changed_model(tmp_path, capsys):
    model = make(un)
    model.save(tmp_path / "m.keras")
    editor = un.saving.KerasFileEditor(str(tmp_path / "m.keras"))
    arrays = len(model.weights) + len(model.optimizer.variables)
    assert editor.compare(model) == {"status": "success", "error_count": 0, "match_count": arrays}
    assert editor.config["class_name"] == "Sequential" and editor.metadata["keras_version"] == "3.15.1"
    editor.summary()
    assert "dense ('first')" in capsys.readouterr().out
    L = un.layers
    changed = un.Sequential([un.Input((5,)), L.Dense(7, "relu"), L.Dense(3)])
    answer = editor.compare(changed)
    assert answer["status"] == "error" and answer["error_count"] == 4 and answer["match_count"] == 2
    printed = capsys.readouterr().out
    assert "...Object /layers/sequential present in saved file, missing from reference model" in printed
    assert "In reference model: shape=(7, 3)" in printed
    editor.delete_object("layers/sequential")
    editor.delete_object("optimizer")
    editor.add_object("layers/dense_1", {"0": np.ones((7, 3), "f4"), "1": np.zeros(3, "f4")})
    assert editor.compare(changed)["status"] == "success"
    editor.resave_weights(tmp_path / "new.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncrumpleWarning)
        changed.load_weights(tmp_path / "new.weights.h5")
    np.testing.assert_array_equal(changed.get_weights()[0], model.get_weights()[0])
    np.testing.assert_array_equal(changed.get_weights()[2], np.ones((7, 3)))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda e: e.delete_object("dens"), "There is no object 'dens' in"),
        (lambda e: e.delete_object("layers/dens"), "There is no object 'layers/dens' in"),
        (lambda e: e.rename_object("layers/dense", "a/b"), "rename_object got new_name='a/b'."),
        (lambda e: e.rename_object("layers/dense", "dense_1"), "There is an object 'dense_1' beside 'dense' already."),
        (lambda e: e.delete_object("0"), "The name '0' occurs"),
        (lambda e: e.delete_weight("layers/dense", "9"), "The object 'layers/dense' has no weight '9'."),
        (lambda e: e.add_object("nowhere/x", {}), "There is no object 'nowhere' in"),
        (lambda e: e.add_object("x", [1]), "add_object got weights of type list."),
        (lambda e: e.add_weights("layers/dense", 3), "add_weights got weights of type int."),
        (lambda e: e.save("x.keras"), "KerasFileEditor.save got the path 'x.keras'."),
        (lambda e: un.saving.KerasFileEditor("x.h5"), "KerasFileEditor got the path 'x.h5'."),
    ],
)
def test_wrong_edits_are_refused(edit, said, tmp_path):
    make(un).save_weights(tmp_path / "m.weights.h5")
    editor = un.saving.KerasFileEditor(str(tmp_path / "m.weights.h5"))
    with pytest.raises(ValueError) as caught:
        edit(editor)
    text = str(caught.value).split("\n")
    assert text[0].startswith(said) and len(text) == 3
