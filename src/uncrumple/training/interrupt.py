"""Ctrl-C while training: the step is finished, then training ends; what was learned is kept."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Interrupt:
    """While in use, the first Ctrl-C sets `asked`, and asks the model to stop; a second one interrupts at once.

    A step that is cut off half-way may leave some weights moved and others
    not. Asking, instead of breaking in, keeps the model whole.

    Args:
        model: Gets `stop_training` and `stop_evaluating`, so that training, or validation, ends after its step.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        # Only the main thread may set a handler; elsewhere Ctrl-C is not ours to take.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._ask)
            else:
                self._before = None
        return self

    def _ask(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = self._model.stop_training = self._model.stop_evaluating = True

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
