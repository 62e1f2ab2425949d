"""Recurrent layers that are known by their cell: `SimpleRNN`, `LSTM` and `GRU` are this with a cell each."""

from __future__ import annotations

from typing import Any, TypeVar

from uncrumple.core.errors import explain
from uncrumple.layers.recurrent.cell import RecurrentCell, as_config
from uncrumple.layers.recurrent.rnn import RNN

_Class = TypeVar("_Class", bound=type[RNN])


def takes_implementation(cls: _Class) -> _Class:
    """Let a layer take `implementation`, which Keras keeps out of the signature."""
    cls._known_arguments = frozenset([*(cls._known_arguments or ()), "implementation"])
    return cls


def of_cell(name: str) -> property:
    return property(lambda self: getattr(self.cell, name), doc=f"`{name}` of the cell.")


class LayerOfCell(RNN):
    """An `RNN` that shows the settings of its cell as its own."""

    cell: RecurrentCell

    units = of_cell("units")
    activation = of_cell("activation")
    use_bias = of_cell("use_bias")
    kernel_initializer = of_cell("kernel_initializer")
    recurrent_initializer = of_cell("recurrent_initializer")
    bias_initializer = of_cell("bias_initializer")
    kernel_regularizer = of_cell("kernel_regularizer")
    recurrent_regularizer = of_cell("recurrent_regularizer")
    bias_regularizer = of_cell("bias_regularizer")
    kernel_constraint = of_cell("kernel_constraint")
    recurrent_constraint = of_cell("recurrent_constraint")
    bias_constraint = of_cell("bias_constraint")
    dropout = of_cell("dropout")
    recurrent_dropout = of_cell("recurrent_dropout")
    seed = of_cell("seed")

    def _set_use_cudnn(self, value: Any) -> None:
        """Keep `use_cudnn`, and refuse True where nothing is fused."""
        owner = type(self).__name__
        if value not in ("auto", True, False):
            raise ValueError(
                explain(f"{owner} got use_cudnn={value!r}.", 'Expected "auto", True or False.', 'use_cudnn="auto"')
            )
        reason = self.cell.why_not_fused() or (
            f"recurrent_dropout={self.recurrent_dropout}" if self.recurrent_dropout else None
        )
        if value is True and reason is not None:
            raise ValueError(
                explain(
                    f"{owner} got use_cudnn=True together with {reason}.",
                    "Expected settings that the fused function has.",
                    f'use_cudnn="auto", or without {reason}',
                )
            )
        self.use_cudnn = value

    def arguments(self) -> dict[str, Any]:
        arguments = {
            **super().arguments(),
            **self.cell.settings(),
            "activity_regularizer": self.activity_regularizer,
        }
        del arguments["cell"]
        return arguments

    def get_config(self) -> dict[str, Any]:
        return as_config(self.arguments())
