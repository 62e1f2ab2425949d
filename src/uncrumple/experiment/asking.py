"""New rows for a trained network: from files of every kind, to answers in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import closest, explain, warn
from uncrumple.data.kinds.images import ENDINGS
from uncrumple.data.kinds.recognise import read_array
from uncrumple.experiment.chain import behind, forget
from uncrumple.experiment.folder import Run
from uncrumple.experiment.source import check_encoding

_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_ENDINGS = {
    "table": (*_TABLES, ".npy"),
    "images": (*ENDINGS, ".npy"),
    "text": (".txt", ".md", *_TABLES),
    "series": (*_TABLES, ".npy"),
}
# What is written on: dark ink on light ground has a bright middle.
_BRIGHT = 127


@dataclass
class Answers:
    """What a network answered.

    Args:
        labels: Which row each answer is for.
        words: The answers: names of classes, numbers, or texts.
        probabilities: Of each class; None where there are none.
        class_names: The classes.
        raw: The rows as the network took them.
    """

    labels: list[str]
    words: list[Any]
    probabilities: np.ndarray | None
    class_names: tuple[str, ...]
    raw: Any

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sure(self) -> list[float | None]:
        """The probability of each answer."""
        if self.probabilities is None:
            return [None] * len(self)
        return [float(one) for one in self.probabilities.max(axis=1)]

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the answers as plain data that JSON can hold."""
        rows = []
        for place, (label, words, sure) in enumerate(zip(self.labels, self.words, self.sure)):
            row: dict[str, Any] = {"row": label, "answer": words}
            if sure is not None and self.probabilities is not None:
                shares = self.probabilities[place].tolist()
                row |= {"probability": sure, "probabilities": dict(zip(self.class_names, shares))}
            rows.append(row)
        return rows


def ask(run: Run, files: Sequence[Path | str] = (), texts: Sequence[str] = (), encoding: str | None = None) -> Answers:
    """Return a run's answers for the rows in files.

    Args:
        run: What `read_run` returned.
        files: Tables, pictures, texts or arrays; for pictures and texts also folders of them.
        texts: Texts, for a network that reads texts.
        encoding: Of CSV and text files; None takes what their first bytes say, else UTF-8.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: A file is not what the network takes.
    """
    kind = run.preparation.kind
    if texts and kind != "text":
        raise ValueError(
            explain(
                f"A text was given, and the network was trained on {'a table' if kind == 'table' else kind}.",
                "Expected files.",
                f"uncrumple predict {run.folder} FILE",
            )
        )
    labels: list[str] = []
    pieces: list[Any] = []
    for path in map(Path, files):
        check_file(path, kind)
        if encoding is not None:
            check_encoding(path)
        raw = _read(run, path, kind, encoding)
        rows = len(next(iter(raw.values()))) if isinstance(raw, dict) else len(raw)
        names = _names(path, kind, rows)
        labels += names if names else [f"{path.name}, row {row}" for row in range(rows)]
        pieces.append(raw)
    if texts:
        pieces.append(run.preparation.read(list(texts)))
        labels += [f"text {place + 1}" for place in range(len(texts))]
    if isinstance(pieces[0], dict):
        raw = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    else:
        raw = np.concatenate(pieces)
    return answered(run.model, run.preparation, raw, labels)


def answered(model: Any, preparation: Any, raw: Any, labels: list[str]) -> Answers:
    """Return a model's answers to raw rows, in words."""
    outputs = np.asarray(model.predict(raw, batch_size=256, verbose=0))
    words = preparation.decode(outputs).tolist()
    probabilities = None
    if preparation.task == "classification":
        probabilities = np.concatenate([1 - outputs, outputs], axis=-1) if outputs.shape[-1] == 1 else outputs
    return Answers(labels, words, probabilities, preparation.class_names, raw)


def check_text(preparation: Any, text: str) -> None:
    """Say which characters of a text a language model never saw: it goes on as if they were not there.

    Raises:
        ValueError: It saw none of them.
    """
    known = set(preparation.vocabulary)
    unknown = list(dict.fromkeys(sign for sign in text if sign not in known and not sign.isspace()))
    if not unknown:
        return
    said = ", ".join(map(repr, unknown[:10])) + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
    if not known.intersection("".join(text.split())):
        learnt = "".join(sorted(sign for sign in known if not sign.isspace()))
        raise ValueError(
            explain(
                f"{text[:40]!r} has no character that the network has learnt.",
                f"Expected some of {learnt[:100]}{'...' if len(learnt) > 100 else ''}",
                "a text in the letters that it was trained on",
            )
        )
    warn(
        f"The network never saw {said}: left out of the text that it goes on from.",
        "Expected characters of the text that it was trained on.",
        "leave them out, or write them in its letters",
    )


