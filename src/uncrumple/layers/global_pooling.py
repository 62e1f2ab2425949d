"""Global pooling: a whole line, image or volume becomes one number per channel."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.layers.spatial import Spatial


class _GlobalPooling(Spatial):
    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_axes(data_format)
        self.keepdims = bool(keepdims)
        self._over = tuple(range(1, self.rank + 1) if self._channels_last else range(2, self.rank + 2))
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format, "keepdims": self.keepdims}


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.amax(self._over, keepdim=self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if not inputs.is_floating_point():
            inputs = inputs.to(self._compute_in)
        return inputs.mean(self._over, keepdim=self.keepdims)


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """Keeps the largest number of each channel over all steps.

    output[c] = max of inputs[t, c] over t.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the pooled axis stays, with size 1.

    Input shape: (samples, steps, channels).
    Output shape: (samples, channels), or (samples, 1, channels) with `keepdims`.

    Example:
        >>> GlobalMaxPooling1D()(torch.ones(4, 10, 8)).shape
        torch.Size([4, 8])
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """Keeps the largest number of each channel over the whole image.

    output[c] = max of inputs[i, j, c] over i and j.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the pooled axes stay, with size 1.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, channels), or (samples, 1, 1, channels) with `keepdims`.

    Example:
        >>> GlobalMaxPooling2D()(torch.ones(4, 7, 7, 32)).shape
        torch.Size([4, 32])
    """

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """Keeps the largest number of each channel over the whole volume.

    output[c] = max of inputs[i, j, k, c] over i, j and k.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the pooled axes stay, with size 1.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, channels), or (samples, 1, 1, 1, channels) with `keepdims`.

    Example:
        >>> GlobalMaxPooling3D()(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 2])
    """

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """Takes the mean of each channel over all steps; masked steps do not count.

    output[c] = (sum of inputs[t, c] over t) / steps, or, with a mask, over the steps that count.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the pooled axis stays, with size 1.

    Input shape: (samples, steps, channels).
    Output shape: (samples, channels), or (samples, 1, channels) with `keepdims`.

    Example:
        >>> GlobalAveragePooling1D()(torch.ones(4, 10, 8)).shape
        torch.Size([4, 8])
    """

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is None:
            return super().call(inputs)
        counts = mask.to(torch.bool).unsqueeze(2 if self._channels_last else 1)
        total = torch.where(counts, inputs, 0).sum(self._over, keepdim=self.keepdims)
        return total / counts.to(inputs.dtype).sum(self._over, keepdim=self.keepdims)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """Takes the mean of each channel over the whole image.

    Source: Lin et al., "Network in network", 2014, arXiv:1312.4400.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the pooled axes stay, with size 1.

    Input shape: (samples, height, width, channels).
    Output shape: (samples, channels), or (samples, 1, 1, channels) with `keepdims`.

    Example:
        >>> GlobalAveragePooling2D()(torch.ones(4, 7, 7, 32)).shape
        torch.Size([4, 32])
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """Takes the mean of each channel over the whole volume.

    output[c] = mean of inputs[i, j, k, c] over all i, j and k.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: Whether the pooled axes stay, with size 1.

    Input shape: (samples, depth, height, width, channels).
    Output shape: (samples, channels), or (samples, 1, 1, 1, channels) with `keepdims`.

    Example:
        >>> GlobalAveragePooling3D()(torch.ones(1, 4, 6, 6, 2)).shape
        torch.Size([1, 2])
    """

    rank = 3
