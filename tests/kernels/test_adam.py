"""The native step of Adam against the formula in float64: any size, all instruction sets; what is tiny becomes zero."""

import math

import pytest
import torch

from uncrumple.kernels import native
from uncrumple.kernels.adam import native_adam

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels are not built here")


def _state(sizes):
    generator = torch.Generator().manual_seed(3)
    return [[torch.rand(size, generator=generator) + 0.1 for size in sizes] for _ in range(4)]


@pytest.mark.parametrize("instructions", native.INSTRUCTION_SETS)
@pytest.mark.parametrize("sizes", [(1,), (0, 5), (16, 17, 15), (40_000, 3, 33), (7, 0, 100_001)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_formula(instructions, sizes, threads):
    weights, gradients, means, squares = _state(sizes)
    w, g, m, v = ([each.double() for each in tensors] for tensors in (weights, gradients, means, squares))
    before = torch.get_num_threads()
    try:
        native.limit_instruction_set(instructions)
        torch.set_num_threads(threads)
        assert native_adam(weights, gradients, means, squares, 0.01, 0.9, 0.99, 1e-3, 0.004)
    finally:
        torch.set_num_threads(before)
        native.limit_instruction_set(None)
    for place in range(len(sizes)):
        m[place] += (g[place] - m[place]) * 0.1
        v[place] += (g[place] ** 2 - v[place]) * 0.01
        w[place] = w[place] * (1 - 0.004) - 0.01 * m[place] / (v[place].sqrt() + 1e-3)
        torch.testing.assert_close(weights[place].double(), w[place], rtol=3e-7, atol=1e-7)
        torch.testing.assert_close(means[place].double(), m[place], rtol=3e-7, atol=1e-7)
        torch.testing.assert_close(squares[place].double(), v[place], rtol=3e-7, atol=1e-7)


@pytest.mark.parametrize("instructions", native.INSTRUCTION_SETS)
def test_what_is_tiny_becomes_zero(instructions):
    tiny = 1e-40
    weights, gradients = [torch.ones(100)], [torch.zeros(100)]
    means, squares = [torch.full((100,), tiny)], [torch.full((100,), tiny)]
    try:
        native.limit_instruction_set(instructions)
        native_adam(weights, gradients, means, squares, 0.01, 0.9, 0.999, 1e-7)
    finally:
        native.limit_instruction_set(None)
    assert not means[0].any() and not squares[0].any()
    assert (weights[0] == 1).all()
    # Only within the kernel: what the caller computes afterwards keeps its tiny numbers.
    assert (torch.full((100,), tiny) * 0.5).any()


def test_not_a_number_stays_what_it_is():
    weights, gradients, means, squares = _state((40,))
    gradients[0][3], gradients[0][5] = math.nan, math.inf
    native_adam(weights, gradients, means, squares, 0.01, 0.9, 0.999, 1e-7)
    assert weights[0].isnan().nonzero().flatten().tolist() == [3, 5]


def test_other_types_are_left_to_torch():
    weights, gradients, means, squares = ([one.double() for one in tensors] for tensors in _state((4,)))
    assert not native_adam(weights, gradients, means, squares, 0.01, 0.9, 0.999, 1e-7)
