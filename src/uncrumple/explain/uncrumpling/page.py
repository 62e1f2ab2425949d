"""An uncrumple view as one page: it moves, loads nothing, and can be read without a mouse or without colours."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from uncrumple.explain.pages import page as whole_page
from uncrumple.explain.pictures.picture import plain
from uncrumple.explain.uncrumpling import words
from uncrumple.explain.uncrumpling.page_parts import SCRIPT, STYLE
from uncrumple.explain.uncrumpling.still import _limits, class_groups

if TYPE_CHECKING:
    from uncrumple.explain.uncrumpling.view import Uncrumpled

_FULL = 30000


def page(view: Uncrumpled) -> str:
    """Return the view as the text of a page.

    Example:
        >>> from uncrumple.explain.uncrumpling.making import uncrumple
        >>> import torch
        >>> html = page(uncrumple(torch.nn.Linear(3, 2), (torch.randn(20, 3), ["<a>", "b"] * 10)))
        >>> "<a>" in html, "http://" in html, "https://" in html
        (False, False, False)
    """
    notes = "".join(f"<p>{escape(text)}</p>" for text in [view.note])
    several = len(view.frames) > 1
    body = f"""<main>
<header><h1>{escape(view.title)}</h1>
<button id="theme" type="button" aria-label="Change between light and dark">◐</button></header>
<div id="legend" role="group" aria-label="Classes; press one to see it alone"></div>
<div id="controls"{"" if several else " hidden"}>
<button id="back" type="button" aria-label="One moment back">◀</button>
<button id="play" type="button">Play</button>
<button id="on" type="button" aria-label="One moment on">▶</button>
<input id="moment" type="range" min="0" max="{len(view.frames) - 1}" value="{len(view.frames) - 1}" step="1"
 aria-label="Moment of training">
<output id="when" aria-live="polite"></output>
<span class="keys">Space plays, ← → step, Home and End jump</span></div>
<div id="panels"></div>
<figure id="chart"{"" if view.probe.task else " hidden"}><figcaption>What a straight line finds, layer by layer</figcaption>
<canvas role="img" aria-label="The scores of the table below"></canvas></figure>
<section id="read">{notes}</section>
<details><summary>The numbers at this moment</summary><div class="wide">{_table(view)}</div></details>
</main>"""
    return whole_page(view.title, STYLE, body, SCRIPT, _data(view))


def _data(view: Uncrumpled) -> dict[str, Any]:
    probe, task = view.probe, view.probe.task
    colours = _colours(view)
    limits = [_limits([frame.layers[place] for frame in view.frames]) for place in range(len(view.layers))]
    frames = []
    for frame in view.frames:
        layers = []
        for layer, limit in zip(frame.layers, limits):
            one: dict[str, Any] = {"p": _packed(layer.points, limit), "v": words.shown(layer)}
            if layer.score is not None:
                one["s"] = round(layer.score.value, 4)
                one["w"] = words.said(layer.score.value, task)
                one["i"] = words.interval(layer.score.low, layer.score.high, task)
            if layer.lines is not None:
                one["g"] = _packed(layer.lines.reshape(-1, 2), limit)
            layers.append(one)
        frames.append({"when": frame.in_words(), "layers": layers})
    control = [None if one.untrained is None else round(one.untrained.value, 4) for one in view.layers]
    return plain(
        {
            "frames": frames,
            "layers": [
                {"name": one.name, "gives": words.gives(one), "exact": one.exact, "ends": list(limit) if one.exact else None,
                 "along": 0 if one.lines is None else one.lines.shape[1]}
                for one, limit in zip(view.layers, limits)
            ],
            "control": control if any(one is not None for one in control) else None,
            "chance": view.chance if task == "classification" else None,
            "task": task,
            "rows": len(probe),
            **colours,
        }
    )  # fmt: skip


def _colours(view: Uncrumpled) -> dict[str, Any]:
    """Return the colour and mark of every sample."""
    probe = view.probe
    if probe.values is not None:
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        values = probe.values[:, 0]
        low, high = float(values.min()), float(values.max())
        shades = colormaps["viridis"]((values - low) / ((high - low) or 1.0))
        ramp = [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 1, 9))]
        return {"each": [to_hex(shade) for shade in shades], "ramp": ramp, "ends": [f"{low:.4g}", f"{high:.4g}"]}
    if probe.labels is None:
        return {
            "classes": [{"name": "", "light": "#0072B2", "dark": "#6CB8E6", "mark": "o"}],
            "group": [0] * len(probe),
        }
    light = class_groups(probe.labels, probe.class_names, "light")
    dark = class_groups(probe.labels, probe.class_names, "dark")
    group = np.zeros(len(probe), int)
    classes = []
    for place, ((name, colour, mark, rows), (_, on_dark, _, _)) in enumerate(zip(light, dark)):
        group[rows] = place
        classes.append({"name": name, "light": colour, "dark": on_dark, "mark": mark})
    return {"classes": classes, "group": group.tolist()}


def _packed(points: np.ndarray, limits: Any) -> str:
    """Return points as base64 of two bytes per number, from -1 to 1 between the limits."""
    left, right, bottom, top = limits
    middle, half = np.array([left + right, bottom + top]) / 2, np.array([right - left, top - bottom]) / 2
    share = np.clip((points - middle) / half, -1.09, 1.09)
    return base64.b64encode(np.round(share * _FULL).astype("<i2").tobytes()).decode("ascii")


def _table(view: Uncrumpled) -> str:
    """Return the numbers of the last moment; the script keeps them up with the moment shown."""
    task = view.probe.task
    head = ["layer", "kind", "gives", "two dimensions show"]
    head += ["a straight line finds", "95 % interval", "untrained"] if task else []
    rows = []
    for one in view.layers:
        cells = [one.kind, words.gives(one), words.shown(one)]
        if task:
            score = one.score
            cells += ["–", "–"] if score is None else [
                words.said(score.value, task), words.interval(score.low, score.high, task)]  # fmt: skip
            cells.append("–" if one.untrained is None else words.said(one.untrained.value, task))
        rows.append(
            f'<tr><th scope="row">{escape(one.name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
        )
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return f'<table id="numbers"><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
