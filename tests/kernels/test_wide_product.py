"""Products of bfloat16 with weights in float32 that are rounded on the way, against rounding them first."""

import pytest
import torch

from uncrumple.kernels import native
from uncrumple.kernels.dense import multiply_add_wide

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5, 16, 37])
def test_any_size(instruction_set, rows):
    for inner, columns in ((1, 1), (77, 45), (33, 16), (64, 128), (20, 300), (9, 17), (5, 112)):
        x, kernel, bias = torch.randn(rows, inner).bfloat16(), torch.randn(inner, columns), torch.randn(columns)
        for relu in (False, True):
            for start in (bias, None):
                wanted = x.float() @ kernel.bfloat16().float()
                wanted = wanted if start is None else wanted + start.bfloat16().float()
                wanted = wanted.relu() if relu else wanted
                found = multiply_add_wide(x, kernel, start, relu)
                assert found.dtype is torch.bfloat16 and found.shape == wanted.shape
                torch.testing.assert_close(found.float(), wanted, rtol=8e-3, atol=1e-4)


def test_more_axes_and_other_orders_in_memory():
    x, kernel = torch.randn(2, 3, 8).bfloat16(), torch.randn(5, 8).t()
    found = multiply_add_wide(x, kernel)
    torch.testing.assert_close(found.float(), x.float() @ kernel.bfloat16().float(), rtol=8e-3, atol=1e-4)
    turned = x.transpose(0, 1)
    torch.testing.assert_close(multiply_add_wide(turned, kernel), found.transpose(0, 1))


def test_not_a_number_stays_one():
    kernel = torch.full((3, 2), float("nan"))
    assert multiply_add_wide(torch.ones(1, 3).bfloat16(), kernel, None, True).isnan().all()


def test_without_the_kernels(monkeypatch):
    x, kernel, bias = torch.randn(2, 8).bfloat16(), torch.randn(8, 5), torch.randn(5)
    found = multiply_add_wide(x, kernel, bias, True)
    monkeypatch.setattr(native, "takes", lambda *_, **__: False)
    torch.testing.assert_close(multiply_add_wide(x, kernel, bias, True), found, rtol=8e-3, atol=1e-4)
