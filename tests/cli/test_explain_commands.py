"""`preflight` and `explain`, and what `train` says before and while it learns."""

import json
import re

import numpy as np
import pytest
from command_lines import run
from PIL import Image
from raw_files import days, houses, passengers, photos, reviews

from uncrumple import experiment, layers
from uncrumple.cli.main import main
from uncrumple.core.seeds import set_random_seed
from uncrumple.experiment.explaining import PARTS
from uncrumple.experiment.page import link_to_explanation, with_explanation
from uncrumple.experiment.stages import _with_best_kept
from uncrumple.experiment.written import write_model
from uncrumple.explain import Finding

KINDS = {
    "houses": (houses, {"target": "price"}, 10),
    "passengers": (passengers, {"target": "Survived"}, 10),
    "photos": (lambda folder: photos(folder, count=40), {"size": (16, 16)}, 1),
    "reviews": (reviews, {"text": "review", "target": "stars"}, 5),
    "days": (days, {"past": 8, "target": "sold", "time": "day"}, 2),
}
# What there is to say about each kind, besides the trace, the view and single answers, which all have.
MORE = {
    "houses": {"importance", "tree"},
    "passengers": {"confusion", "importance", "tree"},
    "photos": {"confusion"},
    "reviews": {"confusion"},
    "days": set(),
    "verse": set(),
}


def short_run(path, folder, options, epochs):
    """A run without its judgement, which takes longer than the rest."""
    source = experiment.Source.of(str(path), options)
    prepared = experiment.prepare(source.opened().need_answers())
    recipe = experiment.recipe_for(prepared.dataset, len(prepared.parts.train)).changed(epochs=epochs)
    model = experiment.network_for(prepared.dataset, prepared.preparation)
    trained = experiment.train(model, prepared, recipe, verbose=0)
    folder.mkdir(parents=True)
    write_model(folder, trained)
    shares = {"validation_share": 0.15, "test_share": 0.15}
    experiment.write_settings(folder, source, prepared, trained, shares)
    (folder / "report.html").write_text(f"<html>{link_to_explanation()}</html>")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with raw files of each kind, and a short run on each."""
    folder = tmp_path_factory.mktemp("explained")
    for name, (make, options, epochs) in KINDS.items():
        short_run(make(folder), folder / "runs" / name, options, epochs)
    verse = folder / "verse.txt"
    verse.write_text("to be or not to be, that is the question " * 40)
    short_run(verse, folder / "runs" / "verse", {"steps": 20}, 1)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What `train` writes on iris, with all that belongs to it."""
    folder = tmp_path_factory.mktemp("whole") / "iris"
    main(["train", "iris", "--epochs", "4", "--budget", "1", "--check-seconds", "0", "--quiet", "--out", str(folder)])
    return folder


# --- preflight ------------------------------------------------------------------------------


def test_preflight_ticks_each_check(capsys):
    code, out, _ = run("preflight", "iris", capsys=capsys)
    assert code == 0
    assert "preflight: all well in 11 checks" in out
    assert out.count("✓") == 11 and "✗" not in out
    assert "not checked, the answers are classes" in out


def test_preflight_finds_a_rate_that_is_too_high(capsys):
    code, out, _ = run("preflight", "iris", "--learning-rate", 10, "--json", capsys=capsys)
    found = json.loads(out)
    names = {one["name"] for one in found["findings"]}
    assert "learning-rate-high" in names
    assert code == (1 if found["worst"] == "error" else 0)
    assert found["data"]["data"] == "iris" and found["described"].endswith("106 samples")
    code, out, _ = run("preflight", "iris", "--learning-rate", 10, "--fail-on", "warning", capsys=capsys)
    assert code == 1 and "✗ the loss does not rise in the first steps" in out
    code, out, _ = run("preflight", "iris", "--learning-rate", 10, "--fail-on", "never", capsys=capsys)
    assert code == 0


def test_preflight_of_a_run_is_that_of_its_data(made, capsys):
    code, out, _ = run("preflight", made / "runs" / "houses", capsys=capsys)
    assert code == 0 and "preflight: all well" in out and "targets are within reach" in out
    code, _, error = run("preflight", made / "runs" / "houses", "--target", "price", capsys=capsys)
    assert code == 2 and "--target was given, and a run knows its data." in error


def test_preflight_refuses_what_is_not_there(capsys):
    code, _, error = run("preflight", "houzes.csv", capsys=capsys)
    assert code == 2 and "houzes.csv is not there" in error
    code, _, error = run("preflight", "iris", "--seconds", 0, capsys=capsys)
    assert code == 2 and "seconds" in error


