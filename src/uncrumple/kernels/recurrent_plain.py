"""Recurrent layers in plain torch: one time step after the other, differentiable as often as wanted.

The twins of what `recurrent.py` fuses, and what runs when nothing is fused:
other activations, dropout of the state, cells that a user wrote. Weights have
Keras's layout: `kernel` (features, gates * units), `recurrent_kernel` (units,
gates * units). Gates stand in the order of Keras: input, forget, candidate,
output in an LSTM; update, reset, candidate in a GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from uncrumple.kernels import recurrent_onnx

Activation = Callable[[torch.Tensor], torch.Tensor]
States = tuple[torch.Tensor, ...]
Masks = Sequence[torch.Tensor]
# One time step: (its inputs, states) -> (its output, new states).
Step = Callable[[torch.Tensor, States], tuple[torch.Tensor, Sequence[torch.Tensor]]]


def steps(
    step: Step, sequence: torch.Tensor, states: States, mask: torch.Tensor | None = None, *, every_output: bool = True
) -> tuple[torch.Tensor | None, torch.Tensor, States]:
    """Run `step` over axis 1 of `sequence`.

    At a masked time step the states stay what they were, and the output is
    that of the step before; before the first valid step it is zero.

    Args:
        step: One time step.
        sequence: Tensor of shape (samples, time steps, ...).
        states: What the first step starts from, each of shape (samples, ...).
        mask: Booleans of shape (samples, time steps), False to skip; None for none.
        every_output: Whether outputs are kept, or only the last.

    Returns:
        The outputs (samples, time steps, ...) or None, the last output, the last states.

    Example:
        >>> def add(x, states):
        ...     total = states[0] + x
        ...     return total, (total,)
        >>> steps(add, torch.ones(1, 3), (torch.zeros(1),))[0]
        tensor([[1., 2., 3.]])
    """
    recurrent_onnx.check_steps(sequence)
    outputs = []
    output = None
    marks = [None] * sequence.shape[1] if mask is None else mask.unbind(1)
    for part, valid in zip(sequence.unbind(1), marks):
        new, new_states = step(part, states)
        if valid is None:
            output, states = new, tuple(new_states)
        else:
            output = torch.where(_like(valid, new), new, torch.zeros_like(new) if output is None else output)
            states = tuple(torch.where(_like(valid, one), one, old) for one, old in zip(new_states, states))
        if every_output:
            outputs.append(output)
    if output is None:
        raise ValueError("steps() needs at least one time step")
    return torch.stack(outputs, 1) if every_output else None, output, states


def _like(valid: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Return a mask of shape (samples,) with as many axes as `tensor`."""
    return valid.reshape(-1, *[1] * (tensor.ndim - 1))


def project(
    x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, drops: Masks | None = None
) -> torch.Tensor:
    """Return `x @ kernel + bias` for one time step or a whole sequence.

    Args:
        x: Tensor of shape (samples, features) or (samples, time steps, features).
        kernel: (features, gates * units).
        bias: (gates * units,) or None.
        drops: What `x` is multiplied by first, each of shape (samples,
            features): one for all gates, or one per gate; the same at every time step.
    """
    if drops is None:
        out = x @ kernel
    else:
        drops = [drop.unsqueeze(1) for drop in drops] if x.ndim == 3 else drops
        blocks = kernel.chunk(len(drops), dim=1)
        out = torch.cat([(x * drop) @ block for drop, block in zip(drops, blocks)], dim=-1)
    return out if bias is None else out + bias


def _recur(h: torch.Tensor, kernel: torch.Tensor, drops: Masks | None) -> torch.Tensor:
    return h @ kernel if drops is None else project(h, kernel, None, drops)


def simple_rnn_step(
    projected: torch.Tensor,
    h: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    activation: Activation = torch.tanh,
    drops: Masks | None = None,
) -> torch.Tensor:
    """Return the next state of a simple recurrent network: `activation(projected + h @ recurrent_kernel)`."""
    return activation(projected + _recur(h, recurrent_kernel, drops))


def lstm_step(
    projected: torch.Tensor,
    h: torch.Tensor,
    c: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    activation: Activation = torch.tanh,
    recurrent_activation: Activation = torch.sigmoid,
    drops: Masks | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the next output and cell state of an LSTM."""
    i, f, g, o = (projected + _recur(h, recurrent_kernel, drops)).chunk(4, dim=1)
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
    return recurrent_activation(o) * activation(c), c


def gru_step(
    projected: torch.Tensor,
    h: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    recurrent_bias: torch.Tensor | None = None,
    activation: Activation = torch.tanh,
    recurrent_activation: Activation = torch.sigmoid,
    drops: Masks | None = None,
    reset_after: bool = True,
) -> torch.Tensor:
    """Return the next state of a GRU; `reset_after` tells whether the reset gate comes after the matrix product."""
    units = h.shape[1]
    x_z, x_r, x_h = projected.chunk(3, dim=1)
    if reset_after:
        inner = _recur(h, recurrent_kernel, drops)
        if recurrent_bias is not None:
            inner = inner + recurrent_bias
        h_z, h_r, h_h = inner.chunk(3, dim=1)
        z = recurrent_activation(x_z + h_z)
        candidate = activation(x_h + recurrent_activation(x_r + h_r) * h_h)
    else:
        gates, last = recurrent_kernel.split([2 * units, units], dim=1)
        h_z, h_r = _recur(h, gates, None if drops is None else drops[:2]).chunk(2, dim=1)
        z = recurrent_activation(x_z + h_z)
        kept = h if drops is None else h * drops[2]
        candidate = activation(x_h + (recurrent_activation(x_r + h_r) * kept) @ last)
    return z * h + (1 - z) * candidate


def simple_rnn_plain(
    x: torch.Tensor,
    h: torch.Tensor,
    kernel: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    bias: torch.Tensor | None,
    activation: Activation = torch.tanh,
) -> torch.Tensor:
    """Return all outputs of a simple recurrent network for `x` (samples, time steps, features)."""

    def step(part: torch.Tensor, states: States) -> tuple[torch.Tensor, States]:
        new = simple_rnn_step(part, states[0], recurrent_kernel, activation)
        return new, (new,)

    return _all(steps(step, project(x, kernel, bias), (h,))[0])


def lstm_plain(
    x: torch.Tensor,
    h: torch.Tensor,
    c: torch.Tensor,
    kernel: torch.Tensor,
    recurrent_kernel: torch.Tensor,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all outputs and all cell states of an LSTM for `x` (samples, time steps, features)."""

    def step(part: torch.Tensor, states: States) -> tuple[torch.Tensor, States]:
        new = lstm_step(part, states[0], states[1], recurrent_kernel)
        return torch.stack(new, dim=-1), new

    both = _all(steps(step, project(x, kernel, bias), (h, c))[0])
    return both[..., 0], both[..., 1]


def gru_plain(
    x: torch.Tensor, h: torch.Tensor, kernel: torch.Tensor, recurrent_kernel: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Return all outputs of a GRU with `reset_after` for `x` (samples, time steps, features); `bias` is (2, 3 * units)."""
    inner, recurrent = (None, None) if bias is None else bias.unbind(0)

    def step(part: torch.Tensor, states: States) -> tuple[torch.Tensor, States]:
        new = gru_step(part, states[0], recurrent_kernel, recurrent)
        return new, (new,)

    return _all(steps(step, project(x, kernel, inner), (h,))[0])


def _all(outputs: torch.Tensor | None) -> torch.Tensor:
    assert outputs is not None  # steps() was asked for every output
    return outputs
