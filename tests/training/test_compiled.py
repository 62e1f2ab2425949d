"""Which loss and which metric belong to which output, what "accuracy" means, and under which names results come."""

import numpy as np
import pytest
import torch

import uncrumple as keras
from raised import explained, message
from uncrumple import layers, losses, metrics
from uncrumple.training.compiled import CompiledLoss, CompiledMetrics, make_loss, make_metric, names_of_outputs

random = np.random.default_rng(0)
X = random.normal(size=(30, 4)).astype("float32")
LABELS = random.integers(0, 3, 30)
NUMBERS = X.sum(1, keepdims=True)


def two_outputs(**settings):
    inputs = keras.Input((4,))
    outputs = [layers.Dense(3, activation="softmax", name="kind")(inputs), layers.Dense(1, name="amount")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile(**{"optimizer": "sgd", **settings})
    return model


# --- what a name means ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("true", "predicted", "accuracy", "crossentropy"),
    [
        ((5, 1), (5, 1), metrics.BinaryAccuracy, metrics.BinaryCrossentropy),
        ((5,), (5, 1), metrics.BinaryAccuracy, metrics.BinaryCrossentropy),
        ((5,), (5, 3), metrics.SparseCategoricalAccuracy, metrics.SparseCategoricalCrossentropy),
        ((5, 1), (5, 3), metrics.SparseCategoricalAccuracy, metrics.SparseCategoricalCrossentropy),
        ((5, 3), (5, 3), metrics.CategoricalAccuracy, metrics.CategoricalCrossentropy),
        ((5, 7), (5, 7, 3), metrics.SparseCategoricalAccuracy, metrics.SparseCategoricalCrossentropy),
    ],
)
def test_accuracy_and_crossentropy_go_by_the_shapes(true, predicted, accuracy, crossentropy):
    y_true, y_pred = torch.zeros(true), torch.zeros(predicted)
    for name in ("accuracy", "acc"):
        assert type(make_metric(name, y_true, y_pred)) is accuracy and make_metric(name, y_true, y_pred).name == name
    for name in ("crossentropy", "ce"):
        assert type(make_metric(name, y_true, y_pred)) is crossentropy
        loss = make_loss(name, y_true, y_pred)
        assert type(loss).__name__ == crossentropy.__name__


def test_names_functions_classes_and_objects():
    y = torch.zeros(5, 1)
    given = losses.Huber()
    assert make_loss(given, y, y) is given and make_loss(None, y, y) is None
    assert isinstance(make_loss("mse", y, y), losses.MeanSquaredError) and make_loss("mse", y, y).name == "mse"
    assert isinstance(make_loss(losses.mean_squared_error, y, y), losses.MeanSquaredError)
    assert isinstance(make_loss(losses.MeanSquaredError, y, y), losses.MeanSquaredError)

    def mine(y_true, y_pred):
        return y_true - y_pred

    assert make_loss(mine, y, y).name == "mine" and make_metric(mine, y, y).name == "mine"
    assert isinstance(make_metric("mse", y, y), metrics.MeanSquaredError) and make_metric("mse", y, y).name == "mse"
    held = metrics.AUC()
    assert make_metric(held, y, y) is held
    assert isinstance(make_metric(metrics.AUC, y, y), metrics.AUC)


def test_names_of_outputs():
    y = torch.zeros(2, 1)
    assert names_of_outputs(y, ["a"]) == ["a"] and names_of_outputs(y, None) == [None]
    assert names_of_outputs([y, y], ["b", "a"]) == ["b", "a"] and names_of_outputs((y, y), None) == [None, None]
    assert names_of_outputs({"b": y, "a": y}, None) == ["a", "b"]
    assert names_of_outputs({"b": y, "a": y}, ["b", "a"]) == ["b", "a"]


# --- losses --------------------------------------------------------------------------------


def test_the_total_is_the_weighted_sum():
    total = CompiledLoss({"a": "mse", "b": "mae"}, {"a": 2.0, "b": 0.5}, ["a", "b"])
    a, b = torch.randn(6, 1), torch.randn(6, 1)
    zero = torch.zeros(6, 1)
    expected = 2 * (a**2).mean() + 0.5 * b.abs().mean()
    torch.testing.assert_close(total({"a": zero, "b": zero}, [a, b]), expected)
    assert [metric.name for metric in total.metrics] == ["a_loss", "b_loss"]
    assert float(total.metrics[0].result()) == pytest.approx(float((a**2).mean()))


def test_targets_for_a_part_of_the_outputs():
    model = two_outputs(loss=[None, "mse"], metrics=[None, ["mae"]])
    for y in ({"amount": NUMBERS}, [NUMBERS], [LABELS, NUMBERS]):
        assert list(model.fit(X, y, verbose=0).history) == ["amount_mae", "loss"]
    model = two_outputs(loss={"amount": "mse"})
    assert list(model.fit(X, {"amount": NUMBERS, "kind": LABELS}, verbose=0).history) == ["loss"]


def test_a_weight_for_a_single_output():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse", loss_weights=[0.25])
    found = model.evaluate(X, NUMBERS, verbose=0)
    model.compile("sgd", "mse")
    assert found == pytest.approx(0.25 * model.evaluate(X, NUMBERS, verbose=0))


def test_the_name_of_a_single_output_in_a_dict():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1, name="amount")(inputs))
    model.compile("sgd", {"amount": "mse"}, metrics={"amount": ["mae"]})
    assert list(model.fit(X, {"amount": NUMBERS}, verbose=0).history) == ["loss", "mae"]
    assert list(model.fit(X, NUMBERS, verbose=0).history) == ["loss", "mae"]


