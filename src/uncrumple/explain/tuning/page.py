"""Pages that show a result: one file, with its pictures inside, that asks nothing of the network."""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

from uncrumple.explain.tuning.drawing import Drawn, to_png

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
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
_SCRIPT = """
(function(){
"use strict";
const d=JSON.parse(document.getElementById("data").textContent);
const slider=document.getElementById("slider"),play=document.getElementById("play"),now=document.getElementById("now");
const body=document.getElementById("standings");
const panels=d.panels.map((p,i)=>({p:p,canvas:document.getElementById("canvas"+i)}));
const last=d.steps.length-1;
let frame=0,timer=null;
function point(c,x,y,mark,colour,r){
 c.fillStyle=colour;c.strokeStyle="#fff";c.lineWidth=r/3;c.beginPath();
 if(mark==="s")c.rect(x-r*.85,y-r*.85,1.7*r,1.7*r);
 else if(mark==="^"){c.moveTo(x,y-1.15*r);c.lineTo(x+r,y+.8*r);c.lineTo(x-r,y+.8*r);c.closePath();}
 else if(mark==="v"){c.moveTo(x,y+1.15*r);c.lineTo(x+r,y-.8*r);c.lineTo(x-r,y-.8*r);c.closePath();}
 else if(mark==="D"){c.moveTo(x,y-1.2*r);c.lineTo(x+1.2*r,y);c.lineTo(x,y+1.2*r);c.lineTo(x-1.2*r,y);c.closePath();}
 else c.arc(x,y,r,0,7);
 c.stroke();c.fill();
}
function draw(){
 for(const one of panels){
  const p=one.p,canvas=one.canvas,c=canvas.getContext("2d");
  const scale=Math.max(1,Math.min(2,canvas.clientWidth*(window.devicePixelRatio||1)/p.width));
  canvas.width=Math.round(p.width*scale);canvas.height=Math.round(p.height*scale);
  c.setTransform(scale,0,0,scale,0,0);c.lineJoin="round";
  c.save();c.beginPath();c.rect(p.box[0],p.box[1],p.box[2],p.box[3]);c.clip();
  p.lines.forEach(function(line,k){
   const s=d.series[k],end=p.until[frame];let pen=false;
   for(const pass of [0,1]){
    c.beginPath();pen=false;
    for(let i=0;i<=end&&i<line.length;i++){
     if(line[i]===null){pen=false;continue;}
     if(pen)c.lineTo(line[i][0],line[i][1]);else c.moveTo(line[i][0],line[i][1]);
     pen=true;
    }
    c.setLineDash(pass?s.dash:[]);c.lineWidth=pass?2.6:5;c.strokeStyle=pass?s.colour:"rgba(255,255,255,.7)";c.stroke();
   }
   c.setLineDash([]);
   let at=null;for(let i=Math.min(end,line.length-1);i>=0&&at===null;i--)at=line[i];
   if(at!==null)point(c,at[0],at[1],s.mark,s.colour,6.5);
  });
  c.restore();
 }
 slider.value=frame;now.textContent=d.unit+" "+d.steps[frame];
 slider.setAttribute("aria-valuetext",now.textContent);
 const order=d.series.map((s,k)=>k).sort(function(a,b){
  const u=d.series[a].loss[frame],v=d.series[b].loss[frame];return (u===null?1/0:u)-(v===null?1/0:v);});
 for(const k of order){
  const row=document.getElementById("row"+k),loss=d.series[k].loss[frame];
  row.lastElementChild.textContent=loss===null?"not finite":Number(loss.toPrecision(3)).toString();
  body.appendChild(row);
 }
}
function stop(){if(timer!==null){clearInterval(timer);timer=null;}play.textContent="Play";}
function start(){
 if(frame>=last)frame=0;play.textContent="Pause";
 timer=setInterval(function(){if(frame>=last){stop();return;}frame++;draw();},d.pause);
}
function toggle(){if(timer===null)start();else stop();}
function go(to){stop();frame=Math.max(0,Math.min(last,to));draw();}
play.addEventListener("click",toggle);
slider.max=last;
slider.addEventListener("input",function(){go(Number(slider.value));});
document.addEventListener("keydown",function(e){
 if(e.ctrlKey||e.metaKey||e.altKey)return;
 if(e.key===" "&&e.target!==play){e.preventDefault();toggle();}
 else if(e.target===slider)return;
 else if(e.key==="ArrowRight")go(frame+1);
 else if(e.key==="ArrowLeft")go(frame-1);
 else if(e.key==="Home"){e.preventDefault();go(0);}
 else if(e.key==="End"){e.preventDefault();go(last);}
});
window.addEventListener("resize",draw);
if(window.matchMedia("(prefers-reduced-motion: reduce)").matches){frame=last;draw();}
else{draw();start();}
})();
"""


def _page(title: str, body: str, script: str = "") -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n{script}</body>\n</html>\n"
    )


def image(png: bytes, said: str, kind: str = "") -> str:
    """Return a picture inside a page."""
    data = base64.b64encode(png).decode()
    return f'<img {kind}alt="{escape(said, quote=True)}" src="data:image/png;base64,{data}">'


def still_page(result: Drawn) -> str:
    """Return a page with the words and the picture of a result."""
    words = str(result)
    title = words.partition("\n")[0]
    picture = image(to_png(result.plot()), title, 'class="still" ')
    return _page(title, f"<h1>{escape(title)}</h1>\n{picture}\n<pre>{escape(words)}</pre>")


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
    data = json.dumps(
        {"panels": data_panels, "series": series, "steps": steps, "unit": unit, "pause": pause}, allow_nan=False
    ).replace("<", "\\u003c")
    body = (
        f'<h1>{escape(title)}</h1>\n<p class="how">{escape(how)}</p>\n<div class="panels">{"".join(shown)}</div>\n'
        '<div class="bar"><button id="play" type="button">Play</button>'
        f'<input id="slider" type="range" min="0" max="{len(steps) - 1}" value="0" aria-label="{escape(unit)}">'
        '<span id="now"></span></div>\n'
        '<p class="how">Keys: space plays and pauses, arrows go one step on or back, Home and End to the ends.</p>\n'
        '<table><thead><tr><th scope="col">in front at this moment</th><th scope="col">loss</th></tr></thead>'
        f'<tbody id="standings">{"".join(rows)}</tbody></table>\n<pre>{escape(words)}</pre>'
    )
    script = f'<script type="application/json" id="data">{data}</script>\n<script>{_SCRIPT}</script>\n'
    return _page(title, body, script)
