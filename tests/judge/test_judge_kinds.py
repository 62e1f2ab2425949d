"""`judge` on raw rows: pictures, texts, language and series, each beside models that saw the same rows."""

import json

import numpy as np
import pytest

import uncrumple as uc
from uncrumple.core.seeds import set_random_seed
from uncrumple.data import Images, Series, Table, Text
from uncrumple.judge import baselines, judge
from uncrumple.judge.raw_rows import codes_of, from_parts
from uncrumple.layers import (
    GRU,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Normalization,
)


@pytest.fixture(scope="module", autouse=True)
def _fewer_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_BOOSTING_ROUNDS", 20)
        yield


def network(parts, *layers, rate=0.02, loss="sparse_categorical_crossentropy", epochs=3):
    """Return a trained model that begins with the preparation of the training rows."""
    preparation = parts.train.preparation()
    inputs = preparation.inputs()
    set_random_seed(0)
    outputs = preparation(inputs)
    for layer in layers:
        outputs = layer(outputs)
    model = uc.Model(inputs, outputs)
    model.compile(uc.optimizers.Adam(rate), loss)
    model.fit(parts.train.raw, parts.train.y, epochs=epochs, batch_size=32, verbose=0)
    return model


# --- pictures ------------------------------------------------------------------------


def pictures(rows=240, side=8, seed=0):
    random = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    x = random.integers(0, 60, (rows, side, side, 3))
    x[y == 1, :, : side // 2, 0] += 150  # the left half is red
    return Images(x.astype("uint8"), y, class_names=["grey", "red"])


def test_pictures_in_colour():
    parts = uc.data.split(pictures())
    model = network(parts, Conv2D(4, 3, activation="relu"), Flatten(), Dense(2, "softmax"))
    found = judge(model, parts, budget_seconds=5)
    assert [row.name for row in found.comparison.rows][1:] == [
        "majority class",
        "decision tree",
        "logistic regression",
        "RBF SVM",
        "gradient boosting",
    ]
    assert found.headline[1].score > 0.9 and found.class_names == ("grey", "red")
    assert found.tree.said.startswith("pixel ") and " red ≤ " in found.tree.said
    assert found.shift is not None and found.calibration is not None and found.uses == 1
    assert any(one.startswith("temperature scaling: all 36 validation rows") for one in found.not_run)
    assert found.temperature is None  # without a mistake there is nothing to fit it to
    assert "The classical models saw the rows as the network's preparation gives them." in found.remarks
    assert not any("made smaller" in one for one in found.remarks)


def test_large_pictures_are_made_smaller_for_the_classical_models_and_it_is_said():
    parts = uc.data.split(pictures(rows=60, side=40))
    given = from_parts(None, parts)
    assert given.matrix_train.shape == (42, 32 * 32 * 3) and len(given.feature_names) == 32 * 32 * 3
    assert given.feature_names[-1] == "pixel 31,31 blue" and given.scale is False
    assert given.remarks[-1] == "For them pictures were made smaller, to at most 32 pixels a side."
    assert given.pictures.shape == (9, 40, 40, 3)


# --- texts ---------------------------------------------------------------------------

GOOD, BAD, REST = (
    ["fine", "lovely", "joy"],
    ["dull", "awful", "grim"],
    ["a", "the", "of", "day", "film", "it", "was", "so", "very", "and"],
)


def texts(rows=300, seed=0):
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    made = []
    for label in y:
        words = list(random.choice(REST, 7)) + list(random.choice(GOOD if label else BAD, 2))
        made.append(" ".join(random.permutation(words)))
    return Text(made, np.array(["bad", "good"])[y])


def test_texts_with_classes():
    parts = uc.data.split(texts())
    vocabulary = parts.train.preparation().vocabulary_size
    model = network(parts, Embedding(vocabulary, 8), GlobalAveragePooling1D(), Dense(2, "softmax"), epochs=8)
    found = judge(model, parts, budget_seconds=5, folds=2, fit={"epochs": 1})
    assert found.headline[1].score > 0.8
    by_name = {row.name: row.score.score for row in found.comparison.rows}
    assert by_name["logistic regression"] > 0.95  # the words are there for it to see
    assert by_name["RBF SVM"] > 0.9
    assert found.tree.said.startswith("weight of '")
    assert len(found.folds.rows) == 6
    assert any(one.startswith("For them a text is how often each of 16 words") for one in found.remarks)


def test_mistakes_are_shown_as_texts():
    parts = uc.data.split(texts())

    def always_bad(raw):
        return np.tile([0.9, 0.1], (len(raw), 1))

    found = judge(always_bad, parts, budget_seconds=5)
    assert found.piles.wrong > 0 and len(found.shown) >= min(12, found.piles.wrong)
    row = next(iter(found.shown))
    assert found.shown[row] == parts.peek("test").raw[row]
    assert f'<tr class="said"><td colspan="5">{found.shown[row]}</td></tr>' in found.to_html()
    assert found.shown[row] in str(found)
    assert json.loads(json.dumps(found.to_dict()["rows_in_words"]))[str(row)] == found.shown[row]


# --- language ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("texts") / "play.txt"
    path.write_text(" ".join(random.choice(["to be", "or not", "the rest"], 2500)), encoding="utf-8")
    return uc.data.split(Text(path, steps=20))


def test_language_from_a_text_file(play):
    preparation = play.train.preparation()
    count = len(play.train.class_names)
    model = network(
        play,
        Embedding(preparation.vocabulary_size, 8),
        GRU(24, return_sequences=True),
        Dense(count, "softmax"),
        epochs=4,
    )
    found = judge(model, play, fit_seconds=2.0)
    assert found.task == "language" and found.headline[0] == "bits per character"
    assert [row.name for row in found.comparison.rows] == ["network", "symbol frequencies", "Markov chain"]
    bits = {row.name: row.score.score for row in found.comparison.rows}
    assert bits["Markov chain"] < 0.6 and bits["Markov chain"] < bits["network"] < bits["symbol frequencies"]
    assert "bits per character" in found.verdict()
    assert "each character is" not in found.verdict()  # it knows more than that
    chain = found.comparison.rows[2]
    assert chain.lead.low < chain.lead.score < chain.lead.high < 0 and chain.p_value < 0.05
    assert "looks back" in chain.cost.settings
    assert found.comparison.table()[0][1] == "bits per character"
    assert set(found.scores) == {"bits_per_character", "perplexity"}
    page = found.to_html()
    assert "bits per character" in page and "Confusion" not in page
    assert any("k folds: not asked for" in one for one in found.not_run)


def test_a_model_that_learnt_nothing_is_told_so(play):
    count = len(play.train.class_names)

    def even(raw):
        return np.full((len(raw), 20, count), 1 / count)

    found = judge(even, play)
    assert found.headline[1].score == pytest.approx(np.log2(count))
    assert found.verdict().startswith("The network is worse than knowing no more than how frequent each character is:")


def test_language_is_not_trained_again_and_says_why(play):
    with pytest.raises(ValueError, match=r"judge got folds, seeds or more_data for language\."):
        judge(
            lambda raw: np.full((len(raw), 20, len(play.train.class_names)), 1 / len(play.train.class_names)),
            play,
            seeds=3,
        )


def test_codes_of_characters():
    assert codes_of(["ab\U0001f600", "\U0001f600ba"], ("a", "b", "\U0001f600")).tolist() == [[0, 1, 2], [2, 1, 0]]


def test_rows_of_a_text_are_taken_together_by_where_they_stand(play):
    given = from_parts(None, play)
    order = np.argsort(play.peek("test").times)
    assert (np.diff(given.groups[order]) >= 0).all() and len(np.unique(given.groups)) >= 10


# --- series --------------------------------------------------------------------------


def waves(steps=500, seed=0):
    random = np.random.default_rng(seed)
    time = np.arange(steps)
    return {
        "heat": 20 + 5 * np.sin(time / 8) + 0.3 * random.normal(size=steps),
        "load": 300 + 40 * np.cos(time / 8) + random.normal(size=steps),
    }


def test_series_beside_the_last_value():
    parts = uc.data.split(Series(waves(), target="heat", past=12))
    model = network(parts, Flatten(), Dense(16, "relu"), Dense(1), loss="mse", epochs=1)
    found = judge(model, parts, budget_seconds=5)
    names = [row.name for row in found.comparison.rows]
    assert names[1:4] == ["the last value again", "always the median", "decision tree"]
    raw, y = parts.peek("test").raw, parts.peek("test").y
    by_name = {row.name: row for row in found.comparison.rows}
    assert by_name["the last value again"].score.score == pytest.approx(np.abs(raw[:, -1, 0] - y).mean(), rel=1e-5)
    assert by_name["ridge regression"].score.score < by_name["the last value again"].score.score
    assert by_name["the last value again"].cost.readable
    assert any(one.startswith("Neighbouring rows err together: tests and intervals take the") for one in found.remarks)
    assert found.comparison.grouped and found.largest


def test_folds_of_a_series_run_through_time():
    parts = uc.data.split(Series(waves(300), target="heat", past=6))
    model = network(parts, Flatten(), Dense(1), loss="mse", epochs=1)
    found = judge(model, parts, budget_seconds=5, folds=3, seeds=3, more_data=True)
    assert found.folds.headline == "mean error" and len(found.folds.rows[0].scores) == 3
    assert any("3 stretches of time, each after the rows it was learnt from" in one for one in found.ran)
    assert len(found.seeds.scores) == 3 and found.learning.rows[-1] == len(parts.rows.train)


def test_several_values_at_once():
    data = Series(waves(), past=8, future=2)
    parts = uc.data.split(data)
    model = network(parts, Flatten(), Dense(4), loss="mse", epochs=1)
    found = judge(model, parts, budget_seconds=5, folds=2)
    test = parts.peek("test")
    spread = parts.train.y.astype(float).std(axis=0)
    wanted = np.abs((model.predict(test.raw, verbose=0) - test.y) / spread).mean()
    assert found.headline[1].score == pytest.approx(wanted, rel=1e-4)
    assert len(found.truth) == 4 * len(test)
    assert any(
        one.startswith("Errors are of 4 values for each row, each in units of its spread") for one in found.remarks
    )
    assert {one.truth.split(":")[0] for one in found.largest} <= {
        "heat, step 1", "load, step 1", "heat, step 2", "load, step 2"
    }  # fmt: skip
    assert all(0 <= one.row < len(test) for one in found.largest)
    last = next(row for row in found.comparison.rows if row.name == "the last value again")
    again = np.abs((np.tile(test.raw[:, -1], (1, 2)) - test.y) / spread).mean()
    assert last.score.score == pytest.approx(again, rel=1e-4)
    with pytest.raises(ValueError, match="4 values are asked for in each row"):
        judge(lambda raw: np.zeros((len(raw), 3)), parts, budget_seconds=5)


def test_several_values_in_arrays():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3))
    y = np.stack([x[:, 0], x[:, 1] + 1], axis=1)
    found = judge(lambda rows: rows[:, :2], (x[:120], y[:120], x[120:], y[120:]), slices={"side": x[120:, 2] > 0})
    assert found.task == "regression" and found.headline[1].score == pytest.approx(0.5)
    assert found.scores["bias"].score == pytest.approx(-0.5)
    assert "Errors are of 2 values for each row; tests" in found.remarks[0]
    assert len(found.slices.slices) == 2


