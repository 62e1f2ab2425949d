"""Strings in the shape of a tensor."""

import copy
import pickle

import numpy as np
import pytest
import torch

from uncrumple.core.text import Text, is_text_array, is_text_list, object_array


@pytest.fixture
def text():
    return Text.of([["a", "b"], ["c", "d"], ["e", "f"]])


def test_made_of_many_things():
    for strings in (["a", "ö"], ("a", "ö"), np.array(["a", "ö"]), np.array(["a", "ö"], dtype=object)):
        assert Text.of(strings).tolist() == ["a", "ö"]
    assert Text.of(np.array([b"a", "ö".encode()])).tolist() == ["a", "ö"]
    assert Text.of("one").tolist() == "one"
    assert Text.of("one").shape == ()
    assert Text.of(np.array([], dtype=object)).shape == (0,)
    assert Text.of(["\0", "a\0"]).tolist() == ["\0", "a\0"]


def test_moves_like_a_tensor(text):
    assert text[:, 1].tolist() == ["b", "d", "f"]
    assert text[torch.tensor([2, 0])].tolist() == [["e", "f"], ["a", "b"]]
    assert text.index_select(0, torch.tensor([1])).tolist() == [["c", "d"]]
    assert text.reshape(2, 3).tolist() == [["a", "b", "c"], ["d", "e", "f"]]
    assert [part.tolist() for part in text.split(2)] == [[["a", "b"], ["c", "d"]], [["e", "f"]]]
    assert text.T.tolist() == [["a", "c", "e"], ["b", "d", "f"]]
    assert text.unsqueeze(-1).shape == (3, 2, 1)
    assert [row.tolist() for row in text] == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert text.to("cpu").words is text.words
    assert text.clone().tolist() == text.tolist()


def test_joins_texts_with_tables_of_their_own(text):
    other = Text.of([["x", "y"]])
    assert torch.cat([text[2:], other, text[:1]]).tolist() == [["e", "f"], ["x", "y"], ["a", "b"]]
    assert torch.cat([text[2:], text[:1]]).words is text.words
    assert torch.stack([other[0], text[0]]).tolist() == [["x", "y"], ["a", "b"]]
    assert len(torch.cat([text[:1], other]).words) == 4  # of a batch, only its own strings


def test_copies_and_pickles(text):
    for again in (copy.deepcopy(text), pickle.loads(pickle.dumps(text[1:]))):
        assert isinstance(again, Text)
    assert copy.deepcopy(text).tolist() == text.tolist()
    assert pickle.loads(pickle.dumps(text[1:])).tolist() == text[1:].tolist()


def test_gives_arrays(text):
    array = text.numpy()
    assert array.dtype == object
    assert np.asarray(text[0]).tolist() == ["a", "b"]
    assert text[0, 0].item() == "a"
    assert repr(text[0]) == "Text(['a', 'b'])"


def test_shapes_without_strings(text):
    empty = text.to("meta")
    assert isinstance(empty, Text) and empty.words is None
    assert isinstance(empty[:, 0], Text)
    assert repr(empty) == "Text(of shape (3, 2))"
    assert Text.blank((2, 1)).tolist() == [[""], [""]]


@pytest.mark.parametrize(
    "compute, name",
    [
        (lambda x: x + 1, "add"),
        (lambda x: 1 + x, "add"),
        (lambda x: torch.exp(x), "exp"),
        (lambda x: x.float(), "float"),
        (lambda x: x.to(torch.float32), "to"),
        (lambda x: x.sum(), "sum"),
        (lambda x: torch.ones(2, 3) @ x, "matmul"),
        (lambda x: torch.cat([x, torch.ones(1, 2)]), "cat"),
    ],
)
def test_computing_is_refused(text, compute, name):
    with pytest.raises(ValueError) as caught:
        compute(text)
    assert str(caught.value) == (
        f"Text was given to '{name}', which computes with numbers.\n"
        "Expected a layer that takes text first.\n"
        "Fix: TextVectorization()(x) for sentences, StringLookup()(x) for categories"
    )


def test_gaps_and_other_things_are_named():
    with pytest.raises(ValueError) as caught:
        Text.of(np.array([["a", "b"], ["c", None]], dtype=object), "x['city']")
    assert str(caught.value) == (
        "x['city'] holds None in row 1, a NoneType.\nExpected strings.\nFix: fill the gaps: column.fillna('')"
    )
    with pytest.raises(ValueError, match=r"holds 3 in row 1, a int.\nExpected strings.\nFix: \[str\(value\)"):
        Text.of(["a", 3])


def test_lists_of_different_lengths():
    with pytest.raises(ValueError) as caught:
        object_array([["a"], ["b", "c"]], "x")
    assert str(caught.value) == (
        "x holds rows of different lengths, from 1 to 2.\n"
        "Expected rows of one length: there are no ragged tensors here.\n"
        "Fix: fill the shorter rows with a token such as '', which mask_token='' then maps to 0"
    )
    with pytest.raises(ValueError, match="lists and single entries side by side"):
        object_array([["a"], "b"], "x")


def test_what_is_text():
    assert is_text_array(np.array(["a"])) and is_text_array(np.array(["a"], dtype=object))
    assert not is_text_array(np.array([1])) and not is_text_array(np.array([1], dtype=object))
    assert is_text_list("a") and is_text_list([["a"]])
    assert not is_text_list([1]) and not is_text_list([])
