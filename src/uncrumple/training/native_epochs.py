"""Epochs of a small dense network by few native calls.

What a step of `plan.py` costs, where a network is small, is the way to it
through Python. Where nobody wants to be called at each batch, the native code
goes through the batches by itself: it gathers the rows, in the order that
torch drew, and runs the program of the step on them. The numbers are those of
steps that are done one by one.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import increment_version

from uncrumple.core.errors import explain
from uncrumple.data.batches import ArrayBatches, EndlessEpochs
from uncrumple.kernels import native
from uncrumple.optimizers.adam import ones_minus_powers
from uncrumple.training.plan import Plan

_SMALL = 2_000_000  # multiplications of a step; in a larger one the way through Python does not count
_SECONDS_PER_CALL = 0.1  # Ctrl-C waits for the end of a call
_MANY_UPDATES = 100_000  # so long Adam's corrections are kept for all updates from the first on

_Number, _Real = ctypes.c_int64, ctypes.c_double


class Fed(ctypes.Structure):
    """`Fed` in kernels.cpp: samples, and the programs that work on batches of them. Addresses are numbers here."""

    _names = (
        "samples batch features x y rows x_batch y_batch whole_program last_program whole_length last_length totals"
    )
    _fields_ = [(name, _Number) for name in _names.split()]


class Training(ctypes.Structure):
    """`Training` in kernels.cpp: one of the networks."""

    _fields_ = [
        *[(name, _Number) for name in ("first", "last", "done")],
        ("learned", Fed),
        ("held", Fed),
        *[
            (name, _Number)
            for name in ("order", "random", "seeds", "dropouts", "dropout_count", "settings", "corrections")
        ],
        ("rate", _Real),
        ("decay", _Real),
        *[(name, _Number) for name in ("rates", "log", "failed")],
    ]


ROW = np.dtype(Training)


class Corrections:
    """sqrt(1 - beta_2^t) and 1 - beta_1^t for each update t, as `Plan` computes them."""

    def __init__(self, beta_1: float, beta_2: float, first: int = 0) -> None:
        self.betas, self._first = (beta_1, beta_2), first
        self._values = np.ones((1, 2))

    def up_to(self, update: int) -> np.ndarray:
        """Return (updates + 1, 2), the row of an update at its number, counted from `first` on."""
        beta_1, beta_2 = self.betas
        known = len(self._values)
        if update >= known:
            wanted = range(self._first + known, self._first + max(update + 1, 2 * known))
            more = np.sqrt(ones_minus_powers(beta_2, wanted)), ones_minus_powers(beta_1, wanted)
            self._values = np.concatenate([self._values, np.stack(more, axis=1)])
        return self._values


class PlannedEpochs:
    """The epochs of one plan on one set of batches.

    Args:
        plan: The step, written down.
        batches: What it goes through.
    """

    def __init__(self, plan: Any, batches: ArrayBatches) -> None:
        self.plan, self.batches = plan, batches
        x, y = batches._parts
        self._labels = y.reshape(-1).to(torch.int64).contiguous()
        self._kept: list[Any] = []
        self.row = np.zeros(1, ROW)
        self.row[0]["learned"], self._dropouts = self._fed(x)
        self.row["settings"] = ctypes.addressof(plan._settings)
        self._corrections: Corrections | None = None
        self._pace = 0.0

    def _fed(self, x: torch.Tensor) -> tuple[Any, list[Any]]:
        samples, size, plan = self.batches.samples, self.batches.batch_size, self.plan
        room = min(size, samples)
        x_batch, y_batch = np.empty(room * plan.features, np.float32), np.empty(room, np.int64)
        self._kept += [x, x_batch, y_batch]
        places = [x.data_ptr(), self._labels.data_ptr(), 0, x_batch.ctypes.data, y_batch.ctypes.data]
        fields = [samples, size, plan.features, *places, 0, 0, 0, 0, 0]
        numbers: list[Any] = [None, None]
        layers: list[Any] = []
        for which, count in sizes_of(samples, size):
            sized = plan._sized.get(count) or plan._write(count)
            operations = type(sized.operations).from_buffer_copy(sized.operations)
            for number, argument in sized.inputs:
                operations[number].memory[argument] = fields[6]
            operations[sized.labels].memory[1] = fields[7]
            self._kept += [sized, operations]
            fields[8 + which], fields[10 + which] = ctypes.addressof(operations), len(operations)
            numbers[which] = [both for _, both in sized.dropouts]
            layers = [layer for layer, _ in sized.dropouts]
        table = np.zeros((len(layers), 5), np.int64)
        for place in range(len(layers)):
            for which in (0, 1):
                table[place, 1 + 2 * which : 3 + 2 * which] = (numbers[which] or numbers[1 - which])[place]
        self._kept.append(table)
        self.row["dropouts"], self.row["dropout_count"] = table.ctypes.data, len(layers)
        return tuple(fields), layers

    def run(self) -> int:
        """Do an epoch, or what of it is done when training is to stop; return the number of steps."""
        plan, row, batches = self.plan, self.row, self.batches
        model, optimizer = plan.model, plan.model.optimizer
        steps: int = batches.steps  # type: ignore[assignment]
        order = torch.randperm(batches.samples, device="cpu") if batches.shuffle else None
        row["order"] = 0 if order is None else order.data_ptr()
        seeds = self._seeds(steps)
        row["seeds"] = 0 if seeds is None else seeds.ctypes.data
        plan._begin_update()
        row["decay"] = optimizer.weight_decay or 0.0
        rates = None
        if optimizer._schedule is None:
            row["rate"] = optimizer._current_rate()
        else:
            rates = rates_of(optimizer, steps)
        row["rates"] = 0 if rates is None else rates.ctypes.data
        corrections = self._corrections_of(optimizer, steps)
        row["corrections"] = corrections.ctypes.data
        for weight, gradient in zip(plan._weights, plan._gradients):
            weight.grad = gradient
        done = 0
        try:
            while done < steps and not model.stop_training:
                more = steps if not self._pace else int(_SECONDS_PER_CALL / self._pace)
                more = min(max(more, 1), steps - done, steps if self._pace else 100)
                row["first"], row["last"] = done, done + more
                begin = time.perf_counter()
                self._call()
                self._pace = max((time.perf_counter() - begin) / more, 1e-9)
                done += more
        finally:
            increment_version(plan._weights)
            optimizer._iterations += done
            for metric in plan._counters:
                metric.count_in(min(done * batches.batch_size, batches.samples))
        return done

    def _call(self) -> None:
        try:
            native.call("train_many", self.row.ctypes.data, 1)
        except IndexError:
            raise ValueError(
                explain(
                    "A label in y is not the number of a class.",
                    f"Expected whole numbers from 0 to {self.plan.stages[-1].dense.units - 1}: the last layer has "
                    f"{self.plan.stages[-1].dense.units} units.",
                    "print(y.min(), y.max())",
                )
            ) from None

    def _seeds(self, steps: int) -> np.ndarray | None:
        """Return a seed per step and dropout, from each dropout's generator in the order of the steps."""
        if not self._dropouts:
            return None
        seeds = np.empty((steps, len(self._dropouts)), np.int64)
        sources = [layer._source(self.batches._parts[0]) for layer in self._dropouts]
        for source in {id(source): source for source in sources}.values():
            mine = [place for place, other in enumerate(sources) if other is source]
            drawn = torch.empty(steps * len(mine), dtype=torch.int64, device="cpu").random_(generator=source)
            seeds[:, mine] = drawn.numpy().reshape(steps, len(mine))
        return seeds

    def _corrections_of(self, optimizer: Any, steps: int) -> np.ndarray:
        """Return Adam's corrections; the row of the next update is the second one."""
        betas, update = optimizer._settings["betas"], optimizer._iterations
        if update + steps < _MANY_UPDATES:
            if self._corrections is None or self._corrections.betas != betas:
                self._corrections = Corrections(*betas)
            self.row["done"] = update
            return self._corrections.up_to(update + steps)
        self.row["done"] = 0
        return Corrections(betas[0], betas[1], update).up_to(steps)


