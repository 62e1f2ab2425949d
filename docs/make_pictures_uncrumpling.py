"""Makes the pictures of docs/uncrumpling.md.

    python docs/make_pictures_uncrumpling.py --text shakespeare.txt

MNIST is found in `$UNCRUMPLE_DATA_DIR`, or downloaded; `--text` is any text of some 100,000 letters or more. It takes
a few minutes. Pictures are written with few colours, so that they are small.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

import uncrumple as uc
from uncrumple.data.named import load

IMAGES = Path(__file__).parent / "images"


def write(picture, name, dpi=80, colours=128):
    """Write a picture as a PNG of few colours."""
    image = Image.open(io.BytesIO(picture.to_png(dpi=dpi))).convert("RGB")
    path = IMAGES / f"uncrumpling-{name}.png"
    image.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n{picture}\n", flush=True)


def spirals(rows=400, seed=0):
    """Return the points of two spirals, each a class."""
    draw = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    angle = draw.uniform(0.5, 2.2 * np.pi, rows)
    x = np.stack([angle * np.cos(angle + np.pi * y), angle * np.sin(angle + np.pi * y)], axis=1) / 3
    return (x + 0.03 * draw.normal(size=x.shape)).astype("float32"), y


def make_spirals():
    """Two spirals over training, and a layer of two units, which is shown as it is."""
    uc.utils.set_random_seed(3)
    x, y = spirals()
    hidden = [uc.layers.Dense(units, "tanh", name=f"hidden_{place}") for place, units in enumerate((16, 16, 2), 1)]
    model = uc.Sequential([uc.Input((2,)), *hidden, uc.layers.Dense(2, "softmax", name="answer")])
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    watch = uc.explain.UncrumpleView((x, y), every=8, class_names=["one arm", "the other"], points=300)
    model.fit(x, y, epochs=120, batch_size=32, verbose=0, callbacks=[watch])
    write(watch.view, "spirals", dpi=72, colours=64)
    moving = IMAGES / "uncrumpling-spirals.gif"
    moving.write_bytes(watch.view.to_gif(dpi=38))
    print(f"{moving.name}: {moving.stat().st_size / 1000:.0f} kB\n", flush=True)


def make_digits():
    """A small convolutional network on handwritten digits: the view, and what is inside."""
    uc.utils.set_random_seed(0)
    digits = load("mnist")
    x, y = (digits.x[:12_000] / 255).astype("float32"), digits.y[:12_000]
    fresh = (digits.x[60_000:62_000] / 255).astype("float32"), digits.y[60_000:62_000]
    model = uc.Sequential(
        [
            uc.Input((28, 28, 1)),
            uc.layers.Conv2D(16, 5, activation="relu", name="strokes"),
            uc.layers.MaxPooling2D(2, name="pool_1"),
            uc.layers.Conv2D(32, 3, activation="relu", name="parts"),
            uc.layers.MaxPooling2D(2, name="pool_2"),
            uc.layers.Flatten(),
            uc.layers.Dense(64, "relu", name="hidden"),
            uc.layers.Dropout(0.3),
            uc.layers.Dense(10, "softmax", name="answer"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=4, batch_size=64, verbose=2)
    write(uc.uncrumple(model, fresh), "digits", dpi=78, colours=96)
    write(uc.explain.filters(model), "filters")
    write(uc.explain.feature_maps(model, fresh[0][0]), "maps", dpi=75)
    write(uc.explain.maximal_input(model, "answer", range(10)), "maximal")
    flat = uc.Sequential(
        [uc.Input((28, 28, 1)), uc.layers.Flatten(), uc.layers.Dense(10, "softmax", name="answer",
                                                                    kernel_regularizer=uc.regularizers.L2(0.003))]
    )  # fmt: skip
    flat.compile("adam", "sparse_categorical_crossentropy")
    flat.fit(x, y, epochs=4, batch_size=64, verbose=0)
    write(uc.explain.weights(flat, "answer"), "weights")


def make_letters(path):
    """A network that continues a text, letter by letter: embedding and gates."""
    uc.utils.set_random_seed(0)
    text = Path(path).read_text(encoding="utf-8")[:300_000]
    letters = sorted(set(text))
    places = np.array([letters.index(letter) for letter in text])
    starts = np.arange(0, len(places) - 41, 13)
    x = places[starts[:, None] + np.arange(40)]
    y = places[starts[:, None] + np.arange(1, 41)]
    model = uc.Sequential(
        [
            uc.Input((40,), dtype="int32"),
            uc.layers.Embedding(len(letters), 16, name="letters"),
            uc.layers.LSTM(64, return_sequences=True, name="reader"),
            uc.layers.Dense(len(letters), "softmax", name="next"),
        ]
    )
    model.compile(uc.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=4, batch_size=64, verbose=2)
    asked = [letter for letter in ",ateosdm" if letter in letters]
    write(uc.explain.embedding_neighbours(model, asked, vocabulary=letters), "embedding")
    begin = text.index("First Citizen") if "First Citizen" in text else 0
    line = text[begin : begin + 40]
    write(
        uc.explain.gate_activity(model, x[:1] * 0 + [letters.index(one) for one in line], tokens=line), "gates", dpi=75
    )


class Placed(uc.layers.Layer):
    """Adds to each step what stands for its place."""

    def __init__(self, length, width, **kwargs):
        super().__init__(**kwargs)
        self.table = self.add_weight(shape=(length, width), initializer="random_normal", name="table")

    def call(self, inputs):
        return inputs + self.table


def make_copying():
    """A network with attention that says what came after a letter when it last stood in the row."""
    uc.utils.set_random_seed(1)
    draw = np.random.default_rng(0)
    length, letters = 12, 8
    x = draw.integers(1, letters + 1, size=(6000, length))
    # What came after the same letter when it last stood in the row; the letter itself where it did not.
    y = x.copy()
    for row in range(len(x)):
        for step in range(1, length):
            same = np.flatnonzero(x[row, :step] == x[row, step])
            if len(same):
                y[row, step] = x[row, same[-1] + 1]
    inputs = uc.Input((length,), dtype="int32")
    stream = Placed(length, 32, name="places")(uc.layers.Embedding(letters + 1, 32)(inputs))
    for number in (1, 2):
        look = uc.layers.MultiHeadAttention(2, 16, name=f"look_{number}")(stream, stream, use_causal_mask=True)
        stream = uc.layers.Add()([stream, look])
        more = uc.layers.Dense(32)(uc.layers.Dense(64, "relu")(uc.layers.LayerNormalization()(stream)))
        stream = uc.layers.Add()([stream, more])
    model = uc.Model(inputs, uc.layers.Dense(letters + 1, "softmax")(stream))
    model.compile(uc.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=20, batch_size=64, verbose=2)
    row = np.array([[1, 2, 3, 4, 5, 1, 6, 3, 7, 2, 8, 5]])
    write(uc.explain.attention_maps(model, row, tokens=["ABCDEFGH"[number - 1] for number in row[0]]), "attention")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--text", required=True, help="a text file")
    arguments.add_argument("--only", help="spirals, digits, letters or copying")
    given = arguments.parse_args()
    IMAGES.mkdir(exist_ok=True)
    jobs = {
        "spirals": make_spirals,
        "digits": make_digits,
        "letters": lambda: make_letters(given.text),
        "copying": make_copying,
    }
    for job_name, job in jobs.items():
        if given.only in (None, job_name):
            job()
