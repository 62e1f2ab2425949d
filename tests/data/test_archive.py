"""Archives from somewhere else: unpacked as a whole, or refused as a whole with nothing left behind."""

import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from uncrumple.data.archive import archive_kind, is_unpacked, unpack

CONTENT = {"photos/a.txt": b"one", "photos/deep/b.bin": bytes(range(256)), "c": b""}


def make_tar(path, members, mode="w:gz"):
    """Write a tar of TarInfo objects, each with its content."""
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


def tar_file(name, content=b"x", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def zip_entry(name, kind):
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def tree(folder):
    return {
        os.path.relpath(os.path.join(place, name), folder): Path(os.path.join(place, name)).read_bytes()
        for place, _, names in os.walk(folder)
        for name in names
    }


def good(tmp_path, kind):
    if kind == "zip":
        return make_zip(tmp_path / "a.zip", [("photos/", b""), *CONTENT.items()])
    folder = tarfile.TarInfo("photos")
    folder.type = tarfile.DIRTYPE
    members = [(folder, b""), *[tar_file(name, content) for name, content in CONTENT.items()]]
    return make_tar(tmp_path / "a.tar", members, "w:" + kind.removeprefix("tar").removeprefix("."))


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_an_archive_is_unpacked(tmp_path, kind):
    path = good(tmp_path, kind)
    found = archive_kind(path)
    assert found == kind.split(".")[0]
    assert not is_unpacked(path, tmp_path / "out", found)
    unpack(path, tmp_path / "out", found)
    assert tree(tmp_path / "out") == CONTENT
    assert is_unpacked(path, tmp_path / "out", found)
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, "out"])
    (tmp_path / "out" / "photos" / "a.txt").write_bytes(b"changed")
    assert not is_unpacked(path, tmp_path / "out", found)


def test_what_a_folder_had_stays(tmp_path):
    path = good(tmp_path, "tar.gz")
    (tmp_path / "out" / "photos").mkdir(parents=True)
    (tmp_path / "out" / "photos" / "mine.txt").write_bytes(b"mine")
    (tmp_path / "out" / "photos" / "a.txt").write_bytes(b"old")
    unpack(path, tmp_path / "out", "tar")
    assert tree(tmp_path / "out") == {**CONTENT, "photos/mine.txt": b"mine"}


def test_modes_of_an_archive_are_not_taken_over(tmp_path):
    path = make_tar(tmp_path / "a.tgz", [tar_file("run", mode=0o6777)])
    unpack(path, tmp_path / "out", "tar")
    assert stat.S_IMODE(os.stat(tmp_path / "out" / "run").st_mode) & 0o6111 == 0


def link(name, target, kind=tarfile.SYMTYPE):
    return tar_file(name, b"", type=kind, linkname=target)


def path_max_chain():
    """A chain of links whose real path is longer than the system takes: `filter="data"` was escaped with it."""
    step, name, members = "d" * 200, "", []
    for letter in "abcdefghijklmnop":
        folder = tarfile.TarInfo(os.path.join(name, step))
        folder.type = tarfile.DIRTYPE
        members += [(folder, b""), link(os.path.join(name, letter), step)]
        name = os.path.join(name, letter)
    members.append(link(os.path.join(name, "l" * 200), "../" * 16))
    return [*members, link("escape", os.path.join(name, "l" * 200) + "/../../../etc"), tar_file("escape/passwd")]


