"""`Sequential`: adding, removing, building when data comes, and what is refused."""

import numpy as np
import pytest
import torch

import uncrumple as keras
from raised import explained
from uncrumple import layers

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")


@pytest.fixture(autouse=True)
def _names_count_from_the_beginning():
    keras.utils.clear_session()


def test_a_list_and_add_make_the_same_model():
    listed = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2)], name="listed")
    added = keras.Sequential(name="added")
    added.add(keras.Input((4,)))
    added.add(layers.Dense(3, activation="relu"))
    added.add(layers.Dense(2))
    added.set_weights(listed.get_weights())
    torch.testing.assert_close(added(X), listed(X))
    assert [layer.name for layer in listed.layers] == ["dense", "dense_1"]
    assert listed.output_shape == (None, 2) and listed.built


def test_shapes_are_known_in_the_line_that_adds():
    model = keras.Sequential([keras.Input((4,))])
    assert not model.layers
    model.add(layers.Dense(3))
    assert model.output_shape == (None, 3) and len(model.weights) == 2
    with pytest.raises(ValueError, match="got an input of shape"):
        model.add(layers.Conv2D(4, 3))
    assert len(model.layers) == 1 and model.output_shape == (None, 3)
    model.add(layers.Dense(2))
    assert model(X).shape == (20, 2)


def test_without_an_input_weights_are_made_when_data_comes():
    model = keras.Sequential([layers.Dense(3), layers.Dense(2)])
    assert not model.built and model.weights == [] and model.inputs is None
    assert model(X).shape == (20, 2)
    assert model.built and len(model.weights) == 4 and model.input_shape == (None, 4)
    assert model(X[:1]).shape == (1, 2)
    with pytest.raises(ValueError, match=r"shape \(20, 2\) for its input"):
        model(X[:, :2])


def test_build_makes_the_weights():
    model = keras.Sequential([layers.Dense(3), layers.Dense(2)])
    model.build((None, 4))
    assert model.input_shape == (None, 4) and len(model.weights) == 4
    model.build((None, 4))
    assert len(model.weights) == 4


def test_adding_to_a_model_that_saw_data():
    model = keras.Sequential([layers.Dense(3)])
    model(X)
    kernel = model.layers[0].kernel
    model.add(layers.Dense(2))
    assert model(X).shape == (20, 2)
    assert model.layers[0].kernel is kernel


@pytest.mark.parametrize("argument", [{"input_shape": (4,)}, {"input_dim": 4}])
def test_the_first_layer_may_bring_the_shape(argument):
    model = keras.Sequential([layers.Dense(3, **argument), layers.Dense(2)])
    assert model.built and model.output_shape == (None, 2)


def test_pop():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2, name="last")])
    assert model.pop().name == "last"
    assert model.output_shape == (None, 3) and len(model.weights) == 2 and len(list(model.parameters())) == 2
    model.add(layers.Dense(5, name="last"))
    assert model(X).shape == (20, 5)
    model.pop(), model.pop()
    assert model.layers == [] and model.weights == []
    with pytest.raises(ValueError) as raised:
        model.pop()
    assert explained(raised, "'sequential'")
    model.add(layers.Dense(6))
    assert model(X).shape == (20, 6)


def test_pop_before_building():
    model = keras.Sequential([layers.Dense(3), layers.Dense(2)])
    model.pop()
    assert model(X).shape == (20, 3)


def test_pop_leaves_other_models_with_the_layer_alone():
    shared, last = layers.Dense(3), layers.Dense(2)
    model = keras.Sequential([keras.Input((4,)), shared, last])
    other_input, third = keras.Input((4,)), keras.Input((3,))
    other = keras.Model([other_input, third], [shared(other_input), last(third)])
    model.pop()
    assert model.output_shape == (None, 3) and model(X).shape == (20, 3)
    torch.testing.assert_close(model(X), other([X, X[:, :3]])[0])
    again = keras.Model(other.inputs, other.outputs)
    assert again.get_config()["layers"] == other.get_config()["layers"]
    model.add(layers.Dense(7))
    assert model(X).shape == (20, 7)


def test_pop_and_fit():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    model.pop()
    model.compile("sgd", "mse")
    assert model.fit(X, X[:, :3], verbose=0).history["loss"][0] > 0


def test_one_layer_instead_of_a_list():
    assert keras.Sequential(layers.Dense(2))(X).shape == (20, 2)


