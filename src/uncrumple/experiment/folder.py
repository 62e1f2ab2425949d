"""The folder of a run: what lies in it, and how it is read again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uncrumple.core.errors import closest, explain
from uncrumple.data.kinds import Preparation, preparation_of
from uncrumple.experiment.source import Opened, Source
from uncrumple.experiment.stages import Prepared, prepare
from uncrumple.models.saving import load_model

MODEL, FOR_KERAS, RUN, HISTORY = "model.keras", "model-for-keras.keras", "run.json", "history.json"
REPORT, PAGE, PLOTS = "report.json", "report.html", "plots"


def new_folder(runs: Path | str, name: str | None, data: str) -> Path:
    """Make and return the folder of a new run: `runs/<name>`, or `runs/<data>`, `runs/<data>-2`, ...

    Raises:
        FileExistsError: A run of this name is there already.
        ValueError: The name is not one for a folder.
        OSError: The folder cannot be made.
    """
    runs = Path(runs)
    check_free(runs, name)
    if name is not None:
        folder = runs / name
    else:
        folder, count = runs / data, 1
        while folder.exists():
            count += 1
            folder = runs / f"{data}-{count}"
    return _made(folder)


def exact_folder(folder: Path | str) -> Path:
    """Make and return the folder that a user named for a run; an empty one may be there.

    Raises:
        FileExistsError: Something is in it.
        OSError: It cannot be made.
    """
    check_free(out=folder)
    return _made(Path(folder))


def check_free(runs: Path | str = "runs", name: str | None = None, out: Path | str | None = None) -> None:
    """Refuse a name or a folder that cannot be that of a new run, before time is spent on data.

    Args:
        runs: The folder that the run's folder is made in.
        name: Its name, or None.
        out: The folder itself, in place of both.

    Raises:
        FileExistsError: A run of this name is there already, or something is in the folder.
        ValueError: The name is not one for a folder.
    """
    if out is not None:
        folder = Path(out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(
                explain(f"{folder} is there already.", "Expected a new or an empty folder.", f"--out {folder}-2")
            )
        return
    if name is None:
        return
    if not re.fullmatch(r"[\w][\w.+-]*", name):
        raise ValueError(
            explain(
                f"The run got the name {name!r}.", "Expected letters, digits, '-', '_' and '.'.", "--name first-try"
            )
        )
    if (Path(runs) / name).exists():
        raise FileExistsError(
            explain(f"{Path(runs) / name} is there already.", "Expected the name of a new run.", f"--name {name}-2")
        )


def _made(folder: Path) -> Path:
    try:
        (folder / PLOTS).mkdir(parents=True)
    except OSError as error:
        raise type(error)(
            explain(
                f"The folder {folder} could not be made: {error.strerror or error}.",
                "Expected a place to write the run to.",
                "--out /another/folder",
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
    def source(self) -> Source:
        """Where its data is from."""
        return Source.from_dict(self.settings["source"], self.folder)

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @property
    def preparation(self) -> Preparation:
        """The layer that the model begins with."""
        return preparation_of(self.model)

    def opened(self, data_dir: Any = None, offline: bool = False) -> Opened:
        """Read the data that the run was trained on.

        Raises:
            FileNotFoundError: It is no longer there.
            ValueError: It has changed since.
        """
        source = self.source
        if not source.is_name and not Path(source.data).exists():
            raise FileNotFoundError(
                explain(
                    f"{self.folder} was trained on {source.data}, which is no longer there.",
                    "Expected the same data, to find the same rows.",
                    f"put it back, or name a file or folder: uncrumple evaluate {self.folder} FILE",
                )
            )
        found = source.opened(data_dir=data_dir, offline=offline)
        rows, learnt = len(found.data), int(self.settings["rows"])
        if rows != learnt or list(found.data.class_names) != list(self.settings["class_names"]):
            raise ValueError(
                explain(
                    f"{self.source.data} has changed since {self.folder} was trained: {rows:,} rows, {learnt:,} then.",
                    "Expected the same data, to find the same test rows.",
                    "train again, or name a file to evaluate on",
                )
            )
        return found

    def prepared(self, data_dir: Any = None, offline: bool = False, opened: Opened | None = None) -> Prepared:
        """Return the same parts as in training; uses of the test part are counted beside the run.

        Raises:
            FileNotFoundError: The data are no longer there.
            ValueError: They have changed since.
        """
        split = self.settings["split"]
        made = prepare(
            (opened or self.opened(data_dir, offline)).need_answers(),
            validation=split["validation_share"],
            test=split["test_share"],
            seed=self.seed,
            folder=self.folder.absolute().parent,  # of "." the parent would be "."
        )
        if made.sealed.fingerprint != self.settings.get("test_rows", made.sealed.fingerprint):
            raise ValueError(
                explain(
                    f"{self.source.data} has changed since {self.folder} was trained: as many rows, and other values.",
                    "Expected the same data, to find the same test rows.",
                    "train again, or name a file to evaluate on",
                )
            )
        return made


def read_run(folder: Path | str) -> Run:
    """Read a run from its folder.

    Raises:
        FileNotFoundError: There is no run there; the message names the nearest.
        ValueError: A file of it is damaged.
    """
    folder = Path(folder)
    if not is_run(folder):
        parent = folder.parent if folder.parent.is_dir() else Path()
        runs = sorted(path.parent.name for path in parent.glob(f"*/{RUN}"))
        guess = closest(folder.name, runs)
        within = sorted({str(path.parent) for place in (folder, Path("runs")) for path in place.glob(f"*/{RUN}")})
        named = next((one for one in within if Path(one).name == folder.stem), None)
        if guess:
            fix = f"did you mean {parent / guess}?"
        elif named:
            fix = f"did you mean {named}?"
        elif runs or within:
            fix = f"one of {', '.join([*(str(parent / name) for name in runs), *within][:6])}"
        else:
            fix = f"uncrumple train {folder if folder.exists() else 'digits'}"
        lacks = f"it has no {RUN}" if folder.exists() else "it is not there"
        raise FileNotFoundError(
            explain(f"{folder} is not the folder of a run: {lacks}.", "Expected what `uncrumple train` wrote.", fix)
        )
    try:
        settings = json.loads((folder / RUN).read_text(encoding="utf-8"))
        for key in ("source", "seed", "split", "rows", "class_names", "task", "kind"):
            settings[key]
        Source.from_dict(settings["source"], folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            explain(f"{folder / RUN} is damaged: {error!r}.", "Expected what `uncrumple train` wrote.", "train again")
        ) from None
    return Run(folder, settings, load_model(folder / MODEL))


def is_run(folder: Path | str) -> bool:
    """Return whether a folder is that of a run."""
    return (Path(folder) / RUN).is_file()
