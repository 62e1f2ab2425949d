"""Against overfitting: penalties, constraints, noise, dropout kept on for uncertainty, batch and group normalization."""

from functools import partial

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops

rng = np.random.default_rng(27)
x, y = rng.random((64, 10)).astype("float32"), rng.integers(0, 3, 64)
RegularizedDense = partial(
    layers.Dense, activation="relu", kernel_initializer="he_normal", kernel_regularizer=keras.regularizers.l2(0.01)
)


class MCDropout(layers.Dropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


model = keras.Sequential(
    [
        keras.Input((10,)),
        layers.GaussianNoise(0.1),
        RegularizedDense(16),
        layers.BatchNormalization(momentum=0.9),
        layers.AlphaDropout(0.1),
        layers.Dense(
            16, activation="selu", kernel_initializer="lecun_normal", kernel_constraint=keras.constraints.MaxNorm(1.0)
        ),
        layers.GroupNormalization(groups=4),
        layers.PReLU(),
        MCDropout(0.5),
        layers.ActivityRegularization(l2=1e-4),
        layers.Dense(3, activation="softmax", bias_initializer=keras.initializers.Constant(0.1)),
    ]
)
model.compile(
    keras.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.9, global_clipnorm=1.0),
    "sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
history = model.fit(x, y, epochs=2, callbacks=[keras.callbacks.SwapEMAWeights()], validation_split=0.25, verbose=0)
model.summary()
probabilities = np.stack([ops.convert_to_numpy(model(x[:4], training=True)) for _ in range(5)])
spread = probabilities.std(axis=0)
norms = np.linalg.norm(model.layers[4].get_weights()[0], axis=0)
print(sorted(history.history), probabilities.shape, len(model.losses), bool((norms <= 1.0 + 1e-5).all()))
varying = bool(np.ptp(probabilities, axis=0).max() > 0)
initializers = {
    name: tuple(keras.initializers.get(name)((4, 4)).shape)
    for name in ("glorot_uniform", "he_uniform", "orthogonal", "truncated_normal", "identity", "zeros")
}
print(varying, initializers)
