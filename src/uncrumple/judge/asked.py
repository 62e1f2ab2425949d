"""What a model answers for the test rows, how long that takes, and how large it is."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.mistakes import class_probabilities
from uncrumple.judge.retrain import answers_in


@dataclass(frozen=True)
class Asked:
    """The answers of a model.

    Args:
        answers: The class or value of each row, with a column for each of several values; empty for language.
        probabilities: Of each class, of shape (rows, classes); None for a regression, or a model
            that only names classes.
        bits: For language, `-log2 p` of what follows, the mean of each row; else None.
        ms_per_row: Milliseconds for a row.
        remark: What was done to the outputs.
    """

    answers: np.ndarray
    probabilities: np.ndarray | None
    bits: np.ndarray | None
    ms_per_row: float
    remark: str = ""


def ask(model: Any, x: Any, task: str, y: np.ndarray | None = None) -> Asked:
    """Ask a model for its answers.

    Args:
        model: With `predict` (and `predict_proba`, as in scikit-learn), or a function of x.
        x: The rows.
        task: `"classification"`, `"regression"` or `"language"`.
        y: What follows each row, for language.

    Example:
        >>> ask(lambda x: x * 2, np.array([[1.0], [2.0]]), "regression").answers.tolist()
        [2.0, 4.0]
    """
    outputs, milliseconds = _timed(model, x, task)
    if task == "regression":
        return Asked(answers_in(outputs.astype(np.float64).reshape(len(outputs), -1)), None, None, milliseconds)
    if task == "language":
        shares, remark = _shares(model, outputs.reshape(-1, outputs.shape[-1]))
        wanted = np.asarray(y).astype(np.int64)
        each = np.maximum(shares[np.arange(len(shares)), wanted.reshape(-1)], 1e-12)
        return Asked(np.array([]), None, -np.log2(each).reshape(len(wanted), -1).mean(axis=1), milliseconds, remark)
    if outputs.ndim == 1 and outputs.dtype.kind in "iub":
        return Asked(outputs.astype(np.int64), None, None, milliseconds)
    shares, remark = _shares(model, outputs)
    return Asked(shares.argmax(axis=1), shares, None, milliseconds, remark)


def rows_of(x: Any) -> int:
    """Return how many rows there are, in an array, or in a dict or list of arrays.

    Example:
        >>> rows_of({"a": np.zeros(3), "b": np.zeros(3)})
        3
    """
    if isinstance(x, Mapping):
        return rows_of(next(iter(x.values())))
    if isinstance(x, (list, tuple)) and len(x) and hasattr(x[0], "shape"):
        return rows_of(x[0])
    return len(x)


def _timed(model: Any, x: Any, task: str) -> tuple[np.ndarray, float]:
    """Return the outputs, and the milliseconds per row in the quickest of up to five runs."""
    if hasattr(model, "predict_proba") and task == "classification":
        answer = model.predict_proba
    elif hasattr(model, "predict"):
        is_network = hasattr(model, "compile") or hasattr(model, "modules")
        answer = (lambda rows: model.predict(rows, batch_size=256, verbose=0)) if is_network else model.predict
    elif callable(model):
        answer = model
    else:
        raise TypeError(
            explain(
                f"judge got a {type(model).__name__} as model.",
                "Expected something with predict(x), or a function of x.",
                "judge(model, data)",
            )
        )
    shortest, spent = math.inf, 0.0
    outputs: Any = None
    for _ in range(5):
        start = time.perf_counter()
        outputs = answer(x)
        took = time.perf_counter() - start
        shortest, spent = min(shortest, took), spent + took
        if spent > 0.5:
            break
    made = np.asarray(outputs.detach().cpu() if hasattr(outputs, "detach") else outputs)
    if len(made) != rows_of(x):
        raise ValueError(
            explain(
                f"The model answered {len(made)} times for {rows_of(x)} test rows.",
                "Expected one answer for each row.",
                "model.predict(x_test).shape",
            )
        )
    return made, 1000 * shortest / max(1, len(made))


def _shares(model: Any, outputs: np.ndarray) -> tuple[np.ndarray, str]:
    """Return probabilities; those of a model whose loss takes logits are made here."""
    if _gives_logits(model):
        logits = outputs.astype(np.float64).reshape(len(outputs), -1)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True), "the model gives logits: softmax was taken of them"
    return class_probabilities(outputs), ""


def _gives_logits(model: Any) -> bool:
    """Whether the model was compiled with a loss that takes logits."""
    loss = getattr(model, "loss", None)
    losses: Sequence[Any] = [loss] if not isinstance(loss, (list, tuple)) else loss
    for one in losses:
        config = one.get_config() if hasattr(one, "get_config") else {}
        if config.get("from_logits") or getattr(one, "from_logits", False):
            return True
    return False


def size_of(model: Any) -> int:
    """Return the bytes of a model's weights; of another model, those it takes on disk; 0 if that is not known."""
    if hasattr(model, "state_dict"):
        return sum(
            value.numel() * value.element_size() for value in model.state_dict().values() if hasattr(value, "numel")
        )
    try:
        return len(pickle.dumps(model))
    except Exception:  # a function made on the fly, say: its size is not what is judged
        return 0
