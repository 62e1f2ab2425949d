"""Models: layers put together, with a workflow."""

from uncrumple.core import registry
from uncrumple.models.functional import Functional
from uncrumple.models.model import Model
from uncrumple.models.sequential import Sequential

registry.add_builtins("models", [Model], module="keras")

__all__ = ["Functional", "Model", "Sequential"]