def test_torch_modules_in_the_list():
    model = keras.Sequential([keras.Input((4,)), torch.nn.Linear(4, 3), torch.nn.ReLU(), layers.Dense(2)])
    assert model.output_shape == (None, 2) and len(model.weights) == 4
    model.compile(keras.optimizers.Adam(0.05), "mse")
    losses = model.fit(X, X[:, :2], epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_models_within_a_stack():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)], name="inner")
    model = keras.Sequential([inner, layers.Dense(2)])
    assert model.built and model.output_shape == (None, 2)
    assert [layer.name for layer in model.layers] == ["inner", "dense_1"]
    assert next(iter(model.state_dict())) == "inner.dense.kernel"
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, model(inputs))
    torch.testing.assert_close(outer(X), model(X))


def test_whole_numbers_for_an_embedding():
    model = keras.Sequential([layers.Embedding(10, 3), layers.Flatten(), layers.Dense(2)])
    tokens = np.arange(12).reshape(4, 3) % 10
    assert model(tokens).shape == (4, 2)
    assert model.input_shape == (None, 3)


@pytest.mark.parametrize("kind", ["uint8", "int64", "bool", "float64", "float16"])
def test_images_in_other_types(kind):
    images = (np.random.default_rng(0).uniform(size=(6, 5, 5, 1)) * 255).astype(kind)
    model = keras.Sequential([layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    assert model.predict(images, verbose=0).dtype == np.float32
    np.testing.assert_allclose(
        model.predict(images, verbose=0), model(torch.from_numpy(images.astype("float32"))).detach(), atol=1e-5
    )


# --- what is refused ----------------------------------------------------------------------


def test_a_class_instead_of_a_layer():
    with pytest.raises(
        TypeError, match=r"Sequential 'sequential' got the class Dense.\nExpected a layer.\nFix: .*Dense\("
    ):
        keras.Sequential([layers.Dense])
    with pytest.raises(TypeError) as raised:
        keras.Sequential([layers.Dense(2), "relu"])
    assert explained(raised, "'sequential_1'", "'relu'")


def test_two_layers_of_one_name():
    with pytest.raises(ValueError) as raised:
        keras.Sequential([layers.Dense(2, name="same"), layers.Dense(3, name="same")])
    assert explained(raised, "'sequential'", "'same'")
    dense = layers.Dense(4)
    with pytest.raises(ValueError, match=r"make a new Dense, or use Model\(inputs, outputs\) to share one"):
        keras.Sequential([dense, dense])


def test_inputs_in_the_wrong_place():
    with pytest.raises(ValueError, match="has an Input already"):
        keras.Sequential([keras.Input((4,)), keras.Input((4,))])
    with pytest.raises(ValueError) as raised:
        keras.Sequential([layers.Dense(2), keras.Input((4,))])
    assert explained(raised, "'sequential_1'", "1 other layer")


def test_no_layers_and_several_inputs():
    with pytest.raises(ValueError, match=r"has no layers.\nExpected at least one"):
        keras.Sequential()(X)
    with pytest.raises(ValueError, match=r"got 2 inputs.\nExpected one tensor"):
        keras.Sequential([layers.Dense(2)])([torch.ones(2, 3), torch.ones(2, 3)])


def test_a_layer_with_several_outputs():
    class Two(keras.Layer):
        def call(self, inputs):
            return inputs, inputs

    with pytest.raises(ValueError, match=r"returns 2 outputs.\nExpected one output per layer"):
        keras.Sequential([keras.Input((4,)), Two()])


def test_arguments_that_it_does_not_have():
    with pytest.raises(ValueError, match="layer"):
        keras.Sequential(layer=[layers.Dense(2)])


def test_a_model_that_is_its_own_layer():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    with pytest.raises(ValueError) as raised:
        model.add(model)
    assert explained(raised, "'sequential'")
    with pytest.raises(ValueError, match="was added to itself"):
        model.add(keras.Sequential([model]))
    assert len(model.layers) == 1


def test_config_and_back():
    model = keras.Sequential([keras.Input((4,), name="in"), layers.Dense(3, name="a"), layers.Dense(2)], name="stack")
    again = keras.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    torch.testing.assert_close(again(X), model(X))
    assert again.name == "stack" and [layer.name for layer in again.layers] == ["a", "dense"]
    late = keras.Sequential([layers.Dense(3)])
    assert not keras.Sequential.from_config(late.get_config()).built
    late(X)
    assert keras.Sequential.from_config(late.get_config()).input_shape == (None, 4)


def test_freezing_all():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)], trainable=False)
    assert model.trainable_weights == [] and len(model.non_trainable_weights) == 4
    model.trainable = True
    assert len(model.trainable_weights) == 4
    model.trainable = False
    model.add(layers.Dense(2))
    assert not model.layers[-1].trainable
    model.layers[-1].trainable = True
    assert model.trainable_weights == [] and len(keras.Sequential([model]).trainable_weights) == 2


