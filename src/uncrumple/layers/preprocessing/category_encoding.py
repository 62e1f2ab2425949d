"""Numbers of categories as vectors."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.layers.checks import whole_number
from uncrumple.layers.preprocessing.values import encoded, output_mode, refuse_sparse, values_of


class CategoryEncoding(Layer):
    """Turns whole numbers below `num_tokens` into vectors of that length.

    Args:
        num_tokens: How many categories there are.
        output_mode: `"one_hot"`: a vector with one 1 for each number;
            `"multi_hot"` (the default): a vector for each sample, with a 1
            for each category in it; `"count"`: how often each category occurs.
        sparse: Must be False.
        name, dtype, trainable: As for every `Layer`; the vectors are of type `dtype`.

    Call arguments:
        inputs: Whole numbers.
        count_weights: What each of them counts, in mode `"count"`.

    Shapes: `(..., n)` gives `(..., num_tokens)`; in mode `"one_hot"` `(..., n, num_tokens)`, or
    `(..., num_tokens)` if n is 1.

    Raises:
        ValueError: A number is below 0, or at least `num_tokens`.

    Example:
        >>> CategoryEncoding(4, output_mode="count")([[0, 1], [3, 3]])
        tensor([[1., 1., 0., 0.],
                [0., 0., 0., 2.]])
    """

    def __init__(
        self, num_tokens: Any = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_tokens is None:
            raise ValueError(
                explain(
                    "CategoryEncoding got no num_tokens.",
                    "Expected the number of categories.",
                    "CategoryEncoding(num_tokens=10), or IntegerLookup(), which finds them in the data",
                )
            )
        self.num_tokens = whole_number("CategoryEncoding", "num_tokens", num_tokens, example=10)
        self.output_mode = _mode(output_mode)
        refuse_sparse("CategoryEncoding", sparse)
        self.sparse = False
        self.built = True

    def call(self, inputs: Any, count_weights: Any = None) -> torch.Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                explain(
                    f"{self._label} got count_weights with output_mode={self.output_mode!r}.",
                    "Expected count_weights in the mode 'count' only.",
                    f'CategoryEncoding({self.num_tokens}, output_mode="count")',
                )
            )
        places = values_of(inputs, self._label)
        if not places.is_meta and places.numel():
            low, high = int(places.min()), int(places.max())
            if low < 0 or high >= self.num_tokens:
                raise ValueError(
                    explain(
                        f"{self._label} got {low if low < 0 else high} among its inputs.",
                        f"Expected whole numbers from 0 to {self.num_tokens - 1}.",
                        f"CategoryEncoding(num_tokens={high + 1})" if low >= 0 else "numbers counted from 0",
                    )
                )
        weights = None
        if count_weights is not None:
            weights = values_of(count_weights, self._label).to(places.device, self._compute_in)
        return encoded(places, self.output_mode, self.num_tokens, self._dtype_policy.torch_variable_dtype, weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode}


def _mode(value: Any) -> str:
    return output_mode("CategoryEncoding", value, ("one_hot", "multi_hot", "count"))
