"""Normalization with what follows it, and convolutions with their greatest step, in chains and in graphs."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

import uncrumple as uc
from uncrumple import layers
from uncrumple.kernels import dense_rows, layer_normalization, native
from uncrumple.layers.attention import together
from uncrumple.models import fusion

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(40, 8, 8, 3)).astype("float32")
TABLE = GENERATOR.normal(size=(40, 6)).astype("float32")
TOKENS = GENERATOR.integers(0, 20, (40, 12))
LABELS = GENERATOR.integers(0, 3, 40)


def plus(one, other):
    return one + other


def together_by_add(one, other):
    return layers.Add()([one, other])


def residual(first=True, relu="Activation", adds=together_by_add):
    inputs = uc.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.BatchNormalization()(layers.Conv2D(5, 3, padding="same")(x))
    y = adds(y, x) if first else adds(x, y)
    y = layers.Activation("relu")(y) if relu == "Activation" else y
    y = layers.Dropout(0.2)(y)
    return uc.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(y)))


def wide():
    return uc.Sequential(
        [
            uc.Input((6,)),
            layers.Dense(9),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dropout(0.3),
            layers.Dense(7),
            layers.BatchNormalization(),
            layers.Dropout(0.1, seed=3),
            layers.Dense(3),
        ]
    )


def text(**settings):
    inputs = uc.Input((12,), dtype="int64")
    x = layers.Embedding(20, 6)(inputs)
    both = [
        layers.GlobalMaxPooling1D()(layers.Conv1D(7, size, **{"activation": "relu", **settings})(x)) for size in (2, 4)
    ]
    return uc.Model(inputs, layers.Dense(3)(layers.Concatenate()(both)))


def encoder():
    inputs = uc.Input((12,), dtype="int64")
    x = layers.Embedding(20, 8)(inputs)
    seen = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, seen]))
    x = layers.LayerNormalization()(layers.Add()([layers.Dense(8, "relu")(x), x]))
    return uc.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def transformer(first=True, rate=0.0, size=16, mask_zero=False, use_bias=True, center=True, adds=together_by_add):
    """Two blocks, as in the paper that they come from."""
    inputs = uc.Input((12,), dtype="int64")
    x = layers.Embedding(20, size, mask_zero=mask_zero)(inputs)
    for _ in range(2):
        seen = layers.MultiHeadAttention(2, 4, dropout=rate, use_bias=use_bias)(x, x)
        x = layers.LayerNormalization(center=center)(adds(x, seen) if first else adds(seen, x))
        y = layers.Dense(size, use_bias=use_bias)(layers.Dense(32, "relu")(x))
        x = layers.LayerNormalization(scale=center)(adds(x, y) if first else adds(y, x))
    return uc.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


@pytest.fixture(autouse=True)
def _for_small_ones_too(monkeypatch):
    monkeypatch.setattr(layer_normalization, "_WORTH_IT", 1)
    monkeypatch.setattr(dense_rows, "_LEAST_ROWS", 1)


def trained(model, x, fused, monkeypatch, policy="float32"):
    with monkeypatch.context() as patch:
        if not fused:
            patch.setattr(fusion.Link, "_is_watched", lambda self: True)
        uc.utils.set_random_seed(0)
        uc.config.set_dtype_policy(policy)
        try:
            made = model()
        finally:
            uc.config.set_dtype_policy("float32")
        made.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        history = made.fit(x, LABELS, batch_size=16, epochs=3, verbose=0)
        return made.predict(x, verbose=0), history.history, made.get_weights()


CASES = {
    "residual": (residual, IMAGES),
    "residual with +": (lambda: residual(adds=plus), IMAGES),
    "residual with +, other order": (lambda: residual(False, adds=plus), IMAGES),
    "residual, other order": (lambda: residual(False), IMAGES),
    "residual without relu": (lambda: residual(relu=None), IMAGES),
    "wide": (wide, TABLE),
    "encoder": (encoder, TOKENS),
    "transformer with +": (lambda: transformer(adds=plus), TOKENS),
    "transformer with +, other order": (lambda: transformer(False, adds=plus), TOKENS),
    "transformer": (transformer, TOKENS),
    "transformer, other order": (lambda: transformer(False), TOKENS),
    "transformer, odd sizes": (lambda: transformer(size=14), TOKENS),
    "transformer, fewer weights": (lambda: transformer(use_bias=False, center=False), TOKENS),
    "transformer, dropped scores": (lambda: transformer(rate=0.2), TOKENS),
    "transformer, masked": (lambda: transformer(mask_zero=True), TOKENS),
    "text": (text, TOKENS),
    "text, same": (lambda: text(padding="same"), TOKENS),
    "text, causal": (lambda: text(padding="causal", dilation_rate=2), TOKENS),
    "text, no relu": (lambda: text(activation=None, use_bias=False, strides=2), TOKENS),
}


@pytest.mark.parametrize("case", CASES)
def test_same_training_and_prediction(case, monkeypatch):
    fused, plain = (trained(*CASES[case], way, monkeypatch) for way in (True, False))
    np.testing.assert_allclose(fused[0], plain[0], rtol=2e-3, atol=2e-4)
    for name, values in fused[1].items():
        np.testing.assert_allclose(values, plain[1][name], rtol=1e-3, err_msg=name)
    for one, other in zip(fused[2], plain[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    "case", ["residual", "wide", "encoder", "transformer", "transformer with +", "residual with +", "text"]
)
def test_mixed_precision_learns_the_same(case, monkeypatch):
    fused, plain = (trained(*CASES[case], way, monkeypatch, "mixed_bfloat16") for way in (True, False))
    np.testing.assert_allclose(fused[1]["loss"], plain[1]["loss"], rtol=0.02)
    assert all(weight.dtype == np.float32 for weight in fused[2])


def steps(model):
    return [type(step.layer).__name__ for step in model._graph._steps]


def test_what_goes_together():
    assert steps(residual()) == [
        *("Conv2D", "FusedNormalization", "Conv2D", "FusedNormalization"),
        *("GlobalAveragePooling2D", "Dense"),
    ]
    parts = [type(part).__name__ for part in residual()._graph._steps[3].layer.parts]
    assert parts == ["BatchNormalization", "Add", "Activation", "Dropout"]
    links = [type(one).__name__ for one in wide()._graph._links]
    assert links == ["Dense", "FusedNormalization", "Dense", "FusedNormalization", "Dense"]
    assert steps(text()).count("FusedGreatest") == 2
    assert steps(encoder()) == [
        *("Embedding", "FusedAttention", "Dense", "FusedSum"),
        *("GlobalAveragePooling1D", "Dense"),
    ]
    for first in (True, False):
        blocks = ["FusedAttention", "FusedFeedForward"] * 2
        for adds in (plus, together_by_add):
            found = steps(transformer(first, adds=adds))
            assert found == ["Embedding", *blocks, "GlobalAveragePooling1D", "Dense"]
            assert steps(residual(first, adds=adds)) == steps(residual())


def half_a_block(*between, dense=("relu", None), other=None, value=None):
    inputs = uc.Input((12, 8))
    y = inputs
    for activation in dense:
        y = layers.Dense(8, activation)(y)
    for layer in between:
        y = layer(y)
    y = layers.LayerNormalization()(layers.Add()([y, inputs if other is None else other(inputs)]))
    seen = layers.MultiHeadAttention(2, 4)(y, y if value is None else value(y))
    return steps(uc.Model(inputs, layers.LayerNormalization()(layers.Add()([seen, y]))))


def test_only_what_is_known_of_a_transformer_goes_together():
    assert half_a_block() == ["FusedFeedForward", "FusedAttention"]
    for dense in (("gelu", None), (None, None), ("relu", "relu")):
        assert half_a_block(dense=dense) == ["Dense", "Dense", "FusedSum", "FusedAttention"]
    assert half_a_block(layers.Dropout(0.1))[:4] == ["Dense", "Dense", "Dropout", "FusedSum"]
    assert half_a_block(other=layers.ReLU())[:4] == ["Dense", "Dense", "ReLU", "FusedSum"]
    assert half_a_block(value=layers.ReLU())[1:] == ["ReLU", "MultiHeadAttention", "FusedSum"]


class Doubling(layers.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Halving(layers.MultiHeadAttention):
    def _compute_attention(self, *args, **kwargs):
        output, scores = super()._compute_attention(*args, **kwargs)
        return output / 2, scores


CHANGES = ["lora", "frozen", "inner hook", "renamed call", "new weights", "activation", "second activation", "none"]
CHANGES += ["class", "class of attention", "method of attention", "method of the class", "hook on all"]


def test_a_penalty_on_what_a_layer_gives_that_is_set_later():
    for place in (2, 5):
        model = transformer()
        model.layers[place].activity_regularizer = uc.regularizers.L2(0.1)
        model(torch.from_numpy(TOKENS))
        assert len(model.losses) == 1


def test_hooks_get_what_the_layer_was_called_with():
    inputs = uc.Input((12, 16))
    attention = layers.MultiHeadAttention(2, 4)
    model = uc.Model(inputs, layers.LayerNormalization()(inputs + attention(inputs, inputs, inputs)))
    seen = []
    attention.register_forward_pre_hook(lambda layer, given: seen.append(len(given)))
    model(torch.zeros(3, 12, 16))
    assert seen == [3]


@pytest.mark.parametrize("change", CHANGES)
def test_a_transformer_that_is_changed_later(change, monkeypatch):
    model, x = transformer(), torch.from_numpy(TOKENS)
    first, attention = model.layers[5], model.layers[2]
    assert isinstance(first, layers.Dense) and isinstance(attention, layers.MultiHeadAttention)
    seen = []
    if change == "lora":
        first.enable_lora(2)
        first.lora_kernel_b.data.normal_()
        attention.query_dense.enable_lora(2)
        attention.query_dense.lora_kernel_b.data.normal_()
    elif change == "frozen":
        first.trainable = attention.trainable = False
    elif change == "inner hook":
        attention.key_dense.register_forward_hook(lambda layer, given, out: seen.append(tuple(out.shape)))
    elif change == "renamed call":
        ordinary = first.call
        first.call = lambda inputs: seen.append(tuple(inputs.shape)) or 2 * ordinary(inputs)
    elif change == "activation":
        first.activation = uc.activations.gelu
    elif change == "second activation":
        model.layers[6].activation = uc.activations.relu
    elif change == "class":
        first.__class__ = Doubling
    elif change == "class of attention":
        attention.__class__ = Halving
    elif change == "method of attention":
        mathematics = attention._compute_attention
        attention._compute_attention = lambda *given, **more: seen.append(1) or mathematics(*given, **more)
    elif change == "method of the class":
        plain = layers.Dense.call
        monkeypatch.setattr(layers.Dense, "call", lambda self, x: seen.append(1) or 2 * plain(self, x))
    elif change == "hook on all":
        everywhere = register_module_forward_hook(lambda layer, given, out: seen.append(1))
    elif change == "new weights":
        model.set_weights([one + 0.1 for one in model.get_weights()])

    def run():
        out = model(x)
        wanted = [one for one in model.parameters() if one.requires_grad]
        return [out, *torch.autograd.grad(out.square().sum(), wanted)]

    found = run()
    looking = "inner hook", "renamed call", "method of attention", "method of the class", "hook on all"
    assert bool(seen) is (change in looking)
    if change == "hook on all":
        everywhere.remove()
        assert len(seen) > len(model.layers)
    monkeypatch.setattr(fusion.Link, "_is_watched", lambda self: True)
    monkeypatch.setattr(together, "attend_to_itself", lambda *given: None)
    for one, other in zip(found, run(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_what_is_read_elsewhere_stays_apart():
    inputs = uc.Input((8, 8, 3))
    normal = layers.BatchNormalization()(inputs)
    relu = layers.Activation("relu")(normal)
    assert steps(uc.Model(inputs, [normal, relu])) == ["BatchNormalization", "Activation"]
    assert steps(uc.Model(inputs, layers.Add()([normal, relu]))) == ["BatchNormalization", "Activation", "Add"]
    assert steps(uc.Model(inputs, layers.Add()([normal, normal]))) == ["BatchNormalization", "Add"]
    three = layers.Add()([layers.BatchNormalization()(inputs), inputs, inputs])
    assert steps(uc.Model(inputs, three)) == ["BatchNormalization", "Add"]
    gelu = layers.Activation("gelu")(layers.BatchNormalization()(inputs))
    assert steps(uc.Model(inputs, gelu)) == ["BatchNormalization", "Activation"]
    limited = layers.ReLU(max_value=6)(layers.BatchNormalization()(inputs))
    assert steps(uc.Model(inputs, limited)) == ["BatchNormalization", "ReLU"]
    renormalized = layers.ReLU()(layers.BatchNormalization(renorm=True)(inputs))
    assert steps(uc.Model(inputs, renormalized)) == ["BatchNormalization", "ReLU"]


def test_two_normalized_branches_are_added():
    inputs = uc.Input((8, 8, 3))
    both = [layers.BatchNormalization()(layers.Conv2D(4, 1)(inputs)) for _ in range(2)]
    model = uc.Model(inputs, layers.ReLU()(layers.Add()(both)))
    assert sorted(steps(model)) == ["BatchNormalization", "Conv2D", "Conv2D", "FusedNormalization"]
    x = torch.from_numpy(IMAGES)
    first, second = (layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    wanted = torch.relu(first(convolutions[0](x)) + second(convolutions[1](x)))
    torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-5)


def test_a_shortcut_of_another_shape_is_repeated():
    inputs = uc.Input((8, 8, 3))
    short = layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    model = uc.Model(inputs, layers.ReLU()(layers.Add()([layers.BatchNormalization()(inputs), short])))
    x = torch.from_numpy(IMAGES)
    normal = next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization))
    wanted = torch.relu(normal(x) + x.mean((1, 2), keepdim=True))
    torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "case", ["residual", "wide", "encoder", "transformer", "transformer with +", "residual with +", "text"]
)
def test_each_layer_is_called_where_somebody_looks(case):
    made, x = CASES[case][0](), torch.from_numpy(CASES[case][1])
    plain = made(x)
    for layer in made.layers[1:]:
        seen = []
        hook = layer.register_forward_hook(lambda layer, given, out, seen=seen: seen.append(len(out)))
        torch.testing.assert_close(made(x), plain, rtol=1e-4, atol=1e-5)
        hook.remove()
        assert seen == [40], layer.name


def test_frozen_normalization_keeps_its_averages():
    model = residual()
    for layer in model.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    model.compile("sgd", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [layer.get_weights() for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    model.fit(IMAGES, LABELS, verbose=0)
    after = [layer.get_weights() for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for one, other in zip(before, after, strict=True):
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_copies_other_types_and_torchs_transforms():
    for made, x in CASES["residual"], CASES["encoder"], CASES["transformer"], CASES["text"]:
        model, x = made(), torch.from_numpy(x)
        plain = model(x)
        torch.testing.assert_close(copy.deepcopy(model)(x), plain)
        torch.testing.assert_close(
            torch.vmap(lambda one, model=model: model(one[None])[0])(x), plain, rtol=1e-4, atol=1e-4
        )
        exported = torch.export.export(made(), (x,))
        assert exported.module()(x).shape == (40, 3)
        assert model(x[:1]).shape == (1, 3) and model(x[:0]).shape == (0, 3)
        doubled = model.double()(x.double() if x.is_floating_point() else x)
        torch.testing.assert_close(doubled.float(), plain, rtol=1e-4, atol=1e-4)


def test_a_sequence_shorter_than_the_kernel_is_said():
    inputs = uc.Input((None, 4))
    model = uc.Model(inputs, layers.GlobalMaxPooling1D()(layers.Conv1D(3, 5)(inputs)))
    assert model(torch.zeros(2, 5, 4)).shape == (2, 3)
    with pytest.raises(ValueError, match="does not fit"):
        model(torch.zeros(2, 4, 4))
