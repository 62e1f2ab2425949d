"""Scores, confusion matrix and mistakes against scikit-learn and by hand."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    root_mean_squared_error,
)

from uncrumple.judge import (
    class_probabilities,
    classification_scores,
    confusion_of,
    largest_errors,
    regression_scores,
    wilson,
    worst_mistakes,
)

NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def answers():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 200)
    return truth, np.where(random.random(200) < 0.7, truth, random.integers(0, 4, 200))


def test_classification_scores_equal_scikit_learn(answers):
    found = classification_scores(*answers)
    assert found["accuracy"] == wilson(int((answers[0] == answers[1]).sum()), 200)
    assert found["accuracy"].score == accuracy_score(*answers)
    assert found["macro_f1"].score == pytest.approx(f1_score(*answers, average="macro"))
    assert found["macro_f1"].low < found["macro_f1"].score < found["macro_f1"].high


def test_macro_f1_counts_classes_that_are_only_answered():
    truth, given = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    assert classification_scores(truth, given)["macro_f1"].score == pytest.approx(
        f1_score(truth, given, average="macro")
    )


@pytest.mark.filterwarnings("error")
def test_one_class_in_truth_and_answers_is_no_warning():
    assert confusion_of(np.zeros(3, int), np.zeros(3, int), NAMES).mcc == 0


def test_regression_scores_equal_scikit_learn():
    random = np.random.default_rng(0)
    truth = random.normal(100, 20, 150)
    given = truth + random.normal(0, 5, 150)
    found = regression_scores(truth[:, None], given)
    assert found["mae"].score == pytest.approx(mean_absolute_error(truth, given))
    assert found["rmse"].score == pytest.approx(root_mean_squared_error(truth, given))
    assert found["r2"].score == pytest.approx(r2_score(truth, given))
    assert all(interval.low < interval.score < interval.high for interval in found.values())


def test_confusion_equals_scikit_learn(answers):
    found = confusion_of(*answers, NAMES)
    assert found.matrix.sum() == 200
    for label, entry in enumerate(found.classes):
        assert entry.name == NAMES[label]
        assert entry.precision == pytest.approx(precision_score(*answers, labels=[label], average=None)[0])
        assert entry.recall.score == pytest.approx(recall_score(*answers, labels=[label], average=None)[0])
        assert entry.f1 == pytest.approx(f1_score(*answers, labels=[label], average=None)[0])
        assert entry.recall == wilson(int(found.matrix[label, label]), entry.rows)
    assert found.row_shares.sum(axis=1) == pytest.approx(np.ones(4))


def test_what_is_not_defined_is_not_made_up():
    found = confusion_of(np.array([0, 0, 1]), np.array([0, 0, 0]), ("a", "b", "c"))
    assert found.classes[0].precision == pytest.approx(2 / 3)
    assert math.isnan(found.classes[1].precision)  # never answered
    assert found.classes[1].recall.score == 0
    assert math.isnan(found.classes[2].recall.score)  # no rows
    assert found.class_table()[1][2] == ["c", "–", "–", "–", "–", "0"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["classes"][2]["recall"] is None


def test_most_confused_is_ordered_and_leaves_out_what_is_right():
    found = confusion_of(np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 2, 1, 2]), ("a", "b", "c"))
    assert found.most_confused() == [("a", "b", 2), ("b", "c", 1)]
    assert found.most_confused(1) == [("a", "b", 2)]


def test_the_matrix_as_text():
    found = confusion_of(np.array([0, 0, 1]), np.array([0, 1, 1]), ("ant", "a very long name"))
    assert found.matrix_lines() == [
        "  truth \\ answer  ant  a very long…",
        "             ant    1             1",
        "a very long name    .             1",
    ]


def test_worst_mistakes_are_the_least_likely_truths():
    shares = np.array([[0.05, 0.9, 0.05], [0.6, 0.4, 0.0], [0.1, 0.3, 0.6], [1.0, 0.0, 0.0]])
    found = worst_mistakes(np.array([0, 0, 1, 2]), shares, ("a", "b", "c"))
    assert [(one.row, one.truth, one.answer, one.confidence, one.truth_probability) for one in found] == [
        (3, "c", "a", 1.0, 0.0),
        (0, "a", "b", 0.9, 0.05),
        (2, "b", "c", 0.6, 0.3),
    ]
    assert len(worst_mistakes(np.array([0, 0, 1, 2]), shares, ("a", "b", "c"), count=1)) == 1
    assert worst_mistakes(np.array([1]), shares[:1], ("a", "b", "c")) == []


def test_one_column_is_the_second_class():
    found = worst_mistakes(np.array([0, 1]), np.array([[0.8], [0.3]]), ("no", "yes"))
    assert [one.in_words() for one in found] == ["no → yes (80 %)", "yes → no (70 %)"]


def test_what_is_not_quite_certain_is_not_called_certain():
    found = worst_mistakes(np.array([0]), np.array([[0.00001, 0.99999]]), ("7", "1"))
    assert found[0].in_words() == "7 → 1 (>99.9 %)"


def test_largest_errors():
    found = largest_errors(np.array([100.0, 200.0, 300.0]), np.array([90.0, 260.0, 299.0]), count=2)
    assert [one.in_words() for one in found] == ["200 → 260 (+60.0)", "100 → 90 (-10.0)"]
    assert [one.row for one in found] == [1, 0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: class_probabilities(np.array([[2.0, -1.0]])), "that are not probabilities"),
        (lambda: class_probabilities(np.array([[0.5, 0.1]])), "that sum to 1 in each row"),
        (lambda: class_probabilities(np.array([[np.nan, 1.0]])), "not probabilities: 1 of 1 rows are NaN"),
        (lambda: worst_mistakes(np.array([0, 1]), np.eye(3), ("a", "b", "c")), "got 2 labels up to 1"),
        (lambda: worst_mistakes(np.array([0, 1]), np.eye(2), ("a",)), "and 1 class names"),
        (lambda: largest_errors(np.ones(3), np.ones(2)), "largest_errors got 3 values and 2 answers."),
        (lambda: largest_errors(np.ones(3), np.ones(3), count=0), "Judging got count=0 mistakes."),
        (lambda: confusion_of(np.array([0, 2]), np.array([0, 1]), ("a", "b")), "confusion_of got truth from 0 to 2"),
        (lambda: confusion_of(np.array([0, 1]), np.array([0.0, 1.0]), ("a", "b")), "(float64) for 2 class names"),
        (lambda: classification_scores(np.array([0, 1]), np.eye(2)), "answers of shape (2, 2)"),
        (lambda: classification_scores(np.array([]), np.array([])), "truth of shape (0,)"),
        (lambda: regression_scores(np.ones(2), np.array([1, np.nan])), "answers with 1 values that are NaN"),
    ],
)
def test_impossible_arguments(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3
