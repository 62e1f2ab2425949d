"""Scaling: fitted on what it is given and on nothing else, the same after JSON, and reversible."""

import json

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from uncrumple.data.scale import Scaler


def test_standard_equals_scikit_learn():
    x = np.random.default_rng(0).normal(5, 3, (50, 4))
    assert np.allclose(Scaler("standard").fit(x).transform(x), StandardScaler().fit_transform(x), atol=1e-6)


def test_statistics_are_of_the_training_rows_alone():
    random = np.random.default_rng(0)
    train, test = random.normal(size=(40, 3)), random.normal(100, 50, size=(20, 3))
    scaler = Scaler("standard").fit(train)
    before = scaler.to_dict()
    scaler.transform(test)
    assert scaler.to_dict() == before
    assert np.allclose(scaler.mean_, train.mean(0)) and np.allclose(scaler.variance_, train.var(0))


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        (np.array([[0, 254]], np.uint8), 255),
        (np.array([[0, 300]], np.uint16), 65535),
        (np.array([[0.0, 16.0]]), 16),
        (np.array([[0.0, 15.0]]), 16),
        (np.array([[0.0, 1.0]]), 1),
        (np.array([[0.0, 200.0]]), 255),
        (np.array([[0.0, 1e6]]), 1e6),
    ],
)
def test_range_finds_what_pictures_are_written_with(values, largest):
    scaler = Scaler("range").fit(values)
    assert scaler.largest_ == largest
    assert np.allclose(scaler.transform(values), values / largest)


def test_pictures_and_tables_get_their_own_kind():
    assert Scaler.for_data(np.zeros((2, 8, 8, 1))).kind == "range"
    assert Scaler.for_data(np.zeros((2, 8))).kind == "standard"
    assert Scaler.for_data(-np.ones((2, 8, 8, 1))).kind == "standard"


@pytest.mark.parametrize("kind", ["standard", "range", "none"])
def test_json_and_back(kind):
    x = np.random.default_rng(1).uniform(0, 16, (30, 5)).astype(np.float32)
    scaler = Scaler(kind).fit(x)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert np.array_equal(again.transform(x), scaler.transform(x))
    assert again.transform(x).dtype == np.float32
    assert np.allclose(again.inverse(again.transform(x)), x, atol=1e-4)
    assert again.in_words() == scaler.in_words()


@pytest.mark.parametrize("constant", [7.0, 0.0, 1e6])
def test_a_constant_feature_becomes_zero_and_is_reported(constant):
    x = np.stack([np.arange(10.0), np.full(10, constant)], axis=1)
    scaler = Scaler("standard").fit(x)
    assert scaler.constant_ == (1,)
    assert np.array_equal(scaler.transform(x)[:, 1], np.zeros(10))
    assert "1 never change" in scaler.in_words()


def test_a_small_but_real_spread_is_kept():
    scaler = Scaler("standard").fit(np.array([[1.0], [1.001]]))
    assert scaler.constant_ == ()
    assert np.allclose(scaler.transform(np.array([[1.0], [1.001]])), [[-1], [1]], atol=1e-3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Scaler("standart"), "did you mean 'standard'?"),
        (lambda: Scaler().transform(np.zeros((1, 2))), "Scaler('standard') has not seen any data yet."),
        (lambda: Scaler().fit(np.array([[1.0, np.nan]])), "Scaler.fit got NaN or infinity in column 1."),
        (lambda: Scaler().fit(np.zeros((0, 2))), "Scaler.fit got float64 values of shape (0, 2)."),
        (lambda: Scaler().fit(np.array([["a"]])), "Scaler.fit got <U1 values"),
        (lambda: Scaler().fit(np.zeros(3)), "Scaler.fit got an array of shape (3,)."),
        (lambda: Scaler("range").fit(np.array([[-1.0]])), "Scaler('range') got values down to -1.0."),
        (lambda: Scaler().fit(np.eye(3)).transform(np.eye(2)), "Expected 3 features on the last axis"),
        (lambda: Scaler.from_dict({"kind": "standard"}), "Scaler.from_dict got data it cannot use"),
        (lambda: Scaler.from_dict({"kind": "range", "largest": 0}), "not finite and positive"),
        (
            lambda: Scaler.from_dict({"kind": "standard", "mean": [0], "variance": [-1], "constant": []}),
            "not finite and positive",
        ),
    ],
)
def test_what_cannot_be_scaled_is_refused(call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) in (3, 5)
