"""Tables: columns are recognised, statistics come from the training rows, mistakes are named by line and byte."""

import numpy as np
import pandas
import pytest

from uncrumple.data import Table, split
from uncrumple.data.kinds.columns import date_order, days
from uncrumple.data.kinds.delimited import read_delimited


def people(rows=200, seed=0):
    random = np.random.default_rng(seed)
    age = random.normal(40, 10, rows).round(1)
    age[random.random(rows) < 0.1] = np.nan
    city = random.choice(["Bern", "Rome", "Oslo"], rows).astype(object)
    city[0] = "Atlantis"
    return {
        "id": np.arange(1, rows + 1),
        "age": age,
        "city": city,
        "joined": [
            f"20{random.integers(10, 24)}-{random.integers(1, 13):02d}-{random.integers(1, 29):02d}" for _ in city
        ],
        "remark": [f"she came by {random.choice(['train', 'boat', 'car'])} on day {day}" for day in range(rows)],
        "ticket": [f"T{random.integers(10**9)}" for _ in city],
        "always": ["same"] * rows,
        "buys": np.where(np.nan_to_num(age, nan=40) + random.normal(0, 5, rows) > 40, "yes", "no"),
    }


def written(tmp_path, content, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_columns_are_recognised_and_what_is_left_out_is_said():
    table = Table(people(), target="buys")
    assert {column.name: column.kind for column in table.columns} == {
        "age": "number",
        "city": "category",
        "joined": "date",
        "remark": "text",
    }
    assert table.task == "classification" and table.class_names == ("no", "yes")
    assert table.shape_in_words() == "(200, 4): samples, columns"
    assert table.notes[0] == "Left out the column 'id': it numbers the rows (200 different values)."
    assert "'ticket': 200 different values in 200 rows say who, not what." in table.notes[1]
    assert table.notes[2] == "Left out the column 'always': every row has the same value."
    assert "missing: age" in "\n".join(table.describe())


def test_frames_dicts_csv_and_parquet_are_read_alike(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(people())
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    tables = [Table(one, target="buys") for one in (people(), frame, tmp_path / "rows.csv", tmp_path / "rows.parquet")]
    assert len({table.fingerprint for table in tables}) == 1
    assert [table.name for table in tables] == ["table", "table", "rows", "rows"]


def test_the_statistics_come_from_the_training_rows_alone():
    table = Table(people(), target="buys")
    train = np.arange(100)
    changed = people()
    for name in ("age", "city", "joined", "remark"):
        changed[name] = np.array(changed[name], dtype=object)
    changed["age"][100:] = 1e6
    changed["city"][100:] = "Utopia"
    changed["joined"][100:] = "1900-01-01"
    one = table.preparation(train)
    two = Table(changed, target="buys", texts=["remark"]).preparation(train)
    assert one.columns == two.columns
    age = table.raw["age"][:100]
    there = age[~np.isnan(age)]
    assert one.columns[0]["fill"] == np.median(there)
    assert one.columns[0]["mean"] == pytest.approx(np.where(np.isnan(age), np.median(there), age).mean())


def test_the_vector_of_a_row():
    table = Table(
        {"x": [1.0, 3.0, None, 4.0] * 5, "c": ["a", "b", "a", ""] * 5, "y": [1.5, 2.5, 3.5, 4.5] * 5}, target="y"
    )
    preparation = table.preparation()
    assert preparation.feature_names == ["x", "x is missing", "c: a", "c: missing", "c: b"]
    filled = np.array([1.0, 3.0, 3.0, 4.0])
    made = table.matrix(preparation)[:4]
    np.testing.assert_allclose(made[:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-5)
    assert made[:, 1:].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0]]
    # What was never seen is no category, where no training row was rare.
    new = preparation.matrix({"x": np.array([3.0]), "c": np.array(["z"], object)})
    assert new[0, 1:].tolist() == [0, 0, 0, 0]


def test_rare_categories_share_an_entry():
    table = Table({"c": ["a"] * 50 + ["b"] * 48 + ["r1", "r2"], "y": [0, 1] * 50}, target="y")
    preparation = table.preparation()
    assert preparation.feature_names == ["c: other", "c: a", "c: b"]
    assert table.matrix(preparation)[-1].tolist() == [1, 0, 0]


def test_dates_become_days_and_places_on_circles():
    values = ["2024-01-01", "2024-01-08", "2024-07-01", ""] * 5
    table = Table({"when": values, "y": [0, 1] * 10}, target="y")
    made = table.matrix(table.preparation())
    names = table.preparation().feature_names
    assert names[:2] == ["when", "when is missing"]
    week = [place for place, name in enumerate(names) if "week" in name]
    np.testing.assert_allclose(made[0, week], made[1, week], atol=1e-5)  # a Monday each
    np.testing.assert_allclose(made[0, week], [0, 1], atol=1e-4)
    assert made[3, 1] == 1 and not made[3, week].any()
    assert days(["31.12.1970", "1970-01-02T12:00:00Z", "31.02.2024"], "dmy")[:2].tolist() == [364, 1.5]


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["2024-05-31"], "ymd"),
        (["31.05.2024", "01.02.2024"], "dmy"),
        (["05/31/2024", "01/02/2024"], "mdy"),
        (["31/05/2024", "01/02/2024"], "dmy"),
        (["01/02/2024"], "mdy"),
        (["31/05/2024", "05/31/2024"], None),
        (["soon"], None),
    ],
)
def test_the_order_of_dates(values, order):
    assert date_order(np.array(values, object)) == order


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x\n2,y\n",
        "a;b\n1;x\n2;y\n",
        "a\tb\r\n1\tx\r\n2\ty\r\n",
        "a|b\n1|x\n2|y",
        b"\xef\xbb\xbfa,b\n1,x\n2,y\n",
        "a,b\n1,x\n2,y\n".encode("utf-16"),
        "a,b\n1,x\n2,y\n".encode("utf-16-le"),
        '"a","b"\n"1","x"\n\n"2","y"\n',
    ],
)
def test_delimiters_marks_and_quotes_are_found_out(tmp_path, content):
    found = read_delimited(written(tmp_path, content))
    assert {name: values.tolist() for name, values in found.items()} == {"a": ["1", "2"], "b": ["x", "y"]}


