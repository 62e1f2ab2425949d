"""Whole recipes at random: `recipe(seed, number)` is always the same one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import random_training as training
from random_layers import Draw, layer
from random_models import Walk
from recipes import Network, Part, Recipe, pack

TOKENS = 9


def recipe(seed: int, number: int) -> Recipe:
    """Return the random recipe number `number` of `seed`."""
    keras.utils.clear_session()
    draw = Draw(f"{seed}/{number}")
    random = np.random.default_rng([seed, number])
    rows = draw.randint(4, 40)
    network, goals = _network(draw)
    xs = [_data(random, settings, rows) for settings in network.inputs]
    shapes = [(rows, *_shapes(network)[output]) for output in network.outputs]
    ys = [goal.targets(random, shape) for goal, shape in zip(goals, shapes)]
    saved = draw.pick("", "", "keras", "uncrumple") if network.kind != "class" else ""
    compiled = _compiled(draw, network, goals, shapes, own=not saved)
    fitted = _fitted(draw, random, network, goals, shapes, xs, ys, compiled)
    x = pack(xs, network.packed_in, [settings.get("name", "") for settings in network.inputs])
    y = pack(ys, network.packed_out, network.names_out)
    return Recipe(f"{seed}/{number}", network, compiled, fitted, x, y, draw.randrange(10**6), saved)


# --- the network ------------------------------------------------------------------------


def _network(draw: Draw) -> tuple[Network, list[training.Goal]]:
    """Return a random network and what each of its outputs answers."""
    count = draw.pick(1, 1, 1, 2, 3)
    inputs = [_input(draw) for _ in range(count)]
    network = Network(inputs, [], [])
    if count > 1:
        network.packed_in = draw.pick("list", "list", "dict")
        for number, settings in enumerate(inputs):
            settings["name"] = f"in{number}"
    walk = Walk(draw, network)
    ends = []
    for number in range(count):  # something on each input first
        walk.at = number
        _begin(draw, walk)
        walk.grow(draw.randint(1, 3) if count > 1 else draw.randint(2, 6))
        ends.append(walk.at)
    if count > 1:
        _join(walk, ends)
        walk.grow(draw.randint(0, 2))
    goals = _heads(draw, walk)
    _choose_kind(draw, network)
    return network, goals


def _input(draw: Draw) -> dict[str, Any]:
    kind = draw.pick("vector", "vector", "sequence", "sequence", "image", "image", "tokens", "volume")
    if kind == "volume" and draw.chance(0.5):
        kind = "image"
    shape = {
        "vector": (draw.randint(2, 8),),
        "sequence": (draw.randint(3, 8), draw.randint(1, 5)),
        "image": (draw.randint(3, 8), draw.randint(3, 8), draw.randint(1, 3)),
        "volume": (draw.randint(3, 4), draw.randint(3, 4), draw.randint(3, 4), draw.randint(1, 2)),
        "tokens": (draw.randint(3, 8),),
    }[kind]
    return {"shape": shape, "dtype": "int32"} if kind == "tokens" else {"shape": shape}


def _begin(draw: Draw, walk: Walk) -> None:
    """Turn tokens into vectors, and mask some sequences."""
    if walk.tensors[walk.at].dtype == "int32":
        more = draw.some(0.2, embeddings_regularizer="l2", embeddings_constraint=Part("constraints", "MaxNorm"))
        more |= {"mask_zero": True} if draw.chance(0.7) else {}
        kind = "Embedding" if draw.chance(0.85) else "ReversibleEmbedding"
        walk.add(layer(kind, more, input_dim=TOKENS, output_dim=draw.randint(2, 5)))
    elif len(walk.shape) == 2 and draw.chance(0.4):
        walk.add(layer("Masking", draw.some(0.3, mask_value=0.5)))


def _join(walk: Walk, ends: list[int]) -> None:
    """Bring the branches of several inputs to one vector."""
    flat = []
    for end in ends:
        walk.at = end
        _flatten(walk)
        flat.append(walk.at)
    walk.add(layer("Concatenate"), *flat, how="list")


def _flatten(walk: Walk) -> None:
    rank = len(walk.shape)
    if rank == 2 and walk.draw.chance(0.5):
        walk.add(layer(walk.draw.pick("GlobalAveragePooling1D", "GlobalMaxPooling1D", "LSTM", "GRU"), {}))
    elif rank == 3 and walk.draw.chance(0.5):
        walk.add(layer("GlobalAveragePooling2D"))
    if len(walk.shape) > 1:
        walk.add(layer("Flatten"))


def _heads(draw: Draw, walk: Walk) -> list[training.Goal]:
    """Add the outputs."""
    count, start, goals, network = draw.pick(1, 1, 1, 2, 3), walk.at, [], walk.network
    network.packed_out = "one" if count == 1 else draw.pick("list", "list", "dict")
    for number in range(count):
        walk.at = start
        if number and draw.chance(0.3):  # an output from the middle of the network
            walk.at = draw.choice([n for n in range(len(walk.tensors)) if walk.tensors[n].dtype == "float32"])
        if len(walk.shape) > 1 and draw.chance(0.65):
            _flatten(walk)
        goal = training.goal(draw, len(walk.shape))
        last = goal.layer(draw)
        if count > 1:
            last.settings["name"] = f"out{number}"
        assert walk.add(last, largest=1000), (last, walk.shape)
        network.outputs.append(walk.at)
        network.names_out.append(f"out{number}")
        goals.append(goal)
    return goals


def _choose_kind(draw: Draw, network: Network) -> None:
    linear = all(
        step.part is not None and step.part.room != "operator" and step.sources == (number,) and step.gives == 1
        for number, step in enumerate(network.steps)
    )
    if linear and len(network.inputs) == len(network.outputs) == 1:
        network.kind = draw.pick("functional", "sequential")
    elif network.packed_in != "dict" and network.packed_out != "list" and draw.chance(0.1):
        network.kind = "class"
    if network.packed_in == "one" and len(network.inputs) == 1 and draw.chance(0.1) and network.kind != "sequential":
        network.packed_in = "list"


def _shapes(network: Network) -> list[tuple[int, ...]]:
    """Return the shape of every tensor, without the batch."""
    tensors = network.run(network.layers(keras), [keras.Input(**settings) for settings in network.inputs])
    return [tuple(tensor.shape[1:]) for tensor in tensors]


# --- data -------------------------------------------------------------------------------


def _data(random: np.random.Generator, settings: dict[str, Any], rows: int) -> np.ndarray:
    """Return random data for an input; sequences end early, or begin late, or have holes."""
    shape = (rows, *settings["shape"])
    if settings.get("dtype") == "int32":
        found = random.integers(1, TOKENS, shape).astype("int32")
        found[_padding(random, shape)] = 0
        return found
    found = random.normal(size=shape).astype(random.choice(["float32", "float32", "float64"]))
    if len(shape) == 3:
        found[_padding(random, shape[:2])] = random.choice([0.0, 0.5])
    return found


def _padding(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return which steps are padding; every row has one that is not."""
    lengths = random.integers(1, shape[1] + 1, shape[0])[:, None]
    steps = np.arange(shape[1])[None, :]
    kind = random.choice(["after", "after", "before", "holes", "none"])
    if kind == "before":
        return steps < shape[1] - lengths
    if kind == "holes":
        return (random.random(shape) < 0.4) & (steps != lengths - 1)
    return (steps >= lengths) & (kind == "after")


