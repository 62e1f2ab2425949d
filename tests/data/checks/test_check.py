"""Every planted defect is found, in words that name it; clean data stays silent."""

import io
import json

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from uncrumple.data import Images, Table
from uncrumple.data.checks import CHECKS, check
from uncrumple.data.checks.suspects import told_apart
from uncrumple.data.named import load
from uncrumple.data.split import split


@pytest.fixture
def random():
    return np.random.default_rng(7)


def blobs(random, rows=240, classes=3, columns=4):
    """Clouds of points that hardly overlap, in random order."""
    y = random.permutation(np.arange(rows) % classes)
    return random.normal(size=(rows, columns)) * 0.45 + np.eye(columns)[y % columns] * 2, y


def only(name, *arguments, **options):
    """Run one check, and return its findings; it must have run."""
    report = check(*arguments, only=[name], **options)
    assert [entry.name for entry in report.ran] == [name], report.not_run
    return report.findings


# --- clean data ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iris", "wine", "diabetes"])
def test_nothing_is_found_in_clean_tables(name):
    data = load(name)
    order = np.random.default_rng(3).permutation(len(data.y))
    x, y = data.x[order], data.y[order]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    report = check(x, y, parts=split(y, seed=5))
    assert report.findings == ()
    assert {"missing-values", "exact-duplicates", "target-leak"} <= {entry.name for entry in report.ran}


def test_nothing_is_found_in_clean_pictures():
    digits = load("digits")
    rows = np.random.default_rng(0).permutation(len(digits.y))[:500]
    report = check(digits.x[rows] / 16, digits.y[rows], parts=split(digits.y[rows], test=0.3))
    assert report.findings == ()
    assert "near-duplicates" in {entry.name for entry in report.ran}


def test_nothing_is_found_in_clean_windows(random):
    series = np.cumsum(random.normal(size=300))
    series = (series - series.mean()) / series.std()
    x = np.stack([series[start : start + 12] for start in range(280)])[:, :, None]
    rows = np.arange(280)
    report = check(
        x, series[12:292], times=rows, parts={"train": rows[:200], "test": rows[200:]}, kind="series", task="regression"
    )
    assert [finding.name for finding in report if finding.severity == "error"] == []
    assert {"window-overlap", "future-leak", "time-leak", "time-order"} <= {entry.name for entry in report.ran}


# --- values -------------------------------------------------------------------------------


def test_missing_values(random):
    x, y = blobs(random)
    x[3, 1], x[5, 2] = np.nan, np.inf
    gap, infinite = only("missing-values", x, y, feature_names=list("abcd"))
    assert gap.rows == (3,) and gap.columns == ("b",) and gap.severity == "error" and gap.number == 1
    assert infinite.rows == (5,) and "infinity" in infinite.seen
    y = y.astype(float)
    y[0] = np.nan
    assert (
        only("missing-values", blobs(random)[0], y)[0].seen == "1 of 240 (0.42 %) answers of the data part are missing."
    )


def test_gaps_that_a_table_fills_are_a_note_whatever_is_asked():
    ages = [31.0, np.nan, 28.0, 44.0] * 10
    kinds = Table({"age": ages, "y": ["a", "b"] * 20}, target="y")
    (found,) = only("missing-values", kinds)
    assert found.severity == "note" and found.try_this == "see whether gaps are more frequent in one class"
    numbers = Table({"age": ages, "y": np.linspace(0.5, 9.7, 40)}, target="y")
    (found,) = only("missing-values", numbers)
    assert found.try_this == "see whether the answers differ where the gaps are"


def test_a_placeholder_in_a_column_of_numbers():
    frame = pandas.DataFrame({"age": ["31", "?", "28", "44"], "word": ["none", "x", "y", "z"]})
    (found,) = only("missing-values", frame)
    assert found.columns == ("age",) and found.rows == (1,) and "na_values" in found.try_this


def test_constant_columns_and_channels(random):
    x, y = blobs(random)
    x[:, 2] = 5
    (found,) = only("constant-columns", x, y)
    assert found.columns == ("column 2",) and found.number == 1
    (found,) = only("constant-columns", np.concatenate([random.normal(size=(9, 5, 1)), np.ones((9, 5, 1))], axis=2))
    assert found.columns == ("channel 1",)


