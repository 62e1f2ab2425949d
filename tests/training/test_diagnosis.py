"""What `fit(diagnose=True)` finds, where, and that without defects it says nothing and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.layers import Activation, BatchNormalization, Dense, Dropout, Input, Lambda
from uncrumple.training.diagnosis import Diagnosis, Finding, curves, said
from uncrumple.training.diagnosis.labels import Baseline, baseline, shuffled


@pytest.fixture(autouse=True)
def _seeded():
    uc.utils.set_random_seed(3)


def cloud(rows=320, features=8, kinds=3):
    random = np.random.default_rng(1)
    y = random.integers(kinds, size=rows)
    x = random.normal(size=(kinds, features))[y] * 1.5 + random.normal(size=(rows, features))
    return x.astype("float32"), y


def trained(layers, loss="sparse_categorical_crossentropy", optimizer=None, data=None, **settings):
    x, y = data or cloud()
    model = uc.Sequential([Input(x.shape[1:]), *layers])
    model.compile(optimizer or uc.optimizers.Adam(0.003), loss)
    return model.fit(x, y, **{"epochs": 3, "verbose": 0, "diagnose": True} | settings)


def names(history):
    return [one.name for one in history.findings]


def test_nothing_is_said_of_a_healthy_network():
    history = trained([Dense(32, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")], epochs=6)
    assert history.findings == []


def test_without_it_there_are_no_findings_and_no_callback():
    history = trained([Dense(3, activation="softmax")], diagnose=False)
    assert history.findings == []


@pytest.mark.parametrize("deeper", [False, True], ids=["native", "ordinary"])
def test_it_changes_no_number(deeper):
    def run(diagnose):
        uc.utils.set_random_seed(5)
        middle = [BatchNormalization()] if deeper else []
        layers = [Dense(16, activation="relu"), *middle, Dropout(0.3), Dense(3, activation="softmax")]
        x, y = cloud()
        model = uc.Sequential([Input((8,)), *layers])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=3, validation_split=0.2, verbose=0, diagnose=diagnose)
        return history.history, model.get_weights(), torch.rand(3)

    (losses, weights, drawn), (other_losses, other_weights, other_drawn) = run(False), run(True)
    assert losses == other_losses
    assert all(np.array_equal(one, other) for one, other in zip(weights, other_weights))
    assert torch.equal(drawn, other_drawn)


def test_small_dense_networks_still_train_by_native_epochs(monkeypatch):
    from uncrumple.training import native_epochs

    calls = []
    run = native_epochs.PlannedEpochs.run
    monkeypatch.setattr(native_epochs.PlannedEpochs, "run", lambda self: calls.append(1) or run(self))
    history = trained([Dense(16, activation="relu"), Dense(3, activation="softmax")])
    if not calls:
        pytest.skip("there are no native kernels here")
    assert len(calls) == 3 and history.findings == []


def test_eight_sigmoid_layers():
    hidden = [Dense(16, activation="sigmoid", name=f"deep_{place}") for place in range(8)]
    history = trained([*hidden, Dense(3, activation="softmax")], optimizer="adam", epochs=6, batch_size=8)
    first, *others = history.findings
    assert (first.name, first.layer, first.step) == ("vanishing-gradients", "Dense 'deep_0'", None)
    assert first.number < first.limit == 0.01
    assert "he_normal" in first.try_this
    (stuck,) = [one for one in others if one.name == "not-learning"]
    assert stuck.layer == "Dense 'deep_0'" and stuck.step >= 199
    assert stuck.why == "Most likely because of vanishing-gradients (Dense 'deep_0'), found before."


def test_dead_units_are_counted_and_named():
    dead = Dense(16, activation="relu", bias_initializer=uc.initializers.Constant(-50.0), name="dead")
    history = trained([Dense(16), dead, Dense(3, activation="softmax")])
    one = next(one for one in history.findings if one.name == "dead-units")
    assert (one.layer, one.number) == ("Dense 'dead'", 1.0)
    assert one.seen == "16 of 16 units of Dense 'dead' are 0 for all of 64 samples."


def test_saturated_units():
    stuck = Dense(16, activation="tanh", kernel_initializer=uc.initializers.RandomNormal(0, 9.0), name="stuck")
    history = trained([stuck, Dense(3, activation="softmax")])
    assert ("saturated-units", "Dense 'stuck'") in [(one.name, one.layer) for one in history.findings]


def test_a_rate_that_is_too_high():
    history = trained([Dense(16, activation="relu"), BatchNormalization(), Dense(3)], "mse", uc.optimizers.SGD(50.0),
                      (cloud()[0], np.eye(3, dtype="float32")[cloud()[1]]))  # fmt: skip
    one = next(one for one in history.findings if one.name == "learning-rate-high")
    assert one.step is not None and one.step <= 16 and one.epoch == 0
    assert one.try_this == "learning_rate=5 in place of 50"


def test_a_rate_that_is_too_low():
    history = trained([Dense(16, activation="relu"), Dense(3, activation="softmax")], optimizer=uc.optimizers.SGD(1e-7),
                      epochs=8)  # fmt: skip
    assert "learning-rate-low" in names(history)


def test_logits_where_probabilities_are_wanted():
    with pytest.warns(uc.UncrumpleWarning):
        history = trained([Dense(16, activation="relu"), Dense(3, name="answer")])
    one = history.findings[0]
    assert (one.name, one.layer) == ("loss-and-activation", "Dense 'answer'")
    assert (
        one.seen == "Dense 'answer' ends with no activation, and sparse_categorical_crossentropy takes probabilities."
    )


def test_unscaled_inputs_but_not_behind_a_layer_that_scales():
    x, y = cloud()
    data = (x * 300 + 500, y)
    plain = trained([Dense(16, activation="relu"), Dense(3, activation="softmax")], data=data)
    scaling = uc.layers.Normalization()
    scaling.adapt(data[0])
    scaled = trained([scaling, Dense(16, activation="relu"), Dense(3, activation="softmax")], data=data)
    assert "unscaled-inputs" in names(plain) and names(scaled) == []


def test_nan_names_the_layer_and_what_it_was_given(capsys):
    class Tricky(uc.layers.Layer):
        def call(self, inputs):
            return torch.sqrt(inputs * (inputs > 0))  # finite, with a slope at 0 that is not

    history = trained(
        [Dense(8, name="before"), Tricky(name="root"), Dense(3, activation="softmax")], epochs=1, verbose=2
    )
    one = next(one for one in history.findings if one.name == "nan")
    assert one.layer == "Dense 'before'" and "the gradient of" in one.seen
    assert "ERROR nan: Dense 'before'" in capsys.readouterr().out


def test_nan_in_the_midst_of_training_has_a_step():
    x, y = cloud()
    broken = x.copy()
    broken[7] = np.nan

    def batches():
        for step in range(10):
            rows = broken if step == 6 else x
            yield rows[:32], y[:32]

    model = uc.Sequential([Input((8,)), Dense(8, activation="gelu"), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(batches(), steps_per_epoch=10, epochs=1, verbose=0, diagnose=True)
    one = next(one for one in history.findings if one.name == "nan")
    assert (one.step, one.epoch) == (6, 0)
    assert one.seen == "1 of 32 samples of the batch hold NaN or infinity."


def test_outputs_that_ignore_inputs_name_the_layer():
    nothing = Lambda(lambda x: x * 0, name="nothing")
    history = trained([Dense(16, activation="relu"), nothing, Dense(3, activation="softmax")])
    one = next(one for one in history.findings if one.name == "ignored-inputs")
    assert one.layer == "Lambda 'nothing'"


def test_shuffled_labels_need_a_validation_part():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(120, 8)).astype("float32"), random.integers(3, size=120)
    held = random.normal(size=(100, 8)).astype("float32"), random.integers(3, size=100)
    layers = [Dense(128, activation="relu"), Dense(64, activation="relu"), Dense(3, activation="softmax")]
    history = trained(layers, data=(x, y), validation_data=held, epochs=40)
    assert "shuffled-labels" in names(history) and "overfitting" not in names(history)


def test_overfitting_and_when_it_began():
    losses = [1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1]
    held = [1.0, 0.8, 0.7, 0.8, 0.9, 1.0, 1.1]
    (one,) = curves.overfits(losses, held, 0.05)
    assert one.details["began"] == 2 and "Since epoch 3 the validation loss has risen from 0.7 to 1.1" in one.seen
    assert curves.overfits(losses, held, 0.2) == []  # may be chance
    assert curves.overfits(losses, held, 0.05, Baseline(20.0, 20.0, False)) == []  # next to nothing
    assert curves.overfits([1.0] * 7, held, 0.05) == []  # the training loss does not fall
    assert curves.overfits(losses, [0.9 - 0.01 * step for step in range(7)], 0.001) == []


@pytest.mark.parametrize("back", [True, False])
def test_overfitting_is_no_harm_where_the_best_weights_are_taken_back(back, capsys):
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 20)).astype("float32")
    y = (x[:, 0] + 0.7 * random.normal(size=200) > 0).astype("int64")
    model = uc.Sequential([Input((20,)), Dense(64, activation="relu"), Dense(2, activation="softmax")])
    model.compile(uc.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    stop = uc.callbacks.EarlyStopping(patience=25, restore_best_weights=back)
    history = model.fit(
        x, y, validation_split=0.5, epochs=30, batch_size=10, verbose=2, diagnose=True, callbacks=[stop]
    )
    (one,) = [one for one in history.findings if one.name == "overfitting"]
    assert one.severity == ("note" if back else "warning")
    assert ("overfitting" in capsys.readouterr().out) is not back


def test_a_plateau_far_from_the_goal():
    base = Baseline(1.0, 1.0, True)
    assert [one.name for one in curves.plateau([1.0] + [0.9] * 11, base)] == ["plateau"]
    assert curves.plateau([1.0] + [0.1] * 11, base) == []
    assert curves.plateau([0.98**step for step in range(20)], base) == []


def test_what_a_constant_answer_costs():
    x, y = cloud()
    model = uc.Sequential([Input((8,)), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.evaluate(x, y, verbose=0)
    shares = np.bincount(y) / len(y)
    found = baseline(model, torch.as_tensor(y), model(torch.as_tensor(x)))
    assert found.best == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-5)
    assert found.even == pytest.approx(np.log(3))


def test_shuffled_is_silent_when_validation_was_better_than_a_constant_once():
    base = Baseline(1.0, 1.0, True)
    assert shuffled([0.9, 0.6, 0.3], [1.1, 1.2, 1.3], base, base)
    assert not shuffled([0.9, 0.6, 0.3], [0.9, 1.2, 1.3], base, base)
    assert not shuffled([0.9, 0.95, 0.9], [1.1, 1.2, 1.3], base, base)


def test_each_thing_is_said_once():
    layers = [Dense(16), Activation("relu"), Dense(3)]
    with pytest.warns(uc.UncrumpleWarning):
        found = names(trained(layers, epochs=12))
    assert found.count("loss-and-activation") == 1
    assert len(found) == len(set(found))


def test_a_quiet_end_is_one_line(capsys):
    trained([Dense(16, activation="relu"), Dense(3, activation="softmax")], verbose=2)
    last = capsys.readouterr().out.strip().split("\n")[-1]
    assert last.startswith("diagnose: nothing found in 30 steps; looked ")


def test_looks_stay_within_their_share_of_the_time():
    model = uc.Sequential([Input((8,)), Dense(8), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    now = [0.0]

    def clock():
        now[0] += 0.01  # each look at the clock is ten milliseconds later
        return now[0]

    x, y = cloud()
    model.fit(x, y, epochs=1, verbose=0)
    from uncrumple.data.batches import EndlessEpochs
    from uncrumple.data.from_arguments import make_batches

    diagnosis = Diagnosis(model, EndlessEpochs(make_batches(x, y), None), loud=False, clock=clock)
    model.fit(x, y, epochs=40, verbose=0, callbacks=[diagnosis])
    assert 1 < diagnosis.looks < 40
    assert diagnosis.seconds <= 0.2 + 0.5 * now[0]


def test_a_second_fit_begins_with_no_findings():
    x, y = cloud()
    model = uc.Sequential([Input((8,)), Dense(3, name="answer")])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.warns(uc.UncrumpleWarning):
        assert model.fit(x, y, verbose=0, diagnose=True).findings
    assert model.fit(x, y, verbose=0).findings == []


def test_findings_are_data():
    one = Finding("dead-units", "warning", "Seen.", 0.9, 0.5, "of the units", "Why.", "Try.", layer="Dense 'a'", step=4)
    data = one.to_dict()
    assert (data["layer"], data["step"], data["epoch"], data["number"]) == ("Dense 'a'", 4, None, 0.9)
    other = Finding("nan", "error", "Seen.", 1, 0, "x", "Why.", "Try.", epoch=0)
    assert said([one, other]).startswith("ERROR nan: epoch 1\n")


def test_models_with_a_step_of_their_own_are_watched_by_their_losses():
    class Own(uc.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    x, y = cloud()
    model = Own([Input((8,)), Dense(16, activation="relu"), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    assert model.fit(x, y, epochs=2, verbose=0, diagnose=True).findings == []


def test_two_outputs():
    inputs = Input((8,))
    hidden = Dense(16, activation="relu")(inputs)
    kind, size = Dense(3, activation="softmax", name="kind")(hidden), Dense(1, activation="relu", name="size")(hidden)
    model = uc.Model(inputs, [kind, size])
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"])
    x, y = cloud()
    with pytest.warns(uc.UncrumpleWarning):
        history = model.fit(x, [y, x[:, :1] - 3], verbose=0, diagnose=True)
    assert [(one.name, one.layer) for one in history.findings] == [("loss-and-activation", "Dense 'size'")]
