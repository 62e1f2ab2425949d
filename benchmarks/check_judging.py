"""Does `judge` find what is planted, and stay silent where there is nothing? The second table of docs/judging.md.

    python benchmarks/check_judging.py             # 20 fresh seeds; writes the table into docs/judging.md
    python benchmarks/check_judging.py --seeds 3   # a quick look; writes nothing

Each seed is another split, other first weights and other planted rows. Thresholds were chosen on
seeds below 300; the published numbers are of seeds from 300 on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn import datasets

import uncrumple as uc
from uncrumple.layers import Dense, Embedding, Flatten, Input

PAGE = Path(__file__).resolve().parents[1] / "docs" / "judging.md"
START, END = "<!-- planted: begin -->", "<!-- planted: end -->"
_SECONDS = 3.0


def network(x: np.ndarray, y: np.ndarray, seed: int, epochs: int = 30) -> Any:
    uc.utils.set_random_seed(seed)
    model = uc.Sequential([Input(x.shape[1:]), Dense(16, "relu"), Dense(int(y.max()) + 1, "softmax")])
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=epochs, verbose=0)
    return model


def judged(
    name: str, seed: int, *, shuffled: bool = False, spoil: Any = None, sharper: float = 1.0, **asked: Any
) -> Any:
    """Train on a data set of scikit-learn, and judge; `spoil(x_test, y_test, random)` plants something."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    random = np.random.default_rng(seed)
    y = random.permutation(y) if shuffled else y
    parts = uc.data.split(y, seed=seed, test=0.3)
    x = ((x - x[parts.train].mean(axis=0)) / (x[parts.train].std(axis=0) + 1e-9)).astype("float32")
    model = network(x[parts.train], y[parts.train], seed)
    x_test, y_test = x[parts.test].copy(), y[parts.test].copy()
    if spoil is not None:
        asked |= spoil(x_test, y_test, random) or {}

    def answer(rows: np.ndarray) -> np.ndarray:
        powers = model.predict(rows, verbose=0).astype(np.float64) ** sharper
        return powers / powers.sum(axis=1, keepdims=True)

    data = (x[parts.train], y[parts.train], x_test, y_test)
    return uc.judge(answer, data, budget_seconds=_SECONDS, seed=seed, **asked)


def nothing_learnt(found: Any) -> bool:
    return any(
        said in found.verdict() for said in ("shown better than always answering", "worse than always answering")
    )


def better_than_all(found: Any) -> bool:
    return all(row.p_value < 0.05 and row.lead.score > 0 for row in found.comparison.baselines)


