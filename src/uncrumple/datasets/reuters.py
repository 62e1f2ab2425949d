"""Reuters: 11,228 newswires as word numbers, in 46 topics."""

from __future__ import annotations

import numpy as np

from uncrumple.datasets import words
from uncrumple.datasets.files import Pair, published, read_npz, read_words
from uncrumple.datasets.splits import check_test_split

_SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_WORDS_MD5 = "4d44cc38712099c9e383dc6e5f11a921"
_TOPICS = (
    *("cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply", "coffee", "sugar"),
    *("trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi", "money-fx", "interest", "gnp"),
    *("meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal", "livestock", "retail", "ipi", "iron-steel"),
    *("rubber", "heat", "jobs", "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog"),
    "lead",
)


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[Pair, Pair]:
    """Return ((x_train, y_train), (x_test, y_test)): newswires as lists of word numbers, and their topics.

    Args:
        path: The name to keep the file by, or the path of such a file.
        num_words: How many words there may be: larger numbers become `oov_char`. None keeps all.
        skip_top: Words below this number, the most frequent ones, become `oov_char`.
        maxlen: Newswires of this length or more are left out, in words with the mark at the start.
        test_split: The share of the newswires, from 0 to 1, that is set apart for testing.
        seed: For the order of the newswires.
        start_char: Put before each newswire; None for nothing.
        oov_char: What stands for a word that is left out; None drops it.
        index_from: The most frequent word has this number plus 1.

    Returns:
        Arrays of lists, and topics (int64) from 0 to 45, which `get_label_names` names.

    Raises:
        ValueError: An argument is impossible, or the file is damaged.
        ConnectionError: The file is missing and could not be downloaded.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data(num_words=10000)  # doctest: +SKIP
        >>> len(x_train), len(x_test)  # doctest: +SKIP
        (8982, 2246)
    """
    words.check("reuters.load_data", num_words, skip_top, maxlen)
    check_test_split("reuters.load_data", test_split)
    file = published("reuters.load_data", path, "reuters.npz", _SHA256)
    x, y = read_npz(file, ("x", "y"), ragged=True)
    x, y = words.shuffled(x, y, np.random.RandomState(seed))
    texts, labels = words.numbered(x, start_char, index_from), list(y)
    if maxlen:
        texts, labels = words.without_long(maxlen, texts, labels)
    texts = words.with_vocabulary(texts, num_words, skip_top, oov_char)
    split = int(len(texts) * (1 - test_split))
    return (
        (np.array(texts[:split], dtype=object), np.array(labels[:split], dtype=y.dtype)),
        (np.array(texts[split:], dtype=object), np.array(labels[split:], dtype=y.dtype)),
    )


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Return {word: its number}, from 1 for the most frequent; in the newswires each is `index_from` (3) higher.

    Args:
        path: The name to keep the file by, or the path of such a file.

    Example:
        >>> get_word_index()["the"]  # doctest: +SKIP
        1
    """
    return read_words(published("reuters.get_word_index", path, "reuters_word_index.json", _WORDS_MD5))


def get_label_names() -> tuple[str, ...]:
    """Return the names of the 46 topics, in the order of their numbers.

    Example:
        >>> get_label_names()[3]
        'earn'
    """
    return _TOPICS
