"""A published network as a feature extractor: freeze, train a head, thaw the last block, train slowly."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(5)
images = (rng.random((16, 32, 32, 3)) * 255).astype("float32")
labels = rng.integers(0, 2, 16)

base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
base.trainable = False
print("trainable when frozen:", len(base.trainable_weights))

inputs = keras.Input(shape=(32, 32, 3))
x = keras.applications.mobilenet_v2.preprocess_input(inputs)
x = base(x, training=False)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dropout(0.2)(x)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
model.compile(
    optimizer=keras.optimizers.Adam(),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
before = base.get_weights()[0].copy()
first = model.fit(images, labels, epochs=1, verbose=0)
same = bool((before == base.get_weights()[0]).all())
print("base untouched:", same)

base.trainable = True
for layer in base.layers[:-6]:
    layer.trainable = False
print(
    "trainable after thawing:",
    len(base.trainable_weights),
    len(model.trainable_weights),
    len(model.non_trainable_weights),
)
model.compile(
    optimizer=keras.optimizers.Adam(1e-5),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
second = model.fit(images, labels, epochs=2, initial_epoch=1, verbose=0)
model.save_weights("tuned.weights.h5")
model.load_weights("tuned.weights.h5")
logits = model.predict(images, verbose=0)
features = base.predict(keras.applications.mobilenet_v2.preprocess_input(images.copy()), verbose=0)
print(len(base.layers), features.shape)
