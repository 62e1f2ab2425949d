"""From raw rows to a saved model that answers raw rows, for each kind of data; in a new process, too."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import uncrumple as uc
from uncrumple import experiment
from uncrumple.data import Images, Series, Table, Text, preparation_of
from uncrumple.experiment.chain import behind, for_keras, forget

ASK = """
import json, sys
import uncrumple as uc
from uncrumple.data import preparation_of
answers = []
for path, new in json.loads(sys.argv[1]):
    model = uc.models.load_model(path)
    preparation = preparation_of(model)
    outputs = model.predict(preparation.read(new), verbose=0)
    answers.append([outputs.tolist(), [str(one) for one in preparation.decode(outputs)]])
print(json.dumps(answers))
"""


def table(folder):
    random = np.random.default_rng(0)
    age, city = random.normal(40, 10, 160).round(1), random.choice(["Bern", "Rome"], 160)
    lines = ["age;city;since;rent"]
    for place in range(160):
        lines.append(
            f"{age[place] if place % 9 else ''};{city[place]};2024-0{place % 9 + 1}-03;{10 * age[place] + 300 * (city[place] == 'Rome'):.2f}"
        )
    (folder / "rows.csv").write_text("\n".join(lines))
    return Table(folder / "rows.csv", target="rent"), str(folder / "rows.csv")


def pictures(folder):
    random = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (folder / name).mkdir()
        for number in range(24):
            pixels = np.clip(random.normal(level, 25, (14, 18, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return Images(folder, size=(12, 12)), [str(folder / "light" / "3.png"), str(folder / "dark" / "3.png")]


def texts(folder):
    random = np.random.default_rng(0)
    words = {"king": ["crown", "sword", "war"], "fool": ["jest", "song", "wine"]}
    lines = []
    for number in range(160):
        who = "king" if number % 2 else "fool"
        lines += [f"{who.upper()}:", " ".join(random.choice([*words[who], "and", "the"], 6)), ""]
    (folder / "play.txt").write_text("\n".join(lines))
    return Text(folder / "play.txt", speakers=True), ["a crown and a sword", "the song, the wine"]


def series(folder):
    steps = np.sin(np.arange(200) / 5)
    return Series(steps, past=12, future=2), steps[:40].tolist()


def language(folder):
    (folder / "verse.txt").write_text("to be or not to be " * 400)
    return Text(folder / "verse.txt", steps=20), ["to be or not to be t"]


KINDS = {
    "table": (table, 40),
    "pictures": (pictures, 8),
    "texts": (texts, 15),
    "series": (series, 15),
    "language": (language, 15),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One training for each kind: (folder, data, prepared, trained, new raw rows)."""
    made = {}
    for name, (make, epochs) in KINDS.items():
        folder = tmp_path_factory.mktemp(name)
        data, new = make(folder)
        prepared = experiment.prepare(data, validation=0.2, test=0.2, seed=1)
        model = experiment.network_for(data, prepared.preparation)
        recipe = experiment.recipe_for(data, len(prepared.parts.train)).changed(epochs=epochs)
        trained = experiment.train(model, prepared, recipe, verbose=0)
        trained.model.save(folder / "model.keras")
        made[name] = folder, data, prepared, trained, new
    return made


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_data_is_learnt(runs, name):
    _, data, prepared, trained, _ = runs[name]
    assert prepared.sealed.test_uses == 0
    assert min(trained.history["val_loss"]) < 0.75 * trained.history["val_loss"][0]
    test = prepared.sealed.test
    outputs = trained.model.predict(test.raw, verbose=0)
    assert len(outputs) == len(test) == len(data.decode(outputs))
    measured = trained.model.evaluate(test.raw, test.y, verbose=0, return_dict=True)  # it is compiled
    assert set(measured) == {"loss", "mae" if data.task == "regression" else "accuracy"}
    assert trained.model.layers[-1].output.shape[0] is None  # each layer has one output, as before training
    again = uc.models.load_model(runs[name][0] / "model.keras")
    np.testing.assert_array_equal(again.predict(test.raw, verbose=0), outputs)


def test_saved_models_answer_raw_rows_in_a_new_process(runs):
    asked = [[str(folder / "model.keras"), new] for folder, _, _, _, new in runs.values()]
    out = subprocess.run([sys.executable, "-c", ASK, json.dumps(asked)], capture_output=True, text=True, check=True)
    answers = json.loads(out.stdout.splitlines()[-1])
    for (name, (_, _, _, trained, new)), (there, words) in zip(runs.items(), answers):
        preparation = preparation_of(trained.model)
        here = trained.model.predict(preparation.read(new), verbose=0)
        np.testing.assert_allclose(np.array(there), here, rtol=1e-6, atol=1e-7)
        if (here.ndim == 2 and here.shape[1] == 1) or preparation.task != "regression":
            assert words == [str(one) for one in preparation.decode(here)]
        if name == "pictures":
            assert words == ["light", "dark"]
        if name == "texts":
            assert words == ["KING", "FOOL"]


def test_the_network_is_trained_on_what_was_prepared_once(tmp_path):
    data, _ = table(tmp_path)
    prepared = experiment.prepare(data)
    model = experiment.network_for(data, prepared.preparation)
    preparation, inner = behind(model)
    assert preparation is prepared.preparation
    rows = prepared.rows("train")[0]
    np.testing.assert_allclose(
        inner.predict(preparation.prepare(rows), verbose=0), model.predict(rows, verbose=0), rtol=1e-5
    )
    assert {id(weight) for weight in inner.weights} == {id(weight) for weight in model.weights}
    forget(inner)
    branches = uc.layers.Concatenate()([model.layers[-2].output, model.layers[-3].output])
    assert behind(uc.Model(model.input, branches)) is None  # no chain
    assert for_keras(model) is None  # Keras has no layer for words and gaps


def test_what_the_answers_are_is_measured_on_the_training_rows(tmp_path):
    data, _ = table(tmp_path)
    prepared = experiment.prepare(data)
    answers = prepared.preparation.meaning["answers"]
    assert answers["mean"] == [pytest.approx(prepared.rows("train")[1].mean(dtype=np.float64))]
    changed = data.take(slice(None))
    changed.y = data.y.copy()
    changed.y[prepared.parts.test] = 1e9
    assert changed.preparation(prepared.parts.train).get_config() == prepared.preparation.get_config()


def test_judging_looks_at_the_test_part_once(tmp_path):
    data, _ = table(tmp_path)
    prepared = experiment.prepare(data, folder=tmp_path / "runs")
    model = experiment.network_for(data, prepared.preparation)
    trained = experiment.train(model, prepared, experiment.recipe_for(data, 100).changed(epochs=3), verbose=0)
    judged = experiment.judge(trained, prepared, budget_seconds=1)
    assert prepared.sealed.test_uses == judged.uses == 1
    assert len(judged.comparison.rows) == 6 and len(judged.truth) == len(prepared.parts.test)


def test_data_without_answers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="The table 'table' has no answers"):
        experiment.prepare(Table({"x": np.arange(20) / 7}))


def test_a_model_without_a_preparation_says_so():
    model = uc.Sequential([uc.Input((3,)), uc.layers.Dense(1)], name="plain")
    with pytest.raises(ValueError, match="'plain' has no preparation"):
        preparation_of(model)


def test_wrong_raw_rows_are_named(tmp_path):
    data, _ = table(tmp_path)
    model = experiment.network_for(data, data.preparation())
    with pytest.raises(ValueError, match="age"):
        preparation_of(model)({"city": torch.zeros(2)})
    with pytest.raises(ValueError, match="got a list"):
        preparation_of(model)([1, 2])
