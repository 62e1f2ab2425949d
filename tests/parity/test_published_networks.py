"""`uncrumple.applications` beside `keras.applications`: layers, weights, outputs, files."""

import importlib
import inspect

import h5py
import keras
import numpy as np
import pytest
import torch
from keras.src.applications import nasnet as keras_nasnet
from keras.src.legacy.saving import legacy_h5_format

import uncrumple as uc

FAMILIES = sorted(
    name for name in dir(keras.applications) if inspect.ismodule(getattr(keras.applications, name)) and name != "src"
)
NETWORKS = sorted(name for name in dir(keras.applications) if inspect.isfunction(getattr(keras.applications, name)))
SIZES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}

# One per family, at its smallest, with the settings that are its own.
SMALL = [
    ("ConvNeXtTiny", {"include_preprocessing": False, "classifier_activation": None}),
    ("DenseNet121", {"pooling": "max", "include_top": False}),
    ("EfficientNetB0", {}),
    ("EfficientNetV2B0", {}),
    ("InceptionResNetV2", {"pooling": "avg", "include_top": False}),
    ("InceptionV3", {}),
    ("MobileNet", {"alpha": 0.25, "depth_multiplier": 2}),
    ("MobileNetV2", {"alpha": 1.4, "input_shape": (33, 40, 3)}),
    ("MobileNetV3Small", {}),
    ("MobileNetV3Large", {"minimalistic": True, "alpha": 1.25, "include_top": False}),
    ("NASNetMobile", {"include_top": False}),
    ("ResNet50", {"input_shape": (40, 32, 1)}),
    ("ResNet50V2", {"include_top": False, "pooling": "max"}),
    ("VGG16", {"include_top": False, "pooling": "avg"}),
    ("Xception", {}),
]
MORE = [
    *(
        (name, {"include_top": top, "pooling": pool})
        for name in NETWORKS
        for top, pool in ((True, None), (False, "avg"))
    ),
    *(("MobileNetV2", {"alpha": alpha, "include_top": False}) for alpha in (0.35, 0.5, 0.75, 1.0, 1.3)),
    *((name, {"include_preprocessing": False}) for name in ("EfficientNetV2B3", "MobileNetV3Small", "ConvNeXtBase")),
]


def nasnet_mobile(*, classes=1000, pooling=None, include_top=True, input_shape=None, weights=None):
    """Keras refuses NASNetMobile on torch; the network itself is there."""
    settings = {"penultimate_filters": 1056, "num_blocks": 4, "stem_block_filters": 32, "skip_reduction": False}
    return keras_nasnet.NASNet(
        *(input_shape,),
        **settings,
        include_top=include_top,
        weights=weights,
        pooling=pooling,
        classes=classes,
        default_size=224,
        name="nasnet_mobile",
    )


def pair(name, **settings):
    size = SIZES.get(name, 32)
    settings = {"weights": None, "input_shape": (size, size, 3), "classes": 7, **settings}
    keras.utils.clear_session()
    uc.utils.clear_session()
    theirs = (nasnet_mobile if name == "NASNetMobile" else getattr(keras.applications, name))(**settings)
    return theirs, getattr(uc.applications, name)(**settings)


def fill(theirs, mine):
    """Give both the same weights, of sizes at which numbers neither vanish nor explode."""
    random = np.random.default_rng(0)
    values = []
    for weight in theirs.weights:
        shape = tuple(weight.shape)
        value = random.standard_normal(shape) * (np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1)
        if "variance" in weight.path or "gamma" in weight.path:
            value = 1 + 0.1 * random.uniform(size=shape)
        values.append(np.asarray(value, dtype=str(weight.dtype)))
    theirs.set_weights(values)
    mine.set_weights(values)


def images(model, scale=255.0):
    shape = (2, *model.input_shape[1:])
    return (np.random.default_rng(1).uniform(0, scale, shape)).astype("float32")


def assert_equal_outputs(theirs, mine):
    scales = any(layer.name.startswith(("rescaling", "normalization")) for layer in mine.layers)
    x = images(mine, 255.0 if scales else 1.0)
    with torch.no_grad():
        wanted, got = theirs(x).cpu().numpy(), mine(x).numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-5 * max(1.0, np.abs(wanted).max()), rtol=1e-4)
    assert wanted.std() > 1e-3


def compare(name, settings):
    theirs, mine = pair(name, **settings)
    kinds = [[(type(layer).__name__, layer.name) for layer in model.layers] for model in (theirs, mine)]
    assert kinds[0] == kinds[1]
    assert mine.name == theirs.name
    assert mine.output_shape == theirs.output_shape
    assert [tuple(w.shape) for w in mine.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.trainable for w in mine.weights] == [w.trainable for w in theirs.weights]
    fill(theirs, mine)
    assert_equal_outputs(theirs, mine)


LARGE = ("NASNetMobile", "InceptionResNetV2", "InceptionV3", "DenseNet121")


@pytest.mark.parametrize(
    ("name", "settings"),
    [pytest.param(*one, marks=pytest.mark.slow if one[0] in LARGE else ()) for one in SMALL],
    ids=[name for name, _ in SMALL],
)
def test_one_of_each_family(name, settings):
    compare(name, settings)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), MORE, ids=[f"{name}-{number}" for number, (name, _) in enumerate(MORE)])
