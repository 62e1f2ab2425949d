"""A server on this machine, for tests of what is downloaded."""

import contextlib
import http.server
import threading

from uncrumple.data import download


class Handler(http.server.BaseHTTPRequestHandler):
    """Base of what answers requests: knows ranges, and says nothing."""

    def first_byte(self):
        """Return the first byte that is asked for."""
        wanted = self.headers.get("Range")
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0

    def head(self, content, start=0, length=None, **headers):
        """Send what comes before content: its status and headers.

        Args:
            content: All of it.
            start: The first byte that will be sent.
            length: How many bytes are promised; None for as many as there are, False for no promise.
            headers: Further ones.
        """
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if length is not False:
            self.send_header("Content-Length", str(len(content) - start if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(handler):
    """Serve within a block; it is given the address, without a slash at its end."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Shelf:
    """Files that are served by their names: those in `published`. Remembers what was `asked`."""

    def __init__(self, published=None):
        self.published, self.asked, self.address = published or {}, [], ""
        outer = self

        class FromShelf(Handler):
            def do_GET(self):
                outer.asked.append(self.path)
                content = outer.published.get(self.path.strip("/"))
                if content is None:
                    return self.send_error(404)
                self.head(content)
                self.wfile.write(content)

        self.handler = FromShelf

    @contextlib.contextmanager
    def serving(self):
        with serving(self.handler) as address:
            self.address = f"{address}/"
            yield self


def go_straight(monkeypatch):
    """Let downloads ask no proxy, and try again at once."""
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def keep_below(monkeypatch, folder):
    """Let what is downloaded be kept below a folder, as on a machine on which there is nothing yet."""
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("UNCRUMPLE_DATA_DIR", str(folder / "data"))
    monkeypatch.delenv("KERAS_HOME", raising=False)
