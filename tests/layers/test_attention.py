"""Attention: how it behaves on torch, and what it says to mistakes."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch

import uncrumple as un
from uncrumple import layers as L
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.layers.attention.scaled_dot_product import attend
from uncrumple.measures.pairing import keras_mask


@pytest.fixture
def query():
    return torch.randn(2, 4, 6)


@pytest.fixture
def value():
    return torch.randn(2, 5, 6)


MAKE = {
    "heads": lambda **k: L.MultiHeadAttention(2, 3, **k),
    "groups": lambda **k: L.GroupQueryAttention(3, 4, 2, **k),
}
both = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


# --- by hand --------------------------------------------------------------------------------


def test_one_head_is_a_softmax_between_matrix_products(query, value):
    layer = L.MultiHeadAttention(1, 3)
    output, scores = layer(query, value, return_attention_scores=True)
    q, k, v = (
        torch.einsum("abc,cde->abde", x, part.kernel)[:, :, 0] + part.bias
        for x, part in ((query, layer.query_dense), (value, layer.key_dense), (value, layer.value_dense))
    )
    weights = torch.softmax(q @ k.transpose(1, 2) / 3**0.5, -1)
    torch.testing.assert_close(scores[:, 0], weights)
    expected = (weights @ v) @ layer.output_dense.kernel[0] + layer.output_dense.bias
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(layer(query, value), expected)


@both
def test_a_step_sees_only_what_it_may(make, query):
    layer = make(sliding_window=2)
    layer(query, query)
    changed = query.clone()
    changed[:, 2] += 1.0
    for settings, moved in (({}, [1, 2, 3]), ({"use_causal_mask": True}, [2, 3])):
        out = layer(changed, query, **settings) - layer(query, query, **settings)
        assert [bool(step.any()) for step in out[0]] == [step == 2 for step in range(4)]
        out = layer(query, changed, **settings) - layer(query, query, **settings)
        assert [step for step in range(4) if out[0, step].any()] == moved


def test_with_as_many_heads_for_keys_groups_are_heads(query, value):
    heads, groups = L.MultiHeadAttention(2, 3), L.GroupQueryAttention(3, 2, 2)
    heads(query, value), groups(query, value)
    groups.set_weights(heads.get_weights())
    torch.testing.assert_close(groups(query, value), heads(query, value))


# --- dropout --------------------------------------------------------------------------------


@both
def test_dropout_is_for_training_and_keeps_the_mean(make, query, value):
    layer = make(dropout=0.4, seed=3)
    quiet = layer(query, value)
    torch.testing.assert_close(quiet, layer(query, value))
    draws = torch.stack([layer(query, value, training=True) for _ in range(400)])
    assert draws.std(0).min() > 0
    torch.testing.assert_close(draws.mean(0), quiet, rtol=0, atol=0.15)
    _, scores = layer(query, value, training=True, return_attention_scores=True)
    torch.testing.assert_close(scores.sum(-1), torch.ones(scores.shape[:-1]))  # as they were before the dropout
    again = make(dropout=0.4, seed=3)
    again(query, value)
    again.set_weights(layer.get_weights())
    assert torch.equal(again(query, value, training=True), draws[0])


@pytest.mark.parametrize("make", [L.Attention, L.AdditiveAttention])
def test_dropout_of_attention_without_projections(make, query, value):
    layer = make(dropout=0.5, seed=1)
    quiet = layer([query, value])
    first = layer([query, value], training=True)
    draws = torch.stack([layer([query, value], training=True) for _ in range(600)])
    torch.testing.assert_close(draws.mean(0), quiet, rtol=0, atol=0.3)
    again = make(dropout=0.5, seed=1)
    again([query, value])
    again.set_weights(layer.get_weights())
    assert torch.equal(again([query, value], training=True), first)
    assert not torch.equal(again([query, value], training=True), first)
    _, weights = layer([query, value], training=True, return_attention_scores=True)
    assert set(weights.count_nonzero(-1).flatten().tolist()) != {5}


# --- torch ----------------------------------------------------------------------------------


@both
def test_weights_by_their_names_in_torch_and_keras(make, query, value):
    layer = make(name="mine", use_gate=True)
    layer(query, value)
    names = [
        f"{part}/{kind}"
        for part in ("query", "key", "gate", "value", "attention_output")
        for kind in ("kernel", "bias")
    ]
    assert [weight.path for weight in layer.weights] == [f"mine/{name}" for name in names]
    assert list(layer.state_dict())[:2] == ["_query_dense.kernel", "_query_dense.bias"]
    layer.trainable = False
    assert not layer.trainable_weights and not any(weight.requires_grad for weight in layer.parameters())
    frozen = make(trainable=False)
    frozen(query, value)
    assert not frozen.trainable_weights


@both
def test_torch_can_compile_it_with_masks(make, query, value):
    torch.compiler.reset()
    layer = make()
    layer(query, value)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    steps = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    for settings in ({}, {"use_causal_mask": True}, {"attention_mask": torch.ones(2, 1, 5)}):
        torch.testing.assert_close(compiled(query, value, **settings), layer(query, value, **settings))
    one, other = query.clone(), query.clone()
    one._keras_mask, other._keras_mask = steps, steps
    out = compiled(one, value)
    torch.testing.assert_close(out, layer(other, value))
    assert torch.equal(out._keras_mask, steps)
    plain = L.Attention(use_scale=True)
    plain([query, value])
    compiled = torch.compile(plain, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled([query, value]), plain([query, value]))


@both
def test_functions_of_torch_func(make, query, value):
    layer = make()
    layer(query, value)
    weights = dict(layer.named_parameters())
    seen = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]).bool()[:, None, :]

    def loss(weights, query, value, seen):
        out = torch.func.functional_call(layer, weights, (query, value), {"attention_mask": seen})
        return out.square().sum()

    gradients = torch.func.grad(loss)(weights, query, value, seen)
    expected = torch.autograd.grad(layer(query, value, attention_mask=seen).square().sum(), list(layer.parameters()))
    for name, other in zip(weights, expected):
        torch.testing.assert_close(gradients[name], other, rtol=1e-4, atol=1e-4)
    each = torch.func.vmap(
        torch.func.grad(lambda w, q, v, s: loss(w, q[None], v[None], s[None])), in_dims=(None, 0, 0, 0)
    )(weights, query, value, seen)
    for name, other in zip(weights, expected):
        torch.testing.assert_close(each[name].sum(0), other, rtol=1e-4, atol=1e-4)
    out, change = torch.func.jvp(lambda q: layer(q, value, use_causal_mask=True), (query,), (torch.ones_like(query),))
    assert out.shape == change.shape and torch.isfinite(change).all()


def test_second_derivatives_without_the_flash_function(query):
    x = query.requires_grad_()
    layer = L.MultiHeadAttention(2, 3, flash_attention=False)
    (gradient,) = torch.autograd.grad(layer(x, x).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_flash_attention_is_torchs_to_choose_unless_told(query, value):
    layers = [L.MultiHeadAttention(2, 4, flash_attention=flash) for flash in (None, True, False)]
    for layer in layers:
        layer(query, value)
        layer.set_weights(layers[0].get_weights())
        torch.testing.assert_close(layer(query, value), layers[0](query, value))
        assert "flash_attention" not in layer.get_config()
    assert un.config.is_flash_attention_enabled() is None
    try:
        un.config.enable_flash_attention()
        assert L.MultiHeadAttention(2, 4)._flash_attention is un.config.is_flash_attention_enabled() is True
        assert L.MultiHeadAttention(2, 4, flash_attention=False)._flash_attention is False
        with pytest.raises(ValueError, match=r"got dropout=0\.1 together with flash attention"):
            L.GroupQueryAttention(2, 4, 2, dropout=0.1)
        un.config.disable_flash_attention()
        assert L.GroupQueryAttention(2, 4, 2)._flash_attention is False
        x = query.requires_grad_()
        (gradient,) = torch.autograd.grad(L.Attention()([x, x]).sum(), x, create_graph=True)
        gradient.sum().backward()
    finally:
        un.core.flash._enabled = None


@pytest.mark.parametrize("mean", [True, False])
def test_a_query_that_sees_nothing_has_the_gradient_of_a_softmax_of_equal_scores(mean):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 4, 2, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3))
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]]).bool()
    out = attend(q, k, v, mask, scale=0.7, mean_if_unseen=mean)
    scores = 0.7 * q @ k.transpose(-2, -1)
    far = scores.masked_fill(~mask, -1e300)
    # Equal scores with the gradient of the others
    scores = torch.where(mask.any(-1, keepdim=True), far, scores - scores.detach())
    weights = torch.softmax(scores, -1)
    expected = (weights if mean else weights * mask) @ v
    torch.testing.assert_close(out, expected)
    mix = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    for one, other in zip(
        torch.autograd.grad((out * mix).sum(), (q, k, v)), torch.autograd.grad((expected * mix).sum(), (q, k, v))
    ):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v, mask, scale=0.7, mean_if_unseen=mean), expected)


def test_a_mathematics_of_ones_own(query, value):
    """As Keras's documentation has it: a subclass may override `_compute_attention`."""

    class Uniform(L.MultiHeadAttention):
        def _compute_attention(
            self, query, key, value, attention_mask=None, training=None, return_attention_scores=False
        ):
            self.mask = attention_mask
            return value.mean(1, keepdim=True).expand(-1, query.shape[1], -1, -1), None

    layer = Uniform(2, 3)
    out = layer(query, value, use_causal_mask=True)
    assert torch.equal(layer.mask, torch.ones(4, 5).tril().bool()[None])  # it cannot make the causal mask by itself
    torch.testing.assert_close(out[:, 0], out[:, 3])


