"""Attribution of pictures: the planted corner is found, sums are complete, the control is beside it, nothing changes."""

import json
import random

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.explain.attribution.control import rank_correlation, verdict
from uncrumple.explain.keeping import answering
from uncrumple.explain.untrained import untrained_copy
from uncrumple.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
    Rescaling,
    Softmax,
)


def corner_pictures(count=240, side=12, seed=0):
    """Noise, and in half of the pictures a bright 3 x 3 patch in the top left corner, which is the class."""
    draws = np.random.default_rng(seed)
    x = draws.uniform(0, 0.6, size=(count, side, side, 1)).astype("float32")
    y = np.arange(count) % 2
    x[y == 1, :3, :3] = 1.0
    return x, y


@pytest.fixture(scope="module")
def planted():
    uc.utils.set_random_seed(1)
    x, y = corner_pictures()
    model = uc.Sequential(
        [Input((12, 12, 1)), Conv2D(6, 3, activation="relu"), Flatten(), Dense(2, activation="softmax")]
    )
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=8, batch_size=32, verbose=0)
    assert (model.predict(x, verbose=0).argmax(axis=1) == y).mean() > 0.95
    return model, x, y


def test_planted_corner_is_found(planted):
    model, x, y = planted
    found = uc.explain.attribute(model, x[y == 1][:6], window=3)
    mass = found.mass_within(0, 0, 3, 3)
    share = 9 / 144
    assert mass["integrated_gradients"] > 5 * share
    assert mass["occlusion"] > 5 * share
    for maps in (found.maps["occlusion"], found.maps["integrated_gradients"]):
        top, left = np.unravel_index(maps[0].argmax(), maps[0].shape)
        assert top <= 3 and left <= 3


def test_what_was_learnt_is_not_like_the_untrained_network(planted):
    model, x, y = planted
    found = uc.explain.attribute(model, x[y == 1][:6])
    assert set(found.maps) == {"integrated_gradients", "occlusion", "grad_cam", "saliency"} == set(found.control)
    assert found.alike["occlusion"] < 0.5
    by_hand = np.mean([rank_correlation(a, b) for a, b in zip(found.maps["saliency"], found.control["saliency"])])
    assert found.alike["saliency"] == pytest.approx(by_hand)


def test_drawings_on_black_make_maps_like_the_untrained_ones():
    """What integrated gradients show of digits is mostly the digit: they are 0 where the picture is."""
    draws = np.random.default_rng(0)
    x = np.where(draws.uniform(size=(4, 14, 14, 1)) < 0.25, 1.0, 0.0).astype("float32")
    model = uc.Sequential([Input((14, 14, 1)), Flatten(), Dense(20, activation="relu"), Dense(3, activation="softmax")])
    found = uc.explain.attribute(model, x, methods=("integrated_gradients", "occlusion"))
    assert found.alike["integrated_gradients"] > 0.8
    assert "it shows the picture, not the reasoning" in found.title
    # Both maps are empty where the picture is; where it is not, they differ more.
    there = x[..., 0] != 0
    maps = zip(found.maps["integrated_gradients"], found.control["integrated_gradients"], there)
    by_hand = np.mean([rank_correlation(a[where], b[where]) for a, b, where in maps])
    assert found.inside["integrated_gradients"] == pytest.approx(by_hand)
    assert found.inside["integrated_gradients"] < found.alike["integrated_gradients"] - 0.1
    assert f"(where the picture is not empty, {100 * max(0, by_hand):.0f} % alike)" in found.title
    finding = next(one for one in found.findings if one.name == "like-untrained-integrated-gradients")
    assert finding.severity == "warning" and finding.number == found.alike["integrated_gradients"]


