"""What the other tests of layers do not say: in-place work, old names, types, and finding shapes."""

import warnings

import numpy as np
import pytest
import torch

from uncrumple import layers as L
from uncrumple.core import registry
from uncrumple.core.errors import UncrumpleWarning


def test_finding_shapes_in_training_mode_moves_no_averages():
    for settings in ({}, {"renorm": True}):
        layer = L.BatchNormalization(**settings)
        layer(L.Input((4,)))
        before = layer.get_weights()
        layer(L.Input((4,)), training=True)
        for one, other in zip(before, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_shared_batch_normalization_moves_twice():
    layer = L.BatchNormalization(momentum=0.5)
    x = torch.randn(100, 3) + 4
    layer(x, training=True), layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.75 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.25 + 0.75 * x.var(0, correction=0), rtol=1e-5)


def test_running_averages_get_no_gradient():
    layer = L.BatchNormalization()
    layer(torch.randn(8, 3), training=True).sum().backward()
    assert [w.name for w in layer.weights if w.grad is not None] == ["gamma", "beta"]
    assert not layer.moving_mean.requires_grad


@pytest.mark.parametrize("settings", [{"activation": "relu"}, {"activation": torch.relu}, {"activation": L.ReLU()}])
def test_an_activation_in_any_form(settings):
    layer = L.Conv2D(3, 2, **settings)
    x = torch.randn(2, 4, 4, 1, requires_grad=True)
    out = layer(x)
    assert out.min() == 0 and out.max() > 0
    out.sum().backward()
    assert layer.kernel.grad is not None


def test_images_of_bytes_and_arrays_are_taken():
    image = np.random.default_rng(0).integers(0, 255, size=(2, 6, 6, 3), dtype="uint8")
    for layer in (L.Conv2D(2, 3), L.DepthwiseConv2D(3), L.SeparableConv2D(2, 3), L.Conv2DTranspose(2, 3)):
        torch.testing.assert_close(layer(image), layer(torch.tensor(image).float()))
    for layer in (L.AveragePooling2D(2), L.GlobalAveragePooling2D(), L.UpSampling2D(interpolation="bilinear")):
        torch.testing.assert_close(layer(image), layer(torch.tensor(image).float()))
    assert L.MaxPooling2D()(torch.tensor(image)).dtype is torch.uint8


def test_unknown_sizes_stay_unknown():
    x = L.Input((None, None, 3))
    y = L.MaxPooling2D()(L.Conv2D(8, 3, padding="same")(x))
    assert y.shape == (None, None, None, 8)
    assert L.GlobalAveragePooling2D()(y).shape == (None, 8)
    assert L.Flatten()(L.Input((None, 4))).shape == (None, None)
    assert L.Concatenate(axis=1)([L.Input((None, 4)), L.Input((5, 4))]).shape == (None, None, 4)
    assert L.LayerNormalization()(L.Input((None, 4))).shape == (None, None, 4)


def test_a_trailing_normalization_takes_any_number_of_axes_before():
    for layer in (L.LayerNormalization(), L.RMSNormalization()):
        layer(torch.randn(2, 5, 4))
        assert layer(torch.randn(2, 4)).shape == (2, 4)


def test_old_names():
    with pytest.warns(UncrumpleWarning, match="LeakyReLU got alpha=0.2, the argument's old name"):
        layer = L.LeakyReLU(alpha=0.2)
    assert layer.negative_slope == 0.2
    with pytest.warns(UncrumpleWarning, match="rms_scaling"):
        L.LayerNormalization(rms_scaling=True)
    assert L.MaxPool2D is L.MaxPooling2D and L.Convolution2D is L.Conv2D


def test_rms_scaling_divides_by_the_standard_deviation():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = L.LayerNormalization(rms_scaling=True, epsilon=0.0)
    x = torch.tensor([[1.0, 3.0]])
    torch.testing.assert_close(layer(x), x)  # the standard deviation is 1
    assert [w.name for w in layer.weights] == ["gamma"]


def test_names_of_public_things():
    for name in L.__all__:
        assert hasattr(L, name), name
    assert len(set(L.__all__)) == len(L.__all__)


def test_functions_for_merging_are_their_layers():
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 5.0]])
    expected = {"add": [4, 7], "subtract": [-2, -3], "multiply": [3, 10], "average": [2, 3.5]}
    expected |= {"maximum": [3, 5], "minimum": [1, 2], "concatenate": [1, 2, 3, 5], "dot": [13]}
    for name, values in expected.items():
        assert getattr(L, name)([x, y]).flatten().tolist() == values
        assert getattr(L, name)([L.Input((2,)), L.Input((2,))]).shape == (None, len(values))


