"""What `tune` was asked for, refused in words where it is impossible."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from uncrumple.core.errors import explain
from uncrumple.explain.asked import check_whole


def check_arguments(build: Any, trials: Any, seconds: Any, epochs: Any, patience: Any, batch_size: Any, validation: Any,
           fresh: Any, retrain: Any, seed: Any) -> None:  # fmt: skip
    if isinstance(build, (type, torch.nn.Module)) or not callable(build):
        shown = f"the class {build.__name__}" if isinstance(build, type) else f"a {type(build).__name__}"
        raise TypeError(
            explain(
                f"tune got {shown} as build.",
                "Expected a function that makes and compiles a new model for each trial.",
                "def build(trial): units = trial.suggest_int('units', 8, 128, log=True); ...; return model",
            )
        )
    whole = {"trials": trials, "epochs": epochs, "patience": patience, "batch_size": batch_size, "retrain": retrain}
    for name, value in whole.items():
        if name == "patience" and value is None:
            continue
        check_whole("tune", name, value, 1, f"{name}=5")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0):
        raise ValueError(
            explain(f"tune got seconds={seconds!r}.", "Expected a number above 0, or None.", "seconds=600")
        )
    for name, share in (("validation", validation), ("fresh", fresh)):
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
            raise ValueError(explain(f"tune got {name}={share!r}.", f"Expected 0 < {name} < 1.", f"{name}=0.2"))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(
            explain(
                f"tune got seed={seed!r}.", "Expected a whole number from 0 to 2**32 - 1.", "tune(build, data, seed=0)"
            )
        )