def test_completeness(planted):
    model, x, _ = planted
    found = uc.explain.attribute(model, x[:5], methods=("integrated_gradients", "occlusion"), steps=64)
    assert found.gaps.max() < 0.02
    with torch.no_grad():
        head = model.layers[-1]
        before = model.layers[-2](model.layers[0](torch.as_tensor(x[:5])))
        none = model.layers[-2](model.layers[0](torch.zeros(1, 12, 12, 1)))
        rise = (before - none) @ head.kernel
    rise = rise.gather(1, torch.as_tensor(found.targets)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(found.maps["integrated_gradients"].sum(axis=(1, 2)), rise, rtol=0.02, atol=1e-3)


def test_few_steps_are_told():
    model = uc.Sequential([Input((6, 6, 1)), Flatten(), Dense(1, activation="sigmoid")])
    model.set_weights([np.full((36, 1), 0.1), np.zeros(1)])

    class Steep(uc.layers.Layer):
        def call(self, inputs):
            return torch.tanh(inputs * 300) * 40 + inputs**9

    steep = uc.Sequential([Input((6, 6, 1)), Steep(), Flatten(), Dense(1)])
    found = uc.explain.attribute(steep, np.ones((1, 6, 6, 1), "float32"), steps=2, kind="images")
    finding = next(one for one in found.findings if one.name == "completeness")
    assert finding.severity == "warning" and finding.try_this == "steps=8"
    plain = uc.explain.attribute(model, np.ones((1, 6, 6, 1), "float32"), steps=2, kind="images")
    assert plain.gaps.max() < 1e-5


def linear_model(weights):
    model = uc.Sequential([Input((4, 4, 1)), Flatten(), Dense(2, use_bias=False, activation="softmax")])
    model.set_weights([weights])
    return model


def test_linear_model_is_known_exactly():
    draws = np.random.default_rng(0)
    weights = draws.normal(size=(16, 2)).astype("float32")
    x = draws.normal(size=(3, 4, 4, 1)).astype("float32")
    found = uc.explain.attribute(linear_model(weights), x, target=1, window=1)
    expected = x[..., 0] * weights[:, 1].reshape(4, 4)
    np.testing.assert_allclose(found.maps["integrated_gradients"], expected, atol=1e-5)
    np.testing.assert_allclose(found.maps["occlusion"], expected, atol=1e-5)
    np.testing.assert_allclose(found.maps["saliency"], np.abs(weights[:, 1].reshape(1, 4, 4)).repeat(3, 0), atol=1e-6)


def test_baseline_is_what_occluded_pixels_become():
    weights = np.ones((16, 2), "float32")
    x = np.full((1, 4, 4, 1), 3.0, "float32")
    found = uc.explain.attribute(linear_model(weights), x, target=0, window=1, baseline=1.0)
    np.testing.assert_allclose(found.maps["occlusion"], np.full((1, 4, 4), 2.0), atol=1e-5)
    np.testing.assert_allclose(found.maps["integrated_gradients"], np.full((1, 4, 4), 2.0), atol=1e-5)
    assert "Compared with 1 everywhere." in str(found)


def test_grad_cam_by_hand():
    """Two channels: one is the picture, which the class counts; one is its negative, which relu makes nothing of."""
    model = uc.Sequential(
        [Input((6, 6, 1)), Conv2D(2, 1, use_bias=False), GlobalAveragePooling2D(), Dense(1, use_bias=False)]
    )
    model.set_weights([np.array([1.0, -1.0]).reshape(1, 1, 1, 2), np.array([[2.0], [0.0]])])
    x = np.random.default_rng(0).uniform(size=(2, 6, 6, 1)).astype("float32")
    found = uc.explain.attribute(model, x, methods=("grad_cam", "saliency"))
    # d score / d activation is 2 / 36 everywhere in channel 0; Grad-CAM weighs the channel by the mean.
    np.testing.assert_allclose(found.maps["grad_cam"], x[..., 0] * 2 / 36, atol=1e-6)


def wrapped():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 6 * 6, 3),
        torch.nn.Softmax(dim=1),
    )


def test_torch_module_with_channels_first():
    x = np.random.default_rng(0).uniform(size=(2, 1, 8, 8)).astype("float32")
    module = wrapped()
    module.train()
    found = uc.explain.attribute(module, x)
    assert set(found.maps) == {"integrated_gradients", "occlusion", "grad_cam", "saliency"}
    assert found.maps["grad_cam"].shape == (2, 8, 8)
    assert module.training and all(part.training for part in module.modules())
    with torch.no_grad():
        module.eval()
        np.testing.assert_allclose(found.shares, module(torch.as_tensor(x)).numpy(), atol=1e-6)


def test_from_torch_gives_the_same_maps_as_the_module():
    x = np.random.default_rng(0).uniform(size=(2, 1, 8, 8)).astype("float32")
    module = wrapped()
    model = uc.Sequential([Input((1, 8, 8)), uc.from_torch(module)])
    one = uc.explain.attribute(module, x, methods=("integrated_gradients", "grad_cam"))
    other = uc.explain.attribute(model, x, methods=("integrated_gradients", "grad_cam"))
    for method in one.maps:
        np.testing.assert_allclose(one.maps[method], other.maps[method], atol=1e-6)


