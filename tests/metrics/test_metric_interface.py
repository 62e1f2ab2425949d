"""Metrics: users' own, variables, devices, configs, names, errors."""

import doctest
import importlib
import pkgutil
import warnings

import numpy as np
import pytest
import torch

import uncrumple.losses as losses
import uncrumple.metrics as metrics
from uncrumple.core import registry
from uncrumple.core.errors import UncrumpleWarning


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(metrics.__path__)])
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(f"{metrics.__name__}.{name}")).failed == 0


def test_examples_of_the_room_itself_run():
    assert doctest.testmod(metrics).failed == 0


def _batch(metric):
    torch.manual_seed(0)
    name = type(metric).__name__
    if name in ("Mean", "Sum"):
        return (torch.rand(6),)
    if "Sparse" in name:
        return torch.randint(3, (6,)), torch.softmax(torch.randn(6, 3), -1)
    if name in ("IoU", "MeanIoU"):
        return torch.randint(3, (6,)), torch.randint(3, (6,))
    if "Categorical" in name or name.startswith("OneHot"):
        return torch.eye(3)[torch.randint(3, (6,))], torch.softmax(torch.randn(6, 3), -1)
    return torch.randint(2, (6, 1)).float(), torch.rand(6, 1)


class Largest(metrics.Metric):
    """A user's metric."""

    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_weight(name="largest", initializer="zeros")
        self.batches = self.add_variable((), "zeros", dtype="int32", name="batches")
        self.inner = metrics.Mean()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.largest.assign(torch.maximum(self.largest, y_pred.max()))
        self.batches.assign_add(1)
        self.inner.update_state(y_pred)

    def result(self):
        return self.largest


def test_a_users_metric():
    metric = Largest()
    y_pred = torch.tensor([1.0, 5.0], requires_grad=True)
    kept = metric(None, y_pred)
    assert kept == 5
    assert type(kept) is torch.Tensor
    assert [variable.path for variable in metric.variables] == [
        "largest/largest",
        "largest/batches",
        "mean/total",
        "mean/count",
    ]
    assert [float(variable) for variable in metric.variables] == [5, 1, 6, 2]
    metric.reset_state()
    assert kept == 5
    assert metric.result() == 0
    assert float(metric.inner.result()) == 0
    assert repr(metric) == "<Largest name=largest>"
    again = metrics.deserialize(metrics.serialize(metric), custom_objects={"Largest": Largest})
    assert type(again) is Largest


@pytest.mark.parametrize(
    "name", ["Mean", "Sum", "SparseCategoricalAccuracy", "AUC", "MeanSquaredError", "F1Score", "R2Score"]
)
def test_variables_are_moved_to_the_device_of_what_is_given(name, monkeypatch):
    class Moved(Exception):
        pass

    def move(self, device):
        raise Moved(device.type)

    monkeypatch.setattr(metrics.Metric, "to", move)
    metric = getattr(metrics, name)()
    metric.update_state(*_batch(metric))
    for given in (metric, Largest()):
        batch = (None, torch.rand(3)) if given is not metric else _batch(metric)
        with pytest.raises(Moved, match="meta"):
            given.update_state(*(one if one is None else one.to("meta") for one in batch))


def test_forgetting_super_says_so():
    class Hasty(metrics.Metric):
        def __init__(self):
            self.total = self.add_weight(name="total")

    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(name=name\)"):
        Hasty()


def test_methods_that_are_missing_are_named():
    class Empty(metrics.Metric):
        pass

    with pytest.raises(NotImplementedError, match="add def update_state"):
        Empty().update_state(1)
    with pytest.raises(NotImplementedError, match="add def result"):
        Empty().result()


def test_directions():
    assert metrics.MeanMetricWrapper(metrics.mean_squared_error)._direction == "down"
    assert metrics.MeanMetricWrapper(lambda y_true, y_pred: y_pred)._direction is None
    assert metrics.MeanMetricWrapper(losses.MeanSquaredError())._direction == "down"
    assert metrics.Mean()._direction is None
    assert metrics.SparseCategoricalAccuracy()._direction == "up"


