"""From whatever a user has to checked batches of tensors; and named data sets, splits and scaling."""

from uncrumple.data.dataset import AUTOTUNE, Dataset

__all__ = ["AUTOTUNE", "Dataset"]