def relabelled(seed: int) -> float:
    """Return which share of 5 wrong labels of digits is in the pile of suspects."""

    def spoil(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> None:
        y[:5] = (y[:5] + random.integers(1, 10, 5)) % 10

    found = judged("digits", seed, spoil=spoil)
    return len({one.row for one in found.piles.label_suspect} & set(range(5))) / 5


def suspects(seed: int) -> float:
    """Return the share of rows of digits as it is that are called suspect."""
    found = judged("digits", seed)
    return found.piles.suspects / found.comparison.test_rows


def suspects_unlearnt(seed: int) -> float:
    """Return the share of rows that are called suspect by a network that is right one time in three."""

    def blurred(x: np.ndarray) -> np.ndarray:
        return (x + 2.5 * random.normal(size=x.shape)).astype("float32")

    random = np.random.default_rng(seed)
    x, y = datasets.load_digits(return_X_y=True)
    parts = uc.data.split(y, seed=seed, test=0.3)
    x = (x - x[parts.train].mean(axis=0)) / (x[parts.train].std(axis=0) + 1e-9)
    x_train, x_test = blurred(x[parts.train]), blurred(x[parts.test])
    model = network(x_train, y[parts.train], seed)
    found = uc.judge(model, (x_train, y[parts.train], x_test, y[parts.test]), budget_seconds=_SECONDS, seed=seed)
    return found.piles.suspects / found.comparison.test_rows


def spoilt_group(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    groups = random.integers(0, 4, len(x))
    x[groups == 2] = random.permutation(x[groups == 2])
    return {"slices": {"group": groups}}


def random_groups(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    return {"slices": {f"group {number}": random.integers(0, 4, len(x)) for number in range(3)}}


def language(seed: int, shuffled: bool) -> Any:
    """Judge a small network on text with words in it, or on its characters shuffled."""
    random = np.random.default_rng(seed)
    words = ["to be ", "or not ", "that is ", "the rest ", "silence "]
    text = "".join(random.choice(words, 1500))
    if shuffled:
        text = "".join(random.permutation(list(text)))
    letters = sorted(set(text))
    codes = np.array([letters.index(letter) for letter in text])
    x, y = np.lib.stride_tricks.sliding_window_view(codes[:-1], 5).copy(), codes[5:]
    cut = len(x) * 3 // 4
    uc.utils.set_random_seed(seed)
    model = uc.Sequential(
        [
            Input((5,), dtype="int64"),
            Embedding(len(letters), 8),
            Flatten(),
            Dense(32, "relu"),
            Dense(len(letters), "softmax"),
        ]
    )
    model.compile(uc.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    model.fit(x[:cut], y[:cut], epochs=3, batch_size=64, verbose=0)
    return uc.judge(model, (x[:cut], y[:cut], x[cut:], y[cut:]), task="language", class_names=letters)


def beats_the_chain(found: Any) -> bool:
    chain = found.comparison.baselines[-1]
    return chain.p_value < 0.05 and chain.lead.score > 0


def headline(seed: int, rare: float) -> bool:
    """Whether accuracy stands first, where this share of the rows is yes."""
    random = np.random.default_rng(seed)
    y = (random.random(1200) < rare).astype(int)
    x = random.normal(size=(1200, 2)) + y[:, None]
    found = uc.judge(
        lambda rows: (rows.sum(axis=1) > 1).astype(int), (x[:600], y[:600], x[600:], y[600:]), budget_seconds=_SECONDS
    )
    return found.headline[0] == "accuracy"


def looks(seed: int) -> bool:
    """Whether the third look at a test part is called so."""
    x, y = datasets.load_iris(return_X_y=True)
    table = uc.data.Table({"a": x[:, 0], "b": x[:, 2], "kind": y.astype(str)}, target="kind")
    parts = uc.data.split(table, seed=seed)
    for _ in range(2):
        assert len(parts.test)
    found = uc.judge(lambda raw: (np.asarray(raw["b"]) > 2.5).astype(int), parts, budget_seconds=_SECONDS)
    return found.notes()[0] == "3rd look at this test set: its number is now optimistic."


# What, where it is planted or clean, what it should say, and how to measure it: a share.
LINES: list[tuple[str, str, str, Callable[[int], float]]] = [
    ("No better than one answer", "breast cancer, labels shuffled", "said", lambda s: nothing_learnt(judged("breast_cancer", s, shuffled=True))),
    ("No better than one answer", "breast cancer as it is", "not said", lambda s: nothing_learnt(judged("breast_cancer", s))),
    ("Better than all simpler models", "iris, where a tree does as well", "not said", lambda s: better_than_all(judged("iris", s))),
    ("Better than all simpler models", "wine, where logistic regression does as well", "not said", lambda s: better_than_all(judged("wine", s))),
    ("The label is suspect", "digits, 5 labels wrong: how many of them", "said", relabelled),
    ("The label is suspect", "digits as they are: how many rows", "not said", suspects),
    ("The label is suspect", "digits blurred until the network is right 1 time in 3: how many rows", "not said", suspects_unlearnt),
    ("Its confidence is off", "digits, logits times 5", "said", lambda s: judged("digits", s, sharper=5.0).calibration.p_value < 0.05),
    ("Served worse", "digits, one group of four with rows mixed up", "said", lambda s: any(one.value == "2" for one in judged("digits", s, spoil=spoilt_group).slices.worse)),
    ("Served worse", "digits, three columns of random groups", "not said", lambda s: bool(judged("digits", s, spoil=random_groups).slices.worse)),
    ("Better than a Markov chain", "text whose characters were shuffled", "not said", lambda s: beats_the_chain(language(s, True))),
    ("Worth more than the characters' frequencies", "text of words", "said", lambda s: language(s, False).comparison.baselines[0].p_value < 0.05),
    ("Accuracy stands first", "1 row in 50 is yes", "not said", lambda s: headline(s, 0.02)),
    ("Accuracy stands first", "2 rows in 5 are yes", "said", lambda s: headline(s, 0.4)),
    ("The third look at the test part", "iris, looked at twice before", "said", looks),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=0, help="Only so many; nothing is written then.")
    parser.add_argument("--only", default="", help="Only the lines with this in them; nothing is written then.")
    options = parser.parse_args()
    start, seeds = time.perf_counter(), range(300, 300 + (options.seeds or 20))
    rows = ["| What it says | Of what | Should | Share of 20 runs |", "|---|---|---|---|"]
    for what, of_what, wanted, measure in LINES:
        if options.only in f"{what} {of_what}":
            share = float(np.mean([measure(seed) for seed in seeds]))
            rows.append(f"| {what} | {of_what} | be {wanted} | {100 * share:.3g} % |")
            print(rows[-1], flush=True)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    if not options.seeds and not options.only:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{START}\n{chr(10).join(rows)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
