"""`Picture`: a finding in words, the numbers behind it, and the drawing of both."""

from __future__ import annotations

import json
import os
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uncrumple.core.errors import explain, unknown_name
from uncrumple.explain import pages, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMAGES = (".png", ".svg", ".pdf")
_STYLE = """
:root { color-scheme: light dark; --ink: #222222; --paper: #ffffff; --soft: #555555; --line: #dddddd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --paper: #15181d; --soft: #b5bac2; --line: #333a44; } }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
img { max-width: 100%; height: auto; }
pre { overflow-x: auto; border-top: 1px solid var(--line); padding-top: .75rem; color: var(--soft); }
"""


class Picture:
    """Something seen inside a network: what it shows in a sentence, its numbers, and its drawing.

    A subclass keeps its numbers as attributes, says what they show in `title`, and draws them in `_draw`.

    Attributes:
        title: The finding, in a sentence.
        note: How to read the picture.
    """

    title: str = ""
    note: str = ""
    # What `save` can write, besides pictures.
    _other_files: tuple[str, ...] = (".html", ".json")

    def _draw(self, theme: str) -> Figure:
        raise NotImplementedError

    def _lines(self) -> list[str]:
        """Return the numbers in words, a line each."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """Return the finding and its numbers as plain data, for JSON."""
        return {"title": self.title, "note": self.note}

    # --- for all pictures ------------------------------------------------------------------

    def plot(self, theme: str = "light") -> Figure:
        """Return the drawing as a matplotlib figure; no window is opened.

        Args:
            theme: `"light"` or `"dark"`.
        """
        import matplotlib

        from uncrumple.explain.pictures.style import style as themed

        with matplotlib.rc_context(themed(theme)):
            return self._draw(theme)

    def to_png(self, theme: str = "light", dpi: int = 110) -> bytes:
        """Return the drawing as the bytes of a PNG file."""
        return self._image("png", theme, dpi)

    def _image(self, kind: str, theme: str, dpi: int) -> bytes:
        from uncrumple.explain.pictures.style import rendered

        return rendered(self.plot(theme), kind, dpi, theme)

    def to_html(self) -> str:
        """Return a page of its own: the drawing for light and for dark screens, and the numbers in words."""
        on_dark = pages.as_source(self.to_png("dark"))
        body = (
            f'<main><picture>\n<source srcset="{on_dark}" media="(prefers-color-scheme: dark)">\n'
            f"{pages.image(self.to_png('light'), self.title)}</picture>\n<pre>{escape(str(self))}</pre></main>"
        )
        return pages.page(self.title, _STYLE, body)

    def save(self, path: str | os.PathLike[str], theme: str = "light", dpi: int = 110) -> Path:
        """Write the picture to a file, whole or not at all.

        Args:
            path: A name that ends in `.png`, `.svg`, `.pdf`, `.html` (a page that loads nothing from
                elsewhere) or `.json` (the numbers).
            theme: `"light"` or `"dark"`; a page has both.
            dpi: Dots per inch of a PNG file.

        Returns:
            The path.

        Raises:
            ValueError: The name ends otherwise.
        """
        place = Path(path)
        content = self._content(place.suffix.lower(), theme, dpi)
        if content is None:
            known = [*_IMAGES, *self._other_files]
            raise ValueError(unknown_name("kind of file", place.suffix or str(path), known))
        return style.write(place, content)

    def _content(self, suffix: str, theme: str, dpi: int) -> bytes | str | None:
        if suffix in _IMAGES:
            return self._image(suffix[1:], theme, dpi)
        if suffix == ".html":
            return self.to_html()
        if suffix == ".json":
            return json.dumps(self.to_dict(), indent=1)
        return None

    def show(self) -> Path:
        """Open the picture as a page in the browser; return the page's file.

        In a notebook the object itself, as the last line of a cell, shows the picture.
        """
        import webbrowser

        folder = tempfile.mkdtemp(prefix="uncrumple_")
        path = self.save(Path(folder) / "picture.html")
        webbrowser.open(path.as_uri())
        return path

    def _repr_png_(self) -> bytes:
        return self.to_png()

    def __str__(self) -> str:
        return "\n".join([self.title, *self._lines()])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}>"


def plain(value: Any) -> Any:
    """Return arrays and numbers as JSON can hold them, with six digits: more than any picture shows, in short files."""
    return style.plain(value, digits=6)


def refuse(owner: str, came: str, expected: str, fix: str) -> ValueError:
    """Return the error for what a picture cannot be made of."""
    return ValueError(explain(f"{owner} got {came}.", expected, fix))
