"""Models written here in the older `.h5` form open in Keras, and what Keras 1 and 2 kept besides weights is read."""

import importlib.util
import json
import sys
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import uncrumple as un
from uncrumple.core.errors import UncrumpleWarning

X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, size=32)


def _contract():
    """Return the module with one case per layer."""
    place = Path(__file__).parents[1] / "layers/test_contract.py"
    spec = importlib.util.spec_from_file_location("layer_contract_for_h5", place)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


contract = _contract()
for register in (un.saving.register_keras_serializable, keras.saving.register_keras_serializable):
    register(package="h5_files")(contract.cubed)
# As in test_keras_files.py: what no file carries, what Keras cannot load, and what it computes otherwise.
NOT_IN_KERAS = ("TorchModuleWrapper", "LayerNormalization-axis", "Maxout", "Maxout-axis")
DIFFERENT_IN_KERAS = ("AveragePooling2D", "AveragePooling2D-overlapping")


def in_keras(path, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return keras.models.load_model(path, **settings)


def close(mine, theirs, tolerance=1e-5):
    for one, other in zip(keras.tree.flatten(mine), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


# --- written here, opened in Keras ---------------------------------------------------------------


def test_every_layer_is_written(tmp_path):
    cases = [case for case in contract.CASES if case.id not in (*NOT_IN_KERAS, *DIFFERENT_IN_KERAS)]
    keras.utils.clear_session()
    un.utils.clear_session()
    inputs, outputs, data = [], [], []
    for index, case in enumerate(cases):
        symbols = case.symbols()
        outputs += keras.tree.flatten(contract.on(case.layer(name=f"case-{index}"), symbols))
        inputs += keras.tree.flatten(symbols)
        data += [one.numpy() for one in contract._flat(case.inputs())]
    model = contract.randomized(un.Model(inputs, outputs))
    model.save(tmp_path / "ours.h5")
    expected = model.predict(data, verbose=0)
    again = un.models.load_model(tmp_path / "ours.h5")
    theirs = in_keras(tmp_path / "ours.h5")
    for loaded, tolerance in ((again, 1e-6), (theirs, 1e-5)):
        for place, (one, other) in enumerate(zip(expected, loaded.predict(data, verbose=0), strict=True)):
            np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance, err_msg=str(place))


def stack():
    L = un.layers
    return un.Sequential(
        [un.Input((6,)), L.Dense(8, "relu", kernel_regularizer="l2"), L.BatchNormalization(), L.Dense(3, "softmax")]
    )


def graph():
    L = un.layers
    inputs = un.Input((6,))
    shared = L.Dense(6, "tanh")
    inner = un.Sequential([un.Input((6,)), L.Dense(4), L.Dense(6)], name="inner")
    x = inner(shared(shared(inputs))) * 2 + inputs
    return un.Model(inputs, L.Dense(3, "softmax")(L.Concatenate()([x, inner(inputs)])))


def define(framework):
    @framework.saving.register_keras_serializable(package="legacy")
    class Scaled(framework.Model):
        def __init__(self, width=4, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.dense = framework.layers.Dense(width, "relu")
            self.head = framework.layers.Dense(3, "softmax")

        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(6,), initializer="ones")
            self.dense.build(input_shape)
            self.head.build((None, self.width))
            self.built = True

        def call(self, x):
            return self.head(self.dense(x * self.scale))

        def get_config(self):
            return {**super().get_config(), "width": self.width}

    return Scaled


def subclassed():
    model = define(un)(5)
    model(X[:1])
    model.scale.assign(np.arange(6) / 3)
    return model


@pytest.mark.parametrize("make", [stack, graph])
def test_training_goes_on_from_what_was_written_here(make, tmp_path):
    """Keras evaluates it; its own optimizer, read from any .h5 file, refuses every weight (3.15.1)."""
    model = make()
    model.compile(
        un.optimizers.Adam(un.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)),
        un.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    fit = {"batch_size": 8, "verbose": 0, "shuffle": False}
    model.fit(X, Y, **fit)
    model.save(tmp_path / "ours.h5")
    theirs, again = in_keras(tmp_path / "ours.h5"), un.models.load_model(tmp_path / "ours.h5")
    close(theirs.get_weights(), model.get_weights(), 0)
    assert type(theirs.optimizer.learning_rate).__name__ != "float" and theirs.compiled
    close(theirs.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0), 1e-4)
    for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    histories = [one.fit(X, Y, **fit).history for one in (model, again)]
    assert histories[0] == histories[1]
    close(again.get_weights(), model.get_weights(), 0)
    model.save(tmp_path / "bare.h5", include_optimizer=False)
    assert not un.models.load_model(tmp_path / "bare.h5").compiled


