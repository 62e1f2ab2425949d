"""A build function with settings, a random search by hand, and the best one trained: what tuners do."""

import itertools

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(22)
x, y = rng.random((60, 5)), rng.integers(0, 2, 60)


class Settings:
    """Stands in for a tuner's object: every choice has a name."""

    def __init__(self, values):
        self.values = values

    def Int(self, name, min_value, max_value, step=1):
        return self.values.get(name, min_value)

    def Choice(self, name, values):
        return self.values.get(name, values[0])

    def Boolean(self, name):
        return self.values.get(name, False)


def build_model(hp):
    model = keras.Sequential()
    model.add(keras.Input(shape=(5,)))
    for i in range(hp.Int("depth", 1, 3)):
        model.add(
            layers.Dense(hp.Int(f"units_{i}", 4, 16, 4), activation=hp.Choice("activation", ["relu", "tanh", "elu"]))
        )
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(
        optimizer=hp.Choice("optimizer", ["rmsprop", "adam"]), loss="binary_crossentropy", metrics=["accuracy"]
    )
    return model


trials = []
for depth, optimizer, dropout in itertools.product((1, 2), ("adam", "rmsprop"), (True,)):
    keras.backend.clear_session()
    model = build_model(Settings({"depth": depth, "optimizer": optimizer, "dropout": dropout, "units_0": 8}))
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1)
    history = model.fit(x, y, epochs=2, validation_split=0.2, callbacks=[stop], verbose=0)
    trials.append((max(history.history["val_accuracy"]), depth, optimizer, dropout, model.count_params()))
names = [layer.name for layer in model.layers]
print(len(trials), [t[1:] for t in trials], names)
