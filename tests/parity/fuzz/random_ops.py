"""Calls of `ops` at random: `call(seed, number)` is always the same one.

A call is plain data, made of numbers, lists and `Tensor`: it is made anew for
each library. Some of what is drawn makes no sense, an axis that is not there
or shapes that do not fit: then both libraries must refuse it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from random_layers import Draw

FLOATS = ("float32", "float32", "float32", "float64", "float16", "bfloat16")
WHOLE = ("int32", "int32", "int64", "int8", "int16", "uint8")
DTYPES = (*FLOATS, *WHOLE, "bool")


@dataclasses.dataclass
class Tensor:
    """A tensor argument.

    Attributes:
        values: Its numbers.
        dtype: Its type.
        given: "tensor", or "array" (of NumPy) or "list".
    """

    values: np.ndarray
    dtype: str
    given: str = "tensor"

    def made(self) -> Any:
        tensor = torch.from_numpy(np.array(self.values)).to(getattr(torch, self.dtype))
        return {"tensor": lambda: tensor, "array": tensor.numpy, "list": tensor.tolist}[self.given]()

    def __repr__(self) -> str:
        if self.values.size > 40:
            return f"<{self.dtype}{list(self.values.shape)}>"
        text = f"torch.tensor({np.array(self.values).tolist()}, dtype=torch.{self.dtype})"
        if not self.values.size:
            text = f"torch.zeros({list(self.values.shape)}, dtype=torch.{self.dtype})"
        return text + {"tensor": "", "array": ".numpy()", "list": ".tolist()"}[self.given]


@dataclasses.dataclass
class Call:
    """A call of one function.

    Attributes:
        name: Such as "add" or "image.resize".
        args: What it is given by place.
        settings: What it is given by name.
    """

    name: str
    args: list[Any]
    settings: dict[str, Any]

    def __repr__(self) -> str:
        given = [repr(each) for each in self.args] + [f"{key}={value!r}" for key, value in self.settings.items()]
        return f"ops.{self.name}({', '.join(given)})"


def call(seed: int, number: int) -> Call:
    """Return the random call number `number` of `seed`."""
    random = Random(f"ops/{seed}/{number}")
    name = random.choice(NAMES)
    args, settings = ARGUMENTS[name](random)
    return Call(name, list(args), settings)


Arguments = tuple[list[Any], dict[str, Any]]


class Random(Draw):
    """Random shapes, axes and tensors."""

    def shape(self, low: int = 0, high: int = 4, most: int = 4) -> tuple[int, ...]:
        smallest = 0 if self.chance(0.03) else 1
        return tuple(self.randint(smallest, most) for _ in range(self.randint(low, high)))

    def numbers(self, shape: tuple[int, ...], dtype: str, low: float = -3.0, high: float = 3.0) -> np.ndarray:
        """Return numbers that the type holds; some are equal, and a few are no numbers."""
        source = np.random.default_rng(self.getrandbits(32))
        if dtype == "bool":
            return source.integers(0, 2, shape).astype(bool)
        if "int" in dtype:
            low = 0 if dtype == "uint8" else low
            return source.integers(math.ceil(low), math.floor(high) + 1, shape)
        found = np.asarray(source.uniform(low, high, shape))
        if self.chance(0.2):
            found = np.clip(np.round(found), low, high)
        if self.chance(0.06) and (low, high) == (-3.0, 3.0):
            found = np.where(source.random(shape) < 0.2, self.pick(np.nan, np.inf, -np.inf), found)
        return np.asarray(found.round(3))

    def tensor(self, shape: Any = None, dtype: str | None = None, plain: bool = True, **limits: float) -> Tensor:
        dtype = dtype or self.pick(*DTYPES)
        shape = self.shape() if shape is None else tuple(shape)
        values = self.numbers(shape, dtype, **limits)
        given = self.pick(*["tensor"] * 6, "array", "list") if dtype in ("float32", "int32") and plain else "tensor"
        return Tensor(values, dtype, given if values.size else "tensor")

    def floats(self, shape: Any = None, **limits: float) -> Tensor:
        return self.tensor(shape, self.pick(*FLOATS), **limits)

    def whole(self, shape: Any = None, low: float = 0, high: float = 4, dtype: str | None = None) -> Tensor:
        return self.tensor(shape, dtype or self.pick("int32", "int32", "int64"), low=low, high=high)

    def axis(self, rank: int) -> int:
        """Return an axis; one in twenty is not there."""
        if self.chance(0.05) or not rank:
            return self.pick(rank, -rank - 1)
        return self.randrange(-rank, rank)

    def axes(self, rank: int) -> Any:
        """Return None, an axis, or several."""
        if self.chance(0.25):
            return None
        if self.chance(0.5) or rank < 2:
            return self.axis(rank)
        chosen = tuple(self.sample(range(rank), self.randint(1, rank)))
        return tuple(axis - rank if self.chance(0.3) else axis for axis in chosen)

    def beside(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape that broadcasts with `shape`; one in twenty does not."""
        kept = list(shape[self.randint(0, len(shape)) if self.chance(0.4) else 0 :])
        kept = [1 if self.chance(0.2) else size for size in kept]
        if kept and self.chance(0.05):
            kept[self.randrange(len(kept))] += 1
        return tuple(kept)


# --- arguments of families of functions --------------------------------------------------


def alone(d: Random) -> Arguments:
    return [d.tensor()], {}


def between(low: float, high: float, **more: Any) -> Callable[[Random], Arguments]:
    def found(d: Random) -> Arguments:
        return [d.floats(low=low, high=high)], d.some(0.3, **{key: value(d) for key, value in more.items()})

    return found


def float_alone(d: Random) -> Arguments:
    return [d.floats() if d.chance(0.8) else d.tensor()], {}


def two(d: Random) -> Arguments:
    shape = d.shape(high=3)
    both = [d.tensor(shape), d.tensor(d.beside(shape))]
    if d.chance(0.2):
        both[1] = d.pick(2, 3, -1, 0.5, 2.0, True)
    return both[:: d.pick(1, -1)], {}


def two_whole(d: Random) -> Arguments:
    shape = d.shape(high=3)
    kind = d.pick(*WHOLE, "bool")
    both = [d.tensor(shape, kind), d.tensor(d.beside(shape), kind if d.chance(0.5) else d.pick(*WHOLE, "bool"))]
    return both[:: d.pick(1, -1)], {}


def shifts(d: Random) -> Arguments:
    shape, kind = d.shape(high=3), d.pick("int32", "int64", "int8", "uint8")
    return [d.tensor(shape, kind, low=0, high=9), d.tensor(d.beside(shape), kind, low=0, high=4)], {}


