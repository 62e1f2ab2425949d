"""IDX files: what is right is read, what is wrong is refused in words, and no size is believed."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncrumple.data.idx import read_idx


def idx(array, code, dtype):
    return (
        bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(dtype).tobytes()
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_every_number_type_is_read(tmp_path, code, dtype, packed):
    array = np.arange(24).reshape(2, 3, 4)
    content = idx(array, code, dtype)
    path = tmp_path / "numbers"  # the name says nothing about the packing
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    found = read_idx(path)
    assert found.shape == (2, 3, 4)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    assert found.dtype.isnative
    assert np.array_equal(found, array)


def test_the_array_can_be_written_to(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(idx(np.arange(3), 8, ">u1"))
    found = read_idx(path)
    found[0] = 9
    assert found.tolist() == [9, 1, 2]


def test_a_web_page_is_named_for_what_it_is(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError) as caught:
        read_idx(path)
    assert str(caught.value) == (
        "labels.gz: not an IDX file; it starts with the bytes 3c 68 74 6d.\n"
        "Expected 00 00, a number type (08 to 0e), and 1 to 8 axes.\n"
        "Fix: download the file again; a web page saved under its name starts with 3c."
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x08", "not an IDX file"),
        (b"\x00\x00\x07\x01\x00\x00\x00\x01\x05", "not an IDX file"),
        (b"\x00\x00\x08\x00", "not an IDX file"),
        (b"\x00\x00\x08\xff" + b"\x00\x00\x00\x01" * 255, "not an IDX file"),
        (b"\x00\x00\x08\x02\x00\x00\x00\x01", "ends within its header"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x00", "claims the shape (0,)"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05\x01\x02", "claims 5 bytes, but 2 follow"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01\x01\x02", "claims 1 bytes, but more follow"),
        (b"\x00\x00\x08\x03" + b"\xff\xff\xff\xff" * 3, "claims the shape (4294967295, 4294967295, 4294967295)"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x03\x01\x02\x03", mtime=0)[:-6], "gzip packing is damaged"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05\x01\x02", mtime=0), "claims 5 bytes, but 2 follow"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, content, said):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_idx(path)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_large_claim_takes_no_memory(tmp_path, packed):
    content = b"\x00\x00\x08\x02" + struct.pack(">2I", 30000, 30000) + b"\x01" * 100
    path = tmp_path / "liar"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    tracemalloc.start()
    with pytest.raises(ValueError, match="claims 900,000,000 bytes, but 100 follow"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


def test_a_gzip_bomb_is_read_no_further_than_its_header_claims(tmp_path):
    content = b"\x00\x00\x08\x01\x00\x00\x00\x0a" + b"\x00" * 200_000_000
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(content, 1, mtime=0))
    tracemalloc.start()
    with pytest.raises(ValueError, match="claims 10 bytes, but more follow"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


def test_the_limit_can_be_set(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(idx(np.arange(11), 8, ">u1"))
    with pytest.raises(ValueError, match="Expected from 1 to 10 bytes"):
        read_idx(path, most_bytes=10)
    assert len(read_idx(path, most_bytes=11)) == 11


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_comes_is_read_or_refused_with_a_value_error(tmp_path_factory, data):
    """Cut short, changed anywhere, packed or not: never another exception, never a wrong size."""
    whole = idx(np.arange(60).reshape(3, 4, 5), 8, ">u1")
    content = bytearray(gzip.compress(whole, mtime=0) if data.draw(st.booleans()) else whole)
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(bytes(content))
    try:
        found = read_idx(path)
    except ValueError as problem:
        assert len(str(problem).splitlines()) == 3
    else:
        assert found.nbytes <= 60