def test_copies_keep_their_own_generator(query, value):
    layer = L.MultiHeadAttention(2, 3, dropout=0.5, seed=0)
    layer(query, value)
    again = copy.deepcopy(layer)
    assert torch.equal(layer(query, value, training=True), again(query, value, training=True))


# --- masks ----------------------------------------------------------------------------------


def test_the_mask_of_an_embedding_reaches_attention_and_goes_on():
    tokens = torch.tensor([[3, 1, 0, 0], [2, 5, 4, 0]])
    embedded = L.Embedding(6, 8, mask_zero=True)(tokens)
    layer = L.MultiHeadAttention(2, 3)
    out = layer(embedded, embedded)
    assert torch.equal(out._keras_mask, tokens != 0)
    assert keras_mask(out) is out._keras_mask
    assert keras_mask(embedded) is None and embedded._keras_mask is not None  # used up, as in Keras
    embedded._keras_mask = tokens != 0
    assert keras_mask(embedded) is not None  # a new one
    _, scores = layer(embedded, embedded, return_attention_scores=True)
    assert not scores[0, :, :, 2:].any() and not scores[0, :, 2:].any() and scores[0, :, :2, :2].all()
    grouped = L.GroupQueryAttention(3, 2, 1)
    embedded._keras_mask = tokens != 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncrumpleWarning)
        assert torch.equal(grouped(embedded, embedded)._keras_mask, tokens != 0)
    assert keras_mask(embedded) is not None


