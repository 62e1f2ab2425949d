"""The devices of all processes: their names, and grids of them whose axes have names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.distribution.processes import is_joined, process_count

_TYPES = {"cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}


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
    return [f"{kind}:{number}" for number in range(process_count() if is_joined() and here else here)]


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
            if not is_joined():
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
