"""`fit`, `evaluate`, `predict` and their batch-wise friends: what they take, what they return, what they refuse."""

import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import uncrumple as keras
from raised import explained, message
from uncrumple import layers

random = np.random.default_rng(0)
X = random.normal(size=(50, 4)).astype("float32")
Y = X.sum(1, keepdims=True)
LABELS = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
QUIET = {"verbose": 0, "batch_size": 16}


def regressor(**settings):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="tanh"), layers.Dense(1)])
    model.compile(**{"optimizer": keras.optimizers.Adam(0.01), "loss": "mse", "metrics": ["mae"], **settings})
    return model


def classifier(**settings):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    loss = "sparse_categorical_crossentropy"
    model.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **settings})
    return model


def same_start(make=regressor, **settings):
    """Return two models with the same weights."""
    one, other = make(**settings), make(**settings)
    other.set_weights(one.get_weights())
    return one, other


def trained(model, *args, **fit):
    history = model.fit(*args, **{"shuffle": False, **QUIET, **fit}).history
    return history, model.get_weights()


def assert_same(first, second):
    assert first[0] == second[0]
    assert all(np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True))


# --- what data may be -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, y",
    [
        (torch.from_numpy(X), torch.from_numpy(Y)),
        (X.astype("float64"), Y.astype("float64")),
        (torch.from_numpy(X).double(), torch.from_numpy(Y).double()),
        (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y).requires_grad_()),
        (pd.DataFrame(X, columns=list("abcd")), pd.DataFrame(Y)),
        (pd.DataFrame(X), pd.Series(Y[:, 0])),
        (X.tolist(), Y.tolist()),
        (np.asfortranarray(X), np.repeat(Y, 2, axis=1)[:, ::2]),
        (X[::-1][::-1], Y),
        ([X], [Y]),
        (X, Y[:, 0]),
        (torch.nn.Parameter(torch.from_numpy(X)), Y),
    ],
    ids=[
        "tensors",
        "float64",
        "double",
        "requires_grad",
        "frames",
        "series",
        "lists",
        "strides",
        "reversed",
        "lists_of_one",
        "flat",
        "parameter",
    ],
)
def test_the_same_numbers_in_any_wrapping_train_the_same(x, y):
    one, other = same_start()
    first = trained(one, X, Y, epochs=2)
    second = trained(other, x, y, epochs=2)
    for name, values in first[0].items():
        np.testing.assert_allclose(second[0][name], values, rtol=1e-5)
    np.testing.assert_allclose(other.predict(x, verbose=0), one.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_read_only_arrays_stay_as_they_are():
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    regressor().fit(x, y, **QUIET)
    assert np.array_equal(x, X) and np.array_equal(y, Y)


def test_training_leaves_the_data_alone():
    x, y = X.copy(), Y.copy()
    model = keras.Sequential([keras.Input((4,)), layers.ReLU(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, y, **QUIET)
    assert np.array_equal(x, X) and np.array_equal(y, Y)


class Pairs(Dataset):
    def __init__(self, *parts):
        self.parts = parts

    def __len__(self):
        return len(self.parts[0])

    def __getitem__(self, index):
        return tuple(part[index] for part in self.parts)


class Flowing(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y))


class Once(IterableDataset):
    """Hands out its samples one time only, as a stream from the network does."""

    def __init__(self):
        self.rows = iter(list(zip(X, Y)))

    def __iter__(self):
        return self.rows


def batches():
    for start in range(0, 50, 16):
        yield X[start : start + 16], Y[start : start + 16]


class Repeating:
    """Neither a data set nor a generator, but it can be gone through again."""

    def __iter__(self):
        return batches()


@pytest.mark.parametrize(
    "source",
    [
        lambda: DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=16),
        lambda: DataLoader(Pairs(X, Y), batch_size=16),
        lambda: DataLoader(Flowing(), batch_size=16),
        lambda: DataLoader(Once(), batch_size=16),
        lambda: [list(pair) for pair in batches()] and iter([list(pair) for pair in batches()]),
        batches,
        Repeating,
        lambda: map(tuple, batches()),
    ],
    ids=["tensor_data_set", "data_set", "iterable", "once", "lists", "generator", "iterable_object", "map"],
)
def test_sources_that_hand_out_batches(source):
    one, other = same_start()
    assert_same(trained(one, X, Y), trained(other, source(), batch_size=None))
    np.testing.assert_array_equal(other.predict(source(), verbose=0), one.predict(X, batch_size=16, verbose=0))
    assert other.evaluate(source(), verbose=0) == one.evaluate(X, Y, batch_size=16, verbose=0)


def test_a_data_set_is_put_into_batches():
    one, other = same_start()
    assert_same(trained(one, X, Y), trained(other, Pairs(X, Y)))
    assert_same(trained(one, X, Y), trained(other, Flowing()))
    model = regressor()
    assert model.fit(Pairs(X, Y), batch_size=20, verbose=0).params["steps"] == 3


def test_a_data_set_is_shuffled_like_arrays_are():
    class Watch(keras.Model):
        def train_step(self, data):
            self.seen.append(data[0][:, 0].tolist())
            return super().train_step(data)

    numbers = np.arange(20, dtype="float32")[:, None]
    inputs = keras.Input((1,))
    for shuffle in (False, True):
        model = Watch(inputs, layers.Dense(1)(inputs))
        model.compile("sgd", "mse")
        model.seen = []
        model.fit(Pairs(numbers, numbers), batch_size=6, shuffle=shuffle, verbose=0)
        flat = [value for batch in model.seen for value in batch]
        assert sorted(flat) == list(range(20)) and (flat == list(range(20))) is not shuffle


def test_a_data_loader_of_dicts():
    class Dicts(Dataset):
        def __len__(self):
            return 50

        def __getitem__(self, index):
            return {"left": X[index, :2], "right": X[index, 2:]}, Y[index]

    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    model = keras.Model([left, right], layers.Dense(1)(layers.concatenate([left, right])))
    model.compile("sgd", "mse")
    model.fit(DataLoader(Dicts(), batch_size=16), verbose=0)
    x = {"left": X[:, :2], "right": X[:, 2:]}
    np.testing.assert_array_equal(
        model.predict(DataLoader(Dicts(), batch_size=16), verbose=0), model.predict(x, batch_size=16, verbose=0)
    )


def test_a_loader_without_targets_for_predict():
    model = regressor()
    loader = DataLoader(TensorDataset(torch.from_numpy(X)), batch_size=16)
    np.testing.assert_array_equal(model.predict(loader, verbose=0), model.predict(X, batch_size=16, verbose=0))
    plain = DataLoader(torch.from_numpy(X), batch_size=16)
    np.testing.assert_array_equal(model.predict(plain, verbose=0), model.predict(X, batch_size=16, verbose=0))


def test_sample_weights_from_a_loader():
    weights = np.linspace(0, 2, 50, dtype="float32")
    one, other = same_start(weighted_metrics=["mae"])
    loader = DataLoader(Pairs(X, Y, weights), batch_size=16)
    assert_same(trained(one, X, Y, sample_weight=weights), trained(other, loader, batch_size=None))


def test_class_weight_with_a_generator():
    def labelled():
        for start in range(0, 50, 16):
            yield X[start : start + 16], LABELS[start : start + 16]

    one, other = same_start(classifier)
    weights = {0: 3.0, 1: 0.5}
    assert_same(
        trained(one, X, LABELS, class_weight=weights), trained(other, labelled(), class_weight=weights, batch_size=None)
    )


def test_several_inputs_as_lists_tuples_and_dicts():
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    model = keras.Model([left, right], layers.Dense(1)(layers.concatenate([left, right])))
    model.compile("sgd", "mse")
    start = model.get_weights()
    expected = trained(model, [X[:, :2], X[:, 2:]], Y)
    for x in (
        (X[:, :2], X[:, 2:]),
        {"left": X[:, :2], "right": X[:, 2:]},
        {"right": pd.DataFrame(X[:, 2:]), "left": torch.from_numpy(X[:, :2])},
    ):
        model.set_weights(start)
        model.compile("sgd", "mse")
        assert_same(expected, trained(model, x, Y))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 50])
