"""A classifier by hand: variables, a matrix product, gradients, and then the same with three lines of Keras."""

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers, ops

keras.utils.set_random_seed(0)
rng = np.random.default_rng(28)
negative = rng.multivariate_normal([0, 3], [[1, 0.5], [0.5, 1]], 100)
positive = rng.multivariate_normal([3, 0], [[1, 0.5], [0.5, 1]], 100)
inputs = np.vstack([negative, positive]).astype("float32")
labels = np.repeat([0, 1], 100)
targets = ops.convert_to_tensor(labels[:, None].astype("float32"))

W = keras.Variable(keras.random.uniform((2, 1), seed=1), name="W")
b = keras.Variable(np.zeros((1,), "float32"))
losses = []
for _ in range(30):
    predictions = ops.matmul(inputs, W) + b
    loss = ops.mean(ops.square(targets - predictions))
    loss.backward()
    with torch.no_grad():
        W.assign(W - 0.1 * W.value.grad)
        b.assign_sub(0.1 * b.value.grad)
    W.value.grad = None
    b.value.grad = None
    losses.append(float(loss))
print(losses[-1] < losses[0], losses[-1] < 0.1)

model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse", metrics=["accuracy"])
history = model.fit(inputs, targets, epochs=3, batch_size=50, verbose=0)
print(sorted(history.history), model.built)
model.summary()


class NaiveDense:
    def __init__(self, input_size, output_size, activation=None):
        self.activation = activation
        self.W = keras.Variable(shape=(input_size, output_size), initializer="uniform")
        self.b = keras.Variable(shape=(output_size,), initializer="zeros")

    def __call__(self, x):
        x = ops.matmul(x, self.W) + self.b
        return x if self.activation is None else self.activation(x)

    @property
    def weights(self):
        return [self.W, self.b]


class NaiveSequential:
    def __init__(self, parts):
        self.layers = parts

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def weights(self):
        return [weight for layer in self.layers for weight in layer.weights]


naive = NaiveSequential([NaiveDense(2, 8, ops.relu), NaiveDense(8, 2, ops.softmax)])
optimizer = keras.optimizers.SGD(learning_rate=1e-2)
for start in range(0, 200, 50):
    loss = ops.mean(ops.sparse_categorical_crossentropy(labels[start : start + 50], naive(inputs[start : start + 50])))
    loss.backward()
    with torch.no_grad():
        optimizer.apply([weight.value.grad for weight in naive.weights], naive.weights)
    for weight in naive.weights:
        weight.value.grad = None
found = ops.argmax(naive(inputs), axis=1)
print(found.shape, len(naive.weights), int(optimizer.iterations))
