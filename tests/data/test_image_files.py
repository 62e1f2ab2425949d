"""Images: Keras's numbers, and every kind of file that is not what its name says."""

import io
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raised import message
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.data import resizing
from uncrumple.preprocessing.image import smart_resize
from uncrumple.utils import array_to_img, image_dataset_from_directory, img_to_array, load_img, save_img

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import make_data_sets as golden  # noqa: E402

VALUES = np.load(GOLDEN / "data_sets.npz")


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images each."""
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for number in range(3):
            save_img(tmp_path / name / f"{number}.png", np.full((6, 8, 3), 10 * number), scale=False)
    return tmp_path


def read(folder, **settings):
    return image_dataset_from_directory(
        folder, **{"image_size": (4, 4), "verbose": False, "shuffle": False, **settings}
    )


# --- numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", golden.METHODS)
def test_sizes_are_changed_as_tensorflow_does(method):
    # TensorFlow reads its cubic weights from a table of 1024 places.
    near = {"rtol": 0, "atol": 0.3 if method == "bicubic" else 1e-3}
    for size in golden.SIZES:
        wanted = VALUES[f"resize/{method}/{size[0]}x{size[1]}"]
        np.testing.assert_allclose(resizing.resized(golden.picture(), size, method), wanted, **near)
    wanted = VALUES[f"resize/{method}/pad"]
    np.testing.assert_allclose(resizing.resized_with_margin(golden.picture(), (7, 12), method), wanted, **near)


@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("fit", ["squeeze", "crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_folders_give_the_numbers_of_keras(tmp_path, mode, fit):
    """Of images in colour, with transparency, gray, and gray in 16 bits."""
    golden.folder_of_images(tmp_path)
    more = {} if fit == "squeeze" else {fit: True}
    data = read(tmp_path, color_mode=mode, image_size=(4, 6), label_mode="categorical", **more)
    ((x, y),) = data
    assert x.dtype is torch.float32
    # Gray of a colour is rounded otherwise by TensorFlow's decoder and by Pillow.
    np.testing.assert_allclose(
        x.numpy(), VALUES[f"images/{mode}/{fit}"], rtol=0, atol=1.01 if mode == "grayscale" else 1e-3
    )
    np.testing.assert_array_equal(y.numpy(), VALUES["images/labels"])
    first = read(tmp_path, color_mode=mode, image_size=(4, 6), data_format="channels_first", **more)
    assert torch.equal(next(iter(first))[0], x.permute(0, 3, 1, 2))


# --- what comes out -----------------------------------------------------------------------------


def test_labels_names_and_counts(folder, capsys):
    data = image_dataset_from_directory(folder, image_size=8, batch_size=4, shuffle=False)
    assert capsys.readouterr().out == "Found 6 files belonging to 2 classes.\n"
    assert data.class_names == ["cats", "dogs"] and len(data) == 2
    assert data.file_paths == [str(folder / name / f"{number}.png") for name in ("cats", "dogs") for number in range(3)]
    (x, y), (rest, last) = data
    assert x.shape == (4, 8, 8, 3) and y.tolist() == [0, 0, 0, 1] and y.dtype is torch.int32
    assert rest.shape == (2, 8, 8, 3) and last.tolist() == [1, 1]
    assert x[:, 0, 0, 0].tolist() == [0, 10, 20, 0]
    binary = next(iter(read(folder, label_mode="binary")))[1]
    assert binary.shape == (6, 1) and binary.dtype is torch.float32
    assert next(iter(read(folder, label_mode=None))).shape == (6, 4, 4, 3)
    alone = read(folder, labels=None, batch_size=None)
    assert next(iter(alone)).shape == (4, 4, 3) and alone.class_names is None and len(alone) == 6
    assert next(iter(read(folder, labels=[5, 4, 3, 2, 1, 0])))[1].tolist() == [5, 4, 3, 2, 1, 0]
    turned = read(folder, class_names=["dogs", "cats"])
    assert turned.class_names == ["dogs", "cats"] and "dogs" in turned.file_paths[0]


def test_names_are_known_after_other_steps(folder):
    data = read(folder).map(lambda x, y: (x / 255, y)).cache().prefetch(1)
    assert data.class_names == ["cats", "dogs"] and len(data.file_paths) == 6
    assert data.take(1).file_paths is None and data.take(1).class_names == ["cats", "dogs"]


def test_parts_do_not_overlap_and_the_order_changes(folder, capsys):
    settings = {"validation_split": 0.34, "seed": 3, "batch_size": None, "shuffle": True}
    both = read(folder, subset="both", **settings)
    assert isinstance(both, list)
    assert capsys.readouterr().out == "Using 4 files for training.\nUsing 2 files for validation.\n"
    alone = [read(folder, subset=part, **settings) for part in ("training", "validation")]
    assert [one.file_paths for one in both] == [one.file_paths for one in alone]
    assert len(set(both[0].file_paths) | set(both[1].file_paths)) == 6
    training, validation = both

    def order(data):
        return [(x[0, 0, 0].item(), y.item()) for x, y in data]

    rounds = [order(training) for _ in range(5)]
    assert len({str(one) for one in rounds}) > 1 and len({str(sorted(one)) for one in rounds}) == 1
    assert order(validation) == order(validation)
    again = read(folder, subset="both", **settings)[0]
    assert [order(again) for _ in range(5)] == rounds


# --- files that are not what they seem -------------------------------------------------------------


def png_of(width, height):
    """Return a small PNG file that claims a size, and holds nothing else."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def jpeg(**settings):
    content = io.BytesIO()
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype("uint8")).save(
        content, "jpeg", **settings
    )
    return content.getvalue()