def test_any_number_of_samples(count):
    model = regressor()
    history = model.fit(X[:count], Y[:count], **QUIET, epochs=2)
    assert history.params["steps"] == -(-count // 16) and np.isfinite(history.history["loss"]).all()
    assert model.predict(X[:count], verbose=0).shape == (count, 1)


def test_a_batch_larger_than_the_data():
    one, other = same_start()
    assert_same(trained(one, X, Y, batch_size=50), trained(other, X, Y, batch_size=10**9))


def test_labels_of_every_whole_type():
    expected = None
    for kind in ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float32"):
        model = classifier()
        model.set_weights([np.ones((4, 3)) * [[0.1, -0.2, 0.3]], np.zeros(3)])
        history, _ = trained(model, X, LABELS.astype(kind))
        expected = expected or history
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)


def test_yes_and_no_as_booleans():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(X, X[:, 0] > 0, **QUIET)
    assert model.evaluate(X, (X[:, :1] > 0), verbose=0, return_dict=True)["accuracy"] > 0


# --- what comes back --------------------------------------------------------------------------


def test_history_holds_one_float_per_epoch():
    history = regressor().fit(X, Y, **QUIET, epochs=3, validation_split=0.2)
    assert isinstance(history, keras.callbacks.History)
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert all(len(values) == 3 and {type(value) for value in values} == {float} for values in history.history.values())
    assert history.epoch == [0, 1, 2] and history.model is not None


