"""The pieces of a page: tables, lists, its style and its frame.

A page is a single file: its pictures are inside it, it loads nothing, runs nothing, and can be sent
to someone as it is. Every text in it is escaped: a class may be called `<script>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any


def balance(classes: Sequence[Mapping[str, Any]]) -> str:
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


def table(header: Sequence[str], rows: Sequence[Sequence[str]], mark_first: bool = False) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = []
    for index, row in enumerate(rows):
        first, *others = row
        cells = f'<th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        lines.append(f"<tr{' class=own' if mark_first and index == 0 else ''}>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>\n'


def facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    return (
        f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(str(text))}</dd>' for name, text in facts.items())}</dl>\n"
    )


def items(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>\n" if lines else ""


def block(text: str) -> str:
    return f'<div class="wide"><pre>{escape(text)}</pre></div>\n' if text else ""


STYLE = """
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

PAGE = """<!doctype html>
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
