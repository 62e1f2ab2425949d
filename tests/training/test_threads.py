"""`fit` works with the number of threads that is faster, notices when that changes, and leaves them alone when asked."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.core.seeds import is_seeded
from uncrumple.training.threads import ThreadChoice


class Machine:
    """A clock, and steps that take their time on it."""

    def __init__(self, most=4):
        self.now = 0.0
        self.threads = most
        self.log = []

    def set_threads(self, threads):
        self.threads = threads

    def run(self, choice, seconds_per_step, seconds):
        """Do steps, each as long as `seconds_per_step(threads)`, until so many seconds are over; return threads used."""
        end, used = self.now + seconds, []
        while self.now < end:
            for _ in choice.watched(range(10)):  # an epoch
                used.append(self.threads)
                self.now += seconds_per_step(self.threads)
            self.now += 0.5  # validation and callbacks are no steps
        return used


def _choice(machine):
    return ThreadChoice(machine.threads, clock=lambda: machine.now, set_threads=machine.set_threads)


@pytest.mark.parametrize("scale", [0.0001, 0.01, 1.0])
def test_many_threads_where_they_are_faster(scale):
    machine = Machine()
    with _choice(machine) as choice:
        used = machine.run(choice, lambda threads: scale * (1.0 if threads == 4 else 1.6), 300 * max(scale, 0.1))
    assert used[-1] == 4 and used[0] == 4
    assert used.count(1) * scale <= 0.1 + 3 * scale


@pytest.mark.parametrize("scale", [0.001, 0.1])
def test_one_thread_on_a_busy_machine_and_back_again(scale):
    machine = Machine()
    with _choice(machine) as choice:
        busy = machine.run(choice, lambda threads: scale * (50.0 if threads == 4 else 1.0), 600 * max(scale, 0.1))
        assert busy[-1] == 1
        # Beyond the first steps, hardly one with all threads: they would cost fifty times as much.
        assert busy[5:].count(4) < 0.01 * len(busy) + 8
        quiet = machine.run(choice, lambda threads: scale * (0.6 if threads == 4 else 1.0), 2000 * max(scale, 0.1))
        assert quiet[-1] == 4
        busy = machine.run(choice, lambda threads: scale * (50.0 if threads == 4 else 1.0), 600 * max(scale, 0.1))
        assert busy[-1] == 1
    assert machine.threads == 4  # as it was before


def test_little_difference_takes_three_comparisons():
    machine = Machine()
    with _choice(machine) as choice:
        used = machine.run(choice, lambda threads: 0.1 if threads == 4 else 0.11, 10)
    assert used[:10] == [4, 4, 4, 4, 1, 4, 1, 4, 1, 4] and set(used[10:]) == {4}


def test_one_thread_is_left_alone():
    choice = ThreadChoice(1, clock=None, set_threads=None)
    batches = [1, 2]
    assert choice.watched(batches) is batches


def test_a_seed_is_noticed():
    state = torch.get_rng_state()
    try:
        torch.seed()
        assert not is_seeded()
        uc.utils.set_random_seed(7)
        assert is_seeded()
        torch.seed()
        torch.manual_seed(0)
        assert is_seeded()
    finally:
        torch.set_rng_state(state)


_SCRIPT = """
import sys, torch
if "two" in sys.argv:
    torch.set_num_threads(2)
import uncrumple as uc
from uncrumple.training import threads
threads._FIRST_THREADS = 2
if "seed" in sys.argv:
    uc.utils.set_random_seed(1)
if "other" in sys.argv:
    torch.set_num_threads(3)
with threads.thread_choice() as choice:
    print(choice.most)
"""


@pytest.mark.parametrize(
    ("words", "environment", "most"),
    [
        (["two"], {}, 2),
        (["two", "seed"], {}, 1),
        (["two", "other"], {}, 1),
        (["two"], {"OMP_NUM_THREADS": "2"}, 1),
    ],
)
def test_when_threads_are_chosen(words, environment, most, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = subprocess.run([sys.executable, "-c", _SCRIPT, *words], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(most)]


def test_fit_gives_the_threads_back(monkeypatch):
    from uncrumple.training import loop

    used = []
    monkeypatch.setattr(loop, "thread_choice", lambda: ThreadChoice(2, set_threads=used.append))
    model = uc.Sequential([uc.Input((4,)), uc.layers.Dense(2)])
    model.compile("adam", "mse")

    class Stop(uc.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        model.fit(np.ones((2000, 4)), np.ones((2000, 2)), batch_size=1, epochs=9, verbose=0, callbacks=[Stop()])
    assert used and used[-1] in (1, 2)
    if 1 in used:
        assert used[-1] == 2