def test_evaluate_returns_a_number_a_list_or_a_dict():
    model = regressor()
    found = model.evaluate(X, Y, verbose=0)
    assert [type(value) for value in found] == [float, float]
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == dict(zip(["loss", "mae"], found))
    model = regressor(metrics=None)
    assert type(model.evaluate(X, Y, verbose=0)) is float
    assert list(model.evaluate(X, Y, verbose=0, return_dict=True)) == ["loss"]


def test_evaluate_does_not_depend_on_the_batch_size():
    model = regressor()
    for size in (1, 7, 50, 999):
        assert model.evaluate(X, Y, batch_size=size, verbose=0) == pytest.approx(
            model.evaluate(X, Y, verbose=0), rel=1e-5
        )


def test_predict_returns_arrays_in_the_models_structure():
    inputs = keras.Input((4,))
    out = {"b": [inputs * 2.0, inputs[:, 0]], "a": (inputs.sum(-1, keepdim=True),)}
    found = keras.Model(inputs, out).predict(X, batch_size=16, verbose=0)
    assert type(found["a"]) is tuple and found["b"][1].shape == (50,)
    np.testing.assert_allclose(found["b"][0], 2 * X)
    assert all(type(leaf) is np.ndarray for leaf in (*found["a"], *found["b"]))


def test_evaluating_and_predicting_change_nothing():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, Y, **QUIET)
    before, steps = model.get_weights(), int(model.optimizer.iterations)
    model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0), model.test_on_batch(X, Y), model.predict_on_batch(X)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    assert int(model.optimizer.iterations) == steps
    assert not model.training


def test_one_batch_at_a_time_is_what_fit_does():
    one, other = same_start()
    history, weights = trained(one, X, Y, batch_size=50)
    assert other.train_on_batch(X, Y, return_dict=True) == {name: values[0] for name, values in history.items()}
    assert all(np.array_equal(a, b) for a, b in zip(weights, other.get_weights()))
    assert other.test_on_batch(X, Y) == one.evaluate(X, Y, batch_size=50, verbose=0)
    np.testing.assert_array_equal(other.predict_on_batch(X), one.predict(X, batch_size=50, verbose=0))
    assert isinstance(other.train_on_batch(X[:1], Y[:1]), list)


def test_metrics_on_batches_begin_anew_each_time():
    model = regressor()
    assert model.test_on_batch(X[:10], Y[:10]) == model.test_on_batch(X[:10], Y[:10])


# --- epochs and steps ---------------------------------------------------------------------------


