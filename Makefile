# `make quickstart` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: help quickstart test test-slow lint types docs benchmark clean

help:
	@echo "make quickstart  set up and train a network on real handwritten digits, offline"
	@echo "make test        lint, types, and every test that takes seconds"
	@echo "make test-slow   the tests that take minutes"
	@echo "make benchmark   speed beside plain PyTorch, in one interleaved run"

$(VENV)/.base: pyproject.toml constraints.txt setup.py src/uncrumple/kernels/native/kernels.cpp
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

quickstart: $(VENV)/.base
	$(BIN)/uncrumple train digits

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -n auto

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

benchmark: $(VENV)/.dev
	$(BIN)/python benchmarks/training_steps.py
	$(BIN)/python benchmarks/import_time.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
