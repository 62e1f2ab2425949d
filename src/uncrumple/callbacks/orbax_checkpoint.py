"""The one callback of Keras that belongs to another engine."""

from __future__ import annotations

from typing import Any

from uncrumple.callbacks.callback import Callback
from uncrumple.core.errors import explain


class OrbaxCheckpoint(Callback):
    """Stand for Keras's checkpoints in the form of Orbax, a library of JAX, which are not written here.

    Making one raises an error that names what to use in its place; importing the name does not,
    so that a program that never uses it runs.

    Args:
        *args, **kwargs: Anything.

    Raises:
        NotImplementedError: Always.

    Example:
        >>> from uncrumple.callbacks import BackupAndRestore
        >>> BackupAndRestore("backup").save_freq
        'epoch'
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        folder = str(args[0] if args else kwargs.get("directory", "backup"))
        raise NotImplementedError(
            explain(
                "OrbaxCheckpoint writes files of JAX, with the library orbax-checkpoint.",
                "Expected a callback that saves models of PyTorch.",
                f"BackupAndRestore({folder!r}) to go on after an interruption, "
                f"or ModelCheckpoint({folder + '/{epoch}.keras'!r}) to keep the model of each epoch",
            )
        )
