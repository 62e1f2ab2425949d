"""Small helpers under Keras's names."""

from uncrumple.callbacks import Progbar
from uncrumple.core.errors import answer_misspellings
from uncrumple.core.messages import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from uncrumple.core.naming import reset_names as clear_session
from uncrumple.core.promotion import standardize_dtype
from uncrumple.core.registry import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from uncrumple.core.seeds import set_random_seed
from uncrumple.data.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from uncrumple.data.from_directory import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from uncrumple.data.get_file import get_file
from uncrumple.data.images import array_to_img, img_to_array, load_img, save_img
from uncrumple.data.py_dataset import PyDataset, Sequence
from uncrumple.data.timeseries import split_dataset, timeseries_dataset_from_array
from uncrumple.models.feature_space import FeatureSpace
from uncrumple.utils import bounding_boxes, legacy
from uncrumple.utils.arrays import normalize, pad_sequences, to_categorical
from uncrumple.utils.config import Config
from uncrumple.utils.plot_model import model_to_dot, plot_model
from uncrumple.utils.symbols import get_source_inputs, is_keras_tensor

__all__ = [
    "Config",
    "CustomObjectScope",
    "FeatureSpace",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "legacy",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

answer_misspellings(__name__)
