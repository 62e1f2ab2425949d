"""Where tensors live."""

from __future__ import annotations

import torch


def default_device() -> torch.device:
    """Return the device on which new weights are made: torch's default, as `torch.set_default_device` set it."""
    return torch.get_default_device()
