"""The commands on raw files: a table, photographs, texts, a play, a series; and what they do with what is wrong."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from command_lines import run
from PIL import Image
from raw_files import days, houses, passengers, photos, play, reviews

from uncrumple.cli.main import main
from uncrumple.experiment import written

QUICK = ("--budget", "2", "--check-seconds", "0", "--quiet")
KINDS = {
    "houses": (houses, ("--target", "price", "--epochs", "40")),
    "passengers": (passengers, ("--target", "Survived", "--slices", "sex,pclass", "--epochs", "15")),
    "photos": (photos, ("--size", "16x16", "--epochs", "4")),
    "reviews": (reviews, ("--text", "review", "--target", "stars", "--epochs", "24")),
    "play": (play, ("--speakers", "--epochs", "12")),
    "days": (days, ("--past", "8", "--target", "sold", "--time", "day", "--epochs", "10")),
}

PAGES = ("houses", "passengers", "photos", "play", "verse")


def without_page(monkeypatch):
    """Write a run without its page and plots, which take longer than the rest of a short run."""
    monkeypatch.setattr(written, "page", lambda *_: "<html></html>")
    monkeypatch.setattr(written, "_figures", lambda *_: {})


@pytest.fixture
def no_page(monkeypatch):
    without_page(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with raw files of each kind, and a short run on each."""
    folder = tmp_path_factory.mktemp("raw")
    for name, (make, options) in KINDS.items():
        path = make(folder)
        with pytest.MonkeyPatch.context() as patched:
            if name not in PAGES:
                without_page(patched)
            main(["train", str(path), *options, *QUICK, "--out", str(folder / "runs" / name)])
    verse = folder / "verse.txt"
    verse.write_text("to be or not to be, that is the question " * 60)
    main(["train", str(verse), "--steps", "20", "--epochs", "3", *QUICK, "--out", str(folder / "runs" / "verse")])
    return folder


def report(made, name):
    return json.loads((made / "runs" / name / "report.json").read_text())


def test_each_kind_is_learnt_and_judged(made):
    beside = ["decision tree", "RBF SVM", "gradient boosting"]
    for name in KINDS:
        found = report(made, name)
        models = [row["name"] for row in found["comparison"]["rows"]]
        assert models[0] == "network" and all(one in models for one in beside), name
        assert found["test_uses"] == 1 and "etwork" in found["verdict"], name
    assert report(made, "houses")["headline"]["name"] == "mean error"
    assert report(made, "houses")["data"]["notes"][0].startswith("Left out the column 'id'")
    for name in ("photos", "reviews", "play"):
        assert report(made, name)["headline"]["score"] > 0.9, name
    assert report(made, "play")["data"]["class_names"] == ["FOOL", "KING"]
    assert report(made, "days")["data"]["split_in_words"].endswith("rows; in the order of time")


def test_language_is_judged_beside_a_markov_chain(made):
    found = report(made, "verse")
    assert [row["name"] for row in found["comparison"]["rows"]][-1] == "Markov chain"
    assert found["headline"]["name"].startswith("bits per")
    assert len(found["examples"][0]["written"]) == 240


def test_slices_are_found_whatever_their_case_and_kind(made):
    found = report(made, "passengers")["slices"]["slices"]
    assert {(one["column"], one["value"]) for one in found} >= {("Sex", "male"), ("Pclass", "1"), ("Pclass", "3")}


def test_the_page_holds_data_training_and_judgement(made):
    for name in PAGES:
        page = (made / "runs" / name / "report.html").read_text()
        assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page
        for part in ("Test result", "Beside simpler models", "Training", "Data", "Model", "What was looked at"):
            assert f"<h2>{part}</h2>" in page, (name, part)
        assert page.count("<html") == 1
    assert "the network went on by itself" in (made / "runs" / "verse" / "report.html").read_text()


def test_predictions_do_not_depend_on_the_order_of_columns(made, capsys):
    code, out, _ = run("predict", made / "runs" / "houses", made / "houses.csv", "--json", capsys=capsys)
    assert code == 0
    answers = [row["answer"] for row in json.loads(out)["answers"]]
    rows = [line.split(",") for line in (made / "houses.csv").read_text().splitlines()]
    order = [2, 4, 1, 3]
    (made / "turned.csv").write_text("\n".join(";".join(row[place] for place in order) for row in rows))
    code, out, _ = run("predict", made / "runs" / "houses", made / "turned.csv", "--json", capsys=capsys)
    assert code == 0
    assert [row["answer"] for row in json.loads(out)["answers"]] == answers
    truth = [float(row[4]) for row in rows[1:]]
    assert np.corrcoef(truth, answers)[0, 1] > 0.9


