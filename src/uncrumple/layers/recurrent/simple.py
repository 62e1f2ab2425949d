"""The simple recurrent network."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.kernels import recurrent
from uncrumple.kernels.recurrent_plain import simple_rnn_step
from uncrumple.layers.recurrent.cell import Masks, RecurrentCell, check_settings, is_relu, is_tanh
from uncrumple.layers.recurrent.layer_of_cell import LayerOfCell


class SimpleRNNCell(RecurrentCell):
    """One time step of a `SimpleRNN`: `h = activation(x @ kernel + h @ recurrent_kernel + bias)`.

    Source: Elman, "Finding structure in time", 1990.

    Args:
        units: Size of the output.
        activation: Name or function; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, recurrent_initializer, bias_initializer: First values;
            Glorot uniform, orthogonal and zeros.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop in training.
        recurrent_dropout: Share of the state to drop in training.
        seed: Whole number that makes the dropout repeat itself.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, features), and the state (samples, units).
    Output shape: (samples, units), and the new state in a list.

    Example:
        >>> output, states = SimpleRNNCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
        >>> output.shape
        torch.Size([2, 4])
    """

    gates = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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

    def call(self, sequence: torch.Tensor, states: Any, training: bool = False) -> tuple[torch.Tensor, Any]:
        return super().call(sequence, states, training)

    def advance(self, projected: torch.Tensor, states: tuple[torch.Tensor, ...], drops: Masks | None) -> Any:
        output = simple_rnn_step(projected, states[0], self._weights()[1], self.activation, drops)
        return output, (output,)

    def why_not_fused(self) -> str | None:
        if is_tanh(self.activation) or is_relu(self.activation):
            return None
        return f"activation={getattr(self.activation, '__name__', self.activation)!r}"

    def run_fused(
        self, sequences: torch.Tensor, states: Any, mask: Any, every_output: bool, last_states: bool
    ) -> recurrent.Pass:
        relu = is_relu(self.activation)
        return recurrent.simple_rnn(sequences, states[0], *self._weights(), mask, relu=relu, every_output=every_output)


class SimpleRNN(LayerOfCell):
    """Reads a sequence with one layer of units that see their own last output: `h = tanh(x @ W + h @ U + b)`.

    Source: Elman, "Finding structure in time", 1990.

    Args:
        units: Size of the output.
        activation: Name or function; None for none.
        use_bias: Whether to add `bias`.
        kernel_initializer, recurrent_initializer, bias_initializer: First values;
            Glorot uniform, orthogonal and zeros.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer:
            Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop in training, the same ones at every time step.
        recurrent_dropout: Share of the state to drop in training, likewise.
        return_sequences: Whether to return the outputs of all time steps, or only the last.
        return_state: Whether to return the last state as well.
        go_backwards: Whether to read the sequence from its end; outputs stay in that order.
        stateful: Whether each batch starts from the last state of the one before.
        unroll: Accepted as in Keras; it makes no difference.
        seed: Whole number that makes the dropout repeat itself.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, time steps, features).
    Output shape: (samples, units), or (samples, time steps, units) with `return_sequences`.

    Raises:
        ValueError: A setting is impossible, or the input has not three axes.

    Example:
        >>> SimpleRNN(4)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_settings(type(self).__name__, units, dropout, recurrent_dropout, seed)
        cell = SimpleRNNCell(
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
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
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

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if config["seed"] is None:  # Keras writes none for this layer
            del config["seed"]
        return config
