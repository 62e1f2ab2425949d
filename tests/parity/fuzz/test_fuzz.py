"""A few of the random models, files, stacks and calls that `make fuzz` compares, and what the comparison itself owes.

The rule by which numbers agree stands in compare_models.py. Where Keras 3.15.1
on torch is wrong, the models leave it out, or the comparison puts it right:

- average pooling whose padding has an uneven size, layer normalization over an axis in the middle, sparsemax,
  SimpleRNN's activity_regularizer (ignored), trainable=False given to a wrapper (freezes nothing),
  attention for queries that see no key (wrong gradients), ScheduleFreeAdamW's beta_1 (no effect): random_layers.py,
  random_models.py and random_training.py say so where they leave them out;
- metrics that are counts, with validation: Keras's history shows the count of the validation for both;
- weighted metrics, where something is masked or a class ignored: the loss leaves changed weights behind;
- weights of samples, for outputs with more axes: Keras takes them for weights of steps or columns;
- OrthogonalRegularizer of a column of zeros: Keras's gradient is NaN, so that LossScaleOptimizer leaves out the step;
- models whose training gives Keras numbers that are none, or that Keras itself refuses, are not counted;
- settings of losses that Keras does not write into its files, such as the delta of Huber.
"""

import dataclasses

import compare_files
import compare_ops
import compare_preprocessing
import numpy as np
import pytest
import torch
from compare_models import compare, differences, smaller
from random_ops import NAMES, Call, Tensor, call
from random_recipes import recipe
from recipes import Network, Part, Recipe, Step

import uncrumple

# Small ones of seed 0: of every kind, and with files of both.
NUMBERS = (3, 8, 12, 15, 18, 20, 28, 31, 37, 44)
MORE = (14, 16, 19, 21, 26, 29, 32, 34, 36, 39, 40, 41)


@pytest.mark.parametrize("number", [*NUMBERS, *[pytest.param(number, marks=pytest.mark.slow) for number in MORE]])
def test_random_models_agree(number):
    drawn = recipe(0, number)
    verdict = compare(drawn)
    if verdict.result == "refused":
        pytest.skip(str(verdict.differences[0]))
    assert verdict.result.startswith("agrees"), f"{drawn.code()}\n{verdict.differences}"


def test_layers_that_lead_to_no_output_are_not_compared():
    # Both directions begin with other numbers than Keras's; only those of the model's own layers are made alike.
    both = Part("layers", "Bidirectional", {"layer": Part("layers", "SimpleRNN", {"units": 3})})
    steps = [Step(part, (source,)) for part, source in ((both, 0), (Part("layers", "Dense", {"units": 3}), 1))]
    steps.append(Step(Part("layers", "Dense", {"units": 3, "name": "c"}), (3,)))
    network = Network([{"shape": (2, 4), "name": "a"}, {"shape": (5,), "name": "b"}], steps, [4], "list", "one", ["c"])
    assert network.used() == {1, 3, 4}
    drawn = recipe(0, NUMBERS[0])
    rows = [np.ones((6, 2, 4), "float32"), np.ones((6, 5), "float32")]
    compiled, fitted = {"optimizer": "sgd", "loss": "mse"}, {"epochs": 1, "batch_size": 3}
    other = dataclasses.replace(
        drawn, network=network, x=rows, y=np.ones((6, 3), "float32"), compiled=compiled, fitted=fitted, saved=""
    )
    assert compare(other).result == "agrees"


# Small ones, written by each library; one of them subclassed.
JOURNEYS = (1, 2, 3, 8)


@pytest.mark.parametrize("number", JOURNEYS)
def test_random_files_agree(number):
    drawn = compare_files.journey(1, number)
    verdict = compare_files.compare(drawn)
    if verdict.result == "refused":
        pytest.skip(str(verdict.differences[0]))
    assert verdict.result == "agrees", f"{drawn.code()}\n{verdict.differences}"


def test_random_stacks_that_prepare_data_agree():
    verdicts = {
        number: compare_preprocessing.compare(compare_preprocessing.drawn(0, number), number) for number in range(4)
    }
    assert [number for number, verdict in verdicts.items() if verdict.result == "differs"] == []
    assert sum(verdict.result == "agrees" for verdict in verdicts.values()) > 2