def test_losses_by_name_come_back(tmp_path):
    inputs = un.Input((6,))
    model = un.Model(inputs, {"a": un.layers.Dense(3, name="a")(inputs), "b": un.layers.Dense(1, name="b")(inputs)})
    model.compile(
        "sgd",
        {"a": un.losses.SparseCategoricalCrossentropy(from_logits=True), "b": un.losses.MeanSquaredError()},
        loss_weights={"a": 0.5, "b": 2.0},
        metrics={
            "a": [un.metrics.SparseTopKCategoricalAccuracy(k=2, name="top2")],
            "b": [un.metrics.MeanAbsoluteError(name="mae")],
        },
    )
    targets = {"a": Y, "b": X[:, :1]}
    model.fit(X, targets, verbose=0)
    model.save(tmp_path / "ours.h5")
    logs = [
        one.evaluate(X, targets, verbose=0, return_dict=True)
        for one in (model, in_keras(tmp_path / "ours.h5"), un.models.load_model(tmp_path / "ours.h5"))
    ]
    for log in logs[1:]:
        assert sorted(log) == sorted(logs[0])
        for name in log:
            np.testing.assert_allclose(log[name], logs[0][name], rtol=1e-5, err_msg=name)


def test_a_class_of_ones_own_keeps_its_own_weights(tmp_path):
    model = subclassed()
    model.save(tmp_path / "ours.h5")
    again = un.models.load_model(tmp_path / "ours.h5")
    np.testing.assert_array_equal(again.scale.numpy(), model.scale.numpy())
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    theirs = define(keras)(5)
    theirs(X[:1])
    theirs.load_weights(tmp_path / "ours.h5")
    close(theirs.predict(X, verbose=0), model.predict(X, verbose=0))


def test_the_older_form_is_atomic_and_complete(tmp_path):
    model, path = stack(), tmp_path / "model.hdf5"
    model.save(path)
    with h5py.File(path) as h5:
        assert {"model_config", "keras_version", "backend"} <= set(h5.attrs) and "training_config" not in h5.attrs
        names = [name.decode() for name in h5["model_weights"].attrs["layer_names"]]
        assert names == [one.name for one in model.layers]
    before = path.read_bytes()
    model.layers[0].get_config = lambda: {"function": lambda x: x}
    with pytest.raises(ValueError, match="A lambda cannot be saved"):
        model.save(path)
    assert path.read_bytes() == before
    changed = bytearray(before)
    kernel = model.layers[0].kernel.numpy().tobytes()
    changed[before.index(kernel) + 5] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ValueError, match="is not what it was when it was written: its checksum differs"):
        un.models.load_model(path)


