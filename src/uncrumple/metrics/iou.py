"""Intersection over union: how well predicted regions cover true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain, warn
from uncrumple.core.settings import epsilon
from uncrumple.measures.pairing import as_tensor
from uncrumple.metrics.metric import Metric


class IoU(Metric):
    """Mean over classes of: true positives / (true positives + false positives + false negatives).

    Classes that occur neither in the truth nor in the predictions are left out.

    Args:
        num_classes: How many classes there are.
        target_class_ids: The classes to average over.
        name: As in `Metric`.
        dtype: Type to count in; by default int32, or a float type for fractional weights.
        ignore_class: A label whose pixels do not count, such as 255.
        sparse_y_true: Whether y_true holds class numbers, not one row per pixel.
        sparse_y_pred: Whether y_pred holds class numbers, not one row per pixel.
        axis: The axis of the classes, where there is one.

    Example:
        >>> metric = IoU(num_classes=2, target_class_ids=[0])
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> metric.result()
        tensor(0.3333)
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        owner = type(self).__name__
        if num_classes < 1:
            raise ValueError(
                explain(
                    f"{owner} got num_classes={num_classes!r}.", "Expected 1 or more.", f"{owner}(num_classes=2, ...)"
                )
            )
        targets = [int(number) for number in target_class_ids]
        if not targets or min(targets) < 0 or max(targets) >= num_classes:
            raise ValueError(
                explain(
                    f"{owner} got target_class_ids={list(target_class_ids)}.",
                    f"Expected class numbers from 0 to {num_classes - 1}.",
                    f"{owner}(num_classes={num_classes}, target_class_ids=[0])",
                )
            )
        self.num_classes = num_classes
        self.target_class_ids = targets
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable(
            (num_classes, num_classes), "zeros", dtype=self.dtype, name="total_confusion_matrix"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of pixels; class numbers outside the range are left out.

        Args:
            y_true: Class numbers of any shape, or rows along `axis`.
            y_pred: Class numbers of the same shape, or rows along `axis`.
            sample_weight: One weight per pixel, or one number.
        """
        y_pred = as_tensor(y_pred)
        y_true = as_tensor(y_true, device=y_pred.device)
        if not self.sparse_y_true:
            y_true = y_true.argmax(self.axis)
        if not self.sparse_y_pred:
            y_pred = y_pred.argmax(self.axis)
        if y_true.numel() != y_pred.numel():
            raise ValueError(
                explain(
                    f"{type(self).__name__} got class numbers of shape {tuple(y_true.shape)} in y_true "
                    f"and {tuple(y_pred.shape)} in y_pred.",
                    "Expected one prediction per pixel.",
                    "sparse_y_pred=False, if the model gives one probability per class",
                )
            )
        self._follow(y_pred)
        truth, predicted = y_true.reshape(-1).long(), y_pred.reshape(-1).long()
        counts = self.num_classes
        valid = (truth >= 0) & (truth < counts) & (predicted >= 0) & (predicted < counts)
        if self.ignore_class is not None:
            valid = valid & (truth != self.ignore_class)
        place = torch.where(valid, truth * counts + predicted, 0)
        weights = self._weights(sample_weight, truth)
        weights = torch.where(valid, weights, 0)
        table = torch.zeros(counts * counts, dtype=self._torch_dtype, device=truth.device)
        self.total_cm.add_(table.index_add_(0, place, weights).reshape(counts, counts))

    def _weights(self, sample_weight: Any, truth: torch.Tensor) -> torch.Tensor:
        if sample_weight is None:
            return torch.ones(truth.shape, dtype=self._torch_dtype, device=truth.device)
        weights = as_tensor(sample_weight, device=truth.device)
        if weights.is_floating_point() and not self._torch_dtype.is_floating_point:
            warn(
                f"{type(self).__name__} got sample weights that are not whole numbers.",
                f"Expected whole numbers, because it counts in {self.dtype}; fractions are cut off.",
                f"{type(self).__name__}(..., dtype='float32')",
            )
        weights = weights.to(self._torch_dtype).reshape(-1) if weights.dim() else weights.to(self._torch_dtype)
        return weights.expand(truth.shape)

    def result(self) -> torch.Tensor:
        table = self.total_cm
        hits = table.diagonal()
        union = table.sum(0) + table.sum(1) - hits
        # Each taken by a plain number: indexing by a list would copy it to the device, and wait.
        hits = torch.stack([hits[number] for number in self.target_class_ids]).float()
        union = torch.stack([union[number] for number in self.target_class_ids]).float()
        present = union > 1e-9
        shares = torch.where(present, hits / (union + epsilon()), 0)
        return shares.sum() / (present.sum() + epsilon())

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }
        return {**super().get_config(), **own}

    def _config_without(self, *names: str) -> dict[str, Any]:
        return {key: value for key, value in IoU.get_config(self).items() if key not in names}


class BinaryIoU(IoU):
    """Mean intersection over union of the two sides of a yes-or-no question.

    value = mean over target classes of (both) / (either), with a class of 1 where y_pred >=
    threshold.

    Args:
        target_class_ids: `(0,)`, `(1,)` or `(0, 1)`.
        threshold: Predictions at or above it are ones.
        name, dtype: As in `IoU`.

    Example:
        >>> metric = BinaryIoU(threshold=0.3)
        >>> metric.update_state([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])
        >>> metric.result()
        tensor(0.3333)
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, as_tensor(y_pred) >= self.threshold, sample_weight)

    def get_config(self) -> dict[str, Any]:
        own = {"target_class_ids": self.target_class_ids, "threshold": self.threshold}
        return {"name": self.name, "dtype": self.dtype, **own}


class MeanIoU(IoU):
    """Mean intersection over union of all classes.

    value = mean over classes of TP / (TP + FP + FN).

    Args:
        num_classes: How many classes there are.
        name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis: As in `IoU`.

    Example:
        >>> metric = MeanIoU(num_classes=2)
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> metric.result()
        tensor(0.3333)
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("target_class_ids")


class OneHotIoU(IoU):
    """Mean intersection over union of some classes, with one-hot labels.

    value = mean over target classes of TP / (TP + FP + FN), with classes = argmax of each row.

    Args:
        num_classes: How many classes there are.
        target_class_ids: The classes to average over.
        name, dtype, ignore_class, sparse_y_pred, axis: As in `IoU`.

    Example:
        >>> metric = OneHotIoU(num_classes=2, target_class_ids=[0])
        >>> metric.update_state([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]])
        >>> metric.result()
        tensor(0.5000)
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """Mean intersection over union of all classes, with one-hot labels.

    value = mean over all classes of TP / (TP + FP + FN), with classes = argmax of each row.

    Args:
        num_classes: How many classes there are.
        name, dtype, ignore_class, sparse_y_pred, axis: As in `IoU`.

    Example:
        >>> metric = OneHotMeanIoU(num_classes=2)
        >>> metric.update_state([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]])
        >>> metric.result()
        tensor(0.2500)
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("target_class_ids", "sparse_y_true")
