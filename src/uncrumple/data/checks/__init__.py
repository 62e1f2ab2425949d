"""What is wrong with data, found before training: `check(x, y)`.

One concern per file: values, labels, duplicates, leaks, short cuts, suspect
labels, differences between parts, texts, series. What each finds and misses,
and how often it cries wolf, is measured: docs/data-checks.md.
"""

from uncrumple.data.checks.report import Finding, NotRun, Ran, Report
from uncrumple.data.checks.run import CHECKS, check

__all__ = ["CHECKS", "Finding", "NotRun", "Ran", "Report", "check"]
