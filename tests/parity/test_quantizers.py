"""`uncrumple.quantizers` beside `keras.quantizers`."""

import inspect
import json

import keras
import numpy as np
import pytest
import torch

import uncrumple as uc

Q, KQ = uc.quantizers, keras.quantizers
MISSING = {
    **dict.fromkeys(("AWQConfig", "GPTQConfig"), "they need a text data set and a tokenizer, to calibrate with"),
    "Int4QuantizationConfig": "layers keep int8, not four bits",
    "Float8QuantizationConfig": "layers do not train in float8",
}


def array(value):
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def equal(mine, theirs, **tolerance):
    for one, other in zip(mine, theirs):
        if isinstance(one, torch.Tensor):
            assert one.dtype == other.dtype and one.shape == other.shape
            np.testing.assert_allclose(array(one), array(other), **{"rtol": 1e-6, **tolerance})
        else:
            assert one == other


def numbers(*shape, kind="float32"):
    return torch.tensor(np.random.default_rng(0).standard_normal(shape) * 3).to(getattr(torch, kind))


def test_names_and_signatures():
    names = [name for name in dir(KQ) if not name.startswith("_") and callable(getattr(KQ, name))]
    assert {name for name in names if not hasattr(Q, name)} == set(MISSING)
    for name in set(names) - set(MISSING):
        mine, theirs = (inspect.signature(getattr(room, name)).parameters.values() for room in (Q, KQ))
        assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in theirs], name


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), [1]])
@pytest.mark.parametrize("to_numpy", [False, True])
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_abs_max_quantize(axis, to_numpy, kind):
    x = numbers(3, 4, 5, kind=kind)
    if axis == [1]:
        axis = 1
    equal(Q.abs_max_quantize(x, axis, to_numpy=to_numpy), KQ.abs_max_quantize(x, axis, to_numpy=to_numpy))
    equal(Q.abs_max_quantize(x, axis, (-8, 7), epsilon=1e-3), KQ.abs_max_quantize(x, axis, (-8, 7), epsilon=1e-3))


@pytest.mark.parametrize("to_numpy", [False, True])
@pytest.mark.parametrize("block", [2, 3, 7, 16])
def test_grouped(block, to_numpy):
    x = numbers(7, 4)
    x[:, 1] = 0.0
    mine = Q.abs_max_quantize_grouped_with_zero_point(x, block, to_numpy=to_numpy)
    theirs = KQ.abs_max_quantize_grouped_with_zero_point(x, block, to_numpy=to_numpy)
    equal(mine, theirs)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("shape", "axis"), [((5,), 0), ((4, 3), 0), ((4, 3), -1), ((3, 2, 5), 1), ((3, 2, 5), 2)])
def test_four_bits(shape, axis, dtype):
    low, high = (-8, 8) if dtype == "int8" else (0, 16)
    x = torch.tensor(np.random.default_rng(0).integers(low, high, shape).astype(dtype))
    mine, theirs = Q.pack_int4(x, axis, dtype), KQ.pack_int4(x, axis, dtype)
    equal(mine, theirs)
    back = Q.unpack_int4(mine[0], shape[axis], axis, dtype)
    assert torch.equal(back, x) and back.dtype == x.dtype
    assert torch.equal(KQ.unpack_int4(mine[0], shape[axis], axis, dtype), x)


@pytest.mark.parametrize(
    ("low", "high", "settings"),
    [
        (-1.0, 2.0, {}),
        (-1.3, 2.1, {"num_bits": 4, "narrow_range": True}),
        (0.2, 3.0, {"num_bits": 2}),
        (-5.0, -1.0, {}),
        ([-1.0, -2.0, -3.0, 0.0], [1.0, 2.0, 0.5, 4.0], {"axis": -1}),
        ([-1.0, -2.0, -3.0, 0.0], [1.0, 2.0, 0.5, 4.0], {"axis": 1, "num_bits": 5}),
    ],
)
def test_fake_quantization_and_its_gradients(low, high, settings):
    found = []
    for room in (Q, KQ):
        given = [torch.tensor(numbers(5, 4).numpy(), requires_grad=True)]
        given += [torch.tensor(value, requires_grad=True) for value in (low, high)]
        result = room.fake_quant_with_min_max_vars(*given, **settings)
        (result * torch.arange(20.0).reshape(5, 4)).sum().backward()
        found.append([result.detach(), *(one.grad for one in given)])
    equal(*found, atol=1e-5)


def test_float8():
    history, x = torch.tensor([1.0, 4.0, 2.0]), numbers(3, 2)
    equal([Q.compute_float8_amax_history(x, history)], [KQ.compute_float8_amax_history(x, history)])
    for amax in (0.0, 3.0, float("inf"), float("nan")):
        given = (torch.tensor(amax), torch.tensor(0.5), torch.tensor(448.0))
        equal([Q.compute_float8_scale(*given, 1)], [KQ.compute_float8_scale(*given, 1)])
    for kind in ("float8_e4m3fn", "float8_e5m2"):
        scale = torch.tensor(0.01)
        mine, theirs = (room.quantize_and_dequantize(x, scale, kind, "float32") for room in (Q, KQ))
        equal([mine], [theirs])


@pytest.mark.parametrize(
    "make",
    [
        lambda q: q.AbsMaxQuantizer(),
        lambda q: q.AbsMaxQuantizer(axis=(0, 1), value_range=(-8, 7), epsilon=1e-3),
        lambda q: q.Int8QuantizationConfig(),
        lambda q: q.Int8QuantizationConfig(q.AbsMaxQuantizer(axis=0), None),
    ],
)
def test_configs(make):
    mine, theirs = (json.loads(json.dumps(room.serialize(make(room)))) for room in (Q, KQ))
    assert mine == theirs
    again = Q.deserialize(theirs)
    assert json.loads(json.dumps(Q.serialize(again))) == mine


def test_get():
    assert isinstance(Q.get("abs_max_quantizer", axis=0), Q.AbsMaxQuantizer)
    assert Q.get(None) is None
    quantizer = Q.AbsMaxQuantizer()
    assert Q.get(quantizer) is quantizer
    with pytest.raises(ValueError, match="did you mean 'abs_max_quantizer'"):
        Q.get("abs_max_quantiser")


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: Q.AbsMaxQuantizer(value_range=(-300, 300)), ValueError, "int8 holds no others"),
        (lambda: Q.Int8QuantizationConfig(Q.Quantizer("int4")), ValueError, "Expected output_dtype='int8'"),
        (lambda: Q.QuantizationConfig().mode, NotImplementedError, "names no mode"),
        (lambda: Q.Quantizer().get_config(), NotImplementedError, "has no get_config"),
        (lambda: Q.pack_int4(torch.ones(2)), TypeError, "pack_int4 got a tensor of float32"),
        (lambda: Q.unpack_int4(torch.ones(2), 2), TypeError, "unpack_int4 got a tensor of float32"),
        (lambda: Q.pack_int4(torch.ones(2), dtype="int4"), ValueError, "dtype of pack_int4"),
        (lambda: Q.quantize_and_dequantize(1.0, 1.0, "float9", "float32"), ValueError, "float8 type"),
        (lambda: Q.fake_quant_with_min_max_vars(1.0, 0.0, 1.0, num_bits=0), ValueError, "num_bits=0"),
        (lambda: Q.abs_max_quantize_grouped_with_zero_point(torch.ones(2), 2), ValueError, "Expected a matrix"),
    ],
)
def test_what_is_refused(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    assert words in str(error.value)
