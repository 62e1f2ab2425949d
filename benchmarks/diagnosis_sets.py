"""Data and healthy networks for `diagnosis_matrix.py`: each a function that makes them anew from a seed.

`K` is uncrumple or Keras: the same lines make the same network in either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

Setup = dict[str, Any]
HEALTHY: dict[str, Callable[[Any, int], Setup]] = {}


def healthy(function: Callable[[Any, int], Setup]) -> Callable[[Any, int], Setup]:
    """Register a set-up in which nothing is wrong."""
    HEALTHY[function.__name__.replace("_", " ")] = function
    return function


# --- data: (x, y) to learn from, (x, y) to validate on -------------------------------------


def divided(x: Any, y: Any, share: float = 0.75) -> tuple[Any, Any]:
    cut = int(share * len(x))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def classes(seed: int, rows: int = 800, features: int = 8, kinds: int = 3) -> tuple[Any, Any]:
    """Clouds of points, one per class, that touch each other."""
    random = np.random.default_rng(seed)
    y = random.integers(kinds, size=rows)
    x = random.normal(size=(kinds, features))[y] * 1.2 + random.normal(size=(rows, features))
    return divided(((x - x.mean(0)) / x.std(0)).astype("float32"), y)


def yes_or_no(seed: int, rows: int = 800, share: float = 0.5) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 6)).astype("float32")
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * random.normal(size=rows)
    return divided(x, (score > np.quantile(score, 1 - share)).astype("float32"))


def numbers(seed: int, rows: int = 800, mean: float = 0.0, spread: float = 1.0) -> tuple[Any, Any]:
    """A curve over six columns, with noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 6)).astype("float32")
    y = np.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + x[:, 3] + 0.2 * random.normal(size=rows)
    y = (y - y.mean()) / y.std()
    return divided(x, (mean + spread * y).astype("float32")[:, None])


def digits(seed: int, rows: int = 1000, scale: float = 1.0, flat: bool = False) -> tuple[Any, Any]:
    """Handwritten digits of 8 x 8 pixels from 0 to `scale`."""
    given = load_digits()
    chosen = np.random.default_rng(seed).permutation(len(given.target))[:rows]
    x = (given.data[chosen] / 16 * scale).astype("float32")
    return divided(x if flat else x.reshape(-1, 8, 8, 1), given.target[chosen].astype("int64"))


def waves(seed: int, rows: int = 600, steps: int = 16) -> tuple[Any, Any]:
    """Two channels over time; the class is how fast they swing."""
    random = np.random.default_rng(seed)
    y = random.integers(3, size=rows)
    time = np.arange(steps) / steps * 2 * np.pi
    phase = random.uniform(0, 2 * np.pi, size=(rows, 1))
    wave = np.sin((y[:, None] + 1) * time + phase)
    x = np.stack([wave, np.roll(wave, 2, axis=1)], -1) + 0.2 * random.normal(size=(rows, steps, 2))
    return divided(x.astype("float32"), y)


def series(seed: int, rows: int = 600, steps: int = 16) -> tuple[Any, Any]:
    """Windows of a swinging line; the answer is the next value."""
    random = np.random.default_rng(seed)
    line = np.sin(np.arange(rows + steps) / 3) + 0.5 * np.sin(np.arange(rows + steps) / 7.3)
    line = line + 0.1 * random.normal(size=rows + steps)
    windows = np.lib.stride_tricks.sliding_window_view(line, steps + 1).astype("float32")
    return divided(windows[:, :-1, None], windows[:, -1:])


def words(seed: int, rows: int = 800, length: int = 12, kinds: int = 30) -> tuple[Any, Any]:
    """Sentences of word numbers; the class is which of two groups of words there are more of."""
    random = np.random.default_rng(seed)
    y = random.integers(2, size=rows)
    lean = np.where(y[:, None] == 1, 0.7, 0.3)
    x = np.where(
        random.random((rows, length)) < lean,
        random.integers(15, 30, (rows, length)),
        random.integers(0, 15, (rows, length)),
    )
    return divided(x.astype("int64"), y.astype("float32"))


