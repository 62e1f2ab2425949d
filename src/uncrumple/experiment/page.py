"""The page of a run: its judgement, and what it rests on: data, checks, training, the model."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from uncrumple.experiment.shown import Shown
from uncrumple.experiment.stages import Prepared
from uncrumple.judge import Judgement, figures, plots
from uncrumple.judge.html import _PAGE, _STYLE, _balance, _block, _facts, _items, _table
from uncrumple.judge.page import _STYLE_HERE, sections

_LEAD = ("Test result", "Beside simpler models")
_LAST = ("What was looked at", "How it was made")
_NAMES = {"y": "asked"}


def page(
    found: Judgement,
    prepared: Prepared,
    history: Mapping[str, Sequence[float]],
    best_epoch: int,
    facts: Mapping[str, str],
    checks: Any,
    shown: Shown,
    summary: str,
) -> str:
    """Return a run as one page that needs nothing else.

    Args:
        found: The judgement; its own sections come first.
        prepared: The data.
        history, best_epoch, facts: How training went.
        checks: What the checks of the data found, or None.
        shown: A few predictions.
        summary: The model's summary.
    """
    judged = sections(found)
    own = [
        ("A few predictions", _predictions(shown)),
        ("Training", _training(history, best_epoch, facts)),
        ("Data", _data(prepared)),
        ("What the checks of the data found", _checks(checks)),
        ("Model", f"<details><summary>{escape(_first(summary))}</summary>{_block(summary)}</details>\n"),
    ]
    ordered = [
        *(one for one in judged if one[0] in _LEAD),
        *own[:2],
        *(one for one in judged if one[0] not in (*_LEAD, *_LAST)),
        *own[2:],
        *(one for one in judged if one[0] in _LAST),
    ]
    body = "\n".join(f"<section><h2>{escape(title)}</h2>\n{content}</section>" for title, content in ordered if content)
    verdict = f'<p class="verdict">{escape(found.verdict())}</p>'
    return _PAGE.format(title=escape(found.title), style=_STYLE + _STYLE_HERE, verdict=verdict, body=body)


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
    return drawn + _facts(facts)


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
    content = _facts(facts)
    if data.task == "classification" and data.y is not None and len(data.class_names) <= 40:
        counts = np.bincount(data.y, minlength=len(data.class_names))
        content += _balance(
            [{"name": name, "rows": int(count), "share": float(count / len(data))}
             for name, count in zip(data.class_names, counts)]
        )  # fmt: skip
    return content + _items(said)


def _checks(checks: Any) -> str:
    if checks is None:
        return ""
    content = f"<p>{escape(checks.headline())}</p>\n"
    for finding in checks:
        warn = " warn" if finding.severity != "note" else ""
        name, *lines = finding.in_words(10_000).split("\n")
        facts = dict(line.strip().split(None, 1) for line in lines)
        content += f'<div class="said{warn}"><b>{escape(name)}</b>{_facts(facts)}</div>\n'
    return content + f"<details><summary>What ran, and what did not</summary>{_items(checks.footer())}</details>\n"


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
    table = _table(["test row", "content", "answer"], rows)
    return table.replace("<td>", f"<td {left}>").replace('<th scope="col">', f'<th scope="col" {left}>')
