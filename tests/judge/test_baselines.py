"""Baselines: sensible, repeatable, honest about what was left out."""

import numpy as np
import pytest

from uncrumple.data.named import load
from uncrumple.data.split import split
from uncrumple.judge import baselines, fit_baselines, measure_answers


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    parts = split(data.y)
    return data.x[parts.train], data.y[parts.train], data.x[parts.test], data.y[parts.test]


def test_digits(digits):
    x, y, x_test, y_test = digits
    seen = []
    found = {
        one.name: one for one in fit_baselines(x, y, x_test, "classification", progress=lambda *now: seen.append(now))
    }
    scores = {name: (one.answers == y_test).mean() for name, one in found.items()}
    assert list(scores) == ["majority class", "decision tree", "logistic regression", "RBF SVM", "gradient boosting"]
    assert scores["majority class"] < 0.15
    assert 0.75 < scores["decision tree"] < 0.92
    assert scores["logistic regression"] > 0.92
    assert scores["RBF SVM"] > 0.96
    assert scores["gradient boosting"] > 0.94
    assert seen == [(name, len(x), len(x)) for name in scores]
    for one in found.values():
        assert one.cost.rows_used == one.cost.rows_given == len(x)
        assert one.cost.fit_seconds >= 0 and one.cost.ms_per_row > 0 and one.cost.size_bytes > 100
        assert one.cost.remarks == ()
    assert [one.cost.readable for one in found.values()] == [True, False, False, False, False]


def test_a_small_tree_and_a_linear_model_on_a_table_are_readable():
    data = load("iris")
    found = {one.name: one.cost for one in fit_baselines(data.x, data.y, data.x[:5], "classification")}
    assert found["decision tree"].readable and "leaves, its size chosen by 5-fold" in found["decision tree"].settings
    assert found["logistic regression"].readable
    assert not found["RBF SVM"].readable


def test_regression_baselines_are_not_straw_men():
    data = load("diabetes")
    parts = split(data.y)
    errors = {
        one.name: np.abs(one.answers - data.y[parts.test]).mean()
        for one in fit_baselines(data.x[parts.train], data.y[parts.train], data.x[parts.test], "regression")
    }
    assert list(errors) == ["always the median", "decision tree", "ridge regression", "RBF SVM", "gradient boosting"]
    assert errors["always the median"] == pytest.approx(
        np.abs(data.y[parts.test] - np.median(data.y[parts.train])).mean()
    )
    # A grown tree errs by 60, an SVM whose target is not scaled by 57.
    assert errors["gradient boosting"] < 56
    assert errors["decision tree"] < 55 and errors["RBF SVM"] < 52 and errors["ridge regression"] < 50


def test_a_second_run_gives_the_same_answers(digits):
    x, y, x_test, _ = digits
    one, other = (list(fit_baselines(x[:300], y[:300], x_test, "classification", seed=3)) for _ in range(2))
    assert all(np.array_equal(first.answers, second.answers) for first, second in zip(one, other))


def test_scaling_of_the_inputs_does_not_matter(digits):
    x, y, x_test, _ = digits
    one = list(fit_baselines(x[:300], y[:300], x_test, "classification"))
    other = list(fit_baselines(x[:300] / 16, y[:300], x_test / 16, "classification"))
    assert all((first.answers == second.answers).mean() > 0.99 for first, second in zip(one, other))


def test_rows_left_out_are_drawn_evenly_and_said(digits, monkeypatch):
    x, y, x_test, _ = digits
    monkeypatch.setattr(baselines, "_SVM_FIT_COST", 1e-6)  # as if the machine were ten thousand times slower
    monkeypatch.setattr(baselines, "_FEWEST_ROWS", 100)
    seen = []
    drawn = baselines._drawn(y, 200, "classification", seed=0)
    found = list(fit_baselines(x, y, x_test, "classification", progress=lambda *now: seen.append(now)))[-2].cost
    assert 100 <= found.rows_used < found.rows_given == len(x)
    assert found.rows_used % 10 == 0
    assert found.remarks == (f"fitted on {found.rows_used:,} of 1,257 rows to stay within its share of 60 s",)
    assert seen[-2] == ("RBF SVM", found.rows_used, len(x))
    assert len(set(drawn)) == 200
    assert np.abs(np.bincount(y[drawn]) - 20).max() <= 1


def test_how_many_rows_follows_from_size_and_budget_alone():
    mnist = [baselines._svm("classification", False, 784, 10, 10_000, 0, budget)[1] for budget in (60, 600)]
    rows = [
        baselines._rows_within(cost, 54_000, budget * baselines._SHARES["RBF SVM"])
        for cost, budget in zip(mnist, (60, 600))
    ]
    assert rows == [8_600, 37_000]
    assert baselines._rows_within(lambda rows: 0.0, 12_345, 1) == 12_345
    assert baselines._rows_within(lambda rows: 1e9, 12_345, 1) == 500
    assert baselines._rows_within(lambda rows: 1e9, 123, 1) == 123