def test_get():
    def mine(y_true, y_pred):
        return y_pred

    for name in ("mae", "MAE", "mean_absolute_error", "MeanAbsoluteError"):
        assert type(metrics.get(name)) is metrics.MeanAbsoluteError
    assert type(metrics.get("accuracy")) is metrics.Accuracy
    assert type(metrics.get("acc")) is metrics.Accuracy
    assert type(metrics.get("auc")) is metrics.AUC
    assert metrics.get("mae") is not metrics.get("mae")
    assert metrics.get(mine) is mine
    assert metrics.get(None) is None
    assert type(metrics.get(metrics.AUC)) is metrics.AUC
    assert metrics.get({"class_name": "AUC", "config": {"curve": "PR"}}).curve == "PR"
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        metrics.get("acuracy")


def test_a_wrapped_function_has_a_config():
    @registry.register_keras_serializable("test_metrics")
    def scaled(y_true, y_pred, factor):
        return factor * (y_true - y_pred).abs().mean(-1)

    metric = metrics.MeanMetricWrapper(scaled, name="scaled", factor=3.0)
    again = metrics.MeanMetricWrapper.from_config(metric.get_config())
    again.update_state(torch.tensor([[1.0]]), torch.tensor([[0.0]]))
    assert float(again.result()) == 3.0
    builtin = metrics.MeanMetricWrapper.from_config({"fn": "binary_accuracy", "name": "x", "threshold": 0.3})
    assert float(builtin([[1.0]], [[0.4]])) == 1.0
    with pytest.raises(ValueError, match="Unknown metric function"):
        metrics.MeanMetricWrapper.from_config({"fn": "nothing"})


# --- means ---


def test_mean_counts_in_python_and_shows_a_variable():
    metric = metrics.Mean()
    metric.update_state(torch.tensor(2.0), sample_weight=3)
    metric.update_state(torch.tensor([4.0, 6.0]))
    assert float(metric.result()) == pytest.approx(16 / 5)
    assert float(metric.count) == 5
    metric.update_state(torch.tensor([0.0]), sample_weight=torch.tensor([5.0]))
    assert float(metric.result()) == pytest.approx(16 / 10)
    metric.update_state(torch.tensor(4.0))
    assert [float(variable) for variable in metric.variables] == [20, 11]
    metric.count.assign(5)
    assert float(metric.result()) == 4


def test_mean_of_nothing_is_zero():
    metric = metrics.Mean()
    assert metric.result() == 0
    metric.update_state(torch.tensor([3.0]), sample_weight=torch.tensor([0.0]))
    assert metric.result() == 0


def test_a_loss_with_a_graph_leaves_none_behind():
    weight = torch.tensor(2.0, requires_grad=True)
    metric = metrics.Mean()
    for batch_size in (4, 2):
        metric.update_state(weight * 3, sample_weight=batch_size)
    assert metric.result() == 6
    assert metric.total.grad_fn is None


@pytest.mark.parametrize(
    ("name", "y_true", "y_pred"),
    [
        ("SparseCategoricalAccuracy", torch.randint(3, (7, 4)), torch.randn(7, 4, 3)),
        ("SparseCategoricalAccuracy", torch.randint(3, (7, 1)), torch.randn(7, 3)),
        ("CategoricalAccuracy", torch.eye(3)[torch.randint(3, (7, 4))], torch.randn(7, 4, 3)),
        ("BinaryAccuracy", torch.randint(2, (7, 4)), torch.rand(7, 4)),
        ("BinaryAccuracy", torch.randint(2, (7,)), torch.rand(7, 1)),
    ],
)
def test_counting_hits_directly_gives_what_averaging_gives(name, y_true, y_pred):
    quick, slow = getattr(metrics, name)(), getattr(metrics, name)()
    for rows in (slice(0, 5), slice(5, None)):
        quick.update_state(y_true[rows], y_pred[rows])
        slow.update_state(y_true[rows], y_pred[rows], sample_weight=torch.ones(len(y_true[rows])))
    torch.testing.assert_close(quick.result(), slow.result())
    torch.testing.assert_close(quick.variables, slow.variables)


def test_labels_above_256_are_compared_exactly_with_bfloat16_predictions():
    y_pred = torch.zeros(2, 600, dtype=torch.bfloat16)
    y_pred[:, 513] = 1
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(torch.tensor([513, 512]), y_pred)
    assert metric.result() == 0.5


