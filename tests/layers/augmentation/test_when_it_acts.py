"""Augmentation acts where nobody says whether this is training, and goes by what is said elsewhere, as in Keras."""

import numpy as np
import pytest
import torch

from uncrumple import Model, Sequential, callbacks, layers
from uncrumple.data import Dataset

IMAGES = np.random.default_rng(0).random((32, 4, 4, 1)).astype("float32")


def flip():
    return layers.RandomFlip("horizontal")


def nested():
    inputs = layers.Input((4, 4, 1))
    return Model(inputs, Sequential([flip()])(inputs))


class Own(Model):
    def __init__(self):
        super().__init__()
        self.flip = flip()

    def call(self, inputs):
        return self.flip(inputs)


class OwnLayer(layers.Layer):
    def __init__(self):
        super().__init__()
        self.flip = flip()

    def call(self, inputs):
        return self.flip(inputs)


class Shift(layers.Layer):
    """A layer of one's own that says what Keras's augmentation says: training=True."""

    def call(self, inputs, training=True):
        return inputs + 1 if training else inputs


MAKERS = {
    "layer": flip,
    "sequential": lambda: Sequential([flip()]),
    "behind_others": lambda: Sequential([layers.Dropout(0.0), layers.Rescaling(1.0), flip()]),
    "nested": nested,
    "own_model": Own,
    "own_layer": OwnLayer,
    "pipeline": lambda: layers.Pipeline([flip()]),
    "own_augmentation": lambda: Sequential([Shift()]),
}


def acts(found):
    return bool(np.abs(np.asarray(found) - IMAGES).max() > 1e-6)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_call_acts_unless_told_not_to(make):
    part = make()
    assert acts(part(IMAGES))
    assert acts(part(IMAGES, training=True))
    assert not acts(part(IMAGES, training=False))
    assert acts(part(IMAGES))


@pytest.mark.parametrize("make", [m for n, m in MAKERS.items() if n in ("sequential", "nested", "own_model")])
def test_predict_evaluate_and_their_like_do_not_act(make):
    model = make()
    model.compile("sgd", "mse")
    assert not acts(model.predict(IMAGES, verbose=0))
    assert not acts(model.predict_on_batch(IMAGES))
    assert model.evaluate(IMAGES, IMAGES, verbose=0) == 0.0
    assert model.test_on_batch(IMAGES, IMAGES) == 0.0
    assert acts(model(IMAGES))


def learner():
    return Sequential([layers.Input((4, 4, 1)), Shift(), layers.Flatten(), layers.Dense(1, use_bias=False)])


def test_fit_acts_and_its_validation_does_not():
    model = learner()
    model.layers[-1].kernel.assign(np.ones((16, 1), "float32"))
    model.compile("sgd", "mae")
    model.optimizer.learning_rate = 0.0
    sums = IMAGES.sum((1, 2, 3))
    history = model.fit(IMAGES, sums, epochs=2, validation_data=(IMAGES, sums), verbose=0).history
    np.testing.assert_allclose(history["loss"], 16.0, rtol=1e-5)  # 1 more on each of 16 points
    np.testing.assert_allclose(history["val_loss"], 0.0, atol=1e-4)
    np.testing.assert_allclose(model.train_on_batch(IMAGES, sums), 16.0, rtol=1e-5)
    np.testing.assert_allclose(model.test_on_batch(IMAGES, sums), 0.0, atol=1e-4)


def test_a_step_in_the_data_acts_while_another_model_learns():
    augmentation, seen = Sequential([Shift()]), []

    def step(x, y):
        x = augmentation(x)
        seen.append(float(x.min()))
        return x, y

    model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    data = Dataset.from_tensor_slices((IMAGES, IMAGES.sum((1, 2, 3)))).batch(8).map(step)
    model.fit(data, epochs=2, validation_data=data, verbose=0)
    assert len(seen) >= 16 and min(seen) >= 1.0


def test_a_call_from_a_callback_is_a_call():
    model, seen = learner(), []
    model.compile("sgd", "mse")
    look = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(acts(MAKERS["sequential"]()(IMAGES))))
    model.fit(IMAGES, IMAGES.sum((1, 2, 3)), callbacks=[look], verbose=0)
    assert seen == [True]


def test_torchs_eval_and_train_tell():
    model = Sequential([flip()])
    model.eval()
    assert not acts(model(IMAGES))
    model.train()
    assert acts(model(IMAGES))
    model.eval()
    assert not acts(model(IMAGES))


def test_export_writes_inference(tmp_path):
    model = Sequential([layers.Input((4, 4, 1)), Shift()])
    model.export(tmp_path / "model.pt2", format="torch", verbose=False)
    assert not acts(torch.export.load(tmp_path / "model.pt2").module()(torch.from_numpy(IMAGES)))


def test_a_failing_call_leaves_nothing_told():
    model = Sequential([layers.Input((4, 4, 1)), flip()])
    with pytest.raises(ValueError):
        model(np.zeros((2, 3)), training=False)
    with pytest.raises(ValueError):
        model.predict(np.zeros((2, 3)), verbose=0)
    assert acts(model(IMAGES))