def test_a_model_without_weights():
    model = keras.Sequential([keras.Input((4,)), layers.Rescaling(2.0), layers.Flatten()])
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * X, rtol=1e-6)
    model.compile("sgd", "mse")
    assert model.evaluate(X, 2 * X, verbose=0) == 0.0
    with pytest.warns(keras.UncrumpleWarning, match="has no weights to train"):
        assert model.fit(X, X, verbose=0).history["loss"][0] > 0


# --- sizes other than those of the first call: in Keras a model that was given no shape takes what its layers take ----


def test_a_model_built_by_a_call_takes_other_sizes():
    model = keras.Sequential([layers.Dense(4), layers.Conv1D(2, 3, padding="same")])
    assert model(np.ones((2, 5, 3))).shape == (2, 5, 2) and model.input_shape == (None, 5, 3)
    weights = model.get_weights()
    assert model(np.ones((3, 7, 3))).shape == (3, 7, 2) and model.input_shape == (None, None, 3)
    assert model.predict(np.ones((3, 9, 3)), verbose=0).shape == (3, 9, 2)
    assert all((a == b).all() for a, b in zip(weights, model.get_weights()))
    assert model.output_shape == (None, None, 2) and model.layers[1].output.shape == (None, None, 2)
    assert [layer.name for layer in keras.Sequential.from_config(model.get_config()).layers] == [
        layer.name for layer in model.layers
    ]


def test_a_model_built_for_a_shape_keeps_it():
    model = keras.Sequential([layers.Input((5, 3)), layers.Dense(4)])
    with pytest.raises(ValueError, match="axis 1 from 7 to 5"):
        model(np.ones((2, 7, 3)))


def test_sizes_that_the_layers_do_not_take_are_refused_as_before():
    model = keras.Sequential([layers.Flatten(), layers.Dense(4)])
    model(np.ones((2, 5, 3)))
    for wrong in ((2, 7, 3), (2, 5, 4)):
        with pytest.raises(ValueError, match="Expected \\(None, 5, 3\\)"):
            model(np.ones(wrong))
    assert model(np.ones((2, 5, 3))).shape == (2, 4) and model.input_shape == (None, 5, 3)
    assert model.layers[0].output.shape == (None, 15)


@pytest.mark.parametrize("length", [None, 5])
def test_within_a_layer_that_knows_no_length(length):
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(4)])

        def call(self, inputs):
            return self.inner(inputs) + inputs

    inputs = layers.Input((length, 4))
    model = keras.Model(inputs, Block()(inputs))
    model.compile("sgd", "mse")
    x = np.ones((6, 5, 4), "float32")
    assert sorted(model.fit(x, x, validation_split=0.5, verbose=0).history) == ["loss", "val_loss"]
    assert model.count_params() == 4 * 8 + 8 + 8 * 4 + 4
    if length is None:
        assert model(np.ones((1, 9, 4))).shape == (1, 9, 4)


def test_from_config_knows_custom_objects():
    class Doubled(layers.Layer):
        def call(self, inputs):
            return inputs * 2

    model = keras.Sequential([keras.Input((3,)), Doubled(name="twice")])
    config = keras.saving.serialize_keras_object(model)["config"]
    with pytest.raises((TypeError, ValueError), match="Doubled"):
        keras.Sequential.from_config(config)
    again = keras.Sequential.from_config(config, custom_objects={"Doubled": Doubled})
    assert again(np.ones((1, 3), "float32")).tolist() == [[2.0, 2.0, 2.0]]

    wrapped = keras.saving.serialize_keras_object(layers.TimeDistributed(Doubled()))["config"]
    with pytest.raises((TypeError, ValueError), match="Doubled"):
        layers.TimeDistributed.from_config(wrapped)
    assert isinstance(layers.TimeDistributed.from_config(wrapped, {"Doubled": Doubled}).layer, Doubled)