def test_gaps_in_a_series_do_not_reach_the_last_value():
    columns = waves(200)
    columns["heat"][150::7] = np.nan
    parts = uc.data.split(Series(columns, target="heat", past=5))
    given = from_parts(None, parts)
    assert np.isfinite(given.last).all() and given.last.min() > 10


# --- tables --------------------------------------------------------------------------


def patients(rows=400, seed=0):
    random = np.random.default_rng(seed)
    age, sex = random.normal(50, 10, rows), random.choice(["f", "m"], rows)
    ill = np.where(age + 8 * (sex == "m") + random.normal(0, 4, rows) > 56, "yes", "no")
    return Table({"age": age, "sex": sex, "ill": ill}, target="ill")


def test_slices_and_fairness_of_a_table():
    parts = uc.data.split(patients(900))
    model = network(parts, Dense(8, "relu"), Dense(2, "softmax"), epochs=8)
    found = judge(model, parts, slices=["sex", "age"], budget_seconds=5)
    assert {one.column for one in found.slices.slices} == {"sex", "age"}
    assert [one.column for one in found.fairness] == ["sex"]  # age is no group
    answered = found.fairness[0].gaps[0]
    assert answered.what == "answered yes" and answered.p_value < 0.01
    assert answered.gap.low < answered.gap.score < answered.gap.high
    page = found.to_html()
    assert 'id="slices-' in page and 'id="fairness0-' in page
    assert found.to_dict()["fairness"][0]["gaps"][0]["gap_low"] == answered.gap.low


