"""Optimizers raced: each number is what the optimizer does, run by hand beside it."""

import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import uncrumple as uc
from uncrumple import layers, optimizers
from uncrumple.explain.surfaces.landscapes import LANDSCAPES, walk

random = np.random.default_rng(2)
X = random.normal(size=(96, 4)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int64")


def model(optimizer="adam"):
    made = uc.Sequential([uc.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(2, "softmax")], name="net")
    made.compile(optimizer, "sparse_categorical_crossentropy")
    return made


# --- by hand -------------------------------------------------------------------------------------


def gradient_of_ravine(place):
    return np.array([place[0], 50 * place[1]])


def test_descent_by_hand():
    race = uc.explain.race_optimizers("ravine", optimizers={"SGD": optimizers.SGD(0.02)}, steps=20)
    place = np.array(LANDSCAPES["ravine"].start)
    for step in range(21):
        np.testing.assert_allclose(race["SGD"].places[step], place, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(race["SGD"].losses[step], (place[0] ** 2 + 50 * place[1] ** 2) / 2, rtol=1e-3)
        place = place - 0.02 * gradient_of_ravine(place)


def test_momentum_and_adam_by_hand():
    race = uc.explain.race_optimizers(
        "ravine",
        optimizers={"momentum": optimizers.SGD(0.01, momentum=0.9), "Adam": optimizers.Adam(0.1)},
        steps=15,
    )
    place, speed = np.array(LANDSCAPES["ravine"].start), np.zeros(2)
    for step in range(16):
        np.testing.assert_allclose(race["momentum"].places[step], place, rtol=1e-4, atol=1e-5)
        speed = 0.9 * speed - 0.01 * gradient_of_ravine(place)
        place = place + speed
    place, first, second = np.array(LANDSCAPES["ravine"].start), np.zeros(2), np.zeros(2)
    for step in range(1, 17):
        np.testing.assert_allclose(race["Adam"].places[step - 1], place, rtol=1e-4, atol=1e-5)
        gradient = gradient_of_ravine(place)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        rate = 0.1 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        place = place - rate * first / (np.sqrt(second) + 1e-7)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion", "AdamW"])
def test_every_optimizer_is_stepped_as_in_a_loop(name):
    kind = getattr(optimizers, name)
    race = uc.explain.race_optimizers("rosenbrock", optimizers={name: kind(0.002)}, steps=12)
    weight = torch.nn.Parameter(torch.tensor([-1.2, 1.0]))
    optimizer = kind(0.002)
    optimizer.build([weight])
    for step in range(13):
        np.testing.assert_array_equal(race[name].places[step].astype("float32"), weight.detach().numpy())
        loss = (1 - weight[0]) ** 2 + 100 * (weight[1] - weight[0] ** 2) ** 2
        assert race[name].losses[step] == float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_optimizers_of_torch_run_too():
    race = uc.explain.race_optimizers(
        "bowl",
        optimizers={"torch": lambda weights: torch.optim.SGD(weights, lr=0.5), "ours": optimizers.SGD(0.5)},
        steps=5,
    )
    np.testing.assert_array_equal(race["torch"].places, race["ours"].places)
    assert race["torch"].rate == 0.5


# --- surfaces ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LANDSCAPES)
def test_minima_are_minima(name):
    land = LANDSCAPES[name]
    for minimum in land.minima:
        weight = torch.tensor(minimum, dtype=torch.float64, requires_grad=True)
        land.function(weight[0], weight[1]).backward()
        assert weight.grad.abs().max() < 1e-6
    x0, x1, y0, y1 = land.box
    values = land.value(*np.meshgrid(np.linspace(x0, x1, 201), np.linspace(y0, y1, 201)))
    assert values.min() >= land.lowest - 1e-9
    assert values.min() < land.lowest + 0.02 * (values.max() - values.min())
    assert land.lowest == pytest.approx(min(float(land.value(*one)) for one in land.minima))
    assert x0 < land.start[0] < x1 and y0 < land.start[1] < y1


def test_names_get_their_best_rate_and_stay_in_the_picture():
    race = uc.explain.race_optimizers("rosenbrock", steps=60)
    x0, x1, y0, y1 = LANDSCAPES["rosenbrock"].box
    assert [one.name for one in race.runners] == ["SGD", "SGD, momentum 0.9", "Adagrad", "RMSprop", "Adam"]
    for one in race.runners:
        assert (one.places >= (x0, y0)).all() and (one.places <= (x1, y1)).all()
        assert (one.places[0] == race.runners[0].places[0]).all()
    assert "Each has the best of 16 rates" in race.how


def test_arrival_is_to_stay():
    race = uc.explain.race_optimizers("bowl", optimizers=["sgd", "adam"], steps=80)
    sgd = race["sgd"]
    height = sgd.losses[0]
    assert sgd.arrived == np.flatnonzero(sgd.losses > 0.01 * height)[-1] + 1
    assert race.standings[0] is sgd
    assert (
        race.verdict()
        == f"sgd arrives first, after {sgd.arrived} step{'s' * (sgd.arrived > 1)}; adam needs {race['adam'].arrived}."
    )


def test_who_leaves_the_numbers_is_last_and_drawn_all_the_same(tmp_path):
    race = uc.explain.race_optimizers(
        "ravine", optimizers={"wild": optimizers.SGD(10.0), "tame": optimizers.SGD(0.01)}, steps=60
    )
    assert race.standings[-1].name == "wild" and "left the finite numbers" in str(race)
    assert race.save(tmp_path / "a.png").stat().st_size > 5000
    text = race.save(tmp_path / "a.html").read_text()
    assert "NaN" not in text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(race.save(tmp_path / "a.json").read_text())["runners"][0]["losses"][-1] is None


def test_a_function_of_ones_own():
    race = uc.explain.race_optimizers(
        lambda x, y: (x - 1) ** 2 + y**2, optimizers=["adam"], start=(0, 0.5), box=(-1, 2, -1, 1), steps=40
    )
    assert race.lowest is None and race["adam"].arrived is None
    assert race["adam"].last < 0.05
    with pytest.raises(ValueError, match="a function without start or box"):
        uc.explain.race_optimizers(lambda x, y: x + y)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"on": "revine"}, "Unknown surface: 'revine'."),
        ({"steps": 1}, "race_optimizers got steps=1.\nExpected a whole number of at least 2."),
        ({"optimizers": ["addam"]}, "Unknown optimizer: 'addam'."),
        ({"optimizers": [optimizers.Adam]}, "race_optimizers got the class Adam as the optimizer"),
        ({"optimizers": []}, "race_optimizers got optimizers=[]."),
        ({"start": (1,)}, "race_optimizers got start=(1,).\nExpected 2 finite numbers."),
        ({"box": (1, 0, 0, 1)}, "race_optimizers got box=(1, 0, 0, 1)."),
    ],
)
def test_impossible_arguments(arguments, text):
    with pytest.raises((ValueError, TypeError)) as error:
        uc.explain.race_optimizers(**arguments)
    assert text in str(error.value)


