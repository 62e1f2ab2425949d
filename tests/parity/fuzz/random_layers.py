"""Layers at random, for a tensor of a given shape: every option that changes the mathematics.

Left out, because Keras 3.15.1 is wrong there:

- average pooling whose padding has an uneven size, and layer normalization over an axis in the middle
  (tests/parity/test_layers.py holds the right numbers);
- `activity_regularizer` of SimpleRNN, which Keras takes and ignores;
- Normalization within TimeDistributed, in a model of one's own: its mean is read before it is written;
- sparsemax, which does not sum to one there;
- `activity_regularizer` of a layer within TimeDistributed, which Keras ignores too;
- `trainable=False` given to a wrapper, which freezes nothing in Keras as soon as a model holds the wrapper.
"""

from __future__ import annotations

import math
import random
from typing import Any

from recipes import Part

ACTIVATIONS = (
    *("relu", "tanh", "sigmoid", "elu", "selu", "gelu", "softplus", "softsign", "silu", "swish", "mish", "celu"),
    *("leaky_relu", "relu6", "hard_sigmoid", "hard_silu", "hard_tanh", "log_sigmoid", "linear", "softmax"),
    *("tanh_shrink", "soft_shrink", "hard_shrink", "squareplus", "sparse_plus", "sparse_sigmoid"),
)
INITIALIZERS = (
    *("he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "glorot_normal", "random_normal", "ones"),
    *("random_uniform", "truncated_normal", "variance_scaling"),
)


class Draw(random.Random):
    """Random choices, the same for the same seed."""

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def pick(self, *options: Any) -> Any:
        return self.choice(options)

    def number(self, low: float, high: float) -> float:
        return round(self.uniform(low, high), 3)

    def some(self, probability: float, **options: Any) -> dict[str, Any]:
        """Return each of the options with this probability; a function is called for its value."""
        found = {key: value for key, value in options.items() if self.chance(probability)}
        return {key: value() if callable(value) else value for key, value in found.items()}


# --- what many layers have in common ---------------------------------------------------


def activation(draw: Draw) -> Any:
    name = draw.pick(*ACTIVATIONS)
    if draw.chance(0.1) and name != "swish":
        return Part("function", name, {"room": "activations"})
    return name


def regularizer(draw: Draw) -> Any:
    return draw.pick(
        "l2",
        Part("regularizers", "L1", {"l1": draw.number(0.001, 0.05)}),
        Part("regularizers", "L2", {"l2": draw.number(0.001, 0.05)}),
        Part("regularizers", "L1L2", {"l1": draw.number(0.001, 0.02), "l2": draw.number(0.001, 0.05)}),
    )


def constraint(draw: Draw, rank: int) -> Any:
    axis = draw.randrange(rank) if rank < 3 else draw.pick(0, [0, 1, 2][: rank - 1])
    return draw.pick(
        "non_neg",
        Part("constraints", "NonNeg"),
        Part("constraints", "MaxNorm", {"max_value": draw.number(0.3, 2), "axis": axis}),
        Part("constraints", "UnitNorm", {"axis": axis}),
        Part(
            "constraints",
            "MinMaxNorm",
            {"min_value": draw.number(0.1, 0.5), "max_value": draw.number(0.6, 1.5), "rate": draw.pick(1.0, 0.4)},
        ),
    )


def initializer(draw: Draw) -> Any:
    return draw.pick(
        draw.pick(*INITIALIZERS),
        Part("initializers", "Constant", {"value": draw.number(-0.3, 0.3)}),
        Part("initializers", "RandomUniform", {"minval": -0.3, "maxval": 0.4, "seed": 3}),
        Part("initializers", "VarianceScaling", {"scale": 0.5, "mode": "fan_avg", "distribution": "uniform"}),
    )


def weights(draw: Draw, bias: bool = True, **ranks: int) -> dict[str, Any]:
    """Return options of weights, given the rank of each: `weights(draw, kernel=2)`; biases come along."""
    found: dict[str, Any] = {}
    for name, rank in {**ranks, **({"bias": 1} if bias else {})}.items():
        found |= draw.some(0.1, **{f"{name}_initializer": lambda: initializer(draw)})
        found |= draw.some(0.12, **{f"{name}_regularizer": lambda: regularizer(draw)})
        found |= draw.some(0.1, **{f"{name}_constraint": lambda rank=rank: constraint(draw, rank)})
    if bias:
        found |= draw.some(0.15, use_bias=False)
    return found


def any_layer(draw: Draw) -> dict[str, Any]:
    """Return what every layer with weights takes."""
    found = draw.some(0.08, activity_regularizer=lambda: regularizer(draw))
    return found | draw.some(0.06, trainable=False)


def layer(name: str, *options: dict[str, Any], **settings: Any) -> Part:
    for more in options:
        settings |= more
    return Part("layers", name, settings)


# --- any shape -------------------------------------------------------------------------


def dense(draw: Draw, shape: tuple[int, ...]) -> Part:
    more = draw.some(0.5, activation=lambda: activation(draw))
    if draw.chance(0.05):
        more["kernel_regularizer"] = Part(
            "regularizers", "OrthogonalRegularizer", {"factor": 0.02, "mode": draw.pick("rows", "columns")}
        )
    return layer("Dense", weights(draw, kernel=2), any_layer(draw), more, units=draw.randint(2, 6))


def activation_layer(draw: Draw, shape: tuple[int, ...]) -> Part:
    axes = list(range(1, len(shape)))
    return draw.pick(
        layer("Activation", activation=activation(draw)),
        layer("ELU", alpha=draw.number(0.3, 1.5)),
        layer("LeakyReLU", draw.some(0.6, negative_slope=draw.number(0.05, 0.5))),
        layer("PReLU", weights(draw, bias=False, alpha=1), draw.some(0.5, shared_axes=axes) if axes else {}),
        layer(
            "ReLU",
            draw.some(
                0.5, max_value=draw.number(0.5, 2), negative_slope=draw.number(0, 0.3), threshold=draw.number(0, 0.3)
            ),
        ),
        layer("Softmax", {"axis": [-2, -1]} if axes and draw.chance(0.3) else {}),
    )


def normalization(draw: Draw, shape: tuple[int, ...]) -> Part:
    more = draw.some(0.3, epsilon=draw.pick(0.1, 0.01))
    shift = draw.some(0.2, center=False, scale=False)
    kinds = [
        layer(
            "BatchNormalization",
            *(more, shift, any_layer(draw), draw.some(0.6, momentum=draw.pick(0.5, 0.8, 0.9))),
            draw.some(0.3, axis=draw.randint(1, len(shape))),
            weights(draw, bias=False, beta=1, gamma=1),
        ),
        layer("LayerNormalization", more, shift, weights(draw, bias=False, beta=1, gamma=1)),
        layer("RMSNormalization", more),
        layer("UnitNormalization"),
        layer("Normalization", mean=draw.number(-1, 1), variance=draw.number(0.5, 2), axis=None),
    ]
    if len(shape) > 1:
        channels = shape[-1]
        groups = draw.choice([-1, *(size for size in range(1, channels + 1) if channels % size == 0)])
        kinds += 2 * [
            layer("GroupNormalization", more, shift, weights(draw, bias=False, beta=1, gamma=1), groups=groups)
        ]
        kinds += [layer("LayerNormalization", more, shift, axis=[-2, -1]), layer("UnitNormalization", axis=[-2, -1])]
        kinds += [layer("BatchNormalization", more, renorm=True)]
    return draw.choice(kinds)


def einsum_dense(draw: Draw, shape: tuple[int, ...]) -> Part:
    units = draw.randint(2, 5)
    equation, output, bias = draw.pick(
        ("...x,xy->...y", (*[None] * (len(shape) - 1), units), "y"),
        *(
            [("abc,cd->abd", (shape[0], units), "bd"), ("abc,bd->adc", (units, shape[1]), "d")]
            if len(shape) == 2
            else []
        ),
        *([("ab,bcd->acd", (2, units), "cd")] if len(shape) == 1 else []),
    )
    more = weights(draw, kernel=1) | draw.some(0.4, activation=lambda: activation(draw)) | any_layer(draw)
    if "bias_constraint" in more or "kernel_constraint" in more:  # their axes depend on the equation
        more = {key: value for key, value in more.items() if not key.endswith("constraint")}
    if more.pop("use_bias", True):
        more["bias_axes"] = bias
    else:
        more = {key: value for key, value in more.items() if not key.startswith("bias")}
    return layer("EinsumDense", more, equation=equation, output_shape=output)


def spectral(draw: Draw, shape: tuple[int, ...]) -> Part:
    inner = draw.choice([dense, convolution] if len(shape) in (2, 3) else [dense])(draw, shape)
    if inner.name.startswith(("Depthwise", "Separable")):
        inner = dense(draw, shape)
    for name in ("trainable", "kernel_constraint"):
        inner.settings.pop(name, None)
    return layer("SpectralNormalization", layer=inner, power_iterations=draw.randint(1, 2))


def quiet(draw: Draw, shape: tuple[int, ...]) -> Part:
    """Return a layer that adds no weights: noise at rate zero, penalties, a change of scale."""
    return draw.pick(
        layer("Dropout", rate=0.0),
        layer("GaussianDropout", rate=0.0),
        layer("GaussianNoise", stddev=0.0),
        layer("AlphaDropout", rate=0.0),
        layer("ActivityRegularization", l1=draw.number(0, 0.02), l2=draw.number(0, 0.05)),
        layer("Rescaling", scale=draw.number(0.3, 1.5), offset=draw.number(-0.5, 0.5)),
        layer("Identity"),
    )


def reshaping(draw: Draw, shape: tuple[int, ...]) -> Part:
    size = math.prod(shape)
    if len(shape) == 1:
        divisors = [one for one in range(2, 7) if size % one == 0 and size // one <= 12]
        if draw.chance(0.6) or not divisors:
            return layer("RepeatVector", n=draw.randint(2, 5))
        return layer("Reshape", target_shape=(draw.choice(divisors), -1))
    if len(shape) == 2:
        divisors = [one for one in range(1, 5) if shape[1] % one == 0]
        first = draw.choice(divisors)
        return draw.pick(
            layer("Flatten"),
            layer("Permute", dims=(2, 1)),
            layer("Reshape", target_shape=(shape[0], -1, first)),
        )
    order = list(range(1, len(shape) + 1))
    draw.shuffle(order)
    return draw.pick(
        layer("Flatten", draw.some(0.3, data_format="channels_first")),
        layer("Permute", dims=tuple(order)),
        layer("Reshape", target_shape=(-1, shape[-1])),
    )


# --- convolutions and what goes with them ----------------------------------------------


def spatial(draw: Draw, shape: tuple[int, ...]) -> tuple[int, list[int], int, dict[str, Any]]:
    """Return how many spatial axes there are, their sizes, the channels, and `data_format` where it is not the usual."""
    if draw.chance(0.15):
        return len(shape) - 1, list(shape[1:]), shape[0], {"data_format": "channels_first"}
    return len(shape) - 1, list(shape[:-1]), shape[-1], {}


def window(draw: Draw, sizes: list[int], most: int = 3) -> Any:
    """Return one size per axis, none larger than the axis; one number where they are all equal, at times."""
    found = tuple(draw.randint(1, min(most, size)) for size in sizes)
    return found[0] if len(sizes) == 1 or (len(set(found)) == 1 and draw.chance(0.5)) else found


def convolution(draw: Draw, shape: tuple[int, ...]) -> Part:
    axes, sizes, channels, order = spatial(draw, shape)
    kernel = window(draw, sizes)
    wide = [kernel] * axes if isinstance(kernel, int) else list(kernel)
    padding = draw.pick("valid", "valid", "same", "same", *(["causal"] if axes == 1 and not order else []))
    more: dict[str, Any] = {}
    if draw.chance(0.4):
        step = tuple(draw.randint(1, 3) for _ in range(axes))
        more["strides"] = step[0] if axes == 1 or draw.chance(0.5) else step
    elif draw.chance(0.3) and (padding != "valid" or all(2 * (k - 1) + 1 <= n for k, n in zip(wide, sizes))):
        more["dilation_rate"] = 2
    more |= order | draw.some(0.4, activation=lambda: activation(draw)) | any_layer(draw)
    kind = draw.pick("plain", "plain", "plain", "depthwise", "separable", "transposed")
    if axes == 3 and kind in ("depthwise", "separable"):
        kind = "plain"
    rank = axes + 2
    if kind == "plain":
        groups = draw.choice([one for one in range(1, channels + 1) if channels % one == 0]) if draw.chance(0.3) else 1
        more |= weights(draw, kernel=rank) | ({"groups": groups} if groups > 1 else {})
        filters = groups * draw.randint(1, 4)
        return layer(f"Conv{axes}D", more, filters=filters, kernel_size=kernel, padding=padding)
    padding = padding if padding != "causal" or kind != "transposed" else "same"
    padding = "same" if padding == "causal" else padding
    if kind == "transposed":
        more |= weights(draw, kernel=rank)
        more.pop("dilation_rate", None)
        return layer(f"Conv{axes}DTranspose", more, filters=draw.randint(1, 3), kernel_size=kernel, padding=padding)
    # torch takes equal strides alone where Keras's depthwise convolution is 2-D.
    if not isinstance(more.get("strides", 1), int):
        more["strides"] = 2
    more |= draw.some(0.5, depth_multiplier=draw.randint(1, 3))
    if kind == "depthwise":
        return layer(f"DepthwiseConv{axes}D", more, weights(draw, depthwise=rank), kernel_size=kernel, padding=padding)
    more |= weights(draw, depthwise=rank, pointwise=rank)
    return layer(f"SeparableConv{axes}D", more, filters=draw.randint(1, 4), kernel_size=kernel, padding=padding)


def pooling(draw: Draw, shape: tuple[int, ...]) -> Part:
    axes, sizes, _, order = spatial(draw, shape)
    kind = draw.pick("Max", "Average")
    if draw.chance(0.2):
        size = window(draw, sizes, 5)
        return layer(f"Adaptive{kind}Pooling{axes}D", order, output_size=size)
    if draw.chance(0.3):
        return layer(f"Global{kind}Pooling{axes}D", order, draw.some(0.3, keepdims=True))
    size = window(draw, sizes)
    wide = [size] * axes if isinstance(size, int) else list(size)
    padding = draw.pick("valid", "same")
    strides = draw.pick(None, 1, 2)
    steps = wide if strides is None else [strides] * axes
    if kind == "Average" and padding == "same":
        for length, pool, step in zip(sizes, wide, steps):
            if max((math.ceil(length / step) - 1) * step + pool - length, 0) % 2:
                padding = "valid"
    return layer(f"{kind}Pooling{axes}D", order, pool_size=size, strides=strides, padding=padding)


def padding(draw: Draw, shape: tuple[int, ...]) -> Part:
    axes, sizes, _, order = spatial(draw, shape)
    if draw.chance(0.5):
        pairs = tuple((draw.randint(0, 2), draw.randint(0, 2)) for _ in range(axes))
        value = draw.pick(1, pairs, tuple(one for one, _ in pairs)) if axes > 1 else draw.pick(1, pairs[0])
        return layer(f"ZeroPadding{axes}D", order, padding=value)
    pairs = tuple((draw.randint(0, (size - 1) // 2), draw.randint(0, (size - 1) // 2)) for size in sizes)
    value = draw.pick(pairs, tuple(one for one, _ in pairs)) if axes > 1 else pairs[0]
    return layer(f"Cropping{axes}D", order, cropping=value)


def upsampling(draw: Draw, shape: tuple[int, ...]) -> Part:
    axes, _, _, order = spatial(draw, shape)
    if axes == 1:
        return layer("UpSampling1D", size=draw.randint(1, 3))
    if axes == 3:
        return layer("UpSampling3D", order, size=draw.pick(2, (1, 2, 1)))
    how = draw.pick("nearest", "bilinear", "bicubic")
    return layer("UpSampling2D", order, size=draw.pick(2, (1, 2), (3, 1)), interpolation=how)


def spatial_dropout(draw: Draw, shape: tuple[int, ...]) -> Part:
    return layer(f"SpatialDropout{len(shape) - 1}D", rate=0.0)


# --- sequences -------------------------------------------------------------------------


def recurrent_options(draw: Draw, kind: str) -> dict[str, Any]:
    """Return what a recurrent layer and its cell both take."""
    more = weights(draw, kernel=2, recurrent=2)
    for name in ("initializer", "regularizer", "constraint"):
        if (value := more.pop(f"recurrent_{name}", None)) is not None:
            more[f"recurrent_{name}"] = value
    if kind == "GRU":  # its bias has two rows where reset_after
        more.pop("bias_constraint", None)
        more |= draw.some(0.3, reset_after=False)
    more |= draw.some(0.25, activation=draw.pick("relu", "softsign", "sigmoid", "elu", "gelu", "linear"))
    if kind != "SimpleRNN":
        more |= draw.some(0.25, recurrent_activation=draw.pick("hard_sigmoid", "tanh", "softsign"))
    return more | (draw.some(0.3, unit_forget_bias=False) if kind == "LSTM" else {})


def recurrent(draw: Draw, sequences: bool) -> Part:
    """Return a recurrent layer that gives a sequence, or its last step."""
    kind = draw.pick("SimpleRNN", "LSTM", "GRU")
    more = recurrent_options(draw, kind) | draw.some(0.2, go_backwards=True) | draw.some(0.1, unroll=True)
    more |= draw.some(0.2, implementation=1) if kind != "SimpleRNN" else {}
    more |= any_layer(draw) | draw.some(0.1, zero_output_for_mask=True)
    if kind == "SimpleRNN":
        more.pop("activity_regularizer", None)
    if sequences:
        more["return_sequences"] = True
    return layer(kind, more, units=draw.randint(1, 5))


def cells(draw: Draw, sequences: bool) -> Part:
    """Return an `RNN` of one cell, or of several on top of each other."""
    made = []
    for _ in range(draw.pick(1, 1, 2, 3)):
        kind = draw.pick("SimpleRNN", "LSTM", "GRU")
        made.append(layer(f"{kind}Cell", recurrent_options(draw, kind), units=draw.randint(1, 4)))
    more = draw.some(0.2, go_backwards=True) | draw.some(0.2, zero_output_for_mask=True)
    if sequences:
        more["return_sequences"] = True
    return layer("RNN", more, cell=made if len(made) > 1 else made[0])


def convolutional_recurrent(draw: Draw, shape: tuple[int, ...]) -> Part:
    """Return a ConvLSTM for sequences of lines or images."""
    axes = len(shape) - 2
    more = recurrent_options(draw, "LSTM") | draw.some(0.2, go_backwards=True) | draw.some(0.4, return_sequences=True)
    for name in ("kernel_constraint", "recurrent_constraint"):
        more.pop(name, None)
    more |= draw.some(0.3, strides=2) | {"padding": draw.pick("valid", "same")}
    if "strides" not in more:
        more |= draw.some(0.2, dilation_rate=2) if min(shape[1:-1]) > 3 else {}
    kernel = window(draw, list(shape[1:-1]), 2)
    return layer(f"ConvLSTM{axes}D", more, filters=draw.randint(1, 3), kernel_size=kernel)


def attention(draw: Draw, width: int) -> tuple[Part, str]:
    """Return a layer of attention, and how it is called: on a "list", or with tensors for "each" argument."""
    kind = draw.pick(
        "Attention", "AdditiveAttention", "MultiHeadAttention", "MultiHeadAttention", "GroupQueryAttention"
    )
    if kind == "Attention":
        more = draw.some(0.4, use_scale=True) | draw.some(0.3, score_mode="concat")
        return layer(kind, more), "list"
    if kind == "AdditiveAttention":
        return layer(kind, draw.some(0.4, use_scale=False)), "list"
    more = weights(draw, kernel=3)
    more = {key: value for key, value in more.items() if not key.endswith("constraint")}
    if kind == "MultiHeadAttention":
        more |= draw.some(0.3, value_dim=draw.randint(1, 3), output_shape=draw.randint(2, 4))
        return layer(kind, more, num_heads=draw.randint(1, 3), key_dim=draw.randint(1, 3)), "each"
    groups = draw.randint(1, 2)
    heads = groups * draw.randint(1, 2)
    return layer(kind, more, head_dim=draw.randint(1, 3), num_query_heads=heads, num_key_value_heads=groups), "each"


def both_ways(draw: Draw, sequences: bool) -> Part:
    inner = recurrent(draw, sequences)
    inner.settings.pop("trainable", None)
    inner.settings.pop("activity_regularizer", None)
    inner.settings.pop("go_backwards", None)
    more = draw.some(0.5, merge_mode=draw.pick("concat", "sum", "mul", "ave"))
    if draw.chance(0.2):
        other = recurrent(draw, sequences)
        other.settings = {**inner.settings, "go_backwards": True}
        other.name = inner.name
        more["backward_layer"] = other
    return layer("Bidirectional", more, layer=inner)


def sequence_layer(draw: Draw, sequences: bool) -> Part:
    make = draw.pick(recurrent, recurrent, recurrent, both_ways, both_ways, cells)
    return make(draw, sequences)


def at_every_step(draw: Draw, shape: tuple[int, ...]) -> Part:
    """Return a layer that is called on each step of a sequence alone."""
    inner = shape[1:]
    kinds = {
        1: (dense, activation_layer, normalization),
        2: (convolution, pooling, reshaping, dense),
        3: (convolution,),
    }
    made = draw.choice(kinds[len(inner)])(draw, inner)
    if made.name == "Normalization":
        made = dense(draw, inner)
    made.settings.pop("activity_regularizer", None)
    return layer("TimeDistributed", layer=made)
