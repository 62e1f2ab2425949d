"""Attribution of texts and of rows: on words of the raw text, through embeddings, and on features known exactly."""

import json

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.explain.keeping import answering
from uncrumple.layers import (
    LSTM,
    Activation,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    Input,
    TextVectorization,
)

WORDS = ["the", "film", "was", "good", "bad", "a", "day", "and", "so", "it"]


def reviews(count=160, seed=0):
    """Texts in which one word, good or bad, is the class."""
    draws = np.random.default_rng(seed)
    neutral = [word for word in WORDS if word not in ("good", "bad")]
    texts, labels = [], []
    for number in range(count):
        words = list(draws.choice(neutral, size=int(draws.integers(3, 7))))
        words.insert(int(draws.integers(0, len(words) + 1)), "good" if number % 2 else "bad")
        texts.append(" ".join(words).capitalize() + ".")
        labels.append("pos" if number % 2 else "neg")
    return texts, labels


@pytest.fixture(scope="module")
def trained():
    uc.utils.set_random_seed(0)
    texts, labels = reviews()
    data = uc.data.Text(texts, labels)
    preparation = data.preparation()
    inputs = preparation.inputs()
    hidden = Embedding(preparation.vocabulary_size, 8, mask_zero=True)(preparation(inputs))
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(GlobalAveragePooling1D()(hidden)))
    model.compile(uc.optimizers.Adam(0.05), "binary_crossentropy")
    model.fit(data.raw, data.y, epochs=10, verbose=0)
    return model, data


def test_the_word_that_decides_is_found_in_the_raw_text(trained):
    model, data = trained
    found = uc.explain.attribute(model, data.take(range(8)))
    assert list(found.maps) == ["integrated_gradients", "occlusion", "saliency"]
    for row, text in enumerate(data.raw[:8]):
        assert list(found.pieces[row]) == text.split()
        for method in ("integrated_gradients", "occlusion"):
            (word, value), *_ = found.strongest(row, method)
            assert word.strip(".").lower() in ("good", "bad") and value > 0
    assert found.alike["occlusion"] < 0.5
    assert found.gaps.max() < 0.05
    assert found.name_of(0) == "neg" and found.name_of(1) == "pos"


def test_a_list_of_texts_and_one_target(trained):
    model, _ = trained
    for_it = uc.explain.attribute(model, ["The film was good", "so bad it was"], target=1)
    (word, value), *_ = for_it.strongest(1, "occlusion")
    assert word == "bad" and value < 0
    assert for_it.names == ("neg", "pos")


def test_gradients_are_those_of_the_embedding(trained):
    """A mean of vectors and a dense layer is linear: each word has its vector times the kernel, over their number."""
    model, _ = trained
    found = uc.explain.attribute(model, ["good film day"], target=1)
    preparation = uc.data.preparation_of(model)
    table = next(one for one in model.modules() if isinstance(one, Embedding)).embeddings.detach().numpy()
    kernel = model.layers[-1].kernel.detach().numpy()[:, 0]
    places = preparation.prepare(np.array(["good film day"], dtype=object))[0][:3]
    np.testing.assert_allclose(found.maps["integrated_gradients"][0], table[places] @ kernel / 3, atol=1e-5)


def test_saved_and_loaded(trained, tmp_path):
    model, data = trained
    model.save(tmp_path / "m.keras")
    again = uc.models.load_model(tmp_path / "m.keras")
    one, other = (uc.explain.attribute(each, data.raw[:3].tolist()) for each in (model, again))
    for method in one.maps:
        for a, b in zip(one.maps[method], other.maps[method]):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_words_that_are_cut_off_have_no_part(trained):
    texts = ["a b c d e"]
    reader = TextVectorization(vocabulary=list("abcde"), output_sequence_length=3)
    model = uc.Sequential([Input((), dtype="string"), reader, Embedding(7, 4), Flatten(), Dense(2)])
    found = uc.explain.attribute(model, texts)
    assert found.maps["integrated_gradients"][0][3:].tolist() == [0.0, 0.0]
    assert "The model reads the first 3 tokens" in str(found)