def test_model_from_a_file(tmp_path, planted):
    model, x, _ = planted
    model.save(tmp_path / "model.keras")
    again = uc.models.load_model(tmp_path / "model.keras")
    one, other = (uc.explain.attribute(each, x[:2]) for each in (model, again))
    for method in one.maps:
        np.testing.assert_allclose(one.maps[method], other.maps[method], atol=1e-6)


def test_scores_are_those_before_softmax_wherever_it_stands():
    draws = np.random.default_rng(0)
    x = draws.normal(size=(2, 4, 4, 1)).astype("float32")
    weights = draws.normal(size=(16, 2)).astype("float32")
    plain = linear_model(weights)
    apart = uc.Sequential([Input((4, 4, 1)), Flatten(), Dense(2, use_bias=False), Softmax()])
    logits = uc.Sequential([Input((4, 4, 1)), Flatten(), Dense(2, use_bias=False)])
    logits.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    for model in (apart, logits):
        model.set_weights([weights])
        found, expected = uc.explain.attribute(model, x), uc.explain.attribute(plain, x)
        np.testing.assert_allclose(found.shares, expected.shares, atol=1e-6)
        np.testing.assert_allclose(found.maps["integrated_gradients"], expected.maps["integrated_gradients"], atol=1e-6)


def test_everything_is_as_it_was():
    uc.utils.set_random_seed(3)
    x = np.random.default_rng(0).uniform(size=(40, 8, 8, 1)).astype("float32")
    model = uc.Sequential(
        [
            Input((8, 8, 1)),
            Conv2D(3, 3, activation="relu"),
            BatchNormalization(),
            MaxPooling2D(),
            Flatten(),
            Dropout(0.5),
            Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, np.arange(40) % 2, epochs=1, verbose=0)
    model.train()

    def state():
        return (
            [weight.numpy().copy() for weight in model.weights],
            [one.numpy().copy() for one in model.optimizer.variables],
            [part.training for part in model.modules()],
            torch.get_rng_state().clone(),
            np.random.get_state()[1].copy(),
            random.getstate(),
            [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()],
            [getattr(part, "activation", None) for part in model.modules()],
            [weight.grad for weight in model.parameters()],
        )

    def same(one, other):
        for before, after in zip(one, other):
            if isinstance(before, list) and before and isinstance(before[0], np.ndarray):
                assert all(np.array_equal(a, b) for a, b in zip(before, after))
            elif isinstance(before, (np.ndarray, torch.Tensor)):
                assert np.array_equal(np.asarray(before), np.asarray(after))
            else:
                assert before == after

    before = state()
    uc.explain.attribute(model, x[:3])
    same(before, state())
    with pytest.raises(ValueError, match="Unknown convolution"):
        uc.explain.attribute(model, x[:3], layer="no such layer")
    same(before, state())
    assert uc.layers.Dense(1).name.startswith("dense")


def test_state_comes_back_when_weights_were_changed_within():
    model = uc.Sequential([Input((2,)), Dense(1)])
    before = model.layers[0].kernel.numpy().copy()
    with pytest.raises(RuntimeError, match="stop"), answering(model):
        model.layers[0].kernel.assign(before + 1)
        raise RuntimeError("stop")
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)


def test_names_of_later_models_do_not_count_the_control():
    from uncrumple.core import naming

    model = uc.Sequential([Input((3,)), Dense(2)])
    naming_before = naming.auto_name("sequential")
    uc.explain.attribute(model, np.ones((1, 3), "float32"))
    after = naming.auto_name("sequential")
    count = lambda name: int(name.rsplit("_", 1)[1]) if "_" in name else 0  # noqa: E731
    assert count(after) == count(naming_before) + 1


# --- the control -----------------------------------------------------------------------------


class Own(uc.Model):
    """A model that says nothing of how it is made."""

    def __init__(self, width, extra):
        super().__init__()
        self.first, self.last = Dense(width, activation="relu"), Dense(2)
        self.extra = extra

    def call(self, inputs):
        return self.last(self.first(inputs)) * self.extra.scale


class Scale:
    scale = 2.0


