"""Initializers: seeds, shapes, bounds, configs and errors."""

import doctest

import numpy as np
import pytest
import torch

from uncrumple import initializers
from uncrumple.core.seeds import set_random_seed
from uncrumple.core.variable import Variable

RANDOM = [
    initializers.RandomNormal,
    initializers.TruncatedNormal,
    initializers.RandomUniform,
    initializers.GlorotUniform,
    initializers.GlorotNormal,
    initializers.HeUniform,
    initializers.HeNormal,
    initializers.LecunUniform,
    initializers.LecunNormal,
    initializers.VarianceScaling,
    initializers.Orthogonal,
]


def test_examples_in_docstrings_run():
    assert doctest.testmod(initializers).failed == 0


@pytest.mark.parametrize("cls", RANDOM)
def test_seeds(cls):
    unseeded = cls()
    assert torch.equal(unseeded((3, 4)), unseeded((3, 4)))
    assert not torch.equal(unseeded((3, 4)), cls()((3, 4)))
    assert torch.equal(cls(seed=5)((3, 4)), cls(seed=5)((3, 4)))
    assert torch.equal(cls(seed=np.int64(5))((3, 4)), cls(seed=5)((3, 4)))
    set_random_seed(1)
    first = cls()((3, 4))
    set_random_seed(1)
    assert torch.equal(cls()((3, 4)), first)
    assert not torch.equal(unseeded.clone()((3, 4)), unseeded((3, 4)))
    assert torch.equal(cls(seed=5).clone()((3, 4)), cls(seed=5)((3, 4)))


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    initializers.HeNormal()((3, 4))
    assert torch.equal(torch.rand(3), expected)


def test_a_seed_generator_gives_new_values_each_call():
    class Seeds:
        count = 0

        def next(self):
            self.count += 1
            return torch.tensor([7, self.count])

    made = initializers.GlorotUniform(seed=Seeds())
    assert not torch.equal(made((2, 3)), made((2, 3)))


@pytest.mark.parametrize("cls", RANDOM)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", torch.float32, None])
def test_dtypes(cls, dtype):
    expected = torch.float32 if dtype is None else getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert cls()((4, 5), dtype=dtype).dtype == expected


@pytest.mark.parametrize("cls", RANDOM)
def test_on_the_meta_device(cls):
    with torch.device("meta"):
        out = cls()((3, 4))
    assert out.device.type == "meta"
    assert out.shape == (3, 4)


def test_truncated_normal_stays_within_two_deviations():
    values = initializers.TruncatedNormal(mean=3.0, stddev=0.5, seed=0)((10000,))
    assert values.min() >= 2.0
    assert values.max() <= 4.0
    assert float(values.std()) == pytest.approx(0.5 * 0.8796, rel=0.03)


def test_variance_is_scale_over_fan():
    for cls, variance in ((initializers.HeNormal, 2 / 200), (initializers.LecunNormal, 1 / 200)):
        assert float(cls(seed=0)((200, 300)).var()) == pytest.approx(variance, rel=0.03)
    assert float(initializers.GlorotUniform(seed=0)((200, 300)).var()) == pytest.approx(2 / 500, rel=0.03)
    limit = (6 / 500) ** 0.5
    assert initializers.GlorotUniform(seed=0)((200, 300)).abs().max() <= limit


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 3, 4), (3, 3, 2, 30)])
def test_orthogonal(shape):
    made = initializers.Orthogonal(gain=2.0, seed=0)(shape).reshape(-1, shape[-1])
    product = made.T @ made if made.shape[0] >= made.shape[1] else made @ made.T
    torch.testing.assert_close(product, 4 * torch.eye(len(product)), rtol=0, atol=1e-5)


