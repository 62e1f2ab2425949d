"""Batches: every sample once per epoch, whatever the sizes; streams that go on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from uncrumple.core.errors import UncrumpleWarning
from uncrumple.data import batches as room
from uncrumple.data.batches import ArrayBatches, EndlessEpochs, StreamBatches, unpack_x_y_sample_weight

quick = settings(max_examples=80, deadline=None, derandomize=True)


def message(raised):
    return str(raised.value)


def rows(epoch):
    """Return the first column of x of all batches, and the sizes of the batches."""
    found = [batch[0] for batch in epoch]
    return [int(value) for x in found for value in x.reshape(len(x), -1)[:, 0]], [len(x) for x in found]


# --- arrays ---------------------------------------------------------------------------------


@quick
@given(st.integers(1, 200), st.integers(1, 300), st.booleans(), st.sampled_from([1, 64, 4096, 4 << 20]))
def test_every_sample_comes_once_in_an_epoch(samples, size, shuffle, chunk):
    x = torch.arange(samples, dtype=torch.float32)[:, None].repeat(1, 3)
    before, room._CHUNK_BYTES = room._CHUNK_BYTES, chunk
    try:
        data = ArrayBatches(x, x[:, 0] * 2, batch_size=size, shuffle=shuffle)
        epochs = [list(data.epoch()) for _ in range(2)]
    finally:
        room._CHUNK_BYTES = before
    for epoch in epochs:
        seen, sizes = rows(epoch)
        assert sorted(seen) == list(range(samples)) and (shuffle or seen == list(range(samples)))
        assert sizes == [size] * (samples // size) + [samples % size] * (samples % size > 0)
        assert len(sizes) == data.steps
        assert all(torch.equal(y, 2 * part[:, 0]) for part, y in epoch)


@quick
@given(st.integers(2, 60), st.integers(1, 70), st.sampled_from([1, 100, 4 << 20]))
def test_the_size_of_the_chunks_does_not_change_the_order(samples, size, chunk):
    x = torch.arange(samples)
    found = []
    for bytes_at_once in (chunk, 4 << 20):
        before, room._CHUNK_BYTES = room._CHUNK_BYTES, bytes_at_once
        torch.manual_seed(3)
        try:
            found.append(rows(ArrayBatches(x, batch_size=size, shuffle=True).epoch()))
        finally:
            room._CHUNK_BYTES = before
    assert found[0] == found[1]


def test_an_epoch_is_drawn_anew_and_by_the_seed():
    data = ArrayBatches(torch.arange(50), batch_size=7, shuffle=True)
    torch.manual_seed(0)
    first, second = rows(data.epoch())[0], rows(data.epoch())[0]
    torch.manual_seed(0)
    assert first != second and rows(data.epoch())[0] == first


def test_structures_keep_their_form():
    x = {"a": torch.arange(5), "b": [torch.arange(5) * 2, torch.arange(5) * 3]}
    data = ArrayBatches(x, (torch.arange(5),), torch.ones(5), batch_size=2)
    first, y, weight = data.first()
    assert list(first) == ["a", "b"] and first["b"][1].tolist() == [0, 3] and isinstance(y, tuple)
    assert [len(batch[0]["a"]) for batch in data.epoch()] == [2, 2, 1] and weight.tolist() == [1, 1]


def test_what_was_not_given_is_not_handed_out():
    x = torch.ones(4, 1)
    assert len(ArrayBatches(x).first()) == 1 and len(ArrayBatches(x, x).first()) == 2
    assert len(ArrayBatches(x, x, x).first()) == 3
    first = ArrayBatches(x, None, x[:, 0]).first()
    assert len(first) == 3 and first[1] is None
    assert unpack_x_y_sample_weight(x)[0] is x and unpack_x_y_sample_weight([1, 2, 3]) == (1, 2, 3)


def test_looking_at_the_first_batch_draws_nothing():
    data = ArrayBatches(torch.arange(20), batch_size=5, shuffle=True)
    torch.manual_seed(0)
    expected = rows(data.epoch())
    torch.manual_seed(0)
    data.first()
    assert rows(data.epoch()) == expected


def test_moving_to_a_device_moves_the_batches_in_place():
    data = ArrayBatches(torch.ones(4, 2), {"y": torch.ones(4)}, batch_size=3)
    assert data.to(torch.device("cpu")) is data and data.first()[0].device.type == "cpu"
    assert data.to(torch.device("meta")) is data
    assert data.first()[0].is_meta and data.first()[1]["y"].is_meta and data.y["y"].is_meta
    assert data.batch_size == 3 and data.steps == 2


# --- streams ----------------------------------------------------------------------------------


def numbered(count, size=2):
    for index in range(count):
        yield np.full((size, 1), index, "float32"), np.full((size, 1), index)


def test_the_first_batch_of_a_generator_is_not_lost():
    data = StreamBatches(numbered(4))
    assert int(data.first()[0][0]) == int(data.first()[0][0]) == 0
    assert rows(data.epoch())[0] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert list(data.epoch()) == [] and data.steps is None
    with pytest.raises(ValueError, match="The data handed out no batch"):
        data.first()


def test_a_loader_can_be_gone_through_again_and_again():
    loader = DataLoader(TensorDataset(torch.arange(5.0)), batch_size=2)
    data = StreamBatches(loader)
    assert data.steps == 3 and data.batch_size == 2
    data.first()
    for _ in range(3):
        assert rows(data.epoch())[0] == [0, 1, 2, 3, 4]


def test_looking_at_a_source_makes_no_batch_in_vain():
    made = []

    class Source:
        def __iter__(self):
            made.append(0)
            for batch in numbered(3):
                made[-1] += 1
                yield batch

    data = StreamBatches(Source())
    data.first()
    list(data.epoch()), list(data.epoch())
    assert made == [3, 3]


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        (np.ones((2, 1)), 1),
        ((np.ones((2, 1)),), 1),
        ((np.ones((2, 1)), np.ones(2)), 2),
        ([np.ones((2, 1)), np.ones(2)], 2),
        ((np.ones((2, 1)), np.ones(2), np.ones(2)), 3),
        ({"a": np.ones((2, 1))}, 1),
        (({"a": np.ones((2, 1))}, {"b": np.ones(2)}), 2),
        ([{"a": np.ones((2, 1))}, np.ones(2)], 2),
        (([np.ones((2, 1)), np.ones((2, 1))], np.ones(2)), 2),
        ((np.ones((2, 1)), None, np.ones(2)), 3),
        ((np.ones((2, 1)), None), 1),
        ((np.ones((2, 1)), np.ones(2), None), 2),
    ],
    ids=range(12),
)
def test_what_a_source_may_hand_out(item, parts):
    assert len(StreamBatches(iter([item])).first()) == parts


def test_what_a_source_may_not_hand_out():
    x = np.ones((2, 1))
    with pytest.raises(ValueError) as raised:
        StreamBatches(iter([(x, x, x, x)])).first()
    assert message(raised) == (
        "The data handed out a tuple of 4 parts.\n"
        "Expected (x, y), or (x, y, sample_weight).\n"
        "Fix: yield (x, y); put several inputs into a dict or list: yield ([x_1, x_2], y)"
    )
    with pytest.raises(ValueError, match="class_weight, and the data hands out sample weights"):
        StreamBatches(iter([(x, x, x)]), class_weight={0: 1.0}).first()


def test_batches_of_a_stream_move_to_the_device():
    data = StreamBatches(numbered(2)).to(torch.device("meta"))
    assert data.first()[0].is_meta and all(x.is_meta and y.is_meta for x, y in data.epoch())


# --- epochs of a given length -----------------------------------------------------------------


@quick
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 9), st.integers(1, 6))
def test_epochs_go_on_where_the_last_one_stopped(samples, size, steps, epochs):
    data = EndlessEpochs(ArrayBatches(torch.arange(samples), batch_size=size), steps)
    batch_count = -(-samples // size)
    left = batch_count
    for _ in range(epochs):
        if not left:
            left = batch_count
        with pytest.warns(UncrumpleWarning) if steps > left else _nothing():
            found, sizes = rows(data.epoch())
        assert len(sizes) == min(steps, left)
        assert found[0] == (batch_count - left) * size
        left -= len(sizes)
        if steps > len(sizes):
            left = batch_count


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_beginning_anew():
    data = EndlessEpochs(ArrayBatches(torch.arange(10), batch_size=2), 2)
    assert rows(data.epoch())[0] == [0, 1, 2, 3] and rows(data.epoch())[0] == [4, 5, 6, 7]
    data.restart()
    assert rows(data.epoch())[0] == [0, 1, 2, 3]
    assert data.steps == 2 and EndlessEpochs(data.batches, None).steps == 5


def test_a_generator_goes_on_and_ends_with_a_warning():
    data = EndlessEpochs(StreamBatches(numbered(5, 1)), 2)
    assert rows(data.epoch())[0] == [0, 1]
    data.restart()
    assert rows(data.epoch())[0] == [2, 3]
    with pytest.warns(UncrumpleWarning) as warned:
        assert rows(data.epoch())[0] == [4]
    assert str(warned[0].message) == (
        "The data ran out after 1 of 2 steps of this epoch; the epoch ends here.\n"
        "Expected steps_per_epoch * epochs batches from a generator, or steps_per_epoch at most the batches there are.\n"
        "Fix: leave out steps_per_epoch, or let the generator go on for ever"
    )
    whole = EndlessEpochs(StreamBatches(numbered(2, 1)), None)
    assert rows(whole.epoch())[0] == [0, 1]
    with pytest.warns(UncrumpleWarning, match="The data handed out no batch for this epoch"):
        assert list(whole.epoch()) == []
