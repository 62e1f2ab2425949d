"""Pictures in another size by the native kernel: as NumPy makes them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncrumple.data import resizing
from uncrumple.kernels import native

NEAR = {"rtol": 0, "atol": 1e-4}  # several roundings of numbers below 256


def by_numpy(picture, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "available", lambda: False)
        return resizing.resized(np.ascontiguousarray(picture), size)


def picture(height, width, room, channels, seed=0):
    """Return a picture whose pixels are `room` bytes apart."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, room), np.uint8)
    return values[..., :channels]


@pytest.mark.parametrize("room, channels", [(1, 1), (3, 3), (4, 3), (4, 4), (4, 2), (7, 3)])
@pytest.mark.parametrize("size", [(1, 1), (7, 12), (33, 47), (5, 200), (64, 3)])
def test_the_kernel_agrees_with_numpy(instruction_set, room, channels, size):
    given_picture = picture(21, 34, room, channels)
    made = resizing.resized(given_picture, size)
    assert made.dtype == np.float32 and made.shape == (*size, channels)
    np.testing.assert_allclose(made, by_numpy(given_picture, size), **NEAR)


@settings(max_examples=60)
@given(st.data())
def test_any_size_and_any_part_of_a_picture(data):
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    whole = picture(height, width, data.draw(st.sampled_from([3, 4])), 3, seed=height * 50 + width)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    part = whole[top:, left:]
    if data.draw(st.booleans()):
        part = part[::-1]
    size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    np.testing.assert_allclose(resizing.resized(part, size), by_numpy(part, size), **NEAR)


@pytest.mark.parametrize("turned", [lambda x: x[:, ::2], lambda x: x[:, ::-1], lambda x: x[..., ::-1]])
def test_pictures_whose_bytes_lie_otherwise(turned):
    strange = turned(picture(9, 11, 3, 3))
    np.testing.assert_allclose(resizing.resized(strange, (6, 5)), by_numpy(strange, (6, 5)), **NEAR)
