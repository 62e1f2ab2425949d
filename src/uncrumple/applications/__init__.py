"""Published image networks: built as they were, and given the weights that were trained on ImageNet.

One file per family. Each family's module also holds `preprocess_input`, which
makes images what its weights expect, and `decode_predictions`, which puts
names to the answers.
"""

from uncrumple.applications import (
    convnext,
    densenet,
    efficientnet,
    efficientnet_v2,
    imagenet_utils,
    inception_resnet_v2,
    inception_v3,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    resnet,
    resnet50,
    resnet_v2,
    vgg16,
    vgg19,
    xception,
)
from uncrumple.applications.convnext import ConvNeXtBase, ConvNeXtLarge, ConvNeXtSmall, ConvNeXtTiny, ConvNeXtXLarge
from uncrumple.applications.densenet import DenseNet121, DenseNet169, DenseNet201
from uncrumple.applications.efficientnet import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
)
from uncrumple.applications.efficientnet_v2 import (
    EfficientNetV2B0,
    EfficientNetV2B1,
    EfficientNetV2B2,
    EfficientNetV2B3,
    EfficientNetV2L,
    EfficientNetV2M,
    EfficientNetV2S,
)
from uncrumple.applications.inception_resnet_v2 import InceptionResNetV2
from uncrumple.applications.inception_v3 import InceptionV3
from uncrumple.applications.mobilenet import MobileNet
from uncrumple.applications.mobilenet_v2 import MobileNetV2
from uncrumple.applications.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from uncrumple.applications.nasnet import NASNetLarge, NASNetMobile
from uncrumple.applications.resnet import ResNet50, ResNet101, ResNet152
from uncrumple.applications.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
from uncrumple.applications.vgg16 import VGG16
from uncrumple.applications.vgg19 import VGG19
from uncrumple.applications.xception import Xception
from uncrumple.core.errors import answer_misspellings

__all__ = [
    "VGG16",
    "VGG19",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "Xception",
    "convnext",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "imagenet_utils",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "nasnet",
    "resnet",
    "resnet50",
    "resnet_v2",
    "vgg16",
    "vgg19",
    "xception",
]

answer_misspellings(__name__)
