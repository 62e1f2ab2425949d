"""Whether somebody has said what a call is for: learning, or not.

`training=` says it, and so do `fit`, `evaluate`, `predict` and their like for the model that they run, and torch's
`model.eval()`. Where nobody has, most layers infer; those whose `call` has `training=True` (image augmentation) act,
as in Keras: `augmentation(images)` changes the images.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class _Calls(threading.local):
    """What is known in this thread of the calls under way."""

    inside = False  # a model is being called: losses of the call before are forgotten by the outermost only
    told = False  # it was said whether that is for learning


calls = _Calls()


@contextlib.contextmanager
def told(model: Any) -> Iterator[None]:
    """Within this block a call of the model goes by the model's mode, as torch keeps it in `model.training`."""
    before = model._runs
    model.__dict__["_runs"] = True  # nn.Module's way to set an attribute is long
    try:
        yield
    finally:
        model.__dict__["_runs"] = before
