"""`Dataset`: what comes out, in which order, how often, and what is said where it cannot work."""

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from uncrumple import layers, random
from uncrumple.core.seeds import set_random_seed
from uncrumple.core.text import Text
from uncrumple.data import AUTOTUNE, Dataset
from uncrumple.data.background import DrawWatch, in_order, read_ahead
from uncrumple.data.stages import part_count

quick = settings(max_examples=60, deadline=None, derandomize=True)


def numbers(data):
    return [element.tolist() if isinstance(element, torch.Tensor) else element for element in data]


def message(raised):
    return str(raised.value)


# --- sources ---------------------------------------------------------------------------------


def test_rows_of_any_structure_keep_their_types():
    data = Dataset.from_tensor_slices(({"a": np.arange(2), "b": ["x", "y"]}, np.ones((2, 3), "float16")))
    first, second = data
    assert first[0]["a"].dtype is torch.int64 and first[1].dtype is torch.float16 and first[1].shape == (3,)
    assert str(second[0]["b"].item()) == "y"
    assert data.cardinality() == len(data) == 2 and bool(data)
    assert Dataset.from_tensor_slices([1.0, 2.0]).batch(2).take(1).reduce(0, lambda _, x: x).dtype is torch.float32


def test_a_generator_is_called_anew_each_time():
    calls = []

    def generate(count):
        calls.append(count)
        yield from ((np.full(2, number), number) for number in range(count))

    data = Dataset.from_generator(generate, args=(3,))
    assert [y.item() for x, y in data] == [y.item() for x, y in data] == [0, 1, 2] and calls == [3, 3]
    assert data.cardinality() == -2
    with pytest.raises(TypeError) as raised:
        len(data)
    assert message(raised) == (
        "len() of a Dataset that has no known length.\n"
        "Expected a number of elements that is known beforehand.\n"
        "Fix: sum(1 for _ in dataset) counts them"
    )


def test_structures_of_data_sets_are_zipped():
    a, b = Dataset.range(3), Dataset.range(10, 20)
    assert numbers(Dataset.zip({"a": a, "b": b}).map(lambda both: both["a"] + both["b"])) == [10, 12, 14]
    assert Dataset.zip((a, b)).cardinality() == 3
    assert Dataset.zip(a, b.repeat()).cardinality() == 3
    assert [(int(n), int(x)) for n, x in b.enumerate(5).take(2)] == [(5, 10), (6, 11)]


# --- order and counts ----------------------------------------------------------------------------


@quick
@given(
    st.integers(0, 12),
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(0, 14)),
            st.tuples(st.just("skip"), st.integers(0, 14)),
            st.tuples(st.just("repeat"), st.integers(0, 3)),
            st.tuples(st.just("shard"), st.integers(1, 3)),
            st.tuples(st.just("shuffle"), st.integers(1, 14)),
            st.tuples(st.just("map"), st.integers(0, 3)),
            st.tuples(st.just("cache"), st.just(0)),
            st.tuples(st.just("prefetch"), st.integers(0, 3)),
            st.tuples(st.just("concatenate"), st.integers(0, 3)),
            st.tuples(st.just("rebatch"), st.integers(1, 5)),
        ),
        max_size=5,
    ),
)
def test_chains_give_what_lists_give(count, steps):
    data, wanted, shuffled = Dataset.range(count), list(range(count)), False
    for name, value in steps:
        if name == "take":
            data, wanted = data.take(value), wanted[:value]
        elif name == "skip":
            data, wanted = data.skip(value), wanted[value:]
        elif name == "repeat":
            data, wanted = data.repeat(value), wanted * value
        elif name == "shard":
            data, wanted = data.shard(value, value - 1), wanted[value - 1 :: value]
        elif name == "shuffle":
            if {other for other, _ in steps} & {"take", "skip", "shard", "concatenate"}:
                continue
            data, shuffled = data.shuffle(value, seed=1), True
        elif name == "map":
            data, wanted = data.map(lambda x: x * 2, value or None), [2 * x for x in wanted]
        elif name == "cache":
            data = data.cache()
        elif name == "prefetch":
            data = data.prefetch(value)
        elif name == "concatenate":
            data, wanted = data.concatenate(Dataset.range(value)), wanted + list(range(value))
        else:
            data = data.batch(2).rebatch(value).unbatch()
    for _ in range(2):
        found = numbers(data)
        assert (sorted(found), len(found)) == (sorted(wanted), len(wanted)) and (shuffled or found == wanted)
    assert data.cardinality() in (len(wanted), -2)


