"""What a run leaves on disk: the model, numbers as JSON, pictures, and one page that shows it all."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.data.describe import facts
from uncrumple.experiment.folder import HISTORY, METRICS, PLOTS, REPORT, RUN
from uncrumple.experiment.stages import Judged, Prepared, Trained
from uncrumple.judge import how_it_was_made, plots
from uncrumple.judge.files import write_whole
from uncrumple.judge.html import Report, write_report
from uncrumple.judge.words import seconds_in_words


def model_summary(model: Any) -> str:
    """Return the model's summary as plain text."""
    out = io.StringIO()
    model.summary(line_length=80, print_fn=lambda text: out.write(text + "\n"))
    return out.getvalue().rstrip()


def write_settings(folder: Path, prepared: Prepared, trained: Trained, shares: dict[str, float], **more: Any) -> None:
    """Write `run.json`: what is needed to read the run again."""
    dataset = prepared.dataset
    settings = {
        "data": dataset.name,
        "task": dataset.task,
        "seed": prepared.seed,
        "split": {**shares, **prepared.parts.sizes},
        "class_names": list(dataset.class_names),
        "feature_names": list(dataset.feature_names),
        "input_shape": list(dataset.input_shape),
        "scaling": prepared.scaler.to_dict(),
        "recipe": vars(trained.recipe),
        **more,
    }
    _write_json(folder / RUN, settings)


def write_run(
    folder: Path, prepared: Prepared, trained: Trained, judged: Judged, *, command: str, seconds: float
) -> Path:
    """Write everything but the model and the settings; return the path of the page.

    Args:
        folder: What `new_folder` returned.
        prepared, trained, judged: What the stages returned.
        command: The line that was typed.
        seconds: How long the whole job took.
    """
    dataset = prepared.dataset
    _write_json(folder / HISTORY, trained.history)
    comparison = judged.comparison
    _write_json(
        folder / METRICS,
        {
            "scores": {name: interval._asdict() for name, interval in judged.scores.items()},
            "best_epoch": trained.best_epoch,
            "training_seconds": trained.seconds,
            "confusion": judged.confusion.to_dict() if judged.confusion else None,
            "comparison": comparison.to_dict() if comparison else None,
            "mistakes": [mistake.to_dict() for mistake in judged.mistakes],
        },
    )
    figures = {name: plots.to_png(figure) for name, figure in _figures(prepared, trained, judged).items()}
    for name, content in figures.items():
        write_whole(folder / PLOTS / f"{name}.png", content)
    kind = "a convolutional network" if dataset.is_images else "a dense network"
    report = Report(
        title=f"{dataset.name}: {kind}",
        verdict=comparison.verdict() if comparison else "",
        scores=judged.scores,
        measured=f"Measured once, on {len(judged.truth):,} rows that neither training nor the choice of the epoch saw.",
        data=facts(dataset),
        split=prepared.parts.in_words(dataset.y if dataset.task == "classification" else None),
        scaling=f"{prepared.scaler.in_words()}; a layer of the model does it",
        summary=model_summary(trained.model),
        training=training_facts(trained),
        figures=figures,
        confusion=judged.confusion,
        comparison=comparison,
        mistakes=judged.mistakes,
        made=how_it_was_made(command, prepared.seed, seconds),
    )
    return write_report(folder / REPORT, report)


def training_facts(trained: Trained) -> dict[str, str]:
    """Return how training went, in words."""
    ran = len(trained.history.get("loss", []))
    early = " (stopped early: the validation loss no longer fell)" if trained.stopped_early else ""
    recipe = trained.recipe
    rate = f"{recipe.learning_rate:g}" + (", falling to 0 along a cosine" if recipe.decays else "")
    return {
        "epochs": f"{ran}{early}; kept the weights of epoch {trained.best_epoch}",
        "time": seconds_in_words(trained.seconds),
        "optimizer": f"Adam, learning rate {rate}",
        "batch size": str(recipe.batch_size),
    }


def _figures(prepared: Prepared, trained: Trained, judged: Judged) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if trained.history.get("loss"):
        found["curves"] = plots.training_curves(trained.history, trained.best_epoch or None)
    if judged.comparison is not None:
        found["comparison"] = plots.comparison_figure(judged.comparison)
    if judged.confusion is not None:
        found["confusion"] = plots.confusion_figure(judged.confusion)
    else:
        found["regression"] = plots.regression_figure(judged.truth, judged.answers)
    if prepared.dataset.is_images and judged.probabilities is not None:
        x, _ = prepared.rows("test")
        rows, captions, right = examples(prepared, judged)
        found["examples"] = plots.picture_grid([x[row] for row in rows], captions, "Test rows, decoded", right)
        if judged.mistakes:
            found["mistakes"] = plots.mistakes_figure(judged.mistakes, x)
    return found


def examples(prepared: Prepared, judged: Judged, count: int = 8) -> tuple[list[int], list[str], list[bool]]:
    """Return a few test rows, one of each class as far as possible: row, answer in words, whether it is right."""
    names = prepared.dataset.class_names
    rows: list[int] = []
    for number in range(len(names)):
        found = np.flatnonzero(judged.truth == number)
        rows += [int(row) for row in found[:1]]
    rows += [row for row in range(len(judged.truth)) if row not in rows]
    rows = rows[:count] if judged.probabilities is not None else list(range(min(count, len(judged.truth))))
    captions, right = [], []
    for row in rows:
        if judged.probabilities is None:
            captions.append(f"{judged.answers[row]:g}, really {judged.truth[row]:g}")
            right.append(True)
            continue
        answer, truth = int(judged.answers[row]), int(judged.truth[row])
        sure = f"{names[answer]} ({100 * judged.probabilities[row, answer]:.0f} %)"
        captions.append(sure if answer == truth else f"{sure}, really {names[truth]}")
        right.append(answer == truth)
    return rows, captions, right


def _write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Sequence):
        return list(value)
    return str(value)
