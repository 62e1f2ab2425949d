"""A part of a user's own that fails is named, with what came, what was expected and the line of its code.

Each kind of part fails in the same ways: an operation that does not fit, a
number divided by zero, a key that is not there, nothing returned, text
returned, NaN. The whole answers are under test.
"""

import functools
import re
import traceback
import warnings

import numpy as np
import pytest
import torch

import uncrumple as keras
from uncrumple.core.naming import reset_names

X = np.random.default_rng(0).random((20, 4)).astype("float32")
Y = X.sum(1)


def fit(optimizer="sgd", loss="mse", metrics=None, callbacks=None, layers=(), model=keras.Sequential, **settings):
    """Train a small model with one part of somebody's own."""
    reset_names()
    answer = keras.layers.Dense(1, name="answer", **settings)
    model = model([keras.Input((4,)), *layers, answer], name="net")
    model.compile(optimizer, loss, metrics=metrics)
    return model.fit(X, Y, verbose=0, callbacks=callbacks).history


# --- ways to fail: each is handed a tensor ------------------------------------------------


def misfit(tensor):
    return tensor @ torch.ones(7, 7)


def division(tensor):
    return 1 / 0


def key(tensor):
    return {}["beta"]


def on_purpose(tensor):
    raise ValueError("only for grey images")


def nothing(tensor):
    return None


def text(tensor):
    return "a"


def other_shape(tensor):
    return torch.ones(2, 3, 5)


def not_a_number(tensor):
    return tensor * float("nan")


# --- kinds of parts -----------------------------------------------------------------------


def layer(fail):
    class Own(keras.layers.Layer):
        def call(self, inputs):
            return fail(inputs)

    fit(layers=[Own(name="own")])


def activation(fail):
    def bent(x):
        return fail(x)

    fit(activation=bent)


def loss(fail):
    class OwnLoss(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return fail(y_pred)

    fit(loss=OwnLoss())


def loss_function(fail):
    def own_loss(y_true, y_pred):
        return fail(y_pred)

    fit(loss=own_loss)


def metric(fail):
    class OwnMetric(keras.metrics.Metric):
        def __init__(self, name="own_metric"):
            super().__init__(name=name)
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            fail(y_pred)

        def result(self):
            return self.total

    fit(metrics=[OwnMetric()])


def metric_result(fail):
    class OwnMetric(keras.metrics.Metric):
        def __init__(self, name="own_metric"):
            super().__init__(name=name)
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign_add(1.0)

        def result(self):
            return fail(self.total)

    fit(metrics=[OwnMetric()])


def metric_function(fail):
    def own_metric(y_true, y_pred):
        return fail(y_pred)

    fit(metrics=[own_metric])


def callback(fail):
    class OwnCallback(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            fail(torch.ones(3))

    fit(callbacks=[OwnCallback()])


def callback_function(fail):
    fit(callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: fail(torch.ones(3)))])


