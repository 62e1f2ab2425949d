"""Beginners' mistakes: what is said about each, by uncrumple and, if it is installed, by Keras 3 on torch.

Both packages are made to do what the functions in `tests/beginners/` do, each
in a process of its own. Of every answer three questions are asked:

caught  Did an exception come before the first step of an optimizer? A warning
        counts if it mentions the place.
place   Does the text mention the layer, the argument or the data that is
        wrong (the word that stands in the table)?
mend    Does the text say what to do? That is: "did you mean", "use", "pass",
        "set", "call", "add", "make sure", "should", "instead" and the like,
        or "Fix:". What Python itself adds to an AttributeError ("Did you
        mean: 'compile'?") counts too.

`place` and `mend` are asked only of what was caught. The rules are lenient: a
Python TypeError that shows the misspelt argument has named the place, and
"Please use ..." about something else is a mend.

Usage: python benchmarks/mistakes.py [--texts] [--only NAME]
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
FAMILIES = ("shapes", "names", "arguments", "data", "targets", "own_layers")
MEND = re.compile(
    r"fix: |did you mean|instead|make sure|please|consider|should|you can|you need|have you|"
    r"\b(use|using|set|pass|call|try|specify|provide|add|remove|replace|reshape|ensure|check|import)\b ",
    re.IGNORECASE,
)
QUESTIONS = ("caught", "place", "mend")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", action="store_true", help="show what was said")
    parser.add_argument("--only", default="", help="only the mistakes with this in their names")
    parser.add_argument("--package", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.package:
        json.dump(answers(options.package, options.only), sys.stdout)
        return
    found = {"uncrumple": ask("uncrumple", options.only)}
    if importlib.util.find_spec("keras") is not None:
        found["keras"] = ask("keras", options.only)
    show(found, options.texts)


def ask(package: str, only: str) -> dict[str, Any]:
    """Return the answers of a package, from a process of its own."""
    command = [sys.executable, __file__, "--package", package, "--only", only]
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(TESTS), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{package} could not be asked:\n{done.stderr}")
    return json.loads(done.stdout)


def answers(package: str, only: str) -> dict[str, Any]:
    """Make every mistake with this package, in this process."""
    table = importlib.import_module("beginners.table")
    for family in FAMILIES:
        importlib.import_module(f"beginners.{family}")
    keras = importlib.import_module(package)
    importlib.import_module(f"{package}.optimizers")
    steps = count_steps(keras)
    os.chdir(tempfile.mkdtemp())
    found = {}
    for mistake in table.MISTAKES:
        if only in mistake.name:
            keras.utils.clear_session()
            found[f"{mistake.make.__module__.split('.')[-1]}.{mistake.name}"] = judge(keras, mistake, steps)
    return found


def count_steps(keras: Any) -> list[int]:
    """Return a list that grows with each step of an optimizer."""
    steps: list[int] = []
    cls = keras.optimizers.Optimizer
    name = "_apply" if keras.__name__ == "uncrumple" else "apply"
    original = getattr(cls, name)

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        steps.append(1)
        return original(self, *args, **kwargs)

    setattr(cls, name, counting)
    return steps


def judge(keras: Any, mistake: Any, steps: list[int]) -> dict[str, Any]:
    """Make one mistake; return the three answers and what was said."""
    steps.clear()
    said: list[tuple[str, bool]] = []  # text, whether before training
    mended = False

    def note(message: Any, category: Any, *_: Any, **__: Any) -> None:
        if issubclass(category, UserWarning) and mentions(str(message), mistake.place):
            said.append((str(message), not steps))

    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("always")
        warnings.showwarning = note
        try:
            mistake.make(keras)
        except Exception as error:
            said.append((str(error), not steps))
            mended = python_guesses(error)
    early = [text for text, before in said if before]
    text = "\n".join(early)
    return {
        "caught": bool(early),
        "place": bool(early) and mentions(text, mistake.place),
        "mend": bool(early) and (mended or MEND.search(text) is not None),
        "said": "\n".join(one for one, _ in said),
    }


def mentions(text: str, place: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(place)}(?!\w)", text, re.IGNORECASE) is not None


def python_guesses(error: Exception) -> bool:
    """Return whether Python would add a did-you-mean of its own when it prints this error."""
    if not isinstance(error, AttributeError) or error.obj is None or not error.name:
        return False
    return bool(difflib.get_close_matches(error.name, dir(error.obj), n=1, cutoff=0.7))


def show(found: dict[str, dict[str, Any]], texts: bool) -> None:
    names = list(found["uncrumple"])
    width = max(map(len, names)) + 2
    print(" " * width + "".join(f"{package:<21}" for package in found))
    print(" " * width + "".join(f"{question:<7}" for _ in found for question in QUESTIONS))
    for name in names:
        marks = (" ".join(f"{'yes' if found[p][name][q] else '-':<6}" for q in QUESTIONS) for p in found)
        print(f"{name:<{width}}{' '.join(marks)}")
        if texts:
            for package in found:
                print(
                    "\n".join(
                        f"    {package}: {line}" for line in (found[package][name]["said"] or "(nothing)").split("\n")
                    )
                )
    for package, answered in found.items():
        counts = [sum(one[question] for one in answered.values()) for question in QUESTIONS]
        print(
            f"{package}: of {len(answered)} mistakes {counts[0]} caught before training, "
            f"{counts[1]} with the place, {counts[2]} with a mend"
        )


if __name__ == "__main__":
    main()
