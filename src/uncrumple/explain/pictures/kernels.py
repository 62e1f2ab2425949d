"""The filters of a convolution, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncrumple.explain.pictures.choosing import parts_that
from uncrumple.explain.pictures.picture import Picture, plain
from uncrumple.layers.base import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 64
# A filter whose weights cancel to less than this share answers to differences; one above the other, to brightness.
_EDGE, _BLOB = 0.25, 0.75


class Filters(Picture):
    """What `filters` returns.

    Attributes:
        name: Of the layer.
        kernels: (filters, height, width, input maps).
        balance: For each filter how little its weights cancel: 0 answers only to differences, 1 only to brightness.
    """

    def __init__(self, name: str, kernels: np.ndarray) -> None:
        self.name, self.kernels = name, kernels
        sums = kernels.sum(axis=(1, 2, 3))
        lengths = np.abs(kernels).sum(axis=(1, 2, 3))
        self.balance = np.abs(sums) / np.where(lengths > 0, lengths, 1.0)
        count = len(kernels)
        edges, blobs = int((self.balance <= _EDGE).sum()), int((self.balance >= _BLOB).sum())
        self.title = (
            f"{edges} of {count} filters of '{name}' answer to edges and changes, {blobs} to how bright a place is, "
            f"{count - edges - blobs} to something in between"
        )
        maps = kernels.shape[3]
        if maps == 3:
            how = "Each filter in the colours that it looks for."
        elif maps == 1:
            how = "Red weights raise the answer, blue ones lower it."
        else:
            how = f"Each filter summed over its {maps} input maps; red weights raise the answer, blue ones lower it."
        self.note = f"{how} Edges: the weights cancel to less than {_EDGE:.0%} of their size; brightness: more than {_BLOB:.0%} is left."

    def _lines(self) -> list[str]:
        size = " × ".join(map(str, self.kernels.shape[1:3]))
        return [f"{len(self.kernels)} filters of {size}, over {self.kernels.shape[3]} input maps"]

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": self.name, **plain({"kernels": self.kernels, "balance": self.balance})}

    def _draw(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import bare, in_grid, new_figure, scale_bar, theme_of

        count = min(len(self.kernels), _MOST)
        rows, columns = in_grid(count, 8)
        figure = new_figure(max(6.4, 0.95 * columns + 0.8), 1.05 * rows + 1.35, self.title, theme, self.note)
        colours = self.kernels.shape[3] == 3
        flat = self.kernels.sum(axis=3)
        most = float(np.abs(flat[:count]).max()) or 1.0
        panels, image = [], None
        for index in range(count):
            axes = figure.add_subplot(rows, columns, index + 1)
            if colours:
                reach = float(np.abs(self.kernels[index]).max()) or 1.0
                axes.imshow(0.5 + 0.5 * self.kernels[index] / reach, interpolation="nearest")
            else:
                image = axes.imshow(
                    flat[index], cmap=theme_of(theme)["diverging"], vmin=-most, vmax=most, interpolation="nearest"
                )
            axes.set_title(str(index), fontsize=7.5, pad=2)
            bare(axes)
            panels.append(axes)
        if image is not None:
            scale_bar(figure, image, panels, "weight")
        return figure


def filters(model: Any, layer: Any = None) -> Filters:
    """Show the filters of a convolution.

    Args:
        model: A model made in any way, or a torch module.
        layer: The name of a convolution over pictures, or the layer; by default the first.

    Raises:
        ValueError: There is no convolution over pictures, or the layer is none.

    Example:
        >>> from uncrumple.layers import Conv2D, Input
        >>> from uncrumple.models import Sequential
        >>> shown = filters(Sequential([Input((8, 8, 1)), Conv2D(4, 3, kernel_initializer="ones")]))
        >>> shown.kernels.shape, shown.balance.tolist()
        ((4, 3, 3, 1), [1.0, 1.0, 1.0, 1.0])
    """
    part = parts_that(
        model, lambda one: kernels_of(one) is not None, layer, "filters", "convolution over pictures", "Conv2D(32, 3)"
    )[0]
    kernels = kernels_of(part.module)
    assert kernels is not None
    return Filters(part.name, kernels)


def kernels_of(module: Any) -> np.ndarray | None:
    """Return the filters of a convolution over pictures as (filters, height, width, input maps); None for other modules."""
    if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
        values = module.weight.detach().float().cpu().numpy()
        values = values.transpose(1, 0, 2, 3) if isinstance(module, torch.nn.ConvTranspose2d) else values
        return values.transpose(0, 2, 3, 1)
    kind = type(module).__name__
    if not isinstance(module, Layer) or kind not in ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D"):
        return None
    kernel = getattr(module, "kernel", None) if module.built else None
    if kernel is None:
        return None
    values = kernel.detach().float().cpu().numpy()
    if kind == "DepthwiseConv2D":
        return values.reshape(*values.shape[:2], -1).transpose(2, 0, 1)[..., None]
    return values.transpose(2, 0, 1, 3) if kind == "Conv2DTranspose" else values.transpose(3, 0, 1, 2)
