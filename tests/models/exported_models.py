"""Models of every family of layers, for the tests of export and of torch's tools."""

from __future__ import annotations

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers as L
from uncrumple.layers import Input


def sequential(make):
    """Return a function that makes a new model of the layers that `make` lists."""
    return lambda: keras.Sequential(make())


def branches():
    inputs = Input((6,))
    one, other = L.Dense(4, activation="relu")(inputs), L.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, [L.Dense(2)(L.Concatenate()([one, other])), L.Multiply()([one, other])])


def named_inputs():
    left, right = Input((4,), name="left"), Input((3,), name="right")
    joined = L.Concatenate()([left, right])
    return keras.Model(
        {"left": left, "right": right}, {"sum": L.Dense(2, name="s")(joined), "end": L.Dense(1, name="e")(joined)}
    )


def two_inputs():
    left, right = Input((4,), name="left"), Input((4,), name="right")
    return keras.Model([left, right], L.Dense(2)(L.Subtract()([left, right])))


def transformer(mask_zero=False):
    tokens = Input((7,), dtype="int32")
    x = L.Embedding(11, 8, mask_zero=mask_zero)(tokens)
    x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)]))
    x = L.LayerNormalization()(x + L.Dense(8)(L.Dense(16, activation="gelu")(x)))
    return keras.Model(tokens, L.Dense(3, activation="softmax")(L.GlobalAveragePooling1D()(x)))


def nested():
    inner = keras.Sequential([Input((5,)), L.Dense(4, activation="relu"), L.Dense(5)], name="inner")
    inputs = Input((5,))
    return keras.Model(inputs, L.Dense(2)(inner(inputs) + inner(inputs * 2)))


def residual():
    inputs = Input((8, 8, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=False)(inputs)))
    x = L.ReLU()(L.Add()([x, L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x))]))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


class Written(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = L.Dense(4, activation="relu"), L.Dropout(0.5), torch.nn.Linear(4, 2)

    def call(self, inputs, training=False):
        return self.last(self.drop(self.first(inputs)))


def written():
    model = Written()
    model(torch.zeros(2, 3))
    return model


KINDS = {
    "dense": sequential(
        lambda: [
            *(Input((4,)), L.Dense(300, activation="relu"), L.BatchNormalization(), L.Dropout(0.5)),
            *(L.Dense(3, activation="softmax"),),
        ]
    ),
    "convolutions": sequential(
        lambda: [
            *(Input((12, 12, 1)), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(), L.Dropout(0.2)),
            *(L.Conv2D(4, 3, padding="same", strides=2), L.BatchNormalization(), L.Flatten(), L.Dense(3)),
        ]
    ),
    "other_convolutions": sequential(
        lambda: [
            *(Input((9, 9, 2)), L.DepthwiseConv2D(3, padding="same"), L.AveragePooling2D(2, padding="same")),
            *(L.SeparableConv2D(4, 3), L.Conv2DTranspose(3, 3, strides=2, padding="same"), L.UpSampling2D(2)),
            *(L.ZeroPadding2D(1), L.Cropping2D(1), L.GlobalMaxPooling2D()),
        ]
    ),
    "along_a_line": sequential(
        lambda: [
            *(Input((12, 3)), L.Conv1D(4, 3, padding="causal", activation="relu"), L.MaxPooling1D(2, padding="same")),
            *(L.Conv1D(5, 3, activation="relu"), L.GlobalMaxPooling1D()),
        ]
    ),
    "volumes": sequential(
        lambda: [Input((6, 6, 6, 1)), L.Conv3D(2, 3, activation="relu"), L.MaxPooling3D(2), L.Flatten(), L.Dense(2)]
    ),
    "residual": residual,
    "lstm": sequential(lambda: [Input((6, 3)), L.LSTM(5, return_sequences=True), L.LSTM(4, go_backwards=True)]),
    "gru": sequential(lambda: [Input((6, 3)), L.GRU(5, return_sequences=True), L.GRU(4, use_bias=False)]),
    "simple_rnn": sequential(
        lambda: [Input((6, 3)), L.SimpleRNN(5, return_sequences=True), L.SimpleRNN(4, activation="relu")]
    ),
    "bidirectional": sequential(
        lambda: [
            *(Input((6, 3)), L.Bidirectional(L.LSTM(5, return_sequences=True))),
            *(L.Bidirectional(L.GRU(4), merge_mode="sum"),),
        ]
    ),
    "masked": sequential(
        lambda: [
            *(Input((6,), dtype="int32"), L.Embedding(10, 4, mask_zero=True)),
            *(L.Bidirectional(L.LSTM(5, return_sequences=True)), L.GRU(3), L.Dense(1, activation="sigmoid")),
        ]
    ),
    "step_by_step": sequential(lambda: [Input((4, 3)), L.RNN([L.LSTMCell(4), L.GRUCell(3, reset_after=False)])]),
    "embedding": sequential(
        lambda: [Input((6,), dtype="int32"), L.Embedding(10, 4, mask_zero=True), L.GlobalAveragePooling1D(), L.Dense(2)]
    ),
    "transformer": transformer,
    "masked_transformer": lambda: transformer(mask_zero=True),
    "normalizations": sequential(
        lambda: [
            *(Input((6, 8)), L.LayerNormalization(), L.GroupNormalization(2), L.UnitNormalization()),
            *(L.RMSNormalization(), L.TimeDistributed(L.Dense(3)), L.Permute((2, 1)), L.Reshape((18,))),
            *(L.LeakyReLU(), L.PReLU(), L.Dense(4, activation="swish"), L.GaussianNoise(0.1), L.Softmax()),
        ]
    ),
    "branches": branches,
    "two_inputs": two_inputs,
    "named_inputs": named_inputs,
    "nested": nested,
    "written": written,
}
# Of these the length of the sequences is unknown too.
LONG = {
    "long_lstm": sequential(lambda: [Input((None, 3)), L.Bidirectional(L.LSTM(5, return_sequences=True)), L.GRU(4)]),
    "long_masked": sequential(lambda: [Input((None,), dtype="int32"), L.Embedding(10, 4, mask_zero=True), L.LSTM(5)]),
    "long_convolution": sequential(lambda: [Input((None, 3)), L.Conv1D(4, 3, padding="same"), L.GlobalMaxPooling1D()]),
}


def made(name):
    """Return a model with weights that are no beginner's: no zeros, no ones."""
    model = {**KINDS, **LONG}[name]()
    with torch.no_grad():
        for weight in model.weights:
            if weight.is_floating_point():
                weight.add_(torch.rand_like(weight) * 0.2)
    return model


def data(model, samples, length=6):
    """Return an array per input."""
    random = np.random.default_rng(samples)
    found = []
    for tensor in model.inputs or [None]:
        shape = (samples, 3) if tensor is None else (samples, *[size or length for size in tensor.shape[1:]])
        if tensor is not None and not tensor.dtype.is_floating_point:
            found.append(random.integers(0, 10, shape).astype("int32"))
        else:
            found.append(random.normal(size=shape).astype("float32"))
    return found


def as_argument(model, arrays):
    """Return arrays in the structure that the model takes."""
    tensors = [torch.from_numpy(one) for one in arrays]
    if model._graph is not None and isinstance(model._graph.inputs, dict):
        return dict(zip(sorted(model._graph.inputs), tensors))
    return tensors if len(tensors) > 1 else tensors[0]
