"""Training on several processes at once, under Keras's names and on `torch.distributed`.

torch runs one process per device: start a program with `torchrun
--nproc-per-node 2 program.py` (or call `initialize` with addresses in each
process), set a `DataParallel`, and `fit` and `evaluate` share the work:

    keras.distribution.initialize()
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    model.fit(x, y)

Each process learns from its share of every batch, gradients are averaged
before each update, and metrics are those of all samples.
"""

from uncrumple.core.errors import answer_misspellings
from uncrumple.distribution.devices import DeviceMesh, get_device_count, list_devices
from uncrumple.distribution.layouts import LayoutMap, TensorLayout, distribute_tensor
from uncrumple.distribution.processes import initialize, process_count, process_number, together  # noqa: F401 - for training
from uncrumple.distribution.sharing import DataParallel, ModelParallel, distribution, set_distribution

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]

answer_misspellings(__name__)
