"""The learning-rate finder: one number that hardly depends on the seed, and a model that is as it was."""

import json

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers, optimizers
from uncrumple.explain.tuning.rates import smoothed, valley_of

random = np.random.default_rng(1)
X = random.normal(size=(320, 8)).astype("float32")
Y = (X[:, :3] + 0.3 * random.normal(size=(320, 3))).argmax(1)
Z = (X[:, 0] - 2 * X[:, 1]).astype("float32")


def classifier(optimizer="adam", *middle, metrics=("accuracy",)):
    model = uc.Sequential([uc.Input((8,)), *(middle or (layers.Dense(24, "relu"),)), layers.Dense(3, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def everything(model):
    """Return all that must not change: weights, gradients, optimizer, metrics, modes, random numbers."""
    optimizer = model.optimizer
    state = optimizer.state_dict() if getattr(optimizer, "built", True) else None
    slots = [] if state is None else [value for of in state["state"].values() for value in of.values()]
    return [
        *[weight.copy() for weight in model.get_weights()],
        *[np.zeros(0) if w.grad is None else w.grad.clone().numpy() for w in model.trainable_weights],
        *[torch.as_tensor(value).detach().clone().numpy() for value in slots],
        *[variable.detach().clone().numpy() for metric in model.metrics for variable in metric.variables],
        np.array(float(optimizer.param_groups[0]["lr"]) if optimizer.param_groups else 0.0),
        np.array(int(getattr(optimizer, "iterations", 0))),
        np.array([module.training for module in model.modules()]),
        torch.get_rng_state().numpy(),
        np.random.get_state()[1].copy(),
    ]


def assert_same(before, after):
    assert len(before) == len(after)
    for one, other in zip(before, after):
        np.testing.assert_array_equal(one, other)


MAKERS = {
    "adam": lambda: optimizers.Adam(),
    "sgd_momentum": lambda: optimizers.SGD(0.01, momentum=0.9),
    "schedule": lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)),
    "ema_and_clipping": lambda: optimizers.AdamW(use_ema=True, global_clipnorm=1.0),
    "accumulation": lambda: optimizers.Adam(gradient_accumulation_steps=2),
    "loss_scale": lambda: optimizers.LossScaleOptimizer(optimizers.Adam()),
    "several": lambda: optimizers.MultiOptimizer(
        optimizers.OptimizerMap(optimizers.SGD(0.01), {".*bias": optimizers.Adam(0.001)})
    ),
    **{
        name: (lambda kind: lambda: kind())(getattr(optimizers, name))
        for name in ("RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion", "Lamb", "Adafactor", "Muon")
    },
    "ScheduleFreeAdamW": lambda: optimizers.ScheduleFreeAdamW(),
}


# That all is put back is tested in test_keeping.py, once for all; these differ in where they keep the rate.
_ALIKE = ("RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lamb")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in _ALIKE else name for name in MAKERS]
)
def test_it_works_for_every_optimizer_and_puts_all_back(name):
    model = classifier(MAKERS[name](), layers.Dense(16, "relu"), layers.BatchNormalization(), layers.Dropout(0.2))
    model.fit(X, Y, epochs=1, verbose=0)  # so that the optimizer has a state
    optimizer, before = model.optimizer, everything(model)
    found = uc.explain.learning_rate(model, (X, Y), steps=60)
    assert model.optimizer is optimizer
    assert_same(before, everything(model))
    assert len(found.losses) == len(found.rates) == len(found.smooth) and found.rates[0] == 1e-7
    assert found.rate is None or 1e-7 < found.rate < 10


def test_optimizers_of_torch():
    model = classifier()
    weights = model.trainable_variables
    model.compile(
        torch.optim.SGD([{"params": weights[:2], "lr": 0.1}, {"params": weights[2:], "lr": 0.01}]),
        "sparse_categorical_crossentropy",
    )
    before = model.get_weights()
    found = uc.explain.learning_rate(model, (X, Y))
    assert found.present == 0.1 and found.several and "in proportion" in str(found)
    assert [group["lr"] for group in model.optimizer.param_groups] == [0.1, 0.01]
    assert_same(before, model.get_weights())


def test_training_goes_on_as_if_it_had_not_been_asked():
    histories = []
    for ask in (False, True):
        uc.utils.set_random_seed(3)
        model = classifier("adam", layers.Dense(16, "relu"), layers.Dropout(0.3))
        if ask:
            uc.explain.learning_rate(model, (X, Y))
        histories.append(model.fit(X, Y, epochs=2, verbose=0).history["loss"])
    assert histories[0] == histories[1]


def test_a_model_that_was_not_built_is_built_as_fit_would():
    weights = []
    for ask in (False, True):
        uc.utils.set_random_seed(5)
        model = uc.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        if ask:
            uc.explain.learning_rate(model, (X, Y), steps=20)
        model.fit(X, Y, epochs=1, verbose=0)
        weights.append(model.get_weights())
    assert_same(*weights)


