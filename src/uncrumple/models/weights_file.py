"""Weights in HDF5: what is in a `.weights.h5` file, and in the `model.weights.h5` of a `.keras` file.

Each part of a model has a group, named by its path, with a group `vars` in
it that holds its arrays: `layers/dense/vars/0`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain, warn
from uncrumple.layers.symbolic import is_explained
from uncrumple.layers.weights import WeightHolder
from uncrumple.models.hdf5 import File, Group, Reader, Seal, Writer, arrays_in, check_seal, group_at, put_seal, written
from uncrumple.models.parts import Walk
from uncrumple.optimizers import Optimizer
from uncrumple.optimizers.host_values import HostVariable

_SAME_LAYERS = "load into a model with the same layers and settings"


def write_weights(model: Any, file: Any, skip: Iterable[Any] = (), sealed: bool = True) -> None:
    """Write the weights of a model, and of its optimizer, to an open binary file.

    Args:
        model: The model.
        file: A binary file that can be written, read and searched.
        skip: Parts to leave out.
        sealed: Whether the file gets a checksum of what is in it.
    """
    with written(file) as h5:
        seal = Seal() if sealed else None
        store_parts(model, lambda part, path: Writer(h5, path, getattr(part, "name", None), seal), skip)
        if seal is not None:
            put_seal(h5, seal)


def store_parts(model: Any, store_of: Any, skip: Iterable[Any] = ()) -> None:
    """Have every part of a model put its arrays into its store.

    Args:
        model: The model.
        store_of: Returns the store of a part and its path.
        skip: Parts to leave out.
    """

    def save(part: Any, path: str) -> bool:
        store = store_of(part, path)
        if _is_plain(part, "save_own_variables"):  # in their own types, which arrays have not all of
            for index, weight in enumerate(part._stored_variables()):
                store[str(index)] = weight
        else:
            part.save_own_variables(store)
        return True

    Walk(save, skip).visit(model)


def size_of(model: Any) -> int:
    """Return about how many bytes the weights of a model, and what its optimizer keeps, take in a file."""
    tensors = [weight for weight in model.weights if isinstance(weight, torch.Tensor)]
    tensors += [slot for slot in getattr(model.optimizer, "variables", ()) if isinstance(slot, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) + 2**14


def _is_plain(part: Any, method: str) -> bool:
    """Return whether a layer stores its weights as most do: in their order, as they are."""
    return isinstance(part, WeightHolder) and getattr(type(part), method) is getattr(WeightHolder, method)


class _Loading:
    """Reads one part after the other, and keeps account of what did not fit.

    Args:
        files: The open file, or several that hold the weights between them.
        fresh: Whether the model has just been made from the same file.
        changes: Whether parts are changed; otherwise they are only compared with the file.
    """

    def __init__(self, files: Sequence[File], fresh: bool, changes: bool) -> None:
        self.files, self.fresh, self.changes = files, fresh, changes
        self.failed: dict[int, tuple[Any, Exception]] = {}
        self.used: set[str] = set()

    def run(self, model: Any, skip: Iterable[Any]) -> _Loading:
        Walk(self._load, skip).visit(model)
        return self

    def _load(self, part: Any, path: str) -> bool:
        key = id(getattr(part, "module", part))
        try:
            store = Reader(*self._groups(path))
            if isinstance(part, Optimizer):
                self._load_optimizer(part, store)
            else:
                compare(part, store)
                if self.changes:
                    part.load_own_variables(store)
        except Exception as error:  # of any type: the part's own code may read the store
            self.failed.setdefault(key, (part, error))
            return False
        self.failed.pop(key, None)
        self.used.add(f"{path}/vars" if path else "vars")
        return True

    def _groups(self, path: str) -> list[Group]:
        found = [group_at(h5, f"{path}/vars") for h5 in self.files]
        return [group for group in found if group is not None]

    def _load_optimizer(self, optimizer: Any, store: Reader) -> None:
        """Load what an optimizer keeps; the file of a model that was never trained has only its first numbers."""
        kept = optimizer.variables
        numbers = [variable for variable in kept if isinstance(variable, HostVariable)]
        if len(store) == 0:
            return
        if self.fresh and len(store) == len(numbers) < len(kept):
            kept = numbers
        if len(store) == len(kept):
            _compare_in_order(f"The optimizer '{optimizer.name}'", kept, store)
        if not self.changes:
            return
        if kept is numbers:
            for index, variable in enumerate(numbers):
                variable.assign(store[str(index)])
        else:
            optimizer.load_own_variables(store)

    def unused(self) -> list[str]:
        """Return the groups with arrays that no part of the model has asked for."""
        held = (name.rpartition("/")[0] for h5 in self.files for name in arrays_in(h5))
        found = [group for group in dict.fromkeys(held) if group not in self.used]
        return [group.removesuffix("/vars") for group in found if group.split("/")[0] != "optimizer"]


def compare(part: Any, store: Reader) -> None:
    """Compare numbers and shapes of arrays, before anything is read or changed.

    Raises:
        ValueError: They differ.
    """
    module = getattr(part, "module", None)
    if _is_plain(part, "load_own_variables"):
        mine = part._stored_variables()
        if len(mine) != len(store):
            fix = (
                _SAME_LAYERS if part.built else "build the model first: call it on data, or begin it with Input(shape)"
            )
            raise ValueError(
                explain(
                    f"{part._label} has {len(mine)} weights, the file holds {len(store)} for it.",
                    "Expected the same number.",
                    fix,
                )
            )
        _compare_in_order(part._label, mine, store)
    elif isinstance(module, torch.nn.Module):
        state = module.state_dict()
        label = f"The torch module {type(module).__name__}"
        if set(state) != set(store.keys()):
            came = f"{label} has {', '.join(state)}; the file holds {', '.join(store.keys()) or 'nothing'} for it."
            raise ValueError(explain(came, "Expected the same names.", _SAME_LAYERS))
        for name, value in state.items():
            _compare_shapes(f"{label}: '{name}'", tuple(value.shape), store.shape(name))


def _compare_in_order(label: str, variables: list[Any], store: Reader) -> None:
    for index, variable in enumerate(variables):
        key = str(index)
        if key not in store:
            came = f"{label}: the file has no array '{key}' for it."
            raise ValueError(explain(came, "Expected one.", "save the weights again"))
        _compare_shapes(f"{label}: '{variable.path}'", tuple(variable.shape), store.shape(key))


def _compare_shapes(label: str, mine: tuple[int, ...], stored: tuple[int, ...]) -> None:
    if mine != stored:
        came = f"{label} has shape {mine}, the file holds {stored}."
        raise ValueError(explain(came, "Expected the same shape.", _SAME_LAYERS))


def read_weights(
    model: Any,
    files: Sequence[File],
    path: str,
    *,
    skip: Iterable[Any] = (),
    skip_mismatch: bool = False,
    fresh: bool = False,
) -> None:
    """Load the weights of a model, and of its optimizer, from open files.

    Everything is compared first: if something does not fit, nothing is changed.

    Args:
        model: A model whose weights are made.
        files: The open file, or several that hold the weights between them.
        path: Its path, for messages.
        skip: Parts to leave alone.
        skip_mismatch: Whether parts that do not fit are left as they are, with a warning.
        fresh: Whether the model has just been made from the same file.

    Raises:
        ValueError: A part does not fit what the file holds for it.
    """
    skip = list(skip)
    if not skip_mismatch:
        _raise_if_failed(model, path, _Loading(files, fresh, changes=False).run(model, skip))
    for h5 in files:
        check_seal(h5, path)
    loading = _Loading(files, fresh, changes=True).run(model, skip)
    if not skip_mismatch:
        _raise_if_failed(model, path, loading)
    elif loading.failed:
        warn(
            f"'{path}' does not fit '{model.name}'. {_first(loading)}",
            f"Expected weights that fit; these were left as they were: {_names(loading)}.",
            "none needed, if this was meant",
        )
    unused = loading.unused()
    if unused and not skip_mismatch and not skip:
        warn(
            f"'{path}' holds weights that '{model.name}' has no place for: {', '.join(unused[:4])}"
            f"{', ...' if len(unused) > 4 else ''}.",
            "Expected the weights of the same model.",
            "build the model as it was when its weights were saved",
        )


def _raise_if_failed(model: Any, path: str, loading: _Loading) -> None:
    if not loading.failed:
        return
    _, error = next(iter(loading.failed.values()))
    lines = str(error).split("\n")
    fix = lines[-1].removeprefix("Fix: ") if is_explained(error) else _SAME_LAYERS
    others = f" (and {len(loading.failed) - 1} more: {_names(loading)})" if len(loading.failed) > 1 else ""
    raise ValueError(
        explain(
            f"'{path}' does not fit '{model.name}'. {_first(loading)}",
            f"Expected the weights of a model with the same layers and settings{others}.",
            fix,
        )
    ) from (None if is_explained(error) else error)


def _first(loading: _Loading) -> str:
    """Return in one line what is wrong with the first part that does not fit."""
    part, error = next(iter(loading.failed.values()))
    line = str(error).split("\n")[0]
    return line if is_explained(error) else f"{getattr(part, '_label', part)}: {type(error).__name__}: {line}"


def _names(loading: _Loading) -> str:
    names = [str(getattr(part, "name", part)) for part, _ in loading.failed.values()]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
