"""Optimizers and schedules against real Keras, step by step."""

import inspect
import warnings

import keras
import numpy as np
import pytest
import torch

from uncrumple import constraints, optimizers
from uncrumple.core.variable import Variable

SHAPES = {
    "dense/kernel": (5, 4),
    "dense/bias": (4,),
    "norm/gamma": (4,),
    "out/kernel": (4, 2),
    "out/bias": (2,),
    "embedding/embeddings": (6, 3),
    "conv/kernel": (2, 3, 4),
    "wide/kernel": (2, 7),
}
TOLERANCE = {"rtol": 3e-6, "atol": 3e-6}
STEPS = 7


def start():
    generator = np.random.default_rng(1)
    return [generator.normal(size=shape).astype("float32") for shape in SHAPES.values()]


def gradients(step):
    generator = np.random.default_rng(100 + step)
    return [generator.normal(size=shape).astype("float32") for shape in SHAPES.values()]


def ours_and_theirs():
    ours, theirs = [], []
    for path, value in zip(SHAPES, start()):
        ours.append(Variable(value, name=path.split("/")[-1]))
        ours[-1].path = path
        theirs.append(keras.Variable(value, dtype="float32", name=path.split("/")[-1]))
        theirs[-1]._path = path
    return ours, theirs


def close(ours, theirs, **where):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            mine.numpy(), other.value.detach().numpy(), **TOLERANCE, err_msg=f"{other.path} {where}"
        )


def run(mine, other, *, missing=(), through="step", steps=STEPS, scale=lambda step: 1.0):
    """Do the same steps with both, and compare all weights after each, and all state at the end."""
    ours, theirs = ours_and_theirs()
    mine.build(ours)
    other.build(theirs)
    for step in range(steps):
        given = [
            None if at in missing else gradient * np.float32(scale(step)) for at, gradient in enumerate(gradients(step))
        ]
        other.apply([None if one is None else torch.from_numpy(one) for one in given], theirs)
        if through == "step":
            for weight, gradient in zip(ours, given):
                weight.grad = None if gradient is None else torch.from_numpy(gradient)
            mine.step()
        else:
            mine.apply(given, ours)
        close(ours, theirs, step=step)
    assert int(mine.iterations) == int(other.iterations)
    assert float(mine.learning_rate) == pytest.approx(float(other.learning_rate), rel=1e-5)
    compare_variables(mine, other)
    return ours, theirs


def pair(kind, /, **arguments):
    """Return the same optimizer twice, of ours and of Keras."""
    mine = getattr(optimizers, kind)(**{**arguments, **OTHERWISE.get(kind, {})})
    return mine, getattr(keras.optimizers, kind)(**arguments)


def paths_of(other):
    found = []
    for one in other.variables:
        path = one.path.split("/")
        if path[-1].startswith("variable"):  # Keras numbers Nadam's one nameless variable on through the process
            path[-1] = "variable"
        if len(path) == 1:  # what Adafactor keeps for weights with one axis
            path = [other.name, *path]
        found.append("/".join(path))
    return found


def compare_variables(mine, other):
    assert [one.path for one in mine.variables] == paths_of(other)
    for one, two in zip(mine.variables, other.variables):
        np.testing.assert_allclose(one.numpy(), two.value.detach().numpy(), **TOLERANCE, err_msg=two.path)


