"""Sequences of one length."""

from uncrumple.utils.arrays import pad_sequences

__all__ = ["pad_sequences"]
