"""Lookups, hashes, categories and text: what they share, and what they say about mistakes."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch

from uncrumple import layers as L
from uncrumple.core import registry
from uncrumple.core.text import Text

COLOURS = ["red", "green", "blue"]
WORDS = [["red"], ["black"], ["blue"], [""]]
NUMBERS = [[3], [4], [700], [0]]

# (layer, samples, type of the input)
CASES = {
    "CategoryEncoding": (lambda: L.CategoryEncoding(1000), NUMBERS, "int64"),
    "CategoryEncoding-one_hot": (lambda: L.CategoryEncoding(701, "one_hot", dtype="float64"), NUMBERS, "int32"),
    "Discretization": (lambda: L.Discretization([0.0, 3.5]), NUMBERS, "float32"),
    "Discretization-count": (lambda: L.Discretization([0.0, 3.5], output_mode="count"), NUMBERS, "float32"),
    "Hashing": (lambda: L.Hashing(7), WORDS, "string"),
    "Hashing-numbers": (lambda: L.Hashing(7, salt=3, output_mode="multi_hot"), NUMBERS, "int64"),
    "IntegerLookup": (lambda: L.IntegerLookup(vocabulary=[3, 4]), NUMBERS, "int64"),
    "IntegerLookup-invert": (lambda: L.IntegerLookup(vocabulary=[3, 4], invert=True), [[0], [1], [2], [3]], "int64"),
    "StringLookup": (lambda: L.StringLookup(vocabulary=COLOURS), WORDS, "string"),
    "StringLookup-one_hot": (lambda: L.StringLookup(vocabulary=COLOURS, output_mode="one_hot"), WORDS, "string"),
    "StringLookup-invert": (lambda: L.StringLookup(vocabulary=COLOURS, invert=True), [[1], [9], [3], [0]], "int64"),
    "TextVectorization": (lambda: L.TextVectorization(vocabulary=COLOURS, output_sequence_length=3), WORDS, "string"),
    "TextVectorization-count": (lambda: L.TextVectorization(vocabulary=COLOURS, output_mode="count"), WORDS, "string"),
    "TextVectorization-any": (lambda: L.TextVectorization(vocabulary=COLOURS), [["a b"], ["red"]], "string"),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def same(one, other):
    return type(one) is type(other) and one.dtype == other.dtype and one.tolist() == other.tolist()


def test_shapes_without_data_are_those_of_a_run(case):
    make, samples, kind = case
    found, made = make()(L.Input((1,), dtype=kind)), make()(samples)
    assert all(size in (None, real) for size, real in zip(found.shape, made.shape, strict=True))
    assert found.shape[0] is None
    assert found.dtype == made.dtype
    assert found.is_text is isinstance(made, Text)
    assert make().compute_output_shape((None, 1)) == found.shape


def test_a_length_that_depends_on_the_data_is_not_known_beforehand():
    layer = L.TextVectorization(vocabulary=COLOURS)
    assert layer(L.Input((1,), dtype="string")).shape == (None, None)
    assert layer(L.Input((1,), batch_size=2, dtype="string")).shape == (2, None)


def test_lists_arrays_columns_and_tensors_are_alike(case):
    import pandas

    make, samples, kind = case
    layer = make()
    expected = layer(samples)
    array = np.array(samples, dtype=object if kind == "string" else kind)
    ways = [array, tuple(map(tuple, samples))]
    ways += (
        [Text.of(samples), np.array(samples), np.char.encode(samples)] if kind == "string" else [torch.tensor(array)]
    )
    for way in ways:
        assert same(layer(way), expected)
    column = pandas.Series([row[0] for row in samples])
    if "multi_hot" not in str(layer.get_config()) and "count" not in str(layer.get_config()):
        assert same(layer(column), layer([row[0] for row in samples]))


def test_configs_make_equal_layers(case):
    make, samples, _ = case
    layer = make()
    config = json.loads(json.dumps(registry.serialize_keras_object(layer)))
    for again in (type(layer).from_config(layer.get_config()), registry.deserialize_keras_object(config)):
        assert same(again(samples), layer(samples))
        assert again.name == layer.name


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_equal(case, again):
    make, samples, _ = case
    layer = make()
    assert same(again(layer)(samples), layer(samples))


def test_one_sample_and_none(case):
    make, samples, kind = case
    layer = make()
    whole, one = layer(samples), layer(samples[:1])
    assert one.tolist()[0][: len(whole.tolist()[0])] == whole.tolist()[0][: len(one.tolist()[0])]
    empty = Text.of(np.empty((0, 1), dtype=object)) if kind == "string" else torch.zeros((0, 1), dtype=torch.int64)
    assert layer(empty).shape[0] == 0


def test_nothing_to_train(case):
    make, samples, _ = case
    layer = make()
    layer(samples)
    assert layer.weights == [] and layer.losses == []


# --- vocabularies ----------------------------------------------------------------------


def test_adapt_takes_whatever_hands_out_tokens():
    import pandas

    words = ["b", "a", "b", "c", "c", "c"]
    batches = [words[:4], words[4:]]
    loader = torch.utils.data.DataLoader([(word, 1.0) for word in words], batch_size=4)
    ways = [words, np.array(words), pandas.Series(words), Text.of(words), batches, loader]
    for number, way in enumerate(ways):
        for kind, front in ((L.StringLookup, ["[UNK]"]), (L.TextVectorization, ["", "[UNK]"])):
            layer = kind()
            layer.adapt((one for one in way) if number == 4 else way)
            assert layer.get_vocabulary() == [*front, "c", "b", "a"]


def test_adapt_stops_after_so_many_steps():
    layer = L.IntegerLookup()
    layer.adapt((np.array([step]) for step in range(10**9)), steps=2)
    assert layer.get_vocabulary() == [-1, 1, 0]


def test_adapt_again_learns_anew():
    layer = L.StringLookup()
    layer.adapt(["a"])
    layer.adapt(["b"])
    assert layer.get_vocabulary() == ["[UNK]", "b"]


def test_a_vocabulary_in_a_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("red\ngrün\n", encoding="utf-8")
    for given in (path, str(path)):
        layer = L.StringLookup(vocabulary=given)
        assert layer.get_vocabulary() == ["[UNK]", "red", "grün"]
        assert layer.get_config()["vocabulary"] is None
    assert L.TextVectorization(vocabulary=str(path)).get_vocabulary() == ["", "[UNK]", "red", "grün"]
    path.write_text("5\n7")
    assert L.IntegerLookup(vocabulary=str(path)).get_vocabulary() == [-1, 5, 7]
    path.write_text("5\nseven")
    with pytest.raises(ValueError) as caught:
        L.IntegerLookup(vocabulary=str(path), name="code")
    assert str(caught.value) == (
        f"IntegerLookup 'code': line 2 of '{path}' holds 'seven'.\n"
        "Expected a whole number in each line.\nFix: StringLookup() for strings"
    )
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        L.StringLookup(vocabulary=str(tmp_path / "none.txt"))


@pytest.mark.parametrize("kind", [L.StringLookup, L.IntegerLookup, L.TextVectorization])
def test_a_config_cannot_name_a_file(kind, tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("1\n2")
    with pytest.raises(ValueError) as caught:
        kind.from_config({**kind().get_config(), "vocabulary": str(path)})
    assert str(caught.value) == (
        f"The config names a file outside of the model's own: vocabulary='{path}'.\n"
        "Expected the tokens, in the config or in the model's file: loading reads no other files.\n"
        f"Fix: layer.set_vocabulary({str(path)!r}) after loading, if you trust it"
    )


def test_tokens_with_line_breaks_cannot_be_saved_as_lines(tmp_path):
    layer = L.StringLookup(name="lines")
    layer.adapt(["a\nb", "c"])
    with pytest.raises(ValueError, match=r"has the token 'a\\nb' in its vocabulary, with a line break"):
        layer.save_assets(str(tmp_path))
    L.StringLookup(vocabulary=["a\nb"]).save_assets(str(tmp_path))
    assert list(tmp_path.iterdir()) == []  # it is in the config


def test_round_trip_of_files_of_vocabularies(tmp_path):
    for layer in (
        L.StringLookup(mask_token="", num_oov_indices=2),
        L.StringLookup(output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True),
        L.TextVectorization(output_mode="tf_idf"),
    ):
        layer.adapt(["é x", "[UNK]", "b", "b"])
        layer.save_assets(str(tmp_path))
        store = {}
        layer.save_own_variables(store)
        again = type(layer).from_config(layer.get_config())
        again.load_own_variables(store)
        again.load_assets(str(tmp_path))
        assert again.get_vocabulary() == layer.get_vocabulary()
        assert same(again(["b", "x"]), layer(["b", "x"]))


# --- text --------------------------------------------------------------------------------


def test_functions_of_ones_own():
    def shout(strings):
        assert isinstance(strings, np.ndarray) and strings.dtype.kind == "U"
        return np.char.upper(strings)

    def at_commas(strings):
        return [string.split(",") for string in strings]

    layer = L.TextVectorization(standardize=shout, split=at_commas)
    layer.adapt(["a,b", "b"])
    assert layer.get_vocabulary() == ["", "[UNK]", "B", "A"]
    assert layer([["b,a"], ["c"]]).tolist() == [[2, 3], [1, 0]]
    registry.register_keras_serializable("tests")(shout)
    registry.register_keras_serializable("tests")(at_commas)
    try:
        config = json.loads(json.dumps(registry.serialize_keras_object(layer)))
        again = registry.deserialize_keras_object(config)
        assert (again._standardize, again._split) == (shout, at_commas)
    finally:
        for name in ("shout", "at_commas"):
            registry.get_custom_objects().pop(f"tests>{name}")


@pytest.mark.parametrize(
    "split, expected",
    [
        (lambda strings: ["a"], "its split function returned 1 rows for 2 strings."),
        (lambda strings: ["a", "b"], "its split function returned str in place of lists of tokens."),
        (lambda strings: None, "its split function returned None."),
    ],
)
def test_functions_that_do_not_split(split, expected):
    layer = L.TextVectorization(split=split, vocabulary=["a"])
    with pytest.raises(ValueError) as caught:
        layer(["x", "y"])
    assert expected in str(caught.value).split("\n")[0]
    assert "\nFix: " in str(caught.value)


def test_text_of_several_columns_is_not_split():
    with pytest.raises(ValueError) as caught:
        L.TextVectorization(vocabulary=["a"], name="text")([["a", "b"]])
    assert str(caught.value) == (
        "TextVectorization 'text' got text of shape (1, 2).\n"
        "Expected (samples,) or (samples, 1): one string for each sample is split into words.\n"
        "Fix: text(x[:, 0]), or TextVectorization(split=None) for words"
    )


# --- mistakes ----------------------------------------------------------------------------


MISTAKES = [
    (lambda: L.CategoryEncoding(), "CategoryEncoding got no num_tokens."),
    (lambda: L.CategoryEncoding(0), "CategoryEncoding got num_tokens=0."),
    (lambda: L.CategoryEncoding(3, "int"), "CategoryEncoding got output_mode='int'."),
    (lambda: L.CategoryEncoding(3, sparse=True), "CategoryEncoding got sparse=True."),
    (lambda: L.CategoryEncoding(3, name="c")([3]), "CategoryEncoding 'c' got 3 among its inputs."),
    (lambda: L.CategoryEncoding(3, name="c")([-1]), "CategoryEncoding 'c' got -1 among its inputs."),
    (
        lambda: L.CategoryEncoding(3, name="c")([1], count_weights=[1.0]),
        "CategoryEncoding 'c' got count_weights with output_mode='multi_hot'.",
    ),
    (lambda: L.Discretization(), "Discretization got neither bin_boundaries nor num_bins."),
    (lambda: L.Discretization([0.0], 3), "Discretization got bin_boundaries and num_bins."),
    (lambda: L.Discretization([1.0, 0.0]), "Discretization got bin_boundaries=[1.0, 0.0]."),
    (lambda: L.Discretization(num_bins=-1), "Discretization got num_bins=-1."),
    (lambda: L.Discretization(num_bins=2, epsilon=0), "Discretization got epsilon=0."),
    (
        lambda: L.Discretization(num_bins=2, name="d")([1.0]),
        "Discretization 'd' was used before it knows boundaries (input of shape (1,)).",
    ),
    (
        lambda: L.Discretization([0.0], name="d").adapt([1.0]),
        "Discretization 'd' was made with bin_boundaries, and adapt() was called.",
    ),
    (lambda: L.Discretization(num_bins=2, name="d").adapt([]), "Discretization 'd' got no data in adapt()."),
    (lambda: L.Hashing(0), "Hashing got num_bins=0."),
    (lambda: L.Hashing(3, salt="a"), "Hashing got salt='a'."),
    (lambda: L.Hashing(3, salt=[1, 2, 3]), "Hashing got salt=[1, 2, 3]."),
    (lambda: L.Hashing(3, dtype="float32"), "Hashing got dtype='float32' with output_mode='int'."),
    (lambda: L.Hashing(3, "a", name="h")([1]), "Hashing 'h' got numbers, and has mask_value='a'."),
    (lambda: L.HashedCrossing(3, "count"), "HashedCrossing got output_mode='count'."),
    (lambda: L.HashedCrossing(3, name="h")(["a"]), "HashedCrossing 'h' got 1 inputs."),
    (
        lambda: L.HashedCrossing(3, name="h")([["a"], [1, 2]]),
        "HashedCrossing 'h' got inputs of shapes (1,), (2,).",
    ),
    (lambda: L.HashedCrossing(3, name="h")([["a"], [0.5]]), "HashedCrossing 'h' got an input of type float64."),
    (lambda: L.StringLookup(max_tokens=1), "StringLookup got max_tokens=1."),
    (lambda: L.StringLookup(num_oov_indices=-1), "StringLookup got num_oov_indices=-1."),
    (lambda: L.StringLookup(output_mode="onehot"), "StringLookup got output_mode='onehot'."),
    (lambda: L.StringLookup(sparse=True), "StringLookup got sparse=True."),
    (lambda: L.StringLookup(pad_to_max_tokens=True), "StringLookup got pad_to_max_tokens=True without max_tokens."),
    (
        lambda: L.StringLookup(invert=True, output_mode="count"),
        "StringLookup got invert=True with output_mode='count'.",
    ),
    (lambda: L.StringLookup(idf_weights=[1.0]), "StringLookup got idf_weights with output_mode='int'."),
    (lambda: L.StringLookup(vocabulary=[1, 2]), "StringLookup got vocabulary[0]=1, a int."),
    (lambda: L.StringLookup(vocabulary=[], name="s"), "StringLookup 's' got an empty vocabulary."),
    (
        lambda: L.StringLookup(vocabulary=["a", "b", "a"], name="s"),
        "StringLookup 's' got a vocabulary with repeated tokens: 'a'.",
    ),
    (
        lambda: L.StringLookup(vocabulary=["a", ""], mask_token="", name="s"),
        "StringLookup 's' got a vocabulary with the mask token '' at place 1.",
    ),
    (
        lambda: L.StringLookup(vocabulary=["a", "[UNK]"], invert=True, name="s"),
        "StringLookup 's' got a vocabulary with the OOV token '[UNK]' at place 1.",
    ),
    (
        lambda: L.StringLookup(vocabulary=["a", "b"], max_tokens=2, name="s"),
        "StringLookup 's' got a vocabulary of 3 tokens, with the special ones, and has max_tokens=2.",
    ),
    (
        lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf"),
        "StringLookup got a vocabulary and no idf_weights, with output_mode='tf_idf'.",
    ),
    (
        lambda: L.StringLookup(vocabulary=["a"], idf_weights=[1.0, 2.0], output_mode="tf_idf", name="s"),
        "StringLookup 's' got idf_weights of shape (2,) for a vocabulary of 1 tokens.",
    ),
    (lambda: L.StringLookup(name="s")(["a"]), "StringLookup 's' was used before it knows a vocabulary."),
    (lambda: L.StringLookup(vocabulary=["a"], name="s")([1]), "StringLookup 's' got numbers."),
    (lambda: L.IntegerLookup(vocabulary=[1], name="i")(["a"]), "IntegerLookup 'i' got text."),
    (
        lambda: L.StringLookup(vocabulary=["a"], num_oov_indices=0, name="s")(["a", "b", "c"]),
        "StringLookup 's' got 'b', 'c', not in its vocabulary.",
    ),
    (
        lambda: L.StringLookup(vocabulary=["a"], name="s").adapt(["a"]),
        "StringLookup 's' was made with a vocabulary, and adapt() was called.",
    ),
    (lambda: L.StringLookup(name="s").adapt([]), "StringLookup 's' got no data in adapt()."),
    (lambda: L.IntegerLookup(vocabulary_dtype="int32"), "IntegerLookup got vocabulary_dtype='int32'."),
    (lambda: L.IntegerLookup(vocabulary=[0.5]), "IntegerLookup got vocabulary[0]=0.5, a float."),
    (lambda: L.IntegerLookup(salt=3), "IntegerLookup got salt without oov_method='farmhash'."),
    (lambda: L.IntegerLookup(oov_method="md5"), "IntegerLookup got oov_method='md5'."),
    (lambda: L.TextVectorization(ragged=True), "TextVectorization got ragged=True."),
    (lambda: L.TextVectorization(standardize="upper"), "TextVectorization got standardize='upper'."),
    (lambda: L.TextVectorization(split="comma"), "TextVectorization got split='comma'."),
    (lambda: L.TextVectorization(ngrams=0), "TextVectorization got ngrams=0."),
    (lambda: L.TextVectorization(ngrams="2"), "TextVectorization got ngrams='2'."),
    (
        lambda: L.TextVectorization(output_mode="count", output_sequence_length=3),
        "TextVectorization got output_sequence_length=3 with output_mode='count'.",
    ),
    (lambda: L.TextVectorization(vocabulary=["a"], name="t")([1]), "TextVectorization 't' got numbers of shape (1,)."),
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


def test_the_size_of_vectors_stays():
    layer = L.StringLookup(output_mode="count", name="s")
    with pytest.raises(RuntimeError) as caught:
        layer(L.Input((1,), dtype="string"))
    assert str(caught.value) == (
        "StringLookup 's' has output_mode='count', and knows no vocabulary yet.\n"
        "Expected adapt() before the layer is called: the shape of its output depends on it.\n"
        "Fix: s.adapt(x_train)"
    )
    layer.adapt(["a"])
    with pytest.raises(RuntimeError, match="has 2 places, and its new vocabulary makes 3"):
        layer.adapt(["a", "b"])
    other = L.StringLookup(output_mode="count", max_tokens=5, pad_to_max_tokens=True)
    for words in (["a"], ["a", "b"]):
        other.adapt(words)
        assert other(["a"]).shape == (5,)
