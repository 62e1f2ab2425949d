"""Attention: every step of one sequence looks at the steps of another, and takes what fits."""

from uncrumple.layers.attention.additive_attention import AdditiveAttention
from uncrumple.layers.attention.attention import Attention
from uncrumple.layers.attention.grouped_query_attention import GroupedQueryAttention
from uncrumple.layers.attention.multi_head_attention import MultiHeadAttention

__all__ = ["AdditiveAttention", "Attention", "GroupedQueryAttention", "MultiHeadAttention"]
