"""Sentences as rows of whole numbers, or as vectors."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uncrumple.core import registry
from uncrumple.core.errors import explain
from uncrumple.core.text import Text
from uncrumple.layers import symbolic
from uncrumple.layers.checks import one_of, whole_number
from uncrumple.layers.preprocessing.index_lookup import MASKED
from uncrumple.layers.preprocessing.string_lookup import StringLookup
from uncrumple.layers.preprocessing.values import ReadsRawData, output_mode, refuse_sparse, samples_of, values_of
from uncrumple.layers.preprocessing.vocabulary import refuse_path

_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_SPLIT = ("whitespace", "character")
# As in Keras, of ASCII only: other letters and spaces stay as they are.
_LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
_NO_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))
_TABLES: dict[str, Any] = {
    "lower": _LOWER,
    "strip_punctuation": _NO_PUNCTUATION,
    "lower_and_strip_punctuation": {**_LOWER, **_NO_PUNCTUATION},
}
_WORDS = re.compile("[^ \t\n\v\f\r]+")


class TextVectorization(ReadsRawData):
    """Turns sentences into rows of whole numbers: clean, split into words, look each up in a vocabulary.

    Place 0 fills up short rows, place 1 stands for words that are not in the
    vocabulary. `adapt` learns the vocabulary from sentences.

    Args:
        max_tokens: The largest size of the vocabulary, special tokens included.
        standardize: `"lower_and_strip_punctuation"`, `"lower"`,
            `"strip_punctuation"`, None, or a function of a NumPy array of strings.
        split: `"whitespace"`, `"character"`, None (every string is one token),
            or a function that takes a NumPy array of strings and returns a list of tokens for each.
        ngrams: n to add all sequences of up to n tokens as tokens; or a tuple of lengths.
        output_mode: `"int"` gives rows of places; `"multi_hot"`, `"count"` and `"tf_idf"` a vector
            for each sentence: which tokens are in it, how often, and how often weighed by how rare they are.
        output_sequence_length: In mode `"int"`: rows are cut or filled to this length; None takes the longest.
        pad_to_max_tokens: Whether vectors have the length `max_tokens`, however many tokens there are.
        vocabulary: The tokens; or the path of a text file with one in each line.
        idf_weights: In mode `"tf_idf"`, the weight of each token of `vocabulary`.
        sparse, ragged: Must be False.
        encoding: How a vocabulary given as bytes is read.
        name, dtype, trainable: As for every `Layer`.

    Shapes: `(samples, 1)` or `(samples,)` gives `(samples, length)`, or `(samples, vocabulary)`.

    Example:
        >>> layer = TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["The cat sat.", "The cat ran!"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'cat', 'sat', 'ran']
        >>> layer(["A cat ran"])
        tensor([[1, 3, 5, 0]])
    """

    def __init__(
        self,
        max_tokens: Any = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: Any = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        refuse_sparse("TextVectorization", sparse, ragged)
        self._standardize = standardize if callable(standardize) else _known("standardize", standardize, _STANDARDIZE)
        self._split = split if callable(split) else _known("split", split, _SPLIT)
        self._output_mode = _mode(output_mode)
        self._ngrams_arg = ngrams
        self._ngrams = _ngrams(ngrams)
        if output_sequence_length is not None:
            if self._output_mode != "int":
                raise ValueError(
                    explain(
                        f"TextVectorization got output_sequence_length={output_sequence_length!r} with output_mode={self._output_mode!r}.",
                        "Expected it in the mode 'int' only: vectors have the length of the vocabulary.",
                        f"TextVectorization(output_mode={self._output_mode!r})",
                    )
                )
            output_sequence_length = whole_number(
                "TextVectorization", "output_sequence_length", output_sequence_length, example=100
            )
        self._output_sequence_length = output_sequence_length
        self._encoding = encoding
        self.built = True
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=self._output_mode,
            encoding=encoding,
            name=self.name,  # for messages
        )

    @property
    def compute_dtype(self) -> str:
        return "string"

    @property
    def variable_dtype(self) -> str:
        return "string"

    def build(self, input_shape: Any = None) -> None:
        """Nothing to make: the vocabulary comes with `adapt`."""

    # --- the vocabulary --------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: the tokens in the sentences, the most frequent first, ties in falling order.

        Args:
            data: Sentences, in a list, an array or a column; or what hands out batches of them.
            batch_size: Taken for Keras's sake: the sentences of a list are taken at once.
            steps: How many batches to look at; None for all.

        Raises:
            ValueError: The vocabulary was given, or there is no data.
        """
        self.reset_state()
        for batch in samples_of(data, steps, self._label):
            self.update_state(batch)
        self._lookup_layer._refuse_no_data()
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch of sentences."""
        self._lookup_layer._count(self._tokens_of(self._text_of(data))[1])

    def finalize_state(self) -> None:
        """Make the vocabulary out of what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what `update_state` has counted."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """Return the tokens, each at the place that stands for it.

        Args:
            include_special_tokens: Whether to begin with those for filling up and for the unknown.
        """
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Return how many places there are, with those of special tokens."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Give the layer its vocabulary, instead of `adapt`.

        Args:
            vocabulary: The tokens; or the path of a text file with one in each line.
            idf_weights: In mode `"tf_idf"`, the weight of each token.
        """
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # --- calling -------------------------------------------------------------------------

    def call(self, inputs: Any) -> torch.Tensor:
        text, lookup = self._text_of(inputs), self._lookup_layer
        if text.is_meta:
            shape = self._shape_of_documents(text)
            length = self._output_sequence_length or symbolic.unknown_size()
            return lookup._encoded(torch.zeros((*shape, length), dtype=torch.int64, device=text.device))
        lookup._check_known()
        shape, rows = self._tokens_of(text)
        length = self._output_sequence_length or max(map(len, rows), default=0)
        rows = [row[:length] for row in rows]
        places = lookup._places_of([token for row in rows for token in row])
        table = np.full((len(rows), length), 0 if self._output_mode == "int" else MASKED)
        table[np.arange(length) < np.array([len(row) for row in rows], dtype=np.int64)[:, None]] = places
        return lookup._encoded(torch.from_numpy(table).reshape(*shape, length).to(text.device))

    def _text_of(self, inputs: Any) -> Text:
        text = values_of(inputs, self._label)
        if isinstance(text, Text):
            return text
        if not text.numel() and not text.is_meta:
            return Text.of(np.empty(tuple(text.shape), dtype=object))
        raise ValueError(
            explain(
                f"{self._label} got numbers of shape {tuple(text.shape)}.",
                "Expected text.",
                "IntegerLookup() for whole numbers; Input((1,), dtype='string') for text in a model",
            )
        )

    def _shape_of_documents(self, text: torch.Tensor) -> tuple[int, ...]:
        shape = tuple(text.shape)
        if self._split is None:
            return shape[:-1]
        if len(shape) > 1 and shape[-1] != 1:
            raise ValueError(
                explain(
                    f"{self._label} got text of shape {shape}.",
                    "Expected (samples,) or (samples, 1): one string for each sample is split into words.",
                    f"{self.name}(x[:, 0]), or TextVectorization(split=None) for words",
                )
            )
        return shape[:-1] if len(shape) > 1 else shape

    def _tokens_of(self, text: Text) -> tuple[tuple[int, ...], list[list[str]]]:
        """Return the shape of the documents, and the tokens of each."""
        shape = self._shape_of_documents(text)
        array = np.asarray(text.numpy(), dtype=object)
        if callable(self._standardize):
            array = self._result_of("standardize", self._standardize, array.astype(str))
            array = np.asarray(array, dtype=object)
        strings: list[str] = array.reshape(-1).tolist()
        if isinstance(self._standardize, str):
            table = _TABLES[self._standardize]
            strings = [one.translate(table) for one in strings]
        rows = self._divided(strings, shape, text.shape[-1] if text.dim() else 1)
        if self._ngrams is not None:
            rows = [_with_ngrams(row, self._ngrams) for row in rows]
        return shape, rows

    def _divided(self, strings: list[str], shape: tuple[int, ...], width: int) -> list[list[str]]:
        """Return the strings as lists of tokens, one for each document."""
        if self._split is None:
            return [strings[begin : begin + width] for begin in range(0, len(strings), max(width, 1))]
        if self._split == "whitespace":
            return [_WORDS.findall(one) for one in strings]
        if self._split == "character":
            return [list(one) for one in strings]
        given = np.array(strings, dtype=str) if shape else np.array(strings[0], dtype=str)
        made = self._result_of("split", self._split, given)
        made = made.tolist() if hasattr(made, "tolist") else list(made)
        rows = [row.tolist() if hasattr(row, "tolist") else row for row in (made if shape else [made])]
        if len(rows) != len(strings) or not all(isinstance(row, (list, tuple)) for row in rows):
            raise ValueError(
                explain(
                    f"{self._label}: its split function returned {len(rows)} rows for {len(strings)} strings."
                    if len(rows) != len(strings)
                    else f"{self._label}: its split function returned {type(rows[0]).__name__} in place of lists of tokens.",
                    "Expected a list of tokens for each string.",
                    "def split(strings): return [s.split(',') for s in strings]",
                )
            )
        return [[str(token) for token in row] for row in rows]

    def _result_of(self, argument: str, function: Callable[[np.ndarray], Any], strings: np.ndarray) -> Any:
        made = function(strings)
        if made is None:
            raise ValueError(
                explain(
                    f"{self._label}: its {argument} function returned None.",
                    "Expected the strings, changed.",
                    f"return ... as the last line of {getattr(function, '__name__', 'the function')}",
                )
            )
        return made

    # --- files ---------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_tokens": self._lookup_layer.max_tokens,
            "standardize": self._standardize,
            "split": self._split,
            "ngrams": self._ngrams_arg,
            "output_mode": self._output_mode,
            "output_sequence_length": self._output_sequence_length,
            "pad_to_max_tokens": self._lookup_layer.pad_to_max_tokens,
            "sparse": False,
            "ragged": False,
            "vocabulary": self._lookup_layer.input_vocabulary,
            "idf_weights": self._lookup_layer.input_idf_weights,
            "encoding": self._encoding,
            "vocabulary_size": self.vocabulary_size(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        refuse_path(config)
        config = dict(config)
        for name, known in (("standardize", _STANDARDIZE), ("split", _SPLIT)):
            value = config.get(name)
            if isinstance(value, str) and value not in known:  # a function that is registered by its name
                config[name] = registry.get_registered_object(value, custom_objects) or value
        if isinstance(config.get("ngrams"), list):
            config["ngrams"] = tuple(config["ngrams"])
        size = config.pop("vocabulary_size", None)
        made = super().from_config(config, custom_objects)
        if made._lookup_layer._tokens is None and size is not None:
            size = whole_number(cls.__name__, "vocabulary_size", size, minimum=0)
            made._lookup_layer._frozen_vocab_size = size
        return made

    def save_own_variables(self, store: Any) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into a folder, unless it is in the config."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Read the vocabulary from a folder, unless it came with the config."""
        self._lookup_layer.load_assets(dir_path)


def _mode(value: Any) -> str:
    return output_mode("TextVectorization", value, _MODES)


def _known(argument: str, value: Any, known: tuple[str, ...]) -> Any:
    return one_of("TextVectorization", argument, value, (*known, None))


def _ngrams(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    lengths = tuple(range(1, value + 1)) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(lengths, tuple) or not lengths or any(not isinstance(n, int) or n < 1 for n in lengths):
        raise ValueError(
            explain(
                f"TextVectorization got ngrams={value!r}.",
                "Expected a whole number of at least 1, or a tuple of them.",
                "TextVectorization(ngrams=2)",
            )
        )
    return lengths


def _with_ngrams(tokens: list[str], lengths: tuple[int, ...]) -> list[str]:
    """Return the sequences of tokens of each length, joined by spaces."""
    made: list[str] = []
    for length in lengths:
        made += [" ".join(tokens[begin : begin + length]) for begin in range(len(tokens) - length + 1)]
    return made
