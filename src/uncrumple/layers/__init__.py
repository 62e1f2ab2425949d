"""What a network is made of. One family per file; a new layer is a file and a line here."""

from typing import Any

from uncrumple.core import registry
from uncrumple.core.errors import answer_misspellings
from uncrumple.layers.activation_layers import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from uncrumple.layers.adaptive_pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
)
from uncrumple.layers.attention import AdditiveAttention, Attention, GroupedQueryAttention, MultiHeadAttention
from uncrumple.layers.augmentation import (
    AugMix,
    AutoContrast,
    CenterCrop,
    ContrastLimitedAdaptiveHistogramEqualization,
    CutMix,
    Equalization,
    MaxNumBoundingBoxes,
    MelSpectrogram,
    MixUp,
    Pipeline,
    RandAugment,
    RandomBrightness,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomContrast,
    RandomCrop,
    RandomElasticTransform,
    RandomErasing,
    RandomFlip,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPerspective,
    RandomPosterization,
    RandomRotation,
    RandomSaturation,
    RandomSharpness,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    Resizing,
    Solarization,
    STFTSpectrogram,
)
from uncrumple.layers.base import Layer
from uncrumple.layers.batch_normalization import BatchNormalization
from uncrumple.layers.convolution import Conv1D, Conv2D, Conv3D
from uncrumple.layers.convolution_depthwise import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from uncrumple.layers.convolution_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from uncrumple.layers.core import Identity, Lambda
from uncrumple.layers.dense import Dense
from uncrumple.layers.einsum_dense import EinsumDense
from uncrumple.layers.embedding import Embedding
from uncrumple.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from uncrumple.layers.input import Input, InputLayer
from uncrumple.layers.input_spec import InputSpec
from uncrumple.layers.layer_normalization import (
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from uncrumple.layers.masking import Masking
from uncrumple.layers.maxout import Maxout
from uncrumple.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from uncrumple.layers.operation import TorchFunction
from uncrumple.layers.padding import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from uncrumple.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from uncrumple.layers.preprocessing import (
    CategoryEncoding,
    Discretization,
    HashedCrossing,
    Hashing,
    IntegerLookup,
    Normalization,
    Rescaling,
    StringLookup,
    TextVectorization,
)
from uncrumple.layers.recurrent import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)
from uncrumple.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from uncrumple.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from uncrumple.layers.reversible_embedding import ReversibleEmbedding
from uncrumple.layers.serialization import deserialize, serialize
from uncrumple.layers.spectral_normalization import SpectralNormalization
from uncrumple.layers.symbolic import SymbolicTensor
from uncrumple.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D
from uncrumple.layers.wrappers import TimeDistributed, TorchModuleWrapper, Wrapper

_LAYERS = [
    *(Activation, ActivityRegularization, Add, AlphaDropout, Average, AveragePooling1D, AveragePooling2D),
    *(AveragePooling3D, BatchNormalization, Concatenate, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D),
    *(Conv3DTranspose, Cropping1D, Cropping2D, Cropping3D, Dense, DepthwiseConv1D, DepthwiseConv2D, Dot, Dropout, ELU),
    *(Flatten, GaussianDropout, GaussianNoise, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D),
    *(GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D, GroupNormalization, Identity, InputLayer, Lambda),
    *(LayerNormalization, LeakyReLU, MaxPooling1D, MaxPooling2D, MaxPooling3D, Maximum, Minimum, Multiply),
    *(Normalization, PReLU, Permute, RMSNormalization, ReLU, RepeatVector, Rescaling, Reshape, SeparableConv1D),
    *(SeparableConv2D, Softmax, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D, Subtract, TimeDistributed),
    *(TorchFunction, TorchModuleWrapper, UnitNormalization, UpSampling1D, UpSampling2D, UpSampling3D, Wrapper),
    *(ZeroPadding1D, ZeroPadding2D, ZeroPadding3D),
    *(Bidirectional, Embedding, GRU, GRUCell, LSTM, LSTMCell, Masking, RNN, SimpleRNN, SimpleRNNCell, StackedRNNCells),
    *(AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D, AdaptiveMaxPooling1D),
    *(AdaptiveMaxPooling2D, AdaptiveMaxPooling3D, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, Maxout, SpectralNormalization),
    *(AdditiveAttention, Attention, EinsumDense, GroupedQueryAttention, MultiHeadAttention, ReversibleEmbedding),
    *(AugMix, AutoContrast, CenterCrop, ContrastLimitedAdaptiveHistogramEqualization, CutMix, Equalization),
    *(MaxNumBoundingBoxes, MelSpectrogram, MixUp, Pipeline, RandAugment, RandomBrightness, RandomColorDegeneration),
    *(RandomColorJitter, RandomContrast, RandomCrop, RandomElasticTransform, RandomErasing, RandomFlip),
    *(RandomGaussianBlur, RandomGrayscale, RandomHue, RandomInvert, RandomPerspective, RandomPosterization),
    *(RandomRotation, RandomSaturation, RandomSharpness, RandomShear, RandomTranslation, RandomZoom, Resizing),
    *(STFTSpectrogram, Solarization),
    *(CategoryEncoding, Discretization, HashedCrossing, Hashing, IntegerLookup, StringLookup, TextVectorization),
]
registry.add_builtins("layers", _LAYERS)
registry.add_builtins("layers", [Maxout], module="uncrumple.layers")  # files must not name it as one of Keras 3's

# Keras's other names for some of them.
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D

GroupQueryAttention = GroupedQueryAttention
KerasTensor = SymbolicTensor

_OTHERS: list[Any] = [Input, InputSpec, Layer]
_FUNCTIONS: list[Any] = [add, average, concatenate, deserialize, dot, maximum, minimum, multiply, serialize, subtract]
_ALIASES = [
    *("AvgPool1D", "AvgPool2D", "AvgPool3D", "MaxPool1D", "MaxPool2D", "MaxPool3D"),
    *("GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D"),
    *("GlobalMaxPool3D", "Convolution1D", "Convolution2D", "Convolution3D", "Convolution1DTranspose"),
    *("GroupQueryAttention", "KerasTensor"),
    *("Convolution2DTranspose", "Convolution3DTranspose", "SeparableConvolution1D", "SeparableConvolution2D"),
]
__all__ = sorted([thing.__name__ for thing in (*_LAYERS, *_OTHERS, *_FUNCTIONS)] + _ALIASES)

answer_misspellings(__name__)
