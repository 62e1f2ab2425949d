"""Kinds of raw data, each with the way to tensors: tables, pictures, texts and series."""

from uncrumple.data.kinds.base import RawData
from uncrumple.data.kinds.columns import Column
from uncrumple.data.kinds.images import Images
from uncrumple.data.kinds.preparation import Preparation, preparation_of
from uncrumple.data.kinds.prepare_images import ImagePreparation
from uncrumple.data.kinds.prepare_series import SeriesPreparation
from uncrumple.data.kinds.prepare_table import TablePreparation
from uncrumple.data.kinds.prepare_text import TextPreparation
from uncrumple.data.kinds.recognise import from_any
from uncrumple.data.kinds.series import Series
from uncrumple.data.kinds.table import Table
from uncrumple.data.kinds.table_on_disk import TableOnDisk
from uncrumple.data.kinds.text import Text

__all__ = [
    "Column",
    "ImagePreparation",
    "Images",
    "Preparation",
    "RawData",
    "Series",
    "SeriesPreparation",
    "Table",
    "TableOnDisk",
    "TablePreparation",
    "Text",
    "TextPreparation",
    "from_any",
    "preparation_of",
]
