"""`model.summary()`: the same table as Keras prints, and more where Keras shows nothing."""

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import uncrumple as un
from uncrumple import layers as L
from uncrumple.models import load_model
from uncrumple.models.summary import print_summary

GOLDEN = Path(__file__).parents[1] / "golden"
# Where more is known here than in Keras: the shape of a layer without compute_output_shape, the type of a counter.
DIFFERENT = {"subclassed", "normalization_nested"}
SAME = sorted(path.name.removesuffix(".summary.txt") for path in GOLDEN.glob("*.summary.txt"))


def text_of(model, **settings):
    found = []
    model.summary(print_fn=found.append, **settings)
    assert len(found) == 1
    return found[0]


def cells(text):
    """Return the rows of a table, each as a list of cells; lines of one cell are joined."""
    rows, current = [], None
    for line in text.splitlines():
        if line.startswith("│"):
            parts = [part.strip() for part in line.strip("│").split("│")]
            current = parts if current is None else [f"{a} {b}".strip() for a, b in zip(current, parts)]
        elif current is not None:
            rows.append(current)
            current = None
    return rows


@pytest.mark.parametrize("name", [name for name in SAME if name not in DIFFERENT])
def test_it_is_what_keras_prints(name):
    model = load_model(GOLDEN / f"{name}.keras", compile=name.startswith("opt_"))
    assert text_of(model, line_length=80).strip() == (GOLDEN / f"{name}.summary.txt").read_text().strip()


def test_a_model_without_shapes_has_none():
    model = un.Sequential([L.Dense(3, name="a"), L.Dropout(0.5, name="b")], name="stack")
    assert cells(text_of(model, line_length=80)) == [
        ["a (Dense)", "?", "0 (unbuilt)"],
        ["b (Dropout)", "?", "0"],
    ]
    model.build((None, 4))
    assert cells(text_of(model, line_length=80)) == [
        ["a (Dense)", "(None, 3)", "15"],
        ["b (Dropout)", "(None, 3)", "0"],
    ]


