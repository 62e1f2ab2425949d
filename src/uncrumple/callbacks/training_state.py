"""A training run as plain data in one file: weights, optimizer, metrics, random numbers, and how far it was."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write

# torch does not notice changed bytes within a tensor, so the file ends in a checksum of all before it.
_MARK = b"uncrumple-sha256"
_VERSION = 1


# --- the parts ----------------------------------------------------------------------


def plain(value: Any, where: str) -> Any:
    """Return a copy made of nothing but tensors on the CPU, numbers, strings, lists and dicts.

    A file of these can be read without running code from it.

    Raises:
        TypeError: Something else is among them; `where` tells the user what held it.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().as_subclass(torch.Tensor).to("cpu", copy=True)
    if isinstance(value, (np.ndarray, np.generic)):
        return torch.as_tensor(np.array(value))
    if value is None or isinstance(value, (bool, str)):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Mapping):
        return {plain(key, where): plain(part, where) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(part, where) for part in value)
    raise TypeError(
        explain(
            f"The state of {where} holds {value!r}, a {type(value).__name__}, which a backup cannot hold.",
            "Expected tensors, numbers, strings, lists and dicts.",
            f"return only these from {where}.state_dict()",
        )
    )


def random_state(model: Any) -> dict[str, Any]:
    """Return where all sources of random numbers stand: Python, NumPy, torch, and those of the model's layers."""
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else [],
        "layers": [
            [place, name, str(generator.device), generator.get_state()] for place, name, generator in _generators(model)
        ],
    }


def set_random_state(state: dict[str, Any], model: Any) -> None:
    """Put all sources of random numbers where `random_state` found them."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    modules = list(model.modules())
    for place, name, device, saved in state["layers"]:
        # A layer with a seed makes its generator when it first draws from it: after a new start it has none yet.
        if place < len(modules) and hasattr(modules[place], name) and (device == "cpu" or torch.cuda.is_available()):
            generator = torch.Generator(device=device)
            generator.set_state(saved)
            setattr(modules[place], name, generator)


def _generators(model: Any) -> Iterator[tuple[int, str, torch.Generator]]:
    """Yield the generators that layers hold: (place of the layer, name of the attribute, generator)."""
    for place, module in enumerate(model.modules()):
        for name, value in vars(module).items():
            if isinstance(value, torch.Generator):
                yield place, name, value


def weights_of(model: Any) -> list[list[Any]]:
    """Return [[name, value]] for all that the model's `state_dict` holds, in its order."""
    return [[name, plain(value, "model")] for name, value in model.state_dict().items()]


def set_weights_of(model: Any, saved: list[list[Any]], path: str) -> None:
    """Put weights back by their order: names with counters in them differ when a model is made a second time.

    Raises:
        ValueError: They are those of another model. Nothing has been changed.
    """
    own = model.state_dict()
    before = [(name, _shape(value)) for name, value in saved]
    now = [(name, _shape(value)) for name, value in own.items()]
    if [shape for _, shape in before] != [shape for _, shape in now]:
        pairs = list(zip(before, now))
        at = next((place for place, (one, two) in enumerate(pairs) if one[1] != two[1]), len(pairs))
        (there, _), (here, _) = ((*part[at : at + 1], ("nothing", None))[0] for part in (before, now))
        raise ValueError(
            explain(
                f"The backup {path!r} holds the weights of another model: {len(before)} of them, "
                f"{there} {_of(before, at)} where this model has {here} {_of(now, at)}.",
                f"Expected the {len(now)} weights of this model.",
                "give BackupAndRestore another backup_dir, or remove this one to start afresh",
            )
        )
    model.load_state_dict({name: value for name, (_, value) in zip(own, saved)})


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def _of(described: list[Any], at: int) -> str:
    return f"of shape {described[at][1]}" if at < len(described) else ""


def metrics_of(model: Any) -> list[list[torch.Tensor]]:
    """Return the running totals of the model's metrics."""
    return [[plain(value, "metric") for value in _variables(metric)] for metric in _metrics(model)]


def set_metrics_of(model: Any, saved: list[list[torch.Tensor]]) -> None:
    """Put the running totals of the model's metrics back; a metric that has none yet starts afresh."""
    with torch.no_grad():
        for metric, values in zip(_metrics(model), saved):
            own = _variables(metric)
            if [_shape(variable) for variable in own] == [_shape(value) for value in values]:
                for variable, value in zip(own, values):
                    variable.copy_(value)


def _metrics(model: Any) -> list[Any]:
    return list(getattr(model, "metrics", None) or ())


def _variables(metric: Any) -> list[torch.Tensor]:
    return [value for value in getattr(metric, "variables", ()) if isinstance(value, torch.Tensor)]


# --- the file -----------------------------------------------------------------------


class _Hashing:
    """A file to write to that keeps a checksum, and the error of the disk: torch replaces it by one of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.checksum = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            written = self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.checksum.update(data)
        return written

    def flush(self) -> None:
        self.file.flush()


def write(path: str, state: dict[str, Any]) -> None:
    """Write a state under a temporary name, bring it to the disk, then rename it.

    Raises:
        OSError: The disk is full, or the folder cannot be written to; a former file is still there.
    """
    with atomic_write(path) as file:
        hashing = _Hashing(file)
        try:
            torch.save({"uncrumple_training_state": _VERSION, **state}, hashing)  # type: ignore[arg-type]
        except RuntimeError:
            if hashing.error is None:
                raise
            raise hashing.error from None
        file.write(_MARK + hashing.checksum.digest())


def read(path: str) -> dict[str, Any]:
    """Return the state in a file that is complete and unchanged. No code from the file is run.

    Raises:
        OSError: The file is cut off, changed, or no backup.
    """
    try:
        _check(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise _unreadable(path, str(error).partition("\n")[0] or type(error).__name__) from error
    if not isinstance(state, dict) or state.get("uncrumple_training_state") != _VERSION:
        raise _unreadable(path, "it is of another kind or version")
    return state


def _check(path: str) -> None:
    rest = os.path.getsize(path) - len(_MARK) - hashlib.sha256().digest_size
    checksum = hashlib.sha256()
    with open(path, "rb") as file:
        while rest > 0 and (block := file.read(min(rest, 1 << 20))):
            checksum.update(block)
            rest -= len(block)
        if file.read() != _MARK + checksum.digest():
            raise ValueError("its checksum is wrong: it was cut off or changed")


def _unreadable(path: str, reason: str) -> OSError:
    return OSError(
        explain(
            f"The backup {path!r} cannot be used: {reason}.",
            "Expected a complete file that BackupAndRestore has written.",
            "remove it to start afresh; double_checkpoint=True keeps an earlier one for such a case",
        )
    )
