"""Doors for layers with one large weight: `enable_lora` and `quantize`.

What lies behind them is in `adapted.py`. A layer that goes through a door gets
another class there, a subclass of its own: those that never do pay nothing for it.
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import initializers, quantizers
from uncrumple.core.dtypes import QuantizedDTypePolicy, get_policy
from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import whole_number


class Adaptable(Layer):
    """A layer whose large weight can be left as it is and trained beside (LoRA), or kept as int8."""

    # The large weight, and whether it can be kept as int8.
    _large = "kernel"
    _takes_int8 = True

    lora_enabled = False

    def _set_adaptation(self, lora_rank: Any, lora_alpha: Any, quantization_config: Any = None) -> None:
        """Keep the settings of the constructor; `_adapt` acts on them once the weights are there."""
        owner = type(self).__name__
        self.lora_rank = None if lora_rank is None else whole_number(owner, "lora_rank", lora_rank, example=4)
        self.lora_alpha: float | None = self.lora_rank if lora_alpha is None else _number(owner, lora_alpha)
        if quantization_config is not None:
            quantization_config = quantizers.resolved(None, quantization_config)
        self.quantization_config = quantization_config
        if self.lora_rank is not None:
            self._refuse_constraint()

    def _adapt(self) -> None:
        """Called at the end of `build`: change what the settings and the policy ask for."""
        if self.dtype_policy.quantization_mode is not None:
            self._to_int8(self.quantization_config)
        if self.lora_rank is not None and not self.lora_enabled:
            self._add_lora(self.lora_rank, self.lora_alpha or self.lora_rank, "he_uniform", "zeros")

    def _adaptation_config(self, quantized: bool = True) -> dict[str, Any]:
        config = {"quantization_config": self.quantization_config} if quantized else {}
        if self.lora_rank:
            config |= {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return config

    # --- LoRA ------------------------------------------------------------------------

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freeze the large weight, and train two thin ones beside it: `kernel + lora_alpha / rank * a @ b`.

        Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022.

        Args:
            rank: Columns of `a`, rows of `b`: the fewer, the fewer weights are trained.
            lora_alpha: How much the two weigh, as above; by default `rank`.
            a_initializer, b_initializer: First values; He uniform, and zeros: nothing changes at first.

        Raises:
            ValueError: The layer has no weights yet, has LoRA already, or a constraint on its weight.
        """
        rank = whole_number(f"{self._label}.enable_lora", "rank", rank, example=4)
        self._refuse_constraint()
        if not self.built:
            raise ValueError(
                explain(
                    f"{self._label} has no weights yet, so there is nothing that LoRA could adapt.",
                    "Expected a layer that knows the shape of its input.",
                    "call it on data first, or begin the model with Input(shape)",
                )
            )
        if self.lora_enabled:
            raise ValueError(
                explain(
                    f"{self._label} has LoRA already.",
                    "Expected enable_lora() once per layer.",
                    "save and load the model: the two weights are merged then, and LoRA can be enabled anew",
                )
            )
        alpha = rank if lora_alpha is None else _number(f"{self._label}.enable_lora", lora_alpha)
        self._add_lora(rank, alpha, a_initializer, b_initializer)

    def _refuse_constraint(self) -> None:
        argument = f"{self._large}_constraint"
        if getattr(self, argument) is not None:
            raise ValueError(
                explain(
                    f"{self._label} has a {argument}, and LoRA leaves that weight as it is.",
                    f"Expected {argument}=None.",
                    f"remove the {argument}",
                )
            )

    def _add_lora(self, rank: int, alpha: float, a_initializer: Any, b_initializer: Any) -> None:
        from uncrumple.layers.adapted import change

        large = self._parameters[self._large]
        assert large is not None
        regularizer = getattr(self, f"{self._large}_regularizer")
        shapes = {"a": (*large.shape[:-1], rank), "b": (rank, large.shape[-1])}
        for letter, initializer in (("a", a_initializer), ("b", b_initializer)):
            self.add_weight(
                name=f"lora_{self._large}_{letter}",
                shape=shapes[letter],
                initializer=initializers.get(initializer),
                dtype="float32",
                regularizer=regularizer,
            )
        large.trainable = False  # type: ignore[attr-defined]
        self.lora_enabled, self.lora_rank, self.lora_alpha = True, rank, alpha
        change(self)

    # --- int8 ------------------------------------------------------------------------

    @property
    def quantization_mode(self) -> str | None:
        """`"int8"`, or None for floats."""
        return self.dtype_policy.quantization_mode

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        """Keep the large weight as int8 from here on: a quarter of the memory, and products of whole numbers.

        `kernel_scale = 127 / max |kernel|` per output feature, `kernel = round(kernel * kernel_scale)`.
        Inputs are quantized in every call by the largest of each sample.

        Args:
            mode: `"int8"`.
            type_check: Whether a subclass of a layer is refused, as its `call` may be another; True.
            config: `Int8QuantizationConfig`, for quantizers of one's own.

        Raises:
            ValueError: The mode is unknown, or the layer has no weights yet.
            NotImplementedError: The mode, or the layer, is one that cannot be quantized.
        """
        config = quantizers.resolved(mode, config)
        if not self._takes_int8 or (type_check and not _is_builtin(type(self))):
            raise NotImplementedError(
                explain(
                    f"{self._label} cannot be quantized.",
                    "Expected Dense, EinsumDense, Embedding or ReversibleEmbedding.",
                    "quantize(..., type_check=False), for a subclass of these that computes as they do"
                    if self._takes_int8
                    else "model.quantize(...) quantizes those layers that can be",
                )
            )
        if not self.built:
            raise ValueError(
                explain(
                    f"{self._label} has no weights yet, so there is nothing to quantize.",
                    "Expected a layer that knows the shape of its input.",
                    "call it on data first, or begin the model with Input(shape)",
                )
            )
        if self.quantization_mode is None:
            self._to_int8(config)
            self._set_policy(QuantizedDTypePolicy("int8", self.dtype_policy.name))

    def _to_int8(self, config: Any) -> None:
        from uncrumple.layers.adapted import change

        self.quantization_config = config
        change(self)
        with torch.no_grad():
            self._quantize_weights()  # type: ignore[attr-defined]

    @property
    def dtype_policy(self) -> Any:
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        policy = get_policy(value)
        if policy.quantization_mode is not None and self.built and self.quantization_mode is None:
            self.quantize(policy.quantization_mode)
        self._set_policy(policy)


def _number(owner: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(explain(f"{owner} got lora_alpha={value!r}.", "Expected a number.", "lora_alpha=8"))
    return value


def _is_builtin(cls: type) -> bool:
    return "_keras_module" in vars(cls)
