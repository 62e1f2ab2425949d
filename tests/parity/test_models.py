"""Models put together with Keras and with uncrumple: layers in the same order, under the same names, with the same weights."""

import warnings

import keras
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import uncrumple

X = np.random.default_rng(1).normal(size=(7, 4)).astype("float32")


@pytest.fixture(autouse=True)
def _names_count_from_the_beginning():
    clear()


def clear():
    keras.utils.clear_session()
    uncrumple.utils.clear_session()


def look_at(make, x=X):
    """Make a model with both libraries and compare names, order, weights, shapes and outputs."""
    theirs, ours = make(keras), make(uncrumple)
    assert names(ours) == names(theirs)
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    for count in ("trainable_weights", "non_trainable_weights"):
        assert len(getattr(ours, count)) == len(getattr(theirs, count))
    assert ours.count_params() == theirs.count_params()
    ours.set_weights(theirs.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for found, expected in zip(flat(ours.predict(x, verbose=0)), flat(theirs.predict(x, verbose=0)), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if hasattr(theirs, "output_names"):
        assert ours.output_names == theirs.output_names
    return ours, theirs


def flat(structure):
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in flat(structure[key])]
    return [leaf for part in structure for leaf in flat(part)] if isinstance(structure, list) else [structure]


def names(model):
    """Return the names of all layers, those of models within the model in brackets."""
    return [(layer.name, names(layer)) if hasattr(layer, "layers") else layer.name for layer in model.layers]


# What random models are made of: each step takes earlier tensors and makes one more.
step = st.tuples(
    st.sampled_from(["dense", "shared", "add", "concatenate", "model", "plus", "relu"]),
    st.integers(0, 99),
    st.integers(0, 99),
)


def assert_branched_models_agree(inputs, steps, ends):
    clear()

    def make(k):
        layers = k.layers
        starts = [k.Input((4,)) for _ in range(inputs)]
        tensors, shared = list(starts), layers.Dense(4, name="shared")
        inner_input = k.Input((4,))
        inner = k.Model(inner_input, layers.Dense(4)(layers.Dense(3)(inner_input)), name="inner")
        for kind, first, second in steps:
            one, other = tensors[first % len(tensors)], tensors[second % len(tensors)]
            if kind == "dense":
                made = layers.Dense(4, use_bias=bool(second % 2))(one)
            elif kind == "shared":
                made = shared(one)
            elif kind == "add":
                made = layers.Add()([one, other])
            elif kind == "concatenate":
                made = layers.Dense(4)(layers.Concatenate()([one, other, one]))
            elif kind == "model":
                made = inner(one)
            elif kind == "plus":
                made = one + other * 2.0
            else:
                made = layers.Activation("relu")(one)
            tensors.append(made)
        made = tensors[inputs:]
        outputs = [made[-1], *(made[end % len(made)] for end in ends)]
        return k.Model(starts if inputs > 1 else starts[0], list({id(tensor): tensor for tensor in outputs}.values()))

    look_at(make, [X] * inputs if inputs > 1 else X)


branches = given(
    st.integers(1, 3), st.lists(step, min_size=1, max_size=12), st.lists(st.integers(0, 99), min_size=1, max_size=3)
)
generated = settings(deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@settings(generated, max_examples=8)
@branches
def test_branched_models(inputs, steps, ends):
    assert_branched_models_agree(inputs, steps, ends)


@pytest.mark.slow
@settings(generated, max_examples=25)
@branches
def test_more_branched_models(inputs, steps, ends):
    assert_branched_models_agree(inputs, steps, ends)


def test_a_residual_network():
    def make(k):
        layers = k.layers
        inputs = x = k.Input((8, 8, 4))
        for filters in (4, 8):
            skip = layers.Conv2D(filters, 1, strides=2)(x)
            x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
            x = layers.Conv2D(filters, 3, padding="same")(x)
            x = layers.Add()([x, skip])
        return k.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))

    look_at(make, np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32"))


def test_models_within_models():
    def make(k):
        def block(units):
            inputs = k.Input((4,))
            return k.Model(inputs, k.layers.Dense(4)(k.layers.Dense(units, activation="relu")(inputs)))

        stack = k.Sequential([k.Input((4,)), block(3), k.layers.Dense(4), k.Sequential([block(2), k.layers.Dense(4)])])
        inputs = k.Input((4,))
        return k.Model(inputs, [stack(inputs) + inputs, k.layers.BatchNormalization()(stack(inputs * 2.0))])

    ours, theirs = look_at(make)
    for model in (theirs, ours):
        model.layers[1].trainable = False
        model.get_layer("sequential_1").layers[0].trainable = False
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    assert len(ours.trainable_weights) == len(theirs.trainable_weights)


def test_the_tail_of_a_model():
    def make(k):
        inputs = k.Input((3,))
        a = k.layers.Dense(4, name="a")(inputs)
        b = k.layers.Dense(5, name="b")(a)
        model = k.Model(inputs, k.layers.Dense(2, name="c")(k.layers.concatenate([a, b])))
        return k.Model(model.get_layer("a").output, model.output)

    theirs, ours = make(keras), make(uncrumple)
    assert names(ours)[1:] == names(theirs)[1:]
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-5)


