"""How tensors lie on a mesh of devices: which of their axes is split along which of its axes."""

from __future__ import annotations

import collections.abc
import re
from collections.abc import Iterator
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.distribution.devices import DeviceMesh


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
