"""Files that layers keep beside their weights, such as a vocabulary: the `assets/` of a `.keras` file.

A layer has some if it has the methods `save_assets(folder)` and
`load_assets(folder)`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from uncrumple.models.parts import Walk

_FOLDER = "assets"


def is_asset(name: str) -> bool:
    """Return whether an entry of a zip is a file of a layer, under a name that stays below `assets/`."""
    path = PurePosixPath(name)
    plain = all(part not in ("..", ".") and "\\" not in part and ":" not in part for part in path.parts)
    return path.parts[:1] == (_FOLDER,) and len(path.parts) > 1 and plain and not name.endswith("/")


def collect(model: Any) -> dict[str, bytes]:
    """Return the files of all layers, {name in the zip: content}."""
    found: dict[str, bytes] = {}

    def save(part: Any, path: str) -> bool:
        if hasattr(part, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                part.save_assets(folder)
                for file in sorted(Path(folder).rglob("*")):
                    if file.is_file():
                        name = PurePosixPath(_FOLDER, path, file.relative_to(folder).as_posix())
                        found[str(name)] = file.read_bytes()
        return True

    Walk(save).visit(model)
    return found


def hand_out(model: Any, files: dict[str, bytes]) -> None:
    """Give every layer its files back."""

    def load(part: Any, path: str) -> bool:
        if hasattr(part, "load_assets"):
            own = PurePosixPath(_FOLDER, path)
            with tempfile.TemporaryDirectory() as folder:
                for name, content in files.items():
                    if PurePosixPath(name).is_relative_to(own):
                        target = Path(folder, *PurePosixPath(name).relative_to(own).parts)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(content)
                part.load_assets(folder)
        return True

    Walk(load).visit(model)
