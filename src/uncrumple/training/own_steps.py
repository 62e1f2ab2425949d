"""What is said when a step that a user wrote (`train_step`, `compute_loss`, ...) fails."""

from __future__ import annotations

from typing import Any

from uncrumple.core import own_parts
from uncrumple.training.loop import Steps

_STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "get_metrics_result")
_EXPECTED = {
    "compute_loss": "Expected a tensor with one number: the loss of the batch.",
    "predict_step": "Expected the outputs for one batch.",
    "get_metrics_result": "Expected a dict of numbers by name.",
}


def explained(model: Any, error: Exception) -> Exception | None:
    """Return the error to raise in place of one from a model's own step; None to leave it as it is.

    Args:
        model: The model that was trained, evaluated or asked.
        error: What was raised.
    """
    own = {getattr(type(model), name).__code__: name for name in _STEPS if _is_own(model, name)}
    names = [own[frame.f_code] for frame, _, _ in own_parts.frames_of(error) if frame.f_code in own]
    if not names:
        return None
    name = names[-1]
    return own_parts.failed(
        f"{type(model).__name__} '{model.name}'",
        error,
        on=f" in {name}()",
        expected=_EXPECTED.get(name, "Expected a dict of numbers by name, after one step on one batch."),
        fix=f"{type(model).__name__}.{name} is where to look",
    )


def _is_own(model: Any, name: str) -> bool:
    method = getattr(type(model), name, None)
    return method is not getattr(Steps, name) and hasattr(method, "__code__") and own_parts.is_own(method)
