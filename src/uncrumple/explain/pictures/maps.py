"""Feature maps: where in a picture each filter answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import answering
from uncrumple.explain.pictures.choosing import channels_first, one_sample, rank_of
from uncrumple.explain.pictures.picture import Picture, plain, refuse
from uncrumple.explain.uncrumpling.inside import call, chosen_parts, watching

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LAYERS = 5


@dataclass
class MapsOf:
    """What one layer answers to a picture.

    Attributes:
        name: Of the layer.
        maps: (maps, height, width).
        strength: The mean size of each map.
        silent: Which maps are the same everywhere: nothing in the picture moves them.
    """

    name: str
    maps: np.ndarray

    @property
    def strength(self) -> np.ndarray:
        return np.abs(self.maps).mean(axis=(1, 2))

    @property
    def silent(self) -> np.ndarray:
        spread = self.maps.reshape(len(self.maps), -1)
        return np.flatnonzero(np.ptp(spread, axis=1) <= 1e-6 * max(1e-12, float(np.abs(self.maps).max())))

    @property
    def strongest(self) -> list[int]:
        """The maps, the strongest first; silent ones last."""
        silent = np.isin(np.arange(len(self.maps)), self.silent)
        return np.lexsort((-self.strength, silent)).tolist()


class FeatureMaps(Picture):
    """What `feature_maps` returns.

    Attributes:
        image: The picture, (height, width, channels).
        layers: A `MapsOf` for each layer.
    """

    def __init__(self, image: np.ndarray, layers: list[MapsOf], most: int) -> None:
        self.image, self.layers, self.most = image, layers, most
        first, last = layers[0], layers[-1]
        peak = first.strongest[0]
        self.title = (
            f"{len(first.maps) - len(first.silent)} of {len(first.maps)} maps of '{first.name}' answer to this picture, "
            f"map {peak} the strongest (up to {first.maps[peak].max():.2g})"
        )
        if last is not first:
            self.title += f"; in '{last.name}' {len(last.maps) - len(last.silent)} of {len(last.maps)}"
        self.note = (
            f"The {most} strongest maps of each layer; one scale for each layer. A silent map is the same everywhere."
        )

    def _lines(self) -> list[str]:
        return [
            f"{one.name}: {len(one.maps)} maps of {one.maps.shape[1]} × {one.maps.shape[2]}, {len(one.silent)} silent; "
            f"the strongest: {', '.join(map(str, one.strongest[:5]))}"
            for one in self.layers
        ]

    def to_dict(self) -> dict[str, Any]:
        layers = [
            {"name": one.name, "strength": one.strength, "silent": one.silent, "maps": one.maps} for one in self.layers
        ]
        return {**super().to_dict(), "layers": plain(layers)}

    def _draw(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import bare, new_figure, scale_bar, theme_of

        columns = self.most + 1
        rows = len(self.layers)
        figure = new_figure(1.12 * columns + 0.9, 1.3 * rows + 1.25, self.title, theme, self.note)
        grid = figure.add_gridspec(rows, columns)
        axes = figure.add_subplot(grid[0, 0])
        draw_picture(axes, self.image, theme_of(theme)["ink_map"])
        axes.set_title("the picture", fontsize=8.5)
        for row, one in enumerate(self.layers):
            chosen = one.strongest[: self.most]
            low, high = float(one.maps.min()), float(one.maps.max())
            panels, image = [], None
            for column, place in enumerate(chosen):
                axes = figure.add_subplot(grid[row, column + 1])
                image = axes.imshow(one.maps[place], cmap=theme_of(theme)["sequential"], vmin=low, vmax=high,
                                    interpolation="nearest")  # fmt: skip
                bare(axes, frame=False)
                axes.set_title(f"map {place}", fontsize=7.5, pad=2)
                if column == 0:
                    axes.set_ylabel(one.name if len(one.name) < 20 else f"{one.name[:19]}…", fontsize=8.5)
                panels.append(axes)
            scale_bar(figure, image, panels, "answer", shrink=0.9)
        return figure


def feature_maps(model: Any, image: Any, layer: Any = None, *, most: int = 8) -> FeatureMaps:
    """Show where in a picture the filters of each layer answer.

    Args:
        model: A model made in any way, or a torch module.
        image: A picture as the model takes it, or several, of which the first counts.
        layer: Names of layers that give maps, or the layers; by default all such, at most five.
        most: How many maps of each layer are drawn, the strongest first.

    Raises:
        ValueError: No layer gives maps, or the picture is none.

    Example:
        >>> from uncrumple.layers import Conv2D, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((8, 8, 1)), Conv2D(4, 3, name="edges")])
        >>> feature_maps(model, np.eye(8)[..., None]).layers[0].maps.shape
        (4, 6, 6)
    """
    check_whole("feature_maps", "most", most, 1, "most=8")
    sample = one_sample(model, image, "feature_maps", rank_of(model) or 4)
    parts = chosen_parts(model, layer, "feature_maps")
    modules = {part.name: part.module for part in parts}
    found: list[MapsOf] = []

    def seen(name: str, number: int, inputs: Any, output: torch.Tensor) -> None:
        given = next((one for one in inputs[0] if isinstance(one, torch.Tensor)), None)
        same = given is not None and given.shape == output.shape and torch.equal(given.to(output.dtype), output)
        if output.ndim == 4 and output.shape[2] > 1 and number == 1 and not (same and layer is None):
            maps = output[0] if channels_first(modules[name]) else output[0].movedim(-1, 0)
            found.append(MapsOf(name, maps.float().cpu().numpy().copy()))

    with answering(model), torch.no_grad(), watching(parts, seen):
        call(model, sample)
    if not found:
        raise refuse(
            "feature_maps", "a model whose layers give no maps", "Expected a layer such as a convolution.",
            "layer='name of a convolution'",
        )  # fmt: skip
    if layer is None and len(found) > _MOST_LAYERS:
        found = [found[place] for place in np.linspace(0, len(found) - 1, _MOST_LAYERS).round().astype(int)]
    return FeatureMaps(as_picture(sample), found, most)


def as_picture(sample: torch.Tensor) -> np.ndarray:
    """Return (1, ...) as (height, width, channels), whichever axis the channels are on."""
    values = sample[0].float().cpu().numpy()
    if values.ndim == 2:
        return values[..., None]
    if values.shape[0] in (1, 3, 4) and values.shape[-1] not in (1, 3, 4):
        values = np.moveaxis(values, 0, -1)
    return values


def draw_picture(axes: Any, image: np.ndarray, ink: str) -> None:
    """Draw a picture without ticks, grey ones as ink on paper."""
    from uncrumple.explain.pictures.style import bare

    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / ((high - low) or 1.0)
    if image.shape[-1] in (3, 4):
        axes.imshow(scaled, interpolation="nearest")
    else:
        axes.imshow(scaled.mean(axis=-1), cmap=ink, interpolation="nearest")
    bare(axes)
