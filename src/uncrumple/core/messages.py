"""Lines that tell what is being done: to the screen, or to a log where nobody sits before a screen."""

from __future__ import annotations

import logging
import sys

_log = logging.getLogger("uncrumple")
_interactive = True


def enable_interactive_logging() -> None:
    """Let messages be printed, as they are unless this was switched off."""
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Let messages go to Python's `logging`, under the name "uncrumple", in place of the screen.

    Example:
        >>> disable_interactive_logging()
        >>> print_message("not on the screen")
        >>> enable_interactive_logging()
    """
    global _interactive
    _interactive = False


def is_interactive_logging_enabled() -> bool:
    """Return whether messages are printed.

    Example:
        >>> is_interactive_logging_enabled()
        True
    """
    return _interactive


def print_message(text: str) -> None:
    """Print a line, or log it.

    Example:
        >>> print_message("Downloading ...")
        Downloading ...
    """
    if not _interactive:
        _log.info(text)
        return
    try:
        sys.stdout.write(f"{text}\n")
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding) + "\n")
