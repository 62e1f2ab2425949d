"""The weights of a network, as they are spread, or of one layer, number by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncrumple.explain.pictures.choosing import all_parts, input_shape_of, parts_that
from uncrumple.explain.pictures.picture import Picture, plain, refuse
from uncrumple.layers.base import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LAYERS = 12
_MOST_UNITS = 32


@dataclass
class WeightsOf:
    """The weights that multiply a layer's inputs.

    Attributes:
        name: Of the layer and the weight.
        values: As they are, inputs before units.
        mean, deviation: Of the values.
        largest: The largest without its sign.
        near_zero: Share that is smaller than a hundredth of the largest.
    """

    name: str
    values: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def deviation(self) -> float:
        return float(self.values.std())

    @property
    def largest(self) -> float:
        return float(np.abs(self.values).max())

    @property
    def near_zero(self) -> float:
        return float((np.abs(self.values) <= 0.01 * self.largest).mean())

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data, the weights themselves where they are few."""
        found: dict[str, Any] = {"name": self.name, "shape": list(self.values.shape)}
        found |= {"mean": self.mean, "deviation": self.deviation, "largest": self.largest, "near_zero": self.near_zero}
        if self.values.size <= 10_000:
            found["values"] = self.values
        return plain(found)


class Weights(Picture):
    """What `weights` returns.

    Attributes:
        layers: A `WeightsOf` for each layer shown.
        image_shape: (height, width, channels) where each unit is drawn as a picture, else None.
    """

    def __init__(self, layers: list[WeightsOf], image_shape: tuple[int, int, int] | None, alone: bool) -> None:
        self.layers, self.image_shape, self.alone = layers, image_shape, alone
        first = layers[0]
        if alone and image_shape is not None:
            units = first.values.shape[1]
            self.title = (
                f"What each unit of '{first.name}' looks for: {min(units, _MOST_UNITS)} of {units} units, "
                "each as a picture of its weights"
            )
            self.note = "A pixel in red raises the unit's answer, one in blue lowers it."
        elif alone:
            self.title = (
                f"The weights of '{first.name}' lie around {first.mean:.2g}, with a deviation of {first.deviation:.2g}; "
                f"{100 * first.near_zero:.0f} % of them do next to nothing"
            )
            self.note = "Next to nothing: smaller than a hundredth of the largest weight."
        else:
            wide = max(layers, key=lambda one: one.deviation)
            idle = max(layers, key=lambda one: one.near_zero)
            self.title = f"The weights are spread the widest in '{wide.name}' (deviation {wide.deviation:.2g})"
            self.title += (
                f"; in '{idle.name}' {100 * idle.near_zero:.0f} % do next to nothing"
                if idle.near_zero > 0.05
                else "; nowhere do more than 5 % of them do next to nothing"
            )
            self.note = "Next to nothing: smaller than a hundredth of the layer's largest weight."

    def _lines(self) -> list[str]:
        return [
            f"{one.name}: {' × '.join(map(str, one.values.shape))} weights, mean {one.mean:.3g}, deviation "
            f"{one.deviation:.3g}, largest {one.largest:.3g}, {100 * one.near_zero:.0f} % next to nothing"
            for one in self.layers
        ]

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "layers": [one.to_dict() for one in self.layers]}

    def _draw(self, theme: str) -> Figure:
        if not self.alone:
            return self._draw_histograms(theme)
        return self._draw_matrix(theme) if self.image_shape is None else self._draw_units(theme)

    def _draw_histograms(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import in_grid, new_figure, theme_of

        shown = self.layers[:_MOST_LAYERS]
        rows, columns = in_grid(len(shown), 4)
        figure = new_figure(max(6.4, 2.6 * columns), 2.0 * rows + 1.3, self.title, theme, self.note)
        for index, one in enumerate(shown):
            axes = figure.add_subplot(rows, columns, index + 1)
            axes.hist(one.values.reshape(-1), bins=40, color=theme_of(theme)["blue"], density=False)
            axes.set_title(one.name if len(one.name) < 26 else f"{one.name[:25]}…", fontsize=9.5)
            axes.set_xlabel(f"weight; deviation {one.deviation:.2g}", fontsize=8)
            axes.set_ylabel("how many", fontsize=8)
        return figure

    def _draw_matrix(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import new_figure, scale_bar, theme_of, whole_ticks

        one = self.layers[0]
        values = one.values.reshape(-1, one.values.shape[-1])
        figure = new_figure(7.2, 5.0, self.title, theme, self.note)
        axes = figure.add_subplot()
        most = one.largest or 1.0
        image = axes.imshow(
            values, aspect="auto", cmap=theme_of(theme)["diverging"], vmin=-most, vmax=most, interpolation="nearest"
        )
        whole_ticks(axes)
        axes.set_xlabel(f"unit, 0 to {values.shape[1] - 1}")
        axes.set_ylabel(f"input, 0 to {values.shape[0] - 1}")
        scale_bar(figure, image, axes, "weight")
        return figure

    def _draw_units(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import bare, in_grid, new_figure, scale_bar, theme_of

        one = self.layers[0]
        assert self.image_shape is not None
        units = min(one.values.shape[1], _MOST_UNITS)
        pictures = one.values[:, :units].reshape(*self.image_shape, units).mean(axis=2)
        rows, columns = in_grid(units, 8)
        figure = new_figure(max(6.4, 1.05 * columns + 0.8), 1.2 * rows + 1.2, self.title, theme, self.note)
        most = float(np.abs(pictures).max()) or 1.0
        panels, image = [], None
        for unit in range(units):
            axes = figure.add_subplot(rows, columns, unit + 1)
            image = axes.imshow(pictures[..., unit], cmap=theme_of(theme)["diverging"], vmin=-most, vmax=most)
            axes.set_title(f"unit {unit}", fontsize=8)
            bare(axes, frame=False)
            panels.append(axes)
        scale_bar(figure, image, panels, "weight")
        return figure


def weights(model: Any, layer: Any = None, *, as_image: tuple[int, ...] | None = None) -> Weights:
    """Show how the weights of a network are spread, or those of one layer number by number.

    Args:
        model: A model made in any way, or a torch module.
        layer: The name of a layer, or the layer; by default all that have weights.
        as_image: (height, width) or (height, width, channels): draw each unit's weights as a picture. A layer that
            reads the pixels of the model's pictures is drawn so by itself.

    Raises:
        ValueError: There is no such layer, it has no weights, or they do not make such a picture.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> shown = weights(Sequential([Input((4,)), Dense(3, kernel_initializer="ones", name="answer")]))
        >>> shown.layers[0].name, shown.layers[0].mean, shown.layers[0].near_zero
        ('answer', 1.0, 0.0)
    """
    if layer is None:
        # Each module's own weights, not those of what is inside it once more.
        found = [one for part in all_parts(model) for one in _of(part.module, part.name, own=True)]
        if not found:
            raise refuse("weights", "a model without weights", "Expected a built model.", "model.build(input_shape)")
        return Weights(found, None, alone=False)
    parts = parts_that(model, lambda one: bool(_of(one, "")), layer, "weights", "a layer with weights", "Dense(10)")
    found = _of(parts[0].module, parts[0].name)
    first = found[0]
    shape = _image_shape(model, first, as_image)
    return Weights([first], shape, alone=True)


def _of(module: Any, name: str, own: bool = False) -> list[WeightsOf]:
    """Return what multiplies inputs: weights of two axes or more."""
    found = []
    for weight_name, value in module.named_parameters(recurse=not own):
        if value.ndim < 2 or not value.is_floating_point():
            continue
        values = value.detach().float().cpu().numpy()
        if not isinstance(module, Layer) and isinstance(module, torch.nn.Linear):
            values = values.T
        plain_name = weight_name in ("kernel", "weight", "embeddings")
        found.append(WeightsOf(name if plain_name and name else f"{name} {weight_name}".strip(), values))
    return found


def _image_shape(model: Any, one: WeightsOf, given: tuple[int, ...] | None) -> tuple[int, int, int] | None:
    inputs = one.values.shape[0] if one.values.ndim == 2 else -1
    if given is not None:
        shape = (*given, 1) if len(given) == 2 else tuple(given)
        if len(shape) != 3 or int(np.prod(shape)) != inputs:
            raise refuse(
                "weights", f"as_image={given} for '{one.name}' of {inputs} inputs",
                "Expected height and width (and channels) that multiply to the inputs.", "as_image=None",
            )  # fmt: skip
        return shape  # type: ignore[return-value]
    found = input_shape_of(model)
    if found is None or None in found or len(found) not in (2, 3):
        return None
    sizes = [int(size) for size in found if size is not None]
    height, width, channels = sizes if len(sizes) == 3 else (*sizes, 1)
    is_picture = min(height, width) >= 5 and channels in (1, 3, 4)
    return (height, width, channels) if is_picture and height * width * channels == inputs else None
