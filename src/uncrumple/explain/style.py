"""What all pictures of this room share: colours, matplotlib's settings, figures as bytes, numbers as JSON, whole files.

The colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from uncrumple.core.files import atomic_write

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, YELLOW = "#56B4E9", "#F0E442"
INK, FAINT, GRID = "#222222", "#8a8a8a", "#e4e4e4"
_Plot = TypeVar("_Plot", bound=Callable[..., Any])


def settings(paper: str = "white", ink: str = INK, faint: str = FAINT, grid: str = GRID, **others: Any) -> Any:
    """Return matplotlib's settings in the style of the house.

    Args:
        paper, ink, faint, grid: Colours of the ground, of words, of axes, and of the lines behind the data.
        others: Further settings, with `_` in place of `.`: `font_size=10`.

    Example:
        >>> settings(font_size=9)["font.size"]
        9
    """
    made = {
        "axes.edgecolor": faint,
        "axes.labelcolor": ink,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "figure.facecolor": paper,
        "font.family": "DejaVu Sans",  # comes with matplotlib: the picture is the same everywhere
        "font.size": 10,
        "grid.color": grid,
        "legend.frameon": False,
        "savefig.facecolor": paper,
        "text.color": ink,
        "text.parse_math": False,  # a class may be called "$"
        "xtick.color": ink,
        "ytick.color": ink,
    }
    return made | {name.replace("_", ".", 1): value for name, value in others.items()}


def styled_by(style: Any) -> Callable[[_Plot], _Plot]:
    """Return a decorator that lets a method draw with these settings, without pyplot and its windows."""

    def styled(plot: _Plot) -> _Plot:
        @functools.wraps(plot)
        def drawn(*args: Any, **kwargs: Any) -> Any:
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            with matplotlib.rc_context(style):
                figure = plot(*args, **kwargs)
                if isinstance(figure, Figure):
                    FigureCanvasAgg(figure)
                return figure

        return drawn  # type: ignore[return-value]

    return styled


def rendered_by(style: Any, figure: Any, kind: str = "png", dpi: int = 110) -> bytes:
    """Return a figure as the bytes of a file: the same picture is the same file.

    Args:
        style: matplotlib's settings.
        figure: The figure.
        kind: `"png"`, `"svg"` or `"pdf"`.
        dpi: Dots per inch.
    """
    import matplotlib

    content = io.BytesIO()
    # Without a date.
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with matplotlib.rc_context({"svg.hashsalt": "uncrumple", **style}):
        figure.savefig(content, format=kind, dpi=dpi, metadata=metadata)
    return content.getvalue()


def plain(value: Any, digits: int | None = None) -> Any:
    """Return numbers, arrays, findings and names as JSON can hold them; what is not finite becomes None.

    Args:
        value: Anything made of these.
        digits: How many significant digits are kept; None keeps all.

    Example:
        >>> plain({"a": np.array([1.0, float("nan")])}), plain(0.123456789, digits=3)
        ({'a': [1.0, None]}, 0.123)
    """
    if isinstance(value, dict):
        return {str(key): plain(one, digits) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, digits) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), digits)
    if callable(getattr(value, "to_dict", None)):
        return value.to_dict()
    if hasattr(value, "tolist"):  # tensors, numbers of NumPy
        return plain(value.tolist(), digits)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else float(f"{value:.{digits}g}")
    return value


def write(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write a file whole or not at all; its folder is made if it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with atomic_write(path, needed=len(data)) as file:
        file.write(data)
    return path
