"""Rates of training from files, beside those from memory: a memory-mapped array, an HDF5 file, and a folder of images.

Each is trained for an epoch at a time with `fit`, in turn, in one process, so
that what disturbs the machine disturbs all. Reported are samples per second,
and the median and quartiles of the ratio of each epoch to the one from memory
beside it (1: reading costs nothing visible).

    python benchmarks/larger_than_memory.py [--rounds 9] [--samples 2000] [--folder DIR] [--threads 2] [--clock cpu]

The arrays hold random numbers: colour images of 64 x 64 in bytes, as many as
asked for. They are written to a temporary folder, and read from the page
cache of the system after the first epoch: the figures are of the loader, not
of a disk. Without `--folder`, JPEG files of 320 x 240 are made for the folder
of images; what is compared with are the same images decoded beforehand.
`--clock cpu` counts the processor time of all threads in place of the time on
the wall: what decoding costs where no core is idle.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

import uncrumple as uc
from uncrumple.data import disk


def _network(shape: tuple[int, ...], classes: int) -> Any:
    """A small network for images, whose first layer scales bytes."""
    model = uc.Sequential(
        [
            uc.Input(shape),
            uc.layers.Rescaling(1 / 255),
            uc.layers.Conv2D(32, 3, activation="relu"),
            uc.layers.MaxPooling2D(),
            uc.layers.Conv2D(64, 3, activation="relu"),
            uc.layers.MaxPooling2D(),
            uc.layers.Conv2D(64, 3, activation="relu"),
            uc.layers.GlobalAveragePooling2D(),
            uc.layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _epoch(model: Any, samples: int, now: Callable[[], float], *data: Any, **settings: Any) -> Callable[[], float]:
    def run() -> float:
        start = now()
        model.fit(*data, epochs=1, verbose=0, **settings)
        return samples / (now() - start)

    return run


def _folder_of_images(folder: Path, count: int) -> Path:
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        where = folder / f"class_{number % 2}"
        where.mkdir(parents=True, exist_ok=True)
        rough = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        rough.resize((320, 240), Image.Resampling.BICUBIC).save(where / f"{number:05}.jpg", quality=90)
    return folder


def _compared(name: str, runs: dict[str, Callable[[], float]], rounds: int) -> list[dict[str, Any]]:
    """Run all in turn; the first is what the others are compared with."""
    rates: dict[str, list[float]] = {each: [] for each in runs}
    for run in runs.values():
        run()  # files come into the page cache, and shapes are settled
    for _ in range(rounds):
        for each, run in runs.items():
            rates[each].append(run())
    base, rows = next(iter(rates)), []
    for each, found in rates.items():
        ratios = [one / other for one, other in zip(found, rates[base])]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        rows.append(
            {"workload": name, "from": each, "samples_per_second": statistics.median(found), "n": len(found),
             "ratio": middle, "ratio_low": low, "ratio_high": high}
        )  # fmt: skip
        print(
            f"{name:22} {each:22} {rows[-1]['samples_per_second']:9.0f} samples/s   "
            f"ratio {middle:5.3f} ({low:5.3f} to {high:5.3f})   n={len(found)}"
        )
    return rows


def _arrays(folder: Path, samples: int, rounds: int, now: Callable[[], float]) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (samples, 64, 64, 3), np.uint8)
    y = random.integers(0, 10, samples)
    np.save(folder / "x.npy", x)
    with h5py.File(folder / "x.h5", "w") as file:
        file["x"] = x
        file.create_dataset("chunked", data=x, chunks=(64, 64, 64, 3))
    model = _network(x.shape[1:], 10)
    with h5py.File(folder / "x.h5") as file:
        runs = {
            "memory": _epoch(model, samples, now, x, y),
            "memory-mapped": _epoch(model, samples, now, np.load(folder / "x.npy", mmap_mode="r"), y),
            "HDF5, in one piece": _epoch(model, samples, now, file["x"], y),
            "HDF5, in chunks": _epoch(model, samples, now, file["chunked"], y),
        }
        return _compared("64x64x3 bytes", runs, rounds)


def _images(folder: Path, size: int, rounds: int, now: Callable[[], float]) -> list[dict[str, Any]]:
    data = uc.utils.image_dataset_from_directory(folder, image_size=(size, size), verbose=False, seed=0)
    decoded = [(x.to(torch.uint8), y) for x, y in data]
    x, y = torch.cat([x for x, _ in decoded]), torch.cat([y for _, y in decoded])
    model = _network((size, size, 3), len(data.class_names))

    def reading() -> float:
        start = now()
        for _ in data:
            pass
        return len(x) / (now() - start)

    runs = {
        "memory": _epoch(model, len(x), now, x, y),
        "folder": _epoch(model, len(x), now, data),
        "folder, cached": _epoch(model, len(x), now, data.cache()),
        "reading alone": reading,
    }
    return _compared(f"images at {size}x{size}", runs, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    disk._SMALL_BYTES = 0  # read these from their files too, small as they are
    now = time.perf_counter if chosen.clock == "wall" else time.process_time
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {chosen.threads} threads; "
        f"Python {platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}, "
        f"uncrumple {uc.version()}; {chosen.clock} time"
    )
    with tempfile.TemporaryDirectory() as temporary:
        rows = _arrays(Path(temporary), chosen.samples, chosen.rounds, now)
        folder = chosen.folder or _folder_of_images(Path(temporary) / "images", chosen.images)
        rows += _images(folder, chosen.size, chosen.rounds, now)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
