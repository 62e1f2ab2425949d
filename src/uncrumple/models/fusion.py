"""Neighbours in a model that one kernel does together.

A convolution, its max pooling and the dropout behind it become one link; so
do a convolution along a line and the greatest of its steps; batch
normalization, a shortcut that is added, relu and dropout; and an addition
with layer normalization, together with the attention or the two dense layers before it. A link looks before each call whether that still
holds (no hooks on any of its layers, a data type and a device that the kernel
knows); if not, it calls its layers one after the other, which gives the same
numbers.
"""

from __future__ import annotations

from typing import Any

import torch

from uncrumple import activations, layers
from uncrumple.core.hooks import GLOBAL_HOOKS, hooks_of
from uncrumple.kernels.convolution import convolve, takes_ending
from uncrumple.kernels.convolution_greatest import convolve_to_greatest
from uncrumple.kernels.convolution_native import Ending
from uncrumple.kernels.dense_rows import Normalization
from uncrumple.kernels.dropout import draw_seed, limit_and_scale
from uncrumple.kernels.feed_forward import feed_forward, takes_feed_forward
from uncrumple.kernels.normalization import After
from uncrumple.layers.operation import Addition

_enter = torch.nn.Module.__call__
# What a layer has of its own where somebody has changed what it does.
_CHANGED = frozenset(("forward", "call", "lora_enabled"))


def fuse(chain: list[Any]) -> list[Any]:
    """Return a chain of layers with links in place of neighbours that go together.

    Example:
        >>> chain = [layers.Conv2D(8, 3), layers.MaxPooling2D(), layers.Dropout(0.5), layers.Flatten()]
        >>> [type(part).__name__ for part in fuse(chain)]
        ['Fused', 'Flatten']
    """
    links: list[Any] = []
    index = 0
    while index < len(chain):
        joined = link(chain[index:])
        links.append(chain[index] if joined is None else joined)
        index += 1 if joined is None else len(joined.parts)
    return links


def link(some: list[Any]) -> Link | None:
    """Return a link of two or more of these layers, from the first; None if that goes with none of the others."""
    if len(some) < 2 or type(some[0]) not in _LENGTHS:
        return None
    length, kind = _LENGTHS[type(some[0])]
    count = length(some[:4])
    return kind(some[:count]) if count > 1 else None


def _pooled(some: list[Any]) -> int:
    """Return how many of these layers, from a convolution on, one kernel does."""
    if type(some[1]) is not layers.MaxPooling2D:
        return 1
    convolution, pooling = some[:2]
    side_by_side = pooling.strides == pooling.pool_size and pooling.padding == "valid"
    last = convolution._channels_last and pooling._channels_last
    known = convolution.activation in (activations.relu, activations.linear)
    plain = convolution.activity_regularizer is None and pooling.activity_regularizer is None
    if not (side_by_side and last and known and plain and pooling.pool_size[0] * pooling.pool_size[1] < 255):
        return 1
    return 3 if len(some) > 2 and _drops(some[2]) else 2


def _greatest(some: list[Any]) -> int:
    """Return how many of these layers, from a convolution along a line on, one kernel does."""
    convolution, pooling = some[:2]
    if type(pooling) is not layers.GlobalMaxPooling1D or pooling.keepdims or convolution.groups > 1:
        return 1
    last = convolution._channels_last and pooling._channels_last
    known = convolution.activation in (activations.relu, activations.linear)
    plain = convolution.activity_regularizer is None and pooling.activity_regularizer is None
    return 2 if last and known and plain else 1


def _normalized(some: list[Any]) -> int:
    """Return how many of these layers, from batch normalization on, one kernel does."""
    count = 1
    if some[0].activity_regularizer is not None or some[0].renorm:
        return 1
    for known in (_adds, _rectifies, _drops):
        if count < len(some) and known(some[count]):
            count += 1
    return count


def _normalized_sum(some: list[Any]) -> int:
    """Return 2 if the first of these layers adds two tensors, and the second normalizes each row of the sum."""
    normalizes = type(some[1]) is layers.LayerNormalization and some[1].activity_regularizer is None
    return 2 if _adds(some[0]) and normalizes else 1


def _fed_forward(some: list[Any]) -> int:
    """Return 4 for two dense layers, the first with relu, an addition and layer normalization."""
    if len(some) < 4 or type(some[1]) is not layers.Dense or _normalized_sum(some[2:]) == 1:
        return 1
    known = some[0].activation is activations.relu and some[1].activation is activations.linear
    return 4 if known and all(one.activity_regularizer is None for one in some[:2]) else 1


def _attended(some: list[Any]) -> int:
    """Return 3 for attention, an addition and layer normalization."""
    return 3 if len(some) > 2 and some[0].activity_regularizer is None and _normalized_sum(some[1:]) == 2 else 1


