"""What `enable_lora` and `quantize` refuse, and what they leave as it was."""

import copy
import pickle

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.kernels import quantized
from uncrumple.layers import Conv2D, Dense, EinsumDense, Embedding
from uncrumple.quantizers import AbsMaxQuantizer, Int8QuantizationConfig


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


def message(call, kind=ValueError):
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: Dense(3, name="d").enable_lora(2),
            ValueError,
            "Dense 'd' has no weights yet, so there is nothing that LoRA could adapt.\n"
            "Expected a layer that knows the shape of its input.\n"
            "Fix: call it on data first, or begin the model with Input(shape)",
        ),
        (
            lambda: built(Dense(3, lora_rank=2, name="d"), 4).enable_lora(2),
            ValueError,
            "Dense 'd' has LoRA already.\n"
            "Expected enable_lora() once per layer.\n"
            "Fix: save and load the model: the two weights are merged then, and LoRA can be enabled anew",
        ),
        (
            lambda: built(Conv2D(3, 3, kernel_constraint="max_norm", name="c"), 4, 4, 1).enable_lora(2),
            ValueError,
            "Conv2D 'c' has a kernel_constraint, and LoRA leaves that weight as it is.\n"
            "Expected kernel_constraint=None.\n"
            "Fix: remove the kernel_constraint",
        ),
        (
            lambda: built(Dense(3, name="d"), 4).quantize("int5"),
            ValueError,
            "Unknown quantization mode: 'int5'.\nExpected one of: int8.\nFix: did you mean 'int8'?",
        ),
        (
            lambda: built(Dense(3, name="d"), 4).quantize("int4"),
            NotImplementedError,
            "quantize got the mode 'int4'.\nExpected 'int8': it is the only one here.\nFix: quantize(\"int8\")",
        ),
        (
            lambda: built(Conv2D(3, 3, name="c"), 4, 4, 1).quantize("int8"),
            NotImplementedError,
            "Conv2D 'c' cannot be quantized.\n"
            "Expected Dense, EinsumDense, Embedding or ReversibleEmbedding.\n"
            "Fix: model.quantize(...) quantizes those layers that can be",
        ),
        (
            lambda: Dense(3, name="d").quantize("int8"),
            ValueError,
            "Dense 'd' has no weights yet, so there is nothing to quantize.\n"
            "Expected a layer that knows the shape of its input.\n"
            "Fix: call it on data first, or begin the model with Input(shape)",
        ),
    ],
)
def test_what_is_refused(call, kind, text):
    assert message(call, kind) == text


