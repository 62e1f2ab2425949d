"""Files that are taken for text and are none, NumPy files that hold no array, and files in other encodings."""

import numpy as np
import pytest

from uncrumple.data import Series, Table, Text
from uncrumple.data.kinds import from_any


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"PK\x03\x04\x14\0", "is a zip archive or an Excel sheet."),
        (b"\xd0\xcf\x11\xe0\xa1", "is an Excel sheet or a Word document."),
        (b"%PDF-1.7", "is a PDF document."),
        (b"\x89PNG\r\n", "is a PNG picture."),
        (b"\xff\xd8\xff\xe0", "is a JPEG picture."),
        (b"\x1f\x8b\x08", "is packed with gzip."),
        (b"PAR1\x15", "is a Parquet table."),
    ],
    ids=["zip", "excel", "pdf", "png", "jpeg", "gzip", "parquet"],
)
def test_what_is_no_text_is_named(start, said, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(start + bytes(range(256)))
    for read in (Table, Text):
        with pytest.raises(ValueError, match=f"^rows.csv {said}\nExpected a CSV or text file.\nFix: "):
            read(path)


def test_an_empty_text_is_called_so(tmp_path):
    (tmp_path / "verse.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"^verse.txt is empty.\nExpected a text to learn from.\nFix: check the file$"):
        Text(tmp_path / "verse.txt")


def test_a_numpy_file_without_an_array_is_an_error_with_words(tmp_path):
    for name, content, said in (
        ("text.npy", b"no array", "it holds no array of numbers."),
        ("cut.npy", b"\x93NUMPY\x01\0", "cannot be read: "),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"Fix: np\.save") as raised:
            from_any(tmp_path / name)
        assert said in str(raised.value)
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="it holds no array of numbers"):
        from_any(tmp_path / "objects.npy")
    np.savez(tmp_path / "several", a=np.zeros(3))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    with pytest.raises(ValueError, match="holds several arrays"):
        from_any(tmp_path / "several.npy")


def test_the_answer_that_is_not_finite_is_the_one_that_is_named():
    rows = {"a": [1.5, 2.5, 3.0, 1.0], "y": [0.5, 1.5, float("inf"), 2.5]}
    with pytest.raises(
        ValueError, match=r"and answers such as inf.\nExpected finite numbers.\nFix: leave out the rows"
    ):
        Table(rows, target="y", task="regression")


def test_new_rows_are_read_in_the_encoding_that_is_named(tmp_path):
    path, words = tmp_path / "rows.csv", ["schön", "groß"] * 10
    path.write_bytes(
        "\n".join(["said,town,size", *(f"{one},{one},{place}.5" for place, one in enumerate(words))]).encode("cp1252")
    )
    rows = Table({"town": words, "size": np.arange(20) + 0.5}).preparation().read(path, encoding="cp1252")
    assert rows["town"].tolist() == words
    texts = Text(words, ["a", "b"] * 10).preparation()
    assert texts.read(path, text="said", encoding="cp1252").tolist() == words
    (tmp_path / "one.txt").write_bytes("schön".encode("cp1252"))
    assert texts.read(tmp_path / "one.txt", encoding="cp1252").tolist() == ["schön"]
    assert texts.read(tmp_path, encoding="cp1252").tolist() == ["schön"]
    steps = Series({"size": np.arange(20) + 0.5}, past=3).preparation()
    assert steps.read(path, encoding="cp1252")[0, :, 0].tolist() == [17.5, 18.5, 19.5]
    for preparation in (texts, steps):
        with pytest.raises(ValueError, match="is not UTF-8"):
            preparation.read(path)
