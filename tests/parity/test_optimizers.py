"""Optimizers and schedules against real Keras, step by step."""

import inspect

import keras
import numpy as np
import pytest
import torch

from uncrumple import constraints, optimizers
from uncrumple.core.variable import Variable

SHAPES = {"dense/kernel": (5, 4), "dense/bias": (4,), "norm/gamma": (4,), "out/kernel": (4, 2), "out/bias": (2,)}
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


def compare_variables(mine, other):
    paths = [one.path for one in other.variables]
    if type(mine) is optimizers.Nadam:  # Keras numbers its one nameless variable on through the process
        paths[-1] = f"{mine.name}/variable"
    assert [one.path for one in mine.variables] == paths
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
}
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
    mine, other = getattr(optimizers, name)(**arguments), getattr(keras.optimizers, name)(**arguments)
    ours, theirs = run(mine, other)
    assert {key: value for key, value in mine.get_config().items() if key != "learning_rate"} == {
        key: value for key, value in other.get_config().items() if key != "learning_rate"
    }
    mine.finalize_variable_values(ours)
    other.finalize_variable_values(theirs)
    close(ours, theirs, when="finalized")


@pytest.mark.parametrize("name", list(OWN))
def test_apply_with_missing_gradients(name):
    arguments = {"learning_rate": 0.03, "name": "optimizer", "weight_decay": 0.1, "use_ema": True}
    mine, other = getattr(optimizers, name)(**arguments), getattr(keras.optimizers, name)(**arguments)
    with pytest.warns(UserWarning, match="norm/gamma"):
        run(mine, other, missing=(1, 2), through="apply")


@pytest.mark.parametrize("name", list(OWN))
def test_weight_decay_with_exclusions(name):
    arguments = {"learning_rate": 0.03, "name": "optimizer", "weight_decay": 0.2}
    mine, other = getattr(optimizers, name)(**arguments), getattr(keras.optimizers, name)(**arguments)
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
    mine, other = getattr(optimizers, name)(0.05), getattr(keras.optimizers, name)(0.05)
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
    mine = getattr(optimizers, name)(schedule(Ours), **arguments)
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
    mine, other = getattr(optimizers, name)(**arguments), getattr(keras.optimizers, name)(**arguments)
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


@pytest.mark.parametrize("name", [*OWN, "LossScaleOptimizer", "Optimizer"])
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
    if name not in ("Lamb", "Ftrl"):
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
