"""Pictures of images with boxes, masks and labels."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from uncrumple import visualization as V


@pytest.fixture(autouse=True)
def without_windows():
    before = matplotlib.get_backend()
    matplotlib.use("Agg", force=True)
    yield
    matplotlib.use(before, force=True)


BOXES = {"boxes": np.array([[[4, 3, 12, 9], [0, 0, 5, 5]]] * 3), "labels": np.array([[1, -1]] * 3)}


def test_boxes_are_drawn_and_those_that_are_none_are_not():
    images = np.zeros((3, 16, 20, 3), dtype="float32")
    drawn = V.draw_bounding_boxes(images, BOXES, "xyxy", color=(10, 20, 30), line_thickness=1)
    assert drawn.dtype == np.uint8
    assert drawn[0, 3, 4].tolist() == drawn[0, 9, 12].tolist() == [10, 20, 30]
    assert (drawn[0, 4:9, 5:12] == 0).all() and (drawn[0, 0] == 0).all()
    assert not images.any()
    first = V.draw_bounding_boxes(
        images.transpose(0, 3, 1, 2), BOXES, "xyxy", color=(10, 20, 30), line_thickness=1, data_format="channels_first"
    )
    assert (first.transpose(0, 2, 3, 1) == drawn).all()
    thick = V.draw_bounding_boxes(images, BOXES, "xyxy", color=(10, 20, 30), line_thickness=3)
    assert (thick[0, 2:5, 8] == [10, 20, 30]).all() and not thick[0, 5, 8].any()


def test_names_are_written():
    images = np.zeros((3, 60, 120, 3), dtype="uint8")
    boxes = {"boxes": np.array([[[4, 30, 110, 50]]] * 3), "labels": np.ones((3, 1), int)}
    plain = V.draw_bounding_boxes(images, boxes, "xyxy")
    named = V.draw_bounding_boxes(images, boxes, "xyxy", {1: "cat"})
    sure = V.draw_bounding_boxes(images, {**boxes, "confidences": np.full((3, 1), 0.5)}, "xyxy", {1: "cat"})
    assert (named[0, :28] != plain[0, :28]).any()
    assert (sure[0, :28] != named[0, :28]).any()


def test_boxes_beyond_the_image():
    boxes = {"boxes": np.array([[[-5, -5, 30, 30], [100, 100, 120, 120]]]), "labels": np.zeros((1, 2), int)}
    assert V.draw_bounding_boxes(np.zeros((1, 16, 20, 3)), boxes, "xyxy").shape == (1, 16, 20, 3)


def test_masks_are_drawn():
    images = np.full((1, 1, 4, 3), 100, dtype="uint8")
    masks = np.array([[[[0], [1], [2], [-1]]]])
    colors = {0: (0, 0, 0), 1: (200, 0, 0), 2: (0, 0, 50)}
    drawn = V.draw_segmentation_masks(images, masks, color_mapping=colors, alpha=0.5)
    assert drawn[0, 0].tolist() == [[50, 50, 50], [150, 50, 50], [50, 50, 75], [100, 100, 100]]
    covered = V.draw_segmentation_masks(images, masks, color_mapping=colors, blend=False, num_classes=2)
    assert covered[0, 0].tolist() == [[0, 0, 0], [200, 0, 0], [100, 100, 100], [100, 100, 100]]
    assert V.draw_segmentation_masks(images, masks).shape == images.shape
    with pytest.raises(TypeError, match="got masks of float32"):
        V.draw_segmentation_masks(images, masks.astype("float32"))


def test_galleries_are_written(tmp_path):
    images = np.random.default_rng(0).random((5, 16, 20, 3))
    V.plot_image_gallery(images, value_range=(0, 1), path=tmp_path / "a.png")
    V.plot_image_gallery(
        images[..., :1], np.arange(5), np.zeros(5), {0: "cat"}, cols=2, value_range=(0, 1), path=tmp_path / "b.png"
    )
    V.plot_bounding_box_gallery(
        images[:3], "xyxy", BOXES, BOXES, (0, 1), legend=True, class_mapping={1: "cat"}, path=tmp_path / "c.png"
    )
    masks = np.zeros((5, 16, 20, 1), dtype="int32")
    V.plot_segmentation_mask_gallery(images, 2, (0, 1), masks, masks, path=tmp_path / "d.png")
    for name in "abcd":
        assert min(Image.open(tmp_path / f"{name}.png").size) > 50
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: V.plot_image_gallery(np.zeros((1, 4, 4, 3)), path="x.png", show=True),
            ValueError,
            "plot_image_gallery got path='x.png' and show=True.\nExpected one of them.\n"
            "Fix: plot_image_gallery(images, path=path)",
        ),
        (
            lambda: V.plot_image_gallery(np.zeros((1, 4, 4, 3)), [1]),
            ValueError,
            "plot_image_gallery got labels and no label_map.\nExpected the names of the labels.\n"
            'Fix: plot_image_gallery(images, y_true, label_map={0: "cat", 1: "dog"})',
        ),
        (
            lambda: V.draw_bounding_boxes(np.zeros((4, 4, 3)), BOXES, "xyxy"),
            ValueError,
            "draw_bounding_boxes got images of shape (4, 4, 3).\nExpected 4 axes: several images.\nFix: images[None]",
        ),
        (
            lambda: V.draw_bounding_boxes(np.zeros((1, 4, 4, 3)), [1], "xyxy"),
            TypeError,
            "draw_bounding_boxes got a list as bounding_boxes.\nExpected a dict with 'boxes' and 'labels'.\n"
            'Fix: {"boxes": boxes, "labels": labels}',
        ),
    ],
)
def test_messages(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
