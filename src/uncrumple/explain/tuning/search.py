"""`tune`: search over layers, units and rates, and an honest estimate of what was found."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from uncrumple.callbacks import Callback
from uncrumple.callbacks.progress import Progbar
from uncrumple.callbacks.screen import message
from uncrumple.core.errors import explain
from uncrumple.core.seeds import set_random_seed
from uncrumple.explain.keeping import same_randomness
from uncrumple.explain.tuning import space as spaces
from uncrumple.explain.tuning.asked import check_arguments
from uncrumple.explain.tuning.found import TrialRow, Tuned
from uncrumple.explain.tuning.given import Rows, keep_learnt, rows_of
from uncrumple.explain.tuning.measure import (
    compiled,
    more_is_better,
    penalty,
    resampled_interval,
    scores,
)
from uncrumple.explain.tuning.storage import fingerprint, is_alive, study_in
from uncrumple.explain.tuning.words import number, plural

_FOR_FIT = "batch_size"  # a setting of this name goes to `fit`
_FIX = "model.compile(...); return model, as the last lines of build"


def tune(
    build: Callable[..., Any],
    data: Any,
    *,
    space: Mapping[str, Any] | None = None,
    trials: int = 30,
    seconds: float | None = None,
    epochs: int = 30,
    patience: int | None = 5,
    batch_size: int = 32,
    metric: str = "loss",
    prune: bool = True,
    validation: float = 0.2,
    fresh: float = 0.2,
    retrain: int = 3,
    file: str | os.PathLike[str] | None = None,
    seed: int = 0,
    verbose: Any = "auto",
) -> Tuned:
    """Search for good settings of a model, and say what the winner is worth on rows that the search never saw.

    The rows are divided: to learn from, to choose by, and fresh ones. Each trial trains on the first, stops when the
    second no longer improve, and its score is the best it had there. The search proposes settings near those that did
    well (a tree of Parzen estimators). The best score of many is partly luck: the winner is measured on the fresh rows,
    and the result says how optimistic the search was. Needs `pip install "uncrumple[tune]"`.

    With `file`, the trials are kept in an SQLite file: a search that was killed goes on there when the same line is run
    again, loses at most the trial under way, and finds what it would have found.

    Source: J. Bergstra et al., 2011, Algorithms for hyper-parameter optimization; Optuna, T. Akiba et al., 2019; the
    importance is fANOVA, F. Hutter et al., 2014.

    Args:
        build: A function that returns a new compiled model. Without `space` it is given a trial, which it asks for
            settings: `trial.suggest_int("units", 8, 128, log=True)`, `trial.suggest_float(...)`,
            `trial.suggest_categorical(...)`. With `space` it is given the settings by name.
        data: (x, y), a `Table`, `Images`, `Text` or `Series`, or their parts. Of parts, the training part is learnt
            from, the validation part is divided into rows to choose by and fresh ones, and the test part is left alone:
            `parts.train.preparation()` in `build` has then seen what is learnt from and nothing else.
        space: By name a list of choices, or (low, high), (low, high, "log"), (low, high, step); whole numbers at both
            ends stand for whole numbers. A setting called `batch_size` is used by `fit`; `build` need not take it.
        trials: How many in all, those that are in `file` counted.
        seconds: After so many seconds no further trial begins, and the one under way ends with its epoch and does not
            count. Training the winner again comes after that.
        epochs: Most epochs of a trial.
        patience: A trial ends after so many epochs without a better validation score; None never ends one.
        batch_size: Rows in a batch.
        metric: "loss" (without penalties for weights, so that trials can be compared), or a metric of the model.
        prune: Whether to give up a trial that does worse than the median of the others at the same epoch.
        validation, fresh: Shares of the rows to choose by, and to measure the winner on; of parts only their ratio counts.
        retrain: How often to train the winner again, with other seeds; the first time with its own.
        file: Where to keep the trials, such as `"search.db"`.
        seed: The same seed finds the same.
        verbose: 0 silent, 1 live progress, 2 a line for each trial; "auto" is 1.

    Returns:
        A `Tuned`: print it for verdict and table, `plot()` for the search and what mattered; `model` is the winner.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: An argument is impossible, or `file` holds another search.
        RuntimeError: No trial was completed; the message says why they failed.

    Example:
        >>> import uncrumple as uc
        >>> x = np.random.default_rng(0).normal(size=(100, 3)).astype("float32")
        >>> def build(units, rate):
        ...     model = uc.Sequential([uc.Input((3,)), uc.layers.Dense(units, "relu"), uc.layers.Dense(1)])
        ...     model.compile(uc.optimizers.Adam(rate), "mse")
        ...     return model
        >>> space = {"units": (4, 16), "rate": (0.001, 0.1, "log")}
        >>> found = tune(build, (x, x[:, 0]), space=space, trials=3, epochs=3, retrain=1, verbose=0)
        >>> sorted(found.best), len(found.trials), found.sizes
        (['rate', 'units'], 3, (60, 20, 20))
    """
    optuna = _optuna()
    check_arguments(build, trials, seconds, epochs, patience, batch_size, validation, fresh, retrain, seed)
    if space is not None:
        space = spaces.checked(space)
    rows = rows_of(data, "tune")
    parts = keep_learnt(rows, validation, fresh, seed)
    job = _Job(build, space, rows, parts, epochs, patience, batch_size, metric, seed)
    about = {
        "data": fingerprint(rows),
        "space": json.dumps(space, default=repr, sort_keys=True) if space is not None else "build(trial)",
        "epochs": epochs, "patience": patience, "batch_size": batch_size, "metric": metric, "prune": prune,
        "validation": validation, "fresh": fresh, "seed": seed,
    }  # fmt: skip
    with same_randomness(), _quiet(optuna):
        study = study_in(optuna, file, about, prune, epochs)
        ended = _search(optuna, study, job, trials, seconds, verbose)
        return _conclude(optuna, study, job, retrain, ended)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            explain(
                "tune needs Optuna, which is not installed.",
                "Expected the extra 'tune'.",
                'pip install "uncrumple[tune]"',
            )
        ) from error
    return optuna


# --- one training ---------------------------------------------------------------------------


class _Watch(Callback):
    """Keeps the best weights by the validation score, and ends training when there is reason to.

    Args:
        metric: What is watched.
        patience: Epochs without a better one.
        trial: Whom to tell, and to ask whether to give up; None for nobody.
        deadline: When to stop, in seconds of `time.monotonic`.
    """

    def __init__(self, metric: str, patience: int | None, trial: Any = None, deadline: float | None = None) -> None:
        super().__init__()
        self.metric, self.patience, self.trial, self.deadline = metric, patience, trial, deadline
        self.more: bool | None = None
        self.best: float | None = None
        self.best_weights: Any = None
        self.epochs = 0
        self.end = ""  # "", "patience", "pruned", "time", or why it failed
        self._waited = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs = epoch + 1
        logs = logs or {}
        if f"val_{self.metric}" not in logs:
            known = sorted(name.removeprefix("val_") for name in logs if name.startswith("val_"))
            raise _WrongMetric(
                explain(
                    f"tune got metric={self.metric!r}, and the model has: {', '.join(known)}.",
                    "Expected one of these.",
                    f"metric={known[0]!r}, or metrics=[...] in compile()",
                )
            )
        if self.more is None:
            self.more = more_is_better(self.model, self.metric)
        value = float(logs[f"val_{self.metric}"])
        if self.metric == "loss":
            value -= penalty(self.model)
        if not math.isfinite(value):
            self._stop(f"the validation {self.metric} became {number(value)} in epoch {self.epochs}")
            return
        if self.best is None or (value > self.best if self.more else value < self.best):
            self.best, self._waited = value, 0
            self.best_weights = self.model.get_weights()
        else:
            self._waited += 1
        if self.trial is not None:
            self.trial.report(_signed(value, self.more), epoch)
            if self.trial.should_prune():
                self._stop("pruned")
                return
        if self.patience is not None and self._waited >= self.patience:
            self._stop("patience")
        elif self.deadline is not None and time.monotonic() > self.deadline:
            self._stop("time")

    def on_train_end(self, logs: Any = None) -> None:
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)

    def _stop(self, why: str) -> None:
        self.end = why
        self.model.stop_training = True


class _WrongMetric(ValueError):
    """The metric is none of the model's: no trial would have it."""


