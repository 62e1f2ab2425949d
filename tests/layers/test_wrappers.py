"""TimeDistributed and torch modules as layers."""

import copy

import numpy as np
import pytest
import torch

from uncrumple import layers as L
from uncrumple.core import registry


class Doubling(L.Layer):
    """A layer of a user's: nobody knows whether it mixes samples."""

    def call(self, inputs):
        return inputs - inputs.mean(0)


def test_steps_side_by_side_equal_step_by_step():
    x = torch.randn(3, 5, 8, 8, 2)
    layer = L.TimeDistributed(L.Conv2D(4, 3))
    out = layer(x)
    assert out.shape == (3, 5, 6, 6, 4)
    torch.testing.assert_close(out, torch.stack([layer.layer(x[:, step]) for step in range(5)], 1))


def test_a_users_layer_is_called_step_by_step():
    x = torch.randn(3, 5, 4)
    torch.testing.assert_close(L.TimeDistributed(Doubling())(x), x - x.mean(0))
    torch.testing.assert_close(L.TimeDistributed(L.Lambda(lambda x: x - x.mean(0)))(x), x - x.mean(0))


def test_unknown_number_of_steps():
    layer = L.TimeDistributed(L.Dense(3))
    assert layer(L.Input((None, 4))).shape == (None, None, 3)
    assert layer(torch.ones(2, 7, 4)).shape == (2, 7, 3)
    assert layer.layer.built and not layer.layer.kernel.is_meta


def test_masks_are_handed_on():
    class Last(L.Layer):
        def __init__(self):
            super().__init__()
            self.seen = []

        def call(self, inputs, mask=None):
            self.seen.append(mask)
            return inputs

    layer, x = L.TimeDistributed(Last()), torch.randn(2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    x._keras_mask = mask
    out = layer(x)
    assert [m.tolist() for m in layer.layer.seen] == mask.t().tolist()
    assert torch.equal(out._keras_mask, mask)
    with pytest.raises(ValueError, match=r"got a mask of shape \(2, 2\) for an input of shape \(2, 3, 4\)"):
        layer(torch.randn(2, 3, 4), mask=mask[:, :2])


def test_training_reaches_the_inner_layer():
    layer = L.TimeDistributed(L.Dropout(0.5))
    x = torch.ones(4, 5, 6)
    assert torch.equal(layer(x), x)
    assert (layer(x, training=True) == 0).any()


def module():
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU())


def test_a_module_is_a_layer():
    net = module()
    layer = L.TorchModuleWrapper(net, name="net")
    assert layer.name == "net"
    assert layer(L.Input((4,))).shape == (None, 3)
    x = torch.randn(6, 4)
    net.eval()
    torch.testing.assert_close(layer(x), net(x))
    assert len(layer.trainable_weights) == 4
    assert len(layer.weights) == 7  # with the running mean, variance and count
    layer.trainable = False
    assert layer.trainable_weights == [] and not net[0].weight.requires_grad


def test_finding_shapes_leaves_a_module_as_it_was():
    net = module()
    before = copy.deepcopy(net.state_dict())
    layer = L.TorchModuleWrapper(net)
    layer(L.Input((4,)), training=True)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(not value.is_meta for value in net.state_dict().values())


def test_training_mode_reaches_the_module():
    net = module()
    layer = L.TorchModuleWrapper(net)
    x = torch.randn(6, 4) + 5
    layer(x)
    assert net[1].num_batches_tracked == 0
    layer(x, training=True)
    assert net[1].num_batches_tracked == 1 and not net.training


def test_module_variables_are_stored_by_name():
    one, other = L.TorchModuleWrapper(module()), L.TorchModuleWrapper(module())
    one(torch.randn(6, 4), training=True)
    store = {}
    one.save_own_variables(store)
    assert set(store) == set(one.module.state_dict())
    other.load_own_variables({name: np.asarray(value) for name, value in store.items()})
    x = torch.randn(6, 4)
    torch.testing.assert_close(one(x), other(x))


def test_a_module_is_not_read_from_a_file():
    with pytest.raises(ValueError, match="carries a torch module"):
        registry.deserialize_keras_object(
            {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "UEsDB"}}
        )


def test_output_shape_is_compared():
    assert L.TorchModuleWrapper(module(), output_shape=(None, 3))(L.Input((4,))).shape == (None, 3)
    with pytest.raises(ValueError, match="returned the shape"):
        L.TorchModuleWrapper(module(), output_shape=(None, 5))(L.Input((4,)))


def test_a_module_of_its_own_buffers_and_lists_of_outputs():
    class Split(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.ones(2))

        def forward(self, x):
            return x[:, :2] + self.shift, x[:, 2:]

    one, other = L.TorchModuleWrapper(Split())(L.Input((4,)))
    assert one.shape == (None, 2) and other.shape == (None, 2)