SHARED = {
    "plain": {},
    "weight_decay": {"weight_decay": 0.05},
    "clipnorm": {"clipnorm": 0.7},
    "clipvalue": {"clipvalue": 0.3},
    "global_clipnorm": {"global_clipnorm": 0.9},
    "ema": {"use_ema": True, "ema_momentum": 0.8},
    "ema_overwrite": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 3},
    "accumulation_ema_decay_clip": {
        "gradient_accumulation_steps": 2,
        "use_ema": True,
        "ema_momentum": 0.7,
        "ema_overwrite_frequency": 2,
        "weight_decay": 0.1,
        "clipnorm": 0.5,
    },
    "loss_scale_factor": {"loss_scale_factor": 8.0, "global_clipnorm": 0.2},
}
OWN = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "RMSprop": [{}, {"momentum": 0.9}, {"centered": True}, {"centered": True, "momentum": 0.5, "rho": 0.8}],
    "Adam": [{}, {"amsgrad": True, "beta_2": 0.5}, {"beta_1": 0.5, "epsilon": 1e-3}],
    "AdamW": [{"weight_decay": 0.1}, {"amsgrad": True, "beta_2": 0.6}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.0, "epsilon": 1e-3}],
    "Adadelta": [{}, {"rho": 0.8, "epsilon": 1e-4, "learning_rate": 1.0}],
    "Adamax": [{}, {"beta_1": 0.7, "beta_2": 0.9}],
    "Nadam": [{}, {"beta_1": 0.7, "beta_2": 0.9}],
    "Lion": [{}, {"beta_1": 0.7}],
    "Lamb": [{}, {"beta_1": 0.7, "beta_2": 0.9}],
    "Ftrl": [
        {},
        {"l1_regularization_strength": 0.3, "l2_regularization_strength": 0.1, "beta": 0.2},
        {"l2_shrinkage_regularization_strength": 0.1, "learning_rate_power": -0.7},
    ],
    "Adafactor": [
        {},
        {"beta_2_decay": -0.5, "clip_threshold": 0.5, "epsilon_2": 0.7},
        {"learning_rate": 0.9, "epsilon_1": 0.3},
        {"learning_rate": 0.9, "relative_step": False},
    ],
    "Muon": [
        {},
        {"nesterov": False, "momentum": 0.5},
        {"rms_rate": None, "ns_steps": 2, "adam_weight_decay": None, "weight_decay": None},
        {"exclude_layers": ["o[ux]t", "wide"], "exclude_embeddings": False},
        {"muon_a": 2.0, "muon_b": -1.5, "muon_c": 0.5, "rms_rate": 0.5, "adam_weight_decay": 0.2},
        {"adam_lr_ratio": 0.3, "adam_beta_1": 0.5, "adam_beta_2": 0.8, "epsilon": 1e-3},
    ],
    "ScheduleFreeAdamW": [{}, {"warmup_steps": 4}, {"beta_2": 0.9, "epsilon": 1e-3}],
}
# With Keras on torch beta_1 of ScheduleFreeAdamW has no effect, as if it were 1: it takes the fast weights
# after moving them for the old ones. We do as the paper and Keras on JAX; see test_optimizer_golden.py.
OTHERWISE = {"ScheduleFreeAdamW": {"beta_1": 1.0}}
CASES = [
    pytest.param(name, {**own, **shared}, id=f"{name}-{at}-{label}")
    for name, settings in OWN.items()
    for at, own in enumerate(settings)
    for label, shared in SHARED.items()
    if at == 0 or label in ("plain", "weight_decay", "accumulation_ema_decay_clip")
]


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain_torch"])
@pytest.mark.parametrize("name, settings", CASES)
def test_steps(name, settings, fused, monkeypatch):
    if not fused:
        monkeypatch.setattr(optimizers.Optimizer, "_can_fuse", lambda self: False)
    arguments = {"learning_rate": 0.03, "name": "optimizer", **settings}
    mine, other = pair(name, **arguments)
    ours, theirs = run(mine, other)
    apart = {"learning_rate", *OTHERWISE.get(name, ())}
    assert {key: value for key, value in mine.get_config().items() if key not in apart} == {
        key: value for key, value in other.get_config().items() if key not in apart
    }
    mine.finalize_variable_values(ours)
    other.finalize_variable_values(theirs)
    close(ours, theirs, when="finalized")


@pytest.mark.parametrize("name", list(OWN))
def test_apply_with_missing_gradients(name):
    arguments = {"learning_rate": 0.03, "name": "optimizer", "weight_decay": 0.1, "use_ema": True}
    mine, other = pair(name, **arguments)
    with pytest.warns(UserWarning, match="norm/gamma"):
        run(mine, other, missing=(1, 2), through="apply")


@pytest.mark.parametrize("name", list(OWN))
def test_weight_decay_with_exclusions(name):
    arguments = {"learning_rate": 0.03, "name": "optimizer", "weight_decay": 0.2}
    mine, other = pair(name, **arguments)
    for optimizer in (mine, other):
        optimizer.exclude_from_weight_decay(var_names=["bias", "gam"])
    run(mine, other)


