"""Writes docs/reference/ from the docstrings: a page per family, every public class and function on one of them.

    python docs/build_reference.py

The examples on the pages are the doctests, with the outputs that `make test`
compares them with. `tests/test_reference.py` says when a page is out of date.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import uncrumple as keras
from uncrumple.core import registry

FOLDER = Path(__file__).parent / "reference"
_SECTIONS = (
    *("Args", "Call arguments", "Raises", "Returns", "Attributes", "Example", "Source", "Weights"),
    *("Input shape", "Input shapes", "Output shape", "Output shapes", "Shapes"),
)
_SECTION = re.compile(rf"^({'|'.join(_SECTIONS)}):(?: (.*))?$")


class Page(NamedTuple):
    """A page of the reference.

    Attributes:
        name: Of its file, without the ending.
        title: Its heading.
        about: A few sentences.
        members: (name, object, other names) in the order of the page.
        module: How its names are reached: `keras.layers`.
    """

    name: str
    title: str
    about: str
    members: list[tuple[str, Any, list[str]]]
    module: str


# --- which name stands on which page ------------------------------------------------------

# Families of layers: page, title, introduction, and words in the names of the modules that belong there.
# The first family with a word that fits takes the layer.
_FAMILIES = (
    (
        *("merging", "Merging layers", "Several tensors become one. Each has a function of the same name in small"),
        *("letters: `add([x1, x2])`.", ("merging",)),
    ),
    (
        *("attention", "Attention layers", "Every place looks at all others, and takes from them what it needs."),
        *("", ("attention",)),
    ),
    (
        *(
            "recurrent",
            "Recurrent layers",
            "A sequence is read step by step, and a state is carried along. A cell does",
        ),
        *("one step; a layer runs a cell over all.", ("recurrent", "conv_lstm")),
    ),
    (
        *("pooling", "Pooling layers", "Windows of a line, an image or a volume become one number per channel."),
        *("", ("pooling",)),
    ),
    (
        *(
            "convolution",
            "Convolution layers",
            "A small kernel slides along a line, an image or a volume. Channels come",
        ),
        *('last; `data_format="channels_first"` changes that.', ("convolution",)),
    ),
    (
        *(
            "normalization",
            "Normalization layers",
            "Numbers are brought to a common scale, by the batch or by the sample.",
        ),
        *("", ("normalization",)),
    ),
    (
        *(
            "regularization",
            "Regularization layers",
            "Noise and penalties that make a network rely on no single number;",
        ),
        *("in evaluation they do nothing.", ("regularization",)),
    ),
    (
        *("reshaping", "Padding and reshaping layers", "The numbers stay, their arrangement changes."),
        *("", ("padding", "reshaping", "upsampling", "spatial_resizing")),
    ),
    (
        *(
            "activation-layers",
            "Activation layers",
            "Activations as layers of their own: with settings, or with weights",
        ),
        *(
            "that are learned. Those without are among the [activations](activations.md).",
            ("activation_layers", "maxout"),
        ),
    ),
    (
        *("wrappers", "Wrappers", "Layers that hold another layer and use it in their own way."),
        *("", ("wrappers", "spectral")),
    ),
    (
        *("augmentation", "Images and sound", "Pictures are resized, and varied at random while a model trains; sound"),
        *("becomes pictures of its frequencies.", ("augmentation",)),
    ),
    (
        *("preprocessing", "Preprocessing layers", "Numbers, categories and texts, as they are in files, become what"),
        *("networks compute with, within the model.", ("preprocessing",)),
    ),
    (
        *("core", "Core layers", "The base of all layers, where data enters, the fully connected layer, and"),
        *(
            "what holds functions.",
            ("base", "core", "dense", "embedding", "masking", "input", "input_spec", "symbolic", "operation", "einsum"),
        ),
    ),
)
# A module that two families' words fit, and a class that is not where its module says.
_EXCEPTIONS = {
    "SpectralNormalization": "wrappers",
    "Bidirectional": "wrappers",
    "Normalization": "preprocessing",
    "deserialize": "core",
    "serialize": "core",
}


def family_of(name: str, thing: Any) -> str:
    """Return the page that a layer belongs on.

    Raises:
        KeyError: None does; `_FAMILIES` is where to add it.
    """
    if name in _EXCEPTIONS:
        return _EXCEPTIONS[name]
    module = thing.__module__.removeprefix("uncrumple.layers")
    for page, _, _, _, words in _FAMILIES:
        if any(re.search(rf"(^|[._]){word}", module) for word in words):
            return page
    raise KeyError(f"{name}, of {thing.__module__}: docs/build_reference.py does not know its page")


def _by_object(room: ModuleType, names: list[str]) -> list[tuple[str, Any, list[str]]]:
    """Return (name, object, other names) for the names of a room, each object once, sorted by name."""
    found: dict[int, tuple[str, Any, list[str]]] = {}
    for name in sorted(set(names), key=lambda one: (one.lower(), one)):
        thing = getattr(room, name)
        if not callable(thing):
            continue
        if id(thing) not in found:
            found[id(thing)] = (thing.__name__, thing, [])
        if name != thing.__name__:
            found[id(thing)][2].append(name)
    public = {name for name in names if hasattr(room, name)}
    members = []
    for name, thing, others in found.values():
        if name not in public:  # known by another name than the one it was defined with
            name, others = others[0], others[1:]
        members.append((name, thing, others))
    return sorted(members, key=lambda member: (member[0].lower(), member[0]))


def public_names(room: ModuleType, category: str) -> list[str]:
    """Return the names that a room offers: what it registers, what it lists, its base class and Keras's three functions."""
    names = set(getattr(room, "__all__", ()))
    if not names:
        registered = {id(thing) for thing in registry.builtins(category).values()}
        names = {name for name, thing in vars(room).items() if id(thing) in registered}
        names |= {name for name in _BASES.get(category, ()) if hasattr(room, name)}
    names |= {name for name in ("get", "serialize", "deserialize") if hasattr(room, name)}
    return sorted(
        name for name in names if not name.startswith("_") and not isinstance(getattr(room, name), ModuleType)
    )


