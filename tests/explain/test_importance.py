"""Permutation importance: what is used is found, noise is not, and scikit-learn says the same."""

import json

import numpy as np
import pytest
import torch
from sklearn.inspection import permutation_importance as by_sklearn
from sklearn.linear_model import LinearRegression

import uncrumple as uc
from uncrumple.explain import permutation_importance, with_noise
from uncrumple.layers import Dense, Input


def linear(weights, activation=None):
    model = uc.Sequential([Input((len(weights),)), Dense(1, use_bias=False, activation=activation)])
    model.set_weights([np.array(weights, "float32")[:, None]])
    return model


def rows(count=400, columns=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, columns)).astype("float32")


def test_linear_model_is_known():
    """Shuffling a standard normal column of weight w turns a perfect answer into one wrong by |w| |a - b|."""
    x = rows(4000, 3)
    weights = [2.0, 0.5, 0.0]
    found = permutation_importance(
        linear(weights), (x, x @ np.array(weights)), most_rows=4000, feature_names=list("abc")
    )
    assert found.columns == ("a", "b", "c") and found.metric == "mae"
    # The mean size of the difference of two standard normal numbers is 2 / sqrt(pi).
    np.testing.assert_allclose(found.means, np.array([2.0, 0.5, 0.0]) * 2 / np.sqrt(np.pi), rtol=0.04, atol=1e-5)
    assert found.matters == ("a", "b") and found.base == pytest.approx(0, abs=1e-5)
    low, high = found.intervals[0]
    assert low < found.means[0] < high and high - low < 0.2
    assert found.agreement == pytest.approx(1.0)


def test_as_scikit_learn_has_it():
    x = rows(300, 3)
    y = x @ np.array([1.0, 0.3, 0.0]) + np.random.default_rng(1).normal(size=300)
    model = LinearRegression().fit(x, y)
    ours = permutation_importance(model, (x, y), repeats=30, feature_names=list("abc"))
    theirs = by_sklearn(model, x, y, scoring="neg_mean_absolute_error", n_repeats=30, random_state=0)
    for place, name in enumerate(ours.columns):
        expected = theirs.importances_mean["abc".index(name)]
        assert ours.means[place] == pytest.approx(expected, abs=0.05)
    assert ours.untrained is None and ours.gradients is None


def test_columns_that_stand_in_for_each_other_are_not_said_to_be_without_effect():
    """The middle of three equal columns: shuffling one changes no middle."""

    class Middle:
        def predict(self, given):
            return np.median(np.asarray(given), axis=1)

    class Nothing:
        def predict(self, given):
            return np.zeros(len(given))

    x = np.repeat(rows(200, 1), 3, axis=1)
    found = permutation_importance(Middle(), (x, x[:, 0]))
    assert found.matters == ()
    assert found.title == (
        "No column by itself makes a measurable difference: the 2 others may stand in for the one that is shuffled."
    )
    alone = permutation_importance(Nothing(), (x[:, :1], x[:, 0]))
    assert alone.title == "Shuffling the only column makes no measurable difference."


