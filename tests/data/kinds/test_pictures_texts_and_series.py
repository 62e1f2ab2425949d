"""Pictures of any size and mode, texts in all their forms, windows over time."""

import gzip

import numpy as np
import pytest
from PIL import Image

import uncrumple as uc
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.data import Images, Series, Table, Text, from_any, split

# --- pictures --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Two classes, files of several sizes, modes and formats."""
    random = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / name).mkdir()
        for number in range(6):
            size = (20 + 5 * number, 30)
            pixels = np.clip(random.normal(level, 10, (*size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.{'png' if number % 2 else 'jpg'}")
    return tmp_path


def test_a_folder_for_each_class(folder):
    pictures = Images(folder, size=(16, 12))
    assert pictures.shape_in_words() == "(12, 16, 12, 3): samples, height, width, channels"
    assert pictures.raw.dtype == np.uint8 and pictures.class_names == ("dark", "light")
    assert pictures.y.tolist() == [0] * 6 + [1] * 6
    assert pictures.raw[:6].mean() < 60 and pictures.raw[6:].mean() > 180
    assert pictures.picture(7).size == (12, 16)
    some = Images(folder, size=(16, 12)).take([7, 1])  # before anything is read
    np.testing.assert_array_equal(some.raw, pictures.raw[[7, 1]])
    assert some.files[0].endswith("1.png")


def test_the_size_is_that_of_the_files_or_said(folder):
    assert Images(folder).shape == (12, 96, 96, 3)
    assert "Files from 30 x 20 to 30 x 45 pixels are read at 96 x 96." in Images(folder).notes
    files = [folder / "dark" / "0.jpg", folder / "light" / "0.jpg"]
    assert Images(files, ["a", "b"]).shape == (2, 20, 30, 3)


@pytest.mark.parametrize("fit", ["squeeze", "crop", "pad"])
def test_proportions(tmp_path, fit):
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 255  # a white square in the middle
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    made = Images([tmp_path / "wide.png"], size=(12, 12), fit=fit, color="grayscale").raw[0, :, :, 0]
    white = (made > 128).sum(axis=1)
    expected = {"squeeze": [4] * 12, "crop": [12] * 12, "pad": [0] * 4 + [4] * 4 + [0] * 4}[fit]
    assert white.tolist() == expected


def test_modes(tmp_path):
    deep = np.full((8, 8), 40000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:, 4:, 3] = 255  # black on the right, nothing on the left
    Image.fromarray(clear).save(tmp_path / "clear.png")
    turned = Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 8, axis=0).repeat(4, axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.zeros((8, 8), np.uint8)).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).convert("1").save(tmp_path / "bits.png")
    names = ["deep", "clear", "turned", "palette", "bits"]
    made = Images([tmp_path / f"{name}.png" for name in names], size=(8, 8), color="grayscale").raw[..., 0]
    assert np.all(made[0] == 40000 >> 8)
    assert np.all(made[1, :, :4] == 255) and np.all(made[1, :, 4:] == 0)
    assert made[2, 0].max() <= 1 and made[2, -1].min() >= 254  # what was right is below
    assert not made[3:].any()
    assert Images([tmp_path / "deep.png"]).shape == (1, 8, 8, 1)


def test_damaged_files_are_named_or_counted(folder):
    (folder / "dark" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 40)
    with pytest.raises(ValueError, match=r"broken\.png"):
        _ = Images(folder, size=(8, 8), color="rgb").raw
    with pytest.warns(UncrumpleWarning, match="Left out 1 of 13 files that cannot be read"):
        pictures = Images(folder, size=(8, 8), skip_damaged=True)
    assert len(pictures) == 12 and pictures.y.tolist() == [0] * 6 + [1] * 6
    assert "Left out 1 of 13" in pictures.notes[0]


def test_arrays_and_idx_files(tmp_path):
    def idx(array, kind=8):
        return bytes([0, 0, kind, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()

    x, y = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4), np.array([0, 1, 0, 1, 1], np.uint8)
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(x)))
    (tmp_path / "y.idx").write_bytes(idx(y))
    one, two = Images(x, y), Images(tmp_path / "x.gz", tmp_path / "y.idx")
    assert one.fingerprint == two.fingerprint and one.shape == (5, 4, 4, 1)
    assert Images(np.zeros((3, 2, 4, 4, 3)), [0, 1, 0]).shape_in_words().endswith("frames, height, width, channels")
    with pytest.raises(ValueError, match="5 pictures and 4 labels"):
        Images(x, y[:4])
    with pytest.raises(ValueError, match="'squeeze'"):
        Images(x, y, fit="squeze")
    with pytest.raises(ValueError, match="Images got float64 values of shape"):
        Images(np.zeros((3, 4)))


