"""Bags of words: multi-hot unigrams, bigrams, counts and tf-idf, each into one small dense network."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

documents = [
    "the cat sat on the mat",
    "the dog ate the cat",
    "a dog barked",
    "the mat was red",
    "red dog on a red mat",
    "cat and dog",
]
labels = np.array([0, 1, 1, 0, 1, 0])


def get_model(max_tokens, hidden_dim=4):
    inputs = keras.Input(shape=(max_tokens,))
    x = layers.Dense(hidden_dim, activation="relu")(inputs)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(1, activation="sigmoid")(x)
    made = keras.Model(inputs, outputs)
    made.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    return made


found = {}
for ngrams, mode in ((None, "multi_hot"), (2, "multi_hot"), (2, "count"), (2, "tf_idf"), (3, "int")):
    vectorize = layers.TextVectorization(ngrams=ngrams, max_tokens=20, output_mode=mode)
    vectorize.adapt(documents)
    matrix = keras.ops.convert_to_numpy(vectorize(documents))
    print(mode, ngrams, matrix.shape, matrix.dtype, vectorize.get_vocabulary()[:4])
    found[mode, ngrams] = matrix
    if mode != "int":
        history = get_model(matrix.shape[1]).fit(matrix, labels, epochs=2, verbose=0)
tfidf = found["tf_idf", 2].round(4)
bigrams = found["multi_hot", 2]
counts = found["count", 2]
