"""The fast dropout does what torch's does."""

import pytest
import torch

from uncrumple.kernels import native
from uncrumple.kernels.dropout import dropout, dropout_plain, keep_plain, limit_and_scale


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


def test_the_mean_is_exact_although_the_share_is_a_multiple_of_2_to_the_minus_16(monkeypatch):
    monkeypatch.setattr(native, "takes", lambda *tensors, **settings: False)
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


@pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")
@pytest.mark.parametrize("instructions", native.INSTRUCTION_SETS)
@pytest.mark.parametrize("count", [1, 3, 16, 17, 100_003])
def test_the_native_kernel_keeps_what_its_twin_keeps(instructions, count):
    if native.limit_instruction_set(instructions) == instructions:
        x = torch.rand(count) + 1
        for rate in (1e-6, 0.1, 0.5, 0.97):
            limit, scale = limit_and_scale(rate)
            for seed in (0, 5, 2**31 + 7, 2**62 + 2**33 + 1):
                out = torch.empty_like(x)
                native.call("dropout", count, seed, limit, scale, False, x, out)
                torch.testing.assert_close(out, x * keep_plain(count, seed, limit) * scale, rtol=1e-6, atol=0)
    native.limit_instruction_set(None)


@pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")
def test_seeds_that_lie_side_by_side_are_independent():
    """As do rows of one draw, and the low and high halves of the seed."""
    limit, scale = limit_and_scale(0.5)
    x, drawn = torch.ones(200_000), []
    for seed in (0, 1, 2, 2**32, 2**33, 2**32 + 1, 12345, 12346):
        out = torch.empty_like(x)
        native.call("dropout", x.numel(), seed, limit, scale, False, x, out)
        drawn.append(out - 1)
    together = torch.stack(drawn)
    correlation = together @ together.T / x.numel() - torch.eye(len(drawn))
    assert correlation.abs().max() < 0.012
    assert together.mean(1).abs().max() < 0.012


def test_dropout_can_be_differentiated_twice():
    x = torch.rand(40, requires_grad=True)
    torch.manual_seed(0)
    (first,) = torch.autograd.grad((dropout(x, 0.5) ** 3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    torch.manual_seed(0)
    factor = dropout(torch.ones(40), 0.5)
    torch.testing.assert_close(second, 6 * x.detach() * factor**3)