# --- compile and fit --------------------------------------------------------------------


def _compiled(draw: Draw, network: Network, goals: list[Any], shapes: list[Any], own: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"optimizer": training.optimizer(draw)}
    losses = [training.loss(draw, goal, own) for goal in goals]
    metrics = []
    for goal, shape in zip(goals, shapes):
        chosen = training.metrics(draw, goal, own)
        chosen += training.flat_metrics(draw, goal)[:1] if len(shape) == 2 and draw.chance(0.3) else []
        metrics.append(chosen)
    weighted = [training.metrics(draw, goal, own) for goal in goals]
    if len(goals) == 1:
        found["loss"] = losses[0]
        found |= {"metrics": metrics[0]} if metrics[0] and draw.chance(0.7) else {}
        found |= {"weighted_metrics": weighted[0]} if weighted[0] and draw.chance(0.3) else {}
    else:
        named = network.packed_out == "dict" or draw.chance(0.4)

        def spread(values: list[Any]) -> Any:
            return dict(zip(network.names_out, values)) if named else values

        found["loss"] = spread(losses)
        found |= {"metrics": spread(metrics)} if draw.chance(0.6) else {}
        found |= {"weighted_metrics": spread(weighted)} if draw.chance(0.25) else {}
        found |= {"loss_weights": spread([draw.number(0.1, 2) for _ in goals])} if draw.chance(0.5) else {}
    if len(goals) == 1 and draw.chance(0.08):
        found["loss_weights"] = [draw.number(0.1, 2)]
    return found


