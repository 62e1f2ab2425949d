"""docs/reference/ is what docs/build_reference.py makes of the docstrings now, and they say what they should."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import uncrumple as keras
from uncrumple.core import registry

DOCS = Path(__file__).parents[1] / "docs"


def load():
    spec = importlib.util.spec_from_file_location("build_reference", DOCS / "build_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load()
PAGES = build.pages()
MEMBERS = [(page, name, thing) for page in PAGES for name, thing, _ in page.members]
IDS = [f"{page.name}-{name}" for page, name, _ in MEMBERS]

# What applies no formula and comes from no paper: it holds, looks up, writes or reads.
NO_FORMULA = {
    *("serialize", "deserialize", "get", "Input", "InputLayer", "InputSpec", "KerasTensor", "Masking"),
    *("RandomInitializer", "LearningRateSchedule", "MultiOptimizer", "OptimizerMap", "LossScaleOptimizer"),
}
_WITHOUT_FORMULAS = {"callbacks", "preprocessing", "augmentation"}
_FORMULA = re.compile(r"\w\)?\]? ?[=~] ?\S|mean of |sum of |max\(|min\(|argmax|<= |[-+*/] \w|\|\w|1 where|log\(")
# Arguments that every layer has: the page of `Layer` explains them.
_OF_EVERY_LAYER = {"name", "dtype", "trainable", "autocast", "activity_regularizer"}


def test_pages_are_up_to_date():
    wanted = build.files()
    found = {path.name: path.read_text(encoding="utf-8") for path in build.FOLDER.glob("*.md")}
    stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    assert not stale, f"python docs/build_reference.py  writes {', '.join(stale)} anew"


@pytest.mark.parametrize(
    ("page", "room", "category", "title", "about"), build.ROOMS, ids=[one[0] for one in build.ROOMS]
)
def test_everything_public_is_on_a_page(page, room, category, title, about):
    shown = {name for made in PAGES for name, _, _ in made.members}
    shown |= {other for made in PAGES for _, _, others in made.members for other in others}
    registered = {thing.__name__ for thing in registry.builtins(category).values()}
    for name in {*build.public_names(room, category), *registered, *(getattr(room, "__all__", ()))}:
        if callable(getattr(room, name, None)):
            assert name in shown, f"{name} of {category} is on no page"


def test_what_keras_has_is_there_by_its_name():
    for name in ("Dense", "Conv2D", "MaxPool2D", "AvgPool1D", "LSTM", "Add", "add", "Bidirectional", "PReLU"):
        assert any(
            name in (member, *others)
            for page in PAGES
            if page.module == "keras.layers"
            for member, _, others in page.members
        )


def test_every_page_has_its_members_once():
    for page in PAGES:
        headings = re.findall(r"^## (\S+)$", build.text_of(page), re.MULTILINE)
        assert headings == [name for name, _, _ in page.members]
        assert len(headings) == len(set(headings))


def test_links_lead_somewhere():
    for path in [*build.FOLDER.glob("*.md"), DOCS / "README.md"]:
        text = path.read_text(encoding="utf-8")
        anchors = [heading.lower() for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
        numbered = {
            f"{one}-{anchors[:place].count(one)}" for place, one in enumerate(anchors) if one in anchors[:place]
        }
        without_code = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for link in re.findall(r"(?<!\\)\]\(([^)\s]+)\)", without_code):
            if link.startswith("#"):
                assert link[1:] in {*anchors, *numbered}, (path.name, link)
            elif not link.startswith("http"):
                assert (path.parent / link.split("#")[0]).exists(), (path.name, link)


def test_every_page_of_docs_is_listed():
    listed = (DOCS / "README.md").read_text(encoding="utf-8")
    for path in DOCS.glob("*.md"):
        assert path.name == "README.md" or f"]({path.name})" in listed, path.name


# --- docstrings ---------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "name", "thing"), MEMBERS, ids=IDS)
def test_docstring(page, name, thing):
    assert thing.__doc__, "has a docstring of its own"
    parts = build.parts_of(thing)
    sentences = re.findall(r"[.:!?](?: |$)", re.sub(r"`[^`]*`|\d\.\d|e\.g\. ", "", parts.summary))
    assert parts.summary.endswith((".", "`.")), "the first paragraph ends as a sentence"
    assert len([one for one in sentences if one[0] == "."]) == 1, "the first paragraph is one sentence"
    assert ">>> " in "\n".join(parts.sections.get("Example", [])), "it has an example that runs"
    if page.module == "keras.layers":
        given = {"Input shape", "Input shapes", "Shapes", "Call arguments"} & parts.sections.keys()
        assert given or name in ("serialize", "deserialize"), "the shape of the input"
        told = " ".join(line for title in given for line in parts.sections[title])
        same = "Shapes" in given or "output has the same" in told or name in ("serialize", "deserialize")
        assert same or "Output shape" in parts.sections, "the shape of the output"
    if name not in NO_FORMULA and page.name not in _WITHOUT_FORMULAS:
        told = " ".join([parts.summary, *parts.prose])
        assert "Source" in parts.sections or _FORMULA.search(told), "a formula, or where it is from"


@pytest.mark.parametrize(("page", "name", "thing"), MEMBERS, ids=IDS)
def test_every_argument_is_explained(page, name, thing):
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = [p.name for p in inspect.signature(thing).parameters.values() if p.kind not in kinds]
    lines = build.parts_of(thing).sections.get("Args", [])
    explained = {one for names, _ in build.items_of(lines) for one in names}
    if page.module == "keras.layers":
        explained |= _OF_EVERY_LAYER
    for place, parameter in enumerate(parameters):
        if re.search("those (after it|up to)", " ".join(lines)) and any(one in explained for one in parameters[:place]):
            continue  # "This argument and those after it (up to ...) are explained in `Optimizer`."
        assert parameter in explained, f"{parameter} is not explained"


def test_a_docstring_in_parts():
    def example(units, rate=0.5):
        """Does one thing: `a * b`.

        It is done in a way
        that takes two lines.

        Args:
            units: How many;
                there are some.
            rate: How much.

        Input shape: (samples, a).
        Output shape: (samples, b),
        or none.

        Example:
            >>> example(1)

            >>> example(2)
        """

    parts = build.parts_of(example)
    assert parts.summary == "Does one thing: `a * b`."
    assert parts.prose == ["It is done in a way that takes two lines."]
    assert build.items_of(parts.sections["Args"]) == [(["units"], "How many; there are some."), (["rate"], "How much.")]
    assert parts.sections["Output shape"] == ["(samples, b),", "or none."]
    assert parts.sections["Example"] == [">>> example(1)", "", ">>> example(2)"]
    assert build.signature_of("example", example) == "example(units, rate=0.5)"


def test_text_is_not_marked_up_by_accident():
    assert build._plain("a * b**2 < `c * d` [1]") == "a \\* b\\*\\*2 \\< `c * d` \\[1\\]"


def test_a_layer_of_no_family_is_found():
    class Stranger(keras.Layer):
        """Nothing."""

    Stranger.__module__ = "uncrumple.layers.stranger"
    with pytest.raises(KeyError, match="build_reference"):
        build.family_of("Stranger", Stranger)
