"""`RNN`: a cell, run over the time steps of a sequence."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.core.variable import Variable
from uncrumple.kernels.recurrent import Pass
from uncrumple.kernels.recurrent_plain import steps
from uncrumple.layers import symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.recurrent.cell import DropoutRNNCell, RecurrentCell, flag
from uncrumple.layers.recurrent.stacked import StackedRNNCells, call_cell, check_cell, zero_states


class SequenceSpec(InputSpec):
    """Three axes, with their names in the message."""

    def complaint(self, shape: tuple[int | None, ...]) -> str | None:
        found = super().complaint(shape)
        if found is not None and len(shape) != self.ndim:
            return f"Expected 3 axes: (samples, time steps, features), got {len(shape)}."
        return found


class RNN(Layer):
    """Runs a cell over the time steps of a sequence; the states go from each step to the next.

    state[t], output[t] = cell(inputs[t], state[t - 1]), from state[-1] = initial_state or zeros.

    A cell of your own is a `Layer` with `state_size` and
    `call(inputs, states)`, which returns the output and a list of new states.

    Args:
        cell: The cell, or a list of cells that are stacked.
        return_sequences: Whether to return the outputs of all time steps, or only the last.
        return_state: Whether to return the last states as well.
        go_backwards: Whether to read the sequence from its end; outputs stay in that order.
        stateful: Whether each batch starts from the last states of the one
            before; the batch size must be fixed. `reset_state()` starts afresh.
        unroll: Accepted as in Keras; it makes no difference, neither to the result nor to the speed.
        zero_output_for_mask: Whether the output of a masked time step is zero
            instead of that of the step before.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, time steps, features).
    Output shape: (samples, units), or (samples, time steps, units) with
    `return_sequences`; with `return_state` followed by the states.

    Example:
        >>> class Sum(Layer):
        ...     state_size = 3
        ...     def call(self, inputs, states):
        ...         total = states[0] + inputs
        ...         return total, [total]
        >>> RNN(Sum())(torch.ones(1, 5, 3))
        tensor([[5., 5., 5.]])
    """

    # Whether the fused functions may be used; "auto" and True are the same where there are any.
    use_cudnn: Any = "auto"

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell, dtype=kwargs.get("dtype"))
        check_cell("RNN", cell)
        self.cell = cell
        if not self._trainable and isinstance(cell, Layer):
            cell.trainable = False
        self.return_sequences = flag(owner, "return_sequences", return_sequences)
        self.return_state = flag(owner, "return_state", return_state)
        self.go_backwards = flag(owner, "go_backwards", go_backwards)
        self.stateful = flag(owner, "stateful", stateful)
        self.unroll = flag(owner, "unroll", unroll)
        self.zero_output_for_mask = flag(owner, "zero_output_for_mask", zero_output_for_mask)
        self.supports_masking = True
        size = cell.state_size
        self.state_size = list(size) if isinstance(size, (list, tuple)) else [size]
        self._states: Any = None  # of a stateful layer; kept, but no weights
        self._maker: Any = None  # the symbolic tensor that came last, for a message about its shape
        if _runs_whole_sequences(cell):
            self.input_spec = SequenceSpec(ndim=3)

    # --- building --------------------------------------------------------------------

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        step_shape = (sequences_shape[0], *sequences_shape[2:])
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build(step_shape)
            self.cell.built = True
        if type(self.input_spec) is SequenceSpec:
            self.input_spec = SequenceSpec(ndim=3, axes={-1: sequences_shape[-1]})
        if self.stateful and self._states is None:
            if sequences_shape[0] is None:
                raise ValueError(
                    explain(
                        f"{self._label} is stateful and got an input of shape {sequences_shape}, of any batch size.",
                        "Expected a fixed batch size: it keeps one state per sample.",
                        f"Input(batch_shape=(32, {', '.join(map(str, sequences_shape[1:]))}))",
                    )
                )
            self._states = tree.map_structure(self._as_variable, self.get_initial_state(sequences_shape[0]))

    def _as_variable(self, value: torch.Tensor) -> Variable:
        made = Variable(value, dtype=self.variable_dtype, trainable=False, name="rnn_state")
        made.path = f"{self.name}/rnn_state"
        return made

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Return the states that a batch starts from, in a list."""
        states = zero_states(self.cell, batch_size, getattr(self.cell, "_compute_in", self._compute_in))
        return list(states) if isinstance(states, (list, tuple)) else [states]

    # --- states that outlive a batch -------------------------------------------------

    @property
    def states(self) -> Any:
        """The states kept by a stateful layer, in a list; None before it is built, or if it is not stateful."""
        return self._states

    def reset_state(self) -> None:
        """Set the kept states back to zero."""
        for state in tree.flatten(self._states if self._states is not None else []):
            state.assign(torch.zeros_like(state))

    def reset_states(self) -> None:
        """Do what `reset_state` does: its older name."""
        self.reset_state()

    # --- running ---------------------------------------------------------------------

    def call(self, sequences: torch.Tensor, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if sequences.shape[1] == 0:
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {tuple(sequences.shape)}: sequences without a time step.",
                    "Expected at least one time step.",
                    "leave the empty sequences out",
                )
            )
        if not sequences.is_floating_point() and _runs_whole_sequences(self.cell):
            sequences = sequences.to(self._compute_in)
        states = self._first_states(sequences, initial_state)
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        if mask is not None:
            mask = self._checked_mask(mask, sequences)
        if sequences.is_meta:
            found = self._shapes_only(sequences, states, bool(training))
        else:
            if self.go_backwards:
                sequences = sequences.flip(1)
                mask = None if mask is None else mask.flip(1)
            found = self._run(self.cell, sequences, states, mask, bool(training), self.return_sequences)
            if mask is not None and self.zero_output_for_mask:
                found = _zero_masked(found, mask)
        kind = self._compute_in
        if self.stateful and not sequences.is_meta:
            with torch.no_grad():
                for kept, new in zip(tree.flatten(self._states), tree.flatten(list(found.states))):
                    kept.copy_(new)
        output = found.outputs if self.return_sequences else found.last
        assert output is not None
        if output.dtype is not kind:
            output = output.to(kind)
        if not self.return_state:
            return output
        return (output, *tree.map_structure(lambda state: state.to(kind), list(found.states)))

    def _checked_mask(self, mask: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
        mask = mask.squeeze(-1) if mask.ndim == 3 else mask
        if mask.shape != sequences.shape[:2]:
            raise ValueError(
                explain(
                    f"{self._label} got a mask of shape {tuple(mask.shape)} with an input of shape {tuple(sequences.shape)}.",
                    "Expected one entry per time step: (samples, time steps).",
                    f"mask of shape {tuple(sequences.shape[:2])}",
                )
            )
        return mask.to(torch.bool)

    def _first_states(self, sequences: torch.Tensor, initial_state: Any) -> list[Any]:
        if initial_state is None and not self.stateful and isinstance(self.cell, RecurrentCell):
            return list(self.cell.zero_states(sequences))
        batch = sequences.shape[0]
        if initial_state is None and self.stateful and self._states is not None:
            kept = tree.flatten(self._states)[0].shape[0]
            if kept != batch and not symbolic.state.active:
                raise ValueError(
                    explain(
                        f"{self._label} is stateful for batches of {kept} samples and got {batch}.",
                        "Expected the same batch size at every call.",
                        f"give it a multiple of {kept} samples in batches of {kept}",
                    )
                )
            # A copy: the kept ones are overwritten before the gradient is computed.
            initial_state = tree.map_structure(lambda state: state.detach().clone(), self._states)
            if sequences.is_meta:
                initial_state = None
        if initial_state is None:
            with torch.device(sequences.device):
                initial_state = self.get_initial_state(batch)
        else:
            initial_state = list(initial_state) if isinstance(initial_state, (list, tuple)) else [initial_state]
            self._check_states(initial_state, sequences)
        kind = getattr(self.cell, "_compute_in", self._compute_in)

        def ready(state: Any) -> torch.Tensor:
            return torch.as_tensor(state).to(sequences.device, kind)

        return tree.map_structure(ready, initial_state)

    def _check_states(self, states: list[Any], sequences: torch.Tensor) -> None:
        sizes, batch = self.state_size, sequences.shape[0]
        built_in = isinstance(self.cell, RecurrentCell)
        shape = self.cell.state_shape(sequences) if built_in else ()
        got = [tuple(state.shape) for state in tree.flatten(states)]
        if len(states) != len(sizes):
            came = f"{self._label} got {len(states)} initial state{'s' * (len(states) != 1)}."
        elif built_in and any(one != shape for one in got):
            came = f"{self._label} got initial states of shapes {got} with an input of {batch} samples."
        else:
            return
        inner = [shape[1:] if built_in else (size,) for size in sizes]
        wanted = ", ".join(f"(samples, {', '.join(map(str, one))})" for one in inner)
        raise ValueError(
            explain(
                came,
                f"Expected {len(sizes)}: {wanted}.",
                f"initial_state=[{', '.join('hc'[k] if len(sizes) < 3 else f's{k}' for k in range(len(sizes)))}]",
            )
        )

    def _run(
        self, cell: Any, sequences: torch.Tensor, states: list[Any], mask: Any, training: bool, every_output: bool
    ) -> Pass:
        if isinstance(cell, RecurrentCell) and type(cell).is_built_in():
            return cell.run(
                sequences,
                tuple(tree.flatten(states)),
                mask,
                training=training,
                every_output=every_output,
                last_states=self.return_state or self.stateful,
                fused=self.use_cudnn is not False,
            )
        if isinstance(cell, StackedRNNCells) and _runs_whole_sequences(cell):
            new_states: list[Any] = []
            for index, (part, state) in enumerate(zip(cell.cells, states)):
                on_top = index == len(cell.cells) - 1
                state_list = list(state) if isinstance(state, (list, tuple)) else [state]
                found = self._run(part, sequences, state_list, mask, training, every_output or not on_top)
                new_states.append(list(found.states) if isinstance(state, (list, tuple)) else found.states[0])
                if not on_top:
                    assert found.outputs is not None
                    sequences = found.outputs
            return found._replace(states=tuple(new_states))
        return self._step_by_step(sequences, states, mask, training, every_output)

    def _step_by_step(
        self, sequences: torch.Tensor, states: list[Any], mask: Any, training: bool, every_output: bool
    ) -> Pass:
        """Run a cell that is known only by its `call`."""

        def step(inputs: torch.Tensor, flat: tuple[torch.Tensor, ...]) -> Any:
            output, new = call_cell(self.cell, inputs, tuple(tree.pack(states, list(flat))), training)
            return output, tree.flatten(new)

        try:
            found = steps(step, sequences, tuple(tree.flatten(states)), mask, every_output=every_output)
        finally:
            _reset_dropout(self.cell)
        return Pass(found[0], found[1], tuple(tree.pack(states, list(found[2]))))

    def _shapes_only(self, sequences: torch.Tensor, states: list[Any], training: bool) -> Pass:
        """Return results without numbers: a cell that is not known is asked for one time step, not for all."""
        batch, time = sequences.shape[:2]
        if _runs_whole_sequences(self.cell):
            cell = self.cell
            while isinstance(cell, StackedRNNCells):
                cell = cell.cells[-1]
            last, new_states = cell.zero_states(sequences)[0], states
        else:
            one = self._step_by_step(sequences[:, :1], states, None, training, False)
            last, new_states = one.last, list(one.states)
        return Pass(last.new_empty(batch, time, *last.shape[1:]), last, tuple(new_states))

    # --- masks and messages ----------------------------------------------------------

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """Return the mask of the sequence if sequences are returned; states have none."""
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        if self.return_state:
            return [mask] + [None] * len(tree.flatten(self.state_size))
        return mask

    def _call_symbolically(self, args: Any, kwargs: Any) -> Any:
        self._maker = args[0] if args else None
        kept = None if self._states is None else [state.detach().clone() for state in tree.flatten(self._states)]
        try:
            return super()._call_symbolically(args, kwargs)
        finally:
            self._maker = None
            # A cell of the user's may have been run on zeros to find its shapes.
            if kept is None:
                self.reset_state()
            else:
                for state, value in zip(tree.flatten(self._states), kept):
                    state.assign(value)

    def explain_input(self, shape: Any) -> str:
        return explain_sequence(self, shape, self._maker)

    # --- config ----------------------------------------------------------------------

    def arguments(self) -> dict[str, Any]:
        """Return what an equal layer is made with, as objects; the cell is the layer's own."""
        return {
            **Layer.get_config(self),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            "cell": self.cell,
        }

    def get_config(self) -> dict[str, Any]:
        return self.arguments()


def explain_sequence(layer: Any, shape: Any, maker: Any = None) -> str:
    """Return the line to type when a recurrent layer gets an input of `shape`."""
    rank = len(shape)
    if rank == 3:
        wanted = layer.input_spec.axes.get(-1)
        return f"give it {wanted} features per time step, or build the model again with Input((None, {shape[-1]}))"
    if rank > 3:
        inner = 1
        for size in shape[2:]:
            inner *= size or 1
        return f"Reshape(({shape[1] or -1}, {inner})) before it, to keep axis 1 as time"
    before = _recurrent_before(maker)
    if before is not None:
        return f"{_as_typed(before)} for '{before.name}'"
    if maker is not None:
        return f"Input(({shape[-1]}, 1)) and x = x[..., None], if axis 1 is time"
    return "if it comes after another recurrent layer, return_sequences=True on that one; otherwise x[..., None]"


def _recurrent_before(tensor: Any) -> Any:
    """Return the recurrent layer that took the time axis away from a symbolic tensor, or None."""
    for _ in range(8):
        history = getattr(tensor, "keras_history", None)
        if history is None:
            return None
        if getattr(history[0], "return_sequences", None) is False:
            return history[0]
        inputs = symbolic.made_by(tensor).inputs
        if not inputs:
            return None
        tensor = inputs[0]
    return None


def _as_typed(layer: Any) -> str:
    if hasattr(layer, "forward_layer"):
        return f"Bidirectional({_as_typed(layer.forward_layer)})"
    return f"{type(layer).__name__}({getattr(layer, 'units', 'cell')}, return_sequences=True)"


def _runs_whole_sequences(cell: Any) -> bool:
    """Return whether a cell, or each of several, is built in, so that all time steps can be run at once."""
    if isinstance(cell, StackedRNNCells):
        return type(cell) is StackedRNNCells and all(_runs_whole_sequences(part) for part in cell.cells)
    return isinstance(cell, RecurrentCell) and type(cell).is_built_in()


def _reset_dropout(cell: Any) -> None:
    for part in cell.cells if isinstance(cell, StackedRNNCells) else [cell]:
        if isinstance(part, DropoutRNNCell):
            part.reset_dropout_mask()
            part.reset_recurrent_dropout_mask()


def _zero_masked(found: Pass, mask: torch.Tensor) -> Pass:
    def keep(valid: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output.masked_fill(~valid.reshape(*valid.shape, *[1] * (output.ndim - valid.ndim)), 0)

    outputs = None if found.outputs is None else keep(mask, found.outputs)
    return found._replace(outputs=outputs, last=keep(mask[:, -1], found.last))
