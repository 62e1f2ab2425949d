"""Parts by group and by time; a test part that counts how often it was asked for."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncrumple.data import Parts, Table, split
from uncrumple.data.folds import k_folds


def patients(count=60, seed=0):
    """Visits of patients: (patient, class) of each; a patient has one to eight visits of mostly one class."""
    random = np.random.default_rng(seed)
    visits = random.integers(1, 9, count)
    who = np.repeat(np.arange(count), visits)
    ill = np.repeat(random.random(count) < 0.3, visits)
    return who, (ill ^ (random.random(len(who)) < 0.1)).astype(int)


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_parts_and_classes_are_spread(seed):
    who, ill = patients(seed=seed)
    made = split(ill, 0.2, 0.2, seed, groups=who)
    assert np.array_equal(np.sort(np.concatenate(list(made))), np.arange(len(who)))
    train, validation, test = (set(who[rows].tolist()) for rows in made)
    assert not train & validation and not train & test and not validation & test
    for rows, share in zip(made, (0.6, 0.2, 0.2)):
        assert abs(len(rows) / len(who) - share) < 0.03
        assert abs(ill[rows].mean() - ill.mean()) < 0.04
    assert "; 60 groups, none in two parts" in made.in_words(ill)
    again = split(ill, 0.2, 0.2, seed, groups=who)
    assert all(np.array_equal(one, two) for one, two in zip(made, again))


def test_seeds_give_different_groups():
    who, ill = patients()
    assert {tuple(sorted(set(who[split(ill, seed=seed, groups=who).test]))) for seed in range(5)}.__len__() > 1


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=3, max_size=12), seed=st.integers(0, 1000))
def test_every_part_gets_a_group(sizes, seed):
    who = np.repeat(np.arange(len(sizes)), sizes)
    if round(len(who) * 0.2) == 0:
        return
    made = split(len(who), 0.2, 0.2, seed, groups=who)
    assert all(len(part) for part in made) and sum(map(len, made)) == len(who)
    assert not set(who[made.train]) & set(who[made.test])


def test_by_time_what_is_tested_comes_after():
    times = np.random.default_rng(0).integers(0, 40, 200)  # several rows of each time
    made = split(len(times), 0.2, 0.2, times=times)
    assert times[made.train].max() < times[made.validation].min()
    assert times[made.validation].max() < times[made.test].min()
    assert sum(map(len, made)) == 200
    dates = np.array("2024-01-01", "datetime64[D]") + times
    assert all(np.array_equal(one, two) for one, two in zip(made, split(200, 0.2, 0.2, times=dates)))


def test_answers_that_were_not_known_yet_are_not_learnt_from():
    made = split(100, 0.2, 0.2, times=np.arange(100), ends=np.arange(100) + 3)
    assert [len(rows) for rows in made] == [57, 17, 20]
    assert made.in_words().endswith("6 rows at the borders in no part")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": [1, 2]}, "groups of shape (2,) for 20 rows"),
        ({"groups": [1] * 20}, "1 groups for 3 parts"),
        ({"times": [1] * 20}, "too few different values"),
        ({"times": [np.nan] * 20}, "times with a gap in row 0"),
        ({"times": range(20), "groups": range(20)}, "split got groups and times."),
        ({"folder": "here"}, "folder='here'"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError) as error:
        split(20, **arguments)
    assert message in str(error.value)


def table(**more):
    return Table(
        {"x": np.arange(60) / 7, "y": ["no", "yes"] * 30, "who": np.arange(60) // 3, **more}, target="y", groups="who"
    )


def test_a_table_brings_its_groups_and_classes():
    parts = split(table())
    assert isinstance(parts, Parts)
    assert not set(parts.train.groups) & set(parts.peek("test").groups)
    assert parts.sizes == parts.rows.sizes and sum(parts.sizes.values()) == 60
    stratified = split(Table({"x": np.arange(60) / 7, "y": ["no", "yes"] * 30}, target="y"))
    assert np.bincount(stratified.train.y).tolist() == [21, 21]


def test_uses_of_the_test_part_are_counted():
    parts = split(table())
    assert parts.test_uses == 0
    assert parts.peek("test").raw["x"].tolist() == parts.test.raw["x"].tolist()
    _ = parts.test, parts.train, parts.validation, parts.peek("test")
    assert parts.test_uses == 2


def test_uses_are_counted_across_programs_by_fingerprint(tmp_path):
    first = split(table(), folder=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    _ = first.test
    again = split(table(), folder=tmp_path / "runs")
    _ = again.test
    assert first.test_uses == again.test_uses == 2
    other = split(table(), seed=1, folder=tmp_path / "runs")
    assert other.test_uses == 0
    content = json.loads((tmp_path / "runs" / "test_uses.json").read_text())
    assert content == {first.fingerprint: 2}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["test_uses.json"]
    (tmp_path / "runs" / "test_uses.json").write_text("[")
    with pytest.raises(ValueError, match="is damaged"):
        _ = first.test


def test_folds_by_group():
    who, ill = patients()
    found = k_folds(ill, 5, groups=who)
    assert np.array_equal(np.sort(np.concatenate([held for _, held in found])), np.arange(len(who)))
    for learnt, held in found:
        assert not set(who[learnt]) & set(who[held]) and len(learnt) + len(held) == len(who)
        assert abs(ill[held].mean() - ill.mean()) < 0.06
    with_table = k_folds(table(), 4)
    assert all(not set((learnt // 3).tolist()) & set((held // 3).tolist()) for learnt, held in with_table)


def test_folds_by_time():
    found = k_folds(50, 4, times=np.arange(50), ends=np.arange(50) + 1)
    assert [len(held) for _, held in found] == [10, 10, 10, 10]
    assert [len(learnt) for learnt, _ in found] == [9, 19, 29, 39]
    assert all(learnt.max() + 1 < held.min() for learnt, held in found)
    with pytest.raises(ValueError, match="time runs once"):
        k_folds(50, 4, times=np.arange(50), repeats=2)
    with pytest.raises(ValueError, match="too few different values"):
        k_folds(50, 4, times=np.zeros(50))
