"""The networks whose training steps are timed: a file each, with the network in Keras's words, in torch and in JAX.

`python benchmarks/compare.py --only W3` runs one of them in every peer.

The model in Keras's words is built by Keras on each of its backends and by
uncrumple, from the same lines. The torch twin is what a practitioner would
write (torch's own layers, channels first); it starts from weights drawn as
Keras draws them. Nothing here imports a framework until it is asked to build.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Workload:
    """One network, written three times, and its data.

    Args:
        name: "W1" to "W9".
        about: The network in a few words.
        batch: Samples in a batch.
        steps: Batches in an epoch.
        data: Draws so many samples and labels; the labels follow a rule that can be learned.
        in_keras: Builds the model from a module with Keras's names.
        in_torch: Builds the same as a `torch.nn.Module`.
        in_jax: Runs the same on the functions of `in_jax.Functions`.
        channels_last: The policies in which torch trains faster with images that lie channels last.
        tiny: Whether one thread is the best that torch can be given.
    """

    name: str
    about: str
    batch: int
    steps: int
    data: Callable[[np.random.Generator, int], Arrays]
    in_keras: Callable[[Any], Any]
    in_torch: Callable[[], Any]
    in_jax: Callable[[Any, Any], Any]
    channels_last: tuple[str, ...] = ()
    tiny: bool = False

    def epoch_data(self, batch: int | None = None) -> Arrays:
        """Return what an epoch is made of: the same numbers in every process."""
        return self.data(np.random.default_rng(20260701), (batch or self.batch) * self.steps)


def names() -> list[str]:
    """Return the names of all workloads."""
    return [name.split("_")[0].upper() for name in _files()]


def load(name: str) -> Workload:
    """Return a workload by its name."""
    for file in _files():
        if file.split("_")[0].upper() == name:
            return importlib.import_module(f"workloads.{file}").WORKLOAD
    raise SystemExit(f"no workload {name}; there are {', '.join(names())}")


def _files() -> list[str]:
    found = (file.name for file in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if name[0] == "w" and name[1].isdigit())


def fingerprint(arrays: Arrays) -> str:
    """Return a checksum of the numbers."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in arrays)).hexdigest()[:16]


# --- data ---------------------------------------------------------------------------


def numbers(shape: tuple[int, ...], classes: int, normal: bool = False) -> Callable[..., Arrays]:
    """Return a drawer of float32 samples; the class is the largest of some random weighted sums."""

    def draw(random: np.random.Generator, count: int) -> Arrays:
        rule = random.standard_normal((int(np.prod(shape)), classes), dtype=np.float32)
        size = (count, *shape)
        x = random.standard_normal(size, dtype=np.float32) if normal else random.random(size, dtype=np.float32)
        scores = (x - (0 if normal else 0.5)).reshape(count, -1) @ rule
        return x, scores.argmax(1).astype(np.int32)

    return draw


def tokens(kinds: int, steps: int) -> Callable[..., Arrays]:
    """Return a drawer of int32 token numbers; the class says whether more of them are even or odd."""

    def draw(random: np.random.Generator, count: int) -> Arrays:
        x = random.integers(0, kinds, (count, steps), dtype=np.int32)
        return x, (2 * (x % 2).sum(1) > steps).astype(np.int32)

    return draw


def start_like_keras(module: Any) -> Any:
    """Draw the weights of a torch module as Keras draws them: Glorot, orthogonal, forget gate at one."""
    import torch
    from torch import nn

    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.uniform_(part.weight, -0.05, 0.05)
        elif isinstance(part, (nn.LSTM, nn.GRU)):
            for name, weight in part.named_parameters():
                if "bias" in name:
                    nn.init.zeros_(weight)
                    if isinstance(part, nn.LSTM) and "bias_ih" in name:
                        with torch.no_grad():
                            weight[part.hidden_size : 2 * part.hidden_size] = 1
                elif "weight_hh" in name:
                    for gate in weight.split(part.hidden_size):
                        nn.init.orthogonal_(gate)
                else:
                    for gate in weight.split(part.hidden_size):
                        nn.init.xavier_uniform_(gate)
    return module
