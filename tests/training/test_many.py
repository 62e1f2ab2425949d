"""Many models trained at once against each trained by itself: the same weights, histories, and states."""

import cProfile
import os
import pstats
import random
import signal

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers
from uncrumple.kernels import native
from uncrumple.training import many, many_steps

needs_kernels = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

generator = np.random.default_rng(0)
X = generator.normal(size=(90, 6)).astype("float32")
Y = (X[:, :4] + 0.7 * generator.normal(size=(90, 4))).argmax(1)
ROWS, HELD = zip(*uc.k_folds(Y, 4, seed=2))
RATES = [1e-3, 1e-2, 3e-2, 1e-1]
SEEDS = [5, 0, 2**32 - 1, 5]


@pytest.fixture
def together(monkeypatch):
    """Count the models that are trained together, and by fits of their own."""
    count = {"together": 0, "apart": 0}
    train, fit_apart = many.many_loop.train, many._fit_apart

    def trained(runs, *args):
        count["together"] += len(runs)
        return train(runs, *args)

    def apart(fits, *args):
        count["apart"] += len(fits)
        return fit_apart(fits, *args)

    monkeypatch.setattr(many.many_loop, "train", trained)
    monkeypatch.setattr(many, "_fit_apart", apart)
    return count


def network(*middle, activation=None, built=True, optimizer=None, loss=None, metrics=("accuracy",), rate=1e-2):
    middle = middle or (layers.Dense(9, "relu"), layers.Dense(7, "tanh"))
    model = uc.Sequential([*[uc.Input((6,))] * built, *middle, layers.Dense(4, activation)])
    loss = loss or uc.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile(optimizer or uc.optimizers.Adam(rate), loss, metrics=list(metrics) or None)
    return model


def stopping():
    return [uc.callbacks.EarlyStopping(patience=1, restore_best_weights=True)]


def assert_same(make, x=X, y=Y, exactly=True, **arguments):
    """Compare `fit_many` with fits one by one; `make(number)` returns a model."""
    uc.utils.set_random_seed(1)
    models = [make(number) for number in range(4)]
    uc.utils.set_random_seed(1)
    twins = [make(number) for number in range(4)]
    for model, twin in zip(models, twins):
        if model.built:
            twin.set_weights(model.get_weights())
    arguments = {"epochs": 5, "batch_size": 16, "rows": ROWS, **arguments}
    histories = uc.fit_many(models, x, y, seeds=SEEDS, verbose=0, **arguments)
    held, listed, size = (arguments.pop(name, None) for name in ("validation_rows", "callbacks", "batch_size"))
    rows = arguments.pop("rows")
    weight = arguments.pop("sample_weight", None)
    for number, (model, twin, history) in enumerate(zip(models, twins, histories)):
        uc.utils.set_random_seed(SEEDS[number])
        fit = {"batch_size": size[number] if isinstance(size, list) else size, "verbose": 0}
        if held is not None:
            fit["validation_data"] = (x[held[number]], y[held[number]])
        if listed is not None:
            fit["callbacks"] = listed()
        if weight is not None:
            fit["sample_weight"] = weight[rows[number]]
        expected = twin.fit(x[rows[number]], y[rows[number]], **fit, **arguments)
        assert history is model.history and history.model is model and history.epoch == expected.epoch
        assert list(history.history) == list(expected.history)
        for name, values in expected.history.items():
            np.testing.assert_allclose(history.history[name], values, rtol=2e-6, atol=1e-7, err_msg=name)
        close = np.testing.assert_array_equal if exactly else np.testing.assert_allclose
        for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
            close(one, other)
        assert model.optimizer.iterations == twin.optimizer.iterations
        assert not model.training and model.stop_training == twin.stop_training
        for one, other in zip(model.metrics, twin.metrics):
            np.testing.assert_allclose(_numbers(one.result()), _numbers(other.result()), rtol=2e-6)
        for one, other in zip(model.trainable_weights, twin.trainable_weights):
            torch.testing.assert_close(one.grad, other.grad)
    return models, twins, histories


def _numbers(result):
    return [float(value) for value in (result.values() if isinstance(result, dict) else [result])]


# --- the same numbers ------------------------------------------------------------------------------


@needs_kernels
def test_the_kernels_draw_what_torch_draws():
    assert many_steps.draws_like_torch()


