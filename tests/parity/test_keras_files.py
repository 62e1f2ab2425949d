"""Files that go both ways between uncrumple and real Keras."""

from __future__ import annotations

import importlib.util
import json
import sys
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
    spec = importlib.util.spec_from_file_location(
        "layer_contract", Path(__file__).parents[1] / "layers/test_contract.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["layer_contract"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


contract = _contract()
# A torch module is code, which no file carries; and Keras's own code for the other one fails.
NOT_IN_KERAS = ("TorchModuleWrapper", "LayerNormalization-axis", "Maxout", "Maxout-axis")
CASES = [case for case in contract.CASES if case.id not in NOT_IN_KERAS]
# Keras 3.15.1 averages copies of the edge into uneven padding (keras#23233), so only its reading is tested.
DIFFERENT_IN_KERAS = {"AveragePooling2D", "AveragePooling2D-overlapping"}

for register in (un.saving.register_keras_serializable, keras.saving.register_keras_serializable):
    register(package="keras_files")(contract.cubed)


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


def there_and_back(model, x, tmp_path):
    """Save, open in Keras, compare, save there, open here, compare."""
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    close(theirs.predict(x, verbose=0), expected)
    theirs.save(tmp_path / "theirs.keras")
    mine, other = paths(tmp_path / "ours.keras"), paths(tmp_path / "theirs.keras")
    assert mine[0] == other[0] and set(mine[1]) == set(other[1])
    again = un.models.load_model(tmp_path / "theirs.keras")
    close(again.predict(x, verbose=0), expected, 1e-6)
    assert list(differences(plain(config(tmp_path / "ours.keras")), plain(config(tmp_path / "theirs.keras")))) == []


# --- layers ------------------------------------------------------------------------------


def test_every_layer_goes_both_ways(tmp_path):
    """One model with a branch for every case of the contract test."""
    inputs, outputs, data, names = [], [], [], []
    ids = [case.id for case in CASES]  # this makes layers, too
    un.utils.clear_session()  # the parts of attention layers are named by counting
    for index, case in enumerate(CASES):
        symbols = case.symbols()
        outputs += flat(contract.on(case.layer(name=f"{ids[index]}-{index}"), symbols))
        names += [ids[index]] * (len(outputs) - len(names))
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


# --- models ------------------------------------------------------------------------------


def operators():
    a, b = un.Input((4,), name="a"), un.Input((4,), name="b")
    x = abs(-((a * 2 + b - 1) / 3.0))
    y = 2 / ((2 ** (1 - x)) ** 2 + 1)
    z = un.layers.Dense(6)(un.layers.Concatenate()([y, x]))
    return un.Model([a, b], {"sum": z[:, 1:3] + un.layers.Dense(6)(b)[..., 0:2], "first": z[:, 0]})


def nested():
    inner_inputs = un.Input((4,))
    inner = un.Model(inner_inputs, un.layers.Dense(3)(inner_inputs), name="inner")
    shared = un.layers.Dense(4, name="shared")
    a = un.Input((4,), name="a")
    stack = un.Sequential([un.Input((3,)), un.layers.Dense(2), un.layers.BatchNormalization()], name="stack")
    return un.Model(a, [stack(inner(shared(shared(a)))), inner(a), inner(shared(inner_like(a)))])


def inner_like(tensor):
    return un.layers.Dense(4, activation="tanh")(tensor)


def functional_at_the_end():
    inner_inputs = un.Input((4,))
    inner = un.Model(inner_inputs, un.layers.Dense(3)(inner_inputs), name="inner")
    inputs = un.Input((4,))
    return un.Model(inputs, inner(un.layers.Dense(4)(inputs)))


def stacks():
    L = un.layers
    inner = un.Sequential([un.Input((3,)), L.Dense(2, kernel_regularizer="l2")])
    return un.Sequential([un.Input((4,)), L.Dense(3, kernel_constraint="max_norm"), inner, un.Sequential([L.Dense(2)])])


def half_precision():
    L = un.layers
    return un.Sequential([un.Input((4,)), L.Dense(8, dtype="bfloat16"), L.Dense(3, dtype="mixed_bfloat16")])


@pytest.mark.parametrize("make", [operators, nested, functional_at_the_end, stacks])
def test_models_go_both_ways(make, tmp_path):
    model = contract.randomized(make())
    x = [np.random.default_rng(index).normal(size=(3, 4)).astype("float32") for index in range(len(model.inputs))]
    there_and_back(model, x if len(x) > 1 else x[0], tmp_path)


def test_a_layer_in_two_wrappers_stays_one_layer(tmp_path):
    dense = un.layers.Dense(2)
    inputs = un.Input((3, 4))
    model = un.Model(inputs, [un.layers.TimeDistributed(dense)(inputs), un.layers.TimeDistributed(dense)(inputs * 2)])
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    assert len(theirs.weights) == 2  # (what Keras saves of it, it cannot load)
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    close(theirs.predict(x, verbose=0), model.predict(x, verbose=0))


def test_bfloat16_goes_both_ways(tmp_path):
    model = half_precision()
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    assert paths(tmp_path / "theirs.keras") == paths(tmp_path / "ours.keras")
    again = un.models.load_model(tmp_path / "theirs.keras")
    for one, two, three in zip(model.weights, theirs.weights, again.weights, strict=True):
        assert one.dtype is three.dtype and torch.equal(one, three)
        assert torch.equal(one.detach(), two.value.detach())


# --- training on ---------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, size=64)
OPTIMIZERS = {
    "adam": lambda o: o.Adam(0.01),
    "adam_accumulating": lambda o: o.Adam(0.01, use_ema=True, gradient_accumulation_steps=2, clipnorm=1.0),
    "adamw_cosine": lambda o: o.AdamW(o.schedules.CosineDecay(0.01, 100)),
    "sgd_nesterov": lambda o: o.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop_centered": lambda o: o.RMSprop(0.01, centered=True, momentum=0.5),
    "nadam": lambda o: o.Nadam(0.01),
    "adagrad": lambda o: o.Adagrad(0.1),
    "adadelta": lambda o: o.Adadelta(0.1),
    "adamax": lambda o: o.Adamax(0.01),
    "ftrl_piecewise": lambda o: o.Ftrl(o.schedules.PiecewiseConstantDecay([3, 9], [0.1, 0.05, 0.01])),
    "lion": lambda o: o.Lion(0.001),
    "lamb": lambda o: o.Lamb(0.01),
    "adafactor": lambda o: o.Adafactor(0.01),
    "muon": lambda o: o.Muon(0.01),
    "schedule_free": lambda o: o.ScheduleFreeAdamW(0.01, beta_1=1.0),  # what Keras on torch does with any beta_1
    "multi": lambda o: o.MultiOptimizer(o.OptimizerMap(o.SGD(0.1, 0.9), {".*(gamma|beta)": o.Adam(0.01)})),
    "scaled_adafactor": lambda o: o.LossScaleOptimizer(o.Adafactor(0.01), 8.0, 3),
}


def classifier(framework):
    L = framework.layers
    return framework.Sequential(
        [
            framework.Input((6,)),
            L.Dense(8, use_bias=False, activation="relu", kernel_regularizer="l2"),
            L.BatchNormalization(),
            L.Dense(3, activation="softmax"),
        ]
    )


def fit(model, epochs=1):
    return model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, shuffle=False).history


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_goes_on_in_keras_and_back_again(make, tmp_path):
    model = classifier(un)
    model.compile(make(un.optimizers), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(model)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    again = un.models.load_model(tmp_path / "theirs.keras")
    histories = [fit(one, 2) for one in (model, theirs, again)]
    for history in histories[1:]:
        assert list(history) == list(histories[0])
        for name in history:
            np.testing.assert_allclose(history[name], histories[0][name], rtol=1e-4)
    for one in (theirs, again):
        close(one.get_weights(), model.get_weights(), 1e-4)


def test_losses_and_metrics_with_settings_go_both_ways(tmp_path):
    inputs = un.Input((6,))
    a, b = un.layers.Dense(3, name="a")(inputs), un.layers.Dense(1, name="b")(inputs)
    model = un.Model(inputs, {"a": a, "b": b})
    model.compile(
        un.optimizers.SGD(0.01),
        {
            "a": un.losses.SparseCategoricalCrossentropy(from_logits=True),
            "b": un.losses.MeanSquaredError(reduction="sum"),
        },
        loss_weights={"a": 0.5, "b": 2.0},
        metrics={"a": [un.metrics.SparseTopKCategoricalAccuracy(k=2, name="top2")], "b": ["mae", "mse"]},
    )
    targets = {"a": Y, "b": X[:, :1]}
    model.fit(X, targets, verbose=0, shuffle=False)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    again = un.models.load_model(tmp_path / "theirs.keras")
    logs = [one.evaluate(X, targets, verbose=0, return_dict=True) for one in (model, theirs, again)]
    for log in logs[1:]:
        assert sorted(log) == sorted(logs[0])
        for name in log:
            np.testing.assert_allclose(log[name], logs[0][name], rtol=1e-5, err_msg=name)


def test_every_loss_and_metric_has_a_config_that_keras_reads():
    for room, theirs in ((un.losses, keras.losses), (un.metrics, keras.metrics)):
        for name in dir(room):
            cls = getattr(room, name)
            base = room.Loss if room is un.losses else room.Metric
            if not (isinstance(cls, type) and issubclass(cls, base)) or cls is base or not hasattr(theirs, name):
                continue
            try:
                made = cls()
            except TypeError:  # it needs arguments
                continue
            written = json.loads(json.dumps(un.saving.serialize_keras_object(made)))
            read = keras.saving.deserialize_keras_object(written)
            assert type(read).__name__ == name
            back = un.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(read))))
            assert type(back) is cls


