"""Counting how often a test part was used, in one program or across many."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from uncrumple.core.errors import explain

FILE = "test_uses.json"


class Seal:
    """Counts uses by fingerprint: in memory, and in a file if a folder is given.

    Args:
        folder: Where the file `test_uses.json` lies; made if it is not there. None keeps counts in memory.

    Example:
        >>> seal = Seal()
        >>> seal.use("rows"), seal.use("rows"), seal.uses("others")
        (1, 2, 0)
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.path = None if folder is None else Path(folder) / FILE
        self._counts: dict[str, int] = {}

    def uses(self, fingerprint: str) -> int:
        """Return how often these rows were used."""
        return self._read().get(fingerprint, 0)

    def use(self, fingerprint: str) -> int:
        """Count a use, and return how many there are now."""
        counts = self._read()
        counts[fingerprint] = counts.get(fingerprint, 0) + 1
        self._counts = counts
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Written beside, and moved: whoever reads finds a whole file.
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{FILE}")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(counts, file, indent=1)
            os.replace(name, self.path)
        return counts[fingerprint]

    def _read(self) -> dict[str, int]:
        if self.path is None or not self.path.is_file():
            return dict(self._counts)
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return {str(name): int(count) for name, count in found.items()}
        except (ValueError, AttributeError, TypeError, OSError) as error:
            raise ValueError(
                explain(
                    f"{self.path} is damaged: {str(error).splitlines()[0]}.",
                    "Expected the counts of uses of test parts.",
                    "remove it, and count from 0",
                )
            ) from None
