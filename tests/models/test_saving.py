"""Save and load: whole models, weights, configs, copies, and what is said when a file is not right."""

import copy
import errno
import json
import os
import pickle
import struct
import warnings
import zipfile

import h5py
import numpy as np
import pytest
import torch

import uncrumple as un
from uncrumple import layers as L
from uncrumple.core.files import atomic_write
from uncrumple.models import clone_model, load_model, model_from_json
from uncrumple.models.parts import Walk

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(16, 3)).astype("float32")


@un.saving.register_keras_serializable(package="tests")
class Scale(L.Layer):
    def build(self, input_shape):
        self.alpha = self.add_weight(name="alpha", shape=(input_shape[-1],), initializer="ones")
        self.offset = self.add_weight(name="offset", shape=(1,), initializer="zeros", trainable=False)

    def call(self, x):
        return x * self.alpha + self.offset


@un.saving.register_keras_serializable(package="tests")
class Blocks(un.Model):
    """A class of the user's without get_config, without **kwargs, with layers in a list and a torch module."""

    def __init__(self, width, depth=2):
        super().__init__()
        self.blocks = [L.Dense(width, activation="tanh") for _ in range(depth)]
        self.scale = Scale()
        self.head = L.Dense(3)
        self.torch_part = torch.nn.BatchNorm1d(3)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.torch_part(self.head(self.scale(x)))


@un.saving.register_keras_serializable(package="tests")
def doubled(y_true, y_pred):
    return 2.0 * (y_true - y_pred).square().mean(-1)


def sequential():
    model = un.Sequential([un.Input((4,)), L.Dense(5, activation="relu"), L.BatchNormalization(), L.Dense(3)])
    model.compile(un.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def functional():
    inputs = un.Input((4,), name="data")
    twice = L.Dense(4, name="twice")
    outputs = L.Dense(3)(twice(twice(inputs)) * 2 + inputs)
    model = un.Model(inputs, outputs)
    model.compile(un.optimizers.SGD(0.01, momentum=0.9), doubled)
    return model


def subclassed():
    model = Blocks(5, depth=3)
    model.compile(un.optimizers.RMSprop(0.01), "mae")
    model(X)
    return model


MAKERS = [sequential, functional, subclassed]
every_kind = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def fit(model, epochs=1):
    return model.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0)


def same(one, other, tolerance=0.0):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def lines(caught):
    """Return the lines of an error, which are three."""
    text = str(caught.value).split("\n")
    assert len(text) == 3 and text[1].startswith("Expected ") and text[2].startswith("Fix: "), caught.value
    return text


def small():
    return un.Sequential([un.Input((4,), name="in"), L.Dense(3, name="head")], name="small")


def repack(path, target, **replaced):
    """Copy a .keras file with some entries replaced; None leaves an entry out. It gets no checksums."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = replaced.get(name.split(".")[0], source.read(name))
            if name == "metadata.json":
                content = json.dumps({key: part for key, part in json.loads(content).items() if key != "sha256"})
            if content is not None:
                archive.writestr(name, content)
    return str(target)


def with_config(path, target, change):
    """Copy a .keras file with its config changed."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    change(config)
    return repack(path, target, config=json.dumps(config))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.keras"
    small().save(path)
    return path


# --- whole models -----------------------------------------------------------------------


@every_kind
def test_a_loaded_model_predicts_and_trains_on_the_same_way(make, tmp_path):
    model = make()
    fit(model, 2)
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert again.optimizer.iterations == model.optimizer.iterations == 8
    assert fit(again, 2).history == fit(model, 2).history
    same(again, model)


def test_the_file_is_a_zip_of_stored_entries(tmp_path):
    model = sequential()
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        metadata = json.loads(archive.read("metadata.json"))
        config = json.loads(archive.read("config.json"))
    assert metadata["keras_version"] == "3.15.1" and set(metadata) == {"keras_version", "date_saved", "sha256"}
    assert config["compile_config"]["optimizer"]["module"] == "keras.optimizers"
    assert config["compile_config"]["loss"] == "mse" and config["compile_config"]["metrics"] == ["mae"]


def test_large_weights_go_through_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("uncrumple.models.keras_file._IN_MEMORY", 0)
    model = sequential()
    model.save(tmp_path / "model.keras")
    same(load_model(tmp_path / "model.keras"), model)
    assert os.listdir(tmp_path) == ["model.keras"]


def test_a_name_may_be_as_long_as_the_system_takes(tmp_path):
    path = tmp_path / ("x" * 240 + ".keras")
    small().save(path)
    assert load_model(path).name == "small"


def test_compile_false_leaves_the_model_uncompiled(tmp_path):
    sequential().save(tmp_path / "model.keras")
    assert not load_model(tmp_path / "model.keras", compile=False).compiled