_WrongMetric.__name__ = _WrongMetric.__qualname__ = "ValueError"


class _Job:
    """What every trial has in common."""

    def __init__(self, build: Any, space: Any, rows: Rows, parts: Any, epochs: int, patience: int | None,
                 batch_size: int, metric: str, seed: int) -> None:  # fmt: skip
        self.build, self.space, self.rows = build, space, rows
        self.epochs, self.patience, self.batch_size, self.metric, self.seed = epochs, patience, batch_size, metric, seed
        self.learnt, self.chosen, self.fresh = (rows.take(part) for part in parts)
        self.sizes = (len(parts.train), len(parts.validation), len(parts.test))

    def model(self, trial: Any, seed: int) -> Any:
        """Return the model of a trial, made from the random numbers of its seed."""
        set_random_seed(seed)
        if self.space is None:
            return compiled(self.build(trial), "tune", _FIX)
        settings = spaces.suggest(trial, self.space)
        if _FOR_FIT in settings and not _takes(self.build, _FOR_FIT):
            del settings[_FOR_FIT]
        return compiled(self.build(**settings), "tune", _FIX)

    def train(self, model: Any, settings: Mapping[str, Any], seed: int, watch: _Watch) -> None:
        set_random_seed(seed)
        x, y, sample_weight = self.learnt
        validation = self.chosen if self.chosen[2] is not None else self.chosen[:2]
        size = settings.get(_FOR_FIT, self.batch_size)
        model.fit(
            x, y, sample_weight=sample_weight, batch_size=int(size), epochs=self.epochs, validation_data=validation,
            validation_batch_size=max(256, int(size)), callbacks=[watch], verbose=0,
        )  # fmt: skip

    def seed_of(self, place: int) -> int:
        return (self.seed + 1000 * place) % 2**32


