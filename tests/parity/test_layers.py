"""Every layer gives the numbers of real Keras: forward, gradients, weights, masks and configs."""

from __future__ import annotations

import inspect
import io
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import torch

from uncrumple import layers as L
from uncrumple.core import registry

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
GOLDEN = Path(__file__).resolve().parents[1] / "golden"

# (class, arguments, shape of one sample, for each input)
LAYERS = [
    ("Activation", {"activation": "softplus"}, (4,)),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (4,)),
    ("AdaptiveAveragePooling1D", {"output_size": 3}, (7, 2)),
    ("AdaptiveAveragePooling1D", {"output_size": 5}, (3, 2)),
    ("AdaptiveAveragePooling2D", {"output_size": (3, 2)}, (7, 5, 2)),
    ("AdaptiveAveragePooling2D", {"output_size": 2, "data_format": "channels_first"}, (2, 7, 5)),
    ("AdaptiveAveragePooling3D", {"output_size": (1, 2, 3)}, (3, 4, 5, 2)),
    ("AdaptiveMaxPooling1D", {"output_size": (3,)}, (7, 2)),
    ("AdaptiveMaxPooling1D", {"output_size": 3, "data_format": "channels_first"}, (2, 7)),
    ("AdaptiveMaxPooling2D", {"output_size": (3, 2)}, (7, 5, 2)),
    ("AdaptiveMaxPooling3D", {"output_size": 2}, (3, 4, 5, 2)),
    ("Add", {}, (4, 3), (4, 3), (1, 3)),
    ("Add", {}, (2, 4), (4,)),
    ("AdditiveAttention", {}, (3, 4), (5, 4)),
    ("AdditiveAttention", {"use_scale": False, "dropout": 0.2}, (3, 4), (5, 2), (5, 4)),
    ("Attention", {"use_scale": True}, (3, 4), (5, 4)),
    ("Attention", {"score_mode": "concat", "seed": 3}, (3, 4), (5, 2), (5, 4)),
    ("Average", {}, (4,), (4,), (4,)),
    ("AveragePooling1D", {"pool_size": 3, "strides": 2}, (8, 2)),
    ("AveragePooling1D", {"pool_size": 3, "strides": 1, "padding": "same"}, (8, 2)),
    ("AveragePooling2D", {"pool_size": (2, 3)}, (5, 7, 2)),
    ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (5, 7, 2)),
    ("AveragePooling2D", {"pool_size": 2, "data_format": "channels_first"}, (2, 5, 6)),
    ("AveragePooling3D", {"pool_size": 2, "strides": (1, 2, 1)}, (3, 4, 3, 2)),
    ("BatchNormalization", {}, (4,)),
    ("BatchNormalization", {"epsilon": 0.1, "center": False}, (3, 4, 2)),
    ("BatchNormalization", {"axis": 1, "scale": False}, (3, 4, 2)),
    ("BatchNormalization", {"axis": 2}, (3, 4, 2)),
    ("BatchNormalization", {"renorm": True}, (4,)),
    ("Concatenate", {}, (4, 3), (4, 2)),
    ("Concatenate", {"axis": 1}, (4, 3), (2, 3)),
    ("Concatenate", {"axis": -2}, (4, 3), (2, 3)),
    ("Conv1D", {"filters": 4, "kernel_size": 3}, (9, 2)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, (8, 2)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, (8, 2)),
    ("Conv1D", {"filters": 4, "kernel_size": 2, "padding": "causal", "strides": 2, "groups": 2}, (8, 2)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}, (2, 9)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}, (6, 7, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 2), "activation": "tanh", "use_bias": False}, (6, 7, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same"}, (6, 7, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 2, "padding": "same"}, (6, 7, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "SAME", "strides": 2}, (6, 7, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "strides": (1, 3)}, (6, 7, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "dilation_rate": (2, 1)}, (6, 7, 2)),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2}, (6, 7, 4)),
    ("Conv2D", {"filters": 4, "kernel_size": 1}, (3, 3, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "data_format": "channels_first"}, (2, 6, 7)),
    ("Conv3D", {"filters": 3, "kernel_size": 2, "padding": "same", "strides": 2}, (4, 5, 3, 2)),
    ("Conv3D", {"filters": 4, "kernel_size": (1, 2, 3), "groups": 2, "activation": "relu"}, (4, 5, 3, 2)),
    ("ConvLSTM1D", {"filters": 3, "kernel_size": 2, "strides": 2}, (3, 7, 2)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": (2, 3), "padding": "same", "use_bias": False}, (3, 4, 5, 2)),
    ("ConvLSTM3D", {"filters": 2, "kernel_size": 2, "return_sequences": True}, (2, 3, 2, 3, 1)),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (4, 2)),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 2, "strides": 3}, (4, 2)),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "data_format": "channels_first"}, (2, 4)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3}, (4, 3, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (4, 3, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 4, "strides": 2, "padding": "same"}, (4, 3, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 2, "strides": 3, "padding": "same"}, (4, 3, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": (3, 2), "strides": (2, 3), "activation": "relu"}, (4, 3, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1}, (4, 3, 2)),
    (
        "Conv2DTranspose",
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 0},
        (4, 3, 2),
    ),
    (
        "Conv2DTranspose",
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
        (4, 3, 2),
    ),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}, (4, 3, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "dilation_rate": (1, 2), "use_bias": False}, (4, 3, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "data_format": "channels_first"}, (2, 4, 3)),
    ("Conv3DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 3, 2, 2)),
    ("Cropping1D", {"cropping": (2, 0)}, (5, 2)),
    ("Cropping2D", {"cropping": 1}, (5, 4, 2)),
    ("Cropping2D", {"cropping": ((1, 2), (0, 1))}, (5, 4, 2)),
    ("Cropping2D", {"cropping": (2, 1), "data_format": "channels_first"}, (2, 5, 4)),
    ("Cropping3D", {}, (3, 4, 5, 2)),
    ("Dense", {"units": 3, "activation": "relu"}, (2, 4)),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, (6, 2)),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "activation": "relu"}, (6, 5, 3)),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}, (6, 5, 3)),
    ("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 2, "data_format": "channels_first"}, (3, 6, 5)),
    ("Dot", {"axes": 1}, (4,), (4,)),
    ("Dot", {"axes": -1, "normalize": True}, (3, 4), (5, 4)),
    ("Dot", {"axes": (1, 2)}, (4, 2), (3, 4)),
    ("Dot", {"axes": (2, 1)}, (3, 4), (4,)),
    ("Dot", {"axes": (1, 3)}, (4, 2, 3), (2, 5, 4)),
    ("ELU", {"alpha": 0.5}, (4,)),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c", "activation": "relu"}, (4,)),
    ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"}, (5, 4)),
    ("EinsumDense", {"equation": "abc,cde->abed", "output_shape": (None, 2, 3), "bias_axes": "d"}, (5, 4)),
    ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 3), "bias_axes": "e"}, (5, 4, 2)),
    ("EinsumDense", {"equation": "abc,bcd->abd", "output_shape": (5, 3)}, (5, 4)),
    ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 3, "bias_axes": "y"}, (5, 2, 4)),
    ("EinsumDense", {"equation": "ab...,bc->ac...", "output_shape": 3, "bias_axes": "c"}, (5, 2, 4)),
    ("Flatten", {}, (2, 3, 4)),
    ("Flatten", {"data_format": "channels_first"}, (2, 3, 4)),
    ("GlobalAveragePooling1D", {"keepdims": True}, (5, 3)),
    ("GlobalAveragePooling2D", {}, (5, 3, 2)),
    ("GlobalAveragePooling3D", {"data_format": "channels_first"}, (2, 5, 3, 2)),
    ("GlobalMaxPooling1D", {}, (5, 3)),
    ("GlobalMaxPooling2D", {"keepdims": True, "data_format": "channels_first"}, (5, 3, 2)),
    ("GlobalMaxPooling3D", {}, (2, 5, 3, 2)),
    ("GroupNormalization", {"groups": 2}, (3, 5, 4)),
    ("GroupNormalization", {"groups": -1, "center": False}, (3, 5, 4)),
    ("GroupNormalization", {"groups": 3, "axis": 1, "epsilon": 0.1, "scale": False}, (3, 5, 4)),
    ("GroupNormalization", {"groups": 5, "axis": -2}, (3, 5, 4)),
    ("Identity", {}, (4,)),
    ("LayerNormalization", {}, (3, 4)),
    ("LayerNormalization", {"axis": [-2, -1], "epsilon": 0.1}, (2, 3, 4)),
    ("LayerNormalization", {"axis": [1, 3]}, (2, 3, 4)),
    ("LayerNormalization", {"center": False}, (3, 4)),
    ("LayerNormalization", {"scale": False}, (3, 4)),
    ("LeakyReLU", {}, (4,)),
    ("LeakyReLU", {"negative_slope": 0.1}, (4,)),
    ("MaxPooling1D", {}, (7, 2)),
    ("MaxPooling1D", {"pool_size": 2, "strides": 1, "padding": "same"}, (7, 2)),
    ("MaxPooling2D", {}, (6, 7, 2)),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (6, 7, 2)),
    ("MaxPooling2D", {"pool_size": (2, 3), "strides": (1, 2), "padding": "same"}, (6, 7, 2)),
    ("MaxPooling2D", {"pool_size": 2, "strides": 3, "padding": "same"}, (6, 7, 2)),
    ("MaxPooling2D", {"pool_size": 2, "padding": "same", "data_format": "channels_first"}, (2, 5, 7)),
    ("MaxPooling3D", {"padding": "same"}, (3, 4, 5, 2)),
    ("Maximum", {}, (4,), (4,), (4,)),
    ("Minimum", {}, (4,), (4,)),
    ("Multiply", {}, (4,), (4,)),
    ("Normalization", {"mean": [1.0, 2.0], "variance": [3.0, 4.0]}, (3, 2)),
    ("Normalization", {"mean": 1.5, "variance": 2.0, "axis": None, "invert": True}, (3, 2)),
    ("Normalization", {"mean": [1.0, 2.0], "variance": [3.0, 4.0], "axis": (1, 2)}, (3, 2)),
    ("PReLU", {"shared_axes": [1, 2]}, (3, 4, 2)),
    ("PReLU", {}, (3, 4)),
    ("Permute", {"dims": (3, 1, 2)}, (2, 3, 4)),
    ("RMSNormalization", {}, (3, 4)),
    ("ReLU", {}, (4,)),
    ("ReLU", {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}, (4,)),
    ("RepeatVector", {"n": 3}, (4,)),
    ("Rescaling", {"scale": 0.5, "offset": 1.0}, (4,)),
    ("Rescaling", {"scale": [0.5, 2.0], "offset": [1.0, -1.0]}, (3, 2)),
    ("Reshape", {"target_shape": (2, -1)}, (3, 4)),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, (6, 2)),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 3, "depth_multiplier": 2, "activation": "relu"}, (6, 5, 2)),
    (
        "SeparableConv2D",
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False},
        (6, 5, 2),
    ),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "data_format": "channels_first"}, (2, 6, 5)),
    ("Softmax", {}, (4,)),
    ("Softmax", {"axis": [1, 2]}, (3, 4)),
    ("Subtract", {}, (4,), (4,)),
    ("UnitNormalization", {}, (3, 4)),
    ("UnitNormalization", {"axis": [1, 2]}, (3, 4)),
    ("UpSampling1D", {"size": 3}, (3, 2)),
    ("UpSampling2D", {"size": (2, 3)}, (3, 4, 2)),
    ("UpSampling2D", {"size": 2, "interpolation": "bilinear"}, (3, 4, 2)),
    ("UpSampling2D", {"size": (3, 2), "interpolation": "bicubic"}, (3, 4, 2)),
    ("UpSampling2D", {"data_format": "channels_first"}, (2, 3, 4)),
    ("UpSampling3D", {"size": (1, 2, 3)}, (2, 3, 4, 2)),
    ("ZeroPadding1D", {"padding": (1, 2)}, (3, 2)),
    ("ZeroPadding2D", {"padding": ((1, 2), (0, 3))}, (3, 4, 2)),
    ("ZeroPadding2D", {"padding": (2, 1), "data_format": "channels_first"}, (2, 3, 4)),
    ("ZeroPadding3D", {"padding": 2}, (2, 3, 4, 2)),
]
# Random layers: what is compared is what they do outside training.
QUIET = [
    ("AlphaDropout", {"rate": 0.3, "seed": 1}, (4,)),
    ("Dropout", {"rate": 0.3, "noise_shape": (None, 1)}, (4,)),
    ("GaussianDropout", {"rate": 0.3}, (4,)),
    ("GaussianNoise", {"stddev": 0.3}, (4,)),
    ("SpatialDropout1D", {"rate": 0.3}, (3, 4)),
    ("SpatialDropout2D", {"rate": 0.3, "data_format": "channels_first"}, (3, 4, 2)),
    ("SpatialDropout3D", {"rate": 0.3}, (2, 3, 4, 2)),
]


