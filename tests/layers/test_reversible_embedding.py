"""ReversibleEmbedding: there, back, and what is said on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import uncrumple as un
from uncrumple import layers as L

TOKENS = torch.tensor([[0, 4, 2], [3, 0, 8]])


def test_there_and_back_with_one_table():
    layer = L.ReversibleEmbedding(9, 4)
    vectors = layer(TOKENS)
    torch.testing.assert_close(vectors, layer.embeddings[TOKENS])
    torch.testing.assert_close(layer(vectors, reverse=True), vectors @ layer.embeddings.T)
    assert [weight.name for weight in layer.weights] == ["embeddings"]
    two = L.ReversibleEmbedding(9, 4, tie_weights=False)
    torch.testing.assert_close(two(vectors, reverse=True), vectors @ two.reverse_embeddings)
    assert [tuple(weight.shape) for weight in two.weights] == [(9, 4), (4, 9)]
    assert two.compute_output_shape((None, 3)) == (None, 3, 4)
    assert two.compute_output_shape((None, 3, 4), reverse=True) == (None, 3, 9)


def test_a_cap_keeps_scores_within_bounds():
    layer = L.ReversibleEmbedding(9, 4, logit_soft_cap=2.0, weights=np.full((9, 4), 3.0))
    far = layer(torch.full((1, 2, 4), 10.0), reverse=True)
    assert (far <= 2).all() and (far > 1.99).all()
    near = layer(torch.full((1, 2, 4), 1e-3), reverse=True)
    torch.testing.assert_close(near, torch.full_like(near, 0.012), rtol=1e-4, atol=0)


def test_only_vectors_get_the_mask():
    layer = L.ReversibleEmbedding(9, 4, mask_zero=True)
    vectors = layer(TOKENS)
    assert torch.equal(vectors._keras_mask, TOKENS != 0)
    assert getattr(layer(vectors, reverse=True), "_keras_mask", None) is None


def test_types_of_the_way_back():
    layer = L.ReversibleEmbedding(9, 4, dtype="mixed_bfloat16")
    assert layer(layer(TOKENS), reverse=True).dtype is torch.bfloat16
    layer = L.ReversibleEmbedding(9, 4, dtype="mixed_bfloat16", reverse_dtype="float32")
    assert layer(layer(TOKENS), reverse=True).dtype is torch.float32


def test_a_language_model_with_one_table_learns():
    inputs = L.Input((3,), dtype="int32")
    table = L.ReversibleEmbedding(9, 8)
    model = un.Model(inputs, table(L.Dense(8)(table(inputs)), reverse=True))
    assert model.output_shape == (None, 3, 9)
    assert len(model.weights) == 3
    model.compile(un.optimizers.Adam(0.05), un.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(0).integers(0, 9, size=(64, 3))
    losses = model.fit(x, (x + 1) % 9, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 < losses[0]


def said(make):
    with pytest.raises((ValueError, IndexError)) as caught:
        make()
    return str(caught.value).split("\n")


BACK = "Fix: r(x) for whole numbers; Dense(4)(x) brings vectors to this length"
TEXTS = [
    (
        lambda: L.ReversibleEmbedding(9, 4, name="r")(torch.zeros(2, 3, 6), reverse=True),
        [
            "ReversibleEmbedding 'r' got reverse=True and floats of shape (2, 3, 6).",
            "Expected vectors: (samples, ..., 4).",
            BACK,
        ],
    ),
    (
        lambda: L.ReversibleEmbedding(9, 4, name="r")(TOKENS, reverse=True),
        [
            "ReversibleEmbedding 'r' got reverse=True and whole numbers of shape (2, 3).",
            "Expected vectors: (samples, ..., 4).",
            BACK,
        ],
    ),
    (
        lambda: L.ReversibleEmbedding(9, 4, name="r")(TOKENS + 4),
        [
            "ReversibleEmbedding 'r' got the number 12, for which it has no vector.",
            "Expected whole numbers from 0 to 8 (input_dim=9).",
            "Fix: ReversibleEmbedding(input_dim=13, output_dim=4): the largest number plus 1",
        ],
    ),
    (
        lambda: L.ReversibleEmbedding(9, 4, logit_soft_cap=0),
        [
            "ReversibleEmbedding got logit_soft_cap=0.",
            "Expected a number above 0, or None.",
            "Fix: ReversibleEmbedding(1000, 64, logit_soft_cap=30.0)",
        ],
    ),
    (
        lambda: L.ReversibleEmbedding(9, 4, reverse_dtype="int32"),
        [
            "Unknown reverse_dtype of ReversibleEmbedding: 'int32'.",
            "Expected one of: bfloat16, float16, float32, float64.",
            "Fix: use one of these names",
        ],
    ),
]


@pytest.mark.parametrize(("make", "expected"), TEXTS, ids=[str(number) for number in range(len(TEXTS))])
def test_what_it_says(make, expected):
    assert said(make) == expected
