"""The outside of an optimizer: arguments, learning rate, torch's and Keras's interfaces, copies and files."""

import io
import pickle

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from uncrumple import optimizers
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.core.registry import CustomObjectScope
from uncrumple.core.variable import Variable
from uncrumple.optimizers import SGD, Adam, AdamW, LossScaleOptimizer, MultiOptimizer, OptimizerMap, RMSprop
from uncrumple.optimizers.schedules import CosineDecay, ExponentialDecay


def weights():
    torch.manual_seed(0)
    return [Variable(torch.randn(3, 4), name="kernel"), torch.nn.Parameter(torch.randn(4))]


def steps(optimizer, parameters, numbers):
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def values(parameters):
    return np.concatenate([parameter.detach().numpy().ravel() for parameter in parameters])


# --- arguments --------------------------------------------------------------------

PARAMETERS = (
    "this looks like a model's parameters.\n"
    "Expected learning_rate first: Keras's optimizers get the weights later, in build().\n"
    "Fix: optimizer = Adam(learning_rate=0.001); optimizer.build(model.trainable_variables)"
)


@pytest.mark.parametrize("wrong", ["generator", "list", "Linear", "Parameter"])
def test_torch_manner(wrong):
    module = torch.nn.Linear(2, 1)
    given = {"generator": module.parameters(), "list": list(module.parameters()), "Linear": module}
    with pytest.raises(TypeError) as error:
        Adam(given.get(wrong, module.bias))
    assert str(error.value) == f"Adam got a {wrong} as its learning_rate: {PARAMETERS}"


@pytest.mark.parametrize(
    "given, meant",
    [("lr", "learning_rate"), ("eps", "epsilon"), ("betas", "beta_1"), ("wieght_decay", "weight_decay")],
)
def test_unknown_argument(given, meant):
    with pytest.raises(ValueError) as error:
        Adam(**{given: 0.1})
    came, expected, fix = str(error.value).split("\n")
    assert came == f"Adam got an unknown argument '{given}'."
    assert expected.startswith(f"Expected one of 15 arguments, such as: {meant}, ")
    assert fix == f"Fix: did you mean '{meant}='?"


def test_decay_of_keras_2():
    with pytest.raises(ValueError) as error:
        Adam(decay=0.01)
    assert str(error.value) == (
        "Adam got decay=0.01, an argument of Keras 2.\n"
        "Expected a schedule in place of a learning rate that shrinks.\n"
        "Fix: learning_rate=schedules.InverseTimeDecay(0.001, decay_steps=1, decay_rate=0.01)"
    )
    assert Adam(decay=0.0).learning_rate == 0.001  # as old configs have it


