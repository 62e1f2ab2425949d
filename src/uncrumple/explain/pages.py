"""Pages that show a result: one file with everything inside, that asks nothing of the network.

Every text in one is escaped: a class may be called `<script>`.
"""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, style: str, body: str, script: str = "", data: Any = None) -> str:
    """Return a whole page.

    Args:
        title: Its title, as plain text.
        style: Its style sheet.
        body: What it shows, as HTML.
        script: What moves it; a page without one runs nothing.
        data: What the script reads from the element "data": anything that JSON can hold.

    Example:
        >>> "<title>1 &lt; 2</title>" in page("1 < 2", "", "<p>It is.</p>")
        True
    """
    policy, moving = _POLICY, ""
    if script:
        policy += "; script-src 'unsafe-inline'"
        # Within a script element only "<" could end it early.
        text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        moving = (
            f'<script type="application/json" id="data">{text}</script>\n<script>"use strict";\n{script}</script>\n'
        )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n{moving}</body>\n</html>\n"
    )


def image(png: bytes, said: str, kind: str = "") -> str:
    """Return a picture inside a page.

    Args:
        png: The bytes of a PNG file.
        said: What it shows, for those who cannot see it.
        kind: The class of the element.
    """
    named = f'class="{kind}" ' if kind else ""
    return f'<img {named}alt="{escape(said, quote=True)}" src="{as_source(png)}">'


def as_source(png: bytes) -> str:
    """Return a PNG file as the address of itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
