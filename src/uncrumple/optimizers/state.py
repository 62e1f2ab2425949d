"""What an optimizer keeps: weights, their state, the learning rate and the step count.

State variables exist once and are seen three ways: as Keras's list
`variables` (files hold them in this order), as torch's `state` (a dict per
weight), and as lists with one tensor per weight, which one fused call updates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch

from uncrumple import initializers
from uncrumple.core.errors import explain, warn
from uncrumple.core.naming import auto_name
from uncrumple.core.quick_torch import without_compiler
from uncrumple.core.variable import Variable, set_gradient
from uncrumple.optimizers import checks
from uncrumple.optimizers.host_values import HostVariable, Iterations, LearningRate
from uncrumple.optimizers.schedules import LearningRateSchedule

Tensors = list[torch.Tensor]
# The smallest number above 0 in float16, which rounds smaller epsilons to 0.
LEAST_HALF = 2.0**-24


class Setting:
    """An attribute that lives among torch's group settings, where torch's schedulers can move it.

    Args:
        key: torch's name for it, such as `"momentum"`.
        place: Its place, if torch keeps it in a tuple such as `betas`.
    """

    def __init__(self, key: str, place: int | None = None) -> None:
        self.key = key
        self.place = place

    def __get__(self, owner: Any, _: type) -> Any:
        if owner is None:
            return self
        value = owner._settings.get(self.key, 0.0)
        return value if self.place is None else value[self.place]

    def __set__(self, owner: Any, value: Any) -> None:
        settings = owner._settings
        if self.place is not None:
            values = list(settings.get(self.key, (0.0, 0.0)))
            values[self.place] = value
            settings[self.key] = tuple(values)
        elif self.key in settings:
            settings[self.key] = value
        elif value:  # without the setting, torch's schedulers say by themselves that it cannot be moved
            if owner.built:
                raise ValueError(
                    explain(
                        f"{self.key}={value!r} was set on {owner.name}, which was built without {self.key}.",
                        f"Expected it to be given when the {type(owner).__name__} is made.",
                        f"{type(owner).__name__}({self.key}={value!r})",
                    )
                )
            settings[self.key] = value


class OptimizerState(torch.optim.Optimizer):
    """The part of an optimizer that holds things; `Optimizer` adds the step.

    Args:
        learning_rate: A float, a schedule, or a function without arguments.
        name: Its name; None means the class's in snake case, with a counter.
        gradient_accumulation_steps: Steps that make one update, or None.
    """

    def __init__(self, learning_rate: Any, name: str | None, gradient_accumulation_steps: int | None) -> None:
        owner = type(self).__name__
        self._schedule: Callable[..., Any] | None = None
        if checks.is_schedule(learning_rate):
            self._schedule, learning_rate = learning_rate, 0.0
        # torch wants parameters now; it gets an empty group, and `build` makes the real one.
        super().__init__([{"params": []}], {"lr": checks.learning_rate(owner, learning_rate)})
        self.param_groups = []
        self.name = name or auto_name(owner)
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._iterations = 0
        self._weights: Tensors = []
        self._index: dict[int, int] = {}  # id of a weight -> its place in _weights
        self._variables: list[Variable | HostVariable] = []
        self._loose: list[Variable | HostVariable] = []
        self._slot_names: list[str] = []
        self._slots: list[Tensors] = []
        self._averages: Tensors = []
        self._accumulators: Tensors = []
        self._subset: tuple[tuple[int, ...], Tensors, list[Tensors]] | None = None
        # Inside of a LossScaleOptimizer, Keras does not keep track of what no weight has made; its files lack it.
        self._lists_all = True

    # --- the state of the weights ----------------------------------------------------

    def _take_weights(self, weights: Tensors) -> None:
        if "step" in self.__dict__:
            raise ValueError(
                explain(
                    f"A torch learning rate scheduler was given {type(self).__name__} '{self.name}' before build().",
                    "Expected the optimizer to be built first: the scheduler has nothing to set the rate of.",
                    "optimizer.build(model.trainable_variables); scheduler = StepLR(optimizer, 10)",
                )
            )
        self._weights = weights
        self._index = {id(weight): place for place, weight in enumerate(weights)}
        with without_compiler():
            super().add_param_group({"params": weights})

    def _settle(self) -> None:
        """Note where the weights lie. Called by `build`, and again when they have moved."""
        if self._weights:
            self._device, self._dtype = self._weights[0].device, self._weights[0].dtype

    def _can_fuse(self) -> bool:
        """Return whether torch's fused kernels take these weights: one float type, on one CPU or GPU."""
        places = {(weight.device, weight.dtype) for weight in self._weights}
        if len(places) != 1:
            return False
        ((device, dtype),) = places
        return device.type in ("cpu", "cuda") and dtype in (torch.float32, torch.float64)

    def _follow_weights(self) -> None:
        """Bring the state to where, and to the type that, each weight now is."""
        for weight in self._weights:
            for slot in self.state[weight].values():
                slot.data = slot.data.to(weight.device, weight.dtype if slot.is_floating_point() else slot.dtype)
        for variable in self._loose:
            if isinstance(variable, Variable):
                variable.data = variable.data.to(self._weights[0].device)
        self._gather_slots()
        self._settle()

    def add_variable(
        self, shape: Sequence[int], initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Return a new state variable that belongs to no weight, and keep it with the others.

        Args:
            shape: Its shape.
            initializer: Its first value: an initializer or its name.
            dtype: Its type; None means `floatx()`.
            name: Its name.
        """
        variable = Variable(initializers.get(initializer), shape=tuple(shape), dtype=dtype, trainable=False, name=name)
        variable.path = f"{self.name}/{variable.name}"
        self._add_loose(variable)
        return variable

    def _add_loose(self, variable: Variable | HostVariable) -> None:
        """Keep a variable that belongs to no weight."""
        self._variables.append(variable)
        self._loose.append(variable)

    def add_variable_from_reference(
        self, reference_variable: torch.Tensor, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Return a new state variable with a weight's shape, type and device.

        Args:
            reference_variable: The weight.
            name: What it is, such as `"momentum"`.
            initializer: Its first value: an initializer or its name.
        """
        return self._add_slot(reference_variable, name or "var", initializer)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[torch.Tensor], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """Return one new state variable per weight, or several; `update_weights` is given them.

        Args:
            trainable_variables: The weights that `build` got, or a list of some of them.
            name: What it is, such as `"momentum"`, or a list of names.
            initializer: The first value, or a list with one per name.

        Returns:
            For one name a list with a variable per weight; for a list of
            names, a tuple with one such list each.
        """
        names = [name] if isinstance(name, str) else list(name)
        firsts = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        lists: tuple[list[torch.Tensor], ...] = tuple([] for _ in names)
        # What is not a list (`model.parameters()`) has been run through by `build`.
        chosen = trainable_variables if isinstance(trainable_variables, (list, tuple)) else self._weights
        for weight in dict(zip(map(id, chosen), chosen)).values():  # in the order in which Keras's files hold them
            for made, one_name, first in zip(lists, names, firsts, strict=True):
                made.append(self._add_slot(weight, one_name, first))
        self._slot_names.extend(names)
        self._gather_slots()
        return lists[0] if isinstance(name, str) else lists

    def _gather_slots(self) -> None:
        """List the state again, for `update_weights`.

        As plain tensors over the variables' memory: torch takes a list of
        those twice as fast as a list of a subclass. Where a weight has no
        such state there is None.
        """
        kept = [self.state[weight] for weight in self._weights]
        self._slots = [[of[name].detach() if name in of else None for of in kept] for name in self._slot_names]  # type: ignore[misc]
        self._subset = None

    def _add_slot(self, weight: torch.Tensor, name: str, initializer: Any = "zeros") -> Variable:
        if isinstance(initializer, str) and initializer == "zeros":
            first = torch.zeros_like(weight, requires_grad=False)
        else:
            first = initializers.get(initializer)(tuple(weight.shape), dtype=weight.dtype)
            first = first.to(weight.device, weight.dtype)
        return self._keep_slot(weight, name, first, f"{self._name_of(weight).replace('/', '_')}_{name}")

    def _keep_slot(self, weight: torch.Tensor, name: str, first: torch.Tensor, shown: str) -> Variable:
        """Keep a value, of whatever shape, with a weight; `shown` is its name in Keras's list."""
        slot = Variable(first, trainable=False, name=shown)
        slot.path = f"{self.name}/{shown}"
        self._variables.append(slot)
        self.state[weight][name] = slot
        return slot

    def _name_of(self, weight: torch.Tensor) -> str:
        """Return a weight's path; a plain torch Parameter has none and is named by its place."""
        return getattr(weight, "path", None) or f"parameter_{self._index[id(weight)]}"

    def _get_variable_index(self, variable: torch.Tensor) -> int:
        """Return the place of a weight in the list that `build` got."""
        return self._index[id(variable)]

    @property
    def variables(self) -> list[Any]:
        """Everything it keeps, in Keras's order: step count, learning rate, then the state of the weights."""
        kept: list[Any] = [HostVariable(self, "_iterations", "iteration", "int64")]
        if self._schedule is None:
            kept.append(HostVariable(self, "_rate", "learning_rate", "float32"))
        if self._lists_all:
            return kept + self._variables
        return kept + [one for one in self._variables if one.name != "variable" and one.dtype is not torch.int32]

    def _after_loading(self) -> None:
        """Work out what the loaded variables did not hold."""

    def _pick(self, places: tuple[int, ...]) -> tuple[Tensors, list[Tensors]]:
        """Return the weights and state at some places; a frozen part stays the same for many steps."""
        if self._subset is None or self._subset[0] != places:
            weights = [self._weights[place] for place in places]
            self._subset = (places, weights, [[slot[place] for place in places] for slot in self._slots])
        return self._subset[1], self._subset[2]

    # --- the numbers kept in Python ------------------------------------------------

    @property
    def _settings(self) -> dict[str, Any]:
        """Where torch's schedulers look for the learning rate and momentum."""
        return self.param_groups[0] if self.param_groups else self.defaults

    @property
    def _rate(self) -> float:
        return self._settings["lr"]

    @_rate.setter
    def _rate(self, value: float) -> None:
        self._settings["lr"] = value

    def _current_rate(self) -> float:
        """Return the learning rate of this step; a schedule's is shown in `param_groups` too."""
        schedule = self._schedule
        if schedule is None:
            return self._settings["lr"]
        value = None
        try:
            value = schedule(self._iterations) if isinstance(schedule, LearningRateSchedule) else schedule()
            rate = float(value)
        except Exception as error:
            raise checks.rate_failed(self, schedule, value, error) from None
        if not math.isfinite(rate):
            raise ValueError(checks.say_no_rate(self, schedule, f"{rate}"))
        self._settings["lr"] = rate
        return rate

    @property
    def learning_rate(self) -> Any:
        """The learning rate in effect: a float that also has `assign` and `numpy`."""
        return LearningRate(self._current_rate(), self)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if checks.is_schedule(value):
            self._schedule = value
            return
        owner = type(self).__name__
        if self._schedule is not None:
            raise TypeError(
                explain(
                    f"{owner} was made with a schedule, and learning_rate={value!r} was assigned.",
                    "Expected another schedule: this one would overwrite a number at the next step.",
                    f"make the optimizer with a number, {owner}(learning_rate=0.001), or assign a schedule",
                )
            )
        self._rate = checks.learning_rate(owner, value, whole_numbers=True)

    @property
    def lr(self) -> Any:
        raise AttributeError(self._no_lr())

    @lr.setter
    def lr(self, value: Any) -> None:
        raise AttributeError(self._no_lr())

    def _no_lr(self) -> str:
        return explain(
            f"{type(self).__name__} has no attribute 'lr'.",
            "Expected learning_rate.",
            "optimizer.learning_rate = 0.001",
        )

    @property
    def iterations(self) -> Any:
        """How many updates were made: an int that also has `assign` and `numpy`."""
        return Iterations(self._iterations // (self.gradient_accumulation_steps or 1), self)

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._iterations = int(value) * (self.gradient_accumulation_steps or 1)

    # --- torch's interface ------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all weights.

        Args:
            set_to_none: Whether `.grad` becomes None; otherwise it is filled with zeros.
        """
        for weight in self._weights:
            if set_to_none and "row_gradient" not in weight.__dict__:
                set_gradient(weight, None)  # without the way through `Variable.grad`
            elif set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad = torch.zeros_like(weight.grad)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuse a second group of weights: an optimizer is built once, on one list."""
        if "built" in self.__dict__:
            raise ValueError(
                explain(
                    f"{type(self).__name__} got another group of weights.",
                    "Expected all weights at once, in build().",
                    f"make a new {type(self).__name__}, and build it on all weights",
                )
            )
        with without_compiler():
            super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return the state in torch's form; what belongs to no weight is among the settings of the group."""
        self._check_built()
        self.param_groups[0]["iterations"] = self._iterations
        if self._loose:
            self.param_groups[0]["loose"] = [_plain(variable.value) for variable in self._loose]
        packed = super().state_dict()
        # Plain tensors: torch.load(weights_only=True) knows no other class.
        packed["state"] = {
            place: {name: slot.detach() for name, slot in slots.items()} for place, slots in packed["state"].items()
        }
        return packed

    def load_state_dict(self, state_dict: Any) -> None:
        """Take the state that `state_dict` returned.

        Raises:
            ValueError: It is the state of another kind of optimizer, or of other weights.
        """
        self._check_built()
        own: defaultdict[torch.Tensor, Any] = defaultdict(
            dict, {weight: self.state[weight] for weight in self._weights}
        )
        for place, weight in enumerate(self._weights):
            given = state_dict["state"].get(place, {})
            if set(given) != set(own[weight]):
                raise ValueError(
                    explain(
                        f"The state for '{self._name_of(weight)}' holds: {', '.join(sorted(given)) or 'nothing'}.",
                        f"Expected what {type(self).__name__} keeps: {', '.join(sorted(own[weight])) or 'nothing'}.",
                        "load the state of an optimizer of the same class with the same settings",
                    )
                )
        super().load_state_dict(state_dict)
        loaded = self.state
        with torch.no_grad():
            for weight, slots in own.items():
                for key, slot in slots.items():
                    slot.copy_(loaded[weight][key])
        self.state = own
        self._gather_slots()
        self._iterations = int(self.param_groups[0].get("iterations", 0))
        for variable, value in zip(self._loose, self.param_groups[0].get("loose", ())):
            if isinstance(variable, HostVariable):
                variable.value = value  # as it is: `assign` rounds to what files hold
            else:
                variable.assign(value)

    def __getstate__(self) -> dict[str, Any]:
        # Everything: torch would keep its three fields alone. A scheduler's wrapper of `step` cannot travel.
        return {key: value for key, value in self.__dict__.items() if key != "step"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # Weights are known by id, which changes when they are copied or unpickled.
        self._index = {id(weight): place for place, weight in enumerate(self._weights)}
        self._gather_slots()

    def _check_built(self) -> None:
        if not self.built:
            raise ValueError(
                explain(
                    f"{type(self).__name__} '{self.name}' has no weights yet.",
                    "Expected build() to have been called with the weights to train.",
                    "optimizer.build(model.trainable_variables)",
                )
            )

    # --- files ---------------------------------------------------------------------

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite `variables` with a list of arrays in the same order."""
        self._check_built()
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)
        self._after_loading()

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Put every variable into `store` as an array, under "0", "1", ..."""
        for place, variable in enumerate(self.variables):
            store[str(place)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take every variable from `store`; a store of another size is left alone, with a warning."""
        variables = self.variables
        if len(store) != len(variables):
            warn(
                f"The file holds {len(store)} variables for '{self.name}', which has {len(variables)}.",
                "Expected as many; the optimizer starts afresh.",
                "optimizer.build(model.trainable_variables) before loading"
                if not self.built
                else "compile the model with the optimizer and settings it was saved with",
            )
            return
        for place, variable in enumerate(variables):
            variable.assign(np.asarray(store[str(place)]))
        self._after_loading()


def _plain(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
