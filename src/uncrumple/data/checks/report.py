"""What the checks found, as data: findings, and the list of what was looked for."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_CLOSING = "What was not found is not proved absent: these are the defects that were looked for."


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the data, or worth knowing before training.

    Args:
        name: Of the check that found it, such as `"exact-duplicates"`.
        severity: `"error"` where a score would mean nothing, `"warning"` where it may mislead,
            `"note"` for a fact to know.
        seen: What was seen, in a sentence.
        number: What was measured.
        limit: What the number was compared with.
        measure: What the number is, with its unit.
        why: Why it matters.
        try_this: One thing to try.
        rows: Row numbers within `part`, at most 50 of them.
        part: The part that `rows` count in: `"data"`, `"train"`, `"validation"` or `"test"`.
        columns: The columns concerned, by name.
        details: Further facts, as plain data.

    Example:
        >>> found = Finding("constant-columns", "warning", "Column 'unit' holds one value.", 1, 0,
        ...                 "columns", "It says nothing about the answer.", "leave the column out")
        >>> print(found.in_words())
        WARNING constant-columns
          seen     Column 'unit' holds one value.
          number   1 columns (limit 0)
          why      It says nothing about the answer.
          try      leave the column out
    """

    name: str
    severity: Severity
    seen: str
    number: float
    limit: float
    measure: str
    why: str
    try_this: str
    rows: tuple[int, ...] = ()
    part: str = ""
    columns: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def in_words(self, width: int = 100) -> str:
        """Return the finding as five short lines, or more where a line would be wider than `width`."""
        lines = self._first_lines(width)
        number = f"{figure(self.number)} {self.measure} (limit {figure(self.limit)})"
        for label, text in (("seen", self.seen), ("number", number), ("why", self.why), ("try", self.try_this)):
            lines += textwrap.wrap(
                text, width, initial_indent=f"  {label:<9}", subsequent_indent=" " * 11, break_on_hyphens=False
            )
        return "\n".join(lines)

    def _first_lines(self, width: int) -> list[str]:
        return [f"{self.severity.upper()} {self.name}"]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return _plain(asdict(self))


@dataclass(frozen=True)
class Ran:
    """A check that ran: its name, its seconds, and what it looked at if that was not everything."""

    name: str
    seconds: float
    remark: str = ""


@dataclass(frozen=True)
class NotRun:
    """A check that did not run, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Findings:
    """What checks return, of data or of a model: findings, worst first, and which checks ran and which did not.

    Args:
        described: What was looked at, in words.
        findings: What was found.
        ran: The checks that ran.
        not_run: The checks that did not run, with the reason.
        seconds: How long it took.
    """

    described: str
    findings: tuple[Any, ...]
    ran: tuple[Ran, ...]
    not_run: tuple[NotRun, ...]
    seconds: float

    def __iter__(self) -> Iterator[Any]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    # A report is an answer whether or not anything is in it.
    def __bool__(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        raise NotImplementedError

    def to_json(self, indent: int | None = 2) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)


@dataclass(frozen=True)
class Report(Findings):
    """What `check` returns: findings, worst first, and the checks that ran and that did not.

    Args:
        described: The data in words.
        findings: What was found.
        ran: The checks that ran.
        not_run: The checks that did not run, with the reason.
        seconds: How long it took.
        budget: How long it was allowed to take, in seconds.

    Example:
        >>> from uncrumple.data.checks import check
        >>> report = check([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
        >>> [finding.name for finding in report]
        ['constant-columns']
    """

    findings: tuple[Finding, ...]
    budget: float

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding, or None if nothing was found."""
        return self.findings[0].severity if self.findings else None

    def named(self, name: str) -> tuple[Finding, ...]:
        """Return the findings of one check."""
        return tuple(finding for finding in self.findings if finding.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold."""
        return {
            "described": self.described,
            "findings": [finding.to_dict() for finding in self.findings],
            "ran": [_plain(asdict(entry)) for entry in self.ran],
            "not_run": [asdict(entry) for entry in self.not_run],
            "seconds": round(self.seconds, 3),
            "budget": self.budget,
        }

    def headline(self) -> str:
        """Return what was looked at and how many findings there are, in a line."""
        counts = [(severity, sum(finding.severity == severity for finding in self.findings)) for severity in SEVERITIES]
        found = ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts if count)
        return f"{self.described}: {found or 'nothing found'} ({len(self.ran)} checks, {self.seconds:.1f} s)"

    def footer(self) -> list[str]:
        """Return lines that say which checks ran and which did not."""
        lines = [f"Ran: {', '.join(entry.name for entry in self.ran) or 'nothing'}."]
        lines += [f"  {entry.name}: {entry.remark}" for entry in self.ran if entry.remark]
        if self.not_run:
            lines.append("Did not run:")
            lines += [f"  {entry.name}: {entry.why}" for entry in self.not_run]
        return [*lines, _CLOSING]

    def to_text(self, width: int = 100) -> str:
        """Return the report as plain text."""
        blocks = [self.headline(), *(finding.in_words(width) for finding in self.findings)]
        footer = [
            wrapped
            for line in self.footer()
            for wrapped in textwrap.wrap(line, width, subsequent_indent="    ", break_on_hyphens=False)
        ]
        return "\n\n".join([*blocks, "\n".join(footer)])

    __str__ = to_text

    def __rich__(self) -> Any:
        """Return the report with colours, for `rich.print(report)`."""
        from rich.console import Group
        from rich.text import Text

        blocks: list[Any] = [Text(self.headline(), style="bold"), Text()]
        for finding in self.findings:
            first, *rest = finding.in_words().split("\n")
            blocks += [Text(first, style=_STYLES[finding.severity]), Text("\n".join(rest)), Text()]
        return Group(*blocks, Text("\n".join(self.footer()), style="dim"))


def figure(value: float) -> str:
    """Return a number as a person writes it: whole numbers whole, others with three digits.

    Example:
        >>> figure(7), figure(0.98765), figure(12345.6), figure(1e-5)
        ('7', '0.988', '12,346', '1e-05')
    """
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def share(part: int, whole: int) -> str:
    """Return "12 of 400 rows (3 %)"-like numbers: the count, the whole, the percentage.

    Example:
        >>> share(12, 400), share(1, 60000)
        ('12 of 400 (3 %)', '1 of 60,000 (0.0017 %)')
    """
    return f"{part:,} of {whole:,} ({100 * part / max(whole, 1):.2g} %)"


def listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    """Return names as a sentence lists them, the first few only.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        "'a', 'b' and 1 more"
    """
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: NumPy's numbers as Python's, tuples as lists, NaN as text."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
