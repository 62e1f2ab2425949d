"""ResNet50 under its older name; see `resnet`."""

from uncrumple.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