def letters(seed: int, rows: int = 400, length: int = 16, kinds: int = 12) -> tuple[Any, Any]:
    """Strings that a chain of letters draws; the answers are the letters that come next."""
    random = np.random.default_rng(seed)
    table = random.dirichlet(np.full(kinds, 0.15), size=kinds).cumsum(1)
    text = np.zeros((rows, length + 1), dtype="int64")
    text[:, 0] = random.integers(kinds, size=rows)
    for place in range(length):
        text[:, place + 1] = (random.random((rows, 1)) > table[text[:, place]]).sum(1).clip(0, kinds - 1)
    return divided(text[:, :-1], text[:, 1:])


# --- networks ---------------------------------------------------------------------------------


def made(K: Any, model: Any, data: Any, loss: Any, rate: float = 0.003, optimizer: Any = None, **further: Any) -> Setup:
    model.compile(optimizer=optimizer or K.optimizers.Adam(rate), loss=loss)
    return {"model": model, "data": data[0], "validation": data[1], "epochs": 6, "batch_size": 32} | further


def chain(K: Any, shape: Any, *layers: Any, name: str | None = None) -> Any:
    return K.Sequential([K.Input(shape), *layers], name=name)


def dense(K: Any, units: int, activation: Any = "relu", **further: Any) -> Any:
    return K.layers.Dense(units, activation=activation, **further)


SPARSE = "sparse_categorical_crossentropy"


@healthy
def mlp_classes(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (8,), dense(K, 32), dense(K, 32), dense(K, 3, "softmax")), classes(seed), SPARSE)


@healthy
def mlp_classes_tanh_momentum(K: Any, seed: int) -> Setup:
    model = chain(K, (8,), dense(K, 32, "tanh"), dense(K, 16, "tanh"), dense(K, 3, "softmax"))
    return made(K, model, classes(seed), SPARSE, optimizer=K.optimizers.SGD(0.05, momentum=0.9))


@healthy
def mlp_sigmoid_once(K: Any, seed: int) -> Setup:
    model = chain(K, (8,), dense(K, 32, "sigmoid"), dense(K, 3, "softmax"))
    return made(K, model, classes(seed), SPARSE, rate=0.01)


@healthy
def logistic_regression(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (8,), dense(K, 3, "softmax")), classes(seed), SPARSE, rate=0.02)


@healthy
def mlp_digits_dropout(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 128), K.layers.Dropout(0.5), dense(K, 10, "softmax"))
    return made(K, model, digits(seed, flat=True), SPARSE, rate=0.001)


@healthy
def mlp_digits_logits(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 64), dense(K, 64), dense(K, 10, None))
    return made(K, model, digits(seed, flat=True), K.losses.SparseCategoricalCrossentropy(from_logits=True))


@healthy
def mlp_digits_normalized(K: Any, seed: int) -> Setup:
    normalization = K.layers.BatchNormalization
    model = chain(
        K, (64,), dense(K, 64, None), normalization(), K.layers.Activation("relu"), dense(K, 64, None), normalization(),
        K.layers.Activation("relu"), dense(K, 10, "softmax"),
    )  # fmt: skip
    return made(K, model, digits(seed, flat=True), SPARSE)


@healthy
def mlp_one_hot(K: Any, seed: int) -> Setup:
    (x, y), (vx, vy) = classes(seed)
    data = (x, np.eye(3, dtype="float32")[y]), (vx, np.eye(3, dtype="float32")[vy])
    model = chain(K, (8,), dense(K, 32, "elu"), dense(K, 3, "softmax"))
    return made(K, model, data, "categorical_crossentropy")


@healthy
def mlp_yes_or_no(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 32), dense(K, 16), dense(K, 1, "sigmoid"))
    return made(K, model, yes_or_no(seed), "binary_crossentropy")


@healthy
def mlp_one_in_twenty(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 32), dense(K, 1, "sigmoid"))
    return made(K, model, yes_or_no(seed, share=0.05), "binary_crossentropy")


@healthy
def mlp_numbers(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (6,), dense(K, 32), dense(K, 32), dense(K, 1, None)), numbers(seed), "mse")


