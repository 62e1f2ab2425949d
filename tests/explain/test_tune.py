"""The search: finds what is good, says what it is worth, loses nothing when it is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers

optuna = pytest.importorskip("optuna")

random = np.random.default_rng(5)
X = random.normal(size=(150, 4)).astype("float32")
Z = (X[:, :1] - 0.5 * X[:, 1:2] + 0.1 * random.normal(size=(150, 1))).astype("float32")
Y = (Z[:, 0] > 0).astype("int64")
SPACE = {"units": (2, 32, "log"), "rate": (1e-5, 1e-1, "log"), "activation": ["relu", "tanh"]}


def build(units=8, rate=0.01, activation="relu"):
    model = uc.Sequential([uc.Input((4,)), layers.Dense(units, activation), layers.Dense(1)])
    model.compile(uc.optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


def classifier(rate):
    model = uc.Sequential([uc.Input((4,)), layers.Dense(8, "relu"), layers.Dense(2, "softmax")])
    model.compile(uc.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def tuned(**arguments):
    given = {"space": SPACE, "trials": 8, "epochs": 6, "retrain": 1, "verbose": 0, **arguments}
    return uc.tune(given.pop("build", build), given.pop("data", (X, Z)), **given)


@pytest.fixture(scope="module")
def found():
    return tuned(trials=14, retrain=3)


def rows_of(result):
    return [(row.state, row.settings, row.score, row.epochs) for row in result.trials]


def test_it_finds_a_good_rate_and_what_matters(found):
    assert 0.005 < found.best["rate"] <= 0.1
    complete = [row for row in found.trials if row.state == "complete"]
    assert found.best_score == min(row.score for row in complete)
    assert max(found.importance, key=lambda name: found.importance[name][1]) == "rate"
    assert sum(mean for _, mean, _ in found.importance.values()) == pytest.approx(1, abs=0.01)
    assert found.count("pruned") + found.count("complete") + found.count("failed") == len(found.trials) == 14


def test_the_estimate_is_of_rows_that_the_search_never_saw(found):
    parts = uc.data.split(len(X), validation=0.2, test=0.2, seed=0)
    assert found.sizes == tuple(len(part) for part in parts)
    loss, mae = found.model.evaluate(X[parts.test], Z[parts.test], verbose=0)
    assert found.fresh[0] == pytest.approx(loss, rel=1e-5) and found.fresh_scores["mae"] == pytest.approx(mae, rel=1e-5)
    chosen = found.model.evaluate(X[parts.validation], Z[parts.validation], verbose=0)[0]
    assert chosen == pytest.approx(found.best_score, rel=1e-4)  # trained again, the winner is the trial's own model
    assert found.optimism == pytest.approx(found.fresh[0] - found.best_score)
    assert found.interval[0] < found.fresh[0] < found.interval[1]
    assert len(found.fresh) == 3 and len(set(found.fresh)) == 3 and not found.notes


def test_optimism_is_seen_where_there_is_nothing_to_find():
    """Labels that are coin tosses: the best of many is better than chance, and on fresh rows it is not."""
    y = np.random.default_rng(11).integers(0, 2, 150)
    x = np.random.default_rng(12).normal(size=(150, 4)).astype("float32")
    result = tuned(
        build=classifier, data=(x, y), space={"rate": (1e-3, 0.3, "log")}, trials=12, metric="accuracy", prune=False
    )
    assert result.more_is_better and result.best_score > 0.55
    assert result.optimism > 0
    assert result.best_score == max(row.score for row in result.trials)


def test_the_same_seed_finds_the_same_and_leaves_random_numbers_alone():
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    one, other = (tuned(trials=4, epochs=3) for _ in range(2))
    assert rows_of(one) == rows_of(other) and one.fresh == other.fresh
    assert torch.equal(state[0], torch.get_rng_state()) and (state[1] == np.random.get_state()[1]).all()
    assert rows_of(tuned(trials=2, epochs=3, seed=1)) != rows_of(one)[:2]


def test_build_with_a_trial_and_a_batch_size():
    sizes = []

    def of_trial(trial):
        count = trial.suggest_int("layers", 1, 2)
        trial.suggest_categorical("batch_size", [8, 64])
        hidden = [layers.Dense(trial.suggest_int(f"units_{place}", 2, 16), "relu") for place in range(count)]
        model = uc.Sequential([uc.Input((4,)), *hidden, layers.Dense(1)])
        model.compile("adam", "mse")
        sizes.append(model)
        return model

    result = tuned(build=of_trial, space=None, trials=4)
    assert {"layers", "batch_size", "units_0"} <= set(result.best)
    for row, model in zip(result.trials, sizes):
        steps = -(-result.sizes[0] // row.settings["batch_size"]) * row.epochs
        assert int(model.optimizer.iterations) == steps
        assert (row.settings["layers"] == 2) == ("units_1" in row.settings)
    by_name = tuned(space={"rate": (1e-3, 1e-1, "log"), "batch_size": [8, 64]}, trials=3)
    assert all(row.settings["batch_size"] in (8, 64) for row in by_name.trials)


# --- what goes wrong ------------------------------------------------------------------------------


def test_failing_trials_are_counted_and_named():
    def often(units, rate, activation):
        if activation == "tanh":
            raise RuntimeError("no tanh on this machine\nsecond line")
        return build(units, rate)

    result = tuned(build=often, trials=10)
    assert result.count("failed") > 0 and result.count("complete") > 0 and len(result.trials) == 10
    assert all(row.why == "RuntimeError: no tanh on this machine" for row in result.trials if row.state == "failed")
    assert ": RuntimeError: no tanh on this machine" in str(result) and f"{result.count('failed')} failed" in str(
        result
    )
    assert result.best["activation"] == "relu"


def test_nan_is_a_failure_and_when_all_fail_it_is_said():
    def explodes(rate):
        model = build(8, 0.01)
        model.compile(uc.optimizers.SGD(1e20 if rate > 0.5 else 0.01), "mse")
        return model

    result = tuned(build=explodes, space={"rate": [0.1, 0.9]}, trials=6)
    assert {row.settings["rate"] for row in result.trials if row.state == "failed"} == {0.9}
    assert any("became" in row.why for row in result.trials)
    with pytest.raises(RuntimeError) as error:
        tuned(build=lambda rate: 1 / 0, space={"rate": (0.1, 0.9)}, trials=3)
    assert str(error.value) == (
        "tune completed none of 3 trials: ZeroDivisionError: division by zero (3 trials).\n"
        "Expected at least one that ends with a finite score.\nFix: call build once by hand and fit it"
    )


def test_penalties_do_not_count():
    """Two models that differ in a penalty alone have scores of the same kind: the loss without it."""

    def decayed(strength):
        model = uc.Sequential(
            [
                uc.Input((4,)),
                layers.Dense(1, kernel_regularizer=uc.regularizers.L2(strength), kernel_initializer="ones"),
            ]
        )
        model.compile(uc.optimizers.SGD(0.0), "mse")
        return model

    result = tuned(build=decayed, space={"strength": (0.1, 10.0)}, trials=3, epochs=1)
    scores = [row.score for row in result.trials]
    np.testing.assert_allclose(scores, scores[0], rtol=1e-4)
    assert len({row.settings["strength"] for row in result.trials}) == 3


def test_pruning_gives_up_what_does_worse():
    result = tuned(trials=16, epochs=12, patience=None, space={"rate": (1e-6, 1e-1, "log")})
    pruned = [row for row in result.trials if row.state == "pruned"]
    assert pruned and all(row.epochs < 12 and row.score is not None for row in pruned)
    assert all(row.score >= result.best_score for row in pruned)
    assert not tuned(trials=8, prune=False).count("pruned")


def test_the_time_is_kept():
    def slow(rate):
        time.sleep(0.15)
        return build(4, rate)

    began = time.monotonic()
    result = tuned(build=slow, space={"rate": (1e-3, 1e-1)}, trials=1000, seconds=1.0, epochs=2)
    assert time.monotonic() - began < 10 and 1 <= len(result.trials) < 8 and result.ended == "time"
    assert "until the time was up" in str(result)


# --- files -------------------------------------------------------------------------------------------


def test_a_search_goes_on_where_it_was(tmp_path):
    file = tmp_path / "search.db"
    whole = tuned(epochs=2, trials=6)
    first = tuned(epochs=2, trials=3, file=file)
    assert rows_of(first) == rows_of(whole)[:3]
    # A process that is gone has left a trial under way: it is run anew. (The slow test kills one.)
    study = optuna.load_study(study_name="uncrumple", storage=f"sqlite:///{file}")
    left = study.ask()
    left.suggest_int("units", 2, 32, log=True)
    left.set_user_attr("process", [socket.gethostname(), 2**22 + 1])
    rest = tuned(epochs=2, trials=6, file=file)
    assert rows_of(rest) == rows_of(whole) and rest.fresh == whole.fresh
    made = []
    again = tuned(epochs=2, trials=6, file=file, build=lambda **settings: made.append(settings) or build(**settings))
    assert rows_of(again) == rows_of(whole) and len(made) == 1  # the winner alone is trained again


def test_another_search_is_refused(tmp_path):
    file = tmp_path / "search.db"
    tuned(trials=2, file=file)
    with pytest.raises(ValueError) as error:
        tuned(trials=2, file=file, epochs=7, data=(X[:100], Z[:100]))
    assert "was begun with other data, epochs." in str(error.value)
    (tmp_path / "notes.txt").write_text("not a database at all")
    with pytest.raises(ValueError, match="which is no SQLite file"):
        tuned(file=tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        tuned(file=tmp_path / "no" / "search.db")


SCRIPT = """
import os, signal, sys
import numpy as np
sys.path.insert(0, {tests!r})
import test_tune as t
count = 0
def build(**settings):
    global count
    count += 1
    if count == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return t.build(**settings)
