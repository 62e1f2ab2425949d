"""CSV files and their relatives, read strictly: what is wrong is named by line and byte.

Nothing is guessed that could be silently wrong. A file that is not UTF-8 is
read as something else only if it says so itself (by its first bytes) or the
user does.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from pathlib import Path

import numpy as np

from uncrumple.core.errors import closest, explain

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# How files begin that are no text, and are often taken for one.
_NOT_TEXT = (
    (b"PK\x03\x04", "a zip archive or an Excel sheet", "save the sheet as CSV, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "an Excel sheet or a Word document", "save it as CSV, or as text"),
    (b"%PDF", "a PDF document", "save what is in it as text or CSV"),
    (b"\x89PNG", "a PNG picture", "a folder of pictures, in place of one"),
    (b"\xff\xd8\xff", "a JPEG picture", "a folder of pictures, in place of one"),
    (b"\x1f\x8b", "packed with gzip", "unpack it first: gunzip"),
    (b"PAR1", "a Parquet table", "rename it: its name must end in .parquet"),
)
_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_RECORDS = 100


def read_delimited(
    path: str | os.PathLike[str], delimiter: str | None = None, encoding: str | None = None
) -> dict[str, np.ndarray]:
    """Return the columns of a delimited text file as arrays of `str`, stripped of spaces around them.

    Args:
        path: The file. Its first line names the columns; where all of it is numbers there are no
            names, and the columns are called "column 1", "column 2", ...
        delimiter: What stands between fields; None finds it out: `,`, `;`, tab or `|`.
        encoding: Such as `"cp1252"`; None takes what the first bytes say, else UTF-8.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A byte is not of the encoding, a line has too many or too few fields, or a quote
            is not closed. Messages name the line and the byte.
    """
    path = Path(path)
    if not path.is_file():
        raise missing_file(path, "a table")
    content = path.read_bytes()
    text, encoding, skipped = decode(content, path.name, encoding)
    lines = list(io.StringIO(text, newline=""))
    if delimiter is None:
        delimiter = _sniffed(lines)
    records, numbers = _records(lines, delimiter, path.name, encoding, skipped)
    if not records:
        raise ValueError(explain(f"{path.name} has no lines.", "Expected a line of names, and rows.", "check the file"))
    header = [name.strip() for name in records[0]]
    if all(_is_number(name) for name in header):
        header = [f"column {place + 1}" for place in range(len(header))]
    else:
        records, numbers = records[1:], numbers[1:]
        header = [name or f"column {place + 1}" for place, name in enumerate(header)]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            explain(f"{path.name} has two columns called '{twice}'.", "Expected different names.", "rename one of them")
        )
    if not records:
        raise ValueError(
            explain(f"{path.name} has names of columns, and no rows.", "Expected at least one row.", "check the file")
        )
    for record, number in zip(records, numbers):
        if len(record) != len(header):
            offset = _offset(lines, number, encoding, skipped)
            raise ValueError(
                explain(
                    f"{path.name}, line {number + 1} (byte {offset:,}) has {len(record)} fields, "
                    f"and the first line {len(header)}.",
                    f"Expected as many on every line, with {delimiter!r} between them.",
                    "mend that line: a field that holds the delimiter needs quotes around it",
                )
            )
    return columns_of(header, records)


def columns_of(header: list[str], records: list[list[str]]) -> dict[str, np.ndarray]:
    """Return records as columns of words, without the blanks around them."""
    made = {}
    for name, values in zip(header, zip(*records)):
        column = np.empty(len(values), dtype=object)
        column[:] = [value.strip() for value in values]
        made[name] = column
    return made


def decode(content: bytes, name: str, encoding: str | None = None) -> tuple[str, str, int]:
    """Return the text in the content of a file, its encoding, and how many bytes of a mark were skipped.

    Raises:
        ValueError: A byte is not of the encoding, and the message names its place; or the file is of another kind.
        LookupError: There is no such encoding.
    """
    skipped = 0
    for start, what, fix in _NOT_TEXT:
        if content.startswith(start):
            raise ValueError(explain(f"{name} is {what}.", "Expected a CSV or text file.", fix))
    if encoding is None:
        mark, encoding = next(((mark, found) for mark, found in _MARKS if content.startswith(mark)), (b"", "utf-8"))
        skipped = len(mark)
        if not mark and len(content) >= 4 and (content[1:2] == b"\0" or content[:1] == b"\0"):
            encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    else:
        codecs.lookup(encoding)
        if content.startswith(codecs.BOM_UTF8) and codecs.lookup(encoding).name == "utf-8":
            skipped = len(codecs.BOM_UTF8)
    try:
        text = content[skipped:].decode(encoding)
    except UnicodeDecodeError as error:
        place = skipped + error.start
        line = content[:place].count(b"\n") + 1
        raise ValueError(
            explain(
                f"{name}, line {line}: byte {place:,} (0x{content[place]:02x}) is not {encoding.upper()}.",
                f"Expected {encoding.upper()} text.",
                'encoding="cp1252" for files of older Windows programs, or save it as UTF-8',
            )
        ) from None
    if "\0" in text:
        place = skipped + len(text[: text.index("\0")].encode(encoding))
        raise ValueError(
            explain(
                f"{name}: byte {place:,} is 0, as in no text.",
                "Expected text; this is another kind of file.",
                "Table('data.parquet') for Parquet, Images(...) for IDX; or encoding='utf-16'",
            )
        )
    return text, encoding, skipped


def missing_file(path: Path, what: str) -> FileNotFoundError:
    """Return the error for a file that is not there, with the nearest name that is."""
    beside = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
    guess = closest(path.name, beside)
    return FileNotFoundError(
        explain(
            f"{path} is a folder." if path.is_dir() else f"{path} is not there.",
            f"Expected {what}.",
            f"did you mean {str(path.parent / guess)!r}?" if guess and not path.is_dir() else "check the path",
        )
    )


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _sniffed(lines: list[str]) -> str:
    """Return the delimiter that gives most fields of the same number on the first lines."""
    best, most = ",", (0.0, 1)
    for delimiter in _DELIMITERS:
        counts: list[int] = []
        try:
            for record in csv.reader(iter(lines), delimiter=delimiter):
                if record:
                    counts.append(len(record))
                if len(counts) >= _SNIFFED_RECORDS:
                    break
        except csv.Error:
            continue
        if counts and counts[0] > 1:
            same = sum(count == counts[0] for count in counts) / len(counts)
            if (same, counts[0]) > most:
                best, most = delimiter, (same, counts[0])
    return best


def _records(
    lines: list[str], delimiter: str, name: str, encoding: str, skipped: int
) -> tuple[list[list[str]], list[int]]:
    """Return the records that are not blank, and the number of the line on which each begins."""
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    records, numbers, begin = [], [], 0
    try:
        for record in reader:
            if record:
                records.append(record)
                numbers.append(begin)
            begin = reader.line_num
    except csv.Error as error:
        said = str(error)
        problem = "a quote that is opened and never closed" if "unexpected end" in said else said
        fix = 'write a quote within quotes twice: "she said ""no"""'
        if "field larger" in said:
            problem, fix = f"a field of more than {csv.field_size_limit():,} characters", "csv.field_size_limit(10**7)"
        offset = _offset(lines, begin, encoding, skipped)
        raise ValueError(
            explain(
                f"{name}, line {begin + 1} (byte {offset:,}) has {problem}.",
                f"Expected fields with {delimiter!r} between them.",
                fix,
            )
        ) from None
    return records, numbers


def _offset(lines: list[str], line: int, encoding: str, skipped: int) -> int:
    """Return the byte at which a line begins."""
    return skipped + sum(len(text.encode(encoding)) for text in lines[:line])
