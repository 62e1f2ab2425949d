"""Diagnosis of training: rules that look at a model, and a watcher that applies them while it learns.

One file per family of rules. `preflight` (in `uncrumple.explain`) applies those that can be told before training,
`fit(diagnose=True)` those that can be told with little cost while training goes on.
"""

from uncrumple.training.diagnosis.finding import Finding, said
from uncrumple.training.diagnosis.watcher import Diagnosis

__all__ = ["Diagnosis", "Finding", "said"]