def test_pixels_are_scaled_by_the_training_rows(folder):
    pictures = Images(folder, size=(40, 40))
    preparation = pictures.preparation(np.arange(4))
    pixels = pictures.raw[:4].reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(preparation.mean, pixels.mean(axis=0))
    np.testing.assert_allclose(preparation.variance, pixels.var(axis=0))
    made = preparation.prepare(pictures.raw)
    np.testing.assert_allclose(made, (pictures.raw - pixels.mean(0)) / pixels.std(0), rtol=1e-4, atol=1e-4)
    assert pictures.matrix(preparation).shape == (12, 32 * 32 * 3)  # made smaller for classical models
    np.testing.assert_array_equal(preparation.read([pictures.files[3]]), pictures.raw[3:4])
    np.testing.assert_array_equal(preparation.read(folder), pictures.raw)
    with pytest.raises(ValueError, match=r"Expected \(samples, 40, 40, 3\)"):
        preparation.read(np.zeros((2, 8, 8, 3)))


# --- texts -----------------------------------------------------------------------------------

PLAY = "".join(
    f"{who}:\n{said}\nThus {who.lower()} said:\nmore {number}.\n\n"
    for number in range(10)
    for who, said in (("FIRST LORD", "My horse, my crown."), ("QUEEN", "O gentle night."), ("PAGE", "Here."))
)


def test_who_said_it(tmp_path):
    (tmp_path / "play.txt").write_text(PLAY + "HERALD:\nOnce.\n", newline="\r\n")
    texts = Text(tmp_path / "play.txt", speakers=True, most_speakers=2)
    assert texts.class_names == ("FIRST LORD", "PAGE") and len(texts) == 20
    # A line of verse that ends in a colon begins no speech.
    assert texts.raw[0] == "My horse, my crown.\nThus first lord said:\nmore 0."
    assert texts.notes == ("Left out 11 speeches of 2 who speak less often (most_speakers=2).",)
    assert texts.target == "who says it" and not any("LORD" in text for text in texts.raw)
    (tmp_path / "prose.txt").write_text("no one speaks here " * 40)
    with pytest.raises(ValueError, match="fewer than two speakers"):
        Text(tmp_path / "prose.txt", speakers=True)


def test_texts_from_folders_tables_and_lists(tmp_path):
    for name in ("bad", "good"):
        (tmp_path / "reviews" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "reviews" / name / f"{number}.txt").write_text(f"{name} film number {number}")
    (tmp_path / "reviews.csv").write_text("review,stars,by\n" + "good film,5,a\nbad film,1,b\n,3,c\n" * 6)
    assert from_any(tmp_path / "reviews").class_names == ("bad", "good")
    table = from_any(tmp_path / "reviews.csv", text="review", target="stars", groups="by")
    assert isinstance(table, Text) and len(table) == 12 and table.class_names == ("1", "5")
    assert table.groups.tolist()[:2] == ["a", "b"]
    assert "Left out 6 rows without a text or an answer." in table.notes
    assert Text(["a b", "c"], [0.5, 1.25]).task == "regression"
    with pytest.raises(ValueError, match="'review'"):
        Text(tmp_path / "reviews.csv", text="reviews", target="stars")
    with pytest.raises(ValueError, match="2 texts and 1 labels"):
        Text(["a", "b"], ["x"])


def test_the_vocabulary_comes_from_the_training_rows():
    texts = Text(["The cat sat.", "the dog ran", "a cat ran!", "zebra zebra zebra"], ["x", "y", "x", "y"])
    preparation = texts.preparation([0, 1, 2])
    assert preparation.vocabulary == ["cat", "ran", "the", "a", "dog", "sat"]
    assert preparation.prepare(texts.raw)[3].tolist() == [1, 1, 1]
    matrix = texts.matrix(preparation)
    assert matrix.shape == (4, 6) and not matrix[3].any()
    np.testing.assert_allclose(np.linalg.norm(matrix[:3], axis=1), 1, rtol=1e-6)
    weights = np.array(preparation.rarity)
    expected = np.array([0, 0, 0, 0, 0, 0], float)
    expected[[0, 2, 5]] = weights[[0, 2, 5]]
    np.testing.assert_allclose(matrix[0], expected / np.linalg.norm(expected), rtol=1e-5)
    assert weights[5] == pytest.approx(np.log(4 / 2) + 1) and weights[0] == pytest.approx(np.log(4 / 3) + 1)


def test_a_text_without_a_word_is_one_unknown_word():
    texts = Text(["a good film", "so bad", "...", ""], ["yes", "no", "yes", "no"])
    preparation = texts.preparation([0, 1, 2])
    assert preparation.prepare(texts.raw).tolist()[2:] == [[1, 0, 0], [1, 0, 0]]
    assert preparation.restore(preparation.prepare(["?!"])).tolist() == ["[UNK]"]
    inputs = preparation.inputs()
    words = uc.layers.Embedding(preparation.vocabulary_size, 4, mask_zero=True)(preparation(inputs))
    means = uc.Model(inputs, uc.layers.GlobalAveragePooling1D()(words))
    assert np.isfinite(means.predict(texts.raw, verbose=0)).all()  # a row that is masked as a whole has no mean