HOSTILE_TARS = {
    "parent": [tar_file("../evil")],
    "parent inside": [tar_file("a/../../evil")],
    "absolute": [tar_file("/tmp/uncrumple_evil")],
    "backslashes": [tar_file("..\\evil")],
    "drive": [tar_file("C:evil")],
    "symlink out": [link("out", "/etc")],
    "symlink within": [tar_file("a"), link("b", "a")],
    "write through a symlink": [link("out", "/tmp"), tar_file("out/uncrumple_evil")],
    "hard link": [link("passwd", "/etc/passwd", tarfile.LNKTYPE)],
    "hard link within": [tar_file("a"), link("b", "a", tarfile.LNKTYPE)],
    "device": [tar_file("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "block device": [tar_file("disk", b"", type=tarfile.BLKTYPE)],
    "pipe": [tar_file("pipe", b"", type=tarfile.FIFOTYPE)],
    "path max chain": path_max_chain(),
    "twice": [tar_file("a", b"1"), tar_file("a", b"2")],
    "twice in other words": [tar_file("a", b"1"), tar_file("./a", b"2")],
    "file and folder": [tar_file("a", b"1"), tar_file("a/b", b"2")],
    "folder and file": [tar_file("a/b", b"1"), tar_file("a", b"2")],
    "long name": [tar_file("n" * 300)],
    "long path": [tar_file("/".join(["n" * 100] * 50))],
    "last of many": [*[tar_file(str(number)) for number in range(20)], tar_file("../evil")],
}


@pytest.mark.parametrize("name", HOSTILE_TARS)
def test_a_hostile_tar_is_refused_as_a_whole(tmp_path, name):
    path = make_tar(tmp_path / "a.tgz", HOSTILE_TARS[name])
    with pytest.raises(ValueError, match="was not unpacked: "):
        unpack(path, tmp_path / "out", "tar")
    assert os.listdir(tmp_path) == ["a.tgz"]
    assert not os.path.exists("/tmp/uncrumple_evil")


HOSTILE_ZIPS = {
    "parent": [("../evil", "x")],
    "absolute": [("/tmp/uncrumple_evil", "x")],
    "backslashes": [("..\\evil", "x")],
    "symlink": [(zip_entry("out", stat.S_IFLNK), "/etc")],
    "device": [(zip_entry("null", stat.S_IFCHR), "")],
    "pipe": [(zip_entry("pipe", stat.S_IFIFO), "")],
    "write through a symlink": [(zip_entry("out", stat.S_IFLNK), "/tmp"), ("out/uncrumple_evil", "x")],
    "file and folder": [("a", "1"), ("a/b", "2")],
    "long name": [("n" * 300, "x")],
    "last of many": [*[(str(number), "x") for number in range(20)], ("../evil", "x")],
}


@pytest.mark.parametrize("name", HOSTILE_ZIPS)
def test_a_hostile_zip_is_refused_as_a_whole(tmp_path, name):
    path = make_zip(tmp_path / "a.zip", HOSTILE_ZIPS[name])
    with pytest.raises(ValueError, match="was not unpacked: "):
        unpack(path, tmp_path / "out", "zip")
    assert os.listdir(tmp_path) == ["a.zip"]
    assert not os.path.exists("/tmp/uncrumple_evil")


def test_the_whole_message(tmp_path):
    path = make_tar(tmp_path / "a.tgz", [tar_file("../evil")])
    with pytest.raises(ValueError) as caught:
        unpack(path, tmp_path / "out", "tar")
    assert str(caught.value) == (
        f"{path} was not unpacked: its member '../evil' would be written outside of the folder.\n"
        "Expected regular files below one folder, and nothing else.\n"
        "Fix: get the archive again from its publisher; if it is right, unpack it by hand into a folder of its own"
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_in_a_zip(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a", "1"), ("a", "2")])
    with pytest.raises(ValueError, match="'a' is in it twice"):
        unpack(path, tmp_path / "out", "zip")


def test_a_locked_zip(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a", "1")])
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="locked with a password"):
        unpack(path, tmp_path / "out", "zip")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    """2 GB of zeros that take 2 MB packed: the header says so, and nothing is written."""
    path = make_zip(tmp_path / "a.zip", [("zeros", b"\0" * 1_000_000)])
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<I", (1 << 32) - 2)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"its .* would become more than 4.00 GB"):
        unpack(path, tmp_path / "out", "zip")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_file_that_is_longer_than_its_header_says(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("zeros", b"\0" * 1_000_000)])
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = content.index(mark) + place
        content[at : at + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="was not unpacked"):
        unpack(path, tmp_path / "out", "zip")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_huge_header_of_a_tar(tmp_path):
    info, _ = tar_file("a")
    info.pax_headers = {"comment": "c" * (1 << 23)}
    with tarfile.open(tmp_path / "a.tgz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="one of its headers is too long"):
        unpack(tmp_path / "a.tgz", tmp_path / "out", "tar")


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "zip"])
def test_a_cut_or_damaged_archive_leaves_nothing(tmp_path, kind):
    path = good(tmp_path, kind)
    whole = path.read_bytes()
    middle = 700 if kind == "tar" else len(whole) // 2  # after that, a tar is filled up with zeros
    for broken in (whole[:middle], whole[: middle - 60] + b"\xff" * 40 + whole[middle - 20 :]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="was not unpacked"):
            unpack(path, tmp_path / "out", kind.split(".")[0])
        assert os.listdir(tmp_path) == [path.name]


def test_a_full_disk_is_seen_beforehand(tmp_path, monkeypatch):
    path = good(tmp_path, "tar.gz")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100})())
    with pytest.raises(ValueError, match=r"and the disk has 100.00 B"):
        unpack(path, tmp_path / "out", "tar")


def test_a_link_in_the_folder_is_not_followed_out(tmp_path):
    path = good(tmp_path, "tar.gz")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photos").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link that leads out of"):
        unpack(path, tmp_path / "out", "tar")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a").write_bytes(b"only words, " * 100)
    (tmp_path / "b").write_bytes(b"")
    assert archive_kind(tmp_path / "a") is None
    assert archive_kind(tmp_path / "b") is None
    assert archive_kind(good(tmp_path, "zip"), ("tar",)) is None