def test_punctuation_alone_is_no_word():
    reader = TextVectorization(vocabulary=["yes", "no"], output_sequence_length=4)
    model = uc.Sequential([Input((), dtype="string"), reader, Embedding(4, 3), Flatten(), Dense(1)])
    found = uc.explain.attribute(model, ["Yes - NO !"])
    assert found.pieces[0] == ("Yes", "-", "NO", "!")
    values = found.maps["integrated_gradients"][0]
    assert values[1] == values[3] == 0 and values[0] != 0 and values[2] != 0


def test_a_bag_of_words_is_known_exactly():
    reader = TextVectorization(vocabulary=["good", "bad"], output_mode="count")
    model = uc.Sequential([Input((), dtype="string"), reader, Dense(1, use_bias=False)])
    model.set_weights([np.array([[0.5], [2.0], [-3.0]])])  # unknown, good, bad
    found = uc.explain.attribute(model, ["good film good bad"])
    expected = [2.0, 0.5, 2.0, -3.0]
    np.testing.assert_allclose(found.maps["integrated_gradients"][0], expected, atol=1e-6)
    np.testing.assert_allclose(found.maps["occlusion"][0], expected, atol=1e-6)


def test_rows_of_different_lengths_without_a_fixed_one():
    uc.utils.set_random_seed(0)
    reader = TextVectorization(vocabulary=WORDS)
    hidden = [Embedding(12, 4, mask_zero=True), LSTM(5), Dense(3, activation="softmax")]
    model = uc.Sequential([Input((), dtype="string"), reader, *hidden])
    texts = ["good", "the film was good and so it", "bad day"]
    together = uc.explain.attribute(model, texts)
    assert [len(values) for values in together.maps["occlusion"]] == [1, 7, 2]
    for row, text in enumerate(texts):
        alone = uc.explain.attribute(model, [text], target=int(together.targets[row]))
        np.testing.assert_allclose(
            together.maps["integrated_gradients"][row], alone.maps["integrated_gradients"][0], atol=1e-5
        )
    assert together.gaps.max() < 0.05


def tokens_model():
    uc.utils.set_random_seed(0)
    return uc.Sequential(
        [Input((5,), dtype="int32"), Embedding(10, 4), GlobalAveragePooling1D(), Dense(3, activation="softmax")]
    )


def test_rows_of_tokens():
    model = tokens_model()
    x = np.array([[3, 4, 5, 0, 0], [0, 0, 7, 8, 9]])
    found = uc.explain.attribute(model, x, words={3: "three", 4: "four"}, target=0)
    assert found.pieces == (("three", "four", "[5]"), ("[7]", "[8]", "[9]"))
    table, kernel = model.layers[0].embeddings.detach().numpy(), model.layers[-1].kernel.detach().numpy()[:, 0]
    np.testing.assert_allclose(found.maps["integrated_gradients"][0], table[[3, 4, 5]] @ kernel / 5, atol=1e-6)
    # A token that is left out makes room for padding, which has a vector of its own here.
    np.testing.assert_allclose(found.maps["occlusion"][0], (table[[3, 4, 5]] - table[0]) @ kernel / 5, atol=1e-6)


def test_tokens_without_padding():
    found = uc.explain.attribute(tokens_model(), np.array([[0, 1, 2, 3, 4]]), padding=None)
    assert found.pieces == (("0", "1", "2", "3", "4"),)


def test_torch_module_with_an_embedding():
    torch.manual_seed(0)

    class Bag(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 2)

        def forward(self, tokens):
            return self.head(self.table(tokens).mean(1))

    module = Bag()
    found = uc.explain.attribute(module, np.array([[1, 2, 3]]), target=1)
    expected = module.table.weight[[1, 2, 3]].detach().numpy() @ module.head.weight[1].detach().numpy() / 3
    np.testing.assert_allclose(found.maps["integrated_gradients"][0], expected, atol=1e-6)


