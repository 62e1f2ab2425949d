"""Images side by side, with labels, boxes or masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.ops.tensors import tensor
from uncrumple.visualization.drawing import batch_of, draw_bounding_boxes, draw_segmentation_masks


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: dict[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Any = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> None:
    """Show images side by side, or write them to a file.

    Args:
        images: (samples, height, width, channels).
        y_true, y_pred: (samples,) labels, for titles.
        label_map: {label: name}, needed for titles.
        rows, cols: Of the gallery; by default about as many, and enough.
        value_range: The least and the largest number of images.
        scale: Width and height of an image in inches.
        path: Where to write the picture; nothing is shown then.
        show: Whether to show it; by default where there is no `path`.
        transparent, dpi: Of the file.
        legend_handles: What matplotlib's legend shows.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
    """
    if path is not None and show:
        raise ValueError(
            explain(
                f"plot_image_gallery got path={path!r} and show=True.",
                "Expected one of them.",
                "plot_image_gallery(images, path=path)",
            )
        )
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ValueError(
            explain(
                "plot_image_gallery got labels and no label_map.",
                "Expected the names of the labels.",
                'plot_image_gallery(images, y_true, label_map={0: "cat", 1: "dog"})',
            )
        )
    shown, _ = batch_of("plot_image_gallery", images, data_format)
    low, high = value_range
    shown = ((shown.astype("float32") - low) / (high - low) * 255).clip(0, 255).astype("uint8")
    rows = rows or math.ceil(math.sqrt(len(shown) / cols if cols else len(shown))) or 1
    cols = cols or math.ceil(len(shown) / rows) or 1
    from matplotlib import pyplot  # slow to import

    titles = _titles(y_true, y_pred, label_map or {})
    figure, axes = pyplot.subplots(
        rows, cols, figsize=(cols * scale, rows * scale), frameon=False, layout="tight", squeeze=False
    )
    for place, axis in enumerate(axes.flat):
        axis.axis("off")
        if place >= len(shown):
            continue
        image = shown[place]
        axis.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        if place < len(titles) and titles[place]:
            axis.set_title(titles[place], fontsize=8)
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    try:
        if path is not None:
            figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
        elif show is None or show:
            pyplot.show()
    finally:
        if path is not None or show is None or show:
            pyplot.close(figure)


def _titles(y_true: Any, y_pred: Any, names: dict[int, str]) -> list[str]:
    parts: list[list[str]] = []
    for word, labels in (("Label", y_true), ("Pred", y_pred)):
        for place, label in enumerate([] if labels is None else tensor(labels).reshape(-1).tolist()):
            while len(parts) <= place:
                parts.append([])
            parts[place].append(f"{word}: {names.get(label, 'Unknown')}")
    return ["  ".join(part) for part in parts]


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: Any = None,
    y_pred: Any = None,
    value_range: Any = (0, 255),
    true_color: Any = (0, 188, 212),
    pred_color: Any = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: dict[int, str] | None = None,
    ground_truth_mapping: dict[int, str] | None = None,
    prediction_mapping: dict[int, str] | None = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images side by side with the boxes that are true, and those that were predicted.

    Args:
        images: (samples, height, width, 3).
        bounding_box_format: How the boxes are written, such as `"xyxy"`.
        y_true, y_pred: Dicts of `"boxes"` and `"labels"`; see `draw_bounding_boxes`.
        value_range: The least and the largest number of images.
        true_color, pred_color: Red, green and blue, 0 to 255.
        line_thickness, font_scale, text_thickness: See `draw_bounding_boxes`.
        class_mapping: {label: name}; `ground_truth_mapping` and `prediction_mapping` for one of the two.
        legend: Whether the picture says which colour is which.
        legend_handles: What matplotlib's legend shows in its place.
        rows, cols: Of the gallery.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for `plot_image_gallery`.
    """
    if legend and legend_handles:
        raise ValueError(
            explain(
                "plot_bounding_box_gallery got legend=True and legend_handles.",
                "Expected one of them.",
                "plot_bounding_box_gallery(..., legend=True)",
            )
        )
    shown, _ = batch_of("plot_bounding_box_gallery", images, data_format)
    low, high = value_range
    shown = ((shown.astype("float32") - low) / (high - low) * 255).clip(0, 255).astype("uint8")
    of_kind = (
        (y_true, true_color, ground_truth_mapping or class_mapping),
        (y_pred, pred_color, prediction_mapping or class_mapping),
    )
    for boxes, color, names in of_kind:
        if boxes is not None:
            shown = draw_bounding_boxes(
                shown,
                boxes,
                bounding_box_format,
                names,
                color,
                line_thickness,
                text_thickness or line_thickness,
                font_scale,
            )
    if legend:
        from matplotlib import patches

        named = (("Ground Truth", true_color), ("Prediction", pred_color))
        legend_handles = [
            patches.Patch(color=tuple(part / 255.0 for part in color), label=name) for name, color in named
        ]
    plot_image_gallery(shown, legend_handles=legend_handles, rows=rows, cols=cols, **kwargs)


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: Any = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Any = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """Show images, one in a row, beside themselves with the true masks and with the predicted ones.

    Args:
        images: (samples, height, width, 3).
        num_classes: How many classes are drawn.
        value_range: The least and the largest number of images.
        y_true, y_pred: (samples, height, width, 1) classes.
        color_mapping, blend, alpha, ignore_index: See `draw_segmentation_masks`.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: As for `plot_image_gallery`.
    """
    shown, last = batch_of("plot_segmentation_mask_gallery", images, data_format)
    low, high = value_range
    shown = ((shown.astype("float32") - low) / (high - low) * 255).clip(0, 255).astype("uint8")
    columns = [shown]
    for masks in (y_true, y_pred):
        if masks is not None:
            found = tensor(masks).cpu().numpy().astype("int32")
            found = found if last or found.ndim != 4 else np.moveaxis(found, 1, -1)
            columns.append(
                draw_segmentation_masks(shown, found, num_classes, color_mapping, alpha, blend, ignore_index)
            )
    gallery = np.stack(columns, axis=1).reshape(-1, *shown.shape[1:])
    plot_image_gallery(gallery, rows=len(shown), cols=len(columns), **kwargs)
