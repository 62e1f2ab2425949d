"""Is a difference shown, or luck? Tests for repeats on divisions of one data set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def paired_difference(
    differences: Sequence[float], learnt_rows: int, fresh_rows: int
) -> tuple[float, float, float, float]:
    """Return mean, lower and upper end of its 95 % interval, and the p-value of differences over divisions.

    `t = mean / sqrt(variance * (1/J + fresh/learnt))` with `J - 1` degrees of freedom: divisions of one data set
    share most of their rows, which an ordinary t-test takes for agreement.

    Source: C. Nadeau and Y. Bengio, 2003, Inference for the generalization error.

    Args:
        differences: One for each of `J` divisions, at least 2.
        learnt_rows, fresh_rows: How many rows were learnt from and measured on.

    Example:
        >>> mean, low, high, p_value = paired_difference([0.02, 0.01, 0.03, 0.02, 0.02], 80, 20)
        >>> round(mean, 3), round(p_value, 3)
        (0.02, 0.014)
    """
    from scipy.stats import t as student

    gaps = np.asarray(differences, np.float64)
    mean = float(gaps.mean())
    spread = math.sqrt(float(gaps.var(ddof=1)) * (1 / len(gaps) + fresh_rows / learnt_rows))
    if spread == 0:
        return mean, mean, mean, 1.0 if mean == 0 else 0.0
    half = float(student.ppf(0.975, len(gaps) - 1)) * spread
    return mean, mean - half, mean + half, float(2 * student.sf(abs(mean) / spread, len(gaps) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values raised so that of all of them together at most the named share are false alarms.

    Source: S. Holm, 1979, A simple sequentially rejective multiple test procedure.

    Example:
        >>> holm([0.01, 0.04])
        [0.02, 0.04]
    """
    raised, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        raised[index] = largest
    return raised