@healthy
def mlp_numbers_like_prices(K: Any, seed: int) -> Setup:
    """Means and spreads as those of the houses of Boston, in thousands of dollars."""
    model = chain(K, (6,), dense(K, 64), dense(K, 64), dense(K, 1, None))
    return made(K, model, numbers(seed, mean=22.5, spread=9.2), "mse", rate=0.005)


@healthy
def mlp_absolute_error(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 32, "gelu"), dense(K, 32, "gelu"), dense(K, 1, None))
    return made(K, model, numbers(seed), "mae", rate=0.005)


@healthy
def mlp_raw_units_normalized(K: Any, seed: int) -> Setup:
    (x, y), (vx, vy) = numbers(seed)
    scale = np.array([1, 1000, 0.01, 50, 3, 10_000], "float32")
    normalization = K.layers.Normalization()
    normalization.adapt(x * scale)
    model = chain(K, (6,), normalization, dense(K, 32), dense(K, 1, None))
    return made(K, model, ((x * scale, y), (vx * scale, vy)), "mse")


@healthy
def mlp_deep_he(K: Any, seed: int) -> Setup:
    hidden = [dense(K, 48, "relu", kernel_initializer="he_normal") for _ in range(6)]
    return made(K, chain(K, (64,), *hidden, dense(K, 10, "softmax")), digits(seed, flat=True), SPARSE, rate=0.001)


@healthy
def mlp_with_shortcuts(K: Any, seed: int) -> Setup:
    inputs = K.Input((64,))
    x = dense(K, 48)(inputs)
    for _ in range(8):
        x = K.layers.Add()([x, dense(K, 48)(x)])
    x = K.layers.LayerNormalization()(x)
    return made(K, K.Model(inputs, dense(K, 10, "softmax")(x)), digits(seed, flat=True), SPARSE, rate=0.001)


@healthy
def mlp_last_layer_zero(K: Any, seed: int) -> Setup:
    model = chain(K, (8,), dense(K, 32), dense(K, 3, "softmax", kernel_initializer="zeros"))
    return made(K, model, classes(seed), SPARSE)


@healthy
def autoencoder(K: Any, seed: int) -> Setup:
    (x, _), (vx, _) = digits(seed, flat=True)
    model = chain(K, (64,), dense(K, 48), dense(K, 24), dense(K, 48), dense(K, 64, "sigmoid"))
    return made(K, model, ((x, x), (vx, vx)), "mse")


