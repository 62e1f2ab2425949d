"""Pictures read batch by batch: in an order that workers do not change, with augmentation in training alone."""

import resource
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import uncrumple as uc
from uncrumple import layers
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.data import Images, Series, Table, Text, split
from uncrumple.data.kinds import images as module


@pytest.fixture
def folder(tmp_path):
    """Two classes of ten pictures, each of one grey, which says which picture it is."""
    for place, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        for number in range(10):
            level = 10 * (10 * place + number)
            Image.fromarray(np.full((8, 8 + number % 3), level, np.uint8)).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.fixture
def never_all(monkeypatch):
    """Nothing is small enough to be kept in memory."""
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)


def levels(batches):
    return [(x[:, 0, 0, 0].tolist(), None if y is None else y.tolist()) for x, y in batches]


def test_every_picture_once_with_its_label(folder, never_all):
    pictures = Images(folder, size=(8, 8))
    assert pictures.is_read_in_batches
    found = levels(pictures.batches(6))
    assert [len(x) for x, _ in found] == [6, 6, 6, 2]
    assert [level for x, _ in found for level in x] == [10 * n for n in range(20)]
    assert [label for _, y in found for label in y] == [0] * 10 + [1] * 10
    part = pictures.take([19, 3, 4])
    assert levels(part.batches(2, workers=1)) == [([190, 30], [1, 0]), ([40], [0])]
    assert part.batches().class_names == ["a", "b"]


@pytest.mark.parametrize("how", [{"workers": 1}, {"workers": 2}, {"workers": 5}, {"processes": 1}, {"processes": 3}])
def test_the_order_follows_from_the_seed_whatever_the_workers(folder, never_all, how):
    pictures = Images(folder, size=(8, 8), augment=[lambda x: x + torch.randint(0, 9, (len(x), 1, 1, 1))])
    settings = {"batch_size": 6, "shuffle": True, "seed": 3, "training": True}
    expected, found = pictures.batches(**settings), pictures.batches(**settings, **how)
    for _ in range(2):  # each epoch has an order of its own, the same for both
        first, second = levels(expected), levels(found)
        assert first == second
    assert levels(pictures.batches(**{**settings, "seed": 4})) != levels(pictures.batches(**settings))
    epochs = pictures.batches(**settings)
    assert levels(epochs) != levels(epochs)


def test_set_random_seed_decides_where_no_seed_is_given(folder, never_all):
    pictures = Images(folder, size=(8, 8))
    found = []
    for _ in range(2):
        uc.utils.set_random_seed(5)
        found.append(levels(pictures.batches(6, shuffle=True)))
    assert found[0] == found[1] != levels(pictures.batches(6, shuffle=True))


def test_training_from_files_is_training_from_memory(folder, never_all, monkeypatch):
    def trained(in_memory):
        monkeypatch.setattr(module, "IN_MEMORY_BYTES", 1 << 30 if in_memory else 0)
        uc.utils.set_random_seed(0)
        pictures = Images(folder, size=(8, 8))
        preparation = pictures.preparation()
        x = inputs = preparation.inputs()
        for layer in (preparation, layers.Flatten(), layers.Dense(1, activation="sigmoid")):
            x = layer(x)
        model = uc.Model(inputs, x)
        model.compile("adam", "binary_crossentropy")
        history = model.fit(pictures, epochs=2, shuffle=False, validation_data=pictures, verbose=0)
        return history.history, model.evaluate(pictures, verbose=0), model.predict(pictures, verbose=0)

    for from_memory, from_files in zip(trained(True), trained(False)):
        if isinstance(from_memory, dict):
            assert from_memory.keys() == from_files.keys()
            from_memory, from_files = list(from_memory.values()), list(from_files.values())
        np.testing.assert_allclose(from_memory, from_files, rtol=1e-6)


def test_each_picture_is_decoded_once_if_all_fit(folder, monkeypatch):
    read = []
    monkeypatch.setattr(
        "uncrumple.data.kinds.pictures.read_picture",
        lambda path, *_: read.append(path) or np.zeros((8, 8, 1), np.uint8),
    )
    parts = split(Images(folder, size=(8, 8)))
    parts.data.preparation(parts.rows.train)
    assert len(read) == 14
    _ = parts.train.raw, parts.validation.raw, parts.test.raw, parts.train.raw
    assert len(read) == len(set(read)) == 20