def test_each_fold_has_a_preparation_of_its_own():
    parts = uc.data.split(patients())
    model = network(parts, Dense(8, "relu"), Dense(2, "softmax"), epochs=4)
    given = from_parts(model, parts)
    from uncrumple.judge.retrain import Clones, trained

    clones = Clones(model, given.preparation, given.prepare)
    halves = [np.arange(100), np.arange(100, 280)]
    fitted = trained(clones, given.x_train, given.y_train, halves, {"epochs": 1}, [0, 1])
    for one, rows in zip(fitted, halves):
        ages = given.x_train["age"][rows]
        column = next(column for column in one.preparation.columns if column["name"] == "age")
        assert column["mean"] == pytest.approx(ages.mean(), rel=1e-5)
        assert one.predict(given.x_test).shape == (len(given.y_test), 2)
        # What stands behind it is no longer than a network of numbers: fit_many takes it with others at once.
        assert one.network.input.shape[1] == 3
    assert fitted[0].network.layers[-1].name == model.layers[-1].name
    again = trained(clones, given.x_train, given.y_train, halves, {"epochs": 1}, [0, 1])
    assert np.array_equal(again[1].predict(given.x_test), fitted[1].predict(given.x_test))
    left, right = given.matrices(halves[0], halves[1])
    assert left[:, 0].mean() == pytest.approx(0, abs=1e-5) and abs(right[:, 0].mean()) > 1e-3


