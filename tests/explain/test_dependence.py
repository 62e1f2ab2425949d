"""Partial dependence: exact on linear models, equal to scikit-learn's, honest about rows that go the other way."""

import json

import numpy as np
import pytest
from sklearn.inspection import partial_dependence as by_sklearn
from sklearn.linear_model import LogisticRegression

import uncrumple as uc
from uncrumple.explain import partial_dependence
from uncrumple.layers import Dense, Input


def linear(weights, activation=None):
    model = uc.Sequential([Input((len(weights),)), Dense(1, use_bias=False, activation=activation)])
    model.set_weights([np.array(weights, "float32")[:, None]])
    return model


def rows(count=100, columns=2, seed=0):
    return np.random.default_rng(seed).normal(size=(count, columns)).astype("float32")


def test_linear_model_is_a_line():
    x = rows()
    found = partial_dependence(linear([2.0, -1.0]), x, 0, points=5, feature_names=["size", "other"])
    np.testing.assert_allclose(found.mean, 2 * found.values - x[:, 1].mean(), atol=1e-5)
    np.testing.assert_allclose(found.curves, 2 * found.values - x[:, 1:], atol=1e-5)
    assert found.other_way == 0.0 and not found.is_flat
    assert found.title.startswith("The answer (value) rises from")


def test_a_column_without_weight_is_flat():
    found = partial_dependence(linear([2.0, 0.0]), rows(), "feature 1")
    assert found.range == pytest.approx(0, abs=1e-5) and found.is_flat
    assert found.title == "The answer (value) does not change with 'feature 1'."
    assert found.findings[0].name == "no-dependence"


def test_as_scikit_learn_has_it():
    x = rows(200, 3)
    model = LogisticRegression().fit(x, x[:, 0] + x[:, 1] ** 2 > 0.5)
    ours = partial_dependence(model, x, 1, points=7)
    theirs = by_sklearn(model, x, [1], kind="both", response_method="predict_proba", custom_values={1: ours.values})
    np.testing.assert_allclose(ours.mean, theirs["average"][0], atol=1e-6)
    np.testing.assert_allclose(ours.curves, theirs["individual"][0], atol=1e-6)


def test_rows_that_go_the_other_way_are_told():
    """Half of the rows have a switch that turns the effect around."""

    class Switched(uc.layers.Layer):
        def call(self, inputs):
            return inputs[:, :1] * (1 + 0.5 * inputs[:, 1:])  # from -0.5 to 2.5 times

    x = rows(200)
    x[:, 1] = np.where(np.arange(200) % 4 == 0, -3.0, 1.0)
    model = uc.Sequential([Input((2,)), Switched()])
    found = partial_dependence(model, x, 0)
    assert found.other_way == pytest.approx(0.25, abs=0.01)
    assert "in 25 % of rows it goes the other way" in found.title


@pytest.fixture(scope="module")
def table():
    draws = np.random.default_rng(0)
    town = draws.choice(["Bern", "Rome", ""], size=300)
    data = uc.data.Table(
        {"town": town, "rooms": draws.integers(1, 6, 300).astype(float), "dear": np.where(town == "Rome", "yes", "no")},
        target="dear",
    )
    preparation = data.preparation()
    inputs = preparation.inputs()
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(preparation(inputs)))
    model.compile(uc.optimizers.Adam(0.1), "binary_crossentropy")
    model.fit(data.raw, data.y, epochs=8, verbose=0)
    return model, data


def test_categories_of_a_table(table):
    model, data = table
    found = partial_dependence(model, data, "town")
    assert found.values.tolist() == ["", "Bern", "Rome"] and found.target == "yes"
    assert found.mean.argmax() == 2
    assert "is highest for 'town' = Rome" in found.title
    other = partial_dependence(model, data, "town", target="no")
    np.testing.assert_allclose(other.mean, 1 - found.mean)
    # The untrained network is the control: it does not know the towns.
    assert np.ptp(found.untrained) < found.range


def test_few_values_are_all_taken(table):
    model, data = table
    assert partial_dependence(model, data, "rooms").values.tolist() == [1, 2, 3, 4, 5]


def test_it_is_shown_and_kept(table, tmp_path):
    model, data = table
    found = partial_dependence(model, data, "town")
    assert "missing" in str(found)
    assert len(found.plot().axes[0].lines) > 50
    kept = json.loads(found.save(tmp_path / "d.json").read_text())
    assert kept["values"] == ["", "Bern", "Rome"]
    found.save(tmp_path / "d.png")
    figure = partial_dependence(model, data, "rooms").plot()
    assert figure.axes[0].get_ylabel() == "probability of 'yes'"


@pytest.mark.parametrize(
    ("column", "settings", "message"),
    [
        ("c", {}, "Unknown column: 'c'."),
        (7, {}, "Unknown column: '7'."),
        ("a", {"points": 1}, "partial_dependence got points=1."),
        ("a", {"target": 1}, "partial_dependence got target=1 for a regression."),
    ],
    ids=["name", "number", "points", "target"],
)
def test_impossible_arguments(column, settings, message):
    with pytest.raises(ValueError) as error:
        partial_dependence(linear([1.0, 1.0]), rows(), column, feature_names=["a", "b"], **settings)
    assert str(error.value).startswith(message) and str(error.value).count("\n") == 2


def test_unknown_classes(table):
    model, data = table
    with pytest.raises(ValueError, match="Unknown class: 'maybe'"):
        partial_dependence(model, data, "town", target="maybe")
    with pytest.raises(ValueError, match="partial_dependence got target=5"):
        partial_dependence(model, data, "town", target=5)
