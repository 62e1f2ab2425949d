"""What layers that change images say when they are used wrongly: three lines, in full."""

import pytest
import torch

from uncrumple import layers as L

WRONG = [
    (
        lambda: L.RandomRotation(3),
        ValueError,
        "RandomRotation got factor=3.\nExpected a number, or two, from -1 to 1.\nFix: RandomRotation(factor=0.2)",
    ),
    (
        lambda: L.RandomContrast((0.1, 0.2, 0.3)),
        ValueError,
        "RandomContrast got factor=(0.1, 0.2, 0.3).\nExpected a number, or two, from 0 to 1.\n"
        "Fix: RandomContrast(factor=0.2)",
    ),
    (
        lambda: L.RandomZoom(-1.0),
        ValueError,
        "RandomZoom got height_factor=-1.0.\nExpected a number, or two, above -1.0 and up to 1.0.\n"
        "Fix: RandomZoom(height_factor=0.2)",
    ),
    (
        lambda: L.RandomTranslation(0.1, None),
        ValueError,
        "RandomTranslation got width_factor=None.\nExpected a number, or two, from -1.0 to 1.0.\n"
        "Fix: RandomTranslation(0.1, 0.1)",
    ),
    (
        lambda: L.RandomPosterization(9),
        ValueError,
        "RandomPosterization got factor=9.\nExpected a number, or two, from 1 to 8.\nFix: RandomPosterization(factor=4)",
    ),
    (
        lambda: L.RandomFlip("horizontaly"),
        ValueError,
        "RandomFlip got mode='horizontaly'.\nExpected 'horizontal', 'vertical' or 'horizontal_and_vertical'.\n"
        "Fix: RandomFlip(..., mode='horizontal')",
    ),
    (
        lambda: L.RandomFlip(seed=1.5),
        ValueError,
        "RandomFlip got seed=1.5.\nExpected a whole number, or None.\nFix: RandomFlip(..., seed=0)",
    ),
    (
        lambda: L.RandomFlip(factor=0.5),
        ValueError,
        "RandomFlip got factor=0.5.\nExpected none: RandomFlip has no factor.\nFix: RandomFlip()",
    ),
    (
        lambda: L.RandomRotation(0.1, fill_mode="mirror"),
        ValueError,
        "RandomRotation got fill_mode='mirror'.\nExpected 'reflect', 'wrap', 'constant' or 'nearest'.\n"
        "Fix: RandomRotation(..., fill_mode='reflect')",
    ),
    (
        lambda: L.RandomBrightness(0.1, value_range=255),
        ValueError,
        "RandomBrightness got value_range=255.\nExpected two numbers: the least and the largest that images have.\n"
        "Fix: RandomBrightness(..., value_range=(0, 255))",
    ),
    (
        lambda: L.RandomGaussianBlur(kernel_size=4),
        ValueError,
        "RandomGaussianBlur got kernel_size=4.\nExpected an odd number of at least 1, or two of them.\n"
        "Fix: RandomGaussianBlur(kernel_size=3)",
    ),
    (
        lambda: L.RandomErasing(fill_value=[1, 2]),
        ValueError,
        "RandomErasing got fill_value=[1, 2].\nExpected a number, three numbers, or None for noise.\n"
        "Fix: RandomErasing(fill_value=0)",
    ),
    (
        lambda: L.MixUp(alpha=0),
        ValueError,
        "MixUp got alpha=0.\nExpected a number above 0.\nFix: MixUp(alpha=0.2)",
    ),
    (
        lambda: L.Resizing(0, 4),
        ValueError,
        "Resizing got height=0.\nExpected a whole number of at least 1.\nFix: Resizing(height=224)",
    ),
    (
        lambda: L.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
        ValueError,
        "Resizing got pad_to_aspect_ratio=True.\nExpected False.\nFix: Resizing(..., pad_to_aspect_ratio=False)",
    ),
    (
        lambda: L.RandomFlip(bounding_box_format="xyyx"),
        ValueError,
        "Unknown bounding box format: 'xyyx'.\n"
        "Expected one of: center_xywh, center_yxhw, rel_center_xywh, rel_xywh, rel_xyxy, rel_yxyx, xywh, xyxy, yxyx.\n"
        "Fix: did you mean 'xyxy'?",
    ),
    (
        lambda: L.Pipeline([L.RandomFlip(), torch.nn.Tanh()]),
        TypeError,
        "Pipeline got Tanh.\nExpected a list of layers.\n"
        "Fix: Pipeline([layers.Resizing(224, 224), layers.RandomFlip()])",
    ),
    (
        lambda: L.MelSpectrogram(fft_length=64, sequence_length=100),
        ValueError,
        "MelSpectrogram got sequence_length=100 and fft_length=64.\nExpected fft_length >= sequence_length.\n"
        "Fix: MelSpectrogram(fft_length=100, sequence_length=100)",
    ),
    (
        lambda: L.STFTSpectrogram(frame_length=16, frame_step=20),
        ValueError,
        "STFTSpectrogram got frame_step=20 and frame_length=16.\n"
        "Expected frame_step <= frame_length: else sound between pieces is lost.\n"
        "Fix: STFTSpectrogram(frame_length=16, frame_step=8)",
    ),
    (
        lambda: L.RandomFlip()({"images": torch.zeros(2, 4, 4, 3), "bounding_boxes": {}}),
        ValueError,
        "RandomFlip got 'bounding_boxes', and does not know how they are written.\nExpected a bounding_box_format.\n"
        'Fix: RandomFlip(..., bounding_box_format="xyxy")',
    ),
    (
        lambda: L.RandomFlip(name="mine")({"pictures": torch.zeros(2, 4, 4, 3)}),
        ValueError,
        "RandomFlip 'mine' got a dict with ['pictures'].\nExpected 'images' in it.\nFix: {\"images\": images}",
    ),
    (
        lambda: L.MixUp(name="mine")({"images": torch.zeros(2, 4, 4, 3), "labels": torch.zeros(2)}),
        ValueError,
        "MixUp 'mine' got labels of shape (2,).\n"
        "Expected (samples, classes): mixed images belong to two classes, each with a share.\n"
        "Fix: utils.to_categorical(labels)",
    ),
    (
        lambda: L.CutMix(bounding_box_format="xyxy")(
            {
                "images": torch.zeros(2, 4, 4, 3),
                "bounding_boxes": {"boxes": torch.zeros(2, 1, 4), "labels": torch.zeros(2, 1)},
            }
        ),
        NotImplementedError,
        "CutMix got bounding boxes.\nExpected none: it is not known how they change with the images.\n"
        "Fix: leave them out, or override transform_bounding_boxes() in a class of your own",
    ),
]


@pytest.mark.parametrize(("make", "kind", "text"), WRONG, ids=[text.split("\n")[0] for _, _, text in WRONG])
def test_messages(make, kind, text):
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == text
