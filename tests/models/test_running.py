"""Before the loop and after it: nothing runs uncompiled, and whatever happens, the model is as it was."""

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


class Failing(keras.Sequential):
    """A model whose steps raise an error."""

    error = None

    def test_step(self, data):
        if self.error is not None:
            raise self.error
        return None + data

    train_step = predict_step = test_step


def failing(error=None):
    model = Failing([keras.Input((4,)), layers.Dense(1)], name="failing")
    model.compile("sgd", "mse")
    model.error = error
    return model


def test_nothing_runs_before_compile():
    model = functional()
    for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(ValueError) as raised:
            getattr(model, method)(X, Y)
        assert message(raised) == (
            f"Model 'regressor': {method}() was called before compile().\n"
            "Expected an optimizer and a loss first.\n"
            f'Fix: model.compile(optimizer="adam", loss="mse"), then model.{method}(...)'
        )
    assert model.predict(X, verbose=0).shape == (20, 1)


CALLS = {
    "fit": lambda model: model.fit(X, Y, verbose=0),
    "evaluate": lambda model: model.evaluate(X, Y, verbose=0),
    "predict": lambda model: model.predict(X, verbose=0),
    "train_on_batch": lambda model: model.train_on_batch(X, Y),
    "test_on_batch": lambda model: model.test_on_batch(X, Y),
}


@pytest.mark.parametrize("before", [True, False], ids=["training", "inferring"])
@pytest.mark.parametrize("error", [RuntimeError("shapes"), KeyboardInterrupt()], ids=["failure", "interrupt"])
@pytest.mark.parametrize("method", CALLS)
def test_the_mode_is_as_it_was_after_an_error(method, error, before):
    model = failing(error)
    model.train(before)
    with pytest.raises(type(error)):
        CALLS[method](model)
    assert model.training is (before and method != "fit")  # `fit` leaves a model that infers, as Keras does
    assert model._runs is False
    assert model.layers[0].training is model.training


@pytest.mark.parametrize("method", CALLS)
def test_a_step_of_ones_own_that_fails_is_named(method):
    with pytest.raises(TypeError) as raised:
        CALLS[method](failing())
    assert message(raised).startswith("Failing 'failing' failed in ")
    assert message(raised).endswith(": return None + data")


def test_the_diagnosis_leaves_a_list_of_callbacks_that_is_the_callers():
    model = failing(RuntimeError("shapes"))
    mine = keras.callbacks.CallbackList([keras.callbacks.History()], model=model, epochs=1, steps=1)
    before = list(mine.callbacks)
    with pytest.raises(RuntimeError):
        model.fit(X, Y, verbose=0, callbacks=mine, diagnose=True)
    assert mine.callbacks == before