def continued(model: Any, text: str, length: int = 200, temperature: float = 0.7, seed: int = 0) -> str:
    """Return how a language model goes on from a text, drawn character by character.

    Args:
        model: Trained on a text; it takes raw texts.
        text: What comes before.
        length: How many characters to draw.
        temperature: Above 0: the lower, the more often the most probable is drawn.
        seed: The same seed draws the same.
    """
    import torch

    cut = behind(model)
    assert cut is not None
    preparation, inner = cut
    steps = preparation.length  # type: ignore[attr-defined]
    random = np.random.default_rng(seed)
    # What the vocabulary does not have is left out: place 1, "unknown", was never learnt.
    codes = [code for code in preparation.prepare(np.array([text or "\n"], dtype=object))[0].tolist() if code > 1]
    codes = codes or [2]
    out: list[str] = []
    try:
        with torch.no_grad():
            for _ in range(length):
                window = ([2] * (steps - len(codes)) + codes)[-steps:]
                place = min(len(codes), steps)
                if place < steps:  # the network has only seen whole stretches: what is short stands at their start
                    window = codes + [2] * (steps - len(codes))
                shares = inner(torch.tensor([window]), training=False)[0, place - 1].double().numpy()
                logits = np.log(np.maximum(shares, 1e-12)) / temperature
                weights = np.exp(logits - logits.max())
                drawn = int(random.choice(len(weights), p=weights / weights.sum()))
                character = preparation.class_names[drawn]
                out.append(character)
                codes.append(preparation.vocabulary.index(character) + 2 if character in preparation.vocabulary else 1)  # type: ignore[attr-defined]
    finally:
        forget(inner)
    return "".join(out)


def check_file(path: Path, kind: str) -> None:
    """Refuse a file that is not there, or by its name not of the kind that a network was trained on.

    Raises:
        FileNotFoundError, ValueError: It is such.
    """
    if not path.exists():
        near = closest(path.name, [other.name for other in path.parent.glob("*")]) if path.parent.is_dir() else None
        raise FileNotFoundError(
            explain(
                f"{path} is not there.",
                f"Expected a file ending in {', '.join(_ENDINGS[kind][:4])}, ...",
                f"did you mean {path.parent / near}?" if near else "check the path",
            )
        )
    if path.is_dir() and kind in ("images", "text"):
        return
    if path.is_dir() or path.suffix.lower() not in _ENDINGS[kind]:
        what = "is a folder" if path.is_dir() else f"ends in '{path.suffix}'"
        raise ValueError(
            explain(
                f"{path} {what}, and the network was trained on {'a table' if kind == 'table' else kind}.",
                f"Expected a file ending in {', '.join(_ENDINGS[kind])}.",
                "convert it to one of these",
            )
        )


def _read(run: Run, path: Path, kind: str, encoding: str | None) -> Any:
    preparation: Any = run.preparation
    if path.suffix.lower() == ".npy" and not path.is_dir():
        return _array(run, path, kind)
    if kind == "text":
        return preparation.read(path, text=run.settings["source"]["options"].get("text"), encoding=encoding)
    if kind != "images":
        return preparation.read(path, encoding=encoding)
    drawn = run.settings.get("pictures")
    return _as_drawn(preparation.read(path), drawn) if drawn else preparation.read(path)


def _names(path: Path, kind: str, rows: int) -> list[str]:
    """Return labels for rows that are files of their own; empty for rows of one file."""
    endings = ENDINGS if kind == "images" else (".txt",)
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.suffix.lower() in endings)
        return [str(one.relative_to(path)) for one in found]
    return [path.name] if rows == 1 and path.suffix.lower() not in _TABLES else []


def _as_drawn(raw: np.ndarray, drawn: dict[str, Any]) -> np.ndarray:
    """Bring pictures from files to the scale of training pictures that were numbers.

    Digits are light ink on dark ground, with a scale of their own; photographs of ink are the other way round.
    """
    pixels = raw.astype(np.float32)
    if drawn["dark_ground"]:
        bright = np.median(pixels.reshape(len(pixels), -1), axis=1) > _BRIGHT
        pixels[bright] = 255 - pixels[bright]
    return pixels * (float(drawn["largest"]) / 255.0)


def _array(run: Run, path: Path, kind: str) -> Any:
    preparation: Any = run.preparation
    values = read_array(path)
    if kind == "table":
        columns = [column["name"] for column in preparation.columns]
        values = values[None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] != len(columns) or values.dtype.kind not in "biuf":
            raise ValueError(
                explain(
                    f"{path} holds {values.dtype} values of shape {values.shape}.",
                    f"Expected numbers of shape (rows, {len(columns)}): {', '.join(columns[:6])}.",
                    "a CSV file with these columns",
                )
            )
        return preparation.read({name: values[:, place] for place, name in enumerate(columns)})
    if kind == "images" and values.shape == tuple(preparation.sample_shape):
        values = values[None]
    if kind == "images" and values.ndim == 2:
        values = values[None]
    return preparation.read(values)
