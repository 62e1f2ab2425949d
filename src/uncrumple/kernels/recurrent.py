"""Recurrent layers over whole sequences, by the fastest way there is.

On the CPU the native kernels run them (`recurrent_native`). Without these an
LSTM without masks goes through torch's own, which oneDNN runs; GRU and simple
networks go through `recurrent_loops`, which is faster than torch's step by
step. On a GPU everything goes through cuDNN.

Masked time steps are taken out before and put back after: the valid steps of
each sample move to the front, the sequence is run, and step t of the result
is the output that belongs to the last valid step up to t.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from uncrumple.kernels import native, recurrent_loops, recurrent_native, recurrent_onnx, recurrent_plain
from uncrumple.kernels.transforms import recorded, transformed, watched

Tensor = torch.Tensor


class Pass(NamedTuple):
    """What running over a sequence gives.

    Attributes:
        outputs: (samples, time steps, units), or None if not asked for.
        last: The last output (samples, units).
        states: The states after the last step, each (samples, units).
    """

    outputs: Tensor | None
    last: Tensor
    states: tuple[Tensor, ...]


def simple_rnn(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None = None,
    *,
    relu: bool = False,
    every_output: bool = True,
) -> Pass:
    """Run `h = tanh(x @ kernel + bias + h @ recurrent_kernel)` over time; relu in place of tanh if asked.

    Source: Elman, "Finding structure in time", 1990.

    Args:
        x: (samples, time steps, features).
        h: The first state (samples, units).
        kernel, recurrent_kernel, bias: (features, units), (units, units), (units,) or None.
        mask: Booleans (samples, time steps), False to skip.
        relu: Whether the activation is relu.
        every_output: Whether all outputs are wanted, or only the last.

    Example:
        >>> one = torch.ones(1, 1)
        >>> simple_rnn(torch.ones(1, 3, 1), torch.zeros(1, 1), one, one, None, relu=True).outputs.flatten()
        tensor([1., 2., 3.])
    """

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        if recurrent_onnx.wanted():
            return recurrent_onnx.simple_rnn(x, h, kernel, recurrent_kernel, bias, relu)
        if _native(x, h, kernel, recurrent_kernel, bias):
            return recurrent_native.SimpleRNN.apply(x, h, kernel, recurrent_kernel, bias, relu)
        if _halves(x, h, kernel, recurrent_kernel, bias):
            return _in_full(recurrent_native.SimpleRNN, x, h, kernel, recurrent_kernel, bias, relu)
        return _and_last(run_all(x))

    def run_all(x: Tensor) -> Tensor:
        recurrent_onnx.check_steps(x)
        if _torch_only(x):
            weights = _chunk(x, [kernel.t(), recurrent_kernel.t()], bias)
            function = torch._VF.rnn_relu if relu else torch._VF.rnn_tanh  # type: ignore[attr-defined]
            return function(x, h.unsqueeze(0), weights, *_one_layer(bias))[0]
        if _compiled(x):
            activation = torch.relu if relu else torch.tanh
            return recurrent_plain.simple_rnn_plain(x, h, kernel, recurrent_kernel, bias, activation)
        return recurrent_loops.SimpleRNN.apply(x, h, kernel, recurrent_kernel, bias, relu)

    return _one_state(run, x, h, mask, every_output)


def gru(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None = None,
    *,
    every_output: bool = True,
) -> Pass:
    """Run a gated recurrent unit, reset gate after the matrix product, over time.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    Args:
        x: (samples, time steps, features).
        h: The first state (samples, units).
        kernel, recurrent_kernel, bias: (features, 3 * units), (units, 3 * units), (2, 3 * units) or None.
        mask, every_output: As for `simple_rnn`.
    """

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        if recurrent_onnx.wanted():
            return recurrent_onnx.gru(x, h, kernel, recurrent_kernel, bias)
        if _native(x, h, kernel, recurrent_kernel, bias):
            return recurrent_native.GRU.apply(x, h, kernel, recurrent_kernel, bias)
        if _tiles(x, h, kernel, recurrent_kernel, bias):
            return recurrent_native.HalfGRU.apply(x, h, kernel, recurrent_kernel, bias)
        if _halves(x, h, kernel, recurrent_kernel, bias):
            return _in_full(recurrent_native.GRU, x, h, kernel, recurrent_kernel, bias)
        return _and_last(run_all(x))

    def run_all(x: Tensor) -> Tensor:
        recurrent_onnx.check_steps(x)
        if _torch_only(x):
            weights = _chunk(x, [_gru_order(kernel.t()), _gru_order(recurrent_kernel.t())], bias, gru=True)
            return torch._VF.gru(x, h.unsqueeze(0), weights, *_one_layer(bias))[0]  # type: ignore[attr-defined]
        if _compiled(x):
            return recurrent_plain.gru_plain(x, h, kernel, recurrent_kernel, bias)
        return recurrent_loops.GRU.apply(x, h, kernel, recurrent_kernel, bias)

    return _one_state(run, x, h, mask, every_output)


def lstm(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None = None,
    *,
    every_output: bool = True,
    cell_state: bool = True,
) -> Pass:
    """Run a long short-term memory over time.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; forget gate by Gers et al., 2000.

    Args:
        x: (samples, time steps, features).
        h, c: The first output and cell state (samples, units).
        kernel, recurrent_kernel, bias: (features, 4 * units), (units, 4 * units), (4 * units,) or None.
        mask, every_output: As for `simple_rnn`.
        cell_state: Whether the last cell state is wanted; with a mask, without
            it things go faster, and the first cell state is returned in its place.
    """
    native_kernels = _native(x, h, c, kernel, recurrent_kernel, bias)
    if _tiles(x, h, c, kernel, recurrent_kernel, bias) and (mask is None or not cell_state):
        valid = None if mask is None else _Valid(mask, x)
        sequences = x if valid is None else valid.compact(x)
        outputs, h_last, c_last = recurrent_native.HalfLSTM.apply(sequences, h, c, kernel, recurrent_kernel, bias)
        if valid is None:
            return Pass(outputs if every_output else None, h_last, (h_last, c_last))
        all_outputs = valid.spread(outputs) if every_output else None
        return Pass(all_outputs, valid.last(outputs, None), (valid.last(outputs, h), c))
    if mask is None:
        if native_kernels:
            outputs, _, h_last, c_last = recurrent_native.LSTM.apply(x, h, c, kernel, recurrent_kernel, bias)
            return Pass(outputs if every_output else None, h_last, (h_last, c_last))
        if recurrent_onnx.wanted():
            outputs, h_last, c_last = recurrent_onnx.lstm(x, h, c, kernel, recurrent_kernel, bias)
            return Pass(outputs if every_output else None, h_last, (h_last, c_last))
        if _has_fused_lstm(x):
            outputs, h_last, c_last = _torch_lstm(x, h, c, kernel, recurrent_kernel, bias)
            return Pass(outputs if every_output else None, h_last, (h_last, c_last))
        outputs, cells = _loop_lstm(x, h, c, kernel, recurrent_kernel, bias)
        return Pass(outputs if every_output else None, outputs[:, -1], (outputs[:, -1], cells[:, -1]))
    valid = _Valid(mask, x)
    x = valid.compact(x)
    if native_kernels:
        outputs, cells, _, _ = recurrent_native.LSTM.apply(x, h, c, kernel, recurrent_kernel, bias)
        c_last = valid.last(cells, c) if cell_state else c
    elif recurrent_onnx.wanted() and not cell_state:
        outputs, c_last = recurrent_onnx.lstm(x, h, c, kernel, recurrent_kernel, bias)[0], c
    elif cell_state or not _has_fused_lstm(x):
        # torch's LSTM tells the cell state after the last step only, which for a shorter sample is too late.
        outputs, cells = _loop_lstm(x, h, c, kernel, recurrent_kernel, bias)
        c_last = valid.last(cells, c)
    else:
        outputs, c_last = _torch_lstm(x, h, c, kernel, recurrent_kernel, bias)[0], c
    all_outputs = valid.spread(outputs) if every_output else None
    return Pass(all_outputs, valid.last(outputs, None), (valid.last(outputs, h), c_last))


def _and_last(outputs: Tensor) -> tuple[Tensor, Tensor]:
    return outputs, outputs[:, -1]


def _one_state(
    run: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor, h: Tensor, mask: Tensor | None, every_output: bool
) -> Pass:
    """Finish the networks whose output is their only state."""
    if mask is None:
        outputs, last = run(x)
        return Pass(outputs if every_output else None, last, (last,))
    valid = _Valid(mask, x)
    outputs = run(valid.compact(x))[0]
    all_outputs = valid.spread(outputs) if every_output else None
    return Pass(all_outputs, valid.last(outputs, None), (valid.last(outputs, h),))


class _Valid:
    """Where the valid time steps of a batch are."""

    def __init__(self, mask: Tensor, x: Tensor) -> None:
        self.mask = mask
        self.seen = mask.cumsum(1)  # how many valid steps there were, up to each step
        self.length = self.seen[:, -1]
        self.longest = mask.shape[1]
        self.in_front = False
        if x.device.type == "cpu" and not _exported() and not _compiled(x):
            # Looking at the values costs nothing here; on a GPU it would make the program wait for it.
            self.longest = max(int(self.length.max()), 1) if len(mask) else 1
            self.in_front = bool((mask[:, 1:] <= mask[:, :-1]).all())

    def compact(self, x: Tensor) -> Tensor:
        """Return the valid steps of each sample at the front, as many steps as the longest sample has."""
        if self.in_front:
            return x[:, : self.longest]
        if _exported():
            order = self._counted_order()  # ONNX knows no stable sorting
        else:
            order = torch.argsort((~self.mask).to(torch.uint8), dim=1, stable=True)[:, : self.longest]
        return x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[2]))

    def _counted_order(self) -> Tensor:
        """Return the steps with the valid ones first: where each goes is found by counting."""
        skipped = (~self.mask).cumsum(1)
        place = torch.where(self.mask, self.seen - 1, self.length.unsqueeze(1) + skipped - 1)
        steps = torch.arange(self.mask.shape[1], device=self.mask.device).expand_as(place)
        return torch.zeros_like(place).scatter(1, place, steps)

    def spread(self, outputs: Tensor) -> Tensor:
        """Return for each time step the output of the last valid one up to it, zeros before the first."""
        index = (self.seen - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, outputs.shape[2])
        return outputs.gather(1, index).masked_fill((self.seen == 0).unsqueeze(-1), 0)

    def last(self, outputs: Tensor, otherwise: Tensor | None) -> Tensor:
        """Return what belongs to the last valid step of each sample; `otherwise` (None: zeros) if there is none."""
        rows = torch.arange(outputs.shape[0], device=outputs.device)
        found = outputs[rows, (self.length - 1).clamp(min=0)]
        none = (self.length == 0).unsqueeze(-1)
        return found.masked_fill(none, 0) if otherwise is None else torch.where(none, otherwise, found)


# --- torch's own ------------------------------------------------------------------


def _torch_only(x: Tensor) -> bool:
    """Return whether torch's own function is to run: on a GPU, and where it is written down by name."""
    return (x.device.type == "cuda" or _exported()) and not _compiled(x)


