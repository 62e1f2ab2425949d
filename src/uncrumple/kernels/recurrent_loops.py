"""Recurrent layers as one differentiable function each, for the CPU.

What makes them fast: one matrix product for the inputs of all time steps,
buffers that are made once and written in place, and a backward pass written
by hand. There everything that does not depend on the gradient is computed
for all time steps at once, so that a step is one matrix product and two to
four small operations; the gradients of the weights are one large product each.

A gradient that is to be differentiated again is computed by the twins.

Inside, time comes first. Outputs are returned with samples first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.kernels import recurrent_plain
from uncrumple.kernels.transforms import differentiated, gradients_by_twin

Gradient = torch.Tensor | None
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_relu_backward = torch.ops.aten.threshold_backward.grad_input


def _by_time(x: torch.Tensor) -> torch.Tensor:
    """Return (samples, time steps, features) as rows (time steps * samples, features)."""
    return x.transpose(0, 1).reshape(x.shape[0] * x.shape[1], x.shape[2])


def _linear(bias: torch.Tensor | None, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return torch.mm(x, kernel) if bias is None else torch.addmm(bias, x, kernel)


def _blocks(x: torch.Tensor, units: int, first: int, last: int) -> tuple[torch.Tensor, ...]:
    """Return columns of gates `first` up to `last`, one view per time step."""
    return x[:, :, first * units : last * units].unbind(0)


def _input_gradient(d: torch.Tensor, kernel: torch.Tensor, time: int, batch: int) -> torch.Tensor:
    """Return the gradient of the inputs, samples first, from that of the projected rows."""
    # A transposed right-hand side halves the speed of small products; copying it is cheap.
    return torch.mm(d, kernel.t().contiguous()).view(time, batch, kernel.shape[0]).transpose(0, 1)


def _parts(d_outputs: Gradient) -> Sequence[Any]:
    return () if d_outputs is None else d_outputs.unbind(1)


class SimpleRNN(torch.autograd.Function):
    """`h = tanh(x @ kernel + bias + h @ recurrent_kernel)`, or with relu."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
        relu: bool,
    ) -> torch.Tensor:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        rows = _by_time(x)
        states = x.new_empty(time + 1, batch, units)
        states[0] = h
        projected = states[1:].view(time * batch, units)
        if bias is None:
            torch.mm(rows, kernel, out=projected)
        else:
            torch.addmm(bias, rows, kernel, out=projected)
        each = states.unbind(0)
        for t in range(time):
            new = each[t + 1].addmm_(each[t], recurrent_kernel)
            new.relu_() if relu else new.tanh_()
        ctx.save_for_backward(x, h, kernel, recurrent_kernel, bias, rows, states)
        ctx.relu = relu
        return states[1:].transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, d_outputs: torch.Tensor) -> tuple[Gradient, ...]:
        x, h, kernel, recurrent_kernel, bias, rows, states = ctx.saved_tensors
        if differentiated(d_outputs):
            activation = torch.relu if ctx.relu else torch.tanh
            inputs = (x, h, kernel, recurrent_kernel, bias)
            twin = functools.partial(recurrent_plain.simple_rnn_plain, activation=activation)
            return (*gradients_by_twin(twin, inputs, [d_outputs]), None)
        batch, time, units = d_outputs.shape
        back = recurrent_kernel.t().contiguous()
        d = states.new_empty(time, batch, units)
        each, d_each, given = states.unbind(0), d.unbind(0), d_outputs.unbind(1)
        d_h = given[-1]
        for t in range(time - 1, -1, -1):
            if ctx.relu:
                _relu_backward(d_h, each[t + 1], 0, grad_input=d_each[t])
            else:
                _tanh_backward(d_h, each[t + 1], grad_input=d_each[t])
            d_h = torch.addmm(given[t - 1], d_each[t], back) if t else torch.mm(d_each[t], back)
        d = d.view(-1, units)
        return (
            _input_gradient(d, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h,
            rows.t() @ d,
            states[:-1].reshape(-1, units).t() @ d,
            d.sum(0) if bias is not None else None,
            None,
        )


class GRU(torch.autograd.Function):
    """A GRU whose reset gate comes after the matrix product; `bias` is (2, 3 * units)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        inner_bias, recurrent_bias = (None, None) if bias is None else bias.unbind(0)
        rows = _by_time(x)
        gates = _linear(inner_bias, rows, kernel).view(time, batch, 3 * units)  # becomes z, r, candidate
        inner = torch.empty_like(gates)
        states = x.new_empty(time + 1, batch, units)
        states[0] = h
        each, inner_each = states.unbind(0), inner.unbind(0)
        both, inner_both = _blocks(gates, units, 0, 2), _blocks(inner, units, 0, 2)
        z, r, candidate = (_blocks(gates, units, k, k + 1) for k in range(3))
        inner_h = _blocks(inner, units, 2, 3)
        for t in range(time):
            if recurrent_bias is None:
                torch.mm(each[t], recurrent_kernel, out=inner_each[t])
            else:
                torch.addmm(recurrent_bias, each[t], recurrent_kernel, out=inner_each[t])
            both[t].add_(inner_both[t]).sigmoid_()
            candidate[t].addcmul_(r[t], inner_h[t]).tanh_()
            torch.lerp(candidate[t], each[t], z[t], out=each[t + 1])  # z * h + (1 - z) * candidate
        ctx.save_for_backward(x, h, kernel, recurrent_kernel, bias, rows, gates, inner, states)
        return states[1:].transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, d_outputs: torch.Tensor) -> tuple[Gradient, ...]:
        *inputs, rows, gates, inner, states = ctx.saved_tensors
        if differentiated(d_outputs):
            return tuple(gradients_by_twin(recurrent_plain.gru_plain, inputs, [d_outputs]))
        _, _, kernel, recurrent_kernel, bias = inputs
        time, batch, width = gates.shape
        units = width // 3
        z, r, candidate = gates.chunk(3, dim=2)
        inner_h = inner[:, :, 2 * units :]
        # All gradients are d_h times one of these: of the candidate's recurrent
        # part, of z, of r, of the candidate's input part.
        factors = gates.new_empty(time, batch, 4, units)
        f_recurrent, f_z, f_r, f_candidate = factors.unbind(2)
        _tanh_backward(1 - z, candidate, grad_input=f_candidate)
        torch.mul(f_candidate, r, out=f_recurrent)
        _sigmoid_backward(f_candidate * inner_h, r, grad_input=f_r)
        _sigmoid_backward(states[:-1] - candidate, z, grad_input=f_z)
        d = torch.empty_like(factors)
        d_recurrent_each = d.view(time, batch, 4 * units)[:, :, : 3 * units].unbind(0)
        factor_each, d_each, z_each, given = factors.unbind(0), d.unbind(0), z.unbind(0), d_outputs.unbind(1)
        # The columns of the recurrent kernel in the order candidate, z, r.
        back = recurrent_kernel.roll(units, dims=1).t().contiguous()
        d_h = given[-1].clone()
        spread = d_h.unsqueeze(1)
        for t in range(time - 1, -1, -1):
            torch.mul(spread, factor_each[t], out=d_each[t])
            if t:
                torch.addcmul(given[t - 1], d_h, z_each[t], out=d_h)
            else:
                d_h.mul_(z_each[t])
            d_h.addmm_(d_recurrent_each[t], back)
        d = d.view(-1, 4 * units)
        d_inputs, d_recurrent = d[:, units:], d[:, : 3 * units]
        d_bias = None
        if bias is not None:
            total = d.sum(0)
            d_bias = torch.stack([total[units:], total[: 3 * units].roll(-units)])
        return (
            _input_gradient(d_inputs, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h,
            rows.t() @ d_inputs,
            (states[:-1].reshape(-1, units).t() @ d_recurrent).roll(-units, dims=1),
            d_bias,
        )


class LSTM(torch.autograd.Function):
    """An LSTM that returns all its outputs and all its cell states."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        h: torch.Tensor,
        c: torch.Tensor,
        kernel: torch.Tensor,
        recurrent_kernel: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, time, _ = x.shape
        units = recurrent_kernel.shape[0]
        rows = _by_time(x)
        gates = _linear(bias, rows, kernel).view(time, batch, 4 * units)  # becomes i, f, candidate, o
        outputs, cells = x.new_empty(time + 1, batch, units), x.new_empty(time + 1, batch, units)
        squeezed = x.new_empty(time, batch, units)
        outputs[0], cells[0] = h, c
        each, h_each, c_each, squeezed_each = gates.unbind(0), outputs.unbind(0), cells.unbind(0), squeezed.unbind(0)
        both = _blocks(gates, units, 0, 2)
        i, f, candidate, o = (_blocks(gates, units, k, k + 1) for k in range(4))
        for t in range(time):
            each[t].addmm_(h_each[t], recurrent_kernel)
            both[t].sigmoid_()
            candidate[t].tanh_()
            o[t].sigmoid_()
            torch.mul(f[t], c_each[t], out=c_each[t + 1]).addcmul_(i[t], candidate[t])
            torch.tanh(c_each[t + 1], out=squeezed_each[t])
            torch.mul(o[t], squeezed_each[t], out=h_each[t + 1])
        ctx.save_for_backward(x, h, c, kernel, recurrent_kernel, bias, rows, gates, outputs, cells, squeezed)
        ctx.set_materialize_grads(False)
        return outputs[1:].transpose(0, 1), cells[1:].transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, d_outputs: Gradient, d_cells: Gradient) -> tuple[Gradient, ...]:
        *inputs, rows, gates, outputs, cells, squeezed = ctx.saved_tensors
        if differentiated(d_outputs, d_cells):
            return tuple(gradients_by_twin(recurrent_plain.lstm_plain, inputs, [d_outputs, d_cells]))
        _, _, _, kernel, recurrent_kernel, bias = inputs
        time, batch, width = gates.shape
        units = width // 4
        i, f, candidate, o = gates.chunk(4, dim=2)
        # The gradients of i, f and the candidate are d_c times a factor, that of o is d_h times one.
        factors = gates.new_empty(time, batch, 4, units)
        f_i, f_f, f_candidate, f_o = factors.unbind(2)
        _sigmoid_backward(candidate, i, grad_input=f_i)
        _sigmoid_backward(cells[:-1], f, grad_input=f_f)
        _tanh_backward(i, candidate, grad_input=f_candidate)
        _sigmoid_backward(squeezed, o, grad_input=f_o)
        to_cell = torch.ops.aten.tanh_backward(o, squeezed).unbind(0)
        d = torch.empty_like(factors)
        first, d_first = factors[:, :, :3].unbind(0), d[:, :, :3].unbind(0)
        last, d_last = factors[:, :, 3].unbind(0), d[:, :, 3].unbind(0)
        d_each, f_each = d.view(time, batch, width).unbind(0), f.unbind(0)
        given, given_cells = _parts(d_outputs), _parts(d_cells)
        back = recurrent_kernel.t().contiguous()  # quicker than the view, as the right-hand side of small products
        d_c = cells.new_zeros(batch, units)
        d_h = given[-1] if given else d_c.clone()
        spread = d_c.unsqueeze(1)
        for t in range(time - 1, -1, -1):
            if given_cells:
                d_c.add_(given_cells[t])
            d_c.addcmul_(d_h, to_cell[t])
            torch.mul(spread, first[t], out=d_first[t])
            torch.mul(d_h, last[t], out=d_last[t])
            d_c.mul_(f_each[t])
            d_h = torch.addmm(given[t - 1], d_each[t], back) if t and given else torch.mm(d_each[t], back)
        d = d.view(-1, width)
        return (
            _input_gradient(d, kernel, time, batch) if ctx.needs_input_grad[0] else None,
            d_h,
            d_c,
            rows.t() @ d,
            outputs[:-1].reshape(-1, units).t() @ d,
            d.sum(0) if bias is not None else None,
        )