# --- weights alone ---------------------------------------------------------------------------


def test_weights_files_go_both_ways(tmp_path):
    mine, theirs = classifier(un), classifier(keras)
    for model in (mine, theirs):
        model.compile("adam", "sparse_categorical_crossentropy")
        fit(model)
    mine.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    close(theirs.get_weights(), mine.get_weights(), 0)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    arrays, names = paths(tmp_path / "theirs.weights.h5")
    assert arrays == {**paths(tmp_path / "ours.weights.h5")[0], "optimizer/vars/0": ((), "int32")}
    assert set(names) == set(paths(tmp_path / "ours.weights.h5")[1])
    other = classifier(un)
    other.load_weights(tmp_path / "theirs.weights.h5")
    close(other.get_weights(), mine.get_weights(), 0)


def define(framework):
    """Return a model of classes of the user's in one of the frameworks: lists, dicts, private and odd attributes."""

    @framework.saving.register_keras_serializable(package="files")
    class Cell(framework.layers.Layer):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.zeta = framework.layers.Dense(units)
            self.alpha = framework.layers.Dense(units)

        def build(self, input_shape):
            self.alpha.build(input_shape)
            self.zeta.build(input_shape)
            self.gain = self.add_weight(name="gain", shape=(1,), initializer="ones")

        def call(self, x):
            return self.alpha(x) * self.gain + self.zeta(x)

        @property
        def middle(self):
            return self.zeta

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    @framework.saving.register_keras_serializable(package="files")
    class Odd(framework.Model):
        def __init__(self, width=4, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.zoo = {"second": Cell(width), "first": Cell(width)}
            self.blocks = [
                framework.layers.Dense(width),
                [framework.layers.Dense(width), framework.layers.Dense(width)],
            ]
            self.output_part = framework.layers.Dense(2)
            self._hidden = framework.layers.Dense(width)
            self.stack = framework.Sequential([framework.layers.Dense(width), framework.layers.LayerNormalization()])

        def call(self, x):
            x = self.zoo["first"](self.blocks[0](x)) + self.zoo["second"](self.blocks[1][0](x))
            return self.output_part(self.stack(self._hidden(self.blocks[1][1](x))))

        def get_config(self):
            return {**super().get_config(), "width": self.width}

    return Odd


def test_classes_of_ones_own_go_both_ways(tmp_path):
    mine, x = define(un)(5), X[:, :4]
    define(keras)
    mine(x)
    contract.randomized(mine)
    there_and_back(mine, x, tmp_path)


# --- files that Keras wrote with TensorFlow and torch ------------------------------------------


def golden(name):
    return dict(np.load(GOLDEN / f"{name}.npz"))


def define_golden(framework):
    """Register the classes in `subclassed.keras`."""

    @framework.saving.register_keras_serializable(package="my_pkg")
    class Scale(framework.layers.Layer):
        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape):
            self.alpha = self.add_weight(name="alpha", shape=(input_shape[-1],), initializer="ones")
            self.offset = self.add_weight(name="offset", shape=(1,), initializer="zeros", trainable=False)

        def call(self, x):
            return x * self.alpha * self.factor + self.offset

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    @framework.saving.register_keras_serializable(package="my_pkg")
    class MLP(framework.Model):
        def __init__(self, hidden=6, **kwargs):
            super().__init__(**kwargs)
            self.hidden = hidden
            self.blocks = [
                framework.layers.Dense(hidden, activation="tanh"),
                framework.layers.Dense(hidden, activation="relu"),
            ]
            self.scale = Scale(0.5)
            self.head = framework.layers.Dense(2)

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return self.head(self.scale(x))

        def get_config(self):
            return {**super().get_config(), "hidden": self.hidden}

    @framework.saving.register_keras_serializable(package="my_pkg")
    def doubled_mse(y_true, y_pred):
        return 2.0 * framework.losses.mean_squared_error(y_true, y_pred)


