"""What `attribute` returns, whatever it was asked about: maps, the control's maps, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uncrumple.data.checks.report import Finding
from uncrumple.explain.attribution.control import OTHER, SAME, in_percent, rank_correlation, verdict
from uncrumple.explain.attribution.methods import KINDS, WORDS
from uncrumple.explain.attribution.style import Result, number

# Integrated gradients that miss more than this share of the score's change want more steps.
LARGEST_GAP = 0.05


@dataclass
class Attribution(Result):
    """What an answer rests on, row by row and method by method, beside the maps of an untrained network.

    Args:
        maps: By method, a map for each row: above 0 what speaks for the answer, below what speaks against it.
        control: The same of the same architecture with freshly drawn weights.
        targets: Which answer is explained, for each row.
        shares: The network's answers: probabilities, or values; (rows, columns).
        names: Names of the answers.
        gaps: For integrated gradients, for each row: by which share of the score's change the map's sum misses it.
        steps: Of integrated gradients.
        compared: What the inputs are compared with, in words.
        thing: What a row is: `"picture"`, `"text"` or `"row"`.
        remarks: What a reader must know.

    Attributes:
        alike_rows: By method, the rank correlation of the sizes of both maps, for each row.
        alike: By method, its mean.
        agreement: By pair of methods of different kinds, the mean rank correlation of their maps.
    """

    maps: dict[str, Any]
    control: dict[str, Any]
    targets: np.ndarray
    shares: np.ndarray
    names: tuple[str, ...]
    gaps: np.ndarray | None = None
    steps: int = 32
    compared: str = "zeros"
    thing: str = "row"
    remarks: tuple[str, ...] = ()
    is_classifier: bool = True
    alike_rows: dict[str, np.ndarray] = field(init=False)
    alike: dict[str, float] = field(init=False)
    agreement: dict[tuple[str, str], float] = field(init=False)
    findings: tuple[Finding, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.alike_rows = {
            method: np.array([rank_correlation(one, other) for one, other in zip(maps, self.control[method])])
            for method, maps in self.maps.items()
        }
        self.alike = {method: _mean(rows) for method, rows in self.alike_rows.items()}
        names = list(self.maps)
        self.agreement = {
            (one, other): _mean([rank_correlation(a, b) for a, b in zip(self.maps[one], self.maps[other])])
            for place, one in enumerate(names)
            for other in names[place + 1 :]
            if KINDS[one] != KINDS[other]
        }
        self.findings = tuple(self._found())

    def verdict(self, method: str) -> str:
        """Return in a sentence what the likeness of a method's maps to the untrained network's means."""
        return verdict(WORDS[method], self.alike[method], self.thing)

    def _found(self) -> list[Finding]:
        found = []
        for method, likeness in self.alike.items():
            severity: Any = "warning" if np.isnan(likeness) or likeness >= SAME else "note"
            found.append(
                Finding(
                    f"like-untrained-{method.replace('_', '-')}",
                    severity,
                    self.verdict(method),
                    likeness,
                    SAME,
                    "rank correlation with the untrained network's map",
                    "A map that an untrained network gives as well cannot show what was learnt.",
                    "trust what methods of different kinds agree on, and test it: counterfactual_stamp for pictures"
                    if likeness >= SAME
                    else "a map that differs from the control's is not right for that: compare the methods",
                )
            )
        if self.gaps is not None:
            worst = float(np.max(self.gaps))
            found.append(
                Finding(
                    "completeness",
                    "warning" if worst > LARGEST_GAP else "note",
                    f"Integrated gradients add up to the change of the score to {100 * worst:.1f} % at worst.",
                    worst,
                    LARGEST_GAP,
                    "share of the score's change that the sum misses",
                    "Beyond the limit the map is not yet that of the network: the way was walked in too few steps.",
                    f"steps={4 * self.steps}",
                )
            )
        return found

    @property
    def title(self) -> str:
        shown = [self.verdict(method) for method in self.alike]
        worst = [one for one, likeness in zip(shown, self.alike.values()) if not likeness < SAME]
        best = sorted(self.alike, key=lambda method: self.alike[method])
        # One that is empty for some rows says nothing of them.
        full = [method for method in best if not np.isnan(self.alike_rows[method]).any()]
        learnt = [method for method in full if self.alike[method] < OTHER]
        chosen = worst[:1] or shown[:1]
        sentence = chosen[0][0].upper() + chosen[0][1:]
        if worst and learnt:
            sentence = (
                f"{sentence[:-1]}; {WORDS[learnt[0]]} {in_percent(self.alike[learnt[0]])}: that depends on the weights."
            )
        return sentence

    def name_of(self, row: int) -> str:
        """Return the name of the answer that a row's maps are about."""
        target = int(self.targets[row])
        return self.names[target] if target < len(self.names) else f"output {target}"

    def sureness(self, row: int) -> str:
        """Return what the network gives the answer, in words."""
        values, target = self.shares[row], int(self.targets[row])
        if not self.is_classifier:
            return number(float(values[min(target, len(values) - 1)]))
        if len(values) == 1:
            share = float(values[0] if target else 1 - values[0])
        else:
            share = float(values[target])
        if not 0 <= share <= 1:
            return f"score {number(share)}"
        if 0.999 < share < 1:
            return ">99.9 %"
        return f"{100 * share:.0f} %" if 0.005 < share < 0.995 or share in (0.0, 1.0) else f"{100 * share:.1f} %"

    def about(self) -> list[str]:
        """Return lines on the methods: likeness, completeness, agreement."""
        lines = [self.verdict(method) for method in self.alike]
        lines = [f"- {line[0].upper()}{line[1:]}" for line in lines]
        if self.gaps is not None:
            lines.append(
                f"- Completeness of integrated gradients ({self.steps} steps): the sum misses the change of the score by "
                f"{100 * float(np.median(self.gaps)):.2f} % (median), {100 * float(np.max(self.gaps)):.2f} % at worst."
            )
        for (one, other), value in self.agreement.items():
            if not np.isnan(value):
                first = WORDS[one][0].upper() + WORDS[one][1:]
                lines.append(f"- {first} and {WORDS[other]} agree by {value:.2f} (rank correlation).")
        for method, maps in self.maps.items():
            empty = sum(not np.any(one) for one in maps if np.size(one))
            if empty:
                lines.append(f"- {WORDS[method][0].upper()}{WORDS[method][1:]} is empty for {empty} of {len(maps)}.")
        lines.append(f"- Compared with {self.compared}.")
        return lines

    def to_dict(self) -> dict[str, Any]:
        return {
            "methods": list(self.maps),
            "alike": self.alike,
            "agreement": {f"{one} and {other}": value for (one, other), value in self.agreement.items()},
            "gaps": self.gaps,
            "targets": [self.name_of(row) for row in range(len(self.targets))],
            "answers": self.shares,
            "maps": dict(self.maps),
            "control": dict(self.control),
            "compared": self.compared,
            "findings": list(self.findings),
            "remarks": list(self.remarks),
        }


def _mean(values: Any) -> float:
    there = [one for one in values if not np.isnan(one)]
    return float(np.mean(there)) if there else float("nan")