def initializer(fail):
    class OwnInitializer(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return fail(torch.ones(shape))

    fit(kernel_initializer=OwnInitializer())


def initializer_function(fail):
    def own_start(shape, dtype=None):
        return fail(torch.ones(shape))

    fit(kernel_initializer=own_start)


def regularizer(fail):
    class OwnRegularizer(keras.regularizers.Regularizer):
        def __call__(self, x):
            return fail(x)

    fit(kernel_regularizer=OwnRegularizer())


def activity_regularizer(fail):
    class OwnRegularizer(keras.regularizers.Regularizer):
        def __call__(self, x):
            return fail(x)

    fit(activity_regularizer=OwnRegularizer())


def constraint(fail):
    class OwnConstraint(keras.constraints.Constraint):
        def __call__(self, w):
            return fail(w)

    fit(kernel_constraint=OwnConstraint())


def schedule(fail):
    class OwnSchedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return fail(torch.ones(1, 1) * step)

    fit(optimizer=keras.optimizers.SGD(OwnSchedule()))


def schedule_function(fail):
    def own_rate():
        return fail(torch.ones(1, 1))

    fit(optimizer=keras.optimizers.SGD(own_rate))


def optimizer(fail):
    class OwnOptimizer(keras.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, fail(gradient))

    fit(optimizer=OwnOptimizer(0.1))


def train_step(fail):
    class Own(keras.Sequential):
        def train_step(self, data):
            return fail(data[0])

    fit(model=Own)


def compute_loss(fail):
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return fail(y_pred)

    fit(model=Own)


KINDS = (
    *(layer, activation, loss, loss_function, metric, metric_result, metric_function, callback, callback_function),
    *(initializer, initializer_function, regularizer, activity_regularizer, constraint, schedule, schedule_function),
    *(optimizer, train_step, compute_loss),
)

# How each begins where it fails, and what it was expected to be.
_LOSS = "on y of shape (20,) and y_pred of shape (20, 1)"
_KERNEL = "the weight 'kernel' of Dense 'answer'"
_RUNS = "Expected it to run without an error."
_FITS_LOSS, _FITS_METRIC = (
    "Expected a loss that works for these shapes.",
    "Expected a metric that works for these shapes.",
)
_PENALTY, _RATE = "Expected one number: a penalty to add to the loss.", "Expected a learning rate: a float."
_RESULT = "Expected result() to return the value so far: a number, or a dict of numbers."
WHO = {
    layer: ("Own 'own' failed on an input of shape (None, 4)", "Expected call() to run without an error."),
    activation: (
        "Dense 'answer' failed in its function 'bent' on an input of shape (None, 4)",
        "Expected call() to run without an error.",
    ),
    loss: (f"OwnLoss 'own_loss' failed {_LOSS}", _RUNS),
    loss_function: (f"The loss 'own_loss' failed {_LOSS}", _RUNS),
    metric: (f"OwnMetric 'own_metric' failed in update_state() {_LOSS}", _RUNS),
    metric_result: ("OwnMetric 'own_metric' failed in result()", _RESULT),
    metric_function: (f"The metric 'own_metric' failed {_LOSS}", _RUNS),
    callback: (
        "OwnCallback failed in on_epoch_end() at epoch 0",
        "Expected on_epoch_end() to run without an error.",
    ),
    callback_function: ("The function <lambda> of LambdaCallback failed", _RUNS),
    initializer: (f"OwnInitializer failed for {_KERNEL}", "Expected a tensor of shape (4, 1)."),
    initializer_function: (f"The initializer 'own_start' failed for {_KERNEL}", "Expected a tensor of shape (4, 1)."),
    regularizer: (f"OwnRegularizer failed on {_KERNEL}, of shape (4, 1)", _PENALTY),
    activity_regularizer: ("OwnRegularizer failed on the output of Dense 'answer', of shape (2, 1)", _PENALTY),
    constraint: (
        f"OwnConstraint failed on {_KERNEL}, of shape (4, 1)",
        "Expected a tensor of the weight's shape, (4, 1).",
    ),
    schedule: ("OwnSchedule failed at step 0 of sgd", _RATE),
    schedule_function: ("The learning rate function 'own_rate' failed at step 0 of sgd", _RATE),
    optimizer: (
        "OwnOptimizer 'own_optimizer' failed in update_step() on the weight 'net/answer/kernel' of shape (4, 1)",
        _RUNS,
    ),
    train_step: (
        "Own 'net' failed in train_step()",
        "Expected a dict of numbers by name, after one step on one batch.",
    ),
    compute_loss: ("Own 'net' failed in compute_loss()", "Expected a tensor with one number: the loss of the batch."),
}
# Where a size does not fit, the expectation is about shapes.
FITS = {
    layer: "Expected operations that fit this shape.",
    activation: "Expected operations that fit this shape; its weights: kernel (4, 1), bias (1,).",
    loss: _FITS_LOSS,
    loss_function: _FITS_LOSS,
    metric: _FITS_METRIC,
    metric_function: _FITS_METRIC,
    optimizer: "Expected operations that fit this shape: that of the gradient, too.",
}


def answer(kind, fail):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Exception) as caught:
            kind(fail)
    return caught.value


def line_of(fail):
    return f"look at line {fail.__code__.co_firstlineno + 1} of {__name__}.py: "


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("fail", "error", "words"),
    [
        (
            misfit,
            ValueError,
            r"a matrix product needs equal inner sizes, and got \d and 7|both arguments to matmul .*2D",
        ),
        (division, ZeroDivisionError, "division by zero"),
        (key, KeyError, "there is no 'beta'"),
    ],
    ids=("misfit", "division", "key"),
)
def test_a_part_that_fails(kind, fail, error, words):
    caught = answer(kind, fail)
    came, expected, fix = str(caught).split("\n")
    who, usual = WHO[kind]
    assert came.startswith(f"{who}: ")
    assert re.fullmatch(words, came.removeprefix(f"{who}: ").removesuffix("."))
    assert expected == (FITS.get(kind, usual) if fail is misfit else usual)
    assert fix.startswith(f"Fix: {line_of(fail)}return ")
    assert isinstance(caught, error) and type(caught).__name__ == error.__name__
    assert caught.__suppress_context__ or caught.__context__ is None, "no chain of exceptions is shown"
    assert traceback.extract_tb(caught.__traceback__)[-1].name == fail.__name__, "the line that failed is shown last"


