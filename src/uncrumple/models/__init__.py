"""Models: layers put together, with a workflow."""

from typing import TYPE_CHECKING, Any

from uncrumple.core import registry
from uncrumple.core.errors import no_such_name
from uncrumple.models.cloning import clone_model
from uncrumple.models.functional import Functional
from uncrumple.models.model import Model
from uncrumple.models.sequential import Sequential

if TYPE_CHECKING:
    from uncrumple.models.saving import load_model, model_from_json, save_model

registry.add_builtins("models", [Model], module="keras")


def _of_utils(name: str) -> Any:
    """Return a class that Keras offers in `utils`, and that files name."""
    if name != "FeatureSpace":
        return None
    from uncrumple.models.feature_space import FeatureSpace

    return FeatureSpace


registry.add_later("utils", _of_utils)

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def __getattr__(name: str) -> Any:
    if name in ("load_model", "model_from_json", "save_model"):  # they import what is slow to import
        from uncrumple.models import saving

        globals()[name] = found = getattr(saving, name)
        return found
    raise no_such_name(__name__, name, __all__)
