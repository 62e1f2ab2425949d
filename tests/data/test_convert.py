"""Arrays, lists, frames and tensors of every kind become tensors, or are refused with words."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

import uncrumple as keras
from uncrumple.data.convert import is_array, is_frame, is_numbers, lengths, to_tensor, to_tensors

quick = settings(max_examples=100, deadline=None, derandomize=True)


# --- what is taken ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.ones(3), torch.float32),
        (np.ones(3, "float32"), torch.float32),
        (np.ones(3, "float16"), torch.float16),
        (np.ones(3, "longdouble"), torch.float32),
        (np.ones(3, ">f8"), torch.float32),
        (np.ones(3, ">f4"), torch.float32),
        (np.ones(3, ">i2"), torch.int16),
        (np.ones(3, "int64"), torch.int64),
        (np.ones(3, "uint8"), torch.uint8),
        (np.ones(3, "uint16"), torch.int64),
        (np.ones(3, "uint32"), torch.int64),
        (np.ones(3, "uint64"), torch.int64),
        (np.ones(3, bool), torch.bool),
        (np.ones(3, "complex64"), torch.complex64),
        (torch.ones(3, dtype=torch.float64), torch.float32),
        (torch.ones(3, dtype=torch.bfloat16), torch.bfloat16),
        (torch.ones(3, dtype=torch.int32), torch.int32),
        (torch.nn.Parameter(torch.ones(3)), torch.float32),
        (keras.Variable([1.0, 1.0, 1.0]), torch.float32),
        (pd.Series([1, 1, 1]), torch.int64),
        (pd.Series([1.0, 1.0, 1.0]), torch.float32),
        (pd.Series([True] * 3), torch.bool),
        (pd.Series([1, 1, 1], dtype="Int64"), torch.int64),
        (pd.Series([Decimal(1)] * 3), torch.float32),
        (np.array([1, 1.0, True], object), torch.float32),
        ([1, 1, 1], torch.int64),
        ([1.0, 1, True], torch.float32),
        ((1, 1, 1), torch.int64),
        ([np.float64(1)] * 3, torch.float32),
        ([np.int64(1)] * 3, torch.int64),
        ([torch.tensor(1)] * 3, torch.int64),
        ([np.array(1.0)] * 3, torch.float32),
        ([Decimal(1)] * 3, torch.float32),
        (np.ma.masked_array([1.0, 1.0, 1.0]), torch.float32),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_numbers_in_every_wrapping(value, kind):
    tensor = to_tensors(value, "x")
    assert type(tensor) is torch.Tensor or isinstance(tensor, torch.Tensor)
    assert tensor.dtype is kind and tensor.tolist() == [1, 1, 1]
    assert not tensor.requires_grad


def test_floatx_is_what_double_becomes():
    keras.config.set_floatx("float64")
    try:
        assert to_tensors(np.ones(2), "x").dtype is torch.float64
        assert to_tensors(np.ones(2, "float32"), "x").dtype is torch.float32
    finally:
        keras.config.set_floatx("float32")


def test_memory_is_shared_where_it_can_be():
    array = np.zeros((2, 3), "float32")
    assert to_tensor(array, "x").data_ptr() == array.ctypes.data
    tensor = torch.zeros(2)
    assert to_tensor(tensor, "x").data_ptr() == tensor.data_ptr()


def test_a_read_only_array_is_copied():
    array = np.zeros(3, "float32")
    array.flags.writeable = False
    tensor = to_tensor(array, "x")
    tensor[0] = 5
    assert array[0] == 0


@quick
@given(
    hypothesis_numpy.arrays(
        st.sampled_from(["float32", "float64", "int32", "uint8", "bool", ">f4", "float16", "uint16"]),
        hypothesis_numpy.array_shapes(min_dims=1, max_dims=4, max_side=4),
        elements=st.integers(0, 1),
    ),
    st.randoms(use_true_random=False),
)
def test_any_view_of_an_array_keeps_its_numbers(array, random):
    axes = list(range(array.ndim))
    random.shuffle(axes)
    view = array.transpose(axes)
    for axis in range(view.ndim):
        view = np.flip(view, axis) if random.random() < 0.5 else view
        if view.shape[axis] > 1 and random.random() < 0.5:
            view = view[(slice(None),) * axis + (slice(None, None, 2),)]
    if random.random() < 0.5:
        view.flags.writeable = False
    tensor = to_tensor(view, "x")
    assert tuple(tensor.shape) == view.shape
    assert np.array_equal(tensor.numpy(), view)


def test_structures_stay_as_they_are():
    found = to_tensors({"a": np.ones(2), "b": [np.ones(2), torch.ones(2)], "c": [1, 2], "d": None}, "x")
    assert list(found) == ["a", "b", "c", "d"] and isinstance(found["b"], list) and found["d"] is None
    assert found["c"].tolist() == [1, 2]
    assert isinstance(to_tensors((np.ones(2), np.ones(3)), "x"), list)
    assert to_tensors(None, "x") is None


def test_frames():
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]})
    assert to_tensors(frame, "x").tolist() == [[1, 0.5, 1], [2, 1.5, 0]]
    assert to_tensors(frame[["a"]], "x").dtype is torch.int64
    assert to_tensors(frame.astype({"a": "Int64", "b": "Float64"}), "x").dtype is torch.float32
    assert is_frame(frame) and is_frame(frame["a"]) and not is_frame(np.ones(2))


def test_small_questions():
    assert is_array(np.ones(2)) and is_array(torch.ones(2)) and is_array(np.float32(1)) and not is_array([1, 2])
    assert (
        is_numbers([[1, 2], [3, 4]]) and is_numbers([[["a"]]]) and not is_numbers([np.ones(2)]) and not is_numbers([])
    )
    assert lengths([torch.ones(3), None, torch.ones(4, 2), torch.ones(())]) == [3, 4]


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("words", "'words'"),
        (5, "the number 5"),
        (object(), "x is of type object"),
        ([], "x is empty: []."),
        ([[1, 2], [3]], "from 1 to 2."),
        ([[1, 2], [3]], "Fix: x = uncrumple.utils.pad_sequences(x, maxlen=2)"),
        (np.array([[1, 2], [3]], object), "from 1 to 2."),
        (["a", "b"], "x holds text"),
        (np.array(["a", "b"]), "'a'"),
        (np.array(["a", 1], object), "x holds text"),
        (np.array([1, "a"], object), "x holds 'a', a str"),
        (np.array([1, {}], object), "x holds {}, a dict"),
        (np.array(["2020-01-01"], "datetime64[D]"), "datetime64[D]"),
        (pd.DataFrame({"a": [1], "b": ["u"]}), "'b'"),
        (pd.DataFrame({"a": [1], "b": pd.Categorical(["u"])}), "'b'"),
        (pd.Series(["u", "v"]), "x holds text"),
        ({"a": ["u"]}, "x['a'] holds text"),
        ([np.ones(2), np.array(["u", "v"])], "x[1] holds text"),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_what_is_no_array_of_numbers(value, words):
    with pytest.raises(ValueError) as raised:
        to_tensors(value, "x")
    lines = str(raised.value).split("\n")
    assert words in str(raised.value) and len(lines) == 3 and lines[2].startswith("Fix: ")


def test_sparse_matrices_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ValueError, match=r"Fix: x.toarray\(\)"):
        to_tensors(sparse.eye(3, format="csr"), "x")


def test_lists_of_objects_with_nothing_in_them_become_nan():
    assert to_tensors(np.array([1.0, None], object), "x").isnan().tolist() == [False, True]
