"""The gates of an LSTM or GRU while it reads a sequence: what it lets in, keeps, and shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from uncrumple.explain.keeping import answering
from uncrumple.explain.pictures.choosing import one_sample, parts_that
from uncrumple.explain.pictures.picture import Picture, plain, refuse
from uncrumple.explain.uncrumpling.inside import call
from uncrumple.layers.recurrent.gru import GRUCell
from uncrumple.layers.recurrent.lstm import LSTMCell
from uncrumple.layers.recurrent.rnn import RNN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 60
# In the order drawn: gates are shares from 0 to 1, what follows has a sign.
_LSTM = ("forget gate", "input gate", "output gate", "cell state", "output")
_GRU = ("update gate", "reset gate", "output")
_SAYS = {
    "forget gate": "1 keeps what is remembered, 0 forgets it",
    "input gate": "1 lets the step in, 0 ignores it",
    "output gate": "1 shows what is remembered, 0 hides it",
    "update gate": "1 keeps the state, 0 replaces it",
    "reset gate": "1 looks at the state for what is new, 0 does not",
    "cell state": "what is remembered",
    "output": "what the layer hands on",
}


class GateActivity(Picture):
    """What `gate_activity` returns.

    Attributes:
        name: Of the layer.
        gates: By name, each (steps, units), in the order the layer reads; NaN where a step is masked.
        half_life: For each unit after how many steps half of what it remembers is gone.
        tokens: What stands at each step, or None.
    """

    def __init__(self, name: str, gates: dict[str, np.ndarray], tokens: list[str] | None) -> None:
        self.name, self.gates, self.tokens = name, gates, tokens
        self.keeper = "forget gate" if "forget gate" in gates else "update gate"
        kept = np.nanmean(np.log(np.clip(gates[self.keeper], 1e-6, 1 - 1e-9)), axis=0)
        self.half_life = np.log(0.5) / kept
        middle, longest = float(np.median(self.half_life)), int(np.argmax(self.half_life))
        self.title = (
            f"The {self.keeper} of '{name}' stands at {np.nanmean(gates[self.keeper]):.2f} on average: half of what a unit "
            f"remembers is gone after {_steps(middle)}; unit {longest} keeps it for {_steps(self.half_life[longest])}"
        )
        self.note = f"Units from the one that keeps the longest (top) to the one that forgets the fastest. {self.keeper.capitalize()}: {_SAYS[self.keeper]}."

    def _lines(self) -> list[str]:
        return [
            f"{name}: {np.nanmean(values):.3f} on average, from {np.nanmin(values):.3f} to {np.nanmax(values):.3f}; "
            f"{_SAYS[name]}"
            for name, values in self.gates.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": self.name, "tokens": self.tokens,
                **plain({"half_life": self.half_life, "gates": self.gates})}  # fmt: skip

    def _draw(self, theme: str) -> Figure:
        from uncrumple.explain.pictures.style import new_figure, scale_bar, theme_of

        order = np.argsort(-self.half_life)
        steps, units = self.gates[self.keeper].shape
        count = len(self.gates)
        figure = new_figure(max(7.2, min(12.0, 0.16 * steps + 2.5)), 1.45 * count + 1.7, self.title, theme, self.note)
        named = self.tokens is not None and steps <= _MOST_NAMED
        for index, (name, values) in enumerate(self.gates.items()):
            axes = figure.add_subplot(count, 1, index + 1)
            shown = values[:, order].T
            if name.endswith("gate"):
                image = axes.imshow(shown, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            else:
                most = float(np.nanmax(np.abs(shown))) or 1.0
                image = axes.imshow(shown, aspect="auto", cmap=theme_of(theme)["diverging"], vmin=-most, vmax=most,
                                    interpolation="nearest")  # fmt: skip
            axes.set_title(f"{name}: {_SAYS[name]}; on average {np.nanmean(values):.2f}", fontsize=8.8)
            axes.set_ylabel(f"{units} units", fontsize=8)
            axes.set_yticks([])
            if named and self.tokens is not None:
                axes.set_xticks(range(steps), self.tokens if index == count - 1 else [], fontsize=7,
                                rotation=90 if max(map(len, self.tokens)) > 2 else 0)  # fmt: skip
                axes.tick_params(length=0)
            elif index == count - 1:
                axes.set_xlabel("step of the sequence")
            else:
                axes.set_xticks([])
            scale_bar(figure, image, axes, "", shrink=0.95)
        return figure


def gate_activity(
    model: Any, x: Any, layer: Any = None, *, tokens: Sequence[str] | str | None = None
) -> GateActivity:  # fmt: skip
    """Show the gates of an LSTM or GRU at every step of a sequence.

    Args:
        model: A model made in any way, or a torch module.
        x: One sequence as the model takes it, or several, of which the first counts.
        layer: The name of an LSTM or GRU layer, or the layer; by default the first. Of torch's layers that are
            stacked or run both ways, the first that reads forwards.
        tokens: What stands at each step, to be written below.

    Raises:
        ValueError: There is no such layer, or there are more or fewer tokens than steps.

    Example:
        >>> from uncrumple.layers import LSTM, Input
        >>> from uncrumple.models import Sequential
        >>> shown = gate_activity(Sequential([Input((7, 3)), LSTM(4)]), np.zeros((7, 3)))
        >>> shown.gates["forget gate"].shape, round(float(shown.gates["forget gate"][0, 0]), 3)
        ((7, 4), 0.731)
    """
    owner = "gate_activity"
    part = parts_that(model, _has_gates, layer, owner, "LSTM or GRU layer", "LSTM(32)")[0]
    sample = one_sample(model, x, owner)
    given: list[Any] = []

    def before(module: Any, args: Any, kwargs: Any) -> None:
        if not given:
            first = args[0] if args else kwargs.get("sequences", kwargs.get("input"))
            mask = kwargs.get("mask")
            given.append((first.detach().clone(), getattr(first, "_keras_mask", None) if mask is None else mask,
                          args[1] if len(args) > 1 else kwargs.get("initial_state", kwargs.get("hx"))))  # fmt: skip

    with answering(model), torch.no_grad():
        handle = part.module.register_forward_pre_hook(before, with_kwargs=True)
        try:
            call(model, sample)
        finally:
            handle.remove()
        if not given:
            raise refuse(
                owner, f"'{part.name}', which the model does not run", "Expected a layer that is run.", "layer=None"
            )
        gates = _gates_of(part.module, *given[0])
    names = None if tokens is None else [{" ": "␣", "\n": "↵"}.get(str(one), str(one)) for one in tokens]
    steps = len(next(iter(gates.values())))
    if names is not None and len(names) != steps:
        raise refuse(
            owner, f"{len(names)} tokens for {steps} steps", "Expected one for each step.", f"tokens[:{steps}]"
        )
    if names is not None and getattr(part.module, "go_backwards", False):
        names.reverse()
    return GateActivity(part.name, gates, names)


def _has_gates(module: Any) -> bool:
    if isinstance(module, (torch.nn.LSTM, torch.nn.GRU)):
        return True
    return isinstance(module, RNN) and isinstance(module.cell, (LSTMCell, GRUCell)) and module.built


def _gates_of(module: Any, sequences: torch.Tensor, mask: Any, states: Any) -> dict[str, np.ndarray]:
    """Run the layer once more, step by step, and keep what it goes by."""
    if isinstance(module, RNN):
        cell = module.cell
        sequences = sequences.to(cell._compute_in)
        if module.go_backwards:
            sequences = sequences.flip(1)
            mask = None if mask is None else mask.flip(1)
        count = 2 if isinstance(cell, LSTMCell) else 1
        if states is None and module.stateful and module.states is not None:
            states = module.states
        now = [state[:1].float() for state in states] if isinstance(states, (list, tuple)) else None
        if now is None and isinstance(states, torch.Tensor):
            now = [states[:1].float()]
        now = now or [torch.zeros(1, cell.units, device=sequences.device) for _ in range(count)]
        projected = cell._project(sequences[:1], None).float()[0]
        step = _lstm_step(cell) if isinstance(cell, LSTMCell) else _gru_step(cell)
        names = _LSTM if isinstance(cell, LSTMCell) else _GRU
        keep = [True] * len(projected) if mask is None else mask[0].reshape(-1).bool().tolist()
    else:
        if not module.batch_first and sequences.ndim == 3:
            sequences = sequences.transpose(0, 1)
        sequences = sequences[None] if sequences.ndim == 2 else sequences
        is_lstm = isinstance(module, torch.nn.LSTM)
        now = [torch.zeros(1, module.hidden_size, device=sequences.device) for _ in range(1 + is_lstm)]
        projected = torch.nn.functional.linear(
            sequences[0], module.weight_ih_l0, module.bias_ih_l0 if module.bias else None
        )
        step = _torch_lstm_step(module) if is_lstm else _torch_gru_step(module)
        names = _LSTM if is_lstm else _GRU
        keep = [True] * len(projected)
    rows: list[list[torch.Tensor]] = []
    for time, part in enumerate(projected):
        found, after = step(part[None], now)
        rows.append([one[0] if keep[time] else torch.full_like(one[0], torch.nan) for one in found])
        now = after if keep[time] else now
    return {name: torch.stack([row[place] for row in rows]).cpu().numpy() for place, name in enumerate(names)}


Step = Callable[[torch.Tensor, list[torch.Tensor]], tuple[list[torch.Tensor], list[torch.Tensor]]]


def _lstm_step(cell: Any) -> Step:
    recurrent, act, gate = cell._weights()[1].float(), cell.activation, cell.recurrent_activation

    def step(part: torch.Tensor, now: list[torch.Tensor]) -> Any:
        i, f, g, o = (part + now[0] @ recurrent).chunk(4, dim=1)
        i, f, o = gate(i), gate(f), gate(o)
        c = f * now[1] + i * act(g)
        h = o * act(c)
        return [f, i, o, c, h], [h, c]

    return step


def _gru_step(cell: Any) -> Step:
    _, recurrent, bias = cell._weights()
    recurrent, act, gate = recurrent.float(), cell.activation, cell.recurrent_activation
    units = cell.units

    def step(part: torch.Tensor, now: list[torch.Tensor]) -> Any:
        h = now[0]
        x_z, x_r, x_g = part.chunk(3, dim=1)
        inner = h @ recurrent
        if cell.reset_after and bias is not None:
            inner = inner + bias[1].float()
        h_z, h_r, h_g = inner.chunk(3, dim=1)
        z, r = gate(x_z + h_z), gate(x_r + h_r)
        if not cell.reset_after:
            new = act(x_g + (r * h) @ recurrent[:, 2 * units :])
        else:
            new = act(x_g + r * h_g)
        h = z * h + (1 - z) * new
        return [z, r, h], [h]

    return step


def _torch_lstm_step(module: Any) -> Step:
    def step(part: torch.Tensor, now: list[torch.Tensor]) -> Any:
        inner = torch.nn.functional.linear(now[0], module.weight_hh_l0, module.bias_hh_l0 if module.bias else None)
        i, f, g, o = (part + inner).chunk(4, dim=1)
        i, f, o = i.sigmoid(), f.sigmoid(), o.sigmoid()
        c = f * now[1] + i * g.tanh()
        h = o * c.tanh()
        return [f, i, o, c, h], [h, c]

    return step


def _torch_gru_step(module: Any) -> Step:
    def step(part: torch.Tensor, now: list[torch.Tensor]) -> Any:
        inner = torch.nn.functional.linear(now[0], module.weight_hh_l0, module.bias_hh_l0 if module.bias else None)
        x_r, x_z, x_n = part.chunk(3, dim=1)
        h_r, h_z, h_n = inner.chunk(3, dim=1)
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        h = z * now[0] + (1 - z) * (x_n + r * h_n).tanh()
        return [z, r, h], [h]

    return step


def _steps(count: float) -> str:
    return f"{count:.0f} steps" if count >= 9.5 else f"{count:.1f} steps"