def test_include_optimizer_false_starts_the_optimizer_afresh(tmp_path):
    model = sequential()
    fit(model)
    model.save(tmp_path / "model.keras", include_optimizer=False)
    again = load_model(tmp_path / "model.keras")
    assert again.compiled and again.optimizer.iterations == 0
    same(again, model)


def test_everything_that_compile_takes_comes_back(tmp_path):
    inputs = un.Input((4,))
    model = un.Model(inputs, {"a": L.Dense(3, name="a")(inputs), "b": L.Dense(1, name="b")(inputs)})
    model.compile(
        un.optimizers.AdamW(un.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), clipnorm=1.0),
        {"a": un.losses.SparseCategoricalCrossentropy(from_logits=True), "b": doubled},
        loss_weights={"a": 0.5, "b": 2.0},
        metrics={"a": [un.metrics.SparseTopKCategoricalAccuracy(k=2)], "b": ["mae"]},
    )
    targets = {"a": np.arange(16) % 3, "b": Y[:, :1]}
    model.fit(X, targets, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert again.optimizer.clipnorm == 1.0 and again.optimizer.weight_decay == 0.004
    assert isinstance(again.loss["a"], un.losses.SparseCategoricalCrossentropy) and again.loss["b"] is doubled
    logs = [kind.fit(X, targets, verbose=0, shuffle=False, epochs=2).history for kind in (model, again)]
    assert logs[0] == logs[1] and "b_mae" in logs[0]


def test_a_model_that_was_never_trained_loads_quietly(tmp_path):
    """Keras writes two numbers of such an optimizer, and no state of the weights."""
    model = sequential()
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive, h5py.File(archive.open("model.weights.h5")) as h5:
        assert set(h5["optimizer/vars"]) == {"0", "1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load_model(tmp_path / "model.keras")
    assert again.optimizer.built and again.optimizer.iterations == 0
    assert fit(again).history == fit(model).history


def test_a_layer_in_two_places_stays_one_layer(tmp_path):
    shared = L.Dense(4, name="shared")
    inner_inputs = un.Input((4,))
    inner = un.Model(inner_inputs, shared(inner_inputs), name="inner")
    inputs = un.Input((4,))
    model = un.Model(inputs, inner(shared(L.Dense(4)(inputs))))
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert len(again.weights) == len(model.weights) == 4
    assert again.get_layer("inner").get_layer("shared") is again.get_layer("shared")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_wrappers_around_one_layer_share_it_again(tmp_path):
    dense = L.Dense(2)
    inputs = un.Input((3, 4))
    model = un.Model(inputs, [L.TimeDistributed(dense)(inputs), L.TimeDistributed(dense)(inputs)])
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert len(again.weights) == 2


def test_frozen_layers_stay_frozen(tmp_path):
    model = sequential()
    model.layers[0].trainable = False
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert [layer.trainable for layer in again.layers] == [False, True, True]


def test_indexing_keeps_its_meaning(tmp_path):
    inputs = un.Input((5, 4))
    model = un.Model(inputs, [inputs[:, 0, :], inputs[..., 1:3], inputs[:, [0, 2]], inputs[:, -1]])
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(2).normal(size=(2, 5, 4)).astype("float32")
    for one, other in zip(load_model(tmp_path / "model.keras").predict(x, verbose=0), model.predict(x, verbose=0)):
        np.testing.assert_array_equal(one, other)


def test_an_explicit_inference_mode_is_kept_where_it_was_meant(tmp_path):
    inputs = un.Input((4,))
    inner_inputs = un.Input((4,))
    base = un.Model(inner_inputs, L.Dropout(0.5)(inner_inputs))
    model = un.Model(inputs, base(inputs, training=False))
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X, training=True).numpy(), X)


