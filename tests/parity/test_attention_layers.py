"""Attention gives the numbers of real Keras: forward, gradients, masks, weights, configs, files, training."""

from __future__ import annotations

import inspect
import json

import keras
import numpy as np
import pytest
import torch
import torch.nn.attention

import uncrumple as un
from uncrumple import layers as L
from uncrumple.core import registry
from uncrumple.measures.pairing import keras_mask

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer '.*' .of type EinsumDense. was passed an input with a mask"),
]

QUERY = np.random.default_rng(1).normal(size=(2, 4, 6)).astype("float32")
VALUE = np.random.default_rng(2).normal(size=(2, 5, 7)).astype("float32")
KEY = np.random.default_rng(3).normal(size=(2, 5, 8)).astype("float32")
PAIRS = np.random.default_rng(4).uniform(size=(2, 4, 5)) > 0.4
STEPS = np.array([[1, 1, 0, 0, 0], [1, 0, 1, 1, 0]], dtype=bool)

HEADS = [
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": 5, "use_gate": True}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "output_shape": 4, "use_bias": False}),
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 2, "output_shape": (3, 2), "sliding_window": 2}),
    ("MultiHeadAttention", {"num_heads": 1, "key_dim": 3, "dropout": 0.3}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "attention_axes": -2}),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 1, "use_gate": True}),
    (
        "GroupQueryAttention",
        {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 2, "use_bias": False, "sliding_window": 2},
    ),
    ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "dropout": 0.3}),
]
CALLS = {
    "plain": {},
    "causal": {"use_causal_mask": True},
    "scores": {"return_attention_scores": True},
    "causal scores": {"use_causal_mask": True, "return_attention_scores": True},
    "pairs": {"attention_mask": PAIRS},
    "pairs of no sample": {"attention_mask": PAIRS[0]},
    "pairs for each head": {"attention_mask": PAIRS[:, None]},
    "whole numbers": {"attention_mask": PAIRS.astype("int32"), "return_attention_scores": True},
    "steps": {"attention_mask": STEPS[:, None, :], "use_causal_mask": True},
    "value": {"value_mask": STEPS},
    "value and key": {"value_mask": STEPS, "key_mask": STEPS[::-1].copy(), "use_causal_mask": True},
    "everything": {"attention_mask": PAIRS, "value_mask": STEPS, "use_causal_mask": True},
    "nothing seen": {"attention_mask": np.zeros((2, 4, 5), dtype=bool)},
    "nothing seen, scores": {"attention_mask": np.zeros((2, 4, 5), dtype=bool), "return_attention_scores": True},
}


def _id(row):
    return "-".join([row[0], *(f"{name}={value}" for name, value in row[1].items())])


heads = pytest.mark.parametrize("row", HEADS, ids=_id)


def pair(row, *shapes, **settings):
    """Return our layer and Keras's with the same weights, built on inputs of these shapes."""
    ours = getattr(L, row[0])(**{**row[1], **settings})
    theirs = getattr(keras.layers, row[0])(**{**row[1], **settings})
    inputs = [torch.zeros(shape) for shape in shapes]
    for layer in (ours, theirs):
        layer(*inputs) if row[0].endswith("HeadAttention") or row[0].startswith("Group") else layer(inputs)
    share_weights(ours, theirs)
    return ours, theirs


def share_weights(ours, theirs):
    generator = np.random.default_rng(7)
    values = [generator.uniform(-0.7, 0.7, size=w.shape).astype("float32") for w in theirs.weights]
    assert [w.path.split("/")[1:] for w in ours.weights] == [w.path.split("/")[1:] for w in theirs.weights]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)


def outputs_and_gradients(call, inputs, weights):
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    out = call(inputs)
    out = out if isinstance(out, tuple) else (out,)
    mixed = [torch.tensor(np.random.default_rng(5).normal(size=x.shape).astype("float32")) for x in out]
    total = sum((x * mix).sum() for x, mix in zip(out, mixed))
    return out, torch.autograd.grad(total, [*inputs, *weights], allow_unused=True)


def right_gradients():
    """Let Keras compute without torch's flash function for the CPU.

    For a query that sees nothing this takes weights of 1 in its backward pass,
    where they are one in the number of keys: Keras's other backends, and torch's
    other functions, have the right ones.
    """
    return torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)


