"""Models as classes: parts made in __init__, nested models, lists of layers, training flag, call with several inputs."""

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops


class Classifier(keras.Model):
    def __init__(self, num_classes=2):
        super().__init__()
        self.dense = layers.Dense(num_classes, activation="softmax" if num_classes > 2 else "sigmoid")

    def call(self, inputs):
        return self.dense(inputs)


class Block(layers.Layer):
    def __init__(self, units, rate=0.2, **kwargs):
        super().__init__(**kwargs)
        self.hidden = [layers.Dense(units, activation="elu", kernel_initializer="he_normal") for _ in range(2)]
        self.norm = layers.BatchNormalization()
        self.dropout = layers.Dropout(rate)

    def call(self, inputs, training=None):
        x = inputs
        for layer in self.hidden:
            x = layer(x)
        return self.dropout(self.norm(x, training=training), training=training) + inputs


class Network(keras.Model):
    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.start = layers.Dense(units)
        self.blocks = [Block(units), Block(units)]
        self.end = Classifier(3)

    def call(self, inputs, training=False):
        x = self.start(inputs)
        for block in self.blocks:
            x = block(x, training=training)
        return self.end(x)


class WideAndDeep(keras.Model):
    def __init__(self, units=8, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.norm_wide = layers.Normalization()
        self.norm_deep = layers.Normalization()
        self.hidden = layers.Dense(units, activation=activation)
        self.main_output = layers.Dense(1)
        self.aux_output = layers.Dense(1)

    def call(self, inputs):
        wide, deep = inputs
        hidden = self.hidden(self.norm_deep(deep))
        return self.main_output(ops.concatenate([self.norm_wide(wide), hidden], axis=-1)), self.aux_output(hidden)


rng = np.random.default_rng(26)
x, y = rng.random((40, 6)).astype("float32"), rng.integers(0, 3, 40)
model = Network(name="network")
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=2, validation_split=0.2, verbose=0)
model.summary()
print(len(model.layers), len(model.trainable_weights), len(model.non_trainable_weights))
model.save_weights("network.weights.h5")
again = Network()
again(x[:1])
again.load_weights("network.weights.h5")
same = bool(np.allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6))

wide = WideAndDeep()
wide.compile(
    loss=["mse", "mse"], loss_weights=[0.9, 0.1], optimizer=keras.optimizers.Adam(1e-3), metrics=["mse", "mae"]
)
wide.norm_wide.adapt(x[:, :3])
wide.norm_deep.adapt(x[:, 3:])
several = wide.fit((x[:, :3], x[:, 3:]), (x.sum(1), x.sum(1)), epochs=1, verbose=0)
main, auxiliary = wide.predict((x[:, :3], x[:, 3:]), verbose=0)
print(same, sorted(several.history), main.shape)
inputs = keras.Input((6,))
mixed = keras.Model(inputs, Classifier(2)(layers.Dense(4)(inputs)))
mixed.compile("adam", "categorical_crossentropy")
print(mixed(x[:2]).shape, mixed.count_params(), [layer.name for layer in mixed.layers])
