"""Blocks after which a model is as it was: each thing that could stay changed, with and without an exception."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.core import naming
from uncrumple.explain.keeping import answering, on_trial, same_randomness, same_start, untouched
from uncrumple.layers import LSTM, BatchNormalization, Dense, Dropout, Input


def trained():
    uc.utils.set_random_seed(0)
    model = uc.Sequential(
        [
            Input(batch_shape=(4, 5, 2)),
            LSTM(3, stateful=True, name="lstm"),
            Dropout(0.5, seed=3),
            BatchNormalization(name="norm"),
            Dense(1, name="dense"),
        ]
    )
    model.compile(uc.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.fit(*rows(), batch_size=4, epochs=1, verbose=0, shuffle=False)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    return model


def rows():
    draw = np.random.default_rng(0)
    return draw.normal(size=(8, 5, 2)).astype("float32"), draw.normal(size=(8, 1)).astype("float32")


def gradients(model):
    return [None if weight.grad is None else (id(weight.grad), weight.grad.tolist()) for weight in model.parameters()]


# Each kind of state: how it is read.
STATES = {
    "weights": lambda model: [value.tolist() for value in model.get_weights()],
    "where weights lie": lambda model: [(id(one), one.data_ptr(), one.dtype) for one in model.parameters()],
    "what learns": lambda model: [one.requires_grad for one in model.parameters()],
    "gradients": gradients,
    "buffers": lambda model: [model.get_layer("norm").moving_mean.tolist(), *(one.tolist() for one in model.buffers())],
    "optimizer": lambda model: (id(model.optimizer), [np.asarray(one.numpy()).tolist() for one in model.optimizer.variables]),
    "learning rate": lambda model: float(model.optimizer.learning_rate),
    "metrics": lambda model: [
        [one.tolist() for one in metric.variables] + [metric._counted] for metric in [model._loss_tracker]
    ] + [{name: float(value) for name, value in model.get_metrics_result().items()}],
    "modes": lambda model: [one.training for one in model.modules()],
    "frozen layers": lambda model: [one.trainable for one in model.layers],
    "hooks": lambda model: [
        (len(one._forward_hooks), len(one._forward_pre_hooks), len(one._backward_hooks)) for one in model.modules()
    ],
    "states of layers": lambda model: [one.tolist() for one in model.get_layer("lstm").states],
    "seeds of layers": lambda model: [
        value.get_state().tolist()
        for one in model.modules()
        for value in vars(one).values()
        if isinstance(value, torch.Generator)
    ],
    "attributes": lambda model: sorted(vars(model.get_layer("dense"))),
    "random numbers of torch": lambda model: torch.get_rng_state().tolist(),
    "random numbers of numpy": lambda model: np.random.get_state()[1].tolist() + [np.random.get_state()[2]],
    "random numbers of Python": lambda model: random.getstate(),
    "names": lambda model: (dict(naming._used), dict(naming._counts)),
}  # fmt: skip


def disturb(model):
    """Change everything that STATES reads."""
    dense = model.get_layer("dense")
    model.train()
    model.fit(*rows(), batch_size=4, epochs=1, verbose=0, shuffle=False)
    model(torch.randn(4, 5, 2), training=True).sum().backward()
    model.optimizer.learning_rate = 0.5
    model.layers[0].trainable = False
    dense.kernel.data = torch.zeros(3, 1, dtype=torch.float64)
    dense.noted = 1
    dense.register_forward_hook(lambda *_: None)
    model.get_layer("norm").moving_mean.data.add_(7)
    model.get_layer("lstm").reset_states()
    for one in model.modules():
        one.training = not one.training
    uc.Sequential([Dense(2)])
    naming.get_uid("block")
    uc.utils.set_random_seed(99)


BLOCKS = {"untouched": untouched, "answering": answering, "on_trial": on_trial}


@pytest.mark.parametrize("raises", [False, True], ids=["as usual", "with an exception"])
@pytest.mark.parametrize("block", BLOCKS)
def test_everything_is_put_back(block, raises):
    model = trained()
    before = {name: read(model) for name, read in STATES.items()}
    changed = {}
    try:
        with BLOCKS[block](model):
            disturb(model)
            changed = {name: read(model) for name, read in STATES.items()}
            if raises:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert raises
    after = {name: read(model) for name, read in STATES.items()}
    assert [name for name in STATES if after[name] != before[name]] == []
    # What was not disturbed could not show that it is put back.
    assert [name for name in STATES if changed[name] == before[name]] == []


def test_what_follows_is_what_would_have_followed():
    def run(look):
        model = trained()
        for one in look:
            with one(model):
                disturb(model)
        return model.fit(*rows(), batch_size=4, epochs=2, verbose=0, shuffle=False).history

    assert run([]) == run(BLOCKS.values())


@pytest.mark.parametrize("fitted", [False, True], ids=["new", "after fit"])
def test_dense_chains_that_train_by_one_native_call(fitted):
    def run(look):
        uc.utils.set_random_seed(1)
        model = uc.Sequential([Input((4,)), Dense(8, activation="relu"), Dense(2, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        x, y = np.random.default_rng(0).normal(size=(64, 4)).astype("float32"), np.arange(64) % 2
        if fitted:
            model.fit(x, y, epochs=1, verbose=0)
        if look:
            with untouched(model):
                model.fit(x, y, epochs=2, verbose=0)
            with on_trial(model):
                model.fit(x, y, epochs=1, verbose=0)
        return model.fit(x, y, epochs=2, verbose=0).history

    assert run(False) == run(True)


def test_optimizers_of_torch_and_models_of_torch():
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        layer(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()

    step()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    moments = [slots["exp_avg"].clone() for slots in optimizer.state.values()]
    with pytest.raises(ValueError, match="stop"), untouched(layer, optimizer, None):
        step()
        optimizer.param_groups[0]["lr"] = 5.0
        optimizer.state.clear()
        raise ValueError("stop")
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert all(torch.equal(one, slots["exp_avg"]) for one, slots in zip(moments, optimizer.state.values(), strict=True))


def test_lists_sets_and_arrays_that_layers_hold():
    layer = Dense(2)
    layer.noted, layer.kinds, layer.numbers = [1, 2], {3}, np.zeros(2)
    with untouched(layer):
        layer.noted.append(3)
        layer.kinds.add(4)
        layer.numbers[0] = 1
    assert (layer.noted, layer.kinds, layer.numbers.tolist()) == ([1, 2], {3}, [0, 0])


def test_answering_infers_and_tells_all_layers():
    model = trained()
    model.train()
    flip = uc.layers.RandomFlip("horizontal", seed=1)
    images = torch.rand(8, 4, 4, 1)
    with answering(model, flip, "no model"):
        assert not any(one.training for one in model.modules())
        assert torch.equal(flip(images), images)
    assert all(one.training for one in model.modules())


def test_on_trial_hands_out_a_copy_of_the_optimizer():
    model = trained()
    own = model.optimizer
    with on_trial(model) as optimizer:
        assert optimizer is model.optimizer is not own
        assert [one.numpy().tolist() for one in optimizer.variables] == [one.numpy().tolist() for one in own.variables]
        assert all(weight.grad is None for weight in model.parameters())
    assert model.optimizer is own


def test_same_start_keeps_what_is_learnt():
    model = trained()
    states, start = STATES["states of layers"](model), torch.get_rng_state()
    with same_start(model):
        model.predict(rows()[0], batch_size=4, verbose=0)
        model.get_layer("dense").kernel.data.fill_(3.0)
        torch.rand(3)
    assert STATES["states of layers"](model) == states and torch.equal(torch.get_rng_state(), start)
    assert model.get_layer("dense").kernel.data.eq(3.0).all()


def test_same_randomness_keeps_names_too():
    with same_randomness():
        first = Dense(1).name, random.random(), np.random.rand(), float(torch.rand(1))
    assert (Dense(1).name, random.random(), np.random.rand(), float(torch.rand(1))) == first
