"""What the page of an uncrumple view is made of: its style, and the script that moves it."""

from uncrumple.explain.player import MARK, PLAYER

STYLE = """
:root { color-scheme: light; --paper: #ffffff; --ink: #222222; --soft: #555555; --line: #dcdcdc; --shade: #f3f5f7;
  --blue: #0072b2; --orange: #a86f00; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { color-scheme: dark; --paper: #15181d;
  --ink: #ececec; --soft: #b5bac2; --line: #39414c; --shade: #20252c; --blue: #6cb8e6; --orange: #f0b429; } }
:root[data-theme="dark"] { color-scheme: dark; --paper: #15181d; --ink: #ececec; --soft: #b5bac2; --line: #39414c;
  --shade: #20252c; --blue: #6cb8e6; --orange: #f0b429; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.45 system-ui, sans-serif; }
main { max-width: 80rem; margin: 0 auto; padding: 1rem; }
header { display: flex; gap: 1rem; justify-content: space-between; align-items: flex-start; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .6rem; text-wrap: balance; }
button { font: inherit; color: inherit; background: var(--shade); border: 1px solid var(--line); border-radius: 6px;
  min-width: 2.4rem; min-height: 2.4rem; padding: 0 .7rem; cursor: pointer; }
@media (pointer: coarse) { button { min-width: 2.75rem; min-height: 2.75rem; } }
button:focus-visible, input:focus-visible, summary:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
button[aria-pressed="true"] { border-color: var(--ink); font-weight: 600; }
#legend { display: flex; flex-wrap: wrap; gap: .3rem; margin-bottom: .6rem; }
#legend button { min-height: 1.9rem; padding: 0 .55rem; display: inline-flex; align-items: center; gap: .4rem;
  font-size: .9rem; }
#legend .ramp { width: 12rem; height: 1rem; border-radius: 3px; }
#legend span { font-size: .9rem; color: var(--soft); }
#controls { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; position: sticky; top: 0; z-index: 1;
  background: var(--paper); padding: .4rem 0; }
#controls[hidden] { display: none; }
#controls input { flex: 1 1 12rem; min-width: 8rem; accent-color: var(--blue); min-height: 1.9rem; }
#play { min-width: 5rem; }
output { font-variant-numeric: tabular-nums; min-width: 14rem; }
.keys { color: var(--soft); font-size: .85rem; }
#panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); gap: .8rem; margin: .5rem 0; }
@media (max-width: 34rem) { #panels { grid-template-columns: 1fr 1fr; gap: .6rem; } }
.panel { margin: 0; min-width: 0; }
.panel h2 { font-size: .95rem; margin: 0 0 .2rem; display: flex; justify-content: space-between; gap: .5rem; font-weight: 600; }
.panel h2 span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.panel h2 b { color: var(--blue); white-space: nowrap; font-variant-numeric: tabular-nums; }
.panel p { margin: .15rem 0 0; font-size: .8rem; color: var(--soft); }
.panel canvas { width: 100%; aspect-ratio: 1; border: 1px solid var(--line); border-radius: 4px; display: block; }
#chart { margin: 1rem 0 0; }
#chart[hidden] { display: none; }
#chart canvas { width: 100%; height: 13rem; display: block; }
figcaption { font-weight: 600; font-size: .95rem; }
#read p { color: var(--soft); font-size: .9rem; max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
"""

