"""Make golden_preprocessing.json, preprocessing.keras and feature_space.keras with real Keras.

Keras's lookups, hashes and text layers need TensorFlow, whatever the backend.
In an environment that has keras 3.15.1, torch and tensorflow:

    python tests/golden/make_preprocessing.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND", "torch")

import keras
import numpy as np

HERE = Path(__file__).parent
WORDS = [["red", "blue", "red"], ["green", "", "unheard"]]
TEXTS = ["The cat, SAT!", "a  dog\tran far\naway...", "", "é É ünï-cødé", "the the cat"]
COLOURS = ["red", "green", "blue"]
NUMBERS = [[12, 36, 12], [1138, -5, 7]]
LONG = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "abcdefg",
    "abcdefgh",
    "x" * 16,
    "y" * 17,
    "z" * 32,
    "é" * 20,
    "w" * 64,
    "v" * 65,
    "u" * 200,
]

# (class, settings, what adapt gets, inputs)
CASES = [
    *[
        ("StringLookup", {"vocabulary": COLOURS, "output_mode": mode}, None, WORDS)
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    *[
        ("StringLookup", {"vocabulary": COLOURS, "mask_token": "", "output_mode": mode}, None, WORDS)
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    *[
        ("StringLookup", {"vocabulary": COLOURS, "output_mode": mode}, None, ["red", "none"])
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    *[
        ("StringLookup", {"vocabulary": COLOURS, "output_mode": mode}, None, [["red"], ["none"]])
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    *[
        ("StringLookup", {"vocabulary": COLOURS, "output_mode": mode}, None, "green")
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    ("StringLookup", {"vocabulary": ["[UNK]", *COLOURS]}, None, WORDS),
    ("StringLookup", {"vocabulary": COLOURS, "num_oov_indices": 3}, None, [LONG]),
    ("StringLookup", {"vocabulary": COLOURS, "num_oov_indices": 3, "salt": 7}, None, [LONG]),
    ("StringLookup", {"vocabulary": COLOURS, "num_oov_indices": 3, "salt": [7, 9], "mask_token": ""}, None, [LONG]),
    ("StringLookup", {"vocabulary": COLOURS, "num_oov_indices": 0}, None, [["red", "blue"]]),
    (
        "StringLookup",
        {"vocabulary": COLOURS, "max_tokens": 6, "pad_to_max_tokens": True, "output_mode": "count"},
        None,
        WORDS,
    ),
    ("StringLookup", {"vocabulary": COLOURS, "idf_weights": [0.1, 0.2, 0.6], "output_mode": "tf_idf"}, None, WORDS),
    (
        "StringLookup",
        {"vocabulary": ["[UNK]", *COLOURS], "idf_weights": [0.9, 0.1, 0.2, 0.6], "output_mode": "tf_idf"},
        None,
        WORDS,
    ),
    (
        "StringLookup",
        {
            "vocabulary": COLOURS,
            "idf_weights": [0.1, 0.2, 0.6],
            "output_mode": "tf_idf",
            "max_tokens": 6,
            "pad_to_max_tokens": True,
        },
        None,
        WORDS,
    ),
    ("StringLookup", {"vocabulary": COLOURS, "invert": True}, None, [1, 0, 3, 9]),
    ("StringLookup", {"vocabulary": COLOURS, "invert": True, "mask_token": "-"}, None, [1, 0, 3, 9]),
    ("StringLookup", {}, ["b", "a", "c", "a", "b", "a", "d", "[UNK]"], [["a", "d", "x"]]),
    ("StringLookup", {"max_tokens": 3}, WORDS, WORDS),
    ("StringLookup", {"mask_token": "", "num_oov_indices": 2}, WORDS, WORDS),
    ("StringLookup", {"output_mode": "tf_idf"}, WORDS, WORDS),
    ("StringLookup", {"output_mode": "tf_idf"}, ["b", "a", "c", "a"], [["a", "b"]]),
    *[
        ("IntegerLookup", {"vocabulary": [12, 36, 1138], "output_mode": mode}, None, NUMBERS)
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    ("IntegerLookup", {"vocabulary": [12, 36, 1138], "mask_token": -5}, None, NUMBERS),
    ("IntegerLookup", {"vocabulary": [36, 1138], "mask_token": 12, "output_mode": "count"}, None, NUMBERS),
    ("IntegerLookup", {"vocabulary": [12, 36, 1138], "invert": True}, None, [[1, 0, 3, 9]]),
    ("IntegerLookup", {"vocabulary": [12, 36, 1138], "num_oov_indices": 3}, None, NUMBERS),
    ("IntegerLookup", {"vocabulary": [12, 36], "num_oov_indices": 3, "oov_method": "farmhash"}, None, NUMBERS),
    (
        "IntegerLookup",
        {"vocabulary": [12, 36], "num_oov_indices": 3, "oov_method": "farmhash", "salt": 5},
        None,
        NUMBERS,
    ),
    ("IntegerLookup", {"max_tokens": 4}, NUMBERS, NUMBERS),
    ("IntegerLookup", {"output_mode": "tf_idf"}, NUMBERS, NUMBERS),
    ("IntegerLookup", {"mask_token": 0}, [5, 5, 3, 0, 0, 9, -1], [5, 0, 3, 7]),
    ("Hashing", {"num_bins": 2**40}, None, [LONG]),
    ("Hashing", {"num_bins": 2**40, "salt": 133}, None, [LONG]),
    ("Hashing", {"num_bins": 2**40, "salt": [133, -1]}, None, [LONG]),
    ("Hashing", {"num_bins": 1000}, None, [[0, 1, -1, 10**15, -(10**15)]]),
    ("Hashing", {"num_bins": 1000}, None, [[0.5, 1.9, -2.9]]),
    ("Hashing", {"num_bins": 10, "mask_value": ""}, None, WORDS),
    ("Hashing", {"num_bins": 10, "mask_value": 12, "dtype": "int32"}, None, NUMBERS),
    ("Hashing", {"num_bins": 1, "mask_value": 12}, None, NUMBERS),
    *[("Hashing", {"num_bins": 4, "output_mode": mode}, None, WORDS) for mode in ("one_hot", "multi_hot", "count")],
    *[
        ("Hashing", {"num_bins": 4, "output_mode": mode}, None, [["a"], ["b"]])
        for mode in ("one_hot", "multi_hot", "count")
    ],
    *[
        ("Hashing", {"num_bins": 4, "output_mode": mode}, None, ["a", "b"])
        for mode in ("one_hot", "multi_hot", "count")
    ],
    ("HashedCrossing", {"num_bins": 2**40}, None, [["A", "B", ""], [101, -7, 0]]),
    ("HashedCrossing", {"num_bins": 2**40}, None, [[["A"], ["B"]], [[101], [102]], [[1], [2]]]),
    ("HashedCrossing", {"num_bins": 5, "output_mode": "one_hot"}, None, [["A", "B", "A"], [101, 101, 102]]),
    ("HashedCrossing", {"num_bins": 5, "output_mode": "one_hot"}, None, [[["A"], ["B"]], [["C"], ["D"]]]),
    *[
        ("CategoryEncoding", {"num_tokens": 4, "output_mode": mode}, None, value)
        for mode in ("one_hot", "multi_hot", "count")
        for value in ([[0, 1], [3, 3]], [[0], [1]], [0, 1], 2)
    ],
    *[
        ("TextVectorization", {"vocabulary": ["the", "cat", "dog", "é"], **settings}, None, TEXTS)
        for settings in (
            {},
            {"output_sequence_length": 2},
            {"output_sequence_length": 9},
            {"output_mode": "multi_hot"},
            {"output_mode": "count"},
            {"standardize": None},
            {"standardize": "lower"},
            {"standardize": "strip_punctuation"},
            {"split": "character"},
            {"ngrams": 2},
            {"ngrams": [1, 3]},
            {"max_tokens": 9, "pad_to_max_tokens": True, "output_mode": "count"},
            {"output_mode": "tf_idf", "idf_weights": [0.1, 0.2, 0.3, 0.4]},
        )
    ],
    ("TextVectorization", {"vocabulary": ["the", "cat"]}, None, [["the cat"], ["cat sat on"]]),
    ("TextVectorization", {"vocabulary": ["the", "cat"], "split": None, "standardize": None}, None, [["the"], ["dog"]]),
    (
        "TextVectorization",
        {"vocabulary": ["the", "cat"], "split": None, "output_sequence_length": 3},
        None,
        [["the", "CAT!"], ["dog", "cat"]],
    ),
    ("TextVectorization", {"vocabulary": ["the", "cat"]}, None, "cat the cat"),
    *[
        ("TextVectorization", settings, TEXTS, TEXTS)
        for settings in (
            {},
            {"max_tokens": 5},
            {"ngrams": 2},
            {"split": "character"},
            {"output_mode": "tf_idf"},
            {"output_mode": "count", "max_tokens": 4},
            {"output_mode": "tf_idf", "max_tokens": 20, "pad_to_max_tokens": True},
            {"split": None},
            {"split": None, "output_mode": "tf_idf"},
        )
    ],
]


def plain(value):
    value = value.numpy() if hasattr(value, "numpy") else value
    return value.tolist() if hasattr(value, "tolist") else list(value)


def arguments(settings):
    return {
        name: tuple(value) if name in ("ngrams", "salt") and isinstance(value, list) else value
        for name, value in settings.items()
    }


def main():
    found = []
    for name, settings, data, inputs in CASES:
        layer = getattr(keras.layers, name)(**arguments(settings))
        if data is not None:
            layer.adapt(data)
        given = tuple(np.array(one) for one in inputs) if name == "HashedCrossing" else inputs
        made = layer(given)
        config = layer.get_config()
        config.pop("name")
        entry = {"class": name, "settings": settings, "adapt": data, "inputs": inputs, "outputs": plain(made)}
        entry["config"] = json.loads(json.dumps(keras.saving.serialize_keras_object(config)))
        if hasattr(layer, "get_vocabulary"):
            entry["vocabulary"] = [int(one) if name == "IntegerLookup" else one for one in layer.get_vocabulary()]
        found.append(entry)
    files = model_files()
    (HERE / "golden_preprocessing.json").write_text(json.dumps({"cases": found, **files}, ensure_ascii=True))


def model_files():
    """Let the TensorFlow backend, which alone runs these layers in models, write the files."""
    subprocess.run([sys.executable, __file__], env={**os.environ, "KERAS_BACKEND": "tensorflow"}, check=True)
    return json.loads((HERE / "made.json").read_text())


def write_models():
    import tensorflow as tf

    layers = keras.layers
    keras.utils.set_random_seed(1)
    text, number = keras.Input((1,), dtype="string", name="text"), keras.Input((1,), dtype="int64", name="number")
    vectors = layers.TextVectorization(max_tokens=20, output_mode="tf_idf", name="vectors")
    rows = layers.TextVectorization(output_sequence_length=4, name="rows")
    word, code = layers.StringLookup(name="word"), layers.IntegerLookup(vocabulary=[3, 4], name="code")
    for layer in (vectors, rows, word):
        layer.adapt(["foo bar", "bar baz"])
    outputs = [
        vectors(text),
        layers.Dense(2, name="end")(layers.Flatten(name="flat")(layers.Embedding(10, 3, name="table")(rows(text)))),
        word(text),
        code(number),
        layers.Hashing(5, name="hashed")(text),
        layers.HashedCrossing(6, name="crossed")((text, number)),
        layers.CategoryEncoding(9, output_mode="count", name="encoded")(number),
        layers.Discretization(bin_boundaries=[0.0, 4.0], name="ranges")(number),
    ]
    model = keras.Model([text, number], outputs, name="preprocessing")
    model.save(HERE / "preprocessing.keras")
    x = [[["foo bar qux"], ["Baz, bar bar!"]], [[3], [8]]]
    out = model([tf.constant(x[0]), tf.constant(x[1], dtype="int64")])
    kinds = {"age": "float_normalized", "city": "string_categorical", "code": "integer_categorical", "height": "float"}
    kinds |= {"income": "float_discretized", "street": "string_hashed"}
    space = keras.utils.FeatureSpace(kinds, crosses=[("city", "code")], hashing_dim=5, num_discretization_bins=3)
    table = {
        "age": [30.0, 40.0, 57.0],
        "city": ["Bern", "Rome", "Bern"],
        "code": [1, 2, 2],
        "height": [1.5, 1.75, 2.0],
        "income": [10.0, 20.0, 40.0],
        "street": ["a", "b", "c"],
    }
    space.adapt(table)
    space.save(str(HERE / "feature_space.keras"))
    other = {**table, "city": ["Rome", "Oslo", "Bern"], "code": [1, 7, 2]}
    made = {
        "model": {"inputs": x, "outputs": [plain(one) for one in out]},
        "space": {"kinds": kinds, "table": table, "other": other, "outputs": plain(space(other))},
    }
    (HERE / "made.json").write_text(json.dumps(made))


if __name__ == "__main__":
    if keras.backend.backend() == "tensorflow":
        write_models()
    else:
        main()
        (HERE / "made.json").unlink()
