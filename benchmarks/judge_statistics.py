"""Do the statistics of `uncrumple.judge` keep their word? Coverage and false alarms, by simulation.

    python benchmarks/judge_statistics.py                 # the long version; writes the table into docs/judging.md
    python benchmarks/judge_statistics.py --repeats 300   # a quick look; writes nothing
    python benchmarks/judge_statistics.py --only Fairness # some lines; writes nothing

Each line draws data for which the truth is known, many times. An interval that promises
95 % is to hold the truth in 95 % of them; a test that is asked for .05 is to raise a false alarm in
at most 5 %. `tests/judge/test_statistics.py` runs the same functions with fewer repeats.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import ttest_1samp

from uncrumple.judge import (
    against_chance,
    balanced_scores,
    bootstrap,
    calibration_of,
    compare_balanced,
    compare_errors,
    compare_right,
    corrected_t,
    fairness_of,
    holm,
    mcnemar,
    shift_robustness,
    slices_of,
    wilson,
)
from uncrumple.judge.fairness import Rate, gap_between

PAGE = Path(__file__).resolve().parents[1] / "docs" / "judging.md"
START, END = "<!-- statistics: begin -->", "<!-- statistics: end -->"


# --- intervals: how often they hold the truth --------------------------------------------


def wilson_coverage(repeats: int, seed: int = 0, rows: int = 100, share: float = 0.97) -> float:
    """Wilson's interval of an accuracy."""
    hits = np.random.default_rng(seed).binomial(rows, share, repeats)
    kept = {int(count): wilson(int(count), rows) for count in np.unique(hits)}
    return float(np.mean([kept[int(count)].low <= share <= kept[int(count)].high for count in hits]))


def wald_coverage(repeats: int, seed: int = 0, rows: int = 100, share: float = 0.97) -> float:
    """The usual p ± 1.96 sqrt(p (1 - p) / n), for comparison."""
    found = np.random.default_rng(seed).binomial(rows, share, repeats) / rows
    half = 1.96 * np.sqrt(found * (1 - found) / rows)
    return float(np.mean((found - half <= share) & (share <= found + half)))


def balanced_coverage(repeats: int, seed: int = 0, rare: int = 20) -> float:
    """Balanced accuracy, 300 rows of one class and `rare` of the other; recalls .95 and .7."""
    random = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [300, rare])
    held = 0
    for _ in range(repeats):
        right = random.random(len(truth)) < np.where(truth == 0, 0.95, 0.7)
        classes = [wilson(int(right[truth == kind].sum()), int((truth == kind).sum())) for kind in (0, 1)]
        middle = np.mean([one.score for one in classes])
        low = middle - math.sqrt(sum((one.score - one.low) ** 2 for one in classes)) / 2
        high = middle + math.sqrt(sum((one.high - one.score) ** 2 for one in classes)) / 2
        held += low <= 0.825 <= high
    # The lines above are the formula without the bootstrap of Matthews's correlation, which takes most of the time.
    found = balanced_scores(truth, np.where(right, truth, 1 - truth))["balanced_accuracy"]
    assert np.allclose((found.low, found.high), (low, high))
    return held / repeats


def bootstrap_coverage(repeats: int, seed: int = 0, rows: int = 200) -> float:
    """The bootstrap interval of a mean absolute error, errors exponential with mean 1."""
    random = np.random.default_rng(seed)
    held = 0
    for number in range(repeats):
        found = bootstrap(np.mean, random.exponential(1, rows), resamples=1000, seed=number)
        held += found.low <= 1 <= found.high
    return held / repeats


def grouped_coverage(repeats: int, seed: int = 0, by_group: bool = True) -> float:
    """The accuracy of 60 patients with 10 rows each, which are right or wrong together; truth .8."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), 10)
    held = 0
    for number in range(repeats):
        share = random.beta(1.6, 0.4, 60)  # mean .8, far from equal
        right = (random.random(600) < share[groups]).astype(float)
        found = bootstrap(np.mean, right, resamples=1000, seed=number, groups=groups if by_group else None)
        held += found.low <= 0.8 <= found.high
    return held / repeats


def difference_coverage(repeats: int, seed: int = 0, rows: int = 300, resampled: bool = False) -> float:
    """The difference of two accuracies on the same rows; the truth is .03."""
    random = np.random.default_rng(seed)
    held = 0
    for number in range(repeats):
        kind = random.choice(3, rows, p=[0.05, 0.02, 0.93])
        first, second = kind != 1, kind != 0
        if resampled:
            found = bootstrap(np.mean, first.astype(float) - second, resamples=1000, seed=number)
        else:
            found = compare_right(first, second).difference
        held += found.low <= 0.03 <= found.high
    return held / repeats


# --- tests: how often they cry wolf -------------------------------------------------------


def mcnemar_alarms(repeats: int, seed: int = 0, rows: int = 300) -> float:
    """McNemar's exact test of two equally good classifiers."""
    random = np.random.default_rng(seed)
    apart = random.binomial(rows, 0.08, repeats)
    return float(
        np.mean([mcnemar(int(one), int(both - one)) < 0.05 for both, one in zip(apart, random.binomial(apart, 0.5))])
    )


