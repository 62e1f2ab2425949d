"""Results of `ops` where Keras's torch backend is wrong or random: against NumPy, or against what defines them."""

import itertools

import numpy as np
import pytest
import torch

from uncrumple import activations, ops, random
from uncrumple.core.seeds import set_random_seed

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "std", "var", "all", "any", "ptp"])
def test_keepdims_without_an_axis_keeps_the_axes(name):
    expected = np.ptp(X, keepdims=True) if name == "ptp" else getattr(np, name)(X, keepdims=True)
    found = getattr(ops, name)(X, keepdims=True)
    assert found.shape == (1, 1, 1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_extremes_with_an_initial_value(name, axis, keepdims):
    expected = getattr(np, name)(X, axis=axis, keepdims=keepdims, initial=0.3)
    found = getattr(ops, name)(X, axis=axis, keepdims=keepdims, initial=0.3)
    np.testing.assert_array_equal(found.numpy(), expected)
    np.testing.assert_array_equal(
        getattr(ops, name)(np.zeros((0, 2), "float32"), axis=0, initial=7.0).numpy(), [7.0, 7.0]
    )


def test_count_nonzero_of_more_axes():
    x = (X > 0).astype("int32")
    np.testing.assert_array_equal(ops.count_nonzero(x, axis=0).numpy(), np.count_nonzero(x, axis=0))


def test_average_with_weights():
    weights = np.abs(X) + 1
    np.testing.assert_allclose(ops.average(X, weights=weights).numpy(), np.average(X, weights=weights), rtol=1e-5)
    for axis in (0, 1, 2):
        np.testing.assert_allclose(
            ops.average(X, axis=axis, weights=weights).numpy(), np.average(X, axis=axis, weights=weights), rtol=1e-5
        )
        one = np.arange(1.0, X.shape[axis] + 1).astype("float32")
        np.testing.assert_allclose(
            ops.average(X, axis=axis, weights=one).numpy(), np.average(X, axis=axis, weights=one), rtol=1e-4
        )


@pytest.mark.parametrize("mode", ["symmetric", "edge", "reflect"])
def test_pad(mode):
    width = ((0, 0), (2, 1), (1, 2))
    np.testing.assert_array_equal(ops.pad(X, width, mode=mode).numpy(), np.pad(X, width, mode=mode))


def test_pad_takes_one_number_for_all_axes():
    np.testing.assert_array_equal(ops.pad(X, 1).numpy(), np.pad(X, 1))
    np.testing.assert_array_equal(ops.pad(X, (1, 2), constant_values=3).numpy(), np.pad(X, (1, 2), constant_values=3))


def test_argpartition_of_fractions():
    for kth in (0, 2, -1):
        places = ops.argpartition(X, kth, axis=1).numpy()
        taken = np.take_along_axis(X, places, axis=1)
        pivot = taken[:, kth : kth + 1 or None]
        assert (np.sort(X, axis=1)[:, kth : kth + 1 or None] == pivot).all()
        assert (np.sort(taken, axis=1) == np.sort(X, axis=1)).all()


def test_take_along_axis_of_the_flattened_tensor():
    np.testing.assert_array_equal(ops.take_along_axis(X, [1, -2], None).numpy(), X.reshape(-1)[[1, -2]])


def test_associative_scan_keeps_whole_numbers():
    for count in (1, 2, 3, 7, 8):
        x = torch.arange(1, count + 1)
        assert torch.equal(ops.associative_scan(torch.add, x), x.cumsum(0))
        assert torch.equal(ops.associative_scan(torch.add, x, reverse=True), x.flip(0).cumsum(0).flip(0))


def test_saturate_cast_of_what_is_too_large():
    x = torch.tensor([1e30, -1e30, torch.inf, 5.0])
    assert ops.saturate_cast(x, "int32").tolist() == [2147483520, -2147483648, 2147483520, 5]
    assert ops.saturate_cast(x, "int8").tolist() == [127, -128, 127, 5]


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    out = ops.sparsemax(X)
    torch.testing.assert_close(out.sum(-1), torch.ones(2, 3))
    assert (out >= 0).all() and (out == 0).any()
    torch.testing.assert_close(ops.sparsemax(X, axis=1), ops.sparsemax(X.swapaxes(1, 2)).transpose(1, 2))


def test_correlate_keeps_its_axis():
    for mode in ("valid", "same", "full"):
        for sizes in ((3, 3), (5, 2)):
            a, b = (np.random.default_rng(size).normal(size=size) for size in sizes)
            np.testing.assert_allclose(ops.correlate(a, b, mode).numpy(), np.correlate(a, b, mode), rtol=1e-5)


@pytest.mark.parametrize("arguments", [{"axisa": 0}, {"axisb": 0}, {"axisa": 0, "axisb": 0, "axisc": 0}])
def test_cross_with_axes_of_its_own(arguments):
    a, b = np.random.default_rng(0).normal(size=(3, 3)), np.random.default_rng(1).normal(size=(3, 3))
    np.testing.assert_allclose(ops.cross(a, b, **arguments).numpy(), np.cross(a, b, **arguments), rtol=1e-5)
    np.testing.assert_allclose(
        ops.cross(a[:, :2], b).numpy(), np.cross(np.pad(a[:, :2], ((0, 0), (0, 1))), b), rtol=1e-5
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_spaces_with_an_axis(axis):
    start, stop = np.array([1.0, 2.0], "float32"), np.array([10.0, 20.0], "float32")
    for name in ("linspace", "logspace", "geomspace"):
        found, expected = getattr(ops, name)(start, stop, 5, axis=axis), getattr(np, name)(start, stop, 5, axis=axis)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_vectorize():
    def shifted(x, by):
        return ops.sum(x) + by

    function = ops.vectorize(shifted, signature="(n),()->()")
    np.testing.assert_allclose(function(X, np.arange(3.0)).numpy(), X.sum(-1) + np.arange(3), rtol=1e-5)
    assert ops.vectorize(lambda a, b: ops.maximum(a, b))([1, 5], [[2], [3]]).tolist() == [[2, 5], [3, 5]]
    assert ops.vectorize(lambda a, power: a**power, excluded={1})([1.0, 2.0], 3).tolist() == [1.0, 8.0]


def test_custom_gradient():
    @ops.custom_gradient
    def clipped(x):
        return x * 3, lambda *args, upstream: ops.clip(upstream, -1, 1)

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (clipped(x) * torch.tensor([0.5, 10.0])).sum().backward()
    assert x.grad.tolist() == [0.5, 1.0]


def test_empty_has_shape_and_type():
    assert (ops.empty((2, 3), "int32").shape, ops.empty((2,), "int32").dtype) == ((2, 3), torch.int32)
    assert ops.empty_like(X, dtype="float16").dtype is torch.float16


def test_lanczos_resizes():
    image = np.random.default_rng(0).uniform(size=(1, 8, 8, 3)).astype("float32")
    for method in ("lanczos3", "lanczos5"):
        same = ops.image.resize(image, (8, 8), interpolation=method)
        np.testing.assert_allclose(same.numpy(), image, atol=1e-5)
        assert ops.image.resize(image, (4, 12), interpolation=method, antialias=True).shape == (1, 4, 12, 3)


def test_a_projection_divides():
    """Keras's torch backend forgets the last two numbers of a transform."""
    image = np.random.default_rng(0).uniform(size=(6, 6, 1)).astype("float32")
    corners = np.array([[0, 0], [0, 5], [5, 0], [5, 5]], "float32")
    moved = corners + np.array([[0.5, 0.3], [0.1, -0.4], [-0.6, 0.2], [0.0, 0.1]], "float32")
    expected = ops.image.perspective_transform(image, corners, moved)
    from uncrumple.ops.image_sampling import _homography

    numbers = _homography(torch.from_numpy(corners)[None], torch.from_numpy(moved)[None])
    torch.testing.assert_close(ops.image.affine_transform(image, numbers[0]), expected)


def test_elastic_transform():
    images = np.random.default_rng(0).uniform(size=(2, 12, 10, 3)).astype("float32")
    bend = ops.image.elastic_transform
    torch.testing.assert_close(bend(images, alpha=0.0, seed=1), torch.from_numpy(images))
    once, again, other = bend(images, seed=1), bend(images, seed=1), bend(images, seed=2)
    assert torch.equal(once, again) and not torch.equal(once, other)
    first = bend(images.transpose(0, 3, 1, 2), seed=1, data_format="channels_first")
    torch.testing.assert_close(first.movedim(1, -1), once)


def test_one_blur_for_each_direction():
    """`sigma` is (across, down) and `kernel_size` (height, width)."""
    dot = np.zeros((1, 7, 7, 1), "float32")
    dot[0, 3, 3] = 1
    out = ops.image.gaussian_blur(dot, (1, 5), (1.0, 9.0))[0, :, :, 0]
    assert (out.sum(0) > 0).tolist() == [False, True, True, True, True, True, False]
    assert (out.sum(1) > 0).sum() == 1


# --- what random calls showed (tests/parity/fuzz/compare_ops.py) ---------------------------


@pytest.mark.parametrize("name", ["sum", "max", "amin", "all", "nansum", "logsumexp", "cumsum", "squeeze"])
@pytest.mark.parametrize("axis", [0, -1])
def test_a_single_number_counts_as_one_axis(name, axis):
    """As with NumPy and torch."""
    assert getattr(ops, name)(torch.tensor(1.0), axis=axis).shape == ()
    with pytest.raises(ValueError, match="axis=1"):
        getattr(ops, name)(torch.tensor(1.0), axis=1)


@pytest.mark.parametrize("name", ["quantile", "nanquantile", "percentile", "nanpercentile"])
def test_quantiles_of_a_single_number(name):
    assert getattr(ops, name)(2.5, 0.3).item() == 2.5
    assert getattr(ops, name)(2.5, [0.3, 0.4], keepdims=True).tolist() == [2.5, 2.5]
    with pytest.raises(ValueError, match="axis=0"):
        getattr(ops, name)(2.5, 0.3, axis=0)
    assert ops.median(2.5).item() == ops.nanmedian(2.5).item() == 2.5


def test_extremes_of_tensors_without_numbers():
    """They are refused only where an axis that is reduced is empty."""
    x = torch.zeros(2, 0)
    assert ops.max(x, axis=0).shape == ops.amin(x, axis=(0,)).shape == (0,)
    for axis in (None, 1, (0, 1)):
        with pytest.raises(ValueError, match="without numbers"):
            ops.amax(x, axis=axis)
    assert ops.max(torch.tensor(2.0), axis=0, keepdims=True, initial=5.0).shape == ()


def test_sums_of_int8_by_letters_are_int32():
    assert ops.einsum("ab->", torch.ones(2, 2, dtype=torch.int8)).dtype is torch.int32


@pytest.mark.parametrize("sizes", [(2, 5), (3, 4), (5, 2), (4, 3), (3, 3)])
def test_correlate_of_a_short_and_a_long_one(sizes):
    a, b = (np.random.default_rng(place).normal(size=size) for place, size in enumerate(sizes))
    np.testing.assert_allclose(ops.correlate(a, b, "same").numpy(), np.correlate(a, b, "same"), rtol=1e-5)


@pytest.mark.parametrize("function", [ops.sparsemax, activations.sparsemax])
def test_sparsemax_of_what_is_no_number(function):
    out = function(torch.tensor([[torch.nan, 1.0], [-torch.inf, 0.3], [0.5, 0.5]]))
    assert out[0].isnan().any() and out[1].tolist() == [0.0, 1.0] and out[2].tolist() == [0.5, 0.5]
    assert ops.sparsemax(torch.zeros(2, 0)).shape == (2, 0)


def test_moments_of_infinite_numbers():
    mean, variance = ops.moments(torch.tensor([-torch.inf, 3.0]), 0)
    assert mean.item() == -torch.inf and variance.isnan()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_single_number_keeps_its_type_when_divided(kind):
    one = torch.tensor(3.0, dtype=kind)
    for function in (ops.divide, ops.true_divide):
        assert function(one, 2.0).dtype is function(2, one).dtype is kind
        assert function(one, 2.0).item() == 1.5


# --- what the definitions say ------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sin", "exp", "tanh", "sigmoid", "softplus", "erf", "square", "log1p", "gelu", "silu"]
)
def test_gradients_flow(name):
    x = torch.rand(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(getattr(ops, name), (x,))


def test_gradients_reach_a_variable():
    from uncrumple import Variable

    weight = Variable(np.ones((3, 2), "float32"), name="weight")
    ops.sum(ops.matmul(ops.ones((4, 3)), weight) * ops.convert_to_tensor(weight)[0]).backward()
    assert weight.grad is not None and weight.grad.shape == (3, 2)


def test_spectra_go_back():
    wave = torch.rand(2, 64)
    real, imaginary = ops.stft(wave, 16, 4, 16)
    torch.testing.assert_close(ops.istft((real, imaginary), 16, 4, 16, length=64), wave, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ops.irfft(ops.rfft(wave)), wave)


def test_decompositions_go_back():
    x = torch.rand(2, 4, 3)
    q, r = ops.qr(x)
    torch.testing.assert_close(ops.matmul(q, r), x)
    u, s, v = ops.svd(x, full_matrices=False)
    torch.testing.assert_close(u @ torch.diag_embed(s) @ v, x)
    torch.testing.assert_close(ops.unfold(ops.fold(torch.rand(1, 8, 4), 4, 2, stride=2), 2, stride=2).shape, (1, 8, 4))


def test_beam_search_finds_the_most_likely_labels():
    """Against all ways to spread labels over the steps."""
    scores = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    logs = torch.log_softmax(scores, -1)
    totals: dict[tuple[int, ...], float] = {}
    for steps in itertools.product(range(3), repeat=5):
        merged = [label for label, _ in itertools.groupby(steps) if label != 0]
        chance = float(torch.exp(sum(logs[step, label] for step, label in enumerate(steps))))
        totals[tuple(merged)] = totals.get(tuple(merged), 0.0) + chance
    best = sorted(totals, key=lambda labels: -totals[labels])[:3]
    paths, found = ops.ctc_decode(scores[None], [5], strategy="beam_search", beam_width=200, top_paths=3)
    assert [tuple(label for label in path if label >= 0) for path in paths[:, 0].tolist()] == best
    np.testing.assert_allclose(torch.exp(found[0]).numpy(), [totals[labels] for labels in best], rtol=1e-4)


def test_a_mask_and_a_bias_together():
    q, k, v = (torch.rand(1, 3, 2, 4) for _ in range(3))
    bias, mask = torch.rand(1, 2, 3, 3), torch.ones(1, 1, 3, 3, dtype=torch.bool).tril()
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / 2 + bias
    expected = torch.einsum("bhqk,bkhd->bqhd", scores.masked_fill(~mask, -torch.inf).softmax(-1), v)
    torch.testing.assert_close(ops.dot_product_attention(q, k, v, bias=bias, mask=mask), expected)
    torch.testing.assert_close(ops.dot_product_attention(q, k, v, bias=bias, is_causal=True), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_functions_are_compiled_in_one_piece():
    x = torch.rand(3, 4)
    compiled = torch.compile(lambda x: ops.softmax(ops.maximum(x, 1) * ops.mean(x)), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), torch.softmax(x.clamp(min=1) * x.mean(), -1))


def test_functions_run_under_vmap():
    x = torch.rand(3, 4)
    torch.testing.assert_close(torch.vmap(lambda row: ops.softmax(ops.add(row, 1)))(x), torch.softmax(x + 1, -1))
    torch.testing.assert_close(ops.vectorized_map(lambda row: ops.sum(row * 2), x), x.sum(1) * 2)


def test_dropout_of_random_is_seeded_by_the_program():
    set_random_seed(3)
    first = random.dropout(torch.ones(100), 0.5)
    set_random_seed(3)
    assert torch.equal(random.dropout(torch.ones(100), 0.5), first)
