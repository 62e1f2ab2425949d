"""Writes data_sets.npz: what Keras's data sets hand out on TensorFlow, which its directory functions need.

    python tests/golden/make_data_sets.py     (with keras 3.15.1, tensorflow 2 and pillow installed)

`folder_of_images` and `folder_of_sounds` are used by the tests too.
"""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import numpy as np

METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
SIZES = ((4, 5), (8, 10), (11, 6))
SERIES = {
    "plain": {"sequence_length": 4},
    "strided": {"sequence_length": 3, "sequence_stride": 2, "sampling_rate": 3, "batch_size": 3},
    "part": {"sequence_length": 3, "start_index": 4, "end_index": 17, "batch_size": 4},
}


def picture() -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (8, 10, 3)).astype("uint8")


def folder_of_images(folder: Path) -> Path:
    """Write PNG files of different sizes and kinds of pixels, in two classes."""
    from PIL import Image

    random = np.random.RandomState(1)
    kinds = {"rgb": (3, "uint8"), "rgba": (4, "uint8"), "gray": (0, "uint8"), "sixteen": (0, "uint16")}
    for number, (name, (channels, dtype)) in enumerate(kinds.items()):
        where = folder / ("cats" if number % 2 else "dogs")
        where.mkdir(exist_ok=True)
        shape = (6 + number, 9 - number) + ((channels,) if channels else ())
        Image.fromarray(random.randint(0, np.iinfo(dtype).max + 1, shape).astype(dtype)).save(where / f"{name}.png")
    return folder


def folder_of_sounds(folder: Path) -> Path:
    """Write .wav files of 16 bits, of different lengths."""
    random = np.random.RandomState(2)
    for name, length, channels in (("a/1.wav", 5, 1), ("a/2.wav", 9, 1), ("b/3.wav", 7, 1)):
        (folder / name).parent.mkdir(exist_ok=True)
        samples = random.randint(-32768, 32768, (length, channels)).astype("<i2").tobytes()
        head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, channels, 8000,
                           16000 * channels, 2 * channels, 16)  # fmt: skip
        (folder / name).write_bytes(head + struct.pack("<4sI", b"data", len(samples)) + samples)
    return folder


def main() -> None:
    import keras
    import tensorflow as tf

    found = {}
    for method in METHODS:
        for size in SIZES:
            found[f"resize/{method}/{size[0]}x{size[1]}"] = tf.image.resize(picture(), size, method=method).numpy()
        found[f"resize/{method}/pad"] = tf.image.resize_with_pad(picture(), 7, 12, method=method).numpy()
    with tempfile.TemporaryDirectory() as folder:
        folder_of_images(Path(folder))
        for mode in ("rgb", "rgba", "grayscale"):
            for fit in ("squeeze", "crop_to_aspect_ratio", "pad_to_aspect_ratio"):
                more = {} if fit == "squeeze" else {fit: True}
                data = keras.utils.image_dataset_from_directory(
                    folder, color_mode=mode, image_size=(4, 6), shuffle=False, label_mode="categorical", **more
                )
                x, y = next(iter(data))
                found[f"images/{mode}/{fit}"], found["images/labels"] = x.numpy(), y.numpy()
    with tempfile.TemporaryDirectory() as folder:
        folder_of_sounds(Path(folder))
        for length in (0, 6):
            data = keras.utils.audio_dataset_from_directory(
                folder, shuffle=False, label_mode="binary", output_sequence_length=length or None
            )
            x, y = next(iter(data))
            found[f"sounds/{length}"], found["sounds/labels"] = x.numpy(), y.numpy()
    series = np.arange(40.0).reshape(20, 2)
    for name, settings in SERIES.items():
        for number, (x, y) in enumerate(
            keras.utils.timeseries_dataset_from_array(series, np.arange(100, 120), **settings)
        ):
            found[f"series/{name}/{number}/x"], found[f"series/{name}/{number}/y"] = x.numpy(), y.numpy()
    for name, settings in {
        "left": {"left_size": 0.4},
        "shuffled": {"right_size": 3, "shuffle": True, "seed": 5},
    }.items():
        halves = keras.utils.split_dataset(np.arange(10), **settings)
        for side, half in zip(("left", "right"), halves):
            found[f"split/{name}/{side}"] = np.array(list(half.as_numpy_iterator()))
    np.savez_compressed(Path(__file__).with_name("data_sets.npz"), **found)


if __name__ == "__main__":
    main()
