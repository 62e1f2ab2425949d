"""bfloat16 on a processor without products of it: float32 multiplies the same numbers, and rounds at the end."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import uncrumple as uc
from uncrumple import layers
from uncrumple.kernels import halves
from uncrumple.kernels.dense import multiply_add

POLICY = "mixed_bfloat16"
LAYERS = {
    "dense": (lambda: layers.Dense(70, "relu", dtype=POLICY), (600, 33)),
    "dense without bias": (lambda: layers.Dense(7, use_bias=False, dtype=POLICY), (5, 33)),
    "dense on sequences": (lambda: layers.Dense(9, "tanh", dtype=POLICY), (4, 6, 5)),
    "convolution": (lambda: layers.Conv2D(8, 3, activation="relu", padding="same", dtype=POLICY), (3, 9, 8, 4)),
    "with strides and groups": (lambda: layers.Conv2D(8, 3, strides=2, groups=2, dtype=POLICY), (3, 9, 8, 4)),
    "channels first": (lambda: layers.Conv2D(8, 3, data_format="channels_first", dtype=POLICY), (3, 4, 9, 8)),
    "of a line": (lambda: layers.Conv1D(8, 3, padding="causal", dtype=POLICY), (3, 9, 4)),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, dtype=POLICY), (3, 9, 8, 4)),
    "transposed": (lambda: layers.Conv2DTranspose(5, 3, strides=2, padding="same", dtype=POLICY), (3, 4, 5, 4)),
    "attention": (lambda: Own(), (3, 6, 8)),
}


class Own(layers.Layer):
    """Self-attention: products of one tensor with several kernels."""

    def __init__(self):
        super().__init__(dtype=POLICY)
        self.attention = layers.MultiHeadAttention(2, 4, dtype=POLICY)

    def call(self, x):
        return self.attention(x, x)


class Products(TorchDispatchMode):
    """Notes the products whose numbers are bfloat16."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket.__name__ in ("mm", "addmm", "linear", "convolution", "convolution_backward"):
            if any(isinstance(one, torch.Tensor) and one.is_cpu and one.dtype is torch.bfloat16 for one in args):
                self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


def there_and_back(layer, x):
    given = x.clone().requires_grad_()
    with Products() as products:
        out = layer(given)
        gradients = torch.autograd.grad(out.float().square().sum(), [given, *layer.trainable_weights])
    return out, gradients, products.seen


@pytest.mark.parametrize("name", LAYERS)
def test_results_and_gradients_are_those_of_bfloat16(name, monkeypatch):
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape)
    layer(x)
    out, gradients, _ = there_and_back(layer, x)
    monkeypatch.setattr(halves, "has_products", lambda: False)
    found, found_gradients, seen = there_and_back(layer, x)
    assert not seen
    assert found.dtype is out.dtype is torch.bfloat16
    torch.testing.assert_close(found, out, rtol=2e-2, atol=2e-2)
    for one, other in zip(found_gradients, gradients, strict=True):
        assert one.dtype is other.dtype is torch.float32
        far = (one - other).norm() / other.norm()
        assert far < 2e-2, far


def test_a_network_learns_so(monkeypatch):
    monkeypatch.setattr(halves, "has_products", lambda: False)
    before = uc.config.dtype_policy()
    uc.config.set_dtype_policy(POLICY)
    try:
        model = uc.Sequential(
            [
                uc.Input((8, 8, 1)),
                layers.Conv2D(8, 3, activation="relu"),
                layers.MaxPooling2D(),
                layers.Dropout(0.1),
                layers.Flatten(),
                layers.Dense(2, "softmax", dtype="float32"),
            ]
        )
    finally:
        uc.config.set_dtype_policy(before)
    y = np.arange(64) % 2
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 1)).astype("float32") + y.reshape(-1, 1, 1, 1)
    model.compile(uc.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    with Products() as products:
        history = model.fit(x, y, batch_size=16, epochs=8, verbose=0).history
    assert not products.seen
    assert history["accuracy"][-1] > 0.95 and all(weight.dtype == np.float32 for weight in model.get_weights())


def test_other_types_and_processors_go_the_ordinary_way():
    assert not halves.lack_products(torch.ones(2)) and not halves.lack_products(torch.ones(2).half())
    assert halves.lack_products(torch.ones(2).bfloat16()) is not halves.has_products()


def test_mixed_types_are_refused_as_elsewhere(monkeypatch):
    x, kernel = torch.ones(2, 3).bfloat16(), torch.ones(3, 4)
    for there in (True, False):
        monkeypatch.setattr(halves, "has_products", lambda there=there: there)
        with pytest.raises(RuntimeError, match="same dtype"):
            multiply_add(x, kernel)
