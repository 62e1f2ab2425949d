"""`preflight`: what can be told about a model and its data before training, with everything put back afterwards."""

from __future__ import annotations

import textwrap
import time
import warnings
from dataclasses import dataclass
from typing import Any

from uncrumple.core.errors import UncrumpleWarning, explain
from uncrumple.core.own_parts import in_words, is_explained
from uncrumple.data import Parts
from uncrumple.data.checks.report import SEVERITIES, Findings, NotRun, Ran
from uncrumple.data.from_arguments import make_batches
from uncrumple.explain.findings import Finding, said
from uncrumple.explain.flight.checks import CHECKS, CannotRun, Flight
from uncrumple.explain.keeping import untouched
from uncrumple.models import Model

# Findings that say the same as a warning of `fit`, by words of that warning.
_SAID_BETTER = {
    "unscaled": "unscaled-inputs",
    "from_logits": "loss-and-activation",
    "takes probabilities": "loss-and-activation",
    "softmax": "loss-and-activation",
    "whose output is": "loss-and-activation",
    "ends with": "loss-and-activation",
}
_WORDS = {name: words for name, words, _ in CHECKS} | {"model and data": "fit() takes the model and the data"}
_CLOSING = "A tick is not a proof: these are the defects that were looked for."


@dataclass(frozen=True)
class Preflight(Findings):
    """What `preflight` returns: findings, worst first, and the checks that ran and that could not.

    Args:
        described: The model and the data in words.
        findings: What was found.
        ran: The checks that ran.
        not_run: The checks that did not run, with the reason.
        seconds: How long it took.
    """

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def headline(self) -> str:
        """Return how many checks ran and what they found, in a line."""
        count = len(self.findings)
        found = "all well" if not count else f"{count} finding{'s' * (count > 1)}"
        skipped = f", {len(self.not_run)} did not apply or could not run" if self.not_run else ""
        return f"preflight: {found} in {len(self.ran)} checks{skipped} ({self.described}; {self.seconds:.1f} s)"

    def ticks(self) -> list[str]:
        """Return a line per check: with a tick, with a cross, or with the reason why it did not run."""
        crossed = {name for one in self.findings for name in [one.details.get("check")]}
        lines = [f"  {'✗' if entry.name in crossed else '✓'} {_WORDS[entry.name]}" for entry in self.ran]
        lines += [f"  – {_WORDS[entry.name]}: not checked, {entry.why}" for entry in self.not_run]
        return lines

    def to_text(self, width: int = 100) -> str:
        """Return everything: the headline, the findings, and a line per check."""
        ticks = [part for line in self.ticks() for part in textwrap.wrap(line, width, subsequent_indent="    ")]
        blocks = [self.headline(), said(self.findings), "\n".join([*ticks, _CLOSING])]
        return "\n\n".join(block for block in blocks if block)

    def __str__(self) -> str:
        """Return one line when all is well, else everything."""
        return self.headline() if self.ok else self.to_text()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {
            "described": self.described,
            "findings": [one.to_dict() for one in self.findings],
            "ran": [{"name": one.name, "seconds": round(one.seconds, 3)} for one in self.ran],
            "not_run": [{"name": one.name, "why": one.why} for one in self.not_run],
            "seconds": round(self.seconds, 3),
        }