def test_all(name, settings):
    compare(name, settings)


def test_every_network_and_family_is_there():
    assert [name for name in NETWORKS + FAMILIES if not hasattr(uc.applications, name)] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_signatures(name):
    mine, theirs = (inspect.signature(getattr(room.applications, name)).parameters for room in (uc, keras))
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize("family", FAMILIES)
def test_families_hold_what_keras_holds(family):
    mine = importlib.import_module(f"uncrumple.applications.{family}")
    theirs = getattr(keras.applications, family)
    for name in (name for name in dir(theirs) if callable(getattr(theirs, name)) and not name.startswith("_")):
        assert name in mine.__all__
        signatures = [inspect.signature(getattr(room, name)).parameters.values() for room in (mine, theirs)]
        assert [(p.name, p.default) for p in signatures[0]] == [(p.name, p.default) for p in signatures[1]]


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "resnet50"])
@pytest.mark.parametrize("kind", ["array", "whole numbers", "tensor", "one image"])
def test_preprocess_input(family, kind):
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3))
    mine, theirs = getattr(uc.applications, family), getattr(keras.applications, family)
    if kind == "array":
        x = x.astype("float64")
    elif kind == "one image":
        x = x[0].astype("float32")
    elif kind == "tensor":
        x = torch.as_tensor(x, dtype=torch.float32)
    copy = x.clone() if kind == "tensor" else x.copy()
    got, kept = mine.preprocess_input(x), np.array_equal(x, copy)
    wanted = theirs.preprocess_input(copy)
    assert kept  # Keras writes into what it was given
    assert str(got.dtype) == str(wanted.dtype) and got.shape == wanted.shape
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), atol=1e-4)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocess_input_channels_first(mode):
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 5)).astype("float32")
    got = uc.applications.imagenet_utils.preprocess_input(x, "channels_first", mode)
    wanted = keras.applications.imagenet_utils.preprocess_input(x.copy(), "channels_first", mode)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["MobileNetV2", *[pytest.param(name, marks=pytest.mark.slow) for name in ("InceptionV3", "ConvNeXtTiny")]]
)
def test_weight_files_of_older_keras(name, tmp_path):
    """The published files are of this form: weights under the names that the layers had."""
    settings = {"alpha": 0.35} if name == "MobileNetV2" else {}
    theirs, mine = pair(name, **settings)
    fill(theirs, pair(name, **settings)[1])
    path = tmp_path / f"{name}.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, theirs)
    mine.load_weights(path)
    assert_equal_outputs(theirs, mine)
    uc.layers.Dense(3)  # counters have moved on, as in a program that builds two networks
    again = getattr(uc.applications, name)(**settings, weights=str(path), input_shape=theirs.input_shape[1:], classes=7)
    assert_equal_outputs(theirs, again)


@pytest.mark.parametrize(
    ("name", "size"), [("ConvNeXtTiny", 32), pytest.param("InceptionResNetV2", 75, marks=pytest.mark.slow)]
)
def test_keras_files_both_ways(name, size, tmp_path):
    theirs, mine = pair(name)
    fill(theirs, mine)
    theirs.save(tmp_path / "theirs.keras")
    assert_equal_outputs(theirs, uc.models.load_model(tmp_path / "theirs.keras"))
    mine.save(tmp_path / "mine.keras")
    assert_equal_outputs(keras.models.load_model(tmp_path / "mine.keras"), mine)


class Asked(Exception):
    """Raised in place of a download."""


def asked_of(module, function, monkeypatch, build, **settings):
    found = {}

    def note(name, url, file_hash=None, **kwargs):
        found.update(name=name, url=url, file_hash=file_hash)
        raise Asked

    monkeypatch.setattr(module, function, note)
    with pytest.raises(Asked):
        build(**settings)
    return found


SOME = ["MobileNet", "MobileNetV2", "MobileNetV3Small"]
WIDTHS = {
    "MobileNet": [{"alpha": 0.25, "input_shape": (160, 160, 3)}, {"alpha": 0.75, "include_top": False}],
    "MobileNetV2": [{"alpha": 1.4}, {"alpha": 0.35, "input_shape": (96, 96, 3)}, {"include_top": False}],
    "MobileNetV3Small": [{"minimalistic": True}, {"alpha": 0.75}, {"include_top": False}],
    "MobileNetV3Large": [{"minimalistic": True}, {"alpha": 0.75}, {"include_top": False}],
}
LISTED = [
    pytest.param(name, settings, marks=() if name in SOME else pytest.mark.slow, id=f"{name}-{number}")
    for name in NETWORKS
    if name != "NASNetMobile"
    for number, settings in enumerate([{}, *WIDTHS.get(name, [{"include_top": False}])])
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "settings"), LISTED)
def test_the_same_files_are_downloaded(name, settings, monkeypatch):
    from keras.src.utils import file_utils

    from uncrumple.applications import common

    got = asked_of(common, "download", monkeypatch, getattr(uc.applications, name), **settings)
    wanted = asked_of(file_utils, "get_file", monkeypatch, getattr(keras.applications, name), **settings)
    assert got == wanted
