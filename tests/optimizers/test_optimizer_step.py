"""What a step does and what it leaves alone. What every optimizer must do is in test_optimizer_contract.py."""

import sys

import numpy as np
import pytest
import torch

from uncrumple import optimizers
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.core.variable import Variable
from uncrumple.optimizers import SGD, Adam, AdamW, LossScaleOptimizer, clipping


def weights(dtype=torch.float32):
    return [Variable(torch.randn(3, 4).to(dtype), name="kernel"), Variable(torch.randn(4).to(dtype), name="bias")]


def give_gradients(parameters, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.device, parameter.dtype)


def copies(parameters):
    return [torch.nn.Parameter(one.detach().clone()) for one in parameters]


def test_everything_frozen_is_no_step():
    parameters = weights()
    optimizer = Adam()
    optimizer.build(parameters)
    for parameter in parameters:
        parameter.requires_grad = False
    optimizer.step()
    assert optimizer.iterations == 0


def test_no_weights_at_all():
    optimizer = Adam()
    optimizer.build([])
    optimizer.step()
    assert len(optimizer.variables) == 2


def test_a_weight_without_gradient_is_named_once():
    parameters = weights()
    optimizer = SGD()
    optimizer.build(parameters)
    parameters[0].grad = torch.ones(3, 4)
    with pytest.warns(UncrumpleWarning, match=r"No gradient reached these weights: bias\.") as seen:
        optimizer.step()
        optimizer.step()
    assert len(seen) == 1


def test_no_gradients_at_all():
    optimizer = SGD(name="sgd")
    optimizer.build(weights())
    with pytest.raises(ValueError) as error:
        optimizer.step()
    assert str(error.value) == (
        "No gradients: none of the 2 weights of sgd has one.\n"
        "Expected loss.backward() to have reached at least one of them.\n"
        "Fix: loss = loss_fn(y, model(x)); loss.backward(); optimizer.step()"
    )
    with pytest.raises(ValueError, match="No gradients"):
        optimizer.apply([None, None])


def test_step_before_build():
    with pytest.raises(ValueError) as error:
        Adam(name="adam").step()
    assert str(error.value) == (
        "Adam 'adam' has no weights yet.\n"
        "Expected build() to have been called with the weights to train.\n"
        "Fix: optimizer.build(model.trainable_variables)"
    )


def test_gradients_are_left_alone():
    parameters = weights()
    optimizer = Adam(clipnorm=0.1, loss_scale_factor=2.0, weight_decay=0.1)
    optimizer.build(parameters)
    give_gradients(parameters, 0)
    before = [one.grad.clone() for one in parameters]
    optimizer.step()
    for parameter, gradient in zip(parameters, before):
        assert torch.equal(parameter.grad, gradient)
    assert torch.is_grad_enabled()


def test_grad_mode_is_restored_after_an_error():
    optimizer = Adam(lambda: 1 / 0)
    parameters = weights()
    optimizer.build(parameters)
    give_gradients(parameters, 0)
    with pytest.raises(ZeroDivisionError):
        optimizer.step()
    assert torch.is_grad_enabled()


def test_closure():
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = SGD(0.25)
    optimizer.build([parameter])

    def closure():
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert parameter.item() == 1.0


def test_zero_grad():
    parameters = weights()
    optimizer = SGD()
    optimizer.zero_grad()
    optimizer.build(parameters)
    give_gradients(parameters, 0)
    optimizer.zero_grad(set_to_none=False)
    assert all((one.grad == 0).all() for one in parameters)
    optimizer.zero_grad()
    assert all(one.grad is None for one in parameters)


def test_hooks_run_and_the_class_is_not_wrapped():
    parameters = weights()
    optimizer = Adam()
    optimizer.build(parameters)
    give_gradients(parameters, 0)
    seen = []
    before = optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    after = optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    optimizer.step()
    before.remove()
    after.remove()
    optimizer.step()
    assert seen == ["before", "after"] and optimizer.iterations == 2
    assert Adam.step is optimizers.Optimizer.step and not hasattr(Adam.step, "__wrapped__")


def test_a_profile_names_the_step():
    parameters = weights()
    optimizer = Adam()
    optimizer.build(parameters)
    give_gradients(parameters, 0)
    with torch.profiler.profile() as profile:
        optimizer.step()
    assert "Optimizer.step#Adam.step" in {event.key for event in profile.key_averages()}


