"""A training step does no more work than `work_limits.json` allows: calls, torch operations, native calls, allocations."""

import json

import pytest
import torch
import work_counts

LIMITS = json.loads(work_counts.LIMITS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("policy", work_counts.POLICIES)
@pytest.mark.parametrize("network", work_counts.NETWORKS)
def test_a_step_does_no_more_work_than_before(network, policy):
    if not work_counts.can_count(policy):
        pytest.skip("on this processor bfloat16 goes another way than the one that was counted")
    name = f"{network} {policy} {work_counts.kernels_used()}"
    found = work_counts.count(network, policy)
    over = {kind: number for kind, number in found.items() if number > LIMITS[name][kind]}
    assert not over, (
        f"{name}: a training step does more work than it did. Counted per step: {over}; limits: {LIMITS[name]}. "
        "If that is wanted, write new limits with `python tests/training/work_counts.py --update` "
        "(and once more with UNCRUMPLE_NATIVE=0)."
    )


def test_counts_are_the_same_each_time():
    assert work_counts.count("W2", "float32") == work_counts.count("W2", "float32")


def test_more_work_is_counted(monkeypatch):
    """One torch operation, one function and one tensor more in each step are seen."""
    from uncrumple.training import loop

    before = work_counts.count("W1", "float32")
    ordinary = loop.Steps.train_step

    def busier(self, data):
        torch.zeros(3)
        return ordinary(self, data)

    monkeypatch.setattr("uncrumple.models.Model.train_step", busier)
    after = work_counts.count("W1", "float32")
    assert all(after[kind] > before[kind] for kind in ("calls", "torch_operations", "allocations"))