def test_weights_by_name(tmp_path):
    L = un.layers
    first = un.Sequential([un.Input((6,)), L.Dense(4, name="a"), L.Dense(3, name="b")])
    first.save(tmp_path / "first.h5")
    other = un.Sequential([un.Input((6,)), L.Dense(4, name="a"), L.Dense(2, name="new"), L.Dense(5, name="b")])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"Dense 'b' has weights of shape \[\(2, 5\), \(5,\)\]"):
        other.load_weights(tmp_path / "first.h5", by_name=True)
    with pytest.warns(UncrumpleWarning, match="these layers were left as they were: b"):
        other.load_weights(tmp_path / "first.h5", by_name=True, skip_mismatch=True)
    close(other.get_weights(), [*first.get_weights()[:2], *before[2:]], 0)
    theirs = keras.Sequential(
        [keras.Input((6,)), *(keras.layers.Dense(n, name=name) for n, name in ((4, "a"), (2, "new")))]
    )
    theirs.load_weights(tmp_path / "first.h5", by_name=True)
    close(theirs.get_weights()[:2], first.get_weights()[:2], 0)
    other.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"Expected it with \.h5 files of Keras 2 only"):
        other.load_weights(tmp_path / "w.weights.h5", by_name=True)


# --- what optimizers of Keras 1 and 2 kept ----------------------------------------------------------


def old_file(path, kind, settings, arrays, version="2.10.0"):
    """Write a model of Keras 2 with a trained optimizer; `arrays` is {name in the file: array}."""
    generator = np.random.default_rng(5)
    layers = [{"class_name": "InputLayer", "config": {"batch_input_shape": [None, 6], "name": "in"}}]
    layers += [{"class_name": "Dense", "config": {"name": f"d{i}", "units": n}} for i, n in enumerate((4, 3))]
    training = {"loss": "mse", "metrics": [], "optimizer_config": {"class_name": kind, "config": settings}}
    with h5py.File(path, "w") as h5:
        h5.attrs["keras_version"], h5.attrs["backend"] = version, "tensorflow"
        h5.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"name": "m", "layers": layers}})
        h5.attrs["training_config"] = json.dumps(training)
        group = h5.create_group("model_weights")
        group.attrs["layer_names"] = [b"in", b"d0", b"d1"]
        group.create_group("in").attrs["weight_names"] = np.zeros(0)
        for name, shapes in (("d0", [(6, 4), (4,)]), ("d1", [(4, 3), (3,)])):
            part = group.create_group(name)
            names = [f"{name}/kernel:0", f"{name}/bias:0"]
            part.attrs["weight_names"] = [one.encode() for one in names]
            for one, shape in zip(names, shapes):
                part.create_dataset(one, data=generator.normal(size=shape).astype("float32"))
        group = h5.create_group("optimizer_weights")
        group.attrs["weight_names"] = [name.encode() for name in arrays]
        for name, value in arrays.items():
            group.create_dataset(name, data=value)
    return path


PLACES = {"d0/kernel": (6, 4), "d0/bias": (4,), "d1/kernel": (4, 3), "d1/bias": (3,)}
STEPS = 7


def state(kinds):
    generator = np.random.default_rng(6)
    return {kind: {at: generator.uniform(0.1, 1, shape).astype("f4") for at, shape in PLACES.items()} for kind in kinds}


def old(prefix, kinds, names, counter="iter"):
    """Name arrays as Keras 2 did until 2.10: one kind after the other, `Adam/d0/kernel/m:0`."""
    found = {f"{prefix}/{counter}:0": np.int64(STEPS)}
    for kind, name in zip(kinds, names):
        found |= {f"{prefix}/{at}/{name}:0": value for at, value in kinds[kind].items()}
    return found


def late(prefix, kinds, names):
    """Name arrays as Keras 2.11 to 2.15 did: all kinds of one weight after the other, `Adam/m/d0/kernel:0`."""
    found = {"iteration:0": np.int64(STEPS), "learning_rate:0": np.float32(0.1)}
    for at in PLACES:
        found |= {f"{prefix}/{name}/{at}:0": kinds[kind][at] for kind, name in zip(kinds, names)}
    return found


def first(kinds, extra):
    """Name arrays as Keras did before TensorFlow took it in: not at all."""
    values = [np.int64(STEPS), *(value for kind in kinds.values() for value in kind.values()), *extra]
    return {f"training/Adam/Variable{f'_{i}' if i else ''}:0": value for i, value in enumerate(values)}


