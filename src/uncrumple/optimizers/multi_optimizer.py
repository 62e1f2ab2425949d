"""Several optimizers in one: each weight follows the one that is meant for it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any

import torch

from uncrumple.core import registry
from uncrumple.core.errors import explain
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.host_values import HostVariable
from uncrumple.optimizers.loss_scale_optimizer import LossScaleOptimizer
from uncrumple.optimizers.state import Tensors


class OptimizerMap(MutableMapping):
    """A dict from paths of weights, or regular expressions for them, to optimizers.

    A path such as `"encoder/dense/kernel"` is looked up as it is, and then
    among the regular expressions, of which one must match all of it; a path
    that is not there gets the default.

    Args:
        default_optimizer: The optimizer for all other weights.
        optimizer_map: A dict to begin with.

    Raises:
        TypeError: `default_optimizer` is not an optimizer, or `optimizer_map` not a dict.
        ValueError: A key is not a string or is there already, or a value is
            not an optimizer or is one that holds others.

    Example:
        >>> from uncrumple.optimizers import SGD, Adam
        >>> chosen = OptimizerMap(SGD(name="slow"), {"encoder/.*": Adam(name="fast")})
        >>> chosen["encoder/dense/kernel"].name, chosen["decoder/dense/kernel"].name
        ('fast', 'slow')
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(
                explain(
                    f"OptimizerMap got default_optimizer={default_optimizer!r}.",
                    "Expected an optimizer of this package.",
                    'OptimizerMap(SGD(0.01), {"encoder/.*": Adam(0.001)})',
                )
            )
        _check_alone("OptimizerMap", default_optimizer)
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(
                explain(
                    f"OptimizerMap got optimizer_map={optimizer_map!r}.",
                    "Expected a dict from paths of weights to optimizers.",
                    'OptimizerMap(SGD(0.01), {"encoder/.*": Adam(0.001)})',
                )
            )
        self._default_optimizer = default_optimizer
        self._optimizer_map: dict[str, Optimizer] = {}
        self.update(optimizer_map or {})

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of weights that no key fits."""
        return self._default_optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._optimizer_map:
            return self._optimizer_map[key]
        fitting = [pattern for pattern in self._optimizer_map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise ValueError(
                explain(
                    f"The weight '{key}' fits {len(fitting)} keys of the OptimizerMap: {', '.join(map(repr, fitting))}.",
                    "Expected at most one.",
                    f"narrow the patterns, or add the path itself: optimizer_map[{key!r}] = ...",
                )
            )
        return self._optimizer_map[fitting[0]] if fitting else self._default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str):
            raise ValueError(
                explain(
                    f"OptimizerMap got the key {key!r}, of type {type(key).__name__}.",
                    "Expected the path of a weight, or a regular expression for paths.",
                    'optimizer_map["encoder/.*"] = Adam(0.001)',
                )
            )
        if key in self._optimizer_map:
            raise ValueError(
                explain(
                    f"OptimizerMap got the key {key!r} twice.",
                    f"Expected it once; it stands for {self._optimizer_map[key]!r}.",
                    f"del optimizer_map[{key!r}], and set it anew",
                )
            )
        try:
            re.compile(key)
        except re.error as error:
            raise ValueError(
                explain(
                    f"OptimizerMap got the key {key!r}, which is no regular expression: {error}.",
                    "Expected the path of a weight, or a regular expression for paths.",
                    f"optimizer_map[{re.escape(key)!r}] = ...",
                )
            ) from error
        if not isinstance(optimizer, Optimizer):
            raise ValueError(
                explain(
                    f"OptimizerMap got {optimizer!r} for {key!r}.",
                    "Expected an optimizer of this package.",
                    f"optimizer_map[{key!r}] = Adam(0.001)",
                )
            )
        _check_alone("OptimizerMap", optimizer)
        self._optimizer_map[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._optimizer_map[key]

    def __len__(self) -> int:
        return len(self._optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer_map)

    def __call__(self, variable: Any) -> Optimizer:
        """Return the optimizer for a weight."""
        return self[getattr(variable, "path", "")]

    def get_config(self) -> dict[str, Any]:
        """Return the optimizers' configs by their keys."""
        return {
            "default_optimizer": registry.serialize_keras_object(self._default_optimizer),
            "optimizer_map": registry.serialize_keras_object(self._optimizer_map),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Return a map as `config` says."""
        return cls(
            registry.deserialize_keras_object(config["default_optimizer"], custom_objects),
            registry.deserialize_keras_object(config["optimizer_map"], custom_objects),
        )


class MultiOptimizer(Optimizer):
    """Give each weight to one of several optimizers, each with its own learning rate and settings.

    A torch learning rate scheduler sees one group of weights for each of them.

    Args:
        optimizer_map: An `OptimizerMap`, or a function that gets a weight and
            returns its optimizer: the same object for weights that go together.
        loss_scale_factor: Replaces that of the optimizers inside: the loss is
            multiplied by it, and the gradients divided.
        name: Its name.

    Example:
        >>> from uncrumple.optimizers import SGD, Lion
        >>> bias, kernel = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1, 1))
        >>> slow, fast = SGD(0.01), Lion(0.1)
        >>> optimizer = MultiOptimizer(lambda weight: fast if weight.dim() > 1 else slow)
        >>> optimizer.build([bias, kernel])
        >>> (kernel * 2.0 + bias).sum().backward()
        >>> optimizer.step()
        >>> bias.item(), kernel.item()
        (0.99..., 0.89...)
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Any], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(optimizer_map, (Optimizer, type)) or not callable(optimizer_map):
            raise TypeError(
                explain(
                    f"MultiOptimizer got optimizer_map={optimizer_map!r}.",
                    "Expected an OptimizerMap, or a function that returns the optimizer for a weight.",
                    'MultiOptimizer(OptimizerMap(SGD(0.01), {"encoder/.*": Adam(0.001)}))',
                )
            )
        self._inner_optimizers: list[Optimizer] = []
        super().__init__(learning_rate=0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map = optimizer_map
        # For each optimizer inside, the places of its weights; and the way back.
        self._places: list[list[int]] = []
        self._homes: list[tuple[int, int]] = []
        self._own_rate = 0.0
        if isinstance(optimizer_map, OptimizerMap):
            for one in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._take_in(one)

    def _take_in(self, optimizer: Optimizer) -> int:
        """Return the number of an optimizer among those inside, after adding it if it is new."""
        for number, one in enumerate(self._inner_optimizers):
            if one is optimizer:
                return number
        optimizer.loss_scale_factor = self.loss_scale_factor
        self._inner_optimizers.append(optimizer)
        self._places.append([])
        return len(self._inner_optimizers) - 1

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights, and build each optimizer inside on its own."""
        if self.built:
            return
        weights = list({id(weight): weight for weight in var_list}.values())
        chosen = [self._choose(weight, place) for place, weight in enumerate(weights)]
        super().build(weights)
        for place, one in enumerate(chosen):
            number = self._take_in(one)
            self._homes.append((number, len(self._places[number])))
            self._places[number].append(place)
        for one, places in zip(self._inner_optimizers, self._places):
            if self._excluded or self._excluded_names:
                one._excluded, one._excluded_names = self._excluded, self._excluded_names
            one._lists_all = self._lists_all
            if places:
                one.build([weights[place] for place in places])
        self._share()

    def _choose(self, weight: torch.Tensor, place: int) -> Optimizer:
        chooser = self._optimizer_map
        name = getattr(weight, "path", None) or f"parameter_{place}"
        chosen = chooser[name] if isinstance(chooser, OptimizerMap) else chooser(weight)
        if not isinstance(chosen, Optimizer):
            raise ValueError(
                explain(
                    f"The function of {self.name} returned {chosen!r} for the weight '{name}'.",
                    "Expected an optimizer of this package for each weight.",
                    "end the function with: return default_optimizer",
                )
            )
        _check_alone("MultiOptimizer", chosen)
        if chosen.built:
            raise ValueError(
                explain(
                    f"The optimizer '{chosen.name}' inside of {self.name} has been built on other weights.",
                    "Expected optimizers that are new.",
                    f"make a new {type(chosen).__name__}, and a new MultiOptimizer",
                )
            )
        return chosen

    def _share(self) -> None:
        """Show the groups and state of the optimizers inside, which torch's tools read and move."""
        built = [one for one in self._inner_optimizers if one.built]
        if built:
            self.param_groups = [group for one in built for group in one.param_groups]
        self.state = defaultdict(dict, {weight: one.state[weight] for one in built for weight in one._weights})

    def _apply(self, gradients: Tensors, places: tuple[int, ...] | None = None) -> None:
        if places is None:
            for one, own in zip(self._inner_optimizers, self._places):
                if own:
                    one._apply([gradients[place] for place in own])
        else:
            given: list[dict[int, torch.Tensor]] = [{} for _ in self._inner_optimizers]
            for place, gradient in zip(places, gradients):
                number, inner_place = self._homes[place]
                given[number][inner_place] = gradient
            for one, pairs in zip(self._inner_optimizers, given):
                if pairs:
                    one._apply(list(pairs.values()), tuple(pairs))
        self._iterations += 1

    def _after_loading(self) -> None:
        for one in self._inner_optimizers:
            one._after_loading()

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers inside."""
        return self._inner_optimizers

    @property
    def variables(self) -> list[Any]:
        """Its own two numbers, then what each optimizer inside keeps."""
        own = [
            HostVariable(self, "_iterations", "iteration", "int64"),
            HostVariable(self, "_own_rate", "learning_rate", "float32"),
        ]
        return own + [variable for one in self._inner_optimizers for variable in one.variables]

    @property
    def loss_scale_factor(self) -> float | None:
        """What the loss is multiplied by, for all optimizers inside."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for one in self._inner_optimizers:
            one.loss_scale_factor = value

    @property
    def learning_rate(self) -> Any:
        raise AttributeError(self._no_rate())

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError(self._no_rate())

    def _no_rate(self) -> str:
        return explain(
            "MultiOptimizer has no learning_rate of its own.",
            "Expected one of the optimizers inside.",
            "for one in optimizer.optimizers: one.learning_rate = 0.001",
        )

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Name the weights that the weight decay of the optimizers inside leaves alone."""
        super().exclude_from_weight_decay(var_list, var_names)
        for one in self._inner_optimizers if self.built else ():
            one.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Sequence[torch.Tensor]) -> None:
        """Put moving averages in place of the weights whose optimizer keeps one.

        Args:
            var_list: The weights that the optimizer was built with, in order.
        """
        var_list = list(var_list)
        if len(var_list) != len(self._weights):
            raise ValueError(
                explain(
                    f"{self.name} got {len(var_list)} weights to replace by their averages.",
                    f"Expected the {len(self._weights)} it was built with.",
                    "optimizer.finalize_variable_values(model.trainable_variables)",
                )
            )
        for one, places in zip(self._inner_optimizers, self._places):
            if places:
                one.finalize_variable_values([var_list[place] for place in places])

    def state_dict(self) -> dict[str, Any]:
        """Return the state in torch's form: a group for each optimizer inside that has weights."""
        self._check_built()
        groups: list[dict[str, Any]] = []
        state: dict[int, Any] = {}
        for one in self._inner_optimizers:
            if not one.built:
                continue
            packed, before = one.state_dict(), sum(len(group["params"]) for group in groups)
            state.update({place + before: slots for place, slots in packed["state"].items()})
            for group in packed["param_groups"]:
                groups.append({**group, "params": [place + before for place in group["params"]]})
        for group in groups[:1]:
            group["iterations_of_all"] = self._iterations
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Any) -> None:
        """Take the state that `state_dict` returned.

        Raises:
            ValueError: It is the state of other optimizers, or of other weights.
        """
        self._check_built()
        built = [one for one in self._inner_optimizers if one.built]
        groups = state_dict["param_groups"]
        sizes, wanted = [len(group["params"]) for group in groups], [len(one._weights) for one in built]
        if sizes != wanted:
            raise ValueError(
                explain(
                    f"The state has groups of {', '.join(map(str, sizes)) or 'no'} weights.",
                    f"Expected groups of {', '.join(map(str, wanted)) or 'no'} weights, as {self.name} has them.",
                    "load the state of a MultiOptimizer with the same map, built on the same weights",
                )
            )
        for one, group in zip(built, groups):
            before = group["params"][0] if group["params"] else 0
            state = {place - before: state_dict["state"].get(place, {}) for place in group["params"]}
            one.load_state_dict({"state": state, "param_groups": [{**group, "params": list(range(len(state)))}]})
        self._share()
        for group in groups[:1]:
            self._iterations = int(group.get("iterations_of_all", 0))

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            "optimizer_map": registry.serialize_keras_object(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Return an optimizer with the settings in `config`."""
        chooser = registry.deserialize_keras_object(config["optimizer_map"], custom_objects)
        return cls(**{**config, "optimizer_map": chooser})

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self._inner_optimizers))
        return f"<{type(self).__name__} '{self.name}', iterations={self._iterations}, of [{inside}]>"


def _check_alone(owner: str, optimizer: Optimizer) -> None:
    """Refuse optimizers that hold others: each weight is to have one, and the loss one scale."""
    if isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        kind = type(optimizer).__name__
        scaled = isinstance(optimizer, LossScaleOptimizer)
        raise ValueError(
            explain(
                f"{owner} got a {kind}.",
                "Expected optimizers that hold no others.",
                "LossScaleOptimizer(MultiOptimizer(...))" if scaled else "one OptimizerMap with all keys",
            )
        )
