"""Writes what `compare.py` found as a page of Markdown and as JSON."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any


def write_report(found: dict[str, Any], out: str) -> None:
    """Write `out`.md and `out`.json."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(f"{out}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page(found)
    Path(f"{out}.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {out}.md and {out}.json")


def page(found: dict[str, Any]) -> str:
    """Return the tables, with hardware, versions and thread counts."""
    hardware = found["hardware"]
    parts = [
        f"{hardware['processor']}, {hardware['cores']} cores ({', '.join(hardware['instructions'])}), "
        f"Python {hardware['python']}, load {hardware['load_at_start']:.1f} at the start; "
        f"{found['minutes']:.0f} minutes.",
        _versions(found["versions"]),
    ]
    for threads in sorted({row["threads"] for row in found["steps"]}):
        for policy in ("float32", "mixed_bfloat16"):
            rows = [row for row in found["steps"] if row["threads"] == threads and row["policy"] == policy]
            if rows:
                who = "one thread" if threads == 1 else f"{threads} threads" if threads else "all cores"
                parts += [f"Training, {policy}, {who}, microseconds per step:", _table(rows)]
    if found["predict"]:
        parts += ["`predict` of W3, one thread, microseconds per call:", _table(found["predict"])]
    if found["memory"]:
        parts += ["Peak resident memory, MiB:", _memory(found["memory"])]
    if found["mnist"]:
        parts += ["From a cold start to the accuracy on MNIST's test set:", _mnist(found["mnist"])]
    notes = [
        f"- {row['workload']} {row['about']}, {row['policy']}: {text}"
        for row in found["steps"] + found["predict"]
        for text in [*row["complaints"], *(f"{peer} failed: {why}" for peer, why in row["failed"].items())]
    ]
    if notes:
        parts += ["What is wrong with this run:", "\n".join(notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _versions(versions: dict[str, dict[str, str]]) -> str:
    said = dict(pair for one in versions.values() for pair in one.items())
    return ", ".join(f"{name} {number}" for name, number in sorted(said.items()))


def _table(rows: list[dict[str, Any]]) -> str:
    """One line per workload: all medians with quartiles, n, and the ratio to the best peer."""
    peers = list(dict.fromkeys(["uncrumple", *(peer for row in rows for peer in row["peers"])]))
    lines = [
        ["", *peers, "best peer", "ratio (quartiles)", "n", "by processor time"],
        ["---"] * (len(peers) + 5),
    ]
    for row in rows:
        wall, cpu = row.get("wall"), row.get("cpu")
        lines.append(
            [
                f"{row['workload']} {row['about']}",
                *(_cell(row["peers"].get(peer)) for peer in peers),
                wall["best_peer"] if wall else "–",
                f"**{wall['ratio']:.2f}** ({wall['quartiles'][0]:.2f}–{wall['quartiles'][1]:.2f})" if wall else "–",
                str(min(one["n"] for one in row["peers"].values())) if row["peers"] else "0",
                f"{cpu['ratio']:.2f} ({cpu['best_peer']})" if cpu else "–",
            ]
        )
    return _joined(lines)


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    low, high = one["quartiles_us"]
    return f"{_short(one['median_us'])} ({_short(low)}–{_short(high)})"


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:.0f}"


def _memory(rows: list[dict[str, Any]]) -> str:
    lines = [["", "uncrumple", "plain torch", "only imported"], ["---"] * 4]
    for row in rows:
        numbers = (f"{row[who]:.0f}" for who in ("uncrumple", "torch", "import"))
        lines.append([f"{row['workload']}, {row['policy']}", *numbers])
    return _joined(lines)


def _mnist(rows: list[dict[str, Any]]) -> str:
    lines = [["", "seconds", "processor seconds", "accuracies"], ["---"] * 4]
    for threads in (0, 1):
        these = [row for row in rows if row["threads"] == threads]
        lines.append(
            [
                "one thread" if threads else "all cores",
                f"{statistics.median(row['seconds'] for row in these):.2f}",
                f"{statistics.median(row['cpu_seconds'] for row in these):.2f}",
                ", ".join(f"{row['accuracy']:.2%}" for row in these),
            ]
        )
    return _joined(lines)


def _joined(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
