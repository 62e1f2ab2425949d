"""What every model offers, however it was made: looking and copying."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple import layers

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def _names_count_from_the_beginning():
    keras.utils.clear_session()


def functional():
    inputs = keras.Input((4,), name="numbers")
    hidden = layers.Dense(3, activation="tanh", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(1, name="answer")(hidden * 2.0 + 1.0), name="regressor")


def stacked():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="hidden"), layers.Dense(1, name="answer")])


class Written(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(units, activation="tanh", activity_regularizer="l2")
        self.rest = [layers.Dense(3), layers.Dropout(0.2), layers.Dense(1)]

    def call(self, inputs, training=None):
        x = self.hidden(inputs)
        for layer in self.rest:
            x = layer(x)
        return x


KINDS = {"functional": functional, "sequential": stacked, "subclass": Written}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def compiled(model, **settings):
    model.compile(**{"optimizer": keras.optimizers.Adam(0.01), "loss": "mse", "metrics": ["mae"], **settings})
    return model


def message(raised):
    return str(raised.value)


def explained(raised, *words):
    """Return whether an error has three lines, the last of which says what to type, and names all this."""
    lines = str(raised.value).split("\n")
    return len(lines) == 3 and lines[2].startswith("Fix: ") and all(word in str(raised.value) for word in words)


# --- looking ----------------------------------------------------------------------------


@every_kind
def test_a_model_is_a_module_and_a_layer(make):
    model = make()
    model(X)
    assert isinstance(model, torch.nn.Module) and isinstance(model, keras.Layer)
    assert all(isinstance(layer, torch.nn.Module) for layer in model.layers)
    assert len(list(model.parameters())) == len(model.weights) == len(model.trainable_weights)
    assert all(isinstance(weight, torch.nn.Parameter) for weight in model.weights)


def test_names_of_weights_in_a_state_dict():
    assert list(functional().state_dict()) == ["hidden.kernel", "hidden.bias", "answer.kernel", "answer.bias"]
    assert list(stacked().state_dict()) == ["hidden.kernel", "hidden.bias", "answer.kernel", "answer.bias"]
    model = Written()
    model(X)
    names = ["hidden.kernel", "hidden.bias", "rest_0.kernel", "rest_0.bias", "rest_2.kernel", "rest_2.bias"]
    assert list(model.state_dict()) == names


def test_dots_in_names_do_not_break_a_state_dict():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="block.one"), layers.Dense(2, name="training")])
    assert next(iter(model.state_dict())) == "block_one.kernel"
    inputs = keras.Input((4,))
    again = keras.Model(inputs, layers.Dense(2, name="call")(layers.Dense(2, name="a.b")(inputs)))
    again.load_state_dict(again.state_dict())
    assert again(X).shape == (20, 2)


def test_inputs_outputs_and_shapes():
    model = functional()
    assert model.input_shape == (None, 4) and model.output_shape == (None, 1)
    assert [tensor.name for tensor in model.inputs] == ["numbers"] and model.input_names == ["numbers"]
    assert model.output_names == ["answer"]
    assert model.output is model.outputs[0] and model.input is model.inputs[0]
    assert model.name == "regressor" and model.built
    assert repr(model) == "<Functional name=regressor, built=True>"


def test_a_layer_by_name_or_place():
    model = functional()
    assert model.get_layer("hidden") is model.get_layer(index=1) is model.layers[1]
    assert model.get_layer(index=-1).name == "answer"
    assert [layer.name for layer in model.layers] == ["numbers", "hidden", "answer"]
    assert model.get_layer("multiply") not in model.layers
    with pytest.raises(ValueError) as raised:
        model.get_layer("hiden")
    assert explained(raised, "'hiden'", "did you mean 'hidden'?")
    with pytest.raises(ValueError) as raised:
        model.get_layer(index=7)
    assert explained(raised, "index=7")
    for given in ({}, {"name": "hidden", "index": 0}):
        with pytest.raises(ValueError, match="get_layer got both a name and an index, or neither"):
            model.get_layer(**given)


def test_counting_weights():
    assert functional().count_params() == 4 * 3 + 3 + 3 + 1
    with pytest.raises(ValueError) as raised:
        Written(name="fresh").count_params()
    assert explained(raised, "'fresh'")


@every_kind
def test_weights_go_out_and_in(make):
    model, other = make(), make()
    model(X), other(X)
    other.set_weights(model.get_weights())
    torch.testing.assert_close(model(X), other(X))
    with pytest.raises(ValueError, match="Expected one array per weight"):
        model.set_weights(model.get_weights()[1:])
    wrong = [np.zeros((7, 7)), *model.get_weights()[1:]]
    before = model.get_weights()
    with pytest.raises(ValueError, match="Expected arrays of the same shapes"):
        model.set_weights(wrong)
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))


def test_arrays_of_any_kind_can_be_called_on():
    model = functional()
    expected = model(torch.from_numpy(X))
    for given in (X, X.astype("float64"), X.copy(order="F"), X.tolist()):
        out = model(torch.tensor(given) if isinstance(given, list) else given)
        assert isinstance(out, torch.Tensor) and out.dtype is torch.float32
        torch.testing.assert_close(out, expected)


def test_calling_trains_nothing_and_infers():
    model = Written()
    assert not model.training
    torch.testing.assert_close(model(X), model(X))
    assert not torch.equal(model(X, training=True), model(X, training=True))
    assert not model.training and not model.rest[1].training
    model.train()
    assert model.rest[1].training and not torch.equal(model(X), model(X))
    model.eval()
    assert not model.rest[1].training


def test_a_wrong_shape_is_answered_with_what_to_type():
    model = functional()
    with pytest.raises(ValueError) as raised:
        model(np.zeros((5, 3), "float32"))
    first, second, third = message(raised).split("\n")
    assert first == "Model 'regressor' got an array of shape (5, 3) for its input 'numbers'."
    assert second.startswith("Expected (None, 4)") and third.startswith("Fix: ") and "Input((3,))" in third
    with pytest.raises(ValueError, match=r"Fix: .*x\[None"):
        model(np.zeros(4, "float32"))
    with pytest.raises(ValueError, match=r"Fix: .*x.reshape"):
        model(np.zeros((5, 2, 2), "float32"))


# --- copying ----------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save"])
def test_a_copy_of_a_compiled_model_goes_on_where_the_model_was(make, way):
    model = compiled(make())
    model.fit(X, Y, epochs=2, verbose=0)
    if way == "deepcopy":
        twin = copy.deepcopy(model)
    elif way == "pickle":
        twin = pickle.loads(pickle.dumps(model))
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    assert twin is not model and type(twin) is type(model)
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert not {id(weight) for weight in twin.weights} & {id(weight) for weight in model.weights}
    state = torch.get_rng_state()
    first = model.fit(X, Y, epochs=2, verbose=0).history
    torch.set_rng_state(state)
    assert twin.fit(X, Y, epochs=2, verbose=0).history == first
    for weight, other in zip(model.weights, twin.weights):
        assert torch.equal(weight, other)
    model.fit(X, Y, verbose=0)
    assert not torch.equal(model.weights[0], twin.weights[0])


def test_a_copy_has_a_graph_of_its_own():
    model = functional()
    twin = copy.deepcopy(model)
    assert twin.get_layer("hidden") is not model.get_layer("hidden")
    assert twin.input is not model.input
    cut = keras.Model(twin.input, twin.get_layer("hidden").output)
    assert cut.layers[1] is twin.get_layer("hidden")
    assert twin.get_config() == model.get_config()
    model.get_layer("hidden").kernel.assign(np.zeros((4, 3)))
    assert not torch.equal(model(X), twin(X))


def test_a_copied_stack_can_grow_and_shrink():
    model = stacked()
    twin = copy.deepcopy(model)
    twin.add(layers.Dense(7))
    assert twin.output_shape == (None, 7) and model.output_shape == (None, 1)
    assert twin.pop().units == 7
    twin.pop()
    assert twin(X).shape == (20, 3) and model(X).shape == (20, 1)


def test_a_copy_takes_its_masks_along():
    model = keras.Sequential([keras.Input((5, 2)), layers.Masking(), layers.Dense(2)])
    twin = copy.deepcopy(model)
    x = np.array([[[1, 1], [0, 0]]], "float32").repeat(2, 0)
    grown = keras.Sequential([keras.Input((2, 2)), layers.Masking()])
    grown = copy.deepcopy(grown)
    grown.add(layers.Dense(3))
    assert grown(x)._keras_mask.tolist() == [[True, False]] * 2
    assert twin(np.pad(x, ((0, 0), (0, 3), (0, 0))))._keras_mask.tolist() == [[True] + [False] * 4] * 2


def test_a_copied_layer_leaves_the_model_behind():
    model = functional()
    twin = copy.deepcopy(model.get_layer("answer"))
    assert twin.kernel is not model.get_layer("answer").kernel
    with pytest.raises(AttributeError, match="was called 0 times on symbolic tensors"):
        _ = twin.output


def test_lists_of_a_copied_layer_still_take_in_layers():
    model = Written()
    model(X)
    twin = copy.deepcopy(model)
    twin.rest.append(layers.Dense(2))
    assert twin(X).shape == (20, 2)
    assert len(twin.weights) == len(model.weights) + 2


def test_copying_right_after_a_call_with_penalties():
    model = Written()
    model(torch.from_numpy(X))
    assert len(model.losses) == 1 and model.losses[0].requires_grad
    assert copy.deepcopy(model).losses == []
    pickle.dumps(model)


def test_models_with_operations_can_be_pickled():
    inputs = keras.Input((4, 3))
    outputs = torch.cumsum(torch.relu(inputs[:, 1:] - 1.0), dim=1).transpose(1, 2) / 2.0
    model = keras.Model(inputs, -outputs)
    twin = pickle.loads(pickle.dumps(model))
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(twin(x), model(x))
    torch.testing.assert_close(model(x), -torch.cumsum(torch.relu(x[:, 1:] - 1), 1).transpose(1, 2) / 2)


# --- metrics, config --------------------------------------------------------------------


def test_metrics_held_by_the_model_and_its_layers():
    class Watching(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.held = keras.metrics.Mean(name="held")
            self.listed = [keras.metrics.Mean(name="listed")]

        def call(self, inputs):
            return self.dense(inputs)

    model = Watching()
    assert model.metrics_names == ["held", "listed"]
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    assert model.metrics_names == ["loss", "compile_metrics", "held", "listed"]
    assert sorted(model.get_metrics_result()) == ["held", "listed", "loss", "mae"]


def test_the_config_of_a_model_as_json():
    import json

    config = json.loads(functional().to_json())
    assert config["class_name"] == "Functional"
    assert [layer["name"] for layer in config["config"]["layers"]] == ["numbers", "hidden", "multiply", "add", "answer"]
