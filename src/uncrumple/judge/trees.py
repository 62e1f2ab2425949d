"""A decision tree drawn, so that a person can follow it from question to answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.judge.words import decimals

_DEEPEST = 4


@dataclass(frozen=True)
class Node:
    """A question or an answer of a tree.

    Args:
        rows: How many training rows come by.
        said: The question, such as `petal width <= 0.8`, or the answer.
        share: Of the rows, the share that the answer is right for; None for a regression.
        answer: Of a question, what would be answered if the tree ended here.
        yes: Where the answer to the question is yes; None where it ends.
        no: Where it is no.
        more: How many further questions lie below that are not shown.
    """

    rows: int
    said: str
    share: float | None = None
    yes: Node | None = None
    no: Node | None = None
    more: int = 0
    answer: str = ""


def tree_of(
    tree: Any,
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    deepest: int = _DEEPEST,
    units: Mapping[str, tuple[float, float]] | None = None,
    yes_or_no: Collection[str] = (),
) -> Node:
    """Return a fitted scikit-learn tree as nodes with words.

    Args:
        tree: A `DecisionTreeClassifier` or `DecisionTreeRegressor`.
        feature_names: A name for each column; `column 3` by default.
        class_names: A name for each class.
        units: For columns that were scaled, by name, their mean and deviation: the questions are
            then in the units that the column came in.
        yes_or_no: The names of columns that hold 0 or 1, and whose name is what 1 means, such as
            `sex: male`: that is then the question, and 1 is yes.
        deepest: How many questions one below the other to show, at least 1.

    Example:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> found = tree_of(DecisionTreeClassifier().fit([[1.0], [3.0]], [0, 1]), ["width"], ["a", "b"])
        >>> found.said, found.yes.said, found.no.said
        ('width ≤ 2.00', 'a', 'b')
    """
    inside = tree.tree_
    classes = getattr(tree, "classes_", None)

    def questions(number: int) -> int:
        if inside.children_left[number] < 0:
            return 0
        return 1 + questions(inside.children_left[number]) + questions(inside.children_right[number])

    def node(number: int, depth: int) -> Node:
        rows, value = int(inside.n_node_samples[number]), inside.value[number][0]
        left, right = inside.children_left[number], inside.children_right[number]
        if classes is None:
            said, share = f"{value[0]:.{decimals(float(value[0]))}f}", None
        else:
            place = int(np.argmax(value))
            label = int(classes[place])
            said = str(class_names[label]) if label < len(class_names) else f"class {label}"
            share = float(value[place] / value.sum())
        if left < 0 or depth >= deepest:
            return Node(rows, said, share, more=questions(number))
        column, edge = int(inside.feature[number]), float(inside.threshold[number])
        name = str(feature_names[column]) if column < len(feature_names) else f"column {column}"
        if name in yes_or_no:
            return Node(rows, name, share, node(right, depth + 1), node(left, depth + 1), answer=said)
        mean, deviation = (units or {}).get(name, (0.0, 1.0))
        edge = edge * deviation + mean
        places = decimals(edge)
        if name in (units or {}):  # a longitude of -118.3 is not one of -118.4
            places = max(places, decimals(deviation, 2))
        question = f"{name} ≤ {edge:.{places}f}"
        return Node(rows, question, share, node(left, depth + 1), node(right, depth + 1), answer=said)

    return node(0, 0)


def tree_lines(root: Node) -> list[str]:
    """Return a tree as lines of text, what is asked first at the left.

    Example:
        >>> print("\\n".join(tree_lines(Node(2, "width ≤ 2", None, Node(1, "a", 1.0), Node(1, "b", 1.0)))))
        width ≤ 2?
        ├─ yes: a (100 % of 1 rows)
        └─ no: b (100 % of 1 rows)
    """
    lines: list[str] = []

    def write(node: Node, lead: str, branch: str, word: str) -> None:
        text = _words(node) if node.yes is None else f"{node.said}?"
        lines.append(f"{lead}{branch}{word}{text}")
        if node.yes is not None and node.no is not None:
            below = lead + ("" if not branch else "│  " if branch.startswith("├") else "   ")
            write(node.yes, below, "├─ ", "yes: ")
            write(node.no, below, "└─ ", "no: ")

    write(root, "", "", "")
    return lines


def _words(node: Node) -> str:
    share = f"{100 * node.share:.0f} % of " if node.share is not None else ""
    more = f"; {node.more:,} further question{'s' if node.more > 1 else ''} not shown" if node.more else ""
    return f"{node.said} ({share}{node.rows:,} rows{more})"


def leaves_of(root: Node) -> list[Node]:
    """Return what a tree ends in, from left to right."""
    if root.yes is None or root.no is None:
        return [root]
    return [*leaves_of(root.yes), *leaves_of(root.no)]


def depth_of(root: Node) -> int:
    """Return how many questions lie one below the other."""
    return 0 if root.yes is None or root.no is None else 1 + max(depth_of(root.yes), depth_of(root.no))