def test_a_language_model_is_explained_at_its_last_step():
    uc.utils.set_random_seed(0)
    data = uc.data.Text(["to be or not to be that is the question " * 6], task="language", steps=12)
    preparation = data.preparation()
    inputs = preparation.inputs()
    hidden = LSTM(6, return_sequences=True)(Embedding(preparation.vocabulary_size, 4)(preparation(inputs)))
    model = uc.Model(inputs, Dense(len(data.class_names), activation="softmax")(hidden))
    found = uc.explain.attribute(model, data.take([0]))
    assert found.pieces[0] == tuple(data.raw[0]) and found.joint == ""
    assert found.maps["integrated_gradients"][0].shape == (12,)
    assert "Explained is what the model answers at the last step." in str(found)


def test_without_vectors_only_words_are_left_out():
    class Count(uc.layers.Layer):
        def call(self, inputs):
            return torch.nn.functional.one_hot(inputs.long(), 10).float().sum(1)

    model = uc.Sequential([Input((4,), dtype="int32"), Count(), Dense(2)])
    found = uc.explain.attribute(model, np.array([[1, 2, 3, 4]]), kind="text")
    assert list(found.maps) == ["occlusion"]
    assert "Only one kind of method could be used: the model has no Embedding" in str(found)
    with pytest.raises(ValueError, match="the model has no Embedding that gives a vector for each word"):
        uc.explain.attribute(model, np.array([[1, 2, 3, 4]]), kind="text", methods=("saliency",))


def test_words_in_colour(trained, tmp_path, capsys):
    model, _ = trained
    found = uc.explain.attribute(model, ["<b>good</b> day", "bad"])
    page = found.save(tmp_path / "words.html").read_text()
    assert "&lt;b&gt;good&lt;/b&gt;" in page and "<b>good" not in page
    assert "rgb(213 94 0 / 1.00); color: #000000" in page and "untrained" in page
    found.show()
    shown = capsys.readouterr().out
    assert "good" in shown and "untrained" in shown and found.title[:30] in shown
    assert found.save(tmp_path / "words.png").stat().st_size > 3000
    kept = json.loads(found.save(tmp_path / "words.json").read_text())
    assert kept["pieces"][1] == ["bad"] and len(kept["maps"]["occlusion"][0]) == 2


def test_an_empty_text(trained):
    model, _ = trained
    found = uc.explain.attribute(model, ["", "good"])
    assert found.maps["occlusion"][0].shape == (0,)
    assert "no words" in str(found)
    found.plot()


def test_random_state_stays(trained):
    model, data = trained
    torch.manual_seed(5)
    before = torch.get_rng_state()
    uc.explain.attribute(model, data.raw[:2].tolist())
    assert torch.equal(before, torch.get_rng_state())


def test_states_of_recurrent_layers_stay():
    model = uc.Sequential([Input((3, 2), batch_size=2), LSTM(4, stateful=True), Dense(1)])
    x = np.random.default_rng(0).normal(size=(2, 3, 2)).astype("float32")
    model.predict(x, verbose=0)
    state = [one.clone() for one in model.layers[0]._states]
    with answering(model):
        model(torch.as_tensor(x))
    for before, after in zip(state, model.layers[0]._states):
        assert torch.equal(before, after)


# --- rows of features --------------------------------------------------------------------------


def test_linear_rows_are_known_exactly():
    draws = np.random.default_rng(0)
    weights, x = draws.normal(size=(6, 1)), draws.normal(size=(5, 6))
    model = uc.Sequential([Input((6,)), Dense(1)])
    model.set_weights([weights, np.array([2.0])])
    base = x.mean(axis=0)
    found = uc.explain.attribute(model, x, baseline=base, feature_names=list("abcdef"))
    expected = (x - base) * weights[:, 0]
    np.testing.assert_allclose(found.maps["integrated_gradients"], expected, atol=1e-5)
    np.testing.assert_allclose(found.maps["occlusion"], expected, atol=1e-5)
    np.testing.assert_allclose(found.maps["saliency"], np.abs(weights.T).repeat(5, 0), atol=1e-6)
    assert found.feature_names == tuple("abcdef") and not found.is_classifier
    assert found.gaps.max() < 1e-4


