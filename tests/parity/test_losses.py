"""Losses against real Keras: values, and gradients with respect to y_pred."""

import keras
import numpy as np
import pytest
import torch

import uncrumple.losses as losses

RANDOM = np.random.default_rng(0)
N, C = 6, 4


def _softmax(z, axis=-1):
    e = np.exp(z - z.max(axis, keepdims=True))
    return (e / e.sum(axis, keepdims=True)).astype("float32")


BITS = RANDOM.integers(0, 2, (N, C)).astype("float32")
LOGITS = (3 * RANDOM.normal(size=(N, C))).astype("float32")
PROBABILITIES = np.concatenate([_softmax(LOGITS[:-2]), [[1, 0, 0, 0], [0.2, 0.2, 0.1, 0]]]).astype("float32")
LABELS = np.array([0, 1, 2, 3, 1, 3])
CHANCES = np.clip(RANDOM.random((N, C)), 0, 1).astype("float32")
CHANCES[0, 0], CHANCES[1, 1] = 0.0, 1.0
SEQUENCE_LABELS = RANDOM.integers(0, C, (3, 5))
SEQUENCE = _softmax(RANDOM.normal(size=(3, 5, C)))

REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]


def _both(name, settings, y_true, y_pred, weights=None, mask=None):
    out = []
    for room in (losses, keras.losses):
        loss = getattr(room, name)(**settings)
        predicted = torch.tensor(y_pred, requires_grad=True)
        if mask is not None:
            predicted._keras_mask = torch.tensor(mask)
        value = loss(y_true if isinstance(y_true, dict) else torch.tensor(y_true), predicted, sample_weight=weights)
        (gradient,) = torch.autograd.grad(value.sum(), predicted)
        out.append((value.detach().numpy(), gradient.numpy()))
    return out


def _assert_same(name, settings, y_true, y_pred, **more):
    (value, gradient), (keras_value, keras_gradient) = _both(name, settings, y_true, y_pred, **more)
    assert value.shape == keras_value.shape
    assert value.dtype == keras_value.dtype
    np.testing.assert_allclose(value, keras_value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, keras_gradient, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("empty", [False, True])
def test_masked(reduction, weighted, empty):
    mask = np.zeros((3, 5), bool) if empty else np.random.default_rng(2).random((3, 5)) > 0.4
    weights = np.random.default_rng(3).random((3, 5)).astype("float32") if weighted else None
    for name in ("SparseCategoricalCrossentropy", "MeanSquaredError"):
        y_true = SEQUENCE_LABELS if name.startswith("Sparse") else SEQUENCE[..., ::-1].copy()
        _assert_same(name, {"reduction": reduction}, y_true, SEQUENCE, weights=weights, mask=mask)


def test_mask_and_ignored_class_together():
    mask = np.random.default_rng(2).random((3, 5)) > 0.4
    settings = {"ignore_class": 1}
    _assert_same("SparseCategoricalCrossentropy", settings, SEQUENCE_LABELS, SEQUENCE, mask=mask)


@pytest.mark.parametrize("name", ["MeanSquaredError", "BinaryCrossentropy", "Huber", "Hinge"])
@pytest.mark.parametrize("true_shape", [(6,), (6, 1)])
@pytest.mark.parametrize("predicted_shape", [(6,), (6, 1)])
def test_vectors_and_columns_are_aligned(name, true_shape, predicted_shape):
    y_true, y_pred = BITS[:, 0].reshape(true_shape), CHANCES[:, 0].reshape(predicted_shape)
    (value, gradient), (keras_value, keras_gradient) = _both(name, {}, y_true, y_pred)
    np.testing.assert_allclose(value, keras_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, keras_gradient, rtol=1e-4, atol=1e-6)


def test_half_precision_predictions_are_computed_in_float32():
    y_pred = torch.tensor(PROBABILITIES).to(torch.bfloat16)
    ours = losses.SparseCategoricalCrossentropy()(torch.tensor(LABELS), y_pred)
    theirs = keras.losses.SparseCategoricalCrossentropy()(torch.tensor(LABELS), y_pred)
    assert ours.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(ours, theirs)


def test_saturated_softmax_gives_the_torch_backends_loss():
    y_pred = torch.softmax(torch.tensor([[1000.0, 0.0]]), -1)
    ours = losses.SparseCategoricalCrossentropy()(torch.tensor([1]), y_pred)
    assert float(ours) == pytest.approx(float(keras.losses.SparseCategoricalCrossentropy()(torch.tensor([1]), y_pred)))
    assert float(ours) == pytest.approx(16.118, abs=1e-3)


def test_structures_of_outputs_reach_a_wrapped_function():
    def both_ends(y_true, y_pred):
        return (y_true["a"] - y_pred["a"]).abs().mean(-1) + (y_true["b"] - y_pred["b"]).abs().mean(-1)

    y_true = {"a": BITS[:, 0], "b": BITS}
    y_pred = {"a": torch.tensor(CHANCES[:, :1]), "b": torch.tensor(CHANCES)}
    from keras.src.losses.losses import LossFunctionWrapper

    ours = losses.LossFunctionWrapper(both_ends)(y_true, y_pred)
    torch.testing.assert_close(ours, LossFunctionWrapper(both_ends)(y_true, y_pred))


@pytest.mark.parametrize("name", sorted(name for name in dir(keras.losses) if name[0] != "_"))
def test_every_name_of_keras_is_here(name):
    assert hasattr(losses, name)


@pytest.mark.parametrize(
    "name", sorted(name for name in dir(keras.losses) if isinstance(getattr(keras.losses, name), type))
)
def test_same_arguments_and_names(name):
    import inspect

    ours, theirs = getattr(losses, name), getattr(keras.losses, name)
    expected = {key: value.default for key, value in inspect.signature(theirs.__init__).parameters.items()}
    found = {key: value.default for key, value in inspect.signature(ours.__init__).parameters.items()}
    assert list(found) == list(expected)
    assert found == expected
