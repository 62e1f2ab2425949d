"""An LSTM that reads words: which of two writers said it? Runs offline on sentences made up on the spot.

Both writers use the same words equally often; only the order differs, so
counting words cannot tell them apart.

    python examples/lstm_sequences.py
"""

import numpy as np

import uncrumple as keras
from uncrumple import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

WORDS = ["<nothing>", "the", "sea", "sings", "to", "stone", "and", "wind", "never", "sleeps"]
LONGEST = 8


def sentence(writer: int) -> list[int]:
    """Writer 0 says "never" somewhere before "sleeps", writer 1 somewhere after."""
    words = list(rng.integers(1, 8, size=rng.integers(3, LONGEST - 1)))
    first, second = sorted(rng.choice(len(words) + 1, size=2, replace=False))
    earlier, later = (8, 9) if writer == 0 else (9, 8)
    words.insert(second, later)
    words.insert(first, earlier)
    return words[:LONGEST]


y = rng.integers(0, 2, size=3000)
x = keras.utils.pad_sequences([sentence(writer) for writer in y], maxlen=LONGEST)  # (3000, 8), filled up with 0

model = keras.Sequential(
    [
        keras.Input((LONGEST,), dtype="int32"),
        layers.Embedding(len(WORDS), 8, mask_zero=True),
        layers.LSTM(16),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
model.fit(x[:2500], y[:2500], epochs=8, validation_split=0.1, verbose=2)

loss, accuracy = model.evaluate(x[2500:], y[2500:], verbose=0)
print(f"test accuracy {accuracy:.3f}")
for row, share in zip(x[2500:2504], model.predict(x[2500:2504], verbose=0)[:, 0]):
    text = " ".join(WORDS[word] for word in row if word)
    print(f"writer {int(share > 0.5)} ({max(share, 1 - share):.0%}): {text}")

assert accuracy >= 0.9, f"accuracy fell to {accuracy:.3f}"
