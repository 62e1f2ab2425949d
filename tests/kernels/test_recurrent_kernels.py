"""The fused recurrent functions against their twins in plain torch."""

import pytest
import torch

from uncrumple.kernels import recurrent, recurrent_loops, recurrent_plain
from uncrumple.kernels.embedding import embedding, embedding_plain

BATCH, TIME, FEATURES, UNITS = 4, 6, 3, 5


def leaves(gates, bias=True, double=False, kind=torch.float64):
    """Return x, two states, and the weights of a network with so many gates."""
    generator = torch.Generator().manual_seed(gates)
    shapes = [
        (BATCH, TIME, FEATURES),
        (BATCH, UNITS),
        (BATCH, UNITS),
        (FEATURES, gates * UNITS),
        (UNITS, gates * UNITS),
    ]
    shapes += [(2, gates * UNITS) if double else (gates * UNITS,)] if bias else []
    made = [torch.randn(shape, generator=generator, dtype=kind).mul_(0.5).requires_grad_() for shape in shapes]
    return made if bias else [*made, None]


def gradients(outputs, inputs):
    generator = torch.Generator().manual_seed(9)
    total = sum(
        (out * torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.dtype)).sum() for out in outputs
    )
    return torch.autograd.grad(total, [one for one in inputs if one is not None], allow_unused=True, retain_graph=True)


def assert_same(one, other, inputs, **tolerance):
    for mine, plain in zip(one, other, strict=True):
        torch.testing.assert_close(mine, plain, **tolerance)
    for mine, plain in zip(gradients(one, inputs), gradients(other, inputs), strict=True):
        torch.testing.assert_close(mine, plain, **tolerance)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
@pytest.mark.parametrize("bias", [True, False])
def test_loops_equal_their_twins(kind, bias):
    x, h, _, kernel, recurrent_kernel, b = leaves(1, bias, kind=kind)
    for relu, activation in ((False, torch.tanh), (True, torch.relu)):
        mine = recurrent_loops.SimpleRNN.apply(x, h, kernel, recurrent_kernel, b, relu)
        plain = recurrent_plain.simple_rnn_plain(x, h, kernel, recurrent_kernel, b, activation)
        assert_same([mine], [plain], [x, h, kernel, recurrent_kernel, b])
    x, h, _, kernel, recurrent_kernel, b = leaves(3, bias, double=True, kind=kind)
    mine = recurrent_loops.GRU.apply(x, h, kernel, recurrent_kernel, b)
    plain = recurrent_plain.gru_plain(x, h, kernel, recurrent_kernel, b)
    assert_same([mine], [plain], [x, h, kernel, recurrent_kernel, b])
    inputs = leaves(4, bias, kind=kind)
    mine, plain = recurrent_loops.LSTM.apply(*inputs), recurrent_plain.lstm_plain(*inputs)
    assert_same(mine, plain, inputs)
    for part in (0, 1):  # only outputs, only cell states
        assert_same([recurrent_loops.LSTM.apply(*inputs)[part]], [plain[part]], inputs)


@pytest.mark.parametrize("bias", [True, False])
def test_torchs_lstm_equals_the_twin(bias):
    inputs = leaves(4, bias, kind=torch.float32)
    outputs, h, c = recurrent._torch_lstm(*inputs)
    plain, cells = recurrent_plain.lstm_plain(*inputs)
    assert_same([outputs, h, c], [plain, plain[:, -1], cells[:, -1]], inputs, atol=1e-5, rtol=1e-5)


