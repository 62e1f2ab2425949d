"""Whole models in the older `.h5` form: what Keras 3 writes, and what Keras 2 wrote, is read as Keras reads it."""

import json
import warnings

import h5py
import keras
import numpy as np
import pytest

import uncrumple
from uncrumple.core.errors import UncrumpleWarning

random = np.random.default_rng(3)
X = random.normal(size=(12, 6)).astype("float32")
IMAGES = random.normal(size=(4, 8, 8, 3)).astype("float32")
TOKENS = random.integers(0, 9, size=(5, 7))


def written_by_keras(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return str(path)


def assert_same(theirs, ours):
    if isinstance(theirs, dict):
        assert theirs.keys() == ours.keys()
        theirs, ours = [theirs[key] for key in theirs], [ours[key] for key in theirs]
    if isinstance(theirs, (list, tuple)):
        for one, other in zip(theirs, ours, strict=True):
            assert_same(one, other)
        return
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def stack():
    L = keras.layers
    return keras.Sequential([keras.Input((6,)), L.Dense(8, "relu"), L.BatchNormalization(), L.Dropout(0.2), L.Dense(3)])


def images():
    L = keras.layers
    inputs = keras.Input((8, 8, 3))
    left = L.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2")(inputs)
    right = L.SeparableConv2D(4, 3, padding="same")(inputs)
    joined = L.LeakyReLU(negative_slope=0.1)(L.BatchNormalization()(L.Add()([left, right])))
    return keras.Model(inputs, [L.Dense(2)(L.GlobalAveragePooling2D()(joined)), L.Flatten()(L.MaxPooling2D()(joined))])


def tokens():
    L = keras.layers
    both = L.Bidirectional(L.GRU(3, return_sequences=True))
    return keras.Sequential(
        [keras.Input((7,), dtype="int32"), L.Embedding(9, 4, mask_zero=True), both, L.LSTM(4), L.Dense(1)]
    )


def masked_graph():
    L = keras.layers
    inputs = keras.Input((7,), dtype="int32")
    hidden = L.Bidirectional(L.GRU(3, return_sequences=True))(L.Embedding(9, 4, mask_zero=True)(inputs))
    return keras.Model(inputs, L.Dense(1)(L.LSTM(4)(hidden)))


def operators():
    """Keras itself does not read what it writes here."""
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(6)(inputs)
    summed = keras.layers.Add()([inputs + hidden, hidden * 2.0 + 1.0])
    return keras.Model(inputs, keras.ops.mean(summed - hidden, axis=-1, keepdims=True))


def within():
    L = keras.layers
    tower = keras.Sequential([keras.Input((3,)), L.Dense(4, "tanh"), L.BatchNormalization()], name="tower")
    inner = keras.Input((4,))
    head = keras.Model(inner, L.Dense(2)(inner), name="head")
    tower.layers[0].trainable = False
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    return keras.Model([left, right], head(L.concatenate([tower(left), tower(right)], axis=0)))


def adapted():
    layer = keras.layers.Normalization()
    layer.adapt(X)
    return keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(2)])


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (stack, X),
        (images, IMAGES),
        (tokens, TOKENS),
        (masked_graph, TOKENS),
        (within, [X[:, :3], X[:, 3:]]),
        (adapted, X),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_models_of_keras_3(make, x, suffix, tmp_path):
    model = make()
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.uniform(0.1, 1, weight.shape))
    if make is adapted:
        model.layers[0].finalize_state()
    expected = model.predict(x, verbose=0)
    found = uncrumple.saving.load_model(written_by_keras(model, tmp_path / f"model{suffix}"))
    assert_same(expected, found.predict(x, verbose=0))
    assert [layer.name for layer in found.layers] == [layer.name for layer in model.layers]
    assert [layer.trainable for layer in found.layers] == [layer.trainable for layer in model.layers]