@needs_kernels
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("activation", [None, "softmax"])
def test_same_as_separate_fits(shuffle, rate, activation, together):
    """Folds whose last batch is smaller, dropout from the common seed and from one of its own, early stopping."""

    def make(number):
        middle = [layers.Dense(9, "relu"), layers.Dropout(rate), layers.Dense(7, "tanh"), layers.Dropout(rate, seed=3)]
        return network(*middle, activation=activation, rate=RATES[number])

    _, _, histories = assert_same(make, shuffle=shuffle, validation_rows=HELD, callbacks=stopping, epochs=12)
    assert together == {"together": 4, "apart": 0}
    assert len({len(history.epoch) for history in histories}) > 1  # they did not all stop at once


OPTIMIZERS = {
    "adam": lambda number: uc.optimizers.Adam(RATES[number], beta_1=0.8, epsilon=1e-3),
    "betas": lambda number: uc.optimizers.Adam(0.01, beta_1=[0.5, 0.9, 0.9, 0.95][number]),
    "adamw": lambda number: uc.optimizers.AdamW(0.01, weight_decay=[0.0, 0.01, 0.1, 0.5][number]),
    "schedule": lambda number: uc.optimizers.Adam(uc.optimizers.schedules.CosineDecay(RATES[number], 20)),
}


@needs_kernels
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_setting_of_the_optimizer(name, together):
    models, twins, _ = assert_same(lambda number: network(optimizer=OPTIMIZERS[name](number)))
    assert together == {"together": 4, "apart": 0}
    for model, twin in zip(models, twins):
        assert float(model.optimizer.learning_rate) == float(twin.optimizer.learning_rate)


CASES = {
    "whole batches": {"rows": [np.arange(48)] * 4},
    "one batch, not whole": {"batch_size": 100},
    "one sample left over": {"rows": [np.arange(33)] * 4},
    "sizes of batches": {"batch_size": [8, 16, 70, 32]},
    "rate reduced": {
        "callbacks": lambda: [uc.callbacks.ReduceLROnPlateau(monitor="loss", patience=0, min_delta=0.5)],
    },
    "rate scheduled": {"callbacks": lambda: [uc.callbacks.LearningRateScheduler(lambda epoch: 0.02 / (epoch + 1))]},
    "validation": {"validation_rows": HELD},
    "validation split": {"validation_split": 0.3},
    "labels in a column": {"y": Y[:, None]},
    "labels of 8 bits": {"y": Y.astype("uint8"), "validation_rows": HELD},
}


@needs_kernels
@pytest.mark.parametrize("name", CASES)
def test_cases(name, together):
    assert_same(lambda number: network(), **CASES[name])
    assert together == {"together": 4, "apart": 0}


MODELS = {
    "different ones": lambda number: network(*[layers.Dense(3 + 5 * number, "sigmoid")] * (number > 0)),
    "no metrics": lambda number: network(metrics=()),
    "written apart": lambda number: network(layers.Flatten(), layers.Dense(5, use_bias=False), layers.ReLU()),
    "not built": lambda number: network(layers.Dense(5), layers.Dropout(0.5), built=False),
    "functional": lambda number: functional(),
    "wide": lambda number: network(layers.Dense(130, "relu"), layers.Dropout(0.2), layers.Dense(65, "relu")),
}


