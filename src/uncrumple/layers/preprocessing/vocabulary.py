"""Vocabularies: what is in order in one, the user's own file of one, and its file within the file of a model."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.core.text import Text

FILE = "vocabulary.txt"


def as_list(value: Any) -> Any:
    """Return tokens or weights as a plain list; None stays."""
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu() if not isinstance(value, Text) else value
    found = value.tolist() if hasattr(value, "tolist") else list(value)
    return found if isinstance(found, list) else [found]


def check_tokens(layer: Any, tokens: list[Any], given: list[Any], special: list[Any], reserved: dict[str, Any]) -> None:
    """Refuse a vocabulary that does not work.

    Args:
        layer: The lookup.
        tokens: The vocabulary, without special tokens.
        given: The vocabulary as it was given.
        special: The special tokens that stand in front.
        reserved: {what it is called: token that cannot be in the vocabulary, or None}.

    Raises:
        ValueError: Tokens are repeated, reserved, or too many.
    """
    repeated = [token for token, count in Counter(tokens).items() if count > 1]
    misplaced = [(what, token) for what, token in reserved.items() if token is not None and token in tokens]
    size = len(tokens) + len(special)
    if repeated:
        raise ValueError(
            explain(
                f"{layer._label} got a vocabulary with repeated tokens: {', '.join(map(repr, repeated[:5]))}.",
                "Expected each token once.",
                "list(dict.fromkeys(vocabulary))",
            )
        )
    if misplaced:
        what, token = misplaced[0]
        raise ValueError(
            explain(
                f"{layer._label} got a vocabulary with the {what} token {token!r} at place {given.index(token) if token in given else tokens.index(token)}.",
                f"Expected no special tokens in it, or all of them in front: {special}.",
                f"[token for token in vocabulary if token != {token!r}]",
            )
        )
    if layer.max_tokens is not None and size > layer.max_tokens:
        raise ValueError(
            explain(
                f"{layer._label} got a vocabulary of {size} tokens, with the special ones, and has max_tokens={layer.max_tokens}.",
                "Expected at most as many.",
                f"{type(layer).__name__}(max_tokens={size})",
            )
        )


def lines_of(label: str, path: Any) -> list[str]:
    """Return the lines of a text file of the user's, which has a token in each.

    Raises:
        FileNotFoundError: There is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            explain(
                f"{label} got the vocabulary '{path}', and there is no such file.",
                "Expected the path of a text file with a token in each line, or a list of tokens.",
                "vocabulary=['red', 'green']",
            )
        )
    lines = file.read_text(encoding="utf-8").split("\n")
    return lines[:-1] if lines[-1:] == [""] else lines


def write_lines(label: str, tokens: list[Any], folder: str) -> None:
    """Write tokens into the file of a folder, one in each line.

    Raises:
        ValueError: One has a line break in it.
    """
    lines = [str(token) for token in tokens]
    broken = next((line for line in lines if "\n" in line or "\r" in line), None)
    if broken is not None:
        raise ValueError(
            explain(
                f"{label} has the token {broken[:40]!r} in its vocabulary, with a line break.",
                "Expected tokens of one line: the file holds one in each.",
                "vocabulary=[...] when the layer is made, which is written into the config",
            )
        )
    Path(folder, FILE).write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape", newline="")


def read_lines(folder: str) -> list[str] | None:
    """Return the lines of the file in a folder, without empty ones at the end; None if it is not there."""
    path = Path(folder, FILE)
    if not path.is_file():
        return None
    lines = path.read_bytes().decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
    while lines and lines[-1] == "":
        lines.pop()
    return lines


def refuse_path(config: dict[str, Any]) -> None:
    """Raise if a config names a file with the vocabulary: it could be any file of the reader's."""
    if isinstance(config.get("vocabulary"), (str, os.PathLike)):
        raise outside(os.fspath(config["vocabulary"]))


def outside(path: str) -> ValueError:
    return ValueError(
        explain(
            f"The config names a file outside of the model's own: vocabulary='{path}'.",
            "Expected the tokens, in the config or in the model's file: loading reads no other files.",
            f"layer.set_vocabulary({path!r}) after loading, if you trust it",
        )
    )
