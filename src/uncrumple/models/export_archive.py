"""`ExportArchive`: several programs of one model, each under a name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from uncrumple.callbacks.screen import message
from uncrumple.core.errors import explain
from uncrumple.core.files import atomic_write
from uncrumple.models.exporting import as_signature, capture
from uncrumple.models.torch_program import save


class ExportArchive:
    """Programs ("endpoints") that run without this package, each with a name and a signature of its own.

    `write_out` makes a folder with one file per endpoint, `<name>.pt2`, which `torch.export.load` reads, and one
    per collection of variables, `<name>.safetensors`. What Keras does for TensorFlow's SavedModel alone, options
    for its files and functions that TensorFlow has traced, is refused in words.

    Example:
        >>> import tempfile
        >>> from uncrumple.layers import Dense, Input, InputSpec
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((4,)), Dense(3)])
        >>> archive = ExportArchive()
        >>> archive.track(model)
        >>> serve = archive.add_endpoint("serve", model.call, [InputSpec(shape=(None, 4))])
        >>> folder = tempfile.mkdtemp()
        >>> archive.write_out(folder, verbose=False)
        >>> torch.export.load(f"{folder}/serve.pt2").module()(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(self) -> None:
        self._tracked: list[torch.nn.Module] = []
        self._programs: dict[str, torch.export.ExportedProgram] = {}
        self._collections: dict[str, dict[str, torch.Tensor]] = {}

    @property
    def variables(self) -> list[Any]:
        """The weights of everything that is tracked."""
        found: list[Any] = []
        for part in self._tracked:
            found += part.weights if hasattr(part, "weights") else [*part.parameters(), *part.buffers()]  # type: ignore[arg-type]
        return list({id(weight): weight for weight in found}.values())

    @property
    def trainable_variables(self) -> list[Any]:
        return [weight for weight in self.variables if weight.requires_grad]

    @property
    def non_trainable_variables(self) -> list[Any]:
        return [weight for weight in self.variables if not weight.requires_grad]

    def track(self, resource: Any) -> None:
        """Name a layer, model or torch module whose weights endpoints use.

        Raises:
            ValueError: It is none of these, or not built.
        """
        if not isinstance(resource, torch.nn.Module):
            raise ValueError(
                explain(
                    f"ExportArchive.track got {resource!r}.",
                    "Expected a layer, a model or a torch module.",
                    "archive.track(model)",
                )
            )
        if not getattr(resource, "built", True):
            raise ValueError(
                explain(
                    f"ExportArchive.track got {type(resource).__name__} '{resource.name}', which is not built.",
                    "Expected its weights to be there.",
                    "call it on data before archive.track(...)",
                )
            )
        if not any(resource is known for known in self._tracked):
            self._tracked.append(resource)

    def add_endpoint(
        self, name: str, fn: Callable[..., Any], input_signature: Any = None, **kwargs: Any
    ) -> Callable[..., Any]:
        """Write down what a function does.

        Args:
            name: Name of the endpoint; it becomes the name of a file.
            fn: A function of tensors: a layer, `model.call`, or one of your own. Layers that it refers to are tracked.
            input_signature: A list with an `InputSpec` (shape and dtype) per argument.

        Returns:
            The program as a function: what a file of it will compute.

        Raises:
            ValueError: The name is taken or no file name, or there is no signature.
        """
        self._check_name(name)
        for unknown in kwargs:
            raise TypeError(
                explain(
                    f"ExportArchive.add_endpoint got '{unknown}', which is for JAX.",
                    "Expected name, fn and input_signature.",
                    f"remove '{unknown}='",
                )
            )
        if input_signature is None:
            raise ValueError(
                explain(
                    f"ExportArchive: the endpoint '{name}' has no input_signature.",
                    "Expected shape and dtype of each argument; only TensorFlow's functions know them by themselves.",
                    "input_signature=[InputSpec(shape=(None, 4))]",
                )
            )
        owner = f"The endpoint '{name}'"
        for part in _parts_of(fn):
            self.track(part)
        own = getattr(fn, "__self__", fn)
        program = capture(
            owner, _Endpoint(fn, self._tracked), as_signature(owner, input_signature, own), parts=self._tracked
        )
        self._programs[name] = program
        return program.module()

    def track_and_add_endpoint(self, name: str, resource: Any, input_signature: Any, **kwargs: Any) -> Any:
        """Track a layer or model, and write down what calling it does."""
        self.track(resource)
        return self.add_endpoint(name, resource.__call__, input_signature, **kwargs)

    def add_variable_collection(self, name: str, variables: Any) -> None:
        """Keep variables under a name of their own, such as those of the optimizer."""
        self._check_name(name)
        tensors = list(variables) if isinstance(variables, (list, tuple, set)) else None
        if tensors is None or not all(isinstance(one, torch.Tensor) for one in tensors):
            raise ValueError(
                explain(
                    f"ExportArchive.add_variable_collection got {type(variables).__name__} as its variables.",
                    "Expected a list of variables.",
                    f'archive.add_variable_collection("{name}", model.weights)',
                )
            )
        self._collections[name] = {str(place): one for place, one in enumerate(tensors)}

    def write_out(self, filepath: Any, options: Any = None, verbose: bool = True) -> None:
        """Write a folder with a file per endpoint and per collection of variables.

        Args:
            filepath: The folder; it is made if it is not there.
            options: For TensorFlow; must be None.
            verbose: Whether a line per file says that it was written.
        """
        if options is not None:
            raise ValueError(
                explain(
                    f"ExportArchive.write_out got options={options!r}.",
                    "Expected None: they are for TensorFlow's files.",
                    "archive.write_out(folder)",
                )
            )
        if not self._programs:
            raise ValueError(
                explain(
                    "ExportArchive.write_out was called before there was an endpoint.",
                    "Expected at least one.",
                    'archive.add_endpoint("serve", model.call, [InputSpec(shape=(None, 4))])',
                )
            )
        folder = os.fspath(filepath)
        os.makedirs(folder, exist_ok=True)
        for name, program in self._programs.items():
            save(program, os.path.join(folder, f"{name}.pt2"))
            if verbose:
                message(f"Saved '{os.path.join(folder, name)}.pt2' (torch.export).")
        for name, tensors in self._collections.items():
            from safetensors.torch import save as as_bytes

            path = os.path.join(folder, f"{name}.safetensors")
            with atomic_write(path) as file:
                file.write(as_bytes({key: value.detach().cpu().contiguous() for key, value in tensors.items()}))
            if verbose:
                message(f"Saved '{path}'.")

    def _check_name(self, name: Any) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(
                explain(
                    f"ExportArchive got the name {name!r}.",
                    "Expected letters, digits and underscores: it becomes the name of a file.",
                    '"serve"',
                )
            )
        if name in self._programs or name in self._collections:
            raise ValueError(
                explain(
                    f"ExportArchive got the name '{name}' twice.",
                    "Expected a name for each endpoint and collection.",
                    f'"{name}_2"',
                )
            )


class _Endpoint(torch.nn.Module):
    def __init__(self, fn: Callable[..., Any], parts: list[torch.nn.Module]) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleList(parts)
        self._fn = (fn,)  # in a tuple, so that a module is not a part twice

    def forward(self, *args: Any) -> Any:
        return self._fn[0](*args)


def _parts_of(fn: Any) -> list[torch.nn.Module]:
    """Return the modules that a function is a method of or refers to."""
    if isinstance(fn, torch.nn.Module):
        return [fn]
    found: list[Any] = [getattr(fn, "__self__", None)]
    found += [cell.cell_contents for cell in getattr(fn, "__closure__", None) or ()]
    code = getattr(fn, "__code__", None)
    if code is not None:
        found += [fn.__globals__.get(name) for name in code.co_names]
    return [part for part in found if isinstance(part, torch.nn.Module)]
