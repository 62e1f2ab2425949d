"""`utils.get_file` against a local server that behaves badly."""

import gzip
import hashlib
import io
import multiprocessing
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

import local_server
from uncrumple.data import download
from uncrumple.data import get_file as module
from uncrumple.data.get_file import get_file

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
PAGE = b"\n<!DOCTYPE html><html>Please log in</html>"


def tar(**files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"photos/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


TAR = tar(a=b"one", b=b"two")


class Server:
    def __init__(self):
        self.asked = []
        outer = self

        class Handler(local_server.Handler):
            protocol_version = "HTTP/1.0"

            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
                getattr(self, "serve_" + self.path.strip("/").split(".")[0])(self.first_byte())

            def send(self, content, start=0, most=None, length=True, **headers):
                self.head(content, start, None if length else False, **headers)
                self.wfile.write(content[start : None if most is None else start + most])

            def serve_good(self, start):
                self.send(CONTENT, start)

            def serve_breaks(self, start):
                self.send(CONTENT, start, 100_000)

            def serve_tagged(self, start):  # goes on with the same version only
                same = self.headers.get("If-Range") == '"one"'
                self.send(CONTENT, start if same else 0, 100_000, ETag='"one"')

            def serve_changes(self, start):  # breaks off once; meanwhile the file has changed
                first = len(outer.asked) == 1
                self.send(CONTENT if first else CONTENT[::-1], 0, 100_000 if first else None, ETag='"one"')

            def serve_page(self, start):
                self.send(PAGE)

            def serve_wrong(self, start):
                self.send(CONTENT[:-1] + b"x", start)

            def serve_endless(self, start):
                self.send(CONTENT, length=False)

            def serve_empty(self, start):
                self.send(b"")

            def serve_archive(self, start):
                self.send(outer.archive, start)

            def serve_round(self, start):
                self.send_response(302)
                self.send_header("Location", "/round")
                self.end_headers()

            def serve_file(self, start):
                self.send_response(302)
                self.send_header("Location", "file:///etc/hostname")
                self.end_headers()

            def serve_error(self, start):
                self.send_error(500)

        self.archive = TAR
        self.handler = Handler


@pytest.fixture
def server(monkeypatch, tmp_path):
    local_server.go_straight(monkeypatch)
    local_server.keep_below(monkeypatch, tmp_path)
    made = Server()
    with local_server.serving(made.handler) as made.address:
        yield made


def left(folder):
    """Every file below a folder."""
    return sorted(
        os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names
    )


def test_a_file_is_downloaded_once(server, tmp_path, capsys):
    path = get_file(origin=f"{server.address}/good.bin")
    assert path == str(tmp_path / "data" / "datasets" / "good.bin")
    assert Path(path).read_bytes() == CONTENT
    assert capsys.readouterr().out == "Downloading http://127.0.0.1/good.bin\n"
    assert get_file(origin=f"{server.address}/good.bin") == path
    assert len(server.asked) == 1
    assert get_file(origin=f"{server.address}/good.bin", force_download=True) == path
    assert len(server.asked) == 2
    assert left(tmp_path / "data") == ["datasets/good.bin"]


def test_where_it_is_kept(server, tmp_path):
    origin = f"{server.address}/good.bin"
    assert get_file("name", origin, cache_subdir="sub") == str(tmp_path / "data" / "sub" / "name")
    assert get_file("name", origin, cache_dir=tmp_path / "here") == str(tmp_path / "here" / "datasets" / "name")
    elsewhere = str(tmp_path / "elsewhere")
    assert get_file("name", origin, cache_subdir=elsewhere) == os.path.join(elsewhere, "name")


@pytest.mark.parametrize(
    "given",
    [
        {"file_hash": SHA256},
        {"file_hash": MD5},
        {"file_hash": SHA256.upper()},
        {"file_hash": MD5, "hash_algorithm": "md5"},
        {"file_hash": SHA256, "hash_algorithm": "sha256"},
        {"md5_hash": MD5},
        {"md5_hash": "0" * 32, "file_hash": SHA256},
    ],
    ids=range(7),
)
def test_checksums(server, given):
    assert Path(get_file("a", f"{server.address}/good", **given)).read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["wrong", "page", "endless_wrong", "empty", "round", "error", "file"])
def test_a_bad_file_leaves_nothing_behind(server, tmp_path, path):
    """And the next call without a checksum does not get it either."""
    given = {"file_hash": "0" * 64 if path == "endless_wrong" else SHA256}
    with pytest.raises(ConnectionError):
        get_file("a", f"{server.address}/{path.removesuffix('_wrong')}", **given)
    assert left(tmp_path / "data") == []
    server.asked.clear()
    get_file("a", f"{server.address}/good")
    assert len(server.asked) == 1


