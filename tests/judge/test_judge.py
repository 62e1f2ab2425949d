"""`judge`: one call, from a model and its data to a verdict. Planted faults are found, clean data stays silent."""

import json
import types

import numpy as np
import pytest

import uncrumple as uc
from uncrumple.core.seeds import set_random_seed
from uncrumple.data.named import load
from uncrumple.data.split import split
from uncrumple.judge import Judgement, baselines, calibration_of, judge
from uncrumple.judge import judging as judging_module
from uncrumple.layers import Dense, Flatten, Input, Normalization
from uncrumple.models import Sequential


def dense(shape, classes, *, hidden=32, logits=False):
    set_random_seed(0)
    model = Sequential([Input(shape), Flatten(), Dense(hidden, "relu"), Dense(classes, None if logits else "softmax")])
    loss = uc.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(uc.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module", autouse=True)
def _fewer_rounds():
    """Gradient boosting takes most of the time, and is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_BOOSTING_ROUNDS", 20)
        yield


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    parts = split(data.y)
    x = (data.x / 16).astype("float32")
    model = dense(x.shape[1:], 10)
    model.fit(x[parts.train], data.y[parts.train], epochs=15, verbose=0)
    return model, x, data.y, parts


@pytest.fixture(scope="module")
def judged(digits):
    model, x, y, parts = digits
    return judge(model, (x, y), parts=parts, budget_seconds=10, fit_seconds=1.5, title="<digits>")


def two_classes(rows=600, seed=0, noise=0.5):
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3)).astype("float32")
    return x, (x[:, 0] + noise * random.normal(size=rows) > 0).astype(int)


def first_column(x):
    """A model without weights: sure of the sign of the first column."""
    p = 1 / (1 + np.exp(-3 * np.asarray(x)[:, 0]))
    return np.stack([1 - p, p], axis=1)


def test_pictures(judged, digits):
    _, _, y, parts = digits
    assert isinstance(judged, Judgement)
    names = [row.name for row in judged.comparison.rows]
    assert names == [
        "network",
        "majority class",
        "decision tree",
        "logistic regression",
        "RBF SVM",
        "gradient boosting",
    ]
    assert judged.headline[0] == "accuracy" and judged.headline[1].score > 0.9
    assert judged.verdict() in str(judged)
    assert judged.comparison.network.cost.fit_seconds == 1.5
    assert judged.confusion.matrix.sum() == len(parts.test)
    assert judged.calibration is not None and judged.temperature.rows == len(parts.validation)
    assert len(judged.curves) == 10 and all(one.auc.score > 0.9 for one in judged.curves)
    assert judged.shift.pixels == 1 and "A shift by one pixel changes" in judged.shift.in_words()
    assert judged.tree.said.startswith("pixel ")
    assert len(judged.not_run) == 4  # slices, folds, seeds, more data
    assert np.array_equal(judged.truth, y[parts.test])


def test_wrong_labels_end_in_the_pile_of_suspects_and_right_ones_do_not(judged, digits):
    model, x, y, parts = digits
    assert judged.piles.suspects <= 0.01 * len(parts.test)  # clean
    flipped = y.copy()
    planted = parts.test[:5]
    flipped[planted] = (flipped[planted] + 1) % 10
    found = judge(model, (x, flipped), parts=parts, budget_seconds=10)
    suspects = {one.row for one in found.piles.label_suspect}
    assert len(suspects & {0, 1, 2, 3, 4}) >= 4
    assert len(suspects) <= 7


def test_a_second_run_says_the_same():
    x, y = two_classes(300)
    data = (x[:200], y[:200], x[200:], y[200:])
    one, other = (judge(first_column, data) for _ in range(2))
    assert one.verdict() == other.verdict()
    assert [row.p_value for row in one.comparison.rows] == [row.p_value for row in other.comparison.rows]
    assert one.calibration == other.calibration


def test_the_room_can_be_called():
    x, y = two_classes(120)
    found = uc.judge(first_column, (x[:80], y[:80], x[80:], y[80:]))
    assert isinstance(found, Judgement) and uc.judge.judge is judge
    assert uc.judge.wilson(9, 10).score == 0.9


def test_noise_is_not_called_learnt():
    random = np.random.default_rng(3)
    x, y = random.normal(size=(400, 4)), random.integers(0, 2, 400)
    found = judge(lambda rows: first_column(rows), (x[:200], y[:200], x[200:], y[200:]))
    assert "is not shown better than always answering" in found.verdict()


def test_a_rare_class_takes_accuracy_off_the_headline():
    random = np.random.default_rng(0)
    y = (np.arange(1000) % 50 == 0).astype(int)
    x = random.normal(size=(1000, 2)) + 3 * y[:, None]

    def always_no(rows):
        return np.tile([0.99, 0.01], (len(rows), 1))

    found = judge(always_no, (x[:500], y[:500], x[500:], y[500:]), class_names=("no", "yes"))
    assert found.headline[0] == "balanced accuracy" and found.headline[1].score == 0.5
    assert found.scores["accuracy"].score == 0.98
    assert found.comparison.table()[0][1] == "balanced accuracy"
    assert any(note.startswith("Always answering 'no' is right on 98.0 % of the rows") for note in found.notes())
    assert any("class_weight={0: 0.51, 1: 25}" in note for note in found.notes())
    assert "is better" in found.verdict() and "there is something to learn" in found.verdict()
    assert found.piles.suspects == 0  # a rare class that is always missed is no pile of wrong labels


def test_sixty_to_forty_keeps_accuracy():
    x, y = two_classes(200)
    y[:20] = 0
    assert judge(first_column, (x[:100], y[:100], x[100:], y[100:])).headline[0] == "accuracy"


def test_cost_and_recall_are_chosen_on_validation_rows():
    x, y = two_classes(900)
    data, held = (x[:300], y[:300], x[600:], y[600:]), (x[300:600], y[300:600])
    found = judge(first_column, data, validation=held, cost={"miss": 10, "false_alarm": 1}, recall=0.95)
    half, cheap, wanted = found.thresholds
    assert half.value == 0.5 and cheap.value < 0.3 and cheap.cost < half.cost
    assert wanted.recall.score > 0.9
    moved = judge(first_column, (*data[:2], x[600:] * 1.5, y[600:]), validation=held, recall=0.95)
    assert moved.thresholds[1].value == wanted.value  # the test rows have no say
    with pytest.raises(ValueError, match="judge got a cost or a recall, and no validation rows"):
        judge(first_column, data, recall=0.9)


def test_confidence_that_is_off_both_ways_is_said_so():
    sure = np.repeat([0.6, 0.9], 200)
    share = np.column_stack([sure, 1 - sure])
    right = np.concatenate([np.arange(200) < 180, np.arange(200) < 120])  # 90 % and 60 %: the wrong way round
    found = calibration_of(np.where(right, 0, 1), share)
    assert found.in_words().endswith(
        "its confidence is off: about right on average, too high for some rows, too low for others."
    )
    surer = calibration_of(np.where(np.arange(400) % 2, 0, 1), share)
    assert surer.in_words().endswith("On average it is 25.0 points surer than it is right.")


def test_no_temperature_where_every_validation_row_is_right():
    x, y = two_classes(900)
    data = (x[:300], y[:300], x[600:], y[600:])
    right = first_column(x[300:600]).argmax(axis=1)
    without = judge(first_column, data, validation=(x[300:600], right), budget_seconds=5)
    assert without.temperature is None and without.calibration_after is None and without.calibration is not None
    said = next(one for one in without.not_run if one.startswith("temperature scaling"))
    assert said == (
        "temperature scaling: all 300 validation rows are answered right, and without a mistake there is nothing "
        "to fit it to"
    )
    right[0] = 1 - right[0]
    with_one = judge(first_column, data, validation=(x[300:600], right), budget_seconds=5)
    assert with_one.temperature is not None and 0.05 < with_one.temperature.value < 1


def test_a_corrupted_group_is_found_and_random_groups_are_not():
    x, y = two_classes(1000, noise=0.2)
    night = np.arange(500) < 120
    bad = x[500:].copy()
    bad[night] = np.random.default_rng(1).permutation(bad[night])
    columns = {"time": np.where(night, "night", "day"), "digit": np.arange(500) % 7, "rare": np.arange(500) < 10}
    found = judge(first_column, (x[:500], y[:500], bad, y[500:]), slices=columns)
    assert [(one.column, one.value) for one in found.slices.worse] == [("time", "night")]
    assert sum(one.too_few for one in found.slices.slices) >= 1
    gaps = {one.what: one.p_value for one in next(one for one in found.fairness if one.column == "time").gaps}
    assert gaps["false alarms"] < 0.01 and gaps["recall"] < 0.01
    assert "class=few" in found.to_html() or 'class="few"' in found.to_html()


def test_groups_make_the_tests_humbler():
    x, y = two_classes(400)
    wide = judge(first_column, (x[:200], y[:200], x[200:], y[200:]), groups=np.arange(200) // 20)
    narrow = judge(first_column, (x[:200], y[:200], x[200:], y[200:]))
    assert wide.comparison.grouped and "by whole groups" in wide.comparison.notes()[0]
    assert wide.comparison.baselines[0].p_value > narrow.comparison.baselines[0].p_value


def test_values():
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3))
    y = 2 * x[:, 0] + 0.1 * random.normal(size=300)
    found = judge(lambda rows: 2 * rows[:, 0] + 1, (x[:200], y[:200], x[200:], y[200:]))
    assert found.task == "regression" and found.headline[0] == "mean error"
    assert found.scores["bias"].score == pytest.approx(1, abs=0.05)
    assert "Ridge regression is better than the network" in found.verdict()
    assert found.confusion is None and len(found.largest) == 12
    assert 'id="residuals-' in found.to_html()


def test_language_beside_a_markov_chain():
    random = np.random.default_rng(0)
    words = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [0, 2, 4, 6]])
    text = words[random.integers(0, 3, 1500)].reshape(-1)
    x, y = np.lib.stride_tricks.sliding_window_view(text[:-1], 6).copy(), text[6:]
    data = (x[:4000], y[:4000], x[4000:], y[4000:])

    def frequencies(rows):
        return np.tile(np.bincount(y[:4000], minlength=8) / 4000, (len(rows), 1))

    found = judge(frequencies, data, task="language", class_names=list("abcdefgh"))
    assert found.headline[0] == "bits per symbol"
    bits = {row.name: row.score.score for row in found.comparison.rows}
    assert bits["Markov chain"] < 0.75 < 2.5 < bits["network"]
    assert found.verdict().startswith("The network is not shown better than knowing no more than how frequent")
    assert "The Markov chain is better" in found.verdict()
    shuffled = random.permutation(text)
    x, y = np.lib.stride_tricks.sliding_window_view(shuffled[:-1], 6).copy(), shuffled[6:]
    found = judge(frequencies, (x[:4000], y[:4000], x[4000:], y[4000:]), task="language", class_names=list("abcdefgh"))
    assert "is better" not in found.verdict()


def test_folds_seeds_and_more_data():
    x, y = two_classes(240)
    model = dense((3,), 2, hidden=4)
    model.fit(x[:120], y[:120], epochs=3, verbose=0)
    found = judge(
        model,
        (x[:120], y[:120], x[180:], y[180:]),
        validation=(x[120:180], y[120:180]),
        folds=3,
        seeds=3,
        more_data=True,
        budget_seconds=5,
    )
    assert found.folds.folds == 3 and len(found.folds.rows) == 6
    assert len(found.seeds.scores) == 3 and found.seeds.in_words().startswith("3 seeds: accuracy")
    assert found.learning.rows == (15, 30, 60, 120)
    assert "more data would help" in found.learning.in_words()
    assert not any("scored on the test rows" in one for one in found.remarks)
    assert {"corrected t-test" in one for one in found.ran} == {True, False}


def test_a_learning_curve_that_still_rises():
    from uncrumple.judge import learning_curve

    random = np.random.default_rng(0)
    x = random.normal(size=(900, 30)).astype("float32")
    y = (x[:, :10].sum(axis=1) > 0).astype(int)
    found = learning_curve(lambda: dense((30,), 2), x[:120], y[:120], x[120:], y[120:], fit={"epochs": 10}, repeats=2)
    assert "more data would help" in found.in_words() and "not shown" not in found.in_words()
    assert found.gain.score > 0.02


def test_models_that_give_logits():
    x, y = two_classes(200)
    model = dense((3,), 2, hidden=4, logits=True)
    model.fit(x[:100], y[:100], epochs=2, verbose=0)
    found = judge(model, (x[:100], y[:100], x[100:], y[100:]))
    assert found.probabilities.sum(axis=1) == pytest.approx(1)
    assert found.comparison.network.cost.remarks == ("the model gives logits: softmax was taken of them",)


class Rows:
    """Raw rows as the kinds of `uncrumple.data` offer them."""

    task, class_names, groups, name = "classification", ("no", "yes"), None, "patients"

    def __init__(self, raw, y):
        self.raw, self.y = raw, y

    def __len__(self):
        return len(self.y)

    def preparation(self, train_rows=None):
        return types.SimpleNamespace(feature_names=("age", "smokes"))

    def matrix(self, preparation):
        return np.stack([self.raw["age"], self.raw["smokes"] == "yes"], axis=1).astype("float32")


def raw_parts(uses=7):
    random = np.random.default_rng(0)
    age, smokes = random.normal(50, 10, 400), random.choice(["yes", "no"], 400)
    y = (age + 10 * (smokes == "yes") > 55).astype(int)
    cut = [Rows({"age": age[rows], "smokes": smokes[rows]}, y[rows]) for rows in (slice(0, 250), slice(250, 400))]
    return types.SimpleNamespace(train=cut[0], test=cut[1], validation=None, uses=uses)


def test_raw_rows_and_the_count_of_looks():
    found = judge(
        lambda raw: (raw["age"] > 55).astype(int), raw_parts(), slices="smokes", feature_names=("age", "smokes")
    )
    assert found.notes()[0] == "7th look at this test set: its number is now optimistic."
    assert found.title == "patients" and found.class_names == ("no", "yes")
    assert [one.column for one in found.slices.worse] == ["smokes"]
    assert {"age", "smokes"} & set(found.tree.said.split())
    assert any("gives no probabilities" in one for one in found.not_run)
    assert judge(lambda raw: raw["age"] > 55, raw_parts(uses=1)).notes()[0] == "First look at this test set."


def test_a_table_is_judged_in_its_own_units_and_looked_at_once():
    from uncrumple.data import Table

    random = np.random.default_rng(0)
    age, sex = random.normal(50, 10, 600), random.choice(["f", "m"], 600)
    ill = np.where(age + 8 * (sex == "m") + random.normal(0, 2, 600) > 56, "yes", "no")
    parts = uc.data.split(Table({"age": age, "sex": sex, "ill": ill}, target="ill"))
    preparation = parts.train.preparation()
    inputs = preparation.inputs()
    set_random_seed(0)
    model = uc.Model(inputs, Dense(2, "softmax")(Dense(8, "relu")(preparation(inputs))))
    model.compile(uc.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(parts.train.raw, parts.train.y, epochs=8, verbose=0)
    found = judge(model, parts, slices="sex", folds=2, fit={"epochs": 1})
    assert parts.test_uses == found.uses == 1
    assert found.headline[1].score > 0.85 and len(found.folds.rows) == 6
    assert found.tree.said.startswith("age ≤ ") and 40 < float(found.tree.said.split()[-1]) < 65
    assert {one.value for one in found.slices.slices} == {"f", "m"}


def test_json_and_html_and_text(judged, tmp_path):
    plain = json.loads(
        (judged.save(tmp_path / "report.json")).read_text(), parse_constant=lambda name: pytest.fail(name)
    )
    assert plain["headline"]["name"] == "accuracy" and plain["verdict"] == judged.verdict()
    assert plain["comparison"]["rows"][5]["name"] == "gradient boosting"
    page = judged.save(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;digits&gt;" in page and "<digits>" not in page
    assert "<script" not in page and "default-src 'none'" in page
    loads = page.replace('xmlns="http://www.w3.org/2000/svg"', "").replace(
        'xmlns:xlink="http://www.w3.org/1999/xlink"', ""
    )
    assert "http://" not in loads and "https://" not in loads
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    assert page.count("<svg role=") == 4  # comparison, tree, reliability, curves
    identifiers = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(identifiers) == len(set(identifiers))
    assert judged.verdict() in judged.save(tmp_path / "report.txt").read_text()
    with pytest.raises(ValueError, match=r"Expected one that ends in \.html, \.json or \.txt"):
        judged.save(tmp_path / "report.pdf")


@pytest.mark.parametrize("width", [60, 100, 160])
def test_on_a_terminal(judged, width):
    from rich.console import Console

    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    judged.show(console)
    said = console.export_text()
    assert "RBF SVM" in said and "Not looked at" in said and "truth \\ answer" in said
    assert max(len(line) for line in said.splitlines()) <= width
    assert (" kB" in said) == (width == 160)  # the column with sizes


def test_what_cannot_be_judged():
    x, y = two_classes(60)
    data = (x[:40], y[:40], x[40:], y[40:])
    model = Sequential([Input((3,)), Normalization(), Dense(2, "softmax")])
    model.layers[0].adapt(x)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1, verbose=0)
    for given, said in (
        (lambda: judge(first_column, (x, y)), "judge got a tuple of 2 as data."),
        (lambda: judge(first_column, (x, y[:5], x, y)), "judge got 60 training rows and 5 answers."),
        (lambda: judge(first_column, data, alpha=2), "judge got alpha=2."),
        (lambda: judge(first_column, data, folds=1), "judge got folds=1."),
        (lambda: judge(first_column, data, seeds=2), "judge got seeds=2."),
        (lambda: judge(first_column, data, cost={"miss": 1}), "judge got cost with ['miss']."),
        (lambda: judge(first_column, data, recall=0), "judge got recall=0."),
        (lambda: judge(first_column, data, groups=[1, 2]), "judge got 2 groups for 20 test rows."),
        (lambda: judge(first_column, data, slices="sex"), "judge got slices='sex', which is no column of the data."),
        (lambda: judge(first_column, data, task="clasification"), "did you mean 'classification'?"),
        (lambda: judge(lambda rows: rows[:3, 0], data), "The model answered 3 times for 20 test rows."),
        (lambda: judge(lambda rows: rows, data), "that are not probabilities"),
        (lambda: judge(first_column, data, folds=3), "which is not compiled"),
        (lambda: judge(model, data, folds=3), "was adapted to data, and a clone of it would not be."),
    ):
        with pytest.raises(ValueError) as caught:
            given()
        assert said in str(caught.value)
    with pytest.raises(TypeError, match="judge got a int as model"):
        judge(3, data)


def test_text_labels_and_one_hot_rows_are_classes():
    x, y = two_classes(200)
    words = np.array(["no", "yes"])[y]
    found = judge(first_column, (x[:100], words[:100], x[100:], words[100:]))
    assert found.class_names == ("no", "yes")
    hot = np.eye(2)[y]
    assert judge(first_column, (x[:100], hot[:100], x[100:], hot[100:])).verdict() == (
        judge(first_column, (x[:100], y[:100], x[100:], y[100:])).verdict()
    )


def test_all_names_of_the_room_are_there():
    assert all(hasattr(uc.judge, name) for name in uc.judge.__all__)
    assert judging_module.__name__ == "uncrumple.judge.judging"
