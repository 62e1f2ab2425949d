"""Layer normalization of a sum in one function, against torch's function in float64."""

import pytest
import torch

from uncrumple.kernels import layer_normalization, native
from uncrumple.kernels.layer_normalization import layer_normalize, layer_normalize_plain, takes_layer_normalization

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

SHAPES = [(1, 1), (3, 2), (5, 7), (2, 3, 16), (4, 5, 33), (70, 48), (2, 2, 2, 130)]


def leaves(shape, kind=torch.float32):
    """Return x, gamma, beta, epsilon and a shortcut."""
    generator = torch.Generator().manual_seed(sum(shape))
    x, shortcut = torch.randn(2, *shape, generator=generator).to(kind)
    gamma, beta = torch.randn(2, shape[-1], generator=generator)
    x, gamma, beta, shortcut = (one.requires_grad_() for one in (x + 1, gamma, beta, shortcut))
    return x, gamma, beta, 1e-3, shortcut


def in_full(inputs):
    return [one.detach().double().requires_grad_() if isinstance(one, torch.Tensor) else one for one in inputs]


def gradients(out, inputs, d):
    return torch.autograd.grad(out, [one for one in inputs if isinstance(one, torch.Tensor)], d.to(out.dtype))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("left_out", [(), (4,), (1, 2), (1, 4), (2,)], ids=str)
def test_equals_torch(instruction_set, shape, left_out):
    inputs = [None if place in left_out else one for place, one in enumerate(leaves(shape))]
    exact = in_full(inputs)
    out, wanted = layer_normalize(*inputs), layer_normalize_plain(*exact)
    torch.testing.assert_close(out.double(), wanted, rtol=1e-5, atol=1e-5)
    d = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for one, other in zip(gradients(out, inputs, d), gradients(wanted, exact, d), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("shape", SHAPES[2:], ids=str)
def test_bfloat16(instruction_set, shape):
    inputs = leaves(shape, torch.bfloat16)
    out, plain = layer_normalize(*inputs), layer_normalize_plain(*inputs)
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out, plain, rtol=2**-7, atol=1e-3)
    d = torch.randn(shape).bfloat16()
    for one, other in zip(gradients(out, inputs, d), gradients(plain, inputs, d), strict=True):
        assert one.dtype is other.dtype
        assert (one.float() - other.float()).norm() <= 0.02 * other.float().norm() + 1e-3


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        inputs = leaves((300, 100))
        d, exact = torch.randn(300, 100), in_full(inputs)
        found = gradients(layer_normalize(*inputs), inputs, d), gradients(layer_normalize_plain(*exact), exact, d)
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(before)


def test_gradients_can_be_differentiated_again():
    inputs = leaves((4, 5))
    for wanted in (0, 1, 4):
        found = []
        for run in (layer_normalize, layer_normalize_plain):
            (first,) = torch.autograd.grad(run(*inputs).pow(2).sum(), inputs[1], create_graph=True)
            found.append(torch.autograd.grad(first.pow(2).sum(), inputs[wanted])[0])
        torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


def test_nan_and_what_is_left_to_torch(monkeypatch):
    x, gamma, beta, _, shortcut = leaves((4, 6))
    assert not takes_layer_normalization(x, None, gamma, beta)  # too few for it to be worth it
    monkeypatch.setattr(layer_normalization, "_WORTH_IT", 1)
    assert takes_layer_normalization(x, shortcut, gamma, None)
    assert not takes_layer_normalization(x, shortcut[:1], gamma, None)
    assert not takes_layer_normalization(x.double(), None, None, None)
    assert not takes_layer_normalization(x[:0], None, None, None)
    assert not takes_layer_normalization(x.to("meta"), None, None, None)
    with torch.no_grad():
        x[1, 3] = float("nan")
    assert layer_normalize(x, gamma, beta, 1e-3).isnan().all(1).tolist() == [False, True, False, False]
