"""A dense layer whose product of inputs and kernel is written as an Einstein summation."""

from __future__ import annotations

import dataclasses
import numbers
import re
from collections.abc import Sequence
from typing import Any

import torch

from uncrumple import activations, constraints, initializers, regularizers
from uncrumple.core.errors import explain
from uncrumple.kernels.dense import multiply_add
from uncrumple.layers.adaptable import Adaptable
from uncrumple.layers.checks import refuse_unavailable
from uncrumple.layers.input_spec import InputSpec

_FORMS = (
    ("none", re.compile(r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)")),
    ("left", re.compile(r"\.\.\.([a-zA-Z]+),([a-zA-Z]+)->\.\.\.([a-zA-Z]+)")),
    ("right", re.compile(r"([a-zA-Z]{2,})\.\.\.,([a-zA-Z]+)->([a-zA-Z]+)\.\.\.")),
)


@dataclasses.dataclass(frozen=True)
class Equation:
    """An equation taken apart: a letter per axis of inputs, kernel and outputs, and where `...` stands."""

    inputs: str
    kernel: str
    outputs: str
    elided: str

    def split(self) -> tuple[str, str, str] | None:
        """Return (free, summed, new) if the product is one of matrices: `free summed, summed new -> free new`."""
        for count in range(1, min(len(self.inputs), len(self.kernel) - 1) + 1):
            free, summed = self.inputs[:-count], self.inputs[-count:]
            new = self.kernel[count:]
            letters = free + summed + new
            if self.kernel[:count] == summed and self.outputs == free + new and len(set(letters)) == len(letters):
                return (free, summed, new) if self.elided != "right" else None
        return None


class EinsumDense(Adaptable):
    """Multiplies inputs and kernel as an equation says: `output = activation(einsum(equation, inputs, kernel) + bias)`.

    `"ab,bc->ac"` is what `Dense` does on two axes; `"abc,cd->abd"` does so at
    every step of a sequence; `"...x,xy->...y"` wherever there are axes before.
    The first axis is that of the samples.

    Args:
        equation: `"inputs,kernel->outputs"`, one letter per axis; `...` may
            stand for further axes, before or behind, in inputs and outputs.
        output_shape: Size of each axis of the output without the samples and
            without `...`; None for one that the input has, and the kernel has not.
        activation: Name or function applied to the sum; None for none.
        bias_axes: The letters of the output that the bias has; None for no bias.
        kernel_initializer, bias_initializer: First values; Glorot uniform and zeros.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties added to the loss.
        kernel_constraint, bias_constraint: Applied after every update.
        lora_rank: Trains two thin weights of this rank beside a frozen kernel; see `enable_lora`.
        lora_alpha: How much the two weigh; by default `lora_rank`.
        quantization_config: How `quantize("int8")` goes about it; an `Int8QuantizationConfig`.
        gptq_unpacked_column_size: Not available; must be None.
        name, dtype, trainable: As for every `Layer`.

    Shapes: as the equation says.

    Raises:
        ValueError: The equation is none, or does not fit the other settings or the input.

    Example:
        >>> EinsumDense("abc,cde->abde", output_shape=(None, 4, 2), bias_axes="de")(torch.ones(3, 5, 8)).shape
        torch.Size([3, 5, 4, 2])
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse_unavailable(
            type(self).__name__,
            f"EinsumDense({equation!r}, {output_shape!r})",
            gptq_unpacked_column_size=gptq_unpacked_column_size,
        )
        self.equation = equation
        self._equation = _parsed(equation)
        self.partial_output_shape = _sizes(output_shape, self._equation, equation)
        self.bias_axes = bias_axes
        if bias_axes is not None:
            _check_bias(bias_axes, self._equation)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._activates = self.activation is not activations.linear
        self._set_adaptation(lora_rank, lora_alpha, quantization_config)

    # --- weights ---------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        parts = self._equation
        known = dict(zip(parts.inputs, self._lettered(input_shape)))
        given = self._output_sizes(input_shape, known)
        kernel_shape = [self._size(letter, given, known) for letter in parts.kernel]
        self.kernel = self.add_weight(
            name="kernel",
            shape=kernel_shape,
            initializer=self._kernel_start(),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.bias_axes is not None:
            first = min(parts.outputs.index(letter) for letter in self.bias_axes)
            axes = parts.outputs[first:]
            shape = [self._size(letter, given, known) if letter in self.bias_axes else 1 for letter in axes]
            behind = len(input_shape) - len(parts.inputs) if parts.elided == "right" else 0
            self.bias = self.add_weight(
                name="bias",
                shape=[*shape, *(1,) * behind],
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self._matrix = parts.split()
        if self._matrix is not None and self.bias is not None and set(self.bias_axes or "") != set(self._matrix[2]):
            self._matrix = None
        summed = {place: known[letter] for place, letter in enumerate(parts.inputs) if letter in parts.kernel}
        if parts.elided == "left":
            summed = {place - len(parts.inputs): size for place, size in summed.items()}
        spelled = parts.inputs if parts.elided == "none" else f"{input_shape} of {self.equation!r}"
        self.input_spec = InputSpec(ndim=len(input_shape), axes=summed, meaning=spelled)
        self._adapt()

    def _lettered(self, shape: Sequence[Any]) -> Sequence[Any]:
        """Return the part of an input's shape that has letters."""
        parts = self._equation
        missing = len(parts.inputs) - len(shape)
        if missing > 0 or (parts.elided == "none" and missing < 0):
            count = len(parts.inputs)
            wanted = f"{'at least ' * (parts.elided != 'none')}{count} ax{'es' if count > 1 else 'is'}"
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {tuple(shape)}.",
                    f"Expected {wanted}, for {parts.inputs!r} in the equation {self.equation!r}.",
                    "give every axis of the input a letter, or write ... for those before: '...x,xy->...y'",
                )
            )
        return shape[len(shape) - len(parts.inputs) :] if parts.elided == "left" else shape[: len(parts.inputs)]

    def _output_sizes(self, input_shape: Sequence[Any], known: dict[str, Any]) -> dict[str, Any]:
        """Return {letter: size or None} of the output, as far as `output_shape` says."""
        parts = self._equation
        sizes = list(self.partial_output_shape)
        if parts.elided != "left" or len(input_shape) == len(parts.inputs):
            sizes.insert(0, input_shape[0])
        if len(sizes) != len(parts.outputs):
            raise ValueError(
                _wrong_length(self._label, self.partial_output_shape, self.equation, len(parts.outputs) - 1)
            )
        given = dict(zip(parts.outputs, sizes))
        for letter, size in given.items():
            if letter in known and size is not None and size != known[letter]:
                raise ValueError(
                    explain(
                        f"{self._label} got an input of shape {tuple(input_shape)}, "
                        f"with {known[letter]} on the axis '{letter}'.",
                        f"Expected {size}, from output_shape={self.partial_output_shape}.",
                        f"None in output_shape in the place of '{letter}': the input has it",
                    )
                )
        return given

    def _size(self, letter: str, given: dict[str, Any], known: dict[str, Any]) -> int:
        size = given[letter] if letter in given else known.get(letter)
        if size is None:
            raise ValueError(
                explain(
                    f"{self._label}: the size of the axis '{letter}' of {self.equation!r} is not known.",
                    "Expected a number: weights depend on it.",
                    f"a number in place of None, in {'output_shape' if letter in given else 'Input'}",
                )
            )
        return size

    def _kernel_start(self) -> Any:
        """Return the initializer, told which axes of the kernel count as inputs and which as outputs."""
        start, parts = self.kernel_initializer, self._equation
        if not isinstance(start, initializers.VarianceScaling) or None not in (start.input_axes, start.output_axes):
            return start
        outputs = [axis for axis, letter in enumerate(parts.kernel) if letter in parts.outputs]
        inputs = [axis for axis in range(len(parts.kernel)) if axis not in outputs]
        settings = {**start.get_config(), "seed": start.seed, "input_axes": inputs, "output_axes": outputs}
        return type(start).from_config(settings)

    # --- mathematics -----------------------------------------------------------------

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not inputs.is_floating_point():
            inputs = inputs.to(self._compute_in)
        kernel, bias = self.kernel, self.bias
        if self._matrix is not None:
            _, summed, new = self._matrix
            flat = inputs.flatten(-len(summed)) if len(summed) > 1 else inputs
            sizes = kernel.shape[len(summed) :]
            # bias_axes may name the new axes in any order; the bias has them in that of the output
            matrix = kernel.reshape(-1, sizes.numel())
            outputs = multiply_add(flat, matrix, None if bias is None else bias.reshape(-1))
            outputs = outputs.unflatten(-1, sizes) if len(new) > 1 else outputs
        else:
            outputs = torch.einsum(self.equation, inputs, kernel)
            outputs = outputs if bias is None else outputs + bias
        return self.activation(outputs) if self._activates else outputs

    def explain_input(self, shape: Any) -> str:
        return f"an input with the axes and sizes that {self.equation!r} was built for: {self._built_for()}"

    def _built_for(self) -> Any:
        return next(iter((self._build_shapes or {"input_shape": None}).values()))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_shape": self.partial_output_shape,
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self.activity_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            **self._adaptation_config(),
        }


