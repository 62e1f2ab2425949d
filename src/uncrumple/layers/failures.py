"""What is said when a layer fails while it is built or called: above all the layers that users write."""

from __future__ import annotations

import contextlib
import inspect
import linecache
import numbers
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.core.naming import to_snake_case
from uncrumple.layers import symbolic
from uncrumple.layers.shapes import shape_of

_PACKAGE = str(Path(__file__).resolve().parents[1])
_TORCH = str(Path(torch.__file__).resolve().parent)

# Errors that mistakes lead to, and what they are raised as; others (a lack of memory, a class
# of the user's own) are left as they are. A KeyError would put its text in quotes.
_TYPES: dict[type, type] = {
    RuntimeError: ValueError,
    KeyError: ValueError,
    UnboundLocalError: NameError,
    **{kind: kind for kind in (ValueError, TypeError, IndexError, AttributeError, NameError)},
    **{kind: kind for kind in (ZeroDivisionError, NotImplementedError)},
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


def explained(layer: Any, error: Exception, args: Any) -> Exception | None:
    """Return an error that names the layer, the shapes it got and the line that failed.

    Args:
        layer: The layer that was called; one inside of it that failed is found in the traceback.
        error: What was raised.
        args: The arguments of the call.

    Returns:
        The new error, with the traceback of the old; None if `error` says what it has to say already.
    """
    if symbolic.is_explained(error) or type(error) not in _TYPES or _is_raised_by_user(error):
        return None
    if any(word in str(error) for word in ("CUDA", "cuDNN", "CUBLAS", "NCCL", "MPS")):
        return None  # the machine's, not the layer's
    layer, args, building = _innermost(layer, error, args)
    kind = _TYPES[type(error)]
    text = _about_a_signature(layer, str(error)) or _about_shapes(layer, error, args, building)
    return kind(text).with_traceback(error.__traceback__)


def _is_operation(layer: Any) -> bool:
    """Return whether a layer stands for an operator or a torch function in the user's code."""
    return any(cls.__name__ in ("Operation", "TorchFunction") for cls in type(layer).__mro__)


def _about_shapes(layer: Any, error: Exception, args: Any, building: bool) -> str:
    shapes = [str(shape_of(leaf)) for leaf in tree.flatten(args) if isinstance(leaf, torch.Tensor)]
    on = f" on an input of shape {shapes[0]}" if len(shapes) == 1 else f" on inputs of shapes {_and(shapes)}"
    doing = "failed in build()" if building else "failed"
    what = in_words(error)
    if type(error) in (RuntimeError, ValueError, IndexError):
        weights = [f"{weight.name} {tuple(weight.shape)}" for weight in layer._own_variables]
        expected = "Expected operations that fit this shape" if len(shapes) == 1 else "Expected shapes that fit"
        expected += f"; its weights: {', '.join(weights)}." if weights else "."
    else:
        expected = f"Expected {'build' if building else 'call'}() to run without an error."
    if "NumPy" in what:
        expected = "Expected torch functions in call()."
    fix = (
        line_of_the_user(error)
        or line_of_the_user(error, above=_is_operation(layer))
        or layer.explain_input(shape_of(tree.flatten(args)[0]) if shapes else None)
    )
    return explain(f"{layer._label} {doing}{on if shapes else ''}: {what}.", expected, fix)


def in_words(error: Exception) -> str:
    """Return the first line of an error, with torch's words for shapes replaced by plainer ones."""
    message = (str(error).strip().split("\n")[0] or type(error).__name__).rstrip(".")
    if isinstance(error, KeyError):
        return f"there is no {message}"
    for theirs, ours in _IN_WORDS:
        if re.match(theirs, message):
            said = re.sub(theirs, ours, message)
            if "do not fill" in said and symbolic.state.trying:
                said += f" (tried with {symbolic.BATCH_SIZES[0]} samples)"
            return said
    return message


def _about_a_signature(layer: Any, message: str) -> str | None:
    """Return what to say about a method that does not take what it was called with."""
    if "add_weight() got multiple values for argument 'shape'" in message:
        return explain(
            f"{layer._label}: add_weight got a shape twice, in the first place and as shape=.",
            "Expected the shape in the first place, and the name as name=.",
            'self.add_weight(shape=(...), name="...")',
        )
    found = re.search(r"(?:^|\.)call\(\) missing \d+ required positional arguments?: (.*)", message)
    if found is not None:
        return explain(
            f"{layer._label}: its call() got one argument, and no {found[1]}.",
            "Expected call() to take all inputs as one: a list, a tuple or a dict.",
            "def call(self, inputs): x, y = inputs",
        )
    found = re.search(r"(?:^|\.)(build|call)\(\) takes (\d+) positional arguments? but (\d+) w", message)
    if found is None:
        return None
    method, takes, given = found[1], int(found[2]), int(found[3])
    name = "input_shape" if method == "build" else "inputs"
    what = "input shape" if method == "build" else "input"
    if takes == 0:
        came, names = "no self", f"self, {name}"
    elif takes == 1:
        came, names = f"no {what}", f"self, {name}"
    else:
        came = f"{takes - 1} argument{'s' * (takes > 2)}, and got {given - 1}"
        names = "self, " + ", ".join(f"{name}_{number + 1}" for number in range(given - 1))
    if type(layer).__module__.startswith("uncrumple."):
        return explain(
            f"{layer._label} takes {came}.",
            "Expected one tensor, or one list of tensors.",
            f"{layer.name}(x); Concatenate()([x1, x2]) makes one tensor of two",
        )
    return explain(
        f"{layer._label}: its {method}() takes {came}.",
        f"Expected {method}() to take what the layer is called on."
        if method == "call"
        else "Expected build() to take the shape of the input.",
        f"def {method}({names}): ...",
    )


def _innermost(layer: Any, error: Exception, args: Any) -> tuple[Any, Any, bool]:
    """Return the layer within `layer` that failed, its arguments, and whether it was being built."""
    building = False
    for frame, _ in traceback.walk_tb(error.__traceback__):
        inside = frame.f_locals
        part = inside.get("self")
        if not hasattr(type(part), "explain_input"):
            continue  # not a layer's method
        if frame.f_code.co_name == "forward" and frame.f_code.co_filename.startswith(_PACKAGE):
            layer, args, building = part, inside.get("args", args), False
        elif frame.f_code.co_name == "_build_for":
            layer, args, building = part, inside.get("args", args), True
    return layer, args, building


def _frames_above() -> Iterator[tuple[FrameType, int]]:
    """Yield (frame, line) of what led here, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back


def _is_users(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return not name.startswith((_PACKAGE, _TORCH, "<frozen")) and "site-packages" not in name


def line_of_the_user(error: BaseException, *, above: bool = False) -> str | None:
    """Return where in the user's own code an error came about, with the source; None if that cannot be read.

    Args:
        error: The error.
        above: Look at what led here instead: where a layer that the user did not write was called.
    """
    frames = _frames_above() if above else reversed(list(traceback.walk_tb(error.__traceback__)))
    for frame, line in frames:
        if _is_users(frame):
            name = frame.f_code.co_filename
            source = linecache.getline(name, line, frame.f_globals).strip()
            where = "the cell" if "ipykernel" in name or name.startswith("<ipython") else Path(name).name
            return f"look at line {line} of {where}: {source}" if source else None
    return None


def _is_raised_by_user(error: BaseException) -> bool:
    """Return whether an error was raised on purpose, by a line of the user's own code."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames or not _is_users(frames[-1][0]):
        return False
    frame, line = frames[-1]
    return linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip().startswith("raise")


def check_tensors(layer: Any, inputs: Any) -> None:
    """Refuse plain numbers, and layers that were not called, where tensors belong.

    Raises:
        TypeError: There is one.
    """
    leaves = tree.flatten(inputs)
    for leaf in leaves:
        if isinstance(leaf, (torch.nn.Module, type)):
            given = f"the class {leaf.__name__}" if isinstance(leaf, type) else f"the layer {leaf._label}"
            made = f"{leaf.__name__}(...)" if isinstance(leaf, type) else leaf.name
            raise TypeError(
                explain(
                    f"{layer._label} got {given}.",
                    "Expected a tensor: what a layer returns when it is called.",
                    f"{layer.name}({made}(x))",
                )
            )
        if isinstance(leaf, numbers.Number) and any(isinstance(other, torch.Tensor) for other in leaves):
            raise TypeError(
                explain(
                    f"{layer._label} got {leaf!r} among its inputs.",
                    "Expected tensors, with one row per sample each.",
                    f"x + {leaf!r} or x * {leaf!r}, for arithmetic with a number",
                )
            )
        if isinstance(leaf, (numbers.Number, str)) and not isinstance(leaf, bool):
            inputs = inputs[0] if isinstance(inputs, tuple) and len(inputs) == 1 else inputs
            given = repr(inputs) if len(repr(inputs)) < 40 else f"{repr(inputs)[:37]}..."
            row = given if tree.is_nested(inputs) else f"[{given}]"
            raise TypeError(
                explain(
                    f"{layer._label} got {given}.",
                    "Expected a tensor or an array, with one row per sample.",
                    f"{layer.name}(np.array([{row}]))" if not isinstance(leaf, str) else "turn text into numbers first",
                )
            )


@contextlib.contextmanager
def no_strangers(layer: Any) -> Iterator[None]:
    """Refuse layers that get their weights within this block and are not parts of `layer`: nothing would train them.

    Raises:
        ValueError: There was one.
    """
    before, symbolic.state.makers = symbolic.state.makers, []
    try:
        yield
        makers = symbolic.state.makers
    finally:
        symbolic.state.makers = before
    inside = {id(module) for module in layer.modules()}
    for maker in makers:
        if id(maker) not in inside and maker.trainable_weights:
            kind = type(maker).__name__
            name = to_snake_case(kind)
            raise ValueError(
                explain(
                    f"{layer._label} uses a {kind} in call() that it does not own: its weights would never be trained.",
                    "Expected layers to be made once, in __init__, as attributes.",
                    f"self.{name} = {kind}(...) in __init__, and self.{name}(...) in call()",
                )
            )


def check_returned(layer: Any, outputs: Any, args: Any) -> None:
    """Refuse what a call cannot return: nothing, or something that is not a tensor.

    Raises:
        ValueError: It returned that.
    """
    leaves = tree.flatten(outputs)
    wrong = [leaf for leaf in leaves if leaf is not None and not isinstance(leaf, torch.Tensor)]
    if not wrong and any(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return
    shapes = [str(shape_of(leaf)) for leaf in tree.flatten(args) if isinstance(leaf, torch.Tensor)]
    on = f" for an input of shape {shapes[0]}" if len(shapes) == 1 else f" for inputs of shapes {_and(shapes)}"
    returned = f"a {type(wrong[0]).__module__}.{type(wrong[0]).__name__}".replace("builtins.", "") if wrong else "None"
    fix = f"return ... as the last line of {type(layer).__name__}.call"
    if wrong:
        fix = "torch functions in place of NumPy's, and no .item() or .numpy(), in call()"
    raise ValueError(
        explain(
            f"{layer._label}: its call() returned {returned}{on if shapes else ''}.",
            "Expected a tensor, or a list, tuple or dict of tensors.",
            fix,
        )
    )


def init_first(layer: Any, name: str | None = None) -> str:
    """Return the message for a layer whose `super().__init__()` has not run."""
    cls = type(layer)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cls.__init__).parameters.values())
    came = (
        f"its __init__ used '{name}' before super().__init__()" if name else "its __init__ never ran super().__init__()"
    )
    return explain(
        f"{cls.__name__}: {came}.",
        "Expected super().__init__() first: it makes room for weights and layers.",
        f"super().__init__({'**kwargs' if takes_any else ''}) as the first line of {cls.__name__}.__init__",
    )


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
