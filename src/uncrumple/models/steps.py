"""The steps of a graph: which layer is called on which values, and where the result goes.

Values live in numbered slots. Steps whose layers go together are joined
where nothing else reads what passes between them.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from uncrumple import layers
from uncrumple.core import tree
from uncrumple.layers.operation import Addition
from uncrumple.models.fusion import Link, link


class Slot:
    """Marks, in recorded arguments, which computed value goes there."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Step(NamedTuple):
    """One call.

    Attributes:
        layer: What is called.
        plain: Whether it may be entered behind the door of `Layer`.
        source: The slot of its only argument; -1 if there are others, which `rest` holds.
        target: The slot, or slots, of the result.
        rest: None, or (args, kwargs) with slots.
    """

    layer: Any
    plain: bool
    source: int
    target: Any
    rest: Any


def join_steps(steps: list[Step], wanted: list[int]) -> list[Step]:
    """Return the steps with one in place of those that one kernel does.

    Args:
        steps: In an order in which they can run.
        wanted: The slots that are read in the end.
    """
    readers: dict[int, list[int]] = {slot: [-1] for slot in wanted}
    for number, step in enumerate(steps):
        for slot in _read_by(step):
            readers.setdefault(slot, []).append(number)
    found: dict[int, Step] = {}
    gone: set[int] = set()
    for number, step in enumerate(steps):
        if number in gone or not step.plain or not isinstance(step.target, int):
            continue
        if step.rest is not None and _addends(step) is None and _own_source(step) is None:
            continue
        run = _run_from(number, steps, readers)
        joined = link([steps[one].layer for one in run])
        if joined is None or any(one in gone for one in run):
            continue
        run = run[: len(joined.parts)]
        if joined.adds_input and not _adds_input([steps[one] for one in run]):
            continue
        gone.update(run)
        found[run[-1]] = _joined(joined, [steps[one] for one in run])
    return [found.get(number, step) for number, step in enumerate(steps) if number not in gone or number in found]


def _read_by(step: Step) -> list[int]:
    if step.rest is None:
        return [step.source]
    return [leaf.index for leaf in tree.flatten(step.rest) if isinstance(leaf, Slot)]


def _run_from(number: int, steps: list[Step], readers: dict[int, list[int]]) -> list[int]:
    """Return the numbers of steps of which each alone reads the result of the one before."""
    run = [number]
    while True:
        who = readers.get(steps[run[-1]].target, [])
        if len(who) != 1 or who[0] < 0:
            return run
        step = steps[who[0]]
        if not step.plain or not isinstance(step.target, int):
            return run
        if step.rest is not None and _other_addend(step, steps[run[-1]].target) is None:
            return run
        run.append(who[0])


def _other_addend(step: Step, slot: int) -> Slot | None:
    """Return what `Add` adds to the value in a slot; None if it is not just that."""
    other = [one for one in _addends(step) or () if one.index != slot]
    return other[0] if len(other) == 1 else None


def _own_source(step: Step) -> int | None:
    """Return the slot that a step reads alone, or as both query and value; None if it is not just that."""
    if step.rest is None:
        return step.source
    args, kwargs = step.rest
    both = type(step.layer) is layers.MultiHeadAttention and not kwargs and len(args) == 2
    slots = {one.index if isinstance(one, Slot) else None for one in args} if both else set()
    return slots.pop() if len(slots) == 1 else None


def _adds_input(steps: list[Step]) -> bool:
    """Return whether what goes into the first step is what `Add` adds to the result of those before it."""
    for before, step in itertools.pairwise(steps):
        other = None if step.rest is None else _other_addend(step, before.target)
        if other is not None:
            return other.index == _own_source(steps[0])
    return False


def _addends(step: Step) -> Any:
    """Return the two slots that `Add` or `+` adds; None if it is not just that."""
    args, kwargs = step.rest
    kind = type(step.layer)
    if kind not in (layers.Add, Addition) or kwargs or len(args) != (2 if kind is Addition else 1):
        return None
    both = args if kind is Addition else args[0]
    slots = isinstance(both, (list, tuple)) and len(both) == 2 and all(isinstance(one, Slot) for one in both)
    return both if slots else None


def _joined(joined: Link, steps: list[Step]) -> Step:
    first, last = steps[0], steps[-1]
    source = _own_source(first)
    if source is None:
        return Step(joined, False, -1, last.target, (tuple(_addends(first)), {}))
    for before, step in itertools.pairwise(steps):
        if step.rest is not None:
            other = _other_addend(step, before.target)
            joined.adds_first = _addends(step)[0].index == before.target
            return Step(joined, False, -1, last.target, ((Slot(source), other), {}))
    return Step(joined, False, source, last.target, None)