def mcnemar_power(repeats: int, seed: int = 0, rows: int = 1000) -> float:
    """How often McNemar's test sees a lead of two points."""
    random = np.random.default_rng(seed)
    counts = random.multinomial(rows, [0.03, 0.01, 0.96], repeats)
    return float(np.mean([mcnemar(int(one), int(other)) < 0.05 for one, other, _ in counts]))


def chance_alarms(repeats: int, seed: int = 0) -> float:
    """Answers that have nothing to do with the truth; three classes, unequal."""
    random = np.random.default_rng(seed)
    alarms = 0
    for number in range(repeats):
        truth, answers = (random.choice(3, 120, p=shares) for shares in ([0.6, 0.3, 0.1], [0.5, 0.3, 0.2]))
        alarms += against_chance(truth, answers, seed=number) < 0.05
    return alarms / repeats


def grouped_alarms(repeats: int, seed: int = 0, by_group: bool = True) -> float:
    """Two equally good classifiers on 60 patients with 10 rows, each better on some patients."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), 10)
    alarms = 0
    for number in range(repeats):
        lean = random.normal(0, 0.25, 60)[groups]
        first, second = random.random(600) < 0.7 + lean, random.random(600) < 0.7 - lean
        alarms += compare_right(first, second, groups=groups if by_group else None, seed=number).p_value < 0.05
    return alarms / repeats


def sign_flip_alarms(repeats: int, seed: int = 0, rows: int = 150) -> float:
    """Two equally good regressions, errors with a heavy tail."""
    random = np.random.default_rng(seed)
    return float(
        np.mean(
            [
                compare_errors(random.exponential(1, rows), random.exponential(1, rows), seed=number).p_value < 0.05
                for number in range(repeats)
            ]
        )
    )


def balanced_alarms(repeats: int, seed: int = 0) -> float:
    """Two equally good classifiers by balanced accuracy, 30 of 330 rows of the rare class."""
    random = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [300, 30])
    share = np.where(truth == 0, 0.95, 0.7)
    alarms = 0
    for number in range(repeats):
        first, second = random.random(330) < share, random.random(330) < share
        alarms += compare_balanced(truth, first, second, seed=number).p_value < 0.05
    return alarms / repeats


def holm_alarms(repeats: int, seed: int = 0, tests: int = 5, corrected: bool = True) -> float:
    """At least one false alarm among five tests."""
    p_values = np.random.default_rng(seed).random((repeats, tests))
    if not corrected:
        return float((p_values.min(axis=1) < 0.05).mean())
    return float(np.mean([min(holm(row.tolist())) < 0.05 for row in p_values]))


def fold_alarms(repeats: int, seed: int = 0, corrected: bool = True, times: int = 1) -> float:
    """Two learners that are equally good, over `times` x 10 folds of 200 rows.

    Each is a nearest-mean classifier on its own half of 10 equally useful columns.
    """
    random = np.random.default_rng(seed)
    alarms = 0
    for _ in range(repeats):
        y = np.arange(200) % 2
        x = random.normal(size=(200, 10)) + 0.35 * (2 * y[:, None] - 1)
        gaps = []
        for _ in range(times):
            fold = np.empty(200, int)
            fold[random.permutation(200)] = np.arange(200) % 10
            for number in range(10):
                train = fold != number
                middle = [x[train & (y == kind)].mean(axis=0) for kind in (0, 1)]
                toward, centre = middle[1] - middle[0], (middle[1] + middle[0]) / 2
                sides = (x[~train] - centre) * toward
                right = [((sides[:, half].sum(axis=1) > 0) == y[~train]).mean() for half in (slice(0, 5), slice(5, 10))]
                gaps.append(right[0] - right[1])
        if corrected:
            p_value = corrected_t(gaps, 180, 20)[0]
        else:
            p_value = float(ttest_1samp(gaps, 0).pvalue) if np.ptp(gaps) else 1.0
        alarms += p_value < 0.05
    return alarms / repeats


def calibration_alarms(repeats: int, seed: int = 0, rows: int = 200, logits: float = 1.0) -> float:
    """Calibration of a model that is calibrated; or whose logits are so many times too large."""
    random = np.random.default_rng(seed)
    alarms = 0
    for number in range(repeats):
        scores = random.normal(0, 1.5, rows)
        truth = (random.random(rows) < 1 / (1 + np.exp(-scores))).astype(int)
        said = 1 / (1 + np.exp(-logits * scores))
        alarms += calibration_of(truth, said, seed=number).p_value < 0.05
    return alarms / repeats


def calibration_floor(repeats: int, seed: int = 0, rows: int = 200) -> tuple[float, float]:
    """The mean ECE of calibrated models, and the mean of the floors shown beside it."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(repeats):
        said = random.uniform(0.5, 1.0, rows)
        truth = (random.random(rows) < said).astype(int)
        one = calibration_of(truth, said, seed=number)
        found.append((one.ece, one.floor))
    return tuple(float(value) for value in np.mean(found, axis=0))  # type: ignore[return-value]


