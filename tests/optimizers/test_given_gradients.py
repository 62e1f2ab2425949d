"""Steps with gradients that are handed over as a list or in pairs; stateless steps are in core/test_scopes.py."""

import numpy as np
import pytest
import torch

from uncrumple.core.variable import Variable
from uncrumple.optimizers import SGD


def weights():
    return [Variable(torch.randn(3, 4), name="kernel"), Variable(torch.randn(4), name="bias")]


def test_apply_checks_what_it_is_given():
    parameters = weights()
    optimizer = SGD(name="sgd")
    with pytest.raises(ValueError, match="has no weights yet"):
        optimizer.apply([np.zeros((3, 4))])
    optimizer.apply([], parameters)
    assert not optimizer.built
    optimizer.build(parameters)
    with pytest.raises(ValueError) as error:
        optimizer.apply([np.zeros((3, 4))])
    assert str(error.value) == (
        "sgd got 1 gradients for 2 weights.\n"
        "Expected one gradient (or None) per weight, in the same order.\n"
        "Fix: optimizer.apply(gradients, model.trainable_variables)"
    )
    with pytest.raises(ValueError) as error:
        optimizer.apply([np.zeros(4), np.zeros(4)])
    assert str(error.value) == (
        "The gradient for 'kernel' has shape (4,).\n"
        "Expected the weight's own shape, (3, 4).\n"
        "Fix: give the gradients in the order of the weights"
    )
    with pytest.raises(ValueError) as error:
        optimizer.apply([np.zeros(4)], [Variable(np.zeros(4), name="other")])
    assert str(error.value) == (
        "sgd does not know the weight 'other'.\n"
        "Expected one of the 2 weights it was built with.\n"
        "Fix: make a new SGD for a new set of weights"
    )


def test_apply_gradients_takes_pairs_in_any_order():
    kernel, bias = weights()
    before = kernel.numpy(), bias.numpy()
    optimizer = SGD(1.0)
    optimizer.build([kernel, bias])
    count = optimizer.apply_gradients([(np.ones(4), bias), (np.full((3, 4), 2.0), kernel)])
    assert count == 1
    np.testing.assert_allclose(kernel.numpy(), before[0] - 2, rtol=1e-6)
    np.testing.assert_allclose(bias.numpy(), before[1] - 1, rtol=1e-6)
