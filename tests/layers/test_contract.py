"""What every layer must do. A new layer joins with one line in `CASES`."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from uncrumple import layers as L
from uncrumple.core import registry
from uncrumple.layers import augmentation
from uncrumple.layers.base import Layer

SAMPLES = 3


@dataclasses.dataclass
class Case:
    """One layer.

    Attributes:
        make: Makes it; takes `dtype`, `name` and whatever else a `Layer` takes.
        shapes: Shape of one sample, for each input; a list of inputs if there are several.
        wrong: Shape of one sample that must be refused with the layer's name; None if all ranks are welcome.
        trains: Whether gradients are also checked in training mode.
        integers: Inputs are whole numbers below this.
        note: Tells several cases of one class apart.
    """

    make: Callable[..., Layer]
    shapes: tuple[tuple[int, ...], ...]
    wrong: tuple[int, ...] | None
    trains: bool
    integers: int | None
    note: str

    @property
    def id(self) -> str:
        return "-".join(part for part in (type(self.make()).__name__, self.note) if part)

    def layer(self, **settings: Any) -> Layer:
        return self.make(**settings)

    def inputs(self, dtype: torch.dtype = torch.float32, samples: int = SAMPLES) -> Any:
        generator = torch.Generator().manual_seed(1)
        made = []
        for shape in self.shapes:
            if self.integers is not None:
                made.append(torch.randint(self.integers, (samples, *shape), generator=generator))
            else:
                made.append(torch.randn((samples, *shape), generator=generator, dtype=torch.float64).to(dtype))
        return made if len(made) > 1 else made[0]

    def symbols(self) -> Any:
        kind = "float32" if self.integers is None else "int32"
        made = [L.Input(shape, dtype=kind) for shape in self.shapes]
        return made if len(made) > 1 else made[0]


def case(
    make: Callable[..., Layer],
    *shapes: tuple[int, ...],
    wrong: tuple[int, ...] | None = None,
    trains: bool = False,
    integers: int | None = None,
    note: str = "",
) -> Case:
    return Case(make, shapes, wrong, trains, integers, note)


def cubed(x: torch.Tensor) -> torch.Tensor:
    """A function for `Lambda` that can be pickled."""
    return x**3


def adapted(**settings: Any) -> Layer:
    layer = L.Normalization(**settings)
    layer.adapt(np.arange(12.0).reshape(4, 3))
    return layer


CASES = [
    case(lambda **k: L.Activation("tanh", **k), (4,)),
    case(lambda **k: L.ActivityRegularization(0.1, 0.2, **k), (4,)),
    case(lambda **k: L.AdaptiveAveragePooling1D(2, **k), (5, 2), wrong=(5,)),
    case(lambda **k: L.AdaptiveAveragePooling2D((3, 2), **k), (4, 5, 2), wrong=(4, 5)),
    case(lambda **k: L.AdaptiveAveragePooling3D(2, **k), (2, 4, 3, 1), wrong=(2, 4, 3)),
    case(lambda **k: L.AdaptiveMaxPooling1D(2, **k), (5, 2), wrong=(5,)),
    case(lambda **k: L.AdaptiveMaxPooling2D(2, data_format="channels_first", **k), (2, 4, 5), wrong=(4, 5)),
    case(lambda **k: L.AdaptiveMaxPooling3D(2, **k), (2, 4, 3, 1), wrong=(2, 4, 3)),
    case(lambda **k: L.Add(**k), (4,), (4,), (4,)),
    case(lambda **k: L.Add(**k), (2, 4), (4,), note="ranks"),
    case(lambda **k: L.AdditiveAttention(**k), (3, 4), (5, 4), wrong=(4,)),
    case(lambda **k: L.AdditiveAttention(use_scale=False, **k), (3, 4), (5, 2), (5, 4), note="key"),
    case(lambda **k: L.AlphaDropout(0.3, **k), (4,)),
    case(lambda **k: L.Attention(use_scale=True, **k), (3, 4), (5, 4), wrong=(4,)),
    case(lambda **k: L.Attention(score_mode="concat", dropout=0.3, **k), (2, 3, 4), (2, 5, 4), note="concat"),
    case(lambda **k: L.Average(**k), (4,), (1,)),
    case(lambda **k: L.AveragePooling1D(2, **k), (6, 2), wrong=(6,)),
    case(lambda **k: L.AveragePooling2D(2, padding="same", **k), (5, 4, 2), wrong=(5, 4)),
    case(lambda **k: L.AveragePooling2D(2, strides=1, padding="same", **k), (5, 4, 2), note="overlapping"),
    case(lambda **k: L.AveragePooling3D(2, **k), (2, 4, 2, 1), wrong=(2, 4, 2)),
    case(lambda **k: L.BatchNormalization(**k), (4, 2), wrong=(4,), trains=True),
    case(lambda **k: L.BatchNormalization(axis=1, **k), (2, 3, 3), trains=True, note="axis"),
    case(lambda **k: L.Bidirectional(L.LSTM(2, dtype=k.get("dtype")), **k), (4, 3), wrong=(4,)),
    case(
        lambda **k: L.Bidirectional(L.GRU(2, return_sequences=True, dtype=k.get("dtype")), merge_mode=None, **k),
        (4, 3),
        note="both",
    ),
    case(lambda **k: L.Concatenate(**k), (4,), (3,)),
    case(lambda **k: L.Concatenate(axis=1, **k), (4, 2), (3, 2), note="axis"),
    case(lambda **k: L.Conv1D(3, 2, padding="causal", **k), (5, 2), wrong=(5,)),
    case(lambda **k: L.Conv1DTranspose(2, 3, strides=2, **k), (3, 2), wrong=(3,)),
    case(lambda **k: L.Conv2D(3, 2, activation="tanh", **k), (4, 4, 2), wrong=(4, 4)),
    case(lambda **k: L.Conv2D(4, 3, strides=2, padding="same", groups=2, **k), (4, 4, 2), note="same"),
    case(lambda **k: L.Conv2D(2, 3, data_format="channels_first", **k), (2, 4, 4), note="first"),
    case(lambda **k: L.Conv2DTranspose(2, 3, strides=2, padding="same", **k), (2, 2, 2), wrong=(2, 2)),
    case(lambda **k: L.Conv3D(2, 2, **k), (2, 3, 3, 1), wrong=(2, 3, 3)),
    case(lambda **k: L.Conv3DTranspose(2, 2, strides=2, **k), (2, 2, 2, 1), wrong=(2, 2, 2)),
    case(lambda **k: L.ConvLSTM1D(2, 2, **k), (2, 4, 2), wrong=(2, 4)),
    case(lambda **k: L.ConvLSTM2D(2, 2, padding="same", return_sequences=True, **k), (2, 3, 3, 1), wrong=(3, 3, 1)),
    case(
        lambda **k: L.ConvLSTM2D(2, 2, data_format="channels_first", return_state=True, **k), (2, 1, 3, 3), note="first"
    ),
    case(lambda **k: L.ConvLSTM3D(1, 2, go_backwards=True, **k), (2, 2, 3, 2, 1), wrong=(2, 3, 2, 1)),
    case(lambda **k: L.Cropping1D(1, **k), (5, 2), wrong=(5,)),
    case(lambda **k: L.Cropping2D(((1, 0), (0, 2)), **k), (4, 4, 2), wrong=(4, 4)),
    case(lambda **k: L.Cropping3D(**k), (3, 4, 3, 1), wrong=(3, 4, 3)),
    case(lambda **k: L.Dense(3, activation="tanh", **k), (4,), wrong=()),
    case(lambda **k: L.DepthwiseConv1D(2, depth_multiplier=2, **k), (4, 2), wrong=(4,)),
    case(lambda **k: L.DepthwiseConv2D(2, depth_multiplier=2, **k), (3, 4, 2), wrong=(3, 4)),
    case(lambda **k: L.Dot(axes=1, **k), (4,), (4,)),
    case(lambda **k: L.Dot(axes=(2, 1), normalize=True, **k), (3, 4), (4, 2), note="matrices"),
    case(lambda **k: L.Dropout(0.3, **k), (4,)),
    case(lambda **k: L.ELU(0.5, **k), (4,)),
    case(lambda **k: L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", **k), (3, 4), wrong=(4,)),
    case(lambda **k: L.EinsumDense("abc,bcd->abd", (3, 3), activation="tanh", **k), (3, 2), wrong=(4, 2), note="rows"),
    case(lambda **k: L.EinsumDense("...x,xy->...y", 3, bias_axes="y", **k), (3, 4), note="dots"),
    case(lambda **k: L.Embedding(5, 3, **k), (4,), integers=5),
    case(lambda **k: L.Flatten(**k), (4, 3)),
    case(lambda **k: L.GRU(3, **k), (4, 2), wrong=(4,)),
    case(lambda **k: L.GRU(3, reset_after=False, return_sequences=True, **k), (4, 2), note="before"),
    case(lambda **k: L.GaussianDropout(0.3, **k), (4,)),
    case(lambda **k: L.GaussianNoise(0.3, **k), (4,)),
    case(lambda **k: L.GlobalAveragePooling1D(**k), (4, 3), wrong=(4,)),
    case(lambda **k: L.GlobalAveragePooling2D(keepdims=True, **k), (4, 3, 2), wrong=(4, 3)),
    case(lambda **k: L.GlobalAveragePooling3D(**k), (2, 2, 2, 2), wrong=(2, 2, 2)),
    case(lambda **k: L.GlobalMaxPooling1D(keepdims=True, **k), (4, 3), wrong=(4,)),
    case(lambda **k: L.GlobalMaxPooling2D(**k), (4, 3, 2), wrong=(4, 3)),
    case(lambda **k: L.GlobalMaxPooling3D(**k), (2, 2, 2, 2), wrong=(2, 2, 2)),
    case(lambda **k: L.GroupNormalization(2, **k), (3, 4), wrong=(4,)),
    case(lambda **k: L.GroupNormalization(-1, **k), (3, 4), note="instance"),
    case(lambda **k: L.GroupQueryAttention(3, 4, 2, use_gate=True, **k), (3, 4), (5, 4), wrong=(4,)),
    case(lambda **k: L.GroupQueryAttention(3, 2, 1, sliding_window=2, **k), (3, 4), (3, 4), note="window"),
    case(lambda **k: L.Identity(**k), (4,)),
    case(lambda **k: L.Lambda(cubed, **k), (4,)),
    case(lambda **k: L.LSTM(3, **k), (4, 2), wrong=(4,)),
    case(lambda **k: L.LSTM(3, return_sequences=True, return_state=True, **k), (4, 2), note="all"),
    case(lambda **k: L.LayerNormalization(**k), (3, 4), wrong=()),
    case(lambda **k: L.LayerNormalization(axis=1, **k), (3, 4), wrong=(3,), note="axis"),
    case(lambda **k: L.LeakyReLU(**k), (4,)),
    case(lambda **k: L.Masking(0.5, **k), (4, 2)),
    case(lambda **k: L.MaxPooling1D(**k), (6, 2), wrong=(6,)),
    case(lambda **k: L.MaxPooling2D(3, strides=2, padding="same", **k), (6, 5, 2), wrong=(6, 5)),
    case(lambda **k: L.MaxPooling2D(2, strides=1, padding="same", **k), (3, 4, 2), note="overlapping"),
    case(lambda **k: L.MaxPooling3D(**k), (2, 4, 2, 1), wrong=(2, 4, 2)),
    case(lambda **k: L.Maximum(**k), (4,), (4,)),
    case(lambda **k: L.Maxout(2, **k), (6,), wrong=(5,)),
    case(lambda **k: L.Maxout(2, axis=1, **k), (4, 3), note="axis"),
    case(lambda **k: L.Minimum(**k), (4,), (4,)),
    case(lambda **k: L.MultiHeadAttention(2, 3, **k), (3, 4), (5, 2), wrong=(4,)),
    case(lambda **k: L.MultiHeadAttention(2, 3, value_dim=2, output_shape=(2, 3), **k), (3, 4), (3, 2), note="shapes"),
    case(lambda **k: L.MultiHeadAttention(2, 3, use_gate=True, dropout=0.3, **k), (3, 4), (5, 2), (5, 3), note="gate"),
    case(lambda **k: L.MultiHeadAttention(2, 2, attention_axes=-2, **k), (2, 3, 4), (2, 5, 4), wrong=(4,), note="axes"),
    case(lambda **k: L.Multiply(**k), (4,), (4,)),
    case(adapted, (3,)),
    case(lambda **k: L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0], **k), (3,), note="given"),
    case(lambda **k: L.PReLU(alpha_initializer="ones", shared_axes=[1], **k), (3, 4), wrong=(4,)),
    case(lambda **k: L.Permute((2, 1), **k), (3, 4), wrong=(3,)),
    case(lambda **k: L.RMSNormalization(**k), (3, 4), wrong=()),
    case(lambda **k: L.RNN([L.LSTMCell(3, dtype=k.get("dtype")), L.GRUCell(2, dtype=k.get("dtype"))], **k), (4, 2)),
    case(lambda **k: L.ReLU(max_value=1.5, negative_slope=0.1, **k), (4,)),
    case(lambda **k: L.RepeatVector(2, **k), (4,), wrong=(4, 3)),
    case(lambda **k: L.ReversibleEmbedding(5, 3, **k), (4,), integers=5),
    case(lambda **k: L.Rescaling(2.0, offset=-1, **k), (4,)),
    case(lambda **k: L.Rescaling([1.0, 2.0, 3.0], **k), (2, 3), note="list"),
    case(lambda **k: L.Reshape((2, -1), **k), (4,), wrong=(3,)),
    case(lambda **k: L.SeparableConv1D(3, 2, **k), (4, 2), wrong=(4,)),
    case(lambda **k: L.SeparableConv2D(3, 2, depth_multiplier=2, **k), (3, 4, 2), wrong=(3, 4)),
    case(lambda **k: L.SimpleRNN(3, return_sequences=True, go_backwards=True, **k), (4, 2), wrong=(4,)),
    case(lambda **k: L.Softmax(**k), (4,)),
    case(lambda **k: L.Softmax(axis=(1, 2), **k), (2, 4), note="axes"),
    case(lambda **k: L.STFTSpectrogram("magnitude", 4, **k), (9, 2), wrong=(4,)),
    case(lambda **k: L.SpatialDropout1D(0.3, **k), (4, 2), wrong=(4,)),
    case(lambda **k: L.SpatialDropout2D(0.3, **k), (4, 2, 2), wrong=(4, 2)),
    case(lambda **k: L.SpatialDropout3D(0.3, **k), (2, 2, 2, 2), wrong=(2, 2, 2)),
    case(lambda **k: L.SpectralNormalization(L.Dense(3, dtype=k.get("dtype")), **k), (4,), wrong=()),
    case(lambda **k: L.SpectralNormalization(L.Conv2D(2, 2, dtype=k.get("dtype")), **k), (3, 3, 1), note="image"),
    case(lambda **k: L.Subtract(**k), (4,), (4,)),
    case(lambda **k: L.TimeDistributed(L.Dense(2, dtype=k.get("dtype")), **k), (3, 4), wrong=(3,)),
    case(lambda **k: L.TorchModuleWrapper(torch.nn.Tanh(), **k), (4,)),
    case(lambda **k: L.UnitNormalization(**k), (4,)),
    case(lambda **k: L.UpSampling1D(3, **k), (2, 2), wrong=(2,)),
    case(lambda **k: L.UpSampling2D((2, 3), **k), (2, 3, 2), wrong=(2, 3)),
    case(lambda **k: L.UpSampling2D(2, interpolation="bilinear", **k), (2, 3, 2), note="bilinear"),
    case(lambda **k: L.UpSampling3D(**k), (2, 2, 2, 1), wrong=(2, 2, 2)),
    case(lambda **k: L.ZeroPadding1D((2, 1), **k), (3, 2), wrong=(3,)),
    case(lambda **k: L.ZeroPadding2D((1, 2), **k), (2, 3, 2), wrong=(2, 3)),
    case(lambda **k: L.ZeroPadding3D(**k), (2, 2, 2, 1), wrong=(2, 2, 2)),
]

# What is no layer to put into a model by itself, or has tests of its own.
ELSEWHERE = {"InputLayer", "TorchFunction", "Wrapper", "GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"}
# What has nothing to differentiate; its contract is in test_lookup_layers.py.
ELSEWHERE |= {"CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup"}
ELSEWHERE |= {"TextVectorization"}
# Called by themselves they act at random: see tests/layers/augmentation.
ELSEWHERE |= {name for name in augmentation.__all__ if name != "STFTSpectrogram"}

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


# Layers that take their inputs one by one, and not as a list.
ONE_BY_ONE = (L.GroupQueryAttention, L.MultiHeadAttention)


def on(layer: Layer, inputs: Any, **settings: Any) -> Any:
    """Call a layer on the inputs of its case."""
    if isinstance(layer, ONE_BY_ONE):
        return layer(*(inputs if isinstance(inputs, list) else [inputs, inputs]), **settings)
    return layer(inputs, **settings)


def randomized(layer: Layer) -> Layer:
    """Give all weights values that differ, so that nothing hides behind zeros and ones."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in layer.weights:
            if weight.is_floating_point():
                weight.copy_(torch.rand(weight.shape, generator=generator, dtype=weight.dtype) + 0.5)
    return layer