def test_input_scale(random):
    x, y = blobs(random)
    assert not only("input-scale", x, y)
    assert "Normalization" in only("input-scale", x * 1000, y)[0].try_this
    assert only("input-scale", x * [1, 1, 1, 500], y)[0].number > 10
    pixels = random.integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)
    assert "Rescaling(1 / 255)" in only("input-scale", pixels)[0].try_this
    (found,) = only("input-scale", {"train": (x[:100], y[:100]), "test": (x[100:] * 0.01, y[100:])})
    assert found.severity == "error" and found.part == "test"


def test_corrupt_and_blank_files(tmp_path, random):
    paths = []
    for name in range(6):
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(paths[-1])
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    paths[1].write_bytes(b"")
    paths[2].write_text("<html>")
    Image.new("RGB", (20, 20), "red").save(paths[3])
    broken, blank = only("corrupt-files", paths)
    assert broken.rows == (0, 1, 2) and broken.severity == "error" and blank.rows == (3,)
    assert "the file is empty" in broken.details["reasons"][1]


def test_a_broken_picture_in_a_folder_is_a_finding_and_no_error(tmp_path, random):
    for kind in "ab":
        (tmp_path / kind).mkdir()
        for name in range(10):
            pixels = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{name}.png")
    (tmp_path / "a" / "3.png").write_text("no picture")
    pictures = Images(tmp_path, size=(8, 8))
    (found,) = only("corrupt-files", split(pictures, seed=0))
    assert found.severity == "error" and found.number == 1 and "--skip-damaged" in found.try_this
    assert found.seen.endswith("a/3.png cannot be read.")
    assert pictures._pixels is None  # they were looked at one by one, and not all kept


# --- labels -------------------------------------------------------------------------------


def test_absent_classes(random):
    x, y = blobs(random)
    rows = {"train": np.flatnonzero(y != 2)[:100], "test": np.flatnonzero(y > 0)[:80]}
    unlearnt, untested = only("absent-classes", x, y, parts=rows, class_names=["ant", "bee", "fly"])
    assert "class 'fly', the training part none" in unlearnt.seen and unlearnt.severity == "error"
    assert "no row of class 'ant'" in untested.seen


def test_one_class_in_two_spellings(random):
    y = np.array(["cat", "dog", "Cat ", "dog"] * 5)
    (found,) = only("class-names", random.normal(size=(20, 2)), y)
    assert found.details["classes"] == [["Cat ", "cat"]]


def test_imbalance_offers_weights_and_bias(random):
    y = np.repeat([0, 1], [990, 10])
    (found,) = only("class-imbalance", random.normal(size=(1000, 2)), y, class_names=["no", "yes"])
    assert found.seen == "Class 'yes' has 10 of 1,000 rows. Always answering 'no' scores 99.0 %."
    assert found.number == 0.01 and found.limit == 0.05
    assert found.details["class_weight"] == {0: 0.505, 1: 50.0}
    assert "Constant(-4.595)" in found.try_this  # log(10 / 990)
    assert not only("class-imbalance", random.normal(size=(100, 2)), np.repeat([0, 1], [60, 40]))


def test_sorted_labels(random):
    x, y = blobs(random)
    order = np.argsort(y, kind="stable")
    assert not only("sorted-labels", x, y)
    (found,) = only("sorted-labels", x[order], y[order])
    assert found.seen == "The class changes 2 times from one row to the next; in shuffled rows 159 times."
    answers = random.normal(size=240)
    assert not only("sorted-labels", x, answers)
    assert only("sorted-labels", x, np.sort(answers))[0].number > 0.99


def test_label_shift(random):
    x, y = blobs(random)
    rows = {
        "train": np.arange(120),
        "test": np.concatenate([np.flatnonzero(y == 0)[-40:], np.flatnonzero(y == 1)[-10:]]),
    }
    (found,) = only("label-shift", x, y, parts=rows)
    assert "Class '0'" in found.seen and found.number > 0.3
    assert not only("label-shift", x, y, parts={"train": np.arange(120), "test": np.arange(120, 240)})


