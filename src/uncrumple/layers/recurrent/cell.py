"""What the three built-in recurrent cells share: settings, weights, dropout, and how a sequence is run."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from uncrumple import activations, constraints, initializers, regularizers
from uncrumple.core.errors import explain
from uncrumple.core.seeds import generator
from uncrumple.kernels.dropout import dropout as drop
from uncrumple.kernels.recurrent import Pass
from uncrumple.kernels.recurrent_plain import project, steps
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import whole_number

Masks = Sequence[torch.Tensor]


def check_settings(owner: str, units: Any, dropout: Any, recurrent_dropout: Any, seed: Any = None) -> None:
    """Refuse settings that no recurrent layer can have, in the name of `owner`."""
    whole_number(owner, "units", units)
    for argument, value in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else -1.0
        if not 0 <= number <= 1:
            wanted = number / 100 if 1 < number <= 100 else 0.5
            raise ValueError(
                explain(
                    f"{owner} got {argument}={value!r}.",
                    "Expected a number from 0 to 1: the share to drop.",
                    f"{owner}({units}, {argument}={wanted:g})",
                )
            )
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, numbers.Integral)):
        raise ValueError(
            explain(f"{owner} got seed={seed!r}.", "Expected a whole number, or None.", f"{owner}({units}, seed=0)")
        )


def flag(owner: str, argument: str, value: Any) -> bool:
    """Return a yes-or-no setting as a bool, or raise."""
    if not isinstance(value, (bool, np.bool_)) and value not in (0, 1):
        raise ValueError(
            explain(f"{owner} got {argument}={value!r}.", "Expected True or False.", f"{owner}(..., {argument}=True)")
        )
    return bool(value)


class DropoutRNNCell:
    """Dropout masks of a cell, drawn once per batch and the same at every time step.

    A cell that mixes this in has `dropout`, `recurrent_dropout` and `seed`, and
    `dropout_mask_count`: the number of masks, one per gate, or None for a
    single one.
    """

    dropout: float
    recurrent_dropout: float
    seed: int | None = None
    dropout_mask_count: int | None = None

    _dropout_mask: Any = None
    _recurrent_dropout_mask: Any = None
    _generators: dict[str, torch.Generator]

    def get_dropout_mask(self, step_input: torch.Tensor) -> Any:
        """Return what the inputs of a time step are multiplied by: a tensor or a list of them; None for no dropout."""
        if self._dropout_mask is None and self.dropout > 0:
            self._dropout_mask = self._draw(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: torch.Tensor) -> Any:
        """Return what the state is multiplied by: a tensor or a list of them; None for no dropout."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            self._recurrent_dropout_mask = self._draw(step_input, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self) -> None:
        """Forget the mask of the inputs, so that the next one is drawn anew."""
        if self._dropout_mask is not None:
            self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the mask of the state, so that the next one is drawn anew."""
        if self._recurrent_dropout_mask is not None:
            self._recurrent_dropout_mask = None

    def _draw(self, like: torch.Tensor, rate: float) -> Any:
        source = None
        if self.seed is not None and not like.is_meta:
            made = self.__dict__.setdefault("_generators", {})
            place = str(like.device)
            if place not in made:
                made[place] = generator(self.seed, like.device)
            source = made[place]
        ones = torch.ones_like(like.detach())
        if self.dropout_mask_count is None:
            return drop(ones, rate, generator=source)
        return [drop(ones, rate, generator=source) for _ in range(self.dropout_mask_count)]


class RecurrentCell(DropoutRNNCell, Layer):
    """The base of `SimpleRNNCell`, `LSTMCell` and `GRUCell`.

    A subclass says how many gates it has, computes one time step in
    `advance`, and runs a whole sequence in `run_fused`.

    Args:
        units: Size of the output.
        activation: Name or function; None for none.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: First values.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop.
        recurrent_dropout: Share of the state to drop.
        seed: Makes the dropout repeat itself.
        implementation: 1 draws a dropout mask per gate, 2 one for all;
            with `recurrent_dropout` it is always 1.
        name, dtype, trainable: As for every `Layer`.
    """

    gates = 1
    states_count = 1

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
        implementation: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_settings(owner, units, dropout, recurrent_dropout, seed)
        if implementation not in (1, 2):
            raise ValueError(
                explain(f"{owner} got implementation={implementation!r}.", "Expected 1 or 2.", f"{owner}({units})")
            )
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = flag(owner, "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = float(dropout)
        self.recurrent_dropout = float(recurrent_dropout)
        self.seed = seed
        self.implementation = 1 if self.recurrent_dropout else int(implementation)
        if self.gates > 1 and self.implementation == 1:
            self.dropout_mask_count = self.gates
        self.state_size: Any = self.units
        self.output_size = self.units

    # --- weights ---------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        kernel_shape, recurrent_shape = self._kernel_shapes(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=kernel_shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=recurrent_shape,
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self._bias_shape(),
                initializer=self._first_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _kernel_shapes(self, input_shape: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of the kernel and of the recurrent kernel."""
        width = self.gates * self.units
        return (input_shape[-1], width), (self.units, width)

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _first_bias(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return self.bias_initializer(shape, dtype=dtype)

    def _weights(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return kernel, recurrent kernel and bias in the compute type."""
        kind = self._cast_weights_to
        kernel, recurrent_kernel, bias = self.kernel, self.recurrent_kernel, self.bias
        if kind is None:
            return kernel, recurrent_kernel, bias
        return kernel.to(kind), recurrent_kernel.to(kind), None if bias is None else bias.to(kind)

    def get_initial_state(self, batch_size: int | None = None) -> list[torch.Tensor]:
        """Return the states that a sequence starts from: zeros (batch_size, units)."""
        zeros = torch.zeros(batch_size or 0, self.units, dtype=self._compute_in)
        return [zeros.clone() for _ in range(self.states_count)]

    def state_shape(self, like: torch.Tensor) -> tuple[int, ...]:
        """Return the shape of each state, and of the output, for a batch of sequences."""
        return like.shape[0], self.units

    def zero_states(self, like: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return zeros to start a sequence from, one tensor for all states: nothing writes into it."""
        zeros = like.new_zeros(self.state_shape(like), dtype=self._compute_in)
        return (zeros,) * self.states_count

    # --- one time step ---------------------------------------------------------------

    def call(self, inputs: torch.Tensor, states: Any, training: bool = False) -> tuple[torch.Tensor, Any]:
        nested = isinstance(states, (list, tuple))
        old = tuple(states) if nested else (states,)
        drops, state_drops = self._masks(inputs, old[0], training)
        output, new = self.advance(self._project(inputs, drops), old, state_drops)
        return output, list(new) if nested else new[0]

    def _masks(self, inputs: torch.Tensor, state: torch.Tensor, training: bool) -> tuple[Masks | None, Masks | None]:
        if not training:
            return None, None
        return _as_list(self.get_dropout_mask(inputs)), _as_list(self.get_recurrent_dropout_mask(state))

    def _input_bias(self, bias: torch.Tensor | None) -> torch.Tensor | None:
        """Return the part of the bias that is added to the projected inputs."""
        return bias

    def _project(self, inputs: torch.Tensor, drops: Masks | None) -> torch.Tensor:
        kernel, _, bias = self._weights()
        return project(inputs, kernel, self._input_bias(bias), drops)

    def advance(
        self, projected: torch.Tensor, states: tuple[torch.Tensor, ...], drops: Masks | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Return the output and the new states, from the inputs times the kernel and the old states."""
        raise NotImplementedError

    # --- a whole sequence ------------------------------------------------------------

    def why_not_fused(self) -> str | None:
        """Return what setting forbids the fused functions, or None."""
        raise NotImplementedError

    def run_fused(
        self,
        sequences: torch.Tensor,
        states: tuple[torch.Tensor, ...],
        mask: torch.Tensor | None,
        every_output: bool,
        last_states: bool,
    ) -> Pass:
        """Run all time steps by a fused function."""
        raise NotImplementedError

    def run(
        self,
        sequences: torch.Tensor,
        states: tuple[torch.Tensor, ...],
        mask: torch.Tensor | None,
        *,
        training: bool,
        every_output: bool,
        last_states: bool,
        fused: bool = True,
    ) -> Pass:
        """Run all time steps of (samples, time steps, features), by the fastest way that the settings allow."""
        drops, state_drops = self._masks(sequences[:, 0], states[0], training) if training else (None, None)
        self.reset_dropout_mask()
        self.reset_recurrent_dropout_mask()
        kind = self._compute_in
        if sequences.dtype is not kind:  # the RNN around the cell has another precision
            sequences = sequences.to(kind)
        states = tuple(state if state.dtype is kind else state.to(kind) for state in states)
        if fused and state_drops is None and (drops is None or len(drops) == 1) and self.why_not_fused() is None:
            if drops is not None:
                sequences = sequences * drops[0].unsqueeze(1)
            return self.run_fused(sequences, states, mask, every_output, last_states)
        projected = self._project(sequences, drops)

        def step(part: torch.Tensor, old: tuple[torch.Tensor, ...]) -> Any:
            return self.advance(part, old, state_drops)

        return Pass(*steps(step, projected, states, mask, every_output=every_output))

    @classmethod
    def is_built_in(cls) -> bool:
        """Return whether the class computes what `run` computes: a user's subclass may have another `call`."""
        return cls.__module__.startswith("uncrumple.layers.recurrent.")

    # --- config ----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return as_config(self.arguments())

    def arguments(self) -> dict[str, Any]:
        """Return what an equal cell is made with, as objects."""
        return {**Layer.get_config(self), **self.settings()}

    def settings(self) -> dict[str, Any]:
        """Return the arguments that a cell and the layer around it share, as objects."""
        return {
            "units": self.units,
            "activation": self.activation,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "recurrent_initializer": self.recurrent_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "recurrent_regularizer": self.recurrent_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "recurrent_constraint": self.recurrent_constraint,
            "bias_constraint": self.bias_constraint,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def as_config(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the activations by name."""
    return {
        key: activations.serialize(value) if key in ("activation", "recurrent_activation") else value
        for key, value in settings.items()
    }


def _as_list(mask: Any) -> Masks | None:
    return mask if mask is None or isinstance(mask, (list, tuple)) else [mask]


def is_tanh(function: Callable[..., Any]) -> bool:
    return function is activations.tanh or function is torch.tanh


def is_sigmoid(function: Callable[..., Any]) -> bool:
    return function is activations.sigmoid or function is torch.sigmoid


def is_relu(function: Callable[..., Any]) -> bool:
    return function is activations.relu or function is torch.relu
