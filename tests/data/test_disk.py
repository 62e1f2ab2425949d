"""Arrays that stay in files: the batches of those in memory, without the memory."""

import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.core.seeds import set_random_seed
from uncrumple.data import Dataset, disk
from uncrumple.data.batches import ArrayBatches, DiskBatches
from uncrumple.data.disk import DiskArray, is_on_disk
from uncrumple.data.from_arguments import make_batches


@pytest.fixture(autouse=True)
def _everything_stays_on_disk(monkeypatch):
    monkeypatch.setattr(disk, "_SMALL_BYTES", 0)


X = np.random.RandomState(0).rand(101, 3, 2)
Y = np.random.RandomState(1).randint(0, 4, 101)


@pytest.fixture(params=["npy", "npy writeable", "raw", "h5", "h5 chunked", "h5 compressed"])
def on_disk(request, tmp_path):
    """X in a file, in several ways."""
    kind = request.param
    if kind.startswith("npy"):
        np.save(tmp_path / "x.npy", X)
        yield np.load(tmp_path / "x.npy", mmap_mode="r+" if "write" in kind else "r")
    elif kind == "raw":
        X.astype("float32").tofile(tmp_path / "x.raw")
        yield np.memmap(tmp_path / "x.raw", "float32", "r", shape=X.shape)
    else:
        with h5py.File(tmp_path / "x.h5", "w") as file:
            settings = {"h5": {}, "h5 chunked": {"chunks": (7, 3, 2)}, "h5 compressed": {"compression": "gzip"}}[kind]
            file.create_dataset("x", data=X, **settings)
        with h5py.File(tmp_path / "x.h5") as file:
            yield file["x"]


def test_rows_are_those_of_the_file(on_disk):
    assert is_on_disk(on_disk)
    rows = DiskArray(on_disk)
    assert rows.shape == X.shape and rows.dtype is torch.float32 and len(rows) == 101 and rows.ndim == 3
    order = torch.randperm(101)
    np.testing.assert_allclose(rows.rows(order), X[order].astype("float32"))
    part = rows[10:50]
    assert len(part) == 40
    np.testing.assert_allclose(part.rows(torch.tensor([39, 0])), X[[49, 10]].astype("float32"))
    np.testing.assert_allclose(part[5:].rows(slice(0, 2)), X[15:17].astype("float32"))


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_same_batches_as_from_memory(on_disk, shuffle):
    found = []
    for source in (on_disk, X):
        set_random_seed(0)
        made = make_batches(source, Y, batch_size=8, shuffle=shuffle)
        assert isinstance(made, DiskBatches) == (source is on_disk) and isinstance(made, ArrayBatches)
        assert made.steps == 13
        found.append([(x, y) for _ in range(2) for x, y in made.epoch()])
    chunked = getattr(on_disk, "chunks", None) is not None
    for (x, y), (wanted, label) in zip(*found):
        assert x.dtype is torch.float32 and len(x) == len(wanted)
        if not (shuffle and chunked):
            assert torch.equal(x, wanted) and torch.equal(y, label)
    for epoch in (found[0][:13], found[0][13:]):  # every row once, with its own label
        rows = torch.cat([x for x, _ in epoch])
        labels = torch.cat([y for _, y in epoch])
        place = {tuple(row.reshape(-1)): number for number, row in enumerate(X.astype("float32"))}
        numbers = [place[tuple(row.numpy().reshape(-1))] for row in rows]
        assert sorted(numbers) == list(range(101)) and labels.tolist() == Y[numbers].tolist()


def test_chunks_are_shuffled_in_groups_and_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_KEPT_BYTES", 4 * 10 * 8)
    monkeypatch.setattr(disk, "_BLOCK_BYTES", 10 * 8)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=np.arange(95.0), chunks=(10,))
    with h5py.File(tmp_path / "x.h5") as file:
        rows = DiskArray(file["x"])
        assert rows.block_rows == 10
        order = disk.shuffled(95, [rows])
        assert sorted(order.tolist()) == list(range(95)) and order.tolist() != sorted(order.tolist())
        read = []
        source = rows.source
        rows.source = type(
            "Watched",
            (),
            {"dtype": source.dtype, "__getitem__": lambda self, where: read.append(where.start) or source[where]},
        )()
        assert torch.cat([rows.rows(part) for part in order.split(7)]).tolist() == order.tolist()
        assert len(read) == 10