def test_every_layer_has_a_case():
    tested = {type(one.make()).__name__ for one in CASES}
    assert {layer.__name__ for layer in L._LAYERS} - tested == ELSEWHERE


@every
def test_shapes_without_data_are_those_of_a_run(case):
    layer = case.layer()
    found = on(layer, case.symbols())
    out = on(layer, case.inputs())
    for symbol, tensor in zip(_flat(found), _flat(out), strict=True):
        assert symbol.shape == (None, *tensor.shape[1:])
        assert symbol.dtype == tensor.dtype
    assert all(not weight.is_meta for weight in layer.weights)


@every
def test_gradient_equals_finite_differences(case):
    for training in [False, True] if case.trains else [False]:
        layer = case.layer(dtype="float64")
        inputs = case.inputs(torch.float64)
        on(layer, inputs)
        randomized(layer)
        layer.train(training)
        leaves = [x.requires_grad_() for x in _flat(inputs) if x.is_floating_point()]
        weights = [weight for weight in layer.weights if weight.requires_grad]
        if not leaves + weights:
            pytest.fail("nothing to differentiate")

        def run(*_, layer=layer, inputs=inputs):
            return tuple(out for out in _flat(on(layer, inputs)) if out.is_floating_point())

        assert torch.autograd.gradcheck(run, (*leaves, *weights), nondet_tol=0)


