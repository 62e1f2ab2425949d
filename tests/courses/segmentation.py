"""Masks for pictures: a small U-Net with skips, sparse labels per pixel, mean IoU; a Grad-CAM on another network."""

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers, ops

rng = np.random.default_rng(25)
images = rng.random((8, 32, 32, 3)).astype("float32")
masks = rng.integers(0, 3, (8, 32, 32, 1)).astype("uint8")


def down(x, filters):
    x = layers.Conv2D(filters, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    return x, layers.MaxPooling2D()(x)


inputs = keras.Input((32, 32, 3))
skip_1, x = down(inputs, 4)
skip_2, x = down(x, 8)
x = layers.SpatialDropout2D(0.1)(layers.Conv2D(8, 3, dilation_rate=2, activation="relu", padding="same")(x))
for skip, filters in ((skip_2, 8), (skip_1, 4)):
    x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
    x = layers.concatenate([x, skip])
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
outputs = layers.Conv2D(3, 1, activation="softmax")(x)
model = keras.Model(inputs, outputs, name="unet")
model.compile(
    "rmsprop",
    "sparse_categorical_crossentropy",
    metrics=["accuracy", keras.metrics.MeanIoU(num_classes=3, sparse_y_pred=False, name="iou")],
)
history = model.fit(images, masks, epochs=1, batch_size=4, validation_data=(images, masks), verbose=0)
classes = model.predict(images, verbose=0).argmax(-1)
print(sorted(history.history), classes.shape)

network = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        layers.Conv2D(4, 3, activation="relu", name="last"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    ]
)
both = keras.Model(network.inputs, [network.get_layer("last").output, network.output])
maps, scores = both(images[:1])
maps.retain_grad()
scores[0, 1].backward()
importance = ops.mean(maps.grad, axis=(0, 1, 2))
heat = ops.convert_to_numpy(ops.relu(ops.sum(maps.detach() * importance, axis=-1))[0])
print(heat.shape, torch.is_tensor(importance))
picture = torch.nn.Parameter(torch.rand(1, 32, 32, 3))
network(picture)[:, 0].mean().backward()
print(picture.grad.shape)