@pytest.mark.parametrize(
    "wrong, shown, fix",
    [
        (1, "1 (int)", "learning_rate=1.0"),
        ("0.1", "'0.1' (str)", "learning_rate=0.1"),
        (None, "None (NoneType)", "learning_rate=0.001"),
        (True, "True (bool)", "learning_rate=0.001"),
    ],
)
def test_learning_rate_must_be_a_float(wrong, shown, fix):
    with pytest.raises(ValueError) as error:
        Adam(wrong)
    assert str(error.value) == (
        f"Adam got learning_rate={shown}.\n"
        "Expected a float, a LearningRateSchedule, or a function without arguments that returns a float.\n"
        f"Fix: {fix}"
    )


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: Adam(-0.1),
            "learning_rate=-0.1.\nExpected a number with learning_rate >= 0.\nFix: learning_rate=0.1",
        ),
        (
            lambda: Adam(float("nan")),
            "learning_rate=nan.\nExpected a number with learning_rate >= 0.\nFix: learning_rate=0.001",
        ),
        (
            lambda: Adam(float("inf")),
            "learning_rate=inf.\nExpected a number with learning_rate >= 0.\nFix: learning_rate=0.001",
        ),
        (lambda: Adam(beta_1=1.0), "beta_1=1.0.\nExpected a number with 0 <= beta_1 < 1.\nFix: beta_1=0.9"),
        (lambda: Adam(beta_2=-0.1), "beta_2=-0.1.\nExpected a number with 0 <= beta_2 < 1.\nFix: beta_2=0.999"),
        (lambda: Adam(epsilon=-1.0), "epsilon=-1.0.\nExpected a number with epsilon >= 0.\nFix: epsilon=1e-07"),
        (
            lambda: Adam(weight_decay=-1.0),
            "weight_decay=-1.0.\nExpected a number with weight_decay >= 0.\nFix: weight_decay=0.004",
        ),
        (lambda: Adam(clipnorm=0), "clipnorm=0.\nExpected a number with clipnorm > 0.\nFix: clipnorm=1.0"),
        (lambda: Adam(clipvalue=-1), "clipvalue=-1.\nExpected a number with clipvalue > 0.\nFix: clipvalue=0.5"),
        (
            lambda: Adam(global_clipnorm="1"),
            "global_clipnorm='1'.\nExpected a number with global_clipnorm > 0.\nFix: global_clipnorm=1.0",
        ),
        (
            lambda: Adam(ema_momentum=1.1),
            "ema_momentum=1.1.\nExpected a number with 0 <= ema_momentum <= 1.\nFix: ema_momentum=0.99",
        ),
        (
            lambda: Adam(ema_overwrite_frequency=0),
            "ema_overwrite_frequency=0.\nExpected an integer with ema_overwrite_frequency >= 1.\n"
            "Fix: ema_overwrite_frequency=100",
        ),
        (
            lambda: Adam(gradient_accumulation_steps=1),
            "gradient_accumulation_steps=1.\nExpected an integer with gradient_accumulation_steps >= 2.\n"
            "Fix: gradient_accumulation_steps=4",
        ),
        (
            lambda: Adam(loss_scale_factor=0.0),
            "loss_scale_factor=0.0.\nExpected a number with loss_scale_factor > 0.\nFix: loss_scale_factor=1024.0",
        ),
        (
            lambda: Adam(clipnorm=1.0, clipvalue=2.0),
            "clipnorm=1.0 and clipvalue=2.0.\nExpected at most one of clipnorm, clipvalue and global_clipnorm.\n"
            "Fix: Adam(clipvalue=2.0)",
        ),
        (lambda: SGD(momentum=1.5), "momentum=1.5.\nExpected a number with 0 <= momentum <= 1.\nFix: momentum=0.9"),
        (lambda: RMSprop(rho=1.0), "rho=1.0.\nExpected a number with 0 <= rho < 1.\nFix: rho=0.9"),
        (
            lambda: optimizers.Adafactor(beta_2_decay=0.0),
            "beta_2_decay=0.0.\nExpected a number with beta_2_decay < 0.\nFix: beta_2_decay=-0.8",
        ),
        (
            lambda: optimizers.Adafactor(clip_threshold=0.0),
            "clip_threshold=0.0.\nExpected a number with clip_threshold > 0.\nFix: clip_threshold=1.0",
        ),
        (
            lambda: optimizers.Adafactor(epsilon_1=-1.0),
            "epsilon_1=-1.0.\nExpected a number with epsilon_1 >= 0.\nFix: epsilon_1=1e-30",
        ),
        (
            lambda: optimizers.Muon(muon_b=float("nan")),
            "muon_b=nan.\nExpected a finite number.\nFix: muon_b=-4.775",
        ),
        (
            lambda: optimizers.Muon(ns_steps=2.5),
            "ns_steps=2.5.\nExpected an integer with ns_steps >= 1.\nFix: ns_steps=5",
        ),
        (
            lambda: optimizers.Muon(exclude_layers=["out("]),
            "exclude_layers with 'out(': missing ), unterminated subpattern at position 3.\n"
            'Expected parts of the paths of weights, or regular expressions.\nFix: exclude_layers=["output"]',
        ),
        (
            lambda: optimizers.ScheduleFreeAdamW(warmup_steps=-1),
            "warmup_steps=-1.\nExpected an integer with warmup_steps >= 0.\nFix: warmup_steps=100",
        ),
        (
            lambda: optimizers.ScheduleFreeAdamW(beta_1=1.5),
            "beta_1=1.5.\nExpected a number with 0 <= beta_1 <= 1.\nFix: beta_1=0.9",
        ),
        (
            lambda: AdamW(weight_decay=None),
            "weight_decay=None.\nExpected a number: without weight decay, AdamW is Adam.\n"
            "Fix: AdamW(weight_decay=0.004), or Adam()",
        ),
        (
            lambda: LossScaleOptimizer(Adam(), initial_scale=0),
            "initial_scale=0.\nExpected a number with initial_scale > 0.\nFix: initial_scale=32768.0",
        ),
        (
            lambda: LossScaleOptimizer(Adam(), clipnorm=1.0),
            "clipnorm.\nExpected it on the optimizer inside.\nFix: LossScaleOptimizer(Adam(clipnorm=...))",
        ),
        (
            lambda: LossScaleOptimizer(Adam(), dynamic=False),
            "dynamic=False.\nExpected a scale that adapts: a fixed one belongs to the optimizer itself.\n"
            "Fix: Adam(loss_scale_factor=1024.0)",
        ),
    ],
)
def test_impossible_values(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).split(" got ", 1)[1] == message


