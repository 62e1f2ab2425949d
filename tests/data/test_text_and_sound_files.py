"""Texts, sounds, stretches of series and halves of data sets: Keras's values, and what is said of bad files."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from raised import message
from uncrumple.core.text import Text
from uncrumple.data import Dataset
from uncrumple.utils import (
    audio_dataset_from_directory,
    split_dataset,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import make_data_sets as golden  # noqa: E402

VALUES = np.load(GOLDEN / "data_sets.npz")


# --- texts ------------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path):
    for name, text in {"neg/1.txt": "bäd", "neg/2.txt": "worse\r\nstill", "pos/1.txt": "\ufeffgood"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def test_texts_are_read_as_strings(texts):
    data = text_dataset_from_directory(texts, shuffle=False, verbose=False)
    ((x, y),) = data
    assert isinstance(x, Text) and x.tolist() == ["bäd", "worse\nstill", "good"] and y.tolist() == [0, 0, 1]
    assert data.class_names == ["neg", "pos"]
    short = text_dataset_from_directory(texts, shuffle=False, verbose=False, max_length=2, label_mode=None)
    assert next(iter(short)).tolist() == ["bä", "wo", "go"]
    single = text_dataset_from_directory(texts, shuffle=False, verbose=False, batch_size=None)
    assert next(iter(single))[0] == "bäd"
    assert next(text for text, _ in single.map(lambda x, y: (x.upper(), y))) == "BÄD"


def test_text_that_is_not_utf8_is_named(texts):
    path = texts / "neg" / "2.txt"
    path.write_bytes("naïve".encode("latin-1"))
    with pytest.raises(ValueError) as raised:
        list(text_dataset_from_directory(texts, verbose=False))
    assert message(raised) == (
        f"{path} is not UTF-8: byte 2 is 0xef.\n"
        "Expected text in UTF-8.\n"
        f"Fix: text = open({str(path)!r}, encoding='latin-1').read(), then write it with encoding='utf-8'"
    )


def test_a_character_that_is_cut_in_two_is_left_out(texts):
    """Reading stops after so many bytes, which may be within a character."""
    (texts / "neg" / "1.txt").write_bytes(("€" * 50).encode())
    data = text_dataset_from_directory(texts, verbose=False, shuffle=False, max_length=4, label_mode=None)
    assert next(iter(data)).tolist()[0] == "€€€€"


# --- sounds ------------------------------------------------------------------------------------


def read(folder, **settings):
    return audio_dataset_from_directory(folder, **{"verbose": False, "shuffle": False, **settings})


@pytest.mark.parametrize("length", [0, 6])
def test_sounds_are_those_of_keras(tmp_path, length):
    golden.folder_of_sounds(tmp_path)
    ((x, y),) = read(tmp_path, label_mode="binary", output_sequence_length=length or None)
    np.testing.assert_allclose(x.numpy(), VALUES[f"sounds/{length}"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(y.numpy(), VALUES["sounds/labels"])


def test_sounds_of_their_own_lengths(tmp_path):
    golden.folder_of_sounds(tmp_path)
    ((x, y),) = read(tmp_path, ragged=True)
    assert x.is_nested and [len(sound) for sound in x.unbind()] == [5, 9, 7] and y.tolist() == [0, 0, 1]
    both = read(tmp_path, validation_split=0.4, subset="both", seed=0)
    assert isinstance(both, tuple) and [len(one.file_paths) for one in both] == [2, 1]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_kinds_of_samples_and_rates(tmp_path, dtype):
    (tmp_path / "a").mkdir()
    wave = np.sin(np.arange(800) / 8000 * 2 * np.pi * 200)
    scaled = {"uint8": 127 * wave + 128, "int16": 32767 * wave, "int32": (2**31 - 1) * wave, "float32": wave}[dtype]
    wavfile.write(tmp_path / "a" / "1.wav", 8000, scaled.astype(dtype))
    x = next(iter(read(tmp_path, labels=None)))
    np.testing.assert_allclose(x[0, :, 0].numpy(), wave, atol=0.02)
    faster = next(iter(read(tmp_path, labels=None, sampling_rate=16000)))
    assert faster.shape == (1, 1600, 1)
    middle = slice(200, -200)  # the ends ring
    np.testing.assert_allclose(
        faster[0, middle, 0], np.sin(np.arange(1600) / 16000 * 2 * np.pi * 200)[middle], atol=0.02
    )


def test_damaged_sounds_are_named(tmp_path):
    golden.folder_of_sounds(tmp_path)
    path = tmp_path / "a" / "2.wav"
    path.write_bytes(b"RIFFnot a sound at all")
    with pytest.raises(ValueError, match="is no sound that can be read") as raised:
        list(read(tmp_path))
    assert message(raised).startswith(str(path)) and message(raised).endswith("Fix: get the file anew, or remove it")
    with pytest.raises(ValueError, match="got ragged=True and output_sequence_length=3"):
        read(tmp_path, ragged=True, output_sequence_length=3)


# --- series ------------------------------------------------------------------------------------


SERIES = np.arange(40.0).reshape(20, 2)


@pytest.mark.parametrize("name", golden.SERIES)
def test_stretches_are_those_of_keras(name):
    data = timeseries_dataset_from_array(SERIES, np.arange(100, 120), **golden.SERIES[name])
    batches = list(data)
    assert len(batches) == len(data) == sum(key.startswith(f"series/{name}/") for key in VALUES.files) // 2
    for number, (x, y) in enumerate(batches):
        np.testing.assert_array_equal(x.numpy(), VALUES[f"series/{name}/{number}/x"])
        np.testing.assert_array_equal(y.numpy(), VALUES[f"series/{name}/{number}/y"])


def test_stretches_shuffled_single_and_without_targets():
    data = timeseries_dataset_from_array(np.arange(30), None, 5, shuffle=True, seed=1, batch_size=None)
    rounds = [[int(x[0]) for x in data] for _ in range(2)]
    assert rounds[0] != rounds[1] and all(sorted(one) == list(range(26)) for one in rounds)
    assert next(iter(data)).shape == (5,)


@pytest.mark.parametrize(("settings", "words"), [
    ({"sequence_length": 21}, "timeseries_dataset_from_array got 20 steps for stretches of 21 steps, 1 apart.\nExpected at least 21 steps, and a target.\nFix: a smaller sequence_length, or a longer series"),
    ({"sequence_stride": 0}, "timeseries_dataset_from_array got sequence_stride=0.\nExpected a whole number of at least 1.\nFix: sequence_stride=1"),
    ({"sampling_rate": 20}, "timeseries_dataset_from_array got sampling_rate=20 for 20 steps.\nExpected sampling_rate < 20.\nFix: sampling_rate=1"),
    ({"start_index": 9, "end_index": 5}, "timeseries_dataset_from_array got start_index=9 and end_index=5.\nExpected start_index < end_index.\nFix: end_index=12"),
    ({"end_index": 20}, "timeseries_dataset_from_array got end_index=20 for 20 steps.\nExpected end_index < 20.\nFix: leave out end_index"),
    ({"format": "torch"}, "timeseries_dataset_from_array: Unknown format: 'torch'.\nExpected one of: grain, tf.\nFix: use one of these names"),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")  # fmt: skip
def test_impossible_stretches(settings, words):
    with pytest.raises(ValueError) as raised:
        timeseries_dataset_from_array(SERIES, None, **{"sequence_length": 3, **settings})
    assert message(raised) == words


# --- halves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"), [("left", {"left_size": 0.4}), ("shuffled", {"right_size": 3, "shuffle": True, "seed": 5})]
)
def test_halves_are_those_of_keras_on_tensorflow(name, settings):
    for side, half in zip(("left", "right"), split_dataset(np.arange(10), **settings)):
        assert [int(x) for x in half] == VALUES[f"split/{name}/{side}"].tolist() and len(half) > 0


def test_halves_of_every_kind_of_data():
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    left, right = split_dataset((x, y), left_size=4)
    assert [int(b) for a, b in left] == [0, 1, 2, 3] and [a.tolist() for a, b in right] == [[8, 9], [10, 11]]
    left, right = split_dataset(Dataset.range(10).batch(3), right_size=0.2)
    assert [batch.tolist() for batch in left] == [[0, 1, 2], [3, 4, 5], [6, 7]] and len(list(right)) == 1
    left, right = split_dataset(Dataset.range(4).filter(lambda x: x > 0), left_size=1, right_size=1)
    assert [int(v) for v in left] == [1] and [int(v) for v in right] == [3]
    left, right = split_dataset(torch.utils.data.TensorDataset(torch.arange(5)), left_size=2)
    assert isinstance(left, torch.utils.data.Subset) and [int(v) for (v,) in right] == [2, 3, 4]


@pytest.mark.parametrize(("settings", "words"), [
    ({}, "split_dataset got neither left_size nor right_size."),
    ({"left_size": 1.5}, "split_dataset got left_size=1.5 for 10 samples.\nExpected 0 < share < 1."),
    ({"left_size": 10}, "split_dataset got left_size=10 for 10 samples.\nExpected a number from 1 to 9."),
    ({"left_size": 0.8, "right_size": 0.4}, "split_dataset got left_size=0.8 and right_size=0.4 for 10 samples.\nExpected no more than there are."),
    ({"left_size": 0.01}, "split_dataset got left_size=0.01 and right_size=None for 10 samples.\nExpected a sample in each half at least."),
    ({"left_size": "half"}, "split_dataset got left_size='half'."),
    ({"left_size": 2, "preferred_backend": "jax"}, "split_dataset got preferred_backend='jax'."),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")  # fmt: skip
def test_impossible_halves(settings, words):
    with pytest.raises((ValueError, TypeError)) as raised:
        split_dataset(np.arange(10), **settings)
    assert message(raised).startswith(words)
    with pytest.raises(TypeError, match="split_dataset got a int"):
        split_dataset(3, left_size=1)
