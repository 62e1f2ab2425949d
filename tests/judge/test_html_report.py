"""The page: one file, nothing loaded, nothing run, every text escaped, the verdict first."""

import html.parser
import os
import stat

import numpy as np
import pytest

from uncrumple.judge import Judgement, judge
from uncrumple.judge.files import write_whole

EVIL = "<script>alert('x')</script>&\"'"


class Page(html.parser.HTMLParser):
    """Collects tags and attributes, and checks that tags close in order."""

    VOID = {"meta", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)


@pytest.fixture(scope="module")
def found():
    """A judgement in which every text that comes from outside is evil."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 2))
    y = (x[:, 0] + 0.5 * random.normal(size=400) > 0).astype(int)

    def answer(rows):
        p = 1 / (1 + np.exp(-3 * rows[:, 0]))
        return np.stack([1 - p, p], axis=1)

    return judge(
        answer,
        (x[:200], y[:200], x[200:300], y[200:300]),
        validation=(x[300:], y[300:]),
        class_names=(f"{EVIL}no", f"{EVIL}yes"),
        feature_names=(f"{EVIL}a", f"{EVIL}b"),
        slices={f"{EVIL}group": np.array([f"{EVIL}1", f"{EVIL}2"])[np.arange(100) % 2]},
        recall=0.9,
        budget_seconds=5,
        title=EVIL,
    )


def test_every_text_is_escaped(found):
    text = found.to_html()
    assert "<script" not in text
    page = Page(text)
    assert "".join(page.texts).count("<script>alert('x')</script>") >= 12  # it is there, as text
    assert {"script", "iframe", "link", "object"}.isdisjoint(page.tags)
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    policies = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content")]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in policies
    assert "url(" not in text.replace("url(#", "") and "@import" not in text


def test_the_verdict_comes_first_and_all_sections_are_there(found):
    text = found.to_html()
    assert text.index('class="verdict"') < text.index("<h2>")
    assert [part.partition("</h2>")[0] for part in text.split("<h2>")[1:]] == [
        "Test result",
        "Beside simpler models",
        "The decision tree",
        "Classes",
        "Calibration",
        "Thresholds",
        "Worst mistakes",
        "Slices and fairness",
        "What was looked at",
        "How it was made",
    ]
    page = Page(text)
    drawings = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(drawings) == 6 and all(drawings)
    assert ("meta", "content", "width=device-width, initial-scale=1") in page.attributes


def test_it_is_made_for_light_dark_and_print(found):
    text = found.to_html()
    assert "color-scheme: light dark" in text and "prefers-color-scheme: dark" in text
    printed = text[text.rindex("@media print") :]
    # Printed on white, with what is folded away on the screen, and nothing cut off at the side.
    assert (
        "--paper: #ffffff" in printed
        and "details::details-content" in printed
        and ".wide { overflow: visible; }" in printed
    )
    drawing = text[text.index("<svg") : text.index("</svg>")]
    assert "var(--ink)" in drawing and "#222222" not in drawing  # its colours are those of the page


def test_the_numbers_are_those_of_the_judgement(found):
    shown = " ".join("".join(Page(found.to_html()).texts).split())
    accuracy = found.scores["accuracy"]
    assert f"{100 * accuracy.score:.1f} %" in shown
    assert f"95 % interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f} %" in shown
    assert "scikit-learn" in shown and "Python 3." in shown


def test_many_long_names_stand_upright():
    y = np.arange(120) % 12
    names = [f"a long name of class {number}" for number in range(12)]
    data = (y[:, None], y, y[:, None], y)
    assert 'class="matrix tall"' in judge(lambda x: x[:, 0], data, class_names=names, budget_seconds=2).to_html()
    assert 'class="matrix"' in judge(lambda x: x[:, 0], data, budget_seconds=2).to_html()


def test_the_file_is_whole_readable_and_replaces_the_old_one(tmp_path, found):
    path = tmp_path / "runs" / "one" / "report.html"
    write_whole(path, "old")
    assert isinstance(found, Judgement) and found.save(path) == path
    assert path.read_text(encoding="utf-8") == found.to_html()
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_whole(tmp_path / "a.txt", "old")

    def full(_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
