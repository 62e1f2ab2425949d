"""Every option of training beside Keras: the same model, weights and data in both, and the same numbers come out.

`test_fit.py` has the common ways to train; here are the rarer ones, and their combinations.
"""

import itertools
import warnings

import keras
import numpy as np
import pytest
import torch
from test_fit import (
    BITS,
    FIT,
    LABELS,
    NUMBERS,
    WEIGHTS,
    X,
    classifier,
    compare,
    do_with_both,
    everything,
    inputs_and_outputs,
    regressor,
    two_outputs,
)

import uncrumple

ONE_HOT = np.eye(3, dtype="float32")[LABELS]
BOTH = {"loss": ["sparse_categorical_crossentropy", "mse"]}


def near(theirs, ours, rtol):
    """Fail where lists of numbers differ by more than a share of them."""
    assert theirs.keys() == ours.keys()
    for key in theirs:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=rtol, atol=rtol, err_msg=key)


def with_both(make, do):
    """Return what `do` gives for each library's model; ours has the weights of theirs."""
    theirs, ours = make(keras), make(uncrumple)
    ours.set_weights(theirs.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return do(keras, theirs), do(uncrumple, ours)


def normalizing(k, **compiled):
    model = k.Sequential([k.Input((6,)), k.layers.Dense(8), k.layers.BatchNormalization(), k.layers.Dense(1)])
    model.compile(**{"optimizer": k.optimizers.SGD(0.05), "loss": "mse", "metrics": ["mae"], **compiled})
    return model


# --- compiling again ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [
        {"loss": "sparse_categorical_crossentropy"},
        {},
        {"loss": "sparse_categorical_crossentropy", "metrics": []},
        {"metrics": ["sparse_categorical_crossentropy"]},
        {"weighted_metrics": ["accuracy"]},
        {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "loss_weights": [0.5]},
    ],
    ids=str,
)
def test_what_compiling_again_keeps(again):
    def do(k, model):
        first = model.fit(X, LABELS, **FIT).history
        model.compile(optimizer="sgd", **again)
        second = model.fit(X, LABELS, **FIT).history
        return [first, second, model.metrics_names, model.evaluate(X, LABELS, verbose=0), model.loss]

    do_with_both(classifier, do)


def test_no_metrics_at_all_in_a_list():
    def do(k, model):
        return [model.fit(X, LABELS, **FIT).history, model.metrics_names, model.evaluate(X, LABELS, verbose=0)]

    do_with_both(lambda k: classifier(k, metrics=[]), do)


def test_compiling_again_with_the_same_optimizer_and_metric():
    def do(k, model):
        metric = k.metrics.SparseCategoricalAccuracy(name="hits")
        model.compile(k.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=[metric])
        first = model.fit(X, LABELS, **FIT).history
        model.compile(model.optimizer, model.loss, metrics=[metric])
        return [first, model.fit(X, LABELS, **FIT).history, int(model.optimizer.iterations)]

    do_with_both(classifier, do)


def test_a_loss_without_an_optimizer_can_be_evaluated():
    def do(k, model):
        model.compile(optimizer=None, loss="mse", metrics=["mae"])
        return model.evaluate(X, NUMBERS, verbose=0)

    do_with_both(normalizing, do)


# --- losses, weights and metrics in all arrangements ------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {**BOTH, "loss_weights": [0.3, 2.0]},
        {**BOTH, "loss_weights": (np.float32(0.3), 2)},
        {
            "loss": {"kind": "sparse_categorical_crossentropy", "amount": "mse"},
            "loss_weights": {"kind": 0.3, "amount": 2},
        },
        {**BOTH, "metrics": ["accuracy", ["mae", "mse"]], "weighted_metrics": [["accuracy"], None]},
        {**BOTH, "metrics": {"kind": "accuracy", "amount": ["mae", "mse"]}, "weighted_metrics": {"amount": "mae"}},
        {**BOTH, "metrics": [[], ["mae"]]},
        {**BOTH, "metrics": [None, ["mae", "mae"]], "weighted_metrics": [["acc", "acc"], ["mae"]]},
        {"loss": [None, "mse"], "metrics": [["accuracy"], None]},
    ],
    ids=str,
)
def test_arrangements_for_two_outputs(settings):
    do_with_both(lambda k: two_outputs(k, **settings), everything(X, [LABELS, NUMBERS], sample_weight=WEIGHTS))


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": ["mse"]},
        {"loss_weights": [0.3]},
        {"loss_weights": 0.3},
        {"metrics": ("mae", "mse")},
        {"metrics": ["mae", "mae", "mse"], "weighted_metrics": ["mae", "mae", "mse"]},
        {
            "metrics": [
                "MeanSquaredError",
                "mean_absolute_error",
                "MAE",
                "R2Score",
                "cosine_similarity",
                "log_cosh_error",
            ]
        },
    ],
    ids=str,
)
def test_arrangements_for_one_output(settings):
    do_with_both(lambda k: regressor(k, **settings), everything(X, NUMBERS, sample_weight=WEIGHTS))


def test_one_output_with_a_name():
    def make(k):
        inputs = k.Input((6,))
        model = k.Model(inputs, k.layers.Dense(1, name="only")(inputs))
        model.compile("sgd", {"only": "mse"}, metrics={"only": ["mae"]}, loss_weights={"only": 0.5})
        return model

    do_with_both(make, everything(X, NUMBERS))


