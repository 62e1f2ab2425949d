"""Where text goes: a terminal, a notebook or a log file, and what each of them can take.

At most one line at a time is being redrawn in place. Whoever prints a whole
line meanwhile uses `message`, which keeps the two apart.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from typing import Any, Literal

Style = Literal["live", "notebook", "lines"]

# Move to the start of the line; erase from here to its end.
_RETURN, _ERASE = "\r", "\x1b[K"
# The line that is being redrawn: (stream, style, columns that it fills).
_open: tuple[Any, Style, int] | None = None


def style(stream: Any) -> Style:
    """Return how progress can be shown on a stream.

    `"live"` on a terminal: one line redrawn, with colours. `"notebook"`: one
    line redrawn with nothing but carriage returns. `"lines"` anywhere else,
    such as a log file: plain lines.
    """
    if _in_notebook() or "PYCHARM_HOSTED" in os.environ:
        return "notebook"
    try:
        is_terminal = bool(stream.isatty())
    except (AttributeError, ValueError):  # a stand-in without isatty, or closed
        is_terminal = False
    if not is_terminal or os.environ.get("TERM") == "dumb":
        return "lines"
    if os.name == "nt" and not {"WT_SESSION", "ANSICON", "TERM"} & set(os.environ):
        return "notebook"  # the old Windows console knows no escape codes
    return "live"


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


def has_colours(stream: Any) -> bool:
    """Return whether to colour text: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return style(stream) == "live" and not os.environ.get("NO_COLOR")


def has_unicode(stream: Any) -> bool:
    """Return whether a stream can take the characters that bars are drawn with."""
    try:
        "━─…".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def width(how: Style) -> int:
    """Return how many columns a redrawn line may fill without reaching the edge, where it would wrap."""
    return 100 if how == "notebook" else max(20, shutil.get_terminal_size((80, 24)).columns - 1)


def columns(text: str) -> int:
    """Return how many columns a text fills: Chinese, Japanese and Korean characters take two.

    Example:
        >>> columns("loss"), columns("損失")
        (4, 4)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def redraw(stream: Any, how: Style, text: str, filled: int, *, end: bool = False) -> None:
    """Replace the line being redrawn.

    Args:
        stream: Where to.
        how: `"live"` or `"notebook"`.
        text: The new line, colour codes included.
        filled: How many columns it fills.
        end: Whether it stays, and the next text goes below it.
    """
    global _open
    before = _open[2] if _open is not None and _open[0] is stream else 0
    rest = _ERASE if how == "live" else " " * max(0, before - filled)
    stream.write(f"{_RETURN}{text}{rest}" + ("\n" if end else ""))
    stream.flush()
    _open = None if end else (stream, how, filled)


def is_open(stream: Any) -> bool:
    """Return whether a line on this stream is being redrawn."""
    return _open is not None and _open[0] is stream


def leave() -> None:
    """Let the line that is being redrawn stay as it is, and go to the next."""
    global _open
    if _open is not None:
        stream, _open = _open[0], None
        stream.write("\n")
        stream.flush()


def message(text: str) -> None:
    """Print a whole line; a line that is being redrawn makes room and comes back below it."""
    global _open
    stream = sys.stdout
    clear = ""
    if _open is not None and _open[0] is stream:
        clear = _RETURN + (_ERASE if _open[1] == "live" else " " * _open[2] + _RETURN)
        _open = None
    stream.write(f"{clear}{text}\n")
    stream.flush()
