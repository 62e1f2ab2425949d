"""`make bench-gpu`, as far as it runs without a GPU: its arguments, who takes part, and a tiny run on the CPU."""

import json
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The module, with folders of its own, and an environment that is put back."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("BENCHMARK_DEVICE", "BENCHMARK_TF32", "XLA_PYTHON_CLIENT_PREALLOCATE", "JAX_DEFAULT_MATMUL_PRECISION"):
        monkeypatch.setenv(name, "before")
    known = set(sys.modules)
    import compare
    import gpu_steps

    monkeypatch.setattr(compare, "PEERS_FOLDER", tmp_path / "peers")
    yield gpu_steps
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_what_is_measured_by_default(bench):
    arguments = bench.parsed([])
    assert arguments.only == ["W2", "W3", "W4", "W9"] and arguments.batch == [128, 1024]
    assert arguments.peers == ["uncrumple", "torch", "torch-compile", "jax"]
    assert arguments.policy == ["float32", "mixed_bfloat16"] and arguments.device == "cuda" and not arguments.tf32


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "W2,W77"], "--only: no W77; there are W1, W2"),
        (["--policy", "float8"], "--policy: no float8; there are float32, mixed_bfloat16"),
        (["--peers", "keras"], "--peers: no keras; there are uncrumple, torch, torch-compile, jax"),
        (["--batch", "many"], "--batch: 'many' is not a list of whole numbers such as 128,1024"),
        (["--batch", "0"], "--batch: expected at least one number, of 1 or more"),
    ],
)
def test_what_is_not_known_is_refused_at_once(bench, capsys, words, said):
    with pytest.raises(SystemExit):
        bench.parsed(words)
    assert said in capsys.readouterr().err


def test_without_a_gpu_it_says_so(bench, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench.torch.cuda, "is_available", lambda: False)
    bench.main(["--out", str(tmp_path / "found")])
    assert capsys.readouterr().out == "bench-gpu: skipped, torch finds no GPU here\n"
    assert not list(tmp_path.iterdir())


def test_all_peers_multiply_in_the_same_precision_and_leave_memory_to_each_other(bench):
    bench.set_environment("cuda", tf32=False)
    assert os.environ["JAX_DEFAULT_MATMUL_PRECISION"] == "highest" and os.environ["BENCHMARK_TF32"] == "0"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    bench.set_environment("cuda", tf32=True)
    assert os.environ["JAX_DEFAULT_MATMUL_PRECISION"] == "tensorfloat32" and os.environ["BENCHMARK_TF32"] == "1"


def test_torch_is_told_how_to_multiply(bench, monkeypatch):
    from peers.torch_peer import choose_products

    cudnn, matmul = bench.torch.backends.cudnn, bench.torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    try:
        for wish, expected in (("1", True), ("0", False)):
            monkeypatch.setenv("BENCHMARK_TF32", wish)
            choose_products("cuda")
            assert (cudnn.allow_tf32, matmul.allow_tf32) == (expected, expected)
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


def test_the_clock_of_fit_stops_when_the_gpu_is_done(bench, monkeypatch):
    """What is on its way to a GPU at the end of an epoch belongs to the epoch."""
    from peers.keras_peer import KerasPeer
    from workloads import load

    said = []

    class Turns:
        left = 2

        def begin(self):
            self.left -= 1
            said.append("begin")
            return self.left >= 0

        def end(self, loss):
            said.append("end")

    monkeypatch.setenv("BENCHMARK_DEVICE", "cpu")
    peer = KerasPeer("uncrumple")
    monkeypatch.setattr(peer, "_wait", lambda: said.append("wait"))
    workload = load("W1")
    peer.train(workload, "float32", workload.epoch_data(1), 1, Turns())
    assert said == ["begin", "wait", "end", "begin", "wait", "end", "begin"]


def test_a_peer_that_does_not_reach_the_device_is_left_out(bench, monkeypatch, capsys):
    monkeypatch.setenv("BENCHMARK_DEVICE", "nowhere")
    assert bench.start(["jax", "uncrumple"], 1) == {}
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("jax: left out, there is no ")
    assert said[1].startswith("uncrumple: left out, ") and said[1].endswith("uncrumple.log)")


def test_a_tiny_run_on_the_cpu(bench, capsys, tmp_path):
    words = ["--device", "cpu", "--peers", "uncrumple", "--only", "W1", "--policy", "float32", "--batch", "2,3"]
    bench.main([*words, "--rounds", "3", "--seconds", "0.1", "--out", str(tmp_path / "found")])
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [row["about"].split(", ")[-1] for row in found["steps"]] == ["batch 2", "batch 3"]
    for row in found["steps"]:
        assert not row["failed"] and row["peers"]["uncrumple"]["n"] >= 3
        assert row["peers"]["uncrumple"]["median_us"] > 0
    assert "GPU" not in (tmp_path / "found.md").read_text(encoding="utf-8")


def test_the_table_holds_a_peer_that_failed_in_the_first_row(bench):
    from report import _table

    one = {"median_us": 1.0, "quartiles_us": [1.0, 1.0], "n": 3}
    rows = [
        {"workload": "W2", "about": "one", "peers": {"uncrumple": one}},
        {"workload": "W3", "about": "two", "peers": {"uncrumple": one, "jax": one}},
    ]
    lines = _table(rows).splitlines()
    assert lines[0].startswith("|  | uncrumple | jax |") and lines[2].startswith("| W2 one | 1.0 (1.0–1.0) | – |")
