"""JSON from files: sizes are looked at before memory is taken, and what is not JSON is an error in words."""

from __future__ import annotations

import json
import re
from typing import Any

from uncrumple.core.errors import explain
from uncrumple.core.files import readable_size

# Bytes of a text, values in it, and brackets within brackets.
_MOST_BYTES = 2**26
_MOST_VALUES = 2**21
_DEEPEST = 300
# Layers in one model.
_MOST_LAYERS = 10_000
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Unreadable(ValueError):
    """A text that is not JSON, or so large or deep that no model wrote it; the message goes on after "the file"."""


def parse(text: bytes | str) -> Any:
    """Return what a JSON text says.

    Raises:
        Unreadable: It is not JSON, or its size is not that of a description of a model.
    """
    raw = text.encode() if isinstance(text, str) else text
    values = raw.count(b",") + raw.count(b"[") + raw.count(b"{")
    if len(raw) > _MOST_BYTES:
        raise Unreadable(f"has {readable_size(len(raw))}, more than any model needs")
    if values > _MOST_VALUES:
        raise Unreadable(f"holds {values:,} values, more than any model needs")
    if _is_deeper(raw, _DEEPEST) and _is_deeper(_STRING.sub(b"", raw), _DEEPEST):
        raise Unreadable(f"is not JSON of a model (brackets within brackets, more than {_DEEPEST} deep)")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is not JSON ({type(error).__name__}: {str(error)[:100]})") from None


def _is_deeper(raw: bytes, most: int) -> bool:
    """Return whether brackets are nested deeper than `most`; those in strings are taken for brackets."""
    if raw.count(b"[") + raw.count(b"{") <= most:
        return False
    depth = deepest = 0
    for part in raw.replace(b"{", b"[").replace(b"}", b"]").split(b"[")[1:]:
        depth += 1
        deepest = max(deepest, depth)
        depth -= part.count(b"]")
    return deepest > most


def read_json(path: str) -> Any:
    """Return what a file of JSON says, without taking memory for one that is far too large."""
    with open(path, "rb") as file:
        text = file.read(_MOST_BYTES + 1)
    try:
        return parse(text)
    except Unreadable as error:
        raise ValueError(
            explain(f"'{path}' {error}.", "Expected JSON.", "get the file again, or save the weights again")
        ) from None


def check_layers(config: Any) -> None:
    """Refuse a config of more layers than any model has.

    Raises:
        Unreadable: There are more than 10,000.
    """
    waiting, count = [config], 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            layers = part.get("layers")
            count += len(layers) if isinstance(layers, list) else 0
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    if count > _MOST_LAYERS:
        raise Unreadable(f"describes a model of {count:,} layers, more than any has")
