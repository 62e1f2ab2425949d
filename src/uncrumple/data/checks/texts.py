"""What goes wrong with texts: empty ones, broken encodings, mark-up, and the answer in the text."""

from __future__ import annotations

import re

import numpy as np

from uncrumple.data.checks.clock import CannotRunError, Clock
from uncrumple.data.checks.features import learnable
from uncrumple.data.checks.report import Finding, share
from uncrumple.data.checks.values import SHOWN
from uncrumple.data.checks.view import Part, View

_GARBAGE_SHARE = 0.001
_MARKUP_SHARE = 0.05
# UTF-8 read as Latin-1 or Windows-1252 (Ã©, â€™), what could not be decoded, and control characters.
_GARBAGE = re.compile("Ã[\x80-\xbf¡-¿]|â€[\x80-\xbf™œ“”˜¦]|Â[\xa0-\xbf]|�|[\x00-\x08\x0e-\x1f]")
_MARKUP = re.compile(r"<(?:br|p|div|span|a|b|i|img|li|ul|h[1-6])\b[^>]*>|&(?:amp|lt|gt|quot|nbsp|#\d+);", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_RECALL = 0.95
_PRECISION = 0.99
_OWN_NAME = 0.5
_OWN_TIMES = 10.0
_WINDOW = 60
_OVERLAP = 0.01
_LEAST_WORDS = 10


def empty_texts(view: View, clock: Clock) -> list[Finding]:
    """Find texts without a letter or digit."""
    found = []
    for part in _texts(view):
        rows = [row for row, text in enumerate(part.x) if not any(sign.isalnum() for sign in text)]
        if rows:
            found.append(
                Finding(
                    "empty-texts",
                    "warning",
                    f"{share(len(rows), len(part))} texts of the {part.name} part hold no word.",
                    len(rows),
                    0,
                    "texts",
                    "There is nothing to learn from them, and their label is learnt as that of nothing.",
                    "leave them out",
                    tuple(rows[:SHOWN]),
                    part.name,
                )
            )
    return found


def _texts(view: View) -> tuple[Part, ...]:
    if view.kind != "text":
        raise CannotRunError("the data are no texts")
    return view.parts


def broken_encoding(view: View, clock: Clock) -> list[Finding]:
    """Find texts that were read in another encoding than they were written in, and left-over mark-up."""
    found = []
    for part in _texts(view):
        for pattern, limit, what, why, try_this in (
            (
                _GARBAGE,
                _GARBAGE_SHARE,
                "signs of a broken encoding",
                "The network learns words that nobody writes, and misses those that are written.",
                "read the file with encoding='utf-8', or as what it was written in",
            ),
            (
                _MARKUP,
                _MARKUP_SHARE,
                "HTML mark-up",
                "The network reads tags as words.",
                "html.unescape(re.sub(r'<[^>]+>', ' ', text)) for each text",
            ),
        ):
            hits = [
                (row, match.group())
                for row, text in enumerate(clock.within(part.x, 1024))
                if (match := pattern.search(text))
            ]
            if len(hits) > limit * len(part):
                found.append(
                    Finding(
                        "broken-encoding" if pattern is _GARBAGE else "mark-up",
                        "warning" if pattern is _GARBAGE else "note",
                        f"{share(len(hits), len(part))} texts of the {part.name} part hold {what}, "
                        f"such as {hits[0][1]!r}.",
                        len(hits) / len(part),
                        limit,
                        "of the texts",
                        why,
                        try_this,
                        tuple(row for row, _ in hits[:SHOWN]),
                        part.name,
                    )
                )
    return found


def label_words(view: View, clock: Clock) -> list[Finding]:
    """Find words that give the class away: one that only and almost always one class has, or the class's own name."""
    _texts(view)
    part = view.train
    if view.task != "classification":
        raise CannotRunError("there are no classes")
    kept, codes = learnable(view.codes(part), 5)
    rows: dict[str, list[int]] = {}
    for place, row in enumerate(kept):
        if place % 2000 == 0:
            clock.need_time()
        for word in set(_WORD.findall(part.x[row].casefold())):
            rows.setdefault(word, []).append(place)
    sizes = np.bincount(codes)
    names = [view.class_name(int(code)) for code in np.unique(view.codes(part)[kept])]
    found: dict[int, tuple[str, float, float, float, str]] = {}
    for word, places in rows.items():
        if len(places) < _LEAST_WORDS:
            continue
        counts = np.bincount(codes[places], minlength=len(sizes))
        kind = int(counts.argmax())
        precision, recall = counts[kind] / len(places), counts[kind] / sizes[kind]
        others = (len(places) - counts[kind]) / max(1, len(codes) - sizes[kind])
        own = word in _WORD.findall(names[kind].casefold()) and len(word) > 2
        if precision >= _PRECISION and recall >= _RECALL:
            number, limit, measure = float(recall), _RECALL, "of its class have the word, and no other class"
        elif own and recall >= _OWN_NAME and recall >= _OWN_TIMES * others:
            number, limit, measure = float(recall), _OWN_NAME, "of the class's texts hold its name"
        else:
            continue
        if kind not in found or found[kind][1] < number:
            found[kind] = (word, number, limit, float(precision), measure)
    return [
        Finding(
            "label-words",
            "warning",
            f"The word '{word}' gives class '{names[kind]}' away: {100 * number:.0f} % of its texts hold it, and "
            f"{100 * precision:.0f} % of the texts that hold it are of that class.",
            number,
            limit,
            measure,
            "The answer stands in the text, as a heading or a tag, and will not in new texts.",
            f"take the word out of the texts: re.sub(r'\\b{word}\\b', '', text), or cut the line it is in",
            part=part.name,
            columns=(word,),
        )
        for kind, (word, number, limit, precision, measure) in sorted(found.items())
    ]


def text_overlap(view: View, clock: Clock) -> list[Finding]:
    """Find passages of a part of running text that stand in the training part as well."""
    _texts(view)
    parts = view.need_parts()
    train = " ".join(" ".join(text.split()) for text in view.train.x)
    if len(train) < 20 * _WINDOW:
        raise CannotRunError(f"it needs {20 * _WINDOW} characters to learn from")
    if len(train) > 20_000_000:
        clock.remark("on the first 20,000,000 characters of the training part")
        train = train[:20_000_000]
    known = {hash(train[place : place + _WINDOW]) for place in clock.within(range(len(train) - _WINDOW + 1), 65_536)}
    found = []
    for part in parts:
        clock.need_time()
        texts = [" ".join(text.split()) for text in clock.within(part.x)]
        windows = [
            (row, text[place : place + _WINDOW])
            for row, text in enumerate(clock.within(texts, 1024))
            for place in range(0, len(text) - _WINDOW + 1, _WINDOW)
        ]
        shared = [(row, window) for row, window in windows if hash(window) in known]
        if len(windows) >= 20 and len(shared) > _OVERLAP * len(windows):
            found.append(
                Finding(
                    "text-overlap",
                    "error",
                    f"{share(len(shared), len(windows))} passages of {_WINDOW} characters of the {part.name} part stand "
                    f"in the training part too, such as {shared[0][1][:40]!r}...",
                    len(shared) / len(windows),
                    _OVERLAP,
                    "of the passages",
                    "The network has learnt them by heart, and the test asks for what it has read.",
                    "split by document, or cut the text once; leave out copies",
                    tuple(dict.fromkeys(row for row, _ in shared))[:SHOWN],
                    part.name,
                )
            )
    return found
