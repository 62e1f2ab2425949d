"""Programs that run without this package, under Keras's names; `Model.export` writes one for a whole model."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.models.export_archive import ExportArchive

__all__ = ["ExportArchive"]

answer_misspellings(__name__)
