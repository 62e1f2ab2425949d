"""Every layer in every option: layouts, precisions, freezing, masks and states, side by side with real Keras."""

from __future__ import annotations

import itertools
import random

import keras
import numpy as np
import pytest
import torch
from test_layers import LAYERS, QUIET

import uncrumple
from uncrumple import layers as L

pytestmark = pytest.mark.filterwarnings("ignore")
SAMPLES = 3

RECURRENT = [
    ("LSTM", {"units": 3, "return_sequences": True}, (4, 2)),
    ("LSTM", {"units": 3, "return_state": True, "activation": "relu"}, (4, 2)),
    ("GRU", {"units": 3}, (4, 2)),
    ("GRU", {"units": 3, "reset_after": False, "return_sequences": True}, (4, 2)),
    ("SimpleRNN", {"units": 3, "return_state": True, "return_sequences": True}, (4, 2)),
]


def name_of(row):
    return "-".join([row[0], *(f"{key}={value}" for key, value in row[1].items())])


def flat(structure):
    return [structure] if isinstance(structure, torch.Tensor) else [leaf for part in structure for leaf in flat(part)]


def values(*shapes, seed=1):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(SAMPLES, *shape)).astype("float32") for shape in shapes]


def as_call(arrays):
    tensors = [torch.tensor(array) for array in arrays]
    return tensors if len(tensors) > 1 else tensors[0]


def same_weights(ours, theirs):
    generator = np.random.default_rng(2)
    weights = [generator.uniform(0.5, 1.5, size=weight.shape).astype("float32") for weight in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)


def pair(row, **more):
    """Return our layer and Keras's with the same weights, and an input for each call."""
    name, settings, *shapes = row
    ours, theirs = getattr(L, name)(**settings, **more), getattr(keras.layers, name)(**settings, **more)
    call = as_call(values(*shapes))
    ours(call), theirs(call)
    same_weights(ours, theirs)
    return ours, theirs, call


