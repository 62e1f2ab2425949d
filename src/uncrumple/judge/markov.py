"""A Markov chain over symbols: what a language model has to beat.

It guesses the next symbol from how often each has followed the last few. How many
it looks back is chosen on the end of the training text.
"""

from __future__ import annotations

import time

import numpy as np

from uncrumple.core.errors import explain
from uncrumple.judge.baselines import FREQUENCIES, MARKOV, Cost

_HELD_BACK = 0.1
# Seconds per symbol and order to look back, search and fit together.
_SECONDS_FOR_SYMBOL = 1e-6


class MarkovChain:
    """An n-gram model with Witten-Bell smoothing.

    `P(w | c) = (count(c, w) + T(c) P(w | c shortened)) / (count(c) + T(c))`, where `T(c)` is how many
    different symbols have followed `c`; with no context left, `1 / symbols` takes the place of the
    shorter one. So every symbol has some probability.

    Source: I. Witten and T. Bell, 1991, The zero-frequency problem.

    Args:
        order: How many symbols to look back, 0 or more.
        symbols: How many symbols there are; they are whole numbers from 0.

    Example:
        >>> text = np.tile([0, 1, 2], 50)
        >>> windows = np.lib.stride_tricks.sliding_window_view(text[:-1], 4)
        >>> chain = MarkovChain(2, 3).fit(windows, text[4:])
        >>> bool(chain.bits(windows, text[4:]).mean() < 0.1)
        True
    """

    def __init__(self, order: int, symbols: int) -> None:
        # A context is one 64-bit number: `order` digits to the base `symbols + 1`.
        most = int(62 / np.log2(symbols + 1)) - 1 if symbols > 0 else 0
        if symbols < 1 or not 0 <= order <= most:
            raise ValueError(
                explain(
                    f"MarkovChain got order={order} and symbols={symbols}.",
                    f"Expected at least one symbol, and an order from 0 to {max(0, most)} for so many.",
                    "MarkovChain(order=3, symbols=65)",
                )
            )
        self.order, self.symbols = order, symbols
        self._tables: list[tuple[np.ndarray, ...]] = []

    def fit(self, contexts: np.ndarray, targets: np.ndarray) -> MarkovChain:
        """Count what follows what.

        Args:
            contexts: What comes before, oldest first, of shape (rows, length); -1 stands for nothing.
            targets: What follows, of shape (rows,).
        """
        self._tables = []
        wanted = np.asarray(targets, np.int64)
        for order in range(self.order + 1):
            codes = self._codes(contexts, order)
            known, of_row = np.unique(codes, return_inverse=True)
            pairs, counts = np.unique(of_row * self.symbols + wanted, return_counts=True)
            sums = np.bincount(of_row, minlength=len(known))
            kinds = np.bincount(pairs // self.symbols, minlength=len(known))
            self._tables.append((known, sums, kinds, pairs, counts))
        return self

    def bits(self, contexts: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return `-log2 P(target | context)` of each row."""
        return self.bits_by_order(contexts, targets)[-1]

    def bits_by_order(self, contexts: np.ndarray, targets: np.ndarray) -> list[np.ndarray]:
        """Return the same for each chain that looks back less far: of order 0, 1, ... up to this one's."""
        wanted = np.asarray(targets, np.int64)
        share = np.full(len(wanted), 1 / self.symbols)
        found = []
        for order, (known, sums, kinds, pairs, counts) in enumerate(self._tables):
            codes = self._codes(contexts, order)
            place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
            seen = known[place] == codes
            pair = place * self.symbols + wanted
            at = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
            count = np.where(seen & (pairs[at] == pair), counts[at], 0)
            total, different = np.where(seen, sums[place], 0), np.where(seen, kinds[place], 1)
            share = (count + different * share) / (total + different)
            found.append(-np.log2(share))
        return found

    @property
    def size_bytes(self) -> int:
        """The memory of its counts."""
        return sum(array.nbytes for table in self._tables for array in table)

    def _codes(self, contexts: np.ndarray, order: int) -> np.ndarray:
        given = np.asarray(contexts)
        codes = np.zeros(len(given), np.int64)
        for back in range(order, 0, -1):
            symbol = given[:, -back] if back <= given.shape[1] else np.full(len(given), -1)
            codes = codes * (self.symbols + 1) + symbol.astype(np.int64) + 1
        return codes


def pairs_of(x: np.ndarray, y: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (contexts, targets, row of each) from windows of symbols, whether one or all next symbols are asked.

    Args:
        x: Windows of shape (rows, length).
        y: The symbol after each window, of shape (rows,); or after each place of it, of shape (rows, length).
        longest: How many symbols of context to return.

    Example:
        >>> contexts, targets, rows = pairs_of(np.array([[5, 6, 7]]), np.array([[6, 7, 8]]), 2)
        >>> contexts.tolist(), targets.tolist(), rows.tolist()
        ([[-1, 5], [5, 6], [6, 7]], [6, 7, 8], [0, 0, 0])
    """
    windows, wanted = np.asarray(x), np.asarray(y)
    if wanted.ndim == 2 and wanted.shape[1] == 1 and windows.shape[1] != 1:
        wanted = wanted[:, 0]
    if windows.ndim != 2 or wanted.shape not in ((len(windows),), windows.shape):
        raise ValueError(
            explain(
                f"Judging language got windows of shape {windows.shape} and targets of shape {wanted.shape}.",
                "Expected (rows, length) symbols, and (rows,) or (rows, length) of what follows.",
                "x[i] = text[i:i + 40], y[i] = text[i + 40]",
            )
        )
    padded = np.concatenate([np.full((len(windows), longest), -1, np.int64), windows.astype(np.int64)], axis=1)
    if wanted.ndim == 1:
        return padded[:, padded.shape[1] - longest :], wanted.astype(np.int64), np.arange(len(windows))
    length = windows.shape[1]
    contexts = np.stack([padded[:, place + 1 : place + 1 + longest] for place in range(length)], axis=1)
    return (
        contexts.reshape(-1, longest),
        wanted.reshape(-1).astype(np.int64),
        np.repeat(np.arange(len(windows)), length),
    )


def fit_markov(
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    symbols: int,
    most: int = 8,
    budget_seconds: float = 60.0,
) -> dict[str, tuple[np.ndarray, Cost]]:
    """Fit the frequencies of the symbols and a Markov chain; return the mean bits of each test row, and the cost.

    Args:
        x_train, y_train: Windows and what follows, as the network saw them.
        x_test, y_test: The test rows.
        symbols: How many symbols there are.
        most: The longest context to try.
        budget_seconds: About how long it may take; of a text that would take longer, the last rows
            are learnt from, and the cost says how many.

    Example:
        >>> text = np.tile([0, 1, 2], 60)
        >>> x, y = np.lib.stride_tricks.sliding_window_view(text[:-1], 4), text[4:]
        >>> found = fit_markov(x, y, x[:30], y[:30], 3)
        >>> [(name, round(float(bits.mean()), 1)) for name, (bits, cost) in found.items()]
        [('symbol frequencies', 1.6), ('Markov chain', 0.0)]
    """
    longest = max(1, min(most, int(62 / np.log2(symbols + 1)) - 1, np.asarray(x_train).shape[1]))
    given = len(np.asarray(x_train))
    used = _rows_within(given, np.asarray(y_train).size, longest, budget_seconds)
    contexts, targets, _ = pairs_of(np.asarray(x_train)[given - used :], np.asarray(y_train)[given - used :], longest)
    cut = (
        (f"fitted on the last {used:,} of {given:,} rows to stay within {budget_seconds:g} s",) if used < given else ()
    )
    tested, wanted, of_row = pairs_of(x_test, y_test, longest)
    rows = len(np.asarray(x_test))
    found = {}
    for name in (FREQUENCIES, MARKOV):
        start = time.perf_counter()
        order, how = 0, ""
        if name == MARKOV:
            order = _best_order(contexts, targets, symbols, longest)
            how = f"looks back {order} symbols" if order else "looks back at nothing, which was no help"
            how += ", chosen on the last tenth of the training rows"
        chain = MarkovChain(order, symbols).fit(contexts, targets)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        bits = chain.bits(tested, wanted)
        milliseconds = 1000 * (time.perf_counter() - start) / max(1, rows)
        per_row = np.bincount(of_row, bits, rows) / np.bincount(of_row, minlength=rows)
        found[name] = (per_row, Cost(seconds, milliseconds, chain.size_bytes, used, given, order < 2, how, cut))
    return found


def _rows_within(rows: int, symbols: int, longest: int, budget: float) -> int:
    """Return how many rows can be counted in so many seconds; at least one."""
    seconds = _SECONDS_FOR_SYMBOL * (longest + 1) * max(1, symbols)
    return max(1, min(rows, int(rows * budget / seconds)))


def _best_order(contexts: np.ndarray, targets: np.ndarray, symbols: int, longest: int) -> int:
    kept = len(targets) - max(1, round(_HELD_BACK * len(targets)))
    if kept < 1:
        return 1
    chain = MarkovChain(longest, symbols).fit(contexts[:kept], targets[:kept])
    scores = [bits.mean() for bits in chain.bits_by_order(contexts[kept:], targets[kept:])]
    return int(np.argmin(scores))
