"""What was prepared can be looked at again: pictures, texts, columns, windows; and pictures come in lists, too."""

import numpy as np
import pytest
from PIL import Image

from uncrumple.data import Images, Series, Table, Text


def test_pictures():
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    preparation = Images(x).preparation()
    np.testing.assert_allclose(preparation.restore(preparation.prepare(x)), x, atol=1e-3)


def test_texts():
    preparation = Text(["A fine day.", "a day"]).preparation()
    assert preparation.restore(preparation.prepare(["A day, new"])).tolist() == ["a day [UNK]"]
    language = Text(["abab" * 30], task="language", steps=4)
    preparation = language.preparation()
    assert preparation.restore(preparation.prepare(language.raw[:2])).tolist() == ["abab", "abab"]


def test_columns():
    columns = {
        "size": [1.0, None, 3.0, 4.0],
        "town": ["Bern", "Rome", "Bern", "Rome"],
        "day": ["2024-05-31", "2024-06-01", "2023-01-02", "2024-05-31"],
        "hour": ["2024-05-31 06:30", "2024-06-01 12:00", "2023-01-02 00:00", "2024-05-31 23:59"],
        "y": [1.5, 2.5, 3.5, 4.5],
    }
    table = Table(columns, target="y")
    preparation = table.preparation()
    again = preparation.restore(preparation.prepare(table.raw))
    np.testing.assert_allclose(again["size"], [1.0, np.nan, 3.0, 4.0], rtol=1e-6)
    assert again["town"].tolist() == columns["town"] and again["day"].tolist() == columns["day"]
    assert again["hour"].tolist()[0].startswith("2024-05-31 06:") and list(again) == list(columns)[:-1]


def test_windows():
    values = np.arange(12.0)
    values[5] = np.nan
    series = Series(values, past=3)
    preparation = series.preparation()
    np.testing.assert_allclose(preparation.restore(preparation.prepare(series.raw)), series.raw, atol=1e-5)


def test_lists_of_pictures_of_any_size_and_mode():
    pictures = [
        Image.new("RGB", (10, 6), (200, 100, 0)),
        Image.new("CMYK", (20, 20)),
        Image.new("P", (4, 9)),
        Image.new("RGBA", (5, 5), (0, 0, 0, 0)),
        np.full((7, 3), 50, np.uint8),
        np.full((7, 3, 1), 51, np.uint8),
        np.full((2, 2, 4), 255, np.uint8),
        np.full((3, 3), 0x8000, np.uint16),
        np.ones((3, 3), bool),
    ]
    found = Images(pictures, list("aabbaabbb"), size=(4, 4))
    assert found.shape == (9, 4, 4, 3) and found.raw.dtype == np.uint8 and found.files is None
    assert found.raw[:, 0, 0].tolist() == [
        [200, 100, 0], [255, 255, 255], [0, 0, 0], [255] * 3, [50] * 3, [51] * 3, [255] * 3, [128] * 3, [255] * 3,
    ]  # fmt: skip
    assert "Pictures from 3 x 3 to" not in found.notes  # the size was said
    assert found.take([4]).raw[0, 0, 0, 0] == 50 and found.picture(0).size == (4, 4)
    preparation = found.preparation()
    assert preparation.read([Image.new("L", (30, 8), 9)]).shape == (1, 4, 4, 3)
    assert preparation.read(Image.new("L", (30, 8), 9))[0, 0, 0].tolist() == [9, 9, 9]
    with pytest.raises(ValueError, match=r"float64 values of shape \(3, 4\) as picture 1 of a list"):
        Images([np.zeros((2, 2), np.uint8), np.zeros((3, 4))])


def test_video():
    random = np.random.default_rng(0)
    video = Images(random.integers(0, 256, (6, 5, 8, 10, 3)).astype(np.uint8), [0, 1] * 3)
    assert video.shape_in_words() == "(6, 5, 8, 10, 3): samples, frames, height, width, channels"
    preparation = video.preparation()
    assert preparation.prepare(video.raw).shape == (6, 5, 8, 10, 3) and preparation.inputs().shape == (
        None,
        5,
        8,
        10,
        3,
    )
    assert video.picture(0, frame=4).size == (10, 8) and video.matrix(preparation).shape == (6, 1200)
    np.testing.assert_array_equal(np.asarray(video.picture(1, frame=2)), video.raw[1, 2])