def test_training_goes_on_where_keras_stopped(tmp_path):
    labels = np.arange(12) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.fit(X, labels, epochs=2, verbose=0, shuffle=False, batch_size=4)
    found = uncrumple.saving.load_model(written_by_keras(model, tmp_path / "model.h5"))
    assert int(found.optimizer.iterations) == 6
    theirs = model.fit(X, labels, epochs=2, verbose=0, shuffle=False, batch_size=4).history
    ours = found.fit(X, labels, epochs=2, verbose=0, shuffle=False, batch_size=4).history
    assert list(ours) == list(theirs)
    for key in theirs:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-4)
    assert not uncrumple.saving.load_model(str(tmp_path / "model.h5"), compile=False).compiled


# --- Keras 2 ---------------------------------------------------------------------------------


def dense(name, units, **settings):
    return {
        "class_name": "Dense",
        "config": {
            "name": name,
            "trainable": True,
            "dtype": "float32",
            "units": units,
            "activation": "linear",
            "use_bias": True,
            "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}},
            "bias_initializer": {"class_name": "Zeros", "config": {}},
            "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}},
            "bias_regularizer": None,
            "activity_regularizer": None,
            "kernel_constraint": None,
            "bias_constraint": None,
            **settings,
        },
    }


def start(name, *shape, dtype="float32"):
    config = {"batch_input_shape": [None, *shape], "dtype": dtype, "sparse": False, "ragged": False, "name": name}
    return {"class_name": "InputLayer", "config": config}


def called(layer, *nodes):
    return {**layer, "name": layer["config"]["name"], "inbound_nodes": list(nodes)}


def write(path, config, weights, training=None, version="2.11.0"):
    """Write a file as Keras 2 did; `weights` is {layer: {name: shape}}. Returns its path."""
    generator = np.random.default_rng(1)
    with h5py.File(path, "w") as h5:
        h5.attrs["keras_version"], h5.attrs["backend"] = version, "tensorflow"
        h5.attrs["model_config"] = json.dumps(config)
        if training is not None:
            h5.attrs["training_config"] = json.dumps(training)
        group = h5.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        group.attrs["keras_version"] = version
        for layer, arrays in weights.items():
            part = group.create_group(layer)
            part.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in arrays]
            for name, shape in arrays.items():
                part.create_dataset(f"{layer}/{name}:0", data=generator.uniform(0.1, 1, shape).astype("float32"))
    return str(path)


DENSE = {"kernel": (6, 4), "bias": (4,)}


def sequential_2(path, **more):
    layers = [
        dense("dense", 4, batch_input_shape=[None, 6], activation="relu"),
        {"class_name": "LeakyReLU", "config": {"name": "leaky_re_lu", "trainable": True, "alpha": 0.2}},
        {
            "class_name": "BatchNormalization",
            "config": {"name": "bn", "trainable": True, "axis": [1], "momentum": 0.9, "epsilon": 0.01},
        },
        dense("out", 3, activation="softmax"),
    ]
    weights = {
        "dense": DENSE,
        "leaky_re_lu": {},
        "bn": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (4,)),
        "out": {"kernel": (4, 3), "bias": (3,)},
    }
    return write(
        path, {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}, weights, **more
    )


IN_ORDER = [
    *("dense/dense/kernel:0", "dense/dense/bias:0", "bn/bn/gamma:0", "bn/bn/beta:0"),
    *("bn/bn/moving_mean:0", "bn/bn/moving_variance:0", "out/out/kernel:0", "out/out/bias:0"),
]


def functional_2(path):
    layers = [
        called(start("a", 6)),
        called(start("b", 6)),
        called(dense("shared", 4), [["a", 0, 0, {}]], [["b", 0, 0, {}]]),
        called(
            {"class_name": "Concatenate", "config": {"name": "join", "trainable": True, "axis": -1}},
            [["shared", 0, 0, {}], ["shared", 1, 0, {}]],
        ),
        called(
            {
                "class_name": "Sequential",
                "config": {"name": "inner", "layers": [start("inner_input", 8), dense("inner_dense", 2)]},
            },
            [["join", 0, 0, {}]],
        ),
        called(dense("out", 1), [["inner", 1, 0, {}]]),
    ]
    config = {
        "name": "model",
        "layers": layers,
        "input_layers": [["a", 0, 0], ["b", 0, 0]],
        "output_layers": [["out", 0, 0], ["inner", 1, 0]],
    }
    weights = {
        "shared": DENSE,
        "inner": {"inner_dense/kernel": (8, 2), "inner_dense/bias": (2,)},
        "out": {"kernel": (2, 1), "bias": (1,)},
    }
    return write(path, {"class_name": "Functional", "config": config}, weights)


