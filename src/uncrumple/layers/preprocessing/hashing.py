"""Text or whole numbers as numbers of bins, by a hash."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch

from uncrumple.core.dtypes import floatx
from uncrumple.core.errors import explain
from uncrumple.core.text import Text
from uncrumple.layers.checks import whole_number
from uncrumple.layers.preprocessing.hashes import fingerprints, siphashes
from uncrumple.layers.preprocessing.values import ReadsRawData, encoded, output_mode, refuse_sparse, values_of


class Hashing(ReadsRawData):
    """Puts text or whole numbers into a fixed number of bins, without looking at the data first.

    bin = hash(value) mod num_bins; the hash is FarmHash's 64-bit fingerprint,
    with a salt SipHash-2-4. Whole numbers are hashed as their decimal digits.

    Args:
        num_bins: How many bins there are.
        mask_value: A value that goes to bin 0, which nothing else does then.
        salt: One or two whole numbers that make another hash of it.
        output_mode: `"int"` gives numbers of bins; `"one_hot"`,
            `"multi_hot"` and `"count"` give vectors, as in `CategoryEncoding`.
        sparse: Must be False.
        name, dtype, trainable: As for every `Layer`; by default `"int64"`, and for vectors `floatx()`.

    Shapes: the output has the shape of the input in mode `"int"`.

    Example:
        >>> Hashing(num_bins=3)([["A"], ["B"], ["C"]]).tolist()
        [[1], [0], [1]]
    """

    def __init__(
        self,
        num_bins: Any,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else floatx()
        super().__init__(**kwargs)
        self.num_bins = whole_number("Hashing", "num_bins", num_bins, example=10)
        self.output_mode = _mode(output_mode)
        if self.output_mode == "int" and self._dtype_policy.name not in ("int32", "int64"):
            raise ValueError(
                explain(
                    f"Hashing got dtype={self._dtype_policy.name!r} with output_mode='int'.",
                    "Expected 'int32' or 'int64'.",
                    'Hashing(..., dtype="int64")',
                )
            )
        refuse_sparse("Hashing", sparse)
        self.mask_value = mask_value
        self.salt = salt_of("Hashing", salt)
        self.strong_hash = self.salt is not None
        self.sparse = False
        self.built = True

    @property
    def _reads(self) -> str:
        return "int64"

    def call(self, inputs: Any) -> torch.Tensor:
        values = values_of(inputs, self._label)
        if values.is_meta:
            bins = torch.zeros(values.shape, dtype=torch.int64, device=values.device)
        else:
            bins = self._bins(values)
        kind = self._dtype_policy.torch_variable_dtype
        return bins.to(kind) if self.output_mode == "int" else encoded(bins, self.output_mode, self.num_bins, kind)

    def _bins(self, values: torch.Tensor) -> torch.Tensor:
        count, masked = self.num_bins, None
        if self.mask_value is not None and count > 1:
            count -= 1
            masked = self._is_masked(values)
        bins = bins_of(values, count, self.salt)
        if masked is not None:
            bins = np.where(masked, 0, bins + 1)
        return torch.from_numpy(np.asarray(bins)).to(values.device)

    def _is_masked(self, values: torch.Tensor) -> np.ndarray:
        if isinstance(values, Text) != isinstance(self.mask_value, (str, bytes)):
            raise ValueError(
                explain(
                    f"{self._label} got {'text' if isinstance(values, Text) else 'numbers'}, and has mask_value={self.mask_value!r}.",
                    "Expected a mask_value of the same kind.",
                    'Hashing(..., mask_value="")' if isinstance(values, Text) else "Hashing(..., mask_value=0)",
                )
            )
        if isinstance(values, Text):
            mask = self.mask_value.decode() if isinstance(self.mask_value, bytes) else self.mask_value
            return np.asarray(values.numpy()) == mask
        return (values == self.mask_value).cpu().numpy()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "salt": self.salt,
            "mask_value": self.mask_value,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }


def _mode(value: Any) -> str:
    return output_mode("Hashing", value, ("int", "one_hot", "multi_hot", "count"))


def salt_of(owner: str, salt: Any) -> list[int] | None:
    """Return a salt as two whole numbers; one stands for both."""
    if salt is None:
        return None
    pair = (salt, salt) if isinstance(salt, numbers.Integral) and not isinstance(salt, bool) else salt
    if (
        not isinstance(pair, (list, tuple))
        or len(pair) != 2
        or any(isinstance(part, bool) or not isinstance(part, numbers.Integral) for part in pair)
    ):
        raise ValueError(
            explain(
                f"{owner} got salt={salt!r}.", "Expected one whole number, or two.", f"{owner}(..., salt=[133, 137])"
            )
        )
    return [int(part) for part in pair]


def bins_of(values: torch.Tensor, count: int, salt: list[int] | None) -> np.ndarray:
    """Return the bin of each string or number, in the shape of the values."""
    strings = _bytes_of(values)
    hashes = fingerprints(strings) if salt is None else siphashes(strings, (salt[0], salt[1]))
    return (hashes % np.uint64(count)).astype(np.int64).reshape(tuple(values.shape))


def _bytes_of(values: torch.Tensor) -> list[bytes]:
    if isinstance(values, Text):
        return encoded_strings(values)
    flat = values.detach().reshape(-1)
    if flat.dtype is torch.bool:
        return [b"true" if one else b"false" for one in flat.tolist()]
    return [b"%d" % one for one in flat.to(torch.int64).tolist()]


def encoded_strings(text: Text) -> list[bytes]:
    """Return the strings of a text as bytes in UTF-8."""
    return [word.encode("utf-8", "surrogateescape") for word in np.asarray(text.numpy()).reshape(-1).tolist()]
