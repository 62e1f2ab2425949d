"""Defects for `diagnosis_matrix.py`: each a set-up with one thing wrong, and what would be a right finding.

A finding is right if its name is one of those given, and, where a layer is given, if it names that layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diagnosis_sets import (
    SPARSE,
    Setup,
    answer,
    block,
    chain,
    classes,
    dense,
    digits,
    letters,
    made,
    numbers,
    only_here,
    series,
    transformer,
    waves,
    words,
    yes_or_no,
)

# Name: (family of networks, names of findings that are right, layer that has to be named or "", function).
DEFECTS: dict[str, tuple[str, tuple[str, ...], str, Callable[[Any, int], Setup]]] = {}
HIGH, LOW = ("learning-rate-high",), ("learning-rate-low",)
PAIR = ("loss-and-activation",)
UNSCALED = ("unscaled-inputs",)
SHUFFLED = ("shuffled-labels",)
MIXED = ("mixed-samples",)


def defect(words: str, family: str, right: tuple[str, ...], layer: str = "") -> Callable[[Any], Any]:
    """Register a set-up with a defect."""

    def keep(function: Callable[[Any, int], Setup]) -> Callable[[Any, int], Setup]:
        DEFECTS[words] = family, right, layer, function
        return function

    return keep


def sgd(K: Any, rate: float, **further: Any) -> Any:
    return K.optimizers.SGD(rate, **further)


def normal(K: Any, spread: float) -> Any:
    return K.initializers.RandomNormal(0.0, spread)


def shuffled(data: Any, seed: int) -> Any:
    random = np.random.default_rng(seed + 1)
    return tuple((x, y[random.permutation(len(y))]) for x, y in data)


# --- dense networks, classes -------------------------------------------------------------------


@defect("eight sigmoid layers", "MLP", ("vanishing-gradients",), "first")
def _(K: Any, seed: int) -> Setup:
    hidden = [dense(K, 32, "sigmoid", name="first" if not place else f"hidden_{place}") for place in range(8)]
    return made(K, chain(K, (64,), *hidden, dense(K, 10, "softmax")), digits(seed, flat=True), SPARSE)


@defect("ten tanh layers that start too small", "MLP", ("vanishing-signal", "vanishing-gradients"), "hidden_")
def _(K: Any, seed: int) -> Setup:
    hidden = [
        dense(K, 32, "tanh", name="first" if not place else f"hidden_{place}", kernel_initializer=normal(K, 0.03))
        for place in range(10)
    ]
    return made(K, chain(K, (64,), *hidden, dense(K, 10, "softmax")), digits(seed, flat=True), SPARSE)


@defect("eight relu layers that start too large", "MLP", ("exploding-gradients", "initial-loss"))
def _(K: Any, seed: int) -> Setup:
    hidden = [dense(K, 64, "relu", kernel_initializer=normal(K, 0.8)) for _ in range(8)]
    return made(K, chain(K, (64,), *hidden, dense(K, 10, "softmax")), digits(seed, flat=True), SPARSE)


@defect("relu units pushed below 0", "MLP", ("dead-units", "ignored-inputs", "no-gradient"), "dead")
def _(K: Any, seed: int) -> Setup:
    dead = dense(K, 32, "relu", bias_initializer=K.initializers.Constant(-10.0), name="dead")
    return made(K, chain(K, (8,), dense(K, 32), dead, dense(K, 3, "softmax")), classes(seed), SPARSE)


@defect("tanh units at their ends", "MLP", ("saturated-units",), "stuck")
def _(K: Any, seed: int) -> Setup:
    stuck = dense(K, 32, "tanh", kernel_initializer=normal(K, 5.0), name="stuck")
    return made(K, chain(K, (8,), stuck, dense(K, 32, "tanh"), dense(K, 3, "softmax")), classes(seed), SPARSE)


@defect("all kernels begin at 0", "MLP", ("no-gradient", "ignored-inputs", "identical-units"))
def _(K: Any, seed: int) -> Setup:
    layers = [
        dense(K, units, act, kernel_initializer="zeros") for units, act in ((32, "relu"), (32, "relu"), (3, "softmax"))
    ]
    return made(K, chain(K, (8,), *layers), classes(seed), SPARSE)


@defect("all units begin alike", "MLP", ("identical-units",), "same")
def _(K: Any, seed: int) -> Setup:
    same = dense(K, 32, "tanh", kernel_initializer=K.initializers.Constant(0.1), name="same")
    last = dense(K, 3, "softmax", kernel_initializer=K.initializers.Constant(0.1))
    return made(K, chain(K, (8,), same, last), classes(seed), SPARSE)


@defect("Adam with learning rate 3", "MLP", (*HIGH, "dead-units"))
def _(K: Any, seed: int) -> Setup:
    return made(
        K,
        chain(K, (64,), dense(K, 64), dense(K, 32), dense(K, 10, "softmax")),
        digits(seed, flat=True),
        SPARSE,
        rate=3.0,
    )


@defect("SGD with learning rate 1e-6", "MLP", LOW)
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 64), dense(K, 32), dense(K, 10, "softmax"))
    return made(K, model, digits(seed, flat=True), SPARSE, optimizer=sgd(K, 1e-6))


@defect("softmax, and from_logits=True", "MLP", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 64), dense(K, 10, "softmax", name="answer"))
    return made(K, model, digits(seed, flat=True), K.losses.SparseCategoricalCrossentropy(from_logits=True))


@defect("no softmax, and from_logits=False", "MLP", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 64), dense(K, 10, None, name="answer"))
    return made(K, model, digits(seed, flat=True), SPARSE)


@defect("softmax over one unit", "MLP", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 32), dense(K, 1, "softmax", name="answer"))
    return made(K, model, yes_or_no(seed), "binary_crossentropy")


@defect("sigmoid for one of ten classes", "MLP", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 64), dense(K, 10, "sigmoid", name="answer"))
    return made(K, model, digits(seed, flat=True), SPARSE)


@defect("pixels from 0 to 255", "MLP", UNSCALED)
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 64), dense(K, 10, "softmax"))
    return made(K, model, digits(seed, flat=True, scale=255), SPARSE)


@defect("columns in raw units", "MLP", UNSCALED)
def _(K: Any, seed: int) -> Setup:
    scale = np.array([1, 10_000, 1, 0.01, 1, 1, 300, 1], "float32")
    data = tuple((x * scale, y) for x, y in classes(seed))
    return made(K, chain(K, (8,), dense(K, 32), dense(K, 3, "softmax")), data, SPARSE)


@defect("labels shuffled", "MLP", SHUFFLED)
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (64,), dense(K, 128), dense(K, 64), dense(K, 10, "softmax"))
    return made(K, model, shuffled(digits(seed, 400, flat=True), seed), SPARSE, epochs=30)


@defect("100 rows, a tenth mislabelled, 300 units, 60 epochs", "MLP", ("overfitting",))
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 300), dense(K, 300), dense(K, 1, "sigmoid"))
    (x, y), (held_x, held_y) = yes_or_no(seed)
    random = np.random.default_rng(seed + 2)
    y, held_y = (np.where(random.random(len(part)) < 0.1, 1 - part, part) for part in (y, held_y))
    return made(K, model, ((x[:100], y[:100]), (held_x, held_y)), "binary_crossentropy", rate=0.002, epochs=60)


@defect("a product with 0", "MLP", ("ignored-inputs", "no-gradient"))
def _(K: Any, seed: int) -> Setup:
    nothing = K.layers.Lambda(lambda x: x * 0, name="nothing")
    return made(K, chain(K, (8,), dense(K, 32), nothing, dense(K, 3, "softmax")), classes(seed), SPARSE)


@defect("a mean over samples is taken away", "MLP", MIXED, "centred")
def _(K: Any, seed: int) -> Setup:
    centred = K.layers.Lambda(lambda x: x - torch.mean(x, dim=0, keepdim=True), name="centred")
    return made(K, chain(K, (8,), dense(K, 32), centred, dense(K, 3, "softmax")), classes(seed), SPARSE)


@defect("a logarithm of 0", "MLP", ("nan", "model-and-data"), "log")
def _(K: Any, seed: int) -> Setup:
    log = K.layers.Lambda(lambda x: torch.log(x), name="log")
    return made(K, chain(K, (8,), dense(K, 32), log, dense(K, 3, "softmax")), classes(seed), SPARSE)


@defect("a root of 0, whose slope is infinite", "MLP", ("nan",), "before")
def _(K: Any, seed: int) -> Setup:
    root = K.layers.Lambda(lambda x: torch.sqrt(x * (x > 0)), name="root")
    return made(
        K, chain(K, (8,), dense(K, 32, None, name="before"), root, dense(K, 3, "softmax")), classes(seed), SPARSE
    )


@defect("all layers frozen but the last, which is behind a detach", "MLP", ("no-gradient",))
def _(K: Any, seed: int) -> Setup:
    cut = K.layers.Lambda(lambda x: x.detach(), name="cut")
    return made(K, chain(K, (8,), dense(K, 32), dense(K, 32), cut, dense(K, 3, "softmax")), classes(seed), SPARSE)


@defect("gradients too small for float16, loss not scaled", "MLP", ("underflow",))
def _(K: Any, seed: int) -> Setup:
    only_here(K)
    policy = {"dtype": "mixed_float16"}
    model = chain(K, (64,), dense(K, 32, **policy), dense(K, 32, **policy), dense(K, 10, "softmax", dtype="float32"))
    setup = made(K, model, digits(seed, flat=True), SPARSE)
    loss = K.losses.SparseCategoricalCrossentropy(name="small")
    setup["model"].compile(K.optimizers.Adam(0.003), loss, loss_weights=[1e-6], auto_scale_loss=False)
    return setup


@defect("torch module with a softmax of its own", "MLP", PAIR)
def _(K: Any, seed: int) -> Setup:
    only_here(K)
    module = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3), torch.nn.Softmax(-1))
    model = K.Sequential([K.Input((8,)), K.from_torch(module)])
    return made(K, model, classes(seed), K.losses.SparseCategoricalCrossentropy(from_logits=True))


# --- dense networks, numbers ---------------------------------------------------------------------


@defect("relu at the end, targets below 0", "regression", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (6,), dense(K, 32), dense(K, 1, "relu", name="answer")), numbers(seed), "mse")


@defect("sigmoid at the end, targets to 50", "regression", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 32), dense(K, 1, "sigmoid", name="answer"))
    return made(K, model, numbers(seed, mean=22, spread=9), "mse")


@defect("targets in dollars", "regression", ("unscaled-targets",))
def _(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (6,), dense(K, 32), dense(K, 1, None)), numbers(seed, mean=180_000, spread=80_000), "mse")


@defect("SGD with learning rate 3", "regression", HIGH)
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 32), dense(K, 32), dense(K, 1, None))
    return made(K, model, numbers(seed), "mse", optimizer=sgd(K, 3.0))


@defect("Adam with learning rate 1e-7", "regression", LOW)
def _(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (6,), dense(K, 32), dense(K, 1, None)), numbers(seed), "mse", rate=1e-7)


@defect("columns in raw units, numbers wanted", "regression", UNSCALED)
def _(K: Any, seed: int) -> Setup:
    scale = np.array([1, 10_000, 1, 0.01, 50, 1], "float32")
    data = tuple((x * scale, y) for x, y in numbers(seed))
    return made(K, chain(K, (6,), dense(K, 32), dense(K, 1, None)), data, "mse")


@defect("targets shuffled", "regression", SHUFFLED)
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (6,), dense(K, 256), dense(K, 128), dense(K, 1, None))
    return made(K, model, shuffled(numbers(seed, 300), seed), "mse", epochs=60)


# --- convolutions ------------------------------------------------------------------------------------


def cnn(K: Any, last: Any = "softmax", middle: Any = (), **further: Any) -> Any:
    L = K.layers
    return chain(
        K, (8, 8, 1), L.Conv2D(16, 3, activation="relu", name="edges", **further), *middle, L.MaxPooling2D(), L.Flatten(),
        dense(K, 32), dense(K, 10, last, name="answer"),
    )  # fmt: skip


@defect("CNN: pixels from 0 to 255", "CNN", UNSCALED)
def _(K: Any, seed: int) -> Setup:
    return made(K, cnn(K), digits(seed, 600, scale=255), SPARSE)


@defect("CNN: softmax, and from_logits=True", "CNN", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    return made(K, cnn(K), digits(seed, 600), K.losses.SparseCategoricalCrossentropy(from_logits=True))


@defect("CNN: channels pushed below 0", "CNN", ("dead-units", "ignored-inputs", "no-gradient"), "edges")
def _(K: Any, seed: int) -> Setup:
    return made(K, cnn(K, bias_initializer=K.initializers.Constant(-5.0)), digits(seed, 600), SPARSE)


@defect("CNN: Adam with learning rate 1", "CNN", (*HIGH, "dead-units"))
def _(K: Any, seed: int) -> Setup:
    return made(K, cnn(K), digits(seed, 600), SPARSE, rate=1.0)


@defect("CNN: six sigmoid convolutions", "CNN", ("vanishing-gradients",), "first")
def _(K: Any, seed: int) -> Setup:
    L = K.layers
    hidden = [
        L.Conv2D(8, 3, padding="same", activation="sigmoid", name="first" if not place else f"hidden_{place}")
        for place in range(6)
    ]
    model = chain(K, (8, 8, 1), *hidden, L.GlobalAveragePooling2D(), dense(K, 10, "softmax"))
    return made(K, model, digits(seed, 400), SPARSE, epochs=2)


@defect("CNN: softmax along the samples", "CNN", MIXED, "wrong_axis")
def _(K: Any, seed: int) -> Setup:
    wrong = K.layers.Lambda(lambda x: torch.softmax(x, dim=0), name="wrong_axis")
    return made(K, cnn(K, middle=[wrong]), digits(seed, 600), SPARSE, epochs=2)


@defect("CNN: labels shuffled", "CNN", SHUFFLED)
def _(K: Any, seed: int) -> Setup:
    return made(K, cnn(K), shuffled(digits(seed, 300), seed), SPARSE, epochs=50)


# --- recurrent ----------------------------------------------------------------------------------------


@defect("RNN: relu, and recurrent weights too large", "RNN", ("exploding-gradients", "initial-loss", *HIGH))
def _(K: Any, seed: int) -> Setup:
    layer = K.layers.SimpleRNN(24, activation="relu", recurrent_initializer=normal(K, 0.6))
    return made(K, chain(K, (16, 2), layer, dense(K, 3, "softmax")), waves(seed), SPARSE)


@defect("LSTM: inputs in thousands", "RNN", UNSCALED)
def _(K: Any, seed: int) -> Setup:
    data = tuple((x * 1000 + 5000, y) for x, y in waves(seed))
    return made(K, chain(K, (16, 2), K.layers.LSTM(24), dense(K, 3, "softmax")), data, SPARSE)


@defect("LSTM: Adam with learning rate 3", "RNN", HIGH)
def _(K: Any, seed: int) -> Setup:
    return made(K, chain(K, (16, 2), K.layers.LSTM(24), dense(K, 3, "softmax")), waves(seed), SPARSE, rate=3.0)


@defect("GRU: SGD with learning rate 1e-6", "RNN", LOW)
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (16, 1), K.layers.GRU(16), dense(K, 1, None))
    return made(K, model, series(seed), "mse", optimizer=sgd(K, 1e-6))


@defect("LSTM: no sigmoid, and from_logits=False", "RNN", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    L = K.layers
    model = chain(K, (12,), L.Embedding(30, 8), L.LSTM(16), dense(K, 1, None, name="answer"))
    return made(K, model, words(seed), "binary_crossentropy")


@defect("GRU: tanh at the end, targets to 40", "RNN", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    data = tuple((x, 25 + 8 * y) for x, y in series(seed))
    return made(K, chain(K, (16, 1), K.layers.GRU(16), dense(K, 1, "tanh", name="answer")), data, "mse")


@defect("LSTM: all that it says is thrown away", "RNN", ("ignored-inputs", "no-gradient"))
def _(K: Any, seed: int) -> Setup:
    nothing = K.layers.Lambda(lambda x: torch.ones_like(x), name="nothing")
    return made(K, chain(K, (16, 2), K.layers.LSTM(24), nothing, dense(K, 3, "softmax")), waves(seed), SPARSE)


@defect("LSTM: labels shuffled", "RNN", SHUFFLED)
def _(K: Any, seed: int) -> Setup:
    model = chain(K, (16, 2), K.layers.LSTM(48), dense(K, 3, "softmax"))
    return made(K, model, shuffled(waves(seed, 150), seed), SPARSE, rate=0.01, epochs=80)


# --- transformers --------------------------------------------------------------------------------------


@defect("transformer: Adam with learning rate 1", "transformer", HIGH)
def _(K: Any, seed: int) -> Setup:
    return made(K, transformer(K, 12, 30, answer(K)), words(seed, 600), "binary_crossentropy", rate=1.0, epochs=3)


@defect("transformer: softmax, and from_logits=True", "transformer", PAIR, "answer")
def _(K: Any, seed: int) -> Setup:
    model = transformer(K, 16, 12, dense(K, 12, "softmax", name="answer"), causal=True)
    return made(K, model, letters(seed), K.losses.SparseCategoricalCrossentropy(from_logits=True), epochs=2)


@defect("transformer: SGD with learning rate 1e-6", "transformer", LOW)
def _(K: Any, seed: int) -> Setup:
    model = transformer(K, 12, 30, answer(K))
    return made(K, model, words(seed, 600), "binary_crossentropy", optimizer=sgd(K, 1e-6), epochs=3)


@defect("transformer: samples and steps exchanged in attention", "transformer", MIXED, "attention")
def _(K: Any, seed: int) -> Setup:
    L = K.layers
    inputs = K.Input((12,), dtype="int32")
    x = L.Embedding(30, 16)(inputs)

    def attend(x: Any) -> Any:
        x = x.transpose(0, 1)  # for a layer that wants steps first
        return (torch.softmax(x @ x.transpose(1, 2), -1) @ x).transpose(0, 1)

    x = L.Lambda(attend, name="attention")(x)
    return made(K, K.Model(inputs, answer(K)(x)), words(seed, 600), "binary_crossentropy", epochs=2)


@defect("transformer: labels shuffled", "transformer", SHUFFLED)
def _(K: Any, seed: int) -> Setup:
    model = transformer(K, 12, 30, answer(K))
    return made(K, model, shuffled(words(seed, 320), seed), "binary_crossentropy", rate=0.005, epochs=40)


@defect("transformer: numbers in thousands", "transformer", UNSCALED)
def _(K: Any, seed: int) -> Setup:
    inputs = K.Input((16, 1))
    x = block(K, dense(K, 16, None)(inputs), 16)
    model = K.Model(inputs, dense(K, 1, None)(K.layers.Flatten()(x)))
    return made(K, model, tuple((x * 3000 + 1000, y) for x, y in series(seed)), "mse", epochs=3)
