# `make quickstart` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

# How many random models `make fuzz` compares with Keras, and which ones.
MODELS ?= 500
SEED   ?= 1

.PHONY: help quickstart test test-slow test-native fuzz lint types docs benchmark bench bench-quick bench-gpu bench-instructions matrix clean

help:
	@echo "make quickstart  set up and train a network on real handwritten digits, offline"
	@echo "make test        lint, types, and every test that takes seconds"
	@echo "make test-slow   the tests that take minutes"
	@echo "make docs        the pages of docs/reference/, from the docstrings, and docs/keras-coverage.md"
	@echo "make fuzz        random models, files, preprocessing and functions in Keras and here: MODELS=500 SEED=1"
	@echo "make benchmark   speed beside plain PyTorch, in one interleaved run"
	@echo "make bench       speed beside torch, torch.compile, Keras on each backend, and JAX (25 minutes)"
	@echo "make bench-instructions  what the native kernels execute, counted by callgrind (1 minute; part of make test)"
	@echo "make matrix      what the data checks find and how often they cry wolf: docs/data-checks.md (10 minutes)"
	@echo "make bench-quick the same for four networks (5 minutes)"

$(VENV)/.base: pyproject.toml constraints.txt setup.py $(wildcard src/uncrumple/kernels/native/*.cpp src/uncrumple/kernels/native/*.h)
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

docs: $(VENV)/.dev
	$(BIN)/python docs/build_reference.py
	$(BIN)/python docs/build_keras_coverage.py

# The native kernels with every access to memory watched (needs GCC and its sanitizers). What they find ends the run and
# is told at once: pytest would swallow what C++ prints. A library that does not load would leave all tests out, unseen.
SANITIZED = UNCRUMPLE_NATIVE=$(CURDIR)/build/kernels_sanitized.so ASAN_OPTIONS=detect_leaks=0 \
    UBSAN_OPTIONS=print_stacktrace=1 \
    LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" $(BIN)/python

test-native: $(VENV)/.dev
	mkdir -p build
	$(CXX) -g -O1 -std=c++17 -fPIC -shared -fopenmp -ffp-contract=fast -fno-omit-frame-pointer \
	    -fsanitize=address,undefined -fno-sanitize-recover=undefined src/uncrumple/kernels/native/kernels.cpp -o build/kernels_sanitized.so
	$(SANITIZED) -c "import sys; from uncrumple.kernels import native; sys.exit(not native.available())"
	$(SANITIZED) -m pytest --capture=sys tests/kernels tests/layers tests/optimizers tests/training \
	    tests/models/test_fusion.py tests/models/test_fused_steps.py tests/models/test_inference.py

fuzz: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore tests/parity/fuzz/compare_all.py --models $(MODELS) --seed $(SEED)

benchmark: $(VENV)/.dev
	$(BIN)/python benchmarks/training_steps.py
	$(BIN)/python benchmarks/import_time.py

# Each library that is measured lives in an environment of its own.
PEERS = build/peers/torch/.ready build/peers/tensorflow/.ready build/peers/jax/.ready

build/peers/%/.ready: benchmarks/peers/requirements-%.txt
	mkdir -p build/peers
	$(PYTHON) -m venv build/peers/$*
	build/peers/$*/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench: $(VENV)/.dev $(PEERS)
	$(BIN)/python benchmarks/compare.py

bench-quick: $(VENV)/.dev $(PEERS)
	$(BIN)/python benchmarks/compare.py --quick

bench-gpu: $(VENV)/.dev $(PEERS)
	$(BIN)/python benchmarks/gpu_steps.py

# Instructions of the native kernels under callgrind, against benchmarks/instruction_limits.json.
bench-instructions: $(VENV)/.dev
	$(BIN)/python benchmarks/instructions.py

# Planted defects and clean data on fresh seeds, and the statistics of judging by simulation; both write into docs/.
matrix: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/check_matrix.py --write docs/data-checks.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/check_judging.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/judge_statistics.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
