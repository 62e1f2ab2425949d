"""What goes wrong below the command line is said in its words: the third line can be typed."""

import ast

import numpy as np
import pytest
from command_lines import run
from PIL import Image
from raw_files import days, houses, passengers, photos, reviews

from uncrumple.cli.fixes import typed, typed_report
from uncrumple.cli.main import options_of
from uncrumple.data.checks import check
from uncrumple.data.checks.report import Finding, NotRun, Ran, Report

QUICK = ("--budget", "1", "--check-seconds", "0", "--no-preflight", "--quiet", "--epochs", "1")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with files in which something is wrong."""
    folder = tmp_path_factory.mktemp("wrong")
    for make in (houses, passengers, reviews, days):
        make(folder)
    photos(folder, count=4)

    def write(name, text):
        (folder / name).write_text(text)

    numbers = range(60)
    write("short.txt", "hello you")
    write("blank.txt", " \n\n ")
    write("plain.txt", "to be or not to be " * 20)
    write("three.csv", "a,b,y\n1,2,no\n2,3,yes\n3,4,no\n")
    write("hashes.csv", "a#b#y\n" + "".join(f"{row}#{row % 3}#{row % 2}\n" for row in numbers))
    write("unanswered.csv", "a,y\n" + "".join(f"{row * 1.5},\n" for row in numbers))
    write("numbered.csv", "id,y\n" + "".join(f"{row + 1000},{row % 2}\n" for row in numbers))
    write("backwards.csv", "day,sold\n" + "".join(f"2024-01-{31 - row % 31:02d},{row}\n" for row in numbers))
    write("words.csv", "a,b\n" + "".join(f"x{row % 3},y{row % 4}\n" for row in numbers))
    write("infinite.csv", "a,y\n" + "".join(f"{row % 7},{'inf' if row == 5 else row * 1.5}\n" for row in numbers))
    write("together.csv", "g,a,y\n" + "".join(f"p,{row % 7},{row % 2}\n" for row in numbers))
    write("at_once.csv", "t,a,y\n" + "".join(f"1,{row % 7},{row % 2}\n" for row in numbers))
    (folder / "sheet.xlsx").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    (folder / "zeros.txt").write_bytes(b"abc\0def" * 100)
    (folder / "old.csv").write_bytes("town,y\nMünchen,1\nBern,2\n".encode("cp1252"))
    (folder / "none.npy").write_bytes(b"no array")
    np.savez(folder / "several", a=np.zeros((4, 8, 8)))
    (folder / "several.npz").rename(folder / "several.npy")
    for place in range(12):
        (folder / "alone" / "a").mkdir(parents=True, exist_ok=True)
        (folder / "flat").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / "alone" / "a" / f"{place}.png")
        Image.new("RGB", (8, 8)).save(folder / "flat" / f"{place}.png")
    return folder


WRONG = {
    "encoding": (["train", "old.csv", "--target", "y"], "--encoding cp1252 for files of older Windows programs, or save it as UTF-8"),
    "encoding of check": (["check", "old.csv"], "--encoding cp1252 for files of older Windows programs, or save it as UTF-8"),
    "steps": (["train", "short.txt"], "--steps 1"),
    "blank": (["train", "blank.txt"], "check the file"),
    "speakers": (["train", "plain.txt", "--speakers"], "leave out --speakers, to learn how the text goes on"),
    "most speakers": (["train", "plain.txt", "--most-speakers", "3"], "leave out --most-speakers, or add --speakers"),
    "steps of speakers": (["train", "plain.txt", "--speakers", "--steps", "3"], "leave out --steps"),
    "few rows": (["train", "three.csv", "--target", "y"], "more rows, or a larger --validation"),
    "shares": (["train", "houses.csv", "--target", "price", "--validation", "0.9", "--test", "0.5"], "--validation 0.15 --test 0.15"),
    "delimiter": (["train", "hashes.csv", "--target", "y"], "save the table with one of these between its columns"),
    "unanswered": (["train", "unanswered.csv", "--target", "y"], "--target with another column"),
    "numbered": (["train", "numbered.csv", "--target", "y"], "another table; or --categories with the name of a column that is to be kept"),
    "backwards": (["train", "backwards.csv", "--past", "5", "--time", "day"], "sort the rows of the file by 'day'"),
    "past": (["train", "days.csv", "--past", "500", "--target", "sold"], "--past 65"),
    "no numbers": (["train", "words.csv", "--past", "5"], "a table with columns of numbers, or leave out --past"),
    "infinite": (["train", "infinite.csv", "--target", "y"], "leave out the rows without a finite answer"),
    "task": (["train", "passengers.csv", "--target", "Sex", "--task", "regression"], "--task classification"),
    "other task": (["train", "houses.csv", "--target", "price", "--task", "classification"], "--task regression"),
    "groups": (["train", "together.csv", "--target", "y", "--groups", "g"], "more groups, or leave out --groups"),
    "times": (["train", "at_once.csv", "--target", "y", "--time", "t"], "leave out --time, or a larger --validation and --test"),
    "text without a target": (["train", "reviews.csv", "--text", "review"], "--target stars"),
    "flat": (["train", "flat"], "a folder for each class: photos/cat, photos/dog"),
    "sheet": (["train", "sheet.xlsx", "--target", "a"], "save the sheet as CSV, or unpack the archive"),
    "picture for a text": (["train", "photos/dark/0.jpg"], "{files}/photos/dark"),
    "zeros": (["train", "zeros.txt"], "a name that ends in .parquet, .npy or .gz for such files; or --encoding utf-16"),
    "no array": (["train", "none.npy"], "np.save(path, x)"),
    "several arrays": (["train", "several.npy"], "np.save(path, x)"),
    "option of a name": (["check", "digits", "--target", "x"], "leave out --target"),
    "openml": (["check", "openml:no-such-thing", "--offline", "--data-dir", "."], "leave out --offline, once"),
    "rate": (["train", "houses.csv", "--target", "price", "--learning-rate", "1e12", "--out", "nan"], "--learning-rate with a smaller number: the loss became NaN"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_the_fix_can_be_typed(case, files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    line, fix = WRONG[case]
    code, out, err = run(*line, *(QUICK if line[0] == "train" else ()), capsys=capsys)
    assert code == 2, out + err
    error = next(one for one in err.splitlines() if one.startswith("Error: "))
    assert error.rpartition(" Fix: ")[2] == fix.replace("{files}", str(files))
    assert not any(said in error for said in ("Table(", "Text(", "Images(", "split(", "load(", "task=", "encoding="))


def test_a_warning_can_be_typed_too(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    code, _, err = run("train", "alone", *QUICK, capsys=capsys)
    warning = next(one for one in err.splitlines() if one.startswith("Warning: "))
    assert code == 2
    assert warning.endswith(f"Fix: {files / 'alone' / 'a'} in its place, if the classes' folders are in there")


def test_arguments_become_options_where_the_command_has_them():
    known = options_of("train")
    assert "encoding" in known and "leave_out" in known
    assert typed("Fix: leave_out=['a', 'b']", "train", known) == "Fix: --leave-out a,b"
    assert typed("Fix: categories=['zip code']", "train", known) == "Fix: --categories 'zip code'"
    assert typed('Fix: encoding="cp1252" for old files', "train", known) == "Fix: --encoding cp1252 for old files"
    assert typed("Expected no offline=True.\nFix: wait", "train", known) == "Expected no --offline.\nFix: wait"
    assert typed("Fix: encoding='cp1252'", "summary", options_of("summary")) == "Fix: encoding='cp1252'"
    assert typed("Fix: a larger seconds=60", "train", known) == "Fix: a larger --check-seconds 60"
    for text in ("Unknown class: 'a=b'.", "Fix: x.reshape(-1, 28)", "Fix: y == text", "Fix: Dense(units=3)", ""):
        assert typed(text, "train", known) == text


def test_findings_of_check_can_be_followed(capsys, tmp_path):
    lines = ["a,y", *(f"{row * 7 % 13},{'yes' if row % 50 == 0 else 'no'}" for row in range(400))]
    (tmp_path / "rare.csv").write_text("\n".join(lines))
    code, out, _ = run("check", tmp_path / "rare.csv", "--target", "y", capsys=capsys)
    assert code == 0 and "try      --balanced, in training: every class counts the same, however rare" in out
    assert "group-leak: no groups were given: --groups COLUMN" in out and "check(" not in out
    # The document for programs says what the room says.
    _, out, _ = run("check", tmp_path / "rare.csv", "--target", "y", "--json", capsys=capsys)
    assert "class_weight" in out


def finding(try_this):
    return Finding("x", "note", "seen", 1, 0, "things", "why", try_this)


def test_whatever_a_check_advises_is_no_python_at_the_command_line():
    """Every piece of advice and every reason that stands in the room of the checks, as text."""
    from uncrumple.data.checks import run as room

    advice = []
    folder = room.__file__.rpartition("/")[0]
    for name in ("drift", "duplicates", "labels", "leaks", "near_duplicates", "suspects", "texts", "values", "series"):
        with open(f"{folder}/{name}.py") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding" and len(node.args) >= 8:
                constants = [one for one in ast.walk(node.args[7]) if isinstance(one, ast.Constant)]
                advice += [one.value for one in constants if isinstance(one.value, str) and len(one.value) > 15]
    assert len(advice) > 15
    report = Report("data", tuple(map(finding, advice)), (Ran("a", 0.1),), (NotRun("b", "c"),), 1.0, 2.0)
    for one in typed_report(report, "check", options_of("check")):
        if "end the window earlier" in one.try_this or "re.sub" in one.try_this or one.try_this.startswith("split by"):
            continue  # series take all columns; the others are in words
        assert not any(said in one.try_this for said in ("split(", "groups=", "skip_damaged=", "layers.", "y = ["))


def test_a_report_in_other_words_holds_the_same():
    report = check([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    said = typed_report(report, "check", options_of("check"))
    assert [one.name for one in said] == [one.name for one in report]
    assert [one.name for one in said.not_run] == [one.name for one in report.not_run]
    late = Report("data", (), (), (NotRun("a", "the budget of 1 s was spent: check(..., seconds=...)"),), 1.0, 1.0)
    (one,) = typed_report(late, "check", options_of("check")).not_run
    assert one.why == "the budget of 1 s was spent: a larger --seconds"
