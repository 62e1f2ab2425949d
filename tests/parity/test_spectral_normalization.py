"""Spectral normalization against real Keras, and where Keras cannot follow."""

import keras
import numpy as np
import pytest
import torch
from exchange import exchanged

import uncrumple
from uncrumple import layers as L

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

INNER = {
    "Dense": (lambda room: room.Dense(3, activation="tanh"), (5,)),
    "Conv1D": (lambda room: room.Conv1D(3, 2, use_bias=False), (5, 2)),
    "Conv2D": (lambda room: room.Conv2D(3, 2, padding="same"), (4, 5, 2)),
    "Conv2DTranspose": (lambda room: room.Conv2DTranspose(3, 2), (4, 5, 2)),
    "DepthwiseConv2D": (lambda room: room.DepthwiseConv2D(2, depth_multiplier=2), (4, 5, 2)),
}


def pair(inner, **settings):
    make, shape = INNER[inner]
    ours = L.SpectralNormalization(make(L), **settings)
    theirs = keras.layers.SpectralNormalization(make(keras.layers), **settings)
    x = torch.tensor(np.random.default_rng(0).normal(size=(3, *shape)).astype("float32"))
    ours(x), theirs(x)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    return ours, theirs, x


@pytest.mark.parametrize("power_iterations", [1, 3])
@pytest.mark.parametrize("inner", INNER)
def test_numbers_over_several_calls(inner, power_iterations):
    ours, theirs, x = pair(inner, power_iterations=power_iterations)
    for training in (False, True, True, False):
        mine, their = ours(x, training=training), theirs(x, training=training)
        torch.testing.assert_close(mine, their, rtol=1e-5, atol=1e-6)
        my_gradients = torch.autograd.grad(mine.sum(), ours.trainable_weights)
        their_gradients = torch.autograd.grad(their.sum(), [w.value for w in theirs.trainable_weights])
        for one, other in zip(my_gradients, their_gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_largest_singular_value_becomes_one():
    layer = L.SpectralNormalization(L.Dense(4), power_iterations=30)
    layer(torch.randn(2, 6), training=True)
    layer(torch.randn(2, 6), training=True)
    assert abs(np.linalg.svd(layer.layer.get_weights()[0], compute_uv=False)[0] - 1) < 1e-3


def test_a_kernel_of_zeros_stays():
    ours, theirs, x = pair("Dense")
    for layer in (ours, theirs):
        layer.set_weights([np.zeros_like(w) if w.shape == (5, 3) else w for w in layer.get_weights()])
    torch.testing.assert_close(ours(x, training=True), theirs(x, training=True))
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_twice_before_one_backward_gives_both_gradients():
    """A discriminator sees real and made images before one update; each gradient is taken at the kernel it used."""
    layer = L.SpectralNormalization(L.Dense(1, use_bias=False))
    one, other = torch.randn(2, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    layer(one)
    first = layer(one, training=True).sum()
    kernel_then = torch.tensor(layer.layer.get_weights()[0])
    second = layer(other, training=True).sum()
    (first + second).backward()
    torch.testing.assert_close(one.grad, kernel_then.T.expand(2, 4))
    torch.testing.assert_close(layer.layer.kernel.grad, (one.detach() + other.detach()).sum(0)[:, None])


def test_embeddings_are_not_rounded_to_whole_numbers():
    """Keras 3.15.1 casts the vectors to the type of the token numbers, which leaves zeros."""
    layer = L.SpectralNormalization(L.Embedding(6, 3))
    tokens = torch.tensor([[1, 2], [3, 4]])
    out = layer(tokens, training=True)
    assert out.is_floating_point()
    torch.testing.assert_close(out[0, 0], torch.tensor(layer.layer.get_weights()[0][1]))
    assert layer(torch.tensor([[1, 2, 3]])).shape == (1, 3, 3)


def test_files_go_both_ways(tmp_path):
    def model(room):
        return room.Sequential(
            [room.Input((4,)), room.layers.SpectralNormalization(room.layers.Dense(3)), room.layers.Dense(1)]
        )

    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    mine, theirs = model(uncrumple), model(keras)
    read, _ = exchanged(mine, theirs, lambda one: one.predict(x, verbose=0), tmp_path, atol=1e-6)
    for one, other in zip(read.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_moves_one_kernel_not_two():
    model = uncrumple.Sequential([uncrumple.Input((4,)), L.SpectralNormalization(L.Dense(3)), L.Dense(1)])
    theirs = keras.Sequential(
        [keras.Input((4,)), keras.layers.SpectralNormalization(keras.layers.Dense(3)), keras.layers.Dense(1)]
    )
    model.set_weights(theirs.get_weights())
    random = np.random.default_rng(0)
    x, y = random.normal(size=(16, 4)).astype("float32"), random.normal(size=(16, 1)).astype("float32")
    histories = []
    for one, room in ((model, uncrumple), (theirs, keras)):
        one.compile(room.optimizers.SGD(0.1), "mse")
        histories.append(one.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-4)
    for one, other in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert len(list(model.parameters())) == 5


def test_messages():
    with pytest.raises(ValueError) as caught:
        L.SpectralNormalization(L.BatchNormalization(name="norm"))(torch.ones(2, 3))
    assert str(caught.value) == (
        "SpectralNormalization got BatchNormalization 'norm', which has no kernel and no embeddings.\n"
        "Expected a layer with a matrix to divide, such as Dense, Conv2D or Embedding.\n"
        "Fix: use BatchNormalization by itself, without SpectralNormalization"
    )
    with pytest.raises(ValueError) as caught:
        L.SpectralNormalization(L.Dense(3), power_iterations=0)
    assert str(caught.value) == (
        "SpectralNormalization got power_iterations=0.\nExpected a whole number of at least 1.\n"
        "Fix: SpectralNormalization(power_iterations=1)"
    )
