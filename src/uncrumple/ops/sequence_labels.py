"""Connectionist temporal classification (CTC): labels of sequences without knowing which step each belongs to.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from uncrumple.core.errors import unknown_name
from uncrumple.core.promotion import result_type, torch_type
from uncrumple.ops.recording import group
from uncrumple.ops.tensors import tensors

operation = group("nn")
__all__ = ["ctc_decode", "ctc_loss"]


def _floats(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch_type(result_type(x.dtype, "float32")))


@operation(4, "CTCLoss")
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> torch.Tensor:
    """Return -log(probability of the labels, however they are spread over the steps), one number per sample.

    Args:
        target: (samples, labels) class numbers.
        output: (samples, steps, classes) scores.
        target_length, output_length: (samples), how many labels and steps count.
        mask_index: The class that stands for no label.
    """
    target, output, target_length, output_length = tensors(target, output, target_length, output_length)
    logs = torch.log_softmax(_floats(output), -1).transpose(0, 1)
    if logs.is_meta:  # torch finds no shape for this one
        return logs.new_empty(logs.shape[1])
    return F.ctc_loss(logs, target, output_length, target_length, blank=mask_index, reduction="none")


@operation(2, "CTCDecode")
def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int | None = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the most likely labels of sequences, and scores.

    Args:
        inputs: (samples, steps, classes) scores.
        sequence_lengths: (samples), how many steps count.
        strategy: `"greedy"` (the best class of each step) or `"beam_search"`
            (the labels that are most likely over all ways to spread them).
        beam_width: How many beginnings a beam search keeps.
        top_paths: How many answers a beam search gives.
        merge_repeated: Whether equal neighbours are one label, in the greedy strategy.
        mask_index: The class that stands for no label; None for the last one.

    Returns:
        Labels (answers, samples, steps), filled up with -1, and scores
        (samples, answers): in the greedy strategy minus the sum of the best
        scores, in a beam search log-probabilities.
    """
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(unknown_name("strategy", strategy, ["greedy", "beam_search"]))
    x, lengths = tensors(inputs, sequence_lengths)
    x = _floats(x)
    blank = x.shape[-1] - 1 if mask_index is None else mask_index
    if strategy == "greedy":
        return _greedy(x, lengths, merge_repeated, blank)
    paths, scores = [], []
    for sample, length in zip(torch.log_softmax(x, -1).tolist(), lengths.tolist()):
        best = _beam_search(sample[: int(length)], beam_width, blank)[:top_paths]
        best += [((), -math.inf)] * (top_paths - len(best))
        paths.append([[*path, *[-1] * (x.shape[1] - len(path))] for path, _ in best])
        scores.append([score for _, score in best])
    found = torch.tensor(paths, dtype=torch.int32, device=x.device).transpose(0, 1)
    return found, torch.tensor(scores, dtype=x.dtype, device=x.device)


def _greedy(
    x: torch.Tensor, lengths: torch.Tensor, merge_repeated: bool, blank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    scores, labels = torch.max(x, dim=-1)
    steps = torch.arange(x.shape[1], device=x.device)
    beyond = steps >= lengths.to(x.device)[:, None]
    labels = torch.where(beyond, blank, labels)
    if merge_repeated:
        again = F.pad(labels[:, 1:] == labels[:, :-1], (1, 0))
        labels = torch.where(again, blank, labels)
    # Labels to the front, in their order; the rest is -1.
    none = labels == blank
    order = torch.argsort(none.int(), dim=1, stable=True)
    labels = torch.take_along_dim(torch.where(none, -1, labels), order, dim=1)
    return labels.int()[None], -torch.where(beyond, 0.0, scores).sum(1, keepdim=True)


def _add(one: float, other: float) -> float:
    """Return log(exp(one) + exp(other))."""
    high, low = (one, other) if one >= other else (other, one)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _beam_search(steps: list[list[float]], width: int, blank: int) -> list[tuple[tuple[int, ...], float]]:
    """Return labellings with their log-probabilities, the most likely first.

    Each beginning has two probabilities: that its last step was no label, and
    that it was its last label, which then may go on.
    """
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for logs in steps:
        longer: dict[tuple[int, ...], list[float]] = {}

        def put(path: tuple[int, ...], place: int, score: float, longer: Any = longer) -> None:
            entry = longer.setdefault(path, [-math.inf, -math.inf])
            entry[place] = _add(entry[place], score)

        for path, (quiet, labelled) in beams.items():
            total = _add(quiet, labelled)
            for label, log in enumerate(logs):
                if label == blank:
                    put(path, 0, total + log)
                elif path and label == path[-1]:
                    put(path, 1, labelled + log)
                    put((*path, label), 1, quiet + log)
                else:
                    put((*path, label), 1, total + log)
        ordered = sorted(longer.items(), key=lambda item: -_add(*item[1]))
        beams = {path: (quiet, labelled) for path, (quiet, labelled) in ordered[:width]}
    return sorted(((path, _add(*both)) for path, both in beams.items()), key=lambda item: -item[1])
