"""Adam on a table whose gradient is a few rows, against the same gradient written down, bit by bit."""

import pytest
import torch

from uncrumple.kernels import native
from uncrumple.kernels.adam import native_adam, native_adam_rows
from uncrumple.kernels.embedding import RowGradient

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize(
    ("rows", "width", "count"), [(1, 1, 1), (50, 7, 30), (400, 129, 900), (300, 64, 0), (3, 33, 8)]
)
def test_the_same_bits(instruction_set, threads, kind, rows, width, count):
    places, given = torch.randint(0, rows, (count,)).to(kind), torch.randn(count, width)
    first = [torch.randn(rows, width), torch.randn(rows, width), torch.rand(rows, width)]
    second = [one.clone() for one in first]
    settings = 0.01, 0.9, 0.99, 1e-7, 0.001
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(3):
            dense = RowGradient(places, given).dense(first[0])
            assert native_adam(first[:1], [dense], first[1:2], first[2:], *settings)
            native_adam_rows(second[0], places, given, *second[1:], *settings)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