def test_exclusion_by_weight():
    ours, theirs = ours_and_theirs()
    mine, other = optimizers.AdamW(0.1, weight_decay=0.5), keras.optimizers.AdamW(0.1, weight_decay=0.5)
    for optimizer, weights in ((mine, ours), (other, theirs)):
        optimizer.exclude_from_weight_decay(var_list=weights[:2])
        optimizer.apply([torch.from_numpy(one) for one in gradients(0)], weights)
    close(ours, theirs)


@pytest.mark.parametrize("name", list(OWN))
def test_constraints(name):
    ours, theirs = ours_and_theirs()
    for weights, room in ((ours, constraints), (theirs, keras.constraints)):
        weights[0].constraint = room.NonNeg()
        weights[3].constraint = room.MaxNorm(0.5)
    mine, other = pair(name, learning_rate=0.05)
    for step in range(STEPS):
        other.apply([torch.from_numpy(one) for one in gradients(step)], theirs)
        mine.apply(gradients(step), ours)
        close(ours, theirs, step=step)
    assert (ours[0] == 0).any()


SCHEDULES = {
    "ExponentialDecay": [
        {"decay_steps": 3, "decay_rate": 0.5},
        {"decay_steps": 3, "decay_rate": 0.7, "staircase": True},
    ],
    "PolynomialDecay": [
        {"decay_steps": 5},
        {"decay_steps": 4, "power": 2.0, "end_learning_rate": 0.01},
        {"decay_steps": 4, "cycle": True, "power": 0.5},
    ],
    "InverseTimeDecay": [{"decay_steps": 3, "decay_rate": 0.5}, {"decay_steps": 3, "decay_rate": 2, "staircase": True}],
    "CosineDecay": [
        {"decay_steps": 6},
        {"decay_steps": 6, "alpha": 0.2, "warmup_target": 0.4, "warmup_steps": 3},
        {"decay_steps": 6, "warmup_target": 0.4},
    ],
    "CosineDecayRestarts": [
        {"first_decay_steps": 4},
        {"first_decay_steps": 3, "t_mul": 1.0, "m_mul": 0.8},
        {"first_decay_steps": 2, "t_mul": 1.5, "m_mul": 0.5, "alpha": 0.1},
    ],
}


@pytest.mark.parametrize(
    "name, settings",
    [pytest.param(name, one, id=f"{name}-{at}") for name, all_ in SCHEDULES.items() for at, one in enumerate(all_)],
)
def test_schedules(name, settings):
    mine = getattr(optimizers.schedules, name)(0.1, **settings)
    other = getattr(keras.optimizers.schedules, name)(0.1, **settings)
    for step in range(40):
        assert mine(step) == pytest.approx(float(other(step)), rel=2e-5, abs=2e-8), step
    assert mine.get_config() == other.get_config()
    restored = optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(other))
    assert restored.get_config() == mine.get_config()
    assert optimizers.schedules.serialize(mine) == keras.optimizers.schedules.serialize(other)


def test_piecewise_schedule():
    arguments = ([3, 7], [0.1, 0.05, 0.01])
    mine = optimizers.schedules.PiecewiseConstantDecay(*arguments)
    other = keras.optimizers.schedules.PiecewiseConstantDecay(*arguments)
    assert [mine(step) for step in range(12)] == pytest.approx([float(other(step)) for step in range(12)])
    assert mine.get_config() == other.get_config()


@pytest.mark.parametrize("name", list(OWN))
@pytest.mark.parametrize("shared", [{}, {"gradient_accumulation_steps": 2, "weight_decay": 0.1}])
def test_steps_with_a_schedule(name, shared):
    def schedule(room):
        return room.optimizers.schedules.CosineDecay(0.01, 4, alpha=0.1, warmup_target=0.1, warmup_steps=2)

    class Ours:
        optimizers = optimizers

    arguments = {"name": "optimizer", **shared}
    mine = getattr(optimizers, name)(schedule(Ours), **arguments, **OTHERWISE.get(name, {}))
    run(mine, getattr(keras.optimizers, name)(schedule(keras), **arguments))
    assert mine.param_groups[0]["lr"] == mine.learning_rate