def test_a_class_of_its_own():
    def make(k):
        class Block(k.layers.Layer):
            def __init__(self, units, **kwargs):
                super().__init__(**kwargs)
                self.units = units
                self.zeta, self.alpha = k.layers.Dense(units), k.layers.BatchNormalization()

            def build(self, input_shape):
                self.shift = self.add_weight(shape=(self.units,), initializer="zeros", trainable=False, name="shift")
                self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
                self.zeta.build(input_shape)
                self.alpha.build((*input_shape[:-1], self.units))

            def call(self, inputs):
                return self.alpha(self.zeta(inputs)) * self.scale + self.shift

        class Net(k.Model):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.zulu = k.layers.Dense(3)
                self.blocks = [Block(3), Block(4)]
                self.alpha = k.Sequential([k.layers.Dense(2), k.layers.Dense(2)])

            def call(self, inputs, training=False):
                x = self.zulu(inputs)
                for block in self.blocks:
                    x = block(x)
                return self.alpha(x)

        model = Net()
        model(torch.from_numpy(X))
        return model

    look_at(make)


def test_freezing_parts_and_wholes():
    def make(k):
        base = k.Sequential(
            [k.Input((4,)), k.layers.Dense(3), k.layers.BatchNormalization(), k.layers.Dense(2)], name="base"
        )
        inputs = k.Input((4,))
        return k.Model(inputs, k.layers.Dense(1)(base(inputs)))

    ours, theirs = look_at(make)

    def both(do):
        found = []
        for model in (ours, theirs):
            base = model.get_layer("base")
            do(model, base)
            found.append(
                [
                    (len(m.trainable_weights), len(m.non_trainable_weights), m.trainable)
                    for m in (model, base, *base.layers)
                ]
            )
        assert found[0] == found[1]

    def thaw_last(model, base):
        base.trainable = True
        for layer in base.layers[:-1]:
            layer.trainable = False

    both(lambda model, base: setattr(base, "trainable", False))
    both(lambda model, base: setattr(base.layers[0], "trainable", True))
    both(thaw_last)
    both(lambda model, base: setattr(model, "trainable", False))
    both(lambda model, base: setattr(model, "trainable", True))


def test_models_within_a_stack_are_counted_as_in_keras():
    def make(k):
        inputs = k.Input((4,))
        stack = k.Sequential([k.Input((4,)), k.layers.Dense(4)])
        grown = k.Sequential()
        grown.add(k.Input((4,)))
        grown.add(k.layers.Dense(3))
        grown.add(k.layers.Dense(4))
        late = k.Sequential([k.layers.Dense(4)])
        inner = k.Model(inputs, k.layers.Dense(4)(late(grown(stack(inputs)))))
        return k.Model(inputs, inner(inputs))

    ours, theirs = look_at(make)
    assert ours.name == theirs.name


# --- masks ----------------------------------------------------------------------------

