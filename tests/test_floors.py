"""The house stands: every room imports only from lower floors, and `import uncrumple` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import uncrumple

ROOT = Path(uncrumple.__file__).parent

FLOORS = {
    "core": 0,
    "kernels": 0,
    "ops": 1,
    "tree": 1,
    "activations": 2,
    "constraints": 2,
    "initializers": 2,
    "measures": 2,
    "quantizers": 2,
    "random": 2,
    "regularizers": 2,
    "layers": 3,
    "losses": 3,
    "metrics": 3,
    "optimizers": 3,
    "callbacks": 4,
    "data": 4,
    "datasets": 5,
    "training": 5,
    "models": 6,
    "experiment": 8,
    "applications": 7,
    "explain": 7,
    "judge": 7,
    "visualization": 7,
    "wrappers": 7,
    "distribution": 1,
    "cli": 9,
}
# Doors to the house: they re-export under Keras's names and compute nothing.
DOORS = {
    "backend",
    "config",
    "dtype_policies",
    "legacy",
    "export",
    "mixed_precision",
    "preprocessing",
    "saving",
    "utils",
    "__init__",
    "__main__",
}


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(path: Path) -> list[tuple[int, str]]:
    """Return (line, room) for every import of the project in a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            modules = [node.module or ""]
            if node.module == "uncrumple":
                modules = [f"uncrumple.{alias.name}" for alias in node.names]
        found += [(node.lineno, module.split(".")[1]) for module in modules if module.startswith("uncrumple.")]
    return found


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_imports_go_down(path):
    room = _room(path)
    if room in DOORS:
        return
    assert room in FLOORS, f"{room} has no floor: add it to the table, and to docs/design.md"
    for line, other in _imports(path):
        if other == room:
            continue
        assert other not in DOORS, f"{path.name}:{line}: {room} imports the door '{other}'"
        assert FLOORS[other] < FLOORS[room], (
            f"{path.name}:{line}: {room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        )


def test_no_room_is_empty():
    for room in FLOORS:
        path = ROOT / room
        if path.is_dir():
            assert any(file.stat().st_size > 200 for file in path.rglob("*.py")), f"{room} is empty"


def test_import_needs_no_heavy_package():
    """What is slow to import comes when it is used, not before."""
    heavy = ["sklearn", "pandas", "matplotlib", "h5py", "PIL", "rich", "click", "safetensors", "scipy", "torch._dynamo"]
    code = (
        "import sys, uncrumple as uc; uc.Sequential([uc.Input((4,)), uc.layers.Dense(2)]).compile('adam', 'mse');"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
