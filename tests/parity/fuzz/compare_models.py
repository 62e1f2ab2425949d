"""Build, train, evaluate and save one recipe with Keras and with uncrumple, and compare all that comes out.

    python tests/parity/fuzz/compare_models.py --models 500 --seed 1
    python tests/parity/fuzz/compare_models.py --seed 1 --only 17

The rule. Two numbers agree if they differ by no more than a thousandth of
theirs, plus a ten-thousandth of the largest number in the same array. That is
asked of all numbers, in float32.

Training can be chaotic: a gradient that ought to be zero is rounding error,
and Adam makes a step of ordinary size of it. Then the last bits decide what
comes out, of Keras alone as well. So where two trainings differ, Keras trains
again, three times, from weights that differ in their last bit, and what it
differs from itself by then (ten times the most that any number of an array
moved) is allowed too. Such a model must agree to a thousandth all the same
when plain, slow gradient descent takes the place of its optimizer. It counts
as "agrees as Keras with itself". Shapes, names, and what is computed before
training are never judged so mildly.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import copy
import dataclasses
import random
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from random_recipes import recipe
from recipes import OWN, Network, Part, Recipe
from trials import Trials, asking

import uncrumple

RELATIVE, OF_THE_LARGEST, SMALLEST = 1e-3, 1e-4, 1e-7
BEFORE, AFTER = "before training: ", "trained: "
SCALE = "scale of the loss"  # that LossScaleOptimizer halves when a gradient is NaN or infinite


# --- what is looked at ------------------------------------------------------------------


def look(k: Any, recipe: Recipe, first_weights: list[np.ndarray], file: Path | None = None) -> dict[str, Any]:
    """Return everything that can be seen of a recipe made with the library `k`, by name, in order.

    `first_weights` takes Keras's first weights if it is empty, and gives them otherwise.
    """
    k.utils.clear_session()
    k.utils.set_random_seed(1)
    seen: dict[str, Any] = {}
    model, tensors = recipe.network.make_all(k)
    if recipe.network.kind == "class":
        model(as_tensors(recipe.x))
    if not first_weights:
        first_weights += moved(model.weights, recipe.weights)
    seen["layers"] = names(model)
    seen["shapes of weights"] = [list(weight.shape) for weight in model.get_weights()]
    seen["trainable"] = [weight.name for weight in model.trainable_weights]
    seen["not trainable"] = [weight.name for weight in model.non_trainable_weights]
    seen["parameters"] = int(model.count_params())
    model.set_weights(first_weights)
    look_inside(k, model, tensors, recipe, seen)
    model.compile(**made(k, recipe.compiled))
    seen[BEFORE + "evaluate"] = model.evaluate(recipe.x, recipe.y, batch_size=7, verbose=0, return_dict=True)
    model.reset_metrics()
    seen[AFTER + "history"] = model.fit(recipe.x, recipe.y, shuffle=False, verbose=0, **made(k, recipe.fitted)).history
    # Keras puts the names of the models in front within which a layer was built.
    seen["names of weights"] = ["/".join(weight.path.split("/")[-2:]) for weight in model.weights]
    for number, weight in enumerate(model.get_weights()):
        seen[f"{AFTER}weight {number}"] = weight
    seen[AFTER + "metrics_names"] = list(model.metrics_names)
    seen[AFTER + "evaluate"] = model.evaluate(recipe.x, recipe.y, batch_size=5, verbose=0)
    seen[AFTER + "predict"] = model.predict(recipe.x, batch_size=7, verbose=0)
    seen["variables of the optimizer"] = len(model.optimizer.variables)
    if hasattr(model.optimizer, "dynamic_scale"):
        seen[SCALE] = float(model.optimizer.dynamic_scale.numpy())
    for number, variable in enumerate(model.optimizer.variables):
        seen[f"{AFTER}optimizer variable {number}"] = variable.numpy()
    if file is not None:
        model.save(file)
    return seen


def look_inside(k: Any, model: Any, tensors: list[Any], recipe: Recipe, seen: dict[str, Any]) -> None:
    """Add what comes out of the model, and out of each step of a functional one."""
    if tensors:
        seen["shapes inside"] = [list(tensor.shape) for tensor in tensors]
        seen["output names"] = list(model.output_names)
        first = len(recipe.network.inputs)
        inside = {
            number - first: tensors[number - first] for number in sorted(recipe.network.used()) if number >= first
        }
        found = k.Model(model.inputs, list(inside.values())).predict(list_of(recipe.x), batch_size=7, verbose=0)
        for number, value in zip(inside, found if isinstance(found, list) else [found], strict=True):
            seen[f"{BEFORE}tensor {number}"] = value
    elif recipe.network.kind == "sequential":
        seen["shapes inside"] = [list(layer.output.shape) for layer in model.layers]
    seen[BEFORE + "predict"] = model.predict(recipe.x, batch_size=7, verbose=0)


def names(model: Any) -> list[Any]:
    return [[layer.name, names(layer)] if hasattr(layer, "layers") else layer.name for layer in model.layers]


def list_of(x: Any) -> Any:
    return list(x.values()) if isinstance(x, dict) else x if isinstance(x, list) else [x]


def as_tensors(x: Any) -> Any:
    if isinstance(x, (list, dict)):
        return [torch.as_tensor(value) for value in list_of(x)]
    return torch.as_tensor(x)


def made(k: Any, settings: dict[str, Any]) -> dict[str, Any]:
    from recipes import made as make

    return make(k, settings)


def moved(weights: list[Any], seed: int) -> list[np.ndarray]:
    """Return the weights, moved at random, so that nothing hides behind zeros and ones."""
    generator, found = np.random.default_rng(seed), []
    for weight in weights:
        value = np.array(weight.numpy())
        if value.dtype.kind == "f":
            value = value + generator.normal(scale=0.15, size=value.shape)
            value = np.abs(value) + 0.3 if "variance" in weight.name else value
        found.append(value.astype("float32") if value.dtype.kind == "f" else value)
    return found


def nudged(weights: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Return the weights with about their last bit changed."""
    generator = np.random.default_rng(seed)
    return [weight * (1 + generator.choice([-1, 1], weight.shape) * 2.0**-23) for weight in weights]