def test_loss_scale_wraps_one_optimizer():
    for wrong in ("adam", LossScaleOptimizer(Adam())):
        with pytest.raises(TypeError, match="Expected an optimizer of this package that does not scale the loss yet"):
            LossScaleOptimizer(wrong)
    inner = Adam(loss_scale_factor=8.0)
    LossScaleOptimizer(inner, weight_decay=None, ema_momentum=0.99)
    assert inner.loss_scale_factor is None


def test_zero_learning_rate_moves_nothing():
    parameters = weights()
    before = values(parameters)
    optimizer = AdamW(0.0, weight_decay=0.5)
    optimizer.build(parameters)
    steps(optimizer, parameters, range(2))
    np.testing.assert_array_equal(values(parameters), before)


# --- the learning rate and the count ------------------------------------------------


def test_learning_rate_is_a_number_that_can_be_assigned():
    optimizer = Adam(0.25)
    for built in (False, True):
        assert optimizer.learning_rate == 0.25 and isinstance(optimizer.learning_rate, float)
        assert optimizer.learning_rate.numpy() == np.float32(0.25) and optimizer.learning_rate.value == 0.25
        assert optimizer.learning_rate.assign(0.5) == 0.5 == optimizer.learning_rate
        for same in (np.float32(0.25), torch.tensor(0.25), np.array(0.25), 0.25):
            optimizer.learning_rate = same
            assert optimizer.learning_rate == 0.25 and type(optimizer._rate) is float
        if not built:
            assert optimizer.param_groups == []
            optimizer.build(weights())
    assert optimizer.param_groups[0]["lr"] == 0.25
    optimizer.learning_rate = 1
    assert optimizer.param_groups[0]["lr"] == 1.0
    with pytest.raises(ValueError, match=r"learning_rate=-1\.0"):
        optimizer.learning_rate = -1
    assert pickle.loads(pickle.dumps(optimizer.learning_rate)) == 1.0


def test_schedule_is_shown_and_cannot_be_overwritten_by_a_number():
    parameters = weights()
    optimizer = SGD(ExponentialDecay(0.1, 1, 0.5))
    optimizer.build(parameters)
    for rate in (0.1, 0.05, 0.025):
        assert optimizer.learning_rate == pytest.approx(rate)
        steps(optimizer, parameters, [0])
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)
    for assign in (lambda: setattr(optimizer, "learning_rate", 0.1), lambda: optimizer.learning_rate.assign(0.1)):
        with pytest.raises(TypeError) as error:
            assign()
        assert str(error.value) == (
            "SGD was made with a schedule, and learning_rate=0.1 was assigned.\n"
            "Expected another schedule: this one would overwrite a number at the next step.\n"
            "Fix: make the optimizer with a number, SGD(learning_rate=0.001), or assign a schedule"
        )
    optimizer.learning_rate = CosineDecay(0.3, 100)
    assert optimizer.learning_rate == pytest.approx(0.3, rel=1e-2)


def test_a_schedule_put_in_later_takes_the_rate_out_of_the_variables():
    optimizer = SGD(0.1)
    assert [one.name for one in optimizer.variables] == ["iteration", "learning_rate"]
    optimizer.learning_rate = CosineDecay(0.3, 100)
    assert [one.name for one in optimizer.variables] == ["iteration"]


