"""Reviews in folders: vocabulary, integer sequences, an embedding with a mask and a two-way LSTM."""

import os

import numpy as np

import uncrumple as keras
from uncrumple import layers

good, bad = ["great", "lovely", "fine", "superb"], ["awful", "dull", "poor", "weak"]
rng = np.random.default_rng(3)
for split in ("train", "test"):
    for name, words in (("pos", good), ("neg", bad)):
        os.makedirs(f"reviews/{split}/{name}")
        for number in range(16):
            with open(f"reviews/{split}/{name}/{number}.txt", "w") as file:
                file.write("The film, it was " + " ".join(rng.choice(words, 6)) + "!")

train = keras.utils.text_dataset_from_directory("reviews/train", batch_size=8, seed=1)
test = keras.utils.text_dataset_from_directory("reviews/test", batch_size=8, shuffle=False)
texts = train.map(lambda x, y: x)
vectorize = layers.TextVectorization(max_tokens=50, output_mode="int", output_sequence_length=12)
vectorize.adapt(texts)
vocabulary = vectorize.get_vocabulary()
print(vocabulary[:2], len(vocabulary))
int_train = train.map(lambda x, y: (vectorize(x), y), num_parallel_calls=2)
int_test = test.map(lambda x, y: (vectorize(x), y))

inputs = keras.Input(shape=(None,), dtype="int64")
x = layers.Embedding(input_dim=50, output_dim=8, mask_zero=True)(inputs)
x = layers.Bidirectional(layers.LSTM(8))(x)
x = layers.Dropout(0.3)(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.summary(line_length=90)
model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(int_train, validation_data=int_test, epochs=2, verbose=0)
test_loss, test_accuracy = model.evaluate(int_test, verbose=0)
encoded = vectorize(np.array(["the great film", "dull"]))
chance = model.predict(encoded, verbose=0)
print(encoded.shape)
