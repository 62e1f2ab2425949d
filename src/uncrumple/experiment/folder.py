"""The folder of a run: what lies in it, and how it is read again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import closest, explain
from uncrumple.data.named import Dataset, load
from uncrumple.experiment.stages import Prepared, prepare
from uncrumple.models.saving import load_model

MODEL, RUN, HISTORY, METRICS, REPORT, PLOTS = (
    "model.keras",
    "run.json",
    "history.json",
    "metrics.json",
    "report.html",
    "plots",
)


def new_folder(runs: Path | str, name: str | None, data: str) -> Path:
    """Make and return the folder of a new run: `runs/<name>`, or `runs/<data>`, `runs/<data>-2`, ...

    Raises:
        FileExistsError: A run of this name is there already.
        ValueError: The name is not one for a folder.
        OSError: The folder cannot be made.
    """
    runs = Path(runs)
    if name is not None:
        if not re.fullmatch(r"[\w][\w.+-]*", name):
            raise ValueError(
                explain(
                    f"The run got the name {name!r}.", "Expected letters, digits, '-', '_' and '.'.", "--name first-try"
                )
            )
        folder = runs / name
        if folder.exists():
            raise FileExistsError(
                explain(f"{folder} is there already.", "Expected the name of a new run.", f"--name {name}-2")
            )
    else:
        folder, count = runs / data, 1
        while folder.exists():
            count += 1
            folder = runs / f"{data}-{count}"
    try:
        (folder / PLOTS).mkdir(parents=True)
    except OSError as error:
        raise type(error)(
            explain(
                f"The folder {folder} could not be made: {error.strerror or error}.",
                "Expected a place to write the run to.",
                "--runs-dir /another/folder",
            )
        ) from None
    return folder


@dataclass
class Run:
    """A run that was read again.

    Args:
        folder: Where it lies.
        settings: What `run.json` holds.
        model: The trained network, compiled.
    """

    folder: Path
    settings: dict[str, Any]
    model: Any

    @property
    def class_names(self) -> list[str]:
        return list(self.settings["class_names"])

    @property
    def feature_names(self) -> list[str]:
        return list(self.settings["feature_names"])

    def dataset(self, data_dir: Any = None, offline: bool = False) -> Dataset:
        """Return the data that the run was trained on."""
        return load(self.settings["data"], data_dir or self.settings.get("data_dir"), offline)

    def prepared(self, data_dir: Any = None, offline: bool = False) -> Prepared:
        """Return the same parts as in training."""
        split = self.settings["split"]
        return prepare(
            self.dataset(data_dir, offline),
            validation=split["validation_share"],
            test=split["test_share"],
            seed=self.settings["seed"],
        )

    def decode(self, outputs: np.ndarray) -> list[tuple[str, float | None]]:
        """Return what outputs mean: (class name, its probability), or (value, None)."""
        if not self.class_names:
            return [(f"{value:g}", None) for value in outputs.reshape(-1)]
        if outputs.shape[-1] == 1:
            outputs = np.concatenate([1 - outputs, outputs], axis=-1)
        best = outputs.argmax(-1)
        return [(self.class_names[index], float(row[index])) for index, row in zip(best, outputs)]


def read_run(folder: Path | str) -> Run:
    """Read a run from its folder.

    Raises:
        FileNotFoundError: There is no run there; the message names the nearest.
        ValueError: A file of it is damaged.
    """
    folder = Path(folder)
    if not (folder / RUN).is_file():
        parent = folder.parent if folder.parent.is_dir() else Path()
        runs = sorted(path.parent.name for path in parent.glob(f"*/{RUN}"))
        guess = closest(folder.name, runs)
        fix = f"did you mean {parent / guess}?" if guess else "uncrumple train digits"
        if not guess and runs:
            fix = f"one of {', '.join(str(parent / name) for name in runs[:6])}"
        raise FileNotFoundError(
            explain(
                f"{folder} is not the folder of a run: it has no {RUN}.", "Expected what `uncrumple train` wrote.", fix
            )
        )
    try:
        settings = json.loads((folder / RUN).read_text(encoding="utf-8"))
        for key in ("data", "seed", "split", "class_names", "feature_names", "input_shape", "task"):
            settings[key]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            explain(f"{folder / RUN} is damaged: {error!r}.", "Expected what `uncrumple train` wrote.", "train again")
        ) from None
    return Run(folder, settings, load_model(folder / MODEL))
