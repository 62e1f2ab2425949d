"""Fairness and its pictures, thresholds for rare classes, answers against chance, trees that ask yes or no."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from uncrumple.judge import (
    against_chance,
    compare,
    fairness_of,
    slices_of,
    threshold_for_balance,
    tree_lines,
    tree_of,
    wilson,
)
from uncrumple.judge.fairness import Rate, gap_between
from uncrumple.judge.group_figures import fairness_figure, slices_figure
from uncrumple.judge.verdict import finding


def test_the_gap_between_two_groups_is_newcombes():
    # Newcombe (1998), table II, row (a), method 10: 56/70 and 48/80 differ by .2 [.0524, .3339].
    found = gap_between([Rate("a", 70, wilson(56, 70)), Rate("b", 80, wilson(48, 80))])
    assert found.score == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_the_gap_is_wider_where_it_was_chosen_from_several():
    two = [Rate("a", 100, wilson(80, 100)), Rate("b", 100, wilson(60, 100))]
    four = [*two, Rate("c", 100, wilson(70, 100)), Rate("d", 100, wilson(75, 100))]
    assert gap_between(four).score == gap_between(two).score
    assert gap_between(four).low < gap_between(two).low and gap_between(four).high > gap_between(two).high


def people():
    random = np.random.default_rng(0)
    sex = np.repeat(["f", "m", "other"], [200, 200, 10])
    yes = random.random(410) < 0.5
    said = np.where(random.random(410) < np.where(sex == "m", 0.6, 0.95), yes, ~yes)
    return sex, yes, said


def test_fairness_in_words_table_and_picture():
    found = fairness_of("sex", *people(), positive="hired")
    recall = next(one for one in found.gaps if one.what == "recall")
    assert recall.p_value < 0.01 and 0 < recall.gap.low < recall.gap.score < recall.gap.high
    assert "recall" in found.in_words() and "points)" in found.in_words()
    header, rows, few = found.table()
    assert header[5] == "gap" and rows[3][5].endswith("]") and sum(few) == 3
    assert found.to_dict()["gaps"][1]["gap_low"] == recall.gap.low
    titles = [axes.get_title("left") for axes in fairness_figure(found).axes]
    assert titles[0].startswith("answered yes\n") and titles[1].startswith("recall\napart by ")


def test_what_too_few_rows_kept_from_being_compared_is_said():
    yes = np.arange(100) < 20  # ten of each sex
    sex = np.tile(["f", "m"], 50)
    found = fairness_of("sex", sex, yes, sex == "f")
    assert [one.p_value is None for one in found.gaps] == [False, True, False]
    assert found.in_words().endswith("points); recall was not compared: fewer than two groups have 30 such rows.")
    assert [row[6] for row in found.table()[1]][2] == "too few"
    alike = fairness_of("sex", sex[:70], yes[:70], np.arange(70) % 4 < 2)
    assert alike.in_words() == (
        "By sex: no difference is shown in answers; recall and false alarms were not compared: "
        "fewer than two groups have 30 such rows."
    )


def test_slices_of_which_one_is_served_worse_are_drawn_so():
    sex, yes, said = people()
    figure = slices_figure(slices_of({"sex": sex}, yes == said))
    assert figure.axes[0].get_title("left") == "Some are served worse than the others"
    assert [text.get_text() for text in figure.axes[0].texts] == ["  worse"]
    assert next(label.get_text() for label in figure.axes[0].get_yticklabels()) == "sex = m  (200)"
    same = slices_figure(slices_of({"sex": sex}, np.arange(410) % 3 > 0))
    assert same.axes[0].get_title("left") == "No slice is shown to be served worse"
    errors = slices_figure(slices_of({"sex": sex}, np.where(yes, 1.0, 2.0), shares=False))
    assert "less is better" in errors.axes[0].get_xlabel()


def test_a_threshold_that_serves_both_classes_alike():
    random = np.random.default_rng(0)
    yes = random.random(4000) < 0.03
    p = 1 / (1 + np.exp(-(random.normal(size=4000) + 2 * yes - 4.5)))

    def balanced(value):
        said = p >= value
        return (said[yes].mean() + (~said[~yes]).mean()) / 2

    chosen = threshold_for_balance(yes, p)
    assert balanced(chosen) == pytest.approx(max(balanced(value) for value in np.unique(p)), abs=1e-9)
    assert balanced(chosen) > balanced(0.5) + 0.2
    with pytest.raises(ValueError, match=r"threshold_for_balance got 3 rows that are all no\."):
        threshold_for_balance(np.zeros(3), np.ones(3))


def test_against_chance():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 300)
    assert against_chance(truth, random.permutation(truth)) > 0.05
    assert against_chance(truth, np.where(random.random(300) < 0.3, truth, random.permutation(truth))) < 0.01
    assert against_chance(truth, np.zeros(300, int)) == 1.0  # one answer for all is always as good as any deal of it


def test_something_is_learnt_although_one_answer_is_right_as_often():
    # 53 cats and 52 dogs; 30 and 36 of them right: better than dealing, not shown better than always 'cat'.
    truth = np.repeat([0, 1], [53, 52])
    answers = np.concatenate([np.repeat([0, 1], [30, 23]), np.repeat([1, 0], [36, 16])])
    found = compare(truth, {"network": answers, "majority class": np.zeros(105, int)}, class_names=("cat", "dog"))
    assert "not shown better than always answering 'cat'" in found.verdict()
    assert "It has learnt something, for its answers and the truth go together (p = 0.0" in found.verdict()
    assert found.to_dict()["p_of_chance"] == found.chance < 0.05
    dealt = np.random.default_rng(1).permutation(answers)
    worse = compare(truth, {"network": dealt, "majority class": np.zeros(105, int)}, class_names=("cat", "dog"))
    assert "Nothing on these 105 test rows shows that it has learnt anything" in worse.verdict()


def test_the_title_of_the_comparison_is_what_it_found():
    truth = np.arange(200) % 2
    bad = np.where(np.arange(200) < 60, 1 - truth, truth)
    assert finding(compare(truth, {"network": truth, "decision tree": bad, "RBF SVM": bad})) == (
        "The network is better than both simpler models"
    )
    assert finding(compare(truth, {"network": bad, "RBF SVM": truth})) == "The RBF SVM is better than the network"
    assert finding(compare(truth, {"network": truth, "RBF SVM": truth})) == (
        "The network is not shown better than the RBF SVM"
    )
    assert finding(compare(truth, {"network": truth})) == "The network"


def test_a_tree_asks_a_yes_or_no_column_as_a_person_would():
    x, y = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 0, 1, 1])
    found = tree_of(DecisionTreeClassifier().fit(x, y), ["sex: male"], ["alive", "dead"], yes_or_no={"sex: male"})
    assert tree_lines(found) == [
        "sex: male?",
        "├─ yes: dead (100 % of 2 rows)",
        "└─ no: alive (100 % of 2 rows)",
    ]


def test_questions_tell_neighbouring_values_apart():
    x, y = np.array([[-0.15], [-0.05], [0.05], [0.15]]), np.array([0, 0, 1, 1])
    found = tree_of(DecisionTreeClassifier().fit(x, y), ["longitude"], units={"longitude": (-118.3, 2.0)})
    assert found.said == "longitude ≤ -118.3"


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_a_network_on_easy_data_is_not_called_better_than_what_can_be_read(name):
    from sklearn import datasets

    import uncrumple as uc
    from uncrumple.core.seeds import set_random_seed
    from uncrumple.layers import Dense, Input

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    parts = uc.data.split(y, test=0.3)
    x = ((x - x[parts.train].mean(axis=0)) / x[parts.train].std(axis=0)).astype("float32")
    set_random_seed(0)
    model = uc.Sequential([Input(x.shape[1:]), Dense(16, "relu"), Dense(3, "softmax")])
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x[parts.train], y[parts.train], epochs=30, verbose=0)
    found = uc.judge(model, (x, y), parts=parts, budget_seconds=3)
    assert found.headline[1].score > 0.9
    assert "better than all" not in found.verdict() and "not shown better than" in found.verdict()
    simple = [row for row in found.comparison.rows if row.name in ("decision tree", "logistic regression")]
    assert any(row.p_value > 0.05 and row.cost.readable for row in simple)
    assert "does as well, as far as" in found.verdict() or "is not shown worse either" in found.verdict()
