"""Layers that change images give the numbers of real Keras, for the same random numbers."""

from __future__ import annotations

import copy
import json

import keras
import numpy as np
import pytest
import torch

import uncrumple
from uncrumple import layers as L

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The use of `x.T`:UserWarning"),
    pytest.mark.filterwarnings("ignore:var_mean:UserWarning"),
]

# (class, arguments)
PLACES = [
    ("CenterCrop", {"height": 4, "width": 5}),
    ("CenterCrop", {"height": 3, "width": 3}),
    ("CenterCrop", {"height": 12, "width": 6}),
    ("CenterCrop", {"height": 12, "width": 20}),
    ("RandomCrop", {"height": 4, "width": 5}),
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomPerspective", {"scale": 0.4}),
    ("RandomPerspective", {"factor": 0.5, "scale": 0.3, "interpolation": "nearest", "fill_value": 7.0}),
    ("RandomRotation", {"factor": 0.2}),
    ("RandomRotation", {"factor": (-0.1, 0.4), "fill_mode": "constant", "fill_value": 9.0}),
    ("RandomRotation", {"factor": 0.2, "fill_mode": "nearest"}),
    ("RandomRotation", {"factor": 1.0, "fill_mode": "wrap"}),
    ("RandomRotation", {"factor": 0.3, "interpolation": "nearest"}),
    ("RandomShear", {"x_factor": 0.3, "y_factor": 0.2}),
    ("RandomShear", {"x_factor": (0.1, 0.5), "fill_mode": "constant", "interpolation": "nearest"}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.4}),
    ("RandomTranslation", {"height_factor": (0.1, 0.2), "width_factor": 0.0, "fill_mode": "constant", "fill_value": 3}),
    ("RandomTranslation", {"height_factor": 1.0, "width_factor": 1.0, "fill_mode": "wrap"}),
    ("RandomTranslation", {"height_factor": 1.0, "width_factor": 0.5, "fill_mode": "nearest"}),
    ("RandomZoom", {"height_factor": 0.3}),
    ("RandomZoom", {"height_factor": (-0.5, -0.2), "width_factor": (0.2, 0.9)}),
    ("RandomZoom", {"height_factor": 0.9, "fill_mode": "constant", "interpolation": "nearest"}),
    ("Resizing", {"height": 4, "width": 5}),
    ("Resizing", {"height": 12, "width": 5, "interpolation": "nearest"}),
    ("Resizing", {"height": 12, "width": 15, "interpolation": "bicubic", "antialias": True}),
    ("Resizing", {"height": 5, "width": 4, "crop_to_aspect_ratio": True}),
    ("Resizing", {"height": 14, "width": 12, "pad_to_aspect_ratio": True, "fill_value": 5.0}),
]
COLOURS = [
    ("AutoContrast", {}),
    ("AutoContrast", {"value_range": (0, 400)}),
    # Whole limits: Keras on torch cuts off what is behind the point of "clip_limit * size of a tile / 256".
    ("ContrastLimitedAdaptiveHistogramEqualization", {"clip_limit": 128}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 3), "clip_limit": 64.0}),
    ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 2), "clip_limit": 0}),
    ("CutMix", {}),
    ("CutMix", {"factor": (0.5, 1.0)}),
    ("Equalization", {}),
    ("Equalization", {"bins": 16}),
    ("Equalization", {"value_range": (0, 300), "bins": 100}),
    ("MixUp", {}),
    ("MixUp", {"alpha": 2.0}),
    ("RandomBrightness", {"factor": 0.4}),
    ("RandomBrightness", {"factor": (-0.2, 0.9), "value_range": (0, 300)}),
    ("RandomColorDegeneration", {"factor": 0.6}),
    ("RandomContrast", {"factor": 0.5}),
    ("RandomContrast", {"factor": (0.2, 0.9), "value_range": (0, 200)}),
    ("RandomErasing", {"fill_value": 3.0}),
    ("RandomErasing", {"factor": 0.5, "scale": (0.3, 0.9)}),
    ("RandomGaussianBlur", {"kernel_size": 3}),
    ("RandomGaussianBlur", {"kernel_size": 5, "sigma": (0.4, 1.0), "factor": 0.5}),
    ("RandomGrayscale", {}),
    ("RandomHue", {"factor": 0.5}),
    ("RandomHue", {"factor": (0.3, 0.9), "value_range": (0, 300)}),
    ("RandomInvert", {"factor": 0.5}),
    ("RandomPosterization", {"factor": 6}),
    ("RandomPosterization", {"factor": (3, 3), "value_range": (0, 300)}),
    ("RandomSaturation", {"factor": (0.3, 0.7)}),
    ("RandomSaturation", {"factor": 0.5}),
    ("RandomSharpness", {"factor": 1.0}),
    ("RandomSharpness", {"factor": (0.6, 0.9), "value_range": (0, 200)}),
    ("Solarization", {"addition_factor": 0.3, "threshold_factor": 0.8}),
    ("Solarization", {"threshold_factor": (0.2, 0.5), "value_range": (0, 300)}),
]
POLICIES = [
    ("AugMix", {}),
    ("AugMix", {"num_chains": 2, "chain_depth": 4, "all_ops": False, "interpolation": "nearest"}),
    # One change only: Keras on torch writes into the matrix of the rotation, chosen or not, so that the next is wrong.
    ("RandAugment", {"num_ops": 1}),
    ("RandAugment", {"num_ops": 1, "factor": (0.1, 0.3)}),
]
# What Keras makes of data without a number that one could draw beforehand.
OTHERS = [
    ("MaxNumBoundingBoxes", {"max_number": 3}),
    ("RandomColorJitter", {"brightness_factor": 0.2, "contrast_factor": (0.1, 0.3), "hue_factor": 0.1}),
    ("RandomElasticTransform", {"factor": 0.5, "scale": (0.2, 0.6), "fill_mode": "constant"}),
    ("MelSpectrogram", {"fft_length": 64, "sequence_stride": 16, "num_mel_bins": 8}),
    ("STFTSpectrogram", {"frame_length": 16, "mode": "magnitude"}),
]
EVERY = [*PLACES, *COLOURS, *POLICIES, *OTHERS]


