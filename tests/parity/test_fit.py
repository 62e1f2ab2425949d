"""Keras and uncrumple train the same model from the same weights on the same data: the same numbers come out.

Each case says how to make a model with a library, and what to do with it; it is done with both.
"""

import warnings

import keras
import numpy as np
import pytest
import torch

import uncrumple

random = np.random.default_rng(7)
X = random.normal(size=(50, 6)).astype("float32")
LABELS = random.integers(0, 3, size=50)
NUMBERS = (X @ random.normal(size=(6, 1)) + 0.3 * random.normal(size=(50, 1))).astype("float32")
BITS = (NUMBERS > 0).astype("float32")
WEIGHTS = random.uniform(0.1, 2.0, size=50).astype("float32")
FIT = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}


def compare(theirs, ours, where="result"):
    """Fail where two results differ, in structure or in the first five digits."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), f"{where}: {list(ours)} for {list(theirs)}"
        for key in theirs:
            compare(theirs[key], ours[key], f"{where}[{key!r}]")
    elif isinstance(theirs, (list, tuple)):
        assert isinstance(ours, (list, tuple)), f"{where}: {ours!r} for {theirs!r}"
        assert len(ours) == len(theirs), f"{where}: {ours} for {theirs}"
        for index, (one, other) in enumerate(zip(theirs, ours)):
            compare(one, other, f"{where}[{index}]")
    elif isinstance(theirs, str):
        assert ours == theirs, f"{where}: {ours} for {theirs}"
    else:
        theirs, ours = as_array(theirs), as_array(ours)
        assert ours.shape == theirs.shape, f"{where}: shape {ours.shape} for {theirs.shape}"
        np.testing.assert_allclose(ours, theirs, rtol=3e-5, atol=3e-6, err_msg=where)


def as_array(value):
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def do_with_both(make, do):
    """Make a model with each library, give ours the weights of theirs, and compare what `do` returns for each."""
    theirs, ours = make(keras), make(uncrumple)
    ours.set_weights(theirs.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = do(keras, theirs)
        found = do(uncrumple, ours)
    compare(expected, found)
    compare(theirs.get_weights(), ours.get_weights(), "weights")


def classifier(k, **compiled):
    layers = k.layers
    model = k.Sequential(
        [k.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(3, activation="softmax", name="answer")]
    )
    settings = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    model.compile(**{**settings, **compiled})
    return model


def regressor(k, **compiled):
    model = k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="tanh"), k.layers.Dense(1)])
    model.compile(**{"optimizer": k.optimizers.SGD(0.05), "loss": "mse", "metrics": ["mae"], **compiled})
    return model


def two_outputs(k, **compiled):
    inputs = k.Input((6,), name="features")
    hidden = k.layers.Dense(8, activation="relu", name="hidden")(inputs)
    outputs = [
        k.layers.Dense(3, activation="softmax", name="kind")(hidden),
        k.layers.Dense(1, name="amount")(hidden),
    ]
    model = k.Model(inputs, outputs)
    model.compile(**{"optimizer": k.optimizers.SGD(0.05), **compiled})
    return model


def everything(x, y, **fit):
    """Fit, and return all that can be looked at afterwards."""

    def do(k, model):
        history = model.fit(x, y, **{**FIT, **fit}).history
        found = [history, model.metrics_names]
        found += [model.evaluate(x, y, batch_size=16, verbose=0)]
        found += [model.evaluate(x, y, batch_size=7, verbose=0, return_dict=True)]
        predictions = model.predict(x, batch_size=13, verbose=0)
        return [*found, dict(sorted(predictions.items())) if isinstance(predictions, dict) else predictions]

    return do


# --- one output -----------------------------------------------------------------------


def test_classifier_with_a_partial_last_batch():
    do_with_both(classifier, everything(X, LABELS))


@pytest.mark.parametrize("y", [LABELS[:, None], LABELS.astype("float32"), LABELS.astype("int32")], ids=str)
def test_labels_in_other_shapes_and_types(y):
    do_with_both(classifier, everything(X, y))


def test_one_hot_labels_and_what_accuracy_means_for_them():
    one_hot = np.eye(3, dtype="float32")[LABELS]
    compiled = {"loss": "categorical_crossentropy", "metrics": ["accuracy", "categorical_crossentropy", "mse"]}
    do_with_both(lambda k: classifier(k, **compiled), everything(X, one_hot))


def test_yes_or_no():
    def make(k):
        model = k.Sequential([k.Input((6,)), k.layers.Dense(1, activation="sigmoid")])
        model.compile(
            k.optimizers.RMSprop(0.01), "binary_crossentropy", metrics=["accuracy", k.metrics.AUC(name="auc")]
        )
        return model

    do_with_both(make, everything(X, BITS))
    do_with_both(make, everything(X, BITS[:, 0]))


def test_a_loss_without_metrics_gives_one_number():
    def do(k, model):
        model.fit(X, NUMBERS, **FIT)
        return model.evaluate(X, NUMBERS, verbose=0)

    do_with_both(lambda k: regressor(k, metrics=None), do)


def test_validation_data():
    fit = {"validation_data": (X[:20] + 1, LABELS[:20]), "validation_batch_size": 9, "validation_freq": 2}
    do_with_both(classifier, everything(X, LABELS, **fit, epochs=5))


def test_validation_data_with_sample_weights():
    fit = {"validation_data": (X[:20] + 1, LABELS[:20], WEIGHTS[:20])}
    do_with_both(lambda k: classifier(k, weighted_metrics=["accuracy"]), everything(X, LABELS, **fit))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.33])
def test_validation_split(share):
    do_with_both(classifier, everything(X, LABELS, validation_split=share))


def test_validation_split_with_sample_weights():
    do_with_both(regressor, everything(X, NUMBERS, validation_split=0.3, sample_weight=WEIGHTS))


def test_validation_steps_begin_anew_at_every_epoch():
    fit = {"validation_data": (X[:40] + 1, LABELS[:40]), "validation_steps": 2, "validation_batch_size": 8}
    do_with_both(classifier, everything(X, LABELS, **fit))


def test_validation_freq_as_a_list():
    fit = {"validation_data": (X[:40] + 1, LABELS[:40]), "validation_freq": [1, 4]}
    do_with_both(classifier, everything(X, LABELS, **fit, epochs=4))


def test_class_weight():
    do_with_both(classifier, everything(X, LABELS, class_weight={0: 0.5, 1: 3.0}))
    one_hot = np.eye(3, dtype="float32")[LABELS]
    compiled = {"loss": "categorical_crossentropy", "weighted_metrics": ["accuracy"]}
    do_with_both(lambda k: classifier(k, **compiled), everything(X, one_hot, class_weight={0: 0.5, 1: 3.0, 2: 2}))


def test_sample_weight_with_metrics_and_weighted_metrics():
    compiled = {"metrics": ["accuracy", "mse"], "weighted_metrics": ["accuracy", "mse"]}
    one_hot = np.eye(3, dtype="float32")[LABELS]
    make = lambda k: classifier(k, loss="categorical_crossentropy", **compiled)  # noqa: E731
    do_with_both(make, everything(X, one_hot, sample_weight=WEIGHTS))
    do_with_both(make, everything(X, one_hot))


def test_evaluating_with_sample_weight():
    def do(k, model):
        return model.evaluate(X, NUMBERS, sample_weight=WEIGHTS, verbose=0, return_dict=True)

    do_with_both(lambda k: regressor(k, weighted_metrics=["mae"]), do)


def test_steps_per_epoch_goes_on_with_the_next_batch():
    do_with_both(classifier, everything(X, LABELS, steps_per_epoch=2, epochs=4))


def test_more_steps_than_batches():
    do_with_both(classifier, everything(X, LABELS, steps_per_epoch=6, epochs=3))
    do_with_both(classifier, everything(X, LABELS, steps_per_epoch=3, epochs=4))


def test_initial_epoch():
    def do(k, model):
        history = model.fit(X, LABELS, **{**FIT, "initial_epoch": 1})
        return [history.history, history.epoch, history.params["epochs"], history.params["steps"]]

    do_with_both(classifier, do)


def test_fit_twice_goes_on_learning():
    def do(k, model):
        first = model.fit(X, LABELS, **FIT).history
        return [first, model.fit(X, LABELS, **FIT).history, model.optimizer.iterations]

    do_with_both(classifier, do)


def test_compiling_again_starts_the_optimizer_again():
    def do(k, model):
        first = model.fit(X, LABELS, **FIT).history
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return [first, model.fit(X, LABELS, **FIT).history]

    do_with_both(classifier, do)


def test_several_metrics_of_one_name():
    def make(k):
        metrics = [k.metrics.MeanSquaredError(name="error"), k.metrics.MeanAbsoluteError(name="error"), "mae"]
        return regressor(k, metrics=metrics, weighted_metrics=["mae"])

    do_with_both(make, everything(X, NUMBERS))


def test_functions_as_loss_and_metric():
    def far_off(y_true, y_pred):
        return (y_true - y_pred).abs().amax(-1)

    def make(k):
        return regressor(
            k, loss=lambda y_true, y_pred: (y_true - y_pred) ** 2, metrics=[far_off, k.losses.cosine_similarity]
        )

    do_with_both(make, everything(X, NUMBERS))


@pytest.mark.parametrize("reduction", ["sum", "mean_with_sample_weight"])
def test_other_reductions(reduction):
    def make(k):
        return regressor(k, optimizer=k.optimizers.SGD(0.002), loss=k.losses.Huber(reduction=reduction))

    do_with_both(make, everything(X, NUMBERS, sample_weight=WEIGHTS))


def test_callbacks_are_told_of_every_batch():
    def do(k, model):
        seen = []

        class Watch(k.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                seen.append(("begin", batch))

            def on_train_batch_end(self, batch, logs=None):
                seen.append(("end", batch, dict(logs)))

            def on_test_batch_begin(self, batch, logs=None):
                seen.append(("test begin", batch))

            def on_test_batch_end(self, batch, logs=None):
                seen.append(("test end", batch))

        history = model.fit(X, LABELS, **{**FIT, "batch_size": 10}, callbacks=[Watch()], validation_split=0.4)
        return [history.history, seen]

    do_with_both(classifier, do)


# --- penalties --------------------------------------------------------------------------


def test_weight_and_activity_regularizers():
    def make(k):
        model = k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(
                    8, activation="relu", kernel_regularizer="l2", activity_regularizer=k.regularizers.L1(0.01)
                ),
                k.layers.Dense(1, kernel_regularizer=k.regularizers.L1L2(0.01, 0.02), bias_regularizer="l1"),
            ]
        )
        model.compile(k.optimizers.SGD(0.05), "mse", metrics=["mae"])
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2))


def penalty_layer(k):
    class Penalty(k.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * (inputs**2).mean())
            return inputs

    return Penalty


def test_a_layer_that_adds_a_loss():
    def make(k):
        model = k.Sequential([k.Input((6,)), k.layers.Dense(8), penalty_layer(k)(), k.layers.Dense(1)])
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2))


def test_learning_from_an_added_loss_alone():
    def make(k):
        model = k.Sequential([k.Input((6,)), k.layers.Dense(8), penalty_layer(k)()])
        model.compile(k.optimizers.SGD(0.05))
        return model

    def do(k, model):
        history = model.fit(X, **FIT).history
        return [history, model.evaluate(X, verbose=0), model.predict(X, verbose=0)]

    do_with_both(make, do)


def test_penalties_of_a_shared_model_count_at_every_call():
    def make(k):
        tower = k.Sequential(
            [k.Input((3,)), k.layers.Dense(4, activity_regularizer="l2"), penalty_layer(k)(), k.layers.Dense(2)]
        )
        left, right = k.Input((3,)), k.Input((3,))
        model = k.Model([left, right], k.layers.Dense(1)(k.layers.concatenate([tower(left), tower(right)])))
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything([X[:, :3], X[:, 3:]], NUMBERS))


def test_losses_as_an_attribute():
    def make(k):
        return k.Sequential(
            [k.Input((6,)), k.layers.Dense(8, kernel_regularizer="l2", activity_regularizer="l2"), penalty_layer(k)()]
        )

    def do(k, model):
        before = [float(loss) for loss in model.losses]
        model(torch.from_numpy(X))
        model(torch.from_numpy(X))
        return [before, [float(loss) for loss in model.losses]]

    do_with_both(make, do)


# --- several outputs --------------------------------------------------------------------

BOTH = {"kind": LABELS, "amount": NUMBERS}
BY_NAME = {
    "loss": {"kind": "sparse_categorical_crossentropy", "amount": "mse"},
    "metrics": {"kind": ["accuracy"], "amount": ["mae", "mse"]},
}


def test_losses_weights_and_metrics_by_name():
    make = lambda k: two_outputs(k, **BY_NAME, loss_weights={"kind": 0.3, "amount": 2.0})  # noqa: E731
    do_with_both(make, everything(X, BOTH, validation_split=0.2))
    do_with_both(make, everything(X, [LABELS, NUMBERS]))


def test_losses_weights_and_metrics_as_lists():
    lists = {
        "loss": ["sparse_categorical_crossentropy", "mse"],
        "loss_weights": [0.3, 2.0],
        "metrics": [["accuracy"], ["mae"]],
        "weighted_metrics": [["accuracy"], ["mae"]],
    }
    do_with_both(lambda k: two_outputs(k, **lists), everything(X, [LABELS, NUMBERS]))


def test_one_loss_for_all_outputs():
    one_hot = np.eye(3, dtype="float32")[LABELS]
    do_with_both(lambda k: two_outputs(k, loss="mse"), everything(X, [one_hot, NUMBERS]))


def test_metrics_for_one_output_only():
    compiled = {**BY_NAME, "metrics": {"amount": ["mae"]}}
    do_with_both(lambda k: two_outputs(k, **compiled), everything(X, BOTH))


def test_losses_for_some_outputs_only():
    compiled = {"loss": ["sparse_categorical_crossentropy", None]}
    do_with_both(lambda k: two_outputs(k, **compiled), everything(X, [LABELS, NUMBERS]))


def test_sample_weight_for_several_outputs():
    def do(k, model):
        return model.fit(X, [LABELS, NUMBERS], sample_weight=[WEIGHTS, WEIGHTS[::-1].copy()], **FIT).history

    compiled = {
        "loss": ["sparse_categorical_crossentropy", "mse"],
        "metrics": [["accuracy"], ["mae"]],
        "weighted_metrics": [["accuracy"], ["mae"]],
    }
    do_with_both(lambda k: two_outputs(k, **compiled), do)

    def do_one(k, model):
        return model.fit(X, [LABELS, NUMBERS], sample_weight=WEIGHTS, **FIT).history

    do_with_both(lambda k: two_outputs(k, **compiled), do_one)


def test_outputs_in_a_dict():
    def make(k):
        inputs = k.Input((6,))
        hidden = k.layers.Dense(8, activation="relu")(inputs)
        outputs = {"zeta": k.layers.Dense(1)(hidden), "alpha": k.layers.Dense(3, activation="softmax")(hidden)}
        model = k.Model(inputs, outputs)
        model.compile(
            k.optimizers.SGD(0.05),
            loss={"zeta": "mse", "alpha": "sparse_categorical_crossentropy"},
            metrics={"zeta": ["mae"], "alpha": ["accuracy"]},
        )
        return model

    do_with_both(make, everything(X, {"zeta": NUMBERS, "alpha": LABELS}))


def test_outputs_in_structures_within_structures():
    def make(k):
        inputs = k.Input((6,))
        one, other, last = (k.layers.Dense(1, name=name) for name in ("one", "other", "last"))
        model = k.Model(inputs, {"pair": [one(inputs), other(inputs)], "last": last(inputs)})
        model.compile(k.optimizers.SGD(0.05), {"pair": ["mse", "mae"], "last": "mse"})
        return model

    def do(k, model):
        return model.fit(X, {"pair": [NUMBERS, BITS], "last": NUMBERS * 2}, **FIT).history

    do_with_both(make, do)


def test_a_class_of_its_own_with_several_outputs():
    def make(k):
        class Two(k.Model):
            def __init__(self):
                super().__init__()
                self.one, self.other = k.layers.Dense(1), k.layers.Dense(2)

            def call(self, inputs):
                return self.one(inputs), self.other(inputs)

        model = Two()
        model(torch.from_numpy(X))
        model.compile(k.optimizers.SGD(0.05), loss=["mse", "mae"], metrics=[["mae"], ["mse"]])
        return model

    do_with_both(make, everything(X, (NUMBERS, X[:, :2])))


# --- one batch at a time ------------------------------------------------------------------


def test_train_on_batch_and_test_on_batch():
    def do(k, model):
        found = []
        for start in (0, 16, 32):
            rows = slice(start, start + 16)
            found.append(model.train_on_batch(X[rows], LABELS[rows], sample_weight=WEIGHTS[rows]))
            found.append(model.train_on_batch(X[rows], LABELS[rows], return_dict=True))
            found.append(model.train_on_batch(X[rows], LABELS[rows], class_weight={0: 2.0, 1: 0.5, 2: 1.0}))
            found.append(model.test_on_batch(X[rows], LABELS[rows]))
            found.append(model.test_on_batch(X[rows], LABELS[rows], sample_weight=WEIGHTS[rows], return_dict=True))
            found.append(model.predict_on_batch(X[rows]))
        return found

    do_with_both(lambda k: classifier(k, weighted_metrics=["accuracy"]), do)
    do_with_both(lambda k: classifier(k, metrics=None), do)


def test_train_on_batch_with_several_outputs():
    def do(k, model):
        batch = (X[:16], [LABELS[:16], NUMBERS[:16]])
        found = [model.train_on_batch(*batch), model.train_on_batch(*batch, return_dict=True)]
        return [*found, model.test_on_batch(*batch), model.predict_on_batch(X[:16])]

    do_with_both(lambda k: two_outputs(k, **BY_NAME), do)


def test_two_models_that_play_against_each_other():
    random = np.random.default_rng(3)
    noise = random.normal(size=(4, 16, 3)).astype("float32")
    real = X[:16]
    ones, zeros = np.ones((16, 1), "float32"), np.zeros((16, 1), "float32")

    class Game:
        """Both models, with the weights of both."""

        def __init__(self, k):
            layers = k.layers
            self.generator = k.Sequential([k.Input((3,)), layers.Dense(8, activation="relu"), layers.Dense(6)])
            self.judge = k.Sequential(
                [k.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(1, activation="sigmoid")]
            )
            self.judge.compile(k.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
            self.judge.trainable = False
            inputs = k.Input((3,))
            self.both = k.Model(inputs, self.judge(self.generator(inputs)))
            self.both.compile(k.optimizers.Adam(0.01), "binary_crossentropy")
            self.get_weights, self.set_weights = self.both.get_weights, self.both.set_weights

    def do(k, game):
        found = []
        for some in noise:
            fake = game.generator.predict(some, verbose=0)
            game.judge.trainable = True
            found.append(game.judge.train_on_batch(real, ones))
            found.append(game.judge.train_on_batch(fake, zeros))
            game.judge.trainable = False
            found.append(game.both.train_on_batch(some, ones))
        return found

    do_with_both(Game, do)


# --- what an optimizer does over time -------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"use_ema": True, "ema_momentum": 0.8},
        {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
        {"gradient_accumulation_steps": 2},
        {"gradient_accumulation_steps": 3, "clipnorm": 0.5},
        {"weight_decay": 0.01, "global_clipnorm": 0.3},
    ],
    ids=str,
)
def test_averages_accumulation_and_clipping(settings):
    def make(k):
        return regressor(k, optimizer=k.optimizers.Adam(0.01, **settings))

    do_with_both(make, everything(X, NUMBERS))


def test_learning_rate_schedules():
    def make(k):
        schedule = k.optimizers.schedules.ExponentialDecay(0.05, decay_steps=3, decay_rate=0.5)
        return regressor(k, optimizer=k.optimizers.SGD(schedule, momentum=0.9))

    do_with_both(make, everything(X, NUMBERS))


def test_callbacks_that_change_the_learning_rate():
    def do(k, model):
        callbacks = [
            k.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
            k.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True),
        ]
        fit = {**FIT, "epochs": 12, "callbacks": callbacks, "validation_data": (X[::-1].copy(), NUMBERS)}
        history = model.fit(X, NUMBERS, **fit).history
        return [history, model.evaluate(X, NUMBERS, verbose=0)]

    do_with_both(lambda k: regressor(k, optimizer=k.optimizers.SGD(0.4)), do)


def test_constraints():
    def make(k):
        model = k.Sequential([k.Input((6,)), k.layers.Dense(4, kernel_constraint="non_neg"), k.layers.Dense(1)])
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything(X, NUMBERS))


# --- what a class of one's own changes --------------------------------------------------------


def inputs_and_outputs(k):
    inputs = k.Input((6,))
    return inputs, k.layers.Dense(1)(k.layers.Dense(8, activation="tanh")(inputs))


def test_a_train_step_of_its_own():
    def make(k):
        class Custom(k.Model):
            def train_step(self, data):
                x, y = data
                self.zero_grad()
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
                loss.backward()
                trainable_weights = [v for v in self.trainable_weights]  # noqa: C416
                gradients = [v.value.grad for v in trainable_weights]
                with torch.no_grad():
                    self.optimizer.apply(gradients, trainable_weights)
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss)
                    else:
                        metric.update_state(y, y_pred)
                return {m.name: m.result() for m in self.metrics}

        model = Custom(*inputs_and_outputs(k))
        model.compile(k.optimizers.Adam(0.01), "mse", metrics=["mae"])
        return model

    do_with_both(make, everything(X, NUMBERS))


def test_a_train_step_with_sample_weights_and_metrics_of_its_own():
    def make(k):
        class Custom(k.Model):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.loss_tracker = k.metrics.Mean(name="loss")
                self.error = k.metrics.MeanAbsoluteError(name="error")
                self.loss_fn = k.losses.MeanSquaredError()

            def train_step(self, data):
                x, y, sample_weight = data if len(data) == 3 else (*data, None)
                self.zero_grad()
                y_pred = self(x, training=True)
                loss = self.loss_fn(y, y_pred, sample_weight=sample_weight)
                loss.backward()
                gradients = [v.value.grad for v in self.trainable_weights]
                with torch.no_grad():
                    self.optimizer.apply(gradients, self.trainable_weights)
                self.loss_tracker.update_state(loss)
                self.error.update_state(y, y_pred, sample_weight=sample_weight)
                return {"loss": self.loss_tracker.result(), "error": self.error.result()}

            def test_step(self, data):
                x, y = data
                y_pred = self(x, training=False)
                self.loss_tracker.update_state(self.loss_fn(y, y_pred))
                self.error.update_state(y, y_pred)
                return {m.name: m.result() for m in self.metrics}

            @property
            def metrics(self):
                return [self.loss_tracker, self.error]

        model = Custom(*inputs_and_outputs(k))
        model.compile(optimizer=k.optimizers.Adam(0.01))
        return model

    def do(k, model):
        history = model.fit(X, NUMBERS, sample_weight=WEIGHTS, validation_data=(X, NUMBERS), **FIT).history
        return [history, model.evaluate(X, NUMBERS, verbose=0), model.evaluate(X, NUMBERS, verbose=0, return_dict=True)]

    do_with_both(make, do)


def test_a_compute_loss_of_its_own():
    def make(k):
        class Custom(k.Model):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.loss_tracker = k.metrics.Mean(name="tracked")

            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                loss = ((y_pred - y) ** 2).mean() + sum(self.losses)
                self.loss_tracker.update_state(loss)
                return loss

            def reset_metrics(self):
                self.loss_tracker.reset_state()

            @property
            def metrics(self):
                return [self.loss_tracker]

        inputs = k.Input((6,))
        model = Custom(inputs, k.layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l2")(inputs))
        model.compile(optimizer=k.optimizers.Adam(0.01))
        return model

    do_with_both(make, everything(X, NUMBERS))


def test_a_compute_metrics_of_its_own():
    def make(k):
        class Custom(k.Model):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.biggest = k.metrics.Mean(name="biggest")

            def compute_metrics(self, x, y, y_pred, sample_weight=None):
                found = super().compute_metrics(x, y, y_pred, sample_weight)
                self.biggest.update_state(y_pred.max())
                found["biggest"] = self.biggest.result()
                return found

        model = Custom(*inputs_and_outputs(k))
        model.compile(k.optimizers.Adam(0.01), "mse", metrics=["mae"])
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2))


def test_metrics_that_layers_hold():
    def make(k):
        class Counts(k.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.average = k.metrics.Mean(name="average")

            def call(self, inputs):
                if not inputs.is_meta:
                    self.average.update_state(inputs.mean())
                return inputs

        model = k.Sequential([k.Input((6,)), Counts(), k.layers.Dense(1)])
        model.compile(k.optimizers.SGD(0.05), "mse", metrics=["mae"])
        return model

    do_with_both(make, everything(X, NUMBERS))


def test_a_loop_in_plain_torch():
    def do(k, model):
        optimizer, loss_fn = k.optimizers.Adam(0.01), k.losses.SparseCategoricalCrossentropy()
        metric, losses = k.metrics.SparseCategoricalAccuracy(), []
        for start in range(0, 48, 16):
            x, y = torch.from_numpy(X[start : start + 16]), torch.from_numpy(LABELS[start : start + 16])
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
            model.zero_grad()
            loss.backward()
            weights = list(model.trainable_weights)
            with torch.no_grad():
                optimizer.apply([weight.value.grad for weight in weights], weights)
            metric.update_state(y, logits)
            losses.append(float(loss))
        return [losses, float(metric.result())]

    do_with_both(classifier, do)


def test_a_torch_optimizer_and_loss_in_a_torch_loop():
    def do(k, model):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        losses = []
        for _ in range(5):
            loss = torch.nn.functional.mse_loss(model(torch.from_numpy(X)), torch.from_numpy(NUMBERS))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
        return losses

    do_with_both(regressor, do)


def test_models_that_only_have_a_train_step():
    """An autoencoder in Keras's manner: no `call`, metrics of its own, two parts."""

    def make(k):
        class Autoencoder(k.Model):
            def __init__(self, encoder, decoder, **kwargs):
                super().__init__(**kwargs)
                self.encoder, self.decoder = encoder, decoder
                self.total, self.error = k.metrics.Mean(name="total"), k.metrics.Mean(name="error")
                self.built = True

            @property
            def metrics(self):
                return [self.total, self.error]

            def train_step(self, data):
                data = data[0] if isinstance(data, tuple) else data
                error = ((self.decoder(self.encoder(data, training=True), training=True) - data) ** 2).mean()
                total = error + sum(self.losses)
                self.zero_grad()
                total.backward()
                weights = list(self.trainable_weights)
                with torch.no_grad():
                    self.optimizer.apply([weight.value.grad for weight in weights], weights)
                self.total.update_state(total)
                self.error.update_state(error)
                return {metric.name: metric.result() for metric in self.metrics}

        encoder = k.Sequential([k.Input((6,)), k.layers.Dense(2, activity_regularizer="l2")])
        decoder = k.Sequential([k.Input((2,)), k.layers.Dense(6)])
        model = Autoencoder(encoder, decoder)
        model.compile(optimizer=k.optimizers.Adam(0.01))
        return model

    do_with_both(make, lambda k, model: model.fit(X, **FIT).history)


