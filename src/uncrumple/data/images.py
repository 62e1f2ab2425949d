"""Image files and arrays: read, written, and turned into each other.

Files come from anywhere, so only formats that are common are opened, a
picture may not have more pixels than Pillow's limit, and an error names the
file. Pillow is imported when the first image is.
"""

from __future__ import annotations

import ctypes
import io
import os
import pathlib
from typing import Any

import numpy as np
import torch

from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain, unknown_name, warn
from uncrumple.ops.image import resize
from uncrumple.ops.tensors import channels_last

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

# What is opened, whatever the file is called. Formats that few use have decoders that few have looked at.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
COLOR_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_PIL_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
# How files begin that are no images, or none of these.
_BEGINNINGS = (
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<", "a page of HTML or XML, as servers send in place of a file that they do not have"),
    (b"version https://git-lfs", "a pointer of git-lfs: `git lfs pull` fetches the file itself"),
)
_ORIENTATION = 0x0112  # the number of this entry in an image's EXIF data


class BadImage(ValueError):
    """A file that is not an image that can be read."""


# What is shown to the user is the standard type.
BadImage.__name__ = BadImage.__qualname__ = "ValueError"
BadImage.__module__ = "builtins"


def opened(file: Any, name: str, formats: tuple[str, ...] = FORMATS) -> Any:
    """Return a Pillow image whose header has been read, and whose size is within Pillow's limit.

    Args:
        file: An open binary file.
        name: What it is called, for messages.
        formats: Which formats to look for.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        raise BadImage(_not_an_image(file, name, formats)) from None
    except Image.DecompressionBombError as error:
        raise BadImage(_too_large(name, str(error).split(",")[0])) from None
    except Exception as error:  # decoders raise whatever they stumble over
        raise BadImage(_broken(name, error)) from None
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise BadImage(_too_large(name, f"{image.width} x {image.height} pixels"))
    return image


def loaded(image: Any, name: str, mode: str) -> Any:
    """Return a Pillow image with its pixels decoded, in another mode: "L", "RGB" or "RGBA"."""
    try:
        if image.mode == mode:
            image.load()
            return image
        if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
            # Pillow would make everything above 255 white. The upper half of the 16 bits is the picture.
            from PIL import Image

            image = Image.fromarray((np.asarray(image).astype(np.int32) >> 8).astype(np.uint8))
        elif image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
            image = image.convert("RGBA")  # keeps what is transparent, where the mode can say so
        return image.convert(mode)
    except Exception as error:
        raise BadImage(_broken(name, error)) from None


class _ArrowArray(ctypes.Structure):
    """Memory as the Arrow C data interface describes it: https://arrow.apache.org/docs/format/CDataInterface.html."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _InPlace:
    """Shows NumPy the pixels of a Pillow image where they are, and keeps them there as long as it is needed."""

    def __init__(self, image: Any) -> None:
        _, self._capsule = image.__arrow_c_array__()
        array = _ArrowArray.from_address(_capsule_pointer(self._capsule, b"arrow_array"))
        bytes_each = 1
        if array.n_children:  # a list of four bytes for each pixel, whether the mode has three colours or four
            bytes_each, array = 4, array.children[0].contents
        where = array.buffers[1]
        if not where or array.offset or array.length != image.width * image.height * bytes_each:
            raise ValueError("the pixels lie in another way")
        self.__array_interface__ = {
            "data": (where, True),
            "shape": (image.height, image.width, len(image.getbands())),
            "strides": (image.width * bytes_each, bytes_each, 1),
            "typestr": "|u1",
            "version": 3,
        }


def pixels(image: Any) -> np.ndarray:
    """Return the pixels of a decoded Pillow image of mode L, RGB or RGBA: uint8, (height, width, channels).

    They are not to be written to: where Pillow shows them, they are its own, without a copy.
    """
    try:
        return np.asarray(_InPlace(image))
    except (AttributeError, ValueError):  # an older Pillow; or a picture so large that it is in several pieces
        found = np.asarray(image)
        return found if found.ndim == 3 else found[:, :, None]


def is_turned(image: Any) -> bool:
    """Return whether the image's EXIF data say that it is to be shown turned or mirrored."""
    if "exif" not in image.info:
        return False
    try:
        return image.getexif().get(_ORIENTATION, 1) not in (0, 1)
    except Exception:  # data that cannot be read say nothing
        return False