def compare(ours, theirs, mine, their):
    (out, gradients), (expected, wanted) = mine, their
    assert len(out) == len(expected)
    for one, other in zip(out, expected):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-6)
    for one, other in zip(gradients, wanted, strict=True):
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        else:  # what is asked for twice need not be part of the output
            assert all(x is None or not x.any() for x in (one, other))


# --- several heads -------------------------------------------------------------------------


@heads
@pytest.mark.parametrize("call", CALLS)
def test_forward_and_gradients(row, call):
    settings = {name: torch.tensor(v) if isinstance(v, np.ndarray) else v for name, v in CALLS[call].items()}
    ours, theirs = pair(row, QUERY.shape, VALUE.shape, KEY.shape)
    inputs = [torch.tensor(x) for x in (QUERY, VALUE, KEY)]
    mine = outputs_and_gradients(lambda x: ours(*x, **settings), inputs, list(ours.weights))
    with right_gradients():
        their = outputs_and_gradients(lambda x: theirs(*x, **settings), inputs, [w.value for w in theirs.weights])
    compare(ours, theirs, mine, their)


@heads
def test_without_a_key_and_with_one_tensor_for_all(row):
    ours, theirs = pair(row, QUERY.shape, VALUE.shape)
    query, value = torch.tensor(QUERY), torch.tensor(VALUE)
    torch.testing.assert_close(ours(query, value), theirs(query, value), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(ours(query, value=value), theirs(query=query, value=value), rtol=1e-5, atol=2e-6)
    ours, theirs = pair(row, QUERY.shape, QUERY.shape)
    torch.testing.assert_close(ours(query, query), theirs(query, query), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(
        ours(query=QUERY, value=QUERY, key=QUERY), theirs(query=QUERY, value=QUERY, key=QUERY), rtol=1e-5, atol=2e-6
    )


def masked(values, mask):
    x = torch.tensor(values)
    x._keras_mask = torch.tensor(mask)
    return x


@heads
@pytest.mark.parametrize("scores", [False, True])
def test_masks_that_travel_with_the_tensors(row, scores):
    """What the queries' mask leaves out sees nothing; and the masks of the inputs end in MultiHeadAttention."""
    ours, theirs = pair(row, QUERY.shape, VALUE.shape)
    found = []
    for layer in (ours, theirs):
        query, value = masked(QUERY, STEPS[:, :4]), masked(VALUE, STEPS)
        out = layer(query, value, return_attention_scores=scores, use_causal_mask=True)
        found.append([*(out if scores else [out]), query, value])
    for index, (one, other) in enumerate(zip(*found, strict=True)):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-6)
        mine, their = keras_mask(one), getattr(other, "_keras_mask", None)
        if scores and index == 1:  # Keras leaves the mask that its softmax was given on the scores
            assert mine is None
        else:
            assert (mine is None) == (their is None)
            assert mine is None or torch.equal(mine, their)
    assert found[0][0]._keras_mask is not None


def test_a_mask_given_for_the_queries_counts():
    """Keras 3.15 has the argument, and looks only at the mask that travels with the tensor."""
    ours, theirs = pair(HEADS[0], QUERY.shape, VALUE.shape)
    given = ours(torch.tensor(QUERY), torch.tensor(VALUE), query_mask=torch.tensor(STEPS[:, :4]))
    torch.testing.assert_close(given, theirs(masked(QUERY, STEPS[:, :4]), torch.tensor(VALUE)), rtol=1e-5, atol=2e-6)
    ignored = theirs(torch.tensor(QUERY), torch.tensor(VALUE), query_mask=torch.tensor(STEPS[:, :4]))
    assert not torch.allclose(given, ignored)


def test_a_query_that_sees_nothing_is_never_nan():
    """As in Keras: the mean of the values with the fused function, zeros where scores are made."""
    ours, theirs = pair(HEADS[0], QUERY.shape, VALUE.shape)
    query, value = torch.tensor(QUERY), torch.tensor(VALUE)
    nothing = torch.zeros(2, 4, 5).bool()
    mean = ours.output_dense(ours.value_dense(value).mean(1, keepdim=True)).expand(2, 4, 6)
    torch.testing.assert_close(ours(query, value, attention_mask=nothing), mean, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(theirs(query, value, attention_mask=nothing), mean, rtol=1e-5, atol=2e-6)
    for layer in (ours, theirs):
        output, scores = layer(query, value, attention_mask=nothing, return_attention_scores=True)
        assert not scores.any()
        torch.testing.assert_close(output, ours.output_dense.bias.expand(2, 4, 6), rtol=1e-5, atol=2e-6)
    weights = [ours.value_dense.kernel, ours.output_dense.kernel]
    mix = torch.tensor(QUERY)
    gradients = torch.autograd.grad((ours(query, value, attention_mask=nothing) * mix).sum(), weights)
    for one, other in zip(gradients, torch.autograd.grad((mean * mix).sum(), weights)):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    for policy in ("mixed_float16", "mixed_bfloat16", "float64"):
        for row in (HEADS[0], HEADS[4], HEADS[6]):
            layer = getattr(L, row[0])(**row[1], dtype=policy)
            query = torch.tensor(QUERY * 100, requires_grad=True)
            for training in (False, True):
                out = layer(query, value, attention_mask=nothing, training=training)
                assert torch.isfinite(out).all()
                assert torch.isfinite(torch.autograd.grad(out.float().sum(), query)[0]).all()


@pytest.mark.parametrize("axes", [None, 1, 2, (1, 2), (2, 1), (-2,)], ids=str)
@pytest.mark.parametrize("scores", [False, True])
def test_more_than_three_axes(axes, scores):
    values = np.random.default_rng(8).normal(size=(2, 3, 4, 6)).astype("float32")
    row = ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "attention_axes": axes})
    ours, theirs = pair(row, values.shape, values.shape)
    assert ours.attention_axes == tuple(theirs.attention_axes)
    sizes = [values.shape[axis] for axis in ours.attention_axes]
    pairs = torch.tensor(np.random.default_rng(9).uniform(size=(2, *sizes, *sizes)) > 0.5)
    pairs[0, 0] = False  # a query that sees nothing
    for settings in ({}, {"attention_mask": pairs}):
        settings = {**settings, "return_attention_scores": scores}
        inputs = [torch.tensor(values)]
        mine = outputs_and_gradients(lambda x, s=settings: ours(x[0], x[0], **s), inputs, list(ours.weights))
        weights = [w.value for w in theirs.weights]
        their = outputs_and_gradients(lambda x, s=settings: theirs(x[0], x[0], **s), inputs, weights)
        compare(ours, theirs, mine, their)