def recurrent_2(path):
    cell = {
        "units": 3,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": True,
        "unit_forget_bias": True,
        "return_sequences": False,
        "time_major": False,
        "implementation": 2,
        "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
    }
    layers = [
        {
            "class_name": "Embedding",
            "config": {
                "name": "embedding",
                "trainable": True,
                "batch_input_shape": [None, None],
                "dtype": "float32",
                "input_dim": 9,
                "output_dim": 4,
                "embeddings_initializer": {
                    "class_name": "RandomUniform",
                    "config": {"minval": -0.05, "maxval": 0.05, "seed": None},
                },
                "mask_zero": True,
                "input_length": None,
            },
        },
        {
            "class_name": "LSTM",
            "config": {
                "name": "lstm",
                "trainable": True,
                "dtype": {"class_name": "Policy", "config": {"name": "float32"}},
            }
            | cell,
        },
        dense("dense", 1),
    ]
    weights = {
        "embedding": {"embeddings": (9, 4)},
        "lstm": {"lstm_cell/kernel": (4, 12), "lstm_cell/recurrent_kernel": (3, 12), "lstm_cell/bias": (12,)},
        "dense": {"kernel": (3, 1), "bias": (1,)},
    }
    return write(path, {"class_name": "Sequential", "config": {"name": "rnn", "layers": layers}}, weights)


def list_of_layers(path):
    return write(
        path,
        {"class_name": "Sequential", "config": [dense("dense", 4, batch_input_shape=[None, 6])]},
        {"dense": DENSE},
        version="2.1.6",
    )


def test_losses_by_output_and_metrics_of_ones_own(tmp_path):
    """Found by the fuzz: losses of several outputs were taken for metrics of that name, and own functions not found."""

    def largest_error(y_true, y_pred):
        return (y_true - y_pred).abs().amax(-1)

    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    theirs = keras.Model(inputs, outputs)
    theirs.compile(
        "adam",
        {"a": keras.losses.SquaredHinge(), "b": keras.losses.MeanAbsoluteError()},
        metrics={"a": [keras.metrics.SquaredHinge()], "b": [largest_error]},
    )
    x, y = np.ones((4, 3), "float32"), {"a": np.ones((4, 1), "float32"), "b": np.ones((4, 1), "float32")}
    theirs.fit(x, y, verbose=0)
    theirs.save(tmp_path / "theirs.h5")
    mine = uncrumple.models.load_model(tmp_path / "theirs.h5", custom_objects={"largest_error": largest_error})
    assert isinstance(mine.loss["a"], uncrumple.losses.SquaredHinge)
    history = mine.fit(x, y, verbose=0).history
    assert {"a_squared_hinge", "b_largest_error"} <= set(history)


