"""Forecasting a series: windows from an array, a common-sense baseline, then dense, convolution, GRU and LSTM."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(4)
steps = np.arange(600)
raw = np.stack([np.sin(steps / 12), np.cos(steps / 30), rng.normal(size=600) * 0.1], axis=1).astype("float32")
temperature = raw[:, 0].copy()
mean, deviation = raw[:300].mean(axis=0), raw[:300].std(axis=0)
raw = (raw - mean) / deviation

sampling_rate, sequence_length = 2, 10
delay = sampling_rate * (sequence_length + 6 - 1)


def windows(first, last):
    return keras.utils.timeseries_dataset_from_array(
        raw[:-delay],
        targets=temperature[delay:],
        sampling_rate=sampling_rate,
        sequence_length=sequence_length,
        shuffle=True,
        seed=3,
        batch_size=32,
        start_index=first,
        end_index=last,
    )


train, held = windows(0, 300), windows(300, 450)
total, samples = 0.0, 0
for x, y in held:
    prediction = keras.ops.convert_to_numpy(x)[:, -1, 0] * deviation[0] + mean[0]
    total += np.sum(np.abs(prediction - keras.ops.convert_to_numpy(y)))
    samples += x.shape[0]
baseline = round(float(total / samples), 4)
print(samples, baseline)


def forecaster(body):
    inputs = keras.Input(shape=(sequence_length, raw.shape[-1]))
    outputs = layers.Dense(1)(body(inputs))
    made = keras.Model(inputs, outputs)
    made.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
    return made


bodies = {
    "dense": lambda x: layers.Dense(8, activation="relu")(layers.Flatten()(x)),
    "convolution": lambda x: layers.GlobalAveragePooling1D()(
        layers.MaxPooling1D(2)(layers.Conv1D(4, 3, activation="relu")(x))
    ),
    "simple": lambda x: layers.SimpleRNN(4)(layers.SimpleRNN(4, return_sequences=True)(x)),
    "lstm": lambda x: layers.LSTM(4, recurrent_dropout=0.25)(x),
    "gru": lambda x: layers.Dropout(0.2)(layers.GRU(4)(layers.GRU(4, return_sequences=True)(x))),
    "both_ways": lambda x: layers.Bidirectional(layers.LSTM(4))(x),
}
parameters = {}
for name, body in bodies.items():
    model = forecaster(body)
    history = model.fit(train, epochs=1, validation_data=held, verbose=0)
    parameters[name] = model.count_params()
    print(name, sorted(history.history), parameters[name])
