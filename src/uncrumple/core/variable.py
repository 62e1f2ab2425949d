"""The weight of a layer: a `torch.nn.Parameter` that also answers to Keras's names."""

from __future__ import annotations

import copy
import importlib
import threading
from typing import Any

import numpy as np
import torch

from uncrumple.core.dtypes import dtype_name, torch_dtype
from uncrumple.core.errors import explain
from uncrumple.core.naming import current_path


class _Watch(threading.local):
    """The `StatelessScope` that is open in this thread."""

    scope: Any = None


watch = _Watch()


# The gradient of a weight as torch keeps it, without the way through `Variable.grad`: for what is done in each step.
gradient_of: Any = torch.Tensor.grad.__get__  # type: ignore[union-attr]
set_gradient: Any = torch.Tensor.grad.__set__  # type: ignore[union-attr]


class Variable(torch.nn.Parameter):
    """A tensor that is kept between calls, and trained if `trainable`.

    It is a `torch.nn.Parameter`: optimizers, `state_dict`, `.to(device)` and
    autograd treat it as one. `assign`, `numpy`, `value`, `path` and
    `trainable` are Keras's names.

    Args:
        initializer: The initial value (tensor, array, number), or a function
            of (shape, dtype) that returns it, or the name of an initializer.
        shape: Needed only with a function.
        dtype: Type to keep; None means the value's own type (float64 becomes `floatx()`).
        trainable: Whether training may change it.
        name: Its name, such as `"kernel"`.

    Example:
        >>> weight = Variable([1.0, 2.0], name="weight")
        >>> weight.assign([3.0, 4.0]).numpy()
        array([3., 4.], dtype=float32)
    """

    path: str
    # Whether rows of it are looked up, as in Embedding: then its gradient may stay rows, see `grad`.
    is_table = False

    def __new__(
        cls,
        initializer: Any = None,
        shape: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
        **_: Any,
    ) -> Variable:
        if isinstance(initializer, str):
            # A room above this one, so it is opened only when somebody calls an initializer by its name.
            initializer = importlib.import_module("uncrumple.initializers").get(initializer)
        if callable(initializer) and not isinstance(initializer, torch.Tensor):
            if shape is None:
                raise ValueError(
                    explain(
                        f"Variable {name!r} got a function as its initializer and no shape.",
                        "Expected a shape to make the value with.",
                        "Variable(initializer, shape=(3, 4))",
                    )
                )
            data = initializer(shape, dtype=dtype_name(dtype))
        else:
            data = initializer
        if not isinstance(data, torch.Tensor):
            array = np.asarray(data)
            data = torch.from_numpy(array.astype(dtype_name(dtype)) if array.dtype == np.float64 else array.copy())
            home = torch.get_default_device()
            if home.type not in ("cpu", "meta"):  # on meta shapes are being found, and the numbers are wanted
                data = data.to(home)
        data = data.detach()
        if dtype is not None:
            data = data.to(torch_dtype(dtype))
        learns = bool(trainable) and (data.is_floating_point() or data.is_complex())
        made = torch.Tensor._make_subclass(cls, data, learns)
        made._set(trainable=trainable, name=name or "variable")
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Everything is made in `__new__`."""

    def _set(self, trainable: bool, name: str) -> None:
        self._own_trainable = trainable
        self._own_name = name
        scope = current_path()
        self.path = f"{scope}/{name}" if scope else name
        self.regularizer = None
        self.constraint = None
        self.autocast = True

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.__dict__.get("_own_name", "variable")

    @property
    def grad(self) -> torch.Tensor | None:  # type: ignore[override]
        """The gradient, as torch keeps it; that of a table may wait as the rows that were looked up (`row_gradient`)."""
        rows = self.__dict__.pop("row_gradient", None)
        if rows is not None:
            set_gradient(self, rows.dense(self))
        return gradient_of(self)

    @grad.setter
    def grad(self, value: torch.Tensor | None) -> None:
        self.__dict__.pop("row_gradient", None)
        set_gradient(self, value)

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def trainable(self) -> bool:
        """Whether training changes it: its own wish, and not frozen by its layer."""
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._own_trainable = bool(value)
        self.requires_grad_(bool(value))

    def requires_grad_(self, requires_grad: bool = True) -> Variable:
        """Switch gradients on or off; one that is not trainable (a moving mean, a count) never gets any."""
        able = self._own_trainable and (self.is_floating_point() or self.is_complex())
        super().requires_grad_(requires_grad and able)
        return self

    @property
    def value(self) -> torch.Tensor:
        return self

    @torch.no_grad()
    def assign(self, value: Any) -> Variable:
        """Overwrite the value, keeping shape, type and place; returns itself.

        Raises:
            ValueError: The shape of `value` differs.
        """
        value = as_tensor(value, self.device)
        if tuple(value.shape) != tuple(self.shape):
            raise ValueError(
                explain(
                    f"Variable '{self.path}' has shape {tuple(self.shape)} and got a value of shape {tuple(value.shape)}.",
                    "Expected a value of the same shape.",
                    f"value.reshape({tuple(self.shape)}), if it holds the same numbers",
                )
            )
        if watch.scope is not None:
            watch.scope.touch(self)
        self.copy_(value)
        return self

    @torch.no_grad()
    def assign_add(self, value: Any) -> Variable:
        if watch.scope is not None:
            watch.scope.touch(self)
        self.add_(torch.as_tensor(value, device=self.device))
        return self

    @torch.no_grad()
    def assign_sub(self, value: Any) -> Variable:
        if watch.scope is not None:
            watch.scope.touch(self)
        self.sub_(torch.as_tensor(value, device=self.device))
        return self

    def numpy(self, *, force: bool = True) -> np.ndarray:
        """Return a NumPy copy of the value; bfloat16 becomes float32."""
        data = self.detach()
        if data.dtype is torch.bfloat16:
            data = data.float()
        return data.cpu().numpy().copy()

    def like(self, value: torch.Tensor) -> Variable:
        """Return a variable with another value, and all else like this one."""
        made = torch.Tensor._make_subclass(type(self), value.detach(), self.requires_grad)
        made.__dict__.update(self._kept())
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        if id(self) in memo:
            return memo[id(self)]
        made = torch.Tensor._make_subclass(type(self), self.detach().clone(), self.requires_grad)
        memo[id(self)] = made
        made.__dict__.update({key: copy.deepcopy(value, memo) for key, value in self._kept().items()})
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self.detach().as_subclass(torch.Tensor), self.requires_grad, self._kept())

    def _kept(self) -> dict[str, Any]:
        """Return what a copy has, too: all but the gradient."""
        return {key: value for key, value in self.__dict__.items() if key != "row_gradient"}

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<Variable path={self.path}, shape={tuple(self.shape)}, dtype={dtype_name(self.dtype)}, value={self.numpy()}>"


def as_tensor(value: Any, device: Any = None) -> torch.Tensor:
    """Return numbers as a tensor; arrays of bfloat16, a type that NumPy has from `ml_dtypes`, too.

    Example:
        >>> as_tensor([1.0, 2.0])
        tensor([1., 2.])
    """
    if getattr(getattr(value, "dtype", None), "name", None) == "bfloat16":
        return torch.from_numpy(value.view(np.int16).copy()).view(torch.bfloat16).to(device)
    return torch.as_tensor(value, device=device)


def _rebuild(cls: type[Variable], data: torch.Tensor, requires_grad: bool, attributes: dict[str, Any]) -> Variable:
    made = torch.Tensor._make_subclass(cls, data, requires_grad)
    made.__dict__.update(attributes)
    return made
