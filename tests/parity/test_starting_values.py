"""What weights begin with, and what holds them: initializers, regularizers and constraints beside Keras, in many shapes."""

import itertools

import keras
import numpy as np
import pytest
import torch

import uncrumple
from uncrumple import constraints, initializers, regularizers
from uncrumple.core import registry

SHAPES = [(40,), (30, 20), (5, 4, 6), (3, 3, 8, 16), (2, 2, 2, 4, 8)]
DRAWN = {
    "GlorotNormal": {},
    "GlorotUniform": {},
    "HeNormal": {},
    "HeUniform": {},
    "LecunNormal": {},
    "LecunUniform": {},
    "RandomNormal": {"mean": 0.5, "stddev": 0.2},
    "RandomUniform": {"minval": -0.3, "maxval": 0.1},
    "TruncatedNormal": {"mean": -0.5, "stddev": 0.2},
    "VarianceScaling": {"scale": 0.7, "mode": "fan_avg", "distribution": "uniform"},
}
FIXED = {
    "Constant": [({"value": 2.5}, (2, 3)), ({"value": -1}, (4,)), ({}, (2, 1, 3))],
    "Identity": [({}, (3, 3)), ({"gain": 2.0}, (3, 5)), ({"gain": 0.5}, (4, 2))],
    "Ones": [({}, ()), ({}, (2, 3, 4))],
    "STFT": [({}, (8, 1, 5)), ({"side": "imag", "periodic": True}, (8, 1, 5))],
    "Zeros": [({}, ()), ({}, (2, 3, 4))],
}


def test_every_initializer_is_here():
    known = {name for name, thing in registry.builtins("initializers").items() if isinstance(thing, type)}
    assert known == DRAWN.keys() | FIXED.keys() | {"Orthogonal"}


def draws(room, name, settings, shape):
    """Return at least 4000 values, drawn with as many seeds as that takes."""
    count = max(1, -(-4000 // int(np.prod(shape))))
    made = [getattr(room, name)(**settings, seed=seed)(shape).numpy().ravel() for seed in range(count)]
    return np.concatenate(made).astype("float64")


def distance(one, other):
    """Return the greatest difference between two distribution functions (Kolmogorov and Smirnov)."""
    points = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(values), points, side="right") / len(values) for values in (one, other)]
    return np.abs(shares[0] - shares[1]).max()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", DRAWN)
def test_same_distribution_and_variance(name, shape):
    ours, theirs = draws(initializers, name, DRAWN[name], shape), draws(keras.initializers, name, DRAWN[name], shape)
    # Two samples of one distribution are farther apart than this once in a thousand times; the seeds are fixed.
    assert distance(ours, theirs) < 1.95 * np.sqrt(2 / len(ours))
    spread = theirs.std()
    assert abs(ours.mean() - theirs.mean()) < 0.08 * spread
    assert ours.std() == pytest.approx(spread, rel=0.05)
    if name.endswith("Uniform"):  # bounds, not tails
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.02)
    if "Normal" in name and name != "RandomNormal":  # cut off at two deviations
        assert np.abs(ours - ours.mean()).max() < 1.05 * np.abs(theirs - theirs.mean()).max()


@pytest.mark.parametrize(
    ("mode", "distribution"),
    itertools.product(
        ["fan_in", "fan_out", "fan_avg"], ["truncated_normal", "untruncated_normal", "uniform", "normal"]
    ),
)
@pytest.mark.parametrize("shape", [(30, 20), (3, 3, 8, 16)], ids=str)
def test_variance_scaling(mode, distribution, shape):
    settings = {"scale": 2.0, "mode": mode, "distribution": distribution}
    ours = draws(initializers, "VarianceScaling", settings, shape)
    theirs = draws(keras.initializers, "VarianceScaling", settings, shape)
    assert distance(ours, theirs) < 1.95 * np.sqrt(2 / len(ours))
    fans = {"fan_in": shape[-2] * np.prod(shape[:-2]), "fan_out": shape[-1] * np.prod(shape[:-2])}
    fan = fans.get(mode, sum(fans.values()) / 2)
    assert ours.var() == pytest.approx(2.0 / fan, rel=0.08)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 2, 5)], ids=str)
def test_orthogonal_matrices_lie_in_all_directions_alike(shape):
    """A decomposition whose signs are left as they come would favour some; Keras's does not."""
    ours, theirs = (
        np.stack([room.Orthogonal(gain=2.0, seed=seed)(shape).numpy() for seed in range(400)])
        for room in (initializers, keras.initializers)
    )
    assert np.abs(ours.mean(0)).max() < 0.25 * 2.0
    np.testing.assert_allclose((ours**2).mean(0), (theirs**2).mean(0), atol=0.25 * 4.0 / min(4, shape[-1]))
    flat = ours.reshape(400, -1, shape[-1])
    products = flat.transpose(0, 2, 1) @ flat if flat.shape[1] >= flat.shape[2] else flat @ flat.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.broadcast_to(4 * np.eye(products.shape[1]), products.shape), atol=1e-4)
    if shape == (4, 4):
        signs = np.linalg.det(ours) > 0
        assert 0.4 < signs.mean() < 0.6
    assert distance(ours.ravel(), theirs.ravel()) < 1.95 * np.sqrt(2 / ours.size) + 0.02


@pytest.mark.parametrize(
    ("name", "settings", "shape"), [(name, *one) for name, several in FIXED.items() for one in several]
)
def test_fixed_values(name, settings, shape):
    ours, theirs = getattr(initializers, name)(**settings), getattr(keras.initializers, name)(**settings)
    torch.testing.assert_close(ours(shape), theirs(shape), rtol=1e-5, atol=1e-6)
    assert ours(shape, dtype="float64").dtype == torch.float64


