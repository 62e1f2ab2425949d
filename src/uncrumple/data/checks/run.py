"""`check`: every check that applies, cheap ones first, within a number of seconds."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.checks import (
    drift,
    duplicates,
    labels,
    leaks,
    near_duplicates,
    series,
    shortcuts,
    suspects,
    texts,
    values,
)
from uncrumple.data.checks.clock import CannotRunError, Clock, OutOfTimeError
from uncrumple.data.checks.report import SEVERITIES, Finding, NotRun, Ran, Report
from uncrumple.data.checks.view import KINDS, View, view_of

_ALL = frozenset(KINDS)
# In the order in which they run: what is cheap and decisive first, what trains models last.
CHECKS: dict[str, tuple[Callable[[View, Clock], list[Finding]], frozenset[str]]] = {
    "missing-values": (values.missing_values, frozenset({"table", "images", "series"})),
    "constant-columns": (values.constant_columns, frozenset({"table", "series"})),
    "empty-texts": (texts.empty_texts, frozenset({"text"})),
    "broken-encoding": (texts.broken_encoding, frozenset({"text"})),
    "corrupt-files": (values.corrupt_files, _ALL),
    "input-scale": (values.input_scale, frozenset({"table", "images", "series"})),
    "class-names": (labels.class_names, _ALL),
    "absent-classes": (labels.absent_classes, _ALL),
    "class-imbalance": (labels.class_imbalance, _ALL),
    "sorted-labels": (labels.sorted_labels, _ALL),
    "label-shift": (labels.label_shift, _ALL),
    "group-leak": (leaks.group_leak, _ALL),
    "time-leak": (leaks.time_leak, _ALL),
    "time-order": (series.time_order, frozenset({"table", "series"})),
    "window-overlap": (series.window_overlap, frozenset({"series"})),
    "future-leak": (series.future_leak, frozenset({"series"})),
    "exact-duplicates": (duplicates.exact_duplicates, _ALL),
    "near-duplicates": (near_duplicates.near_duplicates, frozenset({"images"})),
    "text-overlap": (texts.text_overlap, frozenset({"text"})),
    "identifiers": (leaks.identifiers, frozenset({"table"})),
    "target-leak": (leaks.target_leak, frozenset({"table"})),
    "label-words": (texts.label_words, frozenset({"text"})),
    "file-shortcut": (shortcuts.file_shortcut, frozenset({"images"})),
    "appearance-shortcut": (shortcuts.appearance_shortcut, frozenset({"images"})),
    "text-shortcut": (shortcuts.text_shortcut, frozenset({"text"})),
    "part-difference": (drift.part_difference, _ALL),
    "suspect-labels": (suspects.suspect_labels, _ALL),
}


def check(
    data: Any = None,
    y: Any = None,
    *,
    parts: Any = None,
    groups: Any = None,
    times: Any = None,
    files: Any = None,
    kind: str | None = None,
    task: str | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    accuracy: float | None = None,
    only: Sequence[str] | None = None,
    seconds: float = 60.0,
    seed: int = 0,
) -> Report:
    """Look for what is wrong with data before a minute is spent on training.

    Args:
        data: The rows: an array or tensor, a data frame, a list of texts, of pictures or of
            picture files, a data set by name, or a `Table`, `Images`, `Text` or `Series`. In
            parts: a dict `{"train": (x, y), "validation": (x, y), "test": (x, y)}`, or an object
            with these as attributes.
        y: The answers, one per row; for a data frame also the name of its column.
        parts: Row numbers of the parts, as `split(y)` returns them.
        groups: Which person, document or place each row is from.
        times: When each row was: numbers or dates.
        files: The file that each row was read from.
        kind: `"table"`, `"images"`, `"text"` or `"series"`; by default what the data look like.
        task: `"classification"`, `"regression"` or `"language"`; by default what `y` looks like.
        class_names: The classes, where `y` holds numbers from 0.
        feature_names: The columns of an array.
        accuracy: The share of right answers of your own model, 0 to 1, which short cuts are
            compared with; by default a simple model is fitted.
        only: Names of the checks to run; by default all of `CHECKS`.
        seconds: How long it may take. Checks that are not done by then are listed as not run.
        seed: For everything that is drawn at random, 0 <= seed < 2**32.

    Returns:
        A `Report`: findings, worst first, and the checks that ran and those that did not.

    Raises:
        ValueError: The data are empty, lengths differ, or an argument is impossible.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(60, 3))
        >>> report = check({"train": (x[:40], None), "test": (x[35:], None)}, only=["exact-duplicates"])
        >>> print(report.findings[0].seen)
        5 of 25 (20 %) rows of the test part are in the training part as well (test row = training row: 0 = 35, 1 = 36, 2 = 37, 3 = 38, 4 = 39).
    """
    chosen = _chosen(only)
    _check_arguments(data, files, accuracy, seconds, seed)
    clock = Clock(seconds)
    view = view_of(
        data, y, parts=parts, groups=groups, times=times, files=files, kind=kind, task=task,
        class_names=class_names, feature_names=feature_names, accuracy=accuracy, seed=int(seed),
    )  # fmt: skip
    found: list[Finding] = []
    ran: list[Ran] = []
    not_run: list[NotRun] = []
    for name in chosen:
        function, kinds = CHECKS[name]
        if view.kind not in kinds:
            if only is not None:
                not_run.append(NotRun(name, f"it looks at {' and '.join(sorted(kinds))}, and this is {view.kind}"))
            continue
        if clock.left <= 0:
            not_run.append(NotRun(name, f"the budget of {clock.budget:g} s was spent: check(..., seconds=...)"))
            continue
        began, clock.remarks = time.perf_counter(), []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # NaN in the data is a finding, not news
                found += function(view, clock)
        except CannotRunError as error:
            not_run.append(NotRun(name, str(error)))
        except OutOfTimeError as error:
            not_run.append(NotRun(name, f"{error}: check(..., seconds=...)"))
        else:
            ran.append(Ran(name, round(time.perf_counter() - began, 3), "; ".join(clock.remarks)))
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(view.described(), tuple(found), tuple(ran), tuple(not_run), clock.spent, clock.budget)


def _chosen(only: Sequence[str] | None) -> list[str]:
    if only is None:
        return list(CHECKS)
    names = [only] if isinstance(only, str) else list(only)
    for name in names:
        if name not in CHECKS:
            raise ValueError(unknown_name("check", str(name), CHECKS))
    return [name for name in CHECKS if name in names]


def _check_arguments(data: Any, files: Any, accuracy: Any, seconds: Any, seed: Any) -> None:
    if data is None and files is None:
        raise ValueError(explain("check got no data.", "Expected rows, or files of pictures.", "check(x, y)"))
    if isinstance(data, (str, os.PathLike)) and len(str(data)) < 4096 and os.path.exists(data):
        raise ValueError(
            explain(
                f"check got a path: {os.fspath(data)!r}.",
                "Expected data that have been read.",
                "read it first, as a Table, Images, Text or Series; or on the command line: uncrumple check PATH",
            )
        )
    numbers = (
        ("accuracy", 0.5 if accuracy is None else accuracy, 0, 1, "0 <= accuracy <= 1"),
        ("seconds", seconds, 0, float("inf"), "seconds of 0 or more"),
        ("seed", seed, 0, 2**32 - 1, "a whole number from 0 to 2**32 - 1"),
    )
    for name, value, low, high, expected in numbers:
        try:
            fine = not isinstance(value, bool) and low <= value <= high and (name != "seed" or int(value) == value)
        except (TypeError, ValueError):
            fine = False
        if not fine:
            raise ValueError(
                explain(f"check got {name}={value!r}.", f"Expected {expected}.", f"check(x, y, {name}=...)")
            )
