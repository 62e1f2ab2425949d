"""Augmentation as a pipeline before the model and as a part of it; what acts when."""

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops

rng = np.random.default_rng(14)
images = rng.integers(0, 255, (16, 24, 24, 3)).astype("float32")
labels = rng.integers(0, 3, 16)

pipeline = [
    layers.RandomFlip("horizontal_and_vertical"),
    layers.RandomRotation(factor=0.15, fill_mode="nearest"),
    layers.RandomTranslation(0.1, 0.1, fill_mode="reflect"),
    layers.RandomZoom((-0.2, 0.0)),
    layers.RandomContrast(factor=0.2),
    layers.RandomBrightness(factor=0.1, value_range=(0, 255)),
    layers.RandomCrop(20, 20),
    layers.Resizing(16, 16, interpolation="bilinear"),
    layers.CenterCrop(12, 12),
    layers.Rescaling(scale=1.0 / 127.5, offset=-1),
]
shapes = []
pictures = images
for layer in pipeline:
    pictures = layer(pictures)
    shapes.append((type(layer).__name__, tuple(pictures.shape)))
print(shapes)


def augment(batch):
    for layer in pipeline[:6]:
        batch = layer(batch)
    return batch


data_augmentation = keras.Sequential(pipeline[:4])
changed = bool(ops.any(ops.abs(data_augmentation(images) - images) > 1e-3))
unchanged = not bool(ops.any(ops.abs(data_augmentation(images, training=False) - images) > 1e-3))
print("acts:", changed, "rests:", unchanged)

model = keras.Sequential(
    [
        keras.Input((24, 24, 3)),
        data_augmentation,
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3, activation="relu"),
        layers.GlobalMaxPooling2D(),
        layers.Dense(3, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(images, labels, epochs=2, batch_size=8, verbose=0)
first, second = model.predict(images, verbose=0), model.predict(images, verbose=0)
steady = bool(np.allclose(first, second))
print(steady, augment(images).shape, sorted(history.history))