# --- one object for several weights ---------------------------------------------------------


@pytest.mark.parametrize("name", [*DRAWN, "Orthogonal"])
def test_one_object_gives_the_same_values_each_time(name):
    for room in (initializers, keras.initializers):
        made = getattr(room, name)()
        assert torch.equal(made((4, 3)), made((4, 3)))
        assert not torch.equal(made((4, 3)), getattr(room, name)()((4, 3)))
        assert torch.equal(getattr(room, name)(seed=3)((4, 3)), getattr(room, name)(seed=3)((4, 3)))


@pytest.mark.parametrize("k", [keras, uncrumple], ids=["keras", "uncrumple"])
def test_layers_that_share_an_initializer_begin_alike(k):
    def kernels(*given):
        layers = [k.layers.Dense(3, kernel_initializer=one) for one in given]
        for layer in layers:
            layer.build((None, 4))
        return [layer.get_weights()[0] for layer in layers]

    shared = k.initializers.HeNormal()
    one, other = kernels(shared, shared)
    np.testing.assert_array_equal(one, other)
    one, other = kernels("he_normal", "he_normal")
    assert not np.array_equal(one, other)
    one, other = kernels(k.initializers.HeNormal(seed=1), k.initializers.HeNormal(seed=1))
    np.testing.assert_array_equal(one, other)
    seeds = k.initializers.GlorotUniform()
    layer = k.layers.LSTM(3, kernel_initializer=seeds, recurrent_initializer=seeds)
    layer.build((None, 2, 3))
    np.testing.assert_array_equal(layer.get_weights()[0], layer.get_weights()[1])


# --- penalties and bounds ----------------------------------------------------------------------


def weight(*shape):
    return torch.tensor(np.random.default_rng(len(shape)).normal(size=shape).astype("float32") * 2)


PENALTIES = [
    ("L1", {"l1": 0.3}, (4,)),
    ("L1", {}, (3, 4)),
    ("L2", {"l2": 0.3}, (3, 4)),
    ("L2", {}, (3, 3, 2, 4)),
    ("L1L2", {"l1": 0.1, "l2": 0.2}, (2, 3, 4)),
    ("OrthogonalRegularizer", {}, (3, 4)),
    ("OrthogonalRegularizer", {"factor": 0.2, "mode": "columns"}, (5, 3)),
]
BOUNDS = [
    ("MaxNorm", {}, (5, 4)),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}, (5, 4)),
    ("MaxNorm", {"max_value": 1.0, "axis": [0, 1, 2]}, (3, 3, 2, 4)),
    ("MaxNorm", {"max_value": 1}, (4,)),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.3, "axis": 1}, (5, 4)),
    ("MinMaxNorm", {"min_value": 9.0, "max_value": 10.0}, (5, 4)),
    ("NonNeg", {}, (2, 3, 4)),
    ("UnitNorm", {}, (5, 4)),
    ("UnitNorm", {"axis": [0, 1, 2]}, (3, 3, 2, 4)),
]


def test_every_regularizer_and_constraint_is_here():
    for category, cases in (("regularizers", PENALTIES), ("constraints", BOUNDS)):
        known = {name for name, thing in registry.builtins(category).items() if isinstance(thing, type)}
        assert known == {name for name, _, _ in cases}


@pytest.mark.parametrize(("name", "settings", "shape"), PENALTIES)
def test_penalty_and_its_gradient(name, settings, shape):
    found = []
    for room in (regularizers, keras.regularizers):
        given = weight(*shape).requires_grad_()
        penalty = getattr(room, name)(**settings)(given)
        penalty.backward()
        found.append((penalty.detach(), given.grad))
    torch.testing.assert_close(found[0], found[1])


def test_a_single_vector_has_nothing_to_be_orthogonal_to():
    """Keras divides by its zero pairs."""
    assert float(regularizers.OrthogonalRegularizer()(weight(1, 3))) == 0
    assert float(regularizers.L1L2()(weight(3, 4))) == float(keras.regularizers.L1L2()(weight(3, 4))) == 0


@pytest.mark.parametrize(("name", "settings", "shape"), BOUNDS)
@pytest.mark.parametrize("scale", [1.0, 0.0, 1e-5])
def test_bounded_values(name, settings, shape, scale):
    given = scale * weight(*shape)
    ours, theirs = getattr(constraints, name)(**settings)(given), getattr(keras.constraints, name)(**settings)(given)
    torch.testing.assert_close(ours, theirs)
    assert ours.isfinite().all()


def test_bounds_hold_after_every_step():
    """As in Keras, where a constraint is applied when the weight has been moved."""

    def trained(k, weights=None):
        bound = k.constraints.MaxNorm(0.5)
        layers = [
            k.layers.Conv2D(2, 2, kernel_constraint=k.constraints.UnitNorm([0, 1, 2]), bias_constraint="non_neg"),
            k.layers.Flatten(),
            k.layers.Dense(3, kernel_constraint=bound, kernel_regularizer="l1"),
        ]
        model = k.Sequential([k.Input((3, 3, 1)), *layers])
        model.compile(k.optimizers.Adam(0.1), "mse")
        if weights is not None:
            model.set_weights(weights)
        before = model.get_weights()
        generator = np.random.default_rng(0)
        x, y = generator.normal(size=(12, 3, 3, 1)), generator.normal(size=(12, 3))
        losses = [model.train_on_batch(x, y) for _ in range(4)]
        return before, losses, model.get_weights()

    before, losses, after = trained(keras)
    _, our_losses, ours = trained(uncrumple, before)
    np.testing.assert_allclose(our_losses, losses, rtol=1e-5)
    for one, other in zip(after, ours, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    assert np.linalg.norm(ours[2], axis=0).max() <= 0.5 + 1e-5
