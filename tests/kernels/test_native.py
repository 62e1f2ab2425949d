"""The native kernels against their twins in plain torch: every size, every instruction set, and without them."""

import functools
import os
import subprocess
import sys

import pytest
import torch

from uncrumple.kernels import native, recurrent, recurrent_native, recurrent_plain

needs_native = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

# (samples, time steps, features, units): tails of every kind, one row, one unit, no rows.
SIZES = [(1, 1, 1, 1), (4, 5, 3, 5), (7, 3, 6, 16), (9, 4, 2, 17), (16, 6, 8, 48), (33, 2, 5, 31), (3, 7, 4, 65)]

lstm_twin = functools.partial(recurrent_native._with_last, recurrent_plain.lstm_plain)
gru_twin = functools.partial(recurrent_native._with_last, recurrent_plain.gru_plain)
simple_rnn_twin = functools.partial(recurrent_native._with_last, recurrent_plain.simple_rnn_plain)


def inputs_of(gates, size, double=False, kind=torch.float32):
    samples, time, features, units = size
    generator = torch.Generator().manual_seed(sum(size))
    shapes = [(samples, time, features), (samples, units), (samples, units), (features, gates * units)]
    shapes += [(units, gates * units), (2, gates * units) if double else (gates * units,)]
    made = [torch.randn(shape, generator=generator).mul_(0.5).to(kind) for shape in shapes]
    made[4] /= units**0.5  # not so large that rounding grows from step to step
    return [one.requires_grad_() for one in made]


def both(run, inputs, chosen):
    """Return what `run` gives for the inputs, and the gradients of a weighted sum of what `chosen` picks."""
    outputs = chosen(run(*inputs))
    generator = torch.Generator().manual_seed(3)
    total = sum(
        (one * torch.randn(one.shape, generator=generator).to(one.dtype)).sum() for one in outputs if one.numel()
    )
    return [*outputs, *torch.autograd.grad(total, inputs)]


def assert_as_exact(mine, exact):
    """Compare with float64: to float32's accuracy, relative to the largest value of the tensor."""
    for one, other in zip(mine, exact, strict=True):
        assert one.shape == other.shape
        if one.numel():
            torch.testing.assert_close(one.double(), other, rtol=0, atol=5e-6 * (1 + other.abs().max().item()))


CHOICES = {
    "everything": lambda found: found,
    "outputs": lambda found: found[:1],
    "last step": lambda found: found[len(found) // 2 :],
}


@needs_native
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("size", SIZES, ids=str)
class TestEqualsTwin:
    def test_lstm(self, instruction_set, size, choice):
        inputs, chosen = inputs_of(4, size), CHOICES[choice]
        exact = [one.detach().double().requires_grad_() for one in inputs]
        found = both(recurrent_native.LSTM.apply, inputs, chosen)
        assert_as_exact(found, both(lstm_twin, exact, chosen))

    def test_gru(self, instruction_set, size, choice):
        x, h, _, *weights = inputs_of(3, size, double=True)
        inputs, chosen = [x, h, *weights], CHOICES[choice]
        exact = [one.detach().double().requires_grad_() for one in inputs]
        found = both(recurrent_native.GRU.apply, inputs, chosen)
        assert_as_exact(found, both(gru_twin, exact, chosen))

    @pytest.mark.parametrize("relu", [False, True])
    def test_simple_rnn(self, instruction_set, size, choice, relu):
        x, h, _, *weights = inputs_of(1, size)
        inputs, chosen = [x, h, *weights], CHOICES[choice]
        exact = [one.detach().double().requires_grad_() for one in inputs]
        found = both(lambda *x: recurrent_native.SimpleRNN.apply(*x, relu), inputs, chosen)
        activation = torch.relu if relu else torch.tanh
        twin = functools.partial(simple_rnn_twin, activation=activation)
        assert_as_exact(found, both(twin, exact, chosen))


def as_halves(inputs):
    return [one.detach().bfloat16().requires_grad_() for one in inputs]


def assert_as_near_as_halves_are(mine, exact):
    for one, other in zip(mine, exact, strict=True):
        assert one.dtype is torch.bfloat16
        assert (one.double() - other).norm() <= 0.02 * other.norm() + 1e-3


@needs_native
@pytest.mark.parametrize(
    "size", [(1, 1, 1, 32), (5, 7, 8, 32), (33, 6, 5, 64), (16, 4, 64, 96), (20, 5, 6, 24)], ids=str
)
@pytest.mark.parametrize("has_bias", [True, False])
def test_gru_in_bfloat16(size, has_bias):
    """By tiles where the processor has them and the units fill them, else in float32."""
    x, h, _, kernel, recurrent_kernel, bias = inputs_of(3, size, double=True)
    inputs = as_halves([x, h, kernel, recurrent_kernel, *([bias] if has_bias else [])])
    exact = [one.detach().double().requires_grad_() for one in inputs]
    rest = [] if has_bias else [None]

    def run(*weights):
        found = recurrent.gru(*weights, *rest)
        return found.outputs, found.last

    mine, twin = both(run, inputs, list), both(lambda *weights: gru_twin(*weights, *rest), exact, list)
    assert_as_near_as_halves_are(mine, twin)


@needs_native
def test_simple_rnn_in_bfloat16():
    x, h, _, *weights = inputs_of(1, (5, 6, 4, 7))
    inputs = as_halves([x, h, *weights])
    exact = [one.detach().double().requires_grad_() for one in inputs]
    mine = both(lambda *given: recurrent.simple_rnn(*given)[:2], inputs, list)
    assert_as_near_as_halves_are(mine, both(functools.partial(simple_rnn_twin, activation=torch.tanh), exact, list))


@needs_native
@pytest.mark.skipif(not native.has_tiles(), reason="this processor does not multiply tiles of bfloat16")
def test_gru_by_tiles_in_any_number_of_threads():
    x, h, _, *weights = inputs_of(3, (40, 3, 4, 32), double=True)
    inputs, found = as_halves([x, h, *weights]), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(both(recurrent_native.HalfGRU.apply, inputs, list))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)


