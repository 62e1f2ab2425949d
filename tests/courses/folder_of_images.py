"""Pictures in a folder per class, read in batches, cached and prefetched, with augmentation in the model."""

import pathlib

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(2)
root = pathlib.Path("pets")
for name in ("cats", "dogs"):
    (root / name).mkdir(parents=True)
    for number in range(12):
        keras.utils.save_img(root / name / f"{number}.png", rng.integers(0, 255, (20, 24, 3)).astype("uint8"))

train = keras.utils.image_dataset_from_directory(
    root, validation_split=0.25, subset="training", seed=7, image_size=(32, 32), batch_size=6, label_mode="binary"
)
held = keras.utils.image_dataset_from_directory(
    root, validation_split=0.25, subset="validation", seed=7, image_size=(32, 32), batch_size=6, label_mode="binary"
)
class_names = train.class_names
print(class_names)
for images, labels in train:
    print(images.shape, labels.shape)
    break

augmentation = keras.Sequential(
    [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.2)], name="augmentation"
)
inputs = keras.Input((32, 32, 3))
x = augmentation(inputs)
x = layers.Rescaling(1.0 / 255)(x)
for size in (8, 16):
    x = layers.SeparableConv2D(size, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(train, epochs=2, validation_data=held, verbose=0)
results = model.evaluate(held, verbose=0, return_dict=True)
print(sorted(results))
picture = keras.utils.load_img(root / "cats" / "0.png", target_size=(32, 32))
array = keras.utils.img_to_array(picture)
batch = keras.ops.expand_dims(array, 0)
score = float(model.predict(batch, verbose=0)[0][0])
augmented = augmentation(batch)
print(array.shape, array.dtype, augmented.shape)