def test_random_calls_agree():
    verdicts = {number: compare_ops.compare(call(0, number)) for number in range(600)}
    wrong = [(call(0, number), str(v.theirs), str(v.ours)) for number, v in verdicts.items() if v.result == "differs"]
    assert wrong == []
    assert sum(verdict.result == "agrees" for verdict in verdicts.values()) > 520
    assert len({call(0, number).name for number in range(600)}) > 0.8 * len(NAMES)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda out: out * 1.01, "value"),
        (lambda out: out[None], "shape"),
        (lambda out: out.double(), "dtype"),
        (lambda out: 1 / 0, "refused here"),
    ],
)
def test_a_wrong_function_is_found(change, what, monkeypatch):
    asked = Call("add", [Tensor(np.ones((2, 3)), "float32"), 2], {})
    assert compare_ops.compare(asked).result == "agrees"
    right = uncrumple.ops.add
    monkeypatch.setattr(uncrumple.ops, "add", lambda x1, x2: change(right(x1, x2)))
    verdict = compare_ops.compare(asked)
    assert (verdict.result, verdict.what) == ("differs", what)


def test_numpy_says_who_is_right():
    x = Tensor(np.arange(6.0).reshape(2, 3), "float32")
    verdict = compare_ops.compare(Call("pad", [x, 1], {"mode": "symmetric"}))
    assert verdict.result == "right as NumPy"
    assert torch.equal(verdict.ours.value, torch.from_numpy(np.pad(x.values, 1, mode="symmetric")).float())


def test_a_file_that_is_read_wrongly_is_found(monkeypatch):
    asked = compare_files.journey(1, JOURNEYS[1])
    load = compare_files.load

    def wrong(k, file, asked):
        model = load(k, file, asked)
        if k is uncrumple:
            model.set_weights([weight * 1.02 for weight in model.get_weights()])
        return model

    monkeypatch.setattr(compare_files, "load", wrong)
    verdict = compare_files.compare(asked)
    assert verdict.result == "differs" and verdict.differences[0].where.startswith("opened")


def test_the_same_seed_gives_the_same_model():
    assert recipe(0, 3).code() == recipe(0, 3).code() != recipe(0, 4).code()
    np.testing.assert_array_equal(
        np.concatenate([each.ravel() for each in arrays(recipe(0, 3).x)]),
        np.concatenate([each.ravel() for each in arrays(recipe(0, 3).x)]),
    )


def arrays(x):
    return [x] if isinstance(x, np.ndarray) else list(x.values() if isinstance(x, dict) else x)


def small():
    """Return a recipe with something to leave out."""
    dense = [Part("layers", "Dense", {"units": units, "activation": "tanh"}) for units in (3, 4, 2)]
    network = Network([{"shape": (3,)}], [Step(part, (number,)) for number, part in enumerate(dense)], [3])
    compiled = {"optimizer": Part("optimizers", "Adam", {"learning_rate": 0.01}), "loss": "mse", "metrics": ["mae"]}
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 3)).astype("float32"), random.normal(size=(12, 2)).astype("float32")
    return Recipe("small", network, compiled, {"epochs": 2, "batch_size": 5, "validation_split": 0.25}, x, y)


def test_a_wrong_layer_is_found_and_made_small(monkeypatch):
    assert compare(small()).result == "agrees"
    right = uncrumple.layers.Dense.call
    monkeypatch.setattr(uncrumple.layers.Dense, "call", lambda self, inputs: right(self, inputs) * 1.01)
    verdict = compare(small())
    assert verdict.result == "differs"
    assert verdict.differences[0].where.startswith("before training: ")
    less = smaller(small(), verdict, tries=4, seconds=300)
    assert compare(less).result == "differs"
    assert len(less.code()) < len(small().code()) and "mae" not in less.code()


def test_a_wrong_optimizer_is_found(monkeypatch):
    """An optimizer may differ as Keras from itself, and no further."""
    right = uncrumple.optimizers.Adam
    monkeypatch.setattr(uncrumple.optimizers, "Adam", lambda learning_rate: right(learning_rate * 1.02))
    verdict = compare(small())
    assert verdict.result == "differs"
    assert all(each.where.startswith("trained: ") for each in verdict.differences)


@pytest.mark.parametrize(
    ("theirs", "ours", "where"),
    [
        ({"a": 1.0}, {"a": 1.002}, "a"),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0, 3.0]}, "a"),
        ({"a": np.zeros((2, 3))}, {"a": np.zeros((3, 2))}, "a"),
        ({"a": np.array([1.0, np.nan])}, {"a": np.array([1.0, 2.0])}, "a"),
        ({"a": np.array([100.0, 0.5])}, {"a": np.array([100.0, 0.52])}, "a"),
        ({"a": ["x", "y"]}, {"a": ["x", "z"]}, "a[1]"),
        ({"a": 1.0, "b": 2.0}, {"a": 1.0}, ""),
    ],
)
def test_what_differs(theirs, ours, where):
    assert [each.where for each in differences(theirs, ours)] == [where]


def test_what_does_not_differ():
    seen = {"a": np.array([100.0, 1e-9]), "b": {"c": [1.0, np.nan]}, "d": "x", "e": np.array([3.0])}
    assert not list(differences(seen, {**seen, "a": np.array([100.05, -1e-9]), "e": 3.0}))
