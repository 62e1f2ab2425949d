"""Epochs of many dense networks by one native call: each network's steps by one thread, with nothing to wait for.

Each network runs the program that `plan.py` writes for it, on batches that
the native code gathers, with seeds for dropout and orders of samples that it
draws as torch draws them in separate fits: from each network's own state of
torch's generator. Networks need not be alike.
"""

from __future__ import annotations

import ctypes
import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import increment_version

from uncrumple.callbacks.callback_list import CallbackList
from uncrumple.core.errors import explain
from uncrumple.kernels import native
from uncrumple.training.native_epochs import ROW, Corrections, rates_of, sizes_of
from uncrumple.training.plan import Plan
from uncrumple.training.step_writer import StepWriter

# --- torch's random numbers ------------------------------------------------------------------

_WORDS = 624
_STATE_AT, _LEFT_AT, _NEXT_AT = 24, 8, 16  # where they lie in what torch calls the state of a generator, in bytes


def state_of(given: torch.Tensor) -> np.ndarray:
    """Return a state of torch's CPU generator as the kernels read it: 624 words, how many are left, the next one."""
    raw = given.numpy()
    state = np.empty(_WORDS + 2, np.uint32)
    state[:_WORDS] = raw[_STATE_AT : _STATE_AT + 8 * _WORDS].view(np.uint64)
    state[_WORDS] = raw[_LEFT_AT : _LEFT_AT + 4].view(np.uint32)[0]
    state[_WORDS + 1] = raw[_NEXT_AT : _NEXT_AT + 8].view(np.uint64)[0]
    return state


def torchs_state(state: np.ndarray) -> torch.Tensor:
    """Return a state that the kernels have moved on as torch wants it."""
    given = torch.Generator().get_state()
    raw = given.numpy()
    raw[_STATE_AT : _STATE_AT + 8 * _WORDS].view(np.uint64)[:] = state[:_WORDS]
    raw[_LEFT_AT : _LEFT_AT + 4].view(np.uint32)[0] = state[_WORDS]
    raw[_NEXT_AT : _NEXT_AT + 8].view(np.uint64)[0] = state[_WORDS + 1]
    return given


@functools.cache
def draws_like_torch() -> bool:
    """Return whether the kernels draw what torch draws: another version of torch might do it in another way."""
    if not native.available():
        return False
    generator = torch.Generator().manual_seed(7)
    if generator.get_state().numel() < _STATE_AT + 8 * _WORDS:
        return False
    state = state_of(generator.get_state())
    for count in (1, 5, 700):
        order, seed = _drawn(state, count)
        if order != torch.randperm(count, generator=generator, device="cpu").tolist():
            return False
        if seed != int(torch.empty((), dtype=torch.int64, device="cpu").random_(generator=generator)):
            return False
    generator.set_state(torchs_state(state))
    return _drawn(state, 99)[0] == torch.randperm(99, generator=generator, device="cpu").tolist()


def _drawn(state: np.ndarray, count: int) -> tuple[list[int], int]:
    """Return an order of `count` numbers and a seed."""
    order, seed = np.empty(count, np.int64), np.empty(1, np.int64)
    native.call("draw", state.ctypes.data, count, order.ctypes.data, seed.ctypes.data)
    return order.tolist(), int(seed[0])


# --- the networks ----------------------------------------------------------------------------------


@dataclass
class Samples:
    """Rows of arrays: x (float32), the numbers of the classes (int64), and which rows; None for all."""

    x: torch.Tensor
    y: torch.Tensor
    rows: torch.Tensor | None

    @property
    def count(self) -> int:
        return len(self.x) if self.rows is None else len(self.rows)