def slice_alarms(repeats: int, seed: int = 0, shares: bool = True) -> float:
    """At least one slice of ten called worse, although all are served alike."""
    random = np.random.default_rng(seed)
    alarms = 0
    for number in range(repeats):
        columns = {name: random.integers(0, kinds, 400) for name, kinds in (("a", 2), ("b", 3), ("c", 5))}
        scores = random.random(400) < 0.85 if shares else random.exponential(1, 400)
        alarms += bool(slices_of(columns, scores, shares=shares, seed=number).worse)
    return alarms / repeats


def fairness_alarms(repeats: int, seed: int = 0) -> float:
    """At least one gap between three groups shown, although the model treats them alike."""
    random = np.random.default_rng(seed)
    alarms = 0
    for number in range(repeats):
        truth = random.random(400) < 0.4
        answers = np.where(random.random(400) < 0.85, truth, ~truth)
        found = fairness_of("group", random.integers(0, 3, 400), truth, answers, seed=number)
        alarms += any(one.p_value is not None and one.p_value < 0.05 for one in found.gaps)
    return alarms / repeats


def gap_coverage(repeats: int, seed: int = 0) -> float:
    """The difference in recall between the two of four groups that look farthest apart; true recalls .70 to .85."""
    random = np.random.default_rng(seed)
    shares, sizes = np.array([0.7, 0.75, 0.8, 0.85]), (60, 120, 150, 270)
    held = 0
    for _ in range(repeats):
        found = random.binomial(sizes, shares)
        rates = [
            Rate(str(place), rows, wilson(int(hits), rows)) for place, (hits, rows) in enumerate(zip(found, sizes))
        ]
        low, high = (int(pick(rates, key=lambda rate: rate.share.score).group) for pick in (min, max))
        gap = gap_between(rates)
        held += gap.low <= shares[high] - shares[low] <= gap.high
    return held / repeats


def series_alarms(repeats: int, seed: int = 0, stretches: int | None = 10) -> float:
    """Two equally good forecasts of 600 steps; which errs more drifts slowly (autocorrelation .8)."""
    random = np.random.default_rng(seed)
    groups = None if stretches is None else np.arange(600) * stretches // 600
    alarms = 0
    for number in range(repeats):
        drift, noise = np.empty(600), random.normal(size=600)
        drift[0] = noise[0]
        for step in range(1, 600):
            drift[step] = 0.8 * drift[step - 1] + 0.6 * noise[step]
        first, second = (np.abs(random.normal(size=600)) + 2 + sign * drift / 2 for sign in (1, -1))
        alarms += compare_errors(first, second, seed=number, groups=groups).p_value < 0.05
    return alarms / repeats


def shift_alarms(repeats: int, seed: int = 0) -> float:
    """A loss by a shift shown, although answers on shifted pictures are as often right as before."""
    random = np.random.default_rng(seed)
    pictures, truth = np.zeros((300, 4, 4)), np.zeros(300, int)
    alarms = 0
    for _ in range(repeats):
        base = random.random(300) < 0.9

        def answer(x: np.ndarray, base: np.ndarray = base) -> np.ndarray:
            again = np.where(random.random(300) < 0.15, random.random(300) < 0.9, base)
            return 1 - again.astype(int)

        found = shift_robustness(answer, pictures, truth)
        alarms += any(one.p_value < 0.05 and one.accuracy.score < found.accuracy.score for one in found.ways)
    return alarms / repeats


# --- the table ---------------------------------------------------------------------------

