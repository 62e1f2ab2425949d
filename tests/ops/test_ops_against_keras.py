"""Every function of `ops` against real Keras: its signature, its results, its types."""

import inspect
import itertools
import warnings

import keras
import numpy as np
import pytest
import torch
from ops_cases import BINARY, CASES, UNARY
from ops_differential import DTYPES, A, compare, difference, functions, run

from uncrumple import backend, ops
from uncrumple.core.promotion import result_type

NAMESPACES = {"": keras.ops, "numpy.": keras.ops.numpy, "nn.": keras.ops.nn, "linalg.": keras.ops.linalg,
              "image.": keras.ops.image}  # fmt: skip
NAMES = [prefix + name for prefix, space in NAMESPACES.items() for name in dir(space) if not name.startswith("_")]
NAMES = [name for name in NAMES if name not in ("image", "linalg", "nn", "numpy")]

# Where Keras's torch backend is wrong and we are not: the test of ours is in test_ops_own_results.py.
RIGHT_HERE = {
    "associative_scan": "whole numbers become floats there",
    "argpartition": "numbers are cut to whole ones there",
    "average": "weights over all axes are summed over the last axis only there",
    "correlate": "one number loses its axis there",
    "elastic_transform": "the seed is ignored there",
    "pad": "mode 'symmetric' repeats the edge there",
    "saturate_cast": "numbers too large for int32 become the smallest one there",
    "sparse_sigmoid": "-1 is taken for 255 of uint8 there",
    "sparsemax": "rows do not sum to 1 there",
    "sum": "keepdims=True without an axis drops the axes there (and in mean, max, min, prod, ...)",
    "take_along_axis": "negative places without an axis count from the end of the first axis there",
}
# No two runs agree, or the result is a function: tested in test_ops_own_results.py.
WITHOUT_CASES = {"argpartition", "custom_gradient", "empty", "empty_like", "image.elastic_transform", "sparsemax",
                 "vectorize"}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_the_same_signature(name):
    theirs, own = functions(name)
    assert own.__doc__, "a docstring"
    theirs, own = (
        [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
        for function in (theirs, own)
    )
    assert own == theirs


def test_every_name_is_offered():
    for prefix, space in (
        ("", ops),
        ("numpy.", ops.numpy),
        ("nn.", ops.nn),
        ("linalg.", ops.linalg),
        ("image.", ops.image),
    ):
        names = {
            name.removeprefix(prefix) for name in NAMES if name.startswith(prefix) and "." not in name[len(prefix) :]
        }
        assert names <= set(space.__all__)
        assert set(space.__all__) - names <= {"image", "linalg", "nn", "numpy"}


def test_every_name_has_a_case():
    tried = {name for name, cases in CASES.items() if cases} | set(UNARY) | set(BINARY) | WITHOUT_CASES
    assert {name for name in NAMES if not name.startswith(("numpy.", "nn.", "linalg."))} == tried
    assert set(RIGHT_HERE) <= tried | {"elastic_transform"}


@pytest.mark.parametrize("name", [name for name, cases in CASES.items() if cases])
def test_equals_keras(name):
    for args, settings in CASES[name]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert compare(name, args, settings, strict=True) is None, (args, settings)


VALUES = [
    np.array([[0.0, 1, 2, 3], [1, 0, 5, 2]]),
    np.array([[0.0, 0.3, 0.5, 0.9], [0.2, 1, 0.7, 0.1]]),
    np.array([[-1.0, -2, 3, 0.5], [2.5, -0.5, 1.5, -3]]),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", UNARY)
def test_one_tensor_of_each_type(name):
    for dtype, values in itertools.product(DTYPES, VALUES):
        values = np.abs(values) if dtype in ("bool", "uint8") else values
        assert compare(name, (A(values, dtype),)) is None, dtype


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BINARY)
def test_two_tensors_of_each_type(name):
    one, other = np.array([1.0, 2, 3]), np.array([2.0, 3, 1])
    for first, second in itertools.product(DTYPES, DTYPES):
        assert compare(name, (A(one, first), A(other, second))) is None, (first, second)


NUMBERS = [2, 2.5, True, np.float32(2), np.float64(2), np.int64(2), [1, 2, 3], [1.0, 2.0, 3.0], np.array([1.0, 2, 3])]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BINARY)
def test_a_tensor_and_something_else(name):
    for dtype, other in itertools.product(DTYPES, NUMBERS):
        tensor = A([1.0, 2, 3], dtype)
        assert compare(name, (tensor, other)) is None, (dtype, other)
        assert compare(name, (other, tensor)) is None, (other, dtype)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_arrays_and_lists_do_as_well(name):
    """An array gives what a tensor gives."""
    array = np.array([[1.0, 2.0], [3.0, 1.0]], "float32")
    if name in ("digitize", "searchsorted", "vdot"):
        array = array[0]
    if name.startswith(("bitwise", "left", "right", "gcd", "lcm", "ldexp")):
        array = array.astype("int32")
    count = 2 if name in BINARY else 1
    function = getattr(ops, name)
    expected = function(*[torch.from_numpy(array)] * count)
    assert difference(expected, function(*[array] * count)) is None
    assert difference(expected, function(*[array.tolist()] * count)) is None


