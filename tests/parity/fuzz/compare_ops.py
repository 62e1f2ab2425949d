"""Call functions of `ops` at random in Keras and in uncrumple, and compare results, types, shapes and refusals.

    python tests/parity/fuzz/compare_ops.py --calls 5000 --seed 1
    python tests/parity/fuzz/compare_ops.py --seed 1 --only 17

The rule. Shapes and types are equal, and numbers to a limit by type
(`LIMITS`). What Keras refuses is refused here, and the other way round. Keras
3.15.1 on torch is not always right: where NumPy has the function and gives
what we give, the call counts as "right as NumPy"; all else that is known is in
`KNOWN`, with the reason, and counts as "known".
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import collections
import dataclasses
import sys
import warnings
from typing import Any

import keras
import numpy as np
import torch
from known_ops import known
from random_ops import Call, Tensor, call
from trials import Trials, asking

import uncrumple

LIMITS = {"float16": 5e-3, "bfloat16": 4e-2, "float64": 1e-6}
USUAL = 1e-4


@dataclasses.dataclass
class Outcome:
    """What came of a call: a result, or the error."""

    value: Any = None
    error: Exception | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"refuses it: {type(self.error).__name__}: {' '.join(str(self.error).split())[:150]}"
        return ", ".join(words(each) for each in flat(self.value)) or "gives nothing"


def words(value: Any) -> str:
    if not hasattr(value, "dtype"):
        return repr(value)
    numbers = np.asarray(wide(value)).ravel()
    text = np.array2string(numbers[:6], precision=6, separator=", ")
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)} {text}"


def made(structure: Any) -> Any:
    if isinstance(structure, Tensor):
        return structure.made()
    if isinstance(structure, (list, tuple)):
        return type(structure)(made(part) for part in structure)
    return structure


def run(module: Any, asked: Call) -> Outcome:
    """Call the function in a module that has `ops`."""
    function = module.ops
    for part in asked.name.split("."):
        function = getattr(function, part)
    try:
        settings = {key: made(value) for key, value in asked.settings.items()}
        return Outcome(function(*made(asked.args), **settings))
    except Exception as error:
        return Outcome(error=error)


def flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        return [leaf for part in value for leaf in flat(part)]
    return [value]


def wide(value: Any) -> np.ndarray:
    """Return numbers with more digits than any type that is compared."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        value = value.to(torch.complex128 if value.is_complex() else torch.float64).numpy()
    value = np.asarray(value)
    return value.astype("complex128" if value.dtype.kind == "c" else "float64")


def equal(one: Any, other: Any, limit: float) -> bool:
    """Return whether the numbers agree; what is large may hide what is small by as many digits as the type has."""
    x, y = wide(one), wide(other)
    finite = np.abs(x[np.isfinite(x)])
    return bool(np.allclose(y, x, rtol=limit, atol=limit * min(1.0, finite.max(initial=1.0)), equal_nan=True))


def difference(theirs: Any, ours: Any) -> str | None:
    """Return in a word how two results differ, or None."""
    first, second = flat(theirs), flat(ours)
    if len(first) != len(second):
        return "count"
    for one, other in zip(first, second):
        if not hasattr(one, "dtype") or not hasattr(other, "dtype"):
            if type(one) is not type(other) or one != other:
                return "value"
            continue
        if type(one) is not type(other):
            return "kind"
        if tuple(one.shape) != tuple(other.shape):
            return "shape"
        if one.dtype != other.dtype:
            return "dtype"
        if not equal(one, other, LIMITS.get(str(one.dtype).removeprefix("torch."), USUAL)):
            return "value"
    return None


@dataclasses.dataclass
class Verdict:
    """What became of a call.

    Attributes:
        result: "agrees", "both refuse", "right as NumPy", "known" or "differs".
        what: "value", "shape", "dtype", "count", "kind", "refused there" or "refused here".
        theirs: What Keras did.
        ours: What uncrumple did.
        reason: Why Keras is wrong, where that is known.
    """

    result: str
    what: str = ""
    theirs: Outcome = dataclasses.field(default_factory=Outcome)
    ours: Outcome = dataclasses.field(default_factory=Outcome)
    reason: str = ""