# --- duplicates ---------------------------------------------------------------------------


def test_rows_in_two_parts_are_found_whatever_their_label(random):
    x, y = blobs(random)
    x[200:207], y[200:207] = x[:7], y[:7]
    y[200:202] = (y[200:202] + 1) % 3
    (found,) = only("exact-duplicates", x, y, parts={"train": np.arange(160), "test": np.arange(160, 240)})
    assert found.number == 7 and found.rows == tuple(range(40, 47)) and found.severity == "error"
    assert found.seen.endswith("2 of them have another answer there.")


def test_contradicting_labels(random):
    x, y = blobs(random)
    x[10], y[10] = x[20], (y[20] + 1) % 3
    (found,) = only("exact-duplicates", x, y)
    assert found.name == "contradicting-labels" and found.rows == (10, 20)


def test_coincidences_in_a_coarse_table_are_no_duplicates(random):
    x, y = random.integers(0, 4, (300, 3)).astype(float), random.integers(0, 2, 300)
    assert not only("exact-duplicates", x, y, parts={"train": np.arange(200), "test": np.arange(200, 300)})


def photos(random, rows):
    """Smooth pictures, each its own."""
    waves = random.normal(size=(rows, 4, 4, 3))
    return np.stack([np.asarray(_enlarged(wave)) for wave in waves])


def _enlarged(wave):
    scaled = (255 * (wave - wave.min()) / np.ptp(wave)).astype(np.uint8)
    return Image.fromarray(scaled).resize((40, 40), Image.Resampling.BICUBIC)


def test_copies_of_pictures(random, tmp_path):
    x = photos(random, 60)
    path = tmp_path / "copy.jpg"
    Image.fromarray(x[3]).save(path, quality=60)
    x[50] = np.asarray(Image.open(path))
    x[51] = (x[4] * 0.95 + random.normal(0, 2, x[4].shape)).clip(0, 255)
    (found,) = only("near-duplicates", x, parts={"train": np.arange(45), "test": np.arange(45, 60)})
    assert [pair[:2] for pair in found.details["pairs"]] == [[5, 3], [6, 4]]
    clean = photos(random, 60)
    assert not only("near-duplicates", clean, parts={"train": np.arange(45), "test": np.arange(45, 60)})


# --- leaks --------------------------------------------------------------------------------


def test_a_column_that_tells_the_answer(random):
    x, y = blobs(random)
    assert not only("target-leak", x, y)
    planted = np.column_stack([x, np.array([1, 2, 0])[y] + random.normal(0, 0.1, len(y))])
    (found,) = only("target-leak", planted, y, feature_names=[*"abcd", "code"])
    assert found.columns == ("code",) and found.number >= 0.99 and "no accusation" in found.seen
    (found,) = only("target-leak", planted[y < 2][:, 2:], y[y < 2], feature_names=["c", "d", "code"])
    assert found.columns == ("code",) and "AUC" in found.measure
    answers = random.normal(size=240)
    (found,) = only("target-leak", np.column_stack([x, answers**3]), answers)
    assert found.number == pytest.approx(1.0)


def test_a_gap_that_tells_the_answer(random):
    x, y = blobs(random, classes=2)
    frame = pandas.DataFrame({"a": x[:, 2], "paid": np.where(y == 1, x[:, 3], np.nan)})
    assert only("target-leak", frame, y)[0].columns == ("paid",)


def test_one_class_of_99_percent_is_no_leak(random):
    y = np.concatenate([np.zeros(990), np.arange(10) % 2 + 1]).astype(int)
    assert not only("target-leak", random.normal(size=(1000, 2)), y)


def test_identifiers(random):
    x, y = blobs(random)
    assert not only("identifiers", x, y)
    (found,) = only("identifiers", np.column_stack([x, random.permutation(240) + 500]), y)
    assert found.columns == ("column 4",)
    (found,) = only("identifiers", pandas.DataFrame({"code": [f"k{number}" for number in range(240)]}), y)
    assert "different word" in found.seen
    assert not only("identifiers", pandas.DataFrame({"age": random.integers(20, 70, 240)}), y)


