"""A check looks at the clock while it works: what takes longer than the budget ends soon after it."""

import types

import numpy as np
import pytest

from uncrumple.data.checks import check
from uncrumple.data.checks import clock as clock_module


@pytest.fixture
def ticking(monkeypatch):
    """Each look at the clock finds that a second has passed."""
    seconds = iter(range(10**6))
    monkeypatch.setattr(clock_module, "time", types.SimpleNamespace(perf_counter=lambda: float(next(seconds))))


def table(rows=30_000, columns=8):
    random = np.random.default_rng(0)
    return {f"c{place}": random.normal(size=rows).round(3) for place in range(columns)}, random.integers(0, 2, rows)


def words(rows=9_000):
    random = np.random.default_rng(0)
    known = np.array([f"word{place}" for place in range(500)])
    return [" ".join(random.choice(known, 15)) for _ in range(rows)], random.integers(0, 2, rows)


def parts(made):
    x, y = made
    cut = len(y) * 2 // 3
    if isinstance(x, dict):
        import pandas

        x = pandas.DataFrame(x)
        return {"train": (x[:cut], y[:cut]), "test": (x[cut:], y[cut:])}
    return {"train": (x[:cut], y[:cut]), "test": (x[cut:], y[cut:])}


def windows(rows=30_000):
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 6, 2)).astype("float32"), random.normal(size=rows).astype("float32")


def pictures(rows=12_000):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (rows, 8, 8), dtype=np.uint8), random.integers(0, 2, rows)


LONG = {
    "missing-values": table,
    "constant-columns": table,
    "input-scale": table,
    "identifiers": table,
    "exact-duplicates": table,
    "exact-duplicates of texts": words,
    "broken-encoding": words,
    "text-overlap": words,
    "text-shortcut": words,
    "window-overlap": windows,
    "near-duplicates": pictures,
}


@pytest.mark.parametrize("case", LONG)
def test_a_long_check_ends_with_its_budget(case, ticking):
    name = case.split(" of ")[0]
    budget = 3 if case == "input-scale" else 5  # looks at the clock: that many seconds
    report = check(parts(LONG[case]()), only=[name], seconds=budget)
    assert not report.ran and report.not_run[0].name == name
    assert report.not_run[0].why.startswith(f"the budget of {budget} s was spent before it was done")


@pytest.mark.parametrize("case", LONG)
def test_with_time_it_is_done(case):
    if case == "near-duplicates":
        pytest.skip("all pairs of pictures take long; it is tested elsewhere")
    name = case.split(" of ")[0]
    assert [one.name for one in check(parts(LONG[case]()), only=[name], seconds=600).ran] == [name]


def test_pictures_in_memory_that_are_read_in_time_are_a_sample_of_all(ticking):
    x, y = pictures()
    x = np.repeat(np.arange(len(x)) * 255 // len(x), 64).reshape(-1, 8, 8).astype(np.uint8)  # ever brighter
    report = check(x, y, only=["corrupt-files"], seconds=16)
    (ran,) = report.ran
    assert "of the 12,000 pictures of the data part were read in time" in ran.remark
    (found,) = report.findings  # one colour throughout, each of them
    read = int(found.seen.split(" of ")[1].split(" ")[0].replace(",", ""))
    assert 512 <= read < 6_000 and found.number == read
    assert max(found.rows) - min(found.rows) < 12_000 and set(found.rows) <= set(range(12_000))


def test_pictures_in_memory_are_the_same_whatever_the_order_they_are_read_in():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(1_300, 6, 6, 3)).astype("float32"), random.integers(0, 2, 1_300)
    x[[3, 700, 1_299], 0, 0, 0] = np.nan
    (found,) = check(x, y, only=["missing-values"]).findings
    assert found.rows == (3, 700, 1_299)


def test_a_step_that_would_end_too_late_is_not_begun(ticking):
    clock = clock_module.Clock(10)
    clock.need_time(5)
    with pytest.raises(clock_module.OutOfTimeError, match="the budget of 10 s was spent before it was done"):
        clock.need_time(9)


def test_values_are_gone_through_until_the_budget_is_spent(ticking):
    clock, seen = clock_module.Clock(3), []
    with pytest.raises(clock_module.OutOfTimeError):
        for one in clock.within(range(100), at_once=10):
            seen.append(one)
    assert seen == list(range(20))
