"""What every optimizer must do. A new one joins with one line in `CASES`.

Its numbers are compared with Keras's in test_optimizer_golden.py, and in
tests/parity/test_optimizers.py, where it joins with one line, too.
"""

import copy
import inspect
import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import uncrumple as keras
from uncrumple import constraints, optimizers
from uncrumple.core.variable import Variable
from uncrumple.optimizers import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    LossScaleOptimizer,
    MultiOptimizer,
    Muon,
    Nadam,
    OptimizerMap,
    RMSprop,
    ScheduleFreeAdamW,
    clipping,
)
from uncrumple.optimizers.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule


def multi(learning_rate, loss_scale_factor=None, name=None, **settings):
    chosen = OptimizerMap(SGD(learning_rate, momentum=0.9, **settings), {".*bias": Nadam(learning_rate, **settings)})
    return MultiOptimizer(chosen, loss_scale_factor, name)


def scaled(learning_rate, name=None, inside=Adam, **settings):
    return LossScaleOptimizer(inside(learning_rate, **settings), initial_scale=4.0, dynamic_growth_steps=3, name=name)


# name: what makes it, a learning rate at which it learns quickly, its own settings
CASES = {
    "sgd": (SGD, 0.1, {}),
    "momentum": (SGD, 0.1, {"momentum": 0.9}),
    "nesterov": (SGD, 0.1, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (RMSprop, 0.1, {}),
    "rmsprop_full": (RMSprop, 0.1, {"momentum": 0.9, "centered": True}),
    "adam": (Adam, 0.1, {}),
    "amsgrad": (Adam, 0.1, {"amsgrad": True, "beta_2": 0.5}),
    "adamw": (AdamW, 0.1, {"weight_decay": 0.1}),
    "adagrad": (Adagrad, 0.1, {}),
    "adadelta": (Adadelta, 1.0, {"epsilon": 1e-3}),
    "adamax": (Adamax, 0.1, {}),
    "nadam": (Nadam, 0.1, {}),
    "ftrl": (Ftrl, 0.5, {}),
    "lion": (Lion, 0.05, {}),
    "lamb": (Lamb, 0.1, {}),
    "adafactor": (Adafactor, 0.1, {}),
    "muon": (Muon, 0.1, {"adam_weight_decay": None}),
    "muon_plain": (Muon, 0.1, {"adam_weight_decay": None, "nesterov": False, "rms_rate": None, "ns_steps": 3}),
    "schedule_free": (ScheduleFreeAdamW, 0.1, {}),
    "schedule_free_warmup": (ScheduleFreeAdamW, 0.1, {"warmup_steps": 3, "beta_1": 0.5}),
    "multi": (multi, 0.1, {}),
    "loss_scale": (scaled, 0.1, {}),
    "loss_scale_nadam": (scaled, 0.1, {"inside": Nadam}),
    "loss_scale_adafactor": (scaled, 0.1, {"inside": Adafactor}),
    "loss_scale_multi": (scaled, 0.1, {"inside": multi}),
}
every = pytest.mark.parametrize("case", list(CASES))


def make(case, **settings):
    kind, learning_rate, own = CASES[case]
    return kind(**{"learning_rate": learning_rate, **own, **settings})


# The settings that every optimizer takes.
SHARED = {
    "plain": {},
    "decay": {"weight_decay": 0.05},
    "clipnorm": {"clipnorm": 0.7},
    "clipvalue": {"clipvalue": 0.3},
    "global_clipnorm": {"global_clipnorm": 0.9},
    "ema": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 2},
    "loss_scale": {"loss_scale_factor": 8.0},
    "schedule": {"learning_rate": ExponentialDecay(0.1, 2, 0.5)},
    "many": {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True, "gradient_accumulation_steps": 3},
}
with_each = pytest.mark.parametrize("shared", SHARED.values(), ids=SHARED)


