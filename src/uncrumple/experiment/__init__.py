"""The main job in stages: prepare the data, train a network, judge it, write down what was found.

Each stage is a function of what the one before returned, so that a later one
can be run again, and another data set or network slots in.
"""

from uncrumple.experiment.folder import Run, new_folder, read_run
from uncrumple.experiment.networks import Recipe, network_for, recipe_for
from uncrumple.experiment.stages import Judged, Prepared, Trained, judge, prepare, train
from uncrumple.experiment.written import write_run

__all__ = [
    "Judged",
    "Prepared",
    "Recipe",
    "Run",
    "Trained",
    "judge",
    "network_for",
    "new_folder",
    "prepare",
    "read_run",
    "recipe_for",
    "train",
    "write_run",
]