def test_steps_with_a_function():
    rates = [0.1, 0.05]
    run(optimizers.SGD(lambda: rates[0], name="o"), keras.optimizers.SGD(lambda: rates[0], name="o"))


def test_loss_scale_optimizer_leaves_bad_steps_out():
    mine = optimizers.LossScaleOptimizer(optimizers.SGD(0.1, 0.9, name="in"), 8.0, 2, name="out")
    other = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, 0.9, name="in"), 8.0, 2, name="out")
    run(mine, other, steps=9, scale=lambda step: np.inf if step in (3, 4) else 8.0)
    assert float(mine.dynamic_scale) == float(other.dynamic_scale)
    assert mine.get_config().keys() == other.get_config().keys()


@pytest.mark.parametrize("name", list(OWN))
@pytest.mark.parametrize("settings", [{}, {"use_ema": True, "gradient_accumulation_steps": 2}])
def test_state_goes_to_keras_and_back(name, settings):
    arguments = {"learning_rate": 0.03, "name": "optimizer", **settings}
    ours, theirs = ours_and_theirs()
    mine, other = pair(name, **arguments)
    for step in range(3):
        mine.apply(gradients(step), ours)
    store = {}
    mine.save_own_variables(store)
    other.build(theirs)
    other.load_own_variables(store)
    for weight, value in zip(theirs, ours):
        weight.assign(value.numpy())
    for step in range(3, 6):
        other.apply([torch.from_numpy(one) for one in gradients(step)], theirs)
    store = {}
    other.save_own_variables(store)
    for step in range(3, 6):
        mine.apply(gradients(step), ours)
    close(ours, theirs)
    again = getattr(optimizers, name).from_config(mine.get_config())
    again.build(ours)
    again.load_own_variables(store)
    compare_variables(again, other)
    assert again.iterations == mine.iterations
    assert float(again.learning_rate) == 0.03


@pytest.mark.parametrize("name", [*OWN, "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap", "Optimizer"])
def test_signature(name):
    mine = inspect.signature(getattr(optimizers, name).__init__).parameters
    other = inspect.signature(getattr(keras.optimizers, name).__init__).parameters
    assert [(one.name, one.default) for one in mine.values()] == [(one.name, one.default) for one in other.values()]


@pytest.mark.parametrize("name", [*SCHEDULES, "PiecewiseConstantDecay", "LearningRateSchedule"])
def test_schedule_signature(name):
    mine = inspect.signature(getattr(optimizers.schedules, name)).parameters
    other = inspect.signature(getattr(keras.optimizers.schedules, name)).parameters
    assert [(one.name, one.default) for one in mine.values()] == [(one.name, one.default) for one in other.values()]


@pytest.mark.parametrize("name", list(OWN))
def test_config_of_keras_on_torch_is_read(name):
    other = getattr(keras.optimizers, name)(0.25)
    config = keras.optimizers.serialize(other)
    if name not in ("Lamb", "Ftrl", "Adafactor", "Muon", "ScheduleFreeAdamW"):
        assert config["module"].startswith("keras.src.backend.torch.optimizers")
    made = optimizers.deserialize(config)
    assert type(made) is getattr(optimizers, name) and made.learning_rate == 0.25
    assert made.get_config() == other.get_config()


def test_an_optimizer_written_for_keras_runs():
    def write(room):
        class Momentum(room.optimizers.Optimizer):
            def __init__(self, decay_of_speed=0.9, **kwargs):
                super().__init__(**kwargs)
                self.decay_of_speed = decay_of_speed

            def build(self, variables):
                super().build(variables)
                self.speeds = [self.add_variable_from_reference(variable, name="speed") for variable in variables]
                self.steps = self.add_variable((), name="steps")

            def update_step(self, gradient, variable, learning_rate):
                speed = self.speeds[self._get_variable_index(variable)]
                self.assign(speed, self.decay_of_speed * speed - learning_rate * gradient)
                self.assign_add(variable, speed)

        return Momentum

    class Ours:
        optimizers = optimizers

    run(
        write(Ours)(learning_rate=0.05, clipnorm=1.0, name="o"),
        write(keras)(learning_rate=0.05, clipnorm=1.0, name="o"),
    )