def test_a_users_schedule_gets_the_step():
    class Mine(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return torch.tensor(0.5) / (step + 1)

    parameters = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = SGD(Mine())
    optimizer.build(parameters)
    for _ in range(2):
        parameters[0].grad = torch.ones(1)
        optimizer.step()
    assert parameters[0].item() == -0.75 and type(optimizer.param_groups[0]["lr"]) is float


def test_lr_is_refused_in_both_directions():
    optimizer = Adam()
    with pytest.raises(AttributeError) as error:
        optimizer.lr = 0.1
    assert str(error.value) == (
        "Adam has no attribute 'lr'.\nExpected learning_rate.\nFix: optimizer.learning_rate = 0.001"
    )
    assert not hasattr(optimizer, "lr")


def test_iterations():
    parameters = weights()
    optimizer = SGD(gradient_accumulation_steps=2)
    optimizer.build(parameters)
    steps(optimizer, parameters, range(5))
    assert optimizer.iterations == 2 and isinstance(optimizer.iterations, int)
    assert optimizer.iterations.numpy() == 2 and optimizer.iterations.value == 2
    assert optimizer.iterations.assign(10) == 10
    assert optimizer.variables[0].numpy() == 20


# --- as a torch optimizer -----------------------------------------------------------


def test_state_dict_of_another_optimizer_is_refused():
    parameters = weights()
    mine, other = Adam(), torch.optim.Adam(parameters)
    mine.build(parameters)
    before = mine.state_dict()["param_groups"]
    steps(other, parameters, [0])
    with pytest.raises(ValueError) as error:
        mine.load_state_dict(other.state_dict())
    assert str(error.value) == (
        "The state for 'kernel' holds: exp_avg, exp_avg_sq, step.\n"
        "Expected what Adam keeps: momentum, velocity.\n"
        "Fix: load the state of an optimizer of the same class with the same settings"
    )
    assert mine.state_dict()["param_groups"] == before
    with pytest.raises(ValueError, match="has no weights yet"):
        Adam().state_dict()


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: lr_scheduler.StepLR(o, 2, gamma=0.1),
        lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
        lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=6),
        lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=2),
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.5)], milestones=[2]
        ),
    ],
)
@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_schedulers_of_torch(schedule, kind):
    """The rates are torch's own; for SGD without momentum in v the weights can be compared, too."""
    parameters, others = weights(), weights()
    mine = SGD(0.1, momentum=0.9) if kind == "momentum" else Adam(0.1)
    theirs = torch.optim.SGD(others, 0.1, 0.9) if kind == "momentum" else torch.optim.Adam(others, 0.1)
    mine.build(parameters)
    one, two = schedule(mine), schedule(theirs)
    for number in range(5):
        for optimizer, scheduler, list_ in ((mine, one, parameters), (theirs, two, others)):
            steps(optimizer, list_, [number])
            scheduler.step()
        assert mine.learning_rate == pytest.approx(theirs.param_groups[0]["lr"])
        for key in ("momentum", "betas"):
            if key in theirs.param_groups[0]:
                assert mine.param_groups[0][key] == pytest.approx(theirs.param_groups[0][key])
    assert mine.iterations == 5
    if kind == "momentum":
        assert mine.momentum == pytest.approx(theirs.param_groups[0]["momentum"])
    else:
        assert (mine.beta_1, mine.beta_2) == pytest.approx(theirs.param_groups[0]["betas"])
        np.testing.assert_allclose(values(parameters), values(others), rtol=1e-3, atol=1e-4)


def test_reduce_on_plateau_moves_the_rate():
    optimizer = LossScaleOptimizer(SGD(0.1))
    optimizer.build(weights())
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    for loss in (1.0, 2.0, 3.0):
        scheduler.step(loss)
    assert optimizer.learning_rate == pytest.approx(0.001)


def test_a_scheduler_before_build_is_refused():
    optimizer = SGD(0.1, name="sgd")
    lr_scheduler.StepLR(optimizer, 2)
    with pytest.raises(ValueError, match=r"A torch learning rate scheduler was given SGD 'sgd' before build\(\)"):
        optimizer.build(weights())


def test_momentum_cannot_appear_after_build():
    optimizer = SGD(0.1)
    optimizer.build(weights())
    with pytest.raises(ValueError, match=r"Fix: SGD\(momentum=0\.9\)"):
        optimizer.momentum = 0.9
    optimizer = SGD(0.1, momentum=0.5)
    optimizer.momentum = 0.9
    optimizer.build(weights())
    optimizer.momentum = 0.8
    assert optimizer.momentum == 0.8 == optimizer.get_config()["momentum"]


def test_another_group_is_refused():
    optimizer = SGD()
    for _ in range(2):
        with pytest.raises(ValueError) as error:
            optimizer.add_param_group({"params": weights()})
        assert str(error.value) == (
            "SGD got another group of weights.\n"
            "Expected all weights at once, in build().\n"
            "Fix: make a new SGD, and build it on all weights"
        )
        optimizer.build(weights())