class Network:
    """One of the networks: its programs, and the memory that they work on.

    Args:
        plan: Its planned step.
        learned: What it learns from.
        held: What it is tried on after each epoch, or None.
        batch_size: Samples per batch.
        shuffle: Whether each epoch goes through the samples in a new order.
        random_state: Of torch's generator, from which orders and dropout are drawn.
        callbacks: Its callbacks.
    """

    def __init__(
        self,
        plan: Plan,
        learned: Samples,
        held: Samples | None,
        batch_size: int,
        shuffle: bool,
        random_state: torch.Tensor,
        callbacks: CallbackList,
    ) -> None:
        self.plan, self.model, self.callbacks = plan, plan.model, callbacks
        self.learned, self.held = learned, held
        self.steps = -(-learned.count // batch_size)
        # Whether nothing but the learning rate can change between epochs.
        self.settled = False
        self.random = state_of(random_state)
        self.totals = np.zeros(4, np.float32)
        self._kept: list[Any] = []
        self.row = np.zeros(1, ROW)
        row = self.row[0]
        self._dropped: dict[int, tuple[Any, np.ndarray]] = {}
        row["learned"], row["dropouts"], row["dropout_count"] = self._fed(learned, batch_size)
        if held is not None:
            row["held"] = self._tried(held, batch_size)
        if shuffle:
            row["order"] = self._new(np.empty(learned.count, np.int64))
        row["random"] = self.random.ctypes.data
        row["settings"] = ctypes.addressof(plan._settings)
        for weight, gradient in zip(plan._weights, plan._gradients):
            weight.grad = gradient
        self.follow_optimizer()

    def _new(self, array: np.ndarray) -> int:
        """Keep an array, and return where it lies."""
        self._kept.append(array)
        return array.ctypes.data

    def _batches(self, samples: Samples, batch_size: int, totals: np.ndarray) -> list[int]:
        """Return the first fields of `Fed`, and those that hold what programs share."""
        features = samples.x.numel() // len(samples.x)
        room = min(batch_size, samples.count)
        rows = 0 if samples.rows is None else samples.rows.data_ptr()
        x_batch, y_batch = self._new(np.empty(room * features, np.float32)), self._new(np.empty(room, np.int64))
        places = [samples.x.data_ptr(), samples.y.data_ptr(), rows, x_batch, y_batch]
        return [samples.count, batch_size, features, *places, 0, 0, 0, 0, totals.ctypes.data]

    def _fed(self, samples: Samples, batch_size: int) -> tuple[Any, int, int]:
        fields = self._batches(samples, batch_size, self.totals)
        numbers: dict[int, list[tuple[int, ...]]] = {0: [], 1: []}
        for which, size in sizes_of(samples.count, batch_size):
            sized = self.plan._sized.get(size) or self.plan._write(size)
            operations = type(sized.operations).from_buffer_copy(sized.operations)
            for number, argument in sized.inputs:
                operations[number].memory[argument] = fields[6]
            loss = operations[sized.labels]
            loss.memory[1], loss.memory[3] = fields[7], fields[12]
            loss.memory[4] = fields[12] + 4 if self.plan._accuracy is not None else None
            self._kept += [sized, operations]
            fields[8 + which], fields[10 + which] = ctypes.addressof(operations), len(operations)
            numbers[which] = [both for _, both in sized.dropouts]
            layers = [layer for layer, _ in sized.dropouts]
        if not numbers[0]:
            numbers[0] = numbers[1]
        table = np.zeros((len(layers), 5), np.int64)
        for place, layer in enumerate(layers):
            table[place, 0] = self._random_of(layer).ctypes.data
            for which in (0, 1):
                if numbers[which]:
                    table[place, 1 + 2 * which : 3 + 2 * which] = numbers[which][place]
        return tuple(fields), self._new(table), len(layers)

    def _random_of(self, layer: Any) -> np.ndarray:
        """Return the state that a dropout draws from: its own, or that of the whole network."""
        generator = layer._source(self.learned.x)
        if generator is None:
            return self.random
        if id(layer) not in self._dropped:
            self._dropped[id(layer)] = generator, state_of(generator.get_state())
        return self._dropped[id(layer)][1]

    def _tried(self, samples: Samples, batch_size: int) -> Any:
        totals = torch.from_numpy(self.totals[2:])
        fields = self._batches(samples, batch_size, self.totals[2:])
        stages = [stage._replace(dropout=None) for stage in self.plan.stages]
        for which, size in sizes_of(samples.count, batch_size):
            writer = StepWriter(size, stages)
            for index in range(len(stages)):
                writer.forward(index)
            labels = writer.crossentropy([totals[:1], totals[1:]] if self.plan._accuracy is not None else [totals[:1]])
            operations = writer.made.finish()
            for number, argument in writer.inputs:
                operations[number].memory[argument] = fields[6]
            operations[labels].memory[1] = fields[7]
            self._kept += [writer, operations]
            fields[8 + which], fields[10 + which] = ctypes.addressof(operations), len(operations)
        return tuple(fields)

    def follow_optimizer(self) -> None:
        """Take over what the optimizer's settings are now."""
        optimizer, settings, row = self.model.optimizer, self.plan._settings, self.row[0]
        settings.beta_1, settings.beta_2 = optimizer._settings["betas"]
        settings.epsilon = optimizer.epsilon
        row["decay"] = optimizer.weight_decay or 0.0

    def leave(self) -> None:
        """Leave metrics and generators as a fit of its own would."""
        samples = self.learned if self.held is None else self.held
        for metric, total in zip(self.plan._counters, self.totals[0 if self.held is None else 2 :].tolist()):
            metric.reset_state()
            metric.total.fill_(total)
            metric.count_in(samples.count)
        for generator, state in self._dropped.values():
            generator.set_state(torchs_state(state))


class Crew:
    """Networks that are trained together; those that have finished leave.

    Args:
        networks: All of them.
        most_epochs: How many epochs one call may do.
    """

    def __init__(self, networks: list[Network], most_epochs: int) -> None:
        self.networks = networks
        self._log = np.zeros((len(networks), most_epochs, 4), np.float32)
        self._corrections: dict[tuple[float, float], Corrections] = {}
        self._rates: dict[int, np.ndarray] = {}
        self._pace = 0.0  # seconds per step of one network
        for number, network in enumerate(networks):
            network.row["log"] = self._log[number].ctypes.data
        self._gather()

    def _gather(self) -> None:
        """Put the fields of all networks side by side, as the kernel reads them."""
        rows = [network.row for network in self.networks]
        self._rows = np.frombuffer(bytearray().join(row.tobytes() for row in rows), ROW)
        self._places = [int((row["log"][0] - self._log.ctypes.data) // self._log[0].nbytes) for row in rows]
        self._steps = np.array([network.steps for network in self.networks])
        counts = [(one.learned.count, 1 if one.held is None else one.held.count) for one in self.networks]
        self._counts = np.repeat(np.array(counts, np.float32).reshape(-1, 2), 2, axis=1)

    def keep(self, networks: list[Network]) -> None:
        """Go on with these alone."""
        self.networks = networks
        self._gather()

    def epochs_within(self, seconds: float, most: int) -> int:
        """Return how many epochs, at least one, will take about so long."""
        if not self._pace:
            return 1
        return max(1, min(most, int(seconds / (self._pace * int(self._steps.sum())))))

    def begin(self, epochs: int) -> None:
        """Prepare so many epochs: learning rates, and what callbacks may have changed."""
        rows, optimizers = self._rows, [network.model.optimizer for network in self.networks]
        for place, network in enumerate(self.networks):
            if not network.settled:
                network.follow_optimizer()
                rows[place] = network.row[0]
        rows["done"] = [optimizer._iterations for optimizer in optimizers]
        rows["rate"] = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        last = int((rows["done"] + epochs * self._steps).max())
        betas = [optimizer.param_groups[0]["betas"] for optimizer in optimizers]
        places = {}
        for pair in set(betas):
            if pair not in self._corrections:
                self._corrections[pair] = Corrections(*pair)
            places[pair] = self._corrections[pair].up_to(last).ctypes.data
        rows["corrections"] = [places[pair] for pair in betas]
        self._rates = {}
        for place, optimizer in enumerate(optimizers):
            if optimizer._schedule is not None:
                self._rates[place] = rates_of(optimizer, epochs * self.networks[place].steps)
                rows["rates"][place] = self._rates[place].ctypes.data
        self._epochs = epochs
        self._done = np.zeros(len(self.networks), np.int64)
        self._total = epochs * self._steps

    @property
    def finished(self) -> bool:
        """Whether all that `begin` prepared is done."""
        return bool((self._done >= self._total).all())

    def run(self, seconds: float) -> None:
        """Do as many of the steps as will take about so long, and at least one of each network.

        Raises:
            ValueError: A label is not the number of a class.
        """
        rows, total = self._rows, int(self._total.sum())
        # How long a step takes is not known at first: then one of each.
        share = seconds / (self._pace * total) if self._pace else 0.0
        more = np.maximum(1, np.ceil(self._total * share).astype(np.int64))
        rows["first"] = self._done
        rows["last"] = self._done = np.minimum(self._total, self._done + more)
        started = time.perf_counter()
        try:
            native.call("train_many", rows.ctypes.data, len(rows))
        except IndexError:
            raise ValueError(
                explain(
                    "A label in y is not the number of a class.",
                    "Expected whole numbers from 0 up to the units of the last layer less 1.",
                    "print(y.min(), y.max())",
                )
            ) from None
        self._pace = (time.perf_counter() - started) / max(1, int((rows["last"] - rows["first"]).sum()))

    def end(self) -> tuple[np.ndarray, list[int]]:
        """Count the steps in the optimizers.

        Returns:
            (networks, epochs, 4): loss, share of right answers, and both on the held-back samples; and how many of
            these epochs each network has finished.
        """
        for network, done in zip(self.networks, self._done.tolist()):
            network.model.optimizer._iterations += done
            increment_version(network.plan._weights)
        values = self._log[self._places, : self._epochs] / self._counts[:, None]
        return values, (self._done // self._steps).tolist()
