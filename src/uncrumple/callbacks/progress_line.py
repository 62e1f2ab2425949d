"""The words and numbers of a line of progress, made to fit the width there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.callbacks.screen import columns

# Texts with their colour codes ("" for none); what is shown is the texts joined.
_Part = tuple[str, str]
_BOLD, _GREEN, _GREY = "1", "32", "90"
# What a line gives up, in this order, until it fits: (columns of the bar, all epochs?, samples per second?, pace?).
_PLANS = (
    (20, True, True, True),
    (20, True, False, True),
    (10, True, False, True),
    (10, False, False, True),
    (0, False, False, True),
    (0, False, False, False),
)


@dataclass
class Reading:
    """What there is to show at one moment; times are in seconds."""

    current: int
    target: int | None
    elapsed: float
    per_unit: float
    left: float | None = None
    left_of_all: float | None = None
    samples_per_second: float | None = None
    metrics: list[tuple[str, Any]] = field(default_factory=list)
    unit: str = "step"
    note: str = ""
    bar: int = 20


def clock(seconds: float) -> str:
    """Return a time as one reads it.

    Example:
        >>> clock(7.4), clock(125), clock(3725)
        ('7s', '2:05', '1:02:05')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def whole_pace(seconds: float, unit: str) -> str:
    """Return the time for one step in whole units, as Keras prints it: `4ms/step`."""
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    return f"{seconds * 1e3:.0f}ms/{unit}" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/{unit}"


def pace(seconds: float, unit: str) -> str:
    """Return the time for one step with two or three digits.

    Example:
        >>> pace(0.00042, "step"), pace(0.0042, "step"), pace(0.042, "step"), pace(4.2, "step")
        ('420us/step', '4.2ms/step', '42ms/step', '4.2s/step')
    """
    for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size or name == "us":
            break
    value = seconds / size
    return f"{value:.1f}{name}/{unit}" if value < 9.95 and name != "us" else f"{value:.0f}{name}/{unit}"


def number(value: Any) -> str:
    """Return a metric's value with four digits, in powers of ten if it is very small.

    Example:
        >>> number(0.98765), number(-2.0), number(0.00012345)
        ('0.9877', '-2.0000', '1.2345e-04')
    """
    try:
        value = float(np.mean(value)) if not isinstance(value, float) else value
    except (TypeError, ValueError):
        return str(value)
    return f"{value:.4e}" if abs(value) <= 1e-3 else f"{value:.4f}"


def _rate(per_second: float) -> str:
    if per_second >= 1e6:
        return f"{per_second / 1e6:.3g}M samples/s"
    if per_second >= 1e4:
        return f"{per_second / 1e3:.3g}k samples/s"
    return f"{per_second:.0f} samples/s" if per_second >= 10 else f"{per_second:.1f} samples/s"


def _count(reading: Reading) -> str:
    if not reading.target:
        return f"{reading.current} {reading.unit}" + ("" if reading.current == 1 else "s")
    return f"{reading.current:>{len(str(reading.target))}}/{reading.target}"


def epoch_line(reading: Reading) -> str:
    """Return the one line that `verbose=2` prints, as Keras prints it."""
    parts = [_count(reading), f"{reading.elapsed:.0f}s", whole_pace(reading.per_unit, reading.unit)]
    return " - ".join(parts + [f"{name}: {number(value)}" for name, value in reading.metrics])


def plain_line(reading: Reading) -> str:
    """Return a line for a log file: everything, and no bar."""
    times = clock(reading.elapsed)
    if reading.left is not None:
        times += f", {clock(reading.left)} left"
    if reading.left_of_all is not None:
        times += f" (all epochs {clock(reading.left_of_all)})"
    parts = [_count(reading), times, pace(reading.per_unit, reading.unit)]
    if reading.samples_per_second is not None:
        parts.append(_rate(reading.samples_per_second))
    return " - ".join(parts + [f"{name}: {number(value)}" for name, value in reading.metrics])


