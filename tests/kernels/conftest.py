"""What the tests of the native kernels share."""

import pytest

from uncrumple.kernels import native


@pytest.fixture(params=native.INSTRUCTION_SETS)
def instruction_set(request):
    """Run a test with each set of instructions that this processor has."""
    if native.limit_instruction_set(request.param) != request.param:
        native.limit_instruction_set(None)
        pytest.skip("this processor has no such instructions, or the kernels were not compiled")
    yield request.param
    native.limit_instruction_set(None)