def test_a_compile_of_its_own_with_two_optimizers():
    def make(k):
        class Game(k.Model):
            def __init__(self):
                super().__init__()
                self.judge = k.Sequential([k.Input((6,)), k.layers.Dense(4, activation="relu"), k.layers.Dense(1)])
                self.maker = k.Sequential([k.Input((3,)), k.layers.Dense(6)])
                self.built = True

            def compile(self, judge_optimizer, maker_optimizer, loss_fn):
                super().compile()
                self.judge_optimizer, self.maker_optimizer, self.loss_fn = judge_optimizer, maker_optimizer, loss_fn
                self.judged, self.made = k.metrics.Mean(name="judged"), k.metrics.Mean(name="made")

            @property
            def metrics(self):
                return [self.judged, self.made]

            def step(self, loss, part, optimizer):
                self.zero_grad()
                loss.backward()
                weights = list(part.trainable_weights)
                with torch.no_grad():
                    optimizer.apply([weight.value.grad for weight in weights], weights)

            def train_step(self, real):
                real = real[0] if isinstance(real, tuple) else real
                noise = torch.linspace(-1, 1, len(real) * 3).reshape(-1, 3)
                both = torch.cat([self.maker(noise).detach(), real])
                truth = torch.cat([torch.zeros(len(real), 1), torch.ones(len(real), 1)])
                judged = self.loss_fn(truth, self.judge(both))
                self.step(judged, self.judge, self.judge_optimizer)
                made = self.loss_fn(torch.ones(len(real), 1), self.judge(self.maker(noise)))
                self.step(made, self.maker, self.maker_optimizer)
                self.judged.update_state(judged)
                self.made.update_state(made)
                return {"judged": self.judged.result(), "made": self.made.result()}

        model = Game()
        loss = k.losses.BinaryCrossentropy(from_logits=True)
        model.compile(k.optimizers.Adam(0.01), k.optimizers.Adam(0.02), loss_fn=loss)
        return model

    do_with_both(make, lambda k, model: model.fit(X, **FIT).history)