def test_every_optimizer_of_keras_is_here():
    def classes(room):
        return {name for name in dir(room) if isinstance(getattr(room, name), type) and name[0].isupper()}

    assert classes(keras.optimizers) <= set(optimizers.__all__)
    assert set(OWN) == classes(keras.optimizers) - {
        "LossScaleOptimizer",
        "MultiOptimizer",
        "Optimizer",
        "OptimizerMap",
    }


@pytest.mark.parametrize("name", list(OWN))
def test_a_learning_rate_set_on_the_way(name):
    ours, theirs = ours_and_theirs()
    mine, other = pair(name, learning_rate=0.03, weight_decay=0.05, name="optimizer")
    for step in range(6):
        for optimizer in (mine, other):
            if step == 2:
                optimizer.learning_rate = 0.1
            if step == 4:
                optimizer.learning_rate.assign(0.01)
        other.apply([torch.from_numpy(one) for one in gradients(step)], theirs)
        mine.apply(gradients(step), ours)
        close(ours, theirs, step=step)
        assert mine.iterations == int(other.iterations) == step + 1
    compare_variables(mine, other)
    mine.iterations.assign(100)
    other.iterations.assign(100)
    other.apply([torch.from_numpy(one) for one in gradients(9)], theirs)
    mine.apply(gradients(9), ours)
    close(ours, theirs)


@pytest.mark.parametrize("name", list(OWN))
def test_apply_gradients(name):
    ours, theirs = ours_and_theirs()
    mine, other = pair(name, learning_rate=0.03, name="optimizer")
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    mine.build(ours)
    other.build(theirs)
    for step in range(3):
        given = gradients(step)
        count = mine.apply_gradients([(given[at], ours[at]) for at in order])
        expected = other.apply_gradients([(torch.from_numpy(given[at]), theirs[at]) for at in order])
        assert count == int(expected) == step + 1
        close(ours, theirs, step=step)


@pytest.mark.parametrize("name", list(OWN))
def test_some_of_the_weights(name):
    """`apply` with a part of the weights it was built with leaves the others, and their state, alone."""
    ours, theirs = ours_and_theirs()
    mine, other = pair(name, learning_rate=0.03, weight_decay=0.1, clipnorm=0.5, name="optimizer")
    mine.build(ours)
    other.build(theirs)
    for step in range(4):
        given, some = gradients(step), [[0, 1], [6, 5, 3], [7], [1, 2, 0]][step]
        mine.apply([given[at] for at in some], [ours[at] for at in some])
        other.apply([torch.from_numpy(given[at]) for at in some], [theirs[at] for at in some])
        close(ours, theirs, step=step)
    compare_variables(mine, other)


# --- mistakes: what Keras refuses is refused here -------------------------------------


REFUSED = {
    "whole learning rate": {"learning_rate": 1},
    "learning rate as text": {"learning_rate": "0.1"},
    "no learning rate": {"learning_rate": None},
    "two clippings": {"clipnorm": 1.0, "clipvalue": 1.0},
    "two other clippings": {"global_clipnorm": 1.0, "clipvalue": 1.0},
    "accumulation over one step": {"gradient_accumulation_steps": 1},
    "momentum of the average": {"use_ema": True, "ema_momentum": 1.5},
    "negative momentum of the average": {"use_ema": True, "ema_momentum": -0.5},
    "frequency of the average": {"use_ema": True, "ema_overwrite_frequency": 1.5},
    "misspelt": {"learning_rte": 0.1},
}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", list(OWN))
def test_refused_arguments(name, arguments):
    for room in (keras.optimizers, optimizers):
        with pytest.raises(ValueError):
            getattr(room, name)(**arguments)