# --- settings -------------------------------------------------------------------------


def _parsed(equation: Any) -> Equation:
    if isinstance(equation, str):
        for elided, form in _FORMS:
            found = form.fullmatch(equation)
            if found is not None:
                parts = Equation(found[1], found[2], found[3], elided)
                _check_letters(parts, equation)
                return parts
    raise ValueError(
        explain(
            f"EinsumDense got equation={equation!r}.",
            "Expected 'inputs,kernel->outputs' with a letter per axis and no spaces; "
            "... may stand first or last in inputs and outputs.",
            "EinsumDense('abc,cd->abd', output_shape=(None, 64))",
        )
    )


def _check_letters(parts: Equation, equation: str) -> None:
    for letter in parts.outputs:
        if parts.outputs.count(letter) > 1:
            raise ValueError(
                explain(
                    f"EinsumDense got equation={equation!r}, with '{letter}' twice in the output.",
                    "Expected each axis of the output once.",
                    "a letter of its own for each axis: 'abc,cd->abd'",
                )
            )
        if letter not in parts.inputs + parts.kernel:
            raise ValueError(
                explain(
                    f"EinsumDense got equation={equation!r}: '{letter}' is in the output only.",
                    f"Expected it in {parts.inputs!r} or in {parts.kernel!r}.",
                    f"'{letter}' among the axes of the kernel makes a new axis",
                )
            )
    for letter in parts.kernel:
        if letter not in parts.inputs + parts.outputs:
            raise ValueError(
                explain(
                    f"EinsumDense got equation={equation!r}: '{letter}' is in the kernel only.",
                    f"Expected it in {parts.inputs!r} or in {parts.outputs!r}.",
                    f"leave out '{letter}', or put it into the output",
                )
            )