def test_a_mask_that_is_used_up_is_not_missed():
    """Layers that know no masks warn of those that come; attention has taken care of this one."""
    tokens = torch.tensor([[3, 1, 0, 0], [2, 5, 4, 0]])
    project = L.EinsumDense("abc,cd->abd", (None, 3))
    embedded = L.Embedding(6, 8, mask_zero=True)(tokens)
    with pytest.warns(UncrumpleWarning, match="does not support masking"):
        project(embedded)
    L.MultiHeadAttention(2, 3)(embedded, embedded)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncrumpleWarning)
        project(embedded)


def test_symbolic_masks_reach_attention_in_a_model():
    inputs = L.Input((4,), dtype="int32")
    embedded = L.Embedding(6, 8, mask_zero=True)(inputs)
    model = un.Model(inputs, [L.MultiHeadAttention(2, 3)(embedded, embedded, use_causal_mask=True), embedded])
    tokens = np.array([[3, 1, 0, 0], [3, 1, 2, 5]])
    one, _ = model.predict(tokens, verbose=0)
    other, _ = model.predict(np.array([[3, 1, 4, 5], [3, 1, 2, 5]]), verbose=0)
    np.testing.assert_allclose(one[0, :2], other[0, :2], rtol=1e-5)


def test_masks_of_several_inputs_reach_a_layer_of_ones_own():
    """As in Keras: `call` may have an argument `<name>_mask` for each input."""

    class Pair(L.Layer):
        def call(self, left, right=None, left_mask=None, right_mask=None):
            self.seen = left_mask, right_mask
            return left

    layer = Pair()
    left, right = torch.ones(1, 2, 3), torch.ones(1, 2, 3)
    right._keras_mask = torch.tensor([[True, False]])
    layer(left, right)
    assert layer.seen[0] is None and layer.seen[1] is right._keras_mask
    layer(left, right=right)
    assert layer.seen[1] is right._keras_mask
    given = torch.ones(1, 2)
    layer(left, right, right_mask=given)
    assert layer.seen[1] is given
    left._keras_mask = right._keras_mask
    layer.supports_masking = True
    layer(left)  # a single input: only an argument `mask` would get it
    assert layer.seen == (None, None)


