"""Whole numbers as their places in a vocabulary."""

from __future__ import annotations

import numbers
from typing import Any

from uncrumple.core.errors import explain
from uncrumple.layers.preprocessing.index_lookup import IndexLookup


class IntegerLookup(IndexLookup):
    """Turns whole numbers into others, from 0 without gaps: their places in a vocabulary, which `adapt` learns.

    For codes that are categories, such as postcodes. Place 0 stands for what
    is not in the vocabulary; with a `mask_token`, that one comes first.

    Args:
        max_tokens: The largest size of the vocabulary, special tokens included.
        num_oov_indices: How many places unknown numbers share; 0 refuses them.
        mask_token: The number that stands for nothing: place 0, or left out of vectors.
        oov_token: What unknown places turn into with `invert`.
        vocabulary: The numbers; or the path of a text file with one in each line.
        vocabulary_dtype: Must be `"int64"`.
        idf_weights: In mode `"tf_idf"`, the weight of each number of `vocabulary`.
        invert: Whether to go from places to numbers.
        output_mode: As for `StringLookup`: `"int"`, `"one_hot"`, `"multi_hot"`, `"count"` or `"tf_idf"`.
        sparse: Must be False.
        pad_to_max_tokens: Whether vectors have the length `max_tokens`, however many tokens there are.
        oov_method: How several places are shared: `"floormod"` by the
            remainder of the number, `"farmhash"` by its hash.
        salt: With `"farmhash"`: one or two whole numbers that make another hash of it.
        name: As for every `Layer`.

    Shapes: as for `StringLookup`.

    Example:
        >>> layer = IntegerLookup()
        >>> layer.adapt([8001, 3011, 8001])
        >>> layer([[3011, 8001, 1200]])
        tensor([[2, 1, 0]])
    """

    def __init__(
        self,
        max_tokens: Any = None,
        num_oov_indices: int = 1,
        mask_token: Any = None,
        oov_token: Any = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype != "int64":
            raise ValueError(
                explain(
                    f"IntegerLookup got vocabulary_dtype={vocabulary_dtype!r}.",
                    "Expected 'int64'.",
                    "StringLookup() for strings",
                )
            )
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary_dtype,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            oov_method,
            name=name,
            salt=salt,
            **kwargs,
        )

    def _token(self, token: Any, argument: str) -> int:
        if isinstance(token, bool) or not isinstance(token, numbers.Integral):
            raise ValueError(
                explain(
                    f"IntegerLookup got {argument}={token!r}, a {type(token).__name__}.",
                    "Expected a whole number.",
                    "StringLookup() for strings" if isinstance(token, (str, bytes)) else "Discretization() for floats",
                )
            )
        return int(token)

    def _from_lines(self, lines: list[str], source: str) -> list[int]:
        found = []
        for number, line in enumerate(lines):
            try:
                found.append(int(line))
            except ValueError:
                raise ValueError(
                    explain(
                        f"{self._label}: line {number + 1} of '{source}' holds {line[:40]!r}.",
                        "Expected a whole number in each line.",
                        "StringLookup() for strings",
                    )
                ) from None
        return found
