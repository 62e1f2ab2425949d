"""One page that holds a whole result: the verdict first, then what it rests on.

The page is a single file: its pictures are inside it, it loads nothing, runs
nothing, and can be sent to someone as it is. Every text in it is escaped: a
class may be called `<script>`.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from uncrumple.judge.confusion import Confusion
from uncrumple.judge.files import write_whole
from uncrumple.judge.intervals import Interval
from uncrumple.judge.mistakes import Mistake
from uncrumple.judge.table import Comparison
from uncrumple.judge.words import decimals, percent

# What the scores are called on the page; those that are shares are shown in percent.
_SCORE_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
}
_ALT = {
    "curves": "Training curves: loss and score of the training and validation parts by epoch",
    "confusion": "Confusion matrix; its numbers are in the table of classes",
    "comparison": "Score of each model with its interval; the numbers are in the table below",
    "regression": "Predicted against true values of the test part",
    "mistakes": "The worst mistakes as pictures, each with truth, answer and confidence",
    "examples": "A few pictures of the test part with the network's answers",
}


@dataclass
class Report:
    """What a page can show; a part that is empty is left out.

    Args:
        title: The heading, such as `digits: a convolutional network`.
        verdict: What it all says, in one or two sentences.
        scores: The test result: name (`accuracy`, `macro_f1`, `mae`, `rmse`, `r2`) to interval.
        measured: How the test result came about, such as that the test part was used once.
        data: What `uncrumple.data.describe.facts` found.
        split: The sizes of the parts, in words.
        scaling: What was done to the inputs, in words.
        summary: The model's summary as plain text.
        training: Facts on the training by name, such as `{"epochs": "24, the best was 15"}`.
        figures: PNG files as bytes, by `curves`, `confusion`, `comparison`, `regression`, `mistakes`, `examples`.
        confusion: For the table of classes.
        comparison: For the table of models.
        mistakes: The worst, first.
        made: How it was made, by name.
        notes: What else a reader must know.
    """

    title: str
    verdict: str
    scores: Mapping[str, Interval] = field(default_factory=dict)
    measured: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""
    scaling: str = ""
    summary: str = ""
    training: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    confusion: Confusion | None = None
    comparison: Comparison | None = None
    mistakes: Sequence[Mistake] = ()
    made: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_report(path: str | os.PathLike[str], report: Report) -> Path:
    """Write the page, whole or not at all, and return its path.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = write_report(f"{folder}/report.html", Report("iris", "A tree does as well."))
        ...     page.read_text(encoding="utf-8")[:15]
        '<!doctype html>'
    """
    return write_whole(path, render(report))


def render(report: Report) -> str:
    """Return the page as text.

    Example:
        >>> "&lt;b&gt;" in render(Report("<b>", ""))
        True
    """
    sections = [
        ("Test result", _test_result(report)),
        ("Beside simpler models", _comparison(report)),
        ("Training", _picture(report, "curves") + _facts(report.training)),
        ("Classes", _picture(report, "confusion") + _classes(report)),
        ("Predictions", _picture(report, "examples") + _picture(report, "regression")),
        ("Worst mistakes", _picture(report, "mistakes") + _mistakes(report)),
        ("Data", _data(report)),
        ("Model", _block(report.summary)),
        ("Notes", _items(report.notes)),
        ("How it was made", _facts(report.made)),
    ]
    shown = [(title, body) for title, body in sections if body]
    body = "\n".join(f"<section><h2>{escape(title)}</h2>\n{content}</section>" for title, content in shown)
    verdict = f'<p class="verdict">{escape(report.verdict)}</p>' if report.verdict else ""
    return _PAGE.format(title=escape(report.title), style=_STYLE, verdict=verdict, body=body)


def _test_result(report: Report) -> str:
    cards = []
    for name, interval in report.scores.items():
        is_share = name == "accuracy"
        score, _, rest = interval.in_words(percent=is_share).partition(" [")
        low_high = rest.rstrip("]").replace(", ", " to ")
        title = _SCORE_NAMES.get(name, name.replace("_", " "))
        between = f'<span class="between">95 % interval {escape(low_high)}{" %" if is_share else ""}</span>'
        cards.append(f'<div class="card"><span>{escape(title)}</span><b>{escape(score)}</b>{between}</div>')
    if not cards:
        return ""
    said = f"<p>{escape(report.measured)}</p>\n" if report.measured else ""
    return f'<div class="cards">{"".join(cards)}</div>\n{said}'


def _comparison(report: Report) -> str:
    if report.comparison is None:
        return _picture(report, "comparison")
    header, rows = report.comparison.table()
    return _picture(report, "comparison") + _table(header, rows, mark_first=True) + _items(report.comparison.notes())


def _classes(report: Report) -> str:
    if report.confusion is None:
        return ""
    header, rows = report.confusion.class_table()
    text = _table(header, rows)
    pairs = report.confusion.most_confused()
    if pairs:
        said = ", ".join(f"{truth} taken for {answer} ({rows}×)" for truth, answer, rows in pairs)
        text += f"<p>Most often: {escape(said)}.</p>\n"
    return text


def _mistakes(report: Report) -> str:
    if not report.mistakes:
        return ""
    if report.mistakes[0].confidence is None:
        header = ["test row", "true", "predicted", "off by"]
        places = decimals(max(abs(one.error or 0.0) for one in report.mistakes))
        rows = [[str(one.row), one.truth, one.answer, f"{one.error:+.{places}f}"] for one in report.mistakes]
    else:
        header = ["test row", "truth", "answer", "confidence", "gave the truth"]
        rows = [
            [str(one.row), one.truth, one.answer, percent(one.confidence or 0.0), percent(one.truth_probability or 0.0)]
            for one in report.mistakes
        ]
    table = _table(header, rows)
    if "mistakes" in report.figures:  # the pictures say the same
        return f"<details><summary>As a table</summary>{table}</details>\n"
    return table


def _data(report: Report) -> str:
    found = report.data
    lines = {
        "what": found.get("description", ""),
        "asked": found.get("target", ""),
        "shape": found.get("shape_in_words", ""),
    }
    if "smallest" in found:
        gaps = f"{found['missing']:,} missing" if found["missing"] else "nothing missing"
        lines["values"] = f"{found['dtype']}, from {found['smallest']:g} to {found['largest']:g}, {gaps}"
    if "answers" in found:
        spread = found["answers"]
        lines["answers"] = (
            f"from {spread['smallest']:g} to {spread['largest']:g}, half of them between "
            f"{spread['lower_quarter']:g} and {spread['upper_quarter']:g}, median {spread['median']:g}"
        )
    lines |= {"split": report.split, "scaling": report.scaling}
    lines |= {"source": found.get("source", ""), "licence": found.get("licence", "")}
    text = _facts({name: line for name, line in lines.items() if line}) + _balance(found.get("classes", ()))
    if found.get("features"):
        rows = [
            [one["name"], *(f"{one[key]:.4g}" for key in ("smallest", "mean", "largest")), f"{one['missing']:,}"]
            for one in found["features"]
        ]
        table = _table(["feature", "smallest", "mean", "largest", "missing"], rows)
        text += f"<details><summary>{len(rows)} features</summary>{table}</details>\n"
    return text


def _balance(classes: Sequence[Mapping[str, Any]]) -> str:
    if not classes:
        return ""
    most = max(one["rows"] for one in classes) or 1
    rows = "".join(
        f'<tr><th scope="row">{escape(one["name"])}</th>'
        f'<td class="bar"><i style="width:{100 * one["rows"] / most:.1f}%"></i></td>'
        f"<td>{one['rows']:,}</td><td>{100 * one['share']:.1f} %</td></tr>"
        for one in classes
    )
    head = '<tr><th scope="col">class</th><th></th><th scope="col">rows</th><th scope="col">share</th></tr>'
    return f'<div class="wide"><table class="balance"><thead>{head}</thead><tbody>{rows}</tbody></table></div>\n'


def _picture(report: Report, name: str) -> str:
    content = report.figures.get(name)
    if content is None:
        return ""
    data = base64.b64encode(content).decode("ascii")
    return f'<figure><img alt="{escape(_ALT[name])}" src="data:image/png;base64,{data}"></figure>\n'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], mark_first: bool = False) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = []
    for index, row in enumerate(rows):
        first, *others = row
        cells = f'<th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        lines.append(f"<tr{' class=own' if mark_first and index == 0 else ''}>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>\n'


def _facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    return (
        f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(str(text))}</dd>' for name, text in facts.items())}</dl>\n"
    )


def _items(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>\n" if lines else ""


def _block(text: str) -> str:
    return f'<div class="wide"><pre>{escape(text)}</pre></div>\n' if text else ""


_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #5b6470; --paper: #ffffff; --shade: #f4f6f8;
  --line: #d9dee3; --own: #0072b2; --verdict: #e8f2f9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a2abb5; --paper: #16191d; --shade: #20252b;
  --line: #39414a; --own: #6cb8e6; --verdict: #12303f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
.verdict { margin: 0; padding: 1rem 1.2rem; background: var(--verdict); border-left: 5px solid var(--own);
  border-radius: 4px; font-size: 1.15rem; }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; }
.card { flex: 1 1 12rem; padding: .8rem 1rem; background: var(--shade); border-radius: 8px; display: flex;
  flex-direction: column; }
.card b { font-size: 1.8rem; line-height: 1.25; }
.card span { color: var(--soft); }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .4rem .45rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; white-space: normal; line-height: 1.2; }
tbody th { font-weight: 400; }
.balance td, .balance th { padding: .2rem .55rem; }
.bar { width: 100%; min-width: 6rem; }
.bar i { display: block; height: .8em; background: var(--own); border-radius: 2px; }
tr.own th, tr.own td { color: var(--own); font-weight: 700; }
pre { margin: 0; padding: .9rem 1rem; background: var(--shade); border-radius: 8px;
  font: .84rem/1.35 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  width: max-content; min-width: 100%; }
figure { margin: .75rem 0; padding: .75rem; background: #ffffff; border: 1px solid var(--line); border-radius: 8px;
  text-align: center; }
img { max-width: 100%; max-height: 46rem; height: auto; }
ul { padding-left: 1.2rem; color: var(--soft); font-size: .92rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: .75rem 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--soft); }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print { body { max-width: none; } section { break-inside: avoid; } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="generator" content="uncrumple">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{verdict}
{body}
</body>
</html>
"""
