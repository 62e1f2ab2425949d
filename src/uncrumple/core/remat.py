"""Computing activations again in the backward pass, rather than keeping them: less memory, more time."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.checkpoint import checkpoint

from uncrumple.core.errors import explain

_MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class Mode(NamedTuple):
    """Which layers compute again: see `RematScope`."""

    mode: str | None
    output_size_threshold: int
    layer_names: tuple[str, ...]


class _Open(threading.local):
    def __init__(self) -> None:
        self.modes: list[Mode] = []


_open = _Open()


class RematScope:
    """Layers made within a `with` block keep no activations for the backward pass, and compute them again there.

    Args:
        mode: Which layers: `"full"` all, `"activations"` those with an activation, `"larger_than"`
            those with a large output, `"list_of_layers"` those named; None for none, within
            another scope.
        output_size_threshold: What a large output is, in numbers per sample, for `"larger_than"`.
        layer_names: The names, for `"list_of_layers"`.

    Example:
        >>> with RematScope(mode="larger_than", output_size_threshold=4096):
        ...     current_mode().mode
        'larger_than'
    """

    def __init__(self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Any = None) -> None:
        if mode not in _MODES:
            shown = ", ".join(repr(one) for one in _MODES)
            raise ValueError(explain(f"RematScope got mode={mode!r}.", f"Expected one of: {shown}.", 'mode="full"'))
        self.mode, self.output_size_threshold, self.layer_names = mode, output_size_threshold, layer_names or []

    def __enter__(self) -> RematScope:
        _open.modes.append(Mode(self.mode, int(self.output_size_threshold), tuple(self.layer_names)))
        return self

    def __exit__(self, *_: Any) -> None:
        _open.modes.pop()


def current_mode() -> Mode | None:
    """Return the mode of the innermost `RematScope`; None outside of all."""
    return _open.modes[-1] if _open.modes else None


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives what `f` gives, and computes `f` again in the backward pass.

    Args:
        f: A function of tensors, or a layer. What it draws from torch's generator, or from that
            of a layer, it draws the same again; and a layer's moving averages move once.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> remat(lambda x: (x.exp() * 2).sum())(x).backward()
        >>> x.grad
        tensor([5.4366, 5.4366])
    """
    if not callable(f):
        raise TypeError(explain(f"remat got {f!r}.", "Expected a function or a layer.", "remat(layer)"))

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        return again(f, f, args, kwargs)

    return run


def again(owner: Any, f: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function that belongs to a layer, or is one, and compute it again in the backward pass."""
    if not torch.is_grad_enabled():
        return f(*args, **kwargs)
    module = owner if isinstance(owner, torch.nn.Module) else getattr(owner, "__self__", None)
    module = module if isinstance(module, torch.nn.Module) else None
    first = _draws(module)
    modes = [(part, part.training) for part in module.modules()] if module is not None else []
    ran = False

    def twice(*args: Any, **kwargs: Any) -> Any:
        nonlocal ran
        if not ran:
            ran = True
            return f(*args, **kwargs)
        with _as_before(module, first, modes):
            return f(*args, **kwargs)

    return checkpoint(twice, *args, use_reentrant=False, **kwargs)


def _draws(module: torch.nn.Module | None) -> list[tuple[torch.Generator, torch.Tensor]]:
    """Return the generators of a layer and all within it, with their states."""
    found = []
    for part in module.modules() if module is not None else ():
        for value in vars(part).values():
            if isinstance(value, torch.Generator):
                found.append((value, value.get_state()))
    return found


@contextlib.contextmanager
def _as_before(
    module: torch.nn.Module | None,
    first: list[tuple[torch.Generator, torch.Tensor]],
    modes: list[tuple[torch.nn.Module, bool]],
) -> Iterator[None]:
    """Within this block layers train and generators draw as they did at first; after it, nothing has moved."""
    later_modes = [(part, part.training) for part, _ in modes]
    later = _draws(module)
    known = {id(source) for source, _ in first}
    for source, _ in later:  # made by the first call, from their seeds
        if id(source) not in known:
            start = torch.Generator(source.device).manual_seed(source.initial_seed())
            first = [*first, (source, start.get_state())]
    fixed: list[torch.Tensor] = [p for p in module.parameters() if not p.requires_grad] if module is not None else []
    fixed += list(module.buffers()) if module is not None else []
    kept = [(value, value.data.clone()) for value in fixed]
    for source, state in first:
        source.set_state(state)
    for part, training in modes:
        part.training = training
    try:
        yield
    finally:
        for source, state in later:
            source.set_state(state)
        for part, training in later_modes:
            part.training = training
        for value, before in kept:
            value.data.copy_(before)
