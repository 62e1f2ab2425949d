"""`Bidirectional`: a sequence read from both ends."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from uncrumple import initializers
from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import one_of
from uncrumple.layers.recurrent.rnn import explain_sequence

_MERGE: dict[Any, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "concat": lambda y, y_back: torch.cat([y, y_back], dim=-1),
    "sum": lambda y, y_back: y + y_back,
    "ave": lambda y, y_back: (y + y_back) / 2,
    "mul": lambda y, y_back: y * y_back,
    None: lambda y, y_back: (y, y_back),
}
_COMMON = ("stateful", "return_sequences", "return_state")


class Bidirectional(Layer):
    """Reads a sequence from both ends with two recurrent layers and joins their outputs.

    The second layer's outputs are put back into the order of time. With
    `return_sequences`, outputs of masked time steps are zero.

    Source: Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997.

    Args:
        layer: A recurrent layer: `LSTM`, `GRU`, `SimpleRNN`, `RNN`, or one of
            your own with `go_backwards`, `return_sequences`, `return_state`
            and `stateful`. It is copied, without its weights.
        merge_mode: `"concat"`, `"sum"`, `"ave"` (mean), `"mul"`, or None to return both.
        weights: First values of the weights as arrays: the forward layer's, then the backward layer's.
        backward_layer: The layer that reads from the end; by default a copy of `layer`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, time steps, features).
    Output shape: (samples, 2 * units) with `"concat"`, else (samples, units);
        with `return_sequences`, time steps follow the samples; with
        `return_state`, the states of both layers come after.

    Raises:
        ValueError: The two layers do not go together, or `merge_mode` is not known.

    Example:
        >>> from uncrumple.layers.recurrent.lstm import LSTM
        >>> Bidirectional(LSTM(4))(torch.ones(2, 5, 3)).shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        _check_layer("layer", layer)
        if backward_layer is not None:
            _check_layer("backward_layer", backward_layer)
        one_of("Bidirectional", "merge_mode", merge_mode, tuple(_MERGE))
        super().__init__(**kwargs)
        self.forward_layer = copy_of(layer, name=f"forward_{layer.name.removeprefix('forward_')}")
        if backward_layer is None:
            name = f"backward_{layer.name.removeprefix('backward_')}"
            backward_layer = copy_of(layer, name=name, go_backwards=True)
        self.backward_layer = backward_layer
        if not self._trainable:
            self.forward_layer.trainable = self.backward_layer.trainable = False
        self._check_pair()
        if hasattr(layer, "use_cudnn"):
            self.forward_layer.use_cudnn = self.backward_layer.use_cudnn = layer.use_cudnn
        for part in (self.forward_layer, self.backward_layer):
            if getattr(part, "zero_output_for_mask", None) is not None:
                part.zero_output_for_mask = part.return_sequences
        self.merge_mode = merge_mode
        self._first_weights = weights
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec
        self._maker: Any = None

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                explain(
                    f"Bidirectional got two layers with go_backwards={forward.go_backwards}.",
                    "Expected one that reads from the start and one that reads from the end.",
                    f"backward_layer={type(backward).__name__}(..., go_backwards={not forward.go_backwards})",
                )
            )
        for setting in _COMMON:
            ours, theirs = getattr(forward, setting), getattr(backward, setting)
            if ours != theirs:
                raise ValueError(
                    explain(
                        f"Bidirectional got layers with {setting}={ours} and {setting}={theirs}.",
                        "Expected the same in both.",
                        f"backward_layer={type(backward).__name__}(..., {setting}={ours})",
                    )
                )

    # --- building --------------------------------------------------------------------

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for part in (self.forward_layer, self.backward_layer):
            if not part.built:
                part.build(sequences_shape)
                part.built = True
        self.input_spec = self.forward_layer.input_spec
        if self._first_weights:
            half = len(self._first_weights) // 2
            self.forward_layer.set_weights(self._first_weights[:half])
            self.backward_layer.set_weights(self._first_weights[half:])

    @property
    def states(self) -> Any:
        """The kept states of both layers, if they are stateful and built; else None."""
        ours, theirs = self.forward_layer.states, self.backward_layer.states
        return None if not ours or not theirs else (*ours, *theirs)

    def reset_state(self) -> None:
        """Set the kept states of both layers back to zero."""
        if not self.stateful:
            raise AttributeError(
                explain(
                    f"{self._label} keeps no states between batches.",
                    "Expected stateful=True in the layer it wraps.",
                    f"Bidirectional({type(self.forward_layer).__name__}(..., stateful=True))",
                )
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """Do what `reset_state` does: its older name."""
        self.reset_state()

    # --- running ---------------------------------------------------------------------

    def call(
        self, sequences: torch.Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        first, second = None, None
        if initial_state is not None:
            half = len(initial_state) // 2
            first, second = list(initial_state[:half]), list(initial_state[half:])
        y, states = self._read(self.forward_layer, sequences, first, mask, training)
        y_back, states_back = self._read(self.backward_layer, sequences, second, mask, training)
        if self.return_sequences:
            y_back = y_back.flip(1)
        output = _MERGE[self.merge_mode](y, y_back)
        if not self.return_state:
            return output
        return (*(output if self.merge_mode is None else (output,)), *states, *states_back)

    def _read(self, layer: Any, sequences: torch.Tensor, states: Any, mask: Any, training: Any) -> tuple[Any, Any]:
        kwargs: dict[str, Any] = {}
        if states is not None:
            kwargs["initial_state"] = states
        if layer._takes_mask:
            kwargs["mask"] = mask
        if layer._takes_training:
            kwargs["training"] = training
        found = layer(sequences, **kwargs)
        y, more = (found[0], tuple(found[1:])) if self.return_state else (found, ())
        return y.to(self._compute_in), more

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        """Return the mask of the sequence for each returned sequence; states have none."""
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        masks = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            masks += [None] * (2 * len(tree.flatten(getattr(self.forward_layer, "state_size", [0]))))
        return masks if len(masks) > 1 else masks[0]

    def _call_symbolically(self, args: Any, kwargs: Any) -> Any:
        self._maker = args[0] if args else None
        try:
            return super()._call_symbolically(args, kwargs)
        finally:
            self._maker = None

    def explain_input(self, shape: Any) -> str:
        return explain_sequence(self, shape, self._maker)

    # --- config ----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": self.forward_layer,
            "backward_layer": self.backward_layer,
        }


def _check_layer(argument: str, layer: Any) -> None:
    if not isinstance(layer, Layer):
        raise ValueError(
            explain(
                f"Bidirectional got {argument}={layer!r}, a {type(layer).__name__}.",
                "Expected a recurrent layer.",
                "Bidirectional(LSTM(32))",
            )
        )
    for needed in ("go_backwards", *_COMMON):
        if not hasattr(layer, needed):
            raise ValueError(
                explain(
                    f"Bidirectional got {argument}={layer._label}, which has no '{needed}'.",
                    "Expected a recurrent layer.",
                    "Bidirectional(LSTM(32)), or Bidirectional(RNN(cell)) for a cell of your own",
                )
            )


def copy_of(layer: Any, **changes: Any) -> Any:
    """Return a layer with the same settings and new weights."""
    # A class of ours tells its settings as objects: functions that no config can hold come along.
    ours = type(layer).__module__.startswith("uncrumple.layers.recurrent.")
    settings = layer.arguments() if ours and hasattr(layer, "arguments") else layer.get_config()
    settings = {**settings, **changes}

    def fresh(leaf: Any) -> Any:
        if isinstance(leaf, Layer):
            return copy_of(leaf)
        if hasattr(leaf, "call") and hasattr(leaf, "state_size"):  # a cell that is no layer
            return copy.deepcopy(leaf)
        # An initializer repeats itself; a copy without a seed does not.
        return leaf.clone() if isinstance(leaf, initializers.Initializer) else leaf

    return type(layer).from_config({key: tree.map_structure(fresh, value) for key, value in settings.items()})
