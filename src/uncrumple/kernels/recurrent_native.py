"""Recurrent layers by the native kernels, as one differentiable function each.

The products with the inputs of all time steps and the gradients of the
weights are one large matrix product each, which torch computes; what goes
from step to step runs in `native/kernels.cpp`.

Inside, time comes first. Outputs are returned with samples first. A gradient
that is to be differentiated again is computed by the plain-torch twins.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from uncrumple.kernels import native, recurrent_plain
from uncrumple.kernels.recurrent_loops import _by_time, _input_gradient, _linear
from uncrumple.kernels.transforms import differentiated, gradients_by_twin

Gradient = torch.Tensor | None


def _start(first: torch.Tensor, time: int, batch: int, units: int) -> torch.Tensor:
    """Return room for the states before, between and after all time steps, the first filled in."""
    states = first.new_empty(time + 1, batch, units)
    states[0] = first
    return states


def _steps(d: Gradient) -> tuple[Gradient, int, int]:
    """Return the gradient of (samples, time steps, units) and its distances in memory: from step to step, and sample."""
    if d is None:
        return None, 0, 0
    if d.stride(2) != 1 and d.shape[2] > 1:
        d = d.contiguous()
    return d, d.stride(1), d.stride(0)


def _sums(like: torch.Tensor, width: int) -> torch.Tensor:
    """Return zeros for the gradient of the bias, a row for each thread."""
    return like.new_zeros(torch.get_num_threads(), width)


def _state_gradient(d: Gradient, states: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the last state, to be worked on: a copy, or zeros."""
    return torch.zeros_like(states[0]) if d is None else d.clone(memory_format=torch.contiguous_format)