def planned_epochs(model: Any, epochs: EndlessEpochs) -> PlannedEpochs | None:
    """Return how a model's epochs can be done natively; None where its steps are to be done one by one."""
    plan = model._plan
    if not isinstance(plan, Plan) or type(epochs) is not EndlessEpochs or epochs._per_epoch is not None:
        return None
    batches = epochs.batches
    if not plan.holds():
        return None
    made = plan.epochs
    if isinstance(made, PlannedEpochs) and made.batches is batches:
        return made
    if type(batches) is not ArrayBatches or not plan._adam or not plan._crossentropy or not _fits(plan, batches):
        return None
    schedule = model.optimizer._schedule
    if schedule is not None and not type(schedule).__module__.startswith("uncrumple."):
        return None  # a schedule of a user's own may look at anything
    compiled = model._compile_metrics
    if plan._accuracy is None and compiled is not None and compiled._entries:
        return None
    plan.epochs = PlannedEpochs(plan, batches)
    return plan.epochs


def _fits(plan: Any, batches: ArrayBatches) -> bool:
    parts = batches._parts
    if len(parts) != 2 or not batches._flat or not isinstance(parts[1], torch.Tensor):
        return False
    x, y = parts
    if type(x) is not torch.Tensor or x.dtype is not torch.float32 or x.device.type != "cpu" or not x.is_contiguous():
        return False
    if type(y) is not torch.Tensor or y.is_floating_point() or y.dtype is torch.bool or y.numel() != batches.samples:
        return False
    multiplications = sum(stage.dense.kernel.numel() for stage in plan.stages) * batches.batch_size * 3
    return bool(batches.samples) and x.numel() == batches.samples * plan.features and multiplications < _SMALL


def rates_of(optimizer: Any, steps: int) -> np.ndarray:
    """Return the learning rate of each of the next steps, as a schedule says them."""
    before, rates = optimizer._iterations, np.empty(steps)
    for step in range(steps):
        optimizer._iterations = before + step
        rates[step] = optimizer._current_rate()
    optimizer._iterations = before
    return rates


def sizes_of(samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Return the sizes of batches that there are: (0, whole ones), (1, the last one).

    Example:
        >>> sizes_of(70, 32)
        [(0, 32), (1, 6)]
    """
    found = [(0, batch_size)] if samples >= batch_size else []
    return found + ([(1, samples % batch_size)] if samples % batch_size else [])
