"""The loop itself: how short the way to `backward` is, in what order callbacks are called, what a step may be replaced by."""

import traceback

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple import layers
from uncrumple.training import loop

random = np.random.default_rng(0)
X = random.normal(size=(20, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def regressor(**settings):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(1)])
    model.compile(**{"optimizer": keras.optimizers.SGD(0.05), "loss": "mse", **settings})
    return model


def frames_of_the_project(stack):
    return [
        (frame.filename.split("/uncrumple/")[1], frame.name) for frame in stack if "/src/uncrumple/" in frame.filename
    ]


# --- the way ------------------------------------------------------------------------------


def test_three_frames_from_fit_to_backward():
    found = []

    class Watch(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            found.extend(frames_of_the_project(traceback.extract_stack()))
            return gradient

    model = regressor(loss=lambda y_true, y_pred: Watch.apply(((y_true - y_pred) ** 2).mean(-1)))
    model.fit(X, Y, verbose=0, batch_size=20)
    assert found == [("models/model.py", "fit"), ("training/loop.py", "fit"), ("training/loop.py", "train_step")]


def test_the_way_to_a_layers_mathematics():
    found = []

    class Watch(keras.Layer):
        def call(self, inputs):
            if self.training:
                found.append(frames_of_the_project(traceback.extract_stack()))
            return inputs

    model = keras.Sequential([keras.Input((4,)), Watch(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, batch_size=20)
    names = [name for _, name in found[0]]
    assert names == ["fit", "fit", "train_step", "__call__", "__call__", "forward", "call", "call", "run", "forward"]


def test_the_loop_fits_on_a_screen():
    import inspect

    for function in (loop.fit, loop.Steps.train_step):
        assert len(inspect.getsource(function).splitlines()) < 65


# --- callbacks ----------------------------------------------------------------------------


class Log(keras.callbacks.Callback):
    """Writes down what is called, and with which logs."""

    def __init__(self):
        super().__init__()
        self.calls, self.logs = [], {}


def _writes(name):
    def method(self, *args, logs=None):
        if args and isinstance(args[-1], dict):
            *args, logs = args
        self.calls.append((name.removeprefix("on_"), *args))
        self.logs[name.removeprefix("on_")] = dict(logs or {})

    return method


for _when in ("begin", "end"):
    for _what in ("train", "test", "predict", "epoch", "train_batch", "test_batch", "predict_batch"):
        setattr(Log, f"on_{_what}_{_when}", _writes(f"on_{_what}_{_when}"))


def test_callbacks_are_called_in_order():
    log = Log()
    model = regressor()
    model.fit(X, Y, batch_size=10, verbose=0, validation_data=(X[:5], Y[:5]), callbacks=[log])
    assert log.calls == [
        ("train_begin",),
        ("epoch_begin", 0),
        *[("train_batch_begin", 0), ("train_batch_end", 0), ("train_batch_begin", 1), ("train_batch_end", 1)],
        *[("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0), ("test_end",)],
        ("epoch_end", 0),
        ("train_end",),
    ]
    assert list(log.logs["epoch_end"]) == ["loss", "val_loss"] and list(log.logs["test_end"]) == ["loss"]
    assert log.logs["train_batch_end"] == {"loss": log.logs["epoch_end"]["loss"]}
    assert log.logs["train_end"] == log.logs["epoch_end"]


def test_callbacks_of_evaluate_and_predict():
    log, model = Log(), regressor()
    model.evaluate(X, Y, batch_size=20, verbose=0, callbacks=[log])
    model.predict(X, batch_size=20, verbose=0, callbacks=[log])
    assert log.calls == [
        *[("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0), ("test_end",)],
        *[("predict_begin",), ("predict_batch_begin", 0), ("predict_batch_end", 0), ("predict_end",)],
    ]
    assert log.logs["predict_batch_end"]["outputs"].shape == (20, 1)


def test_a_callback_list_of_ones_own():
    log, model = Log(), regressor()
    given = keras.callbacks.CallbackList([log], add_history=True, model=model, epochs=1, steps=2)
    history = model.fit(X, Y, batch_size=10, callbacks=given)
    assert ("train_batch_end", 1) in log.calls and list(history.history) == ["loss"]


@pytest.mark.parametrize(("every", "told"), [(1, [(0, 0), (1, 1), (2, 2)]), (2, [(0, 1), (2, 2)]), (5, [(0, 2)])])
def test_steps_per_execution(every, told):
    log, model = Log(), regressor(steps_per_execution=every)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[log])
    begins = [call[1] for call in log.calls if call[0] == "train_batch_begin"]
    ends = [call[1] for call in log.calls if call[0] == "train_batch_end"]
    assert list(zip(begins, ends, strict=True)) == told
    assert int(model.optimizer.iterations) == 3


def test_stopping_within_an_epoch_and_at_its_end():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = regressor()
    history = model.fit(X, Y, batch_size=4, epochs=9, verbose=0, callbacks=[Stop()])
    assert int(model.optimizer.iterations) == 2 and len(history.history["loss"]) == 1

    class StopLater(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    assert len(regressor().fit(X, Y, epochs=9, verbose=0, callbacks=[StopLater()]).history["loss"]) == 3


def test_stopping_evaluation_and_prediction():
    class Stop(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            self.model.stop_evaluating = True

        def on_predict_batch_end(self, batch, logs=None):
            self.model.stop_predicting = True

    model = regressor()
    assert model.evaluate(X, Y, batch_size=5, verbose=0, callbacks=[Stop()]) == pytest.approx(
        model.evaluate(X[:5], Y[:5], verbose=0)
    )
    assert model.predict(X, batch_size=5, verbose=0, callbacks=[Stop()]).shape == (5, 1)


def test_fitting_within_a_callback():
    inner = regressor()

    class Nested(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            inner.fit(X, Y, verbose=0)

    regressor().fit(X, Y, epochs=2, verbose=0, callbacks=[Nested()])
    assert int(inner.optimizer.iterations) == 2


def test_an_error_in_a_callback_comes_out_as_it_is():
    class Broken(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError) as caught:
        regressor().fit(X, Y, verbose=0, callbacks=[Broken()])
    assert type(caught.value) is RuntimeError
    assert str(caught.value) == "mine", "what there is to say about it is a note"


def test_the_mode_is_training_in_training_and_evaluation_otherwise():
    modes = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            modes["train"] = self.model.training

        def on_test_batch_end(self, batch, logs=None):
            modes["test"] = self.model.training

        def on_epoch_end(self, epoch, logs=None):
            modes["epoch end"] = self.model.training

    model = regressor()
    model.fit(X, Y, verbose=0, callbacks=[Look()], validation_data=(X, Y))
    assert modes == {"train": True, "test": False, "epoch end": False} and not model.training
    model.train_on_batch(X, Y)
    assert not model.training


# --- steps of ones own ----------------------------------------------------------------------


def with_step(train_step=None, **methods):
    inputs = keras.Input((4,))
    made = type("Custom", (keras.Model,), {**({"train_step": train_step} if train_step else {}), **methods})
    model = made(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    return model


def test_data_comes_as_it_was_given():
    seen = []

    def train_step(self, data):
        seen.append(tuple(type(part) for part in data) if isinstance(data, tuple) else type(data))
        return {"loss": 0.0}

    model = with_step(train_step)
    model.fit(X, Y, verbose=0)
    model.fit(X, Y, sample_weight=np.ones(20), verbose=0)
    model.fit(X, verbose=0)
    assert seen == [(torch.Tensor,) * 2, (torch.Tensor,) * 3, torch.Tensor]


def test_what_a_step_returns_is_what_is_logged():
    def train_step(self, data):
        self.count = getattr(self, "count", 0) + 1
        return {"loss": torch.tensor(float(self.count)), "extra": {"inner": np.float32(2.0)}, "whole": 3}

    history = with_step(train_step).fit(X, Y, batch_size=5, epochs=2, verbose=0).history
    assert history == {"inner": [2.0, 2.0], "loss": [4.0, 8.0], "whole": [3.0, 3.0]}


def test_a_step_that_adds_to_the_usual_logs():
    def train_step(self, data):
        return {**super(type(self), self).train_step(data), "rate": 0.5}

    history = with_step(train_step).fit(X, Y, verbose=0).history
    assert list(history) == ["loss", "rate"] and history["rate"] == [0.5]


def test_a_compute_metrics_that_adds_a_number():
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        found = super(type(self), self).compute_metrics(x, y, y_pred, sample_weight)
        found["largest"] = y_pred.max()
        return found

    model = with_step(compute_metrics=compute_metrics)
    history = model.fit(X, Y, verbose=0, validation_data=(X, Y)).history
    assert list(history) == ["largest", "loss", "val_largest", "val_loss"]
    assert list(model.evaluate(X, Y, verbose=0, return_dict=True)) == ["largest", "loss"]


def test_a_step_that_returns_nothing():
    with pytest.raises(TypeError) as caught:
        with_step(lambda self, data: None).fit(X, Y, verbose=0)
    assert str(caught.value).split("\n")[1:] == [
        "Expected a dict of numbers by name: what is shown and kept in the history.",
        'Fix: return {"loss": loss} as the last line of train_step',
    ]


def test_predict_step_and_test_step():
    def predict_step(self, data):
        return super(type(self), self).predict_step(data) * 0 + 7

    def test_step(self, data):
        return {"mine": 1.5}

    model = with_step(predict_step=predict_step, test_step=test_step)
    assert (model.predict(X, verbose=0) == 7).all()
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"mine": 1.5}
    assert model.fit(X, Y, verbose=0, validation_data=(X, Y)).history["val_mine"] == [1.5]


def test_no_gradients_are_kept_in_evaluation():
    seen = []

    def test_step(self, data):
        seen.append(torch.is_grad_enabled())
        return super(type(self), self).test_step(data)

    def predict_step(self, data):
        seen.append(torch.is_grad_enabled())
        return super(type(self), self).predict_step(data)

    model = with_step(predict_step=predict_step, test_step=test_step)
    model.fit(X, Y, verbose=0, validation_data=(X, Y))
    model.test_on_batch(X, Y), model.predict_on_batch(X)
    assert seen == [False] * 3 and torch.is_grad_enabled()


def test_a_loss_of_the_model_that_knows_no_training():
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return (y - y_pred).abs().mean()

    model = with_step(compute_loss=compute_loss)
    history = model.fit(X, Y, verbose=0, batch_size=20, validation_data=(X, Y)).history
    assert history["val_loss"][0] == pytest.approx(np.abs(Y - model.predict(X, verbose=0)).mean(), rel=1e-5)


def test_a_model_that_has_steps_and_no_call():
    class Parts(keras.Model):
        def __init__(self):
            super().__init__()
            self.part = layers.Dense(1)

        def train_step(self, data):
            loss = ((self.part(data[0]) - data[1]) ** 2).mean()
            self.zero_grad()
            loss.backward()
            self.optimizer.apply([weight.grad for weight in self.part.weights], self.part.weights)
            return {"error": loss}

        def test_step(self, data):
            return {"error": (self.part(data[0]) - data[1]).abs().mean()}

    model = Parts()
    model.compile(keras.optimizers.SGD(0.1))
    errors = model.fit(X, Y, epochs=5, verbose=0).history["error"]
    assert errors[-1] < errors[0] and model.evaluate(X, Y, verbose=0) > 0
    with pytest.raises(ValueError, match="x holds NaN"):
        model.fit(X * np.nan, Y, verbose=0)


def test_no_loss_at_all():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)], name="plain")
    model.compile("sgd")
    with pytest.raises(ValueError) as raised:
        model.fit(X, Y, verbose=0)
    assert str(raised.value) == (
        "Model 'plain' has no loss to compute.\n"
        "Expected a loss in compile(), or add_loss() in a layer.\n"
        'Fix: model.compile(optimizer="adam", loss="mse")'
    )


def test_penalties_are_there_to_be_looked_at_after_a_step():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l2")])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, batch_size=20)
    assert len(model.losses) == 2
    model.predict(X, verbose=0)
    assert len(model.losses) == 2


def test_a_layer_called_by_itself_keeps_the_penalties_of_the_last_call_only():
    layer = layers.Dense(2, activity_regularizer="l2")
    for _ in range(5):
        layer(X)
    assert len(layer.losses) == 1
    first, second = keras.Sequential([layer]), keras.Sequential([layers.Dense(1, activity_regularizer="l1")])
    first(X), second(X), first(X)
    assert len(first.losses) == len(second.losses) == 1


def test_gradients_of_the_step_before_do_not_add_up():
    model = regressor()
    (model(torch.from_numpy(X)) ** 2).sum().backward()
    twin = regressor()
    twin.set_weights(model.get_weights())
    model.fit(X, Y, verbose=0, shuffle=False)
    twin.fit(X, Y, verbose=0, shuffle=False)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), twin.get_weights()))


def test_inputs_alone_come_to_a_step_without_a_tuple():
    seen = []

    class Looks(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, inputs):
            x = inputs["a"] if isinstance(inputs, dict) else inputs[0] if isinstance(inputs, (list, tuple)) else inputs
            return x * self.scale

        def train_step(self, data):
            seen.append(("train", type(data), type(data[0]) if isinstance(data, tuple) else None))
            loss = self(keras.utils.unpack_x_y_sample_weight(data)[0]).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            return {"loss": loss}

        def test_step(self, data):
            seen.append(("test", type(data), type(data[0]) if isinstance(data, tuple) else None))
            return {"loss": 0.0}

        def predict_step(self, data):
            seen.append(("predict", type(data), type(data[0]) if isinstance(data, tuple) else None))
            return super().predict_step(data)

    x = np.ones((4, 2), "float32")
    for given, kind, inner in (
        (x, torch.Tensor, None),
        ({"a": x}, dict, None),
        ([x, x], tuple, list),
        (torch.utils.data.DataLoader(x, batch_size=4), torch.Tensor, None),
    ):
        model = Looks()
        model.compile("sgd")
        seen.clear()
        model.fit(given, verbose=0)
        model.evaluate(given, verbose=0)
        model.predict(given, verbose=0)
        if kind is torch.Tensor and given is x:
            model.train_on_batch(given)
            model.test_on_batch(given)
        assert {part for _, *part in [(one[0], one[1:]) for one in seen] for part in part} == {(kind, inner)}
    pair = Looks()
    pair.compile("sgd")
    seen.clear()
    pair.fit(x, x, verbose=0)
    assert seen == [("train", tuple, torch.Tensor)]
