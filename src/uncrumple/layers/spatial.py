"""What layers on lines, images and volumes share: the words for their axes, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.layers import checks
from uncrumple.layers.base import Layer
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.shapes import shape_of

_WORDS = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_EXAMPLES = {1: (100, 8), 2: (28, 28, 1), 3: (16, 28, 28, 1)}


class Spatial(Layer):
    """The base of layers on (samples, height, width, channels) and the like; `rank` is the number of axes between."""

    rank: int

    def _set_axes(self, data_format: str | None = None) -> None:
        """Check and keep `data_format`, and state what the layer accepts."""
        self.data_format = checks.data_format(type(self).__name__, data_format)
        self._channels_last = self.data_format == "channels_last"
        self.input_spec = self._spec()

    def _spec(self, channels: int | None = None) -> InputSpec:
        axes: dict[int, int | None] = {} if channels is None else {(-1 if self._channels_last else 1): channels}
        words = _WORDS[self.rank]
        inner = (*words, "channels") if self._channels_last else ("channels", *words)
        return InputSpec(ndim=self.rank + 2, axes=axes, meaning=f"(samples, {', '.join(inner)})")

    def _sizes(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """Return the part of a shape between samples and channels."""
        return tuple(shape[1:-1] if self._channels_last else shape[2:])

    def _channels(self, shape: Sequence[Any]) -> int:
        """Return the number of channels, or say that it must be known."""
        channels = shape[-1 if self._channels_last else 1]
        if channels is None:
            raise ValueError(
                explain(
                    f"{self._label} got an input of shape {tuple(shape)}.",
                    "Expected a known number of channels: the weights depend on it.",
                    f"Input({_EXAMPLES[self.rank]})",
                )
            )
        return channels

    def _refuse_smaller(self, inputs: torch.Tensor, needed: Sequence[int], what: str) -> None:
        """Raise if an axis of `inputs` is smaller than `needed`: the output would have no size there."""
        shape = inputs.shape[1:] if self._channels_last else inputs.shape[2:]
        for size, least in zip(shape, needed):
            if size < least:
                break
        else:
            return
        words = ["length"] if self.rank == 1 else list(_WORDS[self.rank])
        if len(set(needed)) == 1:
            least_in_words = f"{_and(words)} of at least {needed[0]}"
        else:
            least_in_words = _and([f"{word} of at least {least}" for word, least in zip(words, needed)])
        can_pad = getattr(self, "padding", None) == "valid"
        raise ValueError(
            explain(
                f"{self._label} shrinks its input of shape {shape_of(inputs)} to nothing: {what}.",
                f"Expected {least_in_words}.",
                'padding="same", or fewer pooling layers before it' if can_pad else "give it larger inputs",
            )
        )

    def explain_input(self, shape: Any) -> str:
        shape = tuple(shape)
        rank = len(shape)
        wanted = (self.input_spec.axes or {}).get(-1 if self._channels_last else 1)
        if rank == self.rank + 1:
            if self._channels_last and shape[0] is not None and (shape[-1] == wanted or shape[-1] in (3, 4)):
                return "add the batch axis: x = x[None]"
            if self._channels_last:
                return f"add the channel axis: x = x[..., None], and Input({(*shape[1:], 1)})"
            return f"add the channel axis: x = x[:, None], and Input({(1, *shape[1:])})"
        if rank == self.rank + 2 and wanted is not None:
            if self._channels_last and shape[1] == wanted:
                order = ", ".join(str(axis) for axis in (0, *range(2, rank), 1))
                return f"move the channels to the end: x = x.transpose({order})"
            sizes = shape[1:]
            return f"give it {wanted} channel{'s' * (wanted != 1)}, or build the model again with Input({sizes})"
        if rank > self.rank + 2 and type(self).__name__[-2:] in ("1D", "2D"):
            films = f"TimeDistributed({type(self).__name__}(...)) for films"
            if rank == self.rank + 3 and shape[0] is None:
                return f"leave the number of samples out of Input: Input({shape[2:]}); {films}"
            return f"{films}, or reshape the input"
        if rank == 2 and hasattr(self, "filters"):
            return f"Reshape({self._as_square(shape[1]) or _EXAMPLES[self.rank]}) before it"
        if rank == 2:
            return "put it before Flatten(), or leave it out: no axes are left to pool"
        return f"Input({_EXAMPLES[self.rank]})"

    def _as_square(self, count: int | None) -> tuple[int, ...] | None:
        """Return the shape of an image with equal sides that holds so many numbers, if there is one."""
        for channels in (1, 3):
            side = round(((count or 0) / channels) ** (1 / self.rank))
            if side > 1 and side**self.rank * channels == count:
                return (*[side] * self.rank, channels) if self._channels_last else (channels, *[side] * self.rank)
        return None


def _and(words: Sequence[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
