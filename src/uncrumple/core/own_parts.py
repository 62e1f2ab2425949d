"""What is said when a part that a user wrote fails: which part, on what, and the line of its code.

The type of the exception and its traceback stay. An error that the user's code
raises on purpose keeps its text, too: what there is to say becomes a note under it.
"""

from __future__ import annotations

import dis
import linecache
import re
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.settings import is_traceback_filtering_enabled

_PACKAGE = str(Path(__file__).resolve().parents[1])
_TORCH = str(Path(torch.__file__).resolve().parent)


class ShapeError(ValueError, RuntimeError):
    """A ValueError that those who wait for torch's RuntimeError catch as well."""

    def __reduce__(self) -> Any:
        return ValueError, (str(self),)


class NoKey(KeyError):
    """A KeyError whose text is shown as it is, not in quotes."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> Any:
        return KeyError, (str(self),)


# What is shown to the user are the standard types.
for _made, _shown in ((ShapeError, "ValueError"), (NoKey, "KeyError")):
    _made.__name__ = _made.__qualname__ = _shown
    _made.__module__ = "builtins"

# Errors that mistakes lead to, and what they are raised as; others (a lack of memory, a file
# that is not there, a class of the user's own) are left as they are, with a note.
TYPES: dict[type, type] = {
    RuntimeError: ShapeError,
    KeyError: NoKey,
    UnboundLocalError: NameError,
    **{kind: kind for kind in (ValueError, TypeError, IndexError, AttributeError, NameError)},
    **{kind: kind for kind in (ZeroDivisionError, OverflowError, NotImplementedError)},
}
# Torch's words for shapes that do not fit, and ours.
_IN_WORDS = (
    (
        r".*shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\).*",
        r"a matrix product needs equal inner sizes, and got \1 and \2",
    ),
    (
        r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+).*",
        r"sizes \1 and \2 do not match on axis \3",
    ),
    (r"shape '\[(.*)\]' is invalid for input of size (\d+)", r"\2 numbers do not fill the shape (\1)"),
    (
        r"Dimension out of range \(expected to be in range of \[-(\d+), -?\d+\], but got (-?\d+)\)",
        r"there is no axis \2, the tensor has \1",
    ),
    (
        r"Given groups=.*, expected input\[.*\] to have (\d+) channels, but got (\d+) channels instead",
        r"the convolution takes \1 channels, and got \2",
    ),
    (
        r"Can't call numpy\(\) on Tensor that requires grad.*",
        r"NumPy was used on a tensor, and gradients cannot pass through NumPy",
    ),
)


def is_explained(error: BaseException) -> bool:
    """Return whether an error already says what to type."""
    return "\nFix: " in str(error)


def is_own(thing: Any) -> bool:
    """Return whether a user wrote a function, or the class of an object.

    Example:
        >>> is_own(torch.relu), is_own(torch.nn.ReLU()), is_own(is_own)
        (False, False, False)
    """
    if isinstance(thing, torch.nn.Module) or not hasattr(thing, "__name__"):
        thing = type(thing)
    module = getattr(thing, "__module__", None) or ""
    return module.split(".")[0] not in ("uncrumple", "torch", "builtins", "numpy", "functools", "")


def named(kind: str, thing: Any, name: str | None = None) -> str:
    """Return how messages call a part: its class and its name, or what it is and the name of the function.

    Example:
        >>> named("loss", lambda y_true, y_pred: 0.0)
        "The loss '<lambda>'"
    """
    if isinstance(thing, type) or not hasattr(thing, "__name__"):
        cls = thing if isinstance(thing, type) else type(thing)
        return cls.__name__ if name is None else f"{cls.__name__} '{name}'"
    return f"The {kind} '{name or thing.__name__}'"


def own_function(layer: Any) -> Any:
    """Return the function of a user's own that a layer applies, as its activation or as a `Lambda`; None for none."""
    for name in ("activation", "recurrent_activation", "function"):
        function = vars(layer).get(name)
        if callable(function) and hasattr(function, "__name__") and is_own(function):
            return function
    return None


def code_name(thing: Any, method: str = "__call__") -> str:
    """Return where the code of a part is: "Own.call", or the name of a function.

    Example:
        >>> code_name(code_name), code_name(ValueError("a"), "call")
        ('code_name', 'ValueError.call')
    """
    if isinstance(thing, type) or not hasattr(thing, "__name__"):
        return f"{(thing if isinstance(thing, type) else type(thing)).__name__}.{method}"
    return "the lambda" if thing.__name__ == "<lambda>" else thing.__name__