def counted(model):
    """Return the list that the number of steps of each epoch goes into, and the callback that puts them there."""
    steps = []

    class Count(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            steps.append(0)

        def on_train_batch_end(self, batch, logs=None):
            steps[-1] += 1

    return steps, Count()


def test_steps_per_epoch():
    model = regressor()
    steps, count = counted(model)
    model.fit(X, Y, **QUIET, epochs=4, steps_per_epoch=2, callbacks=[count])
    assert steps == [2, 2, 2, 2] and int(model.optimizer.iterations) == 8


def test_initial_epoch():
    model = regressor()
    history = model.fit(X, Y, **QUIET, initial_epoch=2, epochs=5)
    assert history.epoch == [2, 3, 4]
    assert model.fit(X, Y, **QUIET, initial_epoch=5, epochs=5).history == {}
    assert regressor().fit(X, Y, **QUIET, epochs=0).history == {}


def test_a_generator_that_ends_early_ends_training_with_a_warning():
    model = regressor()
    steps, count = counted(model)
    with pytest.warns(keras.UncrumpleWarning, match="The data handed out no batch for this epoch"):
        history = model.fit(batches(), epochs=3, verbose=0, callbacks=[count])
    assert steps == [4, 0] and len(history.history["loss"]) == 1
    assert not model.training


def test_a_generator_that_ends_within_an_epoch():
    model = regressor()
    steps, count = counted(model)
    with pytest.warns(keras.UncrumpleWarning, match="The data ran out after 1 of 3 steps of this epoch"):
        history = model.fit(batches(), epochs=5, steps_per_epoch=3, verbose=0, callbacks=[count])
    assert steps[:2] == [3, 1] and len(history.history["loss"]) == 2
    assert all(value > 0 for value in history.history["loss"])


def test_a_validation_generator_that_ends_leaves_no_made_up_numbers():
    model = regressor()
    with pytest.warns(keras.UncrumpleWarning, match="no batch for this epoch"):
        history = model.fit(X, Y, **QUIET, epochs=2, validation_data=batches()).history
    assert len(history["loss"]) == 2 and len(history["val_loss"]) == 1


def test_a_generator_is_asked_for_no_batch_in_vain():
    asked = []

    def endless():
        while True:
            asked.append(len(asked))
            yield X[:5], Y[:5]

    regressor().fit(endless(), steps_per_epoch=3, epochs=2, verbose=0)
    assert len(asked) == 6


def test_every_batch_of_a_one_way_stream_is_seen():
    class Watch(keras.Model):
        def train_step(self, data):
            self.seen += data[0][:, 0].tolist()
            return super().train_step(data)

    inputs = keras.Input((4,))
    model = Watch(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    model.seen = []
    model.fit(DataLoader(Once(), batch_size=8), verbose=0)
    assert model.seen == X[:, 0].tolist()


def test_an_empty_source():
    for source in (iter(()), DataLoader(Pairs(X[:0], Y[:0]), batch_size=4)):
        with pytest.raises(ValueError) as raised:
            regressor().fit(source, verbose=0)
        assert explained(raised, "no batch")


def test_validation_frequency():
    for freq, wanted in ((2, 2), ([1, 5], 2), (range(1, 4), 3), (9, 0)):
        history = regressor().fit(X, Y, **QUIET, epochs=5, validation_split=0.2, validation_freq=freq).history
        assert len(history.get("val_loss", [])) == wanted


def test_validation_split_takes_the_last_samples():
    one, other = same_start()
    assert_same(
        trained(one, X, Y, validation_split=0.2), trained(other, X[:40], Y[:40], validation_data=(X[40:], Y[40:]))
    )


def test_validation_data_of_every_kind():
    loader = DataLoader(Pairs(X[40:], Y[40:]), batch_size=16)
    expected = None
    for data in ((X[40:], Y[40:]), [X[40:], Y[40:]], loader, (pd.DataFrame(X[40:]), Y[40:]), Pairs(X[40:], Y[40:])):
        one = regressor()
        one.set_weights([np.full(w.shape, 0.1) for w in one.get_weights()])
        history, _ = trained(one, X[:40], Y[:40], validation_data=data, epochs=2)
        expected = expected or history
        assert history == expected


def test_validation_steps_begin_with_the_first_batch_every_time():
    model = regressor(optimizer=keras.optimizers.SGD(0.0))
    history = model.fit(
        X, Y, **QUIET, epochs=3, validation_data=(X, Y), validation_batch_size=10, validation_steps=2
    ).history
    assert len(set(history["val_loss"])) == 1
    assert history["val_loss"][0] == pytest.approx(model.evaluate(X[:20], Y[:20], verbose=0)[0], rel=1e-5)


def test_steps_for_evaluate_and_predict():
    model = regressor()
    assert model.evaluate(X, Y, batch_size=10, steps=2, verbose=0) == pytest.approx(
        model.evaluate(X[:20], Y[:20], verbose=0)
    )
    assert model.predict(X, batch_size=10, steps=3, verbose=0).shape == (30, 1)


# --- the same again --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits():
    def run():
        keras.utils.set_random_seed(123)
        model = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dropout(0.3), layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(X, Y, epochs=3, batch_size=8, verbose=0, validation_split=0.2).history
        return history, model.get_weights()

    first, second = run(), run()
    assert_same(first, second)
    keras.utils.set_random_seed(124)
    model = keras.Sequential([layers.Dense(8), layers.Dense(1)])
    model(X)
    assert not np.array_equal(model.get_weights()[0], first[1][0])


def test_the_same_bits_in_another_process():
    program = """
import hashlib, numpy as np, torch, uncrumple as keras
torch.set_num_threads(1)
keras.utils.set_random_seed(3)
x = np.random.normal(size=(40, 4)).astype("float32")
a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
joined = keras.layers.concatenate([keras.layers.Dense(5)(a), keras.layers.Dropout(0.5)(b)])
model = keras.Model({"a": a, "b": b}, {"p": keras.layers.Dense(1)(joined), "q": keras.layers.Dense(2)(joined)})
model.compile("adam", {"p": "mse", "q": "mae"})
model.fit({"a": x, "b": -x}, {"p": x[:, :1], "q": x[:, :2]}, epochs=2, verbose=0)
print(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""
    found = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] and len(found[0]) == 65


def test_looking_at_the_data_first_draws_no_random_numbers():
    """Whether a model was built before, or checked before, must not change what dropout draws."""

    def run(build_first):
        keras.utils.set_random_seed(5)
        inputs = keras.Input((4,))
        model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.5)(inputs)))
        model.compile("sgd", "mse")
        if build_first:
            model(torch.from_numpy(X)), model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0)
        return trained(model, X, Y)

    assert_same(run(False), run(True))


def test_samples_are_drawn_in_a_new_order_each_epoch():
    class Watch(keras.Model):
        def train_step(self, data):
            self.seen += data[0][:, 0].tolist()
            return super().train_step(data)

    inputs = keras.Input((1,))
    model = Watch(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    numbers = np.arange(40, dtype="float32")[:, None]
    model.seen = []
    model.fit(numbers, numbers / 40, epochs=2, batch_size=7, verbose=0)
    first, second = model.seen[:40], model.seen[40:]
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second and first != list(range(40))


def test_fit_from_another_thread():
    one, other = same_start()
    expected = trained(one, X, Y, epochs=2)
    found = []
    thread = threading.Thread(target=lambda: found.append(trained(other, X, Y, epochs=2)))
    thread.start()
    thread.join()
    assert_same(expected, found[0])


def test_two_threads_with_penalties_do_not_mix():
    def make():
        model = keras.Sequential([keras.Input((4,)), layers.Dense(8, activity_regularizer="l2"), layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        return model

    one = make()
    twins = [make() for _ in range(3)]
    for twin in twins:
        twin.set_weights(one.get_weights())
    expected = trained(one, X, Y, epochs=5)
    found = []
    threads = [threading.Thread(target=lambda m=twin: found.append(trained(m, X, Y, epochs=5))) for twin in twins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for one in found:
        assert_same(expected, one)


# --- precision ------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float64"])
def test_policies(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = regressor()
        history = model.fit(X, Y, **QUIET, epochs=8).history["loss"]
        weight_type = torch.float32 if policy.startswith("mixed") else getattr(torch, policy)
        assert {weight.dtype for weight in model.weights} == {weight_type}
        assert history[-1] < history[0]
        out = model.predict(X, verbose=0)
        assert out.dtype == {"mixed_float16": "float16", "float64": "float64"}.get(policy, "float32")
        assert hasattr(model.optimizer, "dynamic_scale") is (policy == "mixed_float16")
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_mixed_precision_trains_nearly_like_float32():
    losses = {}
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(8, activation="tanh", dtype=policy), layers.Dense(1, dtype="float32")]
        )
        model.compile(keras.optimizers.Adam(0.02), "mse")
        losses[policy] = model.fit(X, Y, **QUIET, epochs=20).history["loss"][-1]
    assert losses["mixed_bfloat16"] == pytest.approx(losses["float32"], rel=0.1)
    assert losses["mixed_float16"] == pytest.approx(losses["float32"], rel=0.02)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"batch_size": 0}, "fit got batch_size=0.\nExpected a whole number of at least 1.\nFix: batch_size=32"),
        ({"batch_size": 2.5}, "fit got batch_size=2.5."),
        ({"batch_size": True}, "fit got batch_size=True."),
        ({"epochs": -1}, "fit got epochs=-1.\nExpected a whole number of at least 0.\nFix: epochs=10"),
        ({"epochs": 2.0}, "fit got epochs=2.0."),
        ({"initial_epoch": -2}, "fit got initial_epoch=-2."),
        ({"steps_per_epoch": 0}, "fit got steps_per_epoch=0."),
        ({"validation_split": 1.0}, "fit got validation_split=1.0."),
        ({"validation_split": 20}, "less than 1.\nFix: validation_split=0.2"),
        (
            {"validation_split": 0.999},
            "validation_split=0.999 of 50 samples leaves 0 for training and 50 for validation.",
        ),
        ({"verbose": 3}, "fit got verbose=3."),
        ({"validation_freq": 0}, "fit got validation_freq=0."),
        ({"validation_data": (X, Y, Y, Y)}, "validation_data has 4 parts."),
        ({"sample_weight": np.ones(7)}, "x has 50 samples and sample_weight has 7."),
        ({"sample_weight": -np.ones(50)}, "sample_weight holds -1"),
        ({"class_weight": {0: 1.0}, "sample_weight": np.ones(50)}, "fit got both class_weight and sample_weight."),
        ({"class_weight": {"cat": 1.0}}, "class_weight has the key 'cat', a str."),
    ],
    ids=str,
)
def test_impossible_arguments(given, words):
    model = regressor()
    before = model.get_weights()
    with pytest.raises(ValueError) as raised:
        model.fit(X, Y, **{**QUIET, **given})
    assert words in message(raised)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_arguments_that_do_not_exist():
    model = regressor()
    for method in ("fit", "evaluate", "predict"):
        with pytest.raises(TypeError, match="bach_size"):
            getattr(model, method)(X, bach_size=3)


def test_targets_and_batch_size_with_a_loader():
    loader = DataLoader(Pairs(X, Y), batch_size=16)
    with pytest.raises(ValueError, match="y was given together with a DataLoader"):
        regressor().fit(loader, Y, verbose=0)
    with pytest.raises(ValueError, match="batch_size=8 was given with a DataLoader, which makes its own batches"):
        regressor().fit(loader, batch_size=8, verbose=0)
    with pytest.raises(ValueError, match=r"validation_split=0\.2 was given with a DataLoader"):
        regressor().fit(loader, validation_split=0.2, verbose=0)


def test_a_tuple_with_too_many_parts():
    with pytest.raises(ValueError, match=r"handed out a tuple of 4 parts"):
        regressor().fit(iter([(X, Y, Y, Y)]), verbose=0)


def test_lengths_that_differ():
    with pytest.raises(ValueError, match=r"x has 50 samples and y has 49\.\nExpected .*\nFix: "):
        regressor().fit(X, Y[:49], **QUIET)


def test_no_targets():
    with pytest.raises(ValueError, match="No targets came with x, and the model was compiled with a loss"):
        regressor().fit(X, **QUIET)


def test_no_samples_and_single_numbers():
    with pytest.raises(ValueError, match=r"x holds no samples: its shape is \(0, 4\)"):
        regressor().fit(X[:0], Y[:0], **QUIET)
    with pytest.raises(ValueError, match="x is a single number"):
        regressor().predict(np.float32(3.0), verbose=0)
    with pytest.raises(ValueError, match="x is None"):
        regressor().fit(verbose=0)


def test_not_a_number():
    x = X.copy()
    x[7, 2] = np.nan
    model = regressor()
    with pytest.raises(ValueError, match=r"x holds NaN (at|in) row 7, column 2"):
        model.fit(x, Y, **QUIET)
    with pytest.raises(ValueError, match="validation x holds NaN"):
        model.fit(X, Y, **QUIET, validation_data=(x, Y))


def test_words_instead_of_numbers():
    with pytest.raises(ValueError, match="Expected numbers"):
        classifier().fit(X, np.array(["cat", "dog"] * 25), **QUIET)
    with pytest.raises(ValueError, match="column 'b'"):
        regressor().fit(pd.DataFrame({"a": X[:, 0], "b": ["u"] * 50}), Y, **QUIET)


def test_a_loss_that_lost_the_gradient():
    def lost(y_true, y_pred):
        return torch.from_numpy((y_true - y_pred).detach().numpy() ** 2)

    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd", lost)
    with pytest.raises(ValueError, match=r"gradient[^\n]*\nExpected .*\nFix: no .*argmax"):
        model.fit(X, Y, **QUIET)


def test_frozen_after_compile():
    model = regressor()
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()
    with pytest.warns(keras.UncrumpleWarning) as warned:
        model.fit(X, Y, **QUIET)
    assert str(warned[0].message) == (
        f"trainable was changed after compile(): '{model.layers[0].name}' is frozen now.\n"
        "Expected compile() after it; the optimizer trains what was trainable when it was first used.\n"
        "Fix: model.compile(...) again, then fit"
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, model.layers[0].get_weights()))


def test_everything_frozen():
    model = regressor()
    model.trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.warns(keras.UncrumpleWarning, match="has no weights to train"):
        model.fit(X, Y, **QUIET)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
