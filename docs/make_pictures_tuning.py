"""The pictures of tuning.md, on real data: MNIST's digits and the Titanic's passengers.

    python docs/make_pictures_tuning.py [name ...]

Data are read from `$UNCRUMPLE_DATA_DIR`, or downloaded. About three minutes in all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

import uncrumple as uc
from uncrumple import layers

FOLDER = Path(__file__).parent / "images"


def save(name: str, found: Any, ending: str = "png") -> None:
    path = found.save(FOLDER / f"tuning-{name}.{ending}")
    if ending == "png":
        # 256 colours are enough for a page, and half of the bytes.
        Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path.name}, {path.stat().st_size / 1000:.0f} kB\n{found}\n")


def digits(rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Return digits as rows of 784 numbers from 0 to 1, and what they are."""
    mnist = uc.data.load("mnist").take(slice(0, rows))
    return (mnist.raw / 255).astype("float32").reshape(rows, -1), mnist.y


def network(optimizer: Any = "sgd", width: int = 64, hidden: int = 1) -> Any:
    parts = [layers.Dense(width, activation="relu") for _ in range(hidden)]
    model = uc.Sequential([uc.Input((784,)), *parts, layers.Dense(10, activation="softmax")], name="digits")
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def rate() -> None:
    data = digits()
    for optimizer in ("sgd", "adam", "rmsprop"):
        rates = []
        for seed in range(5, 10):
            uc.utils.set_random_seed(seed)
            found = uc.explain.learning_rate(network(optimizer), data, seed=seed)
            rates.append(found.rate)
        print(
            f"{optimizer}: {', '.join(f'{one:.2g}' for one in rates)}; largest / smallest {max(rates) / min(rates):.1f}"
        )
    uc.utils.set_random_seed(0)
    save("rate", uc.explain.learning_rate(network("sgd"), data))


def passengers() -> tuple[np.ndarray, np.ndarray]:
    """Return passengers of the Titanic as numbers, scaled by constants, and whether they survived."""
    titanic = uc.data.load("titanic")
    column = {name: np.asarray(titanic.raw[name]) for name in ("Pclass", "Sex", "Age", "SibSp", "Parch", "Fare")}
    age = column["Age"].astype("float32")
    parts = [
        column["Pclass"].astype("float32") - 2,
        column["Sex"] == "female",
        np.nan_to_num(age, nan=30.0) / 15 - 2,
        np.isnan(age),
        column["SibSp"].astype("float32"),
        column["Parch"].astype("float32"),
        np.log1p(column["Fare"].astype("float32")) - 3,
    ]
    return np.stack(parts, axis=1).astype("float32"), titanic.y


def remedies() -> None:
    def build() -> Any:
        model = uc.Sequential(
            [
                uc.Input((7,)),
                layers.Dense(128, activation="relu"),
                layers.Dense(128, activation="relu"),
                layers.Dense(2, activation="softmax"),
            ]
        )
        model.compile(uc.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    save("remedies", uc.explain.overfitting_remedies(build, passengers(), epochs=80))


def capacity() -> None:
    def build(width: int) -> Any:
        return network(uc.optimizers.Adam(0.003), width=width)

    save("capacity", uc.explain.capacity_and_data(build, digits(1600), sizes=(50, 200, 1200), epochs=20))


def search() -> None:
    parts = uc.data.split(uc.data.load("titanic"), validation=0.3)

    def build(units: int, depth: int, rate: float, dropout: float) -> Any:
        preparation = parts.train.preparation()
        inputs = preparation.inputs()
        x = preparation(inputs)
        for _ in range(depth):
            x = layers.Dropout(dropout)(layers.Dense(units, activation="relu")(x))
        model = uc.Model(inputs, layers.Dense(2, activation="softmax")(x))
        model.compile(uc.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    space = {"units": (4, 64, "log"), "depth": (1, 3), "rate": (1e-4, 1e-1, "log"), "dropout": (0.0, 0.6)}
    save("search", uc.tune(build, parts, space=space, trials=40, epochs=20, verbose=0))


def surfaces() -> None:
    x, y = digits(2000)
    uc.utils.set_random_seed(0)
    model, path = network(uc.optimizers.SGD(0.05)), uc.explain.WeightPath()
    model.fit(x, y, epochs=15, verbose=0, callbacks=[path])
    save("line", uc.explain.loss_line(model, (x, y), start=path.start))
    save("directions", uc.explain.loss_line(model, (x, y)))
    save("plane", uc.explain.loss_plane(model, (x, y), path=path))


def half_as_many_pictures(path: Path, colours: int = 128) -> None:
    """Leave out every second picture of a GIF, and half of its colours; it runs as long as before."""
    with Image.open(path) as moving:
        shown = [(frame.convert("RGB"), frame.info["duration"]) for frame in ImageSequence.Iterator(moving)]
    kept = [*((frame, 2 * stay) for frame, stay in shown[:-1:2]), shown[-1]]
    palette = kept[-1][0].quantize(colours)
    frames, before = [], None
    for picture, _ in kept:
        indices = np.asarray(picture.quantize(palette=palette, dither=Image.Dither.NONE))
        # What did not change stays: runs of one number take hardly any room.
        now = indices if before is None else np.where(indices == before, colours, indices).astype(np.uint8)
        frame = Image.fromarray(now, mode="P")
        frame.putpalette((palette.getpalette() or [])[: 3 * colours] + [255, 255, 255])
        frames.append(frame)
        before = indices
    stays = [stay for _, stay in kept]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=stays, loop=0, disposal=1, transparency=colours,
        optimize=False,
    )  # fmt: skip
    print(f"{path.name}, {path.stat().st_size / 1000:.0f} kB\n")


def races() -> None:
    race = uc.explain.race_optimizers("rosenbrock")
    save("race", race)
    half_as_many_pictures(race.save(FOLDER / "tuning-race.gif"))
    uc.utils.set_random_seed(0)
    save("race-digits", uc.explain.race_optimizers(network(width=32), digits(), steps=120))


PICTURES = {one.__name__: one for one in (rate, remedies, capacity, search, surfaces, races)}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or PICTURES:
        PICTURES[wanted]()