def test_merging_layers_and_operators_do_not_get_into_each_others_way():
    summed = L.Input((2,)) + 1
    assert registry.serialize_keras_object(summed.keras_history[0])["module"] == "keras.src.ops.numpy"
    assert registry.serialize_keras_object(L.Add())["module"] == "keras.layers"


def test_lambda_hands_over_what_its_function_asks_for():
    seen = {}

    def look(x, mask=None, training=None, factor=1):
        seen.update(mask=mask, training=training)
        return x * factor

    layer = L.Lambda(look, arguments={"factor": 3}, mask=lambda inputs, mask: mask)
    x = torch.ones(2, 4, 3)
    x._keras_mask = torch.ones(2, 4).bool()
    out = layer(x, training=True)
    assert seen["training"] is True and torch.equal(seen["mask"], x._keras_mask)
    assert torch.equal(out._keras_mask, x._keras_mask) and (out == 3).all()


def test_a_lambda_cannot_be_written():
    with pytest.raises(ValueError, match="A lambda cannot be saved"):
        registry.serialize_keras_object(L.Lambda(lambda x: x))


def test_regularizers_and_constraints_reach_every_weight():
    settings = {"bias_regularizer": "l1", "bias_constraint": "non_neg"}
    cases = [
        (L.Conv2D(2, 2, kernel_regularizer="l2", kernel_constraint="max_norm", **settings), 2),
        (L.Conv2DTranspose(2, 2, kernel_regularizer="l2", kernel_constraint="max_norm", **settings), 2),
        (L.DepthwiseConv2D(2, depthwise_regularizer="l2", depthwise_constraint="max_norm", **settings), 2),
        (
            L.SeparableConv2D(
                2,
                2,
                depthwise_regularizer="l2",
                pointwise_regularizer="l2",
                depthwise_constraint="max_norm",
                pointwise_constraint="max_norm",
                **settings,
            ),
            3,
        ),
    ]
    scaled = {"gamma_regularizer": "l2", "beta_regularizer": "l1"}
    scaled |= {"gamma_constraint": "non_neg", "beta_constraint": "non_neg"}
    cases += [(L.BatchNormalization(**scaled), 2), (L.LayerNormalization(**scaled), 2)]
    cases += [(L.GroupNormalization(1, **scaled), 2), (L.PReLU(alpha_regularizer="l2", alpha_constraint="non_neg"), 1)]
    for layer, count in cases:
        layer(torch.ones(1, 3, 3, 2))
        assert len(layer.losses) == count, layer
        assert all(w.regularizer is not None and w.constraint is not None for w in layer.trainable_weights), layer


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("training", [False, True])
def test_batch_normalization_with_weights_in_half_precision(kind, training):
    layer = L.BatchNormalization(dtype=kind)
    x = torch.randn(64, 3) * 2 + 1
    out = layer(x, training=training)
    assert out.dtype is getattr(torch, kind)
    exact = L.BatchNormalization()
    torch.testing.assert_close(out.float(), exact(x, training=training), rtol=0.05, atol=0.05)


def test_gradients_through_batch_normalization_by_functional_call():
    layer = L.BatchNormalization()
    x = torch.randn(5, 3)
    layer(x)
    named = dict(layer.named_parameters())
    found = torch.func.grad(lambda some: torch.func.functional_call(layer, some, (x,)).square().sum())(named)
    assert found["gamma"].abs().sum() > 0
    assert found["moving_mean"].abs().sum() == 0


@pytest.mark.parametrize("shape", [(5, 3, 3), (2, 3, 2, 3)])
def test_group_normalization_of_images_that_need_no_gradient(shape):
    """As the first layer, or behind frozen ones: torch reads memory that is not there if channels come last."""
    layer = L.GroupNormalization(groups=3)
    x = torch.randn(8, *shape)
    weights = torch.randn(8, *shape)
    for _ in range(20):
        (layer(x) * weights).sum().backward()
        layer.zero_grad()
    (layer(x) * weights).sum().backward()
    centred = x - x.mean(tuple(range(1, x.dim() - 1)), keepdim=True)
    normal = centred / (centred.square().mean(tuple(range(1, x.dim() - 1)), keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(layer.gamma.grad, (normal * weights).flatten(0, -2).sum(0), rtol=1e-4, atol=1e-4)