class SimpleRNN(torch.autograd.Function):
    """`h = tanh(x @ kernel + bias + h @ recurrent_kernel)`, or with relu: all outputs, and the last."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
        relu: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        rows = _by_time(x)
        states = _start(h, time, batch, units)
        projected = states[1:].view(time * batch, units)
        if bias is None:
            torch.mm(rows, kernel, out=projected)
        else:
            torch.addmm(bias, rows, kernel, out=projected)
        recurrent = recurrent_kernel.contiguous()
        native.call("simple_rnn_forward", time, batch, units, relu, recurrent, states)
        ctx.save_for_backward(x, h, kernel, recurrent_kernel, bias, rows, states)
        ctx.relu = relu
        ctx.set_materialize_grads(False)
        return states[1:].transpose(0, 1), states[time].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Gradient, d_last: Gradient) -> tuple[Gradient, ...]:
        *inputs, rows, states = ctx.saved_tensors
        if differentiated(d_outputs, d_last):
            activation = torch.relu if ctx.relu else torch.tanh
            twin = functools.partial(_with_last, recurrent_plain.simple_rnn_plain, activation=activation)
            return (*gradients_by_twin(twin, inputs, [d_outputs, d_last]), None)
        _, _, kernel, recurrent_kernel, bias = inputs
        batch, units = states.shape[1:]
        time = states.shape[0] - 1
        recurrent = recurrent_kernel.contiguous()
        d, sums = states.new_empty(time, batch, units), _sums(states, units)
        d_h = _state_gradient(d_last, states)
        d_outputs, *strides = _steps(d_outputs)
        native.call(
            "simple_rnn_backward", time, batch, units, ctx.relu, recurrent, states, d_outputs, *strides, d, sums, d_h
        )
        d = d.view(-1, units)
        return (
            _input_gradient(d, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h,
            rows.t() @ d,
            states[:-1].view(-1, units).t() @ d,
            sums.sum(0) if bias is not None else None,
            None,
        )


class GRU(torch.autograd.Function):
    """A GRU whose reset gate comes after the matrix product; `bias` is (2, 3 * units). All outputs, and the last."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        rows = _by_time(x)
        gates = _linear(None if bias is None else bias[0], rows, kernel).view(time, batch, 3 * units)
        recurrent_bias = None if bias is None else bias[1].contiguous()
        states, inner = _start(h, time, batch, units), gates.new_empty(time, batch, units)
        recurrent = recurrent_kernel.contiguous()
        native.call("gru_forward", time, batch, units, recurrent, recurrent_bias, gates, inner, states)
        ctx.save_for_backward(x, h, kernel, recurrent_kernel, bias, rows, gates, inner, states)
        ctx.set_materialize_grads(False)
        return states[1:].transpose(0, 1), states[time].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Gradient, d_last: Gradient) -> tuple[Gradient, ...]:
        *inputs, rows, gates, inner, states = ctx.saved_tensors
        if differentiated(d_outputs, d_last):
            twin = functools.partial(_with_last, recurrent_plain.gru_plain)
            return tuple(gradients_by_twin(twin, inputs, [d_outputs, d_last]))
        _, _, kernel, recurrent_kernel, bias = inputs
        time, batch, units = inner.shape
        recurrent = recurrent_kernel.contiguous()
        # Columns: the candidate's recurrent part, z, r, the candidate's input part.
        d, sums = states.new_empty(time, batch, 4 * units), _sums(states, 4 * units)
        d_h = _state_gradient(d_last, states)
        d_outputs, *strides = _steps(d_outputs)
        native.call(
            "gru_backward", time, batch, units, recurrent, gates, inner, states, d_outputs, *strides, d, sums, d_h
        )
        d = d.view(-1, 4 * units)
        d_inputs, d_recurrent = d[:, units:], d[:, : 3 * units]
        d_bias = None
        if bias is not None:
            total = sums.sum(0)
            d_bias = torch.stack([total[units:], total[: 3 * units].roll(-units)])
        return (
            _input_gradient(d_inputs, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h,
            rows.t() @ d_inputs,
            (states[:-1].view(-1, units).t() @ d_recurrent).roll(-units, dims=1),
            d_bias,
        )


class LSTM(torch.autograd.Function):
    """An LSTM: all outputs, all cell states, and the last of each."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        c: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        rows = _by_time(x)
        gates = _linear(bias, rows, kernel).view(time, batch, 4 * units)  # becomes i, f, candidate, o
        outputs, cells = _start(h, time, batch, units), _start(c, time, batch, units)
        recurrent = recurrent_kernel.contiguous()
        native.call("lstm_forward", time, batch, units, recurrent, gates, outputs, cells)
        ctx.save_for_backward(x, h, c, kernel, recurrent_kernel, bias, rows, gates, outputs, cells)
        ctx.set_materialize_grads(False)
        # Taken one by one the last states get gradients of their own, which are small.
        last = outputs[time].clone(), cells[time].clone()
        return (outputs[1:].transpose(0, 1), cells[1:].transpose(0, 1), *last)

    @staticmethod
    def backward(
        ctx: Any, d_outputs: Gradient, d_cells: Gradient, d_last: Gradient, d_last_cell: Gradient
    ) -> tuple[Gradient, ...]:
        *inputs, rows, gates, outputs, cells = ctx.saved_tensors
        if differentiated(d_outputs, d_cells, d_last, d_last_cell):
            twin = functools.partial(_with_last, recurrent_plain.lstm_plain)
            return tuple(gradients_by_twin(twin, inputs, [d_outputs, d_cells, d_last, d_last_cell]))
        _, _, _, kernel, recurrent_kernel, bias = inputs
        time, batch, width = gates.shape
        recurrent = recurrent_kernel.contiguous()
        d, sums = torch.empty_like(gates), _sums(gates, width)
        d_h, d_c = _state_gradient(d_last, outputs), _state_gradient(d_last_cell, cells)
        given = (*_steps(d_outputs), *_steps(d_cells))
        native.call("lstm_backward", time, batch, width // 4, recurrent, gates, cells, *given, d, sums, d_h, d_c)
        d = d.view(-1, width)
        return (
            _input_gradient(d, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h,
            d_c,
            rows.t() @ d,
            outputs[:-1].view(-1, width // 4).t() @ d,
            sums.sum(0) if bias is not None else None,
        )


def _with_last(twin: Any, *inputs: Any, **settings: Any) -> tuple[torch.Tensor, ...]:
    """Return what the twin returns, samples first, and the last step of each."""
    found = twin(*inputs, **settings)
    found = found if isinstance(found, tuple) else (found,)
    return (*found, *(one[:, -1] for one in found))


class HalfLSTM(torch.autograd.Function):
    """An LSTM in bfloat16, on processors that multiply tiles of it: all outputs, and the last of each state.

    Sums and cell states are float32 inside. Units must be a multiple of 32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        c: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        rows = _by_time(x)
        gates = _linear(bias, rows, kernel).view(time, batch, 4 * units)  # becomes i, f, candidate, o
        outputs, cells = _start(h, time, batch, units), _start(c.float(), time, batch, units)
        recurrent = recurrent_kernel.contiguous()
        native.call("lstm_forward_half", time, batch, units, recurrent, gates, outputs, cells)
        ctx.save_for_backward(x, h, c, kernel, recurrent_kernel, bias, rows, gates, outputs, cells)
        ctx.set_materialize_grads(False)
        return outputs[1:].transpose(0, 1), outputs[time].clone(), cells[time].to(c.dtype)

    @staticmethod
    def backward(ctx: Any, d_outputs: Gradient, d_last: Gradient, d_last_cell: Gradient) -> tuple[Gradient, ...]:
        *inputs, rows, gates, outputs, cells = ctx.saved_tensors
        if differentiated(d_outputs, d_last, d_last_cell):
            return tuple(gradients_by_twin(_outputs_and_last, inputs, [d_outputs, d_last, d_last_cell]))
        _, _, _, kernel, recurrent_kernel, bias = inputs
        time, batch, width = gates.shape
        recurrent = recurrent_kernel.contiguous()
        d, sums = torch.empty_like(gates), cells.new_zeros(torch.get_num_threads(), width)
        d_h, d_c = (torch.zeros_like(cells[0]) if one is None else one.float() for one in (d_last, d_last_cell))
        d_h, d_c = d_h.contiguous(), d_c.contiguous()
        given = _steps(d_outputs)
        native.call("lstm_backward_half", time, batch, width // 4, recurrent, gates, cells, *given, d, sums, d_h, d_c)
        d = d.view(-1, width)
        return (
            _input_gradient(d, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h.to(d.dtype),
            d_c.to(d.dtype),
            rows.t() @ d,
            outputs[:-1].view(-1, width // 4).t() @ d,
            sums.sum(0).to(d.dtype) if bias is not None else None,
        )


class HalfGRU(torch.autograd.Function):
    """A GRU as `GRU` is, in bfloat16, on processors that multiply tiles of it: all outputs, and the last.

    Sums and states are float32 inside. Units must be a multiple of 32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        rows = _by_time(x)
        gates = _linear(None if bias is None else bias[0], rows, kernel).view(time, batch, 3 * units)
        recurrent_bias = None if bias is None else bias[1].contiguous()
        states, inner = _start(h, time, batch, units), gates.new_empty(time, batch, units)
        recurrent = recurrent_kernel.contiguous()
        native.call("gru_forward_half", time, batch, units, recurrent, recurrent_bias, gates, inner, states)
        ctx.save_for_backward(x, h, kernel, recurrent_kernel, bias, rows, gates, inner, states)
        ctx.set_materialize_grads(False)
        return states[1:].transpose(0, 1), states[time].clone()

    @staticmethod
    def backward(ctx: Any, d_outputs: Gradient, d_last: Gradient) -> tuple[Gradient, ...]:
        *inputs, rows, gates, inner, states = ctx.saved_tensors
        if differentiated(d_outputs, d_last):
            twin = functools.partial(_with_last, recurrent_plain.gru_plain)
            return tuple(gradients_by_twin(twin, inputs, [d_outputs, d_last]))
        _, _, kernel, recurrent_kernel, bias = inputs
        time, batch, units = inner.shape
        recurrent = recurrent_kernel.contiguous()
        d = states.new_empty(time, batch, 4 * units)
        sums = torch.zeros(torch.get_num_threads(), 4 * units, dtype=torch.float32, device="cpu")
        d_h = states.new_zeros(batch, units, dtype=torch.float32) if d_last is None else d_last.float().contiguous()
        d_outputs, *strides = _steps(d_outputs)
        given = gates, inner, states, d_outputs, *strides
        native.call("gru_backward_half", time, batch, units, recurrent, *given, d, sums, d_h)
        d = d.view(-1, 4 * units)
        d_inputs, d_recurrent = d[:, units:], d[:, : 3 * units]
        d_bias = None
        if bias is not None:
            total = sums.sum(0)
            d_bias = torch.stack([total[units:], total[: 3 * units].roll(-units)]).to(bias.dtype)
        return (
            _input_gradient(d_inputs, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h.to(d.dtype),
            rows.t() @ d_inputs,
            (states[:-1].view(-1, units).t() @ d_recurrent).roll(-units, dims=1),
            d_bias,
        )


def _outputs_and_last(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    outputs, cells = recurrent_plain.lstm_plain(*inputs)
    return outputs, outputs[:, -1], cells[:, -1]
