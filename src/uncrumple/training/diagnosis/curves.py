"""What the losses of the epochs say: overfitting and when it began, and plateaus."""

from __future__ import annotations

import math
from dataclasses import replace

from uncrumple.data.checks.report import figure
from uncrumple.training.diagnosis.finding import Finding
from uncrumple.training.diagnosis.labels import Baseline

# Standard errors of the validation loss that it has to be above its own minimum.
MOST_ERRORS = 2.0
# Epochs in a row that it has to stay there.
_EPOCHS = 3
# As a share of the lowest, and of what a constant answer costs, that it has to be above in any case.
_CLEARLY, _WORTH = 0.1, 0.02
# Share of a constant answer's loss below which something has been learned that can be too much.
_LEARNED = 0.95
PLATEAU_EPOCHS = 10
LEAST_GAIN = 0.01


def overfits(
    losses: list[float], validation: list[float], error: float | None, base: Baseline | None = None
) -> list[Finding]:
    """Return whether the validation loss rises while the training loss falls, and since when.

    Args:
        losses, validation: The losses of the epochs so far.
        error: Standard error of the validation loss; None where it is not known.
        base: The loss of a constant answer, if it is known: what is next to nothing of it is not worth a word.
    """
    if not rises(losses, validation) or (base is not None and losses[-1] > _LEARNED * base.best):
        return []
    best = min(range(len(validation)), key=validation.__getitem__)
    least = validation[best]
    margin = max(MOST_ERRORS * (error or 0.0), _CLEARLY * abs(least), 0.0 if base is None else _WORTH * base.best)
    above = min(validation[-_EPOCHS:]) - least
    if above <= margin:
        return []
    return [
        Finding(
            "overfitting",
            "warning",
            f"Since epoch {best + 1} the validation loss has risen from {figure(least)} to {figure(validation[-1])}, "
            f"while the training loss has fallen from {figure(losses[best])} to {figure(losses[-1])}.",
            above,
            margin,
            "is how far the validation loss has been above its lowest for 3 epochs",
            "What is learned now is about these rows alone, and makes answers for others worse.",
            'callbacks=[EarlyStopping("val_loss", patience=3, restore_best_weights=True)], or Dropout(0.5), or more data',
            details={"began": best},
        )
    ]


def taken_back(finding: Finding) -> Finding:
    """Return what to say of overfitting where EarlyStopping takes the best weights back: that it is no harm."""
    began = finding.details["began"] + 1
    return replace(
        finding,
        severity="note",
        why=f"It costs time only: EarlyStopping takes the weights of epoch {began} back.",
        try_this="a smaller patience=, to stop earlier",
    )


def rises(losses: list[float], validation: list[float]) -> bool:
    """Return whether the last epochs could be overfitting, before standard errors are asked for."""
    if len(validation) <= _EPOCHS or len(losses) != len(validation):
        return False
    if not all(map(math.isfinite, (*losses, *validation))):
        return False
    best = min(range(len(validation)), key=validation.__getitem__)
    return (
        len(validation) - 1 - best >= _EPOCHS
        and losses[-1] < losses[best]
        and min(validation[best + 1 :]) > validation[best]
    )


def plateau(losses: list[float], base: Baseline | None) -> list[Finding]:
    """Return whether the training loss has stood still for many epochs, far above what could be reached."""
    if base is None or len(losses) <= PLATEAU_EPOCHS or not all(map(math.isfinite, losses)):
        return []
    before, since = min(losses[:-PLATEAU_EPOCHS]), min(losses[-PLATEAU_EPOCHS:])
    if since < (1 - LEAST_GAIN) * before or since < 0.5 * base.best:
        return []
    return [
        Finding(
            "plateau",
            "note",
            f"The training loss was {figure(before)} {PLATEAU_EPOCHS} epochs ago and is {figure(since)} at best since then.",
            1 - since / before,
            LEAST_GAIN,
            f"of the loss was gained in {PLATEAU_EPOCHS} epochs",
            "More epochs like these change nothing.",
            "ReduceLROnPlateau(), or a larger network if this loss is not good enough",
        )
    ]
