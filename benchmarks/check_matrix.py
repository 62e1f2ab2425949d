"""What `uncrumple.data.check` finds, misses, and says about clean data: the matrix of docs/data-checks.md.

Each defect is planted into several data sets, with several seeds each, and
its check is run: found or missed. Every check is run on clean data, each seed
another split or other generated data: silent or a false alarm. The seeds below
300 were used while thresholds were chosen; the published numbers are of
seeds from 300 on.

Usage: python benchmarks/check_matrix.py [--seeds 5] [--clean 10] [--first 300] [--only NAME] [--write docs/data-checks.md]
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from check_defects import DEFECTS
from check_sets import CLEAN, Given

from uncrumple.data.checks import CHECKS, check
from uncrumple.judge import wilson


def run(given: Given, only: list[str] | None = None) -> Any:
    return check(**{name: value for name, value in given.items() if name != "planted"}, only=only, seconds=600)


def recall_and_precision(report: Any, planted: np.ndarray) -> tuple[float, float]:
    """Return how many of the labels made wrong were suspect, and how many of the suspect ones had been made wrong."""
    flagged = {row for found in report.named("suspect-labels") for row in found.rows}
    hit = len(set(planted.tolist()) & flagged)
    return hit / len(planted), hit / len(flagged) if flagged else float("nan")


def run_planted(task: tuple[int, str, int]) -> tuple[bool, tuple[float, float] | None]:
    """Plant a defect into a data set, and return whether its check found it."""
    place, data, seed = task
    name, _, _, plant = DEFECTS[place]
    random = np.random.default_rng(seed)
    given = CLEAN[data](random)
    spoilt = plant(given, random)
    report = run(spoilt, [OF.get(name, name)])
    clean_up(given)
    found = len(report) > 0 if name == "time-order" else bool(report.named(name))
    return found, recall_and_precision(report, spoilt["planted"]) if "planted" in spoilt else None


def run_clean(task: tuple[str, int]) -> Any:
    """Return the report of every check on a clean data set."""
    data, seed = task
    given = CLEAN[data](np.random.default_rng(seed))
    report = run(given)
    clean_up(given)
    return report


def clean_up(given: Given) -> None:
    data = given.get("data")
    if isinstance(data, list) and data and isinstance(data[0], Path):
        shutil.rmtree(data[0].parents[1], ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="how often each defect is planted in each set")
    parser.add_argument("--clean", type=int, default=10, help="how many clean runs per set")
    parser.add_argument("--first", type=int, default=300, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many processes")
    parser.add_argument("--only", default="", help="only the checks, or sets, with this in their name")
    parser.add_argument("--write", default="", help="the page to write")
    options = parser.parse_args()
    began = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    fresh = range(options.first, options.first + options.clean)
    chosen = [place for place, entry in enumerate(DEFECTS) if options.only in entry[0]]
    planting = [(place, data, seed) for place in chosen for data in DEFECTS[place][2] for seed in seeds]
    cleaning = [(data, seed) for data in CLEAN if options.only in data or not options.only for seed in fresh]
    planted: dict[int, dict[str, int]] = collections.defaultdict(dict)
    quality: dict[str, list[tuple[float, float]]] = collections.defaultdict(list)
    clean: dict[str, list[Any]] = collections.defaultdict(list)
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        for (place, data, _), (hit, measured) in zip(planting, pool.map(run_planted, planting, chunksize=5)):
            planted[place][data] = planted[place].get(data, 0) + hit
            if measured is not None:
                quality[data].append(measured)
        for place in chosen:
            print(f"{DEFECTS[place][0]:<22} {DEFECTS[place][1]:<62} {planted[place]}", flush=True)
        for (data, _), report in zip(cleaning, pool.map(run_clean, cleaning)):
            clean[data].append(report)
    for data, reports in clean.items():
        alarms = collections.Counter(name for report in reports for name in {found.name for found in report})
        print(f"clean {data:<16} {len(reports)} runs: {dict(alarms) or 'silent'}", flush=True)
    if options.write:
        rows = [(DEFECTS[place][0], DEFECTS[place][1], planted[place]) for place in chosen]
        page = written(rows, quality, clean, options, time.perf_counter() - began)
        Path(options.write).write_text(page, encoding="utf-8")


# Findings that another check makes in passing.
OF = {"contradicting-labels": "exact-duplicates"}


def written(planted: list, quality: dict, clean: dict, options: argparse.Namespace, seconds: float) -> str:
    total = sum(options.seeds * len(counts) for _, _, counts in planted)
    found = sum(sum(counts.values()) for _, _, counts in planted)
    reports = [report for runs in clean.values() for report in runs]
    alarmed = sum(len(report) > 0 for report in reports)
    checks_run = sum(len(report.ran) for report in reports)
    alarms = sum(len({entry.name for entry in report}) for report in reports)
    lines = [
        *HEAD.strip().split("\n"),
        "",
        f"Measured with seeds from {options.first} on (thresholds were chosen on seeds below 300), "
        f"Python {platform.python_version()}, {seconds / 60:.0f} minutes in {options.jobs} processes.",
        "",
        f"- **Planted**: {found} of {total} found ({share(found, total)}). Not counting what is known to be missed: "
        + counted([entry for entry in planted if "known to be missed" not in entry[1]], options.seeds)
        + ".",
        f"- **Clean**: {alarmed} of {len(reports)} reports said something ({share(alarmed, len(reports))}); {alarms} of "
        f"{checks_run:,} checks that ran ({share(alarms, checks_run, 2)}). In brackets the 95 % interval (Wilson's).",
        "",
        "## What is found",
        "",
        f"Each number is how many of {options.seeds} planted defects were found.",
        "",
        "| Check | Planted | Found |",
        "|---|---|---|",
    ]
    for name, words, counts in planted:
        cells = " · ".join(
            f"{place} {hits}" if hits == options.seeds else f"{place} **{hits}**" for place, hits in counts.items()
        )
        lines.append(f"| `{name}` | {words} | {cells} |")
    if quality:
        lines += [
            "",
            "Of the labels made wrong, how many were among the suspect ones (recall), and how many of the",
            "suspect ones had been made wrong (precision), on average:",
            "",
        ]
        lines += ["| Set | Recall | Precision |", "|---|---|---|"]
        for place, pairs in quality.items():
            recalls, precisions = np.array(pairs).T
            known = precisions[np.isfinite(precisions)]
            precision = f"{known.mean():.2f}" if len(known) else "none flagged"
            lines.append(f"| {place} | {recalls.mean():.2f} | {precision} |")
    lines += [
        "",
        "## What is said about clean data",
        "",
        f"{options.clean} runs of each set, every check.",
        "",
        "| Set | Reports with a finding | Which | Seconds (median) |",
        "|---|---|---|---|",
    ]
    for place, runs in clean.items():
        which = collections.Counter(name for report in runs for name in {entry.name for entry in report})
        said = ", ".join(f"`{name}` {count}" for name, count in which.most_common()) or "silent"
        loud = sum(len(report) > 0 for report in runs)
        lines.append(f"| {place} | {loud} of {len(runs)} | {said} | {np.median([r.seconds for r in runs]):.1f} |")
    lines += ["", "By check:", "", "| Check | Ran | False alarms |", "|---|---|---|"]
    for name in CHECKS:
        ran = sum(any(entry.name == name for entry in report.ran) for report in reports)
        names = {name, *(own for own, of_check in OF.items() if of_check == name)}
        loud = sum(any(entry.name in names for entry in report) for report in reports)
        lines.append(f"| `{name}` | {ran} | {loud} |")
    return "\n".join([*lines, "", *TAIL.strip().split("\n"), ""])


def counted(entries: list, seeds: int) -> str:
    total = sum(seeds * len(counts) for _, _, counts in entries)
    found = sum(sum(counts.values()) for _, _, counts in entries)
    return f"{found} of {total} ({share(found, total)})"


def share(count: int, total: int, digits: int = 1) -> str:
    return wilson(count, max(1, total)).in_words(digits=digits)


HEAD = """
# Data checks: what they find, and how often they cry wolf

