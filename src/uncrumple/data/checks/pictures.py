"""Each picture looked at once: a small copy, a fingerprint, and what its file and its colours say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.view import Part, View, array

SMALL = 32  # the side of the small copy that is kept of every picture
# The share of the budget that reading files may take; what is left is for looking at what was read.
_READING = 0.5
_AT_ONCE = 512
_ENOUGH = 96  # pixels along the shorter side; what is larger is read smaller
APPEARANCE = ("mean", "deviation", "red", "green", "blue")
BACKGROUND = ("edge red", "edge green", "edge blue", "edge deviation")
FILE_FACTS = ("bytes", "bytes per pixel", "width", "height", "channels", "format", "folder", "camera", "EXIF", "DPI")


@dataclass
class Pictures:
    """What was seen of the pictures of a part.

    Args:
        rows: The row numbers that were looked at and could be read.
        small: Grey copies of at most 32 x 32, float32, (rows, side, side).
        appearance: Brightness and colours of the whole picture: (rows, 5).
        background: Colours of its edge: (rows, 4).
        flat: Which of `rows` are one colour throughout.
        files: Facts about the files, as columns by name; empty without files.
        broken: (row, what is wrong) of pictures that could not be read.
        looked_at: How many pictures were looked at before time ran out.
        sizes: Height and width, (rows, 2).
        bad_values: (row, what) of arrays that hold NaN or infinity.
    """

    rows: np.ndarray
    small: np.ndarray
    appearance: np.ndarray
    background: np.ndarray
    flat: np.ndarray
    files: dict[str, np.ndarray]
    broken: list[tuple[int, str]]
    looked_at: int
    sizes: np.ndarray
    bad_values: list[tuple[int, str]]


def pictures(view: View, part: Part, clock: Clock) -> Pictures:
    """Look at the pictures of a part, or return what was seen when they were looked at before."""
    if view.kind != "images":
        raise CannotRunError("the data are no pictures")
    key = ("pictures", part.name)
    if key not in view.kept:
        view.kept[key] = _look(view, part, clock)
    found = view.kept[key]
    if found.looked_at < len(part):
        clock.remark(f"{found.looked_at:,} of the {len(part):,} pictures of the {part.name} part were read in time")
    return found


def _look(view: View, part: Part, clock: Clock) -> Pictures:
    if isinstance(part.x, np.ndarray) and part.files is None and part.x.ndim in (3, 4) and max(_sides(part.x)) <= SMALL:
        return _look_at_array(view, part, clock)
    until = _until(view, part, clock)
    small, appearance, background, flat, rows, sizes = [], [], [], [], [], []
    facts: list[tuple[Any, ...]] = []
    broken: list[tuple[int, str]] = []
    bad_values: list[tuple[int, str]] = []
    # An order of its own, so that what is read in time is a sample of all of it.
    order: Any = range(len(part))
    if part.files is not None and part.x is None:
        order = np.random.default_rng(view.seed).permutation(len(part))
    looked_at = 0
    first = array(part.x[0]) if part.x is not None else np.zeros((1, 1))
    channels_first = first.ndim == 3 and first.shape[0] in (1, 3, 4) and first.shape[-1] not in (1, 3, 4)
    largest = _largest(part)
    for row in order:
        if looked_at % 32 == 0 and clock.spent > until and looked_at:
            break
        looked_at += 1
        file = None if part.files is None else part.files[row]
        fact: tuple[Any, ...] = ()
        try:
            if file is not None:
                values, fact = _opened(file, _class_folder(view, part, int(row)))
            if part.x is not None:
                values = array(part.x[row])
                values = np.moveaxis(values, 0, -1) if channels_first else values
        except (ValueError, OSError) as error:
            broken.append((int(row), str(error).split("\n")[0]))
            continue
        values = np.asarray(values, np.float32) if part.x is None else np.asarray(values, np.float32) * (255 / largest)
        if not np.isfinite(values).all():
            bad_values.append((int(row), "NaN" if np.isnan(values).any() else "infinity"))
            values = np.nan_to_num(values, posinf=255, neginf=0)
        if values.ndim not in (2, 3) or values.size == 0:
            broken.append((int(row), f"its shape is {values.shape}"))
            continue
        values = values[:, :, None] if values.ndim == 2 else values[:, :, :3]
        colours = values if values.shape[2] == 3 else np.repeat(values[:, :, :1], 3, axis=2)
        grey = colours.mean(axis=2)
        edge = np.concatenate([colours[0], colours[-1], colours[1:-1, 0], colours[1:-1, -1]])
        rows.append(int(row))
        sizes.append(grey.shape)
        small.append(shrunk(grey, min(SMALL, grey.shape[0]), min(SMALL, grey.shape[1])))
        appearance.append([grey.mean(), grey.std(), *colours.mean(axis=(0, 1))])
        background.append([*edge.mean(axis=0), edge.mean(axis=1).std()])
        flat.append(float(np.ptp(values, axis=(0, 1)).max()) < 2.0)
        facts.append(fact)
    sides = np.max([copy.shape for copy in small], axis=0) if small else (1, 1)
    same = [copy if copy.shape == tuple(sides) else shrunk(copy, *sides) for copy in small]
    put = np.argsort(rows, kind="stable") if rows else np.zeros(0, int)

    def ordered(values: list, width: int = 0) -> np.ndarray:
        return np.array(values, np.float32)[put] if values else np.zeros((0, width), np.float32)

    columns: dict[str, np.ndarray] = {}
    if part.files is not None and facts:
        for place, name in enumerate(FILE_FACTS):
            column = [facts[index][place] for index in put]
            numeric = all(isinstance(value, (int, float)) for value in column)
            columns[name] = np.array(column, dtype=np.float64 if numeric else object)
    return Pictures(
        rows=np.array(rows, dtype=np.int64)[put],
        small=ordered(same).reshape(len(rows), *sides),
        appearance=ordered(appearance, len(APPEARANCE)),
        background=ordered(background, len(BACKGROUND)),
        flat=np.array(flat, dtype=bool)[put],
        files=columns,
        broken=sorted(broken),
        looked_at=looked_at,
        sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2)[put],
        bad_values=sorted(bad_values),
    )


def _sides(x: np.ndarray) -> tuple[int, int]:
    """Return height and width of an array of pictures, wherever its channels are."""
    if x.ndim == 4 and x.shape[1] in (1, 3, 4) and x.shape[-1] not in (1, 3, 4):
        return x.shape[2], x.shape[3]
    return x.shape[1], x.shape[2]


def _until(view: View, part: Part, clock: Clock) -> float:
    """Return how many seconds may be spent when the pictures of a part have been read."""
    everything = sum(len(one) for one in view.parts)
    return clock.spent + clock.budget * _READING * len(part) / everything


def _look_at_array(view: View, part: Part, clock: Clock) -> Pictures:
    """Return what `_look` returns, for small pictures of one size, many at a time."""
    largest, sides = _largest(part), _sides(part.x)
    pieces: dict[int, tuple[np.ndarray, ...]] = {}
    bad_values: list[tuple[int, str]] = []
    until = _until(view, part, clock)
    # Pieces from everywhere, so that what is read in time is a sample of all of it.
    starts = np.arange(0, len(part), _AT_ONCE)
    for start in np.random.default_rng(view.seed).permutation(starts).tolist():
        if pieces and clock.spent > until:
            break
        values = np.asarray(part.x[start : start + _AT_ONCE], np.float32) * np.float32(255 / largest)
        values = values[..., None] if values.ndim == 3 else values
        values = values if values.shape[1:3] == sides else np.moveaxis(values, 1, -1)
        finite = np.isfinite(values).all(axis=(1, 2, 3))
        for row in np.flatnonzero(~finite):
            bad_values.append((start + int(row), "NaN" if np.isnan(values[row]).any() else "infinity"))
        values = np.nan_to_num(values[..., :3] if values.shape[3] >= 3 else values[..., :1], posinf=255, neginf=0)
        grey = values.mean(axis=3)
        edge = np.concatenate([values[:, 0], values[:, -1], values[:, 1:-1, 0], values[:, 1:-1, -1]], axis=1)
        colours, rim = (np.broadcast_to(mean, (len(mean), 3)) for mean in (values.mean(axis=(1, 2)), edge.mean(axis=1)))
        flat = (values.max(axis=(1, 2)) - values.min(axis=(1, 2))).max(axis=1) < 2.0
        whole = np.stack([grey.mean(axis=(1, 2)), grey.std(axis=(1, 2))], axis=1)
        spread = edge.mean(axis=2).std(axis=1)[:, None]
        pieces[start] = (grey, np.concatenate([whole, colours], axis=1), np.concatenate([rim, spread], axis=1), flat)
    order = sorted(pieces)
    small, appearance, background, flat = (np.concatenate(column) for column in zip(*(pieces[at] for at in order)))
    rows = np.concatenate([np.arange(at, min(at + _AT_ONCE, len(part))) for at in order])
    sizes = np.tile(sides, (len(rows), 1))
    return Pictures(rows, small, appearance, background, flat, {}, [], len(rows), sizes, sorted(bad_values))


def shrunk(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a grey picture in another size: means over areas, or lines between pixels where it grows.

    Example:
        >>> shrunk(np.array([[0.0, 2.0], [4.0, 6.0]]), 1, 2).tolist()
        [[2.0, 4.0]]
    """
    if grey.shape == (height, width):
        return grey.astype(np.float32)
    from PIL import Image

    smaller = height <= grey.shape[0] and width <= grey.shape[1]
    how = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(grey.astype(np.float32)).resize((width, height), how))


