"""Strings as their places in a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.layers.preprocessing.index_lookup import IndexLookup


class StringLookup(IndexLookup):
    """Turns strings into whole numbers: their places in a vocabulary, which `adapt` learns or you give.

    Place 0 stands for what is not in the vocabulary; with a `mask_token`, that
    one comes first.

    Args:
        max_tokens: The largest size of the vocabulary, special tokens included.
        num_oov_indices: How many places unknown strings share; with several they
            are hashed. 0 refuses them.
        mask_token: The string that stands for nothing: place 0, or left out of vectors.
        oov_token: What unknown places turn into with `invert`.
        vocabulary: The tokens; or the path of a text file with one in each line.
        idf_weights: In mode `"tf_idf"`, the weight of each token of `vocabulary`.
        invert: Whether to go from places to strings.
        output_mode: `"int"` gives places; `"one_hot"` a vector for each string;
            `"multi_hot"`, `"count"` and `"tf_idf"` one for each sample: which
            tokens are in it, how often, and how often weighed by how rare they are.
        pad_to_max_tokens: Whether vectors have the length `max_tokens`, however many tokens there are.
        sparse: Must be False.
        encoding: How a vocabulary given as bytes is read.
        salt: One or two whole numbers that make another hash of the unknown.
        name: As for every `Layer`.

    Shapes: that of the input in mode `"int"`; else `(..., n)` gives `(..., vocabulary)`, and in mode
    `"one_hot"` `(..., n, vocabulary)`, or `(..., vocabulary)` if n is 1. Vectors are of type `floatx()`.

    Example:
        >>> layer = StringLookup()
        >>> layer.adapt(["red", "green", "red"])
        >>> layer.get_vocabulary()
        ['[UNK]', 'red', 'green']
        >>> layer(["green", "blue"])
        tensor([2, 0])
    """

    def __init__(
        self,
        max_tokens: Any = None,
        num_oov_indices: int = 1,
        mask_token: Any = None,
        oov_token: Any = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        object.__setattr__(self, "encoding", encoding)
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            "string",
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            name=name,
            salt=salt,
            **kwargs,
        )

    def _token(self, token: Any, argument: str) -> str:
        if isinstance(token, bytes):
            return token.decode(self.encoding)
        if not isinstance(token, (str, np.str_)):
            raise ValueError(
                explain(
                    f"StringLookup got {argument}={token!r}, a {type(token).__name__}.",
                    "Expected a string.",
                    "IntegerLookup() for whole numbers" if isinstance(token, (int, np.integer)) else f"str({token!r})",
                )
            )
        return str(token)

    def _from_lines(self, lines: list[str], source: str) -> list[str]:
        return lines

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "encoding": self.encoding}
        del config["vocabulary_dtype"]  # there is only one
        return config