def test_one_output_in_a_list_is_that_output():
    def make(k):
        inputs = k.Input((6,))
        model = k.Model([inputs], [k.layers.Dense(1)(inputs)])
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    def do(k, model):
        history = model.fit([X], [NUMBERS], **FIT).history
        called = model(torch.from_numpy(X))
        return [history, model.evaluate([X], [NUMBERS], verbose=0), model.predict([X], verbose=0), called]

    do_with_both(make, do)
    model = make(uncrumple)
    again = uncrumple.Model.from_config(model.get_config())
    assert again(torch.from_numpy(X)).shape == (50, 1)
    assert model(uncrumple.Input((6,))).shape == (None, 1)


def test_one_output_in_a_dict():
    def make(k):
        inputs = k.Input((6,))
        model = k.Model(inputs, {"only": k.layers.Dense(1)(inputs)})
        model.compile("sgd", {"only": "mse"}, metrics={"only": ["mae"]})
        return model

    do_with_both(make, everything(X, {"only": NUMBERS}))


def heads(k, structure):
    class Heads(k.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.kind, self.amount = k.layers.Dense(3, activation="softmax"), k.layers.Dense(1)

        def call(self, x):
            return structure(self.kind(x), self.amount(x))

    model = Heads()
    model(X[:2])
    return model


def test_a_class_with_outputs_in_a_tuple():
    def make(k):
        model = heads(k, lambda kind, amount: (kind, amount))
        model.compile("sgd", **BOTH, metrics=[["accuracy"], ["mae"]], loss_weights=[0.3, 1.0])
        return model

    y = (LABELS, NUMBERS)
    do_with_both(make, lambda k, m: [m.fit(X, y, **FIT).history, m.evaluate(X, y, verbose=0), m.metrics_names])


def test_a_class_with_outputs_in_a_dict():
    def make(k):
        model = heads(k, lambda kind, amount: {"z": kind, "b": amount})
        losses = {"z": "sparse_categorical_crossentropy", "b": "mse"}
        model.compile("sgd", losses, metrics={"z": ["accuracy"], "b": ["mae"]}, loss_weights={"z": 0.3, "b": 1.0})
        return model

    y = {"z": LABELS, "b": NUMBERS}
    do_with_both(make, lambda k, m: [m.fit(X, y, **FIT).history, m.evaluate(X, y, verbose=0), m.metrics_names])


def test_a_class_with_outputs_in_structures_within_structures():
    def make(k):
        model = heads(k, lambda kind, amount: {"z": [kind, amount], "b": amount})
        losses = {"z": ["sparse_categorical_crossentropy", "mse"], "b": "mse"}
        model.compile("sgd", losses, metrics={"z": [["accuracy"], ["mse"]], "b": ["mae"]})
        return model

    y = {"z": [LABELS, NUMBERS], "b": NUMBERS}
    do_with_both(make, lambda k, m: [m.fit(X, y, **FIT).history, m.evaluate(X, y, verbose=0)])


def test_equal_names_are_told_apart():
    """Keras writes the second loss over the first in the history; here it gets a number."""

    def make(k):
        inputs, layer = k.Input((6,)), k.layers.Dense(1, name="d")
        model = k.Model(inputs, [layer(inputs), layer(2 * inputs)])
        model.compile("sgd", ["mse", "mae"], metrics=[["mae"], ["mse"]])
        return model

    theirs, ours = with_both(make, lambda k, m: m.fit(X, [NUMBERS, NUMBERS], **FIT).history)
    assert list(ours) == ["d_loss", "d_loss_1", "d_mae", "d_mse", "loss"]
    compare(theirs["loss"], ours["loss"])
    compare(theirs["d_loss"], ours["d_loss_1"])


# --- several losses for one output ------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": {"kind": "sparse_categorical_crossentropy", "amount": ["mse", "mae"]}},
        {"loss": ["sparse_categorical_crossentropy", ["mse", "mae"]]},
        {
            "loss": {"kind": "sparse_categorical_crossentropy", "amount": ["mse", "mae"]},
            "loss_weights": {"kind": 0.5, "amount": [2.0, 0.1]},
        },
    ],
    ids=str,
)
def test_several_losses_for_one_of_two_outputs(settings):
    def do(k, model):
        history = model.fit(X, [LABELS, NUMBERS], **FIT).history
        return [history, model.get_weights()]

    theirs, ours = with_both(lambda k: two_outputs(k, **settings), do)
    compare(theirs[1], ours[1])
    compare(theirs[0]["loss"], ours[0]["loss"])
    # Keras gives both the name of the output, and so shows the second alone.
    compare(theirs[0]["amount_loss"], ours[0]["amount_mae_loss"])
    assert list(ours[0]) == ["amount_mae_loss", "amount_mse_loss", "kind_loss", "loss"]