def test_masks_and_order_along_the_axis_that_is_attended_over():
    """Keras takes axis 1 for the steps whatever attention_axes says, so that this fails there or mixes axes up.

    What is right is seen from each row by itself.
    """
    values = torch.randn(2, 3, 4, 6)
    layer = L.MultiHeadAttention(2, 3, attention_axes=2)
    rows = L.MultiHeadAttention(2, 3, dropout=0.1)  # which uses the same function, outside training
    layer(values, values), rows(values[:, 0], values[:, 0])
    rows.set_weights(layer.get_weights())
    steps = torch.rand(2, 3, 4) > 0.3
    x = values.clone()
    x._keras_mask = steps.clone()
    out = layer(x, x, use_causal_mask=True)
    for row in range(3):
        one = values[:, row].clone()
        one._keras_mask = steps[:, row].clone()
        torch.testing.assert_close(out[:, row], rows(one, one, use_causal_mask=True), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        L.MultiHeadAttention(2, 3, attention_axes=2, sliding_window=10)(values, values).shape, values.shape
    )


def test_a_mask_for_each_head_together_with_the_masks_of_the_tensors():
    """In Keras the axes of the two are laid over each other from the end, which fits only by chance."""
    layer = L.MultiHeadAttention(2, 3)
    query, value = torch.tensor(QUERY), torch.tensor(VALUE)
    both = torch.tensor(PAIRS[:, None] & STEPS[:, None, None, :]).expand(2, 2, 4, 5)
    expected = layer(query, value, attention_mask=both)
    given = torch.tensor(PAIRS[:, None]).expand(2, 2, 4, 5)
    torch.testing.assert_close(layer(query, masked(VALUE, STEPS), attention_mask=given), expected)