# --- without waiting for the device ---


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
def test_a_users_metric_moves_to_the_gpu():
    metric = Largest()
    metric.update_state(None, torch.rand(3, device="cuda"))
    assert {variable.device.type for variable in metric.variables} == {"cuda"}


# --- errors ---


@pytest.mark.parametrize(
    ("name", "true", "predicted", "lines"),
    [
        (
            "SparseCategoricalAccuracy",
            (4, 3),
            (4, 3),
            [
                "sparse_categorical_accuracy got y_true of shape (4, 3) and y_pred of shape (4, 3).",
                "Expected y_true of shape (4,): one class number per sample.",
                "Fix: use metrics=['categorical_accuracy'], or y = y.argmax(axis=-1)",
            ],
        ),
        (
            "SparseCategoricalAccuracy",
            (4,),
            (4, 1),
            [
                "sparse_categorical_accuracy got y_true of shape (4,) and y_pred of shape (4, 1).",
                "Expected predictions for two classes or more.",
                "Fix: use metrics=['binary_accuracy'], or end the model with one unit per class.",
            ],
        ),
        (
            "CategoricalAccuracy",
            (4,),
            (4, 3),
            [
                "categorical_accuracy got y_true of shape (4,) and y_pred of shape (4, 3).",
                "Expected y_true of shape (4, 3): one row of class probabilities per sample.",
                "Fix: use metrics=['sparse_categorical_accuracy'], or y = to_categorical(y, 3)",
            ],
        ),
        (
            "BinaryAccuracy",
            (4,),
            (4, 3),
            [
                "binary_accuracy got y_true of shape (4,) and y_pred of shape (4, 3).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: end the model with one unit, Dense(1), or pass targets of shape (4, 3).",
            ],
        ),
        (
            "Precision",
            (4,),
            (4, 3),
            [
                "Precision got y_true of shape (4,) and y_pred of shape (4, 3).",
                "Expected two equal shapes; values are never repeated to make them fit.",
                "Fix: y = to_categorical(y, 3), or end the model with one unit, Dense(1).",
            ],
        ),
        (
            "F1Score",
            (4, 2, 3),
            (4, 2, 3),
            [
                "F1Score got y_true of shape (4, 2, 3) and y_pred of shape (4, 2, 3).",
                "Expected (samples, classes) for both.",
                "Fix: y.reshape(-1, 1), for one yes-or-no question per sample",
            ],
        ),
        (
            "R2Score",
            (4, 2, 3),
            (4, 2, 3),
            [
                "R2Score got y_true of shape (4, 2, 3) and y_pred of shape (4, 2, 3).",
                "Expected (samples, outputs) for both.",
                "Fix: y.reshape(len(y), -1)",
            ],
        ),
    ],
)
def test_words_for_shapes_that_do_not_agree(name, true, predicted, lines):
    with pytest.raises(ValueError) as caught:
        getattr(metrics, name)().update_state(torch.zeros(true), torch.rand(predicted))
    assert str(caught.value).splitlines() == lines


def test_weights_that_fit_nothing():
    y = torch.zeros(4, 1)
    for name in ("MeanSquaredError", "Precision", "AUC"):
        with pytest.raises(ValueError, match=r"got sample weights of shape \(3,\)") as caught:
            getattr(metrics, name)().update_state(y, y, sample_weight=torch.ones(3))
        assert str(caught.value).splitlines()[2] == "Fix: sample_weight of shape (4,)"


def test_class_id_out_of_range():
    with pytest.raises(ValueError, match="got class_id=3"):
        metrics.Recall(class_id=3).update_state(torch.zeros(4, 3), torch.zeros(4, 3))


