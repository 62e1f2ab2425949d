"""Ways against overfitting: each changes what it says, what helps is found, and luck is not called help."""

import json

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers
from uncrumple.explain.overfitting.remedies import Remedies, Remedy
from uncrumple.explain.overfitting.ways import (
    NotPossible,
    Setting,
    resized,
    with_decay,
    with_dropout,
    with_noise,
)
from uncrumple.explain.tuning.statistics import holm, paired_difference

random = np.random.default_rng(4)
X = random.normal(size=(150, 20)).astype("float32")
NOISY = (X[:, 0] + 1.2 * random.normal(size=150) > 0).astype("int64")


def build(width=64, rate=0.01):
    model = uc.Sequential([uc.Input((20,)), layers.Dense(width, "relu"), layers.Dense(2, "softmax")])
    model.compile(uc.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def functional():
    inputs = uc.Input((20,))
    hidden = layers.Dense(8, "relu")(inputs)
    model = uc.Model(inputs, layers.Dense(2, "softmax")(layers.Dense(8, "relu")(hidden)))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def wrapped():
    torch_net = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    model = uc.Sequential([uc.from_torch(torch_net)])
    model.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Own(uc.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = layers.Dense(16, "relu"), layers.Dense(2, "softmax")

    def call(self, inputs):
        return self.last(self.first(inputs))


def own():
    model = Own()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


# --- the comparison ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    uc.utils.set_random_seed(0)
    return uc.explain.overfitting_remedies(build, (X, NOISY), epochs=40)


def test_early_stopping_helps_where_there_is_noise_to_learn(found):
    assert found.overfits
    assert found["early stopping"].helps is True
    assert found["early stopping"].change[0] < 0 and found["early stopping"].p_value < 0.05
    assert (found["early stopping"].epochs < 40).all() and (found["as it is"].epochs == 40).all()
    assert "helps most: loss on fresh rows" in found.verdict()
    assert found.fresh_rows == 30 and found.learnt_rows == 90 and found.divisions == 5


def test_ways_begin_alike_and_numbers_are_those_of_fit(found):
    """The model as it is, trained by hand on the first division."""
    parts = uc.data.split(NOISY, validation=0.2, test=0.2, seed=0)
    uc.utils.set_random_seed(0)
    model = build()
    uc.utils.set_random_seed(0)
    history = model.fit(
        X[parts.train], NOISY[parts.train], epochs=40, verbose=0,
        validation_data=(X[parts.validation], NOISY[parts.validation]),
    )  # fmt: skip
    loss, accuracy = model.evaluate(X[parts.test], NOISY[parts.test], verbose=0)
    assert found["as it is"].fresh[0] == pytest.approx(loss, rel=1e-3)
    assert found["as it is"].metric[0] == pytest.approx(accuracy, abs=0.02)
    np.testing.assert_allclose(found["as it is"].curves["validation"][0], history.history["val_loss"], rtol=1e-2)


def test_noise_and_penalty_do_something(found):
    """Hooks are heeded by `fit_many`, and losses are without penalties."""
    assert (found["noise"].fresh != found["as it is"].fresh).all()
    assert (found["noise"].curves["training"][:, -1] > 1.2 * found["as it is"].curves["training"][:, -1]).all()
    assert found["L2"].learnt.mean() > found["as it is"].learnt.mean()
    curve = found["L2"].curves["training"][0]
    assert curve[-1] < 1.5 * found["L2"].learnt[0] + 0.05


def test_words_and_pictures(found, tmp_path):
    text = str(found)
    assert "sets 50 % of the inputs" in text and "adds 0.0010 times the sum of squared weights" in text
    assert "Corrected paired t-test, Holm." in text and "way" in text
    plain = json.loads(found.save(tmp_path / "a.json").read_text())
    assert [one["name"] for one in plain["ways"]] == ["as it is", "early stopping", "dropout", "L2", "noise", "smaller"]
    figure = found.plot()
    assert figure.texts[0].get_text().replace("\n", " ") == found.verdict()
    assert found.save(tmp_path / "a.png").stat().st_size > 20000
    with pytest.raises(KeyError, match="did you mean"):
        found["dropuot"]


def test_luck_is_not_called_help():
    """Ways that change nothing: of many comparisons hardly one may be called a difference."""
    alarms, generator = 0, np.random.default_rng(0)
    for _ in range(300):
        base = generator.normal(1, 0.2, 5)
        p_values = [paired_difference(generator.normal(0, 0.1, 5), 90, 30)[3] for _ in range(5)]
        alarms += min(holm(p_values)) < 0.05
        assert base.shape == (5,)
    assert alarms / 300 <= 0.06


def test_the_verdict_when_nothing_overfits():
    curves = {"training": np.ones((3, 4)), "validation": np.ones((3, 4))}

    def row(name, learnt, fresh, p_value=None, change=None):
        return Remedy(name, "x", np.array(learnt), np.array(fresh), np.zeros(0), curves, np.full(3, 4), change, p_value)

    plain = row("as it is", [0.5, 0.52, 0.48], [0.5, 0.51, 0.5])
    same = row("dropout", [0.5] * 3, [0.5] * 3, 0.8, (-0.001, -0.1, 0.1))
    result = Remedies([plain, same], {"smaller": "why not"}, None, 60, 20, 3, 4)
    assert (
        result.verdict()
        == "It hardly overfits here (loss 0.500 on the rows learnt from, 0.503 on fresh ones), and nothing is shown to help."
    )
    assert "smaller was not tried: why not" in str(result) and "Neither shown to help nor to harm: dropout" in str(
        result
    )
    worse = row("L2", [0.9] * 3, [0.9] * 3, 0.001, (0.4, 0.3, 0.5))
    assert "Shown to harm: L2" in str(Remedies([plain, worse], {}, None, 60, 20, 3, 4))
    assert result.plot() is not None


# --- the ways --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [build, functional, wrapped, own])
def test_dropout_acts_in_training_alone(make):
    x = torch.tensor(X[:40])
    model = with_dropout(Setting(make, x), 0.5)
    rest = [model(x, training=False).detach() for _ in range(2)]
    torch.testing.assert_close(*rest)
    model.fit(X, NOISY, epochs=1, verbose=0)
    model.train(True)
    first, second = (model(x, training=True).detach() for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("make", [build, functional, wrapped, own])
def test_decay_adds_the_squares_of_matrices(make):
    x = torch.tensor(X[:40])
    uc.utils.set_random_seed(1)
    plain = make()
    plain(x)
    uc.utils.set_random_seed(1)
    model = with_decay(Setting(make, x), 0.01)
    for one, other in zip(plain.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(one, other)
    squares = sum(float((weight**2).sum()) for weight in model.get_weights() if weight.ndim == 2)
    first, second = (np.atleast_1d(one.evaluate(X, NOISY, verbose=0))[0] for one in (plain, model))
    assert second - first == pytest.approx(0.01 * squares, rel=1e-3)


def test_noise_has_the_size_of_each_column():
    x = torch.randn(500, 2) * torch.tensor([1.0, 100.0])
    seen = []

    class Sees(layers.Layer):
        def call(self, inputs):
            if not inputs.is_meta:
                seen.append(inputs.detach().clone())
            return inputs

    def make():
        model = uc.Sequential([uc.Input((2,)), Sees(), layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    model = with_noise(Setting(make, x), 0.2)
    model.fit(x, torch.zeros(500, 1), epochs=1, batch_size=500, shuffle=False, verbose=0)
    change = (seen[-1] - x).std(dim=0)
    torch.testing.assert_close(change, 0.2 * x.std(dim=0), rtol=0.15, atol=0)
    model.predict(x, verbose=0, batch_size=500)
    torch.testing.assert_close(seen[-1], x)


def test_smaller_keeps_the_answer_and_shrinks_the_rest():
    model = resized(build(64), 0.25)
    assert [layer.units for layer in model.layers] == [16, 2] and model.compiled
    assert [layer.units for layer in resized(functional(), 2.0).layers if hasattr(layer, "units")] == [16, 16, 2]
    with pytest.raises(NotPossible, match="a class of your own"):
        resized(own(), 0.5)


def test_ways_that_cannot_be_are_named():
    x = np.random.default_rng(0).integers(0, 30, (90, 6))
    y = (x[:, 0] > 15).astype("int64")

    def words():
        model = uc.Sequential([uc.Input((6,)), layers.Embedding(30, 4), layers.Flatten(), layers.Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    result = uc.explain.overfitting_remedies(words, (x, y), epochs=2, divisions=3)
    assert result.left_out["noise"] == "its inputs are not one array of measured numbers"
    assert set(result.left_out) == {"noise", "dropout", "smaller"}
    assert "noise was not tried" in str(result)


def test_ones_own_way_strengths_parts_and_random_numbers():
    table = uc.data.Table({**{f"x{i}": X[:, i] for i in range(3)}, "y": NOISY}, target="y")
    parts = uc.data.split(table)

    def raw(width=8):
        inputs = parts.train.preparation()
        taken = inputs.inputs()
        model = uc.Model(taken, layers.Dense(2, "softmax")(layers.Dense(width, "relu")(inputs(taken))))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    state = torch.get_rng_state()
    result = uc.explain.overfitting_remedies(
        raw, parts, ways={"early stopping": 2, "narrow": lambda: raw(1)}, epochs=4, divisions=3
    )
    assert torch.equal(state, torch.get_rng_state())
    assert [row.name for row in result.rows] == ["as it is", "early stopping", "narrow"]
    assert "after 2 epochs" in result["early stopping"].said
    assert parts.test_uses == 0 and result.untouched == len(parts.rows.test)
    assert f"{result.untouched} test rows were not looked at" in str(result)


def test_a_model_is_cloned_and_stays_as_it_is():
    model = build(8)
    before = model.get_weights()
    result = uc.explain.overfitting_remedies(model, (X, NOISY), ways=["dropout"], epochs=2, divisions=3)
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert len(result.rows) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"ways": ["dropuot"]}, "Unknown way against overfitting: 'dropuot'."),
        (
            {"ways": {"dropout": 1.5}},
            "overfitting_remedies got the way 'dropout' with 1.5.\nExpected a number above 0 and below 1.",
        ),
        ({"ways": []}, "overfitting_remedies got no ways."),
        ({"divisions": 2}, "overfitting_remedies got divisions=2.\nExpected a whole number of at least 3."),
    ],
)
def test_impossible_arguments(arguments, text):
    with pytest.raises(ValueError) as error:
        uc.explain.overfitting_remedies(build, (X, NOISY), **arguments)
    assert str(error.value).startswith(text)


def test_what_is_no_model():
    with pytest.raises(ValueError, match=r"build\(\) returned a NoneType"):
        uc.explain.overfitting_remedies(lambda: None, (X, NOISY))
    with pytest.raises(TypeError, match="got the class Own as build"):
        uc.explain.overfitting_remedies(Own, (X, NOISY))


# --- capacity against data ----------------------------------------------------------------------------


def test_capacity_and_data(tmp_path):
    y = (X[:, 0] * X[:, 1] > 0).astype("int64")
    x = X[:, :3]

    def of_width(width):
        model = uc.Sequential([uc.Input((3,)), layers.Dense(width, "relu"), layers.Dense(2, "softmax")])
        model.compile(uc.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    result = uc.explain.capacity_and_data(of_width, (x, y), widths=(1, 32), sizes=(10, 100), epochs=30, batch_size=16)
    assert result.measure == "wrong answers" and result.fresh_rows == 38
    learnt, fresh = result.learnt.mean(axis=0), result.fresh.mean(axis=0)
    assert learnt[1, 0] == 0  # 32 units learn 10 rows by heart
    assert fresh[1, 1] < fresh[1, 0] - 0.05 and fresh[1, 1] < fresh[0, 1] - 0.1
    assert result.verdict().startswith("With 10 rows the widest network errs by 0 % on them and")
    assert any("100 in place of 10 rows" in line for line in result.findings())
    figure = result.plot()
    assert [axes.get_title("left") for axes in figure.axes[:2]] == ["error on rows learnt from", "error on fresh rows"]
    cells = [text.get_text() for text in figure.axes[1].texts]
    assert cells[0] == f"{100 * fresh[0, 0]:.1f} ± {100 * result.fresh[:, 0, 0].std(ddof=1):.1f} %"
    assert json.loads(result.save(tmp_path / "c.json").read_text())["sizes"] == [10, 100]


def test_capacity_of_a_given_model_and_its_errors():
    model = uc.Sequential([uc.Input((20,)), layers.Dense(8, "relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    result = uc.explain.capacity_and_data(model, (X, X[:, 0]), widths=(0.5, 2), sizes=(20, 80), epochs=2, divisions=2)
    assert result.measure == "loss" and "2 times the size" in str(result)
    with pytest.raises(ValueError, match="capacity_and_data got sizes from 20 to 400"):
        uc.explain.capacity_and_data(model, (X, X[:, 0]), widths=(0.5, 2), sizes=(20, 400))
    with pytest.raises(ValueError, match="capacity_and_data got widths="):
        uc.explain.capacity_and_data(model, (X, X[:, 0]), widths=(2,))
