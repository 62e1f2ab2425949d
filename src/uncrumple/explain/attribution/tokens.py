"""How a model reads texts: which of its numbers stand for which word of the raw text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncrumple.core.text import Text
from uncrumple.data.kinds.prepare_text import TextPreparation
from uncrumple.explain.attribution.asking import Network
from uncrumple.explain.attribution.methods import Field, integrated_gradients, saliency
from uncrumple.explain.rows import as_tensors, batches, rows_at, rows_in
from uncrumple.layers import Embedding, TextVectorization

_UNKNOWN = "\ufffd"


@dataclass
class Reading:
    """Texts as a model reads them.

    Args:
        pieces: The words, characters or tokens of each text, as they are shown.
        places: For each piece, its places along the row of tokens; none for what the model does not read.
        joint: What stands between pieces.
        without: Of a row, the inputs that lack one piece each, in the order of the pieces.
        entries: For a model that counts words: for each piece the entries of its vector, or None.
    """

    pieces: list[list[str]]
    places: list[list[list[int]]]
    joint: str
    without: Callable[[int], Any]
    entries: list[list[list[int]]] | None = None
    remark: str = ""


def reader_of(model: Any) -> tuple[Any, Any]:
    """Return the layer of a model that reads text, and the `TextVectorization` that does it; None without."""
    for part in model.modules():
        if isinstance(part, TextPreparation):
            return part, part.lookup
        if isinstance(part, TextVectorization):
            return part, part
    return None, None


def read_texts(vectorizer: Any, texts: Sequence[str]) -> Reading:
    """Return raw texts as a `TextVectorization` reads them."""
    by_character = vectorizer._split == "character"
    every = _tokens(vectorizer, texts)
    length = vectorizer._output_sequence_length
    pieces, places, cut = [], [], False
    plain = vectorizer._ngrams is None
    for text, tokens in zip(texts, every):
        words = list(text) if by_character else re.findall(r"\S+", text)
        each = _tokens(vectorizer, words) if words else []
        flat = [token for one in each for token in one]
        if not plain or flat != tokens:  # what stands for a word depends on its neighbours: show tokens
            words, each = list(tokens), [[token] for token in tokens]
        count, found = 0, []
        for one in each:
            here = range(count, count + len(one))
            found.append([place for place in here if length is None or place < length])
            count += len(one)
        cut = cut or (length is not None and count > length)
        pieces.append(words)
        places.append(found)
    joint = "" if by_character else " "

    def without(row: int) -> Any:
        words = pieces[row]
        if by_character:  # rows keep their length: the character becomes one that is not known
            made = [joint.join([*words[:gone], _UNKNOWN, *words[gone + 1 :]]) for gone in range(len(words))]
        else:
            made = [joint.join([*words[:gone], *words[gone + 1 :]]) for gone in range(len(words))]
            if length is None:  # recurrent layers take no text without words
                made = [one or _UNKNOWN for one in made]
        return as_tensors(np.array(made, dtype=object))

    entries = None
    if vectorizer._output_mode != "int":
        vocabulary = {token: place for place, token in enumerate(vectorizer.get_vocabulary())}
        unknown = vocabulary.get("[UNK]", 0)
        entries = []
        for words, tokens in zip(pieces, every):
            each = _tokens(vectorizer, words) if plain and words else [[token] for token in tokens]
            entries.append([[vocabulary.get(token, unknown) for token in one] for one in each])
    remark = f"The model reads the first {length} tokens of a text; what comes after has no part in it." if cut else ""
    return Reading(pieces, places, joint, without, entries, remark)


def _tokens(vectorizer: Any, texts: Sequence[str]) -> list[list[str]]:
    return vectorizer._tokens_of(Text.of(np.array(list(texts), dtype=object)))[1]


def read_tokens(rows: torch.Tensor, words: Any, padding: int | None) -> Reading:
    """Return rows of numbers of tokens as they are shown.

    Args:
        rows: (rows, length), whole numbers.
        words: The token of each number: a list, a dict, or a function; None shows the numbers.
        padding: The number that fills up short rows; None where there is none.
    """
    pieces, places = [], []
    for row in rows.tolist():
        there = [place for place, token in enumerate(row) if token != padding]
        places.append([[place] for place in there])
        pieces.append([_word(row[place], words) for place in there])

    def without(number: int) -> Any:
        row, made = rows[number], []
        for (place,) in places[number]:
            rest = torch.cat([row[:place], row[place + 1 :]])
            fill = row.new_tensor([0 if padding is None else padding])
            made.append(torch.cat([fill, rest] if padding is not None and int(row[0]) == padding else [rest, fill]))
        return torch.stack(made) if made else row[None][:0]

    return Reading(pieces, places, " ", without)


def _word(token: int, words: Any) -> str:
    if words is None:
        return str(token)
    if callable(words):
        return str(words(token))
    if isinstance(words, Mapping):
        return str(words.get(token, f"[{token}]"))
    return str(words[token]) if token < len(words) else f"[{token}]"


def embedding_in(network: Network, inputs: Any) -> tuple[str, Any]:
    """Return the layer that turns tokens into vectors, by name: the first that gives a vector for each token."""
    seen: list[Any] = []

    def see(part: Any, _: Any, out: Any) -> None:
        if isinstance(out, torch.Tensor) and out.ndim == 3 and len(out) == rows_in(few):
            seen.append(part)

    few = rows_at(inputs, slice(0, 2))
    names = {part: name for name, part in network.model.named_modules()}
    hooks = [part.register_forward_hook(see) for part in names if isinstance(part, (Embedding, torch.nn.Embedding))]
    try:
        with torch.no_grad():
            network.run(few)
    finally:
        for hook in hooks:
            hook.remove()
    return (names[seen[0]], seen[0]) if seen else ("", None)


def maps_of_words(
    network: Network, inputs: Any, reading: Reading, targets: np.ndarray, methods: Sequence[str], layer: Any, steps: int
) -> tuple[dict[str, list[np.ndarray]], np.ndarray | None]:
    """Return for each method the numbers of each text's words, and the gaps of integrated gradients.

    Args:
        layer: What gives a vector for each token, or, of a model that counts words, the vector of a text.
    """
    found: dict[str, list[np.ndarray]] = {}
    gaps = None
    for method in methods:
        if method == "occlusion":
            found[method] = [_falls(network, inputs, reading, targets, row) for row in range(len(targets))]
            continue
        field = _field(network, inputs, reading, targets, layer)
        if method == "integrated_gradients":
            made, gaps = integrated_gradients(field, steps)
            each = made if reading.entries is not None else made.sum(-1)
        else:
            made = saliency(field)
            each = made.abs() if reading.entries is not None else made.norm(dim=-1)
        values = each.double().cpu().numpy()
        found[method] = [_of_pieces(values[row], reading, row) for row in range(len(targets))]
    return found, gaps


def _field(network: Network, inputs: Any, reading: Reading, targets: np.ndarray, layer: Any) -> Field:
    with torch.no_grad():
        parts = [network.scores(rows_at(inputs, some), tap=layer)[1] for some in batches(rows_in(inputs))]
    # Texts of different batches may be read as rows of different lengths.
    longest = max(part.shape[1] for part in parts)
    parts = [torch.nn.functional.pad(one, (0,) * (2 * (one.ndim - 2)) + (0, longest - one.shape[1])) for one in parts]
    start = torch.cat(parts).float()
    base = torch.zeros_like(start)
    if reading.entries is None:
        # What fills up the rows stays: words go, not the emptiness behind them.
        for row, places in enumerate(reading.places):
            empty = torch.ones(start.shape[1], dtype=torch.bool)
            empty[[place for piece in places for place in piece]] = False
            base[row, empty] = start[row, empty]

    def score(points: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        return network.chosen(network.scores(rows_at(inputs, rows), put=(layer, points)), targets[rows])

    return Field(start, base, score)


def _of_pieces(values: np.ndarray, reading: Reading, row: int) -> np.ndarray:
    """Return what belongs to each piece of a text: the sum over its tokens, or its share of its entries."""
    if reading.entries is None:
        return np.array([values[places].sum() if places else 0.0 for places in reading.places[row]])
    often: dict[int, int] = {}
    for entries in reading.entries[row]:
        for entry in entries:
            often[entry] = often.get(entry, 0) + 1
    return np.array([sum(values[entry] / often[entry] for entry in entries) for entries in reading.entries[row]])


def _falls(network: Network, inputs: Any, reading: Reading, targets: np.ndarray, row: int) -> np.ndarray:
    """Return by how much the score of a text's answer falls without each of its words."""
    if not reading.pieces[row]:
        return np.zeros(0)
    without = reading.without(row)
    target = np.full(len(reading.pieces[row]), targets[row])
    with torch.no_grad():
        whole = network.chosen(network.scores(rows_at(inputs, slice(row, row + 1))), targets[row : row + 1])[0]
        parts = [network.chosen(network.scores(rows_at(without, some)), target[some]) for some in batches(len(target))]
    return (whole - torch.cat(parts)).double().cpu().numpy()