_BASES = {
    "initializers": ("Initializer", "RandomInitializer"),
    "regularizers": ("Regularizer",),
    "constraints": ("Constraint",),
}
ROOMS = (
    ("layers", keras.layers, "layers", "", ""),
    (
        *("losses", keras.losses, "losses", "Losses"),
        "The one number that training makes small. A class gives the mean of a batch; the function of the same name "
        "gives one number per sample.",
    ),
    (
        *("metrics", keras.metrics, "metrics", "Metrics"),
        "Numbers to watch. They grow with each batch, and are read at the end of an epoch.",
    ),
    (
        *("optimizers", keras.optimizers, "optimizers", "Optimizers"),
        "How weights move against their gradients. Every one is a `torch.optim.Optimizer`, with Keras's formula.",
    ),
    (
        *("schedules", keras.optimizers.schedules, "optimizers.schedules", "Learning rate schedules"),
        "Learning rates that change with the step: `Adam(learning_rate=CosineDecay(0.001, 1000))`.",
    ),
    (
        *("activations", keras.activations, "activations", "Activations"),
        "What a layer does to its weighted sums: a name, one of these functions, or a function of your own.",
    ),
    (
        *("initializers", keras.initializers, "initializers", "Initializers"),
        "The values that weights start from. One object gives the same values for the same shape each time.",
    ),
    (
        *("regularizers", keras.regularizers, "regularizers", "Regularizers"),
        "Penalties that are added to the loss, to keep weights or outputs small.",
    ),
    (
        *("constraints", keras.constraints, "constraints", "Constraints"),
        "What a weight is put back into after each step of the optimizer.",
    ),
    (
        *("callbacks", keras.callbacks, "callbacks", "Callbacks"),
        "What is done while a model trains: stopping, saving, drawing curves.",
    ),
)


