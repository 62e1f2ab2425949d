"""Mixed precision: a policy for all layers, a float32 head, dtypes of variables and outputs."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

keras.mixed_precision.set_global_policy("mixed_bfloat16")
policy = keras.mixed_precision.global_policy()
print(policy.name, policy.compute_dtype, policy.variable_dtype)
inputs = keras.Input((20,))
x = layers.Dense(16, activation="relu", name="one")(inputs)
kind = str(x.dtype).replace("torch.", "")
x = layers.Dense(3, name="two")(x)
outputs = layers.Activation("softmax", dtype="float32", name="probabilities")(x)
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
rng = np.random.default_rng(15)
history = model.fit(rng.random((64, 20)), rng.integers(0, 3, 64), epochs=2, verbose=0)
predicted = model.predict(rng.random((4, 20)), verbose=0)
print(kind, model.get_layer("one").kernel.dtype, model.get_layer("one").compute_dtype, predicted.dtype)
keras.mixed_precision.set_global_policy("float32")

keras.config.set_floatx("float32")
half = layers.Dense(2, dtype="mixed_float16")
half.build((None, 4))
print(half.dtype_policy.name, half.compute_dtype, half.variable_dtype, half.kernel.dtype)
scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
print(type(scaled).__name__, keras.config.floatx(), keras.config.epsilon(), keras.backend.epsilon())
