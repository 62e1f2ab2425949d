"""A small language model: causal attention, tied logits, generation with temperature."""

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops

text = "the quick brown fox jumps over the lazy dog and the dog barks at the fox " * 20
chars = sorted(set(text))
lookup = layers.StringLookup(vocabulary=chars, mask_token=None, num_oov_indices=0)
ids = ops.convert_to_numpy(lookup(list(text)))
length = 16
x = np.stack([ids[i : i + length] for i in range(0, 600, 4)])
y = np.stack([ids[i + 1 : i + length + 1] for i in range(0, 600, 4)])
print(x.shape, len(chars))


class Block(layers.Layer):
    def __init__(self, dim, heads, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(heads, dim // heads, dropout=0.1)
        self.norm_1 = layers.LayerNormalization(epsilon=1e-6)
        self.norm_2 = layers.LayerNormalization(epsilon=1e-6)
        self.up = layers.Dense(dim * 2, activation="gelu")
        self.down = layers.Dense(dim)
        self.dropout = layers.Dropout(0.1)

    def call(self, x):
        x = x + self.attention(self.norm_1(x), self.norm_1(x), use_causal_mask=True)
        return x + self.dropout(self.down(self.up(self.norm_2(x))))


class Positions(layers.Layer):
    def __init__(self, length, dim, **kwargs):
        super().__init__(**kwargs)
        self.table = layers.Embedding(length, dim)

    def call(self, x):
        return x + self.table(ops.arange(ops.shape(x)[1]))


inputs = keras.Input((length,), dtype="int32")
embedding = layers.Embedding(len(chars), 16)
h = Positions(length, 16)(embedding(inputs))
for _ in range(2):
    h = Block(16, 2)(h)
logits = layers.Dense(len(chars))(layers.LayerNormalization()(h))
model = keras.Model(inputs, logits)
schedule = keras.optimizers.schedules.CosineDecay(0.0, decay_steps=40, warmup_target=1e-2, warmup_steps=5)
model.compile(
    keras.optimizers.AdamW(schedule, weight_decay=0.01, clipnorm=1.0),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
history = model.fit(x, y, epochs=2, batch_size=32, verbose=0)
seed = keras.random.SeedGenerator(0)
prompt = list(x[0])
for _ in range(4):
    window = np.array([prompt[-length:]])
    scores = model(window)[:, -1] / 0.8
    token = keras.random.categorical(scores, 1, seed=seed)
    prompt.append(int(token[0, 0]))
print(len(prompt), sorted(history.history), model.count_params())
top = ops.top_k(scores, k=3)
print(top[0].shape, top[1].shape)
