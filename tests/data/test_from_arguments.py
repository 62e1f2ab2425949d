"""Batches from what `fit` is given: which kind comes of what, lengths compared, the tail cut off."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from uncrumple.data.batches import ArrayBatches, StreamBatches
from uncrumple.data.from_arguments import make_batches, split_tail

quick = settings(max_examples=80, deadline=None, derandomize=True)


def message(raised):
    return str(raised.value)


def numbered(count, size=2):
    for index in range(count):
        yield np.full((size, 1), index, "float32"), np.full((size, 1), index)


@quick
@given(st.integers(2, 100), st.floats(0.01, 0.99))
def test_the_tail_is_cut_off(samples, share):
    x = torch.arange(samples)
    keep = int(samples * (1 - share))
    if keep in (0, samples):
        with pytest.raises(ValueError, match="Expected at least one in each part"):
            split_tail(x, None, None, share)
        return
    (head, no_y, _), (tail, _, _) = split_tail({"x": x}, None, None, share)
    assert head["x"].tolist() == list(range(keep)) and tail["x"].tolist() == list(range(keep, samples)) and no_y is None


def test_what_kind_of_batches_comes_of_what():
    x = np.ones((4, 1))
    loader = DataLoader(TensorDataset(torch.ones(4, 1), torch.ones(4)), batch_size=3)
    for given_x in (x, [x], {"a": x}, torch.ones(4, 1), x.tolist()):
        assert isinstance(make_batches(given_x), ArrayBatches)
    for given_x in (loader, loader.dataset, numbered(2), map(tuple, numbered(2)), zip([x], [x])):
        assert isinstance(make_batches(given_x), StreamBatches)
    assert make_batches(x).batch_size == 32 and make_batches(loader).batch_size == 3
    assert make_batches(loader.dataset, batch_size=2).steps == 2
    assert isinstance(make_batches(loader.dataset, shuffle=True).source.sampler, torch.utils.data.RandomSampler)


def test_lengths_are_compared():
    x, short = np.ones((4, 1)), np.ones(3)
    for given_parts, words in (
        ((x, short), "x has 4 samples and y has 3."),
        ((x, x, short), "x has 4 samples and sample_weight has 3."),
        (([x, short], None), "of 4 and 3 samples"),
        ((x, {"a": x, "b": short}), "x has 4 samples and y has 3."),
        ((np.ones((0, 1)), None), "x holds no samples: its shape is (0, 1)."),
        ((np.float32(1), None), "x is a single number."),
        ((x, np.float32(1)), "y is a single number."),
        ((None, x), "x is None."),
    ):
        with pytest.raises(ValueError) as raised:
            make_batches(*given_parts)
        assert words in message(raised)
