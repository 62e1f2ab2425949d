"""Pictures of a network's inside: their numbers are the network's, and the drawings are not blank."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import uncrumple as uc
from uncrumple.explain import (
    attention_maps,
    embedding_neighbours,
    feature_maps,
    filters,
    gate_activity,
    maximal_input,
    weights,
)

L = uc.layers


def is_blank(content):
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=float)
    return picture.std() < 5 or min(picture.shape) < 100


def check_drawn(picture, tmp_path):
    """Write a page and the numbers, and look whether something is in them, for light and for dark screens."""
    html = picture.save(tmp_path / "page.html").read_text(encoding="utf-8")
    for content in re.findall(r"base64,([^\"]+)\"", html):
        assert not is_blank(base64.b64decode(content))
    assert html.count("data:image/png;base64,") == 2 and "prefers-color-scheme: dark" in html
    assert "http://" not in html and "https://" not in html and "<script" not in html
    found = json.loads(picture.save(tmp_path / "numbers.json").read_text())
    assert found["title"] == picture.title
    assert str(picture).startswith(picture.title)
    return found


@pytest.fixture(scope="module")
def images():
    uc.utils.set_random_seed(0)
    return uc.Sequential(
        [uc.Input((10, 10, 1)), L.Conv2D(6, 3, activation="relu", name="first"), L.MaxPooling2D(2, name="pool"),
         L.Conv2D(8, 2, name="second"), L.Flatten(name="flat"), L.Dense(3, "softmax", name="answer")]
    )  # fmt: skip


# --- weights and filters -----------------------------------------------------------------


def test_weights_of_all_layers(images, tmp_path):
    shown = weights(images)
    assert [one.name for one in shown.layers] == ["first", "second", "answer"]
    kernel = images.get_layer("second").kernel.numpy()
    assert shown.layers[1].deviation == pytest.approx(kernel.std(), rel=1e-5)
    assert shown.layers[1].near_zero == pytest.approx(np.mean(np.abs(kernel) <= 0.01 * np.abs(kernel).max()))
    widest = max(shown.layers, key=lambda one: one.deviation).name
    assert shown.title.startswith(f"The weights are spread the widest in '{widest}'")
    found = check_drawn(shown, tmp_path)
    np.testing.assert_allclose(found["layers"][1]["values"], kernel, rtol=1e-4)


def test_weights_of_one_layer_are_pictures_where_they_read_pixels(tmp_path):
    model = uc.Sequential([uc.Input((6, 6, 1)), L.Flatten(), L.Dense(4, name="read"), L.Dense(2, name="answer")])
    shown = weights(model, "read")
    assert shown.image_shape == (6, 6, 1)
    assert shown.title == "What each unit of 'read' looks for: 4 of 4 units, each as a picture of its weights"
    check_drawn(shown, tmp_path)
    plain = weights(model, "answer")
    assert plain.image_shape is None
    check_drawn(plain, tmp_path)
    assert weights(model, model.layers[-1], as_image=(2, 2)).image_shape == (2, 2, 1)
    with pytest.raises(ValueError) as error:
        weights(model, "answer", as_image=(3, 3))
    assert str(error.value) == (
        "weights got as_image=(3, 3) for 'answer' of 4 inputs.\n"
        "Expected height and width (and channels) that multiply to the inputs.\nFix: as_image=None"
    )


def test_weights_of_torch_are_inputs_before_units():
    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    shown = weights(module)
    assert [one.name for one in shown.layers] == ["0", "2"]
    np.testing.assert_array_equal(shown.layers[0].values, module[0].weight.detach().numpy().T)
    with pytest.raises(ValueError, match="weights got a model without weights"):
        weights(torch.nn.ReLU())


def test_filters_say_which_look_for_edges(tmp_path):
    model = uc.Sequential([uc.Input((8, 8, 1)), L.Conv2D(3, 3, use_bias=False, name="known")])
    edge = np.array([[-1, 0, 1]] * 3, "float32")
    blob = np.ones((3, 3), "float32")
    between = np.array([[-1, 1, 1]] * 3, "float32")
    model.set_weights([np.stack([edge, blob, between], -1)[:, :, None, :]])
    shown = filters(model)
    np.testing.assert_allclose(shown.balance, [0, 1, 1 / 3], atol=1e-6)
    assert shown.title == (
        "1 of 3 filters of 'known' answer to edges and changes, 1 to how bright a place is, 1 to something in between"
    )
    np.testing.assert_array_equal(shown.kernels[0, :, :, 0], edge)
    check_drawn(shown, tmp_path)


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "wrapped"])
def test_filters_of_torch(wrapped, tmp_path):
    convolution = torch.nn.Conv2d(3, 5, 4)
    model = torch.nn.Sequential(convolution, torch.nn.ReLU())
    if wrapped:
        model = uc.Sequential([uc.Input((3, 8, 8)), uc.from_torch(model, name="net")])
    shown = filters(model)
    np.testing.assert_array_equal(shown.kernels, convolution.weight.detach().numpy().transpose(0, 2, 3, 1))
    assert "in the colours" in shown.note
    check_drawn(shown, tmp_path)


def test_filters_refuse(images):
    with pytest.raises(ValueError) as error:
        filters(uc.Sequential([uc.Input((3,)), L.Dense(2)]))
    assert str(error.value) == (
        "filters found no convolution over pictures in the model.\nExpected at least one convolution over pictures.\n"
        "Fix: a model with Conv2D(32, 3)"
    )
    with pytest.raises(ValueError) as error:
        filters(images, "answer")
    assert str(error.value) == (
        "filters got the layer 'answer', a Dense.\nExpected convolution over pictures: first, second.\nFix: layer='first'"
    )
    with pytest.raises(ValueError, match="did you mean 'second'"):
        filters(images, "secnd")


# --- feature maps ------------------------------------------------------------------------


def test_feature_maps_are_what_the_layers_give(images, tmp_path):
    image = np.random.default_rng(0).random((10, 10, 1)).astype("float32")
    before = images.get_weights()
    shown = feature_maps(images, image)
    assert [one.name for one in shown.layers] == ["first", "pool", "second"]
    inner = uc.Model(images.inputs, images.get_layer("second").output)
    wanted = inner.predict(image[None], verbose=0)[0].transpose(2, 0, 1)
    np.testing.assert_allclose(shown.layers[2].maps, wanted, atol=1e-5)
    assert shown.layers[2].strongest[0] == np.abs(wanted).mean((1, 2)).argmax()
    assert feature_maps(images, image[None], "first").layers[0].maps.shape == (6, 8, 8)
    for one, other in zip(before, images.get_weights()):
        np.testing.assert_array_equal(one, other)
    check_drawn(shown, tmp_path)


def test_silent_maps_are_counted():
    model = uc.Sequential([uc.Input((6, 6, 1)), L.Conv2D(2, 3, activation="relu", name="half")])
    kernel = np.zeros((3, 3, 1, 2), "float32")
    kernel[..., 0] = 1
    kernel[..., 1] = -1
    model.set_weights([kernel, np.zeros(2, "float32")])
    shown = feature_maps(model, np.random.default_rng(0).random((6, 6, 1)))
    assert shown.layers[0].silent.tolist() == [1]
    assert shown.title.startswith("1 of 2 maps of 'half' answer to this picture, map 0 the strongest (up to ")


def test_feature_maps_of_torch_have_channels_first():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    shown = feature_maps(model, torch.rand(1, 9, 9))
    assert [one.maps.shape for one in shown.layers] == [(4, 7, 7), (4, 7, 7)]
    assert shown.image.shape == (9, 9, 1)


def test_feature_maps_refuse(images):
    with pytest.raises(ValueError) as error:
        feature_maps(images, np.zeros((10, 10)))
    assert str(error.value) == (
        "feature_maps got a sample of shape (10, 10).\nExpected 3 axes for one sample, or 4 for several.\nFix: x[0]"
    )
    with pytest.raises(ValueError, match="feature_maps got a model whose layers give no maps"):
        feature_maps(uc.Sequential([uc.Input((4, 4, 1)), L.Flatten(), L.Dense(2)]), np.zeros((4, 4, 1)))


# --- what a unit answers the most to -----------------------------------------------------


def test_maximal_input_of_a_known_unit(tmp_path):
    """The greatest answer of a linear unit within a box is known: every input at its end."""
    model = uc.Sequential([uc.Input((4,)), L.Dense(2, name="answer")])
    kernel = np.array([[1, 0], [-2, 0], [0.5, 1], [0, -1]], "float32")
    model.set_weights([kernel, np.zeros(2, "float32")])
    shown = maximal_input(model, unit=[0, 1], value_range=(-1, 1), decay=0.001)
    assert shown.units[0].answer == pytest.approx(3.5, abs=0.05)
    assert shown.units[0].input[:3] == pytest.approx([1, -1, 1], abs=0.05)
    assert shown.units[0].input[3] == pytest.approx(0, abs=0.1)  # it does not matter: it stays in the middle
    assert shown.units[1].answer == pytest.approx(2, abs=0.05)
    assert shown.units[0].noise_most < 3.5
    check_drawn(shown, tmp_path)


def test_maximal_input_of_pictures_beats_noise_and_repeats(images, tmp_path):
    before = images.get_weights()
    state = torch.random.get_rng_state().clone()
    shown = maximal_input(images, "second", [0, 3], steps=40)
    assert all(one.answer > one.noise_most for one in shown.units)
    assert shown.title == "What 2 units of 'second' answer the most to: 2 of them more than to any of 32 random inputs"
    again = maximal_input(images, "second", [0, 3], steps=40)
    np.testing.assert_array_equal(shown.units[1].input, again.units[1].input)
    assert shown.units[0].input.min() >= 0 and shown.units[0].input.max() <= 1
    assert torch.equal(state, torch.random.get_rng_state())
    for one, other in zip(before, images.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert all(weight.grad is None for weight in images.parameters())
    check_drawn(shown, tmp_path)


def test_maximal_input_is_smooth_where_asked(images):
    rough = maximal_input(images, "first", 1, steps=60, smooth=0.0).units[0].input
    smooth = maximal_input(images, "first", 1, steps=60, smooth=20.0).units[0].input
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.8 * np.abs(np.diff(rough, axis=0)).mean()


def test_maximal_input_of_a_unit_that_is_silent_on_grey():
    """From the middle of the range the slope is nothing: the climb begins where a random input is answered."""
    model = uc.Sequential([uc.Input((4,)), L.Dense(1, "relu", name="shy")])
    model.set_weights([np.array([[1], [1], [-1], [-1]], "float32"), np.array([-0.5], "float32")])
    found = maximal_input(model).units[0]
    assert found.answer == pytest.approx(1.5, abs=0.05) and found.answer > found.noise_most > 0
    assert found.input == pytest.approx([1, 1, 0, 0], abs=0.05)


def test_maximal_input_of_torch():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh())
    assert maximal_input(model, unit=1, shape=(3,), steps=50).name == "1"
    with pytest.raises(ValueError, match=r"maximal_input got no shape .*\nExpected the shape of one sample"):
        maximal_input(model)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"unit": 9}, "maximal_input got unit=9.\nExpected 0 to 2: 'answer' has 3 units.\nFix: unit=0"),
        (
            {"value_range": (1, 0)},
            "maximal_input got value_range=(1, 0).\nExpected the smaller number first.\nFix: value_range=(0.0, 1.0)",
        ),
        ({"steps": 0}, "maximal_input got steps=0.\nExpected a whole number of at least 1.\nFix: steps=150"),
        ({"rate": -1.0}, "maximal_input got rate=-1.0.\nExpected a positive number.\nFix: rate=0.05"),
    ],
    ids=["unit", "range", "steps", "rate"],
)
def test_maximal_input_refuses(images, settings, said):
    with pytest.raises(ValueError) as error:
        maximal_input(images, **settings)
    assert str(error.value) == said


def test_maximal_input_refuses_words():
    model = uc.Sequential([uc.Input((5,), dtype="int32"), L.Embedding(9, 4), L.Flatten(), L.Dense(2)])
    with pytest.raises(ValueError, match="maximal_input got a model that reads the numbers of words"):
        maximal_input(model)


# --- embeddings --------------------------------------------------------------------------


def test_neighbours_are_those_of_brute_force(tmp_path):
    table = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    words = [f"w{row}" for row in range(40)]
    model = uc.Sequential([uc.Input((3,), dtype="int32"), L.Embedding(40, 6, weights=[table], name="table")])
    shown = embedding_neighbours(model, ["w3", "w17"], vocabulary=words, most=5)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    for word in ("w3", "w17"):
        cosines = unit @ unit[int(word[1:])]
        order = [row for row in np.argsort(-cosines) if row != int(word[1:])][:5]
        assert [name for name, _ in shown.nearest[word]] == [f"w{row}" for row in order]
        np.testing.assert_allclose([value for _, value in shown.nearest[word]], cosines[order], rtol=1e-5)
    assert shown.title.startswith(f"Nearest to 'w3' in 'table': '{shown.nearest['w3'][0][0]}'")
    check_drawn(shown, tmp_path)


def test_vocabulary_is_found_in_the_model():
    lookup = L.TextVectorization(output_sequence_length=4, vocabulary=["cat", "dog", "car"])
    inputs = uc.Input((), dtype="string")
    table = np.array([[0, 0], [0, 1], [1, 0], [0.9, 0.2], [-1, 0]], "float32")
    model = uc.Model(inputs, L.Embedding(5, 2, weights=[table])(lookup(inputs)))
    shown = embedding_neighbours(model, "cat")
    assert shown.nearest["cat"][0][0] == "dog"
    # Nobody asked: those that have the nearest neighbour.
    assert next(iter(embedding_neighbours(model).nearest)) in ("cat", "dog")


def test_neighbours_refuse():
    model = uc.Sequential([uc.Input((3,), dtype="int32"), L.Embedding(3, 2)])
    with pytest.raises(ValueError) as error:
        embedding_neighbours(model, "kat", vocabulary=["cat", "dog", "cow"])
    assert str(error.value) == (
        "embedding_neighbours: Unknown word: 'kat'.\nExpected one of: cat, cow, dog.\nFix: did you mean 'cat'?"
    )
    with pytest.raises(ValueError, match="embedding_neighbours got 4 words for 3 rows"):
        embedding_neighbours(model, vocabulary=["a", "b", "c", "d"])
    assert list(embedding_neighbours(torch.nn.Embedding(6, 2), 4).nearest) == ["4"]


# --- attention ---------------------------------------------------------------------------


def attending(**settings):
    inputs = uc.Input((6, 8))
    layer = L.MultiHeadAttention(2, 4, name="look")
    return uc.Model(inputs, L.Dense(3)(layer(inputs, inputs, **settings))), layer


def test_attention_is_what_the_layer_uses(tmp_path):
    model, layer = attending(use_causal_mask=True)
    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    output = model(x)
    shown = attention_maps(model, x[0], tokens="abcabc")
    _, wanted = layer(torch.from_numpy(x), torch.from_numpy(x), use_causal_mask=True, return_attention_scores=True)
    np.testing.assert_allclose(shown.scores["look"], wanted[0].detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(np.triu(shown.scores["look"][0], 1), 0)
    np.testing.assert_allclose(model(x).detach().numpy(), output.detach().numpy())  # no hook is left
    check_drawn(shown, tmp_path)


def test_masks_of_the_model_are_heeded():
    inputs = uc.Input((5,), dtype="int32")
    x = L.Embedding(9, 8, mask_zero=True)(inputs)
    model = uc.Model(inputs, L.MultiHeadAttention(1, 4, name="look")(x, x))
    shown = attention_maps(model, [3, 4, 5, 0, 0])
    np.testing.assert_allclose(shown.scores["look"][0][:3, 3:], 0, atol=1e-6)
    np.testing.assert_allclose(shown.scores["look"][0][:3].sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", ["grouped", "dot product", "additive"])
def test_other_kinds_of_attention(kind, tmp_path):
    inputs = uc.Input((6, 8))
    if kind == "grouped":
        outputs = L.GroupedQueryAttention(4, 4, 2, name="look")(inputs, inputs)
    elif kind == "dot product":
        outputs = L.Attention(name="look")([inputs, inputs])
    else:
        outputs = L.AdditiveAttention(name="look")([inputs, inputs])
    model = uc.Model(inputs, outputs)
    shown = attention_maps(model, np.random.default_rng(0).normal(size=(6, 8)))
    heads = 4 if kind == "grouped" else 1
    assert shown.scores["look"].shape == (heads, 6, 6)
    np.testing.assert_allclose(shown.scores["look"].sum(-1), 1, atol=1e-5)


def test_attention_of_torch():
    torch.manual_seed(0)
    encoder = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(1, 5, 8)
    before = encoder(x)
    shown = attention_maps(encoder, x)
    _, wanted = encoder.self_attn(x, x, x, average_attn_weights=False)
    np.testing.assert_allclose(shown.scores["self_attn"], wanted[0].detach().numpy(), atol=1e-5)
    torch.testing.assert_close(encoder(x), before)


def test_what_a_head_looks_at_is_named():
    from uncrumple.explain.pictures.attention import AttentionMaps

    before = np.eye(8, k=-1)
    before[0, 0] = 1
    spread = np.full((8, 8), 1 / 8)
    shown = AttentionMaps({"a": np.stack([spread, before])}, None)
    assert shown.title == "Head 1 of 'a' looks at the step before: 100 % of its attention"
    assert AttentionMaps({"a": spread[None]}, None).title == (
        "No head looks at one place: the narrowest, head 0 of 'a', spreads its attention over 8.0 of 8 steps"
    )
    # The second a, b, c and d look at what came after the first.
    induction = np.eye(8)
    for row in range(4, 8):
        induction[row] = np.eye(8)[row - 3]
    found = AttentionMaps({"a": induction[None]}, list("abcdabcd")).heads[0]
    assert (found.looks_at, found.share) == ("what came after the same token", 1.0)


def test_attention_refuses():
    model, _ = attending()
    with pytest.raises(ValueError) as error:
        attention_maps(model, np.zeros((6, 8)), tokens="abc")
    assert str(error.value) == "attention_maps got 3 tokens for 6 steps.\nExpected one for each step.\nFix: tokens[:6]"
    with pytest.raises(ValueError, match="attention_maps found no attention layer in the model"):
        attention_maps(uc.Sequential([uc.Input((3,)), L.Dense(2)]), np.zeros(3))


# --- gates -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.LSTM(5, name="reader"),
        lambda: L.LSTM(
            5, name="reader", go_backwards=True, unit_forget_bias=False, recurrent_activation="hard_sigmoid"
        ),
        lambda: L.GRU(5, name="reader"),
        lambda: L.GRU(5, name="reader", reset_after=False, use_bias=False),
    ],
    ids=["LSTM", "LSTM backwards", "GRU", "GRU reset before"],
)
def test_gates_lead_to_what_the_layer_gives(layer, tmp_path, request):
    uc.utils.set_random_seed(0)
    model = uc.Sequential([uc.Input((7, 3)), layer()])
    model.set_weights(
        [value + 0.3 * np.random.default_rng(1).normal(size=value.shape) for value in model.get_weights()]
    )
    x = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    shown = gate_activity(model, x, tokens="letters")
    np.testing.assert_allclose(shown.gates["output"][-1], model.predict(x[None], verbose=0)[0], atol=1e-5)
    for name, values in shown.gates.items():
        assert values.shape == (7, 5)
        assert not name.endswith("gate") or (values.min() >= 0 and values.max() <= 1)
    if "backwards" in request.node.name:
        check_drawn(shown, tmp_path)


def test_half_life_is_that_of_the_forget_gate():
    model = uc.Sequential(
        [uc.Input((9, 2)), L.LSTM(3, name="reader", kernel_initializer="zeros", recurrent_initializer="zeros")]
    )
    model.set_weights([*model.get_weights()[:2], np.repeat([0.0, np.log(3), 0.0, 0.0], 3).astype("float32")])
    shown = gate_activity(model, np.zeros((9, 2)))
    assert shown.gates["forget gate"] == pytest.approx(0.75)
    assert shown.half_life == pytest.approx(np.log(0.5) / np.log(0.75), rel=1e-4)
    assert shown.title.startswith(
        "The forget gate of 'reader' stands at 0.75 on average: half of what a unit remembers is gone after 2.4 steps"
    )


def test_masked_steps_change_nothing():
    model = uc.Sequential(
        [uc.Input((6,), dtype="int32"), L.Embedding(9, 4, mask_zero=True), L.LSTM(3, name="reader")]
    )  # fmt: skip
    shown = gate_activity(model, [5, 3, 0, 2, 0, 0])
    assert np.isnan(shown.gates["forget gate"][[2, 4, 5]]).all()
    np.testing.assert_allclose(
        shown.gates["output"][3], model.predict(np.array([[5, 3, 0, 2, 0, 0]]), verbose=0)[0], atol=1e-5
    )


def test_gates_within_bidirectional_and_of_torch():
    model = uc.Sequential([uc.Input((5, 2)), L.Bidirectional(L.GRU(4), name="both")])
    x = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    assert gate_activity(model, x).gates["update gate"].shape == (5, 4)
    np.testing.assert_allclose(
        gate_activity(model, x, model.get_layer("both").backward_layer).gates["output"][-1],
        model.predict(x[None], verbose=0)[0, 4:],
        atol=1e-5,
    )
    for module in (torch.nn.LSTM(2, 3, batch_first=True), torch.nn.GRU(2, 3, batch_first=True)):
        shown = gate_activity(module, torch.from_numpy(x)[None])
        outputs, _ = module(torch.from_numpy(x)[None])
        np.testing.assert_allclose(shown.gates["output"], outputs[0].detach().numpy(), atol=1e-5)


def test_gates_refuse():
    with pytest.raises(ValueError) as error:
        gate_activity(uc.Sequential([uc.Input((4, 2)), L.SimpleRNN(3)]), np.zeros((4, 2)))
    assert str(error.value) == (
        "gate_activity found no LSTM or GRU layer in the model.\nExpected at least one LSTM or GRU layer.\n"
        "Fix: a model with LSTM(32)"
    )


def test_names_of_the_room():
    assert {"uncrumple", "UncrumpleView", "weights", "filters", "feature_maps", "maximal_input"} <= set(dir(uc.explain))
    assert callable(uc.uncrumple) and uc.uncrumple is uc.explain.uncrumple
