"""IMDB: 50,000 film reviews as word numbers, half of them praise."""

from __future__ import annotations

from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_argument
from uncrumple.datasets import words
from uncrumple.datasets.files import Pair, published, read_npz, read_words

_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_WORDS_MD5 = "bfafd718b763782e994055a2d397834f"
_ARGUMENTS = ("path", "num_words", "skip_top", "maxlen", "seed", "start_char", "oov_char", "index_from")


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)): 25,000 reviews each, as lists of word numbers.

    The file is downloaded once, to `$UNCRUMPLE_DATA_DIR` or `~/.cache/uncrumple`, and checked.
    `pad_sequences` makes the lists equally long.

    Args:
        path: The name to keep the file by, or the path of such a file.
        num_words: How many words there may be: larger numbers become `oov_char`. None keeps all.
        skip_top: Words below this number, the most frequent ones, become `oov_char`.
        maxlen: Reviews of this length or more are left out, in words with the mark at the start.
        seed: For the order of the reviews.
        start_char: Put before each review; None for nothing.
        oov_char: What stands for a word that is left out; None drops it.
        index_from: The most frequent word has this number plus 1.

    Returns:
        Arrays of lists, and labels (int64): 1 for praise, 0 for the opposite.

    Raises:
        ValueError: An argument is impossible, the file is damaged, or no review is short enough.
        ConnectionError: The file is missing and could not be downloaded.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data(num_words=10000)  # doctest: +SKIP
        >>> x_train.shape, x_train[0][:4]  # doctest: +SKIP
        ((25000,), [1, 14, 22, 16])
    """
    if kwargs:
        raise TypeError(unknown_argument("imdb.load_data", next(iter(kwargs)), _ARGUMENTS))
    words.check("imdb.load_data", num_words, skip_top, maxlen)
    file = published("imdb.load_data", path, "imdb.npz", _SHA256)
    found = read_npz(file, ("x_train", "y_train", "x_test", "y_test"), ragged=True)
    random = np.random.RandomState(seed)
    texts, labels, sizes = [], [], []
    for x, y in (found[:2], found[2:]):
        x, y = words.shuffled(x, y, random)
        rows: words.Rows = words.numbered(x, start_char, index_from)
        kept: Any = y
        if maxlen:
            rows, kept = words.without_long(maxlen, rows, y)
            if not rows:
                raise ValueError(
                    explain(
                        f"imdb.load_data got maxlen={maxlen}, and no review is shorter.",
                        "Expected some to be left.",
                        "a larger maxlen, or maxlen=None and pad_sequences(x, maxlen=...)",
                    )
                )
        texts += rows
        labels.append(np.asarray(kept))
        sizes.append(len(rows))
    texts = words.with_vocabulary(texts, num_words, skip_top, oov_char)
    split = sizes[0]
    return (np.array(texts[:split], dtype=object), labels[0]), (np.array(texts[split:], dtype=object), labels[1])


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Return {word: its number}, from 1 for the most frequent; in the reviews each is `index_from` (3) higher.

    Args:
        path: The name to keep the file by, or the path of such a file.

    Example:
        >>> get_word_index()["the"]  # doctest: +SKIP
        1
    """
    return read_words(published("imdb.get_word_index", path, "imdb_word_index.json", _WORDS_MD5))