# --- on a model ------------------------------------------------------------------------------------


def test_a_model_takes_the_steps_that_fit_takes_and_is_put_back():
    net = model(optimizers.SGD(0.3))
    net.fit(X, Y, epochs=1, verbose=0)
    given, weights, state = net.optimizer, net.get_weights(), torch.get_rng_state()
    race = uc.explain.race_optimizers(
        net,
        (X, Y),
        optimizers={"Adam": optimizers.Adam(0.05), "SGD": optimizers.SGD(0.5)},
        steps=6,
        batch_size=32,
        seed=7,
    )
    assert net.optimizer is given and torch.equal(state, torch.get_rng_state())
    for one, other in zip(weights, net.get_weights()):
        np.testing.assert_array_equal(one, other)
    for kind, rate in ((optimizers.Adam, 0.05), (optimizers.SGD, 0.5)):
        alone = model(kind(rate))
        alone.set_weights(weights)
        assert alone.evaluate(X, Y, verbose=0) == pytest.approx(race[kind.__name__].losses[0], rel=1e-5)
        uc.utils.set_random_seed(7)
        alone.fit(X, Y, batch_size=32, epochs=2, verbose=0)  # 6 steps
        assert alone.evaluate(X, Y, verbose=0) == pytest.approx(race[kind.__name__].losses[-1], rel=1e-4)
    np.testing.assert_allclose(race["Adam"].places[0], race["SGD"].places[0])
    assert 0.5 < race.share <= 1 and "another may change places" in race.how


