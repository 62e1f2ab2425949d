"""What is said when a layer fails while it is built or called: above all the layers that users write."""

from __future__ import annotations

import contextlib
import inspect
import numbers
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from uncrumple.core import own_parts, tree
from uncrumple.core.errors import explain, unknown_argument
from uncrumple.core.naming import to_snake_case
from uncrumple.core.settings import is_traceback_filtering_enabled
from uncrumple.layers import symbolic
from uncrumple.layers.shapes import shape_of

_PACKAGE = str(Path(__file__).resolve().parents[1])


def explained(layer: Any, error: Exception, args: Any) -> Exception | None:
    """Return an error that names the layer, the shapes it got and the line that failed.

    Args:
        layer: The layer that was called; one inside of it that failed is found in the traceback.
        error: What was raised.
        args: The arguments of the call.

    Returns:
        The new error, with the traceback of the old; None if `error` says what it has to say already.
    """
    if own_parts.is_explained(error) or own_parts.is_of_the_machine(error) or not is_traceback_filtering_enabled():
        return None
    layer, args, building = _innermost(layer, error, args)
    if type(error) not in own_parts.TYPES or own_parts.is_raised_by_user(error):
        own_parts.add_note(error, _note(layer, error, args, building))
        return None
    kind = own_parts.TYPES[type(error)]
    text = (
        _about_a_signature(layer, str(error))
        or _about_devices(layer, error, args)
        or _about_shapes(layer, error, args, building)
    )
    return kind(text).with_traceback(error.__traceback__)


def _is_operation(layer: Any) -> bool:
    """Return whether a layer stands for an operator or a torch function in the user's code."""
    return any(cls.__name__ in ("Operation", "TorchFunction") for cls in type(layer).__mro__)


def _about_shapes(layer: Any, error: Exception, args: Any, building: bool) -> str:
    shapes = [str(shape_of(leaf)) for leaf in tree.flatten(args) if isinstance(leaf, torch.Tensor)]
    on = f" on an input of shape {shapes[0]}" if len(shapes) == 1 else f" on inputs of shapes {_and(shapes)}"
    doing = "failed in build()" if building else "failed"
    function = None if building else own_parts.own_function(layer)
    if function is not None and own_parts.ran(error, function):
        doing = f"failed in its function '{function.__name__}'"
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


def _about_devices(layer: Any, error: Exception, args: Any) -> str | None:
    """Return what to say about an input that lies on another device than the weights."""
    came = {str(leaf.device) for leaf in tree.flatten(args) if isinstance(leaf, torch.Tensor) and leaf.ndim}
    own = {str(weight.device) for weight in layer._own_variables}
    if not isinstance(error, RuntimeError) or not came or not own or came == own or "meta" in came | own:
        return None
    there = min(own)
    return explain(
        f"{layer._label} has weights on {_and(sorted(own))} and got an input on {_and(sorted(came))}.",
        "Expected weights and input on one device.",
        f'x.to("{there}") for a tensor of your own; model.to("{there}") if the layers of the model lie apart',
    )


def in_words(error: Exception) -> str:
    """Return the first line of an error, with torch's words for shapes replaced by plainer ones."""
    said = own_parts.in_words(error)
    if "do not fill" in said and symbolic.state.trying:
        said += f" (tried with {symbolic.BATCH_SIZES[0]} samples)"
    return said


def _note(layer: Any, error: Exception, args: Any, building: bool) -> str:
    """Return what stands under an error that the code of a layer raised on purpose."""
    shapes = [str(shape_of(leaf)) for leaf in tree.flatten(args) if isinstance(leaf, torch.Tensor)]
    method = "build" if building else "call"
    return explain(
        f"{layer._label} raised this in {method}(), on {'shape' if len(shapes) == 1 else 'shapes'} {_and(shapes)}."
        if shapes
        else f"{layer._label} raised this in {method}().",
        f"Expected {method}() to run without an error.",
        line_of_the_user(error) or f"{layer.name} is where to look",
    )


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
    found = re.search(r"(?:^|\.)call\(\) got an unexpected keyword argument '(\w+)'", message)
    if found is not None and found[1] not in layer._call_parameters:
        return unknown_argument(layer._label, found[1], layer._call_parameters)
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


def line_of_the_user(error: BaseException, *, above: bool = False) -> str | None:
    """Return where in the user's own code an error came about, with the source; None if that cannot be read.

    Args:
        error: The error.
        above: Look at what led here instead: where a layer that the user did not write was called.
    """
    return own_parts.line_of(_frames_above()) if above else own_parts.line_of_the_user(error)


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
    function = own_parts.own_function(layer)
    code = own_parts.code_name(layer if function is None else function, "call")
    by = "its call()" if function is None else f"its function '{function.__name__}'"
    fix = f"return ... as the last line of {code}"
    if wrong and function is not None:
        fix = f"torch functions in place of NumPy's, and no .item() or .numpy(), in {code}"
    elif wrong:
        fix = "torch functions in place of NumPy's, and no .item() or .numpy(), in call()"
    raise ValueError(
        explain(
            f"{layer._label}: {by} returned {returned}{on if shapes else ''}.",
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