# --- every layer ----------------------------------------------------------------------------


def test_the_first_input_may_be_named():
    dense = L.Dense(3)
    x = torch.ones(2, 4)
    x._keras_mask = torch.tensor([True, False])
    torch.testing.assert_close(dense(inputs=x), dense(x))
    assert dense(inputs=x)._keras_mask is x._keras_mask
    assert L.Dense(3)(inputs=L.Input((4,))).shape == (None, 3)
    assert L.Dense(3, dtype="mixed_bfloat16")(inputs=x).dtype is torch.bfloat16


def test_named_inputs_are_cast_too():
    layer = L.MultiHeadAttention(2, 3, dtype="mixed_bfloat16")
    assert layer(query=torch.ones(2, 4, 6), value=torch.ones(2, 5, 6)).dtype is torch.bfloat16
    assert layer(torch.ones(2, 4, 6), value=np.ones((2, 5, 6)), key=np.ones((2, 5, 6))).dtype is torch.bfloat16


# --- mistakes -------------------------------------------------------------------------------


def said(make):
    with pytest.raises((ValueError, TypeError, RuntimeError)) as caught:
        make()
    return str(caught.value).split("\n")


def heads(**settings):
    return L.MultiHeadAttention(2, 3, name="mha", **settings)


def on(*shapes, make=heads, **settings):
    """Call a layer on zeros of these shapes."""
    return lambda: make()(*[torch.zeros(shape) for shape in shapes], **settings)


def built(*shapes, **settings):
    def call():
        layer = heads()
        layer(torch.zeros(2, 4, 6), torch.zeros(2, 5, 7), torch.zeros(2, 5, 8))
        layer(*[torch.zeros(shape) for shape in shapes], **settings)

    return call