# --- train ----------------------------------------------------------------------------------


def test_train_says_what_was_found_before_and_while_it_learned(trained):
    report = json.loads((trained / "report.json").read_text())
    assert report["preflight"]["findings"] == [] and len(report["preflight"]["ran"]) == 11
    assert report["diagnosis"] == []
    page = (trained / "report.html").read_text()
    section = page.split("<h2>Before and while it learned</h2>")[1].split("</section>")[0]
    assert "Preflight: all well in 11 checks" in section and "While it learned: nothing found." in section
    assert "✓ gradients reach the first layers" in section
    assert "uncrumple explain" in page.split("<h2>What its answers rest on</h2>")[1]


def test_findings_are_in_the_report(tmp_path, capsys):
    code, out, _ = run(
        *("train", "iris", "--epochs", 2, "--learning-rate", 20, "--budget", 1, "--check-seconds", 0, "--quiet"),
        *("--out", tmp_path / "wild"),
        capsys=capsys,
    )
    assert code == 0 and "learning-rate-high" in out
    report = json.loads((tmp_path / "wild" / "report.json").read_text())
    assert "learning-rate-high" in {one["name"] for one in report["preflight"]["findings"]}
    section = (tmp_path / "wild" / "report.html").read_text().split("<h2>Before and while it learned</h2>")[1]
    assert re.search(r'class="said warn"><b>(ERROR|WARNING) learning-rate-high', section)


def test_strict_stops_before_training(tmp_path, capsys, monkeypatch):
    usual = experiment.network_for

    def broken(data, preparation):
        model = usual(data, preparation)
        return layers_that_say_nothing(model)

    monkeypatch.setattr(experiment, "network_for", broken)
    out = tmp_path / "never"
    arguments = ("train", "iris", "--epochs", 1, "--check-seconds", 0, "--budget", 1, "--out", out)
    code, said, _ = run(*arguments, "--strict", capsys=capsys)
    assert code == 1 and "Stopped before training (--strict)." in said
    assert not out.exists()
    code, said, _ = run(*arguments, "--strict", "--json", capsys=capsys)
    assert code == 1 and "ignored-inputs" in {one["name"] for one in json.loads(said)["preflight"]["findings"]}


def layers_that_say_nothing(model):
    """The model with the kernels of its dense layers at 0: none of them learns."""
    for layer in model.layers:
        if isinstance(layer, layers.Dense):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
    return model


def test_the_same_weights_with_and_without_looking():
    """Neither looking before nor watching changes what is learned."""
    weights = []
    for looks in (False, True):
        prepared = experiment.prepare(experiment.Source.of("iris").opened().need_answers())
        recipe = experiment.recipe_for(prepared.dataset, len(prepared.parts.train)).changed(epochs=2)
        set_random_seed(0)
        model = experiment.network_for(prepared.dataset, prepared.preparation)
        ready = experiment.made_ready(model, prepared, recipe)
        if looks:
            assert ready.preflight().ok
        trained = experiment.train(ready, prepared, recipe, verbose=0, diagnose=looks)
        assert (trained.findings is None) != looks
        weights.append(trained.model.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)


# --- explain --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MORE))
def test_each_kind_is_explained_as_far_as_it_goes(made, name, capsys):
    folder = made / "runs" / name
    weights = (folder / "model.keras").read_bytes()
    code, out, error = run("explain", folder, "--rows", 3, "--json", capsys=capsys)
    assert code == 0, error
    found = json.loads(out)
    assert set(found["parts"]) == {"trace", "view", "attribution"} | MORE[name]
    assert set(found["not_shown"]) == set(PARTS) - set(found["parts"])
    assert len(found["shown"]) == 3 and "validation rows" in found["where"]
    kept = json.loads((folder / "explain" / "explain.json").read_text())
    assert kept["parts"].keys() == found["parts"].keys()
    pictures = {path.stem for path in (folder / "explain").glob("*.png")}
    assert pictures == set(found["parts"]) - {"trace"}
    page = (folder / "explain" / "explain.html").read_text()
    for part in found["parts"]:
        assert f"<h2>{PARTS[part]}</h2>" in page
    assert "<script" not in page and "http:" not in page and "https:" not in page and page.count("<html") == 1
    assert 'href="explain/explain.html"' in (folder / "report.html").read_text()
    assert (folder / "model.keras").read_bytes() == weights


