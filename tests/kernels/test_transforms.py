"""Models of every kernel under torch.func: gradients equal those of autograd."""

import pytest
import torch

import uncrumple as uc
from uncrumple import layers as L

MODELS = {
    "embedding": (lambda: [uc.Input((5,), dtype="int32"), L.Embedding(10, 4), L.GlobalAveragePooling1D()], "tokens"),
    "simple_rnn": (lambda: [uc.Input((5, 3)), L.SimpleRNN(4)], (5, 3)),
    "gru": (lambda: [uc.Input((5, 3)), L.GRU(4)], (5, 3)),
    "lstm": (lambda: [uc.Input((5, 3)), L.LSTM(4)], (5, 3)),
    "cnn": (lambda: [uc.Input((8, 8, 1)), L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(), L.Flatten()], (8, 8, 1)),
}


def _made(name):
    parts, shape = MODELS[name]
    model = uc.Sequential([*parts(), L.Dense(3, activation="softmax")])
    x = torch.randint(0, 10, (6, 5)) if shape == "tokens" else torch.randn(6, *shape)
    return model, x, torch.randint(0, 3, (6,))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", ["sparse", "categorical"])
def test_gradients(name, loss):
    model, x, y = _made(name)
    if loss == "sparse":
        measure, target = uc.losses.SparseCategoricalCrossentropy(), y
    else:
        measure, target = uc.losses.CategoricalCrossentropy(), torch.nn.functional.one_hot(y, 3).float()
    weights = dict(model.named_parameters())

    def cost(weights):
        return measure(target, torch.func.functional_call(model, weights, (x,)))

    found = torch.func.grad(cost)(weights)
    measure(target, model(x)).backward()
    for key, weight in weights.items():
        torch.testing.assert_close(found[key], weight.grad, rtol=1e-4, atol=1e-6)
