"""Clean data for `check_matrix.py`: scikit-learn's sets, and generated tables, pictures, texts and windows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from PIL import Image, ImageDraw

from uncrumple.data.named import load
from uncrumple.data.split import split

Given = dict[str, Any]  # the arguments of check
Random = np.random.Generator


def embedded(name: str) -> Callable[[Random], Given]:
    """Return a maker of one of scikit-learn's sets: rows shuffled and split anew, columns standardised."""

    def make(random: Random) -> Given:
        data = load(name)
        order = random.permutation(len(data.y))
        x, y = data.x[order].astype(np.float64), data.y[order]
        x = x / 16 if data.is_images else (x - x.mean(axis=0)) / x.std(axis=0)
        return {
            "data": x,
            "y": y,
            "parts": rows_of(y, random),
            "class_names": data.class_names or None,
            "feature_names": data.feature_names or None,
        }

    return make


def rows_of(y: np.ndarray, random: Random) -> dict[str, np.ndarray]:
    made = split(y, validation=0.15, test=0.25, seed=int(random.integers(2**31)))
    return {"train": made.train, "validation": made.validation, "test": made.test}


def mixed(random: Random) -> Given:
    """Return a generated table with numbers, words, dates and whole numbers; the classes overlap."""
    rows = 600
    age, income = random.normal(45, 12, rows).round(), random.lognormal(3, 0.4, rows)
    city = random.choice(["Ghent", "Lyon", "Turin", "Graz"], rows, p=[0.4, 0.3, 0.2, 0.1])
    visits = random.poisson(4, rows)
    score = 0.06 * (age - 45) + 0.03 * (income - 20) + (city == "Lyon") + random.normal(0, 0.7, rows)
    y = np.where(score > 0.4, "yes", "no")
    frame = pandas.DataFrame({"age": age / 20, "income": income / 20, "city": city, "visits": visits})
    return {"data": frame, "y": y, "parts": rows_of(y, random)}


SHAPES = ("circle", "square", "triangle")


def drawn(random: Random, shape: str, side: int) -> np.ndarray:
    """Return a shape of any colour, size and place on a ground of any colour."""
    ground, ink = random.integers(0, 256, 3), random.integers(0, 256, 3)
    while abs(int(ground.sum()) - int(ink.sum())) < 150:
        ink = random.integers(0, 256, 3)
    image = Image.new("RGB", (side, side), tuple(int(value) for value in ground))
    radius = random.uniform(0.22, 0.34) * side
    cx, cy = random.uniform(0.4, 0.6, 2) * side
    draw = ImageDraw.Draw(image)
    fill = tuple(int(value) for value in ink)
    if shape == "circle":
        draw.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], fill=fill)
    elif shape == "square":
        half = radius * 0.886  # the area of the circle
        draw.rectangle([cx - half, cy - half, cx + half, cy + half], fill=fill)
    else:
        half = radius * 1.55
        draw.polygon(
            [(cx, cy - 0.577 * half * 1.15), (cx - half * 0.87, cy + half * 0.5), (cx + half * 0.87, cy + half * 0.5)],
            fill=fill,
        )
    slope = random.normal(0, 25, 2)  # light from one side
    light = np.linspace(-1, 1, side)[:, None] * slope[0] + np.linspace(-1, 1, side)[None, :] * slope[1]
    values = np.asarray(image, np.float64) + light[:, :, None] + random.normal(0, 5, (side, side, 3))
    return values.clip(0, 255).astype(np.uint8)


def shapes(random: Random, rows: int = 360) -> Given:
    """Return generated pictures as an array: three shapes, 32 x 32, scaled to 0..1."""
    y = random.permutation(np.arange(rows) % 3)
    x = np.stack([drawn(random, SHAPES[kind], 32) for kind in y]).astype(np.float32) / 255
    return {"data": x, "y": y, "parts": rows_of(y, random), "class_names": SHAPES}


