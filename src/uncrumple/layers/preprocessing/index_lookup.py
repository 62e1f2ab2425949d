"""What the lookups of strings and of whole numbers share: a vocabulary, learned or given."""

from __future__ import annotations

import os
from itertools import repeat
from typing import Any

import numpy as np
import torch

from uncrumple.core import limits, sharing
from uncrumple.core.dtypes import TORCH_DTYPES, floatx
from uncrumple.core.errors import explain
from uncrumple.core.text import Text
from uncrumple.layers.checks import one_of, whole_number
from uncrumple.layers.preprocessing.hashing import bins_of, salt_of
from uncrumple.layers.preprocessing.token_counts import TokenCounts
from uncrumple.layers.preprocessing.values import (
    ReadsRawData,
    encoded,
    output_mode,
    refuse_sparse,
    samples_of,
    values_of,
)
from uncrumple.layers.preprocessing.vocabulary import (
    FILE,
    as_list,
    check_tokens,
    lines_of,
    outside,
    read_lines,
    refuse_path,
    write_lines,
)

_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
# While places are looked up: what is not in the vocabulary, and what counts for nothing.
_UNKNOWN, MASKED = -1, -2


class IndexLookup(ReadsRawData):
    """From tokens to their places in a vocabulary, and back; the base of `StringLookup` and `IntegerLookup`.

    The places begin with the mask token (in mode `"int"`, if there is one),
    then come `num_oov_indices` for tokens that are not in the vocabulary, then
    the vocabulary.
    """

    def __init__(
        self,
        max_tokens: Any,
        num_oov_indices: Any,
        mask_token: Any,
        oov_token: Any,
        vocabulary_dtype: str,
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("dtype", None)  # as in Keras, the type follows from the vocabulary
        super().__init__(name=name, **kwargs)
        kind = type(self).__name__
        if max_tokens is not None:
            max_tokens = whole_number(kind, "max_tokens", max_tokens, minimum=2, example=1000)
        self.max_tokens = max_tokens
        self.num_oov_indices = whole_number(kind, "num_oov_indices", num_oov_indices, minimum=0, example=1)
        self.mask_token = self._token(mask_token, "mask_token") if mask_token is not None else None
        self.oov_token = self._token(oov_token, "oov_token") if oov_token is not None else None
        self.vocabulary_dtype = vocabulary_dtype
        self.output_mode = _mode(kind, output_mode)
        self.invert = bool(invert)
        refuse_sparse(kind, sparse)
        self.sparse = False
        self.pad_to_max_tokens = bool(pad_to_max_tokens)
        self.oov_method = one_of(kind, "oov_method", oov_method, ("floormod", "farmhash"))
        self.salt = salt_of(kind, salt)
        self._check_together(kind, idf_weights)
        limits.take((self.num_oov_indices,), self._label)
        self.built = True
        self._tokens: list[Any] | None = None
        self._frozen_vocab_size: int | None = None
        self._has_input_vocabulary = vocabulary is not None
        self.input_vocabulary = None if isinstance(vocabulary, (str, os.PathLike)) else as_list(vocabulary)
        self.input_idf_weights = as_list(idf_weights)
        self.register_buffer("idf_weights", None, persistent=False)
        self.reset_state()
        if vocabulary is not None:
            if self.output_mode == "tf_idf" and idf_weights is None:
                raise ValueError(
                    explain(
                        f"{kind} got a vocabulary and no idf_weights, with output_mode='tf_idf'.",
                        "Expected a weight for each token.",
                        f"{kind}(..., idf_weights=[...]), or adapt(data) without a vocabulary",
                    )
                )
            self.set_vocabulary(vocabulary, idf_weights)

    def _check_together(self, kind: str, idf_weights: Any) -> None:
        """Refuse settings that exclude each other."""
        wrong = None
        if self.pad_to_max_tokens and self.max_tokens is None:
            wrong = ("pad_to_max_tokens=True without max_tokens", "Expected max_tokens too.", "max_tokens=1000")
        elif self.invert and self.output_mode != "int":
            mode = f"invert=True with output_mode={self.output_mode!r}"
            wrong = (mode, "Expected output_mode='int' to go back from places to tokens.", "invert=True")
        elif self.invert and self.oov_token is None:
            wrong = ("invert=True with oov_token=None", "Expected a token for unknown places.", "oov_token=...")
        elif idf_weights is not None and self.output_mode != "tf_idf":
            mode = f"idf_weights with output_mode={self.output_mode!r}"
            wrong = (mode, "Expected them in the mode 'tf_idf' only.", 'output_mode="tf_idf"')
        elif self.salt is not None and self.vocabulary_dtype == "int64" and self.oov_method != "farmhash":
            wrong = ("salt without oov_method='farmhash'", "Expected both.", 'oov_method="farmhash"')
        if wrong is not None:
            raise ValueError(explain(f"{kind} got {wrong[0]}.", wrong[1], f"{kind}(..., {wrong[2]})"))

    # --- types ---------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        return self.vocabulary_dtype

    @property
    def variable_dtype(self) -> str:
        return self.vocabulary_dtype

    @property
    def _reads(self) -> str:
        return "int64" if self.invert else self.vocabulary_dtype

    def _token(self, token: Any, argument: str) -> Any:
        """Return a token in the type of the vocabulary, or raise."""
        raise NotImplementedError

    # --- the vocabulary --------------------------------------------------------------------

    def _first_oov(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    def _first_token(self) -> int:
        return self._first_oov() + self.num_oov_indices

    def _special(self) -> list[Any]:
        return [self.mask_token] * self._first_oov() + [self.oov_token] * self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """Return the tokens, each at the place that stands for it.

        Args:
            include_special_tokens: Whether to begin with the mask token and the tokens for what is unknown.
        """
        return (self._special() if include_special_tokens else []) + list(self._tokens or [])

    def vocabulary_size(self) -> int:
        """Return how many places there are, with those of the mask and of unknown tokens."""
        return len(self._tokens or []) + self._first_token()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Give the layer its vocabulary, instead of `adapt`.

        Args:
            vocabulary: The tokens, without repetition, with or without the
                special ones in front; or the path of a text file with a token in each line.
            idf_weights: In mode `"tf_idf"`: the inverse document frequency of each token.

        Raises:
            ValueError: Tokens are missing, repeated, too many or of another
                type; or a file that is being loaded names another file.
            FileNotFoundError: There is no such file.
        """
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            raise ValueError(
                explain(
                    f"{self._label}: set_vocabulary got {'no ' if idf_weights is None else ''}idf_weights, with output_mode={self.output_mode!r}.",
                    "Expected them in the mode 'tf_idf', and only there.",
                    "set_vocabulary(vocabulary, idf_weights)" if idf_weights is None else "set_vocabulary(vocabulary)",
                )
            )
        if isinstance(vocabulary, (str, os.PathLike)):
            tokens, given = self._from_file(vocabulary), []
        else:
            given = self._checked(as_list(vocabulary))
            special = self._special()
            tokens = given[len(special) :] if given[: len(special)] == special else given
        self._check_tokens(tokens, given)
        weights = None
        if self.output_mode == "tf_idf":
            weights = self._idf_for(idf_weights, len(given), padded=len(tokens) == len(given))
        self._set_tokens(tokens)
        if weights is not None:
            self.idf_weights = weights

    def _from_file(self, path: Any) -> list[Any]:
        if sharing.is_reading():
            raise outside(os.fspath(path))
        return self._from_lines(lines_of(self._label, path), str(path))

    def _from_lines(self, lines: list[str], source: str) -> list[Any]:
        """Return the tokens that lines of a file stand for."""
        raise NotImplementedError

    def _checked(self, vocabulary: list[Any] | None) -> list[Any]:
        if not vocabulary:
            raise ValueError(
                explain(
                    f"{self._label} got an empty vocabulary.",
                    "Expected at least one token.",
                    f"{self.name}.adapt(x_train), or vocabulary=[...]",
                )
            )
        return [self._token(token, f"vocabulary[{place}]") for place, token in enumerate(vocabulary)]

    def _check_tokens(self, tokens: list[Any], given: list[Any]) -> None:
        reserved = {"mask": self.mask_token, "OOV": self.oov_token if self.invert else None}
        check_tokens(self, tokens, given, self._special(), reserved)

    def _idf_for(self, given: Any, count: int, padded: bool) -> torch.Tensor:
        """Return one weight for each place."""
        weights = np.asarray(given.tolist() if hasattr(given, "tolist") else given, dtype=floatx())
        if weights.ndim != 1 or len(weights) != count:
            raise ValueError(
                explain(
                    f"{self._label} got idf_weights of shape {weights.shape} for a vocabulary of {count} tokens.",
                    "Expected a weight for each token.",
                    "set_vocabulary(vocabulary, idf_weights), lists of one length",
                )
            )
        if padded:  # what is unknown weighs as much as the others do on average
            weights = np.concatenate([np.full(self._first_token(), weights.mean(), weights.dtype), weights])
        return self._filled(weights)

    def _filled(self, weights: np.ndarray) -> torch.Tensor:
        if self.pad_to_max_tokens and self.max_tokens is not None:
            limits.take((self.max_tokens,), self._label)
            weights = np.pad(weights, (0, max(0, self.max_tokens - len(weights))))
        return torch.from_numpy(np.ascontiguousarray(weights))

    def _set_tokens(self, tokens: list[Any]) -> None:
        fixed = self.output_mode != "int" and not self.pad_to_max_tokens
        size = len(tokens) + self._first_token()
        if fixed and self._frozen_vocab_size is not None and size != self._frozen_vocab_size:
            raise RuntimeError(
                explain(
                    f"{self._label} has {self._frozen_vocab_size} places, and its new vocabulary makes {size}.",
                    f"Expected as many: with output_mode={self.output_mode!r} the shape of the output depends on it.",
                    "pad_to_max_tokens=True with max_tokens, or a new layer",
                )
            )
        self._tokens = tokens
        self._frozen_vocab_size = size
        first, mask = self._first_token(), 0 if self.output_mode == "int" else MASKED
        self._places = {token: first + place for place, token in enumerate(tokens)}
        if self.mask_token is not None:
            self._places[self.mask_token] = mask

    # --- adapt ---------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: the tokens in the data, the most frequent first, ties in falling order.

        Args:
            data: Tokens, in a list, an array or a column; or what hands out batches of them.
            steps: How many batches to look at; None for all.

        Raises:
            ValueError: The vocabulary was given, or there is no data.
        """
        self.reset_state()
        for batch in samples_of(data, steps, self._label):
            self.update_state(batch)
        self._refuse_no_data()
        self.finalize_state()

    def _refuse_no_data(self) -> None:
        if not self._counted:
            raise ValueError(
                explain(
                    f"{self._label} got no data in adapt().", "Expected at least one token.", "layer.adapt(x_train)"
                )
            )

    def reset_state(self) -> None:
        """Forget what `update_state` has counted."""
        self._counted = TokenCounts()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch; each row is a document."""
        values = values_of(data, self._label)
        self._check_kind(values, inverse=False)
        rows = values.tolist()
        if values.dim() < 2:
            rows = [rows if values.dim() else [rows]]
        self._count([_flat(row) for row in rows])

    def _count(self, documents: list[list[Any]]) -> None:
        if self._has_input_vocabulary:
            raise ValueError(
                explain(
                    f"{self._label} was made with a vocabulary, and adapt() was called.",
                    "Expected one of the two.",
                    f"{type(self).__name__}() without a vocabulary",
                )
            )
        self._counted.add(documents, by_document=self.output_mode == "tf_idf")

    def finalize_state(self) -> None:
        """Make the vocabulary out of what was counted."""
        if self._has_input_vocabulary or not self._counted:
            return
        tokens = self._counted.most_frequent(without=(self.mask_token, self.oov_token))
        if self.max_tokens is not None:
            tokens = tokens[: max(0, self.max_tokens - self._first_token())]
        if self.output_mode == "tf_idf":
            self._learn_idf(tokens)
        self._set_tokens(tokens)
        self.reset_state()

    def _learn_idf(self, tokens: list[Any]) -> None:
        """Weigh tokens by how few documents they are in."""
        weights = self._counted.inverse_document_frequencies(tokens).astype(floatx())
        front = np.full(self._first_token(), weights.mean() if len(weights) else 0.0, weights.dtype)
        self.idf_weights = self._filled(np.concatenate([front, weights]))

    # --- calling -------------------------------------------------------------------------

    def call(self, inputs: Any) -> torch.Tensor:
        values = values_of(inputs, self._label)
        self._check_kind(values, inverse=self.invert)
        if values.is_meta:
            places = torch.zeros(values.shape, dtype=torch.int64, device=values.device)
            if self.invert and self.vocabulary_dtype == "string":
                return Text(places)
        else:
            self._check_known()
            if self.invert:
                return self._tokens_at(values)
            tokens = _flat(values.tolist() if isinstance(values, Text) else values.to(torch.int64).tolist())
            places = torch.from_numpy(self._places_of(tokens)).reshape(values.shape).to(values.device)
        return self._encoded(places)

    def _check_kind(self, values: torch.Tensor, inverse: bool) -> None:
        """Refuse text where numbers are looked up, and numbers where text is."""
        wants_text = self.vocabulary_dtype == "string" and not inverse
        if isinstance(values, Text) is wants_text or not (values.numel() or values.is_meta):
            return
        came = "text" if isinstance(values, Text) else "numbers"
        raise ValueError(
            explain(
                f"{self._label} got {came}.",
                f"Expected {'text' if wants_text else 'whole numbers' if not inverse else 'whole numbers: places in the vocabulary'}.",
                "IntegerLookup() for whole numbers, or x.astype(str)"
                if wants_text
                else "StringLookup() for text"
                if not inverse
                else f"{type(self).__name__}(...) without invert=True",
            )
        )

    def _check_known(self) -> None:
        if self._tokens is None:
            raise ValueError(
                explain(
                    f"{self._label} was used before it knows a vocabulary.",
                    "Expected adapt() first, or a vocabulary.",
                    f"{self.name}.adapt(x_train)",
                )
            )

    def _places_of(self, tokens: list[Any]) -> np.ndarray:
        found = np.fromiter(map(self._places.get, tokens, repeat(_UNKNOWN)), dtype=np.int64, count=len(tokens))
        unknown = np.flatnonzero(found == _UNKNOWN)
        if len(unknown):
            found[unknown] = self._places_of_unknown([tokens[place] for place in unknown])
        return found

    def _places_of_unknown(self, tokens: list[Any]) -> Any:
        if self.num_oov_indices == 0:
            shown = list(dict.fromkeys(tokens))
            raise ValueError(
                explain(
                    f"{self._label} got {', '.join(map(repr, shown[:5]))}{', ...' if len(shown) > 5 else ''}, not in its vocabulary.",
                    "Expected known tokens only, with num_oov_indices=0.",
                    f"{type(self).__name__}(..., num_oov_indices=1)",
                )
            )
        first = self._first_oov()
        if self.num_oov_indices == 1:
            return first
        if self.vocabulary_dtype == "int64":
            numbers = np.array(tokens, dtype=np.int64)
            if self.oov_method == "floormod":
                return first + np.mod(numbers, self.num_oov_indices)
            return first + bins_of(torch.from_numpy(numbers), self.num_oov_indices, self.salt)
        return first + bins_of(Text.of(tokens), self.num_oov_indices, self.salt)

    def _tokens_at(self, values: torch.Tensor) -> torch.Tensor:
        """Return the tokens at places: the way back."""
        first, known = self._first_token(), self._tokens or []
        table = [self.oov_token] * first + known + [self.oov_token]
        if self._first_oov():
            table[0] = self.mask_token
        places = values.to(torch.int64)
        places = torch.where((places < 0) | (places >= len(table)), len(table) - 1, places)
        if self.vocabulary_dtype == "string":
            words = np.empty(len(table), dtype=object)
            words[:] = table
            return Text(places.as_subclass(torch.Tensor), words)
        return torch.tensor(table, dtype=torch.int64, device=values.device)[places]

    def _encoded(self, places: torch.Tensor) -> torch.Tensor:
        """Return places as they are, or as vectors."""
        if self.output_mode == "int":
            return places
        depth = self.max_tokens if self.pad_to_max_tokens else self._frozen_vocab_size
        if depth is None:
            raise RuntimeError(
                explain(
                    f"{self._label} has output_mode={self.output_mode!r}, and knows no vocabulary yet.",
                    "Expected adapt() before the layer is called: the shape of its output depends on it.",
                    f"{self.name}.adapt(x_train)",
                )
            )
        kind = TORCH_DTYPES[floatx()]
        if self.output_mode != "tf_idf":
            return encoded(places, self.output_mode, depth, kind)
        counts = encoded(places, "count", depth, kind)
        if places.is_meta:
            return counts
        return counts * self.idf_weights.to(counts.device)

    # --- files ---------------------------------------------------------------------------

    def get_build_config(self) -> dict[str, Any]:
        return {}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Nothing to build."""

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "invert": self.invert,
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token,
            "mask_token": self.mask_token,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": self.input_idf_weights,
            "vocabulary": self.input_vocabulary,
            "vocabulary_size": self._frozen_vocab_size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        refuse_path(config)
        size = config.get("vocabulary_size")
        made = super().from_config(
            {key: value for key, value in config.items() if key != "vocabulary_size"}, custom_objects
        )
        if made._tokens is None and size is not None:
            made._frozen_vocab_size = whole_number(cls.__name__, "vocabulary_size", size, minimum=0)
        return made

    def save_own_variables(self, store: Any) -> None:
        if self.output_mode == "tf_idf" and self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights.cpu().numpy()

    def load_own_variables(self, store: Any) -> None:
        if self.output_mode == "tf_idf" and "idf_weights" in list(store.keys()):
            self.idf_weights = torch.from_numpy(np.array(store["idf_weights"], dtype=floatx()))

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary into a folder, unless it is in the config."""
        if self.input_vocabulary is not None:
            return
        write_lines(self._label, self.get_vocabulary(), dir_path)

    def load_assets(self, dir_path: str) -> None:
        """Read the vocabulary from a folder, unless it came with the config."""
        lines = read_lines(dir_path) if self.input_vocabulary is None else None
        if lines is None:
            return
        special = [str(token) for token in self._special()]
        if lines[: len(special)] == special:
            lines = lines[len(special) :]
        tokens = self._from_lines(lines, FILE)
        if not tokens:
            return  # it was never adapted
        self._check_tokens(tokens, tokens)
        self._set_tokens(tokens)


def _flat(value: Any) -> list[Any]:
    """Return nested lists as one list."""
    if not isinstance(value, list):
        return [value]
    while value and isinstance(value[0], list):
        value = [leaf for part in value for leaf in part]
    return value


def _mode(kind: str, value: Any) -> str:
    return output_mode(kind, value, _MODES)