# --- freezing, sharing, nesting ---------------------------------------------------------------


def test_freezing_and_thawing():
    def do(k, model):
        model.layers[0].trainable = False
        model.compile(k.optimizers.Adam(0.01), "mse", metrics=["mae"])
        found = [model.fit(X, NUMBERS, **FIT).history, len(model.trainable_weights), model.get_weights()]
        model.layers[0].trainable = True
        model.compile(k.optimizers.Adam(0.001), "mse", metrics=["mae"])
        return [*found, model.fit(X, NUMBERS, **FIT).history, len(model.trainable_weights)]

    do_with_both(regressor, do)


def test_transfer():
    def make(k):
        base = k.Sequential([k.Input((6,)), *(k.layers.Dense(5, activation="relu") for _ in range(3))])
        cut = k.Model(base.inputs, base.layers[1].output)
        cut.trainable = False
        inputs = k.Input((6,))
        model = k.Model(inputs, k.layers.Dense(1)(cut(inputs)))
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything(X, NUMBERS))


def test_one_model_within_another():
    def make(k):
        def block(name):
            inputs = k.Input((6,))
            hidden = k.layers.Dense(6, activation="relu")(inputs)
            return k.Model(inputs, k.layers.add([inputs, k.layers.Dense(6)(hidden)]), name=name)

        model = k.Sequential(
            [k.Input((6,)), block("first"), k.Sequential([block("second"), k.layers.Dense(4)]), k.layers.Dense(1)]
        )
        model.compile(k.optimizers.SGD(0.02), "mse", metrics=["mae"])
        return model

    do_with_both(make, everything(X, NUMBERS))