class Drawing:
    """A line of progress for a terminal or a notebook.

    Args:
        reading: What to show.
        width: How many columns there are.
        colours: Whether to colour it.
        fancy: Whether the bar may be drawn with more than ASCII.

    Example:
        >>> reading = Reading(5, 10, elapsed=3, per_unit=0.6, left=3, metrics=[("loss", 0.5)])
        >>> Drawing(reading, width=60, colours=False, fancy=False).live()[0]
        ' 5/10 =====..... 3s, 3s left - 600ms/step - loss: 0.5000'
    """

    def __init__(self, reading: Reading, width: int, colours: bool, fancy: bool) -> None:
        self.reading = reading
        self.width = width
        self.colours = colours
        # Without colours the two halves of the bar must differ by their shape.
        self.done, self.rest, self.more = ("━", "━" if colours else "─", "…") if fancy else ("=", ".", "...")
        self.metrics = [f"{name}: {number(value)}" for name, value in reading.metrics]

    def live(self) -> tuple[str, int]:
        """Return a text of one line and the columns it fills; metrics that do not fit are left out."""
        tail = [self.reading.note] if self.reading.note else []
        for plan in _PLANS:
            parts = self._head(*plan) + _dashed(self.metrics + tail)
            if _filled(parts) <= self.width:
                return self._join(parts), _filled(parts)
        # There is no room for all metrics: the loss first, then as many as fit, at least one if that can be.
        by_worth = sorted(self.metrics, key=lambda text: not text.startswith("loss:"))
        for least in (1, 0):
            for plan in _PLANS[2:]:
                for shown in range(len(by_worth) - 1, least - 1, -1):
                    parts = self._head(*plan) + _dashed([*by_worth[:shown], self.more, *tail])
                    if _filled(parts) <= self.width:
                        return self._join(parts), _filled(parts)
        text = "".join(text for text, _ in self._head(*_PLANS[-1]))
        return text[: self.width], min(columns(text), self.width)

    def final(self) -> str:
        """Return the text that stays when all is done: of one line, or of several if the metrics need them."""
        for plan in _PLANS[:4]:
            parts = self._head(*plan) + _dashed(self.metrics)
            if _filled(parts) <= self.width:
                return self._join(parts)
        heads = [self._head(*plan) for plan in _PLANS]
        head = next((head for head in heads if _filled(head) <= self.width), heads[-1])
        indent = " " * min(len(_count(self.reading)) + 1, 10)
        lines, line = [self._join(head)], ""
        for text in self.metrics:
            if columns(indent + text) > self.width:
                indent = ""
            if line and columns(f"{line} - {text}") > self.width:
                lines.append(line)
                line = ""
            line = f"{line} - {text}" if line else indent + text
        return "\n".join([*lines, line] if line else lines)

    def _head(self, bar: int, all_epochs: bool, samples: bool, steps: bool) -> list[_Part]:
        reading = self.reading
        bar = min(bar, reading.bar)
        parts: list[_Part] = [(_count(reading), _BOLD), (" ", "")]
        if bar and reading.target:
            done = int(bar * min(1.0, reading.current / reading.target))
            parts += [(self.done * done, _GREEN), (self.rest * (bar - done), _GREY), (" ", "")]
        parts.append((clock(reading.elapsed), _BOLD))
        if reading.left is not None:
            parts.append((f", {clock(reading.left)} left", ""))
        if all_epochs and reading.left_of_all is not None:
            parts.append((f" (all epochs {clock(reading.left_of_all)})", ""))
        if steps:
            parts += _dashed([pace(reading.per_unit, reading.unit)])
        if samples and reading.samples_per_second is not None:
            parts += _dashed([_rate(reading.samples_per_second)])
        return parts

    def _join(self, parts: list[_Part]) -> str:
        return "".join(f"\x1b[{code}m{text}\x1b[0m" if code and text and self.colours else text for text, code in parts)


def _dashed(texts: list[str]) -> list[_Part]:
    return [(f" - {text}", "") for text in texts]


def _filled(parts: list[_Part]) -> int:
    return sum(columns(text) for text, _ in parts)