# --- comparing --------------------------------------------------------------------------


@dataclasses.dataclass
class Difference:
    """Where two libraries differ, and how."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def differences(theirs: Any, ours: Any, moved: dict[str, Any] | None = None, where: str = "") -> Iterator[Difference]:
    """Yield where ours differs from theirs by more than is allowed; `moved` holds by how much more it may, if it may."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if list(theirs) != list(ours) and (where or set(theirs) != set(ours)):
            only = [f"Keras alone has {key}" for key in theirs if key not in ours]
            only += [f"uncrumple alone has {key}" for key in ours if key not in theirs]
            yield Difference(where, "; ".join(only) or f"Keras has {list(theirs)}, uncrumple {list(ours)}")
            if where:
                return
        for key in (key for key in theirs if key in ours):
            yield from differences(theirs[key], ours[key], moved, f"{where}[{key}]" if where else str(key))
    elif isinstance(theirs, (list, tuple)) and isinstance(ours, (list, tuple)) and not plain(theirs):
        if len(theirs) != len(ours):
            yield Difference(where, f"Keras has {len(theirs)} values, uncrumple {len(ours)}")
            return
        for index, (one, other) in enumerate(zip(theirs, ours)):
            yield from differences(one, other, moved, f"{where}[{index}]")
    elif isinstance(theirs, str):
        if theirs != ours:
            yield Difference(where, f"Keras has {theirs!r}, uncrumple {ours!r}")
    else:
        more = 0.0 if moved is None else moved.get(where, 0.0)
        yield from differing_numbers(np.asarray(theirs), np.asarray(ours), more, where)


