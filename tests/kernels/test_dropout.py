"""The fast dropout does what torch's does."""

import pytest
import torch

from uncrumple.kernels.dropout import dropout, dropout_plain


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("run", [dropout, dropout_plain])
def test_share_and_mean(run, rate):
    count = 1_000_000
    out = run(torch.ones(count), rate)
    dropped = (out == 0).double().mean().item()
    spread = (rate * (1 - rate) / count) ** 0.5
    assert abs(dropped - rate) < 5 * spread + 1 / 65536
    kept = out[out != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=0.02 if rate > 0.99 else 1e-3, atol=0)
    assert abs(out.mean().item() - 1) < 5 * spread / (1 - rate) + 1e-6


def test_the_mean_is_exact_although_the_share_is_a_multiple_of_2_to_the_minus_16():
    rate = 1.4 / 65536  # becomes 1 / 65536
    out = dropout(torch.ones(1_000_000), rate)
    kept = out[out != 0]
    assert (kept == torch.tensor(65536 / 65535)).all()
    assert 0 < (out == 0).sum() < 60


def test_neighbours_are_independent():
    kept = (dropout(torch.ones(400_000), 0.5) != 0).double() * 2 - 1
    for distance in (1, 2, 3, 4, 8, 1000):
        assert abs((kept[:-distance] * kept[distance:]).mean().item()) < 0.01


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (2, 3, 4, 5), (0, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_shapes_and_types(shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    out = dropout(x, 0.5)
    assert out.shape == x.shape and out.dtype == dtype
    assert ((out == 0) | (out == 2)).all()


def test_gradient_goes_through_what_was_kept():
    x = torch.randn(50, 60, dtype=torch.float64, requires_grad=True)
    out = dropout(x, 0.3)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient * x, out)
    assert ((gradient == 0) == (out == 0)).all()


def test_edges():
    x = torch.randn(10)
    assert dropout(x, 0.0) is x
    assert (dropout(x, 1.0) == 0).all()
    assert (dropout(x, 1.0, noise_shape=(1,)) == 0).all()
    y = x.requires_grad_()
    dropout(y, 1.0).sum().backward()
    assert (y.grad == 0).all()
    assert dropout(torch.empty(3, 4, device="meta"), 0.5).shape == (3, 4)


@pytest.mark.parametrize("run", [dropout, dropout_plain])
def test_noise_shape(run):
    out = run(torch.ones(200, 5, 30), 0.5, noise_shape=(200, 1, 30))
    assert (out == out[:, :1]).all()
    assert 0.4 < (out[:, 0] == 0).double().mean() < 0.6


@pytest.mark.parametrize("run", [dropout, dropout_plain])
def test_numbers_repeat_with_the_seed(run):
    x = torch.ones(1000)
    one, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    first = run(x, 0.5, None, one)
    assert torch.equal(first, run(x, 0.5, None, other))
    assert not torch.equal(first, run(x, 0.5, None, one))
    torch.manual_seed(5)
    first = run(x, 0.5)
    torch.manual_seed(5)
    assert torch.equal(first, run(x, 0.5))
