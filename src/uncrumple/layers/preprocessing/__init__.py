"""Layers that turn raw data into what a network learns well from."""

from uncrumple.layers.preprocessing.category_encoding import CategoryEncoding
from uncrumple.layers.preprocessing.discretization import Discretization
from uncrumple.layers.preprocessing.hashed_crossing import HashedCrossing
from uncrumple.layers.preprocessing.hashing import Hashing
from uncrumple.layers.preprocessing.integer_lookup import IntegerLookup
from uncrumple.layers.preprocessing.scaling import Normalization, Rescaling
from uncrumple.layers.preprocessing.string_lookup import StringLookup
from uncrumple.layers.preprocessing.text_vectorization import TextVectorization

__all__ = [
    "CategoryEncoding",
    "Discretization",
    "HashedCrossing",
    "Hashing",
    "IntegerLookup",
    "Normalization",
    "Rescaling",
    "StringLookup",
    "TextVectorization",
]