def _name(row):
    return "-".join([row[0], *(f"{key}={value}" for key, value in row[1].items())])


every = pytest.mark.parametrize("row", [*LAYERS, *QUIET], ids=_name)


def _values(shapes, samples=3, seed=1):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(samples, *shape)).astype("float32") for shape in shapes]


def _pair(row, samples=3):
    """Return our layer and Keras's with the same weights, and inputs."""
    name, settings, *shapes = row
    ours, theirs = getattr(L, name)(**settings), getattr(keras.layers, name)(**settings)
    inputs = [torch.tensor(value) for value in _values(shapes, samples)]
    call = inputs if len(inputs) > 1 else inputs[0]
    ours(call), theirs(call)
    generator = np.random.default_rng(2)
    weights = [generator.uniform(0.5, 1.5, size=w.shape).astype("float32") for w in theirs.get_weights()]
    theirs.set_weights(weights)
    assert [w.shape for w in ours.weights] == [w.shape for w in weights]
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    ours.set_weights(weights)
    return ours, theirs, inputs


def _run(layer, inputs, weights, **kwargs):
    """Return the output, and the gradients of a weighted sum of it for inputs and weights."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    out = layer(inputs if len(inputs) > 1 else inputs[0], **kwargs)
    mix = torch.tensor(np.random.default_rng(3).normal(size=out.shape).astype("float32"))
    gradients = torch.autograd.grad((out * mix).sum(), [*inputs, *weights])
    return out.detach(), gradients


@every
def test_forward_and_gradients(row):
    ours, theirs, inputs = _pair(row)
    mine, my_gradients = _run(ours, inputs, ours.trainable_weights)
    their, their_gradients = _run(theirs, inputs, [w.value for w in theirs.trainable_weights])
    torch.testing.assert_close(mine, their, rtol=2e-5, atol=2e-5)
    for one, other in zip(my_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@every
def test_losses(row):
    ours, theirs, inputs = _pair(row)
    ours._losses.clear()
    call = inputs if len(inputs) > 1 else inputs[0]
    ours(call), theirs(call)
    torch.testing.assert_close(sum(ours.losses, torch.zeros(())), sum(theirs.losses, torch.zeros(())))


@every
def test_signature(row):
    """Names, order and defaults of arguments; 1 stands for (1, 1) as well."""

    def arguments(cls):
        found = {}
        for name, parameter in inspect.signature(cls.__init__).parameters.items():
            default = parameter.default
            if isinstance(default, tuple) and len(set(default)) == 1:
                default = default[0]
            if parameter.kind is not parameter.VAR_KEYWORD and name != "self":
                found[name] = default
        return found

    mine, their = arguments(getattr(L, row[0])), arguments(getattr(keras.layers, row[0]))
    if row[0] == "LayerNormalization":
        assert mine.pop("rms_scaling") is False  # Keras takes it out of **kwargs
    if row[0].startswith("ZeroPadding") or row[0] == "Cropping3D":
        their = {key: 1 if value == (1, 1) else value for key, value in their.items()}
        mine = {key: 1 if value == (1, 1) else value for key, value in mine.items()}
    assert list(mine.items()) == list(their.items())


@every
def test_config_goes_both_ways(row):
    """Keras makes an equal layer of our written config, and we of Keras's."""
    ours, theirs, inputs = _pair(row)
    call = inputs if len(inputs) > 1 else inputs[0]
    expected = theirs(call)
    written = json.loads(json.dumps(registry.serialize_keras_object(ours)))
    assert written["module"] == "keras.layers"
    keras_again = keras.saving.deserialize_keras_object(written)
    keras_again(call)
    keras_again.set_weights(theirs.get_weights())
    torch.testing.assert_close(keras_again(call), expected, rtol=1e-6, atol=1e-6)
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    again = registry.deserialize_keras_object(written)
    again(call)
    again.set_weights(theirs.get_weights())
    torch.testing.assert_close(again(call), expected, rtol=2e-5, atol=2e-5)
    mine, their = ours.get_config(), json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))["config"]
    missing = set(their) - set(mine) - {"activity_regularizer", "quantization_config"}
    assert not missing, f"Keras's config also has {missing}"


