"""Loss along lines and on planes: values that the model itself gives there."""

import json

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers
from uncrumple.explain.keeping import on_trial
from uncrumple.explain.surfaces.path import WeightPath
from uncrumple.explain.surfaces.weights import Place, main_directions, random_directions

random = np.random.default_rng(3)
X = random.normal(size=(120, 5)).astype("float32")
Y = (X[:, :3] + 0.4 * random.normal(size=(120, 3))).argmax(1)


def network(*middle):
    middle = middle or (layers.Dense(12, "relu"),)
    model = uc.Sequential([uc.Input((5,)), *middle, layers.Dense(3, "softmax")])
    model.compile(uc.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(*middle, epochs=12):
    model, path = network(*middle), WeightPath()
    model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[path])
    return model, path


def loss_at(model, weights):
    before = model.get_weights()
    model.set_weights(weights)
    loss = model.evaluate(X, Y, verbose=0)[0]
    model.set_weights(before)
    return loss


def test_line_from_start_to_end_is_what_evaluate_says():
    model, path = trained(layers.Dense(8, "relu"), layers.BatchNormalization())
    end = model.get_weights()
    found = uc.explain.loss_line(model, (X, Y), start=path.start, points=7)
    assert {0.0, 1.0} <= set(found.places.tolist())
    for place, loss in zip(found.places, found.losses[0]):
        between = [(1 - place) * first + place * last for first, last in zip(path.start, end)]
        assert loss == pytest.approx(loss_at(model, between), rel=1e-4)
    for one, other in zip(end, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert found.between and "start to end" in found.verdict()


def test_a_hump_is_seen():
    """With two minima at -1 and 1, the straight line between them goes over the hill at 0."""

    class Hill(uc.Model):
        def __init__(self):
            super().__init__()
            self.place = self.add_weight(shape=(), initializer="ones", name="place")

        def call(self, inputs):
            return inputs * 0 + (self.place**2 - 1) ** 2 + 0.1 * (1 - self.place)

    model = Hill()
    model.compile("sgd", loss=lambda y, p: p)
    x = np.ones((4, 1), "float32")
    model(x)
    found = uc.explain.loss_line(model, (x, x), start=[np.float32(-1.0)])
    assert found.hump() == pytest.approx((1 + 0.1 - 0.2) / 0.2, rel=0.05)
    assert "goes over a hump" in found.verdict()
    assert "hump" in found.plot().texts[0].get_text()


def test_filters_make_scale_not_matter():
    """A relu network computes the same with weights ten times as large and the next ones ten times smaller."""
    surfaces = []
    for scale in (1.0, 10.0):
        uc.utils.set_random_seed(4)
        model = uc.Sequential(
            [uc.Input((5,)), layers.Dense(12, "relu", use_bias=False), layers.Dense(3, "softmax", use_bias=False)]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        first, second = model.get_weights()
        model.set_weights([first * scale, second / scale])
        surfaces.append(uc.explain.loss_plane(model, (X, Y), points=5, seed=1).losses)
        surfaces.append(uc.explain.loss_line(model, (X, Y), points=5, seed=1).losses)
    np.testing.assert_allclose(surfaces[0], surfaces[2], rtol=2e-3)
    np.testing.assert_allclose(surfaces[1], surfaces[3], rtol=2e-3)
    assert np.ptp(surfaces[0]) > 0.1


def test_directions_are_as_long_as_the_filters():
    model = uc.Sequential(
        [
            uc.Input((6, 6, 2)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            uc.from_torch(torch.nn.Linear(64, 3)),
        ]
    )
    model.compile("sgd", "mse")
    with on_trial(model):
        place = Place(model)
        (direction,) = random_directions(model, place, 1, seed=0)
        for weight, step in zip(place.weights, direction):
            if weight.ndim < 2:
                assert not step.any()
            else:
                others = [0, 1, 2] if weight.ndim == 4 else [1]  # torch counts units first
                expected = torch.linalg.vector_norm(weight.detach(), dim=others)
                torch.testing.assert_close(torch.linalg.vector_norm(step, dim=others), expected)


def test_plane_through_the_path():
    model, path = trained()
    here = model.evaluate(X, Y, verbose=0)[0]
    weights, state = model.get_weights(), torch.get_rng_state()
    found = uc.explain.loss_plane(model, (X, Y), path=path, points=9)
    assert torch.equal(state, torch.get_rng_state())
    for one, other in zip(weights, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert found.here == pytest.approx(here, rel=1e-5)
    assert found.path_losses[-1] == pytest.approx(here, rel=1e-4)
    np.testing.assert_allclose(found.path[-1], 0, atol=1e-4)
    assert found.path_losses[0] == pytest.approx(loss_at(model, path.start), rel=1e-4)
    assert found.across[0] < found.path[:, 0].min() and found.across[-1] > found.path[:, 0].max()
    # Distances along main directions, and the share that lies in them, by numpy's own decomposition.
    gaps = np.stack(path.points) - path.points[-1]
    values = np.linalg.svd(gaps, compute_uv=False)
    assert found.share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum(), rel=1e-3)
    assert f"holds {100 * found.share:.0f} % of its way" in found.verdict()


def test_a_point_of_the_grid_is_what_the_model_gives():
    model, path = trained()
    found = uc.explain.loss_plane(model, (X, Y), path=path, points=5)
    flat = path.points[-1].astype(np.float64)
    plane, places, _ = main_directions(np.stack(path.points), flat)
    np.testing.assert_allclose(np.abs(places), np.abs(found.path), atol=1e-3)
    moved = flat + found.across[1] * plane[0] + found.up[3] * plane[1]
    shapes = [weight.shape for weight in model.get_weights()]
    parts = np.split(moved, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
    expected = loss_at(model, [part.reshape(shape) for part, shape in zip(parts, shapes)])
    assert found.losses[3, 1] == pytest.approx(expected, rel=1e-3)


def test_dropout_rests_and_modes_come_back():
    model, _ = trained(layers.Dense(12, "relu"), layers.Dropout(0.5))
    one, other = (uc.explain.loss_line(model, (X, Y), points=5).losses for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert not model.training


@pytest.mark.parametrize("every", [None, 2])
def test_the_path_is_noted(every):
    model, path = network(), WeightPath(every=every)
    start = model.get_weights()
    model.fit(X, Y, epochs=3, batch_size=30, verbose=0, callbacks=[path])
    assert path.steps == ([0, 1, 2, 3] if every is None else [0, 2, 4, 6, 8, 10, 12])
    np.testing.assert_array_equal(path.points[0], np.concatenate([one.ravel() for one in start]))
    np.testing.assert_array_equal(path.points[-1], np.concatenate([one.ravel() for one in model.get_weights()]))
    np.testing.assert_array_equal(path.start[0], start[0])


def test_models_of_all_kinds(tmp_path):
    class Own(uc.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(6, "relu"), layers.Dense(3, "softmax")

        def call(self, inputs):
            return self.last(self.first(inputs))

    inputs = uc.Input((5,))
    functional = uc.Model(inputs, layers.Dense(3, "softmax")(layers.Dense(6, "relu")(inputs)))
    wrapped = uc.Sequential([uc.from_torch(torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Softmax(-1)))])
    for model in (Own(), functional, wrapped):
        model.compile("adam", "sparse_categorical_crossentropy")
        plane = uc.explain.loss_plane(model, (X, Y), points=5)
        assert plane.losses.shape == (5, 5) and plane.losses[2, 2] == pytest.approx(plane.here, rel=1e-5)
    functional.save(tmp_path / "m.keras")
    loaded = uc.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(
        uc.explain.loss_plane(loaded, (X, Y), points=5).losses,
        uc.explain.loss_plane(functional, (X, Y), points=5).losses,
    )


def test_words_and_files(tmp_path):
    model, path = trained()
    line = uc.explain.loss_line(model, (X, Y), lines=2, points=9, validation=(X[:40], Y[:40]))
    plane = uc.explain.loss_plane(model, (X, Y), path=path, points=7)
    for found, name in ((line, "line"), (plane, "plane")):
        figure = found.plot()
        assert figure.texts[0].get_text().replace("\n", " ") == found.verdict()
        assert figure.axes[0].get_xlabel() and figure.axes[0].get_ylabel()
        assert found.save(tmp_path / f"{name}.png").stat().st_size > 5000
        assert json.loads(found.save(tmp_path / f"{name}.json").read_text())["verdict"] == found.verdict()
        assert "without dropout" in str(found)
    assert line.validation.shape == line.losses.shape
    labels = [tick.get_text() for tick in figure.axes[-1].get_yticklabels()]
    assert float(labels[0].replace(",", "")) == pytest.approx(np.nanmin(plane.losses), rel=0.06)


def test_errors():
    model, path = trained()
    with pytest.raises(ValueError, match="loss_plane got a path of 1 point"):
        uc.explain.loss_plane(model, (X, Y), path=path.points[:1])
    with pytest.raises(ValueError, match=r"loss_line got a start of 1 arrays; the model has 4 weights\."):
        uc.explain.loss_line(model, (X, Y), start=path.start[:1])
    with pytest.raises(ValueError, match="loss_line got points=2"):
        uc.explain.loss_line(model, (X, Y), points=2)
    with pytest.raises(ValueError, match="loss_plane got span=0"):
        uc.explain.loss_plane(model, (X, Y), span=0)
    with pytest.raises(ValueError, match="WeightPath got every=0"):
        WeightPath(every=0)