def test_all_is_put_back_after_an_exception():
    class Breaks(uc.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.count = layers.Dense(3, "softmax"), 0

        def call(self, inputs):
            return self.dense(inputs)

        def train_step(self, data):
            self.count += 1
            if self.count == 12:
                raise RuntimeError("in the middle")
            return super().train_step(data)

    model = Breaks()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.evaluate(X, Y, verbose=0)
    before = everything(model)
    with pytest.raises(RuntimeError, match="in the middle"):
        uc.explain.learning_rate(model, (X, Y))
    assert_same(before, everything(model))
    assert model.count == 0 and not model.training


def spreads(seeds, optimizer):
    rates = []
    for seed in seeds:
        uc.utils.set_random_seed(seed)
        rates.append(uc.explain.learning_rate(classifier(optimizer), (X, Y), seed=seed).rate)
    return max(rates) / min(rates), rates


@pytest.mark.parametrize(
    "optimizer", ["adam", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sgd", "rmsprop", "adagrad"))]
)
def test_five_seeds_agree_within_a_factor_of_three(optimizer):
    spread, rates = spreads(range(20, 25), optimizer)
    assert spread <= 3, rates


def test_the_rate_is_good():
    """The proposed rate trains nearly as well as the best of a grid, and far better than a tenth of it."""

    def loss_with(rate):
        uc.utils.set_random_seed(0)
        model = classifier(optimizers.Adam(rate))
        model.fit(X, Y, epochs=6, verbose=0)
        return model.evaluate(X, Y, verbose=0)[0]

    uc.utils.set_random_seed(0)
    rate = uc.explain.learning_rate(classifier("adam"), (X, Y)).rate
    best = min(loss_with(one) for one in np.geomspace(1e-3, 1, 5))
    assert loss_with(rate) < 1.3 * best + 0.02
    assert loss_with(rate) < 0.6 * loss_with(rate / 30)


def test_nothing_is_proposed_where_nothing_learns():
    model = classifier(
        "sgd", layers.Dense(8, "relu", kernel_initializer="zeros", bias_initializer=uc.initializers.Constant(-1))
    )
    model.layers[-1].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = uc.explain.learning_rate(model, (X, Y))
    assert found.rate is None and found.valley is None
    assert str(found).startswith("No learning rate is proposed")
    assert "no learning rate" in found.plot().texts[0].get_text()


def test_kinds_of_data_and_models(tmp_path):
    table = uc.data.Table({**{f"x{i}": X[:, i] for i in range(8)}, "y": Y}, target="y")
    parts = uc.data.split(table)
    inputs = parts.train.preparation()
    taken = inputs.inputs()
    model = uc.Model(taken, layers.Dense(3, "softmax")(layers.Dense(16, "relu")(inputs(taken))))
    model.compile("adam", "sparse_categorical_crossentropy")
    assert uc.explain.learning_rate(model, parts).rate > 1e-4
    assert parts.test_uses == 0
    wrapped = uc.Sequential([uc.from_torch(torch.nn.Linear(8, 3))])
    wrapped.compile("sgd", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert uc.explain.learning_rate(wrapped, (X, Y)).rate > 1e-3
    wrapped_data = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=32
    )
    assert uc.explain.learning_rate(wrapped, wrapped_data).rate > 1e-3
    path = tmp_path / "model.keras"
    first = classifier("adam")
    first.save(path)
    assert (
        uc.explain.learning_rate(uc.saving.load_model(path), (X, Y)).rate
        == uc.explain.learning_rate(first, (X, Y)).rate
    )


def test_words_numbers_and_pictures(tmp_path):
    found = uc.explain.learning_rate(classifier(optimizers.Adam(1e-6)), (X, Y))
    text = str(found)
    assert text.startswith("Take a learning rate of about ") and "times smaller" in text
    assert f"model.optimizer.learning_rate = {found.rate:.2g}" in text
    plain = json.loads(found.save(tmp_path / "rate.json").read_text())
    assert plain["rate"] == found.rate and len(plain["losses"]) == len(found.losses)
    assert found.save(tmp_path / "rate.png").read_bytes()[1:4] == b"PNG"
    page = found.save(tmp_path / "rate.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and "data:image/png" in page
    figure = found.plot()
    assert "in the middle of the valley" in figure.texts[0].get_text()
    assert figure.axes[0].get_xscale() == "log" and "learning rate" in figure.axes[0].get_xlabel()
    with pytest.raises(ValueError) as error:
        found.save(tmp_path / "rate.bmp")
    assert "Expected one of the endings: .png, .svg, .pdf, .html, .json." in str(error.value)


def test_parts_of_the_method():
    assert valley_of(np.array([1.0, 1.0, 1.0])) is None
    begin, middle, end = valley_of(np.array([1.0] * 10 + list(np.linspace(1, 0, 11)) + [5.0] * 3))
    assert (begin, middle, end) == (10, 15, 20)
    np.testing.assert_allclose(smoothed(np.ones(7)), 1.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"low": 1.0, "high": 0.1}, "learning_rate got low=1.0 and high=0.1.\nExpected 0 < low < high, both finite."),
        ({"steps": 3}, "learning_rate got steps=3.\nExpected a whole number of at least 20: each step tries one rate."),
        ({"seed": -1}, "learning_rate got seed=-1.\nExpected a whole number from 0 to 2**32 - 1."),
    ],
)
def test_impossible_arguments(arguments, text):
    with pytest.raises(ValueError) as error:
        uc.explain.learning_rate(classifier(), (X, Y), **arguments)
    assert str(error.value).startswith(text)


def test_what_is_no_compiled_model():
    with pytest.raises(ValueError, match="was called before compile"):
        uc.explain.learning_rate(uc.Sequential([uc.Input((8,)), layers.Dense(3)]), (X, Y))
    with pytest.raises(TypeError, match="from_torch"):
        uc.explain.learning_rate(torch.nn.Linear(8, 3), (X, Y))
    with pytest.raises(ValueError, match=r"learning_rate got a ndarray as its data\."):
        uc.explain.learning_rate(classifier(), X)
