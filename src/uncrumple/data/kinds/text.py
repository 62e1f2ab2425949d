"""`Text`: sentences with a label, speeches with a speaker, or plain text to be continued."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.shapes import in_words
from uncrumple.data.folders import find
from uncrumple.data.kinds.base import RawData, answers_of
from uncrumple.data.kinds.columns import as_numbers, as_words, is_missing
from uncrumple.data.kinds.delimited import decode, missing_file
from uncrumple.data.kinds.prepare_text import TextPreparation, fitted
from uncrumple.data.kinds.roles import times_in
from uncrumple.data.kinds.table import read_columns

# A line that says who speaks next: after a blank one, a short name, a colon, and nothing after it.
_SPEAKER = re.compile(r"(?:\A|\n[ \t]*\n)([^\W\d_][^:\n]{0,48}):[ \t]*(?=\n)")
_TABLES = (".csv", ".tsv", ".parquet", ".pq")


class Text(RawData):
    """Texts with a class or a number for each, or one text whose next character is asked for.

    Args:
        source: A folder with a folder of .txt files for each class; a CSV or Parquet file or a data
            frame (`text` and `target` name columns); a text file in which a line "NAME:" stands before
            what is said (`speakers=True`); any other text file, to be modelled; or a list of texts.
        labels: The answer to each text of a list.
        text: The column that holds the texts.
        target: The column that holds the answers.
        speakers: Whether to ask who says what in the file.
        most_speakers: Only those who speak most often are asked about: at most so many.
        steps: Characters in a stretch of text that is to be modelled.
        groups: A column, or one value per text: what belongs together, such as the author.
        time: A column, or one value per text: when it was written.
        task: `"classification"`, `"regression"` or `"language"`; None tells by what is given.
        class_names: Names for labels that are whole numbers from 0.
        encoding: Of files; None takes what their first bytes say, else UTF-8.
        name: What the data is called.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: A file is not text, or a column is not there.

    Example:
        >>> texts = Text(["a fine day", "so bad", "fine", "bad bad day"], ["good", "bad", "good", "bad"])
        >>> texts.class_names, texts.y.tolist()
        (('bad', 'good'), [1, 0, 1, 0])
    """

    kind = "text"

    def __init__(
        self,
        source: Any,
        labels: Any = None,
        *,
        text: str | None = None,
        target: str | None = None,
        speakers: bool = False,
        most_speakers: int = 10,
        steps: int = 100,
        groups: Any = None,
        time: Any = None,
        task: str | None = None,
        class_names: Sequence[str] | None = None,
        encoding: str | None = None,
        name: str | None = None,
    ) -> None:
        for argument, value, least in (("most_speakers", most_speakers, 2), ("steps", steps, 1)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(
                    explain(
                        f"Text got {argument}={value!r}.",
                        f"Expected a whole number of at least {least}.",
                        f"{argument}={least * 10}",
                    )
                )
        notes: list[str] = []
        y: np.ndarray | None = None
        names: tuple[str, ...] = ()
        times = None
        asked = target or ""
        answered: str | None = None
        self.characters = ""
        path = Path(source) if isinstance(source, (str, os.PathLike)) else None
        if path is not None and not path.exists():
            raise missing_file(path, "a text, a table, or a folder of texts")
        if text is not None or target is not None or (path is not None and path.suffix.lower() in _TABLES):
            texts, labels, groups, times = _from_table(source, encoding, text, target, groups, time, notes)
        elif path is not None and path.is_dir():
            files, numbers, found = find("Text", str(path), "inferred", (".txt",), class_names, False, 0, True, False)
            texts = [decode(Path(one).read_bytes(), one, encoding)[0] for one in files]
            labels, class_names, asked = numbers, found, "class of the text"
        elif path is not None:
            content = decode(path.read_bytes(), path.name, encoding)[0].replace("\r\n", "\n")
            if speakers:
                texts, labels = _speeches(content, most_speakers, path.name, notes)
                asked = "who says it"
            else:
                texts, y, self.characters = _stretches(content, int(steps), path.name)
                answered, names, asked = "language", tuple(self.characters), "the next character"
                times = np.arange(len(texts), dtype=np.float64)
        else:
            texts = [str(one) for one in np.asarray(source, dtype=object).reshape(-1).tolist()]
            if task == "language":
                texts, y, self.characters = _stretches("\n".join(texts), int(steps), "Text")
                answered, names, asked = "language", tuple(self.characters), "the next character"
                times = np.arange(len(texts), dtype=np.float64)
        if answered is None and labels is not None:
            if len(labels) != len(texts):
                raise ValueError(
                    explain(
                        f"Text got {len(texts)} texts and {len(labels)} labels.",
                        "Expected one for each.",
                        f"labels[:{len(texts)}]",
                    )
                )
            y, answered, names = answers_of(labels, task, class_names, "Text")
        if time is not None and times is None:
            times = np.asarray(time)
        self._texts = np.empty(len(texts), dtype=object)
        self._texts[:] = texts
        super().__init__(
            name=name or (path.stem if path is not None else "text"),
            target=asked or ("class of the text" if answered == "classification" else "value of the text"),
            task=answered,
            y=y,
            class_names=names,
            groups=None if groups is None else np.asarray(groups),
            times=times,
            notes=notes,
        )

    @property
    def raw(self) -> np.ndarray:
        """The texts, as an array of `str`."""
        return self._texts

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self),) if self.task != "language" else (len(self), len(self._texts[0]))

    def __len__(self) -> int:
        return len(self._texts)

    def shape_in_words(self) -> str:
        if self.task == "language":
            return in_words(self.shape).replace("features", "characters")
        return f"{self.shape}: samples"

    def _details(self) -> list[str]:
        if self.task == "language":
            return [f"{len(self.characters)} different characters"]
        lengths = np.array([len(one.split()) for one in self._texts.tolist()])
        return [f"texts of {lengths.min()} to {lengths.max():,} words, half of them at most {np.median(lengths):g}"]

    def _take_raw(self, rows: np.ndarray) -> None:
        self._texts = self._texts[rows]

    def _bytes(self) -> list[bytes]:
        return ["\x1f".join(self._texts.tolist()).encode("utf-8", "surrogatepass")]

    def decode(self, y: Any) -> np.ndarray:
        """Return answers in words; of a language model, the characters as texts, one for each row."""
        if self.task != "language":
            return super().decode(y)
        from uncrumple.data.kinds.prepare_text import as_texts

        return as_texts(y, self.class_names)

    def preparation(self, train_rows: Any = None) -> TextPreparation:
        """Return the layer that turns texts into numbers, with the vocabulary of the training rows alone."""
        rows = self._rows(train_rows)
        return TextPreparation(**fitted(rows.raw, self.task == "language"), meaning=rows._meaning())


def _from_table(
    source: Any, encoding: str | None, text: Any, target: Any, groups: Any, time: Any, notes: list[str]
) -> Any:
    found = read_columns(source, encoding=encoding)
    for column in (text, target, *(one for one in (groups, time) if isinstance(one, str))):
        if column is not None and column not in found:
            raise ValueError(unknown_name("column", str(column), found))
    if text is None:
        longest = {
            column: float(np.mean([len(value) for value in values.tolist()]))
            for column, values in found.items()
            if values.dtype.kind != "f" and column != target
        }
        if not longest:
            raise ValueError(
                explain(
                    "Text got a table without a column of texts.",
                    "Expected the column that holds them.",
                    "text='review'",
                )
            )
        text = max(longest, key=longest.__getitem__)
        notes.append(f"Took '{text}' for the texts: its values are the longest.")
    keep = ~is_missing(as_words(found[text]))
    if target is not None:
        keep &= ~is_missing(as_words(found[target]))
    if not keep.all():
        notes.append(f"Left out {int((~keep).sum()):,} rows without a text or an answer.")
    texts = as_words(found[text])[keep].tolist()
    labels = None
    if target is not None:
        numbers = as_numbers(found[target])
        labels = (as_words(found[target]) if numbers is None else numbers)[keep]
    if isinstance(groups, str):
        groups = as_words(found[groups])[keep].astype(str)
    times = times_in(found[time], time)[keep] if isinstance(time, str) else None
    return texts, labels, groups, times


def _speeches(content: str, most: int, name: str, notes: list[str]) -> tuple[list[str], np.ndarray]:
    """Return what is said, and by whom."""
    marks = list(_SPEAKER.finditer(content))
    ends = [mark.start() for mark in marks[1:]] + [len(content)]
    found = [(mark[1].strip(), content[mark.end() : end].strip()) for mark, end in zip(marks, ends)]
    found = [(who, said) for who, said in found if said]
    counts = Counter(who for who, _ in found)
    chosen = [who for who, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count > 1][:most]
    if len(chosen) < 2:
        raise ValueError(
            explain(
                f"{name} has {len(marks)} lines such as 'NAME:', and fewer than two speakers who speak twice.",
                "Expected a name and a colon on a line of its own before what is said.",
                "Text(path), to model the text itself",
            )
        )
    left = len(found) - sum(counts[who] for who in chosen)
    if left:
        notes.append(
            f"Left out {left:,} speeches of {len(counts) - len(chosen):,} who speak less often (most_speakers={most})."
        )
    kept = [(who, said) for who, said in found if who in chosen]
    return [said for _, said in kept], np.array([who for who, _ in kept], dtype=object)


def _stretches(content: str, steps: int, name: str) -> tuple[list[str], np.ndarray, str]:
    """Return stretches of a text, the characters that follow theirs as numbers, and all characters."""
    if len(content.strip()) < 3:
        raise ValueError(explain(f"{name} is empty.", "Expected a text to learn from.", "check the file"))
    if len(content) < 2 * steps + 1:
        raise ValueError(
            explain(
                f"{name} has {len(content):,} characters.",
                f"Expected more than {2 * steps + 1:,}: at least two stretches of steps={steps}.",
                f"steps={max(1, len(content) // 10)}",
            )
        )
    characters = "".join(sorted(set(content)))
    places = {character: place for place, character in enumerate(characters)}
    codes = np.array([places[character] for character in content], np.int64)
    count = (len(content) - 1) // steps
    texts = [content[place * steps : (place + 1) * steps] for place in range(count)]
    y = codes[1 : count * steps + 1].reshape(count, steps)
    return texts, y, characters
