"""Runs a script of tests/courses and says what it left behind: for the tests, and for golden/make_courses.py."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import numpy as np
import torch

SCRIPTS = sorted((Path(__file__).parent / "courses").glob("*.py"))


def run(keras, path):
    """Return the text that a script prints and a description of each of its variables.

    Args:
        keras: Real Keras, or `uncrumple`: what the script imports.
        path: The script, which says `import uncrumple as keras`.
    """
    source = path.read_text(encoding="utf-8")
    if keras.__name__ == "keras":
        source = source.replace("import uncrumple as keras", "import keras").replace("from uncrumple", "from keras")
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    names, printed = {"__name__": "__course__"}, io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(source, path.name, "exec"), names)
    found = {name: described(keras, value) for name, value in names.items() if not name.startswith("__")}
    return {"printed": plain(printed.getvalue()), "names": {name: one for name, one in found.items() if one}}


def plain(text):
    """Return what was printed without progress bars, and with shapes and words as they look in both packages."""
    text = re.sub(r"torch\.Size\(\[([^\]]*)\]\)", lambda m: f"({m[1]})" if "," in m[1] else f"({m[1]},)", text)
    text = re.sub(r"np\.str_\(('[^']*')\)", r"\1", text).replace("tensor(True)", "True")
    text = re.sub(r"((Optimizer|Total) params: [\d,]+) \(.*\)", r"\1", text)  # a count of steps has 4 or 8 bytes
    return [line for line in text.splitlines() if line.strip() and "/step" not in line]


def described(keras, value):
    """Return what can be compared of a value: never random numbers; None where there is nothing."""
    if type(value).__name__ in ("KerasTensor", "SymbolicTensor"):
        return ["symbolic", [*value.shape], str(value.dtype).removeprefix("torch.")]
    if type(value).__name__ == "Variable":
        return ["variable", [*value.shape]]
    if type(value).__name__ == "EagerTensor":  # what a data set of Keras holds is TensorFlow's
        value = value.numpy()
    if isinstance(value, (torch.Tensor, np.ndarray)):
        kind = str(value.dtype).removeprefix("torch.")
        return ["array", [*value.shape], "text" if kind.startswith("<U") or kind == "object" else kind]
    if type(value).__name__ == "History":
        return ["history", {name: len(logs) for name, logs in value.history.items()}]
    if isinstance(value, keras.Model):
        return ["model", value.count_params() if value.built else None, [layer.name for layer in value.layers]]
    if isinstance(value, keras.Layer):
        return ["layer", type(value).__name__, value.name, [[*weight.shape] for weight in value.weights]]
    if isinstance(value, (bool, str, int)):
        return [str(value)]
    if isinstance(value, float):
        return ["float"]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, len(value), [described(keras, one) for one in value[:40]]]
    if isinstance(value, dict):
        return ["dict", {str(name): described(keras, one) for name, one in value.items()}]
    return None