def test_language(tmp_path):
    (tmp_path / "verse.txt").write_text("to be or not to be " * 30)
    text = from_any(tmp_path / "verse.txt", steps=10)
    assert text.task == "language" and text.shape_in_words() == "(56, 10): samples, characters"
    assert "".join(text.class_names) == " benort"
    # The answer to each character is the next one, across the borders too.
    assert not any(line.startswith("times") for line in text.describe())
    assert text.raw[0] == "to be or n" and text.decode(text.y[:1]).tolist() == ["o be or no"]
    assert text.raw[1][0] == text.decode(text.y[:1])[0][-1]
    parts = split(text)
    assert parts.train.times.max() < parts.validation.times.min() < parts.peek("test").times.min()
    preparation = text.preparation(parts.rows.train)
    assert preparation.prepare(text.raw).shape == (56, 10) and preparation.vocabulary == list(" benort")
    with pytest.raises(ValueError, match="has no matrix"):
        text.matrix(preparation)
    with pytest.raises(ValueError, match="has 570 characters"):
        Text(tmp_path / "verse.txt", steps=300)


def test_text_in_another_encoding_is_named_by_byte(tmp_path):
    (tmp_path / "verse.txt").write_bytes(b"caf\xe9 " * 100)
    with pytest.raises(ValueError, match=r"verse.txt, line 1: byte 3 \(0xe9\) is not UTF-8"):
        Text(tmp_path / "verse.txt")
    assert Text(tmp_path / "verse.txt", encoding="latin-1", steps=5).raw[0] == "café "


# --- series ----------------------------------------------------------------------------------


def test_windows_and_what_came_next():
    series = Series(
        {"a": np.arange(20.0), "b": np.arange(20.0) * 10, "name": ["x"] * 20}, "b", past=4, future=2, stride=3
    )
    assert series.shape == (5, 4, 2) and series.y.shape == (5, 2)
    assert series.raw[1, :, 0].tolist() == [3, 4, 5, 6] and series.y[1].tolist() == [70, 80]
    assert series.target == "b in the next 2 steps"
    assert "Left out the column 'name': it holds no numbers." in series.notes


def test_windows_are_divided_by_time_and_overlap_nowhere():
    series = Series(np.arange(100.0), past=5, future=4)
    parts = split(series, validation=0.2, test=0.2)
    train, validation, test = parts.train, parts.validation, parts.test
    assert train.y.max() < validation.y.min() and validation.y.max() < test.y.min()
    assert parts.in_words().endswith("in the order of time, 6 rows at the borders in no part")


def test_gaps_in_a_series():
    values = np.arange(30.0)
    values[[3, 20]] = np.nan
    series = Series(values, past=3)
    assert np.isnan(series.raw).any() and np.isfinite(series.y).all()
    assert "Left out 2 windows whose answers have gaps." in series.notes
    made = series.preparation(np.arange(6)).prepare(series.raw)
    assert made.shape == (25, 3, 2) and np.isfinite(made).all()
    np.testing.assert_array_equal(made[..., 1], np.isnan(series.raw[..., 0]))


def test_time_must_not_run_backwards():
    table = {"when": ["2024-01-01", "2024-01-03", "2024-01-02"], "x": [1, 2, 3]}
    with pytest.raises(ValueError, match="the time in row 2 is before that of the row above"):
        Series(table, past=1, time="when")
    with pytest.raises(ValueError, match="3 steps for windows of past=3 and future=1"):
        Series([1.0, 2.0, 3.0], past=3)


def test_windows_that_are_cut_already():
    series = Series(np.zeros((6, 5, 2)), y=["walk", "run"] * 3)
    assert series.task == "classification" and series.class_names == ("run", "walk") and series.times is None
    assert series.preparation().read(np.ones((9, 2))).shape == (1, 5, 2)


# --- whatever it is --------------------------------------------------------------------------


def test_from_any(folder, tmp_path):
    assert isinstance(from_any(folder), Images)
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n2,3\n4,9\n")
    assert isinstance(from_any(tmp_path / "rows.csv", target="b"), Table)
    assert isinstance(from_any(tmp_path / "rows.csv", target="b", past=1), Series)
    (tmp_path / "rows.txt").write_text("a,b\n1,2\n2,3\n4,9\n")
    assert isinstance(from_any(tmp_path / "rows.txt", target="b"), Table)
    assert isinstance(from_any(np.random.default_rng(0).normal(size=(4, 3))), Table) and isinstance(
        from_any(np.zeros((4, 8, 8))), Images
    )
    assert isinstance(from_any(["a b", "c d"], labels=["x", "y"]), Text)
    assert isinstance(from_any([folder / "dark" / "0.jpg"]), Images)
    with pytest.raises(FileNotFoundError, match=r"did you mean '.*rows\.csv'"):
        from_any(tmp_path / "rowss.csv")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.pdf").write_bytes(b"%PDF")
    with pytest.raises(ValueError, match=r"holds no pictures and no texts, but 1 \*\.pdf"):
        from_any(tmp_path / "other")
    with pytest.raises(ValueError, match="is one picture"):
        from_any(folder / "dark" / "0.jpg")
