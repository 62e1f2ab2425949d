"""What an answer rests on: maps of pictures, texts and rows, beside those of an untrained network."""

from uncrumple.explain.attribution.attribute import attribute
from uncrumple.explain.attribution.maps import Attribution
from uncrumple.explain.attribution.pictures import PictureAttribution
from uncrumple.explain.attribution.rows import RowAttribution
from uncrumple.explain.attribution.stamp import Stamp, counterfactual_stamp
from uncrumple.explain.attribution.words import TextAttribution

__all__ = [
    "Attribution",
    "PictureAttribution",
    "RowAttribution",
    "Stamp",
    "TextAttribution",
    "attribute",
    "counterfactual_stamp",
]