def assert_same(mine, their, tolerance=2e-5):
    for one, other in zip(flat(mine), flat(their), strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


# --- channels first and last ------------------------------------------------------------


def spatial_rows():
    """Yield (class, arguments, rank) for every layer with `data_format`, in every option that changes its shape."""
    sizes = {1: (3,), 2: (3, 2), 3: (2, 1, 2)}
    for rank in (1, 2, 3):
        for kind, padding, strides in itertools.product(("Max", "Average"), ("valid", "same"), (None, 1, 2)):
            if kind == "Average" and padding == "same":
                continue  # Keras's torch backend repeats the border; numbers by hand are in test_layers.py
            yield f"{kind}Pooling{rank}D", {"pool_size": 2, "strides": strides, "padding": padding}, rank
        for kind, keepdims in itertools.product(("Max", "Average"), (False, True)):
            yield f"Global{kind}Pooling{rank}D", {"keepdims": keepdims}, rank
            yield f"Adaptive{kind}Pooling{rank}D", {"output_size": sizes[rank]}, rank
        for padding, (strides, dilation) in itertools.product(("valid", "same"), ((1, 1), (2, 1), (1, 2))):
            common = {"kernel_size": sizes[rank], "padding": padding, "strides": strides, "dilation_rate": dilation}
            for groups in (1, 2):
                yield f"Conv{rank}D", {"filters": 4, "groups": groups, **common}, rank
            yield f"Conv{rank}DTranspose", {"filters": 3, **common}, rank
            if rank < 3:
                yield f"SeparableConv{rank}D", {"filters": 3, "depth_multiplier": 2, **common}, rank
                yield f"DepthwiseConv{rank}D", {"depth_multiplier": 2, **common}, rank
        one_each = {1: (1, 2), 2: ((1, 2), (0, 1)), 3: ((1, 2), (0, 1), (1, 0))}[rank]
        yield f"ZeroPadding{rank}D", {"padding": 2}, rank
        yield f"ZeroPadding{rank}D", {"padding": one_each}, rank
        yield f"Cropping{rank}D", {"cropping": 1}, rank
        yield f"Cropping{rank}D", {"cropping": one_each}, rank
        yield f"UpSampling{rank}D", {"size": 2 if rank == 1 else tuple(range(1, rank + 1))}, rank
        yield f"SpatialDropout{rank}D", {"rate": 0.5}, rank
    for interpolation in ("bilinear", "bicubic", "nearest"):
        yield "UpSampling2D", {"size": (2, 3), "interpolation": interpolation}, 2
    yield "Flatten", {}, 2


NO_DATA_FORMAT = {"UpSampling1D", "Cropping1D", "SpatialDropout1D"}


@pytest.mark.parametrize("row", list(spatial_rows()), ids=name_of)
def test_layouts(row):
    name, settings, rank = row
    last = {1: (8, 4), 2: (5, 6, 4), 3: (4, 5, 6, 4)}[rank]
    outputs = {}
    for data_format in ("channels_last", "channels_first"):
        if name in NO_DATA_FORMAT:
            ours, theirs, x = pair((name, settings, last))
        else:
            shape = last if data_format == "channels_last" else (last[-1], *last[:-1])
            try:
                ours, theirs, x = pair((name, {**settings, "data_format": data_format}, shape))
            except ValueError as error:  # both refuse, ours in three lines
                assert str(error).count("\n") == 2, error
                with pytest.raises(ValueError):
                    getattr(keras.layers, name)(**settings, data_format=data_format)
                continue
        x.requires_grad_()
        mine, their = ours(x), theirs(x)
        outputs[data_format] = mine
        assert_same(mine, their)
        mix = torch.tensor(np.random.default_rng(3).normal(size=tuple(mine.shape)).astype("float32"))
        mine = torch.autograd.grad((mine * mix).sum(), [x, *ours.trainable_weights])
        their = torch.autograd.grad((their * mix).sum(), [x, *[weight.value for weight in theirs.trainable_weights]])
        assert_same(mine, their, 1e-4)
    assert outputs


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["Conv2D", "Conv3D"])
def test_a_convolution_of_ones_own(name, data_format):
    """Keras lets a subclass put another sum in place of the convolution (Conv1D forgets it); bias and activation stay."""

    def standardized(room):
        class Standardized(getattr(room, name)):
            def convolution_op(self, inputs, kernel):
                mean = kernel.mean() if isinstance(kernel, torch.Tensor) else kernel.value.mean()
                return super().convolution_op(inputs, kernel - mean)

        return Standardized(3, 2, activation="relu", data_format=data_format)

    rank = int(name[4])
    ours, theirs = standardized(L), standardized(keras.layers)
    shape = (2, 4, 4, 4)[: rank + 1] if data_format == "channels_first" else (4, 4, 4, 2)[-rank - 1 :]
    call = as_call(values(shape))
    ours(call), theirs(call)
    same_weights(ours, theirs)
    assert_same(ours(call), theirs(call))


# --- precisions --------------------------------------------------------------------------

POLICIES = ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "float64"]
# Keras 3.15.1 on torch gives float32 for float64 here; ours stays in float64.
LOSES_FLOAT64 = {"AdditiveAttention", "Attention", "Dot", "Maximum", "Minimum"}


def one_per_class():
    found = {}
    for row in [*LAYERS, *QUIET, *RECURRENT]:
        found.setdefault(row[0], row)
    return list(found.values())


