"""Several cells, one on top of the other, as one cell."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer


def check_cell(owner: str, cell: Any) -> None:
    """Refuse what is no cell, with words."""
    for needed, what in (
        ("call", "method: call(inputs, states) returns the output and the new states"),
        ("state_size", "attribute: the size of its state, or a list of sizes"),
    ):
        if not hasattr(cell, needed):
            raise ValueError(
                explain(
                    f"{owner} got cell={cell!r}, which has no '{needed}'.",
                    f"Expected a cell with a '{needed}' {what}.",
                    f"{owner}(LSTMCell(32))" if owner == "RNN" else f"{owner}([LSTMCell(32), LSTMCell(32)])",
                )
            )
    if hasattr(cell, "return_sequences"):
        raise ValueError(
            explain(
                f"{owner} got the layer {cell!r} as a cell.",
                "Expected a cell, which computes one time step.",
                f"use the layer by itself, or its cell: {owner}({type(cell).__name__}Cell({getattr(cell, 'units', 32)}))",
            )
        )


def call_cell(cell: Any, inputs: torch.Tensor, states: Any, training: bool) -> tuple[torch.Tensor, Any]:
    """Compute one time step of any cell, a user's own included."""
    if not isinstance(cell, Layer):
        run = cell if callable(cell) else cell.call
        takes_training = "training" in inspect.signature(cell.call).parameters
        return run(inputs, states, training=training) if takes_training else run(inputs, states)
    if cell._takes_training or cell._takes_anything:
        return cell(inputs, states, training=training)
    return cell(inputs, states)


def zero_states(cell: Any, batch_size: int, dtype: torch.dtype) -> Any:
    """Return the states that a cell starts from, in the structure that it uses."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    if isinstance(cell.state_size, (list, tuple)):
        return [_zeros(batch_size, size, dtype) for size in cell.state_size]
    return _zeros(batch_size, cell.state_size, dtype)


def _zeros(batch_size: int, size: Any, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(batch_size, *(size if isinstance(size, (list, tuple)) else [size]), dtype=dtype)


def output_size(cell: Any) -> Any:
    """Return the size of a cell's output: its `output_size`, or else the size of its first state."""
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size


class StackedRNNCells(Layer):
    """Makes one cell of several: each takes the output of the one before.

    output = cell_n(... cell_2(cell_1(inputs))), each with states of its own.

    `RNN(StackedRNNCells(cells))` computes what one `RNN` per cell, one after
    the other, would compute.

    Args:
        cells: List of cells, the first one first.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, features), and the states of all cells.
    Output shape: (samples, units of the last cell), and the new states.

    Raises:
        ValueError: `cells` is empty, or one of them is no cell.

    Example:
        >>> from uncrumple.layers.recurrent.lstm import LSTMCell
        >>> from uncrumple.layers.recurrent.rnn import RNN
        >>> RNN(StackedRNNCells([LSTMCell(8), LSTMCell(4)]))(torch.ones(2, 5, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(self, cells: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(cells, (list, tuple)) or not cells:
            raise ValueError(
                explain(
                    f"StackedRNNCells got cells={cells!r}.",
                    "Expected a list of at least one cell.",
                    "StackedRNNCells([LSTMCell(32), LSTMCell(32)])",
                )
            )
        for cell in cells:
            check_cell("StackedRNNCells", cell)
        self.cells: list[Any] = []
        self.cells.extend(cells)

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells, in a list."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """The size of the last cell's output."""
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return the first states of all cells, one entry per cell."""
        return [zero_states(cell, batch_size or 0, self._compute_in) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        batch = input_shape[0]
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (batch, output_size(cell))

    def call(self, inputs: torch.Tensor, states: Any, training: bool = False) -> tuple[torch.Tensor, list[Any]]:
        new_states = []
        for cell, state in zip(self.cells, states):
            is_list = isinstance(state, (list, tuple))
            inputs, new = call_cell(cell, inputs, list(state) if is_list else [state], training)
            if isinstance(new, (list, tuple)) and len(new) == 1 and not is_list:
                new = new[0]
            new_states.append(new)
        return inputs, new_states

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": list(self.cells)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        with registry.custom_object_scope(custom_objects or {}):
            cells = [registry.deserialize_keras_object(c) if isinstance(c, dict) else c for c in config["cells"]]
        return super().from_config(
            {**{key: value for key, value in config.items() if key != "cells"}, "cells": tuple(cells)}
        )
