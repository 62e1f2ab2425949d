"""How work is shared among processes, and which way is set now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, warn
from uncrumple.distribution.devices import DeviceMesh, list_devices
from uncrumple.distribution.layouts import TensorLayout
from uncrumple.distribution.processes import process_count, process_number

_BATCH = "batch"


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