def test_several_losses_for_the_only_output_are_added():
    """Keras makes all of them, and trains with the first alone."""

    def summed(k):
        def loss(y_true, y_pred):
            return ((y_true - y_pred) ** 2).mean(-1) + 0.5 * (y_true - y_pred).abs().mean(-1)

        return regressor(k, loss=loss) if k is keras else regressor(k, loss=["mse", "mae"], loss_weights=[1.0, 0.5])

    theirs, ours = with_both(summed, lambda k, m: [m.fit(X, NUMBERS, **FIT).history, m.get_weights()])
    compare(theirs[1], ours[1])
    compare(theirs[0]["loss"], ours[0]["loss"])
    assert list(ours[0]) == ["loss", "mae", "mae_loss", "mse_loss"]
    compare([a + 0.5 * b for a, b in zip(ours[0]["mse_loss"], ours[0]["mae_loss"])], ours[0]["loss"])


def test_weights_for_another_number_of_losses():
    model = regressor(uncrumple, loss=["mse", "mae"], loss_weights=[1.0, 0.5, 2.0])
    with pytest.raises(ValueError) as caught:
        model.fit(X, NUMBERS, verbose=0)
    assert str(caught.value).splitlines()[1:] == [
        "Expected 2, one per loss.",
        "Fix: loss_weights = [1.0, 1.0]",
    ]


# --- weights of samples and classes -------------------------------------------------------------


@pytest.mark.parametrize("y", [ONE_HOT, LABELS, LABELS[:, None], LABELS.astype("float32")], ids=lambda y: str(y.shape))
@pytest.mark.parametrize("class_weight", [{0: 2.0, 2: 0.5}, {0: 0.0, 1: 1, 2: 3}], ids=str)
def test_class_weight(y, class_weight):
    kind = "categorical" if y.shape[-1] == 3 else "sparse_categorical"
    settings = {"loss": f"{kind}_crossentropy", "weighted_metrics": ["accuracy"]}
    fit = {"class_weight": class_weight, "validation_split": 0.3}
    do_with_both(lambda k: classifier(k, **settings), everything(X, y, **fit))


@pytest.mark.parametrize(
    "y", [BITS, BITS[:, 0], BITS.astype(int), BITS.astype(bool)], ids=["column", "flat", "int", "bool"]
)
def test_class_weight_of_yes_and_no(y):
    def make(k):
        model = k.Sequential([k.Input((6,)), k.layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=["mse"], weighted_metrics=["accuracy", "AUC"])
        return model

    do_with_both(make, everything(X, y, class_weight={0: 2.0, 1: 0.5}))


def test_class_weight_counts_for_streams_too():
    """Keras refuses it for generators."""

    def batches():
        for start in range(0, 48, 16):
            yield X[start : start + 16], LABELS[start : start + 16]

    streamed, whole = classifier(uncrumple), classifier(uncrumple)
    whole.set_weights(streamed.get_weights())
    weights = {0: 2.0, 1: 0.1}
    compare(
        whole.fit(X[:48], LABELS[:48], batch_size=16, shuffle=False, class_weight=weights, verbose=0).history,
        streamed.fit(batches(), class_weight=weights, verbose=0).history,
    )


@pytest.mark.parametrize(
    "weights",
    [WEIGHTS, np.arange(50) % 3, np.where(np.arange(50) % 2, WEIGHTS, 0).astype("float32"), WEIGHTS[:, None]],
    ids=["fractions", "whole", "zeros", "column"],
)
def test_sample_weights(weights):
    settings = {"weighted_metrics": ["accuracy", "sparse_categorical_crossentropy"]}
    do_with_both(lambda k: classifier(k, **settings), everything(X, LABELS, sample_weight=weights))


def test_sample_weights_for_outputs_in_a_list():
    def do(k, model):
        y, weights = [LABELS, NUMBERS], [WEIGHTS, WEIGHTS[::-1].copy()]
        history = model.fit(X, y, sample_weight=weights, validation_data=(X, y, weights), **FIT).history
        return [history, model.evaluate(X, y, sample_weight=weights, verbose=0)]

    do_with_both(lambda k: two_outputs(k, **BOTH, weighted_metrics=[["accuracy"], ["mae"]]), do)


def test_sample_weights_for_outputs_in_a_dict():
    """Keras knows lists only where the outputs are a list."""
    settings = {**BOTH, "weighted_metrics": [["accuracy"], ["mae"]]}
    listed, named = two_outputs(uncrumple, **settings), two_outputs(uncrumple, **settings)
    named.set_weights(listed.get_weights())
    reverse = WEIGHTS[::-1].copy()
    compare(
        listed.fit(X, [LABELS, NUMBERS], sample_weight=[WEIGHTS, reverse], **FIT).history,
        named.fit(
            X, {"amount": NUMBERS, "kind": LABELS}, sample_weight={"amount": reverse, "kind": WEIGHTS}, **FIT
        ).history,
    )


def test_a_mean_over_the_weights():
    def make(k):
        return regressor(k, loss=k.losses.MeanSquaredError(reduction="mean_with_sample_weight"))

    do_with_both(make, everything(X, NUMBERS, sample_weight=WEIGHTS))


# --- functions, classes and structures ------------------------------------------------------------


def test_losses_and_metrics_of_ones_own():
    def make(k):
        class Mine(k.losses.Loss):
            def call(self, y_true, y_pred):
                return (y_true - y_pred).abs().sum(-1) ** 1.5

        def worst(y_true, y_pred):
            return (y_true - y_pred).abs().amax(-1)

        return regressor(k, loss=Mine(), metrics=[worst], weighted_metrics=[worst])

    do_with_both(make, everything(X, NUMBERS, sample_weight=WEIGHTS))


@pytest.mark.parametrize(
    "loss", [lambda t, p: ((t - p) ** 2).sum() / 10, lambda t, p: (t - p) ** 2], ids=["sum", "each"]
)
def test_loss_functions_that_return_one_number_or_all(loss):
    def each(k):
        return regressor(k, loss=loss, metrics=[k.metrics.MeanMetricWrapper(k.losses.huber, name="hub", delta=0.3)])

    do_with_both(each, everything(X, NUMBERS))


def test_metrics_that_return_an_array():
    def make(k):
        return classifier(k, loss="categorical_crossentropy", metrics=[k.metrics.F1Score(), "accuracy"])

    def do(k, model):
        history = model.fit(X, ONE_HOT, **FIT).history
        values = model.evaluate(X, ONE_HOT, verbose=0)
        return [history, values, model.evaluate(X, ONE_HOT, verbose=0, return_dict=True)]

    do_with_both(make, do)


def test_metrics_in_lists_and_dicts_of_a_model():
    def make(k):
        class Custom(k.Model):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.several = [k.metrics.Mean(name="first"), k.metrics.Mean(name="second")]
                self.named = {"a": k.metrics.Mean(name="third")}

            def train_step(self, data):
                super().train_step(data)
                for value, metric in enumerate([*self.several, self.named["a"]]):
                    metric.update_state(value + 1.0)
                return self.get_metrics_result()

        model = Custom(*inputs_and_outputs(k))
        model.compile("sgd", "mse")
        return model

    do_with_both(make, lambda k, m: [m.fit(X, NUMBERS, **FIT).history, m.metrics_names])


def test_steps_for_sequences():
    def make(k):
        model = k.Sequential([k.Input((5, 2)), k.layers.Dense(3, activation="softmax")])
        metrics = ["accuracy", "acc", "sparse_categorical_accuracy", "sparse_categorical_crossentropy"]
        model.compile("sgd", "crossentropy", metrics=metrics, weighted_metrics=["accuracy"])
        return model

    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 5, 2)).astype("float32"), random.integers(0, 3, (20, 5))
    do_with_both(make, everything(x, y, sample_weight=random.random((20, 5)).astype("float32")))
    do_with_both(make, everything(x, y[..., None]))