def _fitted(
    draw: Draw,
    random: np.random.Generator,
    network: Network,
    goals: list[Any],
    shapes: list[Any],
    xs: list[np.ndarray],
    ys: list[np.ndarray],
    compiled: dict[str, Any],
) -> dict[str, Any]:
    rows = len(xs[0])
    found: dict[str, Any] = {"epochs": draw.randint(1, 3), "batch_size": draw.randint(2, 16)}
    alone = len(goals) == 1
    weighted = None
    if draw.chance(0.35):
        weighted = [_sample_weight(draw, random, goal, shape) for goal, shape in zip(goals, shapes)]
        found["sample_weight"] = weighted[0] if alone else pack(weighted, network.packed_out, network.names_out)
    elif alone and goals[0].kind in ("labels", "classes") and len(shapes[0]) == 2 and draw.chance(0.4):
        found["class_weight"] = {label: draw.number(0.2, 2) for label in range(goals[0].units) if draw.chance(0.7)}
    elif alone and goals[0].kind == "bits" and shapes[0][1:] == (1,) and draw.chance(0.4):
        found["class_weight"] = {0: draw.number(0.2, 2), 1: draw.number(0.2, 2)}
    if "sample_weight" in found or "class_weight" in found:
        _without_weighted_metrics(network, compiled)
    how = draw.pick("", "", "split", "data", "data")
    if how == "split" and rows >= 6:
        found["validation_split"] = draw.pick(0.2, 0.33, 0.5)
    elif how:
        some = slice(0, max(3, rows // 2))
        names_in = [settings.get("name", "") for settings in network.inputs]
        parts = [pack([x[some] for x in xs], network.packed_in, names_in)]
        parts.append(pack([y[some] for y in ys], network.packed_out, network.names_out))
        if weighted is not None and draw.chance(0.5):
            parts.append(pack([weight[some] for weight in weighted], network.packed_out, network.names_out))
        found["validation_data"] = tuple(parts)
        found |= draw.some(0.3, validation_batch_size=draw.randint(2, 9), validation_freq=draw.pick(1, 2))
    optimizer = compiled["optimizer"]
    settings = optimizer.settings if isinstance(optimizer, Part) else {}
    validated = "validation_data" in found or "validation_split" in found
    validated = validated and found.get("validation_freq", 1) == 1
    settings = settings["inner_optimizer"].settings if "inner_optimizer" in settings else settings
    scheduled = isinstance(settings.get("learning_rate"), Part)
    if "validation_data" in found or "validation_split" in found:
        _without_counts(compiled)
    if called := training.callbacks(draw, validated, scheduled, bool(settings.get("use_ema"))):
        found["callbacks"] = called
    return found | (draw.some(0.08, initial_epoch=1) if found["epochs"] > 1 else {})


def _sample_weight(draw: Draw, random: np.random.Generator, goal: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a weight for each sample, or for each step of a sequence and each pixel of an image.

    There, weights of samples have axes of size one: Keras would take plain ones for those of steps. Where the targets
    lack the last axis, of size one, the loss is a mean over the last one of steps: a step has no loss to be weighted.
    """
    averaged = goal.kind == "numbers" and not goal.column and shape[-1] == 1
    if len(shape) == 2 or goal.kind == "text":
        each: tuple[int, ...] = shape[:1]
    elif draw.chance(0.5) and not averaged:
        each = shape[:-1]
    else:
        each = (shape[0], *(len(shape) - 2) * [1])
    found = random.uniform(0.2, 2.0, size=each).astype("float32")
    if draw.chance(0.3):
        found[random.random(each) < 0.3] = 0.0
    return found


def _without_weighted_metrics(network: Network, compiled: dict[str, Any]) -> None:
    """Leave out weighted metrics where something is masked.

    Computing the loss, Keras on torch multiplies the weights by the mask in place, and metrics get the product.
    """
    if "ignore_class" in repr(compiled["loss"]) or "mask" in repr(network.steps).lower():
        compiled.pop("weighted_metrics", None)


def _without_counts(compiled: dict[str, Any]) -> None:
    """Leave out metrics that are counts.

    With validation, Keras on torch writes their value after validation into the history for both.
    """
    counts = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kept(each) for key, each in value.items()}
        if isinstance(value, list):
            return [kept(each) for each in value if not (isinstance(each, Part) and each.name in counts)]
        return value

    for key in ("metrics", "weighted_metrics"):
        if key in compiled:
            compiled[key] = kept(compiled[key])
