"""Operations of programs on small matrices, against torch: every size, every instruction set, nothing written beside."""

import pytest
import torch

from uncrumple.kernels import native
from uncrumple.kernels.native import program

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")


def between_walls(count):
    """Return room for so many numbers, and the whole memory that it lies in, filled with 7."""
    whole = torch.full((count + 128,), 7.0)
    return whole[64 : 64 + count], whole


def assert_walls_stand(whole):
    assert (whole[:64] == 7).all() and (whole[-64:] == 7).all()


ROWS = [1, 2, 3, 8, 11]
COLUMNS = [1, 3, 4, 10, 16, 17, 33, 48, 50, 101]
INNER = [0, 1, 5, 16]


@pytest.mark.parametrize("flags", [0, program.TRANSPOSE_A, program.TRANSPOSE_B, 3])
def test_products(flags, instruction_set):
    generator = torch.Generator().manual_seed(0)
    for rows in ROWS:
        for columns in COLUMNS:
            for inner in INNER:
                a = torch.randn(rows, inner, generator=generator)
                b = torch.randn(inner, columns, generator=generator)
                given = [a.t().contiguous() if flags & 1 else a, b.t().contiguous() if flags & 2 else b]
                c, whole = between_walls(rows * columns)
                made = program.Program()
                made.add(program.MULTIPLY, flags, (rows, columns, inner), (*given, c))
                made.run()
                torch.testing.assert_close(c.view(rows, columns), a @ b, rtol=1e-5, atol=1e-5)
                assert_walls_stand(whole)


@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 15, 16, 19, 64])
def test_adam(count, instruction_set):
    generator = torch.Generator().manual_seed(count)
    memory = [between_walls(count) for _ in range(4)]
    weight, gradient, mean, square = (part for part, _ in memory)
    for part in (weight, gradient, mean, square):
        part.copy_(torch.rand(count, generator=generator))
    expected = [part.clone().double() for part in (weight, gradient, mean, square)]
    settings = program.AdamSettings(rate=0.1, beta_1=0.9, beta_2=0.99, epsilon=1e-3, keep=0.5)
    made = program.Program()
    made.add(program.ADAM, sizes=(count,), memory=(weight, gradient, mean, square, settings))
    made.run()
    w, g, m, v = expected
    m, v = m * 0.9 + g * 0.1, v * 0.99 + g * g * 0.01
    for part, other in zip((mean, square, weight), (m, v, w * 0.5 - 0.1 * m / (v.sqrt() + 1e-3))):
        torch.testing.assert_close(part.double(), other, rtol=1e-5, atol=1e-6)
    for _, whole in memory:
        assert_walls_stand(whole)


@pytest.mark.parametrize("classes", [2, 3, 16, 19])
@pytest.mark.parametrize("rows", [1, 5, 700])
@pytest.mark.parametrize("spread", [1.0, 60.0])
def test_crossentropy(classes, rows, spread, instruction_set):
    """Many rows, so that the product whose logarithm is taken must be begun anew."""
    generator = torch.Generator().manual_seed(rows)
    logits = (torch.randn(rows, classes, generator=generator) * spread).requires_grad_()
    labels = torch.randint(0, classes, (rows,), generator=generator)
    for from_logits in (True, False):
        given = logits.detach().clone() if from_logits else torch.softmax(logits.detach(), 1)
        gradient, whole = between_walls(rows * classes)
        totals = torch.zeros(2)
        made = program.Program()
        flags = program.FROM_LOGITS if from_logits else 0
        memory = (given, labels, gradient, totals[:1], totals[1:])
        made.add(program.CROSSENTROPY, flags, (rows, classes), memory)
        made.run()
        loss = torch.nn.functional.cross_entropy(logits, labels)
        if not from_logits:
            shares = torch.softmax(logits, 1).gather(1, labels[:, None])
            loss = -shares.clamp(1e-7, 1 - 1e-7).log().mean()
        torch.testing.assert_close(totals[0] / rows, loss.detach(), rtol=1e-5, atol=1e-6)
        assert int(totals[1]) == int((logits.argmax(1) == labels).sum())
        (expected,) = torch.autograd.grad(loss, logits)
        torch.testing.assert_close(gradient.view(rows, classes), expected, rtol=1e-4, atol=1e-6)
        assert_walls_stand(whole)
