"""Quantizers: numbers of few bits in place of floats, each with the scale that leads back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from uncrumple import ops
from uncrumple.core import registry
from uncrumple.core.dtypes import dtype_name, torch_dtype
from uncrumple.core.errors import answer_misspellings, explain, unknown_name

_INT8 = (-127, 127)
_EPSILON = 1e-7


def abs_max_quantize(
    inputs: Any,
    axis: Any,
    value_range: tuple[int, ...] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return whole numbers and their scale: `scale = value_range[1] / (max |inputs| + epsilon)`, `round(inputs * scale)`.

    Args:
        inputs: Floats.
        axis: The axis, or axes, over which the largest is taken.
        value_range: Smallest and largest result; (-127, 127).
        dtype: Type of the result; `"int8"`.
        epsilon: Added to the largest, so that zeros can be scaled; 1e-7.
        to_numpy: Whether to compute on the processor with NumPy, which needs less memory of a device.

    Returns:
        (outputs, scale): the inputs are about `outputs / scale`.

    Example:
        >>> outputs, scale = abs_max_quantize(torch.tensor([1.0, -0.5]), axis=-1)
        >>> outputs.tolist(), scale.round().tolist()
        ([127, -63], [127.0])
    """
    if to_numpy:
        kind = dtype_name(inputs.dtype)
        array = ops.convert_to_numpy(inputs)
        over = tuple(axis) if isinstance(axis, (list, tuple)) else axis
        ratio = np.divide(value_range[1], np.add(np.max(np.abs(array), axis=over, keepdims=True), epsilon))
        array = np.clip(np.round(np.multiply(array, ratio)), value_range[0], value_range[1]).astype(dtype)
        return ops.convert_to_tensor(array), ops.convert_to_tensor(ratio, dtype=kind)
    inputs = ops.convert_to_tensor(inputs)
    largest = torch.amax(inputs.abs(), dim=axis, keepdim=True) + epsilon
    # Not `number / tensor`: that multiplies by a reciprocal, which rounds twice.
    scale = (torch.full_like(largest, value_range[1]) / largest).to(inputs.dtype)
    outputs = torch.clip(torch.round(inputs * scale), *value_range)
    return outputs.to(torch_dtype(dtype)), scale


def abs_max_quantize_grouped_with_zero_point(
    inputs: Any,
    block_size: int,
    value_range: tuple[int, int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return whole numbers, scales and zero points, one of each per block of rows and per column.

    `scale = (max - min + epsilon) / (high - low)`, `zero = round(-min / scale) + low`, and
    `outputs = round(inputs / scale) + zero`, clipped to `value_range`.

    Args:
        inputs: A matrix of floats.
        block_size: How many rows share a scale.
        value_range: Smallest and largest result; (-8, 7), which four bits hold.
        dtype: Type of the result; `"int8"`.
        epsilon: Added to the range, so that equal numbers can be scaled; 1e-7.
        to_numpy: Taken as Keras takes it; the result is the same.

    Returns:
        (outputs, scale, zero): the inputs are about `(outputs - zero) * scale`.

    Example:
        >>> outputs, scale, zero = abs_max_quantize_grouped_with_zero_point(torch.tensor([[0.0], [1.5]]), 2)
        >>> outputs.tolist(), zero.tolist()
        ([[-8], [7]], [[-8]])
    """
    inputs = ops.convert_to_tensor(inputs)
    if inputs.ndim != 2:
        raise ValueError(
            explain(
                f"abs_max_quantize_grouped_with_zero_point got a tensor of shape {tuple(inputs.shape)}.",
                "Expected a matrix.",
                "inputs.reshape(-1, columns)",
            )
        )
    low, high = value_range
    rows, columns = inputs.shape
    groups = math.ceil(rows / block_size)
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, groups * block_size - rows))
    blocks = padded.reshape(groups, block_size, columns)
    smallest, largest = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    if not to_numpy:  # as Keras does it with tensors: equal numbers get a range of two around them
        equal = smallest == largest
        smallest, largest = torch.where(equal, smallest - 1, smallest), torch.where(equal, largest + 1, largest)
    scale = (largest - smallest + epsilon) / (high - low)
    zero = torch.clip(torch.round(-smallest / scale) + low, low, high)
    outputs = torch.clip(torch.round(blocks / scale) + zero, low, high).to(torch_dtype(dtype))
    outputs = outputs.reshape(-1, columns)[:rows]
    return outputs, scale.squeeze(1), zero.squeeze(1).to(torch.int8)


class Quantizer:
    """The base of quantizers: called on a tensor, it returns the tensor in few bits, and what leads back.

    Args:
        output_dtype: Type of the result; `"int8"`.

    Example:
        >>> Quantizer()(torch.ones(1))
        tensor([1.])
    """

    def __init__(self, output_dtype: str = "int8") -> None:
        self.output_dtype = output_dtype

    def __call__(self, x: Any) -> Any:
        return x

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Quantizer:
        """Return a quantizer with these settings; the inverse of `get_config`."""
        return cls(**config)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal quantizer."""
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no get_config().",
                "Expected one: it returns the arguments of __init__.",
                'def get_config(self): return {"output_dtype": self.output_dtype}',
            )
        )