# --- penalties -------------------------------------------------------------------------------------


def test_add_loss_in_a_model_in_lists_and_as_arrays():
    def make(k):
        class Custom(k.Model):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.dense = k.layers.Dense(1)

            def call(self, x):
                out = self.dense(x)
                self.add_loss(0.1 * (out**2).mean())
                self.add_loss([0.01 * out.abs().sum(), 0.02 * out.abs()])
                return out

        model = Custom()
        model(torch.from_numpy(X[:2]))
        model.compile("sgd", "mse")
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2))


def test_activity_regularizers_are_divided_by_the_batch_size():
    def make(k):
        layers = k.layers
        model = k.Sequential(
            [
                k.Input((6,)),
                layers.Dense(4, activity_regularizer="l2"),
                layers.Activation("relu", activity_regularizer="l1"),
                layers.ActivityRegularization(0.01, 0.02),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2))
    model = uncrumple.Sequential(
        [uncrumple.Input((6,)), uncrumple.layers.Dense(2, kernel_initializer="ones", activity_regularizer="l1")]
    )
    for rows in (X[:4], np.repeat(X[:4], 3, axis=0)):
        model(torch.from_numpy(rows))
        assert float(model.losses[0]) == pytest.approx(2 * 0.01 * np.abs(X[:4].sum(1)).mean(), rel=1e-5)


def test_regularizers_of_frozen_layers_do_not_count():
    def make(k):
        layers = k.layers
        model = k.Sequential(
            [
                k.Input((6,)),
                layers.Dense(4, kernel_regularizer="l2", bias_regularizer="l1"),
                layers.Dense(1, kernel_regularizer="l2"),
            ]
        )
        model.layers[0].trainable = False
        model.compile("sgd", "mse")
        return model

    def do(k, model):
        first = model.fit(X, NUMBERS, **FIT).history
        model.layers[0].trainable = True
        model.compile("sgd", "mse")
        return [first, model.fit(X, NUMBERS, **FIT).history, [float(loss) for loss in model.losses]]

    do_with_both(make, do)


def test_losses_of_a_model_within_a_model():
    def make(k):
        dense = k.layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l2")
        inner = k.Sequential([k.Input((6,)), dense])
        inner.compile("sgd", "mse", metrics=["mae"])
        inputs = k.Input((6,))
        model = k.Model(inputs, k.layers.Dense(1)(inner(inputs)))
        model.compile("sgd", "mse", metrics=["mse"])
        return model

    do_with_both(make, everything(X, NUMBERS))


# --- accumulation and averages ---------------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 3, 5])
@pytest.mark.parametrize("more", [{}, {"use_ema": True, "ema_momentum": 0.5}, {"weight_decay": 0.01}], ids=str)
def test_gradient_accumulation(steps, more):
    def make(k):
        return regressor(k, optimizer=k.optimizers.Adam(0.01, gradient_accumulation_steps=steps, **more))

    do_with_both(make, everything(X, NUMBERS))


