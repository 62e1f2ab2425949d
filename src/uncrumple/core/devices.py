"""Where tensors live."""

from __future__ import annotations

import torch


def default_device() -> torch.device:
    """Return the device on which new weights are made: torch's default, as `torch.set_default_device` set it."""
    return torch.get_default_device()


def best_device() -> torch.device:
    """Return the fastest device that this machine offers: an accelerator if there is one, else the CPU."""
    if torch.accelerator.is_available():
        found = torch.accelerator.current_accelerator()
        if found is not None:
            return found
    return torch.device("cpu")
