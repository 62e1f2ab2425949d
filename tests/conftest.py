"""Real Keras, where a test compares with it, runs on its torch backend."""

import gc
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch

from uncrumple.kernels import native

torch.set_num_threads(1)

# Tables that tests/test_mistakes.py reads, and scripts that tests/parity/test_courses.py runs: no doctests are in them.
collect_ignore_glob = ["beginners/*.py", "courses/*.py"]


def pytest_collection_finish() -> None:
    """What was made while the tests were found stays: `clear_session` need not look through all of it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _leave_nothing_to_look_through():
    """What a module's tests imported and left behind is not looked through either."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed():
    """Every test starts from the same random state."""
    from uncrumple.core.seeds import set_random_seed

    set_random_seed(0)


@pytest.fixture(params=native.INSTRUCTION_SETS)
def instruction_set(request):
    """Run a test with each set of instructions that this processor has."""
    if native.limit_instruction_set(request.param) != request.param:
        native.limit_instruction_set(None)
        pytest.skip("this processor has no such instructions, or the kernels were not compiled")
    yield request.param
    native.limit_instruction_set(None)