@needs_native
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_any_number_of_threads_and_samples(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for samples in (1, 2, 4, 7):
            inputs = inputs_of(4, (samples, 3, 2, 9))
            exact = [one.detach().double().requires_grad_() for one in inputs]
            assert_as_exact(both(recurrent_native.LSTM.apply, inputs, list), both(lstm_twin, exact, list))
    finally:
        torch.set_num_threads(before)


@needs_native
def test_no_samples_at_all():
    inputs = inputs_of(4, (0, 3, 2, 9))
    outputs, cells, h, c = recurrent_native.LSTM.apply(*inputs)
    assert outputs.shape == cells.shape == (0, 3, 9) and h.shape == c.shape == (0, 9)
    outputs.sum().backward()
    assert inputs[3].grad.abs().sum() == 0


@needs_native
def test_memory_in_any_order():
    """Transposed inputs, weights and gradients are read as what they are."""
    inputs = inputs_of(4, (5, 4, 3, 6))
    turned = [one.detach().mT.contiguous().mT.requires_grad_() if one.ndim > 1 else one for one in inputs]
    weights = torch.randn(6, 5, 4)
    for given in (inputs, turned):
        for one in given:
            one.grad = None
        outputs = recurrent_native.LSTM.apply(*given)[0]
        (outputs * weights.permute(1, 2, 0)).sum().backward()
    for one, other in zip(inputs, turned):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-6)


@needs_native
def test_nan_and_infinity_stay_visible(instruction_set):
    x, h, c, kernel, recurrent_kernel, bias = [one.detach() for one in inputs_of(4, (3, 4, 2, 20))]
    x[1, 2] = float("nan")
    outputs = recurrent_native.LSTM.apply(x, h, c, kernel, recurrent_kernel, bias)[0]
    assert outputs[1, 2:].isnan().all()
    assert outputs[1, :2].isfinite().all() and outputs[0].isfinite().all() and outputs[2].isfinite().all()
    x[1, 2] = float("inf")
    assert recurrent_native.LSTM.apply(x, h, c, kernel.abs(), recurrent_kernel, bias)[0][1, 2].isfinite().all()


@needs_native
def test_saturated_gates(instruction_set):
    """Sums of +-1000 give gates of exactly 0 and 1, and no gradient that is not a number."""
    inputs = inputs_of(4, (3, 4, 2, 20))
    with torch.no_grad():
        inputs[0].mul_(5000)
    exact = [one.detach().double().requires_grad_() for one in inputs]
    found, wanted = recurrent_native.LSTM.apply(*inputs), lstm_twin(*exact)
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-6)
    found[0].sum().backward()
    assert all(one.grad.isfinite().all() for one in inputs)


@needs_native
def test_same_bits_every_time():
    inputs = inputs_of(4, (13, 6, 5, 37))
    first = both(recurrent_native.LSTM.apply, inputs, list)
    for _ in range(5):
        assert all(
            torch.equal(one, other) for one, other in zip(both(recurrent_native.LSTM.apply, inputs, list), first)
        )


