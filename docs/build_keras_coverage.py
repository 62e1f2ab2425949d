"""Writes docs/keras-coverage.md: every public name of Keras, and whether it is here with the same arguments.

    python docs/build_keras_coverage.py

Both packages are looked at as they are: nothing is listed by hand but the reasons for what is
absent or takes other arguments. `tests/test_keras_coverage.py` fails when the page is not what
this program writes, and when something absent has no reason.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import os
import types
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "torch"

PAGE = Path(__file__).parent / "keras-coverage.md"

# {pattern of names: why they are absent or differ}. The first that fits counts. A name is
# "layers.Dense" or "layers.Dense.build"; "*" stands for anything.
OTHER_ENGINE = "It is made of parts of TensorFlow or JAX."
FEW_BITS = "Keeping weights in 4 bits or in float8, and choosing the rounding by GPTQ or AWQ, is not here; int8 is."
TORCH_DATA = "It hands TensorFlow's datasets to several machines; torch's `DistributedSampler` does it here."
TENSOR = "A symbolic tensor is a torch tensor: the method is torch's, which also takes what Keras's takes."
REASONS: dict[str, str] = {
    # --- whole rooms -------------------------------------------------------------------
    "distillation.*": "Training a small model by a large one is a `train_step` of a few lines here; there is no class for it.",
    "config.enable_unsafe_deserialization": "Files never run code here, and no switch changes that: it is refused in words.",
    # --- made of other engines' parts ----------------------------------------------------
    "layers.FlaxLayer*": OTHER_ENGINE,
    "layers.JaxLayer*": OTHER_ENGINE,
    "layers.TFSMLayer*": OTHER_ENGINE,
    "callbacks.OrbaxCheckpoint*": "Orbax is JAX's library for checkpoints; `ModelCheckpoint` and `BackupAndRestore` write files of their own.",
    "distribution.*.distribute_tf_dataset": TORCH_DATA,
    "distribution.*.distribute_dataset": TORCH_DATA,
    "distribution.*.auto_shard_dataset": TORCH_DATA,
    "*.make_train_function": "It compiles a step for TensorFlow or JAX; `training/loop.py` runs `train_step` as it is.",
    "*.make_test_function": "As `make_train_function`.",
    "*.make_predict_function": "As `make_train_function`.",
    # --- few bits ------------------------------------------------------------------------
    "dtype_policies.AWQDTypePolicy*": FEW_BITS,
    "dtype_policies.GPTQDTypePolicy*": FEW_BITS,
    "dtype_policies.Int4DTypePolicy*": FEW_BITS,
    "dtype_policies.QuantizedFloat8DTypePolicy*": FEW_BITS,
    "quantizers.*": FEW_BITS,
    "Quantizer*": FEW_BITS,
    "*.quantize": FEW_BITS,
    "*.quantized_build": FEW_BITS,
    "*.quantized_call": FEW_BITS,
    "*.quantization_mode": FEW_BITS,
    "*.get_quantization_layer_structure": FEW_BITS,
    "*.variable_serialization_spec": FEW_BITS,
    "*.enable_lora": "Fine-tuning by small added matrices is not here for this layer.",
    # --- a torch tensor, a torch module, a torch optimizer ----------------------------------
    "KerasTensor*": TENSOR,
    "Variable": "A `torch.nn.Parameter`; how copies on several devices are joined is torch's affair.",
    "Variable.*": "A variable is a `torch.nn.Parameter`: what torch has under this name takes torch's arguments, too.",
    "*.torch_params": "A layer is a torch module: `parameters()` has them.",
    "Optimizer": "It names its arguments, where Keras takes any.",
    "optimizers.Optimizer": "It names its arguments, where Keras takes any.",
    "*Optimizer.add_variable": "Weights on one device: there is nothing to join and no layout.",
    "optimizers.*.update_step": "The same by place; the argument has another name.",
    "optimizers.Muon.*": "A step of its computation; here a function of the module.",
    "mixed_precision.LossScaleOptimizer.check_finite": "A step of its computation; here a function of the module.",
    "distribution.ModelParallel.*": "Weights spread over devices: torch's DTensor and FSDP do that for its modules, and these are such.",
    # --- Keras's own inner workings, reached through public classes ------------------------
    "*.convert_weight": "It hands weights to TensorFlow's data pipeline.",
    "layers.RandomShear.get_*": "A step of its computation; here a function of the module.",
    "layers.RandomTranslation.get_*": "A step of its computation; here a function of the module.",
    "layers.RandomZoom.get_*": "A step of its computation; here a function of the module.",
    "*.inner_loop": "A step of its computation; here `kernels/recurrent.py` has it.",
    "layers.SpectralNormalization.normalized_weights": "A step of its computation.",
    "layers.Normalization.finalize_state": "`adapt` does it.",
    "layers.Discretization.output_dtype": "`compute_dtype` says it.",
    "metrics.AUC.interpolate_pr_auc": "A step of its computation.",
    "callbacks.TensorBoard.summary": "TensorFlow's module of that name; torch's `SummaryWriter` is used here.",
    "wrappers.*.set_fit_request": "scikit-learn makes it where metadata routing is on.",
    "Model.get_state_tree": "`state_dict()` has it, by names.",
    "Model.set_state_tree": "`load_state_dict()` does it, by names.",
    "*.stateless_compute_loss": "`stateless_call` and `compute_loss` in turn do it.",
    "DTypePolicy.convert_input": "Layers cast their inputs themselves.",
    # --- arguments ------------------------------------------------------------------------
    "*.from_config": "Files never run code, in whatever mode: `safe_mode` of `load_model` is the only one there is.",
    "*.call": "The same in a call of the layer: `training` is handed on by it, and what is not taken is not taken there either.",
    "*.compute_mask": "The same by place; the argument has another name.",
    "*.evaluate": "An unknown argument is answered with the one that is meant.",
    "models.clone_model": "An unknown argument is answered with the one that is meant.",
    "layers.*.load_assets": "The same by place; the argument has another name.",
    "layers.*.save_assets": "The same by place; the argument has another name.",
    "layers.*.transform_*": "The same by place, as layers call it.",
    "layers.RandomGrayscale.get_random_transformation": "The same by place; the argument has another name.",
    "layers.TextVectorization.build": "The shape must be given.",
    "Operation.rematerialized_call": "The same by place; the argument has the name that Keras's `Layer` gives it.",
    "export.ExportArchive": "TensorFlow's SavedModel is not written; the format is torch's own.",
    "*.add_weight": "The shape may be given by place, as in Keras 2.",
    "InputSpec": "One argument more, the last: words for the axes, for messages.",
    "layers.InputSpec": "One argument more, the last: words for the axes, for messages.",
    "layers.LayerNormalization": "`rms_scaling`, which Keras takes out of `**kwargs`, has its name.",
    "losses.categorical_generalized_cross_entropy": "`q` has the default of the class, so that the name can be given to `compile`.",
    "layers.Conv*": "1 stands for (1, 1) and (1, 1, 1): the classes share a constructor.",
    "layers.DepthwiseConv2D": "1 stands for (1, 1): the classes share a constructor.",
    "layers.SeparableConv*": "1 stands for (1, 1): the classes share a constructor.",
}
# What Keras itself does not offer to users, although it is reached through public names.
_NOT_OFFERED = ("src", "_tf_keras", "api")


class Found(NamedTuple):
    """One name.

    Attributes:
        name: Without "keras.": `"layers.Dense.build"`.
        status: `"same"`, `"more"` (every call of Keras's works, and others), `"differs"` or `"absent"`.
        theirs, ours: The arguments, where they differ.
    """

    name: str
    status: str
    theirs: str = ""
    ours: str = ""


def rooms() -> dict[str, types.ModuleType]:
    """Return Keras's public modules by name, without "keras."."""
    import keras

    found = {"": keras}
    waiting = [("", keras)]
    while waiting:
        path, module = waiting.pop()
        for name in dir(module):
            thing = getattr(module, name)
            if name.startswith("_") or name in _NOT_OFFERED or not isinstance(thing, types.ModuleType):
                continue
            if thing.__name__.startswith("keras.") and not thing.__name__.startswith("keras.src"):
                inner = f"{path}.{name}".strip(".")
                if inner not in found:
                    found[inner] = thing
                    waiting.append((inner, thing))
    return dict(sorted(found.items()))


def ours(room: str) -> Any:
    """Return the module of uncrumple that has a name; None if there is none."""
    try:
        return importlib.import_module(f"uncrumple.{room}".rstrip("."))
    except ImportError:
        return None


def _signature(thing: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(thing)
    except (TypeError, ValueError):
        return None


def _parameters(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [p for p in signature.parameters.values() if p.name != "self"]


def _shown(signature: inspect.Signature | None) -> str:
    if signature is None:
        return "(...)"
    parts = []
    for parameter in _parameters(signature):
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = parameter.default
        shown = default.__name__ if hasattr(default, "__name__") else repr(default)
        parts.append(star + parameter.name + ("" if default is parameter.empty else f"={shown}"))
    return f"({', '.join(parts)})"


def compare(theirs: Any, mine: Any) -> str:
    """Return `"same"`, `"more"` or `"differs"` for two functions or classes."""
    one, other = _signature(theirs), _signature(mine)
    if one is None or other is None:
        return "same" if one is other else "more"
    a, b = _parameters(one), _parameters(other)
    if [(p.name, p.kind, repr(p.default)) for p in a] == [(p.name, p.kind, repr(p.default)) for p in b]:
        return "same"
    return "more" if _takes_all(a, b) else "differs"


def _takes_all(theirs: list[inspect.Parameter], mine: list[inspect.Parameter]) -> bool:
    """Return whether every call that fits `theirs` fits `mine`, with the same meaning as far as names tell."""
    many = any(p.kind is p.VAR_POSITIONAL for p in mine)
    anything = any(p.kind is p.VAR_KEYWORD for p in mine)
    placed = [p for p in mine if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = {p.name: p for p in mine if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    place, known = 0, set()
    for p in theirs:
        known.add(p.name)
        if p.kind is p.VAR_POSITIONAL:
            if not many and not (p.name == "args" and anything):
                return False
            continue
        if p.kind is p.VAR_KEYWORD:
            if not anything:
                return False
            continue
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            fits = place < len(placed) and placed[place].name == p.name
            place += 1
            if not fits and not many:
                return False
        if p.kind is not p.POSITIONAL_ONLY:
            if p.name not in named:
                if not anything:
                    return False
            elif p.default is not p.empty and repr(named[p.name].default) != repr(p.default):
                return False
    needed = [p for p in mine if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return all(p.name in known for p in needed)


def found_names() -> list[Found]:
    """Return every public name of Keras, and every public method and property of its classes, and how it is here.

    A method that a class inherits from another public class is looked at there.
    """
    found: list[Found] = []
    seen: set[tuple[int, str]] = set()
    modules = rooms()
    public = {id(thing) for module in modules.values() for thing in vars(module).values() if isinstance(thing, type)}
    for room, module in modules.items():
        here = ours(room)
        for name in sorted(dir(module)):
            theirs = getattr(module, name)
            if name.startswith("_") or isinstance(theirs, types.ModuleType):
                continue
            full = f"{room}.{name}".strip(".")
            if here is None or not hasattr(here, name):
                found.append(Found(full, "absent", _shown(_signature(theirs)) if callable(theirs) else ""))
                continue
            mine = getattr(here, name)
            if callable(theirs):
                status = compare(theirs, mine)
                shown = ("", "") if status == "same" else (_shown(_signature(theirs)), _shown(_signature(mine)))
                found.append(Found(full, status, *shown))
            else:
                found.append(Found(full, "same"))
            if isinstance(theirs, type):
                found += _members(full, theirs, mine, public, seen)
    return found


def _members(full: str, theirs: type, mine: Any, public: set[int], seen: set[tuple[int, str]]) -> list[Found]:
    found = []
    for name in sorted(dir(theirs)):
        owner = next((cls for cls in theirs.__mro__ if name in vars(cls)), None)
        if name.startswith("_") or owner is None or not owner.__module__.startswith("keras."):
            continue
        # The most basic of the public classes that have it from there.
        home = next((cls for cls in reversed(theirs.__mro__) if id(cls) in public and issubclass(cls, owner)), theirs)
        if home is not theirs:
            continue
        member = inspect.getattr_static(theirs, name)
        plain = not callable(getattr(theirs, name)) or isinstance(member, property)
        if not _has(mine, name):
            if (id(owner), name) in seen:  # of a base that is not public: once for all
                continue
            seen.add((id(owner), name))
            shown = "" if plain else _shown(_signature(getattr(theirs, name)))
            found.append(Found(f"{full}.{name}", "absent", shown))
        elif plain or not callable(getattr(mine, name, None)):
            found.append(Found(f"{full}.{name}", "same"))
        else:
            status = compare(getattr(theirs, name), getattr(mine, name))
            shown = _shown(_signature(getattr(theirs, name))), _shown(_signature(getattr(mine, name)))
            found.append(Found(f"{full}.{name}", status, *(("", "") if status == "same" else shown)))
    return found


def _has(cls: Any, name: str) -> bool:
    """Return whether objects of a class have an attribute, be it of the class or one that its constructors set."""
    if hasattr(cls, name):
        return True
    for base in getattr(cls, "__mro__", ()):
        if not base.__module__.startswith("uncrumple."):
            continue
        for function in vars(base).values():
            code = getattr(function, "__code__", None)
            if code is not None and name in code.co_names and f"self.{name}" in _source(function):
                return True
    return False


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return ""


def reason_for(name: str) -> str | None:
    """Return why a name is absent or differs; None if nobody has said."""
    return next((reason for pattern, reason in REASONS.items() if fnmatch.fnmatchcase(name, pattern)), None)


def without_reason(found: list[Found]) -> list[str]:
    """Return the names that are absent or take other arguments, and have no reason."""
    return [one.name for one in found if one.status in ("absent", "differs") and reason_for(one.name) is None]


def text() -> str:
    """Return the page."""
    import keras

    found = found_names()
    per_room: dict[str, dict[str, int]] = {}
    # Statuses of functions and classes, and of the methods and properties of the classes.
    names: dict[bool, dict[str, int]] = {False: {}, True: {}}
    modules = sorted(rooms(), key=len, reverse=True)
    for one in found:
        room = next(room for room in modules if one.name.startswith(f"{room}.") or not room)
        member = "." in one.name.removeprefix(room).strip(".")
        names[member][one.status] = names[member].get(one.status, 0) + 1
        row = per_room.setdefault(room, dict.fromkeys(("same", "more", "differs", "absent"), 0))
        row[one.status] += 1
    counts = [sum(names[False].values()), sum(names[True].values()), len(found)]

    def line(title: str, *statuses: str, bold: str = "") -> str:
        own, members = (sum(names[member].get(status, 0) for status in statuses) for member in (False, True))
        cells = [f"{n:,} ({n / count:.1%})" for n, count in zip((own, members, own + members), counts)]
        return f"| {' | '.join(f'{bold}{cell}{bold}' for cell in (title, *cells))} |"

    out = [
        "<!-- Written by docs/build_keras_coverage.py from the two packages: change those, or the reasons there. -->",
        *("", "# Keras's names", ""),
        f"Keras {keras.__version__} offers {counts[0]:,} public functions and classes, and the classes {counts[1]:,} methods and properties (those",
        "that a class inherits are counted where they are from). A program compares them with what is here; nothing",
        *("on this page is written by hand but the reasons.", ""),
        "| | functions and classes | methods and properties | all |",
        "|---|---|---|---|",
        line("here, with the same arguments", "same"),
        line("here, and every call of Keras's works; others do, too", "more"),
        line("together", "same", "more", bold="**"),
        line("here, with other arguments", "differs"),
        line("absent", "absent"),
        *("", "## Room by room", "", "| room | same | more | other arguments | absent |", "|---|---|---|---|---|"),
    ]
    for room, row in sorted(per_room.items()):
        out.append(
            f"| `keras{'.' if room else ''}{room}` | {row['same']} | {row['more']} | {row['differs']} | {row['absent']} |"
        )
    for status, title in (("absent", "Absent"), ("differs", "With other arguments")):
        out += ["", f"## {title}", ""]
        by_reason: dict[str, list[Found]] = {}
        for one in found:
            if one.status == status:
                by_reason.setdefault(reason_for(one.name) or "**No reason yet.**", []).append(one)
        if not by_reason:
            out.append("Nothing.")
            continue
        out += ["| names | why |", "|---|---|"]
        for reason, names in by_reason.items():
            out.append(f"| {', '.join(f'`{one.name}`' for one in names)} | {reason} |")
    out += ["", "## What takes more than in Keras", "", ", ".join(_grouped(found)), ""]
    return "\n".join(out)


def _grouped(found: list[Found]) -> list[str]:
    """Return the names that take more, those of methods with how many classes have them."""
    groups: dict[str, list[str]] = {}
    for one in found:
        if one.status == "more":
            groups.setdefault(one.name.rsplit(".", 1)[-1], []).append(one.name)
    shown = []
    for last, names in sorted(groups.items()):
        shown.append(f"`{names[0]}`" if len(names) == 1 else f"`{last}` (of {len(names)})")
    return shown


def main() -> None:
    PAGE.write_text(text(), encoding="utf-8")
    missing = without_reason(found_names())
    print(f"{PAGE}: {len(missing)} names without a reason")
    for name in missing:
        print(f"  {name}")


if __name__ == "__main__":
    main()
