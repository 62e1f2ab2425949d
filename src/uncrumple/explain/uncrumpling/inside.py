"""Looking inside a model: which parts run, in which order, and what they give; the model stays as it was.

Outputs are read by hooks of torch, so that it makes no difference how a model
was made: of layers, as a class, loaded from a file, or of a torch module.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain, unknown_name
from uncrumple.explain.keeping import answering
from uncrumple.explain.rows import rows_at, rows_in
from uncrumple.layers.base import Layer
from uncrumple.layers.input import InputLayer
from uncrumple.layers.wrappers import TorchModuleWrapper
from uncrumple.models.model import Model

# Numbers that all watched layers may give at a time.
_MOST_AT_ONCE = 1 << 25


def device_of(model: Any) -> torch.device:
    """Return where the model's weights are."""
    return next((weight.device for weight in model.parameters()), torch.get_default_device())


def fixed_batch(model: Any) -> int | None:
    """Return the only batch size that a model takes, as stateful ones do; None for any."""
    inputs = getattr(model, "inputs", None) if isinstance(model, Model) else None
    size = tree.flatten(inputs)[0].shape[0] if inputs else None
    return size if isinstance(size, int) else None


def call(model: Any, x: Any) -> Any:
    """Run a model on one batch: a torch module that takes several inputs gets them one by one.

    For a model of a fixed batch size the batch is filled up with its first sample.
    """
    size = fixed_batch(model)
    if size is not None and rows_in(x) < size:
        missing = torch.zeros(size - rows_in(x), dtype=torch.int64)
        x = tree.map_structure(lambda leaf: torch.cat([leaf, leaf[missing.to(leaf.device)]]), x)
    if isinstance(x, (list, tuple)) and not isinstance(model, Layer):
        return model(*x)
    return model(x)


# --- the parts of a model ----------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A layer or module that is watched, and what it is called."""

    name: str
    module: Any

    @property
    def kind(self) -> str:
        module = self.module.module if isinstance(self.module, TorchModuleWrapper) else self.module
        return type(module).__name__


def parts_of(model: Any, before: str = "") -> list[Part]:
    """Return the layers of a model, those of models inside it in their places.

    A layer that is made of layers (a block of one's own) is one part; a torch module is taken apart into its
    direct children, and those of `torch.nn.Sequential`.

    Example:
        >>> [part.name for part in parts_of(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()))]
        ['0', '1']
    """
    if not isinstance(model, Model):
        if isinstance(model, Layer) and not isinstance(model, TorchModuleWrapper):
            return [Part(model.name, model)]
        return _torch_parts(model, before)
    graph = model._graph
    layers = model.layers if graph is None else graph.layers
    found: list[Part] = []
    for layer in layers:
        name = f"{before}{layer.name}"
        if isinstance(layer, InputLayer):
            continue
        if isinstance(layer, Model) and layer is not model:
            found += parts_of(layer, f"{name}/")
        elif isinstance(layer, TorchModuleWrapper) and any(True for _ in layer.module.children()):
            found += _torch_parts(layer.module, f"{name}/")
        else:
            found.append(Part(name, layer))
    return found


def _torch_parts(module: Any, before: str) -> list[Part]:
    if isinstance(module, TorchModuleWrapper):
        module = module.module
    found: list[Part] = []
    for name, child in module.named_children():
        if isinstance(child, (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)):
            found += _torch_parts(child, f"{before}{name}.")
        elif isinstance(child, Model):
            found += parts_of(child, f"{before}{name}/")
        else:
            found.append(Part(f"{before}{name}", child))
    return found or [Part(before.strip("/.") or type(module).__name__, module)]


def chosen_parts(model: Any, layers: Any, owner: str) -> list[Part]:
    """Return the parts of a model that were asked for, by name or as objects; None takes all."""
    found = parts_of(model)
    if layers is None:
        return found
    wanted = [layers] if isinstance(layers, (str, torch.nn.Module)) else list(layers)
    by_name = {part.name: part for part in found}
    # What is inside a block can be asked for too, by its path or, where that is clear, its own name.
    for path, module in model.named_modules():
        if path:
            by_name.setdefault(path, Part(path, module))
        own = getattr(module, "name", None)
        if isinstance(own, str) and own and module is not model:
            by_name.setdefault(own, Part(own, module))
    chosen = []
    for one in wanted:
        if isinstance(one, torch.nn.Module):
            known = next((part for part in by_name.values() if part.module is one), None)
            if known is None:
                shown = getattr(one, "name", type(one).__name__)
                raise ValueError(
                    explain(
                        f"{owner} got the layer '{shown}', which is not in the model.",
                        f"Expected one of its layers: {', '.join(part.name for part in found)}.",
                        f"layers=[{found[0].name!r}]" if found else "a model with layers",
                    )
                )
            chosen.append(known)
        elif one in by_name:
            chosen.append(by_name[one])
        else:
            raise ValueError(f"{owner}: " + unknown_name("layer", str(one), [part.name for part in found]))
    return chosen


# --- what they give ----------------------------------------------------------------------


def first_tensor(outputs: Any) -> torch.Tensor | None:
    """Return the first tensor of numbers with decimals in what a layer returned."""
    for leaf in tree.flatten(outputs):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            return leaf
    return None


Seen = Callable[[str, int, Any, torch.Tensor], None]