MV = state(["momentum", "velocity"])
ONE = state(["momentum"])
RMS = state(["velocity", "momentum"])
DELTA = state(["accumulated_grad", "accumulated_delta_var"])
ADAM = {"name": "Adam", "learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}
CASES = {
    "adam": ("Adam", ADAM, old("Adam", MV, "mv"), MV),
    "adam_2.11": ("Adam", {**ADAM, "is_legacy_optimizer": False}, late("Adam", MV, "mv"), MV),
    "adam_2.2": ("Adam", {**ADAM, "amsgrad": False}, first(MV, [np.zeros(1, "f4")] * 4), MV),
    "sgd": ("SGD", {"learning_rate": 0.1, "momentum": 0.9}, old("SGD", ONE, ["momentum"]), ONE),
    "sgd_2.11": ("SGD", {"learning_rate": 0.1, "momentum": 0.9}, late("SGD", ONE, "m"), ONE),
    "sgd_plain": ("SGD", {"learning_rate": 0.1, "decay": 0.5}, old("SGD", {}, []), {}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.1, "momentum": 0.5}, old("RMSprop", RMS, ["rms", "momentum"]), RMS),
    "rmsprop_2.11": (
        "RMSprop",
        {"learning_rate": 0.1, "momentum": 0.5},
        late("RMSprop", RMS, ["velocity", "momentum"]),
        RMS,
    ),
    "adamax": ("Adamax", {"learning_rate": 0.1}, old("Adamax", MV, "mv"), {"momentum": 0, "norm": 1}),
    "adadelta": (
        "Adadelta",
        {"learning_rate": 0.1},
        old("Adadelta", DELTA, ["accum_grad", "accum_var"]),
        DELTA,
    ),
    "nadam": ("Nadam", {"learning_rate": 0.1}, old("Nadam", MV, "mv") | {"Nadam/momentum_cache:0": np.float32(0)}, MV),
}


@pytest.mark.parametrize("name", CASES)
def test_the_state_of_an_optimizer_of_keras_2(name, tmp_path):
    kind, settings, arrays, kinds = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncrumpleWarning)
        found = un.models.load_model(old_file(tmp_path / "model.h5", kind, settings, arrays))
    assert int(found.optimizer.iterations) == STEPS
    assert list(found.optimizer._slot_names) == list(kinds)
    if name == "adamax":
        kinds = dict(zip(kinds, MV.values()))
    # Keras's own optimizer with this state takes the same next step.
    theirs = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="d0"), keras.layers.Dense(3, name="d1")])
    theirs.set_weights(found.get_weights())
    settings = {key: value for key, value in settings.items() if key not in ("is_legacy_optimizer", "amsgrad", "decay")}
    if name == "sgd_plain":
        settings["learning_rate"] = 0.1 / (1 + 0.5 * STEPS)
    theirs.compile(getattr(keras.optimizers, kind)(**settings), "mse")
    theirs.optimizer.build(theirs.trainable_variables)
    mine = {variable.path.partition(f"{theirs.name}_")[2]: variable for variable in theirs.optimizer.variables}
    theirs.optimizer.iterations.assign(STEPS)
    for slot, values in kinds.items():
        for at, value in values.items():
            mine[f"{at.replace('/', '_')}_{slot}"].assign(value)
    if kind == "Nadam":
        product = np.prod([0.9 * (1 - 0.5 * 0.96**step) for step in range(1, STEPS + 1)])
        theirs.optimizer._u_product.assign(product)
        found.optimizer._u_product = float(product)
    y = np.random.default_rng(2).normal(size=(32, 3)).astype("float32")
    for model in (found, theirs):
        model.fit(X, y, batch_size=32, epochs=1, verbose=0)
    close(found.get_weights(), theirs.get_weights(), 2e-5)