Q, V = (2, 4, 6), (2, 5, 7)
PAIRS = "(samples, query steps, key steps); 1 where it is the same for all, and heads after the samples."
TEXTS = [
    (
        on(Q),
        [
            "MultiHeadAttention 'mha' got a query of shape (2, 4, 6) and no value.",
            "Expected both; a sequence that attends to itself is both.",
            "Fix: mha(x, x)",
        ],
    ),
    (built(Q), on(Q)),
    (lambda: heads()(L.Input((4, 6))), ["(None, 4, 6)", "", ""]),
    (
        lambda: heads()([torch.zeros(Q), torch.zeros(V)]),
        [
            "MultiHeadAttention 'mha' got a list of 2 as its query.",
            "Expected query, value and perhaps key one by one, each a tensor.",
            "Fix: mha(query, value)",
        ],
    ),
    (lambda: heads()(torch.zeros(Q), (torch.zeros(V),)), ["got a tuple of 1 as its value.", "", ""]),
    (lambda: heads()(torch.zeros(Q), 3), ["got 3 as its value.", "", ""]),
    (lambda: heads()(None, torch.zeros(Q)), ["got None as its query.", "", ""]),
    (lambda: heads()(torch.zeros(Q), L.Dense(3)), ["got the layer as its value.", "", ""]),
    (
        on((4, 6), (5, 7)),
        [
            "MultiHeadAttention 'mha' got a query of shape (4, 6).",
            "Expected at least 3 axes: (samples, steps, features), got 2.",
            "Fix: x[:, None, :] for a single step, or x[None] for a single sample",
        ],
    ),
    (
        on(Q, (2, 7)),
        [
            "MultiHeadAttention 'mha' got a query of shape (2, 4, 6) and a value of shape (2, 7).",
            "Expected as many axes in each.",
            "Fix: value[:, None, :] for a single step",
        ],
    ),
    (
        on(Q, (2, 3, 5, 7)),
        [
            "MultiHeadAttention 'mha' got a query of shape (2, 4, 6) and a value of shape (2, 3, 5, 7).",
            "Expected as many axes in each.",
            "Fix: bring the value to 3 axes",
        ],
    ),
    (
        on(Q, (3, 5, 7)),
        [
            "MultiHeadAttention 'mha' got a query of shape (2, 4, 6) and a value of shape (3, 5, 7).",
            "Expected as many samples in both.",
            "Fix: a query and a value of the same rows",
        ],
    ),
    (
        built(Q, V, (2, 4, 8)),
        [
            "MultiHeadAttention 'mha' got a value of shape (2, 5, 7) and a key of shape (2, 4, 8).",
            "Expected as many steps in both.",
            "Fix: the same sequence as value and key",
        ],
    ),
    (
        built(Q, V, (2, 5, 7)),
        [
            "MultiHeadAttention 'mha' got a key of shape (2, 5, 7).",
            "Expected 8 features, as it was built for.",
            "Fix: Dense(8)(key) before it, or a new MultiHeadAttention",
        ],
    ),
    (
        built((2, 3, 4, 6), (2, 3, 5, 7)),
        [
            "MultiHeadAttention 'mha' got a query of shape (2, 3, 4, 6).",
            "Expected 3 axes, as it was built for, got 4.",
            "Fix: a new MultiHeadAttention for inputs with 4 axes",
        ],
    ),
    (
        on((2, 3, 4, 6), (2, 2, 4, 6), make=lambda: heads(attention_axes=2)),
        [
            "MultiHeadAttention 'mha' got a query of shape (2, 3, 4, 6) and a value of shape (2, 2, 4, 6).",
            "Expected the same size on axis 1 in both.",
            "Fix: attention_axes with the axes on which the two may differ",
        ],
    ),
    (
        lambda: heads()(L.Input((4, None)), L.Input((5, 7))),
        [
            "MultiHeadAttention 'mha' got a query of shape (None, 4, None).",
            "Expected a known number of features: the weights depend on it.",
            "Fix: Input((None, 64))",
        ],
    ),
    (
        on(Q, V, attention_mask=torch.ones(2, 5, 4)),
        [
            "MultiHeadAttention 'mha' got an attention_mask of shape (2, 5, 4).",
            f"Expected (2, 4, 5): {PAIRS}",
            "Fix: attention_mask.transpose(1, 2): queries come before keys",
        ],
    ),
    (
        on(Q, V, attention_mask=torch.ones(2, 5)),
        [
            "MultiHeadAttention 'mha' got an attention_mask of shape (2, 5).",
            f"Expected (2, 4, 5): {PAIRS}",
            "Fix: attention_mask[:, None, :], for a mask of keys that is the same for all queries",
        ],
    ),
    (
        built(Q, V, (2, 5, 8), attention_mask=torch.ones(2, 3, 4, 5)),
        [
            "MultiHeadAttention 'mha' got an attention_mask of shape (2, 3, 4, 5).",
            f"Expected (2, 4, 5): {PAIRS}",
            "Fix: attention_mask of shape (2, 4, 5), true where a query sees a key",
        ],
    ),
    (
        lambda: heads()(L.Input((4, 6)), L.Input((5, 7)), attention_mask=L.Input((4, 4), dtype="bool")),
        ["got an attention_mask of shape (None, 4, 4).", f"Expected (None, 4, 5): {PAIRS}", ""],
    ),
    (
        on(Q, V, (2, 5, 8), (2, 4, 5)),
        [
            "MultiHeadAttention 'mha' got a query_mask of shape (2, 4, 5) and a query of shape (2, 4, 6).",
            "Expected (2, 4): one boolean per step.",
            "Fix: attention_mask=..., for a mask of pairs of steps; or a query_mask without the axis of features",
        ],
    ),
    (
        on(Q, V, key_mask=torch.ones(2, 4)),
        ["got a key_mask of shape (2, 4) and a key of shape (2, 5, 7).", "Expected (2, 5): one boolean per step.", ""],
    ),
    (
        on(Q, V, mask=torch.ones(2, 4)),
        [
            "MultiHeadAttention 'mha' got an unknown argument 'mask'.",
            "Expected one of 10 arguments, such as: key_mask, query_mask, value_mask.",
            "Fix: did you mean 'key_mask='?",
        ],
    ),
    (
        on((2, 3, 4, 6), (2, 3, 4, 6), use_causal_mask=True),
        [
            "MultiHeadAttention 'mha' got use_causal_mask=True, and attends over the axes (1, 2).",
            "Expected one axis, for there to be a before and an after.",
            "Fix: attention_axes=1, or attention_mask=...",
        ],
    ),
    (
        on((2, 3, 4, 6), (2, 3, 4, 6), make=lambda: heads(sliding_window=2)),
        ["got sliding_window=2, and attends over the axes (1, 2).", "", ""],
    ),
    (
        on(Q, V, make=lambda: heads(attention_axes=(1, 2))),
        [
            "MultiHeadAttention 'mha' got a query of shape (2, 4, 6) and attention_axes=(1, 2).",
            "Expected 1: between samples and features.",
            "Fix: MultiHeadAttention(..., attention_axes=1)",
        ],
    ),
    (
        on((2, 3, 4, 6), (2, 3, 4, 6), make=lambda: heads(attention_axes=0)),
        ["", "Expected different axes from 1 to 2: between samples and features.", "attention_axes=(1, 2))"],
    ),
    (
        on(Q, V, make=lambda: heads(flash_attention=True), return_attention_scores=True),
        [
            "MultiHeadAttention 'mha' got return_attention_scores=True, and uses flash attention.",
            "Expected no scores: the flash function never has them all.",
            "Fix: MultiHeadAttention(..., flash_attention=None)",
        ],
    ),
    (
        on(Q, V, make=lambda: heads(flash_attention=True, value_dim=5)),
        [
            "flash_attention=True, and torch has no flash attention for float32 on cpu "
            "with 3 features per query and 5 per value.",
            "Expected as many of both; on a GPU bfloat16 or float16, and no mask but the causal one.",
            "Fix: flash_attention=None: torch chooses the fastest function that fits",
        ],
    ),
    (
        lambda: L.MultiHeadAttention(0, 3),
        [
            "MultiHeadAttention got num_heads=0.",
            "Expected a whole number of at least 1.",
            "Fix: MultiHeadAttention(num_heads=8)",
        ],
    ),
    (lambda: L.MultiHeadAttention(2, 3.5), ["MultiHeadAttention got key_dim=3.5.", "", "(key_dim=64)"]),
    (lambda: L.MultiHeadAttention(2, 3, 0), ["MultiHeadAttention got value_dim=0.", "", "(value_dim=64)"]),
    (
        lambda: L.MultiHeadAttention(2),
        [
            "MultiHeadAttention got no key_dim.",
            "Expected key_dim: it has no default.",
            "Fix: MultiHeadAttention(2, key_dim=",
        ],
    ),
    (
        lambda: L.MultiHeadAttention(2, 3, dropout=10),
        [
            "MultiHeadAttention got dropout=10.",
            "Expected a number from 0 to 1: the share to drop.",
            "Fix: MultiHeadAttention(..., dropout=0.1)",
        ],
    ),
    (
        lambda: L.MultiHeadAttention(2, 3, output_shape=(3, 0)),
        [
            "MultiHeadAttention got output_shape=(3, 0).",
            "Expected a whole number of at least 1, several of them, or None.",
            "Fix: MultiHeadAttention(8, 64, output_shape=64)",
        ],
    ),
    (
        lambda: L.MultiHeadAttention(2, 3, attention_axes="steps"),
        [
            "MultiHeadAttention got attention_axes='steps'.",
            "Expected a whole number, several of them, or None.",
            "Fix: MultiHeadAttention(8, 64, attention_axes=1)",
        ],
    ),
    (
        lambda: L.MultiHeadAttention(2, 3, sliding_window=0),
        [
            "MultiHeadAttention got sliding_window=0.",
            "Expected a whole number of at least 1.",
            "Fix: MultiHeadAttention(sliding_window=128)",
        ],
    ),
    (
        lambda: L.MultiHeadAttention(2, 3, seed="a"),
        [
            "MultiHeadAttention got seed='a'.",
            "Expected a whole number, or None.",
            "Fix: MultiHeadAttention(..., seed=0)",
        ],
    ),
    (
        lambda: L.MultiHeadAttention(2, 3, flash_attention=True, dropout=0.1),
        [
            "MultiHeadAttention got dropout=0.1 together with flash attention.",
            "Expected dropout=0: the flash function cannot drop scores.",
            "Fix: flash_attention=None, or dropout=0.0",
        ],
    ),
    (
        lambda: L.GroupQueryAttention(3, 8, 3),
        [
            "GroupedQueryAttention got num_query_heads=8 and num_key_value_heads=3.",
            "Expected num_query_heads to be a multiple of num_key_value_heads: each group has as many heads.",
            "Fix: GroupedQueryAttention(3, 8, 2)",
        ],
    ),
    (
        on((2, 3, 4, 6), (2, 3, 4, 6), make=lambda: L.GroupQueryAttention(3, 4, 2, name="gqa")),
        [
            "GroupedQueryAttention 'gqa' got a query of shape (2, 3, 4, 6).",
            "Expected 3 axes: (samples, steps, features), got 4.",
            "Fix: MultiHeadAttention(..., attention_axes=...) for inputs with more axes",
        ],
    ),
    (on(Q, make=lambda: L.GroupQueryAttention(3, 4, 2)), ["got a query of shape (2, 4, 6) and no value.", "", ""]),
]


