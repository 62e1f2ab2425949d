"""The stamp: a planted corner brings its answer along, an honest network's pieces do not."""

import json

import numpy as np
import pytest

import uncrumple as uc
from uncrumple.explain import counterfactual_stamp
from uncrumple.layers import Conv2D, Dense, Flatten, Input


def planted(count=240, side=12):
    """Two classes of vertical bars; the third has either bar, and a bright 3 x 3 corner, which alone tells it."""
    draws = np.random.default_rng(0)
    x, y = draws.uniform(0, 0.3, size=(count, side, side, 1)).astype("float32"), np.arange(count) % 3
    for row, label in enumerate(y):
        x[row, 3:9, 4 + 2 * (label if label < 2 else row // 3 % 2)] += 0.25
    x[y == 2, :3, :3] = 1.0
    return x, y


@pytest.fixture(scope="module")
def trained():
    uc.utils.set_random_seed(0)
    x, y = planted()
    model = uc.Sequential(
        [Input((12, 12, 1)), Conv2D(8, 3, activation="relu"), Flatten(), Dense(3, activation="softmax")]
    )
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=10, batch_size=32, verbose=0)
    return model, x, y


def test_the_planted_corner_is_found_and_brings_its_answer(trained):
    model, x, y = trained
    found = counterfactual_stamp(model, x, source=2, side=3, class_names=["left", "middle", "right"])
    top, left, *_ = found.box
    assert top <= 1 and left <= 1 and found.place == "top left corner"
    assert found.share > 0.8 and found.other < 0.2 and found.interval[0] < found.share <= found.interval[1]
    assert found.covered > 0.5
    assert found.searched == 48 and found.rows + found.searched == int((y != 2).sum())
    assert "Stamping this piece (top left corner)" in found.title and "of them 'right'" in found.title
    assert found.findings[0].name == "answer-hangs-on-a-piece"


def test_another_piece_does_not(trained):
    model, x, _ = trained
    found = counterfactual_stamp(model, x, source=2, box=(9, 9, 3, 3))
    assert found.share < 0.2 and found.searched == 0
    assert found.findings[0].name == "stamp"
    assert "the same place of other pictures" in found.title


def test_it_is_shown_and_kept(trained, tmp_path):
    model, x, _ = trained
    before = x.copy()
    found = counterfactual_stamp(model, x, source=2, box=(0, 0, 3, 3))
    np.testing.assert_array_equal(x, before)
    assert "An untrained network:" in str(found)
    kept = json.loads(found.save(tmp_path / "s.json").read_text())
    assert kept["box"] == {"top": 0, "left": 0, "height": 3, "width": 3}
    assert found.save(tmp_path / "s.png").stat().st_size > 3000
    figure = found.plot()
    assert len(figure.axes) == 1 + 2 * len(found.examples)


def test_channels_first_is_the_same():
    import torch

    class First(torch.nn.Module):
        def forward(self, x):
            corner = x[:, 0, :2, :2].mean((1, 2))
            return torch.stack([0.5 - corner, corner - 0.5], 1) * 9

    x = np.random.default_rng(0).uniform(0, 0.3, size=(40, 1, 8, 8)).astype("float32")
    x[:10, 0, :2, :2] = 1.0
    found = counterfactual_stamp(First(), x, source=0, box=(0, 0, 2, 2))
    assert (found.share, found.other, found.rows, found.covered_rows) == (1.0, 0.0, 30, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": 999}, "counterfactual_stamp got source=999."),
        ({"box": (0, 0, 3)}, "counterfactual_stamp got box=(0, 0, 3)."),
        ({"box": (10, 0, 3, 3)}, "counterfactual_stamp got box=(10, 0, 3, 3)."),
        ({"side": 13}, "counterfactual_stamp got side=13."),
    ],
    ids=["source", "box", "outside", "side"],
)
def test_impossible_arguments(trained, settings, message):
    model, x, _ = trained
    with pytest.raises(ValueError) as error:
        counterfactual_stamp(model, x, **settings)
    assert str(error.value).startswith(message) and str(error.value).count("\n") == 2


def test_one_class_cannot_be_stamped(trained):
    model, x, _ = trained
    with pytest.raises(ValueError, match="counterfactual_stamp found 0 pictures"):
        counterfactual_stamp(model, x[model.predict(x, verbose=0).argmax(1) == 2])
