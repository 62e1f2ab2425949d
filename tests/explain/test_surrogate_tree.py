"""On the stand: a network that follows a rule is caught by its tree, and a tree that is not faithful says so."""

import json

import numpy as np
import pytest

import uncrumple as uc
from uncrumple.explain import surrogate_tree
from uncrumple.explain.tables.surrogate import Leaf
from uncrumple.layers import Dense, Input


class Rule(uc.layers.Layer):
    """A tree as a network: yes where the first feature is above 0.5 and the second above 0.25."""

    def call(self, inputs):
        inside = ((inputs[:, 0] > 0.5) & (inputs[:, 1] > 0.25)).float()
        return inside[:, None] * 20 - 10


def of_rule():
    return uc.Sequential([Input((3,)), Rule(), uc.layers.Activation("sigmoid")])


def uniform(count=600, columns=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, columns)).astype("float32")


def test_a_tree_like_network_is_caught_exactly():
    x = (np.floor(uniform() * 16) / 16 + 1 / 32).astype("float32")  # no value lies close to the edges
    found = surrogate_tree(of_rule(), x, feature_names=["a", "b", "c"], class_names=["no", "yes"])
    assert found.fidelity == 1.0 and found.depth == 2 and found.speaks
    assert found.held_rows == 180 and found.fitted_rows == 420
    assert 0.5 < found.majority < 0.8 and found.interval[0] > 0.97
    assert sorted(line.split("?")[0].strip("├└─ nyeso:│") for line in found.to_dict()["tree"] if "?" in line) == [
        "a ≤ 0.5",
        "b ≤ 0.25",
    ]
    assert found.title.startswith("A tree of at most 2 questions answers as the network does on 100 %")
    assert found.title.endswith("it can speak for the network.")


def test_a_network_that_no_small_tree_follows():
    class Stripes(uc.layers.Layer):
        def call(self, inputs):
            return (40 * (inputs[:, :1] + inputs[:, 1:2] - inputs[:, 2:3])).sin() * 10

    model = uc.Sequential([Input((3,)), Stripes(), uc.layers.Activation("sigmoid")])
    found = surrogate_tree(model, uniform(800))
    assert found.fidelity < 0.8 and not found.speaks
    assert found.title.endswith("do not take its word for the network's.")
    assert found.findings[0].name == "unfaithful-surrogate" and found.findings[0].severity == "warning"


def test_always_the_same_answer_is_no_merit():
    model = uc.Sequential([Input((2,)), Dense(1, activation="sigmoid")])
    model.set_weights([np.zeros((2, 1)), np.array([3.0])])
    found = surrogate_tree(model, uniform(100, 2))
    assert found.fidelity == found.majority == 1.0 and not found.speaks
    assert isinstance(found.root, Leaf)
    found.plot()


def test_against_the_data_too():
    x = uniform()
    y = (x[:, 0] > 0.5).astype(int)
    found = surrogate_tree(of_rule(), (x, y), depth=2)
    assert 0.8 < found.truths["network"] < 0.95
    assert found.truths["tree"] == pytest.approx(found.truths["network"], abs=0.02)
    assert "Against the data: the tree" in str(found)


def test_values():
    model = uc.Sequential([Input((2,)), Dense(1)])
    model.set_weights([np.array([[3.0], [0.0]]), np.array([1.0])])
    x = uniform(800, 2)
    found = surrogate_tree(model, x, feature_names=["a", "b"])
    said = found.tree.predict
    held = np.sort(np.random.default_rng(0).permutation(800)[560:])
    true = 3 * x[held, 0] + 1
    r2 = 1 - np.mean((said(x[held]) - true) ** 2) / np.var(true)
    assert found.fidelity == pytest.approx(r2, abs=1e-5) and found.majority == 0.0
    assert found.interval[0] < found.fidelity < found.interval[1]
    assert "explains" in found.title and found.names == ()


@pytest.fixture(scope="module")
def table():
    draws = np.random.default_rng(0)
    sex, age = draws.choice(["male", "female"], size=500), draws.integers(1, 80, 500).astype(float)
    age[:30] = np.nan
    port = draws.choice(["S", "C", "Q"], 500)
    data = uc.data.Table(
        {"sex": sex, "age": age, "port": port, "alive": np.where(sex == "female", "yes", "no")}, target="alive"
    )
    preparation = data.preparation()
    inputs = preparation.inputs()
    uc.utils.set_random_seed(0)
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(preparation(inputs)))
    model.compile(uc.optimizers.Adam(0.1), "binary_crossentropy")
    model.fit(data.raw, data.y, epochs=8, verbose=0)
    return model, data


def test_raw_tables_ask_about_categories(table, tmp_path):
    model, data = table
    found = surrogate_tree(model, data)
    assert found.fidelity > 0.95 and found.depth == 1
    assert found.lines()[-3:] == [
        found.root.said + "?",
        f"├─ yes: yes (100 % of {found.root.yes.rows} rows)",
        f"└─ no: no (100 % of {found.root.no.rows} rows)",
    ]
    assert found.root.said == "sex is 'female'"
    assert {"port is 'S'", "port is 'C'", "port is 'Q'", "age"} <= set(found.features)
    kept = json.loads(found.save(tmp_path / "s.json").read_text())
    assert kept["leaves"] == 2 and kept["fidelity"] == found.fidelity
    assert found.save(tmp_path / "s.png").stat().st_size > 3000


def test_parts_are_fitted_and_judged_apart(table):
    model, data = table
    parts = uc.data.split(data)
    found = surrogate_tree(model, parts)
    assert (found.fitted_rows, found.held_rows) == (350, 75) and parts.test_uses == 0
    assert found.remarks[0] == "Fitted to the training part, judged on the validation part."


def test_columns_of_texts_are_left_out():
    texts = np.array([f"text {place}" for place in range(60)], dtype=object)
    x = {"x": np.arange(60.0), "words": texts}

    class Estimator:
        def predict(self, raw):
            return raw["x"]

    found = surrogate_tree(Estimator(), x)
    assert found.features == ("x",)
    assert found.remarks == ("The tree was not asked about 'words': it holds 60 different texts.",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"depth": 0}, "surrogate_tree got depth=0."), ({"held_out": 1.0}, "surrogate_tree got held_out=1.0.")],
    ids=["depth", "held_out"],
)
def test_impossible_arguments(settings, message):
    with pytest.raises(ValueError) as error:
        surrogate_tree(of_rule(), uniform(50), **settings)
    assert str(error.value).startswith(message)


def test_too_few_rows():
    with pytest.raises(ValueError, match="surrogate_tree got 14 rows to fit a tree to, and 6 to judge it on"):
        surrogate_tree(of_rule(), uniform(20))
