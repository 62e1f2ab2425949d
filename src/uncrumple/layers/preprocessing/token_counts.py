"""What a vocabulary is learned from: how often each token was seen, and in how many documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np


class TokenCounts:
    """Counts of tokens, over the documents that were added so far; it is true once there are any.

    Example:
        >>> counted = TokenCounts()
        >>> counted.add([["red", "green", "red"], ["red", "blue"]], by_document=True)
        >>> counted.most_frequent()
        ['red', 'green', 'blue']
        >>> counted.inverse_document_frequencies(["red", "blue"]).round(3).tolist()
        [0.511, 0.693]
    """

    def __init__(self) -> None:
        self._seen: Counter[Any] = Counter()
        self._documents_with: Counter[Any] = Counter()
        self._documents = 0

    def __bool__(self) -> bool:
        return bool(self._seen)

    def add(self, documents: list[list[Any]], by_document: bool) -> None:
        """Count the tokens of further documents.

        Args:
            documents: The tokens of each.
            by_document: Whether to count in how many documents each token is, too.
        """
        for document in documents:
            self._seen.update(document)
            if by_document:
                self._documents_with.update(set(document))
        self._documents += len(documents)

    def most_frequent(self, without: Iterable[Any] = ()) -> list[Any]:
        """Return the tokens, the most frequent first, ties in falling order.

        Args:
            without: Tokens to leave out.
        """
        left_out = set(without)
        tokens = [token for token in self._seen if token not in left_out]
        return sorted(tokens, key=lambda token: (self._seen[token], token), reverse=True)

    def inverse_document_frequencies(self, tokens: list[Any]) -> np.ndarray:
        """Return for each token log(1 + documents / (1 + documents with the token))."""
        counts = np.array([self._documents_with[token] for token in tokens], dtype=np.float64)
        return np.log(1 + self._documents / (1 + counts))