def test_models_of_keras_2(tmp_path):
    path = sequential_2(tmp_path / "model.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = uncrumple.saving.load_model(path)
    L = keras.layers
    parts = [
        L.Dense(4, "relu"),
        L.LeakyReLU(negative_slope=0.2),
        L.BatchNormalization(epsilon=0.01),
        L.Dense(3, "softmax"),
    ]
    again = keras.Sequential([keras.Input((6,)), *parts])
    with h5py.File(path) as h5:
        again.set_weights([np.asarray(h5[f"model_weights/{name}"]) for name in IN_ORDER])
    assert_same(again.predict(X, verbose=0), found.predict(X, verbose=0))
    assert found.input_shape == (None, 6)
    assert [layer.name for layer in found.layers] == ["dense", "leaky_re_lu", "bn", "out"]
    assert found.layers[1].negative_slope == 0.2
    path = list_of_layers(tmp_path / "list.h5")
    assert uncrumple.saving.load_model(path).predict(X, verbose=0).shape == (12, 4)


def test_graphs_of_keras_2_share_layers_and_hold_models(tmp_path):
    path = functional_2(tmp_path / "model.h5")
    found = uncrumple.saving.load_model(path)
    x = [X, X[::-1].copy()]
    a, b = (found.get_layer("shared")(part) for part in x)
    inner = found.get_layer("inner")(uncrumple.layers.concatenate([a, b]))
    expected = [found.get_layer("out")(inner), inner]
    assert_same([one.detach().numpy() for one in expected], found.predict(x, verbose=0))
    with h5py.File(path) as h5:
        kernel = np.asarray(h5["model_weights/inner/inner/inner_dense/kernel:0"])
    np.testing.assert_array_equal(found.get_layer("inner").layers[0].kernel.numpy(), kernel)


def test_recurrent_models_of_keras_2(tmp_path):
    path = recurrent_2(tmp_path / "model.h5")
    found = uncrumple.saving.load_model(path)
    again = uncrumple.Sequential(
        [uncrumple.Input((None,), dtype="int32")]
        + [uncrumple.layers.Embedding(9, 4, mask_zero=True), uncrumple.layers.LSTM(3), uncrumple.layers.Dense(1)]
    )
    again.set_weights(found.get_weights())
    assert_same(again.predict(TOKENS, verbose=0), found.predict(TOKENS, verbose=0))


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        ({"class_name": "Adam", "config": {"name": "Adam", "learning_rate": 0.5, "decay": 0.0, "beta_1": 0.8}}, 0.5),
        ({"class_name": "SGD", "config": {"lr": 0.25, "decay": 0.0, "momentum": 0.9, "nesterov": True}}, 0.25),
        ({"class_name": "SGD", "config": {"learning_rate": 0.5, "decay": 1.0, "momentum": 0.0}}, 0.5),
        (
            {
                "class_name": "Custom>Adam",
                "config": {"learning_rate": 0.5, "is_legacy_optimizer": False, "jit_compile": True, "amsgrad": False},
            },
            0.5,
        ),
    ],
    ids=str,
)
def test_what_keras_2_compiled(optimizer, rate, tmp_path):
    wrapped = {"class_name": "MeanMetricWrapper", "config": {"name": "acc", "fn": "sparse_categorical_accuracy"}}
    training = {
        "loss": "sparse_categorical_crossentropy",
        "metrics": [["accuracy", wrapped]],
        "optimizer_config": optimizer,
    }
    found = uncrumple.saving.load_model(sequential_2(tmp_path / "model.h5", training=training))
    assert float(found.optimizer.learning_rate) == rate
    history = found.fit(X, np.arange(12) % 3, verbose=0).history
    assert list(history) == ["acc", "accuracy", "loss"] and history["acc"] == history["accuracy"]
    if optimizer["config"].get("decay"):
        assert float(found.optimizer.learning_rate) == rate / 2


def test_a_loss_that_is_not_known_leaves_the_model_uncompiled(tmp_path):
    training = {"loss": "my_loss", "metrics": [], "optimizer_config": {"class_name": "SGD", "config": {}}}
    path = sequential_2(tmp_path / "model.h5", training=training)
    with pytest.warns(UncrumpleWarning, match="was loaded, but not compiled: Unknown loss: 'my_loss'"):
        found = uncrumple.saving.load_model(path)
    assert not found.compiled and found.predict(X, verbose=0).shape == (12, 3)


# --- weights alone -----------------------------------------------------------------------------


def test_weights_alone(tmp_path):
    path = str(tmp_path / "weights.h5")
    whole = sequential_2(tmp_path / "model.h5")
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for name, value in source["model_weights"].attrs.items():
            target.attrs[name] = value
        for layer in source["model_weights"]:
            source.copy(f"model_weights/{layer}", target)
    expected = uncrumple.saving.load_model(whole)
    for file in (path, whole):
        model = uncrumple.models.clone_model(expected)
        model.load_weights(file)
        for mine, other in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, other)
    with pytest.raises(ValueError) as caught:
        uncrumple.saving.load_model(path)
    assert str(caught.value).splitlines() == [
        f"'{path}' holds weights without a model.",
        "Expected what model.save(path) wrote: the architecture with the weights.",
        f"Fix: build the model, then model.load_weights('{path}')",
    ]


