"""Layers, losses, metrics, activations, regularizers and callbacks of one's own, used together and saved."""

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops


@keras.saving.register_keras_serializable(package="course")
class Linear(layers.Layer):
    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="w"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="float32", name="calls")

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return self.activation(ops.matmul(inputs, self.w) + self.b)

    def get_config(self):
        config = super().get_config()
        config.update({"units": self.units, "activation": keras.activations.serialize(self.activation)})
        return config


@keras.saving.register_keras_serializable(package="course")
class Huber(keras.losses.Loss):
    def __init__(self, threshold=1.0, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        small = ops.abs(error) <= self.threshold
        return ops.where(small, ops.square(error) / 2, self.threshold * ops.abs(error) - self.threshold**2 / 2)

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable(package="course")
class RootMeanSquare(keras.metrics.Metric):
    def __init__(self, name="rms", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.samples = self.add_weight(name="samples", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.cast(y_true, "float32")
        self.total.assign_add(ops.sum(ops.square(y_true - y_pred)))
        self.samples.assign_add(ops.cast(ops.shape(y_pred)[0], "float32"))

    def result(self):
        return ops.sqrt(self.total / self.samples)

    def reset_state(self):
        self.total.assign(0.0)
        self.samples.assign(0.0)


class Losses(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.per_batch, self.events = [], ["train_begin"]

    def on_batch_end(self, batch, logs=None):
        self.per_batch.append(logs.get("loss"))

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(sorted(logs))
        if epoch == 2:
            self.model.stop_training = True


def leaky(z):
    return ops.maximum(0.1 * z, z)


def positive(w):
    return ops.maximum(w, 0.0)


def mean_percent(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred), axis=-1) * 100


rng = np.random.default_rng(7)
x = rng.normal(size=(96, 5)).astype("float32")
y = (x @ rng.normal(size=(5, 1))).astype("float32")
model = keras.Sequential(
    [
        keras.Input((5,)),
        Linear(16, activation="relu"),
        layers.Dense(
            8,
            activation=leaky,
            kernel_constraint=positive,
            kernel_initializer=lambda shape, dtype=None: ops.ones(shape, dtype) * 0.1,
        ),
        layers.Dense(4, activation=keras.activations.gelu, kernel_regularizer=keras.regularizers.L1L2(1e-4, 1e-4)),
        Linear(1, name="end"),
    ]
)
model.compile(keras.optimizers.Nadam(0.01), Huber(0.5), metrics=[RootMeanSquare(), mean_percent, "mae"])
watcher = Losses()
history = model.fit(x, y, epochs=5, batch_size=32, callbacks=[watcher], verbose=0)
print(watcher.events, len(watcher.per_batch))
print([w.name for w in model.layers[0].weights], len(model.trainable_weights), len(model.non_trainable_weights))
plain = keras.Sequential([keras.Input((5,)), Linear(4, "tanh"), Linear(1)])
plain.compile("sgd", Huber(2.0), metrics=[RootMeanSquare()])
plain.fit(x, y, verbose=0)
plain.save("own.keras")
again = keras.models.load_model("own.keras")
same = bool(np.allclose(again.predict(x, verbose=0), plain.predict(x, verbose=0), atol=1e-6))
config = plain.layers[0].get_config()
settings = {key: config[key] for key in ("units", "activation")}
print(same, settings, again.loss.threshold)
