"""What is found about models and training, as data and in words: see `uncrumple.training.diagnosis`."""

from uncrumple.training.diagnosis.finding import Finding, said

__all__ = ["Finding", "said"]