def reduction(*types: str, **more: Any) -> Callable[[Random], Arguments]:
    def found(d: Random) -> Arguments:
        x = d.tensor(dtype=d.choice(types) if types else None)
        settings = d.some(0.8, axis=d.axes(x.values.ndim)) | d.some(0.4, keepdims=d.chance(0.8))
        return [x], settings | d.some(0.25, **{key: value(d) for key, value in more.items()})

    return found


def along(*types: str, **more: Any) -> Callable[[Random], Arguments]:
    def found(d: Random) -> Arguments:
        x = d.tensor(dtype=d.choice(types) if types else None)
        settings = d.some(0.8, axis=None if d.chance(0.15) else d.axis(x.values.ndim))
        return [x], settings | d.some(0.3, **{key: value(d) for key, value in more.items()})

    return found


def quantiles(hundred: int) -> Callable[[Random], Arguments]:
    def found(d: Random) -> Arguments:
        x = d.tensor(dtype=d.pick("float32", "float32", "float64", "int32"))
        q = [round(d.random(), 2) * hundred for _ in range(d.randint(1, 3))]
        settings = d.some(0.7, axis=d.axes(x.values.ndim)) | d.some(0.4, keepdims=True)
        settings |= d.some(0.4, method=d.pick("linear", "lower", "higher", "midpoint", "nearest"))
        return [x, q if d.chance(0.4) else q[0]], settings

    return found


def products(d: Random) -> Arguments:
    batch, kind = d.shape(high=2, most=3), d.pick(*DTYPES)
    n, k, m = d.randint(1, 4), d.randint(1, 4), d.randint(1, 4)
    other = kind if d.chance(0.5) else d.pick(*DTYPES)
    how = d.pick("matrices", "matrices", "vector", "vectors", "wrong")
    if how == "vectors":
        return [d.tensor((k,), kind), d.tensor((k,), other)], {}
    if how == "vector":
        return [d.tensor((*batch, n, k), kind), d.tensor((k,), other)], {}
    last = k + 1 if how == "wrong" and d.chance(0.4) else k
    return [d.tensor((*batch, n, k), kind), d.tensor((*d.beside(batch), last, m), other)], {}


def dots(d: Random) -> Arguments:
    kind, k = d.pick(*DTYPES), d.randint(1, 4)
    first = d.tensor((*d.shape(high=2, most=3), k), kind)
    second = d.tensor(d.pick((k,), (k, d.randint(1, 3)), (2, k, 3), ()), kind if d.chance(0.6) else d.pick(*DTYPES))
    return [first, second], {}


def inners(d: Random) -> Arguments:
    kind, k = d.pick(*DTYPES), d.randint(1, 4)
    return [d.tensor((*d.shape(high=1), k), kind), d.tensor((*d.shape(high=2, most=3), k), kind)], {}


def outers(d: Random) -> Arguments:
    return [d.tensor(d.shape(high=2)), d.tensor(d.shape(high=2))], {}


def tensordots(d: Random) -> Arguments:
    count = d.randint(0, 2)
    shared = d.shape(count, count)
    first, second = d.shape(0, 2, 3), d.shape(0, 2, 3)
    kind = d.pick("float32", "float64", "int32")
    axes: Any = count
    if d.chance(0.4) and count:
        axes = [[len(first) + n for n in range(count)], list(range(count))]
    return [d.tensor((*first, *shared), kind), d.tensor((*shared, *second), kind)], {"axes": axes}


def einsums(d: Random) -> Arguments:
    sizes = {letter: d.randint(1, 3) for letter in "abcde"}
    equation = d.pick("ab,bc->ac", "abc,cd->abd", "ab,ab->", "abc->cab", "aab->b", "a,b->ab", "abc,abd->dc", "ab,bc")
    equation = d.pick(equation, "...a,ab->...b", "ab->", "abc,c", "ab,bc,cd->ad", "ba")
    kind = d.pick(*DTYPES)
    args = [
        d.tensor([sizes.get(letter, 2) for letter in term.replace("...", "e")], kind)
        for term in equation.split("->")[0].split(",")
    ]
    return [equation, *args], {}


def several(d: Random, same: bool = True) -> Arguments:
    """Return a list of tensors, alike but for one axis."""
    shape = list(d.shape(0 if same else 1, 3))
    axis = d.axis(len(shape))
    mixed, kind, found = d.chance(0.3), d.pick(*DTYPES), []
    for _ in range(d.randint(1, 3)):
        here = list(shape)
        if not same and here and -len(here) <= axis < len(here):
            here[axis] = d.randint(1, 3)
        if d.chance(0.02):
            here = [*here, 2]
        found.append(d.tensor(here, d.pick(*DTYPES) if mixed else kind))
    return [found], d.some(0.8, axis=axis)


def stacked(d: Random) -> Arguments:
    args, _ = several(d)
    rank = args[0][0].values.ndim
    return args, d.some(0.7, axis=d.randint(-rank - 1, rank))


def joined(d: Random) -> Arguments:
    args, _ = several(d)
    return args, {}


def splits(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3, 6))
    axis = d.axis(x.values.ndim)
    size = x.values.shape[axis] if -x.values.ndim <= axis < x.values.ndim else 3
    divisors = [n for n in range(1, size + 1) if size % n == 0] or [1]
    where: Any = d.choice(divisors) if d.chance(0.6) else sorted(d.randint(0, size) for _ in range(d.randint(1, 3)))
    if d.chance(0.1):
        where = size + 1
    return [x, where], {"axis": axis}


def array_splits(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3, 6))
    return [x, d.randint(1, 4)], d.some(0.7, axis=d.axis(x.values.ndim))


def reshapes(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 4))
    order = list(x.values.shape)
    d.shuffle(order)
    shape: Any = tuple(order)
    if d.chance(0.5) and order:
        order[d.randrange(len(order))] = -1
        shape = tuple(order)
    if d.chance(0.1):
        shape = d.pick(x.values.size, -1, (-1, -1), (x.values.size + 1,), (0, -1))
    return [x, shape], {}


def transposes(d: Random) -> Arguments:
    x = d.tensor()
    axes = list(range(x.values.ndim))
    d.shuffle(axes)
    if d.chance(0.3):
        axes = [axis - len(axes) for axis in axes]
    if d.chance(0.06) and axes:
        axes = axes[1:]
    return [x], d.some(0.7, axes=d.pick(tuple(axes), axes))


def moved(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 4))
    rank = x.values.ndim
    if d.chance(0.6):
        return [x, d.axis(rank), d.axis(rank)], {}
    count = d.randint(1, rank)
    return [x, d.sample(range(rank), count), d.sample(range(rank), count)], {}