def test_a_state_that_is_not_understood_is_mentioned(tmp_path):
    arrays = {"a:0": np.int64(3), "b:0": np.zeros((2, 2), "f4"), "c:0": np.zeros(5, "f4")}
    path = old_file(tmp_path / "model.h5", "Adam", ADAM, arrays)
    with pytest.warns(UncrumpleWarning, match="was loaded without the state of its optimizer"):
        found = un.models.load_model(path)
    assert int(found.optimizer.iterations) == 0


# --- Keras 1 --------------------------------------------------------------------------------------


def keras_1_file(path, config, weights, backend="tensorflow"):
    with h5py.File(path, "w") as h5:
        h5.attrs["keras_version"] = "1.2.2"
        h5.attrs["model_config"] = json.dumps(config)
        group = h5.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        group.attrs["keras_version"], group.attrs["backend"] = "1.2.2", backend
        for name, values in weights.items():
            part = group.create_group(name)
            names = [f"{name}_{index}" for index in range(len(values))]
            part.attrs["weight_names"] = [one.encode() for one in names]
            for one, value in zip(names, values):
                part.create_dataset(one, data=value)
    return path


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def test_a_stack_of_keras_1(tmp_path):
    layers = [
        {
            "class_name": "Convolution2D",
            "config": {
                "name": "conv",
                "trainable": True,
                "batch_input_shape": [None, 3, 8, 8],
                "input_dtype": "float32",
                "nb_filter": 4,
                "nb_row": 3,
                "nb_col": 2,
                "init": "glorot_uniform",
                "activation": "relu",
                "border_mode": "valid",
                "subsample": [2, 1],
                "dim_ordering": "th",
                "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.5},
                "b_regularizer": None,
                "activity_regularizer": None,
                "W_constraint": {"name": "MaxNorm", "m": 2, "axis": 0},
                "b_constraint": None,
                "bias": True,
            },
        },
        {"class_name": "Flatten", "config": {"name": "flat", "trainable": True}},
        {"class_name": "Dropout", "config": {"name": "drop", "trainable": True, "p": 0.25}},
        {
            "class_name": "Dense",
            "config": {
                "name": "out",
                "trainable": True,
                "output_dim": 2,
                "init": "normal",
                "activation": "linear",
                "bias": True,
                "input_dim": None,
            },
        },
    ]
    kernel, bias = numbers(4, 3, 3, 2), numbers(4)
    dense = [numbers(4 * 3 * 7, 2), numbers(2)]
    weights = {"conv": [kernel, bias], "flat": [], "drop": [], "out": dense}
    path = keras_1_file(tmp_path / "one.h5", {"class_name": "Sequential", "config": layers}, weights)
    model = un.models.load_model(path)
    conv, _, drop, out = model.layers
    assert (conv.filters, conv.kernel_size, conv.strides, conv.data_format) == (4, (3, 2), (2, 1), "channels_first")
    assert drop.rate == 0.25 and out.units == 2
    assert float(conv.kernel_regularizer.l2) == 0.5 and conv.kernel_constraint.max_value == 2
    x = numbers(2, 3, 8, 8)
    import torch

    images = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(kernel), torch.tensor(bias), stride=(2, 1))
    expected = images.relu().flatten(1).numpy() @ dense[0] + dense[1]
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-4)
    path = keras_1_file(
        tmp_path / "th.h5",
        {"class_name": "Sequential", "config": layers},
        {**weights, "conv": [kernel[:, :, ::-1, ::-1], bias]},
        backend="theano",
    )
    np.testing.assert_allclose(un.models.load_model(path).predict(x, verbose=0), expected, rtol=1e-4, atol=1e-4)


