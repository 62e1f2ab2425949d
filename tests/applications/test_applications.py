"""Published networks: what is refused, where they can be put, and how their weights come here."""

import functools
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.applications import common, imagenet_utils, mobilenet, nasnet, resnet
from uncrumple.core.errors import UncrumpleWarning

Small = functools.partial(uc.applications.MobileNet, weights=None, alpha=0.25)


def text(error):
    return str(error.value)


def test_weights_that_are_no_file():
    with pytest.raises(ValueError) as error:
        uc.applications.ResNet50(weights="imagnet")
    assert text(error) == (
        "ResNet50 got weights='imagnet', and there is no such file.\n"
        'Expected "imagenet", None, or the path of a file with weights.\n'
        'Fix: ResNet50(weights="imagenet")'
    )


def test_classes_of_imagenet():
    with pytest.raises(ValueError) as error:
        uc.applications.VGG16(classes=10)
    assert text(error) == (
        "VGG16 got classes=10 with the weights of ImageNet.\n"
        "Expected 1000: those weights tell 1000 classes apart.\n"
        "Fix: VGG16(include_top=False), and a Dense(10) of your own on it"
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"classifier_activation": "relu"}, 'Expected "softmax" or None'),
        ({"input_shape": (64, 64, 3)}, "Expected (224, 224, 3): the weights of ImageNet"),
        ({"include_top": False, "input_shape": (64, 64, 1)}, "Expected 3 channels"),
        ({"weights": None, "input_shape": (31, 64, 3)}, "Expected at least 32x32 pixels."),
        ({"weights": None, "input_shape": (64, 64)}, "Expected three sizes"),
        ({"weights": None, "input_shape": (None, None, 3)}, "the top needs a known size"),
        ({"weights": None, "pooling": "average", "include_top": False}, "Did you mean"),
        ({"weights": None, "classes": 0}, "got classes=0"),
        ({"weights": None, "input_tensor": np.zeros((1, 32, 32, 3))}, "got a ndarray as input_tensor"),
    ],
)
def test_impossible_arguments(settings, words):
    with pytest.raises(ValueError) as error:
        uc.applications.ResNet50(**settings)
    assert words.lower() in text(error).lower()
    assert text(error).count("\n") == 2


def test_channels_first_is_refused():
    uc.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="Expected 'channels_last'"):
            Small(input_shape=(3, 32, 32))
        x = np.ones((3, 4, 5))
        assert np.allclose(imagenet_utils.preprocess_input(x)[:, 0, 0], [1 - 103.939, 1 - 116.779, 1 - 123.68])
    finally:
        uc.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        ("MobileNet", {"alpha": 0.3}, "Expected one of 0.25, 0.5, 0.75, 1.0."),
        ("MobileNet", {"alpha": -1, "weights": None}, "Expected a number above 0."),
        ("MobileNet", {"depth_multiplier": 2}, "Expected 1: there are no others."),
        ("MobileNetV2", {"alpha": 0.25}, "got alpha=0.25 with the weights of ImageNet"),
        ("MobileNetV3Small", {"alpha": 0.75, "minimalistic": True}, "Expected one of 1.0."),
        ("MobileNetV3Large", {"weights": None, "input_shape": (16, 16, 3)}, "at least 32x32"),
        ("NASNetLarge", {"input_shape": (None, None, 3), "include_top": False}, "Expected numbers:"),
    ],
)
def test_impossible_arguments_of_one_family(network, settings, words):
    with pytest.raises(ValueError) as error:
        getattr(uc.applications, network)(**settings)
    assert words in text(error)


def test_channels_of_a_strange_number_are_told():
    with pytest.warns(UncrumpleWarning, match="with 5 channels"):
        model = Small(input_shape=(32, 32, 5), include_top=False)
    assert model.input_shape == (None, 32, 32, 5)


def test_input_tensor():
    image = uc.Input((64, 64, 3))
    halved = uc.layers.AveragePooling2D(2)(image)
    model = Small(input_tensor=halved, include_top=False, pooling="avg")
    assert model.inputs[0] is image
    assert isinstance(model.layers[1], uc.layers.AveragePooling2D)
    assert model(torch.ones(1, 64, 64, 3)).shape == (1, 256)
    with pytest.raises(ValueError, match="Expected the same size in both"):
        uc.applications.MobileNetV2(weights=None, input_tensor=image, input_shape=(32, 32, 3))


def test_without_the_top_any_size_will_do():
    model = Small(include_top=False)
    assert model.input_shape == (None, None, None, 3)
    assert model(torch.ones(1, 64, 96, 3)).shape == (1, 2, 3, 256)


