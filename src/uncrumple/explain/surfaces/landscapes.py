"""Surfaces of two weights to walk on: a bowl, a ravine, a bent valley, a saddle, several minima."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from uncrumple.core.errors import explain, unknown_name


class Landscape(NamedTuple):
    """A loss of two weights.

    Attributes:
        name: What it is called.
        said: What is hard about it.
        function: From two tensors of equal shape to the loss.
        start: Where everybody begins.
        box: What is drawn: (lowest x, highest x, lowest y, highest y).
        minima: Where it is lowest: (x, y), the deepest first.
    """

    name: str
    said: str
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    start: tuple[float, float]
    box: tuple[float, float, float, float]
    minima: tuple[tuple[float, float], ...]

    def value(self, x: Any, y: Any) -> np.ndarray:
        """Return the loss at places given as arrays."""
        with torch.no_grad():
            tensors = [torch.as_tensor(np.asarray(one, np.float64)) for one in (x, y)]
            return np.asarray(self.function(*tensors), np.float64)

    @property
    def lowest(self) -> float:
        """The loss at the deepest minimum."""
        return float(self.value(*self.minima[0])) if self.minima else math.nan


def _bowl(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x**2 + y**2) / 2


def _ravine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x**2 + 50 * y**2) / 2


def _rosenbrock(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _saddle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x**2 - y**2 + y**4 / 4


def _several(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x**4 - 16 * x**2 + 5 * x + y**4 - 16 * y**2 + 5 * y) / 2


# The roots of 4 w**3 - 32 w + 5, where w**4 - 16 w**2 + 5 w is lowest.
_DEEP, _SHALLOW = -2.9035340276, 2.7468027709

LANDSCAPES = {
    "bowl": Landscape("bowl", "equally steep in all directions", _bowl, (-1.7, 1.2), (-2, 2, -1.6, 1.6), ((0, 0),)),
    "ravine": Landscape(
        "ravine", "50 times as steep across as along", _ravine, (-4.0, 0.8), (-5, 2, -1.4, 1.4), ((0, 0),)
    ),
    "rosenbrock": Landscape(
        "rosenbrock", "a bent valley with steep walls and a flat floor", _rosenbrock, (-1.2, 1.0), (-2, 2, -1, 3),
        ((1, 1),),
    ),
    "saddle": Landscape(
        "saddle", "flat where it begins, and down to both sides", _saddle, (1.5, 0.01), (-2, 2, -2.2, 2.2),
        ((0, math.sqrt(2)), (0, -math.sqrt(2))),
    ),
    "several minima": Landscape(
        "several minima", "four minima, one deeper than the others", _several, (0.6, 4.2), (-5, 5, -5, 5),
        ((_DEEP, _DEEP), (_SHALLOW, _DEEP), (_DEEP, _SHALLOW), (_SHALLOW, _SHALLOW)),
    ),
}  # fmt: skip


def landscape_of(given: Any, start: Any = None, box: Any = None) -> Landscape:
    """Return the landscape of a name or a function, from another start if one is given.

    Args:
        given: A name, or a function of two tensors.
        start: (x, y).
        box: What to draw; needed for a function.
    """
    if isinstance(given, str):
        name = given.lower().replace("_", " ")
        if name not in LANDSCAPES:
            raise ValueError(unknown_name("surface", given, LANDSCAPES, or_object=True))
        found = LANDSCAPES[name]
    else:
        if start is None or box is None:
            raise ValueError(
                explain(
                    "race_optimizers got a function without start or box.",
                    "Expected where to begin, and what to draw.",
                    "race_optimizers(f, start=(-1, 1), box=(-2, 2, -2, 2))",
                )
            )
        found = Landscape(getattr(given, "__name__", "your own"), "your own", given, (0, 0), (0, 1, 0, 1), ())
    if start is not None:
        found = found._replace(start=_numbers("start", start, 2))
    if box is not None:
        x0, x1, y0, y1 = _numbers("box", box, 4)
        if not (x0 < x1 and y0 < y1):
            raise ValueError(
                explain(
                    f"race_optimizers got box={tuple(box)}.",
                    "Expected (lowest x, highest x, lowest y, highest y).",
                    "box=(-2, 2, -2, 2)",
                )
            )
        found = found._replace(box=(x0, x1, y0, y1))
    return found


def _numbers(name: str, given: Any, count: int) -> Any:
    try:
        values = tuple(float(one) for one in given)
    except (TypeError, ValueError):
        values = ()
    if len(values) != count or not all(math.isfinite(one) for one in values):
        example = "(-1.0, 1.0)" if count == 2 else "(-2, 2, -2, 2)"
        raise ValueError(
            explain(f"race_optimizers got {name}={given!r}.", f"Expected {count} finite numbers.", f"{name}={example}")
        )
    return values


def walk(optimizer: Any, landscape: Landscape, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Let an optimizer take steps on a landscape, as it would in training.

    Args:
        optimizer: One of this package, not built; or a function of a list of weights that returns one of torch.
        landscape: Where.
        steps: How many.

    Returns:
        Places (steps + 1, 2) and losses (steps + 1,), the start first; NaN after it has left the finite numbers.

    Example:
        >>> from uncrumple.optimizers import SGD
        >>> places, losses = walk(SGD(0.5), LANDSCAPES["bowl"], 2)
        >>> places[:, 0].round(3).tolist()
        [-1.7, -0.85, -0.425]
    """
    weight = torch.nn.Parameter(torch.tensor(landscape.start, dtype=torch.float32))
    if isinstance(optimizer, torch.optim.Optimizer):
        optimizer.build([weight])  # type: ignore[attr-defined]
    else:
        optimizer = optimizer([weight])
    places = np.full((steps + 1, 2), np.nan)
    losses: np.ndarray = np.full(steps + 1, np.nan)
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss = landscape.function(weight[0], weight[1])
        places[step], losses[step] = weight.detach().numpy(), float(loss.detach())
        if not math.isfinite(losses[step]) or step == steps:
            break
        loss.backward()
        optimizer.step()
    return places, losses
