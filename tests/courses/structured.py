"""A table with numbers and categories: Normalization, StringLookup, Discretization, crossing, FeatureSpace."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(20)
size = 60
table = {
    "age": rng.integers(20, 80, size).astype("float32"),
    "income": rng.normal(40, 10, size).astype("float32"),
    "city": rng.choice(["oslo", "rome", "lima"], size),
    "rooms": rng.integers(1, 6, size),
}
target = rng.integers(0, 2, size)

normalize = layers.Normalization(axis=None)
normalize.adapt(table["income"])
bins = layers.Discretization(bin_boundaries=[30, 40, 50, 60], output_mode="one_hot")
cities = layers.StringLookup(output_mode="one_hot")
cities.adapt(table["city"])
rooms = layers.IntegerLookup(output_mode="multi_hot")
rooms.adapt(table["rooms"])
print(cities.get_vocabulary(), cities.vocabulary_size(), rooms.get_vocabulary()[:1])
columns = [
    normalize(table["income"])[:, None],
    bins(table["age"][:, None]),
    cities(table["city"][:, None]),
    rooms(table["rooms"][:, None]),
]
matrix = keras.ops.convert_to_numpy(keras.ops.concatenate([keras.ops.cast(c, "float32") for c in columns], axis=1))
print(
    matrix.shape,
    layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")([3, 0]).shape,
    layers.Hashing(num_bins=5)(["a", "b"]).shape,
)
crossed = layers.HashedCrossing(num_bins=7, output_mode="one_hot")((np.array(["a", "b"]), np.array([1, 2])))
print(crossed.shape)

space = keras.utils.FeatureSpace(
    features={
        "age": keras.utils.FeatureSpace.float_discretized(num_bins=4),
        "income": "float_normalized",
        "city": keras.utils.FeatureSpace.string_categorical(num_oov_indices=0),
        "rooms": keras.utils.FeatureSpace.integer_categorical(num_oov_indices=0, max_tokens=5),
    },
    crosses=[keras.utils.FeatureSpace.cross(("city", "rooms"), crossing_dim=8)],
    output_mode="concat",
)
model = keras.Sequential(
    [keras.Input((matrix.shape[1],)), layers.Dense(8, activation="relu"), layers.Dense(1, activation="sigmoid")]
)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit(matrix, target, validation_split=0.2, epochs=2, verbose=0)
names = sorted(space.features)
print(names)