def functional():
    inputs = uc.Input((6,))
    model = uc.Model(inputs, layers.Dense(4, "softmax")(layers.Dense(5, "relu")(inputs)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["acc"])
    return model


@needs_kernels
@pytest.mark.parametrize("name", MODELS)
def test_models(name, together):
    assert_same(MODELS[name], validation_rows=HELD)
    assert together == {"together": 4, "apart": 0}


@needs_kernels
def test_more_threads_give_the_same(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert_same(lambda number: network(rate=RATES[number]), validation_rows=HELD, callbacks=stopping)


class Doubled(layers.Layer):
    def call(self, inputs):
        return inputs * 2


class Batches(uc.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class Validations(uc.callbacks.Callback):
    def on_test_end(self, logs=None):
        pass


APART = {
    "normalisation": (lambda number: network(layers.Dense(5), layers.BatchNormalization()), {}),
    "own layer": (lambda number: network(Doubled()), {}),
    "optimizer": (lambda number: network(optimizer=uc.optimizers.SGD(0.1, momentum=0.5)), {}),
    "other loss": (lambda number: network(loss="mse", metrics=()), {"y": X[:, :4]}),
    "other metric": (lambda number: network(metrics=["accuracy", "sparse_top_k_categorical_accuracy"]), {}),
    "average": (lambda number: network(optimizer=uc.optimizers.Adam(0.01, use_ema=True)), {}),
    "weights": (lambda number: network(), {"sample_weight": np.linspace(0, 2, 90).astype("float32")}),
    "classes": (lambda number: network(), {"class_weight": {0: 2.0}}),
    "whole numbers": (lambda number: network(), {"x": (X * 5).round().astype("int32")}),
    "batches watched": (lambda number: network(), {"callbacks": lambda: [Batches()]}),
    "validation watched": (lambda number: network(), {"callbacks": lambda: [Validations()], "validation_rows": HELD}),
    "not built": (lambda number: network(layers.Dense(5), layers.BatchNormalization(), built=False), {}),
}


@pytest.mark.parametrize("name", APART)
def test_what_is_not_known_is_trained_by_fit(name, together):
    make, arguments = APART[name]
    assert_same(make, **arguments)
    assert together == {"together": 0, "apart": 4}


def test_without_the_kernels(monkeypatch, together):
    monkeypatch.setattr(many_steps, "draws_like_torch", lambda: False)
    assert_same(lambda number: network(), validation_rows=HELD, callbacks=stopping)
    assert together == {"together": 0, "apart": 4}


def test_optimizers_of_torch(together):
    models, twins = [same(), same()], [same(), same()]
    for model in (*models, *twins):
        loss = uc.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(torch.optim.Adam(model.parameters(), lr=0.01), loss, metrics=["accuracy"])
    histories = uc.fit_many(models, X, Y, seeds=[1, 2], verbose=0)
    for seed, twin, history in zip([1, 2], twins, histories):
        uc.utils.set_random_seed(seed)
        assert twin.fit(X, Y, verbose=0).history == history.history
    assert together == {"together": 0, "apart": 2}


@needs_kernels
def test_some_together_and_some_by_themselves(together):
    def make(number):
        return network(*[layers.Dense(5), layers.BatchNormalization()][: 2 * (number % 2)])

    assert_same(make, validation_rows=HELD)
    assert together == {"together": 2, "apart": 2}


def test_no_epochs():
    models = [network(), network()]
    before = [model.get_weights() for model in models]
    for history, model, weights in zip(uc.fit_many(models, X, Y, epochs=0, verbose=0), models, before):
        assert history.history == {} and all(map(np.array_equal, model.get_weights(), weights))


@needs_kernels
def test_going_on_afterwards():
    """A fit after it, of either kind, goes on as after a fit: optimizer, and dropout with a seed of its own."""

    def make(number):
        return network(layers.Dense(6, "relu"), layers.Dropout(0.3, seed=number))

    models, twins, _ = assert_same(make)
    uc.fit_many(models, X, Y, seeds=SEEDS, epochs=2, verbose=0)
    for seed, model, twin in zip(SEEDS, models, twins):
        uc.utils.set_random_seed(seed)
        twin.fit(X, Y, epochs=2, verbose=0)
        uc.utils.set_random_seed(8)
        model.fit(X, Y, verbose=0)
        uc.utils.set_random_seed(8)
        twin.fit(X, Y, verbose=0)
        assert all(map(np.array_equal, model.get_weights(), twin.get_weights()))


def test_data_of_each_model(together):
    data = [(X[rows], Y[rows]) for rows in ROWS]
    held = [(X[rows], Y[rows]) for rows in HELD]
    models, twins = [network() for _ in ROWS], [network() for _ in ROWS]
    for model, twin in zip(models, twins):
        twin.set_weights(model.get_weights())
    first = uc.fit_many(models, data=data, validation_data=held, seeds=SEEDS, epochs=2, verbose=0)
    second = uc.fit_many(twins, X, Y, rows=ROWS, validation_rows=HELD, seeds=SEEDS, epochs=2, verbose=0)
    assert [one.history for one in first] == [one.history for one in second]


def test_rows_as_booleans():
    chosen = Y > 0
    histories = [
        uc.fit_many([same()], X, Y, rows=[rows], validation_data=(X, Y), seeds=[1], verbose=0)[0].history
        for rows in (chosen, np.flatnonzero(chosen), np.flatnonzero(chosen).tolist())
    ]
    assert histories[0] == histories[1] == histories[2]


def same():
    uc.utils.set_random_seed(4)
    return network()


def test_rows_that_no_model_uses_may_be_anything():
    spoiled = X.copy()
    spoiled[7] = np.nan
    good = np.flatnonzero(np.isfinite(spoiled).all(1))
    (history,) = uc.fit_many([network()], spoiled, Y, rows=[good], verbose=0)
    assert np.isfinite(history.history["loss"]).all()


# --- random numbers -----------------------------------------------------------------------------------


def test_seeds_come_from_the_common_one():
    found = []
    for _ in range(2):
        models = [same(), same()]
        uc.utils.set_random_seed(6)
        found.append(uc.fit_many(models, X, Y, verbose=0, epochs=2))
    assert [one.history for one in found[0]] == [one.history for one in found[1]]
    seeds = [one.params["seed"] for one in found[0]]
    assert len(set(seeds)) == 2 and seeds == [one.params["seed"] for one in found[1]]
    assert found[0][0].history != found[0][1].history
    again = uc.fit_many([same(), same()], X, Y, verbose=0, epochs=2, seeds=seeds)
    assert [one.history for one in again] == [one.history for one in found[0]]


@pytest.mark.parametrize("metrics", [("accuracy",), ("accuracy", "sparse_top_k_categorical_accuracy")])
def test_the_common_generators_are_left_alone(metrics):
    models = [network(built=False, metrics=metrics)]
    uc.utils.set_random_seed(6)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    uc.fit_many(models, X, Y, verbose=0, seeds=[1])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1] and random.getstate() == states[2]


# --- callbacks -----------------------------------------------------------------------------------------


@needs_kernels
def test_callbacks_are_called_as_by_fit(together):
    def calls_of(number, calls):
        class Notes(uc.callbacks.Callback):
            def on_train_begin(self, logs=None):
                calls.append(("begin", dict(self.params)))

            def on_epoch_begin(self, epoch, logs=None):
                calls.append(("epoch", epoch, logs, self.model.training))

            def on_epoch_end(self, epoch, logs=None):
                results = {name: float(value) for name, value in self.model.get_metrics_result().items()}
                steps = int(self.model.optimizer.iterations)
                calls.append(("end", epoch, dict(logs), self.model.training, results, steps))
                if epoch == 2 + number:
                    self.model.stop_training = True

            def on_train_end(self, logs=None):
                calls.append(("over", dict(logs)))

        return [Notes()]

    many_calls, calls = [[], []], [[], []]
    models, twins = [same(), same()], [same(), same()]
    arguments = {"epochs": 5, "batch_size": 40}
    listed = [calls_of(number, many_calls[number]) for number in (0, 1)]
    uc.fit_many(models, X, Y, seeds=[1, 2], callbacks=listed, verbose=0, validation_data=(X, Y), **arguments)
    for number, twin in enumerate(twins):
        uc.utils.set_random_seed(number + 1)
        own = calls_of(number, calls[number])
        twin.fit(X, Y, callbacks=own, verbose=0, validation_data=(X, Y), **arguments)
    assert together["together"] == 2
    for one, other in zip(many_calls, calls):
        one[0][1].pop("seed")
        assert [call[0] for call in one] == [call[0] for call in other]
        for call, twin_call in zip(one, other):
            assert str(_rounded(call)) == str(_rounded(twin_call))


def _rounded(thing):
    if isinstance(thing, float):
        return round(thing, 5)
    if isinstance(thing, dict):
        return {name: _rounded(value) for name, value in thing.items()}
    return [_rounded(part) for part in thing] if isinstance(thing, tuple) else thing


class Change(uc.callbacks.Callback):
    """Does something to the model at an epoch."""

    def __init__(self, what, where="end"):
        super().__init__()
        self.what, self.where = what, where

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2 and self.where == "begin":
            self.what(self.model)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1 and self.where == "end":
            self.what(self.model)


def _freeze(model):
    model.layers[0].trainable = False


def _hook(model):
    model.layers[0].register_forward_hook(lambda module, args, out: out * 0.5)


def _new_memory(model):
    model.layers[0].kernel.data = model.layers[0].kernel.data * 0.5


def _halve(model):
    model.layers[0].set_weights([weight * 0.5 for weight in model.layers[0].get_weights()])


def _decay(model):
    model.optimizer.weight_decay = 0.3


def _stop(model):
    model.stop_training = True


@needs_kernels
@pytest.mark.parametrize("where", ["end", "begin"])
@pytest.mark.parametrize("what", [_freeze, _hook, _new_memory, _halve, _decay, _stop])
def test_callbacks_may_change_the_model(what, where, together):
    def make(number):
        return network(layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(5), layers.Dropout(0.1, seed=2))

    assert_same(make, validation_rows=HELD, callbacks=lambda: [Change(what, where)])
    assert together["together"] == 4


@needs_kernels
def test_files_of_each_model(tmp_path):
    models = [same(), same()]

    def listed(number):
        return [
            uc.callbacks.ModelCheckpoint(str(tmp_path / f"{number}.keras"), save_best_only=True, monitor="loss"),
            uc.callbacks.CSVLogger(str(tmp_path / f"{number}.csv")),
        ]

    histories = uc.fit_many(models, X, Y, callbacks=listed, epochs=3, verbose=0)
    for number, model in enumerate(models):
        loaded = uc.saving.load_model(tmp_path / f"{number}.keras")
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
        lines = (tmp_path / f"{number}.csv").read_text().splitlines()
        assert lines[0].startswith("epoch,accuracy,loss,") and len(lines) == 4
        assert float(lines[-1].split(",")[2]) == pytest.approx(histories[number].history["loss"][-1])


@needs_kernels
def test_a_callback_that_fails_is_named():
    class Wrong(uc.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["vall_loss"]

    with pytest.raises(KeyError, match="Wrong failed in on_epoch_end"):
        uc.fit_many([network(), network()], X, Y, callbacks=lambda: [Wrong()], verbose=0)


# --- Ctrl-C, progress ------------------------------------------------------------------------------------


@pytest.fixture
def pythons_own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class Press(uc.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)


class PressAtBatch(uc.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.history.epoch == [0] and batch == 1:
            os.kill(os.getpid(), signal.SIGINT)


@needs_kernels
def test_ctrl_c_together(capsys, pythons_own_handler):
    models = [same(), same(), network(layers.BatchNormalization())]
    histories = uc.fit_many(models, X, Y, epochs=9, verbose=0, callbacks=[[Press()], [], []])
    assert [history.epoch for history in histories] == [[0, 1], [0, 1], []]
    assert capsys.readouterr().out == (
        "Stopped by Ctrl-C in epoch 3 of 9. The models keep what they have learned.\nNot trained at all: models[2].\n"
    )


@needs_kernels
def test_ctrl_c_in_the_middle_of_an_epoch(monkeypatch, pythons_own_handler, capsys):
    """It is looked for between calls of the kernels, which may end anywhere."""
    calls = []
    run = many_steps.Crew.run

    def slowly(self, seconds):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        self._pace = 0.0  # one step of each network in each call
        run(self, seconds)

    monkeypatch.setattr(many_steps.Crew, "run", slowly)
    models = [same(), same()]
    histories = uc.fit_many(models, X, Y, epochs=9, batch_size=30, verbose=0, rows=[np.arange(90), np.arange(60)])
    assert [history.epoch for history in histories] == [[0], [0]] and len(calls) == 4
    assert [int(model.optimizer.iterations) for model in models] == [4, 3]
    assert "Stopped by Ctrl-C in epoch 2 of 9." in capsys.readouterr().out


def test_ctrl_c_one_after_the_other(capsys, pythons_own_handler):
    models = [network(layers.BatchNormalization()) for _ in range(4)]
    listed = [[], [PressAtBatch()], [], []]
    histories = uc.fit_many(models, X, Y, epochs=3, verbose=0, callbacks=listed)
    assert [history.epoch for history in histories] == [[0, 1, 2], [0], [], []]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Stopped by Ctrl-C in epoch 2 of 3") and lines[1:] == [
        "Not trained at all: models[2] and 1 more."
    ]


@needs_kernels
def test_progress(capsys):
    models = [same(), same()]
    histories = uc.fit_many(models, X, Y, epochs=2, verbose=2)
    means = [np.mean([history.history["loss"][epoch] for history in histories]) for epoch in (0, 1)]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for number, (line, mean) in enumerate(zip(lines, means), start=1):
        assert line.startswith(f"Epoch {number}/2 - training: 2 of 2 models - accuracy: ")
        assert line.endswith(f" - loss: {mean:.4f}")
    uc.fit_many(models, X, Y, epochs=70)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("70/70 - ") and "2 of 2 models" in line
    uc.fit_many(models, X, Y, epochs=2, verbose=0)
    assert capsys.readouterr().out == ""


def test_progress_of_models_by_themselves(capsys):
    uc.fit_many([network(layers.BatchNormalization()) for _ in range(2)], X, Y)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("2/2 - ") and "/model" in line


# --- mistakes -------------------------------------------------------------------------------------------


def _compiled(count=2):
    return [network() for _ in range(count)]


def _shared_weights():
    first = network()
    second = uc.Sequential([uc.Input((6,)), first.layers[0], layers.Dense(4)])
    second.compile("adam", "mse")
    return [first, second]


def _shared_optimizer():
    optimizer = uc.optimizers.Adam(name="adam")
    return [network(optimizer=optimizer), network(optimizer=optimizer)]


def _not_compiled():
    return [network(), uc.Sequential([layers.Dense(3)], name="lonely")]


STOPPING = uc.callbacks.EarlyStopping(monitor="loss")
ONE_FOR_ALL = uc.callbacks.EarlyStopping(monitor="loss")
MISTAKES = {
    "one model": (
        lambda: {"models": network()},
        "fit_many got one model.\nExpected a list of models.\nFix: model.fit(...), or fit_many([model], ...)",
    ),
    "no models": (
        lambda: {"models": []},
        "fit_many got models=[].\nExpected a list of compiled models.\nFix: [make_model() for _ in range(5)]",
    ),
    "no model": (
        lambda: {"models": [network(), uc.Sequential]},
        "models[1] is the class Sequential.\nExpected a compiled model.\nFix: model = uncrumple.Sequential([...])",
    ),
    "not compiled": (
        lambda: {"models": _not_compiled()},
        "models[1] ('lonely') was not compiled.\nExpected an optimizer and a loss first.\n"
        'Fix: model.compile(optimizer="adam", loss="mse"), for each model',
    ),
    "the same model": (
        lambda: {"models": [network()] * 2},
        "models[1] is models[0].\nExpected models that share nothing: each is trained by itself.\n"
        "Fix: uncrumple.models.clone_model(model), for each",
    ),
    "the same optimizer": (
        lambda: {"models": _shared_optimizer()},
        "models[1] has the optimizer 'adam' of models[0].\n"
        "Expected models that share nothing: each is trained by itself.\n"
        'Fix: model.compile(optimizer="adam", ...), or an optimizer made anew for each model',
    ),
    "rows for too few": (
        lambda: {"rows": [np.arange(5)]},
        "rows has 1 entry, and there are 2 models.\nExpected one array of row numbers per model.\n"
        "Fix: rows=[np.arange(100), ...], one array per model",
    ),
    "rows for one": (
        lambda: {"validation_rows": np.arange(5)},
        "validation_rows is one array of 5 numbers.\nExpected one array of row numbers per model.\n"
        "Fix: validation_rows=[rows_of_first, rows_of_second, ...]",
    ),
    "rows that are not there": (
        lambda: {"rows": [np.arange(5), np.arange(85, 95)]},
        "rows[1] holds 94, and x has 90 rows.\nExpected row numbers from 0 to 89.\n"
        "Fix: print(min(rows[1]), max(rows[1]))",
    ),
    "no rows": (
        lambda: {"rows": [np.arange(5), []]},
        "rows[1] is empty.\nExpected row numbers from 0 to 89, or one boolean for each of the 90 rows.\n"
        "Fix: np.flatnonzero(condition)",
    ),
    "rows of floats": (
        lambda: {"rows": [np.arange(5), np.ones(4)]},
        "rows[1] has the type float64 and shape (4,).\n"
        "Expected row numbers from 0 to 89, or one boolean for each of the 90 rows.\n"
        "Fix: np.flatnonzero(condition)",
    ),
    "data and x": (
        lambda: {"data": [(X, Y)] * 2},
        "fit_many got data and x.\nExpected arrays for all models, or data with one (x, y) per model.\n"
        "Fix: remove x, or data",
    ),
    "data of one": (
        lambda: {"x": None, "y": None, "data": [(X, Y)]},
        "data has 1 entry, and there are 2 models.\nExpected one (x, y) per model.\n"
        "Fix: data=[(x_1, y_1), (x_2, y_2), ...]",
    ),
    "two validations": (
        lambda: {"validation_split": 0.2, "validation_data": (X, Y)},
        "fit_many got validation_data and validation_split.\nExpected one of them at most.\n"
        "Fix: remove validation_data or validation_split",
    ),
    "a generator": (
        lambda: {"x": iter([(X, Y)]), "y": None},
        "fit_many got a list_iterator as x.\n"
        "Expected arrays in memory: each model draws its own batches from them.\n"
        "Fix: for model in models: model.fit(...)",
    ),
    "size of batches": (
        lambda: {"batch_size": [16, 0]},
        "fit_many got batch_size=0.\nExpected a whole number of at least 1.\nFix: batch_size=32",
    ),
    "one seed": (
        lambda: {"seeds": 3},
        "fit_many got seeds=3.\nExpected one seed per model; with the same for all, all would shuffle alike.\n"
        "Fix: seeds=range(3, 5), or seeds=[3] * 2 if that is wanted",
    ),
    "no seed": (
        lambda: {"seeds": [0, -1]},
        "seeds[1] is -1.\nExpected a whole number from 0 to 2**32 - 1.\nFix: seeds=range(2)",
    ),
    "callbacks for one": (
        lambda: {"callbacks": [STOPPING]},
        "fit_many got callbacks for one model: EarlyStopping(...).\n"
        "Expected callbacks of its own for each model: they keep what they have seen.\n"
        "Fix: callbacks=lambda: [EarlyStopping(...)]",
    ),
    "one callback for all": (
        lambda: {"callbacks": lambda: [ONE_FOR_ALL]},
        "models[1] and models[0] got the same EarlyStopping.\n"
        "Expected callbacks of its own for each model: they keep what they have seen.\n"
        "Fix: callbacks=lambda: [EarlyStopping(...)], which makes new ones each time",
    ),
    "a label out of range": (lambda: {"y": Y + 1}, "models[0] ('"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    given, text = MISTAKES[name]
    arguments = {"models": _compiled(), "x": X, "y": Y, "verbose": 0, **given()}
    with pytest.raises(ValueError) as raised:
        uc.fit_many(**arguments)
    assert str(raised.value) == text if text.count("\n") else str(raised.value).startswith(text)


def test_shared_weights():
    with pytest.raises(ValueError, match=r"^models\[1\] has the weight '.*/kernel' of models\[0\]\.\n"):
        uc.fit_many(_shared_weights(), X, Y)


def test_a_model_that_does_not_fit_the_data_is_named():
    wrong = uc.Sequential([uc.Input((5,)), layers.Dense(4)], name="narrow")
    wrong.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    models = [network(), wrong]
    before = models[0].get_weights()
    with pytest.raises(ValueError, match=r"^models\[1\] \('narrow'\): "):
        uc.fit_many(models, X, Y, verbose=0)
    assert all(map(np.array_equal, models[0].get_weights(), before))


# --- work, counted -----------------------------------------------------------------------------------------


@needs_kernels
@pytest.mark.parametrize("watched", [False, True])
def test_python_does_little(watched, monkeypatch):
    """What makes it fast, counted: Python functions entered per model and epoch, and calls of the kernels."""
    models = [network(rate=RATES[number % 4]) for number in range(40)]
    listed = (lambda: [uc.callbacks.EarlyStopping(monitor="loss", patience=100)]) if watched else None
    monkeypatch.setattr(many_steps.Crew, "run", _in_one_call(many_steps.Crew.run))
    counts = []
    for epochs in (1, 1, 5):
        profile = cProfile.Profile()
        profile.runcall(uc.fit_many, models, X, Y, epochs=epochs, callbacks=listed, verbose=0)
        counts.append(pstats.Stats(profile).total_calls)
    per_epoch = (counts[2] - counts[1]) / 4 / 40
    assert per_epoch < (60 if watched else 20)


def _in_one_call(run):
    def once(self, seconds):
        self._pace = 1e-9
        run(self, 1.0)

    return once


@pytest.mark.parametrize("on_model", [True, False], ids=["on_the_model", "on_a_layer"])
def test_a_hook_on_the_model_or_a_layer_is_called(on_model):
    """It may change what the network learns from: the kernels must step aside from the first step on."""
    model, seen = network(), []
    (model if on_model else model.layers[0]).register_forward_pre_hook(
        lambda module, args: seen.append(args[0].shape) if not args[0].is_meta else None
    )
    uc.fit_many([model], X, Y, epochs=1, verbose=0)
    assert len(seen) == 3
