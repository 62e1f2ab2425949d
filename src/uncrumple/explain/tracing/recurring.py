"""Recurrent layers: the gates of one unit at one time step."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import layers as L
from uncrumple.explain.tracing.activating import formula_of, name_of
from uncrumple.explain.tracing.arithmetic import Asked, Line, explains, full, leaves_out
from uncrumple.explain.tracing.words import number, place, sum_of_products
from uncrumple.kernels.recurrent_plain import gru_step, lstm_step, simple_rnn_step

_LSTM_GATES = ("input gate", "forget gate", "candidate", "output gate")


class _Reading:
    """A sequence as a recurrent layer reads it, and the states after each time step.

    Attributes:
        steps: (time steps, features), in the order of reading.
        states: The states before each step, and after the last.
        valid: Which steps count.
    """

    def __init__(self, asked: Asked) -> None:
        layer = asked.layer
        self.cell: Any = layer.cell
        self.kernel, self.recurrent = full(self.cell.kernel), full(self.cell.recurrent_kernel)
        self.bias = None if self.cell.bias is None else full(self.cell.bias)
        steps = asked.sample
        mask = getattr(asked.x, "_keras_mask", None)
        valid = torch.ones(len(steps), dtype=torch.bool) if mask is None else mask[asked.place[0]].bool().cpu()
        self.backwards = layer.go_backwards
        self.steps, self.valid = (steps.flip(0), valid.flip(0)) if self.backwards else (steps, valid)
        zeros = torch.zeros(1, self.cell.units, dtype=torch.float64)
        self.states: list[tuple[torch.Tensor, ...]] = [(zeros,) * self.cell.states_count]
        for part, counts in zip(self.steps, self.valid.tolist()):
            old = self.states[-1]
            self.states.append(self._next(part[None], old) if counts else old)

    def _next(self, part: torch.Tensor, old: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        cell = self.cell
        if isinstance(cell, L.GRUCell):
            split = cell.reset_after and self.bias is not None
            inner, outer = (self.bias[0], self.bias[1]) if split and self.bias is not None else (self.bias, None)
            projected = part @ self.kernel + (0 if inner is None else inner)
            functions = (cell.activation, cell.recurrent_activation)
            return (gru_step(projected, old[0], self.recurrent, outer, *functions, None, cell.reset_after),)
        projected = part @ self.kernel + (0 if self.bias is None else self.bias)
        if isinstance(cell, L.LSTMCell):
            return lstm_step(projected, old[0], old[1], self.recurrent, cell.activation, cell.recurrent_activation)
        return (simple_rnn_step(projected, old[0], self.recurrent, cell.activation),)

    def chosen(self, asked: Asked) -> int | None:
        """Return the number of the time step to show, in the order of reading; None if none counts up to there."""
        last = len(self.steps) - 1
        if asked.time_step is not None:
            step = asked.time_step % (last + 1) if -last - 1 <= asked.time_step <= last else last
            step = last - step if self.backwards else step
        else:
            step = asked.place[1] if asked.layer.return_sequences else last
        while step >= 0 and not self.valid[step]:
            step -= 1
        return step if step >= 0 else None

    def output(self, asked: Asked) -> float:
        """Return what the layer returned at the place, from the states."""
        step = asked.place[1] if asked.layer.return_sequences else len(self.steps) - 1
        return float(self.states[step + 1][0][0, asked.place[-1]])


def _gate(reading: _Reading, step: int, column: int, bias: float | None, function: Any, name: str, where: str) -> Line:
    """Return the line for one gate: inputs and state of before, times the weights, added up, and the activation."""
    x, h = reading.steps[step], reading.states[step][0][0]
    extra = [] if bias is None else [("bias", bias)]
    numbers, total, size = sum_of_products(
        torch.cat([x, h]).numpy(), torch.cat([reading.kernel[:, column], reading.recurrent[:, column]]).numpy(), extra
    )
    called = name_of(function)
    value = float(full(function(torch.tensor(total, dtype=torch.float64))))
    formula = f"{called}({where} times kernel[:, {column}] + h times recurrent_kernel[:, {column}]"
    formula += ")" if bias is None else " + bias)"
    return Line(name, formula, f"{called}({numbers}) = {formula_of(function, number(total))}", value, size)


@explains(L.SimpleRNN, L.LSTM, L.GRU, L.RNN)
def recurrent(asked: Asked) -> list[Line] | None:
    """One unit at one time step."""
    layer = asked.layer
    cell = getattr(layer, "cell", None)
    kinds = {L.LSTMCell: _lstm, L.GRUCell: _gru, L.SimpleRNNCell: _simple}
    dropped = asked.training and any(getattr(cell, name, None) for name in ("dropout", "recurrent_dropout"))
    if type(cell) not in kinds or layer.stateful or len(asked.inputs) > 1 or dropped:
        return None
    reading = _Reading(asked)
    step = reading.chosen(asked)
    if step is None:
        return None
    time = len(reading.steps) - 1 - step if reading.backwards else step
    lines = kinds[type(cell)](reading, step, asked.place[-1], place((asked.place[0], time), "inputs"))
    lines[-1].output = reading.output(asked)
    return lines


def _simple(reading: _Reading, step: int, unit: int, where: str) -> list[Line]:
    bias = None if reading.bias is None else float(reading.bias[unit])
    return [_gate(reading, step, unit, bias, reading.cell.activation, f"h at time step {step}", where)]


def _lstm(reading: _Reading, step: int, unit: int, where: str) -> list[Line]:
    cell, units = reading.cell, reading.cell.units
    lines = []
    for gate, name in enumerate(_LSTM_GATES):
        column = gate * units + unit
        bias = None if reading.bias is None else float(reading.bias[column])
        function = cell.activation if name == "candidate" else cell.recurrent_activation
        lines.append(_gate(reading, step, column, bias, function, name, where))
    came, forgot, new, shown = (line.value for line in lines)
    before = float(reading.states[step][1][0, unit])
    state = forgot * before + came * new
    numbers = f"{number(forgot)} x {number(before)} + {number(came)} x {number(new)}"
    size = max(line.size for line in lines)
    lines.append(Line("cell state c", "forget gate x c of before + input gate x candidate", numbers, state, size))
    bent = float(full(cell.activation(torch.tensor(state, dtype=torch.float64))))
    numbers = f"{number(shown)} x {formula_of(cell.activation, number(state))}"
    formula = f"output gate x {name_of(cell.activation)}(c)"
    return [*lines, Line(f"h at time step {step}", formula, numbers, shown * bent, size)]


def _gru(reading: _Reading, step: int, unit: int, where: str) -> list[Line]:
    cell, units = reading.cell, reading.cell.units
    x, h = reading.steps[step], reading.states[step][0][0]
    inner, outer = reading.bias, None
    if cell.reset_after and reading.bias is not None:
        inner, outer = reading.bias[0], reading.bias[1]

    def bias_of(column: int) -> float | None:
        return None if inner is None else float(inner[column]) + (0.0 if outer is None else float(outer[column]))

    gates = [
        _gate(reading, step, gate * units + unit, bias_of(gate * units + unit), cell.recurrent_activation, name, where)
        for gate, name in enumerate(("update gate", "reset gate"))
    ]
    update, reset = gates[0].value, gates[1].value
    column = 2 * units + unit
    own = [] if inner is None else [("bias", float(inner[column]))]
    first, of_inputs, size = sum_of_products(x.numpy(), reading.kernel[:, column].numpy(), own)
    weights = reading.recurrent[:, column]
    if cell.reset_after:
        extra = [] if outer is None else [("bias", float(outer[column]))]
        second, of_state, more = sum_of_products(h.numpy(), weights.numpy(), extra)
        total = of_inputs + reset * of_state
        formula = f"({where} times kernel[:, {column}] + reset gate x (h times recurrent_kernel[:, {column}]))"
        numbers = f"({first} + {number(reset)} x ({second}))"
    else:
        z_r = slice(units, 2 * units)
        sums = x @ reading.kernel[:, z_r] + h @ reading.recurrent[:, z_r] + (0 if inner is None else inner[z_r])
        resets = full(cell.recurrent_activation(sums))
        second, of_state, more = sum_of_products((resets * h).numpy(), weights.numpy())
        total = of_inputs + of_state
        formula = f"({where} times kernel[:, {column}] + (every reset gate x h) times recurrent_kernel[:, {column}])"
        numbers = f"({first} + {second})"
    called = name_of(cell.activation)
    candidate = float(full(cell.activation(torch.tensor(total, dtype=torch.float64))))
    shown = f"{called}{numbers} = {formula_of(cell.activation, number(total))}"
    gates.append(Line("candidate", f"{called}{formula}", shown, candidate, size + more))
    before = float(h[unit])
    value = update * before + (1 - update) * candidate
    numbers = f"{number(update)} x {number(before)} + (1 - {number(update)}) x {number(candidate)}"
    formula = "update gate x h of before + (1 - update gate) x candidate"
    return [*gates, Line(f"h at time step {step}", formula, numbers, value, size + more)]


_MERGED: dict[Any, tuple[str, str, Any]] = {
    "sum": ("sum", "{} + {}", lambda one, other: one + other),
    "ave": ("mean", "({} + {}) / 2", lambda one, other: (one + other) / 2),
    "mul": ("product", "{} x {}", lambda one, other: one * other),
}


@explains(L.Bidirectional)
def bidirectional(asked: Asked) -> list[Line] | None:
    """The reading from the start and that from the end: side by side, or combined."""
    layer = asked.layer
    if len(asked.inputs) > 1 or not isinstance(layer.forward_layer, L.RNN):
        return None
    units = layer.forward_layer.units
    if layer.merge_mode == "concat":
        forward = asked.place[-1] < units
        unit = asked.place[-1] - (0 if forward else units)
        return _one_way(asked, layer.forward_layer if forward else layer.backward_layer, unit)
    if layer.merge_mode not in _MERGED:
        return None
    name, words, made = _MERGED[layer.merge_mode]
    both = [_one_way(asked, part, asked.place[-1]) for part in (layer.forward_layer, layer.backward_layer)]
    if both[0] is None or both[1] is None:
        return None
    for way, lines in zip(("from the start", "from the end"), both):
        for line in lines or ():
            line.name = f"{way}, {line.name}"
    ends = [both[0][-1], both[1][-1]]
    first, second = (end.value if end.output is None else end.output for end in ends)
    numbers = words.format(*(number(end.value) for end in ends))
    value = float(made(ends[0].value, ends[1].value))
    line = Line(
        name, words.format("h from the start", "h from the end"), numbers, value, output=float(made(first, second))
    )
    return [*both[0], *both[1], line]


def _one_way(asked: Asked, part: Any, unit: int) -> list[Line] | None:
    """Return the lines for one unit of one of the two layers, at the place that it has there."""
    inside = [*asked.place[:-1], unit]
    if part.go_backwards and part.return_sequences:
        inside[1] = asked.x.shape[1] - 1 - inside[1]
    return asked.inside(part, asked.inputs, tuple(inside))


leaves_out(L.ConvLSTM1D, L.ConvLSTM2D, L.ConvLSTM3D)