def test_whoever_waits_for_the_error_of_torch_catches_it():
    for kind in (loss, layer, callback, optimizer):
        with pytest.raises(RuntimeError):
            kind(misfit)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_part_that_raises_on_purpose_keeps_its_words(kind):
    caught = answer(kind, on_purpose)
    assert type(caught) is ValueError
    assert str(caught) == "only for grey images"
    (note,) = caught.__notes__
    came, expected, fix = note.split("\n")
    assert came.split(" raised this")[0] in WHO[kind][0] or kind is activation
    assert came.split(" raised this")[1].startswith((" in ", " on ", " for ", " at ", "."))
    assert expected.startswith("Expected ")
    assert fix == f'Fix: {line_of(on_purpose)}raise ValueError("only for grey images")'


@pytest.mark.parametrize("kind", [callback, metric, loss, optimizer, train_step], ids=lambda kind: kind.__name__)
def test_an_exception_of_ones_own_stays_what_it_is(kind):
    class Stop(Exception):
        def __init__(self, code, reason):
            super().__init__(code, reason)

    def stop(tensor):
        raise Stop(7, "enough")

    caught = answer(kind, stop)
    assert type(caught) is Stop and caught.args == (7, "enough")
    assert len(caught.__notes__) == 1 and "raised this" in caught.__notes__[0]


# --- what is returned ---------------------------------------------------------------------