t.tuned(trials=6, file={file!r}, build=build)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_in_a_trial_it_loses_nothing(tmp_path):
    file = str(tmp_path / "search.db")
    script = textwrap.dedent(SCRIPT).format(tests=os.path.dirname(__file__), file=file)
    ended = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-500:]
    study = optuna.load_study(study_name="uncrumple", storage=f"sqlite:///{file}")
    assert [trial.state.is_finished() for trial in study.trials] == [True] * 3 + [False]
    before = study.trials[0].datetime_start
    result = tuned(trials=6, file=file)
    assert rows_of(result) == rows_of(tuned(trials=6))
    study = optuna.load_study(study_name="uncrumple", storage=f"sqlite:///{file}")
    assert study.trials[0].datetime_start == before and len(study.trials) == 7  # with the one that was killed
    assert study.trials[3].user_attrs["interrupted"]


def test_ctrl_c_ends_it_with_what_there_is():
    def interrupted(rate):
        interrupted.count += 1
        if interrupted.count == 4:
            raise KeyboardInterrupt
        return build(4, rate)

    interrupted.count = 0
    result = tuned(build=interrupted, space={"rate": (1e-3, 1e-1)}, trials=30)
    assert len(result.trials) == 3 and result.ended == "Ctrl-C" and "until Ctrl-C" in str(result)


