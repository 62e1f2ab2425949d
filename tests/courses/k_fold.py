"""House prices: scale, k-fold validation, mean over folds, train the final model on all of it."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(18)
train_data = rng.normal(3, 2, (60, 8))
train_targets = train_data.sum(axis=1) + rng.normal(size=60)
mean, std = train_data.mean(axis=0), train_data.std(axis=0)
x_train = (train_data - mean) / std


def get_model():
    model = keras.Sequential(
        [layers.Dense(16, activation="relu"), layers.Dense(16, activation="relu"), layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mean_squared_error", metrics=["mean_absolute_error"])
    return model


k = 3
size = len(x_train) // k
scores, histories = [], []
for i in range(k):
    held_x, held_y = x_train[i * size : (i + 1) * size], train_targets[i * size : (i + 1) * size]
    rest_x = np.concatenate([x_train[: i * size], x_train[(i + 1) * size :]], axis=0)
    rest_y = np.concatenate([train_targets[: i * size], train_targets[(i + 1) * size :]], axis=0)
    model = get_model()
    history = model.fit(rest_x, rest_y, validation_data=(held_x, held_y), epochs=3, batch_size=16, verbose=0)
    histories.append(history.history["val_mean_absolute_error"])
    scores.append(model.evaluate(held_x, held_y, verbose=0))
average = [np.mean([h[i] for h in histories]) for i in range(3)]
scores = np.array(scores)
final = get_model()
final.fit(x_train, train_targets, epochs=2, batch_size=16, verbose=0)
predictions = final.predict(x_train[:3], verbose=0)
print(scores.shape, len(average), predictions.shape)
