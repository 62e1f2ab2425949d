"""What each of two processes runs for test_shared.py, and one process alone to compare with."""

from __future__ import annotations

import json
import sys

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers

random = np.random.default_rng(0)
X = random.normal(size=(13, 4)).astype("float32")
Y = (X @ random.normal(size=(4, 3))).argmax(1)
WEIGHTS = random.uniform(0.5, 2.0, size=13)
TEST = random.normal(size=(7, 4)).astype("float32"), random.integers(0, 3, 7)


def network():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "tanh", kernel_regularizer="l2"), layers.Dense(3, "softmax")]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top")],
        weighted_metrics=["accuracy"],
    )
    return model


def trained(**kwargs):
    """Batches of 4 of 13 samples: the last has one row, which one of two processes gets."""
    model = network()
    history = model.fit(X, Y, batch_size=4, epochs=3, verbose=0, sample_weight=WEIGHTS, validation_data=TEST, **kwargs)
    return {
        "history": history.history,
        "weights": [weight.tolist() for weight in model.get_weights()],
        "evaluated": model.evaluate(*TEST, batch_size=4, verbose=0, return_dict=True),
        "predicted": model.predict(TEST[0], verbose=0).tolist(),
    }


class Own(keras.Sequential):
    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(y=y, y_pred=self(x))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"own": loss.detach()}


def with_a_step_of_its_own():
    keras.utils.set_random_seed(1)
    model = Own([keras.Input((4,)), layers.Dense(3)])
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), keras.losses.SparseCategoricalCrossentropy(True))
    history = model.fit(X[:12], Y[:12], batch_size=12, epochs=2, verbose=0)
    return {"history": history.history, "weights": [weight.tolist() for weight in model.get_weights()]}


def with_moving_averages():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(X, Y, batch_size=6, epochs=2, verbose=0)
    return [weight.tolist() for weight in model.get_weights()]


def gradients(model, wrapped, rows):
    loss = torch.nn.functional.cross_entropy(wrapped(torch.from_numpy(X[rows])), torch.from_numpy(Y[rows]))
    loss.backward()
    return [weight.grad.tolist() for weight in model.parameters()]


def plain_network():
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3)])


def main(address: str, number: int) -> None:
    torch.set_num_threads(1)
    keras.distribution.initialize(address, num_processes=2, process_id=number)
    keras.distribution.initialize()  # joined already
    found = {"devices": keras.distribution.list_devices("cpu")}

    mesh = keras.distribution.DeviceMesh((2,), ["batch"], found["devices"])
    layout = keras.distribution.TensorLayout(("batch", None), mesh)
    found["local"] = keras.distribution.distribute_tensor(torch.ones(6, 2), layout).to_local().shape
    whole = keras.distribution.TensorLayout((None, None), mesh)
    found["whole"] = keras.distribution.distribute_tensor(torch.ones(6, 2), whole).to_local().shape

    model = plain_network()
    half = slice(0, 6) if number == 0 else slice(6, 12)
    found["ddp"] = gradients(model, torch.nn.parallel.DistributedDataParallel(model), half)

    keras.distribution.set_distribution(keras.distribution.DataParallel())
    found["trained"] = trained()
    found["in_order"] = trained(shuffle=False)
    found["own"] = with_a_step_of_its_own()
    keras.utils.set_random_seed(10 + number)  # different weights, until they are sent around
    found["moving"] = with_moving_averages()
    with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
        share = slice(0, 8) if number == 0 else slice(8, 12)
        model = network()
        model.fit(X[share], Y[share], batch_size=8 if number == 0 else 4, verbose=0)
        found["own_data"] = [weight.tolist() for weight in model.get_weights()]
        try:
            model.fit(X[: 4 + 4 * number], Y[: 4 + 4 * number], batch_size=4, verbose=0)
        except ValueError as error:
            found["steps"] = str(error)
    try:
        network().fit(X, Y, batch_size=1, verbose=0)
    except ValueError as error:
        found["small"] = str(error)
    torch.distributed.destroy_process_group()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
