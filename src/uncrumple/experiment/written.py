"""What a run leaves on disk: the model, numbers as JSON, pictures, and one page that shows it all."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.experiment.chain import behind, for_keras, forget
from uncrumple.experiment.folder import FOR_KERAS, HISTORY, MODEL, PAGE, PLOTS, REPORT, RUN
from uncrumple.experiment.networks import in_words
from uncrumple.experiment.page import page
from uncrumple.experiment.shown import Shown, examples
from uncrumple.experiment.source import Source
from uncrumple.experiment.stages import Prepared, Trained
from uncrumple.judge import Judgement, plots
from uncrumple.judge.files import write_whole
from uncrumple.judge.words import seconds_in_words


def model_summary(model: Any, width: int = 80) -> str:
    """Return what the model does to raw rows, and the summary of the network behind, as plain text."""
    out = io.StringIO()
    cut = behind(model)
    if cut is None:
        model.summary(line_length=width, print_fn=lambda text: out.write(text + "\n"))
        return out.getvalue().rstrip()
    preparation, inner = cut
    try:
        inner.summary(line_length=width, print_fn=lambda text: out.write(text + "\n"))
    finally:
        forget(inner)
    return f"{out.getvalue().rstrip()}\n It takes raw rows: a layer in front prepares them ({preparation.in_words()})."


def write_model(folder: Path, trained: Trained) -> None:
    """Write the model, and, where Keras has all of its layers, the same for Keras."""
    trained.model.save(folder / MODEL)
    plain = for_keras(trained.model)
    if plain is not None:
        try:
            plain.save(folder / FOR_KERAS)
        finally:
            forget(plain)


def write_settings(
    folder: Path, source: Source, prepared: Prepared, trained: Trained, shares: Mapping[str, float]
) -> None:
    """Write `run.json`: what is needed to read the run, and its data, again."""
    dataset = prepared.dataset
    settings = {
        "source": {**source.to_dict(), "from_run": source.seen_from(folder)},
        "kind": dataset.kind,
        "task": dataset.task,
        "rows": len(dataset),
        "seed": prepared.seed,
        "split": {**shares, **prepared.parts.sizes},
        "test_rows": prepared.sealed.fingerprint,
        "class_names": list(dataset.class_names),
        "pictures": _pictures(prepared),
        "recipe": vars(trained.recipe),
        "training_seconds": trained.seconds,
        "best_epoch": trained.best_epoch,
    }
    write_json(folder / RUN, settings)
    write_json(folder / HISTORY, trained.history)


def _pictures(prepared: Prepared) -> dict[str, Any] | None:
    """Return how files of pictures are brought to the scale of pictures that were given as numbers."""
    dataset: Any = prepared.dataset
    if dataset.kind != "images" or dataset.files is not None:
        return None
    pixels = dataset.raw[prepared.parts.train[:2000]]
    largest = float(pixels.max())
    dark = pixels.shape[-1] == 1 and float(np.median(pixels)) < 0.2 * largest
    return {"largest": 255.0 if pixels.dtype == np.uint8 else largest, "dark_ground": bool(dark)}


def write_run(
    folder: Path,
    prepared: Prepared,
    trained: Trained,
    found: Judgement,
    *,
    checks: Any = None,
    command: str = "",
    seconds: float = 0.0,
) -> dict[str, Any]:
    """Write the report as JSON and as a page, and the plots; return the report.

    Args:
        folder: What `new_folder` returned.
        prepared, trained, found: What the stages returned.
        checks: What `uncrumple.data.check` returned, or None.
        command: The line that was typed.
        seconds: How long the whole job took.
    """
    found.made = {"command": command, **found.made, "time": seconds_in_words(seconds)}
    found.title = f"{prepared.dataset.name}: {in_words(prepared.dataset)}"
    shown = examples(prepared, trained.model, found, pictures=len(prepared.dataset.shape) == 4)
    report = report_of(folder, prepared, trained, found, checks, shown)
    write_json(folder / REPORT, report)
    write_whole(
        folder / PAGE,
        page(found, prepared, trained.history, trained.best_epoch, training_facts(trained), checks, shown,
             model_summary(trained.model), trained.preflight, trained.findings),
    )  # fmt: skip
    for name, figure in _figures(trained, found, shown).items():
        write_whole(folder / PLOTS / f"{name}.png", plots.to_png(figure))
    return report


def report_of(
    folder: Path | None, prepared: Prepared, trained: Trained, found: Judgement, checks: Any = None, shown: Any = None
) -> dict[str, Any]:
    """Return everything that was found, as plain data."""
    dataset = prepared.dataset
    return {
        "run": None if folder is None else str(folder),
        **found.to_dict(),
        "data": {
            "name": dataset.name,
            "kind": dataset.kind,
            "rows": len(dataset),
            "shape": list(dataset.shape),
            "shape_in_words": dataset.shape_in_words(),
            "asked": dataset.target,
            "class_names": list(dataset.class_names),
            "split": prepared.parts.sizes,
            "split_in_words": prepared.sealed.in_words(),
            "preparation": prepared.preparation.in_words(),
            "notes": list(dataset.notes),
            "source": dataset.source,
            "licence": dataset.licence,
        },
        "checks": None if checks is None else checks.to_dict(),
        "preflight": None if trained.preflight is None else trained.preflight.to_dict(),
        "diagnosis": None if trained.findings is None else [one.to_dict() for one in trained.findings],
        "training": {
            "network": in_words(dataset),
            "weights": trained.model.count_params(),
            "epochs": len(trained.history.get("loss", [])),
            "best_epoch": trained.best_epoch,
            "stopped_early": trained.stopped_early,
            "seconds": trained.seconds,
            "recipe": vars(trained.recipe),
        },
        "examples": [] if shown is None else shown.to_rows(),
    }


def training_facts(trained: Trained) -> dict[str, str]:
    """Return how training went, in words."""
    ran = len(trained.history.get("loss", []))
    early = " (stopped early: the validation loss no longer fell)" if trained.stopped_early else ""
    recipe = trained.recipe
    rate = f"{recipe.learning_rate:g}" + (", falling to 0 along a cosine" if recipe.decays else "")
    facts = {
        "epochs": f"{ran}{early}; kept the weights of epoch {trained.best_epoch}",
        "time": seconds_in_words(trained.seconds),
        "optimizer": f"Adam, learning rate {rate}",
        "batch size": str(recipe.batch_size),
    }
    if any(one.name == "overfitting" and one.severity == "note" for one in trained.findings or ()):
        facts["overfitting"] = f"after epoch {trained.best_epoch}, whose weights were kept"
    return facts


def _figures(trained: Trained, found: Judgement, shown: Shown) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if trained.history.get("loss"):
        made["curves"] = plots.training_curves(trained.history, trained.best_epoch or None)
    made["comparison"] = plots.comparison_figure(found.comparison)
    if found.confusion is not None:
        made["confusion"] = plots.confusion_figure(found.confusion)
    elif found.task == "regression" and np.ndim(found.truth) == 1:
        made["regression"] = plots.regression_figure(found.truth, found.answers)
    if shown.pictures is not None:
        made["examples"] = plots.picture_grid(shown.pictures, shown.captions, "Test rows, decoded", shown.right)
        wrong = [] if found.piles is None else [*found.piles.label_suspect, *found.piles.model_wrong]
        if wrong and found.pictures is not None:
            made["mistakes"] = plots.mistakes_figure(wrong[:12], found.pictures)
    return made


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON, whole or not at all."""
    write_whole(path, json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy's numbers as Python's, None for NaN and infinity.

    Example:
        >>> plain({"a": np.float32(1.5), "b": (float("nan"), np.arange(2))})
        {'a': 1.5, 'b': [None, [0, 1]]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
