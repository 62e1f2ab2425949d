"""The table and its verdict: sentences that follow from the numbers, for every way it can come out."""

import json

import numpy as np
import pytest

from uncrumple.data.named import load
from uncrumple.data.split import split
from uncrumple.judge import Cost, compare, fit_baselines, holm, mcnemar

TRUTH = np.arange(1000) % 2


def wrong_on(*rows):
    """Answers that are wrong on these ranges of rows."""
    answers = TRUTH.copy()
    for start, stop in rows:
        answers[start:stop] = 1 - answers[start:stop]
    return answers


def cost(rows_used=1000, readable=False):
    return Cost(1.5, 0.02, 12_000, rows_used, 1000, readable=readable)


def judged(answers, costs=None):
    return compare(TRUTH, answers, costs=costs, class_names=("no", "yes"))


ALWAYS_NO = np.zeros(1000, int)


def test_better_than_all():
    found = judged(
        {
            "network": wrong_on((0, 20)),
            "majority class": ALWAYS_NO,
            "decision tree": wrong_on((0, 90)),
            "RBF SVM": wrong_on((0, 50)),
        }
    )
    assert found.verdict() == (
        "The network is better than all 3 baselines: 98.0 % against 95.0 % for the RBF SVM, the best of them "
        "(p < 0.001; its lead is between 1.9 and 4.1 points)."
    )


def test_better_than_one_that_was_given_fewer_rows():
    found = judged(
        {"network": wrong_on((0, 20)), "decision tree": wrong_on((0, 90)), "RBF SVM": wrong_on((0, 50))},
        {"RBF SVM": cost(rows_used=500)},
    )
    assert found.verdict().endswith("That one was fitted on 500 of 1,000 rows; with all of them it might come closer.")


def test_a_tree_that_can_be_read_does_as_well():
    found = judged(
        {
            "network": wrong_on((0, 20)),
            "majority class": ALWAYS_NO,
            "decision tree": wrong_on((5, 30)),
            "RBF SVM": wrong_on((2, 20)),
        },
        {"decision tree": cost(readable=True)},
    )
    assert found.verdict() == (
        "The network (98.0 %) is not shown better than the decision tree (97.5 %, p = 0.60) "
        "or the RBF SVM (98.2 %, p = 0.60). A tree that you can read does as well, as far as 1,000 test rows can tell: "
        "the network's lead is between -0.3 and +1.3 points."
    )


def test_a_tree_is_worse_but_logistic_regression_is_not():
    found = judged(
        {
            "network": wrong_on((0, 20)),
            "majority class": ALWAYS_NO,
            "decision tree": wrong_on((0, 120)),
            "logistic regression": wrong_on((1, 22)),
        },
        {"logistic regression": cost(readable=True)},
    )
    assert found.verdict() == (
        "The network (98.0 %) is better than the decision tree (88.0 %, p < 0.001), but not shown better than "
        "logistic regression (97.9 %, p = 1.00). Logistic regression, whose weights you can read, does as well, "
        "as far as 1,000 test rows can tell: the network's lead is between -0.3 and +0.5 points."
    )


def test_few_rows_and_a_wide_gap_are_not_called_equal():
    truth = np.arange(24) % 2
    tree = truth.copy()
    tree[:3] = 1 - tree[:3]
    found = compare(truth, {"network": truth, "decision tree": tree})
    assert found.verdict() == (
        "The network (100.0 %) is not shown better than the decision tree (87.5 %, p = 0.25). "
        "The decision tree is not shown worse either: on 24 test rows the network's lead is between -4.7 and +27.8 points."
    )


def test_noise_no_better_than_always_the_same():
    found = judged({"network": wrong_on((0, 505)), "majority class": ALWAYS_NO, "RBF SVM": wrong_on((100, 600))})
    assert found.verdict() == (
        "The network is not shown better than always answering 'no': 49.5 % against 50.0 % "
        "(p = 1.00; the network's lead is between -4.9 and +3.9 points). "
        "Nothing on these 1,000 test rows shows that it has learnt anything."
    )


def test_no_better_than_nothing_although_there_is_something_to_learn():
    found = judged({"network": ALWAYS_NO, "majority class": ALWAYS_NO, "RBF SVM": wrong_on((0, 50))})
    assert found.verdict() == (
        "The network is not shown better than always answering 'no': 50.0 % against 50.0 % "
        "(p = 1.00; the network's lead is between -0.3 and +0.3 points). "
        "Nothing on these 1,000 test rows shows that it has learnt anything. "
        "The RBF SVM is better (95.0 %, p < 0.001): there is something to learn."
    )


def test_worse_than_always_the_same():
    found = judged({"network": wrong_on((0, 700)), "majority class": ALWAYS_NO})
    assert found.verdict() == (
        "The network is worse than always answering 'no': 30.0 % against 50.0 % (p < 0.001): "
        "something is wrong with it."
    )


def test_beaten():
    found = judged(
        {
            "network": wrong_on((0, 100)),
            "majority class": ALWAYS_NO,
            "decision tree": wrong_on((0, 98)),
            "RBF SVM": wrong_on((0, 50)),
        }
    )
    assert found.verdict() == (
        "The RBF SVM is better than the network: 95.0 % against 90.0 % (p < 0.001; "
        "the lead is between 3.6 and 6.4 points). The decision tree (90.2 %) is not shown worse than the network either."
    )