# --- words, pictures, data --------------------------------------------------------------------------


def test_words_table_and_pictures(found, tmp_path):
    text = str(found)
    assert text.startswith("The best of 14 trials had a validation loss of ")
    assert "36 fresh" not in text and "30 fresh rows" in text and "What made the trials differ: rate" in text
    assert len(found.table().splitlines()) == 15
    assert found.table(3).splitlines()[-1] == "... and 11 more"
    plain = json.loads(found.save(tmp_path / "t.json").read_text())
    assert plain["best"] == found.best and len(plain["trials"]) == 14 and plain["optimism"] == found.optimism
    figure = found.plot()
    assert figure.texts[0].get_text().replace("\n", " ") == found.verdict()
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["The search", "What made trials differ", "By rate"]
    assert figure.axes[2].get_xscale() == "log"
    assert found.save(tmp_path / "t.png").stat().st_size > 10000
    assert "data:image/png" in found.save(tmp_path / "t.html").read_text()


def test_a_line_for_each_trial(capsys):
    tuned(trials=2, verbose=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Trial ")]
    assert len(lines) == 2 and lines[0].startswith("Trial 1/2: complete ") and "units" in lines[0]


def test_the_test_part_stays_sealed():
    table = uc.data.Table({**{f"x{i}": X[:, i] for i in range(4)}, "y": Y}, target="y")
    parts = uc.data.split(table)

    def raw(units):
        inputs = parts.train.preparation()
        taken = inputs.inputs()
        model = uc.Model(taken, layers.Dense(2, "softmax")(layers.Dense(units, "relu")(inputs(taken))))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    result = tuned(build=raw, data=parts, space={"units": (2, 8)}, trials=3, metric="accuracy")
    assert parts.test_uses == 0 and "test rows were not looked at" in str(result)
    held = len(parts.rows.validation)
    assert result.sizes == (len(parts.rows.train), held - round(held / 2), round(held / 2))
    assert result.model.predict(parts.validation.raw, verbose=0).shape == (len(parts.rows.validation), 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"space": {"units": (5, 2)}}, "tune got (5, 2) for 'units'.\nExpected low < high."),
        ({"space": {"units": (0, 2, "log")}}, "tune got (0, 2, 'log') for 'units'.\nExpected low > 0"),
        ({"space": {"units": 3}}, "tune got 3 for 'units'.\nExpected a list of choices, or (low, high)"),
        ({"space": {}}, "tune got space={}.\nExpected a dict"),
        ({"trials": 0}, "tune got trials=0.\nExpected a whole number of at least 1."),
        ({"seconds": 0}, "tune got seconds=0.\nExpected a number above 0, or None."),
        ({"fresh": 1.5}, "tune got fresh=1.5.\nExpected 0 < fresh < 1."),
        ({"metric": "acuracy"}, "tune got metric='acuracy', and the model has: loss, mae."),
        ({"build": build(4)}, "tune got a Sequential as build."),
    ],
)
def test_impossible_arguments(arguments, text):
    with pytest.raises((ValueError, TypeError)) as error:
        tuned(**arguments)
    assert str(error.value).startswith(text)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'pip install "uncrumple\[tune\]"'):
        tuned()
