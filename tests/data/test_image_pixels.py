"""The pixels of a Pillow image, shown to NumPy where they are."""

import gc
import io

import numpy as np
import pytest
from PIL import Image

from uncrumple.data.images import pixels


def picture(height, width, channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3), ("RGBA", 4)])
@pytest.mark.parametrize("size", [(1, 1), (33, 17), (320, 240)])
def test_pixels_are_those_of_the_image(mode, channels, size):
    values = picture(size[1], size[0], channels)
    image = Image.fromarray(values[..., 0] if channels == 1 else values, mode)
    found = pixels(image)
    assert found.shape == values.shape and found.dtype == np.uint8
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF"])
def test_pixels_outlive_the_image(format):
    content = io.BytesIO()
    Image.fromarray(picture(50, 40, 3)).convert("RGB").save(content, format)
    image = Image.open(content)
    image = image.convert("RGB") if image.mode != "RGB" else image
    image.load()
    wanted, found = np.array(image), pixels(image)
    image.close()
    del image
    gc.collect()
    others = [Image.new("RGB", (40, 50), "white") for _ in range(50)]  # would lie where the image was
    np.testing.assert_array_equal(found, wanted)
    assert len(others) == 50


def test_an_image_in_several_pieces_is_copied():
    values = picture(3000, 2000, 3)  # over Pillow's 16 MB for a piece
    np.testing.assert_array_equal(pixels(Image.fromarray(values)), values)


def test_a_pillow_that_shows_nothing():
    class Older:
        def __init__(self, values):
            self.__array_interface__ = values.__array_interface__

    values = picture(4, 5, 1)
    np.testing.assert_array_equal(pixels(Older(values[..., 0])), values)