def trained_with_noise():
    x = rows(600, 3)
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)
    x = with_noise(x)
    assert x.shape == (600, 4) and x.dtype == np.float32
    model = uc.Sequential([Input((4,)), Dense(16, activation="relu"), Dense(2, activation="softmax")])
    model.compile(uc.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(x[:300], y[:300], epochs=20, verbose=0)
    return model, x[300:], y[300:]


def test_pure_noise_is_about_nothing():
    model, x, y = trained_with_noise()
    found = permutation_importance(model, (x, y), feature_names=["first", "second", "idle", "noise"], noise="noise")
    assert found.columns[:2] == ("first", "second") and found.matters == ("first", "second")
    place = found.columns.index("noise")
    assert abs(found.means[place]) < 0.02 and abs(found.means[found.columns.index("idle")]) < 0.02
    assert found.floor >= found.means[place]
    assert np.abs(found.untrained).max() < 0.25
    assert "Without 'first' the network is right" in found.title
    assert "1 of 3 columns make no measurable difference" in found.title


def test_log_loss_is_the_finer_one():
    model, x, y = trained_with_noise()
    found = permutation_importance(model, (x, y), metric="log_loss")
    answers = model.predict(x, verbose=0)
    assert found.base == pytest.approx(-np.log(answers[np.arange(len(y)), y]).mean(), rel=1e-4)
    assert "the log loss rises by" in found.title


def test_columns_that_say_the_same_are_named_and_grouped():
    x = rows(400, 3)
    x[:, 1] = x[:, 0] + 0.05 * x[:, 1]
    y = x[:, 0] + x[:, 1]
    model = linear([1.0, 1.0, 0.0])
    alone = permutation_importance(model, (x, y), feature_names=["a", "b", "c"])
    assert alone.remarks == (
        "'a', 'b' go together (rank correlation 1.00): shuffled alone, each seems to matter less than it does; "
        "groups={'together': ['a', 'b']} shuffles them together.",
    )
    grouped = permutation_importance(model, (x, y), feature_names=["a", "b", "c"], groups={"both": ["a", "b"]})
    assert grouped.columns == ("both", "c") and not grouped.remarks
    assert grouped.means[0] > 1.5 * alone.means[0]


@pytest.fixture(scope="module")
def table():
    draws = np.random.default_rng(0)
    sex = draws.choice(["male", "female"], size=500)
    age = np.where(draws.uniform(size=500) < 0.1, np.nan, draws.integers(1, 80, 500))
    alive = np.where(sex == "female", "yes", "no")
    data = uc.data.Table({"sex": sex, "age": age, "fare": draws.normal(30, 5, 500), "alive": alive}, target="alive")
    preparation = data.preparation()
    inputs = preparation.inputs()
    uc.utils.set_random_seed(0)
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(Dense(8, activation="relu")(preparation(inputs))))
    model.compile(uc.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(data.raw, data.y, epochs=10, verbose=0)
    return model, data


def test_raw_tables_and_their_parts(table, tmp_path):
    model, data = table
    found = permutation_importance(model, data)
    assert found.columns[0] == "sex" and found.matters == ("sex",)
    assert found.means[0] == pytest.approx(0.5, abs=0.06)
    assert found.gradients.argmax() == 0
    parts = uc.data.split(data)
    of_parts = permutation_importance(model, parts)
    assert of_parts.rows == 75 and parts.test_uses == 0
    assert of_parts.remarks[0] == "Asked about the 75 rows of the validation part."
    model.save(tmp_path / "m.keras")
    again = permutation_importance(uc.models.load_model(tmp_path / "m.keras"), data)
    np.testing.assert_allclose(again.means, found.means)


def test_a_dict_of_columns_and_answers_in_words(table):
    model, data = table
    found = permutation_importance(model, (data.raw, data.decode(data.y)), repeats=3)
    np.testing.assert_allclose(found.base, permutation_importance(model, data, repeats=3).base)


def test_nothing_changes(table):
    model, data = table
    torch.manual_seed(1)
    state, weights = torch.get_rng_state(), [one.numpy().copy() for one in model.weights]
    age = data.raw["age"].copy()
    permutation_importance(model, data, repeats=2)
    assert torch.equal(state, torch.get_rng_state())
    assert all(np.array_equal(one, other.numpy()) for one, other in zip(weights, model.weights))
    np.testing.assert_array_equal(age, data.raw["age"])


def test_torch_module_with_logits():
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    x = rows(200, 3)
    y = module(torch.as_tensor(x)).argmax(1).numpy()
    found = permutation_importance(module, (x, y))
    assert found.base == 1.0 and found.metric == "accuracy"


def test_it_is_shown_and_kept(tmp_path, table):
    model, data = table
    found = permutation_importance(model, data, repeats=3)
    assert "accuracy with all columns:" in str(found) and "untrained" in str(found)
    figure = found.plot()
    assert "points of accuracy" in figure.axes[0].get_xlabel()
    kept = json.loads(found.save(tmp_path / "i.json").read_text())
    assert kept["columns"][0] == "sex" and len(kept["losses"][0]) == 3
    assert kept["findings"][0]["name"] == "column-matters"
    assert found.save(tmp_path / "i.html").read_text().count("<img") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repeats": 1}, "permutation_importance got repeats=1."),
        ({"most_rows": 0}, "permutation_importance got most_rows=0."),
        ({"metric": "f1"}, "Unknown metric: 'f1'."),
        ({"metric": "accuracy"}, "permutation_importance got metric='accuracy' for a regression."),
        ({"noise": "hum"}, "Unknown column: 'hum'."),
        ({"groups": {"both": ["a", "z"]}}, "Unknown column: 'z'."),
        ({"groups": {"one": ["a"], "two": ["a"]}}, "The column 'a' is in two groups, 'one' and 'two'."),
    ],
    ids=["repeats", "most_rows", "metric", "metric-of-classes", "noise", "group", "groups"],
)
def test_impossible_arguments(settings, message):
    x = rows(20, 2)
    with pytest.raises(ValueError) as error:
        permutation_importance(linear([1.0, 1.0]), (x, x[:, 0]), feature_names=["a", "b"], **settings)
    assert str(error.value).startswith(message) and str(error.value).count("\n") == 2


def test_answers_must_be_there():
    with pytest.raises(ValueError, match="permutation_importance got rows without answers"):
        permutation_importance(linear([1.0]), rows(20, 1))
    with pytest.raises(ValueError, match="permutation_importance got 20 rows and 3 answers"):
        permutation_importance(linear([1.0]), (rows(20, 1), np.zeros(3)))
    with pytest.raises(ValueError, match=r"permutation_importance got data of shape \(2, 4, 4\)"):
        permutation_importance(linear([1.0]), (np.zeros((2, 4, 4)), np.zeros(2)))


def test_noise_of_a_table(table):
    _, data = table
    made = with_noise(data)
    assert [column.name for column in made.columns][-1] == "pure noise"
    assert "pure noise" not in data.raw and made.preparation().feature_names.count("pure noise") == 1
    with pytest.raises(ValueError, match="The table has a column 'pure noise'"):
        with_noise(made)