BAD = {
    "cut off": (jpeg()[:900], " is damaged: image file is truncated", "Expected a whole image."),
    "text": (b"hello, I am no image", " cannot be read.", "Expected an image: JPEG, PNG, BMP or GIF."),
    "html": (b"<html>404</html>", " is a page of HTML or XML, as servers send in place of a file that they do not have.", "Expected an image: JPEG, PNG, BMP or GIF."),
    "photoshop": (b"8BPS\0\1" + b"\0" * 60, " is a Photoshop file.", "Expected an image: JPEG, PNG, BMP or GIF."),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", " is a PostScript file.", "Expected an image: JPEG, PNG, BMP or GIF."),
    "bomb": (png_of(20000, 20000), " is too large: ", "Expected at most 89,478,485 pixels: a small file can claim a size that fills the memory."),
    "large": (png_of(10000, 10000), " is too large: 10000 x 10000 pixels.", "Expected at most 89,478,485 pixels: a small file can claim a size that fills the memory."),
    "half a PNG": (png_of(50, 50), " is damaged: ", "Expected a whole image."),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bad_files_are_named(folder, kind):
    content, came, expected = BAD[kind]
    path = folder / "cats" / "1.png"
    path.write_bytes(content)
    for call in (lambda: list(read(folder)), lambda: load_img(path) if "JPEG" not in expected else list(read(folder))):
        with pytest.raises(ValueError) as raised:
            call()
        lines = message(raised).split("\n")
        assert lines[0].startswith(f"{path}{came}") and lines[1] == expected and lines[2].startswith("Fix: ")
        assert type(raised.value).__name__ == "ValueError"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bad_files_can_be_left_out_and_are_counted(folder):
    (folder / "cats" / "1.png").write_bytes(b"no")
    (folder / "dogs" / "0.png").write_bytes(png_of(20000, 20000))
    with pytest.warns(UncrumpleWarning) as caught:
        data = read(folder).without_bad_files()
    said = str(caught[0].message)
    assert said.startswith("2 of 6 files cannot be read and are left out: ") and str(folder / "cats" / "1.png") in said
    ((_, y),) = data
    assert y.tolist() == [0, 0, 1, 1] and len(data.file_paths) == 4 and data.class_names == ["cats", "dogs"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.without_bad_files()


def test_empty_files_are_found_before_anything_is_read(folder):
    (folder / "cats" / "1.png").write_bytes(b"")
    with pytest.raises(ValueError) as raised:
        read(folder)
    assert message(raised) == (
        f"image_dataset_from_directory found 1 empty file of 6: {folder / 'cats' / '1.png'}.\n"
        "Expected files with content.\n"
        "Fix: get these anew, or remove them: an interrupted download leaves such files"
    )


def test_names_may_lie_about_common_formats(folder):
    (folder / "cats" / "1.png").write_bytes(jpeg())
    ((x, _),) = read(folder)
    assert x.shape == (6, 4, 4, 3)


def test_cmyk_palettes_and_sixteen_bits(tmp_path):
    random = np.random.RandomState(3)
    cmyk = Image.fromarray(random.randint(0, 256, (5, 5, 4)).astype("uint8"), "CMYK")
    cmyk.save(tmp_path / "cmyk.jpg")
    assert img_to_array(load_img(tmp_path / "cmyk.jpg")).shape == (5, 5, 3)
    palette = Image.fromarray(random.randint(0, 256, (5, 5, 3)).astype("uint8")).convert("P")
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 128]))
    assert load_img(tmp_path / "palette.png", color_mode="rgba").mode == "RGBA"
    deep = random.randint(0, 65536, (5, 5)).astype("uint16")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(img_to_array(load_img(tmp_path / "deep.png"))[:, :, 0], deep >> 8)
    assert np.array_equal(np.asarray(load_img(tmp_path / "deep.png", color_mode="grayscale")), deep)


