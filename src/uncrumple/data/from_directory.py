"""Data sets of image, text and sound files in folders, under Keras's names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data import folders
from uncrumple.data.elements import padded, stacked
from uncrumple.data.images import COLOR_MODES, BadImage, is_turned, loaded, opened, pixels, warn_of_turned
from uncrumple.data.resizing import checked_interpolation, cropped, resized, resized_with_margin
from uncrumple.ops.tensors import channels_last

__all__ = ["audio_dataset_from_directory", "image_dataset_from_directory", "text_dataset_from_directory"]

IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
# A file may be called .jpg and hold another of these, as many in the wild do.
_IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "GIF")


def _seed_for(seed: Any) -> int:
    """Return the seed, or one that `set_random_seed` decides."""
    return int(np.random.randint(int(1e6)) if seed is None else seed)


def _check_format(owner: str, format: Any) -> None:
    if format not in ("tf", "grain"):
        raise ValueError(f"{owner}: " + unknown_name("format", str(format), ("tf", "grain")))


# --- images ------------------------------------------------------------------------------------


@dataclass
class ImageReader:
    """Makes a float32 tensor of an image file."""

    mode: str
    size: tuple[int, int]
    interpolation: str
    crop: bool
    pad: bool
    last: bool
    said_turned: bool = False

    def __call__(self, path: str) -> torch.Tensor:
        with open(path, "rb") as file:
            image = opened(file, path, _IMAGE_FORMATS)
            if not self.said_turned and is_turned(image):
                self.said_turned = True
                warn_of_turned(path)
            found = pixels(loaded(image, path, self.mode))
        if self.pad:
            made = resized_with_margin(found, self.size, self.interpolation)
        else:
            made = resized(cropped(found, self.size) if self.crop else found, self.size, self.interpolation)
        made = made if self.last else made.transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(made, dtype=np.float32))


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Return a `Dataset` of the images in a folder that has a folder for each class.

    Images are read while training goes on, by one thread per core. Files end in
    .jpg, .jpeg, .png, .bmp or .gif (of which the first picture is taken).

    Args:
        directory: The folder.
        labels: `"inferred"` from the folders; a list with a whole number for each file, in the order
            of the sorted paths; or None.
        label_mode: `"int"` for int32 numbers, `"binary"` for rows of one 0.0 or 1.0, `"categorical"`
            for one-hot rows, None for images alone.
        class_names: The classes' folders in the order of their numbers; by default sorted.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
        batch_size: Images per batch; None for single images.
        image_size: (height, width) to have; one number for both.
        shuffle: Whether each epoch has a new random order; False sorts by path.
        seed: For the order and the division. The same files come in the same parts as with Keras.
        validation_split: Share of the files for validation, between 0 and 1.
        subset: With `validation_split`: `"training"`, `"validation"`, or `"both"` for a list of two.
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"area"`, `"lanczos3"`, `"lanczos5"`,
            `"gaussian"` or `"mitchellcubic"`; the numbers of `tf.image.resize`, without antialiasing.
        follow_links: Whether to look into folders that are links.
        crop_to_aspect_ratio: Whether to cut off what does not fit the new proportions, in place of squeezing.
        pad_to_aspect_ratio: Whether to fill up with black what is missing for the new proportions.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        format: `"tf"` or `"grain"`: what Keras builds on; here both are the same.
        verbose: Whether to print how many files there are.

    Returns:
        A `Dataset` of float32 tensors (batch, height, width, channels) with values from 0 to 255,
        and labels; it knows `class_names` and `file_paths`, and `without_bad_files()` returns one
        that leaves out what cannot be read.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No files, empty files, an impossible argument; while reading: an image that is
            damaged, none, or of more pixels than Pillow's limit, with its path.

    Warns:
        UncrumpleWarning: A class without files, a single class, or images that are stored turned.

    Example:
        >>> import pathlib, tempfile
        >>> from uncrumple.data.images import save_img
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("cat", "dog"):
        ...         (pathlib.Path(folder) / name).mkdir()
        ...         save_img(f"{folder}/{name}/1.png", np.zeros((5, 5, 3)))
        ...     data = image_dataset_from_directory(folder, image_size=(4, 4), verbose=False)
        ...     [x.shape for x, y in data], data.class_names
        ([torch.Size([2, 4, 4, 3])], ['cat', 'dog'])
    """
    owner = "image_dataset_from_directory"
    folders.check_arguments(owner, labels, label_mode, class_names, batch_size, validation_split, subset, shuffle, seed)
    _check_format(owner, format)
    if color_mode not in COLOR_MODES:
        raise ValueError(unknown_name("color_mode", str(color_mode), COLOR_MODES))
    if isinstance(image_size, (int, np.integer)):
        image_size = (image_size, image_size)
    if (
        not isinstance(image_size, (tuple, list))
        or len(image_size) != 2
        or not all(isinstance(length, (int, np.integer)) and length > 0 for length in image_size)
    ):
        raise ValueError(
            explain(
                f"{owner} got image_size={image_size!r}.", "Expected (height, width), above 0.", "image_size=(180, 180)"
            )
        )
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            explain(
                f"{owner} got crop_to_aspect_ratio and pad_to_aspect_ratio.",
                "Expected one of them.",
                "pad_to_aspect_ratio=True",
            )
        )
    reader = ImageReader(
        COLOR_MODES[color_mode],
        (int(image_size[0]), int(image_size[1])),
        checked_interpolation(interpolation),
        bool(crop_to_aspect_ratio),
        bool(pad_to_aspect_ratio),
        channels_last(data_format, owner),
    )
    label_mode = None if labels is None else label_mode
    labels = None if label_mode is None else labels
    seed = _seed_for(seed)
    found = folders.find(owner, directory, labels, IMAGE_ENDINGS, class_names, shuffle, seed, follow_links, verbose)
    recipe = folders.Recipe(reader, label_mode, batch_size, seed)
    return folders.datasets(owner, directory, found, recipe, shuffle, validation_split, subset)