@pytest.mark.filterwarnings("ignore:.*lash attention")
@pytest.mark.parametrize(("make", "expected"), TEXTS, ids=[str(number) for number in range(len(TEXTS))])
def test_what_several_heads_say(make, expected):
    lines = said(make)
    assert len(lines) == 3
    if callable(expected):
        assert lines == said(expected)
    else:  # a whole line begins with a name; of the others the end is given
        for line, wanted in zip(lines, expected, strict=True):
            whole = wanted.startswith(("MultiHead", "Grouped", "Expected", "Fix: ", "flash_"))
            assert line == wanted if whole and not wanted.endswith("=") else wanted in line


def plain(**settings):
    return L.Attention(name="look", **settings)


def listed(*shapes, make=plain, **settings):
    return lambda: make()([torch.zeros(shape) for shape in shapes], **settings)


PLAIN_TEXTS = [
    (
        on(Q, make=plain),
        [
            "Attention 'look' got one tensor of shape (2, 4, 6).",
            "Expected a list: query, value and perhaps key.",
            "Fix: look([query, value]); look([x, x]) for a sequence that attends to itself",
        ],
    ),
    (
        listed(Q),
        [
            "Attention 'look' got a list of 1.",
            "Expected 2 or 3 tensors: query, value and perhaps key.",
            "Fix: look([query, value])",
        ],
    ),
    (
        listed((4, 6), (5, 6)),
        [
            "Attention 'look' got a query of shape (4, 6).",
            "Expected at least 3 axes: (samples, steps, features), got 2.",
            "Fix: x[:, None, :] for a single step, or x[None] for a single sample",
        ],
    ),
    (
        listed(Q, V),
        [
            "Attention 'look' got a query of shape (2, 4, 6) and a value of shape (2, 5, 7).",
            "Expected as many features in both.",
            "Fix: Dense(...) before it brings both to the same number",
        ],
    ),
    (
        listed(Q, V, (2, 4, 6)),
        [
            "Attention 'look' got a value of shape (2, 5, 7) and a key of shape (2, 4, 6).",
            "Expected as many steps in both.",
            "Fix: value and key of the same sequence",
        ],
    ),
    (
        listed(Q, (3, 5, 6)),
        [
            "Attention 'look' got a query of shape (2, 4, 6) and a value of shape (3, 5, 6).",
            "Expected as many samples in both.",
            "Fix: inputs of the same rows",
        ],
    ),
    (
        listed(Q, (2, 5, 6), mask=torch.ones(2, 5)),
        [
            "Attention 'look' got a Tensor as its mask.",
            "Expected a list of masks, or None, for query and value.",
            "Fix: look([query, value], mask=[None, value_mask])",
        ],
    ),
    (
        listed(Q, (2, 5, 6), mask=[None]),
        [
            "Attention 'look' got a list of 1 as its mask.",
            "Expected a list of masks, or None, for query and value.",
            "Fix: look([query, value], mask=[None, value_mask])",
        ],
    ),
    (
        listed(Q, (2, 5, 6), mask=[None, torch.ones(2, 4)]),
        [
            "Attention 'look' got a value of shape (2, 5, 6) and a mask of shape (2, 4) for it.",
            "Expected (2, 5): one boolean per step.",
            "Fix: mask=[query_mask, value_mask], in this order",
        ],
    ),
    (
        listed(Q, (2, 5, 6), mask=[torch.ones(2, 5), None]),
        [
            "Attention 'look' got a query of shape (2, 4, 6) and a mask of shape (2, 5) for it.",
            "Expected (2, 4): one boolean per step.",
            "Fix: mask=[query_mask, value_mask], in this order",
        ],
    ),
    (
        lambda: L.Attention(score_mode="dots"),
        ["Attention got score_mode='dots'.", "Expected 'dot' or 'concat'.", "Fix: Attention(..., score_mode='dot')"],
    ),
    (
        lambda: L.AdditiveAttention(score_mode="dot"),
        [
            "AdditiveAttention got an unknown argument 'score_mode'.",
            "Expected one of: use_scale, dropout, activity_regularizer, trainable, dtype, autocast, name, "
            "input_shape, input_dim.",
            "Fix: remove 'score_mode='",
        ],
    ),
    (
        lambda: L.AdditiveAttention(dropout="much"),
        [
            "AdditiveAttention got dropout='much'.",
            "Expected a number from 0 to 1: the share to drop.",
            "Fix: AdditiveAttention(..., dropout=0.1)",
        ],
    ),
    (
        lambda: L.AdditiveAttention(name="add")([L.Input((4, None)), L.Input((3, None))]),
        [
            "AdditiveAttention 'add' got a query of shape (None, 4, None).",
            "Expected a known number of features: the weights depend on it.",
            "Fix: Input((None, 64))",
        ],
    ),
]


@pytest.mark.parametrize(("make", "expected"), PLAIN_TEXTS, ids=[str(number) for number in range(len(PLAIN_TEXTS))])
def test_what_attention_without_projections_says(make, expected):
    assert said(make) == expected


def test_additive_attention_keeps_to_its_features():
    layer = L.AdditiveAttention(name="add")
    layer([torch.zeros(2, 4, 6), torch.zeros(2, 5, 6)])
    assert said(lambda: layer([torch.zeros(2, 4, 3), torch.zeros(2, 5, 3)])) == [
        "AdditiveAttention 'add' got a query of shape (2, 4, 3).",
        "Expected 6 features, as it was built for.",
        "Fix: Dense(6)(query) before it, or a new AdditiveAttention",
    ]


@pytest.mark.parametrize("use_bias", [True, False])
def test_several_axes_come_back_from_a_sequence_that_attends_to_itself(use_bias):
    layer, x = L.MultiHeadAttention(2, 8, output_shape=(2, 3), use_bias=use_bias), torch.randn(2, 5, 16)
    assert layer(x, x).shape == (2, 5, 2, 3)
    torch.testing.assert_close(layer(x, x), layer(x, x.clone()), rtol=1e-4, atol=1e-5)
