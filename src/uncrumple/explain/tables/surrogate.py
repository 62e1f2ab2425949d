"""On the stand: a decision tree that answers as the network does, as far as a tree can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.data.checks.report import Finding
from uncrumple.explain.asked import check_whole
from uncrumple.explain.attribution.style import Result, headed, number, styled
from uncrumple.explain.keeping import answering
from uncrumple.explain.style import BLUE, FAINT, GREEN, ORANGE, PURPLE, RED
from uncrumple.explain.tables.black_box import BlackBox, black_box, taken

_DEEPEST, _MOST_ROWS, _MOST_KINDS = 4, 5000, 30
# From this fidelity on a tree may speak for the network.
_FAITHFUL = 0.9
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, "#56B4E9", "#F0E442", "#000000")


@dataclass(frozen=True)
class Leaf:
    """Where a tree ends: what it answers, for how many of the rows it was fitted to, and how many of these agree."""

    answer: str
    rows: int
    share: float | None
    place: int


@dataclass(frozen=True)
class Question:
    """A question of a tree, and where yes and no lead."""

    said: str
    rows: int
    yes: Question | Leaf
    no: Question | Leaf


@dataclass
class Surrogate(Result):
    """A decision tree fitted to a network's answers, and how often it answers the same on rows it has not seen.

    Args:
        tree: The fitted tree of scikit-learn.
        root: Its questions.
        features: What the tree is asked about, by name.
        fidelity: On held-out rows: the share that it answers as the network does; of a regression, the share of the
            network's variance that it explains (R squared).
        interval: Of the fidelity, 95 %; Wilson's of a share, by the bootstrap otherwise.
        majority: What the best answer without any question reaches on the same rows.
        fitted_rows, held_rows: How many rows the tree was fitted to, and judged on.
        depth: How many questions are asked at most.
        truths: On the held-out rows, against the data: {"tree": accuracy, "network": accuracy}; empty without answers.
        names: The classes; empty for a regression.
        remarks: What a reader must know.
    """

    tree: Any
    root: Question | Leaf
    features: tuple[str, ...]
    fidelity: float
    interval: tuple[float, float]
    majority: float
    fitted_rows: int
    held_rows: int
    depth: int
    truths: dict[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def speaks(self) -> bool:
        """Whether the tree answers as the network does often enough, and more often than without questions."""
        return self.fidelity >= _FAITHFUL and self.interval[0] > self.majority

    @property
    def title(self) -> str:
        share, rows = f"{100 * self.fidelity:.0f} %", f"{self.held_rows:,} rows it has not seen"
        most = "without a question" if self.depth == 0 else f"of at most {self.depth} questions"
        if self.names:
            said = f"A tree {most} answers as the network does on {share} of {rows}"
            rest = f"always the same answer on {100 * self.majority:.0f} %"
        else:
            said = f"A tree {most} explains {share} of how the network's answers vary on {rows}"
            rest = "always the mean explains 0 %"
        if self.speaks:
            return f"{said} ({rest}): it can speak for the network."
        return f"{said} ({rest}): do not take its word for the network's."

    @property
    def findings(self) -> tuple[Finding, ...]:  # type: ignore[override]
        return (
            Finding(
                "surrogate" if self.speaks else "unfaithful-surrogate",
                "note" if self.speaks else "warning",
                self.title,
                self.fidelity,
                _FAITHFUL,
                "fidelity on held-out rows",
                "A tree explains a network only where both answer alike.",
                "compare the tree itself with the network: uc.judge" if self.speaks else f"depth={self.depth + 3}",
            ),
        )

    def lines(self) -> list[str]:
        low, high = self.interval
        what = "Fidelity" if self.names else "Fidelity (R²)"
        lines = [
            f"{what} {100 * self.fidelity:.1f} % [{100 * low:.1f}–{100 * high:.1f}] on {self.held_rows:,} held-out rows; "
            f"without a question {100 * self.majority:.1f} %. Fitted to the network's answers on {self.fitted_rows:,}."
        ]
        if self.truths:
            kind = "right" if self.names else "mean absolute error"
            said = {who: f"{100 * value:.1f} %" if self.names else number(value) for who, value in self.truths.items()}
            lines.append(f"Against the data: the tree {said['tree']} {kind}, the network {said['network']}.")
        return [*lines, *_lines(self.root)]

    @styled
    def plot(self) -> Any:
        """Draw the tree from left to right: questions in boxes, answers at the right."""
        from matplotlib.figure import Figure

        leaves, depth = list(_leaves(self.root)), _depth(self.root)
        longest = max((len(node.said) for node in _questions(self.root)), default=0)
        apart = max(1.9, 0.075 * longest + 1.0)  # inches from question to question
        wide = 0.075 * max(len(_leaf_words(leaf)) for leaf in leaves) + 0.3
        size = (max(7.0, apart * depth + wide), max(2.2, 0.5 * len(leaves) + 1.3))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlim=(-0.05, max(depth + wide / apart, 7.0 / apart)), ylim=(len(leaves) - 0.4, -0.6))
        axes.axis("off")
        self._draw(axes, self.root, 0, iter(range(len(leaves))), (0.075 * longest + 0.3) / apart)
        share = "share of these rows that the network answers so" if self.names else "mean of the network's answers"
        headed(figure, self.title, size[0], f"Right: the tree's answer, {share}. Upper branch: yes; lower: no.")
        return figure

    def _draw(self, axes: Any, node: Question | Leaf, depth: int, lines: Iterator[int], out: float) -> float:
        if isinstance(node, Leaf):
            line = float(next(lines))
            colour = _COLOURS[node.place % len(_COLOURS)] if self.names else BLUE
            axes.plot([depth], [line], "s", color=colour, markersize=8)
            axes.text(depth + 0.06, line, _leaf_words(node), va="center", fontsize=9)
            return line
        upper = self._draw(axes, node.yes, depth + 1, lines, out)
        lower = self._draw(axes, node.no, depth + 1, lines, out)
        middle = (upper + lower) / 2
        for end, word in ((upper, "yes"), (lower, "no")):
            # The line begins beneath the box, and leaves it at its side, however long the question is.
            places, heights = [depth + 0.05, depth + out, depth + out + 0.12, depth + 1], [middle, middle, end, end]
            axes.plot(places, heights, color=FAINT, linewidth=1.2, zorder=0)
            axes.text(depth + out + 0.14, end - 0.05, word, fontsize=8, color="#555555", ha="left", va="bottom")
        axes.text(
            depth,
            middle,
            f"{node.said}?",
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": FAINT, "boxstyle": "round,pad=0.3"},
        )
        return middle

    def to_dict(self) -> dict[str, Any]:
        return {
            "fidelity": self.fidelity,
            "interval": list(self.interval),
            "majority": self.majority,
            "depth": self.depth,
            "leaves": len(list(_leaves(self.root))),
            "fitted_rows": self.fitted_rows,
            "held_rows": self.held_rows,
            "truths": self.truths,
            "features": list(self.features),
            "tree": _lines(self.root),
            "findings": list(self.findings),
            "remarks": list(self.remarks),
        }


def surrogate_tree(
    model: Any,
    data: Any,
    *,
    depth: int | None = None,
    held_out: float = 0.3,
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    most_rows: int = _MOST_ROWS,
    seed: int = 0,
) -> Surrogate:
    """Put a network on the stand: fit a decision tree to its answers, and say how far the tree can be believed.

    The tree learns what the network answers, not what is true. Its fidelity is measured on rows that it was not
    fitted to, beside what one gets without any question.

    Source: Craven and Shavlik, "Extracting Tree-Structured Representations of Trained Networks", NeurIPS 1995.

    Args:
        model: An uncrumple model, a torch module, or an estimator of scikit-learn. It is left as it was.
        data: A `Table`; parts of one (the tree is fitted to the training part and judged on the validation part);
            (x, y); or x alone: a dict of columns, a frame, or an array (rows, features).
        depth: How many questions at most; by default the fewest, up to 4, that do as well as more within the
            standard error of a cross-validation.
        held_out: The share of rows that the tree is judged on, 0 < held_out < 1; not used with parts.
        feature_names, class_names: Names; by default those of the data.
        most_rows: Of more rows, so many are drawn.
        seed: Of the division into rows to fit and to judge.

    Returns:
        A `Surrogate`: `fidelity`, `interval`, `majority`, `tree`; `print` it, `plot` it, `save` it.

    Raises:
        ValueError: There are too few rows, or an argument is impossible.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1, activation="sigmoid")])
        >>> model.set_weights([np.array([[50.0], [0.0]]), np.array([-25.0])])
        >>> x = np.random.default_rng(0).uniform(size=(400, 2))
        >>> found = surrogate_tree(model, x, feature_names=["size", "other"])
        >>> found.root.said[:6], found.depth, found.fidelity > 0.98
        ('size ≤', 1, True)
    """
    if depth is not None:
        check_whole("surrogate_tree", "depth", depth, 1, "depth=3")
    if not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
        raise ValueError(
            explain(f"surrogate_tree got held_out={held_out!r}.", "Expected 0 < held_out < 1.", "held_out=0.3")
        )
    names: dict[str, Any] = {
        "feature_names": feature_names,
        "class_names": class_names,
        "most": most_rows,
        "seed": seed,
    }
    with answering(model):
        in_parts = hasattr(data, "peek") and hasattr(data, "train") and len(data.rows.validation)
        box = black_box("surrogate_tree", model, data, **names)
        held = box
        if in_parts:
            box = black_box("surrogate_tree", model, data.train, **names)
            box.remarks = ["Fitted to the training part, judged on the validation part."]
        answers = box.answers()
        held_answers = held.answers()
    labels, held_labels = (one.argmax(axis=1) if box.is_classifier else one for one in (answers, held_answers))
    rows, held_rows = np.arange(len(box)), np.arange(len(held))
    if not in_parts:
        rows = np.random.default_rng(seed).permutation(len(box))
        cut = round((1 - held_out) * len(box))
        rows, held_rows = np.sort(rows[:cut]), np.sort(rows[cut:])
    if min(len(rows), len(held_rows)) < 10:
        raise ValueError(
            explain(
                f"surrogate_tree got {len(rows)} rows to fit a tree to, and {len(held_rows)} to judge it on.",
                "Expected at least 10 of each.",
                "more rows",
            )
        )
    features = _features(box)
    x, y = features.matrix(box, rows), labels[rows]
    x_held, y_held = features.matrix(held, held_rows), held_labels[held_rows]
    tree = _fitted(x, y, box.is_classifier, depth or _depth_for(x, y, box.is_classifier, seed), seed)
    said = tree.predict(x_held)
    fidelity, interval, majority = _fidelity(said, y_held, y, box.is_classifier, seed)
    truths = {}
    if held.y is not None:
        true = held.y[held_rows]
        error = (
            (lambda one: float(np.mean(one == true)))
            if box.is_classifier
            else (lambda one: float(np.mean(np.abs(one - true))))
        )
        truths = {"tree": error(said), "network": error(y_held)}
    return Surrogate(
        tree,
        _node(tree, 0, features, box),
        tuple(features.names),
        fidelity,
        interval,
        majority,
        len(rows),
        len(held_rows),
        int(tree.get_depth()),
        truths,
        box.names,
        (*box.remarks, *features.remarks),
    )


# --- what the tree is asked about ------------------------------------------------------------


@dataclass
class _Features:
    """The columns of a table as a tree takes them: numbers as they are, each category a question of its own."""

    parts: list[tuple[str, Any]]
    names: list[str]
    remarks: list[str]

    def matrix(self, box: BlackBox, rows: np.ndarray) -> np.ndarray:
        raw = taken(box.raw, rows)
        made = []
        for column, value in self.parts:
            values = box.values(column, raw)
            made.append(values.astype(np.float64) if value is None else (values == value).astype(np.float64))
        return np.stack(made, axis=1)


def _features(box: BlackBox) -> _Features:
    parts: list[tuple[str, Any]] = []
    names, remarks = [], []
    for column in box.columns:
        if column.is_number:
            parts.append((column.name, None))
            names.append(column.name)
            continue
        kinds = sorted(set(box.values(column.name).tolist()))
        if len(kinds) > _MOST_KINDS:
            remarks.append(f"The tree was not asked about '{column.name}': it holds {len(kinds)} different texts.")
            continue
        for kind in kinds[:1] if len(kinds) == 2 else kinds:
            parts.append((column.name, kind))
            names.append(f"{column.name} is {kind!r}" if kind else f"{column.name} is missing")
    if not parts:
        raise ValueError(
            explain(
                "surrogate_tree found no column of numbers or categories.",
                "Expected one at least.",
                "uc.explain.attribute(model, data), for texts",
            )
        )
    return _Features(parts, names, remarks)


# --- the tree ----------------------------------------------------------------------------------


def _fitted(x: np.ndarray, y: np.ndarray, is_classifier: bool, depth: int, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if is_classifier else DecisionTreeRegressor
    return kind(max_depth=depth, min_samples_leaf=max(1, len(x) // 200), random_state=seed).fit(x, y)


def _depth_for(x: np.ndarray, y: np.ndarray, is_classifier: bool, seed: int) -> int:
    """Return the fewest questions that do as well as more, within a standard error over five folds."""
    folds = np.random.default_rng(seed).permutation(len(x)) % 5
    scores = np.zeros((_DEEPEST, 5))
    for fold in range(5):
        inside, outside = folds != fold, folds == fold
        for depth in range(1, _DEEPEST + 1):
            said = _fitted(x[inside], y[inside], is_classifier, depth, seed).predict(x[outside])
            scores[depth - 1, fold] = (
                np.mean(said == y[outside]) if is_classifier else -np.mean((said - y[outside]) ** 2)
            )
    means = scores.mean(axis=1)
    best = int(means.argmax())
    error = float((scores[best] - scores).std(axis=1, ddof=1).max() / np.sqrt(5)) if best else 0.0
    return next(place for place in range(_DEEPEST) if means[place] >= means[best] - error) + 1


def _fidelity(
    said: np.ndarray, asked: np.ndarray, fitted: np.ndarray, is_classifier: bool, seed: int
) -> tuple[float, tuple[float, float], float]:
    if is_classifier:
        from scipy.stats import binomtest

        same = int((said == asked).sum())
        found = binomtest(same, len(asked)).proportion_ci(0.95, method="wilson")
        kinds, counts = np.unique(fitted, return_counts=True)
        majority = float(np.mean(asked == kinds[counts.argmax()]))
        return same / len(asked), (float(found.low), float(found.high)), majority

    def r2(rows: np.ndarray) -> float:
        spread = float(np.var(asked[rows]))
        return 1 - float(np.mean((said[rows] - asked[rows]) ** 2)) / spread if spread > 0 else 1.0

    draws = np.random.default_rng(seed)
    again = [r2(draws.integers(0, len(asked), len(asked))) for _ in range(500)]
    low, high = np.quantile(again, [0.025, 0.975])
    return r2(np.arange(len(asked))), (float(low), float(high)), 0.0


def _node(tree: Any, at: int, features: _Features, box: BlackBox) -> Question | Leaf:
    inside = tree.tree_
    rows = int(inside.n_node_samples[at])
    left, right = inside.children_left[at], inside.children_right[at]
    if left < 0:
        value = inside.value[at][0]
        if not box.is_classifier:
            return Leaf(number(float(value[0])), rows, None, 0)
        place = int(np.argmax(value))
        label = int(tree.classes_[place])
        name = box.names[label] if label < len(box.names) else f"class {label}"
        return Leaf(str(name), rows, float(value[place] / value.sum()), label)
    feature, edge = int(inside.feature[at]), float(inside.threshold[at])
    under, over = _node(tree, left, features, box), _node(tree, right, features, box)
    if isinstance(under, Leaf) and isinstance(over, Leaf) and box.is_classifier and under.answer == over.answer:
        # A question whose two answers are the same is none.
        rows_of = under.rows + over.rows
        share = (under.rows * (under.share or 0) + over.rows * (over.share or 0)) / rows_of
        return Leaf(under.answer, rows_of, share, under.place)
    if features.parts[feature][1] is None:
        return Question(f"{features.names[feature]} ≤ {number(edge, 4)}", rows, under, over)
    return Question(features.names[feature], rows, over, under)


def _leaf_words(leaf: Leaf) -> str:
    share = f"{100 * leaf.share:.0f} % of " if leaf.share is not None else ""
    return f"{leaf.answer} ({share}{leaf.rows:,} rows)"


def _lines(root: Question | Leaf) -> list[str]:
    """Return a tree as lines, what is asked first at the left."""
    lines: list[str] = []

    def write(node: Question | Leaf, lead: str, branch: str, word: str) -> None:
        lines.append(f"{lead}{branch}{word}{_leaf_words(node) if isinstance(node, Leaf) else node.said + '?'}")
        if isinstance(node, Question):
            below = lead + ("" if not branch else "│  " if branch.startswith("├") else "   ")
            write(node.yes, below, "├─ ", "yes: ")
            write(node.no, below, "└─ ", "no: ")

    write(root, "", "", "")
    return lines


def _leaves(node: Question | Leaf) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    else:
        yield from _leaves(node.yes)
        yield from _leaves(node.no)


def _questions(node: Question | Leaf) -> Iterator[Question]:
    if isinstance(node, Question):
        yield node
        yield from _questions(node.yes)
        yield from _questions(node.no)


def _depth(node: Question | Leaf) -> int:
    return 0 if isinstance(node, Leaf) else 1 + max(_depth(node.yes), _depth(node.no))