def _sizes(output_shape: Any, parts: Equation, equation: str) -> tuple[int | None, ...]:
    sizes = tuple(output_shape) if isinstance(output_shape, (list, tuple, torch.Size)) else (output_shape,)
    good = [size is None or (_is_whole(size) and size > 0) for size in sizes]
    if output_shape is None or not all(good):
        raise ValueError(
            explain(
                f"EinsumDense got output_shape={output_shape!r}.",
                "Expected whole numbers above 0, or None for a size that the input has; the samples are left out.",
                "EinsumDense('abc,cd->abd', output_shape=(None, 64))",
            )
        )
    wanted = len(parts.outputs) - 1
    if len(sizes) != wanted and not (parts.elided == "left" and len(sizes) == wanted + 1):
        wanted += parts.elided == "left"
        raise ValueError(_wrong_length("EinsumDense", sizes, equation, wanted))
    return tuple(None if size is None else int(size) for size in sizes)


def _is_whole(size: Any) -> bool:
    return isinstance(size, numbers.Integral) and not isinstance(size, bool)


def _wrong_length(owner: str, sizes: Sequence[Any], equation: str, wanted: int) -> str:
    outputs = equation.split("->")[1].replace(".", "")
    letters = outputs[len(outputs) - wanted :]
    return explain(
        f"{owner} got output_shape={tuple(sizes)} and the equation {equation!r}.",
        f"Expected {wanted} size{'s' * (wanted != 1)}: one each for {', '.join(letters) or 'nothing'}; "
        "the samples are left out.",
        f"output_shape=({', '.join(['None'] * (wanted - 1) + ['64'])}{',' * (wanted == 1)})",
    )


def _check_bias(bias_axes: Any, parts: Equation) -> None:
    fits = isinstance(bias_axes, str) and bias_axes and set(bias_axes) <= set(parts.outputs)
    if not fits or len(set(bias_axes)) != len(bias_axes):
        raise ValueError(
            explain(
                f"EinsumDense got bias_axes={bias_axes!r}.",
                f"Expected letters out of {parts.outputs!r}, each once; None for no bias.",
                f"EinsumDense(..., bias_axes={parts.outputs[-1]!r})",
            )
        )