def name_of(value):
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict) else None


def pictures(samples=6, seed=0, first=False):
    x = torch.rand(samples, 7, 9, 3, generator=torch.Generator().manual_seed(seed)) * 255
    return x.permute(0, 3, 1, 2).contiguous() if first else x


def pair(name, arguments):
    return getattr(keras.layers, name)(**arguments), getattr(L, name)(**arguments)


def close(mine, their, atol=2e-3):
    assert tuple(mine.shape) == tuple(their.shape)
    assert mine.dtype == their.dtype
    torch.testing.assert_close(mine, their, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("first", [False, True], ids=["last", "first"])
@pytest.mark.parametrize(("name", "arguments"), [*PLACES, *COLOURS, *POLICIES], ids=name_of)
def test_images_for_the_same_random_numbers(name, arguments, first):
    if first:
        if name in ("AutoContrast", "AugMix", "RandAugment"):
            pytest.skip("Keras stretches the contrast of the wrong axes")
        arguments = {**arguments, "data_format": "channels_first"}
    theirs, mine = pair(name, arguments)
    images = pictures(first=first)
    for _ in range(8 if name in ("AugMix", "RandAugment") else 1):
        drawn = theirs.get_random_transformation(images, training=True)
        if name == "RandAugment":  # Keras on torch adds brightness in place, chosen or not
            drawn["transforms"]["random_brightness"]["rgb_delta"].zero_()
        found = mine.transform_images(images, copy.deepcopy(drawn), training=True)  # Keras writes into matrices
        expected = theirs.transform_images(images.clone(), drawn, training=True)
        close(found, expected)


@pytest.mark.parametrize(("name", "arguments"), [*PLACES, *COLOURS], ids=name_of)
def test_one_image_for_the_same_random_numbers(name, arguments):
    theirs, mine = pair(name, arguments)
    image = pictures()[2]
    drawn = theirs.get_random_transformation(image, training=True)
    found = mine.transform_single_image(image, copy.deepcopy(drawn), training=True)
    close(found, theirs.transform_single_image(image.clone(), drawn, training=True))


@pytest.mark.parametrize(("name", "arguments"), [*PLACES, *COLOURS, *POLICIES], ids=name_of)
@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_types_of_images(name, arguments, kind):
    theirs, mine = pair(name, arguments)
    images = pictures().to(getattr(torch, kind))
    for training in (True, False):
        if kind == "uint8" and (name in UNLIKE_FOR_BYTES or not training):
            continue
        assert mine(images, training=training).dtype == theirs(images.clone(), training=training).dtype


# Keras adds to bytes modulo 256, and has no saturation of bytes.
UNLIKE_FOR_BYTES = ("RandomBrightness", "RandomSaturation")


@pytest.mark.parametrize(("name", "arguments"), [*PLACES, *COLOURS, *POLICIES, *OTHERS[:3]], ids=name_of)
def test_nothing_is_done_outside_training_where_keras_does_nothing(name, arguments):
    theirs, mine = pair(name, arguments)
    images = pictures()
    found = mine(images, training=False)
    if name == "RandomCrop":
        assert tuple(found.shape) == tuple(theirs.compute_output_shape(images.shape))
        return
    close(found, theirs(images.clone(), training=False))


@pytest.mark.parametrize(("name", "arguments"), PLACES, ids=name_of)
def test_masks_for_the_same_random_numbers(name, arguments):
    if name == "CenterCrop" and arguments["height"] > 7:
        pytest.skip("Keras mixes classes where it scales masks")
    theirs, mine = pair(name, arguments)
    images = pictures()
    masks = torch.randint(0, 5, (6, 7, 9, 1), generator=torch.Generator().manual_seed(1)).float()
    drawn = theirs.get_random_transformation(images, training=True)
    found = mine.transform_segmentation_masks(masks, copy.deepcopy(drawn), training=True)
    close(found, theirs.transform_segmentation_masks(masks.clone(), drawn, training=True))


def boxes(samples=6):
    corners = torch.rand(samples, 4, 4, generator=torch.Generator().manual_seed(3))
    low, high = torch.minimum(corners[..., :2], corners[..., 2:]), torch.maximum(corners[..., :2], corners[..., 2:])
    size = torch.tensor([9.0, 7.0])
    labels = torch.arange(samples * 4).reshape(samples, 4)
    return {"boxes": torch.cat([low * size, high * size], dim=-1), "labels": labels}


# There are none; Keras takes rows for columns; it wants names; it has none for it.
UNLIKE_FOR_BOXES = ("CutMix", "RandomCrop", "RandomGrayscale", "ContrastLimitedAdaptiveHistogramEqualization")


@pytest.mark.parametrize("kind", ["xyxy", "rel_yxyx", "center_xywh"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [one for one in [*PLACES, *COLOURS, *OTHERS[:2]] if one[0] not in UNLIKE_FOR_BOXES],
    ids=name_of,
)
def test_boxes_for_the_same_random_numbers(name, arguments, kind):
    if name in ("RandomRotation", "RandomPerspective") and kind != "xyxy":
        pytest.skip("Keras forgets how the boxes are written")
    theirs, mine = pair(name, {**arguments, "bounding_box_format": kind})
    images = pictures()
    source = keras.utils.bounding_boxes.convert_format(boxes(), "xyxy", kind, height=7, width=9)
    drawn = theirs.get_random_transformation(images, training=True)
    given = {key: value.clone() for key, value in source.items()}
    if name == "MixUp":
        expected = theirs.transform_bounding_boxes(given, drawn, training=True)
        found = mine.transform_bounding_boxes(source, drawn, training=True)
        close(found["boxes"], expected["boxes"])
        assert found["labels"].shape == (6, 8)  # Keras puts them below one another
        return
    expected = theirs.transform_bounding_boxes(given, drawn, training=True)
    found = mine.transform_bounding_boxes(source, drawn, training=True)
    close(found["boxes"], expected["boxes"], atol=2e-4)
    assert found["labels"].tolist() == expected["labels"].tolist()


@pytest.mark.parametrize("name", ["CutMix", "MixUp"])
def test_labels_for_the_same_random_numbers(name):
    theirs, mine = pair(name, {})
    labels = torch.eye(6)
    drawn = theirs.get_random_transformation(pictures(), training=True)
    close(mine.transform_labels(labels, drawn), theirs.transform_labels(labels, drawn))


@pytest.mark.parametrize(("name", "arguments"), EVERY, ids=name_of)
def test_configs_go_both_ways(name, arguments):
    theirs, mine = pair(name, {**arguments, "name": "mine"})
    their_config, my_config = keras.layers.serialize(theirs), L.serialize(mine)
    assert my_config["module"] == their_config["module"]
    assert my_config["class_name"] == their_config["class_name"]
    both = [json.loads(json.dumps(one["config"])) for one in (my_config, their_config)]
    for one in both:
        one.pop("dtype")
        for setting in KEPT_HERE_ONLY.get(name, ()):
            one.pop(setting, None)
    assert both[0] == both[1]
    again = keras.layers.deserialize(json.loads(json.dumps(my_config)))
    assert type(again) is type(theirs)
    back = L.deserialize(json.loads(json.dumps(their_config)))
    assert json.dumps(L.serialize(back)["config"], sort_keys=True, default=str).count("mine")
    for setting, value in vars(mine).items():
        if isinstance(value, (int, float, str, tuple)) and not setting.startswith("_"):
            if setting not in ("training", "seed", "generator", *KEPT_HERE_ONLY.get(name, ())):
                assert np.array_equal(getattr(back, setting), value), setting


# Keras draws a seed for crops, forgets that of grey pictures and what boxes are filled up with,
# and does not read what it writes of shears.
KEPT_HERE_ONLY = {
    "RandomCrop": ("seed",),
    "RandomGrayscale": ("seed",),
    "MaxNumBoundingBoxes": ("fill_value",),
    "RandomShear": ("x_factor", "y_factor"),
}


STATISTICS = [
    one
    for one in [*PLACES, *COLOURS]
    if one[0] not in ("CenterCrop", "Resizing", "RandomCrop", "AutoContrast", "Equalization")
    and not one[0].startswith("ContrastLimited")
]


def numbers_in(drawn):
    if not isinstance(drawn, dict):
        return {"": drawn}
    return {key: value for key, value in drawn.items() if isinstance(value, torch.Tensor) and value.ndim > 0}


@pytest.mark.parametrize(("name", "arguments"), STATISTICS, ids=name_of)
def test_random_numbers_are_distributed_alike(name, arguments):
    """Quantiles of ten thousand images agree with Keras's, up to chance."""
    theirs, mine = pair(name, {**arguments, "seed": 5})
    images = torch.zeros(10000, 3, 4, 3)
    both = [numbers_in(layer.get_random_transformation(images, training=True)) for layer in (mine, theirs)]
    if arguments.get("fill_value") is not None:
        both[1].pop("fill_value", None)  # one number, as large as the images
    assert both[0].keys() == both[1].keys()
    for key in both[0]:
        one, other = both[0][key].double(), both[1][key].double()
        if key == "batch_masks":
            one, other = (value[..., :1].reshape(10000, -1).mean(-1) for value in (one, other))
        if name in ("CutMix", "RandomGaussianBlur") and key != "permutation_order":
            continue  # once for a batch: see below
        if key == "permutation_order":
            assert sorted(one.tolist()) == sorted(other.tolist()) == list(range(10000))
            continue
        shape = one.shape
        if key != "fill_value":
            assert shape == other.shape
        one, other = one.reshape(-1), other.expand(shape).reshape(-1)
        spread = float(other.std()) + 1e-9
        assert abs(float(one.mean() - other.mean())) < 6 * spread * (2 / 10000) ** 0.5 + 1e-6, key
        places = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)
        quantiles = [torch.quantile(value[:200000], places) for value in (one, other)]
        assert float((quantiles[0] - quantiles[1]).abs().max()) <= 0.15 * spread + 1e-6, key


@pytest.mark.parametrize(("name", "key"), [("CutMix", "mix_weight"), ("RandomGaussianBlur", "blur_factor")])
def test_random_numbers_of_batches_are_distributed_alike(name, key):
    images = torch.zeros(20, 8, 8, 3)
    found = []
    for layer in reversed(pair(name, {"seed": 5})):
        drawn = [layer.get_random_transformation(images, training=True)[key].double().reshape(-1) for _ in range(300)]
        found.append(torch.cat(drawn))
    spread = float(found[1].std())
    assert abs(float(found[0].mean() - found[1].mean())) < 0.2 * spread
    assert 0.85 < float(found[0].std()) / spread < 1.15


@pytest.mark.parametrize("training", [True, False])
def test_dicts(training):
    """Images, labels, boxes and masks together; a copy is returned, and what was given stays."""
    data = {
        "images": pictures(),
        "labels": torch.eye(6),
        "bounding_boxes": boxes(),
        "segmentation_masks": torch.ones(6, 7, 9, 1),
    }
    for name, arguments in PLACES:
        theirs, mine = pair(name, {**arguments, "bounding_box_format": "xyxy"})
        found = mine(data, training=training)
        assert data["images"].equal(pictures()) and data["bounding_boxes"]["boxes"].equal(boxes()["boxes"])
        if name == "RandomCrop":
            continue
        copied = keras.tree.map_structure(lambda leaf: leaf.clone(), data)
        expected = theirs(copied, training=training)
        for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
            assert one.shape == other.shape and one.dtype == other.dtype, name


SOUND = np.random.default_rng(0).normal(size=(2, 400)).astype("float32")


@pytest.mark.parametrize(
    "arguments",
    [
        {"fft_length": 64, "sequence_stride": 16, "num_mel_bins": 8},
        {"fft_length": 64, "sequence_stride": 20, "sequence_length": 50, "power_to_db": False, "mag_exp": 1.0},
        {"fft_length": 128, "window": "hamming", "top_db": 20.0, "ref_power": 2.0, "max_freq": 4000, "min_freq": 100.0},
    ],
    ids=name_of,
)
def test_mel_spectrogram(arguments):
    theirs, mine = pair("MelSpectrogram", arguments)
    for sound in (SOUND, SOUND[0]):
        torch.testing.assert_close(mine(sound), theirs(sound), rtol=1e-3, atol=1e-3)
    with_symbol = mine(L.Input((400,)))
    assert with_symbol.shape[1:] == tuple(mine(SOUND).shape[1:])


@pytest.mark.parametrize("mode", ["log", "magnitude", "psd", "real", "imag", "angle", "stft"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"frame_length": 32},
        {"frame_length": 32, "frame_step": 10, "padding": "same", "expand_dims": True},
        {"frame_length": 30, "fft_length": 64, "scaling": "spectrum", "window": "blackman", "periodic": True},
        {"frame_length": 32, "data_format": "channels_first", "window": None, "scaling": None},
        {"frame_length": 32, "data_format": "channels_first", "expand_dims": True},
    ],
    ids=name_of,
)
def test_stft_spectrogram(mode, arguments):
    theirs, mine = pair("STFTSpectrogram", {**arguments, "mode": mode})
    sound = np.stack([SOUND, SOUND[::-1]], axis=-1)
    sound = sound.transpose(0, 2, 1) if arguments.get("data_format") else sound
    expected, found = theirs(sound).detach(), mine(sound).detach()
    if mode == "angle":  # next to no sound any angle is as good
        off = (found - expected).abs() % (2 * np.pi)
        assert float((torch.minimum(off, 2 * np.pi - off) > 1e-2).float().mean()) < 0.01
        return
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert [tuple(one.shape) for one in mine.get_weights()] == [tuple(one.shape) for one in theirs.get_weights()]


