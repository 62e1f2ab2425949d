"""The two halves of a transformer's block, each as one function, against torch's functions one by one."""

import pytest
import torch

from uncrumple.kernels import dense_rows, native
from uncrumple.kernels.dense_rows import Normalization
from uncrumple.kernels.feed_forward import feed_forward, feed_forward_plain, takes_feed_forward
from uncrumple.kernels.self_attention import self_attend, self_attend_plain, takes_self_attention

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")


@pytest.fixture(autouse=True, params=[0, 1 << 30], ids=["in_the_cache", "by_torch"])
def _rows(request, monkeypatch):
    monkeypatch.setattr(dense_rows, "_LEAST_ROWS", request.param)


def leaves(*shapes):
    generator = torch.Generator().manual_seed(len(shapes) + sum(sum(shape) for shape in shapes if shape))
    made = (None if shape is None else torch.randn(shape, generator=generator) for shape in shapes)
    return [one if one is None else (one * 0.4).requires_grad_() for one in made]


def of_attention(samples, steps, features, heads, width, width_out, biases=True, norms=True):
    """Return x, four kernels, four biases, gamma and beta; as many features come back."""
    kernels = (features, heads, width), (features, heads, width), (features, heads, width_out)
    of_heads = [shape[1:] for shape in kernels] if biases else [None] * 3
    last = (features,) if biases else None
    ends = [(features,) if norms else None] * 2
    return leaves((samples, steps, features), *kernels, (heads, width_out, features), *of_heads, last, *ends)


def compare(found, plain, inputs):
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)
    d = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
    wanted = [one for one in inputs if one is not None]
    pairs = [torch.autograd.grad(out, wanted, d, allow_unused=True) for out in (found, plain)]
    for one, other in zip(*pairs, strict=True):
        assert (one is None) is (other is None)
        if other is not None:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "sizes", [(2, 5, 16, 2, 8, 8), (3, 70, 32, 4, 8, 12), (1, 1, 48, 1, 16, 16), (2, 9, 6, 2, 3, 4)], ids=str
)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biases, norms", [(True, True), (False, True), (True, False)])
def test_attention_equals_torch(instruction_set, sizes, causal, biases, norms):
    x, *weights = inputs = of_attention(*sizes, biases, norms)
    for epsilon in (None, 1e-3):
        ending = None if epsilon is None else Normalization(*weights[8:], epsilon)
        assert takes_self_attention(x, weights[:4], weights[4:8], ending)
        found = self_attend(x, weights[:4], weights[4:8], scale=0.3, causal=causal, ending=ending)
        compare(found, self_attend_plain(0.3, causal, epsilon, x, *weights), inputs)


@pytest.mark.parametrize("shape", [(5, 16), (3, 7, 32), (2, 3, 2, 16), (4, 6)], ids=str)
@pytest.mark.parametrize("left_out", [(), (1, 3), (4,), (5,), (1, 3, 4, 5)], ids=str)
def test_dense_layers_equal_torch(instruction_set, shape, left_out):
    features = shape[-1]
    shapes = (features, 48), (48,), (48, features), (features,), (features,), (features,)
    x, *weights = inputs = leaves(shape, *(None if n in left_out else one for n, one in enumerate(shapes)))
    parts = weights[:2], weights[2:4], Normalization(*weights[4:], 1e-3)
    assert takes_feed_forward(x, *parts)
    compare(feed_forward(x, *parts), feed_forward_plain(1e-3, x, *weights), inputs)


@pytest.mark.parametrize("frozen", range(11))
def test_what_needs_no_gradient_gets_none(frozen):
    x, *weights = inputs = of_attention(2, 5, 16, 2, 8, 8)
    inputs[frozen].requires_grad_(False)
    found = self_attend(x, weights[:4], weights[4:8], scale=0.3, ending=Normalization(*weights[8:], 1e-3))
    compare(found, self_attend_plain(0.3, False, 1e-3, x, *weights), [one for one in inputs if one.requires_grad])