def weights(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    kernel, bias = torch.randn(3, 4, generator=generator), torch.randn(4, generator=generator)
    return [Variable(kernel.to(dtype), name="kernel"), Variable(bias.to(dtype), name="bias")]


def gradients(seed, parameters):
    generator = torch.Generator().manual_seed(100 + seed)
    return [torch.randn(one.shape, generator=generator).to(one.device, one.dtype) for one in parameters]


def scale_of(optimizer):
    return float(optimizer.scale_loss(1.0))


def give(optimizer, parameters, given):
    """Do a step with gradients, as the loss that `scale_loss` makes larger has them."""
    for parameter, gradient in zip(parameters, given):
        parameter.grad = gradient * scale_of(optimizer)
    optimizer.step()


def steps(optimizer, parameters, numbers):
    for number in numbers:
        give(optimizer, parameters, gradients(number, parameters))


def built(case, parameters, **settings):
    optimizer = make(case, **settings)
    optimizer.build(parameters)
    return optimizer


def values(parameters):
    return np.concatenate([one.detach().float().cpu().numpy().ravel() for one in parameters])


def same(one, two):
    np.testing.assert_array_equal(values(one), values(two))


def close(one, two, tolerance=2e-6):
    np.testing.assert_allclose(values(one), values(two), rtol=tolerance, atol=tolerance)


def same_state(one, two):
    for mine, other in zip(one.variables, two.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


def inner(optimizer):
    """Return the optimizers that move weights: itself, or those inside."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return getattr(optimizer, "optimizers", [optimizer])


def test_every_optimizer_is_here():
    offered = {name for name in optimizers.__all__ if inspect.isclass(getattr(optimizers, name))}
    assert {type(make(case)).__name__ for case in CASES} == offered - {"Optimizer", "OptimizerMap"}


# --- as an optimizer of torch ---------------------------------------------------------


@every
def test_it_is_a_torch_optimizer_from_the_beginning(case):
    optimizer = make(case)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.param_groups == [] and not optimizer.state and "lr" in optimizer.defaults
    assert optimizer.built is False
    parameters = weights()
    optimizer.build(parameters)
    assert optimizer.built is True
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(one) for one in held} == {id(one) for one in parameters} and len(held) == 2
    assert all(group["lr"] == CASES[case][1] for group in optimizer.param_groups)


@every
def test_a_plain_torch_loop_learns(case):
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(64, 4)
    y = x[:, :1] * x[:, 1:2]
    optimizer = make(case)
    optimizer.build(module.parameters())
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.mse_loss(module(x), y)
        optimizer.scale_loss(loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]
    assert all(parameter.grad is None for parameter in module.parameters())


@every
def test_the_rate_of_a_group_counts(case):
    one, two = weights(), weights()
    by_group, by_name = built(case, one), built(case, two)
    for group in by_group.param_groups:
        group["lr"] = 0.02
    for optimizer in inner(by_name):
        optimizer.learning_rate = 0.02
    steps(by_group, one, range(3))
    steps(by_name, two, range(3))
    same(one, two)
    assert all(optimizer.learning_rate == 0.02 for optimizer in inner(by_group))


@every
@pytest.mark.parametrize("kind", ["StepLR", "LambdaLR", "OneCycleLR", "ReduceLROnPlateau"])
def test_schedulers_of_torch(case, kind):
    one, two = weights(), weights()
    scheduled, by_hand = built(case, one), built(case, two)
    scheduler = {
        "StepLR": lambda: lr_scheduler.StepLR(scheduled, 2, gamma=0.1),
        "LambdaLR": lambda: lr_scheduler.LambdaLR(scheduled, lambda step: 1 / (1 + step)),
        "OneCycleLR": lambda: lr_scheduler.OneCycleLR(scheduled, 0.2, total_steps=9, cycle_momentum=False),
        "ReduceLROnPlateau": lambda: lr_scheduler.ReduceLROnPlateau(scheduled, patience=0),
    }[kind]()
    seen = set()
    for step in range(5):
        for optimizer, group in zip([o for o in inner(by_hand) if o.built], scheduled.param_groups):
            optimizer.learning_rate = group["lr"]
            seen.add(group["lr"])
        steps(scheduled, one, [step])
        steps(by_hand, two, [step])
        scheduler.step(1.0) if kind == "ReduceLROnPlateau" else scheduler.step()
    same(one, two)
    assert len(seen) >= 3 and scheduled.iterations == 5


@every
def test_a_closure(case):
    one, two = weights(), weights()
    optimizer, other = built(case, one), built(case, two)
    given = gradients(0, one)

    def closure():
        optimizer.zero_grad()
        loss = sum((parameter * gradient).sum() for parameter, gradient in zip(one, given))
        optimizer.scale_loss(loss).backward()
        return loss

    assert torch.is_tensor(optimizer.step(closure))
    give(other, two, given)
    close(one, two)


@every
def test_gradients_are_left_alone(case):
    parameters = weights()
    optimizer = built(case, parameters)
    given = [gradient * scale_of(optimizer) for gradient in gradients(0, parameters)]
    for parameter, gradient in zip(parameters, given):
        parameter.grad = gradient.clone()
    optimizer.step()
    for parameter, gradient in zip(parameters, given):
        assert torch.equal(parameter.grad, gradient)
    assert torch.is_grad_enabled()


# --- saved in the middle, and resumed --------------------------------------------------


def resumed(optimizer, case, shared, how, tmp_path):
    """Return a new optimizer with the state of another, and its weights."""
    others = weights()
    again = built(case, others, **shared)
    if how == "state_dict":
        torch.save(optimizer.state_dict(), tmp_path / "state.pt")
        again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    else:
        store = {}
        optimizer.save_own_variables(store)
        assert list(store) == [str(place) for place in range(len(optimizer.variables))]
        if how == "store":
            again.load_own_variables(store)
        else:
            again.set_weights(list(store.values()))
    return others, again


@every
@with_each
@pytest.mark.parametrize("how", ["state_dict", "store", "set_weights"])
def test_a_saved_state_goes_on_exactly(case, shared, how, tmp_path):
    parameters = weights()
    optimizer = built(case, parameters, **shared)
    steps(optimizer, parameters, range(3))
    others, again = resumed(optimizer, case, shared, how, tmp_path)
    with torch.no_grad():
        for parameter, other in zip(parameters, others):
            other.copy_(parameter)
    same_state(optimizer, again)
    assert scale_of(again) == scale_of(optimizer)
    # 0.1, not float32's 0.10000000149011612
    assert [one.learning_rate for one in inner(again)] == [one.learning_rate for one in inner(optimizer)]
    steps(optimizer, parameters, range(3, 6))
    steps(again, others, range(3, 6))
    same(parameters, others)
    same_state(optimizer, again)
    assert again.iterations == optimizer.iterations


@every
@pytest.mark.parametrize("how", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["copy", "pickle"])
def test_a_copy_goes_on_by_itself(case, how):
    parameters = weights()
    optimizer = built(case, parameters)
    steps(optimizer, parameters, range(3))
    others, again = how((parameters, optimizer))
    before = values(parameters)
    steps(again, others, range(3, 7))
    np.testing.assert_array_equal(values(parameters), before)
    steps(optimizer, parameters, range(3, 7))
    same(parameters, others)
    same_state(optimizer, again)
    for group in again.param_groups:
        group["lr"] = 0.0123
    assert all(one.learning_rate == 0.0123 for one in inner(again))
    assert not any(one.learning_rate == 0.0123 for one in inner(optimizer))


@every
def test_a_keras_file_goes_on_exactly(case, tmp_path):
    def batch(number):
        generator = np.random.default_rng(number)
        return generator.normal(size=(8, 3)).astype("float32"), generator.normal(size=(8, 2)).astype("float32")

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(2)])
    model.compile(make(case), "mse")
    for number in range(3):
        model.train_on_batch(*batch(number))
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for number in range(3, 6):
        for one in (model, again):
            one.train_on_batch(*batch(number))
    for one, two in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(one, two)
    same_state(model.optimizer, again.optimizer)


@every
@with_each
def test_config_round_trip(case, shared):
    made = make(case, **shared)
    config = json.loads(json.dumps(optimizers.serialize(made)))
    for again in (optimizers.deserialize(config), optimizers.get(config), type(made).from_config(made.get_config())):
        assert type(again) is type(made) and again.get_config() == made.get_config()
    one, two = weights(), weights()
    made.build(one)
    again.build(two)
    steps(made, one, range(2))
    steps(again, two, range(2))
    same(one, two)


# --- what all optimizers share -------------------------------------------------------


@every
@pytest.mark.parametrize("kind", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_clipping(case, kind):
    longest = 0.4
    clip = {"clipnorm": clipping.by_norm, "clipvalue": clipping.by_value, "global_clipnorm": clipping.by_global_norm}
    one, two = weights(), weights()
    clipped, plain = built(case, one, **{kind: longest}), built(case, two)
    for number in range(4):
        given = gradients(number, one)
        give(clipped, one, given)
        if "multi" in case and kind == "global_clipnorm":  # global among the weights of each optimizer inside
            give(plain, two, [clip[kind]([gradient], longest)[0] for gradient in given])
        else:
            give(plain, two, clip[kind](given, longest))
    close(one, two)


@every
@pytest.mark.parametrize("by", ["var_names", "var_list"])
def test_weight_decay_with_exclusions(case, by):
    one, two = weights(), weights()
    none = {"weight_decay": 0.0}
    decaying, plain = make(case, weight_decay=0.3), make(case, **none)
    decaying.exclude_from_weight_decay(**{by: ["bias"] if by == "var_names" else one[1:]})
    decaying.build(one)
    plain.build(two)
    for number in range(4):
        rates = [float(optimizer.learning_rate) for optimizer in inner(plain)]
        with torch.no_grad():
            two[0].mul_(1 - 0.3 * rates[-1])
        given = gradients(number, one)
        give(decaying, one, given)
        give(plain, two, given)
    close(one, two)


@every
@pytest.mark.parametrize("frequency", [None, 2])
def test_moving_average(case, frequency):
    one, two = weights(), weights()
    averaging = built(case, one, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=frequency)
    plain = built(case, two)
    averages = None
    for number in range(5):
        given = gradients(number, one)
        give(averaging, one, given)
        give(plain, two, given)
        now = [weight.detach().clone() for weight in two]
        averages = [0.75 * old + 0.25 * new for old, new in zip(averages, now)] if averages else now
        if frequency and (number + 1) % frequency == 0:
            with torch.no_grad():
                for weight, average in zip(two, averages):
                    weight.copy_(average)
        close(one, two)
    averaging.finalize_variable_values(one)
    close(one, averages)


@every
def test_gradient_accumulation(case):
    one, two = weights(), weights()
    accumulating, plain = built(case, one, gradient_accumulation_steps=3), built(case, two)
    for update in range(3):
        parts = [gradients(3 * update + part, one) for part in range(3)]
        before = values(one)
        for part, given in enumerate(parts):
            np.testing.assert_array_equal(values(one), before)
            give(accumulating, one, given)
            assert all(one.iterations == update + (part == 2) for one in inner(accumulating))
        give(plain, two, [(a + b + c) / 3 for a, b, c in zip(*parts)])
    close(one, two)


@every
def test_a_fixed_loss_scale_changes_nothing(case):
    one, two = weights(), weights()
    larger, plain = built(case, one, loss_scale_factor=1024.0), built(case, two)
    assert "loss_scale" in case or scale_of(larger) == 1024.0
    steps(larger, one, range(4))
    steps(plain, two, range(4))
    same(one, two)


@every
def test_a_dynamic_loss_scale_leaves_bad_steps_out(case):
    if "loss_scale" in case:
        pytest.skip("it is one already")
    one, two = weights(), weights()
    wrapped, plain = LossScaleOptimizer(make(case), initial_scale=8.0, dynamic_growth_steps=2), built(case, two)
    wrapped.build(one)
    for number in range(6):
        if number == 3:
            before = values(one)
            give(wrapped, one, [gradient * float("inf") for gradient in gradients(9, one)])
            np.testing.assert_array_equal(values(one), before)
        given = gradients(number, one)
        give(wrapped, one, given)
        give(plain, two, given)
    close(one, two)
    assert wrapped.iterations == 6 and wrapped.dynamic_scale == 16.0


@every
@pytest.mark.parametrize("schedule", ["ours", "own", "function"])
def test_schedules(case, schedule):
    class Mine(LearningRateSchedule):
        def __call__(self, step):
            return 0.1 / (1 + step)

    count = iter(range(1000))
    rates = {
        "ours": lambda: CosineDecay(0.1, 4, alpha=0.1),
        "own": Mine,
        "function": lambda: lambda: 0.1 / (1 + next(count) // 2),
    }
    one, two = weights(), weights()
    optimizer, by_hand = built(case, one, learning_rate=rates[schedule]()), built(case, two)
    for number in range(4):
        given = gradients(number, one)
        give(optimizer, one, given)
        for scheduled, other in zip(optimizer.param_groups, by_hand.param_groups):
            other["lr"] = scheduled["lr"]
        give(by_hand, two, given)
    same(one, two)
    assert "learning_rate" not in [variable.name for part in inner(optimizer) for variable in part.variables]


@every
def test_frozen_weights_stay_and_are_not_warned_about(case):
    parameters = weights()
    optimizer = built(case, parameters)
    steps(optimizer, parameters, [0])
    for parameter, gradient in zip(parameters, gradients(1, parameters)):
        parameter.grad = gradient  # left over in the weight that is frozen now
    parameters[0].requires_grad = False
    before = [one.numpy() for one in parameters]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
    np.testing.assert_array_equal(parameters[0].numpy(), before[0])
    assert not np.allclose(parameters[1].numpy(), before[1])
    parameters[0].requires_grad = True
    steps(optimizer, parameters, [2])
    assert not np.allclose(parameters[0].numpy(), before[0])


@every
def test_a_weight_without_gradient_stays_and_is_named(case):
    one, two = weights(), weights()
    optimizer, alone = built(case, one), built(case, two[1:])
    with pytest.warns(UserWarning, match=r"No gradient reached these weights: kernel\."):
        for number in range(3):
            given = gradients(number, one)[1:]
            give(optimizer, one[1:], given)
            give(alone, two[1:], given)
    same(one, two)


@every
def test_constraints(case):
    one, two = weights(), weights()
    one[0].constraint = constraints.NonNeg()
    one[1].constraint = constraints.MaxNorm(0.5)
    constrained, free = built(case, one), built(case, two)
    for number in range(4):
        given = gradients(number, one)
        give(constrained, one, given)
        give(free, two, given)
        with torch.no_grad():
            two[0].clamp_(min=0)
            two[1].mul_(two[1].norm().clamp(max=0.5) / (1e-7 + two[1].norm()))
    close(one, two)


# --- types and kernels ----------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fused_and_plain_agree(case, dtype, monkeypatch):
    one, two = weights(dtype), weights(dtype)
    fused = built(case, one)
    monkeypatch.setattr(optimizers.Optimizer, "_can_fuse", lambda self: False)
    plain = built(case, two)
    steps(fused, one, range(6))
    steps(plain, two, range(6))
    tolerance = 3e-6 if dtype is torch.float32 else 1e-12
    for first, second in zip(one, two):
        np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=tolerance, atol=tolerance)
    for first, second in zip(fused.variables, plain.variables, strict=True):
        np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=tolerance, atol=tolerance)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_agree_with_float32(case, dtype):
    """The state has the type of the weights, and the steps differ by rounding alone."""
    one, two = weights(dtype), [Variable(weight.float(), name=weight.name) for weight in weights(dtype)]
    optimizer, other = built(case, one), built(case, two)
    steps(optimizer, one, range(3))
    steps(other, two, range(3))
    assert all(weight.dtype is dtype for weight in one)
    kept = [slot for slots in optimizer.state.values() for slot in slots.values()]
    assert all(slot.dtype is dtype for slot in kept if slot.is_floating_point())
    close(one, two, 1e-4 if dtype is torch.float64 else 0.1)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_learn(case, dtype):
    parameter = torch.nn.Parameter(torch.full((8,), 2.0, dtype=dtype))
    optimizer = built(case, [parameter])
    for _ in range(40):
        optimizer.zero_grad()
        optimizer.scale_loss(parameter.square().sum()).backward()
        optimizer.step()
    assert parameter.dtype is dtype
    assert parameter.isfinite().all() and parameter.abs().max() < 1.5


@every
def test_small_and_zero_gradients_in_half_types(case):
    parameters = [torch.nn.Parameter(torch.ones(4, 4, dtype=torch.float16)) for _ in range(2)]
    optimizer = built(case, parameters)
    for _ in range(3):
        give(optimizer, parameters, [torch.full((4, 4), 1e-4, dtype=torch.float16), torch.zeros(4, 4).half()])
    assert all(parameter.isfinite().all() for parameter in parameters)


@every
def test_mixed_types_in_one_optimizer(case):
    mixed = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))]
    optimizer = built(case, mixed)
    steps(optimizer, mixed, [0])
    assert all((one != 1).all() for one in mixed)


@every
def test_state_follows_a_change_of_type(case):
    parameters = weights()
    optimizer = built(case, parameters)
    steps(optimizer, parameters, [0])
    for parameter in parameters:
        parameter.data = parameter.data.double()
        parameter.grad = None
    steps(optimizer, parameters, [1])
    kept = [slot for slots in optimizer.state.values() for slot in slots.values()]
    assert all(slot.dtype is torch.float64 for slot in kept if slot.is_floating_point())
    others = weights(torch.float64)
    steps(built(case, others), others, range(2))
    close(parameters, others, 1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every
def test_state_follows_to_the_gpu(case):
    one, two = weights(), weights()
    here, there = built(case, one), built(case, two)
    for step in range(6):
        if step == 3:
            for parameter in two:
                parameter.data = parameter.data.cuda()
                parameter.grad = None
        steps(here, one, [step])
        steps(there, two, [step])
    close(one, two, 1e-5)


@every
def test_odd_shapes(case):
    shapes = [(), (1,), (1, 1), (2, 3, 4), (7, 2), (2, 7), (2, 2, 3, 4)]
    parameters = [torch.nn.Parameter(torch.full(shape, 0.5)) for shape in shapes]
    optimizer = built(case, parameters)
    steps(optimizer, parameters, range(3))
    for parameter in parameters:
        assert parameter.isfinite().all() and (parameter != 0.5).any()


@every
def test_large_weights_go_in_pieces(case, monkeypatch):
    """Pieces, of weights and of gradients that lie transposed in memory, give what the whole gives."""

    def large():
        generator = torch.Generator().manual_seed(0)
        shapes = [(40, 50), (2000,), (7,), (3, 1001), (1, 1)]
        return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]

    one, two = large(), large()
    whole, cut = built(case, one), built(case, two)
    for number in range(3):
        given = gradients(number, one)
        give(whole, one, given)
        monkeypatch.setattr("uncrumple.optimizers.blocks._PIECE", 500 // torch.get_num_threads())
        give(cut, two, [gradient.mT.contiguous().mT if gradient.dim() == 2 else gradient for gradient in given])
        monkeypatch.undo()
    close(one, two)
    for first, second in zip(whole.variables, cut.variables):
        np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=2e-6, atol=2e-6)


@every
def test_weights_that_come_to_lie_otherwise_in_memory(case):
    one, two = [[torch.nn.Parameter(torch.linspace(-1, 1, 120).reshape(2, 3, 4, 5))] for _ in range(2)]
    moved, still = built(case, one), built(case, two)
    for number in range(4):
        if number == 2:
            one[0].data = one[0].data.to(memory_format=torch.channels_last)
        steps(moved, one, [number])
        steps(still, two, [number])
    close(one, two)
