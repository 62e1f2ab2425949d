"""The first layer of a model of texts: words or characters become places in a vocabulary."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.core.text import is_text_array, is_text_list
from uncrumple.data.kinds.preparation import Preparation, register
from uncrumple.layers import Input, TextVectorization

_MOST_WORDS = 10_000
_LONGEST = 200
# Classical models take this many words at most: their time grows with the features.
_MATRIX_WORDS = 2_000


def fitted(texts: np.ndarray, characters: bool) -> dict[str, Any]:
    """Return the vocabulary of the training rows, and how long rows become."""
    if characters:
        found = sorted({character for text in texts.tolist() for character in text})
        return {"vocabulary": found, "length": len(texts[0]), "characters": True}
    cleaner = TextVectorization(vocabulary=["word"])
    _, rows = cleaner._tokens_of(_as_text(texts))
    counts = Counter(token for row in rows for token in row if token)
    within = Counter(token for row in rows for token in set(row) if token)
    vocabulary = sorted(counts, key=lambda token: (-counts[token], token))[: _MOST_WORDS - 2]
    lengths = [len(row) for row in rows]
    length = int(min(_LONGEST, max(1, np.ceil(np.quantile(lengths, 0.95)))))
    # How rare a word is, smoothed as if one more text held every word.
    rarity = [float(np.log((1 + len(rows)) / (1 + within[token])) + 1) for token in vocabulary[:_MATRIX_WORDS]]
    return {"vocabulary": vocabulary, "length": length, "characters": False, "rarity": rarity}


def _as_text(texts: Any) -> Any:
    from uncrumple.core.text import Text

    return Text.of(np.asarray(texts, dtype=object))


class TextPreparation(Preparation):
    """Turns texts into rows of places in the vocabulary of the training rows.

    Place 0 fills up short rows and place 1 stands for what is not in the
    vocabulary. Words are lowercased and without punctuation; a text without any, such
    as "..." or "", is one unknown word. Characters stay as they are.

    Args:
        vocabulary: The words, the most frequent first; or the characters.
        length: Of the rows; longer texts are cut.
        characters: Whether characters are looked up, in place of words.
        rarity: For `matrix`: the weight of each of the first words, the higher the rarer.
        meaning, name: As for `Preparation`.

    Shapes: texts `(samples,)` give whole numbers `(samples, length)`.

    Example:
        >>> from uncrumple.data import Text
        >>> preparation = Text(["a fine day", "a day"]).preparation()
        >>> preparation.vocabulary, preparation.prepare(["Day, a new one"]).tolist()
        (['a', 'day', 'fine'], [[3, 2, 1]])
    """

    kind = "text"

    def __init__(
        self,
        vocabulary: Sequence[str],
        length: int,
        characters: bool,
        meaning: dict[str, Any],
        rarity: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(meaning, **kwargs)
        self.vocabulary, self.length, self.characters = list(vocabulary), int(length), bool(characters)
        self.rarity = list(rarity)
        self.lookup = TextVectorization(
            standardize=None if characters else "lower_and_strip_punctuation",
            split="character" if characters else "whitespace",
            output_sequence_length=None if characters else self.length,
            vocabulary=self.vocabulary or ["[none]"],
        )

    @property
    def vocabulary_size(self) -> int:
        """How many different places there are, with those for nothing and for what is not known."""
        return len(self.vocabulary or ["[none]"]) + 2

    def inputs(self) -> Any:
        return Input((), dtype="string", name="text")

    def read(self, source: Any, text: str | None = None, encoding: str | None = None) -> np.ndarray:
        """Return texts, files of them, a table's column or a `Text` as raw rows.

        Args:
            source: Text files as paths ending in .txt, a list of texts, a CSV file, or a `Text`.
            text: The column of a CSV file that holds the texts; None takes the one with the longest.
            encoding: Of files; None takes what their first bytes say, else UTF-8.
        """
        from uncrumple.data.kinds.delimited import decode, missing_file
        from uncrumple.data.kinds.text import Text

        if isinstance(source, Text):
            return source.raw
        if isinstance(source, (str, os.PathLike)) and (os.path.exists(source) or isinstance(source, os.PathLike)):
            path = Path(source)
            if not path.exists():
                raise missing_file(path, "a text, a table, or a folder of texts")
            if path.is_dir():
                files = sorted(path.rglob("*.txt"))
                if not files:
                    raise ValueError(explain(f"{path} holds no .txt files.", "Expected texts.", "check the path"))
                source = [decode(one.read_bytes(), one.name, encoding)[0] for one in files]
            elif path.suffix.lower() in (".csv", ".tsv", ".parquet", ".pq"):
                return Text(path, text=text, encoding=encoding).raw
            else:
                source = [decode(path.read_bytes(), path.name, encoding)[0]]
        texts = [source] if isinstance(source, str) else list(np.asarray(source, dtype=object).reshape(-1))
        if not texts or not (is_text_list(texts) or is_text_array(np.asarray(texts, dtype=object))):
            raise ValueError(
                explain(
                    f"read got {type(source).__name__}.",
                    "Expected texts, or the path of a file.",
                    "read(['so it goes'])",
                )
            )
        made = np.empty(len(texts), dtype=object)
        made[:] = [str(one) for one in texts]
        return made

    def in_words(self) -> str:
        what = "characters" if self.characters else "words"
        return f"{len(self.vocabulary):,} {what} of the training rows; rows of {self.length}"

    def call(self, inputs: Any) -> torch.Tensor:
        if inputs.is_meta:
            return torch.empty((inputs.shape[0], self.length), dtype=torch.int64, device="meta")
        places = self.lookup(inputs.reshape(-1))
        if self.characters:
            return places
        # A row of nothing but place 0 is masked as a whole, and its mean would be 0 / 0: NaN for all weights.
        nothing = (places == 0).all(dim=1)
        first = torch.where(nothing, torch.ones_like(places[:, 0]), places[:, 0])
        return torch.cat([first[:, None], places[:, 1:]], dim=1)

    def decode(self, outputs: Any) -> np.ndarray:
        """Return answers in words; of a language model, the most probable characters as texts."""
        return as_texts(outputs, self.class_names) if self.task == "language" else super().decode(outputs)

    def restore(self, prepared: Any) -> np.ndarray:
        """Return the words, or characters, that rows of places stand for; `[UNK]` where one is not in the vocabulary."""
        places = np.asarray(prepared.detach().cpu() if hasattr(prepared, "detach") else prepared)
        known = ["", "[UNK]", *self.vocabulary]
        between = "" if self.characters else " "
        made = np.empty(len(places), dtype=object)
        made[:] = [between.join(known[int(place)] for place in row if place > 0) for row in places]
        return made

    def matrix(self, raw: Any) -> np.ndarray:
        """Return how often each word is in each text, rare words weighed more, rows of length 1 (tf-idf)."""
        if self.characters:
            raise ValueError(
                explain(
                    "Text that is to be continued has no matrix.",
                    "Expected texts with answers.",
                    "a Markov chain of characters beside a language model",
                )
            )
        words = self.vocabulary[: len(self.rarity)]
        places = {word: place for place, word in enumerate(words)}
        _, rows = self.lookup._tokens_of(_as_text(raw))
        made = np.zeros((len(rows), max(1, len(words))), np.float32)
        for row, tokens in enumerate(rows):
            for token in tokens:
                place = places.get(token)
                if place is not None:
                    made[row, place] += 1
        if words:
            made *= np.asarray(self.rarity, np.float32)
        lengths = np.sqrt(np.square(made).sum(axis=1, keepdims=True))
        return made / np.where(lengths > 0, lengths, 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary": self.vocabulary,
            "length": self.length,
            "characters": self.characters,
            "rarity": self.rarity,
        }


def as_texts(y: Any, characters: Sequence[str]) -> np.ndarray:
    """Return numbers of characters, or their probabilities, as texts, one for each row."""
    codes = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if codes.dtype.kind == "f":
        codes = codes.argmax(axis=-1)
    codes = codes.reshape(-1, codes.shape[-1]) if codes.ndim else codes.reshape(1, 1)
    made = np.empty(len(codes), dtype=object)
    made[:] = ["".join(characters[code] for code in row) for row in codes.tolist()]
    return made


register([TextPreparation])