def warn_of_turned(name: str) -> None:
    """Warn of an image that is shown otherwise than it is stored."""
    warn(
        f"{name}: its EXIF data say that it is to be turned; its pixels are read as they are stored.",
        "Expected images that are stored upright: Keras turns none.",
        "PIL.ImageOps.exif_transpose(image).save(path), once for each file",
    )


def _not_an_image(file: Any, name: str, formats: tuple[str, ...]) -> str:
    file.seek(0)
    start = file.read(64)
    known = ", ".join(formats[:-1]) + f" or {formats[-1]}"
    if not start:
        return explain(f"{name} is empty: it has 0 bytes.", f"Expected an image: {known}.", "get the file anew")
    what = next((words for begin, words in _BEGINNINGS if start.lstrip().startswith(begin)), None)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        what = "a WebP image"
    if start[:4] in (b"II*\0", b"MM\0*"):
        what = "a TIFF image"
    said = f"{name} cannot be read" if what is None else f"{name} is {what}"
    fix = f'PIL.Image.open({os.path.basename(name)!r}).convert("RGB").save("....png")'
    return explain(
        f"{said}.",
        f"Expected an image: {known}.",
        fix if what and "image" in what else "get the file anew, or remove it",
    )


def _too_large(name: str, what: str) -> str:
    from PIL import Image

    return explain(
        f"{name} is too large: {what}.",
        f"Expected at most {Image.MAX_IMAGE_PIXELS:,} pixels: a small file can claim a size that fills the memory.",
        "a smaller image; or PIL.Image.MAX_IMAGE_PIXELS = ..., if you trust the file",
    )


def _broken(name: str, error: Exception) -> str:
    said = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
    return explain(f"{name} is damaged: {said}.", "Expected a whole image.", "get the file anew, or remove it")