def test_training_gives_the_same_numbers(on_disk):
    histories = []
    for source in (on_disk, X):
        set_random_seed(0)
        model = uc.Sequential([uc.Input((3, 2)), uc.layers.Flatten(), uc.layers.Dense(4, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(source, Y, epochs=2, verbose=0, shuffle=False, batch_size=16, validation_split=0.2)
        histories.append((history.history, model.evaluate(source, Y, verbose=0), model.predict(source, verbose=0)))
    assert histories[0][:2] == histories[1][:2]
    assert np.array_equal(histories[0][2], histories[1][2])


def test_numbers_that_are_none_are_found(tmp_path):
    x = X.copy()
    x[3, 0, 0] = np.nan
    np.save(tmp_path / "x.npy", x)
    model = uc.Sequential([uc.Input((3, 2)), uc.layers.Flatten(), uc.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="x holds NaN in row 3"):
        model.fit(np.load(tmp_path / "x.npy", mmap_mode="r"), Y, verbose=0)
    with pytest.raises(ValueError, match="x holds NaN in row 3"):
        model.fit(np.load(tmp_path / "x.npy", mmap_mode="r"), Y, verbose=0, validation_split=0.5)


def test_several_inputs_and_data_sets_from_files(on_disk):
    made = make_batches({"a": on_disk, "b": Y}, Y, batch_size=50)
    assert [(x["a"].shape[0], x["b"].shape[0]) for x, _ in made.epoch()] == [(50, 50), (50, 50), (1, 1)]
    made = make_batches([on_disk, X], Y, batch_size=50)
    assert all(torch.equal(*x) for x, _ in made.epoch())
    data = Dataset.from_tensor_slices((on_disk, Y)).shuffle(101, seed=0).batch(40)
    assert [len(x) for x, _ in data] == [40, 40, 21]
    np.testing.assert_allclose(next(iter(Dataset.from_tensor_slices(on_disk))), X[0].astype("float32"))


def test_what_is_small_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_SMALL_BYTES", 64 << 20)
    np.save(tmp_path / "x.npy", X)
    assert not isinstance(make_batches(np.load(tmp_path / "x.npy", mmap_mode="r")), DiskBatches)


def test_results_of_calculations_are_in_memory(tmp_path):
    np.save(tmp_path / "x.npy", X)
    assert not is_on_disk(np.load(tmp_path / "x.npy", mmap_mode="r") / 2)


def test_text_and_many_models_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array(["a", "b"]))
    with pytest.raises(ValueError, match=r"x holds text|array of type"):
        make_batches(np.load(tmp_path / "x.npy", mmap_mode="r"), Y[:2])
    np.save(tmp_path / "x.npy", X)
    model = uc.Sequential([uc.Input((3, 2)), uc.layers.Flatten(), uc.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="fit_many got a memmap as x"):
        uc.fit_many([model], np.load(tmp_path / "x.npy", mmap_mode="r"), Y)


def test_memory_stays_small(tmp_path):
    """Training on a file of 100 MB adds less than a twentieth of that to what the process keeps for itself."""
    code = f"""
import numpy as np, uncrumple as uc
x = np.lib.format.open_memmap({str(tmp_path / "x.npy")!r}, "w+", "float64", (12500, 1000))
x[::1000] = 1.0; x.flush(); del x
x = np.load({str(tmp_path / "x.npy")!r}, mmap_mode="r")
model = uc.Sequential([uc.Input((1000,)), uc.layers.Dense(1)])
model.compile("sgd", "mse")
def own():
    return sum(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024
model.fit(x[:256], np.zeros(256), verbose=0)
before = own()
model.fit(x, np.zeros(12500), batch_size=256, verbose=0)
print(own() - before)
"""
    if not hasattr(resource, "RUSAGE_SELF") or not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    # What the allocator keeps of freed memory for later depends on the threads' turns, and is not what is measured.
    environment = {**os.environ, "UNCRUMPLE_KEEP_MEMORY": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert float(out.stdout.strip().split("\n")[-1]) < 5