@pytest.mark.parametrize("frequency", [None, 1, 2, 4])
def test_averages_of_weights(frequency):
    settings = {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": frequency}

    def do(k, model):
        """The average replaces the weights at the end of every fit."""
        first = model.fit(X, NUMBERS, validation_split=0.3, **FIT).history
        return [first, model.get_weights(), model.fit(X, NUMBERS, **FIT).history]

    do_with_both(lambda k: regressor(k, optimizer=k.optimizers.SGD(0.05, **settings)), do)


@pytest.mark.parametrize("on_epoch", [False, True])
def test_averages_while_validating(on_epoch):
    def do(k, model):
        swap = k.callbacks.SwapEMAWeights(swap_on_epoch=on_epoch)
        return model.fit(X, NUMBERS, validation_data=(X, NUMBERS), callbacks=[swap], **FIT).history

    do_with_both(
        lambda k: regressor(k, optimizer=k.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.7)),
        do,
    )


def test_no_epoch_leaves_the_weights_alone():
    """Keras writes its average, which is zero before the first step, over the weights."""
    model = regressor(uncrumple, optimizer=uncrumple.optimizers.SGD(0.05, use_ema=True))
    before = model.get_weights()
    model.fit(X, NUMBERS, **{**FIT, "epochs": 2, "initial_epoch": 2})
    compare(before, model.get_weights())


def test_a_fixed_loss_scale():
    do_with_both(
        lambda k: regressor(k, optimizer=k.optimizers.SGD(0.05, loss_scale_factor=8.0)), everything(X, NUMBERS)
    )


# --- precision --------------------------------------------------------------------------------------


def with_policy(policy, optimizer=lambda k: k.optimizers.Adam(0.01)):
    """Return a function that makes a model under a policy whose last layer gives float32."""

    def make(k):
        k.mixed_precision.set_global_policy(policy)
        try:
            layers = k.layers
            last = layers.Dense(3, activation="softmax", dtype="float64" if policy == "float64" else "float32")
            parts = [layers.Dense(8, activation="relu"), layers.BatchNormalization(), last]
            model = k.Sequential([k.Input((6,)), *parts])
            model.compile(optimizer(k), "sparse_categorical_crossentropy", metrics=["accuracy"])
        finally:
            k.mixed_precision.set_global_policy("float32")
        return model

    return make


@pytest.mark.parametrize(
    ("policy", "rtol"),
    [
        ("float32", 3e-5),
        ("float64", 3e-5),
        ("mixed_bfloat16", 0.02),
        ("mixed_float16", 0.003),
        ("bfloat16", 0.05),
        ("float16", 0.01),
    ],
)
def test_policies(policy, rtol):
    def do(k, model):
        history = model.fit(X, LABELS, **FIT).history
        types = [str(weight.dtype).removeprefix("torch.") for weight in model.weights]
        return [
            {"loss": history["loss"]},
            [types, [layer.compute_dtype for layer in model.layers], [layer.variable_dtype for layer in model.layers]],
            [type(model.optimizer).__name__, str(model.predict(X[:3], verbose=0).dtype), model.dtype_policy.name],
        ]

    # In pure bfloat16, Keras's Adam rounds 0.999 to 1, and its steps to 0.
    rule = (lambda k: k.optimizers.SGD(0.1)) if policy == "bfloat16" else (lambda k: k.optimizers.Adam(0.01))
    theirs, ours = with_both(with_policy(policy, rule), do)
    near(theirs[0], ours[0], rtol)
    assert theirs[1:] == ours[1:]
    assert ours[0]["loss"][-1] < ours[0]["loss"][0]


def test_the_loss_scale_finds_its_size_as_in_keras():
    def optimizer(k):
        return k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.01), initial_scale=2.0**30, dynamic_growth_steps=3)

    def do(k, model):
        found = []
        for _ in range(30):
            model.train_on_batch(X[:16], LABELS[:16])
            own = model.optimizer
            found.append([float(own.dynamic_scale), int(own.step_counter), int(own.iterations)])
        return found

    theirs, ours = with_both(with_policy("mixed_float16", optimizer), do)
    assert theirs == ours
    scales = [scale for scale, _, _ in ours]
    assert scales[0] == 2.0**29 and any(later > earlier for earlier, later in itertools.pairwise(scales))


def test_a_step_with_infinite_gradients_is_left_out():
    def optimizer(k):
        return k.optimizers.LossScaleOptimizer(k.optimizers.SGD(0.01), initial_scale=2.0**100)

    def do(k, model):
        trained = [weight for layer in model.layers for weight in layer.trainable_weights]
        before = [weight.numpy().copy() for weight in trained]
        model.train_on_batch(X[:16], LABELS[:16])
        same = all(np.array_equal(one, weight.numpy()) for one, weight in zip(before, trained))
        return [same, int(model.optimizer.iterations), float(model.optimizer.dynamic_scale) / 2.0**99]

    theirs, ours = with_both(with_policy("mixed_float16", optimizer), do)
    assert theirs == ours == [True, 0, 1.0]


def test_scaling_is_automatic_unless_declined():
    for scale, name in ((True, "LossScaleOptimizer"), (False, "SGD")):
        made = with_policy("mixed_float16")(uncrumple)
        made.compile("sgd", "sparse_categorical_crossentropy", auto_scale_loss=scale)
        assert type(made.optimizer).__name__ == name