def test_nothing_to_compare_with():
    assert judged({"network": wrong_on((0, 10))}).verdict() == (
        "The network reaches 99.0 %; it was not compared with anything."
    )


def test_regression_says_error_not_percent():
    random = np.random.default_rng(0)
    truth = random.normal(150, 70, 200)
    noise = random.normal(0, 1, 200)
    found = compare(
        truth,
        {
            "network": truth + 20 * noise,
            "always the median": np.full(200, np.median(truth)),
            "ridge regression": truth + 20.4 * noise[::-1],
            "RBF SVM": truth + 40 * random.normal(0, 1, 200),
        },
        task="regression",
        costs={"ridge regression": cost(readable=True)},
    )
    said = found.verdict()
    assert said.startswith("The network (mean error 16.")
    assert "is better than the RBF SVM (mean error 3" in said
    assert "but not shown better than ridge regression (mean error 1" in said
    assert "Ridge regression, whose weights you can read, does as well, as far as 200 test rows can tell" in said
    assert "points" not in said and "%" not in said
    lead = {row.name: row.lead.score for row in found.baselines}
    assert lead["always the median"] > 30 and lead["RBF SVM"] > 10  # above 0: the network is better
    assert all(row.lead.low <= row.lead.score <= row.lead.high for row in found.baselines)


def test_regression_that_beats_the_median_only():
    truth = np.linspace(0, 100, 100)
    found = compare(truth, {"network": truth + 1, "always the median": np.full(100, 50.0)}, task="regression")
    assert found.verdict().startswith(
        "The network is better than always answering the median: mean error 1.0 against 25.3"
    )


def test_p_values_are_mcnemars_corrected_by_holm():
    found = judged({"network": wrong_on((0, 20)), "decision tree": wrong_on((15, 40)), "RBF SVM": wrong_on((0, 35))})
    raw = [mcnemar(20, 15), mcnemar(15, 0)]
    assert [row.p_value for row in found.baselines] == pytest.approx(holm(raw))
    assert found.network.p_value is None


def test_the_table_and_its_notes():
    found = judged(
        {"decision tree": wrong_on((0, 90)), "network": wrong_on((0, 20))},
        {"decision tree": Cost(0.2, 0.0004, 39_000, 500, 1000, settings="8 leaves", remarks=("half the rows",))},
    )
    assert found.lines() == [
        "model          accuracy   95 % interval     F1  network's lead        p  readable     fit  ms per row     size"
        "  training rows",
        "-------------  --------  --------------  -----  --------------  -------  --------  ------  ----------  -------"
        "  -------------",
        "network          98.0 %  96.9 to 98.7 %  0.980               –        –         –       –           –        –"
        "              –",
        "decision tree    91.0 %  89.1 to 92.6 %  0.910            +7.0  < 0.001        no  200 ms      0.0004  39.0 kB"
        "   500 of 1,000",
        "",
        "All on the same 1,000 test rows. p: McNemar's exact test against the network.",
        "decision tree: 8 leaves; half the rows.",
    ]


def test_the_comparison_is_plain_data():
    found = judged({"network": TRUTH, "decision tree": wrong_on((0, 5))}, {"decision tree": cost()})
    saved = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert saved["verdict"] == found.verdict()
    assert saved["rows"][0]["score"] == {"score": 1.0, "low": pytest.approx(0.996, abs=1e-3), "high": 1.0}
    assert saved["rows"][1]["cost"]["rows_used"] == 1000


def test_the_verdict_repeats_itself():
    random = np.random.default_rng(0)
    truth = random.normal(size=80)
    answers = {"network": truth + random.normal(size=80), "RBF SVM": truth + random.normal(size=80)}
    one, other = (compare(truth, answers, task="regression", seed=1) for _ in range(2))
    assert one.verdict() == other.verdict() and one.to_dict() == other.to_dict()


def test_random_labels_end_in_nothing_learnt():
    """The whole way: real rows with labels drawn at random, and a network that answers at random."""
    data = load("digits")
    random = np.random.default_rng(0)
    y = random.integers(0, 3, len(data.x))
    parts = split(y)
    answers = {"network": random.integers(0, 3, len(parts.test))}
    costs = {}
    for one in fit_baselines(data.x[parts.train][:300], y[parts.train][:300], data.x[parts.test], "classification"):
        answers[one.name], costs[one.name] = one.answers, one.cost
    found = compare(y[parts.test], answers, costs=costs, class_names=("a", "b", "c"))
    assert "not shown better than always answering" in found.verdict()
    assert "there is something to learn" not in found.verdict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "regresion"}, "did you mean 'regression'?"),
        ({"network": "netwrok"}, "Unknown network among the answers: 'netwrok'."),
        ({"alpha": 5}, "compare got alpha=5."),
        ({"costs": {"tree": cost()}}, "Unknown model in costs: 'tree'."),
        ({"answers": {"network": TRUTH[:5]}}, "answers of shape (5,)"),
    ],
)
def test_impossible_arguments(change, said):
    arguments = {"truth": TRUTH, "answers": {"network": TRUTH, "decision tree": TRUTH}} | change
    with pytest.raises(ValueError) as caught:
        compare(**arguments)
    assert said in str(caught.value)
