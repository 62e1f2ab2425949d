"""docs/keras-coverage.md is what its program writes, and whatever is absent or differs has a reason."""

import importlib.util
import inspect
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def builder():
    spec = importlib.util.spec_from_file_location("build_keras_coverage", DOCS / "build_keras_coverage.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def found(builder):
    return builder.found_names()


def test_the_page_is_up_to_date(builder):
    page = (DOCS / "keras-coverage.md").read_text(encoding="utf-8")
    assert page == builder.text(), "run `make docs`"


def test_whatever_is_absent_has_a_reason(builder, found):
    assert builder.without_reason(found) == []


def test_at_least_95_per_cent_are_here(found):
    here = sum(one.status in ("same", "more") for one in found)
    assert here / len(found) >= 0.95


def test_a_name_without_a_reason_would_be_found(builder, found):
    made_up = [*found, builder.Found("layers.Dens", "absent"), builder.Found("ops.mean", "differs")]
    assert builder.without_reason(made_up) == ["layers.Dens", "ops.mean"]


def function(text):
    return eval(f"lambda {text}: None")


@pytest.mark.parametrize(
    ("theirs", "mine", "status"),
    [
        ("a, b=1", "a, b=1", "same"),
        ("a, b=1", "a, b=1, c=2", "more"),
        ("a, b=1", "a, b=2", "differs"),
        ("a, b=1", "b=1, a=0", "differs"),
        ("a", "x", "differs"),
        ("a", "*args, **kwargs", "more"),
        ("a", "a, *, c", "differs"),
        ("*args, **kwargs", "a", "differs"),
        ("a, **kwargs", "a", "differs"),
        ("a, *, b=1", "a, b=1", "more"),
        ("a, b=1", "a, *, b=1", "differs"),
    ],
)
def test_how_arguments_are_compared(builder, theirs, mine, status):
    assert builder.compare(function(theirs), function(mine)) == status


def test_all_public_rooms_are_looked_at(builder):
    import keras

    rooms = builder.rooms()
    assert {"layers", "ops.nn", "datasets.imdb", "utils.legacy", "applications.resnet50"} <= set(rooms)
    assert inspect.ismodule(rooms["layers"]) and rooms["layers"] is keras.layers