def test_control_of_a_class_of_ones_own():
    model = Own(4, Scale())
    model(torch.ones(1, 3))
    with answering(model):
        twin = untrained_copy(model)
    assert not np.array_equal(twin.first.kernel.detach(), model.first.kernel.detach())
    assert twin.first.kernel.shape == model.first.kernel.shape


def test_control_is_not_where_the_model_began():
    uc.utils.set_random_seed(7)
    model = uc.Sequential([Input((3,)), Dense(4)])
    with answering(model):
        twin = untrained_copy(model, seed=7)
    assert not np.array_equal(twin.layers[0].kernel.detach(), model.layers[0].kernel.detach())


def test_control_keeps_what_was_measured():
    uc.utils.set_random_seed(0)
    scale = uc.layers.Normalization()
    scale.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], "float32"))
    model = uc.Sequential([Input((2,)), scale, Dense(3)])
    with answering(model):
        twin = untrained_copy(model)
    np.testing.assert_allclose(np.asarray(twin.layers[0].mean), [[2.0, 20.0]])
    assert not np.array_equal(twin.layers[1].kernel.detach(), model.layers[1].kernel.detach())
    x = np.array([[1.0, 10.0]], "float32")
    np.testing.assert_allclose(np.asarray(twin.layers[0](x)), [[-1.0, -1.0]], atol=1e-6)


def test_control_shuffles_what_has_no_other_beginning():
    class Bare(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.arange(12.0).reshape(4, 3))

        def forward(self, x):
            return x @ self.weight

    module = Bare()
    with answering(module):
        twin = untrained_copy(module)
    assert sorted(twin.weight.flatten().tolist()) == list(map(float, range(12)))
    assert not torch.equal(twin.weight, module.weight)


def test_same_seed_same_control(planted):
    model, x, _ = planted
    one, other, third = (uc.explain.attribute(model, x[:1], seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.control["saliency"], other.control["saliency"])
    assert not np.array_equal(one.control["saliency"], third.control["saliency"])


def test_verdicts():
    assert verdict("x", 0.99, "digit") == (
        "x: this map looks 99 % like the untrained model's: it shows the digit, not the reasoning."
    )
    assert verdict("x", 0.6, "text").endswith("partly the text; read it with care.")
    assert verdict("x", -0.3, "text") == (
        "x: 0 % like the untrained model's map: it depends on the weights, not on the text alone."
    )
    assert verdict("x", float("nan"), "text").endswith("says nothing.")


# --- what is asked for -------------------------------------------------------------------------


def test_never_one_kind_alone(planted):
    model, x, _ = planted
    found = uc.explain.attribute(model, x[:1], methods="saliency")
    assert list(found.maps) == ["saliency", "occlusion"]
    assert "Occlusion was added: methods of one kind can be wrong together." in str(found)
    assert list(uc.explain.attribute(model, x[:1], methods=["occlusion"]).maps) == ["occlusion", "integrated_gradients"]


def test_without_convolutions_there_is_no_grad_cam():
    model = linear_model(np.ones((16, 2), "float32"))
    x = np.ones((1, 4, 4, 1), "float32")
    assert "grad_cam" not in uc.explain.attribute(model, x).maps
    with pytest.raises(ValueError) as error:
        uc.explain.attribute(model, x, methods=("grad_cam",))
    assert str(error.value) == (
        "attribute got the method 'grad_cam': the model has no convolution that pictures pass through.\n"
        "Expected some of 'integrated_gradients', 'occlusion', 'saliency'.\n"
        "Fix: methods=None"
    )


def test_empty_maps_are_told():
    """A negative gradient everywhere: relu leaves nothing of Grad-CAM."""
    model = uc.Sequential(
        [Input((6, 6, 1)), Conv2D(1, 1, use_bias=False), GlobalAveragePooling2D(), Dense(1, use_bias=False)]
    )
    model.set_weights([np.ones((1, 1, 1, 1)), np.array([[-2.0]])])
    x = np.random.default_rng(0).uniform(size=(2, 6, 6, 1)).astype("float32")
    found = uc.explain.attribute(model, x)
    assert not found.maps["grad_cam"].any() and found.inside == {}
    assert "Grad-CAM is empty for 2 of 2." in str(found)
    assert "the map is the same everywhere, and says nothing" in str(found)
    found.plot()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "attribute got seed=-1."),
        ({"methods": "salienc"}, "Unknown method: 'salienc'."),
        ({"methods": ()}, "attribute got no methods."),
        ({"steps": 1}, "attribute got steps=1."),
        ({"window": 0}, "attribute got window=0."),
        ({"target": 7}, "attribute got target=7 for 2 rows."),
        ({"target": [0, 1, 1]}, "attribute got target=[0, 1, 1] for 2 rows."),
        ({"kind": "movies"}, "Unknown kind: 'movies'."),
        ({"baseline": np.zeros((3, 3))}, "attribute got a baseline of shape (3, 3)."),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else next(iter(value)),
)
def test_impossible_arguments(settings, message):
    model = linear_model(np.ones((16, 2), "float32"))
    with pytest.raises(ValueError) as error:
        uc.explain.attribute(model, np.ones((2, 4, 4, 1), "float32"), **settings)
    assert str(error.value).startswith(message)
    assert str(error.value).count("\n") == 2