def test_a_policy_for_each_layer():
    def make(k):
        layers = k.layers
        parts = [layers.Dense(8, dtype="mixed_bfloat16"), layers.Dense(4, dtype="bfloat16")]
        model = k.Sequential([k.Input((6,)), *parts, layers.Dense(1, dtype="float64")])
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    def do(k, model):
        history = model.fit(X, NUMBERS, **FIT).history
        types = [str(weight.dtype).removeprefix("torch.") for weight in model.weights]
        return [history, types, str(model.predict(X[:3], verbose=0).dtype)]

    theirs, ours = with_both(make, do)
    near(theirs[0], ours[0], 0.03)
    assert theirs[1:] == ours[1:]


def test_weights_in_bfloat16_go_from_keras_to_here():
    theirs, ours = keras.layers.Dense(2, dtype="bfloat16"), uncrumple.layers.Dense(2, dtype="bfloat16")
    theirs.build((None, 3))
    ours.build((None, 3))
    assert theirs.get_weights()[0].dtype.name == "bfloat16"
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours.kernel.numpy(), theirs.get_weights()[0].astype("float32"))
    ours.kernel.assign(2 * theirs.get_weights()[0])
    np.testing.assert_array_equal(ours.kernel.numpy(), 2 * theirs.get_weights()[0].astype("float32"))


# --- freezing ---------------------------------------------------------------------------------------


def test_freezing_without_compiling_again():
    def do(k, model):
        first = model.fit(X, LABELS, **FIT).history
        model.layers[0].trainable = False
        second = model.fit(X, LABELS, **FIT).history
        model.layers[0].trainable = True
        return [first, second, model.fit(X, LABELS, **FIT).history]

    do_with_both(classifier, do)


def test_freezing_and_thawing_with_compiling_again():
    def do(k, model):
        found = []
        for trainable in (True, False, True):
            model.layers[0].trainable = trainable
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            found.append(model.fit(X, LABELS, **FIT).history)
        return found

    do_with_both(classifier, do)


def test_thawing_without_compiling_again_trains_what_the_optimizer_knows():
    """Keras stops with an error about an unknown variable; here it is said, and the others are trained."""

    def do(k, model):
        model.layers[0].trainable = False
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        first = model.fit(X, LABELS, **FIT).history
        if k is keras:
            return [first, model.fit(X, LABELS, **FIT).history]
        model.layers[0].trainable = True
        with pytest.warns(UserWarning, match=r"trainable was changed after compile\(\): 'dense"):
            return [first, model.fit(X, LABELS, **FIT).history]

    theirs, ours = with_both(classifier, do)
    compare(theirs, ours)


# --- steps of one's own ------------------------------------------------------------------------------


def test_test_step_and_predict_step_of_ones_own():
    def make(k):
        class Custom(k.Model):
            def test_step(self, data):
                x, y = data
                y_pred = self(x, training=False)
                loss = self.compute_loss(y=y, y_pred=y_pred)
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss)
                    else:
                        metric.update_state(y, y_pred)
                return {metric.name: metric.result() for metric in self.metrics}

            def predict_step(self, data):
                x = data[0] if isinstance(data, tuple) else data
                return {"once": self(x, training=False), "twice": 2 * self(x, training=False)}

        model = Custom(*inputs_and_outputs(k))
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2))


def test_a_compute_loss_without_the_argument_training():
    def make(k):
        class Custom(k.Model):
            def compute_loss(self, x, y, y_pred, sample_weight):
                return super().compute_loss(x, y, y_pred, sample_weight) * 2.0

        model = Custom(*inputs_and_outputs(k))
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2, sample_weight=WEIGHTS))


def test_more_logs_than_metrics():
    def make(k):
        class Custom(k.Model):
            def train_step(self, data):
                return {**super().train_step(data), "extra": 3.0}

        model = Custom(*inputs_and_outputs(k))
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    do_with_both(make, lambda k, m: m.fit(X, NUMBERS, validation_split=0.2, **FIT).history)


# --- callbacks within training -----------------------------------------------------------------------


def test_what_callbacks_are_told_and_when():
    def do(k, model):
        seen = []

        class Listener(k.callbacks.Callback):
            pass

        for where in ("train", "test", "predict"):
            for moment in ("begin", "end"):
                name = f"on_{where}_{moment}"
                setattr(Listener, name, lambda self, logs=None, name=name: seen.append([name, dict(logs or {})]))
                name = f"on_{where}_batch_{moment}"
                if name != "on_predict_batch_end":
                    setattr(
                        Listener, name, lambda self, i, logs=None, name=name: seen.append([name, i, dict(logs or {})])
                    )
        for name in ("on_epoch_begin", "on_epoch_end"):
            setattr(Listener, name, lambda self, i, logs=None, name=name: seen.append([name, i, dict(logs or {})]))
        model.fit(X, NUMBERS, callbacks=[Listener()], validation_split=0.3, **FIT)
        model.evaluate(X, NUMBERS, callbacks=[Listener()], verbose=0)
        model.predict(X, callbacks=[Listener()], verbose=0)
        return seen

    do_with_both(normalizing, do)