@every
def test_supports_masking(row):
    ours, theirs, _ = _pair(row)
    assert ours.supports_masking == theirs.supports_masking


@every
def test_symbolic_shapes(row):
    name, settings, *shapes = row
    mine = [L.Input(shape) for shape in shapes]
    their = [keras.Input(shape) for shape in shapes]
    ours, theirs = getattr(L, name)(**settings), getattr(keras.layers, name)(**settings)
    found = ours(mine if len(mine) > 1 else mine[0])
    expected = tuple(theirs(their if len(their) > 1 else their[0]).shape)
    if name == "EinsumDense":  # Keras leaves sizes open that the input has, and turns those of `...` round
        expected = (None, *theirs(torch.zeros(2, *shapes[0])).shape[1:])
    assert found.shape == expected
    assert tuple(ours.compute_output_shape([x.shape for x in mine] if len(mine) > 1 else mine[0].shape)) == found.shape


# --- what Keras 3.15.1 on torch gets wrong: numbers worked out by hand, as TensorFlow gives them ---


def test_average_pooling_does_not_count_the_padding_that_only_one_end_has():
    x = torch.tensor([1.0, 2, 3, 4, 5]).reshape(1, 5, 1)
    out = L.AveragePooling1D(2, strides=1, padding="same")(x)
    torch.testing.assert_close(out.flatten(), torch.tensor([1.5, 2.5, 3.5, 4.5, 5.0]))
    out = L.AveragePooling1D(4, strides=3, padding="same")(x)
    torch.testing.assert_close(out.flatten(), torch.tensor([2.0, 4.0]))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pooling_same_equals_a_loop(size, stride, kind):
    for length in (5, 6, 7, 8):
        x = torch.randn(2, length, 4, 3)
        mine = {"max": L.MaxPooling2D, "average": L.AveragePooling2D}[kind]((size, 2), (stride, 1), padding="same")(x)
        outputs = -(-length // stride)
        before = max((outputs - 1) * stride + size - length, 0) // 2
        for out in range(outputs):
            rows = x[:, max(out * stride - before, 0) : out * stride - before + size]
            for column in range(4):
                window = rows[:, :, column : column + 2]
                expected = window.amax((1, 2)) if kind == "max" else window.mean((1, 2))
                torch.testing.assert_close(mine[:, out, column], expected)


def test_layer_normalization_over_an_axis_in_the_middle():
    x = torch.randn(2, 4, 4)
    layer = L.LayerNormalization(axis=1, epsilon=0.0)
    out = layer(x)
    torch.testing.assert_close(out.mean(1), torch.zeros(2, 4), atol=1e-6, rtol=0)
    torch.testing.assert_close(out.var(1, correction=0), torch.ones(2, 4))


# --- training -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (4,)),
        ({"momentum": 0.6}, (3, 5, 4)),
        ({"axis": 1, "momentum": 0.6}, (3, 5, 4)),
        ({"axis": 2, "momentum": 0.6, "center": False, "scale": False}, (3, 5, 4)),
        ({"renorm": True, "momentum": 0.7, "renorm_momentum": 0.5}, (3, 4)),
        ({"renorm": True, "renorm_clipping": {"rmin": 0.9, "rmax": 1.1, "dmax": 0.1}, "renorm_momentum": 0.5}, (4,)),
    ],
)
def test_batch_normalization_in_training(settings, shape):
    ours, theirs, _ = _pair(("BatchNormalization", settings, shape))
    for step in range(4):
        inputs = [torch.tensor(_values([shape], 6, seed=10 + step)[0] * 3 + 1)]
        mine, my_gradients = _run(ours, inputs, ours.trainable_weights, training=True)
        their, their_gradients = _run(theirs, inputs, [w.value for w in theirs.trainable_weights], training=True)
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-4)
        for one, other in zip(my_gradients, their_gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    mine, their = ours(inputs[0]), theirs(inputs[0])
    torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-4)


