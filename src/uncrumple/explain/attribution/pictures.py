"""Attribution of pictures: which pixels an answer rests on."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name
from uncrumple.explain.attribution.asking import Network
from uncrumple.explain.attribution.control import SAME, in_percent, rank_correlation
from uncrumple.explain.attribution.maps import Attribution, _mean
from uncrumple.explain.attribution.methods import (
    WORDS,
    Field,
    grad_cam,
    integrated_gradients,
    layers_of_maps,
    occlusion,
    saliency,
)
from uncrumple.explain.attribution.style import colour_bar, headed, number, share_of_largest, signed_colours, styled

# Rows of a picture of results.
_SHOWN = 4
# Above this share of pixels that are not empty, a picture is no drawing.
_FULL = 0.8


@dataclass
class PictureAttribution(Attribution):
    """Maps of pictures, each (height, width): see `Attribution`.

    Args:
        pictures: As they came, (rows, height, width, channels) or (rows, height, width).
        window: Side of the square that occlusion covers, in pixels.
        layer: The layer that Grad-CAM looks at; empty without.
        filled: Where the pictures differ from what they are compared with, (rows, height, width).
    """

    pictures: Any = None
    window: int = 0
    layer: str = ""
    filled: Any = None

    @functools.cached_property
    def inside(self) -> dict[str, float]:
        """By method, how alike both maps are where the pictures are not empty; nothing where they are full.

        Two maps of a drawing are alike already for being empty where it is empty.
        """
        if self.filled is None or self.filled.mean() > _FULL:
            return {}
        return {
            method: _mean(
                [
                    rank_correlation(one[there], other[there])
                    for one, other, there in zip(maps, self.control[method], self.filled)
                ]
            )
            for method, maps in self.maps.items()
        }

    def verdict(self, method: str) -> str:
        said = super().verdict(method)
        if method in self.inside and self.alike[method] >= SAME:
            return f"{said[:-1]} (where the picture is not empty, {in_percent(self.inside[method])} alike)."
        return said

    def lines(self) -> list[str]:
        lines = []
        for row in range(min(len(self.targets), 8)):
            places = []
            for method, maps in self.maps.items():
                top, left = np.unravel_index(int(np.argmax(np.abs(maps[row]))), maps[row].shape)
                places.append(f"{WORDS[method]} at row {top}, column {left}")
            lines.append(f"Picture {row}: {self.name_of(row)} ({self.sureness(row)}); strongest: {', '.join(places)}.")
        if len(self.targets) > 8:
            lines.append(f"... and {len(self.targets) - 8} more pictures.")
        return lines + self.about()

    def mass_within(self, top: int, left: int, height: int, width: int) -> dict[str, float]:
        """Return for each method which share of its map lies within a box, on average over the pictures.

        Args:
            top, left: The first row and column of the box, from 0.
            height, width: In pixels.
        """
        found = {}
        for method, maps in self.maps.items():
            sizes = np.abs(maps)
            inside = sizes[:, top : top + height, left : left + width].sum(axis=(1, 2))
            whole = sizes.sum(axis=(1, 2))
            found[method] = float(np.mean(inside / np.where(whole > 0, whole, 1)))
        return found

    @styled
    def plot(self, rows: int = _SHOWN) -> Any:  # type: ignore[override]
        """Draw the first pictures, each with its maps and the untrained network's maps beside them.

        Args:
            rows: How many pictures, at most.
        """
        from matplotlib.figure import Figure

        shown, methods = min(rows, len(self.targets)), list(self.maps)
        height, width = self.maps[methods[0]].shape[1:]
        side = 1.45
        columns = 1 + 2 * len(methods)
        size = (side * columns + 0.3, side * height / width * shown + 2.1)
        figure = Figure(figsize=size, layout="constrained")
        halves: Any = figure.subfigures(2, 1, height_ratios=[size[1] - 0.6, 0.6])
        upper, lower = halves
        grid = upper.add_gridspec(shown, columns)
        for row in range(shown):
            shade = _shade(np.asarray(self.pictures[row], np.float64))
            axes = upper.add_subplot(grid[row, 0])
            axes.imshow(_picture(self.pictures[row]), cmap="gray", interpolation="nearest")
            _bare(axes)
            axes.set_xlabel(f"{self.name_of(row)}\n{self.sureness(row)}", fontsize=9)
            if row == 0:
                axes.set_title("picture\nand answer", fontsize=9.5)
            for place, method in enumerate(methods):
                for kind, maps in ((0, self.maps[method]), (1, self.control[method])):
                    axes = upper.add_subplot(grid[row, 1 + 2 * place + kind])
                    # Where the picture itself shows through, it is faint: the map is what is to be seen.
                    axes.imshow(signed_colours(share_of_largest(maps[row]), shade), interpolation="nearest")
                    _bare(axes)
                    largest = float(np.abs(maps[row]).max())
                    axes.set_xlabel(
                        f"largest {number(largest, 2)}" if largest > 0 else "empty", fontsize=8, color="#555555"
                    )
                    if row == 0:
                        said = "trained" if kind == 0 else f"untrained:\n{in_percent(self.alike[method])} alike"
                        name = WORDS[method].replace("integrated gradients", "integr. gradients")
                        axes.set_title(f"{name}\n{said}" if kind == 0 else said, fontsize=9.5)
        bar = lower.add_axes((0.32, 0.72, 0.36, 0.2))
        colour_bar(bar, "speaks against the answer:\n-largest", "speaks for it:\n+largest")
        headed(figure, self.title, size[0])
        return figure

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "window": self.window, "layer": self.layer, "inside": self.inside}


def _bare(axes: Any) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#d0d0d0")


def _picture(pixels: Any) -> np.ndarray:
    """Return a picture as it can be shown: from 0 to 1, without a lone channel."""
    shown = np.asarray(pixels, np.float64)
    low, high = shown.min(), shown.max()
    shown = (shown - low) / (high - low) if high > low else np.zeros_like(shown)
    if shown.ndim == 3 and shown.shape[-1] not in (3, 4):
        shown = shown[..., 0]
    return shown


def _shade(pixels: np.ndarray) -> np.ndarray:
    """Return a picture as faint shades, light where it is empty."""
    grey = _picture(pixels)
    grey = grey[..., :3].mean(axis=-1) if grey.ndim == 3 else grey
    dark = np.median(grey) < 0.5  # a drawing on black is shown as one on white
    return 1 - 0.28 * (grey if dark else 1 - grey)


# --- how it is found -----------------------------------------------------------------------


def channel_axis(pictures: Any, is_torch: bool) -> int | None:
    """Return the axis of the channels of pictures, None without: the last, unless only the second can be it.

    Example:
        >>> channel_axis(np.zeros((2, 28, 28, 1)), False), channel_axis(np.zeros((2, 3, 32, 32)), True)
        (3, 1)
    """
    if len(pictures.shape) == 3:
        return None
    first, last = pictures.shape[1] in (1, 3, 4), pictures.shape[-1] in (1, 3, 4)
    if first != last:
        return 1 if first else 3
    return 1 if is_torch else 3


def why_no_grad_cam(network: Network, inputs: Any, layer: Any) -> tuple[Any, str, torch.Size | None, str]:
    """Return the layer that Grad-CAM looks at, its name and shape; or why there is none."""
    found = list(layers_of_maps(network, inputs))
    if layer is not None:
        wanted = layer if isinstance(layer, str) else getattr(layer, "name", "")
        for name, part, shape in found:
            if part is layer or name == wanted:
                return part, name, shape, ""
        if not isinstance(layer, str) or found:
            raise ValueError(unknown_name("convolution", str(wanted), [name for name, _, _ in found]))
        raise ValueError(
            explain(f"attribute got layer={layer!r}.", "Expected a model with convolutions.", "layer=None")
        )
    for name, part, shape in found:
        if min(shape[1:3]) > 1 or min(shape[2:4]) > 1:
            return part, name, shape, ""
    return None, "", None, "the model has no convolution that pictures pass through"


def maps_of(
    network: Network,
    inputs: torch.Tensor,
    targets: np.ndarray,
    methods: tuple[str, ...],
    *,
    base: torch.Tensor,
    axis: int | None,
    steps: int,
    window: int,
    layer: str,
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return the maps of pictures by each method, and the gaps of integrated gradients."""
    spatial = (2, 3) if axis == 1 else (1, 2)

    def score(points: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        return network.chosen(network.scores(points), targets[rows])

    field, gaps, found = Field(inputs, base, score), None, {}
    for method in methods:
        if method == "integrated_gradients":
            made, gaps = integrated_gradients(field, steps)
            found[method] = _flat(made if axis is None else made.sum(axis))
        elif method == "saliency":
            made = saliency(field).abs()
            found[method] = _flat(made if axis is None else made.amax(axis))
        elif method == "occlusion":
            stride = max(1, window // 2)
            found[method] = _flat(occlusion(field, spatial, (window, window), (stride, stride)))
        else:
            part, shape = next((part, shape) for name, part, shape in layers_of_maps(network, inputs) if name == layer)
            size = (inputs.shape[spatial[0]], inputs.shape[spatial[1]])
            found[method] = grad_cam(network, inputs, targets, part, _channels_first(part, shape), size)
    return found, gaps


def _channels_first(part: Any, shape: torch.Size) -> bool:
    known = getattr(part, "data_format", None)
    return known == "channels_first" if known is not None else True  # of torch itself


def _flat(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()


def shown_pictures(inputs: torch.Tensor, axis: int | None) -> np.ndarray:
    """Return pictures with channels last, as they are shown."""
    shown = inputs if axis in (None, 3) else inputs.movedim(1, -1)
    return shown.detach().cpu().numpy()


def filled(inputs: torch.Tensor, base: torch.Tensor, axis: int | None) -> np.ndarray:
    """Return where pictures differ from what they are compared with, in any channel."""
    there = inputs != base
    return (there if axis is None else there.any(dim=axis)).cpu().numpy()