@contextlib.contextmanager
def watching(parts: Sequence[Part], seen: Seen) -> Iterator[None]:
    """Call `seen(name, number of the call, inputs, output)` for each call of the parts within this block.

    The first call of a layer has the number 1.
    """
    counts: dict[str, int] = {}
    handles = []

    def watch(part: Part) -> Any:
        def hook(_: Any, args: Any, kwargs: Any, outputs: Any) -> None:
            value = first_tensor(outputs)
            if value is None or value.is_meta:
                return
            counts[part.name] = counts.get(part.name, 0) + 1
            seen(part.name, counts[part.name], (args, kwargs), value.detach())

        return hook

    try:
        for part in parts:
            handles.append(part.module.register_forward_hook(watch(part), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class Call:
    """A call of a layer while the model runs: where in the order, and what it gives for a sample."""

    name: str
    kind: str
    shape: tuple[int, ...]
    part: str
    number: int

    @property
    def width(self) -> int:
        """Numbers per sample."""
        return int(np.prod(self.shape, dtype=np.int64))


def calls_of(model: Any, x: Any, parts: Sequence[Part], keep_all: bool = False) -> list[Call]:
    """Return the calls of the parts in the order they run, without those that change no number.

    Args:
        model: The model.
        x: A few samples.
        parts: What to watch.
        keep_all: Whether to keep calls that only hand on what they got, such as dropout in inference.
    """
    found: list[Call] = []
    kinds = {part.name: part.kind for part in parts}
    samples = max(rows_in(x), fixed_batch(model) or 0)

    def seen(name: str, number: int, inputs: Any, output: torch.Tensor) -> None:
        if not output.ndim or output.shape[0] != samples:
            return
        if not keep_all and _hands_on(inputs, output):
            return
        shown = name if number == 1 else f"{name} (call {number})"
        found.append(Call(shown, kinds[name], tuple(output.shape[1:]), name, number))

    with answering(model), torch.no_grad(), watching(parts, seen):
        call(model, x)
    return found


def _hands_on(inputs: Any, output: torch.Tensor) -> bool:
    """Return whether a layer gave what it got, perhaps in another shape or several tensors side by side."""
    given = [
        leaf
        for leaf in tree.flatten(inputs)
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and leaf.ndim
    ]
    if sum(leaf.numel() for leaf in given) != output.numel() or any(len(leaf) != len(output) for leaf in given):
        return False
    flat = torch.cat([leaf.reshape(len(leaf), -1) for leaf in given], dim=1) if given else output
    return torch.equal(flat.to(output.dtype), output.reshape(len(output), -1))


@dataclass
class Sketches:
    """Shortens what is very wide, the same way every time: each number is added to one of `size` sums, with a sign.

    Lengths and distances stay what they were, but for an error of about 1 / sqrt(size)
    (Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002).

    Args:
        size: Sums; what is not wider stays as it is.
        seed: Of the draw.
    """

    size: int = 4096
    seed: int = 0
    _drawn: dict[tuple[str, int], tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def __call__(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Return (samples, at most `size`) for (samples, numbers)."""
        width = values.shape[1]
        if width <= self.size:
            return values
        key = name, width
        if key not in self._drawn:
            source = torch.Generator().manual_seed((zlib.crc32(f"{name} {width}".encode()) + self.seed) % 2**63)
            places = torch.randint(self.size, (width,), generator=source, device="cpu")
            signs = torch.randint(2, (width,), generator=source, device="cpu").to(torch.float32).mul_(2).sub_(1)
            self._drawn[key] = places, signs
        places, signs = (one.to(values.device) for one in self._drawn[key])
        return values.new_zeros(len(values), self.size).index_add_(1, places, values * signs)


def features_of(
    model: Any, x: Any, calls: Sequence[Call], parts: Sequence[Part], sketches: Sketches, last_step: bool = False
) -> dict[str, torch.Tensor]:
    """Return what the calls give for all samples, a row each, as float32 on the CPU.

    Args:
        model: The model.
        x: Tensors in any structure, on the model's device.
        calls: Which to keep.
        parts: The parts that they are calls of.
        sketches: Shortens what is wide.
        last_step: Whether only the last time step counts, as for models of language.
    """
    wanted = {(one.part, one.number): one for one in calls}
    names = {one.part for one in calls}
    collected: dict[str, list[torch.Tensor]] = {one.name: [] for one in calls}
    rows, samples = rows_in(x), 0
    fixed = fixed_batch(model)

    def seen(name: str, number: int, _: Any, output: torch.Tensor) -> None:
        one = wanted.get((name, number))
        if one is not None and output.shape[0] == (fixed or samples):
            values = output[:, -1] if last_step and output.ndim > 2 else output
            values = values[:samples].reshape(samples, -1).float()
            # A copy: some kernels write the next batch into the same memory.
            collected[one.name].append(sketches(one.name, values).cpu().clone())

    at_once = fixed or max(16, min(1024, _MOST_AT_ONCE // max(1, sum(one.width for one in calls))))
    with answering(model), torch.no_grad():
        for start in range(0, rows, at_once):
            batch = rows_at(x, slice(start, min(start + at_once, rows)))
            samples = rows_in(batch)
            with watching([part for part in parts if part.name in names], seen):
                call(model, batch)
    return {name: torch.cat(values) for name, values in collected.items() if values}


def is_mapping_of_parts(data: Any) -> bool:
    """Return whether data is divided into parts, the last of them sealed."""
    return callable(getattr(data, "peek", None)) and hasattr(data, "rows") and not isinstance(data, Mapping)