def test_groups_and_times_on_both_sides(random):
    x, y = blobs(random)
    groups = np.repeat(np.arange(24), 10)
    rows = {"train": np.arange(165), "test": np.arange(165, 240)}
    (found,) = only("group-leak", x, y, groups=groups, parts=rows)
    assert found.number == 1 and found.rows == (0, 1, 2, 3, 4)
    days = np.datetime64("2024-01-01") + np.arange(240)
    assert not only("time-leak", x, y, times=days, parts=rows)
    days[[164, 165]] = days[[165, 164]]
    (found,) = only("time-leak", x, y, times=days.astype(str), parts=rows)
    assert found.rows == (0,)


# --- short cuts, differences, suspect labels ------------------------------------------------


def test_file_facts_that_tell_the_class(tmp_path, random):
    y = np.array(["left", "right"])[random.permutation(np.arange(60) % 2)]
    paths = []
    for row, (values, name) in enumerate(zip(photos(random, 60), y)):
        (tmp_path / name).mkdir(exist_ok=True)
        paths.append(tmp_path / name / f"{row}.{'png' if name == 'left' else 'jpg'}")
        Image.fromarray(values).save(paths[-1])
    (found,) = only("file-shortcut", paths, y)
    assert found.number > 0.9 and {"format", "bytes"} & set(found.columns) and "folder" not in found.columns
    for path in paths:
        Image.open(path).convert("RGB").save(path.with_suffix(".bmp"))
    assert not only("file-shortcut", [path.with_suffix(".bmp") for path in paths], y)


def test_brightness_that_tells_the_class(random):
    y = random.permutation(np.arange(90) % 3)
    x = photos(random, 90) / 255.0
    assert not only("appearance-shortcut", x, y)
    (found,) = only("appearance-shortcut", x * 0.3 + 0.35 * y[:, None, None, None], y, accuracy=0.9)
    assert found.number > 0.5 and "brightness" in found.seen and "of your model" in found.measure


def test_a_part_that_differs_and_the_column_that_does(random):
    x = random.normal(size=(500, 8))
    rows = {"train": np.arange(350), "test": np.arange(350, 500)}
    assert not only("part-difference", x, parts=rows)
    x[350:, 5] += 1
    (found,) = only("part-difference", x, parts=rows, feature_names=list("abcdefgh"))
    assert found.columns == ("f",) and found.number > 0.6


def test_suspect_labels(random):
    x, y = blobs(random, rows=300)
    assert not only("suspect-labels", x, y)
    wrong = random.choice(300, 9, replace=False)
    y[wrong] = (y[wrong] + 1) % 3
    (found,) = only("suspect-labels", x, y)
    hit = set(found.rows) & set(wrong.tolist())
    assert len(hit) >= 7 and len(hit) >= 0.7 * len(found.rows)


def test_labels_of_overlapping_classes_are_not_doubted(random):
    report = check(random.normal(size=(200, 3)), random.integers(0, 2, 200), only=["suspect-labels"])
    assert not report.findings and "where classes overlap" in report.not_run[0].why


def test_labels_are_not_doubted_for_a_rare_class_that_is_not_told_apart(random):
    y = np.array(["no", "yes"])[(np.arange(400) % 50 == 0).astype(int)]  # always "no" is right 98 times in 100
    x = np.stack([np.arange(400) * 7 % 13, np.arange(400) % 5], axis=1).astype(float)
    report = check(x, y, only=["suspect-labels"])
    assert not report.findings and [one.name for one in report.ran] == ["suspect-labels"]


def test_told_apart():
    truth = np.repeat([0, 1, 2], [100, 100, 20])
    answers = truth.copy()
    assert told_apart(truth, answers, 3).tolist() == [True, True, True]
    answers[:15] = 2  # nearly half of those called so are not
    assert told_apart(truth, answers, 3).tolist() == [True, True, False]
    answers[:60] = 1
    assert not told_apart(truth, answers, 3).any()
    assert not told_apart(truth, np.zeros_like(truth), 3).any()