def numbers_in(seen: Any, where: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays that `differences` compares, under the same names."""
    if isinstance(seen, dict):
        for key, value in seen.items():
            yield from numbers_in(value, f"{where}[{key}]" if where else str(key))
    elif isinstance(seen, (list, tuple)) and not plain(seen):
        for index, value in enumerate(seen):
            yield from numbers_in(value, f"{where}[{index}]")
    elif not isinstance(seen, str):
        yield where, np.asarray(seen)


def plain(values: Any) -> bool:
    """Return whether a list is one of numbers, compared as one array."""
    return bool(values) and all(isinstance(value, (int, float)) for value in values)


def differing_numbers(theirs: np.ndarray, ours: np.ndarray, more: float, where: str) -> Iterator[Difference]:
    if theirs.size == ours.size == 1 and max(theirs.ndim, ours.ndim) < 3 and theirs.ndim != ours.ndim:
        theirs, ours = theirs.reshape(()), ours.reshape(())  # float() of an array of one is an error in new NumPy
    if theirs.shape != ours.shape:
        yield Difference(where, f"Keras's shape is {theirs.shape}, uncrumple's {ours.shape}")
        return
    if not theirs.size:
        return
    theirs, ours = theirs.astype("float64"), ours.astype("float64")
    finite = theirs[np.isfinite(theirs)]
    largest = np.abs(finite).max() if finite.size else 0.0
    allowed = RELATIVE * np.abs(theirs) + OF_THE_LARGEST * largest + SMALLEST + more
    with np.errstate(invalid="ignore"):
        wrong = ~((np.abs(ours - theirs) <= allowed) | (theirs == ours) | (np.isnan(theirs) & np.isnan(ours)))
    if wrong.any():
        at = np.unravel_index(np.argmax(np.where(wrong, np.abs(ours - theirs) / allowed, 0)), wrong.shape)
        place = f" at {tuple(int(i) for i in at)}" if at else ""
        yield Difference(
            where, f"{wrong.sum()} of {wrong.size} differ, Keras {theirs[at]:.7g}, uncrumple {ours[at]:.7g}{place}"
        )


@dataclasses.dataclass
class Verdict:
    """What became of a recipe: "agrees", "agrees as Keras with itself", "differs", or "refused" by Keras."""

    result: str
    differences: list[Difference] = dataclasses.field(default_factory=list)


def compare(recipe: Recipe) -> Verdict:
    """Compare what Keras and uncrumple make of a recipe."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        return _compare(recipe, Path(folder))


def _compare(recipe: Recipe, folder: Path) -> Verdict:
    weights: list[np.ndarray] = []
    try:
        theirs = look(keras, recipe, weights, folder / "keras.keras" if recipe.saved == "keras" else None)
    except Exception as error:
        return Verdict("refused", [Difference("Keras", say(error))])
    try:
        ours = look(uncrumple, recipe, weights, folder / "uncrumple.keras" if recipe.saved == "uncrumple" else None)
        if recipe.saved:
            _look_at_file(recipe, folder / f"{recipe.saved}.keras", theirs, ours)
    except Exception as error:
        return Verdict("differs", [Difference("uncrumple", say(error))])
    scales = [seen.pop(SCALE, 1.0) for seen in (theirs, ours)]
    found = list(differences(theirs, ours))
    if not found:
        return Verdict("agrees")
    if scales[0] < scales[1] and "OrthogonalRegularizer" in recipe.code():  # of a column of zeros: see test_fuzz.py
        return Verdict("refused", [Difference("Keras", "left out a step whose gradients were not numbers")])
    if any(np.isnan(value).any() for key, value in theirs.items() if key.startswith(f"{AFTER}weight")):
        return Verdict("refused", [Difference("Keras", "trained to weights that are not numbers")])
    if any(not each.where.startswith(AFTER) for each in found):
        return Verdict("differs", found)
    slow = _with_slow_descent(recipe)
    if recipe is slow or list(differences(theirs, ours, _spread(recipe, theirs, weights))):
        return Verdict("differs", found)
    if list(differences(look(keras, slow, weights), look(uncrumple, slow, weights))):
        return Verdict("differs", found)
    return Verdict("agrees as Keras with itself")


def _spread(recipe: Recipe, theirs: dict[str, Any], weights: list[np.ndarray]) -> dict[str, float]:
    """Return by how much each array of Keras's moves if its first weights change in their last bit."""
    first, found = dict(numbers_in(theirs)), {}
    for seed in range(3):
        for where, value in numbers_in(look(keras, recipe, nudged(weights, seed))):
            if where.startswith(AFTER) and value.size and value.shape == first[where].shape:
                found[where] = max(found.get(where, 0.0), 10 * float(np.abs(value - first[where]).max()))
    return found


def _with_slow_descent(recipe: Recipe) -> Recipe:
    """Return the recipe with an optimizer that does not make much of little."""
    optimizer = Part("optimizers", "SGD", {"learning_rate": 2.0**-8})
    if repr(recipe.compiled["optimizer"]) == repr(optimizer):
        return recipe
    fitted = dict(recipe.fitted)
    if "callbacks" in fitted:
        fitted["callbacks"] = [one for one in fitted["callbacks"] if one.name != "SwapEMAWeights"]
    compiled = {**recipe.compiled, "optimizer": optimizer}
    return dataclasses.replace(recipe, compiled=compiled, fitted=fitted, saved="")


def _look_at_file(recipe: Recipe, file: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Let both libraries read what one of them has saved; each sees what the other sees, and what was saved."""
    saved = theirs if recipe.saved == "keras" else ours
    for k, seen in ((keras, theirs), (uncrumple, ours)):
        model = k.models.load_model(file, custom_objects=OWN)
        # Not compared with before: Keras leaves out some settings of losses, such as the delta of Huber.
        seen[AFTER + "evaluate, from the file"] = model.evaluate(recipe.x, recipe.y, batch_size=5, verbose=0)
        found = {"predict": model.predict(recipe.x, batch_size=7, verbose=0)}
        for number, variable in enumerate(model.optimizer.variables):
            found[f"optimizer variable {number}"] = variable.numpy()
        for name, value in found.items():
            seen[f"{AFTER}{name}, from the file"] = value
            (ours if seen is theirs else theirs)[f"{AFTER}{name}, before {k.__name__} read it"] = value
            seen[f"{AFTER}{name}, before {k.__name__} read it"] = saved[AFTER + name]


def say(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"


# --- making a failure smaller -------------------------------------------------------------


def smaller(recipe: Recipe, verdict: Verdict, tries: int = 60, seconds: float = 30) -> Recipe:
    """Return a recipe with less in it that still differs in the same place."""
    end, found = time.monotonic() + seconds, True

    def same(candidate: Recipe) -> bool:
        try:
            other = compare(candidate)
        except Exception:
            return False
        return other.result == "differs" and kind(other) == kind(verdict)

    while found:
        found = False
        for candidate in simplifications(recipe):
            tries -= 1
            if tries < 0 or time.monotonic() > end:
                break
            if same(candidate):
                recipe, found = candidate, True
                break
    return recipe


def kind(verdict: Verdict) -> str:
    """Return a word for where two differ first: that of an error, or the part before any number."""
    first = verdict.differences[0]
    if first.where == "uncrumple":
        return first.what.splitlines()[0].split(" got ")[0][:60]
    return re.sub(r"[0-9]+", "", first.where)


def simplifications(recipe: Recipe) -> Iterator[Recipe]:
    """Yield recipes with one thing less."""
    if recipe.saved:
        yield dataclasses.replace(recipe, saved="")
    for key in ("validation_data", "validation_split", "sample_weight", "class_weight", "callbacks"):
        if key in recipe.fitted:
            yield dataclasses.replace(recipe, fitted=without(recipe.fitted, key))
    for key in ("validation_batch_size", "validation_freq", "initial_epoch"):
        if key in recipe.fitted:
            yield dataclasses.replace(recipe, fitted=without(recipe.fitted, key))
    if recipe.fitted["epochs"] > 1:
        yield dataclasses.replace(recipe, fitted={**recipe.fitted, "epochs": 1})
    for key in ("metrics", "weighted_metrics", "loss_weights"):
        if key in recipe.compiled:
            yield dataclasses.replace(recipe, compiled=without(recipe.compiled, key))
    optimizer = recipe.compiled["optimizer"]
    if not isinstance(optimizer, Part) or optimizer.name != "SGD":
        yield dataclasses.replace(recipe, compiled={**recipe.compiled, "optimizer": "sgd"})
    for smaller_network in smaller_networks(recipe.network):
        yield dataclasses.replace(recipe, network=smaller_network)
    for part in parts_in(recipe.compiled):
        for key in list(part.settings):
            copied = copy.deepcopy(recipe.compiled)
            twin = list(parts_in(copied))[[id(one) for one in parts_in(recipe.compiled)].index(id(part))]
            twin.settings.pop(key)
            yield dataclasses.replace(recipe, compiled=copied)


def smaller_networks(network: Network) -> Iterator[Network]:
    for number, step in enumerate(network.steps):
        if step.gives == 1 and not any(each.again == number for each in network.steps):
            yield skipping(network, number)
    for number, step in enumerate(network.steps):
        if step.part is None or step.part.room in ("operator", "network"):
            continue
        for key in step.part.settings:
            copied = copy.deepcopy(network)
            copied.steps[number].part.settings.pop(key)  # type: ignore[union-attr]
            yield copied


def skipping(network: Network, number: int) -> Network:
    """Return the network without one step; what it gave is replaced by what it took."""
    network = copy.deepcopy(network)
    place = len(network.inputs) + sum(step.gives for step in network.steps[:number])
    instead = network.steps[number].sources[0]

    def renumbered(tensor: int) -> int:
        return instead if tensor == place else tensor - (tensor > place)

    del network.steps[number]
    for step in network.steps:
        step.sources = tuple(map(renumbered, step.sources))
        step.state = tuple(map(renumbered, step.state))
        step.again = step.again - (step.again > number) if step.again is not None else None
    network.outputs = list(map(renumbered, network.outputs))
    return network


def parts_in(value: Any) -> Iterator[Part]:
    if isinstance(value, Part):
        yield value
        yield from parts_in(value.settings)
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from parts_in(each)


def without(settings: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != key}


# --- many of them ---------------------------------------------------------------------------


def main() -> int:
    parser = asking("Random models in Keras and uncrumple: do they agree?", "models", 500)
    parser.add_argument("--no-shrink", action="store_true", help="print failures as they are")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    trials = Trials(asked, __file__, "models")
    for number in trials:
        random.seed(0)
        drawn = recipe(asked.seed, number)
        if asked.only is not None:
            print(drawn.code())
        verdict = compare(drawn)
        trials.counts[verdict.result] += 1
        if verdict.result in ("differs", "refused"):
            print(f"\nModel {number} of seed {asked.seed}: {verdict.result}")
            print("\n".join(f"  {each}" for each in verdict.differences[:6]))
            if verdict.result == "differs" and not asked.no_shrink:
                print(smaller(drawn, verdict).code())
            trials.replay(number)
    return trials.end()


if __name__ == "__main__":
    sys.exit(main())
