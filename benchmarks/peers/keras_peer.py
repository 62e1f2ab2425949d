"""uncrumple, and Keras on TensorFlow, JAX and torch: the same lines for all four."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
from typing import Any

import numpy as np
from peers.turns import Turns
from workloads import Arrays, Workload

FOREVER = 10**9
# Keras's settings that were found to be the fastest for a workload, where its own choice is not:
# jit_compile ("auto" compiles where it can) and steps_per_execution (1: a call of the compiled function per step).
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("keras-jax", "W1"): {"steps_per_execution": 10},
    ("keras-tensorflow", "W1"): {"steps_per_execution": 200},
}


class KerasPeer:
    """Trains by `model.fit` with accuracy as metric, shuffling and a callback."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.backend = "" if name == "uncrumple" else name.removeprefix("keras-")
        if self.backend:
            os.environ["KERAS_BACKEND"] = self.backend
        threads = int(os.environ.get("BENCHMARK_THREADS", "0"))
        if self.backend == "tensorflow" and threads:
            tensorflow: Any = importlib.import_module("tensorflow")
            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
        if self.backend == "torch" and threads:
            importlib.import_module("torch").set_num_threads(threads)
        self.device = os.environ.get("BENCHMARK_DEVICE", "cpu") if name == "uncrumple" else "cpu"
        self.keras: Any = importlib.import_module("keras" if self.backend else "uncrumple")
        if self.device != "cpu":
            from peers.torch_peer import choose_products

            choose_products(self.device)
            self._wait()

    def versions(self) -> dict[str, Any]:
        base = self.backend or "torch"
        return {"versions": {one: importlib.metadata.version(one) for one in (self.keras.__name__, base)}}

    def _model(self, workload: Workload, policy: str, **options: Any) -> Any:
        keras = self.keras
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        model = workload.in_keras(keras)
        model.compile(
            keras.optimizers.Adam(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            **options,
        )
        return model

    def _wait(self) -> None:
        """Return when a GPU has done what it was given; the clock must not stop before."""
        if self.device != "cpu":
            importlib.import_module("torch").cuda.synchronize()

    def train(self, workload: Workload, policy: str, arrays: Arrays, batch: int, turns: Turns) -> None:
        wait = self._wait

        class Conductor(self.keras.callbacks.Callback):  # type: ignore[name-defined, misc]
            """Lets each epoch wait for its turn."""

            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if not turns.begin():
                    raise _Done

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                wait()
                turns.end(lambda: float(logs["loss"]))

        model = self._model(workload, policy, **SETTINGS.get((self.name, workload.name), {}))
        x, y = arrays
        if self.device != "cpu":
            torch: Any = importlib.import_module("torch")
            model.to(self.device)
            x, y = (torch.from_numpy(one).to(self.device) for one in (x, y))
        with contextlib.suppress(_Done):
            model.fit(x, y, batch_size=batch, epochs=FOREVER, verbose=0, callbacks=[Conductor()])

    def predict(self, workload: Workload, policy: str, x: np.ndarray, calls: int, turns: Turns) -> None:
        # Keras's own advice for few rows: predict() sets up a pipeline of data for each call.
        model = self._model(workload, policy)
        predict = model.predict_on_batch if self.backend else lambda x: model.predict(x, batch_size=len(x), verbose=0)
        while turns.begin():
            for _ in range(calls):
                last = np.asarray(predict(x))
            turns.end(lambda last=last: float(np.abs(last).mean()))


class _Done(Exception):
    """The driver has seen enough."""
