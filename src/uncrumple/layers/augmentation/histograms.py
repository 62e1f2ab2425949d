"""Images whose values are spread so that each is about as frequent as any other."""

from __future__ import annotations

from typing import Any

import torch

from uncrumple.layers import checks
from uncrumple.layers.augmentation.base import ColourLayer, in_range, number


def histograms(places: torch.Tensor, bins: int) -> torch.Tensor:
    """Return (rows, bins): how often each number from 0 on is in each row of (rows, numbers)."""
    rows = places.shape[0]
    apart = places + torch.arange(rows, device=places.device)[:, None] * bins
    return torch.bincount(apart.reshape(-1), minlength=rows * bins).reshape(rows, bins)


class Equalization(ColourLayer):
    """Spreads the values of each channel in training, so that each is about as frequent as any other.

    With the cumulative histogram c over `bins`, a value v becomes `(c[v] -
    first) / (last - first)`, brought to the range of values. The histogram is
    taken over all images of the batch together.

    Args:
        value_range: The least and the largest number of images.
        bins: How many values are told apart.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Call arguments: `training`; True by default where the layer is called by itself.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape of the input.

    Example:
        >>> Equalization()(torch.tensor([[[10.0], [11.0], [12.0]]])).flatten()
        tensor([  0., 128., 255.])
    """

    def __init__(
        self, value_range: Any = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.bins = checks.whole_number("Equalization", "bins", bins, minimum=2, example=256)
        self._set_value_range(value_range)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images with values spread."""
        images = self._computed(images)
        if not training or images.is_meta or not images.numel():
            return images
        low, high = self.value_range
        scale = 255 / (high - low)
        channels = images.movedim(self.channel_axis, 0)
        flat = channels.reshape(channels.shape[0], -1) * scale - low * scale
        found = self._equalized(flat) / scale + low
        return found.reshape(channels.shape).movedim(0, self.channel_axis).to(images.dtype)

    def _equalized(self, channels: torch.Tensor) -> torch.Tensor:
        """Return (channels, numbers) from 0 to 255, spread."""
        last = self.bins - 1
        found = histograms((channels.float() * last / 255.0).long().clamp(0, last), self.bins)
        total = found.cumsum(-1)
        first = torch.where(total > 0, total, total[:, -1:]).amin(-1, keepdim=True)
        width = (total[:, -1:] - first).clamp(min=1)
        table = ((total - first) * 255 / width).round().clamp(0, 255).to(channels.dtype)
        spread = table.gather(1, (channels / 255.0 * last).clamp(0, last).long())
        return torch.where((found > 0).sum(-1, keepdim=True) > 1, spread, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins, "value_range": self.value_range}


class ContrastLimitedAdaptiveHistogramEqualization(ColourLayer):
    """Spreads the values of images within tiles, each by itself, with a limit to how much; in training and otherwise.

    Each tile gets a table of its own; between the middles of tiles the tables are mixed, so that no edges show.

    Source: Pizer et al., "Adaptive Histogram Equalization and Its Variations", 1987.

    Args:
        value_range: The least and the largest number of images.
        clip_limit: How often, compared with an even distribution, a value of a
            tile may count; what is above is shared out among all. 0 or less is no limit.
        tile_grid_size: How many tiles there are down and across.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **kwargs: What every layer takes.

    Shapes: (samples, rows, columns, channels), or without samples; the output has the shape and the type of the input.

    Example:
        >>> layer = ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
        >>> layer(torch.rand(2, 16, 16, 3) * 255).shape
        torch.Size([2, 16, 16, 3])
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Any = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_value_range(value_range, as_given=True)
        owner = "ContrastLimitedAdaptiveHistogramEqualization"
        self.clip_limit = number(owner, "clip_limit", clip_limit)
        self.tile_grid_size = checks.sizes(owner, "tile_grid_size", tile_grid_size, 2)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> torch.Tensor:
        """Return a batch of images with values spread within tiles."""
        if images.is_meta or not images.numel():
            return images
        x = images.movedim(self.channel_axis, 1)
        whole = in_range(x, self.value_range, (0, 255), torch.float32)
        found = in_range(self._spread(whole.float()), (0, 255), self.value_range)
        return found.to(images.dtype).movedim(1, self.channel_axis)

    def _spread(self, x: torch.Tensor) -> torch.Tensor:
        """Return (samples, channels, rows, columns) from 0 to 255, spread."""
        samples, channels, height, width = x.shape
        down, across = self.tile_grid_size
        rows, columns = -(-height // down), -(-width // across)
        places = _mirrored(x, rows * down - height, columns * across - width).clamp(0, 255).long()
        tiles = places.reshape(samples * channels, down, rows, across, columns).transpose(2, 3)
        tables = self._tables(tiles.reshape(-1, rows * columns)).reshape(samples * channels, down, across, 256)
        # Beyond the outermost middles, the outermost tables hold.
        (top, bottom, share_y), (left, right, share_x) = _between(height, rows, down), _between(width, columns, across)
        share_y, share_x = share_y.to(x.device)[:, None], share_x.to(x.device)
        flat = tables.reshape(-1)
        plane = torch.arange(samples * channels, device=x.device)[:, None, None] * (down * across)
        inside = places.reshape(samples * channels, *places.shape[2:])[:, :height, :width]

        def read(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            tile = plane + y.to(flat.device)[:, None] * across + x.to(flat.device)
            return flat[tile * 256 + inside]

        above = torch.lerp(read(top, left), read(top, right), share_x)
        below = torch.lerp(read(bottom, left), read(bottom, right), share_x)
        return torch.lerp(above, below, share_y).reshape(x.shape)

    def _tables(self, tiles: torch.Tensor) -> torch.Tensor:
        """Return (tiles, 256): what each value of each tile becomes."""
        size = tiles.shape[1]
        found = histograms(tiles, 256).float()
        if self.clip_limit > 0:
            cut = found.clamp(max=self.clip_limit * size / 256.0)
            found = cut + (found - cut).sum(-1, keepdim=True) / 256.0
        total = found.cumsum(-1)
        first = total.amin(-1, keepdim=True)
        width = size - first
        return ((total - first) * 255.0 / torch.where(width == 0, 1.0, width)).clamp(0, 255)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "clip_limit": self.clip_limit,
            "tile_grid_size": self.tile_grid_size,
        }


def _mirrored(x: torch.Tensor, below: int, right: int) -> torch.Tensor:
    """Return images with a margin that mirrors them, edge included, over and over if it is wide."""
    for axis, margin in ((-2, below), (-1, right)):
        if margin:
            size = x.shape[axis]
            places = torch.arange(size + margin, device=x.device) % (2 * size)
            x = x.index_select(axis, torch.minimum(places, 2 * size - 1 - places))
    return x


def _between(size: int, tile: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return for each place the tiles whose middles it lies between, and how far it is on the way."""
    place = (torch.arange(size, dtype=torch.float32) - tile / 2.0) / tile
    before = place.floor()
    first = before.long()
    return first.clamp(0, count - 1), (first + 1).clamp(0, count - 1), place - before
