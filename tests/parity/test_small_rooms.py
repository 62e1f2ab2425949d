"""Activations, initializers, regularizers and constraints against real Keras."""

import inspect

import keras
import numpy as np
import pytest
import torch

from uncrumple import activations, constraints, initializers, regularizers

ROOMS = {
    "activations": activations,
    "initializers": initializers,
    "regularizers": regularizers,
    "constraints": constraints,
}
X = torch.tensor(np.random.default_rng(0).normal(size=(4, 6)).astype("float32") * 2)
X[0, :5] = torch.tensor([0.0, -1.0, 1.0, 6.0, -3.0])
HARD_CASES = torch.tensor([-1e4, -100.0, -20.0, -0.5, 0.5, 20.0, 100.0, 1e4]).repeat(2, 1)

SETTINGS = {
    "relu": [
        {},
        {"negative_slope": 0.1},
        {"max_value": 1.5},
        {"max_value": 6},
        {"threshold": 0.5},
        {"negative_slope": 0.2, "max_value": 2.0},
        {"negative_slope": 0.2, "threshold": 0.7},
        {"negative_slope": 0.2, "max_value": 2.0, "threshold": 0.7},
        {"max_value": 2.0, "threshold": 0.7},
        {"threshold": -0.5},
        {"threshold": -0.5, "negative_slope": 0.3},
    ],
    "leaky_relu": [{}, {"negative_slope": 0.5}],
    "elu": [{}, {"alpha": 0.5}],
    "celu": [{}, {"alpha": 0.5}],
    "gelu": [{}, {"approximate": True}],
    "glu": [{}, {"axis": 0}],
    "soft_shrink": [{}, {"threshold": 1.0}],
    "hard_shrink": [{}, {"threshold": 1.0}],
    "threshold": [{"threshold": 0.3, "default_value": 7.0}],
    "squareplus": [{}, {"b": 1}],
    "softmax": [{}, {"axis": 0}, {"axis": None}],
    "log_softmax": [{}, {"axis": 0}, {"axis": None}],
}
NAMES = sorted(set(dir(keras.activations)) - {"get", "serialize", "deserialize"})
# Keras's sparsemax does not sum to 1 where more than one number is above zero; ours is tested on its own.
NAMES = [name for name in NAMES if name[0] != "_" and name != "sparsemax"]


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_keras_is_here(room):
    theirs = {name for name in dir(getattr(keras, room)) if name[0] != "_"}
    assert theirs <= set(dir(ROOMS[room]))


@pytest.mark.parametrize("room", ROOMS)
def test_same_arguments(room):
    for name in dir(getattr(keras, room)):
        theirs, ours = getattr(getattr(keras, room), name), getattr(ROOMS[room], name, None)
        if name[0] == "_" or name in ("get", "serialize", "deserialize") or not callable(theirs):
            continue
        expected = {key: value.default for key, value in inspect.signature(theirs).parameters.items()}
        assert {key: value.default for key, value in inspect.signature(ours).parameters.items()} == expected, name


@pytest.mark.parametrize("name", NAMES)
def test_activation(name):
    for settings in SETTINGS.get(name, [{}]):
        for values in (X, HARD_CASES):
            mine, other = values.clone().requires_grad_(), values.clone().requires_grad_()
            ours, theirs = (
                getattr(activations, name)(mine, **settings),
                getattr(keras.activations, name)(other, **settings),
            )
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
            (ours * torch.arange(ours.numel()).reshape(ours.shape)).sum().backward()
            (theirs * torch.arange(ours.numel()).reshape(ours.shape)).sum().backward()
            if name != "exponential" or values is X:
                torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("L1", {}),
        ("L1", {"l1": 0.3}),
        ("L2", {}),
        ("L2", {"l2": 0.3}),
        ("L1L2", {}),
        ("L1L2", {"l1": 0.1, "l2": 0.2}),
        ("OrthogonalRegularizer", {}),
        ("OrthogonalRegularizer", {"factor": 0.2, "mode": "columns"}),
    ],
)
def test_regularizer(name, settings):
    ours, theirs = getattr(regularizers, name)(**settings), getattr(keras.regularizers, name)(**settings)
    torch.testing.assert_close(ours(X), theirs(X))
    mine, other = ours.get_config(), theirs.get_config()
    assert mine.keys() == other.keys()
    assert all(value == (pytest.approx(other[key]) if key != "mode" else other[key]) for key, value in mine.items())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("MaxNorm", {}),
        ("MaxNorm", {"max_value": 0.5, "axis": 1}),
        ("MaxNorm", {"max_value": 3.0, "axis": [0, 1]}),
        ("NonNeg", {}),
        ("UnitNorm", {}),
        ("UnitNorm", {"axis": [0, 1]}),
        ("MinMaxNorm", {}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.3, "axis": 1}),
    ],
)
def test_constraint(name, settings):
    ours, theirs = getattr(constraints, name)(**settings), getattr(keras.constraints, name)(**settings)
    torch.testing.assert_close(ours(X), theirs(X))
    assert ours.get_config() == theirs.get_config()


RANDOM_INITIALIZERS = [
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0}),
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeUniform", {}),
    ("HeNormal", {}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("GlorotUniform", {"input_axes": [1, 2], "output_axes": [0]}),
    *(
        ("VarianceScaling", {"scale": 0.7, "mode": mode, "distribution": distribution})
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("truncated_normal", "untruncated_normal", "uniform", "normal")
    ),
]


@pytest.mark.parametrize(("name", "settings"), RANDOM_INITIALIZERS)
def test_same_distribution(name, settings):
    shape = (30, 20, 50)
    ours = getattr(initializers, name)(**settings, seed=1)(shape).double()
    theirs = getattr(keras.initializers, name)(**settings, seed=1)(shape).double()
    spread = float(theirs.std())
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=0.03 * spread)
    assert float(ours.std()) == pytest.approx(spread, rel=0.02)
    levels = torch.tensor([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99], dtype=torch.float64)
    torch.testing.assert_close(ours.quantile(levels), theirs.quantile(levels), rtol=0, atol=0.06 * spread)
    assert ours.abs().max() <= theirs.abs().max() * 1.3
    config = getattr(initializers, name)(**settings, seed=1).get_config()
    assert config == getattr(keras.initializers, name)(**settings, seed=1).get_config()


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        ("Zeros", {}, (2, 3)),
        ("Ones", {}, (2, 3)),
        ("Constant", {"value": 2.5}, (2, 3)),
        ("Identity", {"gain": 2.0}, (3, 5)),
        ("STFT", {}, (8, 1, 5)),
        ("STFT", {"side": "imag", "scaling": "spectrum", "periodic": True}, (8, 1, 5)),
        ("STFT", {"window": None}, (8, 1, 5)),
        ("STFT", {"window": "hamming", "scaling": None}, (8, 1, 5)),
    ],
)
def test_fixed_initializers(name, settings, shape):
    ours, theirs = getattr(initializers, name)(**settings), getattr(keras.initializers, name)(**settings)
    torch.testing.assert_close(ours(shape), theirs(shape), rtol=1e-5, atol=1e-6)
    # Keras leaves the gain out.
    assert ours.get_config() == ({"gain": 2.0} if name == "Identity" else theirs.get_config())


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 3, 16, 32), (2, 3, 4, 5, 6)])
def test_fans(shape):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)
