"""Sharing the work of `fit` and `evaluate` among processes, where a `DataParallel` is set.

Every process runs the same loop over its rows of each batch. What has to be
the same everywhere is made so: the weights before training, the order of the
samples in each epoch, the gradients before each update (one `all_reduce` of
all of them, weighted by the rows they come from), moving averages after each
epoch, and the numbers that metrics have counted, when an epoch's are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from uncrumple import distribution
from uncrumple.core import tree
from uncrumple.core.errors import explain
from uncrumple.data.batches import EndlessEpochs


def is_shared() -> bool:
    """Return whether work is to be shared with other processes.

    Example:
        >>> is_shared()
        False
    """
    return distribution.distribution() is not None and distribution.process_count() > 1


def shared_work(model: Any, *, learn: bool) -> SharedWork | None:
    """Return how the work on a model is shared; None where it is not.

    Raises:
        RuntimeError: A `DataParallel` over several devices is set, and they are not one per joined process.
    """
    current = distribution.distribution()
    if current is None:
        return None
    wanted, there = current.num_model_replicas, distribution.process_count()
    if wanted != there:
        raise RuntimeError(
            explain(
                f"DataParallel has {wanted} device{'s' * (wanted != 1)}, and {there} process{'es' * (there != 1)} "
                f"{'are' if there != 1 else 'is'} there.",
                "Expected one process per device: torch runs them so.",
                f"torchrun --nproc-per-node {wanted} program.py, and keras.distribution.initialize() in it",
            )
        )
    return SharedWork(model, current.auto_shard_dataset, learn) if there > 1 else None


def quiet_elsewhere(verbose: Any) -> Any:
    """Return what process 0 shows, and 0 in the others."""
    return 0 if is_shared() and distribution.process_number() else verbose


class SharedWork:
    """This process's part; a context within which the optimizer averages gradients before each step.

    Args:
        model: The model, compiled and built.
        split: Whether every process is given the same batches, and takes its rows of them.
        learn: Whether weights will be changed.
    """

    def __init__(self, model: Any, split: bool, learn: bool) -> None:
        self.model, self.split, self.learn = model, split, learn
        self.number, self.count = distribution.process_number(), distribution.process_count()
        self.rows = 0  # of the batch that gradients come from
        self._hook: Any = None

    def __enter__(self) -> SharedWork:
        if self.learn:
            if not hasattr(self.model.optimizer, "register_step_pre_hook"):
                raise TypeError(
                    explain(
                        f"{type(self.model.optimizer).__name__} cannot share its work with other processes.",
                        "Expected an optimizer that torch can put a hook on.",
                        "an optimizer of uncrumple.optimizers or torch.optim",
                    )
                )
            for weight in [*self.model.weights, *self._optimizer_variables()]:
                distribution.together(torch.distributed.broadcast, weight.detach(), src=0)
            self._hook = self.model.optimizer.register_step_pre_hook(lambda *_: self.average_gradients())
        return self

    def __exit__(self, *_: Any) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _optimizer_variables(self) -> list[Any]:
        return [one for one in getattr(self.model.optimizer, "variables", []) if isinstance(one, torch.Tensor)]

    # --- data ------------------------------------------------------------------------

    def share_of(self, batches: EndlessEpochs) -> Any:
        """Return batches with this process's rows."""
        steps = [torch.zeros(1) for _ in range(self.count)]
        distribution.together(
            torch.distributed.all_gather, steps, torch.tensor([float(-1 if batches.steps is None else batches.steps)])
        )
        each = [int(one) for one in steps]
        if len(set(each)) > 1:
            raise ValueError(
                explain(
                    f"The processes have {', '.join('?' if one < 0 else str(one) for one in each)} batches per epoch.",
                    "Expected as many in each: they average their gradients after every one.",
                    "steps_per_epoch=..., or the same data everywhere and auto_shard_dataset=True",
                )
            )
        return _Share(self, batches)

    # --- numbers ---------------------------------------------------------------------

    def average_gradients(self) -> None:
        """Replace each gradient by the mean over all rows of all processes."""
        weights = [weight for group in self.model.optimizer.param_groups for weight in group["params"]]
        weights = [weight for weight in weights if weight.requires_grad]
        if not weights:
            return
        kind = torch.float64 if any(weight.dtype is torch.float64 for weight in weights) else torch.float32
        # A weight that had no part in the loss here may have had one elsewhere: its gradient counts for these rows.
        parts = [torch.tensor([float(self.rows)], dtype=kind, device=weights[0].device)]
        parts += [weight.new_tensor([0.0 if weight.grad is None else 1.0], dtype=kind) for weight in weights]
        for weight in weights:
            zeros = weight.grad is None or not self.rows
            gradient = torch.zeros_like(weight) if zeros else weight.grad
            assert gradient is not None
            parts.append(gradient.detach().reshape(-1).to(kind) * self.rows)
        whole = torch.cat(parts)
        distribution.together(torch.distributed.all_reduce, whole)
        rows, seen, sums = whole[0], whole[1 : 1 + len(weights)], whole[1 + len(weights) :]
        means = (sums / rows.clamp(min=1)).split([weight.numel() for weight in weights])
        for weight, mean, times in zip(weights, means, seen.tolist()):
            if times:
                weight.grad = mean.view(weight.shape).to(weight.dtype)

    def settle(self) -> None:
        """Average what is not trained and yet moves, such as the moving averages of batch normalization."""
        moving = [w.detach() for w in self.model.weights if not w.requires_grad and w.is_floating_point()]
        if moving:
            whole = torch.cat([one.reshape(-1).double() for one in moving])
            distribution.together(torch.distributed.all_reduce, whole)
            for one, mean in zip(moving, (whole / self.count).split([one.numel() for one in moving])):
                one.copy_(mean.view(one.shape))

    @torch.no_grad()
    def metrics_result(self) -> dict[str, Any]:
        """Return what the metrics say of the samples of all processes; each keeps what it has counted itself."""
        states = [variable.detach() for metric in self.model.metrics for variable in metric.variables]
        states = list({one.data_ptr(): one for one in states if one.numel()}.values())
        own = [one.clone() for one in states]
        if states:
            whole = torch.cat([one.reshape(-1).double() for one in states])
            distribution.together(torch.distributed.all_reduce, whole)
            for one, total in zip(states, whole.split([one.numel() for one in states])):
                one.copy_(total.view(one.shape))
        try:
            found = self.model.get_metrics_result()
            return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in found.items()}
        finally:
            for one, value in zip(states, own):
                one.copy_(value)

    def mean_of(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Return the mean over the processes of numbers that a step of the user's returned."""
        values = torch.tensor([float(value) for value in logs.values()], dtype=torch.float64)
        distribution.together(torch.distributed.all_reduce, values)
        return dict(zip(logs, (values / self.count).tolist()))


class _Share:
    """Epochs of which each process gets its rows of every batch."""

    def __init__(self, work: SharedWork, batches: EndlessEpochs) -> None:
        self._work, self._batches = work, batches
        self.steps = batches.steps

    def restart(self) -> None:
        self._batches.restart()

    def epoch(self) -> Iterator[Any]:
        work, running = self._work, iter(self._batches.epoch())
        batch: Any
        if not work.split:
            for batch in running:
                work.rows = _rows(batch)
                yield batch
            return
        batch = _in_step(running)
        while batch is not None:
            rows = _rows(batch)
            if rows < work.count and not work.rows:
                raise ValueError(
                    explain(
                        f"A batch of {rows} samples came, and {work.count} processes share it.",
                        "Expected at least one sample for each.",
                        f"batch_size={work.count} or more: it is that of all processes together",
                    )
                )
            start, stop = (rows * number // work.count for number in (work.number, work.number + 1))
            if rows < work.count:  # the last, small batch of an epoch
                start, stop = min(work.number, rows), min(work.number + 1, rows)
            if stop > start:
                work.rows = stop - start
                yield tree.map_structure(lambda leaf: None if leaf is None else leaf[start:stop], batch)  # noqa: B023
            elif work.learn:
                work.rows = 0
                work.model.optimizer.zero_grad()
                work.model.optimizer.step()  # the others wait for the gradients of no row
                work.rows = 1
            batch = next(running, None)


def _in_step(running: Iterator[Any]) -> Any:
    """Return the first batch of an epoch, drawn with the random state of process 0: so all have the same order."""
    own = torch.get_rng_state()
    agreed = own.clone()
    distribution.together(torch.distributed.broadcast, agreed, src=0)
    torch.set_rng_state(agreed)
    try:
        return next(running, None)
    finally:
        if distribution.process_number():
            torch.set_rng_state(own)


def _rows(batch: Any) -> int:
    leaf = next(leaf for leaf in tree.flatten(batch) if isinstance(leaf, torch.Tensor))
    return int(leaf.shape[0])