define_golden(un)
# Those with inputs and outputs beside them; test_preprocessing_golden.py reads the others.
NAMES = sorted(path.stem for path in GOLDEN.glob("*.keras") if path.with_suffix(".npz").exists())


def inputs_of(data):
    names = [name for name in data if name.startswith("in_")]
    return data["in_0"] if names == ["in_0"] else {name[3:]: data[name] for name in names}


def check_outputs(model, data):
    out = model.predict(inputs_of(data), verbose=0)
    parts = out if isinstance(out, dict) else dict(enumerate(out if isinstance(out, list) else [out]))
    assert parts.keys() == {int(n[4:]) if n[4:].isdigit() else n[4:] for n in data if n.startswith("out_")}
    for key, value in parts.items():
        np.testing.assert_allclose(value, data[f"out_{key}"], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("error::uncrumple.UncrumpleWarning")
def test_golden_files_predict_what_keras_did(name):
    data = golden(name)
    check_outputs(un.models.load_model(GOLDEN / f"{name}.keras"), data)
    if (GOLDEN / f"{name}.weights.h5").exists():
        model = un.models.load_model(GOLDEN / f"{name}.keras", compile=False)
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        model.load_weights(GOLDEN / f"{name}.weights.h5")
        check_outputs(model, data)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("opt_")])
