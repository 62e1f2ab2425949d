"""Where the trials of a search are kept: in memory, or in an SQLite file that outlives the process."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.explain.tuning.given import Rows

_NAME = "uncrumple"


def study_in(optuna: Any, file: Any, about: dict[str, Any], prune: bool, epochs: int) -> Any:
    """Return the study in a file, or a new one; refuse one that was another search."""
    pruner = optuna.pruners.NopPruner()
    if prune:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 5))
    storage = None
    if file is not None:
        path = os.path.abspath(os.fspath(file))
        if not os.path.isdir(os.path.dirname(path)):
            raise FileNotFoundError(
                explain(
                    f"tune cannot keep its trials in {os.fspath(file)!r}: there is no such folder.",
                    "Expected a folder that is there.",
                    f"import os; os.makedirs({os.path.dirname(path)!r})",
                )
            )
        _check_is_database(path, os.fspath(file))
        storage = _storage(optuna, path)
    study = optuna.create_study(storage=storage, study_name=_NAME, load_if_exists=True, pruner=pruner)
    known = study.user_attrs.get("about")
    if known is None:
        study.set_user_attr("about", about)
    elif known != json.loads(json.dumps(about)):
        other = [name for name in about if known.get(name) != json.loads(json.dumps(about[name]))]
        raise ValueError(
            explain(
                f"The search in {os.fspath(file)!r} was begun with other {', '.join(other)}.",
                "Expected the same search: its trials cannot be compared with others.",
                "another file, or the arguments it was begun with",
            )
        )
    return study


def _storage(optuna: Any, path: str) -> Any:
    """Return the file as Optuna takes it, which need not wait for the disk at each of its many small writes.

    With a log that is written ahead, what a killed process has written is there, and a power cut leaves the file whole.
    """
    from sqlalchemy import event

    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})

    def hasten(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(storage.engine, "connect", hasten)
    storage.engine.dispose()
    return storage


def _check_is_database(path: str, shown: str) -> None:
    if not os.path.exists(path):
        return
    with open(path, "rb") as opened:
        head = opened.read(16)
    if head and head != b"SQLite format 3\x00":
        raise ValueError(
            explain(
                f"tune got file={shown!r}, which is no SQLite file.",
                "Expected a new file, or one that an earlier search has written.",
                'file="search.db"',
            )
        )


def is_alive(attributes: Mapping[str, Any]) -> bool:
    """Return whether the process that runs a trial may still be at it: another one, here or elsewhere."""
    host, process = attributes.get("process", [None, None])
    if host is None or (host == socket.gethostname() and process == os.getpid()):
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def fingerprint(rows: Rows) -> str:
    """Return what tells one data set from another."""
    digest = hashlib.sha256()
    for leaf in tree.flatten((rows.x, rows.y, rows.sample_weight)):
        if isinstance(leaf, torch.Tensor):
            digest.update(f"{tuple(leaf.shape)} {leaf.dtype}".encode())
            digest.update(leaf.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if leaf.numel() else b"")
        elif leaf is not None:
            digest.update(repr(np.asarray(leaf, dtype=object).tolist()).encode())
    return digest.hexdigest()[:16]