def _native(x: Tensor, *others: Tensor | None) -> bool:
    return native.takes(x, *others) and not watched() and not torch.compiler.is_exporting() and _fits(*others)


def _fits(*others: Tensor | None) -> bool:
    """Return whether kernel, recurrent kernel and bias, the last three, have as many columns: torch says if not."""
    kernel, recurrent_kernel, bias = others[-3:]
    assert kernel is not None and recurrent_kernel is not None
    return kernel.shape[1] == recurrent_kernel.shape[1] and (bias is None or bias.shape[-1] == kernel.shape[1])


def _halves(x: Tensor, *others: Tensor | None) -> bool:
    """Return whether these are bfloat16 that the native kernels can run: by tiles, or else as float32."""
    if x.dtype is not torch.bfloat16 or not native.takes(x, *others, half=True):
        return False
    return not watched() and not torch.compiler.is_exporting() and x.numel() > 0 and _fits(*others)


def _tiles(x: Tensor, *others: Tensor | None) -> bool:
    """Return whether the kernels for tiles of bfloat16 can run; the recurrent kernel is the last but one."""
    recurrent_kernel = others[-2]
    assert recurrent_kernel is not None
    return _halves(x, *others) and recurrent_kernel.shape[0] % 32 == 0 and native.has_tiles()


