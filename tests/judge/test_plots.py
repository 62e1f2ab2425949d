"""The pictures: they hold what they should, nothing runs into anything, and pyplot is left alone."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from uncrumple.judge import compare, confusion_of, worst_mistakes
from uncrumple.judge.plots import (
    comparison_figure,
    confusion_figure,
    mistakes_figure,
    picture_grid,
    regression_figure,
    save_png,
    to_png,
    training_curves,
)


def boxes(figure, texts):
    """Where the texts are on the picture; the empty ones left out."""
    figure.canvas.draw()
    return [text.get_window_extent() for text in texts if text.get_text()]


def overlapping(found):
    return [(one, other) for index, one in enumerate(found) for other in found[index + 1 :] if one.overlaps(other)]


def history(epochs):
    steps = np.arange(1, epochs + 1)
    return {
        "loss": list(1 / steps),
        "accuracy": list(1 - 0.5 / steps),
        "val_loss": list(1 / steps + 0.01 * steps),
        "val_accuracy": list(0.95 - 0.4 / steps),
        "learning_rate": [0.001] * epochs,
    }


@pytest.mark.parametrize("epochs", [1, 2, 10, 200])
def test_training_curves(epochs):
    figure = training_curves(history(epochs))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "accuracy"]
    best = int(np.argmin(history(epochs)["val_loss"])) + 1
    assert all(axes.texts[0].get_text().strip() == f"best epoch {best}" for axes in figure.axes)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["training", "validation"]
    lines = figure.axes[0].lines
    assert np.allclose(lines[0].get_ydata(), history(epochs)["loss"])
    assert np.allclose(lines[1].get_ydata(), history(epochs)["val_loss"])
    for axes in figure.axes:
        assert not overlapping(boxes(figure, axes.get_xticklabels()))


def test_training_curves_take_what_there_is():
    assert len(training_curves({"loss": [1.0, 0.5]}).axes) == 1
    titles = [
        axes.get_title(loc="left") for axes in training_curves({"loss": [2.0], "mae": [1.0], "val_mae": [1.1]}).axes
    ]
    assert titles == ["loss", "mae"]
    figure = training_curves({"loss": [1.0, float("nan")], "val_loss": [float("nan")] * 2})
    assert not figure.axes[0].texts  # no best epoch is made up
    to_png(figure)


def test_a_loss_over_many_orders_is_drawn_on_a_log_scale():
    assert training_curves({"loss": [1000.0, 1.0, 0.01]}).axes[0].get_yscale() == "log"
    assert training_curves({"loss": [2.0, 1.0]}).axes[0].get_yscale() == "linear"


def test_no_history_is_an_error():
    with pytest.raises(ValueError, match=r"a history with the keys \[\]"):
        training_curves({})


NAMES = {
    2: ["malignant", "benign"],
    3: ["setosa", "versicolor", "virginica"],
    10: list("0123456789"),
    12: [f"a rather long class name {number}" for number in range(12)],
    40: [f"class {number}" for number in range(40)],
}


def brightness(colour):
    """The relative luminance of WCAG 2."""
    parts = np.array(to_rgb(colour))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def test_numbers_can_be_read_on_every_cell():
    truth = np.repeat(np.arange(2), 100)
    for right in (100, 90, 70, 55, 30):
        axes = confusion_figure(
            confusion_of(truth, np.where(np.arange(200) % 100 < right, truth, 1 - truth), "ab")
        ).axes[0]
        cells = axes.images[0].get_array()
        for text in axes.texts:
            column, row = text.xy
            bright = sorted([brightness(text.get_color()), brightness(cells[row, column])])
            assert (bright[1] + 0.05) / (bright[0] + 0.05) > 3.9, (right, row, column)


@pytest.mark.parametrize("count", NAMES)
def test_confusion_figure(count):
    random = np.random.default_rng(0)
    truth = random.integers(0, count, 2000)
    given = np.where(random.random(2000) < 0.9, truth, random.integers(0, count, 2000))
    found = confusion_of(truth, given, NAMES[count])
    figure = confusion_figure(found)
    axes = figure.axes[0]
    said = [text.get_text() for text in axes.texts]
    if count <= 25:
        assert f"{found.matrix[0, 0]:,}" in said
        assert not overlapping(boxes(figure, axes.texts))
        assert not overlapping(boxes(figure, axes.get_yticklabels()))
    else:
        assert said == []
    if count <= 10:
        assert not overlapping(boxes(figure, axes.get_xticklabels()))
    if count <= 12:
        assert said.count(f"{100 * found.row_shares[0, 0]:.0f} %") >= 1


def test_names_with_dollars_are_not_formulas():
    found = confusion_of(np.array([0, 1]), np.array([0, 1]), ["$\\frac{", "a $ b $ c_"])
    to_png(confusion_figure(found))
    to_png(picture_grid([np.eye(3)], ["$\\broken{ → $"]))


def test_mistakes_figure():
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    mistakes = worst_mistakes(np.array([1, 1, 1]), shares, ("7", "1"))
    pictures = np.stack([np.full((8, 8, 1), value) for value in (0.0, 1.0, 2.0)])
    figure = mistakes_figure(mistakes, pictures)
    assert [axes.get_title() for axes in figure.axes] == ["1 → 7 (90 %)", "1 → 7 (70 %)"]
    assert [float(axes.images[0].get_array().max()) for axes in figure.axes] == [0.0, 2.0]  # each its own picture


@pytest.mark.parametrize("count", [1, 4, 7, 12, 18])
def test_picture_grid(count):
    captions = [f"versicolor → virginica ({number} %)" for number in range(count)]
    figure = picture_grid([np.eye(8)[..., None]] * count, captions, title="A few", right=[False] * count)
    assert len(figure.axes) == count
    assert not overlapping(boxes(figure, [axes.title for axes in figure.axes]))
    assert figure.axes[0].get_title() == "versicolor →\nvirginica (0 %)"
    to_png(picture_grid(np.random.default_rng(0).random((2, 8, 8, 3)), ["a", "b"]))


def test_picture_grid_needs_a_caption_each():
    with pytest.raises(ValueError, match="picture_grid got 1 pictures and 0 captions"):
        picture_grid([np.eye(2)], [])


def test_comparison_figure_names_a_far_constant_at_the_edge():
    truth = np.arange(500) % 10
    tree = np.where(np.arange(500) < 60, (truth + 1) % 10, truth)
    found = compare(truth, {"network": truth, "majority class": np.zeros(500, int), "decision tree": tree})
    figure = comparison_figure(found)
    axes = figure.axes[0]
    assert axes.get_xlim()[0] > 70
    assert [text.get_text() for text in axes.texts] == ["100.0 %", "10.0 %   p < 0.001", "88.0 %   p < 0.001"]
    assert not overlapping(boxes(figure, [*axes.texts, *axes.get_yticklabels()]))
    assert not overlapping(boxes(figure, axes.get_xticklabels()))


def test_comparison_figure_of_a_regression():
    truth = np.linspace(0, 100, 50)
    found = compare(truth, {"network": truth + 3, "RBF SVM": truth + 5}, task="regression")
    axes = comparison_figure(found).axes[0]
    assert "mean absolute error (less is better)" in axes.get_xlabel()
    assert axes.texts[0].get_text() == "3.00"


def test_regression_figure():
    axes = regression_figure(np.array([1.0, 2.0]), np.array([[1.5], [2.5]])).axes[0]
    assert axes.lines[1].get_ydata().tolist() == [1.5, 2.5]
    assert axes.get_xlim() == axes.get_ylim()
    to_png(regression_figure(np.ones(3), np.ones(3)))


def test_a_png_is_written_whole(tmp_path):
    path = save_png(training_curves(history(3)), tmp_path / "plots" / "curves.png", dpi=50)
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        assert picture.size == (560, 210)
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_pyplot_is_left_alone():
    code = (
        "import sys\n"
        "from uncrumple.judge.plots import to_png, training_curves\n"
        "import matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        "to_png(training_curves({'loss': [1.0, 0.5]}))\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_a_loss_over_powers_of_ten_is_labelled_in_plain_numbers():
    figure = training_curves({"loss": [2.0, 0.4, 0.05, 0.01], "val_loss": [1.5, 0.3, 0.08, 0.02]})
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels(which="both")]
    assert "0.1" in labels
    assert not any("$" in label for label in labels)