@pytest.mark.parametrize("name", list(OWN))
def test_refused_calls(name):
    ours, theirs = ours_and_theirs()
    mine, other = pair(name, learning_rate=0.1)
    mine.build(ours[:3])
    other.build(theirs[:3])
    for optimizer, weights in ((mine, ours), (other, theirs)):
        given = [torch.from_numpy(one) for one in gradients(0)]
        with pytest.raises(ValueError):  # too few
            optimizer.apply(given[:2])
        with pytest.raises(ValueError):  # unknown weights
            optimizer.apply(given[3:5], weights[3:5])
        with pytest.raises(ValueError):  # no gradients
            optimizer.apply([None, None, None])
        with pytest.raises(ValueError):
            type(optimizer)(learning_rate=0.1).apply(given)
        optimizer.apply([])
        assert int(optimizer.iterations) == 0


def test_a_rate_cannot_replace_a_schedule():
    for room in (keras.optimizers, optimizers):
        optimizer = room.SGD(room.schedules.CosineDecay(0.1, 10))
        with pytest.raises(TypeError):
            optimizer.learning_rate = 0.1


# --- several optimizers in one --------------------------------------------------------


def several(room, wrap=None, **settings):
    chosen = room.OptimizerMap(
        room.SGD(0.05, momentum=0.9, name="sgd", use_ema=True, weight_decay=0.1),
        {"dense/.*": room.Adam(0.02, name="adam"), "out/bias": room.RMSprop(0.01, name="rmsprop", clipnorm=0.5)},
    )
    chosen["nothing/.*"] = room.Lion(name="idle")
    return room.MultiOptimizer(chosen, name="multi", **settings)


def test_several_optimizers():
    mine, other = several(optimizers), several(keras.optimizers)
    ours, theirs = ours_and_theirs()
    mine.build(ours)
    other.build(theirs)
    for step in range(6):
        if step == 3:
            for multi in (mine, other):
                for one in multi.optimizers:
                    one.learning_rate = 0.004
        other.apply([torch.from_numpy(one) for one in gradients(step)], theirs)
        mine.apply(gradients(step), ours)
        close(ours, theirs, step=step)
    compare_variables(mine, other)
    assert [one.name for one in mine.optimizers] == [one.name for one in other.optimizers]
    assert [one.iterations for one in mine.optimizers] == [int(one.iterations) for one in other.optimizers]
    assert mine.iterations == int(other.iterations)
    mine.finalize_variable_values(ours)
    other.finalize_variable_values(theirs)
    close(ours, theirs)


@pytest.mark.parametrize("scale", [None, 8.0])
def test_several_optimizers_by_a_function(scale):
    def by_size(room):
        adam, sgd = room.Adam(0.02, loss_scale_factor=4.0), room.SGD(0.05)
        return room.MultiOptimizer(lambda weight: adam if len(weight.shape) > 1 else sgd, scale, name="multi")

    mine, other = by_size(optimizers), by_size(keras.optimizers)
    ours, theirs = ours_and_theirs()
    for step in range(6):
        other.apply([torch.from_numpy(one) for one in gradients(step)], theirs)
        mine.apply(gradients(step), ours)
        close(ours, theirs, step=step)
    assert [one.loss_scale_factor for one in mine.optimizers] == [scale, scale]
    assert mine.scale_loss(2.0) == other.scale_loss(2.0)


def test_several_optimizers_within_a_loss_scale():
    def wrapped(room):
        return room.LossScaleOptimizer(several(room), 8.0, 2, name="scaled")

    mine, other = wrapped(optimizers), wrapped(keras.optimizers)
    ours, theirs = ours_and_theirs()
    mine.build(ours)
    other.build(theirs)
    for step in range(6):
        given = [one * np.float32(np.nan if step == 2 else mine.dynamic_scale) for one in gradients(step)]
        other.apply([torch.from_numpy(one) for one in given], theirs)
        mine.apply(given, ours)
        close(ours, theirs, step=step)
        assert float(mine.dynamic_scale) == float(other.dynamic_scale)
    compare_variables(mine, other)