TOKENS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 1, 3, 2], [0, 2, 0, 1]])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2.0,
        lambda x: x + x,
        lambda x: -x,
        lambda x: x[:, 1:],
        lambda x: 1.0 - x,
        lambda x: torch.relu(x) if isinstance(x, torch.Tensor) else keras.ops.relu(x),
    ],
    ids=["times", "plus", "negative", "later", "minus", "relu"],
)
def test_operators_leave_the_mask_behind(function):
    def make(k):
        inputs = k.Input((4,), dtype="int32")
        x = function(k.layers.Embedding(5, 3, mask_zero=True)(inputs))
        return k.Model(inputs, k.layers.GRU(3, return_sequences=True)(x))

    look_at(make, TOKENS)


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
@pytest.mark.parametrize("both", [False, True])
def test_a_mask_beside_an_initial_state(kind, both):
    """Keras hands a mask over by itself only where no other argument holds tensors."""

    def make(k):
        inputs = k.Input((4,), dtype="int32")
        x = k.layers.Embedding(5, 3, mask_zero=True)(inputs)
        state = k.layers.Dense(3)(k.layers.Flatten()(x))
        layer = getattr(k.layers, kind)(3, return_sequences=True)
        layer = k.layers.Bidirectional(layer) if both else layer
        states = [state] * ((2 if kind == "LSTM" else 1) * (2 if both else 1))
        return k.Model(inputs, [layer(x, initial_state=states), getattr(k.layers, kind)(3)(x)])

    look_at(make, TOKENS)


@pytest.mark.parametrize(
    "masked",
    [
        lambda k, x: k.layers.Masking()(x),
        lambda k, x: k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True))(k.layers.Masking()(x)),
        lambda k, x: k.layers.Add()([k.layers.Masking()(x), k.layers.Masking()(k.layers.Dense(3)(x))]),
        lambda k, x: k.layers.Concatenate()([k.layers.Masking()(x), k.layers.Dense(2)(x)]),
        lambda k, x: k.layers.Concatenate(axis=1)([k.layers.Masking()(x), k.layers.Masking()(k.layers.Dense(3)(x))]),
        lambda k, x: k.layers.Attention()([k.layers.Masking()(x), x]),
        lambda k, x: k.Sequential([k.layers.Dense(3)])(k.layers.Masking()(x)),
        lambda k, x: k.layers.Masking()(x) * 2.0,
    ],
    ids=["masking", "bidirectional", "add", "concatenate", "along time", "attention", "model", "operator"],
)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_masks_count_in_the_order_of_layers(masked, depth):
    """Beside a masked branch, another of Dense layers: which of them comes first depends on the masks' steps."""

    def make(k):
        sequence, features = k.Input((4, 3), name="sequence"), k.Input((3,), name="features")
        x = k.layers.Dense(3, name="first")(sequence)
        x = k.layers.LSTM(3)(masked(k, x))
        y = features
        for _ in range(depth):
            y = k.layers.Dense(3)(y)
        return k.Model([sequence, features], k.layers.Average()([y, x]))

    rng = np.random.default_rng(1)
    look_at(make, [rng.normal(size=(5, *shape)).astype("float32") for shape in ((4, 3), (3,))])


def test_files_of_keras_in_which_masks_are_steps(tmp_path):
    """Keras writes what makes a mask, and hands the mask over by name."""
    tokens, features = keras.Input((4,), dtype="int32"), keras.Input((4, 3))
    x = keras.layers.Embedding(5, 3, mask_zero=True)(tokens)
    y = keras.layers.Masking()(features)
    added = keras.layers.Add()([x, y])
    joined = keras.layers.LSTM(2, return_sequences=True)(keras.layers.Concatenate()([added, y]))
    theirs = keras.Model([tokens, features], keras.layers.GlobalAveragePooling1D()(joined))
    theirs.save(tmp_path / "masks.keras")
    ours = uncrumple.models.load_model(tmp_path / "masks.keras")
    data = np.random.default_rng(1).normal(size=(4, 4, 3)).astype("float32")
    data[1:, 2:] = 0
    np.testing.assert_allclose(
        ours.predict([TOKENS, data], verbose=0), theirs.predict([TOKENS, data], verbose=0), rtol=1e-5, atol=1e-6
    )
    ours.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(
        again.predict([TOKENS, data], verbose=0), theirs.predict([TOKENS, data], verbose=0), rtol=1e-5, atol=1e-6
    )
