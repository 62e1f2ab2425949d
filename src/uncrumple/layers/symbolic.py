"""Tensors that hold a shape and no numbers, and the graph that remembers how they came about.

A `SymbolicTensor` is a torch tensor on the `meta` device. Calling a layer on
one runs the layer's own `call` on `meta` tensors, so shapes are found (and
mistakes too) by the very code that will run later.

An axis of unknown size (None) has to have some size while `call` runs. Two
runs are made, with two different sizes: where the results differ, the axis is
unknown in the output as well.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import explain
from uncrumple.core.own_parts import is_explained
from uncrumple.core.quick_torch import without_compiler
from uncrumple.core.shapes import Shape
from uncrumple.core.text import Text

# Sizes that stand for None in the two runs. Divisible by 128, so that networks
# which halve an image several times and double it again still fit together.
BATCH_SIZES = (2, 3)
AXIS_SIZES = (384, 640)


class Node:
    """One call of one layer on symbolic tensors.

    Attributes:
        layer: Whose call it was.
        args, kwargs: What it was called with.
        inputs: The symbolic tensors among them, flat.
        outputs: What it returned, flat.
        structure: What it returned, as it was.
    """

    __slots__ = ("args", "index", "inputs", "kwargs", "layer", "outputs", "structure")

    def __init__(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], structure: Any) -> None:
        self.layer = layer
        self.args = args
        self.kwargs = kwargs
        self.inputs = find(args, kwargs)
        self.structure = structure
        self.outputs = tree.flatten(structure)
        self.index = len(layer._nodes)
        layer._nodes.append(self)
        for position, tensor in enumerate(self.outputs):
            if isinstance(tensor, SymbolicTensor):
                tensor.keras_history = (layer, self.index, position)

    @property
    def is_input(self) -> bool:
        return not self.inputs

    @property
    def parents(self) -> list[Node]:
        """The calls that made the inputs of this one."""
        return [made_by(tensor) for tensor in self.inputs]


class SymbolicTensor(torch.Tensor):
    """A stand-in for a tensor while a model is put together: a shape, a dtype, and where it came from.

    Made by `Input` and by calling layers. Torch functions and operators on it
    become layers of the model.

    Args:
        shape: With None where the size is not known before data arrives.
        dtype: Type of the numbers, by name.
        name: Its name, for messages and summaries.
        probes: The two tensors on `meta` that stand for it; by default made from `shape`.

    Attributes:
        keras_history: (layer, index of the call, index of the output).

    Shapes: as given; `.shape` is a plain tuple.

    Example:
        >>> SymbolicTensor((None, 3)).shape
        (None, 3)
    """

    keras_history: tuple[Any, int, int]
    _probes: tuple[torch.Tensor, torch.Tensor]
    _known_shape: Shape
    _own_name: str | None

    @staticmethod
    def __new__(
        cls, shape: Shape, dtype: Any = "float32", name: str | None = None, probes: tuple[Any, Any] | None = None
    ) -> SymbolicTensor:
        probes = probes or make_probes(shape, dtype)
        made = torch.Tensor._make_subclass(cls, probes[0].as_subclass(torch.Tensor).detach())
        made._probes = probes
        made._known_shape = tuple(shape)
        made._own_name = name
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Everything is made in `__new__`."""

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        return self._known_shape

    @property
    def ndim(self) -> int:  # type: ignore[override]
        return len(self._known_shape)

    @property
    def is_text(self) -> bool:
        """Whether it stands for strings."""
        return isinstance(self._probes[0], Text)

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._own_name or f"{self.keras_history[0].name}_output"

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        with torch._C.DisableTorchFunctionSubclass():
            kind = "string" if self.is_text else self.dtype
            return f"<SymbolicTensor shape={self._known_shape}, dtype={kind}, name={self.name}>"

    def __len__(self) -> int:
        raise _no_numbers(self, "len()")

    def __bool__(self) -> bool:
        raise _no_numbers(self, "a condition (if, and, or, while)")

    def __float__(self) -> float:
        raise _no_numbers(self, "float()")

    def __int__(self) -> int:
        raise _no_numbers(self, "int()")

    def __iter__(self) -> Iterator[Any]:
        raise _no_numbers(self, "a loop")

    def numpy(self, *, force: bool = False) -> Any:
        raise _no_numbers(self, "numpy()")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise _no_numbers(self, "NumPy")

    def item(self) -> Any:
        raise _no_numbers(self, "item()")

    def tolist(self) -> Any:
        raise _no_numbers(self, "tolist()")

    def size(self, dim: int | None = None) -> Any:
        return self._known_shape if dim is None else self._known_shape[dim]

    def dim(self) -> int:
        return len(self._known_shape)

    def __deepcopy__(self, memo: Any) -> SymbolicTensor:
        return self

    def __hash__(self) -> int:
        return id(self)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in ("__get__", "__set__", "__delete__") or func in _PLAIN:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        return record_operation(func, args, kwargs)