@pytest.mark.parametrize("method", ["predict", "evaluate", "test_on_batch", "predict_on_batch"])
def test_looking_in_the_midst_of_training_changes_nothing(method):
    """Batch normalization, which trains and infers in different ways, goes on training."""

    def do(k, model):
        class Looking(k.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if method == "evaluate":
                    self.model.evaluate(X[:4], NUMBERS[:4], verbose=0)
                elif method == "test_on_batch":
                    self.model.test_on_batch(X[:4], NUMBERS[:4])
                else:
                    getattr(self.model, method)(X[:4])

        return model.fit(X, NUMBERS, callbacks=[Looking()], **FIT).history

    do_with_both(normalizing, do)


def test_evaluating_between_epochs():
    def do(k, model):
        seen = []

        class Looking(k.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append([self.model.evaluate(X[:4], NUMBERS[:4], verbose=0), dict(logs)])

        return [model.fit(X, NUMBERS, callbacks=[Looking()], validation_split=0.2, **FIT).history, seen]

    do_with_both(normalizing, do)


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_a_model_infers_after_training_that_failed(method):
    def do(k, model):
        class Failing(k.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                raise KeyError("mine")

        def step(data):
            raise KeyError("mine")

        if method == "train_on_batch":
            model.train_step = step
        with pytest.raises(KeyError):
            if method == "fit":
                model.fit(X, NUMBERS, callbacks=[Failing()], **FIT)
            else:
                model.train_on_batch(X, NUMBERS)
        return model(torch.from_numpy(X[:4])).detach()

    do_with_both(normalizing, do)


def test_stopping_within_an_epoch():
    def do(k, model):
        class Stop(k.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if batch == 1:
                    self.model.stop_training = True

        history = model.fit(X, NUMBERS, callbacks=[Stop()], validation_split=0.2, **FIT)
        return [history.history, history.epoch]

    do_with_both(regressor, do)


def test_stopping_early_and_slowing_down():
    def do(k, model):
        stop = k.callbacks.EarlyStopping(patience=1, restore_best_weights=True, monitor="val_mae", mode="min")
        slow = k.callbacks.ReduceLROnPlateau(monitor="loss", patience=0, factor=0.5, min_delta=1.0)
        fit = {**FIT, "epochs": 12, "validation_split": 0.3, "callbacks": [stop, slow]}
        return model.fit(X, NUMBERS, **fit).history

    do_with_both(normalizing, do)


def test_changing_the_learning_rate_between_fits():
    def do(k, model):
        found = [model.fit(X, NUMBERS, **FIT).history]
        model.optimizer.learning_rate = 0.001
        found.append(model.fit(X, NUMBERS, **FIT).history)
        model.optimizer.learning_rate.assign(0.01)
        return [*found, model.fit(X, NUMBERS, **FIT).history, float(model.optimizer.learning_rate)]

    do_with_both(regressor, do)


# --- epochs and steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fit",
    [
        {"epochs": 0},
        {"epochs": 2, "initial_epoch": 2},
        {"epochs": 5, "initial_epoch": 2},
        {"epochs": 5, "initial_epoch": 2, "steps_per_epoch": 2},
        {"epochs": 4, "steps_per_epoch": 3, "validation_split": 0.3, "validation_steps": 1},
        {"validation_data": (X, NUMBERS, WEIGHTS), "validation_batch_size": 7, "validation_freq": 2},
        {"validation_data": [X, NUMBERS]},
        {"validation_split": 0.02},
    ],
    ids=[str(number) for number in range(8)],
)
def test_epochs_and_steps(fit):
    def do(k, model):
        history = model.fit(X, NUMBERS, **{**FIT, **fit})
        known = {key: history.params[key] for key in ("epochs", "steps", "verbose")}
        return [history.history, history.epoch, known, model.history is history]

    do_with_both(regressor, do)


def test_steps_of_evaluate_and_predict():
    def do(k, model):
        few = model.evaluate(X, NUMBERS, batch_size=8, steps=3, verbose=0)
        return [
            few,
            model.predict(X, batch_size=8, steps=3, verbose=0),
            model.evaluate(X, NUMBERS, steps=30, verbose=0),
        ]

    do_with_both(normalizing, do)


def batches(*arrays, times=1):
    for _ in range(times):
        for start in range(0, 48, 16):
            yield tuple(array[start : start + 16] for array in arrays)


def test_generators_with_sample_weights():
    def do(k, model):
        history = model.fit(batches(X, LABELS, WEIGHTS, times=2), steps_per_epoch=3, epochs=2, verbose=0).history
        found = model.evaluate(batches(X, LABELS, WEIGHTS), verbose=0, return_dict=True)
        return [history, found, model.predict(batches(X, LABELS, WEIGHTS), verbose=0)]

    do_with_both(lambda k: classifier(k, weighted_metrics=["accuracy"]), do)


def test_a_generator_of_one_epoch():
    def do(k, model):
        return model.fit(batches(X, LABELS), validation_data=(X, LABELS), verbose=0).history

    do_with_both(classifier, do)


def test_generators_go_on_where_they_stopped():
    """Keras puts the two batches it looked at first before every validation, and after the last batch."""
    seen = []

    class Watched(uncrumple.Sequential):
        def train_step(self, data):
            seen.append(("train", float(data[0][0, 0])))
            return {"loss": 0.0}

        def test_step(self, data):
            seen.append(("test", float(data[0][0, 0])))
            return {"loss": 0.0}

    rows = np.repeat(np.arange(12.0, dtype="float32")[:, None], 6, axis=1)

    def endless():
        while True:
            for start in range(0, 12, 4):
                yield rows[start : start + 4], rows[start : start + 4, :1]

    model = Watched([uncrumple.Input((6,)), uncrumple.layers.Dense(1)])
    model.compile("sgd", "mse")
    fit = {"steps_per_epoch": 2, "epochs": 2, "validation_steps": 2, "verbose": 0}
    model.fit(endless(), validation_data=endless(), **fit)
    assert [number for what, number in seen if what == "train"] == [0.0, 4.0, 8.0, 0.0]
    assert [number for what, number in seen if what == "test"] == [0.0, 4.0, 8.0, 0.0]


# --- what the data is made of ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.from_numpy(X), torch.from_numpy(NUMBERS)),
        (X.astype("float64"), NUMBERS.astype("float64")),
        ((X * 3).astype("int64"), NUMBERS),
        (X, [NUMBERS]),
    ],
    ids=["torch", "float64", "int64", "list"],
)
def test_kinds_of_arrays(x, y):
    def do(k, model):
        return [model.fit(x, y, **FIT).history, model.predict(x, verbose=0)]

    do_with_both(normalizing, do)


def test_whole_numbers_for_an_embedding_come_as_floats_too():
    def make(k):
        layers = [k.layers.Embedding(10, 3), k.layers.Flatten(), k.layers.Dense(1)]
        model = k.Sequential([k.Input((4,), dtype="int32"), *layers])
        model.compile(k.optimizers.Adam(0.05), "mse")
        return model

    numbers = np.random.default_rng(0).integers(0, 10, (50, 4))
    do_with_both(make, everything(numbers, NUMBERS))
    do_with_both(make, everything(numbers.astype("float32"), NUMBERS))


# --- states between batches -----------------------------------------------------------------------------------

STEPS = np.random.default_rng(3).normal(size=(30, 4, 2)).astype("float32")
ANSWERS = np.random.default_rng(4).normal(size=(30, 1)).astype("float32")


def stateful(k, cell, **settings):
    layer = getattr(k.layers, cell)(5, stateful=True, **settings)
    model = k.Sequential([k.Input(batch_shape=(10, 4, 2)), layer, k.layers.Dense(1)])
    model.compile(k.optimizers.SGD(0.05), "mse")
    return model


def test_stateful_layers_in_fit():
    """Keras's LSTM and GRU fail here on torch; SimpleRNN does not."""

    def do(k, model):
        fit = {"batch_size": 10, "shuffle": False, "verbose": 0, "epochs": 2}
        found = []
        for _ in range(2):
            found.append(model.fit(STEPS, ANSWERS, **fit).history)
            model.layers[0].reset_states()
        found.append(model.evaluate(STEPS, ANSWERS, batch_size=10, verbose=0))
        return [*found, *[model.predict(STEPS, batch_size=10, verbose=0) for _ in range(2)]]

    do_with_both(lambda k: stateful(k, "SimpleRNN"), do)


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
def test_stateful_layers_when_predicting(cell):
    def do(k, model):
        first = [model.predict(STEPS, batch_size=10, verbose=0) for _ in range(2)]
        model.layers[0].reset_state()
        again = model.predict(STEPS, batch_size=10, verbose=0)
        np.testing.assert_allclose(again, first[0], rtol=1e-5)
        return [*first, model.evaluate(STEPS, ANSWERS, batch_size=10, verbose=0)]

    do_with_both(lambda k: stateful(k, cell), do)


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
def test_training_stateful_layers_is_training_with_the_state_of_the_batch_before(cell):
    model = stateful(uncrumple, cell)
    inputs = uncrumple.Input((4, 2))
    layer = getattr(uncrumple.layers, cell)(5, return_state=True)
    out, *states = layer(inputs)
    plain = uncrumple.Model(inputs, [uncrumple.layers.Dense(1)(out), *states])
    plain.set_weights(model.get_weights()[: len(plain.weights)])
    states = [torch.zeros(10, 5) for _ in states]
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
    for start in (0, 10, 20) * 2:
        x, y = torch.from_numpy(STEPS[start : start + 10]), torch.from_numpy(ANSWERS[start : start + 10])
        out, *states = layer(x, initial_state=states)
        states = [state.detach() for state in states]
        optimizer.zero_grad()
        ((plain.layers[-1](out) - y) ** 2).mean().backward()
        optimizer.step()
    model.fit(STEPS, ANSWERS, batch_size=10, shuffle=False, verbose=0, epochs=2)
    compare(plain.get_weights(), model.get_weights()[: len(plain.weights)])


def test_states_reset_by_a_callback():
    def do(k, model):
        class Reset(k.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                self.model.layers[0].reset_state()

        fit = {"batch_size": 10, "shuffle": False, "verbose": 0, "epochs": 3, "callbacks": [Reset()]}
        return model.fit(STEPS, ANSWERS, validation_data=(STEPS, ANSWERS), **fit).history

    do_with_both(lambda k: stateful(k, "SimpleRNN"), do)
