"""Permutation importance: how much worse a model answers when a column says nothing any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.checks.report import Finding
from uncrumple.data.kinds.table import Table
from uncrumple.explain.asked import check_whole
from uncrumple.explain.attribution.style import Result, headed, number, styled, table
from uncrumple.explain.keeping import answering
from uncrumple.explain.style import BLUE, FAINT, ORANGE
from uncrumple.explain.tables.black_box import BlackBox, black_box, shares_of, taken

METRICS = {"accuracy": "accuracy", "log_loss": "log loss", "mae": "mean absolute error"}
_MOST_ROWS, _BARS = 2000, 25
# Two columns of numbers that go together like this hide each other.
_TOGETHER = 0.8
_SMALLEST = 1e-7


@dataclass
class Importance(Result):
    """How much worse a model answers when a column (or a group of them) is shuffled.

    Args:
        columns: Names of columns and groups, the most important first.
        losses: How much worse, (columns, repeats): in the metric's unit, accuracy as a share.
        means, spreads: Over the repeats: mean, and standard deviation.
        intervals: Of each mean, the 95 % interval over rows: (columns, 2). Other rows would give another mean.
        base: The metric with all columns as they are.
        metric: Its name.
        rows: How many rows were asked about.
        untrained: The same means for the architecture with freshly drawn weights; None where there is none.
        gradients: The mean size of integrated gradients for each column; None where they cannot be had.
        noise: Names of columns that hold nothing but noise, as the user says.
        remarks: What a reader must know.
    """

    columns: tuple[str, ...]
    losses: np.ndarray
    means: np.ndarray
    spreads: np.ndarray
    intervals: np.ndarray
    base: float
    metric: str
    rows: int
    untrained: np.ndarray | None = None
    gradients: np.ndarray | None = None
    noise: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def floor(self) -> float:
        """What a column of pure noise reaches: the largest loss of the named ones in any repeat; else 0."""
        found = [float(self.losses[place].max()) for place, name in enumerate(self.columns) if name in self.noise]
        return max([0.0, *found])

    @property
    def matters(self) -> tuple[str, ...]:
        """The columns whose interval lies above 0, and above what pure noise reaches."""
        above = (self.intervals[:, 0] > 0) & (self.means > self.floor)
        return tuple(name for name, is_above in zip(self.columns, above) if is_above and name not in self.noise)

    @property
    def agreement(self) -> float:
        """The rank correlation between shuffling and the sizes of integrated gradients; NaN without."""
        if self.gradients is None or len(self.columns) < 3:
            return float("nan")
        ranks = rankdata(self.means), rankdata(self.gradients)
        return float(np.corrcoef(*ranks)[0, 1]) if min(part.std() for part in ranks) > 0 else float("nan")

    @property
    def title(self) -> str:
        matters = self.matters
        rest = len([name for name in self.columns if name not in matters and name not in self.noise])
        if not matters:
            if len(self.columns) < 2:
                return "Shuffling the only column makes no measurable difference."
            return (
                f"No column by itself makes a measurable difference: the {len(self.columns) - 1} others may stand in "
                "for the one that is shuffled."
            )
        first = f"Without '{matters[0]}' {self._worse(float(self.means[self.columns.index(matters[0])]))}"
        if not rest:
            return f"{first}; all columns matter."
        return f"{first}; {rest} of {rest + len(matters)} columns make no measurable difference."

    def _worse(self, loss: float) -> str:
        if self.metric == "accuracy":
            return f"the network is right {100 * loss:.1f} points less often"
        return f"the {METRICS[self.metric]} rises by {number(loss)}"

    def _shown(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.metric == "accuracy" else number(value)

    @property
    def unit(self) -> str:
        return "points of accuracy" if self.metric == "accuracy" else METRICS[self.metric]

    @property
    def findings(self) -> tuple[Finding, ...]:  # type: ignore[override]
        found = []
        for place, name in enumerate(self.columns):
            loss = float(self.means[place])
            if name in self.noise:
                continue
            matters = name in self.matters
            found.append(
                Finding(
                    "column-matters" if matters else "column-without-effect",
                    "note",
                    f"Without '{name}' {self._worse(loss)}." if matters else f"Shuffling '{name}' changes nothing.",
                    loss,
                    max(self.floor, 0.0),
                    f"loss of {METRICS[self.metric]} when shuffled",
                    "A column that can be shuffled without loss is not used, or others say the same.",
                    f"groups={{'with its kin': ['{name}', ...]}}"
                    if not matters
                    else f"partial_dependence(model, data, '{name}')",
                    columns=(name,),
                )
            )
        return tuple(found)

    def lines(self) -> list[str]:
        header = ["column", f"loss in {self.unit}", "95 % over rows", "spread over repeats"]
        header += ["untrained"] if self.untrained is not None else []
        header += ["integr. gradients"] if self.gradients is not None else []
        rows = []
        for place, name in enumerate(self.columns):
            low, high = self.intervals[place]
            row = [
                f"{name} (noise)" if name in self.noise else name,
                self._shown(float(self.means[place])),
                f"{self._shown(float(low))} to {self._shown(float(high))}",
                self._shown(float(self.spreads[place])),
            ]
            row += [self._shown(float(self.untrained[place]))] if self.untrained is not None else []
            row += [number(float(self.gradients[place]))] if self.gradients is not None else []
            rows.append(row)
        base = f"{100 * self.base:.1f} %" if self.metric == "accuracy" else number(self.base)
        lines = [
            f"{METRICS[self.metric]} with all columns: {base} ({self.rows:,} rows, {self.losses.shape[1]} repeats)"
        ]
        lines += table(header, rows)
        if not np.isnan(self.agreement):
            lines.append(f"Shuffling and integrated gradients agree by {self.agreement:.2f} (rank correlation).")
        return lines

    @styled
    def plot(self) -> Any:
        """Draw a bar for each column, with a dot for each repeat and the interval over rows."""
        from matplotlib.figure import Figure

        count = min(_BARS, len(self.columns))
        scale = 100.0 if self.metric == "accuracy" else 1.0
        size = (7.4, 0.3 * count + 1.9)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        places = np.arange(count)[::-1]
        colours = [
            FAINT if name in self.noise else BLUE if name in self.matters else "#b8c9d6" for name in self.columns
        ]
        axes.barh(places, scale * self.means[:count], color=colours[:count], height=0.68)
        low, high = scale * self.intervals[:count].T
        axes.hlines(places, low, high, color="#222222", linewidth=1.4)
        for place, losses in zip(places, scale * self.losses[:count]):
            axes.plot(losses, np.full(len(losses), place), "|", color=ORANGE, markersize=7, markeredgewidth=1.1)
        if self.noise:
            axes.axvline(scale * self.floor, color=FAINT, linestyle=":", linewidth=1.2)
            axes.annotate(
                " what pure noise reaches", (scale * self.floor, -0.5), fontsize=8.5, color="#555555", va="center"
            )
        if self.untrained is not None:
            axes.plot(scale * self.untrained[:count], places, "o", color=FAINT, fillstyle="none", markersize=5)
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.set_yticks(places, [f"{name} (noise)" if name in self.noise else name for name in self.columns[:count]])
        axes.set_ylim(-0.8, count - 0.2)
        axes.set_xlabel(f"what is lost when the column is shuffled ({self.unit})")
        axes.grid(True, axis="x")
        axes.set_axisbelow(True)
        notes = "Orange: each repeat. Black: 95 % interval over rows. Pale: no measurable difference."
        notes += " Circle: an untrained network." if self.untrained is not None else ""
        headed(figure, self.title, size[0], notes)
        return figure

    def to_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "base": self.base,
            "rows": self.rows,
            "columns": list(self.columns),
            "means": self.means,
            "spreads": self.spreads,
            "intervals": self.intervals,
            "losses": self.losses,
            "untrained": self.untrained,
            "integrated_gradients": self.gradients,
            "agreement": self.agreement,
            "noise": list(self.noise),
            "matters": list(self.matters),
            "findings": list(self.findings),
            "remarks": list(self.remarks),
        }


def permutation_importance(
    model: Any,
    data: Any,
    *,
    repeats: int = 10,
    metric: str | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    noise: str | Sequence[str] = (),
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    most_rows: int = _MOST_ROWS,
    seed: int = 0,
) -> Importance:
    """Shuffle each column among the rows, and measure how much worse the model answers.

    Rows that were not learnt from show what the model needs; training rows, what it has memorised.
    The second opinion is the mean size of integrated gradients, and the control an untrained network.

    Source: Breiman, "Random Forests", Machine Learning 2001; for any model Fisher, Rudin and Dominici, JMLR 2019.

    Args:
        model: An uncrumple model, a torch module, or an estimator of scikit-learn. It is left as it was.
        data: A `Table`; parts of one, of which the validation part is taken; or (x, y), with x a dict of columns,
            a frame or an array (rows, features).
        repeats: How often each column is shuffled, a whole number of at least 2.
        metric: `"accuracy"` or `"log_loss"` for classes, `"mae"` for values; by default accuracy, or mae.
        groups: Columns that are shuffled together, by name: `{"place": ["latitude", "longitude"]}`.
        noise: A column, or several, of pure noise that the model was trained with: see `with_noise`.
            What they reach by chance is the floor for the others.
        feature_names, class_names: Names; by default those of the data.
        most_rows: Of more rows, so many are drawn.
        seed: Of the shuffling.

    Returns:
        An `Importance`: `columns`, `means`, `spreads`, `intervals`, `matters`; `print` it, `plot` it, `save` it.

    Raises:
        ValueError: There are no true answers, or an argument is impossible.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[1.0], [0.0]])])
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> found = permutation_importance(model, (x, x[:, 0]), feature_names=["used", "unused"])
        >>> found.matters, float(found.means[1])
        (('used',), 0.0)
    """
    for name, value, least in (("repeats", repeats, 2), ("most_rows", most_rows, 2)):
        check_whole(
            "permutation_importance", name, value, least, f"{name}=10" if name == "repeats" else "most_rows=2000"
        )
    with answering(model):
        box = black_box(
            "permutation_importance",
            model,
            data,
            needs_y=True,
            feature_names=feature_names,
            class_names=class_names,
            most=most_rows,
            seed=seed,
        )
        metric = _metric(metric, box)
        members = box.groups(groups)
        floor = (noise,) if isinstance(noise, str) else tuple(noise)
        for name in floor:
            if name not in members:
                raise ValueError(unknown_name("column", str(name), members))
        assert box.y is not None
        base = _errors(box.answers(), box.y, metric)
        losses, by_row = _shuffled(box, members, metric, repeats, seed, lambda raw: box.answers(raw), base)
        untrained = None
        twin = box.twin(seed)
        if twin is not None:
            answers = lambda raw: shares_of(twin[0], twin[1], raw, box.is_classifier)  # noqa: E731
            first = _errors(answers(box.raw), box.y, metric)
            untrained = _shuffled(box, members, metric, 2, seed, answers, first)[0].mean(axis=1)
        gradients = _gradients(box, members, seed)
    means = losses.mean(axis=1)
    errors = by_row.std(axis=1, ddof=1) / np.sqrt(len(box))
    order = np.argsort(-means, kind="stable")
    names = list(members)
    return Importance(
        tuple(names[place] for place in order),
        losses[order],
        means[order],
        losses[order].std(axis=1, ddof=1),
        np.stack([means - 1.96 * errors, means + 1.96 * errors], axis=1)[order],
        float(1 - base.mean()) if metric == "accuracy" else float(base.mean()),
        metric,
        len(box),
        None if untrained is None else untrained[order],
        None if gradients is None else gradients[order],
        floor,
        (*box.remarks, *_together(box, members)),
    )


def _metric(metric: str | None, box: BlackBox) -> str:
    possible = ("accuracy", "log_loss") if box.is_classifier else ("mae",)
    if metric is None:
        return possible[0]
    if metric not in METRICS:
        raise ValueError(unknown_name("metric", str(metric), METRICS))
    if metric not in possible:
        raise ValueError(
            explain(
                f"permutation_importance got metric={metric!r} for a {box.task}.",
                f"Expected {' or '.join(repr(one) for one in possible)}.",
                f"metric={possible[0]!r}",
            )
        )
    return metric


def _errors(answers: np.ndarray, y: np.ndarray, metric: str) -> np.ndarray:
    """Return for each row how wrong the answer is; their mean is the metric, or 1 less accuracy."""
    if metric == "accuracy":
        return (answers.argmax(axis=1) != y).astype(np.float64)
    if metric == "log_loss":
        return -np.log(np.maximum(answers[np.arange(len(y)), y.astype(np.int64)], _SMALLEST))
    return np.abs(answers - y.astype(np.float64))


def _shuffled(
    box: BlackBox,
    members: Mapping[str, Sequence[str]],
    metric: str,
    repeats: int,
    seed: int,
    ask: Any,
    base: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much worse each repeat is, (columns, repeats), and each row on average, (columns, rows)."""
    draws = np.random.default_rng(seed)
    orders = [draws.permutation(len(box)) for _ in range(repeats)]
    losses, by_row = np.zeros((len(members), repeats)), np.zeros((len(members), len(box)))
    for place, columns in enumerate(members.values()):
        for repeat, order in enumerate(orders):
            raw = box.replaced(box.raw, {column: box.values(column)[order] for column in columns})
            worse = _errors(ask(raw), box.y, metric) - base  # type: ignore[arg-type]
            losses[place, repeat] = worse.mean()
            by_row[place] += worse / repeats
    return losses, by_row


