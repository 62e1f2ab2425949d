"""Three lines, did-you-mean, and warnings that point at the user's own line."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uncrumple as keras
from uncrumple.core.errors import closest, explain, one_of, unknown_argument, unknown_name, warn

ACTIVATIONS = ["elu", "gelu", "leaky_relu", "linear", "relu", "selu", "sigmoid", "softmax", "softplus", "swish", "tanh"]


def test_three_lines():
    assert (
        explain("This came.", "That was expected.", "type(this)") == "This came.\nThat was expected.\nFix: type(this)"
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("rleu", "relu"),
        ("ReLU", "relu"),
        ("sofmax", "softmax"),
        ("soft-max", "softmax"),
        ("Leaky ReLU", "leaky_relu"),
        ("leakyrelu", "leaky_relu"),
        ("sigmoidal", "sigmoid"),
        ("tahn", "tanh"),
        ("banana", None),
        ("", None),
    ],
)
def test_the_name_that_was_meant(written, meant):
    assert closest(written, ACTIVATIONS) == meant


def test_of_two_spellings_the_one_written_alike():
    assert closest("Adm", ["adam", "Adam"]) == "Adam" and closest("adm", ["adam", "Adam"]) == "adam"
    assert closest("ADAM", ["Adam", "adam"]) in ("Adam", "adam")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=8))
def test_any_name_at_all(name, known):
    guess = closest(name, known)
    assert guess is None or guess in known
    if name in known:
        assert guess is not None
    for text in (unknown_name("thing", name, known), unknown_argument("Owner", name, known)):
        assert "\nFix: " in text


def test_unknown_names_and_arguments():
    assert unknown_name("activation", "sofmax", ["softmax", "relu", None, 3]) == (
        "Unknown activation: 'sofmax'.\nExpected one of: relu, softmax.\nFix: did you mean 'softmax'?"
    )
    assert "did you mean" not in unknown_name("activation", "zzz", ["relu"])
    assert unknown_argument("Dense", "unit", ["self", "units", "activation", "kwargs"]) == (
        "Dense got an unknown argument 'unit'.\nExpected one of: units, activation.\nFix: did you mean 'units='?"
    )
    assert "\nFix: " in unknown_argument("Dense", "zzz", ["units"])


def test_a_long_list_shows_what_is_most_alike():
    line = one_of("name_7x", [f"name_{number}" for number in range(100)])
    assert len(line) <= 120 and "name_7" in line and "100" in line
    assert one_of("x", []) == "Expected no names."


def test_a_warning_points_at_the_line_that_led_here():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("This came.", "That was expected.", "type(this)")
    (one,) = caught
    assert one.category is keras.UncrumpleWarning and one.filename == __file__
    assert str(one.message) == "This came.\nThat was expected.\nFix: type(this)"


def test_a_warning_from_deep_inside_points_at_the_users_line_too():
    import numpy as np

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.layers[0].trainable = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    assert {one.filename for one in caught} == {__file__}