FILES = [one for one in EVERY if one[0] not in ("MelSpectrogram", "STFTSpectrogram", "RandomCrop", "Equalization")]


@pytest.mark.parametrize(
    ("name", "arguments"), list({name: (name, given) for name, given in FILES}.values()), ids=name_of
)
@pytest.mark.parametrize("maker", ["here", "there"])
def test_files_go_both_ways(name, arguments, maker, tmp_path):
    """All that Keras can put into a model; `RandomCrop` and `Equalization` it cannot use in one."""
    rooms = [uncrumple, keras] if maker == "here" else [keras, uncrumple]
    maker, reader = rooms
    of = maker.layers
    images = pictures().numpy()
    model = maker.Sequential(
        [maker.Input((7, 9, 3)), getattr(of, name)(**arguments), of.GlobalAveragePooling2D(), of.Dense(2)]
    )
    model.save(tmp_path / "model.keras")
    again = reader.saving.load_model(tmp_path / "model.keras")
    found, expected = again.predict(images, verbose=0), model.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("maker", ["here", "there"])
def test_files_with_weights_in_a_pipeline_and_with_sound(maker, tmp_path):
    rooms = [uncrumple, keras] if maker == "here" else [keras, uncrumple]
    maker, reader = rooms
    images = pictures().numpy()
    scale = maker.layers.Normalization()
    scale.adapt(images)
    start = maker.Input((7, 9, 3))
    whole = maker.Model(start, maker.layers.Pipeline([maker.layers.Resizing(4, 4), scale])(start))
    mel = maker.layers.MelSpectrogram(fft_length=64, sequence_stride=32)
    stft = maker.layers.STFTSpectrogram(frame_length=32)
    for model, data in (
        (whole, images),
        (maker.Sequential([maker.Input((400,)), mel]), SOUND),
        (maker.Sequential([maker.Input((400, 1)), stft]), SOUND[..., None]),
    ):
        model.save(tmp_path / "model.keras")
        again = reader.saving.load_model(tmp_path / "model.keras")
        found, expected = again.predict(data, verbose=0), model.predict(data, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)