def test_a_shared_layer():
    def make(k):
        left, right, shared = k.Input((3,)), k.Input((3,)), k.layers.Dense(4, activation="tanh")
        hidden = k.layers.concatenate([shared(left), shared(right), shared(left + right)])
        model = k.Model([left, right], k.layers.Dense(1)(hidden))
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything([X[:, :3], X[:, 3:]], NUMBERS))


def test_inputs_by_name():
    def make(k):
        left, right = k.Input((3,), name="right"), k.Input((3,), name="left")
        model = k.Model([left, right], k.layers.Dense(1)(k.layers.concatenate([left * 2.0, right])))
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything({"left": X[:, :3], "right": X[:, 3:]}, NUMBERS))


def test_inputs_in_a_dict():
    def make(k):
        inputs = {"zeta": k.Input((3,), name="zeta"), "alpha": k.Input((3,), name="alpha")}
        model = k.Model(inputs, k.layers.Dense(1)(k.layers.concatenate([inputs["zeta"], inputs["alpha"] - 1.0])))
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything({"zeta": X[:, :3], "alpha": X[:, 3:]}, NUMBERS))


def test_batch_normalization_and_a_frozen_one():
    def make(k, frozen=False):
        normalization = k.layers.BatchNormalization(momentum=0.8)
        model = k.Sequential([k.Input((6,)), k.layers.Dense(4), normalization, k.layers.Dense(1)])
        normalization.trainable = not frozen
        model.compile(k.optimizers.SGD(0.05), "mse")
        return model

    do_with_both(make, everything(X, NUMBERS, validation_split=0.2))
    do_with_both(lambda k: make(k, frozen=True), everything(X, NUMBERS))


