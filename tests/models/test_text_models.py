"""Models that take text: from raw strings through training to a file and back."""

import io
import json
import zipfile

import numpy as np
import pandas
import pytest
import torch

import uncrumple
from uncrumple import Input, Model, Sequential
from uncrumple import layers as L
from uncrumple.core.text import Text

TEXTS = ["a good film", "a bad film", "good, good!", "so bad it hurts"]
ANSWERS = np.array([1.0, 0.0, 1.0, 0.0])


def vectorizer(**settings):
    layer = L.TextVectorization(output_sequence_length=5, **settings)
    layer.adapt(TEXTS)
    return layer


def stacked(*front):
    uncrumple.utils.set_random_seed(1)
    text = vectorizer()
    model = Sequential(
        [
            *front,
            text,
            L.Embedding(text.vocabulary_size(), 4, mask_zero=True),
            L.GRU(3),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def branched():
    uncrumple.utils.set_random_seed(1)
    city, code, age = (
        Input((1,), dtype="string", name="city"),
        Input((1,), dtype="int64", name="code"),
        Input((1,), name="age"),
    )
    look = L.StringLookup(vocabulary=["Bern", "Rome"], output_mode="one_hot")
    joined = L.Concatenate()(
        [look(city), L.HashedCrossing(5, output_mode="one_hot")([city, code]), L.CategoryEncoding(9)(code), age]
    )
    model = Model({"city": city, "code": code, "age": age}, L.Dense(1)(joined))
    model.compile("sgd", "mse")
    return model


TABLE = {"city": ["Bern", "Rome", "Oslo"], "code": [3, 3, 8], "age": [0.5, 1.0, -1.0]}


@pytest.mark.parametrize(
    "front", [[], [Input((1,), dtype="string")], [Input((), dtype=str)]], ids=["none", "one", "flat"]
)
def test_raw_strings_are_learned_from(front):
    model = stacked(*front)
    history = model.fit(TEXTS * 4, np.tile(ANSWERS, 4), epochs=3, batch_size=4, verbose=0, validation_split=0.25)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert np.isfinite(model.evaluate(np.array(TEXTS), ANSWERS, verbose=0)).all()


def test_every_way_to_give_text_gives_the_same():
    model = stacked(Input((1,), dtype="string"))
    expected = model.predict(TEXTS, verbose=0)
    column = np.array(TEXTS, dtype=object)
    for way in (
        column,
        column[:, None],
        np.array(TEXTS),
        pandas.Series(TEXTS),
        [[one] for one in TEXTS],
        Text.of(TEXTS),
    ):
        np.testing.assert_array_equal(model.predict(way, verbose=0), expected)
        if not isinstance(way, pandas.Series):
            np.testing.assert_allclose(model(way).detach(), expected, rtol=1e-6)
    np.testing.assert_allclose(model(TEXTS).detach(), expected, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(TEXTS, batch_size=3, verbose=0), expected)


def test_the_same_as_numbers_looked_up_beforehand():
    """Text within the model or before it: the same training."""
    one, other = stacked(Input((1,), dtype="string")), stacked(Input((1,), dtype="string"))
    inner = Sequential([Input((5,), dtype="int64"), *other.layers[1:]])
    inner.compile("adam", "binary_crossentropy")
    numbers = other.layers[0](TEXTS)
    one.fit(TEXTS, ANSWERS, epochs=2, verbose=0, shuffle=False)
    inner.fit(numbers, ANSWERS, epochs=2, verbose=0, shuffle=False)
    for mine, their in zip(one.get_weights(), inner.get_weights()):
        np.testing.assert_allclose(mine, their, rtol=1e-6, atol=1e-7)


def test_shuffled_batches_keep_texts_and_answers_together():
    seen = {}

    class Watched(Model):
        def __init__(self):
            super().__init__()
            self.look = L.StringLookup(vocabulary=[str(number) for number in range(50)])
            self.end = L.Dense(1)

        def call(self, inputs):
            return self.end(self.look(inputs).to(torch.float32))

        def train_step(self, data):
            x, y = data
            seen.update(zip(x.reshape(-1).tolist(), y.reshape(-1).tolist()))
            return super().train_step(data)

    model = Watched()
    model.compile("sgd", "mse")
    model.fit(np.array([[str(number)] for number in range(50)]), np.arange(50.0) / 50, batch_size=7, verbose=0)
    assert seen == {str(number): pytest.approx(number / 50) for number in range(50)}


def test_streams_of_text():
    model = stacked(Input((1,), dtype="string"))
    pairs = [(text, answer) for text, answer in zip(TEXTS, ANSWERS)]
    model.fit(torch.utils.data.DataLoader(pairs, batch_size=2), verbose=0)
    model.fit(((TEXTS, ANSWERS) for _ in range(2)), verbose=0)
    expected = model.predict(TEXTS, verbose=0)
    np.testing.assert_array_equal(model.predict(((np.array(TEXTS),) for _ in range(1)), verbose=0), expected)


def test_tables_of_text_and_numbers():
    model = branched()
    frame = pandas.DataFrame(TABLE)
    model.fit({name: np.array(column) for name, column in TABLE.items()}, np.zeros((3, 1)), verbose=0)
    model.fit(dict(frame), np.zeros((3, 1)), verbose=0)
    expected = model.predict(TABLE, verbose=0)
    np.testing.assert_array_equal(model.predict(dict(frame), verbose=0), expected)
    assert expected.shape == (3, 1)


def test_text_that_comes_out():
    code = Input((1,), dtype="int64")
    model = Model(code, L.StringLookup(vocabulary=["Bern", "Rome"], invert=True)(code))
    assert model.predict(np.array([1, 0, 2]), batch_size=2, verbose=0).tolist() == [["Bern"], ["[UNK]"], ["Rome"]]
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("make, x", [(stacked, TEXTS), (branched, TABLE)])
def test_files(make, x, tmp_path):
    model = make()
    targets = ANSWERS if x is TEXTS else np.zeros((3, 1))
    model.fit(x, targets, verbose=0)
    model.save(tmp_path / "model.keras")
    again = uncrumple.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    again.fit(x, targets, verbose=0, shuffle=False)
    model.fit(x, targets, verbose=0, shuffle=False)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def rewritten(path, target, change):
    """Write a copy of a .keras file with its config and other entries changed."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "metadata.json":  # whoever changes a file changes its checksums too
                content = json.dumps({"keras_version": "3.15.1"}).encode()
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            copy.writestr(name, content)
    return target


def layers_of(config):
    return {entry["class_name"]: entry["config"] for entry in config["config"]["layers"]}


@pytest.mark.parametrize("safe_mode", [True, False])
@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_a_file_cannot_name_another_file(kind, safe_mode, tmp_path, monkeypatch):
    """CVE-2025-12058: Keras read a vocabulary from any path in a config."""
    secret = tmp_path / "secret.txt"
    secret.write_text("1\n2\n")
    layer = getattr(L, kind)(vocabulary=[1, 2] if kind == "IntegerLookup" else ["a", "b"])
    start = Input((1,), dtype="int64" if kind == "IntegerLookup" else "string")
    Model(start, layer(start)).save(tmp_path / "model.keras")
    path = rewritten(
        tmp_path / "model.keras",
        tmp_path / "evil.keras",
        lambda config: layers_of(config)[kind].update(vocabulary=str(secret)),
    )
    opened = []
    monkeypatch.setattr(io, "open", lambda *args, **_: opened.append(args))
    with pytest.raises(ValueError, match="The config names a file outside of the model's own") as caught:
        uncrumple.models.load_model(path, safe_mode=safe_mode)
    assert str(secret) in str(caught.value)
    assert opened == []


@pytest.mark.parametrize(
    "settings",
    [
        {"num_oov_indices": 2**40},
        {"output_mode": "tf_idf", "idf_weights": [1.0], "max_tokens": 2**40, "pad_to_max_tokens": True},
    ],
)
def test_a_file_cannot_fill_the_memory(settings, tmp_path):
    start = Input((1,), dtype="string")
    Model(start, L.StringLookup(vocabulary=["a"])(start)).save(tmp_path / "model.keras")
    path = rewritten(
        tmp_path / "model.keras",
        tmp_path / "evil.keras",
        lambda config: layers_of(config)["StringLookup"].update(settings),
    )
    with pytest.raises(ValueError, match="Expected no more than the weights that the file holds"):
        uncrumple.models.load_model(path)


def test_models_of_text_move_and_change_their_type():
    model = stacked(Input((1,), dtype="string"))
    expected = model.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(model.to("cpu").predict(TEXTS, verbose=0), expected)
    text = L.TextVectorization(output_mode="tf_idf")
    text.adapt(TEXTS)
    assert text.to("meta")._lookup_layer.idf_weights.is_meta


def test_ones_own_from_config_cannot_open_a_path_while_loading(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("1\n2\n")

    @uncrumple.saving.register_keras_serializable("tests")
    class Mine(L.StringLookup):
        @classmethod
        def from_config(cls, config):
            return cls(vocabulary=config["vocabulary"])

    try:
        start = Input((1,), dtype="string")
        Model(start, Mine(vocabulary=["a"])(start)).save(tmp_path / "model.keras")
        path = rewritten(
            tmp_path / "model.keras",
            tmp_path / "evil.keras",
            lambda config: layers_of(config)["Mine"].update(vocabulary=str(secret)),
        )
        with pytest.raises(ValueError, match="The config names a file outside of the model's own"):
            uncrumple.models.load_model(path)
    finally:
        uncrumple.utils.get_custom_objects().pop("tests>Mine")


# --- mistakes ----------------------------------------------------------------------------


def test_text_for_a_model_of_numbers():
    model = Sequential([Input((1,)), L.Dense(1)])
    model.compile("sgd", "mse")
    for call in (lambda: model.predict(TEXTS, verbose=0), lambda: model.fit(TEXTS, ANSWERS, verbose=0)):
        with pytest.raises(ValueError, match="x holds text, such as 'a good film'"):
            call()


def test_text_as_targets():
    model = stacked()
    with pytest.raises(ValueError, match="y holds text, such as 'good'"):
        model.fit(TEXTS, ["good", "bad", "good", "bad"], verbose=0)


def test_numbers_for_a_model_of_text():
    model = stacked(Input((1,), dtype="string", name="review"))
    with pytest.raises(ValueError) as caught:
        model.predict(np.zeros((2, 1)), verbose=0)
    assert str(caught.value) == (
        f"Model '{model.name}' got numbers for its input 'review': x of shape (2, 1).\n"
        "Expected text.\n"
        "Fix: Input(...) without dtype='string' for numbers, or x.astype(str)"
    )


def test_text_for_the_wrong_input():
    with pytest.raises(ValueError, match="got text for its input 'age'"):
        branched().predict({**TABLE, "age": ["old", "new", "old"]}, verbose=0)


def test_gaps_in_text():
    with pytest.raises(ValueError) as caught:
        stacked().predict(np.array(["a", None], dtype=object), verbose=0)
    assert str(caught.value).startswith("x holds None in row 1, a NoneType.\n")


def test_a_layer_of_numbers_on_text():
    with pytest.raises(ValueError, match="Expected a layer that takes text first"):
        L.Dense(2)(Input((1,), dtype="string"))


def test_training_before_adapt():
    model = Sequential([L.TextVectorization(name="text"), L.Embedding(9, 2), L.GlobalAveragePooling1D(), L.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError) as caught:
        model.fit(TEXTS, ANSWERS, verbose=0)
    assert str(caught.value) == (
        "StringLookup 'text' was used before it knows a vocabulary.\n"
        "Expected adapt() first, or a vocabulary.\n"
        "Fix: text.adapt(x_train)"
    )