def test_counts_without_an_end():
    data = Dataset.range(3).repeat()
    assert data.cardinality() == -1 and data.take(7).cardinality() == 7 and data.batch(2).cardinality() == -1
    assert numbers(data.skip(1).take(4)) == [1, 2, 0, 1]
    assert data.filter(lambda x: x > 0).cardinality() == -1
    assert Dataset.range(0).repeat().cardinality() == 0 and list(Dataset.range(0).repeat()) == []
    assert part_count(-1, 3, 10, 2) == 4
    with pytest.raises(TypeError, match="goes on for ever"):
        len(data)


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "streamed"])
@pytest.mark.parametrize("buffer", [3, 50])
def test_shuffling_follows_the_seed_and_changes_each_time(buffer, numbered):
    def made(seed, each=True):
        data = Dataset.range(50)
        data = data if numbered else data.map(lambda x: x)
        return data.shuffle(buffer, seed=seed, reshuffle_each_iteration=each)

    data = made(7)
    first, second = numbers(data), numbers(data)
    again = made(7)
    assert [numbers(again), numbers(again)] == [first, second]
    assert sorted(first) == list(range(50)) and first != second and first != list(range(50))
    assert numbers(made(8)) != first
    still = made(7, each=False)
    assert numbers(still) == numbers(still)
    # what comes out at place i lay at place i + buffer at most
    assert all(value < place + buffer for place, value in enumerate(first))


def test_without_a_seed_the_global_one_decides():
    def orders():
        set_random_seed(3)
        data = Dataset.range(20).shuffle(20)
        return [numbers(data), numbers(data), numbers(data.repeat(2))]

    one, other = orders(), orders()
    assert one == other and one[0] != one[1] and one[2][:20] != one[2][20:]
    state = torch.get_rng_state()
    list(Dataset.range(5).batch(2))
    assert torch.equal(state, torch.get_rng_state())  # nothing is drawn where nothing is random


def test_batches_have_a_rest_or_drop_it():
    data = Dataset.from_tensor_slices((np.arange(5), np.arange(5.0)))
    for source in (data, data.map(lambda x, y: (x, y))):
        assert [x.tolist() for x, y in source.batch(2)] == [[0, 1], [2, 3], [4]]
        dropped = source.batch(2, drop_remainder=True)
        assert len(dropped) == len(list(dropped)) == 2


def test_elements_of_different_shapes_are_padded_or_refused():
    data = Dataset.range(1, 4).map(lambda x: torch.ones(int(x), 2, dtype=torch.int32))
    batch = next(iter(data.padded_batch(3, padding_values=9)))
    assert batch.dtype is torch.int32 and batch[:, :, 0].tolist() == [[1, 9, 9], [1, 1, 9], [1, 1, 1]]
    with pytest.raises(ValueError) as raised:
        list(data.batch(3))
    assert message(raised) == (
        "A batch was to be made of elements of shape (1, 2) and of shape (2, 2).\n"
        "Expected elements of one shape.\n"
        "Fix: dataset.padded_batch(batch_size) fills up shorter ones; or bring them to one shape with dataset.map(...)"
    )


