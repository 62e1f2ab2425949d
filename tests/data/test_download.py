"""Downloads against a local server that behaves badly in every way a real one does."""

import hashlib
import multiprocessing
import socket
import threading

import pytest

import local_server
from uncrumple.data import download
from uncrumple.data.download import Remote, cache_folder, fetch

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT under /good; other paths misbehave. Remembers what was asked."""

    def __init__(self):
        self.asked = []
        outer = self

        class Handler(local_server.Handler):
            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Range")))
                getattr(self, "serve_" + self.path.strip("/"))(self.first_byte())

            def serve_good(self, start):
                self.head(CONTENT, start)
                self.wfile.write(CONTENT[start:])

            def serve_breaks(self, start):  # gives at most 100,000 bytes at a time
                self.head(CONTENT, start)
                self.wfile.write(CONTENT[start : start + 100_000])

            def serve_breaks_at_once(self, start):
                self.head(CONTENT, start)

            def serve_breaks_without_length(self, start):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(CONTENT[:1000])

            def serve_no_ranges(self, start):  # ignores Range, breaks off the first time
                self.head(CONTENT)
                self.wfile.write(CONTENT if len(outer.asked) > 1 else CONTENT[:5000])

            def serve_wrong(self, start):
                self.head(CONTENT, start)
                self.wfile.write(CONTENT[start:-1] + b"x")

            def serve_page(self, start):
                page = b"<html>Please log in</html>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def serve_endless(self, start):
                self.send_response(200)
                self.end_headers()
                try:
                    for _ in range(100):
                        self.wfile.write(CONTENT)
                except OSError:
                    pass

            def serve_missing(self, start):
                self.send_error(404)

            def serve_busy(self, start):
                if len(outer.asked) < 3:
                    self.send_error(503)
                else:
                    self.serve_good(start)

            def serve_no_range(self, start):
                if start:
                    self.send_error(416)
                else:
                    self.serve_good(start)

            def serve_elsewhere(self, start):
                self.send_response(302)
                self.send_header("Location", "/good")
                self.end_headers()

            def serve_unsafe(self, start):
                self.send_response(302)
                self.send_header("Location", "http://example.org/good")
                self.end_headers()

            def serve_silent(self, start):
                outer.hang.wait(5)

        self.hang = threading.Event()
        self.handler = Handler

    def remote(self, *paths):
        return Remote("numbers.gz", len(CONTENT), SHA256, tuple(f"{self.address}/{path}" for path in paths))


@pytest.fixture
def server(monkeypatch):
    local_server.go_straight(monkeypatch)
    made = Server()
    with local_server.serving(made.handler) as made.address:
        yield made
        made.hang.set()


def test_a_file_is_fetched_once(server, tmp_path):
    seen = []
    path = fetch(server.remote("good"), tmp_path / "new" / "folder", progress=lambda *now: seen.append(now))
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["numbers.gz"]
    assert seen[-1] == ("numbers.gz", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert fetch(server.remote("good"), path.parent) == path
    assert len(server.asked) == 1


def test_a_damaged_file_in_the_cache_is_fetched_anew(server, tmp_path):
    (tmp_path / "numbers.gz").write_bytes(CONTENT[:-1] + b"x")
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT


def test_a_transfer_that_breaks_off_is_resumed(server, tmp_path):
    assert fetch(server.remote("breaks"), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/breaks", None), ("/breaks", "bytes=100000-"), ("/breaks", "bytes=200000-")]


def test_what_was_left_of_an_earlier_run_is_resumed(server, tmp_path):
    (tmp_path / "numbers.gz.part").write_bytes(CONTENT[:1234])
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/good", "bytes=1234-")]


def test_the_next_address_goes_on_where_the_first_stopped(server, tmp_path):
    assert fetch(server.remote("breaks_at_once", "missing", "good"), tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server, tmp_path):
    assert fetch(server.remote("no_ranges"), tmp_path).read_bytes() == CONTENT
    assert server.asked[1] == ("/no_ranges", "bytes=5000-")


def test_a_refused_range_starts_over(server, tmp_path):
    (tmp_path / "numbers.gz.part").write_bytes(CONTENT[:1234])
    assert fetch(server.remote("no_range"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"not what it should be", CONTENT + b"more", b"x" * len(CONTENT)])
def test_a_wrong_leftover_does_not_spoil_the_file(server, tmp_path, left):
    (tmp_path / "numbers.gz.part").write_bytes(left)
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path):
    assert fetch(server.remote("busy"), tmp_path).read_bytes() == CONTENT


def test_a_redirect_is_followed_but_not_to_where_anyone_can_listen(server, tmp_path):
    assert fetch(server.remote("elsewhere"), tmp_path / "a").read_bytes() == CONTENT
    with pytest.raises(ConnectionError, match=r"http://example.org is not encrypted"):
        fetch(server.remote("unsafe"), tmp_path / "b")


def test_an_address_without_encryption_is_refused(tmp_path):
    with pytest.raises(ConnectionError, match=r"http://example.org is not encrypted"):
        fetch(Remote("a", 1, "0" * 64, ("http://example.org/a",)), tmp_path)
    for url in ("file:///etc/hostname", "ftp://example.org/a", "data:,a"):
        with pytest.raises(ConnectionError, match="is not an address of the web"):
            fetch(Remote("a", 1, "0" * 64, (url,)), tmp_path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("wrong", "127.0.0.1: its content has the wrong checksum"),
        ("missing", "127.0.0.1: HTTP 404 Not Found"),
        ("page", "127.0.0.1: it offers 26 bytes in place of 256,000"),
        ("endless", "127.0.0.1: it sends more than 256,000 bytes"),
        ("breaks_without_length", "127.0.0.1: the transfer broke off after"),
    ],
)
def test_what_went_wrong_is_said_and_nothing_wrong_is_kept(server, tmp_path, path, said):
    with pytest.raises(ConnectionError) as caught:
        fetch(server.remote(path), tmp_path)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3
    assert not (tmp_path / "numbers.gz").exists()
    part = tmp_path / "numbers.gz.part"
    assert not part.exists() or CONTENT.startswith(part.read_bytes())


def test_the_whole_message(server, tmp_path):
    with pytest.raises(ConnectionError) as caught:
        fetch(server.remote("missing", "wrong"), tmp_path)
    assert str(caught.value) == (
        "Could not download numbers.gz. 127.0.0.1: HTTP 404 Not Found; 127.0.0.1: its content has the wrong checksum.\n"
        f"Expected 256,000 bytes with the sha256 {SHA256[:12]}...\n"
        f"Fix: try again when you are online, or put the file into {tmp_path} yourself."
    )


def test_no_connection(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionError, match=r"127.0.0.1: no connection"):
        fetch(Remote("a", 1, "0" * 64, (f"http://127.0.0.1:{port}/a",)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_silent_server_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_ATTEMPTS_PER_MIRROR", 1)
    with pytest.raises(ConnectionError, match=r"127.0.0.1: (nothing came|no answer) (for|within) 0.2 seconds"):
        fetch(server.remote("silent"), tmp_path, timeout=0.2)


def test_an_interrupt_keeps_what_has_come(server, tmp_path):
    def stop(name, done, total):
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.remote("good"), tmp_path, progress=stop)
    kept = (tmp_path / "numbers.gz.part").read_bytes()
    assert len(kept) > 100_000
    assert CONTENT.startswith(kept)
    assert fetch(server.remote("good"), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == ("/good", f"bytes={len(kept)}-")


def _fetch_in_a_process(remote, folder, results):
    results.put(fetch(remote, folder).read_bytes() == CONTENT)


def test_processes_that_fetch_the_same_file_do_not_disturb_each_other(server, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    remote = server.remote("breaks")
    processes = [context.Process(target=_fetch_in_a_process, args=(remote, tmp_path, results)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [results.get(timeout=20) for _ in processes] == [True] * 3
    for process in processes:
        process.join()
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.gz"]
    assert len(server.asked) == 3  # one of them fetched it, in three parts


def test_the_cache_folder_follows_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("UNCRUMPLE_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "uncrumple"
