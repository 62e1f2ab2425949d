"""Names that count, nested structures leaf by leaf, shapes and seeds."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import uncrumple as keras
from uncrumple.core import naming, seeds, tree
from uncrumple.core.shapes import as_shape, count, in_words

# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Dense", "dense"),
        ("Conv2D", "conv2d"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("SimpleRNN", "simple_rnn"),
        ("RMSprop", "rm_sprop"),
        ("AdamW", "adam_w"),
        ("LSTM", "lstm"),
        ("GRUCell", "gru_cell"),
        ("BatchNormalization", "batch_normalization"),
        ("ELU", "elu"),
        ("PReLU", "p_re_lu"),
        ("My_Layer", "my__layer"),
        ("GlobalAveragePooling1D", "global_average_pooling1d"),
    ],
)
def test_snake_case_is_that_of_keras(written, expected):
    assert naming.to_snake_case(written) == expected


def test_snake_case_of_everything_keras_has():
    import keras as theirs
    from keras.src.utils.naming import to_snake_case

    names = [*dir(theirs.layers), *dir(theirs.optimizers), *dir(theirs.losses), *dir(theirs.metrics), "A", "aB", "ABc"]
    assert {name: naming.to_snake_case(name) for name in names} == {name: to_snake_case(name) for name in names}


def test_names_count_up_and_begin_anew():
    naming.reset_names()
    assert [naming.auto_name("Dense") for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert naming.auto_name("dense") == "dense_3" and naming.auto_name("Other") == "other"
    keras.utils.clear_session()
    assert naming.auto_name("Dense") == "dense"


# --- trees ---------------------------------------------------------------------------------

structures = st.recursive(
    st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(structures)
def test_flatten_pack_and_map_agree(structure):
    leaves = tree.flatten(structure)
    assert all(isinstance(leaf, int) for leaf in leaves)
    assert tree.pack(structure, leaves) == structure
    doubled = tree.map_structure(lambda leaf: leaf * 2, structure)
    assert tree.flatten(doubled) == [leaf * 2 for leaf in leaves]
    assert tree.pack(structure, tree.flatten(doubled)) == doubled
    assert type(tree.map_structure(lambda leaf: leaf, structure)) is type(structure)


def test_dicts_are_walked_in_sorted_order_and_keep_their_own():
    structure = {"b": [1, 2], "a": 3}
    assert tree.flatten(structure) == [3, 1, 2]
    assert list(tree.pack(structure, [30, 10, 20]).items()) == [("b", [10, 20]), ("a", 30)]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(structures)
def test_paths_lead_to_the_leaves(structure):
    def follow(path):
        part = structure
        for key in path:
            part = part[key]
        return part

    assert [follow(path) for path in tree.paths(structure)] == tree.flatten(structure)


def test_kinds_of_dicts_and_tuples_stay():
    Point = namedtuple("Point", "x y")
    assert tree.map_structure(lambda leaf: leaf + 1, Point(1, 2)) == Point(2, 3)
    assert type(tree.map_structure(lambda leaf: leaf + 1, OrderedDict(a=1))) is OrderedDict
    assert tree.is_nested(()) and not tree.is_nested("ab") and tree.flatten(None) == [None]


def test_named_tuples_are_packed_again():
    Point = namedtuple("Point", "x y")
    assert tree.pack(Point(1, 2), [3, 4]) == Point(3, 4) and type(tree.pack(Point(1, 2), [3, 4])) is Point


# --- shapes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_shape", "expected"),
    [
        ((28, 28, 1), (28, 28, 1)),
        ([None, 3], (None, 3)),
        (5, (5,)),
        ((), ()),
        (np.int64(4), (4,)),
        (torch.Size([2, 3]), (2, 3)),
        ((3.0, 4), (3, 4)),
        (np.array([2, 3]), (2, 3)),
    ],
    ids=str,
)
def test_shapes_are_plain_tuples(given_shape, expected):
    found = as_shape(given_shape)
    assert found == expected and type(found) is tuple and all(size is None or type(size) is int for size in found)


@pytest.mark.parametrize("wrong", [None, "28", (2.5,), (-1, 3), ("a",), [[1]], 2.5], ids=str)
def test_shapes_that_are_none(wrong):
    with pytest.raises(ValueError) as raised:
        as_shape(wrong, "Input")
    assert str(raised.value).startswith("Input") and "\nFix: " in str(raised.value)


def test_shapes_in_words():
    assert in_words((1000, 28, 28, 1)) == "(1000, 28, 28, 1): samples, height, width, channels"
    assert in_words((3, 2)) == "(3, 2): samples, features" and in_words((1,) * 7) == "(1, 1, 1, 1, 1, 1, 1)"
    assert count((2, None, 3)) == 6 and count(()) == 1


# --- seeds ------------------------------------------------------------------------------------


def test_one_seed_for_python_numpy_and_torch():
    import random

    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    keras.utils.set_random_seed(7)
    first = draw()
    keras.utils.set_random_seed(np.int64(7))
    assert draw() == first
    keras.utils.set_random_seed(8)
    assert not set(draw()) & set(first)


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.5, "1", None])
def test_seeds_that_cannot_be(wrong):
    with pytest.raises(ValueError) as raised:
        keras.utils.set_random_seed(wrong)
    assert str(raised.value) == (
        f"set_random_seed got {wrong!r}.\nExpected a whole number from 0 to 2**32 - 1.\nFix: set_random_seed(0)"
    )


def test_generators():
    assert seeds.generator(None) is None
    one, other = seeds.generator(3), seeds.generator(3)
    assert torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=other))
