"""Number types by every name, and precision policies."""

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple.core import dtypes
from uncrumple.core.devices import multiplies_bfloat16
from uncrumple.core.dtypes import DTypePolicy, dtype_name, dtype_policy, floatx, get_policy, torch_dtype


@pytest.fixture(autouse=True)
def _as_before():
    yield
    keras.config.set_floatx("float32")
    keras.mixed_precision.set_global_policy(None)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("float32", "float32"),
        (torch.float16, "float16"),
        ("torch.bfloat16", "bfloat16"),
        (np.float64, "float64"),
        (np.dtype("uint8"), "uint8"),
        (float, "float32"),
        (int, "int32"),
        (bool, "bool"),
        (None, "float32"),
        (DTypePolicy("mixed_bfloat16"), "float32"),
    ],
    ids=str,
)
def test_every_spelling_of_a_type(given, name):
    assert dtype_name(given) == name
    assert torch_dtype(given) is getattr(torch, name)


def test_floatx():
    assert floatx() == keras.config.floatx() == keras.backend.floatx() == "float32"
    keras.config.set_floatx("float64")
    assert dtype_name(None) == dtype_name(float) == "float64" and keras.layers.Dense(1).dtype == "float64"
    with pytest.raises(ValueError, match=r"Fix: did you mean 'float32'\?"):
        keras.config.set_floatx("flaot32")


def test_unknown_types():
    for wrong in ("flaot32", "string", object):
        with pytest.raises(ValueError, match="Unknown dtype"):
            dtype_name(wrong)
    with pytest.raises(ValueError, match=r"Fix: did you mean 'mixed_float16'\?"):
        DTypePolicy("mixed_flaot16")


@pytest.mark.parametrize(
    ("name", "weights", "computes"),
    [
        ("float32", "float32", "float32"),
        ("mixed_float16", "float32", "float16"),
        ("mixed_bfloat16", "float32", "bfloat16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("float64", "float64", "float64"),
    ],
)
def test_policies(name, weights, computes):
    policy = DTypePolicy(name)
    assert (policy.name, policy.variable_dtype, policy.compute_dtype) == (name, weights, computes)
    assert DTypePolicy.from_config(policy.get_config()) == policy and hash(policy) == hash(DTypePolicy(name))
    assert repr(policy) == f'<DTypePolicy "{name}">'
    layer = keras.layers.Dense(1, dtype=name)
    assert layer.dtype_policy == policy and layer.compute_dtype == computes and layer.variable_dtype == weights
    assert layer(torch.ones(2, 3)).dtype is getattr(torch, computes)
    assert layer.kernel.dtype is getattr(torch, weights)


def test_the_global_policy():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    assert dtype_policy().name == "mixed_bfloat16" and keras.layers.Dense(1).compute_dtype == "bfloat16"
    assert (
        get_policy(None).name == "mixed_bfloat16" and keras.layers.Dense(1, dtype="float32").compute_dtype == "float32"
    )
    keras.mixed_precision.set_global_policy(None)
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_policies_of_every_form():
    assert get_policy(torch.float64).name == get_policy("float64").name == get_policy(np.float64).name == "float64"
    given = DTypePolicy("float16")
    assert get_policy(given) is given
    assert get_policy({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}).name == "mixed_float16"


@pytest.mark.parametrize(
    ("native", "name", "said"),
    [
        (True, "mixed_bfloat16", "precision: mixed_bfloat16, which this CPU multiplies natively\n"),
        (False, "float32", "precision: float32; this CPU does not multiply bfloat16 natively\n"),
    ],
)
def test_the_fastest_policy_is_chosen_and_said_once(monkeypatch, capsys, native, name, said):
    monkeypatch.setattr(dtypes, "multiplies_bfloat16", lambda device: native)
    dtypes._fastest_policy.cache_clear()
    try:
        keras.config.set_dtype_policy("auto")
        keras.mixed_precision.set_global_policy("auto")
        assert dtype_policy().name == name
        assert capsys.readouterr().out == said
    finally:
        keras.config.set_dtype_policy(None)
        dtypes._fastest_policy.cache_clear()


def test_which_devices_multiply_bfloat16():
    assert not multiplies_bfloat16(torch.device("meta"))
    assert multiplies_bfloat16(torch.device("cpu")) is torch.cpu.get_capabilities().get("amx_bf16", False)