def swapped(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 4))
    return [x, d.axis(x.values.ndim), d.axis(x.values.ndim)], {}


def squeezes(d: Random) -> Arguments:
    shape = [1 if d.chance(0.5) else size for size in d.shape(0, 4)]
    ones = [n for n, size in enumerate(shape) if size == 1]
    axis = d.pick(None, d.axis(len(shape)), *([d.choice(ones), tuple(ones)] * 2 if ones else []))
    return [d.tensor(shape)], d.some(0.7, axis=axis)


def expansions(d: Random) -> Arguments:
    x = d.tensor(d.shape(0, 3))
    rank = x.values.ndim
    return [x, d.pick(d.randint(-rank - 1, rank), d.randint(-rank - 2, rank + 1), (0, rank + 1), [0, -1])], {}


def broadcasts(d: Random) -> Arguments:
    shape = d.shape(0, 3)
    return [d.tensor(d.beside(shape)), d.pick(shape, list(shape))], {}


def tiles(d: Random) -> Arguments:
    x = d.tensor(d.shape(0, 3))
    return [x, d.pick(2, tuple(d.randint(1, 3) for _ in range(d.randint(1, 4))), [1, 2], 0)], {}


def repeats(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3))
    axis = d.pick(None, d.axis(x.values.ndim))
    inside = axis is not None and -x.values.ndim <= axis < x.values.ndim
    size = x.values.shape[axis] if inside else x.values.size
    each = d.whole((size,), high=3, dtype="int32")
    each.given = "tensor"
    return [x, d.pick(d.randint(0, 3), each)], d.some(0.8, axis=axis) if inside else {}


def rolls(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3))
    if d.chance(0.3) and x.values.ndim > 1:
        return [x, (d.randint(-3, 3), d.randint(-3, 3))], {"axis": (0, 1)}
    return [x, d.randint(-5, 5)], d.some(0.7, axis=d.pick(None, d.axis(x.values.ndim)))


def flips(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3))
    return [x], d.some(0.8, axis=d.axes(x.values.ndim))


def turns(d: Random) -> Arguments:
    x = d.tensor(d.shape(2, 4) if d.chance(0.95) else (3,))
    axes = tuple(d.sample(range(x.values.ndim), 2)) if x.values.ndim > 1 else (0, 1)
    return [x], d.some(0.6, k=d.randint(-5, 5)) | d.some(0.5, axes=axes)


def pads(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3, 5))
    width: Any = tuple((d.randint(0, 2), d.randint(0, 2)) for _ in x.values.shape)
    width = d.pick(width, width, 1, ((1, 2),))
    mode = d.pick("constant", "constant", "reflect", "symmetric", "edge")
    settings = d.some(0.7, mode=mode)
    return [x, width], settings | (d.some(0.3, constant_values=d.pick(2, 1.5)) if mode == "constant" else {})


def triangles(d: Random) -> Arguments:
    return [d.tensor(d.shape(2, 4))], d.some(0.6, k=d.randint(-4, 4))


def diagonals(d: Random) -> Arguments:
    x = d.tensor(d.shape(2, 4))
    axes = d.sample(range(x.values.ndim), 2)
    return [x], d.some(0.5, offset=d.randint(-2, 2)) | (
        d.some(1.0, axis1=axes[0], axis2=axes[1]) if d.chance(0.4) else {}
    )


def diags(d: Random) -> Arguments:
    return [d.tensor(d.shape(1, 2))], d.some(0.5, k=d.randint(-2, 2))


def takes(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3))
    axis = d.pick(None, d.axis(x.values.ndim))
    inside = axis is None or -x.values.ndim <= axis < x.values.ndim
    size = x.values.size if axis is None else x.values.shape[axis] if inside else 1
    return [x, d.whole(d.shape(0, 2), low=-size, high=max(size - 1, 0))], d.some(
        0.8, axis=axis
    ) if axis is not None else {}


def takes_along(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3))
    axis = d.randrange(-x.values.ndim, x.values.ndim)
    shape = list(x.values.shape)
    size = shape[axis]
    shape[axis] = d.randint(1, 3)
    return [x, d.whole(shape, low=-size, high=max(size - 1, 0))], {"axis": axis}


def items(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3, 4))

    def one(size: int) -> Any:
        return d.pick(
            slice(None),
            d.randrange(-size, size) if size else slice(None),
            slice(d.randint(-4, 4), d.randint(-4, 5)),
            slice(None, None, 2),
            Ellipsis,
            None,
        )

    chosen = [one(size) for size in x.values.shape[: d.randint(1, x.values.ndim)]]
    if sum(part is Ellipsis for part in chosen) > 1:
        chosen = chosen[:1]
    return [x, tuple(chosen) if len(chosen) > 1 or d.chance(0.5) else chosen[0]], {}


def slices(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3, 5))
    starts = [d.randint(0, max(size - 1, 0)) for size in x.values.shape]
    sizes = [d.randint(min(1, size - start), size - start) for size, start in zip(x.values.shape, starts)]
    return [x, starts, sizes], {}


def slice_updates(d: Random) -> Arguments:
    (x, starts, sizes), _ = slices(d)
    kind = x.dtype if d.chance(0.7) else d.pick(*DTYPES)
    return [x, starts, d.tensor(sizes, kind)], {}


def scatters(d: Random) -> Arguments:
    shape = d.shape(1, 3, 4)
    depth, count = d.randint(1, len(shape)), d.randint(1, 4)
    places = np.array([[d.randrange(max(size, 1)) for size in shape[:depth]] for _ in range(count)])
    kind = d.pick("float32", "float32", "int32", "float64", "int64", "float16")
    return [Tensor(places, "int32"), d.tensor((count, *shape[depth:]), kind, plain=False), shape], {}


def scatter_updates(d: Random) -> Arguments:
    (places, updates, shape), _ = scatters(d)
    x = d.tensor(shape, updates.dtype, plain=False)
    how = d.pick(None, "add", "max", "min", "mul")
    if how is None:  # of places that are there twice, any may win
        _, first = np.unique(places.values, axis=0, return_index=True)
        places.values, updates.values = places.values[first], updates.values[first]
    return [x, places, updates], d.some(0.9, reduction=how) if how else {}


def wheres(d: Random) -> Arguments:
    shape = d.shape(0, 3)
    kind = d.pick("bool", "bool", "int32", "float32")
    if d.chance(0.1):
        return [d.tensor(shape, kind)], {}
    given = [d.pick(d.tensor(d.beside(shape)), d.pick(1, 0.5, True)) for _ in range(2)]
    return [d.tensor(shape, kind), *given], {}