@pytest.mark.parametrize("row", [HEADS[0], HEADS[1], HEADS[6]], ids=_id)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "mixed_float16"])
def test_half_precision(row, policy):
    ours, theirs = pair(row, QUERY.shape, VALUE.shape, dtype=policy)
    for settings in (CALLS["causal"], CALLS["causal scores"], {"attention_mask": torch.tensor(PAIRS)}):
        mine = ours(torch.tensor(QUERY), torch.tensor(VALUE), **settings)
        their = theirs(torch.tensor(QUERY), torch.tensor(VALUE), **settings)
        mine, their = (x if isinstance(x, tuple) else (x,) for x in (mine, their))
        for one, other in zip(mine, their, strict=True):
            torch.testing.assert_close(one, other, rtol=0.03, atol=0.02)  # of one type, too


def test_in_half_precision_masks_arrive_and_the_tensors_keep_theirs():
    row = ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dtype": "mixed_bfloat16"})
    ours, theirs = pair(row, QUERY.shape, VALUE.shape)
    found = []
    for layer in (ours, theirs):
        query, value = masked(QUERY, STEPS[:, :4]), masked(VALUE, STEPS)
        out = layer(query=query, value=value)
        assert torch.equal(out._keras_mask, torch.tensor(STEPS[:, :4]))
        assert query._keras_mask is not None and value._keras_mask is not None
        found.append(out)
    torch.testing.assert_close(*found, rtol=0.03, atol=0.02)
    assert not torch.allclose(found[0], ours(torch.tensor(QUERY), torch.tensor(VALUE)), rtol=0.03, atol=0.02)


@heads
def test_losses(row):
    settings = {
        "kernel_regularizer": "l1",
        "bias_regularizer": "l2",
        "activity_regularizer": keras.regularizers.L2(0.1),
    }
    theirs = getattr(keras.layers, row[0])(**row[1], **settings)
    ours = getattr(L, row[0])(**row[1], **{**settings, "activity_regularizer": un.regularizers.L2(0.1)})
    query, value = torch.tensor(QUERY), torch.tensor(VALUE)
    ours(query, value), theirs(query, value)
    share_weights(ours, theirs)
    for _ in range(2):  # those of the call before are forgotten
        ours(query, value), theirs(query, value)
        assert len(ours.losses) == len(theirs.losses)
        torch.testing.assert_close(sum(ours.losses), sum(theirs.losses))


def test_constraints_are_on_every_projection():
    ours = L.MultiHeadAttention(2, 3, kernel_constraint="non_neg", bias_constraint="max_norm", use_gate=True)
    theirs = keras.layers.MultiHeadAttention(
        2, 3, kernel_constraint="non_neg", bias_constraint="max_norm", use_gate=True
    )
    ours(QUERY, VALUE), theirs(QUERY, VALUE)
    mine = [type(w.constraint).__name__ for w in ours.weights]
    assert mine == [type(w.constraint).__name__ for w in theirs.weights]
    assert set(mine) == {"NonNeg", "MaxNorm"}


@pytest.mark.parametrize("start", ["glorot_uniform", "he_normal", "random_normal", "orthogonal"])
def test_first_values(start):
    """Each projection draws values of its own, with the spread that Keras gives them."""
    x = np.zeros((1, 2, 96), dtype="float32")
    ours = L.MultiHeadAttention(8, 16, value_dim=12, kernel_initializer=start)
    theirs = keras.layers.MultiHeadAttention(8, 16, value_dim=12, kernel_initializer=start)
    ours(x, x), theirs(x, x)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one.std(), other.std(), rtol=0.05)
        np.testing.assert_allclose(abs(one).max(), abs(other).max(), rtol=0.3)
    assert not np.array_equal(ours.get_weights()[0], ours.get_weights()[2])


@heads
def test_signature_and_config_go_both_ways(row):
    mine, their = (
        {name: p.default for name, p in inspect.signature(cls.__init__).parameters.items() if name != "kwargs"}
        for cls in (getattr(L, row[0]), getattr(keras.layers, row[0]))
    )
    assert list(mine.items()) == list(their.items())
    ours, theirs = pair(row, QUERY.shape, VALUE.shape)
    expected = theirs(torch.tensor(QUERY), torch.tensor(VALUE))
    written = json.loads(json.dumps(registry.serialize_keras_object(ours)))
    given = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    assert (written["module"], written["class_name"]) == (given["module"], given["class_name"])
    assert written["build_config"] == given["build_config"]
    assert written["config"].keys() == given["config"].keys()
    for framework, config in (
        (keras.saving.deserialize_keras_object, written),
        (registry.deserialize_keras_object, given),
    ):
        again = framework(config)
        assert again.built
        again.set_weights(theirs.get_weights())
        torch.testing.assert_close(again(torch.tensor(QUERY), torch.tensor(VALUE)), expected, rtol=1e-5, atol=2e-6)


