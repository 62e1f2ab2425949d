"""What the untrained control says of a map: how alike the two are, and what that means."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

# From so much likeness on, a map shows the input; below the other, it depends on the weights.
SAME, OTHER = 0.8, 0.5


def rank_correlation(one: Any, other: Any) -> float:
    """Return Spearman's correlation of the sizes of two maps; NaN where one of them is the same everywhere.

    Example:
        >>> rank_correlation([1.0, -2.0, 3.0], [0.1, 0.2, -0.3])
        1.0
    """
    ranks = [rankdata(np.abs(np.asarray(part, np.float64)).reshape(-1)) for part in (one, other)]
    if len(ranks[0]) < 2 or min(part.std() for part in ranks) == 0:
        return float("nan")
    return float(round(np.corrcoef(ranks[0], ranks[1])[0, 1], 12))


def in_percent(likeness: float) -> str:
    """Return a likeness as a share; what is not alike, or the other way round, is none.

    Example:
        >>> in_percent(0.987), in_percent(-0.2), in_percent(0.9999)
        ('99 %', '0 %', '100 %')
    """
    return "no measurable share" if np.isnan(likeness) else f"{100 * max(0.0, likeness):.0f} %"


def verdict(method: str, likeness: float, thing: str) -> str:
    """Return in a sentence what a map's likeness to the untrained network's map means.

    Args:
        method: In words, such as `"integrated gradients"`.
        likeness: The rank correlation.
        thing: What the map is of: `"picture"`, `"text"`, `"row"`.

    Example:
        >>> verdict("saliency", 0.2, "picture")
        "saliency: 20 % like the untrained model's map: it depends on the weights, not on the picture alone."
    """
    if np.isnan(likeness):
        return f"{method}: the map is the same everywhere, and says nothing."
    share = in_percent(likeness)
    if likeness >= SAME:
        return f"{method}: this map looks {share} like the untrained model's: it shows the {thing}, not the reasoning."
    if likeness >= OTHER:
        return f"{method}: {share} like the untrained model's map: partly the {thing}; read it with care."
    return f"{method}: {share} like the untrained model's map: it depends on the weights, not on the {thing} alone."