@needs_native
def test_gradients_can_be_differentiated_again():
    inputs = inputs_of(4, (2, 3, 2, 4))
    exact = [one.detach().double().requires_grad_() for one in inputs]

    def second(run, given):
        (first,) = torch.autograd.grad(run(*given)[0].pow(2).sum(), given[3], create_graph=True)
        return torch.autograd.grad(first.pow(2).sum(), given[0])[0]

    torch.testing.assert_close(
        second(recurrent_native.LSTM.apply, inputs).double(),
        second(recurrent_plain.lstm_plain, exact),
        rtol=1e-4,
        atol=1e-5,
    )


@needs_native
def test_layers_use_them_only_for_what_they_can_do():
    inputs = inputs_of(4, (2, 3, 2, 4))
    assert native.takes(*inputs, None)
    assert not native.takes(inputs[0].double())
    assert not native.takes(inputs[0].to("meta"))
    assert recurrent._native(*inputs)


def test_without_them_everything_works(monkeypatch):
    """The same network with and without: outputs and gradients agree."""
    found = []
    for there in (True, False):
        if not there:
            monkeypatch.setattr(native, "takes", lambda *tensors, **settings: False)
        inputs = inputs_of(4, (5, 4, 3, 6))
        mask = torch.tensor(
            [[True] * 4, [True, False, True, True], [True, True, False, False], [False] * 4, [True] * 4]
        )
        result = recurrent.lstm(*inputs, mask)
        (result.outputs.sum() + result.last.pow(2).sum() + result.states[1].sum()).backward()
        found.append([result.outputs, *result.states, *(one.grad for one in inputs)])
    for one, other in zip(*found):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_environment_turns_them_off():
    code = "from uncrumple.kernels import native; print(native.available(), native.instruction_set())"
    environment = {**os.environ, "UNCRUMPLE_NATIVE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "None"]


@pytest.mark.skipif(not native.has_tiles(), reason="this processor does not multiply tiles of bfloat16")
class TestHalfLSTM:
    @staticmethod
    def inputs(size):
        inputs = [one.detach().bfloat16().requires_grad_() for one in inputs_of(4, size)]
        return inputs, [one.detach().double().requires_grad_() for one in inputs]

    @pytest.mark.parametrize("choice", CHOICES)
    @pytest.mark.parametrize("size", [(1, 1, 1, 32), (5, 4, 3, 64), (16, 3, 8, 96), (33, 6, 5, 32), (40, 2, 2, 128)])
    def test_near_the_exact_twin(self, size, choice):
        inputs, exact = self.inputs(size)
        found = recurrent_native.HalfLSTM.apply(*inputs)
        wanted = recurrent_native._outputs_and_last(*exact)
        if choice == "last step":
            found, wanted = found[1:], wanted[1:]
        elif choice == "outputs":
            found, wanted = found[:1], wanted[:1]
        generator = torch.Generator().manual_seed(3)
        given = [torch.randn(one.shape, generator=generator).bfloat16() for one in found]
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=2e-2, atol=1e-2)
        mine = torch.autograd.grad(found, inputs, given)
        exactly = torch.autograd.grad(wanted, exact, [one.double() for one in given])
        for one, other in zip(mine, exactly, strict=True):
            assert one.dtype is torch.bfloat16
            assert (one.double() - other).norm() <= 0.02 * other.norm() + 1e-6

    def test_masked_steps_are_skipped(self):
        inputs, _ = self.inputs((5, 4, 3, 32))
        mask = torch.tensor(
            [[True] * 4, [True, False, True, True], [True, True, False, False], [False] * 4, [True] * 4]
        )
        assert recurrent._tiles(*inputs)
        found = recurrent.lstm(*inputs, mask, cell_state=False)
        floats = recurrent.lstm(*[one.float() for one in inputs], mask, cell_state=False)
        torch.testing.assert_close(found.outputs.float(), floats.outputs, rtol=2e-2, atol=1e-2)
        torch.testing.assert_close(found.last.float(), floats.last, rtol=2e-2, atol=1e-2)

    def test_other_sizes_go_another_way(self):
        inputs, _ = self.inputs((5, 4, 3, 48))
        assert not recurrent._tiles(*inputs)
        assert recurrent.lstm(*inputs).outputs.dtype is torch.bfloat16

    @pytest.mark.parametrize("threads", [1, 2, 3])
    def test_same_bits_for_any_number_of_threads(self, threads):
        inputs, _ = self.inputs((50, 4, 3, 32))
        before = torch.get_num_threads()
        alone = recurrent_native.HalfLSTM.apply(*inputs)[0]
        torch.set_num_threads(threads)
        try:
            assert torch.equal(recurrent_native.HalfLSTM.apply(*inputs)[0], alone)
        finally:
            torch.set_num_threads(before)