class Block(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(3, name="inside")
        self.norm = torch.nn.LayerNorm(3)

    def call(self, x):
        return self.norm(self.dense(x))


class Mixed(un.Model):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.block = Block(name="block")
        self.blocks = [L.Dense(2, name="last")]

    def call(self, x):
        return self.blocks[0](self.block(self.linear(x)))


def test_torch_modules_and_layers_within_layers():
    model = Mixed()
    model(np.zeros((2, 4), "float32"))
    model.block.trainable = False
    assert cells(text_of(model, line_length=80)) == [
        ["linear (Linear)", "?", "15"],
        ["block (Block)", "?", "18"],
        ["last (Dense)", "(2, 2)", "8"],
    ]
    text = text_of(model, line_length=80, expand_nested=True, show_trainable=True)
    assert cells(text) == [
        ["linear (Linear)", "?", "15", "Y"],
        ["block (Block)", "?", "18", "N"],
        ["└ inside (Dense)", "(2, 3)", "12", "N"],
        ["└ norm (LayerNorm)", "?", "6", "N"],
        ["last (Dense)", "(2, 2)", "8", "Y"],
    ]
    assert (
        " Total params: 41 (164.00 B)\n Trainable params: 23 (92.00 B)\n Non-trainable params: 18 (72.00 B)\n" in text
    )


def test_nested_models_open_up():
    inner = un.Sequential([un.Input((4,)), L.Dense(3, name="deep"), L.Dropout(0.1, name="drop")], name="inner")
    inputs = un.Input((4,), name="in")
    model = un.Model(inputs, L.Dense(2, name="out")(inner(inputs)), name="outer")
    assert [row[0] for row in cells(text_of(model, line_length=80))] == [
        "in (InputLayer)",
        "inner (Sequential)",
        "out (Dense)",
    ]
    rows = cells(text_of(model, line_length=80, expand_nested=True, show_trainable=True))
    assert rows[1:4] == [
        ["inner (Sequential)", "(None, 3)", "15", "Y"],
        ["└ deep (Dense)", "(None, 3)", "15", "Y"],
        ["└ drop (Dropout)", "(None, 3)", "0", "-"],
    ]


def test_what_the_optimizer_keeps_is_counted_after_training():
    model = un.Sequential([un.Input((4,)), L.Dense(3)])
    model.compile("adam", "mse")
    assert "Optimizer" not in text_of(model)
    model.fit(np.zeros((4, 4)), np.zeros((4, 3)), verbose=0)
    text = text_of(model)
    assert " Total params: 47 (192.00 B)" in text and " Optimizer params: 32 (132.00 B)" in text


def test_half_precision_takes_half_the_memory():
    assert "15 (30.00 B)" in text_of(un.Sequential([un.Input((4,)), L.Dense(3, dtype="bfloat16")]))


def test_a_range_of_layers():
    model = un.Sequential([un.Input((4,)), *[L.Dense(4, name=f"layer_{index}") for index in range(5)]])

    def names(*layer_range):
        return [row[0].split()[0] for row in cells(text_of(model, layer_range=layer_range))]

    assert names("layer_1", "layer_3") == ["layer_1", "layer_2", "layer_3"]
    assert names("layer_3", "layer_1") == ["layer_1", "layer_2", "layer_3"]
    assert names("layer_[34]", ".*4") == ["layer_3", "layer_4"]
    with pytest.raises(ValueError) as caught:
        names("layer_1", "laier_3")
    assert str(caught.value).split("\n")[0] == "Unknown layer in layer_range: 'laier_3'."
    assert str(caught.value).endswith("Fix: did you mean 'layer_3'?")
    with pytest.raises(ValueError, match="Expected two names of layers"):
        names("layer_1")


@pytest.mark.parametrize(
    "settings, came",
    [
        ({"line_length": 10}, "summary got line_length=10 for 3 columns."),
        ({"positions": [0.5, 1.0]}, "summary got positions=[0.5, 1.0]."),
        ({"positions": [0.5, 0.4, 1.0]}, "summary got positions=[0.5, 0.4, 1.0]."),
        ({"positions": [33, 55, 80]}, "summary got positions=[33, 55, 80]."),
    ],
)
def test_impossible_columns_are_refused(settings, came):
    with pytest.raises(ValueError) as caught:
        un.Sequential([un.Input((4,)), L.Dense(3)]).summary(**settings)
    lines = str(caught.value).split("\n")
    assert lines[0] == came and len(lines) == 3 and lines[2].startswith("Fix: ")


def test_positions_set_the_columns():
    text = text_of(un.Sequential([un.Input((4,)), L.Dense(3)]), line_length=60, positions=[0.5, 0.75, 1.0])
    assert [len(part) for part in text.splitlines()[1].strip("┏┓").split("┳")] == [29, 13, 14]


def test_names_with_wide_letters_and_brackets_stay_in_their_column():
    model = un.Sequential([un.Input((4,)), L.Dense(3, name="層名前[bold]\\")], name="[red]")
    lines = text_of(model, line_length=60).splitlines()
    assert lines[0] == 'Model: "[red]"'
    row = next(line for line in lines if "層名前" in line)
    assert "層名前[bold]\\ (Dense)" in row
    assert len(row) + 3 == len(lines[1]) == 60  # three letters are two columns wide


def test_long_names_are_cut_off():
    text = text_of(un.Sequential([un.Input((4,)), L.Dense(3, name="x" * 50)]), line_length=60)
    assert max(map(len, text.splitlines())) == 60 and "xxx…" in text


def test_it_goes_to_the_screen_in_plain_text_unless_that_is_a_terminal(capsys, monkeypatch):
    model = un.Sequential([un.Input((4,)), L.Dense(3)])
    model.summary(line_length=100)
    plain = capsys.readouterr().out
    assert plain == text_of(model, line_length=100)
    assert max(map(len, plain.splitlines())) == 100 and "\x1b" not in plain

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    for variable in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    model.summary(line_length=100)
    coloured = screen.getvalue()
    assert "\x1b[32m15\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_a_terminal_without_those_letters_gets_others(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    inner = un.Sequential([un.Input((4,)), L.Dense(3, name="層名")], name="inner")
    un.Sequential([un.Input((4,)), inner]).summary(line_length=60, expand_nested=True)
    sys.stdout.flush()
    text = raw.getvalue().decode("latin-1")
    assert "+----" in text and "- ?? (Dense)" in text


def test_the_function_is_the_method():
    model = un.Sequential([un.Input((4,)), L.Dense(3)])
    found = []
    print_summary(model, print_fn=found.append, line_length=80)
    assert found == [text_of(model, line_length=80)]