@pytest.mark.parametrize("row", one_per_class(), ids=name_of)
def test_precisions(row):
    for policy in POLICIES:
        try:
            getattr(keras.layers, row[0])(**row[1], dtype=policy)(as_call(values(*row[2:])))
        except NotImplementedError:  # what torch does not have in half precision on a CPU; ours goes around it
            out = flat(getattr(L, row[0])(**row[1], dtype=policy)(as_call(values(*row[2:]))))
            assert all(str(one.dtype) == f"torch.{policy.removeprefix('mixed_')}" for one in out)
            continue
        ours, theirs, x = pair(row, dtype=policy)
        assert (ours.compute_dtype, ours.variable_dtype) == (theirs.compute_dtype, theirs.variable_dtype)
        assert ours.dtype_policy.name == theirs.dtype_policy.name
        own = [str(weight.dtype).removeprefix("torch.") for weight in ours.weights]
        assert own == [weight.dtype for weight in theirs.weights]
        low = "bfloat16" in policy
        tolerance = 0.05 if low else 0.01 if "16" in policy else 1e-4
        for one, other in zip(flat(ours(x)), flat(theirs(x)), strict=True):
            if policy == "float64" and row[0] in LOSES_FLOAT64:
                assert one.dtype == torch.float64
            else:
                assert one.dtype == other.dtype
            torch.testing.assert_close(one.double(), other.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("name", ["LayerNormalization", "GroupNormalization", "RMSNormalization", "BatchNormalization"])
def test_normalizations_of_every_type_in_every_precision(name, kind):
    """A layer in full precision within a network in half, and the other way round."""
    x = (torch.tensor(values((3, 32))[0]) * 3).to(kind)
    for policy in POLICIES:
        layer, exact = getattr(L, name)(dtype=policy), getattr(L, name)(dtype="float64")
        out = layer(x)
        assert str(out.dtype) == f"torch.{layer.compute_dtype}"
        tolerance = {"float32": 1e-5, "float64": 1e-5}.get(policy, 0.02)
        torch.testing.assert_close(out.double(), exact(x.double()), rtol=tolerance, atol=tolerance)
        layer(x, training=True).sum().backward()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_a_policy_reaches_the_layers_within(policy):
    def made(room):
        return [
            room.Bidirectional(room.LSTM(2, dtype=policy), dtype=policy),
            room.TimeDistributed(room.Dense(2, dtype=policy), dtype=policy),
            room.RNN([room.LSTMCell(2, dtype=policy), room.GRUCell(3, dtype=policy)], dtype=policy),
            room.SpectralNormalization(room.Dense(2, dtype=policy), dtype=policy),
            room.ConvLSTM1D(2, 2, dtype=policy),
        ]

    for ours, theirs in zip(made(L), made(keras.layers), strict=True):
        x = torch.tensor(values((4, 3, 2) if "ConvLSTM" in type(ours).__name__ else (4, 3))[0])
        ours(x), theirs(x)
        same_weights(ours, theirs)
        tolerance = 1e-4 if policy == "float64" else 0.05
        for one, other in zip(flat(ours(x)), flat(theirs(x)), strict=True):
            assert one.dtype == other.dtype
            torch.testing.assert_close(one.double(), other.double(), rtol=tolerance, atol=tolerance)
        own = [str(weight.dtype).removeprefix("torch.") for weight in ours.weights]
        assert own == [weight.dtype for weight in theirs.weights]


# --- trainable -----------------------------------------------------------------------------


def listed(layer):
    """Return names and shapes of the weights in the three lists."""
    lists = (layer.weights, layer.trainable_weights, layer.non_trainable_weights)
    return [[(weight.name, tuple(weight.shape)) for weight in one] for one in lists]


FREEZABLE = [row for row in [*one_per_class(), *RECURRENT] if not row[0].startswith("SpatialDropout")]


@pytest.mark.parametrize("row", FREEZABLE, ids=name_of)
def test_freezing(row):
    for first in (True, False):
        ours, theirs, _ = pair(row, trainable=first)
        assert listed(ours) == listed(theirs)
        for later in (False, True):
            ours.trainable = theirs.trainable = later
            assert listed(ours) == listed(theirs)
            assert [weight.trainable for weight in ours.weights] == [weight.trainable for weight in theirs.weights]
        assert ours.count_params() == theirs.count_params()


def nested(package):
    room = package.layers
    inner = package.Sequential([room.Input((4,)), room.Dense(3), room.BatchNormalization()], name="inner")
    inputs = package.Input((4,))
    x = room.Reshape((3, 1))(inner(inputs))
    x = room.Bidirectional(room.LSTM(2, return_sequences=True), name="both")(x)
    x = room.TimeDistributed(room.Dense(2), name="each")(x)
    x = room.RNN([room.LSTMCell(2), room.GRUCell(2)], name="stack")(x)
    model = package.Model(inputs, room.SpectralNormalization(room.Dense(2), name="divided")(x))
    named = {name: model.get_layer(name) for name in ("inner", "both", "each", "stack", "divided")}
    parts = [model, *named.values(), *named["inner"].layers, named["each"].layer, named["divided"].layer]
    parts += [named["both"].forward_layer, named["both"].forward_layer.cell, named["stack"].cell]
    return parts + named["stack"].cell.cells


def test_freezing_parts_of_a_nested_model_in_any_order():
    ours, theirs = nested(uncrumple), nested(keras)
    choose = random.Random(0)
    for _ in range(60):
        index, value = choose.randrange(len(ours)), choose.random() < 0.5
        ours[index].trainable = theirs[index].trainable = value
        assert listed(ours[0]) == listed(theirs[0])
        assert [one.trainable for one in ours] == [one.trainable for one in theirs]


def test_a_frozen_part_stays_and_its_batch_normalization_infers():
    """Fine-tuning: weights after training, with the base frozen, equal Keras's."""
    x, y = values((4,), seed=5)[0].repeat(4, 0), values((1,), seed=6)[0].repeat(4, 0)
    results = []
    weights = None
    for package in (uncrumple, keras):
        room = package.layers
        base = package.Sequential(
            [room.Input((4,)), room.Dense(3), room.BatchNormalization(), room.Dense(3)], name="base"
        )
        inputs = package.Input((4,))
        model = package.Model(inputs, room.Dense(1)(room.BatchNormalization(momentum=0.5)(base(inputs))))
        weights = weights or model.get_weights()
        model.set_weights(weights)
        history = []
        for frozen in (True, False):
            base.trainable = not frozen
            model.compile(package.optimizers.SGD(0.05), "mse")
            history += model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
        results.append((history, model.get_weights()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-4)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


# --- masks ---------------------------------------------------------------------------------


def mask_rows():
    wanted = [row for row in [*LAYERS, *QUIET, *RECURRENT] if all(len(shape) > 1 for shape in row[2:])]
    # Keras 3.15.1 refuses a mask of the steps for images here, or for an axis that it normalizes twice.
    return [row for row in wanted if row[0] != "BatchNormalization" and row != ("Softmax", {"axis": [1, 2]}, (3, 4))]


def masked(arrays):
    found = []
    for index, array in enumerate(arrays):
        x = torch.tensor(array)
        marks = np.random.default_rng(index).integers(0, 2, (SAMPLES, array.shape[1])).astype(bool)
        x._keras_mask = torch.tensor(marks)
        found.append(x)
    return found if len(found) > 1 else found[0]


def assert_same_masks(mine, their):
    for one, other in zip(flat(mine), flat(their), strict=True):
        one, other = getattr(one, "_keras_mask", None), getattr(other, "_keras_mask", None)
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


@pytest.mark.parametrize("row", mask_rows(), ids=name_of)
def test_masks_go_on_or_end_where_they_do_in_keras(row):
    ours, theirs, _ = pair(row)
    mine, their = ours(masked(values(*row[2:]))), theirs(masked(values(*row[2:])))
    assert_same(mine, their, 1e-4)
    assert_same_masks(mine, their)
    assert ours.supports_masking == theirs.supports_masking


WRAPPED = {
    "TimeDistributed": lambda room: room.TimeDistributed(room.Dense(2)),
    "Bidirectional": lambda room: room.Bidirectional(room.LSTM(2, return_sequences=True)),
    "Bidirectional, last": lambda room: room.Bidirectional(room.GRU(2, return_state=True)),
    "Bidirectional, apart": lambda room: room.Bidirectional(room.GRU(2, return_sequences=True), merge_mode=None),
    "RNN": lambda room: room.RNN([room.LSTMCell(2), room.GRUCell(3)], return_sequences=True, return_state=True),
    "SpectralNormalization": lambda room: room.SpectralNormalization(room.Dense(2)),
    "Lambda": lambda room: room.Lambda(lambda x: x * 2),
    "Lambda with a mask": lambda room: room.Lambda(lambda x: x * 2, mask=lambda x, mask: mask),
    "Masking": lambda room: room.Masking(),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_masks_of_layers_around_others(name):
    ours, theirs = WRAPPED[name](L), WRAPPED[name](keras.layers)
    x = values((4, 3))
    ours(masked(x)), theirs(masked(x))
    same_weights(ours, theirs)
    mine, their = ours(masked(x)), theirs(masked(x))
    assert_same(mine, their, 1e-4)
    assert_same_masks(mine, their)
    assert ours.supports_masking == theirs.supports_masking


# --- states --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU", "ConvLSTM1D"])
@pytest.mark.parametrize("stateful", [False, True])
def test_states_given_kept_and_returned(kind, stateful):
    """Every way to return, from every start, with and without a mask, over two batches."""
    image = kind.startswith("Conv")
    shape, state = ((4, 5, 2), (SAMPLES, 4, 3)) if image else ((4, 2), (SAMPLES, 3))
    settings = {"filters": 3, "kernel_size": 2} if image else {"units": 3}
    generator = np.random.default_rng(4)
    given = [
        torch.tensor(generator.normal(size=state).astype("float32")) for _ in range(1 if "LSTM" not in kind else 2)
    ]
    mask = torch.tensor([[1, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 0]]).bool()
    for sequences, backwards, start, marks in itertools.product(
        (False, True), (False, True), (None, given), (None, mask)
    ):
        options = {"return_sequences": sequences, "go_backwards": backwards, "return_state": True, "stateful": stateful}
        ours = getattr(L, kind)(**settings, **options)
        theirs = getattr(keras.layers, kind)(**settings, **options)
        for layer in (ours, theirs):
            layer.build((SAMPLES, *shape))
        same_weights(ours, theirs)
        for seed in (1, 2):
            x = torch.tensor(values(shape, seed=seed)[0])
            with torch.no_grad():
                mine = ours(x, initial_state=start, mask=marks)
                assert_same(mine, theirs(x, initial_state=start, mask=marks), 1e-4)
        if stateful:
            for one, other in zip(ours.states, theirs.states, strict=True):
                np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)
            ours.reset_states(), theirs.reset_states()
            with torch.no_grad():
                assert_same(ours(x, mask=marks), theirs(x, mask=marks), 1e-4)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_stateful_layers_in_a_model(kind):
    """`predict` carries states from batch to batch and from call to call, until they are reset."""
    x = np.random.default_rng(0).normal(size=(8, 3, 2)).astype("float32")
    results, weights = [], None
    for package in (uncrumple, keras):
        room = package.layers
        model = package.Sequential(
            [
                package.Input(batch_shape=(4, 3, 2)),
                getattr(room, kind)(3, stateful=True, return_sequences=True),
                getattr(room, kind)(2, stateful=True),
                room.Dense(1),
            ]
        )
        weights = weights or model.get_weights()
        model.set_weights(weights)
        found = [model.predict(x, batch_size=4, verbose=0)]
        model.layers[0].reset_state()
        found.append(model.predict(x, batch_size=4, verbose=0))
        results.append(found)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_encoder_hands_its_states_to_a_decoder():
    results, weights = [], None
    x = [np.random.default_rng(seed).normal(size=(4, 3, 2)).astype("float32") for seed in (0, 1)]
    y = np.ones((4, 3, 1), "float32")
    for package in (uncrumple, keras):
        room = package.layers
        source, target = package.Input((None, 2)), package.Input((None, 2))
        _, *states = room.Bidirectional(room.LSTM(2, return_state=True))(source)
        states = [room.Concatenate()([states[0], states[2]]), room.Concatenate()([states[1], states[3]])]
        decoded = room.LSTM(4, return_sequences=True)(target, initial_state=states)
        model = package.Model([source, target], room.Dense(1)(decoded))
        weights = weights or model.get_weights()
        model.set_weights(weights)
        model.compile(package.optimizers.SGD(0.1), "mse")
        losses = model.fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"]
        results.append([losses, model.predict(x, verbose=0)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
