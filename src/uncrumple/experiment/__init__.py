"""The main job in stages: open the data, prepare it, train a network, judge it, write down what was found.

Each stage is a function of what the one before returned, so that a later one
can be run again, and another data set or network slots in.
"""

from uncrumple.experiment.folder import Run, new_folder, read_run
from uncrumple.experiment.networks import network_for, recipe_for
from uncrumple.experiment.recipe import Recipe
from uncrumple.experiment.source import Opened, Source
from uncrumple.experiment.stages import Prepared, Ready, Trained, check_wishes, judge, made_ready, prepare, train
from uncrumple.experiment.written import write_run, write_settings

__all__ = [
    "Opened",
    "Prepared",
    "Ready",
    "Recipe",
    "Run",
    "Source",
    "Trained",
    "check_wishes",
    "judge",
    "made_ready",
    "network_for",
    "new_folder",
    "prepare",
    "read_run",
    "recipe_for",
    "train",
    "write_run",
    "write_settings",
]