def _gradients(box: BlackBox, members: Mapping[str, Sequence[str]], seed: int) -> np.ndarray | None:
    """Return the mean size of integrated gradients of each column, over up to 128 rows."""
    from uncrumple.explain.attribution.attribute import attribute

    if box.network is None:
        return None
    chosen = np.random.default_rng(seed).permutation(len(box))[:128]
    names = [column.name for column in box.columns]
    # What a table's preparation makes of the mean is 0; in an array the mean is what it is.
    base = None if isinstance(box.raw, dict) else box.raw.mean(axis=0)
    rows, methods = taken(box.raw, chosen), ("integrated_gradients", "occlusion")
    try:
        found = attribute(box.model, rows, methods=methods, baseline=base, steps=16, kind="rows")
    except (ValueError, RuntimeError):  # layers that gradients do not pass
        return None
    sizes = dict(zip(names, np.abs(found.maps["integrated_gradients"]).mean(axis=0)))
    return np.array([sum(sizes[column] for column in columns) for columns in members.values()])


def _together(box: BlackBox, members: Mapping[str, Sequence[str]]) -> list[str]:
    """Return remarks on columns of numbers that say nearly the same, and are not shuffled together."""
    groups = {column: name for name, columns in members.items() for column in columns}
    ranks = {}
    for column in box.columns:
        if column.is_number:
            values = box.values(column.name).astype(np.float64)
            ranks[column.name] = rankdata(np.where(np.isfinite(values), values, np.nanmedian(values)))
    names = [name for name, values in ranks.items() if values.std() > 0]
    alike = np.corrcoef(np.stack([ranks[name] for name in names])) if len(names) > 1 else np.eye(len(names))
    clusters: list[list[int]] = []
    for place in range(len(names)):  # each column joins all that go together with it
        kin = [one for one in clusters if any(abs(alike[place, other]) > _TOGETHER for other in one)]
        clusters = [one for one in clusters if one not in kin] + [[*(p for one in kin for p in one), place]]
    said = []
    for cluster in clusters:
        if len({groups[names[place]] for place in cluster}) < 2:
            continue
        pairs = [abs(alike[one, other]) for one in cluster for other in cluster if one < other]
        strong = [pair for pair in pairs if pair > _TOGETHER]
        members_said = ", ".join(repr(names[place]) for place in cluster)
        width = f"{min(strong):.2f}" + (f" to {max(strong):.2f}" if len(strong) > 1 else "")
        said.append(
            f"{members_said} go together (rank correlation {width}): shuffled alone, each seems to matter less than it "
            f"does; groups={{'together': [{members_said}]}} shuffles them together."
        )
    return said