def test_texts_become_texts():
    data = Dataset.from_tensor_slices((["a", "b", "c"], [0, 1, 2])).batch(2)
    x, y = next(iter(data))
    assert isinstance(x, Text) and x.tolist() == ["a", "b"]
    upper = Dataset.from_generator(lambda: iter(["x", "yy"])).map(lambda text: (text.upper(), len(text)))
    (x, y), = upper.batch(2)  # fmt: skip
    assert x.tolist() == ["X", "YY"] and y.tolist() == [1, 2]


def test_windows_overlap_and_nest():
    data = Dataset.range(7)
    windows = [numbers(window) for window in data.window(3, shift=2, stride=1)]
    assert windows == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6]]
    kept = data.window(3, shift=2, drop_remainder=True).flat_map(lambda window: window.batch(3))
    assert [batch.tolist() for batch in kept] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert [numbers(window) for window in data.window(2, shift=5, stride=2)] == [[0, 2], [5]]
    pairs = Dataset.zip(data, data).window(2)
    assert all(numbers(a) == numbers(b) for a, b in pairs)


def test_data_sets_take_turns():
    data = Dataset.range(1, 6).interleave(lambda x: Dataset.from_tensors(x).repeat(6), cycle_length=2, block_length=4)
    assert numbers(data) == [1] * 4 + [2] * 4 + [1] * 2 + [2] * 2 + [3] * 4 + [4] * 4 + [3] * 2 + [4] * 2 + [5] * 6
    with pytest.raises(TypeError, match="returned a tensor with one number"):
        list(Dataset.range(2).flat_map(lambda x: x))


def test_what_is_cached_is_made_once():
    calls = []
    data = Dataset.range(3).map(lambda x: calls.append(int(x)) or x).cache()
    next(iter(data))
    assert calls == [0]  # only whole rounds are kept
    assert numbers(data) == numbers(data) == [0, 1, 2] and calls == [0, 0, 1, 2]


# --- threads ---------------------------------------------------------------------------------------


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("uncrumple")]


@pytest.mark.parametrize("workers", [None, 1, 3, AUTOTUNE])
def test_the_order_does_not_depend_on_threads(workers):
    def slow(x):
        time.sleep(0.002 * (int(x) % 3))
        return x

    data = Dataset.range(12).shuffle(12, seed=0).map(slow, num_parallel_calls=workers).prefetch(AUTOTUNE)
    assert numbers(data) == numbers(Dataset.range(12).shuffle(12, seed=0))
    assert our_threads() == []


@pytest.mark.parametrize("draw", [
    lambda x: torch.rand(()), lambda x: np.random.rand(), lambda x: random.normal((1,), seed=SEEDS),
    lambda x: layers.GaussianNoise(0.5, seed=None)(torch.ones(2), training=True),
], ids=["torch", "numpy", "seed generator", "layer"])  # fmt: skip
def test_random_numbers_do_not_depend_on_threads(draw):
    def drawn(workers, ahead):
        global SEEDS
        set_random_seed(5)
        SEEDS = random.SeedGenerator(1)
        data = Dataset.range(20).map(draw, workers).prefetch(ahead)
        found = []
        for x in data:
            torch.rand(1)  # as dropout does between batches
            found.append(x.sum().item())
        return found

    assert drawn(None, 0) == drawn(4, 2)


def test_draws_are_noticed():
    watch = DrawWatch()
    assert not watch.drawn()
    np.random.rand()
    assert watch.drawn()


def test_threads_end_when_nobody_listens_any_more():
    made = []
    items = read_ahead((made.append(n) or n for n in range(1000)), 3)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert our_threads() == [] and len(made) < 10
    results = in_order(lambda n: n, iter(range(1000)), workers=2, ahead=4)
    next(results)
    results.close()
    assert our_threads() == []
    data = Dataset.range(100).map(lambda x: x, 2).batch(2).prefetch(2)
    for _ in data:
        break
    assert our_threads() == []