def test_convolutions():
    images, y = X[:48].reshape(8, 6, 6, 1), LABELS[:8]

    def make(k):
        layers = k.layers
        model = k.Sequential(
            [
                k.Input((6, 6, 1)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
        model.compile("adam", k.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        return model

    do_with_both(make, everything(images, y))


# --- sequences ------------------------------------------------------------------------------

TOKENS = np.where(np.arange(7) < random.integers(1, 8, size=(50, 1)), random.integers(1, 9, size=(50, 7)), 0)


def tagger(k, **compiled):
    layers = k.layers
    model = k.Sequential(
        [
            k.Input((7,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True),
            layers.SimpleRNN(5, return_sequences=True),
            layers.Dense(3, activation="softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(
        **{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], "weighted_metrics": ["accuracy"], **compiled}
    )
    return model


def test_padded_steps_count_neither_in_the_loss_nor_in_metrics():
    do_with_both(tagger, everything(TOKENS, TOKENS % 3))


def test_a_weight_for_each_step():
    weights = random.uniform(size=(50, 7)).astype("float32")
    # Without weighted metrics: the loss of Keras multiplies the weights by the mask in place, and its metrics get those.
    do_with_both(lambda k: tagger(k, weighted_metrics=None), everything(TOKENS, TOKENS % 3, sample_weight=weights))


def test_one_answer_for_a_padded_sequence():
    def make(k):
        layers = k.layers
        model = k.Sequential(
            [
                k.Input((7,), dtype="int32"),
                layers.Embedding(9, 4, mask_zero=True),
                layers.LSTM(5),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model

    do_with_both(make, everything(TOKENS, TOKENS[:, 0] > 4, validation_split=0.2))


# --- sources of batches ------------------------------------------------------------------------


def test_a_torch_data_loader():
    def do(k, model):
        data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(LABELS), torch.from_numpy(WEIGHTS))
        loader = torch.utils.data.DataLoader(data, batch_size=16)
        history = model.fit(loader, epochs=2, verbose=0, validation_data=loader).history
        return [history, model.evaluate(loader, verbose=0)]

    do_with_both(lambda k: classifier(k, weighted_metrics=["accuracy"]), do)


def test_a_generator():
    def endless():
        while True:
            for start in range(0, 50, 16):
                yield X[start : start + 16], LABELS[start : start + 16]

    def do(k, model):
        fit = {"steps_per_epoch": 3, "epochs": 3, "verbose": 0}
        history = model.fit(endless(), **fit).history
        return [history, model.evaluate(endless(), steps=4, verbose=0), model.predict(endless(), steps=2, verbose=0)]

    do_with_both(classifier, do)
