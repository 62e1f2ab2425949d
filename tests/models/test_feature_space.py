"""The columns of a table prepared together: every kind of feature, models on top, files, mistakes."""

import json

import numpy as np
import pandas
import pytest
import torch

import uncrumple
from uncrumple import Model
from uncrumple import layers as L
from uncrumple.utils import FeatureSpace

TABLE = {"age": [30.0, 40.0, 50.0, 60.0], "city": ["Bern", "Rome", "Bern", "Oslo"], "code": [3, 4, 3, 3]}
KINDS = {"age": "float_normalized", "city": "string_categorical", "code": "integer_categorical"}


def adapted(**settings):
    space = FeatureSpace(settings.pop("features", KINDS), **settings)
    space.adapt(TABLE)
    return space


@pytest.mark.parametrize(
    "kind, column, width",
    [
        ("float", "age", 1),
        ("float_rescaled", "age", 1),
        ("float_normalized", "age", 1),
        ("float_discretized", "age", 32),
        (FeatureSpace.float_discretized(num_bins=2), "age", 2),
        (FeatureSpace.float_discretized(num_bins=None, bin_boundaries=[35.0]), "age", 2),
        ("integer_categorical", "code", 3),
        (FeatureSpace.integer_categorical(max_tokens=2), "code", 2),
        ("integer_hashed", "code", 32),
        ("string_categorical", "city", 4),
        (FeatureSpace.string_categorical(num_oov_indices=2), "city", 5),
        ("string_hashed", "city", 32),
        (FeatureSpace.string_hashed(7), "city", 7),
    ],
)
def test_every_kind(kind, column, width):
    space = FeatureSpace({column: kind})
    space.adapt({column: TABLE[column]})
    made = space({column: TABLE[column]})
    assert made.shape == (4, width)
    assert space.get_encoded_features().shape == (None, width)
    if width > 1:
        assert made.sum(-1).tolist() == [1.0] * 4


def test_numbers():
    space = adapted(features={"age": FeatureSpace.float_rescaled(0.5, offset=1.0), "city": "string_categorical"})
    look = space.preprocessors["city"].get_vocabulary()
    made = space({"age": [2.0], "city": ["Rome"]})[0].tolist()
    assert sorted(look) == ["Bern", "Oslo", "Rome", "[UNK]"] and look[:2] == ["[UNK]", "Bern"]
    assert made == [2.0, *[1.0 if word == "Rome" else 0.0 for word in look]]


def test_a_dict_of_features():
    space = adapted(
        features={**KINDS, "city": FeatureSpace.string_categorical(output_mode="int")},
        crosses=[FeatureSpace.cross(("city", "code"), crossing_dim=8, output_mode="int")],
        output_mode="dict",
    )
    made = space(TABLE)
    assert list(made) == ["age", "city", "code", "city_X_code"]
    assert made["city"].dtype == torch.int64 and made["city"].shape == (4, 1)
    assert made["code"].shape == (4, 3) and made["city_X_code"].shape == (4, 1)


@pytest.mark.parametrize(
    "table",
    [
        pandas.DataFrame(TABLE),
        {name: np.array(column) for name, column in TABLE.items()},
        {name: np.array(column)[:, None] for name, column in TABLE.items()},
    ],
    ids=["frame", "arrays", "columns"],
)
def test_every_way_to_give_a_table(table):
    space = FeatureSpace(KINDS)
    space.adapt(table)
    assert torch.equal(space(table), adapted()(TABLE))


def test_batches_and_single_rows():
    rows = [{name: column[place] for name, column in TABLE.items()} for place in range(4)]
    space = FeatureSpace(KINDS)
    space.adapt(torch.utils.data.DataLoader(rows, batch_size=3))
    whole = space(TABLE)
    torch.testing.assert_close(whole, adapted()(TABLE))
    assert torch.equal(space(rows[1]), whole[1])
    other = FeatureSpace(KINDS)
    other.adapt((batch, 0) for batch in torch.utils.data.DataLoader(rows, batch_size=2))
    torch.testing.assert_close(other(TABLE), whole)


def test_a_layer_of_ones_own():
    text = L.TextVectorization(output_mode="tf_idf")
    space = FeatureSpace({"text": FeatureSpace.feature("string", text, "float")})
    space.adapt({"text": ["a b", "b c"]})
    assert space.preprocessors["text"] is text
    assert space({"text": ["a b"]}).shape == (1, 4)
    given = L.StringLookup(vocabulary=["a"])
    assert FeatureSpace({"word": FeatureSpace.feature("string", given, "one_hot")})({"word": ["a"]}).tolist() == [
        [0, 1]
    ]