def test_shapes_without_data():
    for row in HEADS[:5]:
        ours, theirs = pair(row, QUERY.shape, VALUE.shape)
        shapes = ((None, 4, 6), (None, 5, 7))
        if row[1].get("output_shape") != (3, 2):  # Keras puts two axes in place of one, and then says so
            assert ours.compute_output_shape(*shapes) == tuple(theirs.compute_output_shape(*shapes))
        mine = ours(L.Input((4, 6)), L.Input((5, 7)))
        their = theirs(keras.Input((4, 6)), keras.Input((5, 7)))
        assert mine.shape == tuple(their.shape)
    output, scores = ours(L.Input((None, 6)), L.Input((5, 7)), return_attention_scores=True)
    assert output.shape == (None, None, 6) and scores.shape == (None, 1, None, 5)


# --- without projections -------------------------------------------------------------------


PLAIN = [
    ("Attention", {}),
    ("Attention", {"use_scale": True}),
    ("Attention", {"score_mode": "concat"}),
    ("Attention", {"score_mode": "concat", "use_scale": True, "dropout": 0.2}),
    ("AdditiveAttention", {}),
    ("AdditiveAttention", {"use_scale": False, "dropout": 0.2}),
]
SAME_KEY = np.random.default_rng(6).normal(size=(2, 5, 6)).astype("float32")
MASKS = {
    "none": {},
    "causal": {"use_causal_mask": True},
    "scores": {"return_attention_scores": True},
    "value": {"mask": [None, STEPS]},
    "both": {"mask": [STEPS[:, :4], STEPS], "use_causal_mask": True},
    "three": {"mask": [STEPS[:, :4], STEPS, STEPS[::-1].copy()], "return_attention_scores": True},
    "nothing": {"mask": [None, np.zeros_like(STEPS)]},
    "pairs": {"mask": [None, PAIRS]},
    "nothing, scores": {"mask": [None, np.zeros_like(STEPS)], "return_attention_scores": True},
}


@pytest.mark.parametrize("row", PLAIN, ids=_id)
@pytest.mark.parametrize("call", MASKS)
@pytest.mark.parametrize("with_key", [False, True])
def test_attention_without_projections(row, call, with_key):
    settings = dict(MASKS[call])
    if "mask" in settings:
        settings["mask"] = [None if mask is None else torch.tensor(mask) for mask in settings["mask"]]
    values = [QUERY, VALUE, SAME_KEY] if with_key else [QUERY, SAME_KEY]
    ours, theirs = pair(row, *[x.shape for x in values])
    inputs = [torch.tensor(x) for x in values]
    mine = outputs_and_gradients(lambda x: ours(x, **settings), inputs, list(ours.weights))
    their = outputs_and_gradients(lambda x: theirs(x, **settings), inputs, [w.value for w in theirs.weights])
    compare(ours, theirs, mine, their)


@pytest.mark.parametrize("row", PLAIN, ids=_id)
def test_masks_that_travel_with_a_list(row):
    ours, theirs = pair(row, QUERY.shape, SAME_KEY.shape)
    for masks in ([STEPS[:, :4], STEPS], [None, STEPS], [STEPS[:, :4], None]):
        found = []
        for layer in (ours, theirs):
            inputs = [
                torch.tensor(x) if mask is None else masked(x, mask)
                for x, mask in zip((QUERY, SAME_KEY), masks, strict=True)
            ]
            found.append((layer(inputs), *layer(inputs, return_attention_scores=True)))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-6)
            mine, their = (getattr(x, "_keras_mask", None) for x in (one, other))
            assert (mine is None) == (their is None)
            assert mine is None or torch.equal(mine, their)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_attention_in_other_precisions_is_never_nan(policy):
    for row in PLAIN:
        layer = getattr(L, row[0])(**row[1], dtype=policy)
        inputs = [torch.tensor(QUERY * 30), torch.tensor(SAME_KEY)]
        for settings in ({}, {"return_attention_scores": True}, {"training": True}):
            out = layer(inputs, mask=[None, torch.zeros(2, 5).bool()], **settings)
            assert all(torch.isfinite(x).all() for x in (out if isinstance(out, tuple) else (out,)))


