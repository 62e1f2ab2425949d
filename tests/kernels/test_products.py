"""Products of bfloat16 matrices, in tiles and without, against the same products in float32."""

import pytest
import torch

from uncrumple.kernels.native import program

pytestmark = pytest.mark.usefixtures("instruction_set")

SIZES = [(1, 1, 1), (128, 512, 784), (16, 16, 32), (17, 33, 31), (31, 300, 65), (129, 10, 64), (3, 515, 2), (50, 1, 7)]


def _matrix(rows, columns, wide, turned):
    matrix = torch.randn(rows, columns)
    stored = (matrix.t().contiguous() if turned else matrix).clone()
    return (stored if wide else stored.bfloat16()), matrix.bfloat16().float()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("flags", range(16))
def test_any_size_layout_and_type(flags, threads):
    torch.manual_seed(flags)
    for rows, columns, inner in SIZES:
        a, a_rounded = _matrix(rows, inner, flags & program.WIDE_A, flags & program.TRANSPOSE_A)
        b, b_rounded = _matrix(inner, columns, flags & program.WIDE_B, flags & program.TRANSPOSE_B)
        out = torch.full((rows * columns + 1,), 7.0)
        made = program.Program()
        made.add(program.PRODUCT, flags, (rows, columns, inner), (a, b, out))
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            made.run()
        finally:
            torch.set_num_threads(before)
        torch.testing.assert_close(out[:-1].view(rows, columns), a_rounded @ b_rounded, rtol=1e-5, atol=1e-4)
        assert out[-1] == 7.0  # nothing is written behind the end


def test_nothing_at_all():
    made = program.Program()
    out = torch.ones(1)
    for rows, columns, inner in [(0, 4, 4), (4, 0, 4)]:
        made.add(program.PRODUCT, 0, (rows, columns, inner), (torch.ones(16), torch.ones(16), out))
    made.run()
    assert out == 1
    made = program.Program()
    made.add(program.PRODUCT, 0, (1, 1, 0), (torch.ones(1), torch.ones(1), out))
    made.run()
    assert out == 0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("rows", "columns", "inner"), [(784, 512, 128), (33, 17, 40), (5, 600, 3), (70, 257, 31)])
def test_a_step_of_adam_with_the_product_as_gradient(rows, columns, inner, threads):
    torch.manual_seed(0)
    a, b = torch.randn(inner, rows), torch.randn(inner, columns).bfloat16()
    weight, mean, square = torch.randn(rows, columns), torch.randn(rows, columns), torch.rand(rows, columns)
    expected, expected_mean, expected_square = weight.clone(), mean.clone(), square.clone()
    gradient = torch.empty(rows, columns)
    settings = program.AdamSettings(0.01, 0.9, 0.999, 1e-7, 0.99)
    adam = program.adam_weight(weight, gradient, mean, square)
    flags, sizes = program.TRANSPOSE_A | program.WIDE_A, (rows, columns, inner)
    made, apart = program.Program(), program.Program()
    made.add(program.PRODUCT, flags, sizes, (a, b, gradient, adam, settings))
    apart.add(program.PRODUCT, flags, sizes, (a, b, gradient))
    memory = (expected, gradient, expected_mean, expected_square, settings)
    apart.add(program.ADAM, sizes=(rows * columns,), memory=memory)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        made.run()
        apart.run()
    finally:
        torch.set_num_threads(before)
    for one, other in ((weight, expected), (mean, expected_mean), (square, expected_square)):
        assert torch.equal(one, other)