_ONE_TENSOR = "Expected a tensor, or a list, tuple or dict of tensors."
_PER_SAMPLE = "Expected a tensor: one number per sample, or one number."
_FINITE = "Expected finite numbers: one NaN turns every weight into NaN."
_DICT = "Expected a dict of numbers by name: what is shown and kept in the history."
_ONE = "Expected a tensor with one number: the loss of the batch."
_SO_FAR, _FLOAT = (
    "Expected the value so far: a number, or a dict of numbers.",
    "Expected a learning rate: a finite float.",
)
_SHAPE, _SAME = "Expected a tensor of shape (4, 1).", "Expected a tensor of the weight's shape, (4, 1)."
_AT = "returned {} at step 0 of sgd."
_LOOK = "Fix: look at [schedule(step) for step in range(0, 3)]"
_ROOT = "before a logarithm, root or division in"
_GRADIENT = "Fix: no NumPy, .item(), .detach(), argmax or comparison between y_pred and what the loss returns"
RETURNED = [
    (
        *(layer, nothing, ValueError, "Own 'own': its call() returned None for an input of shape (None, 4)."),
        *(_ONE_TENSOR, "Fix: return ... as the last line of Own.call"),
    ),
    (
        *(layer, other_shape, ValueError),
        "Own 'own': its call() returned the shape (2, 3, 5), whatever the number of samples.",
        "Expected one row per sample: the first axis of the input stays the first axis of the output.",
        "Fix: inputs.mean(-1) in place of inputs.mean(0), and inputs.shape[0] for the number of samples, in Own.call",
    ),
    (
        *(layer, not_a_number, ValueError),
        "Own 'own': its call() returned NaN for finite numbers of shape (20, 4), in the first batch.",
        *(_FINITE, f"Fix: x.clamp(min=1e-7) {_ROOT} Own.call"),
    ),
    (
        *(activation, nothing, ValueError),
        "Dense 'answer': its function 'bent' returned None for an input of shape (None, 4).",
        *(_ONE_TENSOR, "Fix: return ... as the last line of bent"),
    ),
    (
        *(activation, text, ValueError),
        "Dense 'answer': its function 'bent' returned a str for an input of shape (None, 4).",
        *(_ONE_TENSOR, "Fix: torch functions in place of NumPy's, and no .item() or .numpy(), in bent"),
    ),
    (
        *(activation, not_a_number, ValueError),
        "Dense 'answer': its function 'bent' returned NaN for finite numbers of shape (20, 4), in the first batch.",
        *(_FINITE, f"Fix: x.clamp(min=1e-7) {_ROOT} bent"),
    ),
    (
        *(loss, nothing, ValueError, "OwnLoss 'own_loss' returned None.", _PER_SAMPLE),
        "Fix: return ... as the last line of OwnLoss.call",
    ),
    (
        *(loss, text, TypeError, "OwnLoss 'own_loss' returned a str.", _PER_SAMPLE),
        "Fix: return (y_true - y_pred).square().mean(-1)  in OwnLoss.call",
    ),
    (
        *(loss, other_shape, ValueError, "OwnLoss 'own_loss' gives a number that no gradient reaches."),
        *("Expected torch operations on y_pred that have a gradient.", _GRADIENT),
    ),
    (
        *(loss, not_a_number, ValueError),
        "OwnLoss 'own_loss' returned NaN for the first batch, whose y and y_pred are finite.",
        *(_FINITE, f"Fix: y_pred.clamp(min=1e-7) {_ROOT} OwnLoss.call"),
    ),
    (
        *(loss_function, nothing, ValueError, "The loss 'own_loss' returned None.", _PER_SAMPLE),
        "Fix: return ... as the last line of own_loss",
    ),
    (
        *(loss_function, not_a_number, ValueError),
        "The loss 'own_loss' returned NaN for the first batch, whose y and y_pred are finite.",
        *(_FINITE, f"Fix: y_pred.clamp(min=1e-7) {_ROOT} own_loss"),
    ),
    (
        *(metric_result, nothing, TypeError, "OwnMetric 'own_metric': its result() returned None.", _SO_FAR),
        "Fix: return ... as the last line of OwnMetric.result",
    ),
    (
        *(metric_result, text, TypeError, "OwnMetric 'own_metric': its result() returned a str.", _SO_FAR),
        "Fix: return self.total  in OwnMetric.result",
    ),
    (
        *(metric_function, nothing, ValueError, "The metric 'own_metric' returned None.", _PER_SAMPLE),
        "Fix: return ... as the last line of own_metric",
    ),
    (
        *(metric_function, text, TypeError, "The metric 'own_metric' returned a str.", _PER_SAMPLE),
        "Fix: return (y_true - y_pred).abs().mean(-1)  in own_metric",
    ),
    (
        *(initializer, nothing, TypeError, f"OwnInitializer returned None for {_KERNEL}.", _SHAPE),
        "Fix: return ... as the last line of OwnInitializer.__call__",
    ),
    (
        *(initializer_function, other_shape, ValueError),
        f"The initializer 'own_start' returned a tensor of shape (2, 3, 5) for {_KERNEL}.",
        *(_SHAPE, "Fix: use the argument shape: torch.full(tuple(shape), 0.5)"),
    ),
    (
        *(initializer, not_a_number, ValueError, f"OwnInitializer returned NaN for {_KERNEL}.", _FINITE),
        "Fix: look for 0 / 0, or the root of a negative number, in OwnInitializer.__call__",
    ),
    (
        *(regularizer, nothing, TypeError, f"OwnRegularizer returned None on {_KERNEL}, of shape (4, 1).", _PENALTY),
        "Fix: return ... as the last line of OwnRegularizer.__call__",
    ),
    (
        *(regularizer, text, TypeError, f"OwnRegularizer returned a str on {_KERNEL}, of shape (4, 1).", _PENALTY),
        "Fix: return 0.01 * x.square().sum()",
    ),
    (
        *(regularizer, not_a_number, ValueError, f"OwnRegularizer returned NaN on {_KERNEL}, of shape (4, 1)."),
        "Expected a finite penalty: one NaN turns every weight into NaN.",
        "Fix: look for 0 / 0, or the logarithm or root of a negative number, in OwnRegularizer.__call__",
    ),
    (
        *(regularizer, other_shape, ValueError),
        f"OwnRegularizer gives a number that no gradient reaches, on {_KERNEL}, of shape (4, 1).",
        "Expected torch operations on the weight that have a gradient.",
        "Fix: no NumPy, .item(), .detach() or comparison between the weight and what OwnRegularizer.__call__ returns",
    ),
    (
        *(activity_regularizer, nothing, TypeError),
        "OwnRegularizer returned None on the output of Dense 'answer', of shape (2, 1).",
        *(_PENALTY, "Fix: return ... as the last line of OwnRegularizer.__call__"),
    ),
    (
        *(activity_regularizer, not_a_number, ValueError),
        "OwnRegularizer returned NaN on the output of Dense 'answer', in the first batch.",
        "Expected a finite penalty: one NaN turns every weight into NaN.",
        f"Fix: x.clamp(min=1e-7) {_ROOT} OwnRegularizer.__call__",
    ),
    (
        *(constraint, nothing, TypeError, f"OwnConstraint returned None for {_KERNEL}.", _SAME),
        "Fix: return ... as the last line of OwnConstraint.__call__",
    ),
    (
        *(constraint, other_shape, ValueError),
        f"OwnConstraint returned a tensor of shape (2, 3, 5) for {_KERNEL}.",
        *(_SAME, "Fix: return w.clamp(-1, 1)  in OwnConstraint.__call__"),
    ),
    (
        *(constraint, not_a_number, ValueError, f"OwnConstraint returned NaN for {_KERNEL}, of shape (4, 1).", _FINITE),
        "Fix: w / (w.norm() + 1e-7) in place of w / w.norm(), for a length of 0, in OwnConstraint.__call__",
    ),
    (schedule, nothing, TypeError, f"OwnSchedule {_AT.format('None')}", _FLOAT, _LOOK),
    (schedule, other_shape, ValueError, f"OwnSchedule {_AT.format('a tensor of shape (2, 3, 5)')}", _FLOAT, _LOOK),
    (schedule, not_a_number, ValueError, f"OwnSchedule {_AT.format('nan')}", _FLOAT, _LOOK),
    (
        *(schedule_function, text, ValueError, f"The learning rate function 'own_rate' {_AT.format('a str')}"),
        *(_FLOAT, _LOOK),
    ),
    (
        *(optimizer, not_a_number, ValueError),
        "OwnOptimizer 'own_optimizer' turned the weight 'net/answer/kernel' into NaN in its first step, "
        "with a gradient that is finite.",
        "Expected finite numbers.",
        "Fix: gradient / (velocity.sqrt() + 1e-7): a small number where something is divided by 0",
    ),
    (
        *(train_step, nothing, TypeError, "Own 'net': its train_step() returned None.", _DICT),
        'Fix: return {"loss": loss} as the last line of train_step',
    ),
    (
        *(train_step, other_shape, TypeError, "Own 'net': its train_step() returned a tensor of shape (2, 3, 5)."),
        *(_DICT, 'Fix: return {"loss": loss} as the last line of train_step'),
    ),
    (
        *(compute_loss, nothing, TypeError, "Own 'net': its compute_loss() returned None.", _ONE),
        "Fix: return ... as the last line of Own.compute_loss",
    ),
    (
        *(compute_loss, other_shape, ValueError),
        "Own 'net': its compute_loss() returned a tensor of shape (2, 3, 5).",
        *(_ONE, "Fix: loss.mean()"),
    ),
]