def test_work_in_the_background_overlaps():
    """The next element is being made while the last is used: two waits of 10 ms take little more than one.

    Measured beside the same without prefetching: on a busy machine both take longer.
    """

    def wait(x):
        time.sleep(0.01)
        return x

    def seconds(dataset):
        start = time.perf_counter()
        for _ in dataset:
            time.sleep(0.01)
        return time.perf_counter() - start

    slow = Dataset.range(20).map(wait)
    assert min(seconds(slow.prefetch(2)) / seconds(slow) for _ in range(3)) < 0.8


def test_a_failure_in_the_background_comes_up_with_its_words():
    def broken(x, y):
        return x @ y

    data = Dataset.from_tensor_slices((torch.ones(6, 2), torch.ones(6, 3)))
    for made in (data.map(broken), data.map(broken, 2).prefetch(1)):
        with pytest.raises(ValueError) as raised:
            list(made)
        assert message(raised).startswith("The function 'broken' failed in map(), on (2,) and (3,): ")
        assert message(raised).endswith("return x @ y")
    with pytest.raises(TypeError) as raised:
        list(data.map(lambda x: x))
    assert "it was called with 2 arguments, the parts of an element" in message(raised)
    assert our_threads() == []


def test_functions_record_no_gradients():
    weight = torch.nn.Parameter(torch.ones(()))
    assert all(not x.requires_grad for x in Dataset.range(3).map(lambda x: x * weight, 2))


# --- torch's loader ----------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_takes_it_and_processes_share_the_work(workers):
    data = Dataset.range(10).shuffle(10).batch(3)
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers)
    for _ in range(2):
        batches = [batch.tolist() for batch in loader]
        assert sorted(value for batch in batches for value in batch) == list(range(10))
        assert sorted(map(len, batches)) == [1, 3, 3, 3]


# --- arguments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "words"), [
    (lambda data: data.batch(0), "Dataset.batch got batch_size=0.\nExpected a whole number of at least 1.\nFix: dataset.batch(batch_size=2)"),
    (lambda data: data.shuffle(10, seed=-1), "Dataset.shuffle got seed=-1.\nExpected a whole number of at least 0, or None.\nFix: dataset.shuffle(1000, seed=0)"),
    (lambda data: data.shard(2, 2), "Dataset.shard got index=2 with num_shards=2.\nExpected an index from 0 to 1.\nFix: dataset.shard(2, 0)"),
    (lambda data: data.map(3), "Dataset.map got a int.\nExpected a function.\nFix: dataset.map(lambda x, y: ...)"),
    (lambda data: data.map(len, deterministic=False), "Dataset.map got deterministic=False.\nExpected None or True: the order is kept always.\nFix: dataset.map(function, num_parallel_calls=AUTOTUNE)"),
    (lambda data: data.map(len, num_parallel_calls=0), "Dataset.map got num_parallel_calls=0.\nExpected a whole number of at least 1, or AUTOTUNE.\nFix: dataset.map(num_parallel_calls=2)"),
    (lambda data: data.concatenate([1]), "Dataset.concatenate got a list.\nExpected a Dataset.\nFix: Dataset.from_tensor_slices(...)"),
    (lambda data: Dataset.from_tensor_slices(3), "Dataset.from_tensor_slices got a single number or text.\nExpected arrays, which have rows.\nFix: Dataset.from_tensors(...) for one element"),
    (lambda data: Dataset.from_tensor_slices(([1, 2], [1])), "A data set got parts with 1 and 2 rows.\nExpected parts with as many rows each.\nFix: check the lines that split or filter them"),
    (lambda data: Dataset.from_generator(iter([1])), "Dataset.from_generator got a list_iterator.\nExpected a function, so that each epoch can begin anew.\nFix: Dataset.from_generator(make_batches), without calling it"),
], ids=lambda value: value.split("\n")[0][:40] if isinstance(value, str) else "")  # fmt: skip
def test_what_cannot_work_is_refused_in_words(make, words):
    with pytest.raises((ValueError, TypeError)) as raised:
        make(Dataset.range(3))
    assert message(raised) == words