def pages() -> list[Page]:
    """Return all pages of the reference, families of layers first."""
    made = []
    members = _by_object(keras.layers, public_names(keras.layers, "layers"))
    families = {page: [] for page, *_ in _FAMILIES}
    for member in members:
        families[family_of(member[0], member[1])].append(member)
    order = ("core", "convolution", "pooling", "normalization", "recurrent", "attention", "merging", "regularization")
    order += ("reshaping", "activation-layers", "wrappers", "preprocessing", "augmentation")
    titles = {page: (title, f"{one} {other}".strip()) for page, title, one, other, _ in _FAMILIES}
    for page in order:
        if families[page]:
            made.append(Page(page, *titles[page], families[page], "keras.layers"))
    for page, room, category, title, about in ROOMS[1:]:
        path = "keras.optimizers.schedules" if page == "schedules" else f"keras.{page}"
        made.append(Page(page, title, about, _by_object(room, public_names(room, category)), path))
    return made


# --- a docstring in parts -------------------------------------------------------------------


class Parts(NamedTuple):
    """A docstring in parts.

    Attributes:
        summary: Its first paragraph, on one line.
        prose: The paragraphs after it.
        sections: {"Args": lines, ...}, without their common indentation.
    """

    summary: str
    prose: list[str]
    sections: dict[str, list[str]]


def parts_of(thing: Any) -> Parts:
    """Return the docstring of a class or function in parts."""
    lines = (inspect.getdoc(thing) or "").split("\n")
    paragraphs: list[list[str]] = [[]]
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        found = _SECTION.match(line)
        if found:
            current = sections.setdefault(found[1], [])
            if found[2]:
                current.append(found[2])
        elif current is not None and (not line or line.startswith(" ")):
            current.append(line.removeprefix("    "))
        elif (
            current is not None
            and current
            and not paragraphs[-1]
            and line
            and current[-1].strip()
            and _is_inline(current)
        ):
            current.append(line)  # the rest of a sentence that began beside the section's name
        else:
            current = None
            if line:
                paragraphs[-1].append(line)
            elif paragraphs[-1]:
                paragraphs.append([])
    texts = [" ".join(paragraph) if not _is_list(paragraph) else "\n".join(paragraph) for paragraph in paragraphs]
    texts = [text for text in texts if text]
    stripped = {name: _without_edges(found) for name, found in sections.items()}
    return Parts(texts[0] if texts else "", texts[1:], stripped)


def _is_inline(section: list[str]) -> bool:
    return bool(section) and not section[0].startswith(" ") and all(section)


def _is_list(paragraph: list[str]) -> bool:
    return any(line.startswith(("- ", "  ")) for line in paragraph)


def _without_edges(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def items_of(lines: list[str]) -> list[tuple[list[str], str]]:
    """Return (names, text) for each item of a section such as Args."""
    found: list[tuple[list[str], str]] = []
    names = ""  # of an item whose names take more than a line
    for line in lines:
        if names or not line.startswith(" "):
            names = f"{names} {line.strip()}".strip()
            head = re.match(r"^([*\w`, {}()./]+?):(?: (.*))?$", names)
            if head:
                found.append(([name.strip("` ") for name in head[1].split(",")], head[2] or ""))
                names = ""
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}".strip())
    return found


# --- Markdown ---------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Return text in which nothing but what stands in backticks is marked up."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*<\[\]])", r"\\\1", piece).replace("~", "\\~")
        for piece in pieces
    )


def signature_of(name: str, thing: Any) -> str:
    """Return how a class or function is called, with all defaults."""
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return f"{name}(...)"
    shown = []
    star = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        text = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "") + parameter.name
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.default is not parameter.empty:
            text += f"={_shown(parameter.default)}"
        shown.append(text)
    line = f"{name}({', '.join(shown)})"
    if len(line) <= 100:
        return line
    rows, row = [], ""
    for one in shown:
        if row and len(row) + len(one) + 6 > 100:
            rows.append(row.rstrip())
            row = ""
        row += f"{one}, "
    rows.append(row.rstrip(", "))
    return f"{name}(\n    " + "\n    ".join(rows) + "\n)"