_PLAIN = {
    torch.Tensor.is_floating_point,
    torch.is_floating_point,
    torch.Tensor.is_complex,
    torch.is_complex,
    torch.Tensor.requires_grad_,
    torch.Tensor.detach,
}


def record_operation(function: Any, args: Any, kwargs: Any) -> Any:
    """Make a layer of a torch function; layers/operation.py puts the real one here."""
    raise NotImplementedError(
        explain("Operations are not loaded.", "Expected uncrumple.layers.", "import uncrumple.layers")
    )


def _no_numbers(tensor: SymbolicTensor, what: str) -> TypeError:
    return TypeError(
        explain(
            f"{tensor.name!r} of shape {tensor.shape} was used in {what}, but it holds no numbers yet.",
            "Expected layers and torch functions only, while a model is put together.",
            "move this line into the call() method of a Layer of your own",
        )
    )


def make_probes(shape: Shape, dtype: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two meta tensors of `shape`, with each None replaced by one size and then another."""
    found: list[torch.Tensor] = []
    for batch, other in zip(BATCH_SIZES, AXIS_SIZES):
        sizes = [(batch if axis == 0 else other) if size is None else size for axis, size in enumerate(shape)]
        if dtype == "string":
            found.append(Text(torch.empty(sizes, dtype=torch.int64, device="meta")))
        else:
            found.append(torch.empty(sizes, dtype=torch_dtype(dtype), device="meta"))
    return found[0], found[1]


def unknown_size() -> int:
    """Return what stands, in a layer that is run for its shapes, for a size that depends on the data."""
    state.unknown = True
    return AXIS_SIZES[state.which]


def find(*structures: Any) -> list[SymbolicTensor]:
    """Return the symbolic tensors in nested structures."""
    return [leaf for structure in structures for leaf in tree.flatten(structure) if isinstance(leaf, SymbolicTensor)]


def made_by(tensor: SymbolicTensor) -> Node:
    """Return the call that made a symbolic tensor."""
    layer, index, _ = tensor.keras_history
    return layer._nodes[index]


# --- running a layer without data -------------------------------------------------

# Layers whose `call` could not be run on shapes alone, as it looks at numbers.
needs_numbers: weakref.WeakSet[Any] = weakref.WeakSet()


class _State(threading.local):
    """Whether layers are being run for their shapes (in this thread), and where real weights belong meanwhile."""

    active = False
    home: torch.device | None = None
    # Whether zeros stand in for data.
    trying = False
    # Layers that made weights, while somebody wants to know.
    makers: list[Any] | None = None
    # Which of the two runs this is, and whether a size in it depends on data.
    which = 0
    unknown = False


state = _State()


@contextlib.contextmanager
def probing() -> Iterator[None]:
    """Within this block tensors are made on `meta` and layers read their weights as `meta` tensors."""
    if state.active:
        yield
        return
    state.active, state.home = True, torch.get_default_device()
    try:
        with without_compiler(), torch.device("meta"), torch.no_grad():
            yield
    finally:
        state.active, state.home = False, None


class SymbolicScope(contextlib.AbstractContextManager):
    """Within a `with` block tensors have shapes and no numbers, as while a model is put together.

    Example:
        >>> with SymbolicScope():
        ...     torch.ones(2, 3).is_meta
        True
    """

    def __enter__(self) -> SymbolicScope:
        self._probing = probing()
        self._probing.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._probing.__exit__(*error)


@contextlib.contextmanager
def at_home() -> Iterator[None]:
    """Within this block real weights can be made, although shapes are being found around it."""
    if not state.active:
        yield
        return
    home = state.home
    state.active, state.home = False, None
    try:
        with torch.device(home or "cpu"):
            yield
    finally:
        state.active, state.home = True, home


def _without_numbers(run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    with probing():
        return run(*args, **kwargs)


def _with_zeros(run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run for real on zeros: for a user's code that makes tensors of its own on the CPU, or looks at values."""

    def real(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or not leaf.is_meta:
            return leaf
        if isinstance(leaf, Text):
            return Text.blank(leaf.shape)
        made = torch.zeros(leaf.shape, dtype=leaf.dtype)
        mask = getattr(leaf, "_keras_mask", None)
        if mask is not None:
            made._keras_mask = torch.ones(mask.shape, dtype=torch.bool)  # type: ignore[attr-defined]
        return made

    def to_meta(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        made = leaf.to("meta")
        mask = getattr(leaf, "_keras_mask", None)
        if mask is not None:
            made._keras_mask = mask.to("meta")  # type: ignore[attr-defined]
        return made

    random_state = torch.get_rng_state()
    was_trying, state.trying = state.trying, True
    try:
        with torch.no_grad():
            out = run(*tree.map_structure(real, args), **tree.map_structure(real, kwargs))
    finally:
        torch.set_rng_state(random_state)
        state.trying = was_trying
    return tree.map_structure(to_meta, out)


def run_on_probes(run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run `run` on stand-ins for its symbolic arguments; return symbolic outputs.

    Args:
        run: The layer, called like `run(*args, **kwargs)` on plain tensors.
        args, kwargs: May hold symbolic tensors at any depth.

    Raises:
        Whatever `run` raises, both without numbers and with zeros.
    """
    fixed = all(tensor._probes[0].shape == tensor._probes[1].shape for tensor in find(args, kwargs))
    before, state.unknown = (state.which, state.unknown), False
    try:
        first = _run_on(0, run, args, kwargs)
        second = first if fixed and not state.unknown else _run_on(1, run, args, kwargs)
    finally:
        state.which, state.unknown = before
    leaves = [_joined(run, one, other) for one, other in zip(tree.flatten(first), tree.flatten(second))]
    if not type(run).__module__.startswith("uncrumple."):
        check_one_sample(run, tree.map_structure(_probe, args), tree.map_structure(_probe, kwargs), first)
    return tree.pack(first, leaves)


def _run_on(which: int, run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run `run` on the first or the second of the stand-ins."""
    state.which = which

    def stand_in(leaf: Any) -> Any:
        return leaf._probes[which] if isinstance(leaf, SymbolicTensor) else leaf

    some_args, some_kwargs = tree.map_structure(stand_in, args), tree.map_structure(stand_in, kwargs)
    try:
        return _without_numbers(run, some_args, some_kwargs)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError) as error:
        if is_explained(error):
            raise
        try:
            out = _with_zeros(run, some_args, some_kwargs)
        except Exception as with_numbers:
            raise with_numbers from None
        needs_numbers.add(run)
        return out


def _probe(leaf: Any) -> Any:
    return leaf._probes[0] if isinstance(leaf, SymbolicTensor) else leaf


def check_one_sample(run: Callable[..., Any], args: Any, kwargs: Any, outputs: Any) -> None:
    """Compare the axes of the outputs with those for a batch of one sample, where `squeeze()` takes one too many.

    Args:
        run: A user's layer or model.
        args, kwargs: Tensors on `meta`, of several samples.
        outputs: What `run` returned for them.

    Raises:
        ValueError: They differ.
    """

    def first_only(leaf: Any) -> Any:
        return leaf[:1] if isinstance(leaf, torch.Tensor) and leaf.is_meta and leaf.ndim else leaf

    try:
        alone = _without_numbers(run, tree.map_structure(first_only, args), tree.map_structure(first_only, kwargs))
    except Exception:
        return  # not every layer can run on one sample
    for one, other in zip(tree.flatten(outputs), tree.flatten(alone)):
        if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and one.ndim != other.ndim:
            raise _changing_axes(run, one, other, (BATCH_SIZES[0], 1))


def _changing_axes(run: Any, one: torch.Tensor, other: torch.Tensor, samples: tuple[int, int]) -> ValueError:
    found = f"{one.ndim} axes for {samples[0]} samples and {other.ndim} for {samples[1]}"
    return ValueError(
        explain(
            f"{getattr(run, '_label', 'A function')}: its call() returned {found}.",
            "Expected as many axes whatever the number of samples.",
            "name the axis: x.squeeze(-1) in place of x.squeeze()",
        )
    )


def _joined(run: Any, one: Any, other: Any) -> Any:
    if not isinstance(one, torch.Tensor):
        return one
    if one.ndim != other.ndim:
        raise _changing_axes(run, one, other, BATCH_SIZES)
    shape = tuple(a if a == b else None for a, b in zip(one.shape, other.shape))
    return SymbolicTensor(shape, one.dtype, probes=(one, other))
