"""Weights of classes: each sample weighs what its class does, in whatever form the classes come."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from uncrumple.data.class_weights import weights_of_classes

quick = settings(max_examples=80, deadline=None, derandomize=True)


def message(raised):
    return str(raised.value)


@quick
@given(
    st.lists(st.integers(-3, 6), min_size=1, max_size=30),
    st.dictionaries(st.integers(-3, 6), st.floats(0, 10, width=32), max_size=5),
    st.sampled_from(["flat", "column", "float", "one_hot"]),
)
def test_each_sample_weighs_what_its_class_does(labels, weights, form):
    labels = torch.tensor(labels)
    if form == "one_hot":
        labels = labels.clamp(0)
        y = torch.nn.functional.one_hot(labels, 7).float()
    else:
        y = {"flat": labels, "column": labels[:, None], "float": labels.float()}[form]
    expected = [weights.get(int(label), 1.0) for label in labels]
    assert weights_of_classes(y, weights).tolist() == expected


def test_class_weights_that_cannot_be():
    y = torch.tensor([0, 1])
    assert weights_of_classes(y, {np.int64(1): 3.0}).tolist() == [1, 3]
    assert weights_of_classes(torch.tensor([10**12]), {0: 2.0}).tolist() == [1]
    for key in ("1", 1.5, True, None):
        with pytest.raises(ValueError) as raised:
            weights_of_classes(y, {key: 2.0})
        assert message(raised) == (
            f"class_weight has the key {key!r}, a {type(key).__name__}.\n"
            "Expected the whole numbers that y holds.\n"
            "Fix: class_weight={0: 1.0, 1: 5.0}"
        )
    with pytest.raises(ValueError, match="there is not exactly one array of targets"):
        weights_of_classes([y, y], {0: 1.0})
