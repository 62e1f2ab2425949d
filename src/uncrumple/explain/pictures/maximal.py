"""What makes a unit answer the most: an input, climbed to from noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.explain.asked import check_whole
from uncrumple.explain.keeping import answering
from uncrumple.explain.pictures.choosing import channels_first, input_shape_of
from uncrumple.explain.pictures.picture import Picture, plain, refuse
from uncrumple.explain.uncrumpling.inside import (
    Part,
    call,
    calls_of,
    chosen_parts,
    device_of,
    first_tensor,
)
from uncrumple.layers.embedding import Embedding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOISES = 32


@dataclass
class MaximalInput:
    """The input that a unit answers the most to.

    Attributes:
        unit: Its number.
        input: In the shape of one sample.
        answer: What the unit gives for it.
        noise: What the unit gives for random inputs of the same range, on average.
        noise_most: The most that it gives for any of them.
    """

    unit: int
    input: np.ndarray
    answer: float
    noise: float
    noise_most: float


class MaximalInputs(Picture):
    """What `maximal_input` returns.

    Attributes:
        name: Of the layer.
        units: A `MaximalInput` for each unit asked for.
    """

    def __init__(self, name: str, units: list[MaximalInput], value_range: tuple[float, float]) -> None:
        self.name, self.units, self.value_range = name, units, value_range
        if len(units) == 1:
            one = units[0]
            self.title = (
                f"What unit {one.unit} of '{name}' answers the most to: {one.answer:.3g}, "
                f"against {one.noise:.3g} for random inputs"
            )
        else:
            found = sum(one.answer > one.noise_most for one in units)
            self.title = (
                f"What {len(units)} units of '{name}' answer the most to: "
                f"{found} of them more than to any of {_NOISES} random inputs"
            )
        self.note = (
            "Found by climbing along the gradient from noise, kept smooth and near the middle of the range: one of "
            "many inputs that do, and not one that the data holds."
        )

    def _lines(self) -> list[str]:
        return [
            f"unit {one.unit}: {one.answer:.4g} (random inputs: {one.noise:.4g} on average, {one.noise_most:.4g} at most)"
            for one in self.units
        ]

    def to_dict(self) -> dict[str, Any]:
        units = [
            {
                "unit": one.unit,
                "input": one.input,
                "answer": one.answer,
                "noise": one.noise,
                "noise_most": one.noise_most,
            }
            for one in self.units
        ]
        return {**super().to_dict(), "name": self.name, "units": plain(units)}

    def _draw(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import bare, in_grid, new_figure, scale_bar, theme_of

        colours = theme_of(theme)
        count = len(self.units)
        shape = _picture_shape(self.units[0].input.shape)
        if shape is None:
            figure = new_figure(7.2, min(9.0, 1.5 * count + 1.6), self.title, theme, self.note)
            for index, one in enumerate(self.units):
                axes = figure.add_subplot(count, 1, index + 1)
                values = one.input.reshape(-1)
                axes.bar(np.arange(len(values)), values, color=np.where(values >= 0, colours["red"], colours["blue"]))
                axes.axhline(0, color=colours["faint"], linewidth=0.8)
                axes.set_ylabel(f"unit {one.unit}", fontsize=9)
                axes.set_title(f"answer {one.answer:.3g}; random inputs {one.noise:.3g}", fontsize=8.5)
                if index == count - 1:
                    axes.set_xlabel(f"input, 0 to {len(values) - 1}")
            return figure
        rows, columns = in_grid(count, 6)
        figure = new_figure(max(6.0, 1.6 * columns + 0.9), 1.85 * rows + 1.45, self.title, theme, self.note)
        panels, image = [], None
        low, high = self.value_range
        for index, one in enumerate(self.units):
            axes = figure.add_subplot(rows, columns, index + 1)
            picture = one.input.reshape(shape)
            if picture.shape[0] in (1, 3) and picture.shape[2] not in (1, 3):
                picture = np.moveaxis(picture, 0, -1)
            if picture.shape[-1] == 3:
                axes.imshow(np.clip((picture - low) / (high - low), 0, 1), interpolation="nearest")
            else:
                image = axes.imshow(
                    picture[..., 0], cmap=colours["ink_map"], vmin=low, vmax=high, interpolation="nearest"
                )
            axes.set_title(f"unit {one.unit}: {one.answer:.2g}", fontsize=8.5, pad=3)
            axes.set_xlabel(f"noise: {one.noise:.2g}", fontsize=7.5, labelpad=2)
            bare(axes)
            panels.append(axes)
        if image is not None:
            scale_bar(figure, image, panels, "input")
        return figure


def _picture_shape(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    if len(shape) == 2 and min(shape) >= 5:
        return (*shape, 1)
    if len(shape) == 3 and (shape[-1] in (1, 3) or shape[0] in (1, 3)) and max(shape) >= 5:
        return shape  # type: ignore[return-value]
    return None


def maximal_input(
    model: Any,
    layer: Any = None,
    unit: int | Sequence[int] = 0,
    *,
    steps: int = 150,
    rate: float = 0.05,
    decay: float = 0.02,
    smooth: float = 0.1,
    value_range: tuple[float, float] = (0.0, 1.0),
    shape: tuple[int, ...] | None = None,
    seed: int = 0,
) -> MaximalInputs:
    """Show what a unit answers the most to: gradient ascent on the input, from noise.

    What is climbed is `answer - decay * mean(x²) - smooth * mean(differences of neighbours²)`, in shares of the
    range and with `x` counted from its middle; pictures are shifted by a pixel from step to step, so that no
    single pixel decides (D. Erhan et al., "Visualizing higher-layer features of a deep network", 2009; C. Olah
    et al., "Feature visualization", 2017).

    Args:
        model: A model made in any way, or a torch module, that reads numbers.
        layer: The name of a layer, or the layer; by default the last.
        unit: Which of its units (of a convolution: which map), or several.
        steps: How often to climb.
        rate: How far at a time, as a share of the range.
        decay: How much inputs far from the middle of the range cost.
        smooth: How much differences between neighbouring pixels cost.
        value_range: Between which numbers inputs lie.
        shape: The shape of one sample; needed where the model does not know it.
        seed: Of the noise that it begins with.

    Raises:
        ValueError: There is no such layer or unit, or the model reads the numbers of words.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
        >>> found = maximal_input(model, value_range=(-1.0, 1.0), decay=0.0).units[0]
        >>> found.input.round(2).tolist(), round(found.answer, 2)
        ([1.0, 1.0], 2.0)
    """
    owner = "maximal_input"
    low, high = (float(end) for end in value_range)
    if not low < high:
        raise refuse(
            owner, f"value_range={value_range}", "Expected the smaller number first.", "value_range=(0.0, 1.0)"
        )
    check_whole(owner, "steps", steps, 1, "steps=150")
    for name, value in (("rate", rate), ("decay", decay), ("smooth", smooth)):
        if value < 0 or (name == "rate" and value == 0):
            raise refuse(owner, f"{name}={value!r}", "Expected a positive number.", f"{name}=0.05")
    if any(isinstance(module, (Embedding, torch.nn.Embedding)) for module in model.modules()):
        raise refuse(
            owner, "a model that reads the numbers of words", "Expected one whose inputs can be moved a little.",
            "embedding_neighbours(model), or attribution, for models of text",
        )  # fmt: skip
    size = shape or input_shape_of(model)
    if size is None or None in size:
        raise refuse(
            owner, f"no shape for the inputs of '{getattr(model, 'name', type(model).__name__)}'", "Expected the shape of one sample.",
            "shape=(28, 28, 1)",
        )  # fmt: skip
    size = tuple(int(number) for number in size if number is not None)
    units = [unit] if isinstance(unit, (int, np.integer)) else list(unit)
    with answering(model, gradients=True):
        source = torch.Generator().manual_seed(seed)
        device = device_of(model)
        part = _part(model, layer, torch.zeros(2, *size, device=device))
        noise = (torch.rand(_NOISES, *size, generator=source, device="cpu") * (high - low) + low).to(device)
        with torch.no_grad():
            answers = _answers(model, part, noise)
        wrong = next(
            (one for one in units if isinstance(one, bool) or not -answers.shape[1] <= one < answers.shape[1]), None
        )
        if wrong is not None or not units:
            raise refuse(owner, f"unit={wrong}", f"Expected 0 to {answers.shape[1] - 1}: '{part.name}' has "
                         f"{answers.shape[1]} units.", "unit=0")  # fmt: skip
        found = []
        for one in units:
            given = answers[:, one]
            begin = 0.5 + 0.02 * torch.randn(1, *size, generator=source, device="cpu").to(device)
            best, most = begin, -float("inf")
            # From grey a unit may be silent, and then nothing says where to climb: from the best noise it may be not.
            for started in (begin, (noise[int(given.argmax())][None] - low) / (high - low)):
                climbed = _climb(model, part, int(one), started, (low, high), steps, rate, decay, smooth, source)
                with torch.no_grad():
                    answer = float(_answers(model, part, climbed)[0, one])
                if answer > most:
                    best, most = climbed, answer
                if most > float(given.max()):
                    break
            number = int(one) % answers.shape[1]
            found.append(MaximalInput(number, best[0].cpu().numpy(), most, float(given.mean()), float(given.max())))
    return MaximalInputs(part.name, found, (low, high))


def _part(model: Any, layer: Any, example: torch.Tensor) -> Part:
    if layer is not None:
        return chosen_parts(model, layer, "maximal_input")[0]
    parts = chosen_parts(model, None, "maximal_input")
    calls = calls_of(model, example, parts, keep_all=True)
    return next(part for part in parts if part.name == calls[-1].part)


def _answers(model: Any, part: Part, x: torch.Tensor) -> torch.Tensor:
    """Return what each unit of a layer answers: (samples, units); of a map its mean."""
    kept: list[torch.Tensor] = []

    def hook(_: Any, __: Any, outputs: Any) -> None:
        value = first_tensor(outputs)
        if value is not None:
            kept.append(value)

    handle = part.module.register_forward_hook(hook)
    try:
        call(model, x)
    finally:
        handle.remove()
    if not kept:
        raise ValueError(
            explain(
                f"maximal_input: '{part.name}' was not called.", "Expected a layer that the model runs.", "layer=None"
            )
        )
    value = kept[0].float()
    if value.ndim <= 2:
        return value.reshape(len(value), -1)
    axis = 1 if value.ndim == 4 and channels_first(part.module) else value.ndim - 1
    return value.mean(dim=[one for one in range(1, value.ndim) if one != axis])


def _climb(
    model: Any, part: Part, unit: int, x: torch.Tensor, ends: tuple[float, float], steps: int, rate: float,
    decay: float, smooth: float, source: torch.Generator,
) -> torch.Tensor:  # fmt: skip
    """Return the input after climbing; `x` is in shares of the range until the end."""
    low, high = ends
    spatial = _picture_shape(tuple(x.shape[1:]))
    axes: tuple[int, ...] = ()
    if spatial is not None:
        first = x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3)
        axes = (2, 3) if first else (1, 2)
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    with torch.enable_grad():
        for step in range(1, steps + 1):
            x = x.detach().requires_grad_(True)
            shift = torch.randint(-1, 2, (len(axes),), generator=source, device="cpu").tolist()
            seen = torch.roll(x, shift, axes) if axes else x
            answer = _answers(model, part, seen * (high - low) + low)[0, unit]
            cost = decay * ((x - 0.5) ** 2).mean()
            for axis in axes:
                cost = cost + smooth * (x.diff(dim=axis) ** 2).mean()
            (slope,) = torch.autograd.grad(answer - cost, x)
            # Adam's step, upwards.
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope**2
            up = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
            x = (x.detach() + rate * up).clamp(0, 1)
    return (x * (high - low) + low).detach()