def test_gaps_and_new_categories_are_answered(made, capsys):
    (made / "odd.csv").write_text("town,size,built\nAtlantis,100,1950-01-01\n,,\nBern,NA,?\n")
    code, out, _ = run("predict", made / "runs" / "houses", made / "odd.csv", "--json", capsys=capsys)
    answers = [row["answer"] for row in json.loads(out)["answers"]]
    assert code == 0 and len(answers) == 3 and np.isfinite(answers).all()


def test_a_new_process_answers_the_same(made, capsys):
    """From raw files, for every kind; the run's folder has moved meanwhile."""
    asked = {
        "houses": [made / "houses.csv"],
        "photos": [made / "photos" / "light"],
        "reviews": [made / "reviews.csv"],
        "play": ["--prompt", "a crown and a sword", "--prompt", "the song and the wine"],
        "days": [made / "days.csv"],
        "verse": ["--prompt", "to be or", "--length", "20"],
    }
    here = {}
    for name, rest in asked.items():
        code, out, _ = run("predict", made / "runs" / name, *rest, "--json", capsys=capsys)
        assert code == 0
        here[name] = json.loads(out)["answers"]
    assert [row["answer"] for row in here["play"]] == ["KING", "FOOL"]
    assert {row["answer"] for row in here["photos"]} == {"light"}
    moved = made / "moved"
    shutil.copytree(made / "runs", moved)
    lines = [[str(one) for one in ("predict", moved / name, *rest, "--json")] for name, rest in asked.items()]
    code = "import json, sys\nfrom uncrumple.cli.main import main\nfor line in json.loads(sys.argv[1]): main(line); print('---')"
    there = subprocess.run(
        [sys.executable, "-c", code, json.dumps(lines)], capture_output=True, text=True, check=True, cwd=made
    ).stdout.split("---\n")
    for name, out in zip(asked, there):
        for row, other in zip(here[name], json.loads(out)["answers"], strict=True):
            assert row["row"] == other["row"]
            if isinstance(row["answer"], float):
                assert other["answer"] == pytest.approx(row["answer"], rel=1e-5)
            else:
                assert other["answer"] == row["answer"]