def test_build_once_and_each_weight_once():
    kernel, bias = weights()
    optimizer = Adam()
    optimizer.build(iter([kernel, bias, kernel]))
    assert len(optimizer.variables) == 6
    optimizer.build([bias])
    assert optimizer.param_groups[0]["params"] == [kernel, bias]


# --- copies and files ---------------------------------------------------------------


def test_a_store_of_another_size_is_left_alone():
    optimizer = Adam(name="adam")
    optimizer.build(weights())
    with pytest.warns(UncrumpleWarning) as seen:
        optimizer.load_own_variables({"0": np.array(3)})
    assert str(seen[0].message) == (
        "The file holds 1 variables for 'adam', which has 6.\n"
        "Expected as many; the optimizer starts afresh.\n"
        "Fix: compile the model with the optimizer and settings it was saved with"
    )
    assert optimizer.iterations == 0
    with pytest.raises(ValueError, match="has shape \\(\\) and got a value of shape \\(2,\\)"):
        optimizer.variables[0].assign(np.zeros(2))


def test_plain_parameters_are_named_by_their_place():
    optimizer = SGD(momentum=0.9, name="sgd")
    optimizer.build(weights())
    assert [one.path for one in optimizer.variables] == [
        "sgd/iteration",
        "sgd/learning_rate",
        "sgd/kernel_momentum",
        "sgd/parameter_1_momentum",
    ]
    assert [one.shape for one in optimizer.variables] == [(), (), (3, 4), (4,)]


# --- names and configs ----------------------------------------------------------------


@pytest.mark.parametrize(
    "name, kind",
    [
        ("adam", Adam),
        ("Adam", Adam),
        ("ADAM", Adam),
        ("sgd", SGD),
        ("rmsprop", RMSprop),
        ("RMSprop", RMSprop),
        ("adamw", AdamW),
    ],
)
def test_get_by_name(name, kind):
    assert type(optimizers.get(name)) is kind
    assert type(optimizers.get({"class_name": name, "config": {"learning_rate": 0.5}})) is kind


def test_get_returns_optimizers_as_they_are():
    ours, theirs = Adam(), torch.optim.Adam(weights())
    assert optimizers.get(ours) is ours and optimizers.get(theirs) is theirs and optimizers.get(None) is None


@pytest.mark.parametrize("wrong", ["rmsprob", {"class_name": "rmsprob", "config": {}}])
def test_unknown_name(wrong):
    with pytest.raises(ValueError) as error:
        optimizers.get(wrong)
    first, second, third = str(error.value).split("\n")
    assert first == "Unknown optimizer: 'rmsprob'." and third == "Fix: did you mean 'RMSprop'?"
    assert second == "Expected one of 14 names, such as: RMSprop, Lamb, Muon."


def test_a_class_is_not_an_optimizer():
    with pytest.raises(ValueError, match=r"Fix: optimizer=Adam\(\)"):
        optimizers.get(Adam)
    with pytest.raises(ValueError, match=r"The optimizer is 3, of type int"):
        optimizers.get(3)


def test_an_own_optimizer_by_name_and_config():
    class Half(SGD):
        def update_weights(self, weights, gradients, learning_rate, slots):
            super().update_weights(weights, gradients, learning_rate / 2, slots)

    with CustomObjectScope({"Half": Half}):
        assert type(optimizers.get("Half")) is Half
        made = optimizers.deserialize(optimizers.serialize(Half(0.5, name="half")))
    assert type(made) is Half and made.learning_rate == 0.5 and made.name == "half"
    config = optimizers.serialize(Half(0.5))
    assert type(optimizers.deserialize(config, custom_objects={"Half": Half})) is Half


def test_variables_of_no_weight_are_in_the_state_dict():
    class Counting(SGD):
        def build(self, variables):
            super().build(variables)
            self.seen = self.add_variable((2,), initializer="ones", name="seen")

    one, two = Counting(name="one"), Counting(name="two")
    one.build(weights())
    two.build(weights())
    one.seen.assign([3.0, 4.0])
    assert one.variables[-1].path == "one/seen"
    two.load_state_dict(one.state_dict())
    assert two.seen.numpy().tolist() == [3.0, 4.0]


