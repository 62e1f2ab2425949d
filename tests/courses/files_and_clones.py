"""Saving, loading, cloning, JSON, weights by name into another model, get_config and from_config."""

import json

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(19)
x, y = rng.random((40, 6)).astype("float32"), rng.integers(0, 3, 40)
model = keras.Sequential(
    [
        keras.Input((6,)),
        layers.Dense(8, activation="relu", name="body"),
        layers.Dense(3, activation="softmax", name="head"),
    ],
    name="small",
)
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=1, verbose=0)
expected = model.predict(x, verbose=0)


def same(other):
    return bool(np.allclose(other.predict(x, verbose=0), expected, atol=1e-6))


model.save("whole.keras")
model.save("whole.h5")
model.save_weights("only.weights.h5")
whole, older = keras.models.load_model("whole.keras"), keras.models.load_model("whole.h5")
print(same(whole), same(older), whole.optimizer.learning_rate == model.optimizer.learning_rate)
resumed = whole.fit(x, y, epochs=3, initial_epoch=1, verbose=0)
print(resumed.epoch, int(whole.optimizer.iterations))

copy = keras.models.clone_model(model)
print("clone starts anew:", not same(copy))
copy.set_weights(model.get_weights())
print(same(copy), [w.path for w in copy.weights])
text = model.to_json()
from_text = keras.models.model_from_json(text)
from_text.load_weights("only.weights.h5")
from_config = keras.Sequential.from_config(model.get_config())
print(same(from_text), [layer.name for layer in from_config.layers], json.loads(text)["class_name"])

wider = keras.Sequential(
    [keras.Input((6,)), layers.Dense(8, activation="relu", name="body"), layers.Dense(5, name="other")]
)
for layer in wider.layers:
    if layer.name in [one.name for one in model.layers]:
        layer.set_weights(model.get_layer(layer.name).get_weights())
wider.get_layer("body").trainable = False
print(
    len(wider.trainable_weights),
    bool((wider.get_layer("body").kernel.numpy() == model.get_layer("body").kernel.numpy()).all())
    if hasattr(model.get_layer("body").kernel, "numpy")
    else True,
)

swish_free = keras.models.clone_model(
    model, clone_function=lambda layer: layer.__class__.from_config({**layer.get_config(), "name": layer.name + "_b"})
)
print([layer.name for layer in swish_free.layers])
model.pop()
print(model.output_shape, len(model.layers))
try:
    keras.models.load_model("missing.keras")
except (ValueError, OSError) as error:
    print(type(error).__name__)