def test_the_test_part_stays_sealed(made, capsys):
    before = sorted(path.name for path in (made / "runs").iterdir())
    code, _, _ = run("explain", made / "runs" / "passengers", "--only", "view,importance", capsys=capsys)
    assert code == 0
    assert sorted(path.name for path in (made / "runs").iterdir()) == before
    assert "test_uses.json" not in before


def test_a_summary_in_words(made, capsys):
    code, out, _ = run("explain", made / "runs" / "passengers", "--rows", 4, capsys=capsys)
    assert code == 0
    for part in ("confusion", "trace", "view", "attribution", "importance", "tree"):
        assert PARTS[part] in out
    assert "validation rows" in out and "Sex: shuffled," in out and "points of accuracy worse" in out
    assert "Sex is 'female'?" in out or "Sex is 'male'?" in out
    assert len(re.findall(r"row \d+: [01] \(\d+", out)) == 4


def test_the_same_seed_chooses_the_same_rows(made, capsys):
    shown = []
    for seed in (0, 0, 1):
        _, out, _ = run(
            *("explain", made / "runs" / "passengers", "--only", "trace", "--seed", seed, "--json"), capsys=capsys
        )
        found = json.loads(out)
        assert list(found["parts"]) == ["trace"] and found["not_shown"] == {}
        shown.append([one["row"] for one in found["shown"]])
    assert shown[0] == shown[1] != shown[2]


def test_rows_of_a_file_with_and_without_answers(made, tmp_path, capsys):
    other = passengers(tmp_path, rows=60, seed=1)
    folder = made / "runs" / "passengers"
    code, out, _ = run("explain", folder, other, "--only", "confusion", "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0 and found["rows"] == 60 and list(found["parts"]) == ["confusion"] and str(other) in found["where"]
    lines = other.read_text().splitlines()
    (tmp_path / "new.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    code, out, error = run("explain", folder, tmp_path / "new.csv", "--json", capsys=capsys)
    assert code == 0, error
    found = json.loads(out)
    assert found["not_shown"] == {
        "confusion": "the rows have no true answers",
        "importance": "the rows have no true answers",
    }
    assert {"attribution", "view", "tree"} <= set(found["parts"])
    assert found["shown"][0]["truth"] is None


def test_a_single_picture(made, tmp_path, capsys):
    Image.fromarray(np.full((20, 20, 3), 60, np.uint8)).save(tmp_path / "night.png")
    code, out, error = run("explain", made / "runs" / "photos", tmp_path / "night.png", "--json", capsys=capsys)
    assert code == 0, error
    found = json.loads(out)
    assert found["rows"] == 1 and found["shown"][0]["row"] == "night.png"
    assert set(found["parts"]) == {"trace", "attribution"}
    assert found["not_shown"]["view"] == "it takes at least 10 rows, and there is one"


def test_what_cannot_be_explained_is_said(made, tmp_path, capsys):
    code, _, error = run("explain", made / "runs" / "houzes", capsys=capsys)
    assert code == 2 and "did you mean" in error
    code, _, error = run("explain", made / "runs" / "houses", "--only", "veiw", capsys=capsys)
    assert code == 2 and "Unknown part of an explanation: 'veiw'." in error and "did you mean 'view'?" in error
    code, _, error = run("explain", made / "runs" / "houses", tmp_path / "none.csv", capsys=capsys)
    assert code == 2 and "none.csv is not there" in error
    code, _, error = run("explain", made / "runs" / "houses", "--rows", 0, capsys=capsys)
    assert code == 2 and "--rows" in error


def test_the_report_leads_to_the_explanation_and_only_once():
    report = f"<p>before</p>{link_to_explanation()}<p>after</p>"
    once = with_explanation(report, ["It looks at <ears>."])
    assert "It looks at &lt;ears&gt;." in once and "before" in once and "<p>after</p>" in once
    again = with_explanation(once, ["It looks at tails."])
    assert "ears" not in again and again.count("explain/explain.html") == 1
    assert with_explanation("<p>a page of before</p>", ["..."]) == "<p>a page of before</p>"


def test_overfitting_is_a_note_where_the_weights_of_before_were_kept():
    found = Finding("overfitting", "warning", "It has risen.", 0.2, 0.1, "above its lowest", "...", "...", epoch=9)
    kept = _with_best_kept(found, 3)
    assert kept.severity == "note" and "the weights of epoch 3 were kept" in kept.try_this
    assert _with_best_kept(found, 12) is found
    assert (
        _with_best_kept(Finding("nan", "error", "It is NaN.", 1, 0, "numbers", "...", "...", epoch=9), 3).name == "nan"
    )
