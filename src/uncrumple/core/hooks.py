"""The hooks that torch calls around a module's forward and backward pass: whoever has hung one up wants to be called."""

from __future__ import annotations

from typing import Any

from torch.nn.modules import module as torch_module

# Those that somebody hung on all modules at once.
GLOBAL_HOOKS: tuple[Any, ...] = (
    torch_module._global_forward_hooks,
    torch_module._global_forward_pre_hooks,
    torch_module._global_backward_hooks,
    torch_module._global_backward_pre_hooks,
)


def hooks_of(module: Any) -> tuple[Any, ...]:
    """Return the dicts that hold a module's own hooks; they are the same as long as the module lives.

    Example:
        >>> import torch
        >>> any(hooks_of(torch.nn.Linear(2, 1)))
        False
    """
    return module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
