"""Digits with a dense network: flatten, scale, one-hot, fit, look at the history, predict one."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

keras.utils.set_random_seed(42)
rng = np.random.default_rng(0)
train_images = rng.integers(0, 256, (300, 28, 28), dtype="uint8")
train_labels = rng.integers(0, 10, 300)
test_images, test_labels = train_images[:50], train_labels[:50]

x_train = train_images.reshape((300, 28 * 28)).astype("float32") / 255
x_test = test_images.reshape((50, 28 * 28)).astype("float32") / 255
y_train = keras.utils.to_categorical(train_labels)
y_test = keras.utils.to_categorical(test_labels, num_classes=10)

model = keras.models.Sequential(name="digits")
model.add(layers.Dense(64, activation="relu", input_shape=(28 * 28,)))
model.add(layers.Dropout(0.2))
model.add(layers.Dense(10, activation="softmax"))
model.compile(optimizer=keras.optimizers.RMSprop(), loss="categorical_crossentropy", metrics=["accuracy"])
model.summary()

history = model.fit(x_train, y_train, epochs=3, batch_size=64, validation_split=0.2, verbose=0)
print(sorted(history.history), len(history.history["loss"]))
score = model.evaluate(x_test, y_test, verbose=0)
print("Test loss and accuracy:", len(score))
predictions = model.predict(x_test[:5], verbose=0)
best = predictions[0].argmax()
sums = predictions.sum(axis=1).round(4)
weights, biases = model.layers[0].get_weights()
print(model.metrics_names, model.input_shape, model.output_shape)
