"""EinsumDense: equations, their shapes, and what is said to those that cannot be."""

from __future__ import annotations

import math

import pytest
import torch

from uncrumple import initializers
from uncrumple import layers as L

EQUATIONS = [
    ("ab,bc->ac", 7, "c", (3, 5), (5, 7), (7,)),
    ("abc,cd->abd", (None, 7), "d", (3, 4, 5), (5, 7), (7,)),
    ("abc,cd->abd", (4, 7), "bd", (3, 4, 5), (5, 7), (4, 7)),
    ("abc,cde->abde", (None, 3, 2), "ed", (3, 4, 5), (5, 3, 2), (3, 2)),
    ("abc,cde->abde", (None, 3, 2), "d", (3, 4, 5), (5, 3, 2), (3, 1)),
    ("abc,cde->abed", (None, 2, 3), "ed", (3, 4, 5), (5, 3, 2), (2, 3)),
    ("abcd,cde->abe", (None, 6), "e", (3, 4, 5, 2), (5, 2, 6), (6,)),
    ("abc,bcd->abd", (4, 6), None, (3, 4, 5), (4, 5, 6), None),
    ("...x,xy->...y", 7, "y", (3, 4, 5), (5, 7), (7,)),
    ("...x,xy->...y", 7, "y", (3, 5), (5, 7), (7,)),
    ("...ab,bc->...ac", (4, 3), "ac", (2, 4, 5), (5, 3), (4, 3)),
    ("ab...,bc->ac...", 3, "c", (2, 4, 5, 2), (4, 3), (3, 1, 1)),
]


@pytest.mark.parametrize("row", EQUATIONS, ids=[f"{row[0]}-{row[2]}-{len(row[3])}" for row in EQUATIONS])
def test_it_is_einsum_with_a_bias(row):
    equation, output_shape, bias_axes, shape, kernel_shape, bias_shape = row
    x = torch.randn(shape)
    layer = L.EinsumDense(equation, output_shape, bias_axes=bias_axes, bias_initializer="random_normal")
    out = layer(x)
    assert tuple(layer.kernel.shape) == kernel_shape
    assert layer.bias is None if bias_shape is None else tuple(layer.bias.shape) == bias_shape
    expected = torch.einsum(equation, x, layer.kernel)
    torch.testing.assert_close(out, expected if layer.bias is None else expected + layer.bias)
    assert L.EinsumDense(equation, output_shape, bias_axes=bias_axes)(L.Input(shape[1:])).shape == (
        None,
        *out.shape[1:],
    )


def test_it_is_dense():
    dense, einsum = L.Dense(7, activation="relu"), L.EinsumDense("ab,bc->ac", 7, activation="relu", bias_axes="c")
    x = torch.randn(3, 5)
    dense(x), einsum(x)
    einsum.set_weights(dense.get_weights())
    torch.testing.assert_close(einsum(x), dense(x))
    assert einsum(torch.ones(3, 5, dtype=torch.int64)).dtype is torch.float32


def test_the_first_values_count_inputs_and_outputs_as_the_equation_does():
    layer = L.EinsumDense("abcd,cde->abe", (None, 50), kernel_initializer=initializers.GlorotUniform(seed=0))
    layer(torch.zeros(1, 2, 10, 20))
    limit = math.sqrt(6 / (10 * 20 + 50))
    assert 0.95 * limit < layer.kernel.abs().max() <= limit
    given = initializers.VarianceScaling(input_axes=[0], output_axes=[1, 2], seed=0)
    layer = L.EinsumDense("abcd,cde->abe", (None, 50), kernel_initializer=given)
    layer(torch.zeros(1, 2, 10, 20))
    torch.testing.assert_close(layer.kernel.detach(), given((10, 20, 50)))
    assert layer.get_config()["kernel_initializer"]["config"]["input_axes"] == [0]


def said(make):
    with pytest.raises(ValueError) as caught:
        make()
    return str(caught.value).split("\n")


def on(shape, *settings, **named):
    return lambda: L.EinsumDense(*settings, name="e", **named)(torch.zeros(shape))