def test_a_wrong_file_in_the_cache_is_replaced_by_the_right_one_only(server, tmp_path):
    path = get_file("a", f"{server.address}/wrong")
    assert Path(path).read_bytes() != CONTENT
    with pytest.raises(ConnectionError, match="wrong checksum"):
        get_file("a", f"{server.address}/wrong", file_hash=SHA256)
    assert Path(get_file("a", f"{server.address}/good", file_hash=SHA256)).read_bytes() == CONTENT


def test_the_whole_message(server, tmp_path):
    with pytest.raises(ConnectionError) as caught:
        get_file("a.npz", f"{server.address}/page", file_hash=SHA256)
    assert str(caught.value) == (
        "Could not download a.npz. 127.0.0.1: it sends a web page in place of the file.\n"
        f"Expected the sha256 {SHA256[:12]}...\n"
        f"Fix: try again when you are online, or put the file into {tmp_path / 'data' / 'datasets'} yourself."
    )


def test_a_web_page_is_no_data_even_without_a_checksum(server, tmp_path):
    with pytest.raises(ConnectionError, match="it sends a web page in place of the file"):
        get_file("a.csv", f"{server.address}/page")
    assert left(tmp_path / "data") == []
    assert Path(get_file("a.html", f"{server.address}/page")).read_bytes() == PAGE


def test_a_broken_transfer_goes_on_with_a_checksum(server):
    assert Path(get_file("a", f"{server.address}/breaks", file_hash=SHA256)).read_bytes() == CONTENT
    assert [wanted for _, wanted, _ in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_without_a_checksum_it_goes_on_only_with_the_same_version(server, tmp_path):
    assert Path(get_file("a", f"{server.address}/tagged")).read_bytes() == CONTENT
    assert [seen[1:] for seen in server.asked] == [
        (None, None),
        ("bytes=100000-", '"one"'),
        ("bytes=200000-", '"one"'),
    ]
    server.asked.clear()
    assert Path(get_file("b", f"{server.address}/changes")).read_bytes() == CONTENT[::-1]
    with pytest.raises(ConnectionError, match="broke off after 100,000 of 256,000 bytes"):
        get_file("c", f"{server.address}/breaks")
    assert left(tmp_path / "data") == ["datasets/a", "datasets/b"]


def test_a_leftover_of_a_kill_is_not_taken_for_the_file(server, tmp_path):
    folder = tmp_path / "data" / "datasets"
    folder.mkdir(parents=True)
    (folder / "a.part").write_bytes(b"half of something else")
    assert Path(get_file("a", f"{server.address}/good")).read_bytes() == CONTENT
    (folder / "b.part").write_bytes(CONTENT[:1000])
    assert Path(get_file("b", f"{server.address}/good", file_hash=SHA256)).read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=1000-"
    assert left(tmp_path / "data") == ["datasets/a", "datasets/b"]


def test_an_empty_file(server):
    assert Path(get_file("a", f"{server.address}/empty")).read_bytes() == b""


def test_the_cache_of_keras_is_used_if_it_is_right(server, tmp_path):
    folder = tmp_path / "home" / ".keras" / "datasets"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(CONTENT)
    assert get_file("a", f"{server.address}/good", file_hash=SHA256) == str(folder / "a")
    assert server.asked == []
    (folder / "a").write_bytes(CONTENT[:-1])
    assert get_file("a", f"{server.address}/good", file_hash=SHA256) == str(tmp_path / "data" / "datasets" / "a")


def _get(address, folder, results):
    path = get_file("a.tgz", f"{address}/archive", extract=True, cache_dir=folder)
    results.put(sorted(os.listdir(os.path.join(path, "photos"))))


def test_eight_processes_share_one_download(server, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_get, args=(server.address, tmp_path / "all", results)) for _ in range(8)]
    for process in processes:
        process.start()
    found = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    assert found == [["a", "b"]] * 8
    assert len(server.asked) == 1
    assert left(tmp_path / "all" / "datasets") == ["a.tgz", "a_extracted/photos/a", "a_extracted/photos/b"]


@pytest.mark.parametrize(
    ("fname", "kept", "unpacked"),
    [("photos.tgz", "photos.tgz", "photos_extracted"), ("photos", "photos_archive", "photos"),
     (None, "archive.tar.gz_archive", "archive.tar.gz")],
    ids=["with an ending", "without", "none"],
)  # fmt: skip
def test_names_of_unpacked_folders_are_those_of_keras(server, tmp_path, fname, kept, unpacked):
    path = get_file(fname, f"{server.address}/archive.tar.gz", extract=True)
    folder = tmp_path / "data" / "datasets"
    assert path == str(folder / unpacked)
    assert left(folder) == sorted([kept, f"{unpacked}/photos/a", f"{unpacked}/photos/b"])


