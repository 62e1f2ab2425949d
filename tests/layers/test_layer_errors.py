"""What layers say to settings and inputs that cannot be: whole texts."""

import numpy as np
import pytest
import torch

from uncrumple import layers as L


def said(make):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    return str(caught.value).split("\n")


TEXTS = [
    (
        lambda: L.Dropout(50),
        ["Dropout got rate=50.", "Expected a number from 0 to 1.", "Fix: Dropout(0.5)"],
    ),
    (
        lambda: L.SpatialDropout2D(rate=-1),
        ["SpatialDropout2D got rate=-1.", "Expected a number from 0 to 1.", "Fix: SpatialDropout2D(0.5)"],
    ),
    (
        lambda: L.Conv2D(8, 3, name="c")(L.Input((2, 2, 64))),
        [
            "Conv2D 'c' shrinks its input of shape (None, 2, 2, 64) to nothing: a kernel of (3, 3) does not fit.",
            "Expected height and width of at least 3.",
            'Fix: padding="same", or fewer pooling layers before it',
        ],
    ),
    (
        lambda: L.Conv2D(8, (2, 3), dilation_rate=2, name="c")(L.Input((9, 4, 1))),
        [
            "Conv2D 'c' shrinks its input of shape (None, 9, 4, 1) to nothing: "
            "a kernel of (2, 3) with dilation (2, 2) does not fit.",
            "Expected height of at least 3 and width of at least 5.",
            'Fix: padding="same", or fewer pooling layers before it',
        ],
    ),
    (
        lambda: L.Conv1D(8, 5, name="c")(torch.ones(7, 4, 2)),
        [
            "Conv1D 'c' shrinks its input of shape (7, 4, 2) to nothing: a kernel of (5,) does not fit.",
            "Expected length of at least 5.",
            'Fix: padding="same", or fewer pooling layers before it',
        ],
    ),
    (
        lambda: L.MaxPooling2D(name="p")(L.Input((1, 5, 3))),
        [
            "MaxPooling2D 'p' shrinks its input of shape (None, 1, 5, 3) to nothing: a window of (2, 2) does not fit.",
            "Expected height and width of at least 2.",
            'Fix: padding="same", or fewer pooling layers before it',
        ],
    ),
    (
        lambda: L.AveragePooling3D(3, name="p")(L.Input((2, 5, 5, 3))),
        [
            "AveragePooling3D 'p' shrinks its input of shape (None, 2, 5, 5, 3) to nothing: "
            "a window of (3, 3, 3) does not fit.",
            "Expected depth, height and width of at least 3.",
            'Fix: padding="same", or fewer pooling layers before it',
        ],
    ),
    (
        lambda: L.Cropping2D(3, name="cut")(L.Input((6, 9, 1))),
        [
            "Cropping2D 'cut' shrinks its input of shape (None, 6, 9, 1) to nothing: "
            "cropping=((3, 3), (3, 3)) leaves nothing.",
            "Expected height and width of at least 7.",
            "Fix: give it larger inputs",
        ],
    ),
    (
        lambda: L.Conv2D(8, 3, name="c")(L.Input((28, 28))),
        [
            "Conv2D 'c' got an input of shape (None, 28, 28).",
            "Expected 4 axes: (samples, height, width, channels), got 3.",
            "Fix: add the channel axis: x = x[..., None], and Input((28, 28, 1))",
        ],
    ),
    (
        lambda: L.MaxPooling1D(name="p")(L.Input((28,))),
        [
            "MaxPooling1D 'p' got an input of shape (None, 28).",
            "Expected 3 axes: (samples, steps, channels), got 2.",
            "Fix: add the channel axis: x = x[..., None], and Input((28, 1))",
        ],
    ),
    (
        lambda: L.Conv2D(8, 3, name="c")(torch.ones(28, 28, 3)),
        [
            "Conv2D 'c' got an input of shape (28, 28, 3).",
            "Expected 4 axes: (samples, height, width, channels), got 3.",
            "Fix: add the batch axis: x = x[None]",
        ],
    ),
    (
        lambda: L.Conv1D(8, 3, name="c")(L.Input((28, 28, 1))),
        [
            "Conv1D 'c' got an input of shape (None, 28, 28, 1).",
            "Expected 3 axes: (samples, steps, channels), got 4.",
            "Fix: leave the number of samples out of Input: Input((28, 1)); TimeDistributed(Conv1D(...)) for films",
        ],
    ),
    (
        lambda: L.Conv2D(8, 3, name="c")(L.Input((28, 28, None))),
        [
            "Conv2D 'c' got an input of shape (None, 28, 28, None).",
            "Expected a known number of channels: the weights depend on it.",
            "Fix: Input((28, 28, 1))",
        ],
    ),
    (
        lambda: L.Conv2D(8, 3, groups=3),
        [
            "Conv2D got filters=8 and groups=3.",
            "Expected filters to be a multiple of groups.",
            "Fix: Conv2D(9, ..., groups=3)",
        ],
    ),
    (
        lambda: L.Conv2D(8, 3, groups=4, name="c")(L.Input((9, 9, 6))),
        [
            "Conv2D 'c' got an input of shape (None, 9, 9, 6): 6 channels for 4 groups.",
            "Expected channels to be a multiple of groups.",
            "Fix: groups=3",
        ],
    ),
    (
        lambda: L.Conv2D(8, 3, strides=2, dilation_rate=2),
        [
            "Conv2D got strides=(2, 2) and dilation_rate=(2, 2).",
            "Expected one of them to be 1.",
            "Fix: Conv2D(..., strides=(2, 2)), without dilation_rate",
        ],
    ),
    (
        lambda: L.Conv2D(8, 3, padding="sam"),
        ["Conv2D got padding='sam'.", "Expected 'valid' or 'same'.", "Fix: Conv2D(..., padding='same')"],
    ),
    (
        lambda: L.Conv2D(0, 3),
        ["Conv2D got filters=0.", "Expected a whole number of at least 1.", "Fix: Conv2D(filters=32)"],
    ),
    (
        lambda: L.Conv2DTranspose(8, 3, strides=2, output_padding=2),
        [
            "Conv2DTranspose got output_padding=(2, 2) and strides=(2, 2).",
            "Expected output_padding to be smaller than strides on every axis.",
            "Fix: Conv2DTranspose(..., output_padding=(1, 1))",
        ],
    ),
    (
        lambda: L.Reshape((10, 10), name="r")(L.Input((28, 28))),
        [
            "Reshape 'r' got an input of shape (None, 28, 28).",
            "Expected 100 numbers per sample, for target_shape=(10, 10); these are 784.",
            "Fix: Reshape((784,))",
        ],
    ),
    (
        lambda: L.Reshape((28, 28, 1), name="r")(torch.ones(5, 28 * 28 * 3)),
        [
            "Reshape 'r' got an input of shape (5, 2352).",
            "Expected 784 numbers per sample, for target_shape=(28, 28, 1); these are 2352.",
            "Fix: Reshape((84, 28, 1))",
        ],
    ),
    (
        lambda: L.Permute((0, 1)),
        ["Permute got dims=(0, 1).", "Expected each axis from 1 on exactly once.", "Fix: Permute((2, 1))"],
    ),
    (
        lambda: L.RepeatVector(2, name="r")(L.Input((3, 4))),
        [
            "RepeatVector 'r' got an input of shape (None, 3, 4).",
            "Expected 2 axes: (samples, features), got 3.",
            "Fix: add Flatten() before it",
        ],
    ),
    (
        lambda: L.Add(name="a")([L.Input((3,)), L.Input((4,))]),
        [
            "Add 'a' got inputs of shapes (None, 3) and (None, 4).",
            "Expected equal sizes, or 1; axis 1 has 3 and 4.",
            "Fix: Dense(3)(x2) brings it to 3 features, or Concatenate()([...]) keeps both",
        ],
    ),
    (
        lambda: L.Add(name="a")(L.Input((3,))),
        ["Add 'a' got one tensor of shape (None, 3).", "Expected a list of tensors.", "Fix: Add()([x1, x2])"],
    ),
    (
        lambda: L.Add(name="a")([torch.ones(2, 3), torch.ones(5, 3)]),
        [
            "Add 'a' got inputs of shapes (2, 3) and (5, 3).",
            "Expected as many samples in each.",
            "Fix: give all inputs of a model the same number of rows",
        ],
    ),
    (
        lambda: L.Subtract(name="s")([L.Input((3,))] * 3),
        ["Subtract 's' got 3 inputs.", "Expected 2.", "Fix: Subtract()([x1, x2])"],
    ),
    (
        lambda: L.Concatenate(name="c")([L.Input((3, 4)), L.Input((5, 4))]),
        [
            "Concatenate 'c' got inputs of shapes (None, 3, 4) and (None, 5, 4).",
            "Expected equal sizes on every axis but -1; axis 1 has 3 and 5.",
            "Fix: Concatenate(axis=1)",
        ],
    ),
    (
        lambda: L.Concatenate(name="c")([L.Input((3, 4)), L.Input((4,))]),
        [
            "Concatenate 'c' got inputs of shapes (None, 3, 4) and (None, 4).",
            "Expected as many axes in each.",
            "Fix: Flatten()(x1) first, which has the most axes",
        ],
    ),
    (
        lambda: L.Dot(axes=1, name="d")([L.Input((3, 4)), L.Input((4, 5))]),
        [
            "Dot 'd' got inputs of shapes (None, 3, 4) and (None, 4, 5) and has axes=1.",
            "Expected equal sizes there, got 3 and 4.",
            "Fix: Dot(axes=(2, 1))",
        ],
    ),
    (
        lambda: L.BatchNormalization(axis=3, name="b")(L.Input((4,))),
        [
            "BatchNormalization 'b' got an input of shape (None, 4) and has axis=3.",
            "Expected an axis from 1 to 1, or -1.",
            "Fix: BatchNormalization(axis=-1)",
        ],
    ),
    (
        lambda: L.BatchNormalization(synchronized=True),
        [
            "BatchNormalization got synchronized=True.",
            "Expected False: each device normalizes by its own batch.",
            "Fix: remove synchronized=True",
        ],
    ),
    (
        lambda: L.GroupNormalization(32, name="g")(L.Input((8, 48))),
        [
            "GroupNormalization 'g' got an input of shape (None, 8, 48): 48 channels for 32 groups.",
            "Expected channels to be a multiple of groups.",
            "Fix: GroupNormalization(groups=24)",
        ],
    ),
    (
        lambda: L.Normalization(name="n")(torch.ones(2, 3)),
        [
            "Normalization 'n' was used before it knows a mean and a variance (input of shape (2, 3)).",
            "Expected adapt() first.",
            "Fix: n.adapt(x_train)",
        ],
    ),
    (
        lambda: L.Normalization(mean=1.0),
        [
            "Normalization got mean without variance.",
            "Expected both, or neither.",
            "Fix: Normalization(mean=..., variance=...), or layer.adapt(data)",
        ],
    ),
    (
        lambda: L.Normalization(name="n").adapt(np.arange(5.0)),
        [
            "Normalization 'n' got data of shape (None,) and has axis=(-1,).",
            "Expected known sizes on these axes: there is a mean for each entry.",
            "Fix: Normalization(axis=None), for one mean of all numbers",
        ],
    ),
    (
        lambda: L.TorchModuleWrapper(torch.nn.LazyLinear(3)),
        [
            "TorchModuleWrapper got a LazyLinear whose parameters are not made yet.",
            "Expected a module that has seen the shape of its input.",
            "Fix: module(torch.zeros(1, 8)) once, before wrapping it",
        ],
    ),
    (
        lambda: L.TorchModuleWrapper(torch.nn.Conv2d(3, 8, 3), name="t")(L.Input((28, 28, 3))),
        [
            "TorchModuleWrapper 't' failed on an input of shape (None, 28, 28, 3): "
            "the convolution takes 3 channels, and got 28.",
            "Expected operations that fit this shape.",
            "Fix: torch's modules want channels first: Permute((3, 1, 2))(x) before it",
        ],
    ),
    (
        lambda: L.TimeDistributed(L.Dense),
        [
            "TimeDistributed got <class 'uncrumple.layers.dense.Dense'> as its layer.",
            "Expected a layer.",
            "Fix: TimeDistributed(Dense(...))",
        ],
    ),
    (
        lambda: L.UpSampling2D(interpolation="bilinar"),
        [
            "UpSampling2D got interpolation='bilinar'.",
            "Expected 'nearest', 'bilinear' or 'bicubic'.",
            "Fix: UpSampling2D(..., interpolation='bilinear')",
        ],
    ),
    (
        lambda: L.ZeroPadding2D((1, 2, 3)),
        [
            "ZeroPadding2D got padding=(1, 2, 3).",
            "Expected a whole number of at least 0, or (before, after) for each axis.",
            "Fix: ZeroPadding2D(((1, 2), (1, 2)))",
        ],
    ),
    (
        lambda: L.Dropout(0.5, noise_shape=(None, 1), name="d")(torch.ones(2, 3, 4), training=True),
        [
            "Dropout 'd' got an input of shape (2, 3, 4) and has noise_shape=(None, 1).",
            "Expected one entry per axis: None, 1, or the size of the input.",
            "Fix: noise_shape=(None, 1, None)",
        ],
    ),
    (
        lambda: L.GaussianDropout(1),
        ["GaussianDropout got rate=1.", "Expected a number from 0 to below 1.", "Fix: GaussianDropout(0.5)"],
    ),
    (
        lambda: L.Lambda("relu"),
        ["Lambda got 'relu' as its function.", "Expected a function of a tensor.", "Fix: Lambda(lambda x: x * 2)"],
    ),
    (
        lambda: L.Lambda(lambda x: x[:, :2], output_shape=(3,), name="l")(L.Input((3,))),
        [
            "Lambda 'l' returned the shape (None, 2).",
            "Expected (None, 3), from output_shape.",
            "Fix: leave out output_shape: it is found by running the function",
        ],
    ),
]


