"""Counterfactuals: the planted smallest change is found, within the data, with whole numbers and real categories."""

import json

import numpy as np
import pytest

import uncrumple as uc
from uncrumple.explain import counterfactual
from uncrumple.layers import Dense, Input


def network(weights, bias, activation="sigmoid"):
    model = uc.Sequential([Input((len(weights),)), Dense(1, activation=activation)])
    model.set_weights([np.array(weights, "float32")[:, None], np.array([bias], "float32")])
    return model


def grid(columns=3, count=200, seed=0):
    return np.random.default_rng(seed).integers(0, 11, size=(count, columns)).astype("float32")


def test_planted_counterfactual():
    """Only the second column counts, and it must exceed 7.5: the nearest value is 8."""
    x = grid()
    x[0] = [1, 2, 3]
    found = counterfactual(network([0, 4, 0], -30), x, 0, feature_names=["a", "b", "c"])
    assert found.changes[0].changed == {"b": (2.0, 8.0)}
    assert found.sparsity == 1 and found.columns == 3
    assert found.changes[0].answer == "'class 1'" and found.changes[0].after > 0.5
    assert found.title == "b 2 → 8: this alone turns 'class 0' into 'class 1'."
    spread = np.subtract(*np.quantile(x[:, 1], [0.75, 0.25]))
    assert found.changes[0].distance == pytest.approx(6 / spread)
    assert len(found.changes) == 1  # with other columns nothing flips it


def test_two_columns_where_one_is_not_enough():
    x = np.array([[a, b] for a in range(4) for b in range(4)], "float32")
    found = counterfactual(network([1, 1], -5.5), x, [0.0, 0.0], feature_names=["a", "b"])
    assert found.changes[0].changed == {"a": (0.0, 3.0), "b": (0.0, 3.0)}
    none = counterfactual(network([1, 1], -5.5), x, [0.0, 0.0], most=1)
    assert none.changes == () and none.sparsity is None
    assert none.title == "No change of up to 1 columns within the data's range leads to 'class 1'."
    assert none.findings[0].name == "no-counterfactual"


def test_what_must_stay_stays():
    x = grid()
    x[0] = [0, 0, 5]
    model = network([3, 1, 0], -9.5)
    free = counterfactual(model, x, 0, feature_names=["a", "b", "c"])
    assert set(free.changes[0].changed) == {"a"}
    kept = counterfactual(model, x, 0, feature_names=["a", "b", "c"], keep=["a"])
    assert kept.changes[0].changed == {"b": (0.0, 10.0)}
    assert kept.kept == ("a",)
    assert [set(one.changed) for one in free.changes] == [{"a"}, {"b"}]


def test_only_values_that_occur():
    x = np.array([[0.0], [0.25], [0.5], [4.75]], "float32")
    found = counterfactual(network([1], -1.0), x, 0)
    assert found.changes[0].changed == {"feature 0": (0.0, 4.75)}


def test_groups_change_together():
    """One-hot columns: three towns; the change is from one real town to another."""
    towns = np.eye(3)[np.arange(60) % 3]
    x = np.concatenate([towns, np.zeros((60, 1))], axis=1).astype("float32")
    model = network([-3, 0, 3, 0], 0)
    found = counterfactual(
        model, x, 0, feature_names=["Bern", "Rome", "Oslo", "x"], groups={"town": ["Bern", "Rome", "Oslo"]}
    )
    assert found.changes[0].changed == {"Bern": (1.0, 0.0), "Oslo": (0.0, 1.0)}


def test_values_of_a_regression():
    x = grid()
    x[0] = [1, 1, 1]
    model = network([10, 1, 0], 0, activation=None)
    found = counterfactual(model, x, 0, wanted=(50, 65), feature_names=["a", "b", "c"])
    assert found.changes[0].changed == {"a": (1.0, 5.0)}
    assert found.changes[0].after == pytest.approx(51) and found.wanted == "a value from 50 to 65"
    with pytest.raises(ValueError, match="Expected \\(low, high\\)"):
        counterfactual(model, x, 0)
    with pytest.raises(ValueError, match="a range that this is not in"):
        counterfactual(model, x, 0, wanted=(0, 20))


def test_of_several_classes_the_wanted_one():
    model = uc.Sequential([Input((1,)), Dense(3, activation="softmax")])
    model.set_weights([np.array([[0.0, 2.0, 3.0]]), np.array([0.0, -3.0, -9.0])])
    x = np.arange(10, dtype="float32")[:, None]
    names = ("low", "middle", "high")
    assert counterfactual(model, x, 0, class_names=names).changes[0].answer == "'middle'"
    found = counterfactual(model, x, 0, class_names=names, wanted="high")
    assert found.changes[0].changed == {"feature 0": (0.0, 7.0)}
    with pytest.raises(ValueError, match="Unknown class: 'hihg'"):
        counterfactual(model, x, 0, class_names=names, wanted="hihg")
    with pytest.raises(ValueError, match="the model answers 'low' now"):
        counterfactual(model, x, 0, class_names=names, wanted="low")


@pytest.fixture(scope="module")
def titanic():
    draws = np.random.default_rng(0)
    sex = draws.choice(["male", "female"], size=400)
    age = np.where(draws.uniform(size=400) < 0.1, np.nan, draws.integers(1, 80, 400))
    alive = np.where(sex == "female", "yes", "no")
    table = uc.data.Table(
        {"sex": sex, "age": age, "port": draws.choice(["S", "C"], 400), "alive": alive}, target="alive"
    )
    preparation = table.preparation()
    inputs = preparation.inputs()
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(preparation(inputs)))
    model.compile(uc.optimizers.Adam(0.1), "binary_crossentropy")
    model.fit(table.raw, table.y, epochs=8, verbose=0)
    return model, table


def test_raw_tables_with_categories_and_gaps(titanic, tmp_path):
    model, table = titanic
    row = int(np.flatnonzero((table.raw["sex"] == "male") & np.isnan(table.raw["age"]))[0])
    found = counterfactual(model, table, row)
    assert found.changes[0].changed == {"sex": ("male", "female")} and found.changes[0].distance == 1.0
    assert found.truth == "'no'" and found.answer == "'no'" and found.nearest is not None
    assert "age" in found.row and np.isnan(found.row["age"])
    by_row = counterfactual(model, table, {"sex": "male", "age": 30, "port": "S"})
    assert by_row.changes[0].changed == {"sex": ("male", "female")}
    assert "sex male → female" in str(found) and "The nearest real row" in str(found)
    kept = json.loads(found.save(tmp_path / "c.json").read_text())
    assert kept["changes"][0]["changed"] == {"sex": {"from": "male", "to": "female"}}
    assert found.save(tmp_path / "c.png").stat().st_size > 3000


def test_impossible_arguments(titanic):
    model, table = titanic
    for settings, message in (
        ({"row": 4000}, "counterfactual got row=4000."),
        ({"row": {"sex": "male"}}, "Unknown column: 'age'."),
        ({"row": [1.0]}, "counterfactual got a list as row."),
        ({"keep": ["six"]}, "Unknown column: 'six'."),
        ({"most": 0}, "counterfactual got most=0."),
        ({"count": 0}, "counterfactual got count=0."),
    ):
        with pytest.raises(ValueError) as error:
            counterfactual(model, table, **settings)
        assert str(error.value).startswith(message), settings
        assert str(error.value).count("\n") == 2