def _largest(part: Part) -> float:
    """Return what arrays are written with: 255, or less where all values are."""
    if part.x is None:
        return 255.0
    some = [array(part.x[row]) for row in range(0, len(part), max(1, len(part) // 200))]
    if some[0].dtype == np.uint8:
        return 255.0
    most = max(float(np.nanmax(np.where(np.isfinite(values), values, np.nan))) for values in some if values.size)
    return next((limit for limit in (1.0, 16.0, 255.0) if most <= limit), max(most, 1e-30))


def _class_folder(view: View, part: Part, row: int) -> str | None:
    """Return the name of the class of a row, which says nothing new if a folder is called after it."""
    if view.task != "classification" or part.y is None:
        return None
    code = int(view.kept.setdefault(("codes", part.name), view.codes(part))[row])
    return view.class_name(code) if code >= 0 else None


def _opened(path: str, class_name: str | None) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Return a file's pixels (RGB, 0 to 255) and its `FILE_FACTS`; raises ValueError if it is no picture."""
    from uncrumple.data.images import loaded, opened

    size = os.path.getsize(path)
    if size == 0:
        raise ValueError(f"{path}: the file is empty")
    with open(path, "rb") as file:
        image = opened(file, path)
        exif = _exif(image)
        dots = image.info.get("dpi")
        folders = [name for name in os.path.normpath(os.path.dirname(path)).split(os.sep) if name != class_name]
        facts = (
            float(size),
            size / max(1, image.width * image.height),
            float(image.width),
            float(image.height),
            float(len(image.getbands())),
            str(image.format),
            os.sep.join(folders),
            exif,
            float(exif != ""),
            float(dots[0]) if isinstance(dots, tuple) and dots else 0.0,
        )
        if image.format == "JPEG":
            image.draft("RGB", (_ENOUGH, _ENOUGH))  # decodes a half, a quarter or an eighth of the size
        image = loaded(image, path, "RGB")
        smaller = min(image.size) // _ENOUGH
        values = np.asarray(image.reduce(smaller) if smaller > 1 else image)
    return values, facts


def _exif(image: Any) -> str:
    """Return maker, model and software of the EXIF data as one text; empty if there are none."""
    if "exif" not in image.info:
        return ""
    try:
        entries = image.getexif()
        return " ".join(str(entries.get(number, "")) for number in (0x010F, 0x0110, 0x0131)).strip() or "other"
    except Exception:  # data that cannot be read are a fact as well
        return "unreadable"