@pytest.mark.parametrize("network", ["NASNetMobile", "NASNetLarge"])
def test_cells_of_nasnet_need_a_size(network, monkeypatch):
    size = {"NASNetMobile": 224, "NASNetLarge": 331}[network]
    image = uc.Input((64, None, 3))
    for settings, got in (({"input_tensor": image}, "64xNone"), ({"input_shape": (None, 64, 3)}, "Nonex64")):
        with pytest.raises(ValueError) as error:
            getattr(uc.applications, network)(include_top=False, weights=None, **settings)
        assert text(error) == (
            f"{network} got images of {got} pixels.\n"
            "Expected numbers: a cell fits what came before the last cell to the size that the last one left.\n"
            f"Fix: {network}(include_top=False, input_shape=({size}, {size}, 3))"
        )

    class BegunWith(Exception):
        """Building the whole network takes seconds."""

    def stop(x, *rest):
        raise BegunWith(x.shape)

    monkeypatch.setattr(nasnet, "_reduction_cell", stop)
    with pytest.raises(BegunWith) as begun:
        getattr(uc.applications, network)(include_top=False, weights=None)
    assert begun.value.args[0][1:3] == ((size - 1) // 2, (size - 1) // 2)


def test_fine_tuning_trains():
    base = Small(include_top=False, pooling="avg", input_shape=(32, 32, 3))
    base.trainable = False
    model = uc.Sequential([base, uc.layers.Dense(2)])
    model.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = base.get_weights()
    history = model.fit(np.random.rand(8, 32, 32, 3).astype("float32"), np.arange(8) % 2, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert all(np.array_equal(a, b) for a, b in zip(before, base.get_weights()))


def test_preprocess_input_in_a_model():
    image = uc.Input((32, 32, 3))
    for family in ("resnet", "densenet", "mobilenet", "convnext"):
        prepare = getattr(uc.applications, family).preprocess_input
        model = uc.Model(image, prepare(image)) if family != "convnext" else None
        x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
        if model is not None:
            np.testing.assert_allclose(model(x).numpy(), prepare(x), atol=1e-4)


def test_preprocess_input_refuses_what_has_no_colours():
    with pytest.raises(ValueError, match="Expected three axes, or four for a batch, with 3 colours"):
        imagenet_utils.preprocess_input(np.zeros((1, 4, 4, 1)))
    with pytest.raises(ValueError, match="mode of preprocess_input"):
        imagenet_utils.preprocess_input(np.zeros((1, 4, 4, 3)), mode="coffee")
    with pytest.raises(ValueError, match="data_format of preprocess_input"):
        imagenet_utils.preprocess_input(np.zeros((1, 4, 4, 3)), "channel_last")


# --- downloads --------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder, served on this machine; whatever is downloaded goes to an empty cache."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "no_keras"))
    running.folder, running.asked, running.url = folder, asked, f"http://127.0.0.1:{running.server_port}/"
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def write_weights(model, path):
    """Write weights as the published files have them."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            group.attrs["weight_names"] = [f"{layer.name}/{w.name}:0".encode() for w in weights]
            for weight in weights:
                group.create_dataset(f"{layer.name}/{weight.name}:0", data=weight.numpy())
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_published_weights_come_once(server, monkeypatch):
    monkeypatch.setattr(mobilenet, "PUBLISHED", server.url)
    made = Small(input_shape=(128, 128, 3))
    write_weights(made, server.folder / "mobilenet" / "mobilenet_2_5_128_tf.h5")
    for _ in range(2):
        loaded = uc.applications.MobileNet(alpha=0.25, input_shape=(128, 128, 3))
        assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), loaded.get_weights()))
    assert server.asked == ["/mobilenet/mobilenet_2_5_128_tf.h5"]


def test_weights_with_a_wrong_checksum_are_refused(server, monkeypatch):
    monkeypatch.setattr(resnet, "PUBLISHED", server.url)
    path = server.folder / "resnet" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    checksum = write_weights(uc.applications.ResNet50(weights=None, include_top=False), path)
    with pytest.raises(ConnectionError, match="checksum"):
        uc.applications.ResNet50(include_top=False)
    monkeypatch.setitem(resnet._HASHES, "resnet50", ("", checksum))
    assert uc.applications.ResNet50(include_top=False).count_params() == 23587712


def test_decode_predictions(server, monkeypatch):
    table = {str(index): [f"n{index:08d}", f"thing_{index}"] for index in range(1000)}
    path = server.folder / "classes.json"
    path.write_text(json.dumps(table))
    monkeypatch.setattr(imagenet_utils, "_CLASS_INDEX", server.url + "classes.json")
    monkeypatch.setattr(imagenet_utils, "_CLASS_INDEX_HASH", hashlib.md5(path.read_bytes()).hexdigest())
    imagenet_utils._class_names.cache_clear()
    preds = np.zeros((2, 1000), "float32")
    preds[0, [3, 7]] = 0.25, 0.5
    preds[1, 999] = 1.0
    try:
        found = uc.applications.vgg16.decode_predictions(torch.as_tensor(preds), top=2)
    finally:
        imagenet_utils._class_names.cache_clear()
    assert found[0] == [("n00000007", "thing_7", 0.5), ("n00000003", "thing_3", 0.25)]
    assert found[1][0] == ("n00000999", "thing_999", 1.0)


@pytest.mark.parametrize(("shape", "top", "words"), [((2, 10), 5, "shape (2, 10)"), ((2, 1000), 0, "top=0")])
def test_decode_predictions_refuses(shape, top, words):
    with pytest.raises(ValueError) as error:
        imagenet_utils.decode_predictions(np.zeros(shape), top=top)
    assert words in text(error)


def test_every_network_says_what_it_takes():
    for name in uc.applications.__all__:
        network = getattr(uc.applications, name)
        if callable(network):
            for part in ("Source: ", "\nArgs:", "\nInput shape:", "\nRaises:", "\nExample:"):
                assert part in network.__doc__, (name, part)


def test_sources_of_several_inputs():
    a, b = uc.Input((4,)), uc.Input((4,))
    assert {id(one) for one in common.sources(uc.layers.add([a, b]))} == {id(a), id(b)}
