"""The uncrumple view: its numbers are what scikit-learn finds, its frames do not jump, the model stays as it was."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import uncrumple as uc
from uncrumple.explain.uncrumpling.inside import Sketches, calls_of, parts_of
from uncrumple.explain.uncrumpling.probe import (
    FOLDS,
    class_score,
    folds_of,
    penalty_of,
    ridge_predictions,
    value_score,
)
from uncrumple.explain.uncrumpling.probe_set import probe_set
from uncrumple.explain.uncrumpling.projection import jumps, project, turn_onto
from uncrumple.explain.untrained import untrained_copy


def spirals(rows=300, seed=0):
    draw = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    angle = draw.uniform(0.5, 2.2 * np.pi, rows)
    x = np.stack([angle * np.cos(angle + np.pi * y), angle * np.sin(angle + np.pi * y)], 1) / 3
    return (x + 0.01 * draw.normal(size=x.shape)).astype("float32"), y


def network(*hidden, classes=2, inputs=2):
    layers = [uc.layers.Dense(units, "tanh", name=f"hidden_{place}") for place, units in enumerate(hidden, 1)]
    return uc.Sequential([uc.Input((inputs,)), *layers, uc.layers.Dense(classes, "softmax", name="answer")])


@pytest.fixture(scope="module")
def trained():
    """A network that has learnt the spirals, and the view recorded while it did."""
    uc.utils.set_random_seed(3)
    x, y = spirals(400)
    model = network(16, 16, 16)
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    watch = uc.explain.UncrumpleView((x, y), every=10, points=150)
    model.fit(x, y, epochs=100, verbose=0, batch_size=32, callbacks=[watch])
    return model, x, y, watch


# --- the linear probe --------------------------------------------------------------------


@pytest.mark.parametrize("width", [3, 60, 200], ids=["narrow", "as wide as samples", "wide"])
def test_probe_is_ridge_regression(width):
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = (draw.normal(size=(90, width)) + labels[:, None]).astype("float32")
    folds = folds_of(labels, 90)
    targets = np.eye(3)[labels]
    wanted = np.empty_like(targets)
    for fold in range(FOLDS):
        train, test = folds != fold, folds == fold
        alpha = penalty_of(features[train].astype("float64"))
        wanted[test] = Ridge(alpha=alpha).fit(features[train].astype("float64"), targets[train]).predict(features[test])
    found = ridge_predictions(torch.from_numpy(features), torch.from_numpy(targets), folds)
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-4)
    score = class_score(torch.from_numpy(features), labels, folds)
    assert score.value == np.mean(wanted.argmax(1) == labels)
    assert score.low < score.value < score.high or score.value == 1.0


def test_value_score_is_r2():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(120, 4)).astype("float32")
    y = (x @ [[1.0], [2.0], [0.0], [-1.0]]) + draw.normal(size=(120, 1))
    score = value_score(torch.from_numpy(x), y, folds_of(None, 120))
    assert 0.75 < score.value < 0.95
    assert score.low < score.value < score.high
    noise = value_score(torch.from_numpy(x), draw.normal(size=(120, 1)), folds_of(None, 120))
    assert noise.value < 0.15


def test_folds_spread_each_class():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    folds = folds_of(labels, 100)
    for fold in range(FOLDS):
        assert np.bincount(labels[folds == fold]).tolist() == [10, 6, 4]


def test_constant_layer_finds_the_most_frequent_class():
    labels = np.array([0] * 30 + [1] * 20)
    score = class_score(torch.ones(50, 8), labels, folds_of(labels, 50))
    assert score.value == 0.6


# --- the projection ----------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "width"), [(80, 10), (80, 500), (300, 150)], ids=["narrow", "wide", "iterated"])
def test_projection_is_pca(rows, width):
    draw = np.random.default_rng(0)
    values = draw.normal(size=(rows, 3)) @ draw.normal(size=(3, width)) + 0.05 * draw.normal(size=(rows, width)) + 5.0
    found = project(torch.from_numpy(values), exact=False)
    pca = PCA(2).fit(values)
    wanted = pca.transform(values)
    wanted /= np.sqrt((wanted**2).sum(1).mean())
    assert found.variance == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-3)
    np.testing.assert_allclose(np.abs(found.points), np.abs(wanted), atol=2e-2)
    assert (found.points**2).sum(1).mean() == pytest.approx(1.0)
    # Other samples lie where the same plane has them.
    np.testing.assert_allclose(found.of(torch.from_numpy(values[:5])), found.points[:5], atol=1e-4)


def test_layer_of_two_units_is_shown_as_it_is():
    model = uc.Sequential([uc.Input((5,)), uc.layers.Dense(2, name="two"), uc.layers.Dense(3, "softmax")])
    x = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    view = uc.uncrumple(model, (x, np.arange(40) % 3))
    two = view.layer("two")
    assert two.exact
    wanted = x @ model.get_layer("two").kernel.numpy() + model.get_layer("two").bias.numpy()
    np.testing.assert_allclose(two.points, wanted, atol=1e-5)
    assert not uc.uncrumple(model, (x, np.arange(40) % 3), exact=False).layer("two").exact


def test_known_linear_network():
    """A layer that turns and stretches changes neither what is seen nor what a line finds."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    model = uc.Sequential([uc.Input((6,)), uc.layers.Dense(6, use_bias=False, name="turn")])
    model.set_weights([3 * turn.astype("float32")])
    x = (np.random.default_rng(1).normal(size=(60, 6)) * [5, 3, 1, 1, 1, 1]).astype("float32")
    view = uc.uncrumple(model, (x, (x[:, 0] > 0).astype(int)), untrained=False)
    data, after = view.layers
    np.testing.assert_allclose(after.points, data.points, atol=1e-3)
    assert after.variance == pytest.approx(data.variance, rel=1e-4)
    assert after.score == data.score
    assert "do not pull the classes apart" in view.title


