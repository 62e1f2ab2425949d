"""The first layer of a saved model: from raw rows to numbers, with statistics of the training rows."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from uncrumple.core import registry
from uncrumple.core.errors import explain
from uncrumple.data.kinds.base import decoded
from uncrumple.layers.base import Layer

# Rows that are prepared at a time where nothing is trained.
_ROWS = 4096


class Preparation(Layer):
    """Turns raw rows into tensors; the base of one layer for each kind of data.

    What was measured on the training rows is in its config, and so in the
    file of a model: `preparation_of(load_model(path))` finds it again, `read`
    reads new raw rows from files the same way, and `decode` says what the
    model's answers mean.

    Args:
        meaning: What the answers are: a dict of name, task, class_names and target.
        name: As for every `Layer`.
    """

    _takes_text = True
    # Whether NaN in raw rows is nothing to warn of.
    _fills_gaps = False
    kind: ClassVar[str] = ""

    def __init__(self, meaning: dict[str, Any], **kwargs: Any) -> None:
        kwargs.setdefault("name", "preparation")
        super().__init__(**kwargs)
        self.meaning = dict(meaning)
        self.built = True

    # --- what each kind says for itself ------------------------------------------------

    def inputs(self) -> Any:
        """Return the model's inputs: one `Input`, or a dict of them, in the shape of raw rows."""
        raise NotImplementedError

    def read(self, source: Any) -> Any:
        """Return new raw rows, as `model.predict` takes them, from files or whatever the data was made from."""
        raise NotImplementedError

    def restore(self, prepared: Any) -> Any:
        """Return raw rows again, as well as they can be told from numbers: pictures, texts, columns or windows.

        The opposite of `prepare`, for a look at what a network sees.
        """
        raise NotImplementedError

    def in_words(self) -> str:
        """Return in a sentence what the layer does."""
        raise NotImplementedError

    # --- for all -------------------------------------------------------------------------

    @property
    def task(self) -> str | None:
        return self.meaning.get("task")

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.meaning.get("class_names", ()))

    def decode(self, outputs: Any) -> np.ndarray:
        """Return the answers of the model in words: names of classes, or numbers."""
        return decoded(outputs, self.task, self.class_names)

    def prepare(self, raw: Any) -> np.ndarray:
        """Return raw rows as the network behind this layer takes them."""
        from uncrumple.data.convert import to_tensors

        tensors = to_tensors(raw, "raw", text=True)
        leaves = list(tensors.values()) if isinstance(tensors, dict) else [tensors]
        rows = int(leaves[0].shape[0])
        parts = []
        with torch.no_grad():
            for start in range(0, rows, _ROWS):
                stop = min(start + _ROWS, rows)
                if isinstance(tensors, dict):
                    batch: Any = {name: values[start:stop] for name, values in tensors.items()}
                else:
                    batch = tensors[start:stop]
                parts.append(self(batch).cpu().numpy())
        return np.concatenate(parts)

    def matrix(self, raw: Any) -> np.ndarray:
        """Return raw rows as a float32 matrix for classical models."""
        made = self.prepare(raw)
        return made.reshape(len(made), -1).astype(np.float32, copy=False)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "meaning": self.meaning}


def preparation_of(model: Any) -> Preparation:
    """Return the preparation that a model begins with.

    Args:
        model: A model that was trained on a `Table`, `Images`, `Text` or `Series`, as `load_model` returned it.

    Raises:
        ValueError: The model has none: it takes numbers, not raw rows.
    """
    for layer in model.modules():
        if isinstance(layer, Preparation):
            return layer
    raise ValueError(
        explain(
            f"The model {model.name!r} has no preparation: it takes arrays of numbers.",
            "Expected a model that was trained on a Table, Images, Text or Series.",
            "model.predict(x)",
        )
    )


def _of_this_room(name: str) -> Any:
    """Return the preparation that a file names; the modules are imported only when one is asked for."""
    from uncrumple.data import kinds

    found = getattr(kinds, name, None)
    return found if isinstance(found, type) and issubclass(found, Preparation) else None


def register(classes: list[Any]) -> None:
    registry.add_builtins("data", classes, module="uncrumple.data")