# --- Keras's functions ---------------------------------------------------------------------


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Return an image file as a Pillow image.

    Args:
        path: A path, or a `BytesIO` with the file's content: JPEG, PNG, BMP, GIF, WebP, TIFF or PPM.
        color_mode: `"rgb"`, `"rgba"` or `"grayscale"` (which leaves 16 bits per pixel as they are).
        target_size: (height, width) to have; None leaves it as it is.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos"`, `"box"` or `"hamming"`.
        keep_aspect_ratio: Whether to cut off what does not fit the new proportions, in place of squeezing.

    Raises:
        ValueError: The file is no image, is damaged, or has more pixels than Pillow's limit.

    Warns:
        UncrumpleWarning: The image is stored turned, and its EXIF data say so.

    Example:
        >>> content = io.BytesIO()
        >>> save_img(content, np.zeros((4, 6, 3)), file_format="png")
        >>> load_img(content, target_size=(2, 3)).size
        (3, 2)
    """
    if color_mode not in COLOR_MODES:
        raise ValueError(unknown_name("color_mode", color_mode, COLOR_MODES))
    if isinstance(path, io.BytesIO):
        name, content = "The image", path
        content.seek(0)
    elif isinstance(path, (str, bytes, os.PathLike)):
        name = os.fsdecode(path)
        with open(path, "rb") as file:
            content = io.BytesIO(file.read())
    else:
        raise TypeError(
            explain(
                f"load_img got a {type(path).__name__}.", "Expected a path or an io.BytesIO.", "load_img('cat.jpg')"
            )
        )
    image = opened(content, name)
    if is_turned(image):
        warn_of_turned(name)
    sixteen = color_mode == "grayscale" and image.mode in ("I;16", "I")
    image = loaded(image, name, image.mode if sixteen else COLOR_MODES[color_mode])
    if target_size is None or image.size == (target_size[1], target_size[0]):
        return image
    if interpolation not in _PIL_INTERPOLATIONS:
        raise ValueError(unknown_name("interpolation", interpolation, _PIL_INTERPOLATIONS))
    from PIL import Image

    how = Image.Resampling[interpolation.upper()]
    wide, high = target_size[1], target_size[0]
    if not keep_aspect_ratio:
        return image.resize((wide, high), how)
    width, height = image.size
    inner_height, inner_width = min(height, width * high // wide), min(width, height * wide // high)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    return image.resize((wide, high), how, box=(left, top, left + inner_width, top + inner_height))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """Return a Pillow image as an array.

    Args:
        img: The image.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dtype: Type of the array; `floatx()` by default.

    Returns:
        An array of shape (height, width, channels), or (channels, height, width).

    Example:
        >>> img_to_array(array_to_img(np.zeros((4, 6, 3)))).shape
        (4, 6, 3)
    """
    last = channels_last(data_format, "img_to_array")
    x = np.asarray(img, dtype=dtype or floatx())
    if x.ndim not in (2, 3):
        raise ValueError(
            explain(
                f"img_to_array got an image of shape {x.shape}.",
                "Expected 2 or 3 axes.",
                "img_to_array(load_img(path)), one image at a time",
            )
        )
    if x.ndim == 2:
        return x[:, :, None] if last else x[None]
    return x if last else x.transpose(2, 0, 1)


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """Return an array as a Pillow image.

    Args:
        x: (height, width, channels) with 1, 3 or 4 channels; or (channels, height, width).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        scale: Whether to stretch the values such that the smallest becomes 0 and the largest 255.
        dtype: Type to compute with; `floatx()` by default.

    Example:
        >>> array_to_img(np.zeros((4, 6, 1))).mode
        'L'
    """
    from PIL import Image

    last = channels_last(data_format, "array_to_img")
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().numpy()
    x = np.asarray(x, dtype=dtype or floatx())
    if x.ndim != 3:
        raise ValueError(
            explain(
                f"array_to_img got an array of shape {x.shape}.",
                "Expected 3 axes: (height, width, channels).",
                "array_to_img(x[0]) for the first of several images"
                if x.ndim == 4
                else "array_to_img(x[:, :, None]) for a grayscale image",
            )
        )
    x = x if last else x.transpose(1, 2, 0)
    if scale:
        x = x - x.min()
        largest = x.max()
        x = (x / largest if largest != 0 else x) * 255
    channels = x.shape[2]
    if channels in (3, 4):
        return Image.fromarray(x.astype("uint8"))
    if channels == 1:
        # Above 255, only 32 bits hold the values.
        return Image.fromarray(x[:, :, 0].astype("int32" if x.max() > 255 else "uint8"))
    fix = "channels_first" if last and x.shape[0] in (1, 3, 4) else "channels_last"
    raise ValueError(
        explain(
            f"array_to_img got an image with {channels} channels.",
            "Expected 1, 3 or 4.",
            f'array_to_img(x, data_format="{fix}")' if x.shape[0] in (1, 3, 4) else "x[:, :, :3]",
        )
    )


def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any
) -> None:
    """Write an array to an image file.

    Args:
        path: A path, or an open binary file.
        x: The image, as for `array_to_img`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        file_format: Such as `"png"`; by default, what the path ends with.
        scale: Whether to stretch the values to 0...255.
        **kwargs: What Pillow's `Image.save` takes: `quality=95` for JPEG.

    Example:
        >>> content = io.BytesIO()
        >>> save_img(content, np.zeros((2, 2, 3)), file_format="jpg")
        >>> content.getvalue()[:2] == bytes([255, 216])
        True
    """
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = pathlib.Path(path).suffix[1:].lower()
    if file_format and file_format.lower() == "jpg":
        file_format = "jpeg"
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        warn("save_img got 4 channels for a JPEG file.", "Expected 3: JPEG has no transparency.", "x[:, :, :3]")
        image = image.convert("RGB")
    if (
        image.mode == "I"
        and file_format in ("png", "tiff")
        and 0 <= image.getextrema()[0] <= image.getextrema()[1] < 1 << 16
    ):
        from PIL import Image

        image = Image.fromarray(np.asarray(image).astype("uint16"))  # Pillow writes 16 bits, and no 32
    image.save(path, format=file_format, **kwargs)


def smart_resize(
    x: Any, size: Any, interpolation: str = "bilinear", data_format: str = "channels_last", **kwargs: Any
) -> Any:
    """Return images in another size, with what does not fit the new proportions cut off.

    Args:
        x: (height, width, channels), or several such images.
        size: (height, width) to have.
        interpolation: As for `ops.image.resize`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        An array, or a tensor if `x` is one.

    Example:
        >>> smart_resize(np.zeros((340, 500, 3)), (200, 200)).shape
        (200, 200, 3)
    """
    if kwargs:
        raise TypeError(
            explain(
                f"smart_resize got an unknown argument '{next(iter(kwargs))}'.",
                "Expected x, size, interpolation, data_format.",
                "smart_resize(x, (200, 200))",
            )
        )
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(explain(f"smart_resize got size={size!r}.", "Expected (height, width).", "size=(200, 200)"))
    made = resize(
        torch.as_tensor(x), size, interpolation=interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return made if isinstance(x, torch.Tensor) else made.numpy()