def test_turn_is_the_nearest():
    draw = np.random.default_rng(0)
    points = draw.normal(size=(50, 2))
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, -1])
    np.testing.assert_allclose(points @ turn @ turn_onto(points @ turn, points), points, atol=1e-10)


def test_sketch_keeps_distances():
    values = torch.randn(20, 30_000, generator=torch.Generator().manual_seed(0))
    short = Sketches(4096)("layer", values)
    assert short.shape == (20, 4096)
    torch.testing.assert_close(torch.cdist(short, short), torch.cdist(values, values), rtol=0.08, atol=1e-3)
    torch.testing.assert_close(Sketches(4096)("layer", values), short)


# --- over training -----------------------------------------------------------------------


def test_frames_do_not_jump(trained):
    *_, watch = trained
    places = [place for place, layer in enumerate(watch.view.layers) if not layer.exact]
    assert len(places) == 3
    for place in places:
        seen = [frame.layers[place].points for frame in watch.view.frames]
        raw = [frame.layers[place].points for frame in watch.frames]
        # No turn of a frame lies nearer to the one before than the one that is shown.
        for before, now in itertools.pairwise(seen):
            away = ((now - before) ** 2).sum()
            for angle in np.linspace(0, 2 * np.pi, 24):
                turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                for mirror in (np.diag([1, 1]), np.diag([1, -1])):
                    assert away <= (((now @ turn @ mirror) - before) ** 2).sum() + 1e-3
        assert jumps(seen).sum() <= jumps(raw).sum() + 1e-6


def test_alignment_undoes_flips_that_mean_nothing():
    from uncrumple.explain.uncrumpling.view import Frame, LayerView, aligned

    draw = np.random.default_rng(0)
    base = draw.normal(size=(30, 2))
    frames = []
    for step in range(6):
        flip = np.diag(draw.choice([-1, 1], 2)) if step % 2 else np.array([[0, 1], [1, 0]])
        frames.append(Frame(step, step, None, [LayerView("a", "Dense", (8,), (base + 0.01 * step) @ flip, False, 0.5)]))
    moved = jumps([frame.layers[0].points for frame in aligned(frames)])
    assert jumps([frame.layers[0].points for frame in frames]).max() > 0.5
    assert moved.max() < 0.03