def test_a_comma_may_stand_for_the_decimal_point(tmp_path):
    table = Table(written(tmp_path, "a;b;y\n1,5;x;0,25\n-2;z;3,5\n"), target="y")
    assert table.raw["a"].tolist() == [1.5, -2.0] and table.y.tolist() == [0.25, 3.5]


def test_what_is_wrong_in_a_file_is_named_by_line_and_byte(tmp_path):
    with pytest.raises(ValueError) as error:
        Table(written(tmp_path, b"a,b\n1,x\n2,caf\xe9\n"), target="b")
    assert str(error.value).split("\n") == [
        "rows.csv, line 3: byte 13 (0xe9) is not UTF-8.",
        "Expected UTF-8 text.",
        'Fix: encoding="cp1252" for files of older Windows programs, or save it as UTF-8',
    ]
    assert Table(written(tmp_path, b"a,b\n1,x\n2,caf\xe9\n"), encoding="cp1252").raw["b"].tolist() == ["x", "café"]
    with pytest.raises(ValueError, match=r"rows.csv, line 3 \(byte 8\) has 3 fields, and the first line 2"):
        Table(written(tmp_path, "a,b\n1,x\n2,y,z\n"))
    with pytest.raises(ValueError, match=r"line 2 \(byte 4\) has a quote that is opened and never closed"):
        Table(written(tmp_path, 'a,b\n1,"x\n2,y\n'))
    with pytest.raises(ValueError, match="byte 5 is 0, as in no text"):
        Table(written(tmp_path, b"a,b\n1\0,x\n"))
    with pytest.raises(ValueError, match="two columns called 'a'"):
        Table(written(tmp_path, "a,a\n1,2\n"))
    with pytest.raises(ValueError, match="names of columns, and no rows"):
        Table(written(tmp_path, "a,b\n"))
    with pytest.raises(FileNotFoundError, match=r"did you mean '.*rows\.csv'"):
        Table(tmp_path / "row.csv")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        Table(written(tmp_path, b"no parquet", "rows.parquet"))


def test_quoted_line_breaks_count_as_lines(tmp_path):
    path = written(tmp_path, 'a,b\n"one\ntwo",x\n3\n')
    with pytest.raises(ValueError, match=r"line 4 \(byte 16\) has 1 fields"):
        Table(path)


