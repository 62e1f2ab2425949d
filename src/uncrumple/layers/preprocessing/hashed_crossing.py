"""Several categories together as the number of one bin."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.core.text import Text
from uncrumple.layers.checks import one_of, whole_number
from uncrumple.layers.preprocessing.hashes import fingerprints, joined
from uncrumple.layers.preprocessing.hashing import encoded_strings
from uncrumple.layers.preprocessing.values import ReadsRawData, encoded, refuse_sparse, values_of

# The hash of nothing, with which every crossing begins.
_BEGIN = np.uint64(0xDECAFCAFFE)


class HashedCrossing(ReadsRawData):
    """Puts combinations of categories into a fixed number of bins: what a city and a year mean together.

    bin = hash(first, second, ...) mod num_bins.

    Args:
        num_bins: How many bins there are.
        output_mode: `"int"` gives numbers of bins, `"one_hot"` vectors of that length.
        sparse: Must be False.
        name, dtype, trainable: As for every `Layer`; by default `"int64"`, and for vectors `floatx()`.

    Shapes: a list of at least two inputs of one shape: `(samples, 1)`, `(samples,)` or `()`.

    Raises:
        ValueError: There is one input only, their shapes differ, or they are not categories.

    Example:
        >>> city, year = ["Bern", "Bern", "Rome"], [1999, 2000, 1999]
        >>> HashedCrossing(num_bins=5)((city, year)).tolist()
        [3, 2, 0]
    """

    def __init__(
        self,
        num_bins: Any,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if output_mode == "int" and dtype is None:
            dtype = "int64"
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.num_bins = whole_number("HashedCrossing", "num_bins", num_bins, example=10)
        self.output_mode = one_of("HashedCrossing", "output_mode", output_mode, ("int", "one_hot"))
        refuse_sparse("HashedCrossing", sparse)
        self.sparse = False
        self.built = True

    def call(self, inputs: Any) -> torch.Tensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(
                explain(
                    f"{self._label} got {'one input' if not isinstance(inputs, (list, tuple)) else f'{len(inputs)} inputs'}.",
                    "Expected a list of at least two.",
                    f"{self.name}([city, year])",
                )
            )
        values = [values_of(one, self._label) for one in inputs]
        self._check(values)
        shape, device = values[0].shape, values[0].device
        if values[0].is_meta:
            bins = torch.zeros(shape, dtype=torch.int64, device=device)
        else:
            hashes = np.full(values[0].numel(), _BEGIN)
            for one in values:
                hashes = joined(hashes, _numbers(one))
            bins = torch.from_numpy((hashes % np.uint64(self.num_bins)).astype(np.int64)).reshape(shape).to(device)
        kind = self._dtype_policy.torch_variable_dtype
        return bins.to(kind) if self.output_mode == "int" else encoded(bins, "one_hot", self.num_bins, kind)

    def _check(self, values: list[torch.Tensor]) -> None:
        shapes = [tuple(one.shape) for one in values]
        first = shapes[0]
        if any(shape != first for shape in shapes) or len(first) > 2 or (len(first) == 2 and first[1] != 1):
            raise ValueError(
                explain(
                    f"{self._label} got inputs of shapes {', '.join(map(str, shapes))}.",
                    "Expected one shape for all: (samples, 1) or (samples,).",
                    "x[:, 0:1] for one column of several",
                )
            )
        for one in values:
            if not isinstance(one, Text) and (one.is_floating_point() or one.dtype is torch.bool):
                raise ValueError(
                    explain(
                        f"{self._label} got an input of type {str(one.dtype).removeprefix('torch.')}.",
                        "Expected categories: text or whole numbers.",
                        "Discretization(num_bins=10)(x) for numbers on a scale",
                    )
                )

    def get_config(self) -> dict[str, Any]:
        return {
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }


def _numbers(values: torch.Tensor) -> np.ndarray:
    """Return what is hashed: the fingerprints of text, and whole numbers as they are."""
    if isinstance(values, Text):
        return fingerprints(encoded_strings(values))
    return values.detach().reshape(-1).to(torch.int64).cpu().numpy().view(np.uint64)