def _adds(layer: Any) -> bool:
    return type(layer) in (layers.Add, Addition) and layer.activity_regularizer is None


def _rectifies(layer: Any) -> bool:
    if layer.activity_regularizer is not None:
        return False
    if type(layer) is layers.ReLU:
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return type(layer) is layers.Activation and layer.activation is activations.relu


def _drops(layer: Any) -> bool:
    plain = type(layer) is layers.Dropout and layer.noise_shape is None and layer.activity_regularizer is None
    return plain and layer.rate < 1


class Link:
    """Layers that are called as one.

    Args:
        parts: The layers, in the order of their calls.
    """

    # Where one of them adds: whether what comes from the layer before it is the first addend, and whether the other one
    # must be what went into the first layer.
    adds_first, adds_input = True, False

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts
        self._calls = [(type(part), type(part).call) for part in parts]
        self._hooks = [*GLOBAL_HOOKS, *(hooks for part in parts for hooks in hooks_of(part))]

    def __call__(self, value: Any, other: Any = None) -> Any:
        raise NotImplementedError

    def _one_by_one(self, value: Any, other: Any = None) -> Any:
        for part in self.parts:
            both = (value, other) if self.adds_first else (other, value)
            if isinstance(part, layers.MultiHeadAttention):
                value = _enter(part, value, value)
            elif isinstance(part, Addition):  # x + y
                value = _enter(part, *both)
            else:
                value = _enter(part, list(both) if isinstance(part, layers.Add) else value)
        return value

    def _kernel_and_bias(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the weights of the convolution that comes first, in the type that it computes in."""
        convolution = self.parts[0]
        kernel, bias, kind = convolution.kernel, convolution.bias, convolution._cast_weights_to
        if kind is None:
            return kernel, bias
        return kernel.to(kind), None if bias is None else bias.to(kind)

    def _ending(self, value: Any) -> Normalization | None:
        """Return the layer normalization at the end; None where it, or what comes before it, cannot be done at once."""
        if self._is_watched() or type(value) is not torch.Tensor or getattr(value, "_keras_mask", None) is not None:
            return None
        if value.dtype is not torch.float32 or any(part._compute_in is not value.dtype for part in self.parts):
            return None
        return self.parts[-1].ending(value.shape[-1])

    def _is_watched(self) -> bool:
        """Return whether somebody looks at a layer or has changed what it does."""
        if any(self._hooks):
            return True
        for part, (kind, call) in zip(self.parts, self._calls):
            if type(part) is not kind or kind.call is not call or part._remat_mode is not None:
                return True
            if part.activity_regularizer is not None or not _CHANGED.isdisjoint(part.__dict__):
                return True
        return False


class FusedNormalization(Link):
    """Batch normalization and what follows: perhaps the addition of `other`, relu, dropout."""

    def __call__(self, value: Any, other: Any = None) -> Any:
        normalization = self.parts[0]
        if self._fits(value, other):
            value = _cast(normalization, value)
            other = None if other is None else _cast(normalization, other)
            found = normalization.call_and_go_on(value, normalization.training, other, lambda: self._after(value))
            if found is not None:
                return found
        return self._one_by_one(value, other)

    def _after(self, value: torch.Tensor) -> After:
        """Return what follows, with the random draw of the dropout."""
        after, last = After(relu=any(_rectifies(part) for part in self.parts)), self.parts[-1]
        if type(last) is not layers.Dropout or not last.training or not last.rate:
            return after
        limit, scale = limit_and_scale(last.rate)
        return after._replace(seed=draw_seed(last._source(value)), limit=limit, scale=scale)

    def _fits(self, value: Any, other: Any) -> bool:
        if self._is_watched() or len({part._compute_in for part in self.parts}) > 1:
            return False
        for one in (value, other):
            if one is not None and (type(one) is not torch.Tensor or getattr(one, "_keras_mask", None) is not None):
                return False
        if other is None:
            return True
        if other.dtype is not self.parts[0]._compute_in and any(type(part) is Addition for part in self.parts):
            return False  # + does not cast
        return other.shape == value.shape and other.is_floating_point()


def _cast(layer: Any, value: torch.Tensor) -> torch.Tensor:
    """Return what `Layer.forward` makes of an input."""
    wrong = layer.autocast and value.dtype is not layer._compute_in and value.is_floating_point()
    return value.to(layer._compute_in) if wrong else value


class Fused(Link):
    """A convolution, max pooling, and perhaps dropout."""

    def __call__(self, value: Any, other: Any = None) -> Any:
        convolution, pooling, *behind = self.parts
        if convolution.autocast and isinstance(value, torch.Tensor) and value.is_floating_point():
            value = value.to(convolution._compute_in)
        if not self._fits(value, convolution, pooling):
            return self._one_by_one(value)
        ending = Ending(convolution.activation is activations.relu, pooling.pool_size)
        if behind and behind[0].training and behind[0].rate:
            limit, scale = limit_and_scale(behind[0].rate)
            ending = ending._replace(seed=draw_seed(behind[0]._source(value)), limit=limit, scale=scale)
        return convolve(
            value,
            *self._kernel_and_bias(),
            strides=convolution.strides,
            dilation=convolution.dilation_rate,
            padding=convolution.padding,
            groups=convolution.groups,
            ending=ending,
        )

    def _fits(self, value: Any, convolution: Any, pooling: Any) -> bool:
        if self._is_watched():
            return False
        if type(value) is not torch.Tensor or value.dim() != 4 or getattr(value, "_keras_mask", None) is not None:
            return False
        kinds = {part._compute_in for part in self.parts}
        kernel, bias = convolution.kernel, convolution.bias
        if kinds != {kernel.dtype} and kinds != {convolution._cast_weights_to}:
            return False
        if bias is not None and (bias.dtype is not kernel.dtype or bias.shape != kernel.shape[-1:]):
            return False
        if not takes_ending(value, value, None) or value.dtype not in kinds or kernel.device != value.device:
            return False
        for size, needed, stride, window in zip(
            value.shape[1:3], convolution._needed, convolution.strides, pooling.pool_size
        ):
            left = -(-size // stride) if convolution.padding == "same" else (size - needed) // stride + 1
            if left < window:
                return False  # the layers say what is wrong
        return True


class FusedGreatest(Link):
    """A convolution along a line, and the greatest of its steps."""

    def __call__(self, value: Any, other: Any = None) -> Any:
        convolution = self.parts[0]
        value = _cast(convolution, value) if isinstance(value, torch.Tensor) else value
        if not self._fits(value, convolution):
            return self._one_by_one(value)
        return convolve_to_greatest(
            value,
            *self._kernel_and_bias(),
            strides=convolution.strides,
            dilation=convolution.dilation_rate,
            padding=convolution.padding,
            relu=convolution.activation is activations.relu,
        )

    def _fits(self, value: Any, convolution: Any) -> bool:
        if self._is_watched() or len({part._compute_in for part in self.parts}) > 1:
            return False
        if type(value) is not torch.Tensor or value.dim() != 3 or getattr(value, "_keras_mask", None) is not None:
            return False
        if convolution.padding == "valid" and value.shape[1] < convolution._needed[0]:
            return False  # the layer says what is wrong
        kind = convolution._cast_weights_to or convolution.kernel.dtype
        if kind is not convolution._compute_in or value.dtype is not kind:
            return False
        return value.device == convolution.kernel.device and takes_ending(value, value, None)


class FusedFeedForward(Link):
    """Two dense layers, the addition of what went in, and layer normalization."""

    adds_input = True

    def __call__(self, value: Any, other: Any = None) -> Any:
        first, second = self.parts[:2]
        ending = self._ending(value)
        known = first.activation is activations.relu and second.activation is activations.linear
        if ending is not None and value is other and known:
            weights = (first.kernel, first.bias), (second.kernel, second.bias)
            if takes_feed_forward(value, *weights, ending):
                return feed_forward(value, *weights, ending)
        return self._one_by_one(value, other)


class FusedAttention(Link):
    """Attention of a sequence to itself, the addition of what went in, and layer normalization."""

    adds_input = True

    def __call__(self, value: Any, other: Any = None) -> Any:
        attention = self.parts[0]
        ending = self._ending(value)
        if ending is not None and value is other:
            found = attention.attend_to_itself(value, True, ending=ending)
            if found is not None:
                return found
        return self._one_by_one(value, other)


class FusedSum(Link):
    """The addition of two tensors, and layer normalization."""

    def __call__(self, value: Any, other: Any = None) -> Any:
        addition, normalization = self.parts
        if not self._is_watched() and all(type(one) is torch.Tensor for one in (value, other)):
            one, two = _cast(addition, value), _cast(addition, other)
            bare = getattr(value, "_keras_mask", None) is None and getattr(other, "_keras_mask", None) is None
            if bare and one.dtype is two.dtype is addition._compute_in and one.shape == two.shape:
                found = normalization.call_on_sum(one, two)
                if found is not None:
                    return found
        return self._one_by_one(value, other)


# By the layer that comes first: how many go with it, and as what.
_LENGTHS: dict[type, tuple[Any, type[Link]]] = {
    layers.Conv2D: (_pooled, Fused),
    layers.Conv1D: (_greatest, FusedGreatest),
    layers.Add: (_normalized_sum, FusedSum),
    Addition: (_normalized_sum, FusedSum),
    layers.Dense: (_fed_forward, FusedFeedForward),
    layers.MultiHeadAttention: (_attended, FusedAttention),
    layers.BatchNormalization: (_normalized, FusedNormalization),
}