# What it is, what it should be, and how often it is repeated in the long version, by function.
_Line = tuple[str, str, int, Callable[[int], float]]
LINES: list[_Line] = [
    ("Wilson's interval, 100 rows, accuracy .97", "holds .95", 20000, wilson_coverage),
    ("Wilson's interval, 20 rows, accuracy .90", "holds .95", 20000, lambda n: wilson_coverage(n, rows=20, share=0.9)),
    (
        "Wilson's interval, 1,000 rows, accuracy .80",
        "holds .95",
        20000,
        lambda n: wilson_coverage(n, rows=1000, share=0.8),
    ),
    ("for comparison: p ± 1.96 s, 100 rows, .97", "", 20000, wald_coverage),
    ("Balanced accuracy, 300 and 20 rows", "holds .95", 4000, balanced_coverage),
    ("Balanced accuracy, 300 and 5 rows", "holds .95", 4000, lambda n: balanced_coverage(n, rare=5)),
    ("Bootstrap of a mean error, 200 rows", "holds .95", 2000, bootstrap_coverage),
    ("Bootstrap by group, 60 patients of 10 rows", "holds .95", 2000, grouped_coverage),
    ("for comparison: by row", "", 2000, lambda n: grouped_coverage(n, by_group=False)),
    ("Difference of two accuracies (Bonett and Price), 300 rows", "holds .95", 5000, difference_coverage),
    ("for comparison: paired bootstrap of it", "", 2000, lambda n: difference_coverage(n, resampled=True)),
    ("McNemar's exact test, 300 rows", "alarms ≤ .05", 20000, mcnemar_alarms),
    ("McNemar's exact test sees a lead of 2 points, 1,000 rows", "finds", 5000, mcnemar_power),
    ("Answers go together with the truth, 120 rows", "alarms ≤ .05", 1000, chance_alarms),
    ("Sign flips by group, 60 patients of 10 rows", "alarms ≤ .05", 1000, grouped_alarms),
    ("for comparison: McNemar by row", "", 2000, lambda n: grouped_alarms(n, by_group=False)),
    ("Sign flips on absolute errors, 150 rows", "alarms ≤ .05", 1000, sign_flip_alarms),
    ("Sign flips on balanced accuracy, 300 and 30 rows", "alarms ≤ .05", 1000, balanced_alarms),
    ("Holm, one of five", "alarms ≤ .05", 20000, holm_alarms),
    ("for comparison: not corrected", "", 20000, lambda n: holm_alarms(n, corrected=False)),
    ("Corrected t, 10 folds", "alarms ≤ .05", 2000, fold_alarms),
    ("Corrected t, 5 times 10 folds", "alarms ≤ .05", 500, lambda n: fold_alarms(n, times=5)),
    ("for comparison: ordinary t, 5 times 10 folds", "", 500, lambda n: fold_alarms(n, corrected=False, times=5)),
    ("ECE beside its floor, calibrated, 200 rows", "alarms ≤ .05", 1000, calibration_alarms),
    ("ECE beside its floor, logits times 5, 200 rows", "finds", 300, lambda n: calibration_alarms(n, logits=5.0)),
    ("Slices, one of ten, classes", "alarms ≤ .05", 1000, slice_alarms),
    ("Slices, one of ten, values", "alarms ≤ .05", 400, lambda n: slice_alarms(n, shares=False)),
    ("Fairness, one of three gaps", "alarms ≤ .05", 400, fairness_alarms),
    ("Fairness, the widest of six gaps between four groups", "holds .95", 2000, gap_coverage),
    ("Sign flips by stretch, a series of 600 steps in 10", "alarms ≤ .05", 1000, series_alarms),
    ("for comparison: by step", "", 1000, lambda n: series_alarms(n, stretches=None)),
    ("Shift by a pixel, one of four", "alarms ≤ .05", 1000, shift_alarms),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, help="At most so many for each line; nothing is written then.")
    parser.add_argument("--only", default="", help="Only the lines with this in their name; nothing is written then.")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    start, rows = time.perf_counter(), ["| what | promised | measured | repeats |", "|---|---|---|---|"]
    for what, promised, repeats, measure in LINES:
        if options.only not in what:
            continue
        count = min(repeats, options.repeats or repeats)
        share = measure(count)
        error = 1.96 * math.sqrt(max(share * (1 - share), 1 / count) / count)
        rows.append(f"| {what} | {promised or '–'} | {share:.3f} ± {error:.3f} | {count:,} |")
        print(rows[-1], flush=True)
    for size in (200, 1000, 10000) if options.only in "ECE of a calibrated model" else ():
        count = min(200 if size < 10000 else 40, options.repeats or 200)
        ece, floor = calibration_floor(count, rows=size)
        rows.append(
            f"| ECE of a calibrated model, {size:,} rows; floor shown {floor:.3f} | the floor | {ece:.3f} | {count} |"
        )
        print(rows[-1], flush=True)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    if options.repeats is None and not options.only:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{START}\n{chr(10).join(rows)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
