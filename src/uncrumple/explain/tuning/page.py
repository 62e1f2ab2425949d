"""The pages of results: words and a still picture, or lines that grow over pictures."""

from __future__ import annotations

from html import escape
from typing import Any

from uncrumple.explain.pages import image, page
from uncrumple.explain.player import MARK, PLAYER
from uncrumple.explain.tuning.drawing import Drawn, to_png

_STYLE = """
:root{color-scheme:light dark;--ink:#222;--back:#fff;--faint:#666;--line:#ddd}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--back:#181a1b;--faint:#aaa;--line:#444}}
body{margin:0 auto;padding:1rem;max-width:70rem;color:var(--ink);background:var(--back);
 font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.3rem;line-height:1.3;margin:.2rem 0 .6rem}
p.how{color:var(--faint);font-size:.9rem;margin:.3rem 0}
pre{overflow-x:auto;font-size:.85rem;line-height:1.45;border-top:1px solid var(--line);padding-top:.8rem}
.panels{display:flex;flex-wrap:wrap;gap:.8rem}
.panel{position:relative;flex:1 1 20rem;max-width:34rem;background:#fff;border-radius:.4rem;overflow:hidden}
.panel img,img.still{display:block;width:100%;height:auto}
img.still{background:#fff;border-radius:.4rem;max-width:60rem}
.panel canvas{position:absolute;inset:0;width:100%;height:100%}
.bar{display:flex;flex-wrap:wrap;gap:.6rem;align-items:center;margin:.8rem 0}
.bar button{min-height:2.75rem;min-width:2.75rem;padding:0 1rem;font:inherit;color:inherit;background:none;
 border:1px solid var(--faint);border-radius:.4rem;cursor:pointer}
.bar input{flex:1 1 12rem;min-height:2.75rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.15rem .8rem .15rem 0;text-align:left;font-weight:normal}
th{color:var(--faint);font-size:.9rem}
svg{vertical-align:middle}
:focus-visible{outline:3px solid #0072B2;outline-offset:2px}
"""
# Draws the lines of each panel up to the chosen frame: their points were computed in pixels of the picture below.
_SCRIPT = (
    PLAYER
    + MARK
    + """
const data = JSON.parse(document.getElementById("data").textContent);
const body = document.getElementById("standings");
const panels = data.panels.map((panel, place) => ({ panel, canvas: document.getElementById("canvas" + place) }));
const last = data.steps.length - 1;

function along(pen, line, end) {
  pen.beginPath();
  let down = false;
  for (let i = 0; i <= end && i < line.length; i++) {
    if (line[i] === null) { down = false; continue; }
    if (down) pen.lineTo(...line[i]); else pen.moveTo(...line[i]);
    down = true;
  }
}
function draw(frame) {
  for (const { panel, canvas } of panels) {
    const pen = canvas.getContext("2d");
    const scale = Math.max(1, Math.min(2, canvas.clientWidth * (devicePixelRatio || 1) / panel.width));
    canvas.width = Math.round(panel.width * scale); canvas.height = Math.round(panel.height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0); pen.lineJoin = "round";
    pen.beginPath(); pen.rect(...panel.box); pen.clip();
    panel.lines.forEach((line, k) => {
      const one = data.series[k], end = Math.min(panel.until[frame], line.length - 1);
      along(pen, line, end);
      pen.lineWidth = 5; pen.strokeStyle = "rgba(255,255,255,.7)"; pen.stroke();
      pen.setLineDash(one.dash); pen.lineWidth = 2.6; pen.strokeStyle = one.colour; pen.stroke();
      pen.setLineDash([]);
      const head = line.slice(0, end + 1).findLast(point => point !== null);
      if (!head) return;
      pen.fillStyle = one.colour; pen.strokeStyle = "#fff"; pen.lineWidth = 2.2;
      mark(pen, one.mark, ...head, 6.5);
      pen.stroke(); pen.fill();
    });
  }
  const loss = k => data.series[k].loss[frame] ?? Infinity;
  for (const k of data.series.map((_, k) => k).sort((a, b) => loss(a) - loss(b) || 0)) {
    const row = document.getElementById("row" + k);
    row.lastElementChild.textContent = loss(k) === Infinity ? "not finite" : Number(loss(k).toPrecision(3)).toString();
    body.appendChild(row);
  }
}
const race = player({
  first: 0, last, pace: data.pause, rest: data.pause, smooth: false,
  slider: document.getElementById("slider"), said: document.getElementById("now"),
  words: frame => data.unit + " " + data.steps[frame], show: draw,
});
if (race.still.matches) race.move(last);
else { race.present(); race.start(); }
"""
)


def still_page(result: Drawn) -> str:
    """Return a page with the words and the picture of a result."""
    words = str(result)
    title = words.partition("\n")[0]
    picture = image(to_png(result.plot()), title, "still")
    return page(title, _STYLE, f"<h1>{escape(title)}</h1>\n{picture}\n<pre>{escape(words)}</pre>")


def animated_page(title: str, how: str, words: str, panels: list[dict[str, Any]], series: list[dict[str, Any]],
                  steps: list[int], unit: str, pause: int) -> str:  # fmt: skip
    """Return a page on which lines grow over pictures, by themselves or under the reader's hand.

    Args:
        title: What was found.
        how: How it was measured.
        words: All of it as text, for those who cannot see the pictures.
        panels: Each with `png`, `said`, `width`, `height`, `box` (what is drawn in, in pixels), `lines` (for each of
            the series its points in pixels, None where there is none) and `until` (the last point at each frame).
        series: What is drawn, each with `name`, `colour`, `dash`, `mark` and the `loss` at each frame.
        steps: The step of each frame.
        unit: What a step is.
        pause: Milliseconds between frames.
    """
    shown, data_panels = [], []
    for number, panel in enumerate(panels):
        shown.append(
            f'<div class="panel">{image(panel["png"], panel["said"])}'
            f'<canvas id="canvas{number}" aria-hidden="true"></canvas></div>'
        )
        data_panels.append({name: panel[name] for name in ("width", "height", "box", "lines", "until")})
    rows = []
    for number, one in enumerate(series):
        dash = " ".join(str(part) for part in one["dash"])
        sample = (
            f'<svg width="44" height="12" aria-hidden="true"><rect width="44" height="12" fill="#fff" rx="2"/>'
            f'<line x1="2" x2="42" y1="6" y2="6" stroke="{one["colour"]}" stroke-width="3" stroke-dasharray="{dash}"/></svg>'
        )
        rows.append(f'<tr id="row{number}"><td>{sample} {escape(one["name"])}</td><td></td></tr>')
    data = {"panels": data_panels, "series": series, "steps": steps, "unit": unit, "pause": pause}
    body = (
        f'<h1>{escape(title)}</h1>\n<p class="how">{escape(how)}</p>\n<div class="panels">{"".join(shown)}</div>\n'
        '<div class="bar"><button id="play" type="button">Play</button>'
        f'<input id="slider" type="range" min="0" max="{len(steps) - 1}" value="0" aria-label="{escape(unit)}">'
        '<span id="now"></span></div>\n'
        '<p class="how">Keys: space plays and pauses, arrows go one step on or back, Home and End to the ends.</p>\n'
        '<table><thead><tr><th scope="col">in front at this moment</th><th scope="col">loss</th></tr></thead>'
        f'<tbody id="standings">{"".join(rows)}</tbody></table>\n<pre>{escape(words)}</pre>'
    )
    return page(title, _STYLE, body, _SCRIPT, data)