@healthy
def cnn_digits(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(
        K, (8, 8, 1), L.Conv2D(16, 3, activation="relu"), L.MaxPooling2D(), L.Conv2D(32, 2, activation="relu"),
        L.Flatten(), dense(K, 32), L.Dropout(0.3), dense(K, 10, "softmax"),
    )  # fmt: skip
    return made(K, model, digits(seed, 600), SPARSE, epochs=5)


@healthy
def cnn_normalized_pooled(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(
        K, (8, 8, 1), L.Conv2D(16, 3, padding="same", use_bias=False), L.BatchNormalization(), L.ReLU(),
        L.Conv2D(32, 3, padding="same", activation="relu"), L.GlobalAveragePooling2D(), dense(K, 10, "softmax"),
    )  # fmt: skip
    return made(K, model, digits(seed, 600), SPARSE, rate=0.005, epochs=5)


@healthy
def cnn_rescaling_inside(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(
        K, (8, 8, 1), L.Rescaling(1 / 255), L.Conv2D(16, 3, activation="relu"), L.Flatten(), dense(K, 10, "softmax")
    )
    return made(K, model, digits(seed, 600, scale=255), SPARSE, epochs=5)


@healthy
def cnn_along_a_line(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(K, (16, 2), L.Conv1D(16, 5, activation="relu"), L.GlobalMaxPooling1D(), dense(K, 3, "softmax"))
    return made(K, model, waves(seed), SPARSE, rate=0.01)


@healthy
def lstm_waves(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (16, 2), K.layers.LSTM(24), dense(K, 3, "softmax")), waves(seed), SPARSE, rate=0.01)


@healthy
def gru_series(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (16, 1), K.layers.GRU(16), dense(K, 1, None)), series(seed), "mse", rate=0.01)


@healthy
def simple_rnn_series(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (16, 1), K.layers.SimpleRNN(16), dense(K, 1, None)), series(seed), "mse", rate=0.005)


@healthy
def lstm_both_ways_words(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(K, (12,), L.Embedding(30, 8), L.Bidirectional(L.LSTM(12)), dense(K, 1, "sigmoid"))
    return made(K, model, words(seed), "binary_crossentropy", rate=0.01)


@healthy
def words_averaged(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(K, (12,), L.Embedding(30, 16), L.GlobalAveragePooling1D(), dense(K, 16), dense(K, 1, "sigmoid"))
    return made(K, model, words(seed), "binary_crossentropy", rate=0.01)


@healthy
def lstm_letters(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(K, (16,), L.Embedding(12, 16), L.LSTM(32, return_sequences=True), dense(K, 12, "softmax"))
    return made(K, model, letters(seed), SPARSE, rate=0.01)


def block(K: Any, x: Any, width: int, causal: bool = False) -> Any:
    L = K.layers
    seen = L.MultiHeadAttention(2, width // 2)(x, x, use_causal_mask=causal)
    x = L.LayerNormalization()(L.Add()([x, seen]))
    return L.LayerNormalization()(L.Add()([x, dense(K, width, None)(dense(K, 2 * width)(x))]))


def transformer(K: Any, length: int, kinds: int, head: Callable[[Any], Any], causal: bool = False) -> Any:
    inputs = K.Input((length,), dtype="int32")
    x = block(K, block(K, K.layers.Embedding(kinds, 16)(inputs), 16, causal), 16, causal)
    return K.Model(inputs, head(x))


def answer(K: Any) -> Callable[[Any], Any]:
    return lambda x: dense(K, 1, "sigmoid")(K.layers.GlobalAveragePooling1D()(x))


@healthy
def transformer_words(K: Any, seed: int) -> Setup:
    return made(K, transformer(K, 12, 30, answer(K)), words(seed, 600), "binary_crossentropy", rate=0.003, epochs=4)


@healthy
def transformer_letters(K: Any, seed: int) -> Setup:
    model = transformer(K, 16, 12, dense(K, 12, None), causal=True)
    loss = K.losses.SparseCategoricalCrossentropy(from_logits=True)
    return made(K, model, letters(seed), loss, rate=0.003, epochs=5)


@healthy
def transformer_series(K: Any, seed: int) -> Setup:
    inputs = K.Input((16, 1))
    x = block(K, dense(K, 16, None)(inputs), 16)
    model = K.Model(inputs, dense(K, 1, None)(K.layers.Flatten()(x)))
    return made(K, model, series(seed), "mse", rate=0.003, epochs=4)


def only_here(K: Any) -> None:
    """Say that a set-up uses what Keras does not have."""
    if K.__name__ != "uncrumple":
        raise NotImplementedError("uses what Keras does not have")


@healthy
def wrapped_torch_module(K: Any, seed: int) -> Setup:
    import torch

    only_here(K)
    module = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
    model = K.Sequential([K.Input((8,)), K.from_torch(module)])
    return made(K, model, classes(seed), K.losses.SparseCategoricalCrossentropy(from_logits=True))


@healthy
def class_of_its_own(K: Any, seed: int) -> Setup:
    class Net(K.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = dense(K, 32), dense(K, 32), dense(K, 3, "softmax")

        def call(self, inputs: Any) -> Any:
            x = self.first(inputs)
            return self.last(x + self.second(x))

    return made(K, Net(), classes(seed), SPARSE)


@healthy
def two_outputs(K: Any, seed: int) -> Setup:
    inputs = K.Input((8,))
    x = dense(K, 32)(inputs)
    model = K.Model(inputs, [dense(K, 3, "softmax", name="kind")(x), dense(K, 1, None, name="size")(x)])
    (x, y), (vx, vy) = classes(seed)
    data = (x, [y, x[:, :1]]), (vx, [vy, vx[:, :1]])
    return made(K, model, data, [SPARSE, "mse"])


@healthy
def half_precision(K: Any, seed: int) -> Setup:
    policy = {"dtype": "mixed_bfloat16"}
    model = chain(K, (64,), dense(K, 64, **policy), dense(K, 32, **policy), dense(K, 10, "softmax", dtype="float32"))
    return made(K, model, digits(seed, flat=True), SPARSE)
