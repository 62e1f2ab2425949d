"""Every call of the parts of a model, in the order in which they begin: what came in, and what went out."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.data.from_arguments import make_batches
from uncrumple.layers.base import Layer
from uncrumple.layers.input import InputLayer
from uncrumple.layers.modes import told
from uncrumple.layers.wrappers import TorchModuleWrapper
from uncrumple.models.model import Model
from uncrumple.training import checks


@dataclasses.dataclass
class Call:
    """One call of one part of a model.

    Attributes:
        name: The part's name; with a number from the second call on.
        layer: The layer, or a module of torch.
        level: How many parts it lies within.
        opened: Whether the parts within it are listed after it.
        args, kwargs: What it was called with.
        output: What it returned.
    """

    name: str
    layer: Any
    level: int
    opened: bool
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    output: Any = None

    @property
    def inputs(self) -> list[torch.Tensor]:
        """The tensors that came in, one after the other."""
        return [leaf for leaf in tree.flatten([self.args, self.kwargs]) if isinstance(leaf, torch.Tensor)]

    @property
    def outputs(self) -> list[torch.Tensor]:
        """The tensors that went out, one after the other."""
        return [leaf for leaf in tree.flatten(self.output) if isinstance(leaf, torch.Tensor)]


def parts_of(model: Any, level: int = 0, prefix: str = "") -> Iterator[tuple[str, Any, int, bool]]:
    """Yield (name, part, level, whether it is opened) for the layers of a model.

    Models within the model, layers of the user's own and modules of torch that are made of others are opened: what is
    inside them follows.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> [name for name, *_ in parts_of(Sequential([Input((2,)), Dense(3, name="first"), Dense(1, name="last")]))]
        ['first', 'last']
    """
    for name, part in _inside(model, prefix):
        if isinstance(part, InputLayer):
            continue
        opened = _is_opened(part)
        yield name, part, level, opened
        if opened:
            ours = isinstance(part, Layer) and not isinstance(part, TorchModuleWrapper)
            yield from parts_of(part, level + 1, "" if ours else f"{name}.")


def _inside(module: Any, prefix: str) -> list[tuple[str, Any]]:
    if isinstance(module, Model) and module._graph is not None:
        return [(layer.name, layer) for layer in module._graph.layers]
    if isinstance(module, TorchModuleWrapper):
        module = module.module
    found: dict[int, tuple[str, Any]] = {}
    for attribute, part in module._modules.items():
        if part is not None:
            own = part.name if isinstance(part, Layer) else f"{prefix}{attribute}"
            found.setdefault(id(part), (own, part))
    return list(found.values())


def _is_opened(part: Any) -> bool:
    if not any(child is not None for child in part._modules.values()):
        return False
    if isinstance(part, (Model, TorchModuleWrapper)):
        return not isinstance(part, TorchModuleWrapper) or bool(part.module._modules)
    room = type(part).__module__
    if isinstance(part, Layer):
        return not room.startswith("uncrumple.layers.")
    return not room.startswith("torch.nn.") or isinstance(
        part, (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)
    )


def watched(model: Any, run: Callable[[], Any], *, keep_gradients: bool = False) -> tuple[list[Call], Any]:
    """Run something, and return the calls of the model's parts meanwhile, and what it returned.

    While parts are watched they are called one by one: no kernel does several at once.

    Args:
        model: Whose parts are watched.
        run: What to run.
        keep_gradients: Whether outputs keep the gradient that `backward` brings to them.
    """
    calls: list[Call] = []
    waiting: dict[int, list[Call]] = {}
    handles: list[Any] = []
    seen: dict[int, int] = {}
    known: set[int] = set()
    try:
        for name, part, level, opened in parts_of(model):
            if id(part) in known:
                continue
            known.add(id(part))
            handles += _hooks(part, (name, level, opened), calls, waiting, seen, keep_gradients)
        result = run()
    finally:
        for handle in handles:
            handle.remove()
    return [call for call in calls if call.output is not None], result


def _hooks(
    part: Any, told_of: tuple[str, int, bool], calls: Any, waiting: Any, seen: Any, keep_gradients: bool
) -> list[Any]:
    name, level, opened = told_of

    def before(_: Any, args: Any, kwargs: Any) -> None:
        seen[id(part)] = count = seen.get(id(part), 0) + 1
        call = Call(name if count == 1 else f"{name} (call {count})", part, level, opened, args, dict(kwargs))
        calls.append(call)
        waiting.setdefault(id(part), []).append(call)

    def after(_: Any, args: Any, kwargs: Any, output: Any) -> None:
        call = waiting[id(part)].pop()
        call.output = output
        for tensor in call.outputs if keep_gradients else ():
            if tensor.requires_grad and not tensor.is_leaf:
                tensor.retain_grad()

    return [
        part.register_forward_pre_hook(before, with_kwargs=True),
        part.register_forward_hook(after, with_kwargs=True),
    ]


@contextlib.contextmanager
def by_hand(model: Any) -> Iterator[None]:
    """Run without torch's compiler, and as `fit` and `predict` do: whether it learns is the model's mode."""
    compiled = [(part, part._compiled_call_impl) for part in model.modules() if part._compiled_call_impl is not None]
    for part, _ in compiled:
        part._compiled_call_impl = None
    try:
        with told(model) if isinstance(model, Model) else contextlib.nullcontext():
            yield
    finally:
        for part, program in compiled:
            part._compiled_call_impl = program


def batch_for(who: str, model: Any, x: Any, y: Any = None, sample_weight: Any = None, rows: int = 32) -> Any:
    """Return the first rows of data as `fit` would hand them to the model.

    Args:
        who: The function that asks, for messages.
        model: The model; it is built, if it is not.
        x: Arrays, tensors, frames, or data that knows its raw rows.
        y, sample_weight: As for `fit`.
        rows: How many rows to take.

    Returns:
        ((x, y, sample_weight), the batches that they come from).
    """
    if hasattr(getattr(x, "train", None), "raw"):
        x = x.train
    if hasattr(x, "raw") and hasattr(x, "take"):
        x, y = x.raw, x.y if y is None else y
    if x is None or (isinstance(x, (list, tuple, dict, str)) and not len(x)):
        raise ValueError(
            explain(f"{who} got x={x!r}.", "Expected the samples to follow, as for predict().", f"model.{who}(x)")
        )
    streams = isinstance(x, torch.utils.data.DataLoader) or not (
        hasattr(x, "shape") or hasattr(x, "columns") or isinstance(x, (list, tuple, dict))
    )
    batches = make_batches(x, y, sample_weight, batch_size=None if streams else rows)
    if isinstance(model, Model):
        device = next((weight.device for weight in model.weights), torch.get_default_device())
        batches = batches.to(device)
        checks.check_inputs_of(model, batches)
    batch = tuple(batches.first())
    batch = (*batch, None, None)[:3] if len(batch) < 3 else batch
    batch = tree.map_structure(lambda leaf: leaf[:rows] if isinstance(leaf, torch.Tensor) else leaf, batch)
    return batch, batches


def build(model: Any, x: Any) -> None:
    """Build a model that is not built yet, as `predict` would: by calling it."""
    built = all(part.built for part in model.modules() if isinstance(part, Layer))
    if not built:
        with torch.no_grad(), by_hand(model):
            model(x)