@pytest.mark.parametrize(
    ("kind", "fail", "error", "came", "expected", "fix"),
    RETURNED,
    ids=[f"{kind.__name__}-{fail.__name__}" for kind, fail, *_ in RETURNED],
)
def test_a_part_that_returns_what_it_cannot(kind, fail, error, came, expected, fix):
    caught = answer(kind, fail)
    assert str(caught).split("\n") == [came, expected, fix]
    assert isinstance(caught, error) and type(caught).__name__ == error.__name__


@pytest.mark.parametrize(
    ("kind", "who", "place"),
    [
        (metric_result, "OwnMetric 'own_metric'", "OwnMetric.result"),
        (metric_function, "The metric 'own_metric'", "own_metric"),
    ],
)
def test_a_metric_that_is_nan_is_named_once(kind, who, place):
    with pytest.warns(keras.UncrumpleWarning) as caught:
        kind(not_a_number)
    assert [str(one.message) for one in caught] == [
        f"{who} is NaN for this epoch, and the loss is not.\n"
        f"Expected a finite number.\nFix: numerator / (denominator + 1e-7) in {place}"
    ]


# --- methods that take something else -------------------------------------------------------


def said(make):
    with pytest.raises(Exception) as caught:
        make()
    return str(caught.value).split("\n")


def test_a_callback_that_takes_something_else():
    class Narrow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch):
            pass

    assert said(lambda: fit(callbacks=[Narrow()])) == [
        "Narrow: its on_epoch_end() takes (epoch), and is called with (epoch, logs).",
        "Expected it to take what callbacks are given.",
        "Fix: def on_epoch_end(self, epoch, logs=None): ...",
    ]