def test_unpacked_files_are_mended_and_renewed(server, tmp_path):
    def get(**given):
        return get_file("photos", f"{server.address}/archive", untar=True, **given)

    path = get()
    os.remove(os.path.join(path, "photos", "a"))
    assert sorted(os.listdir(os.path.join(get(), "photos"))) == ["a", "b"]
    assert len(server.asked) == 1
    server.archive = tar(a=b"ONE", c=b"three")
    get(force_download=True)
    assert Path(os.path.join(path, "photos", "a")).read_bytes() == b"ONE"


def test_zip_and_formats(server, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", "one")
    server.archive = packed.getvalue()
    assert os.listdir(get_file("z", f"{server.address}/archive", extract=True)) == ["a"]
    with pytest.raises(ValueError) as caught:
        get_file("z", f"{server.address}/archive", extract=True, archive_format="tar")
    place = tmp_path / "data" / "datasets" / "z_archive"
    assert str(caught.value) == (
        f"{place} is not a tar archive.\n"
        "Expected one, as extract=True was given.\n"
        "Fix: extract=False, and open the file with what fits it"
    )


def test_a_hostile_archive_is_not_unpacked(server, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../evil"))
    server.archive = packed.getvalue()
    with pytest.raises(ValueError, match="would be written outside of the folder"):
        get_file("z", f"{server.address}/archive", extract=True)
    assert left(tmp_path / "data") == ["datasets/z_archive"]


def test_a_local_file(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1,2")
    path = get_file(origin=str(tmp_path / "a.csv"), cache_dir=tmp_path / "cache")
    assert path == str(tmp_path / "cache" / "datasets" / "a.csv")
    assert Path(path).read_bytes() == b"1,2"
    with pytest.raises(ValueError, match="does not have the checksum"):
        get_file("b", str(tmp_path / "a.csv"), file_hash="0" * 64, cache_dir=tmp_path / "cache")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"1,2"))
    with pytest.raises(ValueError, match="is not a tar or a zip archive"):
        get_file(origin=str(tmp_path / "a.gz"), extract=True, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("origin", ["ftp://example.org/a", "data:,a", "gopher://example.org/a", "javascript://a/b"])
def test_other_schemes_are_refused(server, tmp_path, origin):
    with pytest.raises((ConnectionError, FileNotFoundError)):
        get_file("a", origin)
    assert left(tmp_path / "data") == []


REFUSED = {
    "origin": ({}, "get_file got no origin.\nExpected the address of the file.\nFix: get_file(origin=\"https://...\")"),
    "file": (
        {"origin": "file:///tmp/a%20b"},
        "get_file got origin='file:///tmp/a%20b'.\n"
        "Expected https:// or http://, or the plain path of a file.\nFix: origin='/tmp/a b'",
    ),
    "name": (
        {"fname": "../a", "origin": "https://example.org/a"},
        "get_file got fname='../a'.\nExpected a plain name, without a folder.\n"
        'Fix: get_file("data.zip", origin=..., cache_dir="folder")',
    ),
    "no name": (
        {"origin": "https://example.org/"},
        "get_file got origin='https://example.org/', which does not end in the name of a file.\n"
        'Expected a plain name, without a folder.\nFix: get_file("data.zip", origin=..., cache_dir="folder")',
    ),
    "algorithm": (
        {"origin": "https://example.org/a", "hash_algorithm": "sha1"},
        "get_file got hash_algorithm='sha1'.\nExpected one of: auto, md5, sha256.\nFix: hash_algorithm=\"auto\"",
    ),
    "hash": (
        {"origin": "https://example.org/a", "file_hash": "abc"},
        "get_file got file_hash='abc'.\nExpected 64 (sha256) or 32 (MD5) hexadecimal digits.\n"
        "Fix: copy the whole checksum, or leave it out",
    ),
    "format": (
        {"origin": "https://example.org/a", "extract": True, "archive_format": "rar"},
        "get_file got archive_format='rar', and is to extract.\n"
        "Expected 'auto', 'tar', 'zip', or a list of them.\nFix: archive_format=\"auto\", or extract=False",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_arguments(case):
    given, message = REFUSED[case]
    with pytest.raises(ValueError) as caught:
        get_file(**given)
    assert str(caught.value) == message


def test_a_full_disk_is_seen_beforehand(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OSError, match="No room for a in") as caught:
        get_file("a", f"{server.address}/good")
    assert caught.value.errno == 28
    assert left(tmp_path / "data") == []


def test_a_cache_that_cannot_be_made(server, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"Cannot make the folder .*/data/datasets"):
        get_file("a", f"{server.address}/good")


def test_the_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    bar = module.Bar("here")
    bar("a", 500_000, 1_000_000)
    bar("a", 1_000_000, 1_000_000)
    assert out.getvalue() == "Downloading here\n\ra: 0.5 of 1.0 MB\ra: 1.0 of 1.0 MB\n"
