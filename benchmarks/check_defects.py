"""Defects for `check_matrix.py`: each a function that spoils clean data for one check to find."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
from check_sets import Given, Random, rows_of, saved
from PIL import Image

TABLES = ("iris", "wine", "breast cancer", "diabetes")
CLASSED = ("iris", "wine", "breast cancer")
ARRAYS = ("wine", "breast cancer", "diabetes", "windows")


DEFECTS: list[tuple[str, str, tuple[str, ...], Callable[[Given, Random], Given]]] = []


def defect(name: str, words: str, *sets: str):
    """Register a function that plants a defect for the check `name` into these sets."""

    def keep(function: Callable[[Given, Random], Given]):
        DEFECTS.append((name, words, sets, function))
        return function

    return keep


def of(given: Given, part: str) -> np.ndarray:
    return given["parts"][part]


def with_column(given: Given, column: np.ndarray, name: str = "planted") -> Given:
    if isinstance(given["data"], pandas.DataFrame):
        return given | {"data": given["data"].assign(**{name: column})}
    names = [*(given["feature_names"] or ()), name]
    return given | {"data": np.column_stack([given["data"], column]), "feature_names": names}


@defect("missing-values", "one NaN", *ARRAYS, "shapes")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    x[tuple(int(random.integers(size)) for size in x.shape)] = np.nan
    return given | {"data": x}


@defect("missing-values", "one infinity", *ARRAYS)
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    x[tuple(int(random.integers(size)) for size in x.shape)] = np.inf
    return given | {"data": x}


@defect("missing-values", "'?' for 1 % of a column of numbers", "mixed table")
def _(given: Given, random: Random) -> Given:
    age = given["data"]["age"].astype(object)
    age.iloc[random.choice(len(age), 6, replace=False)] = "?"
    return given | {"data": given["data"].assign(age=age)}


@defect("constant-columns", "a column that never changes", *TABLES, "mixed table")
def _(given: Given, random: Random) -> Given:
    return with_column(given, np.full(len(given["data"]), 3.7))


@defect("input-scale", "inputs not scaled (raw units)", "wine", "breast cancer")
def _(given: Given, random: Random) -> Given:
    spread = 10 ** random.uniform(-1, 3, given["data"].shape[1])
    return given | {"data": given["data"] * spread}


@defect("input-scale", "pixels from 0 to 255", "digits", "shapes")
def _(given: Given, random: Random) -> Given:
    return given | {"data": given["data"] * 255}


@defect("input-scale", "test part not scaled (times 255)", "shapes", "breast cancer", "windows")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    x[of(given, "test")] *= 255
    return given | {"data": x}


@defect("corrupt-files", "1 file cut off, 1 empty, 1 not a picture", "shape files")
def _(given: Given, random: Random) -> Given:
    paths = [Path(given["data"][row]) for row in random.choice(of(given, "train"), 3, replace=False)]
    paths[0].write_bytes(paths[0].read_bytes()[: paths[0].stat().st_size // 2])
    paths[1].write_bytes(b"")
    paths[2].write_text("<html>404 Not Found</html>")
    return given


@defect("corrupt-files", "3 blank pictures", "digits", "shapes")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    x[random.choice(of(given, "train"), 3, replace=False)] = 0.5
    return given | {"data": x}


@defect("class-names", "5 % of a class in capitals", "mixed table", "texts")
def _(given: Given, random: Random) -> Given:
    y = given["y"].astype(object)
    rows = np.flatnonzero(y == y[0])
    y[random.choice(rows, max(1, len(rows) // 20), replace=False)] = str(y[0]).capitalize()
    return given | {"y": y}


@defect("absent-classes", "a class that only the test part has", *CLASSED, "digits", "texts")
def _(given: Given, random: Random) -> Given:
    lone = given["y"] == given["y"][0]
    parts = {name: rows[~lone[rows]] for name, rows in given["parts"].items()}
    parts["test"] = np.concatenate([parts["test"], np.flatnonzero(lone)[:20]])
    return given | {"parts": parts}


@defect("class-imbalance", "99 : 1", "breast cancer", "digits", "texts")
def _(given: Given, random: Random) -> Given:
    y = np.asarray(given["y"])
    kinds = np.unique(y)
    rare = np.isin(y, kinds[: max(1, len(kinds) // 2)])
    kept = np.concatenate([np.flatnonzero(~rare), np.flatnonzero(rare)[: max(2, int((~rare).sum() / 99))]])
    kept = random.permutation(kept)
    y = rare[kept].astype(int)
    x = [given["data"][row] for row in kept] if isinstance(given["data"], list) else given["data"][kept]
    return given | {"data": x, "y": y, "parts": None, "class_names": None}


@defect("sorted-labels", "rows in the order of their answers", *TABLES, "digits", "texts")
def _(given: Given, random: Random) -> Given:
    order = np.argsort(given["y"], kind="stable")
    x = [given["data"][row] for row in order] if isinstance(given["data"], list) else given["data"][order]
    return given | {"data": x, "y": given["y"][order], "parts": None}


@defect(
    "label-shift",
    "half of the classes thinned to a quarter in the test part",
    "breast cancer",
    "digits",
    "shapes",
    "texts",
    "wine",
)
def _(given: Given, random: Random) -> Given:
    test, y = of(given, "test"), np.asarray(given["y"])
    kinds = np.unique(y)
    rows = test[np.isin(y[test], kinds[: max(1, len(kinds) // 2)])]
    return given | {"parts": given["parts"] | {"test": np.setdiff1d(test, rows[: 3 * len(rows) // 4])}}


@defect("label-shift", "the test part holds the largest answers", "diabetes")
def _(given: Given, random: Random) -> Given:
    order = np.argsort(given["y"])
    return given | {"parts": {"train": order[:-100], "test": order[-100:]}}


@defect("group-leak", "one of 40 groups on both sides", *CLASSED, "texts")
def _(given: Given, random: Random) -> Given:
    groups = np.zeros(len(given["y"]), int)
    groups[of(given, "train")] = random.integers(0, 30, len(of(given, "train")))
    groups[of(given, "validation")] = random.integers(30, 35, len(of(given, "validation")))
    groups[of(given, "test")] = random.integers(35, 40, len(of(given, "test")))
    groups[of(given, "test")[0]] = groups[of(given, "train")[0]]
    return given | {"groups": groups}


@defect("time-leak", "split at random, not by time", "breast cancer", "diabetes", "windows")
def _(given: Given, random: Random) -> Given:
    times = np.arange(len(given["y"]))
    return given | {"times": times, "parts": rows_of(np.zeros(len(times), int), random)}


@defect("time-leak", "one test row before the last training row", "breast cancer", "windows")
def _(given: Given, random: Random) -> Given:
    rows = np.arange(len(given["y"]))
    cut = int(0.8 * len(rows))
    swapped = (
        np.concatenate([rows[: cut - 1], rows[cut : cut + 1]]),
        np.concatenate([rows[cut - 1 : cut], rows[cut + 1 :]]),
    )
    return given | {"times": rows, "parts": {"train": swapped[0], "test": swapped[1]}}


@defect("time-order", "5 rows out of order", "windows")
def _(given: Given, random: Random) -> Given:
    times = given["times"].copy()
    for row in random.choice(np.arange(2, len(of(given, "train")) - 2), 5, replace=False):
        times[[row, row + 1]] = times[[row + 1, row]]
    return given | {"times": times}


@defect("time-order", "10 hours missing in a regular series", "windows")
def _(given: Given, random: Random) -> Given:
    times = given["times"].copy()
    times[int(random.integers(50, 500)) :] += np.timedelta64(10, "h")
    return given | {"times": times}


@defect("window-overlap", "overlapping windows split at random", "windows")
def _(given: Given, random: Random) -> Given:
    return given | {"parts": rows_of(np.zeros(len(given["y"]), int), random), "times": None}


@defect("future-leak", "windows one step too long: the answer is in them", "windows")
def _(given: Given, random: Random) -> Given:
    x, y = given["data"], given["y"]
    longer = np.concatenate([x[:-1], x[1:, -1:]], axis=1)
    return given | {"data": longer, "y": y[:-1], "times": None, "parts": None}


@defect("future-leak", "a channel that holds the answer", "windows")
def _(given: Given, random: Random) -> Given:
    channel = random.normal(size=given["data"].shape[:2])
    channel[:, -1] = given["y"]
    return given | {"data": np.concatenate([given["data"], channel[:, :, None]], axis=2)}


@defect("exact-duplicates", "7 training rows in the test part, 2 relabelled", *TABLES, "digits", "shapes")
def _(given: Given, random: Random) -> Given:
    x, y = given["data"].copy(), given["y"].copy()
    ours, theirs = (random.choice(of(given, part), 7, replace=False) for part in ("train", "test"))
    x[theirs], y[theirs] = x[ours], y[ours]
    y[theirs[:2]] = np.roll(np.unique(y), 1)[np.searchsorted(np.unique(y), y[theirs[:2]])]
    return given | {"data": x, "y": y}


@defect("exact-duplicates", "7 training texts in the test part, in capitals", "texts")
def _(given: Given, random: Random) -> Given:
    made = list(given["data"])
    for ours, theirs in zip(of(given, "train")[:7], of(given, "test")[:7]):
        made[theirs] = made[ours].upper() + "!"
    return given | {"data": made}


@defect("contradicting-labels", "5 rows there again with another answer", *CLASSED, "digits")
def _(given: Given, random: Random) -> Given:
    x, y = given["data"].copy(), given["y"].copy()
    rows = random.choice(of(given, "train"), 10, replace=False)
    x[rows[:5]] = x[rows[5:]]
    y[rows[:5]] = (y[rows[5:]] + 1) % (y.max() + 1)
    return given | {"data": x, "y": y}


def copies(change: Callable[[np.ndarray, Random], np.ndarray]) -> Callable[[Given, Random], Given]:
    def plant(given: Given, random: Random) -> Given:
        x, y = given["data"].copy(), given["y"].copy()
        ours, theirs = (random.choice(of(given, part), 7, replace=False) for part in ("train", "test"))
        x[theirs] = [change(picture, random) for picture in x[ours]]
        y[theirs] = y[ours]
        return given | {"data": x, "y": y}

    return plant


def through_jpeg(quality: int) -> Callable[[np.ndarray, Random], np.ndarray]:
    def change(picture: np.ndarray, random: Random) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray((picture * 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer), np.float32) / 255

    return change


defect("near-duplicates", "7 test pictures are training pictures, as JPEG 75", "shapes")(copies(through_jpeg(75)))
defect("near-duplicates", "the same, as JPEG 50", "shapes")(copies(through_jpeg(50)))
defect("near-duplicates", "the same, with noise of 1 %", "shapes", "digits")(
    copies(lambda picture, random: (picture + random.normal(0, 0.01, picture.shape)).clip(0, 1))
)
defect("near-duplicates", "the same, a tenth darker", "shapes", "digits")(copies(lambda picture, random: picture * 0.9))
defect("near-duplicates", "the same, moved by a pixel (known to be missed)", "shapes", "digits")(
    copies(lambda picture, random: np.roll(picture, 1, axis=1))
)


@defect("near-duplicates", "7 test files are training files, halved in size", "shape files")
def _(given: Given, random: Random) -> Given:
    paths = list(given["data"])
    for ours, theirs in zip(of(given, "train")[:7], of(given, "test")[:7]):
        image = Image.open(paths[ours]).convert("RGB")
        paths[theirs] = saved(
            image.resize((image.width // 2, image.height // 2)),
            Path(paths[theirs]).with_name(f"copy{theirs}"),
            "jpg",
            80,
        )
    return given | {"data": paths}


@defect("text-overlap", "a tenth of the test text is training text", "running text")
def _(given: Given, random: Random) -> Given:
    ours, theirs = given["data"]["train"][0][0], given["data"]["test"][0][0]
    size = len(theirs) // 10
    begin = int(random.integers(len(ours) - size))
    return given | {"data": given["data"] | {"test": ([theirs[:size] + ours[begin : begin + size] + theirs[size:]],)}}


@defect("identifiers", "a column that numbers the rows, shuffled", *TABLES, "mixed table")
def _(given: Given, random: Random) -> Given:
    return with_column(given, random.permutation(len(given["data"])) + 1000)


@defect("identifiers", "a column of different words", "mixed table")
def _(given: Given, random: Random) -> Given:
    return with_column(given, np.array([f"C-{number:x}" for number in random.permutation(10**6)[: len(given["data"])]]))


@defect("target-leak", "the class's number with noise of .1", *CLASSED)
def _(given: Given, random: Random) -> Given:
    return with_column(given, given["y"] + random.normal(0, 0.1, len(given["y"])))


@defect("target-leak", "the class's number in another order, noise of .1", "iris", "wine")
def _(given: Given, random: Random) -> Given:
    order = np.array([1, 2, 0])
    return with_column(given, order[given["y"]] + random.normal(0, 0.1, len(given["y"])))


@defect("target-leak", "the answer with noise of a tenth of its deviation", "diabetes")
def _(given: Given, random: Random) -> Given:
    return with_column(given, given["y"] + random.normal(0, 0.1 * given["y"].std(), len(given["y"])))


@defect("target-leak", "a column that is empty for one class", "mixed table", "breast cancer")
def _(given: Given, random: Random) -> Given:
    column = random.normal(size=len(given["y"]))
    column[np.asarray(given["y"]) == np.asarray(given["y"])[0]] = np.nan
    return with_column(given, column)


@defect("label-words", "each text begins with its class's name", "texts")
def _(given: Given, random: Random) -> Given:
    return given | {"data": [f"{name}: {text}" for name, text in zip(given["y"], given["data"])]}


@defect("label-words", "a tag in all texts of one class", "texts")
def _(given: Given, random: Random) -> Given:
    marked = given["y"][0]
    return given | {"data": [text + " zx41" * (name == marked) for name, text in zip(given["y"], given["data"])]}


@defect("empty-texts", "3 empty texts", "texts")
def _(given: Given, random: Random) -> Given:
    made = list(given["data"])
    for row in random.choice(len(made), 3, replace=False):
        made[row] = random.choice(["", "  ", "..."])
    return given | {"data": made}


@defect("broken-encoding", "1 % of the texts read in the wrong encoding", "texts")
def _(given: Given, random: Random) -> Given:
    made = list(given["data"])
    for row in random.choice(of(given, "train"), max(1, len(made) // 100), replace=False):
        made[row] = (made[row] + " café déjà").encode("utf-8").decode("latin-1")
    return given | {"data": made}


@defect("text-shortcut", "texts cut to 10, 20 and 40 words by class", "texts")
def _(given: Given, random: Random) -> Given:
    longest = dict(zip(np.unique(given["y"]), (10, 20, 40)))
    return given | {"data": [" ".join(text.split()[: longest[name]]) for text, name in zip(given["data"], given["y"])]}


@defect("file-shortcut", "one class PNG, the others JPEG", "shape files")
def _(given: Given, random: Random) -> Given:
    return resaved(given, lambda name: ("png", 90) if name == "circle" else ("jpg", 90))


@defect("file-shortcut", "classes of JPEG quality 60, 80 and 95", "shape files")
def _(given: Given, random: Random) -> Given:
    return resaved(given, lambda name: ("jpg", {"circle": 60, "square": 80, "triangle": 95}[name]))


@defect("file-shortcut", "a camera for each class (EXIF)", "shape files")
def _(given: Given, random: Random) -> Given:
    for path, name in zip(given["data"], given["y"]):
        exif = Image.Exif()
        exif[0x0110] = {"circle": "A1", "square": "B2", "triangle": "C3"}[name]
        image = Image.open(path).convert("RGB")
        image.save(path, exif=exif)
    return given


def resaved(given: Given, how: Callable[[str], tuple[str, int]]) -> Given:
    paths = []
    for path, name in zip(given["data"], given["y"]):
        suffix, quality = how(name)
        paths.append(
            saved(Image.open(path).convert("RGB"), Path(path).with_name(Path(path).stem + "x"), suffix, quality)
        )
    return given | {"data": paths}


@defect("appearance-shortcut", "brightness that rises with the class's number", "digits")
def _(given: Given, random: Random) -> Given:
    return given | {"data": given["data"] * 0.5 + 0.05 * given["y"][:, None, None, None]}


@defect("appearance-shortcut", "one class of three 25 % brighter", "shapes")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    lone = given["y"] < np.median(np.unique(given["y"]))
    x[lone] = x[lone] * 0.7 + 0.3
    return given | {"data": x}


@defect("appearance-shortcut", "a background for each class", "shapes")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    colours = np.array([[0.9, 0.2, 0.2], [0.2, 0.9, 0.2], [0.2, 0.2, 0.9]])
    for row, kind in enumerate(given["y"]):
        x[row, :3], x[row, -3:], x[row, :, :3], x[row, :, -3:] = (colours[kind],) * 4
    return given | {"data": x + random.normal(0, 0.02, x.shape)}


@defect("part-difference", "+.5 deviations in one column of the test part", "wine", "breast cancer", "diabetes")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    x[of(given, "test"), int(random.integers(x.shape[1]))] += 0.5
    return given | {"data": x}


@defect("part-difference", "+1 deviation in one column of the test part", "wine", "breast cancer", "diabetes", "iris")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    x[of(given, "test"), int(random.integers(x.shape[1]))] += 1
    return given | {"data": x}


@defect("part-difference", "test pictures a fifth darker", "digits", "shapes")
def _(given: Given, random: Random) -> Given:
    x = given["data"].copy()
    x[of(given, "test")] *= 0.8
    return given | {"data": x}


@defect("part-difference", "test texts in small letters", "texts")
def _(given: Given, random: Random) -> Given:
    made = list(given["data"])
    for row in of(given, "test"):
        made[row] = made[row].lower()
    return given | {"data": made}


@defect("suspect-labels", "3 % of the labels wrong", *CLASSED, "digits", "shapes", "texts")
def _(given: Given, random: Random) -> Given:
    y = np.asarray(given["y"]).copy()
    kinds = np.unique(y)
    train = of(given, "train")
    wrong = random.choice(train, max(1, round(0.03 * len(train))), replace=False)
    y[wrong] = kinds[(np.searchsorted(kinds, y[wrong]) + random.integers(1, len(kinds), len(wrong))) % len(kinds)]
    return given | {"y": y, "planted": np.flatnonzero(np.isin(train, wrong))}