# --- ReversibleEmbedding -------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"tie_weights": False}, {"logit_soft_cap": 2.0}, {"reverse_dtype": "float32"}, {"mask_zero": True}],
    ids=str,
)
def test_reversible_embedding(settings, policy):
    ours = L.ReversibleEmbedding(9, 4, dtype=policy, **settings)
    theirs = keras.layers.ReversibleEmbedding(9, 4, dtype=policy, **settings)
    tokens = torch.tensor([[0, 1, 2], [3, 0, 8]])
    ours(tokens), theirs(tokens)
    share_weights(ours, theirs)
    close = {"rtol": 1e-5, "atol": 1e-6} if policy == "float32" else {"rtol": 0.02, "atol": 0.01}
    mine, their = ours(tokens), theirs(tokens)
    torch.testing.assert_close(mine, their, rtol=0, atol=0)
    assert hasattr(mine, "_keras_mask") == (getattr(their, "_keras_mask", None) is not None)
    back, expected = ours(mine, reverse=True), theirs(their, reverse=True)
    torch.testing.assert_close(back, expected, **close)
    assert getattr(back, "_keras_mask", None) is None and getattr(expected, "_keras_mask", None) is None
    assert ours.supports_masking == theirs.supports_masking
    gradients = [
        torch.autograd.grad(out.float().square().sum(), weights)
        for out, weights in ((back, list(ours.weights)), (expected, [w.value for w in theirs.weights]))
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=close["rtol"], atol=0.1 if policy != "float32" else 1e-5)
    written = json.loads(json.dumps(registry.serialize_keras_object(ours)))
    given = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    assert written["config"].keys() == given["config"].keys()
    assert keras.saving.deserialize_keras_object(written).get_config() == theirs.get_config()
    assert registry.deserialize_keras_object(given).get_config() == ours.get_config()


