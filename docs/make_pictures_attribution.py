"""The pictures of attribution.md, on real data: digits, the Titanic's passengers, houses, speeches of Shakespeare's.

    python docs/make_pictures_attribution.py [name ...]

Data are read from `$UNCRUMPLE_DATA_DIR`, or downloaded. About two minutes in all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import uncrumple as uc
from uncrumple.explain import (
    attribute,
    counterfactual,
    counterfactual_stamp,
    partial_dependence,
    permutation_importance,
    surrogate_tree,
    with_noise,
)
from uncrumple.layers import Conv2D, Dense, Dropout, Embedding, Flatten, GlobalAveragePooling1D, Input, MaxPooling2D

FOLDER = Path(__file__).parent / "images"


def save(name: str, found: Any) -> None:
    path = found.save(FOLDER / f"attribution-{name}.png")
    # 256 colours are enough for a page, and half of the bytes.
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path.name}, {path.stat().st_size / 1000:.0f} kB\n{found}\n")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 4,000 digits from 0 to 1, and what they are."""
    mnist = uc.data.load("mnist").take(slice(0, 4000))
    return (mnist.raw / 255).astype("float32"), mnist.y


def network_of_digits(x: np.ndarray, y: np.ndarray) -> uc.Model:
    uc.utils.set_random_seed(0)
    model = uc.Sequential(
        [
            Input((28, 28, 1)),
            Conv2D(16, 3, activation="relu"),
            MaxPooling2D(),
            Conv2D(24, 3, activation="relu"),
            MaxPooling2D(),
            Flatten(),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=4, batch_size=64, verbose=0)
    return model


def pictures() -> None:
    x, y = digits()
    model = network_of_digits(x[:3000], y[:3000])
    some = [int(np.flatnonzero(y[3000:] == digit)[0]) + 3000 for digit in (3, 4, 8)]
    save("digits", attribute(model, x[some]))


def corner() -> None:
    """A mark in the corner of every 3, as a photographer's stamp would be."""
    x, y = digits()
    x = x.copy()
    marked = x[:3000].copy()
    marked[y[:3000] == 3, :3, :3] = 1.0
    uc.utils.set_random_seed(0)
    model = uc.Sequential(
        [Input((28, 28, 1)), Flatten(), Dense(64, activation="relu"), Dense(10, activation="softmax")]
    )
    model.compile(uc.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(marked, y[:3000], epochs=8, batch_size=64, verbose=0)
    shown = x[3000:]
    threes = np.flatnonzero(y[3000:] == 3)
    shown[threes, :3, :3] = 1.0
    save("corner", attribute(model, shown[threes[:3]]))
    save("stamp", counterfactual_stamp(model, shown, source=int(threes[0])))


def texts() -> None:
    speeches = uc.data.load("shakespeare", most_speakers=2)
    parts = uc.data.split(speeches)
    preparation = parts.train.preparation()
    uc.utils.set_random_seed(0)
    inputs = preparation.inputs()
    words = Embedding(preparation.vocabulary_size, 16, mask_zero=True)(preparation(inputs))
    hidden = Dropout(0.5)(GlobalAveragePooling1D()(words))
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(hidden))
    model.compile(uc.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    model.fit(parts.train.raw, parts.train.y, epochs=12, verbose=0)
    held = parts.validation
    right = (model.predict(held.raw, verbose=0)[:, 0] > 0.5) == held.y
    lengths = np.array([len(text.split()) for text in held.raw])
    print(f"right on {right.mean():.0%} of {len(held)} speeches; {held.class_names}")
    chosen = np.flatnonzero(right & (lengths > 12) & (lengths < 40))[:3]
    found = attribute(model, held.take(chosen), methods=("integrated_gradients", "occlusion"))
    save("words", found)


def passengers() -> None:
    data = with_noise(uc.data.load("titanic", leave_out=["Name"]))
    parts = uc.data.split(data, validation=0.3, test=0.1)
    preparation = parts.train.preparation()
    uc.utils.set_random_seed(0)
    inputs = preparation.inputs()
    hidden = Dropout(0.2)(Dense(32, activation="relu")(preparation(inputs)))
    model = uc.Model(inputs, Dense(1, activation="sigmoid")(Dense(16, activation="relu")(hidden)))
    model.compile(uc.optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy"])
    model.fit(parts.train.raw, parts.train.y, epochs=40, verbose=0)
    save("importance", permutation_importance(model, parts, noise="pure noise"))
    save("dependence", partial_dependence(model, parts, "Age"))
    died = int(np.flatnonzero((parts.validation.y == 0) & (parts.validation.raw["Sex"] == "male"))[3])
    save("counterfactual", counterfactual(model, parts, died, keep=["pure noise"]))
    save("surrogate", surrogate_tree(model, parts))
    save(
        "rows", attribute(model, parts.validation.take([died, died + 1]), methods=("integrated_gradients", "occlusion"))
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    makers = {"pictures": pictures, "corner": corner, "texts": texts, "passengers": passengers}
    for name in sys.argv[1:] or makers:
        makers[name]()
