"""`compile`: what it takes, what it keeps when it is called again, and how it goes into a file."""

import numpy as np
import pytest

import uncrumple as keras
from uncrumple import layers

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def functional():
    inputs = keras.Input((4,), name="numbers")
    hidden = layers.Dense(3, activation="tanh", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(1, name="answer")(hidden * 2.0 + 1.0), name="regressor")


def message(raised):
    return str(raised.value)


def compiled(model, **settings):
    model.compile(**{"optimizer": keras.optimizers.Adam(0.01), "loss": "mse", "metrics": ["mae"], **settings})
    return model


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "adm"}, "Fix: did you mean 'Adam'?"),
        ({"loss": "binary_crosentropy"}, "Fix: did you mean 'binary_crossentropy'?"),
        ({"loss": ["mse", "mea"]}, "Unknown loss: 'mea'"),
        ({"metrics": ["acuracy"]}, "Unknown metric: 'acuracy'"),
        ({"weighted_metrics": [["acuracy"]]}, "Unknown metric: 'acuracy'"),
        ({"metrics": "accuracy"}, "compile got metrics='accuracy'.\nExpected a list.\nFix: metrics=['accuracy']"),
        ({"steps_per_execution": 0}, "compile got steps_per_execution=0."),
        ({"steps_per_execution": 2.0}, "compile got steps_per_execution=2.0."),
        ({"steps_per_execution": True}, "compile got steps_per_execution=True."),
    ],
    ids=str,
)
def test_misspellings_are_found_at_compile(settings, words):
    with pytest.raises(ValueError) as raised:
        functional().compile(**{"optimizer": "adam", "loss": "mse", **settings})
    assert words in message(raised)


def test_arguments_that_compile_does_not_have():
    with pytest.raises(TypeError, match="metric"):
        functional().compile("adam", "mse", metric=["mae"])


def test_compiling_again_begins_anew():
    model = compiled(functional())
    model.fit(X, Y, verbose=0)
    optimizer = model.optimizer
    model.compile("sgd", "mae", metrics=[])
    assert model.optimizer is not optimizer
    assert list(model.fit(X, Y, verbose=0).history) == ["loss"]


def test_compiling_again_keeps_what_is_not_given_and_saves_it(tmp_path):
    model = compiled(functional())
    loss = model.loss
    model.compile("sgd")
    assert model.loss == loss and list(model.fit(X, Y, verbose=0).history) == ["loss", "mae"]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss == loss and list(again.fit(X, Y, verbose=0).history) == ["loss", "mae"]


def test_optimizers_losses_and_metrics_as_objects_and_functions():
    def mine(y_true, y_pred):
        return (y_true - y_pred).abs().mean(-1)

    model = functional()
    model.compile(
        keras.optimizers.SGD(), mine, metrics=[mine, keras.metrics.MeanSquaredError(), keras.losses.mean_absolute_error]
    )
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert list(found) == ["loss", "mean_absolute_error", "mean_squared_error", "mine"]
    assert found["loss"] == pytest.approx(found["mine"], rel=1e-6)
    assert model.metrics_names == ["loss", "compile_metrics"]


def test_the_compile_config_is_plain_data_and_comes_back():
    model = compiled(functional(), weighted_metrics=["mse"])
    config = model.get_compile_config()
    assert config["loss"] == "mse" and config["metrics"] == ["mae"] and config["jit_compile"] is False
    other = functional()
    other.compile_from_config(config)
    assert other.optimizer.get_config() == model.optimizer.get_config() and other.optimizer.built
    assert other.get_compile_config() == config
    assert functional().get_compile_config() is None
