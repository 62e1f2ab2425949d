"""`random`: Keras's names and draws, and repeatable ones."""

import inspect

import keras
import numpy as np
import pytest
import torch

import uncrumple
from uncrumple import random
from uncrumple.core.seeds import set_random_seed

NAMES = [name for name in dir(keras.random) if not name.startswith("_")]
CALLS = {
    "beta": ((2000,), 2.0, 3.0),
    "binomial": ((2000,), 10, 0.3),
    "categorical": (torch.log(torch.tensor([[0.2, 0.5, 0.3]])), 2000),
    "dropout": (torch.ones(2000), 0.3),
    "gamma": ((2000,), 3.0),
    "normal": ((2000,), 1.0, 2.0),
    "randint": ((2000,), -2, 5),
    "shuffle": (torch.arange(2000.0),),
    "truncated_normal": ((2000,), 1.0, 2.0),
    "uniform": ((2000,), -1.0, 3.0),
}


def test_the_names_are_keras_s():
    assert sorted(random.__all__) == sorted(NAMES)
    assert set(NAMES) - set(CALLS) == {"SeedGenerator"}


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name):
    theirs, own = (inspect.signature(getattr(module, name)) for module in (keras.random, random))
    assert [(p.name, p.kind, p.default) for p in own.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]


@pytest.mark.parametrize("name", ["normal", "uniform", "randint", "categorical", "shuffle", "dropout"])
def test_a_seed_gives_the_numbers_that_keras_draws(name):
    for seed in (0, 1337, 2**31 + 5):
        expected = getattr(keras.random, name)(*CALLS[name], seed=seed)
        found = getattr(random, name)(*CALLS[name], seed=seed)
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected)


def test_seed_generators_move_on_as_keras_s_do():
    theirs, own = keras.random.SeedGenerator(7), random.SeedGenerator(7)
    for _ in range(3):
        torch.testing.assert_close(random.normal((4,), seed=own), keras.random.normal((4,), seed=theirs))
    assert own.next().tolist() == theirs.next().tolist() == [7, 3]
    assert own.next(ordered=False).tolist() == theirs.next(ordered=False).tolist()
    assert own.next().tolist() == theirs.next().tolist()


@pytest.mark.parametrize("name", CALLS)
def test_moments_agree_with_keras(name):
    expected, found = (getattr(module, name)(*CALLS[name], seed=3).double() for module in (keras.random, random))
    assert found.shape == expected.shape
    assert abs(found.mean() - expected.mean()) < 5 * expected.std() / 2000**0.5 * 2**0.5
    assert abs(found.std() - expected.std()) < 0.1 * expected.std()


@pytest.mark.parametrize("name", CALLS)
def test_the_program_s_seed_repeats_them(name):
    function = getattr(random, name)
    set_random_seed(1)
    first, second = function(*CALLS[name]), function(*CALLS[name])
    set_random_seed(1)
    assert torch.equal(function(*CALLS[name]), first)
    assert not torch.equal(first, second)
    assert torch.equal(function(*CALLS[name], seed=5), function(*CALLS[name], seed=5))


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("categorical", "dropout", "shuffle")])
def test_shapes_are_found_without_numbers(name):
    with torch.device("meta"):
        seeds = random.SeedGenerator(1)
        assert getattr(random, name)((2, 3), *CALLS[name][1:], seed=seeds).shape == (2, 3)
    assert seeds.next().tolist() == [1, 0]


def test_truncated_normal_stays_within_two_deviations():
    drawn = random.truncated_normal((20000,), 1.0, 3.0, seed=0)
    assert drawn.min() >= -5 and drawn.max() <= 7


def test_shuffle_keeps_slices_whole():
    x = torch.arange(12).reshape(3, 4)
    out = random.shuffle(x, axis=1, seed=1)
    assert not torch.equal(out, x)
    assert sorted(map(tuple, out.T.tolist())) == sorted(map(tuple, x.T.tolist()))


def test_dropout_with_a_noise_shape():
    out = random.dropout(torch.ones(50, 3), 0.5, noise_shape=(None, 1), seed=1)
    assert set(out.flatten().tolist()) == {0.0, 2.0}
    assert (out == out[:, :1]).all()
    assert random.dropout(torch.ones(3), 0.0).tolist() == [1.0] * 3
    assert random.dropout(torch.ones(3), 1).tolist() == [0.0] * 3


def test_types():
    assert random.normal((2,), dtype="float16").dtype is torch.float16
    assert random.randint((2,), 0, 9, dtype="int64").dtype is torch.int64
    assert random.uniform(()).shape == ()
    np.testing.assert_array_equal(random.uniform((2, 2), 3.0, 3.0), np.full((2, 2), 3.0, "float32"))


def test_seed_generator_in_a_layer():
    """Keras's own example: a layer that draws other numbers at each call."""

    class Noise(uncrumple.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed_generator = random.SeedGenerator(1337)

        def call(self, inputs, training=False):
            return inputs + random.normal(uncrumple.ops.shape(inputs), seed=self.seed_generator) if training else inputs

    x = uncrumple.Input((4,))
    model = uncrumple.Model(x, Noise()(x))
    data = torch.zeros(2, 4)
    once, again = model(data, training=True), model(data, training=True)
    assert not torch.equal(once, again)
    assert torch.equal(once, keras.random.normal((2, 4), seed=1337))
    assert torch.equal(model(data), data)


def test_config_of_a_seed_generator():
    made = random.SeedGenerator.from_config(random.SeedGenerator(3, name="seeds").get_config())
    assert (made.name, made.next().tolist()) == ("seeds", [3, 0])
    set_random_seed(4)
    first = random.SeedGenerator().next()
    set_random_seed(4)
    assert torch.equal(random.SeedGenerator().next(), first)


MISTAKES = [
    (
        lambda: random.normal((2,), seed="1"),
        "seed='1' is of type str.\nExpected a whole number, a SeedGenerator, or None.\nFix: seed=1337",
    ),
    (
        lambda: random.SeedGenerator(1.5),
        "SeedGenerator got seed=1.5.\nExpected a whole number or None.\nFix: SeedGenerator(1337)",
    ),
    (
        lambda: random.normal((2,), dtype="int32"),
        "random.normal got dtype='int32'.\nExpected a float type.\nFix: dtype=\"float32\"",
    ),
    (
        lambda: random.randint((2,), 3, 3),
        "random.randint got minval=3, maxval=3.\nExpected minval < maxval.\nFix: maxval=4",
    ),
    (
        lambda: random.dropout(torch.ones(2), 1.5),
        "random.dropout got rate=1.5.\nExpected 0 <= rate <= 1.\nFix: rate=0.5",
    ),
    (
        lambda: random.categorical(torch.ones(3), 2),
        "random.categorical got logits of shape (3,).\nExpected (rows, classes).\nFix: logits[None]",
    ),
]


@pytest.mark.parametrize(("call", "text"), MISTAKES, ids=[str(place) for place in range(len(MISTAKES))])
def test_mistakes_are_explained(call, text):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text
