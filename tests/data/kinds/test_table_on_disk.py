"""A table that is read a stretch at a time is the table that is read at once, in little memory."""

import csv
import gc
import subprocess
import sys

import numpy as np
import pandas
import pytest

import uncrumple as uc
from uncrumple import layers
from uncrumple.data import Table, TableOnDisk, split
from uncrumple.data.kinds import table_on_disk as module


@pytest.fixture
def frame():
    random = np.random.default_rng(0)
    rows = 500
    return pandas.DataFrame(
        {
            "size": np.where(random.random(rows) < 0.1, np.nan, random.normal(50, 10, rows).round(3)),
            "town": random.choice(["Bern", "Rome", "Zürich", "O'Fallon, \"IL\""], rows),
            "when": [f"2024-{month:02}-{day:02}" for month, day in zip(random.integers(1, 13, rows), random.integers(1, 29, rows))],
            "note": [" ".join(random.choice(["light", "dark", "new", "old", "loud"], 4)) + f" {n}" for n in range(rows)],
            "who": random.integers(0, 60, rows),
            "sold": random.choice(["no", "yes"], rows),
        }
    )  # fmt: skip


@pytest.fixture(params=["csv", "parquet"])
def path(request, frame, tmp_path):
    found = tmp_path / f"houses.{request.param}"
    frame.to_csv(found, index=False) if request.param == "csv" else frame.to_parquet(found)
    return found


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    monkeypatch.setattr(module, "_STRETCH", 64)


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        if one[name].dtype.kind == "f":
            np.testing.assert_array_equal(one[name], other[name])
        else:
            assert one[name].tolist() == other[name].tolist()


def test_it_is_the_same_table(path, frame):
    whole, disk = Table(path, "sold", groups="who"), TableOnDisk(path, "sold", groups="who")
    assert disk.columns == whole.columns and disk.shape == whole.shape == (500, 4)
    assert {column.kind for column in disk.columns} == {"number", "category", "date", "text"}
    assert disk.class_names == whole.class_names and disk.y.tolist() == whole.y.tolist()
    assert len(np.unique(disk.groups)) == len(np.unique(whole.groups))
    same(disk.raw, whole.raw)
    rows = np.array([499, 3, 3, 77, 0])
    same(disk.take(rows).raw, whole.take(rows).raw)
    assert disk.take(rows).y.tolist() == whole.y[rows].tolist()
    train = split(whole).rows.train
    assert split(disk).rows.train.tolist() == train.tolist()
    assert disk.preparation(train).get_config()["columns"] == whole.preparation(train).get_config()["columns"]
    preparation = whole.preparation(train)
    np.testing.assert_array_equal(disk.matrix(preparation), whole.matrix(preparation))
    assert disk.fingerprint == TableOnDisk(path, "sold", groups="who").fingerprint != disk.take(rows).fingerprint
    assert disk.decode(disk.y[:2]).tolist() == frame["sold"][:2].tolist()


def test_batches_and_training(path):
    disk = TableOnDisk(path, "sold")
    x, y = next(iter(disk.batches(32)))
    assert x["town"].tolist()[:3] == disk.raw["town"][:3].tolist() and y.tolist() == disk.y[:32].tolist()
    order = disk.batches(50, shuffle=True, seed=1)
    first, second = ([y.tolist() for _, y in order] for _ in range(2))
    assert first != second and [y.tolist() for _, y in disk.batches(50, shuffle=True, seed=1)] == first
    assert sorted(label for batch in first for label in batch) == sorted(disk.y.tolist())
    assert [y.tolist() for _, y in disk.batches(50, shuffle=True, seed=1, processes=0)] == first
    parts = split(disk)
    preparation = disk.preparation(parts.rows.train)
    inputs = preparation.inputs()
    model = uc.Model(inputs, layers.Dense(1, activation="sigmoid")(preparation(inputs)))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(parts.train, validation_data=parts.validation, epochs=2, verbose=0).history
    assert len(history["val_accuracy"]) == 2
    whole = parts.validation.raw
    np.testing.assert_allclose(model.predict(parts.validation, verbose=0), model.predict(whole, verbose=0), rtol=1e-6)


def test_several_files_are_one_table(frame, tmp_path):
    frame[:200].to_csv(tmp_path / "1.csv", index=False)
    frame[200:].to_parquet(tmp_path / "2.parquet")
    frame.to_csv(tmp_path / "all.csv", index=False)
    both = TableOnDisk([tmp_path / "1.csv", tmp_path / "2.parquet"], "sold")
    same(both.raw, Table(tmp_path / "all.csv", "sold").raw)
    frame.drop(columns="town").to_csv(tmp_path / "3.csv", index=False)
    with pytest.raises(ValueError, match=r"3\.csv: Unknown column: 'town'"):
        TableOnDisk([tmp_path / "1.csv", tmp_path / "3.csv"], "sold")


def test_measured_on_some_of_very_many_rows(path, monkeypatch):
    monkeypatch.setattr(module, "_MEASURED", 100)
    disk = TableOnDisk(path, "sold")
    assert (
        disk.preparation().columns[0]["mean"]
        == Table(path, "sold").take(slice(None, None, 5)).preparation().columns[0]["mean"]
    )


