"""What an optimizer of Keras 1 and 2 kept in an `.h5` file, in the order of today.

Each release had names and an order of its own: the numbers of steps first,
then one kind of state for all weights after the other, or all kinds for one
weight after the other; the learning rate came among them in 2.11. What fits
nothing known is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# {class: {name of today: names that it had}}, in the order in which they were kept.
_SLOTS: dict[str, dict[str, tuple[str, ...]]] = {
    "SGD": {"momentum": ("momentum", "m", "moment")},
    "Adam": {"momentum": ("m",), "velocity": ("v",), "velocity_hat": ("vhat", "v_hat")},
    "Adamax": {"momentum": ("m",), "norm": ("v", "u")},
    "Nadam": {"momentum": ("m",), "velocity": ("v",)},
    "RMSprop": {
        "velocity": ("rms", "velocity", "accumulator"),
        "momentum": ("momentum",),
        "average_gradient": ("mg", "average_grad", "average_gradient"),
    },
    "Adagrad": {"accumulator": ("accumulator",)},
    "Adadelta": {
        "accumulated_grad": ("accum_grad", "accumulated_grad", "accumulator"),
        "accumulated_delta_var": ("accum_var", "accumulated_delta_var", "delta_accumulator"),
    },
    "Ftrl": {"accumulator": ("accumulator",), "linear": ("linear",)},
    "Lion": {"momentum": ("m", "momentum")},
}
_SLOTS["AdamW"] = _SLOTS["Adam"]
_COUNTERS = ("iter", "iteration", "iterations")


def take_state(optimizer: Any, names: Sequence[str], values: Sequence[np.ndarray]) -> bool:
    """Give an optimizer the state that an older release of Keras kept for it.

    Args:
        optimizer: An optimizer that has its weights.
        names: Names of the arrays, as in the file.
        values: The arrays.

    Returns:
        Whether it was understood; if not, the optimizer is unchanged.
    """
    known = _SLOTS.get(type(optimizer).__name__)
    wanted = list(optimizer._slot_names)
    if known is None or any(name not in known for name in wanted) or optimizer._averages or optimizer._accumulators:
        return False
    shapes = [tuple(weight.shape) for weight in optimizer._weights]
    steps, cache, rest = _split(names, values)
    found = _by_name(rest, known, wanted, shapes)
    if found is None:
        found = _by_place(rest, wanted, shapes)
    if found is None:
        return False
    for kind, arrays in zip(wanted, found):
        for slot, array in zip(optimizer._slots[wanted.index(kind)], arrays):
            slot.copy_(_like(array, slot))
    if steps is not None:
        optimizer.iterations = int(steps)
    optimizer._after_loading()
    if cache is not None and hasattr(optimizer, "_u_product"):
        optimizer._u_product = cache
    return True


def _like(array: np.ndarray, slot: Any) -> Any:
    return slot.new_tensor(np.asarray(array, dtype="float64"))


def _last(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0].lstrip("_")


def _split(
    names: Sequence[str], values: Sequence[np.ndarray]
) -> tuple[int | None, float | None, list[tuple[str, np.ndarray]]]:
    """Return the number of steps, Nadam's product of momenta, and what is kept for weights."""
    steps = cache = None
    rest: list[tuple[str, np.ndarray]] = []
    for place, (name, value) in enumerate(zip(names, values)):
        last = _last(name)
        whole = value.shape == () and value.dtype.kind in "iu"
        if value.shape == () and steps is None and (whole or last in _COUNTERS or place == 0):
            steps = int(value)
        elif last in ("momentum_cache", "u_product") and value.shape == ():
            cache = float(value)
        elif last != "learning_rate" or value.shape != ():
            rest.append((name, value))
    return steps, cache, rest


def _by_name(
    rest: list[tuple[str, np.ndarray]], known: dict[str, tuple[str, ...]], wanted: list[str], shapes: list[Any]
) -> list[list[np.ndarray]] | None:
    """Sort arrays by the kind that their names say: `Adam/dense/kernel/m:0`, `Adam/m/dense/kernel:0` or `m_0`."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for name, value in rest:
        parts = [part.partition(":")[0] for part in name.split("/")]
        said = {parts[-1], parts[-1].rstrip("0123456789").rstrip("_")} | set(parts[1:2])
        kinds = [kind for kind in wanted if said & set(known[kind])]
        if len(kinds) == 1:
            found[kinds[0]].append(value)
    fits = all([one.shape for one in found[kind]] == shapes for kind in wanted)
    return [found[kind] for kind in wanted] if fits else None


def _by_place(
    rest: list[tuple[str, np.ndarray]], wanted: list[str], shapes: list[Any]
) -> list[list[np.ndarray]] | None:
    """Take arrays whose names say nothing in their order: one kind after the other."""
    values = [value for _, value in rest]
    count = len(shapes)
    # The first releases kept an array of one zero per weight in place of what `amsgrad` needs.
    while len(values) > count * len(wanted) and values[-1].shape == (1,) and not values[-1].any():
        values.pop()
    if len(values) != count * len(wanted):
        return None
    groups = [values[start : start + count] for start in range(0, len(values), count)] if count else []
    return groups if all([one.shape for one in group] == shapes for group in groups) else None
