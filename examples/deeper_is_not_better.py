"""The deeper, the better? Not really: eight sigmoid layers that do not learn, what is found, and the mend that works.

Run: python examples/deeper_is_not_better.py   (about ten seconds)
"""

from sklearn.datasets import load_digits

import uncrumple as uc
from uncrumple.layers import Dense, Input


def network(layers, activation, initializer):
    settings = {"activation": activation, "kernel_initializer": initializer}
    hidden = [Dense(32, name=f"hidden_{place + 1}", **settings) for place in range(layers)]
    model = uc.Sequential([Input((64,)), *hidden, Dense(10, activation="softmax", name="answer")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


x, y = load_digits(return_X_y=True)
x_train, y_train, x_test, y_test = x[:1400] / 16, y[:1400], x[1400:] / 16, y[1400:]


def accuracy(title, model):
    history = model.fit(x_train, y_train, epochs=20, verbose=0, diagnose=True)
    score = model.evaluate(x_test, y_test, verbose=0)[1]
    found = ", ".join(one.name for one in history.findings) or "nothing"
    print(f"{title:<36} accuracy {score:.2f}   found: {found}")
    return history, score


uc.utils.set_random_seed(0)
print("-- before a single step:")
print(uc.preflight(network(8, "sigmoid", "glorot_uniform"), (x_train, y_train)).findings[0].in_words())

print("\n-- after 20 epochs:")
_, shallow = accuracy("one sigmoid layer", network(1, "sigmoid", "glorot_uniform"))
history, deep = accuracy("eight sigmoid layers", network(8, "sigmoid", "glorot_uniform"))
_, mended = accuracy("eight relu layers, he_normal", network(8, "relu", "he_normal"))

print("\n-- what was said about the eight sigmoid layers while they were trained:")
print(history.findings[-1].in_words())

assert deep < 0.5 < 0.8 < min(shallow, mended), "the deep one learned, or another one did not"
assert history.findings[0].layer == "Dense 'hidden_1'"
