"""`tree` against Keras's."""

import inspect
from collections import OrderedDict, defaultdict, deque, namedtuple

import keras
import pytest

from uncrumple import tree

NAMES = [name for name in dir(keras.tree) if not name.startswith("_")]
Point = namedtuple("Point", ["x", "y"])
STRUCTURES = [
    5,
    None,
    "text",
    [],
    {},
    [1, (2, 3), {"b": 4, "a": [5, None]}],
    {"z": 1, "a": {"k": 3, "m": (2,)}},
    OrderedDict([("z", 1), ("a", [2, 3])]),
    Point(1, [2, Point(3, 4)]),
    [[1]],
    [1],
    (1, 2),
]


def test_the_names_are_keras_s():
    assert sorted(tree.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "MAP_TO_NONE"])
def test_signatures(name):
    theirs, own = (inspect.signature(getattr(module, name)) for module in (keras.tree, tree))
    assert [(p.name, p.kind, p.default) for p in own.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]


def both(name, *args, **kwargs):
    """Return what Keras and we give; "refused" for an error."""
    found = []
    for module in (keras.tree, tree):
        try:
            found.append(getattr(module, name)(*args, **kwargs))
        except (ValueError, TypeError):
            found.append("refused")
    return found


@pytest.mark.parametrize("structure", STRUCTURES, ids=range(len(STRUCTURES)))
def test_one_structure(structure):
    for name in ("is_nested", "flatten", "flatten_with_path", "lists_to_tuples"):
        theirs, own = both(name, structure)
        assert own == theirs and type(own) is type(theirs), name
    theirs, own = both("map_structure", lambda leaf: [leaf], structure)
    assert own == theirs
    count = len(tree.flatten(structure))
    theirs, own = both("pack_sequence_as", structure, list(range(count)))
    assert own == theirs and type(own) is type(theirs)


@pytest.mark.parametrize("a", STRUCTURES, ids=range(len(STRUCTURES)))
def test_two_structures(a):
    for b in STRUCTURES:
        for name in ("assert_same_structure", "assert_same_paths"):
            theirs, own = both(name, a, b)
            assert own == theirs, (name, b)
        same = both("assert_same_structure", a, b)[1] is None
        theirs, own = both("map_structure", lambda one, other: (one, other), a, b)
        # Keras's torch backend lets some structures pass that differ.
        assert own == (theirs if same else "refused"), b


def test_keys_are_sorted_at_every_depth():
    """Keras's torch backend sorts the outermost only."""
    assert tree.flatten({"z": 1, "a": {"m": (2,), "k": 3}}) == [3, 2, 1]


def test_none_as_no_leaf():
    for structure in ([1, None], None, {"a": None, "b": 2}):
        theirs, own = both("map_structure", lambda leaf: leaf + 1, structure, none_is_leaf=False)
        assert own == theirs


@pytest.mark.parametrize("shallow", [None, [None, None], [None, [None, None]], {"a": None, "b": [None]}], ids=range(4))
@pytest.mark.parametrize("deep", [[[1, 1], [2, 2]], {"a": [1, 2], "b": [3]}, [1, [2, 3]], 5], ids=range(4))
def test_map_structure_up_to(shallow, deep):
    theirs, own = both("map_structure_up_to", shallow, str, deep)
    assert own == theirs


@pytest.mark.parametrize("top_down", [True, False])
def test_traverse(top_down):
    structure = [(1, 2), [3], {"a": 4, "b": (5, [6])}]
    for module in (keras.tree, tree):
        seen = []
        out = module.traverse(seen.append, structure, top_down=top_down)
        assert out == structure
        if module is keras.tree:
            expected = seen
    assert seen == expected

    def change(part):
        if isinstance(part, tuple):
            return "tuple"
        return tree.MAP_TO_NONE if part == 3 else None

    def change_there(part):
        found = change(part)
        return keras.tree.MAP_TO_NONE if found is tree.MAP_TO_NONE else found

    assert tree.traverse(change, structure, top_down) == keras.tree.traverse(change_there, structure, top_down)


def test_shapes():
    structure = {"a": (None, 3), "b": [(2, 4), (None, 1, 1)]}
    theirs, own = both("map_shape_structure", lambda shape: len(shape), structure)
    assert own == theirs == {"a": 2, "b": [2, 3]}


def test_kinds_are_kept():
    assert tree.map_structure(lambda x: x + 1, deque([1, 2])) == deque([2, 3])
    made = tree.map_structure(lambda x: x + 1, defaultdict(list, {"b": 1, "a": 2}))
    assert made == {"b": 2, "a": 3} and made["c"] == []
    assert tree.pack_sequence_as(Point(0, [0]), [1, 2]) == Point(1, [2])


def test_mistakes_are_explained():
    with pytest.raises(ValueError) as error:
        tree.map_structure(max, [1, 2], [1, 2, 3])
    assert str(error.value).startswith("The two structures differ: list of 2 and list of 3.\nExpected the same nesting")
    with pytest.raises(ValueError) as error:
        tree.pack_sequence_as([1, 2], [1])
    assert str(error.value) == (
        "pack_sequence_as got 1 values for a structure of 2 leaves.\nExpected 2.\nFix: flatten(structure) shows the leaves"
    )