def test_dropout_drops_after_loading(tmp_path):
    """Keras notes training=False for it, which is its default and not the user's wish."""
    model = un.Sequential([un.Input((4,)), L.Dropout(0.5)])
    inputs = un.Input((4,))
    model = un.Model(inputs, L.Dropout(0.5)(inputs))
    model.save(tmp_path / "model.keras")

    def as_keras_writes(config):
        config["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {"training": False}

    again = load_model(with_config(tmp_path / "model.keras", tmp_path / "keras.keras", as_keras_writes))
    assert (again(X, training=True) == 0).any()


def test_bfloat16_weights_keep_their_type(tmp_path):
    model = un.Sequential([un.Input((4,)), L.Dense(3, dtype="bfloat16")])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive, h5py.File(archive.open("model.weights.h5")) as h5:
        assert h5["layers/dense/vars/0"].attrs["dtype"] == "bfloat16" and h5["layers/dense/vars/0"].dtype == "V2"
    again = load_model(tmp_path / "model.keras")
    assert again.weights[0].dtype is torch.bfloat16
    assert torch.equal(again.weights[0], model.weights[0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_comes_back(policy, tmp_path):
    model = un.Sequential([un.Input((4,)), L.Dense(3, dtype=policy)])
    model.compile("adam", "mse")
    fit(model)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert again.layers[0].dtype_policy.name == policy
    same(again, model)
    assert type(again.optimizer) is type(model.optimizer) and again.optimizer.iterations == model.optimizer.iterations


def test_files_of_layers_travel_in_assets(tmp_path):
    @un.saving.register_keras_serializable(package="tests")
    class Words(L.Layer):
        words = ()

        def call(self, x):
            return x

        def save_assets(self, folder):
            os.makedirs(os.path.join(folder, "deep"))
            with open(os.path.join(folder, "deep", "words.txt"), "w") as file:
                file.write("\n".join(self.words))

        def load_assets(self, folder):
            with open(os.path.join(folder, "deep", "words.txt")) as file:
                self.words = tuple(file.read().split("\n"))

    model = un.Sequential([un.Input((4,)), Words(), Words()])
    model.layers[0].words, model.layers[1].words = ("a", "b"), ("c",)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert "assets/layers/words_1/deep/words.txt" in archive.namelist()
    again = load_model(tmp_path / "model.keras")
    assert [layer.words for layer in again.layers] == [("a", "b"), ("c",)]


# --- classes of the user's ---------------------------------------------------------------


class Unregistered(L.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor


def test_an_unknown_class_is_named_with_the_line_to_type(tmp_path):
    un.Sequential([un.Input((4,)), Unregistered(3.0)]).save(tmp_path / "model.keras")
    with pytest.raises(TypeError) as caught:
        load_model(tmp_path / "model.keras")
    text = lines(caught)
    assert text[0].startswith("The file names the class 'Unregistered' of module '")
    assert text[1] == "Expected it to be registered before loading; loading never imports code."
    assert text[2] == "Fix: load_model(path, custom_objects={'Unregistered': Unregistered})"
    again = load_model(tmp_path / "model.keras", custom_objects={"Unregistered": Unregistered})
    assert again.layers[0].factor == 3.0
    with un.saving.custom_object_scope({"Unregistered": Unregistered}):
        assert load_model(tmp_path / "model.keras").layers[0].factor == 3.0


def test_the_module_of_a_class_is_not_imported(saved, tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    def change(config):
        config["config"]["layers"][1].update(module="evil_module", class_name="Evil", registered_name="Evil")

    with pytest.raises(TypeError, match="loading never imports code"):
        load_model(with_config(saved, tmp_path / "evil.keras", change))


def test_a_layer_that_is_not_there_yet_is_named():
    with pytest.raises(TypeError) as caught:
        un.saving.deserialize_keras_object({"module": "keras.layers", "class_name": "Densee", "config": {}})
    text = lines(caught)
    assert text[0] == "The file names the class 'Densee' of module 'keras.layers', which uncrumple does not have."
    assert text[2] == "Fix: did you mean 'Dense'?"


def test_arguments_by_position_only_need_a_config_of_their_own(tmp_path):
    class Sizes(un.Model):
        def __init__(self, *sizes):
            super().__init__()
            self.parts = [L.Dense(size) for size in sizes]

        def call(self, x):
            return self.parts[0](x)

    model = Sizes(3, 4)
    model(X)
    with pytest.raises(NotImplementedError) as caught:
        model.save(tmp_path / "model.keras")
    assert (
        lines(caught)[0] == "Sizes 'sizes' takes any number of arguments (*args), so its config cannot be made for it."
    )
    assert os.listdir(tmp_path) == []


def test_a_lambda_is_refused_when_saving_and_when_loading(saved, tmp_path):
    model = un.Sequential([un.Input((4,)), L.Lambda(lambda x: x)])
    with pytest.raises(ValueError, match="A lambda cannot be saved"):
        model.save(tmp_path / "lambda.keras")
    assert not (tmp_path / "lambda.keras").exists()

    def change(config):
        config["config"]["layers"][1]["config"]["activation"] = {
            "class_name": "__lambda__",
            "config": {"value": "4w=="},
        }

    path = with_config(saved, tmp_path / "lambda.keras", change)
    for safe_mode in (True, False):
        with pytest.raises(ValueError) as caught:
            load_model(path, safe_mode=safe_mode)
        text = lines(caught)
        assert text[0] == "The file carries a lambda: Python code that loading it would run."
        assert "safe_mode=False does not change that" in text[1]


def test_a_torch_module_is_saved_without_its_code(tmp_path):
    model = un.Sequential([un.Input((4,)), torch.nn.Linear(4, 3)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError) as caught:
        load_model(tmp_path / "model.keras")
    assert "holds a torch module of the class Linear: the file has no code for it" in str(caught.value)
    loaded = load_model(tmp_path / "model.keras", custom_objects={"Linear": lambda: torch.nn.Linear(4, 3)})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    model.save_weights(tmp_path / "model.weights.h5")
    other = un.Sequential([un.Input((4,)), torch.nn.Linear(4, 3)])
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_compile_of_ones_own_is_left_to_its_author(tmp_path):
    @un.saving.register_keras_serializable(package="tests")
    class Own(Blocks):
        def compile(self, optimizer, my_loss):
            super().compile(optimizer=optimizer)
            self.my_loss = my_loss

    model = Own(3)
    model.compile("sgd", doubled)
    model(X)
    model.save(tmp_path / "model.keras")
    with pytest.warns(un.UncrumpleWarning, match=r"was not compiled: Own has a compile\(\) of its own"):
        again = load_model(tmp_path / "model.keras")
    assert not again.compiled


def test_an_optimizer_of_torch_is_left_out_with_a_warning(tmp_path):
    model = small()
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), "mse")
    with pytest.warns(un.UncrumpleWarning, match="without its optimizer, SGD of torch"):
        model.save(tmp_path / "model.keras")
    assert not load_model(tmp_path / "model.keras").compiled


# --- weights ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".safetensors"])
@every_kind
def test_weights_go_round(make, suffix, tmp_path):
    model, other = make(), make()
    fit(model)
    fit(other)
    path = tmp_path / f"file{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_weights(path)
    same(other, model)
    if suffix != ".safetensors":
        assert fit(other).history == fit(model).history


@every_kind
def test_a_state_dict_goes_round_through_torch(make, tmp_path):
    un.utils.clear_session()
    model = make()
    un.utils.clear_session()
    other = make()
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    same(other, model)


def test_paths_are_those_of_keras(tmp_path):
    model = subclassed()
    model.save_weights(tmp_path / "blocks.weights.h5")
    with h5py.File(tmp_path / "blocks.weights.h5") as h5:
        found = {}
        h5.visititems(
            lambda name, thing: found.update({name: thing.shape}) if isinstance(thing, h5py.Dataset) else None
        )
    assert found == {
        "blocks/dense/vars/0": (4, 5),
        "blocks/dense/vars/1": (5,),
        "blocks/dense_1/vars/0": (5, 5),
        "blocks/dense_1/vars/1": (5,),
        "blocks/dense_2/vars/0": (5, 5),
        "blocks/dense_2/vars/1": (5,),
        "head/vars/0": (5, 3),
        "head/vars/1": (3,),
        "layers/scale/vars/0": (5,),
        "layers/scale/vars/1": (1,),
        "optimizer/vars/0": (),
        "optimizer/vars/1": (),
        **{f"torch_part/vars/{name}": (3,) for name in ("weight", "bias", "running_mean", "running_var")},
        "torch_part/vars/num_batches_tracked": (),
    }


def test_names_in_safetensors_are_those_of_the_state_dict(tmp_path):
    from safetensors.torch import load_file

    model = functional()
    model.save_weights(tmp_path / "model.safetensors")
    assert set(load_file(tmp_path / "model.safetensors")) == set(model.state_dict())


@pytest.mark.parametrize("suffix", [".weights.h5", ".safetensors"])
def test_a_mismatch_names_layer_and_shapes_and_changes_nothing(suffix, tmp_path):
    path = str(tmp_path / f"w{suffix}")

    def stack(units):
        return un.Sequential([un.Input((4,)), L.Dense(5, name="a"), L.Dense(units, name="b")], name="stack")

    stack(3).save_weights(path)
    model = stack(2)
    before = model.get_weights()
    with pytest.raises(ValueError) as caught:
        model.load_weights(path)
    text = lines(caught)
    assert text[0].startswith(f"'{path}' does not fit 'stack'. ")
    if suffix == ".weights.h5":
        assert text[0].endswith("Dense 'b': 'stack/b/kernel' has shape (5, 2), the file holds (5, 3).")
        assert text[2] == "Fix: load into a model with the same layers and settings"
    else:
        assert text[0].endswith("'b.kernel' has shape (5, 2), the file holds (5, 3).")
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    with pytest.warns(un.UncrumpleWarning, match="these were left as they were: b"):
        model.load_weights(path, skip_mismatch=True)
    assert not np.array_equal(before[0], model.get_weights()[0])
    np.testing.assert_array_equal(before[2], model.get_weights()[2])


def test_weights_without_a_place_are_mentioned(tmp_path):
    un.Sequential([un.Input((4,)), L.Dense(4), L.Dense(4)]).save_weights(tmp_path / "w.weights.h5")
    with pytest.warns(un.UncrumpleWarning, match="holds weights that 'one' has no place for: layers/dense_1"):
        un.Sequential([un.Input((4,)), L.Dense(4)], name="one").load_weights(tmp_path / "w.weights.h5")


def test_missing_weights_are_an_error(tmp_path):
    un.Sequential([un.Input((4,)), L.Dense(4)]).save_weights(tmp_path / "w.weights.h5")
    model = un.Sequential([un.Input((4,)), L.Dense(4), L.Dense(4, name="more")])
    with pytest.raises(ValueError, match="Dense 'more' has 2 weights, the file holds 0 for it"):
        model.load_weights(tmp_path / "w.weights.h5")


def test_objects_can_be_skipped(tmp_path):
    model, other = sequential(), sequential()
    model.save_weights(tmp_path / "w.weights.h5", objects_to_skip=[model.layers[0]])
    with h5py.File(tmp_path / "w.weights.h5") as h5:
        assert sorted(h5["layers"]) == ["batch_normalization", "dense_1"]  # counted all the same
    model.save_weights(tmp_path / "w.weights.h5")
    before = other.get_weights()
    other.load_weights(tmp_path / "w.weights.h5", objects_to_skip=[other.layers[0]])
    np.testing.assert_array_equal(other.get_weights()[0], before[0])
    np.testing.assert_array_equal(other.get_weights()[-2], model.get_weights()[-2])


def test_the_walk_ends_in_a_circle():
    class Circle(L.Layer):
        def __init__(self):
            super().__init__()
            self.inner = L.Dense(2)
            object.__setattr__(self.inner, "owner", self)
            self.loop = [self.inner, {"inner": self.inner}]

    seen = []
    Walk(lambda part, path: seen.append(path) or True).visit(Circle())
    assert seen == ["", "inner"]
    never = []
    Walk(lambda part, path: bool(never.append(path))).visit(Circle())
    assert never[0] == "" and "inner" in never


# --- configs and copies -------------------------------------------------------------------


@every_kind
def test_json_makes_the_same_architecture(make):
    model = make()
    again = model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    json.dumps(model.get_config(), default=lambda thing: thing.get_config())


def test_text_that_is_not_json_is_refused():
    with pytest.raises(ValueError) as caught:
        model_from_json("model.keras")
    assert lines(caught)[2] == "Fix: load_model(path) for a file"
    with pytest.raises(ValueError, match="There is no model in the JSON text, but Dense"):
        model_from_json(json.dumps(un.saving.serialize_keras_object(L.Dense(3))))


@every_kind
def test_a_clone_has_weights_of_its_own(make):
    model = make()
    clone = clone_model(model)
    assert type(clone) is type(model)
    assert [weight.shape for weight in clone.weights] == [weight.shape for weight in model.weights]
    assert not {id(weight) for weight in clone.weights} & {id(weight) for weight in model.weights}
    assert not np.array_equal(clone.get_weights()[0], model.get_weights()[0])
    assert clone.compiled and clone.optimizer is not model.optimizer
    fit(clone)


def test_a_clone_can_be_built_otherwise():
    model = functional()

    def wider(layer):
        config = layer.get_config()
        if isinstance(layer, L.Dense):
            config["use_bias"] = False
        return type(layer).from_config(config)

    assert len(clone_model(model, clone_function=wider).weights) == 2

    def with_dropout(layer, *args, **kwargs):
        out = layer(*args, **kwargs)
        return L.Dropout(0.5)(out) if isinstance(layer, L.Dense) else out

    clone = clone_model(model, call_function=with_dropout)
    assert sum(isinstance(layer, L.Dropout) for layer in clone.layers) == 3
    inputs = un.Input((4,), name="other")
    assert clone_model(model, input_tensors=inputs).input is inputs
    assert clone_model(sequential(), input_tensors=inputs).input is inputs


def test_a_clone_goes_into_models_within_models():
    inner = un.Sequential([un.Input((4,)), L.Dense(4)], name="inner")
    inputs = un.Input((4,))
    model = un.Model(inputs, inner(L.Dense(4)(inputs)))
    seen = []

    def note(layer):
        seen.append(layer.name)
        return type(layer).from_config(layer.get_config())

    clone_model(model, clone_function=note, recursive=True)
    assert inner.layers[0].name in seen and "inner" not in seen


@pytest.mark.parametrize(
    "make, arguments, message",
    [
        (subclassed, {"clone_function": lambda layer: layer}, "clone_model got clone_function for 'blocks"),
        (sequential, {"call_function": lambda layer, x: layer(x)}, "clone_model got call_function for 'sequential"),
        (functional, {"input_tensors": [1, 2]}, "clone_model got input_tensors="),
    ],
)
def test_a_clone_refuses_what_does_not_go_with_the_model(make, arguments, message):
    with pytest.raises(ValueError) as caught:
        clone_model(make(), **arguments)
    assert lines(caught)[0].startswith(message)
    with pytest.raises(TypeError, match="clone_model got the class Dense"):
        clone_model(L.Dense)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
@every_kind
def test_copies_train_on_the_same_way_and_can_be_saved(make, again, tmp_path):
    model = make()
    fit(model)
    other = again(model)
    assert fit(other, 2).history == fit(model, 2).history
    same(other, model)
    other.save(tmp_path / "model.keras")
    same(load_model(tmp_path / "model.keras"), model)


# --- writing ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors"])
def test_a_full_disk_leaves_the_old_file(suffix, tmp_path, monkeypatch):
    model, path = small(), tmp_path / f"model{suffix}"
    save = model.save if suffix == ".keras" else model.save_weights
    save(path)
    before = path.read_bytes()
    opened = open

    def on_a_full_disk(name, mode="r", *args, **kwargs):
        file = opened(name, mode, *args, **kwargs)
        if not str(name).endswith(".tmp"):
            return file

        class Full:
            """Only so many bytes fit."""

            written = 0

            def __getattr__(self, attribute):
                return getattr(file, attribute)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, data):
                self.written += len(data)
                if self.written > 100:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return file.write(data)

        return Full()

    monkeypatch.setattr("builtins.open", on_a_full_disk)
    with pytest.raises(OSError) as caught:
        save(path)
    monkeypatch.undo()
    text = lines(caught)
    assert text[0] == f"Cannot write '{path}': No space left on device."
    assert text[1].startswith("Expected about ") and " free; there are " in text[1]
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_an_interrupt_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_written_file_has_the_rights_of_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "new") as file:
        file.write(b"x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    with atomic_write(tmp_path / "new") as file:
        file.write(b"y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


def test_a_missing_folder_is_an_error_with_the_line_that_makes_it(tmp_path):
    path = f"{tmp_path}/runs/one/model.keras"
    with pytest.raises(FileNotFoundError) as caught:
        small().save(path)
    text = lines(caught)
    assert text[0] == f"Cannot write '{path}': the folder '{tmp_path}/runs/one' does not exist."
    assert text[2] == f"Fix: import os; os.makedirs('{tmp_path}/runs/one', exist_ok=True)"


def test_overwrite_false_raises(saved):
    with pytest.raises(FileExistsError) as caught:
        small().save(saved, overwrite=False)
    assert lines(caught)[2] == "Fix: overwrite=True"
    small().save(saved)


def test_an_unbuilt_model_is_not_saved(tmp_path):
    model = un.Sequential([L.Dense(3)], name="stack")
    for method, name in ((model.save, "m.keras"), (model.save_weights, "m.weights.h5")):
        with pytest.raises(ValueError) as caught:
            method(tmp_path / name)
        assert lines(caught)[2] == "Fix: begin it with Input(shape), or call it on data once: model(x[:1])"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name, fix",
    [
        ("model", "model.save('model.keras')"),
        ("model.h5py", "model.save('model.keras')"),
        ("model.pt", "model.save('model.keras')"),
        ("model.weights.json", "model.save('model.keras')"),
        ("model.weights.h5", "model.save_weights('model.weights.h5') for the weights alone"),
        ("model.safetensors", "model.save_weights('model.safetensors')"),
    ],
)
def test_a_wrong_ending_gets_the_right_one(name, fix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        small().save(name)
    text = lines(caught)
    assert text[0] == f"save got the path '{name}'."
    assert text[1].startswith("Expected a path that ends in .keras") and text[2].startswith(f"Fix: {fix}")
    assert os.listdir() == []


@pytest.mark.parametrize(
    "call, error, first",
    [
        (lambda model: model.save(3), TypeError, "save got 3, a int, as its path."),
        (lambda model: model.save("gs://bucket/model.keras"), ValueError, "save got 'gs://bucket/model.keras'."),
        (lambda model: model.save("m.keras", zipped=False), ValueError, "save got zipped=False."),
        (lambda model: model.save("m.keras", overwrit=True), ValueError, "save got an unknown argument 'overwrit'."),
        (lambda model: model.save_weights("m.keras"), ValueError, "save_weights got the path 'm.keras'."),
        (lambda model: model.save_weights("m"), ValueError, "save_weights got the path 'm'."),
        (lambda model: model.load_weights("m.pt"), ValueError, "load_weights got the path 'm.pt'."),
        (lambda model: un.saving.save_model(L.Dense(3), "m.keras"), TypeError, "save got a Dense."),
    ],
)
def test_impossible_arguments_are_refused(call, error, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        call(small())
    assert lines(caught)[0] == first
    assert os.listdir() == []


# --- reading what is not right -------------------------------------------------------------


def test_a_missing_file_names_its_neighbour(saved):
    wrong = str(saved).replace("model.keras", "modle.keras")
    with pytest.raises(FileNotFoundError) as caught:
        load_model(wrong)
    assert lines(caught) == [
        f"There is no file '{wrong}'.",
        f"Expected one of the files in '{saved.parent}': model.keras.",
        f"Fix: did you mean '{saved}'?",
    ]
    with pytest.raises(FileNotFoundError, match="There is no file"):
        small().load_weights(str(saved).replace("model.keras", "model.weights.h5"))


@pytest.mark.parametrize(
    "name, kind",
    [
        ("a.weights.h5", "holds weights without a model"),
        ("a.safetensors", "holds weights without a model"),
        ("a.pt", "is a file of torch"),
        ("a.txt", "does not end in .keras"),
    ],
)
def test_other_kinds_of_files_are_told_apart(name, kind, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError) as caught:
        load_model(tmp_path / name)
    assert lines(caught)[0] == f"load_model got '{tmp_path / name}', which {kind}."


def test_a_folder_is_told_apart(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="is a folder with a TensorFlow SavedModel"):
        load_model(tmp_path)
    (tmp_path / "model.keras").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        load_model(tmp_path / "model.keras")


def damaged_files(saved, tmp_path):
    """Yield (name, path, what is said)."""
    content = saved.read_bytes()

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    yield write("empty.keras", b""), "is not a zip file, or only a part of one"
    yield write("text.keras", b"hello"), "is not a zip file, or only a part of one"
    yield write("half.keras", content[: len(content) // 2]), "is not a zip file, or only a part of one"
    yield write("hdf5.keras", b"\x89HDF\r\n\x1a\n" + bytes(100)), "is an HDF5 file in spite of its name"
    torch.save({"a": torch.ones(2)}, tmp_path / "torch.keras")
    yield str(tmp_path / "torch.keras"), "was written by torch.save"
    yield repack(saved, tmp_path / "a.keras", config=None), "has no config.json in it"
    yield repack(saved, tmp_path / "b.keras", model=None), "has no model.weights.h5 in it"
    yield repack(saved, tmp_path / "c.keras", config="{not json"), "has a config.json that is not JSON"
    yield repack(saved, tmp_path / "d.keras", config="[" * 100_000), "has a config.json that is not JSON"
    yield repack(saved, tmp_path / "e.keras", config="[1, 2]"), "has a config.json that describes no model"
    yield repack(saved, tmp_path / "f.keras", model=b"no hdf5"), "has a damaged model.weights.h5"
    flipped = bytearray(content)
    flipped[content.index(b"keras_history" if b"keras_history" in content else b"build_config")] ^= 1
    yield write("g.keras", bytes(flipped)), "has a damaged config.json"


def test_damaged_files_are_named_with_what_is_wrong(saved, tmp_path):
    for path, said in damaged_files(saved, tmp_path):
        with pytest.raises(ValueError) as caught:
            load_model(path)
        text = lines(caught)
        assert text[0].startswith(f"'{path}' {said}"), text[0]
        assert text[1] == "Expected a .keras file: a zip with config.json and model.weights.h5."


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["config"].pop("layers"),
        lambda config: config["config"].update(layers=3),
        lambda config: config["config"]["layers"][1]["config"].update(units="many"),
        lambda config: config["config"]["layers"][1]["config"].update(units=-1),
        lambda config: config["config"]["layers"][1]["config"].update(unknown=1),
        lambda config: config["config"]["layers"][1].update(config=3),
        lambda config: config["config"]["layers"][1].update(class_name=["Dense"]),
        lambda config: config["config"]["layers"].append(config["config"]["layers"][1]),
        lambda config: config.update(compile_config={"optimizer": {"class_name": "Adam"}, "surprise": 1}),
        lambda config: config.update(build_config=[1, 2], config={}),
    ],
)
def test_a_wrong_config_is_an_error_in_words(change, saved, tmp_path):
    with pytest.raises((ValueError, TypeError)) as caught:
        load_model(with_config(saved, tmp_path / "wrong.keras", change))
    assert "\nFix: " in str(caught.value)


@pytest.mark.parametrize(
    "history, said",
    [
        (["nowhere", 0, 0], "uses a layer 'nowhere' that it does not define"),
        (["data", 5, 0], "has layers whose inputs never come"),
        (["data", 0, 7], "uses output 7 of call 0 of 'data'"),
        (["data", -1, 0], "uses output 0 of call -1 of 'data'"),
    ],
)
def test_a_graph_that_leads_nowhere_is_an_error_in_words(history, said, tmp_path):
    functional().save(tmp_path / "model.keras")

    def change(config):
        config["config"]["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = history

    with pytest.raises(ValueError) as caught:
        load_model(with_config(tmp_path / "model.keras", tmp_path / "wrong.keras", change))
    assert said in lines(caught)[0]


def test_sizes_in_a_config_are_not_trusted(saved, tmp_path):
    """A layer larger than all that the file holds is refused before memory is taken for it."""

    def change(config):
        config["config"]["layers"][1]["config"]["units"] = 10**10

    with pytest.raises(ValueError) as caught:
        load_model(with_config(saved, tmp_path / "huge.keras", change))
    text = lines(caught)
    assert text[0] == "The file describes Dense 'head' with a weight of shape (4, 10000000000), 40,000,000,000 numbers."


def test_a_zip_bomb_is_refused(saved, tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", source.read("config.json"))
        archive.writestr("model.weights.h5", bytes(2**25))
    with pytest.raises(ValueError) as caught:
        load_model(path)
    assert "says that model.weights.h5 has 32.00 MB, made of" in lines(caught)[0]


def test_a_compressed_file_is_read(saved, tmp_path):
    path = tmp_path / "packed.keras"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    assert load_model(path).name == "small"


def weights_with(tmp_path, write):
    """Save the weights of a small model, and change the kernel's place in the file."""
    path = tmp_path / "w.weights.h5"
    small().save_weights(path)
    with h5py.File(path, "r+") as h5:
        del h5["layers/dense/vars/0"]
        write(h5, h5["layers/dense/vars"])
    return path


@pytest.mark.parametrize(
    "write, said",
    [
        (lambda h5, group: group.create_dataset("0", (10**6, 10**6), "f4", chunks=(10, 10)), "says it has the shape"),
        (lambda h5, group: group.create_dataset("0", (3, 3), "f4"), "has shape (4, 3), the file holds (3, 3)"),
        (lambda h5, group: group.__setitem__("0", h5py.ExternalLink("/etc/passwd", "/")), "has a link at"),
        (lambda h5, group: group.__setitem__("0", h5py.SoftLink("/layers")), "has a link at"),
        (lambda h5, group: group.create_group("0"), "is not an array"),
        (lambda h5, group: group.create_dataset("0", data=["a", "b"]), "has the type object"),
        (
            lambda h5, group: group.create_dataset("0", (4, 3), "f4", external="/etc/passwd"),
            "is kept outside of the file",
        ),
        (lambda h5, group: group.create_dataset("7", (4, 3), "f4"), "has no array '0' for it"),
        (lambda h5, group: None, "has 2 weights, the file holds 1 for it"),
    ],
)
def test_arrays_that_are_not_what_they_should_be_are_refused(write, said, tmp_path):
    path = weights_with(tmp_path, write)
    with pytest.raises(ValueError) as caught:
        small().load_weights(path)
    assert said in lines(caught)[0]


def test_entries_with_paths_that_lead_out_are_not_read(saved, tmp_path):
    from uncrumple.models.assets import hand_out, is_asset

    for name in (
        "../x",
        "assets/../x",
        "/assets/x",
        "assets\\..\\x",
        "assets/C:/x",
        "assets/",
        "assets",
        "config.json",
    ):
        assert not is_asset(name), name
    assert is_asset("assets/layers/words/words.txt")

    class Nosy(L.Layer):
        def load_assets(self, folder):
            self.found = sorted(
                os.path.relpath(os.path.join(at, f), folder) for at, _, fs in os.walk(folder) for f in fs
            )

    nosy = Nosy()
    hand_out(nosy, {"assets//etc/x": b"1"})
    assert nosy.found == ["etc/x"]


def test_a_damaged_weights_file_is_named(tmp_path):
    path = tmp_path / "w.weights.h5"
    small().save_weights(path)
    content = path.read_bytes()
    for data in (b"", b"hello", content[:1000]):
        path.write_bytes(data)
        with pytest.raises(ValueError) as caught:
            small().load_weights(path)
        assert lines(caught)[0].startswith(f"'{path}' is damaged, or not a weights file")
    path = tmp_path / "w.safetensors"
    for data in (b"", b"hello" * 10, struct.pack("<Q", 2**60) + b"{}"):
        path.write_bytes(data)
        with pytest.raises(ValueError) as caught:
            small().load_weights(path)
        assert lines(caught)[0].startswith(f"'{path}' is not a safetensors file, or only a part of one")