def test_too_many_rows_and_no_network():
    with pytest.raises(ValueError, match="attribute got 300 rows"):
        uc.explain.attribute(linear_model(np.ones((16, 2), "float32")), np.ones((300, 4, 4, 1), "float32"))
    with pytest.raises(TypeError, match="attribute got a dict as model"):
        uc.explain.attribute({}, np.ones((2, 3)))


def test_several_outputs_are_refused():
    inputs = Input((4,))
    model = uc.Model(inputs, [Dense(2)(inputs), Dense(1)(inputs)])
    with pytest.raises(ValueError, match="The model gives a list of 2 outputs"):
        uc.explain.attribute(model, np.ones((1, 4), "float32"))


def test_images_of_bytes_with_their_preparation():
    pixels = np.random.default_rng(0).integers(0, 255, size=(6, 8, 8, 3), dtype=np.uint8)
    images = uc.data.Images(pixels, ["a", "b"] * 3)
    preparation = images.preparation()
    inputs = preparation.inputs()
    made = Dense(2, activation="softmax")(Flatten()(Conv2D(2, 3, activation="relu")(preparation(inputs))))
    model = uc.Model(inputs, made)
    found = uc.explain.attribute(model, images.take([0, 1]))
    assert found.names == ("a", "b")
    assert found.maps["integrated_gradients"].shape == (2, 8, 8)
    assert found.gaps.max() < 0.05


def test_one_picture_and_no_channels():
    model = uc.Sequential([Input((8, 8)), Rescaling(1 / 255), Flatten(), Dense(3, activation="softmax")])
    pixels = np.random.default_rng(0).integers(0, 255, size=(8, 8), dtype=np.uint8)
    found = uc.explain.attribute(model, pixels)
    assert found.maps["occlusion"].shape == (1, 8, 8)


def test_frozen_layers_still_have_grad_cam():
    model = uc.Sequential([Input((8, 8, 1)), Conv2D(2, 3, activation="relu"), Flatten(), Dense(2)])
    model.trainable = False
    found = uc.explain.attribute(model, np.random.default_rng(0).uniform(size=(1, 8, 8, 1)).astype("float32"))
    assert np.isfinite(found.maps["grad_cam"]).all()
    assert not any(weight.requires_grad for weight in model.parameters())


# --- what is shown ----------------------------------------------------------------------------


def test_it_is_shown_and_kept(planted, tmp_path):
    model, x, _ = planted
    found = uc.explain.attribute(model, x[:3], class_names=("plain", "<corner>"))
    assert found.title in str(found) and "Picture 0: plain" in str(found)
    png = found.save(tmp_path / "deep" / "maps.png")
    assert png.read_bytes()[1:4] == b"PNG"
    page = found.save(tmp_path / "maps.html").read_text()
    assert "<!doctype html>" in page and "&lt;corner&gt;" in page and "<corner>" not in page
    kept = json.loads(found.save(tmp_path / "maps.json").read_text())
    assert np.shape(kept["maps"]["occlusion"]) == (3, 12, 12)
    assert kept["findings"][0]["name"].startswith("like-untrained")
    with pytest.raises(ValueError, match="save got the path"):
        found.save(tmp_path / "maps.gif")


def test_nothing_in_the_picture_overlaps(planted):
    model, x, _ = planted
    figure = uc.explain.attribute(model, x[:2]).plot()
    figure.canvas.draw()
    texts = [axes.title for axes in figure.axes] + [axes.xaxis.label for axes in figure.axes]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[place + 1 :])
    assert figure._suptitle.get_text().replace("\n", " ").startswith(("Occlusion", "Integrated", "Grad", "Saliency"))
