"""Things to do while a model trains: one callback in each file, called together by `CallbackList`."""

from uncrumple.callbacks.backup_and_restore import BackupAndRestore
from uncrumple.callbacks.callback import Callback
from uncrumple.callbacks.callback_list import CallbackList
from uncrumple.callbacks.csv_logger import CSVLogger
from uncrumple.callbacks.early_stopping import EarlyStopping
from uncrumple.callbacks.history import History
from uncrumple.callbacks.lambda_callback import LambdaCallback
from uncrumple.callbacks.learning_rate_scheduler import LearningRateScheduler
from uncrumple.callbacks.logs import LazyLogs
from uncrumple.callbacks.model_checkpoint import ModelCheckpoint
from uncrumple.callbacks.monitor import MonitorCallback
from uncrumple.callbacks.orbax_checkpoint import OrbaxCheckpoint
from uncrumple.callbacks.progress import Progbar, ProgbarLogger
from uncrumple.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from uncrumple.callbacks.remote_monitor import RemoteMonitor
from uncrumple.callbacks.swap_ema_weights import SwapEMAWeights
from uncrumple.callbacks.tensorboard import TensorBoard
from uncrumple.callbacks.terminate_on_nan import TerminateOnNaN
from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LazyLogs",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "OrbaxCheckpoint",
    "Progbar",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]

registry.add_builtins(
    "callbacks",
    [
        BackupAndRestore,
        CSVLogger,
        Callback,
        CallbackList,
        EarlyStopping,
        History,
        LambdaCallback,
        LearningRateScheduler,
        ModelCheckpoint,
        ProgbarLogger,
        ReduceLROnPlateau,
        RemoteMonitor,
        SwapEMAWeights,
        TensorBoard,
        TerminateOnNaN,
    ],
)

answer_misspellings(__name__)
