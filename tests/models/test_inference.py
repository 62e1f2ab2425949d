"""`predict` on arrays: what it answers straight away is what it answers layer by layer."""

import copy
import pickle

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers
from uncrumple.kernels import native
from uncrumple.models import inference

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(7, 12, 10, 1)).astype("float32")
ROWS = RANDOM.normal(size=(7, 6)).astype("float32")


def convolutional(kind="float32"):
    return uc.Sequential(
        [
            uc.Input((12, 10, 1)),
            layers.Conv2D(8, 3, activation="relu", dtype=kind),
            layers.Conv2D(6, 3, padding="same", activation="tanh", dtype=kind),
            layers.Conv2D(5, 2, activation="relu", dtype=kind),
            layers.MaxPooling2D(2, dtype=kind),
            layers.Dropout(0.5, dtype=kind),
            layers.Flatten(dtype=kind),
            layers.Dense(9, activation="relu", dtype=kind),
            layers.Activation("tanh", dtype=kind),
            layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )


def dense():
    inputs = uc.Input((6,))
    return uc.Model(inputs, layers.Dense(2, use_bias=False)(layers.Dense(4, activation="gelu")(inputs)))


def slowly(model, x):
    """The predictions by the ordinary way: a callback looks on."""
    return model.predict(x, verbose=0, callbacks=[uc.callbacks.Callback()])


@pytest.mark.parametrize("kind", ["float32", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_the_same_as_layer_by_layer(kind, rows):
    model = convolutional(kind)
    found = inference.predict_at_once(model, IMAGES[:rows], 3)
    assert found is not None and found.dtype == np.float32
    np.testing.assert_allclose(found, slowly(model, IMAGES[:rows]), atol=1e-6 if kind == "float32" else 4e-3)
    np.testing.assert_array_equal(model.predict(torch.from_numpy(IMAGES[:rows]), verbose=0, batch_size=3), found)


def test_a_functional_model():
    model = dense()
    np.testing.assert_allclose(inference.predict_at_once(model, ROWS, None), slowly(model, ROWS), atol=1e-6)


def test_weights_that_change_count_at_once():
    model = dense()
    model.compile("adam", "mse")
    model.predict(ROWS, verbose=0)
    model.fit(ROWS, ROWS[:, :2], verbose=0)
    np.testing.assert_allclose(model.predict(ROWS, verbose=0), slowly(model, ROWS), atol=1e-6)
    for weight in model.parameters():
        weight.data.fill_(0.5)
    np.testing.assert_allclose(model.predict(ROWS, verbose=0), slowly(model, ROWS), atol=1e-6)
    model.set_weights([np.zeros_like(one) for one in model.get_weights()])
    assert not model.predict(ROWS, verbose=0).any()
    model.layers[-1].kernel = uc.Variable(np.ones((4, 2), "float32"))
    np.testing.assert_allclose(model.predict(ROWS, verbose=0), slowly(model, ROWS), atol=1e-6)


def _hook(model):
    model.layers[-1].register_forward_hook(lambda layer, inputs, output: output + 1)


def _own_call(model):
    model.layers[-1].call = lambda inputs: inputs[:, :2] * 0


def _policy(model):
    model.layers[-1].dtype_policy = "mixed_float16"


def _lora(model):
    model.layers[-1].enable_lora(1)
    model.layers[-1].lora_kernel_b.assign(torch.ones_like(model.layers[-1].lora_kernel_b))


def _quantized(model):
    model.quantize("int8")


def _own_step(model):
    model.predict_step = lambda data: torch.zeros(len(data), 2)


@pytest.mark.parametrize("change", [_hook, _own_call, _policy, _lora, _quantized, _own_step])
def test_whoever_looks_on_or_changes_a_layer_is_heard(change):
    model = dense()
    before = model.predict(ROWS, verbose=0)
    change(model)
    after = model.predict(ROWS, verbose=0)
    assert np.abs(after - before).max() > 1e-5
    np.testing.assert_array_equal(after, slowly(model, ROWS))


def test_a_class_of_ones_own():
    class Shifted(uc.Sequential):
        def predict_step(self, data):
            return super().predict_step(data) + 1

    class Doubled(layers.Dense):
        def call(self, inputs):
            return super().call(inputs) * 2

    class Forwards(uc.Sequential):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs) + 1

    for kind in (Shifted, Forwards):
        assert inference.predict_at_once(kind([uc.Input((6,)), layers.Dense(2)]), ROWS, None) is None
    model = uc.Sequential([uc.Input((6,)), Doubled(2)])
    assert inference.predict_at_once(model, ROWS, None) is None


@pytest.mark.parametrize(
    "x", [ROWS[:0], ROWS.astype("float64"), ROWS[:, :5], ROWS.tolist(), ROWS[::2], ROWS[0], [ROWS], "text", None, 3.0]
)
def test_what_else_goes_the_ordinary_way(x):
    assert inference.predict_at_once(dense(), x, None) is None
    assert inference.predict_at_once(dense(), ROWS, 0) is None


def test_errors_are_those_of_predict():
    model = dense()
    with pytest.raises(ValueError, match="6"):
        model.predict(ROWS[:, :5], verbose=0)
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        model.predict(ROWS, batch_size=0, verbose=0)


def test_copies_and_files(tmp_path):
    model = dense()
    wanted = model.predict(ROWS, verbose=0)
    again = copy.deepcopy(model)
    again.layers[-1].kernel.assign(torch.zeros_like(again.layers[-1].kernel))
    assert not again.predict(ROWS, verbose=0).any()
    np.testing.assert_array_equal(model.predict(ROWS, verbose=0), wanted)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(ROWS, verbose=0), wanted)
    model.save(tmp_path / "a.keras")
    np.testing.assert_array_equal(uc.saving.load_model(tmp_path / "a.keras").predict(ROWS, verbose=0), wanted)


def test_modes_stay():
    model = convolutional()
    model.train()
    model.predict(IMAGES, verbose=0)
    assert model.training and all(layer.training for layer in model.layers)
    assert torch.is_grad_enabled()


def test_predictions_have_memory_of_their_own():
    x = IMAGES.copy()
    model = uc.Sequential([uc.Input((12, 10, 1)), layers.Flatten()])
    for way in (lambda: model.predict(x, verbose=0), lambda: slowly(model, x)):
        found = way()
        found[:] = 0
        np.testing.assert_array_equal(x, IMAGES)
