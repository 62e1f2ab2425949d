"""Layers that one kernel does together: the same numbers as one after the other."""

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers
from uncrumple.kernels import native
from uncrumple.models import fusion

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

X = np.random.default_rng(0).normal(size=(40, 11, 10, 2)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 40)


def network(pooling=None, rate=0.25, **convolution):
    return uc.Sequential(
        [
            uc.Input((11, 10, 2)),
            layers.Conv2D(5, 3, **{"activation": "relu", **convolution}),
            pooling or layers.MaxPooling2D(),
            layers.Dropout(rate),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def trained(fused, monkeypatch, **settings):
    with monkeypatch.context() as patch:
        if not fused:
            patch.setattr(fusion.Fused, "_fits", lambda *args: False)
        uc.utils.set_random_seed(0)
        model = network(**settings)
        model.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        history = model.fit(X, Y, batch_size=16, epochs=3, verbose=0)
        return model.predict(X, verbose=0), history.history, model.get_weights()


@pytest.mark.parametrize(
    "settings",
    [{}, {"activation": None}, {"padding": "same"}, {"strides": 2}, {"use_bias": False}, {"dilation_rate": 2}],
    ids=str,
)
def test_same_training_and_prediction(settings, monkeypatch):
    fused, plain = (trained(way, monkeypatch, **settings) for way in (True, False))
    np.testing.assert_allclose(fused[0], plain[0], rtol=1e-3, atol=1e-4)
    for name, values in fused[1].items():
        np.testing.assert_allclose(values, plain[1][name], rtol=1e-4, err_msg=name)
    for one, other in zip(fused[2], plain[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def links(model):
    return [type(link).__name__ for link in model._graph._links]


def test_what_goes_together():
    assert links(network()) == ["Fused", "Flatten", "Dense"]
    assert links(network(layers.MaxPooling2D(3, strides=2)))[0] == "Conv2D"
    assert links(network(layers.MaxPooling2D(padding="same")))[0] == "Conv2D"
    assert links(network(layers.AveragePooling2D(2)))[0] == "Conv2D"
    assert links(network(activation="gelu"))[0] == "Conv2D"
    assert links(network(activity_regularizer="l2"))[0] == "Conv2D"


def test_each_layer_is_called_where_somebody_looks():
    model = network(rate=0.0)
    plain = model(torch.from_numpy(X))
    for layer in model.layers[:3]:
        seen = []
        hook = layer.register_forward_hook(lambda layer, given, out, seen=seen: seen.append(tuple(out.shape)))
        torch.testing.assert_close(model(torch.from_numpy(X)), plain, rtol=1e-5, atol=1e-5)
        hook.remove()
        assert len(seen) == 1 and seen[0][0] == 40


def test_other_types_and_torchs_transforms():
    model = network(rate=0.0)
    x = torch.from_numpy(X)
    plain = model(x)
    torch.testing.assert_close(torch.vmap(lambda one: model(one[None])[0])(x), plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.double()(x.double()).float(), plain, rtol=1e-4, atol=1e-4)
    assert model(x[:0].double()).shape == (0, 3)
    exported = torch.export.export(network(rate=0.0), (x,))
    assert exported.module()(x).shape == (40, 3)


def test_an_image_smaller_than_a_window_is_said():
    inputs = uc.Input((None, None, 2))
    model = uc.Sequential([inputs, layers.Conv2D(5, 3), layers.MaxPooling2D(4), layers.GlobalAveragePooling2D()])
    assert model(torch.zeros(1, 6, 6, 2)).shape == (1, 5)
    with pytest.raises(ValueError, match="does not fit"):
        model(torch.zeros(1, 5, 9, 2))


def test_a_copy_has_links_to_its_own_layers():
    import copy

    model = network()
    other = copy.deepcopy(model)
    other.set_weights([weight * 0 for weight in other.get_weights()])
    assert other._graph._links[0].parts[0] is other.layers[0]
    assert not np.allclose(model.predict(X, verbose=0), other.predict(X, verbose=0))