# --- texts ---------------------------------------------------------------------------------------


@dataclass
class TextReader:
    """Returns the content of a text file."""

    max_length: int | None

    def __call__(self, path: str) -> str:
        with open(path, "rb") as file:
            # A character has at most 4 bytes.
            content = file.read() if self.max_length is None else file.read(4 * self.max_length + 4)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if self.max_length is None or error.start < len(content) - 4:
                raise ValueError(
                    explain(
                        f"{path} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}.",
                        "Expected text in UTF-8.",
                        f"text = open({path!r}, encoding='latin-1').read(), then write it with encoding='utf-8'",
                    )
                ) from None
            text = content[: error.start].decode("utf-8-sig")
        text = text.replace("\r\n", "\n") if "\r\n" in text else text
        return text if self.max_length is None else text[: self.max_length]


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Return a `Dataset` of the texts (.txt files in UTF-8) in a folder that has a folder for each class.

    Args:
        directory: The folder.
        labels, label_mode, class_names: As for `image_dataset_from_directory`.
        batch_size: Texts per batch; None for single texts.
        max_length: Characters to keep of each text; None keeps all.
        shuffle, seed, validation_split, subset, follow_links, format, verbose: As for
            `image_dataset_from_directory`.

    Returns:
        A `Dataset` of texts (`Text`, whose `numpy()` is an array of Python strings), and labels; it knows `class_names` and `file_paths`.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No files, empty files, an impossible argument; while reading: a file that is not
            UTF-8, with the place of the first byte that is not.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("bad", "good"):
        ...         (pathlib.Path(folder) / name).mkdir()
        ...         _ = (pathlib.Path(folder) / name / "1.txt").write_text(f"This was {name}.")
        ...     for x, y in text_dataset_from_directory(folder, shuffle=False, verbose=False):
        ...         print(x, y)
        Text(['This was bad.', 'This was good.']) tensor([0, 1], dtype=torch.int32)
    """
    owner = "text_dataset_from_directory"
    folders.check_arguments(owner, labels, label_mode, class_names, batch_size, validation_split, subset, shuffle, seed)
    _check_format(owner, format)
    _check_length(owner, "max_length", max_length)
    label_mode = None if labels is None else label_mode
    labels = None if label_mode is None else labels
    seed = _seed_for(seed)
    found = folders.find(owner, directory, labels, (".txt",), class_names, shuffle, seed, follow_links, verbose)
    recipe = folders.Recipe(TextReader(max_length), label_mode, batch_size, seed)
    return folders.datasets(owner, directory, found, recipe, shuffle, validation_split, subset)


def _check_length(owner: str, name: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
        raise ValueError(
            explain(
                f"{owner} got {name}={value!r}.", "Expected a whole number of at least 1, or None.", f"{name}=16000"
            )
        )


# --- sounds --------------------------------------------------------------------------------------


@dataclass
class SoundReader:
    """Makes a float32 tensor (samples, channels) with values from -1 to 1 of a .wav file."""

    sampling_rate: int | None
    length: int | None

    def __call__(self, path: str) -> torch.Tensor:
        import warnings

        from scipy.io import wavfile

        size = os.path.getsize(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of notes beside the sound
                rate, samples = wavfile.read(path)
        except Exception as error:  # scipy raises whatever it stumbles over
            said = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
            raise BadImage(
                explain(
                    f"{path} ({size} bytes) is no sound that can be read: {said}.",
                    "Expected a whole .wav file.",
                    "get the file anew, or remove it",
                )
            ) from None
        x = samples[:, None] if samples.ndim == 1 else samples
        if x.dtype == np.uint8:
            x = (x.astype(np.float32) - 128) / 128
        elif x.dtype.kind == "i":
            x = (x / 2 ** (8 * x.dtype.itemsize - 1)).astype(np.float32)
        if self.length is not None:
            x = x[: self.length]
            x = (
                np.concatenate([x, np.zeros((self.length - len(x), x.shape[1]), x.dtype)])
                if len(x) < self.length
                else x
            )
        if self.sampling_rate is not None and self.sampling_rate != rate and len(x):
            from scipy.signal import resample_poly

            shared = gcd(self.sampling_rate, rate)
            x = resample_poly(x, self.sampling_rate // shared, rate // shared, axis=0)
        return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))


def _ragged(some: list[Any]) -> Any:
    """Return sounds of different lengths as one nested tensor, and their labels."""

    def join(sounds: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.nested_tensor(sounds, layout=torch.jagged)

    if isinstance(some[0], tuple):
        return join([sound for sound, _ in some]), stacked([label for _, label in some])
    return join(some)


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Return a `Dataset` of the sounds (.wav files) in a folder that has a folder for each class.

    Args:
        directory: The folder.
        labels, label_mode, class_names: As for `image_dataset_from_directory`.
        batch_size: Sounds per batch; None for single sounds.
        sampling_rate: Samples per second to have; None leaves them as they are.
        output_sequence_length: Samples to have, before the rate is changed: longer sounds are cut,
            shorter ones filled up with zeros. None fills up to the longest of a batch.
        ragged: Whether batches are nested tensors of sounds of their own lengths.
        shuffle, seed, validation_split, subset, follow_links, verbose: As for `image_dataset_from_directory`.

    Returns:
        A `Dataset` of float32 tensors (batch, samples, channels) with values from -1 to 1, and
        labels; it knows `class_names` and `file_paths`. With `subset="both"`, a tuple of two.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No files, empty files, an impossible argument; while reading: a damaged file.

    Example:
        >>> import pathlib, tempfile
        >>> from scipy.io import wavfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("high", "low"):
        ...         (pathlib.Path(folder) / name).mkdir()
        ...         wavfile.write(f"{folder}/{name}/1.wav", 8000, np.zeros(100, "int16"))
        ...     data = audio_dataset_from_directory(folder, verbose=False)
        ...     [x.shape for x, y in data]
        [torch.Size([2, 100, 1])]
    """
    owner = "audio_dataset_from_directory"
    folders.check_arguments(owner, labels, label_mode, class_names, batch_size, validation_split, subset, shuffle, seed)
    _check_length(owner, "sampling_rate", sampling_rate)
    _check_length(owner, "output_sequence_length", output_sequence_length)
    if ragged and output_sequence_length is not None:
        raise ValueError(
            explain(
                f"{owner} got ragged=True and output_sequence_length={output_sequence_length}.",
                "Expected one of them: sounds of one length are not ragged.",
                "ragged=False",
            )
        )
    label_mode = None if labels is None else label_mode
    labels = None if label_mode is None else labels
    seed = _seed_for(seed)
    found = folders.find(owner, directory, labels, (".wav",), class_names, shuffle, seed, follow_links, verbose)
    join = _ragged if ragged else padded if output_sequence_length is None else stacked
    recipe = folders.Recipe(SoundReader(sampling_rate, output_sequence_length), label_mode, batch_size, seed, join)
    made = folders.datasets(owner, directory, found, recipe, shuffle, validation_split, subset)
    return tuple(made) if isinstance(made, list) else made