def test_the_finding_names_the_layer(trained):
    model, x, y, watch = trained
    view = watch.view
    first, last = view.scores[0], view.scores[-1]
    assert first.max() < 0.75 < 0.95 < last.max()
    assert "come apart" in view.title
    assert f"{100 * last[0]:.0f} % in the data" in view.title
    once = uc.uncrumple(model, (x, y))
    assert "come apart" in once.title
    # The untrained network does not pull them apart: no rise.
    control = [layer.untrained.value for layer in once.layers]
    assert max(control) < 0.75 < once.scores.max()
    # At the first moment, the net was untrained too, and the words say so.
    assert "come apart" not in view.at(0).title


def test_callback_counts_epochs_and_steps():
    x, y = spirals(100)
    model = network(4)
    model.compile("adam", "sparse_categorical_crossentropy")
    watch = uc.explain.UncrumpleView((x, y), every_steps=2, points=50)
    model.fit(x, y, epochs=2, batch_size=25, verbose=0, callbacks=[watch])
    assert [(frame.epoch, frame.step) for frame in watch.view.frames] == [(0, 0), (0, 2), (1, 4), (1, 6), (2, 8)]
    assert watch.view.frames[-1].loss is not None
    coarse = uc.explain.UncrumpleView((x, y), every=2, points=50)
    model.fit(x, y, epochs=5, batch_size=25, verbose=0, callbacks=[coarse])
    assert [(frame.epoch, frame.step) for frame in coarse.view.frames] == [(0, 0), (2, 8), (4, 16), (5, 20)]


def test_callback_drops_moments_beyond_most():
    x, y = spirals(60)
    model = network(3)
    model.compile("adam", "sparse_categorical_crossentropy")
    watch = uc.explain.UncrumpleView((x, y), most=6, points=30)
    model.fit(x, y, epochs=30, batch_size=60, verbose=0, callbacks=[watch])
    epochs = [frame.epoch for frame in watch.view.frames]
    assert len(epochs) <= 7 and epochs[0] == 0 and epochs[-1] == 30
    assert epochs == sorted(epochs)


def test_training_is_the_same_with_the_view():
    x, y = spirals(120)

    def fitted(callbacks):
        uc.utils.set_random_seed(0)
        model = uc.Sequential(
            [uc.Input((2,)), uc.layers.Dense(8, "tanh"), uc.layers.BatchNormalization(), uc.layers.Dropout(0.3),
             uc.layers.Dense(2, "softmax")]
        )  # fmt: skip
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(x, y, epochs=3, verbose=0, callbacks=callbacks)
        return model.get_weights(), history.history["loss"], np.random.random(), torch.rand(1).item()

    for watch in (uc.explain.UncrumpleView((x, y)), uc.explain.UncrumpleView((x, y), every_steps=1)):
        plain, seen = fitted([]), fitted([watch])
        for one, other in zip(plain[0], seen[0]):
            np.testing.assert_array_equal(one, other)
        assert plain[1:] == seen[1:]


# --- the model stays as it was -----------------------------------------------------------


class Counting(uc.layers.Layer):
    """Writes into a weight of its own at every call."""

    def build(self, input_shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs):
        self.seen.assign(self.seen + 1)
        return inputs * 2.0


