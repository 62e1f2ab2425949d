"""A torch module as a layer: trained in place, named in state dicts, and saved without code."""

import copy
import io
import json
import zipfile

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple import layers as L

random = np.random.default_rng(0)
X = random.normal(size=(24, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


class Gate(torch.nn.Module):
    """A module with a parameter, a buffer and batch normalization."""

    def __init__(self, width=4):
        super().__init__()
        self.linear = torch.nn.Linear(4, width)
        self.norm = torch.nn.BatchNorm1d(width)
        self.factor = torch.nn.Parameter(torch.ones(width))
        self.register_buffer("shift", torch.zeros(width))

    def forward(self, x):
        return self.norm(self.linear(x)) * self.factor + self.shift


def model_with(module, name="gate"):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Dense(1, name="end")(keras.from_torch(module, name=name)(inputs)))
    model.compile("adam", "mse")
    return model


def test_weights_are_the_modules_own():
    module = Gate()
    layer = keras.from_torch(module)
    assert isinstance(layer, L.TorchModuleWrapper)
    assert [id(weight) for weight in layer.trainable_weights] == [id(one) for one in module.parameters()]
    assert keras.from_torch(Gate(), trainable=False).trainable_weights == []


def test_training_moves_the_module_itself():
    module = Gate()
    before = copy.deepcopy(module.state_dict())
    model_with(module).fit(X, Y, epochs=2, verbose=0)
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == set(before) - {"shift"}
    assert not module.training


def test_names_in_the_state_dict():
    assert list(model_with(Gate()).state_dict()) == [
        *("gate.module.factor", "gate.module.shift", "gate.module.linear.weight", "gate.module.linear.bias"),
        *("gate.module.norm.weight", "gate.module.norm.bias", "gate.module.norm.running_mean"),
        *("gate.module.norm.running_var", "gate.module.norm.num_batches_tracked", "end.kernel", "end.bias"),
    ]


@pytest.mark.parametrize("given", [lambda: {"gate": Gate()}, lambda: {"gate": Gate}, lambda: {"Gate": lambda: Gate()}])
def test_through_a_keras_file(tmp_path, given):
    model = model_with(Gate())
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", custom_objects=given())
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert int(again.get_layer("gate").module.norm.num_batches_tracked) == 2
    first = model.fit(X, Y, shuffle=False, verbose=0).history["loss"]
    assert again.fit(X, Y, shuffle=False, verbose=0).history["loss"] == first


def test_the_file_holds_no_code(tmp_path):
    model_with(Gate()).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    found = next(one for one in config["config"]["layers"] if one["class_name"] == "TorchModuleWrapper")
    assert found["config"]["module"] == {"torch_module": "Gate"}


def test_loading_asks_for_the_module(tmp_path):
    model_with(Gate()).save(tmp_path / "model.keras")
    with pytest.raises(ValueError) as caught:
        keras.models.load_model(tmp_path / "model.keras")
    assert str(caught.value).endswith(
        "TorchModuleWrapper 'gate' holds a torch module of the class Gate: "
        "the file has no code for it, and custom_objects has nothing for it.\n"
        "Expected a module like the one that was saved, or a function that makes one; its weights are in the file.\n"
        "Fix: load_model(path, custom_objects={'gate': make_gate})"
    )
    with pytest.raises(ValueError, match="custom_objects has 3 for it"):
        keras.models.load_model(tmp_path / "model.keras", custom_objects={"gate": lambda: 3})


def test_another_module_than_was_saved(tmp_path):
    model_with(Gate()).save(tmp_path / "model.keras")
    with pytest.raises(ValueError):
        keras.models.load_model(tmp_path / "model.keras", custom_objects={"gate": torch.nn.Linear(4, 4)})


def test_through_weights_files(tmp_path):
    model, other = model_with(Gate()), model_with(Gate())
    model.save_weights(tmp_path / "all.weights.h5")
    other.load_weights(tmp_path / "all.weights.h5")
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    third = model_with(Gate())
    file.seek(0)
    third.load_state_dict(torch.load(file, weights_only=True))
    np.testing.assert_array_equal(third.predict(X, verbose=0), model.predict(X, verbose=0))


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.body = keras.from_torch(Gate(), name="body")
        self.end = L.Dense(1)

    def call(self, inputs):
        return self.end(self.body(inputs))


def test_copies():
    model = model_with(Gate())
    cloned = keras.models.clone_model(model)
    assert cloned.get_layer("gate").module is not model.get_layer("gate").module
    own = Own()
    own(X)
    again = keras.models.clone_model(own)
    assert again(X).shape == (24, 1) and again.body.module is not own.body.module


def test_modules_that_wait_for_data():
    layer = keras.from_torch(torch.nn.Sequential(torch.nn.LazyLinear(3), torch.nn.LazyBatchNorm1d()), input_shape=(7,))
    assert layer(keras.Input((7,))).shape == (None, 3) and not layer.module[1].num_batches_tracked
    with pytest.raises(ValueError, match="whose parameters are not made yet"):
        keras.from_torch(torch.nn.LazyLinear(3))
    with pytest.raises(ValueError, match=r"Expected a torch\.nn\.Module"):
        keras.from_torch("resnet", input_shape=(3,))


def test_shapes_are_found_and_compared():
    inputs = keras.Input((3, 16, 16))
    convolution = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2), torch.nn.Flatten())
    assert keras.from_torch(convolution)(inputs).shape == (None, 8 * 7 * 7)
    with pytest.raises(ValueError, match="from output_shape"):
        keras.from_torch(convolution, output_shape=(None, 5))(inputs)
