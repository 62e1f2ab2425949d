"""Number types and precision policies.

A policy has two types: the one that weights are kept in (`variable_dtype`)
and the one that a layer computes in (`compute_dtype`). `mixed_bfloat16` keeps
float32 weights and computes in bfloat16.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from uncrumple.core.devices import default_device, multiplies_bfloat16
from uncrumple.core.errors import explain, unknown_name
from uncrumple.core.messages import print_message

TORCH_DTYPES: dict[str, torch.dtype] = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}
_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()} | {
    torch.uint16: "uint16",
    torch.uint32: "uint32",
    torch.complex64: "complex64",
    torch.complex128: "complex128",
}
_FLOATS = ("bfloat16", "float16", "float32", "float64")
_POLICIES = ("float32", "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")

_floatx = "float32"


def floatx() -> str:
    """Return the default float type, `"float32"` unless `set_floatx` changed it."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the default float type that new layers and data use."""
    global _floatx
    if value not in _FLOATS:
        raise ValueError(unknown_name("float type", value, _FLOATS))
    _floatx = value


def dtype_name(dtype: Any) -> str:
    """Return the Keras name of a torch, NumPy or named dtype.

    Example:
        >>> dtype_name(torch.float32), dtype_name("float32"), dtype_name(float)
        ('float32', 'float32', 'float32')
    """
    if dtype is None:
        return floatx()
    if isinstance(dtype, torch.dtype):
        return _NAMES[dtype]
    if dtype is float:
        return floatx()
    if dtype is int:
        return "int32"
    if dtype is bool:
        return "bool"
    if isinstance(dtype, DTypePolicy):
        return dtype.variable_dtype
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or getattr(dtype, "__name__", str(dtype))
    name = str(name).removeprefix("torch.")
    if name not in TORCH_DTYPES:
        raise ValueError(unknown_name("dtype", name, TORCH_DTYPES))
    return name


def torch_dtype(dtype: Any) -> torch.dtype:
    """Return the torch dtype for any spelling of a dtype; None means `floatx()`."""
    return dtype if isinstance(dtype, torch.dtype) else TORCH_DTYPES[dtype_name(dtype)]


class DTypePolicy:
    """Which type a layer keeps its weights in, and which it computes in.

    Args:
        name: `"float32"`, `"bfloat16"`, `"float16"`, `"float64"` (both types
            the same), `"mixed_bfloat16"` or `"mixed_float16"` (float32 weights).

    Example:
        >>> policy = DTypePolicy("mixed_bfloat16")
        >>> policy.variable_dtype, policy.compute_dtype
        ('float32', 'bfloat16')
    """

    def __init__(self, name: str | None = None, source_name: str | None = None) -> None:
        given = floatx() if name is None else name if isinstance(name, str) else dtype_name(name)
        name = given.removeprefix("torch.")
        if name not in _POLICIES and name not in TORCH_DTYPES:
            raise ValueError(unknown_name("dtype policy", name, _POLICIES))
        self._name = name
        self.source_name = source_name
        mixed = name.startswith("mixed_")
        self.variable_dtype = "float32" if mixed else name
        self.compute_dtype = name.removeprefix("mixed_")
        self.torch_variable_dtype = TORCH_DTYPES[self.variable_dtype]
        self.torch_compute_dtype = TORCH_DTYPES[self.compute_dtype]

    # How a layer's weights are kept in few bits; None for floats.
    quantization_mode: str | None = None

    @property
    def name(self) -> str:
        return self._name

    def get_config(self) -> dict[str, Any]:
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        return cls(config["name"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self._name}">'


class QuantizedDTypePolicy(DTypePolicy):
    """A policy for layers whose weights are kept as int8: `"int8_from_float32"`.

    Args:
        mode: `"int8"`.
        source_name: The policy that the layer had before, which bias, scales and results keep; by
            default the global one.

    Raises:
        ValueError: The mode is not available, or float16 could not hold the sums.

    Example:
        >>> policy = QuantizedDTypePolicy("int8", "mixed_bfloat16")
        >>> policy.name, policy.compute_dtype, policy.quantization_mode
        ('int8_from_mixed_bfloat16', 'bfloat16', 'int8')
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        super().__init__(dtype_policy().name if source_name is None else source_name)
        if mode != "int8":
            raise ValueError(unknown_name("quantization mode", mode, ("int8",)))
        if self.compute_dtype == "float16":
            raise ValueError(
                explain(
                    f"QuantizedDTypePolicy got source_name={self._name!r}.",
                    "Expected a type whose range holds the sums of products of int8.",
                    'QuantizedDTypePolicy("int8", "mixed_bfloat16")',
                )
            )
        self.source_name = self._name
        self._name = f"{mode}_from_{self.source_name}"
        self.quantization_mode = mode

    def get_config(self) -> dict[str, Any]:
        return {"mode": self.quantization_mode, "source_name": self.source_name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizedDTypePolicy:
        return cls(**config)


# What files name, and what names begin with.
POLICIES: dict[str, Any] = {
    "DTypePolicy": DTypePolicy,
    "FloatDTypePolicy": DTypePolicy,
    "QuantizedDTypePolicy": QuantizedDTypePolicy,
}
_QUANTIZED = ("int8_from_", "int4", "float8_from_", "gptq", "awq")


_global_policy: DTypePolicy | None = None


def dtype_policy() -> DTypePolicy:
    """Return the policy that new layers take: float32 unless changed."""
    return _global_policy if _global_policy is not None else DTypePolicy(floatx())


def set_dtype_policy(policy: str | DTypePolicy | None) -> None:
    """Set the policy that new layers take, for example `"mixed_bfloat16"`.

    Args:
        policy: A policy or its name; None for that of `floatx()`. `"auto"` takes
            `"mixed_bfloat16"` where the device multiplies bfloat16 natively, and
            `"float32"` where not; it says which, once.
    """
    global _global_policy
    _global_policy = (
        None if policy is None else get_policy(_fastest_policy(default_device()) if policy == "auto" else policy)
    )


@functools.cache
def _fastest_policy(device: torch.device) -> str:
    if multiplies_bfloat16(device):
        print_message(f"precision: mixed_bfloat16, which this {device.type.upper()} multiplies natively")
        return "mixed_bfloat16"
    print_message(f"precision: float32; this {device.type.upper()} does not multiply bfloat16 natively")
    return "float32"


def get_policy(identifier: Any) -> DTypePolicy:
    """Return a policy for a name, a dtype, a config, a policy, or None (the global one)."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        kind = identifier.get("class_name", "DTypePolicy")
        if kind not in POLICIES:
            raise ValueError(unknown_name("dtype policy of the file", kind, POLICIES))
        return POLICIES[kind].from_config(identifier["config"])
    if isinstance(identifier, str):
        mode, _, source = identifier.partition("_from_")
        return QuantizedDTypePolicy(mode, source) if identifier.startswith(_QUANTIZED) else DTypePolicy(identifier)
    return DTypePolicy(dtype_name(identifier))
