"""Long short-term memory for films: the gates look at neighbours through convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.kernels.convolution import convolve
from uncrumple.layers.checks import data_format as checked_data_format
from uncrumple.layers.checks import sizes, whole_number
from uncrumple.layers.convolution import padding_name, refuse_strides_with_dilation
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.recurrent.cell import Masks, check_settings
from uncrumple.layers.recurrent.layer_of_cell import LayerOfCell, of_cell
from uncrumple.layers.recurrent.lstm import LSTMCell
from uncrumple.layers.shapes import shape_of

_WORDS = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_EXAMPLES = {1: (10, 100, 8), 2: (10, 28, 28, 1), 3: (10, 16, 28, 28, 1)}


class ConvLSTMCell(LSTMCell):
    """One time step of a `ConvLSTM1D`, `ConvLSTM2D` or `ConvLSTM3D`.

    As an `LSTMCell`, with a convolution in place of each matrix product. The
    convolution of the inputs has the given strides, padding and dilation; that
    of the state keeps its size.

    Args:
        rank: Number of axes between samples and channels: 1, 2 or 3.
        filters: Number of channels of the output.
        kernel_size, strides, padding, data_format, dilation_rate: As for a convolution.
        owner: The class that messages name.
        settings: The other arguments of an `LSTMCell`.

    Input shape: (samples, ..., channels), and the states [h, c].
    Output shape: (samples, ..., filters), and the new states.

    Example:
        >>> cell = ConvLSTMCell(2, filters=3, kernel_size=2, padding="same")
        >>> states = [torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 4, 3)]
        >>> cell(torch.ones(1, 4, 4, 2), states)[0].shape
        torch.Size([1, 4, 4, 3])
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        owner: str = "ConvLSTMCell",
        **settings: Any,
    ) -> None:
        super().__init__(whole_number(owner, "filters", filters), **settings)
        self.rank = rank
        self.filters = self.units
        self.kernel_size = sizes(owner, "kernel_size", kernel_size, rank)
        self.strides = sizes(owner, "strides", strides, rank)
        self.padding = padding_name(owner, padding)
        self.data_format = checked_data_format(owner, data_format)
        self.dilation_rate = sizes(owner, "dilation_rate", dilation_rate, rank)
        refuse_strides_with_dilation(owner, self.strides, self.dilation_rate)
        self.dropout_mask_count = self.gates  # whatever the settings
        self._channels_last = self.data_format == "channels_last"
        self._channel_axis = -1 if self._channels_last else 1
        self._inner_sizes: tuple[int | None, ...] = (None,) * rank  # of the inputs that it was built for

    def build(self, input_shape: Any) -> None:
        self._inner_sizes = tuple(input_shape[1:-1] if self._channels_last else input_shape[2:])
        super().build(input_shape)

    def _kernel_shapes(self, input_shape: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        width = self.gates * self.filters
        return (*self.kernel_size, input_shape[self._channel_axis], width), (*self.kernel_size, self.filters, width)

    # --- states ----------------------------------------------------------------------

    def output_sizes(self, inner: Sequence[Any]) -> tuple[Any, ...]:
        """Return the sizes of the output between samples and channels, for those of an input; None stays None."""
        found = []
        for size, kernel, stride, hole in zip(inner, self.kernel_size, self.strides, self.dilation_rate):
            fits = size if self.padding == "same" or size is None else size - (kernel - 1) * hole
            found.append(None if fits is None else max(-(-fits // stride), 0))
        return tuple(found)

    def _as_state(self, batch: int, inner: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of a state for a batch, and for sizes of an input between samples and channels."""
        sizes_now = self.output_sizes(inner)
        return (batch, *sizes_now, self.filters) if self._channels_last else (batch, self.filters, *sizes_now)

    def state_shape(self, like: torch.Tensor) -> tuple[int, ...]:
        return self._as_state(like.shape[0], like.shape[2:-1] if self._channels_last else like.shape[3:])

    def get_initial_state(self, batch_size: int | None = None) -> list[torch.Tensor]:
        """Return the states that a sequence starts from: zeros, for the sizes that the cell was built for."""
        inner = self._inner_sizes
        if None in inner:
            raise ValueError(
                explain(
                    f"{self._label} got an input with the sizes {inner} between samples and channels.",
                    "Expected known sizes: it makes states without seeing the data.",
                    "put numbers in place of None in Input",
                )
            )
        shape = self._as_state(batch_size or 0, [size for size in inner if size is not None])
        return [torch.zeros(shape, dtype=self._compute_in) for _ in range(self.states_count)]

    # --- mathematics -----------------------------------------------------------------

    def _project(self, inputs: torch.Tensor, drops: Masks | None) -> torch.Tensor:
        """Return the convolved inputs of one time step or of all at once."""
        kernel, _, bias = self._weights()
        steps = inputs.shape[1] if inputs.ndim == self.rank + 3 else None
        if drops is not None:
            if steps is not None:
                drops = [drop.unsqueeze(1) for drop in drops]
            # One copy of the channels per gate: the groups of the convolution are the gates.
            axis = -1 if self._channels_last else -self.rank - 1
            inputs = torch.cat([inputs * drop for drop in drops], axis)
        out = convolve(
            inputs if steps is None else inputs.flatten(0, 1),
            kernel,
            bias,
            strides=self.strides,
            dilation=self.dilation_rate,
            padding=self.padding,
            groups=1 if drops is None else self.gates,
            channels_last=self._channels_last,
        )
        return out if steps is None else out.unflatten(0, (inputs.shape[0], steps))

    def advance(self, projected: torch.Tensor, states: tuple[torch.Tensor, ...], drops: Masks | None) -> Any:
        h, c = states
        if drops is not None:
            h = torch.cat([h * drop for drop in drops], self._channel_axis)
        ones = (1,) * self.rank
        seen = convolve(
            h,
            self._weights()[1],
            strides=ones,
            dilation=ones,
            padding="same",
            groups=1 if drops is None else self.gates,
            channels_last=self._channels_last,
        )
        i, f, g, o = (projected + seen).chunk(self.gates, dim=self._channel_axis)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, (h, c)

    def why_not_fused(self) -> str | None:
        return "a convolution"

    # --- config ----------------------------------------------------------------------

    def arguments(self) -> dict[str, Any]:
        return {"rank": self.rank, **super().arguments()}

    def settings(self) -> dict[str, Any]:
        settings = {
            **super().settings(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
        }
        del settings["units"]
        return settings


class _ConvLSTM(LayerOfCell):
    """One, two or three axes; the classes below say which."""

    rank: int
    cell: ConvLSTMCell

    filters = of_cell("filters")
    kernel_size = of_cell("kernel_size")
    strides = of_cell("strides")
    padding = of_cell("padding")
    data_format = of_cell("data_format")
    dilation_rate = of_cell("dilation_rate")
    recurrent_activation = of_cell("recurrent_activation")
    unit_forget_bias = of_cell("unit_forget_bias")

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        check_settings(owner, whole_number(owner, "filters", filters), dropout, recurrent_dropout, seed)
        cell = ConvLSTMCell(
            self.rank,
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            owner=owner,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="conv_lstm_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = self._spec()

    def _spec(self, channels: int | None = None) -> InputSpec:
        last = self.data_format == "channels_last"
        words = (*_WORDS[self.rank], "channels") if last else ("channels", *_WORDS[self.rank])
        axes: dict[int, int | None] = {} if channels is None else {(-1 if last else 2): channels}
        return InputSpec(ndim=self.rank + 3, axes=axes, meaning=f"(samples, time steps, {', '.join(words)})")

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        channels = sequences_shape[-1 if self.data_format == "channels_last" else 2]
        if channels is None:
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {sequences_shape}.",
                    "Expected a known number of channels: the weights depend on it.",
                    f"Input({_EXAMPLES[self.rank]})",
                )
            )
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = self._spec(channels)

    def call(self, sequences: torch.Tensor, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        inner = sequences.shape[2:-1] if self.data_format == "channels_last" else sequences.shape[3:]
        if 0 in self.cell.output_sizes(inner):
            needed = [(size - 1) * hole + 1 for size, hole in zip(self.kernel_size, self.dilation_rate)]
            least = [f"{word} of at least {size}" for word, size in zip(_WORDS[self.rank], needed)]
            raise ValueError(
                explain(
                    f"{self._label} shrinks its input of shape {shape_of(sequences)} to nothing: "
                    f"a kernel of {self.kernel_size} does not fit.",
                    f"Expected {' and '.join(least)}.",
                    'padding="same", or a smaller kernel_size',
                )
            )
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def explain_input(self, shape: Any) -> str:
        shape, rank = tuple(shape), self.rank + 3
        wanted = next(iter(self.input_spec.axes.values()), None)
        if len(shape) == rank and wanted is not None:
            return f"give it {wanted} channel{'s' * (wanted != 1)}, or build the model again with Input({shape[1:]})"
        if len(shape) == rank - 1:
            return "x[:, None] adds a time axis, x[..., None] a channel axis; one of them is missing"
        return f"Input({_EXAMPLES[self.rank]})"


class ConvLSTM1D(_ConvLSTM):
    """Reads a film of lines with an LSTM whose gates are convolutions.

    With `z = conv(x, kernel) + conv(h, recurrent_kernel) + bias` in four parts
    `i, f, g, o`: `c = sigmoid(f) * c + sigmoid(i) * tanh(g)` and
    `h = sigmoid(o) * tanh(c)` at every time step.

    Source: Shi et al., "Convolutional LSTM network", 2015, without its
    connections from the cell state to the gates.

    Args:
        filters: Number of channels of the output.
        kernel_size: Number of steps along the line that a kernel sees.
        strides: Steps from one place of the kernel to the next, in the convolution of the inputs.
        padding: `"valid"` or `"same"`, for the inputs; the state keeps its size.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the steps that a kernel sees, for the inputs.
        activation: Name or function in place of tanh; None for none.
        recurrent_activation: Name or function in place of sigmoid, for the gates.
        use_bias: Whether to add `bias`.
        kernel_initializer, recurrent_initializer, bias_initializer: First values;
            Glorot uniform, orthogonal and zeros.
        unit_forget_bias: Whether the bias of the forget gate starts at 1.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer:
            Penalties added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after every update.
        dropout: Share of the inputs to drop in training, the same ones at every time step.
        recurrent_dropout: Share of the state to drop in training, likewise.
        seed: Whole number that makes the dropout repeat itself.
        return_sequences: Whether to return the outputs of all time steps, or only the last.
        return_state: Whether to return the last h and c as well.
        go_backwards: Whether to read the sequence from its end; outputs stay in that order.
        stateful: Whether each batch starts from the last states of the one before.
        unroll, zero_output_for_mask: As for `RNN`.
        name, dtype, trainable: As for every `Layer`.

    Input shape: (samples, time steps, steps, channels).
    Output shape: (samples, new steps, filters), or (samples, time steps, new
        steps, filters) with `return_sequences`; with `return_state` followed by h and c.
    Weights: kernel (kernel_size, channels, 4 * filters), recurrent_kernel
        (kernel_size, filters, 4 * filters), bias (4 * filters).

    Example:
        >>> ConvLSTM1D(4, 3, padding="same")(torch.ones(2, 5, 10, 3)).shape
        torch.Size([2, 10, 4])
    """

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """Reads a film of images with an LSTM whose gates are convolutions.

    With `z = conv(x, kernel) + conv(h, recurrent_kernel) + bias` in four parts
    `i, f, g, o`: `c = sigmoid(f) * c + sigmoid(i) * tanh(g)` and
    `h = sigmoid(o) * tanh(c)` at every time step.

    Source: Shi et al., "Convolutional LSTM network: a machine learning approach
    for precipitation nowcasting", 2015, without its connections from the cell
    state to the gates.

    Args:
        filters: Number of channels of the output.
        kernel_size: Height and width of a kernel in pixels; one number for both.
        strides: Pixels from one place of the kernel to the next, in the convolution of the inputs.
        padding: `"valid"` or `"same"`, for the inputs; the state keeps its size.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: Distance between the pixels that a kernel sees, for the inputs.
        return_sequences: Whether to return the outputs of all time steps, or only the last.
        return_state: Whether to return the last h and c as well.
        dropout, recurrent_dropout: Share of the inputs and of the state to drop in
            training: pixels and channels each on their own, the same at every time step.
        activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, seed, go_backwards, stateful, unroll, zero_output_for_mask, name,
            dtype, trainable: As for `ConvLSTM1D`.

    Input shape: (samples, time steps, height, width, channels), or (samples,
        time steps, channels, height, width) with channels first.
    Output shape: (samples, new height, new width, filters), or (samples, time
        steps, new height, new width, filters) with `return_sequences`; with
        `return_state` followed by h and c.
    Weights: kernel (height, width, channels, 4 * filters), recurrent_kernel
        (height, width, filters, 4 * filters), bias (4 * filters).

    Raises:
        ValueError: A setting is impossible, or an image is smaller than the kernel.

    Example:
        >>> ConvLSTM2D(4, 3, return_sequences=True)(torch.ones(2, 5, 10, 10, 3)).shape
        torch.Size([2, 5, 8, 8, 4])
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """Reads a film of volumes with an LSTM whose gates are convolutions, as `ConvLSTM2D` does one of images.

    Source: Shi et al., "Convolutional LSTM network", 2015.

    Args:
        filters: Number of channels of the output.
        kernel_size: Depth, height and width of a kernel; one number for all.
        strides, padding, data_format, dilation_rate, activation, recurrent_activation, use_bias,
            kernel_initializer, recurrent_initializer, bias_initializer, unit_forget_bias,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout,
            seed, return_sequences, return_state, go_backwards, stateful, unroll,
            zero_output_for_mask, name, dtype, trainable: As for `ConvLSTM1D`.

    Input shape: (samples, time steps, depth, height, width, channels), or
        (samples, time steps, channels, depth, height, width) with channels first.
    Output shape: (samples, new depth, new height, new width, filters), with time
        steps after the samples with `return_sequences`.
    Weights: kernel (depth, height, width, channels, 4 * filters),
        recurrent_kernel (depth, height, width, filters, 4 * filters), bias (4 * filters).

    Example:
        >>> ConvLSTM3D(2, 2, padding="same")(torch.ones(1, 2, 4, 4, 4, 1)).shape
        torch.Size([1, 4, 4, 4, 2])
    """

    rank = 3


__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvLSTMCell"]
