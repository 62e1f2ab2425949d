"""The page: one file, nothing loaded, nothing run, every text escaped, the verdict first."""

import base64
import html.parser
import os
import stat

import numpy as np
import pytest

from uncrumple.data.describe import facts
from uncrumple.data.named import load
from uncrumple.judge import (
    Cost,
    classification_scores,
    compare,
    confusion_of,
    how_it_was_made,
    largest_errors,
    regression_scores,
    worst_mistakes,
)
from uncrumple.judge.files import write_whole
from uncrumple.judge.html import Report, render, write_report
from uncrumple.judge.plots import to_png, training_curves

PNG = to_png(training_curves({"loss": [1.0, 0.5]}), dpi=20)
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


@pytest.fixture
def report():
    truth = np.array([0, 0, 1, 1, 2, 2] * 5)
    shares = np.full((30, 3), 0.1)
    answers = np.where(np.arange(30) % 7 == 0, (truth + 1) % 3, truth)
    shares[np.arange(30), answers] = 0.8
    names = (EVIL, "b", "c")
    comparison = compare(
        truth,
        {"network": answers, "majority class": np.zeros(30, int), EVIL: truth},
        costs={EVIL: Cost(1, 1, 1, 10, 20, settings=EVIL, remarks=(EVIL,))},
        class_names=names,
    )
    return Report(
        title=EVIL,
        verdict=comparison.verdict() + EVIL,
        scores=classification_scores(truth, answers),
        measured=EVIL,
        data=facts(load("iris")) | {"description": EVIL},
        split=EVIL,
        scaling=EVIL,
        summary=EVIL,
        training={EVIL: EVIL},
        figures=dict.fromkeys(("curves", "confusion", "comparison", "mistakes", "examples"), PNG),
        confusion=confusion_of(truth, answers, names),
        comparison=comparison,
        mistakes=worst_mistakes(truth, shares, names),
        made=how_it_was_made(EVIL, seed=0, seconds=75),
        notes=(EVIL,),
    )


def test_the_page_loads_and_runs_nothing(report):
    page = Page(render(report))
    assert not {"script", "link", "iframe", "object", "embed", "form", "a", "base"} & set(page.tags)
    sources = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "action")]
    assert len(sources) == 5
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert all(base64.b64decode(value.partition(",")[2]) == PNG for value in sources)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in render(report) and "@import" not in render(report)
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_every_text_is_escaped(report):
    text = render(report)
    assert "<script" not in text
    page = Page(text)
    shown = "".join(page.texts)
    assert shown.count("<script>alert('x')</script>") >= 12  # it is there, as text


def test_the_verdict_comes_first_and_all_sections_are_there(report):
    text = render(report)
    assert text.index('class="verdict"') < text.index("<h2>")
    sections = [part.partition("</h2>")[0] for part in text.split("<h2>")[1:]]
    assert sections == [
        "Test result",
        "Beside simpler models",
        "Training",
        "Classes",
        "Predictions",
        "Worst mistakes",
        "Data",
        "Model",
        "Notes",
        "How it was made",
    ]
    page = Page(text)
    alternatives = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alternatives) == 5 and all(alternatives)
    assert "prefers-color-scheme: dark" in text
    assert ("meta", "content", "width=device-width, initial-scale=1") in page.attributes


def test_the_numbers_are_those_of_the_result(report):
    shown = " ".join("".join(Page(render(report)).texts).split())
    accuracy = report.scores["accuracy"]
    assert f"{100 * accuracy.score:.1f} %" in shown
    assert f"95 % interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f} %" in shown
    assert "1 min 15 s" in shown and "scikit-learn" in shown and "Python 3." in shown
    assert "10 of 20" in shown


def test_what_is_empty_is_left_out():
    text = render(Report("a title", "a verdict"))
    assert "<h2>" not in text and "<img" not in text
    Page(text)


def test_a_regression():
    random = np.random.default_rng(0)
    truth = random.normal(100, 20, 60)
    answers = truth + random.normal(0, 5, 60)
    report = Report(
        "diabetes",
        "fine",
        scores=regression_scores(truth, answers),
        data=facts(load("diabetes")),
        figures={"regression": PNG},
        mistakes=largest_errors(truth, answers, 5),
    )
    shown = " ".join("".join(Page(render(report)).texts).split())
    assert "mean absolute error" in shown and "R²" in shown and "off by" in shown
    assert "half of them between 87 and 211.5" in shown and "10 features" in shown


def test_the_file_is_whole_readable_and_replaces_the_old_one(tmp_path, report):
    path = tmp_path / "runs" / "one" / "report.html"
    write_report(path, Report("old", ""))
    assert write_report(path, report) == path
    assert path.read_text(encoding="utf-8") == render(report)
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
