"""Training with tables whose gradients stay rows is the same, bit by bit, and nobody who looks is left out."""

import copy
import pickle

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import layers
from uncrumple.kernels import native
from uncrumple.kernels.embedding import RowGradient, gradients_as_rows
from uncrumple.optimizers import adam

pytestmark = pytest.mark.skipif(not native.available(), reason="the native kernels were not compiled")

WORDS = np.random.default_rng(0).integers(0, 1100, (64, 5))
ANSWERS = np.random.default_rng(1).normal(size=(64, 1)).astype("float32")


def model_of(optimizer, **settings):
    uc.utils.set_random_seed(3)
    table = layers.Embedding(1100, 64, **settings)
    model = uc.Sequential([uc.Input((5,), dtype="int32"), table, layers.Flatten(), layers.Dense(1)])
    model.compile(optimizer(), "mse")
    return model


def trained(optimizer, **settings):
    model = model_of(optimizer, **settings)
    model.fit(WORDS, ANSWERS, batch_size=16, epochs=3, verbose=0)
    return model


OPTIMIZERS = {
    "Adam": lambda: uc.optimizers.Adam(0.01),
    "AdamW": lambda: uc.optimizers.AdamW(0.01, weight_decay=0.1),
    "clipping": lambda: uc.optimizers.Adam(0.01, global_clipnorm=0.1),
    "accumulating": lambda: uc.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "averages": lambda: uc.optimizers.Adam(0.01, use_ema=True),
    "amsgrad": lambda: uc.optimizers.Adam(0.01, amsgrad=True),
    "SGD": lambda: uc.optimizers.SGD(0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_bits(name, monkeypatch):
    rows = trained(OPTIMIZERS[name])
    monkeypatch.setattr(adam, "_LARGE", 10**12)
    dense = trained(OPTIMIZERS[name])
    for one, other in zip(rows.get_weights(), dense.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_are_used():
    """The fast way is the one that is taken, or the test above compares nothing."""
    assert isinstance(trained(OPTIMIZERS["Adam"]).layers[0].embeddings.__dict__["row_gradient"], RowGradient)
    assert "row_gradient" not in trained(OPTIMIZERS["clipping"]).layers[0].embeddings.__dict__


def test_the_gradient_is_there_for_who_asks():
    seen = []

    class Looks(uc.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.layers[0].embeddings.grad.clone())

    model = model_of(OPTIMIZERS["Adam"])
    model.fit(WORDS, ANSWERS, batch_size=64, shuffle=False, verbose=0, callbacks=[Looks()])
    twin = model_of(OPTIMIZERS["Adam"])
    loss = torch.nn.functional.mse_loss(twin(torch.from_numpy(WORDS)), torch.from_numpy(ANSWERS))
    (wanted,) = torch.autograd.grad(loss, [twin.layers[0].embeddings])
    torch.testing.assert_close(seen[0], wanted, rtol=1e-5, atol=1e-7)
    assert seen[0].shape == (1100, 64)


def test_other_uses_of_the_table_count(monkeypatch):
    """Tied weights, a penalty, two look-ups: the whole gradient."""

    class Tied(uc.Model):
        def __init__(self):
            super().__init__()
            self.table = layers.Embedding(1100, 64, embeddings_regularizer="l2")

        def call(self, inputs):
            one, other = self.table(inputs), self.table(inputs[:, :2])
            return (one.mean(1) + other.mean(1)) @ self.table.embeddings.t()

    def run():
        uc.utils.set_random_seed(3)
        model = Tied()
        model.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(WORDS, WORDS[:, :1], batch_size=16, epochs=2, verbose=0)
        return model.get_weights()[0]

    rows = run()
    monkeypatch.setattr(adam, "_LARGE", 10**12)
    np.testing.assert_allclose(rows, run(), atol=1e-6)


def test_hooks_and_frozen_tables():
    model, seen = model_of(OPTIMIZERS["Adam"]), []
    model.layers[0].embeddings.register_hook(lambda gradient: seen.append(gradient.shape))
    model.fit(WORDS, ANSWERS, batch_size=64, verbose=0)
    assert seen == [(1100, 64)]
    model = model_of(OPTIMIZERS["Adam"])
    model.layers[0].trainable = False
    before = model.layers[0].embeddings.numpy().copy()
    model.compile("adam", "mse")
    model.fit(WORDS, ANSWERS, verbose=0)
    np.testing.assert_array_equal(model.layers[0].embeddings.numpy(), before)


def test_torchs_own_ways_see_ordinary_gradients():
    model = model_of(OPTIMIZERS["Adam"])
    table = model.layers[0].embeddings
    model(torch.from_numpy(WORDS)).sum().backward()
    assert table.grad.shape == table.shape and "row_gradient" not in table.__dict__
    with gradients_as_rows({id(table): table}):
        model(torch.from_numpy(WORDS)).sum().backward()  # one is there already: it is added to
    assert torch.equal(table.grad, 2 * torch.autograd.grad(model(torch.from_numpy(WORDS)).sum(), [table])[0])
    table.grad = None
    with gradients_as_rows({id(table): table}):
        model(torch.from_numpy(WORDS)).sum().backward()
    assert "row_gradient" in table.__dict__
    del table.grad
    assert table.grad is None


def test_copies_leave_gradients_behind():
    table = trained(OPTIMIZERS["Adam"]).layers[0].embeddings
    for made in (copy.deepcopy(table), pickle.loads(pickle.dumps(table)), table.like(table)):
        assert made.grad is None and torch.equal(made, table)


def test_an_error_in_the_backward_pass_leaves_nothing_behind():
    model = model_of(OPTIMIZERS["Adam"])
    table = model.layers[0].embeddings
    with pytest.raises(ZeroDivisionError), gradients_as_rows({id(table): table}):
        1 / 0  # noqa: B018
    model(torch.from_numpy(WORDS)).sum().backward()
    assert table.grad is not None and "row_gradient" not in table.__dict__