# --- texts and series -----------------------------------------------------------------------


def sentences(random, rows=120):
    words = np.array([f"{a}{b}{c}a" for a in "bdfgk" for b in "aeiou" for c in "lmnr"])
    return [" ".join(random.choice(words, 25)) for _ in range(rows)], np.array(["sport", "music"])[np.arange(rows) % 2]


def test_texts(random):
    texts, y = sentences(random)
    kind = {"kind": "text"}
    for name in ("empty-texts", "broken-encoding", "label-words", "exact-duplicates"):
        assert not only(name, texts, y, **kind), name
    (found,) = only("empty-texts", ["...", *texts[1:]], y, **kind)
    assert found.rows == (0,)
    (found,) = only("broken-encoding", ["cafÃ© " + texts[0], *texts[1:]], y, **kind)
    assert found.rows == (0,) and "'Ã©'" in found.seen
    (found,) = only("broken-encoding", [f"{text}<br />" for text in texts], y, **kind)
    assert found.name == "mark-up" and found.severity == "note"
    found = only("label-words", [f"{name}: {text}" for name, text in zip(y, texts)], y, **kind)
    assert {finding.columns[0] for finding in found} == {"sport", "music"}
    copied = [*texts[:100], texts[0].upper() + "!", *texts[101:]]
    (found,) = only("exact-duplicates", copied, y, parts={"train": np.arange(100), "test": np.arange(100, 120)}, **kind)
    assert found.rows == (0,)
    longer = [text * 3 if name == "sport" else text for text, name in zip(texts, y)]
    assert only("text-shortcut", longer, y, **kind)[0].number > 0.9
    assert not only("text-shortcut", texts, y, **kind)


def test_running_text_that_stands_on_both_sides(random):
    ours, theirs = (" ".join(sentences(random)[0]) for _ in range(2))
    assert not only("text-overlap", {"train": ([ours],), "test": ([theirs],)}, kind="text", task="language")
    (found,) = only(
        "text-overlap", {"train": ([ours],), "test": ([theirs + ours[500:3000]],)}, kind="text", task="language"
    )
    assert found.severity == "error" and found.number > 0.05


def test_windows_that_overlap_or_hold_the_answer(random):
    series = random.normal(size=400)
    x = np.stack([series[start : start + 10] for start in range(380)])[:, :, None]
    y, rows = series[10:390], np.arange(380)
    given = {"kind": "series", "task": "regression"}
    assert not only("window-overlap", x, y, parts={"train": rows[:300], "test": rows[300:]}, **given)
    mixed = random.permutation(rows)
    (found,) = only("window-overlap", x, y, parts={"train": mixed[:300], "test": mixed[300:]}, **given)
    assert found.number > 0.9
    assert not only("future-leak", x, y, **given)
    (found,) = only("future-leak", x, series[9:389], **given)
    assert found.seen.startswith("Channel 0, 0 steps before the end")


def test_times_out_of_order_and_gaps(random):
    x, times = random.normal(size=(100, 4, 1)), np.arange(100)
    assert not only("time-order", x, times=times)
    gap = times + 5 * (times > 40)
    assert only("time-order", x, times=gap)[0].name == "time-gaps"
    swapped = times.copy()
    swapped[[10, 11]] = swapped[[11, 10]]
    assert only("time-order", x, times=swapped)[0].rows == (11,)
    irregular = np.cumsum(random.exponential(size=100))
    assert not only("time-order", x, times=irregular)


# --- the report -----------------------------------------------------------------------------


def test_the_report_says_what_ran_and_what_did_not(random):
    x, y = blobs(random)
    x[:, 0] = 1
    report = check(x, y)
    text = report.to_text()
    assert text.startswith("table of 240 rows and 4 columns, 3 classes: 1 warning (")
    assert "WARNING constant-columns" in text
    assert "group-leak: the data are not divided" in text
    assert text.endswith("these are the defects that were looked for.")
    assert json.loads(report.to_json())["findings"][0]["name"] == "constant-columns"
    assert report.worst == "warning" and bool(check(x[:, 1:], y, only=["constant-columns"]))
    names = {entry.name for entry in report.ran} | {entry.name for entry in report.not_run}
    assert names == {name for name, (_, kinds) in CHECKS.items() if "table" in kinds}


