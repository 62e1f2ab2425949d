"""`Normalization.adapt` on every kind of data, and what it does to weights and files."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from uncrumple import layers as L

DATA = np.random.default_rng(0).normal(5, 3, size=(101, 4)).astype("float32")


def batches():
    for start in range(0, 101, 17):
        yield DATA[start : start + 17]


KINDS = {
    "array": lambda: DATA,
    "double array": lambda: DATA.astype("float64"),
    "tensor": lambda: torch.tensor(DATA),
    "table": lambda: pd.DataFrame(DATA),
    "lists of numbers": DATA.tolist,
    "list of batches": lambda: list(batches()),
    "generator": batches,
    "pairs": lambda: [(batch, np.zeros(len(batch))) for batch in batches()],
    "loader": lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(DATA)), batch_size=10),
}


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_adapt(data):
    layer = L.Normalization()
    layer.adapt(data())
    np.testing.assert_allclose(layer.get_weights()[0], DATA.mean(0, dtype="float64"), rtol=1e-6)
    np.testing.assert_allclose(layer.get_weights()[1], DATA.var(0, dtype="float64"), rtol=1e-6)
    out = layer(torch.tensor(DATA))
    torch.testing.assert_close(out.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(0, correction=0), torch.ones(4), atol=1e-5, rtol=0)


def test_adapt_is_exact_far_from_zero():
    years = np.array([[2020.0], [2021.0], [2022.0]] * 50_000, dtype="float32") + 1e6
    layer = L.Normalization()
    layer.adapt(years)
    np.testing.assert_allclose(layer.get_weights()[1], [2 / 3], rtol=1e-6)


def test_adapt_on_bytes_and_whole_numbers():
    layer = L.Normalization(axis=None)
    layer.adapt(np.array([[0, 255], [255, 0]], dtype="uint8"))
    torch.testing.assert_close(layer(torch.tensor([[0, 255]], dtype=torch.uint8)), torch.tensor([[-1.0, 1.0]]))


def test_adapt_on_a_row_of_numbers():
    layer = L.Normalization(axis=None)
    layer.adapt(np.arange(5.0))
    assert layer(torch.tensor([2.0, 4.0]))[0] == 0
    assert layer(torch.tensor([[2.0], [4.0]])).shape == (2, 1)


def test_adapt_again_starts_anew():
    layer = L.Normalization()
    layer.adapt(DATA + 100)
    layer.adapt(DATA)
    np.testing.assert_allclose(layer.get_weights()[0], DATA.mean(0), rtol=1e-5)


def test_inversion_undoes_it():
    layer, back = L.Normalization(), L.Normalization(invert=True)
    layer.adapt(DATA), back.adapt(DATA)
    x = torch.tensor(DATA)
    torch.testing.assert_close(back(layer(x)), x, rtol=1e-4, atol=1e-4)


def test_a_constant_feature_becomes_zero():
    layer = L.Normalization()
    layer.adapt(np.ones((10, 2)))
    assert (layer(torch.ones(3, 2)) == 0).all()


def test_adapted_values_travel():
    layer = L.Normalization()
    layer.adapt(DATA)
    x = torch.tensor(DATA)
    expected = layer(x)
    store = {}
    layer.save_own_variables(store)
    read = L.Normalization()
    read.build((None, 4))
    read.load_own_variables(store)
    loaded = L.Normalization()
    loaded.build((None, 4))
    loaded.load_state_dict(layer.state_dict())
    given = L.Normalization()
    given.build((None, 4))
    given.set_weights(layer.get_weights())
    for other in (read, loaded, given, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x), expected)


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (lambda: [], ValueError, "got no data in adapt()"),
        (lambda: 5, TypeError, "got int in adapt()"),
        (lambda: [{"a": 1}], TypeError, "yields dict"),
        (lambda: ["text"], TypeError, "yields str"),
        (lambda: [DATA, DATA[:, :3]], ValueError, "got a batch of shape (101, 3) in adapt()"),
    ],
)
def test_what_adapt_cannot_take(data, kind, text):
    with pytest.raises(kind) as caught:
        L.Normalization().adapt(data())
    assert text in str(caught.value) and len(str(caught.value).split("\n")) == 3


def test_given_values_are_not_adapted():
    with pytest.raises(ValueError, match="was made with mean and variance"):
        L.Normalization(mean=1.0, variance=2.0, axis=None).adapt(DATA)
    with pytest.raises(ValueError, match=r"mean of shape \(2,\) and a variance of shape \(3,\)"):
        L.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"mean of shape \(1, 2\) for axis=\(-1,\)"):
        L.Normalization(mean=[[1.0, 2.0]], variance=[[1.0, 2.0]])


def test_given_values_are_no_weights():
    layer = L.Normalization(mean=np.array([1.0, 2.0]), variance=np.array([3.0, 4.0]))
    layer(torch.ones(2, 2))
    assert layer.weights == [] and layer.state_dict() == {}
    assert layer.get_config()["mean"] == [1.0, 2.0]


def test_a_symbolic_call_needs_no_data():
    assert L.Normalization()(L.Input((3,))).shape == (None, 3)


def test_rescaling_bytes():
    image = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    torch.testing.assert_close(L.Rescaling(1 / 255)(image), torch.tensor([[0.0, 0.2, 1.0]]))
    assert L.Rescaling(1 / 255, dtype="mixed_bfloat16")(image).dtype is torch.bfloat16
    config = L.Rescaling(np.array([1.0, 2.0]), offset=torch.tensor([0.5])).get_config()
    assert config["scale"] == [1.0, 2.0] and config["offset"] == [0.5]
