"""What imdb and reuters share: texts as lists of word numbers, the most frequent word being 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from uncrumple.core.errors import explain

Rows = list[list[int]]


def shuffled(texts: np.ndarray, labels: np.ndarray, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return texts and labels in the order that a generator gives next."""
    order = np.arange(len(texts))
    random.shuffle(order)
    return texts[order], labels[order]


def numbered(texts: Iterable[list[int]], start_char: int | None, index_from: int | None) -> Rows:
    """Return texts that begin with a mark, their words moved up to make room for marks."""
    first = [] if start_char is None else [start_char]
    return [[*first, *[word + (index_from or 0) for word in text]] for text in texts]


def without_long(maxlen: int, texts: Rows, labels: Iterable[Any]) -> tuple[Rows, list[Any]]:
    """Return the texts of fewer than `maxlen` words, and their labels."""
    kept = [(text, label) for text, label in zip(texts, labels) if len(text) < maxlen]
    return [text for text, _ in kept], [label for _, label in kept]


def with_vocabulary(texts: Rows, num_words: int | None, skip_top: int, oov_char: int | None) -> Rows:
    """Return texts in which words out of the range are marked, or left out if there is no mark."""
    most = num_words or max((max(text) for text in texts if text), default=0)
    if oov_char is None:
        return [[word for word in text if skip_top <= word < most] for text in texts]
    return [[word if skip_top <= word < most else oov_char for word in text] for text in texts]


def check(owner: str, num_words: Any, skip_top: Any, maxlen: Any) -> None:
    """Raise a ValueError for what cannot be a number of words."""
    for name, value, least in (("num_words", num_words, 1), ("skip_top", skip_top, 0), ("maxlen", maxlen, 1)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ValueError(
                explain(
                    f"{owner} got {name}={value!r}.",
                    f"Expected a whole number of at least {least}{', or None' if name != 'skip_top' else ''}.",
                    f"{name}={10000 if name == 'num_words' else 0 if name == 'skip_top' else 200}",
                )
            )
