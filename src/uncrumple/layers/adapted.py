"""What a layer becomes once LoRA or int8 are switched on: a subclass with the same name and settings.

LoRA: `kernel` answers with `kernel + lora_alpha / rank * a @ b`, so that the layer's own `call` need not
know. A file gets that sum, as Keras's files have it.

Int8: `call` quantizes the inputs, multiplies whole numbers and scales back; gradients pass to the
inputs as if the weights were floats. The numbers are Keras's.
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations
from uncrumple.kernels.quantized import int8_matmul
from uncrumple.layers.adaptable import Adaptable
from uncrumple.layers.convolution import Conv1D, Conv2D, Conv3D
from uncrumple.layers.dense import Dense
from uncrumple.layers.einsum_dense import EinsumDense
from uncrumple.layers.embedding import Embedding
from uncrumple.layers.reversible_embedding import ReversibleEmbedding
from uncrumple.layers.weights import to_numpy
from uncrumple.quantizers import AbsMaxQuantizer, QuantizationConfig, abs_max_quantize


class _Instead(torch.autograd.Function):
    """Gives one value forward, and the gradient of another one."""

    @staticmethod
    def forward(ctx: Any, computed: Any, value: Any) -> Any:
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0], None


class Adapted(Adaptable):
    """What all adapted layers share: the large weight, how it is stored, and the order of weights."""

    def _raw(self, name: str | None = None) -> Any:
        """Return a weight as it is kept, in the type that `call` computes in."""
        return super().__getattr__(name or self._large)

    def _lora(self) -> torch.Tensor:
        """Return what LoRA adds to the large weight."""
        a, b = (self._raw(f"lora_{self._large}_{letter}") for letter in "ab")
        return (self.lora_alpha / self.lora_rank) * torch.matmul(a, b)  # type: ignore[operator]

    def _merged(self) -> Any:
        """Return the large weight as `call` shall see it."""
        if not self.lora_enabled or self._is_int8:
            return self._raw()
        return (self._raw() + self._lora()).to(self._compute_in)

    @property
    def _is_int8(self) -> bool:
        return f"{self._large}_scale" in self._parameters

    # --- int8 ------------------------------------------------------------------------

    def _weight_axis(self) -> Any:
        """Return the axes of the large weight that share a scale."""
        return 0

    def _stored_scale(self, scale: torch.Tensor) -> torch.Tensor:
        """Return the scale in the shape that files have it in."""
        return scale.squeeze(self._weight_axis())

    def _loose_scale(self, scale: torch.Tensor) -> torch.Tensor:
        """Return a stored scale in the shape that divides the large weight."""
        return scale.unsqueeze(self._weight_axis())

    def _quantize_weights(self) -> None:
        self._quantize_one(self._large, self._weight_axis(), self._stored_scale)

    def _quantize_one(self, name: str, axis: Any, stored: Any) -> None:
        """Put int8 and a scale in place of a weight."""
        quantizer = QuantizationConfig.weight_quantizer_or_default(self.quantization_config, AbsMaxQuantizer(axis=axis))
        before: Any = self._parameters.pop(name)
        self._own_variables[:] = [weight for weight in self._own_variables if weight is not before]
        value, scale = quantizer(before.detach(), to_numpy=True)
        scale = stored(scale)
        place = before.device
        for made, data, dtype in ((name, value, "int8"), (f"{name}_scale", scale, None)):
            weight = self.add_weight(
                name=made, shape=tuple(data.shape), initializer="ones", dtype=dtype, trainable=False
            )
            weight.data = data.to(place, weight.dtype)

    def _float_weight(self) -> torch.Tensor:
        """Return the large weight as floats again, without LoRA."""
        return self._raw().to(self._compute_in) / self._loose_scale(self._raw(f"{self._large}_scale"))

    def _inputs_quantizer(self) -> Any:
        return QuantizationConfig.activation_quantizer_or_default(self.quantization_config, AbsMaxQuantizer())

    def _requantized(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return int8 and scale of the large weight with LoRA in it."""
        axis = self._weight_axis()
        value, scale = abs_max_quantize(self._float_weight() + self._lora(), axis, to_numpy=True)
        return value, self._stored_scale(scale)

    # --- files -----------------------------------------------------------------------

    @property
    def weights(self) -> list[Any]:
        """Every weight, in Keras's order: with LoRA, the frozen one stays before those beside it."""
        found = super().weights
        first = self._parameters.get(self._large)
        if self._is_int8 or first is None:
            return found
        return [first, *(weight for weight in found if weight is not first)]

    def _kept(self) -> list[str]:
        """Return the names of the weights that a file holds, in its order."""
        names = [self._large, "bias"]
        if self._is_int8:
            names.append(f"{self._large}_scale")
        return [name for name in names if self._parameters.get(name) is not None]

    def _raw_parameter(self, name: str) -> Any:
        return self._parameters[name]

    def _stored_variables(self) -> list[Any]:
        return [self._raw_parameter(name) for name in self._kept()]

    def save_own_variables(self, store: Any) -> None:
        """Put this layer's weights into `store` as arrays named "0", "1", ..., with LoRA merged into them."""
        with torch.no_grad():
            merged: dict[str, Any] = {}
            if self.lora_enabled and self._is_int8:
                merged = dict(zip((self._large, f"{self._large}_scale"), self._requantized()))
            elif self.lora_enabled:
                merged = {self._large: self._merged()}
            for index, name in enumerate(self._kept()):
                store[str(index)] = to_numpy(merged[name] if name in merged else self._raw_parameter(name))

    def load_own_variables(self, store: Any) -> None:
        """Read this layer's weights back from `store`; what LoRA adds starts from nothing again."""
        super().load_own_variables(store)
        if self.lora_enabled:
            with torch.no_grad():
                self._raw_parameter(f"lora_{self._large}_b").zero_()


