"""Six steps of every optimizer, as Keras 3.15.1 made them on TensorFlow, and as it wrote configs and variables."""

import json
import pathlib

import numpy as np
import pytest

from uncrumple import optimizers
from uncrumple.core.variable import Variable
from uncrumple.optimizers import schedules

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
CASES = json.loads((GOLDEN / "golden_optimizers.json").read_text())
VALUES = np.load(GOLDEN / "golden_optimizers.npz")
# Those that are built; the file holds more.
MADE = [name for name, case in CASES.items() if case["class"] in optimizers.__all__]
TOLERANCE = 3e-6


def make(name, **otherwise):
    case = CASES[name]
    settings = {**case["kwargs"], **otherwise}
    if isinstance(settings.get("learning_rate"), str):
        settings["learning_rate"] = schedules.deserialize(case["config"]["learning_rate"])
    if "inner_optimizer" in settings:
        settings["inner_optimizer"] = optimizers.SGD(0.1)
    return getattr(optimizers, case["class"])(**settings)


# Keras on TensorFlow and torch reads the fast weights after it has moved them, where the paper and
# Keras on JAX take the old ones: beta_1 then has no effect, the same as beta_1=1. We do as the paper.
OTHERWISE = {"schedulefree_adamw": {"beta_1": 1.0}}
# ScheduleFreeAdamW of Keras 3.15.1 on JAX, with the same weights and gradients.
JAX = np.load(GOLDEN / "golden_schedule_free_jax.npz")
JAX_CASES = {
    "default": {"learning_rate": 0.1},
    "warmup": {"learning_rate": 0.1, "warmup_steps": 3},
    "decay": {
        "learning_rate": 0.05,
        "beta_1": 0.7,
        "beta_2": 0.9,
        "epsilon": 1e-3,
        "weight_decay": 0.1,
        "clipnorm": 0.8,
    },
}


def weights():
    return [Variable(VALUES["W0"], name="W"), Variable(VALUES["b0"], name="b")]


def test_every_kind_is_covered():
    assert {CASES[name]["class"] for name in MADE} == set(optimizers.__all__) - {
        "MultiOptimizer",  # in tests/parity
        "OptimizerMap",
        "Optimizer",
        "deserialize",
        "get",
        "schedules",
        "legacy",
        "serialize",
    }


@pytest.mark.parametrize("through", ["step", "apply"])
@pytest.mark.parametrize("name", MADE)
def test_six_steps(name, through):
    optimizer, (w, b) = make(name, **OTHERWISE.get(name, {})), weights()
    optimizer.build([w, b])
    for step in range(6):
        scale = getattr(optimizer, "dynamic_scale", 1.0)
        gradients = [VALUES[f"gW{step}"] * np.float32(scale), VALUES[f"gb{step}"] * np.float32(scale)]
        if through == "apply":
            optimizer.apply(gradients, [w, b])
        else:
            for weight, gradient in zip((w, b), gradients):
                weight.grad = weight.new_tensor(gradient)
            optimizer.step()
        np.testing.assert_allclose(w.numpy(), VALUES[f"{name}/W{step}"], rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(b.numpy(), VALUES[f"{name}/b{step}"], rtol=TOLERANCE, atol=TOLERANCE)
    optimizer.finalize_variable_values([w, b])
    np.testing.assert_allclose(w.numpy(), VALUES[f"{name}/Wf"], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", JAX_CASES)
def test_six_steps_without_a_schedule(name):
    optimizer, (w, b) = optimizers.ScheduleFreeAdamW(**JAX_CASES[name]), weights()
    for step in range(6):
        optimizer.apply([VALUES[f"gW{step}"], VALUES[f"gb{step}"]], [w, b])
        np.testing.assert_allclose(w.numpy(), JAX[f"{name}/W{step}"], rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(b.numpy(), JAX[f"{name}/b{step}"], rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(optimizer.variables[2].numpy(), JAX[f"{name}/momentum"], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", MADE)
def test_variables_have_keras_names_order_and_types(name):
    optimizer = make(name)
    optimizer.build(weights())
    found = [[variable.name, list(variable.shape), str(variable.numpy().dtype)] for variable in optimizer.variables]
    assert found == CASES[name]["variables"]


@pytest.mark.parametrize("name", MADE)
def test_config_is_keras_config(name):
    expected = CASES[name]["config"]
    found = make(name).get_config()
    assert list(found) == list(expected)
    for config, want in ((found, expected), (found.get("inner_optimizer"), expected.get("inner_optimizer"))):
        if config is None:
            continue
        config, want = config.get("config", config), want.get("config", want)
        for key in set(want) - {"name", "inner_optimizer"}:
            if key == "learning_rate" and isinstance(want[key], float):
                assert config[key] == pytest.approx(want[key], rel=1e-7)
            else:
                assert config[key] == want[key], key


@pytest.mark.parametrize("name", MADE)
def test_keras_config_makes_the_same_optimizer(name):
    case = CASES[name]
    config = {
        "module": "keras.optimizers",
        "class_name": case["class"],
        "config": case["config"],
        "registered_name": None,
    }
    made = optimizers.deserialize(json.loads(json.dumps(config)))
    assert made.get_config() == case["config"]
    assert optimizers.serialize(made) == config
