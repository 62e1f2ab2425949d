"""Numbers and names that hold for the whole program."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from uncrumple.core.errors import explain, unknown_name

USUAL_EPSILON = 1e-7
_FORMATS = ("channels_first", "channels_last")
_BACKENDS = ("torch", "tensorflow", "jax", "numpy", "openvino")

_epsilon = USUAL_EPSILON
_image_data_format = "channels_last"
_filters_tracebacks = True


# Functions that are told a new epsilon: of rooms that cannot ask here.
followers: list[Callable[[float], None]] = []


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite: 1e-7 unless `set_epsilon` changed it."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite, in losses, metrics, constraints and `ops`.

    Example:
        >>> set_epsilon(1e-5)
        >>> epsilon()
        1e-05
        >>> set_epsilon(1e-7)
    """
    global _epsilon
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(explain(f"set_epsilon got {value!r}.", "Expected a small number of at least 0.", "1e-7"))
    _epsilon = float(value)
    for tell in followers:
        tell(_epsilon)


def image_data_format() -> str:
    """Return the order of an image's axes: `"channels_last"` unless `set_image_data_format` changed it."""
    return _image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set the order of an image's axes that layers and `ops` take where none is given.

    Args:
        data_format: `"channels_last"` (samples, height, width, channels) or `"channels_first"`.

    Example:
        >>> set_image_data_format("channels_first")
        >>> image_data_format()
        'channels_first'
        >>> set_image_data_format("channels_last")
    """
    global _image_data_format
    name = str(data_format).lower()
    if name not in _FORMATS:
        raise ValueError(unknown_name("image data format", str(data_format), _FORMATS))
    _image_data_format = name


# --- short runs --------------------------------------------------------------------------


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            explain(f"{name} is {value!r}.", "Expected a whole number of at least 1, or None for no limit.", "None")
        )
    return value


def _from_environment(name: str) -> int | None:
    """Return a limit that an environment variable sets; one that is no number sets none."""
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() and int(value) > 0 else None


_max_epochs = _from_environment("KERAS_MAX_EPOCHS")
_max_steps_per_epoch = _from_environment("KERAS_MAX_STEPS_PER_EPOCH")


def max_epochs() -> int | None:
    """Return the limit to the epochs of every `fit`, or None: `set_max_epochs` or `$KERAS_MAX_EPOCHS` sets it."""
    return _max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of every `fit`, to try a program out; None lifts the limit."""
    global _max_epochs
    _max_epochs = _count("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """Return the limit to the batches of an epoch, or None.

    `set_max_steps_per_epoch` or `$KERAS_MAX_STEPS_PER_EPOCH` sets it.
    """
    return _max_steps_per_epoch


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the batches of an epoch in `fit`, `evaluate` and `predict`, to try a program out; None lifts the limit."""
    global _max_steps_per_epoch
    _max_steps_per_epoch = _count("max_steps_per_epoch", max_steps_per_epoch)


# --- what is as it is --------------------------------------------------------------------


def backend() -> str:
    """Return the name of the engine: always `"torch"`."""
    return "torch"


def set_backend(backend: str) -> None:
    """Accept `"torch"`, the only engine there is.

    Raises:
        ValueError: Another engine is asked for.
    """
    if backend not in _BACKENDS:
        raise ValueError(unknown_name("backend", backend, _BACKENDS))
    if backend != "torch":
        raise ValueError(
            explain(f"set_backend got {backend!r}.", "Expected 'torch': there is no other engine here.", "remove it")
        )


def is_nnx_enabled() -> bool:
    """Return whether layers are modules of JAX's NNX: never."""
    return False


def enable_unsafe_deserialization() -> None:
    """Refuse to let files carry code: there is no switch for it.

    Raises:
        ValueError: Always; the message says how to load what a file only names.
    """
    raise ValueError(
        explain(
            "enable_unsafe_deserialization was called.",
            "Expected files that carry no code: what is in them is never run, and no switch changes that.",
            "load_model(path, custom_objects={'my_function': my_function})",
        )
    )


def enable_traceback_filtering() -> None:
    """Let errors in a user's own parts name the part and the line, as they do unless this was switched off."""
    global _filters_tracebacks
    _filters_tracebacks = True


def disable_traceback_filtering() -> None:
    """Let errors in a user's own parts come as they were raised, with every line that led there."""
    global _filters_tracebacks
    _filters_tracebacks = False


def is_traceback_filtering_enabled() -> bool:
    """Return whether errors in a user's own parts are put into words."""
    return _filters_tracebacks