class AbsMaxQuantizer(Quantizer):
    """Scales by the largest number of an axis: `scale = value_range[1] / (max |x| + epsilon)`, `round(x * scale)`.

    Args:
        axis: The axis, or axes, over which the largest is taken; None for the last one.
        value_range: Smallest and largest result; (-127, 127).
        epsilon: Added to the largest; 1e-7.
        output_dtype: Type of the result; `"int8"`.

    Raises:
        ValueError: `value_range` does not fit into int8.

    Example:
        >>> outputs, scale = AbsMaxQuantizer(axis=0)(torch.tensor([[1.0], [-2.0]]))
        >>> outputs.tolist()
        [[64], [-127]]
    """

    def __init__(
        self,
        axis: Any = None,
        value_range: tuple[int, int] = (-127, 127),
        epsilon: float = 1e-7,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = None if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.value_range = tuple(value_range)
        self.epsilon = epsilon
        if output_dtype == "int8" and (self.value_range[0] < -128 or self.value_range[1] > 127):
            raise ValueError(
                explain(
                    f"AbsMaxQuantizer got value_range={self.value_range}.",
                    "Expected numbers from -128 to 127: int8 holds no others.",
                    "AbsMaxQuantizer(value_range=(-127, 127))",
                )
            )

    def __call__(self, x: Any, axis: Any = None, to_numpy: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        over = axis if axis is not None else self.axis if self.axis is not None else -1
        return abs_max_quantize(x, over, self.value_range, self.output_dtype, self.epsilon, to_numpy)

    def get_config(self) -> dict[str, Any]:
        config = {"value_range": self.value_range, "epsilon": self.epsilon, "output_dtype": self.output_dtype}
        return config if self.axis is None else {**config, "axis": self.axis}


class QuantizationConfig:
    """The base of what says how a layer is quantized; `Int8QuantizationConfig` is the one to use.

    Args:
        weight_quantizer: Applied to the weights, once; None for the layer's own.
        activation_quantizer: Applied to the inputs of every call; None leaves them floats.

    Example:
        >>> QuantizationConfig().weight_quantizer is None
        True
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    @property
    def mode(self) -> str:
        """The name of the way to quantize."""
        raise NotImplementedError(
            explain("QuantizationConfig names no mode.", "Expected one of its subclasses.", "Int8QuantizationConfig()")
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal config."""
        return {
            "weight_quantizer": registry.serialize_keras_object(self.weight_quantizer),
            "activation_quantizer": registry.serialize_keras_object(self.activation_quantizer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizationConfig:
        """Return a config with these settings; the inverse of `get_config`."""
        return cls(
            weight_quantizer=registry.deserialize_keras_object(config.get("weight_quantizer")),
            activation_quantizer=registry.deserialize_keras_object(config.get("activation_quantizer")),
        )

    @staticmethod
    def weight_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """Return the quantizer of a config for weights, or another one if it has none."""
        return default if config is None or config.weight_quantizer is None else config.weight_quantizer

    @staticmethod
    def activation_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """Return the quantizer of a config for inputs (None there is a choice), or another one without a config."""
        return default if config is None else config.activation_quantizer


class Int8QuantizationConfig(QuantizationConfig):
    """Weights and inputs as int8: `inputs @ kernel` becomes a product of whole numbers, scaled back.

    Args:
        weight_quantizer: Applied to the weights; by default the largest per output feature is 127.
        activation_quantizer: Applied to the inputs of every call; by default `AbsMaxQuantizer()`.
            None leaves the inputs floats.

    Raises:
        ValueError: `weight_quantizer` makes another type.

    Example:
        >>> Int8QuantizationConfig().mode
        'int8'
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default") -> None:
        if isinstance(activation_quantizer, str) and activation_quantizer == "default":
            activation_quantizer = AbsMaxQuantizer()
        super().__init__(weight_quantizer, activation_quantizer)
        if weight_quantizer is not None and weight_quantizer.output_dtype != "int8":
            raise ValueError(
                explain(
                    f"Int8QuantizationConfig got a weight_quantizer for {weight_quantizer.output_dtype}.",
                    "Expected output_dtype='int8'.",
                    "Int8QuantizationConfig(weight_quantizer=AbsMaxQuantizer(axis=0))",
                )
            )

    @property
    def mode(self) -> str:
        return "int8"


def resolved(mode: Any, config: Any) -> Int8QuantizationConfig:
    """Return the config that `quantize(mode, config)` asks for.

    Raises:
        ValueError: The mode is none of Keras's, or the two contradict each other.
        NotImplementedError: The mode is one that is not available.
    """
    if isinstance(config, str):
        mode, config = config, None
    if mode is not None and mode not in ("int8", *OTHER_MODES):
        raise ValueError(unknown_name("quantization mode", mode, ("int8",)))
    if mode in OTHER_MODES:
        raise NotImplementedError(
            explain(f"quantize got the mode '{mode}'.", "Expected 'int8': it is the only one here.", 'quantize("int8")')
        )
    if config is None:
        if mode is None:
            raise ValueError(explain("quantize got no mode.", "Expected 'int8'.", 'quantize("int8")'))
        return Int8QuantizationConfig()
    if not isinstance(config, Int8QuantizationConfig):
        raise ValueError(
            explain(
                f"quantize got config={config!r}.",
                "Expected an Int8QuantizationConfig.",
                "quantize(config=Int8QuantizationConfig())",
            )
        )
    return config


# Keras's other modes.
OTHER_MODES = ("float8", "int4", "gptq", "awq")


# --- float8 ----------------------------------------------------------------------------


def compute_float8_scale(amax: Any, scale: Any, dtype_max: Any, margin: int = 0) -> torch.Tensor:
    """Return the scale that brings the largest number to the largest of float8: `amax * 2 ** margin / dtype_max`.

    Args:
        amax: The largest number seen; where it is 0 or not finite, the scale stays.
        scale: The scale so far.
        dtype_max: The largest number of the type.
        margin: Powers of two to stay below it; 0.

    Example:
        >>> compute_float8_scale(torch.tensor(896.0), torch.tensor(1.0), 448.0)
        tensor(2.)
    """
    amax, inverse = ops.convert_to_tensor(amax), 1 / ops.convert_to_tensor(scale)
    found = (dtype_max / amax) / 2**margin
    found = torch.where(amax > 0.0, found, inverse)
    return 1 / torch.where(torch.isfinite(amax), found, inverse)


def compute_float8_amax_history(x: Any, amax_history: Any) -> torch.Tensor:
    """Return the largest numbers of the last calls, moved on by one, with `max |x|` in place of the oldest.

    Args:
        x: A tensor.
        amax_history: The largest numbers so far, a vector.

    Example:
        >>> compute_float8_amax_history(torch.tensor([-3.0]), torch.tensor([1.0, 2.0]))
        tensor([3., 1.])
    """
    history = torch.roll(ops.convert_to_tensor(amax_history), -1)
    newest = ops.convert_to_tensor(x).abs().max().to(history.dtype).reshape(1)
    return torch.cat([newest, history[1:]])


_FLOAT8 = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}


def quantize_and_dequantize(inputs: Any, scale: Any, quantized_dtype: str, compute_dtype: Any) -> torch.Tensor:
    """Return a tensor with the precision that float8 leaves of it: `float8(inputs / scale) * scale`.

    Args:
        inputs: Floats.
        scale: From `compute_float8_scale`.
        quantized_dtype: `"float8_e4m3fn"` or `"float8_e5m2"`.
        compute_dtype: Type of the result.

    Raises:
        ValueError: The type is none of these.

    Example:
        >>> quantize_and_dequantize(torch.tensor([1.07]), 1.0, "float8_e4m3fn", "float32")
        tensor([1.1250])
    """
    if quantized_dtype not in _FLOAT8:
        raise ValueError(unknown_name("float8 type", quantized_dtype, _FLOAT8))
    kind, wanted = _FLOAT8[quantized_dtype], torch_dtype(compute_dtype)
    scale = ops.convert_to_tensor(scale).to(wanted)
    most = torch.finfo(kind).max
    x = torch.clip(ops.convert_to_tensor(inputs) / scale, -most, most).to(kind)
    return x.to(wanted) * scale


# --- four bits -------------------------------------------------------------------------


def pack_int4(arr: Any, axis: int = 0, dtype: str = "int8") -> tuple[torch.Tensor, tuple[int, ...], int]:
    """Return numbers of four bits, two in a byte: `low | high << 4`, of neighbours along an axis.

    Args:
        arr: Whole numbers from -8 to 7 (int8) or 0 to 15 (uint8).
        axis: The axis that gets half as long; 0.
        dtype: Type of `arr`, `"int8"` or `"uint8"`.

    Returns:
        (packed, its shape, length of the axis before).

    Raises:
        ValueError: The type is none of these.
        TypeError: `arr` has another type.

    Example:
        >>> pack_int4(torch.tensor([1, 2], dtype=torch.int8))
        (tensor([33], dtype=torch.int8), (1,), 2)
    """
    _check_bytes("pack_int4", dtype)
    tensor = ops.convert_to_tensor(arr)
    if tensor.dtype is not torch_dtype(dtype):
        raise TypeError(
            explain(
                f"pack_int4 got a tensor of {dtype_name(tensor.dtype)}.",
                f"Expected {dtype}.",
                f"ops.cast(arr, {dtype!r})",
            )
        )
    tensor = tensor.movedim(axis, 0)
    length = tensor.shape[0]
    if length % 2:
        tensor = torch.cat([tensor, torch.zeros_like(tensor[:1])])
    bits = tensor.view(torch.uint8) if tensor.is_contiguous() else tensor.contiguous().view(torch.uint8)
    packed = (bits[::2] & 15) | ((bits[1::2] & 15) << 4)
    packed = packed.contiguous().view(torch_dtype(dtype)).movedim(0, axis).contiguous()
    return packed, tuple(packed.shape), length


def unpack_int4(packed: Any, orig_len: int, axis: int = 0, dtype: str = "int8") -> torch.Tensor:
    """Return what `pack_int4` packed.

    Args:
        packed: Bytes.
        orig_len: Length of the axis before it was packed.
        axis: The axis; 0.
        dtype: `"int8"` for numbers from -8 to 7, `"uint8"` for those from 0 to 15.

    Raises:
        ValueError: The type is none of these.
        TypeError: `packed` holds no bytes.

    Example:
        >>> unpack_int4(torch.tensor([33], dtype=torch.int8), 2)
        tensor([1, 2], dtype=torch.int8)
    """
    _check_bytes("unpack_int4", dtype)
    tensor = ops.convert_to_tensor(packed)
    if tensor.dtype not in (torch.int8, torch.uint8):
        raise TypeError(
            explain(
                f"unpack_int4 got a tensor of {dtype_name(tensor.dtype)}.",
                "Expected int8 or uint8.",
                "what pack_int4(...) returned first",
            )
        )
    bits = tensor.movedim(axis, 0).contiguous().view(torch.uint8)
    found = torch.stack([bits & 15, bits >> 4], dim=1).flatten(0, 1)[:orig_len]
    if dtype == "int8":
        found = (found.to(torch.int8) ^ 8) - 8
    return found.movedim(0, axis).contiguous()


def _check_bytes(owner: str, dtype: str) -> None:
    if dtype not in ("int8", "uint8"):
        raise ValueError(unknown_name(f"dtype of {owner}", dtype, ("int8", "uint8")))


# --- training with quantization in mind --------------------------------------------------


class _FakeQuantized(torch.autograd.Function):
    """Rounds on the way forward; on the way back, passes gradients to what was within the range, else to its ends."""

    @staticmethod
    def forward(ctx: Any, x: Any, low: Any, high: Any, levels: tuple[int, int], axis: int | None) -> Any:
        kind = torch.promote_types(low.dtype, torch.float32)
        first, last = levels
        span = high.to(kind) - low.to(kind)
        scale, inverse = span / (last - first), (last - first) / span
        zero = torch.round(torch.clip(first - low.to(kind) / scale, first, last))
        bottom, ceiling = (first - zero) * scale, (last - zero) * scale
        whole = torch.floor(-bottom * inverse + 0.5)
        steps = (torch.clamp(x.to(kind), bottom, ceiling) - bottom) * inverse - whole
        ctx.save_for_backward(x, bottom, ceiling)
        ctx.axis, ctx.shapes = axis, (low.shape, high.shape)
        return (torch.floor(steps + 0.5) * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad,), (x, bottom, ceiling) = grads, ctx.saved_tensors
        axes = [axis for axis in range(x.ndim) if axis != ctx.axis]

        def total(part: torch.Tensor, shape: Any) -> torch.Tensor:
            part = torch.where(part, grad, 0.0)
            return (part.sum(axes) if axes else part).reshape(shape)

        within = torch.where((x >= bottom) & (x <= ceiling), grad, 0.0)
        return within, total(x <= bottom, ctx.shapes[0]), total(x >= ceiling, ctx.shapes[1]), None, None


def fake_quant_with_min_max_vars(
    inputs: Any, min_vals: Any, max_vals: Any, num_bits: int = 8, narrow_range: bool = False, axis: int | None = None
) -> torch.Tensor:
    """Return floats rounded to the levels that so many bits would leave between two ends.

    `scale = (max - min) / (levels - 1)`, with the ends moved so that 0 is a level. Gradients
    pass where the input is between the ends, and to the ends elsewhere.

    Args:
        inputs: Floats.
        min_vals, max_vals: The ends: one number, or one per place of `axis`.
        num_bits: 8 makes 256 levels.
        narrow_range: Whether the lowest level is left out; False.
        axis: The axis with ends of its own in each place, which must be the last; None for one range.

    Raises:
        ValueError: The bits are none.

    Example:
        >>> fake_quant_with_min_max_vars(torch.tensor([0.3, 9.0]), 0.0, 1.0, num_bits=2)
        tensor([0.3333, 1.0000])
    """
    bits = int(num_bits)
    if not 1 <= bits <= 16:
        raise ValueError(
            explain(f"fake_quant_with_min_max_vars got num_bits={num_bits}.", "Expected 1 to 16.", "num_bits=8")
        )
    inputs = ops.convert_to_tensor(inputs)
    if not inputs.is_floating_point():
        inputs = inputs.float()
    low, high = ops.convert_to_tensor(min_vals), ops.convert_to_tensor(max_vals)
    if axis is not None:
        axis = axis % inputs.ndim
    levels = (1 if narrow_range else 0, (1 << bits) - 1)
    return _FakeQuantized.apply(inputs, low.to(inputs.device), high.to(inputs.device), levels, axis)


# --- names -------------------------------------------------------------------------------

_CLASSES = [Quantizer, AbsMaxQuantizer, QuantizationConfig, Int8QuantizationConfig]
registry.add_builtins("quantizers", _CLASSES)


def serialize(initializer: Any) -> Any:
    """Return a quantizer, or a config of one, as plain data that JSON can hold.

    Args:
        initializer: The quantizer; the name of the argument is Keras's.

    Example:
        >>> serialize(AbsMaxQuantizer())["class_name"]
        'AbsMaxQuantizer'
    """
    return registry.serialize_keras_object(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return what `serialize` wrote.

    Args:
        config: Plain data.
        custom_objects: {name: class} for names that are not registered.

    Example:
        >>> deserialize(serialize(AbsMaxQuantizer(axis=0))).axis
        (0,)
    """
    return registry.deserialize_keras_object(config, custom_objects=custom_objects)


def get(identifier: Any, **kwargs: Any) -> Any:
    """Return a quantizer for a name, a class, a config or a quantizer; None stays None.

    Args:
        identifier: `"abs_max_quantizer"`, `"AbsMaxQuantizer"`, ...
        kwargs: Settings, for a name or a class.

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> get("abs_max_quantizer", axis=0).axis
        (0,)
    """
    if isinstance(identifier, str):
        known = {cls.__name__: cls for cls in _CLASSES}
        known |= {_snake(name): cls for name, cls in known.items()}
        if identifier not in known:
            raise ValueError(unknown_name("quantizer", identifier, known, or_object=True))
        return known[identifier](**kwargs)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return identifier(**kwargs) if isinstance(identifier, type) else identifier


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


__all__ = [
    "AbsMaxQuantizer",
    "Int8QuantizationConfig",
    "QuantizationConfig",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "compute_float8_amax_history",
    "compute_float8_scale",
    "deserialize",
    "fake_quant_with_min_max_vars",
    "get",
    "pack_int4",
    "quantize_and_dequantize",
    "serialize",
    "unpack_int4",
]

answer_misspellings(__name__)
