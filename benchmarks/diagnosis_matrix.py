"""What `preflight` and `fit(diagnose=True)` find, miss, and say about healthy networks: the matrix of docs/diagnosis.md.

Each defect is planted with several seeds (data, weights and order are drawn anew) and both are run: found if one of
the findings has the right name and, where one is asked for, the right layer. Each healthy set-up is run in the same
way: any finding is a false alarm. Seeds below 300 were used while thresholds were chosen; the published numbers are
of seeds from 300 on.

`--peers` runs the same networks in Keras and Lightning (if they are installed) and in a plain torch loop, and counts
what they say.

Usage: python benchmarks/diagnosis_matrix.py [--seeds 5] [--first 300] [--only NAME] [--peers] [--write FILE]
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import logging
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import torch
from diagnosis_defects import DEFECTS
from diagnosis_sets import HEALTHY

import uncrumple

# Notes are facts, not alarms.
_ALARMS = ("error", "warning")


def run(function: Any, seed: int) -> tuple[list[Any], float, float]:
    """Return what was found in a set-up, and the seconds of the preflight and of the training."""
    uncrumple.utils.set_random_seed(seed)
    setup = function(uncrumple, seed)
    model = setup["model"]
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = uncrumple.preflight(model, setup["data"], batch_size=setup["batch_size"])
        middle = time.perf_counter()
        found = list(report.findings)
        try:
            history = model.fit(
                *setup["data"],
                validation_data=setup["validation"],
                epochs=setup["epochs"],
                batch_size=setup["batch_size"],
                verbose=0,
                diagnose=True,
            )
            found += history.findings
        except ValueError:
            pass  # fit refuses it, and preflight has said why
    return [one for one in found if one.severity in _ALARMS], middle - begin, time.perf_counter() - middle


def is_right(found: list[Any], names: tuple[str, ...], layer: str) -> bool:
    """Return whether a finding has one of the names and speaks of the layer."""
    return any(one.name in names and layer in f"{one.layer} {one.seen}" for one in found)


def in_keras(function: Any, seed: int) -> str:
    """Return what Keras says about a set-up: "silent", "warning", "error", or "-" where it cannot be made there."""
    keras = importlib.import_module("keras")
    keras.utils.set_random_seed(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            setup = function(keras, seed)
            (x, y), held = setup["data"], setup["validation"]
            setup["model"].fit(
                x, y, validation_data=held, epochs=min(setup["epochs"], 3), batch_size=setup["batch_size"], verbose=0
            )
        except NotImplementedError:
            return "-"
        except Exception:
            return "error"
    about = [one for one in caught if issubclass(one.category, UserWarning)]
    return "warning" if about else "silent"


def in_torch(function: Any, seed: int) -> str:
    """Return what torch says when the same module is trained in a loop, with anomalies detected."""
    uncrumple.utils.set_random_seed(seed)
    setup = function(uncrumple, seed)
    model = setup["model"]
    (x, y) = setup["data"]
    if isinstance(y, list):
        return "-"
    x, y = torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(y))
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        model.predict(x[:2], verbose=0)  # builds it
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=float(model.optimizer.learning_rate))
    kind = getattr(model.loss, "name", model.loss)
    with warnings.catch_warnings(record=True) as caught, torch.autograd.set_detect_anomaly(True, check_nan=True):
        warnings.simplefilter("always")
        try:
            for start in range(0, len(x), 32):
                some, answers = model(x[start : start + 32]), y[start : start + 32]
                loss = _torch_loss(str(kind), some, answers)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        except RuntimeError:
            return "error"
    about = [one for one in caught if issubclass(one.category, UserWarning) and "Anomaly" not in str(one.message)]
    return "warning" if about else "silent"


def in_lightning(function: Any, seed: int) -> str:
    """Return what Lightning's Trainer says of the same module, with all of its checks; "-" where it is not installed.

    It runs its sanity validation, detects anomalies, and EarlyStopping looks for losses that are no numbers.
    """
    try:
        lightning = importlib.import_module("lightning.pytorch")
    except ImportError:
        return "-"
    uncrumple.utils.set_random_seed(seed)
    setup = function(uncrumple, seed)
    model, (x, y), held = setup["model"], setup["data"], setup["validation"]
    if isinstance(y, list) or isinstance(x, (list, dict)):
        return "-"
    x, y = torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.predict(x[:2], verbose=0)  # builds it
    model.train()
    kind = str(getattr(model.loss, "name", model.loss))

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            loss = _torch_loss(kind, self.network(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", _torch_loss(kind, self.network(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=float(model.optimizer.learning_rate))

    def loader(data: Any) -> Any:
        rows = torch.utils.data.TensorDataset(*(torch.as_tensor(np.asarray(one)) for one in data))
        return torch.utils.data.DataLoader(rows, batch_size=32)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    stop = lightning.callbacks.EarlyStopping("loss", check_finite=True, patience=10**6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", detect_anomaly=True, callbacks=[stop], **quiet)
            trainer.fit(Module(), loader((x, y)), None if held is None else loader(held))
        except Exception:
            return "error"
    if stop.stopped_epoch or "not finite" in (stop.stopping_reason_message or ""):
        return "warning"
    # What it says of the loaders' workers and its own settings is about no defect.
    about = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    known = ("num_workers", "Anomaly", "log_every_n_steps", "Checkpoint", "GPU", "litlogger", "tensorboard")
    return "warning" if any(not any(word in text for word in known) for text in about) else "silent"


def _torch_loss(kind: str, outputs: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    functional = torch.nn.functional
    if "categorical" in kind or kind == "small":
        if answers.is_floating_point():
            return functional.cross_entropy(outputs, answers)
        return functional.cross_entropy(outputs.flatten(0, -2), answers.flatten().long())
    if "binary" in kind:
        return functional.binary_cross_entropy_with_logits(outputs, answers.reshape(outputs.shape).float())
    return functional.mse_loss(outputs, answers)


PEERS = {"keras": in_keras, "lightning": in_lightning, "torch": in_torch}
_TITLES = {
    "keras": "Keras",
    "lightning": "Lightning with `detect_anomaly`, sanity validation and `EarlyStopping(check_finite=True)`",
    "torch": "a plain torch loop with `detect_anomaly`",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="how often each set-up is drawn")
    parser.add_argument("--first", type=int, default=300, help="the first seed")
    parser.add_argument("--only", default="", help="only set-ups with this in their name")
    parser.add_argument("--part", default="both", choices=("both", "planted", "healthy"), help="which half to run")
    parser.add_argument("--peers", action="store_true", help="run Keras, Lightning and torch too, with the first seed")
    parser.add_argument("--write", default="", help="a file for the results: .json, or the page to write them into")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(options.first, options.first + options.seeds)
    begin = time.perf_counter()
    planted: dict[str, Any] = {}
    clean: dict[str, Any] = {}
    slowest = 0.0
    for name, (family, right, layer, function) in DEFECTS.items():
        if options.only not in name or options.part == "healthy":
            continue
        found, others = 0, collections.Counter()
        for seed in seeds:
            findings, took, _ = run(function, seed)
            slowest = max(slowest, took)
            found += is_right(findings, right, layer)
            others.update({one.name for one in findings if one.name not in right})
        entry = {"family": family, "right": right, "layer": layer, "found": found, "others": dict(others)}
        if options.peers:
            for peer, says in PEERS.items():
                entry[peer] = says(function, options.first)
        planted[name] = entry
        print(
            f"{found} of {len(seeds)}  {name}  {dict(others)}",
            *([entry[peer] for peer in PEERS] if options.peers else []),
        )
    for name, function in HEALTHY.items():
        if options.only not in name or options.part == "planted":
            continue
        alarms = []
        for seed in seeds:
            findings, took, _ = run(function, seed)
            slowest = max(slowest, took)
            alarms += [[f"{seed}: {one.name}: {one.seen}" for one in findings]] if findings else []
        clean[name] = alarms
        print(f"{len(alarms)} alarms  {name}", *(line for some in alarms for line in some), sep="\n    ")
    count, hits = len(planted) * len(seeds), sum(entry["found"] for entry in planted.values())
    runs, wrong = len(clean) * len(seeds), sum(map(len, clean.values()))
    print(
        f"\nfound {hits} of {count} ({100 * hits / max(count, 1):.1f} %); false alarms in {wrong} of {runs} healthy runs "
        f"({100 * wrong / max(runs, 1):.1f} %); slowest preflight {slowest:.1f} s; {time.perf_counter() - begin:.0f} s in all"
    )
    result = {
        "planted": planted,
        "clean": clean,
        "seeds": [seeds[0], seeds[-1]],
        "seconds": round(time.perf_counter() - begin),
        "slowest": round(slowest, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if options.write.endswith(".json"):
        Path(options.write).write_text(json.dumps(result, indent=1))
    elif options.write:
        write(Path(options.write), result)


def write(page: Path, result: dict[str, Any]) -> None:
    """Put the results between the two marks of the page."""
    text = page.read_text(encoding="utf-8")
    first, last = "<!-- matrix -->\n", "<!-- /matrix -->"
    before, rest = text.split(first)
    after = rest.split(last)[1]
    page.write_text(f"{before}{first}{in_words(result)}{last}{after}", encoding="utf-8")


def in_words(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    planted, clean = result["planted"], result["clean"]
    low, high = result["seeds"]
    seeds = high - low + 1
    hits, count = sum(entry["found"] for entry in planted.values()), len(planted) * seeds
    wrong, runs = sum(map(len, clean.values())), len(clean) * seeds
    peers = all("keras" in entry for entry in planted.values())
    lines = [
        f"Measured with seeds {low} to {high} (thresholds were chosen on seeds below 300), one thread, "
        f"{result['seconds']} s in all; the slowest preflight took {result['slowest']} s. "
        f"Python {result['python']}, torch {result['torch']}.\n",
        f"- **Planted**: {hits} of {count} found ({100 * hits / count:.1f} %), with the right layer or cause named.",
        f"- **Healthy**: something was said in {wrong} of {runs} runs ({100 * wrong / runs:.1f} %).",
    ]
    if peers:
        for peer, title in _TITLES.items():
            tally = collections.Counter(entry[peer] for entry in planted.values())
            words = [f"{count} {word}" for word, count in (("warnings", tally["warning"]), ("errors", tally["error"]))]
            lines.append(
                f"- **The same in {title}**: {', '.join(words)}, silent about {tally['silent']}"
                + (f"; {tally['-']} cannot be made there." if tally["-"] else ".")
            )
    lines += ["", "| Network | Planted | Right is | Found |" + (" Keras | Lightning | torch |" if peers else "")]
    lines += ["|---|---|---|---|" + ("---|---|---|" if peers else "")]
    for name, entry in planted.items():
        right = ", ".join(f"`{one}`" for one in entry["right"])
        layer = f" in '{entry['layer']}'" if entry["layer"] else ""
        found = str(entry["found"]) if entry["found"] == seeds else f"**{entry['found']}**"
        more = "".join(f" {entry[peer]} |" for peer in PEERS) if peers else ""
        lines.append(f"| {entry['family']} | {name} | {right}{layer} | {found} of {seeds} |{more}")
    quiet = [name for name, alarms in clean.items() if not alarms]
    lines += ["", f"Silent about all {seeds} runs of: {', '.join(quiet)}."]
    for name, alarms in clean.items():
        if alarms:
            said = sorted({line.split(": ")[1] for some in alarms for line in some})
            lines.append(f"\nFalse alarms: {name}, {len(alarms)} of {seeds} ({', '.join(said)}).")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