def test_a_graph_of_keras_1(tmp_path):
    def layer(kind, name, *inputs, **config):
        return {
            "class_name": kind,
            "name": name,
            "config": {"name": name, **config},
            "inbound_nodes": [[[one, 0, 0] for one in inputs]] if inputs else [],
        }

    gates = {name: numbers(4, 3) * (index + 1) for index, name in enumerate("icfo")}
    loops = {name: numbers(3, 3) * (index + 1) for index, name in enumerate("icfo")}
    biases = {name: numbers(3) * (index + 1) for index, name in enumerate("icfo")}
    config = {
        "name": "model_1",
        "layers": [
            layer("InputLayer", "words", batch_input_shape=[None, 5], input_dtype="int32", sparse=False),
            layer("Embedding", "embed", "words", input_dim=9, output_dim=4, init="uniform", dropout=0.0),
            layer(
                *("LSTM", "lstm", "embed"),
                output_dim=3,
                init="glorot_uniform",
                inner_init="orthogonal",
                forget_bias_init="one",
                activation="tanh",
                inner_activation="sigmoid",
                consume_less="cpu",
                dropout_W=0.0,
                dropout_U=0.0,
            ),
            layer("Dense", "dense", "lstm", output_dim=3),
            layer("Merge", "both", "lstm", "dense", mode="concat", concat_axis=1),
        ],
        "input_layers": [["words", 0, 0]],
        "output_layers": [["both", 0, 0]],
    }
    embedding, dense = numbers(9, 4), [numbers(3, 3), numbers(3)]
    lstm = [part[name] for name in "icfo" for part in (gates, loops, biases)]
    weights = {"words": [], "embed": [embedding], "lstm": lstm, "dense": dense, "both": []}
    model = un.models.load_model(
        keras_1_file(tmp_path / "g.h5", {"class_name": "Model", "config": config}, weights), compile=False
    )
    x = np.random.default_rng(0).integers(0, 9, (2, 5))
    state, cell = np.zeros((2, 3)), np.zeros((2, 3))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    for step in range(5):
        now = {name: embedding[x[:, step]] @ gates[name] + state @ loops[name] + biases[name] for name in "icfo"}
        cell = sigmoid(now["f"]) * cell + sigmoid(now["i"]) * np.tanh(now["c"])
        state = sigmoid(now["o"]) * np.tanh(cell)
    expected = np.concatenate([state, state @ dense[0] + dense[1]], axis=1)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-4)


def test_settings_that_are_gone_are_named(tmp_path):
    layers = [
        {"class_name": "BatchNormalization", "config": {"name": "bn", "mode": 1, "batch_input_shape": [None, 3]}},
    ]
    path = keras_1_file(tmp_path / "one.h5", {"class_name": "Sequential", "config": layers}, {"bn": []})
    with pytest.raises(ValueError) as caught:
        un.models.load_model(path)
    assert str(caught.value).splitlines() == [
        "The layer 'bn' is BatchNormalization(mode=1) of Keras 1.",
        "Expected settings that a layer of today has.",
        "Fix: open it with Keras 1, and write that part with other layers",
    ]


def test_the_old_hard_sigmoid_is_mentioned_and_can_be_had(tmp_path):
    layers = [
        {
            "class_name": "Dense",
            "config": {"name": "d", "output_dim": 1, "activation": "hard_sigmoid", "batch_input_shape": [None, 1]},
        }
    ]
    weights = {"d": [np.ones((1, 1), "f4"), np.zeros(1, "f4")]}
    path = keras_1_file(tmp_path / "one.h5", {"class_name": "Sequential", "config": layers}, weights)
    with pytest.warns(UncrumpleWarning, match="was trained with the hard_sigmoid of Keras 1 and 2"):
        today = un.models.load_model(path)
    x = np.array([[1.0], [5.0]], "float32")
    np.testing.assert_allclose(today.predict(x, verbose=0), [[1 / 6 + 0.5], [1]], rtol=1e-6)
    formula = {"hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1)}
    before = un.models.load_model(path, custom_objects=formula)
    np.testing.assert_allclose(before.predict(x, verbose=0), [[0.7], [1]], rtol=1e-6)