def test_an_optimizer_without_a_formula():
    optimizer = optimizers.Optimizer(0.1)
    parameters = weights()
    optimizer.build(parameters)
    with pytest.raises(NotImplementedError, match="Optimizer has neither update_step nor update_weights"):
        steps(optimizer, parameters, [0])


def test_repr():
    assert repr(Adam(0.25, name="adam")) == "<Adam 'adam', learning_rate=0.25, iterations=0>"
    assert "scale=8" in repr(LossScaleOptimizer(SGD(), initial_scale=8.0))


def test_torch_save_of_the_whole_optimizer():
    optimizer = Adam(0.1)
    parameters = weights()
    optimizer.build(parameters)
    steps(optimizer, parameters, range(2))
    buffer = io.BytesIO()
    torch.save((parameters, optimizer), buffer)
    buffer.seek(0)
    others, again = torch.load(buffer, weights_only=False)
    steps(optimizer, parameters, [2])
    steps(again, others, [2])
    np.testing.assert_array_equal(values(parameters), values(others))


# --- several optimizers in one ----------------------------------------------------------


def map_error(make):
    with pytest.raises((ValueError, TypeError)) as error:
        make()
    return type(error.value), str(error.value)


@pytest.mark.parametrize(
    "make, kind, message",
    [
        (
            lambda: OptimizerMap("adam"),
            TypeError,
            "OptimizerMap got default_optimizer='adam'.\nExpected an optimizer of this package.\n"
            'Fix: OptimizerMap(SGD(0.01), {"encoder/.*": Adam(0.001)})',
        ),
        (
            lambda: OptimizerMap(SGD(), [1]),
            TypeError,
            "OptimizerMap got optimizer_map=[1].\nExpected a dict from paths of weights to optimizers.\n"
            'Fix: OptimizerMap(SGD(0.01), {"encoder/.*": Adam(0.001)})',
        ),
        (
            lambda: OptimizerMap(SGD(), {3: SGD()}),
            ValueError,
            "OptimizerMap got the key 3, of type int.\n"
            "Expected the path of a weight, or a regular expression for paths.\n"
            'Fix: optimizer_map["encoder/.*"] = Adam(0.001)',
        ),
        (
            lambda: OptimizerMap(SGD(), {"a": "adam"}),
            ValueError,
            "OptimizerMap got 'adam' for 'a'.\nExpected an optimizer of this package.\n"
            "Fix: optimizer_map['a'] = Adam(0.001)",
        ),
        (
            lambda: OptimizerMap(SGD(), {"a(": SGD()}),
            ValueError,
            "OptimizerMap got the key 'a(', which is no regular expression: "
            "missing ), unterminated subpattern at position 1.\n"
            "Expected the path of a weight, or a regular expression for paths.\nFix: optimizer_map['a\\\\('] = ...",
        ),
        (
            lambda: OptimizerMap(SGD(), {"a": SGD(0.5, name="s")}).__setitem__("a", SGD()),
            ValueError,
            "OptimizerMap got the key 'a' twice.\n"
            "Expected it once; it stands for <SGD 's', learning_rate=0.5, iterations=0>.\n"
            "Fix: del optimizer_map['a'], and set it anew",
        ),
        (
            lambda: OptimizerMap(SGD(), {"a.*": SGD(), ".*b": SGD()})["ab"],
            ValueError,
            "The weight 'ab' fits 2 keys of the OptimizerMap: 'a.*', '.*b'.\nExpected at most one.\n"
            "Fix: narrow the patterns, or add the path itself: optimizer_map['ab'] = ...",
        ),
        (
            lambda: OptimizerMap(LossScaleOptimizer(SGD())),
            ValueError,
            "OptimizerMap got a LossScaleOptimizer.\nExpected optimizers that hold no others.\n"
            "Fix: LossScaleOptimizer(MultiOptimizer(...))",
        ),
        (
            lambda: OptimizerMap(MultiOptimizer(OptimizerMap(SGD()))),
            ValueError,
            "OptimizerMap got a MultiOptimizer.\nExpected optimizers that hold no others.\n"
            "Fix: one OptimizerMap with all keys",
        ),
        (
            lambda: MultiOptimizer("adam"),
            TypeError,
            "MultiOptimizer got optimizer_map='adam'.\n"
            "Expected an OptimizerMap, or a function that returns the optimizer for a weight.\n"
            'Fix: MultiOptimizer(OptimizerMap(SGD(0.01), {"encoder/.*": Adam(0.001)}))',
        ),
        (
            lambda: MultiOptimizer(lambda weight: None, name="m").build(weights()),
            ValueError,
            "The function of m returned None for the weight 'kernel'.\n"
            "Expected an optimizer of this package for each weight.\n"
            "Fix: end the function with: return default_optimizer",
        ),
        (
            lambda: MultiOptimizer(OptimizerMap(built_adam()), name="m").build(weights()),
            ValueError,
            "The optimizer 'adam' inside of m has been built on other weights.\n"
            "Expected optimizers that are new.\nFix: make a new Adam, and a new MultiOptimizer",
        ),
    ],
)
def test_mistakes_with_several_optimizers(make, kind, message):
    assert map_error(make) == (kind, message)


