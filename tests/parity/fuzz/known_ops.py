"""Where Keras 3.15.1 on torch is known to be wrong, or refuses what it need not, in calls of `ops`; and why.

Each line: names of functions, what differs, when (or None, for always), and the reason.
tests/ops/test_ops_own_results.py holds the right numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from random_ops import Call, Tensor

When = Callable[[Call, str], bool]


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [one for part in value for one in tensors(part)] if isinstance(value, (list, tuple)) else []


def any_list(asked: Call, error: str) -> bool:
    given = tensors([asked.args, asked.settings])
    listed = any(each.given == "list" for each in given) or isinstance(asked.args[0], (list, int, float, bool))
    return listed and any(word in error for word in ("list", "float", "int", "bool", "tuple"))


def any_array(asked: Call, error: str) -> bool:
    return any(each.given != "tensor" for each in tensors(asked.args))


def uneven(asked: Call, error: str) -> bool:
    return len(set(asked.settings["kernel_size"])) > 1


def one_number(asked: Call, error: str) -> bool:
    return any(each.values.ndim == 0 for each in tensors(asked.args))


def names(error: str) -> Callable[[Call, str], bool]:
    return lambda asked, found: error in found


def empty_segment(asked: Call, error: str) -> bool:
    return "int" in asked.args[0].dtype


def wide_integer(asked: Call, error: str) -> bool:
    return "float" in asked.args[1]


def has_zero(asked: Call, error: str) -> bool:
    return asked.args[0].dtype == "float16" and bool((asked.args[0].values == 0).any())


def is_bool(asked: Call, error: str) -> bool:
    return tensors(asked.args)[0].dtype == "bool"


def is_bfloat16(asked: Call, error: str) -> bool:
    return tensors(asked.args)[0].dtype == "bfloat16"


def one_channel(asked: Call, error: str) -> bool:
    return 1 in asked.args[0].values.shape


def is_float64(asked: Call, error: str) -> bool:
    return asked.args[0].dtype == "float64"


def no_numbers(asked: Call, error: str) -> bool:
    return 0 in asked.args[0].values.shape


def no_times(asked: Call, error: str) -> bool:
    return asked.settings.get("n") == 0


_SEGMENTS = "segment_max segment_min segment_sum segment_prod"
KNOWN: list[tuple[str, str, When | None, str]] = [
    ("", "refused there", any_list, "a list or a number is not made a tensor there, though others of its kind are"),
    ("squareplus", "dtype", one_number, "a bfloat16 of one number becomes a float32 there"),
    (
        "image.extract_patches",
        "value",
        one_channel,
        "of one channel, torch's convolution reads what is not the image's",
    ),
    ("average", "refused there", names("must match"), "one weight for each place on an axis is refused there"),
    ("moments", "value", is_bfloat16, "variances of bfloat16 are not computed in float32 there"),
    ("layer_normalization", "value", is_float64, "float64 is computed in float32 there"),
    ("max min", "dtype", no_numbers, "what stands for no numbers is always float32 there"),
    ("diff", "refused here", no_times, "an axis that is not there is not looked at there where n=0"),
    (_SEGMENTS, "refused there", names("max()"), "rows without numbers are refused there"),
    ("softmax log_softmax", "refused there", names("0 elements"), "tensors without numbers are refused there"),
    ("stop_gradient", "refused there", any_array, "an array is not made a tensor there"),
    ("correlate", "shape", None, "`same` is as long as the first one there, not as the longer one"),
    ("get_item", "value kind count", any_array, "what is taken from a list or an array stays one there"),
    ("sparsemax", "value", None, "rows do not sum to 1 there"),
    ("sparse_sigmoid", "value", None, "-1 is taken for 255 of uint8 there"),
    ("image.gaussian_blur", "shape", uneven, "height and width of the kernel change places in the padding there"),
    ("size", "dtype", one_number, "the size of a single number is a fraction there"),
    ("segment_min", "value", empty_segment, "the least of no whole numbers is the smallest one there, not the largest"),
    (
        _SEGMENTS,
        "refused there",
        names("has no"),
        "ids must be a tensor there",
    ),
    ("saturate_cast", "value", wide_integer, "the limits of a floating type overflow in a whole one there"),
    ("bincount", "refused there", names("stack expects"), "rows with different largest numbers are not counted there"),
    ("softmax log_softmax", "refused there", names("permute"), "several axes must be named from the front there"),
    ("unique", "refused there", names("Index tensor"), "`return_index` needs one axis there"),
    ("image.affine_transform image.map_coordinates", "refused there", names("ZeroDivision"), "no mirror of one row"),
    ("full", "refused there", names("must be tuple"), "a size must be a tuple there, though not in `ones`"),
    ("round", "refused there", is_bool, "truth values are not rounded there"),
    ("normalize", "value", has_zero, "epsilon is 0 in float16 there, and zeros become NaN"),
]


def known(asked: Call, what: str, theirs: Any, ours: Any) -> str:
    """Return the reason why Keras is wrong here, or nothing."""
    for functions, differs, when, reason in KNOWN:
        if (not functions or asked.name in functions.split()) and what in (differs, *differs.split()):
            if when is None or when(asked, str(theirs.error)):
                return reason
    return ""
