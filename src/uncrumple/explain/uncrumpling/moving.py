"""An uncrumple view as a GIF: one moment after the other, with a few steps between."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from uncrumple.explain.pictures.style import style
from uncrumple.explain.uncrumpling.still import Drawing

if TYPE_CHECKING:
    from uncrumple.explain.uncrumpling.view import Uncrumpled

_MOST_PICTURES = 48
_COLOURS = 64


def gif(view: Uncrumpled, theme: str = "light", dpi: int = 70, seconds: float = 8.0) -> bytes:
    """Return the view as the bytes of a GIF that repeats; the last moment stays for a while.

    Args:
        view: The view.
        theme: `"light"` or `"dark"`.
        dpi: Dots per inch.
        seconds: About how long it takes, without the stay.
    """
    from PIL import Image

    count = len(view.frames)
    between = max(1, min(4, _MOST_PICTURES // max(1, count)))
    shown: list[tuple[int, float]] = []
    for place in range(count):
        shares = [step / between for step in range(between)] if place < count - 1 else [0.0]
        shown += [(place, share) for share in shares]
    pictures: list[Any] = []
    palette: Any = None
    with matplotlib.rc_context(style(theme)):
        drawing = Drawing(view, theme, count - 1)
        canvas: Any = drawing.figure.canvas
        drawing.figure.set_dpi(dpi)
        canvas.draw()
        # Found once: panels that moved by a pixel between two pictures would tremble.
        drawing.figure.set_layout_engine("none")
        for place, share in shown:
            drawing.show(place, share)
            canvas.draw()
            picture = Image.frombuffer("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB")
            if palette is None:
                palette = picture.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            pictures.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    pictures = _changes(pictures)
    each = max(40, int(1000 * seconds / max(1, len(shown))))
    content = io.BytesIO()
    pictures[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[each] * (len(pictures) - 1) + [2500],
        loop=0,
        optimize=False,
        disposal=1,
        transparency=_COLOURS,
    )
    return content.getvalue()


def _changes(pictures: list[Any]) -> list[Any]:
    """Return pictures of one palette in which what was there before is see-through: runs of one number take little room."""
    from PIL import Image

    made, before = [], None
    for picture in pictures:
        indices = np.asarray(picture)
        now = indices if before is None else np.where(indices == before, _COLOURS, indices).astype(np.uint8)
        frame = Image.fromarray(now, mode="P")
        frame.putpalette((picture.getpalette() or [])[: 3 * _COLOURS] + [255, 255, 255])
        made.append(frame)
        before = indices
    return made
