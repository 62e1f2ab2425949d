"""Rows of a table, and the gradient of the table added up by the native kernel, against torch's own."""

import pytest
import torch

from uncrumple.kernels.embedding import embedding, embedding_plain

# (rows of the table, width, shape of the numbers)
SIZES = [
    (5, 3, (4,)),
    (7, 16, (2, 3)),
    (1, 1, (1,)),
    (40, 33, (3, 5)),
    (9, 128, (2, 2, 2)),
    (6, 4, (0,)),
    (3, 7, (0, 2)),
]


def found(run, places, table, d):
    table = table.clone().requires_grad_()
    out = run(places, table)
    return out.detach(), torch.autograd.grad(out, table, d)[0]


@pytest.mark.parametrize("kind", [torch.int64, torch.int32], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_torch(instruction_set, size, kind):
    rows, width, shape = size
    generator = torch.Generator().manual_seed(rows)
    places = torch.randint(0, rows, shape, generator=generator).to(kind)
    table, d = torch.randn(rows, width, generator=generator), torch.randn(*shape, width, generator=generator)
    for one, other in zip(found(embedding, places, table, d), found(embedding_plain, places, table, d), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_sums_are_the_same_for_any_number_of_threads_and_any_memory(threads):
    generator = torch.Generator().manual_seed(3)
    places = torch.randint(0, 300, (50, 40), generator=generator)[:, ::2]
    table = torch.randn(300, 64, generator=generator)
    d = torch.randn(20, 50, 64, generator=generator)  # time first, as from a recurrent layer
    expected = found(embedding, places, table, d.transpose(0, 1))[1]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for given in (d.transpose(0, 1), d.repeat(1, 1, 2)[:, :, :64].transpose(0, 1)):
            assert torch.equal(found(embedding, places, table, given)[1], expected)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(expected, found(embedding_plain, places, table, d.transpose(0, 1))[1])


def test_one_gradient_for_all_and_none_at_all():
    places, table = torch.tensor([2, 0, 2]), torch.randn(3, 20)
    d = torch.ones(1, 1).expand(3, 20)  # every number in the same place
    gradient = found(embedding, places, table, d)[1]
    assert gradient[:, 0].tolist() == [1.0, 0.0, 2.0]
    assert embedding(places, table).grad_fn is None


def test_the_gradient_can_be_differentiated_again():
    table = torch.randn(4, 3, requires_grad=True)
    (first,) = torch.autograd.grad(embedding(torch.tensor([1, 1, 3]), table).pow(3).sum(), table, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), table)
    expected = torch.zeros(4, 3)
    expected[1], expected[3] = 12 * table[1], 6 * table[3]
    torch.testing.assert_close(second, expected)
