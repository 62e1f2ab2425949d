"""Maxout, which Keras 3 has no longer, adaptive pooling where Keras has nothing to compare, and layers as data."""

import json

import numpy as np
import pytest
import torch

from uncrumple import layers as L


def test_maxout_keeps_the_largest_of_every_group():
    x = np.random.default_rng(0).normal(size=(5, 4, 6)).astype("float32")
    expected = x.reshape(5, 4, 3, 2).max(axis=2)  # TensorFlow Addons: the pieces lie num_units apart
    np.testing.assert_array_equal(L.Maxout(2)(x), expected)
    expected = x.reshape(5, 2, 2, 6).max(axis=1)
    np.testing.assert_array_equal(L.Maxout(2, axis=1)(x), expected)
    np.testing.assert_array_equal(L.Maxout(2, axis=-2)(x), expected)
    assert L.Maxout(6)(x).shape == x.shape


def test_a_maxout_network_learns_an_absolute_value():
    from uncrumple import Input, Sequential, optimizers

    torch.manual_seed(0)
    x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    model = Sequential([Input((1,)), L.Dense(8), L.Maxout(4), L.Dense(1)])
    model.compile(optimizers.Adam(0.05), "mse")
    history = model.fit(x, np.abs(x), epochs=60, verbose=0).history["loss"]
    assert history[-1] < 0.002


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: L.Maxout(0),
            "Maxout got num_units=0.\nExpected a whole number of at least 1.\nFix: Maxout(num_units=32)",
        ),
        (
            lambda: L.Maxout(2, axis=0),
            "Maxout got axis=0.\nExpected the number of an axis; axis 0 holds the samples.\nFix: Maxout(2, axis=-1)",
        ),
        (
            lambda: L.Maxout(3, name="max")(torch.ones(2, 4)),
            "Maxout 'max' got an input of shape (2, 4).\nExpected a multiple of num_units=3 on axis -1.\n"
            "Fix: Dense(6) before it, to choose from 2 numbers per unit",
        ),
        (
            lambda: L.Maxout(3, axis=2, name="max")(L.Input((3,))),
            "Maxout 'max' got an input of shape (None, 3).\nExpected a multiple of num_units=3 on axis 2.\n"
            "Fix: an axis that the input has, and a num_units that divides its size",
        ),
        (
            lambda: L.AdaptiveMaxPooling2D((2, 0)),
            "AdaptiveMaxPooling2D got output_size=(2, 0).\nExpected a whole number of at least 1, or 2 of them.\n"
            "Fix: AdaptiveMaxPooling2D(..., output_size=(1, 1))",
        ),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message


def test_adaptive_pooling_of_whole_numbers_and_of_any_size():
    x = torch.arange(24, dtype=torch.uint8).reshape(1, 6, 4, 1)
    mean = L.AdaptiveAveragePooling2D((2, 2))(x)
    torch.testing.assert_close(mean.flatten(), torch.tensor([4.5, 6.5, 16.5, 18.5]))
    assert L.AdaptiveMaxPooling2D(2)(L.Input((None, None, 3))).shape == (None, 2, 2, 3)


def test_maxout_in_a_file_is_no_class_of_keras(tmp_path):
    from uncrumple import Input, Sequential, saving

    written = L.serialize(L.Maxout(2))
    assert (written["module"], written["class_name"]) == ("uncrumple.layers", "Maxout")
    model = Sequential([Input((4,)), L.Maxout(2)])
    model.save(tmp_path / "model.keras")
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(saving.load_model(tmp_path / "model.keras").predict(x, verbose=0), x[:, :2])


def test_layers_as_data():
    layer = L.Conv2D(3, 2, name="mine", kernel_initializer="he_normal")
    data = json.loads(json.dumps(L.serialize(layer)))
    again = L.deserialize(data)
    assert again.get_config() == layer.get_config()

    from uncrumple import optimizers  # noqa: F401  (loading enters its classes)

    class Own(L.Layer):
        def call(self, inputs):
            return inputs

    assert type(L.deserialize(L.serialize(Own()), custom_objects={"Own": Own})) is Own
    with pytest.raises(ValueError) as caught:
        L.deserialize({"class_name": "Adam", "config": {}, "module": "keras.optimizers"})
    assert str(caught.value) == (
        "layers.deserialize got a config of Adam.\n"
        "Expected the config of a layer, as layers.serialize returns it.\n"
        "Fix: uncrumple.saving.deserialize_keras_object(config) reads any object"
    )