@pytest.mark.parametrize(("make", "lines"), TEXTS, ids=lambda value: value[0][:60] if isinstance(value, list) else "")
def test_text(make, lines):
    assert said(make) == lines


@pytest.mark.parametrize(
    ("make", "argument", "value"),
    [
        (lambda v: L.Conv2D(3, v), "kernel_size", 0),
        (lambda v: L.Conv2D(3, v), "kernel_size", (1, 2, 3)),
        (lambda v: L.Conv2D(3, 3, strides=v), "strides", -1),
        (lambda v: L.Conv2D(3, 3, strides=v), "strides", "2"),
        (lambda v: L.Conv1D(3, 3, dilation_rate=v), "dilation_rate", 1.5),
        (lambda v: L.Conv2D(3, 3, groups=v), "groups", 0),
        (lambda v: L.Conv2D(3, 3, padding=v), "padding", "causal"),
        (lambda v: L.Conv2D(3, 3, data_format=v), "data_format", "channel_last"),
        (lambda v: L.DepthwiseConv2D(3, depth_multiplier=v), "depth_multiplier", 0),
        (lambda v: L.SeparableConv2D(v, 3), "filters", 2.5),
        (lambda v: L.MaxPooling2D(v), "pool_size", 0),
        (lambda v: L.AveragePooling1D(2, strides=v), "strides", 0),
        (lambda v: L.Cropping1D(v), "cropping", (1, -1)),
        (lambda v: L.UpSampling1D(v), "size", 0),
        (lambda v: L.UpSampling2D(v), "size", "2"),
        (lambda v: L.RepeatVector(v), "n", 0),
        (lambda v: L.Reshape(v), "target_shape", (-1, -1)),
        (lambda v: L.Reshape(v), "target_shape", (None, 3)),
        (lambda v: L.GaussianNoise(v), "stddev", -0.1),
        (lambda v: L.Dropout(0.1, seed=v), "seed", "a"),
        (lambda v: L.Dropout(0.1, noise_shape=v), "noise_shape", "all"),
        (lambda v: L.Dropout(v), "rate", "half"),
        (lambda v: L.ReLU(max_value=v), "max_value", -1),
        (lambda v: L.LeakyReLU(v), "negative_slope", None),
        (lambda v: L.ELU(v), "alpha", "a"),
        (lambda v: L.PReLU(shared_axes=v), "shared_axes", [0]),
        (lambda v: L.Softmax(v), "axis", 1.5),
        (lambda v: L.BatchNormalization(momentum=v), "momentum", 2),
        (lambda v: L.BatchNormalization(epsilon=v), "epsilon", -1e-3),
        (lambda v: L.BatchNormalization(axis=v), "axis", None),
        (lambda v: L.BatchNormalization(renorm=True, renorm_clipping=v), "renorm_clipping", {"rmax": 1, "rmin": 2}),
        (lambda v: L.LayerNormalization(axis=v), "axis", "last"),
        (lambda v: L.GroupNormalization(v), "groups", 0),
        (lambda v: L.UnitNormalization(axis=v), "axis", 0.5),
        (lambda v: L.Concatenate(axis=v), "axis", None),
        (lambda v: L.Dot(axes=v), "axes", 0),
        (lambda v: L.Dot(axes=v), "axes", (1, 2, 3)),
        (lambda v: L.Rescaling(v), "scale", "1/255"),
        (lambda v: L.Normalization(axis=v), "axis", "last"),
        (lambda v: L.TorchModuleWrapper(v), "module", "net"),
    ],
)
def test_an_impossible_setting_is_named_with_its_value(make, argument, value):
    lines = said(lambda: make(value))
    assert len(lines) == 3
    assert argument in lines[0]
    assert repr(value).strip("[](){}") in lines[0] or str(value) in lines[0]
    assert lines[1].startswith("Expected ") and lines[2].startswith("Fix: ")


