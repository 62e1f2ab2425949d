"""Functions of `ops` on symbolic tensors: models that compute what the functions do, and open in Keras and from it."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import torch
from ops_cases import BINARY, CASES, UNARY
from ops_differential import A, difference, functions, run

import uncrumple
from uncrumple import layers, models, ops
from uncrumple.core.naming import reset_names
from uncrumple.layers.operation import ops_class
from uncrumple.ops.recording import OPERATIONS

# Keras's functions that its own symbolic tensors do not know, or that are no layer of a model.
NO_LAYER = {"convert_to_numpy", "is_tensor", "dtype", "shape", "arange", "eye", "identity", "tri", "ones", "zeros", "empty",
            "bartlett", "blackman", "hamming", "hanning", "kaiser", "cond", "scan", "map", "while_loop", "fori_loop", "switch",
            "associative_scan", "vectorized_map", "nonzero", "jvp", "ndim", "size", "full", "linspace", "logspace", "geomspace"}  # fmt: skip
SIMPLE = {
    **{name: [((A([[1.0, 2.0], [0.5, 1.0]]),), {})] for name in UNARY},
    **{name: [((A([1.0, 2.0, 3.0]), A([2.0, 1.0, 3.0])), {}), ((A([1.0, 2.0]), 2.0), {})] for name in BINARY},
    **{name: [((A([1, 2, 3], "int32"), A([2, 1, 3], "int32")), {})]
       for name in BINARY if name.startswith(("bitwise", "left", "right", "gcd", "lcm", "ldexp"))},
    "bitwise_not": [((A([1, 2], "int32"),), {})],
    "bitwise_invert": [((A([1, 2], "int32"),), {})],
}  # fmt: skip
ALL = {name: CASES.get(name) or SIMPLE[name] for name in sorted({*CASES, *SIMPLE}) if CASES.get(name) or name in SIMPLE}


# Types that an Input does not have, or that a model turns into its own.
NO_INPUT = ("complex64", "float16", "bfloat16")


def symbolic(structure, library, found):
    """Return arguments with an Input in place of each tensor, and collect (Input, tensor)."""
    if isinstance(structure, A) and structure.values.ndim and structure.dtype not in NO_INPUT:
        made = library.Input(batch_shape=structure.values.shape, dtype=structure.dtype)
        found.append((made, structure.made()))
        return made
    if isinstance(structure, A):
        return structure.made()
    if isinstance(structure, (list, tuple)):
        return type(structure)(symbolic(part, library, found) for part in structure)
    if isinstance(structure, dict):
        return {key: symbolic(part, library, found) for key, part in structure.items()}
    return structure


def model_of(function, library, args, settings):
    """Return a functional model of one call, and what to feed it."""
    found = []
    args, settings = symbolic(args, library, found), symbolic(settings, library, found)
    out = function(*args, **settings)
    return library.Model([made for made, _ in found], list(out) if isinstance(out, tuple) else out), [
        x for _, x in found
    ]


def fed(name, most=4):
    """Some calls of a function that have a tensor to feed."""
    calls = [call for call in ALL[name] if _feeds(call)]
    return calls[:: -(-len(calls) // most)] if calls else []


def _feeds(structure):
    if isinstance(structure, A):
        return bool(structure.values.ndim) and structure.dtype not in NO_INPUT
    if isinstance(structure, dict):
        structure = list(structure.values())
    return isinstance(structure, (list, tuple)) and any(_feeds(part) for part in structure)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in ALL if name not in NO_LAYER])
def test_a_model_computes_what_the_function_does(name):
    own = functions(name)[1]
    for args, settings in fed(name):
        if (name, len(args)) == ("where", 1) or (name == "repeat" and isinstance(args[1], A)):
            continue  # how large the result is depends on the numbers
        expected = run(own, args, settings)
        model, data = model_of(own, uncrumple, args, settings)
        assert difference(expected, model(data)) is None, (args, settings)


def test_layers_have_the_settings_that_keras_has():
    """Names, settings and tensors of the classes that Keras writes into files."""
    from inspect import signature

    import keras.src.ops as theirs

    for class_name, known in OPERATIONS.items():
        module = getattr(theirs, known.module.rsplit(".", 1)[-1])
        cls = getattr(module, class_name)
        wanted = [name for name in signature(cls.__init__).parameters if name not in ("self", "name", "kwargs")]
        assert set(known.settings) - {"kwargs"} >= set(wanted) - {"rms_scaling"}, class_name
        assert ops_class(class_name).__name__ == class_name


# Files that Keras itself cannot read again, or not with these arguments, and those whose settings are no plain data.
NOT_IN_FILES = {"get_item", "vectorize", "custom_gradient"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("most", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in ALL if name not in NO_LAYER | NOT_IN_FILES])
def test_models_open_there_and_here(name, most):
    theirs, own = functions(name)
    for args, settings in fed(name, most):
        if (name, len(args)) == ("where", 1):
            continue
        keras.backend.clear_session(free_memory=False)
        try:
            there, data = model_of(theirs, keras, args, settings)
            text = there.to_json()
            expected = keras.models.model_from_json(text)([x.clone() for x in data])
        except Exception:
            continue  # Keras makes no model of this, or does not open it again
        reset_names()
        here, _ = model_of(own, uncrumple, args, settings)
        opened = models.model_from_json(text)
        own_text = here.to_json()
        assert described(text) == described(own_text), (args, settings)
        if name in OTHER_NUMBERS_THERE:
            continue
        assert difference(expected, opened(data)) is None, (args, settings)
        there = keras.models.model_from_json(own_text)
        assert difference(expected, there([x.clone() for x in data])) is None, (args, settings)


# What Keras's layers compute otherwise than its functions do: Quantile forgets its method.
OTHER_NUMBERS_THERE = {"quantile", "percentile"}


def described(text):
    """Return (module, class, config) of each layer that is no input."""
    found = []
    for layer in json.loads(text)["config"]["layers"]:
        if layer["class_name"] != "InputLayer":
            # Keras writes a setting that it gave up, of patches more than it was given, and None for the default order.
            config = {key: value for key, value in layer["config"].items() if key != "rms_scaling"}
            if config.get("data_format", "") is None:
                config["data_format"] = "channels_last"
            if layer["class_name"] == "ExtractPatches":
                config = {key: config[key] for key in ("dilation_rate", "padding", "data_format")}
            found.append((layer["module"], layer["class_name"], config, layer.get("registered_name")))
    return found


# --- what users write -----------------------------------------------------------------


def mixed(library):
    x, y = library.Input((4,), name="x"), library.Input((4,), name="y")
    z = library.ops.mean(library.ops.add(x, y), axis=1, keepdims=True)
    z = library.ops.concatenate([z, library.ops.multiply(x, np.array([1.0, 2, 3, 4], "float32"))], axis=-1)
    one, other = library.ops.split(z, [2], axis=1)
    z = library.ops.reshape(library.ops.einsum("bi,bj->bij", one, other), (-1, 6))
    z = library.ops.where(z > 0, z, 0.0)
    z = library.layers.Dense(3, kernel_initializer="ones")(library.ops.cast(z, "float32"))
    return library.Model([x, y], library.ops.softmax(z))


DATA = [np.random.default_rng(seed).normal(size=(3, 4)).astype("float32") for seed in (0, 1)]


def test_files_open_there_and_here(tmp_path):
    here, there = mixed(uncrumple), mixed(keras)
    expected = there.predict(DATA, verbose=0)
    np.testing.assert_allclose(here.predict(DATA, verbose=0), expected, atol=1e-6)
    here.save(tmp_path / "here.keras")
    there.save(tmp_path / "there.keras")
    opened_there = keras.models.load_model(tmp_path / "here.keras")
    opened_here = models.load_model(tmp_path / "there.keras")
    np.testing.assert_allclose(opened_there.predict(DATA, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(opened_here.predict(DATA, verbose=0), expected, atol=1e-6)


def test_unknown_sizes_stay_unknown():
    x = uncrumple.Input((None, 8))
    assert ops.mean(x, axis=1).shape == (None, 8)
    assert ops.concatenate([x, x], axis=1).shape == (None, None, 8)
    assert ops.reshape(x, (-1, 4)).shape == (None, 4)
    assert ops.shape(x) == (None, None, 8)
    assert ops.matmul(x, ops.transpose(x, (0, 2, 1))).shape == (None, None, None)


def test_copies_and_pickles():
    model = mixed(uncrumple)
    expected = model(DATA)
    assert torch.equal(copy.deepcopy(model)(DATA), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model))(DATA), expected)


def test_training_through_ops():
    x = uncrumple.Input((4,))
    hidden = layers.Dense(8)(x)
    y = layers.Dense(1)(ops.relu(hidden) + ops.square(ops.tanh(hidden)))
    model = uncrumple.Model(x, y)
    model.compile(uncrumple.optimizers.Adam(0.01), "mse")
    data = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    history = model.fit(data, data.sum(1, keepdims=True), epochs=20, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


def test_a_layer_of_ones_own():
    """What people who know Keras write: `keras.ops` in call()."""

    class Attention(layers.Layer):
        def build(self, input_shape):
            self.weight = self.add_weight(shape=(input_shape[-1], 4), initializer="glorot_uniform", name="w")
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, inputs):
            size = ops.shape(inputs)[1]
            query = ops.matmul(inputs, self.weight) * ops.sqrt(ops.cast(size, inputs.dtype)) / self.scale
            mask = ops.expand_dims(ops.arange(size) >= ops.reshape(ops.arange(size), (-1, 1)), 0)
            scores = ops.where(mask, ops.einsum("bid,bjd->bij", query, query), -1e9)
            return ops.matmul(ops.softmax(scores, axis=-1), query)

    x = uncrumple.Input((5, 3))
    model = uncrumple.Model(x, Attention()(x))
    assert model.output_shape == (None, 5, 4)
    assert model(torch.ones(2, 5, 3)).shape == (2, 5, 4)
    assert not uncrumple.layers.symbolic.needs_numbers & set(model.layers)


def test_cond_on_a_symbolic_tensor_chooses():
    x = uncrumple.Input((), dtype="float32")
    model = uncrumple.Model(x, ops.cond(x > 0, lambda: x * 2, lambda: -x))
    assert model(torch.tensor([3.0, -4.0])).tolist() == [6.0, 4.0]


def test_the_window_functions_take_no_symbolic_tensor():
    with pytest.raises(TypeError) as error:
        ops.hanning(uncrumple.Input(()))
    assert str(error.value) == "hanning got a symbolic tensor.\nExpected a whole number.\nFix: ops.hanning(16)"


def test_names_count_up_like_keras():
    reset_names()
    x = uncrumple.Input((4,))
    assert [ops.add(x, 1).name, (x + 1).name, ops.log_softmax(x).name] == [
        "add_output",
        "add_1_output",
        "log_softmax_output",
    ]
