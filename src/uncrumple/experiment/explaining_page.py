"""What an explanation leaves on disk: one page, its pictures, and the numbers."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

from uncrumple.experiment.explaining import PARTS, Explained, Part
from uncrumple.experiment.folder import PAGE
from uncrumple.experiment.page import with_explanation
from uncrumple.experiment.written import write_json
from uncrumple.judge import html, plots
from uncrumple.judge.files import write_whole
from uncrumple.judge.page import framed
from uncrumple.judge.words import percent, seconds_in_words

FOLDER, NUMBERS, WHOLE = "explain", "explain.json", "explain.html"


def write_explanation(found: Explained) -> Path:
    """Write `explain.html`, `explain.json` and the pictures into the run's folder `explain`, and return that.

    The run's report then leads there.

    Args:
        found: What `explained` returned.
    """
    folder = found.run / FOLDER
    pictures = {part.name: picture for part in found.parts if (picture := _png(part, len(found.shown))) is not None}
    for name, (light, _) in pictures.items():
        write_whole(folder / f"{name}.png", light)
    for name in set(PARTS) - set(pictures):  # of an explanation before this one
        (folder / f"{name}.png").unlink(missing_ok=True)
    write_json(folder / NUMBERS, found.to_dict())
    write_whole(folder / WHOLE, explanation_page(found, pictures))
    report = found.run / PAGE
    if report.is_file():
        write_whole(report, with_explanation(report.read_text(encoding="utf-8"), [part.title for part in found.parts]))
    return folder


def _png(part: Part, rows: int) -> tuple[bytes, bytes | None] | None:
    """Return the picture of a part for light screens and, where there is one, for dark ones."""
    if part.name == "trace":
        return None
    if part.name == "view":
        return part.result.to_png("light"), part.result.to_png("dark")
    if part.name == "confusion":
        return plots.to_png(plots.confusion_figure(part.result.confusion)), None
    figure = part.result.plot(rows) if part.name == "attribution" else part.result.plot()
    return plots.to_png(figure), None


def explanation_page(found: Explained, pictures: dict[str, tuple[bytes, bytes | None]]) -> str:
    """Return an explanation as one page that needs nothing else.

    Args:
        found: What `explained` returned.
        pictures: Of each part, by its name: for light screens and, or None, for dark ones.
    """
    sections = [(PARTS[part.name], _section(found, part, pictures.get(part.name))) for part in found.parts]
    made = {
        "run": str(found.run),
        "looked at": f"{found.rows:,} {found.where}",
        "time": seconds_in_words(found.seconds),
    }
    missing = [f"{PARTS[name]}: {why}." for name, why in found.missing.items()]
    sections.append(("How it was made", html.facts(made) + html.items(missing)))
    return framed(found.title, found.headline(), sections)


def _section(found: Explained, part: Part, picture: tuple[bytes, bytes | None] | None) -> str:
    # Most pictures have the finding as their title.
    content = f"<p>{escape(part.title)}</p>\n" if part.name in ("confusion", "trace") or picture is None else ""
    if part.name == "attribution":
        content += _rows(found)
    if picture is not None:
        content += _picture(part, *picture)
    if part.name == "trace":
        content += _layers(part.result)
        content += f"<details><summary>With its arithmetic</summary>{html.block(str(part.result))}</details>\n"
    elif part.lines:
        words = html.block("\n".join(part.lines))
        content += f"<details><summary>In numbers</summary>{words}</details>\n"
    return content + html.items(part.remarks)


def _picture(part: Part, light: bytes, dark: bytes | None) -> str:
    data = base64.b64encode(light).decode("ascii")
    # Pictures of many rows are tall; what is wider than the page is scrolled.
    width = _width(light)
    size = f' style="max-height: none; min-width: min({width}px, 70rem)"' if part.name == "attribution" else ""
    image = f'<img alt="{escape(part.title)}"{size} src="data:image/png;base64,{data}">'
    if dark is None:
        return f'<figure class="white"><div class="wide">{image}</div></figure>\n'
    other = base64.b64encode(dark).decode("ascii")
    source = f'<source srcset="data:image/png;base64,{other}" media="(prefers-color-scheme: dark)">'
    return f"<figure><picture>{source}{image}</picture></figure>\n"


def _width(png: bytes) -> int:
    """Return how many pixels wide a PNG file is."""
    return int.from_bytes(png[16:20], "big")


def _rows(found: Explained) -> str:
    """Return a table of the rows whose answers are shown, in the order of the picture."""
    if not any(one["answer"] for one in found.shown):
        return ""
    header = ["in the picture", "row", "truth", "answer", "sure"]
    rows = [
        [
            str(place),
            one["row"],
            "not known" if one["truth"] is None else one["truth"],
            one["answer"],
            "" if one["sure"] is None else percent(one["sure"]),
        ]
        for place, one in enumerate(found.shown)
    ]
    return html.table(header, rows)


def _layers(trace: Any) -> str:
    rows = [
        ["· " * layer.level + f"{layer.name} ({layer.kind})", layer.does, " x ".join(map(str, layer.shape_out[1:])) or "1",
         f"{layer.parameter_count:,}", layer.range_in_words]
        for layer in trace.layers
    ]  # fmt: skip
    text = html.table(["layer", "what it does", "gives", "parameters", "its numbers"], rows)
    left = 'style="text-align: left; white-space: normal"'
    return text.replace("<td>", f"<td {left}>").replace('<th scope="col">', f'<th scope="col" {left}>')
