"""`Model.export`: a model as a program that runs without this package.

The model is run once on tensors without numbers, in evaluation mode, and what
torch sees is written down (`torch.export`): a graph of torch's operators and
the weights, for any number of samples. `torch_program` and `onnx_file` write
that into a file.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.callbacks.screen import message
from uncrumple.core import tree
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import closest, explain, unknown_argument
from uncrumple.kernels import recurrent_onnx
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.modes import calls
from uncrumple.layers.symbolic import SymbolicTensor
from uncrumple.layers.weights import WeightHolder

OTHER_FORMATS = {
    "tf_saved_model": "needs TensorFlow, which is not here",
    "litert": "needs TensorFlow's converter, which is not here",
    "openvino": "is made from ONNX by OpenVINO's own `ovc` command",
}
# Sizes of the axis of samples, and of others that are unknown, while a model is run to be written down. To torch
# 0 and 1 are special; 128 can be halved several times.
_SAMPLES, _OTHER = 3, 128


def export_model(
    model: Any, filepath: Any, format: str, verbose: Any = None, input_signature: Any = None, **kwargs: Any
) -> None:
    """Write a model in a format for running it elsewhere; the arguments are those of `Model.export`."""
    from uncrumple.models import onnx_file, torch_program

    writers: dict[str, Callable[..., None]] = {"onnx": onnx_file.write, "torch": torch_program.write}
    if format not in writers:
        guess = "onnx" if str(filepath).endswith(".onnx") or format != "torch" else "torch"
        guess = "torch" if str(filepath).endswith(".pt2") else closest(str(format), list(writers)) or guess
        why = f": it {OTHER_FORMATS[format]}" if format in OTHER_FORMATS else ""
        raise ValueError(
            explain(
                f"Model '{model.name}': export got format={format!r}{why}.",
                'Expected format="torch" (a .pt2 file for torch.export.load) or format="onnx".',
                f'model.export({_named(filepath, guess)!r}, format="{guess}")',
            )
        )
    if not isinstance(filepath, (str, os.PathLike)):
        raise TypeError(
            explain(
                f"Model '{model.name}': export got {type(filepath).__name__} as the path.",
                "Expected the path of the file to write.",
                'model.export("model.onnx", format="onnx")',
            )
        )
    writers[format](model, filepath, input_signature, **kwargs)
    if verbose is None or verbose:
        message(f"Saved '{os.fspath(filepath)}' ({'ONNX' if format == 'onnx' else 'torch.export'}).")


def _named(filepath: Any, format: str) -> str:
    stem = os.path.splitext(os.path.basename(str(filepath)))[0] or "model"
    return stem + (".onnx" if format == "onnx" else ".pt2")


def refuse_unknown(format: str, kwargs: dict[str, Any], known: list[str]) -> None:
    """Raise a TypeError for an option that a format does not have."""
    for name in kwargs:
        if name not in known:
            raise TypeError(unknown_argument(f'export(format="{format}")', name, known))


# --- what goes in ---------------------------------------------------------------------


def signature_of(model: Any) -> tuple[Any, ...]:
    """Return the inputs of a model as `InputSpec`s: one argument, in the structure that the model takes."""
    graph = model._graph
    if graph is not None:
        names = iter(graph.input_names)
        specs = {}
        for tensor, (shape, dtype) in zip(graph.flat_inputs, graph._expected):
            specs[id(tensor)] = InputSpec(dtype=dtype, shape=tuple(shape), name=next(names))
        only = graph.inputs
        if isinstance(only, (list, tuple)) and len(only) == 1:
            only = only[0]
        return (tree.map_structure(lambda tensor: specs[id(tensor)], only),)
    shapes = model._build_shapes
    if shapes is None or len(shapes) != 1:
        raise ValueError(
            explain(
                f"Model '{model.name}' has not seen an input yet, so it is not known what to write down.",
                "Expected a model that was called on data, or an input_signature.",
                "model(x) before model.export(...), or input_signature=[InputSpec(shape=(None, 4))]",
            )
        )
    shape = next(iter(shapes.values()))
    kinds = model.__dict__.get("_build_kinds")
    leaves = tree.flatten(kinds) if kinds is not None else None

    def spec(one: tuple[Any, ...]) -> InputSpec:
        return InputSpec(shape=one, dtype=leaves.pop(0) if leaves else model.compute_dtype)

    return (_map_shapes(spec, shape),)


def _map_shapes(function: Callable[[tuple[Any, ...]], Any], shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return {key: _map_shapes(function, value) for key, value in sorted(shapes.items())}
    if isinstance(shapes, (list, tuple)) and not all(size is None or isinstance(size, int) for size in shapes):
        return type(shapes)(_map_shapes(function, value) for value in shapes)
    return function(tuple(shapes))


def as_signature(owner: str, given: Any, model: Any = None) -> tuple[Any, ...]:
    """Return what was given as `input_signature` as a tuple with a structure of `InputSpec`s per argument."""
    if isinstance(given, (list, tuple)):
        several = getattr(getattr(model, "_graph", None), "flat_inputs", [None])
        # A list with one entry per input stands for the one argument that a model with several inputs takes.
        arguments = (list(given),) if len(several) > 1 and len(given) == len(several) else tuple(given)
    else:
        arguments = (given,)

    def spec(leaf: Any) -> InputSpec:
        if isinstance(leaf, InputSpec) and leaf.shape is not None:
            return leaf
        if isinstance(leaf, SymbolicTensor):
            return InputSpec(shape=leaf.shape, dtype=leaf.dtype, name=leaf.name)
        if isinstance(leaf, (torch.Tensor, np.ndarray)):
            kind = leaf.dtype if isinstance(leaf, torch.Tensor) else str(leaf.dtype)
            return InputSpec(shape=tuple(leaf.shape), dtype=kind)
        raise ValueError(
            explain(
                f"{owner} got {leaf!r} in its input_signature.",
                "Expected an InputSpec with a shape, an Input, or a tensor, for each input.",
                'input_signature=[InputSpec(shape=(None, 4), dtype="float32")]',
            )
        )

    return tuple(tree.map_structure(spec, argument) for argument in arguments)


def samples_of(signature: Any) -> Any:
    """Return zeros in the shapes of a signature, with some size where one is unknown."""

    def zeros(spec: Any) -> torch.Tensor:
        sizes = [(_SAMPLES if axis == 0 else _OTHER) if n is None else n for axis, n in enumerate(spec.shape)]
        return torch.zeros(sizes, dtype=torch_dtype(spec.dtype or "float32"))

    return tree.map_structure(zeros, signature)


def unknown_axes(signature: Any) -> Any:
    """Return, in the structure of a signature, what torch calls dynamic shapes: the axes without a size."""
    return tree.map_structure(
        lambda spec: {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(spec.shape) if size is None}, signature
    )


# --- writing it down ----------------------------------------------------------------------


@contextlib.contextmanager
def _at_rest(modules: list[torch.nn.Module]) -> Iterator[None]:
    """Within this block modules infer, are not compiled, and afterwards they are as they were."""
    everything = list(dict.fromkeys(part for module in modules for part in module.modules()))
    modes = [part.training for part in everything]
    compiled = [part.__dict__.get("_compiled_call_impl") for part in everything]
    was_told, calls.told = calls.told, True
    try:
        for part in everything:
            part.training = False
            part.__dict__["_compiled_call_impl"] = None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not properly registered as a submodule.*")
            warnings.filterwarnings("ignore", message=".*assigned during export.*")
            yield
    finally:
        calls.told = was_told
        for part, mode, call in zip(everything, modes, compiled):
            part.training = mode
            part.__dict__["_compiled_call_impl"] = call
            if isinstance(part, WeightHolder):
                part._losses.clear()  # of tensors without numbers


def capture(
    owner: str,
    module: torch.nn.Module,
    signature: tuple[Any, ...],
    parts: Any = (),
    shapes: Any = None,
    target: str = "torch",
    **options: Any,
) -> torch.export.ExportedProgram:
    """Return what a module does as a program of torch's operators.

    Args:
        owner: Who asks, for messages: `"Model 'mlp'"`.
        module: What is run; its `forward` takes the arguments of `signature`.
        signature: An `InputSpec`, or a structure of them, per argument.
        parts: Modules that it uses besides.
        shapes: Dynamic shapes in torch's words; by default the unknown axes of the signature.
        target: "torch" or "onnx", whose operators for whole sequences may be used.
        options: What `torch.export.export` takes besides.

    Raises:
        RuntimeError: The model looks at numbers, or needs a size that is not known.
    """
    arguments = samples_of(signature)
    shapes = unknown_axes(signature) if shapes is None else shapes
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(module.forward).parameters.values())
    if isinstance(shapes, tuple) and takes_any:
        shapes = (shapes,)  # torch takes `*args` for one argument
    try:
        with _at_rest([module, *parts]), torch.no_grad(), recurrent_onnx.writing(target):
            program = torch.export.export(
                module, arguments, dynamic_shapes=shapes, strict=options.pop("strict", False), **options
            )
    except Exception as error:
        raise RuntimeError(_failure(owner, error, signature)) from error
    _forget_where(program)
    return program


def _failure(owner: str, error: Exception, signature: Any) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = next((line.lstrip("- ") for line in lines if "specialized" in line), lines[0] if lines else "")
    inner = [spec.shape for spec in tree.flatten(signature) if None in spec.shape[1:]]
    fix = "torch functions only in call(): no .item(), no .numpy(), no `if` on a tensor's numbers"
    if inner:
        fixed = tuple(size if axis == 0 or size is not None else 20 for axis, size in enumerate(inner[0]))
        fix = f"input_signature=[InputSpec(shape={fixed})], with the size that will come"
    return explain(
        f"{owner} could not be written as a program: {type(error).__name__}: {first[:300]}",
        "Expected a model that torch can follow without numbers, for any size of the axes that are None.",
        fix,
    )


def _forget_where(program: torch.export.ExportedProgram) -> None:
    """Remove where in whose files each operation was written: that is nobody's business who gets the program."""
    for part in program.graph_module.modules():
        if isinstance(part, torch.fx.GraphModule):
            for node in part.graph.nodes:
                node.meta.pop("stack_trace", None)