def built_adam():
    adam = Adam(name="adam")
    adam.build(weights())
    return adam


def several(**settings):
    chosen = OptimizerMap(SGD(0.1, momentum=0.9, name="slow"), {"kernel": Adam(0.01, name="fast")})
    return MultiOptimizer(chosen, name="multi", **settings)


def test_several_have_a_group_each():
    optimizer = several()
    parameters = weights()
    optimizer.build(parameters)
    assert [[id(one) for one in group["params"]] for group in optimizer.param_groups] == [
        [id(parameters[0])],
        [id(parameters[1])],
    ]
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.1]
    assert set(optimizer.state[parameters[0]]) == {"momentum", "velocity"}
    assert repr(optimizer) == (
        "<MultiOptimizer 'multi', iterations=0, of [<Adam 'fast', learning_rate=0.01, iterations=0>, "
        "<SGD 'slow', learning_rate=0.1, iterations=0>]>"
    )


def test_several_have_no_learning_rate_of_their_own():
    optimizer = several()
    assert not hasattr(optimizer, "learning_rate")
    with pytest.raises(AttributeError) as error:
        optimizer.learning_rate = 0.1
    assert str(error.value) == (
        "MultiOptimizer has no learning_rate of its own.\n"
        "Expected one of the optimizers inside.\n"
        "Fix: for one in optimizer.optimizers: one.learning_rate = 0.001"
    )


def test_the_state_of_other_groups_is_refused():
    optimizer, other = several(), MultiOptimizer(OptimizerMap(SGD(0.1)))
    optimizer.build(weights())
    other.build(weights())
    with pytest.raises(ValueError) as error:
        optimizer.load_state_dict(other.state_dict())
    assert str(error.value) == (
        "The state has groups of 2 weights.\n"
        "Expected groups of 1, 1 weights, as multi has them.\n"
        "Fix: load the state of a MultiOptimizer with the same map, built on the same weights"
    )
    with pytest.raises(ValueError, match="got 1 weights to replace by their averages"):
        optimizer.finalize_variable_values(weights()[:1])


def test_weight_decay_can_be_excluded_after_build_too():
    one, two = weights(), weights()
    before, after = (
        MultiOptimizer(OptimizerMap(SGD(0.1, weight_decay=0.5))),
        MultiOptimizer(OptimizerMap(SGD(0.1, weight_decay=0.5))),
    )
    before.exclude_from_weight_decay(var_names=["kernel"])
    before.build(one)
    after.build(two)
    after.exclude_from_weight_decay(var_names=["kernel"])
    steps(before, one, range(2))
    steps(after, two, range(2))
    np.testing.assert_array_equal(values(one), values(two))


def test_an_optimizer_may_keep_state_for_some_weights():
    class Some(SGD):
        def build(self, variables):
            super().build(variables)
            self.sums = self.add_optimizer_variables([w for w in self._weights if w.dim() > 1], "sum")

        def update_weights(self, weights, gradients, learning_rate, slots):
            for gradient, total in zip(gradients, slots[0]):
                if total is not None:
                    total.add_(gradient)

    optimizer = Some(name="some")
    parameters = weights()
    optimizer.build(parameters)
    steps(optimizer, parameters, range(2))
    assert [variable.path for variable in optimizer.variables[2:]] == ["some/kernel_sum"]
    again = Some()
    again.build(weights())
    again.load_state_dict(optimizer.state_dict())
    np.testing.assert_array_equal(again.sums[0].numpy(), optimizer.sums[0].numpy())
    assert np.abs(again.sums[0].numpy()).max() > 0