def test_rates_of_names_are_found_and_torch_modules_race():
    net = uc.Sequential([uc.from_torch(torch.nn.Linear(4, 2))])
    net.compile("sgd", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = net.get_weights()
    race = uc.explain.race_optimizers(
        net, (X, Y), optimizers={"sgd": "sgd", "torch": lambda w: torch.optim.Adam(w, lr=0.1)}, steps=5
    )
    assert race["sgd"].rate != 0.01 and race["torch"].rate == 0.1
    assert "learning-rate finder" in race.how
    np.testing.assert_array_equal(before[0], net.get_weights()[0])
    with pytest.raises(ValueError, match="and no data"):
        uc.explain.race_optimizers(net)
    with pytest.raises(TypeError, match="from_torch"):
        uc.explain.race_optimizers(torch.nn.Linear(2, 2))


def test_put_back_after_an_error():
    net = model()
    given = net.optimizer
    with pytest.raises(RuntimeError, match="no optimizer today"):
        uc.explain.race_optimizers(net, (X, Y), optimizers={"a": optimizers.SGD(0.1), "b": _fails}, steps=3)
    assert net.optimizer is given


def _fails(weights):
    raise RuntimeError("no optimizer today")


# --- pictures --------------------------------------------------------------------------------------


def test_animations(tmp_path):
    race = uc.explain.race_optimizers("ravine", optimizers=["sgd", "adam"], steps=30)
    with Image.open(race.save(tmp_path / "race.gif")) as moving:
        assert moving.n_frames == 31 and moving.info["loop"] == 0
        moving.seek(2)
        early = np.asarray(moving.convert("RGB"))
        moving.seek(30)
        assert (early != np.asarray(moving.convert("RGB"))).any()
    page = race.save(tmp_path / "race.html").read_text()
    links = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert links and all(link.startswith("data:image/png;base64,") for link in links)
    assert "url(" not in page and "@import" not in page and "default-src 'none'" in page
    for needed in ("prefers-reduced-motion", "prefers-color-scheme", "ArrowRight", 'aria-label="step"', 'lang="en"'):
        assert needed in page
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert [one["name"].partition(",")[0] for one in data["series"]] == ["sgd", "adam"]
    assert data["series"][0]["loss"] == [pytest.approx(loss) for loss in race["sgd"].losses]
    assert len(data["panels"]) == 2 and data["steps"] == list(range(31))


def test_names_are_escaped_on_the_page(tmp_path):
    race = uc.explain.race_optimizers("bowl", optimizers={"</script><b>x": optimizers.SGD(0.1)}, steps=3)
    page = race.save(tmp_path / "race.html").read_text()
    assert "</script><b>x" not in page and page.count("</script>") == 2


def test_the_still_says_what_was_found():
    race = uc.explain.race_optimizers("ravine", optimizers=["sgd", "adam"], steps=30)
    figure = race.plot()
    assert figure.texts[0].get_text().replace("\n", " ") == race.verdict()
    ground, curves = figure.axes[:2]
    assert ground.get_xlabel() == "first weight" and curves.get_ylabel() == "loss above the deepest minimum"
    assert [text.get_text().partition(",")[0] for text in curves.get_legend().get_texts()] == ["sgd", "adam"]
    assert io.BytesIO(race._repr_png_()).read(4) == b"\x89PNG"


def test_walk_stops_where_numbers_end():
    places, losses = walk(optimizers.SGD(1e30), LANDSCAPES["rosenbrock"], 5)
    assert np.isnan(losses[-1]) and np.isfinite(losses[0]) and len(places) == 6