@pytest.mark.parametrize("frozen", range(7))
def test_what_needs_no_gradient_gets_none_in_dense_layers(frozen):
    x, *weights = inputs = leaves((4, 16), (16, 32), (32,), (32, 16), (16,), (16,), (16,))
    inputs[frozen].requires_grad_(False)
    found = feed_forward(x, weights[:2], weights[2:4], Normalization(*weights[4:], 1e-3))
    compare(found, feed_forward_plain(1e-3, x, *weights), [one for one in inputs if one.requires_grad])


def test_gradients_can_be_differentiated_again():
    x, *weights = of_attention(2, 3, 16, 2, 8, 8)
    dense_weights = leaves((16, 32), (32,), (32, 16), (16,))
    norms, found = Normalization(*weights[8:], 1e-3), []
    for native_too in (True, False):
        if native_too:
            out = self_attend(x, weights[:4], weights[4:8], scale=0.3, ending=norms)
            out = feed_forward(out, dense_weights[:2], dense_weights[2:], norms)
        else:
            out = self_attend_plain(0.3, False, 1e-3, x, *weights)
            out = feed_forward_plain(1e-3, out, *dense_weights, *norms[:2])
        (first,) = torch.autograd.grad(out.pow(3).sum(), weights[0], create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), [x, weights[3], dense_weights[0]]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3 * other.abs().max().item())


def test_autocast_around_the_backward_pass_alone():
    x, *weights = inputs = of_attention(3, 5, 16, 2, 8, 8)
    dense_weights = leaves((16, 48), (48,), (48, 16), (16,))
    inputs += dense_weights
    found = []
    for half in (False, True):
        out = self_attend(x, weights[:4], weights[4:8], scale=0.3, ending=Normalization(*weights[8:], 1e-3))
        out = feed_forward(out, dense_weights[:2], dense_weights[2:], Normalization(*weights[8:], 1e-3)).square().sum()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found.append(torch.autograd.grad(out, inputs))
    for one, other in zip(*found, strict=True):
        assert one.dtype is torch.float32
        assert (one - other).norm() <= 0.03 * one.norm() + 1e-3


def test_what_is_left_to_others():
    x, *weights = of_attention(2, 5, 16, 2, 8, 8)
    kernels, biases, ending = weights[:4], weights[4:8], Normalization(*weights[8:], 1e-3)
    assert takes_self_attention(x, kernels, biases, ending)
    assert not takes_self_attention(x[:, :0], kernels, biases)
    assert not takes_self_attention(x[0], kernels, biases)
    assert not takes_self_attention(x.double(), kernels, biases)
    assert not takes_self_attention(x[..., :8], kernels, biases)
    assert not takes_self_attention(x, kernels, [*biases[:3], biases[3][:4]])
    assert not takes_self_attention(x, [kernels[0][:, :1], *kernels[1:]], biases)
    assert not takes_self_attention(x, kernels, biases, ending._replace(gamma=torch.ones(8)))
    assert not takes_self_attention(x, [*kernels[:3], kernels[3][..., :8]], [*biases[:3], None], ending)
    assert not takes_self_attention(x, [*kernels[:3], kernels[3].unflatten(2, (4, 4))], [*biases[:3], None])
    parts = (torch.ones(16, 32), torch.ones(32)), (torch.ones(32, 16), None)
    assert takes_feed_forward(x, *parts, ending)
    assert not takes_feed_forward(x[:0], *parts, ending)
    assert not takes_feed_forward(x.bfloat16(), *parts, ending)
    assert not takes_feed_forward(x, parts[0], (torch.ones(31, 16), None), ending)
    assert not takes_feed_forward(x, (torch.ones(16, 32), torch.ones(31)), parts[1], ending)
    assert not takes_feed_forward(x, *parts, ending._replace(beta=torch.ones(1)))