FORM = [
    "Expected 'inputs,kernel->outputs' with a letter per axis and no spaces; ... may stand first or last in inputs and "
    "outputs.",
    "Fix: EinsumDense('abc,cd->abd', output_shape=(None, 64))",
]
NUMBERS = [
    "Expected whole numbers above 0, or None for a size that the input has; the samples are left out.",
    "Fix: EinsumDense('abc,cd->abd', output_shape=(None, 64))",
]
BUILT = "Fix: an input with the axes and sizes that 'abc,cd->abd' was built for: (2, 4, 6)"
TEXTS = [
    (lambda: L.EinsumDense("ab,bc", 3), ["EinsumDense got equation='ab,bc'.", *FORM]),
    (lambda: L.EinsumDense("ab, bc->ac", 3), ["EinsumDense got equation='ab, bc->ac'.", *FORM]),
    (lambda: L.EinsumDense(64, 3), ["EinsumDense got equation=64.", *FORM]),
    (lambda: L.EinsumDense("...a,ab->b", 3), ["EinsumDense got equation='...a,ab->b'.", *FORM]),
    (
        lambda: L.EinsumDense("ab,bc->acc", (3, 3)),
        [
            "EinsumDense got equation='ab,bc->acc', with 'c' twice in the output.",
            "Expected each axis of the output once.",
            "Fix: a letter of its own for each axis: 'abc,cd->abd'",
        ],
    ),
    (
        lambda: L.EinsumDense("ab,bc->ad", 3),
        [
            "EinsumDense got equation='ab,bc->ad': 'd' is in the output only.",
            "Expected it in 'ab' or in 'bc'.",
            "Fix: 'd' among the axes of the kernel makes a new axis",
        ],
    ),
    (
        lambda: L.EinsumDense("ab,bcd->ac", 3),
        [
            "EinsumDense got equation='ab,bcd->ac': 'd' is in the kernel only.",
            "Expected it in 'ab' or in 'ac'.",
            "Fix: leave out 'd', or put it into the output",
        ],
    ),
    (
        lambda: L.EinsumDense("abc,cd->abd", 3),
        [
            "EinsumDense got output_shape=(3,) and the equation 'abc,cd->abd'.",
            "Expected 2 sizes: one each for b, d; the samples are left out.",
            "Fix: output_shape=(None, 64)",
        ],
    ),
    (
        lambda: L.EinsumDense("...x,xy->...y", (3, 4, 5)),
        [
            "EinsumDense got output_shape=(3, 4, 5) and the equation '...x,xy->...y'.",
            "Expected 1 size: one each for y; the samples are left out.",
            "Fix: output_shape=(64,)",
        ],
    ),
    (lambda: L.EinsumDense("ab,bc->ac", 0), ["EinsumDense got output_shape=0.", *NUMBERS]),
    (lambda: L.EinsumDense("ab,bc->ac", None), ["EinsumDense got output_shape=None.", *NUMBERS]),
    (lambda: L.EinsumDense("abc,cd->abd", (4, "7")), ["EinsumDense got output_shape=(4, '7').", *NUMBERS]),
    (
        lambda: L.EinsumDense("ab,bc->ac", 3, bias_axes="d"),
        [
            "EinsumDense got bias_axes='d'.",
            "Expected letters out of 'ac', each once; None for no bias.",
            "Fix: EinsumDense(..., bias_axes='c')",
        ],
    ),
    (
        lambda: L.EinsumDense("ab,bc->ac", 3, lora_rank=2, kernel_constraint="non_neg", name="e"),
        [
            "EinsumDense 'e' has a kernel_constraint, and LoRA leaves that weight as it is.",
            "Expected kernel_constraint=None.",
            "Fix: remove the kernel_constraint",
        ],
    ),
    (
        on((2, 4, 6), "ab,bc->ac", 3),
        [
            "EinsumDense 'e' got an input of shape (2, 4, 6).",
            "Expected 2 axes, for 'ab' in the equation 'ab,bc->ac'.",
            "Fix: give every axis of the input a letter, or write ... for those before: '...x,xy->...y'",
        ],
    ),
    (
        on((), "...x,xy->...y", 3),
        [
            "EinsumDense 'e' got an input of shape ().",
            "Expected at least 1 axis, for 'x' in the equation '...x,xy->...y'.",
            "Fix: give every axis of the input a letter, or write ... for those before: '...x,xy->...y'",
        ],
    ),
    (
        on((2, 4, 6), "abc,cd->abd", (9, 3)),
        [
            "EinsumDense 'e' got an input of shape (2, 4, 6), with 4 on the axis 'b'.",
            "Expected 9, from output_shape=(9, 3).",
            "Fix: None in output_shape in the place of 'b': the input has it",
        ],
    ),
    (
        on((2, 4, 6), "abc,cd->abd", (None, None)),
        [
            "EinsumDense 'e': the size of the axis 'd' of 'abc,cd->abd' is not known.",
            "Expected a number: weights depend on it.",
            "Fix: a number in place of None, in output_shape",
        ],
    ),
    (
        lambda: L.EinsumDense("abc,cd->abd", (None, 3), name="e")(L.Input((4, None))),
        [
            "EinsumDense 'e': the size of the axis 'c' of 'abc,cd->abd' is not known.",
            "Expected a number: weights depend on it.",
            "Fix: a number in place of None, in Input",
        ],
    ),
]


@pytest.mark.parametrize(("make", "expected"), TEXTS, ids=[str(number) for number in range(len(TEXTS))])
def test_what_it_says(make, expected):
    assert said(make) == expected


def test_what_it_says_once_it_is_built():
    layer = L.EinsumDense("abc,cd->abd", (None, 3), name="e")
    layer(torch.zeros(2, 4, 6))
    assert said(lambda: layer(torch.zeros(2, 4, 5))) == [
        "EinsumDense 'e' got an input of shape (2, 4, 5).",
        "Expected 6 on axis 2, got 5.",
        BUILT,
    ]
    assert said(lambda: layer(torch.zeros(4, 6))) == [
        "EinsumDense 'e' got an input of shape (4, 6).",
        "Expected 3 axes: abc, got 2.",
        BUILT,
    ]
    assert layer(torch.zeros(5, 9, 6)).shape == (5, 9, 3)
