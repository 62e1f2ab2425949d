"""A model as a `.pt2` file, which `torch.export.load` reads without this package."""

from __future__ import annotations

import inspect
import os
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write
from uncrumple.models.exporting import as_signature, capture, refuse_unknown, signature_of


def write(model: Any, filepath: Any, input_signature: Any = None, **kwargs: Any) -> None:
    """Write a model as a program of torch's operators.

    Args:
        model: The model, built.
        filepath: Path that ends in `.pt2`.
        input_signature: What it is called on; by default what it was built for.
        kwargs: `strict`, `dynamic_shapes` and what else `torch.export.export` takes.
    """
    refuse_unknown("torch", kwargs, _options())
    if not str(filepath).endswith(".pt2"):
        raise ValueError(
            explain(
                f"Model '{model.name}': export got the path '{filepath}'.",
                "Expected a path that ends in .pt2, as torch wants it.",
                f"model.export('{os.path.splitext(str(filepath))[0]}.pt2', format=\"torch\")",
            )
        )
    owner = f"Model '{model.name}'"
    signature = signature_of(model) if input_signature is None else as_signature(owner, input_signature, model)
    shapes = kwargs.pop("dynamic_shapes", None)
    if isinstance(shapes, dict) and len(signature) == 1 and all(isinstance(axis, int) for axis in shapes):
        shapes = (shapes,)  # {axis: Dim} for the only input
    save(capture(owner, model, signature, shapes=shapes, **kwargs), filepath)


def save(program: torch.export.ExportedProgram, filepath: Any) -> None:
    """Write a program; a file that is there is replaced once the new one is whole."""
    with atomic_write(filepath) as file:
        torch.export.save(program, file)  # type: ignore[arg-type]


def _options() -> list[str]:
    given = {"mod", "args", "kwargs"}
    return [name for name in inspect.signature(torch.export.export).parameters if name not in given]
