"""What helps against overfitting: early stopping, dropout, decay, noise and a smaller network, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.callbacks import Callback
from uncrumple.callbacks.early_stopping import EarlyStopping
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.seeds import set_random_seed
from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import same_randomness
from uncrumple.explain.overfitting.ways import WAYS, NotPossible, Setting, Way, is_pictures
from uncrumple.explain.style import BLUE, FAINT, RED, plain
from uncrumple.explain.tuning.drawing import Drawn, heading, log_scale, styled
from uncrumple.explain.tuning.given import rows_of
from uncrumple.explain.tuning.measure import (
    compiled,
    first_metric,
    maker,
    penalty,
    scores,
)
from uncrumple.explain.tuning.statistics import holm, paired_difference
from uncrumple.explain.tuning.words import listed, number, plural, table
from uncrumple.training.many import fit_many

AS_IT_IS = "as it is"
_ALPHA = 0.05


@dataclass
class Remedy:
    """One way, over all divisions of the data.

    Attributes:
        name: What it is called.
        said: What it does.
        learnt, fresh: The loss on the rows learnt from, and on rows that nothing was chosen by; one per division.
        metric: The first metric on the fresh rows, one per division; empty if there is none.
        curves: Training and validation loss by epoch, each (divisions, epochs), NaN where it had stopped.
        epochs: The epoch whose weights were taken, one per division.
        change: Mean difference of the fresh loss from that of the model as it is, with its 95 % interval.
        p_value: Of that difference, corrected for the number of ways; None for the model as it is.
    """

    name: str
    said: str
    learnt: np.ndarray
    fresh: np.ndarray
    metric: np.ndarray
    curves: dict[str, np.ndarray]
    epochs: np.ndarray
    change: tuple[float, float, float] | None = None
    p_value: float | None = None

    @property
    def helps(self) -> bool | None:
        """Whether it is shown to help (True) or to harm (False); None if neither is shown."""
        if self.p_value is None or self.change is None or not self.p_value < _ALPHA:
            return None
        return self.change[0] < 0


@dataclass(repr=False)
class Remedies(Drawn):
    """Ways against overfitting beside each other; `remedies["dropout"]` is one of them.

    Attributes:
        rows: The model as it is, then each way.
        left_out: Why a way was not tried, by name.
        metric: The name of the first metric, or None.
        learnt_rows, fresh_rows: How many rows each model learnt from, and was measured on.
        divisions: How often the data was divided, and each way trained.
        epochs: How long each was trained.
        untouched: Rows of a sealed test part that nobody looked at.
    """

    rows: list[Remedy]
    left_out: dict[str, str]
    metric: str | None
    learnt_rows: int
    fresh_rows: int
    divisions: int
    epochs: int
    untouched: int = 0
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Remedy:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(unknown_name("way", name, [row.name for row in self.rows]))

    @property
    def overfits(self) -> bool:
        """Whether the model as it is does much better on the rows it learnt from than on fresh ones."""
        plain = self.rows[0]
        gaps = plain.fresh - plain.learnt
        return bool(gaps.mean() > 2 * gaps.std(ddof=1) / math.sqrt(len(gaps))) and bool(
            gaps.mean() > 0.1 * abs(plain.fresh.mean())
        )

    def verdict(self) -> str:
        """Return in a sentence what helps."""
        plain, others = self.rows[0], self.rows[1:]
        gap = f"loss {_mean(plain.learnt)} on the rows learnt from, {_mean(plain.fresh)} on fresh ones"
        helping = sorted((row for row in others if row.helps), key=lambda row: float(row.fresh.mean()))
        if not self.overfits and not helping:
            return f"It hardly overfits here ({gap}), and nothing is shown to help."
        if not helping:
            return f"It overfits ({gap}); none of {len(others)} ways is shown to help."
        best = helping[0]
        said = f"{_capital(best.name)} helps most: loss on fresh rows {_mean(plain.fresh)} → {_mean(best.fresh)}"
        if len(helping) > 1:
            said += f"; {listed([row.name for row in helping[1:]])} {'help' if len(helping) > 2 else 'helps'}, too"
        return f"{said}."

    def __str__(self) -> str:
        header = ["way", "loss learnt", "loss fresh", "± sd", "change", "p"]
        if self.metric is not None:
            header.append(f"fresh {self.metric}")
        lines = []
        for row in self.rows:
            cells = [row.name, _mean(row.learnt), _mean(row.fresh), number(float(row.fresh.std(ddof=1)), 2)]
            if row.change is None or row.p_value is None:
                cells += ["", ""]
            else:
                cells += [f"{row.change[0]:+.3g}", "< 0.001" if row.p_value < 0.001 else f"{row.p_value:.3f}"]
            if self.metric is not None:
                cells.append(f"{row.metric.mean():.3f} ± {row.metric.std(ddof=1):.3f}")
            lines.append(cells)
        said = [self.verdict(), "", *table(header, lines), ""]
        said += [f"{row.name}: {row.said}" for row in self.rows[1:]]
        said += [f"{name} was not tried: {why}" for name, why in self.left_out.items()]
        said.append(self._how())
        harmful = [row.name for row in self.rows[1:] if row.helps is False]
        if harmful:
            said.append(f"Shown to harm: {listed(harmful)}, at this strength.")
        unclear = [row.name for row in self.rows[1:] if row.helps is None]
        if unclear:
            said.append(f"Neither shown to help nor to harm: {listed(unclear)}. Another strength may do better.")
        return "\n".join(said + self.notes)

    def _how(self) -> str:
        text = (
            f"{plural(self.divisions, 'division')} of the data, all ways on the same ones: {self.learnt_rows:,} rows "
            f"to learn from, {self.fresh_rows:,} fresh rows that nothing was chosen by; at most "
            f"{plural(self.epochs, 'epoch')}. Corrected paired t-test, Holm."
        )
        return text + (f" {self.untouched:,} test rows were not looked at." if self.untouched else "")

    def to_dict(self) -> dict[str, Any]:
        rows = [
            {
                "name": row.name,
                "said": row.said,
                "loss_learnt": row.learnt,
                "loss_fresh": row.fresh,
                "metric_fresh": row.metric,
                "epochs": row.epochs,
                "change": row.change,
                "p_value": row.p_value,
                "curves": row.curves,
            }
            for row in self.rows
        ]
        return plain(
            {
                "verdict": self.verdict(),
                "overfits": self.overfits,
                "ways": rows,
                "left_out": self.left_out,
                "metric": self.metric,
                "learnt_rows": self.learnt_rows,
                "fresh_rows": self.fresh_rows,
                "divisions": self.divisions,
            }
        )

    @styled
    def plot(self) -> Any:
        from matplotlib.figure import Figure

        count = len(self.rows)
        columns = min(3, count)
        lines = -(-count // columns)
        wide = 3.1 * columns
        figure = Figure(figsize=(wide, 2.25 * lines + 0.42 * count + 1.0), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=[2.25 * lines, 0.42 * count + 0.9])
        upper, lower = parts
        grid = upper.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        ends = [values[np.isfinite(values)] for row in self.rows for values in row.curves.values()]
        every = np.concatenate(ends)
        low, high = float(every.min()), float(np.quantile(every, 0.995))
        plain = np.nanmean(self.rows[0].curves["validation"], axis=0)
        for axes, row in zip(grid.flat, self.rows):
            _curves(axes, row, plain)
            if low > 0 and high > 30 * low:
                axes.set_ylim(low * 0.8, high * 1.25)
                log_scale(axes, "y")
            else:
                axes.set_ylim(min(0.0, low) if low < 0.3 * high else low, high * 1.05)
            axes.set_xlim(0.5, self.epochs + 0.5)
            axes.set_title(row.name, fontweight="bold")
        for axes in grid.flat[count:]:
            axes.set_visible(False)
        for axes in grid[-1]:
            axes.set_xlabel("epoch")
        for axes in grid[:, 0]:
            axes.set_ylabel("loss")
        grid.flat[0].legend(fontsize=9, loc="best")
        _dots(lower.subplots(), self.rows, self.divisions)
        legend = " Shaded: the range over divisions. Dotted: validation loss of the model as it is."
        heading(figure, self.verdict(), self._how() + legend)
        return figure


def overfitting_remedies(
    build: Any,
    data: Any,
    *,
    ways: Mapping[str, Any] | Sequence[str] | None = None,
    epochs: int = 100,
    batch_size: int = 32,
    divisions: int = 5,
    seed: int = 0,
    verbose: Any = 0,
) -> Remedies:
    """Train one model with each way against overfitting, and say which is shown to help on fresh rows.

    The data is divided several times: rows to learn from, rows that early stopping looks at, and fresh rows that
    only measure. All ways get the same divisions, and begin from the same random numbers. Models that `fit_many`
    can train at once are trained at once.

    Args:
        build: A function that returns a new compiled model, or a compiled model of layers, which is cloned.
        data: (x, y), a `Table`, `Images`, `Text` or `Series`, or their parts, whose test part is left alone.
        ways: Names from "early stopping", "dropout", "L2", "noise" (for pictures: small shifts and turns) and
            "smaller"; or a dict of a name and its strength, such as `{"dropout": 0.3, "L2": 1e-4}`, or a name of your
            own and a function that returns a compiled model. All with their usual strengths by default.
        epochs: How long to train; long enough for the model to overfit.
        batch_size: Rows in a batch.
        divisions: How often to divide the data, at least 3: the spread over divisions says what is luck.
        seed: The first division's; the others' follow it.
        verbose: As for `fit_many`.

    Returns:
        `Remedies`: print it for the table, `plot()` for curves beside each other.

    Example:
        >>> import uncrumple as uc
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(90, 5)).astype("float32")
        >>> y = (x[:, 0] + random.normal(size=90) > 0).astype(int)
        >>> def build():
        ...     model = uc.Sequential([uc.Input((5,)), uc.layers.Dense(32, "relu"), uc.layers.Dense(2, "softmax")])
        ...     model.compile(uc.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
        ...     return model
        >>> found = overfitting_remedies(build, (x, y), ways=["early stopping", "dropout"], epochs=30, divisions=3)
        >>> [row.name for row in found.rows], found.fresh_rows
        (['as it is', 'early stopping', 'dropout'], 18)
    """
    owner = "overfitting_remedies"
    for name, value, least in (("epochs", epochs, 1), ("divisions", divisions, 3), ("batch_size", batch_size, 1)):
        check_whole(owner, name, value, least, f"{name}={max(least, 5)}")
    rows = rows_of(data, owner)
    make = maker(build, owner)
    chosen = _chosen(ways)
    left_out: dict[str, str] = {}
    named: dict[str, tuple[str, list[Any], list[Any]]] = {}  # what it does, models, penalties
    with same_randomness():
        parts = [rows.divide(0.2, 0.2, seed + number) for number in range(divisions)]
        sample = rows.take(parts[0].train[:64])[0]
        for name, (way, strength) in {AS_IT_IS: (None, 0.0), **chosen}.items():
            said = (
                "your own" if way is None or not isinstance(way, Way) else way.in_words(strength, is_pictures(sample))
            )
            try:
                models = [_made(way, strength, make, sample, seed + number, owner) for number in range(divisions)]
            except NotPossible as why:
                left_out[name] = str(why)
                continue
            named[name] = said, models, [_Penalty() if name != AS_IT_IS else None for _ in models]
        everything = [
            (name, model, place) for name, (_, models, _) in named.items() for place, model in enumerate(models)
        ]
        histories = fit_many(
            [model for _, model, _ in everything],
            rows.x,
            rows.y,
            sample_weight=rows.sample_weight,
            rows=[parts[place].train for _, _, place in everything],
            validation_rows=[parts[place].validation for _, _, place in everything],
            batch_size=batch_size,
            epochs=epochs,
            seeds=[(seed + place) % 2**32 for _, _, place in everything],
            callbacks=lambda index: _callbacks(everything[index], named, chosen),
            verbose=verbose,
        )
        found = []
        for name, (said, models, penalties) in named.items():
            mine = [history for (owner_name, _, _), history in zip(everything, histories) if owner_name == name]
            found.append(_measured(name, said, models, penalties, mine, parts, rows, epochs))
    _compare(found, len(parts[0].train), len(parts[0].test))
    return Remedies(
        rows=found,
        left_out=left_out,
        metric=first_metric(named[AS_IT_IS][1][0]),
        learnt_rows=len(parts[0].train),
        fresh_rows=len(parts[0].test),
        divisions=divisions,
        epochs=epochs,
        untouched=rows.untouched,
    )


class _Penalty(Callback):
    """Notes after each epoch what regularizers add to the loss, where there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.values.append(penalty(self.model))


def _chosen(ways: Any) -> dict[str, tuple[Any, float]]:
    """Return each way with its strength; a user's own is a function."""
    if ways is None:
        return {name: (way, way.strength) for name, way in WAYS.items()}
    if isinstance(ways, str):
        ways = [ways]
    given = dict(ways) if isinstance(ways, Mapping) else dict.fromkeys(ways)
    found: dict[str, tuple[Any, float]] = {}
    for name, strength in given.items():
        if callable(strength):
            found[str(name)] = (strength, 0.0)
            continue
        if name not in WAYS:
            raise ValueError(unknown_name("way against overfitting", str(name), WAYS))
        strength = WAYS[name].strength if strength is None else strength
        most = 1 if name in ("dropout", "smaller") else math.inf
        if isinstance(strength, bool) or not isinstance(strength, (int, float, np.number)) or not 0 < strength < most:
            raise ValueError(
                explain(
                    f"overfitting_remedies got the way {name!r} with {strength!r}.",
                    f"Expected a number above 0{' and below 1' if most == 1 else ''}.",
                    f"ways={{{name!r}: {WAYS[name].strength:g}}}",
                )
            )
        found[name] = (WAYS[name], float(strength))
    if not found:
        raise ValueError(
            explain("overfitting_remedies got no ways.", "Expected at least one.", 'ways=["early stopping", "dropout"]')
        )
    return found


def _made(way: Any, strength: float, make: Any, sample: Any, seed: int, owner: str) -> Any:
    """Return a model of one way; all ways begin with the same random numbers."""
    set_random_seed(seed % 2**32)
    if way is None:
        return make()
    if isinstance(way, Way):
        return way.change(Setting(make, sample), strength)
    return compiled(way(), owner, "model.compile(...); return model, as the last lines of the function")


def _callbacks(entry: tuple[str, Any, int], named: Any, chosen: Any) -> list[Any]:
    name, model, place = entry
    made: list[Any] = []
    if name == "early stopping" and isinstance(chosen[name][0], Way):
        made.append(EarlyStopping("val_loss", patience=int(chosen[name][1]), restore_best_weights=True))
    note = named[name][2][place]
    if note is not None and model.built and penalty(model):
        made.append(note)
    return made


def _measured(
    name: str,
    said: str,
    models: list[Any],
    penalties: list[Any],
    histories: list[Any],
    parts: Any,
    rows: Any,
    epochs: int,
) -> Remedy:
    metric = first_metric(models[0])
    learnt, fresh, others, ends = [], [], [], []
    curves = {kind: np.full((len(models), epochs), np.nan) for kind in ("training", "validation")}
    for place, (model, history, part) in enumerate(zip(models, histories, parts)):
        learnt.append(scores(model, rows.take(part.train))["loss"])
        measured = scores(model, rows.take(part.test))
        fresh.append(measured["loss"])
        others.append(measured.get(metric or "", math.nan))
        values = history.history
        for kind, key in (("training", "loss"), ("validation", "val_loss")):
            line = np.asarray(values[key], np.float64)
            if penalties[place] is not None and penalties[place].values:
                line = line - np.asarray(penalties[place].values[: len(line)])
            curves[kind][place, : len(line)] = line
        validation = np.asarray(values["val_loss"])
        stopped = name == "early stopping"
        ends.append(int(np.nanargmin(validation)) + 1 if stopped and np.isfinite(validation).any() else len(validation))
    return Remedy(
        name,
        said,
        np.asarray(learnt),
        np.asarray(fresh),
        np.asarray(others) if metric else np.zeros(0),
        curves,
        np.asarray(ends),
    )


def _compare(found: list[Remedy], learnt_rows: int, fresh_rows: int) -> None:
    """Note the difference of each way from the model as it is, corrected for their number."""
    plain, others = found[0], found[1:]
    raw = []
    for row in others:
        mean, low, high, p_value = paired_difference(row.fresh - plain.fresh, learnt_rows, fresh_rows)
        row.change = (mean, low, high)
        raw.append(p_value if math.isfinite(p_value) else 1.0)
    for row, p_value in zip(others, holm(raw)):
        row.p_value = p_value


def _curves(axes: Any, row: Remedy, plain: np.ndarray) -> None:
    """Draw a way's losses by epoch: the mean over divisions, and their range."""
    steps = np.arange(1, row.curves["training"].shape[1] + 1)
    if row.name != AS_IT_IS:
        axes.plot(steps, plain, ":", color=FAINT, linewidth=1.5, label="validation, as it is")
    for kind, colour, dash in (("training", BLUE, "-"), ("validation", RED, (0, (4, 1.5)))):
        values = row.curves[kind]
        some = np.isfinite(values).any(axis=0)
        with np.errstate(all="ignore"):
            mean = np.full(len(steps), np.nan)
            mean[some] = np.nanmean(values[:, some], axis=0)
            low, high = np.nanmin(values[:, some], axis=0), np.nanmax(values[:, some], axis=0)
        axes.fill_between(steps[some], low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(steps, mean, color=colour, linestyle=dash, linewidth=1.8, label=kind)
    if row.name == "early stopping":
        for end in row.epochs:
            axes.axvline(end, color=FAINT, linewidth=0.8)
        axes.annotate(
            "weights of these\nepochs are taken", (float(row.epochs.max()), 0.97), xycoords=("data", "axes fraction"), va="top",
            xytext=(4, 0), textcoords="offset points", fontsize=8.5, color="#555555",
        )  # fmt: skip


def _dots(axes: Any, rows: list[Remedy], divisions: int) -> None:
    """Draw the loss on fresh rows of each way: every division a dot, the mean a bar."""
    for place, row in enumerate(rows):
        colour = FAINT if row.helps is None else BLUE if row.helps else RED
        colour = "#222222" if row.name == AS_IT_IS else colour
        axes.plot(row.fresh, np.full(divisions, place), "o", color=colour, alpha=0.45, markersize=5, mew=0)
        axes.plot([row.fresh.mean()] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=3)
        said = {None: "", True: "  helps", False: "  harms"}[row.helps]
        if row.p_value is not None and row.helps is None:
            said = f"  not shown (p = {row.p_value:.2f})"
        axes.annotate(
            f"{_mean(row.fresh)}{said}", (1.01, place), xycoords=("axes fraction", "data"), va="center",
            color=colour if row.helps is not None else "#444444", fontsize=9.5, annotation_clip=False,
        )  # fmt: skip
    axes.axvline(rows[0].fresh.mean(), color=FAINT, linewidth=1, linestyle=":", zorder=0)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_xlabel("loss on fresh rows: a dot for each division, a bar for their mean")


def _mean(values: np.ndarray) -> str:
    return number(float(np.mean(values)), 3)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