def test_batch_normalization_of_a_single_row():
    ours, theirs, _ = _pair(("BatchNormalization", {}, (4,)))
    x = torch.randn(1, 4)
    torch.testing.assert_close(ours(x, training=True), theirs(x, training=True), rtol=1e-5, atol=1e-5)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_batch_normalization_counts_only_what_is_not_masked():
    ours, theirs, inputs = _pair(("BatchNormalization", {"momentum": 0.5}, (5, 4)))
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]]).bool()
    for _ in range(2):
        mine, my_gradients = _run(ours, inputs, ours.trainable_weights, training=True, mask=mask)
        their, their_gradients = _run(
            theirs, inputs, [w.value for w in theirs.trainable_weights], training=True, mask=mask
        )
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-5)
        for one, other in zip(my_gradients, their_gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_frozen_batch_normalization_infers_in_training():
    ours, theirs, inputs = _pair(("BatchNormalization", {}, (4,)))
    ours.trainable = theirs.trainable = False
    before = ours.get_weights()
    torch.testing.assert_close(ours(inputs[0], training=True), theirs(inputs[0], training=True))
    for one, other in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batch_normalization_twice_before_one_backward():
    layer = L.BatchNormalization()
    one, other = torch.randn(8, 4, requires_grad=True), torch.randn(8, 4, requires_grad=True)
    (layer(one, training=True) * layer(other, training=True)).sum().backward()
    assert one.grad.abs().sum() > 0


def test_time_distributed_equals_keras_step_by_step():
    for inner in ("Dense", "BatchNormalization"):
        settings = {"units": 3} if inner == "Dense" else {"momentum": 0.5}
        ours = L.TimeDistributed(getattr(L, inner)(**settings))
        theirs = keras.layers.TimeDistributed(getattr(keras.layers, inner)(**settings))
        x = torch.randn(4, 5, 6)
        ours(x), theirs(x)
        theirs.set_weights(ours.get_weights())
        for training in (False, True, False):
            torch.testing.assert_close(ours(x, training=training), theirs(x, training=training), rtol=1e-4, atol=1e-5)
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# --- masks ------------------------------------------------------------------------


MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]]).bool()
OTHER = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]).bool()


