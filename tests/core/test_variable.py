"""The weight: a `torch.nn.Parameter` that also answers to Keras's names."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple.core.variable import Variable


def message(raised):
    return str(raised.value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1.0, 2.0], torch.float32),
        (np.array([1.0, 2.0]), torch.float32),
        (np.array([1, 2]), torch.int64),
        (torch.tensor([1.0, 2.0], dtype=torch.float64), torch.float64),
        (np.array([True, False]), torch.bool),
        (3, torch.int64),
        (3.5, torch.float32),
        (np.float64(2), torch.float32),
    ],
    ids=str,
)
def test_values_of_every_kind(value, kind):
    variable = Variable(value)
    assert isinstance(variable, torch.nn.Parameter) and variable.dtype is kind
    assert np.array_equal(variable.numpy(), np.asarray(value).astype(variable.numpy().dtype))
    assert variable.trainable is kind.is_floating_point


def test_it_does_not_share_memory_with_an_array():
    array = np.ones(2, "float32")
    variable = Variable(array)
    array[0] = 5
    assert variable.tolist() == [1, 1]


def test_initializers():
    variable = Variable(keras.initializers.Ones(), shape=(2, 3), dtype="float64", name="ones")
    assert variable.shape == (2, 3) and variable.dtype is torch.float64 and variable.name == variable.path == "ones"
    with pytest.raises(ValueError) as raised:
        Variable(keras.initializers.Ones(), name="w")
    assert message(raised) == (
        "Variable 'w' got a function as its initializer and no shape.\n"
        "Expected a shape to make the value with.\n"
        "Fix: Variable(initializer, shape=(3, 4))"
    )


def test_assigning():
    variable = Variable([1.0, 2.0])
    assert variable.assign([3, 4]) is variable and variable.tolist() == [3, 4]
    assert variable.assign_add(np.array([1.0, 1.0])).tolist() == [4, 5]
    assert variable.assign_sub(torch.tensor([1.0, 2.0])).tolist() == [3, 3]
    assert variable.value is variable and variable.requires_grad and variable.is_leaf
    for wrong in ([1.0], [[1.0, 2.0]], 3.0):
        with pytest.raises(ValueError, match=r"has shape \(2,\) and got a value of shape"):
            variable.assign(wrong)


def test_it_computes_like_a_tensor():
    variable = Variable([1.0, 2.0])
    out = (variable * 2 + torch.ones(2)).sum()
    assert type(out) is torch.Tensor
    out.backward()
    assert variable.grad.tolist() == [2, 2]
    assert type(variable + 1) is torch.Tensor and type(variable.detach()) in (torch.Tensor, Variable)


def test_trainable():
    variable = Variable([1.0])
    variable.trainable = False
    assert not variable.requires_grad
    variable.trainable = True
    assert variable.requires_grad
    kept = Variable([1.0], trainable=False)
    assert not kept.requires_grad and not kept.trainable
    kept.requires_grad_(True)
    assert not kept.requires_grad
    kept.trainable = True
    assert kept.requires_grad
    count = Variable(0, dtype="int64")
    count.trainable = True
    assert not count.requires_grad


@pytest.mark.parametrize("way", [copy.deepcopy, copy.copy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_keep_everything(way):
    variable = Variable([1.0, 2.0], name="w", trainable=False)
    variable.path = "dense/w"
    twin = way(variable)
    assert type(twin) is Variable and twin.path == "dense/w" and twin.name == "w"
    assert not twin.trainable and twin.tolist() == [1, 2]


def test_a_deep_copy_is_independent_and_made_once():
    variable = Variable([1.0])
    first, second = copy.deepcopy([variable, variable])
    assert first is second and first is not variable
    first.assign([5.0])
    assert variable.tolist() == [1]


def test_torch_save():
    file = io.BytesIO()
    torch.save(Variable([1.0], name="w"), file)
    file.seek(0)
    assert torch.load(file, weights_only=False).name == "w"


def test_numpy_of_types_that_numpy_lacks():
    variable = Variable(torch.ones(2, dtype=torch.bfloat16))
    assert variable.numpy().dtype == np.float32
    array = Variable([1.0]).numpy()
    array[0] = 7
    assert np.asarray(Variable([2.0]).detach()).tolist() == [2]


def test_how_it_looks():
    assert repr(Variable([1.5], name="w")) == "<Variable path=w, shape=(1,), dtype=float32, value=[1.5]>"


def test_the_same_value_with_another_content():
    variable = Variable([1.0], name="w", trainable=False)
    other = variable.like(torch.tensor([2.0]))
    assert other.name == "w" and other.tolist() == [2] and not other.requires_grad and variable.tolist() == [1]


def test_an_initializer_by_name():
    assert Variable("ones", shape=(2,), dtype="float32").tolist() == [1.0, 1.0]
    values = keras.Variable(shape=(50,), initializer="uniform")
    assert values.abs().max() <= 0.05 and values.std() > 0
    with pytest.raises(ValueError, match="onez"):
        Variable("onez", shape=(2,))
