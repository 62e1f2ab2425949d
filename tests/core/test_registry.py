"""Names and configs become objects, and the other way round; nothing in a config is ever run or imported."""

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple.core import registry
from uncrumple.core.registry import tables
from uncrumple.saving import (
    custom_object_scope,
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)


@pytest.fixture(autouse=True)
def _registered_as_before():
    before = dict(tables._registered)
    yield
    tables._registered.clear()
    tables._registered.update(before)


def test_registering():
    @register_keras_serializable("pkg")
    class Mine:
        pass

    @register_keras_serializable("pkg", name="other")
    def function(x):
        return x

    @register_keras_serializable()
    def plain(x):
        return x

    assert get_registered_name(Mine) == "pkg>Mine" and get_registered_object("pkg>other") is function
    assert get_registered_name(plain) == "Custom>plain" and get_registered_object("nothing") is None
    assert keras.saving.get_custom_objects()["pkg>Mine"] is Mine


def test_scopes_nest_and_end():
    one, other = object(), object()
    with custom_object_scope({"name": one}):
        with custom_object_scope({"name": other}):
            assert get_registered_object("name") is other
        assert get_registered_object("name") is one
    assert get_registered_object("name") is None
    with pytest.raises(KeyError), custom_object_scope({"name": one}):
        raise KeyError
    assert get_registered_object("name") is None


def test_get():
    table = {"relu": keras.activations.relu, "Dense": keras.layers.Flatten}
    assert registry.get("thing", None, table) is None
    assert registry.get("thing", "relu", table) is keras.activations.relu
    assert isinstance(registry.get("thing", "Dense", table), keras.layers.Flatten)
    assert registry.get("thing", "Dense", table, make=False) is keras.layers.Flatten
    assert isinstance(registry.get("thing", keras.layers.Flatten, table), keras.layers.Flatten)
    with pytest.raises(ValueError, match="Unknown thing: 'rleu'"):
        registry.get("thing", "rleu", table)
    with pytest.raises(TypeError, match="The thing is 5, of type int"):
        registry.get("thing", 5, table)
    with custom_object_scope({"mine": keras.activations.tanh}):
        assert registry.get("thing", "mine", table) is keras.activations.tanh


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", [1, [2, "a"]], {"a": 1, "b": [None]}, slice(1, None, 2), Ellipsis, b"bytes"],
    ids=str,
)
def test_plain_values_come_back(value):
    assert deserialize_keras_object(serialize_keras_object(value)) == value


def test_arrays_and_numbers_of_numpy_and_torch_come_back():
    array = np.arange(6, dtype="int16").reshape(2, 3)
    found = deserialize_keras_object(serialize_keras_object(array))
    assert found.dtype == array.dtype and np.array_equal(found, array)
    tensor = torch.tensor([1.5, 2.5])
    assert torch.equal(deserialize_keras_object(serialize_keras_object(tensor)), tensor)
    assert serialize_keras_object(np.float32(0.5)) == 0.5 and type(serialize_keras_object(np.int64(3))) is int
    assert serialize_keras_object(torch.float16) == "float16" and serialize_keras_object(torch.Size([2])) == [2]


def test_objects_come_back():
    layer = keras.layers.Dense(3, activation="relu", kernel_regularizer="l2", name="mine", dtype="mixed_bfloat16")
    config = serialize_keras_object(layer)
    assert config["module"] == "keras.layers" and config["class_name"] == "Dense" and config["registered_name"] is None
    again = deserialize_keras_object(config)
    assert again.get_config() == layer.get_config() and again.dtype_policy == layer.dtype_policy
    assert again.kernel_regularizer.get_config() == layer.kernel_regularizer.get_config()


def test_a_class_of_ones_own_must_be_known():
    class Mine(keras.Layer):
        def __init__(self, size, **kwargs):
            super().__init__(**kwargs)
            self.size = size

        def get_config(self):
            return {**super().get_config(), "size": self.size}

    config = serialize_keras_object(Mine(4))
    with pytest.raises(TypeError, match=r"custom_objects=\{'Mine': Mine\}"):
        deserialize_keras_object(config)
    assert deserialize_keras_object(config, custom_objects={"Mine": Mine}).size == 4
    register_keras_serializable("pkg")(Mine)
    again = serialize_keras_object(Mine(5))
    assert again["registered_name"] == "pkg>Mine" and deserialize_keras_object(again).size == 5


def test_functions():
    assert serialize_keras_object(keras.activations.relu) == "relu"

    @register_keras_serializable("pkg")
    def mine(x):
        return x

    assert deserialize_keras_object(serialize_keras_object(mine)) is mine
    with pytest.raises(ValueError, match="A lambda cannot be saved"):
        serialize_keras_object(lambda x: x)
    with pytest.raises(TypeError, match="The file names the function 'unknown'"):
        deserialize_keras_object({"class_name": "function", "config": "unknown", "module": "builtins"})


def test_what_has_no_config():
    for thing in (object(), {1, 2}, keras.layers.Dense, torch.nn.Linear(1, 1)):
        with pytest.raises(TypeError, match="cannot be written into a config"):
            serialize_keras_object(thing)


def test_code_in_a_config_is_refused():
    for config in (
        {"class_name": "__lambda__", "config": {"value": "print(1)"}},
        {"class_name": "system", "config": {}, "module": "os", "registered_name": None},
        {"class_name": "Popen", "config": {"args": "ls"}, "module": "subprocess", "registered_name": "Popen"},
        {"class_name": "function", "config": "system", "module": "os"},
        {"class_name": "dense", "config": {}, "module": "keras.layers", "registered_name": None},
    ):
        for safe in (True, False):
            with pytest.raises((TypeError, ValueError)):
                deserialize_keras_object(config, safe_mode=safe)


def test_a_misspelt_class():
    with pytest.raises(TypeError, match=r"Fix: did you mean 'Dense'\?"):
        deserialize_keras_object(
            {"module": "keras.layers", "class_name": "Densee", "config": {}, "registered_name": None}
        )