def _in_full(network: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
    """Run a network of bfloat16 in float32: without tiles that is the fastest, and rounds less."""
    kind = arguments[0].dtype
    outputs, last = network.apply(*(one.float() if isinstance(one, Tensor) else one for one in arguments))
    return outputs.to(kind), last.to(kind)


def _exported() -> bool:
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def _compiled(x: Tensor) -> bool:
    """Return whether torch.compile, torch.func or autocast looks on: they cannot take oneDNN's functions or ours apart."""
    if transformed():
        return True
    if torch.compiler.is_compiling():
        return not torch.compiler.is_exporting() and x.device.type != "cuda"
    return recorded() and x.device.type != "cuda"


def _has_fused_lstm(x: Tensor) -> bool:
    if _torch_only(x):
        return True
    if x.device.type != "cpu" or x.dtype is torch.float64 or _compiled(x):
        return False
    return torch.backends.mkldnn.is_available()


def _torch_lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    recurrent_onnx.check_steps(x)
    # oneDNN would copy a transposed view once more for the backward pass.
    weights = _chunk(x, [kernel.t().contiguous(), recurrent_kernel.t().contiguous()], bias)
    states = (h.unsqueeze(0), c.unsqueeze(0))
    outputs, h, c = torch._VF.lstm(x, states, weights, *_one_layer(bias))  # type: ignore[attr-defined]
    return outputs, h[0], c[0]


def _loop_lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    run = recurrent_plain.lstm_plain if _exported() or _compiled(x) else recurrent_loops.LSTM.apply
    return run(x, h, c, kernel, recurrent_kernel, bias)


def _one_layer(bias: Tensor | None) -> tuple[bool, int, float, bool, bool, bool]:
    """Return the last arguments of torch's functions: has_biases, layers, dropout, train, bidirectional, batch_first."""
    return bias is not None, 1, 0.0, torch.is_grad_enabled(), False, True


def _gru_order(weight: Tensor) -> Tensor:
    """Return rows z, r, candidate in torch's order r, z, candidate."""
    z, r, candidate = weight.chunk(3, dim=0)
    return torch.cat([r, z, candidate])


def _chunk(x: Tensor, weights: list[Tensor], bias: Tensor | None, gru: bool = False) -> list[Tensor]:
    """Return the weights as torch wants them; on a GPU in one piece of memory, which cuDNN wants."""
    if bias is not None:
        pair = [_gru_order(bias[0]), _gru_order(bias[1])] if gru else [bias, torch.zeros_like(bias)]
        weights = weights + pair
    if x.device.type != "cuda":
        return weights
    whole = torch.cat([weight.reshape(-1) for weight in weights])
    parts = whole.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights)]