def selects(d: Random) -> Arguments:
    shape, count = d.shape(0, 2), d.randint(1, 3)
    kind = d.pick("float32", "int32", "float64")
    choices = [d.tensor(shape, kind, plain=False) for _ in range(count)]
    return [[d.tensor(shape, "bool") for _ in range(count)], choices], d.some(0.5, default=d.pick(2, 0))


def clips(d: Random) -> Arguments:
    x = d.tensor()
    low, high = d.pick(-1, 0, 0.5, d.tensor(d.beside(x.values.shape))), d.pick(1, 2, 1.5, None)
    return [x, low, high if high is not None else d.tensor(d.beside(x.values.shape))], {}


def sorts(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3))
    return [x], d.some(0.7, axis=d.pick(None, d.axis(x.values.ndim)))


def tops(d: Random) -> Arguments:
    x = d.tensor((*d.shape(0, 2), d.randint(2, 6)), d.pick("float32", "float64", "int32"))
    x.values = np.asarray(x.values + np.arange(x.values.shape[-1]) * 8)  # no two are equal
    return [x, d.randint(1, x.values.shape[-1] + d.chance(0.05))], {}


def tops_in(d: Random) -> Arguments:
    rows, classes = d.randint(1, 4), d.randint(2, 5)
    return [d.whole((rows,), high=classes - 1), d.tensor((rows, classes), "float32"), d.randint(1, classes)], {}


def searches(d: Random) -> Arguments:
    kind = d.pick("float32", "int32", "float64")
    line = d.tensor((d.randint(1, 6),), kind, plain=False, low=-5, high=5)
    line.values = np.sort(line.values)
    return [line, d.tensor(d.shape(0, 2), kind)], d.some(0.5, side=d.pick("left", "right"))


def digits(d: Random) -> Arguments:
    (line, x), _ = searches(d)
    return [x, line], {}


def uniques(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 2, 5), d.pick("int32", "float32", "int64"), low=0, high=4)
    settings = d.some(0.4, return_inverse=True) | d.some(0.4, return_counts=True) | d.some(0.3, return_index=True)
    settings |= d.some(0.2, axis=d.randrange(x.values.ndim))
    return [x], settings | (d.some(0.5, size=d.randint(1, 6)) | d.some(0.3, fill_value=9) if d.chance(0.3) else {})


def counts(d: Random) -> Arguments:
    x = d.whole(d.shape(1, 2, 6), high=6)
    settings = d.some(0.4, minlength=d.randint(0, 9))
    return [x], settings | d.some(0.4, weights=d.tensor(x.values.shape, d.pick("float32", "int32")))


def histograms(d: Random) -> Arguments:
    settings = d.some(0.5, bins=d.randint(1, 6)) | d.some(0.3, range=d.pick((-1.0, 1.0), (0, 2)))
    return [d.tensor((d.randint(1, 12),), d.pick("float32", "int32", "float64"))], settings


def spaces(d: Random) -> Arguments:
    start, stop = d.pick(0, 1, -2.0, 0.5), d.pick(3, 10, 2.5)
    settings = d.some(0.8, num=d.randint(1, 7)) | d.some(0.3, endpoint=False)
    settings |= d.some(0.3, dtype=d.pick("float32", "float64", "float16"))
    if d.chance(0.3):
        shape = d.shape(1, 2, 3)
        return [d.tensor(shape, "float32", low=0.5, high=2), d.tensor(shape, "float32", low=0.5, high=3)], settings
    return [start, stop], settings


def geometric(d: Random) -> Arguments:
    (start, stop), settings = spaces(d)
    return [start if isinstance(start, Tensor) or start > 0 else 1.5, stop], settings


def ranges(d: Random) -> Arguments:
    settings = d.some(0.4, dtype=d.pick("float32", "int32", "int64", "float64"))
    return d.pick([d.randint(-1, 9)], [d.randint(-2, 2), 6], [0, 1.0, 0.3], [5, -1, -2], [2.5], [1, 2, 0.25]), settings


def filled(d: Random) -> Arguments:
    return [d.pick(d.shape(0, 3), list(d.shape(0, 3)), 3)], d.some(0.6, dtype=d.pick(*DTYPES))


def fulls(d: Random) -> Arguments:
    (shape,), settings = filled(d)
    return [shape, d.pick(1, 2.5, True, -1)], settings


def likes(d: Random) -> Arguments:
    return [d.tensor()], d.some(0.5, dtype=d.pick(*DTYPES))


def full_likes(d: Random) -> Arguments:
    return [d.tensor(), d.pick(1, 2.5, True)], d.some(0.5, dtype=d.pick(*DTYPES))


def eyes(d: Random) -> Arguments:
    return [d.randint(0, 4)], d.some(0.4, M=d.randint(0, 4)) | d.some(0.4, k=d.randint(-3, 3)) | d.some(
        0.4, dtype=d.pick(*DTYPES)
    )


def tris(d: Random) -> Arguments:
    args, settings = eyes(d)
    return args, settings


def meshes(d: Random) -> Arguments:
    kind = d.pick("float32", "int32")
    return [d.tensor(d.shape(0, 1), kind) for _ in range(d.randint(1, 3))], d.some(0.5, indexing=d.pick("ij", "xy"))


def vanders(d: Random) -> Arguments:
    x = d.tensor((d.randint(1, 4),), d.pick("float32", "int32", "float64"))
    return [x], d.some(0.5, N=d.randint(1, 5)) | d.some(0.4, increasing=True)


def windows(d: Random) -> Arguments:
    return [d.randint(1, 9)], {}


def differences(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3, 5))
    return [x], d.some(0.4, n=d.randint(0, 3)) | d.some(0.6, axis=d.axis(x.values.ndim))


def trapezoids(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3, 5), d.pick(*DTYPES[:-1]))
    return [x], d.some(0.5, dx=0.5) | d.some(0.5, axis=d.axis(x.values.ndim))


def averages(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3))
    axis = d.axis(x.values.ndim)
    inside = -x.values.ndim <= axis < x.values.ndim
    if d.chance(0.6) and inside:
        size = d.pick(x.values.shape, (x.values.shape[axis],))
        return [x], {"axis": axis, "weights": d.tensor(size, d.pick("float32", "int32"), low=1, high=4)}
    return [x], d.some(0.6, axis=axis)


def correlations(d: Random) -> Arguments:
    kind = d.pick("float32", "int32", "float64")
    sizes = d.randint(2, 7), d.randint(2, 5)
    return [d.tensor((n,), kind) for n in sizes], d.some(0.7, mode=d.pick("valid", "same", "full"))


