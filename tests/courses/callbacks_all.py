"""The callbacks of a long training: checkpoints per epoch, early stop, logs, TensorBoard, lambda, backup, NaN guard."""

import csv
import json
import os

import numpy as np

import uncrumple as keras
from uncrumple import layers

keras.utils.set_random_seed(1)
rng = np.random.default_rng(17)
x = rng.random((80, 5)).astype("float32")
y = (x.sum(axis=1) > 2.5).astype("int64")
model = keras.Sequential([keras.Input((5,)), layers.Dense(8, activation="relu"), layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy", "precision", keras.metrics.Recall(name="recall")])
seen = []
os.makedirs("checkpoints")
callbacks = [
    keras.callbacks.ModelCheckpoint("checkpoints/epoch_{epoch:02d}.weights.h5", save_weights_only=True),
    keras.callbacks.ModelCheckpoint("best.keras", monitor="val_accuracy", mode="max", save_best_only=True),
    keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, min_delta=5.0, verbose=0),
    keras.callbacks.CSVLogger("training.csv", separator=";"),
    keras.callbacks.TensorBoard(log_dir="logs"),
    keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch)),
    keras.callbacks.TerminateOnNaN(),
    keras.callbacks.BackupAndRestore("backup"),
]
history = model.fit(x, y, epochs=20, batch_size=16, validation_split=0.2, callbacks=callbacks, verbose=0)
print(seen, sorted(os.listdir("checkpoints")), history.epoch, sorted(history.history), history.params["epochs"])
with open("training.csv") as file:
    rows = list(csv.reader(file, delimiter=";"))
print(rows[0], len(rows))
print(os.path.isdir("logs"), any("events" in name for _, _, names in os.walk("logs") for name in names))
model.load_weights("checkpoints/epoch_01.weights.h5")
best = keras.models.load_model("best.keras")
print(best.optimizer.name, len(best.evaluate(x, y, verbose=0)), json.dumps(sorted(history.params)))