def test_a_step_is_few_python_calls():
    parameters = weights()
    optimizer = AdamW()
    optimizer.build(parameters)
    give_gradients(parameters, 0)
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        optimizer.step()
    finally:
        sys.setprofile(None)
    assert calls[:2] == ["step", "_step"] and "_apply" in calls and "update_weights" in calls
    # 17 with the check that gradients lie in memory as the weights do, and the way to the native kernel
    assert len(calls) <= 17, calls


def test_clipping_of_zero_and_of_nan():
    zero, bad = torch.zeros(3), torch.tensor([float("nan"), 1.0])
    assert torch.equal(clipping.by_norm([zero], 1.0)[0], zero)
    assert torch.equal(clipping.by_global_norm([zero], 1.0)[0], zero)
    assert clipping.by_global_norm([torch.ones(2), bad], 1.0)[0].isnan().all()
    assert clipping.by_global_norm([torch.ones(2), torch.tensor([float("inf")])], 1.0)[0].isnan().all()


def test_ema_takes_its_place_at_the_end():
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.5)
    optimizer.build([parameter])
    for _ in range(2):
        parameter.grad = torch.ones(1)
        optimizer.step()
    assert parameter.item() == -1.0
    optimizer.finalize_variable_values([parameter])
    assert parameter.item() == -0.5
    with pytest.raises(ValueError, match="got 0 weights to replace"):
        optimizer.finalize_variable_values([])


def test_loss_scaling_by_a_fixed_factor():
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = SGD(0.5, loss_scale_factor=1024.0)
    optimizer.build([parameter])
    optimizer.scale_loss(parameter.sum()).backward()
    assert parameter.grad.item() == 1024.0
    optimizer.step()
    assert parameter.item() == 0.5
    assert SGD().scale_loss(3.0) == 3.0


def test_loss_scale_optimizer():
    parameter = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = LossScaleOptimizer(SGD(0.5, momentum=0.5), initial_scale=8.0, dynamic_growth_steps=2)
    optimizer.build([parameter])
    for bad in (float("nan"), float("inf")):
        parameter.grad = torch.tensor([1.0, bad])
        optimizer.step()
    assert parameter.tolist() == [1.0, 1.0] and optimizer.dynamic_scale == 2.0 and optimizer.iterations == 0
    for _ in range(2):
        optimizer.zero_grad()
        optimizer.scale_loss(parameter.sum()).backward()
        optimizer.step()
    assert optimizer.dynamic_scale == 4.0 and optimizer.step_counter == 0 and optimizer.iterations == 2
    np.testing.assert_allclose(parameter.detach(), [1 - 0.5 - 0.75] * 2)
    optimizer.learning_rate = 0.25
    assert optimizer.inner_optimizer.learning_rate == 0.25 == optimizer.param_groups[0]["lr"]


def test_loss_scale_optimizer_learns_in_float16():
    parameter = torch.nn.Parameter(torch.full((4,), 1e-3, dtype=torch.float16))
    optimizer = LossScaleOptimizer(SGD(1.0), initial_scale=2.0**24)
    optimizer.build([parameter])
    for _ in range(30):
        optimizer.zero_grad()
        optimizer.scale_loss((parameter.float() * 1e-6).sum()).backward()
        optimizer.step()
    assert optimizer.iterations > 0 and optimizer.dynamic_scale <= 2.0**24


def test_adagrad_with_sums_that_were_made_small():
    """Its kernel takes sums of at least the first one; after `assign` of others the plain formula is taken."""
    parameter, expected = torch.nn.Parameter(torch.ones(3)), 1.0
    optimizer = optimizers.Adagrad(0.1)
    optimizer.build([parameter])
    total = 0.1
    for step in range(4):
        if step == 2:
            optimizer.variables[2].assign([0.0, 0.0, 0.0])
            total = 0.0
        parameter.grad = torch.full((3,), 1e-4)
        optimizer.step()
        total += 1e-8
        expected -= 0.1 * 1e-4 / (total + 1e-7) ** 0.5
        np.testing.assert_allclose(parameter.detach(), [expected] * 3, rtol=1e-6)