def crosses(d: Random) -> Arguments:
    shape = (*d.shape(0, 2, 3), 3)
    kind = d.pick("float32", "int32", "float64")
    return [d.tensor(shape, kind), d.tensor(d.pick(shape, (3,)), kind)], {}


def roundings(d: Random) -> Arguments:
    return [d.tensor()], d.some(0.5, decimals=d.randint(-1, 3))


def nans(d: Random) -> Arguments:
    return [d.floats()], d.some(0.4, nan=1.0) | d.some(0.4, posinf=5.0) | d.some(0.4, neginf=-7.0)


def closes(d: Random) -> Arguments:
    args, _ = two(d)
    return args, d.some(0.3, rtol=0.3) | d.some(0.3, atol=0.5) | d.some(0.3, equal_nan=True)


def memberships(d: Random) -> Arguments:
    args = [d.tensor(d.shape(0, 3)), d.tensor(d.shape(1, 2))]
    return args, d.some(0.3, invert=True) | d.some(0.3, assume_unique=False)


def castings(d: Random) -> Arguments:
    return [d.tensor(), d.pick(*DTYPES, "uint16", "uint32")], {}


def saturations(d: Random) -> Arguments:
    return [d.tensor(low=-400, high=400, dtype=d.pick("float32", "int32", "int64", "float64")), d.pick(*DTYPES)], {}


def conversions(d: Random) -> Arguments:
    x = d.pick(d.tensor(), 1, 2.5, True, [1, 2], [1.0, 2], [[True, False]], [], (1, 2.0), np.arange(3), np.float64(2))
    return [x], d.some(0.5, dtype=d.pick(*DTYPES))


def segments(d: Random) -> Arguments:
    rows = d.randint(1, 6)
    ids = d.whole((rows,), high=d.randint(0, 4), dtype="int32")
    x = d.tensor((rows, *d.shape(0, 2, 3)), d.pick("float32", "int32", "float64", "float16"))
    return [x, ids], d.some(0.5, num_segments=d.randint(1, 6))


def unravels(d: Random) -> Arguments:
    shape = tuple(d.randint(1, 4) for _ in range(d.randint(1, 3)))
    return [d.whole(d.shape(0, 2), high=math.prod(shape) - 1), shape], {}


# --- networks ----------------------------------------------------------------------------


def softmaxes(d: Random) -> Arguments:
    x = d.floats(d.shape(1, 3))
    return [x], d.some(0.7, axis=d.axes(x.values.ndim))


def norms(d: Random) -> Arguments:
    x = d.floats(d.shape(1, 3))
    return [x], d.some(0.6, axis=d.axis(x.values.ndim)) | d.some(0.4, order=d.pick(1, 2, 3)) | d.some(0.2, epsilon=0.1)


def one_hots(d: Random) -> Arguments:
    classes = d.randint(1, 5)
    x = d.whole(d.shape(0, 2), low=-1 if d.chance(0.2) else 0, high=classes - 1)
    settings = d.some(0.5, axis=d.randint(-1, x.values.ndim)) | d.some(0.4, dtype=d.pick("float32", "int32", "bool"))
    return [x, classes], settings


def multi_hots(d: Random) -> Arguments:
    args, settings = one_hots(d)
    args[0] = d.whole(d.shape(1, 2), high=args[1] - 1)
    return args, {key: value for key, value in settings.items() if key == "dtype"}


def entropies(d: Random) -> Arguments:
    shape = d.shape(1, 3, 3)
    if d.chance(0.4):
        return [d.tensor(shape, "float32", low=0, high=1), d.tensor(shape, "float32")], {"from_logits": True}
    return [d.tensor(shape, "float32", low=0, high=1), d.tensor(shape, "float32", low=0.05, high=0.95)], {}


def class_entropies(d: Random) -> Arguments:
    shape = (*d.shape(0, 2, 3), d.randint(2, 4))
    settings = d.some(0.4, from_logits=True)
    return [d.tensor(shape, "float32", low=0, high=1), d.tensor(shape, "float32", low=0.05, high=0.95)], settings


def label_entropies(d: Random) -> Arguments:
    rows, classes = d.shape(1, 2, 3), d.randint(2, 4)
    labels = d.whole(d.pick(rows, (*rows, 1)), high=classes - 1)
    return [labels, d.tensor((*rows, classes), "float32", low=0.05, high=0.95)], d.some(0.4, from_logits=True)


def sizes_of(d: Random, most: int = 6) -> tuple[int, list[int], str]:
    axes = d.pick(1, 2, 2, 3)
    return (
        axes,
        [d.randint(3, most if axes < 3 else 4) for _ in range(axes)],
        d.pick(*["channels_last"] * 3, "channels_first"),
    )


def placed(sizes: list[int], channels: int, order: str, batch: int = 2) -> tuple[int, ...]:
    return (batch, channels, *sizes) if order == "channels_first" else (batch, *sizes, channels)


