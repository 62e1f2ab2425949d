"""The commands, run as a user runs them: what they print, what they write, how they fail."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from uncrumple.cli.main import main
from uncrumple.data.named import load
from uncrumple.models import load_model


def run(*arguments, capsys):
    """Run a command line; return (exit code, what it printed to standard output and error)."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a short run on iris and one on digits."""
    folder = tmp_path_factory.mktemp("runs")
    for data, epochs in (("iris", 30), ("digits", 2)):
        main(["train", data, "--runs-dir", str(folder), "--epochs", str(epochs), "--quiet", "--budget", "10"])
    return folder


@pytest.fixture
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_train_shows_each_part(alone, capsys):
    code, out, _ = run("train", "iris", "--epochs", 30, "--quiet", capsys=capsys)
    assert code == 0
    for part in (
        "(150, 4): samples, features",
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
        "metrics.json",
        "model.keras",
        "plots/comparison.png",
        "plots/confusion.png",
        "plots/curves.png",
        "report.html",
        "run.json",
    ]
    metrics = json.loads((folder / "metrics.json").read_text())
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
    assert "http://" not in page and "https://" not in page.replace("https://www.w3.org", "")
    pictures = sorted(path.name for path in (runs / "digits" / "plots").iterdir())
    assert pictures == ["comparison.png", "confusion.png", "curves.png", "examples.png", "mistakes.png"]


def test_scaling_comes_from_training_rows_alone(runs):
    """The model holds the mean of the training part: not that of all rows."""
    from uncrumple.experiment import read_run

    found = read_run(runs / "iris")
    prepared = found.prepared()
    x_train, _ = prepared.rows("train")
    scaling = found.model.layers[0]
    assert np.allclose(np.asarray(scaling.mean.detach()).reshape(-1), x_train.mean(axis=0), atol=1e-4)
    assert not np.allclose(x_train.mean(axis=0), prepared.dataset.x.mean(axis=0), atol=1e-4)


def test_same_seed_same_run(runs, alone, capsys):
    run("train", "iris", "--epochs", 30, "--quiet", "--budget", 10, capsys=capsys)
    first = json.loads((runs / "iris" / "history.json").read_text())
    assert json.loads((alone / "runs" / "iris" / "history.json").read_text()) == first


def test_evaluate_gives_the_same_numbers(runs, capsys):
    code, out, _ = run("evaluate", runs / "iris", capsys=capsys)
    score = json.loads((runs / "iris" / "metrics.json").read_text())["scores"]["accuracy"]["score"]
    assert code == 0
    assert f"accuracy: {100 * score:.1f} %" in out


def test_summary(runs, capsys):
    code, out, _ = run("summary", runs / "digits", capsys=capsys)
    assert code == 0
    assert "(Conv2D)" in out
    assert "the network" in out


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


MISTAKES = {
    "command": (["trian"], ["Unknown command: 'trian'.", "did you mean 'train'?"]),
    "data": (["train", "irsi"], ["Unknown data set: 'irsi'.", "did you mean 'iris'?"]),
    "run": (["predict", "{runs}/irsi"], ["is not the folder of a run", "did you mean {runs}/iris?"]),
    "file": (["predict", "{runs}/iris", "nothing.csv"], ["nothing.csv is not there.", "Fix: "]),
    "suffix": (["predict", "{runs}/iris", "{runs}/iris/run.json"], ["ends in '.json'", ".csv"]),
    "name": (["train", "iris", "--name", "a/b"], ["'a/b'", "--name first-try"]),
    "offline": (["train", "mnist", "--offline", "--data-dir", "{runs}"], ["mnist is not in {runs}", "Fix: "]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_answered_in_words(case, runs, alone, capsys):
    arguments, expected = MISTAKES[case]
    code, out, err = run(*[argument.format(runs=runs) for argument in arguments], capsys=capsys)
    assert code in (1, 2)
    for part in expected:
        assert part.format(runs=runs) in err
    assert "Traceback" not in out + err


def test_wrong_tables_are_refused(runs, alone, capsys):
    iris = load("iris")
    names = list(iris.feature_names)
    (alone / "renamed.csv").write_text(",".join([names[0].replace("length", "lenght"), *names[1:]]) + "\n1,2,3,4\n")
    code, _, err = run("predict", runs / "iris", "renamed.csv", capsys=capsys)
    assert code == 1 and f"rename '{names[0].replace('length', 'lenght')}' to '{names[0]}'" in err
    (alone / "text.csv").write_text(",".join(names) + "\n1,2,three,4\n")
    code, _, err = run("predict", runs / "iris", "text.csv", capsys=capsys)
    assert code == 1 and "Expected numbers." in err
    (alone / "gap.csv").write_text(",".join(names) + "\n1,2,,4\n")
    code, _, err = run("predict", runs / "iris", "gap.csv", capsys=capsys)
    assert code == 1 and "NaN or infinity in row 0, column 2" in err
    (alone / "half.npy").write_bytes(b"\x93NUMPY\x01")
    code, _, err = run("predict", runs / "iris", "half.npy", capsys=capsys)
    assert code == 1 and "cannot be read" in err


def test_a_damaged_run_is_refused(runs, alone, capsys):
    folder = alone / "runs" / "broken"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"data": "iris"')
    code, _, err = run("summary", folder, capsys=capsys)
    assert code == 1 and "is damaged" in err


def test_a_name_that_is_taken(runs, capsys):
    code, _, err = run("train", "iris", "--name", "iris", "--runs-dir", runs, capsys=capsys)
    assert code == 1 and "--name iris-2" in err


def test_control_c_keeps_what_was_learned(tmp_path):
    """Ctrl-C while training: the job goes on with the network as it is, and writes everything."""
    command = [sys.executable, "-u", "-m", "uncrumple", "train", "digits", "--quiet", "--runs-dir", str(tmp_path)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
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