def shape_files(random: Random, rows: int = 240) -> Given:
    """Return the same as files of many sizes, JPEG and PNG, in folders of the classes."""
    folder = Path(tempfile.mkdtemp(prefix="check-matrix-"))
    y = random.permutation(np.arange(rows) % 3)
    paths = []
    for place, kind in enumerate(y):
        path = folder / SHAPES[kind] / f"{random.integers(10**9)}-{place}"
        path.parent.mkdir(exist_ok=True)
        image = Image.fromarray(drawn(random, SHAPES[kind], int(random.integers(40, 90))))
        paths.append(saved(image, path, "jpg" if random.random() < 0.7 else "png", int(random.integers(70, 96))))
    return {"data": paths, "y": np.array(SHAPES)[y], "parts": rows_of(y, random)}


def saved(image: Image.Image, path: Path, suffix: str, quality: int) -> Path:
    path = path.with_suffix(f".{suffix}")
    image.save(path, **({"quality": quality} if suffix == "jpg" else {}))
    return path


_SYLLABLES = [a + b for a in "bdfgklmnprstv" for b in "aeiou"]
TOPICS = ("harbour", "kitchen", "orchestra")


def texts(random: Random, rows: int = 450) -> Given:
    """Return generated texts: words by Zipf's law, of which each class uses its own 60 more often."""
    words = np.array(sorted({"".join(random.choice(_SYLLABLES, random.integers(2, 5))) for _ in range(1600)}))
    random.shuffle(words)
    usual = 1 / np.arange(1, len(words) + 1)
    topics = [random.choice(np.arange(30, len(words)), 60, replace=False) for _ in TOPICS]
    y = random.permutation(np.arange(rows) % 3)
    made = []
    for kind in y:
        weight = usual.copy()
        weight[topics[kind]] *= 20
        said = random.choice(words, int(random.lognormal(3.6, 0.4)) + 5, p=weight / weight.sum())
        text = " ".join(said)
        made.append(text[:1].upper() + text[1:] + ".")
    return {"data": made, "y": np.array(TOPICS)[y], "parts": rows_of(y, random), "kind": "text"}


def passages(random: Random) -> Given:
    """Return running text cut in two, to be continued letter by letter."""
    words = np.array(sorted({"".join(random.choice(_SYLLABLES, random.integers(1, 4))) for _ in range(700)}))
    usual = 1 / np.arange(1, len(words) + 1)
    said = [" ".join(random.choice(words, 4000, p=usual / usual.sum())) for _ in range(3)]
    return {"data": {"train": ([said[0], said[1]],), "test": ([said[2]],)}, "kind": "text", "task": "language"}


def windows(random: Random, steps: int = 900, length: int = 24) -> Given:
    """Return windows over a noisy season, split by time; the answer is the next value."""
    at = np.arange(steps)
    noise = np.zeros(steps)
    for step in range(1, steps):
        noise[step] = 0.7 * noise[step - 1] + random.normal(0, 0.4)
    series = np.stack([np.sin(at / 9) + noise, random.normal(size=steps)], axis=1)
    starts = np.arange(steps - length)
    x = np.stack([series[start : start + length] for start in starts])
    y, times = series[starts + length, 0], np.datetime64("2024-01-01") + starts.astype("timedelta64[h]")
    cut, end = int(0.7 * len(x)), int(0.85 * len(x))
    parts = {"train": starts[:cut], "validation": starts[cut:end], "test": starts[end:]}
    return {"data": x, "y": y, "times": times, "parts": parts, "kind": "series", "task": "regression"}


CLEAN: dict[str, Callable[[Random], Given]] = {
    "iris": embedded("iris"),
    "wine": embedded("wine"),
    "breast cancer": embedded("breast-cancer"),
    "diabetes": embedded("diabetes"),
    "mixed table": mixed,
    "digits": embedded("digits"),
    "shapes": shapes,
    "shape files": shape_files,
    "texts": texts,
    "running text": passages,
    "windows": windows,
}
