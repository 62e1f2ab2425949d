"""Sequence to sequence: masks from embeddings, a GRU encoder and decoder, attention, teacher forcing, greedy decoding."""

import random
import re
import string

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops

pairs = [
    ("go now", "ve ahora"),
    ("i see you", "te veo"),
    ("good day", "buen día"),
    ("come here", "ven aquí"),
    ("¿who? me", "¿quién? yo"),
    ("i go", "voy"),
] * 4
pairs = [(english, "[start] " + spanish + " [end]") for english, spanish in pairs]
random.Random(0).shuffle(pairs)
strip = (string.punctuation + "¿").replace("[", "").replace("]", "")


def standardize(text):
    return text.lower() if isinstance(text, str) else text


length = 6
source = layers.TextVectorization(max_tokens=40, output_mode="int", output_sequence_length=length)
target = layers.TextVectorization(
    max_tokens=40, output_mode="int", output_sequence_length=length + 1, standardize="lower"
)
source.adapt([p[0] for p in pairs])
target.adapt([p[1] for p in pairs])
x = ops.convert_to_numpy(source([p[0] for p in pairs]))
y = ops.convert_to_numpy(target([p[1] for p in pairs]))
print(x.shape, y.shape, len(target.get_vocabulary()))

source_input = keras.Input(shape=(None,), dtype="int64", name="english")
embedded = layers.Embedding(40, 12, mask_zero=True)(source_input)
encoded, forward, backward = layers.Bidirectional(layers.GRU(8, return_sequences=True, return_state=True))(embedded)
state = layers.Concatenate()([forward, backward])
past = keras.Input(shape=(None,), dtype="int64", name="spanish")
z = layers.Embedding(40, 12, mask_zero=True)(past)
z = layers.GRU(16, return_sequences=True)(z, initial_state=state)
context = layers.Attention()([z, encoded])
z = layers.Concatenate()([z, context])
z = layers.Dropout(0.5)(z)
next_step = layers.Dense(40, activation="softmax")(z)
model = keras.Model([source_input, past], next_step)
optimizer = keras.optimizers.RMSprop(0.02)  # enough to learn the sentences by heart, whatever the first weights were
model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
mask = (y[:, 1:] != 0).astype("float32")
history = model.fit(
    {"english": x, "spanish": y[:, :-1]}, y[:, 1:], sample_weight=mask, epochs=20, batch_size=8, verbose=0
)
print(sorted(history.history))

words = dict(enumerate(target.get_vocabulary()))
sentence = "[start]"
for step in range(4):
    tokens = ops.convert_to_numpy(target([sentence]))[:, :-1]
    predictions = model.predict([x[:1], tokens], verbose=0)
    sentence += " " + (words[int(np.argmax(predictions[0, step, :]))] or "x")
print(len(sentence.split()) >= 1, predictions.shape)

lstm_in = keras.Input((None, 3))
_, h, c = layers.LSTM(5, return_state=True)(lstm_in)
lstm_out = layers.LSTM(5, return_sequences=True)(layers.RepeatVector(4)(h), initial_state=[h, c])
numbers = keras.Model(lstm_in, layers.TimeDistributed(layers.Dense(1))(lstm_out))
series = np.random.default_rng(1).random((8, 7, 3)).astype("float32")
numbers.compile("adam", "mse")
numbers.fit(series, series[:, :4, :1], verbose=0)
forecast = numbers.predict(series, verbose=0)
print(forecast.shape, re.sub(r"\d", "#", "42"))
