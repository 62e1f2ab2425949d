"""Every mistake in the table is answered in words, before training starts; the whole texts are under test.

The table is in `beginners/`, a file per kind of mistake. To see what is said
about one: `pytest tests/test_mistakes.py -k missing_channel_axis -vv`.
"""

import importlib
import inspect
import re
import warnings

import pytest

import uncrumple as keras
from beginners.table import MISTAKES
from uncrumple.core.naming import reset_names
from uncrumple.optimizers import Optimizer
from uncrumple.training.native_epochs import PlannedEpochs
from uncrumple.training.plan import Plan

for family in ("shapes", "names", "arguments", "data", "targets", "own_layers"):
    importlib.import_module(f"beginners.{family}")


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """Return a list that grows with each step of an optimizer; files go to a folder of the test's own."""
    taken = []
    step = Optimizer._apply

    def counting(self, *args, **kwargs):
        taken.append(self)
        return step(self, *args, **kwargs)

    planned = Plan.step

    def counting_planned(self, *args):
        done = planned(self, *args)
        taken.extend([self] * done)
        return done

    run = PlannedEpochs.run

    def counting_epochs(self):
        taken.append(self)
        return run(self)

    monkeypatch.setattr(PlannedEpochs, "run", counting_epochs)
    monkeypatch.setattr(Optimizer, "_apply", counting)
    monkeypatch.setattr(Plan, "step", counting_planned)
    monkeypatch.chdir(tmp_path)
    reset_names()
    return taken


def answer(mistake):
    """Make a mistake and return the exception, or the warning, that it leads to."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", keras.UncrumpleWarning)
        with pytest.raises(Exception) as caught:
            mistake.make(keras)
    return caught.value


def without_counts(text):
    """Return a text without how many names there are: that grows with the package."""
    return re.sub(r"one of \d+ names", "one of N names", text)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_mistake(mistake, steps):
    error = answer(mistake)
    kind = keras.UncrumpleWarning if mistake.kind is UserWarning else mistake.kind
    assert isinstance(error, kind)
    assert type(error).__name__ == kind.__name__, "the standard type is shown"
    assert without_counts(str(error)) == mistake.text
    assert steps == [], "nothing was learned before"
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__, "no chain of exceptions is shown"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_text(mistake):
    lines = mistake.text.split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 140
    assert lines[2].startswith("Fix: ")
    assert mistake.place in mistake.text
    assert "torch.Size" not in mistake.text


@pytest.mark.parametrize(
    "mistake", [one for one in MISTAKES if one.kind is UserWarning], ids=lambda mistake: mistake.name
)
def test_warning_points_to_the_line_of_the_user(mistake, steps):
    with pytest.warns(keras.UncrumpleWarning) as caught:
        mistake.make(keras)
    texts = [without_counts(str(one.message)) for one in caught]
    assert texts[0] == mistake.text
    assert len(texts) == len(set(texts)), "each is said once"
    assert caught[0].filename == inspect.getsourcefile(mistake.make)
    assert steps or mistake.name == "everything_frozen", "a warning does not stop the training"


def test_table():
    names = [mistake.name for mistake in MISTAKES]
    assert len(names) >= 150
    assert len(set(names)) == len(names)


def test_signatures_are_those_of_keras():
    """The parameter that catches misspelt arguments does not show."""
    for method in (keras.Model.fit, keras.Model.evaluate, keras.Model.predict, keras.Model.compile, keras.Input):
        kinds = {parameter.kind for parameter in inspect.signature(method).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_error_in_an_own_layer_keeps_its_traceback():
    """A debugger must still find the line that failed."""

    class Broken(keras.layers.Layer):
        def call(self, inputs):
            return inputs @ inputs

    with pytest.raises(ValueError) as caught:
        Broken()(keras.Input((4,)))
    assert caught.traceback[-1].name == "call"


def test_errors_that_users_raise_are_left_alone():
    class Strict(keras.layers.Layer):
        def call(self, inputs):
            raise ValueError("only for grey images")

    with pytest.raises(ValueError) as caught:
        Strict()(keras.Input((4,)))
    assert str(caught.value) == "only for grey images", "what there is to say about it is a note"


def test_missing_attributes_cost_nothing_until_they_are_read():
    layer = keras.layers.Dense(3)
    assert not hasattr(layer, "kernal")
    assert getattr(layer, "kernal", 5) == 5
    assert not hasattr(keras.layers, "Dens")


def test_attribute_error_is_no_kind_of_its_own_in_a_file():
    import pickle

    with pytest.raises(AttributeError) as caught:
        keras.layers.Dense(3, name="dense").kernal  # noqa: B018
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is AttributeError
    assert str(copy) == str(caught.value)