def test_boosting_is_cut_in_rounds_before_rows_and_says_so(digits, monkeypatch):
    x, y, x_test, _ = digits
    monkeypatch.setattr(baselines, "_BOOSTING_COST", (7.5e-4, 1.7e-7))  # as if the machine were ten times slower
    found = list(fit_baselines(x, y, x_test[:5], "classification", budget_seconds=60))[-1].cost
    assert found.rows_used == len(x)
    assert found.remarks == ("cut to 29 of 100 rounds by its share of 60 s",)


def test_rounds_cut_short_are_said(monkeypatch):
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 30))
    y = (x[:, 0] > 0).astype(int)
    monkeypatch.setattr(baselines, "LogisticRegression", lambda max_iter, random_state: _hurried())
    found = {one.name: one.cost for one in fit_baselines(x, y, x, "classification")}
    assert found["logistic regression"].remarks == (
        "stopped before it had settled: more rounds could change it a little",
    )
    assert found["RBF SVM"].remarks == ()


def _hurried():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1)


def test_rare_classes_do_not_stop_the_tree():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3))
    y = np.array([0] * 58 + [1, 1])
    assert "2-fold" in list(fit_baselines(x, y, x, "classification"))[1].cost.settings
    y[-1] = 0
    assert "grown to the end" in list(fit_baselines(x, y, x, "classification"))[1].cost.settings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "clasification"}, "did you mean 'classification'?"),
        ({"budget_seconds": 0}, "fit_baselines got budget_seconds=0."),
        ({"y_train": np.zeros(3, int)}, "fit_baselines got 4 rows and 3 answers."),
        ({"y_train": np.zeros(4, int)}, "all of class 0."),
        ({"x_test": np.zeros((4, 3))}, "x_test of shape (4, 3)."),
        ({"x_test": np.full((4, 2), np.nan)}, "8 values in x_test that are NaN or infinite."),
    ],
)
def test_impossible_arguments(change, said):
    right = {
        "x_train": np.zeros((4, 2)),
        "y_train": np.array([0, 0, 1, 1]),
        "x_test": np.zeros((4, 2)),
        "task": "classification",
    }
    with pytest.raises(ValueError) as caught:
        fit_baselines(**(right | change))  # said at once, not when the first is asked for
    assert said in str(caught.value)


def test_the_shortest_time_counts():
    calls = []
    answers, milliseconds = measure_answers(lambda x: calls.append(1) or x + 1, np.zeros((50, 2)))
    assert answers.sum() == 100
    assert len(calls) == 5
    assert 0 < milliseconds < 10


def test_several_values_at_once():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3))
    y = np.stack([x[:, 0], 100 * x[:, 1]], axis=1)
    found = {one.name: one.answers for one in fit_baselines(x[:150], y[:150], x[150:], "regression")}
    assert all(answers.shape == (50, 2) for answers in found.values())
    assert np.abs(found["ridge regression"] - y[150:]).mean(axis=0) == pytest.approx([0, 0], abs=2)
    assert (np.abs(found["RBF SVM"] - y[150:]) / [1, 100]).mean() < 0.3
    assert (np.abs(found["gradient boosting"] - y[150:]) / [1, 100]).mean() < 0.3


def test_columns_of_one_kind_are_not_scaled():
    random = np.random.default_rng(0)
    x = np.stack([random.normal(size=300), 1e-3 * random.normal(size=300)], axis=1)
    y = (x[:, 0] > 0).astype(int)
    scaled, plain = (
        {one.name: one for one in fit_baselines(x[:200], y[:200], x[200:], "classification", scale=scale)}
        for scale in (None, False)
    )
    assert "StandardScaler" in str(scaled["RBF SVM"].model) and "StandardScaler" not in str(plain["RBF SVM"].model)
    assert (plain["RBF SVM"].answers == y[200:]).mean() > 0.95


def test_boosting_gets_the_best_of_many_columns_that_are_nearly_always_nothing():
    random = np.random.default_rng(0)
    x = (random.random((300, 400)) < 0.02).astype("float32")
    y = random.integers(0, 2, 300)
    x[:, 7] = y  # the one that tells
    found = list(fit_baselines(x[:200], y[:200], x[200:], "classification"))[-1]
    assert found.cost.settings == "100 rounds, rate 0.1, the 200 of 400 columns that tell most by themselves"
    assert (found.answers == y[200:]).all()


def test_a_tree_whose_search_is_too_long_is_sized_on_a_fifth_of_the_rows(monkeypatch):
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3))
    y = (x[:, 0] + random.normal(size=400) > 0).astype(int)
    # A fit is taken to last a twelfth of the tree's share: seven are affordable, thirty-five are not.
    monkeypatch.setattr(baselines, "_TREE_COST", 60 * 0.2 / 12 / (400 * np.log2(400) * 3))
    found = next(one for one in fit_baselines(x, y, x[:5], "classification") if one.name == "decision tree")
    assert found.cost.settings.endswith("leaves, its size chosen on a fifth of the training rows")
    assert found.cost.readable  # noise is not learnt by heart
