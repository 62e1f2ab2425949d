"""A model as an ONNX file, for any runtime that reads ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write, readable_size
from uncrumple.kernels import recurrent_onnx
from uncrumple.models.exporting import as_signature, capture, refuse_unknown, signature_of

OPSETS = range(18, 24)  # what torch's exporter writes
_LARGEST = 2**31 - 1  # bytes that a file in protobuf's form can have
_LOGGERS = ("torch.onnx", "torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")


def write(model: Any, filepath: Any, input_signature: Any = None, **kwargs: Any) -> None:
    """Write a model as one ONNX file, for any number of samples.

    Inputs are named as those of the model, outputs by the layers that make
    them; structures are flattened, dicts in the order of their sorted keys.

    Args:
        model: The model, built.
        filepath: Path of the file.
        input_signature: What it is called on; by default what it was built for.
        kwargs: `opset_version`, by default the newest that torch writes.

    Raises:
        ImportError: The packages of the extra `onnx` are not installed.
        RuntimeError: A part of the model has no counterpart in ONNX.
        ValueError: The file would pass 2 GB, or `opset_version` is not one that torch writes.
    """
    refuse_unknown("onnx", kwargs, ["opset_version"])
    opset = kwargs.get("opset_version")
    opset = OPSETS[-1] if opset is None else opset
    if isinstance(opset, bool) or opset not in OPSETS:
        raise ValueError(
            explain(
                f"Model '{model.name}': export got opset_version={opset!r}.",
                f"Expected a whole number from {OPSETS[0]} to {OPSETS[-1]}.",
                f'model.export("model.onnx", format="onnx", opset_version={OPSETS[-1]})',
            )
        )
    _require_onnx()
    owner = f"Model '{model.name}'"
    signature = signature_of(model) if input_signature is None else as_signature(owner, input_signature, model)
    size = sum(weight.numel() * weight.element_size() for weight in model.weights)
    if size > _LARGEST:
        raise ValueError(
            explain(
                f"{owner} has {readable_size(size)} of weights.",
                "Expected less than 2 GB, the most that one ONNX file can hold.",
                'model.export("model.pt2", format="torch"), which has no limit',
            )
        )
    flat, inputs = _Flat(model, signature), _input_names(model, signature)
    with _quiet():
        program = capture(owner, flat, tuple(tree.flatten(signature)), [model], target="onnx")
        try:
            written = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=inputs,
                output_names=_output_names(model, len(program.graph_signature.user_outputs), inputs),
                custom_translation_table=recurrent_onnx.translations(),
            )
        except Exception as error:
            raise RuntimeError(_failure(owner, error)) from error
    assert written is not None
    proto = written.model_proto
    _name_axes(proto)
    _forget_where(proto)
    with atomic_write(filepath, size) as file:
        file.write(proto.SerializeToString(deterministic=True))


class _Flat(torch.nn.Module):
    """A model that takes its inputs one by one and returns a tuple of tensors, as ONNX has it."""

    def __init__(self, model: Any, signature: Any) -> None:
        super().__init__()
        self.model = model
        self._signature = signature

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tree.flatten(self.model(*tree.pack(self._signature, list(inputs)))))


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise ImportError(
            explain(
                'export(format="onnx") needs the packages onnx and onnxscript, which are not installed.',
                "Expected the extra `onnx`.",
                'pip install "uncrumple[onnx]"',
            )
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within this block torch's exporter does not tell what it is doing."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _input_names(model: Any, signature: Any) -> list[str]:
    specs = tree.flatten(signature)
    given = model.input_names if len(model.input_names) == len(specs) else [None] * len(specs)
    names = [spec.name or name or f"input_{place}" for place, (spec, name) in enumerate(zip(specs, given))]
    return _each_once(names, [])


def _output_names(model: Any, count: int, taken: list[str]) -> list[str]:
    known = model.output_names or []
    names = list(known) if len(known) == count else [f"output_{place}" for place in range(count)]
    return _each_once(names, taken)


def _each_once(names: list[str], taken: list[str]) -> list[str]:
    """Return names with a number behind those that are taken: ONNX has one name for one value."""
    found: list[str] = []
    for name in names:
        free, number = name, 0
        while free in found or free in taken:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _name_axes(proto: Any) -> None:
    """Call the axis of samples "batch", and others without a size after their input: torch calls them s21."""
    names: dict[str, str] = {}
    for value in proto.graph.input:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                names.setdefault(size.dim_param, f"{value.name}_{axis}" if axis else "batch")
    for place, symbol in enumerate(names):
        if list(names.values()).index(names[symbol]) != place:
            names[symbol] = f"{names[symbol]}_{place}"
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.value_info]:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = re.sub(r"\bs\d+\b", lambda found: names.get(found[0], found[0]), size.dim_param)


def _forget_where(proto: Any) -> None:
    """Remove where in whose files each operation was written."""
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        for node in graph.node:
            del node.metadata_props[:]
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        if hasattr(graph, "metadata_props"):
            del graph.metadata_props[:]
        for value in [*getattr(graph, "value_info", []), *getattr(graph, "input", []), *getattr(graph, "output", [])]:
            if hasattr(value, "metadata_props"):
                del value.metadata_props[:]


def _failure(owner: str, error: Exception) -> str:
    text, missing = str(error), "one of its operations"
    marker = "No ONNX function found for "
    if marker in text:
        missing = text.split(marker)[1].split(". Failure")[0].split("'")[1]
    return explain(
        f"{owner} cannot be written as ONNX: {missing} has no counterpart there.",
        "Expected operations that torch's ONNX exporter knows.",
        'model.export("model.pt2", format="torch"), or another layer in its place',
    )