def _takes(function: Any, name: str) -> bool:
    import inspect

    parameters = inspect.signature(function).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


# --- the search ---------------------------------------------------------------------------------


def _search(optuna: Any, study: Any, job: _Job, trials: int, seconds: float | None, verbose: Any) -> str:
    """Run trials until there are enough, or the time is up; return why it ended."""
    failed = optuna.trial.TrialState.FAIL
    for old in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if not is_alive(old.user_attrs):
            optuna.trial.Trial(study, old._trial_id).set_user_attr("interrupted", True)
            study.tell(old.number, state=failed)
    deadline = None if seconds is None else time.monotonic() + seconds
    verbose = 1 if verbose == "auto" else int(verbose)
    bar = Progbar(trials, verbose=1, unit_name="trial", stateless_metrics=("best",)) if verbose == 1 else None
    while (place := len(_counted(study))) < trials:
        if deadline is not None and time.monotonic() > deadline:
            return "time"
        # A sampler of its own for each place: a search that was interrupted goes on as if it had not been.
        study.sampler = optuna.samplers.TPESampler(
            seed=_mixed(job.seed, place), n_startup_trials=min(10, max(3, trials // 3))
        )
        trial = study.ask()
        trial.set_user_attr("process", [socket.gethostname(), os.getpid()])
        end = _run(optuna, study, job, trial, place, deadline)
        if end in ("time", "Ctrl-C"):
            return end
        best = _best(optuna, study)
        if bar is not None:
            bar.update(place + 1, [] if best is None else [("best", abs(best.value))])
        elif verbose == 2:
            message(_line(optuna, _counted(study)[-1], place + 1, trials))
    return "trials"


def _run(optuna: Any, study: Any, job: _Job, trial: Any, place: int, deadline: float | None) -> str:
    """Run one trial, and note how it ended; "time" and "Ctrl-C" end the search."""
    states = optuna.trial.TrialState
    first = not any(one.state is states.COMPLETE for one in study.get_trials(deepcopy=False))
    watch = _Watch(job.metric, job.patience, trial, None if first else deadline)
    began = time.monotonic()
    seed = job.seed_of(place)
    trial.set_user_attr("seed", seed)
    try:
        model = job.model(trial, seed)
        job.train(model, trial.params, seed, watch)
    except (KeyboardInterrupt, _WrongMetric) as error:
        trial.set_user_attr("interrupted", True)
        study.tell(trial, state=states.FAIL)
        if isinstance(error, _WrongMetric):
            raise
        return "Ctrl-C"
    except Exception as error:
        text = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        watch.end = f"failed: {text}"
    trial.set_user_attr("epochs", watch.epochs)
    trial.set_user_attr("seconds", time.monotonic() - began)
    if (watch.end == "" and watch.epochs < job.epochs) or watch.end == "time":
        # Nobody stopped it but Ctrl-C, which `fit` ends cleanly; or the time was up. Such a trial is run again.
        trial.set_user_attr("interrupted", True)
        study.tell(trial, state=states.FAIL)
        return watch.end or "Ctrl-C"
    if watch.end == "pruned":
        study.tell(trial, state=states.PRUNED)
    elif watch.best is None or watch.end not in ("", "patience"):
        trial.set_user_attr("why", watch.end.removeprefix("failed: ") or "no validation score")
        study.tell(trial, state=states.FAIL)
    else:
        trial.set_user_attr("more", bool(watch.more))
        study.tell(trial, _signed(watch.best, watch.more))
    return ""


def _signed(value: float, more: bool | None) -> float:
    """Return what the study makes smaller: which way is better is known only once a model was trained."""
    return -value if more else value


def _counted(study: Any) -> list[Any]:
    """Return the trials that are over, in order, without those that were interrupted."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished() and not trial.user_attrs.get("interrupted")
    ]


def _best(optuna: Any, study: Any) -> Any:
    """Return the best completed trial, the earliest of equal ones, or None."""
    done = [trial for trial in _counted(study) if trial.state is optuna.trial.TrialState.COMPLETE]
    return min(done, key=lambda trial: (trial.value, trial.number)) if done else None


def _mixed(seed: int, place: int) -> int:
    return int(np.random.SeedSequence([seed, place]).generate_state(1)[0])


def _line(optuna: Any, trial: Any, place: int, trials: int) -> str:
    settings = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.params.items()
    )
    state = (
        trial.state.name.lower()
        if trial.state is not optuna.trial.TrialState.FAIL
        else f"failed ({trial.user_attrs.get('why')})"
    )
    score = "" if trial.value is None else f" {number(abs(trial.value), 4)}"
    return f"Trial {place}/{trials}: {state}{score}; {settings}"


# --- what was found ---------------------------------------------------------------------------------


def _conclude(optuna: Any, study: Any, job: _Job, retrain: int, ended: str) -> Tuned:
    counted = _counted(study)
    best = _best(optuna, study)
    if best is None:
        raise _nothing(counted, ended)
    more = bool(best.user_attrs["more"])
    trials = [_row(optuna, place, trial, more) for place, trial in enumerate(counted)]
    fresh: list[float] = []
    notes: list[str] = []
    winner: Any = None
    for again in range(retrain):
        seed = (int(best.user_attrs["seed"]) + again) % 2**32
        model = job.model(optuna.trial.FixedTrial(best.params), seed)
        watch = _Watch(job.metric, job.patience)
        job.train(model, best.params, seed, watch)
        measured = scores(model, job.fresh)
        fresh.append(measured[job.metric])
        if winner is None:
            winner = model, measured
            repeated, told = watch.best, _signed(best.value, more)
            if repeated is None or abs(repeated - told) > 1e-3 * max(1e-6, abs(told)):
                shown = "nothing finite" if repeated is None else number(repeated, 4)
                notes.append(
                    f"Trained again with its own seed, the winner's validation {job.metric} was {shown}, not "
                    f"{number(told, 4)}: another machine, version or number of threads, or a build that is not seeded."
                )
    if job.rows.untouched:
        notes.append(
            f"{plural(job.rows.untouched, 'test row')} were not looked at: uncrumple.judge(model, parts) uses them."
        )
    return Tuned(
        best=dict(best.params),
        model=winner[0],
        metric=job.metric,
        more_is_better=more,
        best_score=_signed(best.value, more),
        fresh=fresh,
        interval=resampled_interval(winner[0], job.fresh, job.metric, job.seed),
        fresh_scores=winner[1],
        trials=trials,
        importance=_importance(optuna, study),
        sizes=job.sizes,
        ended=ended,
        seconds=sum(row.seconds for row in trials),
        scales={name: bool(getattr(kind, "log", False)) for name, kind in best.distributions.items()},
        notes=notes,
    )


def _row(optuna: Any, place: int, trial: Any, more: bool) -> TrialRow:
    states = optuna.trial.TrialState
    names = {states.COMPLETE: "complete", states.PRUNED: "pruned"}
    value = trial.value
    if trial.state is states.PRUNED and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    kept = trial.user_attrs
    return TrialRow(
        place + 1,
        names.get(trial.state, "failed"),
        dict(trial.params),
        None if value is None else _signed(float(value), more),
        int(kept.get("epochs", 0)),
        float(kept.get("seconds", 0.0)),
        str(kept.get("why", "")),
    )


def _importance(optuna: Any, study: Any) -> dict[str, tuple[float, float, float]]:
    """Return (low, mean, high) of each setting's share over five forests; nothing where there is too little to say."""
    done = [trial for trial in _counted(study) if trial.state is optuna.trial.TrialState.COMPLETE]
    if len(done) < 4 or len({trial.value for trial in done}) < 2:
        return {}
    found: dict[str, list[float]] = {}
    for seed in range(5):
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=16, seed=seed)
        try:
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (ValueError, RuntimeError):
            return {}
        for name, share in shares.items():
            found.setdefault(name, []).append(float(share))
    return {name: (min(shares), float(np.mean(shares)), max(shares)) for name, shares in found.items()}


def _nothing(counted: list[Any], ended: str) -> RuntimeError:
    reasons: dict[str, int] = {}
    for trial in counted:
        why = trial.user_attrs.get("why", "pruned")
        reasons[why] = reasons.get(why, 0) + 1
    said = "; ".join(
        f"{why} ({plural(count, 'trial')})" for why, count in sorted(reasons.items(), key=lambda one: -one[1])[:3]
    )
    return RuntimeError(
        explain(
            f"tune completed none of {plural(len(counted), 'trial')}{f': {said}' if said else ''}.",
            "Expected at least one that ends with a finite score.",
            "call build once by hand and fit it" if counted else f"more time: it ended by {ended}",
        )
    )


# --- small things ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Let Optuna print warnings alone, and leave its setting as it was."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