def test_unknown_argument_is_guessed():
    assert said(lambda: L.Conv2D(3, 3, stride=2))[2] == "Fix: did you mean 'strides='?"
    assert said(lambda: L.BatchNormalization(momentun=0.9))[2] == "Fix: did you mean 'momentum='?"


def test_wrong_channels():
    layer = L.Conv2D(4, 3, name="c")
    layer(torch.ones(2, 9, 9, 3))
    assert said(lambda: layer(torch.ones(2, 9, 9, 1))) == [
        "Conv2D 'c' got an input of shape (2, 9, 9, 1).",
        "Expected 3 on the last axis, got 1.",
        "Fix: give it 3 channels, or build the model again with Input((9, 9, 1))",
    ]
    assert said(lambda: layer(torch.ones(2, 3, 9, 9)))[2] == (
        "Fix: move the channels to the end: x = x.transpose(0, 2, 3, 1)"
    )


def test_a_reshape_with_an_unknown_axis_waits_for_data():
    layer = L.Reshape((2, 5), name="r")
    assert layer(L.Input((None, 5))).shape == (None, 2, 5)
    assert layer(torch.ones(3, 2, 5)).shape == (3, 2, 5)
    assert said(lambda: layer(torch.ones(3, 4, 5)))[1] == (
        "Expected 10 numbers per sample, for target_shape=(2, 5); these are 20."
    )
    assert L.Reshape((-1, 7))(L.Input((None, 14))).shape == (None, None, 7)


def test_merging_after_building_still_explains():
    layer = L.Add(name="a")
    layer([torch.ones(2, 3), torch.ones(2, 3)])
    assert said(lambda: layer([torch.ones(2, 3), torch.ones(2, 4)]))[1] == (
        "Expected equal sizes, or 1; axis 1 has 3 and 4."
    )
    joined = L.Concatenate(name="c")
    joined([torch.ones(2, 3), torch.ones(2, 3)])
    assert said(lambda: joined([torch.ones(2, 3), torch.ones(4, 3)]))[1] == (
        "Expected equal sizes on every axis but -1; axis 0 has 2 and 4."
    )
