"""From whatever a user has to checked batches of tensors; and named data sets, splits and scaling.

What most programs do not need is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from uncrumple.core import registry
from uncrumple.core.errors import no_such_name
from uncrumple.data.dataset import AUTOTUNE, Dataset
from uncrumple.data.split import Parts, Split, split

if TYPE_CHECKING:
    from uncrumple.data.checks import check
    from uncrumple.data.kinds import Images, RawData, Series, Table, TableOnDisk, Text, from_any, preparation_of
    from uncrumple.data.sets import catalogue, load

_LATER = {
    "Images": "uncrumple.data.kinds",
    "RawData": "uncrumple.data.kinds",
    "Series": "uncrumple.data.kinds",
    "Table": "uncrumple.data.kinds",
    "TableOnDisk": "uncrumple.data.kinds",
    "Text": "uncrumple.data.kinds",
    "catalogue": "uncrumple.data.sets",
    "check": "uncrumple.data.checks",
    "from_any": "uncrumple.data.kinds",
    "load": "uncrumple.data.sets",
    "preparation_of": "uncrumple.data.kinds",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise no_such_name("uncrumple.data", name, __all__)
    found = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = found
    return found


def _preparation(name: str) -> Any:
    """Return the class of a preparation that the file of a model names."""
    from uncrumple.data.kinds.preparation import _of_this_room

    return _of_this_room(name)


registry.add_later("data", _preparation)

__all__ = [
    "AUTOTUNE",
    "Dataset",
    "Images",
    "Parts",
    "RawData",
    "Series",
    "Split",
    "Table",
    "TableOnDisk",
    "Text",
    "catalogue",
    "check",
    "from_any",
    "load",
    "preparation_of",
    "split",
]
