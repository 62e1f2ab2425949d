"""A convolutional network on 1,797 handwritten digits, with early stopping, saved and loaded. Runs offline.

python examples/cnn_digits.py
"""

import tempfile
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import uncrumple as keras
from uncrumple import layers

keras.utils.set_random_seed(0)

digits = load_digits()
x = digits.images[..., None]  # (1797, 8, 8, 1): samples, height, width, channels
x_train, x_test, y_train, y_test = train_test_split(
    x, digits.target, test_size=0.2, stratify=digits.target, random_state=0
)

model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Rescaling(1 / 16),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
model.fit(x_train, y_train, epochs=15, validation_split=0.15, callbacks=[stop], verbose=2)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy {accuracy:.3f}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.keras"
    model.save(path)  # real Keras opens this file, too
    again = keras.models.load_model(path)
    same = (again.predict(x_test, verbose=0) == model.predict(x_test, verbose=0)).all()
    print(f"saved and loaded; the same predictions: {same}")

assert accuracy >= 0.95, f"accuracy fell to {accuracy:.3f}"
assert same