def test_folders(path, tmp_path):
    disk = TableOnDisk(path, "sold")
    folder, part = disk.folder, disk.take([1, 2])
    del disk
    gc.collect()
    assert folder.is_dir() and part.raw["town"].shape == (2,)  # as long as a part is there
    del part
    gc.collect()
    assert not folder.exists()
    kept = TableOnDisk(path, "sold", folder=tmp_path / "kept").folder
    gc.collect()
    assert kept == tmp_path / "kept" and kept.is_dir()
    with pytest.raises(FileExistsError, match="is there already"):
        TableOnDisk(path, "sold", folder=tmp_path / "kept")


LINES = ["a,b,c", "1,x,0", "2,y", "3,x,1", "four,y,0", "5,x,1,1", "6,y,", '7,"x",1']


def test_lines_that_cannot_be_read(tmp_path):
    path = tmp_path / "some.csv"

    def written(lines):
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
        return path

    with pytest.raises(ValueError) as caught:
        TableOnDisk(written(LINES), "c")
    assert str(caught.value) == (
        "some.csv, line 3 has 2 fields in place of 3.\n"
        "Expected as many on every line, with ',' between them.\n"
        "Fix: mend that line, or skip_damaged=True to leave such lines out"
    )
    table = TableOnDisk(written(LINES), "c", numbers=[], categories=["b"], skip_damaged=True)
    assert table.damaged == {
        "some.csv, line 3": "has 2 fields in place of 3",
        "some.csv, line 6": "has 4 fields in place of 3",
    }
    assert table.y.tolist() == [0, 1, 0, 1] and "Left out 1 rows without a value of 'c'." in table.notes
    assert table.notes[-1].startswith("Left out 2 rows that cannot be read: some.csv, line 3: has 2 fields")
    long = ["a,b,c", *["1,x,0", "2,y,1"] * 60_000, "bad,x,1", b"3,\xff,1"]
    with pytest.raises(ValueError, match=r"some\.csv, line 120,002: the column 'a' holds 'bad'\."):
        TableOnDisk(written(long[:-1]), "c", categories=["b"])
    with pytest.raises(ValueError, match=r"some\.csv, line 120,003: byte 2 \(0xff\) is not UTF-8"):
        TableOnDisk(written(long), "c", categories=["b"])
    table = TableOnDisk(written(long), "c", categories=["b"], skip_damaged=True)
    assert table.damaged == {
        "some.csv, line 120,002": "'a' holds 'bad'",
        "some.csv, line 120,003": "is not UTF-8",
    }
    assert len(table) == 120_000 and table.raw["a"].sum() == 180_000


def test_files_that_are_none(tmp_path):
    (tmp_path / "wide.csv").write_bytes("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(ValueError, match="is UTF-16"):
        TableOnDisk(tmp_path / "wide.csv")
    (tmp_path / "open.csv").write_text('a,b\n1,"2\n3,4\n')
    with pytest.raises(ValueError, match=r"open\.csv, line 2: unexpected end of data"):
        TableOnDisk(tmp_path / "open.csv")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    with pytest.raises(ValueError, match="two columns called 'a'"):
        TableOnDisk(tmp_path / "twice.csv")
    (tmp_path / "empty.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match="TableOnDisk got no rows"):
        TableOnDisk(tmp_path / "empty.csv")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        TableOnDisk(tmp_path / "rows.parquet")
    with pytest.raises(FileNotFoundError, match=r"did you mean '.*twice\.csv'"):
        TableOnDisk(tmp_path / "twic.csv")
    (tmp_path / "good.csv").write_text("a,b\n1,2\n3,5\n")
    with pytest.raises(ValueError, match="Unknown column: 'prize'"):
        TableOnDisk(tmp_path / "good.csv", "prize")


def test_numbers_for_names_and_a_mark_at_the_start(tmp_path):
    (tmp_path / "numbers.csv").write_bytes(b"\xef\xbb\xbf1.5;2\n2.5;3\n3.5;5\n")
    assert TableOnDisk(tmp_path / "numbers.csv").raw["column 1"].tolist() == [1.5, 2.5, 3.5]


def test_memory_stays_bounded(tmp_path):
    """200,000 rows of three columns with words take 130 MB as Python's objects."""
    with open(tmp_path / "large.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "y"])
        for number in range(200_000):
            writer.writerow([number % 1000 / 7, f"town {number % 30}", f"street number {number % 5000}", number % 2])
    code = f"""
import resource
from uncrumple.data import TableOnDisk
from uncrumple.data.kinds import table_on_disk as module
module._LOOKED_AT = module._STRETCH = module._MEASURED = 10_000
from uncrumple.data import Table
Table({{"a": [1.0, 2.0], "b": ["x", "y"], "y": [0, 1]}}, target="y").preparation()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = TableOnDisk({str(tmp_path / "large.csv")!r}, target="y", categories=["c"])
table.preparation()
count = sum(len(y) for _, y in table.batches(1000, shuffle=True, seed=0))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, megabytes = done.stdout.split()
    assert int(count) == 200_000 and int(megabytes) < 65
