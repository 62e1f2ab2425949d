"""Any data set of OpenML or Hugging Face by its name, through their own clients."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from uncrumple.core.errors import explain, unknown_name
from uncrumple.data.kinds import Images, RawData, Table, Text

_DONE = "complete"
_OFFLINE = "HF_HUB_OFFLINE"
_LABELS = ("label", "labels", "target", "class", "fine_label", "answer")
_TEST, _UNLABELLED = "test", ("unsupervised", "unlabeled")


def from_openml(name: str, *, folder: Path, offline: bool = False, target: str | None = None, **more: Any) -> RawData:
    """Return a data set of openml.org as a `Table`, through scikit-learn's client.

    Args:
        name: Its name or number there; `@2` behind it for its second version.
        folder: Where its files are kept.
        offline: Whether only what was downloaded before is used.
        target: The column to be predicted; None takes what OpenML says.
        **more: What `Table` takes.

    Raises:
        ValueError: There is no such data set.
        ConnectionError: OpenML did not answer.
        FileNotFoundError: `offline`, and it was not downloaded before.
    """
    from sklearn.datasets import fetch_openml

    wanted, _, version = name.partition("@")
    if version and not version.isdecimal():
        raise ValueError(
            explain(f"OpenML got the version {version!r} of {wanted}.", "Expected a number.", f"'openml:{wanted}@1'")
        )
    done = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.{_DONE}"
    if offline and not done.is_file():
        raise FileNotFoundError(
            explain(
                f"openml:{name} was not downloaded to {folder} before.",
                "Expected its files there, as offline=True was given.",
                f"load('openml:{name}') once with a network",
            )
        )
    which: dict[str, Any] = {"data_id": int(wanted)} if wanted.isdecimal() else {"name": wanted}
    if "name" in which:
        which["version"] = int(version) if version else "active"
    try:
        found = fetch_openml(**which, as_frame=True, parser="auto", data_home=str(folder))
    except (ValueError, KeyError) as error:
        raise ValueError(
            explain(
                f"OpenML has no data set {name!r} that can be read as a table: {str(error).splitlines()[0]}",
                "Expected a name or number as on openml.org.",
                "load('openml:credit-g'), or by number: load('openml:31')",
            )
        ) from None
    except (OSError, RuntimeError) as error:  # urllib's errors are OSErrors
        raise _no_answer("OpenML", name, error) from None
    folder.mkdir(parents=True, exist_ok=True)
    done.touch()
    targets = list(getattr(found, "target_names", None) or [])
    frame = found.frame
    if target is None and len(targets) > 1:
        raise ValueError(
            explain(
                f"openml:{name} has {len(targets)} columns of answers: {', '.join(targets[:6])}.",
                "Expected one.",
                f"load('openml:{name}', target={targets[0]!r})",
            )
        )
    data = Table(frame, target if target is not None else (targets[0] if targets else None), **more)
    details = getattr(found, "details", None) or {}
    data.name = str(details.get("name", wanted))
    data.description = _first_sentence(getattr(found, "DESCR", "") or "")
    data.licence = str(details.get("licence", "not stated"))
    data.source = f"openml.org, number {details.get('id', wanted)}, version {details.get('version', version or '?')}"
    return data


def from_huggingface(
    name: str,
    *,
    folder: Path,
    offline: bool = False,
    target: str | None = None,
    text: str | None = None,
    **more: Any,
) -> RawData:
    """Return a data set of huggingface.co as `Images`, `Text` or a `Table`, through the client `datasets`.

    Pictures and texts are told by the types of the columns. All parts with answers are put
    together; the rows of the part called test are `test_rows`. No code of the data set's is run.

    Args:
        name: `"owner/name"`, or `"owner/name:configuration"`.
        folder: Where its files are kept.
        offline: Whether only what was downloaded before is used.
        target: The column to be predicted; None takes the one that holds classes.
        text: The column that holds texts; None takes the one with the longest.
        **more: What the kind takes.

    Raises:
        ImportError: The package `datasets` is not installed.
        ValueError: There is no such data set, or no such column.
        ConnectionError: Hugging Face did not answer, or, `offline`, it was not downloaded before.
    """
    try:
        from datasets import DownloadConfig, load_dataset
    except ImportError:
        raise ImportError(
            explain(
                f"huggingface:{name} needs the package datasets, which is not installed.",
                "Expected datasets.",
                "pip install 'uncrumple[huggingface]'",
            )
        ) from None
    path, _, configuration = name.partition(":")
    try:
        with _without_network(offline):
            found = load_dataset(
                path,
                configuration or None,
                cache_dir=str(folder),
                download_config=DownloadConfig(local_files_only=offline),
            )
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not offline:
            raise _not_there(name, error) from None
        raise _no_answer("Hugging Face", name, error) from None
    except (ValueError, RuntimeError) as error:  # the latter where a set is a program, which is not run
        raise _not_there(name, error) from None
    parts = {str(part): rows for part, rows in found.items()} if hasattr(found, "items") else {"train": found}
    parts = {part: rows for part, rows in parts.items() if part not in _UNLABELLED and len(rows)}
    if not parts:
        raise ValueError(explain(f"huggingface:{name} has no rows.", "Expected some.", "another configuration"))
    first = next(iter(parts.values()))
    columns = dict(first.features)
    for column in (target, text):
        if column is not None and column not in columns:
            raise ValueError(unknown_name("column", column, columns))
    kinds = {column: type(feature).__name__ for column, feature in columns.items()}
    if target is None:
        classes = [column for column, kind in kinds.items() if kind == "ClassLabel"]
        known = [column for column in _LABELS if column in columns]
        target = classes[0] if len(classes) == 1 else known[0] if known else None
    joined = {column: [value for rows in parts.values() for value in rows[column]] for column in columns}
    tested = np.concatenate([np.full(len(rows), part == _TEST) for part, rows in parts.items()])
    if target is not None and kinds[target] == "ClassLabel":
        more.setdefault("class_names", list(columns[target].names))
        hidden = np.array([value is None or value < 0 for value in joined[target]])
        if hidden.any():  # the answers of some test parts are kept secret
            keep = np.flatnonzero(~hidden)
            joined = {column: [values[row] for row in keep] for column, values in joined.items()}
            tested = tested[keep]
    data = _of_kind(joined, kinds, columns, target, text, more)
    data.name = path.rpartition("/")[2]
    if tested.any() and not tested.all() and len(tested) == len(data):
        data.test_rows = np.flatnonzero(tested)
    about = getattr(first, "info", None)
    data.description = _first_sentence(getattr(about, "description", "") or "")
    data.licence = str(getattr(about, "license", "") or "not stated: see its page")
    data.source = f"huggingface.co/datasets/{path}"
    return data


@contextlib.contextmanager
def _without_network(offline: bool) -> Iterator[None]:
    """Let the client of Hugging Face ask nobody within the block: its settings are read when it is imported."""
    modules = [sys.modules.get(name) for name in ("huggingface_hub.constants", "datasets.config")]
    known = [module for module in modules if offline and module is not None and hasattr(module, _OFFLINE)]
    before = [getattr(module, _OFFLINE) for module in known]
    try:
        for module in known:
            setattr(module, _OFFLINE, True)
        yield
    finally:
        for module, value in zip(known, before):
            setattr(module, _OFFLINE, value)


def _of_kind(joined: dict, kinds: dict, columns: dict, target: str | None, text: str | None, more: dict) -> RawData:
    labels = None if target is None else joined[target]
    pictures = [column for column, kind in kinds.items() if kind == "Image"]
    if pictures and text is None:
        return Images(joined[pictures[0]], labels, **more)
    texts = [
        column
        for column in joined
        if column != target and str(getattr(columns[column], "dtype", "")) in ("string", "large_string")
    ]
    if text is None and texts and len(columns) <= len(texts) + 2:
        text = max(texts, key=lambda column: sum(len(value or "") for value in joined[column]))
    if text is not None:
        return Text([value or "" for value in joined[text]], labels, **more)
    if target is not None and kinds[target] == "ClassLabel":
        names = more["class_names"]
        joined = {**joined, target: [names[value] for value in joined[target]]}
    return Table(joined, target, **more)


def _first_sentence(text: str) -> str:
    """Return the first sentence that is none of the headings in Markdown."""
    # OpenML begins with lines such as "**Author**: ...".
    plain = re.sub(r"[#*_`]", " ", re.sub(r"(?m)^\s*\*\*[^*\n]*\*\*:?.*$", " ", text))
    found = re.match(r"\s*(.{20,300}?[.!?])(\s|$)", re.sub(r"\s+", " ", plain))
    return found[1].strip() if found else re.sub(r"\s+", " ", plain).strip()[:200]


def _not_there(name: str, error: Exception) -> ValueError:
    return ValueError(
        explain(
            f"Hugging Face has no data set {name!r} that can be read: {str(error).splitlines()[0]}",
            "Expected 'owner/name', or 'owner/name:configuration'.",
            "load('huggingface:stanfordnlp/imdb')",
        )
    )


def _no_answer(who: str, name: str, error: Exception) -> ConnectionError:
    said = str(error).strip().splitlines()
    return ConnectionError(
        explain(
            f"{who} did not give {name!r}: {said[0] if said else type(error).__name__}",
            "Expected the data set, or a copy that was downloaded before.",
            "try again when you are online",
        )
    )
