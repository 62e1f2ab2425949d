"""A small residual network from functions: blocks, shared layers, weight decay, label smoothing, plot of the graph."""

import numpy as np

import uncrumple as keras
from uncrumple import layers, regularizers


def residual_block(x, filters, pooling=False):
    residual = x
    x = layers.Conv2D(filters, 3, activation="relu", padding="same", kernel_regularizer=regularizers.l2(1e-4))(x)
    x = layers.Conv2D(filters, 3, activation="relu", padding="same")(x)
    if pooling:
        x = layers.MaxPooling2D(2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2)(residual)
    elif filters != residual.shape[-1]:
        residual = layers.Conv2D(filters, 1)(residual)
    return layers.add([x, residual])


inputs = keras.Input(shape=(16, 16, 3))
x = layers.Rescaling(1.0 / 255)(inputs)
x = residual_block(x, filters=4, pooling=True)
x = residual_block(x, filters=8, pooling=True)
x = residual_block(x, filters=8, pooling=False)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(5, activation="softmax")(x)
model = keras.Model(inputs=inputs, outputs=outputs)
model.summary()
optimizer = keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4, clipvalue=0.5)
model.compile(
    optimizer,
    keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    metrics=["categorical_accuracy", keras.metrics.F1Score(average="macro")],
)
rng = np.random.default_rng(24)
images = rng.integers(0, 255, (24, 16, 16, 3)).astype("float32")
labels = keras.utils.to_categorical(rng.integers(0, 5, 24), 5)
history = model.fit(images, labels, epochs=2, batch_size=8, verbose=0)
print(len(model.losses), sorted(history.history))

shared = layers.Dense(6, activation="relu", name="shared")
left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
distance = layers.Lambda(lambda both: keras.ops.abs(both[0] - both[1]), name="distance")([shared(left), shared(right)])
siamese = keras.Model([left, right], layers.Dense(1, activation="sigmoid")(distance))
siamese.summary()
siamese.compile("adam", "binary_crossentropy")
pairs = [rng.random((12, 4)), rng.random((12, 4))]
twins = siamese.fit(pairs, rng.integers(0, 2, 12), verbose=0)
middle = keras.Model(siamese.inputs, siamese.get_layer("distance").output).predict(pairs, verbose=0)
print(middle.shape, shared.count_params())
