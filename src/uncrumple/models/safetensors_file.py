"""Weights in a `.safetensors` file, under the names of `model.state_dict()`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch

from uncrumple.core.errors import closest, explain, warn
from uncrumple.core.files import atomic_write

# Under this name the metadata of a file says what its tensors were when it was written.
_SEAL = "sha256"
_SAME_LAYERS = "load into a model with the same layers and settings; print(list(model.state_dict())) shows its names"


def write(model: Any, path: str) -> None:
    """Write the weights of a model; what the optimizer keeps is not among them."""
    kept = {name: tensors[0] for name, tensors in _by_memory(model).items()}
    needed = sum(tensor.numel() * tensor.element_size() for tensor in kept.values())
    with atomic_write(path, needed) as file:
        file.write(safetensors.torch.save(kept, {"format": "pt", _SEAL: _checksum(kept)}))


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return one number for names, shapes, types and numbers; the format itself has none."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


class _Read(Mapping):
    """The tensors of an open file, read when they are asked for."""

    def __init__(self, file: Any, names: Iterable[str]) -> None:
        self._file, self._names = file, list(names)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _by_memory(model: Any) -> dict[str, list[torch.Tensor]]:
    """Return the tensors of a state dict; one that has several names (a shared weight) under its first."""
    found: dict[str, list[torch.Tensor]] = {}
    first: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        key = first.setdefault(id(tensor), name)
        found.setdefault(key, []).append(tensor.detach().contiguous())
    return found


def read(model: Any, path: str, skip_mismatch: bool = False) -> None:
    """Load weights that `write`, or any other program, wrote under the names of `model.state_dict()`.

    Everything is compared first: if something does not fit, nothing is changed.

    Raises:
        ValueError: Names or shapes differ, or the file is damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 no mapping
            mine = _named_alike(dict(model.state_dict(keep_vars=True)), stored)
            wrong = _differences(mine, stored)
            if wrong and not skip_mismatch:
                raise ValueError(
                    explain(f"'{path}' does not fit '{model.name}'. {wrong[0][1]}", wrong[0][2], _SAME_LAYERS)
                )
            seal = (file.metadata() or {}).get(_SEAL)
            if seal is not None and seal != _checksum(_Read(file, stored)):
                raise ValueError(
                    explain(
                        f"'{path}' is not what it was when it was written: its checksum differs.",
                        "Expected the same numbers.",
                        "get the file again; if you changed it on purpose, save it without 'sha256' in its metadata",
                    )
                )
            with torch.no_grad():
                for name in stored:
                    if name in mine and not any(name == bad for bad, _, _ in wrong):
                        mine[name].copy_(file.get_tensor(name))
    except safetensors.SafetensorError as error:
        raise ValueError(
            explain(
                f"'{path}' is not a safetensors file, or only a part of one ({str(error).splitlines()[0]}).",
                "Expected what model.save_weights(path) wrote.",
                "get the file again, or save the weights again",
            )
        ) from None
    if wrong:
        names = ", ".join(name for name, _, _ in wrong[:6]) + (", ..." if len(wrong) > 6 else "")
        warn(
            f"'{path}' does not fit '{model.name}'. {wrong[0][1]}",
            f"Expected weights that fit; these were left as they were: {names}.",
            "none needed, if this was meant",
        )


def _named_alike(mine: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """Return the model's tensors under the names of the file, if the names differ in their counters only.

    Layers that nobody named are counted as they are made: what was `dense.kernel` when the file was written is
    `dense_2.kernel` in a model made later in the same session.
    """
    if set(mine) == set(stored):
        return mine
    own, there = sorted(mine, key=_counted), sorted(stored, key=_counted)
    if [_counted(name)[0] for name in own] != [_counted(name)[0] for name in there]:
        return mine
    return {name: mine[one] for name, one in zip(there, own)}


def _counted(name: str) -> tuple[str, list[int]]:
    """Return a name without the counters at the ends of its parts, and those counters."""
    parts = [re.fullmatch(r"(.*?)(?:_(\d+))?", part) for part in name.split(".")]
    found = [match.groups() for match in parts if match is not None]
    return ".".join(part for part, _ in found), [int(count or 0) for _, count in found]


def _differences(mine: dict[str, Any], stored: dict[str, tuple[int, ...]]) -> list[tuple[str, str, str]]:
    """Return (name, what is wrong, what was expected) for each name that does not fit."""
    there = {id(mine[name]) for name in stored if name in mine}  # under any of its names
    wrong = []
    for name, tensor in mine.items():
        if name in stored:
            if stored[name] != tuple(tensor.shape):
                came = f"'{name}' has shape {tuple(tensor.shape)}, the file holds {stored[name]}."
                wrong.append((name, came, "Expected the same shape."))
        elif id(tensor) not in there:
            guess = closest(name, stored)
            hint = f" It holds '{guess}'." if guess else ""
            wrong.append((name, f"The file has no '{name}'.{hint}", "Expected every name of model.state_dict()."))
    for name in stored:
        if name not in mine:
            wrong.append((name, f"The model has no '{name}'.", "Expected only names of model.state_dict()."))
    return wrong