def test_a_single_sigmoid_speaks_for_either_class():
    model = uc.Sequential([Input((2,)), Dense(1, use_bias=False), Activation("sigmoid")])
    model.set_weights([np.array([[3.0], [1.0]])])
    x = np.array([[-1.0, 0.5]], "float32")
    found = uc.explain.attribute(model, x)
    assert found.targets.tolist() == [0] and found.sureness(0) == "92 %"
    np.testing.assert_allclose(found.maps["integrated_gradients"], [[3.0, -0.5]], atol=1e-5)
    other = uc.explain.attribute(model, x, target=1)
    np.testing.assert_allclose(other.maps["integrated_gradients"], [[-3.0, 0.5]], atol=1e-5)


def test_columns_of_a_raw_table():
    draws = np.random.default_rng(0)
    sex = draws.choice(["male", "female"], size=300)
    table = uc.data.Table(
        {
            "age": draws.normal(30, 10, 300),
            "sex": sex,
            "noise": draws.normal(size=300),
            "alive": np.where(sex == "male", "no", "yes"),
        },
        target="alive",
    )
    preparation = table.preparation()
    inputs = preparation.inputs()
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(preparation(inputs)))
    model.compile(uc.optimizers.Adam(0.1), "binary_crossentropy")
    model.fit(table.raw, table.y, epochs=10, verbose=0)
    found = uc.explain.attribute(model, table.take(range(20)))
    assert found.feature_names == ("age", "sex", "noise")
    for method in ("integrated_gradients", "occlusion"):
        sizes = np.abs(found.maps[method]).mean(axis=0)
        assert sizes[1] > 5 * max(sizes[0], sizes[2])
    assert "sex = " in str(found) and found.names == ("no", "yes")
    figure = found.plot()
    assert len(figure.axes) == 9


def test_series_by_step(tmp_path):
    model = uc.Sequential([Input((8, 2)), Flatten(), Dense(1, use_bias=False)])
    weights = np.zeros((8, 2))
    weights[5] = [1.0, 2.0]
    model.set_weights([weights.reshape(16, 1)])
    found = uc.explain.attribute(model, np.ones((2, 8, 2), "float32"), window=1)
    expected = np.zeros((2, 8))
    expected[:, 5] = 3.0
    np.testing.assert_allclose(found.maps["integrated_gradients"], expected, atol=1e-5)
    np.testing.assert_allclose(found.maps["occlusion"], expected, atol=1e-5)
    assert found.ordered and found.strongest(0, "occlusion")[0][0] == "step 6"
    found.save(tmp_path / "series.png")


def test_wrong_number_of_names():
    model = uc.Sequential([Input((3,)), Dense(1)])
    with pytest.raises(ValueError) as error:
        uc.explain.attribute(model, np.ones((2, 3), "float32"), feature_names=["a"])
    assert str(error.value) == (
        "attribute got 1 feature_names for 3 features.\nExpected one for each.\nFix: feature_names=[... 3 names]"
    )


def test_parts_are_explained_by_their_validation_rows(trained):
    model, data = trained
    parts = uc.data.split(data)
    found = uc.explain.attribute(model, parts)
    assert len(found.targets) == 8 and parts.test_uses == 0
    assert list(found.pieces[0]) == parts.validation.raw[0].split()
    assert "Explained are the first rows of the validation part." in str(found)
    with pytest.raises(ValueError) as error:
        uc.explain.attribute(model, data.raw.tolist() * 2)
    assert str(error.value) == (
        "attribute got 320 rows.\nExpected 1 to 256: a map is made of each.\nFix: x[:16], or data.take(range(16))"
    )
