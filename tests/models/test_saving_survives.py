"""A kill, a full disk or an interrupt while a file is written leaves the old file whole, and one that loads."""

import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import uncrumple as un
from uncrumple import layers as L
from uncrumple.core import files
from uncrumple.models import load_model


def model(width=8):
    made = un.Sequential([un.Input((4,)), L.Dense(width, name="a"), L.Dense(2, name="b")])
    made.compile("adam", "mse")
    made.optimizer.build(made.trainable_variables)
    return made


SAVES = {
    "m.keras": lambda made, path: made.save(path),
    "m.h5": lambda made, path: made.save(path),
    "m.weights.h5": lambda made, path: made.save_weights(path),
    "m.safetensors": lambda made, path: made.save_weights(path),
}

LOOP = """
import os
import sys
import torch
import uncrumple as un
from uncrumple import layers as L
model = un.Sequential([un.Input((4,)), L.Dense(800, name="a"), L.Dense(2, name="b")])
model.compile("adam", "mse")
model.optimizer.build(model.trainable_variables)
folder = sys.argv[1]
round = 0

def save():
    global round
    round += 1
    for weight in model.weights:
        weight.assign(weight * 0 + round)
    model.save(f"{folder}/m.keras")
    model.save(f"{folder}/m.h5")
    model.save_weights(f"{folder}/m.weights.h5")
    model.save_weights(f"{folder}/m.safetensors")

torch.set_num_threads(1)
save()
# Only one process has to start: it forks whenever it is told to.
while sys.stdin.readline():
    child = os.fork()
    while child == 0:
        save()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
    round += 1000
"""


def whole(path):
    """Load a file, and check that all its numbers are of one round."""
    made = un.Sequential([un.Input((4,)), L.Dense(800, name="a"), L.Dense(2, name="b")])
    if path.endswith((".weights.h5", ".safetensors")):
        made.load_weights(path)
    else:
        made = load_model(path, compile=False)
    values = np.concatenate([weight.ravel() for weight in made.get_weights()])
    assert (values == values[0]).all(), path
    return values[0]


def test_a_kill_at_any_time_leaves_files_that_load(tmp_path):
    """20 kills -9 at random times within a loop that saves and saves again."""
    generator, rounds = random.Random(0), set()
    running = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    for attempt in range(20):
        running.stdin.write("\n")
        running.stdin.flush()
        child = int(running.stdout.readline())
        time.sleep(0.1 * generator.random())
        os.kill(child, signal.SIGKILL)
        running.stdout.readline()  # it has ended
        for place, name in enumerate(SAVES):
            if (tmp_path / name).exists() and (place == attempt % 4 or attempt == 19):
                rounds.add(whole(str(tmp_path / name)))
    running.stdin.close()
    assert running.wait(20) == 0
    assert {name for name in SAVES if (tmp_path / name).exists()} == set(SAVES) and len(rounds) > 5


@pytest.mark.parametrize("name", SAVES)
def test_a_disk_that_is_full_is_said_in_one_error(name, tmp_path):
    """The limit on the size of files stands for the disk: the system itself refuses, wherever it is met."""
    path = tmp_path / name
    SAVES[name](model(), path)
    before = path.read_bytes()
    large = model(200_000)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (3000, 1_000_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
            try:
                with pytest.raises(OSError) as caught:
                    SAVES[name](large, path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, old)
            text = str(caught.value).split("\n")
            assert text[0] == f"Cannot write '{path}': File too large."
            assert text[1].startswith("Expected about ") and " MB free; there are " in text[1]
            assert len(text) == 3 and caught.value.errno == errno.EFBIG
            assert path.read_bytes() == before and os.listdir(tmp_path) == [name]
    finally:
        signal.signal(signal.SIGXFSZ, ignored)


def test_shards_on_a_full_disk_leave_the_old_set(tmp_path):
    path = tmp_path / "m.weights.json"
    first = model()
    first.save_weights(path, max_shard_size=150 / 2**30)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert len(before) > 3
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, old[1]))
    try:
        with pytest.raises(OSError, match="Cannot write"):
            model(50_000).save_weights(path, max_shard_size=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", SAVES)
def test_names_are_given_to_what_is_on_disk(name, tmp_path, monkeypatch):
    """First the bytes are on disk, then they have the name, then the name is on disk."""
    order = []
    for call in ("fsync", "replace"):
        original = getattr(os, call)

        def noted(*arguments, call=call, original=original):
            is_folder = call == "fsync" and os.path.isdir(f"/proc/self/fd/{arguments[0]}")
            order.append("fsync of the folder" if is_folder else call)
            return original(*arguments)

        monkeypatch.setattr(files.os, call, noted)
    SAVES[name](model(), tmp_path / name)
    assert order == ["fsync", "replace", "fsync of the folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_any_step_may_fail(call, number, tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    model().save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError) as caught:
        model().save(path)
    monkeypatch.undo()
    assert caught.value.errno == number and str(caught.value).startswith(f"Cannot write '{path}'")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.keras"]
