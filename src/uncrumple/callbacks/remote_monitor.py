"""Send each epoch's metrics to a web server."""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.logs import as_float
from uncrumple.core.errors import explain, warn

# A server that does not answer must not hold up the training for longer than this.
_SECONDS = 10.0


class RemoteMonitor(Callback):
    """Send the metrics of each epoch to a server, by HTTP POST.

    What is sent is a dict with `epoch` (from 0) and the metrics. A server
    that cannot be reached costs a warning, and training goes on.

    Args:
        root: The server, starting with `http://` or `https://`.
        path: The path there.
        field: The form's field that holds the dict as JSON text; not used with `send_as_json`.
        headers: Further HTTP headers, {name: value}.
        send_as_json: Whether to send JSON (`application/json`) instead of a form.

    Example:
        >>> RemoteMonitor("http://localhost:9000", send_as_json=True).path
        '/publish/epoch/end/'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        # urllib would read local files too, given file://.
        if not isinstance(root, str) or not root.lower().startswith(("http://", "https://")):
            raise ValueError(
                explain(
                    f"RemoteMonitor got root={root!r}.",
                    "Expected an address that starts with http:// or https://.",
                    "RemoteMonitor('http://localhost:9000')",
                )
            )
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        content: dict[str, Any] = {"epoch": epoch}
        for name, value in (logs or {}).items():
            value = as_float(value)
            content[name] = value.tolist() if hasattr(value, "tolist") else value
        if self.send_as_json:
            # JSON has no NaN and no infinity.
            lawful = {name: None if _is_odd(value) else value for name, value in content.items()}
            body, kind = json.dumps(lawful), "application/json"
        else:
            body, kind = urllib.parse.urlencode({self.field: json.dumps(content)}), "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **(self.headers or {})}
        request = urllib.request.Request(self.root + self.path, body.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS):
                pass
        except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError) as error:
            warn(
                f"RemoteMonitor could not send epoch {epoch} to {self.root + self.path}: {error}.",
                "Expected a server that answers there.",
                "start the server, or give RemoteMonitor its address: root='http://...'",
            )


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
