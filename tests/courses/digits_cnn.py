"""Digits with a small convolutional network in the functional style, sparse labels, callbacks and a saved best model."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(1)
images = rng.random((120, 28, 28), dtype="float32")
labels = rng.integers(0, 10, 120).astype("uint8")
images = np.expand_dims(images, -1)

inputs = keras.Input(shape=(28, 28, 1), name="image")
x = layers.Conv2D(8, kernel_size=3, activation="relu")(inputs)
x = layers.MaxPooling2D(pool_size=2)(x)
x = layers.Conv2D(16, (3, 3), padding="same", use_bias=False)(x)
x = layers.BatchNormalization()(x)
x = layers.Activation("relu")(x)
x = layers.AveragePooling2D(2)(x)
x = layers.Flatten()(x)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(10, activation="softmax")(x)
model = keras.Model(inputs=inputs, outputs=outputs, name="convnet")
model.summary(line_length=80)
model.compile(
    "adam",
    "sparse_categorical_crossentropy",
    metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top3")],
)

callbacks = [
    keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True, monitor="val_loss"),
    keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=3, restore_best_weights=True),
    keras.callbacks.CSVLogger("log.csv"),
]
history = model.fit(
    images, labels, epochs=2, batch_size=32, validation_data=(images[:20], labels[:20]), callbacks=callbacks, verbose=0
)
best = keras.models.load_model("best.keras")
loss, accuracy, top3 = best.evaluate(images, labels, verbose=0)
features = keras.Model(model.inputs, [layer.output for layer in model.layers[1:4]])
maps = features.predict(images[:2], verbose=0)
shapes = [m.shape for m in maps]
print(shapes)
with open("log.csv") as log:
    header = log.readline().strip()
print(header)
filters = model.get_layer("conv2d").get_weights()[0]
print(model.get_layer(index=1).name, filters.shape)
