"""The gated recurrent unit."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations
from uncrumple.kernels import recurrent
from uncrumple.kernels.recurrent_plain import gru_step
from uncrumple.layers.recurrent.cell import Masks, RecurrentCell, check_settings, flag
from uncrumple.layers.recurrent.layer_of_cell import LayerOfCell, of_cell, takes_implementation
from uncrumple.layers.recurrent.lstm import why_not_gated


class GRUCell(RecurrentCell):
    """One time step of a `GRU`.

    With `x @ kernel` and `h @ recurrent_kernel`, each plus its bias, in three
    parts for `z, r, g`: `z = sigmoid(x_z + h_z)`, `r = sigmoid(x_r + h_r)`,
    `g = tanh(x_g + r * h_g)` and `h = z * h + (1 - z) * g`.

    Source: Cho et al., "Learning phrase representations using RNN
    encoder-decoder", 2014.

    Args:
        units: Size of the output.
        activation: Name or function in place of tanh; None for none.
        recurrent_activation: Name or function in place of sigmoid, for the gates.
        use_bias: Whether to add `bias`.
        kernel_initializer, recurrent_initializer, bias_initializer: First values;
            Glorot uniform, orthogonal and zeros.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop in training.
        recurrent_dropout: Share of the state to drop in training.
        reset_after: Whether `r` multiplies after the matrix product, as above
            (then `bias` is (2, 3 * units)), or before it: `(r * h) @ recurrent_kernel_g`.
        seed: Whole number that makes the dropout repeat itself.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, features), and the state (samples, units).
    Output shape: (samples, units), and the new state in a list.

    Example:
        >>> output, states = GRUCell(4)(torch.ones(2, 3), [torch.zeros(2, 4)])
        >>> output.shape
        torch.Size([2, 4])
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
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
        reset_after: bool = True,
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
        self.reset_after = flag(type(self).__name__, "reset_after", reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self, bias: torch.Tensor | None) -> torch.Tensor | None:
        return bias[0] if bias is not None and self.reset_after else bias

    def advance(self, projected: torch.Tensor, states: tuple[torch.Tensor, ...], drops: Masks | None) -> Any:
        _, recurrent_kernel, bias = self._weights()
        recurrent_bias = bias[1] if bias is not None and self.reset_after else None
        functions = (self.activation, self.recurrent_activation)
        output = gru_step(projected, states[0], recurrent_kernel, recurrent_bias, *functions, drops, self.reset_after)
        return output, (output,)

    def why_not_fused(self) -> str | None:
        return why_not_gated(self) or (None if self.reset_after else "reset_after=False")

    def run_fused(
        self, sequences: torch.Tensor, states: Any, mask: Any, every_output: bool, last_states: bool
    ) -> recurrent.Pass:
        return recurrent.gru(sequences, states[0], *self._weights(), mask, every_output=every_output)

    def settings(self) -> dict[str, Any]:
        return {
            **super().settings(),
            "recurrent_activation": self.recurrent_activation,
            "reset_after": self.reset_after,
        }


@takes_implementation
class GRU(LayerOfCell):
    """Reads a sequence with two gates: how much of the state to keep, and how much of it to look at.

    With `x @ kernel` and `h @ recurrent_kernel`, each plus its bias, in three
    parts for `z, r, g`: `z = sigmoid(x_z + h_z)`, `r = sigmoid(x_r + h_r)`,
    `g = tanh(x_g + r * h_g)` and `h = z * h + (1 - z) * g` at every time step.

    Source: Cho et al., "Learning phrase representations using RNN
    encoder-decoder", 2014.

    Args:
        units: Size of the output.
        activation: Name or function in place of tanh; None for none.
        recurrent_activation: Name or function in place of sigmoid, for the gates.
        use_bias: Whether to add `bias`.
        kernel_initializer, recurrent_initializer, bias_initializer: First values;
            Glorot uniform, orthogonal and zeros.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer:
            Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop in training, the same ones at every time step.
        recurrent_dropout: Share of the state to drop in training, likewise; slower,
            since it rules the fused function out.
        seed: Whole number that makes the dropout repeat itself.
        return_sequences: Whether to return the outputs of all time steps, or only the last.
        return_state: Whether to return the last state as well.
        go_backwards: Whether to read the sequence from its end; outputs stay in that order.
        stateful: Whether each batch starts from the last state of the one before.
        unroll: Accepted as in Keras; it makes no difference.
        reset_after: Whether `r` multiplies after the matrix product, as above,
            or before it: `(r * h) @ recurrent_kernel_g`, which is not fused.
        use_cudnn: "auto" uses a fused function whenever the settings allow, on
            any device; True insists on one; False goes step by step in plain
            torch, which can be differentiated twice.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, time steps, features).
    Output shape: (samples, units), or (samples, time steps, units) with
        `return_sequences`; with `return_state` followed by the state.

    Raises:
        ValueError: A setting is impossible, or the input has not three axes.

    Example:
        >>> GRU(4)(torch.ones(2, 5, 3)).shape
        torch.Size([2, 4])
    """

    recurrent_activation = of_cell("recurrent_activation")
    reset_after = of_cell("reset_after")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
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
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        check_settings(type(self).__name__, units, dropout, recurrent_dropout, seed)
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            reset_after=reset_after,
            seed=seed,
            implementation=kwargs.pop("implementation", 2),
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
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
