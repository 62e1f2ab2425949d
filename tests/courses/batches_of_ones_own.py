"""Data that comes in batches: PyDataset with workers, a generator with steps, a DataLoader, train_on_batch."""

import math

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(21)
x, y = rng.random((50, 4)).astype("float32"), rng.random((50, 1)).astype("float32")


class Pairs(keras.utils.PyDataset):
    def __init__(self, x, y, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.batch_size, self.ends = x, y, batch_size, 0

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, index):
        low = index * self.batch_size
        high = min(low + self.batch_size, len(self.x))
        return self.x[low:high], self.y[low:high]

    def on_epoch_end(self):
        self.ends += 1


def generator(size=10):
    while True:
        for start in range(0, 50, size):
            yield x[start : start + size], y[start : start + size]


model = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="relu"), layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
data = Pairs(x, y, 16, workers=2, use_multiprocessing=False, max_queue_size=4)
by_data = model.fit(data, epochs=2, validation_data=Pairs(x, y, 25), verbose=0)
by_generator = model.fit(generator(), steps_per_epoch=5, epochs=2, verbose=0)
loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=20, shuffle=True
)
by_loader = model.fit(loader, epochs=1, validation_data=loader, verbose=0)
print(data.ends, len(data), sorted(by_data.history), sorted(by_generator.history), sorted(by_loader.history))
for start in range(0, 50, 25):
    one = model.train_on_batch(x[start : start + 25], y[start : start + 25])
named = model.test_on_batch(x, y, return_dict=True)
print(len(one), sorted(named), model.predict_on_batch(x[:3]).shape, model.predict(loader, verbose=0).shape)
left, right = keras.utils.split_dataset((x, y), left_size=0.8, seed=1)
padded = keras.utils.pad_sequences([[1, 2, 3], [4]], maxlen=4, padding="post", value=0)
print(padded.tolist(), len(list(left)), len(list(right)))