def test_images_that_lie_on_their_side_are_told_of_once(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(3):
        (folder / "cats" / f"{number}.jpg").write_bytes(jpeg(exif=exif))
    with pytest.warns(UncrumpleWarning) as caught:
        list(read(folder))
    assert len(caught) == 1
    assert "its EXIF data say that it is to be turned; its pixels are read as they are stored." in str(
        caught[0].message
    )
    with pytest.warns(UncrumpleWarning, match="exif_transpose"):
        assert load_img(folder / "cats" / "0.jpg").size == (80, 60)


# --- folders ----------------------------------------------------------------------------------------


def test_folders_that_lack_something(folder):
    (folder / "empty").mkdir()
    (folder / "empty" / "a.webp").write_bytes(b"x")
    with pytest.warns(UncrumpleWarning) as caught:
        data = read(folder)
    assert data.class_names == ["cats", "dogs", "empty"]
    assert str(caught[0].message) == (
        "image_dataset_from_directory: no files in 'empty', which holds 1 .webp.\n"
        "Expected files (.bmp, .gif, .jpeg, .jpg, .png) in each class's folder: this class cannot be learnt.\n"
        "Fix: class_names=['cats', 'dogs'], or add files"
    )
    with pytest.warns(UncrumpleWarning, match="all files have one class"):
        read(folder, class_names=["cats"])
    with pytest.raises(ValueError) as raised:
        read(folder / "cats")
    assert message(raised) == (
        f"image_dataset_from_directory found no files in {folder / 'cats'}; "
        "it holds files, and no folder with files: 3 .png.\n"
        "Expected files ending in .bmp, .gif, .jpeg, .jpg, .png, in a folder for each class.\n"
        "Fix: labels=None for files without labels, or a folder for each class"
    )
    with pytest.raises(FileNotFoundError) as raised:
        read(folder / "catz")
    assert message(raised).split("\n")[2] == f"Fix: did you mean '{folder / 'cats'}'?"


def test_parts_of_a_data_set_are_no_classes(folder):
    (folder / "cats").rename(folder / "train")
    (folder / "dogs").rename(folder / "test")
    with pytest.warns(UncrumpleWarning, match="the classes are called 'test' and 'train', as parts of a data set are"):
        read(folder)


@pytest.mark.parametrize(("settings", "words"), [
    ({"label_mode": "integer"}, "Unknown label_mode: 'integer'.\nExpected one of: binary, categorical, int.\nFix: did you mean 'int'?"),
    ({"color_mode": "grey"}, "Unknown color_mode: 'grey'.\nExpected one of: grayscale, rgb, rgba.\nFix: use one of these names"),
    ({"interpolation": "linear"}, "Unknown interpolation: 'linear'."),
    ({"image_size": (0, 4)}, "image_dataset_from_directory got image_size=(0, 4).\nExpected (height, width), above 0.\nFix: image_size=(180, 180)"),
    ({"validation_split": 0.2}, "image_dataset_from_directory got validation_split=0.2 alone.\nExpected both validation_split and subset, or neither."),
    ({"validation_split": 0.2, "subset": "training", "shuffle": True}, "image_dataset_from_directory got validation_split=0.2 and shuffle=True without a seed.\nExpected a seed: without one, files could be in the training and in the validation part.\nFix: seed=0"),
    ({"validation_split": 0.01, "subset": "training"}, "image_dataset_from_directory got validation_split=0.01 of 6 files, which is not one file."),
    ({"subset": "train", "validation_split": 0.2}, "Unknown subset: 'train'."),
    ({"labels": "folder"}, "image_dataset_from_directory got labels='folder'."),
    ({"labels": [0, 1]}, "image_dataset_from_directory got 2 labels, and "),
    ({"class_names": ["cats", "birds"]}, "image_dataset_from_directory got class_names=['cats', 'birds'], and there is no folder 'birds'."),
    ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "image_dataset_from_directory got crop_to_aspect_ratio and pad_to_aspect_ratio."),
    ({"labels": [0, 1, 2, 0, 1, 2], "label_mode": "binary"}, 'image_dataset_from_directory got label_mode="binary" with 3 classes: 0, 1, 2.'),
    ({"batch_size": 0}, "image_dataset_from_directory got batch_size=0."),
    ({"format": "torch"}, "image_dataset_from_directory: Unknown format: 'torch'."),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")  # fmt: skip
def test_impossible_arguments(folder, settings, words):
    with pytest.raises(ValueError) as raised:
        read(folder, **settings)
    assert message(raised).startswith(words) and len(message(raised).split("\n")) == 3


# --- arrays -----------------------------------------------------------------------------------------


def test_more_than_255_shades_of_gray_are_written_in_sixteen_bits(tmp_path):
    x = np.random.RandomState(0).randint(0, 60000, (4, 5, 1))
    save_img(tmp_path / "x.png", x, scale=False)
    assert np.array_equal(np.asarray(load_img(tmp_path / "x.png", color_mode="grayscale")), x[:, :, 0])


def test_what_arrays_and_images_cannot_be():
    with pytest.raises(ValueError) as raised:
        array_to_img(np.zeros((2, 4, 4, 3)))
    assert message(raised).endswith("Fix: array_to_img(x[0]) for the first of several images")
    with pytest.raises(ValueError, match="5 channels"):
        array_to_img(np.zeros((4, 4, 5)))
    with pytest.raises(ValueError, match="data_format='last'"):
        img_to_array(array_to_img(np.zeros((4, 4, 3))), data_format="last")
    with pytest.raises(TypeError, match="load_img got a int"):
        load_img(3)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_img("nowhere.png")
    with pytest.raises(ValueError, match="Expected \\(height, width\\)"):
        smart_resize(np.zeros((4, 4, 3)), 5)
    with pytest.warns(UncrumpleWarning, match="JPEG has no transparency"):
        save_img(io.BytesIO(), np.zeros((4, 4, 4)), file_format="jpg")
