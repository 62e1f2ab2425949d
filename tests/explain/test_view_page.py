"""Pictures, page and animation of the uncrumple view: there, not blank, and loading nothing from elsewhere."""

import base64
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageSequence

import uncrumple as uc


def _data():
    draw = np.random.default_rng(0)
    y = np.arange(60) % 3
    return (draw.normal(size=(60, 2)) + 2 * np.eye(3)[y][:, :2]).astype("float32"), y


@pytest.fixture(scope="module")
def view():
    x, y = _data()
    uc.utils.set_random_seed(0)
    model = uc.Sequential(
        [uc.Input((2,)), uc.layers.Dense(6, "tanh", name="hidden"), uc.layers.Dense(3, "softmax", name="<answer>")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    watch = uc.explain.UncrumpleView((x, y), class_names=["a </script>", "b", "c"])
    model.fit(x, y, epochs=3, verbose=0, callbacks=[watch])
    return watch.view


def is_blank(content):
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=float)
    return picture.std() < 5 or min(picture.shape) < 100


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_not_blank(view, theme, tmp_path):
    path = view.save(tmp_path / "view.png", theme=theme, dpi=60)
    content = path.read_bytes()
    assert not is_blank(content)
    corner = np.asarray(Image.open(path).convert("L"))[0, 0]
    assert corner > 240 if theme == "light" else corner < 40


def test_vector_pictures(view, tmp_path):
    assert view.at(-1).save(tmp_path / "view.svg").read_text().count("<path") > 50
    assert view.at(-1).save(tmp_path / "view.pdf").read_bytes()[:4] == b"%PDF"


def test_numbers_as_json(view, tmp_path):
    found = json.loads(view.save(tmp_path / "view.json").read_text())
    assert [frame["epoch"] for frame in found["frames"]] == [0, 1, 2, 3]
    layer = found["frames"][-1]["layers"][1]
    assert layer["name"] == "hidden" and np.shape(layer["points"]) == (60, 2)
    assert layer["score"] == pytest.approx(view.layer("hidden").score.value, abs=1e-5)
    assert found["title"] == view.title


def test_gif_shows_every_moment(view, tmp_path):
    path = view.save(tmp_path / "view.gif")
    with Image.open(path) as moving:
        pictures = [np.asarray(frame.convert("L"), dtype=float) for frame in ImageSequence.Iterator(moving)]
        assert moving.info["loop"] == 0
    assert len(pictures) == 13  # three ways of four pictures each, and the last moment
    assert np.abs(pictures[0] - pictures[-1]).mean() > 0.5
    assert pictures[-1].std() > 5
    # What does not change is see-through in the next picture, and takes little room.
    controls = re.findall(rb"\x21\xf9\x04(.)", path.read_bytes(), re.DOTALL)
    assert len(controls) >= 13 and all(flags[0] & 1 for flags in controls)


def test_page_loads_nothing(view, tmp_path):
    html = view.save(tmp_path / "view.html").read_text(encoding="utf-8")
    assert "http://" not in html and "https://" not in html and "//cdn" not in html
    assert not re.findall(r"<(?:script|img|link|iframe)[^>]*\s(?:src|href)=", html)
    assert "default-src 'none'" in html and "@import" not in html and "url(" not in html
    # Names of the user's cannot end the script, nor become elements.
    assert html.count("</script>") == 2
    assert "&lt;answer&gt;" in html and "<answer>" not in html


def test_page_can_be_used_without_a_mouse(view):
    html = view.to_html()
    for needed in ('"ArrowLeft"', '"ArrowRight"', '"Home"', '"End"', 'event.key === " "'):
        assert needed in html
    assert "prefers-reduced-motion: reduce" in html and "prefers-color-scheme: dark" in html
    assert 'type="range"' in html and 'aria-live="polite"' in html
    assert "<table" in html and 'lang="en"' in html


def test_page_holds_the_points(view):
    html = view.to_html()
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL).group(1))
    assert len(data["frames"]) == 4 and data["rows"] == 60
    assert [kind["name"] for kind in data["classes"]] == ["a </script>", "b", "c"]
    packed = np.frombuffer(base64.b64decode(data["frames"][-1]["layers"][1]["p"]), "<i2").reshape(60, 2) / 30000
    shown = view.layer("hidden").points
    # Scaled by one number, but for a few that lie far out.
    scale = np.median(packed[:, 0] / shown[:, 0])
    assert np.mean(np.abs(packed - scale * shown) < 1e-3) > 0.9
    assert data["frames"][-1]["layers"][1]["s"] == round(view.layer("hidden").score.value, 4)
    assert data["chance"] == pytest.approx(1 / 3, abs=1e-3)


