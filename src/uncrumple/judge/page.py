"""A judgement as one HTML page: nothing to load, nothing that runs, good in light, in dark and in print."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from uncrumple.judge import figures, group_figures, html, plots
from uncrumple.judge.confusion import Confusion
from uncrumple.judge.mistakes import Mistake
from uncrumple.judge.words import decimals, percent

if TYPE_CHECKING:
    from uncrumple.judge.judgement import Judgement

_MOST_CLASSES_IN_TABLE = 20
# Names of classes with more letters than this in all stand upright above the confusion matrix.
_WIDEST_HEADER = 70
_STYLE_HERE = """
:root { --blue: #0072b2; --red: #c45100; --green: #00805d; --orange: #b87b00; }
@media (prefers-color-scheme: dark) { :root { --blue: #6cb8e6; --red: #ff8a4c; --green: #3fcaa0; --orange: #f0b429; } }
figure { background: var(--paper); }
figure.white { background: #ffffff; }
svg { max-width: 100%; height: auto; }
tr.few th, tr.few td { color: var(--soft); font-style: italic; opacity: .75; }
.warn { margin: .75rem 0; padding: .7rem 1rem; border-left: 5px solid var(--orange); background: var(--shade);
  border-radius: 4px; }
.said { margin: .5rem 0; }
tr.said td { text-align: left; white-space: normal; color: var(--soft); border-top: none; padding-top: 0; font-size: .85rem; }
.said b { font-weight: 600; }
table.matrix { min-width: 0; width: auto; }
table.matrix thead th { text-align: center; white-space: nowrap; }
table.matrix td { text-align: center; min-width: 3.2rem; border: 1px solid var(--line); }
table.matrix td small { display: block; color: inherit; opacity: .8; }
table.matrix td, .bar i { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
table.matrix caption { caption-side: top; text-align: left; color: var(--soft); padding-bottom: .3rem;
  white-space: nowrap; }
table:not(.matrix):has(thead th:nth-child(10)) { font-size: .8rem; }
table.tall thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; vertical-align: bottom; }
.headline { outline: 2px solid var(--own); }
@page { margin: 14mm; }
@media print {
  :root { color-scheme: light; --ink: #000000; --soft: #444444; --paper: #ffffff; --shade: #f4f6f8; --line: #bbbbbb;
    --own: #0072b2; --verdict: #e8f2f9; --blue: #0072b2; --red: #c45100; --green: #00805d; --orange: #b87b00; }
  body { padding: 0; font-size: 11pt; }
  section { break-inside: auto; } h2 { break-after: avoid; } figure, tr, .card, .said { break-inside: avoid; }
  tr:has(+ tr.said) { break-after: avoid; }
  .wide { overflow: visible; } table { font-size: .72rem; } th, td { white-space: normal; }
  .verdict, .card, .warn, pre { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  details::details-content { content-visibility: visible; block-size: auto; } h3 { break-after: avoid; }
}
"""


def page(found: Judgement) -> str:
    """Return a judgement as one page.

    Example:
        >>> from uncrumple.judge import judge
        >>> import numpy as np
        >>> y = np.arange(80) % 2
        >>> html = page(judge(lambda x: x[:, 0], (y[:, None], y, y[:, None], y), class_names=("<no>", "yes")))
        >>> "&lt;no&gt;" in html, "<script" in html
        (True, False)
    """
    return framed(found.title, found.verdict(), sections(found))


def framed(title: str, verdict: str, parts: Sequence[tuple[str, str]]) -> str:
    """Return a page in the style of a report.

    Args:
        title: Of the page.
        verdict: What comes first, in a sentence.
        parts: (title, HTML) of each section; empty ones are left out.

    Example:
        >>> "<h2>One &amp; two</h2>" in framed("Both", "All is well.", [("One & two", "<p>...</p>"), ("Three", "")])
        True
    """
    body = "\n".join(f"<section><h2>{escape(name)}</h2>\n{content}</section>" for name, content in parts if content)
    said = f'<p class="verdict">{escape(verdict)}</p>'
    return html.PAGE.format(title=escape(title), style=html.STYLE + _STYLE_HERE, verdict=said, body=body)


def sections(found: Judgement) -> list[tuple[str, str]]:
    """Return the parts of the page as (title, HTML); what there is nothing for is empty."""
    return [
        ("Test result", _result(found)),
        ("Beside simpler models", _beside(found)),
        ("The decision tree", _tree(found)),
        ("Classes", _classes(found)),
        ("Residuals", _residuals(found)),
        ("Calibration", _calibration(found)),
        ("Thresholds", _thresholds(found)),
        ("Worst mistakes", _mistakes(found)),
        ("Slices and fairness", _slices(found)),
        ("Shifted by a pixel", _part(found.shift)),
        ("Trained again", _part(found.folds) + _seeds(found)),
        ("Would more data help?", _learning(found)),
        ("What was looked at", _checks(found)),
        ("How it was made", html.facts(found.made)),
    ]


def _result(found: Judgement) -> str:
    from uncrumple.judge.judgement import SCORE_NAMES, said_score

    first, cards = found.comparison.headline, []
    for name in sorted(found.scores, key=lambda one: SCORE_NAMES.get(one, one) != first):
        said, _, rest = said_score(name, found.scores[name]).partition(" [")
        unit = " %" if said.endswith("%") else ""
        between = f'<span class="between">95 % interval {escape(rest.rstrip("]").replace(", ", " to "))}{unit}</span>'
        title = SCORE_NAMES.get(name, name)
        mark = " headline" if title == first else ""
        cards.append(f'<div class="card{mark}"><span>{escape(title)}</span><b>{escape(said)}</b>{between}</div>')
    warnings = found.warnings()
    notes = "".join(f'<p class="warn">{escape(note)}</p>\n' for note in warnings)
    notes += html.items([note for note in found.notes() if note not in warnings])
    return f'<div class="cards">{"".join(cards)}</div>\n{notes}'


def _beside(found: Judgement) -> str:
    header, rows = found.comparison.table()
    picture = _svg(plots.comparison_figure(found.comparison), "comparison",
                   "Score of each model with its interval; the numbers are in the table below")  # fmt: skip
    return picture + html.table(header, rows, mark_first=True) + html.items(found.comparison.notes())


def _tree(found: Judgement) -> str:
    if found.tree is None:
        return ""
    from uncrumple.judge.trees import tree_lines

    lines = "\n".join(tree_lines(found.tree))
    text = f'<details><summary>As text</summary><div class="wide"><pre>{escape(lines)}</pre></div></details>\n'
    return _svg(figures.tree_figure(found.tree), "tree", "The decision tree; it is also there as text") + text


def _classes(found: Judgement) -> str:
    if found.confusion is None:
        return ""
    small = len(found.class_names) <= _MOST_CLASSES_IN_TABLE
    content = _matrix(found.confusion) if small else _svg(
        plots.confusion_figure(found.confusion), "confusion", "Confusion matrix", white=True
    )  # fmt: skip
    content += html.table(*found.confusion.class_table())
    pairs = found.confusion.most_confused()
    if pairs:
        said = ", ".join(f"{truth} taken for {answer} ({rows}×)" for truth, answer, rows in pairs)
        content += f"<p>Most often: {escape(said)}.</p>\n"
    return content


def _matrix(confusion: Confusion) -> str:
    """Return the confusion matrix as a table: right answers blue, mistakes orange, the more the stronger."""
    shares, names = confusion.row_shares, confusion.class_names
    wrong = max([float(shares[i, j]) for i in range(len(names)) for j in range(len(names)) if i != j] + [0.02])
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    lines = []
    for truth, name in enumerate(names):
        cells = []
        for answer in range(len(names)):
            count, share = int(confusion.matrix[truth, answer]), float(shares[truth, answer])
            if not count:
                cells.append("<td></td>")
                continue
            strength = 0.12 + 0.4 * share if truth == answer else 0.12 + 0.5 * share / wrong
            colour = "0, 114, 178" if truth == answer else "230, 159, 0"
            shown = f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"
            bold = f"<b>{count:,}</b>" if truth == answer else f"{count:,}"
            cells.append(f'<td style="background: rgba({colour}, {strength:.2f})">{bold}<small>{shown}</small></td>')
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    caption = "<caption>Truth down, answer across; the share is of the row.</caption>"
    tall = " tall" if sum(max(len(name), 5) for name in names) > _WIDEST_HEADER else ""
    return (
        f'<div class="wide"><table class="matrix{tall}">{caption}<thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>\n"
    )


def _residuals(found: Judgement) -> str:
    if found.task != "regression":
        return ""
    return _svg(
        plots.regression_figure(found.truth, found.answers), "predicted", "Predicted against true values"
    ) + _svg(
        figures.residuals_figure(found.truth, found.answers), "residuals", "Errors against predicted values, and their sizes"
    )  # fmt: skip


def _calibration(found: Judgement) -> str:
    if found.calibration is None:
        return ""
    one = found.calibration
    said = _said(found, "calibration", "temperature")
    facts = {
        "Brier score": one.brier.in_words(percent=False),
        "log loss": one.log_loss.in_words(percent=False),
        "ECE, 15 bins": f"{one.ece:.3f}; a perfect model shows {one.floor:.3f}, one in 20 more than {one.floor_high:.3f}",
    }
    picture = _svg(figures.reliability_figure(one, found.calibration_after), "reliability",
                   "How often the model is right against how sure it is")  # fmt: skip
    return said + picture + html.facts(facts)


def _thresholds(found: Judgement) -> str:
    if not found.curves:
        return ""
    if len(found.curves) > 1:
        rows = [
            [one.name, *(part.in_words(percent=False) for part in (one.auc, one.average_precision)), f"{one.share:.3f}"]
            for one in found.curves
        ]
        header = ["class against the others", "AUC", "average precision", "chance"]
        return _svg(figures.curves_figure(found.curves), "curves", "ROC and precision-recall curves") + html.table(
            header, rows
        )
    names = ["ROC", f"threshold for {found.positive!r}"]
    picture = _svg(figures.curves_figure(found.curves, found.thresholds), "curves", "ROC and precision-recall curves")
    return picture + _said(found, *names)


def _mistakes(found: Judgement) -> str:
    if found.largest:
        places = decimals(max(abs(one.error or 0.0) for one in found.largest))
        rows = [[str(one.row), one.truth, one.answer, f"{one.error:+.{places}f}"] for one in found.largest]
        return _rows_in_words(found, ["test row", "true", "predicted", "off by"], rows, found.largest)
    if found.piles is None or not found.piles.wrong:
        return ""
    piles = found.piles
    content = _said(found, "mistakes") + f'<p class="said">Suspect: {escape(piles.rule)}.</p>\n'
    for title, pile, name in (
        ("The label is suspect", piles.label_suspect, "suspect"),
        ("The model is wrong", piles.model_wrong, "wrong"),
    ):
        if pile:
            content += f"<h3>{title}</h3>\n" + _pile(found, pile, name)
    return content


def _pile(found: Judgement, pile: Sequence[Mistake], name: str) -> str:
    header = ["test row", "truth", "answer", "confidence", "gave the truth"]
    rows = [
        [str(one.row), one.truth, one.answer, percent(one.confidence or 0.0), percent(one.truth_probability or 0.0)]
        for one in pile
    ]
    if found.pictures is None:
        return _rows_in_words(found, header, rows, pile)
    figure = plots.picture_grid([found.pictures[one.row] for one in pile], [one.in_words() for one in pile])
    # Pictures of dots are smaller as a PNG than as a drawing.
    data = base64.b64encode(plots.to_png(figure, dpi=110)).decode("ascii")
    words = "; ".join(f"row {one.row}: {one.in_words()}" for one in pile)
    picture = f'<figure class="white"><img alt="{escape(words)}" src="data:image/png;base64,{data}"></figure>\n'
    table = _rows_in_words(found, header, rows, pile)
    return picture + f"<details><summary>As a table</summary>{table}</details>\n"


def _rows_in_words(found: Judgement, header: list[str], rows: list[list[str]], mistakes: Sequence[Mistake]) -> str:
    """Return a table of rows; where they can be said in words, each with a second line that does."""
    text = html.table(header, rows)
    if not found.shown:
        return text
    parts = text.split("</tr>")  # the header, each row, and what comes after the last
    for place, one in enumerate(mistakes):
        said = found.shown.get(one.row, "")
        parts[place + 1] += f'</tr><tr class="said"><td colspan="{len(header)}">{escape(said)}</td>'
    return "</tr>".join(parts)


def _slices(found: Judgement) -> str:
    content = ""
    if found.slices is not None:
        content += f'<p class="said">{escape(found.slices.in_words())}</p>\n'
        content += _svg(group_figures.slices_figure(found.slices), "slices", "Score of each slice with its interval")
        content += f"<details><summary>As a table</summary>{_greyed(*found.slices.table())}</details>\n"
    for number, one in enumerate(found.fairness):
        content += f"<h3>By {escape(one.column)}, where yes is '{escape(one.positive)}'</h3>\n"
        content += f'<p class="said">{escape(one.in_words())}</p>\n'
        label = f"How often each group is answered {one.positive}, found, and falsely accused, with intervals"
        content += _svg(group_figures.fairness_figure(one), f"fairness{number}", label)
        content += f"<details><summary>As a table</summary>{_greyed(*one.table())}</details>\n"
    return content


def _greyed(header: Sequence[str], rows: Sequence[Sequence[str]], few: Sequence[bool]) -> str:
    """Return a table whose rows with too few to claim anything are grey."""
    text = html.table(header, rows)
    parts = text.split("<tr>")
    for index, grey in enumerate(few):
        if grey:  # the first two parts are what comes before, and the header
            parts[index + 2] = "\0" + parts[index + 2]
    return "<tr>".join(parts).replace("<tr>\0", '<tr class="few">')


def _part(part: object) -> str:
    if part is None:
        return ""
    header, rows = part.table()  # type: ignore[attr-defined]
    said = part.in_words()  # type: ignore[attr-defined]
    return f'<p class="said">{escape(said)}</p>\n' + html.table(header, rows, mark_first=header[0].endswith("folds"))


def _seeds(found: Judgement) -> str:
    return f'<p class="said">{escape(found.seeds.in_words())}</p>\n' if found.seeds else ""


def _learning(found: Judgement) -> str:
    if found.learning is None:
        return ""
    return _svg(figures.learning_figure(found.learning), "learning", "Score by rows learnt from") + _part(
        found.learning
    )


def _checks(found: Judgement) -> str:
    content = html.items(found.ran)
    if found.not_run:
        content += f"<p>Not looked at:</p>\n{html.items(found.not_run)}"
    return content


def _said(found: Judgement, *names: str) -> str:
    return "".join(
        f'<p class="said"><b>{escape(name)}:</b> {escape(said)}</p>\n'
        for name, said in found.findings()
        if name in names
    )


def _svg(figure: object, name: str, label: str, white: bool = False) -> str:
    drawing = figures.to_svg(figure, name, label)  # type: ignore[arg-type]
    return f"<figure{' class=white' if white else ''}>{drawing}</figure>\n"
