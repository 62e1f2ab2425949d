"""Loops and branches over tensors, and functions carried over many tensors."""

from __future__ import annotations

import builtins
import functools
import operator
import re
from collections.abc import Callable
from typing import Any

import torch

from uncrumple.core import recording, tree
from uncrumple.core.errors import explain
from uncrumple.ops.comparison import where
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import tensor

operation = group("core")
# fmt: off
__all__ = ["associative_scan", "cond", "fori_loop", "map", "scan", "switch", "vectorize", "vectorized_map",
           "while_loop"]
# fmt: on


def _check_callable(owner: str, name: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(
            explain(f"{owner} got {name}={function!r}.", "Expected a function.", f"ops.{owner}(lambda x: ..., ...)")
        )


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Return `true_fn()` or `false_fn()`, as `pred` says.

    In a model that is put together both run, and the results are chosen from.
    """
    _check_callable("cond", "true_fn", true_fn)
    _check_callable("cond", "false_fn", false_fn)
    if isinstance(pred, recording.symbolic_class or ()):
        chosen, other = true_fn(), false_fn()
        pairs = builtins.zip(tree.flatten(chosen), tree.flatten(other))
        return tree.pack(chosen, [where(pred, one, two) for one, two in pairs])
    if isinstance(pred, torch.Tensor) and pred.is_meta:
        return true_fn()
    return true_fn() if pred else false_fn()


@operation("index branches operands")
def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """Return `branches[index](*operands)`; an index that is too large or too small stands for the nearest."""
    place = tensor(index)
    if place.is_meta:
        return branches[0](*operands)
    return branches[min(max(int(place), 0), len(branches) - 1)](*operands)


@operation("loop_vars")
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Return what `loop_vars` are after `body` has replaced them as long as `cond` of them is true.

    Example:
        >>> while_loop(lambda i: i < 10, lambda i: i * 2, torch.tensor(1))
        tensor(16)
    """
    several = isinstance(loop_vars, (list, tuple))
    values = tuple(tree.map_structure(tensor, tuple(loop_vars) if several else (loop_vars,)))
    count = 0
    while (maximum_iterations is None or count < maximum_iterations) and cond(*values):
        made = body(*values)
        values = tuple(made) if isinstance(made, (list, tuple)) else (made,)
        count += 1
    return values if several else values[0]


@operation("init_val")
def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Return a value after `body_fun(i, value)` has replaced it for each i from `lower` up to, without, `upper`.

    Example:
        >>> fori_loop(0, 4, lambda i, total: total + i, 0)
        6
    """
    value = init_val
    for step in range(int(lower), int(upper)):
        value = body_fun(step, value)
    return value


@operation("f init xs")
def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Walk along the first axis with a value that is carried: (value, slice) -> (next value, output).

    Args:
        f: Gets the value and a slice of `xs`, returns the next value and an output (or None).
        init: The value to begin with.
        xs: Tensors of one length, in any structure; None if `f` needs no slices.
        length: How many steps, if there is no `xs`.
        reverse: Whether to begin at the end.
        unroll: For Keras's signature; every step is run as it comes.

    Returns:
        The last value, and the outputs in one tensor.

    Example:
        >>> scan(lambda total, x: (total + x, total + x), torch.tensor(0), torch.tensor([1, 2, 3]))
        (tensor(6), tensor([1, 3, 6]))
    """
    _check_callable("scan", "f", f)
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(
            explain(f"scan got unroll={unroll!r}.", "Expected True, False or a number above 0.", "unroll=1")
        )
    if xs is None and length is None:
        raise ValueError(
            explain(
                "scan got neither xs nor length.", "Expected tensors to walk along, or a number of steps.", "length=10"
            )
        )
    init = tree.map_structure(tensor, init)
    xs = None if xs is None else tree.map_structure(tensor, xs)
    steps = int(length) if length is not None else tree.flatten(xs)[0].shape[0]
    value, outputs = init, []
    for step in range(steps - 1, -1, -1) if reverse else range(steps):
        part = None if xs is None else tree.map_structure(operator.itemgetter(step), xs)
        value, output = f(value, part)
        outputs.append(tree.map_structure(torch.zeros_like, init) if output is None else output)
    if reverse:
        outputs.reverse()
    if not outputs:
        return value, None
    leaves = builtins.zip(*(tree.flatten(output) for output in outputs))
    return value, tree.pack(outputs[0], [torch.stack([tensor(leaf) for leaf in same]) for same in leaves])


@operation(2)
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Return `f` of each slice along the first axis, in one tensor.

    Example:
        >>> map(lambda x: x + 1, torch.tensor([1, 2]))
        tensor([2, 3])
    """
    _check_callable("map", "f", f)
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


@operation("f elems")
def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Combine each slice along an axis with all before it, in as few rounds as possible.

    Args:
        f: Combines two structures like `elems`; f(a, f(b, c)) must be f(f(a, b), c).
        elems: Tensors of one length on the axis, in any structure.
        reverse: Whether to combine each with all behind it.
        axis: The axis.

    Example:
        >>> associative_scan(torch.add, torch.tensor([1, 2, 3]))
        tensor([1, 3, 6])
    """
    _check_callable("associative_scan", "f", f)
    xs = [tensor(x) for x in tree.flatten(elems)]
    count = xs[0].shape[axis]
    if any(x.shape[axis] != count for x in xs):
        raise ValueError(
            explain(
                f"associative_scan got tensors of shapes {', '.join(str(tuple(x.shape)) for x in xs)}.",
                f"Expected one length on axis {axis}.",
                "axis=0",
            )
        )
    xs = [x.flip(axis) for x in xs] if reverse else xs
    # In round r each slice is combined with the one 2 ** r before it, which holds all before that.
    distance = 1
    while distance < count:
        before = [x.narrow(axis, 0, count - distance) for x in xs]
        after = [x.narrow(axis, distance, count - distance) for x in xs]
        made = tree.flatten(f(tree.pack(elems, before), tree.pack(elems, after)))
        xs = [torch.cat([x.narrow(axis, 0, distance), one], dim=axis) for x, one in builtins.zip(xs, made)]
        distance *= 2
    return tree.pack(elems, [x.flip(axis) for x in xs] if reverse else xs)


@operation("elements", "VectorizedMap")
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """Return `function` of each slice along the first axis, computed for all slices at once.

    Example:
        >>> vectorized_map(torch.sum, torch.ones(2, 3))
        tensor([3., 3.])
    """
    _check_callable("vectorized_map", "function", function)
    return torch.vmap(function)(tree.map_structure(tensor, elements))


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """Return a function of single numbers (or small tensors) as one of tensors of any shape.

    Args:
        pyfunc: The function.
        excluded: Places or names of arguments that are passed on whole.
        signature: The axes that `pyfunc` works on, such as `"(n),(n)->()"`; by
            default none, so it is given single numbers.

    Example:
        >>> vectorize(lambda a, b: a - b if isinstance(a, int) else a - b)(torch.tensor([1, 2]), torch.tensor(3))
        tensor([-2, -1])
    """
    if not callable(pyfunc):
        raise ValueError(explain(f"vectorize got {pyfunc!r}.", "Expected a function.", "ops.vectorize(lambda x: ...)"))
    left_out = set(excluded or ())
    inner = None if signature is None else [len(re.findall(r"\w+", part)) for part in _groups(signature)]

    @functools.wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        places = [place for place, arg in enumerate(args) if place not in left_out and arg is not None]
        names = [name for name in kwargs if name not in left_out]
        xs = [tensor(args[place]) for place in places] + [tensor(kwargs[name]) for name in names]
        ranks = [0] * len(xs) if inner is None else inner
        if len(ranks) != len(xs):
            raise TypeError(
                explain(
                    f"vectorize got {len(xs)} tensors for the signature {signature!r}.",
                    f"Expected {len(ranks)}.",
                    "check it",
                )
            )
        outer = torch.broadcast_shapes(*(x.shape[: x.ndim - rank] for x, rank in builtins.zip(xs, ranks)))

        def once(*parts: Any) -> Any:
            filled = dict(builtins.zip(places, parts))
            named = dict(builtins.zip(names, parts[len(places) :]))
            return pyfunc(*(filled.get(place, arg) for place, arg in enumerate(args)), **{**kwargs, **named})

        if not outer:
            return once(*xs)
        flat = [
            x.expand(*outer, *x.shape[x.ndim - rank :]).reshape(-1, *x.shape[x.ndim - rank :])
            for x, rank in builtins.zip(xs, ranks)
        ]
        return tree.map_structure(lambda x: x.reshape(*outer, *x.shape[1:]), torch.vmap(once)(*flat))

    return vectorized


def _groups(signature: str) -> list[str]:
    """Return what stands in each pair of parentheses in front of the arrow."""
    if not re.fullmatch(r"\s*(\([\w\s,]*\)\s*,?\s*)*->\s*(\([\w\s,]*\)\s*,?\s*)+", signature):
        raise ValueError(
            explain(
                f"vectorize got signature={signature!r}.", "Expected axes in parentheses.", 'signature="(n),(n)->()"'
            )
        )
    return re.findall(r"\(([^)]*)\)", signature.split("->")[0])