def test_columns_that_are_not_there_are_guessed():
    with pytest.raises(ValueError, match="buys"):
        Table(people(), target="buy")
    with pytest.raises(ValueError, match="city"):
        Table(people(), target="buys", leave_out=["citi"])
    with pytest.raises(ValueError, match="holds 'Atlantis'"):
        Table(people(), target="buys", numbers=["city"])


def test_new_rows_are_read_as_the_training_rows_were(tmp_path):
    table = Table(
        {"zip": ["3000", "4000"] * 10, "x": np.arange(20.0) / 3, "y": [0, 1] * 10}, target="y", categories=["zip"]
    )
    preparation = table.preparation()
    pandas.DataFrame({"x": [1.0], "zip": [3000], "more": ["?"]}).to_csv(tmp_path / "new.csv", index=False)
    new = preparation.read(tmp_path / "new.csv")
    assert new["zip"].tolist() == ["3000"] and list(new) == ["zip", "x"]
    assert preparation.read(pandas.DataFrame({"x": [1.0], "zip": [3000.0]}))["zip"].tolist() == ["3000"]
    with pytest.raises(ValueError, match="The column 'x' holds 'many' in row 1"):
        preparation.read({"zip": ["1", "2"], "x": ["1", "many"]})
    with pytest.raises(ValueError, match="'zip'"):
        preparation.read({"x": [1.0]})


def test_answers(tmp_path):
    assert Table({"x": np.arange(40) / 7, "y": [1, 2, 3, 4] * 10}, target="y").class_names == ("1", "2", "3", "4")
    assert Table({"x": np.arange(40) / 7, "y": np.arange(40) * 1.5}, target="y").task == "regression"
    assert Table({"x": np.arange(40) / 7, "y": [1, 2, 3, 4] * 10}, target="y", task="regression").y.dtype == np.float32
    assert Table({"x": np.arange(40) / 7, "y": [True, False] * 20}, target="y").task == "classification"
    named = Table({"x": np.arange(40) / 7, "y": [0, 1] * 20}, target="y", class_names=["cold", "warm"])
    assert named.decode([[0.9], [0.2]]).tolist() == ["warm", "cold"]
    assert named.decode(np.array([1, 0])).tolist() == ["warm", "cold"]
    assert named.encode(["warm", "cold"]).tolist() == [1, 0]
    with pytest.raises(ValueError, match="'warm'"):
        named.encode(["warn"])
    with pytest.raises(ValueError, match="decode got the class 2"):
        named.decode([2])
    gaps = Table({"x": np.arange(40) / 7, "y": ["a", None, "b", "NA"] * 10}, target="y")
    assert len(gaps) == 20 and "Left out 20 rows without a value of 'y'." in gaps.notes


def test_groups_and_times_are_no_inputs():
    table = Table(
        {
            "x": np.arange(40) / 7,
            "who": ["a", "b"] * 20,
            "when": [f"2024-01-{day % 28 + 1:02d}" for day in range(40)],
            "y": [0, 1] * 20,
        },
        target="y",
        groups="who",
        time="when",
    )
    assert [column.name for column in table.columns] == ["x"]
    assert table.groups.tolist()[:2] == ["a", "b"] and table.times[1] - table.times[0] == 1
    parts = split(Table({"x": np.arange(40) / 7, "when": range(40), "y": [0, 1] * 20}, target="y", time="when"))
    assert parts.train.times.max() < parts.validation.times.min() < parts.test.times.min()
    with pytest.raises(ValueError, match="given as time, has gaps"):
        Table({"x": [1, 2, 3], "when": ["2024-01-01", "", "soon"]}, time="when")


def test_taking_rows_keeps_everything_together():
    table = Table(people(), target="buys", groups="ticket")
    some = table.take([5, 3])
    assert some.raw["city"].tolist() == table.raw["city"][[5, 3]].tolist()
    assert some.y.tolist() == table.y[[5, 3]].tolist() and some.groups.tolist() == table.groups[[5, 3]].tolist()
    assert len(table.take(slice(0, 7))) == 7 and len(table.take(np.arange(200) < 9)) == 9
    assert len(table) == 200