def with_noise(data: Any, name: str = "pure noise", seed: int = 0) -> Any:
    """Return data with one more column, of pure noise: what a model trained with it makes of it is a floor.

    Args:
        data: A `Table`, or an array (rows, features), which gets the column at its end.
        name: Of the column of a table.
        seed: Of the noise, standard normal.

    Example:
        >>> with_noise(np.zeros((5, 2))).shape
        (5, 3)
    """
    draws = np.random.default_rng(seed)
    if isinstance(data, Table):
        if name in data._columns:
            raise ValueError(explain(f"The table has a column '{name}'.", "Expected a new name.", "name='noise 2'"))
        from uncrumple.data.kinds.columns import Column

        made = data.take(slice(None))
        made._columns = {**made._columns, name: draws.normal(size=len(data))}
        made.columns = (*made.columns, Column(name, "number"))
        return made
    array = np.asarray(data)
    if array.ndim != 2 or array.dtype.kind not in "iufb":
        raise ValueError(
            explain(
                f"with_noise got data of shape {array.shape}.",
                "Expected a Table, or numbers of shape (rows, features).",
                "with_noise(x)",
            )
        )
    kind = array.dtype if array.dtype.kind == "f" else np.float32
    return np.concatenate([array.astype(kind), draws.normal(size=(len(array), 1)).astype(kind)], axis=1)
