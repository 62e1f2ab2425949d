"""The page of a run: its judgement, and what it rests on: data, checks, training, the model."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from uncrumple.experiment.shown import Shown
from uncrumple.experiment.stages import Prepared
from uncrumple.judge import Judgement, figures, html, plots
from uncrumple.judge.page import framed, sections

_LEAD = ("Test result", "Beside simpler models")
_LAST = ("What was looked at", "How it was made")
_NAMES = {"y": "asked"}
# Between these `uncrumple explain` puts what it found.
_BEGIN, _END = "<!-- explanation -->", "<!-- /explanation -->"


def page(
    found: Judgement,
    prepared: Prepared,
    history: Mapping[str, Sequence[float]],
    best_epoch: int,
    facts: Mapping[str, str],
    checks: Any,
    shown: Shown,
    summary: str,
    before: Any = None,
    while_learning: Sequence[Any] | None = None,
) -> str:
    """Return a run as one page that needs nothing else.

    Args:
        found: The judgement; its own sections come first.
        prepared: The data.
        history, best_epoch, facts: How training went.
        checks: What the checks of the data found, or None.
        shown: A few predictions.
        summary: The model's summary.
        before: What `uncrumple.preflight` found, or None.
        while_learning: What `fit(diagnose=True)` found, or None where nobody watched.
    """
    judged = sections(found)
    own = [
        ("A few predictions", _predictions(shown)),
        ("Training", _training(history, best_epoch, facts)),
        ("Before and while it learned", _watched(before, while_learning)),
        ("Data", _data(prepared)),
        ("What the checks of the data found", _checks(checks)),
        ("Model", f"<details><summary>{escape(_first(summary))}</summary>{html.block(summary)}</details>\n"),
    ]
    ordered = [
        *(one for one in judged if one[0] in _LEAD),
        *own[:3],
        *(one for one in judged if one[0] not in (*_LEAD, *_LAST)),
        *own[3:],
        *(one for one in judged if one[0] in _LAST),
    ]
    return framed(found.title, found.verdict(), [*ordered, ("What its answers rest on", link_to_explanation())])


def _first(summary: str) -> str:
    lines = [line.strip() for line in summary.splitlines() if line.strip()]
    total = next((line for line in lines if line.startswith("Total params")), "")
    return f"{lines[0]}; {total}" if total else lines[0]


def _training(history: Mapping[str, Sequence[float]], best_epoch: int, facts: Mapping[str, str]) -> str:
    drawn = ""
    if history.get("loss"):
        figure = plots.training_curves(history, best_epoch or None)
        label = "Loss and score of the training and validation parts by epoch"
        drawn = f"<figure>{figures.to_svg(figure, 'curves-of-training', label)}</figure>\n"
    return drawn + html.facts(facts)


def _data(prepared: Prepared) -> str:
    data = prepared.dataset
    facts: dict[str, str] = {}
    said: list[str] = []
    for line in data.describe():
        name, colon, rest = line.partition(": ")
        if line.startswith("  "):
            continue  # the bars are drawn below
        if colon and len(name) <= 12 and name != data.name:
            facts[_NAMES.get(name, name)] = rest
        elif line.startswith(f"{data.name}: "):
            facts["shape"] = rest
        else:
            said.append(line)
    facts |= {"split": prepared.sealed.in_words(), "preparation": prepared.preparation.in_words()}
    content = html.facts(facts)
    if data.task == "classification" and data.y is not None and len(data.class_names) <= 40:
        counts = np.bincount(data.y, minlength=len(data.class_names))
        content += html.balance(
            [{"name": name, "rows": int(count), "share": float(count / len(data))}
             for name, count in zip(data.class_names, counts)]
        )  # fmt: skip
    return content + html.items(said)


def _checks(checks: Any) -> str:
    if checks is None:
        return ""
    content = f"<p>{escape(checks.headline())}</p>\n"
    content += _findings(checks)
    return content + f"<details><summary>What ran, and what did not</summary>{html.items(checks.footer())}</details>\n"


def _findings(findings: Iterable[Any]) -> str:
    content = ""
    for finding in findings:
        warn = " warn" if finding.severity != "note" else ""
        name, *lines = finding.in_words(10_000).split("\n")
        facts = dict(line.strip().split(None, 1) for line in lines)
        content += f'<div class="said{warn}"><b>{escape(name)}</b>{html.facts(facts)}</div>\n'
    return content


def _watched(before: Any, while_learning: Sequence[Any] | None) -> str:
    content = ""
    if before is not None:
        ticks = html.items([line.strip() for line in before.ticks()])
        content += f"<p>{escape(_sentence(before.headline()))}</p>\n{_findings(before)}"
        content += f"<details><summary>What was looked for before training</summary>{ticks}</details>\n"
    if while_learning is not None:
        count = len(while_learning)
        said = f"{count} finding{'s' * (count > 1)}" if count else "nothing found"
        content += f"<p>While it learned: {said}.</p>\n{_findings(while_learning)}"
    return content


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def link_to_explanation(said: Sequence[str] = ()) -> str:
    """Return the section that leads to the explanation; before there is one, how it is made.

    Args:
        said: What the explanation found, in sentences; empty before there is one.
    """
    if said:
        content = f'{html.items(said)}<p><a href="explain/explain.html">The whole explanation</a></p>'
    else:
        content = (
            "<p><code>uncrumple explain</code> with this run's folder shows what each layer makes of the rows, what "
            "single answers rest on, and of tables which columns count.</p>"
        )
    return f"{_BEGIN}{content}{_END}\n"


def with_explanation(report: str, said: Sequence[str]) -> str:
    """Return a run's page with what its explanation found, and the way to it; a page without a place for it as it is.

    Example:
        >>> with_explanation("<p>a</p>" + link_to_explanation(), ["It looks at the ears."]).count("ears")
        1
    """
    before, begin, rest = report.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return before + link_to_explanation(said).rstrip("\n") + after if begin and end else report


def _predictions(shown: Shown) -> str:
    if shown.sample:
        start = shown.contents[0] if shown.contents else ""
        text = f"{escape(start)}<b>{escape(shown.sample)}</b>"
        style = "white-space: pre-wrap; width: auto"
        return f'<p>After the first words, the network went on by itself:</p>\n<pre style="{style}">{text}</pre>\n'
    if shown.pictures is not None:
        figure = plots.picture_grid(shown.pictures, shown.captions, right=shown.right)
        data = base64.b64encode(plots.to_png(figure, dpi=110)).decode("ascii")
        words = "; ".join(f"row {row}: {said}" for row, said in zip(shown.rows, shown.captions))
        return f'<figure class="white"><img alt="{escape(words)}" src="data:image/png;base64,{data}"></figure>\n'
    rows = [[str(row), content, said] for row, content, said in zip(shown.rows, shown.contents, shown.captions)]
    left = 'style="text-align: left; white-space: normal"'
    table = html.table(["test row", "content", "answer"], rows)
    return table.replace("<td>", f"<td {left}>").replace('<th scope="col">', f'<th scope="col" {left}>')