def test_a_callback_that_looks_for_logs_that_are_not_there():
    class Curious(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            print(logs["los"])

    assert said(lambda: fit(callbacks=[Curious()])) == [
        "Curious failed in on_epoch_end() at epoch 0: logs has no 'los'.",
        "Expected one of: loss.",
        "Fix: did you mean 'loss'?",
    ]


def test_a_rate_that_wants_the_step():
    def falling(step):
        return 0.1 / (1 + step)

    assert said(lambda: fit(optimizer=keras.optimizers.SGD(falling, name="sgd"))) == [
        "The learning rate function 'falling' of sgd takes an argument, and is called without any.",
        "Expected a function without arguments, or a LearningRateSchedule, which is called with the step.",
        "Fix: class Falling(LearningRateSchedule): def __call__(self, step): return 0.1 / (1 + step)",
    ]


def test_an_initializer_that_takes_no_type():
    class Narrow(keras.initializers.Initializer):
        def __call__(self, shape):
            return torch.zeros(shape)

    assert said(lambda: fit(kernel_initializer=Narrow())) == [
        f"Narrow failed for {_KERNEL}: it does not take (shape, dtype).",
        _SHAPE,
        "Fix: def __call__(self, shape, dtype=None): ...",
    ]


def test_an_optimizer_that_returns_the_weight():
    class Returns(keras.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            return variable - learning_rate * gradient

    assert said(lambda: fit(optimizer=Returns(0.1))) == [
        "Returns 'returns': its update_step() returned a tensor of shape (4, 1).",
        "Expected it to change the weight in place, and to return nothing.",
        "Fix: self.assign(variable, ...) or self.assign_sub(variable, ...) in place of return",
    ]


def test_an_explained_error_within_a_part_says_whose_it_was():
    class Grows(keras.metrics.Metric):
        def __init__(self, name="grows"):
            super().__init__(name=name)
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign(y_pred)

        def result(self):
            return self.total

    with pytest.raises(ValueError) as caught:
        fit(metrics=[Grows()])
    assert str(caught.value).startswith("Variable 'grows/total' has shape () and got a value of shape (20, 1).")
    (note,) = caught.value.__notes__
    assert note.startswith("This was in Grows 'grows' in update_state() on y of shape (20,)")
    assert note.endswith("self.total.assign(y_pred).")


# --- no false alarms ------------------------------------------------------------------------


def test_numbers_that_are_fine_train():
    class Penalty(keras.regularizers.Regularizer):
        def __call__(self, x):
            return 0.0

    class Keeps(keras.constraints.Constraint):
        def __call__(self, w):
            return w

    def start(shape, dtype=None):
        return np.full(shape, 0.5)

    history = fit(
        kernel_regularizer=Penalty(),
        activity_regularizer=Penalty(),
        kernel_constraint=Keeps(),
        kernel_initializer=start,
        bias_regularizer=lambda x: 0.01 * x.square(),
        activation=functools.partial(keras.activations.relu, max_value=3.0),
    )
    assert np.isfinite(history["loss"][0])


def test_nan_that_a_loss_leaves_out_is_fine():
    """A layer may use NaN for "missing", where the loss knows about it."""

    class Gaps(keras.layers.Layer):
        def call(self, inputs):
            return torch.where(inputs > 0.5, inputs, torch.nan)

    def known(y_true, y_pred):
        return (y_true - y_pred).square().nanmean()

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones"), Gaps()])
    model.compile("sgd", known)
    assert np.isfinite(model.fit(X[:, :1], X[:, 0], verbose=0).history["loss"][0])


def test_looking_for_nan_leaves_the_model_as_it_is():
    class Counts(keras.layers.Layer):
        def build(self, input_shape):
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs):
            self.calls.assign_add(1.0)
            return inputs

    counts = Counts()
    model = keras.Sequential([keras.Input((4,)), counts, keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=10, epochs=3, verbose=0)
    assert counts.calls.numpy() == 6


def test_training_with_own_parts_draws_the_same_random_numbers():
    class Same(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    def weights(layer):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dropout(0.5), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(X, Y, batch_size=5, epochs=2, verbose=0)
        return model.get_weights()[0]

    np.testing.assert_array_equal(weights(Same()), weights(keras.layers.Identity()))