def test_models_on_raw_tables_and_on_prepared_ones(tmp_path):
    space = adapted(crosses=[("city", "code")], crossing_dim=6)
    uncrumple.utils.set_random_seed(1)
    features = space.get_encoded_features()
    end = L.Dense(1)(features)
    raw, prepared = Model(space.get_inputs(), end), Model(features, end)
    raw.compile("sgd", "mse")
    raw.fit({name: np.array(column) for name, column in TABLE.items()}, np.ones((4, 1)), verbose=0)
    np.testing.assert_allclose(prepared.predict(space(TABLE), verbose=0), raw.predict(TABLE, verbose=0), rtol=1e-6)
    raw.save(tmp_path / "raw.keras")
    again = uncrumple.models.load_model(tmp_path / "raw.keras")
    np.testing.assert_array_equal(again.predict(TABLE, verbose=0), raw.predict(TABLE, verbose=0))


@pytest.mark.parametrize("mode", ["concat", "dict"])
def test_files(mode, tmp_path):
    kinds = {**KINDS, "text": FeatureSpace.feature("string", L.TextVectorization(output_mode="count"), "float")}
    table = {**TABLE, "text": ["a b", "b", "c d", ""]}
    space = FeatureSpace(kinds, output_mode=mode, crosses=[("city", "code")])
    space.adapt(table)
    space.save(tmp_path / "space.keras")
    again = uncrumple.models.load_model(tmp_path / "space.keras")
    assert json.dumps(again.get_config()) == json.dumps(space.get_config())
    mine, other = space(table), again(table)
    for one, two in zip(mine.values(), other.values()) if mode == "dict" else [(mine, other)]:
        assert torch.equal(one, two)
    assert again.get_encoded_features() is not None


# --- mistakes ----------------------------------------------------------------------------


def test_before_adapt():
    for use in (lambda s: s(TABLE), lambda s: s.get_inputs(), lambda s: s.get_encoded_features()):
        with pytest.raises(ValueError) as caught:
            use(FeatureSpace(KINDS, name="space"))
        assert str(caught.value) == (
            "FeatureSpace 'space' was used before adapt().\n"
            "Expected it to have seen data: 'age', 'city', 'code' learn from it.\n"
            "Fix: space.adapt(table)"
        )
    assert FeatureSpace({"age": "float"})({"age": [1.0]}).tolist() == [[1.0]]  # nothing to learn


MISTAKES = [
    (lambda: FeatureSpace({}), "FeatureSpace got features={}."),
    (lambda: FeatureSpace({"a": "flaot"}), "Unknown kind of the feature 'a': 'flaot'."),
    (lambda: FeatureSpace({"a": "float"}, output_mode="list"), "FeatureSpace got output_mode='list'."),
    (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "b")]), "Unknown feature in crosses: 'b'."),
    (lambda: FeatureSpace.cross(("a", "b"), 3, "float"), "Cross got output_mode='float'."),
    (lambda: FeatureSpace.feature("float32", None, "dict"), "Feature got output_mode='dict'."),
    (lambda: adapted(name="s")(TABLE["age"]), "FeatureSpace 's' got list."),
    (lambda: adapted(name="s")({"age": [1.0]}), "FeatureSpace 's' got columns 'age'."),
    (lambda: adapted(name="s")({**TABLE, "x": [1]}), "FeatureSpace 's' got columns 'age', 'city', 'code', 'x'."),
    (lambda: FeatureSpace(KINDS, name="s").adapt(3), "FeatureSpace 's' got int in adapt()."),
    (lambda: FeatureSpace(KINDS, name="s").adapt({"age": [1.0]}), "FeatureSpace 's' got columns 'age' in adapt()."),
    (
        lambda: adapted(features={"city": FeatureSpace.string_categorical(output_mode="int")}, name="s"),
        "FeatureSpace 's': the feature 'city' is of type int64, and cannot be joined with others.",
    ),
    (
        lambda: adapted(features={"age": FeatureSpace.feature("float32", L.Rescaling(2.0), "one_hot")}, name="s"),
        "FeatureSpace 's': the feature 'age' has output_mode='one_hot', and Rescaling gives float32.",
    ),
    (lambda: adapted().save("space.h5"), "save got the path 'space.h5'."),
]


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_mistakes(number):
    make, expected = MISTAKES[number]
    with pytest.raises(ValueError) as caught:
        make()
    lines = str(caught.value).split("\n")
    assert lines[0] == expected
    assert len(lines) == 3
    assert lines[1].startswith("Expected ") and lines[2].startswith("Fix: ")
