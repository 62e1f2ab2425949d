"""Scripts as teachers and books have them run in real Keras and here, with one line changed, and leave the same behind.

They print the same, their histories have the same keys, their arrays the same shapes and types, their models the same
layers and numbers of weights. What needs TensorFlow in Keras is compared with golden/courses.json.
"""

import json
import sys
from pathlib import Path

import keras
import pytest

import uncrumple

sys.path.insert(0, str(Path(__file__).parents[1]))

from courses_run import SCRIPTS, run

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "courses.json").read_text(encoding="utf-8"))

# What differs, by script and name, and why.
DIFFERS = {
    "batches_of_ones_own": {"printed": "Keras ends one epoch of a PyDataset too many"},
    "bigrams_tfidf": dict.fromkeys(["printed", "matrix", "found", "bigrams", "counts"], "indices are float32 here"),
    "callbacks_all": {"printed": "params hold the batch size here", "rows": "losses", "history": "with batch_size"},
    "digits_mlp": dict.fromkeys(["y_train", "y_test"], "to_categorical gives float32, not float64"),
    "files_and_clones": {"printed": "a file that is not there: FileNotFoundError", "text": "the optimizer is in it"},
    "mini_gpt": {"prompt": "drawn at random", "top": "a tuple with names"},
    "precision": {"printed": "weights have torch's dtypes"},
    "residual": {"labels": "to_categorical gives float32, not float64"},
    "reviews_bilstm": {"printed": "masks are no layers in a summary"},
    "structured": {"columns": "one-hot rows are float32 here"},
    "subclassed": {"printed": "shapes of layers in a summary, and losses of one name", "several": "both losses"},
    "transformer_text": {"printed": "masks are no layers in a summary"},
    "tickets": dict.fromkeys(["department_data", "y"], "to_categorical gives float32, not float64"),
}
# Keras on torch fails in the backward pass of images through GlobalAveragePooling2D.
FAILS_IN_KERAS = ("segmentation",)
SLOW = ("fine_tuning", "grid_search", "tuning")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else []) for path in SCRIPTS],
)
def test_the_same_is_left_behind(path, tmp_path, monkeypatch):
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    mine = json.loads(json.dumps(run(uncrumple, path)))
    if path.stem in FAILS_IN_KERAS:
        return
    monkeypatch.chdir(tmp_path / "theirs")
    theirs = GOLDEN[path.stem] if path.stem in GOLDEN else json.loads(json.dumps(run(keras, path)))
    differs = DIFFERS.get(path.stem, {})
    if "printed" not in differs:
        assert mine["printed"] == theirs["printed"]
    compared = (mine["names"].keys() | theirs["names"].keys()) - differs.keys()
    assert {name: mine["names"].get(name) for name in compared} == {
        name: theirs["names"].get(name) for name in compared
    }