def test_state_is_left_untouched():
    model = uc.Sequential(
        [uc.Input((2,)), Counting(), uc.layers.Dense(6), uc.layers.BatchNormalization(), uc.layers.Dropout(0.5),
         uc.layers.Dense(2, "softmax")]
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = spirals(80)
    model.fit(x, y, epochs=1, verbose=0)
    model.layers[-1].train()
    before = [value.copy() for value in model.get_weights()]
    moved = [value.numpy() for value in model.optimizer.variables]
    modes = [module.training for module in model.modules()]
    torch.manual_seed(5)
    states = torch.random.get_rng_state().clone(), np.random.get_state()[1].copy(), random.getstate()
    uc.uncrumple(model, (x, y))
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(moved, [value.numpy() for value in model.optimizer.variables]):
        np.testing.assert_array_equal(one, other)
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert states[2] == random.getstate()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_state_is_left_untouched_by_an_error():
    class Failing(uc.layers.Layer):
        fails = False

        def call(self, inputs):
            if self.fails:
                raise RuntimeError("on purpose")
            return inputs

    failing = Failing()
    model = uc.Sequential([uc.Input((2,)), uc.layers.Dense(3), failing, uc.layers.Dense(2)])
    model.train()
    failing.fails = True
    with pytest.raises(RuntimeError, match="on purpose"):
        uc.uncrumple(model, spirals(40))
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_stateful_recurrent_layer_keeps_its_state():
    model = uc.Sequential([uc.Input(batch_shape=(20, 5, 3)), uc.layers.LSTM(4, stateful=True), uc.layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(20, 5, 3)).astype("float32")
    model(x)
    before = [state.numpy() for state in model.layers[0].states]
    uc.uncrumple(model, (x, np.arange(20) % 2), untrained=False)
    for one, other in zip(before, model.layers[0].states):
        np.testing.assert_array_equal(one, other.numpy())


# --- models of every make ----------------------------------------------------------------


def digits(rows=120):
    data = load_digits()
    return (data.images[:rows, ..., None] / 16).astype("float32"), data.target[:rows]


def test_functional_with_branches():
    inputs = uc.Input((8, 8, 1))
    one = uc.layers.Conv2D(4, 3, activation="relu", padding="same", name="one")(inputs)
    two = uc.layers.Conv2D(4, 1, padding="same", name="two")(inputs)
    joined = uc.layers.Flatten(name="flat")(uc.layers.Add(name="add")([one, two]))
    model = uc.Model(inputs, uc.layers.Dense(10, "softmax", name="answer")(uc.layers.Dropout(0.5)(joined)))
    view = uc.uncrumple(model, digits())
    # What only hands numbers on (flatten, dropout in inference) is left out.
    assert [layer.name for layer in view.layers] == ["the data", "one", "two", "add", "answer"]
    assert view.layer("one").shape == (8, 8, 4)
    assert [layer.name for layer in uc.uncrumple(model, digits(), layers=["flat", "answer"]).layers] == [
        "the data",
        "flat",
        "answer",
    ]


def test_subclassed_and_nested():
    class Block(uc.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.inner = uc.layers.Dense(units, "relu", name="inner")

        def call(self, inputs):
            return self.inner(inputs) + 1.0

    class Net(uc.Model):
        def __init__(self):
            super().__init__()
            self.answer = uc.layers.Dense(2, name="answer")  # made first, called last
            self.block = Block(5, name="block")
            self.tail = uc.Sequential([uc.layers.Dense(4, name="a"), uc.layers.Dense(3, name="b")], name="tail")

        def call(self, inputs):
            return self.answer(self.tail(self.block(inputs)))

    x, y = spirals(60)
    model = Net()
    model(x)
    view = uc.uncrumple(model, (x, y))
    assert [layer.name for layer in view.layers] == ["the data", "block", "tail/a", "tail/b", "answer"]
    assert [layer.name for layer in uc.uncrumple(model, (x, y), layers="inner").layers] == ["the data", "inner"]


def test_loaded_from_a_file_is_the_same(trained, tmp_path):
    model, x, y, _ = trained
    model.save(tmp_path / "model.keras")
    one, other = uc.uncrumple(model, (x, y)), uc.uncrumple(uc.models.load_model(tmp_path / "model.keras"), (x, y))
    assert one.title == other.title
    np.testing.assert_allclose(one.scores, other.scores)
    np.testing.assert_allclose(one.layers[2].points, other.layers[2].points, atol=1e-4)


GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", ["dense", "conv_bn", "embedding_lstm", "dense_torchbackend"])
def test_files_that_keras_wrote(name):
    model = uc.models.load_model(GOLDEN / f"{name}.keras")
    shape = [size or 1 for size in model.input_shape[1:]]
    whole = not model.inputs[0].dtype.is_floating_point
    draw = np.random.default_rng(0)
    x = draw.integers(0, 5, (40, *shape)) if whole else draw.normal(size=(40, *shape)).astype("float32")
    view = uc.uncrumple(model, (x, np.arange(40) % 2))
    assert len(view.layers) >= 3
    assert all(np.isfinite(layer.points).all() and layer.untrained is not None for layer in view.layers)
    assert view.layers[-1].width == np.prod(model.output_shape[1:])


def test_torch_modules_alone_and_wrapped():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    x, y = spirals(60)
    view = uc.uncrumple(module, (x, y))
    assert [layer.name for layer in view.layers] == ["the data", "0", "1", "2"]
    assert all(layer.untrained is not None for layer in view.layers)
    wrapped = uc.Sequential([uc.Input((2,)), uc.from_torch(module, name="net"), uc.layers.Softmax(name="shares")])
    assert [layer.name for layer in uc.uncrumple(wrapped, (x, y)).layers] == [
        "the data",
        "net/0",
        "net/1",
        "net/2",
        "shares",
    ]
    module.train()
    uc.uncrumple(module, (x, y))
    assert module.training


def test_words_and_language():
    draw = np.random.default_rng(0)
    tokens = draw.integers(1, 20, size=(90, 7))
    model = uc.Sequential(
        [uc.Input((7,), dtype="int32"), uc.layers.Embedding(20, 6, mask_zero=True, name="table"),
         uc.layers.LSTM(5, return_sequences=True, name="reads"), uc.layers.Dense(20, "softmax", name="says")]
    )  # fmt: skip
    following = np.concatenate([tokens[:, 1:], draw.integers(1, 20, size=(90, 1))], axis=1)
    view = uc.uncrumple(model, (tokens, following))
    # Numbers of words are names: the data itself is no picture. Of a sequence the last step counts.
    assert [layer.name for layer in view.layers] == ["table", "reads", "says"]
    assert view.layer("reads").shape == (5,)
    assert np.array_equal(np.asarray(view.probe.class_names, int)[view.probe.labels], following[view.probe.rows, -1])


def test_a_kind_of_data_and_parts_whose_test_rows_stay_sealed():
    draw = np.random.default_rng(0)
    size = draw.normal(size=200)
    table = uc.data.Table(
        {"size": size, "colour": draw.choice(["red", "blue"], 200), "big": np.where(size > 0, "yes", "no")},
        target="big",
    )
    parts = uc.data.split(table)
    preparation = parts.train.preparation()
    inputs = preparation.inputs()
    model = uc.Model(
        inputs, uc.layers.Dense(2, "softmax")(uc.layers.Dense(4, "relu", name="hidden")(preparation(inputs)))
    )
    view = uc.uncrumple(model, parts)
    assert parts.test_uses == 0
    assert view.probe.class_names == ("no", "yes")
    assert "training rows" in view.note  # too few for validation
    assert view.layers[0].name == "preparation"
    assert view.layers[0].score.value > 0.9


def test_regression_is_coloured_by_value():
    data = np.random.default_rng(0).normal(size=(150, 3)).astype("float32")
    y = (data[:, 0] ** 2).astype("float32")
    model = uc.Sequential([uc.Input((3,)), uc.layers.Dense(16, "relu", name="hidden"), uc.layers.Dense(1)])
    model.compile(uc.optimizers.Adam(0.02), "mse")
    uc.utils.set_random_seed(0)
    model.fit(data, y, epochs=60, verbose=0)
    view = uc.uncrumple(model, (data, y))
    assert view.probe.task == "regression"
    assert view.layers[0].score.value < 0.2 < 0.8 < view.layers[-1].score.value
    assert view.title.startswith(
        "Layer 1 ('hidden') is where the target becomes a straight line: a straight line then reaches"
    )
    assert "R²" in view.title


def test_without_answers():
    x, _ = spirals(40)
    view = uc.uncrumple(network(3), (x, None))
    assert view.title == "The same samples in two dimensions, after each of 2 layers"
    assert all(layer.score is None for layer in view.layers)
    assert np.isnan(view.scores).all()


def test_grid_bends_with_the_layers(trained):
    model, x, y, _ = trained
    view = uc.uncrumple(model, (x, y), untrained=False)
    data, first = view.layers[:2]
    assert data.lines.shape == first.lines.shape == (26, 41, 2)
    # On the data the lines are straight; after a layer with tanh they are not.
    straight = np.linalg.norm(np.diff(data.lines, 2, axis=1), axis=2).max()
    assert straight < 1e-5 < np.linalg.norm(np.diff(first.lines, 2, axis=1), axis=2).max()


def test_deep_networks_are_thinned_out():
    model = uc.Sequential([uc.Input((2,)), *[uc.layers.Dense(3, "tanh", name=f"d{place}") for place in range(30)]])
    view = uc.uncrumple(model, (spirals(40)[0], None))
    assert len(view.layers) == 12
    assert view.layers[1].name == "d0" and view.layers[-1].name == "d29"
    assert "11 of 30 layers are shown" in view.note


def test_shared_layer_is_shown_at_each_call():
    shared = uc.layers.Dense(3, "tanh", name="shared")
    inputs = uc.Input((3,))
    model = uc.Model(inputs, shared(shared(inputs)))
    x = np.random.default_rng(0).normal(size=(30, 3)).astype("float32")
    assert [layer.name for layer in uc.uncrumple(model, (x, None)).layers] == ["the data", "shared", "shared (call 2)"]


def test_a_layer_that_gives_nan_is_named():
    model = uc.Sequential([uc.Input((2,)), uc.layers.Dense(3, name="broken")])
    model.set_weights([np.full((2, 3), np.nan, "float32"), np.zeros(3, "float32")])
    view = uc.uncrumple(model, spirals(40), untrained=False)
    assert "'broken' gives numbers that are not finite" in view.note


# --- the untrained copy ------------------------------------------------------------------


def test_untrained_copy_draws_first_values_and_keeps_what_was_measured():
    x, y = spirals(60)
    scale = uc.layers.Normalization()
    scale.adapt(x)
    model = uc.Sequential(
        [uc.Input((2,)), scale, uc.layers.Dense(8, "tanh"), uc.layers.BatchNormalization(), uc.layers.Dense(2)]
    )
    model.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=2, verbose=0)
    kept = model.get_weights()
    fresh = untrained_copy(model)
    for one, other in zip(kept, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    ours, theirs = model.layers, fresh.layers
    np.testing.assert_array_equal(ours[0].mean.numpy(), theirs[0].mean.numpy())
    assert not np.allclose(ours[1].kernel.numpy(), theirs[1].kernel.numpy())
    assert np.array_equal(theirs[1].bias.numpy(), np.zeros(8))
    assert np.array_equal(theirs[2].moving_mean.numpy(), np.zeros(8))
    assert np.array_equal(theirs[2].moving_variance.numpy(), np.ones(8))
    # The same seed, the same copy.
    np.testing.assert_array_equal(theirs[1].kernel.numpy(), untrained_copy(model).layers[1].kernel.numpy())


def test_what_cannot_be_copied_is_made_anew_from_its_config():
    @uc.saving.register_keras_serializable("untrained")
    class Unique(uc.layers.Dense):
        def __deepcopy__(self, memo):
            raise TypeError("there is only one of me")

    model = uc.Sequential([uc.Input((2,)), Unique(3)])
    fresh = untrained_copy(model)
    assert fresh.layers[0] is not model.layers[0]
    assert not np.array_equal(fresh.get_weights()[0], model.get_weights()[0])


def test_untrained_copy_leaves_random_numbers_and_names_alone():
    model = uc.Sequential(
        [uc.Input((2,)), uc.layers.Dense(3, kernel_initializer=uc.initializers.GlorotUniform(seed=3))]
    )
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    fresh = untrained_copy(model)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == np.random.get_state()[1].tolist()
    # The initializer has a seed of its own: its first values are what the model began with.
    assert not np.array_equal(fresh.get_weights()[0], model.get_weights()[0])
    assert not fresh.training


def test_untrained_lstm_begins_by_remembering():
    model = uc.Sequential([uc.Input((4, 3)), uc.layers.LSTM(2)])
    model.set_weights([np.ones_like(value) * 7 for value in model.get_weights()])
    assert untrained_copy(model).get_weights()[2].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


# --- what comes in -----------------------------------------------------------------------


def test_points_are_spread_over_the_classes():
    y = np.repeat([0, 1, 2], [900, 90, 10])
    probe = probe_set((np.zeros((1000, 2)), y), 100)
    assert np.bincount(probe.labels).tolist() == [90, 9, 5] or np.bincount(probe.labels).tolist() == [86, 9, 5]
    assert np.array_equal(probe.rows, probe_set((np.zeros((1000, 2)), y), 100).rows)


def test_kinds_of_labels():
    x = np.zeros((12, 2))
    names = probe_set((x, ["b", "a"] * 6))
    assert names.class_names == ("a", "b") and names.labels[:2].tolist() == [1, 0]
    assert probe_set((x, np.eye(3)[np.arange(12) % 3])).labels.tolist() == (np.arange(12) % 3).tolist()
    assert probe_set((x, np.linspace(0, 1, 12))).task == "regression"
    assert probe_set((x, np.arange(12) % 3), task="regression").task == "regression"
    assert probe_set((x, (np.arange(12) % 2)[:, None])).labels.shape == (12,)
    assert probe_set((x, np.arange(12) % 2), class_names=["no", "yes"]).class_names == ("no", "yes")


@pytest.mark.parametrize(
    ("data", "settings", "said"),
    [
        (
            np.zeros((5, 2)),
            {},
            "uncrumple got a ndarray as data.\n"
            "Expected (x, y), or data of uncrumple.data: Table, Images, Text, Series, or parts of them.\n"
            "Fix: uncrumple(model, (x, y)); y may be None",
        ),
        (
            (np.zeros((50, 2)), np.zeros(40)),
            {},
            "uncrumple got 40 answers for 50 rows.\nExpected one answer for each row.\nFix: y[:50], or None without",
        ),
        (
            (np.zeros((50, 2)), np.zeros((50, 8, 8, 1))),
            {},
            "uncrumple got answers of shape (50, 8, 8, 1).\n"
            "Expected a class or a value for each row: they colour the points.\n"
            "Fix: uncrumple(model, (x, labels)), or (x, None)",
        ),
        (
            (np.zeros((50, 2)), None),
            {"points": 3},
            "uncrumple got points=3.\nExpected a whole number of at least 10.\nFix: points=400",
        ),
        (
            (np.zeros((50, 2)), None),
            {"layers": ["hiden_1"]},
            "uncrumple: Unknown layer: 'hiden_1'.\nExpected one of: answer, hidden_1.\nFix: did you mean 'hidden_1'?",
        ),
        (
            (np.zeros((50, 2)), None),
            {"task": "clasification"},
            "Unknown task: 'clasification'.\nExpected one of: classification, regression.\n"
            "Fix: did you mean 'classification'?",
        ),
    ],
    ids=["no pair", "lengths", "pictures as answers", "points", "layer", "task"],
)
def test_refusals(data, settings, said):
    with pytest.raises(ValueError) as error:
        uc.uncrumple(network(3), data, **settings)
    assert str(error.value) == said


def test_callback_refuses():
    with pytest.raises(ValueError, match=r"UncrumpleView got every=0\.\nExpected a whole number of at least 1\."):
        uc.explain.UncrumpleView(spirals(40), every=0)
    with pytest.raises(RuntimeError, match="UncrumpleView has recorded nothing yet"):
        _ = uc.explain.UncrumpleView(spirals(40)).view


# --- the parts of a model ----------------------------------------------------------------


def test_calls_are_in_the_order_they_run():
    x, _ = spirals(10)
    model = network(4, 5)
    calls = calls_of(model, torch.from_numpy(x), parts_of(model))
    assert [(one.name, one.kind, one.shape) for one in calls] == [
        ("hidden_1", "Dense", (4,)),
        ("hidden_2", "Dense", (5,)),
        ("answer", "Dense", (2,)),
    ]


def test_layers_side_by_side_that_change_nothing_are_left_out():
    one, other = uc.Input((3,), name="one"), uc.Input((2,), name="other")
    joined = uc.layers.Concatenate(name="joined")([one, other])
    model = uc.Model([one, other], uc.layers.Dense(2, name="answer")(joined))
    draw = np.random.default_rng(0)
    view = uc.uncrumple(model, ([draw.normal(size=(40, 3)), draw.normal(size=(40, 2))], np.arange(40) % 2))
    assert [(layer.name, layer.width) for layer in view.layers] == [("the data", 5), ("answer", 2)]


def test_noise_is_not_called_a_finding():
    """Labels that mean nothing: of 20 networks and draws hardly one is said to pull classes apart."""
    said = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        x = draw.normal(size=(80, 6)).astype("float32")
        uc.utils.set_random_seed(seed)
        model = uc.Sequential([uc.Input((6,)), *[uc.layers.Dense(16, "relu") for _ in range(3)], uc.layers.Dense(2)])
        said += "do not pull" not in uc.uncrumple(model, (x, draw.integers(0, 2, 80)), untrained=False).title
    assert said <= 2


def test_layers_that_change_images_at_random_are_at_rest():
    model = uc.Sequential([uc.Input((8, 8, 1)), uc.layers.RandomRotation(0.5, name="turn"), uc.layers.Flatten(),
                           uc.layers.Dense(3, name="answer")])  # fmt: skip
    x, y = digits(40)
    one, other = uc.uncrumple(model, (x, y)), uc.uncrumple(model, (x, y))
    assert [layer.name for layer in one.layers] == ["the data", "answer"]
    np.testing.assert_array_equal(one.layers[1].points, other.layers[1].points)


def test_models_that_are_built_by_their_first_call():
    x, y = spirals(40)
    model = uc.Sequential([uc.layers.Dense(4, "tanh", name="hidden"), uc.layers.Dense(2, "softmax", name="answer")])
    assert [layer.name for layer in uc.uncrumple(model, (x, y)).layers] == ["the data", "hidden", "answer"]
    late = uc.Sequential([uc.layers.Dense(4, "tanh"), uc.layers.Dense(2, "softmax")])
    late.compile("adam", "sparse_categorical_crossentropy")
    watch = uc.explain.UncrumpleView((x, y))
    late.fit(x, y, epochs=1, verbose=0, callbacks=[watch])
    assert len(watch.view.frames) == 2


def test_a_model_that_cannot_be_copied_has_no_control():
    class Unique(uc.layers.Layer):
        def __deepcopy__(self, memo):
            raise TypeError("there is only one of me")

        def get_config(self):
            raise TypeError("nobody knows how I was made")

        def call(self, inputs):
            return inputs + 1

    view = uc.uncrumple(uc.Sequential([uc.Input((2,)), Unique(), uc.layers.Dense(2)]), spirals(40))
    assert "The untrained network could not be made: there is only one of me" in view.note
    assert all(layer.untrained is None for layer in view.layers)
