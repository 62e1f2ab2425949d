"""Freed memory stays with the program while a model trains."""

import os
import subprocess
import sys

import pytest

from uncrumple.core import allocator

linux = pytest.mark.skipif(allocator._mallopt() is None, reason="not glibc")


COUNT_PAGES = """
import resource, torch
import uncrumple as uc
from uncrumple import layers

torch.set_num_threads(1)
model = uc.Sequential([uc.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(48, 3),
                       layers.Flatten(), layers.Dense(1)])
model.compile("sgd", "mse")
x, y = torch.zeros(256, 28, 28, 1), torch.zeros(256, 1)
model.fit(x, y, batch_size=16, verbose=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
model.fit(x, y, batch_size=16, verbose=0)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 16)
"""


@linux
def test_a_step_takes_its_memory_from_the_step_before():
    pages = []
    for keep in ("1", "0"):
        environment = {**os.environ, "UNCRUMPLE_KEEP_MEMORY": keep}
        command = [sys.executable, "-c", COUNT_PAGES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        pages.append(float(done.stdout))
    # Where the system leaves freed memory with the program anyway, there is nothing to gain.
    assert pages[0] < max(pages[1] / 4, 50)


@linux
def test_blocks_within_blocks_and_errors(monkeypatch):
    seen = []
    monkeypatch.setattr(allocator, "_set", seen.append)
    with pytest.raises(ZeroDivisionError), allocator.freed_memory_kept():
        with allocator.freed_memory_kept():
            pass
        assert len(seen) == 1
        1 / 0  # noqa: B018
    assert seen == [allocator._KEPT, allocator._ORDINARY]


def test_the_environment_turns_it_off():
    code = "from uncrumple.core import allocator; print(allocator._mallopt())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"UNCRUMPLE_KEEP_MEMORY": "0"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"
