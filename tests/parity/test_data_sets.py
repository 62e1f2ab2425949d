"""The data utilities beside Keras's own: arguments, order of files, images, packing; and models trained from each source."""

import inspect
import io
import warnings
from copy import copy  # Keras shuffles the list that it is given

import keras
import numpy as np
import pytest
from keras.src.utils import dataset_utils
from PIL import Image

import uncrumple as uc
from uncrumple.core.seeds import set_random_seed
from uncrumple.data import folders

OURS = {
    "utils": ["PyDataset", "Sequence", "array_to_img", "audio_dataset_from_directory", "image_dataset_from_directory",
              "img_to_array", "load_img", "pack_x_y_sample_weight", "save_img", "split_dataset",
              "text_dataset_from_directory", "timeseries_dataset_from_array", "unpack_x_y_sample_weight"],
    "preprocessing": ["image_dataset_from_directory", "text_dataset_from_directory", "timeseries_dataset_from_array"],
    "preprocessing.image": ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"],
}  # fmt: skip
NAMES = [(room, name) for room, names in OURS.items() for name in names]


def thing(package, room, name):
    for part in room.split("."):
        package = getattr(package, part)
    return getattr(package, name)


def arguments(function):
    function = function.__init__ if isinstance(function, type) else function
    return [(one.name, one.default, one.kind) for one in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize(("room", "name"), NAMES)
def test_the_same_arguments(room, name):
    assert arguments(thing(uc, room, name)) == arguments(thing(keras, room, name))


@pytest.mark.parametrize("labels", ["inferred", None, "list"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_files_come_in_the_order_of_keras(tmp_path, labels, shuffle):
    for name in ("b/2.txt", "b/10.TXT", "b/c/1.txt", "a/x.txt", "a/.hidden.txt", "a/no.md", "B/z.txt", ".git/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    if labels == "list":
        labels = list(range(len(dataset_utils.index_directory(str(tmp_path), None, (".txt",), verbose=False)[0])))
    for names in (None, ["b", "a"]) if labels == "inferred" else (None,):
        wanted = dataset_utils.index_directory(
            str(tmp_path), copy(labels), (".txt",), class_names=names, shuffle=shuffle, seed=4, verbose=False
        )
        found = folders.find("f", tmp_path, labels, (".txt",), names, shuffle, 4, False, False)
        assert found[0] == list(wanted[0]) and found[2] == wanted[2]
        assert (found[1] is None and wanted[1] is None) or list(found[1]) == list(wanted[1])
        for part in ("training", "validation"):
            paths, _ = dataset_utils.get_training_or_validation_split(*wanted[:2], 0.4, part)
            recipe = folders.Recipe(str, None, None, 4)
            assert folders.datasets("f", tmp_path, found, recipe, shuffle, 0.4, part).file_paths == list(paths)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_images_are_loaded_alike(tmp_path, mode, color_mode):
    random = np.random.RandomState(0)
    image = Image.fromarray(random.randint(0, 256, (9, 14, 3)).astype("uint8"))
    if mode == "I;16":
        if color_mode != "grayscale":
            pytest.skip("Keras makes everything above 255 white")
        image = Image.fromarray(random.randint(0, 65536, (9, 14)).astype("uint16"))
    else:
        image = image.convert(mode)
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    image.save(path)
    for settings in (
        {},
        {"target_size": (5, 6)},
        {"target_size": (5, 6), "interpolation": "lanczos", "keep_aspect_ratio": True},
        {"target_size": (20, 5), "interpolation": "box", "keep_aspect_ratio": True},
    ):
        wanted = keras.utils.load_img(path, color_mode=color_mode, **settings)
        found = uc.utils.load_img(path, color_mode=color_mode, **settings)
        assert found.mode == wanted.mode and np.array_equal(np.asarray(found), np.asarray(wanted))
        for data_format in ("channels_last", "channels_first"):
            both = [package.utils.img_to_array(found, data_format=data_format) for package in (uc, keras)]
            assert both[0].dtype == both[1].dtype and np.array_equal(*both)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_arrays_become_the_same_images(channels, scale, data_format):
    x = np.random.RandomState(0).rand(6, 5, channels) * 300 - 20
    x = x if scale else np.clip(x, 0, 255 if channels > 1 else 280)
    x = x if data_format == "channels_last" else x.transpose(2, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras names the mode, which Pillow no longer wants
        images = [package.utils.array_to_img(x, data_format, scale) for package in (uc, keras)]
        assert images[0].mode == images[1].mode and np.array_equal(*map(np.asarray, images))
        if images[0].mode == "I":
            return  # Keras cannot write it
        files = [io.BytesIO(), io.BytesIO()]
        for package, file in zip((uc, keras), files):
            package.utils.save_img(file, x, data_format, "png", scale)
    assert files[0].getvalue() == files[1].getvalue()


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("size", [(4, 4), (9, 5), (20, 30)])
def test_smart_resize_is_that_of_keras(interpolation, size):
    x = np.random.RandomState(0).rand(2, 11, 17, 3).astype("float32")
    both = [package.preprocessing.image.smart_resize(x, size, interpolation) for package in (uc, keras)]
    np.testing.assert_allclose(*both, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parts", [(1,), (1, 2), (1, 2, 3), ([1, 4],), ((1, 4), 2)], ids=str)
def test_batches_are_packed_alike(parts):
    packed = uc.utils.pack_x_y_sample_weight(*parts)
    assert packed == keras.utils.pack_x_y_sample_weight(*parts)
    assert uc.utils.unpack_x_y_sample_weight(packed) == keras.utils.unpack_x_y_sample_weight(packed)
    for package in (uc, keras):
        with pytest.raises(ValueError):
            package.utils.unpack_x_y_sample_weight((1, 2, 3, 4))


def test_training_from_batches_is_that_of_keras():
    """A PyDataset with sample weights, in order; its epochs are told."""
    random = np.random.RandomState(0)
    x, y, weight = random.rand(24, 3).astype("float32"), random.rand(24, 1).astype("float32"), random.rand(24)
    histories, diaries = [], []
    for package in (uc, keras):

        class Slices(package.utils.PyDataset):
            diary: list = []

            def __len__(self):
                return 4

            def __getitem__(self, index):
                rows = slice(6 * index, 6 * index + 6)
                return x[rows], y[rows], weight[rows]

            def on_epoch_end(self):
                self.diary.append("end")

        Slices.diary = []
        model = package.Sequential([package.Input((3,)), package.layers.Dense(1, kernel_initializer="ones")])
        model.compile(package.optimizers.SGD(0.1), "mse", weighted_metrics=["mae"])
        history = model.fit(Slices(), epochs=3, verbose=0, shuffle=False)
        histories.append([history.history[name] for name in ("loss", "mae")])
        diaries.append(Slices.diary)
    np.testing.assert_allclose(*histories, rtol=1e-5)
    # Keras also ends an epoch that it began to look at the first batch.
    assert diaries[0] == ["end"] * 3 and diaries[1][-3:] == ["end"] * 3


def test_a_seed_gives_the_files_of_keras_without_being_named(tmp_path):
    """`set_random_seed` decides, through NumPy, as there."""
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("text")
    set_random_seed(7)
    data = uc.utils.text_dataset_from_directory(tmp_path, labels=None, verbose=False)
    keras.utils.set_random_seed(7)
    seed = np.random.randint(1e6)
    wanted = dataset_utils.index_directory(str(tmp_path), None, (".txt",), seed=seed, verbose=False)
    assert data.file_paths == list(wanted[0])