def test_torchs_weights_in_the_order_of_the_gpu():
    """What a GPU would run, run on the CPU: gates in torch's order."""
    x, h, _, kernel, recurrent_kernel, bias = leaves(3, double=True)
    weights = recurrent._chunk(
        x, [recurrent._gru_order(kernel.t()), recurrent._gru_order(recurrent_kernel.t())], bias, gru=True
    )
    outputs = torch._VF.gru(x, h.unsqueeze(0), weights, *recurrent._one_layer(bias))[0]
    torch.testing.assert_close(outputs, recurrent_plain.gru_plain(x, h, kernel, recurrent_kernel, bias))


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize(
    "mask",
    [
        [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 0]] * 4,
        [[1, 1, 1, 1, 1, 1]] * 4,
    ],
    ids=["right", "holes", "nothing", "everything"],
)
def test_masked_steps_are_skipped(mask, every):
    mask = torch.tensor(mask, dtype=torch.bool)
    x, h, c, kernel, recurrent_kernel, bias = leaves(4)

    def step(part, states):
        new = recurrent_plain.lstm_step(part, *states, recurrent_kernel)
        return new[0], new

    wanted = recurrent_plain.steps(step, recurrent_plain.project(x, kernel, bias), (h, c), mask, every_output=every)
    found = recurrent.lstm(x, h, c, kernel, recurrent_kernel, bias, mask, every_output=every)
    assert (found.outputs is None) is not every
    mine = [found.last, *found.states] + ([found.outputs] if every else [])
    plain = [wanted[1], *wanted[2]] + ([wanted[0]] if every else [])
    assert_same(mine, plain, [x, h, c, kernel, recurrent_kernel, bias])
    # Without the cell state torch's own LSTM runs, in float32.
    low = [one.detach().float() for one in (x, h, c, kernel, recurrent_kernel, bias)]
    found = recurrent.lstm(*low, mask, every_output=every, cell_state=False)
    torch.testing.assert_close(found.last.double(), wanted[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.states[0].double(), wanted[2][0], atol=1e-5, rtol=1e-5)


def test_inputs_of_masked_steps_do_not_matter():
    mask = torch.tensor([[True, True, False, True, False, False]]).expand(BATCH, TIME)
    x, h, _, kernel, recurrent_kernel, bias = leaves(3, double=True)
    first = recurrent.gru(x, h, kernel, recurrent_kernel, bias, mask).outputs
    other = torch.where(mask.unsqueeze(-1), x, x + 100)
    torch.testing.assert_close(recurrent.gru(other, h, kernel, recurrent_kernel, bias, mask).outputs, first)
    gradient = torch.autograd.grad(first.sum(), x)[0]
    assert not gradient[:, [2, 4, 5]].any() and gradient[:, [0, 1, 3]].all()


def test_gradients_equal_finite_differences():
    x, h, c, *weights = leaves(4)
    assert torch.autograd.gradcheck(recurrent_loops.LSTM.apply, (x, h, c, *weights))
    x, h, c, *weights = leaves(3, double=True)
    assert torch.autograd.gradcheck(recurrent_loops.GRU.apply, (x, h, *weights))
    x, h, c, *weights = leaves(1)
    assert torch.autograd.gradcheck(recurrent_loops.SimpleRNN.apply, (x, h, *weights, False))


def test_second_derivatives():
    x, h, c, *weights = leaves(3, double=True)
    x = x[:1, :2].detach().requires_grad_()
    assert torch.autograd.gradgradcheck(recurrent_loops.GRU.apply, (x, h[:1], *weights))
    assert torch.autograd.gradgradcheck(recurrent_loops.GRU.apply, (x, h[:1], *weights[:2], None))
    x, h, c, *weights = leaves(4)
    x = x[:1, :2].detach().requires_grad_()
    assert torch.autograd.gradgradcheck(recurrent_loops.LSTM.apply, (x, h[:1], c[:1], *weights))
    x, h, c, *weights = leaves(1)
    assert torch.autograd.gradgradcheck(recurrent_loops.SimpleRNN.apply, (x[:, :2], h, *weights, False))


def test_only_what_is_wanted_is_computed():
    x, h, _, *weights = leaves(3, double=True)
    frozen = recurrent_loops.GRU.apply(x.detach(), h.detach(), *weights)
    frozen.sum().backward()
    assert weights[0].grad is not None and h.grad is None


@pytest.mark.parametrize("kind", ["simple_rnn", "gru", "lstm"])
def test_compiled_and_traced_code_gives_the_same(kind):
    gates = {"simple_rnn": 1, "gru": 3, "lstm": 4}[kind]
    x, h, c, *weights = [None if one is None else one.detach().float() for one in leaves(gates, double=kind == "gru")]
    states = (h, c) if kind == "lstm" else (h,)
    mask = torch.tensor([[True, False, True, True, False, False]]).expand(BATCH, TIME).contiguous()

    def run(x, mask):
        return getattr(recurrent, kind)(x, *states, *weights, mask).outputs

    wanted = run(x, mask)
    torch.testing.assert_close(torch.jit.trace(run, (x, mask), check_trace=False)(x, mask), wanted)


@pytest.mark.parametrize("shape", [(7,), (4, 3), (2, 3, 2), ()])
def test_embedding_equals_its_twin(shape):
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    indices = torch.randint(5, shape, generator=generator)
    mine, plain = embedding(indices, table), embedding_plain(indices, table)
    assert_same([mine], [plain], [table])
    assert torch.autograd.gradgradcheck(lambda table: embedding(indices, table) ** 2, (table,))


def test_embedding_takes_a_gradient_that_lies_time_first():
    table = torch.randn(5, 3, requires_grad=True)
    indices = torch.randint(5, (4, 6))
    gradient = torch.randn(6, 4, 3).transpose(0, 1)
    mine = torch.autograd.grad(embedding(indices, table), table, gradient)[0]
    torch.testing.assert_close(mine, torch.autograd.grad(embedding_plain(indices, table), table, gradient)[0])