def _shown(default: Any) -> str:
    return default.__name__ if hasattr(default, "__name__") else repr(default)


def entry(page: Page, name: str, thing: Any, others: list[str]) -> str:
    """Return what the reference says about one class or function."""
    parts = parts_of(thing)
    out = [f"## {name}", "", "```python", signature_of(name, thing), "```", "", _plain(parts.summary), ""]
    if others:
        out += [f"Also {'known ' if len(others) > 1 else ''}as {', '.join(f'`{other}`' for other in others)}.", ""]
    for text in parts.prose:
        out += [_plain(text), ""]
    sections = parts.sections
    if "Source" in sections:
        out += [f"**Source:** {_plain(' '.join(line.strip() for line in sections['Source']))}", ""]
    for title in ("Input shape", "Input shapes", "Output shape", "Output shapes", "Shapes", "Weights"):
        if title in sections:
            out += [f"**{title}:** {_plain(' '.join(line.strip() for line in sections[title]))}", ""]
    titles = (("Args", "Arguments"), ("Call arguments", "Arguments of a call"), ("Attributes", "Attributes"))
    for title, heading in titles:
        if title in sections and not items_of(sections[title]):
            out += [f"**{heading}:** {_plain(' '.join(line.strip() for line in sections[title]))}", ""]
        elif title in sections:
            out += [f"**{heading}**", ""]
            for names, text in items_of(sections[title]):
                out.append(f"- {', '.join(f'`{one}`' for one in names)}: {_plain(text)}")
            out.append("")
    if "Returns" in sections:
        out += [f"**Returns:** {_plain(' '.join(line.strip() for line in sections['Returns']))}", ""]
    if "Raises" in sections:
        out += ["**Raises**", ""]
        out += [
            f"- {', '.join(f'`{one}`' for one in names)}: {_plain(text)}"
            for names, text in items_of(sections["Raises"])
        ]
        out.append("")
    if "Example" in sections:
        out += ["```pycon", *sections["Example"], "```", ""]
    return "\n".join(out)


def text_of(page: Page) -> str:
    """Return a whole page."""
    seen: list[str] = []
    links = []
    for name, _, _ in page.members:
        again = seen.count(name.lower())  # `Add` and `add` have one anchor, and the second a number
        links.append(f"[{name}](#{name.lower()}{f'-{again}' if again else ''})")
        seen.append(name.lower())
    listed = " · ".join(links)
    head = [
        "<!-- Written by docs/build_reference.py from the docstrings: change those. -->",
        *("", f"# {page.title}", "", page.about, ""),
        f"They are in `{page.module}`. In the examples, `torch` and `numpy as np` are imported, and so is",
        *("what stands on this page.", "", listed, ""),
    ]
    return "\n".join(head) + "\n" + "\n".join(entry(page, *member) for member in page.members)


def index_of(all_pages: list[Page]) -> str:
    """Return the page that lists the others."""
    out = [
        "<!-- Written by docs/build_reference.py from the docstrings: change those. -->",
        *("", "# Reference", ""),
        "What each part does, its formula, shapes, source and arguments, and an example that runs with the",
        *("tests. Names, arguments and defaults are Keras 3's.", ""),
    ]
    for page in all_pages:
        out += [f"- **[{page.title}]({page.name}.md)**: " + ", ".join(name for name, _, _ in page.members)]
    return "\n".join(out) + "\n"


def files() -> dict[str, str]:
    """Return the text of every file of the reference, by name."""
    made = pages()
    return {"README.md": index_of(made), **{f"{page.name}.md": text_of(page) for page in made}}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    wanted = files()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(wanted)} files in {FOLDER}")


if __name__ == "__main__":
    main()
