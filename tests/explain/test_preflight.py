"""`preflight`: what it finds before training, and that it puts everything back."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.explain.keeping import untouched
from uncrumple.layers import LSTM, BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, Lambda


@pytest.fixture(autouse=True)
def _seeded():
    uc.utils.set_random_seed(4)


def cloud(rows=300, features=8, kinds=3):
    source = np.random.default_rng(1)
    y = source.integers(kinds, size=rows)
    x = source.normal(size=(kinds, features))[y] * 1.5 + source.normal(size=(rows, features))
    return x.astype("float32"), y


def network(*layers, loss="sparse_categorical_crossentropy", optimizer="adam", shape=(8,)):
    model = uc.Sequential([Input(shape), *layers])
    model.compile(optimizer if not isinstance(optimizer, str) else uc.optimizers.Adam(0.003), loss)
    return model


def healthy():
    return network(Dense(32, activation="relu"), Dropout(0.2), Dense(3, activation="softmax"))


def found(model, data=None):
    return {one.name: one for one in uc.preflight(model, data or cloud()).findings}


def test_one_line_when_all_is_well():
    report = uc.preflight(healthy(), cloud())
    assert report.ok and list(report) == [] and bool(report)
    text = str(report)
    assert text.startswith("preflight: all well in 11 checks, 2 did not apply or could not run (model 'sequential")
    assert "\n" not in text
    ticks = report.ticks()
    assert ticks[0] == "  ✓ fit() takes the model and the data"
    assert "  – targets are within reach: not checked, the answers are classes" in ticks
    assert "  – gradients are not lost in half precision: not checked, nothing is computed in half precision" in ticks
    assert report.to_text().endswith("A tick is not a proof: these are the defects that were looked for.")


def test_findings_have_a_cross_and_are_data():
    with _no_warning():
        report = uc.preflight(network(Dense(32, activation="relu"), Dense(3, name="answer")), cloud())
    (one,) = [entry for entry in report.findings if entry.name == "loss-and-activation"]
    assert one.layer == "Dense 'answer'"
    assert "  ✗ loss and last activation go together" in report.ticks()
    data = json.loads(report.to_json())
    assert data["findings"][0]["name"] == report.findings[0].name
    assert {"name", "why"} == set(data["not_run"][0])


class _no_warning:
    """What `fit` would warn about is in the report."""

    def __enter__(self):
        import warnings

        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.simplefilter("error", uc.UncrumpleWarning)

    def __exit__(self, *_):
        self.caught.__exit__(*_)


def state_of(model):
    optimizer = [np.asarray(variable.numpy()) for variable in model.optimizer.variables]
    metrics = [float(model._loss_tracker.total), model._loss_tracker._counted]
    return [
        *model.get_weights(),
        *optimizer,
        np.array(metrics),
        torch.get_rng_state().numpy(),
        np.random.get_state()[1],
        np.array(random.getstate()[1]),
    ]


@pytest.mark.parametrize("break_it", [False, True], ids=["as usual", "with an exception"])
def test_everything_is_put_back(break_it, monkeypatch):
    model = network(
        Dense(16, activation="relu"), BatchNormalization(), Dropout(0.5, seed=3), Dense(3, activation="softmax")
    )
    x, y = cloud()
    model.fit(x, y, epochs=2, verbose=0)
    model.train()
    before, modes = copy.deepcopy(state_of(model)), [module.training for module in model.modules()]
    if break_it:
        from uncrumple.explain.flight import trials as preflight_trials

        def fail(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(preflight_trials, "cannot_learn", fail)
        monkeypatch.setattr(preflight_trials, "LEARNED", 0.0)
        monkeypatch.setattr(preflight_trials, "rate_instead", fail)
        with pytest.raises(KeyboardInterrupt):
            uc.preflight(model, (x, y))
    else:
        uc.preflight(model, (x, y))
    after = state_of(model)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert modes == [module.training for module in model.modules()]
    assert all(weight.grad is None or torch.isfinite(weight.grad).all() for weight in model.parameters())


def test_fit_afterwards_gives_what_it_would_have_given():
    def run(look):
        uc.utils.set_random_seed(9)
        model = uc.Sequential([Dense(16, activation="relu"), Dropout(0.3), Dense(3, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        if look:
            uc.preflight(model, cloud())
        return model.fit(*cloud(), epochs=2, verbose=0).history

    assert run(True) == run(False)


def test_layers_that_keep_states_are_put_back():
    model = uc.Sequential([Input(batch_shape=(4, 5, 2)), LSTM(3, stateful=True), Dense(1)])
    model.compile("adam", "mse")
    x = torch.randn(8, 5, 2)
    model.predict(x, batch_size=4, verbose=0)
    kept = [state.clone() for state in model.layers[0].states]
    with untouched(model):
        model.predict(x, batch_size=4, verbose=0)
        assert not torch.equal(kept[0], model.layers[0].states[0])
    assert all(torch.equal(one, other) for one, other in zip(kept, model.layers[0].states))


def test_samples_that_see_each_other():
    centred = Lambda(lambda x: x - x.mean(0, keepdim=True), name="centred")
    one = found(network(Dense(16, activation="relu"), centred, Dense(3, activation="softmax")))["mixed-samples"]
    assert one.layer == "Lambda 'centred'"
    assert "mixed-samples" not in found(network(Dense(16), BatchNormalization(), Dense(3, activation="softmax")))


def test_rates_too_high_and_too_low():
    layers = lambda: (Dense(32, activation="relu"), Dense(3, activation="softmax"))  # noqa: E731
    assert "learning-rate-low" in found(network(*layers(), optimizer=uc.optimizers.SGD(1e-6)))
    assert "learning-rate-high" in found(network(*layers(), optimizer=uc.optimizers.SGD(300.0)))


def test_units_that_begin_alike():
    same = Dense(16, activation="tanh", kernel_initializer=uc.initializers.Constant(0.1), name="same")
    last = Dense(3, activation="softmax", kernel_initializer=uc.initializers.Constant(0.1))
    assert found(network(same, last))["identical-units"].layer == "Dense 'same'"


def test_a_last_layer_of_zeros_is_fine():
    model = network(Dense(32, activation="relu"), Dense(3, activation="softmax", kernel_initializer="zeros"))
    report = uc.preflight(model, cloud())
    assert report.ok
    assert "starts with zeros" in next(one.why for one in report.not_run if one.name == "gradients")


def test_what_fit_refuses_is_a_finding():
    x, _ = cloud()
    report = uc.preflight(healthy(), (x, np.full(len(x), 7)))
    (one,) = report.findings
    assert one.name == "model-and-data" and "7" in one.seen
    assert len(report.not_run) == 12


def test_a_picture_a_sequence_a_regression():
    source = np.random.default_rng(2)
    pictures = source.random((200, 8, 8, 1)).astype("float32")
    bright = (pictures[:, :4].mean((1, 2, 3)) > pictures[:, 4:].mean((1, 2, 3))).astype(int)
    cnn = network(Conv2D(8, 3, activation="relu"), Flatten(), Dense(2, activation="softmax"), shape=(8, 8, 1))
    assert found(cnn, (pictures, bright)) == {}
    steps = source.normal(size=(200, 6, 2)).astype("float32")
    rnn = network(LSTM(16), Dense(1), loss="mse", optimizer=uc.optimizers.Adam(0.01), shape=(6, 2))
    assert found(rnn, (steps, steps.sum((1, 2))[:, None] / 4)) == {}


def test_a_wrapped_torch_module_and_a_class_of_ones_own():
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3), torch.nn.Softmax(-1))
    wrapped = network(uc.from_torch(module), loss=uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert found(wrapped)["loss-and-activation"].layer

    class Net(uc.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.answer = Dense(32, activation="relu"), Dense(3, activation="softmax")

        def call(self, inputs):
            return self.answer(self.hidden(inputs))

    net = Net()
    net.compile(uc.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    assert found(net) == {}


def test_a_model_from_a_file(tmp_path):
    model = healthy()
    model.save(tmp_path / "model.keras")
    assert found(uc.saving.load_model(tmp_path / "model.keras")) == {}


def test_tables_and_their_parts():
    x, y = cloud()
    table = uc.data.Table(
        {f"c{place}": column for place, column in enumerate(x.T)} | {"kind": y.astype(str)}, target="kind"
    )
    parts = uc.data.split(table)
    preparation = table.preparation(parts.rows.train)
    inputs = preparation.inputs()
    hidden = Dense(32, activation="relu")(preparation(inputs))
    model = uc.Model(inputs, Dense(3, activation="softmax")(hidden))
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    report = uc.preflight(model, parts)
    assert report.ok, report.to_text()
    assert f"{len(parts.train)} samples" in report.described


def test_float16_gradients_that_are_lost():
    half = {"dtype": "mixed_float16"}
    model = uc.Sequential(
        [Input((8,)), Dense(32, activation="relu", **half), Dense(3, activation="softmax", dtype="float32")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", loss_weights=[1e-6], auto_scale_loss=False)
    assert "underflow" in found(model)


def test_what_cannot_be_is_refused():
    with pytest.raises(TypeError) as caught:
        uc.preflight(torch.nn.Linear(2, 1), cloud())
    assert str(caught.value).startswith("preflight got a Linear as its model.\nExpected a compiled model")
    with pytest.raises(ValueError, match=r"preflight\(\) was called before compile\(\)"):
        uc.preflight(uc.Sequential([Dense(1)]), cloud())
    with pytest.raises(ValueError, match="preflight got seconds=0"):
        uc.preflight(healthy(), cloud(), seconds=0)


def test_little_time_is_kept_to():
    report = uc.preflight(healthy(), cloud(), seconds=0.001)
    reasons = {one.name: one.why for one in report.not_run}
    assert "steps were done in" in reasons["one batch"]


def test_generators_are_not_used_up():
    x, y = cloud()

    def batches():
        for start in range(0, 96, 32):
            yield x[start : start + 32], y[start : start + 32]

    report = uc.preflight(healthy(), batches())
    assert "generator" in next(one.why for one in report.not_run if one.name == "one batch")
