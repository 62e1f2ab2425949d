"""What is said about data: right, complete, and fit for JSON."""

import dataclasses
import json

import numpy as np
import pytest

from uncrumple.data.describe import balance_bars, describe, draw, facts, side_by_side
from uncrumple.data.named import load


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast-cancer", "diabetes"])
def test_facts_are_plain_data(name):
    found = facts(load(name))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    if found["task"] == "classification":
        assert sum(entry["rows"] for entry in found["classes"]) == found["rows"]


def test_the_lines_for_a_table():
    lines = describe(load("iris"), width=10, ascii_only=True)
    assert lines[1:6] == [
        "x: (150, 4): samples, features; float32, from 0.1 to 7.9, nothing missing",
        "y: which species of iris; 3 classes",
        "  setosa      ##########  50  33.3 %",
        "  versicolor  ##########  50  33.3 %",
        "  virginica   ##########  50  33.3 %",
    ]
    assert "Always answering 'setosa' would be right 33.3 % of the time." in lines
    assert lines[-1].startswith("licence: ")


def test_the_lines_for_pictures_and_for_a_regression():
    assert any("samples, height, width, channels" in line for line in describe(load("digits")))
    assert any("half of them between 87 and 211.5" in line for line in describe(load("diabetes")))


def test_missing_values_and_rare_classes_are_said():
    iris = load("iris")
    x = iris.x.copy()
    x[0, 0] = x[3, 1] = np.nan
    y = np.array([0] * 100 + [1] * 49 + [2])
    lines = describe(dataclasses.replace(iris, x=x, y=y))
    assert any("2 values missing" in line for line in lines)
    assert "Rare: virginica. Accuracy alone says little about them." in lines
    assert facts(dataclasses.replace(iris, x=x, y=y))["features"][0]["missing"] == 1


def test_bars_are_as_long_as_their_share():
    assert balance_bars([("a", 40), ("bb", 20), ("c", 0)], width=4) == [
        "  a   ████  40  66.7 %",
        "  bb  ██    20  33.3 %",
        "  c          0   0.0 %",
    ]
    assert balance_bars([]) == []
    assert balance_bars([(str(kind), 1) for kind in range(30)])[-1] == "  and 10 more classes"


def test_pictures_are_drawn_with_ink_where_the_values_are_high():
    picture = np.array([[0, 0, 16], [0, 8, 0]])[..., None]
    assert draw(picture) == ["    ██", "  ▒▒  "]
    assert draw(picture, ascii_only=True) == ["    @@", "  ::  "]
    assert draw(np.zeros((2, 2))) == ["    ", "    "]


def test_a_large_picture_is_made_smaller_but_keeps_its_proportions():
    picture = np.zeros((224, 224, 3))
    picture[:112] = 1
    lines = draw(picture, columns=40)
    assert len(lines) == 20
    assert {len(line) for line in lines} == {40}
    assert lines[0] == "█" * 40 and lines[-1] == " " * 40


def test_draw_refuses_what_is_no_picture():
    with pytest.raises(ValueError, match=r"draw got a picture of shape \(3,\) for 28 columns"):
        draw(np.zeros(3))


def test_blocks_side_by_side():
    assert side_by_side([["ab", "c"], ["x", "y", "z"]], gap=2) == ["ab  x", "c   y", "    z"]
    assert side_by_side([]) == []