def failed(
    who: str,
    error: Exception,
    *,
    on: str = "",
    expected: str,
    fix: str = "",
    came: str | None = None,
    about_shapes: bool = False,
) -> Exception | None:
    """Return the error to raise in place of `error`, from None; None if `error` itself is to be raised again.

    Args:
        who: The part, as `named` returns it.
        error: What was raised.
        on: In what, or on what: " in on_epoch_end()", " on y of shape (32,)".
        expected: What would have been right.
        fix: The line to type, where no line of the user's own code can be shown.
        came: What to say in place of the text of `error`.
        about_shapes: Whether `expected` speaks of shapes only, and so fits only errors that shapes lead to.
    """
    if is_of_the_machine(error) or not is_traceback_filtering_enabled():
        return None
    line = line_of_the_user(error)
    if is_explained(error):
        if line is not None and who not in str(error) and type(error) is not NoKey:
            add_note(error, f"This was in {who}{on}: {line}.")
        return None
    if about_shapes and type(error) not in (RuntimeError, ValueError, IndexError):
        expected = "Expected it to run without an error."
    if type(error) not in TYPES or is_raised_by_user(error):
        add_note(error, explain(f"{who} raised this{on}.", expected, line or fix))
        return None
    said = f"{who} failed{on}: {came or in_words(error)}."
    return TYPES[type(error)](explain(said, expected, line or fix)).with_traceback(error.__traceback__)


def add_note(error: BaseException, text: str) -> None:
    """Put a note under an error, unless a part within has put one there."""
    if not getattr(error, "__notes__", None):
        error.add_note(text)


def is_of_the_machine(error: BaseException) -> bool:
    """Return whether a device failed, rather than somebody's code.

    Tensors on several devices are somebody's: torch says so with the name of the operation, `wrapper_CUDA_addmm`.
    """
    said = str(error)
    return "same device" not in said and any(word in said for word in ("CUDA", "cuDNN", "CUBLAS", "NCCL", "MPS"))


def in_words(error: BaseException) -> str:
    """Return the first line of an error, with torch's words for shapes replaced by plainer ones."""
    message = (str(error).strip().split("\n")[0] or type(error).__name__).rstrip(".")
    if isinstance(error, KeyError):
        return f"there is no {message}"
    for theirs, ours in _IN_WORDS:
        if re.match(theirs, message):
            return re.sub(theirs, ours, message)
    return message


def shapes_of(tensors: Iterable[Any]) -> str:
    """Return the shapes of tensors in words: "(2, 3) and (2,)"."""
    words = [str(tuple(one.shape)) for one in tensors if isinstance(one, torch.Tensor)]
    return " and ".join(words)


def described(value: Any) -> str:
    """Return what a value is, for messages: "None", "a str", "a tensor of shape (2, 3)".

    Example:
        >>> described(torch.ones(2, 3)), described("a"), described(None)
        ('a tensor of shape (2, 3)', 'a str', 'None')
    """
    if value is None:
        return "None"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}" if value.ndim else "a tensor with one number"
    name = type(value).__name__
    if hasattr(value, "shape"):
        return f"a {type(value).__module__.split('.')[0]}.{name} of shape {tuple(value.shape)}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


# --- lines of code -----------------------------------------------------------------------


def is_users(frame: FrameType) -> bool:
    """Return whether a frame runs the user's own code."""
    name = frame.f_code.co_filename
    return not name.startswith((_PACKAGE, _TORCH, "<frozen")) and "site-packages" not in name


def frames_of(error: BaseException) -> list[tuple[FrameType, int, int]]:
    """Return (frame, line, place in the code) from where an error was caught to where it came about."""
    found, entry = [], error.__traceback__
    while entry is not None:
        found.append((entry.tb_frame, entry.tb_lineno, entry.tb_lasti))
        entry = entry.tb_next
    return found


def line_of(frames: Iterable[tuple[FrameType, int]]) -> str | None:
    """Return where the first of the frames that runs the user's code stands, with its source; None if it cannot be read."""
    for frame, line in frames:
        if is_users(frame):
            name = frame.f_code.co_filename
            source = linecache.getline(name, line, frame.f_globals).strip()
            where = "the cell" if "ipykernel" in name or name.startswith("<ipython") else Path(name).name
            return f"look at line {line} of {where}: {source}" if source else None
    return None


def line_of_the_user(error: BaseException) -> str | None:
    """Return where in the user's own code an error came about, with the source; None if that cannot be read."""
    return line_of((frame, line) for frame, line, _ in reversed(frames_of(error)))


def ran(error: BaseException, function: Any) -> bool:
    """Return whether an error came about in a function, or in what it called."""
    code = getattr(function, "__code__", None)
    return any(frame.f_code is code for frame, _, _ in frames_of(error))


def is_raised_by_user(error: BaseException) -> bool:
    """Return whether an error was raised on purpose, by a `raise` or `assert` of the user's own code."""
    frames = frames_of(error)
    if not frames or not is_users(frames[-1][0]):
        return False
    frame, _, place = frames[-1]
    return _operation(frame.f_code, place) == "RAISE_VARARGS"


def _operation(code: CodeType, place: int) -> str:
    return dis.opname[code.co_code[place]] if 0 <= place < len(code.co_code) else ""