KINDS = ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32",
         "float64", "complex64", "complex128", int, float, None, bool]  # fmt: skip


def test_result_type():
    assert backend.result_type is result_type
    assert result_type() == keras.backend.result_type()
    for kinds in itertools.chain.from_iterable(itertools.product(KINDS, repeat=count) for count in (1, 2, 3)):
        assert result_type(*kinds) == keras.backend.result_type(*kinds), kinds


def test_result_type_with_another_default():
    try:
        for floatx in ("float16", "float64"):
            keras.backend.set_floatx(floatx)
            backend.set_floatx(floatx)
            for kinds in itertools.product(KINDS, repeat=2):
                assert result_type(*kinds) == keras.backend.result_type(*kinds), kinds
    finally:
        keras.backend.set_floatx("float32")
        backend.set_floatx("float32")


@pytest.mark.parametrize(
    "dtype", ["float32", float, int, bool, None, torch.float16, np.int8, np.dtype("int64"), "torch.int32"]
)
def test_standardize_dtype(dtype):
    assert backend.standardize_dtype(dtype) == keras.backend.standardize_dtype(dtype)
    assert backend.is_float_dtype(dtype) == keras.backend.is_float_dtype(dtype)
    assert backend.is_int_dtype(dtype) == keras.backend.is_int_dtype(dtype)


# What depends on numbers, not on shapes alone.
NEEDS_NUMBERS = {
    "bincount", "nonzero", "unique", "where", "convert_to_numpy", "is_tensor", "while_loop", "repeat", "eig",
    "segment_sum", "segment_max", "segment_min", "segment_prod", "histogram", "matrix_rank", "switch", "cond",
    "ctc_decode", "slice", "slice_update", "image.scale_and_translate", "jvp", "convert_to_tensor", "lstsq", "pinv",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name, cases in CASES.items() if cases and name not in NEEDS_NUMBERS])
def test_shapes_are_found_without_numbers(name):
    """On torch's `meta` device, where layers find their shapes, results have the shape and type they have elsewhere."""
    own = functions(name)[1]
    for args, settings in CASES[name]:
        expected = run(own, args, settings)
        with torch.device("meta"):
            found = run(own, *_on_meta((args, settings)))
        for one, other in zip(_tensors(expected), _tensors(found), strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype), (args, settings)


class OnMeta(A):
    def made(self):
        return super().made().to("meta")


def _on_meta(structure):
    if isinstance(structure, A):
        return OnMeta(structure.values, structure.dtype)
    if isinstance(structure, (list, tuple)):
        return type(structure)(_on_meta(part) for part in structure)
    if isinstance(structure, dict):
        return {key: _on_meta(value) for key, value in structure.items()}
    return structure


def _tensors(out):
    if isinstance(out, (list, tuple)):
        return [leaf for part in out for leaf in _tensors(part)]
    return [out] if isinstance(out, torch.Tensor) else []