def compare(asked: Call) -> Verdict:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        theirs, ours = run(keras, asked), run(uncrumple, asked)
        if theirs.error is not None and ours.error is not None:
            return Verdict("both refuse", "", theirs, ours)
        if theirs.error is None and ours.error is None:
            what = difference(theirs.value, ours.value)
            if what is None:
                return Verdict("agrees")
        else:
            what = "refused there" if theirs.error is not None else "refused here"
        reason = known(asked, what, theirs, ours)
        if reason:
            return Verdict("known", what, theirs, ours, reason)
        if what in ("value", "shape", "refused there", "refused here") and as_numpy(asked, ours):
            return Verdict("right as NumPy", what, theirs, ours)
    return Verdict("differs", what, theirs, ours)


def as_numpy(asked: Call, ours: Outcome) -> bool:
    """Return whether NumPy, given the same in its widest types, gives what we give, or refuses it as we do."""
    names = {"amax": "max", "amin": "min", "inv": "linalg.inv", "det": "linalg.det", "solve": "linalg.solve"}
    function: Any = np
    for part in names.get(asked.name, asked.name).split("."):
        function = getattr(function, part, None)
        if function is None:
            return False

    def as_array(structure: Any) -> Any:
        if isinstance(structure, Tensor):
            made = structure.made()
            if not isinstance(made, torch.Tensor):
                return np.asarray(made)
            made = made if not made.is_floating_point() else made.to(torch.float64)
            return made.numpy()
        if isinstance(structure, (list, tuple)):
            return type(structure)(as_array(part) for part in structure)
        return structure

    try:
        settings = {key: as_array(value) for key, value in asked.settings.items() if key != "dtype"}
        expected = function(*as_array(asked.args), **settings)
    except (ValueError, IndexError):  # an axis that is not there is both
        return ours.error is not None
    except Exception:
        return False
    if ours.error is not None:
        return False
    first, second = flat(expected), flat(ours.value)
    if len(first) != len(second):
        return False
    for one, other in zip(first, second):
        limit = LIMITS.get(str(getattr(other, "dtype", "")).removeprefix("torch."), USUAL)
        if np.shape(one) != np.shape(other) or not equal(one, other, limit):
            return False
    return True


def main() -> int:
    parser = asking("Random calls of ops in Keras and uncrumple: do they agree?", "calls", 5000)
    parser.add_argument("--function", help="calls of this function alone")
    parser.add_argument("--show", type=int, default=2, help="how many differences of each kind to print")
    parser.add_argument("--all", action="store_true", help="also print where Keras is known to be wrong")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    trials = Trials(asked, __file__, "calls")
    kinds: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for number in trials:
        drawn = call(asked.seed, number)
        if asked.function and drawn.name != asked.function:
            continue
        verdict = compare(drawn)
        trials.counts[verdict.result] += 1
        shown = ("differs", "known", "right as NumPy") if asked.all else ("differs",)
        if verdict.result in shown or asked.only is not None:
            kind = (drawn.name, verdict.result, verdict.what)
            kinds[kind] += 1
            if kinds[kind] <= asked.show:
                print(f"\nCall {number} of seed {asked.seed}: {verdict.result} ({verdict.what}) {verdict.reason}")
                print(f"  {drawn!r}\n  Keras      {verdict.theirs}\n  uncrumple  {verdict.ours}", flush=True)
    for (name, result, what), count in sorted(kinds.items(), key=lambda item: -item[1]):
        if count > asked.show:
            print(f"{name}: {result} ({what}) {count} times")
    trials.replay("NUMBER")
    return trials.end()


if __name__ == "__main__":
    sys.exit(main())
