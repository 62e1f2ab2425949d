"""Whether one of torch.func's transforms is at work: it cannot look into autograd functions of our own."""

from __future__ import annotations

import torch

# torch asks this itself before it applies an autograd function.
_active = getattr(torch._C, "_are_functorch_transforms_active", None)


def transformed() -> bool:
    """Return whether the call comes from `torch.func.grad`, `vmap` or another transform, so that the plain twin is to run."""
    return _active is not None and _active()