def test_golden_files_train_on_as_keras_did(name):
    data = golden(name)
    model = un.models.load_model(GOLDEN / f"{name}.keras")
    for index, variable in enumerate(model.optimizer.variables):
        np.testing.assert_allclose(variable.numpy(), data[f"opt_{index}"], rtol=1e-6)
    x, y = data["train_x"][:40], data["train_y"][:40]
    history = model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0).history
    for metric, values in json.loads(str(data["resume_hist_json"])).items():
        np.testing.assert_allclose(history[metric], values, rtol=2e-5)
    for index, weight in enumerate(model.get_weights()):
        np.testing.assert_allclose(weight, data[f"resume_w{index}"], rtol=2e-5, atol=2e-5)


def test_a_file_with_a_layer_that_is_not_there_says_so(tmp_path):
    with zipfile.ZipFile(GOLDEN / "dense.keras") as known, zipfile.ZipFile(tmp_path / "new.keras", "w") as new:
        for name in known.namelist():
            new.writestr(name, known.read(name).replace(b'"Dropout"', b'"QuantumGate"'))
    with pytest.raises(TypeError) as caught:
        un.models.load_model(tmp_path / "new.keras")
    text = str(caught.value).split("\n")
    assert text[0] == (
        "The file names the class 'QuantumGate' of module 'keras.layers', which uncrumple does not have."
    )
    assert text[1].startswith("Expected one of: Activation, ") and text[2].startswith("Fix: ")