def _masked(values, mask):
    x = torch.tensor(values)
    if mask is not None:
        x._keras_mask = mask.clone()
    return x


@pytest.mark.parametrize(
    ("name", "settings", "masks"),
    [
        ("Activation", {"activation": "relu"}, [MASK]),
        ("Dense", {"units": 2}, [MASK]),
        ("Dropout", {"rate": 0.5}, [MASK]),
        ("LayerNormalization", {}, [MASK]),
        ("GlobalAveragePooling1D", {}, [MASK]),
        ("GlobalAveragePooling1D", {"keepdims": True}, [MASK]),
        ("GlobalAveragePooling1D", {"data_format": "channels_first"}, [torch.ones(3, 3).bool()]),
        ("Add", {}, [MASK, OTHER]),
        ("Add", {}, [MASK, None]),
        ("Average", {}, [MASK, OTHER]),
        ("Subtract", {}, [MASK, OTHER]),
        ("Multiply", {}, [MASK, OTHER]),
        ("Multiply", {}, [MASK, None]),
        ("Maximum", {}, [MASK, OTHER]),
        ("Maximum", {}, [MASK, None]),
        ("Minimum", {}, [None, OTHER]),
        ("Minimum", {}, [OTHER, MASK]),
        ("Concatenate", {}, [MASK, OTHER]),
        ("Concatenate", {"axis": 1}, [MASK, OTHER]),
        ("Concatenate", {"axis": 1}, [MASK, None]),
        ("Concatenate", {}, [None, None]),
        ("Dot", {"axes": 2}, [MASK, OTHER]),
    ],
)
def test_masks(name, settings, masks):
    values = _values([(4, 3)] * len(masks))
    ours, theirs = getattr(L, name)(**settings), getattr(keras.layers, name)(**settings)
    mine = [_masked(value, mask) for value, mask in zip(values, masks)]
    their = [_masked(value, mask) for value, mask in zip(values, masks)]
    mine, their = (x if len(x) > 1 else x[0] for x in (mine, their))
    expected = theirs(their)
    ours(mine)
    ours.set_weights(theirs.get_weights())
    out = ours(mine)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    mine, their = getattr(out, "_keras_mask", None), getattr(expected, "_keras_mask", None)
    assert (mine is None) == (their is None)
    if mine is not None:
        assert torch.equal(mine, their)


