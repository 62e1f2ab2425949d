"""Long short-term memory."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations
from uncrumple.kernels import recurrent
from uncrumple.kernels.recurrent_plain import lstm_step
from uncrumple.layers.recurrent.cell import Masks, RecurrentCell, check_settings, flag, is_sigmoid, is_tanh
from uncrumple.layers.recurrent.layer_of_cell import LayerOfCell, of_cell, takes_implementation


class LSTMCell(RecurrentCell):
    """One time step of an `LSTM`.

    With `z = x @ kernel + h @ recurrent_kernel + bias` in four parts
    `i, f, g, o`: `c = sigmoid(f) * c + sigmoid(i) * tanh(g)` and
    `h = sigmoid(o) * tanh(c)`.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget
    gate by Gers et al., "Learning to forget", 2000.

    Args:
        units: Size of the output.
        activation: Name or function in place of tanh; None for none.
        recurrent_activation: Name or function in place of sigmoid, for the gates.
        use_bias: Whether to add `bias`.
        kernel_initializer, recurrent_initializer, bias_initializer: First values;
            Glorot uniform, orthogonal and zeros.
        unit_forget_bias: Whether the bias of the forget gate starts at 1, so
            that the cell remembers at first.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop in training.
        recurrent_dropout: Share of the state to drop in training.
        seed: Whole number that makes the dropout repeat itself.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, features), and the states [h, c], each (samples, units).
    Output shape: (samples, units), and the new states.

    Example:
        >>> states = [torch.zeros(2, 4), torch.zeros(2, 4)]
        >>> output, states = LSTMCell(4)(torch.ones(2, 3), states)
        >>> output.shape
        torch.Size([2, 4])
    """

    gates = 4
    states_count = 2

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = flag(type(self).__name__, "unit_forget_bias", unit_forget_bias)
        self.state_size = [self.units, self.units]

    def _first_bias(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        if not self.unit_forget_bias:
            return super()._first_bias(shape, dtype)
        first = self.bias_initializer((self.units,), dtype=dtype)
        rest = self.bias_initializer((2 * self.units,), dtype=dtype)
        return torch.cat([first, torch.ones_like(first), rest])

    def advance(self, projected: torch.Tensor, states: tuple[torch.Tensor, ...], drops: Masks | None) -> Any:
        functions = (self.activation, self.recurrent_activation)
        output, cell_state = lstm_step(projected, states[0], states[1], self._weights()[1], *functions, drops)
        return output, (output, cell_state)

    def why_not_fused(self) -> str | None:
        return why_not_gated(self)

    def run_fused(
        self, sequences: torch.Tensor, states: Any, mask: Any, every_output: bool, last_states: bool
    ) -> recurrent.Pass:
        h, c = states
        kernel, recurrent_kernel, bias = self._weights()
        return recurrent.lstm(
            sequences, h, c, kernel, recurrent_kernel, bias, mask, every_output=every_output, cell_state=last_states
        )

    def settings(self) -> dict[str, Any]:
        return {
            **super().settings(),
            "recurrent_activation": self.recurrent_activation,
            "unit_forget_bias": self.unit_forget_bias,
        }


def why_not_gated(cell: Any) -> str | None:
    """Return what keeps a cell with gates from the fused functions, or None."""
    if not is_tanh(cell.activation):
        return f"activation={getattr(cell.activation, '__name__', cell.activation)!r}"
    if not is_sigmoid(cell.recurrent_activation):
        function = cell.recurrent_activation
        return f"recurrent_activation={getattr(function, '__name__', function)!r}"
    return None


@takes_implementation
class LSTM(LayerOfCell):
    """Reads a sequence with gates that decide what to remember, what to forget and what to show.

    With `z = x @ kernel + h @ recurrent_kernel + bias` in four parts
    `i, f, g, o`: `c = sigmoid(f) * c + sigmoid(i) * tanh(g)` and
    `h = sigmoid(o) * tanh(c)` at every time step.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget
    gate by Gers et al., "Learning to forget", 2000.

    Args:
        units: Size of the output.
        activation: Name or function in place of tanh; None for none.
        recurrent_activation: Name or function in place of sigmoid, for the gates.
        use_bias: Whether to add `bias`.
        kernel_initializer, recurrent_initializer, bias_initializer: First values;
            Glorot uniform, orthogonal and zeros.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer:
            Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop in training, the same ones at every time step.
        recurrent_dropout: Share of the state to drop in training, likewise; slower,
            since it rules the fused function out.
        seed: Whole number that makes the dropout repeat itself.
        return_sequences: Whether to return the outputs of all time steps, or only the last.
        return_state: Whether to return the last h and c as well.
        go_backwards: Whether to read the sequence from its end; outputs stay in that order.
        stateful: Whether each batch starts from the last states of the one before.
        unroll: Accepted as in Keras; it makes no difference.
        use_cudnn: "auto" uses a fused function whenever the settings allow, on
            any device; True insists on one; False goes step by step in plain
            torch, which can be differentiated twice.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, time steps, features).
    Output shape: (samples, units), or (samples, time steps, units) with
        `return_sequences`; with `return_state` followed by h and c.

    Raises:
        ValueError: A setting is impossible, or the input has not three axes.

    Example:
        >>> LSTM(4, return_sequences=True)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 5, 4])
    """

    recurrent_activation = of_cell("recurrent_activation")
    unit_forget_bias = of_cell("unit_forget_bias")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        check_settings(type(self).__name__, units, dropout, recurrent_dropout, seed)
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            implementation=kwargs.pop("implementation", 2),
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self._set_use_cudnn(use_cudnn)