def other_model():
    layers = uncrumple.layers
    return uncrumple.Sequential([uncrumple.Input((6,)), layers.Dense(5, name="dense"), layers.Dense(3, name="out")])


def test_weights_that_do_not_fit(tmp_path):
    path = sequential_2(tmp_path / "model.h5")
    model = other_model()
    before = model.get_weights()
    with pytest.raises(ValueError, match="The model has 2 layers with weights, the file 3: dense, bn, out"):
        model.load_weights(path)
    with pytest.warns(UncrumpleWarning, match="these layers were left as they were: dense, out"):
        model.load_weights(path, skip_mismatch=True)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# --- what is refused ----------------------------------------------------------------------------


def refused(path, *words):
    with pytest.raises(ValueError) as caught:
        uncrumple.saving.load_model(path)
    assert len(str(caught.value).splitlines()) == 3, caught.value
    for word in words:
        assert word in str(caught.value)


def test_code_is_not_run(tmp_path):
    function = ["4wEAAAAAAAAAAAAAAAEAAAABAAAAQwAAAHMEAAAAfABTACkBTqkAKQHaAXhyAQAAAHIBAAAA", None, None]
    code = {"name": "lambda", "trainable": True, "function": function, "function_type": "lambda"}
    config = {"name": "m", "layers": [start("i", 6), {"class_name": "Lambda", "config": code}]}
    path = write(tmp_path / "model.h5", {"class_name": "Sequential", "config": config}, {})
    refused(path, "The file carries a lambda")


def test_operations_of_tensorflow(tmp_path):
    layers = [
        called(start("i", 6)),
        called(
            {"class_name": "TFOpLambda", "config": {"name": "tf.math.add", "function": "math.add", "trainable": True}},
            ["i", 0, 0, {"y": 1.0}],
        ),
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["i", 0, 0]], "output_layers": [["tf.math.add", 0, 0]]}
    refused(write(tmp_path / "model.h5", {"class_name": "Functional", "config": config}, {}), "'TFOpLambda' (math.add)")


def test_classes_of_ones_own(tmp_path):
    config = {"name": "m", "layers": [start("i", 6), {"class_name": "Twice", "config": {"name": "twice"}}]}
    path = write(tmp_path / "model.h5", {"class_name": "Sequential", "config": config}, {})
    with pytest.raises(TypeError, match=r"custom_objects=\{'Twice': Twice"):
        uncrumple.saving.load_model(path)

    class Twice(uncrumple.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    found = uncrumple.saving.load_model(path, custom_objects={"Twice": Twice})
    np.testing.assert_array_equal(found.predict(X, verbose=0), 2 * X)


def test_damaged_files(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(b"no HDF5")
    refused(str(path), "is damaged, or not a model file")
    sequential_2(path)
    path.write_bytes(path.read_bytes()[:3000])
    refused(str(path), "is damaged, or not a model file")
    for text in ("{", "[]", '{"class_name": 3, "config": {}}'):
        sequential_2(path)
        with h5py.File(path, "a") as h5:
            h5.attrs["model_config"] = text
        refused(str(path), "model_config")
    sequential_2(path)
    with h5py.File(path, "a") as h5:
        del h5["model_weights/out/out/bias:0"]
    refused(str(path), "lists the array 'out/bias:0' and does not hold it")
    sequential_2(path)
    with h5py.File(path, "a") as h5:
        del h5["model_weights/out/out"]
        h5["model_weights/out/out"] = h5py.ExternalLink("elsewhere.h5", "/secret")
    refused(str(path), "link")
    with h5py.File(path, "w") as h5:
        h5["numbers"] = np.zeros(3)
    refused(str(path), "holds no model of Keras")
    with pytest.raises(FileNotFoundError):
        uncrumple.saving.load_model(str(tmp_path / "modle.h5"))