SCRIPT = (
    PLAYER
    + MARK
    + """
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const last = data.frames.length - 1;
// The class that is seen alone, or -1.
let alone = -1;

function unpack(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Int16Array(bytes.buffer);
}
for (const frame of data.frames) for (const layer of frame.layers) {
  layer.p = unpack(layer.p);
  if (layer.g) layer.g = unpack(layer.g);
}

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const panels = data.layers.map((layer, place) => {
  const figure = document.createElement("figure");
  figure.className = "panel";
  const head = document.createElement("h2"), name = document.createElement("span"), score = document.createElement("b");
  name.textContent = layer.name === "the data" ? layer.name : place + " " + layer.name;
  name.title = layer.name;
  head.append(name, score);
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  const below = document.createElement("p");
  figure.append(head, canvas, below);
  at("panels").append(figure);
  return { layer, score, canvas, below };
});

function sized(canvas) {
  const ratio = devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  return [pen, box.width, box.height];
}

function draw(now) {
  const from = Math.floor(now), to = Math.min(from + 1, last), share = now - from, dark = isDark();
  panels.forEach((panel, place) => {
    const a = data.frames[from].layers[place], b = data.frames[to].layers[place];
    const [pen, width, height] = sized(panel.canvas);
    const mix = (one, two, i) => (one[i] + share * (two[i] - one[i])) / 30000;
    const room = 0.96 / 2;
    const X = v => width * (0.5 + room * v), Y = v => height * (0.5 - room * v);
    if (a.g && b.g) {
      pen.strokeStyle = colour("--soft"); pen.globalAlpha = .45; pen.lineWidth = .7;
      const along = panel.layer.along, count = a.g.length / 2;
      for (let start = 0; start < count; start += along) {
        pen.beginPath();
        for (let i = start; i < start + along; i++) pen.lineTo(X(mix(a.g, b.g, 2 * i)), Y(mix(a.g, b.g, 2 * i + 1)));
        pen.stroke();
      }
    }
    const r = Math.max(1.8, Math.min(3.2, width / 80));
    pen.lineWidth = .6; pen.strokeStyle = colour("--paper");
    for (let i = 0; i < data.rows; i++) {
      const group = data.group ? data.group[i] : -1;
      const kind = group >= 0 ? data.classes[group] : null;
      pen.globalAlpha = alone >= 0 && group !== alone ? .08 : .88;
      pen.fillStyle = kind ? (dark ? kind.dark : kind.light) : data.each[i];
      mark(pen, kind ? kind.mark : "o", X(mix(a.p, b.p, 2 * i)), Y(mix(a.p, b.p, 2 * i + 1)), r);
      pen.fill(); pen.stroke();
    }
    pen.globalAlpha = 1;
    if (panel.layer.ends) {
      pen.fillStyle = colour("--soft"); pen.font = "10px system-ui, sans-serif";
      const ends = panel.layer.ends.map(v => Number(v.toPrecision(2)).toString());
      pen.textAlign = "left"; pen.fillText(ends[0], 4, height - 4);
      pen.textAlign = "right"; pen.fillText(ends[1], width - 4, height - 4);
      if (!panel.layer.gives.startsWith("1 number")) {
        pen.textAlign = "left"; pen.fillText(ends[3], 4, 12); pen.fillText(ends[2], 4, height - 16);
      }
    }
    panel.score.textContent = a.w || "";
    panel.below.textContent = panel.layer.gives + "; " + a.v;
    panel.canvas.setAttribute("aria-label", panel.layer.name + ": " + (a.w ? "a straight line finds " + a.w : panel.below.textContent));
  });
  if (data.task) chart(from, to, share);
}

function chart(from, to, share) {
  const [pen, width, height] = sized(document.querySelector("#chart canvas"));
  const value = (f, k) => data.frames[f].layers[k].s;
  const count = data.layers.length, left = 48, right = 145, top = 12, bottom = 34;
  let low = data.task === "regression" ? 0 : 1;
  for (const f of data.frames) for (const l of f.layers) low = Math.min(low, l.s);
  if (data.chance !== null) low = Math.min(low, data.chance);
  for (const c of data.control || []) if (c !== null) low = Math.min(low, c);
  low = Math.max(-1, low - .05);
  const X = k => left + (width - left - right) * (count > 1 ? k / (count - 1) : .5);
  const Y = v => top + (height - top - bottom) * (1 - (Math.max(v, low) - low) / (1.02 - low));
  const label = v => data.task === "regression" ? v.toFixed(2) : Math.round(100 * v) + " %";
  pen.font = "12px system-ui, sans-serif"; pen.textBaseline = "middle"; pen.lineWidth = 1;
  pen.fillStyle = colour("--soft"); pen.strokeStyle = colour("--line"); pen.textAlign = "right";
  const each_tick = [.05, .1, .2, .25, .5].find(size => (1 - low) / size <= 5.5) || .5;
  for (let v = 1; v >= low - 1e-9; v -= each_tick) {
    pen.beginPath(); pen.moveTo(left, Y(v)); pen.lineTo(width - right, Y(v)); pen.stroke();
    pen.fillText(label(v), left - 6, Y(v));
  }
  pen.textAlign = "center";
  const each = (width - left - right) / Math.max(1, count - 1), fits = Math.max(3, Math.floor(each / 7));
  data.layers.forEach((layer, k) => {
    const name = layer.name.length > fits ? layer.name.slice(0, fits - 1) + "\\u2026" : layer.name;
    pen.fillText(name, X(k), height - 14);
  });
  const line = (values, paint, dash, text, thick) => {
    pen.strokeStyle = pen.fillStyle = paint; pen.setLineDash(dash); pen.lineWidth = thick;
    pen.beginPath(); values.forEach((v, k) => { if (v !== null && v !== undefined) pen.lineTo(X(k), Y(v)); }); pen.stroke();
    pen.setLineDash([]);
    values.forEach((v, k) => { if (v !== null && v !== undefined) { pen.beginPath(); pen.arc(X(k), Y(v), thick + 1.5, 0, 7); pen.fill(); } });
    pen.textAlign = "left";
    return [text, Y(values[values.length - 1]), paint];
  };
  const texts = [];
  if (data.chance !== null) {
    pen.strokeStyle = colour("--soft"); pen.setLineDash([2, 4]); pen.beginPath();
    pen.moveTo(left, Y(data.chance)); pen.lineTo(width - right, Y(data.chance)); pen.stroke(); pen.setLineDash([]);
    texts.push(["most frequent class", Y(data.chance), colour("--soft")]);
  }
  if (data.control) texts.push(line(data.control, colour("--orange"), [5, 4], "untrained", 1.4));
  else if (last > 0) texts.push(line(data.layers.map((_, k) => value(0, k)), colour("--orange"), [5, 4], data.frames[0].when, 1.4));
  texts.push(line(data.layers.map((_, k) => value(from, k) + share * (value(to, k) - value(from, k))), colour("--blue"), [], last > 0 ? "now" : "trained", 2.2));
  // What the lines are called must not lie on top of each other.
  texts.sort((a, b) => a[1] - b[1]);
  let free = 0;
  for (const [text, y, paint] of texts) {
    const place = Math.max(y, free); free = place + 14;
    pen.fillStyle = paint; pen.textAlign = "left"; pen.fillText(text, width - right + 8, place);
  }
}

function tell(moment) {
  const rows = document.querySelectorAll("#numbers tbody tr");
  data.frames[moment].layers.forEach((layer, k) => {
    const cells = rows[k].cells;
    cells[3].textContent = layer.v;
    if (layer.w) { cells[4].textContent = layer.w; cells[5].textContent = layer.i; }
  });
}

const pace = Math.max(250, Math.min(900, 9000 / Math.max(1, last)));
const moments = player({
  first: last, last, pace, rest: Math.max(700, pace), smooth: true, slider: at("moment"), said: at("when"),
  words: moment => data.frames[moment].when,
  show: (now, playing) => { draw(now); if (!playing) tell(now); },
});
at("back").onclick = () => moments.move(-1);
at("on").onclick = () => moments.move(1);
at("theme").onclick = () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; moments.present(); legend(); };
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { moments.present(); legend(); });

function legend() {
  at("legend").replaceChildren();
  if (data.ramp) {
    const low = document.createElement("span"), bar = document.createElement("div"), high = document.createElement("span");
    low.textContent = "target " + data.ends[0]; high.textContent = data.ends[1];
    bar.className = "ramp"; bar.style.background = "linear-gradient(to right, " + data.ramp.join(", ") + ")";
    at("legend").append(low, bar, high);
    return;
  }
  if (data.classes.length < 2) return;
  data.classes.forEach((kind, place) => {
    const button = document.createElement("button"), sign = document.createElement("canvas");
    button.type = "button"; button.setAttribute("aria-pressed", String(alone === place));
    sign.width = sign.height = 28; sign.style.width = sign.style.height = "14px";
    const pen = sign.getContext("2d");
    pen.fillStyle = isDark() ? kind.dark : kind.light; pen.strokeStyle = "transparent";
    mark(pen, kind.mark, 14, 14, 9);
    pen.fill();
    button.append(sign, kind.name);
    button.onclick = () => { alone = alone === place ? -1 : place; legend(); moments.present(); at("legend").children[place].focus(); };
    at("legend").append(button);
  });
}
legend();
moments.present();
"""
)
