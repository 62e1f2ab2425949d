"""Layers that draw random numbers: what they draw, and that it repeats itself."""

import copy
import pickle

import pytest
import torch

from uncrumple import layers as L
from uncrumple.core.seeds import set_random_seed

RANDOM = {
    "Dropout": lambda **k: L.Dropout(0.5, **k),
    "AlphaDropout": lambda **k: L.AlphaDropout(0.5, **k),
    "GaussianDropout": lambda **k: L.GaussianDropout(0.5, **k),
    "GaussianNoise": lambda **k: L.GaussianNoise(0.5, **k),
    "SpatialDropout1D": lambda **k: L.SpatialDropout1D(0.5, **k),
}
each = pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)


@each
def test_only_training_changes_anything(make):
    layer, x = make(), torch.randn(4, 6, 20)
    assert layer(x) is x
    assert not torch.equal(layer(x, training=True), x)
    layer.train()
    assert not torch.equal(layer(x), x)
    assert layer(x, training=False) is x


@each
def test_the_global_seed_makes_it_repeat(make):
    layer, x = make(), torch.randn(4, 6, 20)
    set_random_seed(1)
    first, second = layer(x, training=True), layer(x, training=True)
    set_random_seed(1)
    assert torch.equal(first, layer(x, training=True))
    assert not torch.equal(first, second)


@each
def test_its_own_seed_makes_it_repeat_and_leaves_the_global_one_alone(make):
    x = torch.randn(4, 6, 20)
    layer = make(seed=7)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second = layer(x, training=True), layer(x, training=True)
    assert torch.equal(torch.get_rng_state(), state)
    other = make(seed=7)
    assert torch.equal(first, other(x, training=True))
    assert torch.equal(second, other(x, training=True))
    assert not torch.equal(first, second)
    assert not torch.equal(first, make(seed=8)(x, training=True))


@each
def test_copies_go_on_where_the_first_stands(make):
    x, layer = torch.randn(4, 6, 20), make(seed=7)
    layer(x, training=True)
    twins = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    expected = layer(x, training=True)
    for twin in twins:
        assert torch.equal(twin(x, training=True), expected)


@each
def test_finding_shapes_draws_nothing(make):
    state = torch.get_rng_state()
    make()(L.Input((6, 20)), training=True)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_in_numbers():
    out = L.Dropout(0.25)(torch.ones(1000, 400), training=True)
    assert abs((out == 0).double().mean().item() - 0.25) < 0.005
    torch.testing.assert_close(out[out != 0].mean(), torch.tensor(4 / 3))
    assert (L.Dropout(1.0)(torch.ones(3, 3), training=True) == 0).all()
    x = torch.ones(3)
    assert L.Dropout(0)(x, training=True) is x


def test_noise_shape_drops_together():
    out = L.Dropout(0.5, noise_shape=(None, 1, None))(torch.ones(30, 7, 50), training=True)
    assert (out == out[:, :1]).all()
    assert 0.4 < (out == 0).double().mean() < 0.6


@pytest.mark.parametrize(
    ("layer", "shape", "together"),
    [
        (L.SpatialDropout1D(0.5), (30, 9, 40), (1,)),
        (L.SpatialDropout2D(0.5), (30, 4, 5, 40), (1, 2)),
        (L.SpatialDropout2D(0.5, data_format="channels_first"), (30, 40, 4, 5), (2, 3)),
        (L.SpatialDropout3D(0.5), (30, 2, 3, 4, 40), (1, 2, 3)),
    ],
)
def test_spatial_dropout_drops_whole_channels(layer, shape, together):
    out = layer(torch.ones(shape), training=True)
    assert (out == out.amax(together, keepdim=True)).all()
    assert 0.45 < (out == 0).double().mean() < 0.55


def test_gaussian_layers_in_numbers():
    x = torch.full((500, 400), 3.0)
    out = L.GaussianNoise(0.5)(x, training=True)
    assert abs(out.mean() - 3) < 0.01 and abs(out.std() - 0.5) < 0.01
    out = L.GaussianDropout(0.2)(x, training=True)
    assert abs(out.mean() - 3) < 0.01 and abs(out.std() - 3 * 0.5) < 0.02


def test_alpha_dropout_keeps_mean_and_variance():
    x = torch.randn(1000, 500)
    out = L.AlphaDropout(0.3)(x, training=True)
    assert abs(out.mean()) < 0.01 and abs(out.var() - 1) < 0.02
    assert out.unique().numel() < 0.75 * x.numel()


def test_activity_regularization_counts_per_sample():
    layer = L.ActivityRegularization(l1=1.0, l2=10.0)
    layer(torch.tensor([[1.0, -2.0], [3.0, 0.0]]))
    torch.testing.assert_close(layer.losses[0], torch.tensor((6 + 140) / 2))
