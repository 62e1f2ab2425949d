"""What `compile` was given, matched to the outputs of the model: losses, metrics and their names.

Which loss belongs to which output, and what "accuracy" means, depends on the
shapes of targets and predictions. Both are settled once, when these are seen.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import torch

from uncrumple import losses as losses_room
from uncrumple import metrics as metrics_room
from uncrumple.core import registry, tree
from uncrumple.core.errors import closest, explain, one_of


def names_of_outputs(y_pred: Any, output_names: list[str] | None) -> list[str | None]:
    """Return the names of the outputs, in the order of `by_output`; None for outputs without names.

    Outputs in structures within structures are named by the way to them: `"head/dense_1"`.
    """
    ways = tree.paths(y_pred)
    if max(len(way) for way in ways) > 1:
        own = output_names if output_names and len(output_names) == len(ways) else [str(way[-1]) for way in ways]
        ends = [name if isinstance(way[-1], int) else way[-1] for way, name in zip(ways, own)]
        return ["/".join(map(str, (*way[:-1], end))) for way, end in zip(ways, ends)]
    if isinstance(y_pred, dict):
        if output_names and set(output_names) == set(y_pred):
            return list(output_names)
        return sorted(y_pred)
    count = len(tree.flatten(y_pred))
    if output_names and len(output_names) == count:
        return list(output_names)
    return [None] * count


def _are_ways(names: list[Any]) -> bool:
    """Return whether outputs lie in structures within structures; names of layers have no slash."""
    return any(name is not None and "/" in name for name in names)


def _shown(names: list[Any]) -> list[str]:
    """Return names for messages, where outputs without names are numbered."""
    return [f"output_{index}" if name is None else name for index, name in enumerate(names)]


def _free(name: str, taken: Counter[str]) -> str:
    """Return `name`, with a number if it is taken: mae, mae_1, ..."""
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}_{taken[name] - 1}"


def by_output(structure: Any, names: list[Any]) -> list[Any]:
    """Return a structure of targets, predictions or weights as a list in the order of `names`."""
    if _are_ways(names) and tree.is_nested(structure):
        return tree.flatten(structure)
    if isinstance(structure, dict) and any(name is not None for name in names):
        return [structure.get(name) for name in names]
    if tree.is_nested(structure):
        return tree.flatten(structure) if len(structure) != len(names) else list(structure)
    return [structure]


def targets_by_output(y_true: Any, names: list[Any], losses: list[Any]) -> list[Any]:
    """Return the target of each output; where only outputs with a loss have one, None for the others."""
    targets = by_output(y_true, names)
    if len(targets) == len(names):
        return targets
    wanted = [index for index, loss in enumerate(losses) if loss is not None]
    if len(targets) == len(wanted):
        spread: list[Any] = [None] * len(names)
        for index, target in zip(wanted, targets):
            spread[index] = target
        return spread
    raise ValueError(
        explain(
            f"The model has {len(names)} outputs, and y has targets for {len(targets)}.",
            f"Expected one array of targets per output: {_shown(names)}.",
            f"y = [{', '.join('y_' + name for name in _shown(names))}]",
        )
    )


def _kind_of_classes(y_true: Any, y_pred: Any) -> str:
    """Return "binary", "sparse_categorical" or "categorical", as the shapes say."""
    if y_pred.shape[-1] == 1:
        return "binary"
    if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
        return "sparse_categorical"
    return "categorical"


def make_loss(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    """Return the `Loss` that a name, a function or a `Loss` stands for."""
    if identifier is None or isinstance(identifier, losses_room.Loss):
        return identifier
    found = identifier
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        found = losses_room.get(f"{_kind_of_classes(y_true, y_pred)}_crossentropy")
    else:
        found = losses_room.get(identifier)
    if isinstance(found, losses_room.Loss):
        return found
    if isinstance(found, type):
        return found()
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", "loss")
    cls = _class_of_function().get(found)
    return cls(name=name) if cls is not None else losses_room.LossFunctionWrapper(found, name=name)


@functools.cache
def _class_of_function() -> dict[Any, Any]:
    """Return {function: class} of the built-in losses: the class knows the short way to the mean of a batch."""
    table = {}
    for cls in registry.builtins("losses").values():
        if isinstance(cls, type) and cls is not losses_room.LossFunctionWrapper:
            table[getattr(cls(), "fn", None)] = cls
    return table


def make_metric(identifier: Any, y_true: Any, y_pred: Any) -> Any:
    """Return the `Metric` that a name, a function or a `Metric` stands for; "accuracy" goes by the shapes."""
    name = identifier if isinstance(identifier, str) else None
    if name is not None and name.lower() in ("accuracy", "acc", "crossentropy", "ce"):
        kind = _kind_of_classes(y_true, y_pred)
        what = "accuracy" if name.lower() in ("accuracy", "acc") else "crossentropy"
        found = metrics_room.get(f"{kind}_{what}")
    else:
        found = metrics_room.get(identifier)
    if isinstance(found, type):
        found = found()
    if not isinstance(found, metrics_room.Metric):
        found = metrics_room.MeanMetricWrapper(found, name=name or getattr(found, "__name__", "metric"))
    if name is not None:
        found.name = name
    return found


class CompiledLoss:
    """The total loss of a model: the sum of its outputs' losses, each with its weight.

    Args:
        loss: One loss, or a list or dict with one per output; None entries are left out.
            A list in the place of a loss stands for the sum of those in it.
        loss_weights: Numbers in the same arrangement.
        output_names: Names of the outputs, for dicts.
    """

    name = "compile_loss"

    def __init__(self, loss: Any, loss_weights: Any = None, output_names: list[str] | None = None) -> None:
        self.loss, self.loss_weights, self.output_names = loss, loss_weights, output_names
        self.built = False
        self.metrics: list[Any] = []

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Settle which loss belongs to which output."""
        self._names = names_of_outputs(y_pred, self.output_names)
        count = len(self._names)
        self._given = given = _per_output("loss", self.loss, self._names)
        weights = _per_output("loss_weights", self.loss_weights, self._names)
        targets = targets_by_output(y_true, self._names, given)
        predictions = by_output(y_pred, self._names)
        order = list(range(count))
        if isinstance(y_pred, dict) and isinstance(self.loss, dict) and set(self.loss) <= set(self._names):
            order = [self._names.index(name) for name in self.loss]
        elif isinstance(y_pred, dict) and isinstance(self.loss, dict) and set(self.loss) == set(y_pred):
            places, ways = list(self.loss), tree.paths(y_pred)
            order.sort(key=lambda index: places.index(ways[index][0]))
        order = [index for index in order if given[index] is not None]
        chosen = []
        for index in order:
            if targets[index] is None:
                raise ValueError(
                    explain(
                        f"The output '{_shown(self._names)[index]}' has a loss and no targets.",
                        "Expected targets for every output that has a loss.",
                        f"y = {{{', '.join(repr(name) + ': ...' for name in _shown(self._names))}}}",
                    )
                )
            several = isinstance(given[index], (list, tuple))
            for identifier, weight in _with_weights(given[index], weights[index], _shown(self._names)[index]):
                loss = make_loss(identifier, targets[index], predictions[index])
                name = self._names[index]
                parts = [name] if name is not None and count > 1 else []
                way, _, end = (name or "").rpartition("/")
                if self.output_names is None and way and end.isdecimal():
                    parts = [f"{way}/{loss.name}"]  # Keras's name for an output without one
                elif several or not parts:
                    parts.append(loss.name)
                chosen.append((index, loss, weight, "_".join([*parts, "loss"])))
        seen: Counter[str] = Counter()
        self._terms = [
            (index, loss, weight, metrics_room.Mean(name=_free(name, seen)) if len(chosen) > 1 else None)
            for index, loss, weight, name in chosen
        ]
        self.metrics = [term[3] for term in self._terms if term[3] is not None]
        self._only = self._terms[0][1] if count == len(self._terms) == 1 and self._terms[0][2] is None else None
        self.built = True

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        if not self.built:
            self.build(y_true, y_pred)
        if self._only is not None and isinstance(y_true, torch.Tensor) and isinstance(y_pred, torch.Tensor):
            return self._only(y_true, y_pred, sample_weight)
        targets = targets_by_output(y_true, self._names, self._given)
        predictions = by_output(y_pred, self._names)
        weights = by_output(sample_weight, self._names)
        if len(weights) == 1:
            weights = weights * len(self._names)
        total: Any = None
        for index, loss, weight, tracker in self._terms:
            value = loss(targets[index], predictions[index], weights[index])
            if tracker is not None:
                tracker.update_state(value.detach(), sample_weight=predictions[index].shape[0])
            if weight is not None:
                value = value * weight
            total = value if total is None else total + value
        return total