class _WithKernel(Adapted):
    @property
    def kernel(self) -> Any:
        """The kernel, with LoRA in it."""
        return self._merged()


class _Products(_WithKernel):
    """Layers that multiply inputs and kernel."""

    activation: Any
    _activates: bool

    def _int8_product(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the product of the inputs, as floats or quantized, and the int8 kernel, scaled back."""
        raise NotImplementedError

    def _float_product(self, inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """Return the product of inputs and a kernel of floats."""
        raise NotImplementedError

    def _lora_product(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what LoRA adds to the product."""
        thin = self._float_product(inputs, self._raw("lora_kernel_a"))
        scale = self.lora_alpha / self.lora_rank  # type: ignore[operator]
        return scale * torch.matmul(thin, self._raw("lora_kernel_b"))

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self._is_int8:
            return super().call(inputs)
        if not inputs.is_floating_point():
            inputs = inputs.to(self._compute_in)
        with torch.no_grad():
            outputs = self._int8_product(inputs)
        if inputs.requires_grad and torch.is_grad_enabled():
            outputs = _Instead.apply(self._float_product(inputs, self._float_weight()), outputs)
        if self.lora_enabled:
            outputs = (outputs + self._lora_product(inputs)).to(self._compute_in)
        bias = self._parameters.get("bias")
        if bias is not None:
            outputs = outputs + self._raw("bias")
        return self.activation(outputs) if self.activation is not activations.linear else outputs


class _OfDense(_Products):
    def _int8_product(self, inputs: torch.Tensor) -> torch.Tensor:
        kernel, scale = self._raw(), self._raw("kernel_scale")
        quantizer = self._inputs_quantizer()
        if quantizer is None:
            return torch.matmul(inputs, kernel.to(self._compute_in)) / scale
        whole, inputs_scale = quantizer(inputs, axis=-1)
        return int8_matmul(whole, kernel, self._compute_in) / (scale * inputs_scale)

    def _float_product(self, inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return torch.matmul(inputs, kernel)


class _OfEinsumDense(_Products):
    equation: str
    _equation: Any
    _matrix: Any

    def _letters(self) -> tuple[str, str, str]:
        """Return the letters of inputs, kernel and outputs, with capitals for the axes that `...` stands for."""
        parts = self._equation
        count = (self.input_spec.ndim or 0) - len(parts.inputs)
        taken = parts.inputs + parts.kernel + parts.outputs
        free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in taken]
        elided = "".join(free[: max(count, 0)])
        if parts.elided == "right":
            return parts.inputs + elided, parts.kernel, parts.outputs + elided
        return elided + parts.inputs, parts.kernel, elided + parts.outputs

    def _summed(self, letters: str) -> tuple[int, ...]:
        return tuple(place for place, letter in enumerate(letters) if letter not in self._letters()[2])

    def _beside_outputs(self, scale: torch.Tensor, letters: str) -> torch.Tensor:
        """Return a scale (1 on every axis that was summed) in the shape that divides the outputs."""
        outputs = self._letters()[2]
        order = [letters.index(letter) for letter in outputs if letter in letters]
        # The axes that the outputs have, in their order; then 1 for each that only the others have.
        kept = scale.squeeze(self._summed(letters)).permute([sorted(order).index(place) for place in order])
        for place, letter in enumerate(outputs):
            if letter not in letters:
                kept = kept.unsqueeze(place)
        return kept

    def _weight_axis(self) -> Any:
        return self._summed(self._letters()[1])

    def _stored_scale(self, scale: torch.Tensor) -> torch.Tensor:
        return self._beside_outputs(scale, self._letters()[1])

    def _loose_scale(self, scale: torch.Tensor) -> torch.Tensor:
        _, kernel, outputs = self._letters()
        there = [letter for letter in outputs if letter in kernel]
        scale = scale.reshape([size for size, letter in zip(scale.shape, outputs) if letter in kernel])
        scale = scale.permute([there.index(letter) for letter in kernel if letter in there])
        for place in self._weight_axis():
            scale = scale.unsqueeze(place)
        return scale

    def _int8_product(self, inputs: torch.Tensor) -> torch.Tensor:
        letters, scale, quantizer = self._letters(), self._raw("kernel_scale"), self._inputs_quantizer()
        if quantizer is None:
            return self._float_product(inputs, self._float_weight())
        whole, inputs_scale = quantizer(inputs, axis=self._summed(letters[0]))
        if self._matrix is not None:
            _, summed, _ = self._matrix
            kernel = self._raw()
            sizes = kernel.shape[len(summed) :]
            matrix = kernel.reshape(-1, sizes.numel())
            product = int8_matmul(whole.flatten(-len(summed)), matrix, self._compute_in).unflatten(-1, tuple(sizes))
        else:  # float64 holds the sums of products of int8 exactly
            product = self._float_product(whole.double(), self._raw().double()).to(self._compute_in)
        return product / (self._beside_outputs(inputs_scale, letters[0]) * scale)

    def _float_product(self, inputs: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return torch.einsum(self.equation, inputs, kernel)

    def _lora_product(self, inputs: torch.Tensor) -> torch.Tensor:
        _, kernel, outputs = self._letters()
        if outputs[-1:] == kernel[-1]:
            return super()._lora_product(inputs)
        return self._float_product(inputs, self._lora())  # the thin axis is not the last: multiply it out first


class _WithTable(Adapted):
    _large = "embeddings"

    @property
    def embeddings(self) -> Any:
        """The table, with LoRA in it."""
        return self._merged()

    def _weight_axis(self) -> Any:
        return -1

    def _found(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the vectors for whole numbers, out of an int8 table."""
        if inputs.dtype not in (torch.int64, torch.int32):
            inputs = inputs.to(torch.int64)
        try:
            table, scale = self._raw()[inputs], self._raw("embeddings_scale")[inputs]
        except IndexError:
            raise self._out_of_range(inputs) from None  # type: ignore[attr-defined]
        found = table.to(self._compute_in) / scale.unsqueeze(-1)
        if self.lora_enabled:
            added = torch.matmul(self._raw("lora_embeddings_a")[inputs], self._raw("lora_embeddings_b"))
            found = found + (self.lora_alpha / self.lora_rank) * added  # type: ignore[operator]
        return found.to(self._compute_in)


class _OfEmbedding(_WithTable):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._found(inputs) if self._is_int8 else super().call(inputs)


class _OfReversibleEmbedding(_WithTable):
    tie_weights: bool
    output_dim: int
    logit_soft_cap: float | None
    mask_zero: bool

    def _quantize_weights(self) -> None:
        super()._quantize_weights()
        if not self.tie_weights:
            self._quantize_one("reverse_embeddings", 0, lambda scale: scale.squeeze(0))

    def _kept(self) -> list[str]:
        back = [] if self.tie_weights else ["reverse_embeddings"]
        return super()._kept() + back + ([f"{name}_scale" for name in back] if self._is_int8 else [])

    def call(self, inputs: torch.Tensor, reverse: bool = False) -> torch.Tensor:
        if not self._is_int8:
            return super().call(inputs, reverse)
        if not reverse:
            found = self._found(inputs)
            if self.mask_zero:
                found._keras_mask = inputs != 0  # type: ignore[attr-defined]
            return found
        if not inputs.is_floating_point() or inputs.dim() < 2 or inputs.shape[-1] != self.output_dim:
            raise self._no_vectors(inputs)
        inputs = inputs.to(self._compute_in)
        if self.tie_weights:
            kernel, scale = self._raw().t(), self._raw("embeddings_scale")
        else:
            kernel, scale = self._raw("reverse_embeddings"), self._raw("reverse_embeddings_scale")
        with torch.no_grad():
            whole, inputs_scale = self._inputs_quantizer()(inputs, axis=-1)
            scores = int8_matmul(whole, kernel, self._compute_in) / (inputs_scale * scale)
        if inputs.requires_grad and torch.is_grad_enabled():
            scores = _Instead.apply(torch.matmul(inputs, kernel.to(self._compute_in) / scale), scores)
        if self.logit_soft_cap is not None:
            scores = torch.tanh(scores / self.logit_soft_cap) * self.logit_soft_cap
        return scores


class AdaptedDense(_OfDense, Dense):  # type: ignore[override, misc]
    """Dense with LoRA, int8, or both."""


class AdaptedEinsumDense(_OfEinsumDense, EinsumDense):  # type: ignore[override, misc]
    """EinsumDense with LoRA, int8, or both."""


class AdaptedEmbedding(_OfEmbedding, Embedding):  # type: ignore[override, misc]
    """Embedding with LoRA, int8, or both."""


class AdaptedReversibleEmbedding(_OfReversibleEmbedding, ReversibleEmbedding):  # type: ignore[override, misc]
    """ReversibleEmbedding with LoRA, int8, or both."""


class AdaptedConv1D(_WithKernel, Conv1D):  # type: ignore[override, misc]
    """Conv1D with LoRA."""


class AdaptedConv2D(_WithKernel, Conv2D):  # type: ignore[override, misc]
    """Conv2D with LoRA."""


class AdaptedConv3D(_WithKernel, Conv3D):  # type: ignore[override, misc]
    """Conv3D with LoRA."""


# {class: what it becomes}
_ADAPTED: dict[type, type] = {}


def _enter(adapted: Any, original: Any) -> None:
    """Give an adapted class the name and the rights of the class that it stands for."""
    adapted.__name__ = original.__name__  # for messages and files; __qualname__ stays, for pickle
    for name in ("_keras_module", "_keras_name"):
        if name in vars(original):
            setattr(adapted, name, vars(original)[name])
    adapted._known_arguments = original._known_arguments
    _ADAPTED[original] = adapted


_enter(AdaptedDense, Dense)
_enter(AdaptedEinsumDense, EinsumDense)
_enter(AdaptedEmbedding, Embedding)
_enter(AdaptedReversibleEmbedding, ReversibleEmbedding)
_enter(AdaptedConv1D, Conv1D)
_enter(AdaptedConv2D, Conv2D)
_enter(AdaptedConv3D, Conv3D)


def change(layer: Any) -> None:
    """Give a layer the class that goes by LoRA and int8; a class of the user's gets one made for it."""
    cls = type(layer)
    if issubclass(cls, Adapted):
        return
    if cls not in _ADAPTED:
        ways = next(_ADAPTED[known] for known in cls.__mro__ if known in _ADAPTED).__bases__[0]
        _enter(type(f"Adapted{cls.__name__}", (ways, cls), {"__module__": cls.__module__}), cls)
    object.__setattr__(layer, "__class__", _ADAPTED[cls])
