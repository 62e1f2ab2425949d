"""The examples in the docstrings of layers and kernels run."""

import doctest
import importlib
import pkgutil

import pytest

import uncrumple.kernels
import uncrumple.layers

ROOMS = (uncrumple.layers, uncrumple.kernels)
NAMES = [
    f"{room.__name__}.{one.name}" for room in ROOMS for one in pkgutil.iter_modules(room.__path__) if not one.ispkg
]


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
