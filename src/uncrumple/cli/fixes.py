"""What rooms below say in Python, in the words of the command line.

Errors, warnings and findings name the line to type. The rooms that raise them know
nothing of commands, and whoever typed a command has no use for `Table(path, target=...)`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from uncrumple.data.checks.report import Report

# An argument with its value, such as `task='regression'` or `categories=['zip', 'age']`; how the option is called.
_VALUE = r"(\"[^\"]*\"|'[^']*'|\[[^\]]*\]|[\w.+-]*\w|)"
_ALSO = {"train": {"seconds": "check-seconds"}}
# The call that a check asks for, by the argument it lacks, and the option that gives it.
_CALL = re.compile(r": check\(\w+, y, (\w+)=.*\)$")
_GIVEN_AS = {"groups": "--groups COLUMN", "times": "--time COLUMN"}
# What to do, as a whole: (what is said in Python, what to type or do). `\\1` is the first group.
_WHOLE = tuple(
    (re.compile(said), typed)
    for said, typed in (
        (
            r"numbers=\[.* or categories=\[.* keeps a column, whatever it looks like",
            "another table; or --categories with the name of a column that is to be kept",
        ),
        (r"Table\(source\) for rows without answers", "--target with another column"),
        (r"frame\.sort_values\('(.*)'\)", r"sort the rows of the file by '\1'"),
        (r"columns=\['\.\.\.'\]", "a table with columns of numbers, or leave out --past"),
        (r"another target column", "--target with another column"),
        (r"a larger (\w+), more rows, or \w+=0\.", r"more rows, or a larger --\1"),
        (r"more groups, or \w+=0", "more groups, or leave out --groups"),
        (r"split\(y, validation=(\S+), test=(\S+)\)", r"--validation \1 --test \2"),
        (r"split\(y\) without times, or a larger share", "leave out --time, or a larger --validation and --test"),
        (
            r"\w+\('(.*)'\), if the classes' folders are in there; labels=None .*",
            r"\1 in its place, if the classes' folders are in there",
        ),
        (r"\w+\('(.*)'\) for one of the parts", r"\1 in its place, for one of the parts"),
        (r"labels=None for files without labels, or (a folder for each class)", r"\1: photos/cat, photos/dog"),
        (r"class_names=\[.*\], or (add files)", r"\1, or remove these folders"),
        (r"preparation\.read\(\[\.\.\.paths\]\), which brings files to that size", "picture files: they are brought to it"),
        (
            r"Table\('data\.parquet'\) for Parquet, Images\(\.\.\.\) for IDX; or encoding='utf-16'",
            "a name that ends in .parquet, .npy or .gz for such files; or --encoding utf-16",
        ),
        (r"Text\(path\), to model the text itself", "leave out --speakers, to learn how the text goes on"),
        (r"load\('.*'\) once with a network", "leave out --offline, once"),
        (r"load\('(openml:[^']*)'\), or by number: load\('([^']*)'\)", r"\1, or by number: \2"),
        (r"load\('([^']*)', target='([^']*)'\)", r"\1 --target \2"),
        (r"load\('([^']*)'\)", r"\1"),
        (r"put the files there, or leave data_dir out to download them", "put the files there; or leave out --data-dir, to download them"),
        (r"look at the training curves: .*", "--learning-rate with a smaller number: the loss became NaN"),
        (r"train again: uncrumple\.preflight.*", "--learning-rate with a smaller number; uncrumple preflight says where NaN begins"),
        # findings of `check`
        (r"fit\(\.\.\., class_weight=.*", "--balanced, in training: every class counts the same, however rare"),
        (r"split\(y\), which shuffles.*", "nothing: train, compare and check shuffle the rows"),
        (r"split\(y, stratify=True\)(, or .*)?", "more rows of the rare classes, or a larger --validation and --test"),
        (r"split\(y, groups=groups\), which (.*)", r"--groups with the column that says so: it \1"),
        (r"split by time: the last rows are the test part", "--time with the column that says when"),
        (r"leave the column out; if it names a person or a place, give it as groups=", "--leave-out with it; if it names a person or a place, --groups with it"),
        (r"leave out the copies before splitting: .*", "leave out the copies"),
        (r"get these files anew, or leave them out: skip_damaged=True \((--skip-damaged)\)", r"get these files anew, or leave them out: \1"),
        (r"y = \[name\.strip\(\)\.lower\(\) for name in y\]", "write each class one way in the file, or name its folders so"),
        (r"read these as missing: pandas\.read_csv.*", "leave these cells empty"),
        (r"layers\.(Normalization|Rescaling)\(.*", "nothing: train scales what it is given"),
        (r"take the word out of the texts: .*, or (cut .*)", r"take the word out of the texts, or \1"),
    )
)  # fmt: skip


def typed(text: str, command: str, options: Collection[str]) -> str:
    """Return what is said in Python as it is typed after a command.

    Args:
        text: An error's or a warning's three lines, or one line.
        command: The name of the command.
        options: The names of its options, as Python names.

    Example:
        >>> typed("The file is short.\\nExpected more.\\nFix: steps=5", "train", ["steps"]).splitlines()[-1]
        'Fix: --steps 5'
    """
    before, mark, fix = text.rpartition("Fix: ")
    known = {name: name.replace("_", "-") for name in options} | _ALSO.get(command, {})
    return _arguments(before, known) + mark + _arguments(_done(fix), known)


def typed_report(report: Report, command: str, options: Collection[str]) -> Report:
    """Return a report of the checks of data whose advice can be followed at the command line."""
    findings = tuple(replace(one, try_this=typed(one.try_this, command, options)) for one in report.findings)
    budget = "check(..., seconds=...)"
    not_run = tuple(
        replace(one, why=_without_call(one.why.replace(budget, "a larger seconds="), command, options))
        for one in report.not_run
    )
    return replace(report, findings=findings, not_run=not_run)


def _without_call(why: str, command: str, options: Collection[str]) -> str:
    """Return why a check did not run, with an option in place of the call that would have let it run."""
    call = _CALL.search(why)
    if call is None:
        return typed(why, command, options)
    named = _GIVEN_AS.get(call[1])
    return why[: call.start()] + (f": {named}" if named else "")


def _done(fix: str) -> str:
    for pattern, instead in _WHOLE:
        found = pattern.fullmatch(fix)
        if found:
            return found.expand(instead)
    return fix


def _arguments(text: str, known: dict[str, str]) -> str:
    """Return a text with the arguments that are options written as such: `task='regression'` as `--task regression`."""
    if not known or "=" not in text:
        return text

    def option(found: re.Match[str]) -> str:
        name, value = known[found[1]], found[2]
        if value in ("True", ""):
            return f"--{name}"
        words = [one.strip().strip("'\"") for one in value.strip("[]").split(",")]
        said = ",".join(words)
        return f"--{name} {said if ' ' not in said else repr(said)}"

    names = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    return re.sub(rf"(?<![\w.(\-])({names})=(?!=){_VALUE}", option, text)