Written by `benchmarks/check_matrix.py`; the numbers are those of its last run.

```python
from sklearn.datasets import load_iris

from uncrumple.data import check, split

x, y = load_iris(return_X_y=True)
report = check(x, y, parts=split(y))
print(report)  # findings, worst first; then the checks that ran and those that could not
report.to_dict()  # the same as data
```

Each finding says what was seen, the number and its limit, why it matters, and one thing to try.
`seconds=` is how long it may take: a check that would take longer is listed as not run, and of
pictures, those that could be read in time are looked at and counted. A model whose fitting has
begun is still fitted, which may take a second more.
"""

TAIL = """
## What is behind the numbers

| Check | Number and limit | Source |
|---|---|---|
| `missing-values`, `corrupt-files`, `constant-columns`, `empty-texts`, `absent-classes`, `group-leak`, `time-leak` | a count; limit 0 | exact |
| `input-scale` | deviation of all inputs outside 0.1 to 10; a column that varies 100 times as much as another; parts 10 times apart | measured on healthy and failing trainings |
| `class-imbalance` | rarest class below 0.1 / classes, below 5 rows, or the largest above 0.9 | |
| `sorted-labels` | fewer than half of the changes from row to row that chance gives, and 6 deviations below it | runs test |
| `label-shift` | chi-squared (or Kolmogorov-Smirnov) p < 0.001 and a gap of 5 points (0.1) | |
| `exact-duplicates` | SHA-256 of the row without its answer; answers are compared afterwards. In tables of few different values, equal rows happen by chance: as many are expected as if columns had nothing to do with each other within a class, and p < 0.01 is needed | |
| `near-duplicates` | correlation of 0.97 between copies of 8 x 8 cells finds candidates, of 0.99 between copies of up to 32 x 32 pixels (0.995 below 256 pixels), or of 0.995 at half that size, decides; colours and contrast must agree, and one copy per 100,000,000 pairs is taken for chance. Moved, turned and cut pictures are missed | Barz and Denzler, 2020 |
| `target-leak` | from one column: AUC of 0.99 for two classes, 0.99 right by a 20-leaf tree out of fold for more, correlation of 0.99 for numbers | Kapoor and Narayanan, 2023 |
| `file-shortcut`, `appearance-shortcut`, `text-shortcut` | more than half of a model's advantage over the largest class, three deviations above it. Without `accuracy=`, a simple model stands in, taken to get at least halfway to perfect | |
| `part-difference` | random forest, 3 folds: AUC above 0.6 and z above 3 (guesses out of fold depend on each other: with 2.33, 2 to 7 of 100 equal parts were said to differ); columns by Kolmogorov-Smirnov with Holm's correction at 0.01 | Lopez-Paz and Oquab, 2017 |
| `suspect-labels` | confident learning out of fold, mean of logistic regression and extremely random trees, where these are right nine times in ten, and only between classes that they tell apart (F1 of 0.85 or more each); more than 1 % of the rows | Northcutt, Jiang and Chuang, 2021 |
| `label-words` | a word in 95 % of a class's texts and (99 %) in no other class; the class's own name in half of its texts, ten times as often as elsewhere | |
| `text-overlap` | passages of 60 characters; more than 1 % | |
| `window-overlap` | the last 3 steps of a test window within a training window; more than 1 % of the windows | |
| `future-leak` | a step of a channel equals the answer in 99 % of the windows | |

What is missed, and why: `suspect-labels` needs simple models that are right nine times in ten out of
fold, which they are not on the generated shapes; `label-shift` and `part-difference` need more rows
for such differences than the test parts of wine (45) and shapes (90) have; a picture moved by a pixel
has another correlation.

A silent report is no proof that nothing is wrong: these are the defects that are looked for.
"""


if __name__ == "__main__":
    main()