@pytest.fixture
def function_for_lambda():
    """Let configs name `cubed`, as a user would."""
    registry.register_keras_serializable(package="tests")(cubed)
    yield
    registry.get_custom_objects().pop("tests>cubed")


@every
def test_config_makes_an_equal_layer(case, function_for_lambda):
    layer = case.layer(name="mine")
    inputs = case.inputs()
    expected = _flat(randomized_after(layer, inputs))
    config = layer.get_config()
    assert config["name"] == "mine"
    again = type(layer).from_config(copy.copy(config))
    assert again.name == "mine"
    on(again, case.symbols())
    again.set_weights(layer.get_weights())
    for one, other in zip(expected, _flat(on(again, inputs)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert json.dumps(_written(again), sort_keys=True) == json.dumps(_written(layer), sort_keys=True)


@every
def test_written_config_makes_an_equal_layer(case, function_for_lambda):
    layer = case.layer()
    if isinstance(layer, L.TorchModuleWrapper):
        with pytest.raises(ValueError, match="the file has no code for it, and custom_objects has nothing for it"):
            registry.deserialize_keras_object(_written(layer))
        return
    inputs = case.inputs()
    expected = _flat(randomized_after(layer, inputs))
    again = registry.deserialize_keras_object(json.loads(json.dumps(_written(layer))))
    assert type(again) is type(layer)
    if not again.built:
        on(again, case.symbols())
    again.set_weights(layer.get_weights())
    for one, other in zip(expected, _flat(on(again, inputs)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:var_mean")
@every
def test_a_batch_of_one_and_a_batch_of_none(case):
    layer = case.layer()
    inputs = case.inputs()
    many = _flat(randomized_after(layer, inputs))
    first = [x[:1] for x in _flat(inputs)]
    one = _flat(on(layer, first if len(first) > 1 else first[0]))
    for whole, single in zip(many, one, strict=True):
        torch.testing.assert_close(whole[:1], single, rtol=1e-5, atol=1e-6)
    empty = [x[:0] for x in _flat(inputs)]
    none = _flat(on(layer, empty if len(empty) > 1 else empty[0]))
    for whole, nothing in zip(many, none, strict=True):
        assert nothing.shape == (0, *whole.shape[1:])


@every
def test_inference_repeats_itself(case):
    layer = case.layer()
    inputs = case.inputs()
    first = _flat(randomized_after(layer, inputs))
    for one, other in zip(first, _flat(on(layer, inputs)), strict=True):
        assert torch.equal(one, other)


@every
def test_mixed_precision(case):
    layer = case.layer(dtype="mixed_bfloat16")
    inputs = case.inputs()
    out = _flat(randomized_after(layer, inputs))
    assert all(x.dtype is torch.bfloat16 for x in out if x.is_floating_point())
    assert all(weight.dtype is torch.float32 for weight in layer.weights if weight.is_floating_point())
    full = case.layer()
    on(full, inputs)
    full.set_weights(layer.get_weights())
    for low, high in zip(out, _flat(on(full, inputs)), strict=True):
        torch.testing.assert_close(low.float(), high.float(), rtol=0.05, atol=0.1)


@every
@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float16", "float64"])
def test_training_in_every_precision(case, policy):
    layer = case.layer(dtype=policy)
    inputs = case.inputs()
    found = _flat(on(layer, case.symbols()))
    leaves = [x.requires_grad_() for x in _flat(inputs) if x.is_floating_point()]
    out = _flat(on(layer, inputs, training=True))
    assert [x.dtype for x in out] == [x.dtype for x in found]
    assert all(str(x.dtype) == f"torch.{layer.compute_dtype}" for x in out if x.is_floating_point())
    weights = [weight for weight in layer.weights if weight.requires_grad]
    assert all(str(weight.dtype) == f"torch.{layer.variable_dtype}" for weight in weights)
    total = sum(x.float().sum() for x in out if x.is_floating_point())
    for weight, gradient in zip([*leaves, *weights], torch.autograd.grad(total, [*leaves, *weights]), strict=True):
        assert gradient.dtype == weight.dtype
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("case", [one for one in CASES if one.wrong is not None], ids=lambda case: case.id)
def test_a_wrong_shape_is_refused_with_words(case):
    for layer, wrong in (
        (case.layer(name="mine"), torch.zeros(SAMPLES, *case.wrong)),
        (case.layer(name="mine"), L.Input(case.wrong)),
    ):
        on(layer, case.symbols())
        with pytest.raises(ValueError) as caught:
            on(layer, wrong)
        lines = str(caught.value).split("\n")
        assert len(lines) == 3, caught.value
        assert f"{type(layer).__name__} 'mine'" in lines[0]
        assert str(tuple(case.wrong)).strip("(),") in lines[0]
        assert lines[1].startswith("Expected ")
        assert lines[2].startswith("Fix: ")


@every
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["copy", "pickle"]
)
def test_copies_are_equal_and_apart(case, again):
    layer = case.layer()
    inputs = case.inputs()
    expected = _flat(randomized_after(layer, inputs))
    other = again(layer)
    for one, two in zip(expected, _flat(on(other, inputs)), strict=True):
        assert torch.equal(one, two)
    for mine, theirs in zip(layer.weights, other.weights, strict=True):
        assert mine.data_ptr() != theirs.data_ptr()


@every
def test_state_dict_round_trip(case):
    layer, other = case.layer(), case.layer()
    inputs = case.inputs()
    expected = _flat(randomized_after(layer, inputs))
    on(other, inputs)
    other.load_state_dict(layer.state_dict())
    for one, two in zip(expected, _flat(on(other, inputs)), strict=True):
        assert torch.equal(one, two)


@every
def test_frozen_layers_have_nothing_to_train(case):
    layer = case.layer(trainable=False)
    on(layer, case.inputs())
    assert layer.trainable_weights == []
    layer.trainable = True
    assert all(w.requires_grad for w in layer.weights if getattr(w, "_own_trainable", False))


def randomized_after(layer: Layer, inputs: Any) -> Any:
    """Build the layer on `inputs`, give it random weights and return its output."""
    on(layer, inputs)
    return on(randomized(layer), inputs)


def _written(layer: Layer) -> Any:
    """Return the layer's written form without the shapes it was built for."""

    def plain(thing: Any) -> Any:
        if isinstance(thing, dict):
            return {key: plain(value) for key, value in thing.items() if key != "build_config"}
        return [plain(value) for value in thing] if isinstance(thing, (list, tuple)) else thing

    return plain(registry.serialize_keras_object(layer))


def _flat(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        return [leaf for key in sorted(outputs) for leaf in _flat(outputs[key])]
    return [leaf for part in outputs for leaf in _flat(part)]