# --- models --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_which_layers_see_a_mask_behind_attention(name):
    """MultiHeadAttention uses up the masks of its inputs, for all but layers with an argument `mask`.

    Keras takes them off the tensors while it runs; what such a layer gets was found when the model was put together.
    """
    found = {}
    for framework in (un, keras):
        framework.utils.clear_session()
        layers = framework.layers

        def attention(x, layers=layers):
            settings = (2, 3) if name == "MultiHeadAttention" else (3, 2, 1)
            return getattr(layers, name)(*settings)(x, x, return_attention_scores=True)

        inputs = framework.Input((5,), dtype="int32")
        embedded = layers.Embedding(10, 6, mask_zero=True)(inputs)
        attended, _ = attention(embedded)
        added = layers.LayerNormalization()(layers.Add()([embedded, attended]))
        pooled = layers.GlobalAveragePooling1D()
        again, scores = attention(added)
        steps = layers.SimpleRNN(4, return_sequences=True)(added)
        further, later = attention(steps)
        plain = layers.Attention()([added, added])
        product = layers.Multiply()([added, again])
        outputs = [pooled(embedded), pooled(added), pooled(plain), added, again, scores, steps, further, later, product]
        model = framework.Model(inputs, outputs)
        generator = np.random.default_rng(12)
        model.set_weights([generator.uniform(-0.7, 0.7, size=w.shape) for w in model.get_weights()])
        out = model(np.array([[1, 2, 0, 0, 0], [3, 4, 5, 0, 0]]))
        found[framework.__name__] = out
    for mine, theirs in zip(found["uncrumple"], found["keras"], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    for place in (3, 4, 7, 9):  # which the loss would look at
        mine, theirs = keras_mask(found["uncrumple"][place]), getattr(found["keras"][place], "_keras_mask", None)
        assert (mine is None) == (theirs is None)


def transformer(framework, policy=None):
    """An encoder and a decoder, with masks from the embedding, and tokens at both ends."""
    layers = framework.layers

    def attention(query, other, name, **settings):
        layer = layers.MultiHeadAttention(2, 4, name=name)
        attended = layer(query=query, value=other, key=other, **settings)
        return layers.LayerNormalization()(layers.Add()([query, attended]))

    source = framework.Input((6,), dtype="int32", name="source")
    target = framework.Input((5,), dtype="int32", name="target")
    table = layers.ReversibleEmbedding(12, 8, mask_zero=True, name="table")
    encoded = attention(table(source), table(source), "look_at_source")
    encoded = layers.EinsumDense("abc,cd->abd", (None, 8), bias_axes="d", activation="relu")(encoded)
    decoded = attention(table(target), table(target), "look_back", use_causal_mask=True)
    decoded = attention(decoded, encoded, "look_across")
    decoded = layers.GroupQueryAttention(4, 4, 2, sliding_window=3, name="grouped")(decoded, decoded)
    decoded = layers.Attention(use_scale=True)([decoded, encoded])
    decoded = layers.Add()([decoded, layers.AdditiveAttention()([decoded, encoded])])
    return framework.Model([source, target], table(decoded, reverse=True))


def tokens():
    generator = np.random.default_rng(11)
    source, target = generator.integers(1, 12, size=(16, 6)), generator.integers(1, 12, size=(16, 5))
    for row in range(16):
        source[row, generator.integers(2, 7) :] = 0
        target[row, generator.integers(2, 6) :] = 0
    return source.astype("int32"), target.astype("int32")


@pytest.fixture
def models():
    keras.utils.clear_session()
    un.utils.clear_session()
    ours, theirs = transformer(un), transformer(keras)
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    generator = np.random.default_rng(12)
    values = [generator.uniform(-0.5, 0.5, size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs


def test_a_transformer_predicts_what_keras_predicts(models):
    """With a mask that comes from the embedding, and ends where Keras lets it end."""
    ours, theirs = models
    x = list(tokens())
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_a_transformer_trains_as_in_keras(models):
    ours, theirs = models
    x = list(tokens())
    y = np.roll(x[1], -1, axis=1)
    histories = []
    for framework, model in ((un, ours), (keras, theirs)):
        loss = framework.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(framework.optimizers.SGD(0.1), loss, metrics=["accuracy"])
        with right_gradients():
            histories.append(model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history)
    for name, values in histories[1].items():
        np.testing.assert_allclose(histories[0][name], values, rtol=1e-4)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_transformer_goes_both_ways_through_files(models, tmp_path):
    ours, theirs = models
    x = list(tokens())
    expected = theirs.predict(x, verbose=0)
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    theirs.save(tmp_path / "theirs.keras")
    again = un.models.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.set_weights([np.zeros_like(w) for w in ours.get_weights()])
    ours.load_weights(tmp_path / "theirs.weights.h5")
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_a_block_of_ones_own_as_in_the_books(tmp_path):
    """Parts in __init__, a mask of pairs made of the mask of steps, keywords throughout."""

    def block(framework):
        layers = framework.layers

        class Decoder(layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.self_attention = layers.MultiHeadAttention(2, 4)
                self.cross_attention = layers.MultiHeadAttention(2, 4)
                self.norm = layers.LayerNormalization()
                self.supports_masking = True

            def call(self, inputs, encoded, mask=None):
                x = self.norm(
                    inputs + self.self_attention(query=inputs, value=inputs, key=inputs, use_causal_mask=True)
                )
                pairs = None if mask is None else mask[:, None, :]
                return self.norm(x + self.cross_attention(query=x, value=encoded, key=encoded, attention_mask=pairs))

        return Decoder()

    ours, theirs = block(un), block(keras)
    x, encoded = torch.tensor(QUERY[:, :, :6]), torch.tensor(SAME_KEY)
    steps = torch.tensor(STEPS)
    ours(x, encoded, mask=steps), theirs(x, encoded, mask=steps)
    # Keras takes parts in the order of their attributes as well
    values = [np.random.default_rng(3).uniform(-1, 1, size=w.shape) for w in theirs.weights]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    ours.set_weights(values), theirs.set_weights(values)
    torch.testing.assert_close(ours(x, encoded, mask=steps), theirs(x, encoded, mask=steps), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours(x, encoded), theirs(x, encoded), rtol=1e-4, atol=1e-5)