def test_rich_shows_the_same_words(random):
    from rich.console import Console

    x, y = blobs(random)
    x[:, 0] = 1
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(check(x, y, only=["constant-columns"]))
    assert "WARNING constant-columns" in console.export_text()


def test_a_spent_budget_is_told(random):
    report = check(*blobs(random), seconds=0)
    assert not report.ran and not report.findings
    assert report.not_run[0].why == "the budget of 0 s was spent: check(..., seconds=...)"


def test_many_sorts_of_data_are_taken(random):
    x, y = blobs(random)
    x[4, 0] = np.nan
    one_hot = np.eye(3)[y]
    frame = pandas.DataFrame(x).assign(answer=y)
    for data, answers in (
        (x, y),
        (x.tolist(), y.tolist()),
        (torch.tensor(x), torch.tensor(y)),
        (x, one_hot),
        (frame, "answer"),
    ):
        report = check(data, answers, only=["missing-values", "class-imbalance"])
        assert report.findings[0].rows == (4,) and "3 classes" in report.described
    assert check(load("iris"), only=["missing-values"]).described == "table of 150 rows and 4 columns, 3 classes"


def test_looking_at_a_sealed_test_part_is_no_use_of_it(random):
    from uncrumple.data import Table

    x, y = blobs(random)
    parts = split(Table({"a": x[:, 0], "b": x[:, 1], "kind": np.array(["p", "q", "r"])[y]}, target="kind"))
    report = check(parts)
    assert not report.named("exact-duplicates") and "part-difference" in {entry.name for entry in report.ran}
    assert parts.test_uses == 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "check got no data.\nExpected rows, or files of pictures.\nFix: check(x, y)"),
        (
            (np.zeros((4, 2)), np.zeros(3)),
            {},
            "check got 4 rows and 3 of y.\nExpected one for each row.\nFix: y=y[:4], if the rest is not meant.",
        ),
        ((np.zeros((4, 2)),), {"only": ["duplicate"]}, "Unknown check: 'duplicate'."),
        ((np.zeros((4, 2)),), {"kind": "tabel"}, "Unknown kind: 'tabel'."),
        ((np.zeros((4, 2)),), {"seconds": -1}, "check got seconds=-1.\nExpected seconds of 0 or more."),
        ((np.zeros((4, 2)),), {"parts": {"train": [9]}}, "check got parts with train rows of int64 for 4 rows."),
        ((split(10),), {}, "check got the row numbers of a split, and no data."),
        (("/",), {}, "check got a path: '/'."),
    ],
)
def test_impossible_arguments(arguments, options, message):
    with pytest.raises(ValueError) as error:
        check(*arguments, **options)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("shape", [(9, 8, 8), (9, 8, 10, 1), (9, 3, 12, 10), (9, 16, 12, 3)])
def test_pictures_seen_many_at_a_time_are_seen_alike(random, shape):
    from uncrumple.data.checks import pictures as room
    from uncrumple.data.checks.clock import Clock
    from uncrumple.data.checks.view import view_of

    x = random.integers(0, 256, shape).astype(np.float32)
    x[2] = 7
    x[3].flat[5] = np.inf
    at_once = room.pictures(view_of(x, kind="images"), view_of(x, kind="images").train, Clock(60))
    view = view_of(list(x), kind="images")
    one_by_one = room._look(view, view.train.__class__("data", list(x)), Clock(60))
    for name in ("rows", "small", "appearance", "background", "flat", "sizes"):
        np.testing.assert_allclose(getattr(at_once, name), getattr(one_by_one, name), rtol=1e-4, atol=1e-3)
    assert at_once.bad_values == one_by_one.bad_values == [(3, "infinity")] and at_once.flat.tolist().index(True) == 2
