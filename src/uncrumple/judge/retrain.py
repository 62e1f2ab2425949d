"""Training a model anew on some of the rows: clones with new weights, and with a preparation of their own rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.mistakes import class_probabilities
from uncrumple.training.many import fit_many

Make = Callable[..., Any]
# Prepared rows of all models may take so much memory at once.
_MOST_BYTES = 1_000_000_000


class Clones:
    """Makes models like one that was trained, with new weights.

    A model that begins with a preparation of raw rows (that of a `Table`, `Images`, `Text` or
    `Series`) gets one that is fitted on its own rows: statistics of all rows would tell of those
    that are held back. What comes behind the preparation is then cloned by itself and learns from
    rows that are prepared once, not in each epoch; and `fit_many` sees a plain network.

    Args:
        model: Compiled, and made of layers if it has a preparation.
        preparation: The layer in it that prepares raw rows; None if it takes numbers.
        prepare: Returns such a layer, fitted on the rows with these numbers.

    Raises:
        ValueError: The model is not compiled, or holds a layer that was adapted to data.
    """

    def __init__(self, model: Any, preparation: Any = None, prepare: Callable[[np.ndarray], Any] | None = None) -> None:
        if not getattr(model, "compiled", False):
            raise ValueError(
                explain(
                    f"judge was asked to train models like this {type(model).__name__} again, which is not compiled.",
                    "Expected a compiled model, or a function that makes one.",
                    "judge(model, data, folds=5, make=make_model)",
                )
            )
        for layer in model.modules():
            if layer is not preparation and hasattr(layer, "adapt") and not _within(layer, preparation):
                config = layer.get_config()
                if all(config.get(name) is None for name in ("mean", "vocabulary", "bin_boundaries")):
                    raise ValueError(
                        explain(
                            f"The layer '{layer.name}' was adapted to data, and a clone of it would not be.",
                            "Expected a function that makes a model and adapts it to the rows it is given.",
                            "judge(model, data, folds=5, make=lambda x: make_model(x))",
                        )
                    )
        self.model, self.preparation, self.prepare = model, preparation, prepare
        self.behind = None
        if preparation is not None and prepare is not None and model.get_compile_config() is not None:
            self.behind = _behind(model, preparation)

    def __call__(self) -> Any:
        from uncrumple.models.cloning import clone_model

        return clone_model(self.model)

    def prepared(self, x: Any, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        """Return a clone that prepares raw rows as these ones ask for, and these rows, prepared.

        Args:
            x: Raw rows.
            rows: The numbers of those to learn from.
        """
        from uncrumple.layers import Input
        from uncrumple.models.cloning import clone_model

        assert self.prepare is not None and self.behind is not None
        own = self.prepare(rows)
        numbers = own.prepare(taken(x, rows))
        network = clone_model(self.behind, input_tensors=Input(numbers.shape[1:], dtype=str(numbers.dtype)))
        network.compile_from_config(self.model.get_compile_config())
        return Prepared(own, network), numbers


class Prepared:
    """A network behind a preparation of raw rows.

    Args:
        preparation: With `prepare(raw)`.
        network: Takes what that returns.
    """

    def __init__(self, preparation: Any, network: Any) -> None:
        self.preparation, self.network = preparation, network

    def predict(self, x: Any, verbose: Any = 0) -> np.ndarray:
        """Return the outputs for raw rows."""
        return self.network.predict(self.preparation.prepare(x), verbose=verbose)


def _within(layer: Any, preparation: Any) -> bool:
    return preparation is not None and any(layer is one for one in preparation.modules())


def _behind(model: Any, preparation: Any) -> Any:
    """Return the part of a model that takes what its preparation returns; None if that cannot be told apart."""
    from uncrumple.models import Model

    try:
        return Model(preparation.output, model.output)
    except (AttributeError, TypeError, ValueError):  # a class of its own, or inputs that go around the preparation
        return None


def settings_of(model: Any, rows: int) -> dict[str, Any]:
    """Return what a model was trained with, as `fit` is given it: how many epochs, and rows a step.

    Args:
        model: Trained by `fit` in this program.
        rows: How many rows it learnt from.
    """
    history = getattr(model, "history", None)
    epochs = len(getattr(history, "epoch", None) or ())
    if not epochs:
        raise ValueError(
            explain(
                "judge does not know for how many epochs to train: the model was not trained by fit in this program.",
                "Expected what fit is to be given.",
                'judge(model, data, folds=5, fit={"epochs": 20, "batch_size": 32})',
            )
        )
    settings = {"epochs": epochs}
    steps = (getattr(history, "params", None) or {}).get("steps")
    if steps and steps <= rows:
        # Several sizes make as many steps; the usual ones are likelier.
        usual = (size for size in (32, 64, 128, 16, 256, 8, 512, 1024, 4, 2, 1) if -(-rows // size) == steps)
        settings["batch_size"] = next(usual, -(-rows // int(steps)))
    return settings


def trained(
    make: Make, x: Any, y: np.ndarray, parts: Sequence[np.ndarray], fit: Mapping[str, Any] | None, seeds: Sequence[int]
) -> list[Any]:
    """Train a new model on each part of the rows, all at once where `fit_many` can.

    Args:
        make: Returns a new compiled model; if it takes an argument it is given the rows; or `Clones`.
        x, y: All rows.
        parts: The numbers of the rows of each model.
        fit: What `fit` is given.
        seeds: One for each model: for its first weights, and for the order of its rows.

    Returns:
        What answers for rows like those of `x`, by `predict(x, verbose=0)`.
    """
    from uncrumple.core.seeds import set_random_seed

    settings = {"epochs": 1, "verbose": 0, **(fit or {})}
    numbers = [int(seed) for seed in seeds]
    models: list[Any] = []
    if isinstance(make, Clones) and make.behind is not None:
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        for place, (rows, seed) in enumerate(zip(parts, numbers)):
            set_random_seed(seed)
            model, given = make.prepared(x, rows)
            models.append(model)
            waiting.append((given, y[rows]))
            if place + 1 == len(parts) or sum(one.nbytes for one, _ in waiting) + given.nbytes > _MOST_BYTES:
                first = len(models) - len(waiting)
                networks = [one.network for one in models[first:]]
                fit_many(networks, data=waiting, seeds=numbers[first : len(models)], **settings)
                waiting = []
        return models
    takes_rows = len(inspect.signature(make).parameters) > 0
    for rows, seed in zip(parts, numbers):
        set_random_seed(seed)  # a model that is built when it is made draws its weights now
        models.append(make(taken(x, rows)) if takes_rows else make())
    if isinstance(x, (Mapping, list, tuple)):
        data = [(taken(x, rows), y[rows]) for rows in parts]
        fit_many(models, data=data, seeds=numbers, **settings)
    else:
        fit_many(models, np.asarray(x), y, rows=list(parts), seeds=numbers, **settings)
    return models


def taken(x: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, or of each array in a dict or list.

    Example:
        >>> taken({"a": np.arange(4)}, np.array([1, 3]))["a"].tolist()
        [1, 3]
    """
    if isinstance(x, Mapping):
        return {name: taken(column, rows) for name, column in x.items()}
    if isinstance(x, (list, tuple)):
        return [taken(part, rows) for part in x]
    return x[rows] if hasattr(x, "shape") and not hasattr(x, "iloc") else np.asarray(x)[rows]


