"""What the native kernels execute in a training step is counted, not timed: more of it is a failure."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from uncrumple.kernels import native

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import instructions  # noqa: E402


@pytest.mark.skipif(shutil.which("callgrind_control") is None, reason="valgrind is not installed")
@pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")
@pytest.mark.skipif("UNCRUMPLE_NATIVE" in os.environ, reason="another library than the one that is installed")
def test_kernels_execute_no_more_instructions_than_before():
    done = subprocess.run([sys.executable, BENCHMARKS / "instructions.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if "not judged" in done.stdout:
        pytest.skip(done.stdout.splitlines()[-1])


def test_what_grew_is_named():
    before = {"total": 1000, "functions": {"first": 600, "second": 300, "gone": 100}}
    assert instructions.grown({"first": 610, "second": 310, "new": 100}, before) == {}
    assert instructions.grown({"first": 600, "second": 331}, before) == {"second": (331, 300)}
    assert instructions.grown({"first": 600, "second": 300, "new": 131}, before) == {"all functions": (1031, 1000)}


def test_a_file_of_callgrind_is_read():
    text = """fl=(1) kernels.cpp
ob=(1) /somewhere/_kernels.cpython-311.so
fn=(1) product
10 500
+3 20
cob=(2) /lib/libc.so
cfn=(2) memcpy
calls=4 0
* 9000
12 7
ob=(2)
fn=(2)
0 9000
ob=(1)
fn=(3) pool
-2 40
fn=(1)
* 3
"""
    assert instructions.by_function(text) == {"product": 530, "pool": 40}


def test_the_limits_are_of_functions_that_count():
    limits = json.loads((BENCHMARKS / "instruction_limits.json").read_text(encoding="utf-8"))
    assert min(limits["functions"].values()) >= instructions.COUNTS * limits["total"]
    assert sum(limits["functions"].values()) <= limits["total"]
