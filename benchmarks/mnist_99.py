"""MNIST to 99 % of the test set in about one epoch: a cold process, with nothing but public names.

    python benchmarks/mnist_99.py [--seed 0] [--threads 1]

MNIST's four files are looked for in `$UNCRUMPLE_DATA_DIR` (see `uncrumple.datasets`). Two convolutions, computed in
bfloat16, trained for 1.2 epochs with a learning rate that rises and falls once.
"""

from __future__ import annotations

import argparse
import time

BEGUN = time.perf_counter()
BATCH, PEAK, WARM = 64, 1e-2, 0.15
SAMPLES = 72_000  # that is 1.2 epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()

    import torch

    import uncrumple as uc
    from uncrumple import layers

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    imported = time.perf_counter()
    uc.utils.set_random_seed(arguments.seed)
    uc.config.set_dtype_policy("mixed_bfloat16")
    (x, y), (x_test, y_test) = uc.datasets.mnist.load_data()
    loaded = time.perf_counter()

    class OneCycle(uc.optimizers.schedules.LearningRateSchedule):
        """Up in a straight line, and down to nothing in another."""

        def __init__(self, steps: int) -> None:
            self.steps = steps

        def __call__(self, step: float) -> float:
            part = step / self.steps
            return PEAK * min(part / WARM, max(1 - part, 0) / (1 - WARM))

        def get_config(self) -> dict:
            return {"steps": self.steps}

    steps = SAMPLES // BATCH
    model = uc.Sequential(
        [
            uc.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 5, strides=2, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.1),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    model.compile(
        uc.optimizers.Adam(OneCycle(steps), beta_2=0.99),
        uc.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy"],
    )
    whole = len(x) // BATCH
    answers = uc.utils.to_categorical(y, 10)
    model.fit(x[..., None], answers, batch_size=BATCH, epochs=1, verbose=0)
    model.fit(x[..., None], answers, batch_size=BATCH, epochs=1, steps_per_epoch=steps - whole, verbose=0)
    trained = time.perf_counter()
    _, accuracy = model.evaluate(x_test[..., None], uc.utils.to_categorical(y_test, 10), batch_size=1000, verbose=0)
    end = time.perf_counter()
    print(
        f"accuracy {accuracy:.4f} import {imported - BEGUN:.2f} load {loaded - imported:.2f} "
        f"train {trained - loaded:.2f} evaluate {end - trained:.2f}"
    )


if __name__ == "__main__":
    main()