def test_a_model_that_cannot_be_cut_behind_its_preparation_is_cloned_whole():
    parts = uc.data.split(pictures(80))
    model = network(parts, GlobalAveragePooling2D(), Dense(2, "softmax"), epochs=1)
    from uncrumple.judge.retrain import Clones, trained

    clones = Clones(model, None, None)
    fitted = trained(clones, parts.train.raw, parts.train.y, [np.arange(40)] * 2, {"epochs": 1}, [0, 1])
    assert fitted[0].predict(parts.train.raw, verbose=0).shape == (len(parts.train), 2)


@pytest.mark.filterwarnings("ignore:The statistic could not be computed")
def test_an_adapted_layer_behind_a_preparation_is_refused():
    parts = uc.data.split(patients(100))
    scale = Normalization()
    scale.adapt(np.random.default_rng(0).normal(size=(50, 3)).astype("float32"))
    model = network(parts, scale, Dense(2, "softmax"), epochs=1)
    with pytest.raises(ValueError, match="was adapted to data, and a clone of it would not be"):
        judge(model, parts, folds=2, budget_seconds=5)


def test_a_rare_class_is_given_a_threshold_of_its_own():
    random = np.random.default_rng(0)
    y = (random.random(3000) < 0.05).astype(int)
    x = random.normal(size=(3000, 2)) + 1.5 * y[:, None]

    def careful(rows):
        odds = np.exp(1.5 * rows.sum(axis=1) - 2.25) * 0.05 / 0.95
        return np.stack([1 / (1 + odds), odds / (1 + odds)], axis=1)

    data = (x[:1000], y[:1000], x[2000:], y[2000:])
    found = judge(careful, data, validation=(x[1000:2000], y[1000:2000]), class_names=("no", "yes"), budget_seconds=5)
    half, alike = found.thresholds
    assert alike.why == "both classes alike" and 0.01 < alike.value < 0.2
    assert half.recall.score < 0.6 < 0.75 < alike.recall.score
    without = judge(careful, data, class_names=("no", "yes"), budget_seconds=5)
    assert any("a threshold that serves both classes alike" in one for one in without.not_run)
    even = judge(
        lambda rows: careful(rows), (x[:200], np.arange(200) % 2, x[200:400], np.arange(200) % 2), budget_seconds=5
    )
    assert len(even.thresholds) == 1


def test_a_chain_does_not_look_back_where_that_is_no_help():
    from uncrumple.judge import fit_markov

    codes = np.random.default_rng(0).choice(6, 2000, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    x, y = np.lib.stride_tricks.sliding_window_view(codes[:-1], 5), codes[5:]
    found = fit_markov(x[:1500], y[:1500], x[1500:], y[1500:], 6)
    assert found["Markov chain"][1].settings.startswith("looks back at nothing, which was no help, chosen on")
    assert np.array_equal(found["Markov chain"][0], found["symbol frequencies"][0])
    # A text that would take too long is learnt from its end, and that is said.
    cut = fit_markov(x[:1500], y[:1500], x[1500:], y[1500:], 6, budget_seconds=0.005)["Markov chain"][1]
    assert 0 < cut.rows_used < cut.rows_given == 1500
    assert cut.remarks == (f"fitted on the last {cut.rows_used:,} of 1,500 rows to stay within 0.005 s",)