def test_configs_and_states_of_several_go_to_keras_and_back():
    theirs_first = several(keras.optimizers)
    config = keras.optimizers.serialize(theirs_first)
    mine = optimizers.deserialize(config)
    assert mine.get_config().keys() == theirs_first.get_config().keys()
    made = keras.optimizers.deserialize(optimizers.serialize(mine))
    assert made.get_config() == theirs_first.get_config()

    ours, theirs = ours_and_theirs()
    for step in range(3):
        mine.apply(gradients(step), ours)
    made.build(theirs)
    store = {}
    mine.save_own_variables(store)
    made.load_own_variables(store)
    for weight, value in zip(theirs, ours):
        weight.assign(value.numpy())
    for step in range(3, 6):
        mine.apply(gradients(step), ours)
        made.apply([torch.from_numpy(one) for one in gradients(step)], theirs)
    close(ours, theirs)
    compare_variables(mine, made)


def test_an_optimizer_map_answers_as_keras_one_does():
    for room in (keras.optimizers, optimizers):
        first, second, default = room.Adam(name="first"), room.SGD(name="second"), room.RMSprop(name="default")
        chosen = room.OptimizerMap(default)
        chosen["encoder/layer_0/dense"] = first
        chosen["encoder/.*"] = second
        assert chosen["encoder/layer_0/dense"] is first and chosen["encoder/layer_1"] is second
        assert chosen["encoder"] is default and chosen["decoder/dense"] is default
        assert list(chosen) == ["encoder/layer_0/dense", "encoder/.*"] and len(chosen) == 2
        chosen[".*/layer_1"] = first
        with pytest.raises(ValueError):
            chosen["encoder/layer_1"]
        del chosen[".*/layer_1"]
        assert chosen["encoder/layer_1"] is second
        for key, value in ((3, first), ("encoder/.*", first), ("a", "adam")):
            with pytest.raises(ValueError):
                chosen[key] = value
        for kind in (room.LossScaleOptimizer(room.SGD()), room.MultiOptimizer(chosen)):
            with pytest.raises(ValueError):
                chosen["a"] = kind
        with pytest.raises(TypeError):
            room.OptimizerMap("adam")
        with pytest.raises(TypeError):
            room.OptimizerMap(default, [first])
        for touch in (lambda m: m.learning_rate, lambda m: setattr(m, "learning_rate", 0.1)):
            with pytest.raises(AttributeError):
                touch(room.MultiOptimizer(chosen))


# --- loss scaling -----------------------------------------------------------------


@pytest.mark.parametrize("inner", [{}, {"gradient_accumulation_steps": 2, "use_ema": True}], ids=["plain", "many"])
@pytest.mark.parametrize("growth", [1, 2, 3])
@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam", "Lamb", "Adafactor", "Muon"])
def test_loss_scale_optimizer_steps(name, growth, inner):
    """Infinities and NaN in any gradient, first, last and in a row: scale, count and weights go as Keras's."""
    mine, other = pair(name, learning_rate=0.03, name="inner", **inner)
    mine = optimizers.LossScaleOptimizer(mine, 16.0, growth, name="outer")
    other = keras.optimizers.LossScaleOptimizer(other, 16.0, growth, name="outer")
    ours, theirs = ours_and_theirs()
    assert mine.scale_loss(2.0) == other.scale_loss(2.0) == 32.0
    mine.build(ours)
    other.build(theirs)
    bad = {0: (0, np.inf), 1: (4, np.nan), 5: (2, -np.inf), 9: (7, np.nan)}
    for step in range(10):
        given = [one * np.float32(mine.dynamic_scale) for one in gradients(step)]
        if step in bad:
            at, what = bad[step]
            given[at].flat[-1] = what
        other.apply([torch.from_numpy(one) for one in given], theirs)
        mine.apply(given, ours)
        close(ours, theirs, step=step)
        assert float(mine.dynamic_scale) == float(other.dynamic_scale)
        assert int(mine.step_counter) == int(other.step_counter)
        assert int(mine.iterations) == int(other.iterations)
        assert mine.scale_loss(3.0) == pytest.approx(float(other.scale_loss(3.0)))
    compare_variables(mine, other)
    store = {}
    other.save_own_variables(store)
    again = optimizers.LossScaleOptimizer.from_config(mine.get_config())
    again.build(ours)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.load_own_variables(store)
    compare_variables(again, other)
    mine.finalize_variable_values(ours)
    other.finalize_variable_values(theirs)
    close(ours, theirs)