def test_evaluate_counts_and_takes_other_data(made, capsys, no_page):
    folder = made / "counted"
    passengers(made, "more.csv", rows=120, seed=5)
    run(
        "train",
        made / "passengers.csv",
        "--target",
        "survived",
        "--epochs",
        8,
        *QUICK,
        "--runs-dir",
        folder,
        capsys=capsys,
    )
    code, out, _ = run("evaluate", folder / "passengers", "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0 and found["test_uses"] == 2
    written = json.loads((folder / "passengers" / "report.json").read_text())
    assert found["scores"]["accuracy"]["score"] == pytest.approx(written["scores"]["accuracy"]["score"])
    code, out, _ = run("evaluate", folder / "passengers", made / "more.csv", "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0 and found["rows"] == 120 and found["scores"]["accuracy"]["score"] > 0.75
    code, out, _ = run("evaluate", folder / "passengers", capsys=capsys)
    assert code == 0 and "looked at 3 times" in out and "truth \\ answer" in out
    # Rows that it learned from are no test of it, and a table with other values is not the one it was tested on.
    code, out, _ = run("evaluate", folder / "passengers", made / "passengers.csv", capsys=capsys)
    assert code == 0 and "with the rows that it learned from: the numbers are better" in " ".join(out.split())
    moved = made / "moved.csv"
    (made / "passengers.csv").rename(moved)
    try:
        code, _, err = run("evaluate", folder / "passengers", capsys=capsys)
        assert code == 2 and "passengers.csv, which is no longer there." in err
        assert f"uncrumple evaluate {folder / 'passengers'} FILE" in err
        (made / "passengers.csv").write_text(moved.read_text().replace(",male,", ",man,"))
        code, _, err = run("explain", folder / "passengers", capsys=capsys)
        assert code == 2 and "passengers.csv has changed since" in err and "as many rows, and other values." in err
    finally:
        moved.replace(made / "passengers.csv")
    (folder / "passengers" / "report.json").write_text('{"verdict":')
    code, out, _ = run("summary", folder / "passengers", capsys=capsys)
    assert code == 0 and "report.json is damaged; uncrumple compare" in " ".join(out.split())


def test_one_damaged_picture_ends_the_job_before_training_and_is_a_finding_of_check(tmp_path, capsys):
    folder = photos(tmp_path)
    names = sorted(folder.rglob("*.*"))
    for place in (1, len(names) // 2, len(names) - 1):
        kept = names[place].read_bytes()
        names[place].write_text("no picture")
        ask = ("train", folder, "--size", "16x16", "--epochs", 1, *QUICK, "--runs-dir", tmp_path / "runs")
        code, out, err = run(*ask, capsys=capsys)
        assert code == 2 and f"{names[place].name} cannot be read." in err and "Training" not in out
        names[place].write_bytes(kept)
    names[1].write_text("no picture")
    code, out, _ = run("check", folder, "--only", "corrupt-files", capsys=capsys)
    assert code == 1 and "ERROR corrupt-files" in out and "--skip-damaged" in out
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").glob("*/run.json"))


def test_an_error_leaves_no_empty_folder_of_a_run(made, capsys, monkeypatch):
    import uncrumple.experiment as room

    def broken(*_, **__):
        raise ValueError("no\nnot\nFix: nothing")

    monkeypatch.setattr(room, "made_ready", broken)
    ask = ("train", made / "houses.csv", "--target", "price", *QUICK, "--runs-dir", made / "none", "--name", "first")
    code, _, err = run(*ask, capsys=capsys)
    assert code == 2 and err.startswith("Error: no not Fix: nothing") and not (made / "none" / "first").exists()


def test_stopped_while_it_is_judged_the_network_is_kept(made, capsys, monkeypatch):
    import uncrumple.experiment as room

    def stopped(*_, **__):
        raise KeyboardInterrupt

    ask = ("train", made / "houses.csv", "--target", "price", "--epochs", 1, *QUICK, "--runs-dir", made / "stopped")
    with monkeypatch.context() as patched:
        patched.setattr(room, "judge", stopped)
        code, _, err = run(*ask, capsys=capsys)
    folder = made / "stopped" / "houses"
    assert code == 130 and err.strip().endswith("Stopped by Ctrl-C.")
    assert f"The trained network is kept: uncrumple compare {folder} judges it." in err
    code, out, _ = run("summary", folder, capsys=capsys)
    assert code == 0 and "No verdict: the run was stopped before the test; uncrumple" in " ".join(out.split())
    code, out, _ = run("compare", folder, "--budget", 1, capsys=capsys)
    assert code == 0 and "Verdict" in out


def test_compare_runs_on_the_same_rows(made, capsys, no_page):
    path = made / "passengers.csv"
    run("train", path, "--target", "Survived", "--epochs", 1, *QUICK, "--out", made / "runs" / "short", capsys=capsys)
    code, out, _ = run("compare", made / "runs" / "short", made / "runs" / "passengers", capsys=capsys)
    assert code == 0
    assert "2 runs on the same 45 test rows" in out and "McNemar" in out
    assert f"{made / 'runs' / 'passengers'} is" in " ".join(out[out.index("Verdict") :].split())
    code, out, _ = run("compare", made / "runs" / "short", made / "runs" / "passengers", "--json", capsys=capsys)
    found = json.loads(out)
    assert found["runs"][0] == str(made / "runs" / "passengers")  # the better one first
    assert found["rows"][1]["p_value"] is not None


def test_compare_judges_a_run_or_data(made, capsys, monkeypatch):
    page = made / "again.html"
    code, out, _ = run("compare", made / "runs" / "houses", "--budget", 2, "--out", page, capsys=capsys)
    assert code == 0 and "ridge regression" in out and "Verdict" in out and "<html" in page.read_text()
    monkeypatch.chdir(made)
    before = sorted(made.iterdir())
    code, out, _ = run(
        "compare", "passengers.csv", "--target", "Survived", "--epochs", 2, "--budget", 2, "--json", capsys=capsys
    )
    found = json.loads(out)
    assert code == 0 and found["run"] is None and found["comparison"]["rows"][0]["name"] == "network"
    assert sorted(made.iterdir()) == before


def test_json_is_the_only_thing_on_standard_output(made, capsys, no_page):
    code, out, err = run(
        "train", made / "passengers.csv", "--target", "Survived", "--epochs", 2, "--budget", 2, "--check-seconds", 1,
        "--json", "--runs-dir", made / "json", capsys=capsys,
    )  # fmt: skip
    found = json.loads(out)
    assert code == 0 and found["run"] == str(made / "json" / "passengers") and found["training"]["epochs"] == 2
    assert found == json.loads((made / "json" / "passengers" / "report.json").read_text())
    for line in (["summary", made / "runs" / "houses"], ["predict", made / "runs" / "houses"]):
        code, out, _ = run(*line, "--json", capsys=capsys)
        assert code == 0 and isinstance(json.loads(out), dict)
    code, out, err = run("train", made / "none.csv", "--target", "x", "--json", capsys=capsys)
    assert code == 2 and out == "" and "none.csv is not there." in err


# --- check -------------------------------------------------------------------------------------


def test_check_of_fine_data_notes_gaps_alone(made, capsys):
    code, out, _ = run("check", made / "houses.csv", "--target", "price", "--seconds", 5, capsys=capsys)
    assert code == 0
    assert (
        "NOTE missing-values" in out
        and "WARNING" not in out
        and "Ran: missing-values" in out
        and "is not proved absent" in out
    )


def test_check_says_by_its_exit_code_what_it_found(made, capsys):
    lines = (made / "passengers.csv").read_text().splitlines()
    leak = [lines[0] + ",Boat"] + [line + f",{'yes' if line.endswith('1') else 'no'}" for line in lines[1:]]
    (made / "leak.csv").write_text("\n".join(leak))
    ask = ("check", made / "leak.csv", "--target", "Survived", "--only", "target-leak")
    code, out, _ = run(*ask, capsys=capsys)
    assert code == 0 and "WARNING target-leak" in out and "'Boat'" in out
    code, out, _ = run(*ask, "--json", "--fail-on", "warning", capsys=capsys)
    found = json.loads(out)
    assert code == 1 and found["worst"] == "warning" and found["findings"][0]["columns"] == ["Boat"]
    (made / "twice.csv").write_text("\n".join([lines[0], *lines[1:], *lines[1:]]))  # rows on both sides
    ask = ("check", made / "twice.csv", "--target", "Survived", "--only", "exact-duplicates")
    code, out, _ = run(*ask, capsys=capsys)
    assert code == 1 and "ERROR exact-duplicates" in out
    assert run(*ask, "--fail-on", "never", capsys=capsys)[0] == 0
    ask = ("train", made / "twice.csv", "--target", "Survived", "--strict", "--check-seconds", 2)
    code, out, _ = run(*ask, "--runs-dir", made / "strict", capsys=capsys)
    assert code == 1 and "Stopped before training" in out and not (made / "strict" / "twice").exists()


# --- what is wrong is said in one line ------------------------------------------------------------

WRONG = {
    "no target": (["train", "houses.csv"], ["what is to be predicted was not said", "--target price"]),
    "column": (["train", "houses.csv", "--target", "prize"], ["Unknown column: 'prize'", "did you mean 'price'?"]),
    "kind": (["train", "houses.csv", "--target", "price", "--speakers"], ["--speakers was given", "is a table"]),
    "pictures": (["train", "photos", "--target", "x"], ["--target was given", "is a folder of pictures"]),
    "slices": (["train", "photos", "--slices", "sex"], ["--slices was given, and photos has no columns."]),
    "slice": (["train", "houses.csv", "--target", "price", "--slices", "twon"], ["Unknown column: 'twon'", "'town'"]),
    "empty": (["train", "empty"], ["holds no pictures and no texts"]),
    "text": (["train", "short.txt"], ["short.txt has 5 characters."]),
    "speakers": (["train", "short.txt", "--speakers"], ["fewer than two speakers"]),
    "answers": (["train", "reviews.csv", "--text", "review"], ["what is to be predicted was not said"]),
    "positive": (["train", "passengers.csv", "--target", "Survived", "--positive", "yes"], ["Unknown class: 'yes'"]),
    "recall": (["train", "houses.csv", "--target", "price", "--recall", "0.9"], ["recall was given", "asks for numbers"]),
    "folds": (["train", "verse.txt", "--folds", "3"], ["of plain text"]),
    "classes": (["train", "houses.csv", "--target", "price", "--balanced"], ["Balanced classes were asked for"]),
    "near": (["check", "house.csv"], ["house.csv is not there.", "did you mean houses.csv?"]),
    "damaged": (["train", "broken"], ["broken/a/0.png"]),
    "check": (["check", "houses.csv", "--only", "leaks"], ["Unknown check: 'leaks'"]),
    "gone": (["predict", "runs/houses", "houses.cvs"], ["did you mean houses.csv?"]),
    "lacking": (["predict", "runs/houses", "lacking.csv"], ["lacking.csv has no column 'size'.", "size, town, built.", "add it;"]),
    "other table": (["predict", "runs/houses", "reviews.csv"], ["no column 'size', nor 2 more of the 3 that"]),
    "spelling": (["predict", "runs/houses", "spelling.csv"], ["has no column 'size'.", "rename 'sise' to 'size'"]),
    "one class": (["train", "alone"], ["alone has one class, 'a', in all 12 rows", "Fix: a folder for each class"]),
    "constant": (["check", "constant.csv", "--target", "b"], ["constant has one class, 'no', in all 30 rows"]),
    "names": (["train", "names.csv", "--target", "Who"], ["30 different values in 30 rows of the column 'who'"]),
    "taken": (["train", "houses.csv", "--target", "price", "--name", "houses"], ["--name houses-2"]),
    "no run": (["explain", "houses.csv"], ["houses.csv is not the folder of a run", "did you mean runs/houses?"]),
    "the runs": (["summary", "runs"], ["is not the folder of a run", "one of runs/days, runs/houses,"]),
    "nowhere": (["summary", "elsewhere/x"], ["elsewhere/x is not the folder of a run: it is not there."]),
    "words": (["predict", "runs/houses", "words.csv"], ["'size' holds 'large' in row 0."]),
    "picture": (["predict", "runs/photos", "short.txt"], ["ends in '.txt'", "trained on images"]),
    "new class": (["evaluate", "runs/passengers", "third.csv"], ["Unknown class: '2'"]),
    "full": (["train", "houses.csv", "--target", "price", "--out", "runs/houses"], ["is there already."]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case, made, capsys, monkeypatch):
    monkeypatch.chdir(made)
    (made / "empty").mkdir(exist_ok=True)
    (made / "short.txt").write_text("hello")
    for kind in ("a", "b"):
        (made / "broken" / kind).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            (made / "broken" / kind / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (made / "lacking.csv").write_text("town,built\nBern,1950-01-01\n")
    (made / "spelling.csv").write_text("town,sise,built\nBern,100,1950-01-01\n")
    (made / "constant.csv").write_text("a,b\n" + "".join(f"{row % 7},no\n" for row in range(30)))
    (made / "names.csv").write_text("a,who\n" + "".join(f"{row % 7},Ann {row}\n" for row in range(30)))
    (made / "alone" / "a").mkdir(parents=True, exist_ok=True)
    for number in range(12):
        Image.new("RGB", (8, 8)).save(made / "alone" / "a" / f"{number}.png")
    (made / "words.csv").write_text("town,size,built\nBern,large,1950-01-01\n")
    (made / "third.csv").write_text(
        "Name,Sex,Pclass,Age,Survived\n"
        + "".join(f"Ann Onymous Person,male,{row % 3},{row},{row % 2 + 1}\n" for row in range(80))
    )
    arguments, expected = WRONG[case]
    code, out, err = run(*arguments, *(QUICK if arguments[0] == "train" else ()), capsys=capsys)
    assert code == 2, out + err
    for part in expected:
        assert part in err
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and "Traceback" not in out + err
    assert not (made / "runs" / "houses-2").exists()


def test_a_fault_of_the_program_is_no_traceback(capsys, monkeypatch):
    import uncrumple.experiment as room

    def broken(*_, **__):
        raise RuntimeError("a hole\nin the floor")

    monkeypatch.setattr(room.Source, "opened", broken)
    code, _, err = run("check", "iris", capsys=capsys)
    assert code == 3 and err.startswith("Error: RuntimeError: a hole") and err.count("\n") == 1
    monkeypatch.setenv("UNCRUMPLE_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="a hole"):
        main(["check", "iris"])


def test_every_command_helps_with_examples_and_exit_codes(capsys):
    for name in ("check", "train", "compare", "predict", "evaluate", "summary"):
        code, out, _ = run(name, "--help", capsys=capsys)
        assert (
            code == 0 and f"uncrumple {name} " in out and "Exit codes: 0" in " ".join(out.split()) and "--json" in out
        )
    code, out, _ = run("--help", capsys=capsys)
    assert code == 0 and "Exit codes:" in out and all(name in out for name in ("check", "compare"))