def answers_in(y: Any) -> np.ndarray:
    """Return answers as one number for each row, or one row of them where several values are asked for at once.

    Example:
        >>> answers_in([[1.0], [2.0]]).shape, answers_in(np.zeros((5, 3))).shape
        ((2,), (5, 3))
    """
    values = np.asarray(y)
    return values if values.ndim == 2 and values.shape[1] > 1 else values.reshape(-1)


def answers_of(model: Any, x: Any, task: str) -> np.ndarray:
    """Return a network's answers: the class with the highest probability, or the value (or values)."""
    outputs = np.asarray(model.predict(x, verbose=0))
    if task == "regression":
        return answers_in(outputs.reshape(len(outputs), -1))
    return (class_probabilities(outputs) if outputs.shape[-1] == 1 or outputs.ndim == 1 else outputs).argmax(axis=-1)


def score_of(truth: np.ndarray, answers: np.ndarray, headline: str) -> float:
    """Return the score of some answers: `"accuracy"`, `"balanced accuracy"` or `"mean error"`.

    Example:
        >>> score_of(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), "balanced accuracy")
        0.5
    """
    if truth.shape != answers.shape:
        raise ValueError(
            explain(
                f"judge got answers of shape {answers.shape} for truth of shape {truth.shape}.",
                "Expected one answer for each.",
                "a model with as many outputs as there are values to predict.",
            )
        )
    if headline == "mean error":
        return float(np.abs(answers - truth).mean())
    if headline == "balanced accuracy":
        kinds = np.unique(truth)
        return float(np.mean([(answers[truth == kind] == kind).mean() for kind in kinds]))
    return float((answers == truth).mean())
