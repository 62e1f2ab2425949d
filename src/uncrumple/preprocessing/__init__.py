"""`keras.preprocessing`, under its old names."""

from uncrumple.preprocessing import sequence

__all__ = ["sequence"]
