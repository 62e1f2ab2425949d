"""Ctrl-C: the step is finished, training ends, what was learned is kept, and Python's own handler is back."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import uncrumple as keras
from uncrumple import layers
from uncrumple.training.interrupt import Interrupt

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def regressor():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01, use_ema=True, ema_momentum=0.5), "mse", metrics=["mae"])
    return model


class Press(keras.callbacks.Callback):
    """Presses Ctrl-C at a step, and writes down what is called."""

    def __init__(self, epoch=1, batch=2, times=1, where="train"):
        super().__init__()
        self.epoch, self.batch, self.times, self.where, self.calls = epoch, batch, times, where, []

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(("batch", self.now, batch))
        if self.where == "train":
            self._press(batch)

    def on_test_batch_begin(self, batch, logs=None):
        self.calls.append(("test batch", self.now, batch))
        if self.where == "test":
            self._press(batch)

    def _press(self, batch):
        if (self.now, batch) == (self.epoch, self.batch):
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("epoch end", epoch))

    def on_train_end(self, logs=None):
        self.calls.append(("train end", dict(logs)))


@pytest.fixture(autouse=True)
def _pythons_own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_training_ends_after_the_step(capsys):
    model, press = regressor(), Press()
    history = model.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[press])
    assert press.calls[:-1] == [
        *[("batch", 0, batch) for batch in range(5)],
        ("epoch end", 0),
        *[("batch", 1, batch) for batch in range(3)],
    ]
    assert press.calls[-1][0] == "train end" and sorted(press.calls[-1][1]) == ["loss", "mae"]
    assert history is model.history and history.epoch == [0] and len(history.history["loss"]) == 1
    assert capsys.readouterr().out == (
        "Stopped by Ctrl-C in epoch 2 of 5, after 3 steps of it. The model keeps what it has learned.\n"
    )
    assert int(model.optimizer.iterations) == 8
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert model.stop_training and not model.training


def test_the_weights_are_those_of_the_steps_done(capsys):
    model, twin = regressor(), regressor()
    twin.set_weights(model.get_weights())
    model.fit(X, Y, batch_size=8, epochs=1, shuffle=False, verbose=0, callbacks=[Press(0, 2)])
    twin.fit(X, Y, batch_size=8, epochs=1, shuffle=False, verbose=0, steps_per_epoch=3)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), twin.get_weights()))


def test_training_can_go_on_afterwards(capsys):
    model = regressor()
    model.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[Press()])
    history = model.fit(X, Y, batch_size=8, epochs=5, initial_epoch=1, verbose=0)
    assert history.epoch == [1, 2, 3, 4] and not model.stop_training


def test_in_the_middle_of_validation(capsys):
    model, press = regressor(), Press(epoch=0, batch=1, where="test")
    history = model.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[press], validation_data=(X, Y))
    assert press.calls[-2:-1] == [("test batch", 0, 1)] and press.calls[-1][0] == "train end"
    assert "val_loss" not in press.calls[-1][1] and history.epoch == []
    assert "after 5 steps" in capsys.readouterr().out


def test_a_second_time_interrupts_at_once():
    model = regressor()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[Press(times=2)])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_progress_bar_says_it_too(capsys):
    regressor().fit(X, Y, batch_size=8, epochs=5, verbose=2, callbacks=[Press()])
    assert "Stopped by Ctrl-C in epoch 2 of 5" in capsys.readouterr().out


def test_a_handler_of_ones_own_is_left_alone():
    pressed = []
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    history = regressor().fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=[Press()])
    assert pressed == [True] and len(history.epoch) == 3
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_error_gives_the_handler_back():
    class Broken(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        regressor().fit(X, Y, verbose=0, callbacks=[Broken()])


def test_in_another_thread_signals_are_not_touched():
    found = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found.append(signal.getsignal(signal.SIGINT))

    model = regressor()
    thread = threading.Thread(target=lambda: model.fit(X, Y, verbose=0, callbacks=[Look()]))
    thread.start()
    thread.join()
    assert set(found) == {signal.default_int_handler}


def test_evaluation_and_prediction_are_interrupted_as_usual():
    class PressNow(keras.callbacks.Callback):
        def on_test_batch_begin(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGINT)

        def on_predict_batch_begin(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGINT)

    model = regressor()
    for run in (
        lambda c: model.evaluate(X, Y, verbose=0, callbacks=[c]),
        lambda c: model.predict(X, verbose=0, callbacks=[c]),
    ):
        with pytest.raises(KeyboardInterrupt):
            run(PressNow())


def test_the_interrupt_by_itself():
    class Model:
        stop_training = stop_evaluating = False

    model = Model()
    with Interrupt(model) as interrupt:
        assert not interrupt.asked
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked and model.stop_training and model.stop_evaluating
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_real_process_that_is_interrupted():
    """A program in a terminal: Ctrl-C once, and the program goes on after fit."""
    program = """
import os, signal, threading, time
import numpy as np
import uncrumple as keras
x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
start = time.perf_counter()
history = model.fit(x, x.sum(1), epochs=10**9, verbose=0)
print("done", len(history.epoch) > 0, time.perf_counter() - start < 30)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Stopped by Ctrl-C in epoch" in done.stdout and done.stdout.endswith("done True True\n")