def test_losses_of_outputs_without_names():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.other = layers.Dense(1), layers.Dense(1)

        def call(self, inputs):
            return self.one(inputs), self.other(inputs)

    model = Two()
    model.compile("sgd", ["mse", "mse"], metrics=[["mae"], ["mae"]])
    history = model.fit(X, [NUMBERS, NUMBERS], verbose=0).history
    assert list(history) == ["loss", "mae", "mae_1", "mse_loss", "mse_loss_1"]
    model.compile("sgd", {"one": "mse"})
    with pytest.raises(ValueError, match=r"output[^\n]* 'one'"):
        model.fit(X, [NUMBERS, NUMBERS], verbose=0)


def test_sample_weights_by_output():
    weights = np.linspace(0, 1, 30, dtype="float32")
    model = two_outputs(loss=["sparse_categorical_crossentropy", "mse"], optimizer=keras.optimizers.SGD(0.0))
    y = {"kind": LABELS, "amount": NUMBERS}
    plain = model.evaluate(X, y, verbose=0, return_dict=True)
    one = model.evaluate(X, y, sample_weight={"amount": weights}, verbose=0, return_dict=True)
    assert one["kind_loss"] == plain["kind_loss"] and one["amount_loss"] < plain["amount_loss"]
    both = model.evaluate(X, y, sample_weight=[weights, weights], verbose=0, return_dict=True)
    assert both["amount_loss"] == one["amount_loss"] and both["kind_loss"] < plain["kind_loss"]
    assert model.evaluate(X, y, sample_weight=weights, verbose=0, return_dict=True) == both


# --- metrics -------------------------------------------------------------------------------


def test_names_of_metrics():
    model = two_outputs(
        loss=["sparse_categorical_crossentropy", "mse"],
        metrics={"kind": ["accuracy", "acc"], "amount": [metrics.MeanAbsoluteError(name="x"), metrics.AUC(name="x")]},
        weighted_metrics={"kind": ["accuracy"]},
    )
    history = model.fit(X, [LABELS, NUMBERS > 0], verbose=0).history
    assert list(history) == [
        *["amount_loss", "amount_x", "amount_x_1", "kind_acc", "kind_accuracy", "kind_loss"],
        *["kind_weighted_accuracy", "loss"],
    ]


def test_metrics_begin_anew_and_forget_when_reset():
    found = CompiledMetrics(["mae"], None)
    y = torch.ones(4, 1)
    found.update_state(y, y * 3)
    assert float(found.result()["mae"]) == 2
    found.reset_state()
    assert float(found.result()["mae"]) == 0
    assert len(found.variables) == len(found.metrics[0].variables)


def test_weighted_metrics_use_weights_and_others_do_not():
    found = CompiledMetrics(["mae"], ["mae"])
    found.update_state(torch.zeros(2, 1), torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 0.0]))
    assert {name: float(value) for name, value in found.result().items()} == {"mae": 2.0, "weighted_mae": 1.0}


def test_a_metric_that_returns_a_dict():
    class Both(metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_pred)

        def result(self):
            return {"low": super().result(), "high": super().result() + 1}

    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[Both(name="both")])
    assert list(model.fit(X, NUMBERS, verbose=0).history) == ["high", "loss", "low"]


def test_masks_leave_padded_steps_out_of_loss_and_metrics():
    inputs = keras.Input((3, 1))
    model = keras.Model(inputs, layers.Masking()(inputs))
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
    x = np.array([[[1.0], [2.0], [0.0]]], "float32")
    found = model.evaluate(x, np.array([[[0.0], [0.0], [9.0]]]), verbose=0, return_dict=True)
    assert found == {"loss": pytest.approx(2.5), "mae": pytest.approx(1.5), "mse": pytest.approx(2.5)}


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": ["mse"]}, "compile got 1 entries in loss.\nExpected 2, one per output: ['kind', 'amount']."),
        ({"loss": {"kinds": "mse"}}, "Fix: did you mean 'kind'?"),
        ({"loss": "mse", "loss_weights": {"amuont": 1.0}}, "Fix: did you mean 'amount'?"),
        ({"loss": "mse", "loss_weights": [1.0]}, "compile got 1 entries in loss_weights."),
        ({"loss": "mse", "metrics": ["mae", "mse", "mae"]}, "compile got metrics=['mae', 'mse', 'mae'] for 2 outputs."),
        ({"loss": "mse", "metrics": {"kin": ["mae"]}}, "Fix: did you mean 'kind'?"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_outputs(settings, words):
    model = two_outputs(**settings)
    with pytest.raises(ValueError) as raised:
        model.fit(X, [np.zeros((30, 3)), NUMBERS], verbose=0)
    assert words in message(raised)


def test_too_few_targets():
    model = two_outputs(loss=["sparse_categorical_crossentropy", "mse"])
    with pytest.raises(ValueError) as raised:
        model.fit(X, NUMBERS, verbose=0)
    assert explained(raised, "2 outputs", "kind", "amount")
    with pytest.raises(ValueError) as raised:
        model.fit(X, {"kind": LABELS}, verbose=0)
    assert explained(raised, "'amount'")


def test_a_metric_without_targets():
    model = two_outputs(loss=["sparse_categorical_crossentropy", None], metrics={"amount": ["mae"]})
    with pytest.raises(ValueError) as raised:
        model.fit(X, {"kind": LABELS}, verbose=0)
    assert explained(raised, "'amount'")