def test_single_moment_has_no_controls(view):
    assert '<div id="controls" hidden>' in view.at(0).to_html()
    assert '<div id="controls">' in view.to_html()


def test_regression_and_no_answers_can_be_drawn(tmp_path):
    x, _ = _data()
    model = uc.Sequential([uc.Input((2,)), uc.layers.Dense(4, "relu"), uc.layers.Dense(1)])
    values = uc.uncrumple(model, (x, x[:, 0] * 1.5 + 0.01))
    plain = uc.uncrumple(model, (x, None))
    for place, one in enumerate((values, plain)):
        assert not is_blank(one.save(tmp_path / f"{place}.png", dpi=50).read_bytes())
        assert one.save(tmp_path / f"{place}.html").stat().st_size > 10_000
    assert '"ramp"' in values.to_html()


def test_many_classes_share_colours(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    model = uc.Sequential([uc.Input((4,)), uc.layers.Dense(4, "relu"), uc.layers.Dense(25, "softmax")])
    view = uc.uncrumple(model, (x, np.arange(200) % 25))
    data = json.loads(re.search(r'id="data">(.*?)</script>', view.to_html(), re.DOTALL).group(1))
    names = [kind["name"] for kind in data["classes"]]
    assert len(names) == 10 and names[0] == "16 others"
    assert not is_blank(view.save(tmp_path / "many.png", dpi=50).read_bytes())


def test_words(view):
    text = str(view)
    assert text.startswith(view.title)
    assert "4 moments, the last one: epoch 3, step 6" in text
    assert "hidden (Dense)" in text and "6 numbers" in text
    assert repr(view).startswith("<Uncrumpled: ")


def test_unknown_kind_of_file(view, tmp_path):
    with pytest.raises(ValueError) as error:
        view.save(tmp_path / "view.jpgg")
    assert str(error.value).startswith(
        "Unknown kind of file: '.jpgg'.\nExpected one of: .gif, .html, .json, .pdf, .png, .svg."
    )
    with pytest.raises(ValueError, match="Unknown theme: 'drak'"):
        view.plot("drak")


def test_figure_is_closed_to_pyplot(view):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    assert view.at(-1).plot().get_size_inches()[0] > 5
    assert pyplot.get_fignums() == before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")
def test_page_runs_in_a_browser(view, tmp_path):
    """The script draws a panel for each layer, steps by keys, and throws nothing."""
    asked = """<script>{
      const said = [], press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      addEventListener("error", event => said.push("error " + event.message));
      const now = () => document.getElementById("when").textContent;
      said.push(now()); press("Home"); said.push(now()); press("ArrowRight"); said.push(now()); press("End");
      said.push(now(), document.querySelectorAll("#panels canvas").length);
      document.getElementById("theme").click(); said.push(document.documentElement.dataset.theme);
      document.body.dataset.said = said.join("; ");
    }</script></body>"""
    path = tmp_path / "view.html"
    path.write_text(view.to_html().replace("</body>", asked), encoding="utf-8")
    ran = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    last = view.frames[-1].in_words()
    wanted = f"{last}; before training; {view.frames[1].in_words()}; {last}; 3; dark"
    assert f'data-said="{wanted}"' in ran.stdout
