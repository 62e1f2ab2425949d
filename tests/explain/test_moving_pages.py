"""Pages that move: what they share, in the text of the page and in a browser."""

import re
import shutil
import subprocess

import pytest

import uncrumple as uc
from uncrumple.explain.pages import image, page
from uncrumple.explain.pictures.style import MARKERS
from uncrumple.explain.player import MARK, PLAYER
from uncrumple.explain.tuning.drawing import LINES


def test_a_page_runs_and_asks_for_nothing():
    made = page("<a> & b", "p { }", "<p>words</p>")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made).group(1)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert "<title>&lt;a&gt; &amp; b</title>" in made and "<script" not in made


def test_data_cannot_end_the_script():
    made = page("t", "", "", "show();", {"name": "</script><b>"})
    assert made.count("</script>") == 2 and '{"name":"\\u003c/script>\\u003cb>"}' in made
    assert "script-src 'unsafe-inline'" in made
    with pytest.raises(ValueError, match="not JSON compliant"):
        page("t", "", "", "show();", [float("nan")])


def test_an_image_says_what_it_shows():
    assert image(b"\x89PNG", 'a "b"', "still") == (
        '<img class="still" alt="a &quot;b&quot;" src="data:image/png;base64,iVBORw==">'
    )
    assert image(b"", "a").startswith('<img alt="a"')


def test_marks_of_pictures_are_those_of_pages():
    """A class beyond the sixth has a mark of its own on the page too, and the one of the picture."""
    drawn = set(re.findall(r'^  "(.)":', MARK, re.MULTILINE))
    assert drawn | {"o"} == {*MARKERS, *(line.mark for line in LINES)}


# Time is what the test says: the page's next frame comes when `frame` is called.
_PROBE = """<script>{
  const said = [], press = (key, at) => (at || document.body).dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  addEventListener("error", event => said.push("error " + event.message));
  const play = document.getElementById("play"), slider = document.querySelector("input[type=range]");
  const now = () => document.getElementById("now").textContent;
  let frame = null;
  window.requestAnimationFrame = next => { frame = next; };
  said.push(play.textContent); press("Home"); said.push(play.textContent, now());
  press("ArrowRight"); press("ArrowRight"); press("ArrowLeft"); said.push(now());
  press("ArrowRight", slider); said.push(now()); press("End"); said.push(now());
  slider.value = 2; slider.dispatchEvent(new Event("input")); said.push(now(), slider.getAttribute("aria-valuetext"));
  press("Home"); press(" "); said.push(play.textContent);
  frame(1000); said.push(now()); frame(1000 + 2.5 * data.pause); said.push(now());
  frame(1000 + 3.1 * data.pause); said.push(now()); press(" "); said.push(play.textContent);
  press(" ", play); said.push(play.textContent);
  play.click(); frame(1000); frame(100000); said.push(now(), play.textContent);
  document.body.dataset.said = said.join("; ");
}</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")
def test_a_race_runs_in_a_browser(tmp_path):
    """It plays by itself; keys and slider stop it; a button and a slider with the focus keep their own keys."""
    race = uc.explain.race_optimizers("bowl", optimizers=["sgd", "adam"], steps=30)
    path = race.save(tmp_path / "race.html")
    path.write_text(path.read_text().replace("</body>", _PROBE))
    ran = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    wanted = "Pause; Play; step 0; step 1; step 1; step 30; step 2; step 2; "  # plays; keys and the slider stop it
    wanted += "Pause; step 0; step 2; step 3; Play; "  # space plays, at the page's pace
    wanted += "Play; step 30; Play"  # space on a button is the button's; at the end it rests
    assert f'data-said="{wanted}"' in ran.stdout


def test_both_pages_hold_the_player_once(tmp_path):
    model = uc.Sequential([uc.Input((2,)), uc.layers.Dense(3, "softmax")])
    x = [[float(row), 1.0] for row in range(12)]
    view = uc.uncrumple(model, (x, [0, 1, 2] * 4)).to_html()
    race = uc.explain.race_optimizers("bowl", optimizers=["sgd"], steps=3).save(tmp_path / "race.html").read_text()
    for made in (view, race):
        assert made.count(PLAYER) == 1 and made.count(MARK) == 1
