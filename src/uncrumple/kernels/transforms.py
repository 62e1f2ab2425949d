"""Who looks on while a kernel would run, and gradients by a plain twin where that must not be.

The native kernels write into memory behind torch's back. Where torch keeps
count of what happens (one of torch.func's transforms, forward gradients, a
compiler, a tracer, autocast), only functions of its own will do.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd import forward_ad


def _never(*arguments: Any) -> None:
    """Stand for what this version of torch does not tell."""


# torch asks this itself before it applies an autograd function.
_active = getattr(torch._C, "_are_functorch_transforms_active", _never)
_PROXY = getattr(getattr(torch._C, "_TorchDispatchModeKey", None), "PROXY", None)
_mode = _never if _PROXY is None else getattr(torch._C, "_get_dispatch_mode", _never)
_is_batched = getattr(torch._C._functorch, "is_legacy_batchedtensor", _never)
_levels: Any = forward_ad if hasattr(forward_ad, "_current_level") else types.SimpleNamespace(_current_level=-1)


def transformed() -> bool:
    """Return whether `torch.func.grad`, `vmap` or another transform, or a forward gradient, looks into every function."""
    return bool(_active()) or _levels._current_level >= 0


def recorded() -> bool:
    """Return whether autocast changes the types of results, or `make_fx` writes down what torch's functions do."""
    return torch.is_autocast_enabled("cpu") or _mode(_PROXY) is not None


def watched() -> bool:
    """Return whether the plain twin is to run: who looks on must find functions of torch's own.

    A compiler looks on, too: `native.takes` says so.
    """
    # `recorded` and `transformed`, without the calls.
    if torch._C._is_tracing() or torch.is_autocast_enabled("cpu") or _mode(_PROXY) is not None:
        return True
    return bool(_active()) or _levels._current_level >= 0


def differentiated(*d_outputs: torch.Tensor | None) -> bool:
    """Return whether the gradients of this backward pass must come from the plain twin.

    They are to be differentiated again, or are computed for several gradients at once (`is_grads_batched`).
    """
    if torch.is_grad_enabled() or _active() or _levels._current_level >= 0:
        return True
    for one in d_outputs:  # noqa: SIM110 - a generator would take longer
        if one is not None and _is_batched(one):
            return True
    return False


def gradients_by_twin(
    twin: Callable[..., Any], inputs: Sequence[torch.Tensor | None], d_outputs: Sequence[torch.Tensor | None]
) -> list[torch.Tensor | None]:
    """Return the gradients of a twin's inputs, None for those that want none; they can be differentiated again.

    Args:
        twin: Gives an output or a tuple of them.
        inputs: What the autograd function was given and has saved.
        d_outputs: The gradients of the outputs.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, each a branch of its own: one input may be another, or may have been computed from it.
        views = [one if one is None or not one.requires_grad else one.view_as(one) for one in inputs]
        outputs = twin(*views)
        pairs = zip(outputs if isinstance(outputs, tuple) else (outputs,), d_outputs, strict=False)
        known = [(out, d) for out, d in pairs if d is not None]
        wanted = [one for one in views if one is not None and one.requires_grad]
        outs, ds = [out for out, _ in known], [d for _, d in known]
        found = iter(torch.autograd.grad(outs, wanted, ds, create_graph=again, allow_unused=True))
    return [next(found) if one is not None and one.requires_grad else None for one in views]
