"""Where data enters a model."""

from __future__ import annotations

from typing import Any

from uncrumple.core.arguments import takes_no_other, unknown_of
from uncrumple.core.dtypes import dtype_name
from uncrumple.core.errors import explain
from uncrumple.core.shapes import as_shape
from uncrumple.layers.base import Layer
from uncrumple.layers.symbolic import Node, SymbolicTensor


class InputLayer(Layer):
    """The layer that an `Input` belongs to; it passes data through.

    Args:
        shape: Shape of one sample, without the batch axis.
        batch_size: Fixed number of samples, or None for any.
        dtype: Type of the data; by default `floatx()`.
        sparse, ragged: Must be False or None: layers take dense tensors.
        batch_shape: Shape with the batch axis, instead of `shape` and `batch_size`.
        input_tensor: A symbolic tensor to use instead of a new one.
        optional: Whether None may be given.
        name: Name of the input.

    Shapes: the output has the shape of the input.

    Example:
        >>> InputLayer((28, 28, 1)).output.shape
        (None, 28, 28, 1)
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if sparse or ragged:
            raise ValueError(
                explain(
                    f"Input got {'sparse' if sparse else 'ragged'}=True.",
                    "Expected dense tensors.",
                    "pad_sequences(lists) for sequences of different lengths" if ragged else "x.to_dense()",
                )
            )
        if shape is not None and batch_shape is not None:
            raise ValueError(
                explain(
                    "Input got both shape and batch_shape.", "Expected one of them.", f"Input(shape={tuple(shape)})"
                )
            )
        if input_tensor is not None:
            own = "string" if getattr(input_tensor, "is_text", False) else input_tensor.dtype
            batch_shape, dtype = input_tensor.shape, dtype or own
        if batch_shape is None:
            if shape is None:
                raise ValueError(
                    explain(
                        "Input got no shape.",
                        "Expected the shape of one sample, without the batch.",
                        "Input(shape=(28, 28, 1))",
                    )
                )
            batch_shape = (batch_size, *as_shape(shape, "Input"))
        self.batch_shape = as_shape(batch_shape, "Input")
        self._input_dtype = "string" if _is_text(dtype) else dtype_name(dtype)
        self.optional = optional
        self.sparse = False
        self.built = True
        self.supports_masking = True
        output = SymbolicTensor(self.batch_shape, self._input_dtype, name=self.name)
        Node(self, (), {}, output)

    @property
    def dtype(self) -> str:
        return self._input_dtype

    @property
    def input(self) -> Any:
        return self.output

    @property
    def output(self) -> Any:
        return self._nodes[0].structure

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        Node(self, (), {}, SymbolicTensor(self.batch_shape, self._input_dtype, name=self.name))

    def call(self, *args: Any) -> Any:
        return args[0] if args else None

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": self._input_dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


def _is_text(dtype: Any) -> bool:
    """Return whether a type stands for strings: "string", `str`, or another library's type of that name."""
    return dtype is str or dtype == "string" or getattr(dtype, "name", None) == "string"


@takes_no_other
def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
    **unknown: Any,
) -> Any:
    """Return a symbolic tensor: the place where data enters a model.

    Args:
        shape: Shape of one sample, without the batch: `(28, 28, 1)`. None
            stands for an axis of any size.
        batch_size: Fixed number of samples; None (the default) takes any.
        dtype: Type of the data, `"float32"` by default; `"int32"` for tokens,
            `"string"` for text, which `TextVectorization`, `StringLookup` and the like take.
        sparse, ragged: Must be False or None: layers take dense tensors.
        batch_shape: The shape with the batch axis, instead of `shape`.
        name: Name of the input, for models with several.
        tensor: A symbolic tensor to use instead of a new one.
        optional: Whether None may be given.

    Shapes: that of the data, with None for the samples.

    Example:
        >>> image = Input((28, 28, 1))
        >>> image.shape
        (None, 28, 28, 1)
    """
    if unknown:
        raise unknown_of(Input, unknown)
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output
