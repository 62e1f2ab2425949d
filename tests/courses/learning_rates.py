"""Learning rates: schedules, a callback per epoch, plateaus, warm-up of one's own, and what the history keeps."""

import math

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops

schedules = keras.optimizers.schedules
rng = np.random.default_rng(16)
x, y = rng.random((64, 6)), rng.random(64)


def build():
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(1)])


values = {}
for schedule in (
    schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.9, staircase=True),
    schedules.PolynomialDecay(0.1, 20, end_learning_rate=0.01, power=2.0),
    schedules.PiecewiseConstantDecay([5, 10], [0.1, 0.05, 0.01]),
    schedules.InverseTimeDecay(0.1, 10, 0.5),
    schedules.CosineDecay(0.1, 20, alpha=0.1),
    schedules.CosineDecayRestarts(0.1, 5),
):
    values[type(schedule).__name__] = [round(float(schedule(step)), 6) for step in (0, 4, 5, 11, 20)]
    model = build()
    model.compile(keras.optimizers.SGD(learning_rate=schedule, momentum=0.9, nesterov=True), "mse")
    model.fit(x, y, epochs=1, verbose=0)
print(values)


class WarmUp(schedules.LearningRateSchedule):
    def __init__(self, peak, steps):
        self.peak, self.steps = peak, steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        return self.peak * ops.minimum(1.0, (step + 1) / self.steps)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps}


model = build()
model.compile(keras.optimizers.Adam(WarmUp(0.01, 4)), "mse")
warm = model.fit(x, y, epochs=2, verbose=0)
print(round(float(model.optimizer.learning_rate), 5))

model = build()
model.compile(keras.optimizers.SGD(0.1), "mse")
by_epoch = model.fit(
    x,
    y,
    epochs=4,
    verbose=0,
    callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate * math.exp(-0.1))],
)
rates = [round(float(rate), 5) for rate in by_epoch.history["learning_rate"]]
print(rates, sorted(by_epoch.history))
model.optimizer.learning_rate = 0.05
model.optimizer.learning_rate.assign(0.025)
print(round(float(model.optimizer.learning_rate), 5))
plateau = model.fit(
    x,
    y,
    validation_split=0.25,
    epochs=4,
    verbose=0,
    callbacks=[keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=10.0)],
)
print(sorted(plateau.history), [round(float(rate), 5) for rate in plateau.history["learning_rate"]])
for name in ("sgd", "rmsprop", "adam", "adamw", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lion", "adafactor"):
    optimizer = keras.optimizers.get(name)
    print(name, type(optimizer).__name__, round(float(optimizer.learning_rate), 5))