def test_constant_takes_arrays_and_makes_its_own_copy():
    value = np.arange(3.0)
    made = initializers.Constant(value)
    out = made((2, 3))
    assert out.tolist() == [[0, 1, 2], [0, 1, 2]]
    out += 1
    assert made((2, 3)).tolist() == [[0, 1, 2], [0, 1, 2]]
    assert made((2, 3), "int32").dtype == torch.int32
    again = initializers.deserialize(initializers.serialize(made))
    assert again((2, 3)).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_an_initializer_fills_a_variable():
    assert Variable(initializers.Ones(), shape=(2, 2)).numpy().tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("uniform", initializers.RandomUniform),
        ("normal", initializers.RandomNormal),
        ("zero", initializers.Zeros),
        ("ones", initializers.Ones),
        ("one", initializers.Ones),
        ("glorot_uniform", initializers.GlorotUniform),
        ("HeNormal", initializers.HeNormal),
        ("OrthogonalInitializer", initializers.Orthogonal),
        ("identity", initializers.Identity),
        ({"class_name": "glorot_uniform", "config": {}}, initializers.GlorotUniform),
        ({"class_name": "Zeros", "config": {}}, initializers.Zeros),
        (initializers.Zeros, initializers.Zeros),
    ],
)
def test_get(name, cls):
    assert type(initializers.get(name)) is cls


def test_get_passes_on_what_is_an_initializer_already():
    def threes(shape, dtype=None):
        return torch.full(shape, 3.0)

    made = initializers.Zeros()
    assert initializers.get(None) is None
    assert initializers.get(made) is made
    assert initializers.get(threes) is threes


def test_get_an_array():
    made = initializers.get(np.ones((2, 3)))
    assert made((2, 3)).dtype == torch.float32
    with pytest.raises(ValueError) as caught:
        made((3, 2))
    assert str(caught.value) == (
        "The initial value has shape (2, 3), and the weight (3, 2).\n"
        "Expected the two to be equal.\n"
        "Fix: value.reshape((3, 2)), if it holds the same numbers"
    )


@pytest.mark.parametrize("cls", [*RANDOM, initializers.Constant, initializers.Identity, initializers.STFT])
def test_config_round_trip(cls):
    made = cls(seed=3) if cls in RANDOM else cls()
    config = initializers.serialize(made)
    assert config["module"] == "keras.initializers"
    again = initializers.deserialize(config)
    assert type(again) is cls
    assert again.get_config() == made.get_config()


def test_a_users_class_of_a_built_in_name_wins():
    class Zeros(initializers.Initializer):
        pass

    made = initializers.deserialize({"class_name": "Zeros", "config": {}}, custom_objects={"Zeros": Zeros})
    assert type(made) is Zeros


@pytest.mark.parametrize(
    ("make", "first_line"),
    [
        (lambda: initializers.get("glorot_unifrom"), "Unknown initializer: 'glorot_unifrom'."),
        (lambda: initializers.RandomNormal(stddev=-1), "RandomNormal got stddev=-1."),
        (lambda: initializers.RandomUniform(1, -1), "RandomUniform got minval=1, maxval=-1."),
        (lambda: initializers.VarianceScaling(scale=0), "VarianceScaling got scale=0."),
        (lambda: initializers.VarianceScaling(mode="fan"), "Unknown VarianceScaling mode: 'fan'."),
        (lambda: initializers.VarianceScaling(distribution="x"), "Unknown VarianceScaling distribution: 'x'."),
        (lambda: initializers.GlorotUniform(seed="0"), "GlorotUniform got seed='0'."),
        (lambda: initializers.GlorotUniform(seed=True), "GlorotUniform got seed=True."),
        (lambda: initializers.Identity()((2, 3, 4)), "Identity got shape=(2, 3, 4)."),
        (lambda: initializers.Orthogonal()((2,)), "Orthogonal got shape=(2,)."),
        (lambda: initializers.STFT(side="left"), "Unknown STFT side: 'left'."),
        (lambda: initializers.STFT(scaling="x"), "Unknown STFT scaling: 'x'."),
        (lambda: initializers.STFT(window=[1.0, 2.0])((3, 1, 2)), "STFT got a window of shape (2,)."),
    ],
)
def test_errors(make, first_line):
    with pytest.raises(ValueError) as caught:
        make()
    lines = str(caught.value).splitlines()
    assert lines[0] == first_line
    assert len(lines) == 3
    assert lines[2].startswith("Fix: ")


def test_a_base_class_without_call_says_what_to_write():
    class Empty(initializers.Initializer):
        pass

    with pytest.raises(NotImplementedError, match="add def __call__"):
        Empty()((2,))
