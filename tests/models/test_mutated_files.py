"""Files with random damage, by the hundred: each loads as it was or is refused in words, whatever the damage."""

import os
import random
import resource
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import uncrumple as un
from uncrumple import layers as L
from uncrumple.models import load_model

SEED, EACH, AT_ONCE = 20, 120, 60
# What a process may take beyond what it has when it begins.
MEMORY, SECONDS = 600 * 2**20, 60


def model():
    inputs = un.Input((6,), name="data")
    x = L.BatchNormalization(name="bn")(L.Dense(5, "relu", name="dense")(inputs))
    inner = un.Sequential([un.Input((5,)), L.Dense(3, kernel_regularizer="l2", name="inside")], name="inner")
    made = un.Model(inputs, inner(x), name="made")
    made.compile(un.optimizers.Adam(0.1), "mse")
    made.fit(X, np.ones((4, 3), "float32"), verbose=0)
    return made


X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def repacked(path):
    """Write a .keras file again without checksums of its own or the zip's: the damage is inside."""
    with zipfile.ZipFile(path) as source:
        return {name: source.read(name) for name in source.namelist()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutated")
    made = model()
    made.save(folder / "whole.keras")
    made.save(folder / "whole.h5")
    made.save_weights(folder / "whole.weights.h5")
    made.save_weights(folder / "whole.safetensors")
    made.save_weights(folder / "whole.weights.json", max_shard_size=150 / 2**30)
    return folder


def damaged(data, generator):
    """Return bytes with some flipped, overwritten, taken out, doubled or cut off."""
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 8))):
        kind = generator.randrange(6)
        at = generator.randrange(len(changed) or 1)
        length = generator.choice((1, 2, 4, 8, 64))
        if kind <= 1 and changed:
            changed[at] ^= 1 << generator.randrange(8)
        elif kind == 2:
            value = generator.choice((b"\xff", b"\x00", b"\x7f", generator.randbytes(1)))
            changed[at : at + length] = (value * length)[: len(changed) - at]
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length]
        elif generator.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def answer(kind, path, blank):
    """Return what a load says: `same`, `refused`, or what is wrong with it."""
    try:
        if kind in ("keras", "inside", "h5"):
            found = load_model(path)
        else:
            found = blank
            found.set_weights([np.zeros_like(weight) for weight in found.get_weights()])
            found.load_weights(path)
    except (ValueError, TypeError, OSError) as error:
        return "refused" if "\nFix: " in str(error) else f"{type(error).__name__}: {error}"
    except MemoryError:
        return "MemoryError"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return found


def run(kind, folder, first, count, expected, blank):
    """Load `count` damaged files in a process of their own; return the lines that say what was wrong."""
    wrong = []
    suffix = {"inside": ".keras", "sharded": ".weights.json"}.get(kind, f".{kind}")
    whole = (folder / f"whole{suffix}").read_bytes()
    place = folder / f"{kind}-{first}"
    place.mkdir(exist_ok=True)
    if kind == "sharded":
        for shard in folder.glob("whole_*.weights.h5"):
            (place / shard.name).write_bytes(shard.read_bytes())
    target = place / f"whole{suffix}"
    for number in range(first, first + count):
        generator = random.Random(f"{SEED}-{kind}-{number}")
        at = target
        if kind == "inside":
            entries = repacked(folder / "whole.keras")
            name = generator.choice(("model.weights.h5", "config.json", "metadata.json"))
            entries[name] = damaged(entries[name], generator)
            with zipfile.ZipFile(target, "w") as archive:
                for entry, content in entries.items():
                    archive.writestr(entry, content)
        elif kind == "sharded":
            shards = [target, *sorted(place.glob("whole_*.weights.h5"))]
            at = generator.choice(shards)
            before = (folder / at.name).read_bytes()
            at.write_bytes(damaged(before, generator))
        else:
            target.write_bytes(damaged(whole, generator))
        found = answer(kind, target, blank)
        if kind == "sharded":
            at.write_bytes(before)
        if isinstance(found, str):
            if found != "refused":
                wrong.append(f"{kind} {number}: {found}")
            continue
        same = np.array_equal(found.predict_on_batch(X), expected, equal_nan=True)
        if not same:
            wrong.append(f"{kind} {number}: loads, and predicts otherwise")
    return wrong


@pytest.mark.parametrize("kind", ["keras", "inside", "h5", "weights.h5", "sharded", "safetensors"])
def test_damage_is_harmless_or_refused(kind, folder):
    """In forked processes with limits, so that a crash, a hang or a full memory would be seen as such."""
    expected = load_model(folder / "whole.keras").predict_on_batch(X)
    blank = load_model(folder / "whole.keras")
    said = []
    for first in range(0, EACH, AT_ONCE):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
                resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
                warnings.simplefilter("ignore")
                wrong = run(kind, folder, first, AT_ONCE, expected, blank)
                os.write(write, "\n".join(wrong).encode()[:60_000])
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            said += pipe.read().decode(errors="replace").splitlines()
        _, status = os.waitpid(child, 0)
        assert status == 0, f"files {first} to {first + AT_ONCE} of {kind}: the process ended with {status}; {said}"
    assert said == []
