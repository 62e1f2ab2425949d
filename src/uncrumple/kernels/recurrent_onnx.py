"""Recurrent layers as ONNX has them: one operator for a whole sequence of any length.

torch's exporter takes a recurrent layer apart into its time steps, which makes
large files for one length alone. While a model is written as ONNX
(`writing`), the kernels therefore call operators of our own, which the
exporter hands to `translations` and writes as ONNX's LSTM, GRU and RNN. They
compute nothing: only shapes are needed then.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

Tensor = torch.Tensor


class _State(threading.local):
    # "onnx" or "torch" while a model is written as a program, else None.
    target: str | None = None


_state = _State()


@contextlib.contextmanager
def writing(target: str) -> Iterator[None]:
    """Within this block a model is written as a program, for "onnx" or for "torch".

    For ONNX, recurrent kernels call the operators that `translations` knows.
    """
    before, _state.target = _state.target, target
    try:
        yield
    finally:
        _state.target = before


def wanted() -> bool:
    """Return whether a model is being written as ONNX.

    Example:
        >>> wanted()
        False
    """
    return _state.target == "onnx"


def check_steps(x: Tensor) -> None:
    """Refuse sequences (samples, time steps, ...) of unknown length where a program needs each step by itself.

    torch would find that out as well, after it has written down every step of one length.
    """
    if _state.target is not None and type(x.shape[1]) is not int:
        raise ValueError("sequences of unknown length cannot be written step by step")


def lstm(
    x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Stand for an LSTM; arguments as for `recurrent.lstm`. Returns (outputs, last output, last cell state)."""
    none = kernel.new_zeros(kernel.shape[1])
    both = torch.cat([none if bias is None else _lstm_order(bias), none])
    given = _as_onnx_wants(x, h, _lstm_order(kernel), _lstm_order(recurrent_kernel), both)
    outputs, h_last, c_last = _operators()["lstm"](*given, c.unsqueeze(0))
    return outputs[:, 0].transpose(0, 1), h_last[0], c_last[0]


def gru(x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Stand for a GRU with the reset gate after the product. Returns (outputs, last output)."""
    both = kernel.new_zeros(2 * kernel.shape[1]) if bias is None else bias.reshape(-1)
    outputs, last = _operators()["gru"](*_as_onnx_wants(x, h, kernel, recurrent_kernel, both))
    return outputs[:, 0].transpose(0, 1), last[0]


def simple_rnn(
    x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None, relu: bool
) -> tuple[Tensor, Tensor]:
    """Stand for a simple recurrent network. Returns (outputs, last output)."""
    none = kernel.new_zeros(kernel.shape[1])
    both = torch.cat([none if bias is None else bias, none])
    operator = _operators()["rnn_relu" if relu else "rnn_tanh"]
    outputs, last = operator(*_as_onnx_wants(x, h, kernel, recurrent_kernel, both))
    return outputs[:, 0].transpose(0, 1), last[0]


def _as_onnx_wants(x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, both: Tensor) -> tuple[Tensor, ...]:
    """Return arguments as ONNX wants them: time first, and an axis for the direction."""
    kernels = kernel.t().unsqueeze(0), recurrent_kernel.t().unsqueeze(0)
    return x.transpose(0, 1), *kernels, both.unsqueeze(0), h.unsqueeze(0)


def _lstm_order(weight: Tensor) -> Tensor:
    """Return columns i, f, candidate, o in ONNX's order i, o, f, candidate."""
    units = weight.shape[-1] // 4
    return torch.cat([weight[..., place * units : (place + 1) * units] for place in (0, 3, 1, 2)], dim=-1)


@functools.cache
def _operators() -> dict[str, Any]:
    """Return the operators by name, made when first wanted."""
    library = torch.library.Library("uncrumple_onnx", "DEF")
    one = "(Tensor x, Tensor kernel, Tensor recurrent, Tensor bias, Tensor h) -> (Tensor, Tensor)"
    library.define("gru" + one)
    library.define("rnn_tanh" + one)
    library.define("rnn_relu" + one)
    library.define(
        "lstm(Tensor x, Tensor kernel, Tensor recurrent, Tensor bias, Tensor h, Tensor c) -> (Tensor, Tensor, Tensor)"
    )

    def shapes(x: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        time, samples = x.shape[:2]
        outputs = x.new_empty((time, 1, samples, recurrent.shape[-1]))
        return outputs, *(torch.empty_like(state) for state in states)

    names = ("lstm", "gru", "rnn_tanh", "rnn_relu")
    for name in names:
        library.impl(name, shapes, "Meta")
    made = {name: getattr(torch.ops.uncrumple_onnx, name).default for name in names}
    made["library"] = library  # it takes the operators along when it goes
    return made


def translations() -> dict[Any, Callable[..., Any]]:
    """Return, for each operator, the function that writes it as ONNX's; needs `onnxscript`."""
    from onnxscript import opset22 as onnx

    def write_lstm(x: Any, kernel: Any, recurrent: Any, bias: Any, h: Any, c: Any) -> Any:
        return onnx.LSTM(x, kernel, recurrent, bias, None, h, c, hidden_size=recurrent.shape[-1])

    def write_gru(x: Any, kernel: Any, recurrent: Any, bias: Any, h: Any) -> Any:
        size = recurrent.shape[-1]
        return onnx.GRU(x, kernel, recurrent, bias, None, h, hidden_size=size, linear_before_reset=1)

    def write_tanh(x: Any, kernel: Any, recurrent: Any, bias: Any, h: Any) -> Any:
        return onnx.RNN(x, kernel, recurrent, bias, None, h, hidden_size=recurrent.shape[-1], activations=["Tanh"])

    def write_relu(x: Any, kernel: Any, recurrent: Any, bias: Any, h: Any) -> Any:
        return onnx.RNN(x, kernel, recurrent, bias, None, h, hidden_size=recurrent.shape[-1], activations=["Relu"])

    writers: dict[str, Any] = {"lstm": write_lstm, "gru": write_gru, "rnn_tanh": write_tanh, "rnn_relu": write_relu}
    return {_operators()[name]: writer for name, writer in writers.items()}
