"""Activations: what parity with Keras does not show."""

import doctest

import pytest
import torch

from uncrumple import activations
from uncrumple.core import registry


def test_examples_in_docstrings_run():
    assert doctest.testmod(activations).failed == 0


def test_lists_and_meta_tensors():
    assert activations.relu([-1, 2]).tolist() == [0, 2]
    assert activations.softmax([0.0, 0.0]).dtype == torch.float32
    for name, function in registry.builtins("activations").items():
        extra = (0.5, 1.0) if name == "threshold" else ()
        out = function(torch.empty(3, 4, device="meta"), *extra)
        assert out.shape == ((3, 2) if name == "glu" else (3, 4)), name
        assert out.device.type == "meta"


def test_what_torch_overrides_is_passed_through():
    class Recorder:
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            return function.__name__

    assert activations.tanh(Recorder()) == "tanh"
    assert activations.relu(Recorder()) == "relu"


def test_half_types_are_kept():
    x = torch.randn(2, 4, dtype=torch.bfloat16)
    for name, function in registry.builtins("activations").items():
        extra = (0.5, 1.0) if name == "threshold" else ()
        assert function(x, *extra).dtype == torch.bfloat16, name


def test_sparsemax_gives_probabilities_with_zeros():
    out = activations.sparsemax(torch.tensor([[3.0, 1.0, 0.2], [0.1, 0.2, 0.15]]))
    torch.testing.assert_close(out.sum(-1), torch.ones(2))
    assert out[0].tolist() == [1.0, 0.0, 0.0]
    assert (out[1] > 0).all()


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    scores = torch.randn(20, 7)
    found = activations.sparsemax(scores)
    distance = (found - scores).norm(dim=-1)
    for _ in range(50):
        other = torch.softmax(3 * torch.randn(20, 7), -1)
        closer = 0.99 * found + 0.01 * other
        assert ((closer - scores).norm(dim=-1) >= distance - 1e-6).all()
    torch.testing.assert_close(activations.sparsemax(scores.T, axis=0), found.T)


def test_get():
    def mine(x):
        return x

    assert activations.get(None) is activations.linear
    assert activations.get("hard_swish") is activations.hard_silu
    assert activations.get(mine) is mine
    assert isinstance(activations.get(torch.nn.ReLU), torch.nn.ReLU)
    with registry.CustomObjectScope({"mine": mine}):
        assert activations.get("mine") is mine


def test_misspelt_name():
    with pytest.raises(ValueError) as caught:
        activations.get("sofmax")
    lines = str(caught.value).splitlines()
    assert lines[0] == "Unknown activation: 'sofmax'."
    assert lines[2] == "Fix: did you mean 'softmax'?"


def test_configs():
    @registry.register_keras_serializable("test_activations")
    def doubled(x):
        return 2 * x

    assert activations.serialize(activations.silu) == "silu"
    assert activations.deserialize("swish") is activations.silu
    config = activations.serialize(doubled)
    assert config["config"] == "test_activations>doubled"
    assert activations.deserialize(config) is doubled
    assert activations.deserialize("tripled", custom_objects={"tripled": doubled}) is doubled
