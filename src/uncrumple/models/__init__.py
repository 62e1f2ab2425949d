"""Models: layers put together, with a workflow."""

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings
from uncrumple.models.cloning import clone_model
from uncrumple.models.functional import Functional
from uncrumple.models.model import Model
from uncrumple.models.saving import load_model, model_from_json, save_model
from uncrumple.models.sequential import Sequential

registry.add_builtins("models", [Model], module="keras")

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

answer_misspellings(__name__)