def test_statistics_of_very_many_files_are_measured_on_some(folder, never_all, monkeypatch):
    monkeypatch.setattr(module, "_MEASURED", 5)
    pictures = Images(folder, size=(8, 8))
    assert pictures.preparation().mean == [np.mean([0, 40, 80, 120, 160])]


# --- damaged files -----------------------------------------------------------------------------


def test_damaged_files_are_an_error_unless_skipped_and_then_named(folder, never_all):
    whole = (folder / "a" / "3.png").read_bytes()
    (folder / "a" / "3.png").write_bytes(whole[:45])
    (folder / "b" / "7.png").write_bytes(b"")
    (folder / "b" / "8.png").write_bytes(b"<html>not here</html>")
    with pytest.raises(ValueError, match=r"Images found 1 empty file of 20: .*7\.png"):
        Images(folder)
    with pytest.warns(UncrumpleWarning, match="Left out 3 of 20 files that cannot be read"):
        pictures = Images(folder, size=(8, 8), skip_damaged=True)
    assert [path.rpartition("/")[2] for path in pictures.damaged] == ["3.png", "7.png", "8.png"]
    damaged, empty, _ = pictures.damaged.values()
    assert "is damaged" in damaged and "is empty" in empty
    assert len(pictures) == 17 and np.bincount(pictures.y).tolist() == [9, 8]
    assert sum(len(x) for x, _ in pictures.batches(4)) == 17
    assert pictures.take([0]).damaged == pictures.damaged
    (folder / "a" / "5.png").write_bytes(whole[:45])  # after it was looked at
    with pytest.raises(ValueError, match=r"5\.png is damaged"):
        list(pictures.batches(4))


def test_all_files_are_damaged(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"x")
    with pytest.warns(UncrumpleWarning), pytest.raises(ValueError, match="None of 1 files can be read"):
        Images(tmp_path, skip_damaged=True)


# --- augmentation -------------------------------------------------------------------------------


class Seen(layers.Layer):
    """Passes pictures on, and remembers the brightest of each batch."""

    def __init__(self):
        super().__init__()
        self.brightest = {True: set(), False: set()}

    def call(self, x, training=None):
        if not x.is_meta:
            self.brightest[bool(training)].add(float(x.max()))
        return x


@pytest.mark.parametrize("in_memory", [True, False])
def test_augmentation_is_for_training_rows_alone(folder, monkeypatch, in_memory):
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 1 << 30 if in_memory else 0)
    calls = []

    def brighter(x):
        calls.append(len(x))
        return x.float() + 1000

    parts = split(Images(folder, size=(8, 8), augment=brighter), validation=0.2, test=0.2)
    seen = Seen()
    model = uc.Sequential([uc.Input((8, 8, 1)), seen, layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncrumpleWarning)  # that pixels are large numbers
        model.fit(parts.train, validation_data=parts.validation, epochs=2, verbose=0)
    assert sum(calls) == 2 * len(parts.train) == 24
    assert min(seen.brightest[True]) > 1000 and min(seen.brightest[False]) <= 190
    seen.brightest[False].clear()  # one training batch was looked at beforehand
    test = parts.test
    model.evaluate(test, verbose=0)
    model.evaluate(parts.train, verbose=0)  # nor are training rows that are only evaluated
    model.predict(parts.train, verbose=0)
    assert sum(calls) == 24 and max(seen.brightest[False]) <= 190
    assert not test.augment and not parts.validation.augment and not parts.peek("test").augment
    assert parts.train.raw.max() <= 190 and parts.train.preparation().mean[0] < 190
    assert max(x.max() for x, _ in parts.train.batches(4)) <= 190  # unless it is said that it is for training
    assert min(x.min() for x, _ in parts.train.batches(4, training=True)) >= 1000
    assert max(x.max() for x, _ in parts.validation.batches(4, training=True)) <= 190


def test_augmentation_by_layers_repeats_itself_with_the_seed(folder):
    x = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    changes = [layers.RandomFlip("horizontal"), layers.RandomTranslation(0.3, 0.3)]
    pictures = Images(x, [0, 1] * 6, augment=changes)

    def epochs(seed):
        batches = pictures.batches(5, seed=seed, training=True)
        return [torch.cat([x for x, _ in batches]) for _ in range(2)]

    first, again, other = epochs(1), epochs(1), epochs(2)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], other[0])
    state = torch.get_rng_state()
    epochs(1)
    assert torch.equal(state, torch.get_rng_state())  # the network's random numbers are as without
    with pytest.raises(TypeError, match="Images got augment='flip'"):
        Images(x, augment="flip")
    with pytest.raises(ValueError, match=r"returned a tensor of shape \(1, 8, 8, 3\) for a batch of shape \(5,"):
        list(Images(x, augment=lambda x: x[:1]).batches(5, training=True))


