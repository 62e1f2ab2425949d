"""A race as a moving picture: a GIF, and a page whose reader can stop it and go back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from uncrumple.explain.tuning.drawing import LINES, heading, styled, to_png
from uncrumple.explain.tuning.page import animated_page
from uncrumple.explain.tuning.words import number

_FRAMES = 60
_PAUSE = 90  # milliseconds
_DPI = 80
_STAYS = 160  # the colour of a GIF's frame where the frame before shows through; those below are colours


def frames_of(race: Any) -> np.ndarray:
    """Return which of the noted places are the last of each frame: at most 61, evenly spaced."""
    count = len(race.steps)
    return np.unique(np.linspace(0, count - 1, min(count, _FRAMES + 1)).round().astype(int))


@styled
def gif(race: Any) -> bytes:
    """Return a race as a GIF that runs for ever, resting at its end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(9.4, 4.2), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    ground, curves = figure.subplots(1, 2, width_ratios=[1.05, 1])
    race._map(ground)
    race._curve_axes(curves)
    heights = race._heights()
    drawn: list[Any] = []
    ways = []
    for index, one in enumerate(race.runners):
        line = LINES[index % len(LINES)]
        label = f"{one.name}, rate {number(one.rate, 2)}"
        under = ground.plot([], [], "-", color="white", linewidth=3.4, alpha=0.7)[0]
        over = ground.plot([], [], linestyle=line.dash, color=line.colour, linewidth=1.9)[0]
        head = ground.plot([], [], line.mark, color=line.colour, markersize=10, mec="white", mew=1.2)[0]
        curve = curves.plot([], [], linestyle=line.dash, color=line.colour, linewidth=1.9, marker=line.mark,
                            markersize=6, label=label)[0]  # fmt: skip
        ways.append((under, over, head, curve))
        drawn += [under, over, head, curve]
    curves.legend(fontsize=8.5, loc="upper right")
    heading(figure, race.verdict(), f"On {race.ground}.")
    figure.dpi = _DPI
    canvas.draw()
    figure.set_layout_engine("none")
    text = curves.text(0.02, 0.03, "", transform=curves.transAxes, fontweight="bold")
    drawn.append(text)
    for artist in drawn:
        artist.set_animated(True)
    canvas.draw()
    behind = canvas.copy_from_bbox(figure.bbox)
    pictures = []
    for end in frames_of(race):
        canvas.restore_region(behind)
        for (under, over, head, curve), one, values in zip(ways, race.runners, heights):
            places = one.places[: end + 1]
            under.set_data(*places.T)
            over.set_data(*places.T)
            known = places[np.isfinite(places).all(axis=1)]
            head.set_data(known[-1:, 0], known[-1:, 1])
            curve.set_data(race.steps[: end + 1], values[: end + 1])
            curve.set_markevery([end])
        text.set_text(f"step {int(race.steps[end]):,}")
        for artist in drawn:
            artist.axes.draw_artist(artist)
        shot = np.asarray(canvas.buffer_rgba())[..., :3]
        pictures.append(Image.fromarray(np.ascontiguousarray(shot)))
    # The colours of the lines are few pixels: without their share of the palette they would be mixed with the ground's.
    sample = pictures[-1].copy()
    for index in range(len(race.runners)):
        sample.paste(LINES[index % len(LINES)].colour, (60 * index, 0, 60 * index + 60, 60))
    palette = sample.quantize(_STAYS)
    shown, before = [], None
    for picture in pictures:
        indices = np.asarray(picture.quantize(palette=palette, dither=Image.Dither.NONE))
        # What did not change stays: runs of one number take hardly any room.
        drawn_now = indices if before is None else np.where(indices == before, _STAYS, indices).astype(np.uint8)
        frame = Image.fromarray(drawn_now, mode="P")
        frame.putpalette((palette.getpalette() or [])[: 3 * _STAYS] + [255, 255, 255])
        shown.append(frame)
        before = indices
    content = io.BytesIO()
    shown[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=shown[1:],
        duration=[_PAUSE] * (len(shown) - 1) + [2500],
        loop=0,
        optimize=False,
        disposal=1,
        transparency=_STAYS,
    )
    return content.getvalue()


@styled
def page(race: Any) -> str:
    """Return a race as a page of its own, with a slider, keys, and rest for those who ask for less motion."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ends = frames_of(race)
    panels = []
    for kind in ("map", "curves"):
        figure = Figure(figsize=(5.4, 4.2), dpi=110, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots()
        if kind == "map":
            race._map(axes)
            ways = [one.places for one in race.runners]
            said = f"Loss as shades, dark is low: {race.ground}"
        else:
            race._curve_axes(axes)
            ways = [np.column_stack([race.steps, values]) for values in race._heights()]
            said = "Loss by step; the numbers are in the table below"
        canvas.draw()
        width, height = canvas.get_width_height()
        lines = []
        for way in ways:
            with np.errstate(all="ignore"):
                points = axes.transData.transform(np.clip(way, -1e30, 1e30))
            fine = np.isfinite(points).all(axis=1) & np.isfinite(way).all(axis=1)
            points = np.clip(points, -1e5, 1e5)
            lines.append(
                [[round(x, 1), round(height - y, 1)] if ok else None for (x, y), ok in zip(points.tolist(), fine)]
            )
        box = axes.get_window_extent()
        panels.append(
            {
                "png": to_png(figure, dpi=110),
                "said": said,
                "width": width,
                "height": height,
                "box": [round(box.x0, 1), round(height - box.y1, 1), round(box.width, 1), round(box.height, 1)],
                "lines": lines,
                "until": ends.tolist(),
            }
        )
    series = []
    for index, one in enumerate(race.runners):
        line = LINES[index % len(LINES)]
        dash = [] if line.dash == "-" else [round(2.2 * part, 1) for part in line.dash[1]]
        losses = [float(value) if np.isfinite(value) else None for value in one.losses[ends]]
        series.append(
            {
                "name": f"{one.name}, rate {number(one.rate, 2)}",
                "colour": line.colour,
                "dash": dash,
                "mark": line.mark,
                "loss": losses,
            }
        )
    return animated_page(
        race.verdict(), f"On {race.ground}. {race.how}", str(race), panels, series,
        [int(race.steps[end]) for end in ends], "step", _PAUSE,
    )  # fmt: skip
