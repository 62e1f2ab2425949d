"""What goes wrong with time: rows out of order, gaps, windows that overlap the test, the answer in the window."""

from __future__ import annotations

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.leaks import comparable
from uncrumple.data.checks.report import Finding, figure, share
from uncrumple.data.checks.values import SHOWN
from uncrumple.data.checks.view import Part, View

# Steps of time are regular if so many of them are the median step, give or take one part in a hundred.
_REGULAR = 0.9
_TOLERANCE = 0.01
_GAP = 1.5
_OVERLAP = 0.01
_EQUAL = 0.99
# So many steps in a row are no coincidence.
_STEPS = 3


def time_order(view: View, clock: Clock) -> list[Finding]:
    """Find times that are missing, twice there, out of order, or leave gaps in a regular series."""
    if all(part.times is None for part in view.parts):
        raise CannotRunError("no times were given: check(x, y, times=when)")
    found = []
    for part in view.parts:
        if part.times is None or len(part) < 3:
            continue
        times = comparable(part.times)
        gone = np.flatnonzero(~np.isfinite(times))
        if len(gone):
            found.append(_finding("time-order", "error", f"{share(len(gone), len(part))} times are missing.", len(gone),
                                  0, "times", "A row without a time is in no part of a split by time.",
                                  "fill in the times, or leave these rows out", gone, part))  # fmt: skip
        steps = np.diff(times)
        back = np.flatnonzero(steps < 0) + 1
        if len(back) and view.kind == "series":
            found.append(_finding("time-order", "error", f"{share(len(back), len(part))} rows of the {part.name} part "
                                  "are earlier than the row before.", len(back), 0, "rows",
                                  "Windows are cut from neighbouring rows: these mix past and future.",
                                  "order = np.argsort(times); x, y, times = x[order], y[order], times[order]",
                                  back, part))  # fmt: skip
        # Of several series (groups) the times come again; of one they should not.
        again = np.flatnonzero(np.diff(np.sort(times)) == 0)
        if len(again) and part.groups is None and view.kind == "series":
            found.append(_finding("time-order", "warning", f"{share(len(again), len(part))} times of the {part.name} "
                                  "part are there more than once.", len(again), 0, "times",
                                  "A row that is there twice is in two windows with one answer, or two series are mixed.",
                                  "keep one row per time, or give the series as groups=", again, part))  # fmt: skip
        if view.kind == "series" and part.groups is None and len(part) >= 20:
            found += _gaps(times, part, clock)
    return found


def _gaps(times: np.ndarray, part: Part, clock: Clock) -> list[Finding]:
    ordered = np.unique(times[np.isfinite(times)])
    steps = np.diff(ordered)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual <= 0 or (np.abs(steps - usual) <= _TOLERANCE * usual).mean() < _REGULAR:
        clock.remark(f"the times of the {part.name} part are irregular, so gaps were not looked for")
        return []
    gaps = np.flatnonzero(steps > _GAP * usual)
    # Parts drawn at random have gaps wherever another part has a row.
    if part.name != "data" and len(gaps) > 0.05 * len(steps):
        return []
    if not len(gaps):
        return []
    longest = float(steps[gaps].max() / usual)
    return [_finding("time-gaps", "warning", f"{len(gaps)} gaps in the times of the {part.name} part; the longest is "
                     f"{figure(longest)} steps long.", len(gaps), 0, "gaps",
                     "A window across a gap takes far rows for neighbours.",
                     "cut the series at the gaps, or fill them in before windows are made", gaps, part)]  # fmt: skip


def _finding(
    name: str, severity: str, seen: str, number: float, limit: float, measure: str, why: str, try_this: str,
    rows: np.ndarray, part: Part,
) -> Finding:  # fmt: skip
    return Finding(name, severity, seen, number, limit, measure, why, try_this,  # type: ignore[arg-type]
                   tuple(rows[:SHOWN].tolist()), part.name)  # fmt: skip


def window_overlap(view: View, clock: Clock) -> list[Finding]:
    """Find windows to be tested whose last steps stand in a training window.

    A test window may reach back into the time of training; its end may not.
    """
    parts = view.need_parts()
    train = _windows(view, view.train)
    if train.shape[1] < _STEPS:
        raise CannotRunError(f"it needs windows of at least {_STEPS} steps")
    known: set[bytes] = set()
    for window in clock.within(train):
        known.update(window[start : start + _STEPS].tobytes() for start in range(len(window) - _STEPS + 1))
    found = []
    for part in parts:
        clock.need_time()
        windows = _windows(view, part)
        ends = [window[-_STEPS:] for window in clock.within(windows)]
        # Steps without change are everywhere.
        rows = [row for row, end in enumerate(ends) if end.std(axis=0).any() and end.tobytes() in known]
        if len(rows) > _OVERLAP * len(windows):
            found.append(
                Finding(
                    "window-overlap",
                    "error",
                    f"The last {_STEPS} steps of {share(len(rows), len(windows))} windows of the {part.name} part stand "
                    "in training windows as well.",
                    len(rows) / len(windows),
                    _OVERLAP,
                    "of the windows",
                    "Training has seen what comes after these windows, which is the answer that is asked for.",
                    "split the series by time first, and cut windows from each part",
                    tuple(rows[:SHOWN]),
                    part.name,
                )
            )
    return found


def _windows(view: View, part: Part) -> np.ndarray:
    if view.kind != "series" or not isinstance(part.x, np.ndarray) or part.x.ndim < 2:
        raise CannotRunError("the data are no windows: (windows, steps, channels)")
    values = np.asarray(part.x, np.float64)
    return np.ascontiguousarray(values.reshape(len(values), values.shape[1], -1))


def future_leak(view: View, clock: Clock) -> list[Finding]:
    """Find windows that hold the answer itself, at one step of one channel."""
    part = view.train
    windows = _windows(view, part)
    if part.y is None or part.y.ndim != 1 or part.y.dtype.kind not in "iufb":
        raise CannotRunError("the answers are not one number each")
    y = part.y.astype(np.float64)
    if len(y) < 20 or len(np.unique(y)) < 2:
        raise CannotRunError("it needs 20 windows with different answers")
    tolerance = 1e-6 * max(float(np.nanstd(y)), 1e-12)
    # In an answer that seldom changes, the last one is a good guess and no leak.
    usual = float(np.mean(y[1:] == y[:-1]))
    equal = (np.abs(windows - y[:, None, None]) <= tolerance).mean(axis=0)
    step, channel = np.unravel_index(int(equal.argmax()), equal.shape)
    number = float(equal[step, channel])
    if number < _EQUAL or usual >= _EQUAL:
        return []
    before = windows.shape[1] - 1 - int(step)
    return [
        Finding(
            "future-leak",
            "error",
            f"Channel {channel}, {before} steps before the end of the window, is the answer in {100 * number:.1f} % of "
            "the windows.",
            number,
            _EQUAL,
            "of the windows",
            "The window reaches over the time that is to be predicted, so the answer is copied and not foreseen.",
            "end the window earlier: timeseries_dataset_from_array(x[:-1], y[length:], length), or drop the channel",
            part=part.name,
            columns=(f"channel {channel}",),
        )
    ]