class CompiledMetrics(metrics_room.Metric):
    """All metrics that `compile` was given, as one.

    Args:
        metrics: Metrics that leave sample weights out.
        weighted_metrics: Metrics that use them.
        output_names: Names of the outputs, for dicts.
        loss: What `compile` got as loss: it says which outputs have targets, where not all have.
    """

    def __init__(
        self, metrics: Any, weighted_metrics: Any, output_names: list[str] | None = None, loss: Any = None
    ) -> None:
        super().__init__(name="compile_metrics")
        self._user_metrics, self._user_weighted, self._user_loss = metrics, weighted_metrics, loss
        self.output_names = output_names
        self.built = False
        self._entries: list[tuple[int, Any, str, bool]] = []

    @property
    def metrics(self) -> list[Any]:
        return [entry[1] for entry in self._entries]

    @property
    def names(self) -> list[str]:
        """The names that the results go by."""
        return [entry[2] for entry in self._entries]

    @property
    def variables(self) -> list[Any]:
        return [variable for metric in self.metrics for variable in metric.variables]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Settle which metrics belong to which output, and their names."""
        self._names = names_of_outputs(y_pred, self.output_names)
        count = len(self._names)
        self._losses = _per_output("loss", self._user_loss, self._names)
        targets, predictions = targets_by_output(y_true, self._names, self._losses), by_output(y_pred, self._names)
        seen: Counter[str] = Counter()
        self._entries = []
        named = count > 1 and not (self.output_names is None and _are_ways(self._names))
        for weighted, given in ((False, self._user_metrics), (True, self._user_weighted)):
            for index, some in enumerate(_metrics_per_output(given, self._names)):
                for identifier in some:
                    if targets[index] is None:
                        raise ValueError(
                            explain(
                                f"The output '{_shown(self._names)[index]}' has a metric and no targets.",
                                "Expected targets for every output that has metrics.",
                                "pass y as a dict with the names of the outputs",
                            )
                        )
                    metric = make_metric(identifier, targets[index], predictions[index])
                    prefix = f"{self._names[index]}_" if named and self._names[index] is not None else ""
                    name = f"{prefix}{metric.name}"
                    if seen[name] and weighted:
                        name = f"{prefix}weighted_{metric.name}"
                    self._entries.append((index, metric, _free(name, seen), weighted))
        self._single = count == 1
        self._any_weighted = any(entry[3] for entry in self._entries)
        self._updates = [metric.update_state for _, metric, _, weighted in self._entries if not weighted]
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not self.built:
            self.build(y_true, y_pred)
        if (
            self._single
            and not self._any_weighted
            and isinstance(y_true, torch.Tensor)
            and isinstance(y_pred, torch.Tensor)
        ):
            for update in self._updates:
                update(y_true, y_pred)
            return
        targets, predictions = targets_by_output(y_true, self._names, self._losses), by_output(y_pred, self._names)
        weights = by_output(sample_weight, self._names)
        if len(weights) == 1:
            weights = weights * len(self._names)
        for index, metric, _, weighted in self._entries:
            if weighted:
                metric.update_state(targets[index], predictions[index], weights[index])
            else:
                metric.update_state(targets[index], predictions[index])

    def result(self) -> dict[str, Any]:
        return {name: metric.result() for _, metric, name, _ in self._entries}

    def reset_state(self) -> None:
        for _, metric, _, _ in self._entries:
            metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(
            explain("CompiledMetrics has no config.", "Expected the metrics themselves.", "model.get_compile_config()")
        )


def _per_output(argument: str, given: Any, names: list[Any]) -> list[Any]:
    """Return one entry per output for a value that is given once, as a list, or as a dict."""
    by_way = isinstance(given, dict) and set(given) <= set(names)
    if _are_ways(names) and tree.is_nested(given) and not by_way:
        given = tree.flatten(given)
    if isinstance(given, dict):
        known = [name for name in names if name is not None]
        for name in given:
            if name not in known:
                if not known and len(given) == 1 and len(names) == 1:
                    return list(given.values())
                raise ValueError(_no_output(argument, name, known))
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        if len(names) == 1 < len(given):
            return [given]  # several losses for the only output
        if len(given) != len(names):
            raise ValueError(
                explain(
                    f"compile got {len(given)} entries in {argument}.",
                    f"Expected {len(names)}, one per output: {_shown(names)}.",
                    f"{argument} = [..., ...] with {len(names)} entries",
                )
            )
        return list(given)
    return [given] * len(names)


def _with_weights(losses: Any, weights: Any, output: str) -> list[tuple[Any, Any]]:
    """Return (loss, weight) for each loss of one output; the weight of an output counts for all its losses."""
    losses = list(losses) if isinstance(losses, (list, tuple)) else [losses]
    if not isinstance(weights, (list, tuple)):
        return [(loss, weights) for loss in losses if loss is not None]
    if len(weights) != len(losses):
        raise ValueError(
            explain(
                f"compile got {len(weights)} entries in loss_weights for the output '{output}'.",
                f"Expected {len(losses)}, one per loss.",
                f"loss_weights = [{', '.join(['1.0'] * len(losses))}]",
            )
        )
    return [(loss, weight) for loss, weight in zip(losses, weights) if loss is not None]


def _no_output(argument: str, name: str, known: list[Any]) -> str:
    guess = closest(name, known)
    return explain(
        f"compile got {argument} for the output '{name}', which the model does not have.",
        one_of(name, known) if known else "Expected a list: the outputs of this model have no names.",
        f"did you mean '{guess}'?" if guess else f"{argument}={{...}} with these names, or a list in their order",
    )


def _metrics_per_output(given: Any, names: list[Any]) -> list[list[Any]]:
    """Return a list of metrics per output for what `compile` got as metrics."""
    if not given:
        return [[] for _ in names]
    if len(names) == 1:
        if isinstance(given, dict):
            known = [name for name in names if name is not None]
            for name in given:
                if known and name not in known:
                    raise ValueError(_no_output("metrics", name, known))
            given = list(given.values())
        return [[metric for metric in tree.flatten(given) if metric is not None]]
    if isinstance(given, dict):
        given = _per_output("metrics", given, names)
    if not isinstance(given, (list, tuple)) or len(given) != len(names):
        shown = [metric if isinstance(metric, str) else type(metric).__name__ for metric in tree.flatten(given)]
        raise ValueError(
            explain(
                f"compile got metrics={shown} for {len(names)} outputs.",
                f"Expected a dict by output name, or a list with one entry per output: {_shown(names)}.",
                f"metrics={{{names[0]!r}: {shown[:1]}}}" if names[0] is not None else f"metrics=[{shown[:1]}, ...]",
            )
        )
    return [[] if some is None else [m for m in tree.flatten(some) if m is not None] for some in given]
