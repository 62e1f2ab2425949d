"""The commands, run as a user runs them: what they print, what they write, how they fail."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command_lines import run
from PIL import Image

from uncrumple.cli.main import main
from uncrumple.data.named import load
from uncrumple.models import load_model

QUICK = ("--budget", "5", "--check-seconds", "0")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a short run on iris and one on digits."""
    folder = tmp_path_factory.mktemp("runs")
    for data, epochs in (("iris", 30), ("digits", 2)):
        main(["train", data, "--runs-dir", str(folder), "--epochs", str(epochs), "--quiet", *QUICK])
    return folder


@pytest.fixture
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_train_shows_each_part(alone, capsys):
    code, out, _ = run("train", "iris", "--epochs", 30, "--quiet", "--check-seconds", 1, capsys=capsys)
    assert code == 0
    for part in (
        "(150, 4): samples, columns",
        "checks ran in",
        "training 106 · validation 22 · test 22 rows",
        'Model: "iris_network"',
        "Epoch 1/30",
        "val_accuracy:",
        "decision tree",
        "RBF SVM",
        "gradient boosting",
        "95 % interval",
        "truth \\ answer",
        "Verdict",
        "etwork (",
        "report.html",
    ):
        assert part in out, part


def test_train_writes_the_run(runs):
    folder = runs / "iris"
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert written == [
        "history.json",
        "model-for-keras.keras",
        "model.keras",
        "plots/comparison.png",
        "plots/confusion.png",
        "plots/curves.png",
        "report.html",
        "report.json",
        "run.json",
    ]
    metrics = json.loads((folder / "report.json").read_text())
    assert 0.5 < metrics["scores"]["accuracy"]["score"] <= 1
    assert "network" in metrics["comparison"]["verdict"]
    names = [row["name"] for row in metrics["comparison"]["rows"]]
    assert names == [
        "network",
        "majority class",
        "decision tree",
        "logistic regression",
        "RBF SVM",
        "gradient boosting",
    ]
    page = (folder / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page.replace(
        "https://www.w3.org", ""
    )
    pictures = sorted(path.name for path in (runs / "digits" / "plots").iterdir())
    assert pictures == ["comparison.png", "confusion.png", "curves.png", "examples.png", "mistakes.png"]


def test_scaling_comes_from_training_rows_alone(runs):
    """The model holds the means of the training part: not those of all rows."""
    from uncrumple.experiment import read_run

    found = read_run(runs / "iris")
    prepared = found.prepared()
    x_train, _ = prepared.rows("train")
    for column in found.preparation.columns:
        values = x_train[column["name"]]
        assert column["mean"] == pytest.approx(values.mean())
        assert abs(values.mean() - prepared.dataset.raw[column["name"]].mean()) > 1e-4


def test_keras_gets_a_model_of_its_own(runs):
    """The same network in Keras's layers takes arrays; it answers what the model of raw rows answers."""
    iris = load("iris")
    plain = load_model(runs / "iris" / "model-for-keras.keras")
    whole = load_model(runs / "iris" / "model.keras")
    columns = {name: iris.x[:, place] for place, name in enumerate(iris.feature_names)}
    np.testing.assert_allclose(
        plain.predict(iris.x, verbose=0), whole.predict(columns, verbose=0), rtol=1e-4, atol=1e-6
    )
    digits = load("digits")
    answers = [
        load_model(runs / "digits" / name).predict(digits.x[:40], verbose=0)
        for name in ("model.keras", "model-for-keras.keras")
    ]
    np.testing.assert_allclose(*answers, rtol=1e-4, atol=1e-6)


def test_same_seed_same_run(runs, alone, capsys):
    run("train", "iris", "--epochs", 30, "--quiet", *QUICK, capsys=capsys)
    first = json.loads((runs / "iris" / "history.json").read_text())
    assert json.loads((alone / "runs" / "iris" / "history.json").read_text()) == first


def test_evaluate_gives_the_same_numbers(runs, capsys):
    code, out, _ = run("evaluate", runs / "iris", capsys=capsys)
    score = json.loads((runs / "iris" / "report.json").read_text())["scores"]["accuracy"]["score"]
    assert code == 0
    assert f"accuracy: {100 * score:.1f} %" in out


def test_summary(runs, capsys):
    code, out, _ = run("summary", runs / "digits", capsys=capsys)
    assert code == 0
    assert "(Conv2D)" in out
    assert "he network" in out


def test_predict_test_rows(runs, capsys):
    code, out, _ = run("predict", runs / "digits", capsys=capsys)
    assert code == 0
    assert "test row 0" in out and "%" in out


def test_predict_table(runs, alone, capsys):
    iris = load("iris")
    header = ",".join(["number", *reversed(iris.feature_names)])  # other columns, another order
    rows = [",".join(map(str, [n, *reversed(iris.x[row])])) for n, row in enumerate((0, 60, 140))]
    (alone / "flowers.csv").write_text("\n".join([header, *rows]))
    code, out, _ = run("predict", runs / "iris", "flowers.csv", capsys=capsys)
    assert code == 0
    assert next(line.split()[3] for line in out.splitlines() if "flowers" in line) == "setosa"
    code, out, _ = run("predict", runs / "iris", "flowers.csv", "--output", "answers.csv", capsys=capsys)
    assert code == 0
    lines = (alone / "answers.csv").read_text().splitlines()
    assert lines[0] == "row,answer,probability"
    assert len(lines) == 4


def test_predict_picture_and_array_agree(runs, alone, capsys):
    digits = load("digits")
    model = load_model(runs / "digits" / "model.keras")
    picture = digits.x[3]
    Image.fromarray((picture[..., 0] * 255 / 16).round().astype("uint8")).save(alone / "three.png")
    np.save(alone / "three.npy", picture)
    expected = str(model.predict(picture[None], verbose=0).argmax())
    for name in ("three.png", "three.npy"):
        code, out, _ = run("predict", runs / "digits", name, capsys=capsys)
        assert code == 0
        assert out.splitlines()[-1].split()[:2] == [name, expected]


def test_names_are_listed(capsys):
    code, out, _ = run("train", "--list", capsys=capsys)
    assert code == 0 and "digits" in out and "titanic" in out and "licence" in out
    code, out, _ = run("train", "--list", "--json", capsys=capsys)
    assert code == 0 and {one["name"] for one in json.loads(out)} >= {"iris", "mnist", "shakespeare"}
    code, out, err = run(capsys=capsys)
    assert code == 0 and "Usage: uncrumple" in out and not err


MISTAKES = {
    "command": (["trian"], ["Unknown command: 'trian'.", "did you mean 'train'?"]),
    "data": (["train", "irsi"], ["Unknown data set: 'irsi'.", "did you mean 'iris'?"]),
    "run": (["predict", "{runs}/irsi"], ["is not the folder of a run", "did you mean {runs}/iris?"]),
    "file": (["predict", "{runs}/iris", "nothing.csv"], ["nothing.csv is not there.", "Fix: "]),
    "suffix": (["predict", "{runs}/iris", "{runs}/iris/run.json"], ["ends in '.json'", ".csv"]),
    "name": (["train", "iris", "--name", "a/b"], ["'a/b'", "--name first-try"]),
    "offline": (["train", "mnist", "--offline", "--data-dir", "{runs}"], ["mnist is not in {runs}", "Fix: "]),
    "option": (["train", "iris", "--epoch", "3"], ["No such option", "--epochs", "uncrumple train --help"]),
    "path": (["train", "nowhere/rows.csv"], ["nowhere/rows.csv is not there.", "Fix: "]),
    "number": (["train", "iris", "--epochs", "none"], ["'none' is not a valid integer"]),
    "pictures": (["predict", "{runs}/digits", "{runs}/iris/run.json"], ["trained on images", ".png"]),
    "prompt": (
        ["predict", "{runs}/iris", "--prompt", "hello"],
        ["A text was given, and the network was trained on a table."],
    ),
    "retrain": (["compare", "{runs}/iris", "--epochs", "3"], ["--epochs was given", "trained already"]),
    "rows": (["compare", "{runs}/iris", "{runs}/digits"], ["were tested on different rows."]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_answered_in_words(case, runs, alone, capsys):
    arguments, expected = MISTAKES[case]
    code, out, err = run(*[argument.format(runs=runs) for argument in arguments], capsys=capsys)
    assert code == 2
    for part in expected:
        assert part.format(runs=runs) in err
    assert "Traceback" not in out + err
    assert err.startswith("Error: ") and err.count("\n") == 1  # one clear line


def test_wrong_tables_are_refused(runs, alone, capsys):
    iris = load("iris")
    names = list(iris.feature_names)
    (alone / "renamed.csv").write_text(",".join([names[0].replace("length", "lenght"), *names[1:]]) + "\n1,2,3,4\n")
    code, _, err = run("predict", runs / "iris", "renamed.csv", capsys=capsys)
    wrong = names[0].replace("length", "lenght")
    assert code == 2 and f"renamed.csv has no column '{names[0]}'." in err
    assert f"Fix: rename '{wrong}' to '{names[0]}'" in err
    (alone / "text.csv").write_text(",".join(names) + "\n1,2,three,4\n")
    code, _, err = run("predict", runs / "iris", "text.csv", capsys=capsys)
    assert code == 2 and "'petal length (cm)' holds 'three' in row 0." in err and "Expected a number" in err
    (alone / "half.npy").write_bytes(b"\x93NUMPY\x01")
    code, _, err = run("predict", runs / "iris", "half.npy", capsys=capsys)
    assert code == 2 and "cannot be read" in err


def test_a_damaged_run_is_refused(runs, alone, capsys):
    folder = alone / "runs" / "broken"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"data": "iris"')
    code, _, err = run("summary", folder, capsys=capsys)
    assert code == 2 and "is damaged" in err


def test_a_name_that_is_taken(runs, capsys):
    code, _, err = run("train", "iris", "--name", "iris", "--runs-dir", runs, capsys=capsys)
    assert code == 2 and "--name iris-2" in err


def test_control_c_keeps_what_was_learned(tmp_path):
    """Ctrl-C while training: the job goes on with the network as it is, and writes everything."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "uncrumple",
        "train",
        "digits",
        "--quiet",
        "--runs-dir",
        str(tmp_path),
        *QUICK,
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        # A job that a shell put in the background ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("Epoch 3/"):
            time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            break
    rest = process.communicate(timeout=120)[0]
    assert process.returncode == 0, "".join(seen) + rest
    assert "Stopped by Ctrl-C in epoch" in rest
    assert (tmp_path / "digits" / "report.html").is_file()