def test_softmax_with_a_mask():
    x = torch.randn(3, 4)
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    for kind in (torch.bool, torch.float32):
        mine, their = L.Softmax()(x, mask=mask.to(kind)), keras.layers.Softmax()(x, mask=mask.to(kind))
        torch.testing.assert_close(mine, their)


# --- normalization by data ----------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2)])
def test_adapt(axis):
    data = np.random.default_rng(0).normal(3, 2, size=(50, 4, 3)).astype("float32")
    ours, theirs = L.Normalization(axis=axis), keras.layers.Normalization(axis=axis)
    ours.adapt(data), theirs.adapt(data)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-5)
    np.testing.assert_allclose(ours.get_weights()[1], theirs.get_weights()[1], rtol=1e-4)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights] == ["mean", "variance", "count"]
    assert [str(w.dtype) for w in ours.get_weights()] == [str(w.dtype) for w in theirs.get_weights()]
    torch.testing.assert_close(ours(torch.tensor(data)), theirs(torch.tensor(data)), rtol=1e-4, atol=1e-5)
    assert tuple(ours.mean.shape) == tuple(theirs.mean.shape)


# --- a file that TensorFlow wrote -----------------------------------------------------


def test_every_layer_of_a_convolutional_network_that_tensorflow_saved():
    archive = zipfile.ZipFile(GOLDEN / "conv_bn.keras")
    config = json.loads(archive.read("config.json"))["config"]
    weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))["layers"]
    expected = np.load(GOLDEN / "conv_bn.npz")
    groups = {"c1": "conv2d", "bn1": "batch_normalization", "sep": "separable_conv2d", "dw": "depthwise_conv2d"}
    groups |= {"ct": "conv2d_transpose", "ln": "layer_normalization", "out": "dense"}
    x, compared = torch.tensor(expected["in_0"]), 0
    for entry in config["layers"][1:]:
        layer = registry.deserialize_keras_object(entry)
        assert type(layer).__name__ == entry["class_name"]
        if layer.name in groups:
            assert layer.built
            layer.load_own_variables(weights[groups[layer.name]]["vars"])
        x = layer(x)
        if f"act_{layer.name}" in expected:
            np.testing.assert_allclose(x.detach(), expected[f"act_{layer.name}"], rtol=2e-5, atol=2e-5)
            compared += 1
    assert compared == 10
    np.testing.assert_allclose(x.detach(), expected["out_0"], rtol=2e-5, atol=2e-5)
