"""Every part of docs/write-your-own.md is short, is trained with, and fails as the page says it does."""

import ast
import linecache
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "write-your-own.md"
TEXT = PAGE.read_text(encoding="utf-8")
# (heading, code) of each block.
BLOCKS = [
    (f"\n{TEXT[: found.start()]}".rsplit("\n#", 1)[1].split("\n")[0].strip("# "), found[1])
    for found in re.finditer(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
]
WANTED = (
    *("A layer", "An activation", "A loss", "A metric", "A callback", "A training step", "An initializer"),
    *("A regularizer", "A constraint", "A learning rate schedule", "An optimizer", "Only the loss", "The whole loop"),
    *("In files", "When a shape is wrong in it"),
)


def lines_of(code):
    """Return the lines that hold code: the definitions, without blank lines and the line that trains."""
    return [line for line in code.split("\n") if line.strip() and not line.startswith(("print(", "history = "))]


def test_every_part_is_there_and_short():
    for heading, code in BLOCKS[1:]:
        assert len(lines_of(code)) < 15, (heading, len(lines_of(code)))
    assert {heading for heading, _ in BLOCKS[1:]} == set(WANTED)


def test_every_part_is_trained_with():
    for heading, code in BLOCKS[1:]:
        if heading in ("When a shape is wrong in it", "In files", "The whole loop"):
            continue
        names = {
            node.func.id
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Call) and hasattr(node.func, "id")
        }
        assert "train" in names, heading


def run_page(tmp_path, monkeypatch):
    """Run all blocks in order; return the names that they leave."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__docs__"}
    for number, (_, code) in enumerate(BLOCKS, start=1):
        source = f"{PAGE.name}, block {number}"
        # As notebooks do, so that a message can show the line.
        linecache.cache[source] = (len(code), None, code.splitlines(keepends=True), source)
        exec(compile(code, source, "exec"), names)
    return names


def test_the_answer_to_a_wrong_shape_is_the_one_shown(tmp_path, monkeypatch, capsys):
    names = run_page(tmp_path, monkeypatch)
    shown = re.search(r"^```text\n(.*?)\n```", TEXT, re.DOTALL | re.MULTILINE)[1]
    assert names["answer"] == shown
    losses = [line for line in capsys.readouterr().out.split("\n") if line.startswith("{'loss'")]
    assert len(losses) == 12
    assert "nan" not in " ".join(losses)