# --- other kinds, and what is refused -------------------------------------------------------------


def test_files_that_fit_are_read_once_for_all_epochs(folder, monkeypatch):
    pictures = Images(folder, size=(8, 8), augment=lambda x: x / 255)
    read = []
    real = pictures._store.read
    monkeypatch.setattr(pictures._store, "read", lambda row: read.append(row) or real(row))
    model = uc.Sequential([uc.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(pictures, epochs=3, verbose=0)
    assert sorted(read) == list(range(20))
    assert levels(pictures.batches(6, processes=2)) == levels(pictures.batches(6))  # nothing is left to be read


def test_other_kinds_in_batches():
    table = Table({"a": [1.0, 2.0, None], "b": ["x", "y", "x"], "c": ["n", "y", "n"]}, target="c")
    x, y = next(iter(table.batches(2)))
    assert x["a"].tolist() == [1.0, 2.0] and x["b"].tolist() == ["x", "y"] and y.tolist() == [0, 1]
    prepared, _ = next(iter(table.batches(3, preparation=table.preparation())))
    np.testing.assert_array_equal(prepared.numpy(), table.matrix(table.preparation()))
    texts = Text(["one", "two", "three"], [0, 1, 0])
    assert [x.tolist() for x, _ in texts.batches(2)] == [["one", "two"], ["three"]]
    series = Series(np.arange(10.0), past=3)
    assert sum(len(x) for x, _ in series.batches(2, shuffle=True)) == 7
    assert [x.shape for x in Images(np.zeros((3, 4, 4))).batches(2)] == [(2, 4, 4, 1), (1, 4, 4, 1)]


def test_fit_takes_every_kind():
    table = Table({"a": np.arange(40.0), "b": ["x", "y"] * 20, "c": np.arange(40.0) % 7 + 0.5}, target="c")
    parts = split(table)
    preparation = table.preparation(parts.rows.train)
    inputs = preparation.inputs()
    model = uc.Model(inputs, layers.Dense(1)(preparation(inputs)))
    model.compile("adam", "mse")
    history = model.fit(parts.train, validation_data=parts.validation, epochs=2, verbose=0).history
    assert len(history["val_loss"]) == 2
    np.testing.assert_allclose(model.predict(parts.train, verbose=0), model.predict(parts.train.raw, verbose=0))
    with pytest.raises(ValueError, match="y was given together with a Table, which has its answers"):
        model.fit(parts.train, parts.train.y)
    with pytest.raises(ValueError, match=r"validation_split=0\.2 was given with data of the kind Table"):
        model.fit(table, validation_split=0.2)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"workers": 0}, {"processes": -1}, {"seed": -1}, {"seed": 1.5}, {"batch_size": True}]
)
def test_impossible_settings(wrong):
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"batches got {name}={value!r}"):
        Images(np.zeros((3, 4, 4))).batches(**wrong)


def test_memory_stays_bounded(tmp_path):
    """160 pictures of 512 x 512 take 126 MB decoded; going through them takes the room of a few batches."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    content = Image.fromarray(np.full((512, 512, 3), 90, np.uint8))
    for number in range(160):
        content.save(tmp_path / "ab"[number % 2] / f"{number}.png")
    code = f"""
import resource
from uncrumple.data import Images
from uncrumple.data.kinds import images as module
module.IN_MEMORY_BYTES = 1 << 20
pictures = Images({str(tmp_path)!r}, size=(512, 512))
pictures.preparation(range(32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(len(x) for x, _ in pictures.batches(8, shuffle=True, seed=0))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    count, megabytes = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(count) == 160 and int(megabytes) < 70
    assert resource.getpagesize()  # the unit above is kB on Linux
