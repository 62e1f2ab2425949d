"""A training step of one's own: the model keeps compile, fit and callbacks."""

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers

loss_function = keras.losses.SparseCategoricalCrossentropy()
loss_tracker = keras.metrics.Mean(name="loss")


class CustomModel(keras.Model):
    def train_step(self, data):
        inputs, targets = data
        self.zero_grad()
        predictions = self(inputs, training=True)
        loss = loss_function(targets, predictions)
        loss.backward()
        trainable = list(self.trainable_weights)
        gradients = [v.value.grad for v in trainable]
        with torch.no_grad():
            self.optimizer.apply(gradients, trainable)
        loss_tracker.update_state(loss)
        return {"loss": loss_tracker.result()}

    @property
    def metrics(self):
        return [loss_tracker]


class WithCompiled(keras.Model):
    def train_step(self, data):
        inputs, targets = data
        self.zero_grad()
        predictions = self(inputs, training=True)
        loss = self.compute_loss(y=targets, y_pred=predictions)
        loss.backward()
        trainable = self.trainable_weights
        with torch.no_grad():
            self.optimizer.apply([v.value.grad for v in trainable], trainable)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(targets, predictions)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


rng = np.random.default_rng(8)
x = rng.random((128, 20)).astype("float32")
y = rng.integers(0, 4, 128)
inputs = keras.Input(shape=(20,))
features = layers.Dropout(0.5)(layers.Dense(16, activation="relu")(inputs))
outputs = layers.Dense(4, activation="softmax")(features)
first = CustomModel(inputs, outputs)
first.compile(optimizer=keras.optimizers.Adam())
own = first.fit(x, y, epochs=2, verbose=0)
second = WithCompiled(inputs, outputs)
second.compile(
    optimizer="rmsprop",
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
compiled = second.fit(x, y, epochs=2, validation_split=0.25, verbose=0)
print(sorted(own.history), [sorted(compiled.history), len(compiled.history["loss"])])
checked = second.evaluate(x, y, verbose=0, return_dict=True)
print(sorted(checked))
