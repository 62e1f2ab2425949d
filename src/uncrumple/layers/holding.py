"""What becomes part of a layer when it is put into an attribute of it: weights, layers, and lists and dicts of them."""

from __future__ import annotations

import sys
from typing import Any

import torch

from uncrumple.core.errors import NoAttribute
from uncrumple.core.variable import Variable
from uncrumple.layers import symbolic
from uncrumple.layers.failures import init_first
from uncrumple.layers.tracking import TrackedDict, TrackedList, holds_parts


class PartHolder(torch.nn.Module):
    """A module that takes as its own what is put into its attributes, and hands it out from there.

    Within a call weights come in the type that is computed in, and while shapes are being found, without numbers.
    """

    name: str
    trainable: Any
    _own_variables: list[Variable]

    @property
    def _label(self) -> str:
        """Class and name, as messages say it: `Dense 'dense_1'`."""
        return f"{type(self).__name__} '{self.name}'"

    def __setattr__(self, name: str, value: Any) -> None:
        # Lists that this package keeps for itself hold weights that are parts already.
        private = name.startswith("_") and sys._getframe(1).f_globals.get("__name__", "").startswith("uncrumple.")
        if isinstance(value, (list, dict)) and "_own_variables" in self.__dict__ and not private:
            if isinstance(value, dict) and (holds_parts(value) or not value):
                value = TrackedDict(value, lambda part: self._adopt(part, name))
            elif isinstance(value, list) and (holds_parts(value) or not value):
                value = TrackedList(value, lambda part: self._adopt(part, name))
        elif isinstance(value, tuple) and holds_parts(value) and not private:
            self._adopt(value, name)
        if isinstance(value, torch.nn.Module) and "_modules" not in self.__dict__:
            raise AttributeError(init_first(self, name))
        if isinstance(value, torch.nn.Parameter):
            if "_parameters" not in self.__dict__:
                raise AttributeError(init_first(self, name))
            for known, parameter in list(self._parameters.items()):
                if parameter is value and known != name:
                    del self._parameters[known]
            before = self._parameters.get(name)
            if isinstance(before, Variable) and not isinstance(value, Variable):  # load_state_dict(assign=True)
                value = before.like(value)
            if isinstance(value, Variable) and not any(value is own for own in self._own_variables):
                self._own_variables.append(value)
        if name == "trainable":  # a property; nn.Module would not see that
            object.__setattr__(self, name, value)
            return
        super().__setattr__(name, value)
        if isinstance(value, torch.nn.Module):
            self._take_along(value)
            if not isinstance(value, PartHolder):
                value.train(self.training)

    def __getattr__(self, name: str) -> Any:
        # nn.Module keeps weights in a dict and finds them here. Within a call
        # they are handed out in the compute type, and while shapes are being
        # found, without numbers.
        inside = self.__dict__
        parameters = inside.get("_parameters")
        if parameters is not None and name in parameters:
            weight = parameters[name]
            if weight is None:
                return None
            if symbolic.state.active:
                # Still a Variable: a layer that assigns to it changes nothing while shapes are found.
                empty = torch.empty_like(weight, device="meta")
                weight = weight.like(empty) if isinstance(weight, Variable) else empty
            cast = inside.get("_weights_as")
            if cast is not None and weight.is_floating_point() and getattr(parameters[name], "autocast", True):
                return weight.to(cast)
            return weight
        if "_modules" not in inside:
            raise AttributeError(init_first(self, name))
        if name not in inside["_modules"] and isinstance(getattr(type(self), name, None), property):
            return getattr(type(self), name).fget(self)  # it raised an AttributeError: let its words be seen
        for parts in (inside["_modules"], inside["_buffers"]):
            if name in parts:
                return parts[name]
        owner = self._label if "name" in inside else type(self).__name__
        fix = f"self.{name} = ... in __init__() or build(), before it is used"
        raise NoAttribute(owner, name, lambda: dir(self), fix)

    def _adopt(self, part: Any, name: str) -> None:
        """Make a layer or weight that sits in a list or dict attribute a part of this layer."""
        if isinstance(part, dict):
            for value in part.values():
                self._adopt(value, name)
        elif isinstance(part, (list, tuple)):
            for value in part:
                self._adopt(value, name)
        elif isinstance(part, torch.nn.Module):
            if not any(part is known for known in self._modules.values()):
                self._modules[_numbered({**self._modules, **self.__dict__}, name)] = part
                self._take_along(part)
                if not isinstance(part, PartHolder):
                    part.train(self.training)
        elif isinstance(part, torch.nn.Parameter):
            if not any(part is known for known in self._parameters.values()):
                self._parameters[_numbered({**self._parameters, **self.__dict__}, name)] = part
            if isinstance(part, Variable) and not any(part is own for own in self._own_variables):
                self._own_variables.append(part)

    def _take_along(self, part: torch.nn.Module) -> None:
        """Freeze a new part, if this layer is frozen; let one without weights make them where `.to()` has sent this."""
        home = self.__dict__.get("_home")
        if home is not None and isinstance(part, PartHolder) and next(part.parameters(), None) is None:
            part.to(home)
        if not self.__dict__.get("_trainable", True):
            if isinstance(part, PartHolder):
                part.trainable = False
            else:
                part.requires_grad_(False)

    def _sublayers(self) -> list[torch.nn.Module]:
        """Return the direct parts of this layer, each once, in the order they were added."""
        return list(dict.fromkeys(module for module in self._modules.values() if module is not None))


def _numbered(taken: Any, wanted: str) -> str:
    """Return a name for one of several parts of an attribute; the name itself is the attribute's."""
    count = 0
    while f"{wanted}_{count}" in taken:
        count += 1
    return f"{wanted}_{count}"