def test_a_subclass_is_quantized_only_if_that_is_wished():
    class Mine(Dense):
        pass

    layer = built(Mine(3), 4)
    x = np.random.default_rng(0).standard_normal((2, 4)).astype("float32")
    before = layer(x)
    with pytest.raises(NotImplementedError, match="cannot be quantized"):
        layer.quantize("int8")
    layer.quantize("int8", type_check=False)
    layer.enable_lora(2)
    assert isinstance(layer, Mine) and type(layer).__name__ == "Mine"
    torch.testing.assert_close(layer(x), before, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("how", ["lora", "int8", "both"])
@pytest.mark.parametrize(
    ("make", "shape"), [(lambda: Dense(3), (4,)), (lambda: EinsumDense("abc,cd->abd", (None, 2)), (3, 4))]
)
def test_copies(make, shape, how):
    layer = built(make(), *shape)
    if how != "int8":
        layer.enable_lora(2, b_initializer="ones")
    if how != "lora":
        layer.quantize("int8")
    x = torch.randn(2, *shape)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(again(x), layer(x))
    made = type(layer).from_config(layer.get_config())
    made(x)
    assert [w.name for w in made.weights] == [w.name for w in layer.weights]
    made.set_weights(layer.get_weights())
    assert torch.equal(made(x), layer(x))


def test_lora_can_go_on_learning_after_loading(tmp_path):
    """Keras sets both thin weights to zero, and neither ever gets a gradient again."""
    model = uc.Sequential([uc.Input((4,)), Dense(3, lora_rank=2, lora_alpha=4.0)])
    model.layers[0].lora_kernel_b.assign(np.ones((2, 3)))
    x = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
    model.save_weights(tmp_path / "a.weights.h5")
    wanted = model(x)
    model.load_weights(tmp_path / "a.weights.h5")
    torch.testing.assert_close(model(x), wanted)
    model(x).sum().backward()
    assert model.layers[0].lora_kernel_b.grad.abs().max() > 0


def test_lora_alpha_of_the_constructor_is_kept():
    """Keras's Dense and Embedding forget it when they are built."""
    assert built(Dense(3, lora_rank=2, lora_alpha=8.0), 4).lora_alpha == 8.0
    assert built(Embedding(5, 3, lora_rank=2, lora_alpha=8.0)).lora_alpha == 8.0


def test_lora_leaves_the_trained_weights_few_and_the_first_answer_the_same():
    layer = built(Dense(64), 64)
    x = torch.randn(2, 64)
    before = layer(x)
    layer.enable_lora(2)
    assert torch.equal(layer(x), before)
    assert sum(w.numel() for w in layer.trainable_weights) == 64 + 2 * 64 * 2
    layer.trainable = False
    assert layer.trainable_weights == []
    layer.trainable = True
    assert [w.name for w in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]


def test_lora_where_the_thin_axis_is_not_the_last():
    """Keras's int8 call fails here."""
    layer = built(EinsumDense("abcd,dce->aebc", (3, 2, 4)), 2, 4, 5)
    layer.enable_lora(2, b_initializer="ones")
    x = torch.randn(3, 2, 4, 5)
    before = layer(x)
    layer.quantize("int8")
    torch.testing.assert_close(layer(x), before, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("equation", ["...x,xy->...y", "ab...,bc->ac..."])
def test_int8_with_dots_in_the_equation(equation):
    """Keras fails here."""
    layer = built(EinsumDense(equation, (7,)), 4, 5)
    x = torch.randn(3, 4, 5)
    before = layer(x)
    layer.quantize("int8")
    torch.testing.assert_close(layer(x), before, atol=0.1, rtol=0.05)


def test_a_model_that_was_fused_learns_with_lora():
    conv = Conv2D(4, 3, activation="relu")
    model = uc.Sequential([uc.Input((8, 8, 1)), conv, uc.layers.MaxPooling2D(), uc.layers.Flatten(), Dense(2)])
    model.compile("sgd", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.random.rand(16, 8, 8, 1).astype("float32"), np.arange(16) % 2
    model.fit(x, y, epochs=1, verbose=0)
    conv.enable_lora(2)
    model.layers[-1].enable_lora(2)
    model.compile("sgd", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    kernel, thin = conv.get_weights()[0], conv.lora_kernel_b.numpy()
    model.fit(x, y, epochs=2, verbose=0)
    assert np.array_equal(conv.get_weights()[0], kernel)
    assert not np.array_equal(conv.lora_kernel_b.numpy(), thin)


def test_quantize_says_when_there_is_nothing_to_do():
    model = uc.Sequential([uc.Input((4,)), uc.layers.Activation("relu")])
    with pytest.warns(UncrumpleWarning, match="quantize changed nothing"):
        model.quantize("int8")
    with pytest.raises(ValueError, match="quantize got filters=3"):
        model.quantize("int8", filters=3)
    with pytest.raises(ValueError, match="filter"):
        model.quantize("int8", filter="dense")


def test_weights_take_a_quarter_of_the_memory():
    layer = built(Dense(256, use_bias=False), 256)
    before = sum(w.numel() * w.element_size() for w in layer.weights)
    layer.quantize(config=Int8QuantizationConfig(weight_quantizer=AbsMaxQuantizer(axis=0)))
    assert sum(w.numel() * w.element_size() for w in layer.weights) < 0.27 * before
    assert layer.kernel.dtype is torch.int8


def test_meta_and_symbols_pass_through_int8():
    image = uc.Input((4,))
    layer = built(Dense(3), 4)
    layer.quantize("int8")
    model = uc.Model(image, layer(image))
    assert model.output_shape == (None, 3)
    assert model(torch.ones(2, 4)).shape == (2, 3)
    assert layer(torch.ones(0, 4)).shape == (0, 3)


@pytest.mark.parametrize("policy", ["int8_from_mixed_float16", "int7_from_float32", "int4/128_from_float32"])
def test_policies_that_are_refused(policy):
    with pytest.raises(ValueError):
        Dense(3, dtype=policy)


@pytest.mark.parametrize(("rows", "count", "units"), [(1, 1, 1), (3, 5, 7), (17, 64, 16), (2, 2500, 3), (0, 4, 2)])
def test_the_product_of_int8_is_exact(rows, count, units, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(-127, 128, (rows, count), dtype=torch.int8, generator=generator)
    kernel = torch.randint(-127, 128, (count, units), dtype=torch.int8, generator=generator)
    inputs[:1], kernel[:, :1] = 127, 127
    wanted = inputs.double() @ kernel.double()
    assert torch.equal(quantized.int8_matmul(inputs, kernel, torch.float64), wanted)
    assert torch.equal(quantized.plain_int8_matmul(inputs, kernel).double(), wanted)
    monkeypatch.setattr(quantized, "_torch_can", lambda *_: False)
    assert torch.equal(quantized.int8_matmul(inputs, kernel, torch.float64), wanted)
