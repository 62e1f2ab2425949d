"""The control: the same architecture with weights as they are before any training."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from uncrumple import initializers
from uncrumple.core import naming
from uncrumple.core.errors import explain
from uncrumple.core.seeds import set_random_seed
from uncrumple.data.kinds.preparation import Preparation
from uncrumple.layers.base import Layer
from uncrumple.models.cloning import clone_model
from uncrumple.models.model import Model

# From so much likeness on, a map shows the input; below the other, it depends on the weights.
SAME, OTHER = 0.8, 0.5
_FAR = 982_451_653


def untrained(model: Any, seed: int = 0) -> Any:
    """Return the same architecture with freshly drawn weights; what was measured of the data is kept.

    A `Normalization` keeps its mean and a `TextVectorization` its vocabulary:
    they were not learnt. Weights of torch modules are drawn by their
    `reset_parameters`; those that have none are shuffled. Call it within
    `left_alone`: it seeds the generators.

    Args:
        model: An uncrumple model or a torch module.
        seed: Of the new weights, a whole number.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((4,)), Dense(3)])
        >>> twin = untrained(model)
        >>> twin.layers[0].kernel.shape, bool((twin.layers[0].kernel == model.layers[0].kernel).all())
        (torch.Size([4, 3]), False)
    """
    # Not the seed itself: a program that began with it would get back the weights that its model began with.
    set_random_seed((_FAR + int(seed)) % 2**32)
    used = naming._used.copy()  # models that are made later are called as if there had been no twin
    try:
        twin = _cloned(model) if isinstance(model, Model) else None
        if twin is None:
            twin = copy.deepcopy(model)
            for part in twin.modules():
                if isinstance(part, Layer) and not _is_measured(part):
                    _draw(part)
    finally:
        naming._used.clear()
        naming._used.update(used)
    _reset_modules(twin)
    twin.eval()
    return twin


def checked_seed(owner: str, seed: Any) -> None:
    """Refuse what is no seed.

    Raises:
        ValueError: It is not a whole number from 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(explain(f"{owner} got seed={seed!r}.", "Expected a whole number from 0.", "seed=0"))


def _is_measured(layer: Any) -> bool:
    return hasattr(layer, "adapt") or isinstance(layer, Preparation)


def _cloned(model: Any) -> Any:
    """Return a clone with new weights and the old measurements; None if it cannot be cloned."""
    try:
        twin = clone_model(model)
        old, new = model._flatten_layers(), twin._flatten_layers()
    except Exception:  # a class of the user's own that says nothing of how it is made
        return None
    if [type(one) for one in old] != [type(one) for one in new] or not twin.built:
        return None
    for one, other in zip(old, new):
        if _is_measured(one):
            nodes = other._nodes
            other.__dict__.update(copy.deepcopy(one).__dict__)
            other._nodes = nodes
    return twin


def _draw(layer: Any) -> None:
    """Draw a layer's own weights anew, by the initializers that it names."""
    for weight in [one for one in layer._parameters.values() if one is not None]:
        name = getattr(weight, "name", "")
        known = getattr(layer, f"{name}_initializer", None)
        with torch.no_grad():
            if known is None:
                _shuffle(weight)
                continue
            config = known.get_config() if hasattr(known, "get_config") else {}
            made = type(known).from_config({**config, "seed": None}) if "seed" in config else initializers.get(known)
            weight.copy_(torch.as_tensor(made(tuple(weight.shape), dtype="float32")).to(weight.dtype))


def _shuffle(weight: torch.Tensor) -> None:
    flat = weight.detach().reshape(-1)
    weight.copy_(flat[torch.randperm(len(flat))].reshape(weight.shape))


def _reset_modules(twin: Any) -> None:
    """Draw the weights of torch modules anew, which a clone takes along."""
    done: set[int] = set()
    for part in twin.modules():
        if isinstance(part, Layer):
            done.update(id(weight) for weight in part._parameters.values() if weight is not None)
    for part in twin.modules():
        if not isinstance(part, Layer) and callable(getattr(part, "reset_parameters", None)):
            part.reset_parameters()
            done.update(id(weight) for weight in part.parameters())
    with torch.no_grad():
        for weight in twin.parameters():
            if id(weight) not in done and weight.is_floating_point():
                _shuffle(weight)


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