def test_auc_with_another_number_of_labels():
    metric = metrics.AUC(multi_label=True, num_labels=3)
    with pytest.raises(ValueError, match=r"Expected \(samples, 3\)"):
        metric.update_state(torch.zeros(4, 2), torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("make", "first_line"),
    [
        (lambda: metrics.TopKCategoricalAccuracy(k=0), "TopKCategoricalAccuracy got k=0."),
        (lambda: metrics.BinaryAccuracy(threshold="x"), "BinaryAccuracy got threshold='x'."),
        (lambda: metrics.Precision(thresholds=1.5), "Precision got thresholds=1.5."),
        (lambda: metrics.Recall(top_k=0), "Recall got top_k=0."),
        (lambda: metrics.AUC(num_thresholds=1), "AUC got num_thresholds=1."),
        (lambda: metrics.AUC(curve="ROCK"), "Unknown AUC curve: 'ROCK'."),
        (lambda: metrics.AUC(summation_method="x"), "Unknown AUC summation_method: 'x'."),
        (lambda: metrics.AUC(num_labels=3), "AUC got num_labels=3 and multi_label=False."),
        (lambda: metrics.SensitivityAtSpecificity(1.5), "SensitivityAtSpecificity got specificity=1.5."),
        (lambda: metrics.PrecisionAtRecall(0.5, num_thresholds=0), "PrecisionAtRecall got num_thresholds=0."),
        (lambda: metrics.F1Score(average="mean"), "Unknown F1Score average: 'mean'."),
        (lambda: metrics.F1Score(threshold=0), "F1Score got threshold=0."),
        (lambda: metrics.FBetaScore(beta=0), "FBetaScore got beta=0."),
        (lambda: metrics.R2Score("mean"), "Unknown R2Score class_aggregation: 'mean'."),
        (lambda: metrics.R2Score(num_regressors=-1), "R2Score got num_regressors=-1."),
        (lambda: metrics.IoU(2, [2]), "IoU got target_class_ids=[2]."),
        (lambda: metrics.MeanIoU(0), "MeanIoU got num_classes=0."),
        (lambda: metrics.BinaryCrossentropy(label_smoothing=2), "BinaryCrossentropy got label_smoothing=2."),
        (lambda: metrics.Mean().add_variable((), "zeros", aggregation="x"), "Unknown aggregation: 'x'."),
    ],
)
def test_impossible_arguments(make, first_line):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).splitlines()[0] == first_line
    assert len(str(caught.value).splitlines()) == 3


# --- other behaviour ---


def test_k_greater_than_the_number_of_classes_is_always_right():
    metric = metrics.SparseTopKCategoricalAccuracy(k=5)
    metric.update_state([0, 2], [[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]])
    assert metric.result() == 1


def test_auc_equals_the_share_of_pairs_in_order():
    torch.manual_seed(0)
    truth = torch.randint(2, (500,))
    scores = torch.rand(500) * 0.6 + 0.4 * truth
    metric = metrics.AUC(num_thresholds=2000)
    metric.update_state(truth, scores)
    ones, zeros = scores[truth == 1], scores[truth == 0]
    expected = (ones[:, None] > zeros).double().mean()
    assert float(metric.result()) == pytest.approx(float(expected), abs=2e-3)


def test_iou_leaves_out_absent_classes_and_unknown_numbers():
    metric = metrics.MeanIoU(num_classes=4)
    metric.update_state(np.array([0, 1, 255]), np.array([0, 1, 0]))
    assert float(metric.result()) == pytest.approx(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncrumpleWarning)
        with pytest.raises(UncrumpleWarning, match="not whole numbers"):
            metric.update_state(np.array([0]), np.array([0]), sample_weight=np.array([0.5]))


def test_iou_of_predictions_that_are_still_rows():
    with pytest.raises(ValueError, match="sparse_y_pred=False"):
        metrics.MeanIoU(num_classes=3).update_state(torch.zeros(4), torch.zeros(4, 3))


def test_r2_with_too_few_samples_warns_and_gives_the_plain_score():
    y_true, y_pred = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0], [2.0], [2.0]])
    metric = metrics.R2Score(num_regressors=2)
    metric.update_state(y_true, y_pred)
    with pytest.warns(UncrumpleWarning, match="more values than input features"):
        found = metric.result()
    assert float(found) == pytest.approx(0.5)


def test_r2_takes_vectors():
    metric = metrics.R2Score()
    metric.update_state(torch.tensor([1.0, 4.0, 3.0]), torch.tensor([2.0, 4.0, 4.0]))
    assert float(metric.result()) == pytest.approx(0.5714, abs=1e-4)
