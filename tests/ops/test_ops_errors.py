"""What the functions of `ops` say about calls that cannot be right."""

import numpy as np
import pytest
import torch

from uncrumple import ops

X = torch.zeros(2, 3)

MISTAKES = [
    (
        lambda: ops.matmul(X, X),
        ValueError,
        "matmul got tensors of shapes (2, 3) and (2, 3).\n"
        "Expected the last axis of x1 to be as long as the last but one of x2.\n"
        "Fix: ops.matmul(x1, ops.transpose(x2))",
    ),
    (
        lambda: ops.matmul(X, torch.zeros(2, 5)),
        ValueError,
        "matmul got tensors of shapes (2, 3) and (2, 5).\n"
        "Expected the last axis of x1 to be as long as the last but one of x2.\n"
        "Fix: ops.matmul(ops.transpose(x1), x2)",
    ),
    (
        lambda: ops.matmul(X, 2.0),
        ValueError,
        "matmul got tensors of shapes (2, 3) and ().\nExpected at least one axis in each.\nFix: ops.multiply(x1, x2)",
    ),
    (
        lambda: ops.add(X, torch.zeros(2)),
        ValueError,
        "add got tensors of shapes (2, 3) and (2,).\n"
        "Expected equal sizes on each axis, counted from the last, or 1.\n"
        "Fix: ops.expand_dims(x, axis) adds an axis of size 1",
    ),
    (
        lambda: ops.concatenate([X, torch.zeros(2, 4)]),
        ValueError,
        "concatenate got tensors of shapes (2, 3) and (2, 4) and axis=0.\n"
        "Expected equal sizes on every axis other than 0.\n"
        "Fix: ops.concatenate(xs, axis=1)",
    ),
    (
        lambda: ops.concatenate([X, torch.zeros(3)], axis=-1),
        ValueError,
        "concatenate got tensors of shapes (2, 3) and (3,) and axis=-1.\n"
        "Expected equal sizes on every axis other than 1.\n"
        "Fix: ops.stack(xs) for a new axis; ops.reshape(x, ...) for other shapes",
    ),
    (
        lambda: ops.concatenate([X, X], axis=2),
        ValueError,
        "concatenate got axis=2.\nExpected -2 <= axis < 2: the tensor has 2 axes.\nFix: axis=-1, for the last one",
    ),
    (
        lambda: ops.concatenate([]),
        ValueError,
        "concatenate got no tensors.\nExpected at least one.\nFix: ops.concatenate([x, y])",
    ),
    (
        lambda: ops.stack([X, torch.zeros(3, 3)]),
        ValueError,
        "stack got tensors of shapes (2, 3) and (3, 3).\nExpected equal shapes.\nFix: ops.concatenate(xs, axis=0)",
    ),
    (
        lambda: ops.reshape(X, (4, 2)),
        ValueError,
        "reshape got a tensor of shape (2, 3), which holds 6 numbers, and newshape=(4, 2).\n"
        "Expected sizes whose product is 6.\n"
        "Fix: ops.reshape(x, (-1, 2))",
    ),
    (
        lambda: ops.reshape(X, (-1, -1)),
        ValueError,
        "reshape got newshape=(-1, -1).\nExpected sizes, of which one may be -1.\nFix: (-1, 10)",
    ),
    (
        lambda: ops.einsum("ij,jk->ik", X, X),
        ValueError,
        "einsum got 'ij,jk->ik' and tensors of shapes (2, 3) and (2, 3): 'j' stands for 3 and 2.\n"
        "Expected one size for each letter.\n"
        "Fix: use another letter, or another order of letters",
    ),
    (
        lambda: ops.einsum("ijk->ik", X),
        ValueError,
        "einsum got 'ijk' for a tensor of shape (2, 3).\nExpected 2 letters, one for each axis.\nFix: check the letters",
    ),
    (
        lambda: ops.einsum("ij,jk->ik", X),
        ValueError,
        "einsum got 'ij,jk->ik', with 2 groups of letters, and 1 tensors.\n"
        "Expected a group of letters for each tensor, with commas between them.\n"
        "Fix: ij->...",
    ),
    (
        lambda: ops.take(X, [0, 3], axis=1),
        ValueError,
        "take got the index 3 for an axis of size 3.\nExpected -3 <= index < 3.\nFix: ops.clip(indices, 0, 2)",
    ),
    (
        lambda: ops.softmax(X, axis=2),
        ValueError,
        "softmax got axis=2.\nExpected -2 <= axis < 2: the tensor has 2 axes.\nFix: axis=-1, for the last one",
    ),
    (
        lambda: ops.one_hot([0, 5], 3),
        ValueError,
        "one_hot got the class 5 and num_classes=3.\nExpected classes 0 to 2.\nFix: ops.one_hot(x, 6)",
    ),
    (
        lambda: ops.one_hot([0], 0),
        ValueError,
        "one_hot got num_classes=0.\nExpected a whole number above 0.\nFix: num_classes=10",
    ),
    (
        lambda: ops.cast(X, "flaot32"),
        ValueError,
        "Unknown dtype: 'flaot32'.\nExpected one of 18 names, such as: float32, float8_e5m2, float16, float64, bfloat16.\n"
        "Fix: did you mean 'float32'?",
    ),
    (
        lambda: ops.convert_to_tensor([[1, 2], [3]]),
        ValueError,
        "[[1, 2], [3]] (list) cannot become a tensor.\nExpected numbers, in lists of equal lengths.\n"
        "Fix: np.array(..., dtype='float32') shows where the lengths or types differ",
    ),
    (
        lambda: ops.split(torch.zeros(5), 2),
        ValueError,
        "split got 2 sections for axis 0 of a tensor of shape (5,).\nExpected a number that 5 can be divided by.\n"
        "Fix: ops.array_split(x, 2, axis=0) for parts that differ by one",
    ),
    (
        lambda: ops.transpose(X, (0, 0)),
        ValueError,
        "transpose got axes=(0, 0) and a tensor of shape (2, 3).\nExpected each of 0 to 1 once.\nFix: axes=(1, 0)",
    ),
    (
        lambda: ops.squeeze(X, axis=0),
        ValueError,
        "squeeze got axis=0 and a tensor of shape (2, 3).\nExpected size 1 on axis 0.\n"
        "Fix: ops.squeeze(x), for all axes of size 1",
    ),
    (
        lambda: ops.where(X > 0, X),
        ValueError,
        "where got x1=... and x2=None.\nExpected both or neither.\nFix: ops.where(condition, x1, x2)",
    ),
    (
        lambda: ops.slice(X, (1, 1), (2, 2)),
        ValueError,
        "slice got a block of shape (2, 2) at (1, 1) in a tensor of shape (2, 3).\n"
        "Expected a block that lies inside: start + size <= size of the axis.\nFix: start_indices=(0, 0)",
    ),
    (
        lambda: ops.conv(torch.zeros(1, 8, 8, 3), torch.zeros(3, 3, 4, 8)),
        ValueError,
        "conv got data of shape (1, 8, 8, 3) and a kernel of shape (3, 3, 4, 8).\n"
        "Expected a kernel of shape (..., 3, channels out).\n"
        "Fix: the channels of the data are the last axis but one of the kernel",
    ),
    (
        lambda: ops.conv(torch.zeros(1, 8, 8, 3), torch.zeros(3, 3, 3, 8), padding="sane"),
        ValueError,
        "Unknown padding: 'sane'.\nExpected one of: same, valid.\nFix: did you mean 'same'?",
    ),
    (
        lambda: ops.categorical_crossentropy(np.array([0, 1]), torch.zeros(2, 3)),
        ValueError,
        "categorical_crossentropy got a target of shape (2,) and an output of shape (2, 3).\nExpected equal shapes.\n"
        "Fix: ops.one_hot(target, num_classes), for class numbers",
    ),
    (
        lambda: ops.cholesky(-torch.eye(2)),
        ValueError,
        "cholesky got a matrix that is not positive definite.\n"
        "Expected a symmetric matrix whose eigenvalues are all above 0.\nFix: ops.cholesky(x + 1e-6 * ops.eye(n))",
    ),
    (
        lambda: ops.inv(X),
        ValueError,
        "inv got a tensor of shape (2, 3).\nExpected square matrices: (..., rows, columns).\n"
        "Fix: ops.linalg.pinv(x), for matrices that are not square",
    ),
    (
        lambda: ops.top_k(X, 4),
        ValueError,
        "top_k got k=4 for a tensor of shape (2, 3).\nExpected 0 <= k <= 3, the size of the last axis.\nFix: k=3",
    ),
    (
        lambda: ops.max(torch.zeros(0)),
        ValueError,
        "max got a tensor of shape (0,), without numbers.\nExpected at least one number, or a value to begin with.\n"
        "Fix: ops.max(x, initial=0)",
    ),
    (
        lambda: ops.scan(lambda c, x: (c, x), 0.0),
        ValueError,
        "scan got neither xs nor length.\nExpected tensors to walk along, or a number of steps.\nFix: length=10",
    ),
    (
        lambda: ops.image.resize(torch.zeros(4, 4), (2, 2)),
        ValueError,
        "resize got a tensor of shape (4, 4).\nExpected 3 axes (an image) or 4 (several).\n"
        "Fix: ops.expand_dims(images, -1) adds the axis of channels",
    ),
    (
        lambda: ops.image.resize(torch.zeros(4, 4, 3), (2, 2), interpolation="biliner"),
        ValueError,
        "Unknown interpolation: 'biliner'.\nExpected one of: bicubic, bilinear, lanczos3, lanczos5, nearest.\n"
        "Fix: did you mean 'bilinear'?",
    ),
    (
        lambda: ops.rearrange(X, "a b -> a c"),
        ValueError,
        "rearrange got 'a b -> a c'.\nExpected the same names on both sides of '->'.\nFix: \"b h w -> b (h w)\"",
    ),
    (
        lambda: ops.fft(X),
        ValueError,
        "fft got Tensor.\nExpected two tensors: the real and the imaginary part.\n"
        "Fix: ops.fft((real, ops.zeros_like(real)))",
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "text"), MISTAKES, ids=[f"{n}-{text.split()[0]}" for n, (_, _, text) in enumerate(MISTAKES)]
)
def test_mistakes_are_explained(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == text


def test_softmax_over_one_number_warns():
    with pytest.warns(UserWarning, match="the result is always 1"):
        ops.softmax(torch.zeros(3, 1))


def test_misspelt_names():
    with pytest.raises(AttributeError, match="did you mean 'concatenate'"):
        ops.concatenat  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'resize'"):
        ops.image.rezise  # noqa: B018


def test_mistakes_in_a_model_are_explained_too():
    import uncrumple

    x = uncrumple.Input((3,))
    with pytest.raises(ValueError, match="Expected equal sizes on every axis other than 1"):
        ops.concatenate([x, uncrumple.Input((2, 3))], axis=1)
    with pytest.raises(ValueError, match="Expected -2 <= axis < 2"):
        ops.softmax(x, axis=2)