def convolutions(d: Random) -> Arguments:
    axes, sizes, order = sizes_of(d)
    groups = d.pick(1, 1, 2)
    channels = groups * d.randint(1, 2)
    kernel = (*[d.randint(1, 3) for _ in range(axes)], channels // groups, groups * d.randint(1, 2))
    settings = d.some(0.7, padding=d.pick("same", "valid")) | {"data_format": order}
    if d.chance(0.4):
        settings["strides"] = d.pick(2, tuple(d.randint(1, 3) for _ in range(axes)))
    elif d.chance(0.3):
        settings |= {"dilation_rate": 2, "padding": "same"}
    return [
        d.tensor(placed(sizes, channels, order), "float32", low=-2, high=2),
        d.tensor(kernel, "float32", low=-2, high=2),
    ], settings


def depthwise(d: Random) -> Arguments:
    axes, sizes, order = sizes_of(d)
    axes, sizes, channels = min(axes, 2), sizes[:2], d.randint(1, 3)
    kernel = (*[d.randint(1, 3) for _ in range(axes)], channels, d.randint(1, 2))
    settings = {"padding": d.pick("same", "valid"), "data_format": order} | d.some(0.4, strides=2)
    return [
        d.tensor(placed(sizes, channels, order), "float32", low=-2, high=2),
        d.tensor(kernel, "float32", low=-2, high=2),
    ], settings


def separable(d: Random) -> Arguments:
    (x, kernel), settings = depthwise(d)
    wide = kernel.values.shape[-1] * kernel.values.shape[-2]
    point = (*[1] * (kernel.values.ndim - 2), wide, d.randint(1, 3))
    return [x, kernel, d.tensor(point, "float32", low=-2, high=2)], settings


def transposed(d: Random) -> Arguments:
    axes, sizes, order = sizes_of(d, 4)
    channels = d.randint(1, 2)
    kernel = (*[d.randint(1, 3) for _ in range(axes)], d.randint(1, 2), channels)
    settings = {"padding": d.pick("same", "valid"), "data_format": order} | d.some(0.6, strides=d.randint(1, 3))
    return [
        d.tensor(placed(sizes, channels, order), "float32", low=-2, high=2),
        d.tensor(kernel, "float32", low=-2, high=2),
    ], settings


def pools(average: bool) -> Callable[[Random], Arguments]:
    def found(d: Random) -> Arguments:
        axes, sizes, order = sizes_of(d)
        size = tuple(d.randint(1, 3) for _ in range(axes))
        settings = d.some(0.5, strides=d.randint(1, 2)) | {"data_format": order}
        # Keras on torch averages copies of the edge into uneven padding: tests/parity/test_layers.py.
        settings |= {} if average else {"padding": d.pick("same", "valid")}
        return [d.tensor(placed(sizes, 2, order), "float32", low=-2, high=2), d.pick(size, 2)], settings

    return found


def adaptive(d: Random) -> Arguments:
    axes, sizes, order = sizes_of(d)
    size = tuple(d.randint(1, 4) for _ in range(axes))
    return [d.tensor(placed(sizes, 2, order), "float32"), d.pick(size, 2)], {"data_format": order}


def attentions(d: Random) -> Arguments:
    batch, heads, width, queries, keys = (d.randint(1, 3) for _ in range(5))
    shapes = [(batch, queries, heads, width), (batch, keys, heads, width), (batch, keys, heads, width)]
    settings = d.some(0.3, scale=0.5)
    if d.chance(0.3):
        settings["bias"] = d.tensor((batch, heads, queries, keys), "float32", plain=False, low=-1, high=1)
    elif d.chance(0.3):
        mask = d.tensor((batch, 1, queries, keys), "bool")
        mask.values[..., 0] = True
        settings["mask"] = mask
    elif queries == keys:
        settings |= d.some(0.5, is_causal=True)
    return [d.tensor(shape, "float32", plain=False, low=-1, high=1) for shape in shapes], settings


def moments(d: Random) -> Arguments:
    x = d.floats(d.shape(1, 3))
    return [x, d.pick(0, [0], tuple(range(x.values.ndim)), -1)], d.some(0.4, keepdims=True)


def layer_normalizations(d: Random) -> Arguments:
    x = d.tensor(d.shape(1, 3), d.pick("float32", "float64", "float16"), plain=False)
    last = (x.values.shape[-1],)
    settings = d.some(0.4, epsilon=0.1)
    if d.chance(0.5):
        settings |= {"gamma": d.tensor(last, "float32"), "beta": d.tensor(last, "float32")}
    return [x], settings


def rms_normalizations(d: Random) -> Arguments:
    args, settings = layer_normalizations(d)
    settings.pop("beta", None)
    if "gamma" in settings:
        settings["scale"] = settings.pop("gamma")
    return args, settings


def batch_normalizations(d: Random) -> Arguments:
    x = d.tensor(d.shape(2, 4), "float32")
    axis = d.randrange(-x.values.ndim, x.values.ndim)
    size = (x.values.shape[axis],)
    settings = d.some(0.5, offset=d.tensor(size, "float32"), scale=d.tensor(size, "float32")) | d.some(0.3, epsilon=0.1)
    return [x, d.tensor(size, "float32", low=-1, high=1), d.tensor(size, "float32", low=0.2, high=2), axis], settings


def folds(d: Random) -> Arguments:
    sizes, order, block = [d.randint(1, 3), d.randint(1, 3)], d.pick("channels_last", "channels_first"), d.pick(2, 3)
    x = d.tensor(placed(sizes, block * block * d.randint(1, 2), order), "float32")
    return [x, block], {"data_format": order}


def unfolds(d: Random) -> Arguments:
    order, block = d.pick("channels_last", "channels_first"), d.pick(2, 3)
    x = d.tensor(placed([block * d.randint(1, 2), block * d.randint(1, 2)], d.randint(1, 2), order), "float32")
    return [x, block], {"data_format": order}


# --- matrices ----------------------------------------------------------------------------


def square(d: Random) -> Arguments:
    size = d.randint(1, 4)
    x = d.tensor((*d.shape(0, 1, 3), size, size), d.pick("float32", "float64"), plain=False, low=-2.5, high=2.5)
    x.values = x.values + 3 * np.eye(size)
    return [x], {}


def positive(d: Random) -> Arguments:
    (x,), _ = square(d)
    x.values = x.values @ np.swapaxes(x.values, -1, -2) + np.eye(x.values.shape[-1])
    return [x], {}


def cholesky(d: Random) -> Arguments:
    args, _ = positive(d)
    return args, d.some(0.4, upper=True)


def solving(d: Random) -> Arguments:
    (a,), _ = square(d)
    size = a.values.shape[-1]
    shape = a.values.shape[:-1] if a.values.ndim == 2 and d.chance(0.4) else (*a.values.shape[:-1], d.randint(1, 3))
    return [a, d.tensor(shape or (size,), a.dtype, plain=False, low=-2, high=2)], {}


def triangular(d: Random) -> Arguments:
    args, _ = solving(d)
    return args, d.some(0.5, lower=True)


def vector_norms(d: Random) -> Arguments:
    x = d.floats(d.shape(1, 3))
    axis = d.axis(x.values.ndim)
    settings = d.some(0.7, axis=axis) | d.some(0.4, keepdims=True)
    if "axis" in settings or x.values.ndim == 1:
        settings |= d.some(0.6, ord=d.pick(1, 2, 3, np.inf, -np.inf))
    return [x], settings


def matrix_norms(d: Random) -> Arguments:
    x = d.tensor(d.shape(2, 2), d.pick("float32", "float64"))
    return [x], d.some(0.8, ord=d.pick("fro", "nuc", 1, -1, 2, np.inf, -np.inf)) | d.some(0.3, keepdims=True)


def norms_of_both(d: Random) -> Arguments:
    return d.pick(vector_norms, matrix_norms)(d)


# --- images ------------------------------------------------------------------------------


def image(
    d: Random, most: int = 7, low: float = 0.0, high: float = 1.0, channels: int | None = None
) -> tuple[Tensor, str]:
    order = d.pick("channels_last", "channels_last", "channels_first")
    shape = placed([d.randint(3, most), d.randint(3, most)], channels or d.pick(1, 3), order)
    shape = shape[1:] if d.chance(0.3) else shape
    return d.tensor(shape, d.pick("float32", "float32", "uint8"), plain=False, low=low, high=high), order


def resizing(d: Random) -> Arguments:
    x, order = image(d, high=1.0)
    if x.dtype == "uint8":
        x.values = x.values * 100
    settings: dict[str, Any] = {"interpolation": d.pick("nearest", "bilinear", "bicubic"), "data_format": order}
    settings |= d.some(0.3, antialias=True)
    if d.chance(0.3):
        settings |= d.pick({"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": 0.5})
    return [x, (d.randint(2, 9), d.randint(2, 9))], settings


def coloured(d: Random) -> Arguments:
    x, order = image(d, channels=3)
    if x.dtype != "float32":
        x = Tensor(x.values.astype("float32"), "float32")
    return [x], {"data_format": order}


def patches(d: Random) -> Arguments:
    x, order = image(d)
    x.dtype = "float32"
    size = d.pick(2, 3, (1, 2), (3, 2))
    settings = d.some(0.5, strides=d.pick(1, 2, (1, 2))) | d.some(0.4, padding=d.pick("same", "valid"))
    return [x, size], settings | {"data_format": order}


def image_padding(d: Random) -> Arguments:
    x, order = image(d)
    return [x, *[d.randint(0, 2) for _ in range(4)]], {"data_format": order}


def image_cropping(d: Random) -> Arguments:
    x, order = image(d)
    return [x, *[d.randint(0, 1) for _ in range(4)]], {"data_format": order}


def affine(d: Random) -> Arguments:
    x, order = image(d)
    x.dtype = "float32"
    numbers = [1 + d.number(-0.3, 0.3), d.number(-0.2, 0.2), d.number(-2, 2), d.number(-0.2, 0.2)]
    numbers += [1 + d.number(-0.3, 0.3), d.number(-2, 2), 0.0, 0.0]
    transform = np.array([numbers] * 2 if x.values.ndim == 4 else numbers)
    settings = {"interpolation": d.pick("bilinear", "bilinear", "nearest"), "data_format": order}
    settings |= d.some(0.7, fill_mode=d.pick("constant", "nearest", "wrap", "mirror", "reflect"))
    return [x, Tensor(transform, "float32")], settings | d.some(0.3, fill_value=0.5)


def coordinates(d: Random) -> Arguments:
    shape = d.shape(1, 3, 5)
    x = d.tensor(shape, "float32", low=-2, high=2)
    places = d.tensor((len(shape), *d.shape(1, 2, 4)), "float32", low=-2.4, high=6.3)
    settings = d.some(0.7, fill_mode=d.pick("constant", "nearest", "wrap", "mirror", "reflect"))
    return [x, places, d.pick(1, 1, 0)], settings | d.some(0.3, fill_value=2)


def blurs(d: Random) -> Arguments:
    x, order = image(d)
    x.dtype = "float32"
    return [x], {"kernel_size": d.pick((3, 3), (5, 3)), "sigma": d.pick((1.0, 1.0), (0.5, 2.0)), "data_format": order}


def edges(d: Random) -> Arguments:
    x, order = image(d)
    x = d.tensor(x.values.shape if x.values.ndim == 4 else (1, *x.values.shape), "float32", low=0, high=1)
    return [x], {"data_format": order}


# --- spectra -----------------------------------------------------------------------------


def transforms(d: Random, rank: int = 1) -> Arguments:
    shape = (*d.shape(0, 1, 3), *[d.randint(1, 6) for _ in range(rank)])
    return [
        (
            d.tensor(shape, "float32", plain=False, low=-2, high=2),
            d.tensor(shape, "float32", plain=False, low=-2, high=2),
        )
    ], {}


def flat_transforms(d: Random) -> Arguments:
    return transforms(d, 2)


def real_transforms(d: Random) -> Arguments:
    return [d.tensor((*d.shape(0, 1, 3), d.randint(2, 9)), "float32", low=-2, high=2)], d.some(
        0.4, fft_length=d.pick(8, 4)
    )


def sequences(d: Random) -> Arguments:
    length = d.randint(1, 5)
    return [d.tensor((*d.shape(0, 1, 3), d.randint(6, 20)), "float32"), length, d.randint(1, length)], {}


def short_transforms(d: Random) -> Arguments:
    length = d.randint(4, 8)
    wave = d.tensor((*d.shape(0, 1, 3), d.randint(20, 40)), "float32", low=-2, high=2)
    settings = d.some(0.5, window=d.pick("hann", "hamming", None)) | d.some(0.5, center=d.chance(0.5))
    return [wave, length, d.randint(1, length), d.pick(8, 16)], settings


# --- which function takes what -----------------------------------------------------------


def named(names: str) -> list[str]:
    return names.split()


TYPE = {"dtype": lambda d: d.pick("float32", "int32", "float64")}
ARGUMENTS: dict[str, Callable[[Random], Arguments]] = {
    **dict.fromkeys(
        named(
            "abs absolute angle bitwise_not ceil conj conjugate copy cos count_nonzero deg2rad erf exp exp2 expm1 fabs "
            "flip floor isfinite isinf isnan isneginf isposinf isreal logical_not ndim negative rad2deg ravel real "
            "reciprocal sign signbit sin sinc size square tan tanh trunc nonzero cbrt sinh arctan arcsinh i0 cosh "
            "all any shape stop_gradient convert_to_numpy"
        ),
        alone,
    ),
    **dict.fromkeys(named("log log2 log10 log1p sqrt rsqrt arcsin arccos arctanh arccosh erfinv erfc"), float_alone),
    **dict.fromkeys(
        named(
            "relu relu6 sigmoid sparse_sigmoid tanh_shrink softplus softsign sparse_plus silu swish log_sigmoid "
            "hard_sigmoid hard_silu hard_swish selu hard_tanh sparsemax"
        ),
        float_alone,
    ),
    "celu": between(-3, 3, alpha=lambda d: d.pick(0.5, 2.0)),
    "elu": between(-3, 3, alpha=lambda d: d.pick(0.5, 2.0)),
    "leaky_relu": between(-3, 3, negative_slope=lambda d: d.pick(0.5, 0.0)),
    "gelu": between(-3, 3, approximate=lambda d: d.chance(0.5)),
    "glu": between(-3, 3, axis=lambda d: d.randint(-2, 1)),
    "hard_shrink": between(-3, 3, threshold=lambda d: d.pick(1.0, 0.2)),
    "soft_shrink": between(-3, 3, threshold=lambda d: d.pick(1.0, 0.2)),
    "squareplus": between(-3, 3, b=lambda d: d.pick(1, 0.0)),
    **dict.fromkeys(
        named(
            "add subtract multiply divide true_divide divide_no_nan floor_divide mod fmod power maximum minimum fmax fmin "
            "arctan2 hypot logaddexp logaddexp2 equal not_equal greater greater_equal less less_equal heaviside "
            "logical_and logical_or logical_xor nextafter"
        ),
        two,
    ),
    **dict.fromkeys(named("bitwise_and bitwise_or bitwise_xor gcd lcm"), two_whole),
    **dict.fromkeys(named("bitwise_left_shift bitwise_right_shift left_shift right_shift ldexp"), shifts),
    **dict.fromkeys(named("sum prod"), reduction()),
    "mean": reduction(),
    **dict.fromkeys(named("std var all any logsumexp ptp median amax amin"), reduction()),
    **dict.fromkeys(named("max min"), reduction(initial=lambda d: d.pick(0, 1.5))),
    **dict.fromkeys(
        named("nansum nanmean nanvar nanstd nanmax nanmin nanprod nanmedian"), reduction(*FLOATS[:4], "int32")
    ),
    **dict.fromkeys(named("argmax argmin nanargmax nanargmin"), along(*DTYPES[:-1], keepdims=lambda d: d.chance(0.7))),
    **dict.fromkeys(named("cumsum cumprod"), along(**TYPE)),
    **dict.fromkeys(named("nancumsum nancumprod"), along(*FLOATS[:4], "int32", **TYPE)),
    "count_nonzero": lambda d: (lambda x: ([x], d.some(0.7, axis=d.axes(x.values.ndim))))(d.tensor()),
    "quantile": quantiles(1),
    "percentile": quantiles(100),
    "nanquantile": quantiles(1),
    "nanpercentile": quantiles(100),
    "matmul": products,
    "dot": dots,
    "inner": inners,
    "outer": outers,
    "kron": outers,
    "vdot": lambda d: (lambda shape, kind: ([d.tensor(shape, kind), d.tensor(shape, kind)], {}))(
        d.shape(0, 2), d.pick(*DTYPES)
    ),
    "tensordot": tensordots,
    "einsum": einsums,
    "concatenate": lambda d: several(d, same=False),
    "append": lambda d: (lambda found: ([*(found[0][0] * 2)[:2]], found[1]))(several(d, same=False)),
    "stack": stacked,
    **dict.fromkeys(named("hstack vstack dstack"), joined),
    "split": splits,
    "array_split": array_splits,
    "unstack": lambda d: (lambda x: ([x], d.some(0.7, axis=d.axis(x.values.ndim))))(d.tensor(d.shape(1, 3))),
    "reshape": reshapes,
    "transpose": transposes,
    "moveaxis": moved,
    "swapaxes": swapped,
    "squeeze": squeezes,
    "expand_dims": expansions,
    "broadcast_to": broadcasts,
    "tile": tiles,
    "repeat": repeats,
    "roll": rolls,
    "flip": flips,
    "fliplr": lambda d: ([d.tensor(d.shape(1, 3))], {}),
    "flipud": lambda d: ([d.tensor(d.shape(1, 3))], {}),
    "rot90": turns,
    "pad": pads,
    **dict.fromkeys(named("tril triu"), triangles),
    **dict.fromkeys(named("diagonal trace"), diagonals),
    **dict.fromkeys(named("diag diagflat"), diags),
    "take": takes,
    "take_along_axis": takes_along,
    "get_item": items,
    "slice": slices,
    "slice_update": slice_updates,
    "scatter": scatters,
    "scatter_update": scatter_updates,
    "where": wheres,
    "select": selects,
    "clip": clips,
    "sort": sorts,
    "top_k": tops,
    "in_top_k": tops_in,
    "searchsorted": searches,
    "digitize": digits,
    "unique": uniques,
    "bincount": counts,
    "histogram": histograms,
    "linspace": spaces,
    "logspace": spaces,
    "geomspace": geometric,
    "arange": ranges,
    **dict.fromkeys(named("ones zeros"), filled),
    "full": fulls,
    **dict.fromkeys(named("ones_like zeros_like"), likes),
    "full_like": full_likes,
    "eye": eyes,
    "tri": tris,
    "meshgrid": meshes,
    "vander": vanders,
    **dict.fromkeys(named("bartlett blackman hamming hanning"), windows),
    "diff": differences,
    "trapezoid": trapezoids,
    "average": averages,
    "correlate": correlations,
    "cross": crosses,
    "round": roundings,
    "nan_to_num": nans,
    **dict.fromkeys(named("isclose allclose"), closes),
    "isin": memberships,
    "cast": castings,
    "saturate_cast": saturations,
    "convert_to_tensor": conversions,
    **dict.fromkeys(named("segment_sum segment_max segment_min segment_prod"), segments),
    "unravel_index": unravels,
    **dict.fromkeys(named("softmax log_softmax"), softmaxes),
    "normalize": norms,
    "one_hot": one_hots,
    "multi_hot": multi_hots,
    "binary_crossentropy": entropies,
    "categorical_crossentropy": class_entropies,
    "sparse_categorical_crossentropy": label_entropies,
    "conv": convolutions,
    "depthwise_conv": depthwise,
    "separable_conv": separable,
    "conv_transpose": transposed,
    "max_pool": pools(False),
    "average_pool": pools(True),
    "adaptive_max_pool": adaptive,
    "adaptive_average_pool": adaptive,
    "dot_product_attention": attentions,
    "moments": moments,
    "layer_normalization": layer_normalizations,
    "rms_normalization": rms_normalizations,
    "batch_normalization": batch_normalizations,
    "depth_to_space": folds,
    "space_to_depth": unfolds,
    **dict.fromkeys(named("det inv slogdet"), square),
    "logdet": positive,
    "cholesky": cholesky,
    "solve": solving,
    "solve_triangular": triangular,
    "norm": norms_of_both,
    "image.resize": resizing,
    **dict.fromkeys(("image.rgb_to_grayscale", "image.rgb_to_hsv", "image.hsv_to_rgb"), coloured),
    "image.extract_patches": patches,
    "image.pad_images": image_padding,
    "image.crop_images": image_cropping,
    "image.affine_transform": affine,
    "image.map_coordinates": coordinates,
    "image.gaussian_blur": blurs,
    "image.sobel_edges": edges,
    **dict.fromkeys(named("fft"), transforms),
    **dict.fromkeys(named("fft2 ifft2"), flat_transforms),
    "rfft": real_transforms,
    "extract_sequences": sequences,
    "stft": short_transforms,
}
NAMES = sorted(ARGUMENTS)
