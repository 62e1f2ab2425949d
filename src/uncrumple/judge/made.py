"""How a result was made: what someone needs to make it again."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

from uncrumple.judge.words import seconds_in_words

_PACKAGES = ("uncrumple", "torch", "numpy", "scikit-learn", "scipy")


def how_it_was_made(
    command: str = "", seed: int | None = None, seconds: float | None = None, device: str = "cpu"
) -> dict[str, str]:
    """Return the command, seed, time, versions and hardware, in words and in this order.

    Args:
        command: The line that was typed.
        seed: The seed that everything drew from.
        seconds: How long the whole took.
        device: What the network was trained on.

    Example:
        >>> made = how_it_was_made("uncrumple train iris", seed=0, seconds=3.2)
        >>> made["command"], made["seed"], made["time"]
        ('uncrumple train iris', '0', '3.2 s')
    """
    made = {"command": command} if command else {}
    if seed is not None:
        made["seed"] = str(seed)
    if seconds is not None:
        made["time"] = seconds_in_words(seconds)
    made["date"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    made["versions"] = ", ".join(versions)
    made["system"] = f"{platform.system()} {platform.release()}, {platform.machine()}"
    made["processor"] = f"{_processor()}, {os.cpu_count()} cores"
    made["device"] = device
    return made


def _processor() -> str:
    """Return the processor's name; Linux tells it in a file only."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
