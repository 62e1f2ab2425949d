"""Training where a GPU is: the same numbers as on the CPU, nothing left behind there, and no waiting in a step.

What can be seen without a GPU is in test_other_devices.py.
"""

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple import layers
from uncrumple.training import recorded_steps

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

random = np.random.default_rng(0)
X = random.normal(size=(64, 8)).astype("float32")
Y = (X.sum(1) > 0).astype("int32")
TOKENS = random.integers(0, 9, (64, 6))
IMAGES = random.random((32, 10, 10, 3)).astype("float32")


def dense():
    return [
        keras.Input((8,)),
        layers.Dense(16, activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.Dense(2),
    ]


def recurrent():
    return [
        keras.Input((6,)),
        layers.Embedding(9, 4, mask_zero=True),
        layers.LSTM(3, return_sequences=True),
        layers.GRU(3),
        layers.Dense(2),
    ]


def convolutional():
    return [
        keras.Input((10, 10, 3)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(2),
    ]


DATA = {dense: (X, Y), recurrent: (TOKENS, Y), convolutional: (IMAGES, Y[:32])}
every = pytest.mark.parametrize("network", DATA, ids=lambda network: network.__name__)


@pytest.fixture(autouse=True)
def true_float32():
    """Let no product be rounded to TF32: the CPU's are not."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def compiled(network, **settings):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(network())
    settings = {"optimizer": "adam", "metrics": ["accuracy"], **settings}
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), **settings)
    return model


def places(model):
    return {weight.device.type for weight in [*model.variables, *model.metrics_variables]}


@every
def test_fit_gives_the_numbers_of_the_cpu(network):
    x, y = DATA[network]
    here, there = compiled(network), compiled(network).to("cuda")
    found = [one.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history for one in (here, there)]
    assert found[1]["loss"] == pytest.approx(found[0]["loss"], rel=1e-3)
    assert there.evaluate(x, y, verbose=0) == pytest.approx(here.evaluate(x, y, verbose=0), rel=1e-2)
    predictions = there.predict(x, verbose=0)
    assert isinstance(predictions, np.ndarray)
    np.testing.assert_allclose(predictions, here.predict(x, verbose=0), rtol=1e-2, atol=1e-3)
    assert places(there) == {"cuda"}


def test_a_model_made_in_the_block_is_there():
    with keras.device("gpu:0"):
        model = compiled(dense)
    model.fit(X, Y, verbose=0)
    assert places(model) == {"cuda"} and isinstance(model.weights[0].numpy(), np.ndarray)
    assert model(X).device.type == "cuda"


def test_a_model_without_weights_goes_there_too():
    model = keras.Sequential([layers.Dense(4), layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.to("cuda")
    model.fit(X, Y, verbose=0)
    assert places(model) == {"cuda"}


def test_weights_that_come_late_are_made_where_the_others_are():
    model = compiled(dense).to("cuda")
    model.layers[0].enable_lora(2)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, verbose=0)
    assert places(model) == {"cuda"}


def test_variables_of_a_metric_that_come_late_do_too():
    metric = keras.metrics.R2Score().to("cuda")
    metric.update_state(torch.ones(3, 1, device="cuda"), torch.zeros(3, 1, device="cuda"))
    assert {variable.device.type for variable in metric.variables} == {"cuda"}


def test_a_file_comes_back_on_the_default_device(tmp_path):
    model = compiled(dense).to("cuda")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras")
    assert {weight.device.type for weight in back.weights} == {"cpu"}
    np.testing.assert_allclose(back.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-3, atol=1e-4)
    model.load_weights(tmp_path / "model.keras")
    assert places(model) == {"cuda"}


def test_an_optimizer_follows_its_model():
    model = compiled(dense)
    model.fit(X, Y, verbose=0)
    model.to("cuda").fit(X, Y, verbose=0)
    assert {slot.device.type for slots in model.optimizer.state.values() for slot in slots.values()} == {"cuda"}
    model.to("cpu").fit(X, Y, verbose=0)
    assert {slot.device.type for slots in model.optimizer.state.values() for slot in slots.values()} == {"cpu"}


def test_an_input_elsewhere_is_refused_in_words():
    model = compiled(dense).to("cuda")
    with pytest.raises(ValueError, match="got an input on cpu") as raised:
        model(torch.from_numpy(X))
    assert 'x.to("cuda:0")' in str(raised.value)


@every
def test_no_step_waits_for_the_gpu(network):
    x, y = DATA[network]
    model = compiled(network).to("cuda")
    x, y = torch.from_numpy(x).to("cuda"), torch.from_numpy(y).to("cuda")
    model.fit(x, y, batch_size=8, verbose=0)
    model.train()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            model.train_step((x[:8], y[:8]))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_data_that_is_too_large_stays_in_memory(monkeypatch):
    monkeypatch.setattr("uncrumple.data.batches.free_memory", lambda device: 100)
    here, there = compiled(dense), compiled(dense).to("cuda")
    found = [one.fit(X, Y, shuffle=False, verbose=0, validation_split=0.2).history for one in (here, there)]
    assert found[1]["val_loss"] == pytest.approx(found[0]["val_loss"], rel=1e-3)


def test_a_model_on_the_cpu_while_the_gpu_is_the_default():
    """Native kernels get addresses: memory that they work in must not be the GPU's."""
    model, other = compiled(recurrent), compiled(recurrent)
    expected = model.fit(TOKENS, Y, shuffle=False, verbose=0).history["loss"]
    torch.set_default_device("cuda")
    try:
        assert other.fit(TOKENS, Y, shuffle=False, verbose=0).history["loss"] == expected
    finally:
        torch.set_default_device(None)


def plain_recurrent():
    return [
        keras.Input((6,)),
        layers.Embedding(9, 4),
        layers.LSTM(3, return_sequences=True),
        layers.GRU(3),
        layers.Dense(2),
    ]


DATA[plain_recurrent] = TOKENS, Y
RECORDED = pytest.mark.parametrize(
    "network", [dense, convolutional, plain_recurrent], ids=lambda network: network.__name__
)


@RECORDED
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_recorded_steps_train_like_ordinary_ones(network, policy, monkeypatch):
    recorded, record = [], recorded_steps.Recorder.record

    def counted(self, *arguments):
        recorded.append(self)
        return record(self, *arguments)

    monkeypatch.setattr(recorded_steps.Recorder, "record", counted)
    x, y = DATA[network]

    def trained(eager):
        keras.utils.set_random_seed(1)
        keras.config.set_dtype_policy(policy)
        try:
            model = keras.Sequential([*network()[:-1], layers.Dropout(0.3), layers.Dropout(0.3, seed=1), network()[-1]])
        finally:
            keras.config.set_dtype_policy("float32")
        model.to("cuda")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], run_eagerly=eager)
        return model.fit(x, y, batch_size=4, epochs=3, verbose=0).history, model.get_weights()

    history, weights = trained(eager=False)
    assert len(recorded) == 1
    wanted, ordinary = trained(eager=True)
    assert len(recorded) == 1
    near = 1e-3 if policy == "float32" else 2e-2
    np.testing.assert_allclose(history["loss"], wanted["loss"], rtol=near)
    for one, other in zip(weights, ordinary, strict=True):
        np.testing.assert_allclose(one, other, rtol=near, atol=near)


def test_training_goes_on_where_a_recording_is_broken_off(monkeypatch):
    def waits(self, parts):
        loss, outputs = ordinary(self, parts)
        loss.item()  # not while recording
        return loss, outputs

    ordinary = recorded_steps.RecordedSteps._forward_and_backward
    monkeypatch.setattr(recorded_steps.RecordedSteps, "_forward_and_backward", waits)
    monkeypatch.setattr(recorded_steps, "_failed", [])

    def trained(eager):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([*dense()[:-1], layers.Dropout(0.3), dense()[-1]]).to("cuda")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, run_eagerly=eager)
        return model.fit(X, Y, batch_size=4, epochs=2, verbose=0).history["loss"]

    found = trained(eager=False)
    assert len(recorded_steps._failed) == 1
    torch.cuda.empty_cache()
    np.testing.assert_allclose(found, trained(eager=True), rtol=1e-4)
