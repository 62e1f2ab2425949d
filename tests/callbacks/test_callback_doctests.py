"""The examples in the docstrings of the callbacks run."""

import doctest
import importlib
import pkgutil

import pytest

import uncrumple.callbacks as room


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(room.__path__)])
def test_examples(name):
    module = importlib.import_module(f"{room.__name__}.{name}")
    assert doctest.testmod(module).failed == 0
