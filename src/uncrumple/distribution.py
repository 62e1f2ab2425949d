"""Training on several processes at once, under Keras's names and on `torch.distributed`.

torch runs one process per device: start a program with `torchrun
--nproc-per-node 2 program.py` (or call `initialize` with addresses in each
process), set a `DataParallel`, and `fit` and `evaluate` share the work:

    keras.distribution.initialize()
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    model.fit(x, y)

Each process learns from its share of every batch, gradients are averaged
before each update, and metrics are those of all samples.
"""

from __future__ import annotations

import collections.abc
import contextlib
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import answer_misspellings, explain, warn

_BATCH = "batch"
_TYPES = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}


# --- processes and devices ------------------------------------------------------------


def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join the other processes; to be called in each before anything is computed.

    Under `torchrun` no argument is needed. What is not given is read from `KERAS_DISTRIBUTION_JOB_ADDRESSES`,
    `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID`. Where all are joined already, nothing
    is done. The processes talk through NCCL if there are GPUs, else through gloo.

    Args:
        job_addresses: `"host:port"` of process 0; of a list with commas the first counts.
        num_processes: How many processes there are.
        process_id: Which one this is, from 0.

    Raises:
        ValueError: It is not known how many processes there are or where the first is.
    """
    given = os.environ
    job_addresses = job_addresses or given.get("KERAS_DISTRIBUTION_JOB_ADDRESSES")
    count = given.get("KERAS_DISTRIBUTION_NUM_PROCESSES") if num_processes is None else num_processes
    number = given.get("KERAS_DISTRIBUTION_PROCESS_ID") if process_id is None else process_id
    if _joined():
        return
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(int(given.get("LOCAL_RANK", 0)))
    if job_addresses is None and count is None and number is None and "RANK" in given:
        torch.distributed.init_process_group(backend)
        return
    if job_addresses is None or count is None or number is None:
        raise ValueError(
            explain(
                f"initialize got job_addresses={job_addresses!r}, num_processes={count!r}, process_id={number!r}.",
                "Expected all three, or none under torchrun.",
                "torchrun --nproc-per-node 2 program.py",
            )
        )
    first = job_addresses.split(",")[0].strip()
    if not re.fullmatch(r"(\[[^\]]+\]|[^:]+):\d+", first) or not 0 <= int(number) < int(count):
        raise ValueError(
            explain(
                f"initialize got job_addresses={job_addresses!r}, num_processes={count}, process_id={number}.",
                "Expected 'host:port' of process 0, and a process_id from 0 to num_processes - 1.",
                'initialize("10.0.0.1:1234", num_processes=2, process_id=0)',
            )
        )
    torch.distributed.init_process_group(backend, init_method=f"tcp://{first}", world_size=int(count), rank=int(number))


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def process_count() -> int:
    """Return how many processes are joined."""
    return torch.distributed.get_world_size() if _joined() else 1


def process_number() -> int:
    """Return which of them this is, from 0."""
    return torch.distributed.get_rank() if _joined() else 0


def list_devices(device_type: str | None = None) -> list[str]:
    """Return the names of the devices, `"gpu:0"` or `"cpu:0"`, those of all joined processes.

    Args:
        device_type: "cpu" or "gpu"; by default "gpu" if there are any.

    Example:
        >>> list_devices("cpu")
        ['cpu:0']
    """
    if device_type is None:
        device_type = "gpu" if torch.cuda.is_available() else "cpu"
    if not isinstance(device_type, str) or device_type.lower() not in _TYPES:
        raise ValueError(
            explain(
                f"list_devices got device_type={device_type!r}.",
                "Expected 'cpu' or 'gpu': torch has no counterpart to others here.",
                "list_devices()",
            )
        )
    kind = device_type.lower().replace("cuda", "gpu")
    here = torch.cuda.device_count() if kind == "gpu" else 1
    # One device per process, as torch has it.
    return [f"{kind}:{number}" for number in range(process_count() if _joined() and here else here)]


def get_device_count(device_type: str | None = None) -> int:
    """Return the number of devices that `list_devices` names.

    Example:
        >>> get_device_count("cpu")
        1
    """
    return len(list_devices(device_type))


class DeviceMesh:
    """Devices in a grid whose axes have names.

    Args:
        shape: Size of the grid, such as (2,).
        axis_names: A name per axis.
        devices: Names of the devices; by default `list_devices()`.

    Example:
        >>> DeviceMesh((1,), ["batch"], ["cpu:0"])
        <DeviceMesh shape=(1,), axis_names=['batch']>
    """

    def __init__(self, shape: Any, axis_names: Any, devices: Any = None) -> None:
        if not shape or not axis_names or len(shape) != len(axis_names):
            raise ValueError(
                explain(
                    f"DeviceMesh got shape={shape!r} and axis_names={axis_names!r}.",
                    "Expected a size and a name for each axis.",
                    'DeviceMesh((2,), ["batch"])',
                )
            )
        devices = np.array(list_devices() if devices is None else devices)
        if math.prod(shape) != devices.size:
            raise ValueError(
                explain(
                    f"DeviceMesh got shape={tuple(shape)}, which is {math.prod(shape)} devices, and {devices.size} of them.",
                    "Expected a device for each place.",
                    f"DeviceMesh(({devices.size},), ['batch'])",
                )
            )
        self._shape, self._axis_names, self._devices = tuple(shape), axis_names, devices.reshape(shape)
        self._backend_mesh: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def axis_names(self) -> Any:
        return self._axis_names

    @property
    def devices(self) -> np.ndarray:
        return self._devices

    @property
    def backend_mesh(self) -> Any:
        """The `torch.distributed.device_mesh.DeviceMesh` of the same shape; the processes must be joined."""
        if self._backend_mesh is None:
            if not _joined():
                raise RuntimeError(
                    explain(
                        f"{self!r} has no counterpart in torch yet: this process has not joined others.",
                        "Expected initialize() before.",
                        "keras.distribution.initialize(), under torchrun",
                    )
                )
            from torch.distributed.device_mesh import init_device_mesh

            kind = _TYPES[str(self._devices.flat[0]).split(":")[0]]
            self._backend_mesh = init_device_mesh(kind, self._shape, mesh_dim_names=tuple(self._axis_names))
        return self._backend_mesh

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


# --- how tensors lie on them ------------------------------------------------------------


class TensorLayout:
    """Along which axes of a mesh the axes of a tensor are split.

    Args:
        axes: For each axis of the tensor the name of an axis of the mesh, or None for whole.
        device_mesh: The mesh; may be set later.

    Example:
        >>> TensorLayout((None, "batch"), DeviceMesh((1,), ["batch"], ["cpu:0"])).axes
        (None, 'batch')
    """

    def __init__(self, axes: Any, device_mesh: DeviceMesh | None = None) -> None:
        self._axes = tuple(axes)
        self._device_mesh = device_mesh
        self._check()

    @property
    def axes(self) -> tuple[str | None, ...]:
        return self._axes

    @property
    def device_mesh(self) -> DeviceMesh | None:
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise ValueError(
                explain(f"{self!r} has a mesh already.", "Expected one without.", "TensorLayout(axes, device_mesh)")
            )
        self._device_mesh = device_mesh
        self._check()

    @property
    def backend_layout(self) -> tuple[Any, tuple[Any, ...]]:
        """The mesh of torch, and for each of its axes `Shard(axis of the tensor)` or `Replicate()`."""
        from torch.distributed.tensor import Replicate, Shard

        if self._device_mesh is None:
            raise ValueError(
                explain(f"{self!r} has no mesh.", "Expected one.", "layout.device_mesh = DeviceMesh((2,), ['batch'])")
            )
        names = self._device_mesh.axis_names
        placements = tuple(Shard(self._axes.index(name)) if name in self._axes else Replicate() for name in names)
        return self._device_mesh.backend_mesh, placements

    def _check(self) -> None:
        known = self._device_mesh.axis_names if self._device_mesh is not None else None
        for name in self._axes:
            if known is not None and name is not None and name not in known:
                raise ValueError(
                    explain(
                        f"TensorLayout got the axis {name!r}.",
                        f"Expected None or one of the mesh's: {', '.join(map(repr, known))}.",
                        f"TensorLayout(({known[0]!r}, None), device_mesh)",
                    )
                )

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"


class LayoutMap(collections.abc.MutableMapping):
    """Layouts by the paths of variables; a path may be a regular expression.

    Args:
        device_mesh: The mesh that layouts without one get.

    Example:
        >>> layouts = LayoutMap(DeviceMesh((1,), ["model"], ["cpu:0"]))
        >>> layouts["dense.*kernel"] = (None, "model")
        >>> layouts["dense_1/kernel"].axes
        (None, 'model')
    """

    def __init__(self, device_mesh: DeviceMesh | None) -> None:
        self._layouts: dict[str, TensorLayout] = {}
        self._device_mesh = device_mesh

    @property
    def device_mesh(self) -> DeviceMesh | None:
        return self._device_mesh

    def __getitem__(self, key: str) -> Any:
        """Return the layout of a path: its own, or that of the one pattern that fits; None if none does."""
        if key in self._layouts:
            return self._layouts[key]
        found = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ValueError(
                explain(
                    f"The path '{key}' fits {len(found)} patterns of the LayoutMap: {', '.join(map(repr, found))}.",
                    "Expected one at most.",
                    "make the patterns narrower",
                )
            )
        return self._layouts[found[0]] if found else None

    def __setitem__(self, key: str, layout: Any) -> None:
        if key in self._layouts:
            raise ValueError(
                explain(
                    f"The LayoutMap has a layout for '{key}' already.",
                    "Expected each pattern once.",
                    f"del layouts[{key!r}] before",
                )
            )
        if isinstance(layout, (tuple, list)):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(
                explain(
                    f"The LayoutMap got {layout!r} for '{key}'.",
                    "Expected a TensorLayout, or a tuple of axis names.",
                    f"layouts[{key!r}] = (None, 'model')",
                )
            )
        if layout.device_mesh is None and self._device_mesh is not None:
            layout.device_mesh = self._device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)


def distribute_tensor(tensor: Any, layout: Any) -> Any:
    """Return a tensor that lies on the devices as a layout says: a `torch.distributed.tensor.DTensor`.

    A symbolic tensor comes back as it is. The processes must be joined.
    """
    if isinstance(tensor, torch.Tensor) and tensor.is_meta:
        return tensor
    if not isinstance(layout, TensorLayout):
        raise ValueError(
            explain(
                f"distribute_tensor got {layout!r} as its layout.",
                "Expected a TensorLayout.",
                'distribute_tensor(tensor, TensorLayout(("batch", None), device_mesh))',
            )
        )
    from torch.distributed.tensor import distribute_tensor as distribute

    mesh, placements = layout.backend_layout
    return distribute(torch.as_tensor(tensor), mesh, placements)


# --- how work is shared ---------------------------------------------------------------------


class DataParallel:
    """Every process has the whole model and learns from its share of each batch.

    `fit` and `evaluate` heed it once it is set: by `set_distribution`, or within its `scope()`. The batch size is
    that of all processes together. Gradients are averaged before each update, and metrics are summed up at the end of
    each epoch, so that training follows the same path as in one process; batch normalization takes its moments from
    each process's share, and its moving averages are averaged after each epoch.

    Args:
        device_mesh: The devices; by default all.
        devices: Names of devices, in place of a mesh.
        auto_shard_dataset: Whether all processes are given the same data, of which each takes its share; False if
            each is given data of its own.

    Example:
        >>> DataParallel(devices=["cpu:0"]).num_model_replicas
        1
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None, auto_shard_dataset: bool = True
    ) -> None:
        if device_mesh is not None and not isinstance(device_mesh, DeviceMesh):
            raise ValueError(
                explain(
                    f"DataParallel got device_mesh={device_mesh!r}.",
                    "Expected a DeviceMesh.",
                    'DataParallel(DeviceMesh((2,), ["batch"]))',
                )
            )
        if device_mesh is None:
            devices = np.array(list_devices() if devices is None else devices)
            device_mesh = DeviceMesh(devices.shape, [_BATCH], devices)
        elif device_mesh.devices.ndim > 1:
            warn(
                f"DataParallel got a mesh with {device_mesh.devices.ndim} axes.",
                "Expected one axis; batches are shared among all devices.",
                'DeviceMesh((2,), ["batch"])',
            )
        self._device_mesh = device_mesh
        self.auto_shard_dataset = bool(auto_shard_dataset)

    @property
    def device_mesh(self) -> DeviceMesh:
        return self._device_mesh

    @property
    def batch_dim_name(self) -> str:
        return self._device_mesh.axis_names[0]

    @property
    def num_model_replicas(self) -> int:
        return int(self._device_mesh.devices.size)

    @property
    def num_processes(self) -> int:
        return process_count()

    @property
    def data_shard_id(self) -> int:
        """Which share of the data is this process's."""
        return process_number()

    def get_data_layout(self, data_shape: Any) -> TensorLayout:
        """Return how data lies on the devices: split along its first axis."""
        return TensorLayout([self.batch_dim_name, *[None] * (len(data_shape) - 1)], self._device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """Return how a variable lies on the devices: whole on each."""
        return TensorLayout([None] * len(variable.shape), self._device_mesh)

    def get_tensor_layout(self, path: str) -> None:
        """Return None: what layers compute stays where it is."""

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within this block work is shared so."""
        before = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def __repr__(self) -> str:
        return f"<DataParallel device_mesh={self.device_mesh}>"


class ModelParallel:
    """Refused: layers compute with ordinary tensors, whose weights lie on one device.

    Args:
        layout_map: A `LayoutMap`.
        batch_dim_name: Name of the axis of the mesh along which data is split.
        auto_shard_dataset: Whether all processes are given the same data.
        kwargs: Not used by Keras either.

    Raises:
        NotImplementedError: Always.
    """

    def __init__(
        self,
        *,
        layout_map: Any = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        **kwargs: Any,
    ) -> None:
        raise NotImplementedError(
            explain(
                "ModelParallel is not available: layers compute with whole weights.",
                "Expected DataParallel, which has the whole model on each device.",
                "DataParallel(); or torch.distributed.tensor.parallel.parallelize_module on torch modules",
            )
        )


_current: list[Any] = [None]


def distribution() -> Any:
    """Return what `set_distribution` was given, or None.

    Example:
        >>> distribution() is None
        True
    """
    return _current[0]


def set_distribution(value: Any) -> None:
    """Share the work of `fit` and `evaluate` so from now on; None ends it.

    Example:
        >>> set_distribution(None)
    """
    if value is not None and not isinstance(value, DataParallel):
        raise ValueError(
            explain(
                f"set_distribution got {value!r}.",
                "Expected a DataParallel, or None.",
                "set_distribution(DataParallel())",
            )
        )
    _current[0] = value


__all__ = [
    "DataParallel",
    "DeviceMesh",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]

answer_misspellings(__name__)
