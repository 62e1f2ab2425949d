"""Cross-entropy kernels against their plain twins: values, gradients, gradients of gradients."""

import pytest
import torch

from uncrumple.kernels import crossentropy as kernels

SHAPES = [(7, 5), (3, 4, 5), (2, 3, 4, 6), (5,)]


def _probabilities(shape, kind):
    torch.manual_seed(len(shape))
    if kind == "softmax":
        return torch.softmax(2 * torch.randn(shape, dtype=torch.float64), -1)
    if kind == "unnormalised":
        return 5 * torch.rand(shape, dtype=torch.float64) + 0.1
    # Rows of zeros and ones, which are cut at both ends.
    return torch.nn.functional.one_hot(torch.randint(shape[-1], shape[:-1]), shape[-1]).double()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["softmax", "unnormalised", "certain"])
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("which", ["sparse", "categorical", "binary"])
def test_equals_its_twin(shape, kind, mean, which):
    probabilities = _probabilities(shape, kind)
    if which == "sparse":
        targets = torch.randint(shape[-1], shape[:-1])
    elif which == "categorical":
        targets = torch.softmax(torch.randn(shape, dtype=torch.float64), -1)
    else:
        targets = torch.rand(shape, dtype=torch.float64)
        probabilities = probabilities / probabilities.amax()
    fused = getattr(kernels, f"{which}_from_probabilities")
    plain = getattr(kernels, f"{which}_from_probabilities_plain")
    mine, other = probabilities.clone().requires_grad_(), probabilities.clone().requires_grad_()
    ours, theirs = fused(targets, mine, mean), plain(targets, other, mean)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(ours.shape, dtype=torch.float64)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(mine.grad, other.grad)
    with torch.no_grad():
        torch.testing.assert_close(fused(targets, mine, mean), theirs)


@pytest.mark.parametrize("which", ["sparse", "categorical"])
@pytest.mark.parametrize("mean", [False, True])
def test_gradients_equal_finite_differences_twice(which, mean):
    probabilities = _probabilities((3, 4), "unnormalised").requires_grad_()
    targets = torch.randint(4, (3,)) if which == "sparse" else torch.rand(3, 4, dtype=torch.float64)
    fused = getattr(kernels, f"{which}_from_probabilities")
    assert torch.autograd.gradcheck(lambda p: fused(targets, p, mean), probabilities)
    assert torch.autograd.gradgradcheck(lambda p: fused(targets, p, mean), probabilities)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", [False, True])
def test_from_logits(shape, mean):
    logits = torch.randn(shape, dtype=torch.float64)
    labels = torch.randint(shape[-1], shape[:-1])
    one_hot = torch.nn.functional.one_hot(labels, shape[-1]).double()
    expected = -(one_hot * torch.log_softmax(logits, -1)).sum(-1)
    expected = expected.mean() if mean else expected
    torch.testing.assert_close(kernels.sparse_from_logits(labels, logits, mean), expected)
    torch.testing.assert_close(kernels.categorical_from_logits(one_hot, logits, mean), expected)


def test_where_a_share_is_cut_no_gradient_flows():
    probabilities = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    out = kernels.sparse_from_probabilities(torch.tensor([0, 1]), probabilities)
    torch.testing.assert_close(out, torch.tensor([1.1921e-07, 16.1181]), rtol=1e-4, atol=0)
    out.sum().backward()
    assert probabilities.grad.tolist() == [[0, 0], [0, 0]]


def test_targets_that_are_learned_get_gradients_too():
    targets = torch.rand(2, 3, requires_grad=True)
    kernels.categorical_from_probabilities(targets, torch.rand(2, 3, requires_grad=True), True).backward()
    assert targets.grad.abs().sum() > 0


def test_labels_out_of_range_are_errors_even_minus_100():
    with pytest.raises(IndexError):
        kernels.sparse_from_logits(torch.tensor([-100]), torch.zeros(1, 3), True)
    with pytest.raises((IndexError, RuntimeError)):
        kernels.sparse_from_probabilities(torch.tensor([3]), torch.full((1, 3), 1 / 3), True)


def test_nan_becomes_a_loss_of_nan():
    bad = torch.tensor([[float("nan"), 0.5]], requires_grad=True)
    assert kernels.binary_from_probabilities(torch.ones(1, 2), bad, True).isnan()
    assert kernels.sparse_from_probabilities(torch.tensor([0]), bad, True).isnan()
    assert kernels.categorical_from_probabilities(torch.ones(1, 2), bad, True).isnan()


@pytest.mark.parametrize("mean", [False, True])
def test_shapes_on_meta(mean):
    with torch.device("meta"):
        rows, labels, targets = (
            torch.empty(6, 4, requires_grad=True),
            torch.empty(6, dtype=torch.int64),
            torch.empty(6, 4),
        )
    wanted = () if mean else (6,)
    assert kernels.sparse_from_probabilities(labels, rows, mean).shape == wanted
    assert kernels.sparse_from_logits(labels, rows, mean).shape == wanted
    assert kernels.categorical_from_probabilities(targets, rows, mean).shape == wanted
    assert kernels.categorical_from_logits(targets, rows, mean).shape == wanted
    assert kernels.binary_from_probabilities(targets, rows, mean).shape == (() if mean else (6, 4))
