"""Image files and arrays."""

from uncrumple.core.errors import answer_misspellings
from uncrumple.data.images import array_to_img, img_to_array, load_img, save_img, smart_resize

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

answer_misspellings(__name__)
