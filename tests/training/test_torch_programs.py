"""Models of every family of layers go through torch's tools unchanged: checkpoints, copies, vmap, export, compile."""

import copy
import pickle
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from exported_models import KINDS, as_argument, data, made

import uncrumple as keras

every = pytest.mark.parametrize("name", KINDS)
# Batch normalization in training mode looks at the whole batch; the others treat each sample by itself.
ONE_INPUT = [name for name in KINDS if name not in ("two_inputs", "named_inputs")]


def flat(outputs):
    return [one.detach() for one in keras.tree.flatten(outputs)]


def prepared(name, samples=5):
    model = made(name)
    return model, as_argument(model, data(model, samples))


def close(found, expected):
    for one, other in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@every
def test_copied_and_pickled(name):
    model, x = prepared(name)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        close(again(x), model(x))
        assert not {id(weight) for weight in again.weights} & {id(weight) for weight in model.weights}


@pytest.mark.parametrize("name", ONE_INPUT)
def test_vmap_over_single_samples(name):
    model, x = prepared(name)
    weights = {key: weight.detach() for key, weight in model.state_dict().items()}

    def one(sample):
        outputs = torch.func.functional_call(model, weights, (sample[None],))
        return [part[0] for part in keras.tree.flatten(outputs)]

    close(torch.func.vmap(one)(x), model(x))


@every
def test_gradients_by_torch_func(name):
    model, x = prepared(name)
    weights = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}

    def loss(given):
        outputs = keras.tree.flatten(torch.func.functional_call(model, given, (x,)))
        return sum((one * one).sum() for one in outputs)

    found = torch.func.grad(loss)({key: weight.detach() for key, weight in weights.items()})
    loss({}).backward()
    for key, weight in weights.items():
        torch.testing.assert_close(found[key], weight.grad, rtol=1e-3, atol=1e-4)


@every
def test_checkpointed(name):
    """What is computed again for the backward pass, dropout included, gives the gradients of what was computed first."""
    gradients = []
    for through in (
        lambda model, x: model(x),
        lambda model, x: torch.utils.checkpoint.checkpoint(model, x, use_reentrant=False),
    ):
        keras.utils.set_random_seed(3)
        model, x = prepared(name)
        model.train()
        keras.utils.set_random_seed(4)
        sum((one * one).sum() for one in keras.tree.flatten(through(model, x))).backward()
        gradients.append([weight.grad for weight in model.parameters() if weight.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@every
def test_compiled_with_its_loss(name):
    model, x = prepared(name)
    twin = copy.deepcopy(model)

    def loss(of):
        return lambda x: sum((one * one).mean() for one in keras.tree.flatten(of(x)))

    fast = torch.compile(loss(model), backend="aot_eager")
    found, expected = fast(x), loss(twin)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        if other.requires_grad:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)