def preflight(model: Any, data: Any, *, batch_size: int | None = None, seconds: float = 20.0) -> Preflight:
    """Look for what would keep a model from learning from its data, before it is trained.

    A few samples are run forward and back, the first steps of an epoch are tried, and 32 samples are learned by
    heart. Weights, optimizer, metrics and random numbers are put back exactly: `fit` afterwards gives what it would
    have given without. A model that was not built is built first, as `fit` does it.

    Args:
        model: A compiled model of any kind.
        data: `(x, y)` or `(x, y, sample_weight)`; or a `Table`, `Images`, `Text` or `Series`, or their `Parts`; or
            whatever else `fit` takes as x.
        batch_size: Samples per step, 32 by default, as for `fit`.
        seconds: How long it may take; checks that would take longer are left out, and it is said which.

    Returns:
        A `Preflight`: `print` shows one line when all is well, `.findings` holds what was found, `.to_text()` all
        checks with ticks, `.to_dict()` plain data.

    Raises:
        TypeError: The model is not one of this package.
        ValueError: The model is not compiled.

    Example:
        >>> import torch, uncrumple as uc
        >>> from uncrumple.layers import Dense, Input
        >>> uc.utils.set_random_seed(0)
        >>> x = torch.randn(200, 4)
        >>> y = (x.sum(1) > 0).long()
        >>> model = uc.Sequential([Input((4,)), Dense(32, activation="relu"), Dense(2, name="answer")])
        >>> model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        >>> found = preflight(model, (x, y)).findings[0]
        >>> found.name, found.layer
        ('loss-and-activation', "Dense 'answer'")
    """
    _check_arguments(model, data, seconds)
    begin = time.perf_counter()
    if isinstance(data, Parts):
        data = data.train
    parts = data if isinstance(data, (tuple, list)) and 2 <= len(data) <= 3 else (data,)
    sized = len(parts) > 1 or getattr(data, "_is_raw_data", False)
    known = dict(model.__dict__.get("_signatures_seen", {}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UncrumpleWarning)
        try:
            batches = make_batches(*parts, batch_size=batch_size if sized else None, shuffle=True)
            model._prepare(batches, learn=True)
        except (ValueError, TypeError) as error:
            if not is_explained(error):
                raise
            return _refused(model, error, time.perf_counter() - begin)
    for warning in caught:
        if not isinstance(warning.message, UncrumpleWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    first = Ran("model and data", time.perf_counter() - begin)
    flight = Flight(model, batches, seconds - first.seconds)
    try:
        with untouched(model), warnings.catch_warnings():
            warnings.simplefilter("ignore", UncrumpleWarning)
            ran, not_run = _run_checks(flight)
    finally:
        # `fit` warns once about what it sees; it has not seen anything yet.
        model.__dict__["_signatures_seen"] = known
    messages = [str(one.message) for one in caught if isinstance(one.message, UncrumpleWarning)]
    findings = [*_of_warnings(messages, flight.found), *flight.found]
    findings.sort(key=lambda one: SEVERITIES.index(one.severity))
    rows = getattr(batches, "samples", None)
    described = f"model '{model.name}'" + ("" if rows is None else f", {rows:,} samples")
    return Preflight(described, tuple(findings), (first, *ran), tuple(not_run), time.perf_counter() - begin)


def _run_checks(flight: Flight) -> tuple[list[Ran], list[NotRun]]:
    """Run all checks, and return those that ran and those that did not; findings stay with `flight`."""
    ran, not_run = [], []
    for name, _, check in CHECKS:
        start = time.perf_counter()
        if any(one.name == "nan" for one in flight.found):
            not_run.append(NotRun(name, "nothing can be told where numbers are NaN"))
            continue
        try:
            found = check(flight)
        except CannotRun as reason:
            not_run.append(NotRun(name, str(reason)))
            continue
        except (ValueError, TypeError, RuntimeError, NotImplementedError, ArithmeticError, LookupError) as error:
            not_run.append(NotRun(name, in_words(error)))
            continue
        ran.append(Ran(name, time.perf_counter() - start))
        for one in found:
            one.details["check"] = name
            if all(one.key != other.key for other in flight.found):
                flight.found.append(one)
    return ran, not_run


def _check_arguments(model: Any, data: Any, seconds: float) -> None:
    if not isinstance(model, Model):
        raise TypeError(
            explain(
                f"preflight got a {type(model).__name__} as its model.",
                "Expected a compiled model of this package.",
                "model = uncrumple.Sequential([uncrumple.from_torch(module)]); model.compile(optimizer, loss)",
            )
        )
    model._require_compiled("preflight")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ValueError(explain(f"preflight got seconds={seconds!r}.", "Expected a number above 0.", "seconds=20"))
    if data is None:
        raise ValueError(explain("preflight got no data.", "Expected (x, y).", "preflight(model, (x_train, y_train))"))


def _refused(model: Any, error: Exception, seconds: float) -> Preflight:
    """Return the report on a model that `fit` would refuse."""
    found = _in_three_lines(str(error), "error")
    found.details["check"] = "model and data"
    rest = tuple(NotRun(name, "fit() refuses the model and the data") for name, _, _ in CHECKS)
    return Preflight(f"model '{model.name}'", (found,), (Ran("model and data", seconds),), rest, seconds)


def _in_three_lines(text: str, severity: Any) -> Finding:
    came, expected, fix = (text.split("\n") + ["", ""])[:3]
    return Finding("model-and-data", severity, came, 1, 0, "objections of fit()", expected, fix.removeprefix("Fix: "))


def _of_warnings(messages: list[str], found: list[Finding]) -> list[Finding]:
    """Return the warnings that `fit` would give, but for those that a finding says better."""
    names = {one.name for one in found}
    made = []
    for message in messages:
        if not any(words in message and name in names for words, name in _SAID_BETTER.items()):
            one = _in_three_lines(message, "warning")
            one.details["check"] = "model and data"
            made.append(one)
    return made
