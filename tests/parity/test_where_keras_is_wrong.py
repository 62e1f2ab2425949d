"""Where random models showed Keras 3.15.1 on torch to be wrong: the right numbers, worked out by hand."""

import numpy as np
import pytest
import torch

import uncrumple
from uncrumple import layers as L

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(20, 4)).astype("float32")


def test_sparsemax_sums_to_one():
    x = torch.randn(50, 6)
    out = uncrumple.activations.sparsemax(x)
    torch.testing.assert_close(out.sum(-1), torch.ones(50))
    # What is kept is moved by the same amount everywhere.
    for row, scores in zip(out, x):
        shift = (scores - row)[row > 0]
        assert (shift - shift[0]).abs().max() < 1e-6 and (scores[row == 0] <= shift[0] + 1e-6).all()


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
def test_activity_regularizer_of_recurrent_layers_counts(kind):
    layer = getattr(L, kind)(3, activity_regularizer=uncrumple.regularizers.L2(0.1))
    x = torch.randn(4, 5, 2)
    layer(x)
    layer._losses.clear()
    out = layer(x)
    torch.testing.assert_close(sum(layer.losses), 0.1 * out.square().sum() / 4)


def test_activity_regularizer_within_time_distributed_counts():
    layer = L.TimeDistributed(L.Dense(3, activity_regularizer=uncrumple.regularizers.L2(0.1)))
    x = torch.randn(4, 5, 2)
    layer(x)
    layer.layer._losses.clear()
    out = layer(x)
    torch.testing.assert_close(sum(layer.losses), 0.1 * out.square().sum() / 20)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Bidirectional(L.GRU(3), trainable=False),
        lambda: L.TimeDistributed(L.Dense(3), trainable=False),
        lambda: L.RNN(L.GRUCell(3), trainable=False),
    ],
    ids=["Bidirectional", "TimeDistributed", "RNN"],
)
def test_a_wrapper_that_is_made_frozen_is_frozen(make):
    model = uncrumple.Sequential([L.Input((5, 4)), make(), L.Dense(1)])
    assert len(model.trainable_weights) == 2
    model.compile("sgd", "mse")
    before = model.get_weights()
    x = RANDOM.normal(size=(8, 5, 4)).astype("float32")
    model.fit(x, np.zeros((8, *model.output_shape[1:]), "float32"), verbose=0)
    moved = [not np.array_equal(one, other) for one, other in zip(before, model.get_weights())]
    assert moved == [False] * (len(moved) - 2) + [True] * 2


def test_labels_in_a_column_are_labels():
    loss = uncrumple.losses.CategoricalGeneralizedCrossEntropy(q=0.4)
    labels, rows = torch.tensor([0, 2, 1]), torch.softmax(torch.randn(3, 3), -1)
    expected = ((1 - rows[torch.arange(3), labels] ** 0.4) / 0.4).mean()
    torch.testing.assert_close(loss(labels[:, None], rows), expected)
    torch.testing.assert_close(loss(labels, rows), expected)


@pytest.mark.parametrize("shape", [(4, 5), (4, 4, 4), (2, 3, 4, 2)])
def test_weights_of_samples_are_those_of_all_their_steps(shape):
    y_true, y_pred, weights = torch.randn(4, *shape), torch.randn(4, *shape), torch.rand(4)
    found = uncrumple.losses.MeanSquaredError()(y_true, y_pred, sample_weight=weights)
    each = (y_true - y_pred).square().mean(-1)
    torch.testing.assert_close(found, (each * weights.reshape(4, *[1] * (each.dim() - 1))).mean())


def test_a_class_that_the_loss_ignores_counts_for_weighted_metrics():
    labels, weights = RANDOM.integers(0, 3, 20), RANDOM.uniform(0.2, 2, 20).astype("float32")
    model = uncrumple.Sequential([L.Input((4,)), L.Dense(3, activation="softmax")])
    loss = uncrumple.losses.SparseCategoricalCrossentropy(ignore_class=1)
    model.compile(uncrumple.optimizers.SGD(1e-6), loss, weighted_metrics=["accuracy"])
    right = model.predict(X, verbose=0).argmax(-1) == labels
    history = model.fit(X, labels, sample_weight=weights, batch_size=8, shuffle=False, verbose=0).history
    assert history["accuracy"] == [pytest.approx((weights * right).sum() / weights.sum(), rel=1e-5)]


def test_counts_in_the_history_are_those_of_the_training():
    bits = np.ones((20, 1), "float32")
    model = uncrumple.Sequential([L.Input((4,)), L.Dense(1, activation="sigmoid", bias_initializer="ones")])
    model.compile(uncrumple.optimizers.SGD(1e-6), "binary_crossentropy", metrics=[uncrumple.metrics.TruePositives()])
    positive = int((model.predict(X, verbose=0) > 0.5).sum())
    history = model.fit(X, bits, validation_data=(X[:2], bits[:2] * 0), verbose=0).history
    assert positive > 0
    assert history["true_positives"] == [positive] and history["val_true_positives"] == [0]


def test_fitting_for_no_epoch_leaves_the_weights_alone():
    model = uncrumple.Sequential([L.Input((4,)), L.Dense(1)])
    model.compile(uncrumple.optimizers.SGD(0.1, use_ema=True), "mse")
    before = model.get_weights()
    model.fit(X, X[:, :1], epochs=1, initial_epoch=1, verbose=0)
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_ones_own_trains_as_a_whole():
    class Net(uncrumple.Model):
        def __init__(self):
            super().__init__()
            self.drop, self.norm = L.Dropout(0.99), L.BatchNormalization(momentum=0.5)

        def call(self, inputs):
            return self.drop(self.norm(inputs))

    model = Net()
    model.compile("sgd", "mse")
    model.fit(X + 5, X, verbose=0)
    assert model.norm.moving_mean.numpy().min() > 2
    assert (model(torch.ones(1, 4)) != 0).all() and (model(torch.ones(1, 4), training=True) == 0).any()
