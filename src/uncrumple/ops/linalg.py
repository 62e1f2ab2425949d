"""The operations of `ops` on matrices, under Keras's name for this part."""

# ruff: noqa: F403, F405

from uncrumple.core.errors import answer_misspellings
from uncrumple.ops.matrices import *

# fmt: off
__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "lstsq", "lu_factor", "matrix_rank", "norm",
    "pinv", "qr", "solve", "solve_triangular", "svd"
]
# fmt: on

answer_misspellings(__name__)
