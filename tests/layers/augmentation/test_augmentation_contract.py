"""What every layer that changes images must do. A new one joins with a line in `CASES`."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers as L
from uncrumple.layers import augmentation
from uncrumple.layers.augmentation.base import BaseImagePreprocessingLayer

# (class, arguments)
CASES = [
    (L.AugMix, {}),
    (L.AutoContrast, {}),
    (L.CenterCrop, {"height": 4, "width": 5}),
    (L.ContrastLimitedAdaptiveHistogramEqualization, {"tile_grid_size": (2, 2)}),
    (L.CutMix, {}),
    (L.Equalization, {}),
    (L.MixUp, {}),
    (L.RandAugment, {}),
    (L.RandomBrightness, {"factor": 0.3}),
    (L.RandomColorDegeneration, {"factor": 0.5}),
    (L.RandomColorJitter, dict.fromkeys(("brightness_factor", "contrast_factor", "hue_factor"), 0.3)),
    (L.RandomContrast, {"factor": 0.5}),
    (L.RandomCrop, {"height": 4, "width": 5}),
    (L.RandomCrop, {"height": 12, "width": 5}),
    (L.RandomElasticTransform, {}),
    (L.RandomErasing, {}),
    (L.RandomFlip, {}),
    (L.RandomGaussianBlur, {"sigma": (0.8, 1.0)}),
    (L.RandomGrayscale, {}),
    (L.RandomHue, {"factor": 0.5}),
    (L.RandomInvert, {"factor": 0.5}),
    (L.RandomPerspective, {"scale": 0.3}),
    (L.RandomPosterization, {"factor": (2, 6)}),
    (L.RandomRotation, {"factor": 0.2}),
    (L.RandomSaturation, {"factor": (0.3, 0.7)}),
    (L.RandomSharpness, {"factor": 0.7}),
    (L.RandomShear, {"x_factor": 0.3}),
    (L.RandomTranslation, {"height_factor": 0.3, "width_factor": 0.3}),
    (L.RandomZoom, {"height_factor": 0.3}),
    (L.Resizing, {"height": 4, "width": 12}),
    (L.Solarization, {"threshold_factor": 0.7}),
]
# What changes nothing outside training, and is random in training.
SAME = (L.AutoContrast, L.CenterCrop, L.ContrastLimitedAdaptiveHistogramEqualization, L.Resizing)
RANDOM = [one for one in CASES if one[0] not in (*SAME, L.Equalization)]
ELSEWHERE = {"MaxNumBoundingBoxes", "MelSpectrogram", "Pipeline", "STFTSpectrogram"}

every = pytest.mark.parametrize(("cls", "arguments"), CASES, ids=lambda part: getattr(part, "__name__", None))
random_ones = pytest.mark.parametrize(("cls", "arguments"), RANDOM, ids=lambda part: getattr(part, "__name__", None))


def pictures(samples=8, seed=0):
    return torch.rand(samples, 8, 10, 3, generator=torch.Generator().manual_seed(seed)) * 255


def seeded(cls, arguments):
    return {**arguments, "seed": 7} if (cls, arguments) in RANDOM else arguments


def test_every_layer_has_a_case():
    assert {cls.__name__ for cls, _ in CASES} | ELSEWHERE == set(augmentation.__all__)


@every
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_shapes_without_data_are_those_of_a_run(cls, arguments, data_format):
    layer = cls(**arguments, data_format=data_format)
    images = pictures() if data_format == "channels_last" else pictures().movedim(-1, 1)
    symbol = layer(L.Input(tuple(images.shape[1:])))
    for training in (True, False):
        found = layer(images, training=training)
        assert symbol.shape == (None, *found.shape[1:])
        assert symbol.dtype == found.dtype
        assert layer(images[0], training=training).shape == found.shape[1:]
    assert layer.compute_output_shape(tuple(images.shape)) == tuple(found.shape)
    meta = layer(images.to("meta"), training=True)
    assert meta.is_meta and meta.shape == found.shape


@random_ones
def test_the_same_seed_gives_the_same_numbers_and_the_next_call_others(cls, arguments):
    layer, other = cls(**arguments, seed=7), cls(**arguments, seed=7)
    first, second = layer(pictures()), layer(pictures())
    torch.testing.assert_close(other(pictures()), first, rtol=0, atol=0)
    torch.testing.assert_close(other(pictures()), second, rtol=0, atol=0)
    found = [layer(pictures()) for _ in range(12)]
    if cls is L.RandomCrop and arguments["height"] > 8:
        return  # there is only one place for it
    assert any(not one.equal(found[0]) for one in found[1:])


@random_ones
def test_global_seed(cls, arguments):
    found = []
    for _ in range(2):
        uc.utils.set_random_seed(3)
        found.append(cls(**arguments)(pictures()))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@random_ones
def test_images_get_numbers_of_their_own(cls, arguments):
    if cls in (L.AugMix, L.RandAugment, L.RandomCrop):
        return  # once for a batch
    one = pictures(1).expand(64, -1, -1, -1)
    found = cls(**arguments, seed=1)(one)
    if cls in (L.MixUp, L.CutMix):
        return  # equal images, mixed, stay equal
    assert any(not image.equal(found[0]) for image in found[1:])


@every
def test_channels_first_is_channels_last(cls, arguments):
    last = cls(**seeded(cls, arguments))
    first = cls(**seeded(cls, arguments), data_format="channels_first")
    for training in (True, False):
        expected = last(pictures(), training=training)
        found = first(pictures().movedim(-1, 1), training=training).movedim(1, -1)
        if cls is L.RandomErasing and training:  # its noise comes in the order of the numbers
            assert found.shape == expected.shape
            continue
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)


@every
def test_config_and_copies(cls, arguments):
    layer = cls(**seeded(cls, arguments), bounding_box_format="yxyx", name="mine")
    again = cls.from_config(copy.deepcopy(layer.get_config()))
    assert again.get_config() == layer.get_config()
    assert (again.name, again.bounding_box_format) == ("mine", "yxyx")
    for other in (again, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        fresh = cls.from_config(layer.get_config())
        torch.testing.assert_close(other(pictures()), fresh(pictures()), rtol=0, atol=0)


@every
@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_types(cls, arguments, dtype):
    layer = cls(**arguments, dtype=dtype)
    found = layer(pictures().numpy(), training=True)
    assert found.dtype is layer._compute_in
    assert bool(found.isfinite().all())


@every
def test_nothing_in_nothing_out(cls, arguments):
    layer = cls(**arguments)
    for training in (True, False):
        found = layer(pictures()[:0], training=training)
        assert found.shape == (0, *layer(pictures(), training=training).shape[1:])


@every
def test_outside_training_nothing_is_random(cls, arguments):
    layer = cls(**arguments)
    found = layer(pictures(), training=False)
    torch.testing.assert_close(layer(pictures(), training=False), found, rtol=0, atol=0)
    if cls not in (*SAME, L.RandomCrop):
        torch.testing.assert_close(found, pictures(), rtol=0, atol=0)
    torch.testing.assert_close(layer(pictures()[:1], training=False), found[:1], rtol=0, atol=1e-3)


@every
def test_values_stay_in_their_range(cls, arguments):
    images = pictures()
    images[:2] = 255.0
    images[2:4] = 0.0
    for seed in range(3):
        uc.utils.set_random_seed(seed)
        found = cls(**arguments)(images)
        if cls is L.RandomSaturation:
            continue  # its saturations are cut off at 255, as Keras's are, and not at 1
        assert float(found.min()) >= -1e-3 and float(found.max()) <= 255.001


@every
def test_what_was_given_stays(cls, arguments):
    images = pictures()
    cls(**arguments)(images)
    assert images.equal(pictures())


@every
def test_the_wrong_number_of_axes(cls, arguments):
    layer = cls(**arguments, name="mine")
    with pytest.raises(ValueError) as caught:
        layer(torch.zeros(8, 10))
    assert str(caught.value).startswith(f"{cls.__name__} 'mine' got a tensor of shape (8, 10).\n")


@every
def test_gradients_reach_the_images(cls, arguments):
    images = pictures().requires_grad_()
    found = cls(**seeded(cls, arguments))(images)
    if cls in (L.Equalization, L.ContrastLimitedAdaptiveHistogramEqualization, L.RandomPosterization):
        return  # steps
    found.sum().backward()
    assert bool(images.grad.isfinite().all())


@every
def test_in_a_model(cls, arguments):
    """Shapes are known beforehand; `fit` runs; and `predict` is not random."""
    shape = cls(**arguments).compute_output_shape((2, 8, 10, 3))
    model = uc.Sequential([uc.Input((8, 10, 3)), cls(**arguments), L.Flatten(), L.Dense(2, activation="softmax")])
    assert model.layers[-1].kernel.shape[0] == int(np.prod(shape[1:]))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = (pictures() / 255).numpy(), np.arange(8) % 2
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), found, rtol=0, atol=0)


def test_called_by_itself_it_acts_and_in_a_model_it_goes_by_the_model():
    layer = L.RandomInvert((1.0, 1.0))
    images = pictures()

    class Own(uc.Model):
        def __init__(self):
            super().__init__()
            self.change = layer

        def call(self, inputs):
            return self.change(inputs)

    model = Own()
    assert layer(images).equal(255 - images)
    assert layer(images, training=False).equal(images)
    assert model(images, training=True).equal(255 - images)
    assert model(images, training=False).equal(images)
    np.testing.assert_allclose(model.predict(images, verbose=0), images.numpy())


def test_a_layer_of_ones_own():
    class Shift(BaseImagePreprocessingLayer):
        def get_random_transformation(self, data, training=True, seed=None):
            return {"by": 5.0}

        def transform_images(self, images, transformation, training=True):
            return images + transformation["by"] if training else images

    layer = Shift()
    found = layer({"images": pictures(), "labels": torch.arange(8)})
    torch.testing.assert_close(found["images"], pictures() + 5)
    assert found["labels"].tolist() == list(range(8))
    with pytest.raises(NotImplementedError) as caught:
        layer.transform_bounding_boxes({}, None)
    assert str(caught.value) == (
        "Shift got bounding boxes.\n"
        "Expected none: it is not known how they change with the images.\n"
        "Fix: leave them out, or override transform_bounding_boxes() in a class of your own"
    )
