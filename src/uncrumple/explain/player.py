"""What moving pages share: the script that goes from moment to moment, and the one that draws marks."""

# `player` wants an element "play", a slider, and one that says which moment is shown. The caller gives
#   first, last   where it begins, and the last moment; what lies between two whole numbers is on the way
#   pace, rest    milliseconds from moment to moment, and for readers who ask for less motion
#   smooth        whether what lies between two moments can be shown
#   words         what is said of a moment
#   show          draws; it is told where the page stands, and whether it is playing.
PLAYER = """
function player({ first, last, pace, rest, smooth, slider, said, words, show }) {
  const button = document.getElementById("play");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let now = first, playing = false, before = 0;

  function present() {
    const moment = Math.round(now), text = words(moment);
    slider.value = moment;
    slider.setAttribute("aria-valuetext", text);
    if (said.textContent !== text) {
      if (said.hasAttribute("aria-live")) said.setAttribute("aria-live", playing ? "off" : "polite");
      said.textContent = text;
    }
    show(now, playing);
  }
  function go(moment) {
    playing = false; button.textContent = "Play";
    now = Math.min(last, Math.max(0, moment));
    present();
  }
  function move(by) { go(Math.round(now) + by); }
  function start() {
    if (now >= last) now = 0;
    playing = true; before = 0; button.textContent = "Pause";
    requestAnimationFrame(step);
  }
  function step(time) {
    if (!playing) return;
    if (!before) before = time;
    if (smooth && !still.matches) { now += (time - before) / pace; before = time; }
    else {
      // A moment stands, and then the next.
      const each = still.matches ? rest : pace, passed = Math.floor((time - before) / each);
      if (passed) { now = Math.floor(now) + passed; before += passed * each; }
    }
    if (now >= last) { go(last); return; }
    present(); requestAnimationFrame(step);
  }
  function toggle() { if (playing) move(0); else start(); }

  button.addEventListener("click", toggle);
  slider.addEventListener("input", () => go(Number(slider.value)));
  addEventListener("resize", present);
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !last) return;
    const inside = event.target.closest && event.target.closest("button, summary");
    if (event.key === " ") { if (!inside) { event.preventDefault(); toggle(); } }
    else if (event.target === slider) return;
    else if (event.key === "ArrowLeft") move(-1);
    else if (event.key === "ArrowRight") move(1);
    else if (event.key === "Home") { event.preventDefault(); go(0); }
    else if (event.key === "End") { event.preventDefault(); go(last); }
  });
  return { present, move, start, still };
}
"""

# Marks go by matplotlib's letters, so that a page shows those of the still picture; what is not listed is a disc.
MARK = """
const arm = [[-.45, -1.1], [.45, -1.1], [.45, -.45], [1.1, -.45], [1.1, .45], [.45, .45]];
const plus = [...arm, ...arm.map(([a, b]) => [-a, -b])];
const around = (count, radius) => Array.from({ length: count }, (_, k) => {
  const angle = 2 * Math.PI * k / count, reach = radius(k);
  return [reach * Math.sin(angle), -reach * Math.cos(angle)];
});
const MARKS = {
  "s": [[-.9, -.9], [.9, -.9], [.9, .9], [-.9, .9]],
  "^": [[0, -1.2], [1.1, .8], [-1.1, .8]],
  "v": [[0, 1.2], [1.1, -.8], [-1.1, -.8]],
  "<": [[-1.2, 0], [.8, 1.1], [.8, -1.1]],
  ">": [[1.2, 0], [-.8, 1.1], [-.8, -1.1]],
  "D": [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  "P": plus,
  "X": plus.map(([a, b]) => [(a - b) / Math.SQRT2, (a + b) / Math.SQRT2]),
  "p": around(5, () => 1.15),
  "*": around(10, k => k % 2 ? .6 : 1.45),
};
function mark(pen, shape, x, y, r) {
  pen.beginPath();
  if (!(shape in MARKS)) { pen.arc(x, y, r, 0, 7); return; }
  for (const [a, b] of MARKS[shape]) pen.lineTo(x + r * a, y + r * b);
  pen.closePath();
}
"""
